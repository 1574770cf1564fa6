/* build.c: the builders of the semantic form.
 *
 * Each is one node, or a handful where an activation is a formula; dtypes, shapes and
 * faults are the rules' business. */
#include "graph/build.h"

#include "base/str.h"
#include "graph/op_rules.h"

#include <math.h>
#include <string.h>

static mld_v node(struct mld_graph *g, enum mld_op op, mld_v a, mld_v b, mld_v c,
                  const struct mld_attr *attrs)
{
    struct mld_value *in[3] = {a, b, c};
    return mld_graph_node(g, op, in, 3, attrs);
}

static mld_v ints(struct mld_graph *g, int n, const int64_t *x)
{
    return mld_graph_const_i64(g, n, x);
}

/* --- products ---------------------------------------------------------------------- */

mld_v mld_linear(struct mld_graph *g, mld_v x, mld_v w, mld_v b)
{
    return node(g, MLD_OP_LINEAR, x, w, b, NULL);
}

mld_v mld_linear_in_out(struct mld_graph *g, mld_v x, mld_v w, mld_v b)
{
    return node(g, MLD_OP_LINEAR_IN_OUT, x, w, b, NULL);
}

mld_v mld_matmul(struct mld_graph *g, mld_v a, mld_v b)
{
    return node(g, MLD_OP_MATMUL, a, b, NULL, NULL);
}

mld_v mld_conv(struct mld_graph *g, mld_v x, mld_v w, mld_v b, const struct mld_conv *p)
{
    static const struct mld_conv plain;
    if (x == NULL || w == NULL)
        return node(g, MLD_OP_CONV, x, w, b, NULL);
    int n = x->shape.rank - 2;
    if (n < 1 || n > 3)
        return mld_graph_fail(g, MLD_E_INVALID, "conv: '%s' has rank %d, wanted 3 to 5",
                              x->name, x->shape.rank);
    if (p == NULL)
        p = &plain;
    int64_t strides[3], pads[6], dilations[3];
    for (int i = 0; i < n; i++) {
        strides[i] = p->stride[i] == 0 ? 1 : p->stride[i];
        dilations[i] = p->dilation[i] == 0 ? 1 : p->dilation[i];
        pads[i] = p->pad[i];
        pads[i + n] = p->pad[i];
    }
    const struct mld_attr attrs[] = {
        MLD_INTS("strides", strides, n), MLD_INTS("pads", pads, 2 * n),
        MLD_INTS("dilations", dilations, n),
        MLD_INT("group", p->groups == 0 ? 1 : p->groups), MLD_ATTR_END};
    return node(g, MLD_OP_CONV, x, w, b, attrs);
}

/* --- element-wise ------------------------------------------------------------------ */

