/* cmd_db.c: `mldyno db init`, `mldyno db status` and `mldyno query`. */
#include "cli/cli.h"

#include "app/database.h"
#include "base/json.h"
#include "report/table_rows.h"

#include <stdio.h>
#include <string.h>

struct db_args {
    struct mld_cli_common common;
    const char *db_path, *sql;
};

#define DB_PATH_OPTION                                                                   \
    {                                                                                    \
        .name = "db-path", MLD_OPT_FIELD(STRING, struct db_args, db_path),               \
        .value_name = "FILE",                                                            \
        .help = "database file (default: $MLDYNO_DB, else "                              \
                "./benchmark_db.duckdb)"                                                 \
    }

static const struct mld_option db_options[] = {DB_PATH_OPTION, {.name = NULL}};
static const struct mld_option query_options[] = {
    {.name = "sql",
     MLD_OPT_FIELD(STRING, struct db_args, sql),
     .value_name = "SQL",
     .help = "one statement that only reads"},
    DB_PATH_OPTION,
    {.name = NULL}};

static int print_status(const struct mld_store_status *s, int64_t format,
                        struct mld_error *err)
{
    static const struct mld_column columns[] = {{"path", NULL, MLD_LEFT},
                                                {"file_bytes", "size", MLD_RIGHT},
                                                {"schema_version", "schema", MLD_RIGHT},
                                                {"newest_version", "newest", MLD_RIGHT},
                                                {"runs", NULL, MLD_RIGHT},
                                                {"results", NULL, MLD_RIGHT},
                                                {"samples", NULL, MLD_RIGHT},
                                                {"models", NULL, MLD_RIGHT},
                                                {"hardware", NULL, MLD_RIGHT},
                                                {"environments", NULL, MLD_RIGHT},
                                                {"last_run", "last run", MLD_LEFT}};
    struct mld_table *t = NULL;
    char text[32];
    MLD_TRY(mld_table_new(columns, sizeof columns / sizeof *columns, &t, err));
    mld_table_row(t);
    mld_table_text(t, s->path);
    mld_table_int(t, s->file_bytes, mld_human_bytes(s->file_bytes, text, sizeof text));
    mld_table_int(t, s->schema_version, NULL);
    mld_table_int(t, s->newest_version, NULL);
    const int64_t counts[] = {s->runs,   s->results,  s->samples,
                              s->models, s->hardware, s->environments};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        mld_table_int(t, counts[i], NULL);
    mld_table_text(t, *s->last_run ? s->last_run : NULL);
    int rc = mld_cli_print_table(t, format, err);
    mld_table_free(t);
    return rc;
}

static int db_main(const struct mld_command *cmd, void *args,
                   const struct mld_strings *operands, struct mld_error *err)
{
    const struct db_args *a = args;
    struct mld_store_status status = {0};
    (void)operands;
    int rc = strcmp(cmd->name, "db init") == 0
                 ? mld_database_init(a->db_path, &status, err)
                 : mld_database_status(a->db_path, &status, err);
    if (rc == 0)
        rc = print_status(&status, a->common.format, err);
    mld_store_status_release(&status);
    return rc;
}

/* --- query -------------------------------------------------------------------------- */

static int print_rows(const struct mld_rows *rows, int64_t format, struct mld_error *err)
{
    struct mld_table *t = NULL;
    int rc = mld_table_from_rows(rows, &t, err);
    if (rc == 0)
        rc = mld_cli_print_table(t, format, err);
    mld_table_free(t);
    return rc;
}

static int query_main(const struct mld_command *cmd, void *args,
                      const struct mld_strings *operands, struct mld_error *err)
{
    const struct db_args *a = args;
    struct mld_rows rows = {0};
    const char *report = operands->count ? operands->items[0] : NULL;
    (void)cmd;
    if (!report == !a->sql)
        return mld_error_set(err, MLD_E_INVALID,
                             "give a report's name or --sql, one of the "
                             "two: see 'mldyno query --help'");
    MLD_TRY(mld_database_query(a->db_path, a->sql, report, &rows, err));
    int rc = print_rows(&rows, a->common.format, err);
    mld_rows_release(&rows);
    return rc;
}

const struct mld_command mld_cmd_db_init = {
    .name = "db init",
    .summary = "make the database, or bring its schema up to date",
    .options = db_options,
    .common = mld_cli_common_options,
    .args_size = sizeof(struct db_args),
    .run = db_main};

const struct mld_command mld_cmd_db_status = {.name = "db status",
                                              .summary = "tell what the database holds",
                                              .options = db_options,
                                              .common = mld_cli_common_options,
                                              .args_size = sizeof(struct db_args),
                                              .run = db_main};

const struct mld_command mld_cmd_query = {
    .name = "query",
    .operands = "[REPORT]",
    .operand_max = 1,
    .summary = "ask the database: a named report, or SQL that only reads",
    .details = "The views comprehensive_benchmarks, latest, model_hardware_matrix and "
               "failures\nare the stable interface; docs/database.md describes them. An "
               "unknown REPORT\nlists the known ones.",
    .examples = "  mldyno query comprehensive\n"
                "  mldyno query --sql \"select model, p50_ms from latest\" --format csv",
    .options = query_options,
    .common = mld_cli_common_options,
    .args_size = sizeof(struct db_args),
    .run = query_main};
