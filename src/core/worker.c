/* worker.c: the child process of a case. Reads the case from stdin, drives one backend
 * through its life, and tells everything as events on fd 3. The engine's own output on
 * stdout and stderr goes to the parent by another pipe and cannot disturb the events. */
#include "core/runner.h"

#include "base/alloc.h"
#include "core/event.h"
#include "core/proc_status.h"
#include "core/registry.h"
#include "core/session.h"
#include "core/tensor_values.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define MLD_WORKER_CASE_MAX    (256u << 20) /* bytes of the case's JSON */
#define MLD_WORKER_PROGRESS_NS 250000000u   /* between two progress events */
#define MLD_WORKER_RECENT      101          /* runs whose median a progress event tells */
#define MLD_WORKER_ALIGN       64           /* of input buffers: a cache line, AVX-512 */

/* Everything that one case needs; freed by worker_release. */
struct worker {
    int fd;
    const struct mld_clock *clock;
    struct mld_arena arena;
    struct mld_case c;
    struct mld_core_session session;
    struct mld_tensor *inputs, *outputs;
    struct mld_state_pair *state;
    size_t state_count;
    uint64_t *samples;
    size_t sent; /* samples told so far */
    uint64_t phase_start_ns;
};

static int worker_no_memory(struct mld_error *err, const char *what)
{
    return mld_error_set(err, MLD_E_NO_MEMORY, "no memory for %s", what);
}

/* --- events ----------------------------------------------------------------------- */

static int worker_begin(struct worker *w, enum mld_phase phase, struct mld_error *err)
{
    struct mld_json *o = mld_json_new_object();
    mld_json_set(o, "phase", mld_json_new_str(mld_phase_name(phase)));
    MLD_TRY(mld_event_send_json(w->fd, MLD_EVENT_BEGIN, o, err));
    w->phase_start_ns = mld_now_ns(w->clock);
    return 0;
}

static int worker_end(struct worker *w, enum mld_phase phase, struct mld_error *err)
{
    uint64_t ns = mld_now_ns(w->clock) - w->phase_start_ns;
    struct mld_json *o = mld_json_new_object();
    mld_json_set(o, "phase", mld_json_new_str(mld_phase_name(phase)));
    mld_json_set(o, "ns", mld_json_new_int((int64_t)ns));
    return mld_event_send_json(w->fd, MLD_EVENT_END, o, err);
}

static int worker_send_hello(const struct worker *w, struct mld_error *err)
{
    struct mld_json *o = mld_json_new_object();
    mld_json_set(o, "protocol", mld_json_new_int(MLD_EVENT_PROTOCOL));
    return mld_event_send_json(w->fd, MLD_EVENT_HELLO, o, err);
}

static int worker_send_engine(const struct worker *w, const struct mld_probe *probe,
                              struct mld_error *err)
{
    struct mld_json *o = mld_json_new_object();
    mld_json_set(o, "engine", mld_json_new_str(probe->engine));
    mld_json_set(o, "version", mld_json_new_str(probe->version));
    mld_json_set(o, "path", mld_json_new_str(probe->path));
    return mld_event_send_json(w->fd, MLD_EVENT_ENGINE, o, err);
}

static int worker_send_device(const struct worker *w, const struct mld_device *d,
                              struct mld_error *err)
{
    struct mld_json *o = mld_json_new_object();
    mld_json_set(o, "platform", mld_json_new_str(d->platform));
    mld_json_set(o, "id", mld_json_new_str(d->id));
    mld_json_set(o, "name", mld_json_new_str(d->name));
    mld_json_set(o, "vendor", mld_json_new_str(d->vendor));
    mld_json_set(o, "driver", mld_json_new_str(d->driver));
    mld_json_set(o, "memory_bytes", mld_json_new_int((int64_t)d->memory_bytes));
    mld_json_set(o, "memory_free_bytes", mld_json_new_int((int64_t)d->memory_free_bytes));
    mld_json_set(o, "flags", mld_json_new_int(d->flags));
    return mld_event_send_json(w->fd, MLD_EVENT_DEVICE, o, err);
}

