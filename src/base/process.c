/* process.c: fork and exec with pipes, limits, and a group that is killed as a whole.
 *
 * The parent may have threads (engines, the database), so all that allocates happens
 * before the fork, and the child calls only async-signal-safe functions up to execve. A
 * failing execve comes back through a pipe that a successful one closes. */
#define _GNU_SOURCE /* environ, pipe2, prctl, syscall beside POSIX */
#include "base/process.h"

#include "base/alloc.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define EVENT_FD 3 /* the child's end of the event pipe */
#define EXEC_FD  4 /* closed by a successful execve */
#define FIRST_FD                                                                         \
    16 /* descriptors for the child wait here, clear of the numbers above                \
        */

/* What the child needs after the fork; all of it made before. */
struct process_plan {
    char *const *argv;
    char **env;
    int stdin_fd, output_fd, event_fd, exec_fd; /* output_fd -1: inherit */
    rlim_t data_limit;
    pid_t parent;
    sigset_t mask; /* the parent's, before it blocked everything */
};

static void process_close(int *fd)
{
    if (*fd >= 0)
        (void)close(*fd);
    *fd = -1;
}

/* The name of a NAME=VALUE equals that of another. */
static bool process_same_name(const char *a, const char *b)
{
    const size_t n = strcspn(a, "=");
    return strcspn(b, "=") == n && memcmp(a, b, n) == 0;
}

/* environ with `extra` put over it; the strings are borrowed. NULL: no memory. */
static char **process_env(const char *const *extra)
{
    size_t n = 0, m = 0;
    while (environ != NULL && environ[n] != NULL)
        n++;
    while (extra != NULL && extra[m] != NULL)
        m++;
    char **env = mld_calloc(n + m + 1, sizeof(*env));
    if (env == NULL)
        return NULL;
    size_t count = 0;
    for (size_t i = 0; i < n; i++) {
        bool replaced = false;
        for (size_t j = 0; j < m; j++)
            replaced = replaced || process_same_name(environ[i], extra[j]);
        if (!replaced)
            env[count++] = environ[i];
    }
    for (size_t j = 0; j < m; j++)
        memcpy(&env[count++], &extra[j],
               sizeof(*env)); /* execve takes char *, only reads */
    return env;
}

/* A pipe whose end `child_end` (0 reads, 1 writes) lies at FIRST_FD or above. */
static int process_pipe(int fds[2], int child_end)
{
    if (pipe2(fds, O_CLOEXEC) != 0) {
        fds[0] = fds[1] = -1;
        return -1;
    }
    const int moved = fcntl(fds[child_end], F_DUPFD_CLOEXEC, FIRST_FD);
    if (moved < 0)
        return -1;
    (void)close(fds[child_end]);
    fds[child_end] = moved;
    return 0;
}

/* Closes all descriptors from `first` on. */
static void process_close_from(int first)
{
#ifdef SYS_close_range
    if (syscall(SYS_close_range, (unsigned)first, ~0u, 0u) == 0)
        return;
#endif
    struct rlimit files;
    int end = 1024;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < 1u << 20)
        end = (int)files.rlim_cur;
    for (int fd = first; fd < end; fd++)
        (void)close(fd);
}

/* The child: async-signal-safe only. Does not return. */
static void process_child(const struct process_plan *plan)
{
    (void)setpgid(0, 0);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != plan->parent) /* it died before the line above */
        _exit(127);

    bool ok = dup2(plan->stdin_fd, STDIN_FILENO) >= 0;
    if (plan->output_fd >= 0)
        ok = ok && dup2(plan->output_fd, STDOUT_FILENO) >= 0 &&
             dup2(plan->output_fd, STDERR_FILENO) >= 0;
    ok = ok && dup2(plan->event_fd, EVENT_FD) >= 0 && dup2(plan->exec_fd, EXEC_FD) >= 0 &&
         fcntl(EXEC_FD, F_SETFD, FD_CLOEXEC) == 0;
    if (ok && plan->data_limit != 0) {
        const struct rlimit limit = {plan->data_limit, plan->data_limit};
        ok = setrlimit(RLIMIT_DATA, &limit) == 0;
    }
    if (ok) {
        process_close_from(EXEC_FD + 1);
        /* Handlers go with execve, ignored signals and the mask would stay. */
        for (int s = 1; s < NSIG; s++)
            if (s != SIGKILL && s != SIGSTOP)
                (void)signal(s, SIG_DFL);
        (void)sigprocmask(SIG_SETMASK, &plan->mask, NULL);
        (void)execve(plan->argv[0], plan->argv, plan->env);
    }
    const int error = errno;
    ssize_t put = write(ok ? EXEC_FD : plan->exec_fd, &error, sizeof(error));
    (void)put;
    _exit(127);
}

