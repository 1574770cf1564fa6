/* test_core_environment.c: this machine, and recorded pieces of others. */
#include "kit/kit.h"

#include "base/fs.h"
#include "core/environment.h"
#include "core/proc_file.h"
#include "core/proc_status.h"
#include "core/topology.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void put(const char *path, const char *text)
{
    char dir[512];
    snprintf(dir, sizeof(dir), "%s", path);
    *strrchr(dir, '/') = '\0';
    KIT_OK(mld_mkdirs(dir, &kit_err));
    KIT_OK(mld_file_write(path, text, strlen(text), &kit_err));
}

/* A two-socket Xeon on bare metal. */
static void put_xeon(void)
{
    put("xeon/proc/cpuinfo", "processor\t: 0\nvendor_id\t: GenuineIntel\n"
                             "model name\t: Intel(R) Xeon(R) Platinum 8480+\n"
                             "cpu MHz\t\t: 3000.000\n"
                             "flags\t\t: fpu vme avx avx2 avx512f avx512_bf16 amx_tile "
                             "amx_bf16 avx512fake\n\nprocessor\t: 1\n"
                             "cpu MHz\t\t: 2000.000\n");
    put("xeon/proc/meminfo",
        "MemTotal:       1056000000 kB\nMemFree: 1 kB\n"
        "MemAvailable:    900000000 kB\nSwapTotal:         8192 kB\n");
    put("xeon/proc/loadavg", "3.25 1.00 0.50 2/345 6789\n");
    put("xeon/proc/stat", "cpu  100 0 100 700 50 0 0 50 0 0\ncpu0 1 2 3\n");
    put("xeon/etc/os-release", "NAME=\"Debian\"\nPRETTY_NAME=\"Debian GNU/Linux 13 "
                               "(trixie)\"\nVERSION=\"13\"\n");
    put("xeon/sys/devices/system/cpu/online", "0-111,224-227\n");
    put("xeon/sys/devices/system/node/online", "0-1\n");
    put("xeon/sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_min_freq", "800000\n");
    put("xeon/sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq", "3800000\n");
    put("xeon/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "powersave\n");
    put("xeon/sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq", "2500000\n");
    put("xeon/sys/devices/system/cpu/cpu1/cpufreq/scaling_cur_freq", "2700000\n");
    put("xeon/sys/class/dmi/id/sys_vendor", "Google\n"); /* rents out bare metal, too */
    put("xeon/sys/class/hwmon/hwmon0/name", "nvme\n");
    put("xeon/sys/class/hwmon/hwmon0/temp1_input", "99000\n");
    put("xeon/sys/class/hwmon/hwmon1/name", "coretemp\n");
    put("xeon/sys/class/hwmon/hwmon1/temp1_input", "51000\n");
    put("xeon/sys/class/hwmon/hwmon1/temp3_input", "63500\n");
    put("xeon/proc/1/cgroup", "0::/init.scope\n");
}

MLD_TEST(environment__of_a_bare_metal_xeon)
{
    struct mld_environment e;
    put_xeon();
    mld_environment_read("xeon", &e);
    KIT_EQ_STR(e.cpu_model, "Intel(R) Xeon(R) Platinum 8480+");
    KIT_EQ_STR(e.cpu_vendor, "GenuineIntel");
    KIT_EQ_STR(e.cpu_features, "avx avx2 avx512f avx512_bf16 amx_tile amx_bf16");
    KIT_EQ_INT(e.cores_logical, 116);
    KIT_EQ_INT(e.numa_nodes, 2);
    KIT_EQ_INT(e.memory_total_bytes, 1056000000ll * 1024);
    KIT_EQ_INT(e.swap_total_bytes, 8192 * 1024);
    KIT_EQ_STR(e.os, "Debian GNU/Linux 13 (trixie)");
    KIT_EQ_INT(e.frequency_min_khz, 800000);
    KIT_EQ_INT(e.frequency_max_khz, 3800000);
    KIT_EQ_STR(e.governor, "powersave");
    KIT_EQ_STR(e.virtualization, "none");
    KIT_EQ_STR(e.container, "none");
}

/* An ARM machine: other words, fewer of them. */
MLD_TEST(environment__of_an_arm_pod)
{
    struct mld_environment e;
    put("arm/proc/cpuinfo", "processor\t: 0\nBogoMIPS\t: 243.75\n"
                            "Features\t: fp asimd aes asimdhp asimddp sve bf16 i8mm\n"
                            "CPU implementer\t: 0x41\nCPU architecture: 8\n"
                            "CPU variant\t: 0x1\nCPU part\t: 0xd40\n");
    put("arm/proc/meminfo", "MemTotal: 64000000 kB\n");
    put("arm/proc/self/cgroup", "0::/kubepods/pod1\n");
    put("arm/proc/1/cgroup", "0::/kubepods/pod1\n");
    put("arm/sys/fs/cgroup/kubepods/pod1/memory.max", "4294967296\n");
    put("arm/sys/class/dmi/id/product_name", "KVM Virtual Machine\n");
    mld_environment_read("arm", &e);
    KIT_EQ_STR(e.cpu_model, "arm implementer 0x41 part 0xd40");
    KIT_EQ_STR(e.cpu_features, "asimd asimdhp asimddp bf16 i8mm sve");
    KIT_EQ_INT(e.memory_total_bytes, 4ll << 30); /* what the pod may have */
    KIT_EQ_INT(e.memory_available_bytes, -1);
    KIT_EQ_INT(e.frequency_max_khz, -1);
    KIT_EQ_STR(e.governor, "");
    KIT_EQ_STR(e.virtualization, "kvm");
    KIT_EQ_STR(e.container, "kubernetes");
}

MLD_TEST(environment__without_any_file)
{
    struct mld_environment e;
    mld_environment_read("nowhere", &e);
    KIT_EQ_STR(e.cpu_model, "");
    KIT_EQ_INT(e.memory_total_bytes, -1);
    KIT_EQ_INT(e.cores_logical, -1);
    KIT_EQ_STR(e.virtualization, "none");
    struct mld_json *o = mld_environment_json(&e);
    KIT_CHECK(mld_json_get(o, "memory_total_bytes"));
    KIT_EQ_INT(mld_json_type(mld_json_get(o, "memory_total_bytes")), MLD_JSON_NULL);
    KIT_EQ_INT(mld_json_type(mld_json_get(o, "cpu_model")), MLD_JSON_NULL);
    mld_json_free(o);
}

/* Equal machines have equal fingerprints; other cores or another CPU do not. */
MLD_TEST(environment__fingerprint_is_of_what_compares)
{
    struct mld_environment a, b;
    put_xeon();
    mld_environment_read("xeon", &a);
    put("xeon/proc/meminfo", "MemTotal:       1057000000 kB\n"); /* a little more */
    put("xeon/proc/loadavg", "99.0 1.00 0.50 2/345 6789\n");
    mld_environment_read("xeon", &b);
    KIT_EQ_STR(a.fingerprint, b.fingerprint);
    KIT_EQ_INT(strlen(a.fingerprint), 16);
    put("xeon/proc/meminfo", "MemTotal:        528000000 kB\n"); /* half */
    mld_environment_read("xeon", &b);
    KIT_CHECK(strcmp(a.fingerprint, b.fingerprint) != 0);
}

MLD_TEST(environment__state_of_the_machine)
{
    struct mld_machine_state s;
    struct mld_steal_memory last = {0, 0};
    put_xeon();
    mld_machine_state_read("xeon", &last, &s);
    KIT_NEAR(s.load_1m, 3.25, 1e-9);
    KIT_EQ_INT(s.frequency_khz, 2600000);
    KIT_NEAR(s.temperature_c, 63.5, 1e-9); /* of the CPU, not of the disk */
    KIT_EQ_INT(s.memory_available_bytes, 900000000ll * 1024);
    KIT_CHECK(isnan(s.steal_share)); /* the first look */
    put("xeon/proc/stat", "cpu  150 0 150 750 50 0 0 100 0 0\n");
    mld_machine_state_read("xeon", &last, &s);
    KIT_NEAR(s.steal_share, 0.25, 1e-9); /* 50 of 200 ticks */
    mld_machine_state_read("nowhere", &last, &s);
    KIT_CHECK(isnan(s.load_1m) && isnan(s.temperature_c) && isnan(s.steal_share));
    KIT_EQ_INT(s.frequency_khz, -1);
}

MLD_TEST(environment__frequency_from_cpuinfo_where_there_is_no_driver)
{
    struct mld_machine_state s;
    struct mld_steal_memory last = {0, 0};
    put("vm/proc/cpuinfo", "processor\t: 0\ncpu MHz\t\t: 2600.500\n\nprocessor\t: 1\n"
                           "cpu MHz\t\t: 2599.500\n");
    put("vm/sys/class/thermal/thermal_zone0/type", "x86_pkg_temp\n");
    put("vm/sys/class/thermal/thermal_zone0/temp", "47000\n");
    mld_machine_state_read("vm", &last, &s);
    KIT_EQ_INT(s.frequency_khz, 2600000);
    KIT_NEAR(s.temperature_c, 47.0, 1e-9);
}

MLD_TEST(environment__of_this_machine)
{
    struct mld_environment e;
    struct mld_topology t;
    KIT_OK(mld_environment_capture(&e, &kit_err));
    KIT_CHECK(e.kernel[0] && e.machine[0] && e.mldyno_version[0]);
    KIT_CHECK(e.cores_allowed >= 1);
    KIT_CHECK(e.memory_total_bytes > 0);
    mld_topology_read(&t);
    KIT_CHECK(t.threads >= e.cores_allowed || t.threads == -1);
    KIT_CHECK(t.cores <= t.threads);
}

MLD_TEST(environment__fields_of_proc_files)
{
    char v[16];
    static const char text[] =
        "VmPeak:\t 1 kB\nVmHWM:\t  20 kB\nName=\"quoted\" \nlast: 9";
    KIT_EQ_INT(mld_proc_field_int(text, "VmHWM"), 20);
    KIT_EQ_INT(mld_proc_field_int(text, "Vm"), -1); /* only the beginning of a key */
    KIT_EQ_INT(mld_proc_field_int(text, "last"), 9);
    KIT_EQ_INT(mld_proc_field_int("", "x"), -1);
    KIT_CHECK(mld_proc_field(text, "Name", v, sizeof(v)));
    KIT_EQ_STR(v, "quoted");
    KIT_CHECK(mld_proc_field("k: a value longer than room", "k", v, sizeof(v)));
    KIT_EQ_STR(v, "a value longer ");
    KIT_CHECK(!mld_proc_read(v, sizeof(v), "", "/no/such/file"));
    KIT_EQ_INT(mld_proc_read_int("", "/no/such/%s", "file"), -1);
}

/* The peak falls back when it is reset, and rises with what is touched. */
MLD_TEST(environment__memory_peak_can_be_reset)
{
    struct mld_proc_memory before, high, after;
    mld_proc_memory(&before);
    KIT_CHECK(before.resident_bytes > 0 && before.peak_bytes >= before.resident_bytes);
    const size_t bytes = 64u << 20;
    volatile char *block = malloc(bytes);
    KIT_CHECK(block);
    for (size_t i = 0; i < bytes; i += 4096)
        block[i] = 1;
    mld_proc_memory(&high);
    KIT_CHECK(high.peak_bytes - before.peak_bytes > (60 << 20));
    free((void *)(uintptr_t)block);
    if (!mld_proc_reset_peak())
        KIT_SKIP("this kernel does not let the peak be reset");
    mld_proc_memory(&after);
#ifndef __SANITIZE_ADDRESS__
    KIT_CHECK(after.peak_bytes < high.peak_bytes - (60 << 20));
#endif
    KIT_CHECK(mld_proc_oom_kills() >= -1);
}
