/* test_artifact_weights.c: the rule that gives parameters their numbers, and initializers
 * as views of parameters: transposed, packed, sliced, broadcast, scaled, against an
 * evaluation element by element; written by one thread or several, the same bytes. */
#include "kit/kit.h"

#include "artifact/weights.h"
#include "base/alloc.h"
#include "base/fs.h"
#include "base/str.h"
#include "base/stream.h"

#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* --- the rule --------------------------------------------------------------------- */

MLD_TEST(artifact_weights__rule_of_each_kind)
{
    const double third = sqrt(3.0 / 12.0);
    const struct {
        const char *name;
        struct mld_shape shape;
        double offset, scale;
    } rows[] = {
        {"bn.running_var", MLD_SHAPE(8), 0.5, 0.1},
        {"bn.running_mean", MLD_SHAPE(8), 0.0, 0.1},
        {"norm.weight", MLD_SHAPE(8), 1.0, 0.1},
        {"norm.bias", MLD_SHAPE(8), 0.0, 0.1},
        {"weight", MLD_SHAPE(8), 1.0, 0.1},
        {"conv.weight_g", MLD_SHAPE(8), 1.0, 0.1},
        {"conv.parametrizations.weight.original0", MLD_SHAPE(8), 1.0, 0.1},
        {"snake.alpha", MLD_SHAPE(1, 8, 1), 1.0, 0.1},
        {"layer_scale1", MLD_SHAPE(8), 1.0, 0.1},
        {"lambda_1", MLD_SHAPE(8), 1.0, 0.1},
        {"x.gamma_v", MLD_SHAPE(8), 1.0, 0.1},
        {"logit_scale", MLD_SCALAR, 1.0, 0.1},
        {"x.other", MLD_SHAPE(4, 1), 0.0, 0.1},
        {"x.weight", MLD_SHAPE(4, 1), 0.0, sqrt(3.0)},
        {"x.weight", MLD_SHAPE(5, 3, 2, 2), 0.0, third},
        {"cls_token", MLD_SHAPE(1, 1, 12), 0.0, third},
        {"weight.gate", MLD_SHAPE(7, 12), 0.0, third},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        double offset, scale;
        mld_param_rule(rows[i].name, &rows[i].shape, &offset, &scale);
        if (offset != rows[i].offset || fabs(scale - rows[i].scale) > 1e-15)
            KIT_FAIL("%s: %g %g, not %g %g", rows[i].name, offset, scale, rows[i].offset,
                     rows[i].scale);
    }
}

/* --- views ------------------------------------------------------------------------ */

/* Element i of a parameter from its name, as FORMAT.md has it. */
static double param_at(const struct mld_param *p, int64_t i)
{
    double offset, scale;

    mld_param_rule(p->name, &p->shape, &offset, &scale);
    return (double)(float)(offset +
                           scale * mld_stream_at(mld_stream_seed(p->name), (uint64_t)i));
}

/* The value of initializer v at flat index i, straight from the definition of pieces. */
static float view_at(const struct mld_value *v, int64_t i)
{
    int64_t c[MLD_MAX_RANK] = {0}, start = 0, at;
    const struct mld_piece *p = v->pieces;

    if (v->kind == MLD_VALUE_PARAM)
        return (float)param_at(v->param, i);
    for (int d = v->shape.rank - 1; d >= 0; d--) {
        c[d] = i % v->shape.d[d];
        i /= v->shape.d[d];
    }
    while (c[v->axis] >= start + p->length)
        start += p++->length;
    at = p->base;
    for (int d = 0; d < v->shape.rank; d++)
        at += (d == v->axis ? c[d] - start : c[d]) * p->stride[d];
    return (float)(p->mul * param_at(p->param, at) + p->add);
}

static void check_value(const struct mld_weights *w, const struct mld_value *v)
{
    const int64_t n = mld_shape_count(&v->shape);
    float *x = mld_calloc((size_t)n + 1, sizeof(*x));

    KIT_OK(mld_weights_fill(w, v, x, &kit_err));
    for (int64_t i = 0; i < n; i++)
        if (x[i] != view_at(v, i))
            KIT_FAIL("%s[%lld] is %.9g, not %.9g", v->name, (long long)i, (double)x[i],
                     (double)view_at(v, i));
    KIT_EQ_INT(x[n], 0); /* nothing behind the end */
    mld_free(x);
}

