/* kit.c: runs test cases in forked processes and reports them as TAP.
 *
 * A child tells its result through a shared page, so that a crash right after, or a
 * failed assertion in a process that the case itself forked, is not lost; what it prints
 * goes to an unnamed file and is shown when the case fails. */
#define _GNU_SOURCE /* MAP_ANONYMOUS, prctl, strsignal beside POSIX */
#include "kit/kit.h"

#include "base/alloc.h"
#include "base/fs.h"
#include "base/str.h"

#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef MLD_SOURCE_DIR
#error "compile with -DMLD_SOURCE_DIR=\"/path/of/the/repository\""
#endif

#define TIMEOUT_DEFAULT_S 60
#define EXIT_ALL_SKIPPED  77 /* what ctest's SKIP_RETURN_CODE is set to */

enum kit_state { KIT_RUNNING, KIT_PASSED, KIT_FAILED, KIT_SKIPPED };

/* Shared with the child; it writes the text first, then the state, both once. */
struct kit_report {
    volatile enum kit_state state;
    char text[4096];
};

struct mld_error kit_err;

static struct kit_case *kit_first, *kit_last;
static struct kit_report *kit_report;
static char kit_program[4096];
static bool kit_verbose;
static int kit_timeout_s; /* --timeout; 0: each case's own */

void kit_register(struct kit_case *c)
{
    if (kit_last != NULL)
        kit_last->next = c;
    else
        kit_first = c;
    kit_last = c;
}

/* ---- in the child ---- */

KIT_NORETURN static void kit_end(enum kit_state state)
{
    if (kit_report->state == KIT_RUNNING)
        kit_report->state = state;
    (void)fflush(NULL);
    _exit(state == KIT_FAILED);
}

KIT_NORETURN void kit_fail(const char *file, int line, const char *format, ...)
{
    if (kit_report->state == KIT_RUNNING) {
        char text[3072];
        va_list args;
        va_start(args, format);
        (void)vsnprintf(text, sizeof(text), format, args);
        va_end(args);
        (void)snprintf(kit_report->text, sizeof(kit_report->text), "%s:%d: %s",
                       mld_path_base(file), line, text);
    }
    kit_end(KIT_FAILED);
}

KIT_NORETURN void kit_skip(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)vsnprintf(kit_report->text, sizeof(kit_report->text), format, args);
    va_end(args);
    kit_end(KIT_SKIPPED);
}

void kit_clear(void)
{
    kit_err = (struct mld_error){0};
}

void kit_eq_int(const char *file, int line, const char *ta, const char *tb, int64_t a,
                int64_t b)
{
    if (a != b)
        kit_fail(file, line, "%s is %lld, not %s = %lld", ta, (long long)a, tb,
                 (long long)b);
}

void kit_eq_u64(const char *file, int line, const char *ta, const char *tb, uint64_t a,
                uint64_t b)
{
    if (a != b)
        kit_fail(file, line, "%s is %llu (0x%llx), not %s = %llu (0x%llx)", ta,
                 (unsigned long long)a, (unsigned long long)a, tb, (unsigned long long)b,
                 (unsigned long long)b);
}

void kit_eq_str(const char *file, int line, const char *ta, const char *tb, const char *a,
                const char *b)
{
    if (a == NULL || b == NULL ? a != b : strcmp(a, b) != 0)
        kit_fail(file, line, "%s is\n  '%s', not %s =\n  '%s'", ta,
                 a != NULL ? a : "(NULL)", tb, b != NULL ? b : "(NULL)");
}

void kit_eq_mem(const char *file, int line, const char *ta, const char *tb, const void *a,
                const void *b, size_t bytes)
{
    const unsigned char *p = a, *q = b;
    for (size_t i = 0; i < bytes; i++)
        if (p[i] != q[i])
            kit_fail(file, line, "%s and %s differ at byte %zu of %zu: 0x%02x, 0x%02x",
                     ta, tb, i, bytes, p[i], q[i]);
}

