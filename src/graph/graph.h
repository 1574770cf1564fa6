/* graph.h: the intermediate representation: typed nodes over static shapes.
 *
 * A graph lives in one arena. Families (src/arch) build the *semantic* form: operators as
 * models mean them (linear, attention, layer_norm ...), each weight in the shape and
 * under the name of the Hugging Face state_dict. Passes rewrite it: lowering for a
 * backend, precision, training. Every operator is one row of ops.def (shape rule, cost,
 * ONNX form).
 *
 * Builders return the new value, or NULL once the graph has failed; a NULL or foreign
 * operand keeps it failed, so a family is written without checks and mld_graph_check()
 * tells the first fault. */
#ifndef MLD_GRAPH_GRAPH_H
#define MLD_GRAPH_GRAPH_H

#include "base/arena.h"
#include "base/map.h"
#include "mldyno/dtype.h"
#include "mldyno/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mld_shape {
    int rank;
    int64_t d[MLD_MAX_RANK];
};
#define MLD_SHAPE_N(...) (sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t))
#define MLD_SHAPE(...)                                                                   \
    mld_shape_from((const int64_t[]){__VA_ARGS__}, (int)MLD_SHAPE_N(__VA_ARGS__))
#define MLD_SCALAR ((struct mld_shape){.rank = 0})
struct mld_shape mld_shape_from(const int64_t *dims, int rank); /* rank is cut to 8 */
int64_t mld_shape_count(const struct mld_shape *s); /* elements; -1 on overflow */
bool mld_shape_eq(const struct mld_shape *a, const struct mld_shape *b);

/* A trained tensor (or learnt buffer) of the reference: name and shape as in its
 * state_dict. It exists once per graph whether or not a node reads it. */
struct mld_param {
    const char *name;
    struct mld_shape shape;
    bool buffer; /* learnt buffer, listed after the parameters */
};
struct mld_alias { /* a tied name: `name` is another name of parameter `target` */
    const char *name, *target;
};

/* How the content of an initializer comes from parameters: it is cut along `axis` into
 * pieces, each an affine view of one parameter: element at coordinates c (c[axis] counted
 * from the piece's start) is mul * param[base + sum_d c[d] * stride[d]] + add, strides in
 * elements of the parameter's row-major data (0 broadcasts). A transposed weight, packed
 * QKV or a slice is thus written without ever being computed. */
struct mld_piece {
    const struct mld_param *param;
    int64_t length; /* extent along axis */
    int64_t base;
    int64_t stride[MLD_MAX_RANK];
    double mul, add;
};

enum mld_value_kind {
    MLD_VALUE_INPUT,   /* fed for each run */
    MLD_VALUE_PARAM,   /* a parameter as it is */
    MLD_VALUE_DERIVED, /* pieces of parameters (made by passes) */
    MLD_VALUE_CONST,   /* literal data in the arena */
    MLD_VALUE_COMPUTED /* output of a node */
};

struct mld_node;
struct mld_value {
    const char *name; /* unique in the graph */
    enum mld_dtype dtype;
    enum mld_value_kind kind;
    struct mld_shape shape;
    uint32_t id;                    /* index in graph->values */
    struct mld_node *node;          /* COMPUTED: its producer */
    int output_index;               /* COMPUTED: which output of it */
    const struct mld_param *param;  /* PARAM */
    const void *data;               /* CONST: row-major, arena-owned */
    const struct mld_piece *pieces; /* DERIVED */
    int piece_count, axis;          /* DERIVED */
};

/* How an input is made for measuring and for goldens (FORMAT of oracle files). */
enum mld_fill {
    MLD_FILL_UNIFORM, /* floats in [-1, 1) from stream("input:" + name) */
    MLD_FILL_IDS,     /* low + floor((stream + 1) / 2 * (high - low)) */
    MLD_FILL_ONES,
    MLD_FILL_ZEROS,
    MLD_FILL_VALUE /* all elements = low */
};
struct mld_graph_input {
    struct mld_value *value;
    enum mld_fill fill;
    int64_t low, high; /* IDS: [low, high) */
    int state_output;  /* index of the output that updates this input in place (KV cache),
                          -1: none */
};
struct mld_graph_output {
    struct mld_value *value;
    const char *name; /* the reference's: "logits", "last_hidden_state" */
};

