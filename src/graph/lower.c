/* lower.c: the way through a lowering: what lives, what merges, and emission in order.
 *
 * Products, foldings of parameters and plain copies are here; formulas of the standard
 * form in lower_standard.c and lower_attention.c, fused forms in lower_ort.c. */
#include "graph/lower_int.h"

#include "base/alloc.h"
#include "base/str.h"
#include "graph/op_rules.h"

#include <stdio.h>
#include <string.h>

#define FOLD_ELEMENTS                                                                    \
    65536 /* a view larger than its parameter is stored up to this size */

mld_v mld_lower_get(struct lower *l, const struct mld_value *v)
{
    if (v == NULL)
        return NULL;
    if (l->map[v->id] == NULL && l->flat[v->id] != NULL)
        l->map[v->id] = mld_reshape(l->g, l->flat[v->id], v->shape);
    return l->map[v->id];
}

mld_v mld_lower_flat(struct lower *l, const struct mld_value *v)
{
    if (v == NULL || l->flat[v->id] != NULL)
        return v != NULL ? l->flat[v->id] : NULL;
    mld_v x = l->map[v->id];
    if (x != NULL && x->shape.rank != 2) {
        int64_t last = x->shape.rank > 0 ? x->shape.d[x->shape.rank - 1] : 1;
        x = mld_reshape(l->g, x, MLD_SHAPE(mld_shape_count(&x->shape) / last, last));
    }
    l->flat[v->id] = x;
    return x;
}

void mld_lower_set_flat(struct lower *l, const struct mld_value *v, mld_v to)
{
    if (v->shape.rank == 2)
        l->map[v->id] = to;
    l->flat[v->id] = to;
}

void mld_lower_set(struct lower *l, const struct mld_value *v, mld_v to)
{
    l->map[v->id] = to;
}

struct mld_value *mld_lower_operand(const struct mld_node *n, int i)
{
    return i < n->in_count ? n->in[i] : NULL;
}

/* --- parameters seen another way --------------------------------------------------- */

static void row_major(const struct mld_shape *s, int64_t stride[MLD_MAX_RANK])
{
    int64_t step = 1;
    for (int i = s->rank - 1; i >= 0; i--) {
        stride[i] = step;
        step *= s->d[i];
    }
}

/* An affine view of a parameter: what one piece of a derived value can say. */
struct view {
    mld_v param;
    struct mld_shape shape;
    int64_t base, stride[MLD_MAX_RANK];
};

/* A parameter, or a derived value of one unscaled piece, as a view. */
static bool view_of(struct lower *l, mld_v v, struct view *out)
{
    if (v == NULL)
        return false;
    *out = (struct view){.param = v, .shape = v->shape};
    if (v->kind == MLD_VALUE_PARAM) {
        row_major(&v->shape, out->stride);
        return true;
    }
    const struct mld_piece *p = v->pieces;
    if (v->kind != MLD_VALUE_DERIVED || v->piece_count != 1 || p->mul < 1 || p->mul > 1 ||
        p->add < 0 || p->add > 0)
        return false;
    out->param = mld_graph_find(l->g, p->param->name);
    out->base = p->base;
    memcpy(out->stride, p->stride, sizeof(out->stride));
    return out->param != NULL;
}

static mld_v derived(struct lower *l, const struct view *view, const char *what)
{
    char name[320];
    struct mld_piece piece = {.param = view->param->param, .base = view->base, .mul = 1};
    piece.length = view->shape.rank > 0 ? view->shape.d[0] : 1;
    memcpy(piece.stride, view->stride, sizeof(piece.stride));
    snprintf(name, sizeof(name), "%s.%s", view->param->name, what);
    return mld_graph_derived(l->g, name, view->shape, 0, &piece, 1);
}

mld_v mld_lower_turned(struct lower *l, mld_v w)
{
    struct view v, t;
    if (w == NULL || w->shape.rank != 2 || !view_of(l, w, &v))
        return mld_transpose(l->g, w, 2, (const int[]){1, 0});
    t = v;
    for (int i = 0; i < 2; i++) {
        t.shape.d[i] = v.shape.d[1 - i];
        t.stride[i] = v.stride[1 - i];
    }
    return derived(l, &t, "T");
}

/* ids[c] = base + sum c[d] * step[d] for all c? */
static bool affine_ids(const struct mld_value *ids, int64_t *base,
                       int64_t step[MLD_MAX_RANK])
{
    const int64_t *at = ids->data;
    int64_t row[MLD_MAX_RANK], count = mld_shape_count(&ids->shape);
    row_major(&ids->shape, row);
    *base = at[0];
    for (int d = 0; d < ids->shape.rank; d++)
        step[d] = ids->shape.d[d] > 1 ? at[row[d]] - at[0] : 0;
    for (int64_t i = 0; i < count; i++) {
        int64_t want = *base;
        for (int d = 0; d < ids->shape.rank; d++)
            want += i / row[d] % ids->shape.d[d] * step[d];
        if (at[i] != want || at[i] < 0)
            return false;
    }
    return true;
}

