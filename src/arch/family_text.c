/* family_text.c: text encoders and decoders: embeddings, a stack of layers, heads.
 *
 * One builder for BERT-like encoders and GPT- or Llama-like decoders; what differs is in
 * struct mld_text_traits. Decoders also build with a KV cache (prefill, decode). */
#include "arch/family_text.h"

#include <math.h>
#include <string.h>

#include "arch/rope.h"

struct text {
    const struct mld_text_traits *t;
    struct mld_layer_dims d;
    struct mld_rope rope;
    int64_t vocab, embed_width, layers, max_position;
    bool causal;
    const char *word_name;
    mld_v word, ids, embeds, mask, types, position_ids;
    mld_v cos, sin;
    mld_v prompt_length; /* prefill: [B] i32 */
};

/* --- shapes and inputs -------------------------------------------------------------- */

static int64_t capped(struct mld_arch_ctx *ctx, const char *what, int64_t x, int64_t max)
{
    if (x < 1 || x > max) {
        mld_graph_fail(ctx->g, MLD_E_INVALID, "'%s' is %lld: from 1 to %lld is possible",
                       what, (long long)x, (long long)max);
        return 1;
    }
    return x;
}

static void read_shapes(struct mld_arch_ctx *ctx, struct text *m)
{
    const struct mld_arch_shapes *want = &ctx->req->shapes;
    const struct mld_arch_input *given = mld_arch_requested(ctx, "input_ids");
    const struct mld_arch_input *embeds = mld_arch_requested(ctx, "inputs_embeds");
    bool choices = (ctx->cls->flags & MLD_CLASS_CHOICES) != 0;
    int rank = choices ? 3 : 2;
    ctx->batch = want->batch > 0 ? want->batch : 1;
    ctx->choices = choices ? 2 : 1;
    ctx->seq = want->seq > 0 ? want->seq : (m->t->causal ? 256 : 128);
    if (given == NULL)
        given = embeds;
    if (given != NULL) {
        if (given->shape.rank != rank + (given == embeds)) {
            mld_graph_fail(ctx->g, MLD_E_INVALID,
                           "input '%s' of '%s' needs %d dimensions", given->name,
                           ctx->cls->name, rank + (given == embeds));
            return;
        }
        ctx->batch = given->shape.d[0];
        ctx->choices = choices ? given->shape.d[1] : 1;
        ctx->seq = given->shape.d[rank - 1];
    } else if (want->seq <= 0 && m->max_position > 0 && ctx->seq > m->max_position) {
        ctx->seq = m->max_position; /* a default never exceeds the table */
    }
    ctx->batch = capped(ctx, "batch", ctx->batch, 1 << 20);
    ctx->choices = capped(ctx, "choices", ctx->choices, 1 << 10);
    ctx->seq = capped(ctx, "seq", ctx->seq, 1 << 20);
}

/* With a cache: `seq` is the prompt (prefill) or what the cache holds (decode). */
static void read_cache_shapes(struct mld_arch_ctx *ctx, int64_t max_position)
{
    const struct mld_arch_shapes *want = &ctx->req->shapes;
    bool prefill = ctx->req->mode == MLD_MODE_PREFILL;
    bool given = mld_arch_requested(ctx, "input_ids") != NULL;
    int64_t held = prefill ? 0 : given && want->seq > 0 ? want->seq : ctx->seq;
    int64_t fresh = prefill || given ? ctx->seq : 1;
    if (!given && want->new_tokens > 0)
        fresh = capped(ctx, "new_tokens", want->new_tokens, 1 << 20);
    ctx->cache.capacity =
        want->capacity > 0 ? want->capacity : (prefill ? fresh : held) + 64;
    if (want->capacity <= 0 && max_position > 0 && ctx->cache.capacity > max_position &&
        held + fresh <= max_position)
        ctx->cache.capacity = max_position; /* a default never exceeds the table */
    ctx->cache.capacity = capped(ctx, "capacity", ctx->cache.capacity, 1 << 24);
    int64_t needed = held + fresh;
    if (needed > ctx->cache.capacity)
        mld_graph_fail(ctx->g, MLD_E_INVALID,
                       "'capacity' is %lld: the cache must hold %lld tokens",
                       (long long)ctx->cache.capacity, (long long)needed);
    ctx->info->shapes.capacity = ctx->cache.capacity;
    ctx->info->shapes.new_tokens = fresh;
    ctx->info->shapes.seq = prefill ? fresh : held;
    ctx->cache.held = held;
    ctx->seq = fresh;
}

