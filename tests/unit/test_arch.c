/* test_arch.c: graphs against the reference: every stored golden's parameters, shapes,
 * ties, outputs and digests, the Hub's own configs, and every checkpoint's count. */
#include "kit/kit.h"

#include "arch/arch.h"
#include "base/fs.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define GOLDENS "tests/golden/goldens"
#define HUB     "tests/golden/hub"

struct built {
    struct mld_arena arena;
    struct mld_graph *graph;
    struct mld_arch_info info;
};

static void build(const struct mld_arch_request *req, struct built *b)
{
    mld_arena_init(&b->arena, 0);
    KIT_OK(mld_arch_build(req, &b->arena, &b->graph, &b->info, &kit_err));
    KIT_OK(mld_graph_verify(b->graph, &kit_err));
}

static void release(struct built *b)
{
    mld_graph_release(b->graph);
    mld_arena_release(&b->arena);
}

static struct mld_shape shape_of(const struct mld_json *list)
{
    struct mld_shape s = {.rank = (int)mld_json_count(list)};
    KIT_CHECK(s.rank <= MLD_MAX_RANK);
    for (int i = 0; i < s.rank; i++)
        s.d[i] = mld_json_int(mld_json_at(list, (size_t)i), -1);
    return s;
}

static const char *text_at(const struct mld_json *list, size_t i)
{
    return mld_json_str(mld_json_at(list, i), "");
}

static void check_digest(const struct mld_graph *g, const struct mld_json *want)
{
    uint64_t digest;
    char hex[17];
    KIT_OK(mld_graph_digest(g, &digest, &kit_err));
    snprintf(hex, sizeof hex, "%016" PRIx64, digest);
    KIT_EQ_STR(hex, mld_json_str(want, ""));
}

/* --- goldens ------------------------------------------------------------------------ */

static void check_parameters(const struct mld_graph *g, const struct mld_json *golden)
{
    const struct mld_json *list = mld_json_get(golden, "parameters");
    KIT_EQ_INT(g->param_count, mld_json_count(list));
    for (const struct mld_json *v = mld_json_first(list); v; v = mld_json_next(v)) {
        struct mld_shape want = shape_of(mld_json_at(v, 1));
        const struct mld_param *found = NULL;
        for (size_t i = 0; i < g->param_count && !found; i++) {
            if (strcmp(g->params[i]->name, text_at(v, 0)) == 0)
                found = g->params[i];
        }
        if (!found)
            KIT_FAIL("%s: no parameter '%s'", g->name, text_at(v, 0));
        if (!mld_shape_eq(&found->shape, &want))
            KIT_FAIL("%s: '%s' has another shape", g->name, found->name);
    }
}

static void check_ties(const struct mld_graph *g, const struct mld_json *golden)
{
    const struct mld_json *list = mld_json_get(golden, "tied");
    KIT_EQ_INT(g->alias_count, mld_json_count(list));
    for (const struct mld_json *v = mld_json_first(list); v; v = mld_json_next(v)) {
        bool found = false;
        for (size_t i = 0; i < g->alias_count; i++)
            found = found || (strcmp(g->aliases[i].name, text_at(v, 0)) == 0 &&
                              strcmp(g->aliases[i].target, text_at(v, 1)) == 0);
        if (!found)
            KIT_FAIL("%s: '%s' is not tied to '%s'", g->name, text_at(v, 0),
                     text_at(v, 1));
    }
}

static void check_outputs(const struct mld_graph *g, const struct mld_json *golden)
{
    const struct mld_json *list = mld_json_get(golden, "outputs");
    for (const struct mld_json *v = mld_json_first(list); v; v = mld_json_next(v)) {
        struct mld_shape want = shape_of(mld_json_get(v, "shape"));
        bool found = false;
        for (size_t i = 0; i < g->output_count; i++)
            found = found || (strcmp(g->outputs[i].name, mld_json_key(v)) == 0 &&
                              mld_shape_eq(&g->outputs[i].value->shape, &want));
        if (!found)
            KIT_FAIL("%s: no output '%s' of that shape", g->name, mld_json_key(v));
    }
}

