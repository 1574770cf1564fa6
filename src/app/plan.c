/* plan.c: the cross product of models, hardware, precisions, modes and batch sizes.
 *
 * A limit takes cases round robin over the models (and so over the categories). */
#include "app/plan.h"

#include <stdio.h>
#include <string.h>

/* Precisions that the command line knows; what cannot be built yet is a row that says so.
 */
static const char *const plan_precisions[] = {"fp32",        "fp16", "bf16", "int8",
                                              "int8-static", "w8",   "w4"};
#define PLAN_PRECISION_COUNT (sizeof plan_precisions / sizeof *plan_precisions)

static int plan_no_memory(struct mld_error *err)
{
    return mld_error_set(err, MLD_E_NO_MEMORY, "out of memory");
}

static int plan_check_precisions(const struct mld_bench_request *req,
                                 struct mld_error *err)
{
    for (size_t i = 0; i < req->precision_count; i++) {
        const char *word = req->precisions[i];
        bool known = false;
        for (size_t k = 0; k < PLAN_PRECISION_COUNT; k++)
            known = known || strcmp(word, plan_precisions[k]) == 0;
        if (known)
            continue;
        const char *near = mld_str_nearest(word, plan_precisions, PLAN_PRECISION_COUNT);
        return mld_error_set(err, MLD_E_INVALID,
                             "unknown precision '%.32s'%s%s%s: one of fp32, fp16, bf16, "
                             "int8, int8-static, w8, w4",
                             word, near ? " (did you mean '" : "", near ? near : "",
                             near ? "'?)" : "");
    }
    return 0;
}

/* --- models ------------------------------------------------------------------------- */

static int plan_category(const char *name, uint32_t *bit, struct mld_error *err)
{
    const char *names[MLD_CATEGORY_COUNT];
    for (int c = 0; c < MLD_CATEGORY_COUNT; c++) {
        names[c] = mld_category_name((enum mld_category)c);
        if (strcmp(names[c], name) == 0) {
            *bit = 1u << c;
            return 0;
        }
    }
    const char *near = mld_str_nearest(name, names, MLD_CATEGORY_COUNT);
    return mld_error_set(err, MLD_E_NOT_FOUND,
                         "unknown category '%.64s'%s%s%s: 'mldyno models' shows the "
                         "categories",
                         name, near ? " (did you mean '" : "", near ? near : "",
                         near ? "'?)" : "");
}

/* The named models, then every type of the categories that is not there yet. */
static int plan_model_names(const struct mld_bench_request *req, struct mld_arena *arena,
                            const char ***names, size_t *count, struct mld_error *err)
{
    size_t types = mld_arch_type_count();
    uint32_t wanted = req->all ? ~0u : 0;
    *names = mld_arena_array(arena, req->model_count + types + 1, sizeof **names);
    if (!*names)
        return plan_no_memory(err);
    *count = 0;
    for (size_t i = 0; i < req->model_count; i++)
        (*names)[(*count)++] = req->models[i];
    for (size_t i = 0; i < req->category_count; i++) {
        uint32_t bit = 0;
        MLD_TRY(plan_category(req->categories[i], &bit, err));
        wanted |= bit;
    }
    for (size_t i = 0; i < types; i++) {
        const struct mld_arch_type *t = mld_arch_type_at(i);
        if (t->categories & wanted)
            (*names)[(*count)++] = t->model_type;
    }
    if (*count == 0 && req->category_count)
        return mld_error_set(err, MLD_E_NOT_FOUND, "no known model is of category '%s'",
                             req->categories[0]);
    if (*count == 0)
        return mld_error_set(
            err, MLD_E_INVALID,
            "no model given: use --model NAME, --category NAME or --all");
    return 0;
}

/* --- hardware ----------------------------------------------------------------------- */

struct plan_hardware {
    const char *word;
    const struct mld_backend_state *backend;
    const struct mld_device *device;
};

