/* migrations.c: the schema of the database, step by step.
 *
 * A released step is never edited: its checksum is kept in every database it was applied
 * to. A change is a new step at the end. Times are UTC, in TIMESTAMP columns. No foreign
 * keys: DuckDB checks them row by row and refuses updates of rows that are referred to;
 * the one writer (store_write.c) keeps the references right. */
#include "store/store_int.h"

static const char *const initial[] = {
    "CREATE SEQUENCE model_ids",
    "CREATE TABLE models ("
    "  model_id BIGINT PRIMARY KEY DEFAULT nextval('model_ids'),"
    "  model_key VARCHAR NOT NULL UNIQUE," /* digest of all that follows */
    "  model VARCHAR NOT NULL,"            /* what the user named */
    "  model_type VARCHAR,"                /* bert, gpt2 ... */
    "  class_name VARCHAR,"                /* BertForMaskedLM */
    "  checkpoint VARCHAR,"                /* bert-base-uncased */
    "  categories VARCHAR,"                /* comma separated */
    "  parameters BIGINT,"
    "  layers BIGINT,"
    "  layers_full BIGINT," /* more than layers: the model was cut in depth */
    "  config_json VARCHAR,"
    "  first_seen TIMESTAMP NOT NULL)",

    "CREATE SEQUENCE hardware_ids",
    "CREATE TABLE hardware ("
    "  hardware_id BIGINT PRIMARY KEY DEFAULT nextval('hardware_ids'),"
    "  hardware_key VARCHAR NOT NULL UNIQUE,"
    "  platform VARCHAR NOT NULL," /* cpu, cuda, webgpu ... */
    "  device_name VARCHAR,"
    "  device_vendor VARCHAR,"
    "  memory_total_bytes BIGINT,"
    "  first_seen TIMESTAMP NOT NULL)",

    "CREATE SEQUENCE environment_ids",
    "CREATE TABLE environments ("
    "  environment_id BIGINT PRIMARY KEY DEFAULT nextval('environment_ids'),"
    "  environment_key VARCHAR NOT NULL UNIQUE,"
    "  fingerprint VARCHAR," /* equal: two machines are comparable */
    "  hostname VARCHAR,"
    "  os VARCHAR,"
    "  kernel VARCHAR,"
    "  machine VARCHAR,"
    "  cpu_model VARCHAR,"
    "  cpu_vendor VARCHAR,"
    "  cores_physical INTEGER,"
    "  cores_logical INTEGER,"
    "  cores_allowed INTEGER,"
    "  memory_total_bytes BIGINT,"
    "  governor VARCHAR,"
    "  virtualization VARCHAR,"
    "  container VARCHAR,"
    "  first_seen TIMESTAMP NOT NULL)",

    "CREATE TABLE runs ("
    "  run_id UUID PRIMARY KEY,"
    "  started_at TIMESTAMP NOT NULL,"
    "  ended_at TIMESTAMP," /* NULL: still going, or killed */
    "  command_line VARCHAR,"
    "  mldyno_version VARCHAR,"
    "  git_commit VARCHAR,"
    "  environment_id BIGINT NOT NULL,"
    "  environment_json VARCHAR)",

    "CREATE SEQUENCE result_ids",
    "CREATE TABLE results ("
    "  result_id BIGINT PRIMARY KEY DEFAULT nextval('result_ids'),"
    "  run_id UUID NOT NULL,"
    "  model_id BIGINT NOT NULL,"
    "  hardware_id BIGINT NOT NULL,"
    "  config_hash VARCHAR NOT NULL," /* equal: the same case, engine version aside */
    "  created_at TIMESTAMP NOT NULL,"
    "  artifact_key VARCHAR, device_id VARCHAR, device_driver VARCHAR,"
    "  engine VARCHAR, engine_version VARCHAR,"
    "  precision VARCHAR, precision_effective VARCHAR, precision_emulated BOOLEAN,"
    "  mode VARCHAR, batch_size BIGINT, shapes_json VARCHAR, threads INTEGER,"
    "  status VARCHAR NOT NULL CHECK (status IN ('ok', 'unsupported', 'skipped',"
    "    'failed', 'timed_out', 'out_of_memory', 'mistrusted', 'cancelled')),"
    "  reason VARCHAR,"
    "  origin VARCHAR NOT NULL CHECK (origin IN ('measured', 'imported', 'extrapolated',"
    "    'predicted')),"
    "  throughput_per_s DOUBLE, throughput_unit VARCHAR,"
    "  ttft_ms DOUBLE, tpot_ms DOUBLE, tokens_per_s DOUBLE,"
    "  mean_ms DOUBLE, mean_low_ms DOUBLE, mean_high_ms DOUBLE, stddev_ms DOUBLE,"
    "  min_ms DOUBLE, max_ms DOUBLE,"
    "  p50_ms DOUBLE, p50_low_ms DOUBLE, p50_high_ms DOUBLE, p90_ms DOUBLE,"
    "  p95_ms DOUBLE, p95_low_ms DOUBLE, p95_high_ms DOUBLE,"
    "  p99_ms DOUBLE, p99_low_ms DOUBLE, p99_high_ms DOUBLE,"
    "  sample_count BIGINT, warmup_count BIGINT,"
    "  harness_ns DOUBLE, autocorrelation DOUBLE, effective_count DOUBLE,"
    "  memory_peak_bytes BIGINT, memory_floor_bytes BIGINT,"
    "  memory_weights_bytes BIGINT, memory_device_bytes BIGINT,"
    "  flops DOUBLE, matmul_flops DOUBLE, read_bytes DOUBLE, write_bytes DOUBLE,"
    "  flop_per_s DOUBLE, peak_share DOUBLE, energy_j DOUBLE,"
    "  nodes_total BIGINT, nodes_on_device BIGINT,"
    "  load_before DOUBLE, load_after DOUBLE,"
    "  temperature_before_c DOUBLE, temperature_after_c DOUBLE,"
    "  frequency_before_khz BIGINT, frequency_after_khz BIGINT,"
    "  cpu_time_share DOUBLE, accuracy_json VARCHAR, reproduce VARCHAR)",

    "CREATE TABLE phases ("
    "  result_id BIGINT NOT NULL,"
    "  phase VARCHAR NOT NULL," /* build, startup, load, first_run, warmup, steady */
    "  ns BIGINT NOT NULL)",

    "CREATE TABLE samples ("
    "  result_id BIGINT NOT NULL,"
    "  i INTEGER NOT NULL," /* 0, 1, 2 ... in the order measured */
    "  ns BIGINT NOT NULL,"
    "  warmup BOOLEAN NOT NULL)",

    "CREATE TABLE placement ("
    "  result_id BIGINT NOT NULL,"
    "  provider VARCHAR,"
    "  nodes BIGINT," /* of the graph as the engine made it */
    "  nodes_on_device BIGINT)",

    "CREATE TABLE availability_log ("
    "  run_id UUID," /* NULL: a look outside of a run */
    "  seen_at TIMESTAMP NOT NULL,"
    "  backend VARCHAR NOT NULL,"
    "  engine VARCHAR, engine_version VARCHAR,"
    "  platform VARCHAR, device_id VARCHAR, device_name VARCHAR,"
    "  usable BOOLEAN NOT NULL,"
    "  reason VARCHAR)",

    "CREATE SEQUENCE annotation_ids",
    "CREATE TABLE annotations ("
    "  annotation_id BIGINT PRIMARY KEY DEFAULT nextval('annotation_ids'),"
    "  created_at TIMESTAMP NOT NULL,"
    "  run_id UUID,"
    "  result_id BIGINT,"
    "  author VARCHAR,"
    "  note VARCHAR NOT NULL)",

    /* Everything of a result that a person reads, in one row. */
    "CREATE VIEW comprehensive_benchmarks AS "
    "SELECT r.result_id, r.run_id, r.created_at, r.config_hash,"
    "  m.model, m.model_type, m.class_name, m.checkpoint, m.categories, m.parameters,"
    "  m.layers, m.layers_full,"
    "  h.platform, r.device_id, h.device_name, h.device_vendor, r.device_driver,"
    "  h.memory_total_bytes AS device_memory_total_bytes,"
    "  r.engine, r.engine_version, r.precision, r.precision_effective,"
    "  r.precision_emulated, r.mode, r.batch_size, r.shapes_json, r.threads,"
    "  r.status, r.reason, r.origin,"
    "  r.throughput_per_s, r.throughput_unit, r.ttft_ms, r.tpot_ms, r.tokens_per_s,"
    "  r.mean_ms, r.mean_low_ms, r.mean_high_ms, r.stddev_ms, r.min_ms, r.max_ms,"
    "  r.p50_ms, r.p50_low_ms, r.p50_high_ms, r.p90_ms, r.p95_ms, r.p95_low_ms,"
    "  r.p95_high_ms, r.p99_ms, r.p99_low_ms, r.p99_high_ms,"
    "  r.sample_count, r.warmup_count, r.harness_ns, r.autocorrelation,"
    "  r.effective_count,"
    "  r.memory_peak_bytes, r.memory_floor_bytes, r.memory_weights_bytes,"
    "  r.memory_device_bytes,"
    "  r.flops, r.matmul_flops, r.read_bytes, r.write_bytes, r.flop_per_s,"
    "  r.peak_share, r.energy_j, r.nodes_total, r.nodes_on_device,"
    "  p.build_ms, p.startup_ms, p.load_ms, p.first_run_ms, p.warmup_ms, p.steady_ms,"
    "  r.load_before, r.load_after, r.temperature_before_c, r.temperature_after_c,"
    "  r.frequency_before_khz, r.frequency_after_khz, r.cpu_time_share,"
    "  r.accuracy_json, r.artifact_key, r.reproduce,"
    "  e.fingerprint AS environment_fingerprint, e.hostname, e.os, e.kernel,"
    "  e.cpu_model, e.cores_physical, e.cores_allowed, e.governor, e.virtualization,"
    "  u.started_at AS run_started_at, u.mldyno_version, u.git_commit, u.command_line "
    "FROM results r "
    "JOIN models m USING (model_id) "
    "JOIN hardware h USING (hardware_id) "
    "JOIN runs u USING (run_id) "
    "JOIN environments e ON e.environment_id = u.environment_id "
    "LEFT JOIN (SELECT result_id,"
    "    max(ns) FILTER (phase = 'build') / 1e6 AS build_ms,"
    "    max(ns) FILTER (phase = 'startup') / 1e6 AS startup_ms,"
    "    max(ns) FILTER (phase = 'load') / 1e6 AS load_ms,"
    "    max(ns) FILTER (phase = 'first_run') / 1e6 AS first_run_ms,"
    "    max(ns) FILTER (phase = 'warmup') / 1e6 AS warmup_ms,"
    "    max(ns) FILTER (phase = 'steady') / 1e6 AS steady_ms"
    "  FROM phases GROUP BY result_id) p ON p.result_id = r.result_id",

    /* The newest result of each configuration on each kind of machine. */
    "CREATE VIEW latest AS "
    "SELECT * FROM comprehensive_benchmarks "
    "QUALIFY row_number() OVER (PARTITION BY config_hash, environment_fingerprint"
    "  ORDER BY result_id DESC) = 1",

    /* The best measured throughput of each model on each device, by precision and mode.
     */
    "CREATE VIEW best AS "
    "SELECT * FROM latest WHERE status = 'ok' AND origin = 'measured' "
    "AND platform NOT IN ('null', 'skeleton') "
    "QUALIFY row_number() OVER (PARTITION BY model, class_name, layers, platform,"
    "  device_name, environment_fingerprint, precision_effective, mode, shapes_json"
    "  ORDER BY throughput_per_s DESC NULLS LAST, result_id DESC) = 1",

    /* One row per model and device: what is known there. */
    "CREATE VIEW model_hardware_matrix AS "
    "SELECT model, class_name, platform, device_name, engine,"
    "  count(*) AS configurations,"
    "  count(*) FILTER (status = 'ok') AS ok,"
    "  count(*) FILTER (status = 'mistrusted') AS mistrusted,"
    "  count(*) FILTER (status = 'unsupported') AS unsupported,"
    "  count(*) FILTER (status = 'skipped') AS skipped,"
    "  count(*) FILTER (status IN ('failed', 'timed_out', 'out_of_memory')) AS failed,"
    "  max(throughput_per_s) FILTER (status = 'ok') AS best_throughput_per_s,"
    "  arg_max(batch_size, throughput_per_s) FILTER (status = 'ok') AS best_batch_size,"
    "  arg_max(precision_effective, throughput_per_s) FILTER (status = 'ok')"
    "    AS best_precision,"
    "  min(p50_ms) FILTER (status = 'ok') AS lowest_p50_ms,"
    "  max(created_at) AS last_seen "
    "FROM latest WHERE origin = 'measured' AND platform NOT IN ('null', 'skeleton') "
    "GROUP BY model, class_name, platform, device_name, engine",

    /* What did not come to a trusted number, newest first, with the command to repeat. */
    "CREATE VIEW failures AS "
    "SELECT result_id, created_at, status, reason, model, class_name, platform,"
    "  device_name, engine, engine_version, precision, mode, batch_size, shapes_json,"
    "  hostname, run_id, reproduce "
    "FROM comprehensive_benchmarks WHERE status <> 'ok' ORDER BY result_id DESC",

    /* Each configuration over time, with the change of its median from the one before. */
    "CREATE VIEW history AS "
    "SELECT config_hash, created_at, model, class_name, platform, device_name, engine,"
    "  engine_version, precision, mode, batch_size, shapes_json, threads, status,"
    "  throughput_per_s, p50_ms, p50_low_ms, p50_high_ms,"
    "  p50_ms / lag(CASE WHEN status = 'ok' THEN p50_ms END IGNORE NULLS) OVER w - 1"
    "    AS p50_change,"
    "  mldyno_version, git_commit, hostname, environment_fingerprint, result_id, run_id "
    "FROM comprehensive_benchmarks "
    "WINDOW w AS (PARTITION BY config_hash, environment_fingerprint ORDER BY result_id)",

    /* One row per run. */
    "CREATE VIEW run_summary AS "
    "SELECT u.run_id, u.started_at, u.ended_at,"
    "  count(r.result_id) AS results,"
    "  count(r.result_id) FILTER (r.status = 'ok') AS ok,"
    "  count(r.result_id) FILTER (r.status IN ('failed', 'timed_out', 'out_of_memory'))"
    "    AS failed,"
    "  any_value(e.hostname) AS hostname, u.mldyno_version, u.git_commit, u.command_line "
    "FROM runs u JOIN environments e USING (environment_id) "
    "LEFT JOIN results r ON r.run_id = u.run_id "
    "GROUP BY u.run_id, u.started_at, u.ended_at, u.mldyno_version, u.git_commit,"
    "  u.command_line",

    /* Raw samples in milliseconds, the warm-up's left out. */
    "CREATE VIEW steady_samples AS "
    "SELECT result_id, i, ns / 1e6 AS ms FROM samples WHERE NOT warmup",

    /* What the newest look found of each device. */
    "CREATE VIEW availability AS "
    "SELECT * FROM availability_log "
    "QUALIFY row_number() OVER (PARTITION BY backend, engine, platform, device_id"
    "  ORDER BY seen_at DESC) = 1",
    NULL};

const struct mld_migration mld_migrations[] = {
    {1, "initial", initial},
};
const size_t mld_migration_count = sizeof mld_migrations / sizeof mld_migrations[0];
