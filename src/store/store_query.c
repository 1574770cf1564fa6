/* store_query.c: one statement in, typed cells out.
 *
 * A database opened for reading takes only statements that read; the settings of store.c
 * hold should the check here miss one. */
#include "store/store_int.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/arena.h"

/* What rows->memory points at. */
struct rows_memory {
    struct mld_arena arena; /* names and text */
    size_t cell_cap;
};

/* Cells of one result: 512 MiB of them. More is no table for a person, and what is
 * printed of it would pass the limit of 256 MiB. */
#define ROWS_CELLS_MAX ((size_t)1 << 24)

static int rows_no_memory(struct mld_error *err)
{
    return mld_error_set(err, MLD_E_NO_MEMORY,
                         "out of memory while a result was read: add LIMIT");
}

static int rows_init(struct mld_rows *rows, size_t columns, struct mld_error *err)
{
    memset(rows, 0, sizeof *rows);
    struct rows_memory *memory = mld_calloc(1, sizeof *memory);
    if (memory == NULL)
        return rows_no_memory(err);
    mld_arena_init(&memory->arena, 0);
    rows->memory = memory;
    rows->columns = mld_arena_array(&memory->arena, columns + 1, sizeof *rows->columns);
    rows->types = mld_arena_array(&memory->arena, columns + 1, sizeof *rows->types);
    if (rows->columns == NULL || rows->types == NULL)
        return rows_no_memory(err);
    rows->column_count = columns;
    return 0;
}

void mld_rows_release(struct mld_rows *r)
{
    struct rows_memory *memory = r->memory;
    if (memory != NULL)
        mld_arena_release(&memory->arena);
    mld_free(memory);
    mld_free(r->cells);
    memset(r, 0, sizeof *r);
}

static bool rows_grow(struct mld_rows *rows, size_t more)
{
    struct rows_memory *memory = rows->memory;
    size_t need, bytes, cap = memory->cell_cap;
    if (!mld_mul_size(rows->row_count + more, rows->column_count, &need))
        return false;
    if (need <= cap)
        return true;
    cap = need > cap * 2 ? need : cap * 2;
    if (!mld_mul_size(cap, sizeof *rows->cells, &bytes))
        return false;
    struct mld_cell *cells = mld_realloc(rows->cells, bytes);
    if (cells == NULL)
        return false;
    rows->cells = cells;
    memory->cell_cap = cap;
    return true;
}

/* --- cells -------------------------------------------------------------------------- */

/* A copy of n bytes; a NUL among them is shown as U+FFFD, so that nothing is cut off. */
static const char *cell_copy(struct mld_arena *arena, const char *bytes, size_t n)
{
    size_t nuls = 0;
    for (size_t i = 0; i < n; i++)
        nuls += bytes[i] == '\0';
    if (nuls == 0)
        return mld_arena_strndup(arena, bytes, n);
    char *out = mld_arena_alloc(arena, n + 2 * nuls + 1), *p = out;
    for (size_t i = 0; out != NULL && i < n; i++) {
        if (bytes[i] != '\0') {
            *p++ = bytes[i];
            continue;
        }
        for (const char *mark = "\xEF\xBF\xBD"; *mark != '\0';)
            *p++ = *mark++;
    }
    return out;
}

static bool cell_text(struct mld_cell *cell, struct mld_arena *arena,
                      const struct mld_duck_column *c, duckdb_vector vector, idx_t row)
{
    cell->type = MLD_CELL_TEXT;
    if (c->id == DUCKDB_TYPE_VARCHAR) {
        duckdb_string_t *s = (duckdb_string_t *)duckdb_vector_get_data(vector) + row;
        cell->text =
            cell_copy(arena, duckdb_string_t_data(s), duckdb_string_t_length(*s));
        return cell->text != NULL;
    }
    char *text = mld_duck_text(vector, c->type, row);
    if (text != NULL)
        cell->text = mld_arena_strdup(arena, text);
    duckdb_free(text);
    return cell->text != NULL;
}

static double decimal_real(const void *data, const struct mld_duck_column *c, idx_t row)
{
    static const double scales[] = {1e0, 1e1, 1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                    1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15};
    double scale = scales[c->scale];
    switch ((int)duckdb_decimal_internal_type(c->type)) {
    case DUCKDB_TYPE_SMALLINT:
        return ((const int16_t *)data)[row] / scale;
    case DUCKDB_TYPE_INTEGER:
        return ((const int32_t *)data)[row] / scale;
    default:
        return (double)((const int64_t *)data)[row] / scale;
    }
}

/* Integers that are wider than 64 bits, or unsigned, become text where they do not fit.
 */
static bool cell_wide(struct mld_cell *cell, const struct mld_duck_column *c,
                      const void *data, idx_t row)
{
    if (c->id == DUCKDB_TYPE_UBIGINT) {
        uint64_t x = ((const uint64_t *)data)[row];
        cell->i = (int64_t)x;
        return x <= INT64_MAX;
    }
    duckdb_hugeint h = ((const duckdb_hugeint *)data)[row];
    cell->i = (int64_t)h.lower;
    return h.upper == (cell->i < 0 ? -1 : 0);
}

