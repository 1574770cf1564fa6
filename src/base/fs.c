/* fs.c: whole-file reading and atomic writing, folders, paths.
 *
 * Trees are removed through directory descriptors and never through a symbolic link, so
 * that a folder swapped for a link meanwhile cannot lead outside. */
#include "base/fs.h"

#include "base/alloc.h"
#include "base/str.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FS_DEPTH_MAX 128 /* nested folders that mld_remove_tree follows */

static int fs_no_memory(struct mld_error *err, const char *path)
{
    return mld_error_set(err, MLD_E_NO_MEMORY, "out of memory for '%s'", path);
}

/* The code for errno: what the user named wrongly, or what the machine refuses. */
static int fs_code(int error)
{
    if (error == ENOENT || error == ENOTDIR)
        return MLD_E_NOT_FOUND;
    return error == ENOMEM ? MLD_E_NO_MEMORY : MLD_E_IO;
}

static int fs_fail(struct mld_error *err, const char *doing, const char *path, int error)
{
    return mld_error_set(err, fs_code(error), "cannot %s '%s': %s", doing, path,
                         strerror(error));
}

char *mld_path_join(const char *dir, const char *name)
{
    const size_t n = strlen(dir);
    const char *slash = n > 0 && dir[n - 1] != '/' ? "/" : "";
    const size_t size = n + strlen(slash) + strlen(name) + 1;
    char *path = mld_alloc(size);
    if (path != NULL)
        (void)snprintf(path, size, "%s%s%s", dir, slash, name);
    return path;
}

