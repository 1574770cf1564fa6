/* ort_library.c: finds and loads ONNX Runtime's shared library at run time.
 *
 * Places, in order: $MLDYNO_ORT (a file or a folder, and then nothing else), the folder
 * the build was configured with, ../prefix/lib beside the program, the system. */
#define _GNU_SOURCE /* dladdr */
#include "backends/ort/ort_int.h"

#include "base/alloc.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/str.h"

#include <dlfcn.h>
#ifdef __linux__
#include <elf.h>
#endif
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MEND "run tools/setup, or name one with MLDYNO_ORT"

static struct mld_ort_library library;
static OrtEnv *library_env;
static pthread_mutex_t library_lock = PTHREAD_MUTEX_INITIALIZER;

/* --- errors ----------------------------------------------------------------------- */

static bool error_has(const char *message, const char *const *parts)
{
    for (; *parts; parts++)
        if (strstr(message, *parts))
            return true;
    return false;
}

int mld_ort_error_code(OrtErrorCode code, const char *message)
{
    static const char *const memory[] = {"bad_alloc", "Failed to allocate memory",
                                         "bad allocation", "Cannot allocate memory",
                                         NULL};
    static const char *const unsupported[] = {"is not a registered function/op",
                                              "Could not find an implementation",
                                              "No Op registered for",
                                              "Unsupported model IR version",
                                              "under development and support",
                                              "Unrecognized attribute",
                                              "Type Error: Type",
                                              NULL};

    if (error_has(message, memory))
        return MLD_E_NO_MEMORY;
    if (code == ORT_NOT_IMPLEMENTED || error_has(message, unsupported))
        return MLD_E_UNSUPPORTED;
    if (code == ORT_NO_SUCHFILE)
        return MLD_E_NOT_FOUND;
    if (code == ORT_INVALID_PROTOBUF || code == ORT_INVALID_GRAPH)
        return MLD_E_PARSE;
    return MLD_E_ENGINE;
}

/* One line of printable text: runs of blanks and line breaks become one blank. */
static void error_flatten(const char *in, char *out, size_t cap)
{
    size_t n = 0;
    bool blank = false;

    for (; *in && n + 1 < cap; in++) {
        const unsigned char c = (unsigned char)*in;
        if (c <= ' ' || c == 127) {
            blank = n > 0;
            continue;
        }
        if (blank && n + 2 >= cap)
            break;
        if (blank)
            out[n++] = ' ';
        blank = false;
        out[n++] = *in;
    }
    while (n > 0 && out[n - 1] == '.')
        n--;
    out[n] = '\0';
}

/* Takes "/src/x.cc:327 ns::Type::f(const A&, int) " out of a message: where in the
 * engine's source it was raised, which ORT puts before what happened. */
static void error_strip_source(char *text)
{
    char *path = strstr(text, ".cc:"), *p = path;
    int depth = 0;

    if (!path || (p += 4, p += strspn(p, "0123456789"), *p != ' '))
        return;
    while (path > text && path[-1] != ' ')
        path--;
    for (p++; *p; p++) { /* the signature ends with the bracket that closes its first */
        depth += *p == '(';
        if (*p == ')' && --depth == 0 && p[1] == ' ')
            break;
    }
    if (!*p)
        return;
    p += 2;
    if (mld_str_starts(p, "const "))
        p += 6;
    memmove(path, p, strlen(p) + 1);
}

void mld_ort_error_text(const char *message, char *out, size_t cap)
{
    error_flatten(message, out, cap);
    error_strip_source(out);
}

int mld_ort_check(const OrtApi *api, OrtStatus *status, struct mld_error *err,
                  const char *what, ...)
{
    char head[256], text[1000];
    va_list args;
    int code;

    if (!status)
        return 0;
    va_start(args, what);
    vsnprintf(head, sizeof(head), what, args);
    va_end(args);
    mld_ort_error_text(api->GetErrorMessage(status), text, sizeof(text));
    code = mld_ort_error_code(api->GetErrorCode(status), text);
    api->ReleaseStatus(status);
    return mld_error_set(err, code, "%s: %s", head, text);
}

/* --- finding ---------------------------------------------------------------------- */

/* Refuses a truncated ELF file: the loader would map it and die of SIGBUS. Anything else
 * that is wrong the loader itself reports. */
