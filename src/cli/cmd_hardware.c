/* cmd_hardware.c: `mldyno hardware`: platforms, devices, engines, and why not. */
#include "cli/cli.h"

#include "app/inventory.h"

#include <stdio.h>
#include <string.h>

struct hardware_args {
    struct mld_cli_common common;
    const char *help_backend;
    bool machine;
};

static const struct mld_option hardware_options[] = {
    {.name = "help-backend",
     MLD_OPT_FIELD(STRING, struct hardware_args, help_backend),
     .value_name = "NAME",
     .help = "list the options (-o key=value) of one backend"},
    {.name = "machine",
     MLD_OPT_FIELD(FLAG, struct hardware_args, machine),
     .help = "the machine itself instead: CPU, caches, memory, system"},
    {.name = NULL}};

static int print_backend_options(const char *name, int64_t format, struct mld_error *err)
{
    static const struct mld_column columns[] = {{"option", NULL, MLD_LEFT},
                                                {"value", NULL, MLD_LEFT},
                                                {"default", NULL, MLD_LEFT},
                                                {"help", NULL, MLD_LEFT}};
    const struct mld_backend_state *states;
    const char *names[64];
    size_t n, i = 0;
    struct mld_table *t = NULL;
    MLD_TRY(mld_inventory_hardware(&states, &n, err));
    for (size_t k = 0; k < n && k < 64; k++)
        names[k] = states[k].ops->name;
    while (i < n && strcmp(states[i].ops->name, name) != 0)
        i++;
    if (i == n) {
        const char *near = mld_str_nearest(name, names, n < 64 ? n : 64);
        return mld_error_set(err, MLD_E_NOT_FOUND,
                             "unknown backend '%s'%s%s%s: 'mldyno "
                             "hardware' lists all",
                             name, near ? " (did you mean '" : "", near ? near : "",
                             near ? "'?)" : "");
    }
    MLD_TRY(mld_table_new(columns, 4, &t, err));
    for (const struct mld_backend_option *o = states[i].ops->options; o && o->key; o++) {
        mld_table_row(t);
        mld_table_text(t, o->key);
        mld_table_text(t, o->value_name);
        mld_table_text(t, o->fallback);
        mld_table_text(t, o->help);
    }
    int rc = mld_cli_print_table(t, format, err);
    mld_table_free(t);
    return rc;
}

static int print_machine(int64_t format, struct mld_error *err)
{
    static const struct mld_column columns[] = {{"fact", NULL, MLD_LEFT},
                                                {"value", NULL, MLD_LEFT}};
    struct mld_environment e;
    struct mld_table *t = NULL;
    MLD_TRY(mld_inventory_machine(&e, err));
    struct mld_json *o = mld_environment_json(&e);
    if (format == MLD_FORMAT_JSON) {
        int rc = mld_cli_print_json(o, err);
        mld_json_free(o);
        return rc;
    }
    MLD_TRY(mld_table_new(columns, 2, &t, err));
    for (const struct mld_json *v = mld_json_first(o); v; v = mld_json_next(v)) {
        const char *key = mld_json_key(v);
        char text[64];
        mld_table_row(t);
        mld_table_text(t, key);
        if (mld_json_is(v, MLD_JSON_NUMBER) && strstr(key, "bytes"))
            mld_table_text(t, mld_human_bytes(mld_json_int(v, -1), text, sizeof text));
        else if (mld_json_is(v, MLD_JSON_NUMBER)) {
            snprintf(text, sizeof text, "%.10g", mld_json_num(v, 0));
            mld_table_text(t, text);
        } else {
            mld_table_text(t, mld_json_str(v, NULL));
        }
    }
    mld_json_free(o);
    int rc = mld_cli_print_table(t, format, err);
    mld_table_free(t);
    return rc;
}

static void hardware_row(struct mld_table *t, const struct mld_backend_state *s,
                         const struct mld_device *d)
{
    char text[32];
    mld_table_row(t);
    mld_table_text(t, s->ops->name);
    mld_table_text(t, d ? d->platform : NULL);
    mld_table_text(t, d ? d->id : NULL);
    mld_table_text(t, d ? d->name : NULL);
    if (d && d->memory_bytes)
        mld_table_int(t, (int64_t)d->memory_bytes,
                      mld_human_bytes((int64_t)d->memory_bytes, text, sizeof text));
    else
        mld_table_none(t, NULL);
    mld_table_text(t, s->probe.engine);
    mld_table_text(t, *s->probe.version ? s->probe.version : NULL);
    mld_table_bool(t, s->probe.usable && d);
    const char *reason = *s->probe.reason    ? s->probe.reason
                         : *s->error.message ? s->error.message
                         : s->ops->flags & MLD_BACKEND_SYNTHETIC
                             ? "computes nothing real: never part of --hardware all"
                             : NULL;
    mld_table_text(t, reason);
}

static int hardware_main(const struct mld_command *cmd, void *args,
                         const struct mld_strings *operands, struct mld_error *err)
{
    static const struct mld_column columns[] = {{"backend", NULL, MLD_LEFT},
                                                {"platform", NULL, MLD_LEFT},
                                                {"device", NULL, MLD_LEFT},
                                                {"name", NULL, MLD_LEFT},
                                                {"memory_bytes", "memory", MLD_RIGHT},
                                                {"engine", NULL, MLD_LEFT},
                                                {"version", NULL, MLD_LEFT},
                                                {"usable", NULL, MLD_LEFT},
                                                {"note", NULL, MLD_LEFT}};
    const struct hardware_args *a = args;
    const struct mld_backend_state *states;
    struct mld_table *t = NULL;
    size_t n;
    (void)cmd;
    (void)operands;
    if (a->help_backend)
        return print_backend_options(a->help_backend, a->common.format, err);
    if (a->machine)
        return print_machine(a->common.format, err);
    MLD_TRY(mld_inventory_hardware(&states, &n, err));
    MLD_TRY(mld_table_new(columns, sizeof columns / sizeof *columns, &t, err));
    for (size_t i = 0; i < n; i++) {
        for (size_t d = 0; d < states[i].device_count; d++)
            hardware_row(t, &states[i], &states[i].devices[d]);
        if (states[i].device_count == 0)
            hardware_row(t, &states[i], NULL);
    }
    int rc = mld_cli_print_table(t, a->common.format, err);
    mld_table_free(t);
    return rc;
}

const struct mld_command mld_cmd_hardware = {
    .name = "hardware",
    .summary = "list platforms, devices and engines, and why one cannot be used",
    .examples = "  mldyno hardware\n  mldyno hardware --machine\n"
                "  mldyno hardware --help-backend ort",
    .options = hardware_options,
    .common = mld_cli_common_options,
    .args_size = sizeof(struct hardware_args),
    .run = hardware_main};
