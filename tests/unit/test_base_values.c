/* test_base_values.c: error values, element types, allocation, arena, map, clock. */
#include "base/alloc.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/map.h"
#include "kit/kit.h"
#include "mldyno/dtype.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- error ---- */

MLD_TEST(error__set_writes_code_and_message)
{
    struct mld_error err = {0};
    KIT_EQ_INT(mld_error_set(&err, MLD_E_IO, "cannot open '%s'", "x"), MLD_E_IO);
    KIT_EQ_INT(err.code, MLD_E_IO);
    KIT_EQ_STR(err.message, "cannot open 'x'");
    KIT_EQ_INT(mld_error_set(NULL, MLD_E_BUSY, "nobody listens"), MLD_E_BUSY);
}

MLD_TEST(error__message_is_one_line)
{
    struct mld_error err = {0};
    mld_error_set(&err, MLD_E_ENGINE, "engine says:\n\tbad\r\nnode\n\n");
    KIT_EQ_STR(err.message, "engine says:  bad  node");
    mld_error_set(&err, MLD_E_PARSE, "'%s' is not known", "\033[2Jbert\177\302\265");
    KIT_EQ_STR(err.message, "'?[2Jbert?\302\265' is not known"); /* no terminal codes */
}

MLD_TEST(error__long_message_ends_in_dots)
{
    struct mld_error err = {0};
    char text[600];
    memset(text, 'x', sizeof(text));
    text[511] = '\0';
    mld_error_set(&err, MLD_E_IO, "%s", text); /* just fits */
    KIT_EQ_STR(err.message, text);
    text[511] = 'x';
    text[512] = '\0';
    mld_error_set(&err, MLD_E_IO, "%s", text);
    KIT_EQ_INT(strlen(err.message), 511);
    KIT_EQ_STR(err.message + 507, "x...");
    memcpy(text + 507, "\xC3\xA9", 2); /* a letter that the dots would cut in two */
    mld_error_set(&err, MLD_E_IO, "%s", text);
    KIT_EQ_STR(err.message + 506, "x...");
}

MLD_TEST(error__context_goes_before)
{
    struct mld_error err = {0};
    mld_error_set(&err, MLD_E_PARSE, "line 3: expected ':'");
    KIT_EQ_INT(mld_error_context(&err, "model '%s'", "m"), MLD_E_PARSE);
    KIT_EQ_STR(err.message, "model 'm': line 3: expected ':'");
    KIT_EQ_INT(mld_error_context(NULL, "nothing"), 0);
    struct mld_error bare = {.code = MLD_E_BUSY};
    mld_error_context(&bare, "database");
    KIT_EQ_STR(bare.message, "database: busy");
}

MLD_TEST(error__arguments_may_be_the_message_itself)
{
    struct mld_error err = {0};
    mld_error_set(&err, MLD_E_IO, "inner");
    mld_error_set(&err, MLD_E_ENGINE, "outer (%s)", err.message);
    KIT_EQ_STR(err.message, "outer (inner)");
}

MLD_TEST(error__codes_have_names_texts_and_exits)
{
    static const struct {
        int code;
        const char *name;
    } rows[] = {
#define X(name, value, text, exit) {MLD_E_##name, #name},
        MLD_ERROR_CODES(X)
#undef X
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        KIT_EQ_STR(mld_error_name(rows[i].code), rows[i].name);
        KIT_CHECK(rows[i].code < 0);
        KIT_CHECK(strlen(mld_error_text(rows[i].code)) > 3);
        const int status = mld_error_exit(rows[i].code);
        KIT_CHECK(status >= 1 && status <= 3);
        for (size_t j = 0; j < i; j++)
            KIT_CHECK(rows[i].code != rows[j].code);
    }
    KIT_EQ_STR(mld_error_name(0), "OK");
    KIT_EQ_INT(mld_error_exit(0), 0);
    KIT_EQ_STR(mld_error_name(-999), "UNKNOWN");
    KIT_EQ_INT(mld_error_exit(-999), 1);
    KIT_EQ_INT(mld_error_exit(MLD_E_NOT_FOUND), 2);
    KIT_EQ_INT(mld_error_exit(MLD_E_NO_ENGINE), 3);
}