static size_t read_inputs(const struct mld_json *golden, struct mld_arch_input *in)
{
    size_t n = 0;
    const struct mld_json *list = mld_json_get(golden, "inputs");
    for (const struct mld_json *v = mld_json_first(list); v; v = mld_json_next(v)) {
        KIT_CHECK(n < 8);
        in[n++] = (struct mld_arch_input){.name = mld_json_key(v),
                                          .dtype = (enum mld_dtype)mld_dtype_parse(
                                              mld_json_str(mld_json_get(v, "dtype"), "")),
                                          .shape = shape_of(mld_json_get(v, "shape"))};
    }
    return n;
}

static void check_golden(const char *path)
{
    struct mld_json *golden;
    struct mld_arch_input in[8];
    struct built b;

    KIT_OK(mld_json_read(path, 1 << 24, &golden, &kit_err));
    struct mld_arch_request req = {.config = mld_json_get(golden, "config"),
                                   .class_name =
                                       mld_json_str(mld_json_get(golden, "class"), NULL),
                                   .inputs = in};
    req.input_count = read_inputs(golden, in);
    build(&req, &b);
    check_parameters(b.graph, golden);
    check_ties(b.graph, golden);
    check_outputs(b.graph, golden);
    check_digest(b.graph, mld_json_get(golden, "digest"));
    KIT_EQ_INT(b.graph->input_count, req.input_count);
    release(&b);

    const struct mld_json *full = mld_json_get(golden, "full");
    if (full) {
        req.config = mld_json_get(full, "config");
        req.inputs = NULL;
        build(&req, &b);
        KIT_EQ_INT(b.graph->param_count, mld_json_int(mld_json_get(full, "tensors"), -1));
        KIT_EQ_INT(mld_graph_param_values(b.graph),
                   mld_json_int(mld_json_get(full, "values"), -1));
        check_digest(b.graph, mld_json_get(full, "digest"));
        release(&b);
    }
    mld_json_free(golden);
}

MLD_TEST(arch__goldens)
{
    char **names;
    size_t n, checked = 0;
    const char *dir = kit_fixture(GOLDENS);

    KIT_OK(mld_dir_list(dir, &names, &n, &kit_err));
    for (size_t i = 0; i < n; i++) {
        char path[256];
        snprintf(path, sizeof path, GOLDENS "/%s", names[i]);
        check_golden(kit_fixture(path));
        checked++;
    }
    mld_names_free(names, n);
    KIT_CHECK(checked >= 18);
}

/* What a golden's config holds are the library's defaults: without any config at all the
 * graph is the same as with all of them written out. */
MLD_TEST(arch__defaults_are_the_librarys)
{
    char **names;
    size_t n, checked = 0;
    struct built b;

    KIT_OK(mld_dir_list(kit_fixture(GOLDENS), &names, &n, &kit_err));
    for (size_t i = 0; i < n; i++) {
        char path[256];
        struct mld_json *golden;
        snprintf(path, sizeof path, GOLDENS "/%s", names[i]);
        KIT_OK(mld_json_read(kit_fixture(path), 1 << 24, &golden, &kit_err));
        const struct mld_json *full = mld_json_get(golden, "full");
        struct mld_arch_request req = {
            .model_type = mld_json_str(mld_json_get(golden, "model_type"), ""),
            .class_name = mld_json_str(mld_json_get(golden, "class"), NULL)};
        if (full) {
            build(&req, &b);
            check_digest(b.graph, mld_json_get(full, "digest"));
            release(&b);
            checked++;
        }
        mld_json_free(golden);
    }
    mld_names_free(names, n);
    KIT_CHECK(checked >= 12);
}

/* --- the Hub's configs -------------------------------------------------------------- */

