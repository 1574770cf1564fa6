/* test_store_query.c: any value becomes a cell; a reader can change nothing. */
#include "kit/kit.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fs.h"
#include "store/store.h"

#define DB "bench.duckdb"

static struct mld_store *reader(void)
{
    struct mld_store *s;
    KIT_OK(mld_store_open(DB, MLD_STORE_WRITE, &s, &kit_err));
    mld_store_close(s);
    KIT_OK(mld_store_open(DB, MLD_STORE_READ, &s, &kit_err));
    return s;
}

struct expected {
    const char *sql; /* an expression */
    enum mld_cell_type type;
    const char *text; /* how the cell prints */
};

static const char *cell_print(const struct mld_cell *c, char *buf, size_t n)
{
    switch (c->type) {
    case MLD_CELL_NULL:
        return "NULL";
    case MLD_CELL_BOOL:
        return c->i != 0 ? "true" : "false";
    case MLD_CELL_INT:
        snprintf(buf, n, "%lld", (long long)c->i);
        return buf;
    case MLD_CELL_FLOAT:
        snprintf(buf, n, "%.17g", c->f);
        return buf;
    case MLD_CELL_TEXT:
        return c->text;
    }
    return "?";
}

static const struct expected values[] = {
    {"NULL", MLD_CELL_NULL, "NULL"},
    {"NULL::INTEGER", MLD_CELL_NULL, "NULL"},
    {"NULL::INTEGER[]", MLD_CELL_NULL, "NULL"},
    {"true", MLD_CELL_BOOL, "true"},
    {"false", MLD_CELL_BOOL, "false"},
    {"(-128)::TINYINT", MLD_CELL_INT, "-128"},
    {"(-32768)::SMALLINT", MLD_CELL_INT, "-32768"},
    {"(-2147483648)::INTEGER", MLD_CELL_INT, "-2147483648"},
    {"(-9223372036854775808)::BIGINT", MLD_CELL_INT, "-9223372036854775808"},
    {"255::UTINYINT", MLD_CELL_INT, "255"},
    {"65535::USMALLINT", MLD_CELL_INT, "65535"},
    {"4294967295::UINTEGER", MLD_CELL_INT, "4294967295"},
    {"9223372036854775807::UBIGINT", MLD_CELL_INT, "9223372036854775807"},
    {"18446744073709551615::UBIGINT", MLD_CELL_TEXT, "18446744073709551615"},
    {"sum(5)", MLD_CELL_INT, "5"}, /* HUGEINT that fits */
    {"(-5)::HUGEINT", MLD_CELL_INT, "-5"},
    {"9223372036854775808::HUGEINT", MLD_CELL_TEXT, "9223372036854775808"},
    {"(-170141183460469231731687303715884105728)::HUGEINT", MLD_CELL_TEXT,
     "-170141183460469231731687303715884105728"},
    {"340282366920938463463374607431768211455::UHUGEINT", MLD_CELL_TEXT,
     "340282366920938463463374607431768211455"},
    {"'123456789012345678901234567890123456789012'::BIGNUM", MLD_CELL_TEXT,
     "123456789012345678901234567890123456789012"},
    {"'-12345678901234567890123'::BIGNUM", MLD_CELL_TEXT, "-12345678901234567890123"},
    {"0.5::FLOAT", MLD_CELL_FLOAT, "0.5"},
    {"1e300::DOUBLE", MLD_CELL_FLOAT, "1.0000000000000001e+300"},
    {"'inf'::DOUBLE", MLD_CELL_FLOAT, "inf"},
    {"1.5", MLD_CELL_FLOAT, "1.5"}, /* DECIMAL(2,1) */
    {"(-12.25)::DECIMAL(9,2)", MLD_CELL_FLOAT, "-12.25"},
    {"(-12.25)::DECIMAL(15,3)", MLD_CELL_FLOAT, "-12.25"},
    {"(-12.25)::DECIMAL(18,4)", MLD_CELL_TEXT, "-12.2500"},
    {"12345678901234567890.123::DECIMAL(38,3)", MLD_CELL_TEXT,
     "12345678901234567890.123"},
    {"'text'", MLD_CELL_TEXT, "text"},
    {"''", MLD_CELL_TEXT, ""},
    {"'more than twelve bytes \xC3\xA4\xE2\x82\xAC'", MLD_CELL_TEXT,
     "more than twelve bytes \xC3\xA4\xE2\x82\xAC"},
    {"'a' || chr(0) || 'b'", MLD_CELL_TEXT,
     "a\xEF\xBF\xBD"
     "b"},
    {"DATE '2026-02-28'", MLD_CELL_TEXT, "2026-02-28"},
    {"TIME '01:02:03.5'", MLD_CELL_TEXT, "01:02:03.5"},
    {"TIMESTAMP '2026-02-28 01:02:03.000004'", MLD_CELL_TEXT,
     "2026-02-28 01:02:03.000004"},
    {"TIMESTAMP_S '2026-02-28 01:02:03'", MLD_CELL_TEXT, "2026-02-28 01:02:03"},
    {"TIMESTAMP_MS '2026-02-28 01:02:03.5'", MLD_CELL_TEXT, "2026-02-28 01:02:03.5"},
    {"TIMESTAMP_NS '2026-02-28 01:02:03.000000007'", MLD_CELL_TEXT,
     "2026-02-28 01:02:03.000000007"},
    {"TIMESTAMPTZ '2026-02-28 01:02:03+00'", MLD_CELL_TEXT, "2026-02-28 01:02:03+00"},
    {"TIMETZ '01:02:03+02'", MLD_CELL_TEXT, "01:02:03+02"},
    {"INTERVAL '1 year 2 days 3 seconds'", MLD_CELL_TEXT, "1 year 2 days 00:00:03"},
    {"'01890a5d-ac96-774b-bcce-b302099a8057'::UUID", MLD_CELL_TEXT,
     "01890a5d-ac96-774b-bcce-b302099a8057"},
    {"'f1890a5d-ac96-774b-bcce-b302099a8057'::UUID", MLD_CELL_TEXT,
     "f1890a5d-ac96-774b-bcce-b302099a8057"},
    {"'\\xAA\\x00\\x01'::BLOB", MLD_CELL_TEXT, "\\xAA\\x00\\x01"},
    {"'0110101'::BIT", MLD_CELL_TEXT, "0110101"},
    {"'big'::ENUM('small', 'big')", MLD_CELL_TEXT, "big"},
    {"[1, NULL, 3]", MLD_CELL_TEXT, "[1, NULL, 3]"},
    {"[]", MLD_CELL_TEXT, "[]"},
    {"[['a'], ['b', 'c']]", MLD_CELL_TEXT, "[[a], [b, c]]"},
    {"array_value(1, 2)", MLD_CELL_TEXT, "[1, 2]"},
    {"{'a': 1, 'b': [true]}", MLD_CELL_TEXT, "{'a': 1, 'b': [true]}"},
    {"MAP {'k': 1.5, 'l': 2}", MLD_CELL_TEXT, "{k=1.5, l=2.0}"},
    {"union_value(num := 5)", MLD_CELL_TEXT, "5"},
    {"'{\"a\": 1}'::JSON", MLD_CELL_TEXT, "{\"a\": 1}"},
};

