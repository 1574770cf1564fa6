/* graph_verify.c: checks that a graph is one, and the questions about all its parameters.
 *
 * Builders cannot make a bad graph; passes that move nodes can. The verifier trusts
 * nothing: it walks every link, asks every row's shape rule again, and names the fault.
 */
#include "graph/op_rules.h"

#include "base/alloc.h"
#include "base/str.h"

#include <stdlib.h>
#include <string.h>

static int fault(const struct mld_graph *g, const struct mld_node *n,
                 struct mld_error *err, const char *text, const char *subject)
{
    return mld_error_set(err, MLD_E_INVALID, "graph '%s': node %u (%s%s%s): %s '%s'",
                         g->name, n->id, mld_op_name(n->op),
                         n->scope != NULL ? " in " : "", n->scope != NULL ? n->scope : "",
                         text, subject);
}

static int verify_value(const struct mld_graph *g, size_t i, struct mld_error *err)
{
    const struct mld_value *v = g->values[i];
    const char *what = NULL;
    if (v == NULL || v->name == NULL)
        return mld_error_set(err, MLD_E_INVALID, "graph '%s': value %zu has no name",
                             g->name, i);
    if (v->id != i)
        what = "has another id than its place";
    else if ((unsigned)v->dtype >= MLD_DTYPE_COUNT)
        what = "has no type";
    else if (v->shape.rank < 0 || v->shape.rank > MLD_MAX_RANK ||
             mld_shape_count(&v->shape) < 1)
        what = "has a bad shape";
    else if ((v->kind == MLD_VALUE_COMPUTED) != (v->node != NULL))
        what = "has a producer that does not fit its kind";
    else if (v->kind == MLD_VALUE_PARAM &&
             (v->param == NULL || !mld_shape_eq(&v->param->shape, &v->shape)))
        what = "has another shape than its parameter";
    else if (v->kind == MLD_VALUE_CONST && v->data == NULL)
        what = "has no data";
    else if (v->kind == MLD_VALUE_DERIVED && (v->pieces == NULL || v->piece_count < 1))
        what = "has no pieces";
    return what == NULL ? 0
                        : mld_error_set(err, MLD_E_INVALID, "graph '%s': value '%s' %s",
                                        g->name, v->name, what);
}

static bool member(const struct mld_graph *g, const struct mld_value *v)
{
    return v->id < g->value_count && g->values[v->id] == v;
}

/* Operands exist and come before the node; results are as the rule says. */
static int verify_node(const struct mld_graph *g, size_t i, struct mld_error *err)
{
    const struct mld_node *n = g->nodes[i];
    if (n->id != i)
        return fault(g, n, err, "has another id than its place", mld_op_name(n->op));
    for (int k = 0; k < n->in_count; k++) {
        const struct mld_value *v = n->in[k];
        if (v == NULL)
            continue;
        if (!member(g, v))
            return fault(g, n, err, "reads a value of another graph", v->name);
        if (v->kind == MLD_VALUE_COMPUTED && v->node->id >= n->id)
            return fault(g, n, err,
                         "reads a value that is made later (a cycle or wrong order)",
                         v->name);
    }
    struct mld_op_result want;
    struct mld_error inner = {0};
    int rc = mld_op_infer(n, &want, &inner);
    if (rc != 0)
        return fault(g, n, err, inner.message, mld_op_name(n->op));
    if (want.count != n->out_count)
        return fault(g, n, err, "has another number of results than its rule gives",
                     mld_op_name(n->op));
    for (int k = 0; k < want.count; k++) {
        const struct mld_value *v = n->out[k];
        if ((v != NULL) != want.out[k].present)
            return fault(g, n, err, "has an optional result that its rule denies",
                         mld_op_name(n->op));
        if (v == NULL)
            continue;
        if (!member(g, v) || v->node != n || v->output_index != k)
            return fault(g, n, err, "has a result that does not link back", v->name);
        if (v->dtype != want.out[k].dtype ||
            !mld_shape_eq(&v->shape, &want.out[k].shape)) {
            char is[MLD_TYPE_TEXT], rule[MLD_TYPE_TEXT];
            return mld_error_set(
                err, MLD_E_INVALID,
                "graph '%s': node %u (%s): result '%s' is %s, its rule gives %s", g->name,
                n->id, mld_op_name(n->op), v->name,
                mld_type_text(is, v->dtype, &v->shape),
                mld_type_text(rule, want.out[k].dtype, &want.out[k].shape));
        }
    }
    return 0;
}

/* A node none of whose results is read is work for nothing. */
static int verify_alive(const struct mld_graph *g, bool *used, struct mld_error *err)
{
    for (size_t i = 0; i < g->node_count; i++)
        for (int k = 0; k < g->nodes[i]->in_count; k++)
            if (g->nodes[i]->in[k] != NULL)
                used[g->nodes[i]->in[k]->id] = true;
    for (size_t i = 0; i < g->output_count; i++)
        used[g->outputs[i].value->id] = true;
    for (size_t i = 0; i < g->node_count; i++) {
        const struct mld_node *n = g->nodes[i];
        bool alive = false;
        for (int k = 0; k < n->out_count; k++)
            alive = alive || (n->out[k] != NULL && used[n->out[k]->id]);
        if (!alive)
            return fault(g, n, err, "no node or output reads its result",
                         n->out[0] != NULL ? n->out[0]->name : "");
    }
    return 0;
}

