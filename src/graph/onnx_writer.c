/* onnx_writer.c: a lowered graph as an ONNX model, encoded by protobuf-c.
 *
 * All messages live in the graph's arena; names are those of the graph, but a value that
 * is an output takes the output's. Every computed value gets its type written down, so
 * that checkers and engines that do not know a fused operator still know its result. */
#include "graph/onnx_writer.h"

#include "base/alloc.h"
#include "base/str.h"
#include "graph/op_rules.h"

#include "onnx/onnx.pb-c.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define INLINE_BYTES 1024u /* constants up to this size stay in the model file */
#define ALIGN_BYTES  4096u /* of every tensor in the weight file */

struct encoder {
    const struct mld_graph *g;
    const struct mld_onnx_params *params;
    struct mld_arena *arena;
    char **names;  /* by value id: its name in the file */
    bool *written; /* by value id: has an initializer */
    Onnx__GraphProto graph;
    struct mld_weight_layout layout;
    bool failed; /* out of memory: later calls do nothing useful */
};

static void *take(struct encoder *e, size_t count, size_t bytes)
{
    void *p = mld_arena_array(e->arena, count > 0 ? count : 1, bytes);
    e->failed = e->failed || p == NULL;
    return p;
}

static char *text(struct encoder *e, const char *s)
{
    char *copy = mld_arena_strdup(e->arena, s);
    e->failed = e->failed || copy == NULL;
    return copy;
}

/* Allocates one message of this type and initialises it; NULL sets failed. */
#define MAKE(e, type, init)                                                              \
    do {                                                                                 \
        (type) = take(e, 1, sizeof(*(type)));                                            \
        if ((type) == NULL)                                                              \
            return NULL;                                                                 \
        init(type);                                                                      \
    } while (0)

static Onnx__StringStringEntryProto *entry(struct encoder *e, const char *key,
                                           const char *value)
{
    Onnx__StringStringEntryProto *p;
    MAKE(e, p, onnx__string_string_entry_proto__init);
    p->key = text(e, key);
    p->value = text(e, value);
    return p;
}

static Onnx__TensorShapeProto *shape_of(struct encoder *e, const struct mld_shape *s)
{
    Onnx__TensorShapeProto *p;
    MAKE(e, p, onnx__tensor_shape_proto__init);
    p->n_dim = (size_t)s->rank;
    p->dim = take(e, p->n_dim, sizeof(Onnx__TensorShapeProto__Dimension *));
    for (size_t i = 0; p->dim != NULL && i < p->n_dim; i++) {
        Onnx__TensorShapeProto__Dimension *d;
        MAKE(e, d, onnx__tensor_shape_proto__dimension__init);
        d->value_case = ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE;
        d->dim_value = s->d[i];
        p->dim[i] = d;
    }
    return p;
}

static Onnx__ValueInfoProto *info_of(struct encoder *e, const struct mld_value *v,
                                     char *name)
{
    Onnx__ValueInfoProto *p;
    Onnx__TypeProto *type;
    Onnx__TypeProto__Tensor *tensor;
    MAKE(e, p, onnx__value_info_proto__init);
    MAKE(e, type, onnx__type_proto__init);
    MAKE(e, tensor, onnx__type_proto__tensor__init);
    tensor->has_elem_type = 1;
    tensor->elem_type = mld_dtype_onnx(v->dtype);
    tensor->shape = shape_of(e, &v->shape);
    type->value_case = ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE;
    type->tensor_type = tensor;
    p->name = name;
    p->type = type;
    return p;
}

static Onnx__AttributeProto *attr_of(struct encoder *e, const struct mld_attr *a)
{
    Onnx__AttributeProto *p;
    MAKE(e, p, onnx__attribute_proto__init);
    p->name = text(e, a->name);
    p->has_type = 1;
    switch (a->type) {
    case MLD_ATTR_INT:
        p->type = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INT;
        p->has_i = 1;
        p->i = a->i;
        break;
    case MLD_ATTR_FLOAT:
        p->type = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOAT;
        p->has_f = 1;
        p->f = (float)a->f;
        break;
    case MLD_ATTR_STRING:
        p->type = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__STRING;
        p->has_s = 1;
        p->s.data = (uint8_t *)text(e, a->s);
        p->s.len = strlen(a->s);
        break;
    case MLD_ATTR_INTS:
        p->type = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INTS;
        p->n_ints = (size_t)a->ints_count;
        p->ints = take(e, p->n_ints, sizeof(int64_t));
        if (p->ints != NULL && p->n_ints > 0)
            memcpy(p->ints, a->ints, p->n_ints * sizeof(int64_t));
        break;
    }
    return p;
}