/* Operators: one X-macro row each, in ops.def. */
enum mld_op {
#define MLD_OP(upper, ...) MLD_OP_##upper,
#include "graph/ops.def"
#undef MLD_OP
    MLD_OP_COUNT
};

enum mld_attr_type { MLD_ATTR_INT, MLD_ATTR_FLOAT, MLD_ATTR_STRING, MLD_ATTR_INTS };
struct mld_attr {
    const char *name; /* the ONNX attribute's name where there is one; a name that begins
                         with '_' is for the rules only and is never written to a file */
    enum mld_attr_type type;
    int64_t i;
    double f;
    const char *s;
    const int64_t *ints;
    int ints_count;
};

#define MLD_MAX_INPUTS  16
#define MLD_MAX_OUTPUTS 8

struct mld_node {
    enum mld_op op;
    uint32_t id;       /* position in graph->nodes: topological */
    const char *scope; /* "encoder.layer.3.attention": for dumps and per-block reports */
    struct mld_value *in[MLD_MAX_INPUTS]; /* NULL: optional input left out */
    int in_count;
    struct mld_value *out[MLD_MAX_OUTPUTS]; /* NULL: optional output not made */
    int out_count;
    struct mld_attr *attrs;
    int attr_count;
};

struct mld_graph {
    struct mld_arena *arena; /* borrowed */
    const char *name;
    struct mld_param **params;
    size_t param_count, param_cap;
    struct mld_alias *aliases;
    size_t alias_count, alias_cap;
    struct mld_value **values;
    size_t value_count, value_cap;
    struct mld_node **nodes; /* topological order */
    size_t node_count, node_cap;
    struct mld_graph_input *inputs;
    size_t input_count, input_cap;
    struct mld_graph_output *outputs;
    size_t output_count, output_cap;
    struct mld_map names;   /* input, parameter or derived name -> struct mld_value */
    struct mld_map shared;  /* content hash -> constant, derived value or node's output */
    bool share_nodes;       /* equal nodes are made once (lowered graphs) */
    const char *scope;      /* current scope, put on new nodes */
    struct mld_error fault; /* first fault of a builder */
};

/* An empty graph in arena (which must outlive it), or NULL without memory;
 * mld_graph_release frees only the maps (the rest goes with the arena). */
struct mld_graph *mld_graph_new(struct mld_arena *arena, const char *name);
void mld_graph_release(struct mld_graph *g);
/* 0, or the first fault with its scope. */
int mld_graph_check(const struct mld_graph *g, struct mld_error *err) MLD_MUST_CHECK;
/* Fails the graph (first fault wins); returns NULL for use in expressions. */
struct mld_value *mld_graph_fail(struct mld_graph *g, int code, const char *format, ...)
    MLD_PRINTF(3, 4);

/* --- making values ----------------------------------------------------------------- */
/* Declares (or finds again) a parameter; a second declaration with another shape is a
 * fault. The value reads it as f32. */
struct mld_value *mld_graph_param(struct mld_graph *g, const char *name,
                                  struct mld_shape shape);
struct mld_value *mld_graph_buffer(struct mld_graph *g, const char *name,
                                   struct mld_shape shape); /* learnt buffer */
void mld_graph_alias(struct mld_graph *g, const char *name, const char *target);
struct mld_value *mld_graph_input(struct mld_graph *g, const char *name,
                                  enum mld_dtype dtype, struct mld_shape shape,
                                  enum mld_fill fill, int64_t low, int64_t high);
/* Constant; data is copied. Equal constants may be shared. */
struct mld_value *mld_graph_const(struct mld_graph *g, enum mld_dtype dtype,
                                  struct mld_shape shape, const void *data);
