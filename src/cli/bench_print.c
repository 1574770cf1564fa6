/* bench_print.c: prints the rows of a bench in each format.
 *
 * The table's columns are data: a heading, the cell of a row, and when it says nothing.
 */
#include "cli/bench_print.h"

#include "base/alloc.h"
#include "cli/cli.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* --- JSON and CSV --------------------------------------------------------------------
 */

static struct mld_json *rows_json(const struct mld_bench_outcome *o)
{
    struct mld_json *array = mld_json_new_array();
    for (size_t i = 0; i < o->row_count; i++)
        mld_json_push(array, mld_row_json(&o->rows[i]));
    return array;
}

/* Objects with keys of their own in each row stay one cell. */
static bool csv_whole(const struct mld_json *v)
{
    return !mld_json_is(v, MLD_JSON_OBJECT) || mld_streq(mld_json_key(v), "shapes");
}

static int csv_columns(const struct mld_json *row, struct mld_arena *arena,
                       struct mld_column **out, size_t *count, struct mld_error *err)
{
    size_t n = 0;
    for (const struct mld_json *v = mld_json_first(row); v; v = mld_json_next(v))
        n += csv_whole(v) ? 1 : mld_json_count(v);
    struct mld_column *columns = mld_arena_array(arena, n + 1, sizeof *columns);
    *out = columns;
    *count = 0;
    for (const struct mld_json *v = mld_json_first(row); v && columns;
         v = mld_json_next(v)) {
        if (csv_whole(v)) {
            columns[(*count)++].key = mld_arena_strdup(arena, mld_json_key(v));
            continue;
        }
        for (const struct mld_json *k = mld_json_first(v); k; k = mld_json_next(k))
            columns[(*count)++].key =
                mld_arena_printf(arena, "%s_%s", mld_json_key(v), mld_json_key(k));
    }
    for (size_t i = 0; columns && i < *count; i++)
        if (!columns[i].key)
            columns = NULL;
    return columns ? 0 : mld_error_set(err, MLD_E_NO_MEMORY, "out of memory");
}

static void csv_cell(struct mld_table *t, const struct mld_json *v)
{
    switch (mld_json_type(v)) {
    case MLD_JSON_NULL:
        mld_table_none(t, NULL);
        break;
    case MLD_JSON_BOOL:
        mld_table_bool(t, mld_json_bool(v, false));
        break;
    case MLD_JSON_NUMBER:
        mld_table_num(t, mld_json_num(v, NAN), NULL);
        break;
    case MLD_JSON_STRING:
        mld_table_text(t, mld_json_str(v, NULL));
        break;
    case MLD_JSON_ARRAY:
    case MLD_JSON_OBJECT: {
        char *text = mld_json_print(v, false);
        mld_table_text(t, text);
        mld_free(text);
        break;
    }
    }
}

static int print_csv(const struct mld_json *rows, struct mld_error *err)
{
    struct mld_arena arena = {0};
    struct mld_column *columns = NULL;
    struct mld_table *t = NULL;
    size_t n = 0;
    int rc = csv_columns(mld_json_first(rows), &arena, &columns, &n, err);
    if (rc == 0)
        rc = mld_table_new(columns, n, &t, err);
    for (const struct mld_json *r = mld_json_first(rows); r && !rc;
         r = mld_json_next(r)) {
        mld_table_row(t);
        for (const struct mld_json *v = mld_json_first(r); v; v = mld_json_next(v)) {
            if (csv_whole(v))
                csv_cell(t, v);
            for (const struct mld_json *k = csv_whole(v) ? NULL : mld_json_first(v); k;
                 k = mld_json_next(k))
                csv_cell(t, k);
        }
    }
    if (rc == 0)
        rc = mld_cli_print_table(t, MLD_FORMAT_CSV, err);
    mld_table_free(t);
    mld_arena_release(&arena);
    return rc;
}

/* --- table ---------------------------------------------------------------------------
 */

/* Digits after the point of a time in milliseconds, so that about four are significant.
 */
static int ms_digits(double ns)
{
    return ns < 1e5 ? 4 : ns < 1e8 ? 2 : 1;
}

static void cell_ms(struct mld_table *t, double ns)
{
    char text[48];
    snprintf(text, sizeof text, "%.*f", ms_digits(ns), ns / 1e6);
    mld_table_num(t, ns / 1e6, text);
}

