/* table.h: rows of typed cells as an aligned table, JSON, CSV or Markdown.
 *
 * The caller describes columns and fills cells; unknown cells are a dash in a table, null
 * in JSON, empty in CSV. */
#ifndef MLD_REPORT_TABLE_H
#define MLD_REPORT_TABLE_H

#include "base/str.h"
#include "mldyno/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MLD_FORMATS(X)                                                                   \
    X(TABLE, "table")                                                                    \
    X(JSON, "json")                                                                      \
    X(CSV, "csv")                                                                        \
    X(MARKDOWN, "markdown")
enum mld_format {
#define X(upper, lower) MLD_FORMAT_##upper,
    MLD_FORMATS(X)
#undef X
        MLD_FORMAT_COUNT
};
int mld_format_parse(const char *name); /* enum value, or -1 */

struct mld_table; /* grows row by row */

enum mld_align { MLD_LEFT, MLD_RIGHT };
struct mld_column {
    const char *key;   /* JSON key and CSV header: snake_case with its unit */
    const char *title; /* heading of table and Markdown; NULL: the key */
    enum mld_align align;
};

int mld_table_new(const struct mld_column *columns, size_t n, struct mld_table **out,
                  struct mld_error *err) MLD_MUST_CHECK;
void mld_table_free(struct mld_table *t);
/* Begins a row; cells come in column order. Cells that are not given are unknown. */
void mld_table_row(struct mld_table *t);
void mld_table_text(struct mld_table *t, const char *text); /* copied; NULL: unknown */
/* A number for JSON/CSV (full precision) and its text for people; NULL text: the number
 * as mld_human_num has it. Not finite: unknown. */
void mld_table_num(struct mld_table *t, double value, const char *text);
void mld_table_int(struct mld_table *t, int64_t value, const char *text);
void mld_table_bool(struct mld_table *t, bool value);
void mld_table_none(struct mld_table *t, const char *text); /* unknown; text: "- (459)" */
size_t mld_table_rows(const struct mld_table *t);
/* Appends to out: a table as aligned columns of UTF-8, with control characters shown, not
 * sent; JSON as an array with one object a line; CSV by RFC 4180 with CRLF; Markdown with
 * `|` escaped. Out of memory along the way shows here, once. */
int mld_table_print(const struct mld_table *t, enum mld_format f, struct mld_str *out,
                    struct mld_error *err) MLD_MUST_CHECK;

/* Numbers for people, in buf (of 32 bytes or more), returned. */
const char *mld_human_bytes(int64_t bytes, char *buf, size_t n); /* "417.6 MB" */
const char *mld_human_ns(double ns, char *buf, size_t n);        /* "12.34 ms" */
const char *mld_human_count(double x, char *buf, size_t n);      /* "109.5 M" */
const char *mld_human_num(double x, char *buf, size_t n); /* "0.25", "1234567"; no e+06 */

#endif
