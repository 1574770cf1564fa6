/* graph.c: the intermediate representation: an arena of values and nodes.
 *
 * Builders append; the first fault stops everything after it, with the scope in which it
 * happened. Constants, derived initializers and (on request) equal nodes are made once.
 */
#include "graph/graph.h"

#include "base/str.h"
#include "graph/op_rules.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct mld_shape mld_shape_from(const int64_t *dims, int rank)
{
    struct mld_shape s = {0};
    s.rank = rank < 0 ? 0 : rank > MLD_MAX_RANK ? MLD_MAX_RANK : rank;
    for (int i = 0; i < s.rank; i++)
        s.d[i] = dims[i];
    return s;
}

int64_t mld_shape_count(const struct mld_shape *s)
{
    int64_t count = 1;
    for (int i = 0; i < s->rank; i++) {
        if (s->d[i] < 0)
            return -1;
        if (s->d[i] > 0 && count > INT64_MAX / s->d[i])
            return -1;
        count *= s->d[i];
    }
    return count;
}

bool mld_shape_eq(const struct mld_shape *a, const struct mld_shape *b)
{
    if (a->rank != b->rank)
        return false;
    for (int i = 0; i < a->rank; i++)
        if (a->d[i] != b->d[i])
            return false;
    return true;
}

/* --- faults ------------------------------------------------------------------------ */

static void fail_with(struct mld_graph *g, int code, const char *text)
{
    if (g->fault.code != 0)
        return;
    if (g->scope != NULL && g->scope[0] != '\0')
        mld_error_set(&g->fault, code, "in '%s': %s", g->scope, text);
    else
        mld_error_set(&g->fault, code, "%s", text);
}

struct mld_value *mld_graph_fail(struct mld_graph *g, int code, const char *format, ...)
{
    if (g == NULL || g->fault.code != 0)
        return NULL;
    char text[400];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    fail_with(g, code, text);
    return NULL;
}

static struct mld_value *fail_memory(struct mld_graph *g)
{
    return mld_graph_fail(g, MLD_E_NO_MEMORY,
                          "out of memory building graph '%s' (%zu bytes used)", g->name,
                          g->arena->used_bytes);
}

int mld_graph_check(const struct mld_graph *g, struct mld_error *err)
{
    if (g == NULL)
        return mld_error_set(err, MLD_E_NO_MEMORY, "out of memory making a graph");
    if (g->fault.code != 0)
        return mld_error_set(err, g->fault.code, "%s", g->fault.message);
    return 0;
}

/* --- storage ----------------------------------------------------------------------- */

struct mld_graph *mld_graph_new(struct mld_arena *arena, const char *name)
{
    struct mld_graph *g = mld_arena_alloc(arena, sizeof(*g));
    if (g == NULL)
        return NULL;
    g->arena = arena;
    g->name = mld_arena_strdup(arena, name != NULL ? name : "graph");
    return g->name != NULL ? g : NULL;
}

void mld_graph_release(struct mld_graph *g)
{
    if (g == NULL)
        return;
    mld_map_release(&g->names);
    mld_map_release(&g->shared);
}

/* Room for one more element of an arena array: doubles; the old block stays in the
 * arena.*/
static bool array_room(struct mld_graph *g, void **array, size_t count, size_t *cap,
                       size_t element)
{
    if (count < *cap)
        return true;
    size_t grown = *cap == 0 ? 64 : *cap * 2;
    void *block = mld_arena_array(g->arena, grown, element);
    if (block == NULL) {
        fail_memory(g);
        return false;
    }
    if (count > 0)
        memcpy(block, *array, count * element);
    *array = block;
    *cap = grown;
    return true;
}

static struct mld_value *value_new(struct mld_graph *g, enum mld_value_kind kind,
                                   enum mld_dtype dtype, struct mld_shape shape)
{
    void *array = g->values;
    if (!array_room(g, &array, g->value_count, &g->value_cap, sizeof(*g->values)))
        return NULL;
    g->values = array;
    struct mld_value *v = mld_arena_alloc(g->arena, sizeof(*v));
    if (v == NULL)
        return fail_memory(g);
    v->kind = kind;
    v->dtype = dtype;
    v->shape = shape;
    v->id = (uint32_t)g->value_count;
    g->values[g->value_count++] = v;
    return v;
}

