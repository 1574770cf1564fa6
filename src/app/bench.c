/* bench.c: measures a plan case by case and stores each row as it is finished.
 *
 * The artifact is built here, outside the worker, so that the worker's memory is the
 * engine's and the model's alone. */
#include "app/bench.h"

#include "app/artifact_case.h"
#include "app/plan.h"
#include "artifact/cache.h"
#include "base/alloc.h"
#include "base/fs.h"
#include "base/log.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* What stays the same over the cases of one bench. */
struct bench {
    const struct mld_bench_request *req;
    const struct mld_bench_observer *observer;
    struct mld_plan *plan;
    struct mld_bench_outcome *out;
    struct mld_store *store; /* NULL: rows are not kept */
    struct mld_environment env;
    char *self; /* this program, the worker too */
    const char *run_id;
};

/* --- the line that repeats a case --------------------------------------------------- */

static void reproduce_int(struct mld_str *s, const char *option, int64_t x)
{
    if (x > 0)
        mld_str_addf(s, " --%s %lld", option, (long long)x);
}

/* Quotes for a POSIX shell where the text has more than plain characters. */
static void reproduce_text(struct mld_str *s, const char *text)
{
    if (*text && text[strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                   "0123456789_-./:=+,@%")] == '\0') {
        mld_str_add(s, text);
        return;
    }
    mld_str_addc(s, '\'');
    for (; *text; text++) {
        if (*text == '\'')
            mld_str_add(s, "'\\''");
        else
            mld_str_addc(s, *text);
    }
    mld_str_addc(s, '\'');
}

static const char *bench_reproduce(const struct bench *b, const struct mld_plan_case *c,
                                   const struct mld_row *r)
{
    const struct mld_bench_request *q = b->req;
    const struct mld_model *m = &b->plan->models[c->model];
    struct mld_str s = {0};
    mld_str_add(&s, "mldyno run --model ");
    reproduce_text(&s, m->label);
    if (q->class_name) {
        mld_str_add(&s, " --class ");
        reproduce_text(&s, q->class_name);
    }
    if (q->weights_path) {
        mld_str_add(&s, " --weights ");
        reproduce_text(&s, q->weights_path);
    }
    mld_str_addf(&s, " --hardware %s --precision %s --mode %s", c->hardware, c->precision,
                 mld_mode_name(c->mode));
    reproduce_int(&s, "batch-size", c->batch);
    reproduce_int(&s, "seq", q->shapes.seq);
    reproduce_int(&s, "decoder-seq", q->shapes.decoder_seq);
    reproduce_int(&s, "image-size", q->shapes.image_size);
    reproduce_int(&s, "cache-capacity", q->shapes.capacity);
    reproduce_int(&s, "layers", q->layers);
    reproduce_int(&s, "threads", r->threads);
    mld_str_addf(&s, " --seed %llu", (unsigned long long)q->seed);
    if (q->budget.warmup >= 0)
        mld_str_addf(&s, " --warmup %lld", (long long)q->budget.warmup);
    mld_str_addf(&s, " --min-time %.10gs --max-time %.10gs --min-samples %lld",
                 (double)q->budget.min_time_ns / 1e9, (double)q->budget.max_time_ns / 1e9,
                 (long long)q->budget.min_samples);
    mld_str_addf(&s, " --target-width %.10g --timeout %.10gs", q->budget.target_width,
                 (double)q->budget.timeout_ns / 1e9);
    if (q->memory_limit_bytes > 0)
        mld_str_addf(&s, " --memory-limit %llu",
                     (unsigned long long)q->memory_limit_bytes);
    for (size_t i = 0; i < q->option_count; i++) {
        if (!mld_plan_option_known(c->backend->ops, q->options[i].key))
            continue; /* of another backend of the sweep: run would refuse it */
        mld_str_add(&s, " -o ");
        struct mld_str pair = {0};
        mld_str_addf(&pair, "%s=%s", q->options[i].key, q->options[i].value);
        reproduce_text(&s, mld_str_c(&pair));
        mld_str_release(&pair);
    }
    char *text = mld_arena_strdup(&b->out->arena, mld_str_c(&s));
    mld_str_release(&s);
    return text ? text : "";
}

/* --- one case ----------------------------------------------------------------------- */

static void row_fail(struct mld_row *r, enum mld_status status, const char *reason)
{
    r->result.status = status;
    snprintf(r->result.reason, sizeof r->result.reason, "%s", reason);
}

/* The status of a case that could not be built: the user's wish, or the machine's lack.
 */
static enum mld_status status_of_error(int code)
{
    switch (code) {
    case MLD_E_UNSUPPORTED:
        return MLD_STATUS_UNSUPPORTED;
    case MLD_E_NO_MEMORY:
        return MLD_STATUS_OUT_OF_MEMORY;
    case MLD_E_CANCELLED:
        return MLD_STATUS_CANCELLED;
    default:
        return MLD_STATUS_FAILED;
    }
}

