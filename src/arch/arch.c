/* arch.c: from a request to a graph: which type, which class, which family.
 *
 * Looks the model type up in the tables, overlays the config on the type's defaults, lets
 * the family build, and checks that every requested input was used. */
#include "arch/arch_int.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char *const mode_names[] = {
#define X(upper, lower, help) lower,
    MLD_MODES(X)
#undef X
};
static const char *const category_names[] = {
#define X(upper, lower) lower,
    MLD_CATEGORIES(X)
#undef X
};

static const struct mld_arch_table *const tables[] = {
    &mld_arch_types_encoder,
    &mld_arch_types_decoder,
    &mld_arch_types_seq2seq,
    &mld_arch_types_vision,
};
#define TABLES (sizeof tables / sizeof tables[0])

const char *mld_mode_name(enum mld_mode m)
{
    return (unsigned)m < MLD_MODE_COUNT ? mode_names[m] : "unknown";
}

const char *mld_category_name(enum mld_category c)
{
    return (unsigned)c < MLD_CATEGORY_COUNT ? category_names[c] : "unknown";
}

/* --- tables ------------------------------------------------------------------------- */

size_t mld_arch_type_count(void)
{
    size_t n = 0;
    for (size_t i = 0; i < TABLES; i++)
        n += tables[i]->count;
    return n;
}

static const struct mld_arch_row *row_at(size_t at)
{
    for (size_t i = 0; i < TABLES; i++) {
        if (at < tables[i]->count)
            return &tables[i]->rows[at];
        at -= tables[i]->count;
    }
    return NULL;
}

const struct mld_arch_type *mld_arch_type_at(size_t i)
{
    const struct mld_arch_row *row = row_at(i);
    return row != NULL ? &row->type : NULL;
}

const struct mld_arch_row *mld_arch_row_find(const char *model_type)
{
    for (size_t i = 0; i < mld_arch_type_count(); i++) {
        const struct mld_arch_row *row = row_at(i);
        if (mld_streq(row->type.model_type, model_type))
            return row;
    }
    return NULL;
}

const struct mld_arch_type *mld_arch_type_find(const char *model_type)
{
    const struct mld_arch_row *row = mld_arch_row_find(model_type);
    return row != NULL ? &row->type : NULL;
}

/* A public type is the head of its row. */
static const struct mld_arch_row *row_of(const struct mld_arch_type *type)
{
    return type != NULL ? mld_arch_row_find(type->model_type) : NULL;
}

const char *mld_arch_type_class(const struct mld_arch_type *type, size_t i)
{
    const struct mld_arch_row *row = row_of(type);
    if (row == NULL)
        return NULL;
    size_t n = 0;
    while (row->classes[n].name != NULL)
        n++;
    return i < n ? row->classes[i].name : NULL;
}

const struct mld_class *mld_arch_class_find(const struct mld_arch_row *row,
                                            const char *name)
{
    for (size_t i = 0; row->legacy_classes != NULL && row->legacy_classes[i][0] != NULL;
         i++) {
        if (mld_streq(row->legacy_classes[i][0], name))
            name = row->legacy_classes[i][1];
    }
    for (const struct mld_class *c = row->classes; c->name != NULL; c++) {
        if (mld_streq(c->name, name))
            return c;
    }
    return NULL;
}

bool mld_arch_class_mode(const struct mld_arch_type *type, const char *class_name,
                         enum mld_mode mode)
{
    const struct mld_arch_row *row = row_of(type);
    const struct mld_class *cls =
        row != NULL ? mld_arch_class_find(row, class_name) : NULL;
    if (cls == NULL || (row->type.modes & 1u << mode) == 0)
        return false;
    return mode == MLD_MODE_FORWARD || (cls->flags & MLD_CLASS_CACHE) != 0;
}

const char *mld_arch_nearest(const char *name)
{
    size_t types = mld_arch_type_count(), known = mld_checkpoint_count();
    const char *best = NULL;
    size_t best_distance = SIZE_MAX;
    for (size_t i = 0; i < types + known; i++) {
        const char *one =
            i < types ? row_at(i)->type.model_type : mld_checkpoint_at(i - types)->name;
        const char *near = mld_str_nearest(name, &one, 1);
        size_t d = near != NULL ? mld_str_distance(name, one) : SIZE_MAX;
        if (d < best_distance) {
            best = one;
            best_distance = d;
        }
    }
    return best;
}

/* --- which type and class ----------------------------------------------------------- */

static const char *architecture(const struct mld_json *config)
{
    return mld_json_str(mld_json_at(mld_json_get(config, "architectures"), 0), NULL);
}

