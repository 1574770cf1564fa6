/* cache.c: entries, locks and eviction of the artifact cache. */
#define _GNU_SOURCE /* flock */
#include "artifact/cache.h"

#include "base/alloc.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEFAULT_BYTES ((uint64_t)20 << 30)
#define LOCK_SUFFIX   ".lock"
#define STAGE_PREFIX  "tmp-"

static int cache_no_memory(struct mld_error *err)
{
    return mld_error_set(err, MLD_E_NO_MEMORY, "no memory for a path of the cache");
}

static int cache_limit(uint64_t asked, uint64_t *out, struct mld_error *err)
{
    const char *env = getenv("MLDYNO_CACHE_SIZE");

    *out = asked ? asked : DEFAULT_BYTES;
    if (asked || !env || !*env)
        return 0;
    if (!mld_parse_size(env, out))
        return mld_error_set(err, MLD_E_INVALID,
                             "MLDYNO_CACHE_SIZE: '%s' is no size such as 8G or 500M",
                             env);
    return 0;
}

int mld_cache_open(const char *root, uint64_t max_bytes, struct mld_cache *out,
                   struct mld_error *err)
{
    char *home = NULL;
    int rc;

    *out = (struct mld_cache){0};
    MLD_TRY(cache_limit(max_bytes, &out->max_bytes, err));
    if (!root && !(root = home = mld_cache_home()))
        return cache_no_memory(err);
    out->root = mld_path_join(root, "artifacts");
    mld_free(home);
    if (!out->root)
        return cache_no_memory(err);
    rc = mld_mkdirs(out->root, err);
    if (rc == 0 && access(out->root, W_OK) != 0)
        rc = mld_error_set(err, MLD_E_IO, "cannot write into '%s': %s", out->root,
                           strerror(errno));
    if (rc != 0) {
        mld_error_context(err, "no cache (XDG_CACHE_HOME names another place for it)");
        mld_cache_release(out);
    }
    return rc;
}

void mld_cache_release(struct mld_cache *c)
{
    mld_free(c->root);
    c->root = NULL;
}

/* --- locks ------------------------------------------------------------------------ */

/* Is fd still the file that path names? A remover unlinks the lock file it holds, and who
 * waited for that lock would hold a file that nobody else can find. */
static bool lock_is_current(int fd, const char *path)
{
    struct stat a, b;

    return fstat(fd, &a) == 0 && stat(path, &b) == 0 && a.st_ino == b.st_ino &&
           a.st_dev == b.st_dev;
}

/* Opens and locks path; operation is LOCK_SH or LOCK_EX, with LOCK_NB or not. Returns the
 * descriptor, or -1 with errno. */
static int lock_take(const char *path, int operation)
{
    for (;;) {
        const int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
        int fault;

        if (fd < 0)
            return -1;
        while ((fault = flock(fd, operation)) != 0 && errno == EINTR)
            ;
        if (fault == 0 && lock_is_current(fd, path))
            return fd;
        fault = fault != 0 ? errno : 0;
        close(fd);
        if (fault != 0) {
            errno = fault;
            return -1;
        }
    }
}

static char *lock_path(const char *dir)
{
    const size_t n = strlen(dir) + sizeof(LOCK_SUFFIX);
    char *path = mld_alloc(n);

    if (path)
        snprintf(path, n, "%s%s", dir, LOCK_SUFFIX);
    return path;
}

int mld_cache_lock(const struct mld_cache *c, const char *key, bool exclusive,
                   struct mld_cache_entry *out, struct mld_error *err)
{
    char *path = NULL;
    int rc = 0;

    out->lock_fd = -1;
    out->dir = mld_path_join(c->root, key);
    if (!out->dir || !(path = lock_path(out->dir)))
        rc = cache_no_memory(err);
    else if ((out->lock_fd = lock_take(path, exclusive ? LOCK_EX : LOCK_SH)) < 0)
        rc = mld_error_set(err, MLD_E_IO, "cannot lock '%s': %s", path, strerror(errno));
    mld_free(path);
    if (rc != 0)
        mld_cache_unlock(out);
    return rc;
}

void mld_cache_touch(const struct mld_cache_entry *e)
{
    /* Without the right to change it the entry only looks older than it is. */
    if (e->lock_fd >= 0 && futimens(e->lock_fd, NULL) != 0)
        mld_log(MLD_LOG_DEBUG, "cannot note the use of '%s': %s", e->dir,
                strerror(errno));
}

void mld_cache_unlock(struct mld_cache_entry *e)
{
    if (e->dir && e->lock_fd >= 0)
        close(e->lock_fd);
    mld_free(e->dir);
    e->dir = NULL;
    e->lock_fd = -1;
}

/* --- building --------------------------------------------------------------------- */

int mld_cache_stage(const struct mld_cache *c, struct mld_cache_entry *out,
                    struct mld_error *err)
{
    static unsigned serial; /* several stages of one process get names of their own */
    char name[64], *path;

    for (int tries = 0; tries < 1000; tries++) {
        snprintf(name, sizeof(name), STAGE_PREFIX "%ld-%u", (long)getpid(), serial++);
        out->dir = mld_path_join(c->root, name);
        path = out->dir ? lock_path(out->dir) : NULL;
        if (!path) {
            mld_free(out->dir);
            out->dir = NULL;
            return cache_no_memory(err);
        }
        /* Taken: another machine's process with our number on a shared folder. */
        out->lock_fd = lock_take(path, LOCK_EX | LOCK_NB);
        if (out->lock_fd >= 0 && mkdir(out->dir, 0777) == 0) {
            mld_free(path);
            return 0;
        }
        if (errno != EWOULDBLOCK && errno != EEXIST) {
            mld_error_set(err, MLD_E_IO, "cannot make folder '%s': %s", out->dir,
                          strerror(errno));
            if (out->lock_fd >= 0)
                unlink(path);
            mld_free(path);
            mld_cache_unlock(out);
            return MLD_E_IO;
        }
        mld_free(path);
        mld_cache_unlock(out);
    }
    return mld_error_set(err, MLD_E_IO, "cannot make a folder in '%s'", c->root);
}