static void make_cache_inputs(struct mld_arch_ctx *ctx, struct text *m)
{
    struct mld_shape rows = MLD_SHAPE(ctx->batch);
    bool prefill = ctx->req->mode == MLD_MODE_PREFILL;
    ctx->cache.past_length =
        mld_graph_input(ctx->g, "past_length", MLD_I32, rows,
                        prefill ? MLD_FILL_ZEROS : MLD_FILL_VALUE, ctx->cache.held, 0);
    if (prefill)
        m->prompt_length = mld_graph_input(ctx->g, "prompt_length", MLD_I32, rows,
                                           MLD_FILL_VALUE, ctx->seq, 0);
}

/* Inputs of a choices class are [B, choices, S]; the body sees [B * choices, S]. */
static struct mld_shape token_shape(const struct mld_arch_ctx *ctx)
{
    if ((ctx->cls->flags & MLD_CLASS_CHOICES) != 0)
        return MLD_SHAPE(ctx->batch, ctx->choices, ctx->seq);
    return MLD_SHAPE(ctx->batch, ctx->seq);
}

static void make_inputs(struct mld_arch_ctx *ctx, struct text *m)
{
    int64_t low, high;
    bool cached = ctx->req->mode != MLD_MODE_FORWARD;
    mld_arch_id_range(ctx, m->vocab, &low, &high);
    m->ids = mld_arch_input(ctx, "input_ids", MLD_I64, token_shape(ctx), MLD_FILL_IDS,
                            low, high, true);
    m->ids = mld_arch_flatten_choices(ctx, m->ids);
    if (m->ids == NULL && !cached && ctx->choices == 1)
        m->embeds = mld_arch_input(ctx, "inputs_embeds", MLD_F32,
                                   MLD_SHAPE(ctx->batch, ctx->seq, m->embed_width),
                                   MLD_FILL_UNIFORM, 0, 0, false);
    if (m->ids == NULL && m->embeds == NULL && !mld_arch_failed(ctx))
        mld_graph_fail(ctx->g, MLD_E_INVALID, "the inputs of '%s' lack 'input_ids'",
                       ctx->cls->name);
    if (cached) {
        make_cache_inputs(ctx, m);
        return;
    }
    m->mask = mld_arch_flatten_choices(ctx, mld_arch_input(ctx, "attention_mask", MLD_I64,
                                                           token_shape(ctx),
                                                           MLD_FILL_ONES, 0, 0, true));
    if (m->t->type != NULL || m->t->type_from_word) {
        bool many = m->t->type != NULL && mld_config_int(&ctx->cfg, "type_vocab_size", 0,
                                                         MLD_CONFIG_MAX_DIM) > 1;
        m->types = mld_arch_flatten_choices(
            ctx, mld_arch_input(ctx, "token_type_ids", MLD_I64, token_shape(ctx),
                                MLD_FILL_ZEROS, 0, 0,
                                many && m->t->positions == MLD_POSITIONS_LEARNED));
    }
    struct mld_shape shape = token_shape(ctx);
    if (ctx->choices == 1)
        shape.d[0] = -1; /* one row for all is allowed */
    m->position_ids =
        mld_arch_flatten_choices(ctx, mld_arch_input(ctx, "position_ids", MLD_I64, shape,
                                                     MLD_FILL_ZEROS, 0, 0, false));
}

/* --- embeddings --------------------------------------------------------------------- */

