/* options.c: parses a command line by its table and prints the help from the same table.
 *
 * Defaults go through the same conversion as what a user writes. */
#include "cli/options.h"

#include <stdio.h>
#include <string.h>

static const size_t option_sizes[] = {
#define X(name, type) sizeof(type),
    MLD_OPTION_TYPES(X)
#undef X
};
_Static_assert(sizeof option_sizes / sizeof option_sizes[0] == MLD_OPTION_TYPE_COUNT,
               "one size per option type");

static bool option_is_list(enum mld_option_type t)
{
    return t == MLD_OPTION_STRINGS || t == MLD_OPTION_INTS || t == MLD_OPTION_CHOICES ||
           t == MLD_OPTION_PAIRS;
}

bool mld_options_sane(const struct mld_option *table, size_t args_size)
{
    for (const struct mld_option *o = table; o && o->name; o++) {
        if (o->size != option_sizes[o->type] || o->offset + o->size > args_size)
            return false;
        if (!o->help || (o->type != MLD_OPTION_FLAG && !o->value_name))
            return false;
        bool choice = o->type == MLD_OPTION_CHOICE || o->type == MLD_OPTION_CHOICES;
        if (choice != (o->choices != NULL))
            return false;
    }
    return true;
}

/* --- converting one value ------------------------------------------------------------
 */

static int option_bad(const struct mld_option *o, const char *text, const char *allowed,
                      struct mld_error *err)
{
    return mld_error_set(err, MLD_E_INVALID, "--%s: '%s' is not %s", o->name, text,
                         allowed);
}

static int option_integer(const struct mld_option *o, const char *text, int64_t *out,
                          struct mld_error *err)
{
    if (o->word && strcmp(text, o->word) == 0) {
        *out = -1;
        return 0;
    }
    char allowed[128];
    bool ranged = o->min != 0 || o->max != 0;
    if (ranged)
        snprintf(allowed, sizeof allowed, "%s%s%sa whole number from %lld to %lld",
                 o->word ? "'" : "", o->word ? o->word : "", o->word ? "' or " : "",
                 (long long)o->min, (long long)o->max);
    else
        snprintf(allowed, sizeof allowed, "a whole number");
    if (!mld_parse_i64(text, out) || (ranged && (*out < o->min || *out > o->max)))
        return option_bad(o, text, allowed, err);
    return 0;
}

static int option_choice(const struct mld_option *o, const char *text, int64_t *out,
                         struct mld_error *err)
{
    size_t n = 0;
    for (; o->choices[n]; n++) {
        if (strcmp(o->choices[n], text) == 0) {
            *out = (int64_t)n;
            return 0;
        }
    }
    struct mld_str all = {0};
    for (size_t i = 0; i < n; i++)
        mld_str_addf(&all, "%s%s", i ? ", " : "", o->choices[i]);
    const char *near = mld_str_nearest(text, o->choices, n);
    mld_error_set(err, MLD_E_INVALID, "--%s: '%s' is not one of %s%s%s%s", o->name, text,
                  mld_str_c(&all), near ? "; did you mean '" : "", near ? near : "",
                  near ? "'?" : "");
    mld_str_release(&all);
    return MLD_E_INVALID;
}

static bool option_grow(struct mld_arena *arena, void **items, size_t count, size_t size)
{
    if (count & (count - 1)) /* room is left until count reaches the next power of two */
        return true;
    void *grown = mld_arena_array(arena, count ? count * 2 : 1, size);
    if (grown && count)
        memcpy(grown, *items, count * size);
    if (grown)
        *items = grown;
    return grown != NULL;
}

static int option_add_string(struct mld_arena *arena, struct mld_strings *list,
                             const char *text, struct mld_error *err)
{
    void *items = (void *)list->items;
    if (!option_grow(arena, &items, list->count, sizeof *list->items))
        return mld_error_set(err, MLD_E_NO_MEMORY, "out of memory");
    list->items = items;
    list->items[list->count++] = text;
    return 0;
}

static int option_add_integer(struct mld_arena *arena, struct mld_integers *list,
                              int64_t x, struct mld_error *err)
{
    void *items = list->items;
    if (!option_grow(arena, &items, list->count, sizeof *list->items))
        return mld_error_set(err, MLD_E_NO_MEMORY, "out of memory");
    list->items = items;
    list->items[list->count++] = x;
    return 0;
}

