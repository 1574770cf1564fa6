/* test_core_case.c: a case goes to JSON and comes back, and nothing that is not one does.
 */
#include "kit/kit.h"

#include "base/alloc.h"
#include "core/case.h"

#include <stdio.h>
#include <string.h>

static const double values[] = {1.5, -2.0, 1e300};

static struct mld_case sample_case(void)
{
    static struct mld_key_value options[] = {{"latency", "1ms"}, {"noise", "none"}};
    static struct mld_case_input inputs[] = {
        {.name = "input_ids",
         .dtype = MLD_I64,
         .rank = 2,
         .dims = {8, 128},
         .fill = "ids",
         .stream = "input:x",
         .low = 1,
         .high = 30522,
         .state_output = -1},
        {.name = "past \"quoted\" \\ \xC3\xA9",
         .dtype = MLD_F32,
         .rank = 1,
         .dims = {3},
         .fill = "values",
         .values = values,
         .value_count = 3,
         .state_output = 1},
    };
    static struct mld_case_output outputs[] = {
        {.name = "logits", .dtype = MLD_F16, .rank = 0},
        {.name = "present", .dtype = MLD_F32, .rank = 1, .dims = {3}},
    };
    return (struct mld_case){
        .backend = "ort",
        .device = "cpu",
        .onnx_path = "/a/model.onnx",
        .precision = "fp32",
        .threads = 4,
        .seed = UINT64_MAX,
        .task = MLD_TASK_OUTPUTS,
        .budget = {.min_time_ns = 1,
                   .max_time_ns = 10000000000u,
                   .min_samples = 10,
                   .max_samples = 1000000,
                   .warmup = -1,
                   .target_width = 0.02,
                   .timeout_ns = 600000000000u},
        .memory_limit_bytes = 8ull << 30,
        .options = options,
        .option_count = 2,
        .inputs = inputs,
        .input_count = 2,
        .outputs = outputs,
        .output_count = 2,
    };
}

/* As the worker gets it: printed and parsed again. */
static struct mld_json *through_text(const struct mld_case *c)
{
    struct mld_json *v = mld_case_to_json(c), *back = NULL;
    char *text = mld_json_print(v, false);
    KIT_CHECK(v && text);
    KIT_OK(mld_json_parse(text, strlen(text), "case", &back, &kit_err));
    mld_json_free(v);
    mld_free(text);
    return back;
}

MLD_TEST(case__survives_json)
{
    const struct mld_case a = sample_case();
    struct mld_case b;
    struct mld_arena arena = {0};
    struct mld_json *v = through_text(&a);
    KIT_OK(mld_case_from_json(v, &arena, &b, &kit_err));
    mld_json_free(v); /* nothing of it is borrowed */
    KIT_EQ_STR(b.backend, "ort");
    KIT_EQ_STR(b.device, "cpu");
    KIT_EQ_STR(b.onnx_path, "/a/model.onnx");
    KIT_EQ_STR(b.artifact_dir, NULL);
    KIT_EQ_STR(b.precision, "fp32");
    KIT_EQ_INT(b.threads, 4);
    KIT_EQ_U64(b.seed, UINT64_MAX);
    KIT_EQ_INT(b.task, MLD_TASK_OUTPUTS);
    KIT_EQ_U64(b.memory_limit_bytes, 8ull << 30);
    KIT_EQ_U64(b.budget.min_time_ns, 1);
    KIT_EQ_U64(b.budget.max_time_ns, 10000000000u);
    KIT_EQ_U64(b.budget.timeout_ns, 600000000000u);
    KIT_EQ_INT(b.budget.min_samples, 10);
    KIT_EQ_INT(b.budget.max_samples, 1000000);
    KIT_EQ_INT(b.budget.warmup, -1);
    KIT_NEAR(b.budget.target_width, 0.02, 0.0);
    KIT_EQ_INT(b.option_count, 2);
    KIT_EQ_STR(b.options[1].key, "noise");
    KIT_EQ_STR(b.options[1].value, "none");
    KIT_EQ_INT(b.input_count, 2);
    KIT_EQ_STR(b.inputs[0].stream, "input:x");
    KIT_EQ_INT(b.inputs[0].dims[1], 128);
    KIT_EQ_INT(b.inputs[0].high, 30522);
    KIT_EQ_INT(b.inputs[0].state_output, -1);
    KIT_EQ_STR(b.inputs[1].name, "past \"quoted\" \\ \xC3\xA9");
    KIT_EQ_STR(b.inputs[1].stream, NULL);
    KIT_EQ_INT(b.inputs[1].value_count, 3);
    KIT_EQ_MEM(b.inputs[1].values, values, sizeof(values));
    KIT_EQ_INT(b.inputs[1].state_output, 1);
    KIT_EQ_INT(b.outputs[0].dtype, MLD_F16);
    KIT_EQ_INT(b.outputs[0].rank, 0);
    mld_arena_release(&arena);
}

