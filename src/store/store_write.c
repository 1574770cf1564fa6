/* store_write.c: runs and results into the database.
 *
 * Everything of a case is one transaction: model, device, row, phases, placement,
 * samples. DuckDB's log makes a committed one safe from a kill at any moment. */
#include "store/store_int.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/str.h"

/* --- digests ------------------------------------------------------------------------ */

/* Text with its length first, so that ("ab", "c") and ("a", "bc") differ. NULL is "". */
static uint64_t digest_text(uint64_t h, const char *text)
{
    uint64_t n = text != NULL ? strlen(text) : 0;
    h = mld_fnv1a64(h, &n, sizeof n);
    return n > 0 ? mld_fnv1a64(h, text, n) : h;
}

static uint64_t digest_int(uint64_t h, int64_t x)
{
    char text[24];
    snprintf(text, sizeof text, "%" PRId64, x < 0 ? (int64_t)-1 : x);
    return digest_text(h, text);
}

static const char *digest_hex(uint64_t h, char out[17])
{
    snprintf(out, 17, "%016" PRIx64, h);
    return out;
}

/* --- a row that is there once --------------------------------------------------------
 */

/* The id of the row with this key, -1 when there is none. */
static int store_find(struct mld_store *s, enum store_statement which, const char *sql,
                      const char *key, int64_t *id, struct mld_error *err)
{
    duckdb_prepared_statement st;
    int rc = 0;
    MLD_TRY(mld_duck_prepare(s, which, sql, &st, err));
    mld_bind_text(st, 1, key, &rc);
    MLD_TRY(mld_bind_check(rc, st, err));
    return mld_duck_run(s, st, id, err);
}

static uint64_t model_digest(const struct mld_store_result *r)
{
    uint64_t h = digest_text(MLD_FNV_BASIS, r->model);
    h = digest_text(h, r->model_type);
    h = digest_text(h, r->class_name);
    h = digest_text(h, r->checkpoint);
    h = digest_text(h, r->categories);
    h = digest_int(h, r->parameters);
    h = digest_int(h, r->layers);
    h = digest_int(h, r->layers_full);
    return digest_text(h, r->config_json);
}

static int store_model(struct mld_store *s, const struct mld_store_result *r,
                       const char *key, int64_t *id, struct mld_error *err)
{
    MLD_TRY(store_find(s, STORE_FIND_MODEL,
                       "SELECT model_id FROM models WHERE model_key = $1", key, id, err));
    if (*id >= 0)
        return 0;
    duckdb_prepared_statement st;
    int rc = 0;
    MLD_TRY(mld_duck_prepare(
        s, STORE_ADD_MODEL,
        "INSERT INTO models (model_key, model, model_type, class_name, checkpoint,"
        " categories, parameters, layers, layers_full, config_json, first_seen)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) RETURNING model_id",
        &st, err));
    mld_bind_text(st, 1, key, &rc);
    mld_bind_text(st, 2, r->model, &rc);
    mld_bind_text(st, 3, r->model_type, &rc);
    mld_bind_text(st, 4, r->class_name, &rc);
    mld_bind_text(st, 5, r->checkpoint, &rc);
    mld_bind_text(st, 6, r->categories, &rc);
    mld_bind_count(st, 7, r->parameters, &rc);
    mld_bind_count(st, 8, r->layers, &rc);
    mld_bind_count(st, 9, r->layers_full, &rc);
    mld_bind_text(st, 10, r->config_json, &rc);
    mld_bind_wall(st, 11, mld_wall_us(), &rc);
    MLD_TRY(mld_bind_check(rc, st, err));
    return mld_duck_run(s, st, id, err);
}

static uint64_t hardware_digest(const struct mld_store_result *r)
{
    uint64_t h = digest_text(MLD_FNV_BASIS, r->platform);
    h = digest_text(h, r->device_name);
    h = digest_text(h, r->device_vendor);
    return digest_int(h, r->device_memory_total_bytes);
}

