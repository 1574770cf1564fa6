/* weight_source.c: where a parameter's numbers come from: the rule of the golden files,
 * or the tensors of a safetensors file, bound by name and shape when it is opened. */
#include "artifact/weights_int.h"

#include "base/alloc.h"
#include "base/str.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define NAMES_MAX 64 /* candidates of one parameter */

/* --- the rule --------------------------------------------------------------------- */

static bool rule_is_factor(const char *leaf)
{
    return mld_streq(leaf, "weight") || mld_streq(leaf, "weight_g") ||
           mld_streq(leaf, "original0") || mld_streq(leaf, "alpha") ||
           strstr(leaf, "scale") || strstr(leaf, "lambda") || strstr(leaf, "gamma");
}

void mld_param_rule(const char *name, const struct mld_shape *shape, double *offset,
                    double *scale)
{
    const char *dot = strrchr(name, '.');
    const char *leaf = dot ? dot + 1 : name;
    const bool is_weight = mld_streq(leaf, "weight");
    const int rank = shape->rank;
    int64_t fan_in;

    *offset = 0.0;
    *scale = 0.1;
    if (mld_streq(leaf, "running_var")) {
        *offset = 0.5;
        return;
    }
    if (rank <= 1 || (!is_weight && shape->d[rank - 1] == 1)) {
        *offset = rule_is_factor(leaf) ? 1.0 : 0.0;
        return;
    }
    fan_in = shape->d[rank - 1];
    if (is_weight) {
        fan_in = 1; /* count / shape[0] */
        for (int i = 1; i < rank; i++)
            fan_in *= shape->d[i];
    }
    *scale = sqrt(3.0 / (double)(fan_in > 1 ? fan_in : 1));
}

/* --- opening ---------------------------------------------------------------------- */

int mld_weights_from_names(struct mld_weights **out, struct mld_error *err)
{
    *out = mld_calloc(1, sizeof(**out));
    return *out ? 0 : mld_error_set(err, MLD_E_NO_MEMORY, "no memory for the weights");
}

void mld_weights_free(struct mld_weights *w)
{
    if (!w)
        return;
    mld_safetensors_close(w->file);
    mld_map_release(&w->bound);
    mld_free(w);
}

size_t mld_weights_unused(const struct mld_weights *w)
{
    return w->unused;
}

/* What is wrong with a file, by name: the first few and the count of the rest. */
struct complaint {
    struct mld_str text;
    size_t count;
};
#define COMPLAINTS_SHOWN 5

static void shape_add(struct mld_str *s, const int64_t *dims, int rank)
{
    mld_str_addc(s, '[');
    for (int i = 0; i < rank && i < MLD_MAX_RANK; i++)
        mld_str_addf(s, "%s%lld", i ? "," : "", (long long)dims[i]);
    mld_str_add(s, rank > MLD_MAX_RANK ? ",...]" : "]");
}

static bool shape_same(const struct mld_safetensor *t, const struct mld_shape *s)
{
    return t->rank == s->rank &&
           memcmp(t->dims, s->d, (size_t)s->rank * sizeof(t->dims[0])) == 0;
}

static const struct mld_safetensor *bind_find(const struct mld_weights *w,
                                              const struct mld_param *p,
                                              mld_weights_names_fn names, void *ctx)
{
    const char *list[NAMES_MAX];
    const struct mld_safetensor *t = mld_safetensors_find(w->file, p->name);
    const size_t n = t || !names ? 0 : names(ctx, p->name, list, NAMES_MAX);

    for (size_t i = 0; i < n && !t; i++)
        t = mld_safetensors_find(w->file, list[i]);
    return t;
}

/* Binds one parameter; what is wrong goes to the complaints. False: no memory. */
static bool bind_param(struct mld_weights *w, const struct mld_param *p,
                       mld_weights_names_fn names, void *ctx, struct mld_map *used,
                       struct complaint *missing, struct complaint *wrong)
{
    const struct mld_safetensor *t = bind_find(w, p, names, ctx);
    struct mld_safetensor *entry;

    if (!t) {
        if (missing->count++ < COMPLAINTS_SHOWN)
            mld_str_addf(&missing->text, "%s'%s'", missing->count > 1 ? ", " : "",
                         p->name);
        return true;
    }
    if (!shape_same(t, &p->shape) || !mld_safetensor_readable(t->type)) {
        if (wrong->count++ >= COMPLAINTS_SHOWN)
            return true;
        mld_str_addf(&wrong->text, "%s'%s' is %s", wrong->count > 1 ? ", " : "", t->name,
                     mld_safetensor_type_name(t->type));
        shape_add(&wrong->text, t->dims, t->rank);
        mld_str_add(&wrong->text, ", wanted ");
        shape_add(&wrong->text, p->shape.d, p->shape.rank);
        return true;
    }
    /* The maps hold pointers to the file's own entries, which nobody changes. */
    entry = (struct mld_safetensor *)(uintptr_t)t;
    return mld_map_set(&w->bound, p->name, entry) && mld_map_set(used, t->name, entry);
}

static int bind_report(const char *path, size_t params, const struct complaint *missing,
                       const struct complaint *wrong, struct mld_error *err)
{
    const struct complaint *c = missing->count ? missing : wrong;
    char more[32] = "";

    if (c->count == 0)
        return 0;
    if (c->count > COMPLAINTS_SHOWN)
        snprintf(more, sizeof(more), " and %zu more", c->count - COMPLAINTS_SHOWN);
    if (c == missing)
        return mld_error_set(err, MLD_E_INVALID,
                             "weights '%s' lack %zu of %zu tensors: %s%s", path, c->count,
                             params, mld_str_c(&c->text), more);
    return mld_error_set(err, MLD_E_INVALID,
                         "weights '%s' do not fit the model in %zu of %zu tensors: %s%s",
                         path, c->count, params, mld_str_c(&c->text), more);
}

int mld_weights_from_file(struct mld_safetensors *file, const struct mld_graph *g,
                          mld_weights_names_fn names, void *ctx, struct mld_weights **out,
                          struct mld_error *err)
{
    struct mld_weights *w = mld_calloc(1, sizeof(*w));
    struct complaint missing = {0}, wrong = {0};
    struct mld_map used = {0};
    bool ok = true;
    int rc;

    *out = NULL;
    if (!w) {
        mld_safetensors_close(file);
        return mld_error_set(err, MLD_E_NO_MEMORY, "no memory for the weights");
    }
    w->file = file;
    for (size_t i = 0; ok && i < g->param_count; i++)
        ok = bind_param(w, g->params[i], names, ctx, &used, &missing, &wrong);
    if (!ok)
        rc = mld_error_set(err, MLD_E_NO_MEMORY, "no memory for the weights");
    else
        rc = bind_report(mld_safetensors_path(file), g->param_count, &missing, &wrong,
                         err);
    if (rc == 0)
        w->unused = mld_safetensors_count(file) - used.count;
    mld_map_release(&used);
    mld_str_release(&missing.text);
    mld_str_release(&wrong.text);
    if (rc != 0) {
        mld_weights_free(w);
        return rc;
    }
    *out = w;
    return 0;
}
