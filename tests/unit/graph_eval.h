/* graph_eval.h: a slow, plain evaluator of graphs, for one test program: each operator by
 * its definition (semantic, standard, and ONNX Runtime's fused ones), every number a
 * double.
 *
 * It shares nothing with the lowering, so that lowered graphs can be compared with what
 * the semantic graph means, on any machine, without an engine. */
#ifndef MLD_TESTS_GRAPH_EVAL_H
#define MLD_TESTS_GRAPH_EVAL_H

#include "kit/kit.h"

#include "base/stream.h"
#include "graph/graph.h"

#include <float.h>
#include <math.h>
#include <string.h>

static struct mld_arena eval_arena; /* of the case's process */
static double **now; /* numbers of the graph that is evaluated, by value id */

static double *numbers(const struct mld_value *v)
{
    return v != NULL ? now[v->id] : NULL;
}

static int64_t count_of(const struct mld_value *v)
{
    return mld_shape_count(&v->shape);
}

static int64_t last_of(const struct mld_value *v)
{
    return v->shape.rank > 0 ? v->shape.d[v->shape.rank - 1] : 1;
}

static const struct mld_value *operand(const struct mld_node *n, int i)
{
    return i < n->in_count ? n->in[i] : NULL;
}

/* --- leaves ------------------------------------------------------------------------ */

static double const_at(const struct mld_value *v, int64_t i)
{
    const char *p = v->data;
    float f;
    int32_t i32;
    int64_t i64;
    if (v->dtype == MLD_F32) {
        memcpy(&f, p + i * 4, 4);
        return (double)f;
    }
    if (v->dtype == MLD_I32) {
        memcpy(&i32, p + i * 4, 4);
        return i32;
    }
    if (v->dtype == MLD_BOOL)
        return p[i] != 0;
    memcpy(&i64, p + i * 8, 8);
    return (double)i64;
}

/* Ids and masks by hand: 0, 1 and 2 in turn; lengths by their fill; floats by name. */
static double leaf_at(const struct mld_graph *g, const struct mld_value *v, int64_t i)
{
    if (v->kind == MLD_VALUE_CONST)
        return const_at(v, i);
    if (v->dtype == MLD_F32)
        return mld_stream_at(mld_stream_seed(v->name), (uint64_t)i);
    for (size_t k = 0; k < g->input_count; k++)
        if (g->inputs[k].value == v && g->inputs[k].fill == MLD_FILL_VALUE)
            return (double)g->inputs[k].low + (double)i; /* rows differ */
        else if (g->inputs[k].value == v && g->inputs[k].fill == MLD_FILL_ZEROS)
            return 0;
    if (strcmp(v->name, "mask") == 0 || strcmp(v->name, "attention_mask") == 0)
        return i != 0 && i % 3 != 1; /* holes, and the first key hidden */
    return (double)(i % 3);
}

static double derived_at(const struct mld_graph *g, const struct mld_value *v, int64_t i)
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
    return p->mul * leaf_at(g, mld_graph_find(g, p->param->name), at) + p->add;
}

/* --- broadcasting and products ----------------------------------------------------- */

/* Index into v of element i of a result of shape s. */
static int64_t broadcast_at(const struct mld_value *v, const struct mld_shape *s,
                            int64_t i)
{
    int64_t at = 0, step = 1;
    for (int d = s->rank - 1, k = v->shape.rank - 1; d >= 0; d--, k--) {
        int64_t c = i % s->d[d];
        i /= s->d[d];
        if (k >= 0) {
            at += v->shape.d[k] == 1 ? 0 : c * step;
            step *= v->shape.d[k];
        }
    }
    return at;
}

static double binary(enum mld_op op, double a, double b)
{
    switch ((int)op) {
    case MLD_OP_ADD:
        return (double)(float)(a + b); /* a penalty swallows its score, as in floats */
    case MLD_OP_SUB:
        return a - b;
    case MLD_OP_MUL:
        return a * b;
    case MLD_OP_DIV:
        return a / b;
    case MLD_OP_POW:
        return pow(a, b);
    case MLD_OP_MIN:
        return fmin(a, b);
    case MLD_OP_MAX:
        return fmax(a, b);
    case MLD_OP_LESS:
        return a < b;
    case MLD_OP_LESS_EQUAL:
        return a <= b;
    case MLD_OP_AND:
        return a != 0 && b != 0;
    default:
        KIT_FAIL("no definition of '%s'", mld_op_name(op));
    }
}

