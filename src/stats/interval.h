/* interval.h: the arithmetic under the summary: order-statistic ranks, Student's t,
 * effective sample size. Pure functions; derivations in docs/method.md. */
#ifndef MLD_STATS_INTERVAL_H
#define MLD_STATS_INTERVAL_H

#include "mldyno/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Every interval that mldyno prints. */
#define MLD_CONFIDENCE 0.95

/* Smallest sample count from which percentile q (0 < q < 1) is printed: the smallest n
 * with q^n <= 0.01, i.e. the chance that all n samples lie below the true percentile is
 * at most 1 %. This is MLPerf LoadGen's early-stopping bound with no sample over the
 * limit, tolerance 0 and 99 % confidence: p50 7, p90 44, p95 90, p97 152, p99 459, p99.9
 * 4603. */
int64_t mld_percentile_needed(double q);

/* Ranks (1-based, fractional: between order statistics k and k+1 the position is linear)
 * whose interval holds the true quantile q with the given confidence, equal tails, for n
 * independent samples of any continuous distribution: exact binomial order-statistic
 * limits, interpolated after Hettmansperger & Sheather 1986 and Nyblom 1992 so that the
 * coverage is the nominal one instead of the next larger step. *low is NaN where even the
 * smallest sample is not surely below, *high where even the largest is not surely above.
 * A fractional n (an effective count) is rounded down. */
void mld_quantile_ranks(double n, double q, double confidence, double *low, double *high);

/* Regularised incomplete beta function I_x(a, b), a, b > 0. */
double mld_incomplete_beta(double a, double b, double x);

/* Quantile p of Student's t distribution with df degrees of freedom. */
double mld_student_t(double p, double df);

/* How many independent samples n serially correlated ones are worth for estimating the
 * mean of x: n / tau, tau the integrated autocorrelation time by Geyer's (1992) initial
 * monotone positive sequence; never more than n. Series longer than 4096 are averaged in
 * groups first. x is overwritten. */
double mld_effective_count(double *x, size_t n);

/* Lag-k autocorrelation of n values; 0 for a constant series. */
double mld_autocorrelation(const double *x, size_t n, size_t lag);

#endif
