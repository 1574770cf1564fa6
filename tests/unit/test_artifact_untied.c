/* test_artifact_untied.c: files that hold the word table and the head as two tensors: one
 * weight when their numbers agree, two when they do not (FLAN-T5). */
#include "kit/kit.h"

#include "artifact/artifact.h"
#include "base/alloc.h"
#include "base/fs.h"

#include <stdio.h>
#include <string.h>

static struct mld_json *tiny_t5(void)
{
    static const char text[] =
        "{\"model_type\": \"t5\", \"vocab_size\": 20, \"d_model\": 8, \"d_kv\": 4, "
        "\"d_ff\": 8, \"num_layers\": 1, \"num_heads\": 2}";
    struct mld_json *config;

    KIT_OK(mld_json_parse(text, strlen(text), "config.json", &config, &kit_err));
    return config;
}

/* Every parameter of the untied model: element i of each is i % 7, the head's plus `add`.
 */
static void write_weights(const struct mld_json *config, const char *path, float add)
{
    const struct mld_arch_request req = {.config = config, .untied = true};
    struct mld_arena arena = {0};
    struct mld_graph *g;
    struct mld_str out = {0}, data = {0};
    uint64_t header;

    KIT_OK(mld_arch_build(&req, &arena, &g, NULL, &kit_err));
    for (size_t p = 0; p < g->param_count; p++) {
        const struct mld_param *param = g->params[p];
        const int64_t n = mld_shape_count(&param->shape);
        const size_t begin = data.len;
        const bool head = strcmp(param->name, "lm_head.weight") == 0;
        for (int64_t i = 0; i < n; i++) {
            const float x = (float)(i % 7) + (head ? add : 0.0F);
            mld_str_append(&data, &x, sizeof(x));
        }
        mld_str_addf(&out, "%s\"%s\":{\"dtype\":\"F32\",\"shape\":[", p ? "," : "{",
                     param->name);
        for (int i = 0; i < param->shape.rank; i++)
            mld_str_addf(&out, "%s%lld", i ? "," : "", (long long)param->shape.d[i]);
        mld_str_addf(&out, "],\"data_offsets\":[%zu,%zu]}", begin, data.len);
    }
    mld_str_addc(&out, '}');
    header = out.len;
    struct mld_str file = {0};
    mld_str_append(&file, &header, sizeof(header));
    mld_str_append(&file, out.data, out.len);
    mld_str_append(&file, data.data, data.len);
    KIT_OK(mld_str_check(&file, &kit_err));
    KIT_OK(mld_file_write(path, file.data, file.len, &kit_err));
    mld_str_release(&file);
    mld_str_release(&out);
    mld_str_release(&data);
    mld_graph_release(g);
    mld_arena_release(&arena);
}

/* Number of parameters in the artifact made with the file's weights. */
static int64_t tensors_with(const struct mld_json *config, const char *path,
                            const char *dir)
{
    const struct mld_artifact_request req = {.arch = {.config = config},
                                             .target = {.fused_ort = true},
                                             .weights = {.safetensors_path = path}};
    struct mld_json *manifest;
    char name[64];

    KIT_OK(mld_artifact_write(&req, dir, &kit_err));
    snprintf(name, sizeof(name), "%s/manifest.json", dir);
    KIT_OK(mld_json_read(name, 1 << 20, &manifest, &kit_err));
    const struct mld_json *model = mld_json_get(manifest, "model");
    const int64_t n = mld_json_int(mld_json_get(model, "tensors"), -1);
    mld_json_free(manifest);
    return n;
}

MLD_TEST(artifact_untied__two_tensors_of_different_numbers)
{
    struct mld_json *config = tiny_t5();

    write_weights(config, "same.safetensors", 0);
    write_weights(config, "other.safetensors", 1);
    const int64_t tied = tensors_with(config, "same.safetensors", "same");
    KIT_CHECK(tied > 0);
    KIT_EQ_INT(tensors_with(config, "other.safetensors", "other"), tied + 1);
    mld_json_free(config);
}