static void row_names(const struct bench *b, const struct mld_plan_case *c,
                      struct mld_row *r)
{
    const struct mld_model *m = &b->plan->models[c->model];
    struct mld_arena *a = &b->out->arena;
    r->model = mld_arena_strdup(a, m->label);
    r->model_type = m->model_type;
    r->class_name =
        m->class_name ? mld_arena_strdup(a, m->class_name) : m->type->default_class;
    r->checkpoint = m->checkpoint;
    r->categories = m->type->categories;
    r->hardware = mld_arena_strdup(a, c->hardware);
    r->precision = mld_arena_strdup(a, c->precision);
    r->mode = c->mode;
    r->batch_size = c->batch;
    r->threads = b->req->threads > 0 ? b->req->threads : b->env.cores_allowed;
    r->throughput_unit = "samples"; /* tokens have figures of their own */
    r->run_id = b->run_id;
    r->result.device = *c->device;
    snprintf(r->result.engine, sizeof r->result.engine, "%s", c->backend->probe.engine);
    snprintf(r->result.engine_version, sizeof r->result.engine_version, "%s",
             c->backend->probe.version);
    r->reproduce = bench_reproduce(b, c, r);
}

/* Builds the graph for what the row tells of it; false: the row already has its status.
 */
static bool row_describe(const struct bench *b, const struct mld_plan_case *c,
                         struct mld_row *r)
{
    const struct mld_model *m = &b->plan->models[c->model];
    struct mld_arena arena = {0};
    struct mld_graph *g = NULL;
    struct mld_arch_info info;
    struct mld_error err = {0};
    struct mld_arch_shapes shapes = b->req->shapes;
    shapes.batch = c->batch;
    int rc =
        mld_model_build(m, c->mode, &shapes, b->req->layers, &arena, &g, &info, &err);
    if (rc == 0) {
        struct mld_cost cost = mld_graph_cost(g);
        r->class_name = mld_arena_strdup(&b->out->arena, info.class_name);
        r->categories = info.categories;
        r->shapes = info.shapes;
        r->layers = info.layers;
        r->layers_full = info.layers_full;
        r->parameters = mld_graph_param_values(g);
        r->weights_bytes = (int64_t)cost.weight_bytes;
        r->flops = cost.flops;
        r->matmul_flops = cost.matmul_flops;
        r->read_bytes = cost.read_bytes;
        r->write_bytes = cost.write_bytes;
        double needed = cost.weight_bytes + cost.activation_peak_bytes;
        if (needed > (double)b->env.memory_total_bytes && b->env.memory_total_bytes > 0) {
            char reason[200], have[32], need[32];
            snprintf(need, sizeof need, "%.1f GB", needed / 1e9);
            snprintf(have, sizeof have, "%.1f GB",
                     (double)b->env.memory_total_bytes / 1e9);
            snprintf(
                reason, sizeof reason,
                "needs at least %s (weights and activations), this machine has %s: try "
                "--layers N or a smaller batch",
                need, have);
            row_fail(r, MLD_STATUS_SKIPPED, reason);
            rc = MLD_E_NO_MEMORY;
        }
    } else {
        row_fail(r, status_of_error(rc), err.message);
    }
    mld_graph_release(g);
    mld_arena_release(&arena);
    return rc == 0;
}

struct bench_events { /* what the runner's observer needs to reach ours */
    const struct bench *b;
    const struct mld_row *row;
};

static void on_phase(void *ctx, enum mld_phase phase)
{
    const struct bench_events *e = ctx;
    if (e->b->observer && e->b->observer->phase)
        e->b->observer->phase(e->b->observer->ctx, e->row, phase);
}

static void on_progress(void *ctx, size_t runs, double median_ns)
{
    const struct bench_events *e = ctx;
    if (e->b->observer && e->b->observer->progress)
        e->b->observer->progress(e->b->observer->ctx, e->row, runs, median_ns);
}

/* Runs the built artifact in a worker; the row's names of device and engine stay where
 * the worker died before it could tell them. */
