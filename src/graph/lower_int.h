/* lower_int.h: what the files of the lowering share; for src/graph only.
 *
 * plan() decides over the whole source which nodes are merged, then emit() walks the
 * source in order and appends to the result. A merged group is emitted at the place of
 * the member named below, so that its results are there before any reader. */
#ifndef MLD_GRAPH_LOWER_INT_H
#define MLD_GRAPH_LOWER_INT_H

#include "graph/build.h"
#include "graph/lower.h"

/* Decisions about one node of the source. */
struct lower_plan {
    bool live;                      /* reaches an output */
    bool merged;                    /* emitted by another node of its group */
    bool packed;                    /* attention: q, k, v come from one product */
    const struct mld_node *act;     /* linear: the gelu_tanh that adds its bias */
    const struct mld_node *product; /* add: the linear whose result is added */
    const struct mld_node *scaled;  /* linear: the scaling of x by a constant */
};

/* A value of the source has up to two forms in the result: `map` as it is, and `flat`,
 * its rows as one matrix [rows, last]. Each is made of the other when first asked for;
 * the reshape between them moves nothing. */
struct lower {
    const struct mld_graph *src;
    const struct mld_target *target;
    struct mld_graph *g;      /* the result */
    mld_v *map, *flat;        /* source value id -> value of g */
    uint32_t *uses;           /* source value id -> readers (outputs count) */
    struct mld_node **reader; /* source value id -> a node that reads it, or NULL */
    bool *tied;              /* source value id -> not only linears read it as a weight */
    struct lower_plan *plan; /* by source node id */
};

/* The value of the result for one of the source, or its rows; NULL for NULL. */
mld_v mld_lower_get(struct lower *l, const struct mld_value *v);
mld_v mld_lower_flat(struct lower *l, const struct mld_value *v);
void mld_lower_set(struct lower *l, const struct mld_value *v, mld_v to);
void mld_lower_set_flat(struct lower *l, const struct mld_value *v, mld_v to);
struct mld_value *mld_lower_operand(const struct mld_node *n, int i); /* NULL: left out */

/* weight [out, in] turned to [in, out], without work where it is a parameter. */
mld_v mld_lower_turned(struct lower *l, mld_v w);
/* alpha x w + c on matrices: a Gemm for the weights of n, a linear of the source. A
 * weight that is tied is not turned, so that the file holds it once. */
mld_v mld_lower_gemm(struct lower *l, const struct mld_node *n, mld_v x, mld_v c,
                     double alpha);

/* Standard operators only. */
mld_v mld_lower_gelu(struct mld_graph *g, enum mld_op op, mld_v x);
mld_v mld_lower_rms_norm(struct mld_graph *g, mld_v x, mld_v w, double eps);
mld_v mld_lower_rotary(struct mld_graph *g, const struct mld_node *n, mld_v x, mld_v cos,
                       mld_v sin);
/* All of an attention node but its projections; fused: scaling goes into the product. */
void mld_lower_attention(struct lower *l, const struct mld_node *n, bool fused);

/* What is added to the scores [.., S, T]: key mask, causal order, window and bias in one;
 * NULL when nothing is masked. with_keys, with_bias: take these in. */
mld_v mld_lower_score_mask(struct lower *l, const struct mld_node *n, bool with_keys,
                           bool with_bias);

/* ONNX Runtime's fused operators. Plans of the merges, then emission: true when the node
 * was emitted, false when the standard form is to be taken. */
void mld_lower_ort_plan(struct lower *l);
bool mld_lower_ort_emit(struct lower *l, const struct mld_node *n);

#endif
