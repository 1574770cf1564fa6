/* environment.c: what stays the same for a whole run: the CPU, its caches, the memory,
 * the operating system, and whether this is a machine of its own. */
#define _GNU_SOURCE /* sched_getaffinity, CPU_COUNT_S */
#include "core/environment.h"

#include "base/str.h"
#include "core/proc_file.h"
#include "core/topology.h"
#include "mld_version.h"

#include <math.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>
#if defined(__x86_64__) || defined(__i386__)
#include <cpuid.h>
#endif

#define MLD_CPUINFO_MAX 16384 /* the first processors of a large machine do */

/* CPU flags, as /proc/cpuinfo names them, that engines dispatch on. */
static const char environment_features[] =
    "sse4_2 avx f16c fma avx2 avx_vnni avx_vnni_int8 avx512f avx512dq avx512bw avx512vl "
    "avx512cd avx512_vnni avx512_bf16 avx512_fp16 avx512vbmi avx512_vbmi2 amx_tile "
    "amx_int8 amx_bf16 amx_fp16 avx10 gfni asimd fphp asimdhp asimddp asimdfhm bf16 i8mm "
    "sve sve2 svebf16 svei8mm sme sme2 v zvfh zvfbfmin altivec vsx mma";

/* word in a space-separated list. */
static bool environment_has(const char *list, const char *word)
{
    size_t n = strlen(word);
    for (const char *p = list; (p = strstr(p, word)) != NULL; p += n)
        if ((p == list || p[-1] == ' ') && (p[n] == ' ' || p[n] == '\0'))
            return true;
    return false;
}

static void environment_cpu(const char *info, struct mld_environment *e)
{
    char flags[8192], part[32], implementer[32];
    if (!mld_proc_field(info, "model name", e->cpu_model, sizeof(e->cpu_model)) &&
        !mld_proc_field(info, "cpu model", e->cpu_model, sizeof(e->cpu_model)) &&
        !mld_proc_field(info, "uarch", e->cpu_model, sizeof(e->cpu_model)) &&
        mld_proc_field(info, "CPU implementer", implementer, sizeof(implementer)) &&
        mld_proc_field(info, "CPU part", part, sizeof(part)))
        snprintf(e->cpu_model, sizeof(e->cpu_model), "arm implementer %s part %s",
                 implementer, part);
    if (!mld_proc_field(info, "vendor_id", e->cpu_vendor, sizeof(e->cpu_vendor)))
        (void)mld_proc_field(info, "CPU implementer", e->cpu_vendor,
                             sizeof(e->cpu_vendor));
    if (!mld_proc_field(info, "flags", flags, sizeof(flags)))
        (void)mld_proc_field(info, "Features", flags, sizeof(flags));
    size_t used = 0;
    for (const char *p = environment_features; *p; p += *p == ' ') {
        char word[32];
        size_t n = strcspn(p, " ");
        snprintf(word, sizeof(word), "%.*s", (int)n, p);
        p += n;
        if (!environment_has(flags, word))
            continue;
        int more = snprintf(e->cpu_features + used, sizeof(e->cpu_features) - used,
                            "%s%s", used > 0 ? " " : "", word);
        used += more > 0 ? (size_t)more : 0;
    }
}

/* --- cores and caches ------------------------------------------------------------- */

/* Processors in a list such as "0-3,8". */
static int environment_list_count(const char *list)
{
    int count = 0;
    for (const char *p = list; *p >= '0' && *p <= '9';) {
        char *end;
        long first = strtol(p, &end, 10), last = first;
        if (*end == '-')
            last = strtol(end + 1, &end, 10);
        count += last >= first ? (int)(last - first + 1) : 0;
        p = *end == ',' ? end + 1 : end;
    }
    return count > 0 ? count : -1;
}

static int environment_allowed(void)
{
    /* A mask of 8192 processors: larger ones make the call fail. */
    enum { WORDS = 8 };
    cpu_set_t set[WORDS];
    memset(set, 0, sizeof(set));
    if (sched_getaffinity(0, sizeof(set), set) != 0)
        return -1;
    return CPU_COUNT_S(sizeof(set), set);
}