struct mld_value *mld_graph_const_f32(struct mld_graph *g, double x); /* scalar */
struct mld_value *mld_graph_const_i64(struct mld_graph *g, int n,
                                      const int64_t *x); /* 1-D */
/* Initializer cut from parameters of g along `axis` (passes only); pieces are copied,
 * equal ones shared. name is made unique by a suffix when it is taken. */
struct mld_value *mld_graph_derived(struct mld_graph *g, const char *name,
                                    struct mld_shape shape, int axis,
                                    const struct mld_piece *pieces, int piece_count);
/* The value of an input or parameter of this name; NULL: none. */
struct mld_value *mld_graph_find(const struct mld_graph *g, const char *name);
void mld_graph_output(struct mld_graph *g, const char *name, struct mld_value *v);
/* Ties output to input in place (KV cache): same shape and dtype. */
void mld_graph_state(struct mld_graph *g, const char *input, const char *output);
/* Sets the scope of nodes to come: printf, copied; NULL clears. */
void mld_graph_scope(struct mld_graph *g, const char *format, ...) MLD_PRINTF(2, 3);

/* --- nodes by hand (passes, rare operators) ----------------------------------------- */
/* Appends a node; output shapes and dtypes come from the row's shape rule. attrs end with
 * name NULL (NULL: none) and are copied. Returns output 0. */
struct mld_value *mld_graph_node(struct mld_graph *g, enum mld_op op,
                                 struct mld_value *const *in, int in_count,
                                 const struct mld_attr *attrs);
struct mld_value *mld_node_output(const struct mld_value *first,
                                  int index); /* of its node */
#define MLD_INT(n, x)   ((struct mld_attr){.name = (n), .type = MLD_ATTR_INT, .i = (x)})
#define MLD_FLOAT(n, x) ((struct mld_attr){.name = (n), .type = MLD_ATTR_FLOAT, .f = (x)})
#define MLD_STRING(n, x)                                                                 \
    ((struct mld_attr){.name = (n), .type = MLD_ATTR_STRING, .s = (x)})
#define MLD_INTS(n, p, c)                                                                \
    ((struct mld_attr){                                                                  \
        .name = (n), .type = MLD_ATTR_INTS, .ints = (p), .ints_count = (c)})
#define MLD_ATTR_END ((struct mld_attr){.name = NULL})
const struct mld_attr *mld_node_attr(const struct mld_node *n, const char *name);
int64_t mld_node_int(const struct mld_node *n, const char *name, int64_t fallback);
double mld_node_float(const struct mld_node *n, const char *name, double fallback);
const char *mld_node_string(const struct mld_node *n, const char *name,
                            const char *fallback);

/* --- whole-graph questions --------------------------------------------------------- */
const char *mld_op_name(enum mld_op op);
int64_t mld_graph_param_values(const struct mld_graph *g); /* sum of element counts */
/* FNV-1a 64 over the sorted lines "name d0,d1,...\n" (FORMAT: digest). */
int mld_graph_digest(const struct mld_graph *g, uint64_t *out,
                     struct mld_error *err) MLD_MUST_CHECK;

struct mld_cost {
    double flops;        /* 2 per multiply-add; matmul, conv, attention, elementwise */
    double matmul_flops; /* of these, in matrix products and convolutions */
    double read_bytes;   /* activations and weights each node reads */
    double write_bytes;
    double weight_bytes;          /* initializers, once */
    double activation_peak_bytes; /* largest sum of live computed values, in node order */
};
struct mld_cost mld_node_cost(const struct mld_node *n); /* flops, matmul, read, write */
struct mld_cost mld_graph_cost(const struct mld_graph *g);

/* Topology, names, arity, dtypes, shapes against each row's rule, dead values. */
int mld_graph_verify(const struct mld_graph *g, struct mld_error *err) MLD_MUST_CHECK;
/* Readable text: one line a node: %id = op(inputs) {attrs} : dtype[shape]  # scope. */
struct mld_str;
void mld_graph_dump(const struct mld_graph *g, struct mld_str *out);

#endif
