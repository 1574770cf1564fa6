/* family_vision.h: the traits of plain vision transformers. */
#ifndef MLD_ARCH_FAMILY_VISION_H
#define MLD_ARCH_FAMILY_VISION_H

#include "arch/layer.h"

/* Names are relative to the base model; the tokens and the position table are parameters
 * of their own, without ".weight". */
struct mld_vision_traits {
    const char *patches;     /* convolution */
    const char *cls_token;   /* put first */
    const char *extra_token; /* put second (DeiT's distillation token); NULL: none */
    const char *mask_token;  /* masked image modelling */
    const char *position;
    const char *layer;
    struct mld_layer_traits block;
    const char *final_norm, *pooler;
};

#endif
