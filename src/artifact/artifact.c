/* artifact.c: builds an artifact, or finds it in the cache.
 *
 * Graph, ONNX bytes and manifest are made first, always; their hash is the key. What the
 * cache then saves is the weights. */
#define _GNU_SOURCE /* sched_getaffinity */
#include "artifact/artifact.h"

#include "artifact/cache.h"
#include "artifact/manifest.h"
#include "artifact/weights.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "graph/onnx_writer.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#define KEY_CHARS 32

/* All of an artifact but its weights' bytes. */
struct draft {
    const struct mld_artifact_request *req;
    struct mld_arena arena;
    struct mld_arch_info info;
    struct mld_graph *source, *lowered;
    struct mld_target target;
    void *onnx;
    size_t onnx_bytes;
    struct mld_weight_layout layout;
    struct mld_weights *weights;
    struct mld_json *manifest; /* with its key */
    char key[KEY_CHARS + 1];
};

static void draft_release(struct draft *d)
{
    mld_json_free(d->manifest);
    mld_weights_free(d->weights);
    mld_free(d->onnx);
    mld_graph_release(d->lowered);
    mld_graph_release(d->source);
    mld_arena_release(&d->arena);
}

/* --- the key ---------------------------------------------------------------------- */

static void hash_int(XXH3_state_t *h, int64_t x)
{
    unsigned char bytes[8];

    for (int i = 0; i < 8; i++)
        bytes[i] = (unsigned char)((uint64_t)x >> 8 * i);
    XXH3_128bits_update(h, bytes, sizeof(bytes));
}

static void hash_double(XXH3_state_t *h, double x)
{
    int64_t bits;

    memcpy(&bits, &x, sizeof(bits));
    hash_int(h, bits);
}

static void hash_bytes(XXH3_state_t *h, const void *data, size_t n)
{
    hash_int(h, (int64_t)n); /* so that two texts never run into one */
    XXH3_128bits_update(h, data, n);
}

static void hash_param(XXH3_state_t *h, const struct mld_param *p)
{
    hash_bytes(h, p->name, strlen(p->name));
    hash_int(h, p->shape.rank);
    for (int i = 0; i < p->shape.rank; i++)
        hash_int(h, p->shape.d[i]);
}

/* How the content of a slot is made. */
static void hash_slot(XXH3_state_t *h, const struct mld_weight_slot *s)
{
    const struct mld_value *v = s->value;

    hash_int(h, (int64_t)s->offset);
    hash_int(h, (int64_t)s->bytes);
    hash_int(h, v->kind);
    hash_int(h, v->dtype);
    if (v->kind == MLD_VALUE_CONST)
        hash_bytes(h, v->data, (size_t)s->bytes);
    if (v->kind == MLD_VALUE_PARAM)
        hash_param(h, v->param);
    if (v->kind != MLD_VALUE_DERIVED)
        return;
    hash_int(h, v->axis);
    hash_int(h, v->shape.rank);
    for (int i = 0; i < v->piece_count; i++) {
        const struct mld_piece *p = &v->pieces[i];
        hash_param(h, p->param);
        hash_int(h, p->length);
        hash_int(h, p->base);
        for (int k = 0; k < v->shape.rank; k++)
            hash_int(h, p->stride[k]);
        hash_double(h, p->mul);
        hash_double(h, p->add);
    }
}

/* A file of weights is known by what stat and its header tell; reading gigabytes for each
 * case of a sweep would cost more than it protects from. */
static int hash_file(XXH3_state_t *h, const struct mld_safetensors *file,
                     struct mld_error *err)
{
    const char *path = mld_safetensors_path(file);
    const void *header;
    struct stat st;
    size_t n;

    if (stat(path, &st) != 0)
        return mld_error_set(err, MLD_E_IO, "cannot look at '%s': %s", path,
                             strerror(errno));
    header = mld_safetensors_header(file, &n);
    hash_bytes(h, header, n);
    hash_int(h, (int64_t)st.st_size);
    hash_int(h, (int64_t)st.st_mtim.tv_sec);
    hash_int(h, (int64_t)st.st_mtim.tv_nsec);
    hash_int(h, (int64_t)st.st_dev);
    hash_int(h, (int64_t)st.st_ino);
    return 0;
}

