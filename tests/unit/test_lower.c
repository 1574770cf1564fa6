/* test_lower.c: lowering: every operator has a way, merges happen only where they may,
 * folded views read the right numbers, costs stay. */
#include "graph_sample.h"
#include "kit/kit.h"

#include "base/str.h"
#include "graph/lower.h"
#include "graph/op_rules.h"

#include <math.h>
#include <string.h>

static struct mld_arena arena;
static struct mld_graph *g;
static const struct mld_target forms[] = {{.fused_ort = true, .opset = MLD_OPSET_ORT},
                                          {.fused_ort = true, .opset = 18},
                                          {.fused_ort = false, .opset = 18},
                                          {.fused_ort = false, .opset = 24}};
#define FORM_COUNT (sizeof(forms) / sizeof(forms[0]))

static void fresh(void)
{
    g = mld_graph_new(&arena, "test");
    KIT_CHECK(g != NULL);
}

static mld_v input(const char *name, struct mld_shape s)
{
    return mld_graph_input(g, name, MLD_F32, s, MLD_FILL_UNIFORM, 0, 0);
}

static mld_v param(const char *name, struct mld_shape s)
{
    return mld_graph_param(g, name, s);
}

/* Lowers g, and checks what holds for every lowered graph. */
static struct mld_graph *lower(const struct mld_target *target)
{
    struct mld_graph *low;
    KIT_OK(mld_graph_verify(g, &kit_err));
    size_t nodes = g->node_count;
    KIT_OK(mld_lower(g, target, &arena, &low, &kit_err));
    KIT_EQ_INT(g->node_count, nodes);
    KIT_OK(mld_graph_verify(low, &kit_err));
    for (size_t i = 0; i < low->node_count; i++) {
        const struct mld_op_row *row = mld_op_row(low->nodes[i]->op);
        KIT_CHECK(row->onnx != NULL);
        KIT_CHECK(target->fused_ort || row->tier == MLD_TIER_PRIMITIVE);
    }
    KIT_EQ_INT(low->param_count, g->param_count);
    KIT_EQ_INT(low->input_count, g->input_count);
    KIT_EQ_INT(low->output_count, g->output_count);
    for (size_t i = 0; i < g->output_count; i++) {
        KIT_EQ_STR(low->outputs[i].name, g->outputs[i].name);
        KIT_CHECK(
            mld_shape_eq(&low->outputs[i].value->shape, &g->outputs[i].value->shape));
    }
    return low;
}

static int count_op(const struct mld_graph *low, enum mld_op op)
{
    int n = 0;
    for (size_t i = 0; i < low->node_count; i++)
        n += low->nodes[i]->op == op;
    return n;
}

/* --- every semantic operator ------------------------------------------------------- */

static mld_v build_linear(void)
{
    return sample_linear(g, input("x", MLD_SHAPE(2, 3, 4)), "fc", 5);
}

static mld_v build_linear_in_out(void)
{
    return mld_linear_in_out(g, input("x", MLD_SHAPE(2, 3, 4)),
                             param("w", MLD_SHAPE(4, 5)), NULL);
}

static mld_v build_attention(void)
{
    const struct mld_attention p = {.heads = 4, .kv_heads = 2, .causal = true};
    mld_v q = input("q", MLD_SHAPE(2, 3, 32)), k = input("k", MLD_SHAPE(2, 3, 16));
    return mld_attention(g, q, k, input("v", MLD_SHAPE(2, 3, 16)), &p);
}

static mld_v build_rotary(void)
{
    mld_v x = input("x", MLD_SHAPE(2, 3, 16)), c = input("c", MLD_SHAPE(3, 2));
    return mld_rotary(g, x, c, input("s", MLD_SHAPE(3, 2)), 2, 4, false);
}

static mld_v build_rms_norm(void)
{
    return mld_rms_norm(g, input("x", MLD_SHAPE(2, 3, 4)), param("w", MLD_SHAPE(4)),
                        1e-6);
}

static mld_v build_gelu(void)
{
    return mld_gelu(g, input("x", MLD_SHAPE(2, 3)));
}

