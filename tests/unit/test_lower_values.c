/* test_lower_values.c: lowered graphs compute what the semantic graph means: both forms,
 * by the plain evaluator of graph_eval.h. */
#include "graph_eval.h"
#include "graph_sample.h"

#include "base/str.h"
#include "graph/lower.h"

/* Both forms of g, at several opsets, give its numbers. Constants are floats in them. */
static void same_numbers(const struct mld_graph *g)
{
    static const struct mld_target forms[] = {{.fused_ort = true, .opset = MLD_OPSET_ORT},
                                              {.fused_ort = true, .opset = 18},
                                              {.fused_ort = false, .opset = 18}};
    KIT_OK(mld_graph_verify(g, &kit_err));
    double **want = evaluate(g);
    for (size_t f = 0; f < sizeof(forms) / sizeof(forms[0]); f++) {
        struct mld_graph *low;
        KIT_OK(mld_lower(g, &forms[f], &eval_arena, &low, &kit_err));
        double **got = evaluate(low);
        for (size_t i = 0; i < g->output_count; i++)
            for (int64_t k = 0; k < count_of(g->outputs[i].value); k++)
                if (!(fabs(got[i][k] - want[i][k]) <= 2e-5))
                    KIT_FAIL("form %zu, output '%s' [%lld]: %g, means %g", f,
                             g->outputs[i].name, (long long)k, got[i][k], want[i][k]);
        mld_graph_release(low);
    }
}

/* --- cases ------------------------------------------------------------------------- */

static struct mld_graph *g;

static mld_v input(const char *name, struct mld_shape s)
{
    return mld_graph_input(g, name, MLD_F32, s, MLD_FILL_UNIFORM, 0, 0);
}

MLD_TEST(values__encoder)
{
    same_numbers(sample_encoder(&eval_arena));
}

MLD_TEST(values__activations)
{
    size_t n;
    const char *const *names = mld_activation_names(&n);
    for (size_t i = 0; i < n; i++) {
        bool plain = mld_streq(names[i], "mish") || mld_streq(names[i], "relu") ||
                     mld_streq(names[i], "relu2") || mld_streq(names[i], "relu6");
        if (plain) /* copied as they are */
            continue;
        g = mld_graph_new(&eval_arena, names[i]);
        mld_v x = input("x", MLD_SHAPE(2, 3, 4));
        mld_graph_output(g, "alone", mld_activation(g, names[i], mld_scale(g, x, 3)));
        mld_v y = mld_activation(g, names[i], sample_linear(g, x, "fc", 4));
        mld_graph_output(g, "after", y);
        same_numbers(g);
    }
}

/* Every way of masking, grouping and capping, from packed and from separate products. */
MLD_TEST(values__attention)
{
    enum {
        PACKED = 1,
        GROUPS = 2,
        CAUSAL = 4,
        WINDOW = 8,
        CAP = 16,
        MASK = 32,
        BIAS = 64
    };
    for (int on = 0; on < 128; on++) {
        g = mld_graph_new(&eval_arena, "attention");
        struct mld_attention p = {.heads = 4, .causal = (on & CAUSAL) != 0};
        int64_t kv = on & GROUPS ? 2 : 4, keys = on & PACKED ? 4 : 5;
        mld_v q, k, v;
        p.kv_heads = kv;
        p.window = on & WINDOW ? 2 : 0;
        p.softcap = on & CAP ? 1.5 : 0;
        if (on & MASK)
            p.key_mask = mld_graph_input(g, "mask", MLD_I64, MLD_SHAPE(2, keys),
                                         MLD_FILL_ONES, 0, 0);
        if (on & BIAS)
            p.bias = input("bias", MLD_SHAPE(1, 4, 4, keys));
        if (on & PACKED) {
            mld_v x = input("x", MLD_SHAPE(2, 4, 6));
            q = sample_linear(g, x, "q", 8);
            k = sample_linear(g, x, "k", 2 * kv);
            v = sample_linear(g, x, "v", 3 * kv);
        } else {
            q = input("q", MLD_SHAPE(2, 4, 8));
            k = input("k", MLD_SHAPE(2, keys, 2 * kv));
            v = input("v", MLD_SHAPE(2, keys, 3 * kv));
        }
        mld_graph_output(g, "y", mld_attention(g, q, k, v, &p));
        same_numbers(g);
    }
}

