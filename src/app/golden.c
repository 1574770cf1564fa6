/* golden.c: compares a built graph and the engine's outputs with a golden file.
 *
 * The tolerances are those of the format's own page, section "When an architecture
 * passes". */
#include "app/golden.h"

#include "arch/arch.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GOLDEN_RELATIVE 1e-4 /* of max_abs for a value, of itself for l2 */
#define GOLDEN_ABSOLUTE 1e-5
#define GOLDEN_FULL     256 /* outputs up to so many values are stored whole */
#define GOLDEN_SAMPLES  192 /* of larger ones so many, spread evenly */
#define GOLDEN_MASK_VALUE                                                                \
    1e4 /* above: a mask value; others compare by their own size                         \
         */

static int golden_no_memory(struct mld_error *err)
{
    return mld_error_set(err, MLD_E_NO_MEMORY, "out of memory");
}

static const char *shape_text(const struct mld_shape *s, char *buf, size_t n)
{
    size_t at = 0;
    buf[0] = '\0';
    for (int d = 0; d < s->rank && at < n; d++)
        at += (size_t)snprintf(buf + at, n - at, "%s%lld", d ? "," : "",
                               (long long)s->d[d]);
    return buf;
}

static int shape_from_json(const struct mld_json *v, struct mld_shape *out)
{
    out->rank = 0;
    if (!mld_json_is(v, MLD_JSON_ARRAY) || mld_json_count(v) > MLD_MAX_RANK)
        return MLD_E_PARSE;
    for (const struct mld_json *d = mld_json_first(v); d; d = mld_json_next(d)) {
        int64_t x = mld_json_int(d, -1);
        if (x < 0)
            return MLD_E_PARSE;
        out->d[out->rank++] = x;
    }
    return 0;
}

/* --- parameters --------------------------------------------------------------------- */

int mld_golden_check_parameters(const struct mld_json *golden, const struct mld_graph *g,
                                struct mld_error *err)
{
    const struct mld_json *list = mld_json_get(golden, "parameters");
    size_t matched = 0;
    struct mld_map seen = {0};
    int rc = 0;
    for (const struct mld_json *v = mld_json_first(list); v && !rc;
         v = mld_json_next(v)) {
        const char *name = mld_json_str(mld_json_at(v, 0), "");
        struct mld_shape want;
        char a[96], b[96];
        const struct mld_value *value = mld_graph_find(g, name);
        const struct mld_param *p = value ? value->param : NULL;
        if (shape_from_json(mld_json_at(v, 1), &want) != 0)
            rc = mld_error_set(err, MLD_E_PARSE, "parameter '%s': bad shape", name);
        else if (!p)
            rc = mld_error_set(err, MLD_E_MISMATCH, "parameter '%s' is missing", name);
        else if (!mld_shape_eq(&p->shape, &want))
            rc = mld_error_set(
                err, MLD_E_MISMATCH, "parameter '%s' has shape [%s], not [%s]", name,
                shape_text(&p->shape, a, sizeof a), shape_text(&want, b, sizeof b));
        else if (!mld_map_set(&seen, name, &seen))
            rc = golden_no_memory(err);
        else
            matched++;
    }
    for (size_t i = 0; i < g->param_count && !rc; i++)
        if (!mld_map_has(&seen, g->params[i]->name))
            rc = mld_error_set(err, MLD_E_MISMATCH,
                               "parameter '%s' is not in the reference",
                               g->params[i]->name);
    if (!rc && matched == 0)
        rc = mld_error_set(err, MLD_E_PARSE, "no parameters in the golden");
    mld_map_release(&seen);
    return rc;
}

