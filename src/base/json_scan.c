/* json_scan.c: a strict JSON checker that says where and what is wrong.
 *
 * The library behind json.c takes more than JSON (leading zeros, raw control characters)
 * and tells neither line nor reason; outside text passes this check first, so that the
 * library only ever sees well-formed input. One pass, no recursion, no allocation. */
#include "base/json_scan.h"

#include "base/str.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NUMBER_MAX   63u /* characters the library reads of a number */
#define INTEGER_LONG 16u /* characters that a whole number of over 2^53 has at least */

struct json_scan {
    const char *text, *end, *p;
    const char *what;
    struct mld_error *err;
    bool long_integers;
    int depth;
    bool object[MLD_JSON_DEPTH_MAX]; /* what is open: an object, or else an array */
};

static int scan_fail(const struct json_scan *s, const char *at, int code,
                     const char *reason)
{
    size_t line = 1, column = 1;
    for (const char *q = s->text; q < at; q++) {
        if (*q == '\n') {
            line++;
            column = 1;
        } else if (((unsigned char)*q & 0xC0u) != 0x80u) { /* counts letters, not bytes */
            column++;
        }
    }
    return mld_error_set(s->err, code, "%s: line %zu, column %zu: %s", s->what, line,
                         column, reason);
}

/* "expected WANTED, found X" at the current place. */
static int scan_expected(const struct json_scan *s, const char *wanted)
{
    char reason[96];
    if (s->p == s->end)
        (void)snprintf(reason, sizeof(reason), "expected %s, found the end of the text",
                       wanted);
    else if (*s->p > ' ' && *s->p < 0x7F)
        (void)snprintf(reason, sizeof(reason), "expected %s, found '%c'", wanted, *s->p);
    else
        (void)snprintf(reason, sizeof(reason), "expected %s, found byte 0x%02x", wanted,
                       (unsigned)(unsigned char)*s->p);
    return scan_fail(s, s->p, MLD_E_PARSE, reason);
}

static bool scan_is_one_of(char c, const char *set)
{
    return c != '\0' && strchr(set, c) != NULL;
}

static void scan_blanks(struct json_scan *s)
{
    while (s->p < s->end &&
           (*s->p == ' ' || *s->p == '\t' || *s->p == '\n' || *s->p == '\r'))
        s->p++;
}

static bool scan_digits(struct json_scan *s)
{
    const char *start = s->p;
    while (s->p < s->end && *s->p >= '0' && *s->p <= '9')
        s->p++;
    return s->p > start;
}

static int scan_number(struct json_scan *s)
{
    const char *start = s->p;
    if (*s->p == '-')
        s->p++;
    if (s->p < s->end && *s->p == '0') {
        s->p++;
        if (s->p < s->end && *s->p >= '0' && *s->p <= '9')
            return scan_fail(s, start, MLD_E_PARSE, "a number starts with 0");
    } else if (!scan_digits(s)) {
        return scan_expected(s, "a digit");
    }
    bool whole = true;
    if (s->p < s->end && *s->p == '.') {
        whole = false;
        s->p++;
        if (!scan_digits(s))
            return scan_expected(s, "a digit after the point");
    }
    if (s->p < s->end && (*s->p == 'e' || *s->p == 'E')) {
        whole = false;
        s->p++;
        if (s->p < s->end && (*s->p == '+' || *s->p == '-'))
            s->p++;
        if (!scan_digits(s))
            return scan_expected(s, "a digit of the exponent");
    }
    const size_t len = (size_t)(s->p - start);
    if (len > NUMBER_MAX)
        return scan_fail(s, start, MLD_E_PARSE, "a number of more than 63 characters");
    char copy[NUMBER_MAX + 1];
    memcpy(copy, start, len);
    copy[len] = '\0';
    if (!isfinite(strtod(copy, NULL)))
        return scan_fail(s, start, MLD_E_PARSE, "a number too large for a double");
    s->long_integers = s->long_integers || (whole && len >= INTEGER_LONG);
    return MLD_OK;
}

/* Four hexadecimal digits at p, or -1. */
static long scan_hex4(const char *p, const char *end)
{
    long v = 0;
    if (end - p < 4)
        return -1;
    for (int i = 0; i < 4; i++) {
        const char c = p[i];
        const int d = c >= '0' && c <= '9'   ? c - '0'
                      : c >= 'a' && c <= 'f' ? c - 'a' + 10
                      : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                             : -1;
        if (d < 0)
            return -1;
        v = v * 16 + d;
    }
    return v;
}

