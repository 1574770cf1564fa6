/* lower_ort.c: the fused operators of ONNX Runtime (domain com.microsoft).
 *
 * First a plan over the whole source: which linear, bias, activation, residual and norm
 * become one operator; then their emission. What has no exact fused form is left to the
 * standard one. Semantics: ORT's docs/ContribOperators.md. */
#include "graph/lower_int.h"

#include <float.h>
#include <stdio.h>
#include <string.h>

static bool is_linear(const struct mld_value *v)
{
    return v != NULL && v->node != NULL &&
           (v->node->op == MLD_OP_LINEAR || v->node->op == MLD_OP_LINEAR_IN_OUT);
}

static mld_v node(struct mld_graph *g, enum mld_op op, struct mld_value *const *in, int n,
                  const struct mld_attr *attrs)
{
    return mld_graph_node(g, op, in, n, attrs);
}

/* --- plan -------------------------------------------------------------------------- */

/* A linear whose result nobody but one node reads, not merged yet. */
static bool free_linear(const struct lower *l, const struct mld_value *v)
{
    return is_linear(v) && l->uses[v->id] == 1 && !l->plan[v->node->id].merged &&
           l->plan[v->node->id].act == NULL;
}

/* gelu_tanh adds the bias of the linear before it. */
static void plan_act(struct lower *l, const struct mld_node *n)
{
    const struct mld_value *y = n->in[0];
    if (!free_linear(l, y) || y->node->in_count < 3)
        return;
    l->plan[y->node->id].act = n;
    l->plan[n->id].merged = true;
}

/* r + linear(x): the product adds onto r. */
static void plan_add(struct lower *l, const struct mld_node *n)
{
    for (int i = 1; i >= 0; i--)
        if (free_linear(l, n->in[i]) && n->in[0] != n->in[1] &&
            mld_shape_eq(&n->in[i]->shape, &n->in[1 - i]->shape)) {
            l->plan[n->id].product = n->in[i]->node;
            l->plan[n->in[i]->node->id].merged = true;
            return;
        }
}

/* linear(c x) for a number c: the product scales. */
static void plan_scale(struct lower *l, const struct mld_node *n)
{
    const struct mld_value *y = n->in[0];
    const struct mld_node *mul = y->node;
    if (mul == NULL || mul->op != MLD_OP_MUL || l->uses[y->id] != 1 ||
        y->dtype != MLD_F32 || mul->in[1]->kind != MLD_VALUE_CONST ||
        mul->in[1]->shape.rank != 0)
        return;
    l->plan[n->id].scaled = mul;
    l->plan[mul->id].merged = true;
}

/* q, k, v from one activation by plain linears, or by one linear and a split. */
static const struct mld_node *split_source(const struct lower *l,
                                           const struct mld_node *n)
{
    const struct mld_node *split = n->in[0]->node;
    if (split == NULL || split->op != MLD_OP_SPLIT || split->out_count != 3 ||
        !is_linear(split->in[0]) || l->uses[split->in[0]->id] != 1)
        return NULL;
    for (int i = 0; i < 3; i++)
        if (n->in[i] != split->out[i] || l->uses[n->in[i]->id] != 1)
            return NULL;
    int64_t axis = mld_node_int(split, "axis", 0);
    return axis == -1 || axis == split->in[0]->shape.rank - 1 ? split : NULL;
}

static bool linears_pack(const struct lower *l, const struct mld_node *n)
{
    for (int i = 0; i < 3; i++) {
        const struct mld_value *v = n->in[i];
        if (!is_linear(v) || l->uses[v->id] != 1 ||
            v->node->in[0] != n->in[0]->node->in[0] ||
            v->node->in[1]->kind != MLD_VALUE_PARAM || l->tied[v->node->in[1]->id])
            return false;
        const struct mld_value *b = mld_lower_operand(v->node, 2);
        if (b != NULL && b->kind != MLD_VALUE_PARAM)
            return false;
    }
    return n->in[0]->shape.d[2] == n->in[1]->shape.d[2];
}

