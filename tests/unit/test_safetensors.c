/* test_safetensors.c: files as they should be, and files made to do harm: each is refused
 * with what is wrong and where, and no mutation of a good one crashes the reader. */
#include "kit/kit.h"

#include "artifact/safetensors.h"
#include "base/alloc.h"
#include "base/fs.h"
#include "base/stream.h"
#include "base/str.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Writes a file with this header and data; length < 0: the header's own. */
static void file_with(const char *path, long long length, const char *header,
                      const void *data, size_t n)
{
    struct mld_str s = {0};
    uint64_t l = length < 0 ? strlen(header) : (uint64_t)length;

    for (int i = 0; i < 8; i++)
        mld_str_addc(&s, (char)(l >> 8 * i));
    mld_str_add(&s, header);
    mld_str_append(&s, data, n);
    KIT_OK(mld_file_write(path, mld_str_c(&s), s.len, &kit_err));
    mld_str_release(&s);
}

static const char good[] =
    "{\"__metadata__\":{\"format\":\"pt\"},"
    "\"b\":{\"dtype\":\"F32\",\"shape\":[2,2],\"data_offsets\":[8,24]},"
    "\"a\":{\"dtype\":\"F16\",\"shape\":[4],\"data_offsets\":[0,8]},"
    "\"empty\":{\"dtype\":\"F32\",\"shape\":[0,3],\"data_offsets\":[24,24]},"
    "\"scalar\":{\"dtype\":\"I64\",\"shape\":[],\"data_offsets\":[24,32]}}   ";

static void good_data(unsigned char data[32])
{
    static const uint16_t half[4] = {0x3C00, 0xC000, 0x0001, 0x7C00}; /* 1 -2 2^-24 inf */
    static const float four[4] = {0.5f, -1.25f, 3e38f, 0.0f};
    static const int64_t seven = -7;

    memcpy(data, half, 8);
    memcpy(data + 8, four, 16);
    memcpy(data + 24, &seven, 8);
}

MLD_TEST(safetensors__reads_a_good_file)
{
    struct mld_safetensors *s;
    const struct mld_safetensor *t;
    unsigned char data[32];
    float x[4];

    good_data(data);
    file_with("g.safetensors", -1, good, data, sizeof(data));
    KIT_OK(mld_safetensors_open("g.safetensors", &s, &kit_err));
    KIT_EQ_INT(mld_safetensors_count(s), 4);
    KIT_EQ_STR(mld_safetensors_at(s, 0)->name, "a"); /* in the order of the data */
    KIT_CHECK(mld_safetensors_at(s, 4) == NULL);
    KIT_CHECK(mld_safetensors_find(s, "c") == NULL);
    KIT_CHECK(mld_safetensors_find(s, "__metadata__") == NULL);

    t = mld_safetensors_find(s, "a");
    KIT_EQ_STR(mld_safetensor_type_name(t->type), "F16");
    mld_safetensor_read(t, 0, 1, 4, x);
    KIT_CHECK(x[0] == 1.0f && x[1] == -2.0f && x[2] == 0x1p-24f && isinf(x[3]));

    t = mld_safetensors_find(s, "b");
    KIT_EQ_INT(t->rank, 2);
    KIT_EQ_INT(t->count, 4);
    mld_safetensor_read(t, 3, -1, 4, x); /* backwards */
    KIT_CHECK(x[0] == 0.0f && x[1] == 3e38f && x[2] == -1.25f && x[3] == 0.5f);
    mld_safetensor_read(t, 1, 0, 3, x); /* one element again and again */
    KIT_CHECK(x[0] == -1.25f && x[1] == -1.25f && x[2] == -1.25f);

    t = mld_safetensors_find(s, "empty");
    KIT_EQ_INT(t->count, 0);
    t = mld_safetensors_find(s, "scalar");
    KIT_EQ_INT(t->rank, 0);
    mld_safetensor_read(t, 0, 1, 1, x);
    KIT_CHECK(x[0] == -7.0f);
    mld_safetensors_close(s);
}

