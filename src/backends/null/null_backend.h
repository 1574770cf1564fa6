/* null_backend.h: what tests need of the null backend beside its table. */
#ifndef MLD_BACKENDS_NULL_BACKEND_H
#define MLD_BACKENDS_NULL_BACKEND_H

#include "base/clock.h"
#include "mldyno/backend.h"

const struct mld_backend_ops *mld_backend_entry_null(void);

/* From now on the null backend's runs take their time from this clock (a fake one lets
 * hours pass in no time); NULL: the real one. */
void mld_null_set_clock(const struct mld_clock *clock);

#endif
