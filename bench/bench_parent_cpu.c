/* bench_parent_cpu.c: how much of a core the parent process uses while its worker
 * measures bert-base.
 *
 *   bench_parent_cpu [SECONDS]        of measuring; default: 9
 *
 * The parent's CPU clock (all its threads, no children) is read ten times a second from
 * outside; the figure is its slope over the steady phase, which the row tells afterwards.
 * Progress goes to a terminal (a pseudo one) and the row to a database, as for a user. */
#define _XOPEN_SOURCE 700 /* posix_openpt and friends */
#include "base/alloc.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/str.h"
#include "program.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    PARENT_SECONDS = 9,
    PARENT_POLL_MS = 100,
    PARENT_READINGS_MAX = 12000, /* 20 minutes */
    PARENT_MARGIN_MS = 500,      /* kept from both ends of the steady phase */
    PARENT_WINDOW_MS = 4000      /* at least so much of it is needed */
};

struct parent_reading {
    uint64_t wall_ns, cpu_ns;
};

struct parent_watch {
    pid_t pid;
    clockid_t cpu_clock;
    int terminal;            /* our end */
    uint64_t worker_seen_ns; /* when the first child was there; 0: not yet */
    struct parent_reading *readings;
    size_t count;
};

/* A pseudo terminal; *other is the end for the program. */
static int parent_terminal(int *ours, int *other, struct mld_error *err)
{
    *other = -1;
    *ours = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (*ours >= 0 && grantpt(*ours) == 0 && unlockpt(*ours) == 0) {
        const char *name = ptsname(*ours);
        if (name != NULL)
            *other = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
    }
    if (*other < 0 || fcntl(*ours, F_SETFL, O_NONBLOCK) != 0)
        return mld_error_set(err, MLD_E_IO, "cannot open a pseudo terminal: %s",
                             strerror(errno));
    return 0;
}

/* Parent of process `pid`, from the fields after the name in /proc/PID/stat; -1: gone. */
static long parent_of(const char *pid)
{
    char path[64], text[512];
    long parent = -1;
    snprintf(path, sizeof(path), "/proc/%s/stat", pid);
    FILE *f = fopen(path, "r");
    if (f == NULL)
        return -1;
    const size_t n = fread(text, 1, sizeof(text) - 1, f);
    text[n] = '\0';
    const char *after = strrchr(text, ')'); /* the name may hold anything */
    if (after == NULL || sscanf(after + 1, " %*c %ld", &parent) != 1)
        parent = -1;
    fclose(f);
    return parent;
}

static bool parent_has_child(pid_t pid)
{
    char **names = NULL;
    size_t n = 0;
    bool found = false;
    if (mld_dir_list("/proc", &names, &n, NULL) != 0)
        return false;
    for (size_t i = 0; i < n && !found; i++)
        found = isdigit((unsigned char)names[i][0]) && parent_of(names[i]) == (long)pid;
    mld_names_free(names, n);
    return found;
}

/* Reads the terminal away and waits for the next reading. */
static void parent_drain(int terminal)
{
    char text[4096];
    while (read(terminal, text, sizeof(text)) > 0)
        ;
    struct timespec pause = {0, PARENT_POLL_MS * 1000000L};
    nanosleep(&pause, NULL);
}

/* Takes readings until the program has ended. */
static int parent_follow(struct parent_watch *w, struct mld_error *err)
{
    const struct mld_clock *clock = mld_clock_real();
    siginfo_t ended = {0};
    int error = clock_getcpuclockid(w->pid, &w->cpu_clock);
    if (error != 0)
        return mld_error_set(err, MLD_E_UNSUPPORTED,
                             "cannot read the CPU clock of %ld: %s", (long)w->pid,
                             strerror(error));
    while (waitid(P_PID, (id_t)w->pid, &ended, WEXITED | WNOHANG | WNOWAIT) == 0 &&
           ended.si_pid == 0) {
        struct timespec cpu;
        if (w->worker_seen_ns == 0 && parent_has_child(w->pid))
            w->worker_seen_ns = mld_now_ns(clock);
        if (w->count < PARENT_READINGS_MAX && clock_gettime(w->cpu_clock, &cpu) == 0)
            w->readings[w->count++] = (struct parent_reading){
                mld_now_ns(clock),
                (uint64_t)cpu.tv_sec * 1000000000u + (uint64_t)cpu.tv_nsec};
        parent_drain(w->terminal);
    }
    return 0;
}

/* The slope inside the steady phase, which begins when the worker has started, loaded,
 * run once and warmed up. */
