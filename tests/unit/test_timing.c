/* test_timing.c: the measuring loop on a fake clock, driving the null backend: hours of
 * runs in no time, with noise whose truth is known. */
#include "kit/kit.h"

#include "backends/null/null_backend.h"
#include "base/alloc.h"
#include "core/registry.h"
#include "core/session.h"
#include "core/timing.h"
#include "stats/summary.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MS 1000000u
#define S  1000000000u

/* A null session whose runs take their time from a fake clock. */
struct rig {
    struct mld_clock_fake clock;
    struct mld_backend_ops ops;
    struct mld_core_session session;
    uint64_t samples[20000];
    struct mld_timing_params params;
    struct mld_timing_result result;
    size_t progress_calls, progress_last;
    uint64_t progress_ns, progress_gap_ns;
    volatile int cancel;
    int64_t cancel_at, fail_progress_at;
};

static int rig_run(void *ctx, struct mld_error *err)
{
    struct rig *r = ctx;
    int rc = mld_session_run(&r->session, err);
    if (r->cancel_at > 0 && --r->cancel_at == 0)
        r->cancel = 1;
    return rc;
}

static int rig_progress(void *ctx, size_t count, struct mld_error *err)
{
    struct rig *r = ctx;
    KIT_CHECK(count >= r->progress_last);
    if (r->progress_calls > 0 && r->clock.now_ns - r->progress_ns < r->progress_gap_ns)
        r->progress_gap_ns = r->clock.now_ns - r->progress_ns;
    r->progress_ns = r->clock.now_ns;
    r->progress_last = count;
    r->progress_calls++;
    if (r->fail_progress_at == (int64_t)r->progress_calls)
        return mld_error_set(err, MLD_E_IO, "the pipe is gone");
    return 0;
}

static void rig_open(struct rig *r, const struct mld_key_value *options, size_t n,
                     uint64_t seed)
{
    const struct mld_open_params open = {.device = "null",
                                         .precision = "fp32",
                                         .seed = seed,
                                         .options = options,
                                         .option_count = n};
    const struct mld_load_params load = {NULL, NULL};
    const struct mld_prepare_params prepare = {.input_count = 0};
    mld_clock_fake_init(&r->clock, 1000);
    mld_null_set_clock(&r->clock.clock);
    KIT_OK(mld_backend_check(mld_backend_entry_null(), &r->ops, &kit_err));
    KIT_OK(mld_session_open(&r->session, &r->ops, &open, &kit_err));
    KIT_OK(mld_session_load(&r->session, &load, &kit_err));
    KIT_OK(mld_session_prepare(&r->session, &prepare, &kit_err));
    r->params = (struct mld_timing_params){
        .run = rig_run,
        .ctx = r,
        .clock = &r->clock.clock,
        .samples_ns = r->samples,
        .cancel = &r->cancel,
        .budget = {.max_time_ns = 10ull * S,
                   .min_samples = 20,
                   .max_samples = 20000,
                   .warmup = -1,
                   .target_width = 0.02},
    };
    r->progress_gap_ns = UINT64_MAX;
}

static struct rig *rig_new(const char *latency, const char *noise, const char *amount,
                           uint64_t seed)
{
    struct rig *r = calloc(1, sizeof(*r));
    KIT_CHECK(r);
    const struct mld_key_value options[] = {
        {"latency", latency}, {"noise", noise}, {"amount", amount}};
    rig_open(r, options, 3, seed);
    return r;
}

static void rig_free(struct rig *r)
{
    mld_session_close(&r->session);
    mld_null_set_clock(NULL);
    free(r);
}

static void rig_loop(struct rig *r)
{
    KIT_OK(mld_timing_loop(&r->params, &r->result, &kit_err));
}

/* --- intervals -------------------------------------------------------------------- */

/* How often the 95 % interval of the median holds the truth, over 2,000 measurements. */
struct coverage {
    const char *noise, *amount;
    double target_width;
    int64_t min_samples;
    uint64_t max_time_ns;
    double low, high; /* what is allowed */
    double mean_count, share, steady_share;
};

#define COVERAGE_RUNS 2000