void kit_near(const char *file, int line, const char *ta, const char *tb, double a,
              double b, double tol)
{
    if (!(fabs(a - b) <= tol)) /* false for not-a-number too */
        kit_fail(file, line, "%s is %.17g, not within %g of %s = %.17g", ta, a, tol, tb,
                 b);
}

void kit_ok(const char *file, int line, const char *text, int rc)
{
    if (rc != MLD_OK)
        kit_fail(file, line, "%s gives %s (%s)", text, mld_error_name(rc),
                 kit_err.message[0] != '\0' ? kit_err.message : "no message");
}

void kit_fails(const char *file, int line, const char *text, int rc, int code)
{
    if (rc != code)
        kit_fail(file, line, "%s gives %s (%s), not %s", text, mld_error_name(rc),
                 kit_err.message, mld_error_name(code));
    if (kit_err.code != 0 && kit_err.code != rc)
        kit_fail(file, line, "%s returns %s but its message says %s (%s)", text,
                 mld_error_name(rc), mld_error_name(kit_err.code), kit_err.message);
    const size_t n = strlen(kit_err.message);
    if (kit_err.code != 0 && (n == 0 || kit_err.message[n - 1] == '.'))
        kit_fail(file, line, "%s: a message is one line without a full stop: '%s'", text,
                 kit_err.message);
}

void kit_contains(const char *file, int line, const char *text, const char *haystack,
                  const char *needle)
{
    if (haystack == NULL || strstr(haystack, needle) == NULL)
        kit_fail(file, line, "%s does not contain '%s':\n  %s", text, needle,
                 haystack != NULL ? haystack : "(NULL)");
}

uint64_t kit_torture(int (*body)(void *ctx), void *ctx)
{
    for (uint64_t n = 1;; n++) {
        (void)mld_alloc_fail_at(n);
        const int rc = body(ctx);
        const uint64_t made = mld_alloc_fail_at(0);
        if (made < n) {
            if (rc != MLD_OK)
                kit_fail(__FILE__, __LINE__, "body gives %s with enough memory",
                         mld_error_name(rc));
            return made;
        }
        if (rc != MLD_E_NO_MEMORY)
            kit_fail(__FILE__, __LINE__, "allocation %llu failed and body gives %s",
                     (unsigned long long)n, mld_error_name(rc));
    }
}

const char *kit_source_dir(void)
{
    return MLD_SOURCE_DIR;
}

const char *kit_fixture(const char *path)
{
    struct kit_fixture_path {
        struct kit_fixture_path *next;
        char text[];
    };
    static struct kit_fixture_path
        *kept; /* reachable, so no leak; gone with the process */
    const size_t n = strlen(kit_source_dir()) + strlen(path) + 2;
    struct kit_fixture_path *full = malloc(sizeof(*full) + n);
    if (full == NULL)
        kit_fail(__FILE__, __LINE__, "out of memory");
    full->next = kept;
    kept = full;
    (void)snprintf(full->text, n, "%s/%s", kit_source_dir(), path);
    if (access(full->text, R_OK) != 0)
        kit_fail(__FILE__, __LINE__, "fixture '%s': %s", full->text, strerror(errno));
    return full->text;
}

const char *kit_self(void)
{
    return kit_program;
}

KIT_NORETURN static void kit_child(const struct kit_case *c, const char *sandbox,
                                   int output)
{
    (void)setpgid(0, 0);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (chdir(sandbox) != 0 || dup2(output, STDOUT_FILENO) < 0 ||
        dup2(output, STDERR_FILENO) < 0)
        kit_fail(__FILE__, __LINE__, "sandbox '%s': %s", sandbox, strerror(errno));
    (void)setvbuf(stdout, NULL, _IONBF, 0); /* what was printed survives a crash */
    c->run();
    (void)mld_alloc_fail_at(0);
    if (kit_report->state == KIT_RUNNING)
        kit_report->state = KIT_PASSED;
    exit(EXIT_SUCCESS); /* and not _exit: leak checkers run now */
}

