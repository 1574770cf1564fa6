/* test_base_fs.c: whole files, folders, paths. */
#include "base/alloc.h"
#include "base/fs.h"
#include "kit/kit.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void write_text(const char *path, const char *text)
{
    KIT_OK(mld_file_write(path, text, strlen(text), &kit_err));
}

static void holds_text(const char *path, const char *text)
{
    char *data;
    size_t n;
    KIT_OK(mld_file_read(path, 1 << 20, &data, &n, &kit_err));
    KIT_EQ_STR(data, text);
    KIT_EQ_U64(n, strlen(text));
    mld_free(data);
}

MLD_TEST(fs__joins_paths)
{
    static const char *const rows[][3] = {{"a", "b", "a/b"}, {"a/", "b", "a/b"},
                                          {"/", "b", "/b"},  {"", "b", "b"},
                                          {"a", "", "a/"},   {"a/b", "c/d", "a/b/c/d"}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char *path = mld_path_join(rows[i][0], rows[i][1]);
        KIT_EQ_STR(path, rows[i][2]);
        mld_free(path);
    }
    KIT_EQ_STR(mld_path_base("/a/b.json"), "b.json");
    KIT_EQ_STR(mld_path_base("b.json"), "b.json");
    KIT_EQ_STR(mld_path_base("a/"), "");
}

MLD_TEST(fs__tells_files_from_folders)
{
    write_text("file", "12345");
    KIT_OK(mld_mkdirs("dir", &kit_err));
    KIT_CHECK(mld_path_exists("file") && mld_path_exists("dir") &&
              !mld_path_exists("no"));
    KIT_CHECK(mld_path_is_file("file") && !mld_path_is_file("dir"));
    KIT_CHECK(mld_path_is_dir("dir") && !mld_path_is_dir("file") &&
              !mld_path_is_dir("no"));
    KIT_EQ_INT(mld_file_size("file"), 5);
    KIT_EQ_INT(mld_file_size("dir"), -1);
    KIT_EQ_INT(mld_file_size("no"), -1);
}

MLD_TEST(fs__reads_whole_files)
{
    char *data;
    size_t n;
    KIT_OK(mld_file_write("zeros", "a\0b", 3, &kit_err));
    KIT_OK(mld_file_read("zeros", 3, &data, &n, &kit_err));
    KIT_EQ_U64(n, 3);
    KIT_EQ_MEM(data, "a\0b", 4); /* and a NUL behind */
    mld_free(data);
    KIT_FAILS(mld_file_read("zeros", 2, &data, &n, &kit_err), MLD_E_TOO_LARGE);
    KIT_EQ_STR(kit_err.message, "'zeros' has 3 bytes, at most 2 are read");

    KIT_OK(mld_file_write("empty", NULL, 0, &kit_err));
    KIT_OK(mld_file_read("empty", 0, &data, &n, &kit_err));
    KIT_EQ_U64(n, 0);
    KIT_EQ_STR(data, "");
    mld_free(data);

    KIT_FAILS(mld_file_read("absent", 9, &data, &n, &kit_err), MLD_E_NOT_FOUND);
    KIT_EQ_STR(kit_err.message, "cannot open 'absent': No such file or directory");
    KIT_FAILS(mld_file_read("zeros/x", 9, &data, &n, &kit_err), MLD_E_NOT_FOUND);
    KIT_FAILS(mld_file_read(".", 9, &data, &n, &kit_err), MLD_E_INVALID);
    KIT_EQ_STR(kit_err.message, "cannot read '.': it is a folder");
}

