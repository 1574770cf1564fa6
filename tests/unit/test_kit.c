/* test_kit.c: the kit itself can fail: assertions that do not hold, crashes, hangs and
 * early exits of the hidden cases below are reported, with the right exit status. */
#include "kit/kit.h"

#include "base/alloc.h"
#include "base/fs.h"
#include "base/str.h"

#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* ---- what the child programs run ---- */

MLD_TEST_HIDDEN(demo__passes)
{
    (void)printf("words of a passing case\n");
}

enum { CHECK_LINE = __LINE__ + 4 };
MLD_TEST_HIDDEN(demo__check_fails)
{
    (void)printf("printed before\nthe failure\n");
    KIT_CHECK(1 > 2);
    (void)printf("never printed\n");
}

MLD_TEST_HIDDEN(demo__int_differs)
{
    KIT_EQ_INT(6 * 7, 43);
}

MLD_TEST_HIDDEN(demo__u64_differs)
{
    KIT_EQ_U64(UINT64_MAX, 1);
}

MLD_TEST_HIDDEN(demo__str_differs)
{
    KIT_EQ_STR("abc", "abd");
}

MLD_TEST_HIDDEN(demo__null_is_no_string)
{
    KIT_EQ_STR((const char *)NULL, "");
}

MLD_TEST_HIDDEN(demo__mem_differs)
{
    KIT_EQ_MEM("abc", "abd", 3);
}

MLD_TEST_HIDDEN(demo__not_near)
{
    KIT_NEAR(1.0, 1.2, 0.1);
}

MLD_TEST_HIDDEN(demo__nan_is_not_near)
{
    KIT_NEAR(NAN, NAN, 1);
}

MLD_TEST_HIDDEN(demo__not_ok)
{
    KIT_OK(mld_error_set(&kit_err, MLD_E_BUSY, "somebody else holds it"));
}

MLD_TEST_HIDDEN(demo__does_not_fail)
{
    KIT_FAILS(MLD_OK, MLD_E_BUSY);
}

MLD_TEST_HIDDEN(demo__fails_otherwise)
{
    KIT_FAILS(mld_error_set(&kit_err, MLD_E_IO, "disk"), MLD_E_BUSY);
}

MLD_TEST_HIDDEN(demo__message_has_a_full_stop)
{
    KIT_FAILS(mld_error_set(&kit_err, MLD_E_BUSY, "it is busy."), MLD_E_BUSY);
}

MLD_TEST_HIDDEN(demo__message_says_another_code)
{
    KIT_FAILS((mld_error_set(&kit_err, MLD_E_IO, "disk"), MLD_E_BUSY), MLD_E_BUSY);
}

MLD_TEST_HIDDEN(demo__does_not_contain)
{
    KIT_CONTAINS("haystack", "needle");
}

MLD_TEST_HIDDEN(demo__no_fixture)
{
    (void)kit_fixture("tests/no/such/file");
}

MLD_TEST_HIDDEN(demo__crashes)
{
    (void)printf("last words\n");
    (void)signal(SIGSEGV, SIG_DFL); /* not the sanitizer's */
    (void)raise(SIGSEGV);
}

MLD_TEST_HIDDEN(demo__aborts)
{
    abort();
}

MLD_TEST_HIDDEN(demo__hangs)
{
    for (;;)
        (void)pause();
}

MLD_TEST_HIDDEN(demo__exits_early)
{
    exit(0);
}

MLD_TEST_HIDDEN(demo__exits_with_3)
{
    exit(3);
}

MLD_TEST_HIDDEN(demo__fails_in_a_fork)
{
    const pid_t pid = fork();
    if (pid == 0)
        KIT_CHECK(2 > 3);
    (void)waitpid(pid, NULL, 0);
}

MLD_TEST_HIDDEN(demo__skips)
{
    KIT_SKIP("no %s here", "engine");
}

MLD_TEST_HIDDEN(demo__leaves_a_child)
{
    const pid_t pid = fork();
    if (pid == 0)
        for (;;)
            (void)pause();
    FILE *f = fopen(getenv("KIT_DEMO_FILE"), "w");
    (void)fprintf(f, "%d", (int)pid);
    (void)fclose(f);
}

MLD_TEST_HIDDEN(demo__leaves_files)
{
    FILE *f = fopen("left", "w");
    (void)fclose(f);
    char here[4096];
    f = fopen(getenv("KIT_DEMO_FILE"), "w");
    (void)fprintf(f, "%s", getcwd(here, sizeof(here)));
    (void)fclose(f);
}

static int ignores_memory(void *ctx)
{
    (void)ctx;
    mld_free(mld_alloc(1));
    return MLD_OK;
}

MLD_TEST_HIDDEN(demo__ignores_missing_memory)
{
    (void)kit_torture(ignores_memory, NULL);
}

static int always_without_memory(void *ctx)
{
    (void)ctx;
    mld_free(mld_alloc(1));
    return MLD_E_NO_MEMORY;
}

