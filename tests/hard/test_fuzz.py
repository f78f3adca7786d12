"""Random inputs of every kind: no crash, no hang, no silently wrong value, and each error is one sentence of gpubp itself."""

import bz2
import csv
import gzip
import io
import json
import lzma
import re
import zipfile
from contextlib import redirect_stderr, redirect_stdout
from functools import cache
from pathlib import Path

import numpy as np
import pytest

import gpubp
from gpubp import cli, datasets
from gpubp.layered.packing import pack
from gpubp.maths.gradient_transforms import OPTIMIZERS, Chain
from gpubp.maths.schedules import SCHEDULES
from tests.hard.trials import LONGEST, SECONDS, attempt, no_longer_than, pick, trials
from tests.rule_cases import CASES

pytestmark = [pytest.mark.long, pytest.mark.filterwarnings("ignore")]


# ---- arguments

def odd(random):
    """A value that hardly any argument expects."""
    return pick(random, [
        0, 1, -1, 2, 3, 0.5, -0.5, 1e-300, 1e308, float("nan"), float("inf"), True, False, None, "", "3", "adam", "sgd(", b"x",
        10**30, 1j, [], (), {}, [1], (1, 2), [[1, 2], [3]], {"a": 1}, {1, 2}, object(), int, len, np.int64(2), np.float32(0.5),
        np.array(3), np.array([1.0, 2.0]), np.zeros((0, 2)), np.array(["a"]), np.datetime64("2020-01-01"), slice(2), range(3),
        iter([1, 2]), np.ma.array([1.0, 2.0], mask=[0, 1]), Ellipsis, np.random.default_rng(0), "a" * 300, "\u0663", "cuda:99",
        "cpu", -2**63])


KINDS = ["float64"] * 4 + ["float32", "float16", "int64", "int8", "uint8", "bool", "complex128", "object", "U3", "M8[s]", ">f8",
                           "longdouble"]
LAYOUTS = [np.asfortranarray, np.ma.array, lambda x: x.tolist(), lambda x: x[::-1] if x.ndim else x,
           lambda x: memoryview(np.ascontiguousarray(x)) if x.dtype.kind in "fi" and x.dtype.isnative else x]


def array(random, rows, width):
    """An array, often of the right shape, of any dtype and layout, perhaps with numbers that are not finite."""
    shape = pick(random, [(rows, width)] * 6 + [(rows,), (width,), (rows, width, 1), (width, rows), (0, width), (rows, 0), ()])
    values, kind = np.asarray(random.normal(size=shape)), pick(random, KINDS)
    values = (5.0 * values).astype("int64").astype(kind) if kind in ("M8[s]", "uint8", "bool") else values.astype(kind)
    if random.random() < 0.1 and values.size and values.dtype.kind in "fc":
        values.flat[random.integers(values.size)] = pick(random, [np.nan, np.inf, -np.inf, 1e30, -1e-40])
    values = np.asarray(values)
    values.flags.writeable = bool(random.random() < 0.9)
    return pick(random, LAYOUTS)(values) if random.random() < 0.4 else values


def targets(random, rows, width):
    return pick(random, [
        lambda: random.integers(-1, width + 1, rows), lambda: random.integers(0, width, rows).tolist(),
        lambda: np.eye(width)[random.integers(0, width, rows)], lambda: (random.random((rows, width)) < 0.5).astype(int),
        lambda: array(random, rows, width), lambda: array(random, rows, width)])()


def network(random):
    inputs, outputs = (int(n) for n in random.integers(1, 5, 2))
    output, cost = pick(random, [(None, "quadratic"), (None, "cross-entropy"), ("softmax", "cross-entropy"),
                                 ("tanh", "quadratic"), ("identity", "quadratic"), (None, "hinge"), ("identity", "huber")])
    hidden = [int(random.integers(1, 6))] * int(random.integers(0, 3))
    return gpubp.Network([inputs, *hidden, outputs], output=output, cost=cost, device=pick(random, ["cpu:numpy", "cpu"]),
                         dtype=pick(random, ["float32", "float64"]), seed=int(random.integers(100)),
                         standardize=bool(random.integers(2)), task=pick(random, [None] * 5 + ["classification", "regression"]))


