/* onnx_writer.h: a lowered graph as an ONNX file (protobuf-c), weights as external data.
 *
 * Initializers of kind PARAM and DERIVED, and constants over 1 KiB, go to the weight
 * file: each at an offset aligned to 4096 bytes (so that engines may map it). The writer
 * does not write the weights: it hands out their layout. */
#ifndef MLD_GRAPH_ONNX_WRITER_H
#define MLD_GRAPH_ONNX_WRITER_H

#include "graph/graph.h"

struct mld_weight_slot {
    const struct mld_value *value; /* PARAM, DERIVED or CONST of the lowered graph */
    uint64_t offset, bytes;        /* in the weight file */
};
struct mld_weight_layout {
    struct mld_weight_slot *slots; /* ascending offsets; in the graph's arena */
    size_t count;
    uint64_t total_bytes;
};

struct mld_onnx_params {
    int opset;                 /* default domain */
    const char *external_name; /* file name of the weights, beside the model */
};

/* Encodes the model into *data (freed by mld_free) and fills the layout. */
int mld_onnx_encode(const struct mld_graph *g, const struct mld_onnx_params *params,
                    void **data, size_t *n, struct mld_weight_layout *layout,
                    struct mld_error *err) MLD_MUST_CHECK;

#endif
