/* map.c: open addressing with linear probing, FNV-1a hashes, at most three quarters full.
 *
 * There is no removal, so no tombstones: a probe ends at the first free slot. */
#include "base/map.h"

#include "base/alloc.h"
#include "base/str.h"

#include <string.h>

#define MAP_CAP_MIN 16u /* a power of two, like every capacity */

/* The slot that holds key, or the free one where it belongs. cap > count. */
static struct mld_map_slot *map_slot(struct mld_map_slot *slots, size_t cap,
                                     const char *key)
{
    size_t i = (size_t)mld_fnv1a64(MLD_FNV_BASIS, key, strlen(key)) & (cap - 1);
    while (slots[i].key != NULL && strcmp(slots[i].key, key) != 0)
        i = (i + 1) & (cap - 1);
    return &slots[i];
}

void mld_map_release(struct mld_map *m)
{
    if (m == NULL)
        return;
    for (size_t i = 0; i < m->cap; i++)
        mld_free(m->slots[i].key);
    mld_free(m->slots);
    *m = (struct mld_map){0};
}

static bool map_grow(struct mld_map *m)
{
    const size_t cap = m->cap == 0 ? MAP_CAP_MIN : m->cap * 2;
    struct mld_map_slot *slots = mld_calloc(cap, sizeof(*slots));
    if (slots == NULL)
        return false;
    for (size_t i = 0; i < m->cap; i++)
        if (m->slots[i].key != NULL)
            *map_slot(slots, cap, m->slots[i].key) = m->slots[i];
    mld_free(m->slots);
    m->slots = slots;
    m->cap = cap;
    return true;
}

bool mld_map_set(struct mld_map *m, const char *key, void *value)
{
    if (m->cap != 0) {
        struct mld_map_slot *old = map_slot(m->slots, m->cap, key);
        if (old->key != NULL) {
            old->value = value;
            return true;
        }
    }
    char *copy = mld_strdup(key);
    if (copy == NULL)
        return false;
    if ((m->count + 1) * 4 > m->cap * 3 && !map_grow(m)) {
        mld_free(copy);
        return false;
    }
    *map_slot(m->slots, m->cap, key) = (struct mld_map_slot){copy, value};
    m->count++;
    return true;
}

void *mld_map_get(const struct mld_map *m, const char *key)
{
    return m->cap != 0 ? map_slot(m->slots, m->cap, key)->value : NULL;
}

bool mld_map_has(const struct mld_map *m, const char *key)
{
    return m->cap != 0 && map_slot(m->slots, m->cap, key)->key != NULL;
}

const struct mld_map_slot *mld_map_next(const struct mld_map *m, size_t *i)
{
    while (*i < m->cap) {
        const struct mld_map_slot *slot = &m->slots[(*i)++];
        if (slot->key != NULL)
            return slot;
    }
    return NULL;
}
