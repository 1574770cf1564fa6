/* heads.c: what a class puts on top of its base model.
 *
 * A class is a list of heads, each source -> [dense -> act -> norm] -> out; the tables in
 * types_*.c hold them. The base class puts out its hidden states. */
#include "arch/arch_int.h"

#include <string.h>

#include "arch/layer.h"

/* Heads' parameters have whole names: no base prefix. */
static mld_v head_param(struct mld_arch_ctx *ctx, const char *name, const char *leaf,
                        struct mld_shape shape)
{
    const char *full = mld_arena_printf(ctx->arena, "%s.%s", name, leaf);
    if (full == NULL)
        return mld_graph_fail(ctx->g, MLD_E_NO_MEMORY, "out of memory");
    return mld_graph_param(ctx->g, full, shape);
}

mld_v mld_take_token(struct mld_arch_ctx *ctx, mld_v x, mld_v index)
{
    if (x == NULL || index == NULL)
        return NULL;
    int64_t rows = x->shape.d[0], seq = x->shape.d[1], width = x->shape.d[2];
    mld_v flat = mld_reshape(ctx->g, x, MLD_SHAPE(rows * seq, width));
    mld_v start = mld_arch_arange(ctx, index->dtype, rows, 0, seq, MLD_SHAPE(rows));
    return mld_gather(ctx->g, flat, mld_add(ctx->g, index, start), 0);
}

/* Token `at` of each row: [rows, H]. */
static mld_v fixed_token(struct mld_arch_ctx *ctx, const struct mld_body *body,
                         int64_t at)
{
    mld_v one = mld_slice(ctx->g, body->tokens, 1, at, at + 1);
    return mld_reshape(ctx->g, one, MLD_SHAPE(body->rows, body->width));
}

/* The last position where ids equal (or do not equal) `id`; position 0 where none does.
 */
static mld_v last_where(struct mld_arch_ctx *ctx, const struct mld_body *body, int64_t id,
                        bool equal)
{
    struct mld_graph *g = ctx->g;
    mld_v hit = mld_equal(g, body->ids, mld_graph_const_i64(g, 1, &id));
    if (!equal)
        hit = mld_not(g, hit);
    mld_v at = mld_arch_arange(ctx, MLD_I64, body->seq, 0, 1, MLD_SHAPE(1, body->seq));
    return mld_argmax(g, mld_mul(g, mld_cast(g, hit, MLD_I64), at), 1);
}

static mld_v last_token(struct mld_arch_ctx *ctx, const struct mld_body *body)
{
    if (!mld_config_has(&ctx->cfg, "pad_token_id") || body->ids == NULL)
        return fixed_token(ctx, body, body->seq - 1);
    int64_t pad =
        mld_config_int(&ctx->cfg, "pad_token_id", INT32_MIN, MLD_CONFIG_MAX_DIM);
    return mld_take_token(ctx, body->tokens, last_where(ctx, body, pad, false));
}

static mld_v last_eos(struct mld_arch_ctx *ctx, const struct mld_body *body)
{
    int64_t eos = mld_config_int(&ctx->cfg, "eos_token_id", 0, MLD_CONFIG_MAX_DIM);
    return mld_take_token(ctx, body->tokens, last_where(ctx, body, eos, true));
}

