/* test_store_write.c: what is added comes back, whole, once, and with NULL for unknown.
 */
#include "kit/kit.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "store/store.h"

#define DB "bench.duckdb"

static struct mld_store *open_db(enum mld_store_mode mode)
{
    struct mld_store *s;
    KIT_OK(mld_store_open(DB, mode, &s, &kit_err));
    return s;
}

static void begin_run(struct mld_store *s, char id[37])
{
    struct mld_store_run run = {
        .command_line = "mldyno bench --model bert",
        .mldyno_version = "0.1.0",
        .git_commit = "abc",
        .environment_json = "{\"cpu_model\": \"Testium 9\", \"cores_physical\": 2, "
                            "\"memory_total_bytes\": 8589934592, "
                            "\"memory_available_bytes\": 123}",
        .environment_fingerprint = "0123456789abcdef",
        .hostname = "box"};
    KIT_OK(mld_store_begin_run(s, &run, id, &kit_err));
}

static void fill(struct mld_store_result *r, const char *run_id)
{
    mld_store_result_init(r);
    r->run_id = run_id;
    r->model = "bert";
    r->class_name = "BertModel";
    r->platform = "cpu";
    r->device_name = "Testium 9";
    r->engine = "onnxruntime";
    r->precision = r->precision_effective = "fp32";
    r->mode = "forward";
    r->batch_size = 1;
    r->shapes_json = "{\"seq\":128}";
    r->status = "ok";
    r->origin = "measured";
}

static int64_t ask(struct mld_store *s, const char *sql)
{
    struct mld_rows rows;
    KIT_OK(mld_store_query(s, sql, &rows, &kit_err));
    KIT_EQ_INT(rows.row_count, 1);
    KIT_EQ_INT(rows.cells[0].type, MLD_CELL_INT);
    int64_t x = rows.cells[0].i;
    mld_rows_release(&rows);
    return x;
}

static double ask_real(struct mld_store *s, const char *sql)
{
    struct mld_rows rows;
    KIT_OK(mld_store_query(s, sql, &rows, &kit_err));
    KIT_EQ_INT(rows.row_count, 1);
    KIT_EQ_INT(rows.cells[0].type, MLD_CELL_FLOAT);
    double x = rows.cells[0].f;
    mld_rows_release(&rows);
    return x;
}

/* Text lives until the case ends. */
static const char *ask_text(struct mld_store *s, const char *sql)
{
    struct mld_rows rows;
    KIT_OK(mld_store_query(s, sql, &rows, &kit_err));
    KIT_EQ_INT(rows.row_count, 1);
    static char buf[8][4096];
    static int next;
    char *to = buf[next++ % 8];
    snprintf(to, sizeof buf[0], "%s", rows.cells[0].text ? rows.cells[0].text : "(null)");
    mld_rows_release(&rows);
    return to;
}

