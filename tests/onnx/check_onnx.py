#!/usr/bin/env python3
"""check_onnx.py PROGRAM GOLDENS [NAME ...]: our ONNX files under Python's onnx.

Every golden is built in both forms (for ONNX Runtime, and standard operators only) and all
its modes, and must pass onnx's checker with full, strict type inference. The standard forms
are then computed by onnx's reference evaluator, which shares no code with any engine, and
compared with the golden's outputs; for decoders, a padded prefill and decode steps with it
give the full forward's logits. Exit 77 where the onnx module is missing ($MLDYNO_PYTHON
names a Python that has it)."""
import glob, json, os, shutil, subprocess, sys, tempfile

try:
    import numpy as np
    import onnx
    from onnx.reference import ReferenceEvaluator
except ImportError:
    other = os.environ.pop("MLDYNO_PYTHON", None)
    if other:
        os.execv(other, [other] + sys.argv)
    print("# SKIP %s has no onnx module: pip install onnx, or set MLDYNO_PYTHON" % sys.executable)
    sys.exit(77)

STEP, FIRST = 0x9E3779B97F4A7C15, 0xCBF29CE484222325
NUMPY = {"f32": np.float32, "i64": np.int64, "i32": np.int32, "bool": np.bool_}


def stream(name, n):
    """n numbers in [-1, 1) from a name: FORMAT.md, "Numbers from names"."""
    h = FIRST
    for b in name.encode():
        h = (h ^ b) * 0x100000001B3 % 2**64
    with np.errstate(over="ignore"):
        z = np.uint64(h) + (np.arange(n, dtype=np.uint64) + np.uint64(1)) * np.uint64(STEP)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(31)
    return (z >> np.uint64(40)).astype(np.float64) * 2.0**-23 - 1


def tensor(name, spec):
    """An input as a golden or a manifest describes it."""
    shape, dtype, fill = spec["shape"], NUMPY[spec["dtype"]], spec.get("fill")
    if "values" in spec:
        return np.array(spec["values"]).astype(dtype).reshape(shape)
    if fill in ("ones", "zeros", "value"):
        return np.full(shape, {"ones": 1, "zeros": 0}.get(fill, spec.get("low", 0)), dtype)
    x = stream("input:" + name, int(np.prod(shape)))
    if fill == "ids":
        x = spec["low"] + np.floor((x + 1) / 2 * (spec["high"] - spec["low"]))
    return x.astype(dtype).reshape(shape)


class Built:
    """One artifact: checked when made."""

    def __init__(self, program, scratch, golden, target, mode, *more):
        config = dict(golden["config"], architectures=[golden["class"]])
        path = os.path.join(scratch, "config.json")
        with open(path, "w") as f:
            json.dump(config, f)
        self.dir = os.path.join(scratch, "%s-%s" % (target, mode))
        shutil.rmtree(self.dir, ignore_errors=True)
        command = [program, "build", "-q", "--model", path, "--class", golden["class"],
                   "--target", target, "--mode", mode, "--output", self.dir] + list(more)
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(done.stderr.strip())
        with open(os.path.join(self.dir, "manifest.json")) as f:
            self.manifest = json.load(f)
        self.path = os.path.join(self.dir, "model.onnx")
        onnx.checker.check_model(self.path, full_check=True)
        self.model = onnx.load(self.path)
        if target == "standard":
            strange = {n.domain for n in self.model.graph.node} - {""}
            if strange:
                raise RuntimeError("operators of %s in the standard form" % strange)

    def run(self, feeds):
        if not hasattr(self, "evaluator"):
            self.evaluator = ReferenceEvaluator(self.model)
        names = [o.name for o in self.model.graph.output]
        inputs = {}
        for spec in self.manifest["inputs"]:
            name = spec["name"]
            inputs[name] = feeds[name] if name in feeds else tensor(name, spec)
        return dict(zip(names, self.evaluator.run(None, inputs)))


