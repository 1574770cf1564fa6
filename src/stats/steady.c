/* steady.c: where a series of run times becomes steady, and whether it is.
 *
 * The series is reduced to at most 512 group medians, cut into segments of equal level by
 * optimal partitioning, and each level is compared with that of most of the second half.
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
#define MLD_STEADY_DRIFT  0.02 /* from third to third: 3 % from one end to the other */
#define MLD_STEADY_FEW    64   /* so few values are also judged by their order */
#define MLD_STEADY_KINDS  30   /* so many values show two kinds of runs */
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
 * count. Neighbours may be correlated, and then the noise of a long stretch's mean is
 * more than that of one value tells. Two estimates of the long-run deviation, the larger
 * counts:
 * - d1, d2 the differences at lags 1 and 2: rho = d2^2 / d1^2 - 1 for a first-order
 *   autoregression (Chakar et al. 2017), and d1^2 (1 + rho) / (2 (1 - rho)^2);
 * - the differences of neighbouring means of blocks of sqrt(n) / 4 values, at least 3,
 *   times the root of the block's length, whatever the form of the correlation. */
static double steady_noise(const double *x, size_t n, double *spare)
{
    double d1 = steady_difference(x, n, 1, spare);
    double d2 = n > 2 ? steady_difference(x, n, 2, spare) : d1;
    double rho = d1 > 0.0 ? (d2 / d1) * (d2 / d1) - 1.0 : 0.0;
    rho = fmin(fmax(rho, 0.0), 0.7); /* more than that is a drift, not noise */
    double noise = d1 * sqrt((1.0 + rho) / 2.0) / (1.0 - rho);
    size_t block = (size_t)fmax(sqrt((double)n) / 4.0, 3.0), count = n / block;
    if (count < 8)
        return noise;
    double *means = spare, *differences = spare + count; /* both fit in n values */
    for (size_t i = 0; i < count; i++) {
        means[i] = 0.0;
        for (size_t k = 0; k < block; k++)
            means[i] += x[i * block + k] / (double)block;
    }
    double blocks = steady_difference(means, count, 1, differences);
    return fmax(noise, blocks * sqrt((double)block / 2.0));
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
                         size_t nb, double share)
{
    double error = w->noise * sqrt(1.0 / (double)na + 1.0 / (double)nb);
    return fabs(a - b) <= fmax(share * b, MLD_STEADY_Z * error);
}

/* What the segments tell, read from the last to the first. */
struct steady_levels {
    size_t begin;     /* first group of the steady stretch; count: there is none */
    size_t reversals; /* how often a step up followed one down, or the other way */
    double level;     /* of most of the second half */
    double low, high; /* the lowest and highest segment */
    double last;      /* the last segment */
    size_t late;      /* groups since the series left its level for good; 0: it did not */
};

static bool steady_equal_levels(const struct steady_work *w, double a, size_t na,
                                double b, size_t nb)
{
    return steady_equal(w, a, na, b, nb, MLD_STEADY_LEVEL);
}

/* The segment that holds most of the second half: [*from, *to). */
static void steady_main_segment(const struct steady_work *w, size_t *from, size_t *to)
{
    size_t half = w->count / 2, most = 0;
    for (size_t end = w->count; end > half; end = w->cut[end]) {
        size_t begin = w->cut[end] > half ? w->cut[end] : half;
        if (end - begin > most) {
            most = end - begin;
            *from = w->cut[end];
            *to = end;
        }
    }
}

