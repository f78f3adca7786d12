"""Networks as C99: the file compiles without a warning and computes what the network computes."""

import ctypes
import re
from shlex import quote

import numpy as np
import pytest

import gpubp
from gpubp.exports.c_text import c_text, comment, identifier
from gpubp.exports.model import Layer, Model
from gpubp.exports.quantization import int8_rows
from gpubp.layered.export import model_of, write
from gpubp.layered.layers import Dense, Dropout
from gpubp.layered.network import Network
from gpubp.layered.task import METRICS
from gpubp.maths.activations import ACTIVATIONS, Activation
from gpubp.maths.formula import C_SPELLINGS
from tests.c99 import STRICT, TYPES, compiler, library, pointer, run
from tests.cases import as_before

ENTRIES = [ACTIVATIONS.find(name) for name in ACTIVATIONS]
ODD = Activation('"*/ ??/\n été\\', lambda xp, z: xp.where(z > 0.0, xp.sin(z) + 0.1 * z ** 2, xp.expm1(xp.minimum(z, 0.0))),
                 lambda xp, z, a: xp.where(z > 0.0, xp.cos(z) + 0.2 * z, xp.exp(xp.minimum(z, 0.0))), formula="see */ int x; /*")
NASTY = ["*/ int x; /*", "??/", "a\\", 'say "no"', "été 网络", "new\nline", "%s\0", "\ud800", "0123", ""]


def predicted(folder, x, name="net", outputs=None, source=None):
    """What NAME_predict of an exported file gives for the rows of x."""
    source = source or library(folder, (folder / f"{name}.c").read_text())
    y = np.full((len(x), outputs), 7.0, x.dtype)
    for row, out in zip(np.ascontiguousarray(x), y):
        getattr(source, f"{name}_predict")(pointer(row), pointer(out))
    return y


def exported(net, folder, x, **options):
    """(library, outputs) of a network's file in a folder, as it answers to samples x."""
    net.export(folder / "net.c", **options)
    found = library(folder, (folder / "net.c").read_text())
    return found, predicted(folder, x.astype(net.dtype), "net", net.sizes[-1], found)


def agree(net, x, found):
    """Whether outputs equal feedforward's up to 2.5 units of the last place of the largest terms of their row.

    Terms are the products that are summed: sums that nearly cancel have as few digits in feedforward, whatever is done here.
    """
    a = x.astype(float) if net.standardization is None else net.standardization(x)
    terms = np.abs(a)
    for l, gate in net.gates.items():
        w, b = (net.parameters[f"{letter}{l}"].astype(float) for letter in "wb")
        z = a @ w.T + b
        a = gate.activation.of(np, z)
        slope = a if gate.activation.rowwise else gate.activation.prime(np, z, a)
        terms = np.abs(a) + np.abs(slope) * (terms @ np.abs(w).T + np.abs(b))
    return (np.abs(found - net.feedforward(x)) <= 2.5 * np.finfo(net.dtype).eps * terms.max(axis=1, keepdims=True)).all()


def close(found, expected, most):
    """Whether outputs differ by at most this fraction of the largest output of their row, and how often."""
    return np.mean((np.abs(found - expected) <= most * np.abs(expected).max(axis=1, keepdims=True)).all(axis=1))


@pytest.mark.long
@pytest.mark.parametrize("dtype", TYPES)
def test_every_activation_at_depths_1_to_4(tmp_path, random, dtype):
    """All files are parts of one program, which shows that their names do not collide."""
    nets = {f"net{k}_{depth}": Network([4, *(Dense(width, entry) for width in (5, 7, 6, 3)[-depth:])], device="cpu:numpy",
                                       dtype=dtype, seed=k) for k, entry in enumerate([*ENTRIES, ODD]) for depth in range(1, 5)}
    for name, net in nets.items():
        net.export(tmp_path / f"{name}.c")
    x = random.normal(size=(30, 4)).astype(dtype)
    program = library(tmp_path, "\n".join(f'#include "{name}.c"' for name in nets))
    for name, net in nets.items():
        found, expected = predicted(tmp_path, x, name, 3, program), net.feedforward(x)
        assert agree(net, x, found) and close(found, expected, 1e-6) > (0.9 if dtype == "float32" else 0.99), net
        if net.layers[-1].activation.rowwise:
            assert np.allclose(found, expected, rtol=1e-6, atol=0.0) and np.allclose(found.sum(axis=1), 1.0, atol=1e-6)