static bool name_value(struct mld_graph *g, struct mld_value *v, const char *name)
{
    v->name = mld_arena_strdup(g->arena, name);
    if (v->name == NULL || !mld_map_set(&g->names, v->name, v)) {
        fail_memory(g);
        return false;
    }
    return true;
}

/* A value of this graph? NULL fails it. */
static bool operand_ok(struct mld_graph *g, const struct mld_value *v)
{
    if (v == NULL)
        mld_graph_fail(g, MLD_E_INVALID, "a required operand is missing");
    else if (v->id >= g->value_count || g->values[v->id] != v)
        mld_graph_fail(g, MLD_E_INVALID, "operand '%s' belongs to another graph",
                       v->name);
    return g->fault.code == 0;
}

/* --- parameters, inputs, outputs --------------------------------------------------- */

static bool shape_ok(struct mld_graph *g, const char *what, const char *name,
                     enum mld_dtype dtype, const struct mld_shape *s)
{
    char text[MLD_TYPE_TEXT];
    int64_t count = mld_shape_count(s);
    bool ok = count >= 1 && mld_dtype_bytes(dtype, count) <= (size_t)INT64_MAX;
    if (!ok)
        mld_graph_fail(g, count < 0 ? MLD_E_TOO_LARGE : MLD_E_INVALID,
                       "%s '%s' is %s: every dimension must be at least 1 and the whole "
                       "addressable",
                       what, name, mld_type_text(text, dtype, s));
    return ok;
}

static struct mld_value *param_add(struct mld_graph *g, const char *name,
                                   struct mld_shape shape, bool buffer)
{
    if (g == NULL || g->fault.code != 0)
        return NULL;
    struct mld_value *old = mld_map_get(&g->names, name);
    if (old != NULL) {
        char is[MLD_TYPE_TEXT], was[MLD_TYPE_TEXT];
        if (old->kind == MLD_VALUE_PARAM && mld_shape_eq(&old->shape, &shape) &&
            old->param->buffer == buffer)
            return old;
        return mld_graph_fail(g, MLD_E_INVALID,
                              "parameter '%s' is declared %s and again %s", name,
                              mld_type_text(was, old->dtype, &old->shape),
                              mld_type_text(is, MLD_F32, &shape));
    }
    if (!shape_ok(g, "parameter", name, MLD_F32, &shape))
        return NULL;
    void *array = g->params;
    if (!array_room(g, &array, g->param_count, &g->param_cap, sizeof(*g->params)))
        return NULL;
    g->params = array;
    struct mld_param *p = mld_arena_alloc(g->arena, sizeof(*p));
    struct mld_value *v =
        p != NULL ? value_new(g, MLD_VALUE_PARAM, MLD_F32, shape) : fail_memory(g);
    if (p == NULL || v == NULL || !name_value(g, v, name))
        return NULL;
    p->name = v->name;
    p->shape = shape;
    p->buffer = buffer;
    v->param = p;
    g->params[g->param_count++] = p;
    return v;
}

struct mld_value *mld_graph_param(struct mld_graph *g, const char *name,
                                  struct mld_shape shape)
{
    return param_add(g, name, shape, false);
}

struct mld_value *mld_graph_buffer(struct mld_graph *g, const char *name,
                                   struct mld_shape shape)
{
    return param_add(g, name, shape, true);
}

void mld_graph_alias(struct mld_graph *g, const char *name, const char *target)
{
    if (g == NULL || g->fault.code != 0)
        return;
    for (size_t i = 0; i < g->alias_count; i++)
        if (mld_streq(g->aliases[i].name, name)) {
            if (!mld_streq(g->aliases[i].target, target))
                mld_graph_fail(g, MLD_E_INVALID, "'%s' is tied to '%s' and to '%s'", name,
                               g->aliases[i].target, target);
            return;
        }
    void *array = g->aliases;
    if (!array_room(g, &array, g->alias_count, &g->alias_cap, sizeof(*g->aliases)))
        return;
    g->aliases = array;
    struct mld_alias a = {.name = mld_arena_strdup(g->arena, name),
                          .target = mld_arena_strdup(g->arena, target)};
    if (a.name == NULL || a.target == NULL) {
        fail_memory(g);
        return;
    }
    g->aliases[g->alias_count++] = a;
}

