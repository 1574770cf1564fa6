/* arena.h: memory that is freed at once: graphs, parsed configs, plans.
 *
 * Zero-filled is a valid empty arena. Blocks are aligned to 16 bytes and zero-filled. */
#ifndef MLD_BASE_ARENA_H
#define MLD_BASE_ARENA_H

#include "mldyno/error.h"

#include <stddef.h>

struct mld_arena_block;
struct mld_arena {
    struct mld_arena_block *head;
    size_t used_bytes, max_bytes; /* max_bytes 0: no limit */
};

void mld_arena_init(struct mld_arena *a, size_t max_bytes);
void mld_arena_release(struct mld_arena *a); /* leaves a valid empty arena */

void *mld_arena_alloc(struct mld_arena *a, size_t bytes); /* zeroed; NULL: no memory */
void *mld_arena_array(struct mld_arena *a, size_t count, size_t bytes);
char *mld_arena_strdup(struct mld_arena *a, const char *s);
char *mld_arena_strndup(struct mld_arena *a, const char *s, size_t n);
char *mld_arena_printf(struct mld_arena *a, const char *format, ...) MLD_PRINTF(2, 3);

#endif
