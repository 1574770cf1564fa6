/* test_core_registry.c: tables are checked once, absent slots get defaults, words of
 * --hardware find their device; and the session over a table keeps its promises. */
#include "kit/kit.h"

#include "base/clock.h"
#include "core/registry.h"
#include "core/session.h"

#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* --- a table of the least --------------------------------------------------------- */

static struct {
    int probes, opens, loads, unloads, closes;
    int run_code, output_code;
    bool silent; /* fails without a message */
    struct mld_tensor output;
} seen;

struct mld_session {
    int unused;
};
static struct mld_session the_session;

static int least_probe(struct mld_probe *out, struct mld_error *err)
{
    (void)err;
    *out = (struct mld_probe){.usable = true, .engine = "least", .version = "0"};
    seen.probes++;
    return 0;
}
static int least_devices(struct mld_device *out, size_t cap, size_t *count,
                         struct mld_error *err)
{
    (void)err;
    *count = 3;
    for (size_t i = 0; i < cap && i < 3; i++)
        out[i] = (struct mld_device){
            .platform = "least", .id = {'l', ':', (char)('0' + i)}, .name = "one"};
    return 0;
}
static int least_open(const struct mld_open_params *params, struct mld_session **out,
                      struct mld_error *err)
{
    (void)params;
    (void)err;
    *out = &the_session;
    seen.opens++;
    return 0;
}
static int least_load(struct mld_session *s, const struct mld_load_params *params,
                      struct mld_error *err)
{
    (void)s;
    (void)params;
    (void)err;
    seen.loads++;
    return 0;
}
static int least_prepare(struct mld_session *s, const struct mld_prepare_params *params,
                         struct mld_error *err)
{
    (void)s;
    (void)params;
    (void)err;
    return 0;
}
static int least_run(struct mld_session *s, struct mld_error *err)
{
    (void)s;
    if (seen.run_code != 0 && !seen.silent)
        return mld_error_set(err, seen.run_code, "the reason");
    return seen.run_code;
}
static int least_output(struct mld_session *s, size_t index, struct mld_tensor *out,
                        struct mld_error *err)
{
    (void)s;
    (void)index;
    (void)err;
    *out = seen.output;
    return seen.output_code;
}
static void least_unload(struct mld_session *s)
{
    (void)s;
    seen.unloads++;
}
static void least_close(struct mld_session *s)
{
    (void)s;
    seen.closes++;
}

static const struct mld_backend_option least_options[] = {
    {"speed", "N", "1", "how fast"},
    {NULL, NULL, NULL, NULL},
};

static struct mld_backend_ops least(void)
{
    return (struct mld_backend_ops){
        .abi = MLD_BACKEND_ABI,
        .size = sizeof(struct mld_backend_ops),
        .name = "least",
        .summary = "as little as can be",
        .options = least_options,
        .probe = least_probe,
        .devices = least_devices,
        .open = least_open,
        .load = least_load,
        .prepare = least_prepare,
        .run = least_run,
        .unload = least_unload,
        .close = least_close,
    };
}

/* --- the check -------------------------------------------------------------------- */

MLD_TEST(registry__fills_absent_slots)
{
    struct mld_backend_ops raw = least(), ops;
    struct mld_counters counters;
    struct mld_tensor tensor;
    KIT_OK(mld_backend_check(&raw, &ops, &kit_err));
    KIT_EQ_STR(ops.platforms, "least");
    KIT_FAILS(ops.set_input(&the_session, 0, "x", 1, &kit_err), MLD_E_UNSUPPORTED);
    KIT_FAILS(ops.output(&the_session, 0, &tensor, &kit_err), MLD_E_UNSUPPORTED);
    KIT_OK(ops.counters(&the_session, &counters, &kit_err));
    KIT_EQ_INT(counters.nodes_total, -1);
    KIT_EQ_INT(counters.nodes_on_device, -1);
    KIT_EQ_INT(counters.device_memory_bytes, -1);
    KIT_EQ_INT(counters.precision_emulated, -1);
    KIT_EQ_STR(counters.provider, "");
    ops.cancel(&the_session);
}

#define REFUSED(change, code, wanted)                                                    \
    do {                                                                                 \
        struct mld_backend_ops raw = least(), ops;                                       \
        change;                                                                          \
        KIT_FAILS(mld_backend_check(&raw, &ops, &kit_err), code);                        \
        KIT_CONTAINS(kit_err.message, wanted);                                           \
    } while (0)

