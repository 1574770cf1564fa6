/* test_graph.c: building graphs: values, sharing, faults, the verifier, the digest. */
#include "graph_sample.h"
#include "kit/kit.h"

#include "base/str.h"
#include "graph/op_rules.h"

#include <stdio.h>
#include <string.h>

static struct mld_arena arena; /* of the case's process */

static struct mld_graph *fresh(void)
{
    return mld_graph_new(&arena, "test");
}

static mld_v input(struct mld_graph *g, const char *name, struct mld_shape s)
{
    return mld_graph_input(g, name, MLD_F32, s, MLD_FILL_UNIFORM, 0, 0);
}

/* The fault of g, which must have one of this code and text. */
static void faults(const struct mld_graph *g, int code, const char *text)
{
    KIT_FAILS(mld_graph_check(g, &kit_err), code);
    KIT_CONTAINS(kit_err.message, text);
}

static void has_shape(mld_v v, enum mld_dtype dtype, struct mld_shape s)
{
    char is[MLD_TYPE_TEXT], want[MLD_TYPE_TEXT];
    KIT_CHECK(v != NULL);
    KIT_EQ_STR(mld_type_text(is, v->dtype, &v->shape), mld_type_text(want, dtype, &s));
}

MLD_TEST(graph__shapes_count_and_overflow)
{
    struct mld_shape s = MLD_SHAPE(2, 3, 4), scalar = MLD_SCALAR;
    struct mld_shape huge = MLD_SHAPE(INT64_C(1) << 40, INT64_C(1) << 40);
    struct mld_shape bad = MLD_SHAPE(2, -3);
    KIT_EQ_INT(mld_shape_count(&s), 24);
    KIT_EQ_INT(mld_shape_count(&scalar), 1);
    KIT_EQ_INT(mld_shape_count(&huge), -1);
    KIT_EQ_INT(mld_shape_count(&bad), -1);
    KIT_CHECK(mld_shape_eq(&s, &(struct mld_shape){3, {2, 3, 4}}));
    KIT_CHECK(!mld_shape_eq(&s, &(struct mld_shape){2, {2, 3}}));
}

MLD_TEST(graph__sample_verifies)
{
    struct mld_graph *g = sample_encoder(&arena);
    KIT_OK(mld_graph_verify(g, &kit_err));
    KIT_EQ_INT(g->param_count, 20);
    KIT_EQ_INT(mld_graph_param_values(g),
               11 * 8 + 5 * 8 + 3 * 16 + 4 * (64 + 8) + (16 * 8 + 16) + (8 * 16 + 8));
    has_shape(g->outputs[0].value, MLD_F32, MLD_SHAPE(2, 3, 8));
    KIT_CHECK(mld_graph_find(g, "query.weight") != NULL);
    KIT_CHECK(mld_graph_find(g, "nothing") == NULL);
    mld_graph_release(g);
}

MLD_TEST(graph__parameter_is_declared_once)
{
    struct mld_graph *g = fresh();
    mld_v a = mld_graph_param(g, "w", MLD_SHAPE(2, 3));
    KIT_CHECK(mld_graph_param(g, "w", MLD_SHAPE(2, 3)) == a);
    KIT_EQ_INT(g->param_count, 1);
    KIT_CHECK(mld_graph_param(g, "w", MLD_SHAPE(3, 2)) == NULL);
    faults(g, MLD_E_INVALID, "parameter 'w' is declared f32[2,3] and again f32[3,2]");
}

MLD_TEST(graph__constants_are_shared)
{
    struct mld_graph *g = fresh();
    const int64_t x[3] = {1, 2, 3}, y[3] = {1, 2, 4};
    mld_v a = mld_graph_const_i64(g, 3, x);
    KIT_CHECK(mld_graph_const_i64(g, 3, x) == a);
    KIT_CHECK(mld_graph_const_i64(g, 3, y) != a);
    KIT_CHECK(mld_graph_const(g, MLD_I64, MLD_SHAPE(1, 3), x) != a);
    KIT_CHECK(mld_graph_const_f32(g, 0.5) == mld_graph_const_f32(g, 0.5));
    mld_graph_release(g);
}

