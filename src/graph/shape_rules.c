/* shape_rules.c: dtypes and shapes of the results of standard operators.
 *
 * Each rule checks what the ONNX operator demands of its operands, so that a graph that
 * was built is one that an engine takes. Fused and semantic ones: shape_fused.c. */
#include "graph/op_rules.h"

#include <stdio.h>
#include <string.h>

static bool is_float(enum mld_dtype t)
{
    return t == MLD_F32 || t == MLD_F16 || t == MLD_BF16;
}

int mld_rule_result(struct mld_op_result *out, enum mld_dtype dtype,
                    struct mld_shape shape)
{
    out->count = 1;
    out->out[0] = (struct mld_op_output){.present = true, .dtype = dtype, .shape = shape};
    return 0;
}

int mld_rule_differ(const struct mld_value *a, const struct mld_value *b,
                    struct mld_error *err)
{
    char ta[MLD_TYPE_TEXT], tb[MLD_TYPE_TEXT];
    return mld_error_set(err, MLD_E_INVALID, "operands '%s' %s and '%s' %s do not fit",
                         a->name, mld_type_text(ta, a->dtype, &a->shape), b->name,
                         mld_type_text(tb, b->dtype, &b->shape));
}

int mld_rule_wrong(const struct mld_value *v, const char *wanted, struct mld_error *err)
{
    char text[MLD_TYPE_TEXT];
    return mld_error_set(err, MLD_E_INVALID, "'%s' is %s, wanted %s", v->name,
                         mld_type_text(text, v->dtype, &v->shape), wanted);
}

/* numpy's rule; false when the shapes do not broadcast. */
static bool broadcast(const struct mld_shape *a, const struct mld_shape *b,
                      struct mld_shape *out)
{
    int rank = a->rank > b->rank ? a->rank : b->rank;
    struct mld_shape s = {.rank = rank};
    for (int i = 0; i < rank; i++) {
        int ia = i - (rank - a->rank), ib = i - (rank - b->rank);
        int64_t x = ia >= 0 ? a->d[ia] : 1, y = ib >= 0 ? b->d[ib] : 1;
        if (x != y && x != 1 && y != 1)
            return false;
        s.d[i] = x > y ? x : y;
    }
    *out = s;
    return true;
}

/* axis in [-rank, rank) made non-negative; -1 when it is outside. */
static int axis_of(int64_t axis, int rank)
{
    if (axis < -rank || axis >= rank)
        return -1;
    return (int)(axis < 0 ? axis + rank : axis);
}

static int bad_axis(int64_t axis, const struct mld_value *v, struct mld_error *err)
{
    return mld_error_set(err, MLD_E_INVALID, "axis %lld is outside of '%s' of rank %d",
                         (long long)axis, v->name, v->shape.rank);
}

/* The numbers of a constant i64 operand. */
static const int64_t *ints_of(const struct mld_node *n, int index, int64_t *count,
                              struct mld_error *err)
{
    const struct mld_value *v = n->in[index];
    if (v->kind != MLD_VALUE_CONST || v->dtype != MLD_I64 || v->shape.rank > 1) {
        mld_error_set(err, MLD_E_INVALID, "operand %d must be a constant list of i64",
                      index);
        return NULL;
    }
    *count = mld_shape_count(&v->shape);
    return v->data;
}

/* --- element-wise ------------------------------------------------------------------ */

int mld_shape_unary(const struct mld_node *n, struct mld_op_result *out,
                    struct mld_error *err)
{
    (void)err;
    return mld_rule_result(out, n->in[0]->dtype, n->in[0]->shape);
}

int mld_shape_unary_float(const struct mld_node *n, struct mld_op_result *out,
                          struct mld_error *err)
{
    if (!is_float(n->in[0]->dtype))
        return mld_rule_wrong(n->in[0], "a floating-point type", err);
    return mld_rule_result(out, n->in[0]->dtype, n->in[0]->shape);
}