static double sigmoid(double x)
{
    return 1 / (1 + exp(-x));
}

static double unary(const struct mld_node *n, double x)
{
    switch ((int)n->op) {
    case MLD_OP_ERF:
        return erf(x);
    case MLD_OP_SQRT:
        return sqrt(x);
    case MLD_OP_TANH:
        return tanh(x);
    case MLD_OP_SIGMOID:
        return sigmoid(x);
    case MLD_OP_GELU:
    case MLD_OP_ORT_GELU:
        return x / 2 * (1 + erf(x / sqrt(2)));
    case MLD_OP_GELU_TANH:
    case MLD_OP_ORT_FAST_GELU:
        return x / 2 * (1 + tanh(sqrt(2 / acos(-1)) * (x + 0.044715 * x * x * x)));
    case MLD_OP_QUICK_GELU:
        return x * sigmoid(1.702 * x);
    case MLD_OP_SILU:
        return x * sigmoid(x);
    case MLD_OP_ORT_QUICK_GELU:
        return x * sigmoid(mld_node_float(n, "alpha", 1.702) * x);
    case MLD_OP_CAST:
        return n->out[0]->dtype == MLD_BOOL ? x != 0 : x;
    default:
        KIT_FAIL("no definition of '%s'", mld_op_name(n->op));
    }
}

/* y[b] = alpha op(a[b]) op(w[b]) over stacks that broadcast. */
static void product(const struct mld_node *n, bool ta, bool tb, double alpha)
{
    const struct mld_value *a = n->in[0], *b = n->in[1], *y = n->out[0];
    int ra = a->shape.rank, rb = b->shape.rank, ry = y->shape.rank;
    int64_t rows = ry > 1 ? y->shape.d[ry - 2] : 1, cols = last_of(y);
    int64_t depth = ta ? a->shape.d[ra - 2] : last_of(a);
    struct mld_shape stack = mld_shape_from(y->shape.d, ry > 1 ? ry - 2 : 0);
    struct mld_value sa = *a, sb = *b;
    sa.shape.rank = ra > 1 ? ra - 2 : 0;
    sb.shape.rank = rb - 2;
    for (int64_t s = 0; s < mld_shape_count(&stack); s++) {
        const double *pa = numbers(a) + broadcast_at(&sa, &stack, s) * rows * depth;
        const double *pb = numbers(b) + broadcast_at(&sb, &stack, s) * depth * cols;
        for (int64_t i = 0; i < rows; i++)
            for (int64_t k = 0; k < cols; k++) {
                double sum = 0;
                for (int64_t d = 0; d < depth; d++)
                    sum += (ta ? pa[d * rows + i] : pa[i * depth + d]) *
                           (tb ? pb[k * depth + d] : pb[d * cols + k]);
                numbers(y)[(s * rows + i) * cols + k] = alpha * sum;
            }
    }
}

static void add_operand(const struct mld_node *n, const struct mld_value *c)
{
    const struct mld_value *y = n->out[0];
    for (int64_t i = 0; c != NULL && i < count_of(y); i++)
        numbers(y)[i] += numbers(c)[broadcast_at(c, &y->shape, i)];
}

static void linear(const struct mld_node *n, bool turned)
{
    struct mld_node flat = *n; /* rows as one matrix */
    struct mld_value x = *n->in[0], y = *n->out[0];
    x.shape = MLD_SHAPE(count_of(&x) / last_of(&x), last_of(n->in[0]));
    y.shape = MLD_SHAPE(count_of(&y) / last_of(&y), last_of(n->out[0]));
    flat.in[0] = &x;
    flat.out[0] = &y;
    product(&flat, false, turned, 1);
    add_operand(n, operand(n, 2));
}

/* --- rows -------------------------------------------------------------------------- */

static void softmax_row(double *x, int64_t n)
{
    double top = x[0], sum = 0;
    for (int64_t i = 1; i < n; i++)
        top = fmax(top, x[i]);
    for (int64_t i = 0; i < n; i++)
        sum += x[i] = exp(x[i] - top);
    for (int64_t i = 0; i < n; i++)
        x[i] /= sum;
}

