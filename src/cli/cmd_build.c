/* cmd_build.c: `mldyno build`: the artifact of one case, for use anywhere. */
#include "cli/cli.h"

#include "app/export_artifact.h"
#include "base/log.h"

#include <string.h>

struct build_args {
    struct mld_cli_common common;
    struct mld_cli_shape shape;
    const char *model, *weights, *output, *precision;
    int64_t mode, target, batch;
};

static const char *const target_names[] = {"ort", "standard", NULL};
enum { TARGET_ORT, TARGET_STANDARD };

static const struct mld_option build_options[] = {
    {.name = "model",
     MLD_OPT_FIELD(STRING, struct build_args, model),
     .value_name = "NAME",
     .help = "type, checkpoint, config.json file or folder"},
    {.name = "output",
     MLD_OPT_FIELD(STRING, struct build_args, output),
     .value_name = "DIR",
     .help = "folder to write into; made, must be empty or absent"},
    {.name = "target",
     MLD_OPT_FIELD(CHOICE, struct build_args, target),
     .value_name = "NAME",
     .fallback = "ort",
     .choices = target_names,
     .help = "operators: those of ONNX Runtime, or standard ONNX only"},
    {.name = "weights",
     MLD_OPT_FIELD(STRING, struct build_args, weights),
     .value_name = "FILE",
     .help = "real weights from one *.safetensors file"},
    {.name = "mode",
     MLD_OPT_FIELD(CHOICE, struct build_args, mode),
     .value_name = "NAME",
     .fallback = "forward",
     .choices = mld_cli_mode_names,
     .help = "what one run computes"},
    {.name = "precision",
     MLD_OPT_FIELD(STRING, struct build_args, precision),
     .value_name = "NAME",
     .fallback = "fp32",
     .help = "element type of the weights"},
    {.name = "batch-size",
     MLD_OPT_FIELD(INT, struct build_args, batch),
     .value_name = "N",
     .fallback = "1",
     .min = 1,
     .max = 1000000,
     .help = "batch size"},
    MLD_CLI_SHAPE_OPTIONS(struct build_args, shape),
    {.name = NULL}};

static int build_main(const struct mld_command *cmd, void *args,
                      const struct mld_strings *operands, struct mld_error *err)
{
    const struct build_args *a = args;
    (void)cmd;
    (void)operands;
    if (!a->model || !a->output)
        return mld_error_set(err, MLD_E_INVALID,
                             "'mldyno build' needs --model NAME and "
                             "--output DIR");
    struct mld_export_request req = {.model = a->model,
                                     .class_name = a->shape.class_name,
                                     .weights_path = a->weights,
                                     .mode = (enum mld_mode)a->mode,
                                     .shapes = mld_cli_shapes(&a->shape, a->batch),
                                     .layers = a->shape.layers,
                                     .fused_ort = a->target == TARGET_ORT,
                                     .precision = a->precision,
                                     .output_dir = a->output};
    MLD_TRY(mld_export_artifact(&req, err));
    mld_log(MLD_LOG_INFO, "wrote model.onnx, weights.bin and manifest.json to '%s'",
            a->output);
    return MLD_EXIT_OK;
}

const struct mld_command mld_cmd_build = {
    .name = "build",
    .summary = "write a case's artifact: ONNX file, weights, manifest",
    .examples = "  mldyno build --model bert --batch-size 8 --output bert-b8\n"
                "  mldyno build --model gpt2 --target standard --output gpt2-std",
    .options = build_options,
    .common = mld_cli_common_options,
    .args_size = sizeof(struct build_args),
    .run = build_main};
