/* weights.c: fills initializers from their pieces and writes them with several threads.
 *
 * Work is cut into boxes of about a megabyte that are contiguous in the file. A box is
 * filled in a thread's own buffer (which stays in its cache) and written by pwrite, so a
 * full disk is an error and no signal. */
#include "artifact/weights_int.h"

#include "base/alloc.h"
#include "base/stream.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#define BOX_ELEMENTS ((int64_t)1 << 18) /* 1 MiB of f32: fits a core's second cache */
#define SCATTER_MAX  512 /* elements made at once where they are not rows */
#define THREADS_MAX  64

/* --- filling a box ---------------------------------------------------------------- */

/* A run of a parameter's elements goes through here: out[k] = mul * p[start + k step] +
 * add. The product is skipped where it changes nothing, so that plain views stay exact.
 */
struct origin {
    const struct mld_safetensor *tensor; /* NULL: by rule */
    uint64_t seed;
    double offset, scale, mul, add;
};

static void origin_open(const struct mld_weights *w, const struct mld_piece *piece,
                        struct origin *out)
{
    const struct mld_param *p = piece->param;

    *out = (struct origin){.mul = piece->mul, .add = piece->add};
    if (w->file) {
        out->tensor = mld_map_get(&w->bound, p->name);
    } else {
        out->seed = mld_stream_seed(p->name);
        mld_param_rule(p->name, &p->shape, &out->offset, &out->scale);
    }
}

static void origin_run(const struct origin *o, int64_t start, int64_t step, int64_t n,
                       float *out)
{
    if (o->tensor)
        mld_safetensor_read(o->tensor, start, step, (size_t)n, out);
    else /* modulo 2^64, so a step below 0 is right, too */
        mld_stream_fill(o->seed, (uint64_t)start, (uint64_t)step, (size_t)n, o->offset,
                        o->scale, out);
    if (o->mul != 1.0 || o->add != 0.0)
        for (int64_t k = 0; k < n; k++)
            out[k] = (float)(o->mul * (double)out[k] + o->add);
}

/* A nest of loops: extent, step in the parameter, step in the buffer. */
struct loop {
    int64_t extent, from, to;
};

/* Drops loops of one turn and joins those that walk on where the inner one ends. */
static int loops_join(struct loop *l, int n)
{
    int m = 0;

    for (int i = 0; i < n; i++) {
        if (l[i].extent == 1)
            continue;
        if (m > 0 && l[m - 1].from == l[i].from * l[i].extent &&
            l[m - 1].to == l[i].to * l[i].extent) {
            l[m - 1] = (struct loop){l[m - 1].extent * l[i].extent, l[i].from, l[i].to};
            continue;
        }
        l[m++] = l[i];
    }
    return m;
}

static void loop_run(const struct origin *o, const struct loop *l, int64_t from,
                     float *out)
{
    float part[SCATTER_MAX];

    if (l->to == 1) {
        origin_run(o, from, l->from, l->extent, out);
        return;
    }
    for (int64_t k = 0; k < l->extent; k += SCATTER_MAX) {
        const int64_t n = l->extent - k < SCATTER_MAX ? l->extent - k : SCATTER_MAX;
        origin_run(o, from + k * l->from, l->from, n, part);
        for (int64_t i = 0; i < n; i++)
            out[(k + i) * l->to] = part[i];
    }
}

/* Runs the nest; the longest useful loop is made the innermost. */
static void loops_run(const struct origin *o, struct loop *l, int n, int64_t from,
                      float *out)
{
    int64_t at[MLD_MAX_RANK] = {0};
    struct loop inner = {1, 0, 1};
    int best = n - 1;

    if (n > 0) {
        for (int i = 0; i < n; i++) /* short rows: another loop is worth the scatter */
            if (l[n - 1].extent < 16 && l[i].extent > l[best].extent)
                best = i;
        inner = l[best];
        memmove(&l[best], &l[best + 1], (size_t)(n - 1 - best) * sizeof(*l));
        n--;
    }
    for (;;) {
        int i = n - 1;

        loop_run(o, &inner, from, out);
        for (; i >= 0; i--) { /* the odometer of the outer loops */
            from += l[i].from;
            out += l[i].to;
            if (++at[i] < l[i].extent)
                break;
            from -= l[i].from * l[i].extent;
            out -= l[i].to * l[i].extent;
            at[i] = 0;
        }
        if (i < 0)
            return;
    }
}

