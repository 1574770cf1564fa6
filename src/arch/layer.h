/* layer.h: one transformer layer, by traits: attention (self and cross), MLP, norms.
 *
 * All names are relative to the layer's prefix; a NULL name means that the layer has no
 * such part. A bias is a role of the config ("attention_bias"), MLD_ALWAYS, or NULL. */
#ifndef MLD_ARCH_LAYER_H
#define MLD_ARCH_LAYER_H

#include "arch/arch_int.h"

#define MLD_ALWAYS "always"

enum mld_norm_kind { MLD_NORM_LAYER, MLD_NORM_RMS };
enum mld_norm_place {
    MLD_NORM_BEFORE,  /* x + f(norm(x)) */
    MLD_NORM_AFTER,   /* norm(x + f(x)) */
    MLD_NORM_PARALLEL /* x + attention(norm(x)) + mlp(norm'(x)); mlp_norm NULL: the same
                       */
};

struct mld_layer_traits {
    enum mld_norm_kind norm;
    enum mld_norm_place place;
    bool in_out;               /* weights stored [in, out] (GPT-2's Conv1D) */
    const char *q, *k, *v, *o; /* self-attention */
    const char *qkv;           /* fused instead of q, k, v: columns [q | k | v] */
    const char *attn_norm;
    const char *cross_q, *cross_k, *cross_v, *cross_o, *cross_norm;
    const char *gate, *up, *down; /* gate NULL: plain MLP; else act(gate x) * up x */
    const char *mlp_norm;
    const char *qkv_bias, *o_bias, *mlp_bias;
    bool inner_is_4_widths; /* intermediate_size null: 4 hidden_size */
    bool heads_fill_width;  /* refused unless heads divide hidden_size, head_dim or not */
};

/* Numbers of the layers, read once from the config. */
struct mld_layer_dims {
    int64_t width, heads, kv_heads, head_dim, inner;
    double eps;
    double scale; /* of the scores; 0: 1/sqrt(head_dim) */
    const char *act;
    bool gated, qkv_bias, o_bias, mlp_bias;
};
void mld_layer_dims_read(struct mld_arch_ctx *ctx, const struct mld_layer_traits *t,
                         struct mld_layer_dims *d);

struct mld_weights {
    mld_v w, b;
};
struct mld_layer {
    const struct mld_layer_traits *t;
    const struct mld_layer_dims *d;
    struct mld_weights q, k, v, qkv, o, attn_norm;
    struct mld_weights cross_q, cross_k, cross_v, cross_o, cross_norm;
    struct mld_weights gate, up, down, mlp_norm;
};
/* Declares the layer's parameters under `prefix`. */
void mld_layer_load(struct mld_arch_ctx *ctx, const struct mld_layer_traits *t,
                    const struct mld_layer_dims *d, const char *prefix,
                    struct mld_layer *out);

struct mld_layer_call {
    int64_t index;  /* names the cache */
    mld_v cos, sin; /* rotary: NULL: none */
    int64_t rotary_dim;
    mld_v key_mask, bias;
    bool causal;
    int64_t window;
    double scale;              /* 0: the dims' */
    mld_v memory, memory_mask; /* cross attention on [B, T, H] */
};
/* x [B, S, width] through the layer. */
mld_v mld_layer_apply(struct mld_arch_ctx *ctx, const struct mld_layer *layer,
                      const struct mld_layer_call *call, mld_v x);

/* A linear map's and a norm's parameters under whole names, and their use. */
struct mld_weights mld_load_linear(struct mld_arch_ctx *ctx, const char *name, int64_t in,
                                   int64_t out, bool bias, bool in_out);
struct mld_weights mld_load_norm(struct mld_arch_ctx *ctx, const char *name,
                                 enum mld_norm_kind kind, int64_t width);
mld_v mld_apply_norm(struct mld_arch_ctx *ctx, enum mld_norm_kind kind, mld_v x,
                     struct mld_weights w, double eps);
/* Is the bias of a traits field there? */
bool mld_bias_wanted(struct mld_arch_ctx *ctx, const char *bias);

#endif
