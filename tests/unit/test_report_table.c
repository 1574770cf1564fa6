/* test_report_table.c: the four formats against stored expectations, hostile text too. */
#include "kit/kit.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/json.h"
#include "report/table.h"
#include "report/table_rows.h"
#include "report/text_width.h"

static const struct mld_column columns[] = {
    {"model", "model", MLD_LEFT}, {"p50_ms", "p50", MLD_RIGHT},
    {"count", NULL, MLD_RIGHT},   {"steady", NULL, MLD_LEFT},
    {"note", "note", MLD_LEFT},
};

static struct mld_table *sample(void)
{
    struct mld_table *t;
    KIT_OK(mld_table_new(columns, 5, &t, &kit_err));
    mld_table_row(t);
    mld_table_text(t, "bert");
    mld_table_num(t, 12.3456789012345, "12.35 ms");
    mld_table_int(t, 9007199254740993, NULL); /* not a double */
    mld_table_bool(t, true);
    mld_table_text(t, "plain");
    mld_table_row(t);
    mld_table_text(t, "g\xC3\xB6ttlich \xE6\xBC\xA2\xE5\xAD\x97"); /* 9 + 2 wide ones */
    mld_table_num(t, 0.1, NULL);
    mld_table_none(t, "- (459)");
    mld_table_bool(t, false);
    mld_table_text(t, "a|b, \"c\"\nd");
    mld_table_row(t);
    mld_table_text(t, "");
    mld_table_num(t, (double)NAN, "nan ms"); /* not a number: unknown, whatever is said */
    mld_table_text(t, NULL);
    mld_table_row(t); /* the row before ends early: its rest is unknown */
    mld_table_text(t, "\x1b[31mred\x07\x7f\xC2\x9b\xE2\x80\xAE\xFFx");
    return t;
}

static void prints(const struct mld_table *t, enum mld_format f, const char *expected)
{
    struct mld_str out = {0};
    KIT_OK(mld_table_print(t, f, &out, &kit_err));
    KIT_EQ_STR(mld_str_c(&out), expected);
    mld_str_release(&out);
}

MLD_TEST(report_table__aligned)
{
    struct mld_table *t = sample();
    KIT_EQ_INT(mld_table_rows(t), 4);
    prints(
        t, MLD_FORMAT_TABLE,
        "model                                 p50             count  steady  note\n"
        "-------------------------------  --------  ----------------  ------  "
        "-----------\n"
        "bert                             12.35 ms  9007199254740993  yes     plain\n"
        "g\xC3\xB6ttlich \xE6\xBC\xA2\xE5\xAD\x97                         0.1"
        "           - (459)  no      a|b, \"c\"\\nd\n"
        "                                        -                 -  -       -\n"
        "\\x1b[31mred\\x07\\x7f\\x9b\\u202e\xEF\xBF\xBDx         -                 -  -"
        "       -\n");
    mld_table_free(t);
    mld_table_free(NULL);
}

MLD_TEST(report_table__json)
{
    struct mld_table *t = sample();
    prints(
        t, MLD_FORMAT_JSON,
        "[\n {\"model\":\"bert\",\"p50_ms\":12.3456789012345,\"count\":9007199254740993,"
        "\"steady\":true,\"note\":\"plain\"},\n"
        " {\"model\":\"g\xC3\xB6ttlich \xE6\xBC\xA2\xE5\xAD\x97\",\"p50_ms\":0.1,"
        "\"count\":null,\"steady\":false,\"note\":\"a|b, \\\"c\\\"\\nd\"},\n"
        " {\"model\":\"\",\"p50_ms\":null,\"count\":null,\"steady\":null,\"note\":null},"
        "\n"
        " {\"model\":\"\\u001b[31mred\\u0007\\u007f\xC2\x9b\xE2\x80\xAE\xEF\xBF\xBDx\","
        "\"p50_ms\":null,\"count\":null,\"steady\":null,\"note\":null}\n]\n");
    mld_table_free(t);
}