struct fixture {
    struct mld_arena arena;
    struct mld_graph *g;
    struct mld_value *q, *k, *big; /* [6, 40], [4, 40], [3, 300, 500] */
};

static void fixture_open(struct fixture *f)
{
    *f = (struct fixture){0};
    f->g = mld_graph_new(&f->arena, "views");
    f->q = mld_graph_param(f->g, "q.weight", MLD_SHAPE(6, 40));
    f->k = mld_graph_param(f->g, "k.weight", MLD_SHAPE(4, 40));
    f->big = mld_graph_param(f->g, "big.weight", MLD_SHAPE(3, 300, 500));
    KIT_OK(mld_graph_check(f->g, &kit_err));
}

static void fixture_close(struct fixture *f)
{
    mld_graph_release(f->g);
    mld_arena_release(&f->arena);
}

static struct mld_value *view(struct fixture *f, const char *name, struct mld_shape shape,
                              int axis, const struct mld_piece *pieces, int n)
{
    struct mld_value *v = mld_graph_derived(f->g, name, shape, axis, pieces, n);

    KIT_OK(mld_graph_check(f->g, &kit_err));
    return v;
}

/* The views that lowering makes. */
static size_t views(struct fixture *f, struct mld_value *out[16])
{
    const struct mld_param *q = f->q->param, *k = f->k->param, *big = f->big->param;
    const struct mld_piece transposed = {
        .param = q, .length = 40, .stride = {1, 40}, .mul = 1};
    const struct mld_piece packed[2] = {
        {.param = q, .length = 6, .stride = {1, 40}, .mul = 0.125},
        {.param = k, .length = 4, .stride = {1, 40}, .mul = 1}};
    const struct mld_piece stacked[2] = {
        {.param = q, .length = 6, .stride = {40, 1}, .mul = 1},
        {.param = k, .length = 4, .stride = {40, 1}, .mul = 1, .add = 1}};
    const struct mld_piece slice = {
        .param = q, .length = 2, .base = 45, .stride = {80, 3}, .mul = 1};
    const struct mld_piece broadcast = {
        .param = q, .length = 3, .base = 7, .stride = {0, 0, 1}, .mul = 1};
    const struct mld_piece backwards = {
        .param = q, .length = 6, .base = 239, .stride = {-40, -1}, .mul = 1};
    const struct mld_piece turned = {
        .param = big, .length = 500, .stride = {1, 150000, 500}, .mul = 1};
    const struct mld_piece interleaved[2] = {
        {.param = q, .length = 1, .stride = {40, 1, 0}, .mul = 1},
        {.param = k, .length = 1, .stride = {0, 1, 0}, .mul = -1}};
    const struct mld_piece scalar = {.param = q, .length = 1, .base = 5, .mul = 2};
    size_t n = 0;

    out[n++] = f->q;
    out[n++] = f->big;
    out[n++] = view(f, "transposed", MLD_SHAPE(40, 6), 0, &transposed, 1);
    out[n++] = view(f, "packed", MLD_SHAPE(40, 10), 1, packed, 2);
    out[n++] = view(f, "stacked", MLD_SHAPE(10, 40), 0, stacked, 2);
    out[n++] = view(f, "slice", MLD_SHAPE(2, 10), 0, &slice, 1);
    out[n++] = view(f, "broadcast", MLD_SHAPE(3, 5, 20), 0, &broadcast, 1);
    out[n++] = view(f, "backwards", MLD_SHAPE(6, 40), 0, &backwards, 1);
    out[n++] = view(f, "turned", MLD_SHAPE(500, 3, 300), 0, &turned, 1);
    out[n++] = view(f, "interleaved", MLD_SHAPE(6, 40, 2), 2, interleaved, 2);
    out[n++] = view(f, "scalar", MLD_SCALAR, 0, &scalar, 1);
    return n;
}

MLD_TEST(artifact_weights__views_by_name)
{
    struct mld_value *all[16];
    struct mld_weights *w;
    struct fixture f;
    size_t n;

    fixture_open(&f);
    n = views(&f, all);
    KIT_OK(mld_weights_from_names(&w, &kit_err));
    for (size_t i = 0; i < n; i++)
        check_value(w, all[i]);
    mld_weights_free(w);
    fixture_close(&f);
}

