/* test_arch_config.c: configs of every spelling, and broken or hostile ones: a clear
 * fault that names the field, never a crash; which class, which inputs, which shapes. */
#include "kit/kit.h"

#include "arch/arch.h"
#include "base/fs.h"
#include "base/str.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define JSON(...) #__VA_ARGS__

static struct mld_json *parse(const char *text)
{
    struct mld_json *v;
    KIT_OK(mld_json_parse(text, strlen(text), "config.json", &v, &kit_err));
    return v;
}

/* Builds; on success the number of parameters' values, or -1 with kit_err set. */
static int64_t try_config(const char *text, struct mld_arch_request req,
                          struct mld_arch_info *info)
{
    struct mld_arena arena = {0};
    struct mld_graph *g = NULL;
    struct mld_json *config = text ? parse(text) : NULL;
    int64_t values = -1;

    req.config = config;
    kit_clear();
    if (mld_arch_build(&req, &arena, &g, info, &kit_err) == 0) {
        KIT_OK(mld_graph_verify(g, &kit_err));
        values = mld_graph_param_values(g);
    }
    mld_graph_release(g);
    mld_arena_release(&arena);
    mld_json_free(config);
    return values;
}

/* --- spellings ---------------------------------------------------------------------- */

MLD_TEST(arch_config__two_spellings_are_one_model)
{
    static const char *const pairs[][2] = {
        {JSON({"model_type" : "gpt2", "n_embd" : 64, "n_layer" : 2, "n_head" : 4}), JSON({
             "model_type" : "gpt2",
             "hidden_size" : 64,
             "num_hidden_layers" : 2,
             "num_attention_heads" : 4
         })},
        {JSON({"model_type" : "distilbert", "dim" : 64, "n_layers" : 1, "n_heads" : 4}),
         JSON({
             "model_type" : "distilbert",
             "hidden_size" : 64,
             "num_hidden_layers" : 1,
             "num_attention_heads" : 4
         })},
        {JSON({"model_type" : "t5", "d_model" : 64, "num_layers" : 1, "num_heads" : 4}),
         JSON({
             "model_type" : "t5",
             "hidden_size" : 64,
             "num_hidden_layers" : 1,
             "num_attention_heads" : 4
         })},
        {JSON({
             "model_type" : "llama",
             "num_hidden_layers" : 1,
             "rope_theta" : 5e5,
             "rope_scaling" : {"type" : "linear", "factor" : 2}
         }),
         JSON({
             "model_type" : "llama",
             "num_hidden_layers" : 1,
             "rope_parameters" :
                 {"rope_type" : "linear", "factor" : 2.0, "rope_theta" : 500000.0}
         })},
        {JSON({"architectures" : ["BertForMaskedLM"], "num_hidden_layers" : 1}), JSON({
             "model_type" : "bert",
             "architectures" : ["BertForMaskedLM"],
             "num_hidden_layers" : 1,
             "type_vocab_size" : 2
         })},
        {JSON({"architectures" : ["T5WithLMHeadModel"], "num_layers" : 1}),
         JSON({"model_type" : "t5", "num_layers" : 1, "num_decoder_layers" : null})},
        {JSON({
             "model_type" : "bert",
             "architectures" : ["BertForSequenceClassification"],
             "num_hidden_layers" : 1,
             "num_labels" : 3
         }),
         JSON({
             "model_type" : "bert",
             "architectures" : ["BertForSequenceClassification"],
             "num_hidden_layers" : 1,
             "id2label" : {"0" : "a", "1" : "b", "2" : "c"}
         })},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        struct mld_str dump[2] = {{0}, {0}};
        for (int k = 0; k < 2; k++) {
            struct mld_arena arena = {0};
            struct mld_graph *g;
            struct mld_json *config = parse(pairs[i][k]);
            struct mld_arch_request req = {.config = config};
            KIT_OK(mld_arch_build(&req, &arena, &g, NULL, &kit_err));
            mld_graph_dump(g, &dump[k]);
            mld_graph_release(g);
            mld_arena_release(&arena);
            mld_json_free(config);
        }
        KIT_CHECK(dump[0].len > 0);
        KIT_EQ_STR(mld_str_c(&dump[0]), mld_str_c(&dump[1]));
        mld_str_release(&dump[0]);
        mld_str_release(&dump[1]);
    }
}

