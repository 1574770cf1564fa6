/* build.h: builders of the semantic form, one a line, for the families.
 *
 * Activations of transformers are [B, S, H] unless said otherwise. Every builder returns
 * NULL on a failed graph. Weights are values made by mld_graph_param in the reference's
 * shapes; b may be NULL where a bias is optional. */
#ifndef MLD_GRAPH_BUILD_H
#define MLD_GRAPH_BUILD_H

#include "graph/graph.h"

typedef struct mld_value *mld_v; /* the one short name, for formulas only */

/* y = x w^T + b: x [..., in], w [out, in], b [out]. */
mld_v mld_linear(struct mld_graph *g, mld_v x, mld_v w, mld_v b);
/* y = x w + b: w [in, out], as GPT-2's Conv1D stores it. */
mld_v mld_linear_in_out(struct mld_graph *g, mld_v x, mld_v w, mld_v b);
mld_v mld_matmul(struct mld_graph *g, mld_v a, mld_v b); /* numpy semantics */

mld_v mld_add(struct mld_graph *g, mld_v a, mld_v b); /* element-wise, numpy broadcast */
mld_v mld_sub(struct mld_graph *g, mld_v a, mld_v b);
mld_v mld_mul(struct mld_graph *g, mld_v a, mld_v b);
mld_v mld_div(struct mld_graph *g, mld_v a, mld_v b);
mld_v mld_pow(struct mld_graph *g, mld_v a, mld_v b);
mld_v mld_min(struct mld_graph *g, mld_v a, mld_v b);
mld_v mld_max(struct mld_graph *g, mld_v a, mld_v b);
mld_v mld_less(struct mld_graph *g, mld_v a, mld_v b); /* bool */
mld_v mld_less_equal(struct mld_graph *g, mld_v a, mld_v b);
mld_v mld_equal(struct mld_graph *g, mld_v a, mld_v b);
mld_v mld_and(struct mld_graph *g, mld_v a, mld_v b);
mld_v mld_or(struct mld_graph *g, mld_v a, mld_v b);
mld_v mld_not(struct mld_graph *g, mld_v a);
mld_v mld_where(struct mld_graph *g, mld_v cond, mld_v a, mld_v b);
mld_v mld_scale(struct mld_graph *g, mld_v a, double factor); /* a itself when factor 1 */

mld_v mld_neg(struct mld_graph *g, mld_v a);
mld_v mld_abs(struct mld_graph *g, mld_v a);
mld_v mld_exp(struct mld_graph *g, mld_v a);
mld_v mld_ln(struct mld_graph *g, mld_v a); /* natural logarithm; mld_log prints */
mld_v mld_sqrt(struct mld_graph *g, mld_v a);
mld_v mld_sin(struct mld_graph *g, mld_v a);
mld_v mld_cos(struct mld_graph *g, mld_v a);
mld_v mld_tanh(struct mld_graph *g, mld_v a);
mld_v mld_sigmoid(struct mld_graph *g, mld_v a);
mld_v mld_softplus(struct mld_graph *g, mld_v a);
mld_v mld_erf(struct mld_graph *g, mld_v a);
mld_v mld_relu(struct mld_graph *g, mld_v a);
mld_v mld_silu(struct mld_graph *g, mld_v a);
mld_v mld_gelu(struct mld_graph *g, mld_v a);       /* x/2 (1 + erf(x / sqrt 2)) */
mld_v mld_gelu_tanh(struct mld_graph *g, mld_v a);  /* Hendrycks & Gimpel's tanh form */
mld_v mld_quick_gelu(struct mld_graph *g, mld_v a); /* x sigmoid(1.702 x) */
/* By its name in transformers' ACT2FN: "gelu", "gelu_new", "silu" ...; unknown: a fault
 * that offers the nearest. NULL name or "linear": a itself. */
mld_v mld_activation(struct mld_graph *g, const char *name, mld_v a);
/* The names that mld_activation knows, for messages; *n their count. */
const char *const *mld_activation_names(size_t *n);

