/* test_ort_library.c: finding ONNX Runtime: a missing, foreign, broken or truncated
 * library is a probe with a reason and what mends it, never a crash. */
#include "kit/kit.h"

#include "backends/ort/ort_int.h"
#include "base/alloc.h"
#include "base/fs.h"

#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* The reason that the probe gives with MLDYNO_ORT set so; the engine must not be usable.
 */
static const char *unusable(const char *where)
{
    static struct mld_probe probe;
    const struct mld_open_params params = {.device = "cpu", .precision = "fp32"};
    struct mld_session *s;

    KIT_EQ_INT(setenv("MLDYNO_ORT", where, 1), 0);
    KIT_OK(mld_backend_entry_ort()->probe(&probe, &kit_err));
    KIT_CHECK(!probe.usable);
    KIT_CONTAINS(probe.reason, "MLDYNO_ORT"); /* what mends it */
    KIT_CHECK(!strchr(probe.reason, '\n'));
    KIT_FAILS(mld_backend_entry_ort()->open(&params, &s, &kit_err), MLD_E_NO_ENGINE);
    KIT_CHECK(s == NULL);
    return probe.reason;
}

/* Path of the library that this machine has, asked of a child process, as what a process
 * has loaded it keeps; skips the case when there is none. */
static const char *library_path(void)
{
    static struct mld_probe probe;
    int fds[2];
    pid_t pid;

    KIT_EQ_INT(pipe(fds), 0);
    pid = fork();
    KIT_CHECK(pid >= 0);
    if (pid == 0) {
        if (mld_backend_entry_ort()->probe(&probe, NULL) == 0)
            _exit(write(fds[1], &probe, sizeof(probe)) == (ssize_t)sizeof(probe) ? 0 : 1);
        _exit(1);
    }
    KIT_EQ_INT(read(fds[0], &probe, sizeof(probe)), sizeof(probe));
    KIT_EQ_INT(waitpid(pid, NULL, 0), pid);
    if (!probe.usable)
        KIT_SKIP("%s", probe.reason);
    return probe.path;
}

MLD_TEST(ort_library__missing)
{
    KIT_CONTAINS(unusable("/nowhere/libonnxruntime.so"),
                 "no file '/nowhere/libonnxruntime.so'");
    KIT_CONTAINS(unusable("."), "no libonnxruntime in folder '.'");
}

MLD_TEST(ort_library__broken)
{
    KIT_OK(mld_file_write("libonnxruntime.so", "junk", 4, &kit_err));
    KIT_CONTAINS(unusable("./libonnxruntime.so"), "cannot load './libonnxruntime.so'");
    KIT_CONTAINS(unusable("."), "cannot load './libonnxruntime.so'");
}

/* Any shared library that is not ONNX Runtime: here, the C library itself. */
MLD_TEST(ort_library__foreign)
{
    static const char *const names[] = {"/lib/x86_64-linux-gnu/libc.so.6",
                                        "/lib/aarch64-linux-gnu/libc.so.6",
                                        "/lib64/libc.so.6", "/usr/lib/libc.so.6"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (!mld_path_is_file(names[i]))
            continue;
        KIT_CONTAINS(unusable(names[i]), "is not an ONNX Runtime library");
        return;
    }
    KIT_SKIP("no libc.so.6 in a known place");
}

/* The head of the real library: the loader alone would map it and be killed. */
MLD_TEST(ort_library__truncated)
{
    char *data;
    size_t n;

    KIT_OK(mld_file_read(library_path(), (size_t)1 << 30, &data, &n, &kit_err));
    KIT_CHECK(n > 1000000);
    KIT_OK(mld_file_write("libonnxruntime.so.1", data, 1000000, &kit_err));
    mld_free(data);
    KIT_CONTAINS(unusable("./libonnxruntime.so.1"), "is truncated (1000000 bytes)");
}

/* A Python wheel's folder holds only the full version in the name. */
MLD_TEST(ort_library__folder_of_a_wheel)
{
    struct mld_probe probe;

    KIT_EQ_INT(symlink(library_path(), "libonnxruntime.so.1.99.0"), 0);
    KIT_EQ_INT(setenv("MLDYNO_ORT", ".", 1), 0);
    KIT_OK(mld_backend_entry_ort()->probe(&probe, &kit_err));
    KIT_CHECK(probe.usable);
    KIT_CONTAINS(probe.path, "libonnxruntime.so.1.99.0");
}

MLD_TEST(ort_library__too_old)
{
    KIT_CONTAINS(unusable(FAKE_OLD_ORT), "ONNX Runtime 1.9.0 at '");
    KIT_CONTAINS(unusable(FAKE_OLD_ORT), "is too old: 1.23 or newer is needed");
}
