/* event.h: what a worker tells its parent, as frames on a pipe.
 *
 *   4 bytes magic "MLDE" | 4 bytes type | 4 bytes length | length bytes of payload
 *
 * in the byte order of the machine: both ends are the same program. JSON payloads are
 * objects on one line; DATA and SAMPLES are raw. A frame is at most 1 MiB, so that
 * garbage from an engine that writes to the pipe is noticed at once and costs no
 * memory. */
#ifndef MLD_CORE_EVENT_H
#define MLD_CORE_EVENT_H

#include "base/json.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MLD_EVENT_MAGIC    0x45444C4Du /* "MLDE" read as a little-endian number */
#define MLD_EVENT_MAX      (1u << 20)  /* bytes of payload */
#define MLD_EVENT_PROTOCOL 1
#define MLD_EVENT_FD       3

/* X(NAME, name, json): json 1 where the payload is a JSON object. */
#define MLD_EVENTS(X)                                                                    \
    X(HELLO, "hello", 1)       /* protocol */                                            \
    X(ENGINE, "engine", 1)     /* engine, version, path */                               \
    X(DEVICE, "device", 1)     /* the fields of struct mld_device */                     \
    X(BEGIN, "begin", 1)       /* phase */                                               \
    X(END, "end", 1)           /* phase, ns */                                           \
    X(PROGRESS, "progress", 1) /* runs, median_ns of the last of them */                 \
    X(SAMPLES, "samples", 0)   /* uint64 ns, each run once, in order */                  \
    X(TIMING, "timing", 1)     /* the loop's verdict */                                  \
    X(COUNTERS, "counters", 1) /* the fields of struct mld_counters */                   \
    X(MEMORY, "memory", 1)     /* floor_bytes or peak_bytes */                           \
    X(OUTPUT, "output", 1)     /* name, dtype, shape, bytes: DATA frames follow */       \
    X(DATA, "data", 0)         /* the next bytes of the last OUTPUT */                   \
    X(ERROR, "error", 1)       /* code, message: the case ends here */                   \
    X(DONE, "done", 1)         /* all was told */
enum mld_event_type {
#define X(upper, lower, json) MLD_EVENT_##upper,
    MLD_EVENTS(X)
#undef X
        MLD_EVENT_COUNT
};
const char *mld_event_name(enum mld_event_type t);

/* Writes a frame whole, waiting while the pipe is full. json is taken over and freed. */
int mld_event_send(int fd, enum mld_event_type t, const void *payload, size_t bytes,
                   struct mld_error *err) MLD_MUST_CHECK;
int mld_event_send_json(int fd, enum mld_event_type t, struct mld_json *json,
                        struct mld_error *err) MLD_MUST_CHECK;

/* One frame, valid until the reader is fed again. */
struct mld_event {
    enum mld_event_type type;
    const unsigned char *payload; /* not aligned */
    size_t bytes;
    const struct mld_json *json; /* NULL for raw payloads */
};

/* Turns bytes as they come into frames. Zero-filled is valid. */
struct mld_event_reader {
    struct mld_str buffer;
    size_t begin; /* of the next frame in buffer */
    struct mld_json *json;
};
void mld_event_reader_release(struct mld_event_reader *r);
int mld_event_feed(struct mld_event_reader *r, const void *data, size_t n,
                   struct mld_error *err) MLD_MUST_CHECK;
/* 1 and *out when a frame is complete, 0 when more bytes are needed, MLD_E_PROTOCOL when
 * the bytes are no frame. */
int mld_event_next(struct mld_event_reader *r, struct mld_event *out,
                   struct mld_error *err) MLD_MUST_CHECK;
/* Bytes of a frame that never came to its end. */
size_t mld_event_pending(const struct mld_event_reader *r);

#endif
