/* topology.c: the machine's processors through hwloc, with those that this process may
 * not use counted too: the affinity is told apart from the hardware. */
#include "core/topology.h"

#include <hwloc.h>

static int64_t topology_cache(hwloc_topology_t t, hwloc_obj_type_t type)
{
    hwloc_obj_t o = hwloc_get_obj_by_type(t, type, 0);
    return o && o->attr && o->attr->cache.size > 0 ? (int64_t)o->attr->cache.size : -1;
}

static int topology_count(hwloc_topology_t t, hwloc_obj_type_t type)
{
    int n = hwloc_get_nbobjs_by_type(t, type);
    return n > 0 ? n : -1;
}

void mld_topology_read(struct mld_topology *out)
{
    hwloc_topology_t t;
    *out = (struct mld_topology){-1, -1, -1, -1, -1, -1, -1};
    if (hwloc_topology_init(&t) != 0)
        return;
    if (hwloc_topology_set_flags(t, HWLOC_TOPOLOGY_FLAG_INCLUDE_DISALLOWED) == 0 &&
        hwloc_topology_load(t) == 0) {
        out->packages = topology_count(t, HWLOC_OBJ_PACKAGE);
        out->numa_nodes = topology_count(t, HWLOC_OBJ_NUMANODE);
        out->cores = topology_count(t, HWLOC_OBJ_CORE);
        out->threads = topology_count(t, HWLOC_OBJ_PU);
        out->l1d_bytes = topology_cache(t, HWLOC_OBJ_L1CACHE);
        out->l2_bytes = topology_cache(t, HWLOC_OBJ_L2CACHE);
        out->l3_bytes = topology_cache(t, HWLOC_OBJ_L3CACHE);
    }
    hwloc_topology_destroy(t);
}
