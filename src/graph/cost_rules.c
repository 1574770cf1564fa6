/* cost_rules.c: floating-point operations and bytes of each operator, and of a graph.
 *
 * Matrix products and convolutions count 2 FLOPs per multiply-add, attention's two
 * products over all S x T pairs whether or not a mask hides some (as PyTorch's
 * FlopCounterMode counts). Element-wise work counts one FLOP per element and per step of
 * the plain formula (softmax 5, normalisations 8, gelu 8), comparisons and selections
 * included; moving data counts none. Bytes are what a node would read and write without
 * any fusion or cache. */
#include "graph/op_rules.h"

#include "base/alloc.h"

#include <string.h>

static double count_of(const struct mld_value *v)
{
    return v != NULL ? (double)mld_shape_count(&v->shape) : 0;
}

static double bytes_of(const struct mld_value *v)
{
    return v != NULL ? count_of(v) * mld_dtype_bits(v->dtype) / 8 : 0;
}

static void all_bytes(const struct mld_node *n, struct mld_cost *c)
{
    for (int i = 0; i < n->in_count; i++)
        c->read_bytes += bytes_of(n->in[i]);
    for (int i = 0; i < n->out_count; i++)
        c->write_bytes += bytes_of(n->out[i]);
}

static void element_work(const struct mld_node *n, double steps, struct mld_cost *c)
{
    all_bytes(n, c);
    c->flops = steps * count_of(n->out[0]);
}

static void product_work(const struct mld_node *n, double depth, struct mld_cost *c)
{
    all_bytes(n, c);
    c->matmul_flops = 2 * count_of(n->out[0]) * depth;
    c->flops = c->matmul_flops;
}

static double last_of(const struct mld_value *v)
{
    return v->shape.rank > 0 ? (double)v->shape.d[v->shape.rank - 1] : 1;
}

void mld_cost_element(const struct mld_node *n, struct mld_cost *c)
{
    element_work(n, 1, c);
}

void mld_cost_gelu(const struct mld_node *n, struct mld_cost *c)
{
    element_work(n, n->in_count > 1 ? 9 : 8, c);
}

void mld_cost_softmax(const struct mld_node *n, struct mld_cost *c)
{
    element_work(n, 5, c);
}

void mld_cost_norm(const struct mld_node *n, struct mld_cost *c)
{
    element_work(n, 8, c);
}

void mld_cost_rotary(const struct mld_node *n, struct mld_cost *c)
{
    element_work(n, 3, c);
}

void mld_cost_reduce(const struct mld_node *n, struct mld_cost *c)
{
    all_bytes(n, c);
    c->flops = count_of(n->in[0]);
}

/* Copies: bytes only. */
void mld_cost_move(const struct mld_node *n, struct mld_cost *c)
{
    all_bytes(n, c);
}

/* No data moves. */
void mld_cost_view(const struct mld_node *n, struct mld_cost *c)
{
    (void)n;
    (void)c;
}

/* Only the rows that are taken are read. */
void mld_cost_gather(const struct mld_node *n, struct mld_cost *c)
{
    c->write_bytes = bytes_of(n->out[0]);
    c->read_bytes = c->write_bytes + bytes_of(n->in[1]);
}

void mld_cost_slice(const struct mld_node *n, struct mld_cost *c)
{
    c->write_bytes = bytes_of(n->out[0]);
    c->read_bytes = c->write_bytes;
}

/* In place: only the updates move. */
void mld_cost_scatter_nd(const struct mld_node *n, struct mld_cost *c)
{
    c->read_bytes = bytes_of(n->in[1]) + bytes_of(n->in[2]);
    c->write_bytes = bytes_of(n->in[2]);
}

void mld_cost_linear(const struct mld_node *n, struct mld_cost *c)
{
    product_work(n, last_of(n->in[0]), c);
    if (n->in_count > 2)
        c->flops += count_of(n->out[0]);
}

