/* lower_attention.c: attention as matrix products, for any mask, heads and cache.
 *
 * Letters as in shape_fused.c; G = N / M query heads share a key/value head. Their
 * queries are stacked along S, so that keys are never repeated. */
#include "graph/lower_int.h"

#include <float.h>
#include <math.h>

/* 0, 1, ... n - 1 as i64 along dimension `at` of four. */
static mld_v places(struct lower *l, int64_t n, int at)
{
    struct mld_shape s = MLD_SHAPE(1, 1, 1, 1);
    int64_t *x = mld_arena_array(l->g->arena, (size_t)n, sizeof(*x));
    if (x == NULL)
        return mld_graph_fail(l->g, MLD_E_NO_MEMORY, "out of memory lowering attention");
    for (int64_t i = 0; i < n; i++)
        x[i] = i;
    s.d[at] = n;
    return mld_graph_const(l->g, MLD_I64, s, x);
}

/* true -> 0, false -> the lowest float. */
static mld_v penalty(struct lower *l, mld_v allowed)
{
    return mld_where(l->g, allowed, mld_graph_const_f32(l->g, 0),
                     mld_graph_const_f32(l->g, -(double)FLT_MAX));
}

#define STORED_PAIRS (INT64_C(1) << 20) /* a larger order is computed by the engine */

/* Whether query s sees key t by order alone, [1, 1, S, T], computed: for long inputs. */
static mld_v order_computed(struct lower *l, int64_t queries, int64_t keys,
                            int64_t window, bool causal)
{
    struct mld_graph *g = l->g;
    int64_t shift = keys - queries, edge = shift - window;
    mld_v at = places(l, queries, 2), key = places(l, keys, 3), seen = NULL;
    if (causal)
        seen = mld_less_equal(
            g, key, mld_add(g, at, mld_graph_const(g, MLD_I64, MLD_SCALAR, &shift)));
    if (window > 0) {
        mld_v near = mld_add(g, at, mld_graph_const(g, MLD_I64, MLD_SCALAR, &edge));
        near = mld_less(g, near, key);
        seen = seen != NULL ? mld_and(g, seen, near) : near;
    }
    return seen;
}

/* The same as a constant where it is small. */
static mld_v order_of(struct lower *l, int64_t queries, int64_t keys, int64_t window,
                      bool causal)
{
    if (queries > STORED_PAIRS / keys)
        return order_computed(l, queries, keys, window, causal);
    uint8_t *seen = mld_arena_array(l->g->arena, (size_t)(queries * keys), 1);
    if (seen == NULL)
        return mld_graph_fail(l->g, MLD_E_NO_MEMORY, "out of memory lowering attention");
    for (int64_t s = 0; s < queries; s++)
        for (int64_t t = 0; t < keys; t++) {
            int64_t back = s + keys - queries - t; /* how far the key lies behind */
            seen[s * keys + t] = (!causal || back >= 0) && (window == 0 || back < window);
        }
    return mld_graph_const(l->g, MLD_BOOL, MLD_SHAPE(1, 1, queries, keys), seen);
}

/* The same as floats to add, ready-made where it is a constant. */
static mld_v order_penalty(struct lower *l, mld_v order)
{
    if (order->kind != MLD_VALUE_CONST)
        return penalty(l, order);
    int64_t count = mld_shape_count(&order->shape);
    float *add = mld_arena_array(l->g->arena, (size_t)count, sizeof(*add));
    if (add == NULL)
        return mld_graph_fail(l->g, MLD_E_NO_MEMORY, "out of memory lowering attention");
    for (int64_t i = 0; i < count; i++)
        add[i] = ((const uint8_t *)order->data)[i] ? 0.0f : -FLT_MAX;
    return mld_graph_const(l->g, MLD_F32, order->shape, add);
}

