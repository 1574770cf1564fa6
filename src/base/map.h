/* map.h: string -> pointer, open addressing, keys copied. Zero-filled is valid, empty. */
#ifndef MLD_BASE_MAP_H
#define MLD_BASE_MAP_H

#include <stdbool.h>
#include <stddef.h>

struct mld_map_slot {
    char *key;
    void *value;
};
struct mld_map {
    struct mld_map_slot *slots;
    size_t count, cap;
};

void mld_map_release(struct mld_map *m);                           /* values stay */
bool mld_map_set(struct mld_map *m, const char *key, void *value); /* false: no memory */
void *mld_map_get(const struct mld_map *m, const char *key);       /* NULL: absent */
bool mld_map_has(const struct mld_map *m, const char *key);
/* Next used slot from *i on (start with 0), NULL at the end. */
const struct mld_map_slot *mld_map_next(const struct mld_map *m, size_t *i);

#endif
