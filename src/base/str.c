/* str.c: growing buffers, whole-string number parsing, nearest names, FNV-1a.
 *
 * Buffers double until their limit; the parsers accept nothing but what they name: no
 * blanks, no leading plus, no hexadecimal, no infinity. */
#include "base/str.h"

#include "base/alloc.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define STR_MAX_DEFAULT ((size_t)256 << 20)
#define STR_CAP_MIN     64u

static size_t str_max(const struct mld_str *s)
{
    return s->max != 0 ? s->max : STR_MAX_DEFAULT;
}

void mld_str_init(struct mld_str *s, size_t max_bytes)
{
    *s = (struct mld_str){.max = max_bytes};
}

void mld_str_release(struct mld_str *s)
{
    if (s == NULL)
        return;
    mld_free(s->data);
    *s = (struct mld_str){.max = s->max};
}

void mld_str_clear(struct mld_str *s)
{
    s->len = 0;
    s->failed = s->too_large = false;
    if (s->data != NULL)
        s->data[0] = '\0';
}

/* Makes room for n more bytes and the NUL; false (and failed) when that cannot be. */
static bool str_reserve(struct mld_str *s, size_t n)
{
    if (s->failed)
        return false;
    const size_t max = str_max(s);
    if (n > max || s->len > max - n) {
        s->failed = s->too_large = true;
        return false;
    }
    const size_t need = s->len + n + 1;
    if (need <= s->cap)
        return true;
    size_t cap = s->cap < STR_CAP_MIN ? STR_CAP_MIN : s->cap;
    while (cap < need)
        cap *= 2;
    if (cap > max + 1)
        cap = max + 1;
    char *data = mld_realloc(s->data, cap);
    if (data == NULL) {
        s->failed = true;
        return false;
    }
    s->data = data;
    s->cap = cap;
    return true;
}

void mld_str_append(struct mld_str *s, const void *data, size_t n)
{
    if (!str_reserve(s, n))
        return;
    if (n > 0)
        memcpy(s->data + s->len, data, n);
    s->len += n;
    s->data[s->len] = '\0';
}

void mld_str_add(struct mld_str *s, const char *text)
{
    mld_str_append(s, text, strlen(text));
}

void mld_str_addc(struct mld_str *s, char c)
{
    mld_str_append(s, &c, 1);
}

void mld_str_addv(struct mld_str *s, const char *format, va_list args)
{
    char small[256];
    va_list again;
    va_copy(again, args);
    const int n = vsnprintf(small, sizeof(small), format, args);
    if (n < 0) {
        s->failed = true;
    } else if ((size_t)n < sizeof(small)) {
        mld_str_append(s, small, (size_t)n);
    } else if (str_reserve(s, (size_t)n)) {
        (void)vsnprintf(s->data + s->len, (size_t)n + 1, format, again);
        s->len += (size_t)n;
    }
    va_end(again);
}

void mld_str_addf(struct mld_str *s, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    mld_str_addv(s, format, args);
    va_end(args);
}

size_t mld_utf8_length(const char *p, const char *end)
{
    const unsigned char *b = (const unsigned char *)p;
    const unsigned char c = b[0];
    if (c < 0x80)
        return 1;
    const size_t n = c >= 0xC2 && c <= 0xDF   ? 2
                     : c >= 0xE0 && c <= 0xEF ? 3
                     : c >= 0xF0 && c <= 0xF4 ? 4
                                              : 0;
    if (n == 0 || (size_t)(end - p) < n)
        return 0;
    const unsigned low = c == 0xE0 ? 0xA0 : c == 0xF0 ? 0x90 : 0x80;
    const unsigned high = c == 0xED ? 0x9F : c == 0xF4 ? 0x8F : 0xBF;
    if (b[1] < low || b[1] > high)
        return 0;
    for (size_t i = 2; i < n; i++)
        if ((b[i] & 0xC0u) != 0x80u)
            return 0;
    return n;
}

bool mld_utf8_valid(const char *s)
{
    const char *end = s + strlen(s);
    while (s < end) {
        const size_t n = mld_utf8_length(s, end);
        if (n == 0)
            return false;
        s += n;
    }
    return true;
}

void mld_str_add_utf8(struct mld_str *s, const char *text)
{
    const char *end = text + strlen(text);
    while (text < end) {
        const size_t n = mld_utf8_length(text, end);
        if (n > 0)
            mld_str_append(s, text, n);
        else
            mld_str_add(s, "\xEF\xBF\xBD");
        text += n > 0 ? n : 1;
    }
}

const char *mld_str_c(const struct mld_str *s)
{
    return s->data != NULL ? s->data : "";
}

int mld_str_check(const struct mld_str *s, struct mld_error *err)
{
    if (!s->failed)
        return MLD_OK;
    if (s->too_large)
        return mld_error_set(err, MLD_E_TOO_LARGE, "text is larger than %zu bytes",
                             str_max(s));
    return mld_error_set(err, MLD_E_NO_MEMORY,
                         "out of memory for a text of over %zu bytes", s->len);
}

char *mld_str_take(struct mld_str *s)
{
    char *data = NULL;
    if (!s->failed)
        data = s->data != NULL ? s->data : mld_strdup("");
    if (data == s->data)
        s->data = NULL;
    mld_str_release(s);
    return data;
}

bool mld_streq(const char *a, const char *b)
{
    if (a == NULL || b == NULL)
        return a == b;
    return strcmp(a, b) == 0;
}

