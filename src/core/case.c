/* case.c: a case as JSON and back. The worker trusts nothing: every field is checked for
 * type and range, so that a damaged case is a message and not a crash. */
#include "core/case.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

static const char *const case_status_names[] = {
#define X(upper, lower, help) lower,
    MLD_STATUSES(X)
#undef X
};
_Static_assert(sizeof(case_status_names) / sizeof(*case_status_names) == MLD_STATUS_COUNT,
               "a name for each status");

const char *mld_status_name(enum mld_status s)
{
    return (unsigned)s < MLD_STATUS_COUNT ? case_status_names[s] : "unknown";
}

int mld_status_parse(const char *name)
{
    for (int i = 0; i < MLD_STATUS_COUNT; i++)
        if (mld_streq(name, case_status_names[i]))
            return i;
    return -1;
}

static const char *const case_phase_names[] = {
#define X(upper, lower) lower,
    MLD_PHASES(X)
#undef X
};
_Static_assert(sizeof(case_phase_names) / sizeof(*case_phase_names) == MLD_PHASE_COUNT,
               "a name for each phase");

const char *mld_phase_name(enum mld_phase p)
{
    return (unsigned)p < MLD_PHASE_COUNT ? case_phase_names[p] : "unknown";
}

static const char *const case_tasks[] = {"measure", "outputs"};

/* --- out -------------------------------------------------------------------------- */

static struct mld_json *case_dims_json(const int64_t *dims, int rank)
{
    struct mld_json *a = mld_json_new_array();
    for (int i = 0; i < rank; i++)
        mld_json_push(a, mld_json_new_int(dims[i]));
    return a;
}

static struct mld_json *case_tensor_json(const char *name, enum mld_dtype dtype,
                                         const int64_t *dims, int rank)
{
    struct mld_json *t = mld_json_new_object();
    mld_json_set(t, "name", mld_json_new_str(name));
    mld_json_set(t, "dtype", mld_json_new_str(mld_dtype_name(dtype)));
    mld_json_set(t, "shape", case_dims_json(dims, rank));
    return t;
}

static struct mld_json *case_input_json(const struct mld_case_input *in)
{
    struct mld_json *t = case_tensor_json(in->name, in->dtype, in->dims, in->rank);
    mld_json_set(t, "fill", mld_json_new_str(in->fill));
    mld_json_set(t, "stream", mld_json_new_str(in->stream));
    mld_json_set(t, "low", mld_json_new_int(in->low));
    mld_json_set(t, "high", mld_json_new_int(in->high));
    mld_json_set(t, "state_output", mld_json_new_int(in->state_output));
    if (in->value_count > 0) {
        struct mld_json *values = mld_json_new_array();
        for (size_t i = 0; i < in->value_count; i++)
            mld_json_push(values, mld_json_new_num(in->values[i]));
        mld_json_set(t, "values", values);
    }
    return t;
}

static struct mld_json *case_budget_json(const struct mld_budget *b)
{
    struct mld_json *o = mld_json_new_object();
    mld_json_set(o, "min_time_ns", mld_json_new_int((int64_t)b->min_time_ns));
    mld_json_set(o, "max_time_ns", mld_json_new_int((int64_t)b->max_time_ns));
    mld_json_set(o, "min_samples", mld_json_new_int(b->min_samples));
    mld_json_set(o, "max_samples", mld_json_new_int(b->max_samples));
    mld_json_set(o, "warmup", mld_json_new_int(b->warmup));
    mld_json_set(o, "target_width", mld_json_new_num(b->target_width));
    mld_json_set(o, "timeout_ns", mld_json_new_int((int64_t)b->timeout_ns));
    return o;
}

