/* lower.h: from the semantic form to what an engine takes.
 *
 * The result is a new graph in the arena given, sharing parameters, inputs and outputs by
 * name with the source, in which every node has an ONNX form for the target. The source
 * is left as it was. */
#ifndef MLD_GRAPH_LOWER_H
#define MLD_GRAPH_LOWER_H

#include "graph/graph.h"

/* The opsets that the two forms are made for: RMSNormalization came with 23; 18 is what
 * every engine has. */
#define MLD_OPSET_ORT      23
#define MLD_OPSET_STANDARD 18

/* What a backend can take; from its flags. */
struct mld_target {
    bool fused_ort; /* com.microsoft operators: Attention, SkipLayerNormalization ... */
    int opset;      /* of the default domain: 18 ... 24 */
};

int mld_lower(const struct mld_graph *source, const struct mld_target *target,
              struct mld_arena *arena, struct mld_graph **out,
              struct mld_error *err) MLD_MUST_CHECK;

#endif