static void environment_topology(const char *root, struct mld_environment *e)
{
    struct mld_topology t = {-1, -1, -1, -1, -1, -1, -1};
    char text[4096];
    if (!*root)
        mld_topology_read(&t);
    e->packages = t.packages;
    e->numa_nodes = t.numa_nodes;
    e->cores_physical = t.cores;
    e->cores_logical = t.threads;
    e->cache_l1d_bytes = t.l1d_bytes;
    e->cache_l2_bytes = t.l2_bytes;
    e->cache_l3_bytes = t.l3_bytes;
    if (e->cores_logical < 0 &&
        mld_proc_read(text, sizeof(text), root, "/sys/devices/system/cpu/online"))
        e->cores_logical = environment_list_count(text);
    if (e->numa_nodes < 0 &&
        mld_proc_read(text, sizeof(text), root, "/sys/devices/system/node/online"))
        e->numa_nodes = environment_list_count(text);
    e->cores_allowed = environment_allowed();
    e->smt = e->cores_physical > 0 && e->cores_logical > 0
                 ? e->cores_logical / e->cores_physical
                 : -1;
}

/* --- memory ----------------------------------------------------------------------- */

/* Limit of this process's control group, version 2 or 1; -1 none. */
static int64_t environment_group_limit(const char *root)
{
    char text[4096], group[2048];
    int64_t limit = -1;
    if (mld_proc_read(text, sizeof(text), root, "/proc/self/cgroup") &&
        mld_proc_field(text, "0:", group, sizeof(group)))
        limit = mld_proc_read_int(root, "/sys/fs/cgroup%s/memory.max", group);
    if (limit < 0) /* inside a container the group is the root of what is seen */
        limit = mld_proc_read_int(root, "/sys/fs/cgroup/memory.max");
    if (limit < 0)
        limit = mld_proc_read_int(root, "/sys/fs/cgroup/memory/memory.limit_in_bytes");
    return limit;
}

static int64_t environment_kib(const char *info, const char *key)
{
    int64_t kib = mld_proc_field_int(info, key);
    return kib < 0 ? -1 : kib * 1024;
}

static void environment_memory(const char *root, struct mld_environment *e)
{
    char info[8192];
    (void)mld_proc_read(info, sizeof(info), root, "/proc/meminfo");
    e->memory_total_bytes = environment_kib(info, "MemTotal");
    e->memory_available_bytes = environment_kib(info, "MemAvailable");
    e->swap_total_bytes = environment_kib(info, "SwapTotal");
    int64_t limit = environment_group_limit(root);
    if (limit >= 0 && limit < e->memory_total_bytes)
        e->memory_total_bytes = limit;
}

/* --- virtualisation --------------------------------------------------------------- */

struct environment_sign {
    const char *sign, *name;
};

static const char *environment_match(const struct environment_sign *signs, size_t n,
                                     const char *text)
{
    for (size_t i = 0; i < n; i++)
        if (strstr(text, signs[i].sign))
            return signs[i].name;
    return NULL;
}

#define MLD_MATCH(signs, text)                                                           \
    environment_match(signs, sizeof(signs) / sizeof(*(signs)), text)

/* The hypervisor's signature, cpuid leaf 0x40000000; "" where there is none. */
static void environment_hypervisor(char out[13])
{
    memset(out, 0, 13);
#if defined(__x86_64__) || defined(__i386__)
    unsigned a = 0, b = 0, c = 0, d = 0;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & (1u << 31)))
        return;
    __cpuid(0x40000000u, a, b, c, d);
    memcpy(out, &b, 4);
    memcpy(out + 4, &c, 4);
    memcpy(out + 8, &d, 4);
#endif
}

