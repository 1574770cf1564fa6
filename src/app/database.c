/* database.c: opens the store for one question and closes it again. */
#include "app/database.h"

#include "base/str.h"

#include <string.h>

int mld_database_init(const char *path, struct mld_store_status *out,
                      struct mld_error *err)
{
    struct mld_store *s = NULL;
    MLD_TRY(mld_store_open(mld_store_default_path(path), MLD_STORE_WRITE, &s, err));
    int rc = mld_store_status(s, out, err);
    mld_store_close(s);
    return rc;
}

int mld_database_status(const char *path, struct mld_store_status *out,
                        struct mld_error *err)
{
    struct mld_store *s = NULL;
    MLD_TRY(mld_store_open(mld_store_default_path(path), MLD_STORE_READ, &s, err));
    int rc = mld_store_status(s, out, err);
    mld_store_close(s);
    return rc;
}

/* The error for a name that is no report: the nearest, and all of them. */
static int database_unknown_report(const char *name, struct mld_error *err)
{
    const char *names[64];
    size_t n = 0;
    const struct mld_store_report *reports = mld_store_reports(&n);
    struct mld_str all = {0};
    for (size_t i = 0; i < n && i < 64; i++) {
        names[i] = reports[i].name;
        mld_str_addf(&all, "%s%s", i ? ", " : "", names[i]);
    }
    const char *near = mld_str_nearest(name, names, n < 64 ? n : 64);
    mld_error_set(err, MLD_E_NOT_FOUND,
                  "unknown report '%.64s'%s%s%s: one of %s, or --sql", name,
                  near ? " (did you mean '" : "", near ? near : "", near ? "'?)" : "",
                  mld_str_c(&all));
    mld_str_release(&all);
    return MLD_E_NOT_FOUND;
}

int mld_database_query(const char *path, const char *sql, const char *report,
                       struct mld_rows *out, struct mld_error *err)
{
    struct mld_store *s = NULL;
    if (report) {
        const struct mld_store_report *r = mld_store_report_find(report);
        if (!r)
            return database_unknown_report(report, err);
        sql = r->sql;
    }
    MLD_TRY(mld_store_open(mld_store_default_path(path), MLD_STORE_READ, &s, err));
    int rc = mld_store_query(s, sql, out, err);
    mld_store_close(s);
    return rc;
}
