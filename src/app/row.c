/* row.c: derived values of a row and its two written forms.
 *
 * The JSON form is a contract: keys may be added, never changed; unknown is null. */
#include "app/row.h"

#include "base/alloc.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define NS_PER_MS 1e6
#define NS_PER_S  1e9

void mld_row_init(struct mld_row *r)
{
    memset(r, 0, sizeof *r);
    r->parameters = r->weights_bytes = r->layers = r->layers_full = -1;
    r->flops = r->matmul_flops = r->read_bytes = r->write_bytes = NAN;
    r->origin = "measured";
    mld_result_init(&r->result);
}

void mld_row_release(struct mld_row *r)
{
    mld_result_release(&r->result);
}

static bool row_measured(const struct mld_row *r)
{
    return r->result.summary.count > 0;
}

static double row_median_ns(const struct mld_row *r)
{
    const struct mld_percentile *p = &r->result.summary.p[MLD_P50];
    return row_measured(r) && p->known ? p->value : NAN;
}

double mld_row_throughput(const struct mld_row *r)
{
    return row_measured(r) ? (double)r->batch_size / r->result.summary.mean * NS_PER_S
                           : NAN;
}

double mld_row_tokens_per_s(const struct mld_row *r)
{
    double per_run = r->mode == MLD_MODE_PREFILL  ? (double)r->shapes.seq
                     : r->mode == MLD_MODE_DECODE ? 1.0
                                                  : NAN;
    return mld_row_throughput(r) * per_run;
}

double mld_row_ttft_ms(const struct mld_row *r)
{
    return r->mode == MLD_MODE_PREFILL ? row_median_ns(r) / NS_PER_MS : NAN;
}

double mld_row_tpot_ms(const struct mld_row *r)
{
    return r->mode == MLD_MODE_DECODE ? row_median_ns(r) / NS_PER_MS : NAN;
}

double mld_row_flop_per_s(const struct mld_row *r)
{
    return r->flops / row_median_ns(r) * NS_PER_S;
}

const char *mld_row_categories(uint32_t categories, char *buf, size_t n)
{
    size_t at = 0;
    buf[0] = '\0';
    for (int c = 0; c < MLD_CATEGORY_COUNT; c++) {
        if (!(categories & (1u << c)) || at >= n)
            continue;
        int wrote = snprintf(buf + at, n - at, "%s%s", at ? "," : "",
                             mld_category_name((enum mld_category)c));
        at += wrote > 0 ? (size_t)wrote : 0;
    }
    return buf;
}

/* --- JSON ------------------------------------------------------------------------------
 */

static struct mld_json *json_int(int64_t x) /* negative: unknown */
{
    return x < 0 ? mld_json_new_null() : mld_json_new_int(x);
}

static struct mld_json *json_str(const char *s) /* empty: unknown */
{
    return mld_json_new_str(s && *s ? s : NULL);
}

static struct mld_json *json_ms(double ns, bool known)
{
    return mld_json_new_num(known ? ns / NS_PER_MS : NAN);
}

static struct mld_json *row_json_latency(const struct mld_row *r)
{
    static const struct {
        const char *key;
        int index;
    } percentiles[] = {
        {"p50", MLD_P50}, {"p90", MLD_P90}, {"p95", MLD_P95}, {"p99", MLD_P99}};
    const struct mld_summary *s = &r->result.summary;
    bool some = row_measured(r);
    struct mld_json *o = mld_json_new_object();
    mld_json_set(o, "mean", json_ms(s->mean, some));
    for (size_t i = 0; i < sizeof percentiles / sizeof *percentiles; i++) {
        const struct mld_percentile *p = &s->p[percentiles[i].index];
        mld_json_set(o, percentiles[i].key, json_ms(p->value, some && p->known));
    }
    mld_json_set(o, "min", json_ms(s->min, some));
    mld_json_set(o, "max", json_ms(s->max, some));
    const struct mld_percentile *median = &s->p[MLD_P50];
    mld_json_set(o, "p50_low", json_ms(median->low, some && median->known));
    mld_json_set(o, "p50_high", json_ms(median->high, some && median->known));
    return o;
}

