/* test_graph_dump.c: the readable text of a graph is stable. */
#include "graph_sample.h"
#include "kit/kit.h"

#include "base/str.h"
#include "graph/lower.h"

static struct mld_arena arena;

static const char semantic_text[] =
    "graph encoder: 20 parameters of 744 values, 16 nodes\n"
    "input input_ids : i64[2,3] ids 0..10\n"
    "input attention_mask : i64[2,3] ones\n"
    "param words.weight : f32[11,8]\n"
    "%0 = gather(words.weight, input_ids) {axis=0} : f32[2,3,8]  # embeddings\n"
    "param positions.weight : f32[5,8]\n"
    "%1 = gather(positions.weight, i64[1,3]#70c9b82103059f06) {axis=0} : f32[1,3,8]  "
    "# embeddings\n"
    "%2 = add(%0, %1) : f32[2,3,8]  # embeddings\n"
    "param norm.weight : f32[8]\n"
    "param norm.bias : f32[8]\n"
    "%3 = layer_norm(%2, norm.weight, norm.bias) {axis=-1, epsilon=1e-12} : "
    "f32[2,3,8]  # embeddings\n"
    "param query.weight : f32[8,8]\n"
    "param query.bias : f32[8]\n"
    "%4 = linear(%3, query.weight, query.bias) : f32[2,3,8]  # layer.0.attention\n"
    "param key.weight : f32[8,8]\n"
    "param key.bias : f32[8]\n"
    "%5 = linear(%3, key.weight, key.bias) : f32[2,3,8]  # layer.0.attention\n"
    "param value.weight : f32[8,8]\n"
    "param value.bias : f32[8]\n"
    "%6 = linear(%3, value.weight, value.bias) : f32[2,3,8]  # layer.0.attention\n"
    "%7 = attention(%4, %5, %6, attention_mask) {heads=2, kv_heads=2, scale=0.5, "
    "causal=0} : f32[2,3,8]  # layer.0.attention\n"
    "param out.weight : f32[8,8]\n"
    "param out.bias : f32[8]\n"
    "%8 = linear(%7, out.weight, out.bias) : f32[2,3,8]  # layer.0.attention\n"
    "%9 = add(%8, %3) : f32[2,3,8]  # layer.0.attention\n"
    "param attention_norm.weight : f32[8]\n"
    "param attention_norm.bias : f32[8]\n"
    "%10 = layer_norm(%9, attention_norm.weight, attention_norm.bias) {axis=-1, "
    "epsilon=1e-12} : f32[2,3,8]  # layer.0.attention\n"
    "param up.weight : f32[16,8]\n"
    "param up.bias : f32[16]\n"
    "%11 = linear(%10, up.weight, up.bias) : f32[2,3,16]  # layer.0\n"
    "%12 = gelu(%11) : f32[2,3,16]  # layer.0\n"
    "param down.weight : f32[8,16]\n"
    "param down.bias : f32[8]\n"
    "%13 = linear(%12, down.weight, down.bias) : f32[2,3,8]  # layer.0\n"
    "%14 = add(%13, %10) : f32[2,3,8]  # layer.0\n"
    "param output_norm.weight : f32[8]\n"
    "param output_norm.bias : f32[8]\n"
    "%15 = layer_norm(%14, output_norm.weight, output_norm.bias) {axis=-1, "
    "epsilon=1e-12} : f32[2,3,8]  # layer.0\n"
    "output last_hidden_state = %15\n";