static int library_check_whole(const char *path, struct mld_error *err)
{
#ifdef __linux__
    Elf64_Ehdr head;
    Elf64_Phdr segment;
    const int64_t size = mld_file_size(path);
    bool whole = true;
    FILE *f = fopen(path, "rb");

    if (!f)
        return 0;
    if (fread(&head, sizeof(head), 1, f) == 1 &&
        memcmp(head.e_ident, ELFMAG, SELFMAG) == 0 &&
        head.e_ident[EI_CLASS] == ELFCLASS64 && head.e_phentsize == sizeof(segment) &&
        fseek(f, (long)head.e_phoff, SEEK_SET) == 0) {
        for (unsigned i = 0; i < head.e_phnum && whole; i++) {
            whole = fread(&segment, sizeof(segment), 1, f) == 1;
            if (whole && segment.p_type == PT_LOAD)
                whole = segment.p_offset <= (uint64_t)size &&
                        segment.p_filesz <= (uint64_t)size - segment.p_offset;
        }
    }
    fclose(f);
    if (!whole)
        return mld_error_set(err, MLD_E_NO_ENGINE, "'%s' is truncated (%lld bytes)", path,
                             (long long)size);
#else
    (void)path;
    (void)err;
#endif
    return 0;
}

/* "1.32.0" is 1 and 32. */
static bool version_parse(const char *text, long *major, long *minor)
{
    char *end;

    *major = strtol(text, &end, 10);
    if (end == text || *end != '.')
        return false;
    text = end + 1;
    *minor = strtol(text, &end, 10);
    return end != text && *major > 0 && *minor >= 0 && *minor < 1000;
}

/* Opens path and checks that it is an ONNX Runtime new enough; fills lib. */
static int library_try(const char *path, struct mld_ort_library *lib,
                       struct mld_error *err)
{
    const OrtApiBase *(*get_base)(void) = NULL;
    const OrtApiBase *base;
    const char *version;
    void *handle, *symbol;
    Dl_info info;
    long major = 0, minor = 0;

    if (strchr(path, '/'))
        MLD_TRY(library_check_whole(path, err));
    handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!handle) {
        const char *why = dlerror();
        if (why && mld_str_starts(why, path)) /* it begins with the name once more */
            why += strlen(path) + strspn(why + strlen(path), ": ");
        return mld_error_set(err, MLD_E_NO_ENGINE, "cannot load '%s': %s", path,
                             why ? why : "unknown fault");
    }
    symbol = dlsym(handle, "OrtGetApiBase");
    if (!symbol) {
        dlclose(handle);
        return mld_error_set(
            err, MLD_E_NO_ENGINE,
            "'%s' is not an ONNX Runtime library: it lacks OrtGetApiBase", path);
    }
    memcpy(&get_base, &symbol, sizeof(get_base)); /* ISO C has no cast for it */
    base = get_base();
    version = base ? base->GetVersionString() : NULL;
    if (!version || !version_parse(version, &major, &minor))
        return mld_error_set(err, MLD_E_NO_ENGINE,
                             "'%s' is not an ONNX Runtime library: it tells no version",
                             path);
    if (major == 1 && minor < MLD_ORT_API_NEEDED)
        return mld_error_set(
            err, MLD_E_NO_ENGINE,
            "ONNX Runtime %s at '%s' is too old: 1.%d or newer is needed", version, path,
            MLD_ORT_API_NEEDED);
    lib->api = base->GetApi(MLD_ORT_API_NEEDED);
    if (!lib->api)
        return mld_error_set(
            err, MLD_E_NO_ENGINE,
            "ONNX Runtime %s at '%s' does not offer version %d of its C API", version,
            path, MLD_ORT_API_NEEDED);
    lib->handle = handle;
    lib->api_version = major == 1 ? (int)minor : MLD_ORT_API_NEEDED;
    snprintf(lib->version, sizeof(lib->version), "%s", version);
    if (dladdr(symbol, &info) && info.dli_fname)
        path = info.dli_fname; /* the system's search tells where it found it */
    snprintf(lib->path, sizeof(lib->path), "%s", path);
    return 0;
}

/* First libonnxruntime of folder, by these names, in it or in its lib; NULL: none. */
static char *library_in_folder(const char *folder)
{
    static const char *const names[] = {
        "libonnxruntime.so.1",     "libonnxruntime.so",     "libonnxruntime.dylib",
        "lib/libonnxruntime.so.1", "lib/libonnxruntime.so", "lib/libonnxruntime.dylib"};
    char **list = NULL, *found = NULL;
    size_t n = 0;

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        char *path = mld_path_join(folder, names[i]);
        if (path && mld_path_exists(path))
            return path;
        mld_free(path);
    }
    /* A Python wheel has only the full version in the name. */
    if (mld_dir_list(folder, &list, &n, NULL) != 0)
        return NULL;
    for (size_t i = 0; i < n && !found; i++)
        if (mld_str_starts(list[i], "libonnxruntime.so."))
            found = mld_path_join(folder, list[i]);
    mld_names_free(list, n);
    return found;
}