MLD_TEST(registry__refuses_broken_tables)
{
    struct mld_backend_ops none;
    KIT_FAILS(mld_backend_check(NULL, &none, &kit_err), MLD_E_INVALID);
    REFUSED(raw.abi++, MLD_E_VERSION, "made for interface 2, this program has 1");
    REFUSED(raw.size = 64, MLD_E_VERSION, "has 64 bytes");
    REFUSED(raw.name = NULL, MLD_E_INVALID, "no name");
    REFUSED(raw.name = "", MLD_E_INVALID, "no name");
    REFUSED(raw.summary = NULL, MLD_E_INVALID, "no summary");
    REFUSED(raw.probe = NULL, MLD_E_INVALID, "'least' lacks the required slot 'probe'");
    REFUSED(raw.devices = NULL, MLD_E_INVALID, "'devices'");
    REFUSED(raw.open = NULL, MLD_E_INVALID, "'open'");
    REFUSED(raw.load = NULL, MLD_E_INVALID, "'load'");
    REFUSED(raw.prepare = NULL, MLD_E_INVALID, "'prepare'");
    REFUSED(raw.run = NULL, MLD_E_INVALID, "'run'");
    REFUSED(raw.unload = NULL, MLD_E_INVALID, "'unload'");
    REFUSED(raw.close = NULL, MLD_E_INVALID, "'close'");
}

/* A plug-in made against a later header has more slots: they are not looked at. */
MLD_TEST(registry__takes_longer_tables)
{
    struct {
        struct mld_backend_ops ops;
        void (*later)(void);
    } raw = {least(), NULL};
    struct mld_backend_ops ops;
    raw.ops.size = sizeof(raw);
    KIT_OK(mld_backend_check(&raw.ops, &ops, &kit_err));
    KIT_EQ_INT(ops.size, sizeof(ops));
    KIT_CHECK(ops.run == least_run);
}

MLD_TEST(registry__finds_one_device)
{
    struct mld_backend_ops raw = least(), ops;
    struct mld_device device;
    struct mld_probe probe;
    KIT_OK(mld_backend_check(&raw, &ops, &kit_err));
    KIT_OK(mld_backend_probe(&ops, &probe, &kit_err));
    KIT_OK(mld_backend_device(&ops, "l:2", &device, &kit_err));
    KIT_EQ_STR(device.id, "l:2");
    KIT_FAILS(mld_backend_device(&ops, "l:3", &device, &kit_err), MLD_E_NOT_FOUND);
    KIT_CONTAINS(kit_err.message, "backend 'least' has no device 'l:3'");
}

/* --- the program's own table ------------------------------------------------------ */

MLD_TEST(registry__lists_the_backends_of_this_build)
{
    const struct mld_backend_state *states;
    size_t count;
    KIT_CHECK(mld_backend_find("null") && mld_backend_find("skeleton"));
    KIT_CHECK(!mld_backend_find("nul") && !mld_backend_find(""));
    KIT_CHECK(!mld_backend_at(mld_backend_entry_count));
    KIT_OK(mld_registry_scan(&states, &count, &kit_err));
    KIT_EQ_INT(count, mld_backend_entry_count);
    for (size_t i = 0; i < count; i++) {
        KIT_CHECK(states[i].ops == mld_backend_at(i));
        KIT_CHECK(states[i].probe.usable || states[i].probe.reason[0]);
    }
}

MLD_TEST(registry__resolves_words_of_hardware)
{
    const struct mld_backend_state *backend;
    const struct mld_device *device;
    KIT_OK(mld_registry_resolve("null", &backend, &device, &kit_err));
    KIT_EQ_STR(backend->ops->name, "null");
    KIT_EQ_STR(device->id, "null");
    KIT_FAILS(mld_registry_resolve("nul", &backend, &device, &kit_err), MLD_E_NOT_FOUND);
    KIT_CONTAINS(kit_err.message, "unknown hardware 'nul': did you mean 'null'?");
    KIT_FAILS(mld_registry_resolve("toaster", &backend, &device, &kit_err),
              MLD_E_NOT_FOUND);
    KIT_CONTAINS(kit_err.message, "there is null");
    KIT_FAILS(mld_registry_resolve("", &backend, &device, &kit_err), MLD_E_NOT_FOUND);
    /* The platform is there, its device number seven is not. */
    KIT_FAILS(mld_registry_resolve("null:7", &backend, &device, &kit_err),
              MLD_E_NO_ENGINE);
    KIT_CONTAINS(kit_err.message, "'null:7' is not in this machine");
}

/* --- sessions --------------------------------------------------------------------- */

static struct mld_backend_ops session_ops;

static void session_begin(struct mld_core_session *s)
{
    struct mld_backend_ops raw = least();
    const struct mld_open_params open = {.device = "l:0", .precision = "fp32"};
    const struct mld_load_params load = {NULL, NULL};
    static struct mld_tensor outputs[1] = {{.name = "y", .dtype = MLD_F32}};
    const struct mld_prepare_params prepare = {.outputs = outputs, .output_count = 1};
    memset(&seen, 0, sizeof(seen));
    raw.output = least_output;
    KIT_OK(mld_backend_check(&raw, &session_ops, &kit_err));
    KIT_OK(mld_session_open(s, &session_ops, &open, &kit_err));
    KIT_OK(mld_session_load(s, &load, &kit_err));
    KIT_OK(mld_session_prepare(s, &prepare, &kit_err));
}

