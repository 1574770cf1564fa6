/* Tests of the option tables: every row is sane, help and parser agree, every kind of
 * wrong input is told. */
#include "cli/cli.h"

#include "base/alloc.h"
#include "kit/kit.h"

#include <stdio.h>
#include <string.h>

struct args {
    struct mld_cli_common common;
    bool flag, on;
    const char *text;
    struct mld_strings list;
    int64_t number, choice;
    struct mld_integers numbers, choices;
    double share;
    uint64_t size, time;
    struct mld_pairs pairs;
};
static const char *const colors[] = {"red", "green", "blue", NULL};
static const struct mld_option options[] = {
    {.name = "flag", .letter = 'f', MLD_OPT_FIELD(FLAG, struct args, flag), .help = "x"},
    {.name = "on", MLD_OPT_FIELD(FLAG, struct args, on), .fallback = "", .help = "x"},
    {.name = "text",
     .letter = 't',
     MLD_OPT_FIELD(STRING, struct args, text),
     .value_name = "T",
     .help = "x",
     .alias = "words"},
    {.name = "list",
     MLD_OPT_FIELD(STRINGS, struct args, list),
     .value_name = "A,...",
     .help = "x",
     .fallback = "one,two"},
    {.name = "number",
     MLD_OPT_FIELD(INT, struct args, number),
     .value_name = "N",
     .help = "x",
     .fallback = "auto",
     .min = 0,
     .max = 10,
     .word = "auto"},
    {.name = "numbers",
     MLD_OPT_FIELD(INTS, struct args, numbers),
     .value_name = "N,...",
     .help = "x",
     .min = 1,
     .max = 100},
    {.name = "share",
     MLD_OPT_FIELD(FLOAT, struct args, share),
     .value_name = "X",
     .help = "x"},
    {.name = "size",
     MLD_OPT_FIELD(SIZE, struct args, size),
     .value_name = "S",
     .help = "x",
     .fallback = "2k"},
    {.name = "time",
     MLD_OPT_FIELD(DURATION, struct args, time),
     .value_name = "T",
     .help = "x",
     .fallback = "1.5s"},
    {.name = "color-name",
     MLD_OPT_FIELD(CHOICE, struct args, choice),
     .value_name = "C",
     .help = "x",
     .choices = colors},
    {.name = "colors",
     MLD_OPT_FIELD(CHOICES, struct args, choices),
     .value_name = "C,...",
     .help = "x",
     .choices = colors},
    {.name = "option",
     .letter = 'o',
     MLD_OPT_FIELD(PAIRS, struct args, pairs),
     .value_name = "K=V",
     .help = "x"},
    {.name = NULL}};
static const struct mld_command command = {.name = "try",
                                           .operands = "[FILE]",
                                           .operand_max = 1,
                                           .summary = "x",
                                           .options = options,
                                           .common = mld_cli_common_options,
                                           .args_size = sizeof(struct args)};

static struct mld_arena arena;
static struct args got;
static struct mld_strings operands;
static bool help;

/* Parses words (NULL-terminated) into the globals above. */
static int parse(const char *const *words)
{
    char *argv[32];
    int argc = 0;
    for (; words[argc]; argc++)
        memcpy(&argv[argc], &words[argc], sizeof argv[argc]);
    return mld_options_parse(&command, argc, argv, &arena, &got, &operands, &help,
                             &kit_err);
}
#define PARSE(...) parse((const char *const[]){__VA_ARGS__, NULL})

MLD_TEST(cli_options__defaults_come_from_the_table)
{
    KIT_OK(PARSE("file"));
    KIT_CHECK(!got.flag && got.on && !got.text);
    KIT_EQ_INT(got.list.count, 2);
    KIT_EQ_STR(got.list.items[1], "two");
    KIT_EQ_INT(got.number, -1);
    KIT_EQ_U64(got.size, 2048);
    KIT_EQ_U64(got.time, 1500000000);
    KIT_EQ_INT(operands.count, 1);
    mld_arena_release(&arena);
}

