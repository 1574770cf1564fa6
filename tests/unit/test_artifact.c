/* test_artifact.c: artifacts and their cache: the same request finds the same folder, any
 * difference makes another; builders at once, damage, eviction, stale leftovers, a cache
 * that cannot be written. */
#include "kit/kit.h"

#include "artifact/artifact.h"
#include "artifact/cache.h"
#include "base/alloc.h"
#include "base/fs.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const char small_bert[] =
    "{\"model_type\":\"bert\",\"architectures\":[\"BertModel\"],\"vocab_size\":99,"
    "\"hidden_size\":32,\"num_hidden_layers\":2,\"num_attention_heads\":4,"
    "\"intermediate_size\":37,\"max_position_embeddings\":64,\"type_vocab_size\":2}";

static struct mld_json *config_from(const char *text)
{
    struct mld_json *j;

    KIT_OK(mld_json_parse(text, strlen(text), "config", &j, &kit_err));
    return j;
}

static struct mld_artifact_request request_for(const struct mld_json *config,
                                               int64_t batch)
{
    return (struct mld_artifact_request){
        .arch = {.config = config, .shapes = {.batch = batch, .seq = 16}},
        .target = {.fused_ort = true}};
}

static const struct mld_cache_params here = {.root = "cache"};

static int open_batch(int64_t batch, const struct mld_cache_params *cache,
                      struct mld_artifact *out)
{
    struct mld_json *config = config_from(small_bert);
    const struct mld_artifact_request req = request_for(config, batch);
    const int rc = mld_artifact_open(&req, cache, out, &kit_err);

    mld_json_free(config);
    return rc;
}

/* Names in cache/artifacts that end (or not) with ".lock" or begin with "tmp-". */
static size_t count_entries(bool (*counts)(const char *name))
{
    char **names;
    size_t n, found = 0;

    KIT_OK(mld_dir_list("cache/artifacts", &names, &n, &kit_err));
    for (size_t i = 0; i < n; i++)
        found += counts(names[i]);
    mld_names_free(names, n);
    return found;
}

static bool is_folder(const char *name)
{
    return !mld_str_ends(name, ".lock");
}

static bool is_anything(const char *name)
{
    (void)name;
    return true;
}

/* --- finding and building --------------------------------------------------------- */

MLD_TEST(artifact__second_open_finds_it)
{
    struct mld_artifact a, b;

    KIT_OK(open_batch(1, &here, &a));
    KIT_CHECK(!a.cached && a.build_ns > 0);
    KIT_CHECK(mld_path_is_file(a.onnx_path));
    KIT_OK(open_batch(1, &here, &b));
    KIT_CHECK(b.cached);
    KIT_EQ_U64(b.build_ns, 0);
    KIT_EQ_STR(a.dir, b.dir);
    KIT_EQ_STR(mld_path_base(a.dir), mld_json_str(mld_json_get(b.manifest, "key"), ""));
    mld_artifact_close(&a);
    mld_artifact_close(&b);
    mld_artifact_close(&b); /* closed is a valid state */
}

static void same_file(const char *a, const char *b, const char *name)
{
    char *x, *y, *pa = mld_path_join(a, name), *pb = mld_path_join(b, name);
    size_t n, m;

    KIT_OK(mld_file_read(pa, 1 << 26, &x, &n, &kit_err));
    KIT_OK(mld_file_read(pb, 1 << 26, &y, &m, &kit_err));
    KIT_EQ_INT(n, m);
    KIT_CHECK(n > 0);
    KIT_EQ_MEM(x, y, n);
    mld_free(pa);
    mld_free(pb);
    mld_free(x);
    mld_free(y);
}

/* Bytes do not depend on place or time: the cache's folder, another cache's, --output's.
 */
MLD_TEST(artifact__bytes_are_reproducible)
{
    static const char *const files[] = {"model.onnx", "weights.bin", "manifest.json"};
    const struct mld_cache_params other = {.root = "other"};
    struct mld_json *config = config_from(small_bert);
    const struct mld_artifact_request req = request_for(config, 2);
    struct mld_artifact a, b;

    KIT_OK(open_batch(2, &here, &a));
    KIT_OK(open_batch(2, &other, &b));
    KIT_OK(mld_artifact_write(&req, "out/deep", &kit_err));
    for (size_t i = 0; i < 3; i++) {
        same_file(a.dir, b.dir, files[i]);
        same_file(a.dir, "out/deep", files[i]);
    }
    mld_artifact_close(&a);
    mld_artifact_close(&b);
    mld_json_free(config);
}

