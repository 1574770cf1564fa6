/* rope.c: inverse frequencies of the rope types, and tables of cosines and sines.
 *
 * Formulas: RoPE (Su et al. 2021), NTK-aware and dynamic scaling (reddit/LocalLLaMA 2023,
 * as in transformers), YaRN (Peng et al. 2023), LongRoPE (Ding et al. 2024), Llama 3.1.
 */
#include "arch/rope.h"

#include <math.h>
#include <string.h>

#define PI 3.14159265358979323846

static const char *const rope_names[] = {
#define X(upper, lower) lower,
    MLD_ROPE_TYPES(X)
#undef X
};

/* Factors of longrope: dim / 2 numbers. */
static const float *read_factors(struct mld_arch_ctx *ctx, const struct mld_config *c,
                                 const char *role, int64_t n)
{
    const struct mld_json *list = mld_config_find(c, role);
    if (!mld_json_is(list, MLD_JSON_ARRAY) || (int64_t)mld_json_count(list) != n) {
        mld_config_fail(c, role, "a list of %lld numbers is needed", (long long)n);
        return NULL;
    }
    float *out = mld_arena_array(ctx->arena, (size_t)n, sizeof *out);
    if (out == NULL) {
        mld_graph_fail(ctx->g, MLD_E_NO_MEMORY, "out of memory");
        return NULL;
    }
    size_t i = 0;
    for (const struct mld_json *v = mld_json_first(list); v != NULL;
         v = mld_json_next(v)) {
        double x = mld_json_num(v, 0);
        if (!(x > 0 && x < 1e9)) {
            mld_config_fail(c, role, "its numbers must be over 0");
            return NULL;
        }
        out[i++] = (float)x;
    }
    return out;
}

static enum mld_rope_type read_type(struct mld_arch_ctx *ctx, const struct mld_config *c)
{
    const char *role = mld_config_has(c, "rope_type") ? "rope_type" : "type";
    const char *name = mld_config_str(c, role);
    if (name == NULL)
        return MLD_ROPE_DEFAULT;
    for (int i = 0; i < MLD_ROPE_TYPE_COUNT; i++) {
        if (strcmp(name, rope_names[i]) == 0)
            return (enum mld_rope_type)i;
    }
    (void)ctx;
    mld_config_fail(
        c, role,
        "no such rope type, known are default, linear, dynamic, yarn, longrope, "
        "llama3");
    return MLD_ROPE_DEFAULT;
}

static double yarn_mscale(double scale, double mscale)
{
    return scale <= 1 ? 1.0 : 0.1 * mscale * log(scale) + 1.0;
}

/* The length that training saw: the config's own field beats the rope object's. */
static int64_t original_length(struct mld_arch_ctx *ctx, const struct mld_config *c,
                               int64_t max_position)
{
    if (mld_config_has(&ctx->cfg, "original_max_position_embeddings"))
        return mld_config_dim(&ctx->cfg, "original_max_position_embeddings");
    return mld_config_int_or(c, "original_max_position_embeddings", 1, MLD_CONFIG_MAX_DIM,
                             max_position);
}

/* The factor of a type that cannot do without one. */
static double needed_factor(const struct mld_config *c)
{
    if (!mld_config_has(c, "factor"))
        mld_config_fail(c, "factor", "a number from 1 to 1e+06 is needed");
    return mld_config_num_or(c, "factor", 1e-6, 1e6, 1);
}

