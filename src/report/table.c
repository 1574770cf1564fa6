/* table.c: typed cells in rows, printed four ways.
 *
 * Cells keep the value for machines and the text for people; text is cleaned on the way
 * out, as each format needs it. */
#include "report/table.h"

#include <ctype.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/arena.h"
#include "base/json.h"
#include "report/text_width.h"

enum table_kind { TABLE_NONE, TABLE_TEXT, TABLE_NUM, TABLE_INT, TABLE_BOOL };

struct table_cell {
    enum table_kind kind;
    double num;
    int64_t i;
    const char *text; /* in the arena; NULL: made from the value */
};

struct mld_table {
    struct mld_arena arena;
    struct mld_column *columns;
    size_t column_count, row_count;
    struct table_cell *cells;
    size_t cell_count, cell_cap;
    bool failed;
};

int mld_format_parse(const char *name)
{
    static const char *const names[] = {
#define X(upper, lower) lower,
        MLD_FORMATS(X)
#undef X
    };
    for (int i = 0; i < MLD_FORMAT_COUNT; i++)
        if (mld_streq(name, names[i]))
            return i;
    return -1;
}

int mld_table_new(const struct mld_column *columns, size_t n, struct mld_table **out,
                  struct mld_error *err)
{
    *out = NULL;
    struct mld_table *t = mld_calloc(1, sizeof *t);
    if (t == NULL)
        return mld_error_set(err, MLD_E_NO_MEMORY, "out of memory");
    mld_arena_init(&t->arena, 0);
    t->columns = mld_arena_array(&t->arena, n + 1, sizeof *t->columns);
    bool ok = t->columns != NULL;
    for (size_t k = 0; ok && k < n; k++) {
        const char *title = columns[k].title != NULL ? columns[k].title : columns[k].key;
        t->columns[k].key = mld_arena_strdup(&t->arena, columns[k].key);
        t->columns[k].title = mld_arena_strdup(&t->arena, title);
        t->columns[k].align = columns[k].align;
        ok = t->columns[k].key != NULL && t->columns[k].title != NULL;
    }
    if (!ok) {
        mld_table_free(t);
        return mld_error_set(err, MLD_E_NO_MEMORY, "out of memory");
    }
    t->column_count = n;
    *out = t;
    return 0;
}

void mld_table_free(struct mld_table *t)
{
    if (t == NULL)
        return;
    mld_arena_release(&t->arena);
    mld_free(t->cells);
    mld_free(t);
}

size_t mld_table_rows(const struct mld_table *t)
{
    return t->row_count;
}

/* --- filling ------------------------------------------------------------------------ */

/* Fills the row up to its end with unknown cells, then begins the next. */
void mld_table_row(struct mld_table *t)
{
    size_t need = (t->row_count + 1) * t->column_count;
    if (t->failed)
        return;
    if (need > t->cell_cap) {
        size_t cap = need > t->cell_cap * 2 ? need : t->cell_cap * 2, bytes;
        struct table_cell *cells = mld_mul_size(cap, sizeof *cells, &bytes)
                                       ? mld_realloc(t->cells, bytes)
                                       : NULL;
        if (cells == NULL) {
            t->failed = true;
            return;
        }
        t->cells = cells;
        t->cell_cap = cap;
    }
    size_t begin = t->row_count * t->column_count;
    if (t->column_count > 0) /* else there may be no cells at all */
        memset(t->cells + begin, 0, t->column_count * sizeof *t->cells);
    t->cell_count = begin;
    t->row_count++;
}

static void table_add(struct mld_table *t, struct table_cell cell, const char *text)
{
    if (t->failed)
        return;
    MLD_ASSERT(t->cell_count < t->row_count * t->column_count);
    if (text != NULL) {
        cell.text = mld_arena_strdup(&t->arena, text);
        if (cell.text == NULL) {
            t->failed = true;
            return;
        }
    }
    t->cells[t->cell_count++] = cell;
}

void mld_table_text(struct mld_table *t, const char *text)
{
    struct table_cell cell = {.kind = text != NULL ? TABLE_TEXT : TABLE_NONE};
    table_add(t, cell, text);
}

void mld_table_num(struct mld_table *t, double value, const char *text)
{
    struct table_cell cell = {.kind = isfinite(value) ? TABLE_NUM : TABLE_NONE,
                              .num = value};
    table_add(t, cell, isfinite(value) ? text : NULL);
}

void mld_table_int(struct mld_table *t, int64_t value, const char *text)
{
    table_add(t, (struct table_cell){.kind = TABLE_INT, .i = value}, text);
}

void mld_table_bool(struct mld_table *t, bool value)
{
    table_add(t, (struct table_cell){.kind = TABLE_BOOL, .i = value}, NULL);
}