static struct mld_json *row_json_shapes(const struct mld_arch_shapes *s)
{
    const struct {
        const char *key;
        int64_t x;
    } dims[] = {{"seq", s->seq},
                {"decoder_seq", s->decoder_seq},
                {"image_size", s->image_size},
                {"capacity", s->capacity},
                {"new_tokens", s->new_tokens}};
    struct mld_json *o = mld_json_new_object();
    for (size_t i = 0; i < sizeof dims / sizeof *dims; i++)
        if (dims[i].x > 0)
            mld_json_set(o, dims[i].key, mld_json_new_int(dims[i].x));
    return o;
}

static struct mld_json *row_json_phases(const struct mld_result *m)
{
    struct mld_json *o = mld_json_new_object();
    for (int p = 0; p < MLD_PHASE_COUNT; p++)
        mld_json_set(o, mld_phase_name((enum mld_phase)p),
                     json_ms((double)m->phase_ns[p], m->phase_ns[p] >= 0));
    return o;
}

struct mld_json *mld_row_json(const struct mld_row *r)
{
    const struct mld_result *m = &r->result;
    struct mld_json *o = mld_json_new_object(), *part;
    mld_json_set(o, "model", json_str(r->model));
    mld_json_set(o, "model_type", json_str(r->model_type));
    mld_json_set(o, "class", json_str(r->class_name));
    mld_json_set(o, "checkpoint", json_str(r->checkpoint));
    part = mld_json_new_array();
    for (int c = 0; c < MLD_CATEGORY_COUNT; c++)
        if (r->categories & (1u << c))
            mld_json_push(part,
                          mld_json_new_str(mld_category_name((enum mld_category)c)));
    mld_json_set(o, "categories", part);
    mld_json_set(o, "hardware", json_str(r->hardware));
    mld_json_set(o, "device", json_str(m->device.name));
    mld_json_set(o, "engine", json_str(m->engine));
    mld_json_set(o, "engine_version", json_str(m->engine_version));
    mld_json_set(o, "precision", json_str(r->precision));
    mld_json_set(o, "precision_effective", json_str(m->counters.precision_effective));
    mld_json_set(o, "precision_emulated",
                 m->counters.precision_emulated < 0
                     ? mld_json_new_null()
                     : mld_json_new_bool(m->counters.precision_emulated != 0));
    mld_json_set(o, "mode", json_str(mld_mode_name(r->mode)));
    mld_json_set(o, "batch_size", json_int(r->batch_size));
    mld_json_set(o, "shapes", row_json_shapes(&r->shapes));
    mld_json_set(o, "layers", json_int(r->layers));
    mld_json_set(o, "layers_full", json_int(r->layers_full));
    mld_json_set(o, "threads", json_int(r->threads));
    mld_json_set(o, "status", json_str(mld_status_name(m->status)));
    mld_json_set(o, "reason", json_str(m->reason));
    mld_json_set(o, "origin", json_str(r->origin));
    mld_json_set(o, "throughput_per_s", mld_json_new_num(mld_row_throughput(r)));
    mld_json_set(o, "throughput_unit", json_str(r->throughput_unit));
    mld_json_set(o, "latency_ms", row_json_latency(r));
    part = mld_json_new_object();
    mld_json_set(part, "ttft_ms", mld_json_new_num(mld_row_ttft_ms(r)));
    mld_json_set(part, "tpot_ms", mld_json_new_num(mld_row_tpot_ms(r)));
    mld_json_set(part, "per_s", mld_json_new_num(mld_row_tokens_per_s(r)));
    mld_json_set(o, "tokens", part);
    part = mld_json_new_object();
    mld_json_set(part, "peak", json_int(m->memory_peak_bytes));
    mld_json_set(part, "floor", json_int(m->memory_floor_bytes));
    mld_json_set(part, "weights", json_int(r->weights_bytes));
    mld_json_set(part, "device", json_int(m->counters.device_memory_bytes));
    mld_json_set(o, "memory_bytes", part);
    mld_json_set(o, "phases_ms", row_json_phases(m));
    mld_json_set(o, "sample_count",
                 row_measured(r) ? mld_json_new_int(m->summary.count)
                                 : mld_json_new_null());
    mld_json_set(o, "warmup_count",
                 row_measured(r) ? mld_json_new_int((int64_t)m->warmup_count)
                                 : mld_json_new_null());
    mld_json_set(o, "harness_ns",
                 mld_json_new_num(m->harness_ns < 0 ? NAN : m->harness_ns));
    mld_json_set(o, "parameters", json_int(r->parameters));
    mld_json_set(o, "flops", mld_json_new_num(r->flops));
    mld_json_set(o, "flop_per_s", mld_json_new_num(mld_row_flop_per_s(r)));
    mld_json_set(o, "peak_share", mld_json_new_null());
    part = mld_json_new_object();
    mld_json_set(part, "provider", json_str(m->counters.provider));
    mld_json_set(part, "nodes_total", json_int(m->counters.nodes_total));
    mld_json_set(part, "nodes_on_device", json_int(m->counters.nodes_on_device));
    mld_json_set(o, "placement", part);
    mld_json_set(o, "energy_j", mld_json_new_null());
    part = mld_json_new_object();
    mld_json_set(part, "relative_l2", mld_json_new_null());
    mld_json_set(part, "max_abs", mld_json_new_null());
    mld_json_set(part, "cosine", mld_json_new_null());
    mld_json_set(part, "top1_agreement", mld_json_new_null());
    mld_json_set(o, "accuracy", part);
    mld_json_set(o, "run_id", json_str(r->run_id));
    mld_json_set(o, "reproduce", json_str(r->reproduce));
    return o;
}

