/* options.h: one table per command gives the parser, the help text and the checks.
 *
 * An option writes into a field of the command's argument struct (offsetof). Defaults are
 * text in the table, parsed like what a user writes, so that --help cannot drift. */
#ifndef MLD_CLI_OPTIONS_H
#define MLD_CLI_OPTIONS_H

#include "base/arena.h"
#include "base/str.h"
#include "mldyno/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mld_strings { /* a comma list, or a repeated option: both add up */
    const char **items;
    size_t count;
};
struct mld_integers {
    int64_t *items;
    size_t count;
};
struct mld_pairs { /* KEY=VALUE, repeated */
    const char **keys, **values;
    size_t count;
};

/* X(NAME, C type of the field) */
#define MLD_OPTION_TYPES(X)                                                              \
    X(FLAG, bool) /* --x, --no-x */                                                      \
    X(STRING, const char *)                                                              \
    X(STRINGS, struct mld_strings)                                                       \
    X(INT, int64_t)                                                                      \
    X(INTS, struct mld_integers)                                                         \
    X(FLOAT, double)                                                                     \
    X(SIZE, uint64_t)               /* bytes: 512M, 2G */                                \
    X(DURATION, uint64_t)           /* nanoseconds: 500ms, 10s, 2m */                    \
    X(CHOICE, int64_t)              /* index in choices */                               \
    X(CHOICES, struct mld_integers) /* comma list of such */                             \
    X(PAIRS, struct mld_pairs)

enum mld_option_type {
#define X(name, type) MLD_OPTION_##name,
    MLD_OPTION_TYPES(X)
#undef X
        MLD_OPTION_TYPE_COUNT
};

struct mld_option {
    const char *name; /* without dashes; NULL ends the table */
    char letter;      /* short form, 0: none */
    enum mld_option_type type;
    size_t offset, size;        /* field in the argument struct */
    const char *value_name;     /* "N", "NAME,..."; NULL for flags */
    const char *help;           /* one sentence, no full stop */
    const char *fallback;       /* default as text, NULL: zero-filled */
    const char *const *choices; /* NULL-terminated; CHOICE and CHOICES */
    int64_t min, max;           /* INT, INTS, when not both 0; FLOAT: min only */
    const char *word;           /* INT: a word that stands for -1 ("auto"), NULL: none */
    const char *alias;          /* another name for the same option, shown with it */
};

/* The part of a row that ties it to its field; the size is checked by the tests. */
#define MLD_OPT_FIELD(T, args, field)                                                    \
    .type = MLD_OPTION_##T, .offset = offsetof(args, field),                             \
    .size = sizeof(((args *)0)->field)

struct mld_command {
    const char *name;     /* "bench", "db init" */
    const char *operands; /* "[NAME-OR-FILE]"; NULL: none taken */
    size_t operand_min, operand_max;
    const char *summary;              /* one line, no full stop */
    const char *details;              /* paragraphs under the usage; NULL: none */
    const char *examples;             /* lines, each a command; NULL: none */
    const struct mld_option *options; /* ends with name NULL */
    const struct mld_option *common;  /* likewise, shared by all commands */
    size_t args_size;
    /* Runs with the parsed struct; returns the exit code. */
    int (*run)(const struct mld_command *cmd, void *args,
               const struct mld_strings *operands, struct mld_error *err);
    bool hidden;
    bool cancels; /* looks at mld_cli_cancel; a signal ends any other at once */
};

/* Checks one table against the type sizes: a wrong row is a bug, found by the tests. */
bool mld_options_sane(const struct mld_option *table, size_t args_size);

/* Fills args (args_size bytes, zeroed here) from defaults and argv[0 .. argc). *help is
 * set when -h or --help was met (the rest is then not checked). Lists and strings live in
 * the arena or point into argv. Faults name the option, what was given and what is
 * allowed, and offer the nearest name. */
int mld_options_parse(const struct mld_command *cmd, int argc, char *const *argv,
                      struct mld_arena *arena, void *args, struct mld_strings *operands,
                      bool *help, struct mld_error *err) MLD_MUST_CHECK;

void mld_options_help(const struct mld_command *cmd, struct mld_str *out);

/* Finds the command that argv begins with (longest name wins): its length in words, or 0.
 */
int mld_command_find(const struct mld_command *const *table, size_t n, int argc,
                     char *const *argv, const struct mld_command **out);

#endif