static int64_t pad_id(struct mld_arch_ctx *ctx)
{
    return mld_config_int(&ctx->cfg, "pad_token_id", 0, MLD_CONFIG_MAX_DIM);
}

/* Longest position that this build reaches, against the table. */
static void check_positions(struct mld_arch_ctx *ctx, const struct text *m, int64_t used)
{
    if (used > m->max_position)
        mld_graph_fail(
            ctx->g, MLD_E_INVALID,
            "%lld positions are needed, config: 'max_position_embeddings' is %lld",
            (long long)used, (long long)m->max_position);
}

/* Positions past_length + 0 ... S - 1 of each row: [B, S] i32. */
static mld_v cached_positions(struct mld_arch_ctx *ctx)
{
    mld_v start = mld_reshape(ctx->g, ctx->cache.past_length, MLD_SHAPE(ctx->batch, 1));
    mld_v step = mld_arch_arange(ctx, MLD_I32, ctx->seq, 0, 1, MLD_SHAPE(1, ctx->seq));
    return mld_add(ctx->g, start, step);
}

static mld_v learned_positions(struct mld_arch_ctx *ctx, struct text *m)
{
    struct mld_graph *g = ctx->g;
    mld_v table = mld_arch_param(ctx, mld_arch_name(ctx, "%s.weight", m->t->position),
                                 MLD_SHAPE(m->max_position, m->embed_width));
    if (m->position_ids != NULL)
        return mld_embedding(g, table, m->position_ids);
    if (ctx->cache.past_length != NULL) {
        check_positions(ctx, m, ctx->cache.capacity);
        return mld_embedding(g, table, cached_positions(ctx));
    }
    int64_t first = 0;
    if (m->t->positions == MLD_POSITIONS_AFTER_PAD) {
        first = pad_id(ctx) + 1;
        check_positions(ctx, m, ctx->seq + first);
    }
    if (m->t->positions == MLD_POSITIONS_AFTER_PAD && m->ids != NULL) {
        int64_t pad = first - 1;
        mld_v id = mld_graph_const_i64(g, 1, &pad);
        mld_v real = mld_cast(g, mld_not(g, mld_equal(g, m->ids, id)), MLD_I64);
        mld_v at = mld_mul(g, mld_cumsum(g, real, 1), real);
        return mld_embedding(g, table, mld_add(g, at, id));
    }
    check_positions(ctx, m, ctx->seq + first);
    mld_v rows = mld_slice(g, table, 0, first, first + ctx->seq);
    return mld_reshape(g, rows, MLD_SHAPE(1, ctx->seq, m->embed_width));
}

static mld_v embeddings(struct mld_arch_ctx *ctx, struct text *m)
{
    struct mld_graph *g = ctx->g;
    const struct mld_text_traits *t = m->t;
    mld_graph_scope(g, "embeddings");
    m->word_name = mld_arch_name(ctx, "%s%s.weight", ctx->cls->prefix, t->word);
    m->word = mld_arch_param(ctx, mld_arch_name(ctx, "%s.weight", t->word),
                             MLD_SHAPE(m->vocab, m->embed_width));
    mld_v x = m->ids != NULL ? mld_embedding(g, m->word, m->ids) : m->embeds;
    if (t->type != NULL) {
        int64_t kinds =
            mld_config_int(&ctx->cfg, "type_vocab_size", 1, MLD_CONFIG_MAX_DIM);
        mld_v table = mld_arch_param(ctx, mld_arch_name(ctx, "%s.weight", t->type),
                                     MLD_SHAPE(kinds, m->embed_width));
        x = mld_add(g, x,
                    m->types != NULL ? mld_embedding(g, table, m->types)
                                     : mld_reshape(g, mld_slice(g, table, 0, 0, 1),
                                                   MLD_SHAPE(1, 1, m->embed_width)));
    }
    if (t->positions != MLD_POSITIONS_NONE)
        x = mld_add(g, x, learned_positions(ctx, m));
    if (t->type_from_word && m->types != NULL)
        x = mld_add(g, x, mld_embedding(g, m->word, m->types));
    if (t->embed_norm != NULL) {
        struct mld_weights n =
            mld_load_norm(ctx, t->embed_norm, t->block.norm, m->embed_width);
        x = mld_apply_norm(ctx, t->block.norm, x, n, m->d.eps);
    }
    if (t->embed_proj != NULL && (t->embed_proj_always || m->embed_width != m->d.width)) {
        struct mld_weights w =
            mld_load_linear(ctx, t->embed_proj, m->embed_width, m->d.width, true, false);
        x = mld_linear(g, x, w.w, w.b);
    } else if (m->embed_width != m->d.width) {
        mld_config_fail(&ctx->cfg, "embedding_size", "it must equal 'hidden_size'");
    }
    return x;
}

