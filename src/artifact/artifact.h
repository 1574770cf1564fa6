/* artifact.h: a built case on disk: model.onnx, weights.bin, manifest.json in one folder.
 *
 * The folder is named by a hash of all that it holds: the graph and its ONNX file are
 * made anew each time (some milliseconds), and only the weights, which the hash covers by
 * how they are made, are saved by the cache. So no change of code or config can meet a
 * stale folder. Layout under the root, $XDG_CACHE_HOME/mldyno by default:
 *
 *   artifacts/KEY/        complete: it appears by an atomic rename
 *   artifacts/KEY.lock    flock: shared by users, exclusive by its builder or remover
 *   artifacts/tmp-N-N     being built; removed when its process is gone
 *
 * A lock file's time of change is when its artifact was last used.
 *
 * Concurrent builders of one artifact wait for the first; the least recently used go when
 * the cache is over its limit, but never one that a live process holds. */
#ifndef MLD_ARTIFACT_ARTIFACT_H
#define MLD_ARTIFACT_ARTIFACT_H

#include "arch/arch.h"
#include "base/json.h"
#include "graph/lower.h"

#define MLD_ARTIFACT_FORMAT 1 /* of the manifest and the folder */
#define MLD_OPSET_DEFAULT                                                                \
    MLD_OPSET_ORT /* of the default domain; standard target:                             \
                     MLD_OPSET_STANDARD */

/* Where the parameters' numbers come from. */
struct mld_weights_source {
    const char *safetensors_path; /* one file; NULL: deterministic, from the names. A file
                                     is known by its header, size, time and inode */
};

struct mld_artifact_request {
    struct mld_arch_request arch;
    struct mld_target target; /* opset 0: the default */
    struct mld_weights_source weights;
    const char *precision;  /* NULL or "fp32"; others: MLD_E_UNSUPPORTED */
    const char *checkpoint; /* name for the manifest; NULL: none */
};

/* An open artifact: paths, the parsed manifest, a shared lock that keeps it in the cache.
 * Zero-filled and closed are the same. */
struct mld_artifact {
    char *dir, *onnx_path;
    struct mld_json *manifest;
    int lock_fd;       /* valid while dir is not NULL */
    bool cached;       /* was there already */
    uint64_t build_ns; /* graph + encode + weights; 0 when cached */
};

struct mld_cache_params {
    const char *root;   /* NULL: mld_cache_home() */
    uint64_t max_bytes; /* 0: $MLDYNO_CACHE_SIZE ("8G"), else 20 GiB. An artifact that
                           alone is larger is built all the same, and goes first */
};

/* Finds or builds. Faults: those of mld_arch_build and of weights; MLD_E_IO where the
 * cache cannot be written; *out is zero-filled then. */
int mld_artifact_open(const struct mld_artifact_request *req,
                      const struct mld_cache_params *where, struct mld_artifact *out,
                      struct mld_error *err) MLD_MUST_CHECK;
/* Builds into folder dir (made; must be empty or absent): `mldyno build --output`. On
 * failure nothing of it is left. */
int mld_artifact_write(const struct mld_artifact_request *req, const char *dir,
                       struct mld_error *err) MLD_MUST_CHECK;
void mld_artifact_close(struct mld_artifact *a); /* releases the lock and memory */

/* manifest.json (format 1), keys in this order:
 * { "format": 1, "mldyno": "0.1.0", "key": HEX,
 *   "model": {"model_type", "class", "checkpoint", "categories": [], "config_digest",
 *             "parameters", "tensors", "digest", "layers", "layers_full"},
 *   "mode", "precision", "shapes": {"batch", ...: as used},
 *   "target": "ort" | "standard", "opset", "nodes": N,
 *   "inputs":  [{"name", "dtype", "shape": [], "fill": "uniform|ids|ones|zeros|value",
 *                "low", "high", "stream": "input:NAME", "state_output": I or absent}],
 *   "outputs": [{"name", "dtype", "shape"}],
 *   "files":   {"model": "model.onnx", "weights": "weights.bin"},
 *   "weights": {"source": "names" | "safetensors", "file": NAME or absent, "bytes"},
 *   "cost":    {"flops", "matmul_flops", "read_bytes", "write_bytes", "weight_bytes",
 *               "activation_peak_bytes"} } */

#endif