/* Forms that the fused attentions compute as the reference does. */
static bool plain_heads(const struct mld_node *n)
{
    return n->in_count <= 5 && mld_lower_operand(n, 4) == NULL &&
           mld_node_int(n, "heads", 1) == mld_node_int(n, "kv_heads", 1) &&
           !(mld_node_float(n, "softcap", 0) > 0);
}

static void plan_attention(struct lower *l, const struct mld_node *n)
{
    if (!plain_heads(n))
        return;
    const struct mld_node *split = split_source(l, n);
    if (split != NULL && split->in[0]->node->in[1]->kind == MLD_VALUE_PARAM) {
        const struct mld_node *scaled = l->plan[split->in[0]->node->id].scaled;
        if (scaled != NULL) /* the fused form has no room for it */
            l->plan[scaled->id].merged = false;
        l->plan[split->id].merged = true;
        l->plan[split->in[0]->node->id].merged = true;
        l->plan[n->id].packed = true;
    } else if (linears_pack(l, n)) {
        for (int i = 0; i < 3; i++)
            l->plan[n->in[i]->node->id].merged = true;
        l->plan[n->id].packed = true;
    }
}

void mld_lower_ort_plan(struct lower *l)
{
    for (size_t i = 0; i < l->src->node_count; i++) {
        const struct mld_node *n = l->src->nodes[i];
        if (!l->plan[i].live)
            continue;
        if (n->op == MLD_OP_LINEAR || n->op == MLD_OP_LINEAR_IN_OUT)
            plan_scale(l, n);
        else if (n->op == MLD_OP_GELU_TANH)
            plan_act(l, n);
        else if (n->op == MLD_OP_ADD)
            plan_add(l, n);
        else if (n->op == MLD_OP_ATTENTION)
            plan_attention(l, n);
    }
}

/* --- products and rows ------------------------------------------------------------- */

/* x and alpha of a linear, its scaling taken in. */
static mld_v rows_of(struct lower *l, const struct mld_node *n, double *alpha)
{
    const struct mld_node *mul = l->plan[n->id].scaled;
    *alpha = mul != NULL ? (double)*(const float *)mul->in[1]->data : 1;
    return mld_lower_flat(l, mul != NULL ? mul->in[0] : n->in[0]);
}

static bool emit_linear(struct lower *l, const struct mld_node *n)
{
    const struct mld_node *act = l->plan[n->id].act;
    double alpha;
    mld_v x = rows_of(l, n, &alpha), b = mld_lower_get(l, mld_lower_operand(n, 2));
    mld_v y = mld_lower_gemm(l, n, x, act == NULL ? b : NULL, alpha);
    if (act == NULL) {
        mld_lower_set_flat(l, n->out[0], y);
        return true;
    }
    struct mld_value *in[2] = {y, b};
    mld_lower_set_flat(l, act->out[0], node(l->g, MLD_OP_ORT_FAST_GELU, in, 2, NULL));
    return true;
}

/* r + (x w + b) as a product onto r + b: the engine's Gemm starts from its third operand,
 * so that no pass over the result is left. */
static bool emit_residual(struct lower *l, const struct mld_node *n)
{
    const struct mld_node *linear = l->plan[n->id].product;
    double alpha;
    mld_v x = rows_of(l, linear, &alpha);
    mld_v b = mld_lower_get(l, mld_lower_operand(linear, 2));
    mld_v r = mld_lower_flat(l, n->in[n->in[0] == linear->out[0] ? 1 : 0]);
    if (b != NULL)
        r = mld_add(l->g, r, b);
    mld_lower_set_flat(l, n->out[0], mld_lower_gemm(l, linear, x, r, alpha));
    return true;
}

/* Norms go over rows: on matrices, where the engine does not put a residual add and a
 * norm into its SkipLayerNormalization, which takes three times as long as both. */
