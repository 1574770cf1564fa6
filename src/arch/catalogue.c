/* catalogue.c: known checkpoints: name -> type, class, config, parameter count.
 *
 * The data is checkpoints.def; the first checkpoint of a type is what the type's name
 * alone means. */
#include <string.h>
#include <strings.h>

#include "arch/arch_int.h"

static const struct mld_checkpoint checkpoints[] = {
#define MLD_CHECKPOINT(name, type, class_name, parameters, ...)                          \
    {name, type, class_name, parameters, #__VA_ARGS__},
#include "arch/checkpoints.def"
#undef MLD_CHECKPOINT
};
#define COUNT (sizeof checkpoints / sizeof checkpoints[0])

size_t mld_checkpoint_count(void)
{
    return COUNT;
}

const struct mld_checkpoint *mld_checkpoint_at(size_t i)
{
    return i < COUNT ? &checkpoints[i] : NULL;
}

/* Early checkpoints had no owner; today these hold them. */
static const char *const first_owners[] = {
    "google-bert/", "FacebookAI/",       "distilbert/",
    "albert/",      "openai-community/", "google-t5/",
};

static const char *without_first_owner(const char *name)
{
    for (size_t i = 0; i < sizeof first_owners / sizeof first_owners[0]; i++) {
        if (strncasecmp(name, first_owners[i], strlen(first_owners[i])) == 0)
            return name + strlen(first_owners[i]);
    }
    return name;
}

/* The part behind the owner: "Qwen2-0.5B" of "Qwen/Qwen2-0.5B". */
static const char *short_name(const char *name)
{
    const char *slash = strchr(name, '/');
    return slash != NULL ? slash + 1 : name;
}

const struct mld_checkpoint *mld_checkpoint_find(const char *name)
{
    if (name == NULL)
        return NULL;
    const struct mld_checkpoint *found = NULL;
    size_t hits = 0;
    for (size_t i = 0; i < COUNT; i++) {
        if (strcasecmp(checkpoints[i].name, name) == 0 ||
            strcasecmp(checkpoints[i].name, without_first_owner(name)) == 0)
            return &checkpoints[i];
        if (strcasecmp(short_name(checkpoints[i].name), name) == 0) {
            found = &checkpoints[i];
            hits++;
        }
    }
    return hits == 1 ? found : NULL;
}

const struct mld_checkpoint *mld_checkpoint_default(const char *model_type)
{
    for (size_t i = 0; i < COUNT; i++) {
        if (mld_streq(checkpoints[i].model_type, model_type))
            return &checkpoints[i];
    }
    return NULL;
}