/* Views drawn at random: any order of dimensions, any cut, up to 5 dimensions. */
MLD_TEST(artifact_weights__views_drawn_at_random)
{
    const uint64_t seed = mld_stream_seed("views");
    struct mld_weights *w;
    uint64_t at = 0;

    KIT_OK(mld_weights_from_names(&w, &kit_err));
    for (int round = 0; round < 200; round++) {
#define DRAW(n) ((int64_t)((mld_stream_at(seed, at++) + 1) / 2 * (double)(n)))
        struct fixture f;
        struct mld_shape shape = {.rank = (int)DRAW(5) + 1}, dest;
        int64_t stride[MLD_MAX_RANK], step = 1;
        int perm[MLD_MAX_RANK], axis;
        struct mld_piece pieces[3];
        struct mld_value *p, *v;
        char name[32];

        fixture_open(&f);
        for (int d = 0; d < shape.rank; d++)
            shape.d[d] = DRAW(shape.rank > 3 ? 7 : 30) + 1;
        for (int d = shape.rank - 1; d >= 0; d--) {
            stride[d] = step;
            step *= shape.d[d];
            perm[d] = d;
        }
        for (int d = shape.rank - 1; d > 0; d--) { /* shuffle */
            const int other = (int)DRAW(d + 1), keep = perm[d];
            perm[d] = perm[other];
            perm[other] = keep;
        }
        p = mld_graph_param(f.g, "p.weight", shape);
        dest = shape;
        axis = (int)DRAW(shape.rank);
        for (int i = 0; i < 3; i++) { /* thrice the same view along axis, each scaled */
            pieces[i] = (struct mld_piece){.param = p->param, .mul = i ? 0.5 * i : 1.0};
            for (int d = 0; d < shape.rank; d++) {
                dest.d[d] = shape.d[perm[d]];
                pieces[i].stride[d] = stride[perm[d]];
            }
            pieces[i].length = dest.d[axis];
        }
        dest.d[axis] *= 3;
        snprintf(name, sizeof(name), "view%d", round);
        v = view(&f, name, dest, axis, pieces, 3);
        check_value(w, v);
        fixture_close(&f);
#undef DRAW
    }
    mld_weights_free(w);
}

/* The graph's own builder refuses such views; here they are made by hand. */
MLD_TEST(artifact_weights__views_outside_are_refused)
{
    const struct {
        struct mld_piece piece;
        int64_t rows;
        const char *says;
    } rows[] = {
        {{.length = 6, .base = 1, .stride = {40, 1}, .mul = 1}, 6, "reads outside of"},
        {{.length = 6, .base = 100, .stride = {-40, 1}, .mul = 1}, 6, "reads outside of"},
        {{.length = 6, .base = -1, .stride = {40, 1}, .mul = 1}, 6, "reads outside of"},
        {{.length = 5, .stride = {40, 1}, .mul = 1}, 6, "do not add up"},
    };
    struct mld_weights *w;
    struct fixture f;
    float x[512];

    fixture_open(&f);
    KIT_OK(mld_weights_from_names(&w, &kit_err));
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct mld_piece piece = rows[i].piece;
        const struct mld_value v = {.name = "view",
                                    .dtype = MLD_F32,
                                    .kind = MLD_VALUE_DERIVED,
                                    .shape = MLD_SHAPE(rows[i].rows, 40),
                                    .pieces = &piece,
                                    .piece_count = 1};
        piece.param = f.q->param;
        KIT_FAILS(mld_weights_fill(w, &v, x, &kit_err), MLD_E_INVALID);
        KIT_CONTAINS(kit_err.message, "initializer 'view'");
        KIT_CONTAINS(kit_err.message, rows[i].says);
    }
    mld_weights_free(w);
    fixture_close(&f);
}

/* --- writing ---------------------------------------------------------------------- */

static int open_new(const char *path)
{
    const int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);

    KIT_CHECK(fd >= 0);
    return fd;
}

