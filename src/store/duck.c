/* duck.c: DuckDB's C interface, wrapped once: errors, prepared statements, binding.
 *
 * A result is destroyed whether its query failed or not; a message of several lines is
 * cut to what fits one; the unknown becomes NULL in one place. */
#include "store/store_int.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/str.h"

static int duck_code(duckdb_error_type type)
{
    switch ((int)type) {
    case DUCKDB_ERROR_OUT_OF_MEMORY:
        return MLD_E_NO_MEMORY;
    case DUCKDB_ERROR_IO:
    case DUCKDB_ERROR_CONNECTION:
    case DUCKDB_ERROR_TRANSACTION: /* a COMMIT that failed */
    case DUCKDB_ERROR_SERIALIZATION:
    case DUCKDB_ERROR_FATAL:
    case DUCKDB_ERROR_INTERNAL:
        return MLD_E_IO;
    case DUCKDB_ERROR_INTERRUPT:
        return MLD_E_CANCELLED;
    default:
        return MLD_E_INVALID;
    }
}

/* DuckDB writes "Catalog Error: Table with name x does not exist!\nDid you mean
 * \"y\"?\n\n LINE 1: ...". Kept: the first line without its end mark, and the hint. */
int mld_duck_error(struct mld_error *err, duckdb_error_type type, const char *what,
                   const char *message)
{
    const char *text = message != NULL && message[0] != '\0' ? message : "unknown error";
    size_t n = strcspn(text, "\r\n");
    while (n > 0 && (text[n - 1] == '!' || text[n - 1] == '.' || text[n - 1] == ' '))
        n--;
    const char *hint = strstr(text, "\nDid you mean ");
    size_t hint_n = hint != NULL ? strcspn(hint + 1, "\r\n") : 0;
    if (n > 300)
        n = 300;
    if (hint_n > 100)
        hint_n = 0;
    if (hint_n > 0)
        return mld_error_set(err, duck_code(type), "%s: %.*s: d%.*s", what, (int)n, text,
                             (int)hint_n - 1, hint + 2);
    return mld_error_set(err, duck_code(type), "%s: %.*s", what, (int)n, text);
}

int mld_duck_result_error(struct mld_error *err, duckdb_result *result, const char *what)
{
    return mld_duck_error(err, duckdb_result_error_type(result), what,
                          duckdb_result_error(result));
}

int mld_duck_exec(struct mld_store *s, const char *sql, struct mld_error *err)
{
    duckdb_result result;
    int rc = 0;
    if (duckdb_query(s->conn, sql, &result) != DuckDBSuccess)
        rc = mld_duck_result_error(err, &result, s->path);
    duckdb_destroy_result(&result);
    return rc;
}

/* *out: first column of the first row, where that is an integer of some width. */
static bool duck_first(duckdb_result *result, int64_t *out)
{
    duckdb_data_chunk chunk = duckdb_fetch_chunk(*result);
    if (chunk == NULL)
        return false;
    bool known = false;
    if (duckdb_data_chunk_get_size(chunk) > 0) {
        duckdb_vector v = duckdb_data_chunk_get_vector(chunk, 0);
        uint64_t *valid = duckdb_vector_get_validity(v);
        const void *data = duckdb_vector_get_data(v);
        known = valid == NULL || duckdb_validity_row_is_valid(valid, 0);
        duckdb_type id = duckdb_column_type(result, 0);
        if (known && id == DUCKDB_TYPE_BIGINT)
            *out = ((const int64_t *)data)[0];
        else if (known && id == DUCKDB_TYPE_INTEGER)
            *out = ((const int32_t *)data)[0];
        else if (known && id == DUCKDB_TYPE_BOOLEAN)
            *out = ((const bool *)data)[0];
        else
            known = false;
    }
    duckdb_destroy_data_chunk(&chunk);
    return known;
}