struct mld_json *mld_case_to_json(const struct mld_case *c)
{
    struct mld_json *o = mld_json_new_object();
    mld_json_set(o, "backend", mld_json_new_str(c->backend));
    mld_json_set(o, "device", mld_json_new_str(c->device));
    mld_json_set(o, "onnx_path", mld_json_new_str(c->onnx_path));
    mld_json_set(o, "artifact_dir", mld_json_new_str(c->artifact_dir));
    mld_json_set(o, "precision", mld_json_new_str(c->precision));
    mld_json_set(o, "threads", mld_json_new_int(c->threads));
    /* A 64-bit seed may not fit a JSON integer: text. */
    char seed[32];
    snprintf(seed, sizeof(seed), "%llu", (unsigned long long)c->seed);
    mld_json_set(o, "seed", mld_json_new_str(seed));
    mld_json_set(o, "task", mld_json_new_str(case_tasks[c->task]));
    mld_json_set(o, "budget", case_budget_json(&c->budget));
    mld_json_set(o, "memory_limit_bytes",
                 mld_json_new_int((int64_t)c->memory_limit_bytes));
    struct mld_json *options = mld_json_new_array();
    for (size_t i = 0; i < c->option_count; i++) {
        struct mld_json *pair = mld_json_new_array();
        mld_json_push(pair, mld_json_new_str(c->options[i].key));
        mld_json_push(pair, mld_json_new_str(c->options[i].value));
        mld_json_push(options, pair);
    }
    mld_json_set(o, "options", options);
    struct mld_json *inputs = mld_json_new_array();
    for (size_t i = 0; i < c->input_count; i++)
        mld_json_push(inputs, case_input_json(&c->inputs[i]));
    mld_json_set(o, "inputs", inputs);
    struct mld_json *outputs = mld_json_new_array();
    for (size_t i = 0; i < c->output_count; i++)
        mld_json_push(outputs, case_tensor_json(c->outputs[i].name, c->outputs[i].dtype,
                                                c->outputs[i].dims, c->outputs[i].rank));
    mld_json_set(o, "outputs", outputs);
    return o;
}

/* --- in --------------------------------------------------------------------------- */

/* Where parsing is: an error names the field that is wrong. */
struct case_parse {
    struct mld_arena *arena;
    struct mld_error *err;
};

static int case_wrong(const struct case_parse *p, const char *key, const char *wanted)
{
    return mld_error_set(p->err, MLD_E_PARSE, "case: '%s' is not %s", key, wanted);
}

static int case_no_memory(const struct case_parse *p)
{
    return mld_error_set(p->err, MLD_E_NO_MEMORY, "no memory for a case");
}

/* Text; NULL when absent or null, which only some fields may be. */
static int case_get_text(const struct case_parse *p, const struct mld_json *o,
                         const char *key, bool required, const char **out)
{
    const struct mld_json *v = mld_json_get(o, key);
    *out = NULL;
    if (mld_json_type(v) == MLD_JSON_NULL && !required)
        return 0;
    if (!mld_json_is(v, MLD_JSON_STRING))
        return case_wrong(p, key, "a text");
    *out = mld_arena_strdup(p->arena, mld_json_str(v, ""));
    return *out ? 0 : case_no_memory(p);
}

static int case_get_int(const struct case_parse *p, const struct mld_json *o,
                        const char *key, int64_t low, int64_t high, int64_t *out)
{
    const struct mld_json *v = mld_json_get(o, key);
    int64_t a = mld_json_int(v, INT64_MIN), b = mld_json_int(v, INT64_MAX);
    if (!mld_json_is(v, MLD_JSON_NUMBER) || a != b || a < low || a > high)
        return case_wrong(p, key, "a whole number in range");
    *out = a;
    return 0;
}

static int case_get_u64(const struct case_parse *p, const struct mld_json *o,
                        const char *key, uint64_t *out)
{
    int64_t v = 0;
    MLD_TRY(case_get_int(p, o, key, 0, INT64_MAX, &v));
    *out = (uint64_t)v;
    return 0;
}

static int case_get_tensor(const struct case_parse *p, const struct mld_json *o,
                           const char **name, enum mld_dtype *dtype, int *rank,
                           int64_t dims[MLD_MAX_RANK])
{
    MLD_TRY(case_get_text(p, o, "name", true, name));
    int type = mld_dtype_parse(mld_json_str(mld_json_get(o, "dtype"), ""));
    if (type < 0)
        return case_wrong(p, "dtype", "a type of element");
    *dtype = (enum mld_dtype)type;
    const struct mld_json *shape = mld_json_get(o, "shape");
    size_t n = mld_json_count(shape);
    if (!mld_json_is(shape, MLD_JSON_ARRAY) || n > MLD_MAX_RANK)
        return case_wrong(p, "shape", "a list of at most 8 sizes");
    *rank = (int)n;
    size_t i = 0;
    int64_t count = 1;
    for (const struct mld_json *d = mld_json_first(shape); d; d = mld_json_next(d), i++) {
        dims[i] = mld_json_int(d, -1);
        if (dims[i] < 0 || (dims[i] > 0 && count > INT64_MAX / 8 / dims[i]))
            return case_wrong(p, "shape", "a list of sizes that memory can hold");
        count *= dims[i];
    }
    return 0;
}