MLD_TEST(report_table__csv)
{
    struct mld_table *t = sample();
    prints(t, MLD_FORMAT_CSV,
           "model,p50_ms,count,steady,note\r\n"
           "bert,12.3456789012345,9007199254740993,true,plain\r\n"
           "g\xC3\xB6ttlich \xE6\xBC\xA2\xE5\xAD\x97,0.1,,false,\"a|b, \"\"c\"\"\nd\"\r\n"
           "\"\",,,,\r\n"
           "\x1b[31mred\x07\x7f\xC2\x9b\xE2\x80\xAE\xFFx,,,,\r\n");
    mld_table_free(t);
}

MLD_TEST(report_table__markdown)
{
    struct mld_table *t = sample();
    prints(
        t, MLD_FORMAT_MARKDOWN,
        "| model | p50 | count | steady | note |\n"
        "| --- | ---: | ---: | --- | --- |\n"
        "| bert | 12.35 ms | 9007199254740993 | yes | plain |\n"
        "| g\xC3\xB6ttlich \xE6\xBC\xA2\xE5\xAD\x97 | 0.1 | - (459) | no | a\\|b, "
        "\"c\"\\\\nd |\n"
        "|  | - | - | - | - |\n"
        "| \\\\x1b\\[31mred\\\\x07\\\\x7f\\\\x9b\\\\u202e\xEF\xBF\xBDx | - | - | - | - "
        "|\n");
    mld_table_free(t);
}

MLD_TEST(report_table__markdown_carries_no_html)
{
    static const struct mld_column one[] = {{"x", NULL, MLD_LEFT}};
    struct mld_table *t;
    KIT_OK(mld_table_new(one, 1, &t, &kit_err));
    mld_table_row(t);
    mld_table_text(t, "<script>&`[a](b)` *b* _c_ d_e \\|");
    prints(t, MLD_FORMAT_MARKDOWN,
           "| x |\n| --- |\n"
           "| &lt;script>&amp;\\`\\[a\\](b)\\` \\*b\\* \\_c\\_ d_e \\\\\\| |\n");
    mld_table_free(t);
}

MLD_TEST(report_table__no_rows)
{
    struct mld_table *t;
    KIT_OK(mld_table_new(columns, 2, &t, &kit_err));
    prints(t, MLD_FORMAT_TABLE, "model  p50\n-----  ---\n(no rows)\n");
    prints(t, MLD_FORMAT_JSON, "[]\n");
    prints(t, MLD_FORMAT_CSV, "model,p50_ms\r\n");
    prints(t, MLD_FORMAT_MARKDOWN, "| model | p50 |\n| --- | ---: |\n");
    mld_table_free(t);
    KIT_OK(mld_table_new(columns, 0, &t, &kit_err));
    mld_table_row(t);
    prints(t, MLD_FORMAT_JSON, "[\n {}\n]\n");
    mld_table_free(t);
}

/* Every double comes back from JSON and CSV as it was. */
MLD_TEST(report_table__numbers_read_back)
{
    static const struct mld_column one[] = {{"x", NULL, MLD_RIGHT}};
    static const double numbers[] = {0.1,     1.0 / 3,       1e300, 5e-324,
                                     -2.5e-8, 123456789.125, 1e22};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        struct mld_table *t;
        struct mld_str out = {0};
        struct mld_json *v;
        double back;
        KIT_OK(mld_table_new(one, 1, &t, &kit_err));
        mld_table_row(t);
        mld_table_num(t, numbers[i], NULL);
        KIT_OK(mld_table_print(t, MLD_FORMAT_JSON, &out, &kit_err));
        KIT_OK(mld_json_parse(mld_str_c(&out), out.len, "out", &v, &kit_err));
        KIT_NEAR(mld_json_num(mld_json_get(mld_json_at(v, 0), "x"), 0), numbers[i], 0);
        mld_json_free(v);
        mld_str_clear(&out);
        KIT_OK(mld_table_print(t, MLD_FORMAT_CSV, &out, &kit_err));
        KIT_CHECK(mld_str_starts(mld_str_c(&out), "x\r\n"));
        back = strtod(mld_str_c(&out) + 3, NULL);
        KIT_NEAR(back, numbers[i], 0);
        mld_str_release(&out);
        mld_table_free(t);
    }
}