void mld_table_none(struct mld_table *t, const char *text)
{
    table_add(t, (struct table_cell){.kind = TABLE_NONE}, text);
}

/* --- people: table, Markdown ---------------------------------------------------------
 */

/* What a person reads; buf of 32 bytes may hold it. */
static const char *cell_people(const struct table_cell *cell, char buf[32])
{
    if (cell->text != NULL)
        return cell->text;
    switch (cell->kind) {
    case TABLE_NUM:
        return mld_human_num(cell->num, buf, 32);
    case TABLE_INT:
        snprintf(buf, 32, "%" PRId64, cell->i);
        return buf;
    case TABLE_BOOL:
        return cell->i != 0 ? "yes" : "no";
    case TABLE_TEXT:
    case TABLE_NONE:
        break;
    }
    return "-";
}

static void add_repeated(struct mld_str *out, char c, size_t n)
{
    for (size_t i = 0; i < n; i++)
        mld_str_addc(out, c);
}

/* One column's text, padded to width; no blanks behind the last column. */
static void add_padded(struct mld_str *out, const char *text, size_t width,
                       enum mld_align align, bool last)
{
    size_t used = mld_text_width(text), pad = used < width ? width - used : 0;
    if (align == MLD_RIGHT)
        add_repeated(out, ' ', pad);
    mld_text_add_clean(out, text);
    if (align == MLD_LEFT && !last)
        add_repeated(out, ' ', pad);
    if (!last)
        mld_str_add(out, "  ");
}

static void print_table(const struct mld_table *t, size_t *widths, struct mld_str *out)
{
    size_t n = t->column_count;
    char buf[32];
    for (size_t k = 0; k < n; k++) {
        widths[k] = mld_text_width(t->columns[k].title);
        for (size_t i = 0; i < t->row_count; i++) {
            size_t w = mld_text_width(cell_people(&t->cells[i * n + k], buf));
            widths[k] = w > widths[k] ? w : widths[k];
        }
    }
    for (size_t k = 0; k < n; k++)
        add_padded(out, t->columns[k].title, widths[k], t->columns[k].align, k + 1 == n);
    mld_str_addc(out, '\n');
    for (size_t k = 0; k < n; k++) {
        add_repeated(out, '-', widths[k]);
        mld_str_add(out, k + 1 < n ? "  " : "");
    }
    mld_str_addc(out, '\n');
    for (size_t i = 0; i < t->row_count; i++) {
        for (size_t k = 0; k < n; k++)
            add_padded(out, cell_people(&t->cells[i * n + k], buf), widths[k],
                       t->columns[k].align, k + 1 == n);
        mld_str_addc(out, '\n');
    }
    if (t->row_count == 0)
        mld_str_add(out, "(no rows)\n");
}

static bool is_word(char c)
{
    return isalnum((unsigned char)c) || (unsigned char)c >= 0x80;
}

/* In a Markdown table a bar ends the cell, a backslash may escape, and `<` may open HTML;
 * the other marks (*, `, [) change at most how a word looks: escaped too. An underscore
 * within a word is no mark. */
static void add_markdown(struct mld_str *out, const char *text)
{
    struct mld_str clean = {0};
    mld_text_add_clean(&clean, text);
    const char *begin = mld_str_c(&clean);
    for (const char *p = begin; *p != '\0'; p++) {
        if (*p == '_' && p > begin && is_word(p[-1]) && is_word(p[1]))
            mld_str_addc(out, '_');
        else if (*p == '<')
            mld_str_add(out, "&lt;");
        else if (*p == '&')
            mld_str_add(out, "&amp;");
        else if (strchr("|\\`*_[]", *p) != NULL)
            mld_str_addf(out, "\\%c", *p);
        else
            mld_str_addc(out, *p);
    }
    out->failed |= clean.failed;
    mld_str_release(&clean);
}

static void print_markdown(const struct mld_table *t, struct mld_str *out)
{
    size_t n = t->column_count;
    char buf[32];
    mld_str_addc(out, '|');
    for (size_t k = 0; k < n; k++) {
        mld_str_addc(out, ' ');
        add_markdown(out, t->columns[k].title);
        mld_str_add(out, " |");
    }
    mld_str_add(out, "\n|");
    for (size_t k = 0; k < n; k++)
        mld_str_add(out, t->columns[k].align == MLD_RIGHT ? " ---: |" : " --- |");
    mld_str_addc(out, '\n');
    for (size_t i = 0; i < t->row_count; i++) {
        mld_str_addc(out, '|');
        for (size_t k = 0; k < n; k++) {
            mld_str_addc(out, ' ');
            add_markdown(out, cell_people(&t->cells[i * n + k], buf));
            mld_str_add(out, " |");
        }
        mld_str_addc(out, '\n');
    }
}

