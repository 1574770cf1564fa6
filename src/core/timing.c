/* timing.c: the measuring loop and its stop rule. The inner loop is timing_chunk(); all
 * else happens between its calls, with the clock stopped as far as samples go. */
#include "core/timing.h"

#include "base/alloc.h"
#include "stats/summary.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define MLD_TIMING_GROWTH       1.25 /* samples between two looks of the stop rule */
#define MLD_TIMING_EVALUATE_MAX 0.05 /* share of the time that looking may take */
#define MLD_TIMING_OVERHEAD_MAX 0.05 /* share of a run that the loop may cost */
#define MLD_TIMING_EXTEND       4    /* times the least count, at most, for steady runs */

/* One stretch of runs without anything else. */
struct timing_chunk {
    size_t count, cap;    /* into samples_ns */
    uint64_t deadline_ns; /* ends after the run in which this is passed */
    uint64_t end_ns;      /* of the last run */
};

static int timing_chunk(const struct mld_timing_params *p, struct timing_chunk *c,
                        struct mld_error *err)
{
    static const volatile int never = 0;
    const volatile int *cancel = p->cancel ? p->cancel : &never;
    const struct mld_clock clock = *p->clock;
    const mld_timing_fn run = p->run;
    void *const ctx = p->ctx;
    uint64_t *const samples = p->samples_ns;
    const uint64_t deadline = c->deadline_ns;
    const size_t cap = c->cap;
    size_t i = c->count;
    int rc = 0;
    uint64_t start = clock.now_ns(clock.ctx), now = start;
    while (i < cap) {
        rc = run(ctx, err);
        now = clock.now_ns(clock.ctx);
        if (rc != 0)
            break;
        samples[i++] = now - start;
        start = now;
        if (now >= deadline || *cancel)
            break;
    }
    c->count = i;
    c->end_ns = now;
    return rc;
}

static int timing_empty_run(void *ctx, struct mld_error *err)
{
    (void)ctx;
    (void)err;
    return 0;
}

double mld_timing_harness_ns(const struct mld_clock *clock)
{
    enum { BATCHES = 9, RUNS = 1024 };
    uint64_t samples[RUNS];
    double cost[BATCHES];
    memset(samples, 0, sizeof(samples));
    const struct mld_timing_params p = {
        .run = timing_empty_run, .clock = clock, .samples_ns = samples};
    for (int b = 0; b < BATCHES; b++) {
        struct timing_chunk c = {.cap = RUNS, .deadline_ns = UINT64_MAX};
        uint64_t start = mld_now_ns(clock);
        if (timing_chunk(&p, &c, NULL) != 0)
            return NAN;
        double one = (double)(c.end_ns - start) / RUNS;
        int k = b;
        for (; k > 0 && cost[k - 1] > one; k--)
            cost[k] = cost[k - 1];
        cost[k] = one;
    }
    return cost[BATCHES / 2];
}

/* The stop rule's memory between looks. */
struct timing_state {
    const struct mld_timing_params *p;
    struct mld_timing_result *out;
    uint64_t start_ns;
    size_t next_look; /* count at which the rule looks again */
    uint64_t longest_look_ns;
};

/* An explicit warm-up that ends too early spoils the rest: said once it is a tenth of
 * it. */
static void timing_judge_explicit(const struct mld_budget *b, size_t rest,
                                  struct mld_steady *s)
{
    size_t more = s->begin;
    s->begin = (size_t)b->warmup;
    if (!s->steady || more * 10 <= rest)
        return;
    s->steady = false;
    snprintf(s->reason, sizeof(s->reason),
             "still warming up after the %lld discarded run%s: about %zu more are needed",
             (long long)b->warmup, b->warmup == 1 ? "" : "s", more);
}

/* Where the steady part begins in the samples so far, and whether there is one. */
static int timing_judge(const struct timing_state *t, size_t count, struct mld_steady *s,
                        struct mld_error *err)
{
    const struct mld_budget *b = &t->p->budget;
    size_t skip = b->warmup > 0 ? (size_t)b->warmup : 0;
    skip = skip < count ? skip : count;
    MLD_TRY(mld_steady_detect(t->p->samples_ns + skip, count - skip, s, err));
    if (b->warmup >= 0)
        timing_judge_explicit(b, count - skip, s);
    s->begin = s->begin < count ? s->begin : count;
    return 0;
}