static void norm(const struct mld_node *n, bool center)
{
    int64_t width = last_of(n->in[0]);
    const double *w = numbers(n->in[1]), *b = numbers(operand(n, 2));
    double eps = mld_node_float(n, "epsilon", 0);
    for (int64_t at = 0; at < count_of(n->in[0]); at += width) {
        const double *x = numbers(n->in[0]) + at;
        double mean = 0, square = 0;
        for (int64_t i = 0; center && i < width; i++)
            mean += x[i] / (double)width;
        for (int64_t i = 0; i < width; i++)
            square += (x[i] - mean) * (x[i] - mean) / (double)width;
        for (int64_t i = 0; i < width; i++)
            numbers(n->out[0])[at + i] =
                (x[i] - mean) / sqrt(square + eps) * w[i] + (b != NULL ? b[i] : 0);
    }
}

/* --- attention --------------------------------------------------------------------- */

/* One way to see all attentions: rows of q against keys that get(row of keys) finds. */
struct attend {
    int64_t batch, queries, keys, heads, kv_heads, head, value_head, window;
    double scale, cap;
    bool causal;
    const double *q, *k, *v;           /* [B, S, N D], [B, T, M D], [B, T, M E] */
    int64_t q_row, k_row, v_row;       /* distance of two tokens */
    const double *buffer_k, *buffer_v; /* [B, M, C, D]: keys come from here instead */
    const int64_t *past; /* with buffers: position of the first query, [B] */
    const double *mask;  /* [B, T] */
    const struct mld_value *bias;
};

static double score(const struct attend *a, int64_t b, int64_t h, int64_t s, int64_t t)
{
    int64_t m = h / (a->heads / a->kv_heads);
    const double *q = a->q + (b * a->queries + s) * a->q_row + h * a->head;
    const double *k = a->buffer_k != NULL
                          ? a->buffer_k + ((b * a->kv_heads + m) * a->keys + t) * a->head
                          : a->k + (b * a->keys + t) * a->k_row + m * a->head;
    const struct mld_shape full = MLD_SHAPE(a->batch, a->heads, a->queries, a->keys);
    double sum = 0;
    for (int64_t d = 0; d < a->head; d++)
        sum += q[d] * k[d];
    sum *= a->scale;
    if (a->bias != NULL) {
        int64_t i = ((b * a->heads + h) * a->queries + s) * a->keys + t;
        sum = (double)(float)(sum + numbers(a->bias)[broadcast_at(a->bias, &full, i)]);
    }
    if (a->cap > 0)
        sum = a->cap * tanh(sum / a->cap);
    int64_t back = (a->past != NULL ? a->past[b] : a->keys - a->queries) + s - t;
    bool seen = (!a->causal || back >= 0) && (a->window == 0 || back < a->window) &&
                (a->mask == NULL || a->mask[b * a->keys + t] != 0);
    return seen ? sum : -(double)FLT_MAX;
}

static void attend(const struct attend *a, double *y)
{
    double *p = mld_arena_array(&eval_arena, (size_t)a->keys, sizeof(*p));
    for (int64_t i = 0; i < a->batch * a->queries * a->heads; i++) {
        int64_t h = i % a->heads, s = i / a->heads % a->queries;
        int64_t b = i / a->heads / a->queries, m = h / (a->heads / a->kv_heads);
        for (int64_t t = 0; t < a->keys; t++)
            p[t] = score(a, b, h, s, t);
        softmax_row(p, a->keys);
        for (int64_t e = 0; e < a->value_head; e++) {
            double sum = 0;
            for (int64_t t = 0; t < a->keys; t++)
                sum += p[t] *
                       (a->buffer_v != NULL
                            ? a->buffer_v[((b * a->kv_heads + m) * a->keys + t) *
                                              a->value_head +
                                          e]
                            : a->v[(b * a->keys + t) * a->v_row + m * a->value_head + e]);
            y[i * a->value_head + e] = sum;
        }
    }
}

