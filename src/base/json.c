/* json.c: JSON values over cJSON, behind our own checker and our own printer.
 *
 * cJSON keeps numbers as doubles: whole numbers of over 2^53 that fit int64_t are kept as
 * raw text instead, so that all of them are exact. Its memory comes through the seam of
 * alloc.h. An adder that got no child marks its parent, and a marked tree does not print.
 */
#include "base/json.h"

#include "base/alloc.h"
#include "base/fs.h"
#include "base/json_scan.h"

#include <cjson/cJSON.h>
#include <float.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define JSON_BYTES_MAX ((size_t)256 << 20)
#define JSON_EXACT_MAX 9007199254740992.0 /* 2^53 */
#define JSON_BROKEN    (1 << 16) /* in cJSON.type: an adder failed; cJSON reads 8 bits */
#define JSON_TYPE_MASK 0xFF

static void json_install_hooks(void)
{
    cJSON_Hooks hooks = {mld_alloc, mld_free};
    cJSON_InitHooks(&hooks);
}

static void json_init(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, json_install_hooks);
}

/* The two names of one thing. */
static const cJSON *json_in(const struct mld_json *v)
{
    return (const cJSON *)(const void *)v;
}

static cJSON *json_in_mutable(struct mld_json *v)
{
    return (cJSON *)(void *)v;
}

static struct mld_json *json_out(cJSON *item)
{
    return (struct mld_json *)(void *)item;
}

static const struct mld_json *json_out_const(const cJSON *item)
{
    return (const struct mld_json *)(const void *)item;
}

static int json_kind(const cJSON *item)
{
    return item->type & JSON_TYPE_MASK;
}

/* Turns the whole numbers that a double cannot hold into raw text, walking the tree and
 * the numbers of the text in step. false: no memory. Depth: that of the checker. */
static bool json_keep_exact(cJSON *item, const char **p, const char *end)
{
    if (json_kind(item) == cJSON_Number) {
        size_t len;
        const char *number = mld_json_scan_number(p, end, &len);
        int64_t whole;
        if (fabs(item->valuedouble) < JSON_EXACT_MAX)
            return true;
        char *raw = mld_strndup(number, len);
        if (raw != NULL && mld_parse_i64(raw, &whole)) { /* not so with a point */
            item->type = cJSON_Raw;
            item->valuestring = raw;
            return true;
        }
        const bool memory = raw != NULL;
        mld_free(raw);
        return memory;
    }
    for (cJSON *c = item->child; c != NULL; c = c->next)
        if (!json_keep_exact(c, p, end))
            return false;
    return true;
}

int mld_json_parse(const char *text, size_t n, const char *what, struct mld_json **out,
                   struct mld_error *err)
{
    if (n > JSON_BYTES_MAX)
        return mld_error_set(err, MLD_E_TOO_LARGE,
                             "%s: %zu bytes of JSON, at most %zu are read", what, n,
                             JSON_BYTES_MAX);
    if (n >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0) { /* a byte order mark */
        text += 3;
        n -= 3;
    }
    bool long_integers;
    MLD_TRY(mld_json_scan(text, n, what, &long_integers, err));
    json_init();
    /* What the checker let through parses, so that only memory can be missing. */
    cJSON *root = cJSON_ParseWithLengthOpts(text, n, NULL, 0);
    const char *p = text;
    if (root == NULL || (long_integers && !json_keep_exact(root, &p, text + n))) {
        cJSON_Delete(root);
        return mld_error_set(err, MLD_E_NO_MEMORY,
                             "%s: out of memory for %zu bytes of JSON", what, n);
    }
    *out = json_out(root);
    return MLD_OK;
}

int mld_json_read(const char *path, size_t max_bytes, struct mld_json **out,
                  struct mld_error *err)
{
    char *text;
    size_t n;
    MLD_TRY(mld_file_read(path, max_bytes, &text, &n, err));
    const int rc = mld_json_parse(text, n, path, out, err);
    mld_free(text);
    return rc;
}

void mld_json_free(struct mld_json *root)
{
    json_init();
    cJSON_Delete(json_in_mutable(root));
}

enum mld_json_type mld_json_type(const struct mld_json *v)
{
    if (v == NULL)
        return MLD_JSON_NULL;
    switch (json_kind(json_in(v))) {
    case cJSON_False:
    case cJSON_True:
        return MLD_JSON_BOOL;
    case cJSON_Number:
    case cJSON_Raw: /* a whole number of over 2^53 */
        return MLD_JSON_NUMBER;
    case cJSON_String:
        return MLD_JSON_STRING;
    case cJSON_Array:
        return MLD_JSON_ARRAY;
    case cJSON_Object:
        return MLD_JSON_OBJECT;
    default:
        return MLD_JSON_NULL;
    }
}

bool mld_json_is(const struct mld_json *v, enum mld_json_type t)
{
    return v != NULL && mld_json_type(v) == t;
}