int mld_duck_scalar(struct mld_store *s, const char *sql, int64_t fallback, int64_t *out,
                    struct mld_error *err)
{
    duckdb_result result;
    int rc = 0;
    *out = fallback;
    if (duckdb_query(s->conn, sql, &result) != DuckDBSuccess)
        rc = mld_duck_result_error(err, &result, s->path);
    else
        duck_first(&result, out);
    duckdb_destroy_result(&result);
    return rc;
}

int mld_duck_prepare(struct mld_store *s, enum store_statement which, const char *sql,
                     duckdb_prepared_statement *out, struct mld_error *err)
{
    if (s->prepared[which] == NULL &&
        duckdb_prepare(s->conn, sql, &s->prepared[which]) != DuckDBSuccess) {
        int rc = mld_duck_error(err, DUCKDB_ERROR_IO, s->path,
                                duckdb_prepare_error(s->prepared[which]));
        duckdb_destroy_prepare(&s->prepared[which]);
        s->prepared[which] = NULL;
        return rc;
    }
    *out = s->prepared[which];
    duckdb_clear_bindings(*out);
    return 0;
}

int mld_duck_run(struct mld_store *s, duckdb_prepared_statement st, int64_t *id,
                 struct mld_error *err)
{
    duckdb_result result;
    int rc = 0;
    if (id != NULL)
        *id = -1;
    if (duckdb_execute_prepared(st, &result) != DuckDBSuccess)
        rc = mld_duck_result_error(err, &result, s->path);
    else if (id != NULL)
        duck_first(&result, id);
    duckdb_destroy_result(&result);
    return rc;
}

/* --- binding ------------------------------------------------------------------------ */

static void bind_note(duckdb_state state, int *rc)
{
    if (state != DuckDBSuccess && *rc == 0)
        *rc = MLD_E_INVALID;
}

void mld_bind_text(duckdb_prepared_statement st, idx_t i, const char *text, int *rc)
{
    if (text == NULL || text[0] == '\0') {
        bind_note(duckdb_bind_null(st, i), rc);
        return;
    }
    if (mld_utf8_valid(text)) {
        bind_note(duckdb_bind_varchar(st, i, text), rc);
        return;
    }
    struct mld_str copy = {0};
    mld_str_add_utf8(&copy, text);
    if (copy.failed && *rc == 0)
        *rc = MLD_E_NO_MEMORY;
    else
        bind_note(duckdb_bind_varchar(st, i, mld_str_c(&copy)), rc);
    mld_str_release(&copy);
}

void mld_bind_count(duckdb_prepared_statement st, idx_t i, int64_t x, int *rc)
{
    bind_note(x < 0 ? duckdb_bind_null(st, i) : duckdb_bind_int64(st, i, x), rc);
}

void mld_bind_signed(duckdb_prepared_statement st, idx_t i, double x, int *rc)
{
    bind_note(isfinite(x) ? duckdb_bind_double(st, i, x) : duckdb_bind_null(st, i), rc);
}

void mld_bind_real(duckdb_prepared_statement st, idx_t i, double x, int *rc)
{
    mld_bind_signed(st, i, x < 0 ? (double)NAN : x, rc);
}

void mld_bind_bool(duckdb_prepared_statement st, idx_t i, int x, int *rc)
{
    bind_note(x < 0 ? duckdb_bind_null(st, i) : duckdb_bind_boolean(st, i, x != 0), rc);
}

void mld_bind_wall(duckdb_prepared_statement st, idx_t i, int64_t wall_us, int *rc)
{
    bind_note(duckdb_bind_timestamp(st, i, (duckdb_timestamp){.micros = wall_us}), rc);
}

int mld_bind_check(int rc, duckdb_prepared_statement st, struct mld_error *err)
{
    if (rc == 0)
        return 0;
    if (rc == MLD_E_NO_MEMORY)
        return mld_error_set(err, rc, "out of memory while a row was stored");
    const char *why = duckdb_prepare_error(st);
    return mld_error_set(err, rc, "cannot store a row: %s",
                         why != NULL ? why : "a value was not accepted");
}
