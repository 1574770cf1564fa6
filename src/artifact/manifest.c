/* manifest.c: what is told of an artifact: the model, its inputs and outputs, its cost.
 *
 * The text is a function of the request alone (no time, no path, no machine), as the
 * artifact's key is made from it. */
#include "artifact/manifest.h"

#include "base/alloc.h"
#include "base/fs.h"

#include "mld_version.h"

#include <stdio.h>
#include <string.h>

const char *mld_fill_name(enum mld_fill fill)
{
    switch (fill) {
    case MLD_FILL_UNIFORM:
        return "uniform";
    case MLD_FILL_IDS:
        return "ids";
    case MLD_FILL_ONES:
        return "ones";
    case MLD_FILL_ZEROS:
        return "zeros";
    case MLD_FILL_VALUE:
        return "value";
    }
    return "zeros";
}

static void set_str(struct mld_json *o, const char *key, const char *s)
{
    mld_json_set(o, key, mld_json_new_str(s));
}

static void set_int(struct mld_json *o, const char *key, int64_t x)
{
    mld_json_set(o, key, mld_json_new_int(x));
}

static void set_hex64(struct mld_json *o, const char *key, uint64_t x)
{
    char text[17];

    snprintf(text, sizeof(text), "%016llx", (unsigned long long)x);
    set_str(o, key, text);
}

static struct mld_json *shape_json(const struct mld_shape *s)
{
    struct mld_json *a = mld_json_new_array();

    for (int i = 0; i < s->rank; i++)
        mld_json_push(a, mld_json_new_int(s->d[i]));
    return a;
}

static struct mld_json *tensor_json(const char *name, const struct mld_value *v)
{
    struct mld_json *o = mld_json_new_object();

    set_str(o, "name", name);
    set_str(o, "dtype", mld_dtype_name(v->dtype));
    mld_json_set(o, "shape", shape_json(&v->shape));
    return o;
}

static struct mld_json *inputs_json(const struct mld_graph *g)
{
    struct mld_json *a = mld_json_new_array();

    for (size_t i = 0; i < g->input_count; i++) {
        const struct mld_graph_input *in = &g->inputs[i];
        struct mld_json *o = tensor_json(in->value->name, in->value);
        char stream[256];

        set_str(o, "fill", mld_fill_name(in->fill));
        if (in->fill == MLD_FILL_IDS || in->fill == MLD_FILL_VALUE)
            set_int(o, "low", in->low);
        if (in->fill == MLD_FILL_IDS)
            set_int(o, "high", in->high);
        snprintf(stream, sizeof(stream), "input:%.240s", in->value->name);
        if (in->fill == MLD_FILL_IDS || in->fill == MLD_FILL_UNIFORM)
            set_str(o, "stream", stream);
        if (in->state_output >= 0)
            set_int(o, "state_output", in->state_output);
        mld_json_push(a, o);
    }
    return a;
}

static struct mld_json *outputs_json(const struct mld_graph *g)
{
    struct mld_json *a = mld_json_new_array();

    for (size_t i = 0; i < g->output_count; i++)
        mld_json_push(a, tensor_json(g->outputs[i].name, g->outputs[i].value));
    return a;
}

static struct mld_json *shapes_json(const struct mld_arch_shapes *s)
{
    const struct {
        const char *key;
        int64_t x;
    } rows[] = {{"batch", s->batch},
                {"seq", s->seq},
                {"decoder_seq", s->decoder_seq},
                {"image_size", s->image_size},
                {"capacity", s->capacity},
                {"new_tokens", s->new_tokens}};
    struct mld_json *o = mld_json_new_object();

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (rows[i].x > 0) /* -1: the model has no such dimension */
            set_int(o, rows[i].key, rows[i].x);
    return o;
}

static struct mld_json *categories_json(uint32_t set)
{
    struct mld_json *a = mld_json_new_array();

    for (int i = 0; i < MLD_CATEGORY_COUNT; i++)
        if (set & 1u << i)
            mld_json_push(a, mld_json_new_str(mld_category_name((enum mld_category)i)));
    return a;
}

static struct mld_json *cost_json(const struct mld_graph *g)
{
    const struct mld_cost c = mld_graph_cost(g);
    struct mld_json *o = mld_json_new_object();