MLD_TEST(report_table__formats_by_name)
{
    KIT_EQ_INT(mld_format_parse("table"), MLD_FORMAT_TABLE);
    KIT_EQ_INT(mld_format_parse("json"), MLD_FORMAT_JSON);
    KIT_EQ_INT(mld_format_parse("csv"), MLD_FORMAT_CSV);
    KIT_EQ_INT(mld_format_parse("markdown"), MLD_FORMAT_MARKDOWN);
    KIT_EQ_INT(mld_format_parse("JSON"), -1);
    KIT_EQ_INT(mld_format_parse(""), -1);
    KIT_EQ_INT(mld_format_parse(NULL), -1);
}

MLD_TEST(report_table__rows_of_a_query)
{
    struct mld_store *s;
    struct mld_rows rows;
    struct mld_table *t;
    KIT_OK(mld_store_open("x.duckdb", MLD_STORE_WRITE, &s, &kit_err));
    KIT_OK(
        mld_store_query(s,
                        "SELECT 'a' AS n, 1 AS v, 2.5 AS v, NULL AS v, true AS b UNION "
                        "ALL SELECT 'bb', 100, 0.125, NULL, false ORDER BY 1",
                        &rows, &kit_err));
    KIT_OK(mld_table_from_rows(&rows, &t, &kit_err));
    prints(t, MLD_FORMAT_TABLE,
           "n     v    v_2  v_3  b\n"
           "--  ---  -----  ---  ---\n"
           "a     1    2.5    -  yes\n"
           "bb  100  0.125    -  no\n");
    prints(t, MLD_FORMAT_JSON,
           "[\n {\"n\":\"a\",\"v\":1,\"v_2\":2.5,\"v_3\":null,\"b\":true},\n"
           " {\"n\":\"bb\",\"v\":100,\"v_2\":0.125,\"v_3\":null,\"b\":false}\n]\n");
    mld_table_free(t);
    mld_rows_release(&rows);
    mld_store_close(s);
}

/* --- width and units -----------------------------------------------------------------
 */

MLD_TEST(report_text__width)
{
    KIT_EQ_INT(mld_text_width(""), 0);
    KIT_EQ_INT(mld_text_width("abc"), 3);
    KIT_EQ_INT(mld_text_width("\xC3\xA4"), 1);                 /* a with dots */
    KIT_EQ_INT(mld_text_width("a\xCC\x88"), 1);                /* the same, combined */
    KIT_EQ_INT(mld_text_width("\xE6\xBC\xA2\xED\x95\x9C"), 4); /* CJK, Hangul */
    KIT_EQ_INT(mld_text_width("\xF0\x9F\x98\x80"), 2);         /* emoji */
    KIT_EQ_INT(mld_text_width("\xEF\xBD\x81"), 1 + 1);         /* full width a */
    KIT_EQ_INT(mld_text_width("\xE2\x80\x8B"), 0);             /* zero width space */
    KIT_EQ_INT(mld_text_width("\xFF\xC3"), 2);                 /* U+FFFD twice */
    KIT_EQ_INT(mld_text_width("\t"), 2);                       /* \t */
    KIT_EQ_INT(mld_text_width("\x01"), 4);                     /* \x01 */
}