/* A pipe and /proc tell no size: it is found by reading. */
MLD_TEST(fs__reads_what_has_no_size)
{
    char *data;
    size_t n;
    KIT_OK(mld_file_read("/proc/self/status", 1 << 20, &data, &n, &kit_err));
    KIT_CHECK(n > 100 && strlen(data) == n);
    mld_free(data);
    KIT_FAILS(mld_file_read("/proc/self/status", 100, &data, &n, &kit_err),
              MLD_E_TOO_LARGE);
    KIT_FAILS(mld_file_read("/dev/zero", 100000, &data, &n, &kit_err), MLD_E_TOO_LARGE);

    KIT_CHECK(mkfifo("pipe", 0600) == 0);
    const pid_t pid = fork();
    if (pid == 0) {
        const int fd = open("pipe", O_WRONLY);
        for (int i = 0; i < 10000; i++)
            if (write(fd, "0123456789", 10) != 10)
                _exit(1);
        _exit(0);
    }
    KIT_OK(mld_file_read("pipe", 100000, &data, &n, &kit_err));
    KIT_EQ_U64(n, 100000);
    KIT_EQ_MEM(data + 99990, "0123456789", 11);
    mld_free(data);
    KIT_CHECK(waitpid(pid, NULL, 0) == pid);
}

MLD_TEST(fs__writes_whole_or_not_at_all)
{
    write_text("f", "old");
    write_text("f", "new and longer");
    holds_text("f", "new and longer");

    /* A full disk, by a limit on the file's size: the old text stays, no litter. */
    const pid_t pid = fork();
    if (pid == 0) {
        (void)signal(SIGXFSZ, SIG_IGN);
        const struct rlimit limit = {4096, 4096};
        static char big[100000];
        KIT_CHECK(setrlimit(RLIMIT_FSIZE, &limit) == 0);
        KIT_FAILS(mld_file_write("f", big, sizeof(big), &kit_err), MLD_E_IO);
        KIT_CONTAINS(kit_err.message, "cannot write 'f': ");
        _exit(0);
    }
    int status;
    KIT_CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status));
    KIT_EQ_INT(WEXITSTATUS(status), 0);
    holds_text("f", "new and longer");
    char **names;
    size_t n;
    KIT_OK(mld_dir_list(".", &names, &n, &kit_err));
    KIT_EQ_U64(n, 1);
    mld_names_free(names, n);

    KIT_FAILS(mld_file_write("no/such/f", "x", 1, &kit_err), MLD_E_NOT_FOUND);
    KIT_EQ_STR(kit_err.message, "cannot write 'no/such/f': No such file or directory");
    KIT_OK(mld_mkdirs("dir", &kit_err));
    KIT_FAILS(mld_file_write("dir", "x", 1, &kit_err), MLD_E_IO);
}

MLD_TEST(fs__new_files_follow_the_umask)
{
    struct stat st;
    (void)umask(027);
    write_text("f", "x");
    KIT_CHECK(stat("f", &st) == 0);
    KIT_EQ_INT(st.st_mode & 0777, 0640);
}

MLD_TEST(fs__makes_folders)
{
    KIT_OK(mld_mkdirs("a/b//c/", &kit_err));
    KIT_CHECK(mld_path_is_dir("a/b/c"));
    KIT_OK(mld_mkdirs("a/b/c", &kit_err));
    KIT_OK(mld_mkdirs("/", &kit_err));
    KIT_OK(mld_mkdirs(".", &kit_err));
    char here[4000], path[4096];
    KIT_CHECK(getcwd(here, sizeof(here)) != NULL);
    (void)snprintf(path, sizeof(path), "%s/x/y", here);
    KIT_OK(mld_mkdirs(path, &kit_err));
    KIT_CHECK(mld_path_is_dir("x/y"));
    write_text("file", "");
    KIT_FAILS(mld_mkdirs("file/sub", &kit_err), MLD_E_IO);
    KIT_EQ_STR(kit_err.message, "cannot make folder 'file': a file is in the way");
    KIT_FAILS(mld_mkdirs("", &kit_err), MLD_E_INVALID);
}

MLD_TEST(fs__removes_trees_but_follows_no_link)
{
    KIT_OK(mld_mkdirs("tree/a/b", &kit_err));
    KIT_OK(mld_mkdirs("kept", &kit_err));
    write_text("kept/file", "stays");
    write_text("tree/a/b/.hidden", "");
    write_text("tree/x", "");
    KIT_CHECK(symlink("../kept", "tree/link") == 0);
    KIT_CHECK(symlink("nowhere", "tree/a/broken") == 0);
    KIT_OK(mld_remove_tree("tree", &kit_err));
    KIT_CHECK(!mld_path_exists("tree"));
    holds_text("kept/file", "stays");

    KIT_CHECK(symlink("kept", "link") == 0);
    KIT_OK(mld_remove_tree("link", &kit_err));
    holds_text("kept/file", "stays");
    KIT_OK(mld_remove_tree("absent", &kit_err));
    KIT_OK(mld_remove_tree("kept/file", &kit_err));
    KIT_CHECK(!mld_path_exists("kept/file"));
}