MLD_TEST(safetensors__converts_each_type)
{
    static const struct {
        const char *dtype;
        size_t bytes;
        unsigned char data[8];
        float value;
    } rows[] = {
        {"F64", 8, {0, 0, 0, 0, 0, 0, 0x04, 0xC0}, -2.5f},
        {"F32", 4, {0, 0, 0x20, 0xC0}, -2.5f},
        {"F16", 2, {0x00, 0xC1}, -2.5f},
        {"BF16", 2, {0x20, 0xC0}, -2.5f},
        {"I64", 8, {0xFE, 255, 255, 255, 255, 255, 255, 255}, -2.0f},
        {"I32", 4, {0xFE, 255, 255, 255}, -2.0f},
        {"I16", 2, {0xFE, 255}, -2.0f},
        {"I8", 1, {0xFE}, -2.0f},
        {"U64", 8, {1, 0, 0, 0, 0, 0, 0, 0x80}, 0x1p63f},
        {"U32", 4, {0, 0, 0, 0x80}, 0x1p31f},
        {"U16", 2, {0, 0x80}, 32768.0f},
        {"U8", 1, {200}, 200.0f},
        {"BOOL", 1, {3}, 1.0f},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct mld_safetensors *s;
        char header[128];
        float x = 0;

        snprintf(header, sizeof(header),
                 "{\"x\":{\"dtype\":\"%s\",\"shape\":[1],\"data_offsets\":[0,%zu]}}",
                 rows[i].dtype, rows[i].bytes);
        file_with("t", -1, header, rows[i].data, rows[i].bytes);
        KIT_OK(mld_safetensors_open("t", &s, &kit_err));
        KIT_CHECK(mld_safetensor_readable(mld_safetensors_at(s, 0)->type));
        mld_safetensor_read(mld_safetensors_at(s, 0), 0, 1, 1, &x);
        if (x != rows[i].value)
            KIT_FAIL("%s gives %g, not %g", rows[i].dtype, (double)x,
                     (double)rows[i].value);
        mld_safetensors_close(s);
    }
}

/* All 65,536 halves against their definition. */
MLD_TEST(safetensors__every_half_is_exact)
{
    struct mld_safetensors *s;
    uint16_t *all = mld_alloc(65536 * sizeof(*all));
    float *x = mld_alloc(65536 * sizeof(*x));

    for (unsigned i = 0; i < 65536; i++)
        all[i] = (uint16_t)i;
    file_with("h", -1,
              "{\"x\":{\"dtype\":\"F16\",\"shape\":[65536],\"data_offsets\":[0,131072]}}",
              all, 131072);
    KIT_OK(mld_safetensors_open("h", &s, &kit_err));
    mld_safetensor_read(mld_safetensors_at(s, 0), 0, 1, 65536, x);
    for (unsigned i = 0; i < 65536; i++) {
        const int e = (int)(i >> 10) & 31, f = (int)(i & 1023);
        const double sign = i & 0x8000 ? -1.0 : 1.0;
        const double want =
            e == 0 ? sign * ldexp(f, -24) : sign * ldexp(1024 + f, e - 25);

        if (e == 31)
            KIT_CHECK(f == 0 ? isinf(x[i]) && (x[i] < 0) == (sign < 0) : isnan(x[i]));
        else if ((double)x[i] != want || !signbit(x[i]) != !signbit(want))
            KIT_FAIL("half %#x gives %g, not %g", i, (double)x[i], want);
    }
    mld_safetensors_close(s);
    mld_free(all);
    mld_free(x);
}

#define ENTRY(dtype, shape, offsets)                                                     \
    "{\"x\":{\"dtype\":" dtype ",\"shape\":" shape ",\"data_offsets\":" offsets "}}"

MLD_TEST(safetensors__refuses_what_is_wrong)
{
    static const struct {
        long long length;
        const char *header, *says;
    } rows[] = {
        {-1, "[]", "the header is no JSON object"},
        {-1, "{\"x\":", "line 1"},
        {-1, "{\"x\":3}", "tensor 'x' is not described"},
        {-1, ENTRY("\"F31\"", "[1]", "[0,4]"), "tensor 'x' has unknown dtype 'F31'"},
        {-1, ENTRY("7", "[1]", "[0,4]"), "unknown dtype '(none)'"},
        {-1, ENTRY("\"F32\"", "3", "[0,4]"), "tensor 'x' has no shape"},
        {-1, ENTRY("\"F32\"", "[-1]", "[0,4]"), "is no list of sizes"},
        {-1, ENTRY("\"F32\"", "[1.5]", "[0,4]"), "is no list of sizes"},
        {-1, ENTRY("\"F32\"", "[\"1\"]", "[0,4]"), "is no list of sizes"},
        {-1, ENTRY("\"F32\"", "[4294967296,4294967296]", "[0,4]"),
         "tensor 'x' claims an impossible size"},
        {-1, ENTRY("\"F32\"", "[1]", "[0]"), "has no proper data_offsets"},
        {-1, ENTRY("\"F32\"", "[1]", "[0,4,8]"), "has no proper data_offsets"},
        {-1, ENTRY("\"F32\"", "[1]", "[8,4]"), "has no proper data_offsets"},
        {-1, ENTRY("\"F32\"", "[1]", "[-4,0]"), "has no proper data_offsets"},
        {-1, ENTRY("\"F32\"", "[2500000000]", "[0,10000000000]"),
         "tensor 'x' ends at data byte 10000000000 of 16: the file is truncated"},
        {-1, ENTRY("\"F32\"", "[2]", "[0,4]"),
         "tensor 'x' has 4 bytes of data but its shape wants 8"},
        {-1,
         "{\"x\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},"
         "\"y\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[4,12]}}",
         "tensors 'x' and 'y' overlap"},
        {-1,
         "{\"x\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},"
         "\"x\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}",
         "'x'"},
        {1000000, "{}", "a header of 1000000 bytes in a file of"},
        {10000000000, "{}", "a header of 10000000000 bytes in a file of"},
        {(long long)(~0ull >> 1), "{}", "a header of 9223372036854775807 bytes"},
    };
    static const unsigned char data[16];

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct mld_safetensors *s;

        file_with("bad.safetensors", rows[i].length, rows[i].header, data, sizeof(data));
        KIT_FAILS(mld_safetensors_open("bad.safetensors", &s, &kit_err), MLD_E_PARSE);
        KIT_CONTAINS(kit_err.message, "bad.safetensors");
        KIT_CONTAINS(kit_err.message, rows[i].says);
        KIT_CHECK(s == NULL);
    }
}

