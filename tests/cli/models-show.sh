mldyno models show bert-base-uncased --format json > out.json
python3 - <<'P'
import json
d = json.load(open("out.json"))
print(d["model_type"], d["class"], d["parameters"], d["tensors"], d["digest"])
P
"$SOURCE_DIR/tests/cli/check_schema.py" "$SOURCE_DIR/docs/schema/models-show.schema.json" < out.json > valid || test $? = 77
