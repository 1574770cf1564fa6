/* cmd_models.c: `mldyno models` and `mldyno models show NAME-OR-FILE`. */
#include "cli/cli.h"

#include "app/inventory.h"
#include "app/row.h"
#include "base/alloc.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

struct models_args {
    struct mld_cli_common common;
    struct mld_strings categories;
};

static const struct mld_option models_options[] = {
    {.name = "category",
     MLD_OPT_FIELD(STRINGS, struct models_args, categories),
     .value_name = "NAME,...",
     .help = "only models of these categories"},
    {.name = NULL}};

static const char *modes_text(uint32_t modes, char *buf, size_t n)
{
    size_t at = 0;
    buf[0] = '\0';
    for (int m = 0; m < MLD_MODE_COUNT && at < n; m++)
        if (modes & (1u << m))
            at += (size_t)snprintf(buf + at, n - at, "%s%s", at ? "," : "",
                                   mld_mode_name((enum mld_mode)m));
    return buf;
}

static int wanted_categories(const struct mld_strings *names, uint32_t *bits,
                             struct mld_error *err)
{
    *bits = names->count ? 0 : ~0u;
    for (size_t i = 0; i < names->count; i++) {
        int found = -1;
        for (int c = 0; c < MLD_CATEGORY_COUNT; c++)
            if (strcmp(mld_category_name((enum mld_category)c), names->items[i]) == 0)
                found = c;
        if (found < 0)
            return mld_error_set(err, MLD_E_NOT_FOUND, "unknown category '%s'",
                                 names->items[i]);
        *bits |= 1u << found;
    }
    return 0;
}

static int models_main(const struct mld_command *cmd, void *args,
                       const struct mld_strings *operands, struct mld_error *err)
{
    static const struct mld_column columns[] = {
        {"name", NULL, MLD_LEFT},       {"kind", NULL, MLD_LEFT},
        {"model_type", NULL, MLD_LEFT}, {"class", NULL, MLD_LEFT},
        {"family", NULL, MLD_LEFT},     {"categories", NULL, MLD_LEFT},
        {"modes", NULL, MLD_LEFT},      {"parameters", NULL, MLD_RIGHT}};
    const struct models_args *a = args;
    struct mld_inventory_model *list = NULL;
    struct mld_table *t = NULL;
    uint32_t bits = 0;
    size_t n = 0;
    (void)cmd;
    (void)operands;
    MLD_TRY(wanted_categories(&a->categories, &bits, err));
    int rc = mld_inventory_models(&list, &n, err);
    if (rc == 0)
        rc = mld_table_new(columns, sizeof columns / sizeof *columns, &t, err);
    for (size_t i = 0; i < n && rc == 0; i++) {
        const struct mld_inventory_model *m = &list[i];
        char text[256], human[32];
        if (!(m->categories & bits))
            continue;
        mld_table_row(t);
        mld_table_text(t, m->name);
        mld_table_text(t, m->is_type ? "type" : "checkpoint");
        mld_table_text(t, m->model_type);
        mld_table_text(t, m->class_name);
        mld_table_text(t, m->family);
        mld_table_text(t, mld_row_categories(m->categories, text, sizeof text));
        mld_table_text(t, modes_text(m->modes, text, sizeof text));
        if (m->parameters >= 0)
            mld_table_int(t, m->parameters,
                          mld_human_count((double)m->parameters, human, sizeof human));
        else
            mld_table_none(t, NULL);
    }
    if (rc == 0)
        rc = mld_cli_print_table(t, a->common.format, err);
    mld_table_free(t);
    mld_free(list);
    return rc;
}

/* --- models show -------------------------------------------------------------------- */

struct show_args {
    struct mld_cli_common common;
    struct mld_cli_shape shape;
    int64_t batch;
};

static const struct mld_option show_options[] = {
    {.name = "batch-size",
     MLD_OPT_FIELD(INT, struct show_args, batch),
     .value_name = "N",
     .help = "batch size of the costs",
     .fallback = "1",
     .min = 1,
     .max = 1000000},
    MLD_CLI_SHAPE_OPTIONS(struct show_args, shape),
    {.name = NULL}};

