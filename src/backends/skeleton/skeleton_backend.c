/* skeleton_backend.c: the tutorial. A complete backend in one file, with the thoughts
 * that belong to each slot written where the slot is implemented. Copy this folder to
 * src/backends/<name>, rename everything, and replace what stands between the lines
 * "engine:" by calls of your engine. docs/adding-a-backend.md is the way around it.
 *
 * Its "engine" is memcpy: each output is filled with the bytes of an input, again and
 * again. That is real work with real results, but not the model's: hence the flag
 * MLD_BACKEND_SYNTHETIC, and no MLD_BACKEND_NUMERIC. */
#include "base/alloc.h"
#include "base/fs.h"
#include "base/str.h"
#include "mldyno/backend.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

/* In the program each backend has an entry of its own name, so this is its only
 * symbol. */
const struct mld_backend_ops *mld_backend_entry_skeleton(void);

/* All that -o key=value can set. The core refuses keys that are not here (with the
 * nearest match) before open is called; the values are ours to check. The same table is
 * what `mldyno hardware --help-backend skeleton` prints. */
static const struct mld_backend_option skeleton_options[] = {
    {"repeat", "N", "1", "how often a run copies everything"},
    {NULL, NULL, NULL, NULL},
};

/* A session is whatever the backend wants. Nothing is global: several sessions may live
 * at once, in one process, each used by one thread at a time. */
struct mld_session {
    int64_t repeat;
    atomic_bool cancelled; /* set by another thread: the only field that is */
    bool loaded;
    struct skeleton_binding {
        struct mld_tensor tensor; /* a shallow copy: name and data as below */
        void *own;                /* memory to free, or NULL when it is the caller's */
    } * inputs, *outputs;
    size_t input_count, output_count;
};

/* --- probe and devices ------------------------------------------------------------ */

/* Is the engine there? Called once per process, before anything else, also by `mldyno
 * hardware`. A missing engine is an answer, not an error: usable stays false, and reason
 * says why and which command mends it. This is the place to dlopen the library; never
 * dlclose it, engines leave threads and handlers behind. */
static int skeleton_probe(struct mld_probe *out, struct mld_error *err)
{
    (void)err;
    memset(out, 0, sizeof(*out));
    /* engine: ask the library for its version. Name the software that computes, not the
     * backend: results are compared by it. */
    out->usable = true;
    snprintf(out->engine, sizeof(out->engine), "skeleton");
    snprintf(out->version, sizeof(out->version), "1");
    return 0;
}

/* What can be computed on? Fill at most cap entries, and always tell the full number: the
 * core calls with cap 0 first. id is unique in the machine ("cuda:1"), platform is the
 * word of --hardware. Leave what is not known 0 or "": unknown is stored as unknown. A
 * device that is emulated in software gets MLD_DEVICE_SOFTWARE. */
static int skeleton_devices(struct mld_device *out, size_t cap, size_t *count,
                            struct mld_error *err)
{
    (void)err;
    *count = 1;
    if (cap == 0)
        return 0;
    memset(out, 0, sizeof(*out));
    snprintf(out->platform, sizeof(out->platform), "skeleton");
    snprintf(out->id, sizeof(out->id), "skeleton");
    snprintf(out->name, sizeof(out->name), "memcpy");
    return 0;
}

/* --- open and close --------------------------------------------------------------- */

/* NULL is allowed. Frees everything that is left, and must not fail. */
static void skeleton_close(struct mld_session *s)
{
    mld_free(s);
}

static int skeleton_set_option(struct mld_session *s, const char *key, const char *value,
                               struct mld_error *err)
{
    if (mld_streq(key, "repeat") && mld_parse_i64(value, &s->repeat) && s->repeat > 0)
        return 0;
    return mld_error_set(err, MLD_E_INVALID, "option '%s' cannot be '%s'", key, value);
}

/* Get the device ready: this is the phase "startup", and the floor of the memory is taken
 * after it, so what the engine costs on its own belongs here. params is borrowed: copy
 * what is needed later. On failure *out stays NULL and nothing may leak. */
