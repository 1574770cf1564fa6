/* null_backend.c: a backend that computes nothing and can do everything else: any
 * latency, any noise, any failure at any stage. It is there to test mldyno itself, so
 * that the loop, the statistics, the store and the command line need no engine to be
 * tried.
 *
 * Everything it draws comes from the seed: equal options and seed give equal run
 * times. */
#include "backends/null/null_backend.h"

#include "base/alloc.h"
#include "base/fs.h"
#include "base/str.h"

#include <math.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MLD_NULL_EVENT_FD 3         /* where "garbage" goes: the worker's event pipe */
#define MLD_NULL_SLICE_NS 20000000u /* a sleep looks at the cancel flag this often */
#define MLD_NULL_SPIN_NS  200000u   /* below this a sleep would be mostly overshoot */

/* X(NAME, name, help): how run times scatter. amount is the option's share. */
#define MLD_NULL_NOISES(X)                                                               \
    X(NONE, "none")             /* every run the same */                                 \
    X(NORMAL, "normal")         /* 1 + amount * z */                                     \
    X(LOGNORMAL, "lognormal")   /* exp(amount * z) */                                    \
    X(CORRELATED, "correlated") /* the same, z following its neighbour with 0.6 */       \
    X(DRIFT, "drift")           /* 1 + amount more for every 100 runs */                 \
    X(BIMODAL, "bimodal")       /* half of the runs 1 + amount */                        \
    X(SPIKES, "spikes")         /* lognormal, and one run of 100 ten times as long */    \
    X(BURST, "burst")           /* every other stretch of 50 runs 1 + amount */
enum null_noise {
#define X(upper, lower) NULL_NOISE_##upper,
    MLD_NULL_NOISES(X)
#undef X
        NULL_NOISE_COUNT
};
static const char *const null_noise_names[] = {
#define X(upper, lower) lower,
    MLD_NULL_NOISES(X)
#undef X
};

/* X(NAME, name): what goes wrong at the stage that fail-at names. */
#define MLD_NULL_FAULTS(X)                                                               \
    X(ERROR, "error")             /* an ordinary engine error */                         \
    X(UNSUPPORTED, "unsupported") /* an operator that the engine lacks */                \
    X(OOM, "oom")                 /* an allocation that no machine can give */           \
    X(BAD_ALLOC, "bad-alloc")     /* what an uncaught C++ exception looks like */        \
    X(CRASH, "crash")             /* a wild pointer */                                   \
    X(HANG, "hang")               /* never comes back, unless cancelled */               \
    X(EXIT, "exit")               /* ends the process quietly, as a script would */      \
    X(GARBAGE, "garbage")         /* writes into the pipe of events */
enum null_fault {
#define X(upper, lower) NULL_FAULT_##upper,
    MLD_NULL_FAULTS(X)
#undef X
        NULL_FAULT_COUNT
};
static const char *const null_fault_names[] = {
#define X(upper, lower) lower,
    MLD_NULL_FAULTS(X)
#undef X
};

#define MLD_NULL_STAGES(X)                                                               \
    X(NONE, "none")                                                                      \
    X(OPEN, "open")                                                                      \
    X(LOAD, "load")                                                                      \
    X(PREPARE, "prepare")                                                                \
    X(RUN, "run")                                                                        \
    X(OUTPUT, "output")                                                                  \
    X(CLOSE, "close")
enum null_stage {
#define X(upper, lower) NULL_STAGE_##upper,
    MLD_NULL_STAGES(X)
#undef X
        NULL_STAGE_COUNT
};
static const char *const null_stage_names[] = {
#define X(upper, lower) lower,
    MLD_NULL_STAGES(X)
#undef X
};

#define X(upper, lower) " " lower
static const struct mld_backend_option null_options[] = {
    {"latency", "TIME", "1ms", "how long a run takes: 0, 250us, 3ms"},
    {"noise", "KIND", "none", "how run times scatter:" MLD_NULL_NOISES(X)},
    {"amount", "SHARE", "0.05", "size of the noise, as a share of the latency"},
    {"settle", "RUNS", "0", "so many runs are slower at first, by up to 2 times"},
    {"wait", "HOW", "auto", "auto, sleep, or spin (which keeps a core busy)"},
    {"memory", "SIZE", "0", "bytes that loading a model takes, such as 64M"},
    {"fail-at", "STAGE", "none", "stage[:N], N-th time:" MLD_NULL_STAGES(X)},
    {"fault", "KIND", "error", "what happens there:" MLD_NULL_FAULTS(X)},
    {NULL, NULL, NULL, NULL},
};
#undef X

