/* family_vision.c: vision transformers: patches by convolution, a stack, heads.
 *
 * --image-size replaces the config's image_size, and the position table grows or shrinks
 * with it: the same architecture for other pictures. */
#include "arch/family_vision.h"

struct vision {
    const struct mld_vision_traits *t;
    struct mld_layer_dims d;
    int64_t image[2], patch[2], grid[2], channels, layers, patches, specials;
};

static void read_config(struct mld_arch_ctx *ctx, struct vision *m)
{
    const struct mld_config *c = &ctx->cfg;
    mld_layer_dims_read(ctx, &m->t->block, &m->d);
    m->layers = mld_arch_layers(ctx, "num_hidden_layers");
    m->channels = mld_config_int(c, "num_channels", 1, 4096);
    mld_config_pair(c, "patch_size", 1, 1 << 16, m->patch);
    mld_config_pair(c, "image_size", 1, 1 << 16, m->image);
    int64_t want = ctx->req->shapes.image_size;
    if (want > 0) {
        if (want > 1 << 16)
            mld_graph_fail(ctx->g, MLD_E_INVALID,
                           "'image-size' is %lld: from 1 to %d is possible",
                           (long long)want, 1 << 16);
        m->image[0] = m->image[1] = want;
    }
    m->grid[0] = m->image[0] / m->patch[0];
    m->grid[1] = m->image[1] / m->patch[1];
    m->patches = m->grid[0] * m->grid[1];
    m->specials = m->t->extra_token != NULL ? 2 : 1;
    if (m->patches < 1)
        mld_config_fail(c, "patch_size", "it must fit into the image of %lld x %lld",
                        (long long)m->image[0], (long long)m->image[1]);
    if (m->patches > 1 << 20)
        mld_config_fail(c, "patch_size", "%lld patches are too many, %d are possible",
                        (long long)m->patches, 1 << 20);
}

static mld_v special_token(struct mld_arch_ctx *ctx, const struct vision *m,
                           const char *name)
{
    mld_v token = mld_arch_param(ctx, name, MLD_SHAPE(1, 1, m->d.width));
    return mld_expand(ctx->g, token, MLD_SHAPE(ctx->batch, 1, m->d.width));
}

/* Patches that bool_masked_pos [B, patches] marks become the mask token. */
static mld_v mask_patches(struct mld_arch_ctx *ctx, const struct vision *m, mld_v x)
{
    mld_v token = mld_arch_param(ctx, m->t->mask_token, MLD_SHAPE(1, 1, m->d.width));
    mld_v mask =
        mld_arch_input(ctx, "bool_masked_pos", MLD_BOOL,
                       MLD_SHAPE(ctx->batch, m->patches), MLD_FILL_ZEROS, 0, 0, false);
    if (mask == NULL)
        return x;
    int64_t stride = mld_config_int(&ctx->cfg, "encoder_stride", 1, 4096);
    if (stride != m->patch[0] || stride != m->patch[1])
        mld_config_fail(&ctx->cfg, "encoder_stride",
                        "with 'bool_masked_pos' it must equal 'patch_size'");
    mask = mld_reshape(ctx->g, mask, MLD_SHAPE(ctx->batch, m->patches, 1));
    return mld_where(ctx->g, mask, token, x);
}

