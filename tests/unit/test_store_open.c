/* test_store_open.c: what opens, what is refused and how that is said; migrations. */
#define _GNU_SOURCE /* seteuid */
#include "kit/kit.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fs.h"
#include "store/store_int.h"

#define DB "bench.duckdb"

static void make_db(const char *path)
{
    struct mld_store *s;
    KIT_OK(mld_store_open(path, MLD_STORE_WRITE, &s, &kit_err));
    mld_store_close(s);
}

static void refused(const char *path, enum mld_store_mode mode, int code,
                    const char *words)
{
    struct mld_store *s = (void *)&s;
    KIT_FAILS(mld_store_open(path, mode, &s, &kit_err), code);
    KIT_CHECK(s == NULL);
    KIT_CONTAINS(kit_err.message, words);
    KIT_CHECK(strchr(kit_err.message, '\n') == NULL);
}

/* Runs SQL on a file by DuckDB alone, with nothing of ours. */
static void duck(const char *path, const char *sql)
{
    duckdb_database db;
    duckdb_connection c;
    duckdb_result result;
    KIT_CHECK(duckdb_open(path, &db) == DuckDBSuccess);
    KIT_CHECK(duckdb_connect(db, &c) == DuckDBSuccess);
    if (duckdb_query(c, sql, &result) != DuckDBSuccess)
        KIT_FAIL("%s", duckdb_result_error(&result));
    duckdb_destroy_result(&result);
    duckdb_disconnect(&c);
    duckdb_close(&db);
}

static char *slurp(const char *path, size_t *n)
{
    char *data;
    KIT_OK(mld_file_read(path, 1 << 28, &data, n, &kit_err));
    return data;
}

MLD_TEST(store_open__default_path)
{
    unsetenv("MLDYNO_DB");
    KIT_EQ_STR(mld_store_default_path(NULL), "./benchmark_db.duckdb");
    KIT_EQ_STR(mld_store_default_path(""), "./benchmark_db.duckdb");
    KIT_EQ_STR(mld_store_default_path("a"), "a");
    setenv("MLDYNO_DB", "env.duckdb", 1);
    KIT_EQ_STR(mld_store_default_path(NULL), "env.duckdb");
    KIT_EQ_STR(mld_store_default_path("a"), "a");
    setenv("MLDYNO_DB", "", 1);
    KIT_EQ_STR(mld_store_default_path(NULL), "./benchmark_db.duckdb");
}

MLD_TEST(store_open__makes_and_opens_again)
{
    make_db(DB);
    KIT_CHECK(mld_path_is_file(DB));
    make_db(DB);
    struct mld_store *s;
    KIT_OK(mld_store_open(DB, MLD_STORE_READ, &s, &kit_err));
    struct mld_store_status st;
    KIT_OK(mld_store_status(s, &st, &kit_err));
    KIT_EQ_INT(st.schema_version, mld_migrations[mld_migration_count - 1].version);
    KIT_EQ_STR(st.last_run, "");
    mld_store_status_release(&st);
    mld_store_close(s);
    mld_store_close(NULL);
}

/* Names that mean something else to DuckDB are files here. */
MLD_TEST(store_open__odd_names_are_files)
{
    static const char *const names[] = {
        ":memory:", "s3:x", "sqlite:y", "with space.db", "\xC3\xBC.duckdb", "-x"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        make_db(names[i]);
        KIT_CHECK(mld_path_is_file(names[i]));
    }
    char *cwd = getcwd(NULL, 0), *absolute = mld_path_join(cwd, "abs.duckdb");
    make_db(absolute);
    KIT_CHECK(mld_path_is_file("abs.duckdb"));
    mld_free(absolute);
    free(cwd);
}

