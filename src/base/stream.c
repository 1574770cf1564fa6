/* stream.c: the number stream as plain C, AVX2 and AVX-512, chosen at run time.
 *
 * Every implementation gives the same bits: each value is exact up to the product with
 * `scale`, which is rounded once, then the sum with `offset`, then the float. A fused
 * multiply-add would skip a rounding, so this file must be built with -ffp-contract=off
 * (a test compares known values that differ when it is not). */
#include "base/stream.h"

#include "base/str.h"

#include <string.h>

#define GOLDEN UINT64_C(0x9E3779B97F4A7C15)
#define MIX_A  UINT64_C(0xBF58476D1CE4E5B9)
#define MIX_B  UINT64_C(0x94D049BB133111EB)

/* A double with this exponent has a last place of 2^-23, so that or-ing a 24-bit number m
 * into its fraction gives exactly 2^29 + m * 2^-23. */
#define MAGIC_BITS  ((UINT64_C(1023) + 29) << 52)
#define MAGIC_MINUS 536870913.0 /* 2^29 + 1: leaves m * 2^-23 - 1 */

#if (defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__)))
#define STREAM_X86 1
#include <immintrin.h>
#else
#define STREAM_X86 0
#endif

uint64_t mld_stream_seed(const char *name)
{
    return mld_fnv1a64(MLD_FNV_BASIS, name, strlen(name));
}

static inline double stream_value(uint64_t z)
{
    z = (z ^ (z >> 30)) * MIX_A;
    z = (z ^ (z >> 27)) * MIX_B;
    z = (z ^ (z >> 31)) >> 40;
    z |= MAGIC_BITS;
    double d;
    memcpy(&d, &z, sizeof(d));
    return d - MAGIC_MINUS;
}

double mld_stream_at(uint64_t seed, uint64_t i)
{
    return stream_value(seed + (i + 1) * GOLDEN);
}

static void stream_fill_scalar(uint64_t seed, uint64_t start, uint64_t step, size_t n,
                               double offset, double scale, float *out)
{
    uint64_t z = seed + (start + 1) * GOLDEN;
    const uint64_t stride = step * GOLDEN;
    for (size_t k = 0; k < n; k++, z += stride) {
        const double product = scale * stream_value(z);
        const double sum = offset + product;
        out[k] = (float)sum;
    }
}

#if STREAM_X86
/* Low 64 bits of a * b per lane; b as itself and with its halves exchanged. */
__attribute__((target("avx2"))) static inline __m256i
stream_mul_avx2(__m256i a, __m256i b, __m256i b_swapped)
{
    const __m256i low = _mm256_mul_epu32(a, b);
    const __m256i cross = _mm256_mullo_epi32(a, b_swapped); /* a0*b1 | a1*b0 */
    const __m256i sum = _mm256_add_epi32(_mm256_srli_epi64(cross, 32), cross);
    return _mm256_add_epi64(low, _mm256_slli_epi64(sum, 32));
}

__attribute__((target("avx2"))) static inline __m128
stream_four_avx2(__m256i z, __m256d offset, __m256d scale)
{
    const __m256i a = _mm256_set1_epi64x((int64_t)MIX_A);
    const __m256i b = _mm256_set1_epi64x((int64_t)MIX_B);
    const __m256i a_swapped = _mm256_set1_epi64x((int64_t)(MIX_A << 32 | MIX_A >> 32));
    const __m256i b_swapped = _mm256_set1_epi64x((int64_t)(MIX_B << 32 | MIX_B >> 32));
    z = stream_mul_avx2(_mm256_xor_si256(z, _mm256_srli_epi64(z, 30)), a, a_swapped);
    z = stream_mul_avx2(_mm256_xor_si256(z, _mm256_srli_epi64(z, 27)), b, b_swapped);
    z = _mm256_srli_epi64(_mm256_xor_si256(z, _mm256_srli_epi64(z, 31)), 40);
    z = _mm256_or_si256(z, _mm256_set1_epi64x((int64_t)MAGIC_BITS));
    const __m256d v = _mm256_sub_pd(_mm256_castsi256_pd(z), _mm256_set1_pd(MAGIC_MINUS));
    return _mm256_cvtpd_ps(_mm256_add_pd(offset, _mm256_mul_pd(scale, v)));
}

