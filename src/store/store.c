/* store.c: opening and closing the database, and what `mldyno db status` shows.
 *
 * What can be told from the file itself (absent, a folder, not DuckDB's, no permission)
 * is told before DuckDB sees it, in words that name the remedy. */
#include "store/store_int.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fs.h"
#include "base/str.h"

#define STORE_DEFAULT_PATH "./benchmark_db.duckdb"

const char *mld_store_default_path(const char *option)
{
    if (option != NULL && option[0] != '\0')
        return option;
    const char *env = getenv("MLDYNO_DB");
    return env != NULL && env[0] != '\0' ? env : STORE_DEFAULT_PATH;
}

/* --- what the file itself tells ------------------------------------------------------
 */

enum { STORE_PATH_MAX = 4000 }; /* bytes; room is left for what is put behind it */

/* Folder part of path in buf; "." when there is none. */
static void store_folder(const char *path, char buf[STORE_PATH_MAX])
{
    const char *slash = strrchr(path, '/');
    size_t len = slash == NULL || slash == path ? 1 : (size_t)(slash - path);
    memcpy(buf, slash == NULL ? "." : path, len);
    buf[len] = '\0';
}

static int store_check_new(const char *path, struct mld_error *err)
{
    char folder[STORE_PATH_MAX];
    struct stat st;
    store_folder(path, folder);
    if (stat(folder, &st) != 0)
        return mld_error_set(err, MLD_E_IO, "cannot make '%s': folder '%s': %s", path,
                             folder, strerror(errno));
    if (!S_ISDIR(st.st_mode))
        return mld_error_set(err, MLD_E_IO, "cannot make '%s': '%s' is not a folder",
                             path, folder);
    if (access(folder, W_OK | X_OK) != 0)
        return mld_error_set(err, MLD_E_IO,
                             "cannot make '%s': folder '%s': %s; choose another "
                             "--db-path",
                             path, folder, strerror(errno));
    return 0;
}

/* A DuckDB file has "DUCK" at byte 8 of its first block, after the checksum. */
static int store_check_magic(const char *path, struct mld_error *err)
{
    char head[12] = {0};
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return mld_error_set(err, MLD_E_IO, "cannot read '%s': %s", path,
                             strerror(errno));
    ssize_t n = read(fd, head, sizeof head);
    int failure = errno;
    close(fd);
    if (n < 0)
        return mld_error_set(err, MLD_E_IO, "cannot read '%s': %s", path,
                             strerror(failure));
    if (n != (ssize_t)sizeof head || memcmp(head + 8, "DUCK", 4) != 0)
        return mld_error_set(err, MLD_E_PARSE,
                             "'%s' is not a DuckDB database; choose another --db-path",
                             path);
    return 0;
}

static int store_check_file(const char *path, enum mld_store_mode mode,
                            struct mld_error *err)
{
    struct stat st;
    if (path[0] == '\0')
        return mld_error_set(err, MLD_E_INVALID, "path of the database is empty");
    if (strlen(path) >= STORE_PATH_MAX)
        return mld_error_set(err, MLD_E_INVALID,
                             "path of the database is longer than %d bytes",
                             STORE_PATH_MAX);
    if (stat(path, &st) != 0) {
        if (errno != ENOENT)
            return mld_error_set(err, MLD_E_IO, "cannot open '%s': %s", path,
                                 strerror(errno));
        if (mode == MLD_STORE_READ)
            return mld_error_set(err, MLD_E_NOT_FOUND,
                                 "no database at '%s': run `mldyno bench` or `mldyno db "
                                 "init`",
                                 path);
        return store_check_new(path, err);
    }
    if (S_ISDIR(st.st_mode))
        return mld_error_set(err, MLD_E_INVALID,
                             "'%s' is a folder; --db-path names a file", path);
    if (!S_ISREG(st.st_mode))
        return mld_error_set(err, MLD_E_INVALID, "'%s' is not a regular file", path);
    if (mode == MLD_STORE_WRITE && access(path, W_OK) != 0)
        return mld_error_set(err, MLD_E_IO,
                             "cannot write '%s': %s; choose another --db-path", path,
                             strerror(errno));
    if (mode == MLD_STORE_WRITE && st.st_size == 0)
        return store_check_new(path, err); /* an empty file becomes a new database */
    return store_check_magic(path, err);
}

/* --- opening ------------------------------------------------------------------------ */