MLD_TEST(store_open__absent)
{
    refused("nowhere.duckdb", MLD_STORE_READ, MLD_E_NOT_FOUND,
            "no database at 'nowhere.duckdb': run `mldyno bench` or `mldyno db init`");
    KIT_CHECK(!mld_path_exists("nowhere.duckdb"));
    refused("no/such/x.duckdb", MLD_STORE_WRITE, MLD_E_IO,
            "cannot make 'no/such/x.duckdb': folder 'no/such': No such file");
    refused("", MLD_STORE_WRITE, MLD_E_INVALID, "is empty");
    KIT_OK(mld_file_write("file", "x", 1, &kit_err));
    refused("file/x.duckdb", MLD_STORE_WRITE, MLD_E_IO, "Not a directory");
    char *longer = mld_calloc(1, 6000);
    memset(longer, 'a', 5999);
    refused(longer, MLD_STORE_WRITE, MLD_E_INVALID, "longer than 4000 bytes");
    longer[300] = '\0'; /* longer than a name may be, shorter than a path may be */
    refused(longer, MLD_STORE_WRITE, MLD_E_IO, "File name too long");
    mld_free(longer);
}

MLD_TEST(store_open__not_a_file)
{
    KIT_CHECK(mkdir("dir", 0777) == 0);
    refused("dir", MLD_STORE_WRITE, MLD_E_INVALID, "'dir' is a folder");
    refused("dir", MLD_STORE_READ, MLD_E_INVALID, "'dir' is a folder");
    KIT_CHECK(mkfifo("pipe", 0666) == 0);
    refused("pipe", MLD_STORE_READ, MLD_E_INVALID, "not a regular file");
    refused("/dev/null", MLD_STORE_WRITE, MLD_E_INVALID, "not a regular file");
}

MLD_TEST(store_open__not_a_database)
{
    static const char text[] = "SQLite format 3\0 and a good deal more than that here";
    KIT_OK(mld_file_write("x.db", text, sizeof text, &kit_err));
    KIT_OK(mld_file_write("short", "DUCK", 4, &kit_err));
    refused("x.db", MLD_STORE_READ, MLD_E_PARSE, "'x.db' is not a DuckDB database");
    refused("x.db", MLD_STORE_WRITE, MLD_E_PARSE, "choose another --db-path");
    refused("short", MLD_STORE_WRITE, MLD_E_PARSE, "'short' is not a DuckDB database");
    size_t n;
    char *after = slurp("x.db", &n);
    KIT_EQ_INT(n, sizeof text);
    KIT_EQ_MEM(after, text, n);
    mld_free(after);
}

/* An empty file, as mktemp makes it, becomes a database; for reading it is none. */
MLD_TEST(store_open__empty_file)
{
    KIT_OK(mld_file_write("zero", "", 0, &kit_err));
    refused("zero", MLD_STORE_READ, MLD_E_PARSE, "'zero' is not a DuckDB database");
    make_db("zero");
    struct mld_store *s;
    KIT_OK(mld_store_open("zero", MLD_STORE_READ, &s, &kit_err));
    mld_store_close(s);
}

/* Two processes make the same database at once, many times: both get it, whole. */
MLD_TEST(store_open__two_make_it_at_once)
{
    for (int round = 0; round < 10; round++) {
        char name[32];
        int ready[2], statuses[2];
        pid_t pids[2];
        snprintf(name, sizeof name, "both%d", round);
        KIT_CHECK(pipe(ready) == 0);
        for (int k = 0; k < 2; k++) {
            pids[k] = fork();
            KIT_CHECK(pids[k] >= 0);
            if (pids[k] == 0) {
                struct mld_store *s;
                char c;
                close(ready[1]);
                if (read(ready[0], &c, 1) < 0)
                    _exit(3);
                int rc = mld_store_open(name, MLD_STORE_WRITE, &s, NULL);
                mld_store_close(s);
                _exit(rc == 0 || rc == MLD_E_BUSY ? 0 : 1);
            }
        }
        close(ready[0]);
        close(ready[1]); /* both go */
        for (int k = 0; k < 2; k++) {
            KIT_EQ_INT(waitpid(pids[k], &statuses[k], 0), pids[k]);
            KIT_EQ_INT(statuses[k], 0);
        }
        struct mld_store *s;
        KIT_OK(mld_store_open(name, MLD_STORE_READ, &s, &kit_err));
        mld_store_close(s);
    }
    char **names;
    size_t n;
    KIT_OK(mld_dir_list(".", &names, &n, &kit_err));
    KIT_EQ_INT(n, 10); /* no temporary is left */
    mld_names_free(names, n);
}

