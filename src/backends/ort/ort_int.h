/* ort_int.h: what the files of the ONNX Runtime backend share. Only they include ORT's
 * header; an OrtStatus never leaves this folder. */
#ifndef MLD_BACKENDS_ORT_ORT_INT_H
#define MLD_BACKENDS_ORT_ORT_INT_H

#include "mldyno/backend.h"

#include <onnxruntime/onnxruntime_c_api.h>

#include <stdatomic.h>

#define MLD_ORT_API_NEEDED  23 /* of ORT's function table: ONNX Runtime 1.23 */
#define MLD_ORT_ALIGN_BYTES 64 /* of the tensors at the border: a cache line */

/* The loaded library: one per process, never unloaded. */
struct mld_ort_library {
    void *handle;
    const OrtApi *api;
    int api_version; /* newest table that the library offers, as its version tells */
    char version[48];
    char path[512];
};

/* Loads the library (once; a failure is tried anew at the next call). MLD_E_NO_ENGINE:
 * none found, or what was found is not a usable ONNX Runtime. *out stays valid for ever.
 */
int mld_ort_library_load(const struct mld_ort_library **out,
                         struct mld_error *err) MLD_MUST_CHECK;

/* ORT's process-wide environment, made at first use and kept. */
int mld_ort_env(const struct mld_ort_library *lib, OrtEnv **out,
                struct mld_error *err) MLD_MUST_CHECK;

/* 0 for a NULL status; else its code and one-line message go to err and it is released.
 * `what` says what was tried ("cannot load 'x.onnx'"). */
int mld_ort_check(const OrtApi *api, OrtStatus *status, struct mld_error *err,
                  const char *what, ...) MLD_PRINTF(4, 5) MLD_MUST_CHECK;
/* A message of ORT on one line, without its source positions (for tests). */
void mld_ort_error_text(const char *message, char *out, size_t cap);
/* The code of ours for a status of ORT and its message (for tests). */
int mld_ort_error_code(OrtErrorCode code, const char *message);

/* Element types; -1 and UNDEFINED where the other side has none. */
int mld_ort_dtype_from(ONNXTensorElementDataType type);
ONNXTensorElementDataType mld_ort_dtype_to(enum mld_dtype type);

/* Session options, from -o key=value. */
struct mld_ort_options {
    GraphOptimizationLevel graph_opt;
    bool spinning, arena, mem_pattern, parallel;
    int inter_threads;          /* 0: ORT's default */
    const char *profile;        /* borrowed; NULL: none */
    const char *save_optimized; /* borrowed; NULL: none */
};
extern const struct mld_backend_option mld_ort_option_table[];
int mld_ort_options_parse(const struct mld_key_value *kv, size_t n,
                          struct mld_ort_options *out,
                          struct mld_error *err) MLD_MUST_CHECK;
/* How many cores this process may run on. */
int mld_ort_core_count(void);

/* The CPU of this machine, from /proc (text is NUL-terminated; for tests). */
void mld_ort_cpu_from_text(const char *cpuinfo, const char *meminfo,
                           struct mld_device *out);
void mld_ort_cpu_device(struct mld_device *out);

struct mld_ort_tensor {
    OrtValue *value;
    void *data;    /* ours, aligned; a state output borrows its input's, a state input the
                      caller's */
    bool borrowed; /* data belongs to another tensor or to the caller */
    char *name;
    enum mld_dtype dtype;
    int rank;
    int64_t dims[MLD_MAX_RANK];
    size_t bytes;
};

struct mld_session {
    const struct mld_ort_library *lib;
    const OrtApi *api;
    int threads;
    char precision[16];
    struct mld_ort_options options;
    char *profile, *save_optimized; /* copies that options points to */
    OrtMemoryInfo *memory;
    OrtRunOptions *run_options;
    OrtSession *session;   /* NULL: nothing loaded */
    OrtIoBinding *binding; /* NULL: nothing prepared */
    struct mld_ort_tensor *inputs, *outputs;
    size_t input_count, output_count;
    uint64_t runs;
    atomic_bool cancelled;
};

/* Placement by proof: one more run with ORT's profiler on, its events counted. Fields
 * stay unknown where the library is too old for it or nothing can be written. */
int mld_ort_counters(struct mld_session *s, struct mld_counters *out,
                     struct mld_error *err) MLD_MUST_CHECK;
/* Reads the events of a profile (JSON text) into out; for tests. */
int mld_ort_counters_from_profile(const char *text, size_t n, const char *precision,
                                  struct mld_counters *out,
                                  struct mld_error *err) MLD_MUST_CHECK;

const struct mld_backend_ops *mld_backend_entry_ort(void);

#endif
