/* arch_config.h: reading a config.json with the library's defaults.
 *
 * A family asks for *roles* ("hidden_size"). A type's table says under which keys the
 * role is found (GPT-2: "hidden_size", then "n_embd"); what the config leaves out comes
 * from the type's default object. A key in parentheses, "(layer_norm_eps)", is a constant
 * of the type: only the defaults may hold it. A fault names the field, its value, and
 * what is allowed; it goes to the graph, and the getter returns a harmless value, so that
 * a family reads a config without checks. */
#ifndef MLD_ARCH_ARCH_CONFIG_H
#define MLD_ARCH_ARCH_CONFIG_H

#include "base/json.h"
#include "graph/graph.h"

#define MLD_CONFIG_MAX_DIM    ((int64_t)1 << 31) /* widths, vocabularies */
#define MLD_CONFIG_MAX_LAYERS 10000

/* Role -> the keys that may hold it, first found wins. */
struct mld_config_name {
    const char *role;
    const char *keys[3];
};

struct mld_config {
    struct mld_graph *graph;         /* takes the faults */
    const struct mld_json *object;   /* what the user gave; NULL: nothing */
    const struct mld_json *defaults; /* the type's; NULL: none */
    const struct mld_config_name
        *names;       /* ends with role NULL; NULL: keys are the roles */
    const char *path; /* "" or "rope_parameters.", before keys in messages */
};

/* The raw value: the config's own (JSON null included), else the default, else NULL. */
const struct mld_json *mld_config_find(const struct mld_config *c, const char *role);
/* Is the role neither absent nor null? */
bool mld_config_has(const struct mld_config *c, const char *role);

/* Whole number in [min, max]; absent or null is a fault. */
int64_t mld_config_int(const struct mld_config *c, const char *role, int64_t min,
                       int64_t max);
/* The same; absent or null gives fallback. */
int64_t mld_config_int_or(const struct mld_config *c, const char *role, int64_t min,
                          int64_t max, int64_t fallback);
int64_t mld_config_dim(const struct mld_config *c, const char *role); /* 1 ... 2^31 */
/* Finite number in [min, max]; absent or null gives fallback. */
double mld_config_num_or(const struct mld_config *c, const char *role, double min,
                         double max, double fallback);
bool mld_config_bool_or(const struct mld_config *c, const char *role, bool fallback);
/* NULL when absent or null; another type is a fault. */
const char *mld_config_str(const struct mld_config *c, const char *role);
/* An object below role, for nested reads; its path is set. False: absent or null. */
bool mld_config_object(const struct mld_config *c, const char *role,
                       struct mld_arena *arena, struct mld_config *out);
/* One dimension or a pair [height, width]; both ends of hw are set. */
void mld_config_pair(const struct mld_config *c, const char *role, int64_t min,
                     int64_t max, int64_t hw[2]);
/* Number of labels of a classifier: id2label's length, else num_labels, else 2. */
int64_t mld_config_labels(const struct mld_config *c);
/* Name of an activation, checked against the ones that the graph knows. */
const char *mld_config_activation(const struct mld_config *c, const char *role);

/* Fault on role: "config: 'key' is VALUE: <what is needed>". */
void mld_config_fail(const struct mld_config *c, const char *role, const char *needed,
                     ...) MLD_PRINTF(3, 4);

#endif
