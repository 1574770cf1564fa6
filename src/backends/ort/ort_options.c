/* ort_options.c: the options of the ONNX Runtime backend, the element types at its
 * border, and what /proc tells of the CPU that it runs on. */
#define _GNU_SOURCE /* sched_getaffinity */
#include "backends/ort/ort_int.h"

#include "base/alloc.h"
#include "base/fs.h"
#include "base/str.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

const struct mld_backend_option mld_ort_option_table[] = {
    {"graph-opt", "LEVEL", "all", "graph optimization: all, extended, basic or none"},
    {"spinning", "on|off", "on", "idle compute threads spin instead of sleeping"},
    {"arena", "on|off", "on", "memory arena of the CPU provider"},
    {"mem-pattern", "on|off", "on", "plan activation memory from the first run"},
    {"execution-mode", "MODE", "sequential", "sequential, or parallel branches"},
    {"inter-threads", "N", "0",
     "threads for parallel branches; 0: ONNX Runtime's choice"},
    {"profile", "FILE", "",
     "write ONNX Runtime's profile of all runs there (slows them)"},
    {"save-optimized", "FILE", "", "write the optimized graph there as ONNX"},
    {NULL, NULL, NULL, NULL},
};

/* A word of a value and what it stands for. */
struct option_word {
    const char *word;
    int value;
};

static int option_word(const struct mld_key_value *kv, const struct option_word *words,
                       size_t n, int *out, struct mld_error *err)
{
    struct mld_str all = {0};
    int rc;

    for (size_t i = 0; i < n; i++)
        if (mld_streq(kv->value, words[i].word)) {
            *out = words[i].value;
            return 0;
        }
    for (size_t i = 0; i < n; i++)
        mld_str_addf(&all, "%s%s", i ? ", " : "", words[i].word);
    rc = mld_error_set(err, MLD_E_INVALID, "option '%s': '%s' is none of %s", kv->key,
                       kv->value, mld_str_c(&all));
    mld_str_release(&all);
    return rc;
}

static int option_bool(const struct mld_key_value *kv, bool *out, struct mld_error *err)
{
    static const struct option_word words[] = {{"on", 1}, {"off", 0}};
    int x = 0;

    MLD_TRY(option_word(kv, words, 2, &x, err));
    *out = x != 0;
    return 0;
}

static int option_path(const struct mld_key_value *kv, const char **out,
                       struct mld_error *err)
{
    if (!kv->value[0])
        return mld_error_set(err, MLD_E_INVALID, "option '%s' wants a file name",
                             kv->key);
    *out = kv->value;
    return 0;
}

static int option_unknown(const char *key, struct mld_error *err)
{
    const char *names[16], *near;
    size_t n = 0;

    for (const struct mld_backend_option *o = mld_ort_option_table; o->key; o++)
        names[n++] = o->key;
    near = mld_str_nearest(key, names, n);
    return mld_error_set(err, MLD_E_INVALID, "backend 'ort' has no option '%s'%s%s%s",
                         key, near ? "; did you mean '" : "", near ? near : "",
                         near ? "'" : "");
}

int mld_ort_options_parse(const struct mld_key_value *kv, size_t n,
                          struct mld_ort_options *out, struct mld_error *err)
{
    static const struct option_word levels[] = {{"all", ORT_ENABLE_ALL},
                                                {"extended", ORT_ENABLE_EXTENDED},
                                                {"basic", ORT_ENABLE_BASIC},
                                                {"none", ORT_DISABLE_ALL}};
    static const struct option_word modes[] = {{"sequential", 0}, {"parallel", 1}};

    *out = (struct mld_ort_options){.graph_opt = ORT_ENABLE_ALL,
                                    .spinning = true,
                                    .arena = true,
                                    .mem_pattern = true};
    for (size_t i = 0; i < n; i++) {
        const char *key = kv[i].key;
        int x = 0;

        if (mld_streq(key, "graph-opt")) {
            MLD_TRY(option_word(&kv[i], levels, 4, &x, err));
            out->graph_opt = (GraphOptimizationLevel)x;
        } else if (mld_streq(key, "execution-mode")) {
            MLD_TRY(option_word(&kv[i], modes, 2, &x, err));
            out->parallel = x != 0;
        } else if (mld_streq(key, "spinning")) {
            MLD_TRY(option_bool(&kv[i], &out->spinning, err));
        } else if (mld_streq(key, "arena")) {
            MLD_TRY(option_bool(&kv[i], &out->arena, err));
        } else if (mld_streq(key, "mem-pattern")) {
            MLD_TRY(option_bool(&kv[i], &out->mem_pattern, err));
        } else if (mld_streq(key, "inter-threads")) {
            int64_t t;
            if (!mld_parse_i64(kv[i].value, &t) || t < 0 || t > 4096)
                return mld_error_set(err, MLD_E_INVALID,
                                     "option 'inter-threads': '%s' is not a number from "
                                     "0 to 4096",
                                     kv[i].value);
            out->inter_threads = (int)t;
        } else if (mld_streq(key, "profile")) {
            MLD_TRY(option_path(&kv[i], &out->profile, err));
        } else if (mld_streq(key, "save-optimized")) {
            MLD_TRY(option_path(&kv[i], &out->save_optimized, err));
        } else {
            return option_unknown(key, err);
        }
    }
    return 0;
}

