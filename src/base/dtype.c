/* dtype.c: the table of element types.
 *
 * Everything comes from the X-macro list in mldyno/dtype.h. */
#include "mldyno/dtype.h"

#include <string.h>

struct dtype_row {
    const char *name;
    unsigned bits;
    int onnx;
};

static const struct dtype_row dtype_rows[] = {
#define X(upper, lower, bits, onnx) {lower, bits, onnx},
    MLD_DTYPES(X)
#undef X
};
_Static_assert(sizeof(dtype_rows) / sizeof(dtype_rows[0]) == MLD_DTYPE_COUNT,
               "one row per type");

static const struct dtype_row *dtype_row(enum mld_dtype t)
{
    static const struct dtype_row none = {"?", 0, 0};
    return (unsigned)t < MLD_DTYPE_COUNT ? &dtype_rows[t] : &none;
}

const char *mld_dtype_name(enum mld_dtype t)
{
    return dtype_row(t)->name;
}

unsigned mld_dtype_bits(enum mld_dtype t)
{
    return dtype_row(t)->bits;
}

int mld_dtype_onnx(enum mld_dtype t)
{
    return dtype_row(t)->onnx;
}

int mld_dtype_parse(const char *name)
{
    for (int t = 0; name != NULL && t < MLD_DTYPE_COUNT; t++)
        if (strcmp(name, dtype_rows[t].name) == 0)
            return t;
    return -1;
}

int mld_dtype_from_onnx(int onnx)
{
    for (int t = 0; t < MLD_DTYPE_COUNT; t++)
        if (dtype_rows[t].onnx == onnx)
            return t;
    return -1;
}

size_t mld_dtype_bytes(enum mld_dtype t, int64_t count)
{
    const unsigned bits = mld_dtype_bits(t);
    if (bits == 0 || count < 0)
        return SIZE_MAX;
    const uint64_t n = (uint64_t)count;
    if (bits < 8) {
        const unsigned per_byte = 8 / bits;
        return (size_t)(n / per_byte + (n % per_byte != 0));
    }
    const unsigned bytes = bits / 8;
    return n > PTRDIFF_MAX / bytes ? SIZE_MAX : (size_t)n * bytes;
}
