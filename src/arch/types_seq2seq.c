/* types_seq2seq.c: encoder-decoders: T5, one row each.
 *
 * Defaults are those of the library's configuration classes; names are those of the
 * reference's state_dict. */
#include "arch/family_seq2seq.h"

#define CATEGORY_SEQ2SEQ (1u << MLD_CATEGORY_ENCODER_DECODER)

/* --- T5 ----------------------------------------------------------------------------- */

/* The word table is always tied; what the config says of tying means the scaling. */
static const struct mld_config_name t5_names[] = {
    {"hidden_size", {"hidden_size", "d_model"}},
    {"head_dim", {"head_dim", "d_kv"}},
    {"num_attention_heads", {"num_attention_heads", "num_heads"}},
    {"num_hidden_layers", {"num_hidden_layers", "num_layers"}},
    {"intermediate_size", {"d_ff"}},
    {"hidden_act", {"dense_act_fn"}},
    {"norm_eps", {"layer_norm_epsilon"}},
    {"num_key_value_heads", {"(num_key_value_heads)"}},
    {"tie_word_embeddings", {"(tie_word_embeddings)"}},
    {"tie_as_given", {"tie_word_embeddings"}},
    {NULL, {NULL}},
};

static const struct mld_seq2seq_traits t5_traits = {
    .word = "shared",
    .encoder = {.embed = "encoder.embed_tokens",
                .layer = "encoder.block",
                .block = {.norm = MLD_NORM_RMS,
                          .place = MLD_NORM_BEFORE,
                          .q = "layer.0.SelfAttention.q",
                          .k = "layer.0.SelfAttention.k",
                          .v = "layer.0.SelfAttention.v",
                          .o = "layer.0.SelfAttention.o",
                          .attn_norm = "layer.0.layer_norm",
                          .gate = "layer.1.DenseReluDense.wi_0",
                          .up = "layer.1.DenseReluDense.wi_1",
                          .down = "layer.1.DenseReluDense.wo",
                          .mlp_norm = "layer.1.layer_norm"},
                .plain_up = "layer.1.DenseReluDense.wi",
                .relative_bias = "layer.0.SelfAttention.relative_attention_bias",
                .final_norm = "encoder.final_layer_norm"},
    .decoder = {.embed = "decoder.embed_tokens",
                .layer = "decoder.block",
                .block = {.norm = MLD_NORM_RMS,
                          .place = MLD_NORM_BEFORE,
                          .q = "layer.0.SelfAttention.q",
                          .k = "layer.0.SelfAttention.k",
                          .v = "layer.0.SelfAttention.v",
                          .o = "layer.0.SelfAttention.o",
                          .attn_norm = "layer.0.layer_norm",
                          .cross_q = "layer.1.EncDecAttention.q",
                          .cross_k = "layer.1.EncDecAttention.k",
                          .cross_v = "layer.1.EncDecAttention.v",
                          .cross_o = "layer.1.EncDecAttention.o",
                          .cross_norm = "layer.1.layer_norm",
                          .gate = "layer.2.DenseReluDense.wi_0",
                          .up = "layer.2.DenseReluDense.wi_1",
                          .down = "layer.2.DenseReluDense.wo",
                          .mlp_norm = "layer.2.layer_norm"},
                .plain_up = "layer.2.DenseReluDense.wi",
                .relative_bias = "layer.0.SelfAttention.relative_attention_bias",
                .final_norm = "decoder.final_layer_norm"},
};

/* clang-format off */
static const char t5_defaults[] = MLD_JSON_TEXT({
    "vocab_size": 32128, "d_model": 512, "d_kv": 64, "d_ff": 2048, "num_layers": 6,
    "num_decoder_layers": null, "num_heads": 8, "relative_attention_num_buckets": 32,
    "relative_attention_max_distance": 128, "layer_norm_epsilon": 1e-6,
    "feed_forward_proj": "relu", "pad_token_id": 0, "eos_token_id": 1,
    "(tie_word_embeddings)": true, "(first_id)": 3, "(last_id)": 31999
});
/* clang-format on */

static const struct mld_class t5_classes[] = {
    {"T5Model", "", 0, {{.output = NULL}}},
    {"T5ForConditionalGeneration",
     "",
     MLD_CLASS_SCALED,
     {{.output = "logits",
       .source = MLD_HEAD_TOKENS,
       .out = "lm_head",
       .width = MLD_HEAD_VOCAB,
       .flags = MLD_HEAD_TIED | MLD_HEAD_NO_BIAS}}},
    {"T5EncoderModel", "", MLD_CLASS_ENCODER, {{.output = NULL}}},
    {"T5ForSequenceClassification",
     "transformer.",
     MLD_CLASS_SHIFT,
     {{.output = "logits",
       .source = MLD_HEAD_LAST_EOS,
       .dense = "classification_head.dense",
       .act = "tanh",
       .out = "classification_head.out_proj",
       .width = MLD_HEAD_LABELS}}},
    {"T5ForTokenClassification",
     "transformer.",
     MLD_CLASS_ENCODER,
     {{.output = "logits",
       .source = MLD_HEAD_TOKENS,
       .out = "classifier",
       .width = MLD_HEAD_LABELS}}},
    {"T5ForQuestionAnswering",
     "",
     MLD_CLASS_SHIFT,
     {{.output = "start_logits",
       .source = MLD_HEAD_TOKENS,
       .form = MLD_HEAD_SPAN,
       .out = "qa_outputs",
       .width = MLD_HEAD_LABELS}}},
    {NULL, NULL, 0, {{.output = NULL}}},
};

static const char *const t5_legacy[][2] = {
    {"T5WithLMHeadModel", "T5ForConditionalGeneration"},
    {NULL, NULL},
};

/* --- rows --------------------------------------------------------------------------- */

static const struct mld_arch_row rows[] = {
    {.type = {.model_type = "t5",
              .categories = CATEGORY_SEQ2SEQ,
              .family = "encoder-decoder",
              .default_class = "T5ForConditionalGeneration",
              .modes = 1u << MLD_MODE_FORWARD,
              .default_batches = {1, 4, 8, 16}},
     .build = mld_family_seq2seq,
     .traits = &t5_traits,
     .defaults = t5_defaults,
     .names = t5_names,
     .classes = t5_classes,
     .legacy_classes = t5_legacy,
     .word_table = "shared.weight"},
};

const struct mld_arch_table mld_arch_types_seq2seq = {rows, sizeof rows / sizeof rows[0]};
