/* ort_backend.c: the ONNX Runtime backend: session life from probe to close.
 *
 * Inputs and outputs are bound once (prepare); a run is one RunWithBinding and nothing of
 * ours is allocated by it. Session options are ORT's own defaults but for the number of
 * threads, so that a bare loop around the engine gives the same latency. */
#include "backends/ort/ort_int.h"

#include "base/alloc.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/str.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int ort_probe(struct mld_probe *out, struct mld_error *err)
{
    const struct mld_ort_library *lib;
    struct mld_error why = {0};

    (void)err;
    *out = (struct mld_probe){.engine = "onnxruntime"};
    if (mld_ort_library_load(&lib, &why) != 0) {
        snprintf(out->reason, sizeof(out->reason), "%.*s", (int)sizeof(out->reason) - 1,
                 why.message);
        return 0;
    }
    out->usable = true;
    snprintf(out->version, sizeof(out->version), "%s", lib->version);
    snprintf(out->path, sizeof(out->path), "%s", lib->path);
    return 0;
}

static int ort_devices(struct mld_device *out, size_t cap, size_t *count,
                       struct mld_error *err)
{
    (void)err;
    *count = 1;
    if (cap > 0)
        mld_ort_cpu_device(&out[0]);
    return 0;
}

/* --- open and close --------------------------------------------------------------- */

static int keep_path(const char *path, char **copy, const char **option,
                     struct mld_error *err)
{
    if (!path)
        return 0;
    *copy = mld_strdup(path);
    *option = *copy;
    return *copy ? 0 : mld_error_set(err, MLD_E_NO_MEMORY, "no memory for a path");
}

static void ort_close(struct mld_session *s);

static int ort_open(const struct mld_open_params *params, struct mld_session **out,
                    struct mld_error *err)
{
    const struct mld_ort_library *lib;
    struct mld_ort_options options;
    struct mld_session *s;
    OrtEnv *env;
    int rc;

    *out = NULL;
    if (!mld_streq(params->device, "cpu"))
        return mld_error_set(err, MLD_E_NOT_FOUND, "backend 'ort' has no device '%s'",
                             params->device ? params->device : "");
    MLD_TRY(mld_ort_options_parse(params->options, params->option_count, &options, err));
    MLD_TRY(mld_ort_library_load(&lib, err));
    MLD_TRY(mld_ort_env(lib, &env, err));
    s = mld_calloc(1, sizeof(*s));
    if (!s)
        return mld_error_set(err, MLD_E_NO_MEMORY, "no memory for a session");
    s->lib = lib;
    s->api = lib->api;
    s->threads = params->threads > 0 ? params->threads : mld_ort_core_count();
    snprintf(s->precision, sizeof(s->precision), "%s",
             params->precision ? params->precision : "fp32");
    s->options = options;
    atomic_init(&s->cancelled, false);
    rc = keep_path(options.profile, &s->profile, &s->options.profile, err);
    if (rc == 0)
        rc = keep_path(options.save_optimized, &s->save_optimized,
                       &s->options.save_optimized, err);
    if (rc == 0)
        rc = mld_ort_check(s->api,
                           s->api->CreateCpuMemoryInfo(OrtDeviceAllocator,
                                                       OrtMemTypeDefault, &s->memory),
                           err, "cannot describe host memory");
    if (rc == 0)
        rc = mld_ort_check(s->api, s->api->CreateRunOptions(&s->run_options), err,
                           "cannot make run options");
    if (rc != 0) {
        ort_close(s);
        return rc;
    }
    *out = s;
    return 0;
}

static void tensors_free(const OrtApi *api, struct mld_ort_tensor **tensors, size_t *n)
{
    for (size_t i = 0; *tensors && i < *n; i++) {
        struct mld_ort_tensor *t = &(*tensors)[i];
        api->ReleaseValue(t->value);
        if (!t->borrowed)
            mld_free(t->data);
        mld_free(t->name);
    }
    mld_free(*tensors);
    *tensors = NULL;
    *n = 0;
}