/* Rows of a table at constant places that follow a line: position embeddings. */
static bool view_rows(const struct mld_node *n, struct view *v)
{
    const struct mld_value *ids = n->in[1];
    int64_t step[MLD_MAX_RANK] = {0}, base = 0;
    if (mld_node_int(n, "axis", 0) != 0 || ids->kind != MLD_VALUE_CONST ||
        ids->dtype != MLD_I64 || !affine_ids(ids, &base, step))
        return false;
    struct view from = *v;
    int rank = ids->shape.rank;
    v->shape = n->out[0]->shape;
    v->base += base * from.stride[0];
    for (int d = 0; d < v->shape.rank; d++)
        v->stride[d] = d < rank ? step[d] * from.stride[0] : from.stride[d - rank + 1];
    return true;
}

static bool view_slice(const struct mld_node *n, struct view *v)
{
    const int64_t *start = n->in[1]->data, *axis = n->in[3]->data;
    for (int64_t i = 0; i < n->in[1]->shape.d[0]; i++) {
        int64_t at = axis[i] < 0 ? axis[i] + v->shape.rank : axis[i];
        v->base += (start[i] < 0 ? start[i] + v->shape.d[at] : start[i]) * v->stride[at];
    }
    v->shape = n->out[0]->shape;
    return true;
}

/* Only what lies in one row can take another shape. */
static bool view_reshape(const struct mld_node *n, struct view *v)
{
    int64_t row[MLD_MAX_RANK];
    row_major(&v->shape, row);
    for (int i = 0; i < v->shape.rank; i++)
        if (v->shape.d[i] > 1 && v->stride[i] != row[i])
            return false;
    v->shape = n->out[0]->shape;
    row_major(&v->shape, v->stride);
    return true;
}

static bool view_transpose(const struct mld_node *n, struct view *v)
{
    struct view from = *v;
    const struct mld_attr *perm = mld_node_attr(n, "perm");
    v->shape = n->out[0]->shape;
    for (int i = 0; i < v->shape.rank; i++)
        v->stride[i] = from.stride[perm->ints[i]];
    return true;
}

static bool view_expand(const struct mld_node *n, struct view *v)
{
    struct view from = *v;
    v->shape = n->out[0]->shape;
    memset(v->stride, 0, sizeof(v->stride));
    for (int i = 0; i < from.shape.rank; i++) {
        int at = v->shape.rank - from.shape.rank + i;
        v->stride[at] = from.shape.d[i] == v->shape.d[at] ? from.stride[i] : 0;
    }
    return true;
}

/* gather, slice, reshape, transpose, expand of a parameter: another view of it, or NULL.
 */
static mld_v fold(struct lower *l, const struct mld_node *n)
{
    struct view v;
    const struct mld_value *x = n->in_count > 0 ? n->in[0] : NULL;
    mld_v from = x != NULL ? l->map[x->id] : NULL;
    if (from == NULL || !view_of(l, from, &v))
        return NULL;
    bool seen = (n->op == MLD_OP_GATHER && view_rows(n, &v)) ||
                (n->op == MLD_OP_SLICE && view_slice(n, &v)) ||
                (n->op == MLD_OP_RESHAPE && view_reshape(n, &v)) ||
                (n->op == MLD_OP_TRANSPOSE && view_transpose(n, &v)) ||
                (n->op == MLD_OP_EXPAND && view_expand(n, &v));
    int64_t stored = mld_shape_count(&v.shape);
    if (!seen || (stored > FOLD_ELEMENTS && stored > mld_shape_count(&v.param->shape)))
        return NULL;
    return derived(l, &v, n->op == MLD_OP_GATHER ? "rows" : "view");
}

/* --- products ---------------------------------------------------------------------- */

mld_v mld_lower_gemm(struct lower *l, const struct mld_node *n, mld_v x, mld_v c,
                     double alpha)
{
    mld_v w = mld_lower_get(l, n->in[1]);
    bool turn = n->op == MLD_OP_LINEAR && l->tied[n->in[1]->id];
    if (n->op == MLD_OP_LINEAR && !turn)
        w = mld_lower_turned(l, w);
    struct mld_attr attrs[3];
    int count = 0;
    if (turn)
        attrs[count++] = MLD_INT("transB", 1);
    if (alpha < 1 || alpha > 1)
        attrs[count++] = MLD_FLOAT("alpha", alpha);
    attrs[count] = MLD_ATTR_END;
    struct mld_value *in[3] = {x, w, c};
    return mld_graph_node(l->g, MLD_OP_GEMM, in, 3, attrs);
}