MLD_TEST(arch_config__class_from_the_request_the_config_or_the_type)
{
    struct mld_arch_info info;
    const char *text = JSON({
        "model_type" : "bert",
        "num_hidden_layers" : 1,
        "architectures" : ["BertForMaskedLM"]
    });
    KIT_CHECK(try_config(text, (struct mld_arch_request){0}, &info) > 0);
    KIT_EQ_STR(info.class_name, "BertForMaskedLM");
    KIT_CHECK(try_config(text, (struct mld_arch_request){.class_name = "BertModel"},
                         &info) > 0);
    KIT_EQ_STR(info.class_name, "BertModel");
    KIT_CHECK(try_config(JSON({"model_type" : "gpt2", "n_layer" : 1}),
                         (struct mld_arch_request){0}, &info) > 0);
    KIT_EQ_STR(info.class_name, "GPT2LMHeadModel");
}

MLD_TEST(arch_config__cut_to_a_depth)
{
    struct mld_arch_info info;
    int64_t cut = try_config(
        NULL, (struct mld_arch_request){.model_type = "bert", .layers = 2}, &info);
    KIT_EQ_INT(info.layers, 2);
    KIT_EQ_INT(info.layers_full, 12);
    KIT_EQ_INT(cut, try_config(JSON({"model_type" : "bert", "num_hidden_layers" : 2}),
                               (struct mld_arch_request){0}, &info));
    KIT_EQ_INT(info.layers_full, 2);
    KIT_CHECK(try_config(NULL, (struct mld_arch_request){.model_type = "t5", .layers = 1},
                         &info) > 0);
    KIT_EQ_INT(info.layers, 1);
}

MLD_TEST(arch_config__shapes)
{
    struct mld_arch_info info;
    struct mld_arch_request req = {.model_type = "bert", .layers = 1};
    KIT_CHECK(try_config(NULL, req, &info) > 0);
    KIT_EQ_INT(info.shapes.batch, 1);
    KIT_EQ_INT(info.shapes.seq, 128);
    KIT_EQ_INT(info.shapes.image_size, -1);
    req.shapes = (struct mld_arch_shapes){.batch = 4, .seq = 1024};
    KIT_EQ_INT(try_config(NULL, req, &info), -1);
    KIT_CONTAINS(kit_err.message, "'max_position_embeddings' is 512");
    req.shapes.seq = 512;
    KIT_CHECK(try_config(NULL, req, &info) > 0);
    KIT_EQ_INT(info.shapes.batch, 4);

    req = (struct mld_arch_request){.model_type = "vit", .layers = 1};
    int64_t usual = try_config(NULL, req, &info);
    KIT_EQ_INT(info.shapes.image_size, 224);
    req.shapes.image_size = 384;
    KIT_EQ_INT(try_config(NULL, req, &info) - usual, (24 * 24 - 14 * 14) * 768);
    KIT_EQ_INT(info.shapes.image_size, 384);

    req = (struct mld_arch_request){
        .model_type = "gpt2", .layers = 1, .mode = MLD_MODE_DECODE};
    req.shapes.seq = 1000;
    KIT_CHECK(try_config(NULL, req, &info) > 0);
    KIT_EQ_INT(info.shapes.capacity, 1024); /* the table's end */
    KIT_EQ_INT(info.shapes.new_tokens, 1);
    req.shapes.capacity = 1000;
    KIT_EQ_INT(try_config(NULL, req, &info), -1);
    KIT_CONTAINS(kit_err.message, "'capacity' is 1000: the cache must hold 1001 tokens");
}

/* --- requested inputs --------------------------------------------------------------- */

MLD_TEST(arch_config__requested_inputs)
{
    struct mld_arch_input in[3] = {{"input_ids", MLD_I64, MLD_SHAPE(2, 7)},
                                   {"position_ids", MLD_I64, MLD_SHAPE(1, 7)},
                                   {"attention_mask", MLD_I64, MLD_SHAPE(2, 7)}};
    struct mld_arch_request req = {
        .model_type = "bert", .layers = 1, .inputs = in, .input_count = 3};
    struct mld_arch_info info;
    KIT_CHECK(try_config(NULL, req, &info) > 0);
    KIT_EQ_INT(info.shapes.batch, 2);
    KIT_EQ_INT(info.shapes.seq, 7);
    in[2].shape = MLD_SHAPE(2, 8);
    KIT_EQ_INT(try_config(NULL, req, &info), -1);
    KIT_EQ_STR(kit_err.message,
               "input 'attention_mask' has shape [2, 8], [2, 7] is needed");
    in[2] = (struct mld_arch_input){"pixel_values", MLD_F32, MLD_SHAPE(2, 7)};
    KIT_EQ_INT(try_config(NULL, req, &info), -1);
    KIT_CONTAINS(kit_err.message, "'BertModel' takes no input 'pixel_values'");
    in[0].name = "attention_mask";
    req.input_count = 1;
    KIT_EQ_INT(try_config(NULL, req, &info), -1);
    KIT_CONTAINS(kit_err.message, "lack 'input_ids'");
    in[0] = (struct mld_arch_input){"inputs_embeds", MLD_F32, MLD_SHAPE(2, 7, 768)};
    KIT_CHECK(try_config(NULL, req, &info) > 0);
}

