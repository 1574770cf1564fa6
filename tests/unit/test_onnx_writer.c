/* test_onnx_writer.c: what is encoded reads back: nodes, types, weights and their layout.
 */
#include "graph_sample.h"
#include "kit/kit.h"

#include "base/alloc.h"
#include "base/str.h"
#include "graph/lower.h"
#include "graph/onnx_writer.h"

#include "onnx/onnx.pb-c.h"

#include <stdio.h>
#include <string.h>

static struct mld_arena arena;
static const struct mld_onnx_params params = {.opset = 23, .external_name = "w.bin"};

struct encoded {
    void *data;
    size_t n;
    struct mld_weight_layout layout;
    Onnx__ModelProto *model;
};

static struct encoded encode(const struct mld_graph *g)
{
    struct encoded e = {0};
    KIT_OK(mld_onnx_encode(g, &params, &e.data, &e.n, &e.layout, &kit_err));
    e.model = onnx__model_proto__unpack(NULL, e.n, e.data);
    KIT_CHECK(e.model != NULL);
    return e;
}

static void encoded_release(struct encoded *e)
{
    onnx__model_proto__free_unpacked(e->model, NULL);
    mld_free(e->data);
}

static struct mld_graph *lowered(bool fused)
{
    const struct mld_target target = {.fused_ort = fused, .opset = 23};
    struct mld_graph *g;
    KIT_OK(mld_lower(sample_encoder(&arena), &target, &arena, &g, &kit_err));
    return g;
}

static const Onnx__TensorProto *tensor(const struct encoded *e, const char *name)
{
    for (size_t i = 0; i < e->model->graph->n_initializer; i++)
        if (mld_streq(e->model->graph->initializer[i]->name, name))
            return e->model->graph->initializer[i];
    KIT_FAIL("no initializer '%s'", name);
}

static const char *external(const Onnx__TensorProto *t, const char *key)
{
    for (size_t i = 0; i < t->n_external_data; i++)
        if (mld_streq(t->external_data[i]->key, key))
            return t->external_data[i]->value;
    KIT_FAIL("'%s' has no external '%s'", t->name, key);
}

MLD_TEST(onnx__model_reads_back)
{
    struct mld_graph *g = lowered(true);
    struct encoded e = encode(g);
    const Onnx__GraphProto *p = e.model->graph;
    KIT_EQ_INT(e.model->ir_version, 11);
    KIT_EQ_STR(e.model->producer_name, "mldyno");
    KIT_EQ_INT(e.model->n_opset_import, 2);
    KIT_EQ_INT(e.model->opset_import[0]->version, 23);
    KIT_EQ_STR(e.model->opset_import[1]->domain, "com.microsoft");
    KIT_EQ_INT(p->n_node, g->node_count);
    KIT_EQ_INT(p->n_input, 2);
    KIT_EQ_STR(p->input[0]->name, "input_ids");
    KIT_EQ_INT(p->input[0]->type->tensor_type->elem_type, mld_dtype_onnx(MLD_I64));
    KIT_EQ_INT(p->n_output, 1);
    KIT_EQ_STR(p->output[0]->name, "last_hidden_state");
    const Onnx__TensorShapeProto *s = p->output[0]->type->tensor_type->shape;
    KIT_EQ_INT(s->n_dim, 3);
    KIT_EQ_INT(s->dim[2]->dim_value, 8);
    encoded_release(&e);
}

/* Every result of every node has its type in the file. */
MLD_TEST(onnx__every_value_is_typed)
{
    for (int fused = 0; fused < 2; fused++) {
        struct encoded e = encode(lowered(fused != 0));
        const Onnx__GraphProto *p = e.model->graph;
        for (size_t i = 0; i < p->n_node; i++)
            for (size_t k = 0; k < p->node[i]->n_output; k++) {
                const char *name = p->node[i]->output[k];
                bool found = name[0] == '\0';
                for (size_t v = 0; v < p->n_value_info; v++)
                    found = found || mld_streq(p->value_info[v]->name, name);
                for (size_t v = 0; v < p->n_output; v++)
                    found = found || mld_streq(p->output[v]->name, name);
                if (!found)
                    KIT_FAIL("'%s' of %s has no type", name, p->node[i]->op_type);
            }
        encoded_release(&e);
    }
}

MLD_TEST(onnx__weights_lie_apart_and_aligned)
{
    struct mld_graph *g = lowered(true);
    struct encoded e = encode(g);
    uint64_t end = 0;
    KIT_CHECK(e.layout.count > 10);
    for (size_t i = 0; i < e.layout.count; i++) {
        const struct mld_weight_slot *slot = &e.layout.slots[i];
        KIT_EQ_U64(slot->offset % 4096, 0);
        KIT_CHECK(slot->offset >= end);
        KIT_EQ_U64(slot->bytes, 4 * (uint64_t)mld_shape_count(&slot->value->shape));
        end = slot->offset + slot->bytes;
        const Onnx__TensorProto *t = tensor(&e, slot->value->name);
        char text[24];
        snprintf(text, sizeof(text), "%llu", (unsigned long long)slot->offset);
        KIT_EQ_STR(external(t, "offset"), text);
        snprintf(text, sizeof(text), "%llu", (unsigned long long)slot->bytes);
        KIT_EQ_STR(external(t, "length"), text);
        KIT_EQ_STR(external(t, "location"), "w.bin");
        KIT_EQ_INT(t->n_dims, slot->value->shape.rank);
    }
    KIT_EQ_U64(e.layout.total_bytes, end);
    encoded_release(&e);
}