/* "all": every platform of a usable backend but synthetic ones and software adapters. */
static int plan_hardware_all(struct plan_hardware *list, size_t cap, size_t *count,
                             struct mld_error *err)
{
    const struct mld_backend_state *states;
    size_t n;
    MLD_TRY(mld_registry_scan(&states, &n, err));
    for (size_t i = 0; i < n; i++) {
        if (!states[i].probe.usable || (states[i].ops->flags & MLD_BACKEND_SYNTHETIC))
            continue;
        for (size_t d = 0; d < states[i].device_count && *count < cap; d++) {
            const struct mld_device *dev = &states[i].devices[d];
            if (!(dev->flags & MLD_DEVICE_SOFTWARE))
                list[(*count)++] = (struct plan_hardware){dev->id, &states[i], dev};
        }
    }
    if (*count == 0)
        return mld_error_set(err, MLD_E_NO_ENGINE,
                             "no usable hardware: see 'mldyno hardware' for the reasons");
    return 0;
}

#define PLAN_HARDWARE_MAX 64

static int plan_hardware(const struct mld_bench_request *req, struct plan_hardware *list,
                         size_t *count, struct mld_error *err)
{
    static const char *const fallback[] = {"cpu"};
    const char *const *words = req->hardware_count ? req->hardware : fallback;
    size_t n = req->hardware_count ? req->hardware_count : 1;
    *count = 0;
    for (size_t i = 0; i < n; i++) {
        if (strcmp(words[i], "all") == 0) {
            MLD_TRY(plan_hardware_all(list, PLAN_HARDWARE_MAX, count, err));
            continue;
        }
        if (*count == PLAN_HARDWARE_MAX)
            return mld_error_set(err, MLD_E_TOO_LARGE, "more than %d --hardware words",
                                 PLAN_HARDWARE_MAX);
        struct plan_hardware *h = &list[(*count)++];
        h->word = words[i];
        MLD_TRY(mld_registry_resolve(words[i], &h->backend, &h->device, err));
    }
    return 0;
}

bool mld_plan_option_known(const struct mld_backend_ops *ops, const char *key)
{
    for (const struct mld_backend_option *o = ops->options; o && o->key; o++)
        if (strcmp(o->key, key) == 0)
            return true;
    return false;
}

/* An option (-o) must be known to one of the backends; each gets those that it knows. */
static int plan_check_options(const struct mld_bench_request *req,
                              const struct plan_hardware *hardware, size_t hardware_count,
                              struct mld_error *err)
{
    for (size_t i = 0; i < req->option_count; i++) {
        const char *key = req->options[i].key, *names[128];
        size_t n = 0;
        bool known = false;
        for (size_t h = 0; h < hardware_count && !known; h++) {
            const struct mld_backend_ops *ops = hardware[h].backend->ops;
            known = mld_plan_option_known(ops, key);
            for (const struct mld_backend_option *o = ops->options; o && o->key; o++)
                if (n < sizeof names / sizeof *names)
                    names[n++] = o->key;
        }
        if (known)
            continue;
        const char *near = mld_str_nearest(key, names, n),
                   *b = hardware[0].backend->ops->name;
        return mld_error_set(err, MLD_E_INVALID,
                             "backend '%s' has no option '%.64s'%s%s%s: 'mldyno hardware "
                             "--help-backend %s' lists them",
                             b, key, near ? " (did you mean '" : "", near ? near : "",
                             near ? "'?)" : "", b);
    }
    return 0;
}

/* --- cases -------------------------------------------------------------------------- */

static size_t plan_batches(const struct mld_bench_request *req,
                           const struct mld_arch_type *type, const int64_t **list)
{
    if (req->batch_count) {
        *list = req->batches;
        return req->batch_count;
    }
    size_t n = 0;
    *list = type->default_batches;
    while (n < sizeof type->default_batches / sizeof *type->default_batches &&
           type->default_batches[n] > 0)
        n++;
    return n;
}

/* Keeps `limit` cases: one of each model in turn, in each model's own order. */
static void plan_limit(struct mld_plan *p, int64_t limit, bool *keep)
{
    size_t left = (size_t)limit;
    for (bool any = true; left && any;) {
        any = false;
        for (size_t m = 0; m < p->model_count && left; m++) {
            size_t i = 0;
            while (i < p->case_count && (keep[i] || p->cases[i].model != m))
                i++;
            if (i == p->case_count)
                continue;
            keep[i] = any = true;
            left--;
        }
    }
    size_t kept = 0;
    for (size_t i = 0; i < p->case_count; i++)
        if (keep[i])
            p->cases[kept++] = p->cases[i];
    p->case_count = kept;
}