static void coverage_run(struct coverage *c)
{
    int hits = 0, steady = 0;
    double counts = 0.0;
    for (uint64_t seed = 1; seed <= COVERAGE_RUNS; seed++) {
        struct rig *r = rig_new("1ms", c->noise, c->amount, seed * 7919);
        struct mld_percentile median;
        r->params.budget.target_width = c->target_width;
        r->params.budget.min_samples = c->min_samples;
        r->params.budget.max_time_ns = c->max_time_ns;
        rig_loop(r);
        const size_t warmup = r->result.warmup_count;
        KIT_OK(mld_summarize_median(r->samples + warmup, r->result.count - warmup,
                                    &median, &kit_err));
        /* A factor exp(amount * z) or 1 + amount * z has the median 1. */
        hits += median.low <= 1e6 && 1e6 <= median.high;
        steady += r->result.steady;
        counts += (double)r->result.count;
        rig_free(r);
    }
    c->share = (double)hits / COVERAGE_RUNS;
    c->steady_share = (double)steady / COVERAGE_RUNS;
    c->mean_count = counts / COVERAGE_RUNS;
    printf("%s %s target %g: %.2f %% held it, %.0f samples, %.1f %% steady\n", c->noise,
           c->amount, c->target_width, 100.0 * c->share, c->mean_count,
           100.0 * c->steady_share);
    if (!(c->share >= c->low && c->share <= c->high))
        KIT_FAIL("%s: the interval held the truth in %.2f %% of the measurements",
                 c->noise, 100.0 * c->share);
}

/* A fixed time: how many samples there are does not depend on what they say. */
MLD_TEST_TIMEOUT(timing__intervals_cover_with_normal_noise, 240)
{
    struct coverage c = {"normal", "0.05", 0.0, 200, 200 * MS, 0.93, 0.97, 0, 0, 0};
    coverage_run(&c);
    KIT_CHECK(c.steady_share > 0.97);
}

MLD_TEST_TIMEOUT(timing__intervals_cover_with_skewed_noise, 240)
{
    struct coverage c = {"lognormal", "0.30", 0.0, 500, 400 * MS, 0.93, 0.97, 0, 0, 0};
    coverage_run(&c);
}

MLD_TEST_TIMEOUT(timing__intervals_cover_with_spikes, 240)
{
    struct coverage c = {"spikes", "0.05", 0.0, 200, 200 * MS, 0.93, 0.97, 0, 0, 0};
    coverage_run(&c);
}

MLD_TEST_TIMEOUT(timing__intervals_cover_when_runs_resemble_their_neighbours, 240)
{
    struct coverage c = {"correlated", "0.10", 0.0, 1000, 1000 * MS, 0.93, 0.97, 0, 0, 0};
    coverage_run(&c);
}

/* Stopping when the interval is narrow looks at the data: that must not cost coverage. */
MLD_TEST_TIMEOUT(timing__intervals_cover_when_the_target_stops_the_loop, 240)
{
    struct coverage c = {"lognormal", "0.10", 0.03, 20, 10ull * S, 0.93, 0.97, 0, 0, 0};
    coverage_run(&c);
    KIT_CHECK(c.mean_count < 1000.0);
}

/* --- steady state ----------------------------------------------------------------- */

MLD_TEST(timing__constant_runs_stop_at_once)
{
    struct rig *r = rig_new("1ms", "none", "0", 1);
    rig_loop(r);
    KIT_CHECK(r->result.steady);
    KIT_EQ_INT(r->result.end, MLD_TIMING_TARGET);
    KIT_EQ_INT(r->result.count, 20); /* min_samples and not one more */
    KIT_EQ_INT(r->result.warmup_count, 0);
    KIT_EQ_U64(r->samples[0], 1 * MS);
    KIT_EQ_U64(r->samples[19], 1 * MS);
    KIT_EQ_U64(r->result.loop_ns, 20 * MS);
    KIT_NEAR(r->result.harness_ns, 0.0, 0.0); /* a fake clock does not move by itself */
    rig_free(r);
}

MLD_TEST(timing__drift_is_mistrusted)
{
    for (uint64_t seed = 1; seed <= 50; seed++) {
        struct rig *r = rig_new("1ms", "drift", "0.05", seed);
        r->params.budget.max_time_ns = 2ull * S;
        rig_loop(r);
        KIT_EQ_INT(r->result.end, MLD_TIMING_TIME);
        KIT_CHECK(!r->result.steady);
        KIT_CONTAINS(r->result.reason, "still getting slower");
        rig_free(r);
    }
}

MLD_TEST(timing__alternating_levels_are_mistrusted)
{
    struct rig *r = rig_new("1ms", "burst", "0.5", 1);
    r->params.budget.max_time_ns = 1ull * S;
    r->params.budget.min_samples =
        600; /* the first 50 runs alone are as steady as can be */
    rig_loop(r);
    KIT_CHECK(!r->result.steady);
    KIT_CONTAINS(r->result.reason, "jumps between levels of");
    rig_free(r);
}

MLD_TEST(timing__two_kinds_of_runs_are_mistrusted)
{
    struct rig *r = rig_new("1ms", "bimodal", "0.3", 1);
    r->params.budget.max_time_ns = 3ull * S;
    r->params.budget.min_samples = 2000;
    rig_loop(r);
    KIT_CHECK(!r->result.steady);
    KIT_CONTAINS(r->result.reason, "two kinds of runs");
    rig_free(r);
}

