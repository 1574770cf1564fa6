/* dtype.h: element types of tensors. */
#ifndef MLDYNO_DTYPE_H
#define MLDYNO_DTYPE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* X(NAME, name, bits, onnx): onnx is the value of TensorProto.DataType in onnx.proto. */
#define MLD_DTYPES(X)                                                                    \
    X(F32, "f32", 32, 1)                                                                 \
    X(F16, "f16", 16, 10)                                                                \
    X(BF16, "bf16", 16, 16)                                                              \
    X(I8, "i8", 8, 3)                                                                    \
    X(U8, "u8", 8, 2)                                                                    \
    X(I4, "i4", 4, 22)                                                                   \
    X(U4, "u4", 4, 21)                                                                   \
    X(I32, "i32", 32, 6)                                                                 \
    X(I64, "i64", 64, 7)                                                                 \
    X(BOOL, "bool", 8, 9)

enum mld_dtype {
#define X(upper, lower, bits, onnx) MLD_##upper,
    MLD_DTYPES(X)
#undef X
        MLD_DTYPE_COUNT
};

#define MLD_MAX_RANK 8 /* dimensions of a tensor, at most */

const char *mld_dtype_name(enum mld_dtype t); /* "f32" */
unsigned mld_dtype_bits(enum mld_dtype t);    /* 32 */
int mld_dtype_onnx(enum mld_dtype t);         /* TensorProto.DataType */
int mld_dtype_parse(const char *name);        /* enum value, or -1 */
int mld_dtype_from_onnx(int onnx);            /* enum value, or -1 */
/* Bytes of count elements, 4-bit types packed two to a byte (the last one padded);
 * SIZE_MAX when count is negative or no object can be that large (PTRDIFF_MAX). */
size_t mld_dtype_bytes(enum mld_dtype t, int64_t count);

#ifdef __cplusplus
}
#endif
#endif
