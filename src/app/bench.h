/* bench.h: plan, build, measure, store: the use case behind `bench` and `run`. */
#ifndef MLD_APP_BENCH_H
#define MLD_APP_BENCH_H

#include "app/row.h"

#define MLD_MAX_SAMPLES 1000000 /* runs of one case that are kept (8 MB) */

/* What was asked. Lists are borrowed; empty means the default named beside it. */
struct mld_bench_request {
    const char *const *models; /* names or paths */
    size_t model_count;
    const char *const *categories; /* every default model of these */
    size_t category_count;
    bool all;                    /* every type's default model */
    const char *const *hardware; /* default: cpu */
    size_t hardware_count;
    const char *const *precisions; /* default: fp32 */
    size_t precision_count;
    const int64_t *modes; /* enum mld_mode; default: forward */
    size_t mode_count;
    const int64_t *batches; /* default: the type's own list */
    size_t batch_count;
    const char *class_name, *weights_path;
    struct mld_arch_shapes shapes; /* 0: default; batch unused */
    int64_t layers;                /* 0: all */
    int threads;                   /* 0: all cores of this process */
    uint64_t seed;
    int64_t limit; /* at most so many cases, spread fairly; 0: all */
    struct mld_budget budget;
    uint64_t memory_limit_bytes;
    const struct mld_key_value *options; /* -o key=value */
    size_t option_count;
    const char *db_path; /* NULL: default */
    bool no_store, dry_run;
    const char *command_line; /* for the run's record */
    volatile int *cancel;     /* non-zero: stop soon */
};

/* Told as it goes (progress, for stderr); any slot may be NULL. */
struct mld_bench_observer {
    void (*begin)(void *ctx, const struct mld_row *row, size_t index, size_t count);
    void (*phase)(void *ctx, const struct mld_row *row, enum mld_phase phase);
    void (*progress)(void *ctx, const struct mld_row *row, size_t runs, double median_ns);
    void (*end)(void *ctx, const struct mld_row *row, size_t index, size_t count);
    void *ctx;
};

struct mld_bench_outcome {
    struct mld_row *rows;
    size_t row_count;
    char run_id[37];
    struct mld_arena arena; /* of the rows' strings */
};

/* Fails only before anything is measured (unknown names, a database that cannot be
 * opened) or when a finished row could not be stored; each case's own trouble is a row.
 */
int mld_bench(const struct mld_bench_request *req,
              const struct mld_bench_observer *observer, struct mld_bench_outcome *out,
              struct mld_error *err) MLD_MUST_CHECK;
void mld_bench_outcome_release(struct mld_bench_outcome *o);

/* Exit code of a set of rows: 1 when one failed, timed out or ran out of memory or was
 * cancelled; 4 under strict when one is mistrusted; else 0. */
int mld_bench_exit(const struct mld_bench_outcome *o, bool strict);

#endif
