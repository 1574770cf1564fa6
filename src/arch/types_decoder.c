/* types_decoder.c: text decoders: GPT-2, and Llama and its relatives, one row each.
 *
 * Defaults are those of the library's configuration classes; names are those of the
 * reference's state_dict. */
#include "arch/family_text.h"

#define CATEGORY_TEXT_DECODER (1u << MLD_CATEGORY_TEXT_DECODER)
#define MODES                 (1u << MLD_MODE_FORWARD | 1u << MLD_MODE_PREFILL | 1u << MLD_MODE_DECODE)

#define LM_HEAD                                                                          \
    {                                                                                    \
        .output = "logits", .source = MLD_HEAD_TOKENS, .out = "lm_head",                 \
        .width = MLD_HEAD_VOCAB, .flags = MLD_HEAD_TIED | MLD_HEAD_NO_BIAS               \
    }
#define SCORE_HEAD                                                                       \
    {                                                                                    \
        .output = "logits", .source = MLD_HEAD_LAST, .out = "score",                     \
        .width = MLD_HEAD_LABELS, .flags = MLD_HEAD_NO_BIAS                              \
    }
#define TOKEN_HEAD(name)                                                                 \
    {                                                                                    \
        .output = "logits", .source = MLD_HEAD_TOKENS, .out = (name),                    \
        .width = MLD_HEAD_LABELS                                                         \
    }
#define SPAN_HEAD                                                                        \
    {                                                                                    \
        .output = "start_logits", .source = MLD_HEAD_TOKENS, .form = MLD_HEAD_SPAN,      \
        .out = "qa_outputs", .width = MLD_HEAD_TWO                                       \
    }

/* --- GPT-2 -------------------------------------------------------------------------- */

static const struct mld_config_name gpt2_names[] = {
    {"hidden_size", {"hidden_size", "n_embd"}},
    {"max_position_embeddings", {"max_position_embeddings", "n_positions"}},
    {"num_attention_heads", {"num_attention_heads", "n_head"}},
    {"num_hidden_layers", {"num_hidden_layers", "n_layer"}},
    {"intermediate_size", {"n_inner"}},
    {"hidden_act", {"activation_function"}},
    {"norm_eps", {"layer_norm_epsilon"}},
    {NULL, {NULL}},
};

static const struct mld_text_traits gpt2_traits = {
    .word = "wte",
    .position = "wpe",
    .type_from_word = true,
    .positions = MLD_POSITIONS_LEARNED,
    .layer = "h",
    .block = {.norm = MLD_NORM_LAYER,
              .place = MLD_NORM_BEFORE,
              .in_out = true,
              .qkv = "attn.c_attn",
              .o = "attn.c_proj",
              .attn_norm = "ln_1",
              .up = "mlp.c_fc",
              .down = "mlp.c_proj",
              .mlp_norm = "ln_2",
              .qkv_bias = MLD_ALWAYS,
              .o_bias = MLD_ALWAYS,
              .mlp_bias = MLD_ALWAYS,
              .inner_is_4_widths = true,
              .heads_fill_width = true},
    .final_norm = "ln_f",
    .causal = true,
};

/* clang-format off */
static const char gpt2_defaults[] = MLD_JSON_TEXT({
    "vocab_size": 50257, "n_positions": 1024, "n_embd": 768, "n_layer": 12, "n_head": 12,
    "n_inner": null, "activation_function": "gelu_new", "layer_norm_epsilon": 1e-5,
    "summary_type": "cls_index", "summary_use_proj": true, "summary_activation": null,
    "summary_proj_to_labels": true, "scale_attn_weights": true, "bos_token_id": 50256,
    "eos_token_id": 50256, "pad_token_id": null, "scale_attn_by_inverse_layer_idx": false,
    "reorder_and_upcast_attn": false, "add_cross_attention": false,
    "tie_word_embeddings": true
});
/* clang-format on */

