/* safetensors.h: reads a *.safetensors file: its header is checked to the last byte
 * before anything is believed, its data stays in the file's mapping.
 *
 * Format: 8 bytes header length (little endian), a JSON object name -> {dtype, shape,
 * data_offsets [begin, end) counted from the end of the header}, the data. */
#ifndef MLD_ARTIFACT_SAFETENSORS_H
#define MLD_ARTIFACT_SAFETENSORS_H

#include "base/map.h"
#include "mldyno/dtype.h"
#include "mldyno/error.h"

#include <stddef.h>
#include <stdint.h>

/* X(NAME, text, bytes): element types; those without a row are refused by name. */
#define MLD_SAFETENSOR_TYPES(X)                                                          \
    X(F64, "F64", 8)                                                                     \
    X(F32, "F32", 4)                                                                     \
    X(F16, "F16", 2)                                                                     \
    X(BF16, "BF16", 2)                                                                   \
    X(I64, "I64", 8)                                                                     \
    X(I32, "I32", 4)                                                                     \
    X(I16, "I16", 2)                                                                     \
    X(I8, "I8", 1)                                                                       \
    X(U64, "U64", 8)                                                                     \
    X(U32, "U32", 4)                                                                     \
    X(U16, "U16", 2)                                                                     \
    X(U8, "U8", 1)                                                                       \
    X(BOOL, "BOOL", 1)                                                                   \
    X(F8_E4M3, "F8_E4M3", 1)                                                             \
    X(F8_E5M2, "F8_E5M2", 1)

enum mld_safetensor_type {
#define X(name, text, bytes) MLD_SAFETENSOR_##name,
    MLD_SAFETENSOR_TYPES(X)
#undef X
        MLD_SAFETENSOR_TYPE_COUNT
};

struct mld_safetensor {
    const char *name;
    enum mld_safetensor_type type;
    int rank; /* MLD_MAX_RANK + 1: more than that, dims are cut */
    int64_t dims[MLD_MAX_RANK];
    int64_t count;             /* elements */
    const unsigned char *data; /* in the mapping; aligned to nothing */
    size_t begin, bytes;       /* begin: counted from the end of the header */
};

struct mld_safetensors; /* an open file */

/* Maps and checks path. MLD_E_NOT_FOUND, MLD_E_IO, or MLD_E_PARSE with what is wrong
 * ("tensor 'x' ends at byte 400 of 300: the file is truncated"). */
int mld_safetensors_open(const char *path, struct mld_safetensors **out,
                         struct mld_error *err) MLD_MUST_CHECK;
void mld_safetensors_close(struct mld_safetensors *s); /* NULL is allowed */

size_t mld_safetensors_count(const struct mld_safetensors *s);
/* In the order of their data. Borrowed until close. */
const struct mld_safetensor *mld_safetensors_at(const struct mld_safetensors *s,
                                                size_t i);
const struct mld_safetensor *mld_safetensors_find(const struct mld_safetensors *s,
                                                  const char *name); /* NULL: none */
const char *mld_safetensors_path(const struct mld_safetensors *s);
/* The header's bytes, for a hash of the file's identity. */
const void *mld_safetensors_header(const struct mld_safetensors *s, size_t *n);

const char *mld_safetensor_type_name(enum mld_safetensor_type t);
/* Can elements of this type become f32? */
bool mld_safetensor_readable(enum mld_safetensor_type t);
/* out[k] = element start + k * step as f32, k in [0, n). The caller has checked that all
 * lie inside the tensor and that the type is readable. */
void mld_safetensor_read(const struct mld_safetensor *t, int64_t start, int64_t step,
                         size_t n, float *out);

#endif
