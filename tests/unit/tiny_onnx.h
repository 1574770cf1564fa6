/* tiny_onnx.h: small ONNX files for tests, encoded by hand (protobuf's wire format), so
 * that a backend is tested without our own writer. */
#ifndef MLD_TESTS_UNIT_TINY_ONNX_H
#define MLD_TESTS_UNIT_TINY_ONNX_H

#include "base/fs.h"
#include "base/str.h"
#include "mldyno/dtype.h"

#include <string.h>

struct tiny_onnx {
    struct mld_str graph; /* GraphProto, as its fields are added */
    int opset;
};

static inline void tiny_varint(struct mld_str *s, uint64_t x)
{
    for (; x >= 128; x >>= 7)
        mld_str_addc(s, (char)(x | 128));
    mld_str_addc(s, (char)x);
}

static inline void tiny_int(struct mld_str *s, int field, uint64_t x)
{
    tiny_varint(s, (uint64_t)field << 3);
    tiny_varint(s, x);
}

static inline void tiny_bytes(struct mld_str *s, int field, const void *data, size_t n)
{
    tiny_varint(s, (uint64_t)field << 3 | 2);
    tiny_varint(s, n);
    mld_str_append(s, data, n);
}

static inline void tiny_text(struct mld_str *s, int field, const char *text)
{
    tiny_bytes(s, field, text, strlen(text));
}

/* Appends child as a message and empties it. */
static inline void tiny_message(struct mld_str *s, int field, struct mld_str *child)
{
    tiny_bytes(s, field, mld_str_c(child), child->len);
    mld_str_release(child);
}

/* Names of inputs and outputs are lists with blanks between: "a b". */
static inline void tiny_names(struct mld_str *s, int field, const char *names)
{
    while (*names) {
        const size_t n = strcspn(names, " ");
        tiny_bytes(s, field, names, n);
        names += n + (names[n] == ' ');
    }
}

static inline void tiny_node(struct tiny_onnx *t, const char *op, const char *domain,
                             const char *inputs, const char *outputs)
{
    struct mld_str node = {0};

    tiny_names(&node, 1, inputs);
    tiny_names(&node, 2, outputs);
    tiny_text(&node, 3, outputs);
    tiny_text(&node, 4, op);
    tiny_text(&node, 7, domain);
    tiny_message(&t->graph, 1, &node);
}

/* side: 'i' an input of the graph, 'o' an output. A dimension below 0 is left free. */
static inline void tiny_value(struct tiny_onnx *t, char side, const char *name,
                              enum mld_dtype dtype, int rank, const int64_t *dims)
{
    struct mld_str shape = {0}, tensor = {0}, type = {0}, value = {0};

    for (int i = 0; i < rank; i++) {
        struct mld_str dim = {0};
        if (dims[i] >= 0)
            tiny_int(&dim, 1, (uint64_t)dims[i]);
        else
            tiny_text(&dim, 2, "free");
        tiny_message(&shape, 1, &dim);
    }
    tiny_int(&tensor, 1, (uint64_t)mld_dtype_onnx(dtype));
    tiny_message(&tensor, 2, &shape);
    tiny_message(&type, 1, &tensor);
    tiny_text(&value, 1, name);
    tiny_message(&value, 2, &type);
    tiny_message(&t->graph, side == 'i' ? 11 : 12, &value);
}

/* A constant tensor of raw bytes. */
static inline void tiny_initializer(struct tiny_onnx *t, const char *name,
                                    enum mld_dtype dtype, int rank, const int64_t *dims,
                                    const void *data, size_t bytes)
{
    struct mld_str tensor = {0};

    for (int i = 0; i < rank; i++)
        tiny_int(&tensor, 1, (uint64_t)dims[i]);
    tiny_int(&tensor, 2, (uint64_t)mld_dtype_onnx(dtype));
    tiny_text(&tensor, 8, name);
    tiny_bytes(&tensor, 9, data, bytes);
    tiny_message(&t->graph, 5, &tensor);
}

/* Writes the file and empties t; 0 or an error's code. */
static inline int tiny_write(struct tiny_onnx *t, const char *path)
{
    struct mld_str model = {0}, opset = {0}, opset_ms = {0};
    int rc;

    tiny_text(&t->graph, 2, "tiny");
    tiny_int(&model, 1, 8); /* IR version */
    tiny_message(&model, 7, &t->graph);
    tiny_text(&opset, 1, "");
    tiny_int(&opset, 2, (uint64_t)(t->opset ? t->opset : 17));
    tiny_message(&model, 8, &opset);
    tiny_text(&opset_ms, 1, "com.microsoft");
    tiny_int(&opset_ms, 2, 1);
    tiny_message(&model, 8, &opset_ms);
    rc = mld_str_check(&model, NULL);
    if (rc == 0)
        rc = mld_file_write(path, mld_str_c(&model), model.len, NULL);
    mld_str_release(&model);
    *t = (struct tiny_onnx){0};
    return rc;
}

#endif