int mld_shape_broadcast(const struct mld_node *n, struct mld_op_result *out,
                        struct mld_error *err)
{
    const struct mld_value *a = n->in[0], *b = n->in[1];
    struct mld_shape s;
    if (a->dtype != b->dtype || !broadcast(&a->shape, &b->shape, &s))
        return mld_rule_differ(a, b, err);
    if (a->dtype == MLD_BOOL)
        return mld_rule_wrong(a, "numbers", err);
    return mld_rule_result(out, a->dtype, s);
}

int mld_shape_compare(const struct mld_node *n, struct mld_op_result *out,
                      struct mld_error *err)
{
    struct mld_shape s;
    if (n->in[0]->dtype != n->in[1]->dtype ||
        !broadcast(&n->in[0]->shape, &n->in[1]->shape, &s))
        return mld_rule_differ(n->in[0], n->in[1], err);
    return mld_rule_result(out, MLD_BOOL, s);
}

int mld_shape_logical(const struct mld_node *n, struct mld_op_result *out,
                      struct mld_error *err)
{
    struct mld_shape s = n->in[0]->shape;
    for (int i = 0; i < n->in_count; i++)
        if (n->in[i]->dtype != MLD_BOOL)
            return mld_rule_wrong(n->in[i], "bool", err);
    if (n->in_count == 2 && !broadcast(&n->in[0]->shape, &n->in[1]->shape, &s))
        return mld_rule_differ(n->in[0], n->in[1], err);
    return mld_rule_result(out, MLD_BOOL, s);
}

int mld_shape_where(const struct mld_node *n, struct mld_op_result *out,
                    struct mld_error *err)
{
    struct mld_shape s;
    if (n->in[0]->dtype != MLD_BOOL)
        return mld_rule_wrong(n->in[0], "bool", err);
    if (n->in[1]->dtype != n->in[2]->dtype ||
        !broadcast(&n->in[1]->shape, &n->in[2]->shape, &s))
        return mld_rule_differ(n->in[1], n->in[2], err);
    if (!broadcast(&n->in[0]->shape, &s, &s))
        return mld_rule_differ(n->in[0], n->in[1], err);
    return mld_rule_result(out, n->in[1]->dtype, s);
}

int mld_shape_cast(const struct mld_node *n, struct mld_op_result *out,
                   struct mld_error *err)
{
    int to = mld_dtype_from_onnx((int)mld_node_int(n, "to", 0));
    if (to < 0)
        return mld_error_set(err, MLD_E_INVALID, "attribute 'to' names no type");
    return mld_rule_result(out, (enum mld_dtype)to, n->in[0]->shape);
}

/* --- products ---------------------------------------------------------------------- */

int mld_shape_matmul(const struct mld_node *n, struct mld_op_result *out,
                     struct mld_error *err)
{
    const struct mld_value *a = n->in[0], *b = n->in[1];
    int ra = a->shape.rank, rb = b->shape.rank;
    if (a->dtype != b->dtype || !is_float(a->dtype) || ra < 2 || rb < 2 ||
        a->shape.d[ra - 1] != b->shape.d[rb - 2])
        return mld_rule_differ(a, b, err);
    struct mld_shape ha = mld_shape_from(a->shape.d, ra - 2),
                     hb = mld_shape_from(b->shape.d, rb - 2), s;
    if (!broadcast(&ha, &hb, &s) || s.rank + 2 > MLD_MAX_RANK)
        return mld_rule_differ(a, b, err);
    s.d[s.rank++] = a->shape.d[ra - 2];
    s.d[s.rank++] = b->shape.d[rb - 1];
    return mld_rule_result(out, a->dtype, s);
}

