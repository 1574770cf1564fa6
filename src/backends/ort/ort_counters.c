/* ort_counters.c: the proof of placement: which provider ran how many nodes, in which
 * type.
 *
 * One more run is made with ONNX Runtime's run-level profiler on, after the measured
 * ones, and the kernel events of its trace are counted. The measured runs pay nothing for
 * it. */
#define _GNU_SOURCE /* mkdtemp */
#include "backends/ort/ort_int.h"

#include "base/alloc.h"
#include "base/fs.h"
#include "base/json.h"
#include "base/log.h"
#include "base/str.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PROFILE_BYTES_MAX (64u << 20)

/* Run-level profiling came with version 25 of ORT's table, which may be newer than the
 * header at build time. The table only grows and published slots never move, so a slot is
 * named by how many pointers it lies behind the last one of version 23. */
#define PROFILE_API          25
#define PROFILE_SLOT_ENABLE  26
#define PROFILE_SLOT_DISABLE 27

typedef OrtStatus *(ORT_API_CALL *profile_enable_fn)(OrtRunOptions *, const char *prefix);
typedef OrtStatus *(ORT_API_CALL *profile_disable_fn)(OrtRunOptions *);

struct profile_slots {
    profile_enable_fn enable;
    profile_disable_fn disable;
};

static bool profile_slots_find(const struct mld_ort_library *lib,
                               struct profile_slots *out)
{
    const char *last =
        (const char *)lib->api + offsetof(OrtApi, CreateExternalInitializerInfo);

    if (lib->api_version < PROFILE_API)
        return false;
    memcpy(&out->enable, last + PROFILE_SLOT_ENABLE * sizeof(void *),
           sizeof(out->enable));
    memcpy(&out->disable, last + PROFILE_SLOT_DISABLE * sizeof(void *),
           sizeof(out->disable));
    return out->enable && out->disable;
}

/* --- reading a trace -------------------------------------------------------------- */

/* Element types of what heavy kernels read first, in the words of a trace. */
static const struct {
    const char *trace, *precision;
} trace_types[] = {
    {"float", "fp32"},  {"float16", "fp16"}, {"bfloat16", "bf16"},
    {"double", "fp64"}, {"int8", "int8"},    {"uint8", "int8"},
};
#define TRACE_TYPES (sizeof(trace_types) / sizeof(trace_types[0]))

static bool trace_op_is_heavy(const char *op)
{
    return strstr(op, "MatMul") || strstr(op, "Gemm") || strstr(op, "Conv") ||
           strstr(op, "Attention") || strstr(op, "Einsum");
}

/* Index in trace_types of the kernel's first input; -1: another type or not told.
 * args.input_type_shape is [{"float": [2, 8]}, ...]. */
static int trace_first_type(const struct mld_json *args)
{
    const char *key = mld_json_key(
        mld_json_first(mld_json_first(mld_json_get(args, "input_type_shape"))));

    for (size_t i = 0; key && i < TRACE_TYPES; i++)
        if (mld_streq(key, trace_types[i].trace))
            return (int)i;
    return -1;
}

int mld_ort_counters_from_profile(const char *text, size_t n, const char *precision,
                                  struct mld_counters *out, struct mld_error *err)
{
    size_t heavy[TRACE_TYPES] = {0}, best = 0;
    struct mld_json *root = NULL;
    const char *other = NULL;

    MLD_TRY(mld_json_parse(text, n, "profile of ONNX Runtime", &root, err));
    out->nodes_total = 0;
    out->nodes_on_device = 0;
    for (const struct mld_json *e = mld_json_first(root); e; e = mld_json_next(e)) {
        const struct mld_json *args = mld_json_get(e, "args");
        const char *provider = mld_json_str(mld_json_get(args, "provider"), NULL);
        const char *op = mld_json_str(mld_json_get(args, "op_name"), "");
        int type;

        if (!mld_streq(mld_json_str(mld_json_get(e, "cat"), NULL), "Node") || !provider ||
            !mld_str_ends(mld_json_str(mld_json_get(e, "name"), ""), "_kernel_time"))
            continue;
        out->nodes_total++;
        if (mld_streq(provider, "CPUExecutionProvider"))
            out->nodes_on_device++;
        else if (!other)
            other = provider;
        type = trace_first_type(args);
        if (type >= 0 && trace_op_is_heavy(op))
            heavy[type]++;
    }
    snprintf(out->provider, sizeof(out->provider), "%s",
             out->nodes_total == 0      ? ""
             : out->nodes_on_device > 0 ? "CPUExecutionProvider"
                                        : other);
    for (size_t i = 1; i < TRACE_TYPES; i++)
        if (heavy[i] > heavy[best])
            best = i;
    if (heavy[best] > 0) {
        snprintf(out->precision_effective, sizeof(out->precision_effective), "%s",
                 trace_types[best].precision);
        out->precision_emulated =
            mld_streq(precision, trace_types[best].precision) ? 0 : 1;
    }
    mld_json_free(root);
    return 0;
}

