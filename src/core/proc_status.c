/* proc_status.c: a process's memory as the kernel counts it, and kills for want of it. */
#include "core/proc_status.h"

#include "core/proc_file.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

void mld_proc_memory(struct mld_proc_memory *out)
{
    char text[8192];
    (void)mld_proc_read(text, sizeof(text), "", "/proc/self/status");
    int64_t peak = mld_proc_field_int(text, "VmHWM");
    int64_t resident = mld_proc_field_int(text, "VmRSS");
    out->peak_bytes = peak < 0 ? -1 : peak * 1024;
    out->resident_bytes = resident < 0 ? -1 : resident * 1024;
}

bool mld_proc_reset_peak(void)
{
    int fd = open("/proc/self/clear_refs", O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    bool done = write(fd, "5", 1) == 1;
    (void)close(fd);
    return done;
}

/* memory.events of this process's control group, version 2; -1 unknown. */
static int64_t proc_group_kills(void)
{
    char text[4096], group[2048];
    if (!mld_proc_read(text, sizeof(text), "", "/proc/self/cgroup") ||
        !mld_proc_field(text, "0:", group, sizeof(group)))
        return -1;
    if (!mld_proc_read(text, sizeof(text), "", "/sys/fs/cgroup%s/memory.events", group))
        return -1;
    return mld_proc_field_int(text, "oom_kill");
}

int64_t mld_proc_oom_kills(void)
{
    char text[16384];
    int64_t group = proc_group_kills(), machine = -1;
    if (mld_proc_read(text, sizeof(text), "", "/proc/vmstat"))
        machine = mld_proc_field_int(text, "oom_kill");
    if (group < 0 && machine < 0)
        return -1;
    return (group > 0 ? group : 0) + (machine > 0 ? machine : 0);
}
