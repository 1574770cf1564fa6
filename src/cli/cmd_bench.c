/* cmd_bench.c: `mldyno bench` (a sweep) and `mldyno run` (one case).
 *
 * Both fill the same request; run takes one value where bench takes a list. */
#include "cli/cli.h"

#include "cli/bench_print.h"
#include "base/alloc.h"
#include "base/log.h"

#include <stdio.h>
#include <string.h>

struct bench_args {
    struct mld_cli_common common;
    struct mld_strings models, categories, hardware, precisions;
    struct mld_integers batches, modes;
    bool all, dry_run, strict, store;
    struct mld_cli_shape shape;
    const char *weights, *db_path;
    int64_t limit, threads, warmup, min_samples, seed;
    uint64_t min_time, max_time, timeout, memory_limit;
    double target_width;
    struct mld_pairs options;
};

/* Rows that bench and run share: shapes, budget, where the rows go. */
#define BENCH_SHARED_OPTIONS                                                             \
    MLD_CLI_SHAPE_OPTIONS(struct bench_args, shape),                                     \
        {.name = "weights",                                                              \
         MLD_OPT_FIELD(STRING, struct bench_args, weights),                              \
         .value_name = "FILE",                                                           \
         .help =                                                                         \
             "real weights from one *.safetensors file (default: computed from names)"}, \
        {.name = "threads",                                                              \
         MLD_OPT_FIELD(INT, struct bench_args, threads),                                 \
         .value_name = "N",                                                              \
         .help = "compute threads of the engine (default: all cores)",                   \
         .min = 1,                                                                       \
         .max = 4096},                                                                   \
        {.name = "min-time",                                                             \
         MLD_OPT_FIELD(DURATION, struct bench_args, min_time),                           \
         .value_name = "TIME",                                                           \
         .help = "measure at least so long",                                             \
         .fallback = "2s"},                                                              \
        {.name = "max-time",                                                             \
         MLD_OPT_FIELD(DURATION, struct bench_args, max_time),                           \
         .value_name = "TIME",                                                           \
         .help = "stop a case after this, once it has its minimum of samples",           \
         .fallback = "10s"},                                                             \
        {.name = "min-samples",                                                          \
         MLD_OPT_FIELD(INT, struct bench_args, min_samples),                             \
         .value_name = "N",                                                              \
         .help = "samples after the warm-up; comes before --max-time",                   \
         .fallback = "10",                                                               \
         .min = 1,                                                                       \
         .max = MLD_MAX_SAMPLES / 2},                                                    \
        {.name = "warmup",                                                               \
         MLD_OPT_FIELD(INT, struct bench_args, warmup),                                  \
         .value_name = "N",                                                              \
         .help = "runs to discard",                                                      \
         .fallback = "auto",                                                             \
         .min = 0,                                                                       \
         .max = MLD_MAX_SAMPLES / 2,                                                     \
         .word = "auto"},                                                                \
        {.name = "target-width",                                                         \
         MLD_OPT_FIELD(FLOAT, struct bench_args, target_width),                          \
         .value_name = "SHARE",                                                          \
         .help =                                                                         \
             "stop once the median's 95 % interval is narrower than this share of it",   \
         .fallback = "0.01"},                                                            \
        {.name = "timeout",                                                              \
         MLD_OPT_FIELD(DURATION, struct bench_args, timeout),                            \
         .value_name = "TIME",                                                           \
         .help = "kill a case after this; its row is timed_out",                         \
         .fallback = "10m"},                                                             \
        {.name = "memory-limit",                                                         \
         MLD_OPT_FIELD(SIZE, struct bench_args, memory_limit),                           \
         .value_name = "SIZE",                                                           \
         .help = "hard limit of the worker's data memory (RLIMIT_DATA)"},                \
        {.name = "seed",                                                                 \
         MLD_OPT_FIELD(INT, struct bench_args, seed),                                    \
         .value_name = "N",                                                              \
         .help = "seed of whatever an engine draws",                                     \
         .fallback = "0",                                                                \
         .min = 0,                                                                       \
         .max = INT64_MAX},                                                              \
        {.name = "option",                                                               \
         .letter = 'o',                                                                  \
         MLD_OPT_FIELD(PAIRS, struct bench_args, options),                               \
         .value_name = "KEY=VALUE",                                                      \
         .help =                                                                         \
             "option of the backend; 'mldyno hardware --help-backend NAME' lists them"}, \
        {.name = "db-path",                                                              \
         MLD_OPT_FIELD(STRING, struct bench_args, db_path),                              \
         .value_name = "FILE",                                                           \
         .help =                                                                         \
             "database of the rows (default: $MLDYNO_DB, else ./benchmark_db.duckdb)"},  \
        {.name = "store",                                                                \
         MLD_OPT_FIELD(FLAG, struct bench_args, store),                                  \
         .fallback = "",                                                                 \
         .help = "keep rows and samples in the database; --no-store keeps nothing"},     \
        {.name = "dry-run",                                                              \
         MLD_OPT_FIELD(FLAG, struct bench_args, dry_run),                                \
         .help = "plan and print the cases, measure and keep nothing"},                  \
    {                                                                                    \
        .name = "strict", MLD_OPT_FIELD(FLAG, struct bench_args, strict),                \
        .help = "exit with 4 when a row is mistrusted"                                   \
    }

