/* bench_bare_loop.c: mldyno's p50 of bert-base as a ratio to a bare loop around the
 * engine: ONNX Runtime's C API, its default options, no line of mldyno in the loop.
 *
 *   bench_bare_loop [ROUNDS [SECONDS]]        default: 12 rounds, 3 s for each side
 *
 * Both run the same file on the same inputs with the same number of threads, each time in
 * a fresh process, in turns (A B, B A, A B ...): what disturbs the machine hits both. The
 * figure is the median over the rounds of p50 / bare median, with its 95 % bootstrap
 * interval. */
#include "app/artifact_case.h"
#include "base/alloc.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/str.h"
#include "base/stream.h"
#include "core/tensor_values.h"
#include "program.h"
#include "stats/summary.h"

#include <onnxruntime/onnxruntime_c_api.h>

#include <dlfcn.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    BARE_ROUNDS = 12,
    BARE_ROUNDS_MAX = 1000,
    BARE_SECONDS = 3,
    BARE_WARMUP = 5, /* runs, of both sides */
    BARE_RUNS_MAX = 1 << 20,
    BARE_RESAMPLES = 10000
};
#define BARE_MANIFEST_MAX ((size_t)1 << 20)

static int bare_compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double bare_median(double *x, size_t n)
{
    qsort(x, n, sizeof(*x), bare_compare);
    return mld_quantile_sorted(x, n, 0.5);
}

/* --- the bare loop: a process of its own ----------------------------------------------
 */

struct bare_loop {
    const OrtApi *api;
    const char *version;
    OrtSession *session;
    OrtMemoryInfo *memory;
    size_t input_count, output_count;
    const char **names; /* of the inputs, then of the outputs */
    OrtValue **values;  /* likewise */
    double *samples_ms;
    size_t count;
};

static int bare_check(const struct bare_loop *l, OrtStatus *status, struct mld_error *err)
{
    if (status == NULL)
        return 0;
    int rc = mld_error_set(err, MLD_E_ENGINE, "%s", l->api->GetErrorMessage(status));
    l->api->ReleaseStatus(status);
    return rc;
}

static int bare_library(struct bare_loop *l, const char *path, struct mld_error *err)
{
    void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    void *symbol = handle ? dlsym(handle, "OrtGetApiBase") : NULL;
    const OrtApiBase *(ORT_API_CALL * get)(void);
    if (symbol == NULL)
        return mld_error_set(err, MLD_E_NO_ENGINE, "cannot load '%s': %s", path,
                             dlerror());
    memcpy(&get, &symbol, sizeof(get)); /* no cast from object to function in ISO C */
    l->version = get()->GetVersionString();
    l->api = get()->GetApi(ORT_API_VERSION);
    if (l->api == NULL)
        return mld_error_set(err, MLD_E_NO_ENGINE,
                             "'%s' is ONNX Runtime %s, older than the header (API %d)",
                             path, l->version, ORT_API_VERSION);
    return 0;
}

static int bare_session(struct bare_loop *l, const char *model, int threads,
                        struct mld_error *err)
{
    OrtEnv *env;
    OrtSessionOptions *options;
    MLD_TRY(bare_check(l, l->api->CreateEnv(ORT_LOGGING_LEVEL_ERROR, "bare", &env), err));
    MLD_TRY(bare_check(l, l->api->CreateSessionOptions(&options), err));
    MLD_TRY(bare_check(l, l->api->SetIntraOpNumThreads(options, threads), err));
    MLD_TRY(bare_check(l, l->api->CreateSession(env, model, options, &l->session), err));
    return bare_check(
        l, l->api->CreateCpuMemoryInfo(OrtArenaAllocator, OrtMemTypeDefault, &l->memory),
        err);
}

static int bare_onnx_type(enum mld_dtype t, ONNXTensorElementDataType *out,
                          struct mld_error *err)
{
    if (t == MLD_F32)
        *out = ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT;
    else if (t == MLD_I64)
        *out = ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64;
    else if (t == MLD_I32)
        *out = ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32;
    else
        return mld_error_set(err, MLD_E_UNSUPPORTED, "no bare loop for tensors of %s",
                             mld_dtype_name(t));
    return 0;
}

