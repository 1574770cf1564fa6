/* lower_standard.c: semantic operators as formulas of standard ONNX operators.
 *
 * Only operators that every engine has (opset 18): what a browser or an NPU takes. */
#include "graph/lower_int.h"

#include <math.h>

static mld_v scaled(struct mld_graph *g, mld_v x, double factor)
{
    return mld_scale(g, x, factor);
}

static mld_v plus(struct mld_graph *g, mld_v x, double y)
{
    mld_v c = mld_graph_const_f32(g, y);
    return mld_add(g, x, x != NULL && x->dtype != MLD_F32 ? mld_cast(g, c, x->dtype) : c);
}

mld_v mld_lower_gelu(struct mld_graph *g, enum mld_op op, mld_v x)
{
    mld_v t;
    if (op == MLD_OP_SILU)
        return mld_mul(g, x, mld_sigmoid(g, x));
    if (op == MLD_OP_QUICK_GELU)
        return mld_mul(g, x, mld_sigmoid(g, scaled(g, x, 1.702)));
    if (op == MLD_OP_GELU) {
        t = mld_erf(g, scaled(g, x, sqrt(0.5)));
    } else { /* tanh(sqrt(2 / pi) (x + 0.044715 x^3)) */
        mld_v cube = mld_mul(g, x, mld_mul(g, x, x));
        t = mld_add(g, x, scaled(g, cube, 0.044715));
        t = mld_tanh(g, scaled(g, t, 0.7978845608028654));
    }
    t = plus(g, t, 1);
    return mld_mul(g, scaled(g, x, 0.5), t);
}

/* w x / sqrt(mean(x^2) + eps) */
mld_v mld_lower_rms_norm(struct mld_graph *g, mld_v x, mld_v w, double eps)
{
    mld_v mean = mld_reduce_mean(g, mld_mul(g, x, x), -1, true);
    return mld_mul(g, mld_div(g, x, mld_sqrt(g, plus(g, mean, eps))), w);
}

/* Pairs (a, b) of each head turn to (a cos - b sin, b cos + a sin). */
mld_v mld_lower_rotary(struct mld_graph *g, const struct mld_node *n, mld_v x, mld_v cos,
                       mld_v sin)
{
    if (x == NULL || cos == NULL || sin == NULL)
        return NULL;
    int64_t heads = mld_node_int(n, "heads", 1), rot = mld_node_int(n, "rotary_dim", 2);
    int64_t batch = x->shape.d[0], tokens = x->shape.d[1], head = x->shape.d[2] / heads;
    int64_t rows = cos->shape.rank == 3 ? cos->shape.d[0] : 1;
    bool pairs = mld_node_int(n, "interleaved", 0) != 0;
    mld_v y = mld_reshape(g, x, MLD_SHAPE(batch, tokens, heads, head));
    mld_v turn = mld_slice(g, y, 3, 0, rot), a, b;
    struct mld_shape table = MLD_SHAPE(rows, tokens, 1, rot / 2);
    if (pairs) {
        turn = mld_reshape(g, turn, MLD_SHAPE(batch, tokens, heads, rot / 2, 2));
        table = MLD_SHAPE(rows, tokens, 1, rot / 2, 1);
    }
    int axis = pairs ? 4 : 3;
    a = mld_slice(g, turn, axis, 0, pairs ? 1 : rot / 2);
    b = mld_slice(g, turn, axis, pairs ? 1 : rot / 2, pairs ? 2 : rot);
    mld_v c = mld_reshape(g, cos, table), s = mld_reshape(g, sin, table);
    mld_v parts[3];
    mld_v ac = mld_mul(g, a, c), bs = mld_mul(g, b, s);
    parts[0] = mld_sub(g, ac, bs);
    mld_v bc = mld_mul(g, b, c), as = mld_mul(g, a, s);
    parts[1] = mld_add(g, bc, as);
    if (pairs) {
        y = mld_concat(g, parts, 2, 4);
        y = mld_reshape(g, y, MLD_SHAPE(batch, tokens, heads, rot));
        parts[0] = y;
        parts[1] =
            rot < head
                ? mld_slice(g, mld_reshape(g, x, MLD_SHAPE(batch, tokens, heads, head)),
                            3, rot, head)
                : NULL;
        y = rot < head ? mld_concat(g, parts, 2, 3) : y;
    } else {
        parts[2] = rot < head ? mld_slice(g, y, 3, rot, head) : NULL;
        y = mld_concat(g, parts, rot < head ? 3 : 2, 3);
    }
    return mld_reshape(g, y, x->shape);
}
