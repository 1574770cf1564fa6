"""Cases of the other classes and settings of the first architectures: every head, untied heads,
position ids, rope types in the old spelling and beyond the trained length, windows, T5 1.1 ..."""

import re


def snake(name):
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower().replace("lmhead", "lm_head")


def ids(b=2, s=7, lo=5, hi=90, shape=None):
    return {"dtype": "i64", "shape": shape or [b, s], "fill": "ids", "low": lo, "high": hi}


def vals(v, shape):
    return {"dtype": "i64", "shape": shape, "values": v}


mask = {"dtype": "i64", "shape": [2, 7], "values": [1] * 7 + [1] * 5 + [0] * 2}
tt = {"dtype": "i64", "shape": [2, 7], "fill": "ids", "low": 0, "high": 2}
CASES = []


def add(name, mt, cls, cat, config, inputs, call=None, full=False, labels=None):
    CASES.append(
        dict(
            name=snake(name).replace("-", "_").replace("_", "__", 1),
            model_type=mt,
            **{"class": cls},
            category=cat,
            config=config,
            inputs=inputs,
            full=full,
            **({"call": call} if call else {}),
            **({"labels": labels} if labels else {}),
        )
    )


bert = dict(
    vocab_size=99,
    hidden_size=32,
    num_hidden_layers=3,
    num_attention_heads=2,
    intermediate_size=40,
    max_position_embeddings=30,
)
txt = dict(input_ids=ids(), attention_mask=mask)
txtt = dict(txt, token_type_ids=tt)
ch = dict(input_ids=ids(shape=[2, 3, 7]), attention_mask={"dtype": "i64", "shape": [2, 3, 7], "fill": "ones"})


def many(mt, P, config, classes, inp, types=True):
    for c in classes:
        cfg = dict(config)
        i = dict(inp)
        if c == "ForMultipleChoice":
            i = dict(ch)
        if c in ("ForSequenceClassification", "ForTokenClassification"):
            cfg["num_labels"] = 5
        if c in ("LMHeadModel", "ForCausalLM") and mt in ("bert", "roberta", "electra"):
            cfg["is_decoder"] = True
        call = None
        if c in ("LMHeadModel", "ForCausalLM"):
            call = {"use_cache": False}
        add(f"{mt}-{c}", mt, P + c, "text_encoder", cfg, i, call)
        if c in ("ForMaskedLM", "ForPreTraining"):
            add(
                f"{mt}-{c}-untied",
                mt,
                P + c,
                "text_encoder",
                dict(cfg, tie_word_embeddings=False),
                {"input_ids": i["input_ids"]},
                call,
            )


