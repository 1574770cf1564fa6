/* test_stats_summary.c: moments, percentiles and their intervals. */
#include "kit/kit.h"

#include "stats/interval.h"
#include "stats/samples_sort.h"
#include "stats/summary.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t state = 7;

static uint64_t bits(void)
{
    uint64_t z = (state += 0x9E3779B97F4A7C15u);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

static double normal(void)
{
    double u = ((double)(bits() >> 11) + 0.5) / 9007199254740992.0;
    double v = ((double)(bits() >> 11) + 0.5) / 9007199254740992.0;
    return sqrt(-2.0 * log(u)) * cos(6.283185307179586 * v);
}

/* Numbers of numpy.quantile(..., method="linear"), which is type 7. */
MLD_TEST(summary__quantiles_are_type_7)
{
    const double x[] = {1, 2, 4, 8, 16};
    KIT_NEAR(mld_quantile_sorted(x, 5, 0.0), 1.0, 0.0);
    KIT_NEAR(mld_quantile_sorted(x, 5, 0.25), 2.0, 0.0);
    KIT_NEAR(mld_quantile_sorted(x, 5, 0.4), 3.2, 1e-12);
    KIT_NEAR(mld_quantile_sorted(x, 5, 0.5), 4.0, 0.0);
    KIT_NEAR(mld_quantile_sorted(x, 5, 0.9), 12.8, 1e-12);
    KIT_NEAR(mld_quantile_sorted(x, 5, 1.0), 16.0, 0.0);
    KIT_NEAR(mld_quantile_sorted(x, 4, 0.5), 3.0, 0.0);
    KIT_NEAR(mld_quantile_sorted(x, 1, 0.7), 1.0, 0.0);
    KIT_CHECK(isnan(mld_quantile_sorted(x, 0, 0.5)));
}

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

MLD_TEST(summary__sorts_like_qsort)
{
    static uint64_t x[5000], y[5000], scratch[5000];
    for (size_t n = 0; n <= 5000; n = n < 70 ? n + 1 : n * 2 + 1) {
        for (unsigned shift = 0; shift < 64; shift += 9) {
            for (size_t i = 0; i < n; i++)
                x[i] = y[i] = bits() >> shift;
            mld_samples_sort(x, n, scratch);
            qsort(y, n, sizeof(*y), compare);
            KIT_EQ_MEM(x, y, n * sizeof(*x));
        }
    }
}

MLD_TEST(summary__of_ten_samples)
{
    const uint64_t x[] = {10, 20, 30, 40, 50, 60, 70, 80, 90, 100};
    struct mld_summary s;
    KIT_OK(mld_summarize(x, 10, &s, &kit_err));
    KIT_EQ_INT(s.count, 10);
    KIT_NEAR(s.mean, 55.0, 1e-12);
    KIT_NEAR(s.stddev, 30.276503540974915, 1e-12);
    KIT_NEAR(s.min, 10.0, 0.0);
    KIT_NEAR(s.max, 100.0, 0.0);
    KIT_NEAR(s.mad, 25.0, 0.0);
    KIT_CHECK(s.p[MLD_P50].known);
    KIT_NEAR(s.p[MLD_P50].value, 55.0, 0.0);
    KIT_NEAR(s.p[MLD_P50].q, 0.5, 0.0);
    KIT_CHECK(!s.p[MLD_P90].known && isnan(s.p[MLD_P90].value));
    KIT_EQ_INT(s.p[MLD_P90].needed, 44);
    KIT_EQ_INT(s.p[MLD_P99].needed, 459);
}

MLD_TEST(summary__of_one_and_of_none)
{
    const uint64_t x[] = {42, 44};
    struct mld_summary s;
    KIT_FAILS(mld_summarize(x, 0, &s, &kit_err), MLD_E_INVALID);
    KIT_OK(mld_summarize(x, 1, &s, &kit_err));
    KIT_NEAR(s.mean, 42.0, 0.0);
    KIT_CHECK(isnan(s.stddev) && isnan(s.mean_low) && !s.p[MLD_P50].known);
    KIT_OK(mld_summarize(x, 2, &s, &kit_err));
    KIT_NEAR(s.mean, 43.0, 0.0);
    KIT_CHECK(s.mean_low < 42.0 && s.mean_high > 44.0); /* t with one degree: wide */
}

MLD_TEST(summary__of_equal_samples)
{
    uint64_t x[600];
    struct mld_summary s;
    for (size_t i = 0; i < 600; i++)
        x[i] = 1234567;
    KIT_OK(mld_summarize(x, 600, &s, &kit_err));
    KIT_NEAR(s.stddev, 0.0, 0.0);
    KIT_NEAR(s.mean_low, 1234567.0, 0.0);
    KIT_NEAR(s.effective_count, 600.0, 0.0);
    KIT_NEAR(s.p[MLD_P99].low, 1234567.0, 0.0);
    KIT_NEAR(s.p[MLD_P99].high, 1234567.0, 0.0);
}

/* Hours in nanoseconds: no sum of squares may lose the small differences. */
MLD_TEST(summary__keeps_small_differences_of_large_samples)
{
    uint64_t x[1000];
    struct mld_summary s;
    for (size_t i = 0; i < 1000; i++)
        x[i] = 36000000000000u + i % 2;
    KIT_OK(mld_summarize(x, 1000, &s, &kit_err));
    KIT_NEAR(s.mean, 36000000000000.5, 1e-3);
    KIT_NEAR(s.stddev, 0.50025, 1e-3);
}

MLD_TEST(summary__percentiles_from_their_counts_on)
{
    static const struct {
        int percentile;
        size_t count;
    } rows[] = {{MLD_P50, 7},   {MLD_P90, 44},  {MLD_P95, 90},
                {MLD_P97, 152}, {MLD_P99, 459}, {MLD_P999, 4603}};
    static uint64_t x[4603];
    struct mld_summary s;
    for (size_t i = 0; i < 4603; i++)
        x[i] = 1000000 + bits() % 1000;
    for (size_t k = 0; k < sizeof(rows) / sizeof(*rows); k++) {
        const struct mld_percentile *p = &s.p[rows[k].percentile];
        KIT_OK(mld_summarize(x, rows[k].count - 1, &s, &kit_err));
        KIT_CHECK(!p->known && isnan(p->value) && isnan(p->low) && isnan(p->high));
        KIT_EQ_INT(p->needed, rows[k].count);
        KIT_OK(mld_summarize(x, rows[k].count, &s, &kit_err));
        KIT_CHECK(p->known && p->value >= s.min && p->value <= s.max);
        KIT_CHECK(!(p->low > p->value) && !(p->high < p->value));
    }
}

MLD_TEST(summary__median_alone_is_the_summary_s)
{
    uint64_t x[300];
    struct mld_summary s;
    struct mld_percentile p;
    for (size_t i = 0; i < 300; i++)
        x[i] = bits() % 100000;
    KIT_OK(mld_summarize(x, 300, &s, &kit_err));
    KIT_OK(mld_summarize_median(x, 300, &p, &kit_err));
    KIT_NEAR(p.value, s.p[MLD_P50].value, 0.0);
    KIT_NEAR(p.low, s.p[MLD_P50].low, 0.0);
    KIT_NEAR(p.high, s.p[MLD_P50].high, 0.0);
}

/* --- coverage --------------------------------------------------------------------- */

/* Shares of 2,000 series of n samples exp(0.1 z), z a first-order autoregression with
 * coefficient rho, whose intervals hold the true mean, p50, p95 and p99. */
struct shares {
    double mean, p50, p95, p99;
};

static bool holds(const struct mld_percentile *p, double truth)
{
    return p->known && p->low <= truth && truth <= p->high;
}

static struct shares coverage(size_t n, double rho)
{
    enum { RUNS = 2000 };
    static uint64_t x[5000];
    struct mld_summary s;
    struct shares c = {0, 0, 0, 0};
    for (int r = 0; r < RUNS; r++) {
        double z = normal();
        for (size_t i = 0; i < n; i++) {
            z = rho * z + sqrt(1.0 - rho * rho) * normal();
            x[i] = (uint64_t)llround(1e6 * exp(0.1 * z));
        }
        KIT_OK(mld_summarize(x, n, &s, &kit_err));
        c.mean += s.mean_low <= 1e6 * exp(0.005) && 1e6 * exp(0.005) <= s.mean_high;
        c.p50 += holds(&s.p[MLD_P50], 1e6);
        c.p95 += holds(&s.p[MLD_P95], 1e6 * exp(0.1 * 1.6448536));
        c.p99 += holds(&s.p[MLD_P99], 1e6 * exp(0.1 * 2.3263479));
    }
    c.mean /= RUNS;
    c.p50 /= RUNS;
    c.p95 /= RUNS;
    c.p99 /= RUNS;
    printf("n %zu, rho %.1f: mean %.4f, p50 %.4f, p95 %.4f, p99 %.4f\n", n, rho, c.mean,
           c.p50, c.p95, c.p99);
    return c;
}

#define WITHIN(share) KIT_CHECK((share) >= 0.93 && (share) <= 0.975)

MLD_TEST_TIMEOUT(summary__intervals_cover_independent_samples, 240)
{
    struct shares c = coverage(30, 0.0);
    WITHIN(c.mean);
    WITHIN(c.p50);
    c = coverage(200, 0.0);
    WITHIN(c.mean);
    WITHIN(c.p50);
    WITHIN(c.p95);
    c = coverage(1000, 0.0);
    WITHIN(c.mean);
    WITHIN(c.p50);
    WITHIN(c.p95);
    WITHIN(c.p99);
}

MLD_TEST_TIMEOUT(summary__intervals_cover_correlated_samples, 240)
{
    struct shares c = coverage(1000, 0.5);
    WITHIN(c.mean);
    WITHIN(c.p50);
    WITHIN(c.p95);
    WITHIN(c.p99);
    c = coverage(5000, 0.9);
    WITHIN(c.mean);
    WITHIN(c.p50);
}

/* What the correction is for: without it 2,000 such series of 1,000 samples would be held
 * as rarely as the square root of 3 says. */
MLD_TEST(summary__effective_count_shrinks_with_correlation)
{
    static uint64_t x[4000];
    struct mld_summary s;
    double z = 0.0;
    for (size_t i = 0; i < 4000; i++) {
        z = 0.8 * z + 0.6 * normal();
        x[i] = (uint64_t)llround(1e6 * exp(0.1 * z));
    }
    KIT_OK(mld_summarize(x, 4000, &s, &kit_err));
    KIT_NEAR(s.autocorrelation, 0.8, 0.05);
    KIT_CHECK(s.effective_count < 4000.0 / 4.0);
    KIT_CHECK(s.effective_count > 4000.0 / 16.0);
}

static int summarize_for_torture(void *ctx)
{
    struct mld_summary s;
    return mld_summarize(ctx, 100, &s, &kit_err);
}

MLD_TEST(summary__survives_without_memory)
{
    uint64_t x[100];
    for (size_t i = 0; i < 100; i++)
        x[i] = bits() % 1000;
    KIT_CHECK(kit_torture(summarize_for_torture, x) >= 1);
}