/* Whether the samples so far are enough: steady, long enough, and the median known to the
 * wanted width. The target is looked at last, since it costs a sort. */
static int timing_enough(struct timing_state *t, size_t count, bool *enough,
                         struct mld_error *err)
{
    const struct mld_budget *b = &t->p->budget;
    const uint64_t *samples = t->p->samples_ns;
    struct mld_steady s;
    *enough = false;
    MLD_TRY(timing_judge(t, count, &s, err));
    if (!s.steady || (int64_t)(count - s.begin) < b->min_samples)
        return 0;
    uint64_t steady_ns = 0;
    for (size_t i = s.begin; i < count; i++)
        steady_ns += samples[i];
    if (steady_ns < b->min_time_ns)
        return 0;
    struct mld_percentile median;
    MLD_TRY(mld_summarize_median(samples + s.begin, count - s.begin, &median, err));
    /* NaN, where there is no interval, compares false. */
    *enough = median.high - median.low <= b->target_width * median.value;
    return 0;
}

/* Looks, and says when to look again: after a quarter more samples, and not before the
 * time that looking takes is a small share of the whole. */
static int timing_look(struct timing_state *t, size_t count, bool *enough,
                       struct mld_error *err)
{
    const struct mld_clock *clock = t->p->clock;
    uint64_t start = mld_now_ns(clock);
    int rc = timing_enough(t, count, enough, err);
    uint64_t end = mld_now_ns(clock);
    t->out->evaluations++;
    t->out->evaluate_ns += end - start;
    if (end - start > t->longest_look_ns)
        t->longest_look_ns = end - start;
    double elapsed = (double)(end - t->start_ns - t->out->evaluate_ns);
    double run = count > 0 ? elapsed / (double)count : 0.0;
    double pause = (double)t->longest_look_ns / MLD_TIMING_EVALUATE_MAX;
    double runs =
        fmax((double)count * (MLD_TIMING_GROWTH - 1.0), run > 0.0 ? pause / run : 0.0);
    size_t room = (size_t)t->p->budget.max_samples - count;
    t->next_look = runs < (double)room ? count + (size_t)runs + 1 : count + room;
    return rc;
}

/* Runs that must be made before max_time counts. */
static size_t timing_least(const struct mld_budget *b)
{
    int64_t least = b->min_samples + (b->warmup > 0 ? b->warmup : 0);
    least = least > 1 ? least : 1;
    return (size_t)(least < b->max_samples ? least : b->max_samples);
}

/* Runs that are still needed once the time is over: the minimum is one of steady runs,
 * and where the warm-up took many, as many again are made, within a limit. */
static int timing_shortage(struct timing_state *t, size_t count, size_t *more,
                           struct mld_error *err)
{
    const struct mld_budget *b = &t->p->budget;
    size_t most = timing_least(b) * MLD_TIMING_EXTEND;
    struct mld_steady s;
    *more = 0;
    most = most < (size_t)b->max_samples ? most : (size_t)b->max_samples;
    MLD_TRY(timing_judge(t, count, &s, err));
    if (!s.steady || count >= most || (int64_t)(count - s.begin) >= b->min_samples)
        return 0;
    *more = (size_t)b->min_samples - (count - s.begin);
    *more = *more < most - count ? *more : most - count;
    return 0;
}

