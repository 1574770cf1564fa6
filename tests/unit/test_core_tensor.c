/* test_core_tensor.c: inputs are the same bytes everywhere, and every element type goes
 * to double and back. */
#include "kit/kit.h"

#include "base/stream.h"
#include "core/tensor_values.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct mld_case_input input(enum mld_dtype dtype, const char *fill, int64_t count)
{
    return (struct mld_case_input){.name = "x",
                                   .dtype = dtype,
                                   .rank = 1,
                                   .dims = {count},
                                   .fill = fill,
                                   .state_output = -1};
}

MLD_TEST(tensor__counts)
{
    const int64_t shape[] = {2, 3, 4};
    const int64_t huge[] = {INT64_MAX, 2};
    const int64_t empty[] = {INT64_MAX, 0};
    const int64_t negative[] = {-1};
    KIT_EQ_INT(mld_tensor_count(shape, 3), 24);
    KIT_EQ_INT(mld_tensor_count(shape, 0), 1);
    KIT_EQ_INT(mld_tensor_count(huge, 2), -1);
    KIT_EQ_INT(mld_tensor_count(empty, 2), 0);
    KIT_EQ_INT(mld_tensor_count(negative, 1), -1);
}

MLD_TEST(tensor__uniform_floats_are_the_stream)
{
    enum { N = 5000 };
    static float x[N];
    struct mld_case_input in = input(MLD_F32, "uniform", N);
    const uint64_t seed = mld_stream_seed("input:x");
    KIT_OK(mld_tensor_fill(&in, x, &kit_err));
    for (size_t i = 0; i < N; i++)
        KIT_NEAR(x[i], mld_stream_at(seed, i), 0.0);
    in.stream = "other";
    KIT_OK(mld_tensor_fill(&in, x, &kit_err));
    KIT_NEAR(x[7], mld_stream_at(mld_stream_seed("other"), 7), 0.0);
}

MLD_TEST(tensor__ids_are_those_of_the_goldens)
{
    enum { N = 10000 };
    static int64_t x[N];
    struct mld_case_input in = input(MLD_I64, "ids", N);
    const uint64_t seed = mld_stream_seed("input:x");
    int64_t least = 999, most = -1;
    in.low = 5;
    in.high = 99;
    KIT_OK(mld_tensor_fill(&in, x, &kit_err));
    for (size_t i = 0; i < N; i++) {
        double s = mld_stream_at(seed, i);
        KIT_EQ_INT(x[i], 5 + (int64_t)floor((s + 1.0) / 2.0 * 94.0));
        least = x[i] < least ? x[i] : least;
        most = x[i] > most ? x[i] : most;
    }
    KIT_EQ_INT(least, 5);
    KIT_EQ_INT(most, 98);
    in.high = 5;
    KIT_FAILS(mld_tensor_fill(&in, x, &kit_err), MLD_E_INVALID);
}

/* Every integer type is filled over its whole range when none is given. */
MLD_TEST(tensor__uniform_integers_fill_their_range)
{
    static const struct {
        enum mld_dtype dtype;
        double low, high;
    } rows[] = {{MLD_I8, -128, 127},
                {MLD_U8, 0, 255},
                {MLD_I4, -8, 7},
                {MLD_U4, 0, 15},
                {MLD_BOOL, 0, 1}};
    enum { N = 9999 };
    static unsigned char data[N];
    static double x[N];
    for (size_t k = 0; k < sizeof(rows) / sizeof(*rows); k++) {
        struct mld_case_input in = input(rows[k].dtype, "uniform", N);
        double least = INFINITY, most = -INFINITY;
        KIT_OK(mld_tensor_fill(&in, data, &kit_err));
        mld_tensor_read(rows[k].dtype, data, 0, N, x);
        for (size_t i = 0; i < N; i++) {
            least = fmin(least, x[i]);
            most = fmax(most, x[i]);
        }
        KIT_NEAR(least, rows[k].low, 0.0);
        KIT_NEAR(most, rows[k].high, 0.0);
    }
}

MLD_TEST(tensor__constant_and_listed_fills)
{
    float x[3];
    int32_t k[3];
    const double list[] = {1.5, -2.5, 3.0};
    struct mld_case_input in = input(MLD_F32, "ones", 3);
    KIT_OK(mld_tensor_fill(&in, x, &kit_err));
    KIT_NEAR(x[2], 1.0, 0.0);
    in.fill = "zeros";
    KIT_OK(mld_tensor_fill(&in, x, &kit_err));
    KIT_NEAR(x[2], 0.0, 0.0);
    in.fill = "value";
    in.low = 7;
    KIT_OK(mld_tensor_fill(&in, x, &kit_err));
    KIT_NEAR(x[1], 7.0, 0.0);
    in.fill = "values";
    in.values = list;
    in.value_count = 3;
    KIT_OK(mld_tensor_fill(&in, x, &kit_err));
    KIT_NEAR(x[1], -2.5, 0.0);
    in.dtype = MLD_I32;
    KIT_OK(mld_tensor_fill(&in, k, &kit_err));
    KIT_EQ_INT(k[2], 3);
    in.value_count = 2;
    KIT_FAILS(mld_tensor_fill(&in, x, &kit_err), MLD_E_INVALID);
    KIT_CONTAINS(kit_err.message, "2 values given, its shape holds 3");
    in.fill = "sparkles";
    KIT_FAILS(mld_tensor_fill(&in, x, &kit_err), MLD_E_INVALID);
    KIT_CONTAINS(kit_err.message, "unknown fill 'sparkles'");
}