static mld_v build_gelu_tanh(void)
{
    return mld_gelu_tanh(g, input("x", MLD_SHAPE(2, 3)));
}

static mld_v build_quick_gelu(void)
{
    return mld_quick_gelu(g, input("x", MLD_SHAPE(2, 3)));
}

static mld_v build_silu(void)
{
    return mld_silu(g, input("x", MLD_SHAPE(2, 3)));
}

static const struct {
    enum mld_op op;
    mld_v (*build)(void);
} semantic[] = {
    {MLD_OP_LINEAR, build_linear},       {MLD_OP_LINEAR_IN_OUT, build_linear_in_out},
    {MLD_OP_ATTENTION, build_attention}, {MLD_OP_ROTARY, build_rotary},
    {MLD_OP_RMS_NORM, build_rms_norm},   {MLD_OP_GELU, build_gelu},
    {MLD_OP_GELU_TANH, build_gelu_tanh}, {MLD_OP_QUICK_GELU, build_quick_gelu},
    {MLD_OP_SILU, build_silu},
};

/* Each row has an ONNX form or a way to one: a new semantic row fails here until it has.
 */
MLD_TEST(lower__every_semantic_operator_has_a_form)
{
    for (int op = 0; op < MLD_OP_COUNT; op++) {
        if (mld_op_row((enum mld_op)op)->onnx != NULL)
            continue;
        size_t k = 0;
        while (k < sizeof(semantic) / sizeof(semantic[0]) &&
               semantic[k].op != (enum mld_op)op)
            k++;
        if (k == sizeof(semantic) / sizeof(semantic[0]))
            KIT_FAIL("no lowering of '%s' is tried", mld_op_name((enum mld_op)op));
        for (size_t f = 0; f < FORM_COUNT; f++) {
            fresh();
            mld_v y = semantic[k].build();
            KIT_CHECK(y != NULL);
            KIT_EQ_INT(y->node->op, op);
            mld_graph_output(g, "y", y);
            (void)lower(&forms[f]);
        }
    }
}

MLD_TEST(lower__products_cost_the_same)
{
    for (size_t f = 0; f < FORM_COUNT; f++) {
        g = sample_encoder(&arena);
        struct mld_cost a = mld_graph_cost(g), b = mld_graph_cost(lower(&forms[f]));
        KIT_NEAR(a.matmul_flops, b.matmul_flops, 0);
        fresh();
        mld_graph_output(g, "y", build_attention());
        a = mld_graph_cost(g);
        b = mld_graph_cost(lower(&forms[f]));
        KIT_NEAR(a.matmul_flops, b.matmul_flops, 0);
    }
}

MLD_TEST(lower__opset_is_checked)
{
    struct mld_graph *low;
    const struct mld_target old = {.opset = 17}, future = {.opset = 25};
    g = sample_encoder(&arena);
    KIT_FAILS(mld_lower(g, &old, &arena, &low, &kit_err), MLD_E_UNSUPPORTED);
    KIT_CONTAINS(kit_err.message, "opset 17 is not in 18 to 24");
    KIT_FAILS(mld_lower(g, &future, &arena, &low, &kit_err), MLD_E_UNSUPPORTED);
}

MLD_TEST(lower__a_fault_of_the_source_comes_through)
{
    struct mld_graph *low;
    fresh();
    (void)mld_add(g, input("x", MLD_SHAPE(2)), NULL);
    KIT_FAILS(mld_lower(g, &forms[0], &arena, &low, &kit_err), MLD_E_INVALID);
    KIT_CONTAINS(kit_err.message, "add: operand 1 is missing");
    KIT_CHECK(low == NULL);
}

/* --- merges ------------------------------------------------------------------------ */

/* The encoder: attention takes three products in, residual adds go into theirs. */
MLD_TEST(lower__encoder_for_onnx_runtime)
{
    g = sample_encoder(&arena);
    struct mld_graph *low = lower(&forms[0]);
    KIT_EQ_INT(count_op(low, MLD_OP_ORT_ATTENTION), 1);
    KIT_EQ_INT(count_op(low, MLD_OP_GEMM), 3);
    KIT_EQ_INT(count_op(low, MLD_OP_MATMUL), 0);
    KIT_EQ_INT(count_op(low, MLD_OP_ADD),
               3); /* embeddings, and a bias onto each residual */
    KIT_EQ_INT(count_op(low, MLD_OP_ORT_GELU), 1);
    KIT_EQ_INT(count_op(low, MLD_OP_GATHER), 1); /* positions became a derived value */
}

