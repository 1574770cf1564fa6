/* session.h: the only caller of a backend's table.
 *
 * Keeps the order of life (open, load, prepare, run ..., unload, close) as an assertion:
 * a wrong order is a bug of the core, not of the backend. Puts the backend's name before
 * the messages of its errors, and checks what it hands out. */
#ifndef MLD_CORE_SESSION_H
#define MLD_CORE_SESSION_H

#include "mldyno/backend.h"

/* X(NAME): states of a session, in order. */
enum mld_session_state {
    MLD_SESSION_CLOSED,
    MLD_SESSION_OPEN,
    MLD_SESSION_LOADED,
    MLD_SESSION_READY, /* prepared */
    MLD_SESSION_RAN    /* at least one run since prepare */
};

/* An engine at work. Zero-filled is closed. */
struct mld_core_session {
    const struct mld_backend_ops *ops;
    struct mld_session *session; /* the backend's own */
    enum mld_session_state state;
    size_t input_count, output_count;
};

/* ops come from the registry (defaults filled in). Options are checked against the
 * backend's table. */
int mld_session_open(struct mld_core_session *s, const struct mld_backend_ops *ops,
                     const struct mld_open_params *params,
                     struct mld_error *err) MLD_MUST_CHECK;
int mld_session_load(struct mld_core_session *s, const struct mld_load_params *params,
                     struct mld_error *err) MLD_MUST_CHECK;
int mld_session_prepare(struct mld_core_session *s,
                        const struct mld_prepare_params *params,
                        struct mld_error *err) MLD_MUST_CHECK;
/* One run. The timing loop's path: adds an assertion and nothing else. */
int mld_session_run(struct mld_core_session *s, struct mld_error *err) MLD_MUST_CHECK;
int mld_session_set_input(struct mld_core_session *s, size_t index, const void *data,
                          size_t bytes, struct mld_error *err) MLD_MUST_CHECK;
int mld_session_output(struct mld_core_session *s, size_t index, struct mld_tensor *out,
                       struct mld_error *err) MLD_MUST_CHECK;
int mld_session_counters(struct mld_core_session *s, struct mld_counters *out,
                         struct mld_error *err) MLD_MUST_CHECK;
void mld_session_cancel(struct mld_core_session *s); /* any thread, any time after open */
void mld_session_unload(struct mld_core_session *s); /* nothing when not loaded */
void mld_session_close(struct mld_core_session *s);  /* unloads first; leaves it closed */

#endif
