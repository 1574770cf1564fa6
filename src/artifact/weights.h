/* weights.h: the numbers of a graph's initializers: from the parameters' names (the rule
 * of the golden files) or from a safetensors file; written as the file of external data.
 *
 * Initializers are cut views of parameters (struct mld_piece): nothing is ever transposed
 * or concatenated in memory, each destination row is computed or read where it goes. */
#ifndef MLD_ARTIFACT_WEIGHTS_H
#define MLD_ARTIFACT_WEIGHTS_H

#include "artifact/safetensors.h"
#include "graph/graph.h"
#include "graph/onnx_writer.h"

/* Deterministic weights: a parameter is (float)(*offset + *scale * stream(name)). The
 * rule looks at the last part of the name and the shape alone. */
void mld_param_rule(const char *name, const struct mld_shape *shape, double *offset,
                    double *scale);

struct mld_weights; /* an open source */

/* Other names under which a file may hold parameter `name`: writes up to cap of them to
 * out and returns how many (the name itself first). */
typedef size_t (*mld_weights_names_fn)(void *ctx, const char *name, const char **out,
                                       size_t cap);

/* Weights from names: nothing to open, cannot fail but for memory. */
int mld_weights_from_names(struct mld_weights **out,
                           struct mld_error *err) MLD_MUST_CHECK;
/* Weights from an open file for the parameters of g. Every parameter must be there in its
 * shape: those that are not are named in the message. Takes over file, also on failure.
 */
int mld_weights_from_file(struct mld_safetensors *file, const struct mld_graph *g,
                          mld_weights_names_fn names, void *ctx, struct mld_weights **out,
                          struct mld_error *err) MLD_MUST_CHECK;
void mld_weights_free(struct mld_weights *w); /* NULL is allowed */
/* How many tensors of the file no parameter uses; 0 for names. */
size_t mld_weights_unused(const struct mld_weights *w);

/* The whole content of a value of kind PARAM or DERIVED, f32: count elements. */
int mld_weights_fill(const struct mld_weights *w, const struct mld_value *v, float *out,
                     struct mld_error *err) MLD_MUST_CHECK;
/* Writes all slots to fd at their offsets with this many threads; the file gets exactly
 * layout->total_bytes. path is for messages. */
int mld_weights_write(const struct mld_weights *w, const struct mld_weight_layout *layout,
                      int fd, const char *path, int threads,
                      struct mld_error *err) MLD_MUST_CHECK;

#endif
