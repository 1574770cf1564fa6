/* proc_status.h: what the kernel tells of a process's memory and of killed processes. */
#ifndef MLD_CORE_PROC_STATUS_H
#define MLD_CORE_PROC_STATUS_H

#include <stdbool.h>
#include <stdint.h>

/* Of this process, from /proc/self/status; -1 where the kernel does not tell. */
struct mld_proc_memory {
    int64_t peak_bytes;     /* VmHWM: the most that was resident since the last reset */
    int64_t resident_bytes; /* VmRSS */
};
void mld_proc_memory(struct mld_proc_memory *out);

/* Sets VmHWM back to what is resident now (/proc/self/clear_refs); false: not allowed. */
bool mld_proc_reset_peak(void);

/* How many processes the kernel has killed for memory: in this control group
 * (memory.events) and on the whole machine (/proc/vmstat), whichever tells; -1
 * unknown. */
int64_t mld_proc_oom_kills(void);

#endif