static mld_v embeddings(struct mld_arch_ctx *ctx, const struct vision *m)
{
    struct mld_graph *g = ctx->g;
    int64_t width = m->d.width, count = m->patches + m->specials;
    const struct mld_arch_input *given = mld_arch_requested(ctx, "pixel_values");
    ctx->batch = given != NULL && given->shape.rank == 4 ? given->shape.d[0]
                 : ctx->req->shapes.batch > 0            ? ctx->req->shapes.batch
                                                         : 1;
    if (ctx->batch < 1 || ctx->batch > 1 << 20)
        return mld_graph_fail(g, MLD_E_INVALID,
                              "'batch' is %lld: from 1 to %d is possible",
                              (long long)ctx->batch, 1 << 20);
    mld_v pixels =
        mld_arch_input(ctx, "pixel_values", MLD_F32,
                       MLD_SHAPE(ctx->batch, m->channels, m->image[0], m->image[1]),
                       MLD_FILL_UNIFORM, 0, 0, true);
    if (pixels == NULL && !mld_arch_failed(ctx))
        return mld_graph_fail(g, MLD_E_INVALID, "the inputs of '%s' lack 'pixel_values'",
                              ctx->cls->name);
    mld_graph_scope(g, "embeddings");
    mld_v cls = special_token(ctx, m, m->t->cls_token);
    mld_v position = mld_arch_param(ctx, m->t->position, MLD_SHAPE(1, count, width));
    mld_v extra =
        m->t->extra_token != NULL ? special_token(ctx, m, m->t->extra_token) : NULL;
    mld_v w = mld_arch_param(ctx, mld_arch_name(ctx, "%s.weight", m->t->patches),
                             MLD_SHAPE(width, m->channels, m->patch[0], m->patch[1]));
    mld_v b = mld_arch_param(ctx, mld_arch_name(ctx, "%s.bias", m->t->patches),
                             MLD_SHAPE(width));
    struct mld_conv conv = {.stride = {m->patch[0], m->patch[1], 0}, .groups = 1};
    mld_v x = mld_conv(g, pixels, w, b, &conv);
    x = mld_reshape(g, x, MLD_SHAPE(ctx->batch, width, m->patches));
    x = mld_transpose(g, x, 3, (const int[]){0, 2, 1});
    if ((ctx->cls->flags & MLD_CLASS_MASK_TOKEN) != 0)
        x = mask_patches(ctx, m, x);
    mld_v parts[3] = {cls, extra != NULL ? extra : x, x};
    x = mld_concat(g, parts, extra != NULL ? 3 : 2, 1);
    return mld_add(g, x, position);
}

void mld_family_vision(struct mld_arch_ctx *ctx)
{
    struct mld_graph *g = ctx->g;
    struct vision model = {.t = ctx->row->traits}, *m = &model;
    read_config(ctx, m);
    if (mld_arch_failed(ctx))
        return;
    mld_v x = embeddings(ctx, m);
    ctx->seq = m->patches + m->specials;
    ctx->info->shapes.batch = ctx->batch;
    ctx->info->shapes.image_size = m->image[0];
    struct mld_layer_call call = {.causal = false};
    for (int64_t i = 0; i < m->layers && !mld_arch_failed(ctx); i++) {
        struct mld_layer layer;
        const char *prefix = mld_arch_name(ctx, "%s.%lld", m->t->layer, (long long)i);
        mld_graph_scope(g, "%s", prefix);
        mld_layer_load(ctx, &m->t->block, &m->d, prefix, &layer);
        x = mld_layer_apply(ctx, &layer, &call, x);
    }
    if (mld_arch_failed(ctx))
        return;
    mld_graph_scope(g, "final");
    struct mld_weights norm =
        mld_load_norm(ctx, m->t->final_norm, m->t->block.norm, m->d.width);
    x = mld_apply_norm(ctx, m->t->block.norm, x, norm, m->d.eps);
    struct mld_body body = {.tokens = x,
                            .rows = ctx->batch,
                            .seq = ctx->seq,
                            .width = m->d.width,
                            .skip_tokens = m->specials,
                            .grid = {m->grid[0], m->grid[1]},
                            .channels = m->channels};
    if (m->t->pooler != NULL && (ctx->cls->flags & MLD_CLASS_POOLER) != 0) {
        body.pooled_width = mld_config_int_or(&ctx->cfg, "pooler_output_size", 0,
                                              MLD_CONFIG_MAX_DIM, m->d.width);
        if (body.pooled_width == 0)
            body.pooled_width = m->d.width;
        const char *act = mld_config_activation(&ctx->cfg, "pooler_act");
        struct mld_weights w = mld_load_linear(ctx, m->t->pooler, m->d.width,
                                               body.pooled_width, true, false);
        mld_v first =
            mld_reshape(g, mld_slice(g, x, 1, 0, 1), MLD_SHAPE(ctx->batch, m->d.width));
        body.pooled = mld_activation(g, act, mld_linear(g, first, w.w, w.b));
    }
    mld_heads_build(ctx, &body);
}