static int worker_send_memory(const struct worker *w, const char *key, int64_t bytes,
                              struct mld_error *err)
{
    struct mld_json *o = mld_json_new_object();
    mld_json_set(o, key, mld_json_new_int(bytes));
    return mld_event_send_json(w->fd, MLD_EVENT_MEMORY, o, err);
}

static int worker_send_counters(struct worker *w, struct mld_error *err)
{
    struct mld_counters c;
    MLD_TRY(mld_session_counters(&w->session, &c, err));
    struct mld_json *o = mld_json_new_object();
    mld_json_set(o, "nodes_total", mld_json_new_int(c.nodes_total));
    mld_json_set(o, "nodes_on_device", mld_json_new_int(c.nodes_on_device));
    mld_json_set(o, "provider", mld_json_new_str(c.provider));
    mld_json_set(o, "device_memory_bytes", mld_json_new_int(c.device_memory_bytes));
    mld_json_set(o, "precision_effective", mld_json_new_str(c.precision_effective));
    mld_json_set(o, "precision_emulated", mld_json_new_int(c.precision_emulated));
    return mld_event_send_json(w->fd, MLD_EVENT_COUNTERS, o, err);
}

/* --- the phases ------------------------------------------------------------------- */

/* The whole of stdin; afterwards stdin is /dev/null, so that nothing waits on it. */
static int worker_read_case(struct worker *w, struct mld_error *err)
{
    struct mld_str text;
    char piece[65536];
    ssize_t got = 0;
    mld_str_init(&text, MLD_WORKER_CASE_MAX);
    while (!text.failed && (got = read(STDIN_FILENO, piece, sizeof(piece))) != 0) {
        if (got > 0)
            mld_str_append(&text, piece, (size_t)got);
        else if (errno != EINTR)
            break;
    }
    int null_fd = open("/dev/null", O_RDONLY);
    if (null_fd > 0) {
        (void)dup2(null_fd, STDIN_FILENO);
        (void)close(null_fd);
    }
    struct mld_json *v = NULL;
    int rc = got < 0 ? mld_error_set(err, MLD_E_IO, "cannot read the case: %s",
                                     strerror(errno))
                     : mld_str_check(&text, err);
    if (rc == 0)
        rc = mld_json_parse(mld_str_c(&text), text.len, "case", &v, err);
    if (rc == 0)
        rc = mld_case_from_json(v, &w->arena, &w->c, err);
    mld_json_free(v);
    mld_str_release(&text);
    return rc;
}

/* Written once, so that no sample's page is touched first inside the loop, and before the
 * memory's floor is read, so that it does not count as the model's. */
static int worker_make_samples(struct worker *w, struct mld_error *err)
{
    size_t bytes, count = (size_t)w->c.budget.max_samples;
    if (w->c.task != MLD_TASK_MEASURE)
        return 0;
    w->samples =
        mld_mul_size(count, sizeof(*w->samples), &bytes) ? mld_alloc(bytes) : NULL;
    if (!w->samples)
        return worker_no_memory(err, "the samples");
    memset(w->samples, 0xFF, bytes);
    return 0;
}

/* Phase startup: the engine's library and the device. */
static int worker_open(struct worker *w, struct mld_error *err)
{
    const struct mld_backend_ops *ops = mld_backend_find(w->c.backend);
    struct mld_probe probe;
    struct mld_device device;
    if (!ops)
        return mld_error_set(err, MLD_E_NOT_FOUND, "no backend '%s' in this program",
                             w->c.backend);
    MLD_TRY(worker_begin(w, MLD_PHASE_STARTUP, err));
    MLD_TRY(mld_backend_probe(ops, &probe, err));
    MLD_TRY(mld_backend_device(ops, w->c.device, &device, err));
    const struct mld_open_params params = {
        .device = w->c.device,
        .threads = w->c.threads,
        .precision = w->c.precision,
        .seed = w->c.seed,
        .options = w->c.options,
        .option_count = w->c.option_count,
    };
    MLD_TRY(mld_session_open(&w->session, ops, &params, err));
    MLD_TRY(worker_end(w, MLD_PHASE_STARTUP, err));
    MLD_TRY(worker_send_engine(w, &probe, err));
    return worker_send_device(w, &device, err);
}

