/* manifest.h: manifest.json of an artifact, as artifact.h documents it. */
#ifndef MLD_ARTIFACT_MANIFEST_H
#define MLD_ARTIFACT_MANIFEST_H

#include "artifact/artifact.h"

#define MLD_MANIFEST_NAME     "manifest.json"
#define MLD_MANIFEST_MODEL    "model.onnx"
#define MLD_MANIFEST_WEIGHTS  "weights.bin"
#define MLD_MANIFEST_MAX_SIZE (16u << 20)

/* What a manifest tells of; all borrowed. */
struct mld_manifest_facts {
    const struct mld_artifact_request *req;
    const struct mld_arch_info *info;
    const struct mld_graph *source;  /* semantic: parameters, digest, cost */
    const struct mld_graph *lowered; /* inputs, outputs, nodes */
    struct mld_target target;        /* opset filled in */
    uint64_t weights_bytes;          /* of weights.bin */
};

/* Makes the manifest without "key" (the key is a hash of it); caller frees. */
int mld_manifest_make(const struct mld_manifest_facts *facts, struct mld_json **out,
                      struct mld_error *err) MLD_MUST_CHECK;
/* A copy of a manifest with "key" in its place. */
int mld_manifest_with_key(const struct mld_json *manifest, const char *key,
                          struct mld_json **out, struct mld_error *err) MLD_MUST_CHECK;
const char *mld_fill_name(enum mld_fill fill); /* "uniform" */

#endif
