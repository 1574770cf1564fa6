/* program.h: the mldyno program as seen from outside, for the benches that measure it.
 *
 * Each measurement has a folder of its own with an empty artifact cache in it, under
 * $TMPDIR (default /var/tmp: a disk, as a user's cache is), and removes it. */
#ifndef MLD_BENCH_PROGRAM_H
#define MLD_BENCH_PROGRAM_H

#include "base/json.h"
#include "mldyno/error.h"

#include <sys/types.h>

/* Makes a folder; *out is freed by mld_program_folder_remove, which takes it away with
 * all that is in it (NULL is allowed). */
int mld_program_folder_make(char **out, struct mld_error *err) MLD_MUST_CHECK;
void mld_program_folder_remove(char *folder);

/* Starts argv (NULL-terminated, argv[0] a path) with XDG_CACHE_HOME inside folder and
 * stdout into the file `stdout` there. err_fd becomes its stderr; -1: inherited. */
int mld_program_start(const char *const *argv, const char *folder, int err_fd, pid_t *pid,
                      struct mld_error *err) MLD_MUST_CHECK;
/* Waits; anything but exit code 0 is a failure that names argv[0]. */
int mld_program_wait(pid_t pid, const char *program,
                     struct mld_error *err) MLD_MUST_CHECK;

/* What the program left on stdout as JSON; freed by mld_json_free. */
int mld_program_output(const char *folder, struct mld_json **out,
                       struct mld_error *err) MLD_MUST_CHECK;

/* Start, wait, output in one. */
int mld_program_run(const char *const *argv, const char *folder, struct mld_json **out,
                    struct mld_error *err) MLD_MUST_CHECK;

/* The one case of `mldyno run --format json` that was measured (status ok or mistrusted);
 * borrowed from root. Else the failure tells its status and reason. */
int mld_program_row(const struct mld_json *root, const struct mld_json **out,
                    struct mld_error *err) MLD_MUST_CHECK;
/* row[group][key] in milliseconds; NaN when unknown. */
double mld_program_ms(const struct mld_json *row, const char *group, const char *key);

#endif
