/* types_encoder.c: text encoders: BERT and its relatives, one row each.
 *
 * Defaults are those of the library's configuration classes; names are those of the
 * reference's state_dict. (first_id) is the first token id that is an ordinary word. */
#include "arch/family_text.h"

#define CATEGORY_TEXT_ENCODER (1u << MLD_CATEGORY_TEXT_ENCODER)
#define MODE_FORWARD          (1u << MLD_MODE_FORWARD)
#define BATCHES                                                                          \
    {                                                                                    \
        1, 8, 16, 32, 64                                                                 \
    }

/* --- BERT --------------------------------------------------------------------------- */

static const struct mld_config_name bert_names[] = {
    {"norm_eps", {"layer_norm_eps"}},
    {NULL, {NULL}},
};

/* Layers of BERT, RoBERTa and ELECTRA. */
#define BERT_BLOCK                                                                       \
    {                                                                                    \
        .norm = MLD_NORM_LAYER, .place = MLD_NORM_AFTER, .q = "attention.self.query",    \
        .k = "attention.self.key", .v = "attention.self.value",                          \
        .o = "attention.output.dense", .attn_norm = "attention.output.LayerNorm",        \
        .up = "intermediate.dense", .down = "output.dense",                              \
        .mlp_norm = "output.LayerNorm", .qkv_bias = MLD_ALWAYS, .o_bias = MLD_ALWAYS,    \
        .mlp_bias = MLD_ALWAYS, .heads_fill_width = true                                 \
    }

static const struct mld_text_traits bert_traits = {
    .word = "embeddings.word_embeddings",
    .position = "embeddings.position_embeddings",
    .type = "embeddings.token_type_embeddings",
    .positions = MLD_POSITIONS_LEARNED,
    .embed_norm = "embeddings.LayerNorm",
    .layer = "encoder.layer",
    .block = BERT_BLOCK,
    .pooler = "pooler.dense",
};

/* clang-format off */
static const char bert_defaults[] = MLD_JSON_TEXT({
    "vocab_size": 30522, "hidden_size": 768, "num_hidden_layers": 12,
    "num_attention_heads": 12, "intermediate_size": 3072, "hidden_act": "gelu",
    "max_position_embeddings": 512, "type_vocab_size": 2, "layer_norm_eps": 1e-12,
    "pad_token_id": 0, "is_decoder": false, "add_cross_attention": false,
    "tie_word_embeddings": true, "(first_id)": 999
});
/* clang-format on */

#define BERT_LM_HEAD(out_name)                                                           \
    {                                                                                    \
        .output = (out_name), .source = MLD_HEAD_TOKENS,                                 \
        .dense = "cls.predictions.transform.dense", .act = "=hidden_act",                \
        .norm = "cls.predictions.transform.LayerNorm", .out = "cls.predictions.decoder", \
        .width = MLD_HEAD_VOCAB, .flags = MLD_HEAD_TIED, .bias = "cls.predictions.bias"  \
    }
#define NSP_HEAD(out_name)                                                               \
    {                                                                                    \
        .output = (out_name), .source = MLD_HEAD_POOLER, .out = "cls.seq_relationship",  \
        .width = MLD_HEAD_TWO                                                            \
    }
/* One linear map from `from`. */
#define LINEAR_HEAD(from, name, columns)                                                 \
    {                                                                                    \
        .output = "logits", .source = (from), .out = (name), .width = (columns)          \
    }
#define CHOICE_HEAD(from)                                                                \
    {                                                                                    \
        .output = "logits", .source = (from), .form = MLD_HEAD_CHOICES,                  \
        .out = "classifier", .width = MLD_HEAD_ONE                                       \
    }
#define SPAN_HEAD                                                                        \
    {                                                                                    \
        .output = "start_logits", .source = MLD_HEAD_TOKENS, .form = MLD_HEAD_SPAN,      \
        .out = "qa_outputs", .width = MLD_HEAD_LABELS                                    \
    }