MLD_TEST(store_write__everything_comes_back)
{
    struct mld_store *s = open_db(MLD_STORE_WRITE);
    char run[37];
    begin_run(s, run);
    uint64_t samples[] = {9000, 5000, 1000, 1001, 1002};
    struct mld_store_phase phases[] = {
        {"build", 5000000}, {"load", -1}, {"first_run", 42000000}};
    struct mld_store_result r;
    fill(&r, run);
    r.model_type = "bert";
    r.checkpoint = "bert-base-uncased";
    r.categories = "text,encoder";
    r.parameters = 109482240;
    r.layers = r.layers_full = 12;
    r.throughput_per_s = 12.5;
    r.p50_ms = 80.25;
    r.temperature_before_c = -1.0; /* has a sign: is no unknown */
    r.precision_emulated = 0;
    r.placement_provider = "CPUExecutionProvider";
    r.nodes_total = 100;
    r.nodes_on_device = 100;
    r.phases = phases;
    r.phase_count = 3;
    r.samples_ns = samples;
    r.samples_total = 5;
    r.samples_warmup = 2;
    int64_t id;
    KIT_OK(mld_store_add_result(s, &r, &id, &kit_err));
    KIT_EQ_INT(id, 1);
    KIT_OK(mld_store_end_run(s, run, &kit_err));
    mld_store_close(s);

    s = open_db(MLD_STORE_READ);
    struct mld_rows rows;
    KIT_OK(mld_store_query(s, "SELECT * FROM comprehensive_benchmarks", &rows, &kit_err));
    KIT_EQ_INT(rows.row_count, 1);
    KIT_EQ_STR(mld_rows_cell(&rows, 0, "run_id")->text, run);
    KIT_EQ_STR(mld_rows_cell(&rows, 0, "model")->text, "bert");
    KIT_EQ_STR(mld_rows_cell(&rows, 0, "class_name")->text, "BertModel");
    KIT_EQ_STR(mld_rows_cell(&rows, 0, "checkpoint")->text, "bert-base-uncased");
    KIT_EQ_INT(mld_rows_cell(&rows, 0, "parameters")->i, 109482240);
    KIT_EQ_STR(mld_rows_cell(&rows, 0, "platform")->text, "cpu");
    KIT_EQ_STR(mld_rows_cell(&rows, 0, "shapes_json")->text, "{\"seq\":128}");
    KIT_NEAR(mld_rows_cell(&rows, 0, "throughput_per_s")->f, 12.5, 0);
    KIT_NEAR(mld_rows_cell(&rows, 0, "p50_ms")->f, 80.25, 0);
    KIT_NEAR(mld_rows_cell(&rows, 0, "temperature_before_c")->f, -1.0, 0);
    KIT_EQ_INT(mld_rows_cell(&rows, 0, "precision_emulated")->type, MLD_CELL_BOOL);
    KIT_EQ_INT(mld_rows_cell(&rows, 0, "precision_emulated")->i, 0);
    KIT_NEAR(mld_rows_cell(&rows, 0, "build_ms")->f, 5.0, 0);
    KIT_NEAR(mld_rows_cell(&rows, 0, "first_run_ms")->f, 42.0, 0);
    KIT_EQ_INT(mld_rows_cell(&rows, 0, "load_ms")->type, MLD_CELL_NULL);
    KIT_EQ_STR(mld_rows_cell(&rows, 0, "cpu_model")->text, "Testium 9");
    KIT_EQ_INT(mld_rows_cell(&rows, 0, "cores_physical")->i, 2);
    KIT_EQ_STR(mld_rows_cell(&rows, 0, "command_line")->text,
               "mldyno bench --model bert");
    /* What was not said is NULL, not 0. */
    static const char *const unknown[] = {
        "reason",     "threads",      "mean_ms",           "p99_ms",
        "flops",      "energy_j",     "memory_peak_bytes", "sample_count",
        "harness_ns", "tokens_per_s", "autocorrelation",   "accuracy_json"};
    for (size_t i = 0; i < sizeof unknown / sizeof unknown[0]; i++)
        KIT_EQ_INT(mld_rows_cell(&rows, 0, unknown[i])->type, MLD_CELL_NULL);
    mld_rows_release(&rows);
    KIT_EQ_STR(ask_text(s, "SELECT string_agg(i || ':' || ns || ':' || warmup, ' ' ORDER "
                           "BY i) FROM samples"),
               "0:9000:true 1:5000:true 2:1000:false 3:1001:false 4:1002:false");
    KIT_EQ_INT(ask(s, "SELECT count(*) FROM phases"), 2);
    KIT_EQ_STR(ask_text(s, "SELECT provider || nodes_on_device FROM placement"),
               "CPUExecutionProvider100");
    KIT_EQ_INT(ask(s, "SELECT count(*) FROM runs WHERE ended_at >= started_at"), 1);
    mld_store_close(s);
}

