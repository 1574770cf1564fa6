/* layer.c: the transformer layer that all families share.
 *
 * Traits say which parts exist and how they are named; dims say how large they are. The
 * order of operations is the reference's, so that float results agree to rounding.
 * Builders are never two arguments of one call: the order of nodes is the same under any
 * compiler. */
#include "arch/layer.h"

#include <string.h>

bool mld_bias_wanted(struct mld_arch_ctx *ctx, const char *bias)
{
    if (bias == NULL)
        return false;
    return strcmp(bias, MLD_ALWAYS) == 0 || mld_config_bool_or(&ctx->cfg, bias, false);
}

void mld_layer_dims_read(struct mld_arch_ctx *ctx, const struct mld_layer_traits *t,
                         struct mld_layer_dims *d)
{
    const struct mld_config *c = &ctx->cfg;
    d->width = mld_config_dim(c, "hidden_size");
    d->heads = mld_config_dim(c, "num_attention_heads");
    d->kv_heads =
        mld_config_int_or(c, "num_key_value_heads", 1, MLD_CONFIG_MAX_DIM, d->heads);
    d->head_dim = mld_config_int_or(c, "head_dim", 1, MLD_CONFIG_MAX_DIM, 0);
    if (d->head_dim == 0 || t->heads_fill_width) {
        if (d->width % d->heads != 0)
            mld_config_fail(c, "num_attention_heads",
                            "it must divide 'hidden_size', which is %lld",
                            (long long)d->width);
        if (d->head_dim == 0)
            d->head_dim = d->width / d->heads > 0 ? d->width / d->heads : 1;
    }
    if (d->heads % d->kv_heads != 0)
        mld_config_fail(c, "num_key_value_heads",
                        "it must divide 'num_attention_heads', which is %lld",
                        (long long)d->heads);
    if (d->heads > MLD_CONFIG_MAX_DIM / d->head_dim) {
        mld_config_fail(c, "num_attention_heads",
                        "heads times their width %lld is over %lld",
                        (long long)d->head_dim, (long long)MLD_CONFIG_MAX_DIM);
        d->heads = d->kv_heads = 1;
    }
    d->inner = t->inner_is_4_widths ? mld_config_int_or(c, "intermediate_size", 1,
                                                        MLD_CONFIG_MAX_DIM, 4 * d->width)
                                    : mld_config_dim(c, "intermediate_size");
    d->eps = mld_config_num_or(c, "norm_eps", 0, 1, 1e-12);
    d->act = mld_config_activation(c, "hidden_act");
    d->gated = t->gate != NULL;
    d->qkv_bias = mld_bias_wanted(ctx, t->qkv_bias);
    d->o_bias = mld_bias_wanted(ctx, t->o_bias);
    d->mlp_bias = mld_bias_wanted(ctx, t->mlp_bias);
    d->scale = 0;
}

struct mld_weights mld_load_linear(struct mld_arch_ctx *ctx, const char *name, int64_t in,
                                   int64_t out, bool bias, bool in_out)
{
    struct mld_weights r = {0};
    if (name == NULL)
        return r;
    r.w = mld_arch_param(ctx, mld_arch_name(ctx, "%s.weight", name),
                         in_out ? MLD_SHAPE(in, out) : MLD_SHAPE(out, in));
    if (bias)
        r.b = mld_arch_param(ctx, mld_arch_name(ctx, "%s.bias", name), MLD_SHAPE(out));
    return r;
}

struct mld_weights mld_load_norm(struct mld_arch_ctx *ctx, const char *name,
                                 enum mld_norm_kind kind, int64_t width)
{
    struct mld_weights r = {0};
    if (name == NULL)
        return r;
    r.w = mld_arch_param(ctx, mld_arch_name(ctx, "%s.weight", name), MLD_SHAPE(width));
    if (kind == MLD_NORM_LAYER)
        r.b = mld_arch_param(ctx, mld_arch_name(ctx, "%s.bias", name), MLD_SHAPE(width));
    return r;
}

mld_v mld_apply_norm(struct mld_arch_ctx *ctx, enum mld_norm_kind kind, mld_v x,
                     struct mld_weights w, double eps)
{
    return kind == MLD_NORM_LAYER ? mld_layer_norm(ctx->g, x, w.w, w.b, eps)
                                  : mld_rms_norm(ctx->g, x, w.w, eps);
}