/* A tensor over memory that lives as long as the process. in: how to fill it, or NULL. */
static int bare_tensor(struct bare_loop *l, enum mld_dtype dtype, const int64_t *dims,
                       int rank, const struct mld_case_input *in, OrtValue **out,
                       struct mld_error *err)
{
    ONNXTensorElementDataType type = ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED;
    const size_t bytes = mld_dtype_bytes(dtype, mld_tensor_count(dims, rank));
    MLD_TRY(bare_onnx_type(dtype, &type, err));
    void *data = mld_alloc_aligned(64, bytes);
    if (data == NULL)
        return mld_error_set(err, MLD_E_NO_MEMORY, "out of memory");
    memset(data, 0, bytes);
    if (in != NULL)
        MLD_TRY(mld_tensor_fill(in, data, err));
    return bare_check(l,
                      l->api->CreateTensorWithDataAsOrtValue(l->memory, data, bytes, dims,
                                                             (size_t)rank, type, out),
                      err);
}

static int bare_tensors(struct bare_loop *l, const struct mld_case *c,
                        struct mld_error *err)
{
    const size_t n = c->input_count + c->output_count;
    l->input_count = c->input_count;
    l->output_count = c->output_count;
    l->names = mld_calloc(n, sizeof(*l->names));
    l->values = mld_calloc(n, sizeof(*l->values));
    l->samples_ms = mld_calloc(BARE_RUNS_MAX, sizeof(*l->samples_ms));
    if (l->names == NULL || l->values == NULL || l->samples_ms == NULL)
        return mld_error_set(err, MLD_E_NO_MEMORY, "out of memory");
    for (size_t i = 0; i < c->input_count; i++) {
        const struct mld_case_input *in = &c->inputs[i];
        l->names[i] = in->name;
        MLD_TRY(bare_tensor(l, in->dtype, in->dims, in->rank, in, &l->values[i], err));
    }
    for (size_t i = 0; i < c->output_count; i++) {
        const struct mld_case_output *out = &c->outputs[i];
        const size_t at = c->input_count + i;
        l->names[at] = out->name;
        MLD_TRY(
            bare_tensor(l, out->dtype, out->dims, out->rank, NULL, &l->values[at], err));
    }
    return 0;
}

static int bare_run(struct bare_loop *l, struct mld_error *err)
{
    const OrtValue *const *inputs = (const OrtValue *const *)l->values;
    return bare_check(l,
                      l->api->Run(l->session, NULL, l->names, inputs, l->input_count,
                                  l->names + l->input_count, l->output_count,
                                  l->values + l->input_count),
                      err);
}

static int bare_measure(struct bare_loop *l, double seconds, struct mld_error *err)
{
    const struct mld_clock *clock = mld_clock_real();
    for (int i = 0; i < BARE_WARMUP; i++)
        MLD_TRY(bare_run(l, err));
    const uint64_t begin = mld_now_ns(clock);
    uint64_t before = begin;
    while (l->count < BARE_RUNS_MAX && (double)(before - begin) < seconds * 1e9) {
        MLD_TRY(bare_run(l, err));
        const uint64_t now = mld_now_ns(clock);
        l->samples_ms[l->count++] = (double)(now - before) / 1e6;
        before = now;
    }
    return 0;
}

/* bench_bare_loop --loop LIBRARY FOLDER THREADS SECONDS: prints a JSON object. Nothing is
 * freed: the process ends after it. */
static int bare_main(char **args, struct mld_error *err)
{
    struct bare_loop l = {0};
    struct mld_artifact a = {.dir = args[1]};
    struct mld_arena arena = {0};
    struct mld_case c;
    int64_t threads;
    double seconds;
    char *manifest = mld_path_join(a.dir, "manifest.json");
    a.onnx_path = mld_path_join(a.dir, "model.onnx");
    if (manifest == NULL || a.onnx_path == NULL)
        return mld_error_set(err, MLD_E_NO_MEMORY, "out of memory");
    if (!mld_parse_i64(args[2], &threads) || !mld_parse_f64(args[3], &seconds))
        return mld_error_set(err, MLD_E_INVALID, "'%s', '%s': not numbers", args[2],
                             args[3]);
    MLD_TRY(mld_json_read(manifest, BARE_MANIFEST_MAX, &a.manifest, err));
    MLD_TRY(mld_case_from_artifact(&a, &arena, &c, err));
    MLD_TRY(bare_library(&l, args[0], err));
    MLD_TRY(bare_session(&l, a.onnx_path, (int)threads, err));
    MLD_TRY(bare_tensors(&l, &c, err));
    MLD_TRY(bare_measure(&l, seconds, err));
    const size_t runs = l.count;
    printf("{\"version\": \"%s\", \"runs\": %zu, \"median_ms\": %.6f}\n", l.version, runs,
           bare_median(l.samples_ms, runs));
    return 0;
}