int mld_process_start(const struct mld_process_params *params, struct mld_process *out,
                      struct mld_error *err)
{
    *out = (struct mld_process){.out_fd = -1, .err_fd = -1, .in_fd = -1};
    const char *program = params->argv[0];
    int in[2] = {-1, -1}, output[2] = {-1, -1}, event[2] = {-1, -1}, exec[2] = {-1, -1};
    int error = 0;

    struct process_plan plan = {.parent = getpid(),
                                .data_limit = params->data_limit_bytes};
    memcpy(&plan.argv, &params->argv, sizeof(plan.argv)); /* execve takes char *, reads */
    plan.env = process_env(params->env);
    if (plan.env == NULL)
        return mld_error_set(err, MLD_E_NO_MEMORY, "out of memory to start '%s'",
                             program);

    if (params->pipe_stdin) {
        error = process_pipe(in, 0) != 0 ? errno : 0;
    } else {
        in[0] = open("/dev/null", O_RDONLY | O_CLOEXEC);
        error = in[0] < 0 ? errno : 0;
    }
    if (error == 0 && params->capture_stderr && process_pipe(output, 1) != 0)
        error = errno;
    if (error == 0 && (process_pipe(event, 1) != 0 || process_pipe(exec, 1) != 0))
        error = errno;
    if (error != 0)
        goto fail;

    plan.stdin_fd = in[0];
    plan.output_fd = output[1];
    plan.event_fd = event[1];
    plan.exec_fd = exec[1];
    /* No signal handler of ours may run in the child. */
    sigset_t all;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &plan.mask);
    const pid_t pid = fork();
    if (pid == 0)
        process_child(&plan);
    error = pid < 0 ? errno : 0;
    (void)pthread_sigmask(SIG_SETMASK, &plan.mask, NULL);
    if (error != 0)
        goto fail;

    (void)setpgid(pid, pid); /* the child does it too: whoever comes first */
    process_close(&in[0]);
    process_close(&output[1]);
    process_close(&event[1]);
    process_close(&exec[1]);
    ssize_t got;
    do {
        got = read(exec[0], &error, sizeof(error));
    } while (got < 0 && errno == EINTR);
    if (got == (ssize_t)sizeof(error)) {
        while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
            continue;
        goto fail;
    }
    process_close(&exec[0]);
    mld_free(plan.env);
    out->pid = pid;
    out->in_fd = in[1];
    out->out_fd = event[0];
    out->err_fd = output[0];
    return MLD_OK;

fail:
    for (int i = 0; i < 2; i++) {
        process_close(&in[i]);
        process_close(&output[i]);
        process_close(&event[i]);
        process_close(&exec[i]);
    }
    mld_free(plan.env);
    return mld_error_set(err, error == ENOENT ? MLD_E_NOT_FOUND : MLD_E_IO,
                         "cannot start '%s': %s", program, strerror(error));
}

/* Ends what is left of the group while the zombie still holds its number, then reaps. */
static void process_reap(struct mld_process *p)
{
    (void)kill(-p->pid, SIGKILL);
    pid_t got;
    do {
        got = waitpid(p->pid, &p->status, 0);
    } while (got < 0 && errno == EINTR);
    if (got < 0)
        p->status = 0;
    p->reaped = true;
}

/* Waits for the end without reaping; false: it still runs (only with WNOHANG). */
static bool process_ended(const struct mld_process *p, int flags)
{
    siginfo_t info = {0};
    int rc;
    do {
        rc = waitid(P_PID, (id_t)p->pid, &info, WEXITED | WNOWAIT | flags);
    } while (rc != 0 && errno == EINTR);
    return rc != 0 || info.si_pid != 0; /* an error: there is no such child any more */
}

bool mld_process_poll(struct mld_process *p)
{
    if (p->pid == 0 || p->reaped)
        return true;
    if (!process_ended(p, WNOHANG))
        return false;
    process_reap(p);
    return true;
}

void mld_process_wait(struct mld_process *p)
{
    if (p->pid == 0 || p->reaped)
        return;
    (void)process_ended(p, 0);
    process_reap(p);
}

void mld_process_kill(struct mld_process *p)
{
    if (p->pid == 0 || p->reaped)
        return;
    process_reap(p);
}

void mld_process_release(struct mld_process *p)
{
    if (p == NULL || p->pid == 0)
        return;
    mld_process_kill(p);
    process_close(&p->out_fd);
    process_close(&p->err_fd);
    process_close(&p->in_fd);
    p->pid = 0;
}

const char *mld_process_outcome(const struct mld_process *p, char *buf, size_t n)
{
    if (p->pid == 0)
        (void)snprintf(buf, n, "not started");
    else if (!p->reaped)
        (void)snprintf(buf, n, "still running");
    else if (WIFSIGNALED(p->status))
        (void)snprintf(buf, n, "killed by signal %d (%s)", WTERMSIG(p->status),
                       strsignal(WTERMSIG(p->status)));
    else
        (void)snprintf(buf, n, "exited with %d", WEXITSTATUS(p->status));
    return buf;
}