mld_v mld_lower_score_mask(struct lower *l, const struct mld_node *n, bool with_keys,
                           bool with_bias)
{
    struct mld_graph *g = l->g;
    const struct mld_shape *q = &n->in[0]->shape, *k = &n->in[1]->shape;
    mld_v keys = with_keys ? mld_lower_get(l, mld_lower_operand(n, 3)) : NULL;
    mld_v bias = with_bias ? mld_lower_get(l, mld_lower_operand(n, 4)) : NULL;
    mld_v mask = NULL;
    int64_t window = mld_node_int(n, "window", 0);
    bool causal = mld_node_int(n, "causal", 0) != 0;
    mld_v order = (causal && q->d[1] > 1) || window > 0
                      ? order_of(l, q->d[1], k->d[1], window, causal)
                      : NULL;
    if (keys != NULL) {
        mld_v seen = mld_reshape(g, mld_cast(g, keys, MLD_BOOL),
                                 MLD_SHAPE(k->d[0], 1, 1, k->d[1]));
        mask = penalty(l, order != NULL ? mld_and(g, seen, order) : seen);
    } else if (order != NULL) {
        mask = order_penalty(l, order);
    }
    if (bias != NULL && mask != NULL)
        return mld_add(g, bias, mask);
    return bias != NULL ? bias : mask;
}

/* --- cache ------------------------------------------------------------------------- */

/* Position of each new token, i64 [B, 1, S, 1]. */
static mld_v new_places(struct lower *l, mld_v past_length, int64_t batch, int64_t fresh)
{
    mld_v past = mld_cast(l->g, past_length, MLD_I64);
    past = mld_reshape(l->g, past, MLD_SHAPE(batch, 1, 1, 1));
    return mld_add(l->g, past, places(l, fresh, 2));
}

/* Key t of the buffer is seen by new token s: t <= place(s), and within the window. */
static mld_v cache_mask(struct lower *l, mld_v place, int64_t capacity, int64_t window)
{
    struct mld_graph *g = l->g;
    mld_v at = places(l, capacity, 3);
    mld_v seen = mld_less_equal(g, at, place);
    if (window > 0) {
        int64_t w = window;
        mld_v edge = mld_sub(g, place, mld_graph_const(g, MLD_I64, MLD_SCALAR, &w));
        seen = mld_and(g, seen, mld_less(g, edge, at));
    }
    return penalty(l, seen);
}

/* Writes x [B, M, S, D] into the buffer [B, M, C, D] at these places. */
static mld_v cache_write(struct lower *l, mld_v buffer, mld_v x, mld_v place)
{
    struct mld_graph *g = l->g;
    if (buffer == NULL || x == NULL || place == NULL)
        return NULL;
    int64_t batch = x->shape.d[0], heads = x->shape.d[1], fresh = x->shape.d[2];
    struct mld_shape all = MLD_SHAPE(batch, heads, fresh, 1);
    mld_v parts[3] = {mld_expand(g, places(l, batch, 0), all),
                      mld_expand(g, places(l, heads, 1), all), mld_expand(g, place, all)};
    struct mld_value *in[3] = {buffer, mld_concat(g, parts, 3, 3), x};
    return mld_graph_node(g, MLD_OP_SCATTER_ND, in, 3, NULL);
}

/* --- the whole --------------------------------------------------------------------- */

/* [B, S, heads, D] of a source value [B, S, heads * D], from its rows where they are. */
static mld_v cut_heads(struct lower *l, const struct mld_value *v, int64_t heads)
{
    const struct mld_shape *s = &v->shape;
    mld_v x = l->flat[v->id] != NULL ? l->flat[v->id] : mld_lower_get(l, v);
    return mld_reshape(l->g, x, MLD_SHAPE(s->d[0], s->d[1], heads, s->d[2] / heads));
}

/* [B, heads, S, D]. */
static mld_v to_heads(struct lower *l, const struct mld_value *v, int64_t heads)
{
    return mld_transpose(l->g, cut_heads(l, v, heads), 4, (const int[]){0, 2, 1, 3});
}

/* cap tanh((scores + bias) / cap): with a cap, the bias comes before it. */
static mld_v softcapped(struct mld_graph *g, mld_v scores, mld_v bias, double cap)
{
    if (!(cap > 0))
        return scores;
    if (bias != NULL)
        scores = mld_add(g, scores, bias);
    return mld_scale(g, mld_tanh(g, mld_scale(g, scores, 1 / cap)), cap);
}

