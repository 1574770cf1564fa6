/* model.c: finds what --model names and builds its graph.
 *
 * Order: a known checkpoint, a model type, then a path. */
#include "app/model.h"

#include "base/fs.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define MODEL_CONFIG_MAX ((size_t)8 << 20) /* largest config or golden that is read */

static int model_no_memory(struct mld_error *err)
{
    return mld_error_set(err, MLD_E_NO_MEMORY, "out of memory");
}

/* Sets model_type in the config (checkpoints of before 2020 and bare tables lack it). */
static void model_put_type(struct mld_json *config, const char *model_type)
{
    if (!mld_json_get(config, "model_type"))
        mld_json_set(config, "model_type", mld_json_new_str(model_type));
}

static int model_known(const struct mld_checkpoint *ck, const struct mld_arch_type *type,
                       struct mld_model *out, struct mld_error *err)
{
    const char *text = ck ? ck->config_json : "{}";
    MLD_TRY(mld_json_parse(text, strlen(text), ck ? ck->name : type->model_type,
                           &out->config, err));
    out->type = type;
    out->model_type = type->model_type;
    model_put_type(out->config, type->model_type);
    if (ck) {
        out->checkpoint = ck->name;
        if (!out->class_name)
            out->class_name = ck->class_name;
    }
    return 0;
}

/* The type of a config: its model_type, or what arch infers from its architectures. */
static int model_type_of(struct mld_model *out, const char *what, struct mld_error *err)
{
    const char *given = mld_json_str(mld_json_get(out->config, "model_type"), NULL);
    const char *name = given ? given : mld_arch_infer_type(out->config);
    if (!name)
        return mld_error_set(
            err, MLD_E_INVALID,
            "'%s' has no 'model_type' and no architecture that tells it: "
            "add \"model_type\"",
            what);
    out->type = mld_arch_type_find(name);
    if (!out->type) {
        const char *near = mld_arch_nearest(name);
        return mld_error_set(
            err, MLD_E_NOT_FOUND,
            "'%s': model_type '%.64s' is not known%s%s%s; 'mldyno models' "
            "lists all",
            what, name, near ? ": did you mean '" : "", near ? near : "",
            near ? "'?" : "");
    }
    out->model_type = out->type->model_type;
    model_put_type(out->config, out->model_type);
    return 0;
}

int mld_model_from_golden(struct mld_json *golden, struct mld_arena *arena,
                          struct mld_model *out, struct mld_error *err)
{
    memset(out, 0, sizeof *out);
    out->golden = golden;
    const char *name = mld_json_str(mld_json_get(golden, "name"), "golden");
    const struct mld_json *config = mld_json_get(golden, "config");
    out->label = mld_arena_strdup(arena, name);
    out->class_name = mld_json_str(mld_json_get(golden, "class"), NULL);
    out->config = config ? mld_json_copy(config) : mld_json_new_object();
    if (!out->config || !out->label)
        return model_no_memory(err);
    const char *type = mld_json_str(mld_json_get(golden, "model_type"), NULL);
    if (type)
        model_put_type(out->config, type);
    return model_type_of(out, out->label, err);
}

static int model_file(const char *path, struct mld_arena *arena, struct mld_model *out,
                      struct mld_error *err)
{
    struct mld_json *root = NULL;
    MLD_TRY(mld_json_read(path, MODEL_CONFIG_MAX, &root, err));
    if (!mld_json_is(root, MLD_JSON_OBJECT)) {
        mld_json_free(root);
        return mld_error_set(err, MLD_E_PARSE,
                             "'%s' is not a JSON object: a config.json or "
                             "a golden file is wanted",
                             path);
    }
    if (mld_json_is(mld_json_get(root, "config"), MLD_JSON_OBJECT) &&
        mld_json_get(root, "format")) {
        const char *label = out->label, *class_name = out->class_name;
        const char *weights_path = out->weights_path;
        MLD_TRY(mld_model_from_golden(root, arena, out, err));
        out->label = label;
        out->weights_path = weights_path;
        out->config_path = mld_arena_strdup(arena, path);
        if (class_name)
            out->class_name = class_name;
        return 0;
    }
    out->config = root;
    out->config_path = mld_arena_strdup(arena, path);
    return model_type_of(out, path, err);
}

/* The weights of a checkpoint folder: exactly one *.safetensors, or none at all. */
static int model_folder_weights(const char *dir, struct mld_arena *arena,
                                struct mld_model *out, struct mld_error *err)
{
    char **names = NULL;
    size_t n = 0, found = 0;
    MLD_TRY(mld_dir_list(dir, &names, &n, err));
    for (size_t i = 0; i < n; i++) {
        if (!mld_str_ends(names[i], ".safetensors"))
            continue;
        out->weights_path = mld_arena_printf(arena, "%s/%s", dir, names[i]);
        found++;
    }
    mld_names_free(names, n);
    if (found > 1)
        return mld_error_set(
            err, MLD_E_UNSUPPORTED,
            "'%s' holds %zu *.safetensors files: sharded weights cannot be "
            "read; name one file with --weights",
            dir, found);
    return 0;
}