/* ---- in the parent ---- */

static double kit_now_s(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Waits for the end of pid without reaping it; false when the time is over. SIGCHLD is
 * blocked, so that one that comes before the wait is not lost. */
static bool kit_wait_until(pid_t pid, double end_s)
{
    for (;;) {
        siginfo_t info = {0};
        if (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
            info.si_pid == pid)
            return true;
        const double left = end_s - kit_now_s();
        if (left <= 0)
            return false;
        const double nap = left < 1 ? left : 1;
        const struct timespec t = {(time_t)nap, (long)((nap - floor(nap)) * 1e9)};
        sigset_t child;
        (void)sigemptyset(&child);
        (void)sigaddset(&child, SIGCHLD);
        (void)sigtimedwait(&child, NULL, &t);
    }
}

/* Text as TAP comments: every line gets "# " in front. */
static void kit_comment(const char *text, size_t n)
{
    for (size_t i = 0; i < n;) {
        const char *line = text + i;
        const char *end = memchr(line, '\n', n - i);
        const size_t len = end != NULL ? (size_t)(end - line) : n - i;
        (void)printf("# %.*s\n", (int)len, line);
        i += len + 1;
    }
}

static void kit_show_output(FILE *output)
{
    static char text[64 * 1024];
    const long size = fseek(output, 0, SEEK_END) == 0 ? ftell(output) : -1;
    const long skip = size > (long)sizeof(text) ? size - (long)sizeof(text) : 0;
    if (size <= 0 || fseek(output, skip, SEEK_SET) != 0)
        return;
    if (skip > 0)
        (void)printf("# (first %ld bytes left out)\n", skip);
    kit_comment(text, fread(text, 1, sizeof(text), output));
}

/* One case; its final state: passed, skipped or failed. */
static enum kit_state kit_run(const struct kit_case *c, int number)
{
    const char *tmp = getenv("TMPDIR");
    char sandbox[4096];
    (void)snprintf(sandbox, sizeof(sandbox), "%s/mldyno-test-XXXXXX",
                   tmp != NULL && tmp[0] == '/' ? tmp : "/tmp");
    FILE *output = tmpfile();
    if (output == NULL || mkdtemp(sandbox) == NULL) {
        (void)printf("not ok %d - %s\n# cannot make a sandbox '%s': %s\n", number,
                     c->name, sandbox, strerror(errno));
        if (output != NULL)
            (void)fclose(output);
        return KIT_FAILED;
    }

    kit_report->state = KIT_RUNNING;
    kit_report->text[0] = '\0';
    (void)fflush(NULL);
    int limit_s = c->timeout_s != 0 ? c->timeout_s : TIMEOUT_DEFAULT_S;
    if (kit_timeout_s != 0)
        limit_s = kit_timeout_s;
    sigset_t child_signal, before;
    (void)sigemptyset(&child_signal);
    (void)sigaddset(&child_signal, SIGCHLD);
    (void)sigprocmask(SIG_BLOCK, &child_signal, &before);
    const pid_t pid = fork();
    if (pid == 0) {
        (void)sigprocmask(SIG_SETMASK, &before, NULL);
        kit_child(c, sandbox, fileno(output));
    }
    char reason[256] = "";
    bool ok = false;
    if (pid < 0) {
        (void)snprintf(reason, sizeof(reason), "cannot fork: %s", strerror(errno));
    } else {
        (void)setpgid(pid, pid);
        const bool ended = kit_wait_until(pid, kit_now_s() + limit_s);
        /* The group goes while the child, not reaped yet, still holds its number. */
        (void)kill(-pid, SIGKILL);
        int status = 0;
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
            continue;
        if (!ended)
            (void)snprintf(reason, sizeof(reason), "timed out after %d s", limit_s);
        else if (WIFSIGNALED(status))
            (void)snprintf(reason, sizeof(reason), "killed by signal %d (%s)",
                           WTERMSIG(status), strsignal(WTERMSIG(status)));
        else if (kit_report->state == KIT_FAILED)
            (void)snprintf(reason, sizeof(reason), "an assertion failed");
        else if (WEXITSTATUS(status) != 0)
            (void)snprintf(reason, sizeof(reason), "exited with %d", WEXITSTATUS(status));
        else if (kit_report->state == KIT_RUNNING)
            (void)snprintf(reason, sizeof(reason), "exited before its end");
        else
            ok = true;
    }
    (void)sigprocmask(SIG_SETMASK, &before, NULL);

    if (ok && kit_report->state == KIT_SKIPPED)
        (void)printf("ok %d - %s # SKIP %s\n", number, c->name, kit_report->text);
    else
        (void)printf("%s %d - %s\n", ok ? "ok" : "not ok", number, c->name);
    if (!ok) {
        (void)printf("# %s\n", reason);
        kit_comment(kit_report->text, strlen(kit_report->text));
    }
    if (!ok || kit_verbose)
        kit_show_output(output);
    (void)fclose(output);
    struct mld_error err = {0};
    if (mld_remove_tree(sandbox, &err) != MLD_OK)
        (void)printf("# %s\n", err.message);
    (void)fflush(stdout);
    return !ok ? KIT_FAILED : kit_report->state;
}

static bool kit_chosen(const struct kit_case *c, char **filters, int count)
{
    for (int i = 0; i < count; i++)
        if (c->hidden ? strcmp(c->name, filters[i]) == 0
                      : strstr(c->name, filters[i]) != NULL)
            return true;
    return count == 0 && !c->hidden;
}

int main(int argc, char **argv)
{
    bool list = false;
    int64_t seconds;
    int i = 1;
    for (; i < argc && strncmp(argv[i], "--", 2) == 0; i++) {
        if (strcmp(argv[i], "--list") == 0) {
            list = true;
        } else if (strcmp(argv[i], "--verbose") == 0) {
            kit_verbose = true;
        } else if (strcmp(argv[i], "--timeout") == 0 && i + 1 < argc &&
                   mld_parse_i64(argv[i + 1], &seconds) && seconds > 0 &&
                   seconds < 1000000) {
            kit_timeout_s = (int)seconds;
            i++;
        } else {
            (void)fprintf(stderr,
                          "usage: %s [--list] [--verbose] [--timeout SECONDS] "
                          "[PART-OF-NAME ...]\n",
                          argv[0]);
            return 2;
        }
    }
    char **filters = argv + i;
    const int filter_count = argc - i;

    int total = 0;
    for (const struct kit_case *c = kit_first; c != NULL; c = c->next) {
        if (!kit_chosen(c, filters, filter_count))
            continue;
        total++;
        if (list)
            (void)printf("%s\n", c->name);
    }
    if (list)
        return 0;

    char *self = mld_self_path();
    (void)snprintf(kit_program, sizeof(kit_program), "%s", self != NULL ? self : argv[0]);
    mld_free(self);
    kit_report = mmap(NULL, sizeof(*kit_report), PROT_READ | PROT_WRITE,
                      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (kit_report == MAP_FAILED) {
        (void)fprintf(stderr, "cannot map a shared page: %s\n", strerror(errno));
        return 2;
    }
    (void)printf("TAP version 13\n1..%d\n", total);
    int number = 0, failed = 0, skipped = 0;
    for (const struct kit_case *c = kit_first; c != NULL; c = c->next) {
        if (!kit_chosen(c, filters, filter_count))
            continue;
        const enum kit_state state = kit_run(c, ++number);
        failed += state == KIT_FAILED;
        skipped += state == KIT_SKIPPED;
    }
    if (total == 0)
        (void)printf("# no case has such a name\n");
    else
        (void)printf("# %d passed, %d failed, %d skipped\n", total - failed - skipped,
                     failed, skipped);
    if (total == 0 || failed > 0)
        return 1;
    return skipped == total ? EXIT_ALL_SKIPPED : 0;
}
