/* arch_int.h: what families, rows and heads share inside src/arch.
 *
 * A model type is one struct mld_arch_row: the public part (names, classes, modes), the
 * library's default config, the keys of its roles, and a traits struct that its family
 * reads. All builders work on one struct mld_arch_ctx; faults go to its graph, so nothing
 * in a family checks a result. */
#ifndef MLD_ARCH_ARCH_INT_H
#define MLD_ARCH_ARCH_INT_H

#include "arch/arch.h"
#include "arch/arch_config.h"
#include "graph/build.h"

/* A JSON object written as it is in C source. */
#define MLD_JSON_TEXT(...) #__VA_ARGS__

/* Values of one parameter, and of all together: 2^44 are 64 TiB. */
#define MLD_ARCH_MAX_VALUES ((int64_t)1 << 44)

struct mld_arch_ctx;

/* --- classes: what sits on top of the base model ------------------------------------ */
enum mld_head_source {
    MLD_HEAD_TOKENS,   /* every token [B, S, H] */
    MLD_HEAD_FIRST,    /* token 0 [B, H] */
    MLD_HEAD_SECOND,   /* token 1: the distillation token of DeiT */
    MLD_HEAD_POOLER,   /* the base model's pooler */
    MLD_HEAD_LAST,     /* last token that is not padding */
    MLD_HEAD_LAST_EOS, /* last end-of-sequence token (T5) */
    MLD_HEAD_SUMMARY   /* by summary_type, ELECTRA and GPT-2 */
};
enum mld_head_width { MLD_HEAD_LABELS, MLD_HEAD_VOCAB, MLD_HEAD_ONE, MLD_HEAD_TWO };
enum mld_head_form {
    MLD_HEAD_PLAIN,
    MLD_HEAD_SPAN,    /* two columns: start_logits, end_logits [B, S] */
    MLD_HEAD_CHOICES, /* one column per choice: [B, choices] */
    MLD_HEAD_SQUEEZE, /* one column, dropped: [B, S] */
    MLD_HEAD_IMAGE    /* 1 x 1 convolution and pixel shuffle back to an image */
};
#define MLD_HEAD_NO_BIAS     1u /* of `out` */
#define MLD_HEAD_TIED        2u /* out's weight is the word table under tie_word_embeddings */
#define MLD_HEAD_EMBED_WIDTH 4u /* dense maps to embedding_size, not hidden_size */

/* source -> [dense -> act -> norm] -> out. Names are whole, without the base's prefix. */
struct mld_head {
    const char *output; /* the graph output's name; NULL ends a list */
    enum mld_head_source source;
    enum mld_head_form form;
    const char *dense, *act, *norm; /* NULL: left out; act "=role" reads the config */
    const char *out;
    enum mld_head_width width;
    unsigned flags;
    const char *bias; /* the bias parameter that out's bias is tied to; NULL: its own */
};

#define MLD_CLASS_POOLER     1u
#define MLD_CLASS_CHOICES    2u  /* inputs [B, choices, S] */
#define MLD_CLASS_MASK_TOKEN 4u  /* masked image modelling */
#define MLD_CLASS_ENCODER    8u  /* of an encoder-decoder: the encoder alone */
#define MLD_CLASS_CACHE      16u /* prefill and decode make sense */
#define MLD_CLASS_MEAN       32u /* "logits": mean of all heads, put first (DeiT) */
#define MLD_CLASS_SHIFT      64u /* decoder_input_ids default to input_ids shifted right */
#define MLD_CLASS_SCALED     128u /* hidden states scaled before the head (T5) */

struct mld_class {
    const char *name;   /* "BertForMaskedLM"; NULL ends a list */
    const char *prefix; /* before the base model's parameters: "bert." */
    unsigned flags;
    struct mld_head heads[3];
};

/* In a checkpoint file, the part `now` of a parameter's name may be spelled `old`. A
 * '#' stands for a run of digits, the same on both sides. */
struct mld_arch_rename {
    const char *now, *old; /* now NULL ends a list */
};

/* --- rows --------------------------------------------------------------------------- */
struct mld_arch_row {
    struct mld_arch_type type; /* public part; first */
    void (*build)(struct mld_arch_ctx *ctx);
    const void *traits;
    const char *defaults; /* JSON object: the configuration class's defaults */
    const struct mld_config_name *names;
    const struct mld_class *classes;
    const char *const (*legacy_classes)[2]; /* {old name, name} pairs, ends with NULL */
    const char *word_table; /* parameter that tied heads share: "wte.weight" */
    const struct mld_arch_rename *renames; /* spellings of old checkpoints; NULL: none */
};
/* Tables, one per types_*.c. */
struct mld_arch_table {
    const struct mld_arch_row *rows;
    size_t count;
};
extern const struct mld_arch_table mld_arch_types_encoder, mld_arch_types_decoder,
    mld_arch_types_seq2seq, mld_arch_types_vision;