static int model_path(const char *path, struct mld_arena *arena, struct mld_model *out,
                      struct mld_error *err)
{
    if (mld_path_is_dir(path)) {
        const char *config = mld_arena_printf(arena, "%s/config.json", path);
        if (!config)
            return model_no_memory(err);
        if (!mld_path_is_file(config))
            return mld_error_set(err, MLD_E_NOT_FOUND,
                                 "folder '%s' has no config.json: it is not a checkpoint",
                                 path);
        MLD_TRY(model_file(config, arena, out, err));
        return out->weights_path ? 0 : model_folder_weights(path, arena, out, err);
    }
    if (mld_str_ends(path, ".onnx"))
        return mld_error_set(err, MLD_E_UNSUPPORTED,
                             "'%s': ONNX files as models are not supported; give a model "
                             "type, a checkpoint's name or its config.json",
                             path);
    if (mld_str_ends(path, ".safetensors"))
        return mld_error_set(err, MLD_E_INVALID,
                             "'%s' holds weights only: give the folder that also has its "
                             "config.json, or --model CONFIG --weights FILE",
                             path);
    return model_file(path, arena, out, err);
}

int mld_model_resolve(const char *name, const char *class_name, const char *weights,
                      struct mld_arena *arena, struct mld_model *out,
                      struct mld_error *err)
{
    memset(out, 0, sizeof *out);
    out->label = mld_arena_strdup(arena, name);
    out->class_name = class_name;
    out->weights_path = weights;
    if (!out->label)
        return model_no_memory(err);
    int rc;
    const struct mld_arch_type *type = mld_arch_type_find(name);
    const struct mld_checkpoint *ck =
        type ? mld_checkpoint_default(name) : mld_checkpoint_find(name);
    if (ck && !type)
        type = mld_arch_type_find(ck->model_type);
    if (type) {
        rc = model_known(ck, type, out, err);
    } else if (mld_path_exists(name)) {
        rc = model_path(name, arena, out, err);
    } else {
        const char *near = mld_arch_nearest(name);
        rc = mld_error_set(
            err, MLD_E_NOT_FOUND,
            "unknown model '%.200s'%s%s%s: not a known name and no such file; "
            "'mldyno models' lists what is known",
            name, near ? " (did you mean '" : "", near ? near : "", near ? "'?)" : "");
    }
    if (rc == 0 && out->weights_path && !mld_path_is_file(out->weights_path))
        rc = mld_error_set(
            err, MLD_E_NOT_FOUND, "cannot read weights '%s': %s", out->weights_path,
            mld_path_exists(out->weights_path) ? "not a regular file" : "no such file");
    if (rc != 0)
        mld_model_release(out);
    return rc;
}

void mld_model_release(struct mld_model *m)
{
    mld_json_free(m->config);
    mld_json_free(m->golden);
    m->config = m->golden = NULL;
}

int mld_model_build(const struct mld_model *m, enum mld_mode mode,
                    const struct mld_arch_shapes *shapes, int64_t layers,
                    struct mld_arena *arena, struct mld_graph **graph,
                    struct mld_arch_info *info, struct mld_error *err)
{
    struct mld_arch_request req = {.config = m->config,
                                   .model_type = m->model_type,
                                   .class_name = m->class_name,
                                   .mode = mode,
                                   .layers = layers};
    if (shapes)
        req.shapes = *shapes;
    int rc = mld_arch_build(&req, arena, graph, info, err);
    if (rc != 0 && m->config_path)
        mld_error_context(err, "'%s'", m->config_path);
    return rc;
}

int mld_model_facts(const struct mld_model *m, const struct mld_arch_shapes *shapes,
                    int64_t layers, struct mld_model_facts *out, struct mld_error *err)
{
    struct mld_arena arena = {0};
    struct mld_graph *g = NULL;
    uint64_t digest = 0;
    memset(out, 0, sizeof *out);
    int rc =
        mld_model_build(m, MLD_MODE_FORWARD, shapes, layers, &arena, &g, &out->info, err);
    if (rc == 0)
        rc = mld_graph_digest(g, &digest, err);
    if (rc == 0) {
        out->parameters = mld_graph_param_values(g);
        out->tensors = (int64_t)g->param_count;
        out->nodes = (int64_t)g->node_count;
        out->cost = mld_graph_cost(g);
        snprintf(out->digest, sizeof out->digest, "%016" PRIx64, digest);
        snprintf(out->class_name, sizeof out->class_name, "%s", out->info.class_name);
        out->info.model_type = m->model_type; /* what lived in the arena goes with it */
        out->info.class_name = out->class_name;
    }
    mld_graph_release(g);
    mld_arena_release(&arena);
    return rc;
}