static void environment_virtualization(const char *root, const char *info,
                                       struct mld_environment *e)
{
    static const struct environment_sign leaves[] = {
        {"KVMKVMKVM", "kvm"},
        {"Microsoft Hv", "hyperv"},
        {"VMwareVMware", "vmware"},
        {"XenVMMXenVMM", "xen"},
        {"VBoxVBoxVBox", "virtualbox"},
        {"TCGTCGTCGTCG", "qemu"},
        {"bhyve", "bhyve"},
        {"prl hyperv", "parallels"},
        {" lrpepyh  vr", "parallels"},
    };
    static const struct environment_sign boards[] = {
        {"KVM", "kvm"},
        {"QEMU", "qemu"},
        {"VMware", "vmware"},
        {"VirtualBox", "virtualbox"},
        {"Xen", "xen"},
        {"Amazon EC2", "amazon"},
        {"Google", "google"},
        {"Microsoft Corporation", "hyperv"},
        {"OpenStack", "openstack"},
        {"Parallels", "parallels"},
    };
    char text[256], leaf[13] = "", flags[8192];
    const char *name = NULL;
    (void)mld_proc_field(info, "flags", flags, sizeof(flags));
    bool guest = environment_has(flags, "hypervisor");
    if (!*root)
        environment_hypervisor(leaf);
    if (leaf[0]) {
        guest = true;
        name = MLD_MATCH(leaves, leaf);
    }
    static const char *const dmi[] = {"product_name", "sys_vendor", "bios_vendor"};
    for (size_t i = 0; i < sizeof(dmi) / sizeof(*dmi) && !name; i++)
        if (mld_proc_read(text, sizeof(text), root, "/sys/class/dmi/id/%s", dmi[i]))
            name = MLD_MATCH(boards, text);
    /* A maker's name alone may also stand on bare metal that it rents out. */
    if (!guest && name &&
        (mld_streq(name, "amazon") || mld_streq(name, "google") ||
         mld_streq(name, "hyperv")))
        name = NULL;
    snprintf(e->virtualization, sizeof(e->virtualization), "%s",
             name    ? name
             : guest ? "vm"
                     : "none");
}

static void environment_container(const char *root, struct mld_environment *e)
{
    static const struct environment_sign groups[] = {
        {"kubepods", "kubernetes"}, {"docker", "docker"},
        {"libpod", "podman"},       {"lxc", "lxc"},
        {"garden", "garden"},
    };
    char text[4096], path[1024];
    const char *name = NULL;
    if (mld_proc_read(text, sizeof(text), root, "/proc/1/cgroup"))
        name = MLD_MATCH(groups, text);
    if (!name && mld_proc_read(text, sizeof(text), root, "/proc/sys/kernel/osrelease") &&
        strstr(text, "icrosoft"))
        name = "wsl";
    snprintf(path, sizeof(path), "%s/run/.containerenv", root);
    if (!name && access(path, F_OK) == 0)
        name = "podman";
    snprintf(path, sizeof(path), "%s/.dockerenv", root);
    if (!name && access(path, F_OK) == 0)
        name = "docker";
    snprintf(e->container, sizeof(e->container), "%s", name ? name : "none");
}

/* --- the whole -------------------------------------------------------------------- */

static void environment_system(const char *root, struct mld_environment *e)
{
    char text[4096];
    struct utsname name;
    if (gethostname(e->hostname, sizeof(e->hostname) - 1) != 0)
        e->hostname[0] = '\0';
    if (uname(&name) == 0) {
        snprintf(e->kernel, sizeof(e->kernel), "%.63s %.63s", name.sysname, name.release);
        snprintf(e->machine, sizeof(e->machine), "%.31s", name.machine);
        snprintf(e->os, sizeof(e->os), "%.63s", name.sysname);
    }
    if (mld_proc_read(text, sizeof(text), root, "/etc/os-release") ||
        mld_proc_read(text, sizeof(text), root, "/usr/lib/os-release"))
        (void)mld_proc_field(text, "PRETTY_NAME", e->os, sizeof(e->os));
}

static void environment_frequency(const char *root, struct mld_environment *e)
{
    static const char dir[] = "/sys/devices/system/cpu/cpu0/cpufreq";
    char text[64];
    e->frequency_min_khz = mld_proc_read_int(root, "%s/cpuinfo_min_freq", dir);
    e->frequency_max_khz = mld_proc_read_int(root, "%s/cpuinfo_max_freq", dir);
    if (mld_proc_read(text, sizeof(text), root, "%s/scaling_governor", dir))
        snprintf(e->governor, sizeof(e->governor), "%.*s", (int)strcspn(text, "\n"),
                 text);
}