@pytest.mark.long
@pytest.mark.parametrize("dtype", TYPES)
def test_extreme_samples_give_what_numpy_gives(tmp_path, random, dtype):
    """Weights are few bits, so that sums are exact; infinity and NaN pass as in NumPy, which feedforward refuses."""
    tiny = np.finfo(dtype).smallest_subnormal
    x = np.array([[1e4, 0], [-1e4, 1], [0, 2.0**90], [2, -2.0**90], [np.nan, 1], [0, np.nan], [np.inf, 1], [1, -np.inf],
                  [np.inf, np.inf], [tiny, -tiny], [-16 * tiny, 0], [0, -0.0], [1e-30, 1e-30]], dtype)
    nets = {}
    for k, entry in enumerate([*ENTRIES, ODD]):
        nets[f"net{k}"] = net = Network([2, Dense(3, entry)], device="cpu:numpy", dtype=dtype, seed=k)
        net.parameters["w1"][...], net.parameters["b1"][...] = random.integers(1, 9, (3, 2)) / 4.0, [0.0, 0.5, -0.25]
        net.export(tmp_path / f"net{k}.c")
    program = library(tmp_path, "\n".join(f'#include "{name}.c"' for name in nets))
    for name, net in nets.items():
        with np.errstate(all="ignore"):
            expected = net.layers[0].activation.of(np, x @ net.parameters["w1"].T + net.parameters["b1"])
        found = predicted(tmp_path, x, name, 3, program)
        rtol = 1e-6 if dtype == "float32" else 1e-14
        assert np.allclose(found, expected, rtol=rtol, atol=np.finfo(dtype).smallest_normal, equal_nan=True), net


@pytest.mark.long
@pytest.mark.parametrize("activation", ["relu", "tanh", "sine", "gelu"])
def test_wide_layers_keep_their_digits_without_double(tmp_path, random, activation):
    net = Network([784, 300, 10], activation, "identity", device="cpu:numpy", seed=1)
    x = random.uniform(0.0, 1.0, (50, 784)).astype("float32")
    exact = Network([784, 300, 10], activation, "identity", device="cpu:numpy", dtype="float64", seed=1)
    for name in ("w1", "b1", "w2", "b2"):
        exact.parameters[name][...] = net.parameters[name]
    _, found = exported(net, tmp_path, x)
    assert close(found, net.feedforward(x), 1e-6) == 1.0 and close(found, exact.feedforward(x), 5e-7) == 1.0


@pytest.mark.parametrize("dtype, shift, scale", [("float32", 1e6, 0.5), ("float32", 3e38, 1e37), ("float32", 1e-33, 1e-36),
                                                 ("float64", 1e9, 1e-3), ("float64", 1e308, 1e300), ("float32", 0.0, 1.0)])
def test_standardization_keeps_its_digits(tmp_path, random, dtype, shift, scale):
    x = (shift + scale * random.normal(size=(200, 3))).clip(*np.array([-1, 1]) * np.finfo(dtype).max.astype(float)).astype(dtype)
    x[:, 1] = 5.0   # a constant
    net = Network([3, 6, Dropout(0.5), 2], "tanh", "identity", device="cpu:numpy", dtype=dtype, seed=1, standardize=True)
    net.fit(x, random.normal(size=(200, 2)), epochs=1)
    _, found = exported(net, tmp_path, x)
    assert np.std(found[:, 0]) > 0.01 and agree(net, x, found)


