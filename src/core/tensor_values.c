/* tensor_values.c: inputs from streams of numbers, and conversion between the element
 * types and double. Plain C: inputs are made outside every timed phase. */
#include "core/tensor_values.h"

#include "base/alloc.h"
#include "base/stream.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define MLD_TENSOR_PIECE 4096 /* elements converted at a time; even, for 4-bit types */

int64_t mld_tensor_count(const int64_t *dims, int rank)
{
    int64_t count = 1;
    for (int i = 0; i < rank; i++) {
        if (dims[i] < 0 || (dims[i] > 0 && count > INT64_MAX / dims[i]))
            return -1;
        count *= dims[i];
    }
    return count;
}

/* --- 16-bit floats ---------------------------------------------------------------- */

/* Rounds a double to a binary16 (5 exponent bits, 10 fraction bits), ties to even. */
static uint16_t tensor_to_f16(double x)
{
    uint16_t sign = signbit(x) ? 0x8000u : 0u;
    double a = fabs(x);
    if (isnan(x))
        return sign | 0x7E00u;
    if (a >= 65520.0) /* halfway between the largest finite and 2^16 */
        return sign | 0x7C00u;
    int exponent = -13;
    if (a > 0.0)
        (void)frexp(a, &exponent);               /* a = f * 2^exponent, f in [0.5, 1) */
    exponent = exponent < -13 ? -13 : exponent;  /* subnormal from here on */
    long units = lrint(ldexp(a, 11 - exponent)); /* ulp is 2^(exponent - 11) */
    /* units is 1024..2048 for normal numbers: the carry of 2048 is the next exponent. */
    return (uint16_t)(sign | (uint16_t)(((exponent + 13) << 10) + units));
}

static double tensor_from_f16(uint16_t h)
{
    int exponent = (h >> 10) & 0x1F, fraction = h & 0x3FF;
    double x = exponent == 0    ? ldexp(fraction, -24)
               : exponent == 31 ? (fraction ? NAN : INFINITY)
                                : ldexp(1024 + fraction, exponent - 25);
    return h & 0x8000u ? -x : x;
}

/* Rounds to a bfloat16 through float's bits. The double is rounded to odd on the way to
 * float, so that the second rounding decides alone. */
static uint16_t tensor_to_bf16(double x)
{
    float f = (float)x;
    uint32_t bits;
    if (isnan(x))
        return 0x7FC0u;
    if (isfinite(f) && (double)f != x) {
        /* Towards zero, then the lowest bit set: "there is more below". */
        if (fabs((double)f) > fabs(x))
            f = nextafterf(f, 0.0f);
        memcpy(&bits, &f, sizeof(bits));
        bits |= 1u;
    } else {
        memcpy(&bits, &f, sizeof(bits));
    }
    if (isinf(f))
        return (uint16_t)(bits >> 16);
    return (uint16_t)((bits + 0x7FFFu + ((bits >> 16) & 1u)) >> 16);
}

static double tensor_from_bf16(uint16_t h)
{
    uint32_t bits = (uint32_t)h << 16;
    float f;
    memcpy(&f, &bits, sizeof(f));
    return (double)f;
}

/* --- conversion ------------------------------------------------------------------- */

struct tensor_range {
    double low, high; /* inclusive; 0, 0 for floats */
};

static struct tensor_range tensor_range_of(enum mld_dtype t)
{
    switch (t) {
    case MLD_I8:
        return (struct tensor_range){-128.0, 127.0};
    case MLD_U8:
        return (struct tensor_range){0.0, 255.0};
    case MLD_I4:
        return (struct tensor_range){-8.0, 7.0};
    case MLD_U4:
        return (struct tensor_range){0.0, 15.0};
    case MLD_I32:
        return (struct tensor_range){-2147483648.0, 2147483647.0};
    case MLD_I64: /* the largest double below 2^63 */
        return (struct tensor_range){-9223372036854775808.0, 9223372036854774784.0};
    case MLD_BOOL:
        return (struct tensor_range){0.0, 1.0};
    case MLD_F32:
    case MLD_F16:
    case MLD_BF16:
    case MLD_DTYPE_COUNT:
        break;
    }
    return (struct tensor_range){0.0, 0.0};
}

