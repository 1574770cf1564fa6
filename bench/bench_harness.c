/* bench_harness.c: what mldyno itself adds to a run: the timing loop and the session over
 * the null backend with no latency, so that all the time measured is ours. */
#include "backends/null/null_backend.h"
#include "core/registry.h"
#include "core/session.h"
#include "core/timing.h"

#include <stdio.h>
#include <stdlib.h>

#define RUNS    1000000
#define REPEATS 9

static int bench_run(void *ctx, struct mld_error *err)
{
    return mld_session_run(ctx, err);
}

static int bench_compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* Wall time of a million runs by the whole loop, divided by their number. */
static int bench_once(struct mld_core_session *s, uint64_t *samples, double *ns,
                      struct mld_error *err)
{
    const struct mld_timing_params params = {
        .run = bench_run,
        .ctx = s,
        .clock = mld_clock_real(),
        .budget = {.max_time_ns = UINT64_MAX,
                   .min_samples = RUNS,
                   .max_samples = RUNS,
                   .warmup = 0},
        .samples_ns = samples,
    };
    struct mld_timing_result result;
    MLD_TRY(mld_timing_loop(&params, &result, err));
    *ns = (double)result.loop_ns / (double)result.count;
    return 0;
}

int main(void)
{
    static uint64_t samples[RUNS];
    struct mld_backend_ops ops;
    struct mld_core_session s;
    struct mld_error err = {0};
    double ns[REPEATS];
    const struct mld_key_value latency = {"latency", "0"};
    const struct mld_open_params open = {
        .device = "null", .precision = "fp32", .options = &latency, .option_count = 1};
    const struct mld_load_params load = {NULL, NULL};
    const struct mld_prepare_params prepare = {.input_count = 0};

    int rc = mld_backend_check(mld_backend_entry_null(), &ops, &err);
    if (rc == 0)
        rc = mld_session_open(&s, &ops, &open, &err);
    if (rc == 0)
        rc = mld_session_load(&s, &load, &err);
    if (rc == 0)
        rc = mld_session_prepare(&s, &prepare, &err);
    for (int i = 0; i < REPEATS && rc == 0; i++)
        rc = bench_once(&s, samples, &ns[i], &err);
    if (rc != 0) {
        fprintf(stderr, "bench_harness: %s\n", err.message);
        return 1;
    }
    mld_session_close(&s);
    qsort(ns, REPEATS, sizeof(ns[0]), bench_compare);
    printf("harness_ns_per_run %.1f\n", ns[REPEATS / 2]);
    return 0;
}
