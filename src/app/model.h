/* model.h: what --model names: a type, a known checkpoint, a config.json, a folder with
 * one (and perhaps *.safetensors), or a golden file. */
#ifndef MLD_APP_MODEL_H
#define MLD_APP_MODEL_H

#include "arch/arch.h"
#include "base/arena.h"

struct mld_model {
    const char *label;        /* as the user wrote it */
    const char *model_type;   /* "bert" */
    const char *class_name;   /* wanted class; NULL: the config's or the type's default */
    const char *checkpoint;   /* "bert-base-uncased"; NULL: none */
    const char *config_path;  /* file that it was read from; NULL: a known name */
    const char *weights_path; /* *.safetensors; NULL: deterministic weights */
    struct mld_json *config;  /* owned; model_type is set in it */
    struct mld_json
        *golden; /* owned; the whole golden when the file was one, else NULL */
    const struct mld_arch_type *type;
};

/* Finds the model; strings live in the arena. class_name NULL: default; weights NULL:
 * those of the folder, if any. Unknown names offer the nearest. */
int mld_model_resolve(const char *name, const char *class_name, const char *weights,
                      struct mld_arena *arena, struct mld_model *out,
                      struct mld_error *err) MLD_MUST_CHECK;
/* A golden already parsed; takes it over. label is its name. */
int mld_model_from_golden(struct mld_json *golden, struct mld_arena *arena,
                          struct mld_model *out, struct mld_error *err) MLD_MUST_CHECK;
void mld_model_release(struct mld_model *m);

/* Builds the semantic graph of a model with default or given shapes. */
int mld_model_build(const struct mld_model *m, enum mld_mode mode,
                    const struct mld_arch_shapes *shapes, int64_t layers,
                    struct mld_arena *arena, struct mld_graph **graph,
                    struct mld_arch_info *info, struct mld_error *err) MLD_MUST_CHECK;

/* What `mldyno models show` tells. */
struct mld_model_facts {
    struct mld_arch_info info; /* class_name points into the buffer below */
    char class_name[96];
    int64_t parameters, tensors;
    char digest[17];
    struct mld_cost cost;
    int64_t nodes;
};
int mld_model_facts(const struct mld_model *m, const struct mld_arch_shapes *shapes,
                    int64_t layers, struct mld_model_facts *out,
                    struct mld_error *err) MLD_MUST_CHECK;

#endif
