/* cli.h: what the commands share. Each command is one file: it parses, calls app, prints.
 *
 * Results go to stdout, chatter to stderr. */
#ifndef MLD_CLI_CLI_H
#define MLD_CLI_CLI_H

#include "app/model.h"
#include "cli/options.h"
#include "report/table.h"

/* Exit codes (documented in --help and docs/output.md). */
enum {
    MLD_EXIT_OK = 0,
    MLD_EXIT_FAILED = 1,      /* a case failed, timed out or ran out of memory */
    MLD_EXIT_USAGE = 2,       /* what was written cannot be done */
    MLD_EXIT_ENVIRONMENT = 3, /* the machine lacks something */
    MLD_EXIT_DOUBT = 4        /* under --strict: mistrusted rows */
};

/* The first member of every argument struct. */
struct mld_cli_common {
    int64_t format; /* enum mld_format */
    bool quiet, verbose, color;
};
extern const struct mld_option mld_cli_common_options[];

/* Which model, in which shape: shared by the commands that build one. */
struct mld_cli_shape {
    const char *class_name;
    int64_t seq, decoder_seq, image_size, capacity, layers; /* 0: default */
};
#define MLD_CLI_LARGEST 1000000000 /* of any dimension */
#define MLD_CLI_SHAPE_OPTIONS(args, field)                                               \
    {.name = "class",                                                                    \
     MLD_OPT_FIELD(STRING, args, field.class_name),                                      \
     .value_name = "CLASS",                                                              \
     .help = "the model's class, such as BertForMaskedLM, instead of its default"},      \
        {.name = "seq",                                                                  \
         MLD_OPT_FIELD(INT, args, field.seq),                                            \
         .value_name = "N",                                                              \
         .help = "tokens of the text (prefill: of the prompt; decode: in the cache)",    \
         .min = 1,                                                                       \
         .max = MLD_CLI_LARGEST},                                                        \
        {.name = "decoder-seq",                                                          \
         MLD_OPT_FIELD(INT, args, field.decoder_seq),                                    \
         .value_name = "N",                                                              \
         .help = "tokens of the decoder's text",                                         \
         .min = 1,                                                                       \
         .max = MLD_CLI_LARGEST},                                                        \
        {.name = "image-size",                                                           \
         MLD_OPT_FIELD(INT, args, field.image_size),                                     \
         .value_name = "N",                                                              \
         .help = "pixels of a square image's side",                                      \
         .min = 1,                                                                       \
         .max = MLD_CLI_LARGEST},                                                        \
        {.name = "cache-capacity",                                                       \
         MLD_OPT_FIELD(INT, args, field.capacity),                                       \
         .value_name = "N",                                                              \
         .help = "tokens that the KV cache can hold (default: seq + 64)",                \
         .min = 1,                                                                       \
         .max = MLD_CLI_LARGEST},                                                        \
    {                                                                                    \
        .name = "layers", MLD_OPT_FIELD(INT, args, field.layers), .value_name = "N",     \
        .help = "cut the model to its first N layers; the row says so", .min = 1,        \
        .max = 1000000                                                                   \
    }
struct mld_arch_shapes mld_cli_shapes(const struct mld_cli_shape *s, int64_t batch);
/* The names of enum mld_mode, NULL-terminated, for CHOICE options. */
extern const char *const mld_cli_mode_names[];

/* The table of commands, in the order of `mldyno --help`. */
extern const struct mld_command *const mld_cli_commands[];
extern const size_t mld_cli_command_count;

/* Becomes non-zero on SIGINT and SIGTERM. */
extern volatile int mld_cli_cancel;

/* The words that started this program; for the run's record. */
const char *mld_cli_command_line(void);

/* Prints a finished text or table on stdout; MLD_E_IO when stdout cannot be written. */
int mld_cli_print(const char *text, struct mld_error *err) MLD_MUST_CHECK;
int mld_cli_print_table(const struct mld_table *t, int64_t format,
                        struct mld_error *err) MLD_MUST_CHECK;
struct mld_json;
int mld_cli_print_json(const struct mld_json *v, struct mld_error *err) MLD_MUST_CHECK;

int mld_cli_main(int argc, char **argv);

#endif
