/* timing.h: the loop that measures. It knows nothing of models: it calls one function
 * again and again and keeps how long each call took.
 *
 * One sample is one run: the time between two reads of a monotonic clock, the end of a
 * run being the start of the next, so the loop costs one clock read, one store and one
 * indirect call per run. What it costs on this machine is measured with an empty function
 * and told beside the samples (harness_ns), never subtracted. Inside the timed region
 * nothing is allocated, logged, sent or polled; the runs come in chunks, and between
 * chunks the stop rule looks at what is there. */
#ifndef MLD_CORE_TIMING_H
#define MLD_CORE_TIMING_H

#include "base/clock.h"
#include "mldyno/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How long and how well to measure. */
struct mld_budget {
    uint64_t min_time_ns; /* of the steady part */
    uint64_t max_time_ns; /* of all runs together: then what is there is judged */
    int64_t min_samples;  /* comes before max_time */
    int64_t max_samples;  /* size of the sample array */
    int64_t warmup;       /* runs to discard; -1: detected */
    double target_width;  /* stop when the 95 % interval of the median is narrower than
                             this share of the median (0.02 = 2 %) */
    uint64_t timeout_ns;  /* of the whole case; then the worker is killed */
};

/* One run; 0 or an error that ends the loop. */
typedef int (*mld_timing_fn)(void *ctx, struct mld_error *err);

/* There are no defaults: every field is set by the caller. */
struct mld_timing_params {
    mld_timing_fn run;
    void *ctx;
    const struct mld_clock *clock;
    struct mld_budget budget;   /* timeout_ns is the runner's, not looked at here */
    uint64_t *samples_ns;       /* room for budget.max_samples; written before by the
                                   caller, so that no page is touched first in the loop */
    const volatile int *cancel; /* NULL: never; non-zero ends the loop after this run */

    /* Called between chunks, at most every progress_ns and once at the end; NULL: never.
     * samples_ns[0..count) are there. A failure ends the loop. */
    int (*progress)(void *ctx, size_t count, struct mld_error *err);
    void *progress_ctx;
    uint64_t progress_ns;
};

/* What ended the loop. */
enum mld_timing_end {
    MLD_TIMING_TARGET,  /* steady, and the interval is narrow enough */
    MLD_TIMING_TIME,    /* max_time is over */
    MLD_TIMING_SAMPLES, /* the sample array is full */
    MLD_TIMING_CANCELLED
};

struct mld_timing_result {
    size_t count;        /* samples taken */
    size_t warmup_count; /* the first of them that are warm-up */
    bool steady;         /* the rest is steady */
    char reason[160];    /* not steady: why */
    enum mld_timing_end end;
    uint64_t loop_ns;     /* from the first run to the end of the last, pauses included */
    size_t evaluations;   /* how often the stop rule looked */
    uint64_t evaluate_ns; /* time that took, outside the samples */
    double harness_ns;    /* cost of the loop per run */
};

/* Runs until the stop rule or the budget says so. On an error of a run, out holds the
 * samples up to it. */
int mld_timing_loop(const struct mld_timing_params *params, struct mld_timing_result *out,
                    struct mld_error *err) MLD_MUST_CHECK;

/* Cost of one turn of the loop with an empty run, ns: the median of 9 batches. */
double mld_timing_harness_ns(const struct mld_clock *clock);

#endif