int mld_shape_gemm(const struct mld_node *n, struct mld_op_result *out,
                   struct mld_error *err)
{
    const struct mld_value *a = n->in[0], *b = n->in[1];
    if (a->dtype != b->dtype || !is_float(a->dtype) || a->shape.rank != 2 ||
        b->shape.rank != 2)
        return mld_rule_differ(a, b, err);
    bool ta = mld_node_int(n, "transA", 0) != 0, tb = mld_node_int(n, "transB", 0) != 0;
    if (a->shape.d[ta ? 0 : 1] != b->shape.d[tb ? 1 : 0])
        return mld_rule_differ(a, b, err);
    struct mld_shape s = MLD_SHAPE(a->shape.d[ta ? 1 : 0], b->shape.d[tb ? 0 : 1]), c;
    if (n->in_count > 2 && n->in[2] != NULL &&
        (!broadcast(&s, &n->in[2]->shape, &c) || !mld_shape_eq(&s, &c)))
        return mld_rule_differ(a, n->in[2], err);
    return mld_rule_result(out, a->dtype, s);
}

static int64_t ints_at(const struct mld_node *n, const char *name, int i,
                       int64_t fallback)
{
    const struct mld_attr *a = mld_node_attr(n, name);
    return a != NULL && a->type == MLD_ATTR_INTS && i < a->ints_count ? a->ints[i]
                                                                      : fallback;
}

int mld_shape_conv(const struct mld_node *n, struct mld_op_result *out,
                   struct mld_error *err)
{
    const struct mld_value *x = n->in[0], *w = n->in[1];
    int64_t group = mld_node_int(n, "group", 1);
    if (x->dtype != w->dtype || !is_float(x->dtype) || x->shape.rank != w->shape.rank ||
        x->shape.rank < 3 || group < 1 || x->shape.d[1] != w->shape.d[1] * group ||
        w->shape.d[0] % group != 0)
        return mld_rule_differ(x, w, err);
    if (n->in_count > 2 && n->in[2] != NULL &&
        (n->in[2]->shape.rank != 1 || n->in[2]->shape.d[0] != w->shape.d[0]))
        return mld_rule_differ(w, n->in[2], err);
    int spatial = x->shape.rank - 2;
    struct mld_shape s = x->shape;
    s.d[1] = w->shape.d[0];
    for (int i = 0; i < spatial; i++) {
        int64_t stride = ints_at(n, "strides", i, 1);
        int64_t dilation = ints_at(n, "dilations", i, 1);
        int64_t pads = ints_at(n, "pads", i, 0) + ints_at(n, "pads", i + spatial, 0);
        int64_t field = dilation * (w->shape.d[i + 2] - 1) + 1;
        int64_t room = x->shape.d[i + 2] + pads - field;
        if (stride < 1 || dilation < 1 || pads < 0 || room < 0)
            return mld_error_set(err, MLD_E_INVALID,
                                 "window of %lld with stride %lld does not fit into %lld "
                                 "of '%s'",
                                 (long long)field, (long long)stride,
                                 (long long)(x->shape.d[i + 2] + pads), x->name);
        s.d[i + 2] = room / stride + 1;
    }
    return mld_rule_result(out, x->dtype, s);
}

/* --- along an axis ----------------------------------------------------------------- */

int mld_shape_softmax(const struct mld_node *n, struct mld_op_result *out,
                      struct mld_error *err)
{
    int64_t axis = mld_node_int(n, "axis", -1);
    if (axis_of(axis, n->in[0]->shape.rank) < 0)
        return bad_axis(axis, n->in[0], err);
    return mld_shape_unary_float(n, out, err);
}

static struct mld_shape reduced(const struct mld_shape *s, const bool *gone, bool keep)
{
    struct mld_shape r = {0};
    for (int i = 0; i < s->rank; i++) {
        if (!gone[i])
            r.d[r.rank++] = s->d[i];
        else if (keep)
            r.d[r.rank++] = 1;
    }
    return r;
}

int mld_shape_reduce(const struct mld_node *n, struct mld_op_result *out,
                     struct mld_error *err)
{
    int64_t count = 0;
    const int64_t *axes = ints_of(n, 1, &count, err);
    if (axes == NULL)
        return MLD_E_INVALID;
    bool gone[MLD_MAX_RANK] = {false};
    for (int64_t i = 0; i < count; i++) {
        int axis = axis_of(axes[i], n->in[0]->shape.rank);
        if (axis < 0)
            return bad_axis(axes[i], n->in[0], err);
        gone[axis] = true;
    }
    bool keep = mld_node_int(n, "keepdims", 1) != 0;
    return mld_rule_result(out, n->in[0]->dtype, reduced(&n->in[0]->shape, gone, keep));
}