def test_scalings_one_after_the_other(tmp_path, random):
    """Of large numbers to 0..1 and from there to unit deviation: in float, the second would amplify errors of the first."""
    net = Network([2, 5, 2], "tanh", "identity", device="cpu:numpy", seed=1)
    outer, inner = (np.array([1e6, -20.0]), np.array([4e5, 3.0])), (np.array([0.5, 0.1]), np.array([1e-4, 2.0]))
    undone = np.array([100.0, -3.0]), np.array([10.0, 0.5])
    net.standardization = type("Scaling", (), {"shift": inner[0], "scale": inner[1]})
    model = model_of(net, outer, undone)
    net.standardization = None
    x = (outer[0] + outer[1] * (inner[0] + inner[1] * random.normal(size=(50, 2)))).astype("float32")
    (tmp_path / "net.c").write_text(c_text(model, "net.c"))
    z = ((x.astype(float) - outer[0]) / outer[1] - inner[0]) / inner[1]
    assert close(predicted(tmp_path, x, outputs=2), net.feedforward(z.astype("float32")) * undone[1] + undone[0], 1e-6) == 1.0
    assert b"standardized" not in (tmp_path / "net.c").read_bytes()


def test_scales_may_be_negative(tmp_path, random):
    """Scaling permits them, and `gpubp predict` uses them."""
    net, scale = Network([2, 5, 1], "tanh", "identity", device="cpu:numpy", seed=1), np.array([-2.0, 4.0])
    write(net, model_of(net, (np.ones(2), scale), (np.ones(1), -np.ones(1))), tmp_path / "net.c")
    x = random.normal(size=(20, 2)).astype("float32")
    assert np.allclose(predicted(tmp_path, x, outputs=1), 1.0 - net.feedforward((x - 1.0) / scale), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("scaling", [(np.array([1e300]), np.ones(1)), (np.zeros(1), np.array([1e-300])),
                                     (np.zeros(1), np.array([1e300]))])
def test_scalings_that_float_cannot_hold_are_refused(scaling, tmp_path):
    net = Network([1, 1], seed=1)
    with pytest.raises(ValueError, match="standard deviations of x in the range of float32, got some outside it: train on x in"):
        write(net, model_of(net, scaling), tmp_path / "net.c")
    with pytest.raises(ValueError, match="standard deviations of y in the range of float32"):
        write(net, model_of(net, target_scaling=(np.zeros(1), np.array([1e300]))), tmp_path / "net.c")
    assert not [*tmp_path.iterdir()]


def labels(found, outputs, several=False):
    """The labels of rows of outputs, by the C function."""
    if not several:
        return [found.net_label(pointer(row)) for row in outputs]
    rows = np.zeros(outputs.shape, np.int32)
    for row, out in zip(outputs, rows):
        found.net_labels(pointer(row), pointer(out))
    return rows.tolist()


@pytest.mark.long
@pytest.mark.parametrize("cost, output, width, y", [
    ("cross-entropy", "sigmoid", 3, [0, 1, 2]), ("cross-entropy", "softmax", 3, [0, 1, 2]), ("quadratic", "tanh", 3, [0, 1, 2]),
    ("cross-entropy", "sigmoid", 1, [[0], [1], [1]]), ("hinge", "identity", 1, [[-1], [1], [1]]),
    ("hinge", "identity", 3, [[-1, 1, 1], [1, 1, -1], [-1, -1, -1]]),
    ("cross-entropy", "sigmoid", 3, [[0, 1, 1], [1, 1, 0], [0, 0, 0]])])
@pytest.mark.parametrize("dtype", TYPES)
def test_labels_are_those_of_predict(tmp_path, random, cost, output, width, y, dtype):
    net = Network([4, 6, width], output=output, cost=cost, device="cpu:numpy", dtype=dtype, seed=1)
    net.fit(np.ones((3, 4)), y, epochs=0)
    net.parameters["b2"][...] = 0.0
    x = random.normal(scale=4.0, size=(60, 4)).astype(dtype)
    found, outputs = exported(net, tmp_path, x)
    several = net.task == "multi-label"
    assert hasattr(found, "net_labels") == several and hasattr(found, "net_label") == (not several)
    assert labels(found, outputs, several) == net.predict(x).tolist() and len({*map(str, net.predict(x).tolist())}) > 1
    outputs[0, -1] = np.nan
    invalid = 0 if cost == "hinge" and (several or width == 1) else -1
    assert labels(found, outputs[:1], several) == ([[invalid] * 3] if several else [invalid])
    middle = np.full((1, width), 0.0 if cost == "hinge" else 0.5, dtype)   # equals: the first, or the code "off"
    first = {1: net.cost_function.codes[0]}.get(width, 0)
    assert labels(found, middle, several) == ([[net.cost_function.codes[0]] * 3] if several else [first])


def test_regressions_have_no_labels(tmp_path, random):
    net = Network([4, 3, 2], "tanh", "identity", seed=1)
    net.fit(random.normal(size=(9, 4)), random.normal(size=(9, 2)), epochs=0)
    exported(net, tmp_path, random.normal(size=(2, 4)))
    assert "label" not in (tmp_path / "net.c").read_text()


@pytest.mark.parametrize("task, codes, width, sentence", [
    ("classification", (0, 1), 10, "a label is net_classes[label]"),
    ("multi-label", (0, 1), 10, "labels[i] is net_classes[i]"),
    ("classification", (-1, 1), 1, "a label is net_classes[label > 0]"),
    ("classification", (0, 1), 1, "a label is net_classes[label]")])
def test_names_of_classes_are_read_back(tmp_path, task, codes, width, sentence):
    names = tuple(NASTY if width > 1 else NASTY[:2])
    layer = Layer(np.ones((width, 2), "float32"), np.zeros(width, "float32"), ACTIVATIONS.find("sigmoid"))
    model = Model((layer,), task=task, codes=codes, classes=names, facts={name: name for name in NASTY})
    text = c_text(model, "net.c")
    assert text.isascii() and f"/* The name of {sentence}, in UTF-8. */" in text
    found = (ctypes.c_char_p * len(names)).in_dll(library(tmp_path, text), "net_classes")
    assert [*found] == [name.encode("utf-8", "surrogatepass").split(b"\0")[0] for name in names]


def test_classes_may_be_numbers_and_not_too_long(tmp_path):
    layer = Layer(np.ones((2, 2)), np.zeros(2), ACTIVATIONS.find("sigmoid"))
    assert '{\n    "3",\n    "2.5"\n}' in c_text(Model((layer,), task="classification", classes=(3, 2.5)), "net.c")
    library(tmp_path, c_text(Model((layer,), task="classification", classes=("é" * 2047, 1)), "net.c"))
    with pytest.raises(ValueError, match=r"expected classes and categories of at most 4095 bytes, got 'ééé.*: shorten it"):
        c_text(Model((layer,), task="classification", classes=("é" * 2048, 1)), "net.c")


@pytest.mark.long
@pytest.mark.parametrize("file, name", [
    ("net.c", "net"), ("my net-2.c", "my_net_2"), ("3.c", "net_3"), ("_.c", "net"), ("网络.c", "net"), ("int.c", "int"),
    ("*??-'\".c", "net"), ("a.b.c", "a_b"), ("main.C", "main"), ("*\\.c", "net"), ("y\n.c", "y"), ("float.c", "float"),
    ("INT.c", "INT"), ("\udcff.c", "net"), ("a" * 200 + ".c", "a" * 200)])
def test_any_name_of_a_file_gives_names_of_c(tmp_path, random, file, name):
    net = Network([2, Dense(3, ODD), 2], seed=1)
    net.export(tmp_path / file)
    text = (tmp_path / file).read_bytes().decode("ascii")
    assert identifier(file) == name and f" -c {comment(quote(file))}, link" in text
    x = random.normal(size=(5, 2)).astype("float32")
    assert agree(net, x, predicted(tmp_path, x, name, 2, library(tmp_path, text)))


def test_comments_end_where_they_should():
    for text in [*NASTY, "*/*/", "/*/", "????", "**//", "/" * 9, "?" * 9, "*\\\n/"]:
        safe = comment(text)
        assert safe.isascii() and safe.isprintable() and not re.search(r"\*/|/\*|\?\?", safe)


def test_the_same_network_gives_the_same_bytes(tmp_path):
    net = Network([3, Dense(40, ODD), 10], cost="cross-entropy", seed=1)
    net.export(tmp_path / "net.c")
    first = (tmp_path / "net.c").read_bytes()
    with np.printoptions(precision=2, legacy="1.13", suppress=True):
        net.export(tmp_path / "net.c")
    net.copy().export(tmp_path / "NET.C")
    assert (tmp_path / "net.c").read_bytes() == first and max(map(len, first.split(b"\n"))) <= 125
    assert (tmp_path / "NET.C").read_bytes().replace(b"NET", b"net").replace(b"net.C", b"net.c") == first.replace(b"NET", b"net")


@pytest.mark.parametrize("dtype", TYPES)
def test_constants_are_the_parameters_bit_by_bit(tmp_path, random, dtype):
    net = Network([9, 20, 3], dtype=dtype, seed=1)
    net.vector = random.normal(size=net.vector.size) * 10.0 ** random.integers(-38, 37, net.vector.size)
    net.export(tmp_path / "net.c")
    for name, values in re.findall(r"net_(\w+)\[\d+\] = \{(.*?)\};", (tmp_path / "net.c").read_text(), re.DOTALL):
        found = np.array([float(text.strip().rstrip("f")) for text in values.split(",")]).astype(dtype)
        assert found.tobytes() == net.parameters[name].tobytes()


@pytest.mark.parametrize("weights", [None, "int8"])
def test_it_needs_math_h_only(tmp_path, random, weights):
    """No other function of the C library, and no variables outside the stack."""
    layers = [30, Dense(40, "gelu"), Dense(20, "tanh"), Dense(10, "softmax")]
    net = Network(layers, cost="cross-entropy", seed=1, standardize=True)
    x, y = random.normal(size=(30, 30)), random.integers(0, 10, 30)
    net.fit(x, y, epochs=0)
    net.export(tmp_path / "net.c", weights, weights and (x, y))
    text = (tmp_path / "net.c").read_text()
    assert {*re.findall(r"#include (<.*>)", text)} == {"<math.h>", "<stdio.h>"} | ({"<stdint.h>"} if weights else set())
    run(compiler(), *STRICT, "-O2", "-ffreestanding", "-fno-pie", "-fno-stack-protector", "-c", tmp_path / "net.c", "-o",
        tmp_path / "net.o")
    symbols = [line.split()[-2:] for line in run("nm", tmp_path / "net.o").splitlines()]
    assert {name for kind, name in symbols if kind == "U"} <= {"expf", "fabsf", "floorf", "tanhf"}
    assert {kind for kind, name in symbols} <= set("URrTt")
    assert f"Memory: {constants(net, weights)} bytes of constant numbers" in text
    assert "280 bytes of stack for the values of layers" in text   # 30 inputs and 20 neurons share a buffer, 40 have the other


def constants(net, weights):
    """Bytes of weights, biases, scales of int8, and of two or three vectors of the standardization."""
    w, b = (sum(net.parameters[f"{letter}{l}"].size for l in range(1, 4)) for letter in "wb")
    return (w + 8 * b if weights else 4 * (w + b)) + 3 * 30 * 4


def test_it_is_a_program_of_its_own(tmp_path, random):
    for dtype in TYPES:
        net = Network([3, 4, 2], dtype=dtype, seed=1)
        net.export(tmp_path / "net.c")
        run(compiler(), *STRICT, "-DNET_MAIN", tmp_path / "net.c", "-o", tmp_path / "net", "-lm")
        x = random.normal(size=(5, 3)).astype(dtype)
        given = "\n".join(" ".join(map(repr, row)) for row in x.tolist())
        found = np.array([[*map(float, line.split())] for line in run(tmp_path / "net", input=given).splitlines()])
        assert agree(net, x, found)
    for wrong in ("1 2", "1 2 3 4", "1 2 x", "1 2 3 x"):
        with pytest.raises(AssertionError):
            run(tmp_path / "net", input=wrong)
    assert run(tmp_path / "net", input="nan 1 2") == "nan nan\n"


@pytest.mark.parametrize("options", [["-O0"], ["-Os"], ["-O3", "-march=native", "-ffp-contract=fast"]], ids=" ".join)
def test_compilers_may_optimize(tmp_path, random, options):
    """With fused multiply-adds, too."""
    layers = [150, Dense(40, "gelu"), Dense(33, "gaussian"), Dense(10, "softmax")]
    net = Network(layers, device="cpu:numpy", seed=1, standardize=True)
    x = random.normal(1e4, 3.0, (30, 150)).astype("float32")
    net.fit(x, np.eye(10)[random.integers(0, 10, 30)], epochs=0)
    net.export(tmp_path / "net.c")
    assert agree(net, x, predicted(tmp_path, x, "net", 10, library(tmp_path, (tmp_path / "net.c").read_text(), *options)))


@pytest.mark.long
@pytest.mark.parametrize("name", ["g++", "clang", "clang++"])
def test_other_compilers_take_it_too(tmp_path, random, name):
    found = compiler(name)
    net = Network([3, Dense(4, ODD), *(Dense(3, entry) for entry in ENTRIES)], seed=1)
    x, y = random.normal(size=(30, 3)), random.normal(size=(30, 3))
    net.export(tmp_path / "net.c")
    net.export(tmp_path / "small.c", "int8", (x, y))
    standard = ["-x", "c++", "-std=c++11"] if "++" in name else ["-std=c99"]
    for file in ("net.c", "small.c"):
        run(found, *standard, *STRICT[1:], "-c", tmp_path / file, "-o", tmp_path / "net.o")


# ---- int8

@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("task", ["classification", "multi-label", "regression"])
def test_int8_weights(tmp_path, random, dtype, task):
    output, cost = ("identity", "quadratic") if task == "regression" else ("sigmoid", "cross-entropy")
    net = Network([4, 30, 20, 3], "tanh", output, cost, device="cpu:numpy", dtype=dtype, seed=1, standardize=True)
    x = random.normal(3.0, 5.0, (300, 4)).astype(dtype)
    teacher = x @ random.normal(size=(4, 3))
    y = {"classification": teacher.argmax(axis=1), "multi-label": (teacher > 0.0).astype(float), "regression": teacher}[task]
    net.fit(x, y, epochs=5, optimizer=gpubp.Adam(0.01))
    before, exact = as_before(net), net.score(x, y)
    found = net.export(tmp_path / "net.c", weights="int8", test=(x, y))
    twin = quantized(net)
    assert found == (METRICS[task], 300, exact, twin.score(x, y)) and as_before(net) == before
    assert (found.exact != found.quantized or task == "classification") and abs(found.exact - found.quantized) < 0.03
    text = (tmp_path / "net.c").read_text()
    said = re.sub(r"\s+", " ", text.partition("#include")[0])
    assert f"weights: int8, with a scale for each neuron; {found.metric} on 300 test samples: {found.quantized:.6g}" in said
    assert f"with weights of {dtype} {exact:.6g}" in said and text.count("static const int8_t net_w") == 3
    y_c = predicted(tmp_path, x, outputs=3)
    assert agree(twin, x, y_c) and not agree(net, x, y_c)


def quantized(net):
    """A network with the weights of int8_rows."""
    twin = net.copy()
    for l in net.gates:
        codes, scale = int8_rows(net.parameters[f"w{l}"])
        twin.parameters[f"w{l}"][...] = codes * scale[:, None]
    return twin


@pytest.mark.parametrize("dtype", TYPES)
def test_int8_rows_use_the_whole_range_and_are_nearest(random, dtype):
    w = (random.normal(size=(200, 30)) * 10.0 ** random.integers(-37, 37, (200, 1))).astype(dtype)
    w[0], w[1], w[2], w[3, 0] = 0.0, np.finfo(dtype).smallest_subnormal, np.finfo(dtype).max / 2, -np.finfo(dtype).max / 2
    codes, scale = int8_rows(w)
    assert codes.dtype == np.int8 and scale.dtype == w.dtype and (scale > 0.0).all()
    assert (np.abs(codes[4:]).max(axis=1) == 127).all()
    error = np.abs(codes * scale[:, None].astype(float) - w) / scale[:, None].astype(float)
    assert error.max() <= 0.5 + 1e-4 and np.isfinite(codes * scale[:, None]).all() and (codes[0] == 0).all()


X, Y = np.ones((3, 2)), [0, 1, 1]


@pytest.mark.parametrize("file, options, said", [
    ("net.c", {"weights": "int8"}, r"expected test=\(x, y\) with weights='int8', to measure the loss of accuracy, got None"),
    ("net.c", {"weights": "int8", "test": X}, r"expected test=\(x, y\)"),
    ("net.c", {"test": (X, Y)}, "expected weights 'int8', or neither weights nor test, got None"),
    ("net.c", {"weights": "int4", "test": (X, Y)}, "expected weights 'int8', or neither weights nor test, got 'int4'"),
    ("net.c", {"weights": np.ones(3), "test": (X, Y)}, r"expected weights 'int8', or neither weights nor test, got array\("),
    ("net.c", {"weights": "int8", "test": (X, [0, 1])}, "y: expected"),
    ("net.c", {"weights": "int8", "test": (X[:0], [])}, "expected at least one row"),
    ("net.c", {"weights": "int8", "test": (X * np.nan, Y)}, "nan"),
    ("net.json", {"weights": "int8", "test": (X, Y)}, r"expected a name that ends in \.c with weights or test, got \.json"),
    ("net.json", {"test": (X, Y)}, r"expected a name that ends in \.c with weights or test, got \.json: leave them out")])
def test_refusals_leave_everything_as_it_was(tmp_path, file, options, said):
    net = Network([2, 3], cost="cross-entropy", seed=1)
    (tmp_path / file).write_text("previous")
    before = as_before(net)
    with pytest.raises(ValueError, match=said) as caught:
        net.export(tmp_path / file, **options)
    assert "\n" not in str(caught.value) and [path.name for path in tmp_path.iterdir()] == [file]
    assert (tmp_path / file).read_text() == "previous" and as_before(net) == before and net.task is None


def test_a_formula_that_c_cannot_express(tmp_path, monkeypatch):
    monkeypatch.setitem(C_SPELLINGS, "erfcx", "erfcx({0})")   # of CUDA
    own = Activation("own", lambda xp, z: xp.erfcx(z), lambda xp, z, a: a)
    net = Network([2, Dense(3, own)], device="cpu:numpy", seed=1)
    (tmp_path / "net.c").write_text("previous")
    with pytest.raises(ValueError, match=r"^activation 'own': expected a function of C99's math\.h for xp\.erfcx, got 'erfcx': "):
        net.export(tmp_path / "net.c")
    monkeypatch.delitem(C_SPELLINGS, "erfcx")
    with pytest.raises(ValueError, match=r"^activation 'own': xp\.erfcx has no"):
        net.export(tmp_path / "other.c")
    assert (tmp_path / "net.c").read_text() == "previous" and len([*tmp_path.iterdir()]) == 1