static int verify_names(const struct mld_graph *g, struct mld_map *seen,
                        struct mld_error *err)
{
    for (size_t i = 0; i < g->value_count; i++) {
        struct mld_value *v = g->values[i];
        if (mld_map_has(seen, v->name))
            return mld_error_set(err, MLD_E_INVALID,
                                 "graph '%s': two values are called '%s'", g->name,
                                 v->name);
        if (!mld_map_set(seen, v->name, v))
            return mld_error_set(err, MLD_E_NO_MEMORY, "out of memory verifying '%s'",
                                 g->name);
    }
    for (size_t i = 0; i < g->output_count; i++) {
        const struct mld_value *v = mld_map_get(seen, g->outputs[i].name);
        if (v != NULL && v != g->outputs[i].value && v->kind != MLD_VALUE_COMPUTED)
            return mld_error_set(err, MLD_E_INVALID,
                                 "graph '%s': output '%s' is called like another value",
                                 g->name, g->outputs[i].name);
    }
    for (size_t i = 0; i < g->alias_count; i++) {
        const struct mld_value *v = mld_graph_find(g, g->aliases[i].target);
        if (v == NULL || v->kind != MLD_VALUE_PARAM)
            return mld_error_set(
                err, MLD_E_INVALID,
                "graph '%s': '%s' is tied to '%s', which is no parameter", g->name,
                g->aliases[i].name, g->aliases[i].target);
        if (mld_graph_find(g, g->aliases[i].name) != NULL)
            return mld_error_set(
                err, MLD_E_INVALID,
                "graph '%s': '%s' is tied to '%s' and a parameter itself", g->name,
                g->aliases[i].name, g->aliases[i].target);
    }
    return 0;
}

int mld_graph_verify(const struct mld_graph *g, struct mld_error *err)
{
    MLD_TRY(mld_graph_check(g, err));
    for (size_t i = 0; i < g->value_count; i++)
        MLD_TRY(verify_value(g, i, err));
    for (size_t i = 0; i < g->node_count; i++)
        MLD_TRY(verify_node(g, i, err));
    for (size_t i = 0; i < g->output_count; i++)
        if (!member(g, g->outputs[i].value))
            return mld_error_set(err, MLD_E_INVALID,
                                 "graph '%s': output '%s' is a value of another graph",
                                 g->name, g->outputs[i].name);
    if (g->output_count == 0)
        return mld_error_set(err, MLD_E_INVALID, "graph '%s' has no outputs", g->name);
    struct mld_map seen = {0};
    bool *used = mld_calloc(g->value_count + 1, sizeof(*used));
    int rc = used == NULL ? mld_error_set(err, MLD_E_NO_MEMORY,
                                          "out of memory verifying '%s'", g->name)
                          : verify_names(g, &seen, err);
    if (rc == 0)
        rc = verify_alive(g, used, err);
    mld_free(used);
    mld_map_release(&seen);
    return rc;
}

/* --- all parameters ---------------------------------------------------------------- */

int64_t mld_graph_param_values(const struct mld_graph *g)
{
    int64_t sum = 0;
    for (size_t i = 0; i < g->param_count; i++)
        sum += mld_shape_count(&g->params[i]->shape);
    return sum;
}

static int by_name(const void *a, const void *b)
{
    const struct mld_param *const *pa = a, *const *pb = b;
    return strcmp((*pa)->name, (*pb)->name);
}

int mld_graph_digest(const struct mld_graph *g, uint64_t *out, struct mld_error *err)
{
    *out = MLD_FNV_BASIS;
    size_t count = g->param_count;
    if (count == 0)
        return 0;
    const struct mld_param **sorted = mld_calloc(count, sizeof(*sorted));
    if (sorted == NULL)
        return mld_error_set(err, MLD_E_NO_MEMORY, "out of memory sorting %zu parameters",
                             count);
    for (size_t i = 0; i < count; i++)
        sorted[i] = g->params[i];
    qsort(sorted, count, sizeof(*sorted), by_name);
    struct mld_str line = {0};
    for (size_t i = 0; i < count; i++) {
        const struct mld_param *p = sorted[i];
        mld_str_addf(&line, "%s ", p->name);
        for (int d = 0; d < p->shape.rank; d++)
            mld_str_addf(&line, "%s%lld", d > 0 ? "," : "", (long long)p->shape.d[d]);
        mld_str_addc(&line, '\n');
    }
    int rc = mld_str_check(&line, err);
    if (rc == 0)
        *out = mld_fnv1a64(MLD_FNV_BASIS, mld_str_c(&line), line.len);
    mld_str_release(&line);
    mld_free(sorted);
    return rc;
}