MLD_TEST(store_write__models_hardware_environments_are_kept_once)
{
    struct mld_store *s = open_db(MLD_STORE_WRITE);
    char run[37];
    struct mld_store_result r;
    for (int round = 0; round < 2; round++) {
        begin_run(s, run);
        for (int batch = 1; batch <= 3; batch++) {
            fill(&r, run);
            r.batch_size = batch;
            KIT_OK(mld_store_add_result(s, &r, NULL, &kit_err));
        }
    }
    fill(&r, run);
    r.layers = 2; /* a cut model is another model */
    KIT_OK(mld_store_add_result(s, &r, NULL, &kit_err));
    fill(&r, run);
    r.device_name = "Testium 10";
    KIT_OK(mld_store_add_result(s, &r, NULL, &kit_err));
    struct mld_store_status st;
    KIT_OK(mld_store_status(s, &st, &kit_err));
    KIT_EQ_INT(st.runs, 2);
    KIT_EQ_INT(st.results, 8);
    KIT_EQ_INT(st.models, 2);
    KIT_EQ_INT(st.hardware, 2);
    KIT_EQ_INT(st.environments, 1);
    KIT_EQ_INT(st.samples, 0);
    KIT_EQ_INT(st.schema_version, st.newest_version);
    KIT_EQ_STR(st.path, DB);
    KIT_CHECK(st.file_bytes > 0);
    KIT_EQ_INT(strlen(st.last_run), strlen("2026-01-01T00:00:00Z"));
    mld_store_status_release(&st);
    /* The same case twice is one configuration; two batch sizes are two. */
    KIT_EQ_INT(ask(s, "SELECT count(DISTINCT config_hash) FROM results"), 5);
    KIT_EQ_INT(ask(s, "SELECT count(*) FROM latest"), 5);
    KIT_EQ_INT(ask(s, "SELECT min(result_id) FROM latest"), 4);
    /* No row refers to one that is not there. */
    KIT_EQ_INT(ask(s, "SELECT count(*) FROM results r WHERE NOT EXISTS (FROM models m "
                      "WHERE m.model_id = r.model_id) OR NOT EXISTS (FROM hardware h "
                      "WHERE h.hardware_id = r.hardware_id) OR NOT EXISTS (FROM runs u "
                      "WHERE u.run_id = r.run_id)"),
               0);
    mld_store_close(s);
}

MLD_TEST(store_write__every_field_has_its_column)
{
    struct mld_store *s = open_db(MLD_STORE_WRITE);
    static const char *const fields[] = {
#define X(kind, field) #field,
#include "store/result_columns.def"
#undef X
    };
    size_t n = sizeof fields / sizeof fields[0];
    for (size_t i = 0; i < n; i++) {
        char sql[256];
        snprintf(sql, sizeof sql,
                 "SELECT count(*) FROM duckdb_columns() WHERE table_name = 'results' AND "
                 "column_name = '%s'",
                 fields[i]);
        if (ask(s, sql) != 1)
            KIT_FAIL("results has no column '%s'", fields[i]);
    }
    /* And none is left that nothing fills: ids, run, time, hash. */
    KIT_EQ_INT(ask(s, "SELECT count(*) FROM duckdb_columns() WHERE table_name = "
                      "'results'"),
               n + 6);
    mld_store_close(s);
}

MLD_TEST(store_write__a_case_is_whole_or_not_there)
{
    struct mld_store *s = open_db(MLD_STORE_WRITE);
    char run[37];
    begin_run(s, run);
    uint64_t samples[] = {1, 2, 3};
    struct mld_store_phase phases[] = {{"load", 1}, {NULL, 2}};
    struct mld_store_result r;
    fill(&r, run);
    r.samples_ns = samples;
    r.samples_total = 3;
    r.phases = phases;
    r.phase_count = 2; /* the second has no name: refused after result and first phase */
    int64_t id = 7;
    KIT_FAILS(mld_store_add_result(s, &r, &id, &kit_err), MLD_E_INVALID);
    KIT_CONTAINS(kit_err.message, "NOT NULL");
    KIT_EQ_INT(id, -1);
    fill(&r, run);
    r.status = "brilliant";
    KIT_FAILS(mld_store_add_result(s, &r, &id, &kit_err), MLD_E_INVALID);
    KIT_CONTAINS(kit_err.message, "CHECK");
    fill(&r, run);
    r.origin = "dreamt";
    KIT_FAILS(mld_store_add_result(s, &r, &id, &kit_err), MLD_E_INVALID);
    fill(&r, NULL);
    KIT_FAILS(mld_store_add_result(s, &r, &id, &kit_err), MLD_E_INVALID);
    fill(&r, run);
    r.samples_warmup = 1;
    KIT_FAILS(mld_store_add_result(s, &r, &id, &kit_err), MLD_E_INVALID);
    KIT_EQ_INT(ask(s, "SELECT (SELECT count(*) FROM results) + (SELECT count(*) FROM "
                      "phases) + (SELECT count(*) FROM models) + (SELECT count(*) FROM "
                      "samples)"),
               0);
    /* The store still works. */
    fill(&r, run);
    KIT_OK(mld_store_add_result(s, &r, &id, &kit_err));
    KIT_EQ_INT(ask(s, "SELECT count(*) FROM results"), 1);
    mld_store_close(s);
}

