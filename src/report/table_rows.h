/* table_rows.h: the rows of a query as a table. */
#ifndef MLD_REPORT_TABLE_ROWS_H
#define MLD_REPORT_TABLE_ROWS_H

#include "report/table.h"
#include "store/store.h"

/* Columns take the names of the query's (a name that comes twice gets _2, _3 ...),
 * numbers stand to the right. *out is freed by mld_table_free. */
int mld_table_from_rows(const struct mld_rows *rows, struct mld_table **out,
                        struct mld_error *err) MLD_MUST_CHECK;

#endif
