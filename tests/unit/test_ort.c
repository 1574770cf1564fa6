/* test_ort.c: the ONNX Runtime backend: a session from open to close, binding, state in
 * place, placement by proof, cancelling, and each fault with its code and message. */
#include "kit/kit.h"
#include "tiny_onnx.h"

#include "backends/ort/ort_int.h"
#include "base/alloc.h"

#include <string.h>

static const struct mld_backend_ops *ort(void)
{
    const struct mld_backend_ops *ops = mld_backend_entry_ort();
    struct mld_probe probe;

    KIT_OK(ops->probe(&probe, &kit_err));
    if (!probe.usable)
        KIT_SKIP("%s", probe.reason);
    return ops;
}

static struct mld_session *ort_session(const char *precision)
{
    const struct mld_open_params params = {.device = "cpu", .precision = precision};
    struct mld_session *s;

    KIT_OK(ort()->open(&params, &s, &kit_err));
    return s;
}

static int ort_load(struct mld_session *s, const char *path)
{
    const struct mld_load_params params = {path, "."};
    return ort()->load(s, &params, &kit_err);
}

/* y = a b with a [2, 3], b [3, 2]. */
static void model_matmul(const char *path)
{
    struct tiny_onnx t = {0};

    tiny_node(&t, "MatMul", "", "a b", "y");
    tiny_value(&t, 'i', "a", MLD_F32, 2, (int64_t[]){2, 3});
    tiny_value(&t, 'i', "b", MLD_F32, 2, (int64_t[]){3, 2});
    tiny_value(&t, 'o', "y", MLD_F32, 2, (int64_t[]){2, 2});
    KIT_EQ_INT(tiny_write(&t, path), 0);
}

static float matmul_a[6] = {1, 2, 3, 4, 5, 6}, matmul_b[6] = {1, 0, 0, 1, 1, 1};
static const struct mld_tensor matmul_in[2] = {
    {"a", MLD_F32, 2, {2, 3}, matmul_a, sizeof(matmul_a)},
    {"b", MLD_F32, 2, {3, 2}, matmul_b, sizeof(matmul_b)}};
static const struct mld_tensor matmul_out[1] = {{"y", MLD_F32, 2, {2, 2}, NULL, 0}};

static int prepare_with(struct mld_session *s, const struct mld_tensor *in,
                        size_t in_count, const struct mld_tensor *out, size_t out_count)
{
    const struct mld_prepare_params params = {in, in_count, out, out_count, NULL, 0};
    return ort()->prepare(s, &params, &kit_err);
}

static struct mld_session *matmul_session(void)
{
    struct mld_session *s = ort_session("fp32");

    model_matmul("m.onnx");
    KIT_OK(ort_load(s, "m.onnx"));
    KIT_OK(prepare_with(s, matmul_in, 2, matmul_out, 1));
    return s;
}

static void check_output(struct mld_session *s, const float *want, size_t n)
{
    struct mld_tensor y;

    KIT_OK(ort()->output(s, 0, &y, &kit_err));
    KIT_EQ_INT(y.bytes, n * sizeof(float));
    KIT_EQ_MEM(y.data, want, n * sizeof(float));
}

MLD_TEST(ort__probe_tells_version_and_path)
{
    struct mld_probe probe;

    KIT_OK(ort()->probe(&probe, &kit_err));
    KIT_EQ_STR(probe.engine, "onnxruntime");
    KIT_EQ_STR(probe.reason, "");
    KIT_CHECK(probe.version[0] >= '1' && probe.version[0] <= '9');
    KIT_CONTAINS(probe.path, "libonnxruntime");
}

MLD_TEST(ort__device_is_this_cpu)
{
    struct mld_device d;
    size_t n = 0;

    KIT_OK(ort()->devices(&d, 1, &n, &kit_err));
    KIT_EQ_INT(n, 1);
    KIT_EQ_STR(d.platform, "cpu");
    KIT_EQ_STR(d.id, "cpu");
    KIT_CHECK(d.name[0]);
    KIT_CHECK(d.memory_bytes > 0 && d.memory_free_bytes <= d.memory_bytes);
    KIT_OK(ort()->devices(NULL, 0, &n, &kit_err));
    KIT_EQ_INT(n, 1);
}