MLD_TEST(store_write__many_samples_and_large_ones)
{
    struct mld_store *s = open_db(MLD_STORE_WRITE);
    char run[37];
    begin_run(s, run);
    enum {
        N = 300001
    }; /* over two row groups of DuckDB, and not a multiple of its 2048 */
    uint64_t *samples = mld_alloc(N * sizeof *samples);
    KIT_CHECK(samples != NULL);
    for (size_t i = 0; i < N; i++)
        samples[i] = i * 7;
    samples[N - 1] = UINT64_MAX;
    struct mld_store_result r;
    fill(&r, run);
    r.samples_ns = samples;
    r.samples_total = N;
    r.samples_warmup = 2049;
    KIT_OK(mld_store_add_result(s, &r, NULL, &kit_err));
    mld_free(samples);
    mld_store_close(s);
    s = open_db(MLD_STORE_READ);
    KIT_EQ_INT(ask(s, "SELECT count(*) FROM samples"), N);
    KIT_EQ_INT(ask(s, "SELECT count(*) FROM samples WHERE warmup"), 2049);
    KIT_EQ_INT(ask(s, "SELECT count(*) FROM samples WHERE ns <> i * 7"), 1);
    KIT_EQ_INT(ask(s, "SELECT max(ns) FROM samples"), INT64_MAX);
    KIT_EQ_INT(ask(s, "SELECT count(DISTINCT i) FROM samples WHERE result_id = 1"), N);
    mld_store_close(s);
}

MLD_TEST(store_write__hostile_text_is_kept_as_text)
{
    struct mld_store *s = open_db(MLD_STORE_WRITE);
    char run[37];
    begin_run(s, run);
    struct mld_store_result r;
    fill(&r, run);
    r.model = "x'); DROP TABLE results; --";
    r.reason = "line\nwith \x1b[31m and \"quotes\"";
    r.engine = "cut \xE2\x82";           /* a character that a fixed buffer cut in two */
    r.mode = "\xC0\xAF\xED\xA0\x80\xF5"; /* overlong, surrogate, out of range */
    KIT_OK(mld_store_add_result(s, &r, NULL, &kit_err));
    KIT_EQ_STR(ask_text(s, "SELECT model FROM models"), r.model);
    KIT_EQ_STR(ask_text(s, "SELECT reason FROM results"), r.reason);
    KIT_EQ_STR(ask_text(s, "SELECT engine FROM results"), "cut \xEF\xBF\xBD\xEF\xBF\xBD");
    KIT_EQ_INT(ask(s, "SELECT length(mode) FROM results"), 6);
    mld_store_close(s);
}

MLD_TEST(store_write__unknown_run_and_bad_environment)
{
    struct mld_store *s = open_db(MLD_STORE_WRITE);
    struct mld_store_run run = {.environment_json = "{\"os\": "};
    char id[37];
    KIT_FAILS(mld_store_begin_run(s, &run, id, &kit_err), MLD_E_PARSE);
    KIT_FAILS(mld_store_end_run(s, "00000000-0000-0000-0000-000000000000", &kit_err),
              MLD_E_NOT_FOUND);
    KIT_CONTAINS(kit_err.message, "no run '00000000-");
    KIT_FAILS(mld_store_end_run(s, "not a uuid", &kit_err), MLD_E_NOT_FOUND);
    run.environment_json = NULL; /* all unknown is allowed */
    KIT_OK(mld_store_begin_run(s, &run, id, &kit_err));
    KIT_EQ_INT(strlen(id), 36);
    mld_store_close(s);
}