MLD_TEST(session__closes_what_it_opened)
{
    struct mld_core_session s;
    session_begin(&s);
    mld_session_close(&s);
    KIT_EQ_INT(seen.unloads, 1);
    KIT_EQ_INT(seen.closes, 1);
    mld_session_close(&s); /* closed is closed */
    mld_session_unload(&s);
    mld_session_cancel(&s);
    KIT_EQ_INT(seen.closes, 1);
}

MLD_TEST(session__errors_name_the_backend)
{
    struct mld_core_session s;
    session_begin(&s);
    seen.run_code = MLD_E_ENGINE;
    KIT_FAILS(mld_session_run(&s, &kit_err), MLD_E_ENGINE);
    KIT_EQ_STR(kit_err.message, "least: the reason");
    seen.silent = true; /* a backend that forgot the message */
    KIT_FAILS(mld_session_run(&s, &kit_err), MLD_E_ENGINE);
    KIT_EQ_STR(kit_err.message, "least: run failed: engine failed");
    KIT_EQ_INT(mld_session_run(&s, NULL), MLD_E_ENGINE); /* nobody listens: fine */
    mld_session_close(&s);
}

MLD_TEST(session__outputs_must_make_sense)
{
    struct mld_core_session s;
    struct mld_tensor t;
    float data[6] = {0};
    session_begin(&s);
    KIT_OK(mld_session_run(&s, &kit_err));
    const struct mld_tensor good = {.name = "y",
                                    .dtype = MLD_F32,
                                    .rank = 2,
                                    .dims = {2, 3},
                                    .data = data,
                                    .bytes = sizeof(data)};
    seen.output = good;
    KIT_OK(mld_session_output(&s, 0, &t, &kit_err));
    KIT_CHECK(t.data == data);
    seen.output.bytes--;
    KIT_FAILS(mld_session_output(&s, 0, &t, &kit_err), MLD_E_ENGINE);
    seen.output = good;
    seen.output.rank = MLD_MAX_RANK + 1;
    KIT_FAILS(mld_session_output(&s, 0, &t, &kit_err), MLD_E_ENGINE);
    seen.output = good;
    seen.output.dims[0] = -2;
    KIT_FAILS(mld_session_output(&s, 0, &t, &kit_err), MLD_E_ENGINE);
    seen.output = good;
    seen.output.data = NULL;
    KIT_FAILS(mld_session_output(&s, 0, &t, &kit_err), MLD_E_ENGINE);
    seen.output = good;
    seen.output.dtype = MLD_DTYPE_COUNT;
    KIT_FAILS(mld_session_output(&s, 0, &t, &kit_err), MLD_E_ENGINE);
    mld_session_close(&s);
}

MLD_TEST(session__options_are_checked_before_open)
{
    struct mld_backend_ops raw = least(), ops;
    struct mld_core_session s;
    struct mld_key_value option = {"sped", "2"};
    struct mld_open_params open = {
        .device = "l:0", .options = &option, .option_count = 1};
    memset(&seen, 0, sizeof(seen));
    KIT_OK(mld_backend_check(&raw, &ops, &kit_err));
    KIT_FAILS(mld_session_open(&s, &ops, &open, &kit_err), MLD_E_INVALID);
    KIT_CONTAINS(kit_err.message, "no option 'sped': did you mean 'speed'?");
    option.key = "entirely-different";
    KIT_FAILS(mld_session_open(&s, &ops, &open, &kit_err), MLD_E_INVALID);
    KIT_CONTAINS(kit_err.message, "--help-backend least");
    KIT_EQ_INT(seen.opens, 0);
    option.key = "speed";
    KIT_OK(mld_session_open(&s, &ops, &open, &kit_err));
    mld_session_close(&s);
}

/* A wrong order is a bug of the core: it ends the process, in every build. */
MLD_TEST(session__wrong_order_aborts)
{
    const pid_t pid = fork();
    KIT_CHECK(pid >= 0);
    if (pid == 0) {
        struct mld_core_session s = {.ops = &session_ops, .state = MLD_SESSION_OPEN};
        struct mld_error err;
        signal(SIGABRT, SIG_DFL);
        int rc = mld_session_run(&s, &err);
        _exit(rc == 0 ? 0 : 1);
    }
    int status;
    KIT_EQ_INT(waitpid(pid, &status, 0), pid);
    KIT_CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}