static bool cell_read(struct mld_cell *cell, struct mld_arena *arena,
                      const struct mld_duck_column *c, duckdb_vector vector, idx_t row)
{
    const void *data = duckdb_vector_get_data(vector);
    uint64_t *valid = duckdb_vector_get_validity(vector);
    memset(cell, 0, sizeof *cell);
    if (c->id == DUCKDB_TYPE_SQLNULL ||
        (valid != NULL && !duckdb_validity_row_is_valid(valid, row)))
        return true; /* MLD_CELL_NULL */
    cell->type = c->cell;
    switch ((int)c->id) {
    case DUCKDB_TYPE_BOOLEAN:
        cell->i = ((const bool *)data)[row];
        return true;
    case DUCKDB_TYPE_TINYINT:
        cell->i = (int64_t)((const int8_t *)data)[row];
        return true;
    case DUCKDB_TYPE_SMALLINT:
        cell->i = ((const int16_t *)data)[row];
        return true;
    case DUCKDB_TYPE_INTEGER:
        cell->i = ((const int32_t *)data)[row];
        return true;
    case DUCKDB_TYPE_BIGINT:
        cell->i = ((const int64_t *)data)[row];
        return true;
    case DUCKDB_TYPE_UTINYINT:
        cell->i = ((const uint8_t *)data)[row];
        return true;
    case DUCKDB_TYPE_USMALLINT:
        cell->i = ((const uint16_t *)data)[row];
        return true;
    case DUCKDB_TYPE_UINTEGER:
        cell->i = ((const uint32_t *)data)[row];
        return true;
    case DUCKDB_TYPE_UBIGINT:
    case DUCKDB_TYPE_HUGEINT:
        return cell_wide(cell, c, data, row) || cell_text(cell, arena, c, vector, row);
    case DUCKDB_TYPE_FLOAT:
        cell->f = (double)((const float *)data)[row];
        return true;
    case DUCKDB_TYPE_DOUBLE:
        cell->f = ((const double *)data)[row];
        return true;
    case DUCKDB_TYPE_DECIMAL:
        if (c->cell == MLD_CELL_FLOAT) {
            cell->f = decimal_real(data, c, row);
            return true;
        }
        return cell_text(cell, arena, c, vector, row);
    default:
        return cell_text(cell, arena, c, vector, row);
    }
}

static bool rows_add_chunk(struct mld_rows *rows, const struct mld_duck_column *columns,
                           duckdb_data_chunk chunk)
{
    struct rows_memory *memory = rows->memory;
    idx_t n = duckdb_data_chunk_get_size(chunk);
    if (!rows_grow(rows, n))
        return false;
    struct mld_cell *first = rows->cells + rows->row_count * rows->column_count;
    for (size_t k = 0; k < rows->column_count; k++) {
        duckdb_vector vector = duckdb_data_chunk_get_vector(chunk, k);
        for (idx_t row = 0; row < n; row++)
            if (!cell_read(first + row * rows->column_count + k, &memory->arena,
                           &columns[k], vector, row))
                return false;
    }
    rows->row_count += n;
    return true;
}

static int rows_read(struct mld_rows *rows, duckdb_result *result, struct mld_error *err)
{
    size_t count = duckdb_column_count(result), ready = 0;
    MLD_TRY(rows_init(rows, count, err));
    struct rows_memory *memory = rows->memory;
    struct mld_duck_column *columns =
        mld_arena_array(&memory->arena, count + 1, sizeof *columns);
    if (columns == NULL)
        return rows_no_memory(err);
    int rc = 0;
    for (; rc == 0 && ready < count; ready++) {
        const char *name = duckdb_column_name(result, ready);
        rows->columns[ready] = mld_arena_strdup(&memory->arena, name != NULL ? name : "");
        rc = mld_duck_column_init(&columns[ready],
                                  duckdb_column_logical_type(result, ready), name, err);
        rows->types[ready] = columns[ready].cell;
        if (rc == 0 && rows->columns[ready] == NULL)
            rc = rows_no_memory(err);
    }
    for (duckdb_data_chunk chunk; rc == 0 && (chunk = duckdb_fetch_chunk(*result));) {
        if (rows->row_count * count > ROWS_CELLS_MAX)
            rc = mld_error_set(err, MLD_E_TOO_LARGE,
                               "query: the result has more than %zu values: add LIMIT",
                               ROWS_CELLS_MAX);
        else if (!rows_add_chunk(rows, columns, chunk))
            rc = rows_no_memory(err);
        duckdb_destroy_data_chunk(&chunk);
    }
    if (rc == 0 && duckdb_result_error(result) != NULL) /* met while the rows came */
        rc = mld_duck_result_error(err, result, "query");
    for (size_t k = 0; k < ready; k++)
        mld_duck_column_release(&columns[k]);
    return rc;
}