mld_v mld_softmax(struct mld_graph *g, mld_v a, int axis);
mld_v mld_reduce_mean(struct mld_graph *g, mld_v a, int axis, bool keep);
mld_v mld_reduce_sum(struct mld_graph *g, mld_v a, int axis, bool keep);
mld_v mld_reduce_max(struct mld_graph *g, mld_v a, int axis, bool keep);
mld_v mld_cumsum(struct mld_graph *g, mld_v a, int axis);
mld_v mld_argmax(struct mld_graph *g, mld_v a, int axis); /* i64, axis removed */

mld_v mld_layer_norm(struct mld_graph *g, mld_v x, mld_v w, mld_v b, double eps);
mld_v mld_rms_norm(struct mld_graph *g, mld_v x, mld_v w, double eps);

mld_v mld_embedding(struct mld_graph *g, mld_v table, mld_v ids); /* rows of table */
mld_v mld_gather(struct mld_graph *g, mld_v data, mld_v ids, int axis);

mld_v mld_cast(struct mld_graph *g, mld_v a, enum mld_dtype to);
mld_v mld_reshape(struct mld_graph *g, mld_v a,
                  struct mld_shape shape); /* one -1 allowed */
mld_v mld_transpose(struct mld_graph *g, mld_v a, int rank, const int *perm);
mld_v mld_expand(struct mld_graph *g, mld_v a, struct mld_shape shape);
mld_v mld_concat(struct mld_graph *g, mld_v const *parts, int n, int axis);
/* Elements start .. end - 1 of axis; negative bounds count from the end. */
mld_v mld_slice(struct mld_graph *g, mld_v a, int axis, int64_t start, int64_t end);
/* Cuts axis into n parts of these sizes; parts go to out[]. */
void mld_split(struct mld_graph *g, mld_v a, int axis, const int64_t *sizes, int n,
               mld_v *out);

/* x [B, C, H, W] (or [B, C, L]), w [O, C/groups, k...]; symmetric padding. */
struct mld_conv {
    int64_t stride[3], pad[3], dilation[3]; /* 0 reads as 1 (stride, dilation) */
    int64_t groups;                         /* 0 reads as 1 */
};
mld_v mld_conv(struct mld_graph *g, mld_v x, mld_v w, mld_v b, const struct mld_conv *p);

/* Rotary position embedding on x [B, S, heads * D]: the first `rotary_dim` of each head
 * (0: all D) are turned by cos, sin [S or B*S rows by position_ids: B or 1, S,
 * rotary_dim / 2]. interleaved: pairs are (2i, 2i+1), else (i, i + rotary_dim/2). */
mld_v mld_rotary(struct mld_graph *g, mld_v x, mld_v cos, mld_v sin, int64_t heads,
                 int64_t rotary_dim, bool interleaved);

/* Scaled dot-product attention on projected q [B, S, N*D], k [B, T, M*D], v [B, T, M*E]
 * (M divides N: grouped queries); result [B, S, N*E].
 *   scores = scale * q k^T (+ bias), softcap: c tanh(scores / c), then masked, softmax,
 * v. key_mask [B, T] i64 1 = attend, 0 = masked out. bias broadcasts to [B, N, S, T].
 * causal: key t is seen by query s when t <= s + T - S; window > 0: and s + T - S - t <
 * window. With a cache (past_length not NULL): k, v hold the S new tokens, past_k, past_v
 * [B, M, C, D] the buffers of capacity C of which past_length[b] (i32 [B]) tokens are
 * filled; new tokens are written there, query s of row b has position past_length[b] + s
 * and sees keys up to itself. The node's outputs 1 and 2 are the updated buffers. */
struct mld_attention {
    int64_t heads, kv_heads; /* kv_heads 0: = heads */
    double scale;            /* 0: 1/sqrt(D) */
    bool causal;
    int64_t window;                    /* 0: none */
    double softcap;                    /* 0: none */
    mld_v key_mask;                    /* optional */
    mld_v bias;                        /* optional */
    mld_v past_k, past_v, past_length; /* all or none */
};
mld_v mld_attention(struct mld_graph *g, mld_v q, mld_v k, mld_v v,
                    const struct mld_attention *p);

#endif