int mld_golden_check_digest(const struct mld_json *expected, const struct mld_graph *g,
                            struct mld_error *err)
{
    int64_t tensors = mld_json_int(mld_json_get(expected, "tensors"), -1);
    int64_t values = mld_json_int(mld_json_get(expected, "values"), -1);
    const char *want = mld_json_str(mld_json_get(expected, "digest"), "");
    char have[17];
    uint64_t digest = 0;
    MLD_TRY(mld_graph_digest(g, &digest, err));
    snprintf(have, sizeof have, "%016" PRIx64, digest);
    if (tensors >= 0 && (int64_t)g->param_count != tensors)
        return mld_error_set(err, MLD_E_MISMATCH, "%zu parameter tensors, not %lld",
                             g->param_count, (long long)tensors);
    if (values >= 0 && mld_graph_param_values(g) != values)
        return mld_error_set(err, MLD_E_MISMATCH, "%lld parameter values, not %lld",
                             (long long)mld_graph_param_values(g), (long long)values);
    if (strcmp(have, want) != 0)
        return mld_error_set(err, MLD_E_MISMATCH, "digest %s, not %s", have, want);
    return 0;
}

/* --- inputs ------------------------------------------------------------------------- */

int mld_golden_inputs(const struct mld_json *golden, struct mld_arena *arena,
                      struct mld_arch_input **inputs, size_t *count,
                      struct mld_error *err)
{
    const struct mld_json *list = mld_json_get(golden, "inputs");
    *count = 0;
    if (!mld_json_is(list, MLD_JSON_OBJECT))
        return mld_error_set(err, MLD_E_PARSE, "'inputs' is not an object");
    *inputs = mld_arena_array(arena, mld_json_count(list) + 1, sizeof **inputs);
    if (!*inputs)
        return golden_no_memory(err);
    for (const struct mld_json *v = mld_json_first(list); v; v = mld_json_next(v)) {
        struct mld_arch_input *in = &(*inputs)[(*count)++];
        int dtype = mld_dtype_parse(mld_json_str(mld_json_get(v, "dtype"), ""));
        in->name = mld_json_key(v);
        in->dtype = (enum mld_dtype)dtype;
        if (dtype < 0 || shape_from_json(mld_json_get(v, "shape"), &in->shape) != 0)
            return mld_error_set(err, MLD_E_PARSE, "input '%s': bad dtype or shape",
                                 in->name);
    }
    if (*count == 0)
        return mld_error_set(err, MLD_E_PARSE, "no inputs in the golden");
    return 0;
}

static int golden_fill_values(const struct mld_json *values, struct mld_arena *arena,
                              struct mld_case_input *in, struct mld_error *err)
{
    size_t n = mld_json_count(values), at = 0;
    double *x = mld_arena_array(arena, n + 1, sizeof *x);
    if (!x)
        return golden_no_memory(err);
    for (const struct mld_json *v = mld_json_first(values); v; v = mld_json_next(v))
        x[at++] = mld_json_is(v, MLD_JSON_BOOL) ? mld_json_bool(v, false)
                                                : mld_json_num(v, NAN);
    in->fill = "values";
    in->values = x;
    in->value_count = n;
    return 0;
}

int mld_golden_fill(const struct mld_json *golden, struct mld_arena *arena,
                    struct mld_case *c, struct mld_error *err)
{
    const struct mld_json *list = mld_json_get(golden, "inputs");
    for (size_t i = 0; i < c->input_count; i++) {
        struct mld_case_input *in = &c->inputs[i];
        const struct mld_json *v = mld_json_get(list, in->name);
        if (!v)
            return mld_error_set(err, MLD_E_MISMATCH,
                                 "the graph wants an input '%s' that the "
                                 "golden has not",
                                 in->name);
        const struct mld_json *values = mld_json_get(v, "values");
        if (values) {
            MLD_TRY(golden_fill_values(values, arena, in, err));
            continue;
        }
        in->fill = mld_json_str(mld_json_get(v, "fill"), "zeros");
        in->low = mld_json_int(mld_json_get(v, "low"), 0);
        in->high = mld_json_int(mld_json_get(v, "high"), 0);
        in->stream = mld_arena_printf(arena, "input:%s", in->name);
        if (!in->stream)
            return golden_no_memory(err);
    }
    return 0;
}

/* --- outputs ------------------------------------------------------------------------ */