/* The standard form: MatMul keeps leading dimensions; a matrix or a tied weight: Gemm. */
static void emit_linear(struct lower *l, const struct mld_node *n)
{
    mld_v b = mld_lower_get(l, mld_lower_operand(n, 2));
    bool tied = n->op == MLD_OP_LINEAR && l->tied[n->in[1]->id];
    if (n->in[0]->shape.rank <= 2 || tied) {
        mld_v x = mld_lower_flat(l, n->in[0]);
        mld_lower_set_flat(l, n->out[0], mld_lower_gemm(l, n, x, b, 1));
        return;
    }
    mld_v w = mld_lower_get(l, n->in[1]), x = mld_lower_get(l, n->in[0]);
    mld_v y = mld_matmul(l->g, x, n->op == MLD_OP_LINEAR ? mld_lower_turned(l, w) : w);
    mld_lower_set(l, n->out[0], b != NULL ? mld_add(l->g, y, b) : y);
}

/* --- emission ---------------------------------------------------------------------- */

static mld_v copy(struct lower *l, const struct mld_node *n)
{
    struct mld_value *in[MLD_MAX_INPUTS];
    struct mld_attr attrs[32];
    if (n->attr_count >= 32)
        return mld_graph_fail(l->g, MLD_E_TOO_LARGE, "%s: over 31 attributes",
                              mld_op_name(n->op));
    for (int i = 0; i < n->in_count; i++)
        in[i] = mld_lower_get(l, n->in[i]);
    for (int i = 0; i < n->attr_count; i++)
        attrs[i] = n->attrs[i];
    attrs[n->attr_count] = MLD_ATTR_END;
    return mld_graph_node(l->g, n->op, in, n->in_count, attrs);
}

static void emit(struct lower *l, const struct mld_node *n)
{
    mld_v y = NULL;
    l->g->scope = n->scope;
    if ((y = fold(l, n)) != NULL) {
        mld_lower_set(l, n->out[0], y);
        return;
    }
    if (l->target->fused_ort && mld_lower_ort_emit(l, n))
        return;
    mld_v x = n->in_count > 0 ? mld_lower_get(l, n->in[0]) : NULL;
    switch ((int)n->op) {
    case MLD_OP_LINEAR:
    case MLD_OP_LINEAR_IN_OUT:
        emit_linear(l, n);
        return;
    case MLD_OP_GELU:
    case MLD_OP_GELU_TANH:
    case MLD_OP_QUICK_GELU:
    case MLD_OP_SILU:
        y = mld_lower_gelu(l->g, n->op, x);
        break;
    case MLD_OP_RMS_NORM:
        y = mld_lower_rms_norm(l->g, x, mld_lower_get(l, n->in[1]),
                               mld_node_float(n, "epsilon", 1e-6));
        break;
    case MLD_OP_ROTARY:
        y = mld_lower_rotary(l->g, n, x, mld_lower_get(l, n->in[1]),
                             mld_lower_get(l, n->in[2]));
        break;
    case MLD_OP_ATTENTION:
        mld_lower_attention(l, n, false);
        return;
    default:
        y = copy(l, n);
        for (int i = 1; i < n->out_count; i++)
            if (n->out[i] != NULL)
                mld_lower_set(l, n->out[i], mld_node_output(y, i));
        break;
    }
    mld_lower_set(l, n->out[0], y);
}

/* --- before and after -------------------------------------------------------------- */

/* What reaches an output, and who reads what. */
static void survey(struct lower *l)
{
    const struct mld_graph *src = l->src;
    for (size_t i = 0; i < src->output_count; i++) {
        const struct mld_value *v = src->outputs[i].value;
        l->uses[v->id]++;
        l->tied[v->id] = true;
        if (v->node != NULL)
            l->plan[v->node->id].live = true;
    }
    for (size_t i = src->node_count; i-- > 0;) {
        struct mld_node *n = src->nodes[i];
        for (int k = 0; k < n->in_count && l->plan[i].live; k++) {
            const struct mld_value *v = n->in[k];
            if (v == NULL)
                continue;
            l->uses[v->id]++;
            l->reader[v->id] = n;
            if (k != 1 || (n->op != MLD_OP_LINEAR && n->op != MLD_OP_LINEAR_IN_OUT))
                l->tied[v->id] = true;
            if (v->node != NULL)
                l->plan[v->node->id].live = true;
        }
    }
}