/* Scores [B, N, S, T] of queries [B, M, G S, D] and keys. */
static mld_v scores_of(struct lower *l, mld_v q, mld_v k, bool fused, double scale)
{
    if (!fused)
        return mld_matmul(l->g, q, k);
    struct mld_value *in[2] = {q, k};
    const struct mld_attr attrs[] = {MLD_INT("transB", 1), MLD_FLOAT("alpha", scale),
                                     MLD_ATTR_END};
    return mld_graph_node(l->g, MLD_OP_ORT_FUSED_MATMUL, in, 2, attrs);
}

/* Keys [B, M, T, D], or [B, M, D, T] for a plain product; with a cache, after writing. */
static mld_v keys_of(struct lower *l, const struct mld_node *n, mld_v place, int64_t kv,
                     bool fused)
{
    struct mld_graph *g = l->g;
    if (place == NULL) {
        const int *perm = fused ? (const int[]){0, 2, 1, 3} : (const int[]){0, 2, 3, 1};
        return mld_transpose(g, cut_heads(l, n->in[1], kv), 4, perm);
    }
    mld_v k = to_heads(l, n->in[1], kv);
    k = cache_write(l, mld_lower_get(l, n->in[5]), k, place);
    mld_lower_set(l, n->out[1], k);
    return fused ? k : mld_transpose(g, k, 4, (const int[]){0, 1, 3, 2});
}

void mld_lower_attention(struct lower *l, const struct mld_node *n, bool fused)
{
    struct mld_graph *g = l->g;
    const struct mld_shape *q_shape = &n->in[0]->shape;
    int64_t heads = mld_node_int(n, "heads", 1), kv = mld_node_int(n, "kv_heads", heads);
    int64_t batch = q_shape->d[0], queries = q_shape->d[1], group = heads / kv;
    int64_t head = q_shape->d[2] / heads, value_head = n->in[2]->shape.d[2] / kv;
    bool cached = n->in_count > 5;
    int64_t keys = cached ? n->in[5]->shape.d[2] : n->in[1]->shape.d[1];
    double scale = mld_node_float(n, "scale", 1), cap = mld_node_float(n, "softcap", 0);
    mld_v place =
        cached ? new_places(l, mld_lower_get(l, n->in[7]), batch, queries) : NULL;
    mld_v q = to_heads(l, n->in[0], heads); /* [B, N, S, D] */
    if (!fused)
        q = mld_scale(g, q, scale);
    if (group > 1) /* heads of a group are neighbours: stack them along S */
        q = mld_reshape(g, q, MLD_SHAPE(batch, kv, group * queries, head));
    mld_v k = keys_of(l, n, place, kv, fused);
    mld_v v = to_heads(l, n->in[2], kv), mask; /* [B, M, T, E] */
    if (cached) {
        v = cache_write(l, mld_lower_get(l, n->in[6]), v, place);
        mld_lower_set(l, n->out[2], v);
        mask = cache_mask(l, place, keys, mld_node_int(n, "window", 0));
    } else {
        mask = mld_lower_score_mask(l, n, true, !(cap > 0));
    }
    mld_v y = scores_of(l, q, k, fused, scale);
    if (group > 1)
        y = mld_reshape(g, y, MLD_SHAPE(batch, heads, queries, keys));
    y = softcapped(g, y, mld_lower_get(l, mld_lower_operand(n, 4)), cap);
    if (mask != NULL)
        y = mld_add(g, y, mask);
    y = mld_softmax(g, y, -1);
    if (group > 1)
        y = mld_reshape(g, y, MLD_SHAPE(batch, kv, group * queries, keys));
    y = mld_matmul(g, y, v); /* [B, M, G S, E] */
    if (group > 1)
        y = mld_reshape(g, y, MLD_SHAPE(batch, heads, queries, value_head));
    y = mld_transpose(g, y, 4, (const int[]){0, 2, 1, 3});
    if (fused)
        mld_lower_set_flat(
            l, n->out[0],
            mld_reshape(g, y, MLD_SHAPE(batch * queries, heads * value_head)));
    else
        mld_lower_set(l, n->out[0], mld_reshape(g, y, n->out[0]->shape));
}