/* --- statements --------------------------------------------------------------------- */

static int query_check_type(const struct mld_store *s, duckdb_prepared_statement st,
                            struct mld_error *err)
{
    if (s->mode == MLD_STORE_WRITE)
        return 0;
    duckdb_statement_type type = duckdb_prepared_statement_type(st);
    if (type == DUCKDB_STATEMENT_TYPE_SELECT || type == DUCKDB_STATEMENT_TYPE_EXPLAIN)
        return 0;
    return mld_error_set(
        err, MLD_E_INVALID,
        "only statements that read are allowed here: SELECT, FROM, WITH, "
        "VALUES, DESCRIBE, SHOW, SUMMARIZE, EXPLAIN");
}

static bool query_bind(duckdb_prepared_statement st, const struct mld_cell *params,
                       size_t n)
{
    int rc = 0;
    for (size_t i = 0; i < n; i++) {
        switch (params[i].type) {
        case MLD_CELL_NULL:
            rc |= duckdb_bind_null(st, i + 1) != DuckDBSuccess;
            break;
        case MLD_CELL_BOOL:
            rc |= duckdb_bind_boolean(st, i + 1, params[i].i != 0) != DuckDBSuccess;
            break;
        case MLD_CELL_INT:
            rc |= duckdb_bind_int64(st, i + 1, params[i].i) != DuckDBSuccess;
            break;
        case MLD_CELL_FLOAT:
            rc |= duckdb_bind_double(st, i + 1, params[i].f) != DuckDBSuccess;
            break;
        case MLD_CELL_TEXT:
            rc |= duckdb_bind_varchar(st, i + 1, params[i].text) != DuckDBSuccess;
            break;
        }
    }
    return rc == 0;
}

static int query_run(struct mld_store *s, duckdb_prepared_statement st,
                     const struct mld_cell *params, size_t param_count,
                     struct mld_rows *out, struct mld_error *err)
{
    MLD_TRY(query_check_type(s, st, err));
    if (duckdb_nparams(st) != param_count)
        return mld_error_set(err, MLD_E_INVALID,
                             "the statement has %d parameters, %zu were given",
                             (int)duckdb_nparams(st), param_count);
    if (!query_bind(st, params, param_count))
        return mld_error_set(err, MLD_E_INVALID, "a parameter was not accepted");
    duckdb_result result;
    int rc;
    /* As a stream: DuckDB keeps a whole result outside of its memory_limit, and a join
     * too many would take all that the machine has. Deprecated, without a successor
     * in 1.x. */
    if (duckdb_execute_prepared_streaming(st, &result) != DuckDBSuccess)
        rc = mld_duck_result_error(err, &result, "query");
    else
        rc = rows_read(out, &result, err);
    duckdb_destroy_result(&result);
    if (rc != 0)
        mld_rows_release(out);
    return rc;
}

int mld_store_query_with(struct mld_store *s, const char *sql,
                         const struct mld_cell *params, size_t param_count,
                         struct mld_rows *out, struct mld_error *err)
{
    memset(out, 0, sizeof *out);
    duckdb_extracted_statements list = NULL;
    duckdb_prepared_statement st = NULL;
    idx_t n = duckdb_extract_statements(s->conn, sql, &list);
    int rc;
    if (n == 0) {
        const char *why = duckdb_extract_statements_error(list);
        rc = why != NULL ? mld_duck_error(err, DUCKDB_ERROR_PARSER, "query", why)
                         : mld_error_set(err, MLD_E_INVALID, "query: no statement given");
    } else if (n > 1 && strchr(sql, ';') == NULL) {
        /* Only a pivot over values yet to be found becomes several by itself. */
        rc = mld_error_set(err, MLD_E_INVALID,
                           "query: PIVOT needs its values: ON column IN (...)");
    } else if (n > 1) {
        rc = mld_error_set(err, MLD_E_INVALID,
                           "query: %d statements given, one at a time is taken", (int)n);
    } else if (duckdb_prepare_extracted_statement(s->conn, list, 0, &st) !=
               DuckDBSuccess) {
        rc = mld_duck_error(err, DUCKDB_ERROR_BINDER, "query", duckdb_prepare_error(st));
    } else {
        rc = query_run(s, st, params, param_count, out, err);
    }
    duckdb_destroy_prepare(&st);
    duckdb_destroy_extracted(&list);
    return rc;
}

int mld_store_query(struct mld_store *s, const char *sql, struct mld_rows *out,
                    struct mld_error *err)
{
    return mld_store_query_with(s, sql, NULL, 0, out, err);
}

const struct mld_cell *mld_rows_cell(const struct mld_rows *r, size_t row,
                                     const char *col)
{
    for (size_t k = 0; row < r->row_count && k < r->column_count; k++)
        if (strcmp(r->columns[k], col) == 0)
            return &r->cells[row * r->column_count + k];
    return NULL;
}
