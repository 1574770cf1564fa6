/* rope.h: rotary position embeddings: the frequencies of every rope type.
 *
 * Config spellings: `rope_parameters` (5.x) or `rope_scaling` + `rope_theta` (4.x), with
 * `rope_type` or `type`. Numbers follow the reference's float32 steps, so that angles
 * agree at long distances too. */
#ifndef MLD_ARCH_ROPE_H
#define MLD_ARCH_ROPE_H

#include "arch/arch_int.h"

/* X(NAME, name) */
#define MLD_ROPE_TYPES(X)                                                                \
    X(DEFAULT, "default")                                                                \
    X(LINEAR, "linear")                                                                  \
    X(DYNAMIC, "dynamic")                                                                \
    X(YARN, "yarn")                                                                      \
    X(LONGROPE, "longrope")                                                              \
    X(LLAMA3, "llama3")
enum mld_rope_type {
#define X(upper, lower) MLD_ROPE_##upper,
    MLD_ROPE_TYPES(X)
#undef X
        MLD_ROPE_TYPE_COUNT
};

struct mld_rope {
    enum mld_rope_type type;
    int64_t dim; /* rotated part of a head, even */
    double theta, factor, attention_factor;
    double low_freq, high_freq;              /* llama3 */
    double beta_fast, beta_slow;             /* yarn */
    bool truncate;                           /* yarn */
    const float *short_factor, *long_factor; /* longrope: dim / 2 each */
    int64_t max_position, original_max;
};

/* Reads the config; partial: partial_rotary_factor also holds for the default type. */
void mld_rope_read(struct mld_arch_ctx *ctx, int64_t head_dim, bool partial,
                   struct mld_rope *r);
/* dim / 2 inverse frequencies as they are when the longest position is seq - 1. */
void mld_rope_frequencies(const struct mld_rope *r, int64_t seq, float *inv_freq);
/* Constants cos, sin of positions 0 ... rows - 1: [1, rows, dim / 2], all as of length
 * `rows`; or own_length: [rows, dim / 2], each row as if it ended the sequence (decoding
 * one by one), to gather from. */
void mld_rope_table(struct mld_arch_ctx *ctx, const struct mld_rope *r, int64_t rows,
                    bool own_length, mld_v *cos, mld_v *sin);
/* cos, sin [B or 1, S, dim / 2] of position_ids given as an input. */
void mld_rope_positions(struct mld_arch_ctx *ctx, const struct mld_rope *r,
                        mld_v positions, mld_v *cos, mld_v *sin);

#endif