/* Sequence summary: pick by summary_type, project, activate. */
static mld_v summary(struct mld_arch_ctx *ctx, const struct mld_body *body,
                     const struct mld_head *head)
{
    struct mld_graph *g = ctx->g;
    const struct mld_config *c = &ctx->cfg;
    const char *type = mld_config_str(c, "summary_type");
    mld_v x = NULL, at = NULL;
    /* On [B, choices, S, H] the reference's other types pick choices, not tokens. */
    if (head->out == NULL && (type == NULL || strcmp(type, "cls_index") != 0))
        mld_config_fail(c, "summary_type", "'%s' needs cls_index", ctx->cls->name);
    if (type != NULL && strcmp(type, "cls_index") == 0)
        at = mld_arch_input(ctx, "mc_token_ids", MLD_I64,
                            MLD_SHAPE(ctx->batch, ctx->choices), MLD_FILL_VALUE,
                            body->seq - 1, 0, false);
    if (at != NULL)
        x = mld_take_token(ctx, body->tokens, mld_reshape(g, at, MLD_SHAPE(body->rows)));
    else if (type == NULL || strcmp(type, "last") == 0 || strcmp(type, "cls_index") == 0)
        x = fixed_token(ctx, body, body->seq - 1);
    else if (strcmp(type, "first") == 0)
        x = fixed_token(ctx, body, 0);
    else if (strcmp(type, "mean") == 0)
        x = mld_reduce_mean(g, body->tokens, 1, false);
    else
        mld_config_fail(c, "summary_type", "known are last, first, mean, cls_index");
    if (mld_config_bool_or(c, "summary_use_proj", false)) {
        /* a summary that is a head of its own has one label */
        int64_t labels = head->out == NULL ? 1 : mld_config_labels(c);
        bool to_labels = mld_config_bool_or(c, "summary_proj_to_labels", false);
        int64_t width = to_labels && labels > 0 ? labels : body->width;
        mld_v w = head_param(ctx, head->dense, "weight", MLD_SHAPE(width, body->width));
        mld_v b = head_param(ctx, head->dense, "bias", MLD_SHAPE(width));
        x = mld_linear(g, x, w, b);
    }
    const char *act = mld_config_activation(c, "summary_activation");
    return act != NULL ? mld_activation(g, act, x) : x;
}

static mld_v source(struct mld_arch_ctx *ctx, const struct mld_body *body,
                    const struct mld_head *head)
{
    switch (head->source) {
    case MLD_HEAD_TOKENS:
        return body->tokens;
    case MLD_HEAD_FIRST:
        return fixed_token(ctx, body, 0);
    case MLD_HEAD_SECOND:
        return fixed_token(ctx, body, 1);
    case MLD_HEAD_POOLER:
        return body->pooled;
    case MLD_HEAD_LAST:
        return last_token(ctx, body);
    case MLD_HEAD_LAST_EOS:
        return last_eos(ctx, body);
    case MLD_HEAD_SUMMARY:
        return summary(ctx, body, head);
    }
    return NULL;
}

static int64_t out_width(struct mld_arch_ctx *ctx, const struct mld_body *body,
                         const struct mld_head *head)
{
    int64_t labels = 1;
    switch (head->width) {
    case MLD_HEAD_LABELS:
        labels = mld_config_labels(&ctx->cfg);
        if (head->form == MLD_HEAD_SPAN && labels != 2)
            mld_graph_fail(ctx->g, MLD_E_INVALID,
                           "config: %lld labels: '%s' needs 2, start and end",
                           (long long)labels, ctx->cls->name);
        if (labels < 1 && !mld_arch_failed(ctx))
            mld_graph_fail(ctx->g, MLD_E_INVALID,
                           "config: 'num_labels' is %lld: '%s' needs at least 1",
                           (long long)labels, ctx->cls->name);
        return labels < 1 ? 1 : labels;
    case MLD_HEAD_VOCAB:
        return body->vocab;
    case MLD_HEAD_ONE:
        return 1;
    case MLD_HEAD_TWO:
        return 2;
    }
    return labels;
}

/* dense -> act -> norm; *width follows. */
static mld_v transform(struct mld_arch_ctx *ctx, const struct mld_body *body,
                       const struct mld_head *head, mld_v x, int64_t *width)
{
    struct mld_graph *g = ctx->g;
    if (head->dense == NULL || head->source == MLD_HEAD_SUMMARY)
        return x;
    int64_t out = (head->flags & MLD_HEAD_EMBED_WIDTH) != 0 ? body->embed_width : *width;
    mld_v w = head_param(ctx, head->dense, "weight", MLD_SHAPE(out, *width));
    mld_v b = head_param(ctx, head->dense, "bias", MLD_SHAPE(out));
    x = mld_linear(g, x, w, b);
    *width = out;
    if (head->act != NULL) {
        const char *act = head->act[0] == '='
                              ? mld_config_activation(&ctx->cfg, head->act + 1)
                              : head->act;
        x = mld_activation(g, act, x);
    }
    if (head->norm != NULL) {
        double eps = mld_config_num_or(&ctx->cfg, "norm_eps", 0, 1, 1e-12);
        w = head_param(ctx, head->norm, "weight", MLD_SHAPE(out));
        b = head_param(ctx, head->norm, "bias", MLD_SHAPE(out));
        x = mld_layer_norm(g, x, w, b, eps);
    }
    return x;
}