/* --- the comparison -------------------------------------------------------------------
 */

struct bare_bench {
    const char *self, *library;
    char *folder;
    char *artifact; /* the one in the cache */
    char threads[24], seconds[24], max_time[24];
    char version[48]; /* of the engine, as mldyno tells */
};

/* The library that both sides load: the one that mldyno would. */
static const char *bare_find_library(void)
{
    static char path[4096];
    const char *told = getenv("MLDYNO_ORT");
    const char *folder = told && told[0] ? told : MLD_PREFIX_LIB;
    if (told && told[0] && !mld_path_is_dir(told))
        return told;
    snprintf(path, sizeof(path), "%s/libonnxruntime.so", folder);
    return mld_path_exists(path) ? path : "libonnxruntime.so.1"; /* the system's */
}

/* One `mldyno run`; *p50_ms is NaN where the samples do not support it. */
static int bare_ours(struct bare_bench *b, const char *min_time, const char *max_time,
                     double *p50_ms, struct mld_error *err)
{
    char warmup[16];
    snprintf(warmup, sizeof(warmup), "%d", BARE_WARMUP);
    const char *const argv[] = {MLD_PROGRAM,
                                "run",
                                "--model",
                                "bert",
                                "--batch-size",
                                "1",
                                "--warmup",
                                warmup,
                                "--min-time",
                                min_time,
                                "--max-time",
                                max_time,
                                "--target-width",
                                "1",
                                "--min-samples",
                                "10",
                                "--no-store",
                                "-q",
                                "--format",
                                "json",
                                b->threads[0] ? "--threads" : NULL,
                                b->threads,
                                NULL};
    const struct mld_json *row;
    struct mld_json *root = NULL;
    int rc = mld_program_run(argv, b->folder, &root, err);
    if (rc == 0)
        rc = mld_program_row(root, &row, err);
    if (rc == 0) {
        *p50_ms = mld_program_ms(row, "latency_ms", "p50");
        snprintf(b->threads, sizeof(b->threads), "%lld",
                 (long long)mld_json_int(mld_json_get(row, "threads"), 0));
        snprintf(b->version, sizeof(b->version), "%s",
                 mld_json_str(mld_json_get(row, "engine_version"), ""));
    }
    mld_json_free(root);
    return rc;
}

static int bare_theirs(const struct bare_bench *b, double *median_ms,
                       struct mld_error *err)
{
    const char *const argv[] = {b->self,    "--loop",   b->library, b->artifact,
                                b->threads, b->seconds, NULL};
    struct mld_json *root = NULL;
    MLD_TRY(mld_program_run(argv, b->folder, &root, err));
    int rc = 0;
    *median_ms = mld_json_num(mld_json_get(root, "median_ms"), NAN);
    const char *version = mld_json_str(mld_json_get(root, "version"), "");
    if (!mld_streq(version, b->version))
        rc =
            mld_error_set(err, MLD_E_VERSION,
                          "'%s' is ONNX Runtime %s, but mldyno used %s: name the library "
                          "with MLDYNO_ORT",
                          b->library, version, b->version);
    mld_json_free(root);
    return rc;
}

/* Builds the artifact by a first run, and finds it in the cache. */
static int bare_prepare(struct bare_bench *b, struct mld_error *err)
{
    double unused;
    char **names = NULL, *artifacts;
    size_t n = 0;
    MLD_TRY(bare_ours(b, "0s", "1ms", &unused, err));
    artifacts = mld_path_join(b->folder, "cache/mldyno/artifacts");
    int rc = artifacts ? mld_dir_list(artifacts, &names, &n, err)
                       : mld_error_set(err, MLD_E_NO_MEMORY, "out of memory");
    for (size_t i = 0; rc == 0 && b->artifact == NULL && i < n; i++) {
        b->artifact = mld_path_join(artifacts, names[i]);
        if (b->artifact != NULL && !mld_path_is_dir(b->artifact)) { /* KEY.lock */
            mld_free(b->artifact);
            b->artifact = NULL;
        }
    }
    if (rc == 0 && b->artifact == NULL)
        rc = mld_error_set(err, MLD_E_NOT_FOUND, "no artifact in '%s'", artifacts);
    mld_names_free(names, n);
    mld_free(artifacts);
    return rc;
}