static bool emit_norm(struct lower *l, const struct mld_node *n)
{
    enum mld_op op = n->op;
    if (op == MLD_OP_RMS_NORM) {
        if (l->target->opset < 23)
            return false;
        op = MLD_OP_ONNX_RMS_NORM;
    }
    struct mld_value *in[3] = {mld_lower_flat(l, n->in[0]), mld_lower_get(l, n->in[1]),
                               mld_lower_get(l, mld_lower_operand(n, 2))};
    const struct mld_attr attrs[] = {
        MLD_INT("axis", -1), MLD_FLOAT("epsilon", mld_node_float(n, "epsilon", 1e-5)),
        MLD_ATTR_END};
    mld_lower_set_flat(l, n->out[0], node(l->g, op, in, 3, attrs));
    return true;
}

/* Element-wise work stays on rows where an operand has them already: all operands have
 * the result's shape, or are one number, or one row. */
static bool emit_rows(struct lower *l, const struct mld_node *n)
{
    const struct mld_shape *to = &n->out[0]->shape;
    struct mld_value *in[2] = {0};
    bool rows = false;
    for (int i = 0; i < n->in_count; i++) {
        const struct mld_value *v = n->in[i];
        bool whole = mld_shape_eq(&v->shape, to);
        rows = rows || (whole && l->flat[v->id] != NULL);
        if (!whole && v->shape.rank > 1)
            return false;
    }
    if (!rows || to->rank < 2)
        return false;
    for (int i = 0; i < n->in_count; i++)
        in[i] = mld_shape_eq(&n->in[i]->shape, to) ? mld_lower_flat(l, n->in[i])
                                                   : mld_lower_get(l, n->in[i]);
    mld_lower_set_flat(l, n->out[0], node(l->g, n->op, in, n->in_count, NULL));
    return true;
}

/* [in, sum of out] of up to three weights side by side; with bias: [sum of out]. */
static mld_v packed(struct lower *l, const struct mld_node *n, bool bias)
{
    struct mld_piece pieces[3] = {0};
    int64_t width = 0, in = n->in[0]->node->in[0]->shape.d[2];
    const struct mld_param *any = NULL;
    for (int i = 0; i < 3; i++) {
        mld_v b = mld_lower_get(l, mld_lower_operand(n->in[i]->node, 2));
        if (b != NULL && (any == NULL || b->shape.d[0] > any->shape.d[0]))
            any = b->param;
    }
    if (bias && any == NULL)
        return NULL;
    for (int i = 0; i < 3; i++) {
        const struct mld_node *linear = n->in[i]->node;
        mld_v w = mld_lower_get(l, linear->in[1]);
        mld_v b = mld_lower_get(l, mld_lower_operand(linear, 2));
        bool turn = linear->op == MLD_OP_LINEAR;
        pieces[i].length = w->shape.d[turn ? 0 : 1];
        pieces[i].mul = 1;
        width += pieces[i].length;
        if (bias) { /* where one has none: zeros */
            pieces[i].param = b != NULL ? b->param : any;
            pieces[i].mul = b != NULL ? 1 : 0;
            pieces[i].stride[0] = b != NULL ? 1 : 0;
        } else {
            pieces[i].param = w->param;
            pieces[i].stride[0] = turn ? 1 : w->shape.d[1];
            pieces[i].stride[1] = turn ? in : 1;
        }
    }
    char name[320];
    snprintf(name, sizeof(name), "%s%sqkv.%s", n->scope != NULL ? n->scope : "",
             n->scope != NULL && n->scope[0] != '\0' ? "." : "",
             bias ? "bias" : "weight");
    return bias ? mld_graph_derived(l->g, name, MLD_SHAPE(width), 0, pieces, 3)
                : mld_graph_derived(l->g, name, MLD_SHAPE(in, width), 1, pieces, 3);
}

/* How the scores are masked: by raw key mask, by order, or by one sum of all. A key mask
 * together with an order has to be one mask, or keys masked twice would fall to -inf. */