void mld_layer_load(struct mld_arch_ctx *ctx, const struct mld_layer_traits *t,
                    const struct mld_layer_dims *d, const char *prefix,
                    struct mld_layer *out)
{
    int64_t q = d->heads * d->head_dim, kv = d->kv_heads * d->head_dim;
#define PART(name) ((name) != NULL ? mld_arch_name(ctx, "%s.%s", prefix, (name)) : NULL)
#define LINEAR(name, in, width, bias)                                                    \
    mld_load_linear(ctx, PART(name), in, width, bias, t->in_out)
#define NORM(name) mld_load_norm(ctx, PART(name), t->norm, d->width)
    *out = (struct mld_layer){.t = t, .d = d};
    if (t->place != MLD_NORM_AFTER)
        out->attn_norm = NORM(t->attn_norm);
    out->qkv = LINEAR(t->qkv, d->width, q + 2 * kv, d->qkv_bias);
    out->q = LINEAR(t->q, d->width, q, d->qkv_bias);
    out->k = LINEAR(t->k, d->width, kv, d->qkv_bias);
    out->v = LINEAR(t->v, d->width, kv, d->qkv_bias);
    out->o = LINEAR(t->o, q, d->width, d->o_bias);
    if (t->place == MLD_NORM_AFTER)
        out->attn_norm = NORM(t->attn_norm);
    out->cross_q = LINEAR(t->cross_q, d->width, q, d->qkv_bias);
    out->cross_k = LINEAR(t->cross_k, d->width, kv, d->qkv_bias);
    out->cross_v = LINEAR(t->cross_v, d->width, kv, d->qkv_bias);
    out->cross_o = LINEAR(t->cross_o, q, d->width, d->o_bias);
    out->cross_norm = NORM(t->cross_norm);
    if (t->place != MLD_NORM_AFTER)
        out->mlp_norm = NORM(t->mlp_norm);
    out->gate = LINEAR(d->gated ? t->gate : NULL, d->width, d->inner, d->mlp_bias);
    out->up = LINEAR(t->up, d->width, d->inner, d->mlp_bias);
    out->down = LINEAR(t->down, d->inner, d->width, d->mlp_bias);
    if (t->place == MLD_NORM_AFTER)
        out->mlp_norm = NORM(t->mlp_norm);
#undef NORM
#undef LINEAR
#undef PART
}

static mld_v linear(struct mld_arch_ctx *ctx, const struct mld_layer *l, mld_v x,
                    struct mld_weights w)
{
    return l->t->in_out ? mld_linear_in_out(ctx->g, x, w.w, w.b)
                        : mld_linear(ctx->g, x, w.w, w.b);
}

/* Past buffers [B, M, C, D] of layer `index` as graph inputs; the updated ones are kept
 * for mld_arch_build to put out as present.N.key and present.N.value. */
static void cache_attach(struct mld_arch_ctx *ctx, const struct mld_layer *l,
                         int64_t index, struct mld_attention *p)
{
    struct mld_shape shape =
        MLD_SHAPE(ctx->batch, l->d->kv_heads, ctx->cache.capacity, l->d->head_dim);
    p->past_k = mld_graph_input(
        ctx->g, mld_arch_name(ctx, "past_key_values.%lld.key", (long long)index), MLD_F32,
        shape, MLD_FILL_ZEROS, 0, 0);
    p->past_v = mld_graph_input(
        ctx->g, mld_arch_name(ctx, "past_key_values.%lld.value", (long long)index),
        MLD_F32, shape, MLD_FILL_ZEROS, 0, 0);
    p->past_length = ctx->cache.past_length;
}

