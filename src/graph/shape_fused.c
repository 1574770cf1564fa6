/* shape_fused.c: dtypes and shapes of semantic operators (linear, attention, rotary) and
 * of ONNX Runtime's fused ones.
 *
 * Letters: B batch, S queries, T keys, H hidden size, N heads, M key/value heads, D size
 * of a head, E size of a value head, C capacity of a cache. */
#include "graph/op_rules.h"

static struct mld_value *operand(const struct mld_node *n, int i)
{
    return i < n->in_count ? n->in[i] : NULL;
}

/* --- linear ------------------------------------------------------------------------ */

static int linear(const struct mld_node *n, int in_axis, struct mld_op_result *out,
                  struct mld_error *err)
{
    const struct mld_value *x = n->in[0], *w = n->in[1], *b = operand(n, 2);
    int last = x->shape.rank - 1;
    if (x->dtype != w->dtype || w->shape.rank != 2 || last < 0 ||
        x->shape.d[last] != w->shape.d[in_axis])
        return mld_rule_differ(x, w, err);
    int64_t width = w->shape.d[1 - in_axis];
    if (b != NULL &&
        (b->dtype != x->dtype || b->shape.rank != 1 || b->shape.d[0] != width))
        return mld_rule_differ(w, b, err);
    struct mld_shape s = x->shape;
    s.d[last] = width;
    return mld_rule_result(out, x->dtype, s);
}

int mld_shape_linear(const struct mld_node *n, struct mld_op_result *out,
                     struct mld_error *err)
{
    return linear(n, 1, out, err);
}

int mld_shape_linear_in_out(const struct mld_node *n, struct mld_op_result *out,
                            struct mld_error *err)
{
    return linear(n, 0, out, err);
}

/* --- attention --------------------------------------------------------------------- */

/* bias must broadcast to [B, N, S, T]. */
static bool bias_fits(const struct mld_value *bias, int64_t batch, int64_t heads,
                      int64_t queries, int64_t keys)
{
    const int64_t full[4] = {batch, heads, queries, keys};
    const struct mld_shape *s = &bias->shape;
    if (s->rank > 4)
        return false;
    for (int i = 0; i < s->rank; i++)
        if (s->d[i] != 1 && s->d[i] != full[4 - s->rank + i])
            return false;
    return true;
}

/* past_k and past_v [B, M, C, D or E], past_length i32 [B]; all or none. */
static int past_fits(const struct mld_node *n, int64_t batch, int64_t kv_heads,
                     int64_t head, int64_t value_head, struct mld_error *err)
{
    const struct mld_value *pk = operand(n, 5), *pv = operand(n, 6), *pl = operand(n, 7);
    if (pk == NULL || pv == NULL || pl == NULL)
        return mld_error_set(err, MLD_E_INVALID,
                             "a cache needs past_k, past_v and past_length");
    struct mld_shape wk = MLD_SHAPE(batch, kv_heads, pk->shape.d[2], head);
    struct mld_shape wv = MLD_SHAPE(batch, kv_heads, pk->shape.d[2], value_head);
    if (!mld_shape_eq(&wk, &pk->shape) || pk->dtype != n->in[1]->dtype)
        return mld_rule_differ(n->in[1], pk, err);
    if (!mld_shape_eq(&wv, &pv->shape) || pv->dtype != n->in[2]->dtype)
        return mld_rule_differ(n->in[2], pv, err);
    if (pl->dtype != MLD_I32 || pl->shape.rank != 1 || pl->shape.d[0] != batch)
        return mld_rule_wrong(pl, "i32 [batch]", err);
    if (n->in[1]->shape.d[1] > pk->shape.d[2])
        return mld_rule_differ(n->in[1], pk, err);
    if (operand(n, 3) != NULL || operand(n, 4) != NULL)
        return mld_error_set(
            err, MLD_E_INVALID,
            "with a cache, past_length is the mask: no key_mask or bias");
    return 0;
}