/* --- store -----------------------------------------------------------------------------
 */

static double store_ms(double ns, bool known)
{
    return known ? ns / NS_PER_MS : NAN;
}

static void store_latency(const struct mld_summary *s, struct mld_store_result *out)
{
    bool some = s->count > 0;
    const struct mld_percentile *p50 = &s->p[MLD_P50], *p95 = &s->p[MLD_P95],
                                *p99 = &s->p[MLD_P99], *p90 = &s->p[MLD_P90];
    out->mean_ms = store_ms(s->mean, some);
    out->mean_low_ms = store_ms(s->mean_low, some);
    out->mean_high_ms = store_ms(s->mean_high, some);
    out->stddev_ms = store_ms(s->stddev, some);
    out->min_ms = store_ms(s->min, some);
    out->max_ms = store_ms(s->max, some);
    out->p50_ms = store_ms(p50->value, some && p50->known);
    out->p50_low_ms = store_ms(p50->low, some && p50->known);
    out->p50_high_ms = store_ms(p50->high, some && p50->known);
    out->p90_ms = store_ms(p90->value, some && p90->known);
    out->p95_ms = store_ms(p95->value, some && p95->known);
    out->p95_low_ms = store_ms(p95->low, some && p95->known);
    out->p95_high_ms = store_ms(p95->high, some && p95->known);
    out->p99_ms = store_ms(p99->value, some && p99->known);
    out->p99_low_ms = store_ms(p99->low, some && p99->known);
    out->p99_high_ms = store_ms(p99->high, some && p99->known);
    if (some) {
        out->autocorrelation = s->autocorrelation;
        out->effective_count = s->effective_count;
    }
}