MLD_TEST(graph__first_fault_names_scope_and_stays)
{
    struct mld_graph *g = fresh();
    mld_v x = input(g, "x", MLD_SHAPE(1, 4, 8));
    mld_graph_scope(g, "layer.%d", 3);
    mld_v y = mld_linear(g, x, mld_graph_param(g, "w", MLD_SHAPE(8, 9)), NULL);
    KIT_CHECK(y == NULL);
    KIT_CHECK(mld_gelu(g, y) == NULL);
    KIT_CHECK(mld_graph_param(g, "later", MLD_SHAPE(1)) == NULL);
    mld_graph_output(g, "y", y);
    faults(g, MLD_E_INVALID,
           "in 'layer.3': linear: operands 'x' f32[1,4,8] and 'w' f32[8,9] do not fit");
}

MLD_TEST(graph__missing_and_foreign_operands_fault)
{
    struct mld_graph *g = fresh(), *other = fresh();
    KIT_CHECK(mld_add(g, NULL, input(g, "x", MLD_SHAPE(1))) == NULL);
    faults(g, MLD_E_INVALID, "add: operand 0 is missing");
    struct mld_graph *h = fresh();
    (void)input(other, "a", MLD_SHAPE(1));
    mld_v b = input(other, "b", MLD_SHAPE(1));
    KIT_CHECK(mld_gelu(h, b) == NULL);
    faults(h, MLD_E_INVALID, "operand 'b' belongs to another graph");
}

MLD_TEST(graph__hostile_sizes_fault)
{
    struct mld_graph *g = fresh();
    int64_t big = INT64_C(1) << 40;
    KIT_CHECK(mld_graph_param(g, "w", MLD_SHAPE(big, big)) == NULL);
    faults(g, MLD_E_TOO_LARGE, "parameter 'w' is f32[1099511627776,1099511627776]");
    g = fresh();
    KIT_CHECK(mld_graph_param(g, "w", MLD_SHAPE(0, 4)) == NULL);
    faults(g, MLD_E_INVALID, "every dimension must be at least 1");
    g = fresh();
    mld_v row = input(g, "r", MLD_SHAPE(1, INT64_C(1) << 33));
    mld_v column = input(g, "c", MLD_SHAPE(INT64_C(1) << 33, 1));
    KIT_CHECK(mld_add(g, row, column) == NULL);
    faults(g, MLD_E_TOO_LARGE, "add: result 0");
    g = fresh();
    KIT_CHECK(mld_graph_input(g, "ids", MLD_I64, MLD_SHAPE(1), MLD_FILL_IDS, 5, 5) ==
              NULL);
    faults(g, MLD_E_INVALID, "input 'ids' has no values");
}

MLD_TEST(graph__state_ties_equal_types_only)
{
    struct mld_graph *g = fresh();
    mld_v a = input(g, "cache", MLD_SHAPE(1, 2));
    mld_graph_output(g, "new", mld_add(g, a, a));
    mld_graph_output(g, "wide", mld_expand(g, a, MLD_SHAPE(3, 2)));
    mld_graph_state(g, "cache", "new");
    KIT_OK(mld_graph_check(g, &kit_err));
    KIT_EQ_INT(g->inputs[0].state_output, 0);
    mld_graph_state(g, "cache", "wide");
    faults(g, MLD_E_INVALID, "input 'cache' is f32[1,2] but output 'wide' is f32[3,2]");
}

MLD_TEST(graph__unknown_activation_offers_the_nearest)
{
    struct mld_graph *g = fresh();
    mld_v x = input(g, "x", MLD_SHAPE(2, 4));
    size_t n;
    const char *const *names = mld_activation_names(&n);
    for (size_t i = 0; i < n; i++)
        has_shape(mld_activation(g, names[i], x), MLD_F32, MLD_SHAPE(2, 4));
    KIT_CHECK(mld_activation(g, NULL, x) == x);
    KIT_CHECK(mld_activation(g, "geluu", x) == NULL);
    faults(g, MLD_E_UNSUPPORTED, "unknown activation 'geluu', did you mean 'gelu'?");
}

