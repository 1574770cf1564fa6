# a crash, a hang, garbage and a refusal each become a row, and the sweep goes on
for fault in crash hang garbage exit error unsupported oom bad-alloc; do
    timeout=1m
    [ $fault != hang ] || timeout=1s
    mldyno bench --model bert --layers 1 --seq 8 --hardware null --batch-sizes 1,2 \
        -o latency=1ms -o fail-at=run:3 -o fault=$fault --timeout $timeout --min-time 50ms --max-time 300ms \
        --db-path t.duckdb -q --format csv > out.csv || echo "$fault: exit $?"
done
mldyno query --db-path t.duckdb --format csv \
    --sql "select batch_size, status, reason from comprehensive_benchmarks order by result_id"
