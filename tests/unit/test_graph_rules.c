/* test_graph_rules.c: the operator table: shape rules, costs, and that each row is whole.
 */
#include "graph_sample.h"
#include "kit/kit.h"

#include "graph/op_rules.h"

#include <stdio.h>
#include <string.h>

static struct mld_arena arena;
static struct mld_graph *g;

static void fresh(void)
{
    g = mld_graph_new(&arena, "test");
    KIT_CHECK(g != NULL);
}

static mld_v in_of(enum mld_dtype dtype, struct mld_shape s)
{
    static int made;
    char name[16];
    snprintf(name, sizeof(name), "x%d", made++);
    return mld_graph_input(g, name, dtype, s, MLD_FILL_UNIFORM, 0, 1);
}

static mld_v in(struct mld_shape s)
{
    return in_of(MLD_F32, s);
}

static void gives(mld_v v, enum mld_dtype dtype, struct mld_shape s)
{
    char is[MLD_TYPE_TEXT], want[MLD_TYPE_TEXT];
    KIT_OK(mld_graph_check(g, &kit_err));
    KIT_CHECK(v != NULL);
    KIT_EQ_STR(mld_type_text(is, v->dtype, &v->shape), mld_type_text(want, dtype, &s));
}

/* v is the NULL of a builder that had to refuse; starts a new graph. */
static void refused(mld_v v, const char *text)
{
    KIT_CHECK(v == NULL);
    KIT_FAILS(mld_graph_check(g, &kit_err), MLD_E_INVALID);
    KIT_CONTAINS(kit_err.message, text);
    fresh();
}

MLD_TEST(rules__every_row_is_whole)
{
    for (int i = 0; i < MLD_OP_COUNT; i++) {
        const struct mld_op_row *row = mld_op_row((enum mld_op)i);
        KIT_CHECK(row != NULL && row->name != NULL && row->domain != NULL);
        KIT_CHECK(row->shape != NULL && row->cost != NULL);
        KIT_CHECK((row->onnx == NULL) == (row->tier == MLD_TIER_SEMANTIC));
        KIT_CHECK(row->tier == MLD_TIER_ORT || row->domain[0] == '\0');
        for (int k = 0; k < i; k++)
            KIT_CHECK(strcmp(mld_op_name((enum mld_op)k), row->name) != 0);
    }
    KIT_CHECK(mld_op_row(MLD_OP_COUNT) == NULL);
    KIT_EQ_STR(mld_op_name(MLD_OP_COUNT), "unknown");
}

MLD_TEST(rules__broadcast)
{
    fresh();
    gives(mld_add(g, in(MLD_SHAPE(2, 1, 4)), in(MLD_SHAPE(3, 1))), MLD_F32,
          MLD_SHAPE(2, 3, 4));
    gives(mld_mul(g, in(MLD_SCALAR), in(MLD_SHAPE(5))), MLD_F32, MLD_SHAPE(5));
    gives(mld_less(g, in(MLD_SHAPE(2, 1)), in(MLD_SHAPE(1, 2))), MLD_BOOL,
          MLD_SHAPE(2, 2));
    gives(mld_not(g, in_of(MLD_BOOL, MLD_SHAPE(3))), MLD_BOOL, MLD_SHAPE(3));
    gives(mld_where(g, in_of(MLD_BOOL, MLD_SHAPE(2, 1)), in(MLD_SHAPE(1, 4)),
                    in(MLD_SCALAR)),
          MLD_F32, MLD_SHAPE(2, 4));
    refused(mld_add(g, in(MLD_SHAPE(2, 3)), in(MLD_SHAPE(2))), "do not fit");
    refused(mld_add(g, in(MLD_SHAPE(2)), in_of(MLD_I64, MLD_SHAPE(2))), "do not fit");
    refused(mld_and(g, in(MLD_SHAPE(2)), in_of(MLD_BOOL, MLD_SHAPE(2))), "wanted bool");
    refused(mld_exp(g, in_of(MLD_I64, MLD_SHAPE(2))), "wanted a floating-point type");
    refused(mld_add(g, in_of(MLD_BOOL, MLD_SHAPE(2)), in_of(MLD_BOOL, MLD_SHAPE(2))),
            "wanted numbers");
}