int mld_shape_argmax(const struct mld_node *n, struct mld_op_result *out,
                     struct mld_error *err)
{
    bool gone[MLD_MAX_RANK] = {false};
    int64_t axis = mld_node_int(n, "axis", 0);
    int at = axis_of(axis, n->in[0]->shape.rank);
    if (at < 0)
        return bad_axis(axis, n->in[0], err);
    gone[at] = true;
    bool keep = mld_node_int(n, "keepdims", 1) != 0;
    return mld_rule_result(out, MLD_I64, reduced(&n->in[0]->shape, gone, keep));
}

int mld_shape_cumsum(const struct mld_node *n, struct mld_op_result *out,
                     struct mld_error *err)
{
    int64_t count = 0;
    const int64_t *axis = ints_of(n, 1, &count, err);
    if (axis == NULL)
        return MLD_E_INVALID;
    if (count != 1 || axis_of(axis[0], n->in[0]->shape.rank) < 0)
        return bad_axis(count > 0 ? axis[0] : 0, n->in[0], err);
    return mld_shape_unary(n, out, err);
}

/* x, w [last], b? [last] */
int mld_shape_norm(const struct mld_node *n, struct mld_op_result *out,
                   struct mld_error *err)
{
    const struct mld_value *x = n->in[0];
    if (x->shape.rank < 1)
        return mld_rule_wrong(x, "at least one dimension", err);
    for (int i = 1; i < n->in_count; i++) {
        const struct mld_value *w = n->in[i];
        if (w != NULL && (w->dtype != x->dtype || w->shape.rank != 1 ||
                          w->shape.d[0] != x->shape.d[x->shape.rank - 1]))
            return mld_rule_differ(x, w, err);
    }
    return mld_shape_unary_float(n, out, err);
}

/* --- gather and scatter ------------------------------------------------------------ */

int mld_shape_gather(const struct mld_node *n, struct mld_op_result *out,
                     struct mld_error *err)
{
    const struct mld_value *data = n->in[0], *ids = n->in[1];
    int64_t wanted = mld_node_int(n, "axis", 0);
    int axis = axis_of(wanted, data->shape.rank);
    if (axis < 0)
        return bad_axis(wanted, data, err);
    if (ids->dtype != MLD_I64 && ids->dtype != MLD_I32)
        return mld_rule_wrong(ids, "i64 or i32 indices", err);
    if (data->shape.rank - 1 + ids->shape.rank > MLD_MAX_RANK)
        return mld_rule_differ(data, ids, err);
    if (ids->kind == MLD_VALUE_CONST && ids->dtype == MLD_I64) {
        const int64_t *at = ids->data;
        int64_t extent = data->shape.d[axis];
        for (int64_t i = 0; i < mld_shape_count(&ids->shape); i++)
            if (at[i] < -extent || at[i] >= extent)
                return mld_error_set(err, MLD_E_INVALID,
                                     "index %lld is outside of '%s' (%lld)",
                                     (long long)at[i], data->name, (long long)extent);
    }
    struct mld_shape s = {0};
    for (int i = 0; i < axis; i++)
        s.d[s.rank++] = data->shape.d[i];
    for (int i = 0; i < ids->shape.rank; i++)
        s.d[s.rank++] = ids->shape.d[i];
    for (int i = axis + 1; i < data->shape.rank; i++)
        s.d[s.rank++] = data->shape.d[i];
    return mld_rule_result(out, data->dtype, s);
}