MLD_TEST(artifact__manifest_tells_the_case)
{
    struct mld_artifact a;
    const struct mld_json *m, *model, *in, *out;

    KIT_OK(open_batch(3, &here, &a));
    m = a.manifest;
    model = mld_json_get(m, "model");
    KIT_EQ_INT(mld_json_int(mld_json_get(m, "format"), 0), 1);
    KIT_EQ_STR(mld_json_str(mld_json_get(model, "model_type"), ""), "bert");
    KIT_EQ_STR(mld_json_str(mld_json_get(model, "class"), ""), "BertModel");
    KIT_CHECK(mld_json_is(mld_json_get(model, "checkpoint"), MLD_JSON_NULL));
    KIT_EQ_INT(mld_json_int(mld_json_get(model, "layers"), 0), 2);
    KIT_CHECK(mld_json_int(mld_json_get(model, "parameters"), 0) > 10000);
    KIT_EQ_INT(strlen(mld_json_str(mld_json_get(model, "digest"), "")), 16);
    KIT_EQ_STR(mld_json_str(mld_json_get(m, "precision"), ""), "fp32");
    KIT_EQ_STR(mld_json_str(mld_json_get(m, "target"), ""), "ort");
    KIT_EQ_INT(mld_json_int(mld_json_get(m, "opset"), 0), MLD_OPSET_DEFAULT);
    KIT_EQ_INT(mld_json_int(mld_json_get(mld_json_get(m, "shapes"), "batch"), 0), 3);
    in = mld_json_at(mld_json_get(m, "inputs"), 0);
    KIT_EQ_STR(mld_json_str(mld_json_get(in, "name"), ""), "input_ids");
    KIT_EQ_STR(mld_json_str(mld_json_get(in, "fill"), ""), "ids");
    KIT_EQ_STR(mld_json_str(mld_json_get(in, "stream"), ""), "input:input_ids");
    KIT_EQ_INT(mld_json_int(mld_json_get(in, "high"), 0), 99);
    KIT_EQ_INT(mld_json_int(mld_json_at(mld_json_get(in, "shape"), 1), 0), 16);
    out = mld_json_at(mld_json_get(m, "outputs"), 0);
    KIT_EQ_STR(mld_json_str(mld_json_get(out, "name"), ""), "last_hidden_state");
    KIT_CHECK(mld_json_num(mld_json_get(mld_json_get(m, "cost"), "flops"), 0) > 1e5);
    KIT_EQ_STR(mld_json_str(mld_json_get(mld_json_get(m, "weights"), "source"), ""),
               "names");
    mld_artifact_close(&a);
}

/* Whatever tells two requests apart gives them folders of their own. */
MLD_TEST(artifact__each_difference_is_another_key)
{
    static char wide[sizeof(small_bert) + 1];
    struct mld_json *config = config_from(small_bert), *other;
    struct mld_artifact_request req[6];
    struct mld_artifact a[6];

    memcpy(wide, small_bert, sizeof(small_bert));
    memcpy(strstr(wide, "37"), "38", 2);
    other = config_from(wide);
    for (int i = 0; i < 6; i++)
        req[i] = request_for(config, 1);
    req[1].arch.shapes.batch = 2;
    req[2].arch.layers = 1;
    req[3].arch.config = other;
    req[4].checkpoint = "small-bert";
    req[5].target.fused_ort = false;
    for (int i = 0; i < 6; i++) {
        KIT_OK(mld_artifact_open(&req[i], &here, &a[i], &kit_err));
        KIT_CHECK(!a[i].cached);
        for (int k = 0; k < i; k++)
            KIT_CHECK(strcmp(a[i].dir, a[k].dir) != 0);
    }
    KIT_EQ_INT(count_entries(is_folder), 6);
    for (int i = 0; i < 6; i++)
        mld_artifact_close(&a[i]);
    mld_json_free(config);
    mld_json_free(other);
}