static void read_scaled(struct mld_arch_ctx *ctx, const struct mld_config *c,
                        struct mld_rope *r)
{
    r->original_max = original_length(ctx, c, r->max_position);
    double ratio = (double)r->max_position / (double)r->original_max;
    r->attention_factor = 1;
    switch (r->type) {
    case MLD_ROPE_LINEAR:
    case MLD_ROPE_DYNAMIC:
        r->factor = needed_factor(c);
        if (r->type == MLD_ROPE_DYNAMIC && r->dim <= 2)
            mld_config_fail(c, "rope_type", "dynamic needs heads wider than 2");
        break;
    case MLD_ROPE_YARN: {
        r->factor = mld_config_num_or(c, "factor", 1e-6, 1e6, ratio);
        double m = mld_config_num_or(c, "mscale", 0, 1e6, 0);
        double all = mld_config_num_or(c, "mscale_all_dim", 0, 1e6, 0);
        double by_factor = m != 0 && all != 0
                               ? yarn_mscale(r->factor, m) / yarn_mscale(r->factor, all)
                               : yarn_mscale(r->factor, 1);
        r->attention_factor = mld_config_num_or(c, "attention_factor", 0, 1e6, by_factor);
        r->beta_fast = mld_config_num_or(c, "beta_fast", 0, 1e6, 32);
        r->beta_slow = mld_config_num_or(c, "beta_slow", 0, 1e6, 1);
        if (r->beta_fast == 0)
            r->beta_fast = 32;
        if (r->beta_slow == 0)
            r->beta_slow = 1;
        r->truncate = mld_config_bool_or(c, "truncate", true);
        if (r->theta == 1)
            mld_config_fail(c, "rope_theta", "yarn needs a base over 1");
        break;
    }
    case MLD_ROPE_LONGROPE: {
        r->factor = mld_config_num_or(c, "factor", 1e-6, 1e6, ratio);
        double by_factor = r->factor <= 1 || r->original_max < 2
                               ? 1
                               : sqrt(1 + log(r->factor) / log((double)r->original_max));
        r->attention_factor = mld_config_num_or(c, "attention_factor", 0, 1e6, by_factor);
        r->short_factor = read_factors(ctx, c, "short_factor", r->dim / 2);
        r->long_factor = read_factors(ctx, c, "long_factor", r->dim / 2);
        break;
    }
    case MLD_ROPE_LLAMA3:
        r->factor = needed_factor(c);
        r->low_freq = mld_config_num_or(c, "low_freq_factor", 1e-6, 1e6, 0);
        r->high_freq = mld_config_num_or(c, "high_freq_factor", 1e-6, 1e6, 0);
        if (r->low_freq == 0)
            mld_config_fail(c, "low_freq_factor", "a number over 0 is needed");
        if (r->high_freq <= r->low_freq)
            mld_config_fail(c, "high_freq_factor", "it must be over 'low_freq_factor'");
        break;
    case MLD_ROPE_DEFAULT:
    case MLD_ROPE_TYPE_COUNT:
        break;
    }
}

void mld_rope_read(struct mld_arch_ctx *ctx, int64_t head_dim, bool partial,
                   struct mld_rope *r)
{
    const struct mld_config *top = &ctx->cfg;
    struct mld_config c = {.graph = ctx->g, .path = "rope_parameters."};
    const char *from = "rope_scaling";
    const struct mld_json *old = mld_config_find(top, from);
    if (old == NULL || mld_json_is(old, MLD_JSON_NULL) ||
        (mld_json_is(old, MLD_JSON_OBJECT) && mld_json_count(old) == 0))
        from = "rope_parameters"; /* the old spelling says nothing */
    (void)mld_config_object(top, from, ctx->arena, &c);

    *r = (struct mld_rope){.factor = 1, .attention_factor = 1};
    r->type = read_type(ctx, &c);
    double theta = mld_config_num_or(top, "rope_theta", 1, 1e18, 10000);
    r->theta = mld_config_num_or(&c, "rope_theta", 1, 1e18, theta);
    double share = mld_config_num_or(top, "partial_rotary_factor", 0, 1, 1);
    share = mld_config_num_or(&c, "partial_rotary_factor", 0, 1, share);
    if (r->type == MLD_ROPE_DEFAULT && !partial)
        share = 1;
    r->dim = (int64_t)((double)head_dim * share);
    if (r->dim < 2 || r->dim % 2 != 0) {
        mld_graph_fail(ctx->g, MLD_E_INVALID,
                       "config: %lld of each head's %lld dimensions would be rotated: an "
                       "even number from 2 on is needed ('head_dim', "
                       "'partial_rotary_factor')",
                       (long long)r->dim, (long long)head_dim);
        r->dim = 2;
    }
    r->max_position = mld_config_dim(top, "max_position_embeddings");
    if (r->type != MLD_ROPE_DEFAULT)
        read_scaled(ctx, &c, r);
}

/* base^(2i / dim) rounded as the reference does it: exponent and power in float. */
static float power(double base, int64_t i, int64_t dim)
{
    float exponent = (float)(2 * i) / (float)dim;
    return (float)pow(base, (double)exponent);
}

static void yarn(const struct mld_rope *r, float *inv_freq)
{
    double dims[2], rotations[2] = {r->beta_fast, r->beta_slow};
    for (int k = 0; k < 2; k++) {
        dims[k] = (double)r->dim *
                  log((double)r->original_max / (rotations[k] * 2 * PI)) /
                  (2 * log(r->theta));
        if (r->truncate)
            dims[k] = k == 0 ? floor(dims[k]) : ceil(dims[k]);
    }
    double low = dims[0] > 0 ? dims[0] : 0;
    double high = dims[1] < (double)(r->dim - 1) ? dims[1] : (double)(r->dim - 1);
    if (low == high)
        high += 0.001;
    for (int64_t i = 0; i < r->dim / 2; i++) {
        float p = power(r->theta, i, r->dim);
        float ramp = ((float)i - (float)low) / (float)(high - low);
        ramp = ramp < 0 ? 0 : ramp > 1 ? 1 : ramp;
        float keep = 1 - ramp;
        inv_freq[i] = 1 / ((float)r->factor * p) * (1 - keep) + 1 / p * keep;
    }
}