/* The escape at s->p, which is a backslash. */
static int scan_escape(struct json_scan *s)
{
    const char *start = s->p++;
    if (s->p == s->end)
        return scan_expected(s, "a letter after '\\'");
    if (*s->p != 'u') {
        if (!scan_is_one_of(*s->p, "\"\\/bfnrt"))
            return scan_fail(s, start, MLD_E_PARSE, "an unknown escape in a string");
        s->p++;
        return MLD_OK;
    }
    const long unit = scan_hex4(++s->p, s->end);
    if (unit < 0)
        return scan_fail(s, start, MLD_E_PARSE, "'\\u' needs four hexadecimal digits");
    if (unit == 0)
        return scan_fail(s, start, MLD_E_PARSE, "'\\u0000' in a string is not supported");
    s->p += 4;
    if (unit >= 0xDC00 && unit <= 0xDFFF)
        return scan_fail(s, start, MLD_E_PARSE, "half of a surrogate pair");
    if (unit >= 0xD800 && unit <= 0xDBFF) {
        const long second = s->end - s->p >= 6 && s->p[0] == '\\' && s->p[1] == 'u'
                                ? scan_hex4(s->p + 2, s->end)
                                : -1;
        if (second < 0xDC00 || second > 0xDFFF)
            return scan_fail(s, start, MLD_E_PARSE, "half of a surrogate pair");
        s->p += 6;
    }
    return MLD_OK;
}

static int scan_string(struct json_scan *s)
{
    const char *start = s->p++;
    while (s->p < s->end && *s->p != '"') {
        const unsigned char c = (unsigned char)*s->p;
        if (c == '\\') {
            MLD_TRY(scan_escape(s));
            continue;
        }
        if (c < 0x20)
            return scan_fail(s, s->p, MLD_E_PARSE,
                             "a raw control character in a string (is a '\"' missing?)");
        const size_t n = mld_utf8_length(s->p, s->end);
        if (n == 0)
            return scan_fail(s, s->p, MLD_E_PARSE, "not valid UTF-8");
        s->p += n;
    }
    if (s->p == s->end)
        return scan_fail(s, start, MLD_E_PARSE, "a string without an end");
    s->p++;
    return MLD_OK;
}

static bool scan_word(struct json_scan *s, const char *word)
{
    const size_t n = strlen(word);
    if ((size_t)(s->end - s->p) < n || memcmp(s->p, word, n) != 0)
        return false;
    s->p += n;
    return true;
}

/* A value up to its end, or up to behind the bracket that opens it: *opened says so. */
static int scan_value(struct json_scan *s, bool *opened)
{
    *opened = false;
    const char c = s->p < s->end ? *s->p : '\0';
    if (c == '{' || c == '[') {
        if (s->depth == MLD_JSON_DEPTH_MAX)
            return scan_fail(s, s->p, MLD_E_TOO_LARGE, "nested deeper than 128 levels");
        s->object[s->depth++] = c == '{';
        s->p++;
        *opened = true;
        return MLD_OK;
    }
    if (c == '"')
        return scan_string(s);
    if (c == '-' || (c >= '0' && c <= '9'))
        return scan_number(s);
    if (scan_word(s, "true") || scan_word(s, "false") || scan_word(s, "null"))
        return MLD_OK;
    return scan_expected(s, "a value");
}

/* "key" : up to where the value starts. */
static int scan_key(struct json_scan *s, const char *wanted)
{
    if (s->p == s->end || *s->p != '"')
        return scan_expected(s, wanted);
    MLD_TRY(scan_string(s));
    scan_blanks(s);
    if (s->p == s->end || *s->p != ':')
        return scan_expected(s, "':'");
    s->p++;
    scan_blanks(s);
    return MLD_OK;
}

int mld_json_scan(const char *text, size_t n, const char *what, bool *long_integers,
                  struct mld_error *err)
{
    struct json_scan s = {
        .text = text, .end = text + n, .p = text, .what = what, .err = err};
    bool opened;
    scan_blanks(&s);
    MLD_TRY(scan_value(&s, &opened));
    for (;;) {
        scan_blanks(&s);
        if (s.depth == 0)
            break;
        const bool object = s.object[s.depth - 1];
        const char close = object ? '}' : ']';
        const bool closes = s.p < s.end && *s.p == close;
        if (closes) {
            s.p++;
            s.depth--;
            opened = false;
            continue;
        }
        if (!opened) { /* behind an element: another one has to follow a comma */
            if (s.p == s.end || *s.p != ',')
                return scan_expected(&s, object ? "',' or '}'" : "',' or ']'");
            s.p++;
            scan_blanks(&s);
        }
        if (object)
            MLD_TRY(scan_key(&s, opened ? "a key or '}'" : "a key"));
        MLD_TRY(scan_value(&s, &opened));
    }
    if (s.p != s.end)
        return scan_expected(&s, "the end of the text");
    *long_integers = s.long_integers;
    return MLD_OK;
}

const char *mld_json_scan_number(const char **p, const char *end, size_t *len)
{
    const char *q = *p;
    while (q < end && *q != '-' && (*q < '0' || *q > '9')) {
        if (*q++ != '"')
            continue;
        while (*q != '"')
            q += *q == '\\' ? 2 : 1;
        q++;
    }
    const char *start = q;
    while (q < end && scan_is_one_of(*q, "+-.0123456789Ee"))
        q++;
    *p = q;
    *len = (size_t)(q - start);
    return q > start ? start : NULL;
}