/* Every finite half there is comes back as itself. */
MLD_TEST(tensor__f16_goes_there_and_back)
{
    for (unsigned h = 0; h < 65536; h++) {
        uint16_t from = (uint16_t)h, to;
        double x;
        mld_tensor_read(MLD_F16, &from, 0, 1, &x);
        if (isnan(x))
            continue;
        mld_tensor_write(MLD_F16, &to, 0, 1, &x);
        KIT_EQ_INT(to, from);
        mld_tensor_read(MLD_BF16, &from, 0, 1, &x);
        if (isnan(x))
            continue;
        mld_tensor_write(MLD_BF16, &to, 0, 1, &x);
        KIT_EQ_INT(to, from);
    }
}

MLD_TEST(tensor__f16_rounds_to_nearest_even)
{
    static const struct {
        double x;
        unsigned f16, bf16;
    } rows[] = {
        {1.0, 0x3C00, 0x3F80},
        {-2.0, 0xC000, 0xC000},
        {1.0 + 0x1p-11, 0x3C00, 0x3F80},           /* half an ulp: to even, down */
        {1.0 + 3 * 0x1p-11, 0x3C02, 0x3F80},       /* and up */
        {1.0 + 0x1p-11 + 0x1p-40, 0x3C01, 0x3F80}, /* a hair more */
        {65504.0, 0x7BFF, 0x4780},
        {65519.999, 0x7BFF, 0x4780},
        {65520.0, 0x7C00, 0x4780},
        {0x1p-24, 0x0001, 0x3380}, /* the smallest subnormal */
        {0x1p-25, 0x0000, 0x3300}, /* half of it: to even */
        {0x1.8p-25, 0x0001, 0x3340},
        {0x1p-14 - 0x1p-25, 0x0400, 0x3880}, /* rounds up into the normal numbers */
        {1.0 + 0x1p-8, 0x3C04, 0x3F80},      /* bfloat16: half an ulp, to even */
        {1.0 + 3 * 0x1p-8, 0x3C0C, 0x3F82},
        {1.0 + 0x1p-8 + 0x1p-45, 0x3C04, 0x3F81}, /* no double rounding through float */
        {INFINITY, 0x7C00, 0x7F80},
        {-0.0, 0x8000, 0x8000},
        {1e300, 0x7C00, 0x7F80},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        uint16_t h;
        mld_tensor_write(MLD_F16, &h, 0, 1, &rows[i].x);
        if (h != rows[i].f16)
            KIT_FAIL("%a is f16 %04x, not %04x", rows[i].x, h, rows[i].f16);
        mld_tensor_write(MLD_BF16, &h, 0, 1, &rows[i].x);
        if (h != rows[i].bf16)
            KIT_FAIL("%a is bf16 %04x, not %04x", rows[i].x, h, rows[i].bf16);
    }
    const double nan = NAN;
    uint16_t h;
    mld_tensor_write(MLD_F16, &h, 0, 1, &nan);
    KIT_EQ_INT(h & 0x7FFF, 0x7E00);
    mld_tensor_write(MLD_BF16, &h, 0, 1, &nan);
    KIT_EQ_INT(h & 0x7FFF, 0x7FC0);
}

MLD_TEST(tensor__integers_are_cut_to_their_range)
{
    const double x[] = {-1e30, 1e30, NAN, -1.9, 300.0};
    int8_t a[5];
    uint8_t b[5];
    int64_t c[5];
    mld_tensor_write(MLD_I8, a, 0, 5, x);
    mld_tensor_write(MLD_U8, b, 0, 5, x);
    mld_tensor_write(MLD_I64, c, 0, 5, x);
    KIT_EQ_INT(a[0], -128);
    KIT_EQ_INT(a[1], 127);
    KIT_EQ_INT(a[2], 0);
    KIT_EQ_INT(a[3], -1);
    KIT_EQ_INT(b[0], 0);
    KIT_EQ_INT(b[4], 255);
    KIT_EQ_INT(c[0], INT64_MIN);
    KIT_CHECK(c[1] > INT64_MAX - 2048);
}

MLD_TEST(tensor__nibbles_are_packed_low_first)
{
    const double x[] = {-8, 7, -1, 3, 5};
    double y[5];
    unsigned char bytes[3] = {0, 0, 0xF0};
    mld_tensor_write(MLD_I4, bytes, 0, 5, x);
    KIT_EQ_INT(bytes[0], 0x78);
    KIT_EQ_INT(bytes[1], 0x3F);
    KIT_EQ_INT(bytes[2], 0xF5); /* the padding half stays */
    mld_tensor_read(MLD_I4, bytes, 1, 4, y);
    KIT_NEAR(y[0], 7.0, 0.0);
    KIT_NEAR(y[1], -1.0, 0.0);
    KIT_NEAR(y[3], 5.0, 0.0);
}