static struct attend attend_plain(const struct mld_node *n, int64_t heads,
                                  int64_t kv_heads)
{
    const struct mld_value *q = n->in[0], *k = n->in[1], *v = n->in[2];
    struct attend a = {.batch = q->shape.d[0],
                       .queries = q->shape.d[1],
                       .keys = k->shape.d[1],
                       .heads = heads,
                       .kv_heads = kv_heads};
    a.head = q->shape.d[2] / heads;
    a.value_head = v->shape.d[2] / kv_heads;
    a.scale = mld_node_float(n, "scale", 1 / sqrt((double)a.head));
    a.q = numbers(q);
    a.k = numbers(k);
    a.v = numbers(v);
    a.q_row = q->shape.d[2];
    a.k_row = k->shape.d[2];
    a.v_row = v->shape.d[2];
    return a;
}

/* Copies the buffer and writes the new tokens at past[b] and on. */
static const double *grown(const struct mld_value *buffer, const struct mld_value *fresh,
                           const int64_t *past, double *out)
{
    int64_t heads = buffer->shape.d[1], room = buffer->shape.d[2], size = last_of(buffer);
    memcpy(out, numbers(buffer), (size_t)count_of(buffer) * sizeof(*out));
    for (int64_t i = 0; i < count_of(fresh); i++) {
        int64_t e = i % size, m = i / size % heads, token = i / size / heads;
        int64_t b = token / fresh->shape.d[1], s = token % fresh->shape.d[1];
        out[((b * heads + m) * room + past[b] + s) * size + e] = numbers(fresh)[i];
    }
    return out;
}

static void attention_cached(const struct mld_node *n, struct attend *a,
                             const struct mld_value *buffers[2], int64_t *past)
{
    a->buffer_k = grown(buffers[0], n->in[1], past, numbers(n->out[1]));
    a->buffer_v = grown(buffers[1], n->in[2], past, numbers(n->out[2]));
    a->keys = buffers[0]->shape.d[2];
    a->past = past;
    a->causal = true;
    attend(a, numbers(n->out[0]));
}

static void attention(const struct mld_node *n)
{
    struct attend a =
        attend_plain(n, mld_node_int(n, "heads", 1), mld_node_int(n, "kv_heads", 1));
    a.causal = mld_node_int(n, "causal", 0) != 0;
    a.window = mld_node_int(n, "window", 0);
    a.cap = mld_node_float(n, "softcap", 0);
    a.mask = numbers(operand(n, 3));
    a.bias = operand(n, 4);
    if (n->in_count <= 5) {
        attend(&a, numbers(n->out[0]));
        return;
    }
    int64_t past[8];
    for (int64_t b = 0; b < a.batch; b++)
        past[b] = (int64_t)numbers(n->in[7])[b];
    attention_cached(n, &a, (const struct mld_value *[]){n->in[5], n->in[6]}, past);
}

static void ort_multi_head(const struct mld_node *n)
{
    int64_t heads = mld_node_int(n, "num_heads", 1);
    struct attend a = attend_plain(n, heads, heads);
    a.causal = mld_node_int(n, "unidirectional", 0) != 0;
    a.mask = numbers(operand(n, 4));
    a.bias = operand(n, 5);
    KIT_CHECK(operand(n, 3) == NULL);
    KIT_CHECK(a.mask == NULL || !a.causal); /* a key hidden twice would fall to -inf */
    attend(&a, numbers(n->out[0]));
}

static void ort_attention(const struct mld_node *n)
{
    struct mld_node flat = *n;
    struct mld_value x = *n->in[0], all = {.shape = MLD_SHAPE(1, 1)}, *w = n->in[1];
    int64_t rows = x.shape.d[0] * x.shape.d[1], width = last_of(w);
    int64_t heads = mld_node_int(n, "num_heads", 1), out = last_of(n->out[0]);
    int64_t inner = (width - out) / 2;
    double *keep = now[0], *qkv = mld_arena_array(&eval_arena, (size_t)(rows * width), 8);
    x.shape = MLD_SHAPE(rows, last_of(n->in[0]));
    all.shape = MLD_SHAPE(rows, width);
    all.id = (uint32_t)0; /* borrows a place for its numbers while the product runs */
    KIT_CHECK(x.id != 0 && w->id != 0);
    now[0] = qkv;
    flat.in[0] = &x;
    flat.out[0] = &all;
    product(&flat, false, false, 1);
    now[0] = keep;
    const double *b = numbers(operand(n, 2));
    for (int64_t i = 0; b != NULL && i < rows * width; i++)
        qkv[i] += b[i % width];
    struct attend a = {.batch = n->in[0]->shape.d[0],
                       .queries = n->in[0]->shape.d[1],
                       .heads = heads,
                       .kv_heads = heads,
                       .head = inner / heads,
                       .value_head = out / heads,
                       .q = qkv,
                       .k = qkv + inner,
                       .v = qkv + 2 * inner,
                       .q_row = width,
                       .k_row = width,
                       .v_row = width};
    a.keys = a.queries;
    a.scale = mld_node_float(n, "scale", 1);
    a.causal = mld_node_int(n, "unidirectional", 0) != 0;
    a.mask = numbers(operand(n, 3));
    a.bias = operand(n, 5);
    KIT_CHECK(a.mask == NULL || !a.causal);
    attend(&a, numbers(n->out[0]));
}