MLD_TEST(onnx__small_constants_stay_inside_large_ones_do_not)
{
    struct mld_graph *g = mld_graph_new(&arena, "g");
    float big[300];
    for (int i = 0; i < 300; i++)
        big[i] = (float)i;
    mld_v x = mld_graph_input(g, "x", MLD_F32, MLD_SHAPE(300), MLD_FILL_UNIFORM, 0, 0);
    x = mld_add(g, x, mld_graph_const(g, MLD_F32, MLD_SHAPE(300), big));
    mld_graph_output(g, "y", mld_scale(g, x, 0.25));
    struct encoded e = encode(g);
    KIT_EQ_INT(e.layout.count, 1);
    KIT_EQ_U64(e.layout.total_bytes, 1200);
    const Onnx__TensorProto *t = tensor(&e, "c1");
    float quarter = 0.25f;
    KIT_EQ_INT(t->raw_data.len, 4);
    KIT_EQ_MEM(t->raw_data.data, &quarter, 4);
    KIT_EQ_INT(tensor(&e, "c0")->n_external_data, 3);
    encoded_release(&e);
}

/* One value under two names, an input and a parameter handed out: copies. */
MLD_TEST(onnx__outputs_that_are_no_fresh_results)
{
    struct mld_graph *g = mld_graph_new(&arena, "g");
    mld_v x = mld_graph_input(g, "x", MLD_F32, MLD_SHAPE(4), MLD_FILL_UNIFORM, 0, 0);
    mld_v y = mld_relu(g, x);
    mld_graph_output(g, "a", y);
    mld_graph_output(g, "b", y);
    mld_graph_output(g, "same", x);
    mld_graph_output(g, "weight", mld_graph_param(g, "w", MLD_SHAPE(4)));
    struct encoded e = encode(g);
    const Onnx__GraphProto *p = e.model->graph;
    KIT_EQ_INT(p->n_node, 4);
    for (size_t i = 1; i < 4; i++) {
        KIT_EQ_STR(p->node[i]->op_type, "Identity");
        KIT_EQ_STR(p->node[i]->output[0], p->output[i]->name);
    }
    KIT_EQ_STR(p->node[1]->input[0], "a");
    KIT_EQ_STR(p->node[2]->input[0], "x");
    KIT_EQ_STR(p->node[3]->input[0], "w");
    KIT_EQ_INT(e.model->n_opset_import, 1);
    encoded_release(&e);
}

MLD_TEST(onnx__attributes_and_missing_operands)
{
    struct mld_graph *g = mld_graph_new(&arena, "g");
    mld_v x = mld_graph_input(g, "x", MLD_F32, MLD_SHAPE(2, 4), MLD_FILL_UNIFORM, 0, 0);
    struct mld_value *in[4] = {x, x, NULL, NULL};
    const int64_t list[2] = {5, -6};
    const struct mld_attr attrs[] = {
        MLD_INT("transB", 1),      MLD_FLOAT("alpha", 0.5), MLD_STRING("note", "hello"),
        MLD_INTS("list", list, 2), MLD_INT("_hidden", 1),   MLD_ATTR_END};
    mld_graph_output(g, "y", mld_graph_node(g, MLD_OP_GEMM, in, 3, attrs));
    struct encoded e = encode(g);
    const Onnx__NodeProto *n = e.model->graph->node[0];
    KIT_EQ_INT(n->n_input, 2);
    KIT_EQ_INT(n->n_attribute, 4);
    KIT_EQ_INT(n->attribute[0]->i, 1);
    KIT_NEAR(n->attribute[1]->f, 0.5, 0);
    KIT_EQ_MEM(n->attribute[2]->s.data, "hello", 5);
    KIT_EQ_INT(n->attribute[3]->n_ints, 2);
    KIT_EQ_INT(n->attribute[3]->ints[1], -6);
    encoded_release(&e);
}

MLD_TEST(onnx__semantic_graph_is_refused)
{
    void *data;
    size_t n;
    struct mld_weight_layout layout;
    KIT_FAILS(
        mld_onnx_encode(sample_encoder(&arena), &params, &data, &n, &layout, &kit_err),
        MLD_E_UNSUPPORTED);
    KIT_CONTAINS(kit_err.message, "operator 'linear' has no ONNX form: lower it first");
    KIT_CHECK(data == NULL);
}

MLD_TEST(onnx__same_graph_same_bytes)
{
    struct encoded a = encode(lowered(true)), b = encode(lowered(true));
    KIT_EQ_INT(a.n, b.n);
    KIT_EQ_MEM(a.data, b.data, a.n);
    encoded_release(&a);
    encoded_release(&b);
}

static int encode_once(void *ctx)
{
    struct mld_arena a = {0};
    struct mld_graph *g = mld_graph_new(&a, "small");
    struct mld_error err = {0};
    struct mld_weight_layout layout;
    void *data = NULL;
    size_t n = 0;
    (void)ctx;
    if (g != NULL) {
        mld_v x = mld_graph_input(g, "x", MLD_F32, MLD_SHAPE(4), MLD_FILL_UNIFORM, 0, 0);
        mld_graph_output(g, "y", mld_mul(g, x, mld_graph_param(g, "w", MLD_SHAPE(4))));
    }
    int rc = mld_graph_check(g, &err);
    if (rc == 0)
        rc = mld_onnx_encode(g, &params, &data, &n, &layout, &err);
    mld_free(data);
    mld_graph_release(g);
    mld_arena_release(&a);
    return rc;
}

MLD_TEST(onnx__every_allocation_may_fail)
{
    KIT_CHECK(kit_torture(encode_once, NULL) > 4);
}