MLD_TEST(ort__cpu_from_proc_text)
{
    struct mld_device d;

    mld_ort_cpu_from_text("processor\t: 0\nvendor_id\t: AuthenticAMD\ncpu family\t: 25\n"
                          "model name\t: AMD EPYC 9654 96-Core \nflags\t\t: fpu\n",
                          "MemTotal:       24684084 kB\nMemFree: 1 kB\n"
                          "MemAvailable:   20000000 kB\n",
                          &d);
    KIT_EQ_STR(d.name, "AMD EPYC 9654 96-Core");
    KIT_EQ_STR(d.vendor, "AMD");
    KIT_EQ_U64(d.memory_bytes, UINT64_C(24684084) * 1024);
    KIT_EQ_U64(d.memory_free_bytes, UINT64_C(20000000) * 1024);
    mld_ort_cpu_from_text("", "", &d);
    KIT_EQ_STR(d.name, "");
    KIT_EQ_U64(d.memory_bytes, 0);
}

MLD_TEST(ort__runs_a_model)
{
    static const float want[4] = {4, 5, 10, 11}, want2[4] = {5, 5, 10, 11};
    struct mld_session *s = matmul_session();
    float a2[6] = {2, 2, 3, 4, 5, 6};

    KIT_OK(ort()->run(s, &kit_err));
    check_output(s, want, 4);
    KIT_OK(ort()->set_input(s, 0, a2, sizeof(a2), &kit_err));
    memset(a2, 0, sizeof(a2)); /* it was copied */
    KIT_OK(ort()->run(s, &kit_err));
    check_output(s, want2, 4);
    KIT_FAILS(ort()->set_input(s, 0, a2, 4, &kit_err), MLD_E_INVALID);
    KIT_FAILS(ort()->set_input(s, 2, a2, 4, &kit_err), MLD_E_INVALID);
    ort()->close(s);
}

MLD_TEST(ort__session_loads_another_model)
{
    static const float want[4] = {4, 5, 10, 11};
    struct mld_session *s = matmul_session();

    KIT_OK(ort()->run(s, &kit_err));
    ort()->unload(s);
    KIT_FAILS(ort()->run(s, &kit_err), MLD_E_INVALID);
    KIT_FAILS(prepare_with(s, matmul_in, 2, matmul_out, 1), MLD_E_INVALID);
    KIT_OK(ort_load(s, "m.onnx"));
    KIT_OK(prepare_with(s, matmul_in, 2, matmul_out, 1));
    KIT_OK(ort()->run(s, &kit_err));
    check_output(s, want, 4);
    ort()->close(s);
    ort()->close(NULL);
}

/* A running sum: s_out = s + x, where s_out is the memory of s. Aligned memory of the
 * caller's is taken itself, so that a KV cache is there once; other is copied. */
MLD_TEST(ort__state_is_updated_in_place)
{
    static _Alignas(MLD_ORT_ALIGN_BYTES) float state[4] = {0, 10, 20, 0};
    static float x[3] = {1, 2, 3};
    static const float want[3] = {3, 16, 29}, later[3] = {19, 35, 9};
    struct mld_tensor in[2] = {{"s", MLD_F32, 1, {3}, state, sizeof(x)},
                               {"x", MLD_F32, 1, {3}, x, sizeof(x)}};
    const struct mld_tensor out[1] = {{"s_out", MLD_F32, 1, {3}, NULL, 0}};
    const struct mld_state_pair pair = {0, 0}, bad = {7, 0};
    struct mld_prepare_params params = {in, 2, out, 1, &pair, 1};
    struct mld_session *s = ort_session("fp32");
    struct tiny_onnx t = {0};

    tiny_node(&t, "Add", "", "s x", "s_out");
    tiny_value(&t, 'i', "s", MLD_F32, 1, (int64_t[]){3});
    tiny_value(&t, 'i', "x", MLD_F32, 1, (int64_t[]){3});
    tiny_value(&t, 'o', "s_out", MLD_F32, 1, (int64_t[]){3});
    KIT_EQ_INT(tiny_write(&t, "s.onnx"), 0);
    KIT_OK(ort_load(s, "s.onnx"));
    KIT_OK(ort()->prepare(s, &params, &kit_err));
    for (int i = 0; i < 3; i++)
        KIT_OK(ort()->run(s, &kit_err));
    check_output(s, want, 3);
    KIT_EQ_MEM(state, want, sizeof(want)); /* no second buffer */
    in[0].data = state + 1;
    KIT_OK(ort()->prepare(s, &params, &kit_err));
    for (int i = 0; i < 3; i++)
        KIT_OK(ort()->run(s, &kit_err));
    check_output(s, later, 3);
    KIT_EQ_MEM(state, want, sizeof(want)); /* left alone */
    params.state = &bad;
    KIT_FAILS(ort()->prepare(s, &params, &kit_err), MLD_E_INVALID);
    ort()->close(s);
}