/* A value with its interval, where it has one. */
static void cell_interval(struct mld_table *t, double value, double low, double high)
{
    char text[96];
    int d = ms_digits(value);
    if (!isfinite(low) || !isfinite(high)) {
        cell_ms(t, value);
        return;
    }
    snprintf(text, sizeof text, "%.*f [%.*f, %.*f]", d, value / 1e6, d, low / 1e6, d,
             high / 1e6);
    mld_table_num(t, value / 1e6, text);
}

/* A percentile with its interval, or a dash and the count of samples that it needs. */
static void cell_percentile(struct mld_table *t, const struct mld_row *r, int index)
{
    const struct mld_summary *s = &r->result.summary;
    const struct mld_percentile *p = &s->p[index];
    char text[48];
    if (s->count && p->known) {
        cell_interval(t, p->value, p->low, p->high);
    } else if (s->count) {
        snprintf(text, sizeof text, "- (needs %lld)", (long long)p->needed);
        mld_table_none(t, text);
    } else {
        mld_table_none(t, NULL);
    }
}

static void cell_phase(struct mld_table *t, const struct mld_row *r, enum mld_phase p)
{
    if (r->result.phase_ns[p] < 0)
        mld_table_none(t, NULL);
    else
        cell_ms(t, (double)r->result.phase_ns[p]);
}

static void cell_double(struct mld_table *t, double x, int digits)
{
    char text[48];
    if (!isfinite(x)) {
        mld_table_none(t, NULL);
        return;
    }
    snprintf(text, sizeof text, "%.*f", digits, x);
    mld_table_num(t, x, text);
}

static void col_model(struct mld_table *t, const struct mld_row *r)
{
    char text[256];
    bool cut = r->layers >= 0 && r->layers != r->layers_full;
    snprintf(text, sizeof text, "%s%s", r->model, cut ? " (cut)" : "");
    mld_table_text(t, text);
}
static void col_hardware(struct mld_table *t, const struct mld_row *r)
{
    mld_table_text(t, r->hardware);
}
static void col_precision(struct mld_table *t, const struct mld_row *r)
{
    mld_table_text(t, r->precision);
}
static void col_mode(struct mld_table *t, const struct mld_row *r)
{
    mld_table_text(t, mld_mode_name(r->mode));
}
static void col_batch(struct mld_table *t, const struct mld_row *r)
{
    mld_table_int(t, r->batch_size, NULL);
}
static void col_status(struct mld_table *t, const struct mld_row *r)
{
    mld_table_text(t, mld_status_name(r->result.status));
}
static void col_throughput(struct mld_table *t, const struct mld_row *r)
{
    double x = mld_row_throughput(r);
    cell_double(t, x, x < 100 ? 2 : 0);
}
static void col_tokens(struct mld_table *t, const struct mld_row *r)
{
    cell_double(t, mld_row_tokens_per_s(r), 1);
}
static void col_mean(struct mld_table *t, const struct mld_row *r)
{
    const struct mld_summary *s = &r->result.summary;
    if (s->count)
        cell_interval(t, s->mean, s->mean_low, s->mean_high);
    else
        mld_table_none(t, NULL);
}
static void col_p50(struct mld_table *t, const struct mld_row *r)
{
    cell_percentile(t, r, MLD_P50);
}
static void col_p95(struct mld_table *t, const struct mld_row *r)
{
    cell_percentile(t, r, MLD_P95);
}
static void col_p99(struct mld_table *t, const struct mld_row *r)
{
    cell_percentile(t, r, MLD_P99);
}
static void col_count(struct mld_table *t, const struct mld_row *r)
{
    if (r->result.summary.count)
        mld_table_int(t, r->result.summary.count, NULL);
    else
        mld_table_none(t, NULL);
}
static void col_memory(struct mld_table *t, const struct mld_row *r)
{
    char text[32];
    int64_t bytes = r->result.memory_peak_bytes;
    if (bytes >= 0)
        mld_table_int(t, bytes, mld_human_bytes(bytes, text, sizeof text));
    else
        mld_table_none(t, NULL);
}
static void col_startup(struct mld_table *t, const struct mld_row *r)
{
    cell_phase(t, r, MLD_PHASE_STARTUP);
}
static void col_load(struct mld_table *t, const struct mld_row *r)
{
    cell_phase(t, r, MLD_PHASE_LOAD);
}
static void col_first_run(struct mld_table *t, const struct mld_row *r)
{
    cell_phase(t, r, MLD_PHASE_FIRST_RUN);
}
static void col_flops(struct mld_table *t, const struct mld_row *r)
{
    cell_double(t, mld_row_flop_per_s(r) / 1e9, 1);
}