/* The last linear map, with what is tied to the word table and to a separate bias. */
static mld_v project(struct mld_arch_ctx *ctx, const struct mld_body *body,
                     const struct mld_head *head, mld_v x, int64_t in, int64_t out)
{
    struct mld_graph *g = ctx->g;
    bool tied = (head->flags & MLD_HEAD_TIED) != 0 && !ctx->req->untied &&
                mld_config_bool_or(&ctx->cfg, "tie_word_embeddings", true);
    mld_v w, b = NULL;
    if (tied) {
        w = body->word;
        mld_graph_alias(g, mld_arena_printf(ctx->arena, "%s.weight", head->out),
                        body->word_name);
    } else {
        w = head_param(ctx, head->out, "weight", MLD_SHAPE(out, in));
    }
    if ((head->flags & MLD_HEAD_NO_BIAS) == 0) {
        const char *own = mld_arena_printf(ctx->arena, "%s.bias", head->out);
        if (own == NULL)
            return mld_graph_fail(g, MLD_E_NO_MEMORY, "out of memory");
        if (head->bias != NULL) {
            b = mld_graph_param(g, head->bias, MLD_SHAPE(out));
            if (tied)
                mld_graph_alias(g, own, head->bias);
            else
                b = mld_graph_param(g, own, MLD_SHAPE(out));
        } else {
            b = mld_graph_param(g, own, MLD_SHAPE(out));
        }
    }
    return mld_linear(g, x, w, b);
}

/* Tokens behind the special ones as a picture: 1 x 1 convolution, pixel shuffle. */
static void image_head(struct mld_arch_ctx *ctx, const struct mld_body *body,
                       const struct mld_head *head)
{
    struct mld_graph *g = ctx->g;
    int64_t stride = mld_config_int(&ctx->cfg, "encoder_stride", 1, 4096);
    int64_t h = body->grid[0], w = body->grid[1], c = body->channels;
    if (h != w) {
        mld_config_fail(&ctx->cfg, "image_size", "'%s' needs square images",
                        ctx->cls->name);
        return;
    }
    if (c > MLD_CONFIG_MAX_DIM / (stride * stride)) {
        mld_config_fail(&ctx->cfg, "encoder_stride", "too large for the channels");
        return;
    }
    int64_t out = stride * stride * c;
    mld_v x = mld_slice(g, body->tokens, 1, body->skip_tokens, body->seq);
    x = mld_transpose(g, x, 3, (const int[]){0, 2, 1});
    x = mld_reshape(g, x, MLD_SHAPE(body->rows, body->width, h, w));
    struct mld_conv conv = {.groups = 1};
    mld_v kernel =
        head_param(ctx, head->out, "weight", MLD_SHAPE(out, body->width, 1, 1));
    mld_v bias = head_param(ctx, head->out, "bias", MLD_SHAPE(out));
    x = mld_conv(g, x, kernel, bias, &conv);
    x = mld_reshape(g, x, MLD_SHAPE(body->rows, c, stride, stride, h, w));
    x = mld_transpose(g, x, 6, (const int[]){0, 1, 4, 2, 5, 3});
    mld_graph_output(g, head->output,
                     mld_reshape(g, x, MLD_SHAPE(body->rows, c, h * stride, w * stride)));
}