/* What DuckDB says when it cannot open: the lock's holder, a newer format, the rest. */
static int store_open_error(const char *path, const char *message, struct mld_error *err)
{
    const char *text = message != NULL ? message : "";
    if (strstr(text, "Could not set lock on file") != NULL) {
        const char *pid = strstr(text, "(PID ");
        long holder = pid != NULL ? strtol(pid + 5, NULL, 10) : 0;
        if (holder > 0)
            return mld_error_set(err, MLD_E_BUSY,
                                 "'%s' is in use by process %ld: wait for it, or choose "
                                 "another --db-path",
                                 path, holder);
        return mld_error_set(err, MLD_E_BUSY,
                             "'%s' is in use by another process: wait for it, or choose "
                             "another --db-path",
                             path);
    }
    char what[STORE_PATH_MAX + 32];
    snprintf(what, sizeof what, "cannot open '%s'", path);
    if (strncmp(text, "IO Error: ", 10) == 0)
        text += 10;
    if (strstr(text, "database file with version number") != NULL)
        return mld_error_set(err, MLD_E_VERSION,
                             "the format of '%s' is not one that this DuckDB (%s) reads: "
                             "use a newer mldyno, or choose another --db-path",
                             path, duckdb_library_version());
    return mld_duck_error(err, DUCKDB_ERROR_IO, what, text);
}

struct store_setting {
    const char *name, *value;
};

static int store_configure(enum mld_store_mode mode, duckdb_config *out,
                           struct mld_error *err)
{
    static const struct store_setting both[] = {
        {"threads", "2"},        /* ingest and reports need no more; idle ones sleep */
        {"memory_limit", "1GB"}, /* larger work spills to a folder beside the file */
        {"max_temp_directory_size", "4GB"},        /* and no more of it than that */
        {"autoinstall_known_extensions", "false"}, /* never fetches anything */
        {"autoload_known_extensions", "false"},
        {"allow_community_extensions", "false"},
    };
    static const struct store_setting read_only[] = {
        {"access_mode", "READ_ONLY"},
        {"enable_external_access", "false"}, /* no COPY TO, ATTACH, read_csv, LOAD */
        {"lock_configuration", "true"},      /* and no SET to change that */
    };
    if (duckdb_create_config(out) != DuckDBSuccess)
        return mld_error_set(err, MLD_E_NO_MEMORY, "out of memory");
    for (size_t i = 0; i < sizeof both / sizeof both[0]; i++)
        if (duckdb_set_config(*out, both[i].name, both[i].value) != DuckDBSuccess)
            return mld_error_set(err, MLD_E_VERSION,
                                 "this DuckDB does not know the setting '%s'",
                                 both[i].name);
    for (size_t i = 0;
         mode == MLD_STORE_READ && i < sizeof read_only / sizeof read_only[0]; i++)
        if (duckdb_set_config(*out, read_only[i].name, read_only[i].value) !=
            DuckDBSuccess)
            return mld_error_set(err, MLD_E_VERSION,
                                 "this DuckDB does not know the setting '%s'",
                                 read_only[i].name);
    return 0;
}

/* Opens `path`, which is s->path or a temporary beside it. */
static int store_connect(struct mld_store *s, const char *path, struct mld_error *err)
{
    /* "./" keeps names like ":memory:" and "s3:x" from meaning anything to DuckDB. */
    struct mld_str file = {0};
    mld_str_addf(&file, "%s%s", path[0] == '/' ? "" : "./", path);
    duckdb_config config = NULL;
    char *message = NULL;
    int rc = mld_str_check(&file, err);
    if (rc == 0)
        rc = store_configure(s->mode, &config, err);
    if (rc == 0 &&
        duckdb_open_ext(mld_str_c(&file), &s->db, config, &message) != DuckDBSuccess)
        rc = store_open_error(s->path, message, err);
    if (rc == 0 && duckdb_connect(s->db, &s->conn) != DuckDBSuccess)
        rc = mld_error_set(err, MLD_E_NO_MEMORY, "cannot connect to database '%s'",
                           s->path);
    duckdb_free(message);
    duckdb_destroy_config(&config);
    mld_str_release(&file);
    return rc;
}

static void store_disconnect(struct mld_store *s)
{
    for (size_t i = 0; i < STORE_STATEMENT_COUNT; i++)
        duckdb_destroy_prepare(&s->prepared[i]);
    duckdb_disconnect(&s->conn);
    duckdb_close(&s->db);
}

/* Gives the made file its name. link() never replaces: of two processes that make the
 * same database the first one's stays, and both go on with it. */
