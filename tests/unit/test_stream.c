/* test_stream.c: the number stream against known answers that a NumPy program gave, and
 * its implementations against each other, bit by bit. */
#include "base/alloc.h"
#include "base/str.h"
#include "base/stream.h"
#include "kit/kit.h"

#include <math.h>
#include <string.h>

static const struct mld_stream_impl *impls(size_t *n)
{
    const struct mld_stream_impl *list = mld_stream_impls(n);
    KIT_CHECK(*n >= 1);
    KIT_EQ_STR(list[*n - 1].name, "scalar");
    return list;
}

static uint32_t bits_of(float x)
{
    uint32_t u;
    memcpy(&u, &x, sizeof(u));
    return u;
}

MLD_TEST(stream__seed_is_fnv1a64_of_the_name)
{
    KIT_EQ_U64(mld_stream_seed(""), 0xCBF29CE484222325u);
    KIT_EQ_U64(mld_stream_seed("a"), 0xAF63DC4C8601EC8Cu);
    KIT_EQ_U64(mld_stream_seed("foobar"), 0x85944171F73967E8u);
    KIT_EQ_U64(mld_stream_seed("cls_token"), 0x4121142B781A9599u);
}

MLD_TEST(stream__single_values_are_known)
{
    const uint64_t seed = mld_stream_seed("input:pixel_values");
    KIT_CHECK(mld_stream_at(seed, 0) == -0x1.d1960cp-1);
    KIT_CHECK(mld_stream_at(seed, 1) == -0x1.31ec5p-3);
    KIT_CHECK(mld_stream_at(seed, 2) == -0x1.154038p-2);
    KIT_CHECK(mld_stream_at(seed, 3) == -0x1.2c2fp-4);
    KIT_CHECK(mld_stream_at(seed, 99999) == 0x1.fe4db8p-2);
}

/* The reference's bits for six parameters, one of each rule. */
MLD_TEST(stream__parameters_are_known)
{
    static const struct {
        const char *name;
        double offset, scale;
        uint32_t bits[20];
    } rows[] = {
        {"embeddings.word_embeddings.weight",
         0.0,
         0x1.3988e1409212ep-1,
         {0xBED23492, 0x3E810E4E, 0xBEC1EEA9, 0xBBC129B0, 0x3ED503BD,
          0xBE93383E, 0xBDF82294, 0xBEDD8DDC, 0x3F007143, 0x3EE04322,
          0x3EE80640, 0x3EDB768F, 0x3EC9E778, 0xBE209890, 0xBF17C1B2,
          0x3EE99F1D, 0xBF05DDFF, 0x3E7A00CE, 0xBF0FC405, 0x3DA263AB}},
        {"encoder.layer.0.attention.self.query.weight",
         0.0,
         0x1.4f2ec413cb52ap-1,
         {0xBE75FFC8, 0xBD93ACA7, 0xBF209D7A, 0xBD8F9096, 0xBF06B6AD,
          0x3D1D0DB8, 0xBF0E391F, 0x3C8FD0E7, 0xBF19D064, 0x3F1B0C63,
          0xBF0E71F8, 0x3F0B4665, 0xBE58B781, 0x3F1F0984, 0xBE95B33E,
          0x3D8404C8, 0xBEEA11B5, 0x3E612A18, 0x3D52F190, 0x3E4B66B9}},
        {"encoder.layer.0.attention.self.query.bias",
         0.0,
         0.1,
         {0x3B1E9200, 0xBD8F5626, 0xBDB3ECFD, 0xBB5CC000, 0x3C8D93C6,
          0x3CFFE7ED, 0xBD95969B, 0x3D7EEF2A, 0x3CCEF106, 0xBD2029B6,
          0xBD17C986, 0xBD8FEA80, 0x3C973D9A, 0x3D5C0DF6, 0x3CD4FE26,
          0xBDC8E165, 0xBD98875B, 0xBC81FE53, 0x3D6529BA, 0xBC5FB340}},
        {"encoder.layer.0.output.LayerNorm.weight",
         1.0,
         0.1,
         {0x3F866D7E, 0x3F8A3E72, 0x3F7A95D9, 0x3F7EA5A9, 0x3F83D86C, 0x3F745454,
          0x3F7B2DB4, 0x3F81FADF, 0x3F736196}},
        {"bn.running_var",
         0.5,
         0.1,
         {0x3F128456, 0x3EF212E2, 0x3EDAF5E4, 0x3EF915E9, 0x3EF069DE, 0x3ED3E437}},
        {"cls_token",
         0.0,
         0x1.8c97ef43f7248p-1,
         {0xBC90D1F0, 0xBE73CED2, 0x3C05315C, 0x3EE652DE, 0xBF368B1C}},
    };
    size_t n;
    const struct mld_stream_impl *list = impls(&n);
    for (size_t r = 0; r < sizeof(rows) / sizeof(rows[0]); r++) {
        size_t count = 0;
        while (count < 20 && rows[r].bits[count] != 0)
            count++;
        const uint64_t seed = mld_stream_seed(rows[r].name);
        for (size_t i = 0; i < n; i++) {
            float out[20];
            list[i].fill(seed, 0, 1, count, rows[r].offset, rows[r].scale, out);
            for (size_t k = 0; k < count; k++)
                KIT_EQ_U64(bits_of(out[k]), rows[r].bits[k]);
        }
    }
}