/* [B * choices, ...] as [B, choices, ...] in a choices class. */
static mld_v unflatten(struct mld_arch_ctx *ctx, mld_v x)
{
    if (x == NULL || (ctx->cls->flags & MLD_CLASS_CHOICES) == 0)
        return x;
    struct mld_shape shape = {.rank = x->shape.rank + 1, .d = {ctx->batch, ctx->choices}};
    for (int i = 1; i < x->shape.rank; i++)
        shape.d[i + 1] = x->shape.d[i];
    return mld_reshape(ctx->g, x, shape);
}

/* [B * choices, 1] as [B, choices]. */
static mld_v one_per_choice(struct mld_arch_ctx *ctx, mld_v x)
{
    if (x != NULL && x->shape.d[1] != 1)
        return unflatten(ctx, x);
    return mld_reshape(ctx->g, x, MLD_SHAPE(ctx->batch, ctx->choices));
}

/* Columns 0 and 1 as start_logits and end_logits [rows, S]. */
static void span_outputs(struct mld_arch_ctx *ctx, const struct mld_body *body, mld_v x)
{
    mld_v parts[2] = {NULL, NULL};
    mld_split(ctx->g, x, 2, (const int64_t[]){1, 1}, 2, parts);
    struct mld_shape shape = MLD_SHAPE(body->rows, body->seq);
    mld_graph_output(ctx->g, "start_logits", mld_reshape(ctx->g, parts[0], shape));
    mld_graph_output(ctx->g, "end_logits", mld_reshape(ctx->g, parts[1], shape));
}

static mld_v build_head(struct mld_arch_ctx *ctx, const struct mld_body *body,
                        const struct mld_head *head)
{
    int64_t width = head->source == MLD_HEAD_POOLER ? body->pooled_width : body->width;
    mld_v x = source(ctx, body, head);
    if (head->source == MLD_HEAD_SUMMARY && x != NULL)
        width = x->shape.d[x->shape.rank - 1];
    x = transform(ctx, body, head, x, &width);
    if (head->out == NULL)
        return x;
    /* num_labels 0 means no classifier at all */
    if (head->width == MLD_HEAD_LABELS && head->form == MLD_HEAD_PLAIN &&
        body->grid[0] > 0 && mld_config_labels(&ctx->cfg) == 0)
        return x;
    return project(ctx, body, head, x, width, out_width(ctx, body, head));
}

void mld_heads_build(struct mld_arch_ctx *ctx, const struct mld_body *body)
{
    struct mld_graph *g = ctx->g;
    const struct mld_head *heads = ctx->cls->heads;
    if (heads[0].output == NULL) {
        mld_graph_output(g, "last_hidden_state", body->tokens);
        if (body->pooled != NULL)
            mld_graph_output(g, "pooler_output", body->pooled);
        return;
    }
    mld_v out[3] = {NULL, NULL, NULL};
    int n = 0;
    mld_graph_scope(g, "head");
    for (; n < 3 && heads[n].output != NULL; n++) {
        if (heads[n].form == MLD_HEAD_IMAGE)
            image_head(ctx, body, &heads[n]);
        else
            out[n] = build_head(ctx, body, &heads[n]);
    }
    if ((ctx->cls->flags & MLD_CLASS_MEAN) != 0) {
        mld_v sum = out[0];
        for (int i = 1; i < n; i++)
            sum = mld_add(g, sum, out[i]);
        mld_graph_output(g, "logits", mld_scale(g, sum, 1.0 / n));
    }
    for (int i = 0; i < n; i++) {
        switch (heads[i].form) {
        case MLD_HEAD_IMAGE:
            break;
        case MLD_HEAD_PLAIN:
            mld_graph_output(g, heads[i].output, unflatten(ctx, out[i]));
            break;
        case MLD_HEAD_SPAN:
            span_outputs(ctx, body, out[i]);
            break;
        case MLD_HEAD_CHOICES:
            mld_graph_output(g, heads[i].output, one_per_choice(ctx, out[i]));
            break;
        case MLD_HEAD_SQUEEZE:
            mld_graph_output(g, heads[i].output,
                             mld_reshape(g, out[i], MLD_SHAPE(body->rows, body->seq)));
            break;
        }
    }
    mld_graph_scope(g, NULL);
}