MLD_TEST(artifact_weights__threads_write_the_same_file)
{
    struct mld_weight_slot slots[17];
    struct mld_weight_layout layout = {.slots = slots};
    struct mld_value *all[16], *constant;
    struct mld_weights *w;
    struct fixture f;
    int64_t numbers[300];
    char *first = NULL, *data;
    size_t n, size;

    fixture_open(&f);
    n = views(&f, all);
    for (int i = 0; i < 300; i++)
        numbers[i] = i * i;
    constant = mld_graph_const(f.g, MLD_I64, MLD_SHAPE(300), numbers);
    for (size_t i = 0; i <= n; i++) {
        struct mld_value *v = i < n ? all[i] : constant;
        slots[i] = (struct mld_weight_slot){
            v, layout.total_bytes, mld_dtype_bytes(v->dtype, mld_shape_count(&v->shape))};
        layout.total_bytes += (slots[i].bytes + 4095) / 4096 * 4096;
    }
    layout.count = n + 1;
    KIT_OK(mld_weights_from_names(&w, &kit_err));
    for (int threads = 1; threads <= 4; threads += 3) {
        const int fd = open_new("w.bin");
        KIT_OK(mld_weights_write(w, &layout, fd, "w.bin", threads, &kit_err));
        close(fd);
        KIT_EQ_INT(mld_file_size("w.bin"), layout.total_bytes);
        KIT_OK(mld_file_read("w.bin", 1 << 26, &data, &size, &kit_err));
        for (size_t i = 0; i < n; i++) {
            float x;
            memcpy(&x, data + slots[i].offset, sizeof(x));
            KIT_CHECK(x == view_at(all[i], 0));
            memcpy(&x, data + slots[i].offset + slots[i].bytes - sizeof(x), sizeof(x));
            KIT_CHECK(x == view_at(all[i], mld_shape_count(&all[i]->shape) - 1));
        }
        KIT_EQ_MEM(data + slots[n].offset, numbers, sizeof(numbers));
        if (first)
            KIT_EQ_MEM(data, first, size);
        mld_free(first);
        first = data;
    }
    mld_free(first);
    mld_weights_free(w);
    fixture_close(&f);
}

MLD_TEST(artifact_weights__a_file_that_cannot_be_written)
{
    struct mld_weight_slot slot;
    struct mld_weight_layout layout = {.slots = &slot, .count = 1};
    struct mld_weights *w;
    struct fixture f;
    int fd;

    fixture_open(&f);
    slot = (struct mld_weight_slot){f.q, 0, 960};
    layout.total_bytes = 960;
    KIT_OK(mld_file_write("r.bin", "x", 1, &kit_err));
    fd = open("r.bin", O_RDONLY);
    KIT_CHECK(fd >= 0);
    KIT_OK(mld_weights_from_names(&w, &kit_err));
    KIT_FAILS(mld_weights_write(w, &layout, fd, "r.bin", 2, &kit_err), MLD_E_IO);
    KIT_CONTAINS(kit_err.message, "cannot write weights 'r.bin'");
    close(fd);
    mld_weights_free(w);
    fixture_close(&f);
}

/* --- from a file ------------------------------------------------------------------ */

/* A safetensors file of F32 tensors whose numbers are those of the names given by `as`.
 */
static void checkpoint(const char *path, const char *const *names,
                       const struct mld_shape *shapes, const char *const *as, size_t n)
{
    struct mld_str header = {0}, data = {0}, file = {0};

    for (size_t i = 0; i < n; i++) {
        const struct mld_param p = {.name = as[i], .shape = shapes[i]};
        const int64_t count = mld_shape_count(&shapes[i]);
        mld_str_addf(&header, "%s\"%s\":{\"dtype\":\"F32\",\"shape\":[", i ? "," : "{",
                     names[i]);
        for (int d = 0; d < shapes[i].rank; d++)
            mld_str_addf(&header, "%s%lld", d ? "," : "", (long long)shapes[i].d[d]);
        mld_str_addf(&header, "],\"data_offsets\":[%zu,%zu]}", data.len,
                     data.len + (size_t)count * 4);
        for (int64_t k = 0; k < count; k++) {
            const float x = (float)param_at(&p, k);
            mld_str_append(&data, &x, sizeof(x));
        }
    }
    mld_str_addc(&header, '}');
    for (int i = 0; i < 8; i++)
        mld_str_addc(&file, (char)(header.len >> 8 * i));
    mld_str_append(&file, mld_str_c(&header), header.len);
    mld_str_append(&file, mld_str_c(&data), data.len);
    KIT_OK(mld_file_write(path, mld_str_c(&file), file.len, &kit_err));
    mld_str_release(&header);
    mld_str_release(&data);
    mld_str_release(&file);
}

