/* arena.c: a chain of zero-filled blocks, each larger than the one before.
 *
 * An allocation moves a mark in the newest block; a block that is too small for a request
 * is left with its rest unused. Requests larger than half a block get a block of their
 * own behind the newest one, so that its rest stays usable. */
#include "base/arena.h"

#include "base/alloc.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define ARENA_ALIGN     16u
#define ARENA_BLOCK_MIN ((size_t)8 << 10)
#define ARENA_BLOCK_MAX ((size_t)1 << 20)

struct mld_arena_block {
    struct mld_arena_block *next; /* older */
    size_t used, cap;             /* of data, in bytes */
    _Alignas(ARENA_ALIGN) unsigned char data[];
};

void mld_arena_init(struct mld_arena *a, size_t max_bytes)
{
    *a = (struct mld_arena){.max_bytes = max_bytes};
}

void mld_arena_release(struct mld_arena *a)
{
    if (a == NULL)
        return;
    struct mld_arena_block *b = a->head;
    while (b != NULL) {
        struct mld_arena_block *next = b->next;
        mld_free(b);
        b = next;
    }
    a->head = NULL;
    a->used_bytes = 0;
}

static struct mld_arena_block *arena_block_new(size_t cap)
{
    struct mld_arena_block *b = mld_calloc(1, sizeof(*b) + cap);
    if (b != NULL)
        b->cap = cap;
    return b;
}

void *mld_arena_alloc(struct mld_arena *a, size_t bytes)
{
    if (bytes > SIZE_MAX / 4)
        return NULL;
    bytes =
        (bytes > 0 ? bytes + ARENA_ALIGN - 1 : ARENA_ALIGN) & ~(size_t)(ARENA_ALIGN - 1);
    if (a->max_bytes != 0 && bytes > a->max_bytes - a->used_bytes)
        return NULL;

    struct mld_arena_block *b = a->head;
    if (b == NULL || bytes > b->cap - b->used) {
        size_t cap = b == NULL ? ARENA_BLOCK_MIN : b->cap * 2;
        if (cap > ARENA_BLOCK_MAX)
            cap = ARENA_BLOCK_MAX;
        const bool own = bytes > cap / 2;
        struct mld_arena_block *fresh = arena_block_new(own ? bytes : cap);
        if (fresh == NULL)
            return NULL;
        if (own && b != NULL) {
            fresh->next = b->next;
            b->next = fresh;
        } else {
            fresh->next = b;
            a->head = fresh;
        }
        b = fresh;
    }
    void *p = b->data + b->used;
    b->used += bytes;
    a->used_bytes += bytes;
    return p;
}

void *mld_arena_array(struct mld_arena *a, size_t count, size_t bytes)
{
    size_t total;
    return mld_mul_size(count, bytes, &total) ? mld_arena_alloc(a, total) : NULL;
}

char *mld_arena_strdup(struct mld_arena *a, const char *s)
{
    return mld_arena_strndup(a, s, strlen(s));
}

char *mld_arena_strndup(struct mld_arena *a, const char *s, size_t n)
{
    const size_t len = strnlen(s, n);
    char *copy = mld_arena_alloc(a, len + 1);
    if (copy != NULL)
        memcpy(copy, s, len); /* the block is zero-filled */
    return copy;
}

char *mld_arena_printf(struct mld_arena *a, const char *format, ...)
{
    char small[256];
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    char *out = NULL;
    const int n = vsnprintf(small, sizeof(small), format, args);
    if (n >= 0)
        out = mld_arena_alloc(a, (size_t)n + 1);
    if (out != NULL && (size_t)n < sizeof(small))
        memcpy(out, small, (size_t)n);
    else if (out != NULL)
        (void)vsnprintf(out, (size_t)n + 1, format, again);
    va_end(again);
    va_end(args);
    return out;
}