/* Tries a folder; NOT_FOUND when it holds no such library. */
static int library_try_folder(const char *folder, struct mld_ort_library *lib,
                              struct mld_error *err)
{
    char *path = library_in_folder(folder);
    int rc;

    if (!path)
        return MLD_E_NOT_FOUND;
    rc = library_try(path, lib, err);
    mld_free(path);
    return rc;
}

static int library_from_env(const char *where, struct mld_ort_library *lib,
                            struct mld_error *err)
{
    struct mld_error why = {0};
    int rc;

    if (mld_path_is_dir(where)) {
        rc = library_try_folder(where, lib, &why);
        if (rc == MLD_E_NOT_FOUND)
            rc = mld_error_set(&why, MLD_E_NO_ENGINE, "no libonnxruntime in folder '%s'",
                               where);
    } else if (!mld_path_exists(where)) {
        rc = mld_error_set(&why, MLD_E_NO_ENGINE, "no file '%s'", where);
    } else {
        rc = library_try(where, lib, &why);
    }
    return rc == 0 ? 0
                   : mld_error_set(err, MLD_E_NO_ENGINE,
                                   "%s; correct or unset MLDYNO_ORT", why.message);
}

/* ../prefix/lib as seen from the program's folder; NULL: unknown. */
static char *library_beside_program(void)
{
    char *self = mld_self_path(), *slash, *dir = NULL;

    if (self && (slash = strrchr(self, '/')) != NULL) {
        *slash = '\0';
        dir = mld_path_join(self, "../prefix/lib");
    }
    mld_free(self);
    return dir;
}

static int library_find(struct mld_ort_library *lib, struct mld_error *err)
{
    static const char *const system_names[] = {"libonnxruntime.so.1",
                                               "libonnxruntime.so"};
    const char *env = getenv("MLDYNO_ORT");
    struct mld_error first = {0}, this = {0};
    char *beside = NULL;
    int rc = MLD_E_NOT_FOUND;

    if (env && *env)
        return library_from_env(env, lib, err);
#ifdef MLD_PREFIX_LIB
    rc = library_try_folder(MLD_PREFIX_LIB, lib, &first);
#endif
    if (rc != 0 && (beside = library_beside_program()) != NULL) {
        rc = library_try_folder(beside, lib, &this);
        if (!first.code)
            first = this;
    }
    mld_free(beside);
    for (size_t i = 0; rc != 0 && i < sizeof(system_names) / sizeof(system_names[0]); i++)
        rc = library_try(system_names[i], lib, &this);
    if (rc == 0) {
        if (first.code) /* something was found first that cannot be used: say so */
            mld_log(MLD_LOG_WARN, "%s; using '%s'", first.message, lib->path);
        return 0;
    }
    if (first.code)
        return mld_error_set(err, MLD_E_NO_ENGINE, "%s; %s", first.message, MEND);
    return mld_error_set(err, MLD_E_NO_ENGINE,
                         "no libonnxruntime in prefix/lib or the system's folders; %s",
                         MEND);
}

int mld_ort_library_load(const struct mld_ort_library **out, struct mld_error *err)
{
    int rc = 0;

    *out = NULL;
    pthread_mutex_lock(&library_lock);
    if (!library.handle) {
        struct mld_ort_library found = {0};
        rc = library_find(&found, err);
        if (rc == 0)
            library = found;
    }
    pthread_mutex_unlock(&library_lock);
    if (rc == 0)
        *out = &library;
    return rc;
}

/* --- environment ------------------------------------------------------------------ */

static void ORT_API_CALL library_log(void *param, OrtLoggingLevel severity,
                                     const char *category, const char *log_id,
                                     const char *location, const char *message)
{
    char text[1024];

    (void)param;
    (void)category;
    (void)log_id;
    (void)location;
    mld_ort_error_text(message, text, sizeof(text));
    mld_log(severity >= ORT_LOGGING_LEVEL_ERROR ? MLD_LOG_WARN : MLD_LOG_DEBUG,
            "onnxruntime: %s", text);
}

int mld_ort_env(const struct mld_ort_library *lib, OrtEnv **out, struct mld_error *err)
{
    int rc = 0;

    *out = NULL;
    pthread_mutex_lock(&library_lock);
    if (!library_env) {
        rc = mld_ort_check(lib->api,
                           lib->api->CreateEnvWithCustomLogger(library_log, NULL,
                                                               ORT_LOGGING_LEVEL_ERROR,
                                                               "mldyno", &library_env),
                           err, "cannot start ONNX Runtime");
        if (rc == 0) /* a measuring tool sends nothing anywhere */
            rc = mld_ort_check(lib->api, lib->api->DisableTelemetryEvents(library_env),
                               err, "cannot switch telemetry off");
    }
    *out = library_env;
    pthread_mutex_unlock(&library_lock);
    return rc;
}
