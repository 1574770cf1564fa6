/* test_stats_interval.c: the arithmetic under every interval, against closed forms,
 * exact sums and tables. */
#include "kit/kit.h"

#include "stats/interval.h"

#include <math.h>
#include <stdio.h>

/* splitmix64 and Box-Muller: the same numbers on every machine. */
static uint64_t state = 1;

static double uniform(void)
{
    uint64_t z = (state += 0x9E3779B97F4A7C15u);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return ((double)((z ^ (z >> 31)) >> 11) + 0.5) / 9007199254740992.0;
}

static double normal(void)
{
    double r = sqrt(-2.0 * log(uniform()));
    return r * cos(6.283185307179586 * uniform());
}

MLD_TEST(interval__counts_of_the_early_stopping_bound)
{
    /* What MLPerf LoadGen asks for with no sample over the limit, 99 % confidence. */
    KIT_EQ_INT(mld_percentile_needed(0.50), 7);
    KIT_EQ_INT(mld_percentile_needed(0.90), 44);
    KIT_EQ_INT(mld_percentile_needed(0.95), 90);
    KIT_EQ_INT(mld_percentile_needed(0.97), 152);
    KIT_EQ_INT(mld_percentile_needed(0.99), 459);
    KIT_EQ_INT(mld_percentile_needed(0.999), 4603);
    for (double q = 0.05; q < 0.9999; q += 0.013) {
        double n = (double)mld_percentile_needed(q);
        KIT_CHECK(pow(q, n) <= 0.01 && pow(q, n - 1.0) > 0.01);
    }
    KIT_EQ_INT(mld_percentile_needed(0.0), INT64_MAX);
    KIT_EQ_INT(mld_percentile_needed(1.0), INT64_MAX);
}

MLD_TEST(interval__incomplete_beta_is_the_binomial_tail)
{
    KIT_NEAR(mld_incomplete_beta(1, 1, 0.3), 0.3, 1e-14);
    KIT_NEAR(mld_incomplete_beta(4.5, 4.5, 0.5), 0.5, 1e-13);
    KIT_NEAR(mld_incomplete_beta(2, 3, 0.4), 0.5248, 1e-12);
    KIT_NEAR(mld_incomplete_beta(2, 3, 0.0), 0.0, 0.0);
    KIT_NEAR(mld_incomplete_beta(2, 3, 1.0), 1.0, 0.0);
    /* P(Binomial(n, p) <= k) = I_{1-p}(n - k, k + 1), summed term by term. */
    for (int n = 1; n <= 40; n += 3) {
        for (double p = 0.05; p < 1.0; p += 0.15) {
            double term = pow(1.0 - p, n), sum = term;
            for (int k = 0; k < n; k++) {
                KIT_NEAR(mld_incomplete_beta(n - k, k + 1, 1.0 - p), sum, 1e-11);
                term *= (double)(n - k) / (k + 1) * p / (1.0 - p);
                sum += term;
            }
        }
    }
    /* Far out, where a million samples lead: by symmetry and the normal limit. */
    KIT_NEAR(mld_incomplete_beta(5e5, 5e5, 0.5), 0.5, 1e-8);
    KIT_NEAR(mld_incomplete_beta(5e5, 5e5, 0.5 + 1.959964 * 0.0005), 0.975, 1e-5);
}

MLD_TEST(interval__student_t_has_the_table)
{
    KIT_NEAR(mld_student_t(0.975, 1), 12.7062, 1e-4);
    KIT_NEAR(mld_student_t(0.975, 9), 2.26216, 1e-5);
    KIT_NEAR(mld_student_t(0.975, 29), 2.04523, 1e-5);
    KIT_NEAR(mld_student_t(0.995, 9), 3.24984, 1e-5);
    KIT_NEAR(mld_student_t(0.975, 1e7), 1.959964, 1e-5);
    KIT_NEAR(mld_student_t(0.025, 9), -2.26216, 1e-5);
    KIT_NEAR(mld_student_t(0.5, 9), 0.0, 0.0);
}

MLD_TEST(interval__ranks_of_the_median)
{
    double low, high;
    /* Ten values: X2..X9 holds the median with 97.85 %, X3..X8 with 89.06 %: in between.
     */
    mld_quantile_ranks(10, 0.5, 0.95, &low, &high);
    KIT_CHECK(low > 2.0 && low < 3.0);
    KIT_NEAR(low + high, 11.0, 1e-9);
    /* Exactly a step: no interpolation is left. 2 * P(Binomial(10, 1/2) <= 1) = 0.0215.
     */
    mld_quantile_ranks(10, 0.5, 1.0 - 2.0 * 11.0 / 1024.0, &low, &high);
    KIT_NEAR(low, 2.0, 1e-6);
    KIT_NEAR(high, 9.0, 1e-6);
    /* Five values cannot: P(all on one side) = 1/16 > 5 %. Six can. */
    mld_quantile_ranks(5, 0.5, 0.95, &low, &high);
    KIT_CHECK(isnan(low) && isnan(high));
    mld_quantile_ranks(6, 0.5, 0.95, &low, &high);
    KIT_CHECK(low >= 1.0 && low < 2.0 && high > 5.0 && high <= 6.0);
    /* Large n: n / 2 -+ 1.96 sqrt(n) / 2. */
    mld_quantile_ranks(1e6, 0.5, 0.95, &low, &high);
    KIT_NEAR(low, 5e5 - 980.0, 2.0);
    KIT_NEAR(high, 5e5 + 981.0, 2.0);
}

