/* verify.c: builds each golden's model, runs it in a worker, compares.
 *
 * A golden is built like any other model: from its class, model_type and config. */
#include "app/verify.h"

#include "app/artifact_case.h"
#include "app/golden.h"
#include "app/model.h"
#include "base/alloc.h"
#include "base/fs.h"
#include "core/registry.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define VERIFY_GOLDEN_MAX ((size_t)64 << 20) /* largest golden file that is read */
#define VERIFY_TIMEOUT_NS ((uint64_t)120 * 1000000000u)

struct verify {
    const struct mld_verify_request *req;
    const struct mld_backend_state *backend;
    const struct mld_device *device;
    char *self, *work_dir; /* work_dir: of the artifacts, removed at the end */
    mld_verify_fn tell;
    void *ctx;
    struct mld_verify_outcome *out;
};

/* The full-size config: names and shapes only, no weights are made. */
static int verify_full(const struct mld_json *golden, const struct mld_model *small,
                       struct mld_error *err)
{
    const struct mld_json *full = mld_json_get(golden, "full");
    if (!mld_json_is(full, MLD_JSON_OBJECT))
        return 0;
    struct mld_arena arena = {0};
    struct mld_graph *g = NULL;
    struct mld_arch_info info;
    struct mld_arch_request req = {.config = mld_json_get(full, "config"),
                                   .model_type = small->model_type,
                                   .class_name = small->class_name,
                                   .mode = MLD_MODE_FORWARD};
    int rc = mld_arch_build(&req, &arena, &g, &info, err);
    if (rc == 0)
        rc = mld_golden_check_digest(full, g, err);
    if (rc != 0)
        mld_error_context(err, "full size");
    mld_graph_release(g);
    mld_arena_release(&arena);
    return rc;
}

/* Runs the artifact once and compares its outputs. */
static int verify_run(const struct verify *v, const struct mld_json *golden,
                      const struct mld_artifact *artifact, struct mld_str *left_out,
                      struct mld_error *err)
{
    struct mld_arena arena = {0};
    struct mld_case c;
    struct mld_result result;
    mld_result_init(&result);
    int rc = mld_case_from_artifact(artifact, &arena, &c, err);
    if (rc == 0)
        rc = mld_golden_fill(golden, &arena, &c, err);
    if (rc == 0) {
        c.backend = v->backend->ops->name;
        c.device = v->device->id;
        c.task = MLD_TASK_OUTPUTS;
        c.threads = 1;
        c.budget.timeout_ns = VERIFY_TIMEOUT_NS;
        c.budget.max_samples = 1;
        struct mld_run_params params = {v->self, NULL, v->req->cancel};
        mld_run_case(&c, &params, &result);
        if (result.status != MLD_STATUS_OK)
            rc = mld_error_set(err, MLD_E_ENGINE, "%s: %s",
                               mld_status_name(result.status), result.reason);
    }
    if (rc == 0)
        rc = mld_golden_check_outputs(golden, &result, left_out, err);
    mld_result_release(&result);
    mld_arena_release(&arena);
    return rc;
}

static int verify_artifact(const struct verify *v, const struct mld_model *m,
                           const struct mld_arch_request *arch, struct mld_str *left_out,
                           struct mld_error *err)
{
    struct mld_artifact_request want = {
        .arch = *arch,
        .target = {.fused_ort = (v->backend->ops->flags & MLD_BACKEND_FUSED_ORT) != 0},
        .weights = {m->weights_path},
        .precision = "fp32"};
    struct mld_artifact artifact = {.lock_fd = -1};
    struct mld_cache_params cache = {v->work_dir, 0};
    int rc = mld_artifact_open(&want, &cache, &artifact, err);
    if (rc != 0)
        return rc;
    rc = verify_run(v, m->golden, &artifact, left_out, err);
    char *dir = mld_strdup(artifact.dir);
    mld_artifact_close(&artifact);
    if (dir)
        mld_remove_tree(dir, NULL);
    mld_free(dir);
    return rc;
}

