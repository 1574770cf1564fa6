/* migrate.c: brings the schema of a database forward, one step per transaction.
 *
 * Which steps a file has seen stands in its table schema_migrations, with a checksum of
 * each step's SQL. A file of a newer program, of another program, or with an altered
 * history is refused before anything is written to it. */
#include "store/store_int.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/str.h"

static void migration_checksum(const struct mld_migration *m, char out[17])
{
    uint64_t h = MLD_FNV_BASIS;
    for (size_t i = 0; m->statements[i] != NULL; i++)
        h = mld_fnv1a64(h, m->statements[i], strlen(m->statements[i]) + 1);
    snprintf(out, 17, "%016" PRIx64, h);
}

static int migration_record(struct mld_store *s, const struct mld_migration *m,
                            struct mld_error *err)
{
    char checksum[17];
    migration_checksum(m, checksum);
    duckdb_prepared_statement st = NULL;
    int rc = 0, bound = 0;
    if (duckdb_prepare(s->conn, "INSERT INTO schema_migrations VALUES ($1, $2, $3, $4)",
                       &st) != DuckDBSuccess) {
        rc = mld_duck_error(err, DUCKDB_ERROR_IO, s->path, duckdb_prepare_error(st));
        goto out;
    }
    mld_bind_count(st, 1, m->version, &bound);
    mld_bind_text(st, 2, m->name, &bound);
    mld_bind_text(st, 3, checksum, &bound);
    mld_bind_wall(st, 4, mld_wall_us(), &bound);
    rc = mld_bind_check(bound, st, err);
    if (rc == 0)
        rc = mld_duck_run(s, st, NULL, err);
out:
    duckdb_destroy_prepare(&st);
    return rc;
}

static int migration_apply(struct mld_store *s, const struct mld_migration *m,
                           struct mld_error *err)
{
    MLD_TRY(mld_duck_exec(s, "BEGIN TRANSACTION", err));
    int rc = 0;
    if (m->version == 1)
        rc = mld_duck_exec(s,
                           "CREATE TABLE schema_migrations ("
                           "  version INTEGER PRIMARY KEY,"
                           "  name VARCHAR NOT NULL,"
                           "  checksum VARCHAR NOT NULL,"
                           "  applied_at TIMESTAMP NOT NULL)",
                           err);
    for (size_t i = 0; rc == 0 && m->statements[i] != NULL; i++)
        rc = mld_duck_exec(s, m->statements[i], err);
    if (rc == 0)
        rc = migration_record(s, m, err);
    if (rc == 0)
        rc = mld_duck_exec(s, "COMMIT", err);
    if (rc != 0) {
        mld_error_context(err, "migration %d (%s)", m->version, m->name);
        /* After a failed COMMIT there is nothing to roll back: that answer is no news. */
        if (mld_duck_exec(s, "ROLLBACK", NULL) != 0)
            return rc;
        return rc;
    }
    s->version = m->version;
    return 0;
}

/* The recorded steps are 1..n without a gap, and each is the one that we know. */
static int migration_check_history(struct mld_store *s, struct mld_error *err)
{
    struct mld_rows rows;
    MLD_TRY(mld_store_query(
        s, "SELECT version, name, checksum FROM main.schema_migrations ORDER BY version",
        &rows, err));
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < rows.row_count && i < s->migration_count; i++) {
        const struct mld_migration *m = &s->migrations[i];
        const struct mld_cell *cell = rows.cells + i * rows.column_count;
        char checksum[17];
        migration_checksum(m, checksum);
        if (cell[0].i != m->version || !mld_streq(cell[2].text, checksum))
            rc = mld_error_set(err, MLD_E_VERSION,
                               "'%s' was made by another build of mldyno: its migration "
                               "%d is '%s' (%s), here it is '%s' (%s); choose another "
                               "--db-path",
                               s->path, (int)cell[0].i, cell[1].text, cell[2].text,
                               m->name, checksum);
    }
    if (rc == 0)
        s->version = rows.row_count > 0
                         ? (int)rows.cells[(rows.row_count - 1) * rows.column_count].i
                         : 0;
    mld_rows_release(&rows);
    return rc;
}

int mld_store_migrate(struct mld_store *s, struct mld_error *err)
{
    int64_t ours = 0, others = 0;
    MLD_TRY(mld_duck_scalar(s,
                            "SELECT count(*) FROM duckdb_columns() WHERE NOT internal "
                            "AND database_name = current_database() "
                            "AND schema_name = 'main' "
                            "AND table_name = 'schema_migrations' "
                            "AND column_name IN ('version', 'name', 'checksum')",
                            0, &ours, err));
    s->version = 0;
    if (ours == 3) {
        MLD_TRY(migration_check_history(s, err));
    } else {
        MLD_TRY(mld_duck_scalar(s,
                                "SELECT (SELECT count(*) FROM duckdb_tables() WHERE NOT "
                                "internal AND database_name = current_database()) + "
                                "(SELECT count(*) FROM duckdb_views() WHERE NOT internal "
                                "AND database_name = current_database())",
                                0, &others, err));
        if (others > 0)
            return mld_error_set(err, MLD_E_INVALID,
                                 "'%s' holds tables that are not mldyno's; choose "
                                 "another --db-path",
                                 s->path);
    }
    int newest = (int)s->migration_count;
    if (s->version > newest)
        return mld_error_set(err, MLD_E_VERSION,
                             "'%s' has schema version %d, this mldyno knows versions up "
                             "to %d: use a newer mldyno, or choose another --db-path",
                             s->path, s->version, newest);
    if (s->mode == MLD_STORE_READ) {
        if (s->version == 0)
            return mld_error_set(err, MLD_E_NOT_FOUND,
                                 "'%s' is an empty database: run `mldyno bench` or "
                                 "`mldyno db init`",
                                 s->path);
        if (s->version < newest)
            return mld_error_set(err, MLD_E_VERSION,
                                 "'%s' has schema version %d, this mldyno needs %d: run "
                                 "`mldyno db init` to bring it forward",
                                 s->path, s->version, newest);
        return 0;
    }
    for (int v = s->version; v < newest; v++)
        MLD_TRY(migration_apply(s, &s->migrations[v], err));
    return 0;
}