static int64_t tensor_to_integer(enum mld_dtype t, double x)
{
    const struct tensor_range r = tensor_range_of(t);
    return isnan(x) ? 0 : (int64_t)fmin(fmax(x, r.low), r.high);
}

static void tensor_write_one(enum mld_dtype t, void *data, size_t i, double x)
{
    uint8_t *const bytes = data;
    switch (t) {
    case MLD_F32:
        ((float *)data)[i] = (float)x;
        break;
    case MLD_F16:
        ((uint16_t *)data)[i] = tensor_to_f16(x);
        break;
    case MLD_BF16:
        ((uint16_t *)data)[i] = tensor_to_bf16(x);
        break;
    case MLD_I8:
    case MLD_U8:
        bytes[i] = (uint8_t)tensor_to_integer(t, x);
        break;
    case MLD_I4:
    case MLD_U4: { /* the first of a pair lies in the low half */
        unsigned shift = i % 2 == 0 ? 0 : 4, nibble = tensor_to_integer(t, x) & 0xF;
        bytes[i / 2] = (uint8_t)((bytes[i / 2] & (0xF0u >> shift)) | (nibble << shift));
        break;
    }
    case MLD_I32:
        ((int32_t *)data)[i] = (int32_t)tensor_to_integer(t, x);
        break;
    case MLD_I64:
        ((int64_t *)data)[i] = tensor_to_integer(t, x);
        break;
    case MLD_BOOL:
        bytes[i] = x != 0.0;
        break;
    case MLD_DTYPE_COUNT:
        break;
    }
}

static double tensor_read_one(enum mld_dtype t, const void *data, size_t i)
{
    const uint8_t *const bytes = data;
    switch (t) {
    case MLD_F32:
        return (double)((const float *)data)[i];
    case MLD_F16:
        return tensor_from_f16(((const uint16_t *)data)[i]);
    case MLD_BF16:
        return tensor_from_bf16(((const uint16_t *)data)[i]);
    case MLD_I8:
        return ((const int8_t *)data)[i];
    case MLD_U8:
        return bytes[i];
    case MLD_I4: {
        int nibble = (bytes[i / 2] >> (i % 2 == 0 ? 0 : 4)) & 0xF;
        return nibble < 8 ? nibble : nibble - 16;
    }
    case MLD_U4:
        return (bytes[i / 2] >> (i % 2 == 0 ? 0 : 4)) & 0xF;
    case MLD_I32:
        return ((const int32_t *)data)[i];
    case MLD_I64:
        return (double)((const int64_t *)data)[i];
    case MLD_BOOL:
        return bytes[i] != 0;
    case MLD_DTYPE_COUNT:
        break;
    }
    return NAN;
}

void mld_tensor_read(enum mld_dtype t, const void *data, size_t first, size_t n,
                     double *out)
{
    for (size_t i = 0; i < n; i++)
        out[i] = tensor_read_one(t, data, first + i);
}

void mld_tensor_write(enum mld_dtype t, void *data, size_t first, size_t n,
                      const double *values)
{
    for (size_t i = 0; i < n; i++)
        tensor_write_one(t, data, first + i, values[i]);
}

/* --- rules ------------------------------------------------------------------------ */

/* A rule in numbers: element = from + floor or not of (s + 1) / 2 * span, or one
 * value. */
struct tensor_rule {
    enum { RULE_FLOATS, RULE_SPREAD, RULE_VALUE, RULE_VALUES } kind;
    double from, span;
    double value;
    uint64_t seed;
};