static int plan_cases(const struct mld_bench_request *req, struct mld_plan *p,
                      struct mld_error *err)
{
    static const char *const fp32[] = {"fp32"};
    static const int64_t forward[] = {MLD_MODE_FORWARD};
    struct plan_hardware hardware[PLAN_HARDWARE_MAX];
    size_t hardware_count = 0, total = 0;
    MLD_TRY(plan_hardware(req, hardware, &hardware_count, err));
    MLD_TRY(plan_check_options(req, hardware, hardware_count, err));
    const char *const *precisions = req->precision_count ? req->precisions : fp32;
    size_t precision_count = req->precision_count ? req->precision_count : 1;
    const int64_t *modes = req->mode_count ? req->modes : forward;
    size_t mode_count = req->mode_count ? req->mode_count : 1;
    for (size_t m = 0; m < p->model_count; m++) {
        const int64_t *batches;
        total += plan_batches(req, p->models[m].type, &batches);
    }
    total *= hardware_count * precision_count * mode_count;
    p->cases = mld_arena_array(&p->arena, total + 1, sizeof *p->cases);
    bool *keep = mld_arena_array(&p->arena, total + 1, sizeof *keep);
    if (!p->cases || !keep)
        return plan_no_memory(err);
    for (size_t m = 0; m < p->model_count; m++) {
        const int64_t *batches;
        size_t batch_count = plan_batches(req, p->models[m].type, &batches);
        for (size_t h = 0; h < hardware_count; h++)
            for (size_t q = 0; q < precision_count; q++)
                for (size_t k = 0; k < mode_count; k++)
                    for (size_t b = 0; b < batch_count; b++)
                        p->cases[p->case_count++] =
                            (struct mld_plan_case){.model = m,
                                                   .hardware = hardware[h].word,
                                                   .backend = hardware[h].backend,
                                                   .device = hardware[h].device,
                                                   .precision = precisions[q],
                                                   .mode = (enum mld_mode)modes[k],
                                                   .batch = batches[b]};
    }
    if (req->limit > 0 && (size_t)req->limit < p->case_count)
        plan_limit(p, req->limit, keep);
    return 0;
}

/* Builds each model that was named (graph only, no weights): a config or shape that makes
 * no sense for it is the user's error, not a row. A mode that the type lacks is a row,
 * and so is a shape that one of a category's models cannot take: the sweep goes on. */
static int plan_check_models(const struct mld_bench_request *req,
                             const struct mld_plan *p, struct mld_error *err)
{
    for (size_t m = 0; m < p->model_count && m < req->model_count; m++) {
        struct mld_arena arena = {0};
        struct mld_graph *g = NULL;
        struct mld_arch_info info;
        struct mld_arch_shapes shapes = req->shapes;
        shapes.batch = 1;
        int rc = mld_model_build(&p->models[m], MLD_MODE_FORWARD, &shapes, req->layers,
                                 &arena, &g, &info, err);
        mld_graph_release(g);
        mld_arena_release(&arena);
        if (rc != 0 && req->model_count > 1 && !p->models[m].config_path)
            mld_error_context(err, "model '%s'", p->models[m].label);
        MLD_TRY(rc);
    }
    return 0;
}

int mld_plan_make(const struct mld_bench_request *req, struct mld_plan *out,
                  struct mld_error *err)
{
    memset(out, 0, sizeof *out);
    const char **names = NULL;
    size_t count = 0;
    int rc = plan_check_precisions(req, err);
    if (rc == 0)
        rc = plan_model_names(req, &out->arena, &names, &count, err);
    if (rc == 0) {
        out->models = mld_arena_array(&out->arena, count, sizeof *out->models);
        if (!out->models)
            rc = plan_no_memory(err);
    }
    for (size_t i = 0; rc == 0 && i < count; i++) {
        rc = mld_model_resolve(names[i], req->class_name, req->weights_path, &out->arena,
                               &out->models[i], err);
        if (rc == 0)
            out->model_count++;
    }
    if (rc == 0)
        rc = plan_cases(req, out, err);
    if (rc == 0)
        rc = plan_check_models(req, out, err);
    if (rc != 0)
        mld_plan_release(out);
    return rc;
}

void mld_plan_release(struct mld_plan *p)
{
    for (size_t m = 0; m < p->model_count; m++)
        mld_model_release(&p->models[m]);
    mld_arena_release(&p->arena);
    memset(p, 0, sizeof *p);
}