struct mld_session {
    uint64_t latency_ns;
    enum null_noise noise;
    double amount;
    int64_t settle;
    enum { NULL_WAIT_AUTO, NULL_WAIT_SLEEP, NULL_WAIT_SPIN } wait;
    uint64_t memory_bytes;
    enum null_stage fail_stage;
    enum null_fault fault;
    int64_t fail_count, stage_calls[NULL_STAGE_COUNT];
    uint64_t random; /* state of splitmix64 */
    int64_t runs;
    double z; /* of the correlated noise */
    atomic_int cancelled;
    void *memory;                        /* of the loaded model */
    struct mld_tensor *inputs, *outputs; /* shapes; outputs own zero-filled data */
    size_t input_count, output_count;
};

static const struct mld_clock *null_clock;

void mld_null_set_clock(const struct mld_clock *clock)
{
    null_clock = clock;
}

/* --- options ---------------------------------------------------------------------- */

static int null_bad_value(struct mld_error *err, const char *key, const char *value)
{
    const char *help = "";
    for (const struct mld_backend_option *o = null_options; o->key; o++)
        if (strcmp(o->key, key) == 0)
            help = o->help;
    return mld_error_set(err, MLD_E_INVALID, "option '%s' cannot be '%s': %s", key, value,
                         help);
}

static int null_choice(const char *const *names, int n, const char *value)
{
    for (int i = 0; i < n; i++)
        if (strcmp(names[i], value) == 0)
            return i;
    return -1;
}

/* "run:17" or "load". */
static bool null_set_stage(struct mld_session *s, const char *value)
{
    char name[16];
    size_t n = strcspn(value, ":");
    s->fail_count = 1;
    if (n >= sizeof(name) ||
        (value[n] == ':' &&
         (!mld_parse_i64(value + n + 1, &s->fail_count) || s->fail_count < 1)))
        return false;
    memcpy(name, value, n);
    name[n] = '\0';
    int stage = null_choice(null_stage_names, NULL_STAGE_COUNT, name);
    s->fail_stage = (enum null_stage)(stage < 0 ? 0 : stage);
    return stage >= 0;
}

static int null_set_option(struct mld_session *s, const char *key, const char *value,
                           struct mld_error *err)
{
    static const char *const waits[] = {"auto", "sleep", "spin"};
    bool good = true;
    int choice = 0;
    if (mld_streq(key, "latency")) {
        good = mld_parse_duration_ns(value, &s->latency_ns);
    } else if (mld_streq(key, "noise")) {
        choice = null_choice(null_noise_names, NULL_NOISE_COUNT, value);
        s->noise = (enum null_noise)(choice < 0 ? 0 : choice);
    } else if (mld_streq(key, "amount")) {
        good = mld_parse_f64(value, &s->amount) && s->amount >= 0.0 && s->amount <= 100.0;
    } else if (mld_streq(key, "settle")) {
        good = mld_parse_i64(value, &s->settle) && s->settle >= 0;
    } else if (mld_streq(key, "wait")) {
        choice = null_choice(waits, 3, value);
        s->wait = choice < 0 ? NULL_WAIT_AUTO : choice;
    } else if (mld_streq(key, "memory")) {
        good = mld_parse_size(value, &s->memory_bytes);
    } else if (mld_streq(key, "fail-at")) {
        good = null_set_stage(s, value);
    } else if (mld_streq(key, "fault")) {
        choice = null_choice(null_fault_names, NULL_FAULT_COUNT, value);
        s->fault = (enum null_fault)(choice < 0 ? 0 : choice);
    } else {
        return mld_error_set(err, MLD_E_INVALID, "no option '%s'", key);
    }
    return good && choice >= 0 ? 0 : null_bad_value(err, key, value);
}

/* --- faults ----------------------------------------------------------------------- */

