/* test_store_kill.c: kill -9 at any moment, or a full disk, loses the case in flight and
 * nothing that was acknowledged.
 *
 * A child adds cases in a loop and writes each id to a pipe after its commit; the parent
 * kills it at a random moment and looks into the file. */
#include "kit/kit.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fs.h"
#include "store/store.h"

#define DB "bench.duckdb"

static int64_t ask(struct mld_store *s, const char *sql)
{
    struct mld_rows rows;
    KIT_OK(mld_store_query(s, sql, &rows, &kit_err));
    KIT_EQ_INT(rows.row_count, 1);
    int64_t x = rows.cells[0].i;
    mld_rows_release(&rows);
    return x;
}

enum { SAMPLES = 3000 };

static void fill(struct mld_store_result *r, const char *run, const uint64_t *samples,
                 size_t n)
{
    mld_store_result_init(r);
    r->run_id = run;
    r->model = "bert";
    r->platform = "cpu";
    r->status = "ok";
    r->origin = "measured";
    r->batch_size = 1;
    r->placement_provider = "CPUExecutionProvider";
    r->samples_ns = samples;
    r->samples_total = n;
    r->samples_warmup = 10;
}

/* Adds cases until killed; ids go to fd. */
static void add_forever(int fd)
{
    static uint64_t samples[SAMPLES];
    struct mld_store *s;
    struct mld_store_run run = {.hostname = "box"};
    struct mld_store_phase phase = {"load", 1};
    char run_id[37];
    for (size_t i = 0; i < SAMPLES; i++)
        samples[i] = 1000 + i;
    if (mld_store_open(DB, MLD_STORE_WRITE, &s, NULL) != 0 ||
        mld_store_begin_run(s, &run, run_id, NULL) != 0)
        _exit(1);
    for (;;) {
        struct mld_store_result r;
        int64_t id;
        fill(&r, run_id, samples, SAMPLES);
        r.phases = &phase;
        r.phase_count = 1;
        if (mld_store_add_result(s, &r, &id, NULL) != 0 ||
            write(fd, &id, sizeof id) != (ssize_t)sizeof id)
            _exit(2);
    }
}

static void sleep_us(long us)
{
    struct timespec t = {us / 1000000, us % 1000000 * 1000};
    nanosleep(&t, NULL);
}

/* One round: kills the child delay_us after its start, or after its first acknowledged
 * case. The last id that it acknowledged; -1: none. */
static int64_t round_of_killing(bool after_first, long delay_us)
{
    int fds[2], status;
    KIT_CHECK(pipe(fds) == 0);
    pid_t pid = fork();
    KIT_CHECK(pid >= 0);
    if (pid == 0) {
        close(fds[0]);
        add_forever(fds[1]);
    }
    close(fds[1]);
    int64_t last = -1, id;
    if (after_first) {
        KIT_CHECK(read(fds[0], &id, sizeof id) == (ssize_t)sizeof id);
        last = id;
    }
    sleep_us(delay_us);
    kill(pid, SIGKILL);
    KIT_EQ_INT(waitpid(pid, &status, 0), pid);
    KIT_CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    while (read(fds[0], &id, sizeof id) == (ssize_t)sizeof id)
        last = id;
    close(fds[0]);
    return last;
}

/* All of the database is as a whole number of cases leaves it, up to `last` at least. */
static void look_into(int64_t last, enum mld_store_mode mode)
{
    struct mld_store *s;
    if (last < 0 && !mld_path_exists(DB))
        return; /* killed before there was a database: none, not half a one */
    KIT_OK(mld_store_open(DB, mode, &s, &kit_err));
    int64_t results = ask(s, "SELECT count(*) FROM results");
    int64_t newest = ask(s, "SELECT coalesce(max(result_id), 0) FROM results");
    KIT_CHECK(last < 0 || newest >= last);
    KIT_CHECK(newest <= (last < 0 ? newest : last + 1)); /* one at most was in flight */
    KIT_EQ_INT(ask(s, "SELECT count(*) FROM samples"), results * SAMPLES);
    KIT_EQ_INT(ask(s, "SELECT count(*) FROM (SELECT result_id FROM samples GROUP BY "
                      "result_id HAVING count(*) = 3000 AND sum(ns - 1000) = 2999 * 1500 "
                      "AND count(*) FILTER (warmup) = 10)"),
               results);
    KIT_EQ_INT(ask(s, "SELECT count(*) FROM phases"), results);
    KIT_EQ_INT(ask(s, "SELECT count(*) FROM placement"), results);
    KIT_EQ_INT(ask(s, "SELECT count(*) FROM comprehensive_benchmarks"), results);
    KIT_CHECK(results == 0 || ask(s, "SELECT count(*) FROM models") == 1);
    mld_store_close(s);
}