static const struct mld_class bert_classes[] = {
    {"BertModel", "", MLD_CLASS_POOLER, {{.output = NULL}}},
    {"BertForMaskedLM", "bert.", 0, {BERT_LM_HEAD("logits")}},
    {"BertLMHeadModel", "bert.", 0, {BERT_LM_HEAD("logits")}},
    {"BertForPreTraining",
     "bert.",
     MLD_CLASS_POOLER,
     {BERT_LM_HEAD("prediction_logits"), NSP_HEAD("seq_relationship_logits")}},
    {"BertForNextSentencePrediction", "bert.", MLD_CLASS_POOLER, {NSP_HEAD("logits")}},
    {"BertForSequenceClassification",
     "bert.",
     MLD_CLASS_POOLER,
     {LINEAR_HEAD(MLD_HEAD_POOLER, "classifier", MLD_HEAD_LABELS)}},
    {"BertForMultipleChoice",
     "bert.",
     MLD_CLASS_POOLER | MLD_CLASS_CHOICES,
     {CHOICE_HEAD(MLD_HEAD_POOLER)}},
    {"BertForTokenClassification",
     "bert.",
     0,
     {LINEAR_HEAD(MLD_HEAD_TOKENS, "classifier", MLD_HEAD_LABELS)}},
    {"BertForQuestionAnswering", "bert.", 0, {SPAN_HEAD}},
    {NULL, NULL, 0, {{.output = NULL}}},
};

/* Checkpoints of the first years say gamma and beta. */
static const struct mld_arch_rename bert_renames[] = {
    {"LayerNorm.weight", "LayerNorm.gamma"},
    {"LayerNorm.bias", "LayerNorm.beta"},
    {NULL, NULL},
};

/* --- RoBERTa ------------------------------------------------------------------------ */

static const struct mld_text_traits roberta_traits = {
    .word = "embeddings.word_embeddings",
    .position = "embeddings.position_embeddings",
    .type = "embeddings.token_type_embeddings",
    .positions = MLD_POSITIONS_AFTER_PAD,
    .embed_norm = "embeddings.LayerNorm",
    .layer = "encoder.layer",
    .block = BERT_BLOCK,
    .pooler = "pooler.dense",
};

/* clang-format off */
static const char roberta_defaults[] = MLD_JSON_TEXT({
    "vocab_size": 50265, "hidden_size": 768, "num_hidden_layers": 12,
    "num_attention_heads": 12, "intermediate_size": 3072, "hidden_act": "gelu",
    "max_position_embeddings": 512, "type_vocab_size": 2, "layer_norm_eps": 1e-12,
    "pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2, "is_decoder": false,
    "add_cross_attention": false, "tie_word_embeddings": true, "(first_id)": 4
});
/* clang-format on */

#define ROBERTA_LM_HEAD                                                                  \
    {                                                                                    \
        .output = "logits", .source = MLD_HEAD_TOKENS, .dense = "lm_head.dense",         \
        .act = "gelu", .norm = "lm_head.layer_norm", .out = "lm_head.decoder",           \
        .width = MLD_HEAD_VOCAB, .flags = MLD_HEAD_TIED, .bias = "lm_head.bias"          \
    }
/* Classifier of two maps on the first token. */
#define TWO_STEP_HEAD(activation)                                                        \
    {                                                                                    \
        .output = "logits", .source = MLD_HEAD_FIRST, .dense = "classifier.dense",       \
        .act = (activation), .out = "classifier.out_proj", .width = MLD_HEAD_LABELS      \
    }

static const struct mld_class roberta_classes[] = {
    {"RobertaModel", "", MLD_CLASS_POOLER, {{.output = NULL}}},
    {"RobertaForMaskedLM", "roberta.", 0, {ROBERTA_LM_HEAD}},
    {"RobertaForCausalLM", "roberta.", 0, {ROBERTA_LM_HEAD}},
    {"RobertaForSequenceClassification", "roberta.", 0, {TWO_STEP_HEAD("tanh")}},
    {"RobertaForMultipleChoice",
     "roberta.",
     MLD_CLASS_POOLER | MLD_CLASS_CHOICES,
     {CHOICE_HEAD(MLD_HEAD_POOLER)}},
    {"RobertaForTokenClassification",
     "roberta.",
     0,
     {LINEAR_HEAD(MLD_HEAD_TOKENS, "classifier", MLD_HEAD_LABELS)}},
    {"RobertaForQuestionAnswering", "roberta.", 0, {SPAN_HEAD}},
    {NULL, NULL, 0, {{.output = NULL}}},
};

