/* program.c: starts the mldyno program as a shell would and reads what it prints.
 *
 * stdout goes to a file, so that neither side can wait for the other. */
#include "program.h"

#include "base/alloc.h"
#include "base/fs.h"
#include "base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define PROGRAM_OUTPUT_MAX ((size_t)1 << 20)

extern char **environ;

int mld_program_folder_make(char **out, struct mld_error *err)
{
    const char *root = getenv("TMPDIR");
    *out = mld_path_join(root && root[0] ? root : "/var/tmp", "mldyno-bench-XXXXXX");
    if (*out == NULL)
        return mld_error_set(err, MLD_E_NO_MEMORY, "out of memory");
    if (mkdtemp(*out) == NULL) {
        int rc = mld_error_set(err, MLD_E_IO, "cannot make '%s': %s; set TMPDIR", *out,
                               strerror(errno));
        mld_free(*out);
        *out = NULL;
        return rc;
    }
    return 0;
}

void mld_program_folder_remove(char *folder)
{
    if (folder != NULL)
        mld_remove_tree(folder, NULL);
    mld_free(folder);
}

/* execve takes char *const *, and only reads. */
static char *const *program_argv(const char *const *argv)
{
    char *const *out;
    memcpy(&out, &argv, sizeof(out));
    return out;
}

static int program_spawn(const char *const *argv, const char *output, int err_fd,
                         pid_t *pid)
{
    posix_spawn_file_actions_t actions;
    int error = posix_spawn_file_actions_init(&actions);
    if (error != 0)
        return error;
    error = posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null",
                                             O_RDONLY, 0);
    if (error == 0)
        error = posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, output,
                                                 O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (error == 0 && err_fd >= 0)
        error = posix_spawn_file_actions_adddup2(&actions, err_fd, STDERR_FILENO);
    if (error == 0)
        error = posix_spawn(pid, argv[0], &actions, NULL, program_argv(argv), environ);
    posix_spawn_file_actions_destroy(&actions);
    return error;
}

int mld_program_start(const char *const *argv, const char *folder, int err_fd, pid_t *pid,
                      struct mld_error *err)
{
    char *cache = mld_path_join(folder, "cache"),
         *output = mld_path_join(folder, "stdout");
    int rc = 0;
    if (cache == NULL || output == NULL || setenv("XDG_CACHE_HOME", cache, 1) != 0) {
        rc = mld_error_set(err, MLD_E_NO_MEMORY, "out of memory");
    } else {
        int error = program_spawn(argv, output, err_fd, pid);
        if (error != 0)
            rc = mld_error_set(err, MLD_E_IO, "cannot start '%s': %s", argv[0],
                               strerror(error));
    }
    mld_free(cache);
    mld_free(output);
    return rc;
}

int mld_program_wait(pid_t pid, const char *program, struct mld_error *err)
{
    int status;
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return mld_error_set(err, MLD_E_IO, "cannot wait for '%s': %s", program,
                                 strerror(errno));
    if (WIFSIGNALED(status))
        return mld_error_set(err, MLD_E_ENGINE, "'%s' was killed by signal %d", program,
                             WTERMSIG(status));
    if (WEXITSTATUS(status) != 0)
        return mld_error_set(err, MLD_E_ENGINE, "'%s' exited with %d", program,
                             WEXITSTATUS(status));
    return 0;
}

int mld_program_output(const char *folder, struct mld_json **out, struct mld_error *err)
{
    *out = NULL;
    char *path = mld_path_join(folder, "stdout");
    if (path == NULL)
        return mld_error_set(err, MLD_E_NO_MEMORY, "out of memory");
    int rc = mld_json_read(path, PROGRAM_OUTPUT_MAX, out, err);
    mld_free(path);
    return rc;
}

int mld_program_run(const char *const *argv, const char *folder, struct mld_json **out,
                    struct mld_error *err)
{
    pid_t pid;
    *out = NULL;
    MLD_TRY(mld_program_start(argv, folder, -1, &pid, err));
    MLD_TRY(mld_program_wait(pid, argv[0], err));
    return mld_program_output(folder, out, err);
}

int mld_program_row(const struct mld_json *root, const struct mld_json **out,
                    struct mld_error *err)
{
    const struct mld_json *row = mld_json_at(root, 0);
    const char *status = mld_json_str(mld_json_get(row, "status"), "no row");
    if (mld_json_count(root) != 1 ||
        (!mld_streq(status, "ok") && !mld_streq(status, "mistrusted")))
        return mld_error_set(err, MLD_E_ENGINE, "mldyno measured nothing: %s (%s)",
                             status,
                             mld_json_str(mld_json_get(row, "reason"), "no reason"));
    *out = row;
    return 0;
}

double mld_program_ms(const struct mld_json *row, const char *group, const char *key)
{
    return mld_json_num(mld_json_get(mld_json_get(row, group), key), NAN);
}