MLD_TEST_TIMEOUT(store_kill__acknowledged_cases_stay, 240)
{
    int64_t best = 0;
    unsigned seed = (unsigned)getpid();
    printf("seed %u\n", seed);
    srand(seed);
    for (int round = 0; round < 15; round++) {
        /* From before the file is there to some dozen cases; in the later rounds there is
         * one at least, however slow the machine is. */
        const bool after_first = round >= 5;
        long delay_us = rand() % (after_first ? 400000 : 60000);
        int64_t last = round_of_killing(after_first, delay_us);
        /* Every other time a reader comes first: it reads over the log that was left. */
        if (round % 2 == 0)
            look_into(last, MLD_STORE_READ);
        look_into(last, MLD_STORE_WRITE);
        best = last > best ? last : best;
    }
    KIT_CHECK(best > 0);
}

/* Full disk: writes over 64 KiB above the file's size fail with EFBIG. */
MLD_TEST(store_kill__full_disk)
{
    struct mld_store *s;
    struct mld_store_run run = {.hostname = "box"};
    struct mld_store_result r;
    char run_id[37];
    enum { MANY = 400000 };
    uint64_t *samples = mld_alloc(MANY * sizeof *samples);
    KIT_CHECK(samples != NULL);
    for (size_t i = 0; i < MANY; i++)
        samples[i] = (uint64_t)rand();
    int fds[2];
    KIT_CHECK(pipe(fds) == 0);
    pid_t pid = fork();
    KIT_CHECK(pid >= 0);
    if (pid == 0) {
        struct mld_error err = {0};
        signal(SIGXFSZ, SIG_IGN);
        if (mld_store_open(DB, MLD_STORE_WRITE, &s, NULL) != 0 ||
            mld_store_begin_run(s, &run, run_id, NULL) != 0)
            _exit(1);
        fill(&r, run_id, samples, 1000);
        if (mld_store_add_result(s, &r, NULL, NULL) != 0)
            _exit(2);
        struct rlimit limit = {(rlim_t)mld_file_size(DB) + 65536, RLIM_INFINITY};
        if (setrlimit(RLIMIT_FSIZE, &limit) != 0)
            _exit(3);
        fill(&r, run_id, samples, MANY);
        int rc = mld_store_add_result(s, &r, NULL, &err);
        if (write(fds[1], &err, sizeof err) != (ssize_t)sizeof err)
            _exit(4);
        mld_store_close(s);
        _exit(rc == 0 ? 5 : 0);
    }
    struct mld_error err;
    int status;
    close(fds[1]);
    KIT_EQ_INT(read(fds[0], &err, sizeof err), sizeof err);
    KIT_EQ_INT(waitpid(pid, &status, 0), pid);
    KIT_EQ_INT(status, 0);
    printf("%s\n", err.message);
    KIT_EQ_INT(err.code, MLD_E_IO);
    KIT_CONTAINS(err.message, DB);
    mld_free(samples);
    KIT_OK(mld_store_open(DB, MLD_STORE_WRITE, &s, &kit_err));
    KIT_EQ_INT(ask(s, "SELECT count(*) FROM results"), 1);
    KIT_EQ_INT(ask(s, "SELECT count(*) FROM samples"), 1000);
    mld_store_close(s);
}