static int option_add_pair(const struct mld_option *o, struct mld_arena *arena,
                           struct mld_pairs *list, const char *text,
                           struct mld_error *err)
{
    const char *eq = strchr(text, '=');
    if (!eq || eq == text)
        return option_bad(o, text, "of the form KEY=VALUE", err);
    struct mld_strings keys = {list->keys, list->count},
                       values = {list->values, list->count};
    char *key = mld_arena_strndup(arena, text, (size_t)(eq - text));
    if (!key)
        return mld_error_set(err, MLD_E_NO_MEMORY, "out of memory");
    MLD_TRY(option_add_string(arena, &keys, key, err));
    MLD_TRY(option_add_string(arena, &values, eq + 1, err));
    *list = (struct mld_pairs){keys.items, values.items, keys.count};
    return 0;
}

/* Puts one element (of a list option) or the value (of any other) into its field. */
static int option_store(const struct mld_option *o, const char *text, bool on,
                        struct mld_arena *arena, void *args, struct mld_error *err)
{
    void *field = (char *)args + o->offset;
    int64_t x = 0;
    switch (o->type) {
    case MLD_OPTION_FLAG:
        *(bool *)field = on;
        return 0;
    case MLD_OPTION_STRING:
        if (!*text)
            return option_bad(o, text, "a name: it is empty", err);
        *(const char **)field = text;
        return 0;
    case MLD_OPTION_STRINGS:
        return option_add_string(arena, field, text, err);
    case MLD_OPTION_INT:
        return option_integer(o, text, field, err);
    case MLD_OPTION_INTS:
        MLD_TRY(option_integer(o, text, &x, err));
        return option_add_integer(arena, field, x, err);
    case MLD_OPTION_FLOAT:
        if (!mld_parse_f64(text, field) || *(double *)field < (double)o->min)
            return option_bad(o, text, "a number of 0 or more", err);
        return 0;
    case MLD_OPTION_SIZE:
        if (!mld_parse_size(text, field))
            return option_bad(o, text, "a size such as 512M or 2G", err);
        return 0;
    case MLD_OPTION_DURATION:
        if (!mld_parse_duration_ns(text, field))
            return option_bad(o, text, "a duration such as 500ms, 10s or 2m", err);
        return 0;
    case MLD_OPTION_CHOICE:
        return option_choice(o, text, field, err);
    case MLD_OPTION_CHOICES:
        MLD_TRY(option_choice(o, text, &x, err));
        return option_add_integer(arena, field, x, err);
    case MLD_OPTION_PAIRS:
        return option_add_pair(o, arena, field, text, err);
    case MLD_OPTION_TYPE_COUNT:
        break;
    }
    MLD_ASSERT(!"option type");
    return 0;
}

/* Cuts lists at commas (pairs are not cut: their values may hold commas). */
static int option_assign(const struct mld_option *o, const char *text, bool on,
                         struct mld_arena *arena, void *args, struct mld_error *err)
{
    if (!option_is_list(o->type) || o->type == MLD_OPTION_PAIRS)
        return option_store(o, text, on, arena, args, err);
    for (const char *at = text;;) {
        size_t n = strcspn(at, ",");
        if (n == 0)
            return option_bad(o, text, "a comma-separated list without empty parts", err);
        char *part = mld_arena_strndup(arena, at, n);
        if (!part)
            return mld_error_set(err, MLD_E_NO_MEMORY, "out of memory");
        MLD_TRY(option_store(o, part, on, arena, args, err));
        if (!at[n])
            return 0;
        at += n + 1;
    }
}

/* --- finding options ------------------------------------------------------------------
 */

static const struct mld_option *option_in(const struct mld_option *table,
                                          const char *name, size_t n, char letter)
{
    for (const struct mld_option *o = table; o && o->name; o++) {
        if (letter ? o->letter == letter
                   : (strlen(o->name) == n && strncmp(o->name, name, n) == 0) ||
                         (o->alias && strlen(o->alias) == n &&
                          strncmp(o->alias, name, n) == 0))
            return o;
    }
    return NULL;
}

static const struct mld_option *option_find(const struct mld_command *cmd,
                                            const char *name, size_t n, char letter)
{
    const struct mld_option *o = option_in(cmd->options, name, n, letter);
    return o ? o : option_in(cmd->common, name, n, letter);
}

static int option_unknown(const struct mld_command *cmd, const char *text, size_t n,
                          struct mld_error *err)
{
    const char *names[128];
    size_t count = 0;
    const struct mld_option *tables[] = {cmd->options, cmd->common};
    for (size_t t = 0; t < 2; t++)
        for (const struct mld_option *o = tables[t]; o && o->name && count < 128; o++)
            names[count++] = o->name;
    char word[64];
    snprintf(word, sizeof word, "%.*s", (int)(n < 63 ? n : 63), text);
    const char *near = mld_str_nearest(word, names, count);
    if (near)
        return mld_error_set(err, MLD_E_INVALID,
                             "unknown option '--%s' of 'mldyno %s': did you mean '--%s'?",
                             word, cmd->name, near);
    return mld_error_set(err, MLD_E_INVALID,
                         "unknown option '--%s' of 'mldyno %s': see 'mldyno %s --help'",
                         word, cmd->name, cmd->name);
}