static const struct mld_option bench_options[] = {
    {.name = "model",
     MLD_OPT_FIELD(STRINGS, struct bench_args, models),
     .value_name = "NAME,...",
     .alias = "models",
     .help = "types, checkpoints, config.json files or folders"},
    {.name = "category",
     MLD_OPT_FIELD(STRINGS, struct bench_args, categories),
     .value_name = "NAME,...",
     .help = "every model type of these categories"},
    {.name = "all",
     MLD_OPT_FIELD(FLAG, struct bench_args, all),
     .help = "every model type"},
    {.name = "hardware",
     MLD_OPT_FIELD(STRINGS, struct bench_args, hardware),
     .value_name = "NAME,...",
     .fallback = "cpu",
     .alias = "device",
     .help = "platforms or devices of 'mldyno hardware', or all"},
    {.name = "batch-sizes",
     MLD_OPT_FIELD(INTS, struct bench_args, batches),
     .value_name = "N,...",
     .alias = "batch-size",
     .min = 1,
     .max = 1000000,
     .help = "batch sizes (default: the model type's own list)"},
    {.name = "precision",
     MLD_OPT_FIELD(STRINGS, struct bench_args, precisions),
     .value_name = "NAME,...",
     .fallback = "fp32",
     .help = "fp32, fp16, bf16, int8, int8-static, w8, w4"},
    {.name = "mode",
     MLD_OPT_FIELD(CHOICES, struct bench_args, modes),
     .value_name = "NAME,...",
     .fallback = "forward",
     .choices = mld_cli_mode_names,
     .help = "what one run computes"},
    {.name = "limit",
     MLD_OPT_FIELD(INT, struct bench_args, limit),
     .value_name = "N",
     .help = "at most N cases, spread fairly over the models",
     .min = 1,
     .max = MLD_CLI_LARGEST},
    BENCH_SHARED_OPTIONS,
    {.name = NULL}};

static const struct mld_option run_options[] = {
    {.name = "model",
     MLD_OPT_FIELD(STRINGS, struct bench_args, models),
     .value_name = "NAME",
     .help = "type, checkpoint, config.json file or folder"},
    {.name = "hardware",
     MLD_OPT_FIELD(STRINGS, struct bench_args, hardware),
     .value_name = "NAME",
     .fallback = "cpu",
     .alias = "device",
     .help = "platform or device of 'mldyno hardware'"},
    {.name = "batch-size",
     MLD_OPT_FIELD(INTS, struct bench_args, batches),
     .value_name = "N",
     .fallback = "1",
     .min = 1,
     .max = 1000000,
     .help = "batch size"},
    {.name = "precision",
     MLD_OPT_FIELD(STRINGS, struct bench_args, precisions),
     .value_name = "NAME",
     .fallback = "fp32",
     .help = "fp32, fp16, bf16, int8, int8-static, w8 or w4"},
    {.name = "mode",
     MLD_OPT_FIELD(CHOICES, struct bench_args, modes),
     .value_name = "NAME",
     .fallback = "forward",
     .choices = mld_cli_mode_names,
     .help = "what one run computes"},
    BENCH_SHARED_OPTIONS,
    {.name = NULL}};

