/* golden.h: what a golden file promises, and whether numbers keep it.
 *
 * tests/golden/oracle/FORMAT.md describes the files and the tolerances. */
#ifndef MLD_APP_GOLDEN_H
#define MLD_APP_GOLDEN_H

#include "core/runner.h"
#include "graph/graph.h"

/* Names and shapes of the graph's parameters against the golden's list, as sets; the
 * first difference is told. */
int mld_golden_check_parameters(const struct mld_json *golden, const struct mld_graph *g,
                                struct mld_error *err) MLD_MUST_CHECK;
/* Tensor count, value count and digest against an object with tensors, values, digest. */
int mld_golden_check_digest(const struct mld_json *expected, const struct mld_graph *g,
                            struct mld_error *err) MLD_MUST_CHECK;

/* The request's inputs: names, dtypes, shapes; in the arena. */
struct mld_arch_input;
int mld_golden_inputs(const struct mld_json *golden, struct mld_arena *arena,
                      struct mld_arch_input **inputs, size_t *count,
                      struct mld_error *err) MLD_MUST_CHECK;
/* Gives the case's inputs the golden's content (values or fill). An input of the case
 * that the golden has not is a fault. */
int mld_golden_fill(const struct mld_json *golden, struct mld_arena *arena,
                    struct mld_case *c, struct mld_error *err) MLD_MUST_CHECK;

/* Every output against the golden's: |a - b| <= 1e-4 max_abs + 1e-5 for each stored
 * value, l2 within 1e-4. Names left out that no user needs are listed in left_out. */
int mld_golden_check_outputs(const struct mld_json *golden,
                             const struct mld_result *result, struct mld_str *left_out,
                             struct mld_error *err) MLD_MUST_CHECK;

#endif
