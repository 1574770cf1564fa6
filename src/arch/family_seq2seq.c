/* family_seq2seq.c: encoder-decoders: two stacks over one word table, cross attention.
 *
 * T5's form: no added positions but a learnt bias of the scores by bucketed distance,
 * made once per stack and shared by its layers. */
#include "arch/family_seq2seq.h"

#include <math.h>
#include <string.h>

struct seq2seq {
    const struct mld_seq2seq_traits *t;
    struct mld_layer_dims d;
    int64_t vocab, encoder_layers, decoder_layers, decoder_seq;
    int64_t buckets, max_distance;
    mld_v word, ids, mask, decoder_ids, decoder_mask;
    const char *word_name;
};

/* --- config ------------------------------------------------------------------------- */

/* feed_forward_proj: "relu", "gated-gelu" ... A config may also hold what follows from
 * it. */
static void read_feed_forward(struct mld_arch_ctx *ctx, struct seq2seq *m)
{
    const struct mld_config *c = &ctx->cfg;
    const char *text = mld_config_str(c, "feed_forward_proj");
    const char *proj = text != NULL ? text : "relu";
    bool gated = mld_str_starts(proj, "gated-");
    const char *act = gated ? proj + strlen("gated-") : proj;
    if (strchr(act, '-') != NULL)
        mld_config_fail(c, "feed_forward_proj",
                        "an activation or gated-ACTIVATION is needed");
    if (strcmp(proj, "gated-gelu") == 0)
        act = "gelu_new";
    m->d.gated = mld_config_bool_or(c, "is_gated_act", gated);
    if (m->d.act != NULL) /* dense_act_fn, read with the dims */
        return;
    size_t n;
    const char *const *known = mld_activation_names(&n);
    for (size_t i = 0; i < n; i++) {
        if (strcmp(known[i], act) == 0)
            m->d.act = known[i];
    }
    if (m->d.act == NULL)
        mld_config_fail(c, "feed_forward_proj",
                        "no such activation, known are relu, gelu, "
                        "gated-gelu, gated-silu and others");
}

static void read_config(struct mld_arch_ctx *ctx, struct seq2seq *m)
{
    const struct mld_config *c = &ctx->cfg;
    m->vocab = mld_config_dim(c, "vocab_size");
    mld_layer_dims_read(ctx, &m->t->encoder.block, &m->d);
    m->d.scale = 1;
    read_feed_forward(ctx, m);
    m->encoder_layers = mld_arch_layers(ctx, "num_hidden_layers");
    m->decoder_layers = mld_config_int_or(c, "num_decoder_layers", 0,
                                          MLD_CONFIG_MAX_LAYERS, ctx->info->layers_full);
    if (ctx->req->layers > 0 && ctx->req->layers < m->decoder_layers)
        m->decoder_layers = ctx->req->layers;
    m->buckets = mld_config_int(c, "relative_attention_num_buckets", 4, 1 << 20);
    m->max_distance =
        mld_config_int(c, "relative_attention_max_distance", 2, MLD_CONFIG_MAX_DIM);
    if (m->max_distance <= m->buckets / 2)
        mld_config_fail(c, "relative_attention_max_distance",
                        "it must be over half of the buckets, %lld",
                        (long long)(m->buckets / 2));
}

/* --- inputs ------------------------------------------------------------------------- */

static bool encoder_only(const struct mld_arch_ctx *ctx)
{
    return (ctx->cls->flags & MLD_CLASS_ENCODER) != 0;
}

/* Rows and length of a token input: the requested one's, else the shapes'. */
static void token_shape(struct mld_arch_ctx *ctx, const char *name, int64_t *batch,
                        int64_t *seq)
{
    const struct mld_arch_input *given = mld_arch_requested(ctx, name);
    if (given != NULL && given->shape.rank == 2) {
        *batch = given->shape.d[0];
        *seq = given->shape.d[1];
    }
    if (*batch < 1 || *batch > 1 << 20 || *seq < 1 || *seq > 1 << 20)
        mld_graph_fail(ctx->g, MLD_E_INVALID,
                       "'%s' would be [%lld, %lld]: each from 1 to %d is possible", name,
                       (long long)*batch, (long long)*seq, 1 << 20);
}

