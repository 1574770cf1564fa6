/* test_conformance.c: what every backend must do, whatever its engine is. Each case runs
 * over all registered backends whose engine is there, on their first device, with a small
 * transformer that is built here. Numbers are compared where the backend computes the
 * model's (MLD_BACKEND_NUMERIC); whether they are right is for `mldyno verify`. */
#include "kit/kit.h"
#include "unit/worker_hook.h"

#include "app/artifact_case.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/fs.h"
#include "core/proc_status.h"
#include "core/registry.h"
#include "core/session.h"
#include "core/tensor_values.h"

#include <math.h>
#include <pthread.h>

#ifdef __SANITIZE_ADDRESS__
#define SANITIZED true
#else
#define SANITIZED false
#endif

/* --- one model on one backend ----------------------------------------------------- */

/* A built model as a case, and the tensors to bind. */
struct model {
    struct mld_arena arena;
    struct mld_json *config;
    struct mld_artifact artifact;
    struct mld_case c;
    struct mld_tensor *inputs, *outputs;
    struct mld_state_pair state[64];
    size_t state_count;
};

static const char encoder_config[] =
    "{\"model_type\":\"bert\",\"architectures\":[\"BertModel\"],\"hidden_size\":32,"
    "\"num_hidden_layers\":2,\"num_attention_heads\":4,\"intermediate_size\":48,"
    "\"vocab_size\":99,\"max_position_embeddings\":64,\"type_vocab_size\":2}";
static const char decoder_config[] =
    "{\"model_type\":\"llama\",\"architectures\":[\"LlamaForCausalLM\"],"
    "\"hidden_size\":32,\"num_hidden_layers\":2,\"num_attention_heads\":4,"
    "\"num_key_value_heads\":2,\"intermediate_size\":48,\"vocab_size\":99,"
    "\"max_position_embeddings\":64}";

static void tensor_of(struct mld_tensor *t, const char *name, enum mld_dtype dtype,
                      int rank, const int64_t *dims)
{
    *t = (struct mld_tensor){.name = name, .dtype = dtype, .rank = rank};
    memcpy(t->dims, dims, (size_t)rank * sizeof(*dims));
    t->bytes = mld_dtype_bytes(dtype, mld_tensor_count(dims, rank));
}

static void model_make(struct model *m, const struct mld_backend_state *b,
                       const char *config, enum mld_mode mode)
{
    memset(m, 0, sizeof(*m));
    KIT_OK(mld_json_parse(config, strlen(config), "config", &m->config, &kit_err));
    const struct mld_artifact_request want = {
        .arch = {.config = m->config, .mode = mode, .shapes = {.batch = 2, .seq = 8}},
        .target = {.fused_ort = (b->ops->flags & MLD_BACKEND_FUSED_ORT) != 0},
    };
    const struct mld_cache_params cache = {.root = "cache"};
    KIT_OK(mld_artifact_open(&want, &cache, &m->artifact, &kit_err));
    KIT_OK(mld_case_from_artifact(&m->artifact, &m->arena, &m->c, &kit_err));
    const struct mld_case *c = &m->c;
    m->inputs = mld_arena_array(&m->arena, c->input_count + 1, sizeof(*m->inputs));
    m->outputs = mld_arena_array(&m->arena, c->output_count + 1, sizeof(*m->outputs));
    KIT_CHECK(m->inputs && m->outputs && c->input_count < 64 && c->output_count > 0);
    for (size_t i = 0; i < c->input_count; i++) {
        const struct mld_case_input *in = &c->inputs[i];
        tensor_of(&m->inputs[i], in->name, in->dtype, in->rank, in->dims);
        m->inputs[i].data = mld_alloc_aligned(64, m->inputs[i].bytes + 1);
        KIT_CHECK(m->inputs[i].data);
        KIT_OK(mld_tensor_fill(in, m->inputs[i].data, &kit_err));
        if (in->state_output >= 0)
            m->state[m->state_count++] =
                (struct mld_state_pair){i, (size_t)in->state_output};
    }
    for (size_t i = 0; i < c->output_count; i++)
        tensor_of(&m->outputs[i], c->outputs[i].name, c->outputs[i].dtype,
                  c->outputs[i].rank, c->outputs[i].dims);
}

