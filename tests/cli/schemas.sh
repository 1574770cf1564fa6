# the JSON of bench, of a failed case and of models show is what the schemas promise
check() {
    "$SOURCE_DIR/tests/cli/check_schema.py" "$SOURCE_DIR/docs/schema/$1.schema.json" || test $? = 77
}
bench() {
    mldyno bench --model bert --layers 1 --seq 8 --no-store -q --format json \
        --min-time 50ms --max-time 500ms "$@" || true
}
bench --hardware null --batch-sizes 1,2 -o latency=200us | check bench
bench --hardware null --batch-sizes 1 -o latency=1ms -o fail-at=run:3 -o fault=crash | check bench
bench --hardware cpu --batch-sizes 1 | check bench
bench --hardware cpu --batch-sizes 1 --precision int8 --mode forward,decode --dry-run | check bench
mldyno models show bert-base-uncased --format json | check models-show
