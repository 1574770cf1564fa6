/* runner_int.h: one case in flight, as the two halves of the runner share it. */
#ifndef MLD_CORE_RUNNER_INT_H
#define MLD_CORE_RUNNER_INT_H

#include "base/process.h"
#include "core/event.h"
#include "core/runner.h"

#define MLD_RUNNER_TAIL 4096 /* bytes kept of what the engine printed */

struct runner {
    const struct mld_case *c;
    const struct mld_run_params *params;
    struct mld_result *out;
    const struct mld_clock *clock;
    struct mld_process process;
    struct mld_event_reader reader;
    char *text; /* the case as JSON, not yet sent from text_sent on */
    size_t text_size, text_sent;
    char tail[MLD_RUNNER_TAIL]; /* of stdout and stderr: a ring */
    size_t tail_total;
    size_t samples_cap;
    int phase;                 /* begun last; -1: none */
    unsigned char *output_raw; /* DATA of outputs[output_count - 1] so far */
    size_t output_bytes, output_have;
    enum mld_dtype output_dtype;
    int64_t oom_kills; /* before the start */
    bool hello, timing,
        steady;  /* told: greeting, the loop's verdict, and that it is good */
    bool done;   /* told: everything */
    bool failed; /* told: an error, in error */
    bool broken; /* what it told makes no sense: error says why */
    bool timed_out, cancelled;
    struct mld_error error;
};

/* Takes one event into the result. An error means that the worker broke the protocol, or
 * that the parent has no memory; r->error says which. */
int mld_runner_take(struct runner *r, const struct mld_event *e) MLD_MUST_CHECK;

#endif