static bool dull_precision(const struct mld_row *r)
{
    return strcmp(r->precision, "fp32") == 0;
}
static bool dull_mode(const struct mld_row *r)
{
    return r->mode == MLD_MODE_FORWARD;
}

static const struct bench_column {
    struct mld_column column;
    void (*cell)(struct mld_table *t, const struct mld_row *r);
    bool (*dull)(
        const struct mld_row *r); /* left out when so in every row; NULL: never */
} bench_columns[] = {
    {{"model", NULL, MLD_LEFT}, col_model, NULL},
    {{"hardware", NULL, MLD_LEFT}, col_hardware, NULL},
    {{"precision", NULL, MLD_LEFT}, col_precision, dull_precision},
    {{"mode", NULL, MLD_LEFT}, col_mode, dull_mode},
    {{"batch_size", "batch", MLD_RIGHT}, col_batch, NULL},
    {{"status", NULL, MLD_LEFT}, col_status, NULL},
    {{"throughput_per_s", "samples/s", MLD_RIGHT}, col_throughput, NULL},
    {{"tokens_per_s", "tokens/s", MLD_RIGHT}, col_tokens, dull_mode},
    {{"mean_ms", "mean ms", MLD_RIGHT}, col_mean, NULL},
    {{"p50_ms", "p50 ms", MLD_RIGHT}, col_p50, NULL},
    {{"p95_ms", "p95 ms", MLD_RIGHT}, col_p95, NULL},
    {{"p99_ms", "p99 ms", MLD_RIGHT}, col_p99, NULL},
    {{"sample_count", "n", MLD_RIGHT}, col_count, NULL},
    {{"memory_peak_bytes", "memory", MLD_RIGHT}, col_memory, NULL},
    {{"startup_ms", "startup ms", MLD_RIGHT}, col_startup, NULL},
    {{"load_ms", "load ms", MLD_RIGHT}, col_load, NULL},
    {{"first_run_ms", "first run ms", MLD_RIGHT}, col_first_run, NULL},
    {{"gflop_per_s", "GFLOP/s", MLD_RIGHT}, col_flops, NULL},
};
#define BENCH_COLUMN_COUNT (sizeof bench_columns / sizeof *bench_columns)

static bool column_shown(const struct bench_column *c, const struct mld_bench_outcome *o)
{
    for (size_t i = 0; i < o->row_count && c->dull; i++)
        if (!c->dull(&o->rows[i]))
            return true;
    return !c->dull;
}

static int print_table(const struct mld_bench_outcome *o, int64_t format,
                       struct mld_error *err)
{
    struct mld_column columns[BENCH_COLUMN_COUNT];
    const struct bench_column *shown[BENCH_COLUMN_COUNT];
    struct mld_table *t = NULL;
    size_t n = 0;
    for (size_t c = 0; c < BENCH_COLUMN_COUNT; c++) {
        if (!column_shown(&bench_columns[c], o))
            continue;
        shown[n] = &bench_columns[c];
        columns[n++] = bench_columns[c].column;
    }
    MLD_TRY(mld_table_new(columns, n, &t, err));
    for (size_t i = 0; i < o->row_count; i++) {
        mld_table_row(t);
        for (size_t c = 0; c < n; c++)
            shown[c]->cell(t, &o->rows[i]);
    }
    int rc = mld_cli_print_table(t, format, err);
    mld_table_free(t);
    return rc;
}

int mld_bench_print(const struct mld_bench_outcome *o, int64_t format,
                    struct mld_error *err)
{
    if (format == MLD_FORMAT_TABLE || format == MLD_FORMAT_MARKDOWN)
        return print_table(o, format, err);
    struct mld_json *rows = rows_json(o);
    int rc = !rows ? mld_error_set(err, MLD_E_NO_MEMORY, "out of memory")
             : format == MLD_FORMAT_JSON ? mld_cli_print_json(rows, err)
             : mld_json_count(rows) == 0 ? 0
                                         : print_csv(rows, err);
    mld_json_free(rows);
    return rc;
}