/* The floor: what the engine alone keeps resident. The peak counts from here where the
 * kernel lets it be reset, so that a passing high of the engine's start is not in it. */
static int worker_floor(struct worker *w, struct mld_error *err)
{
    struct mld_proc_memory now;
    (void)mld_proc_reset_peak();
    mld_proc_memory(&now);
    return worker_send_memory(w, "floor_bytes", now.peak_bytes, err);
}

static int worker_load(struct worker *w, struct mld_error *err)
{
    const struct mld_load_params params = {w->c.onnx_path, w->c.artifact_dir};
    MLD_TRY(worker_begin(w, MLD_PHASE_LOAD, err));
    MLD_TRY(mld_session_load(&w->session, &params, err));
    return worker_end(w, MLD_PHASE_LOAD, err);
}

static int worker_make_tensor(struct mld_tensor *t, const char *name,
                              enum mld_dtype dtype, const int64_t *dims, int rank,
                              struct mld_error *err)
{
    t->name = name;
    t->dtype = dtype;
    t->rank = rank;
    memcpy(t->dims, dims, sizeof(t->dims));
    int64_t count = mld_tensor_count(dims, rank);
    t->bytes = count < 0 ? SIZE_MAX : mld_dtype_bytes(dtype, count);
    if (t->bytes == SIZE_MAX)
        return mld_error_set(err, MLD_E_TOO_LARGE, "tensor '%s': shape is too large",
                             name);
    return 0;
}

/* Buffers of the inputs with their content, and what is promised of the outputs. */
static int worker_make_tensors(struct worker *w, struct mld_error *err)
{
    const struct mld_case *c = &w->c;
    w->inputs = mld_arena_array(&w->arena, c->input_count + 1, sizeof(*w->inputs));
    w->outputs = mld_arena_array(&w->arena, c->output_count + 1, sizeof(*w->outputs));
    w->state = mld_arena_array(&w->arena, c->input_count + 1, sizeof(*w->state));
    if (!w->inputs || !w->outputs || !w->state)
        return worker_no_memory(err, "the tensors");
    for (size_t i = 0; i < c->input_count; i++) {
        const struct mld_case_input *in = &c->inputs[i];
        struct mld_tensor *t = &w->inputs[i];
        MLD_TRY(worker_make_tensor(t, in->name, in->dtype, in->dims, in->rank, err));
        t->data = mld_alloc_aligned(MLD_WORKER_ALIGN, t->bytes > 0 ? t->bytes : 1);
        if (!t->data)
            return mld_error_set(err, MLD_E_NO_MEMORY, "no memory for input '%s'",
                                 in->name);
        MLD_TRY(mld_tensor_fill(in, t->data, err));
        if (in->state_output >= 0)
            w->state[w->state_count++] =
                (struct mld_state_pair){i, (size_t)in->state_output};
    }
    for (size_t i = 0; i < c->output_count; i++) {
        const struct mld_case_output *o = &c->outputs[i];
        MLD_TRY(
            worker_make_tensor(&w->outputs[i], o->name, o->dtype, o->dims, o->rank, err));
    }
    return 0;
}

static int worker_prepare(struct worker *w, struct mld_error *err)
{
    MLD_TRY(worker_make_tensors(w, err));
    const struct mld_prepare_params params = {
        .inputs = w->inputs,
        .input_count = w->c.input_count,
        .outputs = w->outputs,
        .output_count = w->c.output_count,
        .state = w->state,
        .state_count = w->state_count,
    };
    return mld_session_prepare(&w->session, &params, err);
}

static int worker_first_run(struct worker *w, struct mld_error *err)
{
    MLD_TRY(worker_begin(w, MLD_PHASE_FIRST_RUN, err));
    MLD_TRY(mld_session_run(&w->session, err));
    return worker_end(w, MLD_PHASE_FIRST_RUN, err);
}

/* --- measuring -------------------------------------------------------------------- */