/* A key that is read elsewhere too stays a product of its own. */
MLD_TEST(lower__shared_projection_is_not_packed)
{
    fresh();
    const struct mld_attention p = {.heads = 2};
    mld_v x = input("x", MLD_SHAPE(2, 3, 8));
    mld_v q = sample_linear(g, x, "q", 8), k = sample_linear(g, x, "k", 8);
    mld_v v = sample_linear(g, x, "v", 8);
    mld_graph_output(g, "y", mld_attention(g, q, k, v, &p));
    mld_graph_output(g, "key", k);
    struct mld_graph *low = lower(&forms[0]);
    KIT_EQ_INT(count_op(low, MLD_OP_ORT_ATTENTION), 0);
    KIT_EQ_INT(count_op(low, MLD_OP_ORT_MULTI_HEAD), 1);
    KIT_EQ_INT(count_op(low, MLD_OP_GEMM), 3);
}

/* One product and a split, as GPT-2 has it: its weight goes in as it is. */
MLD_TEST(lower__split_projection_is_packed)
{
    fresh();
    const struct mld_attention p = {.heads = 2, .causal = true};
    mld_v x = input("x", MLD_SHAPE(2, 3, 8)), part[3];
    mld_v all = mld_linear_in_out(g, x, param("c_attn.weight", MLD_SHAPE(8, 24)),
                                  param("c_attn.bias", MLD_SHAPE(24)));
    mld_split(g, all, -1, (const int64_t[]){8, 8, 8}, 3, part);
    mld_graph_output(g, "y", mld_attention(g, part[0], part[1], part[2], &p));
    struct mld_graph *low = lower(&forms[0]);
    KIT_EQ_INT(low->node_count, 1);
    const struct mld_node *n = low->nodes[0];
    KIT_EQ_INT(n->op, MLD_OP_ORT_ATTENTION);
    KIT_EQ_STR(n->in[1]->name, "c_attn.weight");
    KIT_EQ_INT(mld_node_int(n, "unidirectional", 0), 1);
}

/* A scaling before the product goes into that product or into none. */
MLD_TEST(lower__scaled_split_projection_keeps_its_input)
{
    fresh();
    const struct mld_attention p = {.heads = 2};
    mld_v x = mld_scale(g, input("x", MLD_SHAPE(2, 3, 8)), 0.5), part[3];
    mld_v all = mld_linear_in_out(g, x, param("c_attn.weight", MLD_SHAPE(8, 24)), NULL);
    mld_split(g, all, -1, (const int64_t[]){8, 8, 8}, 3, part);
    mld_graph_output(g, "y", mld_attention(g, part[0], part[1], part[2], &p));
    struct mld_graph *low = lower(&forms[0]);
    KIT_EQ_INT(count_op(low, MLD_OP_ORT_ATTENTION), 1);
    KIT_EQ_INT(count_op(low, MLD_OP_MUL), 1);
}

/* Keys masked by order and by a mask get one penalty, never two. */
MLD_TEST(lower__causal_order_and_key_mask_are_one)
{
    fresh();
    mld_v x = input("x", MLD_SHAPE(2, 3, 8));
    const struct mld_attention p = {
        .heads = 2,
        .causal = true,
        .key_mask =
            mld_graph_input(g, "mask", MLD_I64, MLD_SHAPE(2, 3), MLD_FILL_ONES, 0, 0)};
    mld_graph_output(g, "y", mld_attention(g, x, x, x, &p));
    struct mld_graph *low = lower(&forms[0]);
    const struct mld_node *n = low->outputs[0].value->node;
    KIT_EQ_INT(n->op, MLD_OP_ORT_MULTI_HEAD);
    KIT_CHECK(n->in_count == 6 && n->in[4] == NULL && n->in[5] != NULL);
    KIT_EQ_INT(mld_node_int(n, "unidirectional", 0), 0);
}