struct masking {
    mld_v keys; /* i32 [B, T] */
    mld_v bias; /* f32, broadcast to [B, N, S, T] */
    bool causal;
};

static struct masking masking_of(struct lower *l, const struct mld_node *n)
{
    struct masking m = {0};
    const struct mld_value *mask = mld_lower_operand(n, 3),
                           *bias = mld_lower_operand(n, 4);
    bool causal = mld_node_int(n, "causal", 0) != 0 && n->in[0]->shape.d[1] > 1;
    bool window = mld_node_int(n, "window", 0) > 0;
    if (causal && !window && mask == NULL && bias == NULL &&
        n->in[0]->shape.d[1] == n->in[1]->shape.d[1]) {
        m.causal = true;
        return m;
    }
    bool split = mask != NULL && !causal && !window;
    m.bias = mld_lower_score_mask(l, n, !split, true);
    if (split)
        m.keys = mld_cast(l->g, mld_lower_get(l, mask), MLD_I32);
    if (m.bias != NULL && m.bias->shape.rank < 4) {
        struct mld_shape four = MLD_SHAPE(1, 1, 1, 1);
        int r = m.bias->shape.rank;
        for (int i = 0; i < r; i++)
            four.d[4 - r + i] = m.bias->shape.d[i];
        m.bias = mld_reshape(l->g, m.bias, four);
    }
    return m;
}

/* The operators broadcast a bias over batch and heads only. */
static mld_v whole_bias(struct lower *l, const struct mld_node *n, mld_v bias)
{
    if (bias == NULL)
        return NULL;
    return mld_expand(l->g, bias,
                      MLD_SHAPE(bias->shape.d[0], bias->shape.d[1], n->in[0]->shape.d[1],
                                n->in[1]->shape.d[1]));
}

static void emit_packed(struct lower *l, const struct mld_node *n)
{
    const struct mld_node *split = split_source(l, n);
    const struct mld_node *first = split != NULL ? split->in[0]->node : n->in[0]->node;
    struct masking m = masking_of(l, n);
    mld_v w, b;
    if (split != NULL) {
        w = mld_lower_get(l, first->in[1]);
        w = first->op == MLD_OP_LINEAR ? mld_lower_turned(l, w) : w;
        b = mld_lower_get(l, mld_lower_operand(first, 2));
    } else {
        w = packed(l, n, false);
        b = packed(l, n, true);
    }
    int64_t sizes[3];
    for (int i = 0; i < 3; i++)
        sizes[i] = n->in[i]->shape.d[2];
    struct mld_value *in[6] = {mld_lower_get(l, first->in[0]), w, b, m.keys, NULL,
                               whole_bias(l, n, m.bias)};
    struct mld_attr attrs[6] = {MLD_INT("num_heads", mld_node_int(n, "heads", 1)),
                                MLD_FLOAT("scale", mld_node_float(n, "scale", 1)),
                                MLD_FLOAT("mask_filter_value", -(double)FLT_MAX)};
    int count = 3;
    if (m.causal)
        attrs[count++] = MLD_INT("unidirectional", 1);
    if (sizes[0] != sizes[2])
        attrs[count++] = MLD_INTS("qkv_hidden_sizes", sizes, 3);
    attrs[count] = MLD_ATTR_END;
    mld_lower_set(l, n->out[0], node(l->g, MLD_OP_ORT_ATTENTION, in, 6, attrs));
}

static void emit_multi_head(struct lower *l, const struct mld_node *n)
{
    struct masking m = masking_of(l, n);
    struct mld_value *in[6] = {mld_lower_get(l, n->in[0]),
                               mld_lower_get(l, n->in[1]),
                               mld_lower_get(l, n->in[2]),
                               NULL,
                               m.keys,
                               whole_bias(l, n, m.bias)};
    struct mld_attr attrs[5] = {MLD_INT("num_heads", mld_node_int(n, "heads", 1)),
                                MLD_FLOAT("scale", mld_node_float(n, "scale", 1)),
                                MLD_FLOAT("mask_filter_value", -(double)FLT_MAX)};
    int count = 3;
    if (m.causal)
        attrs[count++] = MLD_INT("unidirectional", 1);
    attrs[count] = MLD_ATTR_END;
    mld_lower_set(l, n->out[0], node(l->g, MLD_OP_ORT_MULTI_HEAD, in, 6, attrs));
}