MLD_TEST(timing__detects_the_warm_up)
{
    struct rig *r = calloc(1, sizeof(*r));
    KIT_CHECK(r);
    const struct mld_key_value options[] = {
        {"latency", "1ms"}, {"noise", "lognormal"}, {"amount", "0.01"}, {"settle", "40"}};
    rig_open(r, options, 4, 3);
    r->params.budget.min_samples = 100;
    rig_loop(r);
    KIT_CHECK(r->result.steady);
    /* The 40th run is within 2.5 % of the level, the 20th 50 % above it. */
    KIT_CHECK(r->result.warmup_count >= 25 && r->result.warmup_count <= 45);
    KIT_CHECK(r->result.count - r->result.warmup_count >= 100);
    rig_free(r);
}

MLD_TEST(timing__explicit_warm_up_is_exact)
{
    struct rig *r = rig_new("1ms", "lognormal", "0.01", 5);
    r->params.budget.warmup = 37;
    rig_loop(r);
    KIT_CHECK(r->result.steady);
    KIT_EQ_INT(r->result.warmup_count, 37);
    KIT_CHECK(r->result.count - 37 >= 20);
    rig_free(r);
}

MLD_TEST(timing__explicit_warm_up_that_is_too_short_is_told)
{
    struct rig *r = calloc(1, sizeof(*r));
    KIT_CHECK(r);
    const struct mld_key_value options[] = {{"latency", "1ms"}, {"settle", "300"}};
    rig_open(r, options, 2, 3);
    r->params.budget.warmup = 10;
    r->params.budget.max_time_ns = 900 * MS;
    rig_loop(r);
    KIT_CHECK(!r->result.steady);
    KIT_CONTAINS(r->result.reason, "still warming up after the 10 discarded runs");
    KIT_EQ_INT(r->result.warmup_count, 10);
    rig_free(r);
}

/* --- budget ----------------------------------------------------------------------- */

MLD_TEST(timing__min_samples_come_before_max_time)
{
    struct rig *r = rig_new("2s", "none", "0", 1); /* one run takes 2 s of the 10 */
    r->params.budget.target_width = 0.0;
    rig_loop(r);
    KIT_EQ_INT(r->result.count, 20);
    rig_free(r);
}

MLD_TEST(timing__max_time_ends_what_never_gets_narrow)
{
    struct rig *r = rig_new("10ms", "lognormal", "0.5", 1);
    r->params.budget.target_width = 0.0;
    rig_loop(r);
    KIT_EQ_INT(r->result.end, MLD_TIMING_TIME);
    KIT_CHECK(r->result.steady); /* wide, but steady: the interval says the rest */
    KIT_CHECK(r->result.loop_ns >= 10ull * S && r->result.loop_ns < 10ull * S + 100 * MS);
    rig_free(r);
}

MLD_TEST(timing__min_time_is_of_the_steady_part)
{
    struct rig *r = rig_new("1ms", "none", "0", 1);
    r->params.budget.min_time_ns = 700 * MS;
    rig_loop(r);
    KIT_EQ_INT(r->result.end, MLD_TIMING_TARGET);
    KIT_CHECK(r->result.loop_ns >= 700 * MS && r->result.loop_ns < 1000 * MS);
    rig_free(r);
}

MLD_TEST(timing__sample_array_is_never_overrun)
{
    struct rig *r = rig_new("1ms", "lognormal", "0.5", 1);
    r->params.budget.max_samples = 57;
    r->params.budget.target_width = 0.0;
    r->samples[57] = 0xDEAD;
    rig_loop(r);
    KIT_EQ_INT(r->result.end, MLD_TIMING_SAMPLES);
    KIT_EQ_INT(r->result.count, 57);
    KIT_EQ_U64(r->samples[57], 0xDEAD);
    rig_free(r);
}

MLD_TEST(timing__too_few_runs_are_mistrusted)
{
    struct rig *r = rig_new("1ms", "none", "0", 1);
    r->params.budget.min_samples = 3;
    r->params.budget.max_time_ns = 1;
    rig_loop(r);
    KIT_EQ_INT(r->result.count, 3);
    KIT_CHECK(!r->result.steady);
    KIT_CONTAINS(r->result.reason, "only 3 runs");
    rig_free(r);
}

/* Looks grow with the samples: their number is the logarithm, their cost the samples'. */
MLD_TEST(timing__looks_seldom)
{
    struct rig *r = rig_new("1ms", "lognormal", "0.2", 1);
    r->params.budget.max_samples = 10000;
    r->params.budget.max_time_ns = UINT64_MAX;
    r->params.budget.target_width = 0.0;
    rig_loop(r);
    KIT_EQ_INT(r->result.count, 10000);
    KIT_CHECK(r->result.evaluations >= 10 && r->result.evaluations <= 30);
    rig_free(r);
}