static void model_release(struct model *m)
{
    for (size_t i = 0; i < m->c.input_count; i++)
        mld_free(m->inputs[i].data);
    mld_artifact_close(&m->artifact);
    mld_json_free(m->config);
    mld_arena_release(&m->arena);
}

static struct mld_prepare_params model_bindings(const struct model *m)
{
    return (struct mld_prepare_params){
        .inputs = m->inputs,
        .input_count = m->c.input_count,
        .outputs = m->outputs,
        .output_count = m->c.output_count,
        .state = m->state,
        .state_count = m->state_count,
    };
}

static struct mld_open_params open_params(const struct mld_backend_state *b, int threads)
{
    return (struct mld_open_params){
        .device = b->devices[0].id, .precision = "fp32", .threads = threads, .seed = 1};
}

static void session_start(struct mld_core_session *s, const struct mld_backend_state *b,
                          const struct model *m)
{
    const struct mld_open_params open = open_params(b, 1);
    const struct mld_load_params load = {m->c.onnx_path, m->c.artifact_dir};
    const struct mld_prepare_params prepare = model_bindings(m);
    KIT_OK(mld_session_open(s, b->ops, &open, &kit_err));
    KIT_OK(mld_session_load(s, &load, &kit_err));
    KIT_OK(mld_session_prepare(s, &prepare, &kit_err));
}

/* Calls body for each backend that can run here; a backend without its engine is told. */
static void each_backend(void (*body)(const struct mld_backend_state *b))
{
    const struct mld_backend_state *states;
    size_t count, usable = 0;
    KIT_OK(mld_registry_scan(&states, &count, &kit_err));
    for (size_t i = 0; i < count; i++) {
        if (!states[i].probe.usable) {
            printf("%s is left out: %s\n", states[i].ops->name, states[i].probe.reason);
            continue;
        }
        printf("backend %s\n", states[i].ops->name);
        KIT_CHECK(states[i].device_count > 0);
        body(&states[i]);
        usable++;
    }
    KIT_CHECK(usable >= 2); /* null and skeleton at the least */
}

static bool numeric(const struct mld_backend_state *b)
{
    return (b->ops->flags & MLD_BACKEND_NUMERIC) != 0;
}

/* Copies output 0 as doubles; the caller frees. */
static double *copy_output(struct mld_core_session *s, size_t index, size_t *n)
{
    struct mld_tensor t;
    KIT_OK(mld_session_output(s, index, &t, &kit_err));
    *n = (size_t)mld_tensor_count(t.dims, t.rank);
    double *values = mld_calloc(*n + 1, sizeof(*values));
    KIT_CHECK(values);
    mld_tensor_read(t.dtype, t.data, 0, *n, values);
    return values;
}

/* --- before a session ------------------------------------------------------------- */

static void check_probe(const struct mld_backend_state *b)
{
    struct mld_probe again;
    KIT_OK(b->ops->probe(&again, &kit_err));
    KIT_EQ_INT(again.usable, b->probe.usable);
    KIT_EQ_STR(again.engine, b->probe.engine);
    KIT_EQ_STR(again.version, b->probe.version);
    KIT_CHECK(again.engine[0] && again.version[0]);
    /* A backend that computes nothing real must not say that it does. */
    KIT_CHECK(!(numeric(b) && (b->ops->flags & MLD_BACKEND_SYNTHETIC)));
    for (const char *p = b->ops->name; *p; p++)
        KIT_CHECK((*p >= 'a' && *p <= 'z') || (*p >= '0' && *p <= '9') || *p == '-');
}

MLD_TEST(conformance__probe_answers_the_same_twice)
{
    each_backend(check_probe);
}

static void check_devices(const struct mld_backend_state *b)
{
    struct mld_device one;
    size_t all = 0, again = 0;
    KIT_OK(b->ops->devices(NULL, 0, &all, &kit_err));
    KIT_EQ_INT(all, b->device_count);
    KIT_OK(b->ops->devices(&one, 1, &again, &kit_err)); /* a small array is no error */
    KIT_EQ_INT(again, all);
    for (size_t i = 0; i < b->device_count; i++) {
        const struct mld_device *d = &b->devices[i];
        KIT_CHECK(d->id[0] && d->name[0] && d->platform[0]);
        KIT_CONTAINS(b->ops->platforms, d->platform);
        for (size_t k = 0; k < i; k++)
            KIT_CHECK(strcmp(d->id, b->devices[k].id) != 0);
    }
}