MLD_TEST(rules__products)
{
    fresh();
    gives(mld_matmul(g, in(MLD_SHAPE(2, 1, 3, 4)), in(MLD_SHAPE(5, 4, 6))), MLD_F32,
          MLD_SHAPE(2, 5, 3, 6));
    gives(mld_linear_in_out(g, in(MLD_SHAPE(2, 4)), in(MLD_SHAPE(4, 6)), NULL), MLD_F32,
          MLD_SHAPE(2, 6));
    struct mld_conv p = {.stride = {2, 2}, .pad = {1, 1}, .groups = 2};
    gives(mld_conv(g, in(MLD_SHAPE(1, 4, 8, 9)), in(MLD_SHAPE(6, 2, 3, 3)),
                   in(MLD_SHAPE(6)), &p),
          MLD_F32, MLD_SHAPE(1, 6, 4, 5));
    gives(mld_conv(g, in(MLD_SHAPE(1, 4, 8)), in(MLD_SHAPE(6, 4, 8)), NULL, NULL),
          MLD_F32, MLD_SHAPE(1, 6, 1));
    refused(mld_matmul(g, in(MLD_SHAPE(2, 3)), in(MLD_SHAPE(4, 3))), "do not fit");
    refused(mld_linear(g, in(MLD_SHAPE(2, 3)), in(MLD_SHAPE(4, 3)), in(MLD_SHAPE(3))),
            "do not fit");
    refused(mld_conv(g, in(MLD_SHAPE(1, 4, 2)), in(MLD_SHAPE(6, 4, 8)), NULL, NULL),
            "window of 8 with stride 1 does not fit into 2");
    refused(mld_conv(g, in(MLD_SHAPE(1, 4)), in(MLD_SHAPE(6, 4)), NULL, NULL),
            "has rank 2, wanted 3 to 5");
}

MLD_TEST(rules__axes)
{
    fresh();
    mld_v x = in(MLD_SHAPE(2, 3, 4));
    gives(mld_softmax(g, x, -1), MLD_F32, MLD_SHAPE(2, 3, 4));
    gives(mld_reduce_mean(g, x, 1, false), MLD_F32, MLD_SHAPE(2, 4));
    gives(mld_reduce_sum(g, x, -1, true), MLD_F32, MLD_SHAPE(2, 3, 1));
    gives(mld_argmax(g, x, 0), MLD_I64, MLD_SHAPE(3, 4));
    gives(mld_cumsum(g, x, 1), MLD_F32, MLD_SHAPE(2, 3, 4));
    gives(mld_slice(g, x, 1, -2, -1), MLD_F32, MLD_SHAPE(2, 1, 4));
    gives(mld_transpose(g, x, 3, (const int[]){2, 0, 1}), MLD_F32, MLD_SHAPE(4, 2, 3));
    gives(mld_reshape(g, x, MLD_SHAPE(-1, 8)), MLD_F32, MLD_SHAPE(3, 8));
    gives(mld_expand(g, in(MLD_SHAPE(1, 4)), MLD_SHAPE(2, 3, 4)), MLD_F32,
          MLD_SHAPE(2, 3, 4));
    refused(mld_softmax(g, in(MLD_SHAPE(2)), 1), "axis 1 is outside");
    refused(mld_reduce_sum(g, in(MLD_SHAPE(2)), -2, true), "axis -2 is outside");
    refused(mld_slice(g, in(MLD_SHAPE(2)), 0, 1, 3), "1 to 3 is no range");
    refused(mld_slice(g, in(MLD_SHAPE(2)), 0, 1, 1), "1 to 1 is no range");
    refused(mld_reshape(g, in(MLD_SHAPE(2, 3)), MLD_SHAPE(-1, 4)),
            "cannot take the shape");
    refused(mld_reshape(g, in(MLD_SHAPE(2, 3)), MLD_SHAPE(-1, -1)),
            "cannot take the shape");
    refused(mld_reshape(g, in(MLD_SHAPE(2, 3)), MLD_SHAPE(INT64_MAX, INT64_MAX)),
            "cannot take the shape");
    refused(mld_transpose(g, in(MLD_SHAPE(2, 3)), 2, (const int[]){1, 1}),
            "no permutation");
    refused(mld_layer_norm(g, in(MLD_SHAPE(2, 3)), in(MLD_SHAPE(2)), NULL, 1e-5),
            "do not fit");
    mld_v parts[2] = {in(MLD_SHAPE(2, 3)), in(MLD_SHAPE(3, 3))};
    refused(mld_concat(g, parts, 2, 1), "do not fit");
    mld_split(g, in(MLD_SHAPE(2, 3)), 1, (int64_t[]){1, 1}, 2, parts);
    refused(parts[0], "parts have 2 of 3");
}