MLD_TEST(store_query__every_type_becomes_a_cell)
{
    struct mld_store *s = reader();
    int failed = 0;
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        char sql[512], buf[64];
        struct mld_rows rows;
        snprintf(sql, sizeof sql, "SELECT %s AS x", values[i].sql);
        KIT_OK(mld_store_query(s, sql, &rows, &kit_err));
        KIT_EQ_INT(rows.row_count, 1);
        const struct mld_cell *c = mld_rows_cell(&rows, 0, "x");
        KIT_CHECK(c != NULL);
        const char *text = cell_print(c, buf, sizeof buf);
        if (c->type != values[i].type || strcmp(text, values[i].text) != 0) {
            printf("%s: type %d '%s', expected type %d '%s'\n", values[i].sql, c->type,
                   text, values[i].type, values[i].text);
            failed++;
        }
        mld_rows_release(&rows);
    }
    KIT_EQ_INT(failed, 0);
    mld_store_close(s);
}

/* The same through a table of many rows, so that vectors are not constant, with NULLs. */
MLD_TEST(store_query__columns_of_many_rows)
{
    struct mld_store *s = reader();
    struct mld_rows rows;
    KIT_OK(mld_store_query(
        s,
        "SELECT i, CASE WHEN i % 3 = 0 THEN NULL ELSE i * 2 END AS j, 't' || i AS t, "
        "[i, i + 1] AS l, {'a': i, 'b': CASE WHEN i % 2 = 0 THEN NULL ELSE 'x' END} AS "
        "s, "
        "MAP {'k' || i: i} AS m, [[i], [i]]::BIGINT[1][2] AS a FROM range(5000) r(i)",
        &rows, &kit_err));
    KIT_EQ_INT(rows.row_count, 5000);
    KIT_EQ_INT(rows.column_count, 7);
    for (size_t row = 0; row < 5000; row++) {
        char text[64];
        KIT_EQ_INT(mld_rows_cell(&rows, row, "i")->i, row);
        KIT_EQ_INT(mld_rows_cell(&rows, row, "j")->type,
                   row % 3 == 0 ? MLD_CELL_NULL : MLD_CELL_INT);
        snprintf(text, sizeof text, "t%zu", row);
        KIT_EQ_STR(mld_rows_cell(&rows, row, "t")->text, text);
        snprintf(text, sizeof text, "[%zu, %zu]", row, row + 1);
        KIT_EQ_STR(mld_rows_cell(&rows, row, "l")->text, text);
        snprintf(text, sizeof text, "{'a': %zu, 'b': %s}", row,
                 row % 2 == 0 ? "NULL" : "x");
        KIT_EQ_STR(mld_rows_cell(&rows, row, "s")->text, text);
        snprintf(text, sizeof text, "{k%zu=%zu}", row, row);
        KIT_EQ_STR(mld_rows_cell(&rows, row, "m")->text, text);
        snprintf(text, sizeof text, "[[%zu], [%zu]]", row, row);
        KIT_EQ_STR(mld_rows_cell(&rows, row, "a")->text, text);
    }
    KIT_CHECK(mld_rows_cell(&rows, 5000, "i") == NULL);
    KIT_CHECK(mld_rows_cell(&rows, 0, "no") == NULL);
    mld_rows_release(&rows);
    mld_rows_release(&rows); /* twice is harmless */
    mld_store_close(s);
}

