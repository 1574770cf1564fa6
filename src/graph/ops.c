/* ops.c: the operator table made of ops.def, and inference through it.
 *
 * Each row's rules live in shape_rules.c, shape_fused.c and cost_rules.c; a row without a
 * rule does not link. */
#include "graph/op_rules.h"

#include "base/str.h"

#include <stdio.h>
#include <string.h>

static const struct mld_op_row rows[] = {
#define MLD_OP(upper, name_, onnx_, domain_, min_in_, max_in_, max_out_, shape_, cost_,  \
               tier_, grad_)                                                             \
    [MLD_OP_##upper] = {.name = name_,                                                   \
                        .onnx = onnx_,                                                   \
                        .domain = domain_,                                               \
                        .min_in = min_in_,                                               \
                        .max_in = max_in_,                                               \
                        .max_out = max_out_,                                             \
                        .shape = mld_shape_##shape_,                                     \
                        .cost = mld_cost_##cost_,                                        \
                        .tier = MLD_TIER_##tier_,                                        \
                        .grad = MLD_GRAD_##grad_},
#include "graph/ops.def"
#undef MLD_OP
};
_Static_assert(sizeof(rows) / sizeof(rows[0]) == MLD_OP_COUNT, "one row per operator");

#define MLD_OP(upper, name, onnx, domain, min_in, max_in, max_out, shape, cost, tier,    \
               grad)                                                                     \
    _Static_assert((min_in) >= 0 && (min_in) <= (max_in) &&                              \
                       (max_in) <= MLD_MAX_INPUTS && (max_out) >= 1 &&                   \
                       (max_out) <= MLD_MAX_OUTPUTS,                                     \
                   "arity of " name);
#include "graph/ops.def"
#undef MLD_OP

const struct mld_op_row *mld_op_row(enum mld_op op)
{
    return (unsigned)op < MLD_OP_COUNT ? &rows[op] : NULL;
}

const char *mld_op_name(enum mld_op op)
{
    return (unsigned)op < MLD_OP_COUNT ? rows[op].name : "unknown";
}

const char *mld_type_text(char buf[MLD_TYPE_TEXT], enum mld_dtype t,
                          const struct mld_shape *s)
{
    size_t used = (size_t)snprintf(buf, MLD_TYPE_TEXT, "%s[", mld_dtype_name(t));
    for (int i = 0; i < s->rank && used < MLD_TYPE_TEXT; i++)
        used += (size_t)snprintf(buf + used, MLD_TYPE_TEXT - used, "%s%lld", i ? "," : "",
                                 (long long)s->d[i]);
    if (used < MLD_TYPE_TEXT - 1)
        memcpy(buf + used, "]", 2);
    return buf;
}

int mld_op_infer(const struct mld_node *n, struct mld_op_result *out,
                 struct mld_error *err)
{
    const struct mld_op_row *row = mld_op_row(n->op);
    if (row == NULL)
        return mld_error_set(err, MLD_E_INVALID, "operator %d does not exist",
                             (int)n->op);
    if (n->in_count > row->max_in)
        return mld_error_set(err, MLD_E_INVALID, "%s: takes at most %d operands, got %d",
                             row->name, row->max_in, n->in_count);
    for (int i = 0; i < row->min_in; i++)
        if (i >= n->in_count || n->in[i] == NULL)
            return mld_error_set(err, MLD_E_INVALID, "%s: operand %d is missing",
                                 row->name, i);
    memset(out, 0, sizeof(*out));
    struct mld_error local = {0};
    int rc = row->shape(n, out, &local);
    if (rc != 0)
        return mld_error_set(err, rc, "%s: %s", row->name, local.message);
    for (int i = 0; i < out->count; i++) {
        if (!out->out[i].present)
            continue;
        char text[MLD_TYPE_TEXT];
        int64_t count = mld_shape_count(&out->out[i].shape);
        if (count < 1 || mld_dtype_bytes(out->out[i].dtype, count) > (size_t)INT64_MAX)
            return mld_error_set(
                err, MLD_E_TOO_LARGE,
                "%s: result %d is %s: every dimension must be at "
                "least 1 and the whole addressable",
                row->name, i, mld_type_text(text, out->out[i].dtype, &out->out[i].shape));
    }
    return 0;
}
