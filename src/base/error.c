/* error.c: result codes as names and texts, and the caller-owned message.
 *
 * A message is one line by construction: line breaks that an engine or a file name brings
 * along become blanks, what could steer a terminal becomes '?', and a text that is too
 * long ends in "...". */
#include "mldyno/error.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#undef mld_error_set /* a macro where code is analyzed */

/* Copies text into err as one line and marks what had to be cut. */
static void error_store(struct mld_error *err, int code, const char *text, int full_len)
{
    const size_t room = sizeof(err->message);
    size_t n = strnlen(text, room - 1);
    for (size_t i = 0; i < n; i++) {
        const unsigned char c = (unsigned char)text[i];
        const bool blank = c == '\n' || c == '\r' || c == '\t';
        err->message[i] = blank ? ' ' : c < 0x20 || c == 0x7f ? '?' : text[i];
    }
    while (n > 0 && err->message[n - 1] == ' ')
        n--;
    err->message[n] = '\0';
    if (full_len >= (int)room) {
        size_t cut = room - 4;
        while (cut > 0 && ((unsigned char)err->message[cut] & 0xC0u) == 0x80u)
            cut--; /* no half of a UTF-8 letter */
        memcpy(err->message + cut, "...", 4);
    }
    err->code = code;
}

int mld_error_setv(struct mld_error *err, int code, const char *format, va_list args)
{
    if (err == NULL)
        return code;
    /* The arguments may point into err->message, so it is not written directly. */
    char text[sizeof(err->message)];
    const int n = vsnprintf(text, sizeof(text), format, args);
    if (n < 0) {
        (void)snprintf(text, sizeof(text), "%s", mld_error_text(code));
    }
    error_store(err, code, text, n);
    return code;
}

int mld_error_set(struct mld_error *err, int code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    mld_error_setv(err, code, format, args);
    va_end(args);
    return code;
}

int mld_error_context(struct mld_error *err, const char *format, ...)
{
    if (err == NULL)
        return 0;
    char context[sizeof(err->message)];
    char text[2 * sizeof(err->message)];
    va_list args;
    va_start(args, format);
    const int n = vsnprintf(context, sizeof(context), format, args);
    va_end(args);
    if (n < 0)
        return err->code;
    const int full =
        snprintf(text, sizeof(text), "%s: %s", context,
                 err->message[0] != '\0' ? err->message : mld_error_text(err->code));
    error_store(err, err->code, text, full);
    return err->code;
}

const char *mld_error_name(int code)
{
    switch (code) {
    case MLD_OK:
        return "OK";
#define X(name, value, text, exit)                                                       \
    case MLD_E_##name:                                                                   \
        return #name;
        MLD_ERROR_CODES(X)
#undef X
    default:
        return "UNKNOWN";
    }
}

const char *mld_error_text(int code)
{
    switch (code) {
    case MLD_OK:
        return "success";
#define X(name, value, text, exit)                                                       \
    case MLD_E_##name:                                                                   \
        return text;
        MLD_ERROR_CODES(X)
#undef X
    default:
        return "unknown error";
    }
}

int mld_error_exit(int code)
{
    switch (code) {
    case MLD_OK:
        return 0;
#define X(name, value, text, exit)                                                       \
    case MLD_E_##name:                                                                   \
        return exit;
        MLD_ERROR_CODES(X)
#undef X
    default:
        return 1;
    }
}

void mld_assert_failed(const char *cond, const char *file, int line)
{
    (void)fprintf(stderr, "mldyno: bug: %s:%d: '%s' does not hold\n", file, line, cond);
    (void)fflush(stderr);
    abort();
}