static struct mld_json *show_json(const struct mld_model *m,
                                  const struct mld_model_facts *f)
{
    struct mld_json *o = mld_json_new_object(), *list = mld_json_new_array();
    mld_json_set(o, "model", mld_json_new_str(m->label));
    mld_json_set(o, "model_type", mld_json_new_str(f->info.model_type));
    mld_json_set(o, "class", mld_json_new_str(f->info.class_name));
    mld_json_set(o, "checkpoint", mld_json_new_str(m->checkpoint));
    mld_json_set(o, "family", mld_json_new_str(m->type->family));
    for (int c = 0; c < MLD_CATEGORY_COUNT; c++)
        if (f->info.categories & (1u << c))
            mld_json_push(list,
                          mld_json_new_str(mld_category_name((enum mld_category)c)));
    mld_json_set(o, "categories", list);
    mld_json_set(o, "parameters", mld_json_new_int(f->parameters));
    mld_json_set(o, "tensors", mld_json_new_int(f->tensors));
    mld_json_set(o, "digest", mld_json_new_str(f->digest));
    mld_json_set(o, "layers", mld_json_new_int(f->info.layers));
    mld_json_set(o, "nodes", mld_json_new_int(f->nodes));
    mld_json_set(o, "batch_size", mld_json_new_int(f->info.shapes.batch));
    mld_json_set(o, "flops", mld_json_new_num(f->cost.flops));
    mld_json_set(o, "matmul_flops", mld_json_new_num(f->cost.matmul_flops));
    mld_json_set(o, "weight_bytes", mld_json_new_num(f->cost.weight_bytes));
    mld_json_set(o, "activation_peak_bytes",
                 mld_json_new_num(f->cost.activation_peak_bytes));
    return o;
}

static int show_table(const struct mld_model *m, const struct mld_model_facts *f,
                      int64_t format, struct mld_error *err)
{
    static const struct mld_column columns[] = {{"fact", NULL, MLD_LEFT},
                                                {"value", NULL, MLD_LEFT}};
    struct mld_table *t = NULL;
    struct mld_json *o = show_json(m, f);
    MLD_TRY(mld_table_new(columns, 2, &t, err));
    for (const struct mld_json *v = mld_json_first(o); v; v = mld_json_next(v)) {
        const char *key = mld_json_key(v);
        char text[64];
        mld_table_row(t);
        mld_table_text(t, key);
        if (mld_json_is(v, MLD_JSON_NUMBER) && mld_str_ends(key, "bytes"))
            mld_table_text(t, mld_human_bytes((int64_t)mld_json_num(v, 0), text, 64));
        else if (mld_json_is(v, MLD_JSON_NUMBER) && mld_str_ends(key, "flops"))
            mld_table_text(t, mld_human_count(mld_json_num(v, 0), text, 64));
        else if (mld_json_is(v, MLD_JSON_NUMBER)) {
            snprintf(text, sizeof text, "%.0f", mld_json_num(v, 0));
            mld_table_text(t, text);
        } else if (mld_json_is(v, MLD_JSON_ARRAY)) {
            char list[256];
            mld_table_text(t, mld_row_categories(f->info.categories, list, sizeof list));
        } else {
            mld_table_text(t, mld_json_str(v, NULL));
        }
    }
    int rc = mld_cli_print_table(t, format, err);
    mld_table_free(t);
    mld_json_free(o);
    return rc;
}

static int show_main(const struct mld_command *cmd, void *args,
                     const struct mld_strings *operands, struct mld_error *err)
{
    const struct show_args *a = args;
    struct mld_arena arena = {0};
    struct mld_model m;
    struct mld_model_facts facts;
    struct mld_arch_shapes shapes = mld_cli_shapes(&a->shape, a->batch);
    (void)cmd;
    int rc =
        mld_model_resolve(operands->items[0], a->shape.class_name, NULL, &arena, &m, err);
    if (rc != 0) {
        mld_arena_release(&arena);
        return rc;
    }
    rc = mld_model_facts(&m, &shapes, a->shape.layers, &facts, err);
    if (rc == 0 && a->common.format == MLD_FORMAT_JSON) {
        struct mld_json *o = show_json(&m, &facts);
        rc = mld_cli_print_json(o, err);
        mld_json_free(o);
    } else if (rc == 0) {
        rc = show_table(&m, &facts, a->common.format, err);
    }
    mld_model_release(&m);
    mld_arena_release(&arena);
    return rc;
}

const struct mld_command mld_cmd_models = {
    .name = "models",
    .summary = "list the model types and checkpoints that are known",
    .options = models_options,
    .common = mld_cli_common_options,
    .args_size = sizeof(struct models_args),
    .run = models_main};

const struct mld_command mld_cmd_models_show = {
    .name = "models show",
    .operands = "NAME-OR-FILE",
    .operand_min = 1,
    .operand_max = 1,
    .summary = "tell a model's class, parameters, digest and costs",
    .details =
        "NAME-OR-FILE is a type, a checkpoint, a config.json, a folder with one, or a\n"
        "golden file. Nothing is run and no weights are made.",
    .examples = "  mldyno models show bert-base-uncased\n"
                "  mldyno models show ./config.json --format json",
    .options = show_options,
    .common = mld_cli_common_options,
    .args_size = sizeof(struct show_args),
    .run = show_main};
