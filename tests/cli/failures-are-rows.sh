# a crash, a hang, garbage and a refusal each become a row, and the sweep goes on
for fail in crash=run:3 hang=run:3 garbage=run:3 fail-at=load fail-at=run:2; do
    mldyno bench --model bert --layers 1 --seq 8 --hardware null --batch-sizes 1,2 \
        -o latency=1ms -o "$fail" --timeout 2s --min-time 50ms --max-time 300ms \
        --db-path t.duckdb -q --format csv > out.csv || echo "exit $?"
done
mldyno query --db-path t.duckdb --format csv \
    --sql "select batch_size, status, reason from comprehensive_benchmarks order by result_id"
