/* safetensors.c: the header's checks and the conversion of elements to f32.
 *
 * The file comes from outside: every length is compared with what the file really has
 * before it is used, and sums are made so that they cannot overflow. */
#include "artifact/safetensors.h"

#include "base/alloc.h"
#include "base/json.h"
#include "base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define HEADER_BYTES_MAX (32u << 20) /* some 300,000 tensors */

struct mld_safetensors {
    char *path;
    unsigned char *map;
    size_t map_bytes, header_bytes;
    struct mld_json *header; /* owns the names */
    struct mld_safetensor *tensors;
    size_t count;
    struct mld_map by_name;
};

static const struct {
    const char *name;
    size_t bytes;
} types[MLD_SAFETENSOR_TYPE_COUNT] = {
#define X(name, text, bytes) {text, bytes},
    MLD_SAFETENSOR_TYPES(X)
#undef X
};

const char *mld_safetensor_type_name(enum mld_safetensor_type t)
{
    return types[t].name;
}

/* --- the header ------------------------------------------------------------------- */

static int header_fault(const struct mld_safetensors *s, struct mld_error *err,
                        const char *format, ...) MLD_PRINTF(3, 4);

static int header_fault(const struct mld_safetensors *s, struct mld_error *err,
                        const char *format, ...)
{
    va_list args;

    va_start(args, format);
    mld_error_setv(err, MLD_E_PARSE, format, args);
    va_end(args);
    mld_error_context(err, "'%s'", s->path);
    return MLD_E_PARSE;
}

static int tensor_type(const struct mld_safetensors *s, const char *name,
                       const struct mld_json *v, enum mld_safetensor_type *out,
                       struct mld_error *err)
{
    const char *text = mld_json_str(v, NULL);

    for (int i = 0; text && i < MLD_SAFETENSOR_TYPE_COUNT; i++)
        if (mld_streq(text, types[i].name)) {
            *out = (enum mld_safetensor_type)i;
            return 0;
        }
    return header_fault(s, err, "tensor '%.200s' has unknown dtype '%.40s'", name,
                        text ? text : "(none)");
}

static int tensor_shape(const struct mld_safetensors *s, const char *name,
                        const struct mld_json *v, struct mld_safetensor *t,
                        struct mld_error *err)
{
    int64_t count = 1;
    int rank = 0;

    if (!mld_json_is(v, MLD_JSON_ARRAY))
        return header_fault(s, err, "tensor '%.200s' has no shape", name);
    for (const struct mld_json *d = mld_json_first(v); d; d = mld_json_next(d)) {
        const int64_t n = mld_json_int(d, -1);

        if (n < 0)
            return header_fault(s, err,
                                "the shape of tensor '%.200s' is no list of sizes", name);
        if (n > 0 && count > INT64_MAX / 8 / n)
            return header_fault(s, err, "tensor '%.200s' claims an impossible size",
                                name);
        count *= n;
        if (rank < MLD_MAX_RANK)
            t->dims[rank] = n;
        rank += rank <= MLD_MAX_RANK;
    }
    t->rank = rank;
    t->count = count;
    return 0;
}

static int tensor_range(const struct mld_safetensors *s, const char *name,
                        const struct mld_json *v, struct mld_safetensor *t,
                        struct mld_error *err)
{
    const size_t data_bytes = s->map_bytes - 8 - s->header_bytes;
    const struct mld_json *first = mld_json_first(v);
    const struct mld_json *second = first ? mld_json_next(first) : NULL;
    const int64_t begin = mld_json_int(first, -1), end = mld_json_int(second, -1);

    if (mld_json_count(v) != 2 || begin < 0 || end < begin)
        return header_fault(s, err, "tensor '%.200s' has no proper data_offsets", name);
    if ((uint64_t)end > data_bytes)
        return header_fault(s, err,
                            "tensor '%.200s' ends at data byte %lld of %zu: the file is "
                            "truncated or its header wrong",
                            name, (long long)end, data_bytes);
    t->begin = (size_t)begin;
    t->bytes = (size_t)(end - begin);
    /* count is at most INT64_MAX / 8, so the product fits. */
    if ((uint64_t)t->count * types[t->type].bytes != t->bytes)
        return header_fault(s, err,
                            "tensor '%.200s' has %zu bytes of data but its shape wants "
                            "%llu",
                            name, t->bytes,
                            (unsigned long long)t->count * types[t->type].bytes);
    t->data = s->map + 8 + s->header_bytes + t->begin;
    return 0;
}

static int compare_begin(const void *a, const void *b)
{
    const struct mld_safetensor *x = a, *y = b;

    if (x->begin != y->begin)
        return x->begin < y->begin ? -1 : 1;
    return x->bytes < y->bytes ? -1 : x->bytes > y->bytes; /* empty ones first */
}

