/* test_arch_cache.c: prefill and decode on a real engine: 16 decode steps after a padded
 * prompt of two rows give the logits of the full forward, for every kind of position and
 * window, in the fused and in the plain form. */
#include "kit/kit.h"

#include "artifact/artifact.h"
#include "backends/ort/ort_int.h"
#include "base/alloc.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROWS     2
#define PROMPT   8
#define STEPS    16
#define VOCAB    99
#define CAPACITY 30
#define MAX_IO   32

static const int prompt_length[ROWS] = {8, 5};

/* Token `at` of a row: the same ids for every graph. */
static int64_t token(int row, int at)
{
    return 3 + (row * 31 + at * 17) % 90;
}

/* One graph on the engine, with its inputs in host memory. */
struct machine {
    const struct mld_backend_ops *ops;
    struct mld_session *session;
    struct mld_json *manifest;
    struct mld_tensor in[MAX_IO], out[MAX_IO];
    size_t in_count, out_count;
};

static void read_tensors(const struct mld_json *list, struct mld_tensor *to,
                         size_t *count, bool with_data)
{
    *count = 0;
    for (const struct mld_json *v = mld_json_first(list); v; v = mld_json_next(v)) {
        KIT_CHECK(*count < MAX_IO);
        struct mld_tensor *t = &to[(*count)++];
        int dtype = mld_dtype_parse(mld_json_str(mld_json_get(v, "dtype"), ""));
        const struct mld_json *shape = mld_json_get(v, "shape");
        int64_t elements = 1;
        KIT_CHECK(dtype >= 0);
        *t = (struct mld_tensor){.name = mld_json_str(mld_json_get(v, "name"), ""),
                                 .dtype = (enum mld_dtype)dtype,
                                 .rank = (int)mld_json_count(shape)};
        for (int i = 0; i < t->rank; i++) {
            t->dims[i] = mld_json_int(mld_json_at(shape, (size_t)i), 0);
            elements *= t->dims[i];
        }
        t->bytes = mld_dtype_bytes(t->dtype, elements);
        if (with_data)
            t->data = mld_calloc(1, t->bytes);
    }
}

static size_t find(const struct mld_tensor *list, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(list[i].name, name) == 0)
            return i;
    }
    KIT_FAIL("no tensor '%s'", name);
}

static void machine_open(struct machine *m, const struct mld_arch_request *arch,
                         bool fused, const char *dir)
{
    const struct mld_artifact_request req = {
        .arch = *arch, .target = {.fused_ort = fused, .opset = MLD_OPSET_DEFAULT}};
    char path[64];

    KIT_OK(mld_artifact_write(&req, dir, &kit_err));
    snprintf(path, sizeof path, "%s/manifest.json", dir);
    KIT_OK(mld_json_read(path, 1 << 20, &m->manifest, &kit_err));
    read_tensors(mld_json_get(m->manifest, "inputs"), m->in, &m->in_count, true);
    read_tensors(mld_json_get(m->manifest, "outputs"), m->out, &m->out_count, false);

    struct mld_state_pair state[MAX_IO];
    size_t states = 0, i = 0;
    const struct mld_json *v = mld_json_first(mld_json_get(m->manifest, "inputs"));
    for (; v; v = mld_json_next(v), i++) {
        int64_t output = mld_json_int(mld_json_get(v, "state_output"), -1);
        if (output >= 0)
            state[states++] = (struct mld_state_pair){i, (size_t)output};
    }
    snprintf(path, sizeof path, "%s/model.onnx", dir);
    KIT_OK(m->ops->open(&(struct mld_open_params){.device = "cpu", .precision = "fp32"},
                        &m->session, &kit_err));
    KIT_OK(m->ops->load(m->session, &(struct mld_load_params){path, dir}, &kit_err));
    KIT_OK(m->ops->prepare(m->session,
                           &(struct mld_prepare_params){m->in, m->in_count, m->out,
                                                        m->out_count, state, states},
                           &kit_err));
}

static void machine_close(struct machine *m)
{
    m->ops->unload(m->session);
    m->ops->close(m->session);
    for (size_t i = 0; i < m->in_count; i++)
        mld_free(m->in[i].data);
    mld_json_free(m->manifest);
}

static void feed(struct machine *m, const char *name, const void *data, size_t bytes)
{
    size_t i = find(m->in, m->in_count, name);
    KIT_EQ_INT(m->in[i].bytes, bytes);
    KIT_OK(m->ops->set_input(m->session, i, data, bytes, &kit_err));
}

static const float *logits(struct machine *m, size_t elements)
{
    struct mld_tensor t;
    KIT_OK(
        m->ops->output(m->session, find(m->out, m->out_count, "logits"), &t, &kit_err));
    KIT_EQ_INT(t.bytes, elements * sizeof(float));
    return t.data;
}

/* Both caches as the prefill left them become the state of the decode graph. */
static void hand_over(struct machine *from, struct machine *to)
{
    for (size_t i = 0; i < to->in_count; i++) {
        if (strncmp(to->in[i].name, "past_key_values.", 16) != 0)
            continue;
        char name[64];
        struct mld_tensor t;
        snprintf(name, sizeof name, "present.%s", to->in[i].name + 16);
        KIT_OK(from->ops->output(from->session, find(from->out, from->out_count, name),
                                 &t, &kit_err));
        KIT_EQ_INT(t.bytes, to->in[i].bytes);
        void *copy = mld_alloc(t.bytes);
        memcpy(copy, t.data, t.bytes);
        KIT_OK(to->ops->set_input(to->session, i, copy, t.bytes, &kit_err));
        mld_free(copy);
    }
}