static int worker_run(void *ctx, struct mld_error *err)
{
    return mld_session_run(ctx, err);
}

static double worker_recent_median(const uint64_t *samples, size_t count)
{
    uint64_t recent[MLD_WORKER_RECENT];
    size_t n = count < MLD_WORKER_RECENT ? count : MLD_WORKER_RECENT;
    for (size_t i = 0; i < n; i++) {
        uint64_t v = samples[count - n + i];
        size_t k = i;
        for (; k > 0 && recent[k - 1] > v; k--)
            recent[k] = recent[k - 1];
        recent[k] = v;
    }
    return n > 0 ? (double)recent[n / 2] : 0.0;
}

/* Sends the samples since the last time, and where the loop is. */
static int worker_progress(void *ctx, size_t count, struct mld_error *err)
{
    struct worker *w = ctx;
    const size_t most = MLD_EVENT_MAX / sizeof(*w->samples);
    while (w->sent < count) {
        size_t n = count - w->sent < most ? count - w->sent : most;
        MLD_TRY(mld_event_send(w->fd, MLD_EVENT_SAMPLES, w->samples + w->sent,
                               n * sizeof(*w->samples), err));
        w->sent += n;
    }
    struct mld_json *o = mld_json_new_object();
    mld_json_set(o, "runs", mld_json_new_int((int64_t)count));
    mld_json_set(o, "median_ns",
                 mld_json_new_num(worker_recent_median(w->samples, count)));
    return mld_event_send_json(w->fd, MLD_EVENT_PROGRESS, o, err);
}

static double worker_cpu_seconds(const struct rusage *u)
{
    return (double)(u->ru_utime.tv_sec + u->ru_stime.tv_sec) +
           1e-6 * (double)(u->ru_utime.tv_usec + u->ru_stime.tv_usec);
}

static int worker_send_timing(const struct worker *w, const struct mld_timing_result *t,
                              const struct rusage *before, const struct rusage *after,
                              struct mld_error *err)
{
    struct mld_json *o = mld_json_new_object();
    double seconds = worker_cpu_seconds(after) - worker_cpu_seconds(before);
    mld_json_set(o, "count", mld_json_new_int((int64_t)t->count));
    mld_json_set(o, "warmup_count", mld_json_new_int((int64_t)t->warmup_count));
    mld_json_set(o, "steady", mld_json_new_bool(t->steady));
    mld_json_set(o, "reason", mld_json_new_str(t->reason));
    mld_json_set(o, "harness_ns", mld_json_new_num(t->harness_ns));
    mld_json_set(o, "loop_ns", mld_json_new_int((int64_t)t->loop_ns));
    mld_json_set(
        o, "cpu_time_share",
        mld_json_new_num(t->loop_ns > 0 ? seconds * 1e9 / (double)t->loop_ns : -1.0));
    mld_json_set(o, "voluntary_switches",
                 mld_json_new_int(after->ru_nvcsw - before->ru_nvcsw));
    mld_json_set(o, "involuntary_switches",
                 mld_json_new_int(after->ru_nivcsw - before->ru_nivcsw));
    return mld_event_send_json(w->fd, MLD_EVENT_TIMING, o, err);
}

static int worker_measure(struct worker *w, struct mld_error *err)
{
    const struct mld_timing_params params = {
        .run = worker_run,
        .ctx = &w->session,
        .clock = w->clock,
        .budget = w->c.budget,
        .samples_ns = w->samples,
        .progress = worker_progress,
        .progress_ctx = w,
        .progress_ns = MLD_WORKER_PROGRESS_NS,
    };
    struct mld_timing_result timing;
    struct rusage before, after;
    MLD_TRY(worker_begin(w, MLD_PHASE_STEADY, err));
    (void)getrusage(RUSAGE_SELF, &before);
    MLD_TRY(mld_timing_loop(&params, &timing, err));
    (void)getrusage(RUSAGE_SELF, &after);
    return worker_send_timing(w, &timing, &before, &after, err);
}

