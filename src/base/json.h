/* json.h: JSON values over a well-kept library (cJSON), which no other file includes.
 *
 * A document is parsed or made as a tree; a child pointer is borrowed from its root. All
 * getters accept NULL and answer as if the key were absent, so that lookups chain. */
#ifndef MLD_BASE_JSON_H
#define MLD_BASE_JSON_H

#include "base/str.h"
#include "mldyno/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mld_json; /* one value */

enum mld_json_type {
    MLD_JSON_NULL,
    MLD_JSON_BOOL,
    MLD_JSON_NUMBER,
    MLD_JSON_STRING,
    MLD_JSON_ARRAY,
    MLD_JSON_OBJECT
};

/* Parses text of n bytes (needs no NUL); *out is freed by mld_json_free. `what` names the
 * source in the message: "config.json: line 3: ...". Refuses depth over 128, trailing
 * junk, and texts over 256 MiB. */
int mld_json_parse(const char *text, size_t n, const char *what, struct mld_json **out,
                   struct mld_error *err) MLD_MUST_CHECK;
/* Reads and parses a file of at most max_bytes. */
int mld_json_read(const char *path, size_t max_bytes, struct mld_json **out,
                  struct mld_error *err) MLD_MUST_CHECK;
void mld_json_free(struct mld_json *root); /* roots only; NULL is allowed */

enum mld_json_type mld_json_type(const struct mld_json *v); /* NULL pointer: NULL type */
bool mld_json_is(const struct mld_json *v,
                 enum mld_json_type t); /* false for pointer NULL */
const struct mld_json *mld_json_get(const struct mld_json *object, const char *key);
size_t mld_json_count(const struct mld_json *v); /* elements or members; else 0 */
const struct mld_json *mld_json_at(const struct mld_json *array, size_t i); /* O(i) */
/* Iteration in O(1) a step: first child, next sibling; key of an object's member. */
const struct mld_json *mld_json_first(const struct mld_json *v);
const struct mld_json *mld_json_next(const struct mld_json *child);
const char *mld_json_key(const struct mld_json *child); /* NULL in an array */

/* The value itself; fallback when v is absent, null, or of another type. */
const char *mld_json_str(const struct mld_json *v, const char *fallback);
double mld_json_num(const struct mld_json *v, double fallback);
int64_t mld_json_int(const struct mld_json *v, int64_t fallback); /* whole numbers only */
bool mld_json_bool(const struct mld_json *v, bool fallback);

/* Making values. Adders take over `child`; they do nothing on NULL parents or children,
 * so an out-of-memory shows once, as NULL from mld_json_print. */
struct mld_json *mld_json_new_object(void);
struct mld_json *mld_json_new_array(void);
/* NULL gives null; what is not UTF-8 becomes U+FFFD, so that what is printed is JSON. */
struct mld_json *mld_json_new_str(const char *s);
struct mld_json *mld_json_new_num(double x);  /* not finite gives null */
struct mld_json *mld_json_new_int(int64_t x); /* exact */
struct mld_json *mld_json_new_bool(bool x);
struct mld_json *mld_json_new_null(void);
struct mld_json *mld_json_copy(const struct mld_json *v); /* deep */
void mld_json_set(struct mld_json *object, const char *key, struct mld_json *child);
void mld_json_push(struct mld_json *array, struct mld_json *child);

/* Text of a value: pretty with two blanks of indent, or on one line. Numbers are printed
 * in the shortest form that reads back equal. Caller frees with mld_free; NULL: no
 * memory. */
char *mld_json_print(const struct mld_json *v, bool pretty);

#endif
