/* weights_int.h: an open source of weights, as the files of this folder see it. */
#ifndef MLD_ARTIFACT_WEIGHTS_INT_H
#define MLD_ARTIFACT_WEIGHTS_INT_H

#include "artifact/weights.h"

#include "base/map.h"

struct mld_weights {
    struct mld_safetensors *file; /* NULL: from names */
    struct mld_map bound;         /* parameter -> struct mld_safetensor of the file */
    size_t unused;                /* tensors of the file that no parameter is bound to */
};

#endif