static int worker_send_output(struct worker *w, const char *name,
                              const struct mld_tensor *t, struct mld_error *err)
{
    struct mld_json *o = mld_json_new_object(), *shape = mld_json_new_array();
    for (int i = 0; i < t->rank; i++)
        mld_json_push(shape, mld_json_new_int(t->dims[i]));
    mld_json_set(o, "name", mld_json_new_str(name));
    mld_json_set(o, "dtype", mld_json_new_str(mld_dtype_name(t->dtype)));
    mld_json_set(o, "shape", shape);
    mld_json_set(o, "bytes", mld_json_new_int((int64_t)t->bytes));
    MLD_TRY(mld_event_send_json(w->fd, MLD_EVENT_OUTPUT, o, err));
    for (size_t at = 0; at < t->bytes; at += MLD_EVENT_MAX) {
        size_t n = t->bytes - at < MLD_EVENT_MAX ? t->bytes - at : MLD_EVENT_MAX;
        MLD_TRY(
            mld_event_send(w->fd, MLD_EVENT_DATA, (const char *)t->data + at, n, err));
    }
    return 0;
}

static int worker_outputs(struct worker *w, struct mld_error *err)
{
    for (size_t i = 0; i < w->c.output_count; i++) {
        struct mld_tensor t;
        MLD_TRY(mld_session_output(&w->session, i, &t, err));
        MLD_TRY(worker_send_output(w, w->c.outputs[i].name, &t, err));
    }
    return 0;
}

static int worker_peak(struct worker *w, struct mld_error *err)
{
    struct mld_proc_memory now;
    mld_proc_memory(&now);
    return worker_send_memory(w, "peak_bytes", now.peak_bytes, err);
}

static int worker_case(struct worker *w, struct mld_error *err)
{
    MLD_TRY(worker_send_hello(w, err));
    MLD_TRY(worker_read_case(w, err));
    MLD_TRY(worker_make_samples(w, err));
    MLD_TRY(worker_open(w, err));
    MLD_TRY(worker_floor(w, err));
    MLD_TRY(worker_load(w, err));
    MLD_TRY(worker_prepare(w, err));
    MLD_TRY(worker_first_run(w, err));
    if (w->c.task == MLD_TASK_MEASURE)
        MLD_TRY(worker_measure(w, err));
    else
        MLD_TRY(worker_outputs(w, err));
    /* The peak first: asking for counters may cost the engine another run. */
    MLD_TRY(worker_peak(w, err));
    MLD_TRY(worker_send_counters(w, err));
    return mld_event_send_json(w->fd, MLD_EVENT_DONE, mld_json_new_object(), err);
}

static void worker_send_error(const struct worker *w, int rc, const struct mld_error *e)
{
    struct mld_json *o = mld_json_new_object();
    mld_json_set(o, "code", mld_json_new_int(rc));
    mld_json_set(o, "message",
                 mld_json_new_str(e->message[0] ? e->message : mld_error_text(rc)));
    int lost = mld_event_send_json(w->fd, MLD_EVENT_ERROR, o, NULL);
    (void)lost; /* the parent is gone: nobody is left to tell */
}

static void worker_release(struct worker *w)
{
    mld_session_close(&w->session);
    for (size_t i = 0; w->inputs && i < w->c.input_count; i++)
        mld_free(w->inputs[i].data);
    mld_free(w->samples);
    mld_arena_release(&w->arena);
}

int mld_worker_main(void)
{
    struct mld_error err = {0};
    struct worker w = {.fd = MLD_EVENT_FD, .clock = mld_clock_real()};
    (void)signal(SIGPIPE, SIG_IGN); /* a parent that went away is an error of write */
    if (fcntl(w.fd, F_GETFD) < 0) {
        fprintf(stderr, "mldyno: --worker is started by mldyno itself, not by hand\n");
        return 2;
    }
    (void)fcntl(w.fd, F_SETFD, FD_CLOEXEC); /* not for children of the engine */
    int rc = worker_case(&w, &err);
    if (rc != 0)
        worker_send_error(&w, rc, &err);
    worker_release(&w);
    return rc == 0 ? 0 : 1;
}
