/* process.h: child processes with pipes, limits and a whole-group kill. */
#ifndef MLD_BASE_PROCESS_H
#define MLD_BASE_PROCESS_H

#include "mldyno/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct mld_process {
    pid_t pid;  /* 0: none */
    int out_fd; /* read end of the child's fd 3 (events); -1: none; blocking, as all here
                 */
    int err_fd; /* read end of the child's stderr and stdout; -1: inherited */
    int in_fd;  /* write end of the child's stdin; -1: none */
    bool reaped;
    int status; /* waitpid's, once reaped */
};

struct mld_process_params {
    const char *const *argv; /* NULL-terminated; argv[0] is a path */
    const char *const *env;  /* extra NAME=VALUE, NULL-terminated; NULL: none */
    bool capture_stderr;     /* stderr and stdout go to err_fd */
    bool pipe_stdin;
    uint64_t data_limit_bytes; /* RLIMIT_DATA; 0: none */
};

/* Starts a child in its own process group; its fd 3 is a pipe to out_fd, its stdin is
 * empty unless asked for, all other descriptors are closed, signals are as in a fresh
 * program. It dies with the thread that started it (PR_SET_PDEATHSIG of Linux): call this
 * from a thread that lives as long as the child. Fails when the program cannot be
 * executed. */
int mld_process_start(const struct mld_process_params *params, struct mld_process *out,
                      struct mld_error *err) MLD_MUST_CHECK;
/* Waits without blocking: true when the child has ended (status is set). Whatever way an
 * end is noticed, what is left of the group is killed then. */
bool mld_process_poll(struct mld_process *p);
void mld_process_wait(struct mld_process *p);
void mld_process_kill(struct mld_process *p);    /* SIGKILL to the group, then reaps */
void mld_process_release(struct mld_process *p); /* closes pipes, kills if running */
/* "exited with 3", "killed by signal 11 (Segmentation fault)". */
const char *mld_process_outcome(const struct mld_process *p, char *buf, size_t n);

#endif
