/* bench_ingest.c: how many samples per second the store takes in, all told.
 *
 * Cases of 100,000 samples, each one transaction as `mldyno bench` makes it, for a second
 * or more; the time runs until the file is closed and its log written back. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/fs.h"
#include "store/store.h"

enum { CASE_SAMPLES = 100000, CASES_MIN = 10 };

static int measure(const char *path, double *per_s, struct mld_error *err)
{
    uint64_t *samples = mld_alloc(CASE_SAMPLES * sizeof *samples), x = 1;
    struct mld_store *s = NULL;
    struct mld_store_run run = {.hostname = "bench"};
    char run_id[37];
    if (samples == NULL)
        return mld_error_set(err, MLD_E_NO_MEMORY, "out of memory");
    for (size_t i = 0; i < CASE_SAMPLES; i++) {
        x = x * 6364136223846793005u + 1442695040888963407u; /* Knuth's MMIX generator */
        samples[i] = 1000000 + (x >> 44); /* 1 ms and up to 1 ms more */
    }
    int rc = mld_store_open(path, MLD_STORE_WRITE, &s, err);
    if (rc == 0)
        rc = mld_store_begin_run(s, &run, run_id, err);
    const struct mld_clock *clock = mld_clock_real();
    uint64_t begin = mld_now_ns(clock);
    size_t cases = 0;
    while (rc == 0 && (cases < CASES_MIN || mld_now_ns(clock) - begin < 1000000000u)) {
        struct mld_store_result r;
        mld_store_result_init(&r);
        r.run_id = run_id;
        r.model = "bench";
        r.platform = "null";
        r.status = "ok";
        r.origin = "measured";
        r.samples_ns = samples;
        r.samples_total = CASE_SAMPLES;
        rc = mld_store_add_result(s, &r, NULL, err);
        cases++;
    }
    mld_store_close(s);
    double seconds = (double)(mld_now_ns(clock) - begin) / 1e9;
    *per_s = (double)cases * CASE_SAMPLES / seconds;
    mld_free(samples);
    return rc;
}

int main(void)
{
    char folder[] = "bench_ingest_XXXXXX";
    struct mld_error err = {0};
    double per_s = 0;
    if (mkdtemp(folder) == NULL) {
        perror("bench_ingest: cannot make a folder here");
        return 3;
    }
    char *path = mld_path_join(folder, "bench.duckdb");
    int rc = path != NULL ? measure(path, &per_s, &err) : MLD_E_NO_MEMORY;
    mld_free(path);
    mld_remove_tree(folder, NULL);
    if (rc != 0) {
        fprintf(stderr, "bench_ingest: %s\n", err.message);
        return mld_error_exit(rc);
    }
    printf("ingest_samples_per_s %.0f\n", per_s);
    return 0;
}
