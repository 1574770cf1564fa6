/* proc_status.c: small readers of /proc and of the control group. Nothing is allocated, so
 * that reading the memory does not change it. */
#include "core/proc_status.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Whole small file as text; false when it cannot be read. */
static bool proc_read(const char *path, char *buf, size_t cap)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    size_t n = 0;
    ssize_t got;
    while (n + 1 < cap && (got = read(fd, buf + n, cap - 1 - n)) > 0)
        n += (size_t)got;
    buf[n] = '\0';
    (void)close(fd);
    return n > 0;
}

/* Number after "KEY" at the start of a line; -1 absent. */
static int64_t proc_number(const char *text, const char *key)
{
    size_t n = strlen(key);
    for (const char *line = text; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, key, n) == 0)
            return strtoll(line + n, NULL, 10);
    }
    return -1;
}

void mld_proc_memory(struct mld_proc_memory *out)
{
    char text[8192];
    out->peak_bytes = out->resident_bytes = -1;
    if (!proc_read("/proc/self/status", text, sizeof(text)))
        return;
    int64_t peak = proc_number(text, "VmHWM:"), resident = proc_number(text, "VmRSS:");
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
    char text[8192], path[8192 + 64];
    if (!proc_read("/proc/self/cgroup", text, sizeof(text)))
        return -1;
    const char *group = strstr(text, "0::/");
    if (!group || (group > text && group[-1] != '\n'))
        return -1;
    group += strlen("0::");
    snprintf(path, sizeof(path), "/sys/fs/cgroup%.*s/memory.events",
             (int)strcspn(group, "\n"), group);
    if (!proc_read(path, text, sizeof(text)))
        return -1;
    return proc_number(text, "oom_kill ");
}

int64_t mld_proc_oom_kills(void)
{
    char text[16384];
    int64_t group = proc_group_kills(), machine = -1;
    if (proc_read("/proc/vmstat", text, sizeof(text)))
        machine = proc_number(text, "oom_kill ");
    if (group < 0 && machine < 0)
        return -1;
    return (group > 0 ? group : 0) + (machine > 0 ? machine : 0);
}