static void ort_group_query(const struct mld_node *n)
{
    struct attend a = attend_plain(n, mld_node_int(n, "num_heads", 1),
                                   mld_node_int(n, "kv_num_heads", 1));
    int64_t past[8], longest = 0;
    for (int64_t b = 0; b < a.batch; b++) {
        past[b] = (int64_t)numbers(n->in[5])[b] + 1 - a.queries;
        longest = past[b] + a.queries > longest ? past[b] + a.queries : longest;
        KIT_CHECK(a.queries == 1 || past[b] == 0); /* what the engine can */
    }
    KIT_NEAR(numbers(n->in[6])[0], longest, 0);
    a.window = mld_node_int(n, "local_window_size", 0);
    a.cap = mld_node_float(n, "softcap", 0);
    attention_cached(n, &a, (const struct mld_value *[]){n->in[3], n->in[4]}, past);
}

/* Rotates pairs of each head; row(b, s) of the tables. */
static void rotary(const struct mld_node *n, int64_t heads, int64_t rot, bool pairs,
                   const struct mld_value *cos_v, const struct mld_value *sin_v,
                   const struct mld_value *ids)
{
    const struct mld_value *x = n->in[0];
    int64_t tokens = x->shape.d[1], head = last_of(x) / heads, half = rot / 2;
    memcpy(numbers(n->out[0]), numbers(x), (size_t)count_of(x) * sizeof(double));
    for (int64_t i = 0; i < x->shape.d[0] * tokens * heads; i++) {
        int64_t token = i / heads, row = token;
        if (ids != NULL)
            row = (int64_t)numbers(ids)[count_of(ids) == 1 ? 0 : token] +
                  (count_of(ids) == 1 ? token % tokens : 0);
        else if (count_of(cos_v) == tokens * half)
            row = token % tokens;
        const double *from = numbers(x) + i * head;
        double *to = numbers(n->out[0]) + i * head;
        for (int64_t k = 0; k < half; k++) {
            int64_t p = pairs ? 2 * k : k, q = pairs ? 2 * k + 1 : k + half;
            double c = numbers(cos_v)[row * half + k], s = numbers(sin_v)[row * half + k];
            to[p] = from[p] * c - from[q] * s;
            to[q] = from[q] * c + from[p] * s;
        }
    }
}

/* --- moves ------------------------------------------------------------------------- */

static void gather(const struct mld_node *n) /* axis 0 only */
{
    KIT_EQ_INT(mld_node_int(n, "axis", 0), 0);
    int64_t row = count_of(n->in[0]) / n->in[0]->shape.d[0];
    for (int64_t i = 0; i < count_of(n->out[0]); i++)
        numbers(n->out[0])[i] =
            numbers(n->in[0])[(int64_t)numbers(n->in[1])[i / row] * row + i % row];
}

static void transpose(const struct mld_node *n)
{
    const struct mld_shape *from = &n->in[0]->shape, *to = &n->out[0]->shape;
    const struct mld_attr *perm = mld_node_attr(n, "perm");
    for (int64_t i = 0; i < count_of(n->out[0]); i++) {
        int64_t c[MLD_MAX_RANK] = {0}, rest = i, at = 0;
        for (int d = to->rank - 1; d >= 0; d--) {
            c[perm->ints[d]] = rest % to->d[d];
            rest /= to->d[d];
        }
        for (int d = 0; d < from->rank; d++)
            at = at * from->d[d] + c[d];
        numbers(n->out[0])[i] = numbers(n->in[0])[at];
    }
}