static int store_hardware(struct mld_store *s, const struct mld_store_result *r,
                          int64_t *id, struct mld_error *err)
{
    char key[17];
    digest_hex(hardware_digest(r), key);
    MLD_TRY(store_find(s, STORE_FIND_HARDWARE,
                       "SELECT hardware_id FROM hardware WHERE hardware_key = $1", key,
                       id, err));
    if (*id >= 0)
        return 0;
    duckdb_prepared_statement st;
    int rc = 0;
    MLD_TRY(mld_duck_prepare(
        s, STORE_ADD_HARDWARE,
        "INSERT INTO hardware (hardware_key, platform, device_name, device_vendor,"
        " memory_total_bytes, first_seen) VALUES ($1, $2, $3, $4, $5, $6)"
        " RETURNING hardware_id",
        &st, err));
    mld_bind_text(st, 1, key, &rc);
    mld_bind_text(st, 2, r->platform, &rc);
    mld_bind_text(st, 3, r->device_name, &rc);
    mld_bind_text(st, 4, r->device_vendor, &rc);
    mld_bind_count(st, 5, r->device_memory_total_bytes, &rc);
    mld_bind_wall(st, 6, mld_wall_us(), &rc);
    MLD_TRY(mld_bind_check(rc, st, err));
    return mld_duck_run(s, st, id, err);
}

/* --- runs --------------------------------------------------------------------------- */

/* Columns of environments that come from the captured JSON's keys of the same name. What
 * changes from hour to hour (free memory, load) stays in the run's environment_json. */
static const char *const environment_texts[] = {
    "os",         "kernel",   "machine",        "cpu_model",
    "cpu_vendor", "governor", "virtualization", "container"};
static const char *const environment_counts[] = {"cores_physical", "cores_logical",
                                                 "cores_allowed", "memory_total_bytes"};
#define ENVIRONMENT_TEXTS  (sizeof environment_texts / sizeof environment_texts[0])
#define ENVIRONMENT_COUNTS (sizeof environment_counts / sizeof environment_counts[0])

static int environment_add(struct mld_store *s, const struct mld_store_run *run,
                           const struct mld_json *json, int64_t *id,
                           struct mld_error *err)
{
    uint64_t h = digest_text(MLD_FNV_BASIS, run->environment_fingerprint);
    h = digest_text(h, run->hostname);
    for (size_t i = 0; i < ENVIRONMENT_TEXTS; i++)
        h = digest_text(h, mld_json_str(mld_json_get(json, environment_texts[i]), ""));
    for (size_t i = 0; i < ENVIRONMENT_COUNTS; i++)
        h = digest_int(h, mld_json_int(mld_json_get(json, environment_counts[i]), -1));
    char key[17];
    digest_hex(h, key);
    MLD_TRY(
        store_find(s, STORE_FIND_ENVIRONMENT,
                   "SELECT environment_id FROM environments WHERE environment_key = $1",
                   key, id, err));
    if (*id >= 0)
        return 0;
    duckdb_prepared_statement st;
    int rc = 0;
    MLD_TRY(mld_duck_prepare(
        s, STORE_ADD_ENVIRONMENT,
        "INSERT INTO environments (environment_key, fingerprint, hostname, first_seen,"
        " os, kernel, machine, cpu_model, cpu_vendor, governor, virtualization,"
        " container, cores_physical, cores_logical, cores_allowed, memory_total_bytes)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)"
        " RETURNING environment_id",
        &st, err));
    idx_t at = 1;
    mld_bind_text(st, at++, key, &rc);
    mld_bind_text(st, at++, run->environment_fingerprint, &rc);
    mld_bind_text(st, at++, run->hostname, &rc);
    mld_bind_wall(st, at++, mld_wall_us(), &rc);
    for (size_t i = 0; i < ENVIRONMENT_TEXTS; i++)
        mld_bind_text(st, at++,
                      mld_json_str(mld_json_get(json, environment_texts[i]), NULL), &rc);
    for (size_t i = 0; i < ENVIRONMENT_COUNTS; i++)
        mld_bind_count(st, at++,
                       mld_json_int(mld_json_get(json, environment_counts[i]), -1), &rc);
    MLD_TRY(mld_bind_check(rc, st, err));
    return mld_duck_run(s, st, id, err);
}