/* Rows with pasts of 3 and 4; one new token, several, and several into an empty cache. */
MLD_TEST(values__cache)
{
    for (int on = 0; on < 16; on++)
        for (int64_t fresh = 1; fresh <= 3; fresh += 2) {
            g = mld_graph_new(&eval_arena, "cache");
            int64_t kv = on & 1 ? 2 : 4;
            struct mld_attention p = {.heads = 4, .kv_heads = kv};
            p.window = on & 2 ? 2 : 0;
            p.softcap = on & 4 ? 1.5 : 0;
            p.past_k = input("past_k", MLD_SHAPE(2, kv, 9, 8));
            p.past_v = input("past_v", MLD_SHAPE(2, kv, 9, 8));
            p.past_length =
                mld_graph_input(g, "past_length", MLD_I32, MLD_SHAPE(2),
                                on & 8 ? MLD_FILL_ZEROS : MLD_FILL_VALUE, 3, 0);
            mld_v q = input("q", MLD_SHAPE(2, fresh, 32));
            mld_v k = input("k", MLD_SHAPE(2, fresh, 8 * kv));
            mld_v v = input("v", MLD_SHAPE(2, fresh, 8 * kv));
            mld_v y = mld_attention(g, q, k, v, &p);
            mld_graph_output(g, "y", y);
            mld_graph_output(g, "new_k", mld_node_output(y, 1));
            mld_graph_output(g, "new_v", mld_node_output(y, 2));
            same_numbers(g);
        }
}

MLD_TEST(values__rotary)
{
    for (int on = 0; on < 8; on++) {
        g = mld_graph_new(&eval_arena, "rotary");
        int64_t rot = on & 1 ? 4 : 8, rows = on & 2 ? 2 : 1;
        mld_v x = input("x", MLD_SHAPE(2, 3, 16));
        mld_v c = input("c", MLD_SHAPE(rows, 3, rot / 2));
        mld_v s = input("s", MLD_SHAPE(rows, 3, rot / 2));
        mld_graph_output(g, "y", mld_rotary(g, x, c, s, 2, rot, (on & 4) != 0));
        same_numbers(g);
    }
}

/* A decoder's block: norms, gated products on rows, residuals, a scaled tied head. */
MLD_TEST(values__decoder_block)
{
    g = mld_graph_new(&eval_arena, "decoder");
    mld_v ids = mld_graph_input(g, "ids", MLD_I64, MLD_SHAPE(2, 3), MLD_FILL_ONES, 0, 0);
    mld_v words = mld_graph_param(g, "words", MLD_SHAPE(5, 8));
    mld_v x = mld_embedding(g, words, ids);
    mld_v w = mld_graph_param(g, "norm", MLD_SHAPE(8));
    mld_v y = mld_rms_norm(g, x, w, 1e-6);
    mld_v gate = mld_silu(g, sample_linear(g, y, "gate", 12));
    y = mld_mul(g, gate, sample_linear(g, y, "up", 12));
    x = mld_add(g, sample_linear(g, y, "down", 8), x);
    y = mld_gelu_tanh(g, sample_linear(g, x, "fc", 12));
    x = mld_add(g, x,
                mld_linear_in_out(g, y, mld_graph_param(g, "p", MLD_SHAPE(12, 8)), NULL));
    mld_graph_output(g, "hidden", x);
    x = mld_rms_norm(g, x, w, 1e-6);
    mld_graph_output(g, "logits", mld_linear(g, mld_scale(g, x, 0.25), words, NULL));
    mld_v row = mld_reshape(g, mld_slice(g, x, 1, -1, 3), MLD_SHAPE(2, 8));
    mld_graph_output(g, "pooled", mld_tanh(g, sample_linear(g, row, "pool", 8)));
    same_numbers(g);
}

MLD_TEST(values__split_projection_and_views)
{
    g = mld_graph_new(&eval_arena, "split");
    const struct mld_attention p = {.heads = 2, .causal = true};
    mld_v x = input("x", MLD_SHAPE(2, 3, 8)), part[3];
    mld_v table = mld_graph_param(g, "table", MLD_SHAPE(9, 8));
    mld_v rows =
        mld_embedding(g, table, mld_graph_const_i64(g, 3, (const int64_t[]){6, 4, 2}));
    x = mld_add(g, x, mld_reshape(g, rows, MLD_SHAPE(1, 3, 8)));
    mld_v all = mld_linear_in_out(g, x, mld_graph_param(g, "w", MLD_SHAPE(8, 24)),
                                  mld_graph_param(g, "b", MLD_SHAPE(24)));
    mld_split(g, all, -1, (const int64_t[]){8, 8, 8}, 3, part);
    mld_graph_output(g, "y", mld_attention(g, part[0], part[1], part[2], &p));
    same_numbers(g);
}
