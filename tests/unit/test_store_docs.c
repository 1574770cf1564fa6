/* test_store_docs.c: docs/database.md names the columns that there are, and its SQL runs.
 */
#include "kit/kit.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/fs.h"
#include "base/map.h"
#include "base/str.h"
#include "store/store.h"

#define DB "bench.duckdb"

static char present;

static char *read_page(void)
{
    char *page;
    size_t n;
    KIT_OK(mld_file_read(kit_fixture("docs/database.md"), 1 << 20, &page, &n, &kit_err));
    return page;
}

static struct mld_store *reader(void)
{
    struct mld_store *s;
    KIT_OK(mld_store_open(DB, MLD_STORE_WRITE, &s, &kit_err));
    mld_store_close(s);
    KIT_OK(mld_store_open(DB, MLD_STORE_READ, &s, &kit_err));
    return s;
}

static void add_key(struct mld_map *map, const char *table, const char *column)
{
    char key[256];
    snprintf(key, sizeof key, "%s.%s", table, column);
    KIT_CHECK(mld_map_set(map, key, &present));
}

/* All of `from`'s columns, as `table`'s. */
static void add_columns(struct mld_store *s, struct mld_map *map, const char *table,
                        const char *from)
{
    struct mld_cell name = {.type = MLD_CELL_TEXT, .text = from};
    struct mld_rows rows;
    KIT_OK(mld_store_query_with(
        s, "SELECT column_name FROM duckdb_columns() WHERE table_name = $1", &name, 1,
        &rows, &kit_err));
    if (rows.row_count == 0)
        KIT_FAIL("the page names '%s', which is not there", from);
    for (size_t i = 0; i < rows.row_count; i++)
        add_key(map, table, rows.cells[i].text);
    mld_rows_release(&rows);
}

/* The names in back quotes of one list item, up to its colon: `a`, `b`, `view.*`. */
static void add_item(struct mld_store *s, struct mld_map *map, const char *table,
                     const char *item)
{
    const char *end = strstr(item, "`: ");
    if (end == NULL)
        KIT_FAIL("an item of '%s' has no colon: %.40s", table, item);
    for (const char *p = item; p < end; p++) {
        char name[128];
        const char *begin = strchr(p, '`') + 1;
        size_t n = strcspn(begin, "`");
        KIT_CHECK(n < sizeof name);
        memcpy(name, begin, n);
        name[n] = '\0';
        p = begin + n;
        if (n > 2 && strcmp(name + n - 2, ".*") == 0) {
            name[n - 2] = '\0';
            add_columns(s, map, table, name);
        } else {
            add_key(map, table, name);
        }
    }
}

static void read_sections(struct mld_store *s, const char *page, struct mld_map *map)
{
    char table[64] = "";
    for (const char *line = page; *line != '\0'; line += strcspn(line, "\n") + 1) {
        if (strncmp(line, "### ", 4) == 0)
            snprintf(table, sizeof table, "%.*s", (int)strcspn(line + 4, "\n"), line + 4);
        else if (line[0] == '#')
            table[0] = '\0';
        else if (table[0] != '\0' && strncmp(line, "- ", 2) == 0)
            add_item(s, map, table, line + 2);
    }
}

MLD_TEST(store_docs__columns_are_those_of_the_page)
{
    struct mld_store *s = reader();
    struct mld_map there = {0}, named = {0};
    struct mld_rows rows;
    char *page = read_page();
    int wrong = 0;
    read_sections(s, page, &named);
    KIT_OK(mld_store_query(s,
                           "SELECT table_name, column_name FROM duckdb_columns() WHERE "
                           "NOT internal AND database_name = current_database()",
                           &rows, &kit_err));
    for (size_t i = 0; i < rows.row_count; i++)
        add_key(&there, rows.cells[2 * i].text, rows.cells[2 * i + 1].text);
    mld_rows_release(&rows);
    size_t at = 0;
    for (const struct mld_map_slot *slot; (slot = mld_map_next(&there, &at)) != NULL;)
        if (!mld_map_has(&named, slot->key) && ++wrong)
            printf("not on the page: %s\n", slot->key);
    at = 0;
    for (const struct mld_map_slot *slot; (slot = mld_map_next(&named, &at)) != NULL;)
        if (!mld_map_has(&there, slot->key) && ++wrong)
            printf("only on the page: %s\n", slot->key);
    KIT_EQ_INT(wrong, 0);
    KIT_CHECK(there.count > 250);
    mld_map_release(&there);
    mld_map_release(&named);
    mld_free(page);
    mld_store_close(s);
}

MLD_TEST(store_docs__queries_of_the_page_run)
{
    struct mld_store *s = reader();
    char *page = read_page();
    int run = 0;
    for (char *block = strstr(page, "```sql\n"); block != NULL;) {
        char *sql = block + strlen("```sql\n"), *end = strstr(sql, "```");
        KIT_CHECK(end != NULL);
        *end = '\0';
        for (char *stop; (stop = strchr(sql, ';')) != NULL; sql = stop + 1, run++) {
            struct mld_rows rows;
            *stop = '\0';
            KIT_OK(mld_store_query(s, sql, &rows, &kit_err));
            mld_rows_release(&rows);
        }
        block = strstr(end + 1, "```sql\n");
    }
    KIT_CHECK(run >= 6);
    mld_free(page);
    mld_store_close(s);
}

MLD_TEST(store_docs__reports_are_those_of_the_page)
{
    char *page = read_page(), *list = strstr(page, "Named reports"), needle[64];
    size_t n;
    KIT_CHECK(list != NULL && strstr(list, "\n\n") != NULL);
    *strstr(list, "\n\n") = '\0';
    const struct mld_store_report *reports = mld_store_reports(&n);
    for (size_t i = 0; i < n; i++) {
        snprintf(needle, sizeof needle, "`%s`", reports[i].name);
        KIT_CONTAINS(list, needle);
    }
    mld_free(page);
}
