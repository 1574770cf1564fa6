/* registry.c: the backends of this build, checked once, probed once, and found by the
 * words of --hardware. */
#include "core/registry.h"

#include "base/alloc.h"
#include "base/str.h"

#include <stdio.h>
#include <string.h>

#define MLD_REGISTRY_MAX 16 /* backends of one program */

/* --- defaults of the optional slots ----------------------------------------------- */

static int registry_no_set_input(struct mld_session *s, size_t index, const void *data,
                                 size_t bytes, struct mld_error *err)
{
    (void)s;
    (void)index;
    (void)data;
    (void)bytes;
    return mld_error_set(err, MLD_E_UNSUPPORTED,
                         "inputs cannot be changed after prepare");
}

static int registry_no_output(struct mld_session *s, size_t index, struct mld_tensor *out,
                              struct mld_error *err)
{
    (void)s;
    (void)index;
    (void)out;
    return mld_error_set(err, MLD_E_UNSUPPORTED, "outputs cannot be read");
}

static int registry_no_counters(struct mld_session *s, struct mld_counters *out,
                                struct mld_error *err)
{
    (void)s;
    (void)err;
    memset(out, 0, sizeof(*out));
    out->nodes_total = out->nodes_on_device = out->device_memory_bytes = -1;
    out->precision_emulated = -1;
    return 0;
}

static void registry_no_cancel(struct mld_session *s)
{
    (void)s;
}

int mld_backend_check(const struct mld_backend_ops *raw, struct mld_backend_ops *out,
                      struct mld_error *err)
{
    memset(out, 0, sizeof(*out));
    if (!raw)
        return mld_error_set(err, MLD_E_INVALID, "backend gives no table");
    if (raw->abi != MLD_BACKEND_ABI)
        return mld_error_set(err, MLD_E_VERSION,
                             "backend is made for interface %u, this program has %u",
                             (unsigned)raw->abi, (unsigned)MLD_BACKEND_ABI);
    /* A table made against an older header is shorter; a newer one may be longer. */
    if (raw->size < MLD_BACKEND_SIZE_MIN)
        return mld_error_set(err, MLD_E_VERSION, "backend's table has %u bytes, not %zu",
                             (unsigned)raw->size, (size_t)MLD_BACKEND_SIZE_MIN);
    memcpy(out, raw, raw->size < sizeof(*out) ? raw->size : sizeof(*out));
    out->size = sizeof(*out);
    if (!out->name || !out->name[0] || !out->summary)
        return mld_error_set(err, MLD_E_INVALID, "backend has no name or no summary");
    const struct {
        const char *name;
        bool there;
    } required[] = {{"probe", out->probe != NULL},     {"devices", out->devices != NULL},
                    {"open", out->open != NULL},       {"load", out->load != NULL},
                    {"prepare", out->prepare != NULL}, {"run", out->run != NULL},
                    {"unload", out->unload != NULL},   {"close", out->close != NULL}};
    for (size_t i = 0; i < sizeof(required) / sizeof(*required); i++)
        if (!required[i].there)
            return mld_error_set(err, MLD_E_INVALID,
                                 "backend '%s' lacks the required slot '%s'", out->name,
                                 required[i].name);
    out->platforms = out->platforms ? out->platforms : out->name;
    out->set_input = out->set_input ? out->set_input : registry_no_set_input;
    out->output = out->output ? out->output : registry_no_output;
    out->counters = out->counters ? out->counters : registry_no_counters;
    out->cancel = out->cancel ? out->cancel : registry_no_cancel;
    return 0;
}

/* --- the list --------------------------------------------------------------------- */

static struct {
    struct mld_backend_ops ops[MLD_REGISTRY_MAX];
    struct mld_backend_state states[MLD_REGISTRY_MAX];
    size_t count;
    bool listed, scanned;
} registry;

/* A table that is built in and wrong is a bug of this build. */
static void registry_list(void)
{
    if (registry.listed)
        return;
    MLD_ASSERT(mld_backend_entry_count <= MLD_REGISTRY_MAX);
    for (size_t i = 0; i < mld_backend_entry_count; i++) {
        int rc = mld_backend_check(mld_backend_entries[i](), &registry.ops[i], NULL);
        MLD_ASSERT(rc == 0);
        for (size_t k = 0; k < i; k++)
            MLD_ASSERT(strcmp(registry.ops[k].name, registry.ops[i].name) != 0);
    }
    registry.count = mld_backend_entry_count;
    registry.listed = true;
}

const struct mld_backend_ops *mld_backend_at(size_t i)
{
    registry_list();
    return i < registry.count ? &registry.ops[i] : NULL;
}

const struct mld_backend_ops *mld_backend_find(const char *name)
{
    const struct mld_backend_ops *ops;
    for (size_t i = 0; (ops = mld_backend_at(i)) != NULL; i++)
        if (mld_streq(ops->name, name))
            return ops;
    return NULL;
}

int mld_backend_probe(const struct mld_backend_ops *ops, struct mld_probe *out,
                      struct mld_error *err)
{
    memset(out, 0, sizeof(*out));
    MLD_TRY(ops->probe(out, err));
    if (!out->usable)
        return mld_error_set(err, MLD_E_NO_ENGINE, "%s", out->reason);
    return 0;
}