static void null_hang(struct mld_session *s)
{
    const struct mld_clock *clock = mld_clock_real();
    while (!atomic_load(&s->cancelled))
        clock->sleep_ns(clock->ctx, MLD_NULL_SLICE_NS);
}

static void null_crash(void)
{
    (void)signal(SIGSEGV, SIG_DFL); /* a sanitizer's handler would only report it */
    (void)raise(SIGSEGV);
}

static int null_fault_now(struct mld_session *s, enum null_stage stage,
                          struct mld_error *err)
{
    const char *name = null_stage_names[stage];
    static const char garbage[] = "Segfault in libcompute: retrying on slow path\n";
    void *volatile block;
    ssize_t written;
    switch (s->fault) {
    case NULL_FAULT_ERROR:
        return mld_error_set(err, MLD_E_ENGINE, "%s failed because it was asked to",
                             name);
    case NULL_FAULT_UNSUPPORTED:
        return mld_error_set(err, MLD_E_UNSUPPORTED,
                             "operator 'Nothing' is not implemented (asked for in %s)",
                             name);
    case NULL_FAULT_OOM:
        block = mld_alloc(SIZE_MAX / 2);
        mld_free(block);
        return mld_error_set(err, MLD_E_NO_MEMORY, "no memory in %s, as asked", name);
    case NULL_FAULT_BAD_ALLOC:
        fprintf(stderr,
                "terminate called after throwing an instance of 'std::bad_alloc'\n"
                "  what():  std::bad_alloc\n");
        abort();
    case NULL_FAULT_CRASH:
        fprintf(stderr, "null: about to crash in %s\n", name);
        null_crash();
        break;
    case NULL_FAULT_HANG:
        null_hang(s);
        return mld_error_set(err, MLD_E_CANCELLED, "hanging in %s was cancelled", name);
    case NULL_FAULT_EXIT:
        fprintf(stderr, "null: leaving in %s\n", name);
        fflush(stderr);
        _exit(7);
    case NULL_FAULT_GARBAGE:
        written = write(MLD_NULL_EVENT_FD, garbage, sizeof(garbage) - 1);
        (void)written; /* no such pipe: then there is nobody to disturb */
        return 0;
    case NULL_FAULT_COUNT:
        break;
    }
    return 0;
}

/* Called once by each stage. */
static int null_stage_enter(struct mld_session *s, enum null_stage stage,
                            struct mld_error *err)
{
    if (s->fail_stage != stage || ++s->stage_calls[stage] != s->fail_count)
        return 0;
    return null_fault_now(s, stage, err);
}

/* --- life ------------------------------------------------------------------------- */

static int null_probe(struct mld_probe *out, struct mld_error *err)
{
    (void)err;
    memset(out, 0, sizeof(*out));
    out->usable = true;
    snprintf(out->engine, sizeof(out->engine), "null");
    snprintf(out->version, sizeof(out->version), "1");
    return 0;
}

static int null_devices(struct mld_device *out, size_t cap, size_t *count,
                        struct mld_error *err)
{
    (void)err;
    *count = 1;
    if (cap == 0)
        return 0;
    memset(out, 0, sizeof(*out));
    snprintf(out->platform, sizeof(out->platform), "null");
    snprintf(out->id, sizeof(out->id), "null");
    snprintf(out->name, sizeof(out->name), "null (computes nothing)");
    snprintf(out->vendor, sizeof(out->vendor), "mldyno");
    return 0;
}

static void null_close(struct mld_session *s)
{
    if (!s)
        return;
    (void)null_stage_enter(s, NULL_STAGE_CLOSE, NULL);
    mld_free(s);
}

static int null_open(const struct mld_open_params *params, struct mld_session **out,
                     struct mld_error *err)
{
    *out = NULL;
    struct mld_session *s = mld_calloc(1, sizeof(*s));
    if (!s)
        return mld_error_set(err, MLD_E_NO_MEMORY, "no memory for a session");
    s->random = params->seed;
    atomic_init(&s->cancelled, 0);
    int rc = 0;
    for (const struct mld_backend_option *o = null_options; o->key && rc == 0; o++)
        rc = null_set_option(s, o->key, o->fallback, err);
    for (size_t i = 0; i < params->option_count && rc == 0; i++)
        rc = null_set_option(s, params->options[i].key, params->options[i].value, err);
    if (rc == 0)
        rc = null_stage_enter(s, NULL_STAGE_OPEN, err);
    if (rc != 0) {
        mld_free(s);
        return rc;
    }
    *out = s;
    return 0;
}