/* The engine takes several new tokens only when no row has a past. */
static bool starts_empty(const struct lower *l, const struct mld_node *n)
{
    if (n->in[0]->shape.d[1] == 1)
        return true;
    for (size_t i = 0; i < l->src->input_count; i++)
        if (l->src->inputs[i].value == n->in[7])
            return l->src->inputs[i].fill == MLD_FILL_ZEROS ||
                   (l->src->inputs[i].fill == MLD_FILL_VALUE &&
                    l->src->inputs[i].low == 0);
    return false;
}

static bool emit_group_query(struct lower *l, const struct mld_node *n)
{
    struct mld_graph *g = l->g;
    int64_t heads = mld_node_int(n, "heads", 1), kv = mld_node_int(n, "kv_heads", 1);
    int64_t fresh = n->in[0]->shape.d[1], head = n->in[0]->shape.d[2] / heads;
    if (n->in_count <= 5 || head % 8 != 0 ||
        n->in[1]->shape.d[2] != n->in[2]->shape.d[2] || !starts_empty(l, n))
        return false;
    int32_t grow = (int32_t)fresh, back = grow - 1;
    mld_v past = mld_lower_get(l, n->in[7]);
    mld_v last = mld_add(g, past, mld_graph_const(g, MLD_I32, MLD_SHAPE(1), &back));
    mld_v total = mld_add(g, mld_reduce_max(g, past, 0, true),
                          mld_graph_const(g, MLD_I32, MLD_SHAPE(1), &grow));
    struct mld_value *in[7] = {0};
    for (int i = 0; i < 3; i++)
        in[i] = mld_lower_get(l, n->in[i]);
    in[3] = mld_lower_get(l, n->in[5]);
    in[4] = mld_lower_get(l, n->in[6]);
    in[5] = last;
    in[6] = total;
    struct mld_attr attrs[8] = {MLD_INT("num_heads", heads), MLD_INT("kv_num_heads", kv),
                                MLD_FLOAT("scale", mld_node_float(n, "scale", 1))};
    int count = 3;
    int64_t window = mld_node_int(n, "window", 0);
    double cap = mld_node_float(n, "softcap", 0);
    if (window > 0)
        attrs[count++] = MLD_INT("local_window_size", window);
    if (cap > 0)
        attrs[count++] = MLD_FLOAT("softcap", cap);
    attrs[count++] = MLD_INT("_tokens", mld_node_int(n, "tokens", n->in[5]->shape.d[2]));
    attrs[count] = MLD_ATTR_END;
    mld_v y = node(g, MLD_OP_ORT_GROUP_QUERY, in, 7, attrs);
    for (int i = 0; i < 3; i++)
        mld_lower_set(l, n->out[i], mld_node_output(y, i));
    return true;
}

/* A bias, grouped heads or a cap: plain products are as fast as any fused form, and
 * exact.*/
static bool emit_attention(struct lower *l, const struct mld_node *n)
{
    if (l->plan[n->id].packed)
        emit_packed(l, n);
    else if (emit_group_query(l, n))
        return true;
    else if (plain_heads(n))
        emit_multi_head(l, n);
    else
        mld_lower_attention(l, n, true);
    return true;
}

