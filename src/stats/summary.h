/* summary.h: what a set of samples says: mean, percentiles with intervals, steady state.
 *
 * Pure functions over nanosecond samples; no I/O, no clock. Sources of every rule stand
 * beside it and in docs/method.md. */
#ifndef MLD_STATS_SUMMARY_H
#define MLD_STATS_SUMMARY_H

#include "mldyno/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A percentile with its 95 % order-statistic interval. known is false where the sample
 * count does not support it: value, low, high are NaN then, and `needed` is the count
 * that would do. low or high alone is NaN where samples resemble their neighbours so much
 * that there are too few independent ones for that limit. */
struct mld_percentile {
    double q; /* 0.5 */
    bool known;
    double value, low, high; /* ns */
    int64_t needed;
};
enum { MLD_P50, MLD_P90, MLD_P95, MLD_P97, MLD_P99, MLD_P999, MLD_PERCENTILE_COUNT };

struct mld_summary {
    int64_t count;
    double mean, mean_low, mean_high; /* ns; interval by the batch-means method */
    double min, max, stddev, mad;     /* mad: median absolute deviation */
    double autocorrelation;           /* lag 1 */
    double effective_count;           /* samples corrected for autocorrelation */
    struct mld_percentile p[MLD_PERCENTILE_COUNT];
};

/* Summary of n samples; scratch memory is allocated and freed inside. */
int mld_summarize(const uint64_t *samples_ns, size_t n, struct mld_summary *out,
                  struct mld_error *err) MLD_MUST_CHECK;

/* The median alone, with its interval: what the stop rule asks again and again. */
int mld_summarize_median(const uint64_t *samples_ns, size_t n, struct mld_percentile *out,
                         struct mld_error *err) MLD_MUST_CHECK;

/* Steady state of a series: where it begins and whether it holds. */
struct mld_steady {
    bool steady;
    size_t begin; /* first steady sample: those before are warm-up; n: there is none */
    char reason[160]; /* not steady: why, in words for a person */
};
int mld_steady_detect(const uint64_t *samples_ns, size_t n, struct mld_steady *out,
                      struct mld_error *err) MLD_MUST_CHECK;

/* Quantile q of sorted samples (type 7 of Hyndman & Fan 1996). */
double mld_quantile_sorted(const double *sorted, size_t n, double q);

#endif