static void ort_unprepare(struct mld_session *s)
{
    s->api->ReleaseIoBinding(s->binding);
    s->binding = NULL;
    tensors_free(s->api, &s->outputs, &s->output_count);
    tensors_free(s->api, &s->inputs, &s->input_count);
    s->runs = 0;
}

/* ORT names the profile FILE_<time>.json: give it the name that was asked for. */
static void profile_finish(struct mld_session *s)
{
    OrtAllocator *allocator = NULL;
    struct mld_error err = {0};
    char *name = NULL;
    int rc;

    rc = mld_ort_check(s->api, s->api->GetAllocatorWithDefaultOptions(&allocator), &err,
                       "cannot finish the profile");
    if (rc == 0)
        rc = mld_ort_check(s->api,
                           s->api->SessionEndProfiling(s->session, allocator, &name),
                           &err, "cannot finish the profile");
    if (rc == 0 && rename(name, s->options.profile) != 0)
        rc = mld_error_set(&err, MLD_E_IO, "cannot rename profile '%s' to '%s'", name,
                           s->options.profile);
    if (rc != 0)
        mld_log(MLD_LOG_WARN, "%s", err.message);
    if (name)
        allocator->Free(allocator, name);
}

static void ort_unload(struct mld_session *s)
{
    ort_unprepare(s);
    if (s->session && s->options.profile)
        profile_finish(s);
    s->api->ReleaseSession(s->session);
    s->session = NULL;
}

static void ort_close(struct mld_session *s)
{
    if (!s)
        return;
    ort_unload(s);
    s->api->ReleaseRunOptions(s->run_options);
    s->api->ReleaseMemoryInfo(s->memory);
    mld_free(s->profile);
    mld_free(s->save_optimized);
    mld_free(s);
}

/* --- load ------------------------------------------------------------------------- */

#define OPTION(call) MLD_TRY(mld_ort_check(api, call, err, "cannot set a session option"))

static int session_options(const struct mld_session *s, OrtSessionOptions *so,
                           struct mld_error *err)
{
    const OrtApi *api = s->api;
    const struct mld_ort_options *o = &s->options;

    OPTION(api->SetIntraOpNumThreads(so, s->threads));
    OPTION(api->SetSessionGraphOptimizationLevel(so, o->graph_opt));
    OPTION(api->SetSessionLogSeverityLevel(so, ORT_LOGGING_LEVEL_ERROR));
    if (o->inter_threads > 0)
        OPTION(api->SetInterOpNumThreads(so, o->inter_threads));
    if (o->parallel)
        OPTION(api->SetSessionExecutionMode(so, ORT_PARALLEL));
    if (!o->arena)
        OPTION(api->DisableCpuMemArena(so));
    if (!o->mem_pattern)
        OPTION(api->DisableMemPattern(so));
    if (!o->spinning) {
        OPTION(api->AddSessionConfigEntry(so, "session.intra_op.allow_spinning", "0"));
        OPTION(api->AddSessionConfigEntry(so, "session.inter_op.allow_spinning", "0"));
    }
    if (o->profile)
        OPTION(api->EnableProfiling(so, o->profile));
    if (o->save_optimized) {
        /* Weights beside the graph, as a protobuf file holds 2 GiB at most. */
        char data[300];
        snprintf(data, sizeof(data), "%.255s.data", mld_path_base(o->save_optimized));
        OPTION(api->SetOptimizedModelFilePath(so, o->save_optimized));
        OPTION(api->AddSessionConfigEntry(
            so, "session.optimized_model_external_initializers_file_name", data));
    }
    return 0;
}

static int ort_load(struct mld_session *s, const struct mld_load_params *params,
                    struct mld_error *err)
{
    OrtSessionOptions *so = NULL;
    OrtEnv *env;
    int rc;

