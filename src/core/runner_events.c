/* runner_events.c: what the worker tells, event by event, into the result. Nothing that
 * comes over the pipe is trusted: an engine may have written there. */
#include "core/runner_int.h"

#include "base/alloc.h"
#include "core/tensor_values.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static int runner_broken(struct runner *r, const char *what)
{
    return mld_error_set(&r->error, MLD_E_PROTOCOL, "the worker broke the protocol: %s",
                         what);
}

static void runner_copy(char *out, size_t n, const struct mld_json *o, const char *key)
{
    snprintf(out, n, "%s", mld_json_str(mld_json_get(o, key), ""));
}

static int64_t runner_int(const struct mld_json *o, const char *key)
{
    return mld_json_int(mld_json_get(o, key), -1);
}

static void runner_on_engine(struct runner *r, const struct mld_json *o)
{
    runner_copy(r->out->engine, sizeof(r->out->engine), o, "engine");
    runner_copy(r->out->engine_version, sizeof(r->out->engine_version), o, "version");
}

static void runner_on_device(struct runner *r, const struct mld_json *o)
{
    struct mld_device *d = &r->out->device;
    runner_copy(d->platform, sizeof(d->platform), o, "platform");
    runner_copy(d->id, sizeof(d->id), o, "id");
    runner_copy(d->name, sizeof(d->name), o, "name");
    runner_copy(d->vendor, sizeof(d->vendor), o, "vendor");
    runner_copy(d->driver, sizeof(d->driver), o, "driver");
    d->memory_bytes = (uint64_t)mld_json_int(mld_json_get(o, "memory_bytes"), 0);
    d->memory_free_bytes =
        (uint64_t)mld_json_int(mld_json_get(o, "memory_free_bytes"), 0);
    d->flags = (uint32_t)mld_json_int(mld_json_get(o, "flags"), 0);
}

static int runner_phase_of(const struct mld_json *o)
{
    const char *name = mld_json_str(mld_json_get(o, "phase"), "");
    for (int i = 0; i < MLD_PHASE_COUNT; i++)
        if (mld_streq(name, mld_phase_name((enum mld_phase)i)))
            return i;
    return -1;
}

static int runner_on_phase(struct runner *r, const struct mld_event *e)
{
    int phase = runner_phase_of(e->json);
    if (phase < 0)
        return runner_broken(r, "an unknown phase");
    if (e->type == MLD_EVENT_END) {
        r->out->phase_ns[phase] = runner_int(e->json, "ns");
        return 0;
    }
    r->phase = phase;
    const struct mld_run_observer *o = r->params->observer;
    if (o && o->phase)
        o->phase(o->ctx, (enum mld_phase)phase);
    return 0;
}

static void runner_on_progress(struct runner *r, const struct mld_json *v)
{
    const struct mld_run_observer *o = r->params->observer;
    if (o && o->progress)
        o->progress(o->ctx, (size_t)mld_json_int(mld_json_get(v, "runs"), 0),
                    mld_json_num(mld_json_get(v, "median_ns"), NAN));
}

static int runner_on_samples(struct runner *r, const struct mld_event *e)
{
    struct mld_result *out = r->out;
    size_t n = e->bytes / sizeof(uint64_t), all = out->sample_count + n;
    if (e->bytes % sizeof(uint64_t) != 0 || all > (uint64_t)r->c->budget.max_samples)
        return runner_broken(r, "more samples than asked for, or half ones");
    if (all > r->samples_cap) {
        size_t cap = r->samples_cap > 0 ? 2 * r->samples_cap : 1024;
        cap = cap < all ? all : cap;
        uint64_t *more = mld_realloc(out->samples_ns, cap * sizeof(*more));
        if (!more)
            return mld_error_set(&r->error, MLD_E_NO_MEMORY, "no memory for %zu samples",
                                 cap);
        out->samples_ns = more;
        r->samples_cap = cap;
    }
    memcpy(out->samples_ns + out->sample_count, e->payload, e->bytes);
    out->sample_count = all;
    return 0;
}

static int runner_on_timing(struct runner *r, const struct mld_json *o)
{
    struct mld_result *out = r->out;
    int64_t count = runner_int(o, "count"), warmup = runner_int(o, "warmup_count");
    if (count != (int64_t)out->sample_count || warmup < 0 || warmup > count)
        return runner_broken(r, "it counted other samples than it sent");
    r->timing = true;
    r->steady = mld_json_bool(mld_json_get(o, "steady"), false);
    out->warmup_count = (size_t)warmup;
    runner_copy(out->reason, sizeof(out->reason), o, "reason");
    out->harness_ns = mld_json_num(mld_json_get(o, "harness_ns"), -1.0);
    out->cpu_time_share = mld_json_num(mld_json_get(o, "cpu_time_share"), -1.0);
    out->voluntary_switches = runner_int(o, "voluntary_switches");
    out->involuntary_switches = runner_int(o, "involuntary_switches");
    return 0;
}

static void runner_on_counters(struct runner *r, const struct mld_json *o)
{
    struct mld_counters *c = &r->out->counters;
    c->nodes_total = runner_int(o, "nodes_total");
    c->nodes_on_device = runner_int(o, "nodes_on_device");
    c->device_memory_bytes = runner_int(o, "device_memory_bytes");
    c->precision_emulated = (int)runner_int(o, "precision_emulated");
    runner_copy(c->provider, sizeof(c->provider), o, "provider");
    runner_copy(c->precision_effective, sizeof(c->precision_effective), o,
                "precision_effective");
}

