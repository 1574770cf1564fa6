/* cli.c: finds the command, parses by its table, runs it, turns an error into one line on
 * stderr and an exit code. */
#include "cli/cli.h"

#include "app/worker.h"
#include "base/alloc.h"
#include "base/json.h"
#include "base/log.h"
#include "mld_version.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const format_names[] = {
#define X(upper, lower) lower,
    MLD_FORMATS(X)
#undef X
        NULL};

const struct mld_option mld_cli_common_options[] = {
    {.name = "format",
     MLD_OPT_FIELD(CHOICE, struct mld_cli_common, format),
     .value_name = "FORMAT",
     .help = "how results are printed on stdout",
     .fallback = "table",
     .choices = format_names},
    {.name = "quiet",
     .letter = 'q',
     MLD_OPT_FIELD(FLAG, struct mld_cli_common, quiet),
     .help = "only warnings and errors on stderr"},
    {.name = "verbose",
     .letter = 'v',
     MLD_OPT_FIELD(FLAG, struct mld_cli_common, verbose),
     .help = "more on stderr"},
    {.name = "color",
     MLD_OPT_FIELD(FLAG, struct mld_cli_common, color),
     .fallback = "",
     .help = "colour on a terminal; --no-color or NO_COLOR switches it off"},
    {.name = NULL}};

const char *const mld_cli_mode_names[] = {
#define X(upper, lower, help) lower,
    MLD_MODES(X)
#undef X
        NULL};

struct mld_arch_shapes mld_cli_shapes(const struct mld_cli_shape *s, int64_t batch)
{
    return (struct mld_arch_shapes){.batch = batch,
                                    .seq = s->seq,
                                    .decoder_seq = s->decoder_seq,
                                    .image_size = s->image_size,
                                    .capacity = s->capacity};
}

volatile int mld_cli_cancel;
static char cli_command_line[4096];

const char *mld_cli_command_line(void)
{
    return cli_command_line;
}

static void remember_command_line(int argc, char **argv)
{
    size_t at = 0;
    for (int i = 0; i < argc && at < sizeof cli_command_line; i++) {
        int n = snprintf(cli_command_line + at, sizeof cli_command_line - at, "%s%s",
                         i ? " " : "", i ? argv[i] : "mldyno");
        at += n > 0 ? (size_t)n : 0;
    }
}

static void on_signal(int number)
{
    if (mld_cli_cancel) /* a second one: at once */
        _Exit(128 + number);
    mld_cli_cancel = number;
}

int mld_cli_print(const char *text, struct mld_error *err)
{
    if (fputs(text, stdout) < 0 || fflush(stdout) != 0)
        return mld_error_set(err, MLD_E_IO, "cannot write to standard output");
    return 0;
}

int mld_cli_print_table(const struct mld_table *t, int64_t format, struct mld_error *err)
{
    struct mld_str out = {0};
    int rc = mld_table_print(t, (enum mld_format)format, &out, err);
    if (rc == 0)
        rc = mld_cli_print(mld_str_c(&out), err);
    mld_str_release(&out);
    return rc;
}

int mld_cli_print_json(const struct mld_json *v, struct mld_error *err)
{
    char *text = v ? mld_json_print(v, true) : NULL;
    if (!text)
        return mld_error_set(err, MLD_E_NO_MEMORY, "out of memory");
    int rc = mld_cli_print(text, err);
    if (rc == 0)
        rc = mld_cli_print("\n", err);
    mld_free(text);
    return rc;
}

static void print_overview(struct mld_str *out)
{
    mld_str_add(out,
                "mldyno: measures machine-learning models on this machine's hardware\n\n"
                "usage: mldyno <command> [options]\n\nCommands:\n");
    for (size_t i = 0; i < mld_cli_command_count; i++)
        if (!mld_cli_commands[i]->hidden)
            mld_str_addf(out, "  %-14s  %s\n", mld_cli_commands[i]->name,
                         mld_cli_commands[i]->summary);
    mld_str_add(out,
                "\n'mldyno <command> --help' explains one; 'mldyno --version' tells the "
                "version.\n\n"
                "Exit codes: 0 fine, 1 a case failed, timed out or ran out of memory,\n"
                "2 usage, 3 environment, 4 under --strict: a row is mistrusted.\n");
}

static int print_str(struct mld_str *s)
{
    struct mld_error err = {0};
    int rc = mld_str_check(s, &err);
    if (rc == 0)
        rc = mld_cli_print(mld_str_c(s), &err);
    mld_str_release(s);
    if (rc != 0)
        fprintf(stderr, "mldyno: %s\n", err.message);
    return rc ? MLD_EXIT_ENVIRONMENT : MLD_EXIT_OK;
}