    ort_unload(s);
    if (!mld_path_is_file(params->onnx_path))
        return mld_error_set(err, MLD_E_NOT_FOUND, "no model file '%s'",
                             params->onnx_path);
    MLD_TRY(mld_ort_env(s->lib, &env, err));
    MLD_TRY(mld_ort_check(s->api, s->api->CreateSessionOptions(&so), err,
                          "cannot make session options"));
    rc = session_options(s, so, err);
    if (rc == 0)
        rc = mld_ort_check(s->api,
                           s->api->CreateSession(env, params->onnx_path, so, &s->session),
                           err, "cannot load '%s'", params->onnx_path);
    s->api->ReleaseSessionOptions(so);
    return rc;
}

/* --- prepare ---------------------------------------------------------------------- */

/* One side of the session's signature. */
struct side {
    const char *word; /* "input" */
    OrtStatus *(ORT_API_CALL *count)(const OrtSession *, size_t *);
    OrtStatus *(ORT_API_CALL *name)(const OrtSession *, size_t, OrtAllocator *, char **);
    OrtStatus *(ORT_API_CALL *type)(const OrtSession *, size_t, OrtTypeInfo **);
};

static struct side side_inputs(const OrtApi *api)
{
    return (struct side){"input", api->SessionGetInputCount, api->SessionGetInputName,
                         api->SessionGetInputTypeInfo};
}

static struct side side_outputs(const OrtApi *api)
{
    return (struct side){"output", api->SessionGetOutputCount, api->SessionGetOutputName,
                         api->SessionGetOutputTypeInfo};
}

static void shape_text(const int64_t *dims, size_t rank, char *out, size_t cap)
{
    size_t n = 0;

    out[0] = '\0';
    for (size_t i = 0; i < rank && n < cap; i++)
        n += (size_t)snprintf(out + n, cap - n, "%s%lld", i ? "," : "",
                              (long long)dims[i]);
}

/* Compares what the model says of tensor t with what the caller gives. */
static int side_check_type(const OrtApi *api, const struct side *side,
                           const OrtTypeInfo *type, const struct mld_tensor *t,
                           struct mld_error *err)
{
    const OrtTensorTypeAndShapeInfo *info = NULL;
    ONNXTensorElementDataType element = ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED;
    int64_t dims[MLD_MAX_RANK];
    char want[160], got[160];
    size_t rank = 0;
    bool same;

    MLD_TRY(mld_ort_check(api, api->CastTypeInfoToTensorInfo(type, &info), err, "%s '%s'",
                          side->word, t->name));
    if (!info)
        return mld_error_set(err, MLD_E_UNSUPPORTED, "%s '%s' of the model is no tensor",
                             side->word, t->name);
    MLD_TRY(mld_ort_check(api, api->GetTensorElementType(info, &element), err, "%s '%s'",
                          side->word, t->name));
    if (element != mld_ort_dtype_to(t->dtype)) {
        const int ours = mld_ort_dtype_from(element);
        return mld_error_set(err, MLD_E_INVALID,
                             "%s '%s' is %s in the model but %s in its manifest",
                             side->word, t->name,
                             ours >= 0 ? mld_dtype_name((enum mld_dtype)ours) : "foreign",
                             mld_dtype_name(t->dtype));
    }
    MLD_TRY(mld_ort_check(api, api->GetDimensionsCount(info, &rank), err, "%s '%s'",
                          side->word, t->name));
    if (rank > MLD_MAX_RANK)
        return mld_error_set(err, MLD_E_UNSUPPORTED, "%s '%s' has %zu dimensions",
                             side->word, t->name, rank);
    MLD_TRY(mld_ort_check(api, api->GetDimensions(info, dims, rank), err, "%s '%s'",
                          side->word, t->name));
    same = (int)rank == t->rank;
    for (size_t i = 0; same && i < rank; i++)
        same = dims[i] < 0 || dims[i] == t->dims[i]; /* below 0: free */
    if (same)
        return 0;
    shape_text(dims, rank, want, sizeof(want));
    shape_text(t->dims, (size_t)t->rank, got, sizeof(got));
    return mld_error_set(err, MLD_E_INVALID,
                         "%s '%s' has shape [%s] in the model but [%s] in its manifest",
                         side->word, t->name, want, got);
}