MLD_TEST_HIDDEN(demo__never_gets_through)
{
    (void)kit_torture(always_without_memory, NULL);
}

#if defined(__SANITIZE_ADDRESS__)
#define LEAKS_SHOW 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define LEAKS_SHOW 1
#endif
#endif
#ifndef LEAKS_SHOW
#define LEAKS_SHOW 0
#endif

MLD_TEST_HIDDEN(demo__leaks)
{
    void *volatile lost = malloc(77); /* NOLINT: lost on purpose */
    lost = NULL;                      /* NOLINT */
    (void)lost;                       /* NOLINT */
}

/* ---- the cases ---- */

/* Runs this program with the arguments and gives its exit status and output. */
static int run(const char *args, char *text, size_t size)
{
    char command[8192];
    (void)snprintf(command, sizeof(command), "exec '%s' %s 2>&1", kit_self(), args);
    FILE *f = popen(command, "r"); /* NOLINT: our own path, quoted */
    KIT_CHECK(f != NULL);
    const size_t n = fread(text, 1, size - 1, f);
    text[n] = '\0';
    const int status = pclose(f);
    KIT_CHECK(WIFEXITED(status));
    return WEXITSTATUS(status);
}

/* The hidden case is reported as failed, and the report contains `words`. */
static void reported(const char *name, const char *words)
{
    char text[65536], args[128], line[160];
    (void)snprintf(args, sizeof(args), "--timeout 20 %s", name);
    const int status = run(args, text, sizeof(text));
    (void)snprintf(line, sizeof(line), "TAP version 13\n1..1\nnot ok 1 - %s\n", name);
    KIT_CONTAINS(text, line);
    KIT_CONTAINS(text, words);
    KIT_EQ_INT(status, 1);
}

MLD_TEST(kit__reports_assertions_that_do_not_hold)
{
    char place[64];
    (void)snprintf(place, sizeof(place), "test_kit.c:%d: '1 > 2' does not hold\n",
                   CHECK_LINE);
    reported("demo__check_fails", place);
    reported("demo__int_differs", "6 * 7 is 42, not 43 = 43");
    reported("demo__u64_differs", "is 18446744073709551615 (0xffffffffffffffff), not 1");
    reported("demo__str_differs", "#   'abc', not \"abd\" =\n#   'abd'");
    reported("demo__null_is_no_string", "(NULL)");
    reported("demo__mem_differs", "differ at byte 2 of 3: 0x63, 0x64");
    reported("demo__not_near", "1.0 is 1, not within 0.1 of 1.2 = 1.2");
    reported("demo__nan_is_not_near", "nan, not within");
    reported("demo__not_ok", "gives BUSY (somebody else holds it)");
    reported("demo__does_not_fail", "gives OK (), not BUSY");
    reported("demo__fails_otherwise", "gives IO (disk), not BUSY");
    reported("demo__message_has_a_full_stop", "'it is busy.'");
    reported("demo__message_says_another_code", "returns BUSY but its message says IO");
    reported("demo__does_not_contain", "does not contain 'needle':\n#   haystack");
    reported("demo__no_fixture", "tests/no/such/file': No such file");
    reported("demo__ignores_missing_memory", "allocation 1 failed and body gives OK");
    reported("demo__never_gets_through", "body gives NO_MEMORY with enough memory");
}

MLD_TEST(kit__reports_a_failure_in_a_forked_process)
{
    reported("demo__fails_in_a_fork", "'2 > 3' does not hold");
}

MLD_TEST(kit__shows_what_a_failed_case_printed)
{
    char text[65536];
    reported("demo__check_fails", "# printed before\n# the failure\n");
    (void)run("demo__check_fails", text, sizeof(text));
    KIT_CHECK(strstr(text, "never printed") == NULL);
    KIT_EQ_INT(run("demo__passes", text, sizeof(text)), 0);
    KIT_CHECK(strstr(text, "words of") == NULL);
    KIT_EQ_INT(run("--verbose demo__passes", text, sizeof(text)), 0);
    KIT_CONTAINS(text, "ok 1 - demo__passes\n# words of a passing case\n");
}

MLD_TEST(kit__reports_crashes_by_name)
{
    reported("demo__crashes", "killed by signal 11 (Segmentation fault)");
    reported("demo__crashes", "# last words\n");
    reported("demo__aborts", "killed by signal 6 (Aborted)");
}

MLD_TEST(kit__reports_a_hang)
{
    char text[4096];
    KIT_EQ_INT(run("--timeout 1 demo__hangs", text, sizeof(text)), 1);
    KIT_CONTAINS(text, "not ok 1 - demo__hangs\n# timed out after 1 s\n");
}

MLD_TEST(kit__reports_exits)
{
    reported("demo__exits_early", "# exited before its end");
    reported("demo__exits_with_3", "# exited with 3");
}

MLD_TEST(kit__reports_leaks_under_the_sanitizer)
{
    if (!LEAKS_SHOW)
        KIT_SKIP("not built with the address sanitizer");
    reported("demo__leaks", "77 byte(s) leaked");
}

