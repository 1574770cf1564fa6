/* test_null_backend.c: the instrument that other tests measure with: its noise has the
 * shape that it says, its seed decides, and its options are checked. */
#include "kit/kit.h"

#include "backends/null/null_backend.h"
#include "base/clock.h"
#include "core/registry.h"
#include "core/session.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define RUNS 4000

static struct mld_clock_fake fake;
static double run_ns[RUNS];

static void measure(const char *noise, const char *amount, uint64_t seed)
{
    const struct mld_key_value options[] = {
        {"latency", "1ms"}, {"noise", noise}, {"amount", amount}};
    const struct mld_open_params open = {.device = "null",
                                         .precision = "fp32",
                                         .seed = seed,
                                         .options = options,
                                         .option_count = 3};
    const struct mld_load_params load = {NULL, NULL};
    const struct mld_prepare_params prepare = {.input_count = 0};
    struct mld_backend_ops ops;
    struct mld_core_session s;
    mld_clock_fake_init(&fake, 0);
    mld_null_set_clock(&fake.clock);
    KIT_OK(mld_backend_check(mld_backend_entry_null(), &ops, &kit_err));
    KIT_OK(mld_session_open(&s, &ops, &open, &kit_err));
    KIT_OK(mld_session_load(&s, &load, &kit_err));
    KIT_OK(mld_session_prepare(&s, &prepare, &kit_err));
    for (int i = 0; i < RUNS; i++) {
        const uint64_t before = fake.now_ns;
        KIT_OK(mld_session_run(&s, &kit_err));
        run_ns[i] = (double)(fake.now_ns - before);
    }
    mld_session_close(&s);
    mld_null_set_clock(NULL);
}

/* Share of runs up to a limit. */
static double share_below(double limit)
{
    int n = 0;
    for (int i = 0; i < RUNS; i++)
        n += run_ns[i] <= limit;
    return (double)n / RUNS;
}

MLD_TEST(null__noise_has_the_shape_it_says)
{
    measure("none", "0.5", 1);
    KIT_NEAR(share_below(1e6) - share_below(1e6 - 1.0), 1.0, 0.0);
    measure("normal", "0.1", 1);
    KIT_NEAR(share_below(1e6), 0.5, 0.03);
    KIT_NEAR(share_below(1.1e6), 0.8413, 0.03);
    KIT_NEAR(share_below(0.9e6), 0.1587, 0.03);
    measure("lognormal", "0.3", 1);
    KIT_NEAR(share_below(1e6), 0.5, 0.03);
    KIT_NEAR(share_below(exp(0.3) * 1e6), 0.8413, 0.03);
    measure("bimodal", "0.4", 1);
    KIT_NEAR(share_below(1e6), 0.5, 0.03);
    KIT_NEAR(share_below(1.4e6), 1.0, 0.0);
    measure("spikes", "0.01", 1);
    KIT_NEAR(share_below(2e6), 0.99, 0.005);
    measure("drift", "0.1", 1); /* run 1000 is at 1 + 0.1 * 10 */
    KIT_NEAR(run_ns[0], 1e6, 1.0);
    KIT_NEAR(run_ns[1000], 2e6, 1.0);
    measure("burst", "0.5", 1);
    KIT_NEAR(run_ns[49], 1e6, 0.0);
    KIT_NEAR(run_ns[50], 1.5e6, 0.0);
    KIT_NEAR(run_ns[100], 1e6, 0.0);
    measure("correlated", "0.1", 1);
    double product = 0.0, square = 0.0;
    for (int i = 0; i + 1 < RUNS; i++) {
        product += log(run_ns[i] / 1e6) * log(run_ns[i + 1] / 1e6);
        square += log(run_ns[i] / 1e6) * log(run_ns[i] / 1e6);
    }
    KIT_NEAR(product / square, 0.6, 0.06);
}

MLD_TEST(null__the_seed_decides)
{
    double first[RUNS];
    measure("lognormal", "0.2", 7);
    memcpy(first, run_ns, sizeof(first));
    measure("lognormal", "0.2", 7);
    KIT_EQ_MEM(first, run_ns, sizeof(first));
    measure("lognormal", "0.2", 8);
    KIT_CHECK(memcmp(first, run_ns, sizeof(first)) != 0);
}

MLD_TEST(null__options_are_checked)
{
    static const struct mld_key_value bad[] = {
        {"latency", "fast"},    {"latency", "-1ms"},
        {"noise", "pink"},      {"amount", "-0.1"},
        {"amount", "much"},     {"settle", "-3"},
        {"wait", "patiently"},  {"memory", "1x"},
        {"fail-at", "lunch"},   {"fail-at", "run:0"},
        {"fail-at", "run:x"},   {"fail-at", "run:-1"},
        {"fault", "explosion"}, {"fail-at", "a-very-long-name-of-a-stage"},
    };
    struct mld_backend_ops ops;
    struct mld_core_session s;
    KIT_OK(mld_backend_check(mld_backend_entry_null(), &ops, &kit_err));
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        const struct mld_open_params open = {
            .device = "null", .options = &bad[i], .option_count = 1};
        char wanted[96];
        snprintf(wanted, sizeof(wanted), "option '%s' cannot be '%s': ", bad[i].key,
                 bad[i].value);
        KIT_FAILS(mld_session_open(&s, &ops, &open, &kit_err), MLD_E_INVALID);
        KIT_CONTAINS(kit_err.message, wanted);
    }
}

/* On the real clock a run takes its time, waiting either way. */
MLD_TEST(null__takes_its_time)
{
    static const char *const ways[] = {"sleep", "spin", "auto"};
    struct mld_backend_ops ops;
    struct mld_core_session s;
    const struct mld_clock *clock = mld_clock_real();
    KIT_OK(mld_backend_check(mld_backend_entry_null(), &ops, &kit_err));
    for (size_t i = 0; i < 3; i++) {
        const struct mld_key_value options[] = {{"latency", "3ms"}, {"wait", ways[i]}};
        const struct mld_open_params open = {
            .device = "null", .options = options, .option_count = 2};
        const struct mld_load_params load = {NULL, NULL};
        const struct mld_prepare_params prepare = {.input_count = 0};
        KIT_OK(mld_session_open(&s, &ops, &open, &kit_err));
        KIT_OK(mld_session_load(&s, &load, &kit_err));
        KIT_OK(mld_session_prepare(&s, &prepare, &kit_err));
        const uint64_t start = mld_now_ns(clock);
        KIT_OK(mld_session_run(&s, &kit_err));
        KIT_CHECK(mld_now_ns(clock) - start >= 3000000u); /* never less */
        mld_session_close(&s);
    }
}