/* A file of weights with another time of change is another file. */
MLD_TEST(artifact__weights_file_is_part_of_the_key)
{
    static const struct timespec times[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};
    struct mld_json *config = config_from(small_bert);
    struct mld_artifact_request req = request_for(config, 1);
    struct mld_artifact a;

    req.weights.safetensors_path = "w.safetensors";
    KIT_FAILS(mld_artifact_open(&req, &here, &a, &kit_err), MLD_E_NOT_FOUND);
    KIT_CHECK(a.dir == NULL);
    mld_artifact_close(&a);
    KIT_OK(mld_file_write("w.safetensors", "\2\0\0\0\0\0\0\0{}", 10, &kit_err));
    KIT_FAILS(mld_artifact_open(&req, &here, &a, &kit_err), MLD_E_INVALID);
    KIT_CONTAINS(kit_err.message, "weights 'w.safetensors' lack");
    KIT_CONTAINS(kit_err.message, "'embeddings.word_embeddings.weight'");

    /* A checkpoint of everything that the model wants, all zeros. */
    {
        struct mld_arena arena = {0};
        struct mld_arch_info info;
        struct mld_graph *g;
        struct mld_str h = {0}, file = {0};
        size_t at = 0;
        char *first;

        KIT_OK(mld_arch_build(&req.arch, &arena, &g, &info, &kit_err));
        for (size_t i = 0; i < g->param_count; i++) {
            const struct mld_param *p = g->params[i];
            mld_str_addf(&h, "%s\"%s\":{\"dtype\":\"F32\",\"shape\":[", i ? "," : "{",
                         p->name);
            for (int d = 0; d < p->shape.rank; d++)
                mld_str_addf(&h, "%s%lld", d ? "," : "", (long long)p->shape.d[d]);
            mld_str_addf(&h, "],\"data_offsets\":[%zu,", at);
            at += (size_t)mld_shape_count(&p->shape) * 4;
            mld_str_addf(&h, "%zu]}", at);
        }
        mld_str_addc(&h, '}');
        for (int i = 0; i < 8; i++)
            mld_str_addc(&file, (char)(h.len >> 8 * i));
        mld_str_append(&file, mld_str_c(&h), h.len);
        while (at-- > 0)
            mld_str_addc(&file, '\0');
        KIT_OK(mld_file_write("w.safetensors", mld_str_c(&file), file.len, &kit_err));
        mld_str_release(&h);
        mld_str_release(&file);
        mld_graph_release(g);
        mld_arena_release(&arena);

        KIT_OK(mld_artifact_open(&req, &here, &a, &kit_err));
        KIT_CHECK(!a.cached);
        first = mld_strdup(a.dir);
        KIT_EQ_STR(
            mld_json_str(mld_json_get(mld_json_get(a.manifest, "weights"), "file"), ""),
            "w.safetensors");
        mld_artifact_close(&a);
        KIT_OK(mld_artifact_open(&req, &here, &a, &kit_err));
        KIT_CHECK(a.cached);
        mld_artifact_close(&a);
        KIT_EQ_INT(utimensat(AT_FDCWD, "w.safetensors", times, 0), 0);
        KIT_OK(mld_artifact_open(&req, &here, &a, &kit_err));
        KIT_CHECK(!a.cached && strcmp(a.dir, first) != 0);
        mld_artifact_close(&a);
        mld_free(first);
    }
    mld_json_free(config);
}

MLD_TEST(artifact__faults_of_a_request)
{
    struct mld_json *config = config_from("{\"model_type\":\"bort\"}");
    struct mld_artifact_request req = request_for(config, 1);
    struct mld_artifact a;

    KIT_CHECK(mld_artifact_open(&req, &here, &a, &kit_err) != 0);
    KIT_CONTAINS(kit_err.message, "bort");
    req.precision = "fp16";
    KIT_FAILS(mld_artifact_open(&req, &here, &a, &kit_err), MLD_E_UNSUPPORTED);
    KIT_CONTAINS(kit_err.message, "precision 'fp16'");
    KIT_CHECK(!mld_path_exists("cache")); /* nothing was begun */
    mld_json_free(config);
}

