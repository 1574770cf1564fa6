/* test_stats_steady.c: series with a known shape: where they become steady, and the
 * reason where they do not. Each shape is tried with little and with much noise. */
#include "kit/kit.h"

#include "stats/summary.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t state;

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

/* Level of a run as a function of its place in [0, 1). */
typedef double (*shape_fn)(double place);

#define MOST 1000000
static uint64_t samples[MOST];
static struct mld_steady found;

static void detect(shape_fn shape, size_t n, double noise, uint64_t seed)
{
    state = seed;
    for (size_t i = 0; i < n; i++)
        samples[i] =
            (uint64_t)llround(1e6 * shape((double)i / (double)n) * exp(noise * normal()));
    KIT_OK(mld_steady_detect(samples, n, &found, &kit_err));
    KIT_CHECK(found.steady == (found.reason[0] == '\0'));
    KIT_CHECK(found.begin <= n);
}

static double flat(double place)
{
    (void)place;
    return 1.0;
}

MLD_TEST(steady__flat_series_are_steady_from_the_start)
{
    static const size_t sizes[] = {6, 10, 50, 512, 513, 3000, 100000};
    for (size_t k = 0; k < sizeof(sizes) / sizeof(*sizes); k++) {
        detect(flat, sizes[k], 0.0, 1);
        KIT_CHECK(found.steady);
        KIT_EQ_INT(found.begin, 0);
    }
    int wrong = 0;
    for (uint64_t seed = 0; seed < 400; seed++) {
        detect(flat, 20 + seed, seed % 2 ? 0.02 : 0.2, seed);
        wrong += !found.steady || found.begin > 0;
    }
    printf("%d of 400 flat series were not taken as such\n", wrong);
    KIT_CHECK(wrong <= 12);
}

static double rising(double place)
{
    return 1.0 + 0.1 * place;
}
static double falling(double place)
{
    return 2.0 - place;
}

MLD_TEST(steady__drifts_are_told)
{
    static const size_t sizes[] = {10, 30, 100, 1000, 50000};
    for (size_t k = 0; k < sizeof(sizes) / sizeof(*sizes); k++) {
        detect(rising, sizes[k], 0.0, 1);
        KIT_CHECK(!found.steady);
        KIT_CONTAINS(found.reason, "still getting slower: the last third of the runs is");
        detect(falling, sizes[k], 0.0, 1);
        KIT_CHECK(!found.steady);
        KIT_CONTAINS(found.reason, "still getting faster");
    }
    int missed = 0;
    for (uint64_t seed = 0; seed < 200; seed++) {
        detect(rising, 500, 0.02, seed);
        missed += found.steady;
    }
    printf("%d of 200 drifts of 10 %% under 2 %% noise were missed\n", missed);
    KIT_CHECK(missed <= 4);
}

/* 1 % from one end to the other is below what counts. */
static double hardly_rising(double place)
{
    return 1.0 + 0.01 * place;
}

MLD_TEST(steady__a_drift_that_does_not_matter_is_let_pass)
{
    detect(hardly_rising, 1000, 0.0, 1);
    KIT_CHECK(found.steady);
    KIT_EQ_INT(found.begin, 0);
}

static double warming(double place)
{
    return place < 0.1 ? 1.3 : 1.0;
}
static double settling(double place)
{
    return 1.0 + exp(-place / 0.05);
}

MLD_TEST(steady__warm_up_is_cut_off)
{
    for (uint64_t seed = 0; seed < 100; seed++) {
        detect(warming, 1000, 0.05, seed);
        KIT_CHECK(found.steady);
        KIT_CHECK(found.begin >= 90 && found.begin <= 110);
        detect(settling, 1000, 0.02, seed);
        KIT_CHECK(found.steady);
        /* 8 % above the level at 13 % of the runs, 2 % at 20 %. */
        KIT_CHECK(found.begin >= 120 && found.begin <= 230);
    }
    detect(warming, 200000, 0.05, 1);
    KIT_CHECK(found.steady);
    KIT_NEAR((double)found.begin, 20000.0, 1000.0);
}

static double late(double place)
{
    return place < 0.8 ? 1.0 : 1.3;
}

