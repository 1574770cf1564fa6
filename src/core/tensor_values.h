/* tensor_values.h: content of tensors: made from a rule, and read as doubles. */
#ifndef MLD_CORE_TENSOR_VALUES_H
#define MLD_CORE_TENSOR_VALUES_H

#include "core/case.h"

/* Number of elements of a shape; -1 when it does not fit. */
int64_t mld_tensor_count(const int64_t *dims, int rank);

/* Fills data (mld_dtype_bytes(in->dtype, count) bytes) as the case says, the same bytes
 * on every machine. With s = stream(in->stream, or "input:" + name) in [-1, 1): uniform
 * floats s; integers from the low end of [low, high) (of the type's range where high <=
 * low) plus the share (s + 1) / 2 of it; bool s >= 0 ids      low + floor((s + 1) / 2 *
 * (high - low)) ones, zeros value    values[0], or low when there is none values   all
 * elements, from the list Values that an integer type cannot hold are cut to its ends;
 * f16 and bf16 round to the nearest, ties to even. */
int mld_tensor_fill(const struct mld_case_input *in, void *data,
                    struct mld_error *err) MLD_MUST_CHECK;

/* out[i] = element first + i of data, as a double, for i in [0, n). */
void mld_tensor_read(enum mld_dtype t, const void *data, size_t first, size_t n,
                     double *out);
/* The other way round. */
void mld_tensor_write(enum mld_dtype t, void *data, size_t first, size_t n,
                      const double *values);

#endif