/* decoder_input_ids where none are given: the ids moved right behind the start token. */
static mld_v shift_right(struct mld_arch_ctx *ctx, const struct seq2seq *m)
{
    const struct mld_config *c = &ctx->cfg;
    int64_t pad = mld_config_int_or(c, "pad_token_id", 0, MLD_CONFIG_MAX_DIM, 0);
    int64_t start =
        mld_config_int_or(c, "decoder_start_token_id", 0, MLD_CONFIG_MAX_DIM, pad);
    mld_v first =
        mld_arch_arange(ctx, MLD_I64, ctx->batch, start, 0, MLD_SHAPE(ctx->batch, 1));
    if (ctx->seq == 1)
        return first;
    mld_v parts[2] = {first, mld_slice(ctx->g, m->ids, 1, 0, ctx->seq - 1)};
    return mld_concat(ctx->g, parts, 2, 1);
}

static void make_inputs(struct mld_arch_ctx *ctx, struct seq2seq *m)
{
    const struct mld_arch_shapes *want = &ctx->req->shapes;
    int64_t low, high, batch;
    ctx->batch = want->batch > 0 ? want->batch : 1;
    ctx->seq = want->seq > 0 ? want->seq : 128;
    token_shape(ctx, "input_ids", &ctx->batch, &ctx->seq);
    batch = ctx->batch;
    if (mld_arch_failed(ctx))
        return;
    ctx->info->shapes.batch = ctx->batch;
    ctx->info->shapes.seq = ctx->seq;
    mld_arch_id_range(ctx, m->vocab, &low, &high);
    struct mld_shape shape = MLD_SHAPE(ctx->batch, ctx->seq);
    m->ids =
        mld_arch_input(ctx, "input_ids", MLD_I64, shape, MLD_FILL_IDS, low, high, true);
    m->mask =
        mld_arch_input(ctx, "attention_mask", MLD_I64, shape, MLD_FILL_ONES, 0, 0, true);
    if (m->ids == NULL && !mld_arch_failed(ctx))
        mld_graph_fail(ctx->g, MLD_E_INVALID, "the inputs of '%s' lack 'input_ids'",
                       ctx->cls->name);
    if (encoder_only(ctx))
        return;
    bool shift = (ctx->cls->flags & MLD_CLASS_SHIFT) != 0;
    bool given = mld_arch_requested(ctx, "decoder_input_ids") != NULL;
    m->decoder_seq = shift && !given         ? ctx->seq
                     : want->decoder_seq > 0 ? want->decoder_seq
                                             : 32;
    token_shape(ctx, "decoder_input_ids", &batch, &m->decoder_seq);
    shape = MLD_SHAPE(ctx->batch, m->decoder_seq);
    ctx->info->shapes.decoder_seq = m->decoder_seq;
    m->decoder_ids = mld_arch_input(ctx, "decoder_input_ids", MLD_I64, shape,
                                    MLD_FILL_IDS, low, high, !shift);
    m->decoder_mask = mld_arch_input(ctx, "decoder_attention_mask", MLD_I64, shape,
                                     MLD_FILL_ONES, 0, 0, false);
    if (m->decoder_ids == NULL && shift)
        m->decoder_ids = shift_right(ctx, m);
    else if (m->decoder_ids == NULL && !mld_arch_failed(ctx))
        mld_graph_fail(ctx->g, MLD_E_INVALID,
                       "the inputs of '%s' lack 'decoder_input_ids'", ctx->cls->name);
}

/* --- relative positions ------------------------------------------------------------- */

/* Bucket of a distance (key - query): exact near, logarithmic up to max_distance; in
 * float as the reference, since a bucket's border is a rounding. */
static int64_t bucket_of(int64_t distance, bool both_ways, int64_t buckets,
                         int64_t max_distance)
{
    int64_t base = 0;
    if (both_ways) {
        buckets /= 2;
        base = distance > 0 ? buckets : 0;
        distance = distance < 0 ? -distance : distance;
    } else {
        distance = distance < 0 ? -distance : 0;
    }
    int64_t exact = buckets / 2;
    if (distance < exact)
        return base + distance;
    float share = logf((float)distance / (float)exact) /
                  (float)log((double)max_distance / (double)exact);
    int64_t far = exact + (int64_t)(share * (float)(buckets - exact));
    return base + (far < buckets - 1 ? far : buckets - 1);
}