/* --- machines: JSON, CSV -------------------------------------------------------------
 */

static struct mld_json *cell_json(const struct table_cell *cell)
{
    switch (cell->kind) {
    case TABLE_TEXT:
        return mld_json_new_str(cell->text);
    case TABLE_NUM:
        return mld_json_new_num(cell->num);
    case TABLE_INT:
        return mld_json_new_int(cell->i);
    case TABLE_BOOL:
        return mld_json_new_bool(cell->i != 0);
    case TABLE_NONE:
        break;
    }
    return mld_json_new_null();
}

/* One object a line: a reader of lines finds its rows, and memory holds one row's tree.
 */
static void print_json(const struct mld_table *t, struct mld_str *out)
{
    size_t n = t->column_count;
    mld_str_addc(out, '[');
    for (size_t i = 0; i < t->row_count; i++) {
        struct mld_json *row = mld_json_new_object();
        for (size_t k = 0; k < n; k++)
            mld_json_set(row, t->columns[k].key, cell_json(&t->cells[i * n + k]));
        char *text = mld_json_print(row, false);
        mld_json_free(row);
        mld_str_add(out, i > 0 ? ",\n " : "\n ");
        if (text != NULL)
            mld_str_add(out, text);
        else
            out->failed = true;
        mld_free(text);
    }
    mld_str_add(out, t->row_count > 0 ? "\n]\n" : "]\n");
}

static void add_csv(struct mld_str *out, const char *text)
{
    if (strpbrk(text, ",\"\r\n") == NULL) {
        mld_str_add(out, text);
        return;
    }
    mld_str_addc(out, '"');
    for (const char *p = text; *p != '\0'; p++) {
        if (*p == '"')
            mld_str_addc(out, '"');
        mld_str_addc(out, *p);
    }
    mld_str_addc(out, '"');
}

/* The shortest decimal that reads back as the same double. */
static void add_number(struct mld_str *out, double x)
{
    char buf[32];
    for (int digits = 15; digits <= 17; digits++) {
        double back;
        snprintf(buf, sizeof buf, "%.*g", digits, x);
        if (mld_parse_f64(buf, &back) && back == x)
            break;
    }
    mld_str_add(out, buf);
}

static void add_csv_cell(struct mld_str *out, const struct table_cell *cell)
{
    switch (cell->kind) {
    case TABLE_TEXT:
        /* An empty text is told from the unknown by its quotes. */
        if (cell->text[0] == '\0')
            mld_str_add(out, "\"\"");
        else
            add_csv(out, cell->text);
        break;
    case TABLE_NUM:
        add_number(out, cell->num);
        break;
    case TABLE_INT:
        mld_str_addf(out, "%" PRId64, cell->i);
        break;
    case TABLE_BOOL:
        mld_str_add(out, cell->i != 0 ? "true" : "false");
        break;
    case TABLE_NONE:
        break;
    }
}

static void print_csv(const struct mld_table *t, struct mld_str *out)
{
    size_t n = t->column_count;
    for (size_t k = 0; k < n; k++) {
        mld_str_add(out, k > 0 ? "," : "");
        add_csv(out, t->columns[k].key);
    }
    mld_str_add(out, "\r\n");
    for (size_t i = 0; i < t->row_count; i++) {
        for (size_t k = 0; k < n; k++) {
            mld_str_add(out, k > 0 ? "," : "");
            add_csv_cell(out, &t->cells[i * n + k]);
        }
        mld_str_add(out, "\r\n");
    }
}

int mld_table_print(const struct mld_table *t, enum mld_format f, struct mld_str *out,
                    struct mld_error *err)
{
    size_t *widths = NULL;
    if (t->failed)
        return mld_error_set(err, MLD_E_NO_MEMORY,
                             "out of memory while a table was made");
    switch (f) {
    case MLD_FORMAT_TABLE:
        widths = mld_calloc(t->column_count + 1, sizeof *widths);
        if (widths == NULL)
            return mld_error_set(err, MLD_E_NO_MEMORY, "out of memory");
        print_table(t, widths, out);
        mld_free(widths);
        break;
    case MLD_FORMAT_JSON:
        print_json(t, out);
        break;
    case MLD_FORMAT_CSV:
        print_csv(t, out);
        break;
    case MLD_FORMAT_MARKDOWN:
        print_markdown(t, out);
        break;
    case MLD_FORMAT_COUNT:
        return mld_error_set(err, MLD_E_INVALID, "no such format");
    }
    return mld_str_check(out, err);
}