__attribute__((target("avx2"))) static void
stream_fill_avx2(uint64_t seed, uint64_t start, uint64_t step, size_t n, double offset,
                 double scale, float *out)
{
    const uint64_t stride = step * GOLDEN;
    const uint64_t z0 = seed + (start + 1) * GOLDEN;
    __m256i z = _mm256_set_epi64x((int64_t)(z0 + 3 * stride), (int64_t)(z0 + 2 * stride),
                                  (int64_t)(z0 + stride), (int64_t)z0);
    const __m256i four = _mm256_set1_epi64x((int64_t)(4 * stride));
    const __m256d offsets = _mm256_set1_pd(offset), scales = _mm256_set1_pd(scale);
    size_t k = 0;
    for (; k + 8 <= n; k += 8) {
        const __m256i y = _mm256_add_epi64(z, four);
        const __m128 low = stream_four_avx2(z, offsets, scales);
        const __m128 high = stream_four_avx2(y, offsets, scales);
        _mm_storeu_ps(out + k, low);
        _mm_storeu_ps(out + k + 4, high);
        z = _mm256_add_epi64(y, four);
    }
    _mm256_zeroupper(); /* gcc 12 forgets it before a tail call: SSE code runs at a third
                         */
    stream_fill_scalar(seed, start + k * step, step, n - k, offset, scale, out + k);
}

__attribute__((target("avx512f,avx512dq"))) static inline __m256
stream_eight_avx512(__m512i z, __m512d offset, __m512d scale)
{
    z = _mm512_mullo_epi64(_mm512_xor_si512(z, _mm512_srli_epi64(z, 30)),
                           _mm512_set1_epi64((int64_t)MIX_A));
    z = _mm512_mullo_epi64(_mm512_xor_si512(z, _mm512_srli_epi64(z, 27)),
                           _mm512_set1_epi64((int64_t)MIX_B));
    z = _mm512_srli_epi64(_mm512_xor_si512(z, _mm512_srli_epi64(z, 31)), 40);
    z = _mm512_or_si512(z, _mm512_set1_epi64((int64_t)MAGIC_BITS));
    const __m512d v = _mm512_sub_pd(_mm512_castsi512_pd(z), _mm512_set1_pd(MAGIC_MINUS));
    return _mm512_cvtpd_ps(_mm512_add_pd(offset, _mm512_mul_pd(scale, v)));
}

__attribute__((target("avx512f,avx512dq"))) static void
stream_fill_avx512(uint64_t seed, uint64_t start, uint64_t step, size_t n, double offset,
                   double scale, float *out)
{
    const uint64_t stride = step * GOLDEN;
    const uint64_t z0 = seed + (start + 1) * GOLDEN;
    const __m512i lanes = _mm512_set_epi64(7, 6, 5, 4, 3, 2, 1, 0);
    __m512i z =
        _mm512_add_epi64(_mm512_set1_epi64((int64_t)z0),
                         _mm512_mullo_epi64(lanes, _mm512_set1_epi64((int64_t)stride)));
    const __m512i eight = _mm512_set1_epi64((int64_t)(8 * stride));
    const __m512d offsets = _mm512_set1_pd(offset), scales = _mm512_set1_pd(scale);
    size_t k = 0;
    for (; k + 16 <= n; k += 16) {
        const __m512i y = _mm512_add_epi64(z, eight);
        const __m256 low = stream_eight_avx512(z, offsets, scales);
        const __m256 high = stream_eight_avx512(y, offsets, scales);
        _mm256_storeu_ps(out + k, low);
        _mm256_storeu_ps(out + k + 8, high);
        z = _mm512_add_epi64(y, eight);
    }
    _mm256_zeroupper(); /* gcc 12 forgets it before a tail call: SSE code runs at a third
                         */
    stream_fill_scalar(seed, start + k * step, step, n - k, offset, scale, out + k);
}
#endif

static const struct mld_stream_impl stream_all[] = {
#if STREAM_X86
    {"avx512", stream_fill_avx512},
    {"avx2", stream_fill_avx2},
#endif
    {"scalar", stream_fill_scalar},
};
#define STREAM_COUNT (sizeof(stream_all) / sizeof(stream_all[0]))

const struct mld_stream_impl *mld_stream_impls(size_t *n)
{
    /* Sorted by speed and each CPU that has one also has those after it, so that the
     * usable ones are a tail of the table. */
    size_t first = 0;
#if STREAM_X86
    __builtin_cpu_init();
    if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512dq"))
        first = 1;
    if (!__builtin_cpu_supports("avx2"))
        first = 2;
#endif
    *n = STREAM_COUNT - first;
    return stream_all + first;
}

void mld_stream_fill(uint64_t seed, uint64_t start, uint64_t step, size_t n,
                     double offset, double scale, float *out)
{
    size_t count;
    mld_stream_impls(&count)->fill(seed, start, step, n, offset, scale, out);
}