static int case_get_values(const struct case_parse *p, const struct mld_json *o,
                           struct mld_case_input *in)
{
    const struct mld_json *values = mld_json_get(o, "values");
    in->value_count = mld_json_count(values);
    if (in->value_count == 0)
        return 0;
    double *copy = mld_arena_array(p->arena, in->value_count, sizeof(*copy));
    if (!copy)
        return case_no_memory(p);
    size_t i = 0;
    for (const struct mld_json *v = mld_json_first(values); v; v = mld_json_next(v)) {
        if (!mld_json_is(v, MLD_JSON_NUMBER))
            return case_wrong(p, "values", "a list of numbers");
        copy[i++] = mld_json_num(v, 0.0);
    }
    in->values = copy;
    return 0;
}

static int case_get_input(const struct case_parse *p, const struct mld_json *o,
                          struct mld_case_input *in)
{
    MLD_TRY(case_get_tensor(p, o, &in->name, &in->dtype, &in->rank, in->dims));
    MLD_TRY(case_get_text(p, o, "fill", true, &in->fill));
    MLD_TRY(case_get_text(p, o, "stream", false, &in->stream));
    MLD_TRY(case_get_int(p, o, "low", INT64_MIN, INT64_MAX, &in->low));
    MLD_TRY(case_get_int(p, o, "high", INT64_MIN, INT64_MAX, &in->high));
    int64_t state = -1;
    MLD_TRY(case_get_int(p, o, "state_output", -1, INT_MAX, &state));
    in->state_output = (int)state;
    return case_get_values(p, o, in);
}

static int case_get_inputs(const struct case_parse *p, const struct mld_json *v,
                           struct mld_case *out)
{
    const struct mld_json *list = mld_json_get(v, "inputs");
    if (!mld_json_is(list, MLD_JSON_ARRAY))
        return case_wrong(p, "inputs", "a list");
    out->input_count = mld_json_count(list);
    out->inputs = mld_arena_array(p->arena, out->input_count + 1, sizeof(*out->inputs));
    if (!out->inputs)
        return case_no_memory(p);
    size_t i = 0;
    for (const struct mld_json *o = mld_json_first(list); o; o = mld_json_next(o), i++) {
        MLD_TRY(case_get_input(p, o, &out->inputs[i]));
        if (out->inputs[i].state_output >= (int)out->output_count)
            return case_wrong(p, "state_output", "an output of the case");
    }
    return 0;
}

static int case_get_outputs(const struct case_parse *p, const struct mld_json *v,
                            struct mld_case *out)
{
    const struct mld_json *list = mld_json_get(v, "outputs");
    if (!mld_json_is(list, MLD_JSON_ARRAY))
        return case_wrong(p, "outputs", "a list");
    out->output_count = mld_json_count(list);
    out->outputs =
        mld_arena_array(p->arena, out->output_count + 1, sizeof(*out->outputs));
    if (!out->outputs)
        return case_no_memory(p);
    size_t i = 0;
    for (const struct mld_json *o = mld_json_first(list); o; o = mld_json_next(o), i++) {
        struct mld_case_output *t = &out->outputs[i];
        MLD_TRY(case_get_tensor(p, o, &t->name, &t->dtype, &t->rank, t->dims));
    }
    return 0;
}

