/* backend.h: all that the author of a backend needs.
 *
 * A backend drives one engine (ONNX Runtime, OpenVINO, a browser ...). It is a table of
 * functions, struct mld_backend_ops, which the core checks once when it is registered and
 * then calls only through src/core/session.c. src/backends/skeleton/ is the commented
 * tutorial, src/backends/null/ a complete fake.
 *
 * Order of life of a session, one thread at a time:
 *
 *   probe -> devices -> open -> load -> prepare -> run, run, run ... -> unload -> close
 *                                            \-> set_input, output, counters between runs
 *
 * cancel may be called from another thread or a signal handler at any time after open.
 * Ownership: strings and arrays passed in are borrowed for the call unless said
 * otherwise; what a backend hands out stays its own until the call named in the slot's
 * comment. Nothing that a backend allocated is freed by the core. Engines are loaded at
 * run time (dlopen) and never unloaded; a missing engine is a probe with a reason, not an
 * error. */
#ifndef MLDYNO_BACKEND_H
#define MLDYNO_BACKEND_H

#include "mldyno/dtype.h"
#include "mldyno/error.h"

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Raised when a slot changes its meaning; appending a slot raises size instead. */
#define MLD_BACKEND_ABI 1u
/* Bytes of the first published table: one that is shorter is refused. */
#define MLD_BACKEND_SIZE_MIN                                                             \
    (offsetof(struct mld_backend_ops, close) + sizeof(void (*)(struct mld_session *)))

/* Capability flags of a backend. */
#define MLD_BACKEND_FUSED_ORT (1u << 0) /* takes com.microsoft fused operators */
#define MLD_BACKEND_SYNTHETIC (1u << 1) /* computes nothing: never in "all hardware" */
#define MLD_BACKEND_NUMERIC   (1u << 2) /* outputs are the model's numbers: can verify */

/* Flags of a device. */
#define MLD_DEVICE_SOFTWARE (1u << 0) /* an adapter emulated on the CPU */

/* What probe tells of the engine on this machine. */
struct mld_probe {
    bool usable;
    char engine[48];  /* "onnxruntime", "openvino": the software that computes */
    char version[48]; /* as the engine tells it; "" when not usable */
    char path[512];   /* library or program found; "" when none */
    char reason[256]; /* not usable: why, and the command that mends it */
};

/* One device, as the store writes it. Unknown numbers are 0, unknown text is "". */
struct mld_device {
    char platform[24]; /* what --hardware names: cpu, cuda, openvino, null ... */
    char id[32];       /* "cpu", "cuda:1": unique within the machine */
    char name[128];    /* "AMD EPYC ..." */
    char vendor[64];
    char driver[64];
    uint64_t memory_bytes;
    uint64_t memory_free_bytes;
    uint32_t flags; /* MLD_DEVICE_* */
};

/* One option of a backend, for -o key=value, --help-backend and the checks of values. */
struct mld_backend_option {
    const char *key;
    const char *value_name; /* "N", "MODE" */
    const char *fallback;   /* default, as text */
    const char *help;
};

struct mld_key_value {
    const char *key, *value;
};

/* How a session is opened. */
struct mld_open_params {
    const char *device; /* mld_device.id */
    int threads;        /* compute threads of the engine; 0 = all cores of this process */
    const char *precision;               /* "fp32" ... */
    uint64_t seed;                       /* of whatever the backend draws */
    const struct mld_key_value *options; /* -o key=value, checked against the table */
    size_t option_count;
};

/* Which model is loaded: an ONNX file with its external data beside it. */
struct mld_load_params {
    const char *onnx_path;
    const char *artifact_dir; /* the folder that holds it and manifest.json */
};

/* A tensor at the border. data is row-major host memory (4-bit types packed). */
struct mld_tensor {
    const char *name;
    enum mld_dtype dtype;
    int rank;
    int64_t dims[MLD_MAX_RANK];
    void *data;
    size_t bytes;
};

/* What is bound before the runs. A state pair is a buffer that an output writes in place
 * over an input (KV cache): output_names[state[i].output] shares memory with
 * inputs[state[i].input], which stays on the device between runs. */