/* Rounded to a power of two: firmware takes a little from equal machines. */
static int environment_memory_class(int64_t bytes)
{
    return bytes > 0 ? (int)lrint(log2((double)bytes / (double)(1 << 30))) : -1;
}

static void environment_fingerprint(struct mld_environment *e)
{
    char text[512];
    int n = snprintf(text, sizeof(text), "%s|%s|%d|%d|%d|%s|%s", e->cpu_model, e->machine,
                     e->cores_physical, e->cores_allowed,
                     environment_memory_class(e->memory_total_bytes), e->os,
                     e->virtualization);
    snprintf(e->fingerprint, sizeof(e->fingerprint), "%016llx",
             (unsigned long long)mld_fnv1a64(MLD_FNV_BASIS, text, (size_t)n));
}

void mld_environment_read(const char *root, struct mld_environment *out)
{
    char info[MLD_CPUINFO_MAX];
    memset(out, 0, sizeof(*out));
    (void)mld_proc_read(info, sizeof(info), root, "/proc/cpuinfo");
    environment_system(root, out);
    environment_cpu(info, out);
    environment_topology(root, out);
    environment_memory(root, out);
    environment_frequency(root, out);
    environment_virtualization(root, info, out);
    environment_container(root, out);
    snprintf(out->git_commit, sizeof(out->git_commit), "%s", MLD_GIT_COMMIT);
    snprintf(out->mldyno_version, sizeof(out->mldyno_version), "%s", MLD_VERSION);
    environment_fingerprint(out);
}

int mld_environment_capture(struct mld_environment *out, struct mld_error *err)
{
    mld_environment_read("", out);
    if (out->machine[0] == '\0')
        return mld_error_set(err, MLD_E_IO, "cannot ask the system for its name");
    return 0;
}

/* null for what is unknown. */
static void environment_set_int(struct mld_json *o, const char *key, int64_t v)
{
    mld_json_set(o, key, v < 0 ? mld_json_new_null() : mld_json_new_int(v));
}

static void environment_set_text(struct mld_json *o, const char *key, const char *v)
{
    mld_json_set(o, key, *v ? mld_json_new_str(v) : mld_json_new_null());
}

struct mld_json *mld_environment_json(const struct mld_environment *e)
{
    struct mld_json *o = mld_json_new_object();
    environment_set_text(o, "hostname", e->hostname);
    environment_set_text(o, "os", e->os);
    environment_set_text(o, "kernel", e->kernel);
    environment_set_text(o, "machine", e->machine);
    environment_set_text(o, "cpu_model", e->cpu_model);
    environment_set_text(o, "cpu_vendor", e->cpu_vendor);
    environment_set_text(o, "cpu_features", e->cpu_features);
    environment_set_int(o, "cores_physical", e->cores_physical);
    environment_set_int(o, "cores_logical", e->cores_logical);
    environment_set_int(o, "cores_allowed", e->cores_allowed);
    environment_set_int(o, "smt", e->smt);
    environment_set_int(o, "numa_nodes", e->numa_nodes);
    environment_set_int(o, "packages", e->packages);
    environment_set_int(o, "cache_l1d_bytes", e->cache_l1d_bytes);
    environment_set_int(o, "cache_l2_bytes", e->cache_l2_bytes);
    environment_set_int(o, "cache_l3_bytes", e->cache_l3_bytes);
    environment_set_int(o, "memory_total_bytes", e->memory_total_bytes);
    environment_set_int(o, "memory_available_bytes", e->memory_available_bytes);
    environment_set_int(o, "swap_total_bytes", e->swap_total_bytes);
    environment_set_int(o, "frequency_min_khz", e->frequency_min_khz);
    environment_set_int(o, "frequency_max_khz", e->frequency_max_khz);
    environment_set_text(o, "governor", e->governor);
    environment_set_text(o, "virtualization", e->virtualization);
    environment_set_text(o, "container", e->container);
    environment_set_text(o, "git_commit", e->git_commit);
    environment_set_text(o, "mldyno_version", e->mldyno_version);
    environment_set_text(o, "fingerprint", e->fingerprint);
    return o;
}