def state_of(net):
    training = net.training_state
    return (net.vector.tobytes(), len(net.history), net.is_training, repr(net), training and (
        training.step, training.batch, [vector.tobytes() for vector in training.vectors]))


def outputs_of(net, x):
    """The outputs by the formulas, in float64."""
    a = np.asarray(x, np.float64).reshape(-1, net.sizes[0])
    a = net.standardization(a) if net.standardization else a
    for l, gate in net.gates.items():
        w, b = (np.asarray(net.parameters[f"{name}{l}"], np.float64) for name in "wb")
        a = gate.activation(a @ w.T + b)
    return a


def are_samples(x, width):
    """Whether x is rows of `width` finite numbers, or one row."""
    values = np.asarray(x)
    return bool(values.dtype.kind in "fiub" and values.shape in ((width,), (*values.shape[:1], width)) and values.size
                and np.isfinite(values).all())


OPTIONS = ("optimizer", "batch_size", "validation", "sample_weight", "samples_per_epoch", "shuffle", "patience", "monitor",
           "callbacks", "progress")
CALLS = {
    "fit": lambda net, x, y, random: net.fit(x, y, epochs=1, **{
        name: odd(random) for name in random.permutation(OPTIONS)[:random.integers(3)].tolist()}),
    "feedforward": lambda net, x, y, random: net.feedforward(x), "__call__": lambda net, x, y, random: net(x),
    "predict": lambda net, x, y, random: net.predict(x), "score": lambda net, x, y, random: net.score(x, y),
    "cost": lambda net, x, y, random: net.cost(x, y, pick(random, [None, odd(random)])),
    "gradient": lambda net, x, y, random: net.gradient(x, y), "trace": lambda net, x, y, random: net.trace(x, y),
    "to": lambda net, x, y, random: net.to(odd(random)), "copy": lambda net, x, y, random: net.copy(odd(random)),
    "vector": lambda net, x, y, random: net(x, odd(random)), "check": lambda net, x, y, random: net.check(x, y),
    "objective": lambda net, x, y, random: net.objective(x, y)(odd(random)),
    "memory": lambda net, x, y, random: net.memory(odd(random), odd(random))}


def check_network(random, folder):
    """Each call of a network returns right numbers, or raises and leaves the network as it was."""
    net = network(random)
    for _ in range(4):
        rows, name = int(random.integers(1, 9)), pick(random, [*CALLS, "fit"])
        x, y = array(random, rows, net.sizes[0]), targets(random, rows, net.sizes[-1])
        before, valid = state_of(net), are_samples(x, net.sizes[0])
        result, error = attempt(lambda call=CALLS[name], net=net, x=x, y=y: call(net, x, y, random))
        if isinstance(error, gpubp.TrainingError):
            continue
        if error is not None:
            assert state_of(net) == before, f"{name} changed the network and raised {error!r}"
            continue
        assert np.isfinite(net.vector).all() and (valid or name in ("to", "copy", "memory")), f"{name} took {np.asarray(x)!r}"
        if name in ("feedforward", "__call__") and type(result) is np.ndarray:
            bound = 1e-9 if net.dtype == "float64" else 2e-3
            np.testing.assert_allclose(result, outputs_of(net, x).reshape(np.shape(result)), rtol=bound, atol=bound)
        if name == "score":
            assert isinstance(result, float) and not result > 1.0


MADE = [gpubp.Network, gpubp.Dense, gpubp.Dropout, gpubp.Activation, gpubp.Cost, gpubp.open_device, Chain.of, gpubp.load,
        datasets.load, datasets.split, datasets.Scaling, datasets.Scaling.standard, gpubp.wires, gpubp.gate, gpubp.checkpoint,
        gpubp.logsumexp, *OPTIMIZERS.values(), *SCHEDULES.values(), gpubp.grad, gpubp.vjp, gpubp.hvp, gpubp.jvp,
        gpubp.check_grads]


def check_made(random, folder):
    """Odd arguments make something, or are refused in a sentence; a wrong number of them is Python's error."""
    make = pick(random, MADE)
    given = [pick(random, [odd(random), array(random, 3, 2), [2, 3, 1], [3, 1]]) for _ in range(random.integers(1, 4))]
    attempt(lambda: make(*given), foreign=True)