static int header_tensors(struct mld_safetensors *s, struct mld_error *err)
{
    s->tensors = mld_calloc(mld_json_count(s->header) + 1, sizeof(*s->tensors));
    if (!s->tensors)
        return mld_error_set(err, MLD_E_NO_MEMORY, "no memory for the tensors of '%s'",
                             s->path);
    for (const struct mld_json *e = mld_json_first(s->header); e; e = mld_json_next(e)) {
        struct mld_safetensor *t = &s->tensors[s->count];
        const char *name = mld_json_key(e);

        if (mld_streq(name, "__metadata__"))
            continue;
        t->name = name;
        if (!mld_json_is(e, MLD_JSON_OBJECT))
            return header_fault(s, err, "tensor '%.200s' is not described", name);
        MLD_TRY(tensor_type(s, name, mld_json_get(e, "dtype"), &t->type, err));
        MLD_TRY(tensor_shape(s, name, mld_json_get(e, "shape"), t, err));
        MLD_TRY(tensor_range(s, name, mld_json_get(e, "data_offsets"), t, err));
        s->count++;
    }
    qsort(s->tensors, s->count, sizeof(*s->tensors), compare_begin);
    for (size_t i = 0; i < s->count; i++) {
        struct mld_safetensor *t = &s->tensors[i];

        if (i > 0 && s->tensors[i - 1].begin + s->tensors[i - 1].bytes > t->begin)
            return header_fault(s, err, "tensors '%.100s' and '%.100s' overlap",
                                s->tensors[i - 1].name, t->name);
        if (mld_map_has(&s->by_name, t->name))
            return header_fault(s, err, "tensor '%.200s' is there twice", t->name);
        if (!mld_map_set(&s->by_name, t->name, t))
            return mld_error_set(err, MLD_E_NO_MEMORY,
                                 "no memory for the tensors of '%s'", s->path);
    }
    return 0;
}

static int header_read(struct mld_safetensors *s, struct mld_error *err)
{
    uint64_t n = 0;

    if (!s->map || s->map_bytes < 8)
        return header_fault(s, err, "not a safetensors file: only %zu bytes",
                            s->map_bytes);
    for (int i = 7; i >= 0; i--)
        n = n << 8 | s->map[i];
    if (n > s->map_bytes - 8)
        return header_fault(s, err,
                            "not a whole safetensors file: a header of %llu bytes in a "
                            "file of %zu",
                            (unsigned long long)n, s->map_bytes);
    if (n > HEADER_BYTES_MAX)
        return header_fault(s, err, "a header of %llu bytes is over the limit of %u",
                            (unsigned long long)n, HEADER_BYTES_MAX);
    s->header_bytes = (size_t)n;
    MLD_TRY(mld_json_parse((const char *)s->map + 8, s->header_bytes, s->path, &s->header,
                           err));
    if (!mld_json_is(s->header, MLD_JSON_OBJECT))
        return header_fault(s, err, "the header is no JSON object");
    return header_tensors(s, err);
}

/* --- the file --------------------------------------------------------------------- */