/* Any file will do as a model, and none as well; but one that is named must be there. */
static int null_load(struct mld_session *s, const struct mld_load_params *params,
                     struct mld_error *err)
{
    MLD_TRY(null_stage_enter(s, NULL_STAGE_LOAD, err));
    if (params->onnx_path && params->onnx_path[0] && !mld_path_is_file(params->onnx_path))
        return mld_error_set(err, MLD_E_NOT_FOUND, "cannot open '%s': no such file",
                             params->onnx_path);
    if (s->memory_bytes == 0)
        return 0;
    s->memory =
        s->memory_bytes <= SIZE_MAX / 2 ? mld_alloc((size_t)s->memory_bytes) : NULL;
    if (!s->memory)
        return mld_error_set(err, MLD_E_NO_MEMORY, "no memory for a model of %llu bytes",
                             (unsigned long long)s->memory_bytes);
    memset(s->memory, 1, (size_t)s->memory_bytes);
    return 0;
}

static void null_unload(struct mld_session *s)
{
    for (size_t i = 0; i < s->output_count; i++)
        mld_free(s->outputs[i].data);
    mld_free(s->outputs);
    mld_free(s->inputs);
    mld_free(s->memory);
    s->memory = s->inputs = s->outputs = NULL;
    s->input_count = s->output_count = 0;
}

static int null_prepare(struct mld_session *s, const struct mld_prepare_params *params,
                        struct mld_error *err)
{
    MLD_TRY(null_stage_enter(s, NULL_STAGE_PREPARE, err));
    s->inputs = mld_calloc(params->input_count + 1, sizeof(*s->inputs));
    s->outputs = mld_calloc(params->output_count + 1, sizeof(*s->outputs));
    if (!s->inputs || !s->outputs)
        return mld_error_set(err, MLD_E_NO_MEMORY, "no memory for bindings");
    s->input_count = params->input_count;
    if (s->input_count > 0)
        memcpy(s->inputs, params->inputs, s->input_count * sizeof(*s->inputs));
    for (size_t i = 0; i < params->output_count; i++) {
        struct mld_tensor *t = &s->outputs[i];
        *t = params->outputs[i];
        int64_t count = 1;
        for (int d = 0; d < t->rank; d++)
            count *= t->dims[d];
        t->bytes = mld_dtype_bytes(t->dtype, count);
        t->data = mld_calloc(t->bytes > 0 ? t->bytes : 1, 1);
        s->output_count = i + 1;
        if (!t->data)
            return mld_error_set(err, MLD_E_NO_MEMORY, "no memory for output '%s'",
                                 t->name);
    }
    return 0;
}

/* --- runs ------------------------------------------------------------------------- */

/* Uniform in (0, 1): splitmix64 (Steele, Lea, Flood 2014). */
static double null_uniform(struct mld_session *s)
{
    uint64_t z = (s->random += 0x9E3779B97F4A7C15u);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    z ^= z >> 31;
    return ((double)(z >> 11) + 0.5) / 9007199254740992.0;
}

/* Standard normal (Box & Muller 1958). */
static double null_normal(struct mld_session *s)
{
    double radius = sqrt(-2.0 * log(null_uniform(s)));
    return radius * cos(6.283185307179586 * null_uniform(s));
}