/* Do the frequencies depend on how long the input is? */
static bool follows_length(const struct mld_rope *r)
{
    return r->type == MLD_ROPE_DYNAMIC || r->type == MLD_ROPE_LONGROPE;
}

static void rotary(struct mld_arch_ctx *ctx, struct text *m)
{
    mld_rope_read(ctx, m->d.head_dim, m->t->rotary_partial, &m->rope);
    if (mld_arch_failed(ctx))
        return;
    mld_graph_scope(ctx->g, "rotary");
    if (ctx->cache.past_length != NULL) {
        mld_v cos, sin, at = cached_positions(ctx);
        bool prefill = ctx->req->mode == MLD_MODE_PREFILL;
        struct mld_rope rope = m->rope;
        /* A prompt beyond the trained length is rotated as a whole, as the reference
         * does. */
        bool grown = prefill && follows_length(&rope);
        mld_rope_table(ctx, &rope, grown ? ctx->seq : ctx->cache.capacity, !grown, &cos,
                       &sin);
        if (grown) {
            m->cos = cos;
            m->sin = sin;
            return;
        }
        m->cos = mld_gather(ctx->g, cos, at, 0);
        m->sin = mld_gather(ctx->g, sin, at, 0);
    } else if (m->position_ids != NULL && follows_length(&m->rope)) {
        mld_graph_fail(ctx->g, MLD_E_UNSUPPORTED,
                       "'%s' takes no 'position_ids' with a rope type of dynamic or "
                       "longrope: their content would change the frequencies",
                       ctx->cls->name);
    } else if (m->position_ids != NULL) {
        mld_rope_positions(ctx, &m->rope, m->position_ids, &m->cos, &m->sin);
    } else {
        mld_rope_table(ctx, &m->rope, ctx->seq, false, &m->cos, &m->sin);
    }
}

/* --- layers ------------------------------------------------------------------------- */

/* Window of layer i; 0: the whole past. */
static int64_t window_of(struct mld_arch_ctx *ctx, const struct text *m, int64_t i)
{
    const struct mld_config *c = &ctx->cfg;
    if (m->t->windows == MLD_WINDOWS_NONE)
        return 0;
    int64_t window = mld_config_int_or(c, "sliding_window", 1, MLD_CONFIG_MAX_DIM, 0);
    if (m->t->windows == MLD_WINDOWS_ALL)
        return window;
    if (!mld_config_bool_or(c, "use_sliding_window", false))
        window = 0;
    const struct mld_json *types = mld_config_find(c, "layer_types");
    if (!mld_json_is(types, MLD_JSON_ARRAY))
        return i >= mld_config_int(c, "max_window_layers", 0, MLD_CONFIG_MAX_DIM) ? window
                                                                                  : 0;
    const char *type = mld_json_str(mld_json_at(types, (size_t)i), NULL);
    if (type != NULL && strcmp(type, "full_attention") == 0)
        return 0;
    if (type == NULL || strcmp(type, "sliding_attention") != 0)
        mld_config_fail(
            c, "layer_types",
            "one 'full_attention' or 'sliding_attention' per layer is needed");
    else if (window == 0)
        mld_config_fail(
            c, "layer_types",
            "'sliding_attention' needs 'sliding_window' and 'use_sliding_window'");
    return window;
}

