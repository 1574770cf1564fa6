/* inventory.h: what is known and what is here, for listing: backends with their devices,
 * the machine, model types and checkpoints. */
#ifndef MLD_APP_INVENTORY_H
#define MLD_APP_INVENTORY_H

#include "app/model.h"
#include "core/environment.h"
#include "core/registry.h"

/* Backends as found on this machine; borrowed, for the life of the process. */
int mld_inventory_hardware(const struct mld_backend_state **states, size_t *count,
                           struct mld_error *err) MLD_MUST_CHECK;
int mld_inventory_machine(struct mld_environment *out,
                          struct mld_error *err) MLD_MUST_CHECK;

/* One line of `mldyno models`: a type with its default checkpoint, or a checkpoint. */
struct mld_inventory_model {
    const char *name, *model_type, *class_name, *family;
    uint32_t categories, modes;
    int64_t parameters; /* -1: not known without building */
    bool is_type;
};
/* All types and checkpoints, types first; freed by mld_free. */
int mld_inventory_models(struct mld_inventory_model **list, size_t *count,
                         struct mld_error *err) MLD_MUST_CHECK;

#endif
