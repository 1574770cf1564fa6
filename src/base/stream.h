/* stream.h: the numbers that any program can recompute from a name.
 *
 * stream(name)[i] is splitmix64 (Steele, Lea, Flood 2014) with state
 * fnv1a64(name) + (i + 1) * 0x9E3779B97F4A7C15, top 24 bits as (z >> 40) * 2^-23 - 1: in
 * [-1, 1), exact in float. Weights and inputs of every case are made of it. */
#ifndef MLD_BASE_STREAM_H
#define MLD_BASE_STREAM_H

#include <stddef.h>
#include <stdint.h>

uint64_t mld_stream_seed(const char *name); /* fnv1a64 of the bytes of name */
double mld_stream_at(uint64_t seed, uint64_t i);

/* out[k] = (float)(offset + scale * stream[start + k * step]) for k in [0, n): computed
 * in double and rounded once, bit-equal on every CPU. Dispatches at run time to what the
 * CPU offers (AVX-512, AVX2, plain C). */
void mld_stream_fill(uint64_t seed, uint64_t start, uint64_t step, size_t n,
                     double offset, double scale, float *out);

/* The implementations, for tests that compare them; NULL where the CPU lacks it. */
typedef void (*mld_stream_fill_fn)(uint64_t seed, uint64_t start, uint64_t step, size_t n,
                                   double offset, double scale, float *out);
struct mld_stream_impl {
    const char *name; /* "avx512", "avx2", "scalar" */
    mld_stream_fill_fn fill;
};
const struct mld_stream_impl *
mld_stream_impls(size_t *n); /* usable here, fastest first */

#endif
