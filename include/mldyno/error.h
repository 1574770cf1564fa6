/* error.h: result codes and the caller-owned error message.
 *
 * Every function that can fail returns int: 0 (MLD_OK) or a negative MLD_E_* code, and
 * takes a struct mld_error as its last parameter (may be NULL). The message is written
 * where the fault is found and is not overwritten on the way up; a module border may
 * prefix it once with mld_error_context(). Messages are one line, lower case, no full
 * stop, subject in single quotes: cannot open 'x.json': No such file or directory. */
#ifndef MLDYNO_ERROR_H
#define MLDYNO_ERROR_H

#include <stdarg.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__) || defined(__clang__)
#define MLD_MUST_CHECK   __attribute__((warn_unused_result))
#define MLD_PRINTF(f, a) __attribute__((format(printf, f, a)))
#else
#define MLD_MUST_CHECK
#define MLD_PRINTF(f, a)
#endif

/* X(NAME, value, text, exit): exit is the program's exit code when a command ends on it:
 * 1 a case failed, 2 usage (what the user wrote), 3 environment (what the machine has).
 */
#define MLD_ERROR_CODES(X)                                                               \
    X(INVALID, -1, "invalid argument", 2)                                                \
    X(NOT_FOUND, -2, "not found", 2)                                                     \
    X(PARSE, -3, "malformed input", 2)                                                   \
    X(TOO_LARGE, -4, "too large", 2)                                                     \
    X(UNSUPPORTED, -5, "unsupported", 2)                                                 \
    X(NO_MEMORY, -6, "out of memory", 3)                                                 \
    X(IO, -7, "input/output error", 3)                                                   \
    X(BUSY, -8, "busy", 3)                                                               \
    X(VERSION, -9, "version mismatch", 3)                                                \
    X(NO_ENGINE, -10, "engine not available", 3)                                         \
    X(ENGINE, -11, "engine failed", 1)                                                   \
    X(DEVICE_MEMORY, -12, "out of device memory", 1)                                     \
    X(TIMEOUT, -13, "timed out", 1)                                                      \
    X(CANCELLED, -14, "cancelled", 1)                                                    \
    X(MISMATCH, -15, "results differ", 1)                                                \
    X(PROTOCOL, -16, "protocol error", 1)

enum mld_error_code {
    MLD_OK = 0,
#define X(name, value, text, exit) MLD_E_##name = value,
    MLD_ERROR_CODES(X)
#undef X
};

/* One error message, owned by the caller; zero-filled is "no error". */
struct mld_error {
    int code;
    char message[512];
};

/* Writes code and message into err (if not NULL) and returns code, so that callers can
 * write: return mld_error_set(err, MLD_E_IO, "cannot open '%s'", path); */
int mld_error_set(struct mld_error *err, int code, const char *format, ...)
    MLD_PRINTF(3, 4);
int mld_error_setv(struct mld_error *err, int code, const char *format, va_list args)
    MLD_PRINTF(3, 0);

/* Puts "context: " before the message that err holds; returns err->code (0 if NULL). */
int mld_error_context(struct mld_error *err, const char *format, ...) MLD_PRINTF(2, 3);

const char *mld_error_name(int code); /* "IO"; "OK" for 0; "UNKNOWN" else */
const char *mld_error_text(int code); /* "input/output error" */
int mld_error_exit(int code);         /* the exit code of the table; 0 for MLD_OK */

/* Returns from the calling function with the code of expr when it failed. */
#define MLD_TRY(expr)                                                                    \
    do {                                                                                 \
        int mld_try_rc = (expr);                                                         \
        if (mld_try_rc != 0)                                                             \
            return mld_try_rc;                                                           \
    } while (0)

#ifdef __clang_analyzer__ /* does not see into error.c: it is told what comes back */
#define mld_error_set(err, code, ...) (mld_error_set((err), (code), __VA_ARGS__), (code))
#endif

/* A broken invariant is a bug in mldyno: says where and aborts, in every build type. */
#define MLD_ASSERT(cond) ((cond) ? (void)0 : mld_assert_failed(#cond, __FILE__, __LINE__))
#if defined(__GNUC__) || defined(__clang__)
__attribute__((noreturn))
#endif
void
mld_assert_failed(const char *cond, const char *file, int line);

#ifdef __cplusplus
}
#endif
#endif
