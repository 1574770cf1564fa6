/* param_names.c: how checkpoint files of other ages spell a parameter's name.
 *
 * The graph uses the names of the reference today. Files on the Hub may lack or add the
 * base model's prefix, say gamma and beta, hold a tied tensor under its other name, or
 * come from before a renaming (rows' .renames). */
#include <ctype.h>
#include <string.h>

#include "arch/arch_int.h"

struct list {
    struct mld_arena *arena;
    const char **out;
    size_t count, cap;
};

static void push(struct list *l, const char *name)
{
    if (name == NULL || l->count == l->cap)
        return;
    for (size_t i = 0; i < l->count; i++) {
        if (strcmp(l->out[i], name) == 0)
            return;
    }
    l->out[l->count++] = name;
}

/* Does `pattern` match at text, '#' being a run of digits? *end: behind the match;
 * *digits: the run. */
static bool match_at(const char *text, const char *pattern, const char **end,
                     const char **digits, size_t *digit_count)
{
    for (; *pattern != '\0'; pattern++) {
        if (*pattern == '#') {
            *digits = text;
            while (isdigit((unsigned char)*text))
                text++;
            *digit_count = (size_t)(text - *digits);
            if (*digit_count == 0)
                return false;
        } else if (*text++ != *pattern) {
            return false;
        }
    }
    *end = text;
    return true;
}

/* name with the first match of `now` replaced by `old`; NULL: no match. */
static const char *renamed(struct list *l, const char *name,
                           const struct mld_arch_rename *r)
{
    for (const char *at = name; *at != '\0'; at++) {
        const char *end, *digits = "";
        size_t n = 0;
        if (!match_at(at, r->now, &end, &digits, &n))
            continue;
        const char *hash = strchr(r->old, '#');
        int head = (int)(at - name);
        if (hash == NULL)
            return mld_arena_printf(l->arena, "%.*s%s%s", head, name, r->old, end);
        return mld_arena_printf(l->arena, "%.*s%.*s%.*s%s%s", head, name,
                                (int)(hash - r->old), r->old, (int)n, digits, hash + 1,
                                end);
    }
    return NULL;
}

/* The name itself, then with every rename applied alone and all together. */
static void push_spellings(struct list *l, const struct mld_arch_row *row,
                           const char *name)
{
    push(l, name);
    const char *all = name;
    for (const struct mld_arch_rename *r = row->renames; r != NULL && r->now != NULL;
         r++) {
        push(l, renamed(l, name, r));
        const char *next = renamed(l, all, r);
        all = next != NULL ? next : all;
    }
    push(l, all);
}

/* Prefix of the base model in the type's headed classes: "bert.". */
static const char *base_prefix(const struct mld_arch_row *row)
{
    for (const struct mld_class *c = row->classes; c->name != NULL; c++) {
        if (c->prefix[0] != '\0')
            return c->prefix;
    }
    return "";
}

size_t mld_arch_param_candidates(const struct mld_arch_type *type, const char *class_name,
                                 const char *name, struct mld_arena *arena,
                                 const char **out, size_t cap)
{
    struct list l = {.arena = arena, .out = out, .cap = cap};
    const struct mld_arch_row *row =
        type != NULL ? mld_arch_row_find(type->model_type) : NULL;
    push(&l, name);
    if (row == NULL)
        return l.count;
    const struct mld_class *cls = mld_arch_class_find(row, class_name);
    const char *own = cls != NULL ? cls->prefix : "", *base = base_prefix(row);
    push_spellings(&l, row, name);
    if (own[0] != '\0' && mld_str_starts(name, own)) {
        push_spellings(&l, row, name + strlen(own)); /* a bare base model's file */
        if (strcmp(own, base) != 0)
            push_spellings(&l, row,
                           mld_arena_printf(arena, "%s%s", base, name + strlen(own)));
    } else if (own[0] == '\0' && base[0] != '\0') {
        push_spellings(&l, row, mld_arena_printf(arena, "%s%s", base, name));
    }
    /* a tied tensor may be in the file under its other name only */
    for (const struct mld_class *c = row->classes; c->name != NULL; c++) {
        const struct mld_head *h = &c->heads[0];
        if (h->output == NULL || (h->flags & MLD_HEAD_TIED) == 0)
            continue;
        if (h->bias != NULL && strcmp(h->bias, name) == 0)
            push(&l, mld_arena_printf(arena, "%s.bias", h->out));
        const char *word = row->word_table;
        size_t n = word != NULL ? strlen(name) - strlen(word) : 0;
        if (word != NULL && mld_str_ends(name, word) && (n == 0 || name[n - 1] == '.'))
            push(&l, mld_arena_printf(arena, "%s.weight", h->out));
    }
    return l.count;
}