static int run_add(struct mld_store *s, const struct mld_store_run *run,
                   const struct mld_json *environment, const char *id,
                   struct mld_error *err)
{
    int64_t environment_id;
    duckdb_prepared_statement st;
    int rc = 0;
    MLD_TRY(environment_add(s, run, environment, &environment_id, err));
    MLD_TRY(mld_duck_prepare(s, STORE_ADD_RUN,
                             "INSERT INTO runs (run_id, started_at, command_line,"
                             " mldyno_version, git_commit, environment_id,"
                             " environment_json) VALUES ($1, $2, $3, $4, $5, $6, $7)",
                             &st, err));
    mld_bind_text(st, 1, id, &rc);
    mld_bind_wall(st, 2, mld_wall_us(), &rc);
    mld_bind_text(st, 3, run->command_line, &rc);
    mld_bind_text(st, 4, run->mldyno_version, &rc);
    mld_bind_text(st, 5, run->git_commit, &rc);
    mld_bind_count(st, 6, environment_id, &rc);
    mld_bind_text(st, 7, run->environment_json, &rc);
    MLD_TRY(mld_bind_check(rc, st, err));
    return mld_duck_run(s, st, NULL, err);
}

/* Ends the transaction: COMMIT when rc is 0, else ROLLBACK; returns what came of it. */
static int store_finish(struct mld_store *s, int rc, struct mld_error *err)
{
    if (rc == 0)
        rc = mld_duck_exec(s, "COMMIT", err);
    if (rc != 0 && mld_duck_exec(s, "ROLLBACK", NULL) != 0)
        return rc; /* nothing was open any more: the first failure is the news */
    return rc;
}

static int store_check_writable(const struct mld_store *s, struct mld_error *err)
{
    if (s->mode == MLD_STORE_WRITE)
        return 0;
    return mld_error_set(err, MLD_E_INVALID, "'%s' was opened for reading only", s->path);
}

int mld_store_begin_run(struct mld_store *s, const struct mld_store_run *run, char id[37],
                        struct mld_error *err)
{
    MLD_TRY(store_check_writable(s, err));
    /* Version 7: sorts by time. */
    struct mld_rows rows;
    MLD_TRY(mld_store_query(s, "SELECT uuidv7()::VARCHAR", &rows, err));
    snprintf(id, 37, "%s", rows.cells[0].text);
    mld_rows_release(&rows);

    struct mld_json *environment = NULL;
    if (run->environment_json != NULL && run->environment_json[0] != '\0')
        MLD_TRY(mld_json_parse(run->environment_json, strlen(run->environment_json),
                               "environment", &environment, err));
    int rc = mld_duck_exec(s, "BEGIN TRANSACTION", err);
    if (rc == 0)
        rc = store_finish(s, run_add(s, run, environment, id, err), err);
    mld_json_free(environment);
    return rc;
}

int mld_store_end_run(struct mld_store *s, const char *run_id, struct mld_error *err)
{
    duckdb_prepared_statement st;
    int64_t changed;
    int rc = 0;
    MLD_TRY(store_check_writable(s, err));
    MLD_TRY(mld_duck_prepare(s, STORE_END_RUN,
                             "UPDATE runs SET ended_at = $2 WHERE run_id = $1::UUID", &st,
                             err));
    mld_bind_text(st, 1, run_id, &rc);
    mld_bind_wall(st, 2, mld_wall_us(), &rc);
    MLD_TRY(mld_bind_check(rc, st, err));
    MLD_TRY(mld_duck_run(s, st, &changed, err));
    if (changed != 1)
        return mld_error_set(err, MLD_E_NOT_FOUND, "no run '%s' in '%s'", run_id,
                             s->path);
    return 0;
}

/* --- results ------------------------------------------------------------------------ */

void mld_store_result_init(struct mld_store_result *r)
{
    memset(r, 0, sizeof *r);
    r->parameters = r->layers = r->layers_full = -1;
    r->device_memory_total_bytes = -1;
#define UNKNOWN_TEXT(field)
#define UNKNOWN_COUNT(field)  r->field = -1;
#define UNKNOWN_BOOL(field)   r->field = -1;
#define UNKNOWN_REAL(field)   r->field = (double)NAN;
#define UNKNOWN_SIGNED(field) r->field = (double)NAN;
#define X(kind, field)        UNKNOWN_##kind(field)
#include "store/result_columns.def"
#undef X
}

static const char result_insert_columns[] =
    "INSERT INTO results (run_id, model_id, hardware_id, config_hash, created_at"
#define X(kind, field) ", " #field
#include "store/result_columns.def"
#undef X
    ") VALUES (";