MLD_TEST(conformance__devices_are_counted_and_named)
{
    each_backend(check_devices);
}

/* The option table's own defaults must be values that open takes, and nothing else. */
static void check_options(const struct mld_backend_state *b)
{
    struct mld_core_session s;
    struct mld_open_params open = open_params(b, 0);
    for (const struct mld_backend_option *o = b->ops->options; o && o->key; o++) {
        KIT_CHECK(o->key[0] && o->value_name && o->value_name[0] && o->help &&
                  o->help[0]);
        if (!o->fallback || !o->fallback[0])
            continue;
        const struct mld_key_value pair = {o->key, o->fallback};
        open.options = &pair;
        open.option_count = 1;
        KIT_OK(mld_session_open(&s, b->ops, &open, &kit_err));
        mld_session_close(&s);
    }
    const struct mld_key_value wrong = {"no-such-option", "1"};
    open.options = &wrong;
    open.option_count = 1;
    KIT_FAILS(mld_session_open(&s, b->ops, &open, &kit_err), MLD_E_INVALID);
    KIT_CONTAINS(kit_err.message, "no-such-option");
}

MLD_TEST(conformance__options_have_working_defaults)
{
    each_backend(check_options);
}

static void check_close_null(const struct mld_backend_state *b)
{
    b->ops->close(NULL);
    struct mld_core_session s;
    for (int threads = 0; threads <= 2; threads++) {
        const struct mld_open_params open = open_params(b, threads);
        KIT_OK(mld_session_open(&s, b->ops, &open, &kit_err));
        mld_session_close(&s); /* opened and never used */
    }
}

MLD_TEST(conformance__opens_and_closes_without_a_model)
{
    each_backend(check_close_null);
}

/* --- the life of a session -------------------------------------------------------- */

static void check_outputs(struct mld_core_session *s, const struct model *m)
{
    for (size_t i = 0; i < m->c.output_count; i++) {
        struct mld_tensor t;
        KIT_OK(mld_session_output(s, i, &t, &kit_err));
        KIT_EQ_INT(t.dtype, m->outputs[i].dtype);
        KIT_EQ_INT(t.rank, m->outputs[i].rank);
        KIT_EQ_MEM(t.dims, m->outputs[i].dims, (size_t)t.rank * sizeof(t.dims[0]));
        KIT_EQ_INT(t.bytes, m->outputs[i].bytes);
    }
}

static void check_life(const struct mld_backend_state *b)
{
    struct model m;
    struct mld_core_session s;
    struct mld_counters counters;
    model_make(&m, b, encoder_config, MLD_MODE_FORWARD);
    session_start(&s, b, &m);
    for (int turn = 0; turn < 2; turn++) {
        for (int i = 0; i < 3; i++)
            KIT_OK(mld_session_run(&s, &kit_err));
        check_outputs(&s, &m);
        KIT_OK(mld_session_counters(&s, &counters, &kit_err));
        KIT_CHECK(counters.nodes_total >= -1 && counters.nodes_total != 0);
        KIT_CHECK(counters.nodes_on_device <= counters.nodes_total);
        KIT_CHECK(!numeric(b) || counters.nodes_on_device > 0); /* proof of placement */
        KIT_CHECK(!numeric(b) || counters.precision_effective[0]);
        mld_session_unload(&s);
        if (turn == 1)
            break;
        const struct mld_load_params load = {m.c.onnx_path, m.c.artifact_dir};
        const struct mld_prepare_params prepare = model_bindings(&m);
        KIT_OK(mld_session_load(&s, &load, &kit_err)); /* the same session again */
        KIT_OK(mld_session_prepare(&s, &prepare, &kit_err));
    }
    mld_session_close(&s);
    model_release(&m);
}

MLD_TEST_TIMEOUT(conformance__whole_life_twice_in_a_session, 120)
{
    each_backend(check_life);
}