MLD_TEST(store_query__no_rows_keep_their_columns)
{
    struct mld_store *s = reader();
    struct mld_rows rows;
    KIT_OK(mld_store_query(s, "SELECT 1 AS a, 'x' AS b WHERE false", &rows, &kit_err));
    KIT_EQ_INT(rows.row_count, 0);
    KIT_EQ_INT(rows.column_count, 2);
    KIT_EQ_STR(rows.columns[1], "b");
    KIT_EQ_INT(rows.types[0], MLD_CELL_INT);
    mld_rows_release(&rows);
    mld_store_close(s);
}

MLD_TEST(store_query__what_reads_is_allowed)
{
    static const char *const sql[] = {
        "SELECT 1;",
        "  -- a comment\n SELECT 1",
        "WITH x AS (SELECT 1) FROM x",
        "FROM results",
        "VALUES (1), (2)",
        "DESCRIBE results",
        "SHOW TABLES",
        "SUMMARIZE results",
        "EXPLAIN SELECT 1",
        "SELECT * FROM duckdb_tables()",
        "PIVOT (SELECT 1 AS a, 'x' AS b) ON b IN ('x') USING sum(a)",
    };
    struct mld_store *s = reader();
    for (size_t i = 0; i < sizeof sql / sizeof sql[0]; i++) {
        struct mld_rows rows;
        KIT_OK(mld_store_query(s, sql[i], &rows, &kit_err));
        mld_rows_release(&rows);
    }
    mld_store_close(s);
}

