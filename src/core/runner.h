/* runner.h: runs one case in a worker process and gathers what it tells.
 *
 * mld_run_case never fails as a function: a crash, a hang, garbage on the pipe, out of
 * memory, a missing engine each become a status with a reason. While the worker measures,
 * the parent sleeps in poll() (at most a few wake-ups per second). */
#ifndef MLD_CORE_RUNNER_H
#define MLD_CORE_RUNNER_H

#include "base/clock.h"
#include "core/case.h"
#include "stats/summary.h"

/* Everything measured of one case. Zero-filled is valid; -1 and "" are unknown. */
struct mld_result {
    enum mld_status status;
    char reason[512]; /* why not ok; "" */
    char engine[48], engine_version[48];
    struct mld_device device;
    struct mld_counters counters;
    int64_t phase_ns[MLD_PHASE_COUNT]; /* -1 unknown */
    uint64_t *samples_ns;              /* all runs after the first, the warm-up's too */
    size_t sample_count;               /* of all */
    size_t warmup_count;               /* the first of them that are warm-up */
    struct mld_summary summary;        /* of the steady part */
    double harness_ns;                 /* cost of the loop per run, measured; -1 */
    int64_t memory_peak_bytes;         /* VmHWM of the worker, from the floor on */
    int64_t memory_floor_bytes;        /* resident with the engine loaded and no model */
    double cpu_time_share;             /* CPU seconds of the worker per second of the
                                          loop, all threads; -1 */
    int64_t voluntary_switches, involuntary_switches; /* in the loop; -1 */
    /* MLD_TASK_OUTPUTS: float64 copies of the outputs, in order of the case */
    struct mld_output_data {
        char name[128];
        int rank;
        int64_t dims[MLD_MAX_RANK];
        double *values;
        size_t count;
    } * outputs;
    size_t output_count;
};
void mld_result_init(struct mld_result *r);
void mld_result_release(struct mld_result *r);

/* Told while a case runs; any slot may be NULL. */
struct mld_run_observer {
    void (*phase)(void *ctx, enum mld_phase phase);
    void (*progress)(void *ctx, size_t runs, double median_ns); /* a few times a second */
    void *ctx;
};

struct mld_run_params {
    const char *worker_path; /* the mldyno program: runs `<path> --worker` */
    const struct mld_run_observer *observer;
    volatile int *cancel; /* becomes non-zero: kill the worker, status cancelled */
};
void mld_run_case(const struct mld_case *c, const struct mld_run_params *params,
                  struct mld_result *out);

/* The worker's main: reads a case from stdin, writes events to fd 3; the exit code. */
int mld_worker_main(void);

#endif
