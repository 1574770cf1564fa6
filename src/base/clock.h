/* clock.h: monotonic time behind an interface, so that tests drive a fake one. */
#ifndef MLD_BASE_CLOCK_H
#define MLD_BASE_CLOCK_H

#include <stdint.h>

struct mld_clock {
    uint64_t (*now_ns)(void *ctx); /* monotonic */
    void (*sleep_ns)(void *ctx, uint64_t ns);
    void *ctx;
};

/* CLOCK_MONOTONIC (slewed, never stepped; vDSO read, no system call). */
const struct mld_clock *mld_clock_real(void);

/* A clock that moves only when told, or when slept on. */
struct mld_clock_fake {
    struct mld_clock clock; /* pass &fake.clock */
    uint64_t now_ns;
};
void mld_clock_fake_init(struct mld_clock_fake *f, uint64_t start_ns);
void mld_clock_fake_advance(struct mld_clock_fake *f, uint64_t ns);

static inline uint64_t mld_now_ns(const struct mld_clock *c)
{
    return c->now_ns(c->ctx);
}

/* Wall clock, UTC, microseconds since 1970; and as ISO 8601 in buf of 32 bytes. */
int64_t mld_wall_us(void);
const char *mld_wall_iso(int64_t wall_us, char buf[32]);

#endif