/* --- DistilBERT --------------------------------------------------------------------- */

static const struct mld_config_name distilbert_names[] = {
    {"hidden_size", {"hidden_size", "dim"}},
    {"num_attention_heads", {"num_attention_heads", "n_heads"}},
    {"num_hidden_layers", {"num_hidden_layers", "n_layers"}},
    {"intermediate_size", {"hidden_dim"}},
    {"hidden_act", {"activation"}},
    {"norm_eps", {"(layer_norm_eps)"}},
    {NULL, {NULL}},
};

static const struct mld_text_traits distilbert_traits = {
    .word = "embeddings.word_embeddings",
    .position = "embeddings.position_embeddings",
    .positions = MLD_POSITIONS_LEARNED,
    .embed_norm = "embeddings.LayerNorm",
    .layer = "transformer.layer",
    .block = {.norm = MLD_NORM_LAYER,
              .place = MLD_NORM_AFTER,
              .q = "attention.q_lin",
              .k = "attention.k_lin",
              .v = "attention.v_lin",
              .o = "attention.out_lin",
              .attn_norm = "sa_layer_norm",
              .up = "ffn.lin1",
              .down = "ffn.lin2",
              .mlp_norm = "output_layer_norm",
              .qkv_bias = MLD_ALWAYS,
              .o_bias = MLD_ALWAYS,
              .mlp_bias = MLD_ALWAYS,
              .heads_fill_width = true},
};

/* clang-format off */
static const char distilbert_defaults[] = MLD_JSON_TEXT({
    "vocab_size": 30522, "max_position_embeddings": 512, "n_layers": 6, "n_heads": 12,
    "dim": 768, "hidden_dim": 3072, "activation": "gelu", "pad_token_id": 0,
    "tie_word_embeddings": true, "(layer_norm_eps)": 1e-12, "(first_id)": 999
});
/* clang-format on */

#define DISTILBERT_PRE_CLASSIFIER                                                        \
    .output = "logits", .source = MLD_HEAD_FIRST, .dense = "pre_classifier",             \
    .act = "relu", .out = "classifier"

static const struct mld_class distilbert_classes[] = {
    {"DistilBertModel", "", 0, {{.output = NULL}}},
    {"DistilBertForMaskedLM",
     "distilbert.",
     0,
     {{.output = "logits",
       .source = MLD_HEAD_TOKENS,
       .dense = "vocab_transform",
       .act = "=hidden_act",
       .norm = "vocab_layer_norm",
       .out = "vocab_projector",
       .width = MLD_HEAD_VOCAB,
       .flags = MLD_HEAD_TIED}}},
    {"DistilBertForSequenceClassification",
     "distilbert.",
     0,
     {{DISTILBERT_PRE_CLASSIFIER, .width = MLD_HEAD_LABELS}}},
    {"DistilBertForMultipleChoice",
     "distilbert.",
     MLD_CLASS_CHOICES,
     {{DISTILBERT_PRE_CLASSIFIER, .form = MLD_HEAD_CHOICES, .width = MLD_HEAD_ONE}}},
    {"DistilBertForTokenClassification",
     "distilbert.",
     0,
     {LINEAR_HEAD(MLD_HEAD_TOKENS, "classifier", MLD_HEAD_LABELS)}},
    {"DistilBertForQuestionAnswering", "distilbert.", 0, {SPAN_HEAD}},
    {NULL, NULL, 0, {{.output = NULL}}},
};

/* --- ELECTRA ------------------------------------------------------------------------ */