const struct mld_json *mld_json_get(const struct mld_json *object, const char *key)
{
    if (!mld_json_is(object, MLD_JSON_OBJECT))
        return NULL;
    /* Of a key that is there twice the last one counts, as in Python and browsers. */
    const cJSON *found = NULL;
    for (const cJSON *c = json_in(object)->child; c != NULL; c = c->next)
        if (strcmp(c->string, key) == 0)
            found = c;
    return json_out_const(found);
}

static bool json_has_children(const struct mld_json *v)
{
    return mld_json_is(v, MLD_JSON_ARRAY) || mld_json_is(v, MLD_JSON_OBJECT);
}

size_t mld_json_count(const struct mld_json *v)
{
    size_t n = 0;
    for (const struct mld_json *c = mld_json_first(v); c != NULL; c = mld_json_next(c))
        n++;
    return n;
}

const struct mld_json *mld_json_at(const struct mld_json *array, size_t i)
{
    if (!mld_json_is(array, MLD_JSON_ARRAY))
        return NULL;
    const struct mld_json *c = mld_json_first(array);
    while (c != NULL && i-- > 0)
        c = mld_json_next(c);
    return c;
}

const struct mld_json *mld_json_first(const struct mld_json *v)
{
    return json_has_children(v) ? json_out_const(json_in(v)->child) : NULL;
}

const struct mld_json *mld_json_next(const struct mld_json *child)
{
    return child != NULL ? json_out_const(json_in(child)->next) : NULL;
}

const char *mld_json_key(const struct mld_json *child)
{
    return child != NULL ? json_in(child)->string : NULL;
}

const char *mld_json_str(const struct mld_json *v, const char *fallback)
{
    return mld_json_is(v, MLD_JSON_STRING) ? json_in(v)->valuestring : fallback;
}

double mld_json_num(const struct mld_json *v, double fallback)
{
    if (!mld_json_is(v, MLD_JSON_NUMBER))
        return fallback;
    const cJSON *item = json_in(v);
    return json_kind(item) == cJSON_Raw ? strtod(item->valuestring, NULL)
                                        : item->valuedouble;
}

int64_t mld_json_int(const struct mld_json *v, int64_t fallback)
{
    if (!mld_json_is(v, MLD_JSON_NUMBER))
        return fallback;
    const cJSON *item = json_in(v);
    int64_t whole;
    if (json_kind(item) == cJSON_Raw)
        return mld_parse_i64(item->valuestring, &whole) ? whole : fallback;
    const double x = item->valuedouble;
    return fabs(x) <= JSON_EXACT_MAX && floor(x) == x ? (int64_t)x : fallback;
}

bool mld_json_bool(const struct mld_json *v, bool fallback)
{
    return mld_json_is(v, MLD_JSON_BOOL) ? json_kind(json_in(v)) == cJSON_True : fallback;
}

struct mld_json *mld_json_new_object(void)
{
    json_init();
    return json_out(cJSON_CreateObject());
}

struct mld_json *mld_json_new_array(void)
{
    json_init();
    return json_out(cJSON_CreateArray());
}

struct mld_json *mld_json_new_str(const char *s)
{
    json_init();
    if (s == NULL || mld_utf8_valid(s))
        return json_out(s != NULL ? cJSON_CreateString(s) : cJSON_CreateNull());
    struct mld_str copy = {0};
    mld_str_add_utf8(&copy, s);
    struct mld_json *v =
        copy.failed ? NULL : json_out(cJSON_CreateString(mld_str_c(&copy)));
    mld_str_release(&copy);
    return v;
}

struct mld_json *mld_json_new_num(double x)
{
    json_init();
    return json_out(isfinite(x) ? cJSON_CreateNumber(x) : cJSON_CreateNull());
}

struct mld_json *mld_json_new_int(int64_t x)
{
    json_init();
    if (x >= -(INT64_C(1) << 53) && x <= INT64_C(1) << 53)
        return json_out(cJSON_CreateNumber((double)x));
    char text[32];
    (void)snprintf(text, sizeof(text), "%lld", (long long)x);
    return json_out(cJSON_CreateRaw(text));
}

struct mld_json *mld_json_new_bool(bool x)
{
    json_init();
    return json_out(cJSON_CreateBool(x));
}

struct mld_json *mld_json_new_null(void)
{
    json_init();
    return json_out(cJSON_CreateNull());
}

struct mld_json *mld_json_copy(const struct mld_json *v)
{
    json_init();
    return json_out(v != NULL ? cJSON_Duplicate(json_in(v), 1) : cJSON_CreateNull());
}

/* Marks parent as incomplete and drops a child that found no place. */
static void json_break(cJSON *parent, cJSON *child)
{
    parent->type |= JSON_BROKEN;
    cJSON_Delete(child);
}

