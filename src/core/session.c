/* session.c: calls through a backend's table, with the states asserted and the errors
 * given a subject. */
#include "core/session.h"

#include "base/str.h"

#include <string.h>

/* A failing slot that forgot to say why still gets a message. */
static int session_failed(const struct mld_core_session *s, const char *slot, int rc,
                          struct mld_error *err)
{
    if (err && (err->code != rc || err->message[0] == '\0'))
        mld_error_set(err, rc, "%s failed: %s", slot, mld_error_text(rc));
    mld_error_context(err, "%s", s->ops->name);
    return rc;
}

static int session_check_option(const struct mld_backend_ops *ops,
                                const struct mld_key_value *option, struct mld_error *err)
{
    const char *names[64];
    size_t n = 0;
    for (const struct mld_backend_option *o = ops->options; o && o->key && n < 64; o++) {
        if (mld_streq(o->key, option->key))
            return 0;
        names[n++] = o->key;
    }
    const char *near = mld_str_nearest(option->key, names, n);
    if (near)
        return mld_error_set(err, MLD_E_INVALID,
                             "backend '%s' has no option '%s': did you mean '%s'?",
                             ops->name, option->key, near);
    return mld_error_set(err, MLD_E_INVALID,
                         "backend '%s' has no option '%s': see mldyno hardware "
                         "--help-backend %s",
                         ops->name, option->key, ops->name);
}

int mld_session_open(struct mld_core_session *s, const struct mld_backend_ops *ops,
                     const struct mld_open_params *params, struct mld_error *err)
{
    memset(s, 0, sizeof(*s));
    for (size_t i = 0; i < params->option_count; i++)
        MLD_TRY(session_check_option(ops, &params->options[i], err));
    s->ops = ops;
    int rc = ops->open(params, &s->session, err);
    if (rc == 0 && !s->session)
        rc = mld_error_set(err, MLD_E_ENGINE, "open gave no session");
    if (rc != 0) {
        rc = session_failed(s, "open", rc, err);
        memset(s, 0, sizeof(*s));
        return rc;
    }
    s->state = MLD_SESSION_OPEN;
    return 0;
}

int mld_session_load(struct mld_core_session *s, const struct mld_load_params *params,
                     struct mld_error *err)
{
    MLD_ASSERT(s->state == MLD_SESSION_OPEN);
    int rc = s->ops->load(s->session, params, err);
    if (rc != 0)
        return session_failed(s, "load", rc, err);
    s->state = MLD_SESSION_LOADED;
    return 0;
}

int mld_session_prepare(struct mld_core_session *s,
                        const struct mld_prepare_params *params, struct mld_error *err)
{
    MLD_ASSERT(s->state == MLD_SESSION_LOADED);
    for (size_t i = 0; i < params->state_count; i++)
        MLD_ASSERT(params->state[i].input < params->input_count &&
                   params->state[i].output < params->output_count);
    int rc = s->ops->prepare(s->session, params, err);
    if (rc != 0)
        return session_failed(s, "prepare", rc, err);
    s->input_count = params->input_count;
    s->output_count = params->output_count;
    s->state = MLD_SESSION_READY;
    return 0;
}

int mld_session_run(struct mld_core_session *s, struct mld_error *err)
{
    MLD_ASSERT(s->state >= MLD_SESSION_READY);
    int rc = s->ops->run(s->session, err);
    if (rc != 0)
        return session_failed(s, "run", rc, err);
    s->state = MLD_SESSION_RAN;
    return 0;
}

int mld_session_set_input(struct mld_core_session *s, size_t index, const void *data,
                          size_t bytes, struct mld_error *err)
{
    MLD_ASSERT(s->state >= MLD_SESSION_READY && index < s->input_count);
    int rc = s->ops->set_input(s->session, index, data, bytes, err);
    return rc == 0 ? 0 : session_failed(s, "set_input", rc, err);
}

int mld_session_output(struct mld_core_session *s, size_t index, struct mld_tensor *out,
                       struct mld_error *err)
{
    MLD_ASSERT(s->state == MLD_SESSION_RAN && index < s->output_count);
    memset(out, 0, sizeof(*out));
    int rc = s->ops->output(s->session, index, out, err);
    if (rc != 0)
        return session_failed(s, "output", rc, err);
    int64_t count = out->rank >= 0 && out->rank <= MLD_MAX_RANK ? 1 : -1;
    for (int i = 0; i < out->rank && count >= 0; i++) {
        if (out->dims[i] < 0 || (out->dims[i] > 0 && count > INT64_MAX / out->dims[i]))
            count = -1;
        else
            count *= out->dims[i];
    }
    if (count < 0 || (unsigned)out->dtype >= MLD_DTYPE_COUNT ||
        out->bytes != mld_dtype_bytes(out->dtype, count) ||
        (!out->data && out->bytes > 0))
        rc = mld_error_set(err, MLD_E_ENGINE, "output %zu has no valid shape", index);
    return rc == 0 ? 0 : session_failed(s, "output", rc, err);
}

int mld_session_counters(struct mld_core_session *s, struct mld_counters *out,
                         struct mld_error *err)
{
    MLD_ASSERT(s->state == MLD_SESSION_RAN);
    int rc = s->ops->counters(s->session, out, err);
    return rc == 0 ? 0 : session_failed(s, "counters", rc, err);
}

void mld_session_cancel(struct mld_core_session *s)
{
    if (s->session)
        s->ops->cancel(s->session);
}

void mld_session_unload(struct mld_core_session *s)
{
    if (s->state < MLD_SESSION_LOADED)
        return;
    s->ops->unload(s->session);
    s->state = MLD_SESSION_OPEN;
    s->input_count = s->output_count = 0;
}

void mld_session_close(struct mld_core_session *s)
{
    mld_session_unload(s);
    if (s->session)
        s->ops->close(s->session);
    memset(s, 0, sizeof(*s));
}