MLD_TEST(rules__gather)
{
    fresh();
    mld_v table = in(MLD_SHAPE(7, 4)), ids = in_of(MLD_I64, MLD_SHAPE(2, 3));
    gives(mld_embedding(g, table, ids), MLD_F32, MLD_SHAPE(2, 3, 4));
    gives(mld_gather(g, table, mld_graph_const_i64(g, 1, (int64_t[]){-1}), 1), MLD_F32,
          MLD_SHAPE(7, 1));
    refused(mld_embedding(g, table, mld_graph_const_i64(g, 1, (int64_t[]){7})),
            "index 7 is outside");
    refused(mld_embedding(g, in(MLD_SHAPE(7, 4)), in(MLD_SHAPE(2))), "wanted i64 or i32");
}

MLD_TEST(rules__attention)
{
    fresh();
    struct mld_attention p = {.heads = 4, .kv_heads = 2};
    mld_v q = in(MLD_SHAPE(2, 3, 32)), k = in(MLD_SHAPE(2, 5, 16)),
          v = in(MLD_SHAPE(2, 5, 6));
    gives(mld_attention(g, q, k, v, &p), MLD_F32, MLD_SHAPE(2, 3, 12));
    p.bias = in(MLD_SHAPE(4, 1, 5));
    p.key_mask = in_of(MLD_I64, MLD_SHAPE(2, 5));
    gives(mld_attention(g, q, k, v, &p), MLD_F32, MLD_SHAPE(2, 3, 12));
    p.key_mask = in_of(MLD_I64, MLD_SHAPE(2, 3));
    refused(mld_attention(g, q, k, v, &p), "wanted a key mask i64 [batch, keys]");
    p = (struct mld_attention){.heads = 4, .kv_heads = 3};
    refused(mld_attention(g, in(MLD_SHAPE(1, 3, 32)), in(MLD_SHAPE(1, 3, 24)),
                          in(MLD_SHAPE(1, 3, 24)), &p),
            "4 heads cannot share 3 key/value heads");
    p = (struct mld_attention){.heads = 4};
    p.past_k = in(MLD_SHAPE(2, 4, 9, 8));
    mld_v x = in(MLD_SHAPE(2, 3, 32));
    refused(mld_attention(g, x, x, x, &p),
            "a cache needs past_k, past_v and past_length");
}

MLD_TEST(rules__attention_with_cache_gives_buffers)
{
    fresh();
    mld_v x = in(MLD_SHAPE(2, 1, 32));
    struct mld_attention p = {.heads = 4};
    p.past_k = in(MLD_SHAPE(2, 4, 9, 8));
    p.past_v = in(MLD_SHAPE(2, 4, 9, 8));
    p.past_length =
        mld_graph_input(g, "past_length", MLD_I32, MLD_SHAPE(2), MLD_FILL_VALUE, 5, 0);
    mld_v y = mld_attention(g, x, x, x, &p);
    gives(y, MLD_F32, MLD_SHAPE(2, 1, 32));
    gives(mld_node_output(y, 1), MLD_F32, MLD_SHAPE(2, 4, 9, 8));
    KIT_CHECK(mld_node_output(y, 3) == NULL);
    /* 6 keys: the 5 that the case has and the new one; capacity does not count */
    KIT_NEAR(mld_node_cost(y->node).matmul_flops, 2 * 2 * 4 * 6 * (8 + 8), 0);
    p.past_length = in_of(MLD_I64, MLD_SHAPE(2));
    refused(mld_attention(g, x, x, x, &p), "wanted i32 [batch]");
}