static struct steady_levels steady_judge_levels(const struct steady_work *w)
{
    size_t n = w->count, main_from = 0, main_to = n, stray = 0, after_size = 0;
    struct steady_levels l = {.begin = n, .low = INFINITY};
    steady_main_segment(w, &main_from, &main_to);
    const size_t main_size = main_to - main_from;
    l.level = steady_median(w->level + main_from, main_size, w->spare);
    double after = 0.0;
    int direction = 0; /* of the last step that showed */
    for (size_t to = n; to > 0; to = w->cut[to]) {
        size_t from = w->cut[to];
        double level = steady_median(w->level + from, to - from, w->spare);
        if (!steady_equal_levels(w, level, to - from, l.level, main_size)) {
            stray += to - from;
            l.late = stray == n - from ? stray : l.late;
        } else if ((double)stray <= MLD_STEADY_STRAY * (double)(n - from)) {
            l.begin = from;
        }
        if (to < n && !steady_equal_levels(w, level, to - from, after, after_size)) {
            int step = after > level ? 1 : -1;
            l.reversals += direction != 0 && step != direction;
            direction = step;
        }
        l.low = fmin(l.low, level);
        l.high = fmax(l.high, level);
        l.last = to == n ? level : l.last;
        after = level;
        after_size = to - from;
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

/* Kendall's S of groups [from, count) in standard deviations (Mann 1945): a trend shows
 * in the order of a few values long before it does in their size. */
static double steady_kendall(const struct steady_work *w, size_t from)
{
    double n = (double)(w->count - from), s = 0.0;
    for (size_t i = from; i < w->count; i++)
        for (size_t k = i + 1; k < w->count; k++)
            s += (w->level[k] > w->level[i]) - (w->level[k] < w->level[i]);
    return s / sqrt(n * (n - 1.0) * (2.0 * n + 5.0) / 18.0);
}

/* Whether the stretch from `from` on still moves. */
static bool steady_drifts(const struct steady_work *w, size_t from,
                          const struct steady_thirds *t)
{
    if (fabs(t->last - t->first) <= MLD_STEADY_DRIFT * t->first)
        return false;
    if (w->count - from <= MLD_STEADY_FEW && fabs(steady_kendall(w, from)) > MLD_STEADY_Z)
        return true;
    return !steady_equal(w, t->last, t->size, t->first, t->size, MLD_STEADY_DRIFT);
}

static void steady_say_drift(const struct steady_thirds *t, struct mld_steady *out)
{
    double share = 100.0 * (t->last - t->first) / t->first;
    snprintf(out->reason, sizeof(out->reason),
             "still getting %s: the last third of the runs is %.1f %% %s the first third",
             share > 0.0 ? "slower" : "faster", fabs(share),
             share > 0.0 ? "above" : "below");
}

/* Whether the whole series is one drift, which passes through the middle; a step lies on
 * one side of it, and an alternation turns back. */
static bool steady_all_drifts(const struct steady_work *w, const struct steady_levels *l,
                              const struct steady_thirds *t)
{
    double whole = t->last - t->first, part = t->middle - t->first;
    return l->reversals < 2 && part * whole > 0.0 && fabs(part) > 0.15 * fabs(whole) &&
           fabs(part) < 0.85 * fabs(whole) && steady_drifts(w, 0, t);
}

/* Why there is no steady stretch that is long enough. */
static void steady_say_levels(const struct steady_work *w, const struct steady_levels *l,
                              const struct steady_thirds *t, size_t n,
                              struct mld_steady *out)
{
    double share = 100.0 * (l->last - l->level) / l->level;
    if (steady_all_drifts(w, l, t))
        steady_say_drift(t, out);
    else if (l->reversals < 2 && l->late > 0 && l->late <= w->count / 2)
        snprintf(out->reason, sizeof(out->reason),
                 "the level changed late: the last %.0f %% of the runs are %.1f %% %s",
                 100.0 * (double)l->late / (double)w->count, fabs(share),
                 share > 0.0 ? "slower" : "faster");
    else if (l->high > l->low * (1.0 + MLD_STEADY_LEVEL))
        snprintf(out->reason, sizeof(out->reason),
                 "jumps between levels of %.4g and %.4g ms", l->low * 1e-6,
                 l->high * 1e-6);
    else
        snprintf(out->reason, sizeof(out->reason),
                 "too much scatter for %zu runs: no level shows", n);
}

/* Two kinds of runs, mixed: the largest gap among the middle third of the sorted samples
 * is most of what lies between 20 % and 80 % of them. Then the median stands for neither
 * kind, and a little more of one moves it far. x is sorted. */
static bool steady_two_kinds(const uint64_t *x, size_t n, struct mld_steady *out)
{
    size_t gap_at = n / 3;
    double gap = 0.0, range = (double)(x[n - 1 - n / 5] - x[n / 5]);
    for (size_t i = n / 3; i < n - n / 3; i++) {
        double d = (double)(x[i + 1] - x[i]);
        gap_at = d > gap ? i : gap_at;
        gap = fmax(gap, d);
    }
    if (n < MLD_STEADY_KINDS || gap <= 0.5 * range ||
        gap <= MLD_STEADY_LEVEL * (double)x[n / 2])
        return false;
    snprintf(out->reason, sizeof(out->reason),
             "two kinds of runs: %.0f %% of about %.4g ms, the others of about %.4g ms",
             100.0 * (double)(gap_at + 1) / (double)n, (double)x[gap_at / 2] * 1e-6,
             (double)x[gap_at + 1 + (n - gap_at - 1) / 2] * 1e-6);
    return true;
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
    const struct steady_levels l = steady_judge_levels(w);
    const struct steady_thirds all = steady_thirds_of(w, 0);
    const size_t left = w->count - l.begin;
    if (l.begin == w->count || (double)left < MLD_STEADY_SHARE * (double)w->count) {
        out->begin = n;
        steady_say_levels(w, &l, &all, n, out);
        return;
    }
    out->begin = l.begin * w->group;
    /* The end of a long drift is flat enough, taken alone. */
    if (l.begin > w->count / 2 && steady_all_drifts(w, &l, &all)) {
        steady_say_drift(&all, out);
        return;
    }
    const struct steady_thirds rest = steady_thirds_of(w, l.begin);
    out->steady = !steady_drifts(w, l.begin, &rest);
    if (!out->steady)
        steady_say_drift(&rest, out);
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
    const size_t points = w.count + 1;
    /* Five arrays of doubles, one of indices, and the samples twice for sorting. */
    char *memory = mld_alloc(points * (5 * sizeof(double) + sizeof(size_t)) +
                             2 * n * sizeof(uint64_t));
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
    if (out->steady) {
        const size_t rest = n - out->begin;
        memcpy(scratch, samples_ns + out->begin, rest * sizeof(*scratch));
        mld_samples_sort(scratch, rest, scratch + rest);
        out->steady = !steady_two_kinds(scratch, rest, out);
    }
    mld_free(memory);
    return 0;
}