/* The final verdict over all that was measured. */
static int timing_finish(struct timing_state *t, size_t count, struct mld_error *err)
{
    const struct mld_budget *b = &t->p->budget;
    struct mld_timing_result *out = t->out;
    struct mld_steady s;
    MLD_TRY(timing_judge(t, count, &s, err));
    out->steady = s.steady;
    out->warmup_count = s.begin;
    memcpy(out->reason, s.reason, sizeof(out->reason));
    /* A series that never settles has no steady part: all of it is kept as one. */
    if (s.begin == count)
        out->warmup_count = b->warmup > 0 ? s.begin : 0;
    if (!s.steady || count == out->warmup_count)
        return 0;
    int64_t steady = (int64_t)(count - s.begin);
    if (steady < b->min_samples && t->out->end != MLD_TIMING_CANCELLED) {
        out->steady = false;
        snprintf(out->reason, sizeof(out->reason),
                 "only %lld of the wanted %lld runs after a warm-up of %zu: give it more "
                 "time",
                 (long long)steady, (long long)b->min_samples, s.begin);
        return 0;
    }
    struct mld_percentile median;
    MLD_TRY(
        mld_summarize_median(t->p->samples_ns + s.begin, count - s.begin, &median, err));
    if (median.known && out->harness_ns > MLD_TIMING_OVERHEAD_MAX * median.value) {
        out->steady = false;
        snprintf(out->reason, sizeof(out->reason),
                 "too short to measure: a run takes %.3g ns, the harness itself %.3g ns",
                 median.value, out->harness_ns);
    }
    return 0;
}

static int timing_check(const struct mld_timing_params *p, struct mld_error *err)
{
    const struct mld_budget *b = &p->budget;
    if (b->max_samples < 1 || b->min_samples > b->max_samples)
        return mld_error_set(err, MLD_E_INVALID,
                             "cannot take at least %lld and at most %lld samples",
                             (long long)b->min_samples, (long long)b->max_samples);
    if (b->warmup >= b->max_samples)
        return mld_error_set(err, MLD_E_INVALID,
                             "cannot discard %lld of at most %lld samples",
                             (long long)b->warmup, (long long)b->max_samples);
    return 0;
}

int mld_timing_loop(const struct mld_timing_params *params, struct mld_timing_result *out,
                    struct mld_error *err)
{
    memset(out, 0, sizeof(*out));
    MLD_TRY(timing_check(params, err));
    const struct mld_budget *b = &params->budget;
    const size_t max = (size_t)b->max_samples;
    size_t least = timing_least(b);
    out->harness_ns = mld_timing_harness_ns(params->clock);
    struct timing_state t = {.p = params, .out = out, .next_look = least};
    t.start_ns = mld_now_ns(params->clock);
    uint64_t stop_ns = t.start_ns + b->max_time_ns, told_ns = t.start_ns;
    stop_ns = stop_ns < t.start_ns ? UINT64_MAX : stop_ns;
    struct timing_chunk c = {0};
    bool enough = false;
    out->end = MLD_TIMING_TARGET;
    int rc = 0;
    while (rc == 0 && !enough) {
        /* A look is due by count; progress is due by time, and so is the end. */
        bool late = c.count >= least;
        c.cap = t.next_look < max ? t.next_look : max;
        c.cap = late || c.cap < least ? c.cap : least;
        c.deadline_ns = told_ns + params->progress_ns;
        if (c.deadline_ns < told_ns || !params->progress)
            c.deadline_ns = UINT64_MAX;
        if (late && stop_ns < c.deadline_ns)
            c.deadline_ns = stop_ns;
        rc = timing_chunk(params, &c, err);
        out->count = c.count;
        out->loop_ns = c.end_ns - t.start_ns;
        if (rc != 0)
            break;
        if (params->progress && c.end_ns - told_ns >= params->progress_ns) {
            rc = params->progress(params->progress_ctx, c.count, err);
            told_ns = mld_now_ns(params->clock);
        }
        if (params->cancel && *params->cancel)
            out->end = MLD_TIMING_CANCELLED;
        else if (rc == 0 && c.count >= t.next_look)
            rc = timing_look(&t, c.count, &enough, err);
        if (out->end == MLD_TIMING_CANCELLED || enough)
            break;
        if (c.count >= max)
            out->end = MLD_TIMING_SAMPLES;
        else if (c.count >= least && c.end_ns >= stop_ns) {
            size_t more = 0;
            rc = timing_shortage(&t, c.count, &more, err);
            least = c.count + more;
            if (more == 0)
                out->end = MLD_TIMING_TIME;
        }
        if (out->end != MLD_TIMING_TARGET)
            break;
    }
    if (params->progress && c.count > 0) {
        int told = params->progress(params->progress_ctx, c.count, rc == 0 ? err : NULL);
        rc = rc != 0 ? rc : told;
    }
    if (rc == 0)
        rc = timing_finish(&t, c.count, err);
    return rc;
}
