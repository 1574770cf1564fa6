# each must say what is wrong and exit with 2
try() {
    code=0
    mldyno "$@" || code=$?
    echo "$code"
}
try bench --model bert --batch-sizes 0
try bench --model bert --batch-sizes 1,x
try bench --model bert --hardwear cpu
try bench --model bert --precision fp31
try bench --model bert --min-time 5s --max-time 1s
try bench
try bench --category visoin
try run --model bert --hardware cpu,null
try run --hardware cpu
try build --model bert
try query
try query nonsense
try models show
try verify
try verify nowhere.json
try bench --model bert --no-store -o spining=off --layers 1 --seq 8
try bench --model bert --min-samples 1000000
try bench --model "$SOURCE_DIR/tests/golden/goldens/bert.json" --weights nowhere.safetensors
try run --model bert --layers 1 --seq 8 --no-store --weights /dev/zero