/* Configs from before 2020 have no model_type: the class tells it. */
static const struct mld_arch_row *row_by_class(const char *class_name)
{
    if (class_name == NULL)
        return NULL;
    for (size_t i = 0; i < mld_arch_type_count(); i++) {
        if (mld_arch_class_find(row_at(i), class_name) != NULL)
            return row_at(i);
    }
    return NULL;
}

/* Writes the fault and returns its code, which no caller can take for success. */
static int unknown_type(const char *name, struct mld_error *err)
{
    const char *near = mld_arch_nearest(name);
    (void)mld_error_set(err, MLD_E_NOT_FOUND, "unknown model type '%.60s'%s%s%s", name,
                        near != NULL ? ", did you mean '" : "", near != NULL ? near : "",
                        near != NULL ? "'?" : ", 'mldyno models' lists all");
    return MLD_E_NOT_FOUND;
}

static int untyped(const char *class_name, struct mld_error *err)
{
    if (class_name != NULL)
        (void)mld_error_set(err, MLD_E_NOT_FOUND,
                            "config: no 'model_type', and its class '%.80s' is not known",
                            class_name);
    else
        (void)mld_error_set(
            err, MLD_E_NOT_FOUND,
            "config: 'model_type' is missing, name one, for example \"bert\"");
    return MLD_E_NOT_FOUND;
}

static int malformed(const char *what, struct mld_error *err)
{
    (void)mld_error_set(err, MLD_E_INVALID, "config: %s", what);
    return MLD_E_INVALID;
}

static int find_row(const struct mld_arch_request *req, const struct mld_arch_row **row,
                    struct mld_error *err)
{
    const struct mld_json *given = mld_json_get(req->config, "model_type");
    const char *name =
        req->model_type != NULL ? req->model_type : mld_json_str(given, NULL);
    if (req->config != NULL && !mld_json_is(req->config, MLD_JSON_OBJECT))
        return malformed("an object is needed", err);
    if (name != NULL) {
        *row = mld_arch_row_find(name);
        return *row != NULL ? 0 : unknown_type(name, err);
    }
    if (given != NULL && !mld_json_is(given, MLD_JSON_NULL))
        return malformed("'model_type' must be a text", err);
    const char *class_name =
        req->class_name != NULL ? req->class_name : architecture(req->config);
    *row = row_by_class(class_name);
    return *row != NULL ? 0 : untyped(class_name, err);
}

static int find_class(const struct mld_arch_request *req, const struct mld_arch_row *row,
                      const struct mld_class **cls, struct mld_error *err)
{
    const char *name = req->class_name;
    if (name == NULL)
        name = architecture(req->config);
    if (name == NULL)
        name = row->type.default_class;
    *cls = mld_arch_class_find(row, name);
    if (*cls != NULL)
        return 0;
    const char *near = NULL;
    size_t best = SIZE_MAX;
    for (const struct mld_class *c = row->classes; c->name != NULL; c++) {
        if (mld_str_distance(name, c->name) < best) {
            best = mld_str_distance(name, c->name);
            near = c->name;
        }
    }
    return mld_error_set(err, MLD_E_NOT_FOUND,
                         "model type '%s' has no class '%.80s', nearest is '%s'",
                         row->type.model_type, name, near);
}

/* --- helpers of the families -------------------------------------------------------- */

bool mld_arch_failed(const struct mld_arch_ctx *ctx)
{
    return mld_graph_check(ctx->g, NULL) != 0;
}

const char *mld_arch_name(struct mld_arch_ctx *ctx, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    const char *out = mld_arena_strdup(ctx->arena, text);
    if (out == NULL)
        mld_graph_fail(ctx->g, MLD_E_NO_MEMORY, "out of memory");
    return out != NULL ? out : "";
}

mld_v mld_arch_param(struct mld_arch_ctx *ctx, const char *name, struct mld_shape shape)
{
    const char *full = mld_arch_name(ctx, "%s%s", ctx->cls->prefix, name);
    int64_t count = mld_shape_count(&shape);
    if (count < 0 || count > MLD_ARCH_MAX_VALUES)
        return mld_graph_fail(ctx->g, MLD_E_TOO_LARGE,
                              "config: parameter '%s' would have over %lld values", full,
                              (long long)MLD_ARCH_MAX_VALUES);
    return mld_graph_param(ctx->g, full, shape);
}

const struct mld_arch_input *mld_arch_requested(const struct mld_arch_ctx *ctx,
                                                const char *name)
{
    for (size_t i = 0; ctx->req->inputs != NULL && i < ctx->req->input_count; i++) {
        if (mld_streq(ctx->req->inputs[i].name, name))
            return &ctx->req->inputs[i];
    }
    return NULL;
}

static const char *shape_text(const struct mld_shape *s, char *text, size_t n)
{
    size_t at = 0;
    text[0] = '\0';
    for (int i = 0; i < s->rank && at < n; i++) {
        const char *comma = i > 0 ? ", " : "";
        if (s->d[i] < 0)
            at += (size_t)snprintf(text + at, n - at, "%sany", comma);
        else
            at +=
                (size_t)snprintf(text + at, n - at, "%s%lld", comma, (long long)s->d[i]);
    }
    return text;
}