/* --- initializers ------------------------------------------------------------------ */

/* Appends the value to the weight file's layout and points the tensor to it. */
static void place_outside(struct encoder *e, Onnx__TensorProto *t,
                          const struct mld_value *v, size_t bytes)
{
    uint64_t offset =
        (e->layout.total_bytes + ALIGN_BYTES - 1) / ALIGN_BYTES * ALIGN_BYTES;
    struct mld_weight_slot *slot = &e->layout.slots[e->layout.count++];
    *slot = (struct mld_weight_slot){.value = v, .offset = offset, .bytes = bytes};
    e->layout.total_bytes = offset + bytes;
    char number[24];
    t->has_data_location = 1;
    t->data_location = ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL;
    t->external_data = take(e, 3, sizeof(Onnx__StringStringEntryProto *));
    if (t->external_data == NULL)
        return;
    t->n_external_data = 3;
    t->external_data[0] = entry(e, "location", e->params->external_name);
    snprintf(number, sizeof(number), "%" PRIu64, offset);
    t->external_data[1] = entry(e, "offset", number);
    snprintf(number, sizeof(number), "%zu", bytes);
    t->external_data[2] = entry(e, "length", number);
}

static Onnx__TensorProto *initializer_of(struct encoder *e, const struct mld_value *v)
{
    Onnx__TensorProto *t;
    MAKE(e, t, onnx__tensor_proto__init);
    t->name = e->names[v->id];
    t->has_data_type = 1;
    t->data_type = mld_dtype_onnx(v->dtype);
    t->n_dims = (size_t)v->shape.rank;
    t->dims = take(e, t->n_dims, sizeof(int64_t));
    if (t->dims == NULL)
        return NULL;
    memcpy(t->dims, v->shape.d, t->n_dims * sizeof(int64_t));
    size_t bytes = mld_dtype_bytes(v->dtype, mld_shape_count(&v->shape));
    if (v->kind != MLD_VALUE_CONST || bytes > INLINE_BYTES) {
        place_outside(e, t, v, bytes);
        return t;
    }
    t->has_raw_data = 1;
    t->raw_data.len = bytes;
    t->raw_data.data = take(e, bytes, 1);
    if (t->raw_data.data != NULL)
        memcpy(t->raw_data.data, v->data, bytes);
    return t;
}

static void need_initializer(struct encoder *e, const struct mld_value *v)
{
    if (v == NULL || e->failed || e->written[v->id] || v->kind == MLD_VALUE_INPUT ||
        v->kind == MLD_VALUE_COMPUTED)
        return;
    e->written[v->id] = true;
    e->graph.initializer[e->graph.n_initializer++] = initializer_of(e, v);
}

/* --- nodes ------------------------------------------------------------------------- */

static Onnx__NodeProto *node_proto(struct encoder *e, const char *name, const char *type,
                                   const char *domain, size_t inputs, size_t outputs)
{
    Onnx__NodeProto *p;
    MAKE(e, p, onnx__node_proto__init);
    p->name = text(e, name);
    p->op_type = text(e, type);
    if (domain[0] != '\0')
        p->domain = text(e, domain);
    p->input = take(e, inputs, sizeof(char *));
    p->output = take(e, outputs, sizeof(char *));
    if (p->input == NULL || p->output == NULL)
        return NULL;
    p->n_input = inputs;
    p->n_output = outputs;
    return p;
}

static char none[1]; /* the name of an optional operand that is left out */