static const char fused_text[] =
    "graph encoder: 20 parameters of 744 values, 17 nodes\n"
    "input input_ids : i64[2,3] ids 0..10\n"
    "input attention_mask : i64[2,3] ones\n"
    "param words.weight : f32[11,8]\n"
    "%0 = gather(words.weight, input_ids) {axis=0} : f32[2,3,8]  # embeddings\n"
    "derived positions.weight.rows : f32[1,3,8] = axis 0: positions.weight[1 at 0 "
    "step 0,8,1]\n"
    "%1 = add(%0, positions.weight.rows) : f32[2,3,8]  # embeddings\n"
    "%2 = reshape(%1, [6,8]) : f32[6,8]  # embeddings\n"
    "param norm.weight : f32[8]\n"
    "param norm.bias : f32[8]\n"
    "%3 = layer_norm(%2, norm.weight, norm.bias) {axis=-1, epsilon=1e-12} : f32[6,8] "
    " # embeddings\n"
    "%4 = cast(attention_mask) {to=6} : i32[2,3]  # layer.0.attention\n"
    "%5 = reshape(%3, [2,3,8]) : f32[2,3,8]  # layer.0.attention\n"
    "derived layer.0.attention.qkv.weight : f32[8,24] = axis 1: query.weight[8 at 0 "
    "step 1,8] key.weight[8 at 0 step 1,8] value.weight[8 at 0 step 1,8]\n"
    "derived layer.0.attention.qkv.bias : f32[24] = axis 0: query.bias[8 at 0 step "
    "1] key.bias[8 at 0 step 1] value.bias[8 at 0 step 1]\n"
    "%6 = ort_attention(%5, layer.0.attention.qkv.weight, "
    "layer.0.attention.qkv.bias, %4) {num_heads=2, scale=0.5, "
    "mask_filter_value=-3.40282347e+38} : f32[2,3,8]  # layer.0.attention\n"
    "%7 = reshape(%6, [6,8]) : f32[6,8]  # layer.0.attention\n"
    "param out.bias : f32[8]\n"
    "%8 = add(%3, out.bias) : f32[6,8]  # layer.0.attention\n"
    "derived out.weight.T : f32[8,8] = axis 0: out.weight[8 at 0 step 1,8]\n"
    "%9 = gemm(%7, out.weight.T, %8) : f32[6,8]  # layer.0.attention\n"
    "param attention_norm.weight : f32[8]\n"
    "param attention_norm.bias : f32[8]\n"
    "%10 = layer_norm(%9, attention_norm.weight, attention_norm.bias) {axis=-1, "
    "epsilon=1e-12} : f32[6,8]  # layer.0.attention\n"
    "derived up.weight.T : f32[8,16] = axis 0: up.weight[8 at 0 step 1,8]\n"
    "param up.bias : f32[16]\n"
    "%11 = gemm(%10, up.weight.T, up.bias) : f32[6,16]  # layer.0\n"
    "%12 = ort_gelu(%11) : f32[6,16]  # layer.0\n"
    "param down.bias : f32[8]\n"
    "%13 = add(%10, down.bias) : f32[6,8]  # layer.0\n"
    "derived down.weight.T : f32[16,8] = axis 0: down.weight[16 at 0 step 1,16]\n"
    "%14 = gemm(%12, down.weight.T, %13) : f32[6,8]  # layer.0\n"
    "param output_norm.weight : f32[8]\n"
    "param output_norm.bias : f32[8]\n"
    "%15 = layer_norm(%14, output_norm.weight, output_norm.bias) {axis=-1, "
    "epsilon=1e-12} : f32[6,8]  # layer.0\n"
    "%16 = reshape(%15, [2,3,8]) : f32[2,3,8]\n"
    "output last_hidden_state = %16\n";

MLD_TEST(dump__semantic_encoder)
{
    struct mld_graph *g = sample_encoder(&arena);
    struct mld_str s = {0};
    mld_graph_dump(g, &s);
    KIT_OK(mld_str_check(&s, &kit_err));
    KIT_EQ_STR(mld_str_c(&s), semantic_text);
    mld_str_release(&s);
    mld_graph_release(g);
}

MLD_TEST(dump__fused_encoder)
{
    struct mld_graph *g = sample_encoder(&arena), *lowered;
    const struct mld_target target = {.fused_ort = true, .opset = 21};
    struct mld_str s = {0};
    KIT_OK(mld_lower(g, &target, &arena, &lowered, &kit_err));
    mld_graph_dump(lowered, &s);
    KIT_EQ_STR(mld_str_c(&s), fused_text);
    mld_str_release(&s);
    mld_graph_release(lowered);
    mld_graph_release(g);
}

/* Where parameters and constants were declared does not show. */
MLD_TEST(dump__order_of_declaration_does_not_show)
{
    struct mld_str text[2] = {{0}, {0}};
    for (int i = 0; i < 2; i++) {
        struct mld_graph *g = mld_graph_new(&arena, "g");
        if (i == 1)
            (void)mld_graph_param(g, "b", MLD_SHAPE(4));
        mld_v a = mld_graph_param(g, "a", MLD_SHAPE(4));
        mld_v b = mld_graph_param(g, "b", MLD_SHAPE(4));
        mld_v x = mld_graph_input(g, "x", MLD_F32, MLD_SHAPE(4), MLD_FILL_UNIFORM, 0, 0);
        mld_graph_output(g, "y", mld_add(g, mld_mul(g, x, a), b));
        mld_graph_dump(g, &text[i]);
    }
    KIT_EQ_STR(mld_str_c(&text[0]), mld_str_c(&text[1]));
    mld_str_release(&text[0]);
    mld_str_release(&text[1]);
}