static int skeleton_open(const struct mld_open_params *params, struct mld_session **out,
                         struct mld_error *err)
{
    *out = NULL;
    struct mld_session *s = mld_calloc(1, sizeof(*s));
    if (!s)
        return mld_error_set(err, MLD_E_NO_MEMORY, "no memory for a session");
    s->repeat = 1;
    atomic_init(&s->cancelled, false);
    for (size_t i = 0; i < params->option_count; i++) {
        int rc =
            skeleton_set_option(s, params->options[i].key, params->options[i].value, err);
        if (rc != 0) {
            skeleton_close(s);
            return rc;
        }
    }
    /* engine: create its environment; honour params->threads (0: all cores of this
     * process) and params->precision, or refuse with MLD_E_UNSUPPORTED. A silent
     * fallback to another device or precision is the one thing that must not happen. */
    *out = s;
    return 0;
}

/* --- load and unload -------------------------------------------------------------- */

/* Load and compile one model: the phase "load". The file is ONNX with its weights beside
 * it. Use MLD_E_NOT_FOUND and MLD_E_PARSE for the file, MLD_E_UNSUPPORTED with the name
 * of the operator for what the engine cannot do, MLD_E_NO_MEMORY and MLD_E_DEVICE_MEMORY
 * where memory ran out: each becomes another status of the row. */
static int skeleton_load(struct mld_session *s, const struct mld_load_params *params,
                         struct mld_error *err)
{
    if (params->onnx_path && params->onnx_path[0] && !mld_path_is_file(params->onnx_path))
        return mld_error_set(err, MLD_E_NOT_FOUND, "cannot open '%s': no such file",
                             params->onnx_path);
    /* engine: create the session from the file. */
    s->loaded = true;
    return 0;
}

/* Back to just opened: everything that load and prepare took is freed, so that a process
 * can go through many models. Also called after a prepare that failed half-way; a load
 * that fails cleans up after itself. */
static void skeleton_unload(struct mld_session *s)
{
    for (size_t i = 0; i < s->input_count; i++)
        mld_free(s->inputs[i].own);
    for (size_t i = 0; i < s->output_count; i++)
        mld_free(s->outputs[i].own);
    mld_free(s->inputs);
    mld_free(s->outputs);
    s->inputs = s->outputs = NULL;
    s->input_count = s->output_count = 0;
    s->loaded = false;
}

/* --- prepare ---------------------------------------------------------------------- */

/* Bytes of a tensor's shape; SIZE_MAX when they overflow. */
static size_t skeleton_bytes(const struct mld_tensor *t)
{
    int64_t count = 1;
    for (int d = 0; d < t->rank; d++)
        count *= t->dims[d];
    return mld_dtype_bytes(t->dtype, count);
}

static bool skeleton_bind_output(struct skeleton_binding *b, const struct mld_tensor *t)
{
    b->tensor = *t;
    b->tensor.bytes = skeleton_bytes(t);
    b->own = mld_calloc(b->tensor.bytes > 0 ? b->tensor.bytes : 1, 1);
    b->tensor.data = b->own;
    return b->own != NULL;
}

static bool skeleton_bind_input(struct skeleton_binding *b, const struct mld_tensor *t)
{
    b->tensor = *t;
    b->own = mld_alloc(t->bytes > 0 ? t->bytes : 1);
    if (b->own && t->bytes > 0)
        memcpy(b->own, t->data, t->bytes);
    b->tensor.data = b->own;
    return b->own != NULL;
}

/* Bind inputs and outputs once, so that run has nothing left to do but run: copy the
 * inputs to the device (or use the caller's memory, which stays until unload), allocate
 * the outputs. A state pair (KV cache) is one buffer for both: the output is written over
 * the input, and the next run reads it. */
static int skeleton_prepare(struct mld_session *s,
                            const struct mld_prepare_params *params,
                            struct mld_error *err)
{
    s->inputs = mld_calloc(params->input_count + 1, sizeof(*s->inputs));
    s->outputs = mld_calloc(params->output_count + 1, sizeof(*s->outputs));
    bool good = s->inputs && s->outputs;
    for (size_t i = 0; good && i < params->input_count; i++, s->input_count++)
        good = skeleton_bind_input(&s->inputs[i], &params->inputs[i]);
    for (size_t i = 0; good && i < params->output_count; i++, s->output_count++)
        good = skeleton_bind_output(&s->outputs[i], &params->outputs[i]);
    if (!good)
        return mld_error_set(err, MLD_E_NO_MEMORY, "no memory for the bindings");
    for (size_t i = 0; i < params->state_count; i++) {
        const struct mld_state_pair *pair = &params->state[i];
        struct skeleton_binding *in = &s->inputs[pair->input];
        struct skeleton_binding *out = &s->outputs[pair->output];
        if (in->tensor.bytes != out->tensor.bytes)
            return mld_error_set(err, MLD_E_INVALID, "state '%s' and '%s' differ in size",
                                 in->tensor.name, out->tensor.name);
        mld_free(out->own);
        out->own = NULL; /* the input's block is the output's too, and frees it once */
        out->tensor.data = in->tensor.data;
    }
    return 0;
}