/* Part of an initializer that is contiguous in the file: one coordinate in the dimensions
 * before `cut`, [lo, hi) in it, everything after it. */
struct box {
    const struct mld_value *value;
    uint64_t file_offset;
    int cut;
    int64_t begin[MLD_MAX_RANK], end[MLD_MAX_RANK];
    int64_t count;
};

static void box_piece(const struct mld_weights *w, const struct box *b, int rank,
                      const struct mld_piece *piece, int axis, int64_t piece_start,
                      float *out)
{
    struct loop loops[MLD_MAX_RANK];
    struct origin origin;
    int64_t from = piece->base, to_step = 1, to = 0;

    for (int d = rank - 1; d >= 0; d--) {
        int64_t lo = b->begin[d], hi = b->end[d];
        const int64_t whole = hi - lo, start = d == axis ? piece_start : 0;

        if (d == axis) {
            lo = lo > piece_start ? lo : piece_start;
            hi = hi < piece_start + piece->length ? hi : piece_start + piece->length;
            if (lo >= hi)
                return;
        }
        from += (lo - start) * piece->stride[d];
        to += (lo - b->begin[d]) * to_step;
        loops[d] = (struct loop){hi - lo, piece->stride[d], to_step};
        to_step *= whole;
    }
    origin_open(w, piece, &origin);
    loops_run(&origin, loops, loops_join(loops, rank), from, out + to);
}

/* The pieces of a value: its own, or for a parameter as it is one made here. */
static const struct mld_piece *value_pieces(const struct mld_value *v,
                                            struct mld_piece *own, int *count)
{
    int64_t stride = 1;

    if (v->kind == MLD_VALUE_DERIVED) {
        *count = v->piece_count;
        return v->pieces;
    }
    *own = (struct mld_piece){.param = v->param, .mul = 1.0};
    for (int d = v->shape.rank - 1; d >= 0; d--) {
        own->stride[d] = stride;
        stride *= v->shape.d[d];
    }
    own->length = v->shape.rank > 0 ? v->shape.d[0] : 1;
    *count = 1;
    return own;
}

static void box_fill(const struct mld_weights *w, const struct box *b, float *out)
{
    struct mld_piece own;
    int count;
    const struct mld_piece *pieces = value_pieces(b->value, &own, &count);
    const int axis = b->value->kind == MLD_VALUE_DERIVED ? b->value->axis : 0;
    const int rank = b->value->shape.rank > 0 ? b->value->shape.rank : 1;
    int64_t start = 0;

    for (int i = 0; i < count; i++) {
        box_piece(w, b, rank, &pieces[i], axis, start, out);
        start += pieces[i].length;
    }
}

/* --- checks ----------------------------------------------------------------------- */

/* Every element that a piece reads lies inside its parameter; a pass that got a view
 * wrong is reported, not read. */
static int check_piece(const struct mld_weights *w, const struct mld_value *v,
                       const struct mld_piece *p, int axis, struct mld_error *err)
{
    int64_t low = p->base, high = p->base;

    for (int d = 0; d < v->shape.rank; d++) {
        const int64_t turns = (d == axis ? p->length : v->shape.d[d]) - 1;
        if (turns < 0)
            return 0; /* empty */
        if (p->stride[d] < 0)
            low += turns * p->stride[d];
        else
            high += turns * p->stride[d];
    }
    if (low < 0 || high >= mld_shape_count(&p->param->shape))
        return mld_error_set(err, MLD_E_INVALID,
                             "initializer '%s' reads outside of parameter '%s'", v->name,
                             p->param->name);
    if (w->file && !mld_map_has(&w->bound, p->param->name))
        return mld_error_set(err, MLD_E_INVALID,
                             "initializer '%s' reads '%s', which is no parameter of the "
                             "model",
                             v->name, p->param->name);
    return 0;
}

