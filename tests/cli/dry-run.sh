# plans fairly, measures and keeps nothing
mldyno bench --model bert,gpt2,vit --limit 5 --batch-sizes 1,2 --threads 2 --dry-run -q --format json > out.json
python3 - <<'P'
import json
for r in json.load(open("out.json")):
    print(r["model"], r["batch_size"], r["status"], r["sample_count"], r["reproduce"])
P
ls
