/* test_base_str.c: buffers, number parsing, nearest names, hashes. */
#include "base/alloc.h"
#include "base/str.h"
#include "kit/kit.h"

#include <string.h>

MLD_TEST(str__grows_and_stays_terminated)
{
    struct mld_str s = {0};
    KIT_EQ_STR(mld_str_c(&s), "");
    mld_str_add(&s, "abc");
    mld_str_addc(&s, '-');
    mld_str_append(&s, "x\0y", 3);
    mld_str_addf(&s, "%d/%s", 42, "z");
    KIT_EQ_U64(s.len, 11);
    KIT_EQ_MEM(s.data, "abc-x\0y42/z", 12);
    for (int i = 0; i < 10000; i++) {
        mld_str_addc(&s, 'q');
        KIT_CHECK(s.data[s.len] == '\0' && s.len < s.cap);
    }
    mld_str_addf(&s, "%500d", 1);
    KIT_EQ_U64(s.len, 10511);
    KIT_OK(mld_str_check(&s, &kit_err));
    mld_str_clear(&s);
    KIT_EQ_STR(mld_str_c(&s), "");
    mld_str_release(&s);
    mld_str_release(NULL);
}

MLD_TEST(str__limit_stops_it_for_good)
{
    struct mld_str s;
    mld_str_init(&s, 10);
    mld_str_add(&s, "0123456789"); /* exactly the limit */
    KIT_OK(mld_str_check(&s, &kit_err));
    KIT_CHECK(s.cap <= 11);
    mld_str_addc(&s, 'x');
    mld_str_append(&s, "", 0);
    KIT_EQ_STR(mld_str_c(&s), "0123456789");
    KIT_FAILS(mld_str_check(&s, &kit_err), MLD_E_TOO_LARGE);
    KIT_CHECK(mld_str_take(&s) == NULL);
    KIT_CHECK(!s.failed && s.data == NULL); /* empty again, with its limit */
    mld_str_addf(&s, "%300d", 1);
    KIT_FAILS(mld_str_check(&s, &kit_err), MLD_E_TOO_LARGE);
    mld_str_clear(&s);
    mld_str_append(&s, "x", SIZE_MAX);
    KIT_CHECK(s.failed);
    mld_str_clear(&s);
    mld_str_add(&s, "ok");
    KIT_OK(mld_str_check(&s, &kit_err));
    mld_str_release(&s);
    KIT_EQ_U64(s.max, 10);
}

MLD_TEST(str__take_gives_the_text_away)
{
    struct mld_str s = {0};
    char *empty = mld_str_take(&s);
    KIT_EQ_STR(empty, "");
    mld_free(empty);
    mld_str_add(&s, "mine");
    char *text = mld_str_take(&s);
    KIT_EQ_STR(text, "mine");
    KIT_CHECK(s.data == NULL && s.len == 0 && s.cap == 0);
    mld_free(text);
}

static int str_body(void *ctx)
{
    (void)ctx;
    struct mld_str s = {0};
    mld_str_add(&s, "start");
    for (int i = 0; i < 100; i++)
        mld_str_addf(&s, "%300d", i);
    const int rc = mld_str_check(&s, &kit_err);
    char *text = mld_str_take(&s);
    KIT_CHECK((text != NULL) == (rc == MLD_OK));
    mld_free(text);
    return rc;
}

MLD_TEST(str__survives_every_failing_allocation)
{
    KIT_CHECK(kit_torture(str_body, NULL) >= 5);
}

MLD_TEST(str__compares)
{
    KIT_CHECK(mld_streq("a", "a") && !mld_streq("a", "b"));
    KIT_CHECK(mld_streq(NULL, NULL) && !mld_streq(NULL, "") && !mld_streq("", NULL));
    KIT_CHECK(mld_str_starts("bert-base", "bert") && !mld_str_starts("be", "bert"));
    KIT_CHECK(mld_str_starts("x", "") && mld_str_ends("x", ""));
    KIT_CHECK(mld_str_ends("a.json", ".json") && !mld_str_ends("json", ".json"));
}

