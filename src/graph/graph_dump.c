/* graph_dump.c: a graph as text, stable enough to be compared as a golden.
 *
 * Computed values are numbered by the order of their nodes, so a dump does not change
 * when parameters or constants are declared in another order. */
#include "graph/op_rules.h"

#include "base/alloc.h"
#include "base/str.h"

#include <inttypes.h>
#include <string.h>

struct dump {
    const struct mld_graph *g;
    struct mld_str *out;
    uint32_t *number; /* by value id: 1 + its number when computed, 1 when introduced */
    bool *derived;    /* by value id: a parameter that a derived value is made of */
    uint32_t next;
};

static void add_type(struct mld_str *s, const struct mld_value *v)
{
    char text[MLD_TYPE_TEXT];
    mld_str_add(s, mld_type_text(text, v->dtype, &v->shape));
}

static void add_element(struct mld_str *s, const struct mld_value *v, int64_t i)
{
    switch (v->dtype) {
    case MLD_F32: {
        float x;
        memcpy(&x, (const char *)v->data + i * 4, 4);
        mld_str_addf(s, "%.9g", (double)x);
        break;
    }
    case MLD_I64: {
        int64_t x;
        memcpy(&x, (const char *)v->data + i * 8, 8);
        mld_str_addf(s, "%" PRId64, x);
        break;
    }
    case MLD_I32: {
        int32_t x;
        memcpy(&x, (const char *)v->data + i * 4, 4);
        mld_str_addf(s, "%" PRId32, x);
        break;
    }
    case MLD_F16:
    case MLD_BF16: {
        uint16_t x;
        memcpy(&x, (const char *)v->data + i * 2, 2);
        mld_str_addf(s, "0x%04x", x);
        break;
    }
    case MLD_I8:
    case MLD_U8:
    case MLD_BOOL:
    case MLD_I4:
    case MLD_U4:
    case MLD_DTYPE_COUNT:
    default:
        mld_str_addf(s, "0x%02x", ((const unsigned char *)v->data)[i]);
        break;
    }
}

/* Small constants in full, larger ones by type and hash. */
static void add_const(struct mld_str *s, const struct mld_value *v)
{
    int64_t count = mld_shape_count(&v->shape);
    if (v->shape.rank == 0) {
        add_element(s, v, 0);
        return;
    }
    if (v->shape.rank == 1 && count <= 8 && mld_dtype_bits(v->dtype) >= 8) {
        for (int64_t i = 0; i < count; i++) {
            mld_str_addc(s, i == 0 ? '[' : ',');
            add_element(s, v, i);
        }
        mld_str_addc(s, ']');
        return;
    }
    size_t bytes = mld_dtype_bytes(v->dtype, count);
    add_type(s, v);
    mld_str_addf(s, "#%016" PRIx64, mld_fnv1a64(MLD_FNV_BASIS, v->data, bytes));
}

static void add_value(struct dump *d, const struct mld_value *v)
{
    if (v == NULL)
        mld_str_addc(d->out, '-');
    else if (v->kind == MLD_VALUE_CONST)
        add_const(d->out, v);
    else if (v->kind == MLD_VALUE_COMPUTED)
        mld_str_addf(d->out, "%%%" PRIu32, d->number[v->id] - 1);
    else
        mld_str_add(d->out, v->name);
}

static void add_attr(struct mld_str *s, const struct mld_attr *a)
{
    mld_str_addf(s, "%s=", a->name);
    switch (a->type) {
    case MLD_ATTR_INT:
        mld_str_addf(s, "%" PRId64, a->i);
        break;
    case MLD_ATTR_FLOAT:
        mld_str_addf(s, "%.9g", a->f);
        break;
    case MLD_ATTR_STRING:
        mld_str_add(s, a->s);
        break;
    case MLD_ATTR_INTS:
        for (int i = 0; i < a->ints_count; i++)
            mld_str_addf(s, "%c%" PRId64, i == 0 ? '[' : ',', a->ints[i]);
        mld_str_add(s, a->ints_count == 0 ? "[]" : "]");
        break;
    }
}

/* Introduces a parameter or derived value before its first reader. */
static void introduce(struct dump *d, const struct mld_value *v)
{
    if (v == NULL || d->number[v->id] != 0 ||
        (v->kind != MLD_VALUE_PARAM && v->kind != MLD_VALUE_DERIVED))
        return;
    d->number[v->id] = 1;
    mld_str_addf(d->out, "%s %s : ",
                 v->kind == MLD_VALUE_DERIVED ? "derived"
                 : v->param->buffer           ? "buffer"
                                              : "param",
                 v->name);
    add_type(d->out, v);
    for (int i = 0; v->kind == MLD_VALUE_DERIVED && i < v->piece_count; i++) {
        const struct mld_piece *p = &v->pieces[i];
        const struct mld_value *source = mld_graph_find(d->g, p->param->name);
        if (source != NULL)
            d->derived[source->id] = true;
        if (i == 0)
            mld_str_addf(d->out, " = axis %d:", v->axis);
        mld_str_addf(d->out, " %s[%" PRId64 " at %" PRId64 " step ", p->param->name,
                     p->length, p->base);
        for (int k = 0; k < v->shape.rank; k++)
            mld_str_addf(d->out, "%s%" PRId64, k > 0 ? "," : "", p->stride[k]);
        mld_str_addc(d->out, ']');
        if (p->mul < 1 || p->mul > 1)
            mld_str_addf(d->out, "*%.9g", p->mul);
        if (p->add < 0 || p->add > 0)
            mld_str_addf(d->out, "%+.9g", p->add);
    }
    mld_str_addc(d->out, '\n');
}

