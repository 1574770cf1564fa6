/* family_text.h: the traits of text encoders and decoders. */
#ifndef MLD_ARCH_FAMILY_TEXT_H
#define MLD_ARCH_FAMILY_TEXT_H

#include "arch/layer.h"

enum mld_positions {
    MLD_POSITIONS_NONE,     /* nothing is added (rotary) */
    MLD_POSITIONS_LEARNED,  /* table row = position */
    MLD_POSITIONS_AFTER_PAD /* row = pad + number of tokens so far that are not pad */
};
enum mld_windows {
    MLD_WINDOWS_NONE,
    MLD_WINDOWS_ALL,  /* every layer, when 'sliding_window' is not null */
    MLD_WINDOWS_TYPES /* 'layer_types', else from 'max_window_layers' on */
};

/* Names are relative to the base model. */
struct mld_text_traits {
    const char *word, *position, *type; /* tables; NULL: none */
    bool type_from_word; /* token_type_ids, where given, read the word table */
    enum mld_positions positions;
    bool rotary, rotary_partial;
    const char *embed_norm;
    const char *embed_proj; /* embedding_size -> hidden_size */
    bool embed_proj_always; /* else only where the two differ */
    const char *layer;      /* "encoder.layer.%lld" */
    struct mld_layer_traits block;
    const char *group; /* shared layers (ALBERT): "...%lld...%lld" */
    const char *final_norm;
    const char *pooler; /* linear, then tanh */
    bool causal;        /* else only when the config says is_decoder */
    enum mld_windows windows;
};

#endif