static void row_measure(const struct bench *b, const struct mld_plan_case *c,
                        const struct mld_artifact *artifact, struct mld_row *r)
{
    struct mld_arena arena = {0};
    struct mld_case cc;
    struct mld_error err = {0};
    int rc = mld_case_from_artifact(artifact, &arena, &cc, &err);
    if (rc != 0) {
        row_fail(r, MLD_STATUS_FAILED, err.message);
        mld_arena_release(&arena);
        return;
    }
    struct mld_key_value *options =
        mld_arena_array(&arena, b->req->option_count + 1, sizeof *options);
    if (!options) { /* never measured without what was asked for */
        row_fail(r, MLD_STATUS_OUT_OF_MEMORY, "out of memory");
        mld_arena_release(&arena);
        return;
    }
    for (size_t i = 0; i < b->req->option_count; i++)
        if (mld_plan_option_known(c->backend->ops, b->req->options[i].key))
            options[cc.option_count++] = b->req->options[i];
    cc.backend = c->backend->ops->name;
    cc.device = c->device->id;
    cc.threads = r->threads;
    cc.seed = b->req->seed;
    cc.task = MLD_TASK_MEASURE;
    cc.budget = b->req->budget;
    cc.memory_limit_bytes = b->req->memory_limit_bytes;
    cc.options = options;
    struct bench_events events = {b, r};
    struct mld_run_observer observer = {on_phase, on_progress, &events};
    struct mld_run_params params = {b->self, &observer, b->req->cancel};
    struct mld_result before = r->result;
    mld_result_init(&r->result);
    mld_machine_state_capture(&r->before);
    mld_run_case(&cc, &params, &r->result);
    mld_machine_state_capture(&r->after);
    if (!*r->result.device.id)
        r->result.device = before.device;
    if (!*r->result.engine) {
        memcpy(r->result.engine, before.engine, sizeof before.engine);
        memcpy(r->result.engine_version, before.engine_version,
               sizeof before.engine_version);
    }
    mld_arena_release(&arena);
}

static void bench_case(const struct bench *b, const struct mld_plan_case *c,
                       struct mld_row *r)
{
    const struct mld_model *m = &b->plan->models[c->model];
    if (!row_describe(b, c, r))
        return;
    struct mld_artifact_request want = {
        .arch = {.config = m->config,
                 .model_type = m->model_type,
                 .class_name = m->class_name,
                 .mode = c->mode,
                 .shapes = b->req->shapes,
                 .layers = b->req->layers},
        .target = {.fused_ort = (c->backend->ops->flags & MLD_BACKEND_FUSED_ORT) != 0},
        .weights = {m->weights_path},
        .precision = c->precision,
        .checkpoint = m->checkpoint};
    want.arch.shapes.batch = c->batch;
    if (b->observer && b->observer->phase)
        b->observer->phase(b->observer->ctx, r, MLD_PHASE_BUILD);
    struct mld_artifact artifact;
    struct mld_error err = {0};
    uint64_t start = mld_now_ns(mld_clock_real());
    int rc = mld_artifact_open(&want, NULL, &artifact, &err);
    int64_t build_ns = (int64_t)(mld_now_ns(mld_clock_real()) - start);
    if (rc != 0) {
        row_fail(r, status_of_error(rc), err.message);
        return;
    }
    r->artifact_key = mld_arena_strdup(
        &b->out->arena, mld_json_str(mld_json_get(artifact.manifest, "key"), ""));
    row_measure(b, c, &artifact, r);
    r->result.phase_ns[MLD_PHASE_BUILD] = build_ns;
    mld_artifact_close(&artifact);
}

/* --- the whole ---------------------------------------------------------------------- */

/* A cache that no case could be built in ends the bench before it begins. */
static int bench_check_cache(struct mld_error *err)
{
    struct mld_cache cache;
    MLD_TRY(mld_cache_open(NULL, 0, &cache, err));
    mld_cache_release(&cache);
    return 0;
}

static int bench_store_open(struct bench *b, struct mld_error *err)
{
    const struct mld_bench_request *q = b->req;
    if (q->no_store || q->dry_run)
        return 0;
    MLD_TRY(mld_store_open(mld_store_default_path(q->db_path), MLD_STORE_WRITE, &b->store,
                           err));
    struct mld_json *env = mld_environment_json(&b->env);
    char *text = env ? mld_json_print(env, false) : NULL;
    mld_json_free(env);
    if (!text)
        return mld_error_set(err, MLD_E_NO_MEMORY, "out of memory");
    struct mld_store_run run = {.command_line = q->command_line,
                                .mldyno_version = b->env.mldyno_version,
                                .git_commit = b->env.git_commit,
                                .environment_json = text,
                                .environment_fingerprint = b->env.fingerprint,
                                .hostname = b->env.hostname};
    int rc = mld_store_begin_run(b->store, &run, b->out->run_id, err);
    mld_free(text);
    b->run_id = b->out->run_id;
    return rc;
}

