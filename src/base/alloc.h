/* alloc.h: the one seam through which mldyno allocates.
 *
 * Tests install a hook that fails the n-th allocation; a size that overflows or is larger
 * than any sane request is refused before malloc sees it. Every function returns NULL
 * when there is no memory; callers report MLD_E_NO_MEMORY. */
#ifndef MLD_BASE_ALLOC_H
#define MLD_BASE_ALLOC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

void *mld_alloc(size_t bytes);                /* uninitialised */
void *mld_calloc(size_t count, size_t bytes); /* zero-filled; checks the product */
void *mld_realloc(void *p, size_t bytes); /* p may be NULL; old block kept on failure */
void mld_free(void *p);                   /* NULL is allowed */
char *mld_strdup(const char *s);
char *mld_strndup(const char *s, size_t n);
void *mld_alloc_aligned(size_t align, size_t bytes); /* power of two; freed by mld_free */

/* *out = a * b, or false when that overflows size_t. */
bool mld_mul_size(size_t a, size_t b, size_t *out);

/* Fails allocation number n (1 = the next one) and all later ones; 0 switches it off.
 * Returns how many allocations were made since the last call. For tests. */
uint64_t mld_alloc_fail_at(uint64_t n);

#endif
