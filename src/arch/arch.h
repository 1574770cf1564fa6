/* arch.h: from a Hugging Face config to a graph.
 *
 * A model type is a traits row of a family (src/arch/family_*.c); a family reads the
 * config through arch_config.h, builds with shared blocks, and gives every parameter its
 * state_dict name. Classes (heads) belong to the family: "BertModel",
 * "BertForMaskedLM" ... Any config that transformers accepts for the type is meant to
 * work, with the library's defaults for what it leaves out. */
#ifndef MLD_ARCH_ARCH_H
#define MLD_ARCH_ARCH_H

#include "base/json.h"
#include "graph/graph.h"

/* X(NAME, name, help) */
#define MLD_MODES(X)                                                                     \
    X(FORWARD, "forward", "the whole input at once, no cache")                           \
    X(PREFILL, "prefill",                                                                \
      "the prompt at once, filling the KV cache; last token's logits")                   \
    X(DECODE, "decode", "one new token per sequence, reading and extending the KV cache")
enum mld_mode {
#define X(upper, lower, help) MLD_MODE_##upper,
    MLD_MODES(X)
#undef X
        MLD_MODE_COUNT
};
const char *mld_mode_name(enum mld_mode m);

/* Categories of the guide; a model may have several (bit set). */
#define MLD_CATEGORIES(X)                                                                \
    X(TEXT_ENCODER, "text_encoder")                                                      \
    X(TEXT_DECODER, "text_decoder")                                                      \
    X(ENCODER_DECODER, "encoder_decoder")                                                \
    X(VISION, "vision")                                                                  \
    X(AUDIO, "audio")                                                                    \
    X(VISION_LANGUAGE, "vision_language")                                                \
    X(MULTIMODAL, "multimodal")                                                          \
    X(VIDEO, "video")                                                                    \
    X(SPEECH_TEXT, "speech_text")                                                        \
    X(DIFFUSION, "diffusion")
enum mld_category {
#define X(upper, lower) MLD_CATEGORY_##upper,
    MLD_CATEGORIES(X)
#undef X
        MLD_CATEGORY_COUNT
};
const char *mld_category_name(enum mld_category c);

/* What a case fixes. 0 or -1 means: the type's default. */
struct mld_arch_shapes {
    int64_t batch;       /* default 1 */
    int64_t seq;         /* text: tokens; prefill: prompt; decode: tokens in the cache */
    int64_t decoder_seq; /* encoder-decoders */
    int64_t image_size;  /* pixels of a square image */
    int64_t capacity;    /* tokens that the KV cache can hold; default seq + 64 */
    int64_t new_tokens;  /* tokens fed at once with a cache: prefill = seq, decode = 1 */
};

/* Inputs and outputs with a cache of capacity C (B rows, N layers, M key-value heads of
 * width D; S = seq in prefill, 1 in decode):
 *   input_ids [B, S] i64, past_length [B] i32 (tokens of each row in the cache),
 *   past_key_values.N.key, .value [B, M, C, D] f32; prefill also: prompt_length [B] i32
 *   -> logits [B, 1, V] (prefill: of each row's token prompt_length - 1), and
 *   present.N.key, .value, each tied to its input (state_output): may be the same memory.
 * Prompts are padded on the right; what padding left in the cache is overwritten by the
 * decode steps, whose past_length starts at prompt_length. */

/* An input as a golden names it. NULL list: the default inputs for measuring. */
struct mld_arch_input {
    const char *name;
    enum mld_dtype dtype;
    struct mld_shape shape;
};

struct mld_arch_request {
    const struct mld_json *config; /* config.json's object */
    const char *model_type;        /* NULL: the config's */
    const char *class_name;        /* NULL: the config's architectures[0], else default */
    enum mld_mode mode;
    struct mld_arch_shapes shapes;
    int64_t layers;                      /* > 0: cut the repeated block to this depth */
    const struct mld_arch_input *inputs; /* shapes of these win over `shapes` */
    size_t input_count;
    bool untied; /* the head has a weight of its own whatever the config says: for files
                    that hold both tensors with different numbers (FLAN-T5) */
};

/* What was built, beside the graph. Strings are static or in the arena. */
struct mld_arch_info {
    const char *model_type, *class_name;
    uint32_t categories;           /* bit set of 1u << enum mld_category */
    struct mld_arch_shapes shapes; /* as used; -1 where the model has no such dimension */
    int64_t layers, layers_full;   /* depth as built, depth of the config */
};

/* Builds the semantic graph in arena. Faults: unknown type or class (nearest offered),
 * a config that does not make sense (says which field). */
int mld_arch_build(const struct mld_arch_request *req, struct mld_arena *arena,
                   struct mld_graph **out, struct mld_arch_info *info,
                   struct mld_error *err) MLD_MUST_CHECK;

/* --- the tables, for listing -------------------------------------------------------- */
struct mld_arch_type {
    const char *model_type;
    uint32_t categories;
    const char *family; /* "encoder" ... */
    const char *default_class;
    uint32_t modes;             /* bit set of 1u << enum mld_mode */
    int64_t default_batches[8]; /* 0-terminated; for `bench` without --batch-sizes */
};
size_t mld_arch_type_count(void);
const struct mld_arch_type *mld_arch_type_at(size_t i);
const struct mld_arch_type *
mld_arch_type_find(const char *model_type); /* NULL: unknown */
/* The i-th class of a type; NULL past the end. */
const char *mld_arch_type_class(const struct mld_arch_type *type, size_t i);
/* Can this class run in this mode? prefill and decode need a generating head. */
bool mld_arch_class_mode(const struct mld_arch_type *type, const char *class_name,
                         enum mld_mode mode);
/* Names under which a checkpoint file may hold parameter `name` of this type and class,
 * likeliest first: the name itself, then older spellings (gamma, beta), with and without
 * the base model's prefix, and other names of a tied parameter. Strings are in arena.
 * Returns how many were written to out (at most cap). */
size_t mld_arch_param_candidates(const struct mld_arch_type *type, const char *class_name,
                                 const char *name, struct mld_arena *arena,
                                 const char **out, size_t cap);

/* The model_type of a config that lacks it (before 2020), from its architectures[0]; NULL
 * when nothing tells. */
const char *mld_arch_infer_type(const struct mld_json *config);

/* A known checkpoint: its name on the Hub, config (JSON text, what differs from the
 * type's defaults), class, and published parameter count. */
struct mld_checkpoint {
    const char *name; /* "bert-base-uncased", "Qwen/Qwen2-0.5B" */
    const char *model_type;
    const char *class_name;
    int64_t parameters; /* values of the built graph's parameters */
    const char *config_json;
};
size_t mld_checkpoint_count(void);
const struct mld_checkpoint *mld_checkpoint_at(size_t i);
const struct mld_checkpoint *
mld_checkpoint_find(const char *name); /* case-insensitive; the
           owner part may be left out when it is unambiguous */
/* The checkpoint that `--model bert` means; NULL when the type has none. */
const struct mld_checkpoint *mld_checkpoint_default(const char *model_type);
/* Nearest known type or checkpoint name, for messages; NULL: none is near. */
const char *mld_arch_nearest(const char *name);

#endif