MLD_TEST(graph__long_lists_chain)
{
    struct mld_graph *g = fresh();
    mld_v parts[20];
    int64_t sizes[20];
    for (int i = 0; i < 20; i++) {
        char name[16];
        snprintf(name, sizeof(name), "x%d", i);
        parts[i] = input(g, name, MLD_SHAPE(2, 1 + i));
        sizes[i] = 1 + i;
    }
    mld_v all = mld_concat(g, parts, 20, -1);
    has_shape(all, MLD_F32, MLD_SHAPE(2, 210));
    mld_split(g, all, -1, sizes, 20, parts);
    for (int i = 0; i < 20; i++)
        has_shape(parts[i], MLD_F32, MLD_SHAPE(2, 1 + i));
    mld_split(g, all, 1, (int64_t[]){100, 110}, 2, parts);
    has_shape(parts[1], MLD_F32, MLD_SHAPE(2, 110));
    KIT_OK(mld_graph_check(g, &kit_err));
}

MLD_TEST(graph__builders_leave_out_what_does_nothing)
{
    struct mld_graph *g = fresh();
    mld_v x = input(g, "x", MLD_SHAPE(2, 4));
    KIT_CHECK(mld_scale(g, x, 1) == x);
    KIT_CHECK(mld_reshape(g, x, MLD_SHAPE(2, 4)) == x);
    KIT_CHECK(mld_transpose(g, x, 2, (const int[]){0, 1}) == x);
    KIT_CHECK(mld_slice(g, x, -1, 0, 4) == x);
    KIT_CHECK(mld_cast(g, x, MLD_F32) == x);
    KIT_CHECK(mld_expand(g, x, MLD_SHAPE(2, 4)) == x);
    KIT_EQ_INT(g->node_count, 0);
}

/* --- the verifier finds what a pass may break -------------------------------------- */

static void verify_fails(const struct mld_graph *g, const char *text)
{
    KIT_FAILS(mld_graph_verify(g, &kit_err), MLD_E_INVALID);
    KIT_CONTAINS(kit_err.message, text);
}

MLD_TEST(graph__verifier_finds_broken_links)
{
    struct mld_graph *g = sample_encoder(&arena);
    struct mld_node *n = g->nodes[3];
    struct mld_value *keep = n->in[0], *late = g->nodes[6]->out[0];
    n->in[0] = late;
    verify_fails(g, "reads a value that is made later (a cycle or wrong order)");
    n->in[0] = NULL;
    verify_fails(g, "operand 0 is missing");
    n->in[0] = keep;
    n->in_count = 1;
    verify_fails(g, "operand 1 is missing");
    n->in_count = 9;
    verify_fails(g, "takes at most 3 operands, got 9");
    n->in_count = 3;
    n->out[0]->shape.d[1] = 7;
    verify_fails(g, "its rule gives f32[2,3,8]");
    n->out[0]->shape.d[1] = 3;
    n->out[0]->dtype = MLD_F16;
    verify_fails(g, "f16[2,3,8]");
    n->out[0]->dtype = MLD_F32;
    g->nodes[3] = g->nodes[4];
    verify_fails(g, "has another id than its place");
    g->nodes[3] = n;
    KIT_OK(mld_graph_verify(g, &kit_err));
}

MLD_TEST(graph__verifier_finds_bad_values)
{
    struct mld_graph *g = sample_encoder(&arena);
    struct mld_value *v = g->nodes[0]->out[0], *w = g->values[2];
    const char *name = v->name;
    v->name = "input_ids";
    verify_fails(g, "two values are called 'input_ids'");
    v->name = name;
    struct mld_node *maker = v->node;
    v->node = NULL;
    verify_fails(g, "has a producer that does not fit its kind");
    v->node = maker;
    KIT_CHECK(w->kind == MLD_VALUE_PARAM || w->kind == MLD_VALUE_CONST);
    mld_graph_alias(g, "tied.weight", "nobody");
    verify_fails(g, "'tied.weight' is tied to 'nobody', which is no parameter");
}

