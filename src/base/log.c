/* log.c: messages and one rewritable status line on stderr.
 *
 * A message is built whole and written with one call under a lock, so that lines of
 * several threads do not mix; write errors are ignored, there is nobody left to tell. */
#include "base/log.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define LOG_LINE 1024u

static pthread_mutex_t log_lock = PTHREAD_MUTEX_INITIALIZER;
static enum mld_log_level log_level = MLD_LOG_INFO;
static int log_color = -1;            /* -1: not decided yet */
static char log_status[LOG_LINE];     /* last status line that was not "" */
static bool log_status_shown = false; /* it stands on the terminal now */

void mld_log_set_level(enum mld_log_level level)
{
    pthread_mutex_lock(&log_lock);
    log_level = level;
    pthread_mutex_unlock(&log_lock);
}

enum mld_log_level mld_log_level(void)
{
    pthread_mutex_lock(&log_lock);
    const enum mld_log_level level = log_level;
    pthread_mutex_unlock(&log_lock);
    return level;
}

void mld_log_set_color(bool on)
{
    pthread_mutex_lock(&log_lock);
    log_color = on;
    pthread_mutex_unlock(&log_lock);
}

/* Caller holds the lock. https://no-color.org: set and not empty means no colour. */
static bool log_color_locked(void)
{
    if (log_color < 0) {
        const char *no = getenv("NO_COLOR");
        log_color = isatty(STDERR_FILENO) && (no == NULL || no[0] == '\0');
    }
    return log_color != 0;
}

bool mld_log_color(void)
{
    pthread_mutex_lock(&log_lock);
    const bool on = log_color_locked();
    pthread_mutex_unlock(&log_lock);
    return on;
}

static void log_clear_status(void)
{
    if (log_status_shown)
        (void)fputs("\r\033[K", stderr);
    log_status_shown = false;
}

void mld_log(enum mld_log_level level, const char *format, ...)
{
    static const struct {
        const char *word, *color;
    } styles[] = {
        [MLD_LOG_ERROR] = {"error: ", "\033[1;31m"},
        [MLD_LOG_WARN] = {"warning: ", "\033[1;33m"},
        [MLD_LOG_INFO] = {"", ""},
        [MLD_LOG_DEBUG] = {"debug: ", "\033[2m"},
    };
    char text[4 * LOG_LINE];
    va_list args;
    va_start(args, format);
    const int n = vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    if (n < 0)
        return;

    pthread_mutex_lock(&log_lock);
    if (level <= log_level) {
        log_clear_status();
        const char *word = styles[level].word;
        const bool color = word[0] != '\0' && log_color_locked();
        (void)fprintf(stderr, "%s%s%s%s\n", color ? styles[level].color : "", word,
                      color ? "\033[0m" : "", text);
        (void)fflush(stderr);
    }
    pthread_mutex_unlock(&log_lock);
}

/* How much of text fits on a line of the terminal, one column short of the edge: a line
 * that wraps cannot be cleared. Bytes stand for columns, but no UTF-8 letter is cut. */
static int log_fit(const char *text)
{
    struct winsize w;
    size_t width = 79;
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_col > 1)
        width = w.ws_col - 1u;
    size_t n = strnlen(text, width);
    while (n > 0 && ((unsigned char)text[n] & 0xC0u) == 0x80u)
        n--;
    return (int)n;
}

void mld_log_progress(const char *format, ...)
{
    char text[LOG_LINE];
    va_list args;
    va_start(args, format);
    const int n = vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    if (n < 0)
        return;

    pthread_mutex_lock(&log_lock);
    if (log_level < MLD_LOG_INFO) {
        /* quiet: no status */
    } else if (isatty(STDERR_FILENO)) {
        log_clear_status();
        if (text[0] != '\0') {
            (void)fprintf(stderr, "%.*s", log_fit(text), text);
            log_status_shown = true;
        }
        (void)fflush(stderr);
    } else if (text[0] != '\0' && strcmp(text, log_status) != 0) {
        (void)fprintf(stderr, "%s\n", text);
        (void)fflush(stderr);
    }
    if (text[0] != '\0')
        (void)snprintf(log_status, sizeof(log_status), "%s", text);
    pthread_mutex_unlock(&log_lock);
}

bool mld_log_is_terminal(void)
{
    return isatty(STDERR_FILENO) == 1;
}