MLD_TEST(arch__configs_of_the_hub)
{
    struct mld_json *expected;
    KIT_OK(
        mld_json_read(kit_fixture(HUB "/EXPECTED.json"), 1 << 20, &expected, &kit_err));
    KIT_CHECK(mld_json_count(expected) >= 3);
    for (const struct mld_json *v = mld_json_first(expected); v; v = mld_json_next(v)) {
        char path[256];
        struct mld_json *config;
        struct built b;
        snprintf(path, sizeof path, HUB "/%s.json", mld_json_key(v));
        KIT_OK(mld_json_read(kit_fixture(path), 1 << 20, &config, &kit_err));
        build(&(struct mld_arch_request){.config = config}, &b);
        KIT_EQ_STR(b.info.model_type, mld_json_str(mld_json_get(v, "model_type"), ""));
        KIT_EQ_STR(b.info.class_name, mld_json_str(mld_json_get(v, "cls"), ""));
        KIT_EQ_INT(b.graph->param_count, mld_json_int(mld_json_get(v, "tensors"), -1));
        KIT_EQ_INT(mld_graph_param_values(b.graph),
                   mld_json_int(mld_json_get(v, "values"), -1));
        check_digest(b.graph, mld_json_get(v, "digest"));
        release(&b);
        mld_json_free(config);
    }
    mld_json_free(expected);
}

/* --- the catalogue ------------------------------------------------------------------ */

MLD_TEST(arch__every_checkpoint_has_its_count)
{
    KIT_CHECK(mld_checkpoint_count() >= 100);
    for (size_t i = 0; i < mld_checkpoint_count(); i++) {
        const struct mld_checkpoint *ck = mld_checkpoint_at(i);
        struct mld_json *config;
        struct built b;
        KIT_OK(mld_json_parse(ck->config_json, strlen(ck->config_json), ck->name, &config,
                              &kit_err));
        build(&(struct mld_arch_request){.config = config, .class_name = ck->class_name},
              &b);
        KIT_EQ_STR(b.info.model_type, ck->model_type);
        if (mld_graph_param_values(b.graph) != ck->parameters)
            KIT_FAIL("%s: %" PRId64 " parameters, not %" PRId64, ck->name,
                     mld_graph_param_values(b.graph), ck->parameters);
        KIT_CHECK(mld_checkpoint_find(ck->name) == ck);
        release(&b);
        mld_json_free(config);
    }
}

MLD_TEST(arch__known_counts)
{
    static const struct {
        const char *name;
        int64_t parameters;
    } known[] = {
        {"bert-base-uncased", 109482240},
        {"google-bert/bert-base-uncased", 109482240},
        {"t5-small", 60506624},
        {"gpt2", 124439808},
        {"openai-community/gpt2", 124439808},
        {"TinyLlama/TinyLlama-1.1B-Chat-v1.0", 1100048384},
        {"tinyllama-1.1b-chat-v1.0", 1100048384},
        {"Qwen2-0.5B", 494032768},
        {"google/vit-base-patch16-224", 86567656},
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        const struct mld_checkpoint *ck = mld_checkpoint_find(known[i].name);
        if (!ck)
            KIT_FAIL("'%s' is not known", known[i].name);
        KIT_EQ_INT(ck->parameters, known[i].parameters);
    }
    KIT_CHECK(mld_checkpoint_find("someone/bert-base-uncased") == NULL);
    KIT_CHECK(mld_checkpoint_find("no-such-model") == NULL);
    KIT_CHECK(mld_checkpoint_find(NULL) == NULL);
    KIT_EQ_STR(mld_arch_nearest("bert-base-uncasd"), "bert-base-uncased");
    KIT_EQ_STR(mld_arch_nearest("llana"), "llama");
    KIT_CHECK(mld_arch_nearest("zzzzzzzzzzzz") == NULL);
}