/* --- making one ------------------------------------------------------------------- */

/* The run itself, its trace written to a file of its own in folder. */
static int profile_run(struct mld_session *s, const struct profile_slots *slots,
                       const char *folder, struct mld_error *err)
{
    OrtRunOptions *options = NULL;
    char *prefix = mld_path_join(folder, "run");
    int rc;

    if (!prefix)
        return mld_error_set(err, MLD_E_NO_MEMORY, "no memory for a path");
    rc = mld_ort_check(s->api, s->api->CreateRunOptions(&options), err,
                       "cannot make run options");
    if (rc == 0)
        rc = mld_ort_check(s->api, slots->enable(options, prefix), err,
                           "cannot profile a run");
    if (rc == 0)
        rc =
            mld_ort_check(s->api, s->api->RunWithBinding(s->session, options, s->binding),
                          err, "the profiled run failed");
    if (options)
        s->api->ReleaseStatus(slots->disable(options));
    s->api->ReleaseRunOptions(options);
    mld_free(prefix);
    return rc;
}

static int profile_read(const char *folder, const char *precision,
                        struct mld_counters *out, struct mld_error *err)
{
    char **names = NULL, *path = NULL, *text = NULL;
    size_t count = 0, n = 0;
    int rc;

    MLD_TRY(mld_dir_list(folder, &names, &count, err));
    if (count == 0) {
        rc =
            mld_error_set(err, MLD_E_IO, "ONNX Runtime wrote no profile to '%s'", folder);
    } else if (!(path = mld_path_join(folder, names[0]))) {
        rc = mld_error_set(err, MLD_E_NO_MEMORY, "no memory for a path");
    } else {
        rc = mld_file_read(path, PROFILE_BYTES_MAX, &text, &n, err);
        if (rc == 0)
            rc = mld_ort_counters_from_profile(text, n, precision, out, err);
    }
    mld_free(text);
    mld_free(path);
    mld_names_free(names, count);
    return rc;
}

static int profile_count(struct mld_session *s, const struct profile_slots *slots,
                         struct mld_counters *out, struct mld_error *err)
{
    const char *tmp = getenv("TMPDIR");
    char folder[512];
    int rc;

    snprintf(folder, sizeof(folder), "%.400s/mldyno-profile-XXXXXX",
             tmp && *tmp ? tmp : "/tmp");
    if (!mkdtemp(folder))
        return mld_error_set(err, MLD_E_IO, "cannot make folder '%s'", folder);
    rc = profile_run(s, slots, folder, err);
    if (rc == 0)
        rc = profile_read(folder, s->precision, out, err);
    mld_remove_tree(folder, NULL);
    return rc;
}

/* Peak of the CPU provider's arena; -1: the allocator does not tell. */
static int64_t arena_peak_bytes(const struct mld_session *s)
{
    OrtAllocator *allocator = NULL;
    OrtKeyValuePairs *stats = NULL;
    const char *text;
    int64_t bytes = -1;

    if (mld_ort_check(s->api, s->api->CreateAllocator(s->session, s->memory, &allocator),
                      NULL, "no allocator") != 0)
        return -1;
    if (mld_ort_check(s->api, s->api->AllocatorGetStats(allocator, &stats), NULL,
                      "no statistics") == 0 &&
        stats) {
        text = s->api->GetKeyValue(stats, "MaxInUse");
        if (!text || !mld_parse_i64(text, &bytes) || bytes < 0)
            bytes = -1;
    }
    s->api->ReleaseKeyValuePairs(stats);
    s->api->ReleaseAllocator(allocator);
    return bytes;
}

int mld_ort_counters(struct mld_session *s, struct mld_counters *out,
                     struct mld_error *err)
{
    struct profile_slots slots;
    struct mld_error why = {0};

    *out = (struct mld_counters){.nodes_total = -1,
                                 .nodes_on_device = -1,
                                 .device_memory_bytes = -1,
                                 .precision_emulated = -1};
    if (!s->binding || s->runs == 0)
        return mld_error_set(err, MLD_E_INVALID, "no run has been made yet");
    out->device_memory_bytes = arena_peak_bytes(s);
    if (s->options.profile || !profile_slots_find(s->lib, &slots))
        return 0; /* a profile of the whole session excludes one of a run */
    if (profile_count(s, &slots, out, &why) != 0) {
        /* Not knowing is allowed; not saying why is not. */
        mld_log(MLD_LOG_WARN, "placement unknown: %s", why.message);
        out->nodes_total = out->nodes_on_device = -1;
    }
    return 0;
}