/* Names, types and shapes of one side of the loaded model against given[n]. */
static int side_check(const struct mld_session *s, const struct side *side,
                      const struct mld_tensor *given, size_t n, struct mld_error *err)
{
    const OrtApi *api = s->api;
    OrtAllocator *allocator = NULL;
    size_t count = 0, found = 0;

    MLD_TRY(mld_ort_check(api, api->GetAllocatorWithDefaultOptions(&allocator), err,
                          "cannot read the model's signature"));
    MLD_TRY(mld_ort_check(api, side->count(s->session, &count), err,
                          "cannot read the model's signature"));
    for (size_t i = 0; i < count; i++) {
        OrtTypeInfo *type = NULL;
        const struct mld_tensor *t = NULL;
        char *name = NULL;
        int rc;

        MLD_TRY(mld_ort_check(api, side->name(s->session, i, allocator, &name), err,
                              "cannot read the model's signature"));
        for (size_t k = 0; k < n && !t; k++)
            if (mld_streq(given[k].name, name))
                t = &given[k];
        if (!t) {
            rc = mld_error_set(err, MLD_E_INVALID,
                               "the model has %s '%s', which its manifest lacks",
                               side->word, name);
        } else {
            found++;
            rc = mld_ort_check(api, side->type(s->session, i, &type), err, "%s '%s'",
                               side->word, name);
            if (rc == 0)
                rc = side_check_type(api, side, type, t, err);
        }
        api->ReleaseTypeInfo(type);
        allocator->Free(allocator, name);
        if (rc != 0)
            return rc;
    }
    if (found != n)
        return mld_error_set(err, MLD_E_INVALID,
                             "the manifest names %zu %ss, of which the model has %zu", n,
                             side->word, found);
    return 0;
}

static int tensor_describe(struct mld_ort_tensor *t, const struct mld_tensor *from,
                           struct mld_error *err)
{
    int64_t count = 1;

    if (from->rank < 0 || from->rank > MLD_MAX_RANK)
        return mld_error_set(err, MLD_E_INVALID, "'%s' has %d dimensions", from->name,
                             from->rank);
    for (int i = 0; i < from->rank; i++)
        if (from->dims[i] < 0 || (from->dims[i] > 0 && count > INT64_MAX / from->dims[i]))
            return mld_error_set(err, MLD_E_TOO_LARGE, "'%s' has an impossible shape",
                                 from->name);
        else
            count *= from->dims[i];
    t->dtype = from->dtype;
    t->rank = from->rank;
    memcpy(t->dims, from->dims, sizeof(t->dims));
    t->bytes = mld_dtype_bytes(from->dtype, count);
    if (t->bytes == SIZE_MAX)
        return mld_error_set(err, MLD_E_TOO_LARGE, "'%s' has an impossible shape",
                             from->name);
    t->name = mld_strdup(from->name);
    return t->name ? 0 : mld_error_set(err, MLD_E_NO_MEMORY, "no memory for a name");
}

/* Memory of ours (zeroed unless shared with another tensor) and ORT's view of it. */
static int tensor_make(const struct mld_session *s, struct mld_ort_tensor *t,
                       void *shared, struct mld_error *err)
{
    if (shared) {
        t->data = shared;
        t->borrowed = true;
    } else {
        /* At least one byte: ORT wants a pointer for an empty tensor, too. */
        t->data = mld_alloc_aligned(MLD_ORT_ALIGN_BYTES, t->bytes ? t->bytes : 1);
        if (!t->data)
            return mld_error_set(err, MLD_E_NO_MEMORY, "no memory for '%s' (%zu bytes)",
                                 t->name, t->bytes);
        memset(t->data, 0, t->bytes);
    }
    return mld_ort_check(s->api,
                         s->api->CreateTensorWithDataAsOrtValue(
                             s->memory, t->data, t->bytes, t->dims, (size_t)t->rank,
                             mld_ort_dtype_to(t->dtype), &t->value),
                         err, "cannot make tensor '%s'", t->name);
}

