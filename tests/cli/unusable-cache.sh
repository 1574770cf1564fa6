# without a cache no case can be built: told once, with nothing measured and nothing stored
try() {
    code=0
    env "$@" mldyno bench --model bert --layers 1 --seq 8 --batch-sizes 1,2 --hardware null \
        --db-path t.duckdb || code=$?
    echo "$code"
}
echo > file
try MLDYNO_CACHE_SIZE=junk
try XDG_CACHE_HOME="$PWD/file"
ls