/* --- run -------------------------------------------------------------------------- */

/* One run, and only that: this is what is timed. It is complete when it returns (wait for
 * the device), it allocates nothing of ours, logs nothing, and checks nothing that
 * prepare could have checked. */
static int skeleton_run(struct mld_session *s, struct mld_error *err)
{
    for (int64_t r = 0; r < s->repeat; r++) {
        if (atomic_load_explicit(&s->cancelled, memory_order_relaxed))
            return mld_error_set(err, MLD_E_CANCELLED, "the run was cancelled");
        for (size_t i = 0; i < s->output_count && s->input_count > 0; i++) {
            const struct mld_tensor *from = &s->inputs[i % s->input_count].tensor;
            const struct mld_tensor *to = &s->outputs[i].tensor;
            /* engine: run the bound session. */
            for (size_t at = 0; at < to->bytes && from->bytes > 0; at += from->bytes) {
                size_t n = to->bytes - at < from->bytes ? to->bytes - at : from->bytes;
                if (to->data != from->data)
                    memcpy((char *)to->data + at, from->data, n);
            }
        }
    }
    return 0;
}

/* Called at any time after open, from another thread or a signal handler: set a flag, or
 * call what the engine offers for it, and return at once. */
static void skeleton_cancel(struct mld_session *s)
{
    atomic_store(&s->cancelled, true);
}

/* --- between runs ----------------------------------------------------------------- */

/* New content for an input, same shape. data is the caller's again after the return. */
static int skeleton_set_input(struct mld_session *s, size_t index, const void *data,
                              size_t bytes, struct mld_error *err)
{
    if (index >= s->input_count || bytes != s->inputs[index].tensor.bytes)
        return mld_error_set(err, MLD_E_INVALID, "input %zu does not hold %zu bytes",
                             index, bytes);
    memcpy(s->inputs[index].tensor.data, data, bytes);
    return 0;
}

/* An output of the last run, in host memory that stays ours: valid until the next run or
 * unload. The shape is what the engine produced, not what was promised. */
static int skeleton_output(struct mld_session *s, size_t index, struct mld_tensor *out,
                           struct mld_error *err)
{
    if (index >= s->output_count)
        return mld_error_set(err, MLD_E_INVALID, "there is no output %zu", index);
    *out = s->outputs[index].tensor;
    return 0;
}

/* The proof of placement: how many nodes ran, how many of them on the wanted device, and
 * in which precision. -1 and "" where the engine does not tell; a guess is worse. */
static int skeleton_counters(struct mld_session *s, struct mld_counters *out,
                             struct mld_error *err)
{
    (void)err;
    memset(out, 0, sizeof(*out));
    out->nodes_total = (int64_t)s->output_count; /* one memcpy each */
    out->nodes_on_device = out->nodes_total;
    out->device_memory_bytes = -1;
    out->precision_emulated = -1;
    snprintf(out->provider, sizeof(out->provider), "memcpy");
    return 0;
}

/* --- the table -------------------------------------------------------------------- */

/* Required: probe, devices, open, load, prepare, run, unload, close. What is left out
 * gets the default that its comment in backend.h names. */
static const struct mld_backend_ops skeleton_ops = {
    .abi = MLD_BACKEND_ABI,
    .size = sizeof(struct mld_backend_ops),
    .name = "skeleton",
    .summary = "the tutorial: copies inputs to outputs",
    .flags = MLD_BACKEND_SYNTHETIC,
    .options = skeleton_options,
    .platforms = "skeleton",
    .probe = skeleton_probe,
    .devices = skeleton_devices,
    .open = skeleton_open,
    .load = skeleton_load,
    .prepare = skeleton_prepare,
    .run = skeleton_run,
    .set_input = skeleton_set_input,
    .output = skeleton_output,
    .counters = skeleton_counters,
    .cancel = skeleton_cancel,
    .unload = skeleton_unload,
    .close = skeleton_close,
};

const struct mld_backend_ops *mld_backend_entry_skeleton(void)
{
    return &skeleton_ops;
}
