/* graph_sample.h: small semantic graphs for the tests of src/graph. */
#ifndef MLD_TESTS_GRAPH_SAMPLE_H
#define MLD_TESTS_GRAPH_SAMPLE_H

#include "graph/build.h"

/* x w^T + b with parameters NAME.weight [out, in] and NAME.bias [out]. */
static inline mld_v sample_linear(struct mld_graph *g, mld_v x, const char *name,
                                  int64_t out)
{
    char *w = mld_arena_printf(g->arena, "%s.weight", name);
    char *b = mld_arena_printf(g->arena, "%s.bias", name);
    int64_t in = x != NULL ? x->shape.d[x->shape.rank - 1] : 1;
    return mld_linear(g, x, mld_graph_param(g, w, MLD_SHAPE(out, in)),
                      mld_graph_param(g, b, MLD_SHAPE(out)));
}

static inline mld_v sample_norm(struct mld_graph *g, mld_v x, const char *name)
{
    char *w = mld_arena_printf(g->arena, "%s.weight", name);
    char *b = mld_arena_printf(g->arena, "%s.bias", name);
    int64_t h = x != NULL ? x->shape.d[x->shape.rank - 1] : 1;
    return mld_layer_norm(g, x, mld_graph_param(g, w, MLD_SHAPE(h)),
                          mld_graph_param(g, b, MLD_SHAPE(h)), 1e-12);
}

/* A one-layer text encoder: B = 2, S = 3, H = 8, 2 heads, 16 inner, 11 words. */
static inline struct mld_graph *sample_encoder(struct mld_arena *arena)
{
    struct mld_graph *g = mld_graph_new(arena, "encoder");
    mld_v ids =
        mld_graph_input(g, "input_ids", MLD_I64, MLD_SHAPE(2, 3), MLD_FILL_IDS, 0, 11);
    mld_v mask = mld_graph_input(g, "attention_mask", MLD_I64, MLD_SHAPE(2, 3),
                                 MLD_FILL_ONES, 0, 0);
    const int64_t places[3] = {0, 1, 2};
    mld_graph_scope(g, "embeddings");
    mld_v words = mld_graph_param(g, "words.weight", MLD_SHAPE(11, 8));
    mld_v table = mld_graph_param(g, "positions.weight", MLD_SHAPE(5, 8));
    mld_v x = mld_embedding(g, words, ids); /* one call a line: arguments have no order */
    mld_v place = mld_graph_const(g, MLD_I64, MLD_SHAPE(1, 3), places);
    x = mld_add(g, x, mld_embedding(g, table, place));
    x = sample_norm(g, x, "norm");
    mld_graph_scope(g, "layer.%d.attention", 0);
    const struct mld_attention p = {.heads = 2, .key_mask = mask};
    mld_v q = sample_linear(g, x, "query", 8);
    mld_v k = sample_linear(g, x, "key", 8);
    mld_v v = sample_linear(g, x, "value", 8);
    mld_v y = sample_linear(g, mld_attention(g, q, k, v, &p), "out", 8);
    x = sample_norm(g, mld_add(g, y, x), "attention_norm");
    mld_graph_scope(g, "layer.%d", 0);
    y = mld_gelu(g, sample_linear(g, x, "up", 16));
    y = sample_linear(g, y, "down", 8);
    x = sample_norm(g, mld_add(g, y, x), "output_norm");
    mld_graph_scope(g, NULL);
    mld_graph_output(g, "last_hidden_state", x);
    return g;
}

#endif