/* Outputs of sub-models that a user of the benchmark does not need. */
static bool output_optional(const char *name)
{
    return strchr(name, '.') || mld_str_ends(name, "hidden_states") ||
           mld_str_ends(name, "attentions") || mld_str_starts(name, "encoder_") ||
           mld_str_starts(name, "intermediate_");
}

static const struct mld_output_data *output_find(const struct mld_result *r,
                                                 const char *name)
{
    for (size_t i = 0; i < r->output_count; i++)
        if (strcmp(r->outputs[i].name, name) == 0)
            return &r->outputs[i];
    return NULL;
}

static int output_compare(const struct mld_json *want, const struct mld_output_data *have,
                          struct mld_error *err)
{
    struct mld_shape expected, actual = {have->rank, {0}};
    char a[96], b[96];
    memcpy(actual.d, have->dims, sizeof actual.d);
    if (shape_from_json(mld_json_get(want, "shape"), &expected) != 0)
        return mld_error_set(err, MLD_E_PARSE, "output '%s': bad shape in the golden",
                             have->name);
    if (!mld_shape_eq(&expected, &actual))
        return mld_error_set(err, MLD_E_MISMATCH, "output '%s' has shape [%s], not [%s]",
                             have->name, shape_text(&actual, a, sizeof a),
                             shape_text(&expected, b, sizeof b));
    const struct mld_json *values = mld_json_get(want, "values");
    size_t n = have->count, stored = n <= GOLDEN_FULL ? n : GOLDEN_SAMPLES, k = 0;
    if (mld_json_count(values) != stored)
        return mld_error_set(err, MLD_E_PARSE,
                             "output '%s': %zu values in the golden, not "
                             "%zu",
                             have->name, mld_json_count(values), stored);
    double max_abs = mld_json_num(mld_json_get(want, "max_abs"), 0);
    for (const struct mld_json *v = mld_json_first(values); v;
         v = mld_json_next(v), k++) {
        size_t at = n <= GOLDEN_FULL ? k : k * (n - 1) / (GOLDEN_SAMPLES - 1);
        double x = mld_json_num(v, NAN), y = have->values[at];
        double size = max_abs >= GOLDEN_MASK_VALUE ? fabs(x) : max_abs;
        if (!(fabs(x - y) <= GOLDEN_RELATIVE * size + GOLDEN_ABSOLUTE))
            return mld_error_set(err, MLD_E_MISMATCH,
                                 "output '%s'[%zu] is %.8g, not %.8g (largest %.3g)",
                                 have->name, at, y, x, max_abs);
    }
    double l2 = 0, want_l2 = mld_json_num(mld_json_get(want, "l2"), NAN);
    for (size_t i = 0; i < n; i++)
        l2 += have->values[i] * have->values[i];
    l2 = sqrt(l2);
    if (!(fabs(l2 - want_l2) <= GOLDEN_RELATIVE * want_l2))
        return mld_error_set(err, MLD_E_MISMATCH,
                             "output '%s': l2 norm is %.8g, not %.8g", have->name, l2,
                             want_l2);
    return 0;
}

int mld_golden_check_outputs(const struct mld_json *golden,
                             const struct mld_result *result, struct mld_str *left_out,
                             struct mld_error *err)
{
    const struct mld_json *outputs = mld_json_get(golden, "outputs");
    size_t compared = 0;
    for (const struct mld_json *v = mld_json_first(outputs); v; v = mld_json_next(v)) {
        const char *name = mld_json_key(v);
        const struct mld_output_data *have = output_find(result, name);
        if (have) {
            MLD_TRY(output_compare(v, have, err));
            compared++;
        } else if (output_optional(name)) {
            mld_str_addf(left_out, "%s%s", left_out->len ? ", " : "left out: ", name);
        } else {
            return mld_error_set(err, MLD_E_MISMATCH, "output '%s' is missing", name);
        }
    }
    if (compared == 0)
        return mld_error_set(err, MLD_E_MISMATCH, "no output of the golden was computed");
    return mld_str_check(left_out, err);
}