/* Element (outer, k, inner) of parts that lie behind each other along axis. */
static void concat(const struct mld_node *n)
{
    int64_t axis = mld_node_int(n, "axis", 0), inner = 1, start = 0;
    const struct mld_shape *to = &n->out[0]->shape;
    axis += axis < 0 ? to->rank : 0;
    for (int d = (int)axis + 1; d < to->rank; d++)
        inner *= to->d[d];
    for (int p = 0; p < n->in_count; p++) {
        int64_t length = n->in[p]->shape.d[axis];
        for (int64_t i = 0; i < count_of(n->in[p]); i++) {
            int64_t in = i % inner, k = i / inner % length, out = i / inner / length;
            numbers(n->out[0])[(out * to->d[axis] + start + k) * inner + in] =
                numbers(n->in[p])[i];
        }
        start += length;
    }
}

static void cut(const struct mld_node *n, const struct mld_value *part, int64_t axis,
                int64_t start)
{
    const struct mld_shape *from = &n->in[0]->shape;
    int64_t inner = 1;
    axis += axis < 0 ? from->rank : 0;
    start += start < 0 ? from->d[axis] : 0;
    for (int d = (int)axis + 1; d < from->rank; d++)
        inner *= from->d[d];
    int64_t length = part->shape.d[axis];
    for (int64_t i = 0; i < count_of(part); i++) {
        int64_t in = i % inner, k = i / inner % length, out = i / inner / length;
        numbers(part)[i] =
            numbers(n->in[0])[(out * from->d[axis] + start + k) * inner + in];
    }
}

static void split(const struct mld_node *n)
{
    int64_t axis = mld_node_int(n, "axis", 0), at = 0;
    for (int i = 0; i < n->out_count; i++) {
        cut(n, n->out[i], axis, at);
        at += (int64_t)numbers(n->in[1])[i];
    }
}

static void scatter_nd(const struct mld_node *n)
{
    const struct mld_value *data = n->in[0], *ids = n->in[1], *updates = n->in[2];
    int64_t k = last_of(ids), rows = count_of(ids) / k, row = count_of(updates) / rows;
    memcpy(numbers(n->out[0]), numbers(data), (size_t)count_of(data) * sizeof(double));
    for (int64_t r = 0; r < rows; r++) {
        int64_t at = 0;
        for (int64_t d = 0; d < k; d++)
            at = at * data->shape.d[d] + (int64_t)numbers(ids)[r * k + d];
        memcpy(numbers(n->out[0]) + at * row, numbers(updates) + r * row,
               (size_t)row * sizeof(double));
    }
}

static void reduce(const struct mld_node *n) /* last axis, or the only one */
{
    int64_t width = last_of(n->in[0]);
    for (int64_t i = 0; i < count_of(n->out[0]); i++) {
        const double *x = numbers(n->in[0]) + i * width;
        double sum = 0, top = x[0];
        for (int64_t k = 0; k < width; k++) {
            sum += x[k];
            top = fmax(top, x[k]);
        }
        numbers(n->out[0])[i] = n->op == MLD_OP_REDUCE_MAX ? top : sum / (double)width;
    }
}

/* --- evaluation -------------------------------------------------------------------- */

static void element_wise(const struct mld_node *n)
{
    const struct mld_value *y = n->out[0];
    for (int64_t i = 0; i < count_of(y); i++) {
        double x[3] = {0};
        for (int k = 0; k < n->in_count; k++)
            x[k] = numbers(n->in[k])[broadcast_at(n->in[k], &y->shape, i)];
        if (n->op == MLD_OP_WHERE)
            numbers(y)[i] = x[0] != 0 ? x[1] : x[2];
        else if (n->op == MLD_OP_ORT_FAST_GELU) /* adds its bias */
            numbers(y)[i] = unary(n, x[0] + x[1]);
        else
            numbers(y)[i] = n->in_count == 1 ? unary(n, x[0]) : binary(n->op, x[0], x[1]);
    }
}

