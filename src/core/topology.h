/* topology.h: cores, packages and caches, from hwloc, which no other file includes. */
#ifndef MLD_CORE_TOPOLOGY_H
#define MLD_CORE_TOPOLOGY_H

#include <stdint.h>

/* Of the whole machine; -1 unknown. Caches are those of the first core. */
struct mld_topology {
    int packages, numa_nodes, cores, threads;
    int64_t l1d_bytes, l2_bytes, l3_bytes;
};
void mld_topology_read(struct mld_topology *out);

#endif