struct mld_value *mld_graph_input(struct mld_graph *g, const char *name,
                                  enum mld_dtype dtype, struct mld_shape shape,
                                  enum mld_fill fill, int64_t low, int64_t high)
{
    if (g == NULL || g->fault.code != 0)
        return NULL;
    if (mld_map_has(&g->names, name))
        return mld_graph_fail(g, MLD_E_INVALID, "input '%s' is declared twice", name);
    if (!shape_ok(g, "input", name, dtype, &shape))
        return NULL;
    if (fill == MLD_FILL_IDS && low >= high)
        return mld_graph_fail(g, MLD_E_INVALID,
                              "input '%s' has no values: ids from %lld up to %lld", name,
                              (long long)low, (long long)high - 1);
    void *array = g->inputs;
    if (!array_room(g, &array, g->input_count, &g->input_cap, sizeof(*g->inputs)))
        return NULL;
    g->inputs = array;
    struct mld_value *v = value_new(g, MLD_VALUE_INPUT, dtype, shape);
    if (v == NULL || !name_value(g, v, name))
        return NULL;
    g->inputs[g->input_count++] = (struct mld_graph_input){
        .value = v, .fill = fill, .low = low, .high = high, .state_output = -1};
    return v;
}

struct mld_value *mld_graph_find(const struct mld_graph *g, const char *name)
{
    struct mld_value *v = mld_map_get(&g->names, name);
    return v != NULL && v->kind != MLD_VALUE_DERIVED ? v : NULL;
}

void mld_graph_output(struct mld_graph *g, const char *name, struct mld_value *v)
{
    if (g == NULL || g->fault.code != 0 || !operand_ok(g, v))
        return;
    for (size_t i = 0; i < g->output_count; i++)
        if (mld_streq(g->outputs[i].name, name)) {
            mld_graph_fail(g, MLD_E_INVALID, "output '%s' is declared twice", name);
            return;
        }
    void *array = g->outputs;
    if (!array_room(g, &array, g->output_count, &g->output_cap, sizeof(*g->outputs)))
        return;
    g->outputs = array;
    char *copy = mld_arena_strdup(g->arena, name);
    if (copy == NULL) {
        fail_memory(g);
        return;
    }
    g->outputs[g->output_count++] = (struct mld_graph_output){.value = v, .name = copy};
}

void mld_graph_state(struct mld_graph *g, const char *input, const char *output)
{
    if (g == NULL || g->fault.code != 0)
        return;
    size_t i = 0, o = 0;
    while (i < g->input_count && !mld_streq(g->inputs[i].value->name, input))
        i++;
    while (o < g->output_count && !mld_streq(g->outputs[o].name, output))
        o++;
    if (i == g->input_count || o == g->output_count) {
        mld_graph_fail(g, MLD_E_INVALID, "state: no %s '%s'",
                       i == g->input_count ? "input" : "output",
                       i == g->input_count ? input : output);
        return;
    }
    const struct mld_value *a = g->inputs[i].value, *b = g->outputs[o].value;
    char text_a[MLD_TYPE_TEXT], text_b[MLD_TYPE_TEXT];
    if (a->dtype != b->dtype || !mld_shape_eq(&a->shape, &b->shape)) {
        mld_graph_fail(g, MLD_E_INVALID, "state: input '%s' is %s but output '%s' is %s",
                       input, mld_type_text(text_a, a->dtype, &a->shape), output,
                       mld_type_text(text_b, b->dtype, &b->shape));
        return;
    }
    g->inputs[i].state_output = (int)o;
}

void mld_graph_scope(struct mld_graph *g, const char *format, ...)
{
    if (g == NULL || g->fault.code != 0)
        return;
    if (format == NULL) {
        g->scope = NULL;
        return;
    }
    char text[256];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    g->scope = mld_arena_strdup(g->arena, text);
    if (g->scope == NULL)
        fail_memory(g);
}

/* --- constants and derived initializers -------------------------------------------- */

/* Looks up or files content under a hash; same() decides, so that a collision only costs
 * the sharing. */
static const char *share_key(char buf[24], char kind, uint64_t hash)
{
    snprintf(buf, 24, "%c%016llx", kind, (unsigned long long)hash);
    return buf;
}

static bool share_set(struct mld_graph *g, const char *key, void *value)
{
    if (mld_map_set(&g->shared, key, value))
        return true;
    fail_memory(g);
    return false;
}

