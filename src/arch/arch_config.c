/* arch_config.c: roles, keys and defaults of a config, with ranges.
 *
 * The config is outside input: every number is checked against its range before anything
 * is computed from it, and every message names field, value and what is allowed. */
#include "arch/arch_config.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "graph/build.h"

static const struct mld_json *find(const struct mld_config *c, const char *role,
                                   const char **key)
{
    const char *own[2] = {role, NULL};
    const char *const *keys = own;
    for (const struct mld_config_name *n = c->names; n != NULL && n->role != NULL; n++) {
        if (strcmp(n->role, role) == 0) {
            keys = n->keys;
            break;
        }
    }
    *key = keys[0];
    for (size_t i = 0; i < 3 && keys[i] != NULL; i++) {
        const struct mld_json *v =
            keys[i][0] == '(' ? NULL : mld_json_get(c->object, keys[i]);
        if (v != NULL) {
            *key = keys[i];
            return v;
        }
        if (keys == own)
            break;
    }
    for (size_t i = 0; i < 3 && keys[i] != NULL; i++) {
        const struct mld_json *v = mld_json_get(c->defaults, keys[i]);
        if (v != NULL) {
            *key = keys[i];
            return v;
        }
        if (keys == own)
            break;
    }
    return NULL;
}

const struct mld_json *mld_config_find(const struct mld_config *c, const char *role)
{
    const char *key;
    return find(c, role, &key);
}

bool mld_config_has(const struct mld_config *c, const char *role)
{
    const struct mld_json *v = mld_config_find(c, role);
    return v != NULL && !mld_json_is(v, MLD_JSON_NULL);
}

void mld_config_fail(const struct mld_config *c, const char *role, const char *needed,
                     ...)
{
    const char *key;
    const struct mld_json *v = find(c, role, &key);
    char what[160];
    va_list args;
    va_start(args, needed);
    vsnprintf(what, sizeof what, needed, args);
    va_end(args);
    if (v == NULL) {
        mld_graph_fail(c->graph, MLD_E_INVALID, "config: '%s%s' is missing: %s", c->path,
                       key, what);
        return;
    }
    char *text = mld_json_print(v, false);
    mld_graph_fail(c->graph, MLD_E_INVALID, "config: '%s%s' is %.60s: %s", c->path, key,
                   text != NULL ? text : "?", what);
    mld_free(text);
}

int64_t mld_config_int(const struct mld_config *c, const char *role, int64_t min,
                       int64_t max)
{
    const struct mld_json *v = mld_config_find(c, role);
    int64_t x = mld_json_int(v, INT64_MIN);
    if (!mld_json_is(v, MLD_JSON_NUMBER) || x == INT64_MIN || x < min || x > max) {
        mld_config_fail(c, role, "a whole number from %lld to %lld is needed",
                        (long long)min, (long long)max);
        return min;
    }
    return x;
}

int64_t mld_config_int_or(const struct mld_config *c, const char *role, int64_t min,
                          int64_t max, int64_t fallback)
{
    return mld_config_has(c, role) ? mld_config_int(c, role, min, max) : fallback;
}

int64_t mld_config_dim(const struct mld_config *c, const char *role)
{
    return mld_config_int(c, role, 1, MLD_CONFIG_MAX_DIM);
}

double mld_config_num_or(const struct mld_config *c, const char *role, double min,
                         double max, double fallback)
{
    if (!mld_config_has(c, role))
        return fallback;
    const struct mld_json *v = mld_config_find(c, role);
    double x = mld_json_num(v, (double)NAN);
    if (!mld_json_is(v, MLD_JSON_NUMBER) || !(x >= min && x <= max)) {
        mld_config_fail(c, role, "a number from %g to %g is needed", min, max);
        return fallback;
    }
    return x;
}

bool mld_config_bool_or(const struct mld_config *c, const char *role, bool fallback)
{
    if (!mld_config_has(c, role))
        return fallback;
    const struct mld_json *v = mld_config_find(c, role);
    if (!mld_json_is(v, MLD_JSON_BOOL))
        mld_config_fail(c, role, "true or false is needed");
    return mld_json_bool(v, fallback);
}

const char *mld_config_str(const struct mld_config *c, const char *role)
{
    if (!mld_config_has(c, role))
        return NULL;
    const struct mld_json *v = mld_config_find(c, role);
    if (!mld_json_is(v, MLD_JSON_STRING))
        mld_config_fail(c, role, "a text is needed");
    return mld_json_str(v, NULL);
}

bool mld_config_object(const struct mld_config *c, const char *role,
                       struct mld_arena *arena, struct mld_config *out)
{
    if (!mld_config_has(c, role))
        return false;
    const char *key;
    const struct mld_json *v = find(c, role, &key);
    if (!mld_json_is(v, MLD_JSON_OBJECT)) {
        mld_config_fail(c, role, "an object is needed");
        return false;
    }
    const char *path = mld_arena_printf(arena, "%s%s.", c->path, key);
    *out = (struct mld_config){
        .graph = c->graph, .object = v, .path = path != NULL ? path : ""};
    return true;
}

void mld_config_pair(const struct mld_config *c, const char *role, int64_t min,
                     int64_t max, int64_t hw[2])
{
    const struct mld_json *v = mld_config_find(c, role);
    if (!mld_json_is(v, MLD_JSON_ARRAY)) {
        hw[0] = hw[1] = mld_config_int(c, role, min, max);
        return;
    }
    for (size_t i = 0; i < 2; i++) {
        hw[i] = mld_json_int(mld_json_at(v, i), INT64_MIN);
        if (mld_json_count(v) != 2 || hw[i] < min || hw[i] > max) {
            mld_config_fail(c, role,
                            "one whole number or two, each from %lld to %lld, are needed",
                            (long long)min, (long long)max);
            hw[0] = hw[1] = min;
            return;
        }
    }
}

int64_t mld_config_labels(const struct mld_config *c)
{
    const struct mld_json *labels = mld_config_find(c, "id2label");
    if (mld_json_is(labels, MLD_JSON_OBJECT) || mld_json_is(labels, MLD_JSON_ARRAY))
        return (int64_t)mld_json_count(labels);
    if (labels != NULL && !mld_json_is(labels, MLD_JSON_NULL))
        mld_config_fail(c, "id2label", "an object of labels is needed");
    return mld_config_int_or(c, "num_labels", 0, 1 << 24, 2);
}

const char *mld_config_activation(const struct mld_config *c, const char *role)
{
    const char *name = mld_config_str(c, role);
    if (name == NULL)
        return NULL;
    size_t n;
    const char *const *known = mld_activation_names(&n);
    for (size_t i = 0; i < n; i++) {
        if (strcmp(known[i], name) == 0)
            return name;
    }
    const char *near = mld_str_nearest(name, known, n);
    if (near != NULL) {
        mld_config_fail(c, role, "no such activation, did you mean '%s'?", near);
    } else {
        char list[120] = "";
        size_t at = 0;
        for (size_t i = 0; i < n; i++) {
            size_t len = strlen(known[i]);
            if (at + len + 3 > sizeof list)
                break;
            at += (size_t)snprintf(list + at, sizeof list - at, "%s%s", i ? ", " : "",
                                   known[i]);
        }
        mld_config_fail(c, role, "no such activation, known are %s", list);
    }
    return "gelu";
}