/* Places of the statement's parameters: the ids, the hash and the time come first. */
enum result_place {
    RESULT_FIXED = 5,
#define X(kind, field) RESULT_PLACE_##field,
#include "store/result_columns.def"
#undef X
    RESULT_PLACE_END
};

static int result_prepare(struct mld_store *s, duckdb_prepared_statement *st,
                          struct mld_error *err)
{
    if (s->prepared[STORE_ADD_RESULT] != NULL)
        return mld_duck_prepare(s, STORE_ADD_RESULT, "", st, err);
    struct mld_str sql = {0};
    mld_str_add(&sql, result_insert_columns);
    for (int i = 1; i < RESULT_PLACE_END; i++)
        mld_str_addf(&sql, "%s$%d", i > 1 ? ", " : "", i);
    mld_str_add(&sql, ") RETURNING result_id");
    int rc = mld_str_check(&sql, err);
    if (rc == 0)
        rc = mld_duck_prepare(s, STORE_ADD_RESULT, mld_str_c(&sql), st, err);
    mld_str_release(&sql);
    return rc;
}

/* What makes two results the same case: all but the run, the machine and the versions. */
static uint64_t config_digest(const struct mld_store_result *r, const char *model_key)
{
    uint64_t h = digest_text(MLD_FNV_BASIS, model_key);
    h = digest_text(h, r->precision);
    h = digest_text(h, r->mode);
    h = digest_int(h, r->batch_size);
    h = digest_text(h, r->shapes_json);
    h = digest_text(h, r->platform);
    h = digest_text(h, r->device_id);
    h = digest_text(h, r->device_name);
    h = digest_text(h, r->engine);
    return digest_int(h, r->threads);
}

static int result_row(struct mld_store *s, const struct mld_store_result *r,
                      int64_t *result_id, struct mld_error *err)
{
    char model_key[17], config_hash[17];
    int64_t model_id, hardware_id;
    duckdb_prepared_statement st;
    int rc = 0;
    digest_hex(model_digest(r), model_key);
    digest_hex(config_digest(r, model_key), config_hash);
    MLD_TRY(store_model(s, r, model_key, &model_id, err));
    MLD_TRY(store_hardware(s, r, &hardware_id, err));
    MLD_TRY(result_prepare(s, &st, err));
    mld_bind_text(st, 1, r->run_id, &rc);
    mld_bind_count(st, 2, model_id, &rc);
    mld_bind_count(st, 3, hardware_id, &rc);
    mld_bind_text(st, 4, config_hash, &rc);
    mld_bind_wall(st, RESULT_FIXED, mld_wall_us(), &rc);
#define BIND_TEXT(field)   mld_bind_text(st, RESULT_PLACE_##field, r->field, &rc);
#define BIND_COUNT(field)  mld_bind_count(st, RESULT_PLACE_##field, r->field, &rc);
#define BIND_REAL(field)   mld_bind_real(st, RESULT_PLACE_##field, r->field, &rc);
#define BIND_SIGNED(field) mld_bind_signed(st, RESULT_PLACE_##field, r->field, &rc);
#define BIND_BOOL(field)   mld_bind_bool(st, RESULT_PLACE_##field, r->field, &rc);
#define X(kind, field)     BIND_##kind(field)
#include "store/result_columns.def"
#undef X
    MLD_TRY(mld_bind_check(rc, st, err));
    return mld_duck_run(s, st, result_id, err);
}

static int result_phases(struct mld_store *s, const struct mld_store_result *r,
                         int64_t result_id, struct mld_error *err)
{
    for (size_t i = 0; i < r->phase_count; i++) {
        if (r->phases[i].ns < 0)
            continue; /* unknown */
        duckdb_prepared_statement st;
        int rc = 0;
        MLD_TRY(mld_duck_prepare(s, STORE_ADD_PHASE,
                                 "INSERT INTO phases VALUES ($1, $2, $3)", &st, err));
        mld_bind_count(st, 1, result_id, &rc);
        mld_bind_text(st, 2, r->phases[i].name, &rc);
        mld_bind_count(st, 3, r->phases[i].ns, &rc);
        MLD_TRY(mld_bind_check(rc, st, err));
        MLD_TRY(mld_duck_run(s, st, NULL, err));
    }
    return 0;
}