/* --- parsing --------------------------------------------------------------------------
 */

static int options_defaults(const struct mld_option *table, struct mld_arena *arena,
                            void *args, struct mld_error *err)
{
    for (const struct mld_option *o = table; o && o->name; o++)
        if (o->fallback)
            MLD_TRY(option_assign(o, o->fallback, true, arena, args, err));
    return 0;
}

struct parse_state {
    const struct mld_command *cmd;
    struct mld_arena *arena;
    void *args;
    bool seen[256]; /* by position in options then common: the first use of a list drops
                       its default */
    struct mld_error *err;
};

static int parse_set(struct parse_state *ps, const struct mld_option *o, const char *text,
                     bool on)
{
    size_t at = (size_t)(o - ps->cmd->options);
    bool own = false;
    for (const struct mld_option *c = ps->cmd->options; c && c->name; c++)
        own = own || c == o;
    if (!own)
        at = 128 + (size_t)(o - ps->cmd->common);
    MLD_ASSERT(at < sizeof ps->seen);
    if (!ps->seen[at] && option_is_list(o->type))
        memset((char *)ps->args + o->offset, 0, o->size);
    ps->seen[at] = true;
    return option_assign(o, text, on, ps->arena, ps->args, ps->err);
}

static int parse_long(struct parse_state *ps, const char *text, const char *next,
                      int *used)
{
    const char *eq = strchr(text, '=');
    size_t n = eq ? (size_t)(eq - text) : strlen(text);
    bool on = true;
    const struct mld_option *o = option_find(ps->cmd, text, n, 0);
    if (!o && strncmp(text, "no-", 3) == 0) {
        o = option_find(ps->cmd, text + 3, n - 3, 0);
        on = false;
        if (o && o->type != MLD_OPTION_FLAG)
            o = NULL;
    }
    if (!o)
        return option_unknown(ps->cmd, text, n, ps->err);
    if (o->type == MLD_OPTION_FLAG) {
        if (eq)
            return mld_error_set(ps->err, MLD_E_INVALID,
                                 "option '--%s' takes no value: write --%s or --no-%s",
                                 o->name, o->name, o->name);
        return parse_set(ps, o, "", on);
    }
    if (!eq && !next)
        return mld_error_set(ps->err, MLD_E_INVALID,
                             "option '--%s' needs a value: --%s %s", o->name, o->name,
                             o->value_name);
    *used = eq ? 0 : 1;
    return parse_set(ps, o, eq ? eq + 1 : next, on);
}

static int parse_short(struct parse_state *ps, const char *text, const char *next,
                       int *used)
{
    for (; *text; text++) {
        const struct mld_option *o = option_find(ps->cmd, NULL, 0, *text);
        if (!o)
            return mld_error_set(ps->err, MLD_E_INVALID,
                                 "unknown option '-%c' of 'mldyno %s': see 'mldyno %s "
                                 "--help'",
                                 *text, ps->cmd->name, ps->cmd->name);
        if (o->type == MLD_OPTION_FLAG) {
            MLD_TRY(parse_set(ps, o, "", true));
            continue;
        }
        const char *value = text[1] ? text + 1 : next;
        if (!value)
            return mld_error_set(ps->err, MLD_E_INVALID,
                                 "option '-%c' needs a value: -%c %s", *text, *text,
                                 o->value_name);
        *used = text[1] ? 0 : 1;
        return parse_set(ps, o, value, true);
    }
    return 0;
}

