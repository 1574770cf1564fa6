/* test_worker.c: whatever a worker does, its parent ends with the right status and a
 * reason. The worker is this program itself, started again with --worker. */
#include "kit/kit.h"
#include "unit/worker_hook.h"

#include "core/event.h"
#include "core/runner.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_OPTIONS 8
struct fixture {
    struct mld_case c;
    struct mld_key_value options[MAX_OPTIONS];
    struct mld_case_input inputs[3];
    struct mld_case_output outputs[2];
    struct mld_result result;
    struct mld_run_params params;
};

/* A case on the null backend: 200 us runs, 50 to 500 of them, 20 s at most. */
static void fixture_init(struct fixture *f)
{
    memset(f, 0, sizeof(*f));
    f->c.backend = f->c.device = "null";
    f->c.precision = "fp32";
    f->c.seed = 7;
    f->c.options = f->options;
    f->c.budget = (struct mld_budget){.min_time_ns = 0,
                                      .max_time_ns = 5000000000u,
                                      .min_samples = 50,
                                      .max_samples = 500,
                                      .warmup = -1,
                                      .target_width = 0.05,
                                      .timeout_ns = 20000000000u};
    f->inputs[0] = (struct mld_case_input){.name = "input_ids",
                                           .dtype = MLD_I64,
                                           .rank = 2,
                                           .dims = {2, 8},
                                           .fill = "ids",
                                           .low = 0,
                                           .high = 100,
                                           .state_output = -1};
    f->outputs[0] = (struct mld_case_output){
        .name = "logits", .dtype = MLD_F32, .rank = 3, .dims = {2, 8, 5}};
    f->c.inputs = f->inputs;
    f->c.input_count = 1;
    f->c.outputs = f->outputs;
    f->c.output_count = 1;
    f->params.worker_path = kit_self();
}

static void fixture_option(struct fixture *f, const char *key, const char *value)
{
    KIT_CHECK(f->c.option_count < MAX_OPTIONS);
    f->options[f->c.option_count++] = (struct mld_key_value){key, value};
}

static void fixture_fault(struct fixture *f, const char *stage, const char *fault)
{
    fixture_option(f, "fail-at", stage);
    fixture_option(f, "fault", fault);
}

static void fixture_run(struct fixture *f, enum mld_status status, const char *reason)
{
    mld_run_case(&f->c, &f->params, &f->result);
    if (f->result.status != status)
        KIT_FAIL("status is %s, not %s: %s", mld_status_name(f->result.status),
                 mld_status_name(status), f->result.reason);
    KIT_CONTAINS(f->result.reason, reason);
    mld_result_release(&f->result);
}

MLD_TEST(worker__measures_and_tells_all)
{
    struct fixture f;
    fixture_init(&f);
    fixture_option(&f, "latency", "1ms");
    fixture_option(&f, "noise", "lognormal");
    fixture_option(&f, "amount", "0.01");
    mld_run_case(&f.c, &f.params, &f.result);
    const struct mld_result *r = &f.result;
    if (r->status != MLD_STATUS_OK && r->status != MLD_STATUS_MISTRUSTED)
        KIT_FAIL("status is %s: %s", mld_status_name(r->status), r->reason);
    KIT_EQ_STR(r->engine, "null");
    KIT_EQ_STR(r->device.platform, "null");
    KIT_CHECK(r->sample_count >= 50 && r->sample_count <= 500);
    KIT_CHECK(r->warmup_count <= r->sample_count);
    KIT_EQ_INT(r->summary.count, r->sample_count - r->warmup_count);
    KIT_CHECK(r->summary.p[MLD_P50].known && r->summary.p[MLD_P50].value > 9e5);
    KIT_CHECK(r->phase_ns[MLD_PHASE_STARTUP] >= 0 && r->phase_ns[MLD_PHASE_LOAD] >= 0);
    KIT_CHECK(r->phase_ns[MLD_PHASE_FIRST_RUN] > 900000);
    KIT_CHECK(r->phase_ns[MLD_PHASE_STEADY] > 0 && r->phase_ns[MLD_PHASE_BUILD] == -1);
    KIT_CHECK(r->harness_ns > 0.0);
    KIT_CHECK(r->memory_floor_bytes > 0);
    KIT_CHECK(r->memory_peak_bytes >= r->memory_floor_bytes);
    KIT_EQ_STR(r->counters.provider, "null");
    mld_result_release(&f.result);
}

MLD_TEST(worker__sends_outputs_as_doubles)
{
    struct fixture f;
    fixture_init(&f);
    f.c.task = MLD_TASK_OUTPUTS;
    mld_run_case(&f.c, &f.params, &f.result);
    KIT_EQ_INT(f.result.status, MLD_STATUS_OK);
    KIT_EQ_INT(f.result.output_count, 1);
    KIT_EQ_STR(f.result.outputs[0].name, "logits");
    KIT_EQ_INT(f.result.outputs[0].rank, 3);
    KIT_EQ_INT(f.result.outputs[0].count, 80);
    KIT_NEAR(f.result.outputs[0].values[79], 0.0, 0.0);
    mld_result_release(&f.result);
}

MLD_TEST(worker__error_of_each_stage)
{
    static const char *const stages[] = {"open", "load", "prepare", "run:1", "run:20"};
    for (size_t i = 0; i < sizeof(stages) / sizeof(*stages); i++) {
        struct fixture f;
        fixture_init(&f);
        fixture_fault(&f, stages[i], "error");
        fixture_run(&f, MLD_STATUS_FAILED, "failed because it was asked to");
    }
}