mld_v mld_arch_input(struct mld_arch_ctx *ctx, const char *name, enum mld_dtype dtype,
                     struct mld_shape shape, enum mld_fill fill, int64_t low,
                     int64_t high, bool by_default)
{
    if (ctx->req->inputs == NULL) {
        if (!by_default)
            return NULL;
        return mld_graph_input(ctx->g, name, dtype, shape, fill, low, high);
    }
    const struct mld_arch_input *in = mld_arch_requested(ctx, name);
    if (in == NULL)
        return NULL;
    ctx->input_used[in - ctx->req->inputs] = true;
    bool fits = in->shape.rank == shape.rank;
    for (int i = 0; fits && i < shape.rank; i++) {
        fits = in->shape.d[i] > 0 && (shape.d[i] < 0 || in->shape.d[i] == shape.d[i]);
    }
    if (!fits) {
        char got[128], want[128];
        return mld_graph_fail(ctx->g, MLD_E_INVALID,
                              "input '%s' has shape [%s], [%s] is needed", name,
                              shape_text(&in->shape, got, sizeof got),
                              shape_text(&shape, want, sizeof want));
    }
    mld_v v = mld_graph_input(ctx->g, name, in->dtype, in->shape, fill, low, high);
    return in->dtype == dtype ? v : mld_cast(ctx->g, v, dtype);
}

void mld_arch_id_range(struct mld_arch_ctx *ctx, int64_t vocab, int64_t *low,
                       int64_t *high)
{
    static const char *const special[] = {"pad_token_id", "bos_token_id", "eos_token_id",
                                          "decoder_start_token_id"};
    const struct mld_json *d = ctx->cfg.defaults;
    *low = mld_json_int(mld_json_get(d, "(first_id)"), 1);
    *high = mld_json_int(mld_json_get(d, "(last_id)"), vocab - 1) + 1;
    if (*low >= vocab / 2 || *high > vocab || *high <= *low) {
        *low = 0;
        *high = vocab;
    }
    for (size_t i = 0; i < sizeof special / sizeof special[0]; i++) {
        int64_t id = mld_json_int(mld_config_find(&ctx->cfg, special[i]), -1);
        if (id >= *low && id < vocab / 2)
            *low = id + 1;
        else if (id >= vocab / 2 && id < *high)
            *high = id;
    }
    if (*high <= *low) {
        *low = 0;
        *high = vocab;
    }
}

int64_t mld_arch_layers(struct mld_arch_ctx *ctx, const char *role)
{
    int64_t full = mld_config_int(&ctx->cfg, role, 0, MLD_CONFIG_MAX_LAYERS);
    int64_t cut =
        ctx->req->layers > 0 && ctx->req->layers < full ? ctx->req->layers : full;
    ctx->info->layers = cut;
    ctx->info->layers_full = full;
    return cut;
}

mld_v mld_arch_flatten_choices(struct mld_arch_ctx *ctx, mld_v x)
{
    if (x == NULL || (ctx->cls->flags & MLD_CLASS_CHOICES) == 0)
        return x;
    return mld_reshape(ctx->g, x, MLD_SHAPE(ctx->batch * ctx->choices, ctx->seq));
}

void *mld_arch_scratch(struct mld_arch_ctx *ctx, int64_t count, size_t bytes)
{
    if (count < 0 || count > (int64_t)1 << 28) {
        mld_graph_fail(ctx->g, MLD_E_TOO_LARGE,
                       "a table of %lld numbers is too large: use shorter sequences",
                       (long long)count);
        return NULL;
    }
    void *p = mld_arena_array(ctx->arena, count > 0 ? (size_t)count : 1, bytes);
    if (p == NULL)
        mld_graph_fail(ctx->g, MLD_E_NO_MEMORY, "out of memory");
    return p;
}

mld_v mld_arch_arange(struct mld_arch_ctx *ctx, enum mld_dtype dtype, int64_t n,
                      int64_t first, int64_t step, struct mld_shape shape)
{
    bool wide = dtype == MLD_I64;
    void *data = mld_arch_scratch(ctx, n, wide ? sizeof(int64_t) : sizeof(int32_t));
    if (data == NULL)
        return NULL;
    for (int64_t i = 0; i < n; i++) {
        if (wide)
            ((int64_t *)data)[i] = first + i * step;
        else
            ((int32_t *)data)[i] = (int32_t)(first + i * step);
    }
    return mld_graph_const(ctx->g, wide ? MLD_I64 : MLD_I32, shape, data);
}

/* --- the build ---------------------------------------------------------------------- */