/* The order of a long input is not stored. */
MLD_TEST(lower__long_orders_are_computed)
{
    for (size_t f = 0; f < FORM_COUNT; f++) {
        fresh();
        mld_v x = input("x", MLD_SHAPE(1, 4096, 8));
        const struct mld_attention p = {.heads = 1, .causal = true, .window = 7};
        mld_graph_output(g, "y", mld_attention(g, x, x, x, &p));
        struct mld_graph *low = lower(&forms[f]);
        for (size_t i = 0; i < low->value_count; i++)
            if (low->values[i]->kind == MLD_VALUE_CONST)
                KIT_CHECK(mld_shape_count(&low->values[i]->shape) <= 4096);
    }
}

/* A linear that two nodes read is not merged into either. */
MLD_TEST(lower__residual_takes_only_its_own_product)
{
    fresh();
    mld_v x = input("x", MLD_SHAPE(2, 3, 8));
    mld_v y = sample_linear(g, x, "fc", 8);
    mld_graph_output(g, "sum", mld_add(g, x, y));
    mld_graph_output(g, "y", y);
    struct mld_graph *low = lower(&forms[0]);
    KIT_EQ_INT(count_op(low, MLD_OP_GEMM), 1);
    KIT_EQ_INT(count_op(low, MLD_OP_ADD), 1);
    fresh();
    x = input("x", MLD_SHAPE(2, 3, 8));
    mld_graph_output(g, "sum", mld_add(g, x, sample_linear(g, x, "fc", 8)));
    low = lower(&forms[0]);
    const struct mld_node *n = low->nodes[low->node_count - 2];
    KIT_EQ_INT(n->op, MLD_OP_GEMM);
    KIT_CHECK(n->in_count == 3 && n->in[2]->node != NULL);
}

/* A head tied to the embedding: no second copy of the table in the file. */
MLD_TEST(lower__tied_weight_is_stored_once)
{
    for (size_t f = 0; f < FORM_COUNT; f++) {
        fresh();
        mld_v ids =
            mld_graph_input(g, "ids", MLD_I64, MLD_SHAPE(2, 3), MLD_FILL_IDS, 0, 9);
        mld_v w = param("words", MLD_SHAPE(9, 4));
        mld_v x = mld_scale(g, mld_embedding(g, w, ids), 0.5);
        mld_graph_output(g, "logits", mld_linear(g, x, w, NULL));
        struct mld_graph *low = lower(&forms[f]);
        for (size_t i = 0; i < low->value_count; i++)
            KIT_CHECK(low->values[i]->kind != MLD_VALUE_DERIVED);
        if (forms[f].fused_ort) { /* the scaling went into the product */
            KIT_EQ_INT(count_op(low, MLD_OP_MUL), 0);
            const struct mld_value *y = low->outputs[0].value->node->in[0];
            KIT_NEAR(mld_node_float(y->node, "alpha", 1), 0.5, 0);
        }
    }
}

/* Layers that share their weights: packed and turned once, for all. */
MLD_TEST(lower__shared_layers_share_what_is_derived)
{
    fresh();
    const struct mld_attention p = {.heads = 2};
    mld_v x = input("x", MLD_SHAPE(2, 3, 8));
    for (int i = 0; i < 3; i++) {
        mld_v q = sample_linear(g, x, "q", 8), k = sample_linear(g, x, "k", 8);
        mld_v y = mld_attention(g, q, k, sample_linear(g, x, "v", 8), &p);
        x = mld_relu(g, sample_linear(g, y, "out", 8));
    }
    mld_graph_output(g, "y", x);
    struct mld_graph *low = lower(&forms[0]);
    int derived = 0;
    for (size_t i = 0; i < low->value_count; i++)
        derived += low->values[i]->kind == MLD_VALUE_DERIVED;
    KIT_EQ_INT(derived, 3); /* packed weight, packed bias, turned weight */
    KIT_EQ_INT(count_op(low, MLD_OP_ORT_ATTENTION), 3);
}

