/* database.h: the store's use cases for people: make it, look at it, ask it. */
#ifndef MLD_APP_DATABASE_H
#define MLD_APP_DATABASE_H

#include "store/store.h"

/* Makes the file, or brings its schema up to date. path NULL: the default. */
int mld_database_init(const char *path, struct mld_store_status *out,
                      struct mld_error *err) MLD_MUST_CHECK;
int mld_database_status(const char *path, struct mld_store_status *out,
                        struct mld_error *err) MLD_MUST_CHECK;

/* One statement that only reads, or a named report (exactly one of the two is given). */
int mld_database_query(const char *path, const char *sql, const char *report,
                       struct mld_rows *out, struct mld_error *err) MLD_MUST_CHECK;

#endif