MLD_TEST(store_open__damaged)
{
    make_db(DB);
    size_t n;
    char *data = slurp(DB, &n);
    /* Cut off in the middle. */
    KIT_OK(mld_file_write("cut", data, 10000, &kit_err));
    struct mld_store *s;
    KIT_CHECK(mld_store_open("cut", MLD_STORE_READ, &s, &kit_err) != 0);
    KIT_CHECK(strchr(kit_err.message, '\n') == NULL);
    KIT_CONTAINS(kit_err.message, "cut");
    /* One bit in both headers. */
    data[4096 + 40] ^= 1;
    data[8192 + 40] ^= 1;
    KIT_OK(mld_file_write("bit", data, n, &kit_err));
    KIT_CHECK(mld_store_open("bit", MLD_STORE_WRITE, &s, &kit_err) != 0);
    KIT_CONTAINS(kit_err.message, "bit");
    mld_free(data);
}

/* The checksum that DuckDB keeps in the first 8 bytes of its main header of 4096. */
static uint64_t header_checksum(const char *block)
{
    uint64_t sum = 5381, word;
    for (size_t at = 8; at < 4096; at += 8) {
        memcpy(&word, block + at, 8);
        sum ^= word * 0xBF58476D1CE4E5B9u;
    }
    return sum;
}

MLD_TEST(store_open__newer_duckdb_format)
{
    make_db(DB);
    size_t n;
    char *data = slurp(DB, &n);
    uint64_t sum;
    memcpy(&sum, data, 8);
    if (sum != header_checksum(data))
        KIT_SKIP("this DuckDB sums up its header in another way");
    data[12] = (char)0xE7; /* the storage version, after the magic bytes */
    data[13] = 3;
    sum = header_checksum(data);
    memcpy(data, &sum, 8);
    KIT_OK(mld_file_write("newer", data, n, &kit_err));
    mld_free(data);
    refused("newer", MLD_STORE_READ, MLD_E_VERSION, "format of 'newer' is not one");
    refused("newer", MLD_STORE_WRITE, MLD_E_VERSION, "choose another --db-path");
}

MLD_TEST(store_open__foreign_tables)
{
    duck("theirs", "CREATE TABLE customers AS SELECT 1 AS id");
    size_t before_n, after_n;
    char *before = slurp("theirs", &before_n);
    refused("theirs", MLD_STORE_WRITE, MLD_E_INVALID,
            "'theirs' holds tables that are not mldyno's; choose another --db-path");
    refused("theirs", MLD_STORE_READ, MLD_E_INVALID, "not mldyno's");
    char *after = slurp("theirs", &after_n);
    KIT_EQ_INT(after_n, before_n);
    KIT_EQ_MEM(after, before, before_n);
    mld_free(before);
    mld_free(after);
    /* Others use that name for their migrations too. */
    duck("flyway", "CREATE TABLE schema_migrations (version VARCHAR)");
    refused("flyway", MLD_STORE_WRITE, MLD_E_INVALID, "not mldyno's");
    duck("view", "CREATE VIEW v AS SELECT 1");
    refused("view", MLD_STORE_WRITE, MLD_E_INVALID, "not mldyno's");
    duck("schema", "CREATE SCHEMA s; CREATE TABLE s.t (i INTEGER)");
    refused("schema", MLD_STORE_WRITE, MLD_E_INVALID, "not mldyno's");
}

MLD_TEST(store_open__empty_database_is_adopted)
{
    duck("empty", "SELECT 1");
    KIT_CHECK(mld_file_size("empty") > 0);
    refused("empty", MLD_STORE_READ, MLD_E_NOT_FOUND, "'empty' is an empty database");
    make_db("empty");
    struct mld_store *s;
    KIT_OK(mld_store_open("empty", MLD_STORE_READ, &s, &kit_err));
    mld_store_close(s);
}