int mld_ort_core_count(void)
{
    cpu_set_t set;
    long n;

    if (sched_getaffinity(0, sizeof(set), &set) == 0 && CPU_COUNT(&set) > 0)
        return CPU_COUNT(&set);
    n = sysconf(_SC_NPROCESSORS_ONLN); /* more than CPU_SETSIZE cores */
    return n > 0 && n < 4096 ? (int)n : 1;
}

/* --- element types ---------------------------------------------------------------- */

static const struct {
    enum mld_dtype ours;
    ONNXTensorElementDataType theirs;
} dtype_pairs[] = {
    {MLD_F32, ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT},
    {MLD_F16, ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16},
    {MLD_BF16, ONNX_TENSOR_ELEMENT_DATA_TYPE_BFLOAT16},
    {MLD_I8, ONNX_TENSOR_ELEMENT_DATA_TYPE_INT8},
    {MLD_U8, ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8},
    {MLD_I4, ONNX_TENSOR_ELEMENT_DATA_TYPE_INT4},
    {MLD_U4, ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT4},
    {MLD_I32, ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32},
    {MLD_I64, ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64},
    {MLD_BOOL, ONNX_TENSOR_ELEMENT_DATA_TYPE_BOOL},
};
_Static_assert(sizeof(dtype_pairs) / sizeof(dtype_pairs[0]) == MLD_DTYPE_COUNT,
               "every element type has its pair");

int mld_ort_dtype_from(ONNXTensorElementDataType type)
{
    for (size_t i = 0; i < MLD_DTYPE_COUNT; i++)
        if (dtype_pairs[i].theirs == type)
            return (int)dtype_pairs[i].ours;
    return -1;
}

ONNXTensorElementDataType mld_ort_dtype_to(enum mld_dtype type)
{
    for (size_t i = 0; i < MLD_DTYPE_COUNT; i++)
        if (dtype_pairs[i].ours == type)
            return dtype_pairs[i].theirs;
    return ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED;
}

/* --- the CPU ---------------------------------------------------------------------- */

/* Copies what follows "key<blanks>:" at the start of a line; "" when there is no such. */
static void proc_field(const char *text, const char *key, char *out, size_t cap)
{
    const size_t n = strlen(key);

    out[0] = '\0';
    for (const char *line = text; line; line = strchr(line, '\n')) {
        const char *p;
        size_t len;

        line += *line == '\n';
        if (strncmp(line, key, n) != 0)
            continue;
        p = line + n + strspn(line + n, " \t");
        if (*p != ':')
            continue;
        p += 1 + strspn(p + 1, " \t");
        len = strcspn(p, "\n");
        while (len > 0 && (p[len - 1] == ' ' || p[len - 1] == '\t'))
            len--;
        snprintf(out, cap, "%.*s", (int)(len < cap ? len : cap - 1), p);
        return;
    }
}

static uint64_t proc_kib(const char *meminfo, const char *key)
{
    char text[64];

    proc_field(meminfo, key, text, sizeof(text));
    return strtoull(text, NULL, 10) * 1024u;
}

void mld_ort_cpu_from_text(const char *cpuinfo, const char *meminfo,
                           struct mld_device *out)
{
    char vendor[64];

    *out = (struct mld_device){.platform = "cpu", .id = "cpu"};
    proc_field(cpuinfo, "model name", out->name, sizeof(out->name)); /* x86 */
    if (!out->name[0])
        proc_field(cpuinfo, "Model", out->name, sizeof(out->name)); /* some ARM boards */
    if (!out->name[0])
        proc_field(cpuinfo, "cpu model", out->name, sizeof(out->name)); /* MIPS */
    proc_field(cpuinfo, "vendor_id", vendor, sizeof(vendor));
    snprintf(out->vendor, sizeof(out->vendor), "%s",
             mld_streq(vendor, "AuthenticAMD")   ? "AMD"
             : mld_streq(vendor, "GenuineIntel") ? "Intel"
                                                 : vendor);
    out->memory_bytes = proc_kib(meminfo, "MemTotal");
    out->memory_free_bytes = proc_kib(meminfo, "MemAvailable");
}

void mld_ort_cpu_device(struct mld_device *out)
{
    char *cpuinfo = NULL, *meminfo = NULL;
    struct utsname machine;
    size_t n;

    /* Absent files (no /proc) leave the fields unknown, which the struct allows. */
    if (mld_file_read("/proc/cpuinfo", 16u << 20, &cpuinfo, &n, NULL) != 0)
        cpuinfo = NULL;
    if (mld_file_read("/proc/meminfo", 1u << 20, &meminfo, &n, NULL) != 0)
        meminfo = NULL;
    mld_ort_cpu_from_text(cpuinfo ? cpuinfo : "", meminfo ? meminfo : "", out);
    if (!out->name[0] && uname(&machine) == 0)
        snprintf(out->name, sizeof(out->name), "%s CPU", machine.machine);
    mld_free(cpuinfo);
    mld_free(meminfo);
}