void mld_cost_matmul(const struct mld_node *n, struct mld_cost *c)
{
    product_work(n, last_of(n->in[0]), c);
}

void mld_cost_gemm(const struct mld_node *n, struct mld_cost *c)
{
    int axis = mld_node_int(n, "transA", 0) != 0 ? 0 : 1;
    product_work(n, (double)n->in[0]->shape.d[axis], c);
    if (n->in_count > 2)
        c->flops += count_of(n->out[0]);
}

void mld_cost_conv(const struct mld_node *n, struct mld_cost *c)
{
    product_work(n, count_of(n->in[1]) / (double)n->in[1]->shape.d[0], c);
    if (n->in_count > 2)
        c->flops += count_of(n->out[0]);
}

/* Scores and values over all pairs, softmax, and what a bias or mask adds. */
static void attention_work(double batch, double heads, double queries, double keys,
                           double head, double value_head, int extras, struct mld_cost *c)
{
    double pairs = batch * heads * queries * keys;
    c->matmul_flops += 2 * pairs * (head + value_head);
    c->flops += 2 * pairs * (head + value_head) + pairs * (6 + extras);
}

/* With a cache, keys are the tokens that the case is built for (attribute tokens), not
 * the buffer's capacity; of the buffers only these are read, and only new ones written.
 */
void mld_cost_attention(const struct mld_node *n, struct mld_cost *c)
{
    const struct mld_shape *q = &n->in[0]->shape;
    double heads = (double)mld_node_int(n, "heads", 1);
    double kv_heads = (double)mld_node_int(n, "kv_heads", 1);
    double keys = (double)n->in[1]->shape.d[1];
    double value_head = (double)n->in[2]->shape.d[2] / kv_heads;
    int extras = 0;
    bool cached = n->in_count > 5;
    if (cached)
        keys = (double)mld_node_int(n, "tokens", n->in[5]->shape.d[2]);
    for (int i = 3; i < n->in_count && i < 5; i++)
        extras += n->in[i] != NULL;
    attention_work((double)q->d[0], heads, (double)q->d[1], keys, (double)q->d[2] / heads,
                   value_head, extras, c);
    for (int i = 0; i < n->in_count && i < 5; i++)
        c->read_bytes += bytes_of(n->in[i]);
    c->write_bytes += bytes_of(n->out[0]);
    for (int i = 5; cached && i < 7; i++) {
        c->read_bytes += bytes_of(n->in[i]) / (double)n->in[i]->shape.d[2] * keys;
        c->write_bytes += bytes_of(n->in[i - 4]);
    }
}

void mld_cost_ort_attention(const struct mld_node *n, struct mld_cost *c)
{
    const struct mld_shape *x = &n->in[0]->shape;
    double heads = (double)mld_node_int(n, "num_heads", 1);
    double rows = (double)(x->d[0] * x->d[1]), width = (double)n->in[1]->shape.d[1];
    double value_width = last_of(n->out[0]), head_width = (width - value_width) / 2;
    all_bytes(n, c);
    c->matmul_flops = 2 * rows * (double)x->d[2] * width;
    c->flops = c->matmul_flops + (n->in_count > 2 && n->in[2] != NULL ? rows * width : 0);
    attention_work((double)x->d[0], heads, (double)x->d[1], (double)x->d[1],
                   head_width / heads, value_width / heads, n->in_count > 3, c);
}

void mld_cost_ort_multi_head(const struct mld_node *n, struct mld_cost *c)
{
    const struct mld_shape *q = &n->in[0]->shape;
    double heads = (double)mld_node_int(n, "num_heads", 1);
    all_bytes(n, c);
    attention_work((double)q->d[0], heads, (double)q->d[1], (double)n->in[1]->shape.d[1],
                   (double)q->d[2] / heads, last_of(n->in[2]) / heads, n->in_count > 4,
                   c);
}