MLD_TEST(ort__empty_and_scalar_tensors)
{
    static const float want = 7;
    static float five = 5, two = 2;
    const struct mld_tensor in[3] = {{"a", MLD_F32, 0, {0}, &five, 4},
                                     {"b", MLD_F32, 0, {0}, &two, 4},
                                     {"none", MLD_F32, 2, {0, 4}, NULL, 0}};
    const struct mld_tensor out[2] = {{"y", MLD_F32, 0, {0}, NULL, 0},
                                      {"n", MLD_F32, 2, {0, 4}, NULL, 0}};
    struct mld_session *s = ort_session("fp32");
    struct mld_tensor n;
    struct tiny_onnx t = {0};

    tiny_node(&t, "Add", "", "a b", "y");
    tiny_node(&t, "Neg", "", "none", "n");
    tiny_value(&t, 'i', "a", MLD_F32, 0, NULL);
    tiny_value(&t, 'i', "b", MLD_F32, 0, NULL);
    tiny_value(&t, 'i', "none", MLD_F32, 2, (int64_t[]){0, 4});
    tiny_value(&t, 'o', "y", MLD_F32, 0, NULL);
    tiny_value(&t, 'o', "n", MLD_F32, 2, (int64_t[]){0, 4});
    KIT_EQ_INT(tiny_write(&t, "e.onnx"), 0);
    KIT_OK(ort_load(s, "e.onnx"));
    KIT_OK(prepare_with(s, in, 3, out, 2));
    KIT_OK(ort()->run(s, &kit_err));
    check_output(s, &want, 1);
    KIT_OK(ort()->output(s, 1, &n, &kit_err));
    KIT_EQ_INT(n.bytes, 0);
    KIT_EQ_INT(n.dims[1], 4);
    ort()->close(s);
}

MLD_TEST(ort__signature_is_checked)
{
    struct mld_session *s = matmul_session();
    struct mld_tensor in[3] = {matmul_in[0], matmul_in[1], matmul_in[0]};
    struct mld_tensor out = matmul_out[0];

    KIT_FAILS(prepare_with(s, in, 1, &out, 1), MLD_E_INVALID);
    KIT_CONTAINS(kit_err.message, "the model has input 'b'");
    in[2].name = "c";
    KIT_FAILS(prepare_with(s, in, 3, &out, 1), MLD_E_INVALID);
    KIT_CONTAINS(kit_err.message, "names 3 inputs, of which the model has 2");
    in[1].dims[0] = 4;
    KIT_FAILS(prepare_with(s, in, 2, &out, 1), MLD_E_INVALID);
    KIT_CONTAINS(kit_err.message, "input 'b' has shape [3,2] in the model but [4,2]");
    in[1] = matmul_in[1];
    in[1].dtype = MLD_I32;
    KIT_FAILS(prepare_with(s, in, 2, &out, 1), MLD_E_INVALID);
    KIT_CONTAINS(kit_err.message, "input 'b' is f32 in the model but i32");
    in[1] = matmul_in[1];
    in[1].bytes = 20;
    KIT_FAILS(prepare_with(s, in, 2, &out, 1), MLD_E_INVALID);
    KIT_CONTAINS(kit_err.message, "input 'b' wants 24 bytes but 20 are given");
    in[1] = matmul_in[1];
    out.name = "z";
    KIT_FAILS(prepare_with(s, in, 2, &out, 1), MLD_E_INVALID);
    KIT_CONTAINS(kit_err.message, "the model has output 'y'");
    KIT_FAILS(ort()->run(s, &kit_err), MLD_E_INVALID); /* nothing is prepared any more */
    ort()->close(s);
}

MLD_TEST(ort__free_dimensions_take_any_size)
{
    static float a[8] = {1, -1, 2, -2, 3, -3, 4, -4};
    static const float want[8] = {-1, 1, -2, 2, -3, 3, -4, 4};
    const struct mld_tensor in = {"a", MLD_F32, 2, {4, 2}, a, sizeof(a)};
    const struct mld_tensor out = {"y", MLD_F32, 2, {4, 2}, NULL, 0};
    struct mld_session *s = ort_session("fp32");
    struct tiny_onnx t = {0};

    tiny_node(&t, "Neg", "", "a", "y");
    tiny_value(&t, 'i', "a", MLD_F32, 2, (int64_t[]){-1, 2});
    tiny_value(&t, 'o', "y", MLD_F32, 2, (int64_t[]){-1, 2});
    KIT_EQ_INT(tiny_write(&t, "f.onnx"), 0);
    KIT_OK(ort_load(s, "f.onnx"));
    KIT_OK(prepare_with(s, &in, 1, &out, 1));
    KIT_OK(ort()->run(s, &kit_err));
    check_output(s, want, 8);
    ort()->close(s);
}

