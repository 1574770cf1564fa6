/* plan.h: from a request to the list of cases, in a fair order. */
#ifndef MLD_APP_PLAN_H
#define MLD_APP_PLAN_H

#include "app/bench.h"
#include "core/registry.h"

struct mld_plan_case {
    size_t model; /* index in models */
    const char *hardware, *precision;
    const struct mld_backend_state *backend;
    const struct mld_device *device;
    enum mld_mode mode;
    int64_t batch;
};

struct mld_plan {
    struct mld_model *models;
    size_t model_count;
    struct mld_plan_case *cases;
    size_t case_count;
    struct mld_arena arena;
};

/* Resolves every name first, so that a typo stops before anything runs. */
int mld_plan_make(const struct mld_bench_request *req, struct mld_plan *out,
                  struct mld_error *err) MLD_MUST_CHECK;
/* Is key in the backend's table of options? */
bool mld_plan_option_known(const struct mld_backend_ops *ops, const char *key);
void mld_plan_release(struct mld_plan *p);

#endif