many(
    "bert",
    "Bert",
    bert,
    [
        "Model",
        "ForMaskedLM",
        "LMHeadModel",
        "ForPreTraining",
        "ForNextSentencePrediction",
        "ForSequenceClassification",
        "ForMultipleChoice",
        "ForTokenClassification",
        "ForQuestionAnswering",
    ],
    txtt,
)
rb = dict(bert, pad_token_id=1, type_vocab_size=1, bos_token_id=0, eos_token_id=2)
many(
    "roberta",
    "Roberta",
    rb,
    [
        "Model",
        "ForMaskedLM",
        "ForCausalLM",
        "ForSequenceClassification",
        "ForMultipleChoice",
        "ForTokenClassification",
        "ForQuestionAnswering",
    ],
    txt,
)
# roberta with pads inside ids
add(
    "roberta-pads",
    "roberta",
    "RobertaModel",
    "text_encoder",
    dict(rb, pad_token_id=3, hidden_act="gelu_new"),
    dict(
        input_ids=vals([9, 8, 7, 6, 5, 4, 10, 9, 8, 7, 3, 5, 3, 3], [2, 7]),
        attention_mask=vals([1] * 7 + [1] * 5 + [0] * 2, [2, 7]),
    ),
)
add(
    "bert-pos",
    "bert",
    "BertModel",
    "text_encoder",
    dict(bert, hidden_act="relu", layer_norm_eps=1e-5),
    dict(txtt, position_ids=vals([0, 2, 4, 6, 8, 10, 12], [1, 7])),
)
add(
    "bert-pos2",
    "bert",
    "BertModel",
    "text_encoder",
    dict(bert, hidden_act="silu", type_vocab_size=3),
    dict(txtt, position_ids=vals([0, 2, 4, 6, 8, 10, 12, 6, 5, 4, 3, 2, 1, 0], [2, 7])),
)
db = dict(vocab_size=99, dim=32, n_layers=3, n_heads=2, hidden_dim=40, max_position_embeddings=30)
many(
    "distilbert",
    "DistilBert",
    db,
    [
        "Model",
        "ForMaskedLM",
        "ForSequenceClassification",
        "ForMultipleChoice",
        "ForTokenClassification",
        "ForQuestionAnswering",
    ],
    txt,
)
many(
    "electra",
    "Electra",
    dict(bert, embedding_size=16),
    [
        "Model",
        "ForMaskedLM",
        "ForCausalLM",
        "ForPreTraining",
        "ForSequenceClassification",
        "ForMultipleChoice",
        "ForTokenClassification",
        "ForQuestionAnswering",
    ],
    txtt,
)
add("electra-same", "electra", "ElectraForMaskedLM", "text_encoder", dict(bert, embedding_size=32), txtt)
many(
    "albert",
    "Albert",
    dict(bert, embedding_size=16),
    [
        "Model",
        "ForMaskedLM",
        "ForPreTraining",
        "ForSequenceClassification",
        "ForMultipleChoice",
        "ForTokenClassification",
        "ForQuestionAnswering",
    ],
    txtt,
)
add(
    "albert-groups",
    "albert",
    "AlbertModel",
    "text_encoder",
    dict(bert, embedding_size=16, num_hidden_layers=5, num_hidden_groups=2, inner_group_num=2),
    txtt,
)
add(
    "albert-groups3",
    "albert",
    "AlbertModel",
    "text_encoder",
    dict(bert, embedding_size=32, num_hidden_layers=2, num_hidden_groups=4, inner_group_num=1),
    txtt,
)
g = dict(vocab_size=99, n_embd=32, n_layer=3, n_head=2, n_positions=30, bos_token_id=1, eos_token_id=2)
nc = {"use_cache": False}
for c, x in [
    ("Model", {}),
    ("LMHeadModel", {}),
    ("ForSequenceClassification", dict(num_labels=3, pad_token_id=3)),
    ("ForTokenClassification", dict(num_labels=4)),
    ("ForQuestionAnswering", {}),
]:
    add(f"gpt2-{c}", "gpt2", "GPT2" + c, "text_decoder", dict(g, **x), txt, None if c == "ForQuestionAnswering" else nc)
add(
    "gpt2-seqcls-pads",
    "gpt2",
    "GPT2ForSequenceClassification",
    "text_decoder",
    dict(g, num_labels=3, pad_token_id=3),
    dict(input_ids=vals([9, 8, 7, 6, 5, 4, 10, 9, 8, 7, 3, 5, 3, 3], [2, 7])),
    nc,
)
add(
    "gpt2-types",
    "gpt2",
    "GPT2Model",
    "text_decoder",
    dict(g, scale_attn_weights=False, reorder_and_upcast_attn=True, activation_function="gelu"),
    dict(txt, token_type_ids=tt, position_ids=vals([3, 2, 4, 6, 8, 10, 12], [1, 7])),
    nc,
)
add(
    "gpt2-left",
    "gpt2",
    "GPT2LMHeadModel",
    "text_decoder",
    dict(g, scale_attn_weights=False, scale_attn_by_inverse_layer_idx=True),
    dict(input_ids=ids(), attention_mask=vals([0, 0] + [1] * 5 + [1] * 7, [2, 7])),
    nc,
)
l = dict(
    vocab_size=99,
    hidden_size=32,
    intermediate_size=48,
    num_hidden_layers=3,
    num_attention_heads=4,
    num_key_value_heads=2,
    max_position_embeddings=64,
    pad_token_id=0,
    bos_token_id=1,
    eos_token_id=2,
)
for mt, P in [("llama", "Llama"), ("mistral", "Mistral"), ("qwen2", "Qwen2")]:
    for c, x in [
        ("Model", {}),
        ("ForCausalLM", {}),
        ("ForSequenceClassification", dict(num_labels=3)),
        ("ForTokenClassification", dict(num_labels=4)),
        ("ForQuestionAnswering", {}),
    ]:
        add(f"{mt}-{c}", mt, P + c, "text_decoder", dict(l, **x), txt, None if c == "ForQuestionAnswering" else nc)