/* GPT-2's two switches for the scale of the scores. */
static double scale_of(struct mld_arch_ctx *ctx, const struct text *m, int64_t i)
{
    const struct mld_config *c = &ctx->cfg;
    bool plain = mld_config_bool_or(c, "scale_attn_weights", true);
    bool inverse = mld_config_bool_or(c, "scale_attn_by_inverse_layer_idx", false);
    if (plain && !inverse)
        return 0;
    double scale = plain ? 1 / sqrt((double)m->d.head_dim) : 1;
    return inverse ? scale / (double)(i + 1) : scale;
}

/* Shared layers: group g's inner layer j, loaded once. Layer i runs group i * G / N. */
static mld_v grouped_stack(struct mld_arch_ctx *ctx, struct text *m,
                           struct mld_layer_call *call, mld_v x)
{
    int64_t groups =
        mld_config_int(&ctx->cfg, "num_hidden_groups", 1, MLD_CONFIG_MAX_LAYERS);
    int64_t inner =
        mld_config_int(&ctx->cfg, "inner_group_num", 0, MLD_CONFIG_MAX_LAYERS);
    if (groups * inner > MLD_CONFIG_MAX_LAYERS ||
        m->layers * inner > MLD_CONFIG_MAX_LAYERS) {
        mld_config_fail(&ctx->cfg, "inner_group_num", "more than %d layers in all",
                        MLD_CONFIG_MAX_LAYERS);
        return x;
    }
    struct mld_layer *all = mld_arch_scratch(ctx, groups * inner + 1, sizeof *all);
    if (all == NULL)
        return x;
    for (int64_t k = 0; k < groups * inner && !mld_arch_failed(ctx); k++)
        mld_layer_load(ctx, &m->t->block, &m->d,
                       mld_arch_name(ctx, "%s.%lld.%s.%lld", m->t->layer,
                                     (long long)(k / inner), m->t->group,
                                     (long long)(k % inner)),
                       &all[k]);
    for (int64_t i = 0; i < m->layers && !mld_arch_failed(ctx); i++) {
        int64_t group = (int64_t)((double)i / ((double)m->layers / (double)groups));
        for (int64_t j = 0; j < inner; j++) {
            mld_graph_scope(ctx->g, "layer.%lld.%lld", (long long)i, (long long)j);
            x = mld_layer_apply(ctx, &all[group * inner + j], call, x);
        }
    }
    return x;
}

static mld_v stack(struct mld_arch_ctx *ctx, struct text *m, mld_v x)
{
    struct mld_layer_call call = {.key_mask = m->mask,
                                  .cos = m->cos,
                                  .sin = m->sin,
                                  .rotary_dim = m->rope.dim,
                                  .causal = m->causal};
    if (m->t->group != NULL)
        return grouped_stack(ctx, m, &call, x);
    for (int64_t i = 0; i < m->layers && !mld_arch_failed(ctx); i++) {
        struct mld_layer layer;
        const char *prefix = mld_arch_name(ctx, "%s.%lld", m->t->layer, (long long)i);
        mld_graph_scope(ctx->g, "%s", prefix);
        mld_layer_load(ctx, &m->t->block, &m->d, prefix, &layer);
        call.index = i;
        call.window = window_of(ctx, m, i);
        call.scale = scale_of(ctx, m, i);
        x = mld_layer_apply(ctx, &layer, &call, x);
    }
    return x;
}

/* --- the family --------------------------------------------------------------------- */