/* --- faults ------------------------------------------------------------------------- */

MLD_TEST(arch_config__faults_name_the_field)
{
    static const struct {
        const char *config, *message;
    } rows[] = {
        {JSON({"model_type" : "bert", "hidden_size" : -4}),
         "config: 'hidden_size' is -4: a whole number from 1 to 2147483648 is needed"},
        {JSON({"model_type" : "bert", "hidden_size" : "wide"}),
         "'hidden_size' is \"wide\""},
        {JSON({"model_type" : "bert", "hidden_size" : null}), "'hidden_size' is null"},
        {JSON({"model_type" : "bert", "hidden_size" : 1e300}), "'hidden_size' is 1e+300"},
        {JSON({"model_type" : "bert", "hidden_size" : 770}),
         "'num_attention_heads' is 12: it must divide 'hidden_size', which is 770"},
        {JSON({"model_type" : "gpt2", "n_embd" : 770}), "'n_head' is 12"},
        {JSON({"model_type" : "bert", "num_hidden_layers" : 10001}),
         "'num_hidden_layers' is 10001: a whole number from 0 to 10000"},
        {JSON({"model_type" : "bert", "vocab_size" : 0}), "'vocab_size' is 0"},
        {JSON({
             "model_type" : "bert",
             "vocab_size" : 2147483648,
             "hidden_size" : 2147483648,
             "num_attention_heads" : 1
         }),
         "'embeddings.word_embeddings.weight' would have over"},
        {JSON({
             "model_type" : "bert",
             "num_hidden_layers" : 10000,
             "hidden_size" : 65536,
             "num_attention_heads" : 1
         }),
         "'BertModel' would have over"},
        {JSON({"model_type" : "bert", "hidden_act" : "gelo"}),
         "'hidden_act' is \"gelo\": no such activation, did you mean 'gelu'?"},
        {JSON({"model_type" : "bert", "hidden_act" : 3}), "'hidden_act' is 3: a text"},
        {JSON({"model_type" : "bert", "layer_norm_eps" : "x"}),
         "'layer_norm_eps' is \"x\""},
        {JSON({"model_type" : "bert", "layer_norm_eps" : -1}), "'layer_norm_eps' is -1"},
        {JSON({"model_type" : "bert", "add_cross_attention" : true}),
         "'add_cross_attention'"},
        {JSON({"model_type" : "bert", "is_decoder" : "yes"}), "true or false is needed"},
        {JSON({"model_type" : "bert", "architectures" : ["BertForMaskedLN"]}),
         "model type 'bert' has no class 'BertForMaskedLN', nearest is "
         "'BertForMaskedLM'"},
        {JSON({"model_type" : "bort"}),
         "unknown model type 'bort', did you mean 'bert'?"},
        {JSON({"model_type" : 7}), "'model_type' must be a text"},
        {JSON({"hidden_size" : 4}), "'model_type' is missing"},
        {JSON({"architectures" : ["NoSuchModel"]}),
         "its class 'NoSuchModel' is not known"},
        {JSON([ 1, 2 ]), "an object is needed"},
        {JSON({
             "model_type" : "bert",
             "architectures" : ["BertForQuestionAnswering"],
             "num_labels" : 3
         }),
         "3 labels: 'BertForQuestionAnswering' needs 2"},
        {JSON({"model_type" : "roberta", "pad_token_id" : 500}), "512"},
        {JSON({"model_type" : "albert", "num_hidden_groups" : 0}),
         "'num_hidden_groups' is 0"},
        {JSON({"model_type" : "llama", "num_key_value_heads" : 5}),
         "'num_key_value_heads' is 5: it must divide 'num_attention_heads', which is 32"},
        {JSON({
             "model_type" : "llama",
             "rope_scaling" : {"type" : "spiral", "factor" : 2}
         }),
         "'rope_scaling.type' is \"spiral\": no such rope type, known are default, "
         "linear"},
        {JSON({
             "model_type" : "llama",
             "rope_parameters" : {"rope_type" : "yarn", "factor" : "four"}
         }),
         "'rope_parameters.factor' is \"four\""},
        {JSON({"model_type" : "llama", "rope_scaling" : {"rope_type" : "linear"}}),
         "'rope_scaling.factor' is missing"},
        {JSON({"model_type" : "llama", "rope_scaling" : 4}), "'rope_scaling' is 4"},
        {JSON({
             "model_type" : "llama",
             "rope_scaling" :
                 {"rope_type" : "longrope", "short_factor" : [1], "long_factor" : [1]}
         }),
         "'rope_scaling.short_factor' is [1]: a list of 64 numbers is needed"},
        {JSON({"model_type" : "llama", "head_dim" : 3}), "of each head's 3 dimensions"},
        {JSON({"model_type" : "llama", "rope_theta" : 0}), "'rope_theta' is 0"},
        {JSON({"model_type" : "qwen2", "layer_types" : ["full_attention"]}),
         "'layer_types' is [\"full_attention\"]: 32 entries are needed"},
        {JSON({
             "model_type" : "qwen2",
             "num_hidden_layers" : 1,
             "layer_types" : ["linear"]
         }),
         "one 'full_attention' or 'sliding_attention' per layer"},
        {JSON({"model_type" : "mistral", "sliding_window" : 0}), "'sliding_window' is 0"},
        {JSON({"model_type" : "t5", "feed_forward_proj" : "gated-gelu-new"}),
         "'feed_forward_proj' is \"gated-gelu-new\""},
        {JSON({"model_type" : "t5", "feed_forward_proj" : "relo"}), "no such activation"},
        {JSON({"model_type" : "t5", "relative_attention_num_buckets" : 0}),
         "'relative_attention_num_buckets' is 0"},
        {JSON({"model_type" : "t5", "relative_attention_max_distance" : 8}),
         "it must be over half of the buckets, 16"},
        {JSON({"model_type" : "vit", "patch_size" : 500}),
         "'patch_size' is 500: it must fit into the image of 224 x 224"},
        {JSON({"model_type" : "vit", "image_size" : 65536, "patch_size" : 1}),
         "too many"},
        {JSON({"model_type" : "vit", "image_size" : [ 1, 2, 3 ]}),
         "'image_size' is [1,2,3]"},
        {JSON({
             "model_type" : "vit",
             "architectures" : ["ViTForMaskedImageModeling"],
             "image_size" : [ 32, 64 ]
         }),
         "needs square images"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct mld_arch_info info;
        if (try_config(rows[i].config, (struct mld_arch_request){0}, &info) != -1)
            KIT_FAIL("'%s' was built", rows[i].config);
        KIT_CONTAINS(kit_err.message, rows[i].message);
        KIT_CHECK(strchr(kit_err.message, '\n') == NULL);
    }
}

/* Every field of every golden's config, replaced by every kind of nonsense: builds or
 * says why not. */
MLD_TEST(arch_config__every_field_broken)
{
    static const char *const nonsense[] = {"-1",
                                           "0",
                                           "1",
                                           "7",
                                           "2147483648",
                                           "9007199254740993",
                                           "1e300",
                                           "0.5",
                                           "-1e-9",
                                           "\"x\"",
                                           "\"\"",
                                           "null",
                                           "true",
                                           "[]",
                                           "[-1]",
                                           "{}",
                                           "{\"rope_type\": [1]}",
                                           "[\"full_attention\"]"};
    char **names;
    size_t n, built = 0, refused = 0;

    KIT_OK(mld_dir_list(kit_fixture("tests/golden/goldens"), &names, &n, &kit_err));
    for (size_t i = 0; i < n; i++) {
        char path[256];
        struct mld_json *golden;
        snprintf(path, sizeof path, "tests/golden/goldens/%s", names[i]);
        KIT_OK(mld_json_read(kit_fixture(path), 1 << 24, &golden, &kit_err));
        const struct mld_json *config = mld_json_get(golden, "config");
        for (const struct mld_json *f = mld_json_first(config); f; f = mld_json_next(f)) {
            for (size_t k = 0; k < sizeof nonsense / sizeof nonsense[0]; k++) {
                struct mld_arena arena;
                struct mld_graph *g = NULL;
                struct mld_json *broken = mld_json_copy(config);
                mld_json_set(broken, mld_json_key(f), parse(nonsense[k]));
                struct mld_arch_request req = {
                    .config = broken,
                    .class_name = mld_json_str(mld_json_get(golden, "class"), NULL),
                    .shapes = {.batch = 2, .seq = 7, .decoder_seq = 5}};
                mld_arena_init(&arena, (size_t)1 << 30);
                kit_clear();
                if (mld_arch_build(&req, &arena, &g, NULL, &kit_err) == 0) {
                    built++;
                } else {
                    refused++;
                    KIT_CHECK(kit_err.message[0] != '\0');
                }
                mld_graph_release(g);
                mld_arena_release(&arena);
                mld_json_free(broken);
            }
        }
        mld_json_free(golden);
    }
    mld_names_free(names, n);
    KIT_CHECK(built > 1000);
    KIT_CHECK(refused > 1000);
}

static int build_once(void *ctx)
{
    struct mld_arena arena = {0};
    struct mld_graph *g = NULL;
    struct mld_arch_request req = {.model_type = ctx, .layers = 1};
    int rc = mld_arch_build(&req, &arena, &g, NULL, NULL);
    mld_graph_release(g);
    mld_arena_release(&arena);
    return rc;
}

MLD_TEST(arch_config__out_of_memory_anywhere)
{
    char types[][8] = {"bert", "albert", "llama", "t5", "vit"};
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        KIT_CHECK(kit_torture(build_once, types[i]) > 0);
}

/* --- names in checkpoint files ------------------------------------------------------ */

static bool has_candidate(const char *type, const char *class_name, const char *name,
                          const char *want)
{
    struct mld_arena arena = {0};
    const char *out[24];
    size_t n = mld_arch_param_candidates(mld_arch_type_find(type), class_name, name,
                                         &arena, out, sizeof out / sizeof out[0]);
    bool found = false;
    KIT_CHECK(n >= 1 && n < 24);
    KIT_EQ_STR(out[0], name);
    for (size_t i = 0; i < n; i++) {
        found = found || strcmp(out[i], want) == 0;
        for (size_t k = 0; k < i; k++)
            KIT_CHECK(strcmp(out[i], out[k]) != 0);
    }
    mld_arena_release(&arena);
    return found;
}

MLD_TEST(arch_config__names_in_checkpoint_files)
{
    static const struct {
        const char *type, *class_name, *name, *file;
    } rows[] = {
        {"bert", "BertModel", "embeddings.LayerNorm.weight",
         "bert.embeddings.LayerNorm.gamma"},
        {"bert", "BertModel", "embeddings.LayerNorm.bias", "embeddings.LayerNorm.beta"},
        {"bert", "BertForMaskedLM", "bert.encoder.layer.0.output.dense.weight",
         "encoder.layer.0.output.dense.weight"},
        {"bert", "BertForMaskedLM", "cls.predictions.bias",
         "cls.predictions.decoder.bias"},
        {"bert", "BertForMaskedLM", "cls.predictions.transform.LayerNorm.weight",
         "cls.predictions.transform.LayerNorm.gamma"},
        {"gpt2", "GPT2LMHeadModel", "transformer.h.0.ln_1.weight", "h.0.ln_1.weight"},
        {"gpt2", "GPT2Model", "wte.weight", "transformer.wte.weight"},
        {"llama", "LlamaForQuestionAnswering", "transformer.norm.weight",
         "model.norm.weight"},
        {"llama", "LlamaForCausalLM", "model.embed_tokens.weight", "lm_head.weight"},
        {"t5", "T5Model", "shared.weight", "lm_head.weight"},
        {"vit", "ViTForImageClassification", "vit.layers.10.attention.q_proj.weight",
         "vit.encoder.layer.10.attention.attention.query.weight"},
        {"vit", "ViTModel", "layers.3.layernorm_after.bias",
         "vit.encoder.layer.3.layernorm_after.bias"},
        {"deit", "DeiTModel", "layers.0.mlp.fc2.weight",
         "encoder.layer.0.output.dense.weight"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (!has_candidate(rows[i].type, rows[i].class_name, rows[i].name, rows[i].file))
            KIT_FAIL("'%s' is not looked up as '%s'", rows[i].name, rows[i].file);
    }
    KIT_CHECK(!has_candidate("bert", "BertModel", "pooler.dense.bias", "lm_head.weight"));
}