/* data, indices [..., k] i64, updates [..., rest of data from dimension k on] */
int mld_shape_scatter_nd(const struct mld_node *n, struct mld_op_result *out,
                         struct mld_error *err)
{
    const struct mld_value *data = n->in[0], *ids = n->in[1], *updates = n->in[2];
    int q = ids->shape.rank;
    if (ids->dtype != MLD_I64 || q < 1 || ids->shape.d[q - 1] > data->shape.rank)
        return mld_rule_wrong(ids, "i64 coordinates", err);
    int k = (int)ids->shape.d[q - 1];
    struct mld_shape s = mld_shape_from(ids->shape.d, q - 1);
    for (int i = k; i < data->shape.rank && s.rank < MLD_MAX_RANK; i++)
        s.d[s.rank++] = data->shape.d[i];
    if (updates->dtype != data->dtype || !mld_shape_eq(&s, &updates->shape))
        return mld_rule_differ(data, updates, err);
    return mld_shape_unary(n, out, err);
}

/* --- shapes of views --------------------------------------------------------------- */

int mld_shape_reshape(const struct mld_node *n, struct mld_op_result *out,
                      struct mld_error *err)
{
    int64_t rank = 0, known = 1;
    const int64_t *dims = ints_of(n, 1, &rank, err);
    if (dims == NULL)
        return MLD_E_INVALID;
    if (rank > MLD_MAX_RANK)
        return mld_error_set(err, MLD_E_INVALID, "rank %lld is over %d", (long long)rank,
                             MLD_MAX_RANK);
    struct mld_shape s = mld_shape_from(dims, (int)rank);
    int64_t count = mld_shape_count(&n->in[0]->shape);
    int open = -1;
    for (int i = 0; i < s.rank; i++) {
        bool minus = s.d[i] == -1;
        if ((minus && open >= 0) || (!minus && s.d[i] < 1) ||
            (!minus && known > count / s.d[i]))
            goto misfit;
        if (minus)
            open = i;
        else
            known *= s.d[i];
    }
    if (open >= 0 ? count % known != 0 : count != known)
        goto misfit;
    if (open >= 0)
        s.d[open] = count / known;
    return mld_rule_result(out, n->in[0]->dtype, s);
misfit:;
    char from[MLD_TYPE_TEXT], to[MLD_TYPE_TEXT];
    return mld_error_set(err, MLD_E_INVALID, "'%s' %s cannot take the shape %s",
                         n->in[0]->name,
                         mld_type_text(from, n->in[0]->dtype, &n->in[0]->shape),
                         strchr(mld_type_text(to, n->in[0]->dtype, &s), '['));
}

int mld_shape_transpose(const struct mld_node *n, struct mld_op_result *out,
                        struct mld_error *err)
{
    const struct mld_shape *x = &n->in[0]->shape;
    const struct mld_attr *perm = mld_node_attr(n, "perm");
    if (perm == NULL || perm->type != MLD_ATTR_INTS || perm->ints_count != x->rank)
        return mld_error_set(err, MLD_E_INVALID, "'perm' must name %d axes", x->rank);
    struct mld_shape s = {.rank = x->rank};
    bool seen[MLD_MAX_RANK] = {false};
    for (int i = 0; i < x->rank; i++) {
        int64_t p = perm->ints[i];
        if (p < 0 || p >= x->rank || seen[p])
            return mld_error_set(err, MLD_E_INVALID,
                                 "'perm' is no permutation of %d axes", x->rank);
        seen[p] = true;
        s.d[i] = x->d[p];
    }
    return mld_rule_result(out, n->in[0]->dtype, s);
}

int mld_shape_expand(const struct mld_node *n, struct mld_op_result *out,
                     struct mld_error *err)
{
    int64_t rank = 0;
    const int64_t *dims = ints_of(n, 1, &rank, err);
    if (dims == NULL)
        return MLD_E_INVALID;
    struct mld_shape to =
        mld_shape_from(dims, rank > MLD_MAX_RANK ? MLD_MAX_RANK : (int)rank);
    struct mld_shape s;
    if (rank > MLD_MAX_RANK || !broadcast(&n->in[0]->shape, &to, &s))
        return mld_rule_differ(n->in[0], n->in[1], err);
    return mld_rule_result(out, n->in[0]->dtype, s);
}

