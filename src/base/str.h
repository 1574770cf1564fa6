/* str.h: growing byte buffers and small string helpers. */
#ifndef MLD_BASE_STR_H
#define MLD_BASE_STR_H

#include "mldyno/error.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A growing, always NUL-terminated buffer with an upper limit. Zero-filled is valid and
 * empty (limit 256 MiB). Once an append fails (limit or memory) `failed` stays set and
 * later appends do nothing: check once at the end with mld_str_check(). */
struct mld_str {
    char *data; /* NULL while empty: use mld_str_c() */
    size_t len, cap, max;
    bool failed;
    bool too_large; /* why: the limit, or else no memory */
};

void mld_str_init(struct mld_str *s, size_t max_bytes);
void mld_str_release(struct mld_str *s);
void mld_str_clear(struct mld_str *s); /* keeps the memory, resets failed */
void mld_str_append(struct mld_str *s, const void *data, size_t n);
void mld_str_add(struct mld_str *s, const char *text);
void mld_str_addc(struct mld_str *s, char c);
void mld_str_addf(struct mld_str *s, const char *format, ...) MLD_PRINTF(2, 3);
void mld_str_addv(struct mld_str *s, const char *format, va_list args) MLD_PRINTF(2, 0);
/* Appends text as valid UTF-8: each byte that belongs to no character as U+FFFD. */
void mld_str_add_utf8(struct mld_str *s, const char *text);
const char *mld_str_c(const struct mld_str *s); /* never NULL */
/* 0, or MLD_E_NO_MEMORY / MLD_E_TOO_LARGE when an append had failed. */
int mld_str_check(const struct mld_str *s, struct mld_error *err) MLD_MUST_CHECK;
char *
mld_str_take(struct mld_str *s); /* caller frees; s is empty after; NULL if failed */

bool mld_streq(const char *a, const char *b); /* NULL equals only NULL */
bool mld_str_starts(const char *s, const char *prefix);
bool mld_str_ends(const char *s, const char *suffix);

/* Bytes of the UTF-8 character at p (before end): 1 to 4, or 0 when there is none (table
 * 3-7 of Unicode 15: no overlong forms, no surrogates, nothing above U+10FFFF). */
size_t mld_utf8_length(const char *p, const char *end);
bool mld_utf8_valid(const char *s);

/* Whole-string number parsing: false on junk, overflow, or an empty string. Sizes take
 * k, M, G (powers of 1024); durations take ns, us, ms, s, m (no unit: seconds). */
bool mld_parse_i64(const char *s, int64_t *out);
bool mld_parse_f64(const char *s, double *out);
bool mld_parse_size(const char *s, uint64_t *out);
bool mld_parse_duration_ns(const char *s, uint64_t *out);

/* Damerau-Levenshtein distance, case-insensitive, and the nearest of n names (NULL when
 * none is near enough to be offered: distance > max(2, length / 3)). */
size_t mld_str_distance(const char *a, const char *b);
const char *mld_str_nearest(const char *word, const char *const *names, size_t n);

/* FNV-1a, 64 bit (Fowler, Noll, Vo): h is MLD_FNV_BASIS to start, or an earlier result.
 */
#define MLD_FNV_BASIS 0xCBF29CE484222325u
uint64_t mld_fnv1a64(uint64_t h, const void *data, size_t n);

#endif
