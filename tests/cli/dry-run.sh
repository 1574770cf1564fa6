# plans fairly, measures and keeps nothing
mldyno bench --model bert,gpt2,vit --limit 5 --batch-sizes 1,2 --threads 2 --dry-run -q --format json > out.json
python3 - <<'P'
import json
for r in json.load(open("out.json")):
    print(r["model"], r["batch_size"], r["status"], r["sample_count"], r["reproduce"])
P
ls
# the line that repeats a case has all that shapes it, no option of another backend, and is
# one that run takes
mldyno bench --model gpt2 --hardware cpu,null --mode decode --batch-sizes 2 --threads 1 --seq 40 \
    --cache-capacity 90 --target-width 0.05 --timeout 90s --memory-limit 3G -o latency=1ms \
    -o spinning=off --dry-run -q --format json > out.json
python3 - <<'P'
import json, shlex, subprocess
for r in json.load(open("out.json")):
    print(r["reproduce"])
    again = shlex.split(r["reproduce"]) + ["--dry-run", "-q", "--format", "json"]
    new = json.loads(subprocess.run(again, capture_output=True, check=True).stdout)[0]
    print(new["shapes"] == r["shapes"], new["reproduce"] == r["reproduce"])
P
# a shape that a named model cannot take is a mistake; one of a category's is a row of its own
mldyno bench --model gpt2,bert --seq 600 --dry-run || echo "exit $?"
mldyno bench --category text_encoder,text_decoder --seq 600 --layers 1 --batch-sizes 1 --dry-run -q --format json > out.json || echo "exit $?"
python3 - <<'P'
import json
for r in json.load(open("out.json")):
    print(r["model"], r["status"], r["reason"])
P
