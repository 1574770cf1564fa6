/* test_base_process.c: child programs: pipes, environment, limits, ends of all kinds. The
 * children are scripts for /bin/sh, which end by themselves or are killed with their
 * group. */
#include "base/alloc.h"
#include "base/fs.h"
#include "base/process.h"
#include "base/str.h"
#include "kit/kit.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void start_with(struct mld_process *p, struct mld_process_params params,
                       const char *script)
{
    const char *const argv[] = {"/bin/sh", "-c", script, NULL};
    params.argv = argv;
    KIT_OK(mld_process_start(&params, p, &kit_err));
}

/* All that comes from fd up to its end, NUL-terminated. */
static char *drain(int fd)
{
    static char text[100000];
    size_t n = 0;
    ssize_t got;
    while ((got = read(fd, text + n, sizeof(text) - 1 - n)) > 0)
        n += (size_t)got;
    KIT_CHECK(got == 0);
    text[n] = '\0';
    return text;
}

static void outcome_is(const struct mld_process *p, const char *want)
{
    char text[128];
    KIT_EQ_STR(mld_process_outcome(p, text, sizeof(text)), want);
}

MLD_TEST(process__events_come_from_descriptor_3)
{
    struct mld_process p;
    start_with(&p, (struct mld_process_params){.capture_stderr = true},
               "echo event >&3; echo out; echo err >&2; exit 3");
    KIT_CHECK(p.pid > 0 && p.in_fd == -1);
    KIT_EQ_STR(drain(p.out_fd), "event\n");
    KIT_EQ_STR(drain(p.err_fd), "out\nerr\n");
    mld_process_wait(&p);
    KIT_CHECK(p.reaped);
    outcome_is(&p, "exited with 3");
    mld_process_release(&p);
    KIT_CHECK(p.pid == 0 && p.out_fd == -1 && p.err_fd == -1);
    outcome_is(&p, "not started");
    mld_process_release(&p);
    mld_process_release(NULL);
}

MLD_TEST(process__stdin_is_a_pipe_or_empty)
{
    struct mld_process p;
    start_with(&p, (struct mld_process_params){.pipe_stdin = true}, "cat >&3");
    KIT_CHECK(p.err_fd == -1);
    KIT_EQ_INT(write(p.in_fd, "to the child", 12), 12);
    KIT_CHECK(close(p.in_fd) == 0);
    p.in_fd = -1;
    KIT_EQ_STR(drain(p.out_fd), "to the child");
    mld_process_release(&p);

    start_with(&p, (struct mld_process_params){0}, "cat >&3; echo end >&3");
    KIT_EQ_STR(drain(p.out_fd), "end\n");
    mld_process_release(&p);
}

MLD_TEST(process__environment_is_put_over_ours)
{
    KIT_CHECK(setenv("KIT_KEPT", "kept", 1) == 0);
    KIT_CHECK(setenv("KIT_CHANGED", "before", 1) == 0);
    KIT_CHECK(setenv("KIT_CHANGED_NOT", "same", 1) == 0);
    static const char *const env[] = {"KIT_CHANGED=after", "KIT_NEW=a=b", NULL};
    struct mld_process p;
    start_with(&p, (struct mld_process_params){.env = env},
               "echo $KIT_KEPT $KIT_CHANGED $KIT_CHANGED_NOT $KIT_NEW >&3;"
               "env | grep -c ^KIT_CHANGED= >&3");
    KIT_EQ_STR(drain(p.out_fd), "kept after same a=b\n1\n");
    mld_process_release(&p);
    KIT_EQ_STR(getenv("KIT_CHANGED"), "before");
}

MLD_TEST(process__starting_what_is_not_there_fails_at_once)
{
    struct mld_process p;
    const char *const absent[] = {"/no/such/program", NULL};
    KIT_FAILS(
        mld_process_start(&(struct mld_process_params){.argv = absent}, &p, &kit_err),
        MLD_E_NOT_FOUND);
    KIT_EQ_STR(kit_err.message,
               "cannot start '/no/such/program': No such file or directory");
    KIT_CHECK(p.pid == 0 && p.out_fd == -1);
    KIT_CHECK(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD); /* nothing is left */
    const char *const folder[] = {"/", NULL};
    KIT_FAILS(
        mld_process_start(&(struct mld_process_params){.argv = folder}, &p, &kit_err),
        MLD_E_IO);
    KIT_OK(mld_file_write("text", "#!/no/such/shell\n", 17, &kit_err));
    const char *const text[] = {"./text", NULL};
    KIT_FAILS(mld_process_start(&(struct mld_process_params){.argv = text}, &p, &kit_err),
              MLD_E_IO); /* not executable */
}