void mld_cost_ort_group_query(const struct mld_node *n, struct mld_cost *c)
{
    const struct mld_shape *q = &n->in[0]->shape;
    double heads = (double)mld_node_int(n, "num_heads", 1);
    double head = (double)q->d[2] / heads;
    double keys = (double)mld_node_int(n, "_tokens", n->in[3]->shape.d[2]);
    attention_work((double)q->d[0], heads, (double)q->d[1], keys, head, head, 0, c);
    for (int i = 0; i < 3; i++)
        c->read_bytes += bytes_of(n->in[i]);
    c->write_bytes += bytes_of(n->out[0]);
    for (int i = 3; i < 5; i++) {
        c->read_bytes += bytes_of(n->in[i]) / (double)n->in[i]->shape.d[2] * keys;
        c->write_bytes += bytes_of(n->in[i - 2]);
    }
}

/* --- whole graphs ------------------------------------------------------------------ */

struct mld_cost mld_node_cost(const struct mld_node *n)
{
    struct mld_cost c = {0};
    const struct mld_op_row *row = mld_op_row(n->op);
    if (row != NULL)
        row->cost(n, &c);
    return c;
}

/* Bytes alive at once, walking nodes in order: a value lives from its node to its last
 * reader (outputs to the end). last[] holds 1 + the index of the last reader. */
static double activation_peak(const struct mld_graph *g, uint32_t *last)
{
    for (size_t i = 0; i < g->node_count; i++)
        for (int k = 0; k < g->nodes[i]->in_count; k++)
            if (g->nodes[i]->in[k] != NULL)
                last[g->nodes[i]->in[k]->id] = (uint32_t)i + 1;
    for (size_t i = 0; i < g->output_count; i++)
        last[g->outputs[i].value->id] = (uint32_t)g->node_count + 1;
    double live = 0, peak = 0;
    for (size_t i = 0; i < g->node_count; i++) {
        const struct mld_node *n = g->nodes[i];
        for (int k = 0; k < n->out_count; k++)
            live += bytes_of(n->out[k]);
        if (live > peak)
            peak = live;
        for (int k = 0; k < n->in_count; k++) {
            const struct mld_value *v = n->in[k];
            if (v != NULL && v->kind == MLD_VALUE_COMPUTED && last[v->id] == i + 1) {
                live -= bytes_of(v);
                last[v->id] = 0; /* an operand named twice dies once */
            }
        }
        for (int k = 0; k < n->out_count; k++)
            if (n->out[k] != NULL && last[n->out[k]->id] == 0)
                live -= bytes_of(n->out[k]); /* never read */
    }
    return peak;
}

struct mld_cost mld_graph_cost(const struct mld_graph *g)
{
    struct mld_cost total = {0};
    for (size_t i = 0; i < g->node_count; i++) {
        struct mld_cost c = mld_node_cost(g->nodes[i]);
        total.flops += c.flops;
        total.matmul_flops += c.matmul_flops;
        total.read_bytes += c.read_bytes;
        total.write_bytes += c.write_bytes;
    }
    uint32_t *last = mld_calloc(g->value_count + 1, sizeof(*last));
    if (last == NULL)
        return total; /* peak and weights stay 0: unknown */
    total.activation_peak_bytes = activation_peak(g, last);
    memset(last, 0, g->value_count * sizeof(*last));
    for (size_t i = 0; i < g->node_count; i++)
        for (int k = 0; k < g->nodes[i]->in_count; k++) {
            const struct mld_value *v = g->nodes[i]->in[k];
            if (v == NULL || last[v->id] != 0 ||
                (v->kind != MLD_VALUE_PARAM && v->kind != MLD_VALUE_DERIVED &&
                 v->kind != MLD_VALUE_CONST))
                continue;
            last[v->id] = 1;
            total.weight_bytes += bytes_of(v);
        }
    mld_free(last);
    return total;
}