/* --- permissions -------------------------------------------------------------------- */

MLD_TEST(store_open__no_permission)
{
    make_db(DB);
    KIT_CHECK(mkdir("locked", 0755) == 0);
    make_db("locked/x.duckdb");
    KIT_CHECK(chmod(DB, 0444) == 0);
    KIT_CHECK(chmod("locked", 0555) == 0);
    if (geteuid() == 0) {
        /* Root may do everything: the case goes on as nobody. */
        KIT_CHECK(chmod(".", 0777) == 0);
        if (setregid(65534, 65534) != 0 || setreuid(65534, 65534) != 0)
            KIT_SKIP("cannot become another user");
        if (access(".", X_OK) != 0)
            KIT_SKIP("the folder of the test cannot be reached by another user");
    }
    refused(DB, MLD_STORE_WRITE, MLD_E_IO,
            "cannot write 'bench.duckdb': Permission denied");
    refused("locked/new.duckdb", MLD_STORE_WRITE, MLD_E_IO,
            "cannot make 'locked/new.duckdb': folder 'locked': Permission denied");
    /* Reading needs neither. */
    struct mld_store *s;
    KIT_OK(mld_store_open(DB, MLD_STORE_READ, &s, &kit_err));
    mld_store_close(s);
    KIT_OK(mld_store_open("locked/x.duckdb", MLD_STORE_READ, &s, &kit_err));
    struct mld_rows rows;
    KIT_OK(mld_store_query(s, "SELECT count(*) FROM results", &rows, &kit_err));
    mld_rows_release(&rows);
    mld_store_close(s);
}

/* --- busy --------------------------------------------------------------------------- */

/* Starts a process that holds the database until the pipe closes. */
static pid_t hold(int *release_fd)
{
    int ready[2], stop[2];
    KIT_CHECK(pipe(ready) == 0 && pipe(stop) == 0);
    pid_t pid = fork();
    KIT_CHECK(pid >= 0);
    if (pid == 0) {
        struct mld_store *s;
        char c = 'x';
        close(stop[1]);
        if (mld_store_open(DB, MLD_STORE_WRITE, &s, NULL) != 0)
            _exit(1);
        if (write(ready[1], &c, 1) == 1 && read(stop[0], &c, 1) < 0)
            _exit(2);
        mld_store_close(s);
        _exit(0);
    }
    char c;
    close(ready[1]);
    close(stop[0]);
    KIT_EQ_INT(read(ready[0], &c, 1), 1);
    close(ready[0]);
    *release_fd = stop[1];
    return pid;
}

MLD_TEST(store_open__busy_names_the_holder)
{
    int fd, status;
    pid_t pid = hold(&fd);
    char words[64];
    snprintf(words, sizeof words, "'" DB "' is in use by process %d", (int)pid);
    refused(DB, MLD_STORE_WRITE, MLD_E_BUSY, words);
    refused(DB, MLD_STORE_READ, MLD_E_BUSY, words);
    close(fd);
    KIT_EQ_INT(waitpid(pid, &status, 0), pid);
    KIT_EQ_INT(status, 0);
    make_db(DB);
}

/* --- migrations ----------------------------------------------------------------------
 */

static const char *const one[] = {"CREATE TABLE a (x INTEGER)",
                                  "INSERT INTO a VALUES (1)", NULL};
static const char *const one_altered[] = {"CREATE TABLE a (x BIGINT)", NULL};
static const char *const two[] = {"ALTER TABLE a ADD COLUMN y INTEGER DEFAULT 5",
                                  "CREATE VIEW v AS SELECT x + y AS z FROM a", NULL};
static const char *const two_broken[] = {"ALTER TABLE a ADD COLUMN y INTEGER",
                                         "CREATE TABLE b (x INTEGER)",
                                         "INSERT INTO nowhere VALUES (1)", NULL};

static int open_with(const struct mld_migration *m, size_t n, enum mld_store_mode mode,
                     struct mld_store **s)
{
    return mld_store_open_migrations(DB, mode, m, n, s, &kit_err);
}

