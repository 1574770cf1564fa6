/* samples_sort.h: sorting nanosecond samples, for the stats folder itself. */
#ifndef MLD_STATS_SAMPLES_SORT_H
#define MLD_STATS_SAMPLES_SORT_H

#include <stddef.h>
#include <stdint.h>

/* Sorts x ascending in O(n); scratch holds n values more. */
void mld_samples_sort(uint64_t *x, size_t n, uint64_t *scratch);

/* Median of n values, which it reorders: the mean of the two middle ones for even n. */
double mld_samples_median(uint64_t *x, size_t n, uint64_t *scratch);

#endif