static void check_two_sessions(const struct mld_backend_state *b)
{
    struct model m;
    struct mld_core_session first, second;
    size_t n, k;
    model_make(&m, b, encoder_config, MLD_MODE_FORWARD);
    session_start(&first, b, &m);
    session_start(&second, b, &m);
    KIT_OK(mld_session_run(&first, &kit_err));
    KIT_OK(mld_session_run(&second, &kit_err));
    double *x = copy_output(&first, 0, &n), *y = copy_output(&second, 0, &k);
    KIT_EQ_INT(n, k);
    KIT_EQ_MEM(x, y, n * sizeof(*x));
    mld_session_close(&first);
    KIT_OK(mld_session_run(&second, &kit_err)); /* lives on without the other */
    mld_session_close(&second);
    mld_free(x);
    mld_free(y);
    model_release(&m);
}

MLD_TEST_TIMEOUT(conformance__two_sessions_at_once, 120)
{
    each_backend(check_two_sessions);
}

static int64_t resident_bytes(void)
{
    struct mld_proc_memory now;
    mld_proc_memory(&now);
    return now.resident_bytes;
}

static void check_growth(const struct mld_backend_state *b)
{
    struct model m;
    struct mld_core_session s;
    int64_t before = 0;
    model_make(&m, b, encoder_config, MLD_MODE_FORWARD);
    const struct mld_open_params open = open_params(b, 1);
    const struct mld_load_params load = {m.c.onnx_path, m.c.artifact_dir};
    const struct mld_prepare_params prepare = model_bindings(&m);
    KIT_OK(mld_session_open(&s, b->ops, &open, &kit_err));
    for (int i = 0; i < 40; i++) {
        if (i == 10) /* allocators have their pools by now */
            before = resident_bytes();
        KIT_OK(mld_session_load(&s, &load, &kit_err));
        KIT_OK(mld_session_prepare(&s, &prepare, &kit_err));
        KIT_OK(mld_session_run(&s, &kit_err));
        mld_session_unload(&s);
    }
    int64_t grown = resident_bytes() - before;
    mld_session_close(&s);
    model_release(&m);
    /* The model's weights are some 100 kB: 30 leaked models show. */
    if (grown > 2 << 20)
        KIT_FAIL("%s grew by %lld bytes in 30 loads", b->ops->name, (long long)grown);
}

MLD_TEST_TIMEOUT(conformance__loading_again_and_again_does_not_grow, 120)
{
    if (SANITIZED)
        KIT_SKIP("the address sanitizer keeps freed memory");
    each_backend(check_growth);
}

/* --- data ------------------------------------------------------------------------- */

static void check_set_input(const struct mld_backend_state *b)
{
    struct model m;
    struct mld_core_session s;
    size_t n;
    model_make(&m, b, encoder_config, MLD_MODE_FORWARD);
    session_start(&s, b, &m);
    KIT_EQ_STR(m.inputs[0].name, "input_ids");
    KIT_EQ_INT(m.inputs[0].dtype, MLD_I64);
    KIT_OK(mld_session_run(&s, &kit_err));
    double *first = copy_output(&s, 0, &n);
    /* Other ids of the same range; the caller's array may go away after the call. */
    int64_t *ids = mld_alloc(m.inputs[0].bytes);
    KIT_CHECK(ids);
    for (size_t i = 0; i < m.inputs[0].bytes / sizeof(*ids); i++)
        ids[i] = 98 - ((const int64_t *)m.inputs[0].data)[i];
    KIT_OK(mld_session_set_input(&s, 0, ids, m.inputs[0].bytes, &kit_err));
    memset(ids, 0, m.inputs[0].bytes);
    mld_free(ids);
    KIT_OK(mld_session_run(&s, &kit_err));
    double *second = copy_output(&s, 0, &n);
    if (numeric(b) || strcmp(b->ops->name, "skeleton") == 0)
        KIT_CHECK(memcmp(first, second, n * sizeof(*first)) != 0);
    /* Back to the old ones: the same numbers to the last bit, on one thread. */
    KIT_OK(mld_session_set_input(&s, 0, m.inputs[0].data, m.inputs[0].bytes, &kit_err));
    KIT_OK(mld_session_run(&s, &kit_err));
    double *third = copy_output(&s, 0, &n);
    KIT_EQ_MEM(first, third, n * sizeof(*first));
    for (size_t i = 0; i < n; i++)
        KIT_CHECK(!numeric(b) || isfinite(first[i]));
    KIT_FAILS(
        mld_session_set_input(&s, 0, m.inputs[0].data, m.inputs[0].bytes - 1, &kit_err),
        MLD_E_INVALID);
    mld_session_close(&s);
    mld_free(first);
    mld_free(second);
    mld_free(third);
    model_release(&m);
}

