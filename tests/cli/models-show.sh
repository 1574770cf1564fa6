mldyno models show bert-base-uncased --format json > out.json
python3 - <<'P'
import json
d = json.load(open("out.json"))
print(d["model_type"], d["class"], d["parameters"], d["tensors"], d["digest"])
P
