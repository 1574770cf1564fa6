/* machine_state.c: what changes from case to case: load, clock rate, temperature, memory
 * that is left, and time that the hypervisor gave to others. */
#include "core/environment.h"

#include "core/proc_file.h"

#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MLD_CPUS_MAX 4096

static double machine_load(const char *root)
{
    char text[128], *end;
    if (!mld_proc_read(text, sizeof(text), root, "/proc/loadavg"))
        return NAN;
    double load = strtod(text, &end);
    return end != text ? load : NAN;
}

/* Mean of what the frequency driver tells of each core, else of "cpu MHz" in cpuinfo,
 * which a virtual machine's kernel fills with the nominal rate. */
static int64_t machine_frequency(const char *root)
{
    double sum = 0.0;
    int count = 0;
    for (int cpu = 0; cpu < MLD_CPUS_MAX; cpu++) {
        int64_t khz = mld_proc_read_int(
            root, "/sys/devices/system/cpu/cpu%d/cpufreq/scaling_cur_freq", cpu);
        if (khz < 0)
            break;
        sum += (double)khz;
        count++;
    }
    if (count > 0)
        return (int64_t)(sum / count);
    char info[65536];
    (void)mld_proc_read(info, sizeof(info), root, "/proc/cpuinfo");
    for (const char *p = info; (p = strstr(p, "cpu MHz")) != NULL; p++) {
        const char *colon = strchr(p, ':');
        if (!colon)
            break;
        sum += strtod(colon + 1, NULL) * 1000.0;
        count++;
    }
    return count > 0 && sum > 0.0 ? (int64_t)(sum / count) : -1;
}

/* Whether a sensor's name is that of a CPU's sensor. */
static bool machine_is_cpu_sensor(const char *name)
{
    static const char *const names[] = {"coretemp", "k10temp", "k8temp",
                                        "zenpower", "cpu",     "x86_pkg_temp",
                                        "soc",      "acpitz",  "apm_xgene"};
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
        if (strncmp(name, names[i], strlen(names[i])) == 0)
            return true;
    return false;
}

static double machine_hotter(double a, int64_t millidegrees)
{
    double c = (double)millidegrees / 1000.0;
    return millidegrees > 0 && (isnan(a) || c > a) ? c : a;
}

/* Hottest input of /sys/class/hwmon/N. */
static double machine_hwmon(const char *root, const char *entry, double hottest)
{
    char name[64];
    if (!mld_proc_read(name, sizeof(name), root, "/sys/class/hwmon/%s/name", entry) ||
        !machine_is_cpu_sensor(name))
        return hottest;
    for (int i = 1; i <= 32; i++)
        hottest = machine_hotter(
            hottest,
            mld_proc_read_int(root, "/sys/class/hwmon/%s/temp%d_input", entry, i));
    return hottest;
}

static double machine_zone(const char *root, const char *entry, double hottest)
{
    char type[64];
    if (!mld_proc_read(type, sizeof(type), root, "/sys/class/thermal/%s/type", entry) ||
        !machine_is_cpu_sensor(type))
        return hottest;
    return machine_hotter(hottest,
                          mld_proc_read_int(root, "/sys/class/thermal/%s/temp", entry));
}

static double machine_sensors(const char *root, const char *folder,
                              double (*read)(const char *root, const char *entry,
                                             double hottest))
{
    char path[1024];
    double hottest = NAN;
    int n = snprintf(path, sizeof(path), "%s%s", root, folder);
    DIR *dir = n > 0 && (size_t)n < sizeof(path) ? opendir(path) : NULL;
    for (struct dirent *e; dir && (e = readdir(dir)) != NULL;)
        if (e->d_name[0] != '.')
            hottest = read(root, e->d_name, hottest);
    if (dir)
        (void)closedir(dir);
    return hottest;
}

/* Share of all CPU time since the last look that the hypervisor gave to others: column 8
 * of the first line of /proc/stat. NaN at the first look. */
static double machine_steal(const char *root, struct mld_steal_memory *last)
{
    char text[512];
    int64_t total = 0, stolen = 0, column[8] = {0};
    if (!mld_proc_read(text, sizeof(text), root, "/proc/stat") ||
        strncmp(text, "cpu ", 4) != 0)
        return NAN;
    char *p = text + 4;
    for (int i = 0; i < 8; i++) {
        char *end;
        column[i] = strtoll(p, &end, 10);
        if (end == p)
            return NAN;
        total += column[i];
        p = end;
    }
    stolen = column[7];
    double share = NAN;
    if (last->total > 0 && total > last->total)
        share = (double)(stolen - last->stolen) / (double)(total - last->total);
    last->total = total;
    last->stolen = stolen;
    return share;
}

void mld_machine_state_read(const char *root, struct mld_steal_memory *last,
                            struct mld_machine_state *out)
{
    char info[8192];
    out->load_1m = machine_load(root);
    out->frequency_khz = machine_frequency(root);
    out->temperature_c = machine_sensors(root, "/sys/class/hwmon", machine_hwmon);
    if (isnan(out->temperature_c))
        out->temperature_c = machine_sensors(root, "/sys/class/thermal", machine_zone);
    (void)mld_proc_read(info, sizeof(info), root, "/proc/meminfo");
    int64_t kib = mld_proc_field_int(info, "MemAvailable");
    out->memory_available_bytes = kib < 0 ? -1 : kib * 1024;
    out->steal_share = machine_steal(root, last);
}

void mld_machine_state_capture(struct mld_machine_state *out)
{
    static struct mld_steal_memory last; /* of this process's looks */
    mld_machine_state_read("", &last, out);
}