/* Memory of the caller's for input index; NULL: it is copied. A state's is taken as it
 * lies: a KV cache can be most of the memory, and a second one would count as the
 * model's. */
static void *prepare_shared(const struct mld_prepare_params *p, size_t index)
{
    void *data = p->inputs[index].data;

    if ((uintptr_t)data % MLD_ORT_ALIGN_BYTES != 0)
        return NULL;
    for (size_t k = 0; k < p->state_count; k++)
        if (p->state[k].input == index)
            return data;
    return NULL;
}

static int prepare_inputs(struct mld_session *s, const struct mld_prepare_params *p,
                          struct mld_error *err)
{
    s->inputs = mld_calloc(p->input_count ? p->input_count : 1, sizeof(*s->inputs));
    if (!s->inputs)
        return mld_error_set(err, MLD_E_NO_MEMORY, "no memory for the inputs");
    for (size_t i = 0; i < p->input_count; i++) {
        struct mld_ort_tensor *t = &s->inputs[i];
        void *shared = prepare_shared(p, i);

        s->input_count = i + 1;
        MLD_TRY(tensor_describe(t, &p->inputs[i], err));
        if (p->inputs[i].bytes != t->bytes || (t->bytes > 0 && !p->inputs[i].data))
            return mld_error_set(err, MLD_E_INVALID,
                                 "input '%s' wants %zu bytes but %zu are given", t->name,
                                 t->bytes, p->inputs[i].data ? p->inputs[i].bytes : 0);
        MLD_TRY(tensor_make(s, t, shared, err));
        if (!shared && t->bytes > 0)
            memcpy(t->data, p->inputs[i].data, t->bytes);
        MLD_TRY(mld_ort_check(s->api, s->api->BindInput(s->binding, t->name, t->value),
                              err, "cannot bind input '%s'", t->name));
    }
    return 0;
}

/* The input whose memory output index writes; NULL: it has its own. */
static int prepare_state(const struct mld_session *s, const struct mld_prepare_params *p,
                         size_t index, struct mld_ort_tensor **out, struct mld_error *err)
{
    *out = NULL;
    for (size_t k = 0; k < p->state_count; k++) {
        struct mld_ort_tensor *in;

        if (p->state[k].output != index)
            continue;
        if (p->state[k].input >= s->input_count)
            return mld_error_set(err, MLD_E_INVALID, "state pair %zu names no input", k);
        in = &s->inputs[p->state[k].input];
        if (in->bytes != s->outputs[index].bytes || in->dtype != s->outputs[index].dtype)
            return mld_error_set(err, MLD_E_INVALID,
                                 "output '%s' cannot update input '%s' in place: they "
                                 "differ in size",
                                 s->outputs[index].name, in->name);
        *out = in;
        return 0;
    }
    return 0;
}

static int prepare_outputs(struct mld_session *s, const struct mld_prepare_params *p,
                           struct mld_error *err)
{
    s->outputs = mld_calloc(p->output_count ? p->output_count : 1, sizeof(*s->outputs));
    if (!s->outputs)
        return mld_error_set(err, MLD_E_NO_MEMORY, "no memory for the outputs");
    for (size_t i = 0; i < p->output_count; i++) {
        struct mld_ort_tensor *t = &s->outputs[i], *in = NULL;

        s->output_count = i + 1;
        MLD_TRY(tensor_describe(t, &p->outputs[i], err));
        MLD_TRY(prepare_state(s, p, i, &in, err));
        MLD_TRY(tensor_make(s, t, in ? in->data : NULL, err));
        MLD_TRY(mld_ort_check(s->api, s->api->BindOutput(s->binding, t->name, t->value),
                              err, "cannot bind output '%s'", t->name));
    }
    return 0;
}

static int ort_prepare(struct mld_session *s, const struct mld_prepare_params *params,
                       struct mld_error *err)
{
    const struct side in = side_inputs(s->api), out = side_outputs(s->api);
    int rc;