static void llama3(const struct mld_rope *r, float *inv_freq)
{
    float factor = (float)r->factor, length = (float)r->original_max;
    float low = (float)((double)r->original_max / r->low_freq);
    float high = (float)((double)r->original_max / r->high_freq);
    for (int64_t i = 0; i < r->dim / 2; i++) {
        float f = inv_freq[i], wave = (float)(2 * PI) / f;
        if (wave > low) {
            inv_freq[i] = f / factor;
        } else if (wave >= high) {
            float smooth = (length / wave - (float)r->low_freq) /
                           (float)(r->high_freq - r->low_freq);
            inv_freq[i] = (1 - smooth) * f / factor + smooth * f;
        }
    }
}

void mld_rope_frequencies(const struct mld_rope *r, int64_t seq, float *inv_freq)
{
    double base = r->theta;
    const float *ext = seq > r->original_max ? r->long_factor : r->short_factor;
    if (r->type == MLD_ROPE_YARN) {
        yarn(r, inv_freq);
        return;
    }
    if (r->type == MLD_ROPE_DYNAMIC && seq > r->max_position)
        base *= pow(r->factor * (double)seq / (double)r->max_position - (r->factor - 1),
                    (double)r->dim / (double)(r->dim - 2));
    for (int64_t i = 0; i < r->dim / 2; i++) {
        float p = power(base, i, r->dim);
        inv_freq[i] =
            r->type == MLD_ROPE_LONGROPE && ext != NULL ? 1 / (ext[i] * p) : 1 / p;
        if (r->type == MLD_ROPE_LINEAR)
            inv_freq[i] /= (float)r->factor;
    }
    if (r->type == MLD_ROPE_LLAMA3)
        llama3(r, inv_freq);
}

void mld_rope_table(struct mld_arch_ctx *ctx, const struct mld_rope *r, int64_t rows,
                    bool own_length, mld_v *cos_out, mld_v *sin_out)
{
    int64_t half = r->dim / 2;
    float *freq = mld_arch_scratch(ctx, half, sizeof *freq);
    float *c = mld_arch_scratch(ctx, rows > 0 ? rows * half : 0, sizeof *c);
    float *s = mld_arch_scratch(ctx, rows > 0 ? rows * half : 0, sizeof *s);
    *cos_out = *sin_out = NULL;
    if (freq == NULL || c == NULL || s == NULL || mld_arch_failed(ctx))
        return;
    bool varies =
        own_length && (r->type == MLD_ROPE_DYNAMIC || r->type == MLD_ROPE_LONGROPE);
    mld_rope_frequencies(r, own_length ? 1 : rows, freq);
    for (int64_t p = 0; p < rows; p++) {
        if (varies)
            mld_rope_frequencies(r, p + 1, freq);
        for (int64_t i = 0; i < half; i++) {
            double angle = (double)((float)p * freq[i]);
            c[p * half + i] = (float)(cos(angle) * r->attention_factor);
            s[p * half + i] = (float)(sin(angle) * r->attention_factor);
        }
    }
    struct mld_shape shape =
        own_length ? MLD_SHAPE(rows, half) : MLD_SHAPE(1, rows, half);
    *cos_out = mld_graph_const(ctx->g, MLD_F32, shape, c);
    *sin_out = mld_graph_const(ctx->g, MLD_F32, shape, s);
}

void mld_rope_positions(struct mld_arch_ctx *ctx, const struct mld_rope *r,
                        mld_v positions, mld_v *cos_out, mld_v *sin_out)
{
    struct mld_graph *g = ctx->g;
    int64_t half = r->dim / 2;
    float *freq = mld_arch_scratch(ctx, half, sizeof *freq);
    *cos_out = *sin_out = NULL;
    if (freq == NULL || positions == NULL)
        return;
    mld_rope_frequencies(r, ctx->seq, freq);
    mld_v f = mld_graph_const(g, MLD_F32, MLD_SHAPE(1, 1, half), freq);
    mld_v p = mld_cast(g, positions, MLD_F32);
    p = mld_reshape(g, p, MLD_SHAPE(positions->shape.d[0], positions->shape.d[1], 1));
    mld_v angle = mld_mul(g, p, f);
    *cos_out = mld_scale(g, mld_cos(g, angle), r->attention_factor);
    *sin_out = mld_scale(g, mld_sin(g, angle), r->attention_factor);
}
