/* store_reports.c: the named queries of `mldyno query NAME`, a table of SQL. */
#include "store/store.h"

#include <string.h>

#include "base/str.h"

static const struct mld_store_report reports[] = {
    {"comprehensive", "every result, newest first: model, hardware, figures, status",
     "SELECT result_id, date_trunc('second', created_at) AS created_at, model, "
     "class_name,"
     "  platform, device_name, engine, precision, precision_effective, mode, batch_size,"
     "  shapes_json,"
     "  throughput_per_s, p50_ms, p50_low_ms, p50_high_ms, p95_ms, p99_ms,"
     "  memory_peak_bytes, flop_per_s, sample_count, status, origin, reason "
     "FROM comprehensive_benchmarks ORDER BY result_id DESC"},
    {"latest", "the newest result of each configuration on each machine",
     "SELECT date_trunc('second', created_at) AS created_at, model, class_name, platform,"
     "  device_name, engine, engine_version, precision, precision_effective, mode,"
     "  batch_size, shapes_json,"
     "  throughput_per_s, p50_ms, p50_low_ms, p50_high_ms, p95_ms, p99_ms, status,"
     "  origin, hostname FROM latest "
     "ORDER BY model, class_name, platform, precision, mode, batch_size"},
    {"best", "the best measured throughput of each model on each device",
     "SELECT model, class_name, platform, device_name, engine,"
     "  precision_effective AS precision, mode, batch_size, threads, throughput_per_s,"
     "  p50_ms, flop_per_s, memory_peak_bytes, hostname,"
     "  date_trunc('second', created_at) AS created_at FROM best "
     "ORDER BY model, class_name, throughput_per_s DESC"},
    {"history", "each configuration over time, with the change of its median",
     "SELECT date_trunc('second', created_at) AS created_at, model, class_name, platform,"
     "  engine, engine_version, precision, mode, batch_size, status, p50_ms, p50_low_ms, "
     "p50_high_ms, p50_change,"
     "  git_commit, hostname, config_hash FROM history "
     "ORDER BY model, class_name, platform, precision, mode, batch_size, config_hash,"
     "  result_id"},
    {"compatibility", "what runs where: model by device, with counts of each outcome",
     "SELECT model, class_name, platform, device_name, engine, configurations, ok,"
     "  mistrusted, unsupported, skipped, failed, best_throughput_per_s,"
     "  best_batch_size, best_precision,"
     "  date_trunc('second', last_seen) AS last_seen FROM model_hardware_matrix "
     "ORDER BY model, class_name, platform, device_name, engine"},
    {"failures", "what did not come to a trusted number, and the command to repeat it",
     "SELECT date_trunc('second', created_at) AS created_at, status, reason, model, "
     "class_name, platform, engine, precision,"
     "  mode, batch_size, reproduce FROM failures ORDER BY result_id DESC"},
    {"models", "the models that were measured",
     "SELECT model, class_name, model_type, checkpoint, categories, parameters, layers,"
     "  layers_full, count(result_id) AS results, "
     "  date_trunc('second', m.first_seen) AS first_seen FROM models m "
     "LEFT JOIN results r USING (model_id) "
     "GROUP BY ALL ORDER BY model, class_name, layers"},
    {"hardware", "the devices that were measured on",
     "SELECT platform, device_name, device_vendor, memory_total_bytes,"
     "  count(result_id) AS results, count(DISTINCT model_id) AS models, "
     "  date_trunc('second', h.first_seen) AS first_seen "
     "FROM hardware h LEFT JOIN results r USING (hardware_id) "
     "GROUP BY ALL ORDER BY platform, device_name"},
    {"environments", "the machines",
     "SELECT hostname, cpu_model, cores_physical, cores_allowed, memory_total_bytes, os,"
     "  kernel, governor, virtualization, container, fingerprint,"
     "  count(run_id) AS runs, date_trunc('second', e.first_seen) AS first_seen "
     "FROM environments e LEFT JOIN runs u USING (environment_id) "
     "GROUP BY ALL ORDER BY first_seen"},
    {"runs", "one line per run of bench or run, newest first",
     "SELECT * REPLACE (date_trunc('second', started_at) AS started_at,"
     "  date_trunc('second', ended_at) AS ended_at) FROM run_summary ORDER BY started_at "
     "DESC"},
    {"availability", "what the newest look found of each device",
     "SELECT date_trunc('second', seen_at) AS seen_at, backend, engine, engine_version, "
     "platform, device_id, device_name,"
     "  usable, reason FROM availability ORDER BY platform, device_id, backend"},
    {"schema", "tables and views of the database, and their columns",
     "SELECT table_name, column_name, data_type FROM duckdb_columns() "
     "WHERE NOT internal AND database_name = current_database() "
     "ORDER BY table_name, column_index"},
};

const struct mld_store_report *mld_store_reports(size_t *n)
{
    *n = sizeof reports / sizeof reports[0];
    return reports;
}

const struct mld_store_report *mld_store_report_find(const char *name)
{
    for (size_t i = 0; i < sizeof reports / sizeof reports[0]; i++)
        if (mld_streq(reports[i].name, name))
            return &reports[i];
    return NULL;
}
