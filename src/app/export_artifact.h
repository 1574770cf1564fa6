/* export_artifact.h: the artifact itself, for use anywhere: `mldyno build`. */
#ifndef MLD_APP_EXPORT_ARTIFACT_H
#define MLD_APP_EXPORT_ARTIFACT_H

#include "app/model.h"

struct mld_export_request {
    const char *model, *class_name, *weights_path;
    enum mld_mode mode;
    struct mld_arch_shapes shapes; /* 0: default */
    int64_t layers;
    bool fused_ort;        /* ONNX Runtime's fused operators, else standard ones only */
    const char *precision; /* "fp32" */
    const char *output_dir;
};

/* Writes model.onnx, weights.bin and manifest.json into output_dir (made; must be empty
 * or absent). */
int mld_export_artifact(const struct mld_export_request *req,
                        struct mld_error *err) MLD_MUST_CHECK;

#endif
