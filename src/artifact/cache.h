/* cache.h: folders named by a key under one root, shared by processes without a server.
 *
 * Each entry KEY has a lock file KEY.lock beside it: users hold it shared, its builder or
 * remover exclusively (flock, which the kernel drops when a process dies). artifact.h
 * shows the layout. Nothing here knows what an entry holds. */
#ifndef MLD_ARTIFACT_CACHE_H
#define MLD_ARTIFACT_CACHE_H

#include "mldyno/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mld_cache {
    char *root;         /* the folder of the entries */
    uint64_t max_bytes; /* of all entries together */
};

/* Makes root/artifacts when it is absent. root NULL: mld_cache_home(); max_bytes 0:
 * $MLDYNO_CACHE_SIZE, else 20 GiB. */
int mld_cache_open(const char *root, uint64_t max_bytes, struct mld_cache *out,
                   struct mld_error *err) MLD_MUST_CHECK;
void mld_cache_release(struct mld_cache *c);

/* A held lock on an entry and its path. */
struct mld_cache_entry {
    char *dir;   /* root/KEY */
    int lock_fd; /* -1: none */
};
/* Waits for a lock on key: shared to use the entry, exclusive to build it. */
int mld_cache_lock(const struct mld_cache *c, const char *key, bool exclusive,
                   struct mld_cache_entry *out, struct mld_error *err) MLD_MUST_CHECK;
/* Notes that the entry was used now. */
void mld_cache_touch(const struct mld_cache_entry *e);
void mld_cache_unlock(struct mld_cache_entry *e);

/* A new folder to build in, of the same file system as the entries, held by a lock. */
int mld_cache_stage(const struct mld_cache *c, struct mld_cache_entry *out,
                    struct mld_error *err) MLD_MUST_CHECK;
/* Gives the staged folder the entry's name, whole and at once. The caller holds entry
 * exclusively; an incomplete folder of that name is removed first. */
int mld_cache_publish(const struct mld_cache_entry *stage,
                      const struct mld_cache_entry *entry,
                      struct mld_error *err) MLD_MUST_CHECK;
/* Removes a staged folder (if it was not published) and its lock. */
void mld_cache_discard(struct mld_cache_entry *stage);

/* Removes what dead processes left, then the entries used longest ago until `needed` more
 * bytes fit under the limit; those that a process holds stay. Returns how many entries
 * were removed; faults are none of the caller's business (the disk's own error follows).
 */
size_t mld_cache_trim(const struct mld_cache *c, uint64_t needed);

#endif