int mld_options_parse(const struct mld_command *cmd, int argc, char *const *argv,
                      struct mld_arena *arena, void *args, struct mld_strings *operands,
                      bool *help, struct mld_error *err)
{
    memset(args, 0, cmd->args_size);
    *operands = (struct mld_strings){0};
    *help = false;
    for (int i = 0; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            *help = true;
    if (*help)
        return 0;
    MLD_TRY(options_defaults(cmd->options, arena, args, err));
    MLD_TRY(options_defaults(cmd->common, arena, args, err));
    struct parse_state ps = {.cmd = cmd, .arena = arena, .args = args, .err = err};
    bool only_operands = false;
    for (int i = 0; i < argc; i++) {
        const char *a = argv[i], *next = i + 1 < argc ? argv[i + 1] : NULL;
        int used = 0;
        if (only_operands || a[0] != '-' || !a[1]) {
            MLD_TRY(option_add_string(arena, operands, a, err));
        } else if (strcmp(a, "--") == 0) {
            only_operands = true;
        } else if (a[1] == '-') {
            MLD_TRY(parse_long(&ps, a + 2, next, &used));
        } else {
            MLD_TRY(parse_short(&ps, a + 1, next, &used));
        }
        i += used;
    }
    if (operands->count > cmd->operand_max)
        return mld_error_set(err, MLD_E_INVALID,
                             "unexpected '%s' after 'mldyno %s': see "
                             "'mldyno %s --help'",
                             operands->items[cmd->operand_max], cmd->name, cmd->name);
    if (operands->count < cmd->operand_min)
        return mld_error_set(err, MLD_E_INVALID, "'mldyno %s' needs %s", cmd->name,
                             cmd->operands);
    return 0;
}

/* --- help ------------------------------------------------------------------------------
 */

static void help_wrap(struct mld_str *out, const char *text, size_t indent, size_t at)
{
    const size_t width = 90;
    while (*text) {
        while (*text == ' ')
            text++;
        size_t n = strcspn(text, " ");
        if (at + n + 1 > width && at > indent) {
            mld_str_addf(out, "\n%*s", (int)indent, "");
            at = indent;
        }
        if (at > indent) {
            mld_str_addc(out, ' ');
            at++;
        }
        mld_str_append(out, text, n);
        at += n;
        text += n;
    }
    mld_str_addc(out, '\n');
}

static void help_option(const struct mld_option *o, struct mld_str *out)
{
    struct mld_str left = {0}, text = {0};
    if (o->letter)
        mld_str_addf(&left, "  -%c, ", o->letter);
    else
        mld_str_add(&left, "      ");
    bool flag = o->type == MLD_OPTION_FLAG;
    mld_str_addf(&left, "--%s%s%s", o->name, flag ? "" : " ", flag ? "" : o->value_name);
    if (o->alias)
        mld_str_addf(&left, ", --%s", o->alias);
    mld_str_add(&text, o->help);
    if (o->choices) {
        mld_str_add(&text, ":");
        for (size_t i = 0; o->choices[i]; i++)
            mld_str_addf(&text, "%s %s", i ? "," : "", o->choices[i]);
    }
    if (o->word)
        mld_str_addf(&text, "; or '%s'", o->word);
    if (o->fallback && *o->fallback)
        mld_str_addf(&text, " [%s]", o->fallback);
    const size_t column = 32;
    mld_str_add(out, mld_str_c(&left));
    if (left.len + 2 > column)
        mld_str_addf(out, "\n%*s", (int)column, "");
    else
        mld_str_addf(out, "%*s", (int)(column - left.len), "");
    help_wrap(out, mld_str_c(&text), column, column);
    mld_str_release(&left);
    mld_str_release(&text);
}

void mld_options_help(const struct mld_command *cmd, struct mld_str *out)
{
    mld_str_addf(out, "usage: mldyno %s [options]%s%s\n\n", cmd->name,
                 cmd->operands ? " " : "", cmd->operands ? cmd->operands : "");
    mld_str_addf(out, "%s\n", cmd->summary);
    if (cmd->details)
        mld_str_addf(out, "\n%s\n", cmd->details);
    if (cmd->options && cmd->options->name)
        mld_str_add(out, "\nOptions:\n");
    for (const struct mld_option *o = cmd->options; o && o->name; o++)
        help_option(o, out);
    mld_str_add(out, "\nCommon options:\n");
    for (const struct mld_option *o = cmd->common; o && o->name; o++)
        help_option(o, out);
    mld_str_add(out, "  -h, --help                    this text\n");
    if (cmd->examples)
        mld_str_addf(out, "\nExamples:\n%s\n", cmd->examples);
}

int mld_command_find(const struct mld_command *const *table, size_t n, int argc,
                     char *const *argv, const struct mld_command **out)
{
    int best = 0;
    for (size_t i = 0; i < n; i++) {
        const char *at = table[i]->name;
        int words = 0;
        while (*at && words < argc) {
            size_t len = strcspn(at, " ");
            if (strlen(argv[words]) != len || strncmp(at, argv[words], len) != 0)
                break;
            words++;
            at += len;
            while (*at == ' ')
                at++;
        }
        if (!*at && words > best) {
            best = words;
            *out = table[i];
        }
    }
    return best;
}
