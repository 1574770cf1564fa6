/* test_base_json.c: what is read as JSON and what is refused, getters, making, printing.
 */
#include "base/alloc.h"
#include "base/fs.h"
#include "base/json.h"
#include "kit/kit.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct mld_json *parse(const char *text)
{
    struct mld_json *v = NULL;
    KIT_OK(mld_json_parse(text, strlen(text), "text", &v, &kit_err));
    return v;
}

/* `text` is refused with exactly this message. */
static void refused(const char *text, int code, const char *message)
{
    struct mld_json *v = NULL;
    KIT_FAILS(mld_json_parse(text, strlen(text), "x.json", &v, &kit_err), code);
    KIT_CHECK(v == NULL);
    KIT_EQ_STR(kit_err.message, message);
}

/* `text` prints as `compact`, and again so after another round. */
static void round_trip(const char *text, const char *compact)
{
    struct mld_json *v = parse(text);
    char *out = mld_json_print(v, false);
    KIT_EQ_STR(out, compact);
    mld_json_free(v);
    v = parse(out);
    mld_free(out);
    out = mld_json_print(v, false);
    KIT_EQ_STR(out, compact);
    mld_free(out);
    mld_json_free(v);
}

MLD_TEST(json__reads_what_json_is)
{
    round_trip("null", "null");
    round_trip(" \t\r\n true \n", "true");
    round_trip("false", "false");
    round_trip("{}", "{}");
    round_trip("[ ]", "[]");
    round_trip("[1, -2, 0.5, -0, 1E3, 1e-3, 12.50]", "[1,-2,0.5,-0,1000,0.001,12.5]");
    round_trip("{\"a\" : [ {\"b\":null} , [] ] , \"\" : \"\"}",
               "{\"a\":[{\"b\":null},[]],\"\":\"\"}");
    round_trip("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0041\\u001f\\u00e9\\ud83d\\ude00\"",
               "\"\\\"\\\\/\\b\\f\\n\\r\\tA\\u001f\xC3\xA9\xF0\x9F\x98\x80\"");
    round_trip("\"\x7F\xC2\x80\xE0\xA0\x80\xED\x9F\xBF\xEF\xBF\xBF\xF4\x8F\xBF\xBF\"",
               "\"\\u007f\xC2\x80\xE0\xA0\x80\xED\x9F\xBF\xEF\xBF\xBF\xF4\x8F\xBF\xBF\"");
    round_trip("\xEF\xBB\xBF{\"bom\":1}", "{\"bom\":1}");
}

MLD_TEST(json__says_where_and_what_is_wrong)
{
    refused("", MLD_E_PARSE,
            "x.json: line 1, column 1: expected a value, found the end of the text");
    refused("{\n  \"a\": 1,\n  \"b\" 2\n}", MLD_E_PARSE,
            "x.json: line 3, column 7: expected ':', found '2'");
    refused("{\"a\":1 \"b\":2}", MLD_E_PARSE,
            "x.json: line 1, column 8: expected ',' or '}', found '\"'");
    refused("{\"a\":1,}", MLD_E_PARSE,
            "x.json: line 1, column 8: expected a key, found '}'");
    refused("{a:1}", MLD_E_PARSE,
            "x.json: line 1, column 2: expected a key or '}', found 'a'");
    refused("[1 2]", MLD_E_PARSE,
            "x.json: line 1, column 4: expected ',' or ']', found '2'");
    refused("[1,]", MLD_E_PARSE, "x.json: line 1, column 4: expected a value, found ']'");
    refused("[1", MLD_E_PARSE,
            "x.json: line 1, column 3: expected ',' or ']', found the end of the text");
    refused("[}", MLD_E_PARSE, "x.json: line 1, column 2: expected a value, found '}'");
    refused("{} x", MLD_E_PARSE,
            "x.json: line 1, column 4: expected the end of the text, found 'x'");
    refused("[\"\xC3\xA9\", tru]", MLD_E_PARSE, /* a letter is a column */
            "x.json: line 1, column 7: expected a value, found 't'");
    refused("[NaN]", MLD_E_PARSE,
            "x.json: line 1, column 2: expected a value, found 'N'");
    refused("-Infinity", MLD_E_PARSE,
            "x.json: line 1, column 2: expected a digit, found 'I'");
    refused("\x01", MLD_E_PARSE,
            "x.json: line 1, column 1: expected a value, found byte 0x01");
}

