/* artifact_case.c: reads a manifest's inputs and outputs into a case of the core. */
#include "app/artifact_case.h"

#include <string.h>

static int tensor_shape(const struct mld_json *v, int *rank, int64_t dims[MLD_MAX_RANK])
{
    const struct mld_json *shape = mld_json_get(v, "shape");
    *rank = 0;
    if (mld_json_count(shape) > MLD_MAX_RANK)
        return MLD_E_PARSE;
    for (const struct mld_json *d = mld_json_first(shape); d; d = mld_json_next(d)) {
        int64_t n = mld_json_int(d, -1);
        if (n < 0)
            return MLD_E_PARSE;
        dims[(*rank)++] = n;
    }
    return 0;
}

static int case_input(const struct mld_json *v, struct mld_case_input *in)
{
    int dtype = mld_dtype_parse(mld_json_str(mld_json_get(v, "dtype"), ""));
    in->name = mld_json_str(mld_json_get(v, "name"), NULL);
    in->fill = mld_json_str(mld_json_get(v, "fill"), NULL);
    if (dtype < 0 || !in->name || !in->fill)
        return MLD_E_PARSE;
    in->dtype = (enum mld_dtype)dtype;
    in->stream = mld_json_str(mld_json_get(v, "stream"), NULL);
    in->low = mld_json_int(mld_json_get(v, "low"), 0);
    in->high = mld_json_int(mld_json_get(v, "high"), 0);
    in->state_output = (int)mld_json_int(mld_json_get(v, "state_output"), -1);
    return tensor_shape(v, &in->rank, in->dims);
}

static int case_output(const struct mld_json *v, struct mld_case_output *out)
{
    int dtype = mld_dtype_parse(mld_json_str(mld_json_get(v, "dtype"), ""));
    out->name = mld_json_str(mld_json_get(v, "name"), NULL);
    if (dtype < 0 || !out->name)
        return MLD_E_PARSE;
    out->dtype = (enum mld_dtype)dtype;
    return tensor_shape(v, &out->rank, out->dims);
}

int mld_case_from_artifact(const struct mld_artifact *a, struct mld_arena *arena,
                           struct mld_case *out, struct mld_error *err)
{
    const struct mld_json *inputs = mld_json_get(a->manifest, "inputs"),
                          *outputs = mld_json_get(a->manifest, "outputs");
    memset(out, 0, sizeof *out);
    out->onnx_path = a->onnx_path;
    out->artifact_dir = a->dir;
    out->precision = mld_json_str(mld_json_get(a->manifest, "precision"), "fp32");
    out->inputs = mld_arena_array(arena, mld_json_count(inputs) + 1, sizeof *out->inputs);
    out->outputs =
        mld_arena_array(arena, mld_json_count(outputs) + 1, sizeof *out->outputs);
    if (!out->inputs || !out->outputs)
        return mld_error_set(err, MLD_E_NO_MEMORY, "out of memory");
    int rc = 0;
    for (const struct mld_json *v = mld_json_first(inputs); v && !rc;
         v = mld_json_next(v))
        rc = case_input(v, &out->inputs[out->input_count++]);
    for (const struct mld_json *v = mld_json_first(outputs); v && !rc;
         v = mld_json_next(v))
        rc = case_output(v, &out->outputs[out->output_count++]);
    if (rc)
        return mld_error_set(err, rc, "'%s/manifest.json' is damaged: remove the folder",
                             a->dir);
    return 0;
}