def compare(name, got, want, tolerance):
    worst = np.max(np.abs(got.astype(np.float64) - want)) if want.size else 0
    if not worst <= tolerance * np.max(np.abs(want)) + 1e-5:
        raise RuntimeError("'%s' differs from the golden by %g" % (name, worst))


def check_outputs(built, golden, feeds):
    results = built.run(feeds)
    for name, want in golden["outputs"].items():
        got = results[name].reshape(-1)
        values = np.array(want["values"], np.float64).reshape(-1)
        if list(results[name].shape) != want["shape"]:
            raise RuntimeError("'%s' is %s" % (name, list(results[name].shape)))
        at = np.arange(len(values))
        if len(values) < len(got):
            at = at * (len(got) - 1) // (len(values) - 1)
        compare(name, got[at], values, 1e-4)
    return results


def check_cache(program, scratch, golden, feeds, logits):
    """Prefill of the first tokens (fewer in the second row), then one token a step."""
    batch, seq = feeds["input_ids"].shape
    size = ["--batch-size", str(batch), "--cache-capacity", str(seq + 3)]
    prompt = [seq - 2, seq - 3][:batch]
    prefill = Built(program, scratch, golden, "standard", "prefill", "--seq", str(seq - 2), *size)
    decode = Built(program, scratch, golden, "standard", "decode", "--seq", str(seq - 2), *size)
    states = [(i["name"], i["state_output"]) for i in decode.manifest["inputs"]
              if "state_output" in i]
    length = np.array(prompt, np.int32)
    out = prefill.run({"input_ids": feeds["input_ids"][:, :seq - 2],
                       "prompt_length": length})
    for step in range(3):
        last = length - 1
        for b in range(batch):
            compare("logits of step %d" % step, out["logits"][b, -1], logits[b, last[b]], 1e-4)
        if step == 2:
            return
        state = {name: list(out.values())[index] for name, index in states}
        ids = np.array([[feeds["input_ids"][b, length[b]]] for b in range(batch)])
        out = decode.run(dict(state, input_ids=ids, past_length=length))
        length = length + 1


def check(program, golden, scratch):
    shape = {}
    feeds = {k: tensor(k, v) for k, v in golden["inputs"].items()}
    for key, option in (("input_ids", "--seq"), ("decoder_input_ids", "--decoder-seq")):
        if key in feeds:
            shape[option] = feeds[key].shape[1]
    if "pixel_values" in feeds:
        shape["--image-size"] = feeds["pixel_values"].shape[-1]
    shape["--batch-size"] = next(iter(feeds.values())).shape[0]
    more = [str(x) for pair in shape.items() for x in pair]
    Built(program, scratch, golden, "ort", "forward", *more)
    results = check_outputs(Built(program, scratch, golden, "standard", "forward", *more),
                            golden, feeds)
    modes = subprocess.run([program, "models", "--format", "json"], capture_output=True,
                           text=True, check=True).stdout
    mine = [m for m in json.loads(modes) if m["name"] == golden["model_type"]]
    if not mine or "decode" not in mine[0]["modes"] or "logits" not in results:
        return
    for mode in ("prefill", "decode"):
        Built(program, scratch, golden, "ort", mode, *more)
    whole = dict(feeds, attention_mask=np.ones_like(feeds["attention_mask"]))
    forward = Built(program, scratch, golden, "standard", "forward", *more).run(whole)
    check_cache(program, scratch, golden, feeds, forward["logits"])


def main():
    program, goldens, names = sys.argv[1], sys.argv[2], sys.argv[3:]
    failed = 0
    scratch = tempfile.mkdtemp()
    try:
        for path in sorted(glob.glob(os.path.join(goldens, "*.json"))):
            with open(path) as f:
                golden = json.load(f)
            if names and golden["name"] not in names:
                continue
            try:
                check(program, golden, scratch)
                print("ok " + golden["name"], flush=True)
            except Exception as e:
                failed += 1
                print("FAIL %s: %s" % (golden["name"], str(e)[:400]), flush=True)
    finally:
        shutil.rmtree(scratch)
    sys.exit(1 if failed else 0)


main()