/* --- damage ----------------------------------------------------------------------- */

MLD_TEST(artifact__damage_is_built_again)
{
    for (int kind = 0; kind < 5; kind++) {
        struct mld_artifact a;
        char *weights, *manifest;

        KIT_OK(open_batch(1, &here, &a));
        weights = mld_path_join(a.dir, "weights.bin");
        manifest = mld_path_join(a.dir, "manifest.json");
        mld_artifact_close(&a);
        if (kind == 0) /* cut short */
            KIT_EQ_INT(truncate(weights, 100), 0);
        else if (kind == 1)
            KIT_EQ_INT(unlink(weights), 0);
        else if (kind == 2)
            KIT_EQ_INT(unlink(manifest), 0);
        else if (kind == 3)
            KIT_OK(mld_file_write(manifest, "{\"key\"", 6, &kit_err));
        else /* of another artifact */
            KIT_OK(mld_file_write(manifest, "{\"key\":\"0\"}", 11, &kit_err));
        KIT_OK(open_batch(1, &here, &a));
        KIT_CHECK(!a.cached);
        mld_artifact_close(&a);
        KIT_OK(open_batch(1, &here, &a));
        KIT_CHECK(a.cached);
        mld_artifact_close(&a);
        mld_free(weights);
        mld_free(manifest);
    }
    KIT_EQ_INT(count_entries(is_folder), 1);
}

MLD_TEST(artifact__cache_that_cannot_be_written)
{
    const struct mld_cache_params file = {.root = "file"};
    struct mld_artifact a;

    KIT_OK(mld_file_write("file", "x", 1, &kit_err));
    KIT_CHECK(open_batch(1, &file, &a) != 0);
    KIT_CONTAINS(kit_err.message, "XDG_CACHE_HOME");
    KIT_CONTAINS(kit_err.message, "file");
    KIT_CHECK(a.dir == NULL);
}

/* A disk that is full, as a limit on the size of files makes one: no half artifact stays.
 */
MLD_TEST(artifact__full_disk)
{
    const struct rlimit limit = {20000, 20000};
    struct mld_json *config = config_from(small_bert);
    const struct mld_artifact_request req = request_for(config, 1);
    struct mld_artifact a;
    char **names;
    size_t n;

    KIT_CHECK(signal(SIGXFSZ, SIG_IGN) != SIG_ERR);
    KIT_EQ_INT(setrlimit(RLIMIT_FSIZE, &limit), 0);
    KIT_FAILS(mld_artifact_open(&req, &here, &a, &kit_err), MLD_E_IO);
    KIT_CONTAINS(kit_err.message, "cannot write");
    KIT_EQ_INT(count_entries(is_folder), 0);
    KIT_EQ_INT(mkdir("there", 0777), 0);
    KIT_FAILS(mld_artifact_write(&req, "there", &kit_err), MLD_E_IO);
    KIT_OK(mld_dir_list("there", &names, &n, &kit_err));
    KIT_EQ_INT(n, 0);
    mld_names_free(names, n);
    KIT_FAILS(mld_artifact_write(&req, "new", &kit_err), MLD_E_IO);
    KIT_CHECK(!mld_path_exists("new"));
    mld_json_free(config);
}

MLD_TEST(artifact__output_wants_an_empty_folder)
{
    struct mld_json *config = config_from(small_bert);
    const struct mld_artifact_request req = request_for(config, 1);

    KIT_EQ_INT(mkdir("empty", 0777), 0);
    KIT_OK(mld_artifact_write(&req, "empty", &kit_err));
    KIT_CHECK(mld_path_is_file("empty/manifest.json"));
    KIT_FAILS(mld_artifact_write(&req, "empty", &kit_err), MLD_E_INVALID);
    KIT_CONTAINS(kit_err.message, "folder 'empty' is not empty");
    KIT_FAILS(mld_artifact_write(&req, "empty/manifest.json", &kit_err), MLD_E_INVALID);
    KIT_CONTAINS(kit_err.message, "is no folder");
    mld_json_free(config);
}

/* --- several processes ------------------------------------------------------------ */