/* Each row replaces one member (NULL: takes it away) and must be refused by that name. */
MLD_TEST(case__refuses_what_is_none)
{
    static const struct {
        const char *object, *key, *value, *named;
    } rows[] = {
        {NULL, "backend", "7", "backend"},
        {NULL, "backend", NULL, "backend"},
        {NULL, "device", "null", "device"},
        {NULL, "onnx_path", "[]", "onnx_path"},
        {NULL, "threads", "-1", "threads"},
        {NULL, "threads", "1.5", "threads"},
        {NULL, "threads", "\"4\"", "threads"},
        {NULL, "seed", "\"12x\"", "seed"},
        {NULL, "seed", "\"18446744073709551616\"", "seed"},
        {NULL, "task", "\"dance\"", "task"},
        {NULL, "budget", "[]", "budget"},
        {NULL, "options", "{\"a\":1}", "options"},
        {NULL, "options", "[[\"a\"]]", "options"},
        {NULL, "options", "[[\"a\",1]]", "options"},
        {NULL, "inputs", "7", "inputs"},
        {NULL, "inputs", "[7]", "name"},
        {NULL, "outputs", "\"x\"", "outputs"},
        {NULL, "memory_limit_bytes", "-5", "memory_limit_bytes"},
        {"budget", "max_samples", "0", "max_samples"},
        {"budget", "max_samples", "1e30", "max_samples"},
        {"budget", "warmup", "-2", "warmup"},
        {"budget", "target_width", "-0.1", "target_width"},
        {"budget", "target_width", "\"x\"", "target_width"},
        {"inputs", "dtype", "\"f31\"", "dtype"},
        {"inputs", "shape", "[1,2,3,4,5,6,7,8,9]", "shape"},
        {"inputs", "shape", "[-1]", "shape"},
        {"inputs", "shape", "[4294967296,4294967296]", "shape"},
        {"inputs", "shape", "{}", "shape"},
        {"inputs", "fill", "null", "fill"},
        {"inputs", "values", "[1,\"2\"]", "values"},
        {"inputs", "state_output", "2", "state_output"},
        {"outputs", "name", "1", "name"},
    };
    const struct mld_case a = sample_case();
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct mld_json *v = through_text(&a), *copy = mld_json_new_object();
        /* A tree is read-only once parsed: rebuilt member by member, one exchanged. */
        for (const struct mld_json *m = mld_json_first(v); m; m = mld_json_next(m)) {
            struct mld_json *child = mld_json_copy(m), *given = NULL;
            const bool here =
                mld_streq(mld_json_key(m), rows[i].object) ||
                (!rows[i].object && mld_streq(mld_json_key(m), rows[i].key));
            if (here && rows[i].value)
                KIT_OK(mld_json_parse(rows[i].value, strlen(rows[i].value), "value",
                                      &given, &kit_err));
            if (here && !rows[i].object) {
                mld_json_free(child);
                child = given;
            } else if (here) {
                const struct mld_json *from =
                    mld_json_is(m, MLD_JSON_ARRAY) ? mld_json_first(m) : m;
                struct mld_json *o = mld_json_new_object();
                for (const struct mld_json *k = mld_json_first(from); k;
                     k = mld_json_next(k))
                    if (!mld_streq(mld_json_key(k), rows[i].key))
                        mld_json_set(o, mld_json_key(k), mld_json_copy(k));
                mld_json_set(o, rows[i].key, given);
                mld_json_free(child);
                child = o;
                if (mld_json_is(m, MLD_JSON_ARRAY)) {
                    child = mld_json_new_array();
                    mld_json_push(child, o);
                }
            }
            if (child)
                mld_json_set(copy, mld_json_key(m), child);
        }
        struct mld_arena arena = {0};
        struct mld_case b;
        int rc = mld_case_from_json(copy, &arena, &b, &kit_err);
        if (rc != MLD_E_PARSE)
            KIT_FAIL("row %zu, '%s': %d %s", i, rows[i].key, rc, kit_err.message);
        char named[64];
        snprintf(named, sizeof(named), "'%s'", rows[i].named);
        KIT_CONTAINS(kit_err.message, named);
        mld_arena_release(&arena);
        mld_json_free(copy);
        mld_json_free(v);
    }
}

MLD_TEST(case__is_an_object)
{
    struct mld_arena arena = {0};
    struct mld_case c;
    struct mld_json *v = mld_json_new_array();
    KIT_FAILS(mld_case_from_json(v, &arena, &c, &kit_err), MLD_E_PARSE);
    KIT_FAILS(mld_case_from_json(NULL, &arena, &c, &kit_err), MLD_E_PARSE);
    mld_json_free(v);
    mld_arena_release(&arena);
}

MLD_TEST(case__names_of_statuses_and_phases)
{
    for (int i = 0; i < MLD_STATUS_COUNT; i++)
        KIT_EQ_INT(mld_status_parse(mld_status_name((enum mld_status)i)), i);
    KIT_EQ_INT(mld_status_parse("fine"), -1);
    KIT_EQ_INT(mld_status_parse(NULL), -1);
    KIT_EQ_STR(mld_status_name((enum mld_status)99), "unknown");
    KIT_EQ_STR(mld_phase_name(MLD_PHASE_FIRST_RUN), "first_run");
    KIT_EQ_STR(mld_phase_name((enum mld_phase)99), "unknown");
}

static int round_trip_for_torture(void *ctx)
{
    struct mld_arena arena = {0};
    struct mld_case b;
    struct mld_json *v = mld_case_to_json(ctx), *back = NULL;
    char *text = v ? mld_json_print(v, false) : NULL;
    mld_json_free(v);
    int rc =
        text ? mld_json_parse(text, strlen(text), "case", &back, NULL) : MLD_E_NO_MEMORY;
    mld_free(text);
    if (rc == 0)
        rc = mld_case_from_json(back, &arena, &b, &kit_err);
    mld_json_free(back);
    mld_arena_release(&arena);
    return rc;
}

MLD_TEST(case__survives_without_memory)
{
    struct mld_case a = sample_case();
    KIT_CHECK(kit_torture(round_trip_for_torture, &a) > 10);
}