int mld_row_store(const struct mld_row *r, const char *config_json,
                  struct mld_store *store, struct mld_error *err)
{
    const struct mld_result *m = &r->result;
    struct mld_store_result out;
    struct mld_store_phase phases[MLD_PHASE_COUNT];
    char categories[256];
    mld_store_result_init(&out);
    struct mld_json *shapes = row_json_shapes(&r->shapes);
    char *shapes_text = shapes ? mld_json_print(shapes, false) : NULL;
    mld_json_free(shapes);
    if (!shapes_text)
        return mld_error_set(err, MLD_E_NO_MEMORY, "out of memory");
    out.run_id = r->run_id;
    out.model = r->model;
    out.model_type = r->model_type;
    out.class_name = r->class_name;
    out.checkpoint = r->checkpoint;
    out.categories = mld_row_categories(r->categories, categories, sizeof categories);
    out.parameters = r->parameters;
    out.layers = r->layers;
    out.layers_full = r->layers_full;
    out.artifact_key = r->artifact_key;
    out.config_json = config_json;
    out.platform = *m->device.platform ? m->device.platform : r->hardware;
    out.device_id = *m->device.id ? m->device.id : r->hardware;
    out.device_name = m->device.name;
    out.device_vendor = m->device.vendor;
    out.device_driver = m->device.driver;
    out.device_memory_total_bytes =
        m->device.memory_bytes ? (int64_t)m->device.memory_bytes : -1;
    out.engine = m->engine;
    out.engine_version = m->engine_version;
    out.precision = r->precision;
    out.precision_effective = m->counters.precision_effective;
    out.precision_emulated = m->counters.precision_emulated;
    out.mode = mld_mode_name(r->mode);
    out.batch_size = r->batch_size;
    out.shapes_json = shapes_text;
    out.threads = r->threads;
    out.status = mld_status_name(m->status);
    out.reason = m->reason;
    out.origin = r->origin;
    out.throughput_per_s = mld_row_throughput(r);
    out.ttft_ms = mld_row_ttft_ms(r);
    out.tpot_ms = mld_row_tpot_ms(r);
    out.tokens_per_s = mld_row_tokens_per_s(r);
    out.throughput_unit = r->throughput_unit;
    store_latency(&m->summary, &out);
    if (row_measured(r)) {
        out.sample_count = m->summary.count;
        out.warmup_count = (int64_t)m->warmup_count;
        out.cpu_time_share = m->cpu_time_share;
    }
    out.harness_ns = m->harness_ns < 0 ? NAN : m->harness_ns;
    out.memory_peak_bytes = m->memory_peak_bytes;
    out.memory_floor_bytes = m->memory_floor_bytes;
    out.memory_weights_bytes = r->weights_bytes;
    out.memory_device_bytes = m->counters.device_memory_bytes;
    out.flops = r->flops;
    out.matmul_flops = r->matmul_flops;
    out.read_bytes = r->read_bytes;
    out.write_bytes = r->write_bytes;
    out.flop_per_s = mld_row_flop_per_s(r);
    out.nodes_total = m->counters.nodes_total;
    out.nodes_on_device = m->counters.nodes_on_device;
    out.placement_provider = m->counters.provider;
    out.load_before = r->before.load_1m;
    out.load_after = r->after.load_1m;
    out.temperature_before_c = r->before.temperature_c;
    out.temperature_after_c = r->after.temperature_c;
    out.frequency_before_khz = r->before.frequency_khz;
    out.frequency_after_khz = r->after.frequency_khz;
    out.reproduce = r->reproduce;
    for (int p = 0; p < MLD_PHASE_COUNT; p++) {
        if (m->phase_ns[p] < 0)
            continue;
        phases[out.phase_count].name = mld_phase_name((enum mld_phase)p);
        phases[out.phase_count++].ns = m->phase_ns[p];
    }
    out.phases = phases;
    out.samples_ns = m->samples_ns;
    out.samples_total = m->sample_count;
    out.samples_warmup = m->warmup_count;
    int rc = mld_store_add_result(store, &out, NULL, err);
    mld_free(shapes_text);
    return rc;
}