MLD_TEST(str__parses_whole_numbers_only)
{
    int64_t v = 77;
    KIT_CHECK(mld_parse_i64("0", &v) && v == 0);
    KIT_CHECK(mld_parse_i64("-9223372036854775808", &v) && v == INT64_MIN);
    KIT_CHECK(mld_parse_i64("9223372036854775807", &v) && v == INT64_MAX);
    KIT_CHECK(mld_parse_i64("007", &v) && v == 7);
    static const char *const bad[] = {"",    "-",    "+1",
                                      " 1",  "1 ",   "1.0",
                                      "0x1", "1e3",  "--1",
                                      "1,0", "١",    "9223372036854775808",
                                      "abc", "1abc", "-9223372036854775809"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (mld_parse_i64(bad[i], &v))
            KIT_FAIL("'%s' was taken for %lld", bad[i], (long long)v);
    KIT_CHECK(!mld_parse_i64(NULL, &v));
    KIT_EQ_INT(v, 7); /* untouched by failures */
}

MLD_TEST(str__parses_decimals_only)
{
    double v = 77;
    KIT_CHECK(mld_parse_f64("0.5", &v) && v == 0.5);
    KIT_CHECK(mld_parse_f64("-.5", &v) && v == -0.5);
    KIT_CHECK(mld_parse_f64("5.", &v) && v == 5);
    KIT_CHECK(mld_parse_f64("1e-3", &v) && v == 1e-3);
    KIT_CHECK(mld_parse_f64("2E+2", &v) && v == 200);
    KIT_CHECK(mld_parse_f64("1e-400", &v) && v == 0);
    static const char *const bad[] = {
        "",   ".",   "-",  "+1",    " 1",   "1 ",  "inf",   "nan", "0x1p3",
        "1e", "1e+", "e5", "1e400", "-inf", "1,5", "1.2.3", "NaN", "infinity"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (mld_parse_f64(bad[i], &v))
            KIT_FAIL("'%s' was taken for %g", bad[i], v);
    KIT_CHECK(!mld_parse_f64(NULL, &v));
}

MLD_TEST(str__parses_sizes)
{
    uint64_t v = 77;
    KIT_CHECK(mld_parse_size("0", &v) && v == 0);
    KIT_CHECK(mld_parse_size("12", &v) && v == 12);
    KIT_CHECK(mld_parse_size("2k", &v) && v == 2048);
    KIT_CHECK(mld_parse_size("3M", &v) && v == 3u << 20);
    KIT_CHECK(mld_parse_size("10G", &v) && v == UINT64_C(10) << 30);
    KIT_CHECK(mld_parse_size("18446744073709551615", &v) && v == UINT64_MAX);
    static const char *const bad[] = {"",
                                      "k",
                                      "-1",
                                      "+1",
                                      " 1",
                                      "1 k",
                                      "1kB",
                                      "1b",
                                      "1.5G",
                                      "1kk",
                                      "0x",
                                      "18446744073709551616",
                                      "18014398509481984k"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (mld_parse_size(bad[i], &v))
            KIT_FAIL("'%s' was taken for %llu", bad[i], (unsigned long long)v);
    KIT_CHECK(!mld_parse_size(NULL, &v));
}

MLD_TEST(str__parses_durations)
{
    uint64_t v = 77;
    KIT_CHECK(mld_parse_duration_ns("10", &v) && v == UINT64_C(10000000000));
    KIT_CHECK(mld_parse_duration_ns("0", &v) && v == 0);
    KIT_CHECK(mld_parse_duration_ns("250ns", &v) && v == 250);
    KIT_CHECK(mld_parse_duration_ns("1.5us", &v) && v == 1500);
    KIT_CHECK(mld_parse_duration_ns("20ms", &v) && v == 20000000);
    KIT_CHECK(mld_parse_duration_ns("0.5s", &v) && v == 500000000);
    KIT_CHECK(mld_parse_duration_ns("2m", &v) && v == UINT64_C(120000000000));
    static const char *const bad[] = {"",    "s",   "-1s", "1 s", "1h", "1S",   "1e30s",
                                      "inf", "1ss", "ms",  "+1",  " 1", "1m30s"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (mld_parse_duration_ns(bad[i], &v))
            KIT_FAIL("'%s' was taken for %llu ns", bad[i], (unsigned long long)v);
    KIT_CHECK(!mld_parse_duration_ns(NULL, &v));
}

MLD_TEST(str__distance_counts_edits)
{
    KIT_EQ_U64(mld_str_distance("", ""), 0);
    KIT_EQ_U64(mld_str_distance("", "abc"), 3);
    KIT_EQ_U64(mld_str_distance("bert", "BERT"), 0);
    KIT_EQ_U64(mld_str_distance("kitten", "sitting"), 3);
    KIT_EQ_U64(mld_str_distance("breta", "berta"), 1); /* neighbours exchanged */
    KIT_EQ_U64(mld_str_distance("ab", "ba"), 1);
    KIT_EQ_U64(mld_str_distance("ca", "abc"), 3); /* alignment, not the full metric */
    KIT_EQ_U64(mld_str_distance("sitting", "kitten"), 3);
    char a[300], b[300];
    memset(a, 'a', sizeof(a));
    memset(b, 'b', sizeof(b));
    a[299] = b[200] = '\0';
    KIT_EQ_U64(mld_str_distance(a, b),
               299); /* longer than the table: nothing in common */
    KIT_EQ_U64(mld_str_distance(a, a), 0);
    a[127] = b[127] = '\0';
    KIT_EQ_U64(mld_str_distance(a, b), 127);
}

MLD_TEST(str__nearest_offers_only_what_is_near)
{
    static const char *const names[] = {"bert", "roberta", "distilbert",
                                        "gpt2", "t5",      "vit"};
    KIT_EQ_STR(mld_str_nearest("brt", names, 6), "bert");
    KIT_EQ_STR(mld_str_nearest("Bert", names, 6), "bert");
    KIT_EQ_STR(mld_str_nearest("robreta", names, 6), "roberta");
    KIT_EQ_STR(mld_str_nearest("distillbrt", names, 6), "distilbert");
    KIT_EQ_STR(mld_str_nearest("gtp2", names, 6), "gpt2");
    KIT_EQ_STR(mld_str_nearest("t6", names, 6), "t5");
    KIT_EQ_STR(mld_str_nearest("resnet50", names, 6), NULL);
    KIT_EQ_STR(mld_str_nearest("xy", names, 6), NULL);
    KIT_EQ_STR(mld_str_nearest("", names, 6), NULL);
    KIT_EQ_STR(mld_str_nearest("bert", names, 0), NULL);
}

MLD_TEST(str__tells_utf8_from_other_bytes)
{
    static const struct {
        const char *bytes;
        size_t length;
    } rows[] = {
        {"a", 1},
        {"\x7F", 1},
        {"\xC2\x80", 2},
        {"\xDF\xBF", 2},
        {"\xE0\xA0\x80", 3},
        {"\xED\x9F\xBF", 3},
        {"\xEE\x80\x80", 3},
        {"\xF0\x90\x80\x80", 4},
        {"\xF4\x8F\xBF\xBF", 4},
        {"\x80", 0},             /* a byte from inside */
        {"\xC1\xBF", 0},         /* longer than needed */
        {"\xE0\x9F\xBF", 0},     /* the same */
        {"\xF0\x8F\xBF\xBF", 0}, /* the same */
        {"\xED\xA0\x80", 0},     /* a surrogate */
        {"\xF4\x90\x80\x80", 0}, /* above U+10FFFF */
        {"\xF5\x80\x80\x80", 0},
        {"\xFF", 0},
        {"\xC3", 0}, /* cut off */
        {"\xE2\x82", 0},
        {"\xF0\x9F\x98", 0},
        {"\xE2\x28\xA1", 0}, /* broken inside */
        {"\xF0\x9F\x28\x80", 0},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const char *end = rows[i].bytes + strlen(rows[i].bytes);
        KIT_EQ_U64(mld_utf8_length(rows[i].bytes, end), rows[i].length);
        KIT_EQ_INT(mld_utf8_valid(rows[i].bytes), rows[i].length != 0);
    }
    KIT_CHECK(mld_utf8_valid("") && mld_utf8_valid("na\xC3\xAFve"));
    KIT_CHECK(!mld_utf8_valid("na\xC3"));
    struct mld_str s = {0};
    mld_str_add_utf8(&s, "a\xC3\xA9\x80z\xE2\x82");
    KIT_EQ_STR(mld_str_c(&s), "a\xC3\xA9\xEF\xBF\xBDz\xEF\xBF\xBD\xEF\xBF\xBD");
    mld_str_release(&s);
}

MLD_TEST(str__fnv_goes_on_from_an_earlier_result)
{
    const uint64_t whole = mld_fnv1a64(MLD_FNV_BASIS, "foobar", 6);
    KIT_EQ_U64(whole, 0x85944171F73967E8u);
    KIT_EQ_U64(mld_fnv1a64(mld_fnv1a64(MLD_FNV_BASIS, "foo", 3), "bar", 3), whole);
}
