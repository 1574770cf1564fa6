/* registry.h: the backends of this build, their probes and devices. */
#ifndef MLD_CORE_REGISTRY_H
#define MLD_CORE_REGISTRY_H

#include "mldyno/backend.h"

/* The table that the build generates (backend_table.c). */
extern const mld_backend_entry_fn mld_backend_entries[];
extern const size_t mld_backend_entry_count;

/* Checks a backend's table and copies it to out, absent optional slots filled with their
 * defaults. MLD_E_VERSION: made for another interface; MLD_E_INVALID: a required slot or
 * name is missing. out points to strings of raw. */
int mld_backend_check(const struct mld_backend_ops *raw, struct mld_backend_ops *out,
                      struct mld_error *err) MLD_MUST_CHECK;

/* Checked once (abi, size, required slots; absent optional slots get defaults). The first
 * call builds the list; NULL past the end. */
const struct mld_backend_ops *mld_backend_at(size_t i);
const struct mld_backend_ops *mld_backend_find(const char *name);

/* Loads the engine and finds one device, without the scan's memory: what a worker does.
 * MLD_E_NO_ENGINE with the probe's reason; MLD_E_NOT_FOUND for an unknown device. */
int mld_backend_probe(const struct mld_backend_ops *ops, struct mld_probe *out,
                      struct mld_error *err) MLD_MUST_CHECK;
int mld_backend_device(const struct mld_backend_ops *ops, const char *id,
                       struct mld_device *out, struct mld_error *err) MLD_MUST_CHECK;

/* A usable or unusable backend with what its probe told and its devices. */
struct mld_backend_state {
    const struct mld_backend_ops *ops;
    struct mld_probe probe;
    struct mld_device *devices; /* owned by the registry */
    size_t device_count;
    struct mld_error error; /* when probe or devices failed */
};
/* Looks once per process; later calls answer from memory. */
int mld_registry_scan(const struct mld_backend_state **out, size_t *count,
                      struct mld_error *err) MLD_MUST_CHECK;

/* The backend and device that a --hardware word means: a platform ("cpu"), one device
 * ("cuda:1"). Unknown: nearest offered; known but unusable: the probe's reason. */
int mld_registry_resolve(const char *hardware, const struct mld_backend_state **backend,
                         const struct mld_device **device,
                         struct mld_error *err) MLD_MUST_CHECK;

#endif