static const struct mld_class gpt2_classes[] = {
    {"GPT2Model", "", MLD_CLASS_CACHE, {{.output = NULL}}},
    {"GPT2LMHeadModel", "transformer.", MLD_CLASS_CACHE, {LM_HEAD}},
    {"GPT2DoubleHeadsModel",
     "transformer.",
     MLD_CLASS_CHOICES,
     {LM_HEAD,
      {.output = "mc_logits",
       .source = MLD_HEAD_SUMMARY,
       .form = MLD_HEAD_CHOICES,
       .dense = "multiple_choice_head.summary"}}},
    {"GPT2ForSequenceClassification", "transformer.", 0, {SCORE_HEAD}},
    {"GPT2ForTokenClassification", "transformer.", 0, {TOKEN_HEAD("classifier")}},
    {"GPT2ForQuestionAnswering", "transformer.", 0, {SPAN_HEAD}},
    {NULL, NULL, 0, {{.output = NULL}}},
};

/* --- Llama -------------------------------------------------------------------------- */

static const struct mld_config_name llama_names[] = {
    {"norm_eps", {"rms_norm_eps"}},
    {NULL, {NULL}},
};

/* Names of Llama's layers; what follows are the biases. */
#define LLAMA_BLOCK(...)                                                                 \
    {                                                                                    \
        .norm = MLD_NORM_RMS, .place = MLD_NORM_BEFORE, .q = "self_attn.q_proj",         \
        .k = "self_attn.k_proj", .v = "self_attn.v_proj", .o = "self_attn.o_proj",       \
        .attn_norm = "input_layernorm", .gate = "mlp.gate_proj", .up = "mlp.up_proj",    \
        .down = "mlp.down_proj", .mlp_norm = "post_attention_layernorm", __VA_ARGS__     \
    }
#define LLAMA_NAMES                                                                      \
    .word = "embed_tokens", .layer = "layers", .final_norm = "norm",                     \
    .positions = MLD_POSITIONS_NONE, .rotary = true, .causal = true

static const struct mld_text_traits llama_traits = {
    LLAMA_NAMES,
    .block = LLAMA_BLOCK(.qkv_bias = "attention_bias", .o_bias = "attention_bias",
                         .mlp_bias = "mlp_bias", .heads_fill_width = true),
};
static const struct mld_text_traits mistral_traits = {
    LLAMA_NAMES,
    .block = LLAMA_BLOCK(.qkv_bias = NULL),
    .windows = MLD_WINDOWS_ALL,
};
static const struct mld_text_traits qwen2_traits = {
    LLAMA_NAMES,
    .block = LLAMA_BLOCK(.qkv_bias = MLD_ALWAYS),
    .windows = MLD_WINDOWS_TYPES,
};

/* "XModel", "XForCausalLM" ... of a prefix. */
#define LLAMA_CLASSES(X)                                                                 \
    {X "Model", "", MLD_CLASS_CACHE, {{.output = NULL}}},                                \
        {X "ForCausalLM", "model.", MLD_CLASS_CACHE, {LM_HEAD}},                         \
        {X "ForSequenceClassification", "model.", 0, {SCORE_HEAD}},                      \
    {                                                                                    \
        X "ForTokenClassification", "model.", 0,                                         \
        {                                                                                \
            TOKEN_HEAD("score")                                                          \
        }                                                                                \
    }

static const struct mld_class llama_classes[] = {
    LLAMA_CLASSES("Llama"),
    {"LlamaForQuestionAnswering", "transformer.", 0, {SPAN_HEAD}},
    {NULL, NULL, 0, {{.output = NULL}}},
};
static const struct mld_class mistral_classes[] = {
    LLAMA_CLASSES("Mistral"),
    {"MistralForQuestionAnswering", "model.", 0, {SPAN_HEAD}},
    {NULL, NULL, 0, {{.output = NULL}}},
};
static const struct mld_class qwen2_classes[] = {
    LLAMA_CLASSES("Qwen2"),
    {"Qwen2ForQuestionAnswering", "transformer.", 0, {SPAN_HEAD}},
    {NULL, NULL, 0, {{.output = NULL}}},
};