    mld_json_set(o, "flops", mld_json_new_num(c.flops));
    mld_json_set(o, "matmul_flops", mld_json_new_num(c.matmul_flops));
    mld_json_set(o, "read_bytes", mld_json_new_num(c.read_bytes));
    mld_json_set(o, "write_bytes", mld_json_new_num(c.write_bytes));
    mld_json_set(o, "weight_bytes", mld_json_new_num(c.weight_bytes));
    mld_json_set(o, "activation_peak_bytes", mld_json_new_num(c.activation_peak_bytes));
    return o;
}

static int model_json(const struct mld_manifest_facts *f, struct mld_json **out,
                      struct mld_error *err)
{
    const struct mld_arch_info *info = f->info;
    struct mld_json *o;
    char *config;
    uint64_t digest;

    MLD_TRY(mld_graph_digest(f->source, &digest, err));
    config = mld_json_print(f->req->arch.config, false);
    o = mld_json_new_object();
    if (!config || !o) {
        mld_free(config);
        mld_json_free(o);
        return mld_error_set(err, MLD_E_NO_MEMORY, "no memory for the manifest");
    }
    set_str(o, "model_type", info->model_type);
    set_str(o, "class", info->class_name);
    set_str(o, "checkpoint", f->req->checkpoint);
    mld_json_set(o, "categories", categories_json(info->categories));
    set_hex64(o, "config_digest", mld_fnv1a64(MLD_FNV_BASIS, config, strlen(config)));
    set_int(o, "parameters", mld_graph_param_values(f->source));
    set_int(o, "tensors", (int64_t)f->source->param_count);
    set_hex64(o, "digest", digest);
    set_int(o, "layers", info->layers);
    set_int(o, "layers_full", info->layers_full);
    mld_free(config);
    *out = o;
    return 0;
}

static struct mld_json *files_json(void)
{
    struct mld_json *o = mld_json_new_object();

    set_str(o, "model", MLD_MANIFEST_MODEL);
    set_str(o, "weights", MLD_MANIFEST_WEIGHTS);
    return o;
}

static struct mld_json *weights_json(const struct mld_manifest_facts *f)
{
    const char *path = f->req->weights.safetensors_path;
    struct mld_json *o = mld_json_new_object();

    set_str(o, "source", path ? "safetensors" : "names");
    if (path)
        set_str(o, "file", mld_path_base(path));
    set_int(o, "bytes", (int64_t)f->weights_bytes);
    return o;
}

int mld_manifest_make(const struct mld_manifest_facts *f, struct mld_json **out,
                      struct mld_error *err)
{
    struct mld_json *model = NULL, *o = NULL;

    *out = NULL;
    MLD_TRY(model_json(f, &model, err));
    o = mld_json_new_object();
    set_int(o, "format", MLD_ARTIFACT_FORMAT);
    set_str(o, "mldyno", MLD_VERSION);
    mld_json_set(o, "model", model);
    set_str(o, "mode", mld_mode_name(f->req->arch.mode));
    set_str(o, "precision", f->req->precision ? f->req->precision : "fp32");
    mld_json_set(o, "shapes", shapes_json(&f->info->shapes));
    set_str(o, "target", f->target.fused_ort ? "ort" : "standard");
    set_int(o, "opset", f->target.opset);
    set_int(o, "nodes", (int64_t)f->lowered->node_count);
    mld_json_set(o, "inputs", inputs_json(f->lowered));
    mld_json_set(o, "outputs", outputs_json(f->lowered));
    mld_json_set(o, "files", files_json());
    mld_json_set(o, "weights", weights_json(f));
    mld_json_set(o, "cost", cost_json(f->source));
    if (!o) /* model went with the failed set */
        return mld_error_set(err, MLD_E_NO_MEMORY, "no memory for the manifest");
    *out = o;
    return 0;
}

int mld_manifest_with_key(const struct mld_json *manifest, const char *key,
                          struct mld_json **out, struct mld_error *err)
{
    struct mld_json *o = mld_json_new_object();

    *out = NULL;
    for (const struct mld_json *m = mld_json_first(manifest); m; m = mld_json_next(m)) {
        mld_json_set(o, mld_json_key(m), mld_json_copy(m));
        if (strcmp(mld_json_key(m), "mldyno") == 0)
            set_str(o, "key", key);
    }
    if (mld_json_count(o) != mld_json_count(manifest) + 1) {
        mld_json_free(o);
        return mld_error_set(err, MLD_E_NO_MEMORY, "no memory for the manifest");
    }
    *out = o;
    return 0;
}