PIECES = ["adam", "sgd", "l2", "clip_norm", "cosine", "step", "(", ")", ",", "=", "0.1", "1e-3", "-1", "learning_rate", "epochs",
          "nan", " ", "'", "[", "lambda", "__import__('os')", "true", "9" * 400, "é", "\n"]


def check_text(random, folder):
    """A text makes the chain that its own text makes, or is refused."""
    text = "".join(pick(random, PIECES) for _ in range(random.integers(1, 9)))
    chain, _ = attempt(lambda: Chain.of(text))
    if chain is not None:
        assert Chain.of(str(chain)) == chain


# ---- files

def table(random):
    """(x, labels, the bytes of a table of both)."""
    rows, width = int(random.integers(3, 12)), int(random.integers(1, 5))
    x = np.round(random.normal(size=(rows, width)) * 10.0 ** random.integers(-3, 6), 3)
    names = pick(random, [["yes", "no"], ["setosa", "virginica", "other"], ["a b", "c;d", 'e"f']])
    y = [names[i] for i in [0, 1, *random.integers(0, len(names), rows - 2)]]
    stream = io.StringIO()
    writer = csv.writer(stream, delimiter=pick(random, [",", ";", "\t"]), lineterminator=pick(random, ["\n", "\r\n"]),
                        quoting=pick(random, [csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]))
    if random.random() < 0.7:
        writer.writerow([*(f"f{i}" for i in range(width)), "kind"])
    writer.writerows([*row, label] for row, label in zip(x.tolist(), y))
    return x, y, stream.getvalue().encode(pick(random, ["utf-8", "utf-8-sig"]))


INSERTED = [b"\0", b'"', b"\n", b",", b"\xff", b";", b"nan", b"1e999", b"'", b"\r", b"#", b"\x1f\x8b", b" ", b"1_0"]


def damaged(random, content):
    """The content with bytes changed, left out, repeated or inserted."""
    for _ in range(random.integers(1, 6)):
        at, length = int(random.integers(len(content) + 1)), int(random.integers(1, 40))
        content = content[:at] + pick(random, [
            bytes([random.integers(256)]) + content[at + 1:], content[at + length:], b"", pick(random, INSERTED) + content[at:],
            content[at:at + length] + content[at:]])
    return content


def zipped(content, method=zipfile.ZIP_DEFLATED):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        archive.writestr("t.csv", content)
    return file.getvalue()


PACKED = [gzip.compress, bz2.compress, lzma.compress, zipped, lambda text: zipped(text, zipfile.ZIP_STORED),
          lambda text: zipped(gzip.compress(text))]


def whole(random, folder):
    """(name and content of a file, the features and labels in it, or None for a network)."""
    x, y, text = table(random)
    kind = random.integers(5)
    if kind < 2:
        return "t.csv", pick(random, PACKED)(text) if kind else text, (x, y)
    if kind == 2:
        pick(random, [np.savez, np.savez_compressed])(folder / "saved.npz", x=x, y=np.array(y))
        return "t.npz", (folder / "saved.npz").read_bytes(), (x, y)
    if kind == 3:
        images = random.integers(0, 256, (6, 3, 2), np.uint8)
        idx = lambda *shape: bytes([0, 0, 8, len(shape)]) + np.array(shape, ">u4").tobytes()
        (folder / "train-labels-idx1-ubyte").write_bytes(idx(6) + bytes([0, 1, 2, 0, 1, 2]))
        return "train-images-idx3-ubyte", idx(6, 3, 2) + images.tobytes(), (images.reshape(6, 6), [0, 1, 2, 0, 1, 2])
    network(random).save(folder / "saved.npz")
    return "n.npz", (folder / "saved.npz").read_bytes(), None