    if (!s->session)
        return mld_error_set(err, MLD_E_INVALID, "no model is loaded");
    ort_unprepare(s);
    MLD_TRY(side_check(s, &in, params->inputs, params->input_count, err));
    MLD_TRY(side_check(s, &out, params->outputs, params->output_count, err));
    rc = mld_ort_check(s->api, s->api->CreateIoBinding(s->session, &s->binding), err,
                       "cannot make an input/output binding");
    if (rc == 0)
        rc = prepare_inputs(s, params, err);
    if (rc == 0)
        rc = prepare_outputs(s, params, err);
    if (rc != 0)
        ort_unprepare(s);
    return rc;
}

/* --- run -------------------------------------------------------------------------- */

static int run_failed(struct mld_session *s, OrtStatus *status, struct mld_error *err)
{
    int rc = mld_ort_check(s->api, status, err, "the run failed");

    if (atomic_exchange(&s->cancelled, false)) {
        /* One cancel ends one run; the session stays usable. */
        if (mld_ort_check(s->api, s->api->RunOptionsUnsetTerminate(s->run_options), NULL,
                          "cannot go on") != 0)
            return rc;
        return mld_error_set(err, MLD_E_CANCELLED, "the run was cancelled");
    }
    return rc;
}

static int ort_run(struct mld_session *s, struct mld_error *err)
{
    OrtStatus *status;

    if (!s->binding)
        return mld_error_set(err, MLD_E_INVALID, "the session is not prepared");
    status = s->api->RunWithBinding(s->session, s->run_options, s->binding);
    if (status)
        return run_failed(s, status, err);
    s->runs++;
    return 0;
}

static void ort_cancel(struct mld_session *s)
{
    atomic_store(&s->cancelled, true);
    s->api->ReleaseStatus(s->api->RunOptionsSetTerminate(s->run_options));
}

static int ort_set_input(struct mld_session *s, size_t index, const void *data,
                         size_t bytes, struct mld_error *err)
{
    struct mld_ort_tensor *t;

    if (index >= s->input_count)
        return mld_error_set(err, MLD_E_INVALID, "no input %zu: the model has %zu", index,
                             s->input_count);
    t = &s->inputs[index];
    if (bytes != t->bytes)
        return mld_error_set(err, MLD_E_INVALID, "input '%s' wants %zu bytes but got %zu",
                             t->name, t->bytes, bytes);
    if (bytes > 0)
        memcpy(t->data, data, bytes);
    return 0;
}

static int ort_output(struct mld_session *s, size_t index, struct mld_tensor *out,
                      struct mld_error *err)
{
    const struct mld_ort_tensor *t;

    if (index >= s->output_count)
        return mld_error_set(err, MLD_E_INVALID, "no output %zu: the model has %zu",
                             index, s->output_count);
    if (s->runs == 0)
        return mld_error_set(err, MLD_E_INVALID, "no run has been made yet");
    t = &s->outputs[index];
    *out = (struct mld_tensor){.name = t->name,
                               .dtype = t->dtype,
                               .rank = t->rank,
                               .data = t->data,
                               .bytes = t->bytes};
    memcpy(out->dims, t->dims, sizeof(out->dims));
    return 0;
}

const struct mld_backend_ops *mld_backend_entry_ort(void)
{
    static const struct mld_backend_ops ops = {
        .abi = MLD_BACKEND_ABI,
        .size = sizeof(struct mld_backend_ops),
        .name = "ort",
        .platforms = "cpu",
        .summary = "ONNX Runtime, CPU provider",
        .flags = MLD_BACKEND_FUSED_ORT | MLD_BACKEND_NUMERIC,
        .options = mld_ort_option_table,
        .probe = ort_probe,
        .devices = ort_devices,
        .open = ort_open,
        .load = ort_load,
        .prepare = ort_prepare,
        .run = ort_run,
        .set_input = ort_set_input,
        .output = ort_output,
        .counters = mld_ort_counters,
        .cancel = ort_cancel,
        .unload = ort_unload,
        .close = ort_close,
    };
    return &ops;
}