int mld_shape_concat(const struct mld_node *n, struct mld_op_result *out,
                     struct mld_error *err)
{
    const struct mld_value *first = n->in[0];
    int64_t wanted = mld_node_int(n, "axis", 0);
    int axis = axis_of(wanted, first->shape.rank);
    if (axis < 0)
        return bad_axis(wanted, first, err);
    struct mld_shape s = first->shape;
    for (int i = 1; i < n->in_count; i++) {
        const struct mld_value *v = n->in[i];
        if (v == NULL)
            return mld_error_set(err, MLD_E_INVALID, "operand %d is missing", i);
        struct mld_shape same = v->shape;
        if (same.rank == s.rank)
            same.d[axis] = s.d[axis];
        if (v->dtype != first->dtype || !mld_shape_eq(&same, &s))
            return mld_rule_differ(first, v, err);
        if (s.d[axis] > INT64_MAX - v->shape.d[axis])
            return mld_rule_differ(first, v, err);
        s.d[axis] += v->shape.d[axis];
    }
    return mld_rule_result(out, first->dtype, s);
}

int mld_shape_slice(const struct mld_node *n, struct mld_op_result *out,
                    struct mld_error *err)
{
    int64_t count[3] = {0};
    const int64_t *starts = ints_of(n, 1, &count[0], err);
    const int64_t *ends = starts != NULL ? ints_of(n, 2, &count[1], err) : NULL;
    const int64_t *axes = ends != NULL ? ints_of(n, 3, &count[2], err) : NULL;
    if (axes == NULL)
        return MLD_E_INVALID;
    if (count[0] != count[1] || count[0] != count[2])
        return mld_error_set(err, MLD_E_INVALID,
                             "starts, ends and axes differ in length");
    struct mld_shape s = n->in[0]->shape;
    for (int64_t i = 0; i < count[0]; i++) {
        int axis = axis_of(axes[i], s.rank);
        if (axis < 0)
            return bad_axis(axes[i], n->in[0], err);
        int64_t extent = n->in[0]->shape.d[axis];
        int64_t from = starts[i] < 0 ? starts[i] + extent : starts[i];
        int64_t to = ends[i] < 0 ? ends[i] + extent : ends[i];
        if (from < 0 || to > extent || from >= to)
            return mld_error_set(err, MLD_E_INVALID,
                                 "%lld to %lld is no range of '%s' (%lld on axis %d)",
                                 (long long)starts[i], (long long)ends[i], n->in[0]->name,
                                 (long long)extent, axis);
        s.d[axis] = to - from;
    }
    return mld_rule_result(out, n->in[0]->dtype, s);
}

int mld_shape_split(const struct mld_node *n, struct mld_op_result *out,
                    struct mld_error *err)
{
    int64_t count = 0, sum = 0, wanted = mld_node_int(n, "axis", 0);
    const int64_t *sizes = ints_of(n, 1, &count, err);
    if (sizes == NULL)
        return MLD_E_INVALID;
    int axis = axis_of(wanted, n->in[0]->shape.rank);
    if (axis < 0)
        return bad_axis(wanted, n->in[0], err);
    int64_t extent = n->in[0]->shape.d[axis];
    if (count > MLD_MAX_OUTPUTS)
        return mld_error_set(err, MLD_E_INVALID, "%lld parts, at most %d allowed",
                             (long long)count, MLD_MAX_OUTPUTS);
    for (int64_t i = 0; i < count; i++) {
        if (sizes[i] < 1 || sizes[i] > extent - sum)
            return mld_error_set(err, MLD_E_INVALID, "part %lld does not fit into %lld",
                                 (long long)i, (long long)extent);
        sum += sizes[i];
        out->out[i] = (struct mld_op_output){
            .present = true, .dtype = n->in[0]->dtype, .shape = n->in[0]->shape};
        out->out[i].shape.d[axis] = sizes[i];
    }
    if (sum != extent)
        return mld_error_set(err, MLD_E_INVALID, "parts have %lld of %lld",
                             (long long)sum, (long long)extent);
    out->count = (int)count;
    return 0;
}
