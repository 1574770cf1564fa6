/* table_rows.c: what a query gave, as a table for people and scripts.
 *
 * Values pass as they are; a name that comes twice is made unique, since it is a key. */
#include "report/table_rows.h"

#include "base/alloc.h"
#include "base/arena.h"
#include "base/map.h"
#include "base/str.h"

static const char *column_unique(struct mld_arena *arena, struct mld_map *seen,
                                 const char *name)
{
    const char *unique = name;
    for (int i = 2; unique != NULL && mld_map_has(seen, unique); i++)
        unique = mld_arena_printf(arena, "%s_%d", name, i);
    static char present;
    return unique != NULL && mld_map_set(seen, unique, &present) ? unique : NULL;
}

static void table_add_cell(struct mld_table *t, const struct mld_cell *cell)
{
    switch (cell->type) {
    case MLD_CELL_NULL:
        mld_table_none(t, NULL);
        break;
    case MLD_CELL_BOOL:
        mld_table_bool(t, cell->i != 0);
        break;
    case MLD_CELL_INT:
        mld_table_int(t, cell->i, NULL);
        break;
    case MLD_CELL_FLOAT:
        mld_table_num(t, cell->f, NULL);
        break;
    case MLD_CELL_TEXT:
        mld_table_text(t, cell->text);
        break;
    }
}

int mld_table_from_rows(const struct mld_rows *rows, struct mld_table **out,
                        struct mld_error *err)
{
    struct mld_arena arena;
    struct mld_map seen = {0};
    mld_arena_init(&arena, 0);
    *out = NULL;
    struct mld_column *columns =
        mld_arena_array(&arena, rows->column_count + 1, sizeof *columns);
    bool ok = columns != NULL;
    for (size_t k = 0; ok && k < rows->column_count; k++) {
        columns[k].key = column_unique(&arena, &seen, rows->columns[k]);
        columns[k].align =
            rows->types[k] == MLD_CELL_INT || rows->types[k] == MLD_CELL_FLOAT ? MLD_RIGHT
                                                                               : MLD_LEFT;
        ok = columns[k].key != NULL;
    }
    int rc = ok ? mld_table_new(columns, rows->column_count, out, err)
                : mld_error_set(err, MLD_E_NO_MEMORY, "out of memory");
    for (size_t i = 0; rc == 0 && i < rows->row_count; i++) {
        mld_table_row(*out);
        for (size_t k = 0; k < rows->column_count; k++)
            table_add_cell(*out, &rows->cells[i * rows->column_count + k]);
    }
    mld_map_release(&seen);
    mld_arena_release(&arena);
    return rc;
}