static Onnx__NodeProto *node_of(struct encoder *e, const struct mld_node *n)
{
    const struct mld_op_row *row = mld_op_row(n->op);
    bool scoped = n->scope != NULL && n->scope[0] != '\0';
    char name[320];
    snprintf(name, sizeof(name), "%s%s%s_%u", scoped ? n->scope : "", scoped ? "/" : "",
             row->name, n->id);
    Onnx__NodeProto *p = node_proto(e, name, row->onnx, row->domain, (size_t)n->in_count,
                                    (size_t)n->out_count);
    if (p == NULL)
        return NULL;
    for (int i = 0; i < n->in_count; i++)
        p->input[i] = n->in[i] != NULL ? e->names[n->in[i]->id] : none;
    for (int i = 0; i < n->out_count; i++)
        p->output[i] = n->out[i] != NULL ? e->names[n->out[i]->id] : none;
    p->attribute = take(e, (size_t)n->attr_count, sizeof(Onnx__AttributeProto *));
    for (int i = 0; p->attribute != NULL && i < n->attr_count; i++)
        if (n->attrs[i].name[0] != '_')
            p->attribute[p->n_attribute++] = attr_of(e, &n->attrs[i]);
    return p;
}

/* A result that is an input, an initializer, or an output already gets a copy. */
static Onnx__NodeProto *copy_of(struct encoder *e, const struct mld_value *v, char *to)
{
    char name[320];
    snprintf(name, sizeof(name), "output/%s", to);
    Onnx__NodeProto *p = node_proto(e, name, "Identity", "", 1, 1);
    if (p != NULL) {
        p->input[0] = e->names[v->id];
        p->output[0] = to;
    }
    return p;
}

/* --- the model --------------------------------------------------------------------- */

static int check_ops(const struct mld_graph *g, struct mld_error *err)
{
    for (size_t i = 0; i < g->node_count; i++) {
        const struct mld_op_row *row = mld_op_row(g->nodes[i]->op);
        if (row == NULL || row->onnx == NULL)
            return mld_error_set(
                err, MLD_E_UNSUPPORTED,
                "graph '%s': operator '%s' has no ONNX form: lower it first", g->name,
                mld_op_name(g->nodes[i]->op));
    }
    return 0;
}

static bool reserve(struct encoder *e)
{
    const struct mld_graph *g = e->g;
    Onnx__GraphProto *p = &e->graph;
    e->names = take(e, g->value_count, sizeof(char *));
    e->written = take(e, g->value_count, sizeof(bool));
    e->layout.slots = take(e, g->value_count, sizeof(struct mld_weight_slot));
    p->initializer = take(e, g->value_count, sizeof(Onnx__TensorProto *));
    p->value_info = take(e, g->value_count, sizeof(Onnx__ValueInfoProto *));
    p->node = take(e, g->node_count + g->output_count, sizeof(Onnx__NodeProto *));
    p->input = take(e, g->input_count, sizeof(Onnx__ValueInfoProto *));
    p->output = take(e, g->output_count, sizeof(Onnx__ValueInfoProto *));
    p->name = text(e, g->name);
    return !e->failed;
}

/* "v7" for a computed value, "c3" for a constant: counted in the order of the nodes, so
 * that the file does not depend on the order in which operands were made. */
static char *plain_name(struct encoder *e, char kind, unsigned number)
{
    char name[32];
    int n = snprintf(name, sizeof(name), "%c%u", kind, number);
    while (mld_map_has(&e->g->names, name) && n < 30) { /* a parameter of that name */
        name[n++] = '_';
        name[n] = '\0';
    }
    return text(e, name);
}

/* The first output of a computed value gives it its name. */
static void name_values(struct encoder *e, bool *renamed)
{
    unsigned computed = 0, constants = 0;
    for (size_t i = 0; i < e->g->value_count; i++)
        if (e->g->values[i]->kind != MLD_VALUE_COMPUTED &&
            e->g->values[i]->kind != MLD_VALUE_CONST)
            e->names[i] = text(e, e->g->values[i]->name);
    for (size_t i = 0; i < e->g->output_count; i++) {
        const struct mld_value *v = e->g->outputs[i].value;
        if (v->kind == MLD_VALUE_COMPUTED && !renamed[v->id]) {
            e->names[v->id] = text(e, e->g->outputs[i].name);
            renamed[v->id] = true;
        }
    }
    for (size_t i = 0; i < e->g->node_count; i++) {
        const struct mld_node *n = e->g->nodes[i];
        for (int k = 0; k < n->in_count; k++)
            if (n->in[k] != NULL && e->names[n->in[k]->id] == NULL)
                e->names[n->in[k]->id] = plain_name(e, 'c', constants++);
        for (int k = 0; k < n->out_count; k++)
            if (n->out[k] != NULL && e->names[n->out[k]->id] == NULL)
                e->names[n->out[k]->id] = plain_name(e, 'v', computed++);
    }
    for (size_t i = 0; i < e->g->output_count; i++) /* a constant as an output */
        if (e->names[e->g->outputs[i].value->id] == NULL)
            e->names[e->g->outputs[i].value->id] = plain_name(e, 'c', constants++);
}

