/* artifact.h: a built case on disk: model.onnx, weights.bin, manifest.json in one folder.
 *
 * The folder is named by a hash of all that went into it and lives in the cache
 * ($XDG_CACHE_HOME/mldyno/artifacts). It appears by an atomic rename once complete, so
 * concurrent builders of the same artifact are safe; the least recently used folders go
 * when the cache is over its limit (never one that a live process holds a lock on). */
#ifndef MLD_ARTIFACT_ARTIFACT_H
#define MLD_ARTIFACT_ARTIFACT_H

#include "arch/arch.h"
#include "base/json.h"
#include "graph/lower.h"

#define MLD_ARTIFACT_FORMAT 1 /* raised when equal inputs give other bytes */

/* Where the parameters' numbers come from. */
struct mld_weights_source {
    const char *safetensors_path; /* NULL: deterministic, from the names (stream.h) */
};

struct mld_artifact_request {
    struct mld_arch_request arch;
    struct mld_target target;
    struct mld_weights_source weights;
    const char *precision;  /* "fp32" */
    const char *checkpoint; /* name for the manifest; NULL: none */
};

/* An open artifact: paths, the parsed manifest, a shared lock that keeps it in the cache.*/
struct mld_artifact {
    char *dir, *onnx_path;
    struct mld_json *manifest;
    int lock_fd;
    bool cached;          /* was there already */
    uint64_t build_ns;    /* graph + encode + weights; 0 when cached */
};

struct mld_cache_params {
    const char *root;    /* NULL: mld_cache_home() */
    uint64_t max_bytes;  /* 0: $MLDYNO_CACHE_SIZE, else 20 GiB */
};

/* Finds or builds. */
int mld_artifact_open(const struct mld_artifact_request *req,
                      const struct mld_cache_params *cache, struct mld_artifact *out,
                      struct mld_error *err) MLD_MUST_CHECK;
/* Builds into folder dir (made; must be empty or absent): `mldyno build --output`. */
int mld_artifact_write(const struct mld_artifact_request *req, const char *dir,
                       struct mld_error *err) MLD_MUST_CHECK;
void mld_artifact_close(struct mld_artifact *a); /* releases the lock and memory */

/* manifest.json (format 1):
 * { "format": 1, "mldyno": "0.1.0", "key": HEX, "model": {"model_type", "class",
 *   "checkpoint", "categories": [], "config_digest", "parameters", "tensors", "digest",
 *   "layers", "layers_full"}, "mode", "precision", "batch", "shapes": {}, "opset",
 *   "target": "ort" | "standard",
 *   "inputs":  [{"name", "dtype", "shape": [], "fill": "uniform|ids|ones|zeros|value",
 *                "low", "high", "stream": "input:NAME", "state_output": I or absent}],
 *   "outputs": [{"name", "dtype", "shape"}],
 *   "files":   {"model": "model.onnx", "weights": "weights.bin"},
 *   "weights": {"source": "names" | "safetensors", "bytes", "sha": ...},
 *   "cost":    {"flops", "matmul_flops", "read_bytes", "write_bytes", "weight_bytes",
 *               "activation_peak_bytes"}, "nodes": N } */

#endif