static const struct mld_text_traits electra_traits = {
    .word = "embeddings.word_embeddings",
    .position = "embeddings.position_embeddings",
    .type = "embeddings.token_type_embeddings",
    .positions = MLD_POSITIONS_LEARNED,
    .embed_norm = "embeddings.LayerNorm",
    .embed_proj = "embeddings_project",
    .layer = "encoder.layer",
    .block = BERT_BLOCK,
};

/* clang-format off */
static const char electra_defaults[] = MLD_JSON_TEXT({
    "vocab_size": 30522, "embedding_size": 128, "hidden_size": 256,
    "num_hidden_layers": 12, "num_attention_heads": 4, "intermediate_size": 1024,
    "hidden_act": "gelu", "max_position_embeddings": 512, "type_vocab_size": 2,
    "layer_norm_eps": 1e-12, "summary_type": "first", "summary_use_proj": true,
    "summary_activation": "gelu", "pad_token_id": 0, "is_decoder": false,
    "add_cross_attention": false, "tie_word_embeddings": true, "(first_id)": 999
});
/* clang-format on */

#define ELECTRA_LM_HEAD                                                                  \
    {                                                                                    \
        .output = "logits", .source = MLD_HEAD_TOKENS,                                   \
        .dense = "generator_predictions.dense", .act = "gelu",                           \
        .norm = "generator_predictions.LayerNorm", .out = "generator_lm_head",           \
        .width = MLD_HEAD_VOCAB, .flags = MLD_HEAD_TIED | MLD_HEAD_EMBED_WIDTH           \
    }

static const struct mld_class electra_classes[] = {
    {"ElectraModel", "", 0, {{.output = NULL}}},
    {"ElectraForMaskedLM", "electra.", 0, {ELECTRA_LM_HEAD}},
    {"ElectraForCausalLM", "electra.", 0, {ELECTRA_LM_HEAD}},
    {"ElectraForPreTraining",
     "electra.",
     0,
     {{.output = "logits",
       .source = MLD_HEAD_TOKENS,
       .form = MLD_HEAD_SQUEEZE,
       .dense = "discriminator_predictions.dense",
       .act = "=hidden_act",
       .out = "discriminator_predictions.dense_prediction",
       .width = MLD_HEAD_ONE}}},
    {"ElectraForSequenceClassification", "electra.", 0, {TWO_STEP_HEAD("gelu")}},
    {"ElectraForMultipleChoice",
     "electra.",
     MLD_CLASS_CHOICES,
     {{.output = "logits",
       .source = MLD_HEAD_SUMMARY,
       .form = MLD_HEAD_CHOICES,
       .dense = "sequence_summary.summary",
       .out = "classifier",
       .width = MLD_HEAD_ONE}}},
    {"ElectraForTokenClassification",
     "electra.",
     0,
     {LINEAR_HEAD(MLD_HEAD_TOKENS, "classifier", MLD_HEAD_LABELS)}},
    {"ElectraForQuestionAnswering", "electra.", 0, {SPAN_HEAD}},
    {NULL, NULL, 0, {{.output = NULL}}},
};

/* --- ALBERT ------------------------------------------------------------------------- */

static const struct mld_text_traits albert_traits = {
    .word = "embeddings.word_embeddings",
    .position = "embeddings.position_embeddings",
    .type = "embeddings.token_type_embeddings",
    .positions = MLD_POSITIONS_LEARNED,
    .embed_norm = "embeddings.LayerNorm",
    .embed_proj = "encoder.embedding_hidden_mapping_in",
    .embed_proj_always = true,
    .layer = "encoder.albert_layer_groups",
    .group = "albert_layers",
    .block = {.norm = MLD_NORM_LAYER,
              .place = MLD_NORM_AFTER,
              .q = "attention.query",
              .k = "attention.key",
              .v = "attention.value",
              .o = "attention.dense",
              .attn_norm = "attention.LayerNorm",
              .up = "ffn",
              .down = "ffn_output",
              .mlp_norm = "full_layer_layer_norm",
              .qkv_bias = MLD_ALWAYS,
              .o_bias = MLD_ALWAYS,
              .mlp_bias = MLD_ALWAYS,
              .heads_fill_width = true},
    .pooler = "pooler",
};

