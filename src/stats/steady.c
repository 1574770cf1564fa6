/* steady.c: where a series of run times becomes steady, and whether it is.
 *
 * The series is reduced to at most 512 group medians, cut into segments of equal level by
 * optimal partitioning, and each level is compared with the level of the second half.
 * What comes before the last stretch at that level is warm-up; a drift, a late change or
 * an alternation of levels inside it is a reason for mistrust (docs/method.md, Steady
 * state). */
#include "stats/summary.h"

#include "base/alloc.h"
#include "stats/samples_sort.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MLD_STEADY_GROUPS 512
#define MLD_STEADY_MIN    6    /* fewer samples say nothing */
#define MLD_STEADY_SHARE  0.25 /* of the runs, at least, must be steady (Barrett 2017) */
#define MLD_STEADY_STRAY  0.10 /* of the steady runs may lie in passing disturbances */
#define MLD_STEADY_LEVEL  0.03 /* levels within 3 % of each other count as equal */
#define MLD_STEADY_Z      3.0  /* and so do levels within 3 standard errors */

/* Work space of one detection: all arrays hold one value per group. */
struct steady_work {
    double *level; /* group medians, then cleaned of lone outliers */
    double *spare;
    double *sum, *square; /* prefix sums, one longer */
    double *cost;         /* cost of the best partition of the first i groups */
    size_t *cut;          /* where its last segment begins */
    size_t count;
    size_t group; /* samples in a group */
    double noise; /* long-run standard deviation of one group */
};

static int steady_compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* Median of x[0..n), which stays as it is; spare holds n values. */
static double steady_median(const double *x, size_t n, double *spare)
{
    memcpy(spare, x, n * sizeof(*x));
    qsort(spare, n, sizeof(*spare), steady_compare);
    return mld_quantile_sorted(spare, n, 0.5);
}

/* Median absolute difference at a distance, as a standard deviation of the difference. */
static double steady_difference(const double *x, size_t n, size_t lag, double *spare)
{
    for (size_t i = 0; i + lag < n; i++)
        spare[i] = fabs(x[i + lag] - x[i]);
    qsort(spare, n - lag, sizeof(*spare), steady_compare);
    return 1.4826 * mld_quantile_sorted(spare, n - lag, 0.5);
}

/* Robust noise of a series whose level may jump: from differences, so that jumps hardly
 * count. Neighbours may be correlated: with d1, d2 the differences at lags 1 and 2,
 * rho = d2^2 / d1^2 - 1 for a first-order autoregression (Chakar et al. 2017), and sums
 * of such noise grow like those of independent noise of d1^2 (1 + rho) / (2 (1 -
 * rho)^2). */
static double steady_noise(const double *x, size_t n, double *spare)
{
    double d1 = steady_difference(x, n, 1, spare);
    double d2 = n > 2 ? steady_difference(x, n, 2, spare) : d1;
    double rho = d1 > 0.0 ? (d2 / d1) * (d2 / d1) - 1.0 : 0.0;
    rho = fmin(fmax(rho, 0.0), 0.7); /* more than that is a drift, not noise */
    return d1 * sqrt((1.0 + rho) / 2.0) / (1.0 - rho);
}

/* Pulls values far from the median of the 7 around them back to 3 deviations: a lone
 * preempted run is no change of level, a change of level is not touched. */
static void steady_clean(struct steady_work *w)
{
    if (w->count < 7)
        return;
    double spread = steady_difference(w->level, w->count, 1, w->spare) / sqrt(2.0);
    for (size_t i = 0; i < w->count; i++) {
        size_t from = i < 3 ? 0 : i - 3;
        from = from + 7 > w->count ? w->count - 7 : from;
        double around[7];
        double middle = steady_median(w->level + from, 7, around);
        w->spare[i] =
            fmin(fmax(w->level[i], middle - 3.0 * spread), middle + 3.0 * spread);
    }
    memcpy(w->level, w->spare, w->count * sizeof(*w->level));
}

/* Sum of squared deviations from their mean of groups [from, to). */
static double steady_cost(const struct steady_work *w, size_t from, size_t to)
{
    double n = (double)(to - from), sum = w->sum[to] - w->sum[from];
    double cost = w->square[to] - w->square[from] - sum * sum / n;
    return cost > 0.0 ? cost : 0.0;
}