static int tensor_rule_of(const struct mld_case_input *in, int64_t count,
                          struct tensor_rule *r, struct mld_error *err)
{
    const struct tensor_range range = tensor_range_of(in->dtype);
    const bool floats = range.low == range.high;
    char fallback[256];
    snprintf(fallback, sizeof(fallback), "input:%s", in->name);
    memset(r, 0, sizeof(*r));
    r->seed = mld_stream_seed(in->stream ? in->stream : fallback);
    r->from = (double)in->low;
    r->span = (double)in->high - (double)in->low;
    if (mld_streq(in->fill, "uniform")) {
        r->kind = floats ? RULE_FLOATS : RULE_SPREAD;
        if (in->high <= in->low || in->dtype == MLD_BOOL) {
            r->from = range.low;
            r->span = range.high - range.low + 1.0;
        }
    } else if (mld_streq(in->fill, "ids")) {
        r->kind = RULE_SPREAD;
        if (in->high <= in->low)
            return mld_error_set(err, MLD_E_INVALID, "input '%s': ids of an empty range",
                                 in->name);
    } else if (mld_streq(in->fill, "ones") || mld_streq(in->fill, "zeros")) {
        r->kind = RULE_VALUE;
        r->value = in->fill[0] == 'o' ? 1.0 : 0.0;
    } else if (mld_streq(in->fill, "value")) {
        r->kind = RULE_VALUE;
        r->value = in->value_count > 0 ? in->values[0] : (double)in->low;
    } else if (mld_streq(in->fill, "values")) {
        r->kind = RULE_VALUES;
        if ((int64_t)in->value_count != count)
            return mld_error_set(err, MLD_E_INVALID,
                                 "input '%s': %zu values given, its shape holds %lld",
                                 in->name, in->value_count, (long long)count);
    } else {
        return mld_error_set(err, MLD_E_INVALID, "input '%s': unknown fill '%s'",
                             in->name, in->fill);
    }
    return 0;
}

static void tensor_piece(const struct tensor_rule *r, const struct mld_case_input *in,
                         size_t first, size_t n, double *out)
{
    for (size_t i = 0; i < n; i++) {
        double s = 0.0;
        if (r->kind == RULE_FLOATS || r->kind == RULE_SPREAD)
            s = mld_stream_at(r->seed, first + i);
        switch (r->kind) {
        case RULE_FLOATS:
            out[i] = s;
            break;
        case RULE_SPREAD:
            out[i] = r->from + floor((s + 1.0) / 2.0 * r->span);
            break;
        case RULE_VALUE:
            out[i] = r->value;
            break;
        case RULE_VALUES:
            out[i] = in->values[first + i];
            break;
        }
    }
}

int mld_tensor_fill(const struct mld_case_input *in, void *data, struct mld_error *err)
{
    struct tensor_rule rule;
    double piece[MLD_TENSOR_PIECE];
    int64_t count = mld_tensor_count(in->dims, in->rank);
    if (count < 0)
        return mld_error_set(err, MLD_E_TOO_LARGE, "input '%s': shape is too large",
                             in->name);
    MLD_TRY(tensor_rule_of(in, count, &rule, err));
    if (rule.kind == RULE_FLOATS && in->dtype == MLD_F32) {
        mld_stream_fill(rule.seed, 0, 1, (size_t)count, 0.0, 1.0, data);
        return 0;
    }
    if (rule.kind == RULE_VALUE && rule.value == 0.0) {
        memset(data, 0, mld_dtype_bytes(in->dtype, count));
        return 0;
    }
    for (size_t i = 0; i < (size_t)count; i += MLD_TENSOR_PIECE) {
        size_t n =
            (size_t)count - i < MLD_TENSOR_PIECE ? (size_t)count - i : MLD_TENSOR_PIECE;
        tensor_piece(&rule, in, i, n, piece);
        mld_tensor_write(in->dtype, data, i, n, piece);
    }
    return 0;
}