static int64_t number(struct mld_store *s, const char *sql)
{
    int64_t x;
    KIT_OK(mld_duck_scalar(s, sql, -1, &x, &kit_err));
    return x;
}

MLD_TEST(store_migrate__forward_and_refused)
{
    const struct mld_migration list[] = {{1, "first", one}, {2, "second", two}};
    struct mld_store *s;
    KIT_OK(open_with(list, 1, MLD_STORE_WRITE, &s));
    KIT_EQ_INT(s->version, 1);
    mld_store_close(s);

    /* Older than the program: not for reading, brought forward for writing. */
    KIT_FAILS(open_with(list, 2, MLD_STORE_READ, &s), MLD_E_VERSION);
    KIT_CONTAINS(kit_err.message, "schema version 1, this mldyno needs 2");
    KIT_CONTAINS(kit_err.message, "mldyno db init");
    KIT_OK(open_with(list, 2, MLD_STORE_WRITE, &s));
    KIT_EQ_INT(s->version, 2);
    KIT_EQ_INT(number(s, "SELECT z FROM v"), 6);
    KIT_EQ_INT(number(s, "SELECT count(*) FROM schema_migrations"), 2);
    mld_store_close(s);

    /* Newer than the program: refused either way, untouched. */
    size_t before_n, after_n;
    char *before = slurp(DB, &before_n);
    KIT_FAILS(open_with(list, 1, MLD_STORE_WRITE, &s), MLD_E_VERSION);
    KIT_CONTAINS(kit_err.message,
                 "has schema version 2, this mldyno knows versions up to 1: use a newer "
                 "mldyno, or choose another --db-path");
    KIT_FAILS(open_with(list, 1, MLD_STORE_READ, &s), MLD_E_VERSION);
    char *after = slurp(DB, &after_n);
    KIT_EQ_INT(after_n, before_n);
    KIT_EQ_MEM(after, before, before_n);
    mld_free(before);
    mld_free(after);

    /* Another history: refused. */
    const struct mld_migration other[] = {{1, "first", one_altered}, {2, "second", two}};
    KIT_FAILS(open_with(other, 2, MLD_STORE_WRITE, &s), MLD_E_VERSION);
    KIT_CONTAINS(kit_err.message, "made by another build of mldyno: its migration 1");
}

MLD_TEST(store_migrate__a_step_is_whole_or_not_there)
{
    const struct mld_migration list[] = {{1, "first", one}, {2, "second", two_broken}};
    struct mld_store *s;
    KIT_FAILS(open_with(list, 2, MLD_STORE_WRITE, &s), MLD_E_INVALID);
    KIT_CONTAINS(kit_err.message, "migration 2 (second)");
    KIT_OK(open_with(list, 1, MLD_STORE_WRITE, &s));
    KIT_EQ_INT(s->version, 1);
    KIT_EQ_INT(number(s, "SELECT x FROM a"), 1);
    KIT_EQ_INT(number(s, "SELECT count(*) FROM duckdb_tables() WHERE table_name = 'b'"),
               0);
    KIT_EQ_INT(number(s, "SELECT count(*) FROM duckdb_columns() WHERE table_name = 'a'"),
               1);
    mld_store_close(s);
}

/* Numbers go 1, 2, 3 and each step has SQL: a slip in migrations.c shows here. */
MLD_TEST(store_migrate__the_list_is_sound)
{
    KIT_CHECK(mld_migration_count >= 1);
    for (size_t i = 0; i < mld_migration_count; i++) {
        KIT_EQ_INT(mld_migrations[i].version, i + 1);
        KIT_CHECK(mld_migrations[i].statements[0] != NULL);
    }
    make_db(DB);
    struct mld_store *s;
    KIT_OK(mld_store_open(DB, MLD_STORE_READ, &s, &kit_err));
    struct mld_rows rows;
    KIT_OK(mld_store_query(s, "SELECT checksum FROM schema_migrations ORDER BY version",
                           &rows, &kit_err));
    KIT_EQ_INT(rows.row_count, mld_migration_count);
    mld_rows_release(&rows);
    mld_store_close(s);
}