/* The length of this run as a multiple of the latency. */
static double null_factor(struct mld_session *s)
{
    const double rho = 0.6;
    double settle = 1.0;
    if (s->runs < s->settle)
        settle = 2.0 - (double)s->runs / (double)s->settle;
    switch (s->noise) {
    case NULL_NOISE_NONE:
    case NULL_NOISE_COUNT:
        break;
    case NULL_NOISE_NORMAL:
        return settle * fmax(0.0, 1.0 + s->amount * null_normal(s));
    case NULL_NOISE_LOGNORMAL:
        return settle * exp(s->amount * null_normal(s));
    case NULL_NOISE_CORRELATED:
        s->z = s->runs == 0 ? null_normal(s)
                            : rho * s->z + sqrt(1.0 - rho * rho) * null_normal(s);
        return settle * exp(s->amount * s->z);
    case NULL_NOISE_DRIFT:
        return settle * (1.0 + s->amount * (double)s->runs / 100.0);
    case NULL_NOISE_BIMODAL:
        return settle * (null_uniform(s) < 0.5 ? 1.0 : 1.0 + s->amount);
    case NULL_NOISE_SPIKES: {
        double base = exp(s->amount * null_normal(s));
        return settle * (null_uniform(s) < 0.01 ? 10.0 * base : base);
    }
    case NULL_NOISE_BURST:
        return settle * ((s->runs / 50) % 2 == 0 ? 1.0 : 1.0 + s->amount);
    }
    return settle;
}

static void null_pass(struct mld_session *s, uint64_t ns)
{
    const struct mld_clock *clock = null_clock ? null_clock : mld_clock_real();
    bool spin =
        s->wait == NULL_WAIT_SPIN || (s->wait == NULL_WAIT_AUTO && ns < MLD_NULL_SPIN_NS);
    if (null_clock) { /* a fake one: only sleeping moves it */
        clock->sleep_ns(clock->ctx, ns);
        return;
    }
    uint64_t end = mld_now_ns(clock) + ns, now;
    while ((now = mld_now_ns(clock)) < end && !atomic_load(&s->cancelled))
        if (!spin)
            clock->sleep_ns(clock->ctx, end - now < MLD_NULL_SLICE_NS
                                            ? end - now
                                            : MLD_NULL_SLICE_NS);
}

static int null_run(struct mld_session *s, struct mld_error *err)
{
    MLD_TRY(null_stage_enter(s, NULL_STAGE_RUN, err));
    if (s->latency_ns > 0)
        null_pass(s, (uint64_t)llround((double)s->latency_ns * null_factor(s)));
    s->runs++;
    if (atomic_load(&s->cancelled))
        return mld_error_set(err, MLD_E_CANCELLED, "run %lld was cancelled",
                             (long long)s->runs);
    return 0;
}

static int null_set_input(struct mld_session *s, size_t index, const void *data,
                          size_t bytes, struct mld_error *err)
{
    (void)data; /* nothing looks at it */
    if (index >= s->input_count || bytes != s->inputs[index].bytes)
        return mld_error_set(err, MLD_E_INVALID, "input %zu does not hold %zu bytes",
                             index, bytes);
    return 0;
}

static int null_output(struct mld_session *s, size_t index, struct mld_tensor *out,
                       struct mld_error *err)
{
    MLD_TRY(null_stage_enter(s, NULL_STAGE_OUTPUT, err));
    if (index >= s->output_count)
        return mld_error_set(err, MLD_E_INVALID, "there is no output %zu", index);
    *out = s->outputs[index];
    return 0;
}

static int null_counters(struct mld_session *s, struct mld_counters *out,
                         struct mld_error *err)
{
    (void)s;
    (void)err;
    memset(out, 0, sizeof(*out));
    out->nodes_total = out->nodes_on_device = -1;
    out->device_memory_bytes = -1;
    out->precision_emulated = -1;
    snprintf(out->provider, sizeof(out->provider), "null");
    return 0;
}

static void null_cancel(struct mld_session *s)
{
    atomic_store(&s->cancelled, 1);
}

static const struct mld_backend_ops null_ops = {
    .abi = MLD_BACKEND_ABI,
    .size = sizeof(struct mld_backend_ops),
    .name = "null",
    .summary = "computes nothing, in any time and with any failure: tests mldyno itself",
    .flags = MLD_BACKEND_SYNTHETIC,
    .options = null_options,
    .platforms = "null",
    .probe = null_probe,
    .devices = null_devices,
    .open = null_open,
    .load = null_load,
    .prepare = null_prepare,
    .run = null_run,
    .set_input = null_set_input,
    .output = null_output,
    .counters = null_counters,
    .cancel = null_cancel,
    .unload = null_unload,
    .close = null_close,
};

const struct mld_backend_ops *mld_backend_entry_null(void)
{
    return &null_ops;
}