int mld_shape_attention(const struct mld_node *n, struct mld_op_result *out,
                        struct mld_error *err)
{
    const struct mld_value *q = n->in[0], *k = n->in[1], *v = n->in[2];
    const struct mld_value *mask = operand(n, 3), *bias = operand(n, 4);
    int64_t heads = mld_node_int(n, "heads", 0),
            kv_heads = mld_node_int(n, "kv_heads", 0);
    for (int i = 0; i < 3; i++)
        if (n->in[i]->shape.rank != 3 || n->in[i]->dtype != q->dtype)
            return mld_rule_wrong(n->in[i], "[batch, tokens, heads * size]", err);
    int64_t batch = q->shape.d[0], keys = k->shape.d[1];
    if (heads < 1 || kv_heads < 1 || heads % kv_heads != 0)
        return mld_error_set(err, MLD_E_INVALID,
                             "%lld heads cannot share %lld key/value heads",
                             (long long)heads, (long long)kv_heads);
    if (q->shape.d[2] % heads != 0 || k->shape.d[2] % kv_heads != 0 ||
        q->shape.d[2] / heads != k->shape.d[2] / kv_heads || k->shape.d[0] != batch)
        return mld_rule_differ(q, k, err);
    if (v->shape.d[2] % kv_heads != 0 || v->shape.d[0] != batch || v->shape.d[1] != keys)
        return mld_rule_differ(k, v, err);
    if (mask != NULL && (mask->dtype != MLD_I64 || mask->shape.rank != 2 ||
                         mask->shape.d[0] != batch || mask->shape.d[1] != keys))
        return mld_rule_wrong(mask, "a key mask i64 [batch, keys]", err);
    if (bias != NULL &&
        (bias->dtype != q->dtype || !bias_fits(bias, batch, heads, q->shape.d[1], keys)))
        return mld_rule_wrong(
            bias, "a bias that broadcasts to [batch, heads, queries, keys]", err);
    int64_t head = q->shape.d[2] / heads, value_head = v->shape.d[2] / kv_heads;
    mld_rule_result(out, q->dtype, MLD_SHAPE(batch, q->shape.d[1], heads * value_head));
    if (n->in_count <= 5)
        return 0;
    MLD_TRY(past_fits(n, batch, kv_heads, head, value_head, err));
    if (q->shape.d[1] != keys)
        return mld_rule_differ(q, k, err);
    out->count = 3;
    for (int i = 1; i < 3; i++)
        out->out[i] = (struct mld_op_output){
            .present = true, .dtype = q->dtype, .shape = n->in[4 + i]->shape};
    return 0;
}

/* x [B, S, heads * D]; cos, sin [1 or B, S, R / 2] or [S, R / 2] */
int mld_shape_rotary(const struct mld_node *n, struct mld_op_result *out,
                     struct mld_error *err)
{
    const struct mld_value *x = n->in[0], *cos = n->in[1], *sin = n->in[2];
    int64_t heads = mld_node_int(n, "heads", 0), rot = mld_node_int(n, "rotary_dim", 0);
    if (x->shape.rank != 3 || heads < 1 || x->shape.d[2] % heads != 0)
        return mld_rule_wrong(x, "[batch, tokens, heads * size]", err);
    int64_t head = x->shape.d[2] / heads;
    if (rot < 2 || rot > head || rot % 2 != 0)
        return mld_error_set(err, MLD_E_INVALID,
                             "cannot turn %lld of %lld values of a head", (long long)rot,
                             (long long)head);
    int r = cos->shape.rank;
    if (cos->dtype != x->dtype || sin->dtype != x->dtype ||
        !mld_shape_eq(&cos->shape, &sin->shape) || r < 2 || r > 3 ||
        cos->shape.d[r - 1] != rot / 2 || cos->shape.d[r - 2] != x->shape.d[1] ||
        (r == 3 && cos->shape.d[0] != 1 && cos->shape.d[0] != x->shape.d[0]))
        return mld_rule_differ(x, cos, err);
    return mld_rule_result(out, x->dtype, x->shape);
}

/* --- ONNX Runtime ------------------------------------------------------------------ */

int mld_shape_ort_attention(const struct mld_node *n, struct mld_op_result *out,
                            struct mld_error *err)
{
    const struct mld_value *x = n->in[0], *w = n->in[1], *b = operand(n, 2);
    int64_t heads = mld_node_int(n, "num_heads", 0);
    const struct mld_attr *sizes = mld_node_attr(n, "qkv_hidden_sizes");
    if (x->shape.rank != 3 || w->shape.rank != 2 || x->shape.d[2] != w->shape.d[0] ||
        heads < 1 || (sizes == NULL && w->shape.d[1] % (3 * heads) != 0))
        return mld_rule_differ(x, w, err);
    if (b != NULL && (b->shape.rank != 1 || b->shape.d[0] != w->shape.d[1]))
        return mld_rule_differ(w, b, err);
    int64_t width =
        sizes != NULL && sizes->ints_count == 3 ? sizes->ints[2] : w->shape.d[1] / 3;
    return mld_rule_result(out, x->dtype, MLD_SHAPE(x->shape.d[0], x->shape.d[1], width));
}