static int parent_share(const struct parent_watch *w, const struct mld_json *row,
                        struct mld_error *err)
{
    static const char *const before[] = {"startup", "load", "first_run", "warmup"};
    double begin_ms = PARENT_MARGIN_MS,
           steady_ms = mld_program_ms(row, "phases_ms", "steady");
    for (size_t i = 0; i < sizeof(before) / sizeof(before[0]); i++)
        begin_ms += mld_program_ms(row, "phases_ms", before[i]);
    const double end_ms = begin_ms + steady_ms - 2 * PARENT_MARGIN_MS;
    if (isnan(end_ms) || w->worker_seen_ns == 0)
        return mld_error_set(err, MLD_E_ENGINE,
                             "the row lacks a phase, or no worker ran");

    const struct parent_reading *first = NULL, *last = NULL;
    for (size_t i = 0; i < w->count; i++) {
        const struct parent_reading *r = &w->readings[i];
        if (r->wall_ns < w->worker_seen_ns)
            continue;
        const double at_ms = (double)(r->wall_ns - w->worker_seen_ns) / 1e6;
        if (at_ms < begin_ms || at_ms > end_ms)
            continue;
        first = first ? first : r;
        last = r;
    }
    const double wall_ns = first ? (double)(last->wall_ns - first->wall_ns) : 0.0;
    if (wall_ns < PARENT_WINDOW_MS * 1e6)
        return mld_error_set(
            err, MLD_E_ENGINE,
            "only %.1f s of the steady phase were seen, at least %.1f are "
            "needed: give more seconds",
            wall_ns / 1e9, PARENT_WINDOW_MS / 1e3);
    const double cpu_ns = (double)(last->cpu_ns - first->cpu_ns);
    printf("# %.2f ms of CPU in %.1f s of the steady phase\n", cpu_ns / 1e6,
           wall_ns / 1e9);
    printf("parent_cpu_percent %.3f\n", 100.0 * cpu_ns / wall_ns);
    return 0;
}

static int parent_measure(int64_t seconds, const char *folder, struct parent_watch *w,
                          struct mld_error *err)
{
    char min_time[32], max_time[32];
    char *db = mld_path_join(folder, "bench.duckdb");
    const struct mld_json *row;
    struct mld_json *root = NULL;
    int other = -1;
    snprintf(min_time, sizeof(min_time), "%llds", (long long)seconds);
    snprintf(max_time, sizeof(max_time), "%llds", (long long)seconds + 1);
    const char *const argv[] = {MLD_PROGRAM,      "run",    "--model",    "bert",
                                "--batch-size",   "1",      "--warmup",   "0",
                                "--target-width", "1",      "--min-time", min_time,
                                "--max-time",     max_time, "--db-path",  db,
                                "--format",       "json",   NULL};

    int rc = db ? 0 : mld_error_set(err, MLD_E_NO_MEMORY, "out of memory");
    if (rc == 0)
        rc = parent_terminal(&w->terminal, &other, err);
    if (rc == 0)
        rc = mld_program_start(argv, folder, other, &w->pid, err);
    if (rc == 0) {
        int followed = parent_follow(w, err);
        rc = mld_program_wait(w->pid, argv[0], followed ? NULL : err);
        rc = followed ? followed : rc;
    }
    if (rc == 0)
        rc = mld_program_output(folder, &root, err);
    if (rc == 0)
        rc = mld_program_row(root, &row, err);
    if (rc == 0)
        rc = parent_share(w, row, err);
    mld_json_free(root);
    if (other >= 0)
        close(other);
    if (w->terminal >= 0)
        close(w->terminal);
    mld_free(db);
    return rc;
}

int main(int argc, char **argv)
{
    int64_t seconds = PARENT_SECONDS;
    if (argc > 2 || (argc > 1 && (!mld_parse_i64(argv[1], &seconds) || seconds < 1 ||
                                  seconds > 600))) {
        fprintf(stderr, "usage: bench_parent_cpu [SECONDS]\n");
        return 2;
    }
    struct mld_error err = {0};
    struct parent_watch w = {.terminal = -1};
    char *folder = NULL;
    w.readings = mld_calloc(PARENT_READINGS_MAX, sizeof(*w.readings));
    int rc = w.readings ? mld_program_folder_make(&folder, &err)
                        : mld_error_set(&err, MLD_E_NO_MEMORY, "out of memory");
    if (rc == 0)
        rc = parent_measure(seconds, folder, &w, &err);
    if (rc != 0)
        fprintf(stderr, "bench_parent_cpu: %s\n", err.message);
    mld_program_folder_remove(folder);
    mld_free(w.readings);
    return mld_error_exit(rc);
}
