/* verify.h: a golden file against what is built here and run on a real engine. */
#ifndef MLD_APP_VERIFY_H
#define MLD_APP_VERIFY_H

#include "mldyno/error.h"

#include <stdbool.h>
#include <stddef.h>

enum mld_verdict { MLD_VERDICT_OK, MLD_VERDICT_FAIL, MLD_VERDICT_SKIP };

struct mld_verify_request {
    const char *const *paths; /* golden files, or folders of them */
    size_t path_count;
    const char *engine;     /* backend's name or a --hardware word; NULL: cpu */
    const char *checkpoint; /* folder with config.json and weights, for goldens that have
                               no config of their own; NULL: computed weights */
    bool gradients;
    volatile int *cancel;
};

struct mld_verify_outcome {
    size_t passed, failed, skipped;
};

/* Told once per golden, in sorted order. detail: the reason; for "ok" what was left out,
 * or "". */
typedef void (*mld_verify_fn)(void *ctx, enum mld_verdict verdict, const char *name,
                              const char *detail);

/* Fails as a function only on what stops all of it: no such path, no engine. */
int mld_verify(const struct mld_verify_request *req, mld_verify_fn tell, void *ctx,
               struct mld_verify_outcome *out, struct mld_error *err) MLD_MUST_CHECK;

#endif