static void compare(const float *got, const float *want, const char *what, int row)
{
    double largest = 0, worst = 0;
    for (int i = 0; i < VOCAB; i++) {
        largest = fmax(largest, fabs((double)want[i]));
        worst = fmax(worst, fabs((double)got[i] - (double)want[i]));
    }
    if (!(worst <= 1e-4 * largest + 1e-5) || largest == 0)
        KIT_FAIL("%s, row %d: off by %g, largest %g", what, row, worst, largest);
}

static void check_steps(struct machine *decode, const float *full)
{
    for (int step = 0; step < STEPS; step++) {
        int64_t ids[ROWS];
        int32_t past[ROWS];
        char what[32];
        for (int b = 0; b < ROWS; b++) {
            past[b] = prompt_length[b] + step;
            ids[b] = token(b, past[b]);
        }
        feed(decode, "input_ids", ids, sizeof ids);
        feed(decode, "past_length", past, sizeof past);
        KIT_OK(decode->ops->run(decode->session, &kit_err));
        const float *got = logits(decode, ROWS * VOCAB);
        snprintf(what, sizeof what, "decode step %d", step);
        for (int b = 0; b < ROWS; b++)
            compare(got + b * VOCAB, full + (b * (PROMPT + STEPS) + past[b]) * VOCAB,
                    what, b);
    }
}

static void check_form(struct mld_arch_request req, bool fused)
{
    struct machine forward = {.ops = mld_backend_entry_ort()}, prefill = forward,
                   decode = forward;
    enum { TOTAL = PROMPT + STEPS };
    int64_t ids[ROWS][TOTAL], mask[ROWS][TOTAL], prompt[ROWS][PROMPT];
    int32_t none[ROWS] = {0}, lengths[ROWS];

    for (int b = 0; b < ROWS; b++) {
        lengths[b] = prompt_length[b];
        for (int t = 0; t < TOTAL; t++) {
            mask[b][t] = t < prompt_length[b] + STEPS;
            ids[b][t] = mask[b][t] ? token(b, t) : 0;
        }
        for (int t = 0; t < PROMPT; t++)
            prompt[b][t] = t < prompt_length[b] ? token(b, t) : 0;
    }
    req.shapes = (struct mld_arch_shapes){.batch = ROWS, .seq = TOTAL};
    machine_open(&forward, &req, fused, fused ? "forward-fused" : "forward");
    feed(&forward, "input_ids", ids, sizeof ids);
    feed(&forward, "attention_mask", mask, sizeof mask);
    KIT_OK(forward.ops->run(forward.session, &kit_err));
    const float *full = logits(&forward, ROWS * TOTAL * VOCAB);

    req.mode = MLD_MODE_PREFILL;
    req.shapes =
        (struct mld_arch_shapes){.batch = ROWS, .seq = PROMPT, .capacity = CAPACITY};
    machine_open(&prefill, &req, fused, fused ? "prefill-fused" : "prefill");
    feed(&prefill, "input_ids", prompt, sizeof prompt);
    feed(&prefill, "past_length", none, sizeof none);
    feed(&prefill, "prompt_length", lengths, sizeof lengths);
    KIT_OK(prefill.ops->run(prefill.session, &kit_err));
    for (int b = 0; b < ROWS; b++)
        compare(logits(&prefill, ROWS * VOCAB) + b * VOCAB,
                full + (b * TOTAL + prompt_length[b] - 1) * VOCAB, "prefill", b);

    req.mode = MLD_MODE_DECODE;
    machine_open(&decode, &req, fused, fused ? "decode-fused" : "decode");
    hand_over(&prefill, &decode);
    check_steps(&decode, full);
    machine_close(&decode);
    machine_close(&prefill);
    machine_close(&forward);
}

/* The config of a stored golden, through all three modes, in both forms. */
static void check_golden(const char *name)
{
    struct mld_probe probe;
    struct mld_json *golden;
    char path[128];

    KIT_OK(mld_backend_entry_ort()->probe(&probe, &kit_err));
    if (!probe.usable)
        KIT_SKIP("%s", probe.reason);
    snprintf(path, sizeof path, "tests/golden/goldens/%s.json", name);
    KIT_OK(mld_json_read(kit_fixture(path), 1 << 24, &golden, &kit_err));
    const struct mld_arch_request req = {
        .config = mld_json_get(golden, "config"),
        .class_name = mld_json_str(mld_json_get(golden, "class"), NULL)};
    check_form(req, true);
    check_form(req, false);
    mld_json_free(golden);
}

MLD_TEST(arch_cache__learned_positions)
{
    check_golden("gpt2");
}

MLD_TEST(arch_cache__scores_scaled_by_layer)
{
    check_golden("gpt2__scaled");
}

MLD_TEST(arch_cache__rotary_and_grouped_heads)
{
    check_golden("llama");
}

MLD_TEST(arch_cache__rotary_linear)
{
    check_golden("llama__linear");
}

MLD_TEST(arch_cache__rotary_dynamic)
{
    check_golden("llama__dynamic");
}

MLD_TEST(arch_cache__rotary_yarn)
{
    check_golden("llama__yarn");
}

MLD_TEST(arch_cache__rotary_llama3)
{
    check_golden("llama__llama3");
}

MLD_TEST(arch_cache__sliding_window)
{
    check_golden("mistral");
}

MLD_TEST(arch_cache__window_in_some_layers)
{
    check_golden("qwen2__sliding");
}