MLD_TEST_TIMEOUT(conformance__set_input_is_copied_and_counts, 120)
{
    each_backend(check_set_input);
}

static size_t input_index(const struct model *m, const char *name)
{
    for (size_t i = 0; i < m->c.input_count; i++)
        if (strcmp(m->inputs[i].name, name) == 0)
            return i;
    KIT_FAIL("the model has no input '%s'", name);
}

/* Two decode steps: the second sees what the first left in the cache, and the same step
 * made again over the same place gives the same. */
static void check_state(const struct mld_backend_state *b)
{
    struct model m;
    struct mld_core_session s;
    size_t n;
    model_make(&m, b, decoder_config, MLD_MODE_DECODE);
    KIT_EQ_INT(m.state_count, 4); /* keys and values of two layers */
    session_start(&s, b, &m);
    const size_t length = input_index(&m, "past_length");
    const int32_t first[2] = {8, 8}, next[2] = {9, 9};
    KIT_EQ_INT(m.inputs[length].bytes, sizeof(first));
    KIT_OK(mld_session_set_input(&s, length, first, sizeof(first), &kit_err));
    KIT_OK(mld_session_run(&s, &kit_err));
    double *step1 = copy_output(&s, 0, &n);
    double *cache = copy_output(&s, m.state[0].output, &n);
    KIT_OK(mld_session_set_input(&s, length, next, sizeof(next), &kit_err));
    KIT_OK(mld_session_run(&s, &kit_err));
    double *step2 = copy_output(&s, 0, &n);
    double *later = copy_output(&s, m.state[0].output, &n);
    if (numeric(b)) {
        /* [B, M, C, D]: step 2 wrote position 9 and left position 8 as step 1 had it. */
        const int64_t *d = m.outputs[m.state[0].output].dims;
        const size_t width = (size_t)d[3];
        KIT_EQ_MEM(cache + 8 * width, later + 8 * width, width * sizeof(*cache));
        KIT_CHECK(memcmp(cache + 9 * width, later + 9 * width, width * sizeof(*cache)));
    }
    check_outputs(&s, &m);
    KIT_OK(mld_session_set_input(&s, length, first, sizeof(first), &kit_err));
    KIT_OK(mld_session_run(&s, &kit_err));
    double *again = copy_output(&s, 0, &n);
    KIT_EQ_MEM(step1, again, n * sizeof(*again));
    mld_session_close(&s);
    mld_free(step1);
    mld_free(cache);
    mld_free(step2);
    mld_free(later);
    mld_free(again);
    model_release(&m);
}

MLD_TEST_TIMEOUT(conformance__state_stays_between_runs, 120)
{
    each_backend(check_state);
}

/* --- errors ----------------------------------------------------------------------- */

static void write_text(const char *path, const char *text)
{
    KIT_OK(mld_file_write(path, text, strlen(text), &kit_err));
}

/* A load that fails says which file, and the session can load another one after it. */
static void check_bad_files(const struct mld_backend_state *b)
{
    struct model m;
    struct mld_core_session s;
    model_make(&m, b, encoder_config, MLD_MODE_FORWARD);
    const struct mld_open_params open = open_params(b, 1);
    const struct mld_load_params missing = {"nowhere/model.onnx", "nowhere"};
    const struct mld_load_params good = {m.c.onnx_path, m.c.artifact_dir};
    KIT_OK(mld_session_open(&s, b->ops, &open, &kit_err));
    KIT_FAILS(mld_session_load(&s, &missing, &kit_err), MLD_E_NOT_FOUND);
    KIT_CONTAINS(kit_err.message, "nowhere/model.onnx");
    if (numeric(b)) {
        write_text("garbage.onnx", "\377\376this is no protobuf, whatever its name says");
        write_text("empty.onnx", "");
        const struct mld_load_params garbage = {"garbage.onnx", "."};
        const struct mld_load_params empty = {"empty.onnx", "."};
        KIT_FAILS(mld_session_load(&s, &garbage, &kit_err), MLD_E_PARSE);
        KIT_CONTAINS(kit_err.message, "garbage.onnx");
        /* No byte is a valid protobuf, of a model without a graph: up to the engine. */
        KIT_CHECK(mld_session_load(&s, &empty, &kit_err) != 0);
        KIT_CONTAINS(kit_err.message, "empty.onnx");
    }
    KIT_OK(mld_session_load(&s, &good, &kit_err));
    const struct mld_prepare_params prepare = model_bindings(&m);
    KIT_OK(mld_session_prepare(&s, &prepare, &kit_err));
    KIT_OK(mld_session_run(&s, &kit_err));
    mld_session_close(&s);
    model_release(&m);
}

