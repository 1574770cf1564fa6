/* artifact_case.h: from a manifest to a case of the core. */
#ifndef MLD_APP_ARTIFACT_CASE_H
#define MLD_APP_ARTIFACT_CASE_H

#include "artifact/artifact.h"
#include "core/case.h"

/* Fills paths, inputs, outputs and precision of *out from an open artifact, which must
 * outlive it; arrays live in the arena. The rest is zeroed for the caller to set. */
int mld_case_from_artifact(const struct mld_artifact *a, struct mld_arena *arena,
                           struct mld_case *out, struct mld_error *err) MLD_MUST_CHECK;

#endif
