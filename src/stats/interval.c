/* interval.c: order-statistic ranks from the binomial distribution, Student's t through
 * the incomplete beta function, and effective sample size. No allocation, no state. */
#include "stats/interval.h"

#include <math.h>

/* LoadGen's early-stopping confidence is 99 %: q^n <= 1 - 0.99. */
#define MLD_EARLY_STOPPING_RISK 0.01

int64_t mld_percentile_needed(double q)
{
    if (!(q > 0.0 && q < 1.0))
        return INT64_MAX;
    /* Subtracting a hair keeps an exact integer ratio from being rounded one up. */
    return (int64_t)ceil(log(MLD_EARLY_STOPPING_RISK) / log(q) - 1e-9);
}

/* Continued fraction of the incomplete beta function by the modified Lentz method
 * (DLMF 8.17.22); converges in O(sqrt(max(a, b))) steps for x < (a + 1) / (a + b + 2). */
static double interval_beta_fraction(double a, double b, double x)
{
    const double tiny = 1e-300;
    double c = 1.0, d = 1.0 - (a + b) * x / (a + 1.0);
    d = 1.0 / (fabs(d) < tiny ? tiny : d);
    double h = d;
    for (int m = 1; m <= 20000; m++) {
        double even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
        d = 1.0 + even * d;
        c = 1.0 + even / c;
        d = 1.0 / (fabs(d) < tiny ? tiny : d);
        c = fabs(c) < tiny ? tiny : c;
        h *= d * c;
        double odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
        d = 1.0 + odd * d;
        c = 1.0 + odd / c;
        d = 1.0 / (fabs(d) < tiny ? tiny : d);
        c = fabs(c) < tiny ? tiny : c;
        h *= d * c;
        if (fabs(d * c - 1.0) < 1e-14)
            break;
    }
    return h;
}

double mld_incomplete_beta(double a, double b, double x)
{
    if (x <= 0.0)
        return 0.0;
    if (x >= 1.0)
        return 1.0;
    double front =
        exp(lgamma(a + b) - lgamma(a) - lgamma(b) + a * log(x) + b * log1p(-x));
    if (x < (a + 1.0) / (a + b + 2.0))
        return front * interval_beta_fraction(a, b, x) / a;
    return 1.0 - front * interval_beta_fraction(b, a, 1.0 - x) / b;
}

/* P(true quantile q <= r-th smallest of n) = P(Binomial(n, q) <= r - 1). */
static double interval_cover_below(double n, double q, double r)
{
    if (r < 1.0)
        return 0.0;
    if (r > n)
        return 1.0;
    return mld_incomplete_beta(n - r + 1.0, r, 1.0 - q);
}

/* Fractional rank that is an upper limit of quantile q with one-sided confidence beta.
 * With pi_r <= beta < pi_{r+1}, Nyblom's weight of X(r+1) is
 *   1 / (1 + r (1 - q) (pi_{r+1} - beta) / ((n - r) q (beta - pi_r))),
 * which for q = 1/2 is Hettmansperger and Sheather's. */
static double interval_upper_rank(double n, double q, double beta)
{
    if (interval_cover_below(n, q, n) < beta)
        return NAN;
    double a = 0.0, b = n; /* cover(a) < beta <= cover(b) */
    while (b - a > 1.5) {
        double mid = floor((a + b) / 2.0);
        if (interval_cover_below(n, q, mid) < beta)
            a = mid;
        else
            b = mid;
    }
    double below = interval_cover_below(n, q, a), above = interval_cover_below(n, q, b);
    if (a < 1.0 || above <= beta)
        return b;
    double odds = a * (1.0 - q) * (above - beta) / ((n - a) * q * (beta - below));
    return beta <= below ? a : a + 1.0 / (1.0 + odds);
}

void mld_quantile_ranks(double n, double q, double confidence, double *low, double *high)
{
    double beta = 0.5 + confidence / 2.0;
    *low = *high = NAN;
    n = floor(n);
    if (!(n >= 1.0) || !(q > 0.0 && q < 1.0))
        return;
    *high = interval_upper_rank(n, q, beta);
    /* The lower limit is the upper limit of the mirrored sample -x, quantile 1 - q. */
    *low = n + 1.0 - interval_upper_rank(n, 1.0 - q, beta);
}

double mld_student_t(double p, double df)
{
    if (p == 0.5)
        return 0.0;
    bool upper = p > 0.5;
    double tail =
        upper ? 1.0 - p : p; /* P(T > t) = I_{df / (df + t^2)}(df / 2, 1/2) / 2 */
    double a = 0.0, b = 1.0;
    for (int i = 0; i < 200; i++) {
        double mid = 0.5 * (a + b);
        if (0.5 * mld_incomplete_beta(df / 2.0, 0.5, mid) < tail)
            a = mid;
        else
            b = mid;
    }
    double x = 0.5 * (a + b);
    double t = sqrt(df * (1.0 - x) / x);
    return upper ? t : -t;
}

/* Sum over i of (x_i - mean)(x_{i+lag} - mean), divided by n. */
static double interval_autocovariance(const double *x, size_t n, size_t lag, double mean)
{
    double sum = 0.0;
    for (size_t i = 0; i + lag < n; i++)
        sum += (x[i] - mean) * (x[i + lag] - mean);
    return sum / (double)n;
}

static double interval_mean(const double *x, size_t n)
{
    double sum = 0.0;
    for (size_t i = 0; i < n; i++)
        sum += x[i];
    return n > 0 ? sum / (double)n : 0.0;
}

double mld_autocorrelation(const double *x, size_t n, size_t lag)
{
    double mean = interval_mean(x, n);
    double variance = interval_autocovariance(x, n, 0, mean);
    if (n <= lag || variance <= 0.0)
        return 0.0;
    return interval_autocovariance(x, n, lag, mean) / variance;
}

/* Integrated autocorrelation time: 1 + 2 * sum of autocorrelations, cut where the sum of
 * a pair of neighbours is no longer positive (in theory it always is for a reversible
 * process) and kept from rising again. */
static double interval_tau(const double *x, size_t n)
{
    double mean = interval_mean(x, n);
    double variance = interval_autocovariance(x, n, 0, mean);
    if (n < 4 || variance <= 0.0)
        return 1.0;
    double sum = 0.0, last = INFINITY;
    for (size_t k = 0; k + 1 < n / 2; k += 2) {
        double pair = (interval_autocovariance(x, n, k, mean) +
                       interval_autocovariance(x, n, k + 1, mean)) /
                      variance;
        if (pair <= 0.0)
            break;
        last = pair < last ? pair : last;
        sum += last;
    }
    return 2.0 * sum - 1.0;
}

#define MLD_TAU_POINTS 4096

double mld_effective_count(double *x, size_t n)
{
    double mean = interval_mean(x, n);
    double variance = interval_autocovariance(x, n, 0, mean);
    if (n < 4 || variance <= 0.0)
        return (double)n;
    /* Groups of g: Var(mean of group) = variance / g for independent samples; what it is
     * more is correlation within groups, and tau of the group means is the rest. */
    size_t g = (n + MLD_TAU_POINTS - 1) / MLD_TAU_POINTS;
    size_t points = n / g;
    double within = 1.0;
    if (g > 1) {
        for (size_t i = 0; i < points; i++)
            x[i] = interval_mean(x + i * g, g);
        double group_mean = interval_mean(x, points);
        double group_variance = interval_autocovariance(x, points, 0, group_mean);
        within = group_variance * (double)g / variance;
    }
    double tau = within * fmax(interval_tau(x, points), 1.0);
    return tau > 1.0 ? (double)n / tau : (double)n;
}