static int case_get_options(const struct case_parse *p, const struct mld_json *v,
                            struct mld_case *out)
{
    const struct mld_json *list = mld_json_get(v, "options");
    if (!mld_json_is(list, MLD_JSON_ARRAY))
        return case_wrong(p, "options", "a list");
    out->option_count = mld_json_count(list);
    out->options =
        mld_arena_array(p->arena, out->option_count + 1, sizeof(*out->options));
    if (!out->options)
        return case_no_memory(p);
    size_t i = 0;
    for (const struct mld_json *o = mld_json_first(list); o; o = mld_json_next(o), i++) {
        const char *key = mld_json_str(mld_json_at(o, 0), NULL);
        const char *value = mld_json_str(mld_json_at(o, 1), NULL);
        if (!key || !value)
            return case_wrong(p, "options", "a list of pairs of texts");
        out->options[i].key = mld_arena_strdup(p->arena, key);
        out->options[i].value = mld_arena_strdup(p->arena, value);
        if (!out->options[i].key || !out->options[i].value)
            return case_no_memory(p);
    }
    return 0;
}

static int case_get_budget(const struct case_parse *p, const struct mld_json *v,
                           struct mld_budget *b)
{
    const struct mld_json *o = mld_json_get(v, "budget");
    if (!mld_json_is(o, MLD_JSON_OBJECT))
        return case_wrong(p, "budget", "an object");
    MLD_TRY(case_get_u64(p, o, "min_time_ns", &b->min_time_ns));
    MLD_TRY(case_get_u64(p, o, "max_time_ns", &b->max_time_ns));
    MLD_TRY(case_get_u64(p, o, "timeout_ns", &b->timeout_ns));
    MLD_TRY(case_get_int(p, o, "min_samples", 0, INT64_MAX, &b->min_samples));
    MLD_TRY(case_get_int(p, o, "max_samples", 1, INT64_MAX / 64, &b->max_samples));
    MLD_TRY(case_get_int(p, o, "warmup", -1, INT64_MAX / 64, &b->warmup));
    b->target_width = mld_json_num(mld_json_get(o, "target_width"), -1.0);
    if (!(b->target_width >= 0.0))
        return case_wrong(p, "target_width", "a share");
    return 0;
}

static int case_get_rest(const struct case_parse *p, const struct mld_json *v,
                         struct mld_case *out)
{
    int64_t threads = 0;
    MLD_TRY(case_get_int(p, v, "threads", 0, INT_MAX, &threads));
    out->threads = (int)threads;
    MLD_TRY(case_get_u64(p, v, "memory_limit_bytes", &out->memory_limit_bytes));
    const char *seed = mld_json_str(mld_json_get(v, "seed"), "");
    out->seed = 0;
    for (const char *c = seed; *c; c++) {
        unsigned digit = (unsigned)(unsigned char)*c - '0';
        if (digit > 9 || out->seed > (UINT64_MAX - digit) / 10)
            return case_wrong(p, "seed", "a whole number in a text");
        out->seed = out->seed * 10 + digit;
    }
    const char *task = mld_json_str(mld_json_get(v, "task"), "");
    if (mld_streq(task, case_tasks[MLD_TASK_MEASURE]))
        out->task = MLD_TASK_MEASURE;
    else if (mld_streq(task, case_tasks[MLD_TASK_OUTPUTS]))
        out->task = MLD_TASK_OUTPUTS;
    else
        return case_wrong(p, "task", "'measure' or 'outputs'");
    return 0;
}

int mld_case_from_json(const struct mld_json *v, struct mld_arena *arena,
                       struct mld_case *out, struct mld_error *err)
{
    const struct case_parse p = {arena, err};
    memset(out, 0, sizeof(*out));
    if (!mld_json_is(v, MLD_JSON_OBJECT))
        return mld_error_set(err, MLD_E_PARSE, "case: not an object");
    MLD_TRY(case_get_text(&p, v, "backend", true, &out->backend));
    MLD_TRY(case_get_text(&p, v, "device", true, &out->device));
    MLD_TRY(case_get_text(&p, v, "onnx_path", false, &out->onnx_path));
    MLD_TRY(case_get_text(&p, v, "artifact_dir", false, &out->artifact_dir));
    MLD_TRY(case_get_text(&p, v, "precision", true, &out->precision));
    MLD_TRY(case_get_rest(&p, v, out));
    MLD_TRY(case_get_budget(&p, v, &out->budget));
    MLD_TRY(case_get_options(&p, v, out));
    MLD_TRY(case_get_outputs(&p, v, out));
    return case_get_inputs(&p, v, out);
}