def check_file(random, folder):
    """A whole file is read exactly; a damaged one is read as finite numbers, or refused."""
    name, content, truth = whole(random, folder)
    path, read = folder / name, datasets.load if truth else gpubp.load
    path.write_bytes(content)
    result, error = attempt(lambda: read(path))
    if truth is None:
        assert error is None
    elif error is None:
        np.testing.assert_array_equal(result.raw, truth[0])
        assert [result.classes[i] for i in result.y] == truth[1]
    path.write_bytes(damaged(random, content))
    result, error = attempt(lambda: read(path))
    if error is None:
        assert np.isfinite(result.vector if truth is None else result.raw).all()


# ---- saved networks and their notes

ODD_JSON = [None, True, False, 0, 1, -1, 2, 0.5, -0.0, 1e308, float("nan"), float("inf"), 2**31, 2**63, 2**64, 10**300, "", "x",
            "adam", "tanh", "\x1b[2J\x07", "\u202eevil", "\ud800", "=1+1", "9" * 3000, "../../etc/passwd", "/dev/zero", "a\0b",
            [], [1], [1, 2], [None] * 3, ["a", "a"], {}, {"a": 1}, [[[[]]]], "(" * 900, "-" * 900 + "1"]


def changed(random, value):
    """JSON with an entry, at any depth, that is replaced, left out, repeated or added."""
    if isinstance(value, (dict, list)) and value and random.random() < 0.8:
        key = pick(random, [*value] if isinstance(value, dict) else range(len(value)))
        kind = random.random()
        if kind < 0.85:
            copied = value.copy()
            copied[key] = changed(random, value[key])
            return copied
        if isinstance(value, list):
            return value[:key] + value[key + 1:] if kind < 0.93 else [*value, value[key]]
        return {k: v for k, v in value.items() if k != key} if kind < 0.93 else {**value, "more": pick(random, ODD_JSON)}
    return pick(random, ODD_JSON)


@cache
def trained(folder):
    """(header, arrays, the table) of networks that `gpubp train` saved: of labels and of measurements."""
    def one(number, target):
        random, path = np.random.default_rng(number), folder / f"t{number}.csv"
        rows = random.normal(size=(24, 2)).round(3).tolist()
        aim = (lambda a, b: "yes" if a > b else "no") if number else (lambda a, b: a - b)
        path.write_text(f"a,b,{target}\n" + "".join(f"{a},{b},{aim(a, b)}\n" for a, b in rows))
        options = f"--hidden 3 --epochs 3 --patience 5 --quiet --no-picture --save {folder / 'trained.npz'}"
        assert cli.main(["train", str(path), *options.split()]) == 0
        with np.load(folder / "trained.npz") as file:
            return json.loads(str(file["gpubp"])), {name: file[name] for name in file.files if name != "gpubp"}, path
    return [one(0, "size"), one(1, "kind")]


def as_text(header):
    """The header without initializers, which a network that is loaded does not need."""
    layers = [{**layer, "initializer": ""} if "neurons" in layer else layer for layer in header["layers"][1:]]
    return json.dumps({**header, "layers": [header["layers"][0], *layers], "custom": sorted(header["custom"])}, sort_keys=True)


def check_saved_network(random, folder):
    """A header or an array that changed is refused in a sentence, or it is a network that saves just that."""
    header, arrays, _ = pick(random, trained(folder.parents[1]))
    path = folder / "n.npz"
    if random.random() < 0.8:
        for _ in range(random.integers(1, 4)):
            header = changed(random, header)
    else:
        name = pick(random, [*arrays])
        arrays = {**arrays, name: pick(random, [lambda x: x.T, lambda x: x[:-1], lambda x: x.astype("float64"),
                                                lambda x: x * np.nan,
                                                lambda x: x.astype(object), lambda x: x.astype("U9"), lambda x: x.astype(">f4"),
                                                lambda x: np.asfortranarray(x), lambda x: x.reshape(-1)])(arrays[name])}
        arrays |= {"more": np.ones(3)} if random.random() < 0.2 else {}
    np.savez(path, gpubp=np.array(json.dumps(header)), **arrays)
    net, error = attempt(lambda: gpubp.load(path, device="cpu"))
    if error is None:
        assert as_text(pack(net)[0]) == as_text(header), "it was taken for something else"
        assert all(np.array_equal(pack(net)[1][name], values) for name, values in arrays.items())
    else:
        assert type(error) is ValueError and str(error).startswith(f"{path} "), repr(error)