/* [1, heads, S, S] from the table of layer 0. */
static mld_v relative_bias(struct mld_arch_ctx *ctx, const struct seq2seq *m,
                           const struct mld_stack_traits *s, int64_t seq, bool both_ways)
{
    struct mld_graph *g = ctx->g;
    mld_v table = mld_arch_param(
        ctx, mld_arch_name(ctx, "%s.0.%s.weight", s->layer, s->relative_bias),
        MLD_SHAPE(m->buckets, m->d.heads));
    int64_t *ids =
        mld_arch_scratch(ctx, seq <= 1 << 14 ? seq * seq : INT64_MAX, sizeof *ids);
    if (ids == NULL)
        return NULL;
    for (int64_t q = 0; q < seq; q++) {
        for (int64_t k = 0; k < seq; k++)
            ids[q * seq + k] = bucket_of(k - q, both_ways, m->buckets, m->max_distance);
    }
    mld_v rows =
        mld_embedding(g, table, mld_graph_const(g, MLD_I64, MLD_SHAPE(seq, seq), ids));
    rows = mld_transpose(g, rows, 3, (const int[]){2, 0, 1});
    return mld_reshape(g, rows, MLD_SHAPE(1, m->d.heads, seq, seq));
}

/* --- stacks ------------------------------------------------------------------------- */

static mld_v run_stack(struct mld_arch_ctx *ctx, const struct seq2seq *m,
                       const struct mld_stack_traits *s, int64_t layers, int64_t seq,
                       struct mld_layer_call *call, mld_v ids)
{
    struct mld_layer_traits block = s->block;
    if (!m->d.gated) {
        block.gate = NULL;
        block.up = s->plain_up;
    }
    mld_graph_scope(ctx->g, "%s", s->layer);
    mld_graph_alias(ctx->g, mld_arch_name(ctx, "%s%s.weight", ctx->cls->prefix, s->embed),
                    m->word_name);
    mld_v x = mld_embedding(ctx->g, m->word, ids);
    for (int64_t i = 0; i < layers && !mld_arch_failed(ctx); i++) {
        struct mld_layer layer;
        const char *prefix = mld_arch_name(ctx, "%s.%lld", s->layer, (long long)i);
        mld_graph_scope(ctx->g, "%s", prefix);
        if (i == 0 && s->relative_bias != NULL)
            call->bias = relative_bias(ctx, m, s, seq, !call->causal);
        mld_layer_load(ctx, &block, &m->d, prefix, &layer);
        x = mld_layer_apply(ctx, &layer, call, x);
    }
    mld_graph_scope(ctx->g, "%s", s->layer);
    struct mld_weights norm = mld_load_norm(ctx, s->final_norm, block.norm, m->d.width);
    return mld_apply_norm(ctx, block.norm, x, norm, m->d.eps);
}

void mld_family_seq2seq(struct mld_arch_ctx *ctx)
{
    struct mld_graph *g = ctx->g;
    struct seq2seq model = {.t = ctx->row->traits}, *m = &model;
    read_config(ctx, m);
    if (!mld_arch_failed(ctx))
        make_inputs(ctx, m);
    if (mld_arch_failed(ctx))
        return;
    const char *word = mld_arch_name(ctx, "%s.weight", m->t->word);
    m->word_name = mld_arch_name(ctx, "%s%s", ctx->cls->prefix, word);
    m->word = mld_arch_param(ctx, word, MLD_SHAPE(m->vocab, m->d.width));

    struct mld_layer_call call = {.key_mask = m->mask};
    mld_v memory =
        run_stack(ctx, m, &m->t->encoder, m->encoder_layers, ctx->seq, &call, m->ids);
    mld_v x = memory;
    struct mld_body body = {.rows = ctx->batch,
                            .seq = ctx->seq,
                            .ids = m->ids,
                            .width = m->d.width,
                            .word = m->word,
                            .word_name = m->word_name,
                            .vocab = m->vocab,
                            .embed_width = m->d.width};
    if (!encoder_only(ctx)) {
        call = (struct mld_layer_call){.key_mask = m->decoder_mask,
                                       .causal = true,
                                       .memory = memory,
                                       .memory_mask = m->mask};
        x = run_stack(ctx, m, &m->t->decoder, m->decoder_layers, m->decoder_seq, &call,
                      m->decoder_ids);
        body.seq = m->decoder_seq;
    }
    bool scaled = mld_config_bool_or(&ctx->cfg, "scale_decoder_outputs",
                                     mld_config_bool_or(&ctx->cfg, "tie_as_given", true));
    if ((ctx->cls->flags & MLD_CLASS_SCALED) != 0 && scaled)
        x = mld_scale(g, x, 1 / sqrt((double)m->d.width));
    body.tokens = x;
    mld_heads_build(ctx, &body);
    if (!encoder_only(ctx))
        mld_graph_output(g, "encoder_last_hidden_state", memory);
}
