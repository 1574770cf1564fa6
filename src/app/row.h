/* row.h: one case's row: what was asked, what was measured, and its two written forms
 * (the JSON object that is a contract, the row of the store). */
#ifndef MLD_APP_ROW_H
#define MLD_APP_ROW_H

#include "app/model.h"
#include "core/environment.h"
#include "core/runner.h"
#include "store/store.h"

struct mld_row {
    const char *model, *model_type, *class_name, *checkpoint;
    uint32_t categories;
    const char *hardware;  /* as asked: "cpu", "cuda:1" */
    const char *precision; /* as asked */
    enum mld_mode mode;
    int64_t batch_size;
    struct mld_arch_shapes shapes; /* as built; <= 0: not a dimension of this model */
    int64_t layers, layers_full;
    int threads;
    const char *throughput_unit;
    int64_t parameters, weights_bytes;                   /* -1 unknown */
    double flops, matmul_flops, read_bytes, write_bytes; /* of one run; NAN unknown */
    const char *artifact_key;
    const char *run_id, *reproduce, *origin;
    struct mld_result result;
    struct mld_machine_state before, after;
};

void mld_row_init(struct mld_row *r);
void mld_row_release(struct mld_row *r);

/* Values that follow from the measured ones; NAN where they do not exist. */
double mld_row_throughput(const struct mld_row *r); /* samples per second: batch / mean */
double mld_row_tokens_per_s(const struct mld_row *r); /* prefill and decode */
double mld_row_ttft_ms(const struct mld_row *r);      /* prefill: median run */
double mld_row_tpot_ms(const struct mld_row *r);      /* decode: median run */
double mld_row_flop_per_s(const struct mld_row *r);   /* flops / median run */

/* The contract of docs/output.md; NULL: no memory. */
struct mld_json *mld_row_json(const struct mld_row *r);
/* Comma list of category names, in buf. */
const char *mld_row_categories(uint32_t categories, char *buf, size_t n);

int mld_row_store(const struct mld_row *r, const char *config_json,
                  struct mld_store *store, struct mld_error *err) MLD_MUST_CHECK;

#endif
