/* commands.c: the table of commands, in the order of `mldyno --help`. */
#include "cli/cli.h"

#define COMMANDS(X)                                                                      \
    X(bench)                                                                             \
    X(run)                                                                               \
    X(models)                                                                            \
    X(models_show)                                                                       \
    X(hardware)                                                                          \
    X(build)                                                                             \
    X(verify)                                                                            \
    X(query)                                                                             \
    X(db_init)                                                                           \
    X(db_status)

#define X(name) extern const struct mld_command mld_cmd_##name;
COMMANDS(X)
#undef X

const struct mld_command *const mld_cli_commands[] = {
#define X(name) &mld_cmd_##name,
    COMMANDS(X)
#undef X
};
const size_t mld_cli_command_count = sizeof mld_cli_commands / sizeof *mld_cli_commands;