static void add_node(struct dump *d, const struct mld_node *n)
{
    for (int i = 0; i < n->in_count; i++)
        introduce(d, n->in[i]);
    for (int i = 0; i < n->out_count; i++) {
        if (n->out[i] == NULL)
            continue;
        d->number[n->out[i]->id] = ++d->next;
    }
    for (int i = 0; i < n->out_count; i++) {
        mld_str_add(d->out, i > 0 ? ", " : "");
        add_value(d, n->out[i]);
    }
    mld_str_addf(d->out, " = %s(", mld_op_name(n->op));
    for (int i = 0; i < n->in_count; i++) {
        mld_str_add(d->out, i > 0 ? ", " : "");
        add_value(d, n->in[i]);
    }
    mld_str_addc(d->out, ')');
    for (int i = 0; i < n->attr_count; i++) {
        mld_str_add(d->out, i > 0 ? ", " : " {");
        add_attr(d->out, &n->attrs[i]);
    }
    mld_str_add(d->out, n->attr_count > 0 ? "} : " : " : ");
    bool first = true;
    for (int i = 0; i < n->out_count; i++) {
        if (n->out[i] == NULL)
            continue;
        mld_str_add(d->out, first ? "" : ", ");
        add_type(d->out, n->out[i]);
        first = false;
    }
    if (n->scope != NULL && n->scope[0] != '\0')
        mld_str_addf(d->out, "  # %s", n->scope);
    mld_str_addc(d->out, '\n');
}

static void add_input(struct dump *d, const struct mld_graph_input *in)
{
    mld_str_addf(d->out, "input %s : ", in->value->name);
    add_type(d->out, in->value);
    switch (in->fill) {
    case MLD_FILL_UNIFORM:
        mld_str_add(d->out, " uniform");
        break;
    case MLD_FILL_IDS:
        mld_str_addf(d->out, " ids %" PRId64 "..%" PRId64, in->low, in->high - 1);
        break;
    case MLD_FILL_ONES:
        mld_str_add(d->out, " ones");
        break;
    case MLD_FILL_ZEROS:
        mld_str_add(d->out, " zeros");
        break;
    case MLD_FILL_VALUE:
        mld_str_addf(d->out, " value %" PRId64, in->low);
        break;
    }
    if (in->state_output >= 0)
        mld_str_addf(d->out, " updated by %s", d->g->outputs[in->state_output].name);
    mld_str_addc(d->out, '\n');
}

void mld_graph_dump(const struct mld_graph *g, struct mld_str *out)
{
    struct dump d = {.g = g, .out = out};
    d.number = mld_calloc(g->value_count + 1, sizeof(*d.number));
    d.derived = mld_calloc(g->value_count + 1, sizeof(*d.derived));
    if (d.number == NULL || d.derived == NULL) {
        out->failed = true;
        mld_free(d.number);
        mld_free(d.derived);
        return;
    }
    mld_str_addf(out, "graph %s: %zu parameters of %" PRId64 " values, %zu nodes\n",
                 g->name, g->param_count, mld_graph_param_values(g), g->node_count);
    for (size_t i = 0; i < g->input_count; i++)
        add_input(&d, &g->inputs[i]);
    for (size_t i = 0; i < g->node_count; i++)
        add_node(&d, g->nodes[i]);
    for (size_t i = 0; i < g->output_count; i++)
        introduce(&d, g->outputs[i].value);
    for (size_t i = 0; i < g->output_count; i++) {
        mld_str_addf(out, "output %s = ", g->outputs[i].name);
        add_value(&d, g->outputs[i].value);
        mld_str_addc(out, '\n');
    }
    for (size_t i = 0; i < g->value_count; i++) {
        const struct mld_value *v = g->values[i];
        if (v->kind == MLD_VALUE_PARAM && d.number[v->id] == 0 && !d.derived[v->id]) {
            mld_str_addf(out, "unread %s : ", v->name);
            add_type(out, v);
            mld_str_addc(out, '\n');
        }
    }
    for (size_t i = 0; i < g->alias_count; i++)
        mld_str_addf(out, "tied %s = %s\n", g->aliases[i].name, g->aliases[i].target);
    mld_free(d.number);
    mld_free(d.derived);
}