MLD_TEST(rules__rotary)
{
    fresh();
    mld_v x = in(MLD_SHAPE(2, 3, 32));
    gives(mld_rotary(g, x, in(MLD_SHAPE(3, 4)), in(MLD_SHAPE(3, 4)), 4, 0, false),
          MLD_F32, MLD_SHAPE(2, 3, 32));
    gives(mld_rotary(g, x, in(MLD_SHAPE(2, 3, 2)), in(MLD_SHAPE(2, 3, 2)), 4, 4, true),
          MLD_F32, MLD_SHAPE(2, 3, 32));
    refused(mld_rotary(g, x, in(MLD_SHAPE(4, 4)), in(MLD_SHAPE(4, 4)), 4, 0, false),
            "do not fit");
    x = in(MLD_SHAPE(2, 3, 32));
    refused(mld_rotary(g, x, in(MLD_SHAPE(3, 5)), in(MLD_SHAPE(3, 5)), 4, 10, false),
            "cannot turn 10 of 8");
}

/* --- costs ------------------------------------------------------------------------- */

MLD_TEST(rules__costs_of_products)
{
    fresh();
    mld_v x = in(MLD_SHAPE(2, 3, 8));
    mld_v y = mld_linear(g, x, in(MLD_SHAPE(16, 8)), in(MLD_SHAPE(16)));
    struct mld_cost c = mld_node_cost(y->node);
    KIT_NEAR(c.matmul_flops, 2 * 6 * 8 * 16, 0);
    KIT_NEAR(c.flops, 2 * 6 * 8 * 16 + 6 * 16, 0);
    KIT_NEAR(c.read_bytes, 4 * (48 + 128 + 16), 0);
    KIT_NEAR(c.write_bytes, 4 * 96, 0);
    struct mld_conv p = {.groups = 2};
    y = mld_conv(g, in(MLD_SHAPE(1, 4, 5, 5)), in(MLD_SHAPE(6, 2, 3, 3)), NULL, &p);
    KIT_NEAR(mld_node_cost(y->node).matmul_flops, 2 * 6 * 9 * 2 * 9, 0);
    y = mld_matmul(g, in(MLD_SHAPE(4, 2, 3)), in(MLD_SHAPE(3, 5)));
    KIT_NEAR(mld_node_cost(y->node).matmul_flops, 2 * 4 * 2 * 3 * 5, 0);
    struct mld_attention a = {.heads = 2, .causal = true};
    y = mld_attention(g, x, x, x, &a); /* all 3 x 3 pairs, both products */
    KIT_NEAR(mld_node_cost(y->node).matmul_flops, 2 * 2 * 2 * 9 * (4 + 4), 0);
}

MLD_TEST(rules__costs_of_moves_and_rows)
{
    fresh();
    mld_v x = in(MLD_SHAPE(6, 8));
    struct mld_cost c = mld_node_cost(mld_reshape(g, x, MLD_SHAPE(8, 6))->node);
    KIT_NEAR(c.flops + c.read_bytes + c.write_bytes, 0, 0);
    c = mld_node_cost(mld_embedding(g, x, in_of(MLD_I64, MLD_SHAPE(3)))->node);
    KIT_NEAR(c.read_bytes, 3 * 8 * 4 + 3 * 8, 0);
    KIT_NEAR(c.write_bytes, 3 * 8 * 4, 0);
    KIT_NEAR(mld_node_cost(mld_add(g, x, x)->node).flops, 48, 0);
}

MLD_TEST(rules__peak_counts_what_lives_together)
{
    fresh();
    mld_v x = in(MLD_SHAPE(100));               /* inputs are not activations */
    mld_v a = mld_exp(g, x);                    /* 400 bytes */
    mld_v b = mld_exp(g, a);                    /* a dies after this: 800 */
    mld_v c = mld_reduce_sum(g, b, 0, true);    /* 404 */
    mld_graph_output(g, "y", mld_mul(g, c, c)); /* 8 */
    KIT_OK(mld_graph_verify(g, &kit_err));
    struct mld_cost cost = mld_graph_cost(g);
    KIT_NEAR(cost.activation_peak_bytes, 800, 0);
    KIT_NEAR(cost.weight_bytes, 8, 0); /* the axes of the sum */
}

MLD_TEST(rules__weights_count_once)
{
    fresh();
    mld_v w = mld_graph_param(g, "w", MLD_SHAPE(8, 8));
    (void)mld_graph_param(g, "unread", MLD_SHAPE(1000));
    mld_v x = mld_linear(g, in(MLD_SHAPE(2, 8)), w, NULL);
    mld_graph_output(g, "y", mld_linear(g, x, w, NULL));
    KIT_NEAR(mld_graph_cost(g).weight_bytes, 256, 0);
}