MLD_TEST(store_query__what_writes_is_refused)
{
    static const char *const sql[] = {
        "INSERT INTO phases VALUES (1, 'x', 2)",
        "DELETE FROM results",
        "UPDATE runs SET command_line = 'x'",
        "DROP TABLE results",
        "DROP VIEW latest",
        "CREATE TABLE t (i INTEGER)",
        "CREATE TEMP TABLE t (i INTEGER)",
        "CREATE OR REPLACE VIEW latest AS SELECT 1",
        "ALTER TABLE results ADD COLUMN x INTEGER",
        "COPY results TO 'out.csv'",
        "COPY (SELECT 1) TO 'out.parquet' (FORMAT parquet)",
        "COPY results FROM 'in.csv'",
        "EXPORT DATABASE 'out'",
        "IMPORT DATABASE 'out'",
        "ATTACH 'other.duckdb'",
        "DETACH memory",
        "INSTALL httpfs",
        "LOAD parquet",
        "SET enable_external_access = true",
        "SET threads = 1",
        "RESET threads",
        "PRAGMA enable_profiling",
        "CALL pragma_version()",
        "BEGIN TRANSACTION",
        "CHECKPOINT",
        "VACUUM",
        "ANALYZE",
        "PREPARE p AS DELETE FROM results",
        "EXPLAIN ANALYZE DELETE FROM results",
        "MERGE INTO phases USING phases p ON false WHEN NOT MATCHED THEN INSERT",
        "CREATE MACRO m() AS 1",
        "CREATE SEQUENCE q",
        "SELECT nextval('model_ids')",
        "WITH x AS (DELETE FROM results RETURNING *) SELECT * FROM x",
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM '/etc/passwd'",
        "SELECT * FROM read_text('/etc/passwd')",
        "SELECT * FROM glob('/*')",
        "SELECT * FROM 'x.parquet'",
    };
    struct mld_store *s = reader();
    int allowed = 0;
    for (size_t i = 0; i < sizeof sql / sizeof sql[0]; i++) {
        struct mld_rows rows;
        kit_clear();
        if (mld_store_query(s, sql[i], &rows, &kit_err) == 0) {
            printf("allowed: %s\n", sql[i]);
            allowed++;
        }
        KIT_CHECK(strchr(kit_err.message, '\n') == NULL);
        mld_rows_release(&rows);
    }
    KIT_EQ_INT(allowed, 0);
    /* Nothing was made beside the database, and the reader still reads. */
    struct mld_rows rows;
    KIT_OK(mld_store_query(s, "SELECT count(*) FROM results", &rows, &kit_err));
    mld_rows_release(&rows);
    mld_store_close(s);
    char **names;
    size_t n;
    KIT_OK(mld_dir_list(".", &names, &n, &kit_err));
    KIT_EQ_INT(n, 1);
    KIT_EQ_STR(names[0], DB);
    mld_names_free(names, n);
}

static void refused(struct mld_store *s, const char *sql, int code, const char *words)
{
    struct mld_rows rows;
    KIT_FAILS(mld_store_query(s, sql, &rows, &kit_err), code);
    KIT_CONTAINS(kit_err.message, words);
    KIT_CHECK(strchr(kit_err.message, '\n') == NULL);
    KIT_EQ_INT(rows.row_count, 0);
    mld_rows_release(&rows); /* harmless after a failure */
}