add(
    "llama-mha",
    "llama",
    "LlamaForCausalLM",
    "text_decoder",
    dict(l, num_key_value_heads=None, head_dim=20, attention_bias=True, hidden_act="gelu", rms_norm_eps=1e-5),
    txt,
    nc,
)
add(
    "llama-mqa-pos",
    "llama",
    "LlamaForCausalLM",
    "text_decoder",
    dict(l, num_key_value_heads=1, mlp_bias=True, tie_word_embeddings=True),
    dict(txt, position_ids=vals([3, 2, 4, 6, 8, 10, 12], [1, 7])),
    nc,
)
long = dict(input_ids=ids(s=40, shape=[2, 40]))
add(
    "llama-old-linear",
    "llama",
    "LlamaForCausalLM",
    "text_decoder",
    dict(l, rope_theta=5000.0, rope_scaling={"type": "linear", "factor": 2.0}),
    txt,
    nc,
)
add(
    "llama-dyn-long",
    "llama",
    "LlamaForCausalLM",
    "text_decoder",
    dict(l, max_position_embeddings=16, rope_theta=5000.0, rope_scaling={"type": "dynamic", "factor": 2.0}),
    long,
    nc,
)
add(
    "llama-yarn-long",
    "llama",
    "LlamaForCausalLM",
    "text_decoder",
    dict(
        l,
        head_dim=16,
        rope_theta=5000.0,
        rope_scaling={
            "rope_type": "yarn",
            "factor": 2.0,
            "original_max_position_embeddings": 32,
            "beta_fast": 16,
            "beta_slow": 2,
            "truncate": False,
            "mscale": 0.7,
            "mscale_all_dim": 0.9,
        },
    ),
    long,
    nc,
)
add(
    "llama-yarn-af",
    "llama",
    "LlamaForCausalLM",
    "text_decoder",
    dict(l, head_dim=16, rope_scaling={"rope_type": "yarn", "factor": 4.0, "attention_factor": 1.3}),
    long,
    nc,
)
lf = [1.0 + 0.3 * i for i in range(4)]
sf = [1.0 + 0.05 * i for i in range(4)]
add(
    "llama-longrope-short",
    "llama",
    "LlamaForCausalLM",
    "text_decoder",
    dict(
        l,
        rope_scaling={
            "rope_type": "longrope",
            "short_factor": sf,
            "long_factor": lf,
            "original_max_position_embeddings": 32,
        },
    ),
    txt,
    nc,
)
add(
    "llama-longrope-long",
    "llama",
    "LlamaForCausalLM",
    "text_decoder",
    dict(
        l,
        rope_scaling={
            "rope_type": "longrope",
            "short_factor": sf,
            "long_factor": lf,
            "original_max_position_embeddings": 32,
            "factor": 2.0,
        },
    ),
    long,
    nc,
)
add(
    "llama-llama3-long",
    "llama",
    "LlamaForCausalLM",
    "text_decoder",
    dict(
        l,
        head_dim=32,
        rope_theta=500000.0,
        rope_scaling={
            "rope_type": "llama3",
            "factor": 8.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 16,
        },
    ),
    long,
    nc,
)
add(
    "llama-partial",
    "llama",
    "LlamaForCausalLM",
    "text_decoder",
    dict(l, head_dim=16, partial_rotary_factor=0.5),
    long,
    nc,
)
add(
    "llama-left",
    "llama",
    "LlamaForCausalLM",
    "text_decoder",
    l,
    dict(input_ids=ids(), attention_mask=vals([0, 0] + [1] * 5 + [1] * 7, [2, 7])),
    nc,
)
add("llama-theta2", "llama", "LlamaModel", "text_decoder", dict(l, rope_theta=123456.0), long, nc)
add(
    "mistral-null", "mistral", "MistralForCausalLM", "text_decoder", dict(l, sliding_window=None, head_dim=12), long, nc
)
add("mistral-win", "mistral", "MistralForCausalLM", "text_decoder", dict(l, sliding_window=5, rope_theta=1e6), long, nc)
add(
    "mistral-types",
    "mistral",
    "MistralForCausalLM",
    "text_decoder",
    dict(l, sliding_window=5, layer_types=["full_attention", "sliding_attention", "full_attention"]),
    long,
    nc,
)
add(
    "qwen2-win",
    "qwen2",
    "Qwen2ForCausalLM",
    "text_decoder",
    dict(l, use_sliding_window=True, sliding_window=6, max_window_layers=2),
    long,
    nc,
)
add(
    "qwen2-types",
    "qwen2",
    "Qwen2ForCausalLM",
    "text_decoder",
    dict(
        l,
        use_sliding_window=True,
        sliding_window=6,
        layer_types=["sliding_attention", "full_attention", "sliding_attention"],
        tie_word_embeddings=True,
    ),
    long,
    nc,
)
add("qwen2-hd", "qwen2", "Qwen2ForCausalLM", "text_decoder", dict(l, head_dim=12), long, nc)
add(
    "qwen2-yarn",
    "qwen2",
    "Qwen2ForCausalLM",
    "text_decoder",
    dict(l, rope_scaling={"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16}),
    long,
    nc,
)
t = dict(
    vocab_size=99,
    d_model=32,
    d_kv=6,
    d_ff=40,
    num_layers=2,
    num_decoder_layers=3,
    num_heads=4,
    pad_token_id=0,
    eos_token_id=1,
    decoder_start_token_id=0,
)
enc = dict(txt)
dec = dict(txt, decoder_input_ids=ids(s=5, shape=[2, 5]))
add("t5-Model", "t5", "T5Model", "encoder_decoder", t, dec, nc)
add(
    "t5-gated",
    "t5",
    "T5ForConditionalGeneration",
    "encoder_decoder",
    dict(t, feed_forward_proj="gated-gelu", tie_word_embeddings=False, num_decoder_layers=None),
    dec,
    nc,
)
add(
    "t5-gsilu",
    "t5",
    "T5ForConditionalGeneration",
    "encoder_decoder",
    dict(t, feed_forward_proj="gated-silu", relative_attention_num_buckets=8, relative_attention_max_distance=20),
    dict(
        input_ids=ids(s=40, shape=[2, 40]),
        decoder_input_ids=ids(s=33, shape=[2, 33]),
        decoder_attention_mask=vals([1] * 33 + [1] * 20 + [0] * 13, [2, 33]),
    ),
    nc,
)
add("t5-Encoder", "t5", "T5EncoderModel", "encoder_decoder", t, enc)
add("t5-TokenCls", "t5", "T5ForTokenClassification", "encoder_decoder", dict(t, num_labels=3), enc)
add(
    "t5-SeqCls",
    "t5",
    "T5ForSequenceClassification",
    "encoder_decoder",
    dict(t, num_labels=3),
    dict(input_ids=vals([9, 8, 7, 6, 5, 4, 1, 9, 8, 7, 3, 1, 0, 0], [2, 7]), attention_mask=mask),
    nc,
)
add("t5-QA", "t5", "T5ForQuestionAnswering", "encoder_decoder", t, enc, nc)
v = dict(hidden_size=32, num_hidden_layers=3, num_attention_heads=2, intermediate_size=40, image_size=32, patch_size=8)
px = lambda *s: dict(pixel_values={"dtype": "f32", "shape": list(s), "fill": "uniform"})
bm = {"dtype": "bool", "shape": [2, 16], "values": [bool((i * 7) % 3 == 0) for i in range(32)]}
for mt, P in [("vit", "ViT"), ("deit", "DeiT")]:
    add(f"{mt}-Model", mt, P + "Model", "vision", dict(v, pooler_output_size=20, pooler_act="relu"), px(2, 3, 32, 32))
    add(
        f"{mt}-Cls",
        mt,
        P + "ForImageClassification",
        "vision",
        dict(v, num_labels=7, qkv_bias=False, num_channels=1, hidden_act="gelu_new"),
        px(2, 1, 32, 32),
    )
    add(
        f"{mt}-MIM",
        mt,
        P + "ForMaskedImageModeling",
        "vision",
        dict(v, encoder_stride=8),
        dict(px(2, 3, 32, 32), bool_masked_pos=bm),
    )
    add(f"{mt}-MIM2", mt, P + "ForMaskedImageModeling", "vision", dict(v, encoder_stride=4), px(2, 3, 32, 32))
    add(f"{mt}-rect", mt, P + "Model", "vision", dict(v, image_size=[32, 48], patch_size=[8, 16]), px(2, 3, 32, 48))
add("vit-labels0", "vit", "ViTForImageClassification", "vision", dict(v, num_labels=0), px(2, 3, 32, 32))
add("deit-Teacher", "deit", "DeiTForImageClassificationWithTeacher", "vision", dict(v, num_labels=4), px(2, 3, 32, 32))
real = lambda *s: {"dtype": "f32", "shape": list(s), "fill": "uniform"}
g3 = dict(input_ids=ids(shape=[2, 3, 7]))
add("gpt2-DoubleHeads", "gpt2", "GPT2DoubleHeadsModel", "text_decoder", g, g3, nc)
add(
    "gpt2-DoubleHeads-at",
    "gpt2",
    "GPT2DoubleHeadsModel",
    "text_decoder",
    dict(g, summary_activation="tanh"),
    dict(g3, mc_token_ids=vals([1, 2, 3, 4, 5, 6], [2, 3])),
    nc,
)
add("bert-embeds", "bert", "BertModel", "text_encoder", bert, dict(inputs_embeds=real(2, 7, 32), attention_mask=mask))
add("roberta-embeds", "roberta", "RobertaModel", "text_encoder", rb, dict(inputs_embeds=real(2, 7, 32)))
add(
    "llama-embeds",
    "llama",
    "LlamaForSequenceClassification",
    "text_decoder",
    dict(l, num_labels=3),
    dict(inputs_embeds=real(2, 7, 32)),
    nc,
)
add("gpt2-embeds", "gpt2", "GPT2Model", "text_decoder", g, dict(inputs_embeds=real(2, 7, 32)), nc)

# Padding on the left together with an order, and settings that only some types read.
left = {"dtype": "i64", "shape": [2, 7], "values": [1] * 7 + [0] * 3 + [1] * 4}
lt = dict(input_ids=ids(), attention_mask=left)
add("bert-decoder", "bert", "BertLMHeadModel", "text_encoder", dict(bert, is_decoder=True, use_cache=False), lt)
add("albert-decoder", "albert", "AlbertModel", "text_encoder", dict(bert, embedding_size=16, is_decoder=True), lt)
add(
    "roberta-decoder",
    "roberta",
    "RobertaForCausalLM",
    "text_encoder",
    dict(bert, pad_token_id=5, is_decoder=True, use_cache=False, hidden_act="silu"),
    dict(input_ids=vals([5, 6, 7, 8, 9, 10, 11, 6, 1, 7, 8, 5, 5, 5], [2, 7])),
)
dist = dict(vocab_size=99, dim=32, n_layers=2, n_heads=4, hidden_dim=40, max_position_embeddings=30)
add("distilbert-left", "distilbert", "DistilBertModel", "text_encoder", dict(dist, activation="relu"), lt)
dec = dict(bert, num_key_value_heads=1, use_cache=False)
add("mistral-left", "mistral", "MistralForCausalLM", "text_decoder", dict(dec, sliding_window=3, head_dim=24), lt)
add("mistral-win1", "mistral", "MistralModel", "text_decoder", dict(dec, sliding_window=1), dict(input_ids=ids()))
add(
    "qwen2-left",
    "qwen2",
    "Qwen2ForCausalLM",
    "text_decoder",
    dict(
        dec,
        num_hidden_layers=2,
        use_sliding_window=True,
        sliding_window=3,
        layer_types=["sliding_attention", "full_attention"],
        tie_word_embeddings=True,
    ),
    lt,
)
