try() {
    code=0
    mldyno bench --model bert --layers 1 --seq 8 --hardware null --batch-sizes 1 \
        --min-time 10ms --max-time 100ms -q --db-path "$1" || code=$?
    echo "$code"
}
echo "not a database" > text.duckdb
cp text.duckdb before
try text.duckdb
cmp text.duckdb before && echo untouched
mkdir folder.duckdb
try folder.duckdb
try /proc/nowhere/x.duckdb
code=0
mldyno query comprehensive --db-path absent.duckdb || code=$?
echo "$code"
test ! -e absent.duckdb