static void runner_on_memory(struct runner *r, const struct mld_json *o)
{
    if (mld_json_get(o, "floor_bytes"))
        r->out->memory_floor_bytes = runner_int(o, "floor_bytes");
    if (mld_json_get(o, "peak_bytes"))
        r->out->memory_peak_bytes = runner_int(o, "peak_bytes");
}

/* The last output's bytes are complete: as doubles, and the raw ones go. */
static int runner_finish_output(struct runner *r)
{
    struct mld_output_data *d = &r->out->outputs[r->out->output_count - 1];
    d->values = mld_calloc(d->count > 0 ? d->count : 1, sizeof(*d->values));
    if (!d->values)
        return mld_error_set(&r->error, MLD_E_NO_MEMORY, "no memory for output '%s'",
                             d->name);
    mld_tensor_read(r->output_dtype, r->output_raw, 0, d->count, d->values);
    mld_free(r->output_raw);
    r->output_raw = NULL;
    r->output_bytes = r->output_have = 0;
    return 0;
}

static int runner_on_output(struct runner *r, const struct mld_json *o)
{
    struct mld_result *out = r->out;
    const struct mld_json *shape = mld_json_get(o, "shape");
    int dtype = mld_dtype_parse(mld_json_str(mld_json_get(o, "dtype"), ""));
    size_t rank = mld_json_count(shape);
    if (r->output_raw || dtype < 0 || rank > MLD_MAX_RANK ||
        out->output_count >= r->c->output_count)
        return runner_broken(r, "an output that is none of the case's");
    if (!out->outputs)
        out->outputs = mld_calloc(r->c->output_count, sizeof(*out->outputs));
    if (!out->outputs)
        return mld_error_set(&r->error, MLD_E_NO_MEMORY, "no memory for outputs");
    struct mld_output_data *d = &out->outputs[out->output_count];
    runner_copy(d->name, sizeof(d->name), o, "name");
    d->rank = (int)rank;
    size_t i = 0;
    for (const struct mld_json *v = mld_json_first(shape); v; v = mld_json_next(v))
        d->dims[i++] = mld_json_int(v, -1);
    int64_t count = mld_tensor_count(d->dims, d->rank);
    r->output_dtype = (enum mld_dtype)dtype;
    r->output_bytes = count < 0 ? SIZE_MAX : mld_dtype_bytes(r->output_dtype, count);
    if ((uint64_t)runner_int(o, "bytes") != r->output_bytes)
        return runner_broken(r, "an output whose size is not that of its shape");
    d->count = (size_t)count;
    r->output_raw = mld_alloc(r->output_bytes > 0 ? r->output_bytes : 1);
    if (!r->output_raw)
        return mld_error_set(&r->error, MLD_E_NO_MEMORY, "no memory for output '%s'",
                             d->name);
    r->output_have = 0;
    out->output_count++;
    return r->output_bytes == 0 ? runner_finish_output(r) : 0;
}

static int runner_on_data(struct runner *r, const struct mld_event *e)
{
    if (!r->output_raw || e->bytes > r->output_bytes - r->output_have)
        return runner_broken(r, "more data than its output holds");
    memcpy(r->output_raw + r->output_have, e->payload, e->bytes);
    r->output_have += e->bytes;
    return r->output_have == r->output_bytes ? runner_finish_output(r) : 0;
}

int mld_runner_take(struct runner *r, const struct mld_event *e)
{
    if (!r->hello && e->type != MLD_EVENT_HELLO)
        return runner_broken(r, "no greeting");
    switch (e->type) {
    case MLD_EVENT_HELLO:
        r->hello = runner_int(e->json, "protocol") == MLD_EVENT_PROTOCOL;
        return r->hello ? 0 : runner_broken(r, "it is another version of mldyno");
    case MLD_EVENT_ENGINE:
        runner_on_engine(r, e->json);
        return 0;
    case MLD_EVENT_DEVICE:
        runner_on_device(r, e->json);
        return 0;
    case MLD_EVENT_BEGIN:
    case MLD_EVENT_END:
        return runner_on_phase(r, e);
    case MLD_EVENT_PROGRESS:
        runner_on_progress(r, e->json);
        return 0;
    case MLD_EVENT_SAMPLES:
        return runner_on_samples(r, e);
    case MLD_EVENT_TIMING:
        return runner_on_timing(r, e->json);
    case MLD_EVENT_COUNTERS:
        runner_on_counters(r, e->json);
        return 0;
    case MLD_EVENT_MEMORY:
        runner_on_memory(r, e->json);
        return 0;
    case MLD_EVENT_OUTPUT:
        return runner_on_output(r, e->json);
    case MLD_EVENT_DATA:
        return runner_on_data(r, e);
    case MLD_EVENT_ERROR:
        r->failed = true;
        r->error.code = (int)mld_json_int(mld_json_get(e->json, "code"), MLD_E_ENGINE);
        runner_copy(r->error.message, sizeof(r->error.message), e->json, "message");
        return 0;
    case MLD_EVENT_DONE:
        r->done = r->c->task == MLD_TASK_MEASURE
                      ? r->timing
                      : r->out->output_count == r->c->output_count && !r->output_raw;
        return r->done ? 0 : runner_broken(r, "it ended before it told all");
    case MLD_EVENT_COUNT:
        break;
    }
    return runner_broken(r, "an unknown event");
}
