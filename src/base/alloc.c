/* alloc.c: malloc behind the seam, with the counter that lets tests fail the n-th call.
 *
 * The counter is one relaxed atomic add per allocation; nothing is allocated while a
 * benchmark measures, so it costs no measured time. */
#include "base/alloc.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* No object of ours is larger: 1 TiB, or half the address space on a 32-bit machine. */
#define ALLOC_MAX (SIZE_MAX / 2 < (UINT64_C(1) << 40) ? SIZE_MAX / 2 : UINT64_C(1) << 40)

static atomic_uint_fast64_t alloc_count;   /* since the last mld_alloc_fail_at */
static atomic_uint_fast64_t alloc_fail_at; /* 0: never */

/* Counts one allocation; false when it has to fail. */
static bool alloc_permit(size_t bytes)
{
    const uint64_t n =
        atomic_fetch_add_explicit(&alloc_count, 1, memory_order_relaxed) + 1;
    const uint64_t at = atomic_load_explicit(&alloc_fail_at, memory_order_relaxed);
    return bytes <= ALLOC_MAX && (at == 0 || n < at);
}

void *mld_alloc(size_t bytes)
{
    return alloc_permit(bytes) ? malloc(bytes > 0 ? bytes : 1) : NULL;
}

void *mld_calloc(size_t count, size_t bytes)
{
    size_t total;
    if (!mld_mul_size(count, bytes, &total) || !alloc_permit(total))
        return NULL;
    return calloc(1, total > 0 ? total : 1);
}

void *mld_realloc(void *p, size_t bytes)
{
    return alloc_permit(bytes) ? realloc(p, bytes > 0 ? bytes : 1) : NULL;
}

void mld_free(void *p)
{
    free(p);
}

char *mld_strdup(const char *s)
{
    return mld_strndup(s, strlen(s));
}

char *mld_strndup(const char *s, size_t n)
{
    const size_t len = strnlen(s, n);
    char *copy = mld_alloc(len + 1);
    if (copy != NULL) {
        memcpy(copy, s, len);
        copy[len] = '\0';
    }
    return copy;
}

void *mld_alloc_aligned(size_t align, size_t bytes)
{
    void *p = NULL;
    if (align < sizeof(void *))
        align = sizeof(void *);
    if ((align & (align - 1)) != 0 || !alloc_permit(bytes))
        return NULL;
    return posix_memalign(&p, align, bytes > 0 ? bytes : 1) == 0 ? p : NULL;
}

bool mld_mul_size(size_t a, size_t b, size_t *out)
{
    if (a != 0 && b > SIZE_MAX / a)
        return false;
    *out = a * b;
    return true;
}

uint64_t mld_alloc_fail_at(uint64_t n)
{
    atomic_store_explicit(&alloc_fail_at, n, memory_order_relaxed);
    return atomic_exchange_explicit(&alloc_count, 0, memory_order_relaxed);
}