static const char *const llama_legacy[][2] = {
    {"LLaMAForCausalLM", "LlamaForCausalLM"},
    {NULL, NULL},
};

/* clang-format off */
static const char llama_defaults[] = MLD_JSON_TEXT({
    "vocab_size": 32000, "hidden_size": 4096, "intermediate_size": 11008,
    "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": null,
    "hidden_act": "silu", "max_position_embeddings": 2048, "rms_norm_eps": 1e-6,
    "pad_token_id": null, "bos_token_id": 1, "eos_token_id": 2,
    "tie_word_embeddings": false, "attention_bias": false, "mlp_bias": false,
    "head_dim": null
});
static const char mistral_defaults[] = MLD_JSON_TEXT({
    "vocab_size": 32000, "hidden_size": 4096, "intermediate_size": 14336,
    "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8,
    "head_dim": null, "hidden_act": "silu", "max_position_embeddings": 131072,
    "rms_norm_eps": 1e-6, "pad_token_id": null, "bos_token_id": 1, "eos_token_id": 2,
    "tie_word_embeddings": false, "sliding_window": 4096
});
static const char qwen2_defaults[] = MLD_JSON_TEXT({
    "vocab_size": 151936, "hidden_size": 4096, "intermediate_size": 22016,
    "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 32,
    "hidden_act": "silu", "max_position_embeddings": 32768, "rms_norm_eps": 1e-6,
    "tie_word_embeddings": false, "use_sliding_window": false, "sliding_window": 4096,
    "max_window_layers": 28, "layer_types": null, "pad_token_id": null,
    "bos_token_id": null, "eos_token_id": null, "(last_id)": 151642
});
/* clang-format on */

/* --- rows --------------------------------------------------------------------------- */

#define ROW(name, model_class, batches, ...)                                             \
    {                                                                                    \
        .type = {.model_type = name,                                                     \
                 .categories = CATEGORY_TEXT_DECODER,                                    \
                 .family = "decoder",                                                    \
                 .default_class = model_class,                                           \
                 .modes = MODES,                                                         \
                 .default_batches = batches},                                            \
        .build = mld_family_text, __VA_ARGS__                                            \
    }
#define BATCHES_SMALL                                                                    \
    {                                                                                    \
        1, 4, 8, 16                                                                      \
    }
#define BATCHES_LARGE                                                                    \
    {                                                                                    \
        1, 2, 4, 8                                                                       \
    }
#define BATCHES_QWEN                                                                     \
    {                                                                                    \
        1, 2, 4                                                                          \
    }

static const struct mld_arch_row rows[] = {
    ROW("gpt2", "GPT2LMHeadModel", BATCHES_SMALL, .traits = &gpt2_traits,
        .defaults = gpt2_defaults, .names = gpt2_names, .classes = gpt2_classes,
        .word_table = "wte.weight"),
    ROW("llama", "LlamaForCausalLM", BATCHES_LARGE, .traits = &llama_traits,
        .defaults = llama_defaults, .names = llama_names, .classes = llama_classes,
        .word_table = "embed_tokens.weight", .legacy_classes = llama_legacy),
    ROW("mistral", "MistralForCausalLM", BATCHES_LARGE, .traits = &mistral_traits,
        .defaults = mistral_defaults, .names = llama_names, .classes = mistral_classes,
        .word_table = "embed_tokens.weight"),
    ROW("qwen2", "Qwen2ForCausalLM", BATCHES_QWEN, .traits = &qwen2_traits,
        .defaults = qwen2_defaults, .names = llama_names, .classes = qwen2_classes,
        .word_table = "embed_tokens.weight"),
};

const struct mld_arch_table mld_arch_types_decoder = {rows, sizeof rows / sizeof rows[0]};