MLD_TEST(ort__cancel_ends_one_run)
{
    static const float want[4] = {4, 5, 10, 11};
    struct mld_session *s = matmul_session();

    ort()->cancel(s); /* comes before the run: the run must not start */
    KIT_FAILS(ort()->run(s, &kit_err), MLD_E_CANCELLED);
    KIT_OK(ort()->run(s, &kit_err));
    check_output(s, want, 4);
    ort()->close(s);
}

MLD_TEST(ort__counters_prove_placement)
{
    struct mld_session *s = matmul_session();
    struct mld_counters c;

    KIT_FAILS(ort()->counters(s, &c, &kit_err), MLD_E_INVALID); /* no run yet */
    KIT_OK(ort()->run(s, &kit_err));
    KIT_OK(ort()->counters(s, &c, &kit_err));
    KIT_EQ_INT(c.nodes_total, 1);
    KIT_EQ_INT(c.nodes_on_device, 1);
    KIT_EQ_STR(c.provider, "CPUExecutionProvider");
    KIT_EQ_STR(c.precision_effective, "fp32");
    KIT_EQ_INT(c.precision_emulated, 0);
    ort()->close(s);
}

/* Half precision on a CPU whose kernels are not all there: what really ran is told. */
MLD_TEST(ort__effective_precision_is_what_ran)
{
    static uint16_t a[6] = {0x3C00, 0, 0, 0, 0x3C00, 0}; /* 1 0 0 / 0 1 0 in f16 */
    const struct mld_tensor in[2] = {{"a", MLD_F16, 2, {2, 3}, a, sizeof(a)},
                                     {"b", MLD_F16, 2, {3, 2}, a, sizeof(a)}};
    const struct mld_tensor out = {"y", MLD_F16, 2, {2, 2}, NULL, 0};
    struct mld_session *s = ort_session("fp16");
    struct mld_counters c;
    struct tiny_onnx t = {0};

    tiny_node(&t, "MatMul", "", "a b", "y");
    tiny_value(&t, 'i', "a", MLD_F16, 2, (int64_t[]){2, 3});
    tiny_value(&t, 'i', "b", MLD_F16, 2, (int64_t[]){3, 2});
    tiny_value(&t, 'o', "y", MLD_F16, 2, (int64_t[]){2, 2});
    KIT_EQ_INT(tiny_write(&t, "h.onnx"), 0);
    KIT_OK(ort_load(s, "h.onnx"));
    KIT_OK(prepare_with(s, in, 2, &out, 1));
    KIT_OK(ort()->run(s, &kit_err));
    KIT_OK(ort()->counters(s, &c, &kit_err));
    KIT_CHECK(c.nodes_total >= 1);
    if (c.nodes_total > 1) { /* casts were put around the product */
        KIT_EQ_STR(c.precision_effective, "fp32");
        KIT_EQ_INT(c.precision_emulated, 1);
    } else {
        KIT_EQ_STR(c.precision_effective, "fp16");
        KIT_EQ_INT(c.precision_emulated, 0);
    }
    ort()->close(s);
}

MLD_TEST(ort__profile_text_is_counted)
{
    static const char text[] =
        "[{\"cat\":\"Session\",\"name\":\"model_run\",\"args\":{}},"
        "{\"cat\":\"Node\",\"name\":\"m_fence_before\",\"args\":{\"op_name\":\"MatMul\"}}"
        ","
        "{\"cat\":\"Node\",\"name\":\"m_kernel_time\",\"args\":{\"op_name\":\"MatMul\","
        "\"provider\":\"CPUExecutionProvider\",\"input_type_shape\":[{\"float\":[2,2]}]}}"
        ","
        "{\"cat\":\"Node\",\"name\":\"n_kernel_time\",\"args\":{\"op_name\":\"Add\","
        "\"provider\":\"OtherExecutionProvider\"}}]";
    struct mld_counters c = {0};

    KIT_OK(mld_ort_counters_from_profile(text, strlen(text), "bf16", &c, &kit_err));
    KIT_EQ_INT(c.nodes_total, 2);
    KIT_EQ_INT(c.nodes_on_device, 1);
    KIT_EQ_STR(c.precision_effective, "fp32");
    KIT_EQ_INT(c.precision_emulated, 1);
    KIT_FAILS(mld_ort_counters_from_profile("[{", 2, "fp32", &c, &kit_err), MLD_E_PARSE);
}