MLD_TEST(graph__verifier_finds_work_for_nothing)
{
    struct mld_graph *g = sample_encoder(&arena);
    (void)mld_gelu(g, g->outputs[0].value);
    verify_fails(g, "no node or output reads its result");
    g = fresh();
    (void)input(g, "x", MLD_SHAPE(1));
    verify_fails(g, "has no outputs");
}

/* --- digest ------------------------------------------------------------------------ */

MLD_TEST(graph__digest_is_of_the_sorted_list)
{
    struct mld_graph *g = fresh();
    (void)mld_graph_param(g, "b", MLD_SHAPE(3));
    (void)mld_graph_param(g, "a.weight", MLD_SHAPE(2, 3));
    uint64_t digest = 0;
    KIT_OK(mld_graph_digest(g, &digest, &kit_err));
    const char *lines = "a.weight 2,3\nb 3\n";
    KIT_EQ_U64(digest, mld_fnv1a64(MLD_FNV_BASIS, lines, strlen(lines)));
    KIT_OK(mld_graph_digest(fresh(), &digest, &kit_err));
    KIT_EQ_U64(digest, MLD_FNV_BASIS);
}

/* --- derived initializers ---------------------------------------------------------- */

MLD_TEST(graph__derived_pieces_are_checked_and_shared)
{
    struct mld_graph *g = fresh();
    mld_v w = mld_graph_param(g, "w", MLD_SHAPE(2, 3));
    struct mld_piece p = {.param = w->param, .length = 3, .mul = 1, .stride = {1, 3}};
    mld_v t = mld_graph_derived(g, "w.T", MLD_SHAPE(3, 2), 0, &p, 1);
    has_shape(t, MLD_F32, MLD_SHAPE(3, 2));
    KIT_CHECK(mld_graph_derived(g, "again", MLD_SHAPE(3, 2), 0, &p, 1) == t);
    p.mul = 2;
    mld_v twice = mld_graph_derived(g, "w.T", MLD_SHAPE(3, 2), 0, &p, 1);
    KIT_EQ_STR(twice->name, "w.T.2");
    p.base = 1;
    KIT_CHECK(mld_graph_derived(g, "out", MLD_SHAPE(3, 2), 0, &p, 1) == NULL);
    faults(g, MLD_E_INVALID, "'out': piece 0 reads outside of 'w'");
    g = fresh();
    w = mld_graph_param(g, "w", MLD_SHAPE(2, 3));
    p = (struct mld_piece){.param = w->param, .length = 2, .mul = 1, .stride = {1, 3}};
    KIT_CHECK(mld_graph_derived(g, "short", MLD_SHAPE(3, 2), 0, &p, 1) == NULL);
    faults(g, MLD_E_INVALID, "'short': pieces do not fill axis 0");
}

/* --- no memory --------------------------------------------------------------------- */

static int build_once(void *ctx)
{
    (void)ctx;
    struct mld_arena a = {0};
    struct mld_error err = {0};
    struct mld_graph *g = mld_graph_new(&a, "small");
    int rc = 0;
    if (g != NULL) {
        mld_v x =
            mld_graph_input(g, "x", MLD_F32, MLD_SHAPE(1, 2, 4), MLD_FILL_UNIFORM, 0, 0);
        mld_graph_output(g, "y", sample_norm(g, sample_linear(g, x, "fc", 4), "norm"));
    }
    rc = mld_graph_check(g, &err);
    if (rc == 0)
        rc = mld_graph_verify(g, &err);
    mld_graph_release(g);
    mld_arena_release(&a);
    return rc;
}

MLD_TEST(graph__every_allocation_may_fail)
{
    KIT_CHECK(kit_torture(build_once, NULL) > 3);
}
