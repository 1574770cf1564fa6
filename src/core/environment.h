/* environment.h: what the machine was like when a run was made. */
#ifndef MLD_CORE_ENVIRONMENT_H
#define MLD_CORE_ENVIRONMENT_H

#include "base/json.h"

#include <stdint.h>

/* Unknown whole numbers are -1, unknown shares and degrees NaN, unknown text is "". */
struct mld_environment {
    char hostname[128], os[128], kernel[128], machine[32];
    char cpu_model[128], cpu_vendor[64];
    char cpu_features[1024]; /* of those that matter for speed; space separated */
    int cores_physical, cores_logical,
        cores_allowed;             /* allowed: this process's affinity */
    int smt, numa_nodes, packages; /* smt: threads of a core */
    int64_t cache_l1d_bytes, cache_l2_bytes, cache_l3_bytes; /* of the first core */
    int64_t memory_total_bytes; /* that this process can have: the control group's limit
                                   where that is less than the machine's */
    int64_t memory_available_bytes, swap_total_bytes;
    int64_t frequency_min_khz, frequency_max_khz;
    char governor[32];
    char virtualization[64]; /* "kvm", "vmware" ...; "vm": unknown which; "none" */
    char container[64];      /* "docker", "podman", "kubernetes" ...; "none" */
    char git_commit[64], mldyno_version[32];
    char fingerprint[17]; /* hex digest of what makes two machines comparable: CPU, cores,
                             memory size class, OS, virtualisation */
};
int mld_environment_capture(struct mld_environment *out,
                            struct mld_error *err) MLD_MUST_CHECK;
struct mld_json *mld_environment_json(const struct mld_environment *e);

/* The same from files under a folder (root + "/proc/cpuinfo" ...): what does not come
 * from files is as on this machine. For tests with recorded machines. */
void mld_environment_read(const char *root, struct mld_environment *out);

/* What changes from one moment to the next; taken before and after each case. */
struct mld_machine_state {
    double load_1m;        /* loadavg */
    int64_t frequency_khz; /* mean of the cores */
    double temperature_c;  /* hottest CPU sensor */
    int64_t memory_available_bytes;
    double steal_share; /* share of CPU time stolen since the last look */
};
void mld_machine_state_capture(struct mld_machine_state *out);

/* The same from files under a folder; total and stolen are the clock ticks of the last
 * look, 0 before the first. */
struct mld_steal_memory {
    int64_t total, stolen;
};
void mld_machine_state_read(const char *root, struct mld_steal_memory *last,
                            struct mld_machine_state *out);

#endif