static void run(const struct mld_node *n)
{
    switch ((int)n->op) {
    case MLD_OP_LINEAR:
    case MLD_OP_LINEAR_IN_OUT:
        linear(n, n->op == MLD_OP_LINEAR);
        break;
    case MLD_OP_MATMUL:
        product(n, false, false, 1);
        break;
    case MLD_OP_ORT_FUSED_MATMUL:
    case MLD_OP_GEMM:
        product(n, mld_node_int(n, "transA", 0) != 0, mld_node_int(n, "transB", 0) != 0,
                mld_node_float(n, "alpha", 1));
        add_operand(n, operand(n, 2));
        break;
    case MLD_OP_ATTENTION:
        attention(n);
        break;
    case MLD_OP_ORT_ATTENTION:
        ort_attention(n);
        break;
    case MLD_OP_ORT_MULTI_HEAD:
        ort_multi_head(n);
        break;
    case MLD_OP_ORT_GROUP_QUERY:
        ort_group_query(n);
        break;
    case MLD_OP_ROTARY:
        rotary(n, mld_node_int(n, "heads", 1), mld_node_int(n, "rotary_dim", 2),
               mld_node_int(n, "interleaved", 0) != 0, n->in[1], n->in[2], NULL);
        break;
    case MLD_OP_ORT_ROTARY:
        rotary(n, mld_node_int(n, "num_heads", 1), 2 * last_of(n->in[2]),
               mld_node_int(n, "interleaved", 0) != 0, n->in[2], n->in[3], n->in[1]);
        break;
    case MLD_OP_LAYER_NORM:
        norm(n, true);
        break;
    case MLD_OP_RMS_NORM:
    case MLD_OP_ONNX_RMS_NORM:
        norm(n, false);
        break;
    case MLD_OP_SOFTMAX:
        memcpy(numbers(n->out[0]), numbers(n->in[0]),
               (size_t)count_of(n->in[0]) * sizeof(double));
        for (int64_t i = 0; i < count_of(n->in[0]); i += last_of(n->in[0]))
            softmax_row(numbers(n->out[0]) + i, last_of(n->in[0]));
        break;
    case MLD_OP_REDUCE_MEAN:
    case MLD_OP_REDUCE_MAX:
        reduce(n);
        break;
    case MLD_OP_GATHER:
        gather(n);
        break;
    case MLD_OP_SCATTER_ND:
        scatter_nd(n);
        break;
    case MLD_OP_RESHAPE:
        memcpy(numbers(n->out[0]), numbers(n->in[0]),
               (size_t)count_of(n->in[0]) * sizeof(double));
        break;
    case MLD_OP_TRANSPOSE:
        transpose(n);
        break;
    case MLD_OP_EXPAND:
        for (int64_t i = 0; i < count_of(n->out[0]); i++)
            numbers(n->out[0])[i] =
                numbers(n->in[0])[broadcast_at(n->in[0], &n->out[0]->shape, i)];
        break;
    case MLD_OP_CONCAT:
        concat(n);
        break;
    case MLD_OP_SLICE: /* of one axis, as our builder makes it */
        cut(n, n->out[0], (int64_t)numbers(n->in[3])[0], (int64_t)numbers(n->in[1])[0]);
        break;
    case MLD_OP_SPLIT:
        split(n);
        break;
    default:
        element_wise(n);
        break;
    }
}

/* The numbers of output 0, 1 ... of g. */
static double **evaluate(const struct mld_graph *g)
{
    now = mld_arena_array(&eval_arena, g->value_count, sizeof(*now));
    for (size_t i = 0; i < g->value_count; i++) {
        const struct mld_value *v = g->values[i];
        now[i] = mld_arena_array(&eval_arena, (size_t)count_of(v), sizeof(double));
        KIT_CHECK(now[i] != NULL);
        for (int64_t k = 0; v->kind != MLD_VALUE_COMPUTED && k < count_of(v); k++)
            now[i][k] =
                v->kind == MLD_VALUE_DERIVED ? derived_at(g, v, k) : leaf_at(g, v, k);
    }
    for (size_t i = 0; i < g->node_count; i++)
        run(g->nodes[i]);
    double **out = mld_arena_array(&eval_arena, g->output_count, sizeof(*out));
    for (size_t i = 0; i < g->output_count; i++)
        out[i] = now[g->outputs[i].value->id];
    return out;
}

#endif
