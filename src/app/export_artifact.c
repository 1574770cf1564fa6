/* export_artifact.c: builds one artifact into a folder of the user's. */
#include "app/export_artifact.h"

#include "artifact/artifact.h"

int mld_export_artifact(const struct mld_export_request *req, struct mld_error *err)
{
    struct mld_arena arena = {0};
    struct mld_model m;
    int rc = mld_model_resolve(req->model, req->class_name, req->weights_path, &arena, &m,
                               err);
    if (rc == 0) {
        struct mld_artifact_request want = {.arch = {.config = m.config,
                                                     .model_type = m.model_type,
                                                     .class_name = m.class_name,
                                                     .mode = req->mode,
                                                     .shapes = req->shapes,
                                                     .layers = req->layers},
                                            .target = {.fused_ort = req->fused_ort},
                                            .weights = {m.weights_path},
                                            .precision = req->precision,
                                            .checkpoint = m.checkpoint};
        rc = mld_artifact_write(&want, req->output_dir, err);
        mld_model_release(&m);
    }
    mld_arena_release(&arena);
    return rc;
}