MLD_TEST(cli_options__reads_every_type)
{
    KIT_OK(PARSE("-f", "--no-on", "--text=a=b", "--list", "x,y", "--list=z", "--number",
                 "7", "--numbers", "1,2,3", "--share", "0.5", "--size", "3M", "--time",
                 "20ms", "--color-name", "blue", "--colors", "red,green", "-o", "a=1",
                 "-ob=2,3"));
    KIT_CHECK(got.flag && !got.on);
    KIT_EQ_STR(got.text, "a=b");
    KIT_EQ_INT(got.list.count, 3); /* a given list replaces its default, then adds up */
    KIT_EQ_STR(got.list.items[2], "z");
    KIT_EQ_INT(got.number, 7);
    KIT_EQ_INT(got.numbers.count, 3);
    KIT_EQ_INT(got.numbers.items[2], 3);
    KIT_NEAR(got.share, 0.5, 0);
    KIT_EQ_U64(got.size, 3u << 20);
    KIT_EQ_U64(got.time, 20000000);
    KIT_EQ_INT(got.choice, 2);
    KIT_EQ_INT(got.choices.items[1], 1);
    KIT_EQ_INT(got.pairs.count, 2);
    KIT_EQ_STR(got.pairs.keys[1], "b");
    KIT_EQ_STR(got.pairs.values[1], "2,3");
    mld_arena_release(&arena);
}

MLD_TEST(cli_options__alias_and_dashes)
{
    KIT_OK(PARSE("--words", "hello", "--", "--text"));
    KIT_EQ_STR(got.text, "hello");
    KIT_EQ_STR(operands.items[0], "--text");
    mld_arena_release(&arena);
}

static void refused(const char *const *words, const char *part)
{
    kit_clear();
    KIT_EQ_INT(parse(words), MLD_E_INVALID);
    KIT_CONTAINS(kit_err.message, part);
    KIT_CHECK(!strchr(kit_err.message, '\n'));
    mld_arena_release(&arena);
}
#define REFUSED(part, ...) refused((const char *const[]){__VA_ARGS__, NULL}, part)

MLD_TEST(cli_options__tells_what_is_wrong)
{
    REFUSED("did you mean '--text'?", "--txet", "x");
    REFUSED("see 'mldyno try --help'", "--zzzzzzzzz");
    REFUSED("unknown option '-x'", "-x");
    REFUSED("needs a value", "--text");
    REFUSED("needs a value", "-t");
    REFUSED("takes no value", "--flag=1");
    REFUSED("unknown option '--no-text'", "--no-text", "x");
    REFUSED("'auto' or a whole number from 0 to 10", "--number", "11");
    REFUSED("a whole number from 1 to 100", "--numbers", "1,x");
    REFUSED("without empty parts", "--numbers", "1,,2");
    REFUSED("without empty parts", "--list", "");
    REFUSED("not one of red, green, blue; did you mean 'green'?", "--color-name", "gren");
    REFUSED("a size such as", "--size", "12 parsecs");
    REFUSED("a duration such as", "--time", "-1s");
    REFUSED("a number of 0 or more", "--share", "nan?");
    REFUSED("KEY=VALUE", "-o", "novalue");
    REFUSED("unexpected 'b'", "a", "b");
}

MLD_TEST(cli_options__operands_can_be_required)
{
    struct mld_command strict = command;
    strict.operand_min = 1;
    KIT_FAILS(
        mld_options_parse(&strict, 0, NULL, &arena, &got, &operands, &help, &kit_err),
        MLD_E_INVALID);
    KIT_CONTAINS(kit_err.message, "needs [FILE]");
    mld_arena_release(&arena);
}

MLD_TEST(cli_options__running_out_of_memory_is_told)
{
    mld_alloc_fail_at(1);
    KIT_EQ_INT(PARSE("--list", "a,b"), MLD_E_NO_MEMORY);
    mld_alloc_fail_at(0);
    mld_arena_release(&arena);
}

/* --- the real tables -------------------------------------------------------------------
 */

MLD_TEST(cli_commands__tables_fit_their_structs)
{
    for (size_t i = 0; i < mld_cli_command_count; i++) {
        const struct mld_command *c = mld_cli_commands[i];
        if (!mld_options_sane(c->options, c->args_size) ||
            !mld_options_sane(c->common, c->args_size) || !c->run || !c->summary)
            KIT_FAIL("the option table of '%s' is wrong", c->name);
        for (size_t k = 0; k < i; k++)
            KIT_CHECK(strcmp(mld_cli_commands[k]->name, c->name) != 0);
    }
}