MLD_TEST(timing__a_budget_without_sense_is_refused)
{
    struct rig *r = rig_new("1ms", "none", "0", 1);
    r->params.budget.min_samples = 30000;
    KIT_FAILS(mld_timing_loop(&r->params, &r->result, &kit_err), MLD_E_INVALID);
    r->params.budget.min_samples = 20;
    r->params.budget.warmup = 20000;
    KIT_FAILS(mld_timing_loop(&r->params, &r->result, &kit_err), MLD_E_INVALID);
    r->params.budget.warmup = -1;
    r->params.budget.max_samples = 0;
    KIT_FAILS(mld_timing_loop(&r->params, &r->result, &kit_err), MLD_E_INVALID);
    rig_free(r);
}

/* --- ends ------------------------------------------------------------------------- */

MLD_TEST(timing__cancel_ends_after_the_run)
{
    struct rig *r = rig_new("1ms", "none", "0", 1);
    r->cancel_at = 11;
    rig_loop(r);
    KIT_EQ_INT(r->result.end, MLD_TIMING_CANCELLED);
    KIT_EQ_INT(r->result.count, 11);
    rig_free(r);
}

MLD_TEST(timing__a_failing_run_keeps_the_samples_before_it)
{
    struct rig *r = calloc(1, sizeof(*r));
    KIT_CHECK(r);
    const struct mld_key_value options[] = {{"latency", "1ms"}, {"fail-at", "run:14"}};
    rig_open(r, options, 2, 1);
    r->params.progress = rig_progress;
    r->params.progress_ctx = r;
    r->params.progress_ns = 250 * MS;
    KIT_FAILS(mld_timing_loop(&r->params, &r->result, &kit_err), MLD_E_ENGINE);
    KIT_CONTAINS(kit_err.message, "asked to");
    KIT_EQ_INT(r->result.count, 13);
    KIT_EQ_INT(r->progress_last, 13);
    rig_free(r);
}

MLD_TEST(timing__progress_comes_at_most_so_often)
{
    struct rig *r = rig_new("1ms", "lognormal", "0.2", 1);
    r->params.progress = rig_progress;
    r->params.progress_ctx = r;
    r->params.progress_ns = 250 * MS;
    r->params.budget.target_width = 0.0;
    r->params.budget.max_time_ns = 3ull * S;
    rig_loop(r);
    KIT_CHECK(r->progress_calls >= 11 && r->progress_calls <= 14);
    KIT_EQ_INT(r->progress_last, r->result.count);
    rig_free(r);
}

MLD_TEST(timing__failing_progress_ends_the_loop)
{
    struct rig *r = rig_new("1ms", "none", "0", 1);
    r->params.progress = rig_progress;
    r->params.progress_ctx = r;
    r->params.progress_ns = 10 * MS;
    r->params.budget.max_time_ns = UINT64_MAX;
    r->params.budget.min_samples = 5000;
    r->fail_progress_at = 3;
    KIT_FAILS(mld_timing_loop(&r->params, &r->result, &kit_err), MLD_E_IO);
    KIT_CHECK(r->result.count < 100);
    rig_free(r);
}

/* --- the harness ------------------------------------------------------------------ */

MLD_TEST(timing__harness_is_measured_on_the_real_clock)
{
    double ns = mld_timing_harness_ns(mld_clock_real());
    KIT_CHECK(ns > 0.0 && isfinite(ns));
}

/* Runs that are as short as the loop's own cost are not a measurement. */
MLD_TEST(timing__runs_shorter_than_the_harness_are_mistrusted)
{
    struct rig *r = rig_new("0", "none", "0", 1);
    r->params.clock = mld_clock_real();
    r->params.budget.max_samples = 2000;
    r->params.budget.min_samples = 2000;
    rig_loop(r);
    KIT_CHECK(!r->result.steady);
    KIT_CHECK(r->result.harness_ns > 0.0);
    rig_free(r);
}

/* --- the minimum is one of steady runs --------------------------------------------- */

static int slow_start_run(void *ctx, struct mld_error *err)
{
    struct rig *r = ctx;
    (void)err;
    mld_clock_fake_advance(&r->clock, r->progress_calls++ < 12 ? 300 * MS : 100 * MS);
    return 0;
}

/* Twelve slow runs use up most of the time; what is steady at its end is still fewer than
 * asked for. */
MLD_TEST(timing__a_long_warm_up_does_not_eat_the_minimum)
{
    struct rig *r = rig_new("1ms", "none", "0", 1);
    r->params.run = slow_start_run;
    r->params.budget.max_time_ns = 4400ull * MS;
    r->params.budget.min_samples = 15;
    rig_loop(r);
    KIT_EQ_INT(r->result.warmup_count, 12);
    KIT_CHECK(r->result.count - r->result.warmup_count >= 15);
    KIT_CHECK(r->result.steady);
    rig_free(r);
}
