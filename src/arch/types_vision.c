/* types_vision.c: vision transformers: ViT and DeiT, one row each.
 *
 * Defaults are those of the library's configuration classes; names are those of the
 * reference's state_dict since version 5 (older files: see the renames). */
#include "arch/family_vision.h"

#define CATEGORY_VISION (1u << MLD_CATEGORY_VISION)

static const struct mld_config_name vit_names[] = {
    {"norm_eps", {"layer_norm_eps"}},
    {NULL, {NULL}},
};

#define VIT_BLOCK                                                                        \
    {                                                                                    \
        .norm = MLD_NORM_LAYER, .place = MLD_NORM_BEFORE, .q = "attention.q_proj",       \
        .k = "attention.k_proj", .v = "attention.v_proj", .o = "attention.o_proj",       \
        .attn_norm = "layernorm_before", .up = "mlp.fc1", .down = "mlp.fc2",             \
        .mlp_norm = "layernorm_after", .qkv_bias = "qkv_bias", .o_bias = MLD_ALWAYS,     \
        .mlp_bias = MLD_ALWAYS                                                           \
    }
#define VIT_NAMES                                                                        \
    .patches = "embeddings.patch_embeddings.projection",                                 \
    .cls_token = "embeddings.cls_token", .mask_token = "embeddings.mask_token",          \
    .position = "embeddings.position_embeddings", .layer = "layers",                     \
    .final_norm = "layernorm", .pooler = "pooler.dense", .block = VIT_BLOCK

static const struct mld_vision_traits vit_traits = {VIT_NAMES};
static const struct mld_vision_traits deit_traits = {
    VIT_NAMES, .extra_token = "embeddings.distillation_token"};

/* ViT and DeiT have the same defaults. */
/* clang-format off */
static const char vit_defaults[] = MLD_JSON_TEXT({
    "hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12,
    "intermediate_size": 3072, "hidden_act": "gelu", "layer_norm_eps": 1e-12,
    "image_size": 224, "patch_size": 16, "num_channels": 3, "qkv_bias": true,
    "encoder_stride": 16, "pooler_output_size": null, "pooler_act": "tanh"
});
/* clang-format on */

#define LABEL_HEAD(to, from, name)                                                       \
    {                                                                                    \
        .output = (to), .source = (from), .out = (name), .width = MLD_HEAD_LABELS        \
    }
#define MASKED_IMAGE_HEAD                                                                \
    {                                                                                    \
        .output = "reconstruction", .form = MLD_HEAD_IMAGE, .out = "decoder.0"           \
    }

static const struct mld_class vit_classes[] = {
    {"ViTModel", "", MLD_CLASS_POOLER, {{.output = NULL}}},
    {"ViTForImageClassification",
     "vit.",
     0,
     {LABEL_HEAD("logits", MLD_HEAD_FIRST, "classifier")}},
    {"ViTForMaskedImageModeling", "vit.", MLD_CLASS_MASK_TOKEN, {MASKED_IMAGE_HEAD}},
    {NULL, NULL, 0, {{.output = NULL}}},
};
static const struct mld_class deit_classes[] = {
    {"DeiTModel", "", MLD_CLASS_POOLER, {{.output = NULL}}},
    {"DeiTForImageClassification",
     "deit.",
     0,
     {LABEL_HEAD("logits", MLD_HEAD_FIRST, "classifier")}},
    {"DeiTForImageClassificationWithTeacher",
     "deit.",
     MLD_CLASS_MEAN,
     {LABEL_HEAD("cls_logits", MLD_HEAD_FIRST, "cls_classifier"),
      LABEL_HEAD("distillation_logits", MLD_HEAD_SECOND, "distillation_classifier")}},
    {"DeiTForMaskedImageModeling", "deit.", MLD_CLASS_MASK_TOKEN, {MASKED_IMAGE_HEAD}},
    {NULL, NULL, 0, {{.output = NULL}}},
};

/* Before version 5 a layer was encoder.layer.N with BERT's names inside. */
static const struct mld_arch_rename vit_renames[] = {
    {"layers.#.attention.q_proj", "encoder.layer.#.attention.attention.query"},
    {"layers.#.attention.k_proj", "encoder.layer.#.attention.attention.key"},
    {"layers.#.attention.v_proj", "encoder.layer.#.attention.attention.value"},
    {"layers.#.attention.o_proj", "encoder.layer.#.attention.output.dense"},
    {"layers.#.mlp.fc1", "encoder.layer.#.intermediate.dense"},
    {"layers.#.mlp.fc2", "encoder.layer.#.output.dense"},
    {"layers.#.layernorm_", "encoder.layer.#.layernorm_"},
    {NULL, NULL},
};

#define ROW(name, model_class, ...)                                                      \
    {                                                                                    \
        .type = {.model_type = name,                                                     \
                 .categories = CATEGORY_VISION,                                          \
                 .family = "vision transformer",                                         \
                 .default_class = model_class,                                           \
                 .modes = 1u << MLD_MODE_FORWARD,                                        \
                 .default_batches = {1, 8, 16, 32, 64}},                                 \
        .build = mld_family_vision, .defaults = vit_defaults, .names = vit_names,        \
        .renames = vit_renames, __VA_ARGS__                                              \
    }

static const struct mld_arch_row rows[] = {
    ROW("vit", "ViTModel", .traits = &vit_traits, .classes = vit_classes),
    ROW("deit", "DeiTModel", .traits = &deit_traits, .classes = deit_classes),
};

const struct mld_arch_table mld_arch_types_vision = {rows, sizeof rows / sizeof rows[0]};
