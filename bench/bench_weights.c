/* bench_weights.c: making the weights of bert-base as ONNX Runtime gets them (transposed
 * and packed): into memory by one core, and into a file by all cores. Medians of the
 * repeats, in 10^9 bytes per second; the file is new each time. */
#include "arch/arch.h"
#include "artifact/weights.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "graph/lower.h"
#include "graph/onnx_writer.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CHECKPOINT "bert-base-uncased"
#define REPEATS    9
#define OPSET      23

struct bench {
    struct mld_arena arena;
    struct mld_graph *source, *lowered;
    struct mld_weight_layout layout;
    struct mld_weights *weights;
    size_t largest; /* bytes of the largest slot */
    void *onnx;
};

static int compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

static double median(double *x)
{
    qsort(x, REPEATS, sizeof(x[0]), compare);
    return x[REPEATS / 2];
}

static int bench_make(struct bench *b, const struct mld_checkpoint *known,
                      struct mld_error *err)
{
    static const struct mld_target target = {.fused_ort = true, .opset = OPSET};
    static const struct mld_onnx_params params = {OPSET, "weights.bin"};
    struct mld_arch_request req = {.model_type = known->model_type,
                                   .class_name = known->class_name,
                                   .shapes = {.batch = 1, .seq = 128}};
    struct mld_arch_info info;
    struct mld_json *config;
    size_t n;
    int rc;

    MLD_TRY(mld_json_parse(known->config_json, strlen(known->config_json), CHECKPOINT,
                           &config, err));
    req.config = config;
    rc = mld_arch_build(&req, &b->arena, &b->source, &info, err);
    mld_json_free(config);
    if (rc == 0)
        rc = mld_lower(b->source, &target, &b->arena, &b->lowered, err);
    if (rc == 0)
        rc = mld_onnx_encode(b->lowered, &params, &b->onnx, &n, &b->layout, err);
    if (rc == 0)
        rc = mld_weights_from_names(&b->weights, err);
    for (size_t i = 0; rc == 0 && i < b->layout.count; i++)
        if (b->layout.slots[i].bytes > b->largest)
            b->largest = (size_t)b->layout.slots[i].bytes;
    return rc;
}

/* All initializers, one after the other, into the same memory. */
static int bench_memory(const struct bench *b, double *out, struct mld_error *err)
{
    const struct mld_clock *clock = mld_clock_real();
    float *buffer = mld_alloc_aligned(64, b->largest);
    double rate[REPEATS];
    int rc = 0;

    if (!buffer)
        return mld_error_set(err, MLD_E_NO_MEMORY, "no memory for %zu bytes", b->largest);
    memset(buffer, 0, b->largest); /* the pages are there before the clock runs */
    for (int i = 0; rc == 0 && i < REPEATS; i++) {
        const uint64_t start = mld_now_ns(clock);
        double bytes = 0;

        for (size_t k = 0; rc == 0 && k < b->layout.count; k++) {
            if (b->layout.slots[k].value->kind == MLD_VALUE_CONST)
                continue;
            rc = mld_weights_fill(b->weights, b->layout.slots[k].value, buffer, err);
            bytes += (double)b->layout.slots[k].bytes;
        }
        rate[i] = bytes / (double)(mld_now_ns(clock) - start);
    }
    mld_free(buffer);
    if (rc == 0)
        *out = median(rate);
    return rc;
}

static int bench_file(const struct bench *b, double *out, struct mld_error *err)
{
    const char *tmp = getenv("TMPDIR");
    const struct mld_clock *clock = mld_clock_real();
    const long cores = sysconf(_SC_NPROCESSORS_ONLN);
    double rate[REPEATS];
    char path[512];
    int rc = 0;

    snprintf(path, sizeof(path), "%.400s/mldyno-bench-weights-%ld.bin",
             tmp && *tmp ? tmp : "/tmp", (long)getpid());
    for (int i = 0; rc == 0 && i < REPEATS; i++) {
        const uint64_t start = mld_now_ns(clock);
        const int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);

        if (fd < 0)
            return mld_error_set(err, MLD_E_IO, "cannot make '%s'", path);
        rc = mld_weights_write(b->weights, &b->layout, fd, path, (int)cores, err);
        close(fd);
        rate[i] = (double)b->layout.total_bytes / (double)(mld_now_ns(clock) - start);
        unlink(path);
    }
    if (rc == 0)
        *out = median(rate);
    return rc;
}

int main(void)
{
    const struct mld_checkpoint *known = mld_checkpoint_find(CHECKPOINT);
    struct bench b = {0};
    struct mld_error err = {0};
    double memory = 0, file = 0;
    int rc;

    if (!known) {
        fprintf(stderr, "bench_weights: no checkpoint '%s'\n", CHECKPOINT);
        return 1;
    }
    rc = bench_make(&b, known, &err);
    if (rc == 0)
        rc = bench_memory(&b, &memory, &err);
    if (rc == 0)
        rc = bench_file(&b, &file, &err);
    mld_weights_free(b.weights);
    mld_free(b.onnx);
    mld_graph_release(b.lowered);
    mld_graph_release(b.source);
    mld_arena_release(&b.arena);
    if (rc != 0) {
        fprintf(stderr, "bench_weights: %s\n", err.message);
        return 1;
    }
    printf("weights_gb_per_s_per_core %.2f\n", memory);
    printf("weights_file_gb_per_s %.2f\n", file);
    return 0;
}