MLD_TEST(fs__remove_stops_at_a_depth)
{
    char here[8] = "d";
    for (int i = 0; i < 140; i++)
        KIT_CHECK(mkdir(here, 0700) == 0 && chdir(here) == 0);
    for (int i = 0; i < 140; i++)
        KIT_CHECK(chdir("..") == 0);
    KIT_FAILS(mld_remove_tree("d", &kit_err), MLD_E_IO);
    KIT_CONTAINS(kit_err.message, "cannot remove 'd': ");
    /* Leaves an empty sandbox: from the bottom upwards. */
    for (int i = 0; i < 20; i++)
        KIT_CHECK(chdir("d") == 0);
    KIT_OK(mld_remove_tree("d", &kit_err));
}

MLD_TEST(fs__lists_sorted)
{
    write_text("b", "");
    write_text("a", "");
    write_text(".c", "");
    KIT_OK(mld_mkdirs("B", &kit_err));
    char **names;
    size_t n;
    KIT_OK(mld_dir_list(".", &names, &n, &kit_err));
    KIT_EQ_U64(n, 4);
    KIT_EQ_STR(names[0], ".c");
    KIT_EQ_STR(names[1], "B");
    KIT_EQ_STR(names[2], "a");
    KIT_EQ_STR(names[3], "b");
    mld_names_free(names, n);
    KIT_OK(mld_dir_list("B", &names, &n, &kit_err));
    KIT_EQ_U64(n, 0);
    mld_names_free(names, n);
    KIT_FAILS(mld_dir_list("absent", &names, &n, &kit_err), MLD_E_NOT_FOUND);
    KIT_FAILS(mld_dir_list("a", &names, &n, &kit_err), MLD_E_NOT_FOUND);
    KIT_EQ_STR(kit_err.message, "cannot list 'a': Not a directory");
}

MLD_TEST(fs__cache_home_follows_xdg)
{
    KIT_CHECK(setenv("XDG_CACHE_HOME", "/x/cache", 1) == 0);
    KIT_CHECK(setenv("HOME", "/home/me", 1) == 0);
    char *path = mld_cache_home();
    KIT_EQ_STR(path, "/x/cache/mldyno");
    mld_free(path);
    KIT_CHECK(setenv("XDG_CACHE_HOME", "relative", 1) == 0);
    path = mld_cache_home();
    KIT_EQ_STR(path, "/home/me/.cache/mldyno");
    mld_free(path);
    KIT_CHECK(unsetenv("XDG_CACHE_HOME") == 0 && unsetenv("HOME") == 0);
    path = mld_cache_home();
    char want[64];
    (void)snprintf(want, sizeof(want), "/tmp/mldyno-%lu", (unsigned long)getuid());
    KIT_EQ_STR(path, want);
    mld_free(path);
}

MLD_TEST(fs__knows_its_own_program)
{
    char *path = mld_self_path();
    KIT_EQ_STR(mld_path_base(path), mld_path_base(kit_self()));
    KIT_CHECK(access(path, X_OK) == 0);
    mld_free(path);
}

static int fs_body(void *ctx)
{
    (void)ctx;
    char *data = NULL, **names = NULL;
    size_t n = 0, count = 0;
    int rc = mld_mkdirs("t/u", &kit_err);
    if (rc == MLD_OK)
        rc = mld_file_write("t/u/f", "text", 4, &kit_err);
    if (rc == MLD_OK)
        rc = mld_file_read("t/u/f", 100, &data, &n, &kit_err);
    if (rc == MLD_OK)
        rc = mld_dir_list("t/u", &names, &count, &kit_err);
    mld_names_free(names, count);
    mld_free(data);
    return rc;
}

MLD_TEST(fs__survives_every_failing_allocation)
{
    KIT_CHECK(kit_torture(fs_body, NULL) >= 5);
}
