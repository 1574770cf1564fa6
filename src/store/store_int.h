/* store_int.h: what the files of src/store share. Only here and below is DuckDB known. */
#ifndef MLD_STORE_STORE_INT_H
#define MLD_STORE_STORE_INT_H

#include "store/store.h"

#include <duckdb.h>

/* One step forward of the schema. Its statements run in one transaction; what has once
 * been released is never changed, only followed by another. */
struct mld_migration {
    int version; /* 1, 2, 3 ... without a gap */
    const char *name;
    const char *const *statements; /* NULL-terminated, one SQL statement each */
};
extern const struct mld_migration mld_migrations[];
extern const size_t mld_migration_count;

/* Prepared once per connection, on first use. */
enum store_statement {
    STORE_FIND_MODEL,
    STORE_ADD_MODEL,
    STORE_FIND_HARDWARE,
    STORE_ADD_HARDWARE,
    STORE_FIND_ENVIRONMENT,
    STORE_ADD_ENVIRONMENT,
    STORE_ADD_RUN,
    STORE_END_RUN,
    STORE_ADD_RESULT,
    STORE_ADD_PHASE,
    STORE_ADD_PLACEMENT,
    STORE_ADD_AVAILABILITY,
    STORE_ADD_ANNOTATION,
    STORE_STATEMENT_COUNT
};

struct mld_store {
    char *path; /* as the user wrote it: for messages */
    enum mld_store_mode mode;
    const struct mld_migration *migrations;
    size_t migration_count;
    int version; /* of the schema in the file */
    duckdb_database db;
    duckdb_connection conn;
    duckdb_prepared_statement prepared[STORE_STATEMENT_COUNT];
};

/* mld_store_open with another history of the schema: for tests of migrations. */
int mld_store_open_migrations(const char *path, enum mld_store_mode mode,
                              const struct mld_migration *migrations, size_t count,
                              struct mld_store **out,
                              struct mld_error *err) MLD_MUST_CHECK;

/* Reads the schema version of the file (0: none yet), refuses what is foreign, newer or
 * altered, and in WRITE mode brings an older one forward. */
int mld_store_migrate(struct mld_store *s, struct mld_error *err) MLD_MUST_CHECK;

/* --- DuckDB, wrapped (duck.c) ------------------------------------------------------- */
/* Sets err from DuckDB's words: their first line, and its hint when there is one. */
int mld_duck_error(struct mld_error *err, duckdb_error_type type, const char *what,
                   const char *message);
/* The same from a result that failed. */
int mld_duck_result_error(struct mld_error *err, duckdb_result *result, const char *what);
/* Runs SQL (may hold several statements) and drops the result. */
int mld_duck_exec(struct mld_store *s, const char *sql,
                  struct mld_error *err) MLD_MUST_CHECK;
/* First column of the first row as a number; fallback for no row and for NULL. */
int mld_duck_scalar(struct mld_store *s, const char *sql, int64_t fallback, int64_t *out,
                    struct mld_error *err) MLD_MUST_CHECK;
int mld_duck_prepare(struct mld_store *s, enum store_statement which, const char *sql,
                     duckdb_prepared_statement *out,
                     struct mld_error *err) MLD_MUST_CHECK;
/* Runs a bound statement. With id: *id is the first column of the first row, -1 when
 * there is no row. */
int mld_duck_run(struct mld_store *s, duckdb_prepared_statement st, int64_t *id,
                 struct mld_error *err) MLD_MUST_CHECK;

/* Binds that follow the store's rule for the unknown: NULL and "" for text, negative for
 * counts, NAN, infinite and (unless the number has a sign) negative for reals. Text that
 * is not UTF-8 gets U+FFFD where it is not. *rc keeps the first failure. */
void mld_bind_text(duckdb_prepared_statement st, idx_t i, const char *text, int *rc);
void mld_bind_count(duckdb_prepared_statement st, idx_t i, int64_t x, int *rc);
void mld_bind_real(duckdb_prepared_statement st, idx_t i, double x, int *rc);
void mld_bind_signed(duckdb_prepared_statement st, idx_t i, double x, int *rc);
void mld_bind_bool(duckdb_prepared_statement st, idx_t i, int x, int *rc); /* -1: NULL */
void mld_bind_wall(duckdb_prepared_statement st, idx_t i, int64_t wall_us, int *rc);
int mld_bind_check(int rc, duckdb_prepared_statement st,
                   struct mld_error *err) MLD_MUST_CHECK;

/* --- any value to a cell (duck_value.c) ----------------------------------------------
 */
/* A column of a chunk, ready to be read. */
struct mld_duck_column {
    duckdb_logical_type type;
    duckdb_type id;
    enum mld_cell_type cell;
    uint8_t scale; /* DECIMAL */
};
/* Refuses types that cannot be shown, by name. Released by mld_duck_column_release. */
int mld_duck_column_init(struct mld_duck_column *c, duckdb_logical_type type,
                         const char *name, struct mld_error *err) MLD_MUST_CHECK;
void mld_duck_column_release(struct mld_duck_column *c);
/* Text of row `row`, freed by duckdb_free; NULL: no memory or not to be shown. */
char *mld_duck_text(duckdb_vector vector, duckdb_logical_type type, idx_t row);

#endif
