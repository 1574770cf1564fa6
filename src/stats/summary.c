/* summary.c: one pass over the samples for the moments, one sort for the percentiles,
 * and intervals that stay honest when neighbouring samples resemble each other. */
#include "stats/summary.h"

#include "base/alloc.h"
#include "stats/interval.h"
#include "stats/samples_sort.h"

#include <math.h>
#include <string.h>

static const double summary_quantiles[MLD_PERCENTILE_COUNT] = {
    [MLD_P50] = 0.50, [MLD_P90] = 0.90, [MLD_P95] = 0.95,
    [MLD_P97] = 0.97, [MLD_P99] = 0.99, [MLD_P999] = 0.999,
};

double mld_quantile_sorted(const double *sorted, size_t n, double q)
{
    if (n == 0)
        return NAN;
    double h = (double)(n - 1) * (q < 0.0 ? 0.0 : q > 1.0 ? 1.0 : q);
    size_t i = (size_t)h;
    if (i + 1 >= n)
        return sorted[n - 1];
    return sorted[i] + (h - (double)i) * (sorted[i + 1] - sorted[i]);
}

/* Value at a fractional 1-based rank of a set of which only the ranks are ordered. */
static double summary_at_rank(const double *sorted, size_t n, double rank)
{
    if (rank <= 1.0)
        return sorted[0];
    return mld_quantile_sorted(sorted, n, (rank - 1.0) / (double)(n > 1 ? n - 1 : 1));
}

/* Below this count an autocorrelation time cannot be estimated: the correction is made
 * only where the lag-1 autocorrelation alone is significant (one-sided 5 %). */
#define MLD_CORRELATION_MIN 20

/* Effective count for quantile q: that of the series "was this sample below the
 * quantile", whose mean is what the binomial argument is about. Far in the tail that
 * series is nearly constant and says nothing, so the level is kept where at least 20
 * samples lie beyond. */
static double summary_effective_count(const uint64_t *samples, const double *sorted,
                                      size_t n, double q, double *scratch)
{
    double room = fmin(0.5, 20.0 / (double)n);
    double level = mld_quantile_sorted(sorted, n, fmin(fmax(q, room), 1.0 - room));
    for (size_t i = 0; i < n; i++) {
        double x = (double)samples[i];
        scratch[i] = x < level ? 1.0 : x > level ? 0.0 : 0.5;
    }
    if (n < MLD_CORRELATION_MIN &&
        mld_autocorrelation(scratch, n, 1) < 1.645 / sqrt((double)n))
        return (double)n;
    return mld_effective_count(scratch, n);
}

static void summary_percentile(const uint64_t *samples, const double *sorted, size_t n,
                               double q, double *scratch, struct mld_percentile *out)
{
    out->q = q;
    out->needed = mld_percentile_needed(q);
    out->value = out->low = out->high = NAN;
    out->known = (int64_t)n >= out->needed;
    if (!out->known)
        return;
    double m = floor(summary_effective_count(samples, sorted, n, q, scratch));
    double low, high, stretch = (double)(n + 1) / (m + 1.0);
    mld_quantile_ranks(m, q, MLD_CONFIDENCE, &low, &high);
    out->value = mld_quantile_sorted(sorted, n, q);
    if (!isnan(low))
        out->low = fmin(out->value, summary_at_rank(sorted, n, low * stretch));
    if (!isnan(high))
        out->high = fmax(out->value, summary_at_rank(sorted, n, high * stretch));
}

/* Interval of the mean by non-overlapping batch means (Conway 1963; Law & Carson 1979):
 * sqrt(n) batches, at least 10 and at most 30, whose means are as good as independent
 * once a batch is longer than the correlation; then Student's t. */