static uint64_t hash_type(enum mld_dtype dtype, const struct mld_shape *s)
{
    uint64_t h = mld_fnv1a64(MLD_FNV_BASIS, &dtype, sizeof(dtype));
    h = mld_fnv1a64(h, &s->rank, sizeof(s->rank));
    return mld_fnv1a64(h, s->d, (size_t)s->rank * sizeof(s->d[0]));
}

struct mld_value *mld_graph_const(struct mld_graph *g, enum mld_dtype dtype,
                                  struct mld_shape shape, const void *data)
{
    if (g == NULL || g->fault.code != 0 || !shape_ok(g, "constant", "", dtype, &shape))
        return NULL;
    size_t bytes = mld_dtype_bytes(dtype, mld_shape_count(&shape));
    uint64_t h = mld_fnv1a64(hash_type(dtype, &shape), data, bytes);
    char key[24];
    const struct mld_value *old = mld_map_get(&g->shared, share_key(key, 'c', h));
    if (old != NULL && old->dtype == dtype && mld_shape_eq(&old->shape, &shape) &&
        memcmp(old->data, data, bytes) == 0)
        return g->values[old->id];
    void *copy = mld_arena_alloc(g->arena, bytes);
    if (copy == NULL)
        return fail_memory(g);
    memcpy(copy, data, bytes);
    struct mld_value *v = value_new(g, MLD_VALUE_CONST, dtype, shape);
    if (v == NULL)
        return NULL;
    v->data = copy;
    v->name = mld_arena_printf(g->arena, "const_%u", v->id);
    if (v->name == NULL)
        return fail_memory(g);
    return share_set(g, key, v) ? v : NULL;
}

struct mld_value *mld_graph_const_f32(struct mld_graph *g, double x)
{
    float f = (float)x;
    return mld_graph_const(g, MLD_F32, MLD_SCALAR, &f);
}

struct mld_value *mld_graph_const_i64(struct mld_graph *g, int n, const int64_t *x)
{
    return mld_graph_const(g, MLD_I64, MLD_SHAPE(n), x);
}

static bool pieces_eq(const struct mld_piece *a, const struct mld_piece *b, int n,
                      int rank)
{
    for (int i = 0; i < n; i++) {
        if (a[i].param != b[i].param || a[i].length != b[i].length ||
            a[i].base != b[i].base || memcmp(&a[i].mul, &b[i].mul, sizeof(double)) != 0 ||
            memcmp(&a[i].add, &b[i].add, sizeof(double)) != 0)
            return false;
        if (memcmp(a[i].stride, b[i].stride, (size_t)rank * sizeof(int64_t)) != 0)
            return false;
    }
    return true;
}

/* Every element that a piece reads lies in its parameter, and lengths fill the axis. */
static bool pieces_ok(struct mld_graph *g, const char *name,
                      const struct mld_shape *shape, int axis,
                      const struct mld_piece *pieces, int n)
{
    int64_t filled = 0;
    for (int i = 0; i < n; i++) {
        const struct mld_piece *p = &pieces[i];
        int64_t low = p->base, high = p->base;
        for (int d = 0; d < shape->rank; d++) {
            int64_t reach = ((d == axis ? p->length : shape->d[d]) - 1) * p->stride[d];
            low += reach < 0 ? reach : 0;
            high += reach > 0 ? reach : 0;
        }
        if (p->length < 1 || low < 0 || high >= mld_shape_count(&p->param->shape)) {
            mld_graph_fail(g, MLD_E_INVALID, "'%s': piece %d reads outside of '%s'", name,
                           i, p->param->name);
            return false;
        }
        filled += p->length;
    }
    if (n < 1 || filled != (shape->rank > 0 ? shape->d[axis] : 1)) {
        mld_graph_fail(g, MLD_E_INVALID, "'%s': pieces do not fill axis %d", name, axis);
        return false;
    }
    return true;
}

