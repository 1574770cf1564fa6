# the whole way of the data, on the engine that computes nothing
mldyno bench --model bert --layers 1 --seq 8 --hardware null --batch-sizes 1,2 \
    -o latency=200us -o noise=normal --min-time 100ms --max-time 2s --format json \
    --db-path t.duckdb > out.json
mldyno query --db-path t.duckdb --format csv \
    --sql "select batch_size, status in ('ok', 'mistrusted') as measured, origin, sample_count > 0 as sampled from comprehensive_benchmarks order by batch_size"
mldyno db status --db-path t.duckdb --format json | grep -c results
