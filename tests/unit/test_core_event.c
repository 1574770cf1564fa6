/* test_core_event.c: frames cut anywhere come whole, and garbage is told at once. */
#include "kit/kit.h"

#include "core/event.h"

#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

/* Everything that is written to one end, read from the other. */
static size_t written(int fd, unsigned char *buf, size_t cap)
{
    size_t n = 0;
    ssize_t got;
    KIT_EQ_INT(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    while (n < cap && (got = read(fd, buf + n, cap - n)) > 0)
        n += (size_t)got;
    return n;
}

static size_t sample_frames(unsigned char *buf, size_t cap)
{
    int fds[2];
    const uint64_t samples[] = {1, 2, UINT64_MAX};
    struct mld_json *o = mld_json_new_object();
    mld_json_set(o, "phase", mld_json_new_str("load"));
    KIT_EQ_INT(pipe(fds), 0);
    KIT_OK(mld_event_send_json(fds[1], MLD_EVENT_BEGIN, o, &kit_err));
    KIT_OK(mld_event_send(fds[1], MLD_EVENT_SAMPLES, samples, sizeof(samples), &kit_err));
    KIT_OK(mld_event_send(fds[1], MLD_EVENT_DATA, NULL, 0, &kit_err));
    KIT_OK(mld_event_send_json(fds[1], MLD_EVENT_DONE, mld_json_new_object(), &kit_err));
    size_t n = written(fds[0], buf, cap);
    close(fds[0]);
    close(fds[1]);
    return n;
}

MLD_TEST(event__frames_survive_any_cut)
{
    unsigned char bytes[1024];
    const size_t n = sample_frames(bytes, sizeof(bytes));
    for (size_t step = 1; step <= n; step++) {
        struct mld_event_reader r = {0};
        struct mld_event e;
        int seen = 0, more;
        for (size_t at = 0; at < n; at += step) {
            KIT_OK(
                mld_event_feed(&r, bytes + at, n - at < step ? n - at : step, &kit_err));
            while ((more = mld_event_next(&r, &e, &kit_err)) > 0) {
                uint64_t last;
                switch (seen++) {
                case 0:
                    KIT_EQ_INT(e.type, MLD_EVENT_BEGIN);
                    KIT_EQ_STR(mld_json_str(mld_json_get(e.json, "phase"), ""), "load");
                    break;
                case 1:
                    KIT_EQ_INT(e.type, MLD_EVENT_SAMPLES);
                    KIT_EQ_INT(e.bytes, 24);
                    memcpy(&last, e.payload + 16, sizeof(last));
                    KIT_EQ_U64(last, UINT64_MAX);
                    break;
                case 2:
                    KIT_EQ_INT(e.type, MLD_EVENT_DATA);
                    KIT_EQ_INT(e.bytes, 0);
                    break;
                default:
                    KIT_EQ_INT(e.type, MLD_EVENT_DONE);
                }
            }
            KIT_EQ_INT(more, 0);
        }
        KIT_EQ_INT(seen, 4);
        KIT_EQ_INT(mld_event_pending(&r), 0);
        mld_event_reader_release(&r);
    }
}

static void refuse(const void *data, size_t n, const char *message)
{
    struct mld_event_reader r = {0};
    struct mld_event e;
    KIT_OK(mld_event_feed(&r, data, n, &kit_err));
    KIT_FAILS(mld_event_next(&r, &e, &kit_err), MLD_E_PROTOCOL);
    KIT_CONTAINS(kit_err.message, message);
    mld_event_reader_release(&r);
}

MLD_TEST(event__garbage_is_told_and_shown)
{
    refuse("x", 1, "no event: 'x'"); /* shorter than a header: not waited on */
    refuse("MLDx", 4, "no event: 'MLDx'");
    refuse("warning: cuda\n\x01 retry", 21, "no event: 'warning: cuda.. retry'");
    uint32_t header[3] = {MLD_EVENT_MAGIC, MLD_EVENT_COUNT, 0};
    refuse(header, sizeof(header), "an event of type");
    header[1] = MLD_EVENT_DATA;
    header[2] = MLD_EVENT_MAX + 1; /* not waited for, not allocated */
    refuse(header, sizeof(header), "with 1048577 bytes");
    unsigned char broken[14];
    header[1] = MLD_EVENT_DONE;
    header[2] = 2;
    memcpy(broken, header, sizeof(header));
    memcpy(broken + 12, "{]", 2);
    refuse(broken, sizeof(broken), "malformed 'done' event");
}

MLD_TEST(event__half_a_frame_is_pending)
{
    unsigned char bytes[1024];
    struct mld_event_reader r = {0};
    struct mld_event e;
    sample_frames(bytes, sizeof(bytes));
    KIT_OK(mld_event_feed(&r, bytes, 7, &kit_err));
    KIT_EQ_INT(mld_event_next(&r, &e, &kit_err), 0);
    KIT_EQ_INT(mld_event_pending(&r), 7);
    mld_event_reader_release(&r);
}

static void *drain(void *fd)
{
    unsigned char piece[4096];
    size_t all = 0;
    ssize_t got;
    while ((got = read(*(int *)fd, piece, sizeof(piece))) > 0)
        all += (size_t)got;
    *(int *)fd = (int)all;
    return NULL;
}

/* A frame larger than the pipe, to an end that does not block: waits, and is whole. */
MLD_TEST(event__waits_while_the_pipe_is_full)
{
    static unsigned char data[MLD_EVENT_MAX];
    int fds[2];
    pthread_t thread;
    KIT_EQ_INT(pipe(fds), 0);
    KIT_EQ_INT(fcntl(fds[1], F_SETFL, O_NONBLOCK), 0);
    KIT_EQ_INT(pthread_create(&thread, NULL, drain, &fds[0]), 0);
    KIT_OK(mld_event_send(fds[1], MLD_EVENT_DATA, data, sizeof(data), &kit_err));
    close(fds[1]);
    KIT_EQ_INT(pthread_join(thread, NULL), 0);
    KIT_EQ_INT(fds[0], 12 + MLD_EVENT_MAX);
}

MLD_TEST(event__a_closed_pipe_is_an_error)
{
    KIT_FAILS(mld_event_send(-1, MLD_EVENT_DATA, "x", 1, &kit_err), MLD_E_IO);
    KIT_FAILS(mld_event_send_json(-1, MLD_EVENT_DONE, NULL, &kit_err), MLD_E_NO_MEMORY);
    KIT_EQ_STR(mld_event_name(MLD_EVENT_SAMPLES), "samples");
    KIT_EQ_STR(mld_event_name(MLD_EVENT_COUNT), "unknown");
}