struct mld_value *mld_graph_derived(struct mld_graph *g, const char *name,
                                    struct mld_shape shape, int axis,
                                    const struct mld_piece *pieces, int piece_count)
{
    if (g == NULL || g->fault.code != 0 ||
        !shape_ok(g, "initializer", name, MLD_F32, &shape))
        return NULL;
    if (axis < 0 || axis >= (shape.rank > 0 ? shape.rank : 1))
        return mld_graph_fail(g, MLD_E_INVALID, "'%s': no axis %d", name, axis);
    if (!pieces_ok(g, name, &shape, axis, pieces, piece_count))
        return NULL;
    uint64_t h = hash_type(MLD_F32, &shape);
    h = mld_fnv1a64(h, &axis, sizeof(axis));
    for (int i = 0; i < piece_count; i++) {
        h = mld_fnv1a64(h, pieces[i].param->name, strlen(pieces[i].param->name));
        h = mld_fnv1a64(h, &pieces[i].base, sizeof(int64_t));
        h = mld_fnv1a64(h, pieces[i].stride, (size_t)shape.rank * sizeof(int64_t));
    }
    char key[24];
    const struct mld_value *old = mld_map_get(&g->shared, share_key(key, 'd', h));
    if (old != NULL && mld_shape_eq(&old->shape, &shape) && old->axis == axis &&
        old->piece_count == piece_count &&
        pieces_eq(old->pieces, pieces, piece_count, shape.rank))
        return g->values[old->id];
    struct mld_piece *copy =
        mld_arena_array(g->arena, (size_t)piece_count, sizeof(*copy));
    const char *unique = name;
    for (int k = 2; copy != NULL && unique != NULL && mld_map_has(&g->names, unique); k++)
        unique = mld_arena_printf(g->arena, "%s.%d", name, k);
    if (copy == NULL || unique == NULL)
        return fail_memory(g);
    memcpy(copy, pieces, (size_t)piece_count * sizeof(*copy));
    struct mld_value *v = value_new(g, MLD_VALUE_DERIVED, MLD_F32, shape);
    if (v == NULL || !name_value(g, v, unique))
        return NULL;
    v->pieces = copy;
    v->piece_count = piece_count;
    v->axis = axis;
    return share_set(g, key, v) ? v : NULL;
}

/* --- nodes ------------------------------------------------------------------------- */

static uint64_t hash_attr(uint64_t h, const struct mld_attr *a)
{
    h = mld_fnv1a64(h, a->name, strlen(a->name) + 1);
    h = mld_fnv1a64(h, &a->i, sizeof(a->i));
    h = mld_fnv1a64(h, &a->f, sizeof(a->f));
    if (a->s != NULL)
        h = mld_fnv1a64(h, a->s, strlen(a->s) + 1);
    return mld_fnv1a64(h, a->ints, (size_t)a->ints_count * sizeof(a->ints[0]));
}

static bool attr_eq(const struct mld_attr *a, const struct mld_attr *b)
{
    return a->type == b->type && mld_streq(a->name, b->name) && a->i == b->i &&
           memcmp(&a->f, &b->f, sizeof(a->f)) == 0 && mld_streq(a->s, b->s) &&
           a->ints_count == b->ints_count &&
           (a->ints_count == 0 ||
            memcmp(a->ints, b->ints, (size_t)a->ints_count * sizeof(a->ints[0])) == 0);
}

static bool node_eq(const struct mld_node *a, const struct mld_node *b)
{
    if (a->op != b->op || a->in_count != b->in_count || a->attr_count != b->attr_count)
        return false;
    for (int i = 0; i < a->in_count; i++)
        if (a->in[i] != b->in[i])
            return false;
    for (int i = 0; i < a->attr_count; i++)
        if (!attr_eq(&a->attrs[i], &b->attrs[i]))
            return false;
    return true;
}

static uint64_t hash_node(const struct mld_node *n)
{
    uint64_t h = mld_fnv1a64(MLD_FNV_BASIS, &n->op, sizeof(n->op));
    for (int i = 0; i < n->in_count; i++) {
        uint32_t id = n->in[i] != NULL ? n->in[i]->id : UINT32_MAX;
        h = mld_fnv1a64(h, &id, sizeof(id));
    }
    for (int i = 0; i < n->attr_count; i++)
        h = hash_attr(h, &n->attrs[i]);
    return h;
}