MLD_TEST(ort__faults_of_models_have_codes)
{
    struct mld_session *s = ort_session("fp32");
    struct tiny_onnx t = {0};

    KIT_FAILS(ort_load(s, "absent.onnx"), MLD_E_NOT_FOUND);
    KIT_CONTAINS(kit_err.message, "no model file 'absent.onnx'");

    KIT_OK(mld_file_write("junk.onnx", "not a protobuf at all", 21, &kit_err));
    KIT_FAILS(ort_load(s, "junk.onnx"), MLD_E_PARSE);

    tiny_node(&t, "NoSuchOperator", "", "a", "y");
    tiny_value(&t, 'i', "a", MLD_F32, 1, (int64_t[]){1});
    tiny_value(&t, 'o', "y", MLD_F32, 1, (int64_t[]){1});
    KIT_EQ_INT(tiny_write(&t, "op.onnx"), 0);
    KIT_FAILS(ort_load(s, "op.onnx"), MLD_E_UNSUPPORTED);
    KIT_CONTAINS(kit_err.message, "NoSuchOperator");
    KIT_CHECK(!strchr(kit_err.message, '\n'));

    tiny_node(&t, "Gelu", "", "a", "y"); /* no kernel for integers */
    tiny_value(&t, 'i', "a", MLD_I32, 1, (int64_t[]){1});
    tiny_value(&t, 'o', "y", MLD_I32, 1, (int64_t[]){1});
    t.opset = 20;
    KIT_EQ_INT(tiny_write(&t, "type.onnx"), 0);
    KIT_FAILS(ort_load(s, "type.onnx"), MLD_E_UNSUPPORTED);

    /* After all that the session still works. */
    model_matmul("m.onnx");
    KIT_OK(ort_load(s, "m.onnx"));
    ort()->close(s);
}

MLD_TEST(ort__error_codes)
{
    KIT_EQ_INT(mld_ort_error_code(ORT_NOT_IMPLEMENTED, "x"), MLD_E_UNSUPPORTED);
    KIT_EQ_INT(
        mld_ort_error_code(ORT_INVALID_GRAPH, "Foo(1) is not a registered function/op"),
        MLD_E_UNSUPPORTED);
    KIT_EQ_INT(mld_ort_error_code(ORT_INVALID_GRAPH, "cycle"), MLD_E_PARSE);
    KIT_EQ_INT(mld_ort_error_code(ORT_RUNTIME_EXCEPTION, "std::bad_alloc"),
               MLD_E_NO_MEMORY);
    KIT_EQ_INT(mld_ort_error_code(ORT_FAIL, "Failed to allocate memory for buffer of 8"),
               MLD_E_NO_MEMORY);
    KIT_EQ_INT(mld_ort_error_code(ORT_FAIL, "odd"), MLD_E_ENGINE);
}

MLD_TEST(ort__messages_become_one_line)
{
    static const struct {
        const char *in, *out;
    } rows[] = {
        {"plain", "plain"},
        {"  two\n\tlines.\n", "two lines"},
        {"/src/posix/env.cc:327 onnxruntime::{anonymous}::T::T(const char*, int, "
         "unsigned "
         "int (*)(int, E*), const O&) pthread_create failed",
         "pthread_create failed"},
        {"Exception: /a/b.cc:12 virtual void ns::F::G(const X&) const Bad shape. Got: 3.",
         "Exception: Bad shape. Got: 3"},
        {"see x.cc:1", "see x.cc:1"},
        {"/a/b.cc:12 void f(int", "/a/b.cc:12 void f(int"},
        {"", ""},
        {"...", ""},
    };
    char out[200];

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        mld_ort_error_text(rows[i].in, out, sizeof(out));
        KIT_EQ_STR(out, rows[i].out);
    }
    mld_ort_error_text("a much longer text", out, 8);
    KIT_EQ_STR(out, "a much");
}

