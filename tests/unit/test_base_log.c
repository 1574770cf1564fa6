/* test_base_log.c: what is written to stderr, plain and on a terminal. */
#define _GNU_SOURCE /* posix_openpt and friends, TIOCSWINSZ */
#include "base/log.h"
#include "kit/kit.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* Runs body in a process whose stderr is fd, and reads what arrives at `from`. */
static void capture(void (*body)(void), int fd, int from, char *text, size_t size)
{
    const pid_t pid = fork();
    KIT_CHECK(pid >= 0);
    if (pid == 0) {
        (void)dup2(fd, STDERR_FILENO);
        body();
        _exit(0);
    }
    (void)close(fd);
    size_t n = 0;
    ssize_t got;
    /* A terminal whose other side is closed reads as an error: that is its end. */
    while (n < size - 1 && (got = read(from, text + n, size - 1 - n)) > 0)
        n += (size_t)got;
    text[n] = '\0';
    int status;
    KIT_CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status));
    KIT_EQ_INT(WEXITSTATUS(status), 0);
    (void)close(from);
}

static void capture_plain(void (*body)(void), char *text, size_t size)
{
    int fds[2];
    KIT_CHECK(pipe(fds) == 0);
    capture(body, fds[1], fds[0], text, size);
}

static void capture_terminal(void (*body)(void), char *text, size_t size)
{
    const int from = posix_openpt(O_RDWR | O_NOCTTY);
    if (from < 0 || grantpt(from) != 0 || unlockpt(from) != 0)
        KIT_SKIP("no pseudo terminal here");
    const int fd = open(ptsname(from), O_RDWR | O_NOCTTY);
    if (fd < 0)
        KIT_SKIP("no pseudo terminal here");
    const struct winsize w = {.ws_row = 24, .ws_col = 20};
    KIT_CHECK(ioctl(fd, TIOCSWINSZ, &w) == 0);
    capture(body, fd, from, text, size);
}

static void say_all(void)
{
    mld_log(MLD_LOG_ERROR, "cannot open '%s'", "x");
    mld_log(MLD_LOG_WARN, "slow %d", 7);
    mld_log(MLD_LOG_INFO, "hello");
    mld_log(MLD_LOG_DEBUG, "detail");
}

static void say_all_debug(void)
{
    mld_log_set_level(MLD_LOG_DEBUG);
    say_all();
}

static void say_all_quiet(void)
{
    mld_log_set_level(MLD_LOG_WARN);
    mld_log_progress("not shown");
    say_all();
}

MLD_TEST(log__levels_choose_what_is_said)
{
    char text[4096];
    capture_plain(say_all, text, sizeof(text));
    KIT_EQ_STR(text, "error: cannot open 'x'\nwarning: slow 7\nhello\n");
    capture_plain(say_all_debug, text, sizeof(text));
    KIT_EQ_STR(text, "error: cannot open 'x'\nwarning: slow 7\nhello\ndebug: detail\n");
    capture_plain(say_all_quiet, text, sizeof(text));
    KIT_EQ_STR(text, "error: cannot open 'x'\nwarning: slow 7\n");
    KIT_EQ_INT(mld_log_level(), MLD_LOG_INFO);
}

static void say_progress(void)
{
    mld_log_progress("case %d", 1);
    mld_log_progress("case %d", 1);
    mld_log_progress("case %d", 2);
    mld_log_progress("%s", "");
    mld_log(MLD_LOG_INFO, "message");
    mld_log_progress("case %d", 2);
    mld_log_progress("case %d", 3);
}

MLD_TEST(log__progress_is_a_line_each_where_no_terminal_is)
{
    char text[4096];
    capture_plain(say_progress, text, sizeof(text));
    KIT_EQ_STR(text, "case 1\ncase 2\nmessage\ncase 3\n");
}

MLD_TEST(log__progress_is_rewritten_on_a_terminal)
{
    char text[4096];
    capture_terminal(say_progress, text, sizeof(text));
    KIT_EQ_STR(text, "case 1\r\033[Kcase 1\r\033[Kcase 2\r\033[Kmessage\r\n"
                     "case 2\r\033[Kcase 3");
}

static void say_long_progress(void)
{
    mld_log_progress("0123456789 0123456789 0123456789");
    mld_log_progress("%s", "012345678901234567\xC3\xA9");
    mld_log_progress("%s", "");
}

MLD_TEST(log__progress_fits_the_terminal)
{
    char text[4096];
    capture_terminal(say_long_progress, text, sizeof(text)); /* 20 columns wide */
    KIT_EQ_STR(text, "0123456789 01234567\r\033[K012345678901234567\r\033[K");
}

static void say_in_color(void)
{
    mld_log_set_color(true);
    say_all_debug();
}

MLD_TEST(log__colors_when_asked)
{
    char text[4096];
    capture_plain(say_in_color, text, sizeof(text));
    KIT_EQ_STR(text, "\033[1;31merror: \033[0mcannot open 'x'\n"
                     "\033[1;33mwarning: \033[0mslow 7\nhello\n"
                     "\033[2mdebug: \033[0mdetail\n");
}

static void say_whether_color(void)
{
    (void)dprintf(STDERR_FILENO, "%d", mld_log_color());
}

MLD_TEST(log__colors_on_a_terminal_unless_told_not_to)
{
    char text[64];
    KIT_CHECK(unsetenv("NO_COLOR") == 0);
    capture_terminal(say_whether_color, text, sizeof(text));
    KIT_EQ_STR(text, "1");
    capture_plain(say_whether_color, text, sizeof(text));
    KIT_EQ_STR(text, "0");
    KIT_CHECK(setenv("NO_COLOR", "1", 1) == 0);
    capture_terminal(say_whether_color, text, sizeof(text));
    KIT_EQ_STR(text, "0");
    KIT_CHECK(setenv("NO_COLOR", "", 1) == 0); /* set but empty: not asked for */
    capture_terminal(say_whether_color, text, sizeof(text));
    KIT_EQ_STR(text, "1");
}