static void summary_mean_interval(const uint64_t *samples, size_t n,
                                  struct mld_summary *out)
{
    out->mean_low = out->mean_high = NAN;
    if (n < 2)
        return;
    size_t batch = (size_t)((double)n / fmin(fmax(sqrt((double)n), 10.0), 30.0));
    batch = batch > 0 ? batch : 1;
    size_t count = n / batch;
    double mean = 0.0, square = 0.0; /* of the batch means (Welford 1962) */
    for (size_t b = 0; b < count; b++) {
        double sum = 0.0;
        for (size_t i = b * batch; i < (b + 1) * batch; i++)
            sum += (double)samples[i];
        double x = sum / (double)batch, delta = x - mean;
        mean += delta / (double)(b + 1);
        square += delta * (x - mean);
    }
    double error = sqrt(square / (double)(count - 1) / (double)count);
    double t = mld_student_t(0.5 + MLD_CONFIDENCE / 2.0, (double)(count - 1));
    out->mean_low = out->mean - t * error;
    out->mean_high = out->mean + t * error;
}

static void summary_moments(const uint64_t *samples, size_t n, struct mld_summary *out)
{
    double mean = 0.0, square = 0.0;
    for (size_t i = 0; i < n; i++) {
        double x = (double)samples[i], delta = x - mean;
        mean += delta / (double)(i + 1);
        square += delta * (x - mean);
    }
    out->count = (int64_t)n;
    out->mean = mean;
    out->stddev = n > 1 ? sqrt(square / (double)(n - 1)) : NAN;
}

/* One allocation, freed through keys: the sorted samples as integers and as doubles, and
 * n values of scratch. */
struct summary_work {
    uint64_t *keys;
    double *sorted, *scratch;
};

static int summary_sort(const uint64_t *samples_ns, size_t n, struct summary_work *w,
                        struct mld_error *err)
{
    if (n == 0)
        return mld_error_set(err, MLD_E_INVALID, "cannot summarise 0 samples");
    size_t bytes;
    w->keys = mld_mul_size(n, 3 * sizeof(uint64_t), &bytes) ? mld_alloc(bytes) : NULL;
    if (!w->keys)
        return mld_error_set(err, MLD_E_NO_MEMORY, "no memory to sort %zu samples", n);
    w->sorted = (double *)(void *)(w->keys + n);
    w->scratch = (double *)(void *)(w->keys + 2 * n);
    memcpy(w->keys, samples_ns, n * sizeof(*w->keys));
    mld_samples_sort(w->keys, n, (uint64_t *)(void *)w->scratch);
    for (size_t i = 0; i < n; i++)
        w->sorted[i] = (double)w->keys[i];
    return 0;
}

int mld_summarize_median(const uint64_t *samples_ns, size_t n, struct mld_percentile *out,
                         struct mld_error *err)
{
    struct summary_work w;
    MLD_TRY(summary_sort(samples_ns, n, &w, err));
    summary_percentile(samples_ns, w.sorted, n, 0.5, w.scratch, out);
    mld_free(w.keys);
    return 0;
}

int mld_summarize(const uint64_t *samples_ns, size_t n, struct mld_summary *out,
                  struct mld_error *err)
{
    struct summary_work w;
    memset(out, 0, sizeof(*out));
    MLD_TRY(summary_sort(samples_ns, n, &w, err));
    summary_moments(samples_ns, n, out);
    out->min = w.sorted[0];
    out->max = w.sorted[n - 1];
    summary_mean_interval(samples_ns, n, out);
    for (size_t i = 0; i < n; i++)
        w.scratch[i] = (double)samples_ns[i];
    out->autocorrelation = mld_autocorrelation(w.scratch, n, 1);
    out->effective_count =
        summary_effective_count(samples_ns, w.sorted, n, 0.5, w.scratch);
    for (int k = 0; k < MLD_PERCENTILE_COUNT; k++)
        summary_percentile(samples_ns, w.sorted, n, summary_quantiles[k], w.scratch,
                           &out->p[k]);

    /* The median absolute deviation reorders the keys: last. */
    double median = mld_quantile_sorted(w.sorted, n, 0.5);
    for (size_t i = 0; i < n; i++)
        w.keys[i] = (uint64_t)llround(fabs(w.sorted[i] - median));
    out->mad = mld_samples_median(w.keys, n, (uint64_t *)(void *)w.scratch);
    mld_free(w.keys);
    return 0;
}