/* clang-format off */
static const char albert_defaults[] = MLD_JSON_TEXT({
    "vocab_size": 30000, "embedding_size": 128, "hidden_size": 4096,
    "num_hidden_layers": 12, "num_hidden_groups": 1, "num_attention_heads": 64,
    "intermediate_size": 16384, "inner_group_num": 1, "hidden_act": "gelu_new",
    "max_position_embeddings": 512, "type_vocab_size": 2, "layer_norm_eps": 1e-12,
    "pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3, "tie_word_embeddings": true,
    "(first_id)": 5
});
/* clang-format on */

#define ALBERT_LM_HEAD(out_name)                                                         \
    {                                                                                    \
        .output = (out_name), .source = MLD_HEAD_TOKENS, .dense = "predictions.dense",   \
        .act = "=hidden_act", .norm = "predictions.LayerNorm",                           \
        .out = "predictions.decoder", .width = MLD_HEAD_VOCAB,                           \
        .flags = MLD_HEAD_TIED | MLD_HEAD_EMBED_WIDTH, .bias = "predictions.bias"        \
    }

static const struct mld_class albert_classes[] = {
    {"AlbertModel", "", MLD_CLASS_POOLER, {{.output = NULL}}},
    {"AlbertForMaskedLM", "albert.", 0, {ALBERT_LM_HEAD("logits")}},
    {"AlbertForPreTraining",
     "albert.",
     MLD_CLASS_POOLER,
     {ALBERT_LM_HEAD("prediction_logits"),
      {.output = "sop_logits",
       .source = MLD_HEAD_POOLER,
       .out = "sop_classifier.classifier",
       .width = MLD_HEAD_LABELS}}},
    {"AlbertForSequenceClassification",
     "albert.",
     MLD_CLASS_POOLER,
     {LINEAR_HEAD(MLD_HEAD_POOLER, "classifier", MLD_HEAD_LABELS)}},
    {"AlbertForMultipleChoice",
     "albert.",
     MLD_CLASS_POOLER | MLD_CLASS_CHOICES,
     {CHOICE_HEAD(MLD_HEAD_POOLER)}},
    {"AlbertForTokenClassification",
     "albert.",
     0,
     {LINEAR_HEAD(MLD_HEAD_TOKENS, "classifier", MLD_HEAD_LABELS)}},
    {"AlbertForQuestionAnswering", "albert.", 0, {SPAN_HEAD}},
    {NULL, NULL, 0, {{.output = NULL}}},
};

/* --- rows --------------------------------------------------------------------------- */

#define ROW(name, model_class, ...)                                                      \
    {                                                                                    \
        .type = {.model_type = name,                                                     \
                 .categories = CATEGORY_TEXT_ENCODER,                                    \
                 .family = "encoder",                                                    \
                 .default_class = model_class,                                           \
                 .modes = MODE_FORWARD,                                                  \
                 .default_batches = BATCHES},                                            \
        .build = mld_family_text, .word_table = "embeddings.word_embeddings.weight",     \
        __VA_ARGS__                                                                      \
    }

static const struct mld_arch_row rows[] = {
    ROW("bert", "BertModel", .traits = &bert_traits, .defaults = bert_defaults,
        .names = bert_names, .classes = bert_classes, .renames = bert_renames),
    ROW("roberta", "RobertaModel", .traits = &roberta_traits,
        .defaults = roberta_defaults, .names = bert_names, .classes = roberta_classes,
        .renames = bert_renames),
    ROW("distilbert", "DistilBertModel", .traits = &distilbert_traits,
        .defaults = distilbert_defaults, .names = distilbert_names,
        .classes = distilbert_classes),
    ROW("electra", "ElectraModel", .traits = &electra_traits,
        .defaults = electra_defaults, .names = bert_names, .classes = electra_classes,
        .renames = bert_renames),
    ROW("albert", "AlbertModel", .traits = &albert_traits, .defaults = albert_defaults,
        .names = bert_names, .classes = albert_classes, .renames = bert_renames),
};

const struct mld_arch_table mld_arch_types_encoder = {rows, sizeof rows / sizeof rows[0]};
