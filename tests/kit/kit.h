/* kit.h: the test kit: cases that run each in a process and a folder of their own.
 *
 *   MLD_TEST(str__parses_sizes)
 *   {
 *       uint64_t n;
 *       KIT_CHECK(mld_parse_size("2k", &n));
 *       KIT_EQ_U64(n, 2048);
 *   }
 *
 * A test program is one or more such files linked with kit.c, which has main(). Output is
 * TAP 13. A case passes when its body returns; the first assertion that does not hold, a
 * crash, a call of exit() or too long a time ends it as failed, with what it wrote to
 * stdout and stderr as comment lines. The exit status is 0 when every chosen case passed
 * or was skipped, 77 when all were skipped, and 1 when one failed or none was chosen.
 *
 *   test_base_str [--list] [--verbose] [--timeout SECONDS] [PART-OF-NAME ...]
 *
 * The current directory of a case is an empty folder that is removed afterwards; all that
 * it left running in its process group is killed. */
#ifndef MLD_TESTS_KIT_H
#define MLD_TESTS_KIT_H

#include "mldyno/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct kit_case {
    const char *name;
    void (*run)(void);
    int timeout_s; /* 0: the default, 60 */
    bool hidden;   /* runs only when its whole name is given */
    struct kit_case *next;
};
void kit_register(struct kit_case *c);

#define KIT_DEFINE(id, seconds, is_hidden)                                               \
    static void kit_case_##id(void);                                                     \
    __attribute__((constructor)) static void kit_register_##id(void)                     \
    {                                                                                    \
        static struct kit_case c = {#id, kit_case_##id, seconds, is_hidden, 0};          \
        kit_register(&c);                                                                \
    }                                                                                    \
    static void kit_case_##id(void)

/* A case, named module__what_holds; one with its own time limit; one that other cases
 * start as a child program by its full name (see kit_self). */
#define MLD_TEST(id)                  KIT_DEFINE(id, 0, false)
#define MLD_TEST_TIMEOUT(id, seconds) KIT_DEFINE(id, seconds, false)
#define MLD_TEST_HIDDEN(id)           KIT_DEFINE(id, 0, true)

/* For the err parameter of what KIT_OK and KIT_FAILS check, which clear it first and show
 * it in the report: KIT_OK(mld_mkdirs("a/b", &kit_err)). */
extern struct mld_error kit_err;

const char *kit_source_dir(void); /* the repository's root folder */
/* Path of a file under the root, "tests/golden/bert.json"; fails the case when it is not
 * there. Valid until the case ends. */
const char *kit_fixture(const char *path);
const char *kit_self(void); /* this test program, for cases that start it again */

/* Runs body(ctx) again and again, with the first, the second, ... allocation (and all
 * later ones) failing, until it gets through untouched. Every other time it must return
 * MLD_E_NO_MEMORY; what it leaks then shows under the sanitizers. Returns how many
 * allocations the body makes. */
uint64_t kit_torture(int (*body)(void *ctx), void *ctx);

/* Each ends the case when it does not hold. Values are evaluated once. */
#define KIT_CHECK(cond)                                                                  \
    ((cond) ? (void)0 : kit_fail(__FILE__, __LINE__, "'%s' does not hold", #cond))
#define KIT_EQ_INT(a, b)                                                                 \
    kit_eq_int(__FILE__, __LINE__, #a, #b, (int64_t)(a), (int64_t)(b))
#define KIT_EQ_U64(a, b)                                                                 \
    kit_eq_u64(__FILE__, __LINE__, #a, #b, (uint64_t)(a), (uint64_t)(b))
#define KIT_EQ_STR(a, b) kit_eq_str(__FILE__, __LINE__, #a, #b, a, b)
#define KIT_EQ_MEM(a, b, bytes)                                                          \
    kit_eq_mem(__FILE__, __LINE__, #a, #b, a, b, (size_t)(bytes))
#define KIT_NEAR(a, b, tol)                                                              \
    kit_near(__FILE__, __LINE__, #a, #b, (double)(a), (double)(b), (double)(tol))
#define KIT_OK(expr) (kit_clear(), kit_ok(__FILE__, __LINE__, #expr, (expr)))
#define KIT_FAILS(expr, code)                                                            \
    (kit_clear(), kit_fails(__FILE__, __LINE__, #expr, (expr), code))
#define KIT_CONTAINS(haystack, needle)                                                   \
    kit_contains(__FILE__, __LINE__, #haystack, haystack, needle)
#define KIT_FAIL(...) kit_fail(__FILE__, __LINE__, __VA_ARGS__)
#define KIT_SKIP(...) kit_skip(__VA_ARGS__)

#define KIT_NORETURN __attribute__((noreturn))
KIT_NORETURN void kit_fail(const char *file, int line, const char *format, ...)
    MLD_PRINTF(3, 4);
KIT_NORETURN void kit_skip(const char *format, ...) MLD_PRINTF(1, 2);
void kit_clear(void);
void kit_eq_int(const char *file, int line, const char *ta, const char *tb, int64_t a,
                int64_t b);
void kit_eq_u64(const char *file, int line, const char *ta, const char *tb, uint64_t a,
                uint64_t b);
void kit_eq_str(const char *file, int line, const char *ta, const char *tb, const char *a,
                const char *b); /* NULL equals only NULL */
void kit_eq_mem(const char *file, int line, const char *ta, const char *tb, const void *a,
                const void *b, size_t bytes);
void kit_near(const char *file, int line, const char *ta, const char *tb, double a,
              double b, double tol); /* |a - b| <= tol; not a number is never near */
void kit_ok(const char *file, int line, const char *text, int rc);
void kit_fails(const char *file, int line, const char *text, int rc, int code);
void kit_contains(const char *file, int line, const char *text, const char *haystack,
                  const char *needle);

#endif