/* file NULL: weights from names. */
static int draft_key(struct draft *d, const struct mld_json *manifest,
                     const struct mld_safetensors *file, struct mld_error *err)
{
    char *text = mld_json_print(manifest, false);
    XXH3_state_t *h = XXH3_createState();
    XXH128_canonical_t canonical;
    int rc = 0;

    if (!text || !h || XXH3_128bits_reset(h) != XXH_OK) {
        rc = mld_error_set(err, MLD_E_NO_MEMORY, "no memory for the artifact's key");
    } else {
        hash_bytes(h, text, strlen(text));
        hash_bytes(h, d->onnx, d->onnx_bytes);
        hash_int(h, (int64_t)d->layout.count);
        for (size_t i = 0; i < d->layout.count; i++)
            hash_slot(h, &d->layout.slots[i]);
        if (file)
            rc = hash_file(h, file, err);
        XXH128_canonicalFromHash(&canonical, XXH3_128bits_digest(h));
        for (int i = 0; i < KEY_CHARS / 2; i++) {
            d->key[2 * i] = "0123456789abcdef"[canonical.digest[i] >> 4];
            d->key[2 * i + 1] = "0123456789abcdef"[canonical.digest[i] & 15];
        }
    }
    XXH3_freeState(h);
    mld_free(text);
    return rc;
}

/* --- the draft -------------------------------------------------------------------- */

struct name_source {
    const struct mld_arch_type *type;
    const char *class_name;
    struct mld_arena *arena;
};

static size_t draft_names(void *ctx, const char *name, const char **out, size_t cap)
{
    const struct name_source *s = ctx;

    return mld_arch_param_candidates(s->type, s->class_name, name, s->arena, out, cap);
}

static int draft_weights(struct draft *d, const struct mld_safetensors **file,
                         struct mld_error *err)
{
    const char *path = d->req->weights.safetensors_path;
    struct name_source names = {.type = mld_arch_type_find(d->info.model_type),
                                .class_name = d->info.class_name,
                                .arena = &d->arena};
    struct mld_safetensors *s;

    *file = NULL;
    if (!path)
        return mld_weights_from_names(&d->weights, err);
    MLD_TRY(mld_safetensors_open(path, &s, err));
    MLD_TRY(mld_weights_from_file(s, d->source, names.type ? draft_names : NULL, &names,
                                  &d->weights, err));
    *file = s; /* the weights own it */
    if (mld_weights_unused(d->weights) > 0)
        mld_log(MLD_LOG_INFO, "%zu of %zu tensors of '%s' are not used by %s",
                mld_weights_unused(d->weights), mld_safetensors_count(s), path,
                d->info.class_name);
    return 0;
}

static int draft_describe(struct draft *d, struct mld_error *err)
{
    const struct mld_manifest_facts facts = {.req = d->req,
                                             .info = &d->info,
                                             .source = d->source,
                                             .lowered = d->lowered,
                                             .target = d->target,
                                             .weights_bytes = d->layout.total_bytes};
    const struct mld_safetensors *file;
    struct mld_json *bare = NULL;
    int rc;

    MLD_TRY(draft_weights(d, &file, err));
    MLD_TRY(mld_manifest_make(&facts, &bare, err));
    rc = draft_key(d, bare, file, err);
    if (rc == 0)
        rc = mld_manifest_with_key(bare, d->key, &d->manifest, err);
    mld_json_free(bare);
    return rc;
}

/* Does the file hold two tensors that the graph takes for one, with different numbers?
 * FLAN-T5's and T5 1.1's do: word table and head. */
static bool twins_differ(const struct mld_safetensors *s, const struct mld_graph *g)
{
    for (size_t i = 0; i < g->alias_count; i++) {
        const struct mld_safetensor *a = mld_safetensors_find(s, g->aliases[i].name);
        const struct mld_safetensor *b = mld_safetensors_find(s, g->aliases[i].target);
        if (a && b && a->type == b->type && a->bytes == b->bytes &&
            memcmp(a->data, b->data, a->bytes) != 0)
            return true;
    }
    return false;
}

/* The graph, untied where the weights to be loaded ask for it. */
static int draft_build(struct draft *d, struct mld_error *err)
{
    const char *path = d->req->weights.safetensors_path;
    struct mld_arch_request arch = d->req->arch;
    struct mld_safetensors *s;

    MLD_TRY(mld_arch_build(&arch, &d->arena, &d->source, &d->info, err));
    if (!path || d->source->alias_count == 0)
        return 0;
    MLD_TRY(mld_safetensors_open(path, &s, err));
    arch.untied = twins_differ(s, d->source);
    mld_safetensors_close(s);
    if (!arch.untied)
        return 0;
    mld_graph_release(d->source);
    d->source = NULL;
    return mld_arch_build(&arch, &d->arena, &d->source, &d->info, err);
}

/* Fills *d, which the caller releases also on failure. */
static int draft_make(const struct mld_artifact_request *req, struct draft *d,
                      struct mld_error *err)
{
    struct mld_onnx_params params = {.external_name = MLD_MANIFEST_WEIGHTS};