MLD_TEST_TIMEOUT(conformance__bad_files_are_named_and_survived, 120)
{
    each_backend(check_bad_files);
}

/* Weights that are shorter than the model says: an error, neither a crash nor zeros. */
static void check_cut_weights(const struct mld_backend_state *b)
{
    struct model m;
    struct mld_core_session s;
    char *model = NULL, *weights = NULL;
    size_t model_bytes, weights_bytes;
    if (!numeric(b))
        return;
    model_make(&m, b, encoder_config, MLD_MODE_FORWARD);
    char *from = mld_path_join(m.c.artifact_dir, "weights.bin");
    KIT_CHECK(from);
    KIT_OK(mld_file_read(m.c.onnx_path, 1u << 28, &model, &model_bytes, &kit_err));
    KIT_OK(mld_file_read(from, 1u << 28, &weights, &weights_bytes, &kit_err));
    KIT_OK(mld_mkdirs("cut", &kit_err));
    KIT_OK(mld_file_write("cut/model.onnx", model, model_bytes, &kit_err));
    KIT_OK(mld_file_write("cut/weights.bin", weights, weights_bytes / 2, &kit_err));
    const struct mld_open_params open = open_params(b, 1);
    const struct mld_load_params load = {"cut/model.onnx", "cut"};
    KIT_OK(mld_session_open(&s, b->ops, &open, &kit_err));
    int rc = mld_session_load(&s, &load, &kit_err);
    KIT_CHECK(rc != 0 && kit_err.message[0]);
    mld_session_close(&s);
    mld_free(from);
    mld_free(model);
    mld_free(weights);
    model_release(&m);
}

MLD_TEST_TIMEOUT(conformance__cut_weights_are_an_error, 120)
{
    each_backend(check_cut_weights);
}

/* Bindings that are not the model's are refused by prepare, not found out by a run. */
static void check_bad_bindings(const struct mld_backend_state *b)
{
    struct model m;
    struct mld_core_session s;
    if (!numeric(b))
        return;
    model_make(&m, b, encoder_config, MLD_MODE_FORWARD);
    const struct mld_open_params open = open_params(b, 1);
    const struct mld_load_params load = {m.c.onnx_path, m.c.artifact_dir};
    KIT_OK(mld_session_open(&s, b->ops, &open, &kit_err));
    for (int kind = 0; kind < 3; kind++) {
        struct mld_tensor first = m.inputs[0], output = m.outputs[0];
        struct mld_prepare_params prepare = model_bindings(&m);
        if (kind == 0)
            m.inputs[0].name = "no_such_input";
        else if (kind == 1)
            prepare.input_count--;
        else
            m.outputs[0].name = "no_such_output";
        KIT_OK(mld_session_load(&s, &load, &kit_err));
        int rc = mld_session_prepare(&s, &prepare, &kit_err);
        if (rc == 0)
            KIT_FAIL("%s took wrong bindings of kind %d", b->ops->name, kind);
        KIT_CHECK(kit_err.message[0]);
        mld_session_unload(&s);
        m.inputs[0] = first;
        m.outputs[0] = output;
    }
    mld_session_close(&s);
    model_release(&m);
}

MLD_TEST_TIMEOUT(conformance__wrong_bindings_are_refused, 120)
{
    each_backend(check_bad_bindings);
}

/* --- cancel ----------------------------------------------------------------------- */

static void *cancel_soon(void *session)
{
    const struct mld_clock *clock = mld_clock_real();
    clock->sleep_ns(clock->ctx, 20000000);
    mld_session_cancel(session);
    return NULL;
}

/* From another thread, while runs go on: a run may end well or with MLD_E_CANCELLED, but
 * it ends, and the session can be closed. */