struct mld_state_pair {
    size_t input, output;
};
struct mld_prepare_params {
    const struct mld_tensor
        *inputs; /* copied, or bound in place, before the call returns: the caller keeps
                    data alive until unload, and a state's data may be written */
    size_t input_count;
    const struct mld_tensor *outputs; /* name, dtype, dims are what the artifact promises;
                                         data is NULL */
    size_t output_count;
    const struct mld_state_pair *state;
    size_t state_count;
};

/* What counters tells after at least one run; -1 (or "") is unknown. */
struct mld_counters {
    int64_t nodes_total;          /* nodes of the graph that the engine executes */
    int64_t nodes_on_device;      /* of these, on the wanted device */
    char provider[64];            /* who ran them: "CPUExecutionProvider" */
    int64_t device_memory_bytes;  /* peak that the engine or driver tells */
    char precision_effective[16]; /* "fp32"; "" unknown */
    int precision_emulated;       /* 1, 0, -1 unknown */
};

struct mld_session; /* a backend's own; defined by it */

struct mld_backend_ops {
    uint32_t abi;                             /* MLD_BACKEND_ABI */
    uint32_t size;                            /* sizeof(struct mld_backend_ops) */
    const char *name;                         /* "ort": unique, lower case */
    const char *summary;                      /* one line for `mldyno hardware` */
    uint32_t flags;                           /* MLD_BACKEND_* */
    const struct mld_backend_option *options; /* ends with key NULL; NULL: none */
    const char *platforms; /* comma list of all that devices could name here, so that a
                              missing engine can be explained; NULL: the name */

    /* required. Looks for the engine; returns 0 with out filled also when it is missing.
     */
    int (*probe)(struct mld_probe *out, struct mld_error *err);

    /* required. Writes up to cap devices to out and their full number to *count. Called
     * only after a usable probe. */
    int (*devices)(struct mld_device *out, size_t cap, size_t *count,
                   struct mld_error *err);

    /* required. Loads the engine and gets the device ready (phase "startup"). On success
     * *out is owned by the caller until close; on failure it is NULL. */
    int (*open)(const struct mld_open_params *params, struct mld_session **out,
                struct mld_error *err);

    /* required. Loads and compiles one model (phase "load"). MLD_E_UNSUPPORTED when the
     * engine lacks an operator or a type: the message names it. */
    int (*load)(struct mld_session *s, const struct mld_load_params *params,
                struct mld_error *err);

    /* required. Binds inputs and outputs once, so that run allocates nothing of ours. */
    int (*prepare)(struct mld_session *s, const struct mld_prepare_params *params,
                   struct mld_error *err);

    /* required. One run, complete when it returns (device work included). */
    int (*run)(struct mld_session *s, struct mld_error *err);

    /* optional, default: MLD_E_UNSUPPORTED. Changes the content of input index (same
     * shape); data is copied before the call returns. */
    int (*set_input)(struct mld_session *s, size_t index, const void *data, size_t bytes,
                     struct mld_error *err);

    /* optional, default: MLD_E_UNSUPPORTED. Output index of the last run in host memory;
     * borrowed until the next run or unload. */
    int (*output)(struct mld_session *s, size_t index, struct mld_tensor *out,
                  struct mld_error *err);

    /* optional, default: everything unknown. */
    int (*counters)(struct mld_session *s, struct mld_counters *out,
                    struct mld_error *err);

    /* optional, default: nothing. Ends a running run soon; safe from another thread. */
    void (*cancel)(struct mld_session *s);

    /* required. Frees the model; the session can load another. */
    void (*unload)(struct mld_session *s);

    /* required. Frees the session; NULL is allowed. */
    void (*close)(struct mld_session *s);
};

/* The one symbol that a backend exports: its table, valid for ever. In the program it is
 * mld_backend_entry_<name>; in a plug-in it is mld_backend_entry. */
typedef const struct mld_backend_ops *(*mld_backend_entry_fn)(void);

#ifdef __cplusplus
}
#endif
#endif