static bool reserve(struct lower *l)
{
    const struct mld_graph *src = l->src;
    struct mld_arena *a = l->g->arena;
    size_t values = src->value_count + 1, nodes = src->node_count + 1;
    l->map = mld_arena_array(a, values, sizeof(*l->map));
    l->uses = mld_arena_array(a, values, sizeof(*l->uses));
    l->reader = mld_arena_array(a, values, sizeof(*l->reader));
    l->tied = mld_arena_array(a, values, sizeof(*l->tied));
    l->flat = mld_arena_array(a, values, sizeof(*l->flat));
    l->plan = mld_arena_array(a, nodes, sizeof(*l->plan));
    return l->map != NULL && l->uses != NULL && l->reader != NULL && l->tied != NULL &&
           l->flat != NULL && l->plan != NULL;
}

/* Parameters, inputs, constants and derived values of the source, in its order. */
static void copy_leaves(struct lower *l)
{
    for (size_t i = 0; i < l->src->value_count; i++) {
        const struct mld_value *v = l->src->values[i];
        mld_v to = NULL;
        if (v->kind == MLD_VALUE_PARAM)
            to = v->param->buffer ? mld_graph_buffer(l->g, v->name, v->shape)
                                  : mld_graph_param(l->g, v->name, v->shape);
        else if (v->kind == MLD_VALUE_CONST && l->uses[v->id] > 0)
            to = mld_graph_const(l->g, v->dtype, v->shape, v->data);
        mld_lower_set(l, v, to);
    }
    for (size_t i = 0; i < l->src->input_count; i++) {
        const struct mld_graph_input *in = &l->src->inputs[i];
        mld_lower_set(l, in->value,
                      mld_graph_input(l->g, in->value->name, in->value->dtype,
                                      in->value->shape, in->fill, in->low, in->high));
    }
    for (size_t i = 0; i < l->src->value_count; i++) {
        const struct mld_value *v = l->src->values[i];
        if (v->kind != MLD_VALUE_DERIVED || l->uses[v->id] == 0)
            continue;
        struct mld_piece *pieces =
            mld_arena_array(l->g->arena, (size_t)v->piece_count, sizeof(*pieces));
        if (pieces == NULL) {
            mld_graph_fail(l->g, MLD_E_NO_MEMORY, "out of memory lowering");
            return;
        }
        for (int k = 0; k < v->piece_count; k++) {
            const struct mld_value *p = mld_graph_find(l->g, v->pieces[k].param->name);
            pieces[k] = v->pieces[k];
            pieces[k].param = p != NULL ? p->param : NULL;
        }
        mld_lower_set(
            l, v,
            mld_graph_derived(l->g, v->name, v->shape, v->axis, pieces, v->piece_count));
    }
}

static void copy_ends(struct lower *l)
{
    const struct mld_graph *src = l->src;
    for (size_t i = 0; i < src->output_count; i++)
        mld_graph_output(l->g, src->outputs[i].name,
                         mld_lower_get(l, src->outputs[i].value));
    for (size_t i = 0; i < src->input_count; i++)
        if (src->inputs[i].state_output >= 0)
            mld_graph_state(l->g, src->inputs[i].value->name,
                            src->outputs[src->inputs[i].state_output].name);
    for (size_t i = 0; i < src->alias_count; i++)
        mld_graph_alias(l->g, src->aliases[i].name, src->aliases[i].target);
}

int mld_lower(const struct mld_graph *source, const struct mld_target *target,
              struct mld_arena *arena, struct mld_graph **out, struct mld_error *err)
{
    *out = NULL;
    MLD_TRY(mld_graph_check(source, err));
    if (target->opset < 18 || target->opset > 24)
        return mld_error_set(err, MLD_E_UNSUPPORTED, "opset %d is not in 18 to 24",
                             target->opset);
    struct lower l = {.src = source, .target = target};
    l.g = mld_graph_new(arena, source->name);
    if (l.g == NULL || !reserve(&l)) {
        mld_graph_release(l.g);
        return mld_error_set(err, MLD_E_NO_MEMORY, "out of memory lowering '%s'",
                             source->name);
    }
    l.g->share_nodes = true;
    survey(&l);
    copy_leaves(&l);
    if (target->fused_ort)
        mld_lower_ort_plan(&l);
    for (size_t i = 0; i < source->node_count && l.g->fault.code == 0; i++)
        if (l.plan[i].live && !l.plan[i].merged)
            emit(&l, source->nodes[i]);
    l.g->scope = NULL;
    copy_ends(&l);
    int rc = mld_graph_check(l.g, err);
    if (rc != 0) {
        mld_graph_release(l.g);
        return rc;
    }
    *out = l.g;
    return 0;
}