const char *mld_path_base(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

bool mld_path_exists(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0;
}

bool mld_path_is_dir(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

bool mld_path_is_file(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

int64_t mld_file_size(const char *path)
{
    struct stat st;
    if (stat(path, &st) != 0 || !S_ISREG(st.st_mode) || access(path, R_OK) != 0)
        return -1;
    return st.st_size;
}

int mld_file_read(const char *path, size_t max_bytes, char **data, size_t *n,
                  struct mld_error *err)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return fs_fail(err, "open", path, errno);

    /* The size is only a hint: pipes and /proc have none, and a file may still grow. */
    struct stat st;
    int rc = MLD_OK;
    if (fstat(fd, &st) != 0)
        rc = fs_fail(err, "read", path, errno);
    else if (S_ISDIR(st.st_mode))
        rc = mld_error_set(err, MLD_E_INVALID, "cannot read '%s': it is a folder", path);
    else if (S_ISREG(st.st_mode) && (uintmax_t)st.st_size > max_bytes)
        rc = mld_error_set(err, MLD_E_TOO_LARGE,
                           "'%s' has %jd bytes, at most %zu are read", path,
                           (intmax_t)st.st_size, max_bytes);
    if (rc != MLD_OK)
        goto out;

    size_t cap = S_ISREG(st.st_mode) ? (size_t)st.st_size : 4096;
    size_t len = 0;
    char *buf = mld_alloc(cap + 1);
    if (buf == NULL) {
        rc = fs_no_memory(err, path);
        goto out;
    }
    for (;;) {
        /* One byte more than the size is asked for, so that the end shows at once. */
        const ssize_t got = read(fd, buf + len, cap + 1 - len);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0) {
            rc = fs_fail(err, "read", path, errno);
            break;
        }
        if (got == 0)
            break;
        len += (size_t)got;
        if (len > max_bytes) {
            rc = mld_error_set(err, MLD_E_TOO_LARGE,
                               "'%s' has more than the %zu bytes that are read", path,
                               max_bytes);
            break;
        }
        if (len <= cap)
            continue;
        cap = cap < 4096 ? 4096 : cap * 2;
        char *grown = mld_realloc(buf, cap + 1);
        if (grown == NULL) {
            rc = fs_no_memory(err, path);
            break;
        }
        buf = grown;
    }
    if (rc == MLD_OK) {
        buf[len] = '\0';
        *data = buf;
        *n = len;
    } else {
        mld_free(buf);
    }
out:
    (void)close(fd);
    return rc;
}

/* Makes a rename durable. Some file systems cannot sync a folder: that is no error. */
static void fs_sync_parent(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *dir = slash == NULL
                    ? mld_strdup(".")
                    : mld_strndup(path, slash == path ? 1 : (size_t)(slash - path));
    const int fd = dir != NULL ? open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (fd >= 0) {
        (void)fsync(fd);
        (void)close(fd);
    }
    mld_free(dir);
}

static int fs_write_all(int fd, const char *data, size_t n)
{
    while (n > 0) {
        const ssize_t put = write(fd, data, n);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return errno;
        data += put;
        n -= (size_t)put;
    }
    return 0;
}

/* A new file beside path with a name that no other process or thread takes; its mode is
 * that of any new file (mkstemp would make it 0600). The name is written to temp. */
static int fs_open_temp(const char *path, char *temp, size_t size)
{
    static atomic_uint serial;
    for (int attempt = 0; attempt < 100; attempt++) {
        const unsigned number =
            atomic_fetch_add_explicit(&serial, 1, memory_order_relaxed);
        (void)snprintf(temp, size, "%s.%ld-%u.tmp", path, (long)getpid(), number);
        const int fd = open(temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (fd >= 0 || errno != EEXIST)
            return fd;
    }
    return -1;
}

int mld_file_write(const char *path, const void *data, size_t n, struct mld_error *err)
{
    const size_t size = strlen(path) + 48; /* ".PID-SERIAL.tmp" */
    char *temp = mld_alloc(size);
    if (temp == NULL)
        return fs_no_memory(err, path);
    const int fd = fs_open_temp(path, temp, size);
    int error = fd < 0 ? errno : 0;
    if (fd >= 0) {
        error = fs_write_all(fd, data, n);
        /* EINVAL: a file that cannot be synced, such as one of a memory file system. */
        if (error == 0 && fsync(fd) != 0 && errno != EINVAL)
            error = errno;
        if (close(fd) != 0 && error == 0)
            error = errno;
        if (error == 0 && rename(temp, path) != 0)
            error = errno;
        if (error != 0)
            (void)unlink(temp);
    }
    mld_free(temp);
    if (error != 0)
        return fs_fail(err, "write", path, error);
    fs_sync_parent(path);
    return MLD_OK;
}

int mld_mkdirs(const char *path, struct mld_error *err)
{
    if (path[0] == '\0')
        return mld_error_set(err, MLD_E_INVALID,
                             "cannot make folder '': the path is empty");
    char *part = mld_strdup(path);
    if (part == NULL)
        return fs_no_memory(err, path);
    int rc = MLD_OK;
    for (char *p = part + 1;; p++) {
        if (*p != '/' && *p != '\0')
            continue;
        const char kept = *p;
        *p = '\0';
        if (mkdir(part, 0777) != 0) {
            const int error = errno;
            if (!mld_path_is_dir(part)) {
                rc = mld_error_set(err, MLD_E_IO, "cannot make folder '%s': %s", part,
                                   error == EEXIST ? "a file is in the way"
                                                   : strerror(error));
                break;
            }
        }
        if (kept == '\0')
            break;
        *p = kept;
    }
    mld_free(part);
    return rc;
}

/* Removes what is in the folder fd (closed here). 0 or errno. */
static int fs_empty_dir(int fd, int depth)
{
    DIR *dir = depth < FS_DEPTH_MAX ? fdopendir(fd) : NULL;
    if (dir == NULL) {
        const int error = depth < FS_DEPTH_MAX ? errno : ELOOP;
        (void)close(fd);
        return error;
    }
    int error = 0;
    const struct dirent *entry;
    while (errno = 0, (entry = readdir(dir)) != NULL) {
        const char *name = entry->d_name;
        if (mld_streq(name, ".") || mld_streq(name, ".."))
            continue;
        if (unlinkat(fd, name, 0) == 0 || errno == ENOENT)
            continue;
        const int sub = openat(fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (sub < 0) {
            error = errno;
            break;
        }
        error = fs_empty_dir(sub, depth + 1);
        if (error == 0 && unlinkat(fd, name, AT_REMOVEDIR) != 0 && errno != ENOENT)
            error = errno;
        if (error != 0)
            break;
    }
    if (error == 0)
        error = errno; /* of readdir */
    (void)closedir(dir);
    return error;
}

int mld_remove_tree(const char *path, struct mld_error *err)
{
    if (unlink(path) == 0 || errno == ENOENT)
        return MLD_OK;
    if (errno != EISDIR && errno != EPERM)
        return fs_fail(err, "remove", path, errno);
    const int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return fs_fail(err, "remove", path, errno);
    const int error = fs_empty_dir(fd, 0);
    if (error != 0)
        return fs_fail(err, "remove", path, error);
    if (rmdir(path) != 0 && errno != ENOENT)
        return fs_fail(err, "remove", path, errno);
    return MLD_OK;
}

static int fs_compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

int mld_dir_list(const char *path, char ***names, size_t *n, struct mld_error *err)
{
    DIR *dir = opendir(path);
    if (dir == NULL)
        return fs_fail(err, "list", path, errno);
    char **list = NULL;
    size_t count = 0, cap = 0;
    int rc = MLD_OK;
    const struct dirent *entry;
    while (errno = 0, (entry = readdir(dir)) != NULL) {
        if (mld_streq(entry->d_name, ".") || mld_streq(entry->d_name, ".."))
            continue;
        if (count == cap) {
            const size_t want = cap == 0 ? 32 : cap * 2;
            char **grown = mld_realloc(list, want * sizeof(*grown));
            if (grown == NULL)
                break;
            list = grown;
            cap = want;
        }
        list[count] = mld_strdup(entry->d_name);
        if (list[count] == NULL)
            break;
        count++;
    }
    if (entry != NULL)
        rc = fs_no_memory(err, path);
    else if (errno != 0)
        rc = fs_fail(err, "list", path, errno);
    (void)closedir(dir);
    if (rc != MLD_OK) {
        mld_names_free(list, count);
        return rc;
    }
    if (count > 1)
        qsort(list, count, sizeof(*list), fs_compare_names);
    *names = list;
    *n = count;
    return MLD_OK;
}

void mld_names_free(char **names, size_t n)
{
    for (size_t i = 0; names != NULL && i < n; i++)
        mld_free(names[i]);
    mld_free(names);
}

char *mld_cache_home(void)
{
    /* The XDG specification: a relative path is to be ignored. */
    const char *xdg = getenv("XDG_CACHE_HOME");
    if (xdg != NULL && xdg[0] == '/')
        return mld_path_join(xdg, "mldyno");
    const char *home = getenv("HOME");
    if (home != NULL && home[0] == '/')
        return mld_path_join(home, ".cache/mldyno");
    char path[64];
    (void)snprintf(path, sizeof(path), "/tmp/mldyno-%lu", (unsigned long)getuid());
    return mld_strdup(path);
}

char *mld_self_path(void)
{
    char path[4096];
    const ssize_t n = readlink("/proc/self/exe", path, sizeof(path));
    if (n <= 0 || (size_t)n >= sizeof(path))
        return NULL;
    return mld_strndup(path, (size_t)n);
}