COMMANDS = ["predict NET DATA", "predict NET DATA --proba", "check NET", "check NET DATA", "export NET NET.json",
            "train --resume NET DATA --epochs 4", "train --resume NET --epochs 4",
            "parity NET --device cpu --against reference --samples 2"]


def check_notes(random, folder):
    """The command line takes notes that changed, or refuses them in one line; no text from them steers a terminal."""
    header, arrays, data = pick(random, trained(folder.parents[1]))
    for _ in range(random.integers(1, 3)):
        header = {**header, "notes": changed(random, header["notes"])}
    np.savez(folder / "n.npz", gpubp=np.array(json.dumps(header)), **arrays)
    words = pick(random, COMMANDS).replace("NET", str(folder / "n.npz")).replace("DATA", str(data)).split()
    more = ["--no-picture"] if words[0] == "train" else []
    out, err = io.StringIO(), io.StringIO()
    with no_longer_than(SECONDS), redirect_stdout(out), redirect_stderr(err):
        code = cli.main([*words, *more])
    assert code in (0, 1, 2)
    last = err.getvalue().splitlines()[-1:] if code == 2 else ["gpubp: x"]
    assert last[0].startswith("gpubp: ") and len(last[0]) < LONGEST, last
    for line in [*err.getvalue().splitlines(), *(out.getvalue().splitlines() if words[0] != "predict" else ())]:
        assert re.sub("[\r\t]|\x1b\\[A", "", line).isprintable() or "steps" in line, line


# ---- programs

FUNCTION_OPTIONS = [{}] * 5 + [{"axis": 0}, {"axis": -1}, {"axis": None}, {"axis": ()}, {"axis": (0, 1)}, {"keepdims": True},
                               {"axis": 0, "keepdims": True}, {"out": None}, {"dtype": None}, {"axis": 5}, {"axis": "x"}]


def check_program(random, folder):
    """The gradient of a NumPy function of any arrays and options is the difference quotient, or gpubp refuses them."""
    function, options = pick(random, list(CASES)), pick(random, FUNCTION_OPTIONS)
    x = random.normal(size=random.integers(0, 4, random.integers(0, 3))).astype(pick(random, ["float64"] * 5 + ["float32"]))
    x = x if random.random() < 0.9 else array(random, 3, 2)
    others = [odd(random) for _ in range(random.integers(0, 2))]
    f = lambda x: np.sum(function(x, *others, **options))
    try:
        value = float(f(x))
    except Exception:   # NumPy refuses it
        return
    try:
        found, error = attempt(lambda: gpubp.grad(f)(x), foreign=bool(others))
    except (AttributeError, LookupError):
        if others:   # NumPy makes something of some odd arguments
            return
        raise
    if error is not None or np.asarray(x).dtype != np.float64 or not np.size(x) or not abs(value) < 1e6:
        return
    assert np.shape(found) == np.shape(x)
    direction = random.normal(size=np.shape(x))
    at = lambda step: f(np.asarray(x + step * direction))   # an array of no axes stays one
    far, near = ((at(h) - at(-h)) / (2.0 * h) for h in (1e-6, 5e-7))
    if np.isfinite([far, near]).all() and abs(far - near) <= 1e-5 * (1.0 + abs(far)):   # no kink is between
        np.testing.assert_allclose(np.sum(found * direction), near, rtol=1e-4, atol=1e-4)


# ---- command lines