static void fill_graph(struct encoder *e, bool *renamed)
{
    const struct mld_graph *g = e->g;
    Onnx__GraphProto *p = &e->graph;
    name_values(e, renamed);
    for (size_t i = 0; i < g->input_count; i++)
        p->input[p->n_input++] =
            info_of(e, g->inputs[i].value, e->names[g->inputs[i].value->id]);
    for (size_t i = 0; i < g->node_count && !e->failed; i++) {
        const struct mld_node *n = g->nodes[i];
        for (int k = 0; k < n->in_count; k++)
            need_initializer(e, n->in[k]);
        p->node[p->n_node++] = node_of(e, n);
        for (int k = 0; k < n->out_count; k++)
            if (n->out[k] != NULL && !renamed[n->out[k]->id])
                p->value_info[p->n_value_info++] =
                    info_of(e, n->out[k], e->names[n->out[k]->id]);
    }
    for (size_t i = 0; i < g->output_count && !e->failed; i++) {
        const struct mld_value *v = g->outputs[i].value;
        char *name = text(e, g->outputs[i].name);
        need_initializer(e, v);
        p->output[p->n_output++] = info_of(e, v, name);
        if (!e->failed && strcmp(e->names[v->id], name) != 0)
            p->node[p->n_node++] = copy_of(e, v, name);
    }
}

/* IR versions by opset: onnx's helper table (opset 21 came with IR 10, 23 with 11 ...).
 */
static int64_t ir_version(int opset)
{
    return opset <= 18 ? 8 : opset <= 20 ? 9 : opset <= 22 ? 10 : opset == 23 ? 11 : 12;
}

static int encode(struct encoder *e, void **data, size_t *n, struct mld_error *err)
{
    Onnx__OperatorSetIdProto sets[2] = {ONNX__OPERATOR_SET_ID_PROTO__INIT,
                                        ONNX__OPERATOR_SET_ID_PROTO__INIT};
    Onnx__OperatorSetIdProto *set_list[2] = {&sets[0], &sets[1]};
    Onnx__ModelProto model = ONNX__MODEL_PROTO__INIT;
    char producer[] = "mldyno", domain[] = "com.microsoft";
    model.has_ir_version = 1;
    model.ir_version = ir_version(e->params->opset);
    model.producer_name = producer;
    model.graph = &e->graph;
    model.opset_import = set_list;
    model.n_opset_import = 1;
    sets[0].has_version = 1;
    sets[0].version = e->params->opset;
    sets[1].has_version = 1;
    sets[1].version = 1;
    sets[1].domain = domain;
    for (size_t i = 0; i < e->graph.n_node; i++)
        if (mld_streq(e->graph.node[i]->domain, domain))
            model.n_opset_import = 2;
    size_t bytes = onnx__model_proto__get_packed_size(&model);
    void *out = mld_alloc(bytes > 0 ? bytes : 1);
    if (out == NULL)
        return mld_error_set(err, MLD_E_NO_MEMORY,
                             "out of memory encoding '%s' (%zu bytes)", e->g->name,
                             bytes);
    *n = onnx__model_proto__pack(&model, out);
    *data = out;
    return 0;
}

int mld_onnx_encode(const struct mld_graph *g, const struct mld_onnx_params *params,
                    void **data, size_t *n, struct mld_weight_layout *layout,
                    struct mld_error *err)
{
    *data = NULL;
    *n = 0;
    *layout = (struct mld_weight_layout){0};
    MLD_TRY(mld_graph_check(g, err));
    MLD_TRY(check_ops(g, err));
    struct encoder e = {.g = g, .params = params, .arena = g->arena};
    onnx__graph_proto__init(&e.graph);
    bool *renamed = reserve(&e) ? take(&e, g->value_count, sizeof(bool)) : NULL;
    if (renamed != NULL)
        fill_graph(&e, renamed);
    if (e.failed)
        return mld_error_set(err, MLD_E_NO_MEMORY, "out of memory encoding '%s'",
                             g->name);
    MLD_TRY(encode(&e, data, n, err));
    *layout = e.layout;
    return 0;
}