static int verify_model(const struct verify *v, const struct mld_model *m,
                        struct mld_str *left_out, struct mld_error *err)
{
    struct mld_arena arena = {0};
    struct mld_arch_input *inputs = NULL;
    struct mld_graph *g = NULL;
    struct mld_arch_info info;
    size_t count = 0;
    int rc = mld_golden_inputs(m->golden, &arena, &inputs, &count, err);
    struct mld_arch_request req = {.config = m->config,
                                   .model_type = m->model_type,
                                   .class_name = m->class_name,
                                   .mode = MLD_MODE_FORWARD,
                                   .inputs = inputs,
                                   .input_count = count};
    if (rc == 0)
        rc = mld_arch_build(&req, &arena, &g, &info, err);
    if (rc == 0)
        rc = mld_golden_check_parameters(m->golden, g, err);
    if (rc == 0 && mld_json_get(m->golden, "digest"))
        rc = mld_golden_check_digest(m->golden, g, err);
    if (rc == 0)
        rc = verify_full(m->golden, m, err);
    if (rc == 0)
        rc = verify_artifact(v, m, &req, left_out, err);
    mld_graph_release(g);
    mld_arena_release(&arena);
    return rc;
}

/* The golden's own model, or, where it has no config, the checkpoint's. Takes golden
 * over. */
static int verify_resolve(const struct verify *v, struct mld_json *golden,
                          struct mld_arena *arena, struct mld_model *m,
                          struct mld_error *err)
{
    if (mld_json_get(golden, "config"))
        return mld_model_from_golden(golden, arena, m, err);
    int rc;
    if (!v->req->checkpoint)
        rc = mld_error_set(err, MLD_E_INVALID,
                           "the golden has no config: it is for real "
                           "weights, give their folder with --checkpoint DIR");
    else
        rc = mld_model_resolve(v->req->checkpoint,
                               mld_json_str(mld_json_get(golden, "class"), NULL), NULL,
                               arena, m, err);
    if (rc != 0)
        mld_json_free(golden);
    else
        m->golden = golden;
    return rc;
}

static void verify_one(const struct verify *v, const char *path)
{
    struct mld_json *golden = NULL;
    struct mld_error err = {0};
    struct mld_arena arena = {0};
    struct mld_model m = {0};
    struct mld_str left_out = {0};
    char name[128];
    snprintf(name, sizeof name, "%s", mld_path_base(path));
    if (mld_str_ends(name, ".json"))
        name[strlen(name) - strlen(".json")] = '\0';
    int rc = mld_json_read(path, VERIFY_GOLDEN_MAX, &golden, &err);
    if (rc == 0 && !mld_json_is(mld_json_get(golden, "outputs"), MLD_JSON_OBJECT)) {
        mld_json_free(golden);
        rc = mld_error_set(&err, MLD_E_PARSE,
                           "'%s' is not a golden file: it has no "
                           "'outputs'",
                           path);
    } else if (rc == 0) {
        const char *own = mld_json_str(mld_json_get(golden, "name"), "");
        if (*own)
            snprintf(name, sizeof name, "%s", own);
        rc = verify_resolve(v, golden, &arena, &m, &err);
    }
    enum mld_verdict verdict = MLD_VERDICT_OK;
    const char *detail = "";
    if (rc == 0 && v->req->gradients) {
        verdict = MLD_VERDICT_SKIP;
        detail = "this version cannot train: outputs are checked without --gradients";
    } else if (rc == 0) {
        rc = verify_model(v, &m, &left_out, &err);
        detail = mld_str_c(&left_out);
    }
    if (rc != 0) {
        verdict = MLD_VERDICT_FAIL;
        detail = err.message;
    }
    v->out->passed += verdict == MLD_VERDICT_OK;
    v->out->failed += verdict == MLD_VERDICT_FAIL;
    v->out->skipped += verdict == MLD_VERDICT_SKIP;
    v->tell(v->ctx, verdict, name, detail);
    mld_str_release(&left_out);
    mld_model_release(&m);
    mld_arena_release(&arena);
}