static int result_placement(struct mld_store *s, const struct mld_store_result *r,
                            int64_t result_id, struct mld_error *err)
{
    if ((r->placement_provider == NULL || r->placement_provider[0] == '\0') &&
        r->nodes_total < 0)
        return 0;
    duckdb_prepared_statement st;
    int rc = 0;
    MLD_TRY(mld_duck_prepare(s, STORE_ADD_PLACEMENT,
                             "INSERT INTO placement VALUES ($1, $2, $3, $4)", &st, err));
    mld_bind_count(st, 1, result_id, &rc);
    mld_bind_text(st, 2, r->placement_provider, &rc);
    mld_bind_count(st, 3, r->nodes_total, &rc);
    mld_bind_count(st, 4, r->nodes_on_device, &rc);
    MLD_TRY(mld_bind_check(rc, st, err));
    return mld_duck_run(s, st, NULL, err);
}

/* Fills the chunk's own memory, a vector of rows at a time: no call per value. */
static int samples_append(duckdb_appender appender, duckdb_data_chunk chunk,
                          const struct mld_store_result *r, int64_t result_id)
{
    idx_t width = duckdb_vector_size();
    for (size_t begin = 0; begin < r->samples_total; begin += width) {
        size_t n = r->samples_total - begin < width ? r->samples_total - begin : width;
        duckdb_data_chunk_reset(chunk);
        int64_t *id = duckdb_vector_get_data(duckdb_data_chunk_get_vector(chunk, 0));
        int32_t *index = duckdb_vector_get_data(duckdb_data_chunk_get_vector(chunk, 1));
        int64_t *ns = duckdb_vector_get_data(duckdb_data_chunk_get_vector(chunk, 2));
        bool *warmup = duckdb_vector_get_data(duckdb_data_chunk_get_vector(chunk, 3));
        for (size_t k = 0; k < n; k++) {
            uint64_t x = r->samples_ns[begin + k];
            id[k] = result_id;
            index[k] = (int32_t)(begin + k);
            ns[k] = x > INT64_MAX ? INT64_MAX : (int64_t)x;
            warmup[k] = begin + k < r->samples_warmup;
        }
        duckdb_data_chunk_set_size(chunk, n);
        if (duckdb_append_data_chunk(appender, chunk) != DuckDBSuccess)
            return -1;
    }
    return duckdb_appender_close(appender) == DuckDBSuccess ? 0 : -1;
}

static int result_samples(struct mld_store *s, const struct mld_store_result *r,
                          int64_t result_id, struct mld_error *err)
{
    if (r->samples_total == 0)
        return 0;
    if (r->samples_total > INT32_MAX)
        return mld_error_set(err, MLD_E_TOO_LARGE, "%zu samples in one case",
                             r->samples_total);
    duckdb_logical_type types[] = {duckdb_create_logical_type(DUCKDB_TYPE_BIGINT),
                                   duckdb_create_logical_type(DUCKDB_TYPE_INTEGER),
                                   duckdb_create_logical_type(DUCKDB_TYPE_BIGINT),
                                   duckdb_create_logical_type(DUCKDB_TYPE_BOOLEAN)};
    duckdb_data_chunk chunk = duckdb_create_data_chunk(types, 4);
    duckdb_appender appender = NULL;
    int rc = 0;
    if (chunk == NULL) {
        rc = mld_error_set(err, MLD_E_NO_MEMORY, "out of memory");
    } else if (duckdb_appender_create(s->conn, NULL, "samples", &appender) !=
                   DuckDBSuccess ||
               samples_append(appender, chunk, r, result_id) != 0) {
        duckdb_error_data why = duckdb_appender_error_data(appender);
        rc = mld_duck_error(err, duckdb_error_data_error_type(why), s->path,
                            duckdb_error_data_message(why));
        duckdb_destroy_error_data(&why);
    }
    duckdb_appender_destroy(&appender);
    duckdb_destroy_data_chunk(&chunk);
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        duckdb_destroy_logical_type(&types[i]);
    return rc;
}

static int result_all(struct mld_store *s, const struct mld_store_result *r,
                      int64_t *result_id, struct mld_error *err)
{
    MLD_TRY(result_row(s, r, result_id, err));
    MLD_TRY(result_phases(s, r, *result_id, err));
    MLD_TRY(result_placement(s, r, *result_id, err));
    return result_samples(s, r, *result_id, err);
}