MLD_TEST(interval__ranks_of_a_tail)
{
    double low, high, mirror_low, mirror_high;
    mld_quantile_ranks(200, 0.95, 0.95, &low, &high);
    mld_quantile_ranks(200, 0.05, 0.95, &mirror_low, &mirror_high);
    KIT_NEAR(low, 201.0 - mirror_high, 1e-9);
    KIT_NEAR(high, 201.0 - mirror_low, 1e-9);
    KIT_CHECK(low > 180.0 && low < 190.5 && high > 190.5 && high < 198.0);
    /* An upper limit for p99 needs 0.99^n <= 2.5 %: 368 values. */
    mld_quantile_ranks(367, 0.99, 0.95, &low, &high);
    KIT_CHECK(!isnan(low) && isnan(high));
    mld_quantile_ranks(368, 0.99, 0.95, &low, &high);
    KIT_CHECK(!isnan(low) && high <= 368.0);
    mld_quantile_ranks(0, 0.99, 0.95, &low, &high);
    KIT_CHECK(isnan(low) && isnan(high));
}

/* The interpolated limits against simulation, where the steps are coarse. */
MLD_TEST(interval__ranks_cover_small_samples)
{
    static const int sizes[] = {7, 8, 10, 13, 20};
    enum { RUNS = 20000 };
    for (size_t k = 0; k < sizeof(sizes) / sizeof(*sizes); k++) {
        const int n = sizes[k];
        int hits = 0;
        double low, high;
        mld_quantile_ranks(n, 0.5, 0.95, &low, &high);
        for (int r = 0; r < RUNS; r++) {
            double x[20];
            for (int i = 0; i < n; i++) {
                double v = normal();
                int at = i;
                for (; at > 0 && x[at - 1] > v; at--)
                    x[at] = x[at - 1];
                x[at] = v;
            }
            int a = (int)low - 1, b = (int)high - 1;
            double left = x[a] + (low - floor(low)) * (x[a + 1] - x[a]);
            double right =
                b + 1 < n ? x[b] + (high - floor(high)) * (x[b + 1] - x[b]) : x[b];
            hits += left <= 0.0 && 0.0 <= right;
        }
        printf("n = %d: %.2f %%\n", n, 100.0 * hits / RUNS);
        KIT_NEAR((double)hits / RUNS, 0.95, 0.008);
    }
}

static void fill_ar1(double *x, size_t n, double rho)
{
    double z = normal();
    for (size_t i = 0; i < n; i++)
        x[i] = z = rho * z + sqrt(1.0 - rho * rho) * normal();
}

MLD_TEST(interval__autocorrelation)
{
    double x[5000];
    fill_ar1(x, 5000, 0.7);
    KIT_NEAR(mld_autocorrelation(x, 5000, 1), 0.7, 0.04);
    KIT_NEAR(mld_autocorrelation(x, 5000, 3), 0.343, 0.06);
    for (int i = 0; i < 5000; i++)
        x[i] = i % 2;
    KIT_NEAR(mld_autocorrelation(x, 5000, 1), -1.0, 1e-3);
    for (int i = 0; i < 5000; i++)
        x[i] = 3.0;
    KIT_NEAR(mld_autocorrelation(x, 5000, 1), 0.0, 0.0);
    KIT_NEAR(mld_autocorrelation(x, 1, 1), 0.0, 0.0);
}

/* tau of a first-order autoregression is (1 + rho) / (1 - rho). */
MLD_TEST(interval__effective_count)
{
    static double x[200000];
    fill_ar1(x, 4000, 0.0);
    KIT_CHECK(mld_effective_count(x, 4000) > 3400.0);
    fill_ar1(x, 4000, 0.5);
    KIT_NEAR(mld_effective_count(x, 4000), 4000.0 / 3.0, 250.0);
    fill_ar1(x, 200000, 0.5); /* the path by groups */
    KIT_NEAR(mld_effective_count(x, 200000), 200000.0 / 3.0, 6000.0);
    fill_ar1(x, 200000, 0.99);
    KIT_NEAR(mld_effective_count(x, 200000), 200000.0 / 199.0, 250.0);
    for (int i = 0; i < 100; i++)
        x[i] = 1.0;
    KIT_NEAR(mld_effective_count(x, 100), 100.0, 0.0);
    for (int i = 0; i < 100; i++)
        x[i] = i % 2; /* better than independent: not taken for more than it is */
    KIT_NEAR(mld_effective_count(x, 100), 100.0, 0.0);
    KIT_NEAR(mld_effective_count(x, 3), 3.0, 0.0);
}