/* Optimal partitioning (Jackson et al. 2005; PELT of Killick et al. 2012 without its
 * pruning, which 512 points do not need): least squares plus a penalty for each segment
 * of 3 log n long-run variances (modified BIC, Zhang & Siegmund 2007). */
static void steady_segment(struct steady_work *w)
{
    size_t n = w->count, shortest = n >= 60 ? n / 20 : n >= 9 ? 3 : 2;
    double base = w->level[n - 1]; /* keeps the squares small */
    w->sum[0] = w->square[0] = 0.0;
    for (size_t i = 0; i < n; i++) {
        double x = w->level[i] - base;
        w->sum[i + 1] = w->sum[i] + x;
        w->square[i + 1] = w->square[i] + x * x;
    }
    double penalty = 3.0 * log((double)n) * w->noise * w->noise;
    w->cost[0] = -penalty;
    for (size_t to = 1; to <= n; to++) {
        w->cost[to] = INFINITY;
        w->cut[to] = 0;
        for (size_t from = 0; from + shortest <= to; from++) {
            double cost = w->cost[from] + steady_cost(w, from, to) + penalty;
            if (cost < w->cost[to]) {
                w->cost[to] = cost;
                w->cut[to] = from;
            }
        }
    }
}

/* Levels count as equal when they differ by less than what matters or what shows. */
static bool steady_equal(const struct steady_work *w, double a, size_t na, double b,
                         size_t nb)
{
    double error = w->noise * sqrt(1.0 / (double)na + 1.0 / (double)nb);
    return fabs(a - b) <= fmax(MLD_STEADY_LEVEL * b, MLD_STEADY_Z * error);
}

/* What the segments tell, read from the last to the first. */
struct steady_levels {
    size_t begin;   /* first group of the steady stretch; count: there is none */
    size_t changes; /* how often the series left its level */
    double level;   /* that of the second half */
    double other;   /* the other level seen last; NaN: none */
    size_t late;    /* groups since the series left its level for good; 0: it did not */
};

static struct steady_levels steady_judge_levels(const struct steady_work *w)
{
    size_t n = w->count, half = n / 2, stray = 0;
    struct steady_levels l = {.begin = n, .other = NAN};
    l.level = steady_median(w->level + half, n - half, w->spare);
    bool stray_after = false;
    for (size_t to = n; to > 0; to = w->cut[to]) {
        size_t from = w->cut[to];
        double level = steady_median(w->level + from, to - from, w->spare);
        bool equal = steady_equal(w, level, to - from, l.level, n - half);
        if (equal) {
            l.changes += stray_after;
            if ((double)stray <= MLD_STEADY_STRAY * (double)(n - from))
                l.begin = from;
        } else {
            stray += to - from;
            if (isnan(l.other))
                l.other = level;
            if (stray == n - from)
                l.late = stray;
        }
        stray_after = !equal;
    }
    return l;
}

/* Medians of the first, middle and last third of groups [from, count). */
struct steady_thirds {
    double first, middle, last;
    size_t size;
};

static struct steady_thirds steady_thirds_of(const struct steady_work *w, size_t from)
{
    size_t n = w->count - from, size = n / 3 > 0 ? n / 3 : 1;
    struct steady_thirds t = {.size = size};
    t.first = steady_median(w->level + from, size, w->spare);
    t.middle = steady_median(w->level + from + (n - size) / 2, size, w->spare);
    t.last = steady_median(w->level + w->count - size, size, w->spare);
    return t;
}

static void steady_say_drift(const struct steady_thirds *t, struct mld_steady *out)
{
    double share = 100.0 * (t->last - t->first) / t->first;
    snprintf(out->reason, sizeof(out->reason),
             "still getting %s: the last third of the runs is %.1f %% %s the first third",
             share > 0.0 ? "slower" : "faster", fabs(share),
             share > 0.0 ? "above" : "below");
}