static mld_v self_attention(struct mld_arch_ctx *ctx, const struct mld_layer *l,
                            const struct mld_layer_call *call, mld_v x)
{
    struct mld_graph *g = ctx->g;
    const struct mld_layer_dims *d = l->d;
    mld_v q, k, v;
    if (l->t->qkv != NULL) {
        int64_t qw = d->heads * d->head_dim, kvw = d->kv_heads * d->head_dim;
        mld_v parts[3] = {NULL, NULL, NULL};
        mld_split(g, linear(ctx, l, x, l->qkv), 2, (const int64_t[]){qw, kvw, kvw}, 3,
                  parts);
        q = parts[0];
        k = parts[1];
        v = parts[2];
    } else {
        q = linear(ctx, l, x, l->q);
        k = linear(ctx, l, x, l->k);
        v = linear(ctx, l, x, l->v);
    }
    if (call->cos != NULL) {
        q = mld_rotary(g, q, call->cos, call->sin, d->heads, call->rotary_dim, false);
        k = mld_rotary(g, k, call->cos, call->sin, d->kv_heads, call->rotary_dim, false);
    }
    struct mld_attention p = {.heads = d->heads,
                              .kv_heads = d->kv_heads,
                              .scale = call->scale != 0 ? call->scale : d->scale,
                              .causal = call->causal,
                              .window = call->window,
                              .key_mask = call->key_mask,
                              .bias = call->bias};
    bool cached = ctx->cache.past_length != NULL;
    if (cached)
        cache_attach(ctx, l, call->index, &p);
    mld_v y = mld_attention(g, q, k, v, &p);
    if (cached && y != NULL && ctx->cache.count + 2 <= ctx->cache.cap) {
        ctx->cache.present[ctx->cache.count++] = mld_node_output(y, 1);
        ctx->cache.present[ctx->cache.count++] = mld_node_output(y, 2);
    }
    return linear(ctx, l, y, l->o);
}

static mld_v cross_attention(struct mld_arch_ctx *ctx, const struct mld_layer *l,
                             const struct mld_layer_call *call, mld_v x)
{
    mld_v q = linear(ctx, l, x, l->cross_q);
    mld_v k = linear(ctx, l, call->memory, l->cross_k);
    mld_v v = linear(ctx, l, call->memory, l->cross_v);
    struct mld_attention p = {.heads = l->d->heads,
                              .kv_heads = l->d->kv_heads,
                              .scale = l->d->scale,
                              .key_mask = call->memory_mask};
    return linear(ctx, l, mld_attention(ctx->g, q, k, v, &p), l->cross_o);
}

static mld_v mlp(struct mld_arch_ctx *ctx, const struct mld_layer *l, mld_v x)
{
    struct mld_graph *g = ctx->g;
    mld_v y;
    if (l->d->gated) {
        mld_v gate = mld_activation(g, l->d->act, linear(ctx, l, x, l->gate));
        mld_v up = linear(ctx, l, x, l->up);
        y = mld_mul(g, gate, up);
    } else {
        y = mld_activation(g, l->d->act, linear(ctx, l, x, l->up));
    }
    return linear(ctx, l, y, l->down);
}

mld_v mld_layer_apply(struct mld_arch_ctx *ctx, const struct mld_layer *l,
                      const struct mld_layer_call *call, mld_v x)
{
    struct mld_graph *g = ctx->g;
    enum mld_norm_kind kind = l->t->norm;
    double eps = l->d->eps;
    mld_v y, z;
    switch (l->t->place) {
    case MLD_NORM_AFTER:
        x = mld_add(g, self_attention(ctx, l, call, x), x);
        x = mld_apply_norm(ctx, kind, x, l->attn_norm, eps);
        if (call->memory != NULL) {
            x = mld_add(g, cross_attention(ctx, l, call, x), x);
            x = mld_apply_norm(ctx, kind, x, l->cross_norm, eps);
        }
        x = mld_add(g, mlp(ctx, l, x), x);
        return mld_apply_norm(ctx, kind, x, l->mlp_norm, eps);
    case MLD_NORM_PARALLEL:
        y = mld_apply_norm(ctx, kind, x, l->attn_norm, eps);
        z = l->t->mlp_norm != NULL ? mld_apply_norm(ctx, kind, x, l->mlp_norm, eps) : y;
        x = mld_add(g, x, self_attention(ctx, l, call, y));
        return mld_add(g, x, mlp(ctx, l, z));
    case MLD_NORM_BEFORE:
        y = mld_apply_norm(ctx, kind, x, l->attn_norm, eps);
        x = mld_add(g, x, self_attention(ctx, l, call, y));
        if (call->memory != NULL) {
            y = mld_apply_norm(ctx, kind, x, l->cross_norm, eps);
            x = mld_add(g, x, cross_attention(ctx, l, call, y));
        }
        y = mld_apply_norm(ctx, kind, x, l->mlp_norm, eps);
        return mld_add(g, x, mlp(ctx, l, y));
    }
    return NULL;
}