    *d = (struct draft){.req = req, .target = req->target};
    if (req->precision && strcmp(req->precision, "fp32") != 0)
        return mld_error_set(err, MLD_E_UNSUPPORTED,
                             "precision '%s' cannot be built by this version: fp32 can",
                             req->precision);
    if (d->target.opset == 0)
        d->target.opset = d->target.fused_ort ? MLD_OPSET_DEFAULT : MLD_OPSET_STANDARD;
    params.opset = d->target.opset;
    MLD_TRY(draft_build(d, err));
    MLD_TRY(mld_lower(d->source, &d->target, &d->arena, &d->lowered, err));
    MLD_TRY(
        mld_onnx_encode(d->lowered, &params, &d->onnx, &d->onnx_bytes, &d->layout, err));
    return draft_describe(d, err);
}

/* --- writing ---------------------------------------------------------------------- */

static int core_count(void)
{
    cpu_set_t set;

    return sched_getaffinity(0, sizeof(set), &set) == 0 && CPU_COUNT(&set) > 0
               ? CPU_COUNT(&set)
               : 1;
}

static int file_fault(const char *path, int fault, struct mld_error *err)
{
    return mld_error_set(err, MLD_E_IO, "cannot write '%s': %s", path, strerror(fault));
}

/* A new file in dir; *fd is the caller's. */
static int file_create(const char *dir, const char *name, char **path, int *fd,
                       struct mld_error *err)
{
    *fd = -1;
    *path = mld_path_join(dir, name);
    if (!*path)
        return mld_error_set(err, MLD_E_NO_MEMORY, "no memory for a path");
    *fd = open(*path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    return *fd >= 0 ? 0 : file_fault(*path, errno, err);
}

static int file_close(char *path, int fd, int rc, struct mld_error *err)
{
    if (fd >= 0 && close(fd) != 0 && rc == 0)
        rc = file_fault(path, errno, err);
    mld_free(path);
    return rc;
}

/* No fsync: what a power cut destroys is built again. */
static int file_put(const char *dir, const char *name, const void *data, size_t n,
                    struct mld_error *err)
{
    const char *p = data;
    char *path;
    int fd, rc = file_create(dir, name, &path, &fd, err);

    while (rc == 0 && n > 0) {
        const ssize_t put = write(fd, p, n);
        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0) {
            rc = file_fault(path, put < 0 ? errno : ENOSPC, err);
            break;
        }
        p += put;
        n -= (size_t)put;
    }
    return file_close(path, fd, rc, err);
}

static int draft_write_weights(const struct draft *d, const char *dir,
                               struct mld_error *err)
{
    char *path;
    int fd, rc = file_create(dir, MLD_MANIFEST_WEIGHTS, &path, &fd, err);

    if (rc == 0)
        rc = mld_weights_write(d->weights, &d->layout, fd, path, core_count(), err);
    return file_close(path, fd, rc, err);
}

/* The three files; the manifest comes last, so that a folder that has one is whole. */
static int draft_write(const struct draft *d, const char *dir, struct mld_error *err)
{
    char *text = mld_json_print(d->manifest, true);
    int rc;

    if (!text)
        return mld_error_set(err, MLD_E_NO_MEMORY, "no memory for the manifest");
    rc = file_put(dir, MLD_MANIFEST_MODEL, d->onnx, d->onnx_bytes, err);
    if (rc == 0)
        rc = draft_write_weights(d, dir, err);
    if (rc == 0)
        rc = file_put(dir, MLD_MANIFEST_NAME, text, strlen(text), err);
    mld_free(text);
    return rc;
}

int mld_artifact_write(const struct mld_artifact_request *req, const char *dir,
                       struct mld_error *err)
{
    static const char *const files[] = {MLD_MANIFEST_MODEL, MLD_MANIFEST_WEIGHTS,
                                        MLD_MANIFEST_NAME};
    const bool existed = mld_path_exists(dir);
    char **names = NULL;
    struct draft d = {0};
    size_t n = 0;
    int rc;

    if (existed) {
        if (!mld_path_is_dir(dir))
            return mld_error_set(err, MLD_E_INVALID, "'%s' is no folder", dir);
        MLD_TRY(mld_dir_list(dir, &names, &n, err));
        mld_names_free(names, n);
        if (n > 0)
            return mld_error_set(err, MLD_E_INVALID,
                                 "folder '%s' is not empty: name a new or empty one",
                                 dir);
    }
    rc = draft_make(req, &d, err);
    if (rc == 0 && !existed)
        rc = mld_mkdirs(dir, err);
    if (rc == 0) {
        rc = draft_write(&d, dir, err);
        for (size_t i = 0; rc != 0 && i < sizeof(files) / sizeof(files[0]); i++) {
            char *path = mld_path_join(dir, files[i]);
            if (path)
                unlink(path);
            mld_free(path);
        }
        if (rc != 0 && !existed)
            rmdir(dir);
    }
    draft_release(&d);
    return rc;
}