static void read_config(struct mld_arch_ctx *ctx, struct text *m)
{
    const struct mld_config *c = &ctx->cfg;
    m->vocab = mld_config_dim(c, "vocab_size");
    mld_layer_dims_read(ctx, &m->t->block, &m->d);
    m->layers = mld_arch_layers(ctx, "num_hidden_layers");
    m->embed_width =
        mld_config_int_or(c, "embedding_size", 1, MLD_CONFIG_MAX_DIM, m->d.width);
    m->max_position = m->t->positions == MLD_POSITIONS_NONE
                          ? 0
                          : mld_config_dim(c, "max_position_embeddings");
    /* ALBERT's and DistilBERT's configurations have no such field: nothing reads it. */
    bool known = mld_json_get(c->defaults, "is_decoder") != NULL;
    m->causal = m->t->causal || (known && mld_config_bool_or(c, "is_decoder", false));
    if (mld_config_bool_or(c, "add_cross_attention", false))
        mld_config_fail(c, "add_cross_attention",
                        "'%s' is built without cross attention, false is needed",
                        ctx->row->type.model_type);
    const struct mld_json *types = mld_config_find(c, "layer_types");
    if (m->t->windows == MLD_WINDOWS_TYPES && mld_json_is(types, MLD_JSON_ARRAY) &&
        (int64_t)mld_json_count(types) != ctx->info->layers_full)
        mld_config_fail(c, "layer_types", "%lld entries are needed, one per layer",
                        (long long)ctx->info->layers_full);
    if (ctx->req->mode != MLD_MODE_FORWARD) {
        ctx->cache.cap = 2 * m->layers;
        ctx->cache.present = mld_arch_scratch(ctx, ctx->cache.cap, sizeof(mld_v));
    }
}

void mld_family_text(struct mld_arch_ctx *ctx)
{
    struct mld_graph *g = ctx->g;
    struct text model = {.t = ctx->row->traits}, *m = &model;
    read_config(ctx, m);
    read_shapes(ctx, m);
    if (mld_arch_failed(ctx))
        return;
    ctx->info->shapes.batch = ctx->batch;
    ctx->info->shapes.seq = ctx->seq;
    if (ctx->req->mode != MLD_MODE_FORWARD)
        read_cache_shapes(ctx, m->max_position);
    make_inputs(ctx, m);
    if (m->t->rotary)
        rotary(ctx, m);
    mld_v x = embeddings(ctx, m);
    x = stack(ctx, m, x);
    if (mld_arch_failed(ctx))
        return;
    mld_graph_scope(g, "final");
    int64_t seq = ctx->seq;
    if (m->prompt_length != NULL) {
        /* only each prompt's last real token goes on */
        mld_v one = mld_arch_arange(ctx, MLD_I32, 1, 1, 1, MLD_SHAPE(1));
        mld_v last = mld_take_token(ctx, x, mld_sub(g, m->prompt_length, one));
        x = mld_reshape(g, last, MLD_SHAPE(ctx->batch, 1, m->d.width));
        seq = 1;
    }
    if (m->t->final_norm != NULL) {
        struct mld_weights n =
            mld_load_norm(ctx, m->t->final_norm, m->t->block.norm, m->d.width);
        x = mld_apply_norm(ctx, m->t->block.norm, x, n, m->d.eps);
    }
    struct mld_body body = {.tokens = x,
                            .ids = seq == ctx->seq ? m->ids : NULL,
                            .rows = ctx->batch * ctx->choices,
                            .seq = seq,
                            .width = m->d.width,
                            .pooled_width = m->d.width,
                            .word = m->word,
                            .word_name = m->word_name,
                            .vocab = m->vocab,
                            .embed_width = m->embed_width};
    if (m->t->pooler != NULL && (ctx->cls->flags & MLD_CLASS_POOLER) != 0) {
        struct mld_weights w =
            mld_load_linear(ctx, m->t->pooler, m->d.width, m->d.width, true, false);
        mld_v first =
            mld_reshape(g, mld_slice(g, x, 1, 0, 1), MLD_SHAPE(body.rows, m->d.width));
        body.pooled = mld_tanh(g, mld_linear(g, first, w.w, w.b));
    }
    mld_heads_build(ctx, &body);
}