MLD_TEST(process__failing_start_leaks_no_descriptor)
{
    const char *const absent[] = {"/no/such/program", NULL};
    struct mld_process p;
    const int before = open("/dev/null", O_RDONLY);
    for (int i = 0; i < 50; i++) {
        struct mld_process_params params = {
            .argv = absent, .capture_stderr = true, .pipe_stdin = true};
        KIT_FAILS(mld_process_start(&params, &p, NULL), MLD_E_NOT_FOUND);
    }
    for (int i = 0; i < 50; i++) {
        start_with(
            &p, (struct mld_process_params){.capture_stderr = true, .pipe_stdin = true},
            "exit 0");
        mld_process_release(&p);
    }
    const int after = open("/dev/null", O_RDONLY);
    KIT_EQ_INT(after, before + 1);
}

MLD_TEST(process__start_fails_whole_without_descriptors)
{
    struct rlimit limit;
    KIT_CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0);
    const int first = dup(0);
    for (rlim_t files = (rlim_t)first; files < (rlim_t)first + 24; files++) {
        limit.rlim_cur = files;
        KIT_CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
        struct mld_process p;
        const char *const argv[] = {"/bin/true", NULL};
        struct mld_process_params params = {
            .argv = argv, .capture_stderr = true, .pipe_stdin = true};
        const int rc = mld_process_start(&params, &p, &kit_err);
        KIT_CHECK(rc == MLD_OK || rc == MLD_E_IO);
        KIT_CHECK((rc == MLD_OK) == (p.pid != 0));
        mld_process_release(&p);
    }
}

MLD_TEST(process__other_descriptors_are_closed_in_the_child)
{
    const int low = open("/dev/null", O_RDONLY);
    const int high = fcntl(low, F_DUPFD, 200);
    KIT_CHECK(low > 2 && high >= 200);
    struct mld_process p;
    start_with(&p, (struct mld_process_params){.capture_stderr = true},
               "for f in /proc/$$/fd/*; do echo ${f##*/}; done >&3");
    /* 0, 1, 2, 3, and what the shell itself has open while it lists the folder. */
    const char *fds = drain(p.out_fd);
    KIT_CHECK(mld_str_starts(fds, "0\n1\n2\n3\n") ||
              mld_str_starts(fds, "0\n1\n10\n2\n3\n"));
    char number[16];
    (void)snprintf(number, sizeof(number), "\n%d\n", high);
    KIT_CHECK(strstr(fds, number) == NULL && strstr(fds, "\n16\n") == NULL);
    mld_process_release(&p);
}

MLD_TEST(process__signals_are_told_by_name)
{
    struct mld_process p;
    start_with(&p, (struct mld_process_params){0}, "kill -SEGV $$");
    mld_process_wait(&p);
    outcome_is(&p, "killed by signal 11 (Segmentation fault)");
    mld_process_release(&p);
    start_with(&p, (struct mld_process_params){0}, "kill -KILL $$");
    mld_process_wait(&p);
    outcome_is(&p, "killed by signal 9 (Killed)");
    mld_process_release(&p);
}

MLD_TEST(process__ignored_and_blocked_signals_are_reset)
{
    (void)signal(SIGTERM, SIG_IGN);
    sigset_t set;
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGUSR1);
    KIT_CHECK(sigprocmask(SIG_BLOCK, &set, NULL) == 0);
    struct mld_process p;
    start_with(&p, (struct mld_process_params){0}, "kill -TERM $$; exit 0");
    mld_process_wait(&p);
    outcome_is(&p, "killed by signal 15 (Terminated)");
    mld_process_release(&p);
    sigset_t now;
    KIT_CHECK(sigprocmask(SIG_BLOCK, NULL, &now) == 0);
    KIT_CHECK(sigismember(&now, SIGUSR1) == 1 && sigismember(&now, SIGTERM) == 0);
}

MLD_TEST(process__poll_tells_running_from_ended)
{
    struct mld_process p;
    start_with(&p, (struct mld_process_params){.pipe_stdin = true}, "read x; exit 7");
    KIT_CHECK(!mld_process_poll(&p));
    outcome_is(&p, "still running");
    KIT_CHECK(close(p.in_fd) == 0); /* ends its read */
    p.in_fd = -1;
    struct pollfd end = {.fd = p.out_fd, .events = POLLIN};
    KIT_CHECK(poll(&end, 1, 20000) == 1);
    while (!mld_process_poll(&p))
        (void)nanosleep(&(struct timespec){0, 1000000}, NULL);
    outcome_is(&p, "exited with 7");
    KIT_CHECK(mld_process_poll(&p)); /* and again */
    mld_process_kill(&p);
    mld_process_wait(&p);
    outcome_is(&p, "exited with 7");
    mld_process_release(&p);
}