/* What nothing reads is left out; constants, masks and equal nodes are made once. */
MLD_TEST(lower__dead_nodes_go_equal_nodes_merge)
{
    struct mld_graph *low;
    fresh();
    mld_v x = input("x", MLD_SHAPE(4));
    mld_graph_output(g, "y", mld_mul(g, mld_exp(g, x), mld_exp(g, x)));
    (void)mld_sqrt(g, x);
    KIT_OK(mld_lower(g, &forms[2], &arena, &low, &kit_err));
    KIT_EQ_INT(count_op(low, MLD_OP_SQRT), 0);
    KIT_EQ_INT(count_op(low, MLD_OP_EXP), 1);
}

/* --- derived values ---------------------------------------------------------------- */

/* Element i of a derived value, where element k of parameter p is 1000 p.id + k. */
static double derived_at(const struct mld_graph *low, const struct mld_value *v,
                         int64_t i)
{
    int64_t c[MLD_MAX_RANK];
    for (int d = v->shape.rank - 1; d >= 0; d--) {
        c[d] = i % v->shape.d[d];
        i /= v->shape.d[d];
    }
    const struct mld_piece *p = v->pieces;
    while (c[v->axis] >= p->length)
        c[v->axis] -= p++->length;
    int64_t at = p->base;
    for (int d = 0; d < v->shape.rank; d++)
        at += c[d] * p->stride[d];
    const struct mld_value *source = mld_graph_find(low, p->param->name);
    return p->mul * (1000.0 * source->id + (double)at) + p->add;
}

static const struct mld_value *only_derived(const struct mld_graph *low)
{
    const struct mld_value *found = NULL;
    for (size_t i = 0; i < low->value_count; i++)
        if (low->values[i]->kind == MLD_VALUE_DERIVED &&
            low->outputs[0].value->kind == MLD_VALUE_DERIVED)
            found = low->outputs[0].value;
    KIT_CHECK(found != NULL);
    return found;
}

/* rows 3, 1 counted back, two columns cut, turned, reshaped: all one view. */
MLD_TEST(lower__chains_of_views_fold)
{
    fresh();
    mld_v w = param("w", MLD_SHAPE(6, 4));
    mld_v x = mld_embedding(g, w, mld_graph_const_i64(g, 2, (const int64_t[]){3, 1}));
    x = mld_slice(g, x, 1, 1, 3);                    /* [2, 2] */
    x = mld_transpose(g, x, 2, (const int[]){1, 0}); /* columns first */
    x = mld_expand(g, x, MLD_SHAPE(2, 2, 2));        /* a batch of two */
    mld_graph_output(g, "y", x);
    struct mld_graph *low = lower(&forms[0]);
    KIT_EQ_INT(low->node_count, 0);
    const struct mld_value *v = only_derived(low);
    double id = mld_graph_find(low, "w")->id;
    const double want[8] = {13, 5, 14, 6, 13, 5, 14, 6}; /* 3*4+1, 1*4+1, 3*4+2, 1*4+2 */
    for (int64_t i = 0; i < 8; i++)
        KIT_NEAR(derived_at(low, v, i), 1000 * id + want[i], 0);
}

/* A table is not blown up, and rows without an order stay a gather. */
MLD_TEST(lower__large_expansions_and_scattered_rows_stay)
{
    fresh();
    mld_v w = param("w", MLD_SHAPE(1, 1024));
    mld_graph_output(g, "y", mld_expand(g, w, MLD_SHAPE(1024, 1024)));
    KIT_EQ_INT(lower(&forms[0])->node_count, 1);
    fresh();
    w = param("w", MLD_SHAPE(9, 4));
    mld_graph_output(
        g, "y",
        mld_embedding(g, w, mld_graph_const_i64(g, 3, (const int64_t[]){0, 1, 5})));
    KIT_EQ_INT(lower(&forms[0])->node_count, 1);
}