/* Four processes want the same artifact at once, and others: one builds each. */
MLD_TEST(artifact__builders_at_once)
{
    enum { PROCESSES = 4, ROUNDS = 3 };
    size_t built = 0;
    int go[2], told[2];

    KIT_EQ_INT(pipe(go), 0);
    KIT_EQ_INT(pipe(told), 0);
    for (int p = 0; p < PROCESSES; p++) {
        const pid_t pid = fork();
        char byte;

        KIT_CHECK(pid >= 0);
        if (pid > 0)
            continue;
        close(go[1]);
        (void)!read(go[0], &byte, 1); /* returns for all when the parent closes */
        for (int round = 1; round <= ROUNDS; round++) {
            struct mld_artifact a;
            KIT_OK(open_batch(round, &here, &a));
            byte = a.cached ? 'c' : 'b';
            KIT_EQ_INT(write(told[1], &byte, 1), 1);
            mld_artifact_close(&a);
        }
        _exit(0);
    }
    close(go[1]);
    for (int p = 0; p < PROCESSES; p++) {
        int status;
        KIT_CHECK(wait(&status) > 0);
        KIT_EQ_INT(status, 0);
    }
    for (int i = 0; i < PROCESSES * ROUNDS; i++) {
        char byte;
        KIT_EQ_INT(read(told[0], &byte, 1), 1);
        built += byte == 'b';
    }
    KIT_EQ_INT(built, ROUNDS);
    KIT_EQ_INT(count_entries(is_folder), ROUNDS);
}

/* Builders killed at work leave folders that the next builder removes; those of the
 * living stay. */
MLD_TEST(artifact__leftovers_of_the_dead_go)
{
    struct mld_cache cache;
    struct mld_cache_entry mine = {.lock_fd = -1};
    struct mld_artifact a;
    pid_t pid;
    int status;

    KIT_OK(mld_cache_open("cache", 0, &cache, &kit_err));
    pid = fork();
    KIT_CHECK(pid >= 0);
    if (pid == 0) {
        struct mld_cache_entry stage;
        if (mld_cache_stage(&cache, &stage, NULL) == 0)
            kill(getpid(), SIGKILL);
        _exit(1);
    }
    KIT_EQ_INT(waitpid(pid, &status, 0), pid);
    KIT_CHECK(WIFSIGNALED(status));
    KIT_EQ_INT(count_entries(is_folder), 1);
    KIT_OK(mld_cache_stage(&cache, &mine, &kit_err));
    KIT_EQ_INT(count_entries(is_folder), 2);
    KIT_OK(open_batch(1, &here, &a)); /* builds, and so cleans up */
    KIT_CHECK(mld_path_is_dir(mine.dir));
    KIT_EQ_INT(count_entries(is_folder), 2); /* the artifact and mine */
    mld_cache_discard(&mine);
    KIT_EQ_INT(count_entries(is_anything), 2); /* the artifact and its lock */
    mld_artifact_close(&a);
    mld_cache_release(&cache);
}

/* --- the limit -------------------------------------------------------------------- */

static uint64_t artifact_bytes(const char *dir)
{
    static const char *const files[] = {"model.onnx", "weights.bin", "manifest.json"};
    uint64_t sum = 0;

    for (int i = 0; i < 3; i++) {
        char *path = mld_path_join(dir, files[i]);
        sum += (uint64_t)mld_file_size(path);
        mld_free(path);
    }
    return sum;
}

/* Makes the artifact look last used at this second of 1970. */
static void used_at(const char *dir, long second)
{
    const struct timespec times[2] = {{.tv_sec = second}, {.tv_sec = second}};
    char lock[600];

    snprintf(lock, sizeof(lock), "%s.lock", dir);
    KIT_EQ_INT(utimensat(AT_FDCWD, lock, times, 0), 0);
}