/* --- the cache -------------------------------------------------------------------- */

/* Is the folder this draft's artifact, whole? *out is its manifest then. */
static bool entry_read(const struct draft *d, const char *dir, struct mld_json **out)
{
    char *manifest = mld_path_join(dir, MLD_MANIFEST_NAME);
    char *model = mld_path_join(dir, MLD_MANIFEST_MODEL);
    char *weights = mld_path_join(dir, MLD_MANIFEST_WEIGHTS);
    bool whole = manifest && model && weights &&
                 mld_file_size(model) == (int64_t)d->onnx_bytes &&
                 mld_file_size(weights) == (int64_t)d->layout.total_bytes &&
                 mld_path_is_file(manifest) &&
                 mld_json_read(manifest, MLD_MANIFEST_MAX_SIZE, out, NULL) == 0;

    if (whole) {
        const char *key = mld_json_str(mld_json_get(*out, "key"), "");
        whole = strcmp(key, d->key) == 0;
        if (!whole) {
            mld_json_free(*out);
            *out = NULL;
        }
    }
    mld_free(manifest);
    mld_free(model);
    mld_free(weights);
    return whole;
}

/* Builds the entry, which the caller holds exclusively, unless it is there by now. */
static int entry_build(const struct draft *d, const struct mld_cache *cache,
                       const struct mld_cache_entry *entry, bool *built,
                       struct mld_error *err)
{
    struct mld_cache_entry stage = {.lock_fd = -1};
    struct mld_json *manifest = NULL;
    int rc;

    if (entry_read(d, entry->dir, &manifest)) {
        mld_json_free(manifest);
        return 0;
    }
    mld_cache_trim(cache, d->layout.total_bytes + d->onnx_bytes);
    MLD_TRY(mld_cache_stage(cache, &stage, err));
    rc = draft_write(d, stage.dir, err);
    if (rc == 0)
        rc = mld_cache_publish(&stage, entry, err);
    mld_cache_discard(&stage);
    *built = rc == 0;
    return rc;
}

/* The artifact of a draft in the cache; on success *entry is held shared and *manifest
 * the caller's. */
static int entry_open(const struct draft *d, const struct mld_cache *cache,
                      struct mld_cache_entry *entry, struct mld_json **manifest,
                      bool *built, struct mld_error *err)
{
    /* Between the builder's lock and the user's another process may make room. */
    for (int tries = 0; tries < 5; tries++) {
        int rc;

        MLD_TRY(mld_cache_lock(cache, d->key, false, entry, err));
        if (entry_read(d, entry->dir, manifest)) {
            mld_cache_touch(entry);
            return 0;
        }
        mld_cache_unlock(entry);
        MLD_TRY(mld_cache_lock(cache, d->key, true, entry, err));
        rc = entry_build(d, cache, entry, built, err);
        if (rc == 0)
            mld_cache_touch(entry);
        mld_cache_unlock(entry);
        MLD_TRY(rc);
    }
    return mld_error_set(err, MLD_E_BUSY,
                         "other processes remove artifacts from '%s' as fast as they are "
                         "built: raise MLDYNO_CACHE_SIZE",
                         cache->root);
}

int mld_artifact_open(const struct mld_artifact_request *req,
                      const struct mld_cache_params *where, struct mld_artifact *out,
                      struct mld_error *err)
{
    const uint64_t start = mld_now_ns(mld_clock_real());
    struct mld_cache_entry entry = {.lock_fd = -1};
    struct mld_cache cache = {0};
    struct draft d = {0};
    bool built = false;
    int rc = draft_make(req, &d, err);

    *out = (struct mld_artifact){.lock_fd = -1};
    if (rc == 0)
        rc = mld_cache_open(where ? where->root : NULL, where ? where->max_bytes : 0,
                            &cache, err);
    if (rc == 0)
        rc = entry_open(&d, &cache, &entry, &out->manifest, &built, err);
    if (rc == 0) {
        out->dir = entry.dir;
        out->lock_fd = entry.lock_fd;
        out->cached = !built;
        out->build_ns = built ? mld_now_ns(mld_clock_real()) - start : 0;
        out->onnx_path = mld_path_join(out->dir, MLD_MANIFEST_MODEL);
        if (!out->onnx_path) {
            mld_artifact_close(out);
            rc = mld_error_set(err, MLD_E_NO_MEMORY, "no memory for a path");
        }
    }
    mld_cache_release(&cache);
    draft_release(&d);
    return rc;
}

void mld_artifact_close(struct mld_artifact *a)
{
    if (a->dir && a->lock_fd >= 0)
        close(a->lock_fd);
    mld_json_free(a->manifest);
    mld_free(a->onnx_path);
    mld_free(a->dir);
    *a = (struct mld_artifact){.lock_fd = -1};
}