MLD_TEST(error__broken_assert_says_where_and_aborts)
{
    int fds[2];
    KIT_CHECK(pipe(fds) == 0);
    const pid_t pid = fork();
    if (pid == 0) {
        dup2(fds[1], STDERR_FILENO);
        MLD_ASSERT(1 + 1 == 2);
        MLD_ASSERT(1 + 1 == 3);
        _exit(0);
    }
    close(fds[1]);
    char text[512] = "";
    KIT_CHECK(read(fds[0], text, sizeof(text) - 1) > 0);
    close(fds[0]);
    int status;
    KIT_CHECK(waitpid(pid, &status, 0) == pid);
    KIT_CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    KIT_CONTAINS(text, "'1 + 1 == 3' does not hold");
    KIT_CONTAINS(text, "test_base_values.c:");
}

/* ---- dtype ---- */

MLD_TEST(dtype__table_reads_both_ways)
{
    for (int t = 0; t < MLD_DTYPE_COUNT; t++) {
        KIT_EQ_INT(mld_dtype_parse(mld_dtype_name((enum mld_dtype)t)), t);
        KIT_EQ_INT(mld_dtype_from_onnx(mld_dtype_onnx((enum mld_dtype)t)), t);
    }
    KIT_EQ_INT(mld_dtype_parse("f64"), -1);
    KIT_EQ_INT(mld_dtype_parse(NULL), -1);
    KIT_EQ_INT(mld_dtype_from_onnx(0), -1);
    KIT_EQ_INT(mld_dtype_onnx(MLD_BF16), 16);
    KIT_EQ_INT(mld_dtype_bits(MLD_U4), 4);
    KIT_EQ_STR(mld_dtype_name(MLD_DTYPE_COUNT), "?");
}

MLD_TEST(dtype__bytes_pack_and_refuse_overflow)
{
    KIT_EQ_U64(mld_dtype_bytes(MLD_F32, 3), 12);
    KIT_EQ_U64(mld_dtype_bytes(MLD_BOOL, 3), 3);
    KIT_EQ_U64(mld_dtype_bytes(MLD_I4, 0), 0);
    KIT_EQ_U64(mld_dtype_bytes(MLD_I4, 4), 2);
    KIT_EQ_U64(mld_dtype_bytes(MLD_I4, 5), 3);
    KIT_EQ_U64(mld_dtype_bytes(MLD_U4, INT64_MAX), UINT64_C(1) << 62);
    KIT_EQ_U64(mld_dtype_bytes(MLD_I64, -1), SIZE_MAX);
    KIT_EQ_U64(mld_dtype_bytes(MLD_I64, INT64_MAX), SIZE_MAX);
    KIT_EQ_U64(mld_dtype_bytes(MLD_I64, INT64_MAX / 4), SIZE_MAX);
    KIT_EQ_U64(mld_dtype_bytes(MLD_DTYPE_COUNT, 1), SIZE_MAX);
}

/* ---- alloc ---- */

MLD_TEST(alloc__refuses_what_overflows_or_is_not_sane)
{
    size_t product = 7;
    KIT_CHECK(!mld_mul_size(SIZE_MAX / 2, 3, &product));
    KIT_EQ_U64(product, 7);
    KIT_CHECK(mld_mul_size(0, SIZE_MAX, &product));
    KIT_EQ_U64(product, 0);
    KIT_CHECK(mld_mul_size(SIZE_MAX, 1, &product));
    KIT_CHECK(mld_calloc(SIZE_MAX / 2, 4) == NULL);
    KIT_CHECK(mld_alloc(SIZE_MAX) == NULL);
    KIT_CHECK(mld_alloc((size_t)-100) == NULL);
    KIT_CHECK(mld_alloc_aligned(48, 64) == NULL);
    mld_free(NULL);
}

MLD_TEST(alloc__gives_usable_memory)
{
    unsigned char *p = mld_calloc(10, 10);
    for (int i = 0; i < 100; i++)
        KIT_EQ_INT(p[i], 0);
    p[99] = 5;
    p = mld_realloc(p, 200);
    KIT_EQ_INT(p[99], 5);
    mld_free(p);
    void *empty = mld_alloc(0);
    KIT_CHECK(empty != NULL);
    mld_free(empty);
    void *aligned = mld_alloc_aligned(4096, 10);
    KIT_EQ_U64((uintptr_t)aligned % 4096, 0);
    mld_free(aligned);
    char *s = mld_strndup("abcdef", 3);
    KIT_EQ_STR(s, "abc");
    mld_free(s);
    s = mld_strndup("ab", 30);
    KIT_EQ_STR(s, "ab");
    mld_free(s);
}