MLD_TEST(kit__tells_skipped_from_passed)
{
    char text[4096];
    KIT_EQ_INT(run("demo__skips", text, sizeof(text)), 77);
    KIT_CONTAINS(text, "ok 1 - demo__skips # SKIP no engine here\n");
    KIT_CONTAINS(text, "# 0 passed, 0 failed, 1 skipped\n");
    KIT_EQ_INT(run("demo__skips demo__passes", text, sizeof(text)), 0);
    KIT_CONTAINS(text, "# 1 passed, 0 failed, 1 skipped\n");
    KIT_EQ_INT(run("demo__skips demo__passes demo__int_differs", text, sizeof(text)), 1);
    KIT_CONTAINS(text, "1..3\n");
    KIT_CONTAINS(text, "# 1 passed, 1 failed, 1 skipped\n");
}

MLD_TEST(kit__fails_when_no_case_is_chosen)
{
    char text[4096];
    KIT_EQ_INT(run("no_such_case", text, sizeof(text)), 1);
    KIT_CONTAINS(text, "1..0\n# no case has such a name\n");
    KIT_EQ_INT(run("demo__", text, sizeof(text)), 1); /* hidden: only by the whole name */
    KIT_EQ_INT(run("--nonsense", text, sizeof(text)), 2);
    KIT_CONTAINS(text, "usage: ");
    KIT_EQ_INT(run("--timeout 0", text, sizeof(text)), 2);
}

MLD_TEST(kit__lists_without_running)
{
    char text[4096];
    KIT_EQ_INT(run("--list reports_", text, sizeof(text)), 0);
    KIT_CONTAINS(text, "kit__reports_a_hang\n");
    KIT_CHECK(strstr(text, "ok ") == NULL && strstr(text, "demo__") == NULL);
}

MLD_TEST(kit__kills_what_a_case_leaves_running)
{
    char here[4000], path[4096], text[4096];
    KIT_CHECK(getcwd(here, sizeof(here)) != NULL);
    (void)snprintf(path, sizeof(path), "%s/pid", here);
    KIT_CHECK(setenv("KIT_DEMO_FILE", path, 1) == 0);
    KIT_EQ_INT(run("demo__leaves_a_child", text, sizeof(text)), 0);
    FILE *f = fopen(path, "r");
    char number[32] = "";
    int64_t pid = 0;
    KIT_CHECK(f != NULL && fgets(number, sizeof(number), f) != NULL);
    KIT_CHECK(mld_parse_i64(number, &pid) && pid > 1);
    (void)fclose(f);
    /* SIGKILL was sent before the report; the zombie goes when init reaps it, so what is
     * asked for is a process that no longer runs. */
    char stat[64];
    (void)snprintf(path, sizeof(path), "/proc/%lld/stat", (long long)pid);
    bool gone = false;
    for (int i = 0; i < 2000 && !gone; i++) {
        f = fopen(path, "r");
        char state = 'X';
        if (f != NULL) {
            const size_t n = fread(stat, 1, sizeof(stat) - 1, f);
            stat[n] = '\0';
            (void)fclose(f);
            const char *close = strrchr(stat, ')');
            state = close != NULL && close[1] != '\0' ? close[2] : 'X';
        }
        gone = state == 'X' || state == 'Z';
        if (!gone)
            (void)nanosleep(&(struct timespec){0, 1000000}, NULL);
    }
    KIT_CHECK(gone);
}

MLD_TEST(kit__runs_in_a_folder_that_is_removed)
{
    char here[4000], path[4096], text[4096];
    KIT_CHECK(getcwd(here, sizeof(here)) != NULL);
    (void)snprintf(path, sizeof(path), "%s/where", here);
    KIT_CHECK(setenv("KIT_DEMO_FILE", path, 1) == 0);
    KIT_EQ_INT(run("demo__leaves_files", text, sizeof(text)), 0);
    FILE *f = fopen(path, "r");
    char where[4096] = "";
    KIT_CHECK(f != NULL && fgets(where, sizeof(where), f) != NULL);
    (void)fclose(f);
    KIT_CHECK(where[0] == '/' && strcmp(where, here) != 0);
    KIT_CHECK(access(where, F_OK) != 0 && errno == ENOENT);
}

MLD_TEST(kit__sandbox_is_empty)
{
    char **names;
    size_t n;
    KIT_OK(mld_dir_list(".", &names, &n, &kit_err));
    KIT_EQ_U64(n, 0);
    mld_names_free(names, n);
}

MLD_TEST(kit__finds_fixtures)
{
    const char *a = kit_fixture("tests/kit/kit.h"), *b = kit_fixture("tests/kit/kit.c");
    KIT_CHECK(strcmp(a, b) != 0);
    KIT_CHECK(mld_path_is_file(a) && mld_path_is_file(b));
    KIT_CHECK(mld_path_is_dir(kit_source_dir()));
}