static int bench_store_availability(struct bench *b, struct mld_error *err)
{
    const struct mld_backend_state *states;
    size_t n, count = 0;
    struct mld_store_availability rows[64];
    if (!b->store)
        return 0;
    MLD_TRY(mld_registry_scan(&states, &n, err));
    for (size_t i = 0; i < n; i++) {
        const struct mld_backend_state *s = &states[i];
        for (size_t d = 0; d < (s->device_count ? s->device_count : 1) && count < 64;
             d++) {
            const struct mld_device *dev = s->device_count ? &s->devices[d] : NULL;
            rows[count++] =
                (struct mld_store_availability){.backend = s->ops->name,
                                                .engine = s->probe.engine,
                                                .engine_version = s->probe.version,
                                                .platform = dev ? dev->platform : NULL,
                                                .device_id = dev ? dev->id : NULL,
                                                .device_name = dev ? dev->name : NULL,
                                                .usable = s->probe.usable,
                                                .reason = s->probe.reason};
        }
    }
    return mld_store_add_availability(b->store, b->run_id, rows, count, err);
}

static int bench_keep(const struct bench *b, const struct mld_plan_case *c,
                      struct mld_row *r, struct mld_error *err)
{
    int rc = 0;
    if (b->store) {
        char *config = mld_json_print(b->plan->models[c->model].config, false);
        rc = config ? mld_row_store(r, config, b->store, err)
                    : mld_error_set(err, MLD_E_NO_MEMORY, "out of memory");
        mld_free(config);
    }
    mld_free(r->result.samples_ns); /* kept in the store; the summary stays */
    r->result.samples_ns = NULL;
    r->result.sample_count = 0;
    return rc;
}

static int bench_cases(struct bench *b, struct mld_error *err)
{
    const struct mld_bench_observer *o = b->observer;
    for (size_t i = 0; i < b->plan->case_count; i++) {
        const struct mld_plan_case *c = &b->plan->cases[i];
        struct mld_row *r = &b->out->rows[b->out->row_count++];
        mld_row_init(r);
        row_names(b, c, r);
        if (o && o->begin)
            o->begin(o->ctx, r, i, b->plan->case_count);
        if (b->req->cancel && *b->req->cancel)
            row_fail(r, MLD_STATUS_CANCELLED, "stopped before it began");
        else if (!b->req->dry_run)
            bench_case(b, c, r);
        else if (row_describe(b, c, r))
            row_fail(r, MLD_STATUS_SKIPPED, "dry run: planned, not measured");
        MLD_TRY(bench_keep(b, c, r, err));
        if (o && o->end)
            o->end(o->ctx, r, i, b->plan->case_count);
    }
    return 0;
}

int mld_bench(const struct mld_bench_request *req,
              const struct mld_bench_observer *observer, struct mld_bench_outcome *out,
              struct mld_error *err)
{
    struct mld_plan plan;
    struct bench b = {.req = req, .observer = observer, .plan = &plan, .out = out};
    memset(out, 0, sizeof *out);
    MLD_TRY(mld_plan_make(req, &plan, err));
    int rc = mld_environment_capture(&b.env, err);
    if (rc == 0 && !(b.self = mld_self_path()))
        rc = mld_error_set(err, MLD_E_IO,
                           "cannot find this program's own path: is /proc "
                           "mounted?");
    if (rc == 0 && !req->dry_run)
        rc = bench_check_cache(err);
    if (rc == 0)
        rc = bench_store_open(&b, err);
    if (rc == 0)
        rc = bench_store_availability(&b, err);
    if (rc == 0) {
        out->rows = mld_calloc(plan.case_count + 1, sizeof *out->rows);
        if (!out->rows)
            rc = mld_error_set(err, MLD_E_NO_MEMORY, "out of memory");
    }
    if (rc == 0)
        rc = bench_cases(&b, err);
    if (rc == 0 && b.store)
        rc = mld_store_end_run(b.store, b.run_id, err);
    mld_store_close(b.store);
    mld_free(b.self);
    mld_plan_release(&plan);
    return rc;
}

void mld_bench_outcome_release(struct mld_bench_outcome *o)
{
    for (size_t i = 0; i < o->row_count; i++)
        mld_row_release(&o->rows[i]);
    mld_free(o->rows);
    mld_arena_release(&o->arena);
    memset(o, 0, sizeof *o);
}

int mld_bench_exit(const struct mld_bench_outcome *o, bool strict)
{
    bool failed = false, doubtful = false;
    for (size_t i = 0; i < o->row_count; i++) {
        switch (o->rows[i].result.status) {
        case MLD_STATUS_FAILED:
        case MLD_STATUS_TIMED_OUT:
        case MLD_STATUS_OUT_OF_MEMORY:
        case MLD_STATUS_CANCELLED:
            failed = true;
            break;
        case MLD_STATUS_MISTRUSTED:
            doubtful = true;
            break;
        case MLD_STATUS_OK:
        case MLD_STATUS_UNSUPPORTED:
        case MLD_STATUS_SKIPPED:
        case MLD_STATUS_COUNT:
            break;
        }
    }
    return failed ? 1 : strict && doubtful ? 4 : 0;
}
