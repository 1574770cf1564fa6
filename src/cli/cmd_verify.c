/* cmd_verify.c: `mldyno verify`: golden files against this build and a real engine.
 *
 * The lines on stdout are a contract: "ok NAME", "FAIL NAME: reason", "skip NAME:
 * reason", then "N passed, N failed, N skipped". */
#include "cli/cli.h"

#include "app/verify.h"
#include "base/log.h"

#include <stdio.h>

struct verify_args {
    struct mld_cli_common common;
    const char *engine, *checkpoint;
    bool gradients;
};

static const struct mld_option verify_options[] = {
    {.name = "engine",
     MLD_OPT_FIELD(STRING, struct verify_args, engine),
     .value_name = "NAME",
     .help = "backend, platform or device that computes",
     .fallback = "ort"},
    {.name = "checkpoint",
     MLD_OPT_FIELD(STRING, struct verify_args, checkpoint),
     .value_name = "DIR",
     .help = "folder with config.json and *.safetensors, for goldens of real weights"},
    {.name = "gradients",
     MLD_OPT_FIELD(FLAG, struct verify_args, gradients),
     .help = "check loss and gradients too"},
    {.name = NULL}};

static void tell(void *ctx, enum mld_verdict verdict, const char *name,
                 const char *detail)
{
    (void)ctx;
    switch (verdict) {
    case MLD_VERDICT_OK:
        printf("ok %s\n", name);
        if (*detail)
            mld_log(MLD_LOG_INFO, "%s: %s", name, detail);
        break;
    case MLD_VERDICT_FAIL:
        printf("FAIL %s: %s\n", name, detail);
        break;
    case MLD_VERDICT_SKIP:
        printf("skip %s: %s\n", name, detail);
        break;
    }
    fflush(stdout);
}

static int verify_main(const struct mld_command *cmd, void *args,
                       const struct mld_strings *operands, struct mld_error *err)
{
    const struct verify_args *a = args;
    struct mld_verify_request req = {.paths = operands->items,
                                     .path_count = operands->count,
                                     .engine = a->engine,
                                     .checkpoint = a->checkpoint,
                                     .gradients = a->gradients,
                                     .cancel = &mld_cli_cancel};
    struct mld_verify_outcome o;
    (void)cmd;
    MLD_TRY(mld_verify(&req, tell, NULL, &o, err));
    char line[96];
    snprintf(line, sizeof line, "%zu passed, %zu failed, %zu skipped\n", o.passed,
             o.failed, o.skipped);
    MLD_TRY(mld_cli_print(line, err));
    return o.failed ? MLD_EXIT_FAILED : MLD_EXIT_OK;
}

const struct mld_command mld_cmd_verify = {
    .name = "verify",
    .operands = "FILE-OR-FOLDER...",
    .operand_min = 1,
    .operand_max = SIZE_MAX,
    .summary = "check architectures against reference files, on a real engine",
    .details =
        "A golden file fixes a small config, its parameters, inputs and outputs as the\n"
        "reference library computes them. Prints one line per file (ok, FAIL, skip)\n"
        "and a total; exit code 1 when one failed.",
    .examples = "  mldyno verify tests/golden/goldens\n"
                "  mldyno verify --engine ort bert.json",
    .options = verify_options,
    .common = mld_cli_common_options,
    .args_size = sizeof(struct verify_args),
    .run = verify_main,
    .cancels = true};