MLD_TEST(report_text__utf8)
{
    static const struct {
        const char *bytes;
        uint32_t c;
        size_t n;
    } cases[] = {
        {"a", 'a', 1},
        {"\xC2\x80", 0x80, 2},
        {"\xE0\xA0\x80", 0x800, 3},
        {"\xEF\xBF\xBF", 0xFFFF, 3},
        {"\xF0\x90\x80\x80", 0x10000, 4},
        {"\xF4\x8F\xBF\xBF", 0x10FFFF, 4},
        {"\xC1\xBF", 0xFFFD, 1},         /* overlong */
        {"\xE0\x9F\xBF", 0xFFFD, 1},     /* overlong */
        {"\xF0\x8F\xBF\xBF", 0xFFFD, 1}, /* overlong */
        {"\xED\xA0\x80", 0xFFFD, 1},     /* surrogate */
        {"\xF4\x90\x80\x80", 0xFFFD, 1}, /* over U+10FFFF */
        {"\x80", 0xFFFD, 1},             /* a continuation alone */
        {"\xE2\x82", 0xFFFD, 1},         /* cut off */
        {"\xFE", 0xFFFD, 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint32_t c;
        KIT_EQ_INT(mld_utf8_decode(cases[i].bytes, &c), cases[i].n);
        KIT_EQ_U64(c, cases[i].c);
    }
}

static const char *human(const char *(*f)(double, char *, size_t), double x)
{
    static char buf[32];
    return f(x, buf, sizeof buf);
}

static const char *bytes(int64_t x)
{
    static char buf[32];
    return mld_human_bytes(x, buf, sizeof buf);
}

MLD_TEST(report_human__units)
{
    KIT_EQ_STR(bytes(0), "0 B");
    KIT_EQ_STR(bytes(999), "999 B");
    KIT_EQ_STR(bytes(1000), "1.000 kB");
    KIT_EQ_STR(bytes(417601234), "417.6 MB");
    KIT_EQ_STR(bytes(999960000), "1.000 GB");
    KIT_EQ_STR(bytes(INT64_MAX), "9223 PB");
    KIT_EQ_STR(bytes(-1), "-");
    KIT_EQ_STR(human(mld_human_ns, 0), "0.000 ns");
    KIT_EQ_STR(human(mld_human_ns, 0.25), "0.250 ns");
    KIT_EQ_STR(human(mld_human_ns, 1234), "1.234 us");
    KIT_EQ_STR(human(mld_human_ns, 12341234), "12.34 ms");
    KIT_EQ_STR(human(mld_human_ns, 999.96e6), "1.000 s");
    KIT_EQ_STR(human(mld_human_ns, 99.996e6), "100.0 ms");
    KIT_EQ_STR(human(mld_human_ns, 86400e9), "86400 s");
    KIT_EQ_STR(human(mld_human_ns, (double)NAN), "-");
    KIT_EQ_STR(human(mld_human_count, 12), "12");
    KIT_EQ_STR(human(mld_human_count, 12.5), "12.50");
    KIT_EQ_STR(human(mld_human_count, 109482240), "109.5 M");
    KIT_EQ_STR(human(mld_human_count, -2.5e12), "-2.500 T");
    KIT_EQ_STR(human(mld_human_count, (double)INFINITY), "-");
    KIT_EQ_STR(human(mld_human_num, 1234567), "1234567");
    KIT_EQ_STR(human(mld_human_num, 0.25), "0.25");
    KIT_EQ_STR(human(mld_human_num, -0.000125), "-0.000125");
    KIT_EQ_STR(human(mld_human_num, 12.3456789), "12.3457");
    KIT_EQ_STR(human(mld_human_num, 1234567.8), "1234568");
    KIT_EQ_STR(human(mld_human_num, 1e-9), "1e-09");
    KIT_EQ_STR(human(mld_human_num, 1e22), "1e+22");
    KIT_EQ_STR(human(mld_human_num, 0), "0");
}

/* --- no memory -----------------------------------------------------------------------
 */

static int torture_table(void *ctx)
{
    struct mld_table *t;
    struct mld_str out = {0};
    enum mld_format f = *(enum mld_format *)ctx;
    int rc = mld_table_new(columns, 5, &t, NULL);
    if (rc != 0)
        return rc;
    for (int i = 0; i < 40; i++) {
        mld_table_row(t);
        mld_table_text(t, "a|b");
        mld_table_num(t, 1.5, "1.5");
        mld_table_int(t, 2, NULL);
    }
    rc = mld_table_print(t, f, &out, NULL);
    mld_str_release(&out);
    mld_table_free(t);
    return rc;
}

MLD_TEST(report_table__survives_no_memory)
{
    for (int f = 0; f < MLD_FORMAT_COUNT; f++) {
        enum mld_format format = (enum mld_format)f;
        KIT_CHECK(kit_torture(torture_table, &format) > 4);
    }
}