MLD_TEST(worker__samples_survive_a_failing_run)
{
    struct fixture f;
    fixture_init(&f);
    fixture_fault(&f, "run:31", "error");
    mld_run_case(&f.c, &f.params, &f.result);
    KIT_EQ_INT(f.result.status, MLD_STATUS_FAILED);
    KIT_EQ_INT(f.result.sample_count, 29); /* one was the first run, one failed */
    mld_result_release(&f.result);
}

MLD_TEST(worker__unsupported)
{
    struct fixture f;
    fixture_init(&f);
    fixture_fault(&f, "load", "unsupported");
    fixture_run(&f, MLD_STATUS_UNSUPPORTED, "operator 'Nothing'");
}

MLD_TEST(worker__crash_names_signal_phase_and_last_words)
{
    struct fixture f;
    fixture_init(&f);
    fixture_fault(&f, "load", "crash");
    fixture_run(&f, MLD_STATUS_FAILED, "signal 11");
    fixture_init(&f);
    fixture_fault(&f, "run:5", "crash");
    fixture_run(&f, MLD_STATUS_FAILED, "about to crash in run");
}

MLD_TEST(worker__exit_without_a_word)
{
    struct fixture f;
    fixture_init(&f);
    fixture_fault(&f, "run:3", "exit");
    fixture_run(&f, MLD_STATUS_FAILED, "exited with 7");
}

MLD_TEST(worker__hang_ends_at_the_time_out)
{
    struct fixture f;
    fixture_init(&f);
    fixture_fault(&f, "run:3", "hang");
    f.c.budget.timeout_ns = 300000000;
    fixture_run(&f, MLD_STATUS_TIMED_OUT, "no result within 0.3 s");
}

MLD_TEST(worker__garbage_on_the_event_pipe)
{
    struct fixture f;
    fixture_init(&f);
    fixture_fault(&f, "run:2", "garbage");
    fixture_run(&f, MLD_STATUS_FAILED, "no event: 'Segfault in libcompute");
}

MLD_TEST(worker__out_of_memory_told_by_the_engine)
{
    struct fixture f;
    fixture_init(&f);
    fixture_fault(&f, "prepare", "oom");
    fixture_run(&f, MLD_STATUS_OUT_OF_MEMORY, "no memory in prepare");
}

MLD_TEST(worker__out_of_memory_told_by_an_exception)
{
    struct fixture f;
    fixture_init(&f);
    fixture_fault(&f, "run:2", "bad-alloc");
    fixture_run(&f, MLD_STATUS_OUT_OF_MEMORY, "bad_alloc");
}

MLD_TEST(worker__memory_limit)
{
#ifdef __SANITIZE_ADDRESS__
    KIT_SKIP("the address sanitizer needs more data than the limit");
#endif
    struct fixture f;
    fixture_init(&f);
    fixture_option(&f, "memory", "600M");
    f.c.memory_limit_bytes = 300u << 20;
    fixture_run(&f, MLD_STATUS_OUT_OF_MEMORY, "(limit: 300 MiB)");
    f.c.memory_limit_bytes = 1u << 20; /* not even the libraries fit */
    fixture_run(&f, MLD_STATUS_OUT_OF_MEMORY, "(limit: 1 MiB)");
}

MLD_TEST(worker__memory_of_the_model_is_above_the_floor)
{
    struct fixture f;
    fixture_init(&f);
    fixture_option(&f, "memory", "64M");
    mld_run_case(&f.c, &f.params, &f.result);
    KIT_CHECK(f.result.memory_peak_bytes - f.result.memory_floor_bytes >= 64 << 20);
    mld_result_release(&f.result);
}

MLD_TEST(worker__crash_while_closing_keeps_the_numbers)
{
    struct fixture f;
    fixture_init(&f);
    f.c.task = MLD_TASK_OUTPUTS;
    fixture_fault(&f, "close", "exit");
    fixture_run(&f, MLD_STATUS_OK, "closing the engine, worker exited with 7");
}

MLD_TEST(worker__cancel)
{
    struct fixture f;
    volatile int cancel = 1;
    fixture_init(&f);
    fixture_fault(&f, "open", "hang");
    f.params.cancel = &cancel;
    fixture_run(&f, MLD_STATUS_CANCELLED, "stopped by the user");
}

MLD_TEST(worker__unknown_backend_device_and_option)
{
    struct fixture f;
    fixture_init(&f);
    f.c.backend = "nul";
    fixture_run(&f, MLD_STATUS_FAILED, "no backend 'nul'");
    fixture_init(&f);
    f.c.device = "null:7";
    fixture_run(&f, MLD_STATUS_FAILED, "no device 'null:7'");
    fixture_init(&f);
    fixture_option(&f, "latncy", "1ms");
    fixture_run(&f, MLD_STATUS_FAILED, "did you mean 'latency'");
}

MLD_TEST(worker__missing_model_file)
{
    struct fixture f;
    fixture_init(&f);
    f.c.onnx_path = "nowhere.onnx";
    fixture_run(&f, MLD_STATUS_FAILED, "nowhere.onnx");
}

MLD_TEST(worker__missing_program)
{
    struct fixture f;
    fixture_init(&f);
    f.params.worker_path = "./no-such-program";
    fixture_run(&f, MLD_STATUS_FAILED, "no-such-program");
}

MLD_TEST(worker__other_program)
{
    struct fixture f;
    fixture_init(&f);
    f.params.worker_path = "/bin/false";
    fixture_run(&f, MLD_STATUS_FAILED, "exited with 1");
    /* One that reads nothing of a case that is larger than a pipe. */
    double *values = calloc(40000, sizeof(*values));
    KIT_CHECK(values);
    f.inputs[0].fill = "values";
    f.inputs[0].values = values;
    f.inputs[0].value_count = 40000;
    fixture_run(&f, MLD_STATUS_FAILED, "exited with 1");
    free(values);
}
