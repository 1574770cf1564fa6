/* case.h: one case as the core knows it: what to load, what to feed, how long to measure,
 * and where the events go. Nothing here knows graphs or database rows.
 *
 * The parent sends a case to its worker process as JSON on stdin; the worker answers with
 * events (event.h). */
#ifndef MLD_CORE_CASE_H
#define MLD_CORE_CASE_H

#include "base/json.h"
#include "base/arena.h"
#include "core/timing.h"
#include "mldyno/backend.h"

/* X(NAME, name, help): status of a row. */
#define MLD_STATUSES(X)                                                                  \
    X(OK, "ok", "measured, steady")                                                      \
    X(UNSUPPORTED, "unsupported", "the engine or device cannot do it")                   \
    X(SKIPPED, "skipped", "not tried: would not fit, or excluded")                       \
    X(FAILED, "failed", "the engine or the worker failed")                               \
    X(TIMED_OUT, "timed_out", "no result within the time-out")                           \
    X(OUT_OF_MEMORY, "out_of_memory", "host or device memory ran out")                   \
    X(MISTRUSTED, "mistrusted", "measured, but no steady state was reached")             \
    X(CANCELLED, "cancelled", "stopped by the user")
enum mld_status {
#define X(upper, lower, help) MLD_STATUS_##upper,
    MLD_STATUSES(X)
#undef X
        MLD_STATUS_COUNT
};
const char *mld_status_name(enum mld_status s);
int mld_status_parse(const char *name); /* enum value, or -1 */

/* X(NAME, name): phases of a case, under fixed names. */
#define MLD_PHASES(X)                                                                    \
    X(BUILD, "build")     /* graph, ONNX, weights: before the worker starts */           \
    X(STARTUP, "startup") /* engine library loaded, device opened */                     \
    X(LOAD, "load")       /* model loaded and compiled */                                \
    X(FIRST_RUN, "first_run")                                                            \
    X(WARMUP, "warmup") /* runs before the steady state */                               \
    X(STEADY, "steady")
enum mld_phase {
#define X(upper, lower) MLD_PHASE_##upper,
    MLD_PHASES(X)
#undef X
        MLD_PHASE_COUNT
};
const char *mld_phase_name(enum mld_phase p);

/* How an input's content is made (same words as in manifest.json), or given. */
struct mld_case_input {
    const char *name;
    enum mld_dtype dtype;
    int rank;
    int64_t dims[MLD_MAX_RANK];
    const char *fill;   /* "uniform", "ids", "ones", "zeros", "value", "values" */
    const char *stream; /* name of its stream; NULL: "input:" + name */
    int64_t low, high;
    const double *values; /* fill "values": all elements */
    size_t value_count;
    int state_output; /* index of the output that shares its buffer; -1: none */
};
struct mld_case_output {
    const char *name;
    enum mld_dtype dtype;
    int rank;
    int64_t dims[MLD_MAX_RANK];
};

enum mld_case_task {
    MLD_TASK_MEASURE,
    MLD_TASK_OUTPUTS /* one run, outputs sent back */
};

struct mld_case {
    const char *backend, *device; /* "ort", "cpu" */
    const char *onnx_path, *artifact_dir;
    const char *precision; /* as wanted: "fp32" */
    int threads;           /* 0: all cores */
    uint64_t seed;
    enum mld_case_task task;
    struct mld_budget budget;
    uint64_t memory_limit_bytes; /* RLIMIT_DATA of the worker; 0: none */
    struct mld_key_value *options;
    size_t option_count;
    struct mld_case_input *inputs;
    size_t input_count;
    struct mld_case_output *outputs;
    size_t output_count;
};

/* Both directions; strings of a parsed case live in the arena. */
struct mld_json *mld_case_to_json(const struct mld_case *c); /* NULL: no memory */
int mld_case_from_json(const struct mld_json *v, struct mld_arena *arena,
                       struct mld_case *out, struct mld_error *err) MLD_MUST_CHECK;

#endif
