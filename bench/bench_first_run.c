/* bench_first_run.c: time from the command to the first measured run of bert-base, with
 * an artifact cache that is empty each time.
 *
 *   bench_first_run [TIMES [MODEL]]        default: 10 bert
 *
 * The clock stops when the program has ended, row printed: an upper bound, for the proof
 * of placement and the worker's end come after the measured run. */
#include "base/alloc.h"
#include "base/clock.h"
#include "base/str.h"
#include "program.h"
#include "stats/summary.h"

#include <stdio.h>
#include <stdlib.h>

enum { FIRST_TIMES = 10, FIRST_TIMES_MAX = 1000 };

static const char *const first_phases[] = {"build", "startup", "load", "first_run",
                                           "steady"};
enum { FIRST_PHASES = sizeof(first_phases) / sizeof(first_phases[0]) };

/* One row of what is kept: seconds of each phase, then the whole. */
enum { FIRST_TOTAL = FIRST_PHASES, FIRST_COLUMNS };

static int first_measure(const char *model, double seconds[FIRST_COLUMNS],
                         struct mld_error *err)
{
    const char *const argv[] = {MLD_PROGRAM,     "run",  "--model",    model,
                                "--batch-size",  "1",    "--warmup",   "0",
                                "--min-samples", "1",    "--min-time", "0s",
                                "--max-time",    "1ms",  "--no-store", "-q",
                                "--format",      "json", NULL};
    const struct mld_clock *clock = mld_clock_real();
    const struct mld_json *row;
    struct mld_json *root = NULL;
    char *folder = NULL;
    int rc = mld_program_folder_make(&folder, err);
    if (rc == 0) {
        const uint64_t begin = mld_now_ns(clock);
        rc = mld_program_run(argv, folder, &root, err);
        seconds[FIRST_TOTAL] = (double)(mld_now_ns(clock) - begin) / 1e9;
    }
    if (rc == 0)
        rc = mld_program_row(root, &row, err);
    for (size_t i = 0; rc == 0 && i < FIRST_PHASES; i++)
        seconds[i] = mld_program_ms(row, "phases_ms", first_phases[i]) / 1e3;
    mld_json_free(root);
    mld_program_folder_remove(folder);
    return rc;
}

static int first_compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Sorted copy of one column into work. */
static void first_sort(const double *rows, size_t n, size_t column, double *work)
{
    for (size_t i = 0; i < n; i++)
        work[i] = rows[i * FIRST_COLUMNS + column];
    qsort(work, n, sizeof(*work), first_compare);
}

static void first_print(const double *rows, size_t n, double *work)
{
    printf("# medians:");
    for (size_t i = 0; i < FIRST_PHASES; i++) {
        first_sort(rows, n, i, work);
        printf(" %s %.0f ms,", first_phases[i], 1e3 * mld_quantile_sorted(work, n, 0.5));
    }
    first_sort(rows, n, FIRST_TOTAL, work);
    printf(" to the program's end %.0f ms (%.0f to %.0f in %zu)\n",
           1e3 * mld_quantile_sorted(work, n, 0.5), 1e3 * work[0], 1e3 * work[n - 1], n);
    printf("first_run_s %.3f\n", mld_quantile_sorted(work, n, 0.5));
}

int main(int argc, char **argv)
{
    int64_t times = FIRST_TIMES;
    const char *model = argc > 2 ? argv[2] : "bert";
    if (argc > 3 || (argc > 1 && (!mld_parse_i64(argv[1], &times) || times < 1 ||
                                  times > FIRST_TIMES_MAX))) {
        fprintf(stderr, "usage: bench_first_run [TIMES [MODEL]]\n");
        return 2;
    }
    const size_t n = (size_t)times;
    struct mld_error err = {0};
    double *rows = mld_calloc(n * FIRST_COLUMNS, sizeof(*rows)),
           *work = mld_calloc(n, sizeof(*work));
    int rc = rows && work ? 0 : mld_error_set(&err, MLD_E_NO_MEMORY, "out of memory");
    for (size_t i = 0; rc == 0 && i < n; i++)
        rc = first_measure(model, &rows[i * FIRST_COLUMNS], &err);
    if (rc == 0)
        first_print(rows, n, work);
    else
        fprintf(stderr, "bench_first_run: %s\n", err.message);
    mld_free(rows);
    mld_free(work);
    return mld_error_exit(rc);
}