MLD_TEST(alloc__fails_the_nth_and_all_later)
{
    (void)mld_alloc_fail_at(2);
    void *first = mld_alloc(1);
    KIT_CHECK(first != NULL);
    KIT_CHECK(mld_alloc(1) == NULL);
    KIT_CHECK(mld_strdup("x") == NULL);
    KIT_CHECK(mld_alloc_aligned(64, 1) == NULL);
    void *kept = mld_realloc(first, 1000);
    KIT_CHECK(kept == NULL); /* and first is still there */
    KIT_EQ_U64(mld_alloc_fail_at(0), 5);
    mld_free(first);
    void *after = mld_alloc(1);
    KIT_CHECK(after != NULL);
    mld_free(after);
    KIT_EQ_U64(mld_alloc_fail_at(0), 1);
}

/* ---- arena ---- */

MLD_TEST(arena__blocks_are_zeroed_aligned_and_apart)
{
    struct mld_arena a = {0};
    unsigned char *last = NULL;
    for (size_t n = 0; n < 3000; n += 7) {
        unsigned char *p = mld_arena_alloc(&a, n);
        KIT_CHECK(p != NULL && p != last);
        KIT_EQ_U64((uintptr_t)p % 16, 0);
        for (size_t i = 0; i < n; i++)
            KIT_EQ_INT(p[i], 0);
        memset(p, 0xFF, n);
        last = p;
    }
    unsigned char *big = mld_arena_alloc(&a, 5 << 20);
    memset(big, 0xFF, 5 << 20);
    unsigned char *small = mld_arena_alloc(&a, 16);
    KIT_EQ_INT(small[0], 0);
    mld_arena_release(&a);
    KIT_CHECK(a.head == NULL);
    KIT_EQ_U64(a.used_bytes, 0);
    KIT_CHECK(mld_arena_alloc(&a, 1) != NULL); /* usable again */
    mld_arena_release(&a);
    mld_arena_release(NULL);
}

MLD_TEST(arena__limit_holds)
{
    struct mld_arena a;
    mld_arena_init(&a, 1000);
    KIT_CHECK(mld_arena_alloc(&a, 900) != NULL);
    KIT_CHECK(mld_arena_alloc(&a, 100) == NULL);
    KIT_CHECK(mld_arena_alloc(&a, 80) != NULL);
    KIT_CHECK(mld_arena_alloc(&a, SIZE_MAX) == NULL);
    KIT_CHECK(mld_arena_alloc(&a, SIZE_MAX - 8) == NULL);
    KIT_CHECK(mld_arena_array(&a, SIZE_MAX / 4, 8) == NULL);
    mld_arena_release(&a);
    KIT_EQ_U64(a.max_bytes, 1000);
}

MLD_TEST(arena__strings)
{
    struct mld_arena a = {0};
    KIT_EQ_STR(mld_arena_strdup(&a, "layer"), "layer");
    KIT_EQ_STR(mld_arena_strndup(&a, "layer", 2), "la");
    KIT_EQ_STR(mld_arena_printf(&a, "%s.%d", "layer", 11), "layer.11");
    char *longer = mld_arena_printf(&a, "%300d|", 7);
    KIT_EQ_INT(strlen(longer), 301);
    KIT_EQ_STR(longer + 298, " 7|");
    KIT_EQ_INT(strlen(mld_arena_printf(&a, "%255d", 7)), 255);
    KIT_EQ_INT(strlen(mld_arena_printf(&a, "%256d", 7)), 256);
    mld_arena_release(&a);
}

static int arena_body(void *ctx)
{
    (void)ctx;
    struct mld_arena a = {0};
    int rc = MLD_OK;
    for (int i = 0; i < 100 && rc == MLD_OK; i++)
        if (mld_arena_alloc(&a, 1000) == NULL || mld_arena_printf(&a, "%d", i) == NULL)
            rc = MLD_E_NO_MEMORY;
    if (rc == MLD_OK && mld_arena_array(&a, 1000, 1000) == NULL)
        rc = MLD_E_NO_MEMORY;
    mld_arena_release(&a);
    return rc;
}

MLD_TEST(arena__survives_every_failing_allocation)
{
    KIT_CHECK(kit_torture(arena_body, NULL) >= 4);
}

/* ---- map ---- */

