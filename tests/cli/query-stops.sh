# a signal ends a query that would never end by itself
mldyno db init --db-path t.duckdb > /dev/null
code=0
timeout --kill-after 20 2 mldyno query --db-path t.duckdb --sql "with recursive t(i) as (
    select 1 union all select i + 1 from t) select count(*) from t" || code=$?
echo "$code"