static const char *const param_names[4] = {"q.weight", "k.weight", "big.weight", "extra"};

static int from_file(const struct fixture *f, const char *path,
                     mld_weights_names_fn names, struct mld_weights **out)
{
    struct mld_safetensors *s;

    KIT_OK(mld_safetensors_open(path, &s, &kit_err));
    return mld_weights_from_file(s, f->g, names, NULL, out, &kit_err);
}

MLD_TEST(artifact_weights__views_of_a_file)
{
    const struct mld_shape shapes[4] = {MLD_SHAPE(6, 40), MLD_SHAPE(4, 40),
                                        MLD_SHAPE(3, 300, 500), MLD_SHAPE(2)};
    struct mld_value *all[16];
    struct mld_weights *w;
    struct fixture f;
    size_t n;

    fixture_open(&f);
    n = views(&f, all);
    checkpoint("c", param_names, shapes, param_names, 4);
    KIT_OK(from_file(&f, "c", NULL, &w));
    KIT_EQ_INT(mld_weights_unused(w), 1);
    for (size_t i = 0; i < n; i++)
        check_value(w, all[i]); /* the file holds what the names give */
    mld_weights_free(w);
    fixture_close(&f);
}

static size_t other_names(void *ctx, const char *name, const char **out, size_t cap)
{
    (void)ctx;
    KIT_CHECK(cap >= 2);
    out[0] = name;
    out[1] = strcmp(name, "q.weight") == 0 ? "model.q.weight" : name;
    return 2;
}

MLD_TEST(artifact_weights__other_names_are_tried)
{
    static const char *const names[3] = {"model.q.weight", "k.weight", "big.weight"};
    const struct mld_shape shapes[3] = {MLD_SHAPE(6, 40), MLD_SHAPE(4, 40),
                                        MLD_SHAPE(3, 300, 500)};
    struct mld_weights *w;
    struct fixture f;

    fixture_open(&f);
    checkpoint("c", names, shapes, param_names, 3);
    KIT_FAILS(from_file(&f, "c", NULL, &w), MLD_E_INVALID);
    KIT_CONTAINS(kit_err.message, "weights 'c' lack 1 of 3 tensors: 'q.weight'");
    KIT_OK(from_file(&f, "c", other_names, &w));
    check_value(w, f.q);
    mld_weights_free(w);
    fixture_close(&f);
}

MLD_TEST(artifact_weights__misfits_are_named)
{
    const struct mld_shape shapes[3] = {MLD_SHAPE(40, 6), MLD_SHAPE(4, 40), MLD_SHAPE(3)};
    struct mld_weights *w;
    struct fixture f;

    fixture_open(&f);
    checkpoint("c", param_names, shapes, param_names, 3);
    KIT_FAILS(from_file(&f, "c", NULL, &w), MLD_E_INVALID);
    KIT_CONTAINS(kit_err.message,
                 "weights 'c' do not fit the model in 2 of 3 tensors: 'q.weight' is "
                 "F32[40,6], wanted [6,40], 'big.weight' is F32[3], wanted [3,300,500]");
    KIT_CHECK(w == NULL);
    checkpoint("c", param_names, shapes, param_names, 0);
    KIT_OK(mld_file_write("e", "\2\0\0\0\0\0\0\0{}", 10, &kit_err));
    for (int i = 0; i < 7; i++) {
        char name[24];
        snprintf(name, sizeof(name), "more.%d", i);
        mld_graph_param(f.g, name, MLD_SHAPE(2));
    }
    KIT_FAILS(from_file(&f, "e", NULL, &w), MLD_E_INVALID);
    KIT_CONTAINS(kit_err.message, "weights 'e' lack 10 of 10 tensors: 'q.weight'");
    KIT_CONTAINS(kit_err.message, "and 5 more");
    fixture_close(&f);
}
