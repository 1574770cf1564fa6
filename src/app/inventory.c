/* inventory.c: lists what is known and what is here. */
#include "app/inventory.h"

#include "base/alloc.h"

int mld_inventory_hardware(const struct mld_backend_state **states, size_t *count,
                           struct mld_error *err)
{
    return mld_registry_scan(states, count, err);
}

int mld_inventory_machine(struct mld_environment *out, struct mld_error *err)
{
    return mld_environment_capture(out, err);
}

int mld_inventory_models(struct mld_inventory_model **list, size_t *count,
                         struct mld_error *err)
{
    size_t types = mld_arch_type_count(), checkpoints = mld_checkpoint_count(), n = 0;
    struct mld_inventory_model *rows = mld_calloc(types + checkpoints + 1, sizeof *rows);
    if (!rows)
        return mld_error_set(err, MLD_E_NO_MEMORY, "out of memory");
    for (size_t i = 0; i < types; i++) {
        const struct mld_arch_type *t = mld_arch_type_at(i);
        const struct mld_checkpoint *ck = mld_checkpoint_default(t->model_type);
        rows[n++] = (struct mld_inventory_model){.name = t->model_type,
                                                 .model_type = t->model_type,
                                                 .class_name = ck ? ck->class_name
                                                                  : t->default_class,
                                                 .family = t->family,
                                                 .categories = t->categories,
                                                 .modes = t->modes,
                                                 .parameters = ck ? ck->parameters : -1,
                                                 .is_type = true};
    }
    for (size_t i = 0; i < checkpoints; i++) {
        const struct mld_checkpoint *ck = mld_checkpoint_at(i);
        const struct mld_arch_type *t = mld_arch_type_find(ck->model_type);
        if (!t)
            continue;
        rows[n++] = (struct mld_inventory_model){.name = ck->name,
                                                 .model_type = ck->model_type,
                                                 .class_name = ck->class_name,
                                                 .family = t->family,
                                                 .categories = t->categories,
                                                 .modes = t->modes,
                                                 .parameters = ck->parameters};
    }
    *list = rows;
    *count = n;
    return 0;
}