MLD_TEST(steady__a_late_change_is_told)
{
    for (uint64_t seed = 0; seed < 50; seed++) {
        detect(late, 500, 0.03, seed);
        KIT_CHECK(!found.steady);
        KIT_CONTAINS(found.reason, "the level changed late: the last 2");
        KIT_CONTAINS(found.reason, "slower");
    }
}

static double swinging(double place)
{
    return (int)(place * 8.0) % 2 ? 1.3 : 1.0;
}

MLD_TEST(steady__alternating_levels_are_told)
{
    static const size_t sizes[] = {100, 500, 4000, 100000};
    for (size_t k = 0; k < sizeof(sizes) / sizeof(*sizes); k++) {
        detect(swinging, sizes[k], 0.02, 3);
        KIT_CHECK(!found.steady);
        KIT_CONTAINS(found.reason, "jumps between levels of");
    }
}

static double disturbed(double place)
{
    return place > 0.5 && place < 0.57 ? 1.5 : 1.0;
}
static double disturbed_at_last(double place)
{
    return place > 0.95 ? 1.5 : 1.0;
}

MLD_TEST(steady__a_passing_disturbance_is_let_pass)
{
    detect(disturbed, 500, 0.03, 1);
    KIT_CHECK(found.steady);
    KIT_EQ_INT(found.begin, 0);
    detect(disturbed_at_last, 500, 0.03, 1);
    KIT_CHECK(found.steady);
}

static double spiking(double place)
{
    (void)place;
    return uniform() < 0.03 ? 8.0 : 1.0;
}

MLD_TEST(steady__lone_outliers_do_not_matter)
{
    int wrong = 0;
    for (uint64_t seed = 0; seed < 200; seed++) {
        detect(spiking, 50 + 3 * seed, 0.02, seed);
        wrong += !found.steady || found.begin > 0;
    }
    KIT_CHECK(wrong <= 6);
}

static double two_kinds(double place)
{
    (void)place;
    return uniform() < 0.5 ? 1.3 : 1.0;
}
static double mostly_one_kind(double place)
{
    (void)place;
    return uniform() < 0.12 ? 1.3 : 1.0;
}

MLD_TEST(steady__two_kinds_of_runs_are_told)
{
    detect(two_kinds, 5000, 0.01, 1);
    KIT_CHECK(!found.steady);
    KIT_CONTAINS(found.reason, "two kinds of runs: ");
    KIT_CONTAINS(found.reason, "of about 1 ms, the others of about 1.3 ms");
    detect(mostly_one_kind, 5000, 0.01, 1); /* the median stands for most: fine */
    KIT_CHECK(found.steady);
}

MLD_TEST(steady__too_few_are_told)
{
    detect(flat, 0, 0.0, 1);
    KIT_CHECK(!found.steady);
    KIT_EQ_STR(found.reason, "only 0 runs: too few to see a steady state");
    detect(flat, 1, 0.0, 1);
    KIT_EQ_STR(found.reason, "only 1 run: too few to see a steady state");
    detect(flat, 5, 0.0, 1);
    KIT_CHECK(!found.steady);
    KIT_EQ_INT(found.begin, 5);
}

MLD_TEST(steady__a_million_samples)
{
    detect(warming, MOST, 0.1, 1);
    KIT_CHECK(found.steady);
    KIT_NEAR((double)found.begin, 1e5, 4000.0);
}

/* Zeros, and the largest values that a sample can have. */
MLD_TEST(steady__extreme_values)
{
    memset(samples, 0, 1000 * sizeof(*samples));
    KIT_OK(mld_steady_detect(samples, 1000, &found, &kit_err));
    KIT_CHECK(found.steady);
    for (size_t i = 0; i < 1000; i++)
        samples[i] = UINT64_MAX - (i % 3);
    KIT_OK(mld_steady_detect(samples, 1000, &found, &kit_err));
    KIT_CHECK(found.steady);
    for (size_t i = 0; i < 1000; i++)
        samples[i] = i % 2 ? UINT64_MAX : 0;
    KIT_OK(mld_steady_detect(samples, 1000, &found, &kit_err));
    KIT_CHECK(!found.steady);
}

static int detect_for_torture(void *ctx)
{
    (void)ctx;
    return mld_steady_detect(samples, 100, &found, &kit_err);
}

MLD_TEST(steady__survives_without_memory)
{
    detect(flat, 100, 0.01, 1);
    KIT_CHECK(kit_torture(detect_for_torture, NULL) >= 1);
}