static int store_place(const char *made, const char *path, struct mld_error *err)
{
    struct stat st;
    bool absent = stat(path, &st) != 0;
    if (!absent && st.st_size > 0)
        return 0;
    if (absent && (link(made, path) == 0 || errno == EEXIST))
        return 0;
    /* Over an empty file, and where the file system has no links. */
    if (rename(made, path) != 0)
        return mld_error_set(err, MLD_E_IO, "cannot make '%s': %s", path,
                             strerror(errno));
    return 0;
}

/* A database comes to be under a temporary name and is moved to its own when it is whole:
 * a kill leaves none or a good one. When another process was faster, its file stays. */
static int store_create(struct mld_store *s, struct mld_error *err)
{
    struct stat st;
    if (stat(s->path, &st) == 0 && st.st_size > 0)
        return 0;
    char made[STORE_PATH_MAX + 64], wal[STORE_PATH_MAX + 64];
    snprintf(made, sizeof made, "%s.new-%ld", s->path, (long)getpid());
    snprintf(wal, sizeof wal, "%s.new-%ld.wal", s->path, (long)getpid());
    (void)remove(made); /* of a killed process that had our id */
    (void)remove(wal);
    int rc = store_connect(s, made, err);
    if (rc == 0)
        rc = mld_store_migrate(s, err);
    store_disconnect(s); /* writes the log into the file */
    if (rc == 0 && mld_path_exists(wal))
        rc = mld_error_set(
            err, MLD_E_IO,
            "cannot make '%s': it was not written whole: is the disk full?", s->path);
    if (rc == 0)
        rc = store_place(made, s->path, err);
    (void)remove(made);
    (void)remove(wal);
    return rc;
}

int mld_store_open_migrations(const char *path, enum mld_store_mode mode,
                              const struct mld_migration *migrations, size_t count,
                              struct mld_store **out, struct mld_error *err)
{
    *out = NULL;
    MLD_TRY(store_check_file(path, mode, err));
    struct mld_store *s = mld_calloc(1, sizeof *s);
    if (s == NULL)
        return mld_error_set(err, MLD_E_NO_MEMORY, "out of memory");
    s->mode = mode;
    s->migrations = migrations;
    s->migration_count = count;
    s->path = mld_strdup(path);
    if (s->path == NULL) {
        mld_free(s);
        return mld_error_set(err, MLD_E_NO_MEMORY, "out of memory");
    }
    int rc = mode == MLD_STORE_WRITE ? store_create(s, err) : 0;
    if (rc == 0)
        rc = store_connect(s, s->path, err);
    if (rc == 0)
        rc = mld_store_migrate(s, err);
    if (rc != 0) {
        mld_store_close(s);
        return rc;
    }
    *out = s;
    return 0;
}

int mld_store_open(const char *path, enum mld_store_mode mode, struct mld_store **out,
                   struct mld_error *err)
{
    return mld_store_open_migrations(path, mode, mld_migrations, mld_migration_count, out,
                                     err);
}

void mld_store_close(struct mld_store *s)
{
    if (s == NULL)
        return;
    store_disconnect(s);
    mld_free(s->path);
    mld_free(s);
}

/* --- status ------------------------------------------------------------------------- */

int mld_store_status(struct mld_store *s, struct mld_store_status *out,
                     struct mld_error *err)
{
    const struct {
        const char *sql;
        int64_t *to;
    } counts[] = {
        {"SELECT count(*) FROM runs", &out->runs},
        {"SELECT count(*) FROM results", &out->results},
        {"SELECT count(*) FROM samples", &out->samples},
        {"SELECT count(*) FROM models", &out->models},
        {"SELECT count(*) FROM hardware", &out->hardware},
        {"SELECT count(*) FROM environments", &out->environments},
    };
    memset(out, 0, sizeof *out);
    out->schema_version = s->version;
    out->newest_version = (int)s->migration_count;
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++)
        MLD_TRY(mld_duck_scalar(s, counts[i].sql, 0, counts[i].to, err));
    struct mld_rows rows;
    MLD_TRY(mld_store_query(
        s, "SELECT strftime(max(started_at), '%Y-%m-%dT%H:%M:%SZ') FROM runs", &rows,
        err));
    if (rows.row_count == 1 && rows.cells[0].text != NULL)
        snprintf(out->last_run, sizeof out->last_run, "%s", rows.cells[0].text);
    mld_rows_release(&rows);
    struct stat st;
    out->file_bytes = stat(s->path, &st) == 0 ? (int64_t)st.st_size : -1;
    out->path = mld_strdup(s->path);
    return out->path != NULL ? 0 : mld_error_set(err, MLD_E_NO_MEMORY, "out of memory");
}

void mld_store_status_release(struct mld_store_status *st)
{
    mld_free(st->path);
    st->path = NULL;
}