static int check_value(const struct mld_weights *w, const struct mld_value *v,
                       struct mld_error *err)
{
    struct mld_piece own;
    int count;
    const struct mld_piece *pieces;
    const int axis = v->kind == MLD_VALUE_DERIVED ? v->axis : 0;
    int64_t length = 0;

    if (v->kind != MLD_VALUE_PARAM && v->kind != MLD_VALUE_DERIVED)
        return mld_error_set(err, MLD_E_INVALID, "'%s' is no initializer", v->name);
    if (v->dtype != MLD_F32)
        return mld_error_set(err, MLD_E_UNSUPPORTED,
                             "weights of type %s cannot be made ('%s')",
                             mld_dtype_name(v->dtype), v->name);
    pieces = value_pieces(v, &own, &count);
    for (int i = 0; i < count; i++) {
        MLD_TRY(check_piece(w, v, &pieces[i], axis, err));
        length += pieces[i].length;
    }
    if (length != (v->shape.rank > 0 ? v->shape.d[axis] : 1))
        return mld_error_set(err, MLD_E_INVALID,
                             "the pieces of initializer '%s' do not add up to its shape",
                             v->name);
    return 0;
}

/* --- cutting into boxes ----------------------------------------------------------- */

struct plan {
    struct box *boxes;
    size_t count, cap;
};

static int plan_push(struct plan *p, const struct box *b, struct mld_error *err)
{
    if (p->count == p->cap) {
        const size_t cap = p->cap ? p->cap * 2 : 256;
        struct box *boxes = mld_realloc(p->boxes, cap * sizeof(*boxes));
        if (!boxes)
            return mld_error_set(err, MLD_E_NO_MEMORY, "no memory to plan the weights");
        p->boxes = boxes;
        p->cap = cap;
    }
    p->boxes[p->count++] = *b;
    return 0;
}

/* First dimension whose single steps fit a box; *row: elements of one step. */
static int box_cut(const int64_t *d, int rank, int64_t *row)
{
    int cut = 0;

    *row = 1;
    for (int i = 1; i < rank; i++)
        *row *= d[i];
    while (cut < rank - 1 && (*row > BOX_ELEMENTS || d[cut] == 1)) {
        cut++;
        *row /= d[cut];
    }
    return cut;
}

/* The boxes of a value whose content begins at offset of the file. */
static int plan_value(struct plan *p, const struct mld_value *v, uint64_t offset,
                      struct mld_error *err)
{
    const int rank = v->shape.rank > 0 ? v->shape.rank : 1;
    int64_t d[MLD_MAX_RANK] = {1}; /* a scalar is planned as [1] */
    struct box b = {.value = v, .file_offset = offset};
    int64_t row, rows;

    if (mld_shape_count(&v->shape) == 0)
        return 0;
    for (int i = 0; i < v->shape.rank; i++)
        d[i] = v->shape.d[i];
    b.cut = box_cut(d, rank, &row);
    rows = BOX_ELEMENTS / row > 0 ? BOX_ELEMENTS / row : 1;
    for (int i = 0; i < rank; i++)
        b.end[i] = i < b.cut ? 1 : d[i];
    for (;;) {
        int i = b.cut - 1;

        for (int64_t lo = 0; lo < d[b.cut]; lo += rows) {
            b.begin[b.cut] = lo;
            b.end[b.cut] = d[b.cut] - lo < rows ? d[b.cut] : lo + rows;
            b.count = (b.end[b.cut] - lo) * row;
            MLD_TRY(plan_push(p, &b, err));
            b.file_offset += (uint64_t)b.count * sizeof(float);
        }
        for (; i >= 0; i--) {
            b.begin[i]++;
            b.end[i]++;
            if (b.begin[i] < d[i])
                break;
            b.begin[i] = 0;
            b.end[i] = 1;
        }
        if (i < 0)
            return 0;
    }
}