/* Tables as [rows, R / 2], rows of a batch one after the other. */
static bool emit_rotary(struct lower *l, const struct mld_node *n)
{
    struct mld_graph *g = l->g;
    mld_v cos = mld_lower_get(l, n->in[1]), sin = mld_lower_get(l, n->in[2]);
    int64_t heads = mld_node_int(n, "heads", 1), rot = mld_node_int(n, "rotary_dim", 2);
    int64_t batch = n->in[0]->shape.d[0], tokens = n->in[0]->shape.d[1];
    if (cos == NULL || sin == NULL)
        return false;
    int64_t rows = cos->shape.rank == 3 ? cos->shape.d[0] : 1;
    mld_v ids;
    if (rows == 1) {
        int64_t zero = 0; /* one number: the first row of all */
        ids = mld_graph_const(g, MLD_I64, MLD_SHAPE(1), &zero);
    } else {
        int64_t *at = mld_arena_array(g->arena, (size_t)(batch * tokens), sizeof(*at));
        for (int64_t i = 0; at != NULL && i < batch * tokens; i++)
            at[i] = i;
        ids =
            at != NULL ? mld_graph_const(g, MLD_I64, MLD_SHAPE(batch, tokens), at) : NULL;
    }
    struct mld_shape table = MLD_SHAPE(rows * tokens, rot / 2);
    struct mld_value *in[4] = {mld_lower_get(l, n->in[0]), ids,
                               mld_reshape(g, cos, table), mld_reshape(g, sin, table)};
    bool part = rot < n->in[0]->shape.d[2] / heads;
    const struct mld_attr attrs[] = {
        MLD_INT("num_heads", heads), MLD_INT("rotary_embedding_dim", part ? rot : 0),
        MLD_INT("interleaved", mld_node_int(n, "interleaved", 0)), MLD_ATTR_END};
    mld_lower_set(l, n->out[0], node(g, MLD_OP_ORT_ROTARY, in, 4, attrs));
    return true;
}

static bool emit_act(struct lower *l, const struct mld_node *n)
{
    const struct mld_attr silu[] = {MLD_FLOAT("alpha", 1), MLD_ATTR_END};
    const struct mld_attr quick[] = {MLD_FLOAT("alpha", 1.702), MLD_ATTR_END};
    const struct mld_attr *attrs = NULL;
    enum mld_op op = MLD_OP_ORT_GELU;
    if (n->op == MLD_OP_GELU_TANH)
        op = MLD_OP_ORT_FAST_GELU;
    if (n->op == MLD_OP_SILU || n->op == MLD_OP_QUICK_GELU) {
        op = MLD_OP_ORT_QUICK_GELU;
        attrs = n->op == MLD_OP_SILU ? silu : quick;
    }
    bool rows = l->flat[n->in[0]->id] != NULL;
    struct mld_value *in[1] = {rows ? l->flat[n->in[0]->id] : mld_lower_get(l, n->in[0])};
    mld_v y = node(l->g, op, in, 1, attrs);
    if (rows)
        mld_lower_set_flat(l, n->out[0], y);
    else
        mld_lower_set(l, n->out[0], y);
    return true;
}

bool mld_lower_ort_emit(struct lower *l, const struct mld_node *n)
{
    switch ((int)n->op) {
    case MLD_OP_LINEAR:
    case MLD_OP_LINEAR_IN_OUT:
        return emit_linear(l, n);
    case MLD_OP_ADD:
        return l->plan[n->id].product != NULL ? emit_residual(l, n) : emit_rows(l, n);
    case MLD_OP_SUB:
    case MLD_OP_MUL:
    case MLD_OP_DIV:
    case MLD_OP_RELU:
    case MLD_OP_TANH:
    case MLD_OP_SIGMOID:
        return emit_rows(l, n);
    case MLD_OP_ATTENTION:
        return emit_attention(l, n);
    case MLD_OP_ROTARY:
        return emit_rotary(l, n);
    case MLD_OP_GELU:
    case MLD_OP_GELU_TANH:
    case MLD_OP_QUICK_GELU:
    case MLD_OP_SILU:
        return emit_act(l, n);
    case MLD_OP_LAYER_NORM:
    case MLD_OP_RMS_NORM:
        return emit_norm(l, n);
    default:
        return false;
    }
}