/* The process no longer runs: it is gone, or a zombie that init has not reaped yet. */
static void wait_until_gone(int pid)
{
    char path[64];
    (void)snprintf(path, sizeof(path), "/proc/%d/stat", pid);
    for (;;) {
        FILE *f = fopen(path, "r");
        if (f == NULL)
            return;
        char line[256] = "";
        const char *got = fgets(line, sizeof(line), f);
        (void)fclose(f);
        const char *close = got != NULL ? strrchr(line, ')') : NULL;
        if (close == NULL || close[2] == 'Z' || close[2] == 'X')
            return;
        (void)nanosleep(&(struct timespec){0, 1000000}, NULL);
    }
}

static int read_pid(int fd)
{
    char text[32];
    const ssize_t n = read(fd, text, sizeof(text) - 1);
    KIT_CHECK(n > 1);
    text[n] = '\0';
    text[strcspn(text, "\n")] = '\0';
    int64_t pid;
    KIT_CHECK(mld_parse_i64(text, &pid) && pid > 1);
    return (int)pid;
}

MLD_TEST(process__kill_takes_the_whole_group)
{
    struct mld_process p;
    start_with(
        &p, (struct mld_process_params){0},
        "sh -c 'trap \"\" TERM HUP INT; while :; do sleep 1000; done' & echo $! >&3; "
        "wait");
    const int grandchild = read_pid(p.out_fd);
    KIT_CHECK(kill(grandchild, 0) == 0);
    mld_process_kill(&p);
    outcome_is(&p, "killed by signal 9 (Killed)");
    wait_until_gone(grandchild);
    mld_process_release(&p);
}

MLD_TEST(process__what_an_ended_child_left_is_killed_too)
{
    struct mld_process p;
    start_with(&p, (struct mld_process_params){0}, "sleep 1000 & echo $! >&3; exit 5");
    const int grandchild = read_pid(p.out_fd);
    mld_process_wait(&p);
    outcome_is(&p, "exited with 5");
    wait_until_gone(grandchild);
    mld_process_release(&p);
}

MLD_TEST(process__release_kills_what_runs)
{
    struct mld_process p;
    start_with(&p, (struct mld_process_params){0}, "sleep 1000");
    const pid_t pid = p.pid;
    mld_process_release(&p);
    KIT_CHECK(kill(pid, 0) == -1 && errno == ESRCH);
}

MLD_TEST(process__child_dies_with_its_parent)
{
    int fds[2];
    KIT_CHECK(pipe(fds) == 0);
    const pid_t parent = fork();
    if (parent == 0) {
        struct mld_process p;
        start_with(&p, (struct mld_process_params){0}, "echo $$ >&3; sleep 1000");
        const int pid = read_pid(p.out_fd);
        (void)dprintf(fds[1], "%d\n", pid);
        (void)raise(SIGKILL); /* no clean-up of any kind */
    }
    (void)close(fds[1]);
    const int pid = read_pid(fds[0]);
    KIT_CHECK(waitpid(parent, NULL, 0) == parent);
    wait_until_gone(pid);
}

MLD_TEST(process__is_in_its_own_group)
{
    struct mld_process p;
    start_with(&p, (struct mld_process_params){.pipe_stdin = true}, "read x");
    KIT_EQ_INT(getpgid(p.pid), p.pid);
    KIT_CHECK(getpgrp() != p.pid);
    mld_process_release(&p);
}

MLD_TEST(process__data_limit_holds)
{
    struct mld_process p;
    start_with(&p, (struct mld_process_params){.data_limit_bytes = UINT64_C(64) << 20},
               "ulimit -d >&3");
    KIT_EQ_STR(drain(p.out_fd), "65536\n"); /* KiB */
    mld_process_release(&p);
}

static int process_body(void *ctx)
{
    (void)ctx;
    static const char *const argv[] = {"/bin/true", NULL}, *const env[] = {"A=b", NULL};
    struct mld_process p;
    const int rc = mld_process_start(
        &(struct mld_process_params){.argv = argv, .env = env}, &p, &kit_err);
    mld_process_release(&p);
    return rc;
}

MLD_TEST(process__survives_every_failing_allocation)
{
    KIT_CHECK(kit_torture(process_body, NULL) >= 1);
}