/* A value that the option takes. */
static const char *sample(const struct mld_option *o, char *buf, size_t n)
{
    switch (o->type) {
    case MLD_OPTION_STRING:
    case MLD_OPTION_STRINGS:
        return "word";
    case MLD_OPTION_INT:
    case MLD_OPTION_INTS:
        snprintf(buf, n, "%lld", (long long)o->min);
        return buf;
    case MLD_OPTION_FLOAT:
        return "0.25";
    case MLD_OPTION_SIZE:
        return "1M";
    case MLD_OPTION_DURATION:
        return "1s";
    case MLD_OPTION_CHOICE:
    case MLD_OPTION_CHOICES:
        return o->choices[0];
    case MLD_OPTION_PAIRS:
        return "key=value";
    case MLD_OPTION_FLAG:
    case MLD_OPTION_TYPE_COUNT:
        break;
    }
    return NULL;
}

static void parse_one(const struct mld_command *c, const char *name, const char *value)
{
    char word[128], *argv[2] = {word, NULL}, second[64];
    struct mld_strings rest;
    bool ask;
    struct mld_command any = *c;
    any.operand_min = 0;
    void *args = mld_arena_alloc(&arena, c->args_size);
    snprintf(word, sizeof word, "--%s", name);
    if (value) {
        snprintf(second, sizeof second, "%s", value);
        argv[1] = second;
    }
    KIT_OK(mld_options_parse(&any, value ? 2 : 1, argv, &arena, args, &rest, &ask,
                             &kit_err));
    mld_arena_release(&arena);
}

/* Every option of the help is taken by the parser, and every one of the table is in it.
 */
MLD_TEST(cli_commands__help_and_parser_agree)
{
    for (size_t i = 0; i < mld_cli_command_count; i++) {
        const struct mld_command *c = mld_cli_commands[i];
        struct mld_str text = {0};
        size_t in_table = 0, in_help = 0;
        mld_options_help(c, &text);
        KIT_CONTAINS(mld_str_c(&text), c->summary);
        const struct mld_option *tables[] = {c->options, c->common};
        for (size_t t = 0; t < 2; t++) {
            for (const struct mld_option *o = tables[t]; o->name; o++) {
                char shown[128], buf[32];
                snprintf(shown, sizeof shown, "--%s%s%s", o->name,
                         o->value_name ? " " : "", o->value_name ? o->value_name : "");
                KIT_CONTAINS(mld_str_c(&text), shown);
                parse_one(c, o->name, sample(o, buf, sizeof buf));
                if (o->alias)
                    parse_one(c, o->alias, sample(o, buf, sizeof buf));
                in_table++;
            }
        }
        for (const char *at = mld_str_c(&text); (at = strstr(at, "\n  ")); at++) {
            bool option =
                strncmp(at, "\n      --", 9) == 0 || (at[3] == '-' && at[5] == ',');
            in_help += option;
        }
        KIT_EQ_INT(in_help, in_table + 1); /* and --help itself */
        for (const char *at = mld_str_c(&text); *at;) {
            size_t n = strcspn(at, "\n");
            KIT_CHECK(n <= 90);
            at += n + (at[n] == '\n');
        }
        mld_str_release(&text);
    }
}

MLD_TEST(cli_commands__longest_name_wins)
{
    const struct mld_command *c = NULL;
    char a[] = "models", b[] = "show", d[] = "bert";
    char *argv[] = {a, b, d};
    KIT_EQ_INT(mld_command_find(mld_cli_commands, mld_cli_command_count, 3, argv, &c), 2);
    KIT_EQ_STR(c->name, "models show");
    argv[1] = d;
    KIT_EQ_INT(mld_command_find(mld_cli_commands, mld_cli_command_count, 2, argv, &c), 1);
    KIT_EQ_STR(c->name, "models");
    argv[0] = d;
    KIT_EQ_INT(mld_command_find(mld_cli_commands, mld_cli_command_count, 1, argv, &c), 0);
}