/* All devices in an array of their own, which the caller frees. */
static int registry_devices(const struct mld_backend_ops *ops, struct mld_device **out,
                            size_t *count, struct mld_error *err)
{
    size_t cap = 0;
    *out = NULL;
    *count = 0;
    MLD_TRY(ops->devices(NULL, 0, &cap, err));
    if (cap == 0)
        return 0;
    *out = mld_calloc(cap, sizeof(**out));
    if (!*out)
        return mld_error_set(err, MLD_E_NO_MEMORY, "no memory for %zu devices", cap);
    int rc = ops->devices(*out, cap, count, err);
    *count = *count < cap ? *count : cap; /* one more may have come in between */
    if (rc != 0) {
        mld_free(*out);
        *out = NULL;
        *count = 0;
    }
    return rc;
}

int mld_backend_device(const struct mld_backend_ops *ops, const char *id,
                       struct mld_device *out, struct mld_error *err)
{
    struct mld_device *devices;
    size_t count, i = 0;
    MLD_TRY(registry_devices(ops, &devices, &count, err));
    while (i < count && !mld_streq(devices[i].id, id))
        i++;
    if (i < count)
        *out = devices[i];
    mld_free(devices);
    if (i < count)
        return 0;
    return mld_error_set(err, MLD_E_NOT_FOUND, "backend '%s' has no device '%s'",
                         ops->name, id);
}

int mld_registry_scan(const struct mld_backend_state **out, size_t *count,
                      struct mld_error *err)
{
    (void)err;
    registry_list();
    for (size_t i = 0; i < registry.count && !registry.scanned; i++) {
        struct mld_backend_state *s = &registry.states[i];
        s->ops = &registry.ops[i];
        int rc = s->ops->probe(&s->probe, &s->error);
        if (rc == 0 && s->probe.usable)
            rc = registry_devices(s->ops, &s->devices, &s->device_count, &s->error);
        if (rc != 0) {
            s->probe.usable = false;
            snprintf(s->probe.reason, sizeof(s->probe.reason), "%.255s",
                     s->error.message);
        }
    }
    registry.scanned = true;
    *out = registry.states;
    *count = registry.count;
    return 0;
}

/* --- words of --hardware ---------------------------------------------------------- */

#define MLD_WORDS_MAX 128

/* All words that --hardware takes: platforms (of unusable backends too) and devices. */
struct registry_words {
    char text[MLD_WORDS_MAX][32];
    const char *names[MLD_WORDS_MAX];
    size_t count;
};

static void registry_add_word(struct registry_words *w, const char *text, size_t n)
{
    if (w->count == MLD_WORDS_MAX || n == 0 || n >= sizeof(w->text[0]))
        return;
    memcpy(w->text[w->count], text, n);
    w->text[w->count][n] = '\0';
    for (size_t i = 0; i < w->count; i++)
        if (strcmp(w->text[i], w->text[w->count]) == 0)
            return;
    w->names[w->count] = w->text[w->count];
    w->count++;
}

/* Calls for each name of a comma list until one is equal; NULL word: adds all to w. */
static bool registry_platform(const char *list, const char *word,
                              struct registry_words *w)
{
    for (const char *p = list; *p;) {
        size_t n = strcspn(p, ",");
        if (word && strlen(word) == n && memcmp(p, word, n) == 0)
            return true;
        if (w)
            registry_add_word(w, p, n);
        p += n + (p[n] == ',');
    }
    return false;
}

static int registry_unknown(const char *hardware, struct mld_error *err)
{
    struct registry_words w = {.count = 0};
    struct mld_str list;
    mld_str_init(&list, sizeof(err->message) / 2);
    for (size_t i = 0; i < registry.count; i++) {
        const struct mld_backend_state *s = &registry.states[i];
        registry_platform(s->ops->platforms, NULL, &w);
        for (size_t d = 0; d < s->device_count; d++)
            registry_add_word(&w, s->devices[d].id, strlen(s->devices[d].id));
    }
    for (size_t i = 0; i < w.count; i++)
        mld_str_addf(&list, "%s%s", i > 0 ? ", " : "", w.names[i]);
    const char *near = mld_str_nearest(hardware, w.names, w.count);
    if (near)
        mld_error_set(err, MLD_E_NOT_FOUND, "unknown hardware '%s': did you mean '%s'?",
                      hardware, near);
    else
        mld_error_set(err, MLD_E_NOT_FOUND, "unknown hardware '%s': there is %s",
                      hardware, mld_str_c(&list));
    mld_str_release(&list);
    return MLD_E_NOT_FOUND;
}

int mld_registry_resolve(const char *hardware, const struct mld_backend_state **backend,
                         const struct mld_device **device, struct mld_error *err)
{
    const struct mld_backend_state *states;
    size_t count;
    MLD_TRY(mld_registry_scan(&states, &count, err));
    /* An exact device first, then the first device of a platform. */
    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < count; i++) {
            for (size_t d = 0; d < states[i].device_count; d++) {
                const struct mld_device *dev = &states[i].devices[d];
                if (!mld_streq(pass == 0 ? dev->id : dev->platform, hardware))
                    continue;
                *backend = &states[i];
                *device = dev;
                return 0;
            }
        }
    }
    /* A known platform without a device here: the device part of "cuda:1" is cut off. */
    char platform[32];
    snprintf(platform, sizeof(platform), "%.*s", (int)strcspn(hardware, ":"), hardware);
    for (size_t i = 0; i < count; i++) {
        const struct mld_backend_state *s = &states[i];
        if (!registry_platform(s->ops->platforms, platform, NULL))
            continue;
        if (!s->probe.usable)
            return mld_error_set(err, MLD_E_NO_ENGINE, "hardware '%s' cannot be used: %s",
                                 hardware, s->probe.reason);
        return mld_error_set(err, MLD_E_NO_ENGINE,
                             "hardware '%s' is not in this machine: see mldyno hardware",
                             hardware);
    }
    return registry_unknown(hardware, err);
}
