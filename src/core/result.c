/* result.c: a result's life: everything unknown at first, everything freed at last. */
#include "core/runner.h"

#include "base/alloc.h"

#include <math.h>
#include <string.h>

static void result_clear_summary(struct mld_summary *s)
{
    s->mean = s->mean_low = s->mean_high = NAN;
    s->min = s->max = s->stddev = s->mad = NAN;
    s->autocorrelation = s->effective_count = NAN;
    for (int i = 0; i < MLD_PERCENTILE_COUNT; i++)
        s->p[i].value = s->p[i].low = s->p[i].high = NAN;
}

void mld_result_init(struct mld_result *r)
{
    memset(r, 0, sizeof(*r));
    result_clear_summary(&r->summary);
    for (int i = 0; i < MLD_PHASE_COUNT; i++)
        r->phase_ns[i] = -1;
    r->counters.nodes_total = r->counters.nodes_on_device = -1;
    r->counters.device_memory_bytes = -1;
    r->counters.precision_emulated = -1;
    r->harness_ns = -1.0;
    r->memory_peak_bytes = r->memory_floor_bytes = -1;
    r->cpu_time_share = -1.0;
    r->voluntary_switches = r->involuntary_switches = -1;
}

void mld_result_release(struct mld_result *r)
{
    for (size_t i = 0; i < r->output_count; i++)
        mld_free(r->outputs[i].values);
    mld_free(r->outputs);
    mld_free(r->samples_ns);
    mld_result_init(r);
}