/* Is word the first of commands of two ("db" of "db init")? */
static bool is_group(const struct mld_command *cmd, const char *word)
{
    size_t n = strlen(word);
    return !cmd->hidden && strncmp(cmd->name, word, n) == 0 && cmd->name[n] == ' ';
}

static bool asks_help(int argc, char **argv)
{
    return argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0);
}

static int unknown_command(const char *word, bool help)
{
    const char *names[64];
    size_t n = 0;
    struct mld_str group = {0};
    for (size_t i = 0; i < mld_cli_command_count; i++)
        if (is_group(mld_cli_commands[i], word))
            mld_str_addf(&group, "  mldyno %-14s  %s\n", mld_cli_commands[i]->name,
                         mld_cli_commands[i]->summary);
    if (group.len && help)
        return print_str(&group);
    if (group.len) {
        mld_str_release(&group);
        fprintf(stderr,
                "mldyno: 'mldyno %s' is not a whole command: see 'mldyno %s --help'\n",
                word, word);
        return MLD_EXIT_USAGE;
    }
    for (size_t i = 0; i < mld_cli_command_count && n < 64; i++)
        if (!mld_cli_commands[i]->hidden)
            names[n++] = mld_cli_commands[i]->name;
    const char *near = mld_str_nearest(word, names, n);
    if (near)
        fprintf(stderr, "mldyno: unknown command '%s': did you mean 'mldyno %s'?\n", word,
                near);
    else
        fprintf(stderr, "mldyno: unknown command '%s': 'mldyno --help' lists all\n",
                word);
    return MLD_EXIT_USAGE;
}

/* The message, once, and the exit code that the error's table gives. */
static int command_failed(int rc, const struct mld_error *err)
{
    mld_log_progress("%s", "");
    fprintf(stderr, "mldyno: %s\n", *err->message ? err->message : mld_error_text(rc));
    return mld_error_exit(rc);
}

/* The first signal asks a command that cancels to finish in order. */
static void catch_signals(void)
{
    struct sigaction on = {.sa_handler = on_signal};
    sigaction(SIGINT, &on, NULL);
    sigaction(SIGTERM, &on, NULL);
}

static int run_command(const struct mld_command *cmd, int argc, char **argv)
{
    struct mld_arena arena = {0};
    struct mld_strings operands;
    struct mld_error err = {0};
    bool help = false;
    void *args = mld_arena_alloc(&arena, cmd->args_size);
    int rc =
        args ? mld_options_parse(cmd, argc, argv, &arena, args, &operands, &help, &err)
             : mld_error_set(&err, MLD_E_NO_MEMORY, "out of memory");
    int code;
    if (rc != 0) {
        command_failed(rc, &err);
        code = MLD_EXIT_USAGE;
    } else if (help) {
        struct mld_str out = {0};
        mld_options_help(cmd, &out);
        code = print_str(&out);
    } else {
        const struct mld_cli_common *common = args;
        mld_log_set_level(common->quiet     ? MLD_LOG_WARN
                          : common->verbose ? MLD_LOG_DEBUG
                                            : MLD_LOG_INFO);
        if (!common->color)
            mld_log_set_color(false);
        if (cmd->cancels)
            catch_signals();
        code = cmd->run(cmd, args, &operands, &err);
        if (code < 0)
            code = command_failed(code, &err);
    }
    mld_arena_release(&arena);
    return code;
}

int mld_cli_main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--worker") == 0)
        return mld_app_worker();
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    sigaction(SIGPIPE, &ignore, NULL);
    remember_command_line(argc, argv);
    const char *first = argc > 1 ? argv[1] : "--help";
    struct mld_str out = {0};
    if (strcmp(first, "--version") == 0 || strcmp(first, "version") == 0) {
        mld_str_addf(&out, "mldyno %s (%s)\n", MLD_VERSION, MLD_GIT_COMMIT);
        return print_str(&out);
    }
    if (strcmp(first, "--help") == 0 || strcmp(first, "-h") == 0 ||
        (strcmp(first, "help") == 0 && argc == 2)) {
        print_overview(&out);
        return print_str(&out);
    }
    bool ask = strcmp(first, "help") == 0;
    const struct mld_command *cmd = NULL;
    int skip = ask ? 2 : 1;
    int words = mld_command_find(mld_cli_commands, mld_cli_command_count, argc - skip,
                                 argv + skip, &cmd);
    if (words == 0)
        return unknown_command(argv[skip], ask || asks_help(argc - skip, argv + skip));
    if (ask) {
        mld_options_help(cmd, &out);
        return print_str(&out);
    }
    return run_command(cmd, argc - skip - words, argv + skip + words);
}