/* Present buffers go out behind the other outputs, each tied to its input. */
static void cache_outputs(struct mld_arch_ctx *ctx)
{
    static const char *const parts[2] = {"key", "value"};
    for (int64_t i = 0; i < ctx->cache.count; i++) {
        const char *in = mld_arch_name(ctx, "past_key_values.%lld.%s", (long long)(i / 2),
                                       parts[i % 2]);
        const char *out =
            mld_arch_name(ctx, "present.%lld.%s", (long long)(i / 2), parts[i % 2]);
        mld_graph_output(ctx->g, out, ctx->cache.present[i]);
        mld_graph_state(ctx->g, in, out);
    }
}

static void check_inputs(struct mld_arch_ctx *ctx)
{
    for (size_t i = 0; ctx->req->inputs != NULL && i < ctx->req->input_count; i++) {
        if (!ctx->input_used[i])
            mld_graph_fail(ctx->g, MLD_E_UNSUPPORTED, "'%s' takes no input '%.80s'",
                           ctx->cls->name, ctx->req->inputs[i].name);
    }
}

/* All parameters together, without overflow on the way. */
static void check_size(struct mld_arch_ctx *ctx)
{
    int64_t total = 0;
    for (size_t i = 0; i < ctx->g->param_count; i++) {
        total += mld_shape_count(&ctx->g->params[i]->shape);
        if (total > MLD_ARCH_MAX_VALUES) {
            mld_graph_fail(ctx->g, MLD_E_TOO_LARGE,
                           "config: '%s' would have over %lld parameters", ctx->cls->name,
                           (long long)MLD_ARCH_MAX_VALUES);
            return;
        }
    }
}

static int check_request(const struct mld_arch_request *req,
                         const struct mld_arch_row *row, const struct mld_class *cls,
                         struct mld_error *err)
{
    if (!mld_arch_class_mode(&row->type, cls->name, req->mode))
        return mld_error_set(
            err, MLD_E_UNSUPPORTED,
            "'%s' cannot run in mode '%s', only models that generate can", cls->name,
            mld_mode_name(req->mode));
    return 0;
}

static int build(const struct mld_arch_request *req, const struct mld_arch_row *row,
                 const struct mld_class *cls, const struct mld_json *defaults,
                 struct mld_arena *arena, struct mld_graph **out,
                 struct mld_arch_info *info, struct mld_error *err)
{
    struct mld_graph *g = mld_graph_new(arena, cls->name);
    bool *used = mld_arena_array(arena, req->input_count + 1, sizeof *used);
    if (g == NULL || used == NULL) {
        mld_graph_release(g);
        return mld_error_set(err, MLD_E_NO_MEMORY, "out of memory");
    }
    struct mld_arch_ctx ctx = {.req = req,
                               .row = row,
                               .cls = cls,
                               .g = g,
                               .arena = arena,
                               .info = info,
                               .input_used = used,
                               .choices = 1,
                               .cfg = {.graph = g,
                                       .object = req->config,
                                       .defaults = defaults,
                                       .names = row->names,
                                       .path = ""}};
    row->build(&ctx);
    if (!mld_arch_failed(&ctx)) {
        cache_outputs(&ctx);
        check_inputs(&ctx);
        check_size(&ctx);
    }
    int rc = mld_graph_check(g, err);
    if (rc != 0) {
        mld_graph_release(g);
        return rc;
    }
    *out = g;
    return 0;
}

int mld_arch_build(const struct mld_arch_request *req, struct mld_arena *arena,
                   struct mld_graph **out, struct mld_arch_info *info,
                   struct mld_error *err)
{
    const struct mld_arch_row *row;
    const struct mld_class *cls;
    struct mld_json *defaults = NULL;
    struct mld_arch_info local;
    info = info != NULL ? info : &local;
    *out = NULL;
    MLD_TRY(find_row(req, &row, err));
    MLD_TRY(find_class(req, row, &cls, err));
    MLD_TRY(check_request(req, row, cls, err));
    *info = (struct mld_arch_info){.model_type = row->type.model_type,
                                   .class_name = cls->name,
                                   .categories = row->type.categories,
                                   .shapes = {.batch = -1,
                                              .seq = -1,
                                              .decoder_seq = -1,
                                              .image_size = -1,
                                              .capacity = -1,
                                              .new_tokens = -1}};
    MLD_TRY(mld_json_parse(row->defaults, strlen(row->defaults), row->type.model_type,
                           &defaults, err));
    int rc = build(req, row, cls, defaults, arena, out, info, err);
    mld_json_free(defaults);
    return rc;
}

const char *mld_arch_infer_type(const struct mld_json *config)
{
    const struct mld_arch_row *row = row_by_class(architecture(config));
    return row != NULL ? row->type.model_type : NULL;
}
