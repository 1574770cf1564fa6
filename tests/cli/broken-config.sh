try() {
    printf '%s' "$1" > config.json
    code=0
    mldyno models show config.json || code=$?
    echo "$code"
}
try '{"model_type": "bert", '
try '[1, 2]'
try '{"hidden_size": 32}'
try '{"model_type": "bertt"}'
try '{"model_type": "bert", "hidden_size": 30, "num_attention_heads": 4}'
try '{"model_type": "bert", "hidden_size": -4}'
try '{"model_type": "bert", "hidden_size": 1e30}'
try '{"model_type": "bert", "hidden_size": "many"}'
try '{"model_type": "bert", "num_hidden_layers": 100000000}'
try '{"model_type": "bert", "vocab_size": 4611686018427387904}'
try '{"model_type": "bert", "hidden_act": "gelo"}'
try '{"model_type": "bert", "architectures": ["BertForEverything"]}'
try '{"model_type": "llama", "rope_scaling": {"rope_type": "spiral"}}'
try '{"model_type": "vit", "image_size": 8, "patch_size": 16}'
head -c 9000000 /dev/zero > large.json
code=0
mldyno models show large.json || code=$?
echo "$code"
: > empty.json
code=0
mldyno models show empty.json || code=$?
echo "$code"
mkdir folder
code=0
mldyno models show folder || code=$?
echo "$code"