static void check_cancel(const struct mld_backend_state *b)
{
    struct model m;
    struct mld_core_session s;
    pthread_t thread;
    model_make(&m, b, encoder_config, MLD_MODE_FORWARD);
    session_start(&s, b, &m);
    KIT_EQ_INT(pthread_create(&thread, NULL, cancel_soon, &s), 0);
    int rc = 0;
    for (int i = 0; i < 2000 && rc == 0; i++)
        rc = mld_session_run(&s, &kit_err);
    KIT_EQ_INT(pthread_join(thread, NULL), 0);
    KIT_CHECK(rc == 0 || rc == MLD_E_CANCELLED);
    mld_session_close(&s);
    model_release(&m);
}

MLD_TEST_TIMEOUT(conformance__cancel_from_another_thread, 120)
{
    each_backend(check_cancel);
}

/* A run that would take for ever ends by cancel. */
MLD_TEST_TIMEOUT(conformance__cancel_ends_a_hanging_run, 120)
{
    const struct mld_backend_state *b;
    const struct mld_device *device;
    struct mld_core_session s;
    pthread_t thread;
    KIT_OK(mld_registry_resolve("null", &b, &device, &kit_err));
    const struct mld_key_value options[] = {{"fail-at", "run"}, {"fault", "hang"}};
    struct mld_open_params open = open_params(b, 1);
    open.options = options;
    open.option_count = 2;
    const struct mld_load_params load = {NULL, NULL};
    const struct mld_prepare_params prepare = {.input_count = 0};
    KIT_OK(mld_session_open(&s, b->ops, &open, &kit_err));
    KIT_OK(mld_session_load(&s, &load, &kit_err));
    KIT_OK(mld_session_prepare(&s, &prepare, &kit_err));
    KIT_EQ_INT(pthread_create(&thread, NULL, cancel_soon, &s), 0);
    KIT_FAILS(mld_session_run(&s, &kit_err), MLD_E_CANCELLED);
    KIT_EQ_INT(pthread_join(thread, NULL), 0);
    mld_session_close(&s);
}

/* --- in a worker ------------------------------------------------------------------ */

static void case_set(struct model *m, const struct mld_backend_state *b)
{
    m->c.backend = b->ops->name;
    m->c.device = b->devices[0].id;
    m->c.threads = 1;
    m->c.seed = 1;
    m->c.budget = (struct mld_budget){.max_time_ns = 2000000000u,
                                      .min_samples = 20,
                                      .max_samples = 2000,
                                      .warmup = -1,
                                      .target_width = 0.1,
                                      .timeout_ns = 60000000000u};
}

static void check_worker(const struct mld_backend_state *b)
{
    struct model m;
    struct mld_result r;
    const struct mld_run_params params = {.worker_path = kit_self()};
    model_make(&m, b, encoder_config, MLD_MODE_FORWARD);
    case_set(&m, b);
    mld_run_case(&m.c, &params, &r);
    if (r.status != MLD_STATUS_OK && r.status != MLD_STATUS_MISTRUSTED)
        KIT_FAIL("%s: %s: %s", b->ops->name, mld_status_name(r.status), r.reason);
    KIT_EQ_STR(r.engine, b->probe.engine);
    KIT_EQ_STR(r.engine_version, b->probe.version);
    KIT_EQ_STR(r.device.id, b->devices[0].id);
    KIT_CHECK(r.sample_count >= 20 && r.summary.p[MLD_P50].known);
    KIT_CHECK(r.memory_peak_bytes >= r.memory_floor_bytes);
    mld_result_release(&r);

    m.c.task = MLD_TASK_OUTPUTS;
    mld_run_case(&m.c, &params, &r);
    KIT_EQ_INT(r.status, MLD_STATUS_OK);
    KIT_EQ_INT(r.output_count, m.c.output_count);
    for (size_t i = 0; i < r.output_count; i++) {
        KIT_EQ_STR(r.outputs[i].name, m.outputs[i].name);
        KIT_EQ_INT(r.outputs[i].count,
                   mld_tensor_count(m.outputs[i].dims, m.outputs[i].rank));
    }
    mld_result_release(&r);
    model_release(&m);
}

MLD_TEST_TIMEOUT(conformance__measured_in_a_worker, 120)
{
    each_backend(check_worker);
}
