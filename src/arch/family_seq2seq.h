/* family_seq2seq.h: the traits of encoder-decoders. */
#ifndef MLD_ARCH_FAMILY_SEQ2SEQ_H
#define MLD_ARCH_FAMILY_SEQ2SEQ_H

#include "arch/layer.h"

/* One of the two stacks; names are relative to the base model. */
struct mld_stack_traits {
    const char *embed;             /* its own name of the shared word table: an alias */
    const char *layer;             /* "encoder.block" */
    struct mld_layer_traits block; /* with gate; up is the gated form's second map */
    const char *plain_up;          /* up of the form without a gate */
    const char *relative_bias;     /* table of layer 0 that serves all layers */
    const char *final_norm;
};

struct mld_seq2seq_traits {
    const char *word;
    struct mld_stack_traits encoder, decoder;
};

#endif