#define BINARY(name, op)                                                                 \
    mld_v mld_##name(struct mld_graph *g, mld_v a, mld_v b)                              \
    {                                                                                    \
        return node(g, MLD_OP_##op, a, b, NULL, NULL);                                   \
    }
BINARY(add, ADD)
BINARY(sub, SUB)
BINARY(mul, MUL)
BINARY(div, DIV)
BINARY(pow, POW)
BINARY(min, MIN)
BINARY(max, MAX)
BINARY(less, LESS)
BINARY(less_equal, LESS_EQUAL)
BINARY(equal, EQUAL)
BINARY(and, AND)
BINARY(or, OR)

#define UNARY(name, op)                                                                  \
    mld_v mld_##name(struct mld_graph *g, mld_v a)                                       \
    {                                                                                    \
        return node(g, MLD_OP_##op, a, NULL, NULL, NULL);                                \
    }
UNARY(not, NOT)
UNARY(neg, NEG)
UNARY(abs, ABS)
UNARY(exp, EXP)
UNARY(ln, LOG)
UNARY(sqrt, SQRT)
UNARY(sin, SIN)
UNARY(cos, COS)
UNARY(tanh, TANH)
UNARY(sigmoid, SIGMOID)
UNARY(softplus, SOFTPLUS)
UNARY(erf, ERF)
UNARY(relu, RELU)
UNARY(silu, SILU)
UNARY(gelu, GELU)
UNARY(gelu_tanh, GELU_TANH)
UNARY(quick_gelu, QUICK_GELU)

mld_v mld_where(struct mld_graph *g, mld_v cond, mld_v a, mld_v b)
{
    return node(g, MLD_OP_WHERE, cond, a, b, NULL);
}

/* A scalar of a's type. */
static mld_v scalar(struct mld_graph *g, mld_v a, double x)
{
    mld_v c = mld_graph_const_f32(g, x);
    return a == NULL || a->dtype == MLD_F32 ? c : mld_cast(g, c, a->dtype);
}

mld_v mld_scale(struct mld_graph *g, mld_v a, double factor)
{
    return factor < 1 || factor > 1 ? mld_mul(g, a, scalar(g, a, factor)) : a;
}

/* --- activations by name ----------------------------------------------------------- */

static mld_v act_linear(struct mld_graph *g, mld_v a)
{
    (void)g;
    return a;
}

static mld_v act_relu2(struct mld_graph *g, mld_v a)
{
    mld_v r = mld_relu(g, a);
    return mld_mul(g, r, r);
}

static mld_v clip(struct mld_graph *g, mld_v a, double low, double high)
{
    a = mld_max(g, a, scalar(g, a, low));
    return mld_min(g, a, scalar(g, a, high));
}

static mld_v act_relu6(struct mld_graph *g, mld_v a)
{
    return clip(g, a, 0, 6);
}

static mld_v act_gelu_10(struct mld_graph *g, mld_v a)
{
    return clip(g, mld_gelu(g, a), -10, 10);
}

static mld_v act_leaky_relu(struct mld_graph *g, mld_v a) /* slope 0.01 */
{
    return mld_max(g, a, mld_scale(g, a, 0.01));
}

static mld_v act_mish(struct mld_graph *g, mld_v a)
{
    return mld_mul(g, a, mld_tanh(g, mld_softplus(g, a)));
}

/* (1 + erf((x - mu) / (sigma sqrt 2))) / 2, mu = sqrt(1/2), sigma = sqrt(1/(4 pi)):
 * MEGA's approximation of relu squared. */
static mld_v act_laplace(struct mld_graph *g, mld_v a)
{
    mld_v z = mld_sub(g, a, scalar(g, a, 0.707107));
    z = mld_erf(g, mld_div(g, z, scalar(g, a, 0.282095 * sqrt(2.0))));
    return mld_scale(g, mld_add(g, z, scalar(g, a, 1)), 0.5);
}

/* Names and meanings: transformers, activations.py, ACT2FN. */
static const struct {
    const char *name;
    mld_v (*build)(struct mld_graph *g, mld_v a);
} activations[] = {
    {"gelu", mld_gelu},
    {"gelu_10", act_gelu_10},
    {"gelu_accurate", mld_gelu_tanh},
    {"gelu_fast", mld_gelu_tanh},
    {"gelu_new", mld_gelu_tanh},
    {"gelu_python", mld_gelu},
    {"gelu_python_tanh", mld_gelu_tanh},
    {"gelu_pytorch_tanh", mld_gelu_tanh},
    {"laplace", act_laplace},
    {"leaky_relu", act_leaky_relu},
    {"linear", act_linear},
    {"mish", act_mish},
    {"quick_gelu", mld_quick_gelu},
    {"relu", mld_relu},
    {"relu2", act_relu2},
    {"relu6", act_relu6},
    {"sigmoid", mld_sigmoid},
    {"silu", mld_silu},
    {"swish", mld_silu},
    {"tanh", mld_tanh},
};
#define ACTIVATION_COUNT (sizeof(activations) / sizeof(activations[0]))

const char *const *mld_activation_names(size_t *n)
{
    static const char *const names[] = {"gelu",
                                        "gelu_10",
                                        "gelu_accurate",
                                        "gelu_fast",
                                        "gelu_new",
                                        "gelu_python",
                                        "gelu_python_tanh",
                                        "gelu_pytorch_tanh",
                                        "laplace",
                                        "leaky_relu",
                                        "linear",
                                        "mish",
                                        "quick_gelu",
                                        "relu",
                                        "relu2",
                                        "relu6",
                                        "sigmoid",
                                        "silu",
                                        "swish",
                                        "tanh"};
    _Static_assert(sizeof(names) / sizeof(names[0]) == ACTIVATION_COUNT,
                   "the list of names is the table's");
    *n = ACTIVATION_COUNT;
    return names;
}

mld_v mld_activation(struct mld_graph *g, const char *name, mld_v a)
{
    if (name == NULL)
        return a;
    for (size_t i = 0; i < ACTIVATION_COUNT; i++)
        if (strcmp(activations[i].name, name) == 0)
            return activations[i].build(g, a);
    size_t n;
    const char *const *names = mld_activation_names(&n);
    const char *near = mld_str_nearest(name, names, n);
    return mld_graph_fail(g, MLD_E_UNSUPPORTED, "unknown activation '%s'%s%s%s", name,
                          near != NULL ? ", did you mean '" : "",
                          near != NULL ? near : "", near != NULL ? "'?" : "");
}

/* --- along an axis ----------------------------------------------------------------- */

mld_v mld_softmax(struct mld_graph *g, mld_v a, int axis)
{
    const struct mld_attr attrs[] = {MLD_INT("axis", axis), MLD_ATTR_END};
    return node(g, MLD_OP_SOFTMAX, a, NULL, NULL, attrs);
}

static mld_v reduce(struct mld_graph *g, enum mld_op op, mld_v a, int axis, bool keep)
{
    const struct mld_attr attrs[] = {MLD_INT("keepdims", keep), MLD_ATTR_END};
    return node(g, op, a, ints(g, 1, (int64_t[]){axis}), NULL, attrs);
}

mld_v mld_reduce_mean(struct mld_graph *g, mld_v a, int axis, bool keep)
{
    return reduce(g, MLD_OP_REDUCE_MEAN, a, axis, keep);
}

mld_v mld_reduce_sum(struct mld_graph *g, mld_v a, int axis, bool keep)
{
    return reduce(g, MLD_OP_REDUCE_SUM, a, axis, keep);
}

mld_v mld_reduce_max(struct mld_graph *g, mld_v a, int axis, bool keep)
{
    return reduce(g, MLD_OP_REDUCE_MAX, a, axis, keep);
}

mld_v mld_cumsum(struct mld_graph *g, mld_v a, int axis)
{
    int64_t at = axis;
    return node(g, MLD_OP_CUMSUM, a, mld_graph_const(g, MLD_I64, MLD_SCALAR, &at), NULL,
                NULL);
}

mld_v mld_argmax(struct mld_graph *g, mld_v a, int axis)
{
    const struct mld_attr attrs[] = {MLD_INT("axis", axis), MLD_INT("keepdims", 0),
                                     MLD_ATTR_END};
    return node(g, MLD_OP_ARGMAX, a, NULL, NULL, attrs);
}

mld_v mld_layer_norm(struct mld_graph *g, mld_v x, mld_v w, mld_v b, double eps)
{
    const struct mld_attr attrs[] = {MLD_INT("axis", -1), MLD_FLOAT("epsilon", eps),
                                     MLD_ATTR_END};
    return node(g, MLD_OP_LAYER_NORM, x, w, b, attrs);
}

mld_v mld_rms_norm(struct mld_graph *g, mld_v x, mld_v w, double eps)
{
    const struct mld_attr attrs[] = {MLD_FLOAT("epsilon", eps), MLD_ATTR_END};
    return node(g, MLD_OP_RMS_NORM, x, w, NULL, attrs);
}

mld_v mld_gather(struct mld_graph *g, mld_v data, mld_v ids, int axis)
{
    const struct mld_attr attrs[] = {MLD_INT("axis", axis), MLD_ATTR_END};
    return node(g, MLD_OP_GATHER, data, ids, NULL, attrs);
}

mld_v mld_embedding(struct mld_graph *g, mld_v table, mld_v ids)
{
    return mld_gather(g, table, ids, 0);
}

/* --- shapes ------------------------------------------------------------------------ */

mld_v mld_cast(struct mld_graph *g, mld_v a, enum mld_dtype to)
{
    if (a != NULL && a->dtype == to)
        return a;
    const struct mld_attr attrs[] = {MLD_INT("to", mld_dtype_onnx(to)), MLD_ATTR_END};
    return node(g, MLD_OP_CAST, a, NULL, NULL, attrs);
}

mld_v mld_reshape(struct mld_graph *g, mld_v a, struct mld_shape shape)
{
    if (a != NULL && mld_shape_eq(&a->shape, &shape))
        return a;
    if (shape.rank == 0 && g != NULL)
        return mld_graph_fail(g, MLD_E_INVALID, "reshape: to a scalar is not supported");
    return node(g, MLD_OP_RESHAPE, a, ints(g, shape.rank, shape.d), NULL, NULL);
}

mld_v mld_transpose(struct mld_graph *g, mld_v a, int rank, const int *perm)
{
    int64_t p[MLD_MAX_RANK] = {0};
    bool same = true;
    for (int i = 0; i < rank && i < MLD_MAX_RANK; i++) {
        p[i] = perm[i];
        same = same && perm[i] == i;
    }
    if (same && a != NULL && rank == a->shape.rank)
        return a;
    const struct mld_attr attrs[] = {
        MLD_INTS("perm", p, rank > MLD_MAX_RANK ? MLD_MAX_RANK : rank), MLD_ATTR_END};
    return node(g, MLD_OP_TRANSPOSE, a, NULL, NULL, attrs);
}

mld_v mld_expand(struct mld_graph *g, mld_v a, struct mld_shape shape)
{
    if (a != NULL && mld_shape_eq(&a->shape, &shape))
        return a;
    return node(g, MLD_OP_EXPAND, a, ints(g, shape.rank, shape.d), NULL, NULL);
}

mld_v mld_concat(struct mld_graph *g, mld_v const *parts, int n, int axis)
{
    const struct mld_attr attrs[] = {MLD_INT("axis", axis), MLD_ATTR_END};
    struct mld_value *in[MLD_MAX_INPUTS];
    int used = 0;
    if (n == 1)
        return parts[0];
    for (int i = 0; i < n; i++) {
        if (used == MLD_MAX_INPUTS) { /* chain: what is joined becomes the first part */
            in[0] = mld_graph_node(g, MLD_OP_CONCAT, in, used, attrs);
            used = 1;
        }
        in[used++] = parts[i];
    }
    return mld_graph_node(g, MLD_OP_CONCAT, in, used, attrs);
}

mld_v mld_slice(struct mld_graph *g, mld_v a, int axis, int64_t start, int64_t end)
{
    if (a != NULL && axis >= -a->shape.rank && axis < a->shape.rank && start == 0 &&
        end == a->shape.d[axis < 0 ? axis + a->shape.rank : axis])
        return a;
    struct mld_value *in[4] = {a, ints(g, 1, &start), ints(g, 1, &end),
                               ints(g, 1, (int64_t[]){axis})};
    return mld_graph_node(g, MLD_OP_SLICE, in, 4, NULL);
}

void mld_split(struct mld_graph *g, mld_v a, int axis, const int64_t *sizes, int n,
               mld_v *out)
{
    int64_t at = 0;
    if (n == 1 || n > MLD_MAX_OUTPUTS) {
        for (int i = 0; i < n; i++) {
            out[i] = mld_slice(g, a, axis, at, at + sizes[i]);
            at += sizes[i];
        }
        return;
    }
    const struct mld_attr attrs[] = {MLD_INT("axis", axis), MLD_ATTR_END};
    mld_v first = node(g, MLD_OP_SPLIT, a, ints(g, n, sizes), NULL, attrs);
    for (int i = 0; i < n; i++)
        out[i] = mld_node_output(first, i);
}

/* --- attention --------------------------------------------------------------------- */

mld_v mld_rotary(struct mld_graph *g, mld_v x, mld_v cos, mld_v sin, int64_t heads,
                 int64_t rotary_dim, bool interleaved)
{
    if (rotary_dim == 0 && x != NULL && x->shape.rank > 0 && heads > 0)
        rotary_dim = x->shape.d[x->shape.rank - 1] / heads;
    const struct mld_attr attrs[] = {MLD_INT("heads", heads),
                                     MLD_INT("rotary_dim", rotary_dim),
                                     MLD_INT("interleaved", interleaved), MLD_ATTR_END};
    return node(g, MLD_OP_ROTARY, x, cos, sin, attrs);
}

/* Tokens in the cache after this step, as the case is built: past_length's fill plus the
 * new ones; the capacity where the fill does not tell. */
static int64_t cache_tokens(const struct mld_graph *g, mld_v past_k, mld_v past_length,
                            mld_v k)
{
    int64_t capacity = past_k->shape.rank == 4 ? past_k->shape.d[2] : 1;
    int64_t fresh = k->shape.rank == 3 ? k->shape.d[1] : 1;
    int64_t tokens = capacity;
    for (size_t i = 0; i < g->input_count; i++) {
        if (g->inputs[i].value != past_length)
            continue;
        if (g->inputs[i].fill == MLD_FILL_ZEROS)
            tokens = fresh;
        else if (g->inputs[i].fill == MLD_FILL_VALUE && g->inputs[i].low >= 0 &&
                 g->inputs[i].low < capacity)
            tokens = g->inputs[i].low + fresh;
    }
    return tokens < capacity ? tokens : capacity;
}

mld_v mld_attention(struct mld_graph *g, mld_v q, mld_v k, mld_v v,
                    const struct mld_attention *p)
{
    if (g == NULL || g->fault.code != 0 || q == NULL || k == NULL || v == NULL)
        return node(g, MLD_OP_ATTENTION, q, k, v, NULL);
    int64_t heads = p->heads, kv_heads = p->kv_heads == 0 ? p->heads : p->kv_heads;
    int64_t width = q->shape.rank > 0 ? q->shape.d[q->shape.rank - 1] : 1;
    if (heads < 1)
        return mld_graph_fail(g, MLD_E_INVALID, "attention: %lld heads",
                              (long long)heads);
    bool cached = p->past_k != NULL || p->past_v != NULL || p->past_length != NULL;
    double scale = p->scale;
    if (!(scale < 0) && !(scale > 0))
        scale = 1 / sqrt((double)width / (double)heads);
    struct mld_value *in[8] = {q,       k,         v,         p->key_mask,
                               p->bias, p->past_k, p->past_v, p->past_length};
    struct mld_attr attrs[8] = {MLD_INT("heads", heads), MLD_INT("kv_heads", kv_heads),
                                MLD_FLOAT("scale", scale),
                                MLD_INT("causal", p->causal || cached)};
    int n = 4;
    if (p->window > 0)
        attrs[n++] = MLD_INT("window", p->window);
    if (p->softcap > 0)
        attrs[n++] = MLD_FLOAT("softcap", p->softcap);
    if (cached && p->past_k != NULL && p->past_length != NULL)
        attrs[n++] = MLD_INT("tokens", cache_tokens(g, p->past_k, p->past_length, k));
    attrs[n] = MLD_ATTR_END;
    return mld_graph_node(g, MLD_OP_ATTENTION, in, 8, attrs);
}