/* Copies attributes with the strings and lists they point to. */
static bool node_attrs(struct mld_graph *g, struct mld_node *n,
                       const struct mld_attr *attrs)
{
    int count = 0;
    while (attrs != NULL && attrs[count].name != NULL)
        count++;
    if (count == 0)
        return true;
    n->attrs = mld_arena_array(g->arena, (size_t)count, sizeof(*n->attrs));
    if (n->attrs == NULL)
        return false;
    n->attr_count = count;
    for (int i = 0; i < count; i++) {
        struct mld_attr *a = &n->attrs[i];
        *a = attrs[i];
        if (a->type == MLD_ATTR_STRING &&
            (a->s = mld_arena_strdup(g->arena, a->s)) == NULL)
            return false;
        if (a->type == MLD_ATTR_INTS) {
            size_t bytes = (size_t)a->ints_count * sizeof(a->ints[0]);
            int64_t *copy = mld_arena_alloc(g->arena, bytes > 0 ? bytes : 1);
            if (copy == NULL)
                return false;
            if (bytes > 0)
                memcpy(copy, attrs[i].ints, bytes);
            a->ints = copy;
        }
    }
    return true;
}

struct mld_value *mld_graph_node(struct mld_graph *g, enum mld_op op,
                                 struct mld_value *const *in, int in_count,
                                 const struct mld_attr *attrs)
{
    if (g == NULL || g->fault.code != 0)
        return NULL;
    struct mld_node *n = mld_arena_alloc(g->arena, sizeof(*n));
    if (n == NULL)
        return fail_memory(g);
    n->op = op;
    n->scope = g->scope;
    if (in_count < 0 || in_count > MLD_MAX_INPUTS)
        return mld_graph_fail(g, MLD_E_INVALID, "%s: %d operands, at most %d allowed",
                              mld_op_name(op), in_count, MLD_MAX_INPUTS);
    while (in_count > 0 && in[in_count - 1] == NULL)
        in_count--;
    n->in_count = in_count;
    for (int i = 0; i < in_count; i++) {
        if (in[i] != NULL && !operand_ok(g, in[i]))
            return NULL;
        n->in[i] = in[i];
    }
    if (!node_attrs(g, n, attrs))
        return fail_memory(g);
    char key[24] = "";
    if (g->share_nodes) {
        struct mld_node *old = mld_map_get(&g->shared, share_key(key, 'n', hash_node(n)));
        if (old != NULL && node_eq(old, n))
            return old->out[0];
    }
    struct mld_op_result result;
    struct mld_error fault = {0};
    int rc = mld_op_infer(n, &result, &fault);
    if (rc != 0) {
        fail_with(g, rc, fault.message);
        return NULL;
    }
    void *array = g->nodes;
    if (!array_room(g, &array, g->node_count, &g->node_cap, sizeof(*g->nodes)))
        return NULL;
    g->nodes = array;
    n->id = (uint32_t)g->node_count;
    n->out_count = result.count;
    for (int i = 0; i < result.count; i++) {
        if (!result.out[i].present)
            continue;
        struct mld_value *v =
            value_new(g, MLD_VALUE_COMPUTED, result.out[i].dtype, result.out[i].shape);
        if (v == NULL)
            return NULL;
        v->node = n;
        v->output_index = i;
        v->name = mld_arena_printf(g->arena, "v%u", v->id);
        if (v->name == NULL)
            return fail_memory(g);
        n->out[i] = v;
    }
    g->nodes[g->node_count++] = n;
    if (g->share_nodes && !share_set(g, key, n))
        return NULL;
    return n->out[0];
}

struct mld_value *mld_node_output(const struct mld_value *first, int index)
{
    if (first == NULL || first->node == NULL || index < 0 ||
        index >= first->node->out_count)
        return NULL;
    return first->node->out[index];
}

const struct mld_attr *mld_node_attr(const struct mld_node *n, const char *name)
{
    for (int i = 0; i < n->attr_count; i++)
        if (strcmp(n->attrs[i].name, name) == 0)
            return &n->attrs[i];
    return NULL;
}

int64_t mld_node_int(const struct mld_node *n, const char *name, int64_t fallback)
{
    const struct mld_attr *a = mld_node_attr(n, name);
    return a != NULL && a->type == MLD_ATTR_INT ? a->i : fallback;
}

double mld_node_float(const struct mld_node *n, const char *name, double fallback)
{
    const struct mld_attr *a = mld_node_attr(n, name);
    return a != NULL && a->type == MLD_ATTR_FLOAT ? a->f : fallback;
}