int mld_shape_ort_multi_head(const struct mld_node *n, struct mld_op_result *out,
                             struct mld_error *err)
{
    const struct mld_value *q = n->in[0], *k = operand(n, 1), *v = operand(n, 2);
    int64_t heads = mld_node_int(n, "num_heads", 0);
    if (k == NULL || v == NULL || q->shape.rank != 3 || k->shape.rank != 3 ||
        v->shape.rank != 3 || heads < 1 || q->shape.d[2] % heads != 0 ||
        v->shape.d[2] % heads != 0)
        return mld_rule_wrong(q, "q, k, v [batch, tokens, heads * size]", err);
    if (k->shape.d[0] != q->shape.d[0] || k->shape.d[2] != q->shape.d[2])
        return mld_rule_differ(q, k, err);
    if (v->shape.d[0] != k->shape.d[0] || v->shape.d[1] != k->shape.d[1])
        return mld_rule_differ(k, v, err);
    return mld_rule_result(out, q->dtype,
                           MLD_SHAPE(q->shape.d[0], q->shape.d[1], v->shape.d[2]));
}

int mld_shape_ort_group_query(const struct mld_node *n, struct mld_op_result *out,
                              struct mld_error *err)
{
    const struct mld_value *q = n->in[0], *k = n->in[1], *v = n->in[2];
    int64_t heads = mld_node_int(n, "num_heads", 0);
    int64_t kv_heads = mld_node_int(n, "kv_num_heads", 0);
    if (q->shape.rank != 3 || heads < 1 || kv_heads < 1 || q->shape.d[2] % heads != 0 ||
        k->shape.d[2] != q->shape.d[2] / heads * kv_heads ||
        !mld_shape_eq(&k->shape, &v->shape))
        return mld_rule_differ(q, k, err);
    mld_rule_result(out, q->dtype, q->shape);
    out->count = 3;
    for (int i = 1; i < 3; i++) {
        if (n->in[2 + i] == NULL)
            return mld_error_set(err, MLD_E_INVALID, "operand %d is missing", 2 + i);
        out->out[i] = (struct mld_op_output){
            .present = true, .dtype = q->dtype, .shape = n->in[2 + i]->shape};
    }
    return 0;
}

int mld_shape_ort_bias_gelu(const struct mld_node *n, struct mld_op_result *out,
                            struct mld_error *err)
{
    const struct mld_value *x = n->in[0], *b = operand(n, 1);
    if (x->shape.rank < 1)
        return mld_rule_wrong(x, "at least one dimension", err);
    if (b != NULL && (b->dtype != x->dtype || b->shape.rank != 1 ||
                      b->shape.d[0] != x->shape.d[x->shape.rank - 1]))
        return mld_rule_differ(x, b, err);
    return mld_rule_result(out, x->dtype, x->shape);
}

/* x, position_ids i64 [1] or [B, S], cos and sin caches [rows, R / 2] */
int mld_shape_ort_rotary(const struct mld_node *n, struct mld_op_result *out,
                         struct mld_error *err)
{
    const struct mld_value *x = n->in[0], *ids = n->in[1], *cos = n->in[2];
    if (x->shape.rank != 3)
        return mld_rule_wrong(x, "[batch, tokens, heads * size]", err);
    if (ids->dtype != MLD_I64)
        return mld_rule_wrong(ids, "i64 position ids", err);
    if (cos->shape.rank != 2 || !mld_shape_eq(&cos->shape, &n->in[3]->shape))
        return mld_rule_differ(cos, n->in[3], err);
    return mld_rule_result(out, x->dtype, x->shape);
}

/* Two stacks of matrices with the same leading dimensions. */
int mld_shape_ort_fused_matmul(const struct mld_node *n, struct mld_op_result *out,
                               struct mld_error *err)
{
    const struct mld_value *a = n->in[0], *b = n->in[1];
    int r = a->shape.rank;
    bool turn = mld_node_int(n, "transB", 0) != 0;
    struct mld_shape s = a->shape;
    if (a->dtype != b->dtype || r < 2 || b->shape.rank != r)
        return mld_rule_differ(a, b, err);
    for (int i = 0; i < r - 2; i++)
        if (a->shape.d[i] != b->shape.d[i])
            return mld_rule_differ(a, b, err);
    if (a->shape.d[r - 1] != b->shape.d[turn ? r - 1 : r - 2])
        return mld_rule_differ(a, b, err);
    s.d[r - 1] = b->shape.d[turn ? r - 2 : r - 1];
    return mld_rule_result(out, a->dtype, s);
}