int mld_store_add_result(struct mld_store *s, const struct mld_store_result *r,
                         int64_t *result_id, struct mld_error *err)
{
    int64_t id = -1;
    MLD_TRY(store_check_writable(s, err));
    if (r->samples_warmup > r->samples_total)
        return mld_error_set(err, MLD_E_INVALID, "%zu warm-up samples of %zu",
                             r->samples_warmup, r->samples_total);
    MLD_TRY(mld_duck_exec(s, "BEGIN TRANSACTION", err));
    int rc = store_finish(s, result_all(s, r, &id, err), err);
    if (result_id != NULL)
        *result_id = rc == 0 ? id : -1;
    return rc;
}

/* --- the hardware, and people's notes ------------------------------------------------
 */

static int availability_all(struct mld_store *s, const char *run_id,
                            const struct mld_store_availability *rows, size_t n,
                            struct mld_error *err)
{
    int64_t now = mld_wall_us(); /* one look, one time */
    for (size_t i = 0; i < n; i++) {
        duckdb_prepared_statement st;
        int rc = 0;
        MLD_TRY(mld_duck_prepare(
            s, STORE_ADD_AVAILABILITY,
            "INSERT INTO availability_log (run_id, seen_at, backend, engine,"
            " engine_version, platform, device_id, device_name, usable, reason)"
            " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
            &st, err));
        mld_bind_text(st, 1, run_id, &rc);
        mld_bind_wall(st, 2, now, &rc);
        mld_bind_text(st, 3, rows[i].backend, &rc);
        mld_bind_text(st, 4, rows[i].engine, &rc);
        mld_bind_text(st, 5, rows[i].engine_version, &rc);
        mld_bind_text(st, 6, rows[i].platform, &rc);
        mld_bind_text(st, 7, rows[i].device_id, &rc);
        mld_bind_text(st, 8, rows[i].device_name, &rc);
        mld_bind_bool(st, 9, rows[i].usable, &rc);
        mld_bind_text(st, 10, rows[i].reason, &rc);
        MLD_TRY(mld_bind_check(rc, st, err));
        MLD_TRY(mld_duck_run(s, st, NULL, err));
    }
    return 0;
}

int mld_store_add_availability(struct mld_store *s, const char *run_id,
                               const struct mld_store_availability *rows, size_t n,
                               struct mld_error *err)
{
    MLD_TRY(store_check_writable(s, err));
    MLD_TRY(mld_duck_exec(s, "BEGIN TRANSACTION", err));
    return store_finish(s, availability_all(s, run_id, rows, n, err), err);
}

int mld_store_annotate(struct mld_store *s, const char *run_id, int64_t result_id,
                       const char *author, const char *note, struct mld_error *err)
{
    duckdb_prepared_statement st;
    int64_t added;
    int rc = 0;
    MLD_TRY(store_check_writable(s, err));
    if (note == NULL || note[0] == '\0')
        return mld_error_set(err, MLD_E_INVALID, "a note without text");
    MLD_TRY(mld_duck_prepare(
        s, STORE_ADD_ANNOTATION,
        "INSERT INTO annotations (created_at, run_id, result_id, author, note)"
        " SELECT $1, $2::UUID, $3, $4, $5"
        " WHERE ($2 IS NULL OR EXISTS (FROM runs WHERE run_id = $2::UUID))"
        " AND ($3 IS NULL OR EXISTS (FROM results WHERE result_id = $3))",
        &st, err));
    mld_bind_wall(st, 1, mld_wall_us(), &rc);
    mld_bind_text(st, 2, run_id, &rc);
    mld_bind_count(st, 3, result_id, &rc);
    mld_bind_text(st, 4, author, &rc);
    mld_bind_text(st, 5, note, &rc);
    MLD_TRY(mld_bind_check(rc, st, err));
    MLD_TRY(mld_duck_run(s, st, &added, err));
    if (added == 1)
        return 0;
    if (run_id != NULL)
        return mld_error_set(err, MLD_E_NOT_FOUND, "no run '%s' in '%s'", run_id,
                             s->path);
    return mld_error_set(err, MLD_E_NOT_FOUND, "no result %" PRId64 " in '%s'", result_id,
                         s->path);
}