MLD_TEST(store_query__mistakes_are_told)
{
    struct mld_store *s = reader();
    refused(s, "", MLD_E_INVALID, "no statement given");
    refused(s, " ; -- nothing", MLD_E_INVALID, "no statement given");
    refused(s, "SELECT 1; SELECT 2", MLD_E_INVALID,
            "2 statements given, one at a time is taken");
    refused(s, "SELECT 1; DROP TABLE results", MLD_E_INVALID, "2 statements given");
    refused(s, "PIVOT (SELECT 1 AS a, 'x' AS b) ON b USING sum(a)", MLD_E_INVALID,
            "PIVOT needs its values: ON column IN (...)");
    refused(s, "SELEC 1", MLD_E_INVALID, "syntax error at or near \"SELEC\"");
    refused(s, "SELECT * FROM resluts", MLD_E_INVALID, "did you mean \"results\"");
    refused(s, "SELECT modle FROM models", MLD_E_INVALID, "modle");
    refused(s, "SELECT $1", MLD_E_INVALID,
            "the statement has 1 parameters, 0 were given");
    refused(s, "SELECT 'a'::INTEGER", MLD_E_INVALID, "Conversion Error");
    refused(s, "SELECT error('line one' || chr(10) || 'line two')", MLD_E_INVALID,
            "line one");
    /* A mistake that shows after thousands of rows. */
    refused(s,
            "SELECT CASE WHEN i = 50000 THEN error('late') ELSE i END FROM range(60000) "
            "r(i)",
            MLD_E_INVALID, "late");
    refused(s, "DELETE FROM results", MLD_E_INVALID, "only statements that read");
    refused(s, "SELECT 1::VARIANT AS v", MLD_E_UNSUPPORTED,
            "column 'v' has a type that cannot be shown: cast it");
    mld_store_close(s);
}

/* A result without end is refused before it takes the machine's memory. */
MLD_TEST(store_query__endless_results_are_cut)
{
    struct mld_store *s = reader();
    refused(s, "FROM range(100000000000)", MLD_E_TOO_LARGE,
            "the result has more than 16777216 values: add LIMIT");
    refused(s, "SELECT * FROM range(300000) a, range(300000) b", MLD_E_TOO_LARGE,
            "add LIMIT");
    struct rusage usage;
    KIT_CHECK(getrusage(RUSAGE_SELF, &usage) == 0);
    KIT_CHECK(usage.ru_maxrss < 3 * 1024 * 1024); /* KiB */
    mld_store_close(s);
}

MLD_TEST(store_query__parameters)
{
    struct mld_store *s = reader();
    struct mld_cell params[] = {{.type = MLD_CELL_TEXT, .text = "x' OR '1'='1"},
                                {.type = MLD_CELL_INT, .i = -7},
                                {.type = MLD_CELL_FLOAT, .f = 0.25},
                                {.type = MLD_CELL_BOOL, .i = 1},
                                {.type = MLD_CELL_NULL}};
    struct mld_rows rows;
    KIT_OK(mld_store_query_with(s, "SELECT $1 AS t, $2 AS i, $3 AS f, $4 AS b, $5 AS n",
                                params, 5, &rows, &kit_err));
    KIT_EQ_STR(mld_rows_cell(&rows, 0, "t")->text, params[0].text);
    KIT_EQ_INT(mld_rows_cell(&rows, 0, "i")->i, -7);
    KIT_NEAR(mld_rows_cell(&rows, 0, "f")->f, 0.25, 0);
    KIT_EQ_INT(mld_rows_cell(&rows, 0, "b")->i, 1);
    KIT_EQ_INT(mld_rows_cell(&rows, 0, "n")->type, MLD_CELL_NULL);
    mld_rows_release(&rows);
    KIT_FAILS(mld_store_query_with(s, "SELECT $1", params, 2, &rows, &kit_err),
              MLD_E_INVALID);
    mld_store_close(s);
}

static int torture_query(void *ctx)
{
    struct mld_rows rows;
    int rc = mld_store_query(ctx,
                             "SELECT i, 't' || i AS t, [i, i] AS l, {'a': i} AS s "
                             "FROM range(50) r(i)",
                             &rows, NULL);
    mld_rows_release(&rows);
    return rc;
}

MLD_TEST(store_query__survives_no_memory)
{
    struct mld_store *s = reader();
    KIT_CHECK(kit_torture(torture_query, s) >= 4);
    mld_store_close(s);
}