static bool verify_cancelled(const struct verify *v)
{
    return v->req->cancel && *v->req->cancel;
}

static int verify_folder(const struct verify *v, const char *dir, struct mld_error *err)
{
    char **names = NULL;
    size_t n = 0, goldens = 0;
    MLD_TRY(mld_dir_list(dir, &names, &n, err));
    int rc = 0;
    for (size_t i = 0; i < n && !rc && !verify_cancelled(v); i++) {
        if (!mld_str_ends(names[i], ".json"))
            continue;
        char *path = mld_path_join(dir, names[i]);
        if (path) {
            verify_one(v, path);
            goldens++;
        } else {
            rc = mld_error_set(err, MLD_E_NO_MEMORY, "out of memory");
        }
        mld_free(path);
    }
    mld_names_free(names, n);
    if (!rc && goldens == 0)
        rc =
            mld_error_set(err, MLD_E_NOT_FOUND, "folder '%s' has no *.json goldens", dir);
    return rc;
}

static int verify_engine(struct verify *v, struct mld_error *err)
{
    const char *word = v->req->engine ? v->req->engine : "cpu";
    const struct mld_backend_state *states;
    size_t n;
    MLD_TRY(mld_registry_scan(&states, &n, err));
    for (size_t i = 0; i < n && !v->backend; i++) {
        if (strcmp(states[i].ops->name, word) != 0)
            continue;
        if (!states[i].probe.usable || states[i].device_count == 0)
            return mld_error_set(err, MLD_E_NO_ENGINE, "engine '%s' is not usable: %s",
                                 word, states[i].probe.reason);
        v->backend = &states[i];
        v->device = &states[i].devices[0];
    }
    if (!v->backend)
        MLD_TRY(mld_registry_resolve(word, &v->backend, &v->device, err));
    if (!(v->backend->ops->flags & MLD_BACKEND_NUMERIC))
        return mld_error_set(err, MLD_E_UNSUPPORTED,
                             "engine '%s' computes no model: it "
                             "cannot verify one",
                             word);
    return 0;
}

static int verify_work_dir(struct verify *v, struct mld_error *err)
{
    const char *base = getenv("TMPDIR");
    char text[512];
    snprintf(text, sizeof text, "%s/mldyno-verify-XXXXXX", base && *base ? base : "/tmp");
    if (!mkdtemp(text))
        return mld_error_set(err, MLD_E_IO,
                             "cannot make a temporary folder '%s': set TMPDIR "
                             "to a writable place",
                             text);
    v->work_dir = mld_strdup(text);
    return v->work_dir ? 0 : mld_error_set(err, MLD_E_NO_MEMORY, "out of memory");
}

int mld_verify(const struct mld_verify_request *req, mld_verify_fn tell, void *ctx,
               struct mld_verify_outcome *out, struct mld_error *err)
{
    struct verify v = {.req = req, .tell = tell, .ctx = ctx, .out = out};
    memset(out, 0, sizeof *out);
    for (size_t i = 0; i < req->path_count; i++)
        if (!mld_path_exists(req->paths[i]))
            return mld_error_set(err, MLD_E_NOT_FOUND, "no golden file or folder '%s'",
                                 req->paths[i]);
    MLD_TRY(verify_engine(&v, err));
    MLD_TRY(verify_work_dir(&v, err));
    int rc = 0;
    v.self = mld_self_path();
    if (!v.self)
        rc = mld_error_set(err, MLD_E_IO,
                           "cannot find this program's own path: is /proc "
                           "mounted?");
    for (size_t i = 0; i < req->path_count && !rc && !verify_cancelled(&v); i++) {
        if (mld_path_is_dir(req->paths[i]))
            rc = verify_folder(&v, req->paths[i], err);
        else
            verify_one(&v, req->paths[i]);
    }
    if (!rc && verify_cancelled(&v))
        rc = mld_error_set(err, MLD_E_CANCELLED, "cancelled");
    mld_remove_tree(v.work_dir, NULL);
    mld_free(v.work_dir);
    mld_free(v.self);
    return rc;
}