/* FNV-1a over the bytes of whole parameters (little endian), as the reference has them.
 */
MLD_TEST(stream__whole_parameters_are_known)
{
    static const struct {
        const char *name;
        size_t count;
        double offset, scale;
        uint64_t hash;
    } rows[] = {
        {"transformer.wte.weight", 97873, 0.0, 0.17586311452816475, 0xB8A26BDD0899E456u},
        {"lstm.alpha_scale_factor", 100003, 1.0, 0.1, 0xCA17B5F4485D0F86u},
    };
    size_t n;
    const struct mld_stream_impl *list = impls(&n);
    for (size_t r = 0; r < 2; r++) {
        float *out = mld_alloc(rows[r].count * sizeof(float));
        KIT_CHECK(out != NULL);
        for (size_t i = 0; i < n; i++) {
            list[i].fill(mld_stream_seed(rows[r].name), 0, 1, rows[r].count,
                         rows[r].offset, rows[r].scale, out);
            KIT_EQ_U64(mld_fnv1a64(MLD_FNV_BASIS, out, rows[r].count * sizeof(float)),
                       rows[r].hash);
        }
        mld_free(out);
    }
}

/* Starts and steps that a transposed or sliced tensor needs, and such that wrap around;
 * lengths around the width of a vector; nothing written behind the end. */
MLD_TEST(stream__implementations_agree_bit_by_bit)
{
    static const uint64_t starts[] = {0, 1, 767, 12345678901u, UINT64_MAX - 5};
    static const uint64_t steps[] = {0, 1, 2, 768, 30522, UINT64_MAX, 1u << 31};
    const uint64_t seed = mld_stream_seed("any.weight");
    size_t n;
    const struct mld_stream_impl *list = impls(&n);
    for (size_t a = 0; a < sizeof(starts) / sizeof(starts[0]); a++)
        for (size_t b = 0; b < sizeof(steps) / sizeof(steps[0]); b++)
            for (size_t len = 0; len <= 50; len++)
                for (size_t i = 0; i < n; i++) {
                    float out[52];
                    memset(out, 0x7F, sizeof(out));
                    /* One float off: an unaligned target. */
                    list[i].fill(seed, starts[a], steps[b], len, 0.25, 0.7, out + 1);
                    for (size_t k = 0; k < len; k++) {
                        const double v = mld_stream_at(seed, starts[a] + k * steps[b]);
                        const volatile double product = 0.7 * v;
                        const float want = (float)(0.25 + product);
                        KIT_EQ_U64(bits_of(out[k + 1]), bits_of(want));
                    }
                    KIT_EQ_U64(bits_of(out[0]), 0x7F7F7F7F);
                    KIT_EQ_U64(bits_of(out[len + 1]), 0x7F7F7F7F);
                }
}

/* -fl(scale * v) + scale * v is 0 when the product is rounded, and what the rounding took
 * away when the compiler fused the two operations. */
MLD_TEST(stream__product_is_rounded_before_the_sum)
{
    const uint64_t seed = mld_stream_seed("fused");
    size_t n, inexact = 0;
    const struct mld_stream_impl *list = impls(&n);
    for (uint64_t start = 0; start < 64; start++) {
        const double v = mld_stream_at(seed, start);
        const volatile double product = 0.1 * v;
        inexact += fma(0.1, v, -product) != 0;
        for (size_t i = 0; i < n; i++) {
            float out[33];
            list[i].fill(seed, start, 0, 33, -product, 0.1,
                         out); /* step 0: all the same */
            for (size_t k = 0; k < 33; k++)
                KIT_CHECK(out[k] == 0.0f);
        }
    }
    KIT_CHECK(inexact > 32); /* or the case would show nothing */
}

MLD_TEST(stream__values_fill_the_range)
{
    const uint64_t seed = mld_stream_seed("range");
    double low = 1, high = -1, sum = 0;
    for (uint64_t i = 0; i < 100000; i++) {
        const double v = mld_stream_at(seed, i);
        KIT_CHECK(v >= -1.0 && v < 1.0);
        KIT_CHECK((double)(float)v == v);
        low = v < low ? v : low;
        high = v > high ? v : high;
        sum += v;
    }
    KIT_CHECK(low < -0.999 && high > 0.999);
    KIT_NEAR(sum / 100000, 0, 0.01); /* five standard errors of the mean */
}

MLD_TEST(stream__fill_uses_the_fastest)
{
    size_t n;
    const struct mld_stream_impl *list = impls(&n);
    float a[100], b[100];
    mld_stream_fill(7, 3, 5, 100, 0.5, 0.25, a);
    list[0].fill(7, 3, 5, 100, 0.5, 0.25, b);
    KIT_EQ_MEM(a, b, sizeof(a));
}