MLD_TEST(map__holds_many_keys)
{
    struct mld_map m = {0};
    static int values[5000];
    char key[32];
    KIT_CHECK(mld_map_get(&m, "x") == NULL && !mld_map_has(&m, "x"));
    for (int i = 0; i < 5000; i++) {
        (void)snprintf(key, sizeof(key), "layer.%d.weight", i);
        KIT_CHECK(mld_map_set(&m, key, &values[i]));
    }
    KIT_EQ_U64(m.count, 5000);
    for (int i = 0; i < 5000; i++) {
        (void)snprintf(key, sizeof(key), "layer.%d.weight", i);
        KIT_CHECK(mld_map_get(&m, key) == &values[i]);
    }
    KIT_CHECK(!mld_map_has(&m, "layer.5000.weight"));
    size_t seen = 0, i = 0;
    for (const struct mld_map_slot *s; (s = mld_map_next(&m, &i)) != NULL;) {
        values[(int *)s->value - values]++;
        seen++;
    }
    KIT_EQ_U64(seen, 5000);
    for (int k = 0; k < 5000; k++)
        KIT_EQ_INT(values[k], 1);
    mld_map_release(&m);
    KIT_EQ_U64(m.count, 0);
    KIT_CHECK(!mld_map_has(&m, "layer.1.weight"));
    mld_map_release(NULL);
}

MLD_TEST(map__set_replaces_and_null_is_a_value)
{
    struct mld_map m = {0};
    int a, b;
    KIT_CHECK(mld_map_set(&m, "k", &a) && mld_map_set(&m, "k", &b));
    KIT_CHECK(mld_map_get(&m, "k") == &b);
    KIT_CHECK(mld_map_set(&m, "none", NULL));
    KIT_CHECK(mld_map_get(&m, "none") == NULL && mld_map_has(&m, "none"));
    KIT_CHECK(mld_map_set(&m, "", &a) && mld_map_get(&m, "") == &a);
    KIT_EQ_U64(m.count, 3);
    mld_map_release(&m);
}

static int map_body(void *ctx)
{
    (void)ctx;
    struct mld_map m = {0};
    int rc = MLD_OK;
    char key[16];
    for (int i = 0; i < 40 && rc == MLD_OK; i++) {
        (void)snprintf(key, sizeof(key), "%d", i);
        if (!mld_map_set(&m, key, &m)) {
            rc = MLD_E_NO_MEMORY;
            /* What went in before is still there, the failed key is not. */
            KIT_EQ_U64(m.count, i);
            KIT_CHECK(!mld_map_has(&m, key) && (i == 0 || mld_map_has(&m, "0")));
        }
    }
    mld_map_release(&m);
    return rc;
}

MLD_TEST(map__survives_every_failing_allocation)
{
    KIT_CHECK(kit_torture(map_body, NULL) >= 42);
}

/* ---- clock ---- */

MLD_TEST(clock__real_moves_forward_and_sleeps)
{
    const struct mld_clock *c = mld_clock_real();
    uint64_t last = mld_now_ns(c);
    for (int i = 0; i < 1000; i++) {
        const uint64_t now = mld_now_ns(c);
        KIT_CHECK(now >= last);
        last = now;
    }
    c->sleep_ns(c->ctx, 2000000);
    KIT_CHECK(mld_now_ns(c) - last >= 2000000);
}

MLD_TEST(clock__fake_moves_only_when_told)
{
    struct mld_clock_fake f;
    mld_clock_fake_init(&f, 500);
    KIT_EQ_U64(mld_now_ns(&f.clock), 500);
    KIT_EQ_U64(mld_now_ns(&f.clock), 500);
    mld_clock_fake_advance(&f, 10);
    f.clock.sleep_ns(f.clock.ctx, 5);
    KIT_EQ_U64(mld_now_ns(&f.clock), 515);
}

MLD_TEST(clock__wall_time_as_iso)
{
    char buf[32];
    KIT_EQ_STR(mld_wall_iso(0, buf), "1970-01-01T00:00:00.000000Z");
    KIT_EQ_STR(mld_wall_iso(1709210096000001, buf), "2024-02-29T12:34:56.000001Z");
    KIT_EQ_STR(mld_wall_iso(-1, buf), "1969-12-31T23:59:59.999999Z");
    KIT_EQ_STR(mld_wall_iso(INT64_MAX, buf), "unknown time");
    KIT_EQ_STR(mld_wall_iso(INT64_MIN, buf), "unknown time");
    KIT_CHECK(mld_wall_us() > INT64_C(1700000000000000));
}