void mld_json_set(struct mld_json *object, const char *key, struct mld_json *child)
{
    cJSON *parent = json_in_mutable(object), *item = json_in_mutable(child);
    if (!mld_json_is(object, MLD_JSON_OBJECT)) {
        cJSON_Delete(item);
        return;
    }
    if (item == NULL) {
        json_break(parent, NULL);
        return;
    }
    cJSON *old = NULL;
    for (cJSON *c = parent->child; c != NULL; c = c->next)
        if (strcmp(c->string, key) == 0)
            old = c;
    if (old == NULL) {
        if (!cJSON_AddItemToObject(parent, key, item))
            json_break(parent, item);
        return;
    }
    /* Takes the place of the old value, whose key it inherits. */
    item->string = old->string;
    old->string = NULL;
    (void)cJSON_ReplaceItemViaPointer(parent, old, item);
}

void mld_json_push(struct mld_json *array, struct mld_json *child)
{
    cJSON *parent = json_in_mutable(array), *item = json_in_mutable(child);
    if (!mld_json_is(array, MLD_JSON_ARRAY))
        cJSON_Delete(item);
    else if (item == NULL || !cJSON_AddItemToArray(parent, item))
        json_break(parent, item);
}

static void json_print_string(struct mld_str *s, const char *text)
{
    mld_str_addc(s, '"');
    const char *start = text, *p = text;
    for (; *p != '\0'; p++) {
        const unsigned char c = (unsigned char)*p;
        if (c >= 0x20 && c != '"' && c != '\\' && c != 0x7F)
            continue;
        mld_str_append(s, start, (size_t)(p - start));
        start = p + 1;
        static const char plain[] = "\"\\\b\f\n\r\t", letters[] = "\"\\bfnrt";
        const char *known = strchr(plain, c);
        if (known != NULL) {
            mld_str_addc(s, '\\');
            mld_str_addc(s, letters[known - plain]);
        } else {
            mld_str_addf(s, "\\u%04x", c);
        }
    }
    mld_str_append(s, start, (size_t)(p - start));
    mld_str_addc(s, '"');
}

static void json_print_number(struct mld_str *s, double x)
{
    char text[40];
    if (floor(x) == x && fabs(x) <= JSON_EXACT_MAX) {
        (void)snprintf(text, sizeof(text), "%.0f", x);
    } else {
        /* 15 digits survive every decimal (fewer those of a subnormal), 17 every double.
         */
        for (int digits = fabs(x) < DBL_MIN ? 1 : 15; digits <= 17; digits++) {
            (void)snprintf(text, sizeof(text), "%.*g", digits, x);
            if (strtod(text, NULL) == x)
                break;
        }
    }
    mld_str_add(s, text);
}

static void json_print_indent(struct mld_str *s, int depth)
{
    mld_str_addc(s, '\n');
    for (int i = 0; i < depth; i++)
        mld_str_add(s, "  ");
}

/* An array of plain values (a shape, a list of samples) stays on one line. */
static bool json_is_flat(const cJSON *item)
{
    if (json_kind(item) != cJSON_Array)
        return false;
    for (const cJSON *c = item->child; c != NULL; c = c->next)
        if (json_kind(c) == cJSON_Array || json_kind(c) == cJSON_Object)
            return false;
    return true;
}

static void json_print(struct mld_str *s, const cJSON *item, bool pretty, int depth)
{
    if ((item->type & JSON_BROKEN) != 0)
        s->failed = true;
    if (s->failed)
        return;
    switch (json_kind(item)) {
    case cJSON_False:
        mld_str_add(s, "false");
        return;
    case cJSON_True:
        mld_str_add(s, "true");
        return;
    case cJSON_Number:
        json_print_number(s, item->valuedouble);
        return;
    case cJSON_Raw:
        mld_str_add(s, item->valuestring);
        return;
    case cJSON_String:
        json_print_string(s, item->valuestring);
        return;
    case cJSON_Array:
    case cJSON_Object:
        break;
    default:
        mld_str_add(s, "null");
        return;
    }
    const bool object = json_kind(item) == cJSON_Object;
    const bool lines = pretty && item->child != NULL && !json_is_flat(item);
    mld_str_addc(s, object ? '{' : '[');
    for (const cJSON *c = item->child; c != NULL; c = c->next) {
        if (lines)
            json_print_indent(s, depth + 1);
        if (object) {
            json_print_string(s, c->string);
            mld_str_add(s, pretty ? ": " : ":");
        }
        json_print(s, c, pretty, depth + 1);
        if (c->next != NULL)
            mld_str_add(s, pretty && !lines ? ", " : ",");
    }
    if (lines)
        json_print_indent(s, depth);
    mld_str_addc(s, object ? '}' : ']');
}

char *mld_json_print(const struct mld_json *v, bool pretty)
{
    if (v == NULL)
        return NULL;
    struct mld_str s = {0};
    json_print(&s, json_in(v), pretty, 0);
    return mld_str_take(&s);
}