/* Why there is no steady stretch that is long enough. */
static void steady_say_levels(const struct steady_work *w, struct steady_levels *l,
                              struct mld_steady *out)
{
    struct steady_thirds t = steady_thirds_of(w, 0);
    bool rising = t.first < t.middle && t.middle < t.last;
    bool falling = t.first > t.middle && t.middle > t.last;
    if ((rising || falling) && l->changes < 2 &&
        !steady_equal(w, t.first, t.size, t.last, t.size)) {
        steady_say_drift(&t, out);
    } else if (l->late > 0 && l->changes < 2 && !isnan(l->other)) {
        double share = 100.0 * (l->other - l->level) / l->level;
        snprintf(out->reason, sizeof(out->reason),
                 "the level changed late: the last %.0f %% of the runs are %.1f %% %s",
                 100.0 * (double)l->late / (double)w->count, fabs(share),
                 share > 0.0 ? "slower" : "faster");
    } else if (!isnan(l->other)) {
        snprintf(out->reason, sizeof(out->reason),
                 "jumps between levels of %.4g and %.4g ms", l->level * 1e-6,
                 l->other * 1e-6);
    } else {
        snprintf(out->reason, sizeof(out->reason),
                 "no level lasts for a quarter of the runs");
    }
}

static void steady_judge(struct steady_work *w, size_t n, struct mld_steady *out)
{
    steady_clean(w);
    w->noise = steady_noise(w->level, w->count, w->spare);
    double middle = steady_median(w->level, w->count, w->spare);
    /* Less noise than this is of no interest, and a clock's steps would look like
     * levels. */
    w->noise = fmax(w->noise, fmax(MLD_STEADY_LEVEL * middle / 10.0, 1.0));
    steady_segment(w);
    struct steady_levels l = steady_judge_levels(w);
    size_t steady = w->count - l.begin;
    if (l.begin == w->count || (double)steady < MLD_STEADY_SHARE * (double)w->count) {
        out->begin = n;
        steady_say_levels(w, &l, out);
        return;
    }
    out->begin = l.begin * w->group;
    struct steady_thirds t = steady_thirds_of(w, l.begin);
    out->steady = steady_equal(w, t.last, t.size, t.first, t.size);
    if (!out->steady)
        steady_say_drift(&t, out);
}

/* Medians of groups of w->group samples; the last group also takes the rest. */
static void steady_reduce(struct steady_work *w, const uint64_t *samples, size_t n,
                          uint64_t *scratch)
{
    for (size_t i = 0; i < w->count; i++) {
        size_t from = i * w->group, to = i + 1 < w->count ? from + w->group : n;
        memcpy(scratch, samples + from, (to - from) * sizeof(*samples));
        w->level[i] = mld_samples_median(scratch, to - from, scratch + (to - from));
    }
}

int mld_steady_detect(const uint64_t *samples_ns, size_t n, struct mld_steady *out,
                      struct mld_error *err)
{
    memset(out, 0, sizeof(*out));
    if (n < MLD_STEADY_MIN) {
        out->begin = n;
        snprintf(out->reason, sizeof(out->reason),
                 "only %zu run%s: too few to see a steady state", n, n == 1 ? "" : "s");
        return 0;
    }
    struct steady_work w = {.group = (n + MLD_STEADY_GROUPS - 1) / MLD_STEADY_GROUPS};
    w.count = n / w.group;
    size_t points = w.count + 1, last = n - (w.count - 1) * w.group;
    /* Five arrays of doubles, one of indices, twice the largest group. */
    char *memory = mld_alloc(points * (5 * sizeof(double) + sizeof(size_t)) +
                             2 * last * sizeof(uint64_t));
    if (!memory)
        return mld_error_set(err, MLD_E_NO_MEMORY, "no memory to segment %zu samples", n);
    double *numbers = (double *)(void *)memory;
    w.level = numbers;
    w.spare = numbers + points;
    w.sum = numbers + 2 * points;
    w.square = numbers + 3 * points;
    w.cost = numbers + 4 * points;
    w.cut = (size_t *)(void *)(numbers + 5 * points);
    uint64_t *scratch = (uint64_t *)(void *)(w.cut + points);
    steady_reduce(&w, samples_ns, n, scratch);
    steady_judge(&w, n, out);
    mld_free(memory);
    return 0;
}
