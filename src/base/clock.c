/* clock.c: CLOCK_MONOTONIC, the fake clock of the tests, and wall time as ISO 8601. */
#include "base/clock.h"

#include <errno.h>
#include <stdio.h>
#include <time.h>

#define NS_PER_S UINT64_C(1000000000)

static uint64_t clock_real_now(void *ctx)
{
    (void)ctx;
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t); /* cannot fail for this clock */
    return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

static void clock_real_sleep(void *ctx, uint64_t ns)
{
    /* Absolute, so that an interrupting signal does not lengthen the sleep. */
    const uint64_t end = clock_real_now(ctx) + ns;
    const struct timespec t = {(time_t)(end / NS_PER_S), (long)(end % NS_PER_S)};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR)
        continue;
}

const struct mld_clock *mld_clock_real(void)
{
    static const struct mld_clock real = {clock_real_now, clock_real_sleep, NULL};
    return &real;
}

static uint64_t clock_fake_now(void *ctx)
{
    const struct mld_clock_fake *f = ctx;
    return f->now_ns;
}

static void clock_fake_sleep(void *ctx, uint64_t ns)
{
    mld_clock_fake_advance(ctx, ns);
}

void mld_clock_fake_init(struct mld_clock_fake *f, uint64_t start_ns)
{
    f->clock = (struct mld_clock){clock_fake_now, clock_fake_sleep, f};
    f->now_ns = start_ns;
}

void mld_clock_fake_advance(struct mld_clock_fake *f, uint64_t ns)
{
    f->now_ns += ns;
}

int64_t mld_wall_us(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

const char *mld_wall_iso(int64_t wall_us, char buf[32])
{
    int64_t s = wall_us / 1000000, us = wall_us % 1000000;
    if (us < 0) {
        us += 1000000;
        s--;
    }
    const time_t when = (time_t)s;
    struct tm tm;
    char date[24];
    if (gmtime_r(&when, &tm) == NULL || tm.tm_year < -1900 || tm.tm_year > 8099 ||
        strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &tm) == 0)
        (void)snprintf(buf, 32, "unknown time");
    else
        (void)snprintf(buf, 32, "%s.%06dZ", date, (int)us);
    return buf;
}