MLD_TEST(store_write__availability_log)
{
    struct mld_store *s = open_db(MLD_STORE_WRITE);
    char run[37];
    begin_run(s, run);
    struct mld_store_availability look[] = {
        {"ort", "onnxruntime", "1.32.0", "cpu", "cpu", "Testium 9", true, NULL},
        {"openvino", NULL, NULL, "openvino", NULL, NULL, false, "library not found"}};
    KIT_OK(mld_store_add_availability(s, run, look, 2, &kit_err));
    look[1].usable = true;
    KIT_OK(mld_store_add_availability(s, NULL, look, 2, &kit_err));
    KIT_EQ_INT(ask(s, "SELECT count(*) FROM availability_log"), 4);
    KIT_EQ_INT(ask(s, "SELECT count(*) FROM availability WHERE usable"), 2);
    look[0].backend = NULL;
    KIT_FAILS(mld_store_add_availability(s, run, look, 2, &kit_err), MLD_E_INVALID);
    KIT_EQ_INT(ask(s, "SELECT count(*) FROM availability_log"), 4);
    mld_store_close(s);
}

MLD_TEST(store_write__annotations)
{
    struct mld_store *s = open_db(MLD_STORE_WRITE);
    static const char nobody[] = "00000000-0000-0000-0000-000000000000";
    char run[37];
    int64_t id;
    struct mld_store_result r;
    begin_run(s, run);
    fill(&r, run);
    KIT_OK(mld_store_add_result(s, &r, &id, &kit_err));
    KIT_OK(mld_store_annotate(s, NULL, -1, NULL, "moved to the new rack", &kit_err));
    KIT_OK(mld_store_annotate(s, run, -1, "ada", "fan was off", &kit_err));
    KIT_OK(mld_store_annotate(s, NULL, id, "ada", "an outlier: it's \"odd\"", &kit_err));
    KIT_FAILS(mld_store_annotate(s, nobody, -1, NULL, "x", &kit_err), MLD_E_NOT_FOUND);
    KIT_CONTAINS(kit_err.message, "no run '00000000-");
    KIT_FAILS(mld_store_annotate(s, NULL, 77, NULL, "x", &kit_err), MLD_E_NOT_FOUND);
    KIT_CONTAINS(kit_err.message, "no result 77 in");
    KIT_FAILS(mld_store_annotate(s, NULL, -1, NULL, "", &kit_err), MLD_E_INVALID);
    KIT_EQ_INT(ask(s, "SELECT count(*) FROM annotations"), 3);
    KIT_EQ_STR(ask_text(s, "SELECT note FROM annotations WHERE result_id = 1"),
               "an outlier: it's \"odd\"");
    mld_store_close(s);
}

/* The views over a small invented history: two machines' worth is not needed, two engine
 * versions and a failure are. */
MLD_TEST(store_write__views_tell_the_story)
{
    struct mld_store *s = open_db(MLD_STORE_WRITE);
    char run[37];
    begin_run(s, run);
    struct mld_store_result r;
    fill(&r, run);
    r.engine_version = "1.0";
    r.p50_ms = 10;
    r.throughput_per_s = 100;
    KIT_OK(mld_store_add_result(s, &r, NULL, &kit_err));
    r.status = "failed";
    r.p50_ms = NAN;
    r.throughput_per_s = NAN;
    r.reason = "worker exited with 3";
    r.reproduce = "mldyno run --model bert";
    KIT_OK(mld_store_add_result(s, &r, NULL, &kit_err));
    r.status = "ok";
    r.reason = NULL;
    r.engine_version = "2.0";
    r.p50_ms = 15;
    r.throughput_per_s = 66;
    KIT_OK(mld_store_add_result(s, &r, NULL, &kit_err));
    r.batch_size = 8;
    r.throughput_per_s = 200;
    KIT_OK(mld_store_add_result(s, &r, NULL, &kit_err));
    KIT_EQ_INT(ask(s, "SELECT count(*) FROM failures"), 1);
    KIT_EQ_STR(ask_text(s, "SELECT reason || '|' || reproduce FROM failures"),
               "worker exited with 3|mldyno run --model bert");
    KIT_EQ_INT(ask(s, "SELECT count(*) FROM latest WHERE status = 'ok'"), 2);
    /* The change is from the last good one, over the failure. */
    KIT_NEAR(ask_real(s, "SELECT p50_change FROM history WHERE result_id = 3"), 0.5,
             1e-12);
    KIT_EQ_STR(ask_text(s, "SELECT p50_change::VARCHAR FROM history WHERE result_id = 1"),
               "(null)");
    KIT_EQ_STR(ask_text(s,
                        "SELECT configurations || ' ' || ok || ' ' || failed || ' ' || "
                        "best_throughput_per_s || ' ' || best_batch_size FROM "
                        "model_hardware_matrix"),
               "2 2 0 200.0 8");
    KIT_EQ_INT(ask(s, "SELECT batch_size FROM best"), 8);
    r.platform = "null"; /* tells of no hardware */
    r.throughput_per_s = 1e6;
    KIT_OK(mld_store_add_result(s, &r, NULL, &kit_err));
    KIT_EQ_INT(ask(s, "SELECT batch_size FROM best"), 8);
    KIT_EQ_INT(ask(s, "SELECT count(*) FROM model_hardware_matrix"), 1);
    KIT_EQ_INT(ask(s, "SELECT results FROM run_summary"), 5);
    mld_store_close(s);
}