int mld_cache_publish(const struct mld_cache_entry *stage,
                      const struct mld_cache_entry *entry, struct mld_error *err)
{
    if (rename(stage->dir, entry->dir) == 0)
        return 0;
    if (errno == EEXIST || errno == ENOTEMPTY) { /* a damaged one: its users are gone */
        MLD_TRY(mld_remove_tree(entry->dir, err));
        if (rename(stage->dir, entry->dir) == 0)
            return 0;
    }
    return mld_error_set(err, MLD_E_IO, "cannot rename '%s' to '%s': %s", stage->dir,
                         entry->dir, strerror(errno));
}

/* Removes a folder and its lock file; the caller holds the lock exclusively. */
static void entry_remove(const char *dir)
{
    char *path = lock_path(dir);

    mld_remove_tree(dir, NULL);
    if (path)
        unlink(path);
    mld_free(path);
}

void mld_cache_discard(struct mld_cache_entry *stage)
{
    if (stage->dir)
        entry_remove(stage->dir);
    mld_cache_unlock(stage);
}

/* --- eviction --------------------------------------------------------------------- */

struct aged {
    char *dir;
    uint64_t bytes;
    struct timespec used;
};

static int compare_used(const void *a, const void *b)
{
    const struct aged *x = a, *y = b;

    if (x->used.tv_sec != y->used.tv_sec)
        return x->used.tv_sec < y->used.tv_sec ? -1 : 1;
    return x->used.tv_nsec < y->used.tv_nsec ? -1 : x->used.tv_nsec > y->used.tv_nsec;
}

/* Bytes of the files of an entry, and its folder's time where there is no lock file. */
static bool aged_look(struct aged *out)
{
    char **names = NULL, *lock;
    struct stat st;
    size_t n = 0;

    if (stat(out->dir, &st) != 0 || !S_ISDIR(st.st_mode) ||
        mld_dir_list(out->dir, &names, &n, NULL) != 0)
        return false;
    out->used = st.st_mtim;
    for (size_t i = 0; i < n; i++) {
        char *path = mld_path_join(out->dir, names[i]);
        if (path && stat(path, &st) == 0)
            out->bytes += (uint64_t)st.st_size;
        mld_free(path);
    }
    mld_names_free(names, n);
    lock = lock_path(out->dir);
    if (lock && stat(lock, &st) == 0)
        out->used = st.st_mtim;
    mld_free(lock);
    return true;
}

/* Is this the lock of an entry that is not there (its builder failed, say)? */
static bool lock_is_orphan(const char *path)
{
    char *dir = mld_strndup(path, strlen(path) - strlen(LOCK_SUFFIX));
    const bool orphan = dir && !mld_path_exists(dir);

    mld_free(dir);
    return orphan;
}

static void evict_orphan(const char *path)
{
    const int fd = lock_is_orphan(path) ? lock_take(path, LOCK_EX | LOCK_NB) : -1;

    if (fd >= 0) {
        if (lock_is_orphan(path)) /* still, now that nobody else can build it */
            unlink(path);
        close(fd);
    }
}

/* Removes dir when nobody holds it. */
static bool evict(const char *dir)
{
    char *path = lock_path(dir);
    const int fd = path ? lock_take(path, LOCK_EX | LOCK_NB) : -1;

    if (fd >= 0) {
        entry_remove(dir);
        close(fd);
    }
    mld_free(path);
    return fd >= 0;
}

size_t mld_cache_trim(const struct mld_cache *c, uint64_t needed)
{
    char **names = NULL;
    size_t n = 0, count = 0, removed = 0;
    struct aged *entries;
    uint64_t total = needed;

    if (mld_dir_list(c->root, &names, &n, NULL) != 0)
        return 0;
    entries = mld_calloc(n + 1, sizeof(*entries));
    for (size_t i = 0; entries && i < n; i++) {
        struct aged *e = &entries[count];

        *e = (struct aged){.dir = mld_path_join(c->root, names[i])};
        if (e->dir && mld_str_ends(names[i], LOCK_SUFFIX))
            evict_orphan(e->dir);
        else if (e->dir && mld_str_starts(names[i], STAGE_PREFIX) && evict(e->dir)) {
            mld_log(MLD_LOG_DEBUG, "removed '%s', which a dead process left", e->dir);
        } else if (e->dir && aged_look(e)) {
            total += e->bytes;
            count++;
            continue;
        }
        mld_free(e->dir);
    }
    mld_names_free(names, n);
    if (entries)
        qsort(entries, count, sizeof(*entries), compare_used);
    for (size_t i = 0; i < count; i++) {
        if (total > c->max_bytes && evict(entries[i].dir)) {
            mld_log(MLD_LOG_DEBUG, "removed '%s' (%" PRIu64 " bytes) from the cache",
                    entries[i].dir, entries[i].bytes);
            total -= entries[i].bytes;
            removed++;
        }
        mld_free(entries[i].dir);
    }
    mld_free(entries);
    return removed;
}