/* Every type has a default checkpoint, a default class, and only classes that build. */
MLD_TEST(arch__every_class_builds)
{
    for (size_t i = 0; i < mld_arch_type_count(); i++) {
        const struct mld_arch_type *t = mld_arch_type_at(i);
        bool default_seen = false;
        KIT_CHECK(mld_checkpoint_default(t->model_type) != NULL);
        KIT_CHECK(t->default_batches[0] > 0);
        const char *name;
        for (size_t k = 0; (name = mld_arch_type_class(t, k)) != NULL; k++) {
            default_seen = default_seen || strcmp(name, t->default_class) == 0;
            for (int mode = 0; mode < MLD_MODE_COUNT; mode++) {
                struct mld_arch_request req = {.model_type = t->model_type,
                                               .class_name = name,
                                               .mode = (enum mld_mode)mode,
                                               .layers = 2};
                struct built b = {.graph = NULL};
                if (mld_arch_class_mode(t, name, req.mode)) {
                    build(&req, &b);
                    KIT_CHECK(b.graph->output_count > 0);
                } else {
                    KIT_FAILS(mld_arch_build(&req, &b.arena, &b.graph, NULL, &kit_err),
                              MLD_E_UNSUPPORTED);
                    KIT_CONTAINS(kit_err.message, mld_mode_name(req.mode));
                }
                release(&b);
            }
        }
        KIT_CHECK(default_seen);
    }
}

/* A config as text, its class's graph on default inputs or on ids and positions. */
static int build_text(const char *text, bool positions, struct built *b)
{
    const struct mld_arch_input inputs[2] = {{"input_ids", MLD_I64, {2, {2, 8}}},
                                             {"position_ids", MLD_I64, {2, {1, 8}}}};
    struct mld_json *config;
    KIT_OK(mld_json_parse(text, strlen(text), "config", &config, &kit_err));
    const struct mld_arch_request req = {.config = config,
                                         .inputs = positions ? inputs : NULL,
                                         .input_count = positions ? 2 : 0};
    mld_arena_init(&b->arena, 0);
    b->graph = NULL;
    int rc = mld_arch_build(&req, &b->arena, &b->graph, &b->info, &kit_err);
    mld_json_free(config);
    return rc;
}

static bool is_causal(const struct mld_graph *g)
{
    for (size_t i = 0; i < g->node_count; i++)
        if (g->nodes[i]->op == MLD_OP_ATTENTION)
            return mld_node_int(g->nodes[i], "causal", 0) != 0;
    KIT_FAIL("'%s' has no attention", g->name);
}

/* is_decoder turns BERT round; ALBERT and DistilBERT never look at it. */
MLD_TEST(arch__is_decoder_counts_where_the_reference_reads_it)
{
    static const struct {
        const char *config;
        bool causal;
    } cases[] = {
        {"{\"model_type\":\"bert\",\"num_hidden_layers\":1,\"is_decoder\":true}", true},
        {"{\"model_type\":\"bert\",\"num_hidden_layers\":1}", false},
        {"{\"model_type\":\"albert\",\"is_decoder\":true}", false},
        {"{\"model_type\":\"distilbert\",\"is_decoder\":true}", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct built b;
        KIT_OK(build_text(cases[i].config, false, &b));
        KIT_EQ_INT(is_causal(b.graph), cases[i].causal);
        release(&b);
    }
}

/* What would come out as other numbers than the reference's is refused by name. */
MLD_TEST(arch__refuses_what_depends_on_the_content)
{
    static const char llama[] =
        "{\"model_type\":\"llama\",\"num_hidden_layers\":1,\"rope_scaling\":"
        "{\"rope_type\":\"%s\",\"factor\":2.0}}";
    char text[200];
    struct built b;
    snprintf(text, sizeof text, llama, "linear");
    KIT_OK(build_text(text, true, &b));
    release(&b);
    snprintf(text, sizeof text, llama, "dynamic");
    KIT_OK(build_text(text, false, &b));
    release(&b);
    KIT_FAILS(build_text(text, true, &b), MLD_E_UNSUPPORTED);
    KIT_CONTAINS(kit_err.message, "position_ids");
    release(&b);
    KIT_FAILS(build_text("{\"model_type\":\"gpt2\",\"architectures\":"
                         "[\"GPT2DoubleHeadsModel\"],\"summary_type\":\"mean\"}",
                         false, &b),
              MLD_E_INVALID);
    KIT_CONTAINS(kit_err.message, "cls_index");
    release(&b);
}