MLD_TEST(store_write__reports_all_run)
{
    struct mld_store *s = open_db(MLD_STORE_WRITE);
    char run[37];
    begin_run(s, run);
    struct mld_store_result r;
    fill(&r, run);
    KIT_OK(mld_store_add_result(s, &r, NULL, &kit_err));
    mld_store_close(s);
    s = open_db(MLD_STORE_READ);
    size_t n;
    const struct mld_store_report *reports = mld_store_reports(&n);
    KIT_CHECK(n >= 8);
    for (size_t i = 0; i < n; i++) {
        struct mld_rows rows;
        KIT_OK(mld_store_query(s, reports[i].sql, &rows, &kit_err));
        bool empty = strcmp(reports[i].name, "failures") == 0 ||
                     strcmp(reports[i].name, "availability") == 0;
        if ((rows.row_count == 0) != empty)
            KIT_FAIL("report '%s' has %zu rows", reports[i].name, rows.row_count);
        KIT_CHECK(mld_store_report_find(reports[i].name) == &reports[i]);
        mld_rows_release(&rows);
    }
    KIT_CHECK(mld_store_report_find("nonsense") == NULL);
    mld_store_close(s);
}

static int torture_add(void *ctx)
{
    struct mld_store *s;
    struct mld_store_run run = {.environment_json = "{\"os\": \"x\"}"};
    struct mld_store_result r;
    char id[37];
    (void)ctx;
    int rc = mld_store_open(DB, MLD_STORE_WRITE, &s, NULL);
    if (rc == 0)
        rc = mld_store_begin_run(s, &run, id, NULL);
    fill(&r, id);
    r.reason = "cut \xE2\x82";
    if (rc == 0)
        rc = mld_store_add_result(s, &r, NULL, NULL);
    mld_store_close(s);
    return rc;
}

MLD_TEST(store_write__survives_no_memory)
{
    KIT_CHECK(kit_torture(torture_add, NULL) >= 5);
    struct mld_store *s = open_db(MLD_STORE_READ);
    KIT_EQ_INT(ask(s, "SELECT count(*) FROM results"), 1);
    mld_store_close(s);
}

MLD_TEST(store_write__a_reader_cannot_add)
{
    mld_store_close(open_db(MLD_STORE_WRITE));
    struct mld_store *s = open_db(MLD_STORE_READ);
    struct mld_store_run run = {0};
    struct mld_store_result r;
    char id[37];
    fill(&r, "x");
    KIT_FAILS(mld_store_begin_run(s, &run, id, &kit_err), MLD_E_INVALID);
    KIT_FAILS(mld_store_add_result(s, &r, NULL, &kit_err), MLD_E_INVALID);
    KIT_FAILS(mld_store_end_run(s, "x", &kit_err), MLD_E_INVALID);
    KIT_FAILS(mld_store_add_availability(s, NULL, NULL, 0, &kit_err), MLD_E_INVALID);
    KIT_CONTAINS(kit_err.message, "opened for reading only");
    mld_store_close(s);
}