WORDS = {   # the options of each command, some of whose values are wrong
    "train": {"--hidden": ["3", "3,2", "0", "x", ""], "--epochs": ["1", "2", "0", "-1", "1.5"], "--lr": ["0.1", "nan", "1e40"],
              "--batch-size": ["4", "0", "999"], "--cost": ["quadratic", "hinge", "none"], "--optimizer": ["sgd(0.1)", "adam("],
              "--hold-back": ["0", "0.5", "1", "x"], "--patience": ["1", "0"], "--dropout": ["0.5", "1", "x"], "--seed": ["-1"],
              "--target": ["kind", "f0", "1", "99"], "--ignore": ["f0", "kind", ",", "1"], "--save": ["s.npz", "n.npz", "t.csv"],
              "--task": ["classification", "regression", "multi-label"], "--resume": ["n.npz", "t.csv", "none"],
              "--dtype": ["float64"], "--header": ["yes", "no"], "--missing": ["NA", ""], "--layers": ["2,3,2", "1", "3,3,3"]},
    "predict": {"--output": ["p.csv", "n.npz", "d", "none/p.csv"], "--proba": [], "--delimiter": [",", ";;", ""],
                "--decimal": [",", "."], "--header": ["no"], "--index": ["1", "none"]},
    "export": {"--int8": ["t.csv", "none"], "--header": ["no"]},
    "check": {"--header": ["yes", "maybe"], "--device": ["cpu:numpy", "gpu"]},
    "parity": {"--layers": ["3,2", "x"], "--samples": ["2", "0"], "--json": ["r.json", "t.csv"], "--cost": ["hinge", "x"],
               "--activation": ["relu", "x"], "--dtype": ["float64"]},
    "demo": {"--seed": ["1", "x"], "--picture": ["t.csv", "p.txt"]}, "bench": {"--quick": []}, "info": {"--x": []}}
NAMES = {"train": ["t.csv"] * 4, "predict": ["n.npz t.csv"] * 4 + ["t.csv n.npz"],
         "export": ["n.npz e.json e.safetensors", "n.npz e.json", "n.npz n.npz", "n.npz t.csv", "n.npz"],
         "check": ["n.npz", "n.npz t.csv", "t.csv"],
         "parity": ["n.npz"], "demo": ["gates", "x", ""], "bench": ["", "x"], "info": [""]}


def check_command_line(random, folder):
    """Any words end with a documented exit code and at most one sentence, and change no file of the user."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("GPUBP_DEVICE", "cpu:numpy")
        Path("d").mkdir()
        content = table(random)[2]
        Path("t.csv").write_bytes(content)
        run("train", "t.csv", "--epochs", "1", "--hidden", "3", "--no-picture", "--save", "n.npz")
        if not Path("n.npz").exists():
            network(random).save("n.npz")
        for name, share in (("t.csv", 0.3), ("n.npz", 0.2)):
            if random.random() < share:
                Path(name).write_bytes(damaged(random, Path(name).read_bytes()))
        before = {name: Path(name).read_bytes() for name in ("t.csv", "n.npz")}
        command = pick(random, ["train"] * 4 + ["predict"] * 3 + list(WORDS))
        names = pick(random, [*NAMES[command], "none", "d", ""]).split()
        options = [word for name in random.permutation(list(WORDS[command])).tolist()[:random.integers(4)]
                   for word in (name, *([pick(random, WORDS[command][name])] if WORDS[command][name] else []))]
        quick = {"train": ["--no-picture", "--epochs", "1"], "parity": ["--device", "cpu", "--against", "reference"]}
        words = [command, *quick.get(command, []), *names, *options]
        code, err = run(*words)
        last = err.splitlines()[-1:] or [""]
        sentence = last[0].startswith("gpubp: ") and len(last[0]) < LONGEST
        assert code in (0, 1) or (code == 2 and sentence), f"{words}: {code}, {err}"
        assert Path("t.csv").read_bytes() == before["t.csv"], f"{words} changed the table"
        if Path("n.npz").read_bytes() != before["n.npz"]:
            assert command == "train" and "n.npz" in options, f"{words} changed the network"
            gpubp.load("n.npz", device="cpu")
        assert not list(Path().rglob("*.partial"))


def run(*words):
    """(exit code, standard error) of the command line."""
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()) as err, no_longer_than(SECONDS):
        return cli.main(list(words)), err.getvalue()


test_calls_of_a_network = trials("calls of a network", check_network, 200)
test_odd_arguments = trials("odd arguments", check_made, 400)
test_texts_of_optimizers = trials("texts of optimizers", check_text, 400)
test_files = trials("damaged files", check_file, 200)
test_saved_networks = trials("saved networks of hostile contents", check_saved_network, 200)
test_notes = trials("saved networks of hostile notes", check_notes, 200)
test_programs = trials("differentiated programs", check_program, 400)
test_command_lines = trials("command lines", check_command_line, 60)
