/* bench_graph.c: from bert-base's config to the bytes of its ONNX file, without weights:
 * build, lower for ONNX Runtime, encode. Median of the repeats, in milliseconds. */
#include "arch/arch.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "graph/lower.h"
#include "graph/onnx_writer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECKPOINT "bert-base-uncased"
#define REPEATS    31
#define BATCH      8
#define SEQ        128
#define OPSET      23

static int compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

static int encode_once(const struct mld_arch_request *req, struct mld_error *err)
{
    static const struct mld_target target = {.fused_ort = true, .opset = OPSET};
    static const struct mld_onnx_params params = {OPSET, "weights.bin"};
    struct mld_graph *source = NULL, *lowered = NULL;
    struct mld_weight_layout layout;
    struct mld_arch_info info;
    struct mld_arena arena = {0};
    void *data = NULL;
    size_t n;
    int rc = mld_arch_build(req, &arena, &source, &info, err);

    if (rc == 0)
        rc = mld_lower(source, &target, &arena, &lowered, err);
    if (rc == 0)
        rc = mld_onnx_encode(lowered, &params, &data, &n, &layout, err);
    mld_free(data);
    mld_graph_release(lowered);
    mld_graph_release(source);
    mld_arena_release(&arena);
    return rc;
}

int main(void)
{
    const struct mld_checkpoint *known = mld_checkpoint_find(CHECKPOINT);
    const struct mld_clock *clock = mld_clock_real();
    struct mld_arch_request req = {.shapes = {.batch = BATCH, .seq = SEQ}};
    struct mld_error err = {0};
    double ms[REPEATS];
    struct mld_json *config = NULL;
    int rc;

    if (!known) {
        fprintf(stderr, "bench_graph: no checkpoint '%s'\n", CHECKPOINT);
        return 1;
    }
    rc = mld_json_parse(known->config_json, strlen(known->config_json), CHECKPOINT,
                        &config, &err);
    req.config = config;
    req.model_type = known->model_type;
    req.class_name = known->class_name;
    for (int i = 0; rc == 0 && i < REPEATS; i++) {
        const uint64_t start = mld_now_ns(clock);
        rc = encode_once(&req, &err);
        ms[i] = (double)(mld_now_ns(clock) - start) / 1e6;
    }
    mld_json_free(config);
    if (rc != 0) {
        fprintf(stderr, "bench_graph: %s\n", err.message);
        return 1;
    }
    printf("# first %.2f ms\n", ms[0]);
    qsort(ms, REPEATS, sizeof(ms[0]), compare);
    printf("graph_onnx_ms %.2f\n", ms[REPEATS / 2]);
    return 0;
}