MLD_TEST(lower__packed_weights_hold_all_three)
{
    fresh();
    const struct mld_attention p = {.heads = 1};
    mld_v x = input("x", MLD_SHAPE(1, 2, 2));
    mld_v q = sample_linear(g, x, "q", 2);
    mld_v k = mld_linear(g, x, param("k.weight", MLD_SHAPE(2, 2)), NULL); /* no bias */
    mld_v v = sample_linear(g, x, "v", 2);
    mld_graph_output(g, "y", mld_attention(g, q, k, v, &p));
    struct mld_graph *low = lower(&forms[0]);
    const struct mld_node *n = low->nodes[0];
    KIT_EQ_INT(n->op, MLD_OP_ORT_ATTENTION);
    double qw = mld_graph_find(low, "q.weight")->id * 1000.0;
    double kw = mld_graph_find(low, "k.weight")->id * 1000.0;
    double vb = mld_graph_find(low, "v.bias")->id * 1000.0;
    /* [in, 3 out]: row i holds column i of each weight */
    KIT_NEAR(derived_at(low, n->in[1], 0), qw, 0);
    KIT_NEAR(derived_at(low, n->in[1], 1), qw + 2, 0);
    KIT_NEAR(derived_at(low, n->in[1], 6), qw + 1, 0);
    KIT_NEAR(derived_at(low, n->in[1], 9), kw + 3, 0);
    KIT_NEAR(derived_at(low, n->in[2], 2), 0, 0); /* the key's missing bias */
    KIT_NEAR(derived_at(low, n->in[2], 5), vb + 1, 0);
}

/* --- cache ------------------------------------------------------------------------- */

static struct mld_graph *cached(const struct mld_target *target, int64_t fresh_tokens,
                                enum mld_fill fill)
{
    fresh();
    mld_v x = input("x", MLD_SHAPE(2, fresh_tokens, 16));
    struct mld_attention p = {.heads = 2};
    p.past_k = input("past_k", MLD_SHAPE(2, 2, 9, 8));
    p.past_v = input("past_v", MLD_SHAPE(2, 2, 9, 8));
    p.past_length = mld_graph_input(g, "past_length", MLD_I32, MLD_SHAPE(2), fill, 5, 0);
    mld_v y = mld_attention(g, x, x, x, &p);
    mld_graph_output(g, "y", y);
    mld_graph_output(g, "new_k", mld_node_output(y, 1));
    mld_graph_output(g, "new_v", mld_node_output(y, 2));
    mld_graph_state(g, "past_k", "new_k");
    mld_graph_state(g, "past_v", "new_v");
    return lower(target);
}

MLD_TEST(lower__cache_keeps_its_ties)
{
    for (size_t f = 0; f < FORM_COUNT; f++) {
        struct mld_graph *low = cached(&forms[f], 1, MLD_FILL_VALUE);
        KIT_EQ_INT(low->inputs[1].state_output, 1);
        KIT_EQ_INT(low->inputs[2].state_output, 2);
        KIT_EQ_INT(low->inputs[3].state_output, -1);
        KIT_EQ_INT(count_op(low, MLD_OP_ORT_GROUP_QUERY), forms[f].fused_ort);
        KIT_EQ_INT(count_op(low, MLD_OP_SCATTER_ND), forms[f].fused_ort ? 0 : 2);
    }
}

/* The engine's operator takes several new tokens only into an empty cache. */
MLD_TEST(lower__several_tokens_onto_a_past_take_the_plain_form)
{
    KIT_EQ_INT(count_op(cached(&forms[0], 4, MLD_FILL_ZEROS), MLD_OP_ORT_GROUP_QUERY), 1);
    KIT_EQ_INT(count_op(cached(&forms[0], 4, MLD_FILL_VALUE), MLD_OP_ORT_GROUP_QUERY), 0);
}

/* --- no memory --------------------------------------------------------------------- */

static int lower_once(void *ctx)
{
    const struct mld_graph *source = ctx;
    struct mld_arena a = {0};
    struct mld_graph *low;
    struct mld_error err = {0};
    int rc = mld_lower(source, &forms[0], &a, &low, &err);
    mld_graph_release(low);
    mld_arena_release(&a);
    return rc;
}

MLD_TEST(lower__every_allocation_may_fail)
{
    KIT_CHECK(kit_torture(lower_once, sample_encoder(&arena)) > 10);
}
