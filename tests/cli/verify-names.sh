# a golden without a name has its file's; a digest that is not the model's fails
golden="$SOURCE_DIR/tests/golden/goldens/distilbert.json"
sed 's/"name": *"[^"]*"/"name": ""/' "$golden" > mine.json
mldyno verify mine.json
sed 's/"digest": *"[0-9a-f]*"/"digest": "0123456789abcdef"/' "$golden" > other.json
mldyno verify other.json || true
printf '{"name": "odd", "model_type": "bert", "class": "BertModel", "config": {}, "inputs": [], "outputs": {}}' > odd.json
mldyno verify odd.json