MLD_TEST(json__refuses_numbers_that_json_has_not)
{
    static const char *const bad[] = {"01",  "-01", "1.",  ".5",    "+1",
                                      "1e",  "1e+", "-",   "--1",   "0x10",
                                      "1.e", "00",  "1_0", "1.5.5", "[1e5e]"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct mld_json *v = NULL;
        if (mld_json_parse(bad[i], strlen(bad[i]), "x", &v, NULL) != MLD_E_PARSE)
            KIT_FAIL("'%s' was taken for a number", bad[i]);
    }
    refused("01", MLD_E_PARSE, "x.json: line 1, column 1: a number starts with 0");
    char digits[80];
    memset(digits, '7', sizeof(digits));
    digits[63] = '\0';
    struct mld_json *v = parse(digits);
    KIT_NEAR(mld_json_num(v, 0) / 7.7777777777777777e62, 1, 1e-12);
    mld_json_free(v);
    digits[63] = '7';
    digits[64] = '\0';
    refused(digits, MLD_E_PARSE,
            "x.json: line 1, column 1: a number of more than 63 characters");
}

MLD_TEST(json__refuses_strings_that_json_has_not)
{
    static const struct {
        const char *text, *reason;
    } rows[] = {
        {"\"abc", "column 1: a string without an end"},
        {"\"abc\\", "found the end of the text"},
        {"\"a\nb\"",
         "column 3: a raw control character in a string (is a '\"' missing?)"},
        {"\"\\x41\"", "column 2: an unknown escape in a string"},
        {"\"\\u12g4\"", "column 2: '\\u' needs four hexadecimal digits"},
        {"\"\\u12", "'\\u' needs four hexadecimal digits"},
        {"\"a\\u0000b\"", "column 3: '\\u0000' in a string is not supported"},
        {"\"\\ud800\"", "half of a surrogate pair"},
        {"\"\\udc00\"", "half of a surrogate pair"},
        {"\"\\ud800\\u0041\"", "half of a surrogate pair"},
        {"\"\\ud800\\ud800\"", "half of a surrogate pair"},
        {"\"\x80\"", "column 2: not valid UTF-8"},
        {"\"\xC0\x80\"", "not valid UTF-8"},
        {"\"\xC3\"", "not valid UTF-8"},
        {"\"\xE0\x9F\x80\"", "not valid UTF-8"},
        {"\"\xED\xA0\x80\"", "not valid UTF-8"},
        {"\"\xF4\x90\x80\x80\"", "not valid UTF-8"},
        {"\"\xF5\x80\x80\x80\"", "not valid UTF-8"},
        {"\"\xE2\x82", "not valid UTF-8"},
        {"{\"\\q\":1}", "an unknown escape in a string"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct mld_json *v = NULL;
        KIT_FAILS(mld_json_parse(rows[i].text, strlen(rows[i].text), "x", &v, &kit_err),
                  MLD_E_PARSE);
        KIT_CONTAINS(kit_err.message, rows[i].reason);
    }
    struct mld_json *v = NULL;
    KIT_FAILS(mld_json_parse("\"a\0b\"", 5, "x", &v, &kit_err), MLD_E_PARSE);
    KIT_FAILS(mld_json_parse("1\0", 2, "x", &v, &kit_err), MLD_E_PARSE);
}

static char *nested(size_t depth)
{
    char *text = mld_alloc(2 * depth + 1);
    for (size_t i = 0; i < depth; i++) {
        text[i] = '[';
        text[2 * depth - 1 - i] = ']';
    }
    text[2 * depth] = '\0';
    return text;
}

MLD_TEST(json__limits_depth_and_size)
{
    char *text = nested(128);
    struct mld_json *v = parse(text);
    mld_json_free(v);
    mld_free(text);
    text = nested(129);
    refused(text, MLD_E_TOO_LARGE,
            "x.json: line 1, column 129: nested deeper than 128 levels");
    mld_free(text);
    text = nested(1000000);
    KIT_EQ_INT(mld_json_parse(text, 2000000, "x", &v, NULL), MLD_E_TOO_LARGE);
    mld_free(text);
    /* Refused by its size alone: the text is not looked at. */
    KIT_FAILS(mld_json_parse("1", ((size_t)256 << 20) + 1, "x", &v, &kit_err),
              MLD_E_TOO_LARGE);
}

/* Every prefix of a text is refused or read, without reading behind its end. */
MLD_TEST(json__needs_no_end_mark)
{
    static const char whole[] =
        "{\"a\":[1.5e+3,true,false,null,\"\\u00e9\\ud83d\\ude00x\"],\"b\":{\"c\":-7}}";
    const size_t n = sizeof(whole) - 1;
    for (size_t len = 0; len <= n; len++) {
        char *exact = mld_alloc(len > 0 ? len : 1); /* the sanitizer watches its end */
        memcpy(exact, whole, len);
        struct mld_json *v = NULL;
        const int rc = mld_json_parse(exact, len, "prefix", &v, NULL);
        KIT_EQ_INT(rc, len == n ? MLD_OK : MLD_E_PARSE);
        mld_json_free(v);
        mld_free(exact);
    }
    char *exact = mld_alloc(3);
    static const char digits[3] = {'1', '2', '3'};
    memcpy(exact, digits, sizeof(digits));
    struct mld_json *v = NULL;
    KIT_OK(mld_json_parse(exact, 3, "number", &v, &kit_err));
    KIT_EQ_INT(mld_json_int(v, 0), 123);
    mld_json_free(v);
    mld_free(exact);
}

MLD_TEST(json__getters_answer_with_the_fallback)
{
    struct mld_json *v = parse("{\"s\":\"x\",\"n\":2.5,\"i\":-7,\"t\":true,\"z\":null,"
                               "\"a\":[10,20,30],\"o\":{\"k\":1},\"big\":1e30}");
    KIT_EQ_STR(mld_json_str(mld_json_get(v, "s"), "f"), "x");
    KIT_EQ_STR(mld_json_str(mld_json_get(v, "n"), "f"), "f");
    KIT_EQ_STR(mld_json_str(mld_json_get(v, "z"), "f"), "f");
    KIT_EQ_STR(mld_json_str(mld_json_get(v, "S"), NULL), NULL); /* case counts */
    KIT_NEAR(mld_json_num(mld_json_get(v, "n"), 0), 2.5, 0);
    KIT_NEAR(mld_json_num(mld_json_get(v, "s"), 9), 9, 0);
    KIT_EQ_INT(mld_json_int(mld_json_get(v, "i"), 0), -7);
    KIT_EQ_INT(mld_json_int(mld_json_get(v, "n"), 5), 5);
    KIT_EQ_INT(mld_json_int(mld_json_get(v, "big"), 5), 5);
    KIT_EQ_INT(mld_json_int(mld_json_get(v, "t"), 5), 5);
    KIT_CHECK(mld_json_bool(mld_json_get(v, "t"), false));
    KIT_CHECK(mld_json_bool(mld_json_get(v, "i"), true));
    KIT_CHECK(!mld_json_bool(mld_json_get(v, "nothing"), false));

    const struct mld_json *a = mld_json_get(v, "a");
    KIT_EQ_U64(mld_json_count(a), 3);
    KIT_EQ_INT(mld_json_int(mld_json_at(a, 2), 0), 30);
    KIT_CHECK(mld_json_at(a, 3) == NULL && mld_json_at(v, 0) == NULL);
    KIT_EQ_U64(mld_json_count(mld_json_get(v, "o")), 1);
    KIT_EQ_U64(mld_json_count(mld_json_get(v, "s")), 0);
    int64_t sum = 0;
    for (const struct mld_json *c = mld_json_first(a); c != NULL; c = mld_json_next(c)) {
        KIT_EQ_STR(mld_json_key(c), NULL);
        sum += mld_json_int(c, 0);
    }
    KIT_EQ_INT(sum, 60);
    KIT_EQ_STR(mld_json_key(mld_json_first(v)), "s");

    /* Chains of lookups need no checks in between. */
    const struct mld_json *none = mld_json_get(mld_json_get(v, "no"), "way");
    KIT_CHECK(none == NULL && mld_json_first(none) == NULL &&
              mld_json_next(none) == NULL);
    KIT_CHECK(mld_json_type(none) == MLD_JSON_NULL && !mld_json_is(none, MLD_JSON_NULL));
    KIT_CHECK(mld_json_is(mld_json_get(v, "z"), MLD_JSON_NULL));
    KIT_CHECK(mld_json_is(mld_json_get(v, "t"), MLD_JSON_BOOL));
    KIT_CHECK(mld_json_is(mld_json_get(v, "n"), MLD_JSON_NUMBER));
    KIT_CHECK(mld_json_is(mld_json_get(v, "s"), MLD_JSON_STRING));
    KIT_CHECK(mld_json_is(a, MLD_JSON_ARRAY) && mld_json_is(v, MLD_JSON_OBJECT));
    KIT_CHECK(mld_json_key(NULL) == NULL && mld_json_count(NULL) == 0);
    mld_json_free(v);
    mld_json_free(NULL);
}

MLD_TEST(json__last_of_two_equal_keys_counts)
{
    struct mld_json *v = parse("{\"k\":1,\"x\":0,\"k\":2}");
    KIT_EQ_INT(mld_json_int(mld_json_get(v, "k"), 0), 2);
    KIT_EQ_U64(mld_json_count(v), 3);
    mld_json_free(v);
}

MLD_TEST(json__whole_numbers_are_exact)
{
    static const int64_t exact[] = {0,
                                    -1,
                                    INT32_MAX,
                                    INT32_MIN,
                                    INT64_C(4294967296),
                                    INT64_C(9007199254740992),
                                    INT64_C(-9007199254740992),
                                    INT64_C(9007199254740993),
                                    INT64_MAX,
                                    INT64_MIN};
    for (size_t i = 0; i < sizeof(exact) / sizeof(exact[0]); i++) {
        char want[32];
        (void)snprintf(want, sizeof(want), "%lld", (long long)exact[i]);
        struct mld_json *v = mld_json_new_int(exact[i]);
        KIT_CHECK(mld_json_is(v, MLD_JSON_NUMBER));
        KIT_EQ_INT(mld_json_int(v, 5), exact[i]);
        KIT_CHECK(mld_json_num(v, 5) == (double)exact[i]);
        struct mld_json *copy = mld_json_copy(v);
        char *text = mld_json_print(copy, false);
        KIT_EQ_STR(text, want);
        mld_free(text);
        mld_json_free(copy);
        mld_json_free(v);
        v = parse(want); /* and read back */
        KIT_EQ_INT(mld_json_int(v, 5), exact[i]);
        text = mld_json_print(v, true);
        KIT_EQ_STR(text, want);
        mld_free(text);
        mld_json_free(v);
    }
}

MLD_TEST(json__whole_numbers_keep_their_place_when_read)
{
    round_trip("[1,{\"a\":9223372036854775807,\"b\":[0.5,-9223372036854775807]},2,"
               "9007199254740993,\"9007199254740995\",9007199254740994.0,3]",
               "[1,{\"a\":9223372036854775807,\"b\":[0.5,-9223372036854775807]},2,"
               "9007199254740993,\"9007199254740995\",9007199254740994,3]");
    struct mld_json *v = parse("[9223372036854775808, -9223372036854775809]");
    KIT_EQ_INT(mld_json_int(mld_json_at(v, 0), 5), 5); /* no int64_t: the fallback */
    KIT_EQ_INT(mld_json_int(mld_json_at(v, 1), 5), 5);
    KIT_CHECK(mld_json_num(mld_json_at(v, 0), 5) == 0x1p63);
    mld_json_free(v);
}

static void prints_number(double x, const char *want)
{
    struct mld_json *v = mld_json_new_num(x);
    char *text = mld_json_print(v, false);
    KIT_EQ_STR(text, want);
    mld_free(text);
    mld_json_free(v);
}

MLD_TEST(json__doubles_print_shortest)
{
    prints_number(0.1, "0.1");
    prints_number(0.1 + 0.2, "0.30000000000000004");
    prints_number(1.0 / 3, "0.3333333333333333");
    prints_number(1e300, "1e+300");
    prints_number(5e-324, "5e-324");
    prints_number(-2.5e-7, "-2.5e-07");
    prints_number(1234567, "1234567");
    prints_number(1e15, "1000000000000000");
    prints_number(123456789.125, "123456789.125");
    prints_number(0x1.fffffffffffffp1023, "1.7976931348623157e+308");
    prints_number(NAN, "null");
    prints_number(INFINITY, "null");
    uint64_t bits = 88172645463325252u; /* xorshift64 (Marsaglia 2003) */
    for (int i = 0; i < 20000; i++) {
        bits ^= bits << 13;
        bits ^= bits >> 7;
        bits ^= bits << 17;
        double x, back;
        memcpy(&x, &bits, sizeof(x));
        if (!isfinite(x))
            continue;
        struct mld_json *v = mld_json_new_num(x);
        char *text = mld_json_print(v, false);
        struct mld_json *again = parse(text);
        back = mld_json_num(again, 0);
        if (back != x || signbit(back) != signbit(x))
            KIT_FAIL("%a came back as %a through '%s'", x, back, text);
        mld_json_free(again);
        mld_free(text);
        mld_json_free(v);
    }
}

MLD_TEST(json__makes_and_prints_pretty)
{
    struct mld_json *root = mld_json_new_object();
    mld_json_set(root, "name", mld_json_new_str("bert \"base\"\n"));
    mld_json_set(root, "none", mld_json_new_str(NULL));
    struct mld_json *shapes = mld_json_new_array();
    struct mld_json *shape = mld_json_new_array();
    mld_json_push(shape, mld_json_new_int(1));
    mld_json_push(shape, mld_json_new_int(128));
    mld_json_push(shapes, shape);
    mld_json_push(shapes, mld_json_new_array());
    mld_json_set(root, "shapes", shapes);
    mld_json_set(root, "list", mld_json_copy(shape));
    mld_json_set(root, "empty", mld_json_new_object());
    mld_json_set(root, "ok", mld_json_new_bool(true));
    mld_json_set(root, "nil", mld_json_new_null());
    mld_json_set(root, "copy of nothing", mld_json_copy(NULL));
    char *text = mld_json_print(root, true);
    KIT_EQ_STR(text, "{\n"
                     "  \"name\": \"bert \\\"base\\\"\\n\",\n"
                     "  \"none\": null,\n"
                     "  \"shapes\": [\n"
                     "    [1, 128],\n"
                     "    []\n"
                     "  ],\n"
                     "  \"list\": [1, 128],\n"
                     "  \"empty\": {},\n"
                     "  \"ok\": true,\n"
                     "  \"nil\": null,\n"
                     "  \"copy of nothing\": null\n"
                     "}");
    mld_free(text);
    mld_json_free(root);
}

MLD_TEST(json__strings_made_are_utf8)
{
    struct mld_json *v = mld_json_new_str("caf\xC3\xA9 cut\xE2\x82");
    char *text = mld_json_print(v, false);
    KIT_EQ_STR(text, "\"caf\xC3\xA9 cut\xEF\xBF\xBD\xEF\xBF\xBD\"");
    mld_json_free(v);
    v = parse(text);
    mld_json_free(v);
    mld_free(text);
}

MLD_TEST(json__set_replaces_in_place)
{
    struct mld_json *v = parse("{\"a\":1,\"b\":{\"c\":2},\"d\":3}");
    mld_json_set(v, "a", mld_json_new_int(10));
    mld_json_set(v, "b", mld_json_new_str("B"));
    mld_json_set(v, "d", mld_json_new_bool(false));
    mld_json_set(v, "e", mld_json_new_array());
    char *text = mld_json_print(v, false);
    KIT_EQ_STR(text, "{\"a\":10,\"b\":\"B\",\"d\":false,\"e\":[]}");
    mld_free(text);
    mld_json_set(v, "f", mld_json_new_int(1)); /* the list of members is still whole */
    KIT_EQ_U64(mld_json_count(v), 5);
    mld_json_free(v);
}

MLD_TEST(json__adders_on_nothing_do_nothing)
{
    mld_json_set(NULL, "k", mld_json_new_int(1)); /* the child goes: no leak */
    mld_json_push(NULL, mld_json_new_int(1));
    struct mld_json *number = mld_json_new_int(1);
    mld_json_set(number, "k", mld_json_new_int(2));
    mld_json_push(number, mld_json_new_int(2));
    char *text = mld_json_print(number, false);
    KIT_EQ_STR(text, "1");
    mld_free(text);
    mld_json_free(number);
    KIT_CHECK(mld_json_print(NULL, false) == NULL);
}

MLD_TEST(json__missing_child_shows_when_printed)
{
    struct mld_json *root = mld_json_new_object();
    struct mld_json *inner = mld_json_new_object();
    mld_json_set(inner, "lost", NULL);
    mld_json_set(root, "inner", inner);
    KIT_CHECK(mld_json_print(root, false) == NULL);
    struct mld_json *copy = mld_json_copy(root);
    KIT_CHECK(mld_json_print(copy, true) == NULL);
    mld_json_free(copy);
    mld_json_free(root);
}

static int read_body(void *ctx)
{
    const char *text = ctx;
    struct mld_json *v = NULL;
    const int rc = mld_json_parse(text, strlen(text), "torture", &v, &kit_err);
    KIT_EQ_INT(rc, kit_err.code);
    mld_json_free(v);
    kit_err.code = 0;
    return rc;
}

MLD_TEST(json__reading_survives_every_failing_allocation)
{
    char text[] = "{\"a\":[1,2,{\"b\":\"text\"}],\"big\":9223372036854775807,\"c\":null}";
    KIT_CHECK(kit_torture(read_body, text) >= 14);
}

static int make_body(void *ctx)
{
    (void)ctx;
    struct mld_json *root = mld_json_new_object();
    mld_json_set(root, "name", mld_json_new_str("value"));
    mld_json_set(root, "big", mld_json_new_int(INT64_MAX));
    struct mld_json *list = mld_json_new_array();
    for (int i = 0; i < 20; i++)
        mld_json_push(list, mld_json_new_num(i / 3.0));
    mld_json_set(root, "list", list);
    mld_json_set(root, "again", mld_json_copy(mld_json_get(root, "list")));
    mld_json_set(root, "name", mld_json_new_str("other"));
    char *text = mld_json_print(root, true);
    const bool whole = text != NULL;
    /* All or nothing: what prints has all its members. */
    KIT_CHECK(!whole || (strstr(text, "\"again\": [0, 0.3333") != NULL &&
                         strstr(text, "\"name\": \"other\"") != NULL));
    mld_free(text);
    mld_json_free(root);
    return whole ? MLD_OK : MLD_E_NO_MEMORY;
}

MLD_TEST(json__making_survives_every_failing_allocation)
{
    KIT_CHECK(kit_torture(make_body, NULL) >= 50);
}

MLD_TEST(json__reads_files)
{
    struct mld_json *v = NULL;
    KIT_FAILS(mld_json_read("absent.json", 1000, &v, &kit_err), MLD_E_NOT_FOUND);
    KIT_EQ_STR(kit_err.message, "cannot open 'absent.json': No such file or directory");
    KIT_OK(mld_file_write("a.json", "{\"k\":[1]}", 9, &kit_err));
    KIT_OK(mld_json_read("a.json", 9, &v, &kit_err));
    KIT_EQ_INT(mld_json_int(mld_json_at(mld_json_get(v, "k"), 0), 0), 1);
    mld_json_free(v);
    KIT_FAILS(mld_json_read("a.json", 8, &v, &kit_err), MLD_E_TOO_LARGE);
    KIT_OK(mld_file_write("a.json", "{\"k\":[1}", 8, &kit_err));
    KIT_FAILS(mld_json_read("a.json", 100, &v, &kit_err), MLD_E_PARSE);
    KIT_EQ_STR(kit_err.message,
               "a.json: line 1, column 8: expected ',' or ']', found '}'");
}

/* Bytes changed at random never crash it, and what is read prints and reads again. */
MLD_TEST(json__survives_changed_bytes)
{
    static const char whole[] =
        "{\"model_type\": \"bert\", \"sizes\": [768, 12, 1e-12, -0.5],"
        " \"u\": \"\\u00e9\\n\xC3\xA9\", \"deep\": [[[{\"x\": true}]]],"
        " \"big\": 9007199254740993, \"none\": null}";
    const size_t n = sizeof(whole) - 1;
    static const char letters[] = "{}[]\",:\\u0123e-+.tfn \x80\xC3\x01";
    uint64_t state = 88172645463325252u;
    int read = 0;
    for (int i = 0; i < 20000; i++) {
        char text[sizeof(whole)];
        memcpy(text, whole, sizeof(whole));
        for (int changes = 0; changes < 1 + i % 3; changes++) {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            text[state % n] = letters[(state >> 32) % (sizeof(letters) - 1)];
        }
        struct mld_json *v = NULL;
        const int rc = mld_json_parse(text, n, "changed", &v, &kit_err);
        KIT_CHECK(rc == MLD_OK || rc == MLD_E_PARSE);
        if (rc != MLD_OK)
            continue;
        read++;
        char *out = mld_json_print(v, i % 2 == 0);
        struct mld_json *again = parse(out);
        mld_json_free(again);
        mld_free(out);
        mld_json_free(v);
    }
    KIT_CHECK(read > 100);
}
