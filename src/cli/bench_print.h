/* bench_print.h: the rows of a bench on stdout. */
#ifndef MLD_CLI_BENCH_PRINT_H
#define MLD_CLI_BENCH_PRINT_H

#include "app/bench.h"

/* JSON: the contract of docs/output.md. CSV: the same, flattened (latency_ms_p50). Table
 * and Markdown: what a person reads, without the columns that tell nothing in these rows.
 * format is an enum mld_format. */
int mld_bench_print(const struct mld_bench_outcome *o, int64_t format,
                    struct mld_error *err) MLD_MUST_CHECK;

#endif