MLD_TEST(ort__options_are_parsed)
{
    const struct mld_key_value kv[] = {
        {"graph-opt", "basic"}, {"spinning", "off"},
        {"arena", "off"},       {"mem-pattern", "off"},
        {"inter-threads", "3"}, {"execution-mode", "parallel"},
        {"profile", "p.json"},  {"save-optimized", "o.onnx"}};
    struct mld_ort_options o;

    KIT_OK(mld_ort_options_parse(NULL, 0, &o, &kit_err));
    KIT_EQ_INT(o.graph_opt, ORT_ENABLE_ALL);
    KIT_CHECK(o.spinning && o.arena && o.mem_pattern && !o.parallel && !o.profile);
    KIT_OK(mld_ort_options_parse(kv, 8, &o, &kit_err));
    KIT_EQ_INT(o.graph_opt, ORT_ENABLE_BASIC);
    KIT_CHECK(!o.spinning && !o.arena && !o.mem_pattern && o.parallel);
    KIT_EQ_INT(o.inter_threads, 3);
    KIT_EQ_STR(o.profile, "p.json");
    KIT_EQ_STR(o.save_optimized, "o.onnx");
}

MLD_TEST(ort__wrong_options_are_refused)
{
    static const struct {
        struct mld_key_value kv;
        const char *says;
    } rows[] = {
        {{"graph-opt", "most"}, "option 'graph-opt': 'most' is none of all, extended"},
        {{"spinning", "maybe"}, "is none of on, off"},
        {{"inter-threads", "-1"}, "is not a number from 0 to 4096"},
        {{"inter-threads", "2x"}, "is not a number from 0 to 4096"},
        {{"profile", ""}, "option 'profile' wants a file name"},
        {{"spining", "on"}, "did you mean 'spinning'"},
    };
    struct mld_ort_options o;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        KIT_FAILS(mld_ort_options_parse(&rows[i].kv, 1, &o, &kit_err), MLD_E_INVALID);
        KIT_CONTAINS(kit_err.message, rows[i].says);
    }
}

/* Every option of the table reaches the engine; files that it writes are there. */
MLD_TEST(ort__options_reach_the_engine)
{
    static const float want[4] = {4, 5, 10, 11};
    const struct mld_key_value kv[] = {
        {"graph-opt", "none"},  {"spinning", "off"},
        {"arena", "off"},       {"mem-pattern", "off"},
        {"inter-threads", "2"}, {"execution-mode", "parallel"},
        {"profile", "p.json"},  {"save-optimized", "o.onnx"}};
    const struct mld_open_params params = {.device = "cpu",
                                           .precision = "fp32",
                                           .threads = 2,
                                           .options = kv,
                                           .option_count = 8};
    struct mld_session *s;
    struct mld_counters c;
    char *text;
    size_t n;

    KIT_OK(ort()->open(&params, &s, &kit_err));
    model_matmul("m.onnx");
    KIT_OK(ort_load(s, "m.onnx"));
    KIT_OK(prepare_with(s, matmul_in, 2, matmul_out, 1));
    KIT_OK(ort()->run(s, &kit_err));
    check_output(s, want, 4);
    KIT_OK(ort()->counters(s, &c, &kit_err));
    KIT_EQ_INT(c.nodes_total, -1); /* the session's profile excludes the run's */
    ort()->close(s);
    KIT_CHECK(mld_file_size("o.onnx") > 0);
    KIT_OK(mld_file_read("p.json", 1 << 20, &text, &n, &kit_err));
    KIT_CONTAINS(text, "MatMul");
    mld_free(text);
}

MLD_TEST(ort__threads_default_to_the_affinity_mask)
{
    const struct mld_open_params wrong = {.device = "cuda:0", .precision = "fp32"};
    struct mld_session *s = ort_session("fp32");

    KIT_EQ_INT(s->threads, mld_ort_core_count());
    KIT_CHECK(s->threads >= 1);
    ort()->close(s);
    KIT_FAILS(ort()->open(&wrong, &s, &kit_err), MLD_E_NOT_FOUND);
    KIT_CHECK(s == NULL);
}

MLD_TEST(ort__element_types_map_both_ways)
{
    for (int t = 0; t < MLD_DTYPE_COUNT; t++)
        KIT_EQ_INT(mld_ort_dtype_from(mld_ort_dtype_to((enum mld_dtype)t)), t);
    KIT_EQ_INT(mld_ort_dtype_from(ONNX_TENSOR_ELEMENT_DATA_TYPE_STRING), -1);
    KIT_EQ_INT(mld_ort_dtype_to(MLD_I4), ONNX_TENSOR_ELEMENT_DATA_TYPE_INT4);
}