MLD_TEST(safetensors__refuses_what_is_no_file)
{
    struct mld_safetensors *s;

    KIT_FAILS(mld_safetensors_open("absent.safetensors", &s, &kit_err), MLD_E_NOT_FOUND);
    KIT_CONTAINS(kit_err.message, "cannot open weights 'absent.safetensors'");
    KIT_FAILS(mld_safetensors_open(".", &s, &kit_err), MLD_E_INVALID);
    KIT_CONTAINS(kit_err.message, "name one *.safetensors file");
    KIT_OK(mld_file_write("none", "", 0, &kit_err));
    KIT_FAILS(mld_safetensors_open("none", &s, &kit_err), MLD_E_PARSE);
    KIT_CONTAINS(kit_err.message, "empty");
    KIT_OK(mld_file_write("short", "1234567", 7, &kit_err));
    KIT_FAILS(mld_safetensors_open("short", &s, &kit_err), MLD_E_PARSE);
    KIT_FAILS(mld_safetensors_open("model.safetensors.index.json", &s, &kit_err),
              MLD_E_UNSUPPORTED);
    KIT_CONTAINS(kit_err.message, "sharded");
}

/* A header of 33 MB that is really there: refused by the limit, before it is parsed. */
MLD_TEST(safetensors__limits_the_header)
{
    const size_t n = 33u << 20;
    struct mld_safetensors *s;
    char *big = mld_alloc(n + 1);

    memset(big, ' ', n);
    big[n] = '\0';
    file_with("big", -1, big, "", 0);
    mld_free(big);
    KIT_FAILS(mld_safetensors_open("big", &s, &kit_err), MLD_E_PARSE);
    KIT_CONTAINS(kit_err.message, "over the limit");
}

/* As mld_file_write, but not down to the disk: thousands are written here. */
static void file_put(const char *path, const void *data, size_t n)
{
    FILE *f = fopen(path, "wb");

    KIT_CHECK(f != NULL);
    KIT_EQ_INT(fwrite(data, 1, n, f), n);
    KIT_EQ_INT(fclose(f), 0);
}

/* Opens the file and, when it is accepted, reads all of it. */
static void read_all(const char *path)
{
    struct mld_safetensors *s;

    if (mld_safetensors_open(path, &s, NULL) != 0)
        return;
    for (size_t i = 0; i < mld_safetensors_count(s); i++) {
        const struct mld_safetensor *t = mld_safetensors_at(s, i);
        float *x = mld_calloc((size_t)t->count + 1, sizeof(*x));
        mld_safetensor_read(t, 0, 1, (size_t)t->count, x);
        mld_free(x);
    }
    mld_safetensors_close(s);
}

MLD_TEST(safetensors__survives_truncation_and_mutation)
{
    const uint64_t seed = mld_stream_seed("mutations");
    unsigned char data[32];
    char *whole, *copy;
    size_t n;

    good_data(data);
    file_with("g", -1, good, data, sizeof(data));
    KIT_OK(mld_file_read("g", 1 << 20, &whole, &n, &kit_err));
    for (size_t cut = 0; cut < n; cut++) {
        struct mld_safetensors *s;
        file_put("m", whole, cut);
        KIT_CHECK(mld_safetensors_open("m", &s, &kit_err) != 0); /* every byte counts */
    }
    copy = mld_alloc(n);
    for (uint64_t i = 0; i < 3000; i++) {
        memcpy(copy, whole, n);
        for (uint64_t k = 0; k <= i % 3; k++) {
            const double at = (mld_stream_at(seed, 6 * i + 2 * k) + 1) / 2;
            const double to = (mld_stream_at(seed, 6 * i + 2 * k + 1) + 1) / 2;
            copy[(size_t)(at * (double)n)] =
                "0123456789[]{},:\"-eF\x7f\xff"[(int)(to * 22)];
        }
        file_put("m", copy, n);
        read_all("m");
    }
    mld_free(copy);
    mld_free(whole);
}

static int open_close(void *ctx)
{
    struct mld_safetensors *s;
    const int rc = mld_safetensors_open(ctx, &s, &kit_err);

    if (rc == 0)
        mld_safetensors_close(s);
    return rc;
}

MLD_TEST(safetensors__out_of_memory_is_an_error)
{
    unsigned char data[32];
    char path[] = "g";

    good_data(data);
    file_with(path, -1, good, data, sizeof(data));
    KIT_CHECK(kit_torture(open_close, path) > 5);
}
