/* event.c: frames on a pipe, written whole and read in pieces. */
#include "core/event.h"

#include "base/alloc.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

struct event_header {
    uint32_t magic, type, bytes;
};

static const struct {
    const char *name;
    bool json;
} event_kinds[] = {
#define X(upper, lower, is_json) {lower, is_json},
    MLD_EVENTS(X)
#undef X
};
_Static_assert(sizeof(event_kinds) / sizeof(*event_kinds) == MLD_EVENT_COUNT,
               "a row for each event");

const char *mld_event_name(enum mld_event_type t)
{
    return (unsigned)t < MLD_EVENT_COUNT ? event_kinds[t].name : "unknown";
}

static int event_write(int fd, const void *data, size_t n, struct mld_error *err)
{
    const char *p = data;
    while (n > 0) {
        ssize_t done = write(fd, p, n);
        if (done >= 0) {
            p += done;
            n -= (size_t)done;
        } else if (errno == EAGAIN) {
            struct pollfd wait = {.fd = fd, .events = POLLOUT};
            (void)poll(&wait, 1, -1);
        } else if (errno != EINTR) {
            return mld_error_set(err, MLD_E_IO, "cannot write an event: %s",
                                 strerror(errno));
        }
    }
    return 0;
}

int mld_event_send(int fd, enum mld_event_type t, const void *payload, size_t bytes,
                   struct mld_error *err)
{
    MLD_ASSERT(bytes <= MLD_EVENT_MAX);
    const struct event_header h = {MLD_EVENT_MAGIC, (uint32_t)t, (uint32_t)bytes};
    MLD_TRY(event_write(fd, &h, sizeof(h), err));
    return event_write(fd, payload, bytes, err);
}

int mld_event_send_json(int fd, enum mld_event_type t, struct mld_json *json,
                        struct mld_error *err)
{
    char *text = json ? mld_json_print(json, false) : NULL;
    mld_json_free(json);
    if (!text)
        return mld_error_set(err, MLD_E_NO_MEMORY, "no memory for an event");
    int rc = mld_event_send(fd, t, text, strlen(text), err);
    mld_free(text);
    return rc;
}

void mld_event_reader_release(struct mld_event_reader *r)
{
    mld_str_release(&r->buffer);
    mld_json_free(r->json);
    memset(r, 0, sizeof(*r));
}

int mld_event_feed(struct mld_event_reader *r, const void *data, size_t n,
                   struct mld_error *err)
{
    if (r->begin > 0) {
        size_t rest = r->buffer.len - r->begin;
        memmove(r->buffer.data, r->buffer.data + r->begin, rest);
        r->buffer.len = rest;
        r->begin = 0;
    }
    mld_str_append(&r->buffer, data, n);
    return mld_str_check(&r->buffer, err);
}

static int event_garbage(const struct mld_event_reader *r, struct mld_error *err)
{
    char shown[33];
    size_t n = mld_event_pending(r);
    n = n < sizeof(shown) - 1 ? n : sizeof(shown) - 1;
    for (size_t i = 0; i < n; i++) {
        char c = r->buffer.data[r->begin + i];
        shown[i] = c >= ' ' && c <= '~' ? c : '.';
    }
    shown[n] = '\0';
    return mld_error_set(err, MLD_E_PROTOCOL,
                         "the worker sent something that is no event: '%s'", shown);
}

int mld_event_next(struct mld_event_reader *r, struct mld_event *out,
                   struct mld_error *err)
{
    struct event_header h;
    mld_json_free(r->json);
    r->json = NULL;
    size_t have = mld_event_pending(r), known = have < sizeof(h) ? have : sizeof(h);
    if (have == 0)
        return 0;
    memset(&h, 0, sizeof(h));
    memcpy(&h, r->buffer.data + r->begin, known);
    /* Garbage shorter than a header must not be waited on for ever. */
    const uint32_t magic = MLD_EVENT_MAGIC;
    if (memcmp(&h, &magic, known < sizeof(magic) ? known : sizeof(magic)) != 0)
        return event_garbage(r, err);
    if (have < sizeof(h))
        return 0;
    if (h.type >= MLD_EVENT_COUNT || h.bytes > MLD_EVENT_MAX)
        return mld_error_set(err, MLD_E_PROTOCOL,
                             "the worker sent an event of type %u with %u bytes",
                             (unsigned)h.type, (unsigned)h.bytes);
    if (have - sizeof(h) < h.bytes)
        return 0;
    out->type = (enum mld_event_type)h.type;
    out->payload = (const unsigned char *)r->buffer.data + r->begin + sizeof(h);
    out->bytes = h.bytes;
    out->json = NULL;
    if (event_kinds[h.type].json) {
        if (mld_json_parse((const char *)out->payload, out->bytes,
                           event_kinds[h.type].name, &r->json, err) != 0)
            return mld_error_set(err, MLD_E_PROTOCOL,
                                 "the worker sent a malformed '%s' event",
                                 event_kinds[h.type].name);
        out->json = r->json;
    }
    r->begin += sizeof(h) + h.bytes;
    return 1;
}

size_t mld_event_pending(const struct mld_event_reader *r)
{
    return r->buffer.len - r->begin;
}