/* The median of n log ratios, and its 95 % interval by resampling them. */
static void bare_interval(const double *logs, size_t n, double *work, double *medians,
                          double out[3])
{
    const uint64_t seed = mld_stream_seed("bench_bare_loop");
    uint64_t drawn = 0;
    memcpy(work, logs, n * sizeof(*work));
    out[0] = exp(bare_median(work, n));
    for (size_t r = 0; r < BARE_RESAMPLES; r++) {
        for (size_t i = 0; i < n; i++) {
            const double share = (mld_stream_at(seed, drawn++) + 1.0) / 2.0; /* [0, 1) */
            work[i] = logs[(size_t)(share * (double)n)];
        }
        medians[r] = bare_median(work, n);
    }
    qsort(medians, BARE_RESAMPLES, sizeof(*medians), bare_compare);
    out[1] = exp(mld_quantile_sorted(medians, BARE_RESAMPLES, 0.025));
    out[2] = exp(mld_quantile_sorted(medians, BARE_RESAMPLES, 0.975));
}

static int bare_rounds(struct bare_bench *b, size_t rounds, double *logs,
                       struct mld_error *err)
{
    for (size_t i = 0; i < rounds; i++) {
        double ours = NAN, bare = NAN;
        if (i % 2 == 0)
            MLD_TRY(bare_theirs(b, &bare, err));
        MLD_TRY(bare_ours(b, b->seconds, b->max_time, &ours, err));
        if (i % 2 != 0)
            MLD_TRY(bare_theirs(b, &bare, err));
        if (isnan(ours) || isnan(bare))
            return mld_error_set(err, MLD_E_ENGINE, "too few runs in %s for a median",
                                 b->seconds);
        logs[i] = log(ours / bare);
        printf("# round %zu: mldyno %.3f ms, bare loop %.3f ms, ratio %.4f\n", i + 1,
               ours, bare, ours / bare);
        fflush(stdout);
    }
    return 0;
}

static int bare_bench(const char *self, int64_t rounds, int64_t seconds,
                      struct mld_error *err)
{
    struct bare_bench b = {.self = self, .library = bare_find_library()};
    const size_t n = (size_t)rounds;
    double *logs = mld_calloc(n, sizeof(*logs)), *work = mld_calloc(n, sizeof(*work)),
           *medians = mld_calloc(BARE_RESAMPLES, sizeof(*medians)), ratio[3];
    int rc = 0;
    snprintf(b.seconds, sizeof(b.seconds), "%lld", (long long)seconds);
    snprintf(b.max_time, sizeof(b.max_time), "%lld", (long long)seconds + 1);
    if (logs == NULL || work == NULL || medians == NULL)
        rc = mld_error_set(err, MLD_E_NO_MEMORY, "out of memory");
    if (rc == 0)
        rc = mld_program_folder_make(&b.folder, err);
    if (rc == 0)
        rc = bare_prepare(&b, err);
    if (rc == 0)
        rc = bare_rounds(&b, n, logs, err);
    if (rc == 0) {
        bare_interval(logs, n, work, medians, ratio);
        printf("bare_loop_ratio %.4f [%.4f, %.4f]\n", ratio[0], ratio[1], ratio[2]);
    }
    mld_program_folder_remove(b.folder);
    mld_free(b.artifact);
    mld_free(logs);
    mld_free(work);
    mld_free(medians);
    return rc;
}

int main(int argc, char **argv)
{
    struct mld_error err = {0};
    int64_t rounds = BARE_ROUNDS, seconds = BARE_SECONDS;
    int rc;
    if (argc == 6 && mld_streq(argv[1], "--loop")) {
        rc = bare_main(argv + 2, &err);
    } else if (argc > 3 ||
               (argc > 1 && (!mld_parse_i64(argv[1], &rounds) || rounds < 1 ||
                             rounds > BARE_ROUNDS_MAX)) ||
               (argc > 2 &&
                (!mld_parse_i64(argv[2], &seconds) || seconds < 1 || seconds > 600))) {
        fprintf(stderr, "usage: bench_bare_loop [ROUNDS [SECONDS]]\n");
        return 2;
    } else {
        char *self = mld_self_path();
        rc = bare_bench(self ? self : argv[0], rounds, seconds, &err);
        mld_free(self);
    }
    if (rc != 0)
        fprintf(stderr, "bench_bare_loop: %s\n", err.message);
    return mld_error_exit(rc);
}