/* --- progress, on stderr ------------------------------------------------------------ */

static void label(const struct mld_row *r, char *buf, size_t n)
{
    snprintf(buf, n, "%s %s %s batch %lld%s%s", r->model, r->hardware, r->precision,
             (long long)r->batch_size, r->mode == MLD_MODE_FORWARD ? "" : " ",
             r->mode == MLD_MODE_FORWARD ? "" : mld_mode_name(r->mode));
}

struct progress {
    size_t index, count;
};

static void on_begin(void *ctx, const struct mld_row *r, size_t index, size_t count)
{
    struct progress *p = ctx;
    char text[256];
    p->index = index;
    p->count = count;
    label(r, text, sizeof text);
    mld_log_progress("[%zu/%zu] %s", index + 1, count, text);
}

static void on_phase(void *ctx, const struct mld_row *r, enum mld_phase phase)
{
    const struct progress *p = ctx;
    char text[256];
    label(r, text, sizeof text);
    mld_log_progress("[%zu/%zu] %s: %s", p->index + 1, p->count, text,
                     mld_phase_name(phase));
}

static void on_progress(void *ctx, const struct mld_row *r, size_t runs, double median_ns)
{
    const struct progress *p = ctx;
    char text[256], median[32];
    if (!mld_log_is_terminal()) /* a line for each look would only fill a log */
        return;
    label(r, text, sizeof text);
    mld_log_progress("[%zu/%zu] %s: %zu runs, median %s", p->index + 1, p->count, text,
                     runs, mld_human_ns(median_ns, median, sizeof median));
}

static void on_end(void *ctx, const struct mld_row *r, size_t index, size_t count)
{
    char text[256], median[32];
    const struct mld_result *m = &r->result;
    const struct mld_percentile *p50 = &m->summary.p[MLD_P50];
    (void)ctx;
    label(r, text, sizeof text);
    mld_log_progress("%s", "");
    /* what is no result is told even under --quiet: the table has no room for reasons */
    enum mld_log_level level = m->status == MLD_STATUS_OK ? MLD_LOG_INFO : MLD_LOG_WARN;
    if (m->summary.count && p50->known)
        mld_log(level, "[%zu/%zu] %s: %s, median %s of %lld runs%s%s", index + 1, count,
                text, mld_status_name(m->status),
                mld_human_ns(p50->value, median, sizeof median),
                (long long)m->summary.count, *m->reason ? ": " : "", m->reason);
    else
        mld_log(level, "[%zu/%zu] %s: %s%s%s", index + 1, count, text,
                mld_status_name(m->status), *m->reason ? ": " : "", m->reason);
}

/* --- the commands ------------------------------------------------------------------- */

static int bench_check(const struct bench_args *a, struct mld_error *err)
{
    if (a->max_time < a->min_time)
        return mld_error_set(err, MLD_E_INVALID, "--max-time is shorter than --min-time");
    if (a->timeout == 0)
        return mld_error_set(err, MLD_E_INVALID, "--timeout: it must be longer than 0");
    return 0;
}