const struct mld_arch_row *mld_arch_row_find(const char *model_type);
/* A class by its name, or by an older name of it; NULL: none. */
const struct mld_class *mld_arch_class_find(const struct mld_arch_row *row,
                                            const char *name);

/* Families. */
void mld_family_text(struct mld_arch_ctx *ctx);    /* traits: struct mld_text_traits */
void mld_family_seq2seq(struct mld_arch_ctx *ctx); /* traits: struct mld_seq2seq_traits */
void mld_family_vision(struct mld_arch_ctx *ctx);  /* traits: struct mld_vision_traits */

/* --- one build ---------------------------------------------------------------------- */
struct mld_arch_ctx {
    const struct mld_arch_request *req;
    const struct mld_arch_row *row;
    const struct mld_class *cls;
    struct mld_config cfg;
    struct mld_graph *g;
    struct mld_arena *arena;
    struct mld_arch_info *info;
    bool *input_used;            /* per req->inputs */
    int64_t batch, choices, seq; /* rows of the body: batch * choices */
    /* KV cache: past_length is NULL in a full forward. */
    struct {
        mld_v past_length;      /* [B] i32 */
        int64_t capacity, held; /* tokens it can hold, and does before this run */
        mld_v *present;         /* key and value of each layer */
        int64_t count, cap;
    } cache;
};

/* An input of the graph. With a list in the request only its inputs exist, in its shape
 * (checked against `shape`; a dimension -1 is free); else the input exists when
 * by_default. NULL: it does not. */
mld_v mld_arch_input(struct mld_arch_ctx *ctx, const char *name, enum mld_dtype dtype,
                     struct mld_shape shape, enum mld_fill fill, int64_t low,
                     int64_t high, bool by_default);
/* The requested input of that name; NULL: none, or no list. */
const struct mld_arch_input *mld_arch_requested(const struct mld_arch_ctx *ctx,
                                                const char *name);
/* A parameter: prefix of the base model (when base), then the printf-made name. */
mld_v mld_arch_param(struct mld_arch_ctx *ctx, const char *name, struct mld_shape shape);
/* "<prefix><name>" in the arena. */
const char *mld_arch_name(struct mld_arch_ctx *ctx, const char *format, ...)
    MLD_PRINTF(2, 3);
/* Token ids in the vocabulary without the special tokens: [*low, *high). */
void mld_arch_id_range(struct mld_arch_ctx *ctx, int64_t vocab, int64_t *low,
                       int64_t *high);
/* Depth of the repeated block: the config's, or the request's cut. Sets info. */
int64_t mld_arch_layers(struct mld_arch_ctx *ctx, const char *role);
/* ids [B, S] and friends of a choices class are [B, choices, S]: flattens. */
mld_v mld_arch_flatten_choices(struct mld_arch_ctx *ctx, mld_v x);
bool mld_arch_failed(const struct mld_arch_ctx *ctx);
/* 0 ... n - 1 as a constant of dtype I32 or I64. */
mld_v mld_arch_arange(struct mld_arch_ctx *ctx, enum mld_dtype dtype, int64_t n,
                      int64_t first, int64_t step, struct mld_shape shape);
/* A constant that the family fills: memory in the arena, or NULL and a fault when count
 * is over what a graph may sensibly hold (2^28 elements). */
void *mld_arch_scratch(struct mld_arch_ctx *ctx, int64_t count, size_t bytes);

/* --- heads.c ------------------------------------------------------------------------ */
struct mld_body {
    mld_v tokens; /* [rows, S, width] */
    mld_v pooled; /* [rows, P] or NULL */
    mld_v ids;    /* [rows, S] i64, for "last token"; or NULL */
    int64_t rows, seq, width, pooled_width;
    mld_v word; /* the word table [vocab, embed_width] */
    const char *word_name;
    int64_t vocab, embed_width;
    int64_t skip_tokens, grid[2], channels; /* images: leading special tokens, patches */
};
/* Outputs of the class: its heads, or last_hidden_state (and pooler_output). */
void mld_heads_build(struct mld_arch_ctx *ctx, const struct mld_body *body);
/* Row `index` [rows] (i64 or i32) of x [rows, S, H]: [rows, H]. */
mld_v mld_take_token(struct mld_arch_ctx *ctx, mld_v x, mld_v index);

#endif
