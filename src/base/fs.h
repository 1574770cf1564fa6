/* fs.h: files and folders. Paths are UTF-8 bytes; results are freed by mld_free. */
#ifndef MLD_BASE_FS_H
#define MLD_BASE_FS_H

#include "mldyno/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

char *mld_path_join(const char *dir, const char *name); /* NULL: no memory */
const char *mld_path_base(const char *path);            /* points into path */
bool mld_path_exists(const char *path);
bool mld_path_is_dir(const char *path);
bool mld_path_is_file(const char *path);
int64_t mld_file_size(const char *path); /* -1 when not a readable regular file */

/* Whole file, NUL-terminated, at most max_bytes (else MLD_E_TOO_LARGE). */
int mld_file_read(const char *path, size_t max_bytes, char **data, size_t *n,
                  struct mld_error *err) MLD_MUST_CHECK;
/* Writes to a temporary beside path, then renames: whole or not at all. */
int mld_file_write(const char *path, const void *data, size_t n,
                   struct mld_error *err) MLD_MUST_CHECK;
int mld_mkdirs(const char *path, struct mld_error *err) MLD_MUST_CHECK;
int mld_remove_tree(const char *path, struct mld_error *err); /* absent is fine */
/* Sorted names of a folder without . and ..; freed by mld_names_free. */
int mld_dir_list(const char *path, char ***names, size_t *n,
                 struct mld_error *err) MLD_MUST_CHECK;
void mld_names_free(char **names, size_t n);
/* $XDG_CACHE_HOME/mldyno, else $HOME/.cache/mldyno, else /tmp/mldyno-UID. */
char *mld_cache_home(void);
/* Absolute path of the running program; NULL when unknown. */
char *mld_self_path(void);

#endif