bool mld_str_starts(const char *s, const char *prefix)
{
    return strncmp(s, prefix, strlen(prefix)) == 0;
}

bool mld_str_ends(const char *s, const char *suffix)
{
    const size_t n = strlen(s), m = strlen(suffix);
    return n >= m && memcmp(s + n - m, suffix, m) == 0;
}

bool mld_parse_i64(const char *s, int64_t *out)
{
    if (s == NULL)
        return false;
    const char *p = s[0] == '-' ? s + 1 : s;
    if (*p == '\0' || p[strspn(p, "0123456789")] != '\0')
        return false;
    errno = 0;
    const long long v = strtoll(s, NULL, 10);
    if (errno != 0)
        return false;
    *out = v;
    return true;
}

/* A decimal number at the start of s: its end, or NULL. */
static const char *parse_decimal(const char *s, double *out)
{
    const char *p = s[0] == '-' ? s + 1 : s;
    const size_t whole = strspn(p, "0123456789");
    p += whole;
    size_t part = 0;
    if (*p == '.') {
        part = strspn(p + 1, "0123456789");
        p += 1 + part;
    }
    if (whole + part == 0)
        return NULL;
    if (*p == 'e' || *p == 'E') {
        const char *q = p + 1 + (p[1] == '-' || p[1] == '+');
        const size_t digits = strspn(q, "0123456789");
        if (digits > 0)
            p = q + digits;
    }
    char *end;
    const double v = strtod(s, &end);
    if (end != p || !isfinite(v))
        return NULL;
    *out = v;
    return p;
}

bool mld_parse_f64(const char *s, double *out)
{
    double v;
    const char *end = s != NULL ? parse_decimal(s, &v) : NULL;
    if (end == NULL || *end != '\0')
        return false;
    *out = v;
    return true;
}

bool mld_parse_size(const char *s, uint64_t *out)
{
    static const struct {
        char unit;
        unsigned shift;
    } units[] = {{'k', 10}, {'K', 10}, {'M', 20}, {'G', 30}, {'T', 40}};
    if (s == NULL || !isdigit((unsigned char)s[0]))
        return false;
    errno = 0;
    char *end;
    const unsigned long long v = strtoull(s, &end, 10);
    if (errno != 0)
        return false;
    unsigned shift = 0;
    if (*end != '\0') {
        for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
            if (units[i].unit == *end)
                shift = units[i].shift;
        if (shift == 0 || end[1] != '\0' || v > UINT64_MAX >> shift)
            return false;
    }
    *out = (uint64_t)v << shift;
    return true;
}

bool mld_parse_duration_ns(const char *s, uint64_t *out)
{
    static const struct {
        const char *unit;
        double ns;
    } units[] = {{"", 1e9},   {"ns", 1.0}, {"us", 1e3},
                 {"ms", 1e6}, {"s", 1e9},  {"m", 60e9}};
    double v;
    const char *end = s != NULL ? parse_decimal(s, &v) : NULL;
    if (end == NULL || s[0] == '-')
        return false;
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (strcmp(end, units[i].unit) != 0)
            continue;
        const double ns = v * units[i].ns;
        if (ns >= 9.2e18) /* below 2^63, some 292 years */
            return false;
        *out = (uint64_t)(ns + 0.5);
        return true;
    }
    return false;
}

#define DISTANCE_MAX 127u /* longer words are never near */

size_t mld_str_distance(const char *a, const char *b)
{
    const size_t n = strlen(a), m = strlen(b);
    if (n > DISTANCE_MAX || m > DISTANCE_MAX)
        return strcasecmp(a, b) == 0 ? 0 : (n > m ? n : m);
    /* Optimal string alignment: rows i - 2, i - 1 and i of the table of prefixes. */
    size_t rows[3][DISTANCE_MAX + 1];
    for (size_t j = 0; j <= m; j++)
        rows[0][j] = j;
    for (size_t i = 1; i <= n; i++) {
        size_t *row = rows[i % 3];
        const size_t *up = rows[(i + 2) % 3], *up2 = rows[(i + 1) % 3];
        row[0] = i;
        for (size_t j = 1; j <= m; j++) {
            const int ca = tolower((unsigned char)a[i - 1]);
            const int cb = tolower((unsigned char)b[j - 1]);
            size_t best = up[j - 1] + (ca != cb);
            if (up[j] + 1 < best)
                best = up[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            if (i > 1 && j > 1 && ca == tolower((unsigned char)b[j - 2]) &&
                cb == tolower((unsigned char)a[i - 2]) && up2[j - 2] + 1 < best)
                best = up2[j - 2] + 1;
            row[j] = best;
        }
    }
    return rows[n % 3][m];
}

const char *mld_str_nearest(const char *word, const char *const *names, size_t n)
{
    const size_t len = strlen(word);
    const size_t limit = len / 3 > 2 ? len / 3 : 2;
    const char *best = NULL;
    size_t best_distance = 0;
    for (size_t i = 0; i < n; i++) {
        const size_t d = mld_str_distance(word, names[i]);
        /* A word that shares nothing with the name (d = its length) is no typing error.
         */
        if (d > limit || d >= (len > 1 ? len : 2))
            continue;
        if (best == NULL || d < best_distance) {
            best = names[i];
            best_distance = d;
        }
    }
    return best;
}

uint64_t mld_fnv1a64(uint64_t h, const void *data, size_t n)
{
    const unsigned char *p = data;
    for (size_t i = 0; i < n; i++)
        h = (h ^ p[i]) * UINT64_C(0x100000001B3);
    return h;
}