int mld_weights_fill(const struct mld_weights *w, const struct mld_value *v, float *out,
                     struct mld_error *err)
{
    struct plan plan = {0};
    int rc;

    MLD_TRY(check_value(w, v, err));
    rc = plan_value(&plan, v, 0, err);
    for (size_t i = 0; rc == 0 && i < plan.count; i++)
        box_fill(w, &plan.boxes[i], out + plan.boxes[i].file_offset / sizeof(float));
    mld_free(plan.boxes);
    return rc;
}

/* --- writing ---------------------------------------------------------------------- */

struct writer {
    const struct mld_weights *weights;
    const struct plan *plan;
    int fd;
    atomic_size_t next;
    atomic_int failed; /* errno of the first failure */
};

static int write_all(int fd, const void *data, size_t n, uint64_t offset)
{
    const char *p = data;

    while (n > 0) {
        const ssize_t put = pwrite(fd, p, n, (off_t)offset);
        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0)
            return put < 0 ? errno : ENOSPC;
        p += put;
        n -= (size_t)put;
        offset += (uint64_t)put;
    }
    return 0;
}

static void *writer_main(void *ctx)
{
    struct writer *w = ctx;
    float *buffer = mld_alloc_aligned(64, (size_t)BOX_ELEMENTS * sizeof(float));
    int fault = buffer ? 0 : ENOMEM;

    while (fault == 0 && atomic_load(&w->failed) == 0) {
        const size_t i = atomic_fetch_add(&w->next, 1);
        const struct box *b;

        if (i >= w->plan->count)
            break;
        b = &w->plan->boxes[i];
        box_fill(w->weights, b, buffer);
        fault =
            write_all(w->fd, buffer, (size_t)b->count * sizeof(float), b->file_offset);
    }
    if (fault != 0) {
        int none = 0;
        atomic_compare_exchange_strong(&w->failed, &none, fault);
    }
    mld_free(buffer);
    return NULL;
}

/* Runs the writer in this thread and up to threads - 1 others: fewer when the system
 * gives no more. Returns 0 or an errno. */
static int writers_run(struct writer *w, int threads)
{
    pthread_t others[THREADS_MAX];
    int started = 0;

    if ((size_t)threads > w->plan->count)
        threads = (int)w->plan->count;
    if (threads > THREADS_MAX)
        threads = THREADS_MAX;
    while (started + 1 < threads &&
           pthread_create(&others[started], NULL, writer_main, w) == 0)
        started++;
    writer_main(w);
    while (started > 0)
        pthread_join(others[--started], NULL);
    return atomic_load(&w->failed);
}

static int write_fault(const char *path, int fault, struct mld_error *err)
{
    return mld_error_set(err, fault == ENOMEM ? MLD_E_NO_MEMORY : MLD_E_IO,
                         "cannot write weights '%s': %s", path, strerror(fault));
}

int mld_weights_write(const struct mld_weights *w, const struct mld_weight_layout *layout,
                      int fd, const char *path, int threads, struct mld_error *err)
{
    struct plan plan = {0};
    struct writer writer = {.weights = w, .plan = &plan, .fd = fd};
    int rc = 0, fault = 0;

    if (ftruncate(fd, (off_t)layout->total_bytes) != 0)
        return write_fault(path, errno, err);
    for (size_t i = 0; rc == 0 && fault == 0 && i < layout->count; i++) {
        const struct mld_weight_slot *s = &layout->slots[i];

        if (s->value->kind == MLD_VALUE_CONST) {
            fault = write_all(fd, s->value->data, (size_t)s->bytes, s->offset);
            continue;
        }
        rc = check_value(w, s->value, err);
        if (rc == 0)
            rc = plan_value(&plan, s->value, s->offset, err);
    }
    atomic_init(&writer.next, 0);
    atomic_init(&writer.failed, 0);
    if (rc == 0 && fault == 0)
        fault = writers_run(&writer, threads > 0 ? threads : 1);
    mld_free(plan.boxes);
    return rc != 0 ? rc : fault != 0 ? write_fault(path, fault, err) : 0;
}
