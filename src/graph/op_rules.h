/* op_rules.h: the operator table and the types of its rules; for src/graph only.
 *
 * A rule is a pure function of a node (its operands and attributes), so that building,
 * verifying and costing use the same one. */
#ifndef MLD_GRAPH_OP_RULES_H
#define MLD_GRAPH_OP_RULES_H

#include "graph/graph.h"

enum mld_op_tier { MLD_TIER_SEMANTIC, MLD_TIER_PRIMITIVE, MLD_TIER_ORT };
enum mld_op_grad { MLD_GRAD_SMOOTH, MLD_GRAD_DISCRETE };

/* What a shape rule answers. */
struct mld_op_output {
    bool present; /* false: an optional output that this node does not make */
    enum mld_dtype dtype;
    struct mld_shape shape;
};
struct mld_op_result {
    int count;
    struct mld_op_output out[MLD_MAX_OUTPUTS];
};

/* The arity has been checked and required operands are there. The message names what is
 * wrong, without scope or operator (the caller puts these before it). */
typedef int mld_shape_rule(const struct mld_node *n, struct mld_op_result *out,
                           struct mld_error *err);
/* Fills flops, matmul_flops, read_bytes, write_bytes of a node whose outputs are set. */
typedef void mld_cost_rule(const struct mld_node *n, struct mld_cost *cost);

struct mld_op_row {
    const char *name, *onnx, *domain;
    int min_in, max_in, max_out;
    mld_shape_rule *shape;
    mld_cost_rule *cost;
    enum mld_op_tier tier;
    enum mld_op_grad grad;
};

const struct mld_op_row *mld_op_row(enum mld_op op); /* NULL: no such operator */

/* Checks arity and required operands, then asks the row's rule; the message begins with
 * the operator's name. */
int mld_op_infer(const struct mld_node *n, struct mld_op_result *out,
                 struct mld_error *err) MLD_MUST_CHECK;

/* "f32[1,128,768]" of a dtype and shape, cut to fit; returns buf. */
#define MLD_TYPE_TEXT 192
const char *mld_type_text(char buf[MLD_TYPE_TEXT], enum mld_dtype t,
                          const struct mld_shape *s);

/* What shape rules answer with: one result; operands a and b that do not fit; an operand
 * that is not what is wanted. The faults return their code. */
int mld_rule_result(struct mld_op_result *out, enum mld_dtype dtype,
                    struct mld_shape shape);
int mld_rule_differ(const struct mld_value *a, const struct mld_value *b,
                    struct mld_error *err);
int mld_rule_wrong(const struct mld_value *v, const char *wanted, struct mld_error *err);

#define MLD_OP(upper, name, onnx, domain, min_in, max_in, max_out, shape, cost, tier,    \
               grad)                                                                     \
    mld_shape_rule mld_shape_##shape;                                                    \
    mld_cost_rule mld_cost_##cost;
#include "graph/ops.def"
#undef MLD_OP

#endif