static int bench_main(const struct mld_command *cmd, void *args,
                      const struct mld_strings *operands, struct mld_error *err)
{
    const struct bench_args *a = args;
    struct mld_key_value options[64];
    (void)cmd;
    (void)operands;
    MLD_TRY(bench_check(a, err));
    if (a->options.count > sizeof options / sizeof *options)
        return mld_error_set(err, MLD_E_TOO_LARGE, "more than 64 backend options (-o)");
    for (size_t i = 0; i < a->options.count; i++)
        options[i] = (struct mld_key_value){a->options.keys[i], a->options.values[i]};
    struct mld_bench_request req = {.models = a->models.items,
                                    .model_count = a->models.count,
                                    .categories = a->categories.items,
                                    .category_count = a->categories.count,
                                    .all = a->all,
                                    .hardware = a->hardware.items,
                                    .hardware_count = a->hardware.count,
                                    .precisions = a->precisions.items,
                                    .precision_count = a->precisions.count,
                                    .modes = a->modes.items,
                                    .mode_count = a->modes.count,
                                    .batches = a->batches.items,
                                    .batch_count = a->batches.count,
                                    .class_name = a->shape.class_name,
                                    .weights_path = a->weights,
                                    .shapes = mld_cli_shapes(&a->shape, 0),
                                    .layers = a->shape.layers,
                                    .threads = (int)a->threads,
                                    .seed = (uint64_t)a->seed,
                                    .limit = a->limit,
                                    .budget = {.min_time_ns = a->min_time,
                                               .max_time_ns = a->max_time,
                                               .min_samples = a->min_samples,
                                               .max_samples = MLD_MAX_SAMPLES,
                                               .warmup = a->warmup,
                                               .target_width = a->target_width,
                                               .timeout_ns = a->timeout},
                                    .memory_limit_bytes = a->memory_limit,
                                    .options = options,
                                    .option_count = a->options.count,
                                    .db_path = a->db_path,
                                    .no_store = !a->store,
                                    .dry_run = a->dry_run,
                                    .command_line = mld_cli_command_line(),
                                    .cancel = &mld_cli_cancel};
    struct progress p = {0};
    struct mld_bench_observer observer = {on_begin, on_phase, on_progress, on_end, &p};
    struct mld_bench_outcome outcome;
    int rc = mld_bench(&req, &observer, &outcome, err);
    mld_log_progress("%s", "");
    struct mld_error print_err = {0}; /* rows measured so far are printed in any case */
    int printed = 0;
    if (outcome.row_count || rc == 0)
        printed = mld_bench_print(&outcome, a->common.format, &print_err);
    if (rc == 0 && printed != 0) {
        rc = printed;
        *err = print_err;
    }
    int code = rc ? rc : mld_bench_exit(&outcome, a->strict);
    mld_bench_outcome_release(&outcome);
    return code;
}

static int run_main(const struct mld_command *cmd, void *args,
                    const struct mld_strings *operands, struct mld_error *err)
{
    const struct bench_args *a = args;
    const struct {
        const char *option;
        size_t count;
    } single[] = {{"model", a->models.count},
                  {"hardware", a->hardware.count},
                  {"batch-size", a->batches.count},
                  {"precision", a->precisions.count},
                  {"mode", a->modes.count}};
    for (size_t i = 0; i < sizeof single / sizeof *single; i++)
        if (single[i].count != 1)
            return mld_error_set(err, MLD_E_INVALID,
                                 single[i].count ? "'mldyno run' measures one case: --%s "
                                                   "takes one value (use 'mldyno bench')"
                                                 : "'mldyno run' needs --%s",
                                 single[i].option);
    return bench_main(cmd, args, operands, err);
}

const struct mld_command mld_cmd_bench = {
    .name = "bench",
    .summary = "measure models over hardware, batch sizes, precisions and modes",
    .details =
        "Each case runs in its own process. Every run's time is kept in the database;\n"
        "the table shows 95 % intervals, and a dash with the needed count where there\n"
        "are too few samples for a percentile.",
    .examples = "  mldyno bench --model bert --hardware cpu --batch-sizes 1,8\n"
                "  mldyno bench --category vision --limit 4 --format json\n"
                "  mldyno bench --model ./my-checkpoint --seq 256 --threads 1",
    .options = bench_options,
    .common = mld_cli_common_options,
    .args_size = sizeof(struct bench_args),
    .run = bench_main,
    .cancels = true};

const struct mld_command mld_cmd_run = {
    .name = "run",
    .summary = "measure one case",
    .details =
        "The same as bench, for exactly one case: the line in a row's 'reproduce' is "
        "one.",
    .examples = "  mldyno run --model gpt2 --mode decode --seq 512 --batch-size 1",
    .options = run_options,
    .common = mld_cli_common_options,
    .args_size = sizeof(struct bench_args),
    .run = run_main,
    .cancels = true};