static int file_map(struct mld_safetensors *s, struct mld_error *err)
{
    const int fd = open(s->path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    int rc = 0;

    if (fd < 0)
        return mld_error_set(err, errno == ENOENT ? MLD_E_NOT_FOUND : MLD_E_IO,
                             "cannot open weights '%s': %s", s->path, strerror(errno));
    if (fstat(fd, &st) != 0) {
        rc = mld_error_set(err, MLD_E_IO, "cannot look at '%s': %s", s->path,
                           strerror(errno));
    } else if (!S_ISREG(st.st_mode)) {
        rc = mld_error_set(err, MLD_E_INVALID,
                           "weights '%s' are no file: name one *.safetensors file",
                           s->path);
    } else if (st.st_size == 0) {
        rc = header_fault(s, err, "not a safetensors file: it is empty");
    } else {
        s->map_bytes = (size_t)st.st_size;
        s->map = mmap(NULL, s->map_bytes, PROT_READ, MAP_PRIVATE, fd, 0);
        if (s->map == MAP_FAILED) {
            s->map = NULL;
            rc = mld_error_set(err, MLD_E_IO, "cannot map '%s': %s", s->path,
                               strerror(errno));
        }
    }
    close(fd);
    return rc;
}

int mld_safetensors_open(const char *path, struct mld_safetensors **out,
                         struct mld_error *err)
{
    struct mld_safetensors *s;
    int rc;

    *out = NULL;
    if (mld_str_ends(path, ".index.json"))
        return mld_error_set(
            err, MLD_E_UNSUPPORTED,
            "'%s' is the index of sharded weights, which cannot be read: "
            "name one *.safetensors file that holds all",
            path);
    s = mld_calloc(1, sizeof(*s));
    if (!s || !(s->path = mld_strdup(path))) {
        mld_free(s);
        return mld_error_set(err, MLD_E_NO_MEMORY, "no memory for weights '%s'", path);
    }
    rc = file_map(s, err);
    if (rc == 0)
        rc = header_read(s, err);
    if (rc != 0) {
        mld_safetensors_close(s);
        return rc;
    }
    *out = s;
    return 0;
}

void mld_safetensors_close(struct mld_safetensors *s)
{
    if (!s)
        return;
    if (s->map)
        munmap(s->map, s->map_bytes);
    mld_map_release(&s->by_name);
    mld_json_free(s->header);
    mld_free(s->tensors);
    mld_free(s->path);
    mld_free(s);
}

size_t mld_safetensors_count(const struct mld_safetensors *s)
{
    return s->count;
}

const struct mld_safetensor *mld_safetensors_at(const struct mld_safetensors *s, size_t i)
{
    return i < s->count ? &s->tensors[i] : NULL;
}

const struct mld_safetensor *mld_safetensors_find(const struct mld_safetensors *s,
                                                  const char *name)
{
    return mld_map_get(&s->by_name, name);
}

const char *mld_safetensors_path(const struct mld_safetensors *s)
{
    return s->path;
}

const void *mld_safetensors_header(const struct mld_safetensors *s, size_t *n)
{
    *n = s->header_bytes;
    return s->map + 8;
}

/* --- elements --------------------------------------------------------------------- */

static float float_from_bits(uint32_t bits)
{
    float f;

    memcpy(&f, &bits, sizeof(f));
    return f;
}

/* IEEE binary16: exact, subnormals and NaN payloads included. */
static float float_from_f16(uint16_t h)
{
    const uint32_t sign = (uint32_t)(h & 0x8000u) << 16;
    uint32_t exponent = (h >> 10) & 31u, fraction = h & 0x3FFu;

    if (exponent == 31)
        return float_from_bits(sign | 0x7F800000u | fraction << 13);
    if (exponent == 0) {
        if (fraction == 0)
            return float_from_bits(sign);
        for (exponent = 1; !(fraction & 0x400u); exponent--)
            fraction <<= 1; /* exponent wraps below 0; the sum below is right again */
        fraction &= 0x3FFu;
    }
    return float_from_bits(sign | (exponent + 112) << 23 | fraction << 13);
}

bool mld_safetensor_readable(enum mld_safetensor_type t)
{
    return t != MLD_SAFETENSOR_F8_E4M3 && t != MLD_SAFETENSOR_F8_E5M2;
}

/* One loop per type: elements are read by memcpy as nothing aligns them. */
#define READ_AS(ctype, convert)                                                          \
    for (size_t k = 0; k < n; k++, p += stride) {                                        \
        ctype x;                                                                         \
        memcpy(&x, p, sizeof(x));                                                        \
        out[k] = convert;                                                                \
    }                                                                                    \
    break

void mld_safetensor_read(const struct mld_safetensor *t, int64_t start, int64_t step,
                         size_t n, float *out)
{
    const int64_t bytes = (int64_t)types[t->type].bytes;
    const ptrdiff_t stride = (ptrdiff_t)(step * bytes);
    const unsigned char *p = t->data + start * bytes;

    if (t->type == MLD_SAFETENSOR_F32 && step == 1) {
        memcpy(out, p, n * sizeof(float));
        return;
    }
    switch (t->type) {
    case MLD_SAFETENSOR_F64:
        READ_AS(double, (float)x);
    case MLD_SAFETENSOR_F32:
        READ_AS(float, x);
    case MLD_SAFETENSOR_F16:
        READ_AS(uint16_t, float_from_f16(x));
    case MLD_SAFETENSOR_BF16:
        READ_AS(uint16_t, float_from_bits((uint32_t)x << 16));
    case MLD_SAFETENSOR_I64:
        READ_AS(int64_t, (float)x);
    case MLD_SAFETENSOR_I32:
        READ_AS(int32_t, (float)x);
    case MLD_SAFETENSOR_I16:
        READ_AS(int16_t, (float)x);
    case MLD_SAFETENSOR_I8:
        READ_AS(int8_t, (float)x);
    case MLD_SAFETENSOR_U64:
        READ_AS(uint64_t, (float)x);
    case MLD_SAFETENSOR_U32:
        READ_AS(uint32_t, (float)x);
    case MLD_SAFETENSOR_U16:
        READ_AS(uint16_t, (float)x);
    case MLD_SAFETENSOR_U8:
        READ_AS(uint8_t, (float)x);
    case MLD_SAFETENSOR_BOOL:
        READ_AS(uint8_t, x ? 1.0f : 0.0f);
    case MLD_SAFETENSOR_F8_E4M3:
    case MLD_SAFETENSOR_F8_E5M2:
    case MLD_SAFETENSOR_TYPE_COUNT:
        break;
    }
}
