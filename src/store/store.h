/* store.h: the one module that knows DuckDB: rows in, rows out.
 *
 * One file, one writing process. Everything of a case goes in by one transaction, so a
 * kill at any moment loses at most the case in flight. The schema is made by numbered
 * forward migrations; a newer or foreign database is refused untouched.
 *
 * DuckDB locks the file for the whole process: while one writes, no other process reads.
 * Within a process, one handle per file: the lock of POSIX does not hold between two, and
 * ends when any descriptor of the file is closed. A handle is for one thread. */
#ifndef MLD_STORE_STORE_H
#define MLD_STORE_STORE_H

#include "base/json.h"
#include "mldyno/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mld_store;

enum mld_store_mode { MLD_STORE_READ, MLD_STORE_WRITE /* makes the file if absent */ };

int mld_store_open(const char *path, enum mld_store_mode mode, struct mld_store **out,
                   struct mld_error *err) MLD_MUST_CHECK;
void mld_store_close(struct mld_store *s); /* NULL is allowed */
/* --db-path, else $MLDYNO_DB, else ./benchmark_db.duckdb; borrowed. */
const char *mld_store_default_path(const char *option);

/* --- writing ------------------------------------------------------------------------ */
/* A run: one invocation of bench or run. Starts with what is known; the id is a UUID text
 * written to id[37]. */
struct mld_store_run {
    const char *command_line, *mldyno_version, *git_commit;
    const char *environment_json;        /* whole, as captured */
    const char *environment_fingerprint; /* 16 hex digits */
    const char *hostname;
};
int mld_store_begin_run(struct mld_store *s, const struct mld_store_run *run, char id[37],
                        struct mld_error *err) MLD_MUST_CHECK;
int mld_store_end_run(struct mld_store *s, const char *run_id,
                      struct mld_error *err) MLD_MUST_CHECK;

/* One case's row. The unknown is stored as NULL, never as 0: text NULL or "", a negative
 * number, NAN; a temperature and an autocorrelation may be negative, so there NAN only.
 */
struct mld_store_phase {
    const char *name;
    int64_t ns;
};
struct mld_store_key_value {
    const char *key;
    const char *value;
};
struct mld_store_result {
    const char *run_id;
    const char *model, *model_type, *class_name, *checkpoint,
        *categories; /* comma list */
    int64_t parameters, layers, layers_full;
    const char *artifact_key, *config_json;
    const char *platform, *device_id, *device_name, *device_vendor, *device_driver;
    int64_t device_memory_total_bytes;
    const char *engine, *engine_version;
    const char *precision, *precision_effective;
    int precision_emulated; /* -1 unknown */
    const char *mode;
    int64_t batch_size;
    const char *shapes_json;
    int threads;
    const char *status, *reason, *origin;
    double throughput_per_s, ttft_ms, tpot_ms, tokens_per_s;
    const char *throughput_unit;
    double mean_ms, mean_low_ms, mean_high_ms, stddev_ms, min_ms, max_ms;
    double p50_ms, p50_low_ms, p50_high_ms, p90_ms, p95_ms, p95_low_ms, p95_high_ms;
    double p99_ms, p99_low_ms, p99_high_ms;
    int64_t sample_count, warmup_count; /* sample_count: of the steady part */
    double harness_ns, autocorrelation, effective_count;
    int64_t memory_peak_bytes, memory_floor_bytes, memory_weights_bytes;
    int64_t memory_device_bytes;
    double flops, matmul_flops, read_bytes, write_bytes, flop_per_s, peak_share, energy_j;
    int64_t nodes_total, nodes_on_device;
    const char *placement_provider;
    double load_before, load_after, temperature_before_c, temperature_after_c;
    int64_t frequency_before_khz, frequency_after_khz;
    double cpu_time_share;
    const char *accuracy_json, *reproduce;
    const struct mld_store_phase *phases;
    size_t phase_count;
    const uint64_t *samples_ns; /* the warm-up's first */
    size_t samples_total, samples_warmup;
};
void mld_store_result_init(struct mld_store_result *r); /* everything unknown */
/* One transaction: model, device, result, phases, placement, samples. */
int mld_store_add_result(struct mld_store *s, const struct mld_store_result *r,
                         int64_t *result_id, struct mld_error *err) MLD_MUST_CHECK;

/* One look at the hardware: the availability log. */
struct mld_store_availability {
    const char *backend, *engine, *engine_version, *platform, *device_id, *device_name;
    bool usable;
    const char *reason;
};
int mld_store_add_availability(struct mld_store *s, const char *run_id,
                               const struct mld_store_availability *rows, size_t n,
                               struct mld_error *err) MLD_MUST_CHECK;

/* A person's note on a run, on a result, or on the database itself (NULL and -1). A note
 * on what is not there is refused. */
int mld_store_annotate(struct mld_store *s, const char *run_id, int64_t result_id,
                       const char *author, const char *note,
                       struct mld_error *err) MLD_MUST_CHECK;

/* --- reading ------------------------------------------------------------------------ */
enum mld_cell_type {
    MLD_CELL_NULL,
    MLD_CELL_BOOL,
    MLD_CELL_INT,
    MLD_CELL_FLOAT,
    MLD_CELL_TEXT
};
struct mld_cell {
    enum mld_cell_type type;
    int64_t i; /* BOOL, INT */
    double f;
    const char *text; /* TEXT; owned by the rows */
};
struct mld_rows {
    char **columns;
    enum mld_cell_type *types;
    size_t column_count, row_count;
    struct mld_cell *cells; /* row-major */
    void *memory;           /* private */
};
/* Runs one statement. In READ mode what writes, and what reaches outside of the file, is
 * refused. The rows are freed by mld_rows_release, also after a failure. Nested and
 * exotic types come as text, and so do integers that int64_t does not hold; more than
 * 2^24 cells are refused (MLD_E_TOO_LARGE). */
int mld_store_query(struct mld_store *s, const char *sql, struct mld_rows *out,
                    struct mld_error *err) MLD_MUST_CHECK;
void mld_rows_release(struct mld_rows *r);
const struct mld_cell *mld_rows_cell(const struct mld_rows *r, size_t row,
                                     const char *col);

/* The same with values for the statement's $1, $2 ...: how text of users gets into SQL.
 */
int mld_store_query_with(struct mld_store *s, const char *sql,
                         const struct mld_cell *params, size_t param_count,
                         struct mld_rows *out, struct mld_error *err) MLD_MUST_CHECK;

/* The named queries of `mldyno query NAME`. */
struct mld_store_report {
    const char *name, *summary, *sql;
};
const struct mld_store_report *mld_store_reports(size_t *n);
const struct mld_store_report *mld_store_report_find(const char *name); /* NULL: none */

/* What `mldyno db status` shows. */
struct mld_store_status {
    char *path;
    int64_t file_bytes;
    int schema_version, newest_version;
    int64_t runs, results, samples, models, hardware, environments;
    char last_run[32]; /* ISO time; "" */
};
int mld_store_status(struct mld_store *s, struct mld_store_status *out,
                     struct mld_error *err) MLD_MUST_CHECK;
void mld_store_status_release(struct mld_store_status *st);

#endif