MLD_TEST(artifact__least_recently_used_goes_first)
{
    struct mld_cache_params small = here;
    struct mld_artifact a;
    char *dirs[4];

    for (int i = 0; i < 3; i++) {
        KIT_OK(open_batch(i + 1, &here, &a));
        small.max_bytes = artifact_bytes(a.dir) * 7 / 2; /* room for three and a half */
        dirs[i] = mld_strdup(a.dir);
        mld_artifact_close(&a);
    }
    used_at(dirs[0], 3000);
    used_at(dirs[1], 1000);
    used_at(dirs[2], 2000);
    KIT_OK(open_batch(4, &small, &a));
    dirs[3] = mld_strdup(a.dir);
    KIT_CHECK(!mld_path_exists(dirs[1]));
    KIT_CHECK(mld_path_exists(dirs[0]) && mld_path_exists(dirs[2]));
    mld_artifact_close(&a);

    /* Finding an artifact is using it. */
    KIT_OK(open_batch(3, &small, &a));
    KIT_CHECK(a.cached);
    mld_artifact_close(&a);
    used_at(dirs[3], 4000);
    KIT_OK(open_batch(5, &small, &a));
    KIT_CHECK(mld_path_exists(dirs[2]) && !mld_path_exists(dirs[0]));
    mld_artifact_close(&a);
    for (int i = 0; i < 4; i++)
        mld_free(dirs[i]);
}

/* What is open stays, also when the cache is far over its limit; an artifact larger than
 * the whole limit is built all the same. */
MLD_TEST(artifact__what_is_open_stays)
{
    const struct mld_cache_params tiny = {.root = "cache", .max_bytes = 1};
    struct mld_artifact a, b, c;

    KIT_OK(open_batch(1, &tiny, &a));
    KIT_OK(open_batch(2, &tiny, &b));
    KIT_CHECK(mld_path_is_file(a.onnx_path) && mld_path_is_file(b.onnx_path));
    mld_artifact_close(&a);
    KIT_OK(open_batch(3, &tiny, &c));
    KIT_CHECK(mld_path_is_file(b.onnx_path) && mld_path_is_file(c.onnx_path));
    KIT_EQ_INT(count_entries(is_folder), 2); /* the first is gone */
    KIT_EQ_INT(count_entries(is_anything), 4);
    mld_artifact_close(&b);
    mld_artifact_close(&c);
}

MLD_TEST(artifact__limit_from_the_environment)
{
    struct mld_cache cache;

    KIT_EQ_INT(unsetenv("MLDYNO_CACHE_SIZE"), 0);
    KIT_OK(mld_cache_open("cache", 0, &cache, &kit_err));
    KIT_EQ_U64(cache.max_bytes, UINT64_C(20) << 30);
    mld_cache_release(&cache);
    KIT_EQ_INT(setenv("MLDYNO_CACHE_SIZE", "300M", 1), 0);
    KIT_OK(mld_cache_open("cache", 0, &cache, &kit_err));
    KIT_EQ_U64(cache.max_bytes, UINT64_C(300) << 20);
    mld_cache_release(&cache);
    KIT_OK(mld_cache_open("cache", 5, &cache, &kit_err));
    KIT_EQ_U64(cache.max_bytes, 5);
    mld_cache_release(&cache);
    KIT_EQ_INT(setenv("MLDYNO_CACHE_SIZE", "plenty", 1), 0);
    KIT_FAILS(mld_cache_open("cache", 0, &cache, &kit_err), MLD_E_INVALID);
    KIT_CONTAINS(kit_err.message, "MLDYNO_CACHE_SIZE: 'plenty'");
}

MLD_TEST(artifact__root_from_the_environment)
{
    struct mld_artifact a;
    char cwd[512];

    KIT_CHECK(getcwd(cwd, sizeof(cwd)) != NULL);
    KIT_EQ_INT(setenv("XDG_CACHE_HOME", cwd, 1), 0);
    KIT_OK(open_batch(1, NULL, &a));
    KIT_CHECK(mld_path_is_dir("mldyno/artifacts"));
    mld_artifact_close(&a);
}

/* --- memory ----------------------------------------------------------------------- */

static int build_in_folder(void *ctx)
{
    const struct mld_artifact_request *req = ctx;
    const int rc = mld_artifact_write(req, "torture", &kit_err);

    mld_remove_tree("torture", NULL);
    return rc;
}

MLD_TEST_TIMEOUT(artifact__out_of_memory_is_an_error, 300)
{
    struct mld_json *config = config_from(small_bert);
    struct mld_artifact_request req = request_for(config, 1);

    KIT_CHECK(kit_torture(build_in_folder, &req) > 50);
    mld_json_free(config);
}
