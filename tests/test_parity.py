"""Device parity: correct devices agree for every network, and a fault is found in the array where it arises."""

import json

import numpy as np
import pytest

from gpubp import check as checking
from gpubp.devices.cpu.numpy_ops import NumpyOps
from gpubp.devices.cuda.cuda_ops import CudaOps
from gpubp.layered.layers import Dense, Dropout
from gpubp.layered.network import Network
from gpubp.parity import ArrayComparison, ParityReport, parity
from tests.cases import PAIR_NAMES, PAIRS, as_before, network, targets, two_classes
from tests.conftest import device


@pytest.fixture(params=["host", "cuda"])
def other(request):
    """A device to compare with the CPU."""
    return device(request.param)


@pytest.fixture
def net():
    return Network([4, Dense(6, "tanh"), Dense(5, "relu"), 2], device="cpu", seed=1)


class Faulty(NumpyOps):
    """A CPU with one wrong verb: changed(*arrays of the verb) runs after each of its calls."""

    name = "faulty"

    def __init__(self, verb, changed):
        self.verb, self.changed = verb, changed

    def __getattribute__(self, name):
        found = super().__getattribute__(name)
        if name in ("verb", "changed") or name != self.verb:
            return found

        def bound(*arrays):
            call = found(*arrays)
            return lambda: (call(), self.changed(*arrays))
        return bound


def first(report):
    """The first array that diverges."""
    return report.diverging and (report.diverging.name, report.diverging.layer)


# ---- devices that agree

@pytest.mark.parametrize("dtype", ["float32", pytest.param("float64", marks=pytest.mark.long)])
@pytest.mark.parametrize("pair", PAIRS, ids=PAIR_NAMES)
def test_the_cpu_agrees_with_the_formulas(pair, dtype, random):
    """Every cost with every output, also in saturated networks."""
    cost, output = pair
    for depth, scale in ((1, 1.0), (3, 4.0)):
        net = network(cost, output, depth, "cpu", dtype)
        net.vector[...] *= scale
        report = parity(net, random.standard_normal((7, 4)), targets(cost, output, 7, 3, random), ("cpu", "reference"))
        assert report.passed, str(report)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("hidden, output, cost", [
    ("sigmoid", "sigmoid", "quadratic"), ("relu", "softmax", "cross-entropy"), ("gelu", "softmax", "quadratic"),
    ("softmax", "sigmoid", "cross-entropy"), ("tanh", "identity", "multiclass_hinge"), ("elu", "tanh", "exponential")])
def test_devices_agree(other, hidden, output, cost, dtype, random):
    layers = [9, Dense(40, hidden), Dropout(0.5), Dense(7, hidden), Dense(4, output)]
    net = Network(layers, cost=cost, device="cpu", dtype=dtype, seed=int(random.integers(1000)))
    before = as_before(net)
    report = parity(net, random.standard_normal((33, 9)), random.integers(4, size=33), ("cpu", other))
    assert report.passed and as_before(net) == before and net.ops.name == "cpu", str(report)
    assert report.devices == ("cpu", other.name) and report.verdict.startswith(f"cpu and {other.name} agree")
    eps = np.finfo(dtype).eps
    assert all(row.relative < 100 * eps and row.ulp < 1000 for row in report.rows)
    assert max(max(row.rounding) for row in report.rows) > 1e-4, "bounds far from what is found would find no fault"


@pytest.mark.parametrize("precision", ["tf32", "bfloat16", "float16"])
def test_a_precision_is_that_of_both_devices(other, precision, monkeypatch, random):
    """The CPU remains exact, and its bounds are those of exact products."""
    net = Network([9, 40, Dense(4, "softmax")], cost="cross-entropy", device="cpu", seed=1)
    x, y, requested, at = random.standard_normal((33, 9)), random.integers(4, size=33), [], CudaOps.with_precision
    monkeypatch.setattr(CudaOps, "with_precision", lambda self, precision: requested.append(precision) or at(self, precision))
    exact = parity(net, x, y, ("cpu", other), "exact")
    assert exact.precisions == ("exact", "exact") and set(requested) == {"exact"}
    requested.clear()
    report = parity(net, x, y, ("cpu", other), precision)
    assert report.passed and report.precisions == ("exact", precision) and set(requested) == {precision}, str(report)
    assert max(row.relative for row in report.rows) > 1e-5
    assert [row.rounding[0] for row in report.rows] == [row.rounding[0] for row in exact.rows]
    assert str(report).splitlines()[2].split() == ["exact", precision]
    assert report.as_dict()["precisions"] == ["exact", precision]
    net.precision = precision
    for first_, second in ((other, "reference"), (other, other)):
        again = parity(net, x, y, (first_, second))
        assert again.passed and again.precisions == (precision, "exact" if second == "reference" else precision)


def test_small_deltas_of_float16(other, random):
    """Some are stored as 0, but BP3 sums the values before they are rounded."""
    net = Network([9, 40, 40, Dense(4, "softmax")], cost="cross-entropy", device="cpu", seed=1)
    net.parameters["w3"][...] *= 1e-6
    report = parity(net, random.standard_normal((33, 9)), random.integers(4, size=33), ("cpu", other), "float16")
    assert report.passed, str(report)


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_overflow_of_the_narrower_numbers_is_no_fault(other, precision, random):
    net = Network([5, 6, Dense(4, "softmax")], activation="relu", cost="cross-entropy", device="cpu", seed=1)
    for scale in (1e5, 1e37):
        report = parity(net, random.standard_normal((33, 5)) * scale, random.integers(4, size=33), ("cpu", other), precision)
        assert report.passed, str(report)
        if precision == "float16":   # x is already infinite in float16
            assert report.rows[0].relative < 0.01 and report.rows[0].misplaced == 0


@pytest.mark.long
def test_factors_in_another_order_are_no_fault(random):
    """The outer derivative of the exponential cost is a kernel's last factor and NumPy's first: only one may overflow."""
    net = Network([4, Dense(2, "gaussian")], cost="exponential(0.1)", device="cpu", seed=1)
    net.parameters["w1"][...], net.parameters["b1"][...] = 0.0, [3.5, -8.0]
    x, y = random.standard_normal((40, 4)), np.linspace(2.9, 3.0, 80).reshape(40, 2) / np.sqrt([1.0, 100.0])
    for other in ("reference", device("host")):
        report = parity(net, x, y, ("cpu", other))
        assert report.passed, str(report)


def test_on_a_kink_each_device_is_right_by_its_own_numbers(random):
    """Rounding may put two devices on different sides of a kink: then deltas differ completely, without a fault."""
    net = Network([4, Dense(2, "tanh"), Dense(1, "relu"), 2], device="cpu", seed=1)
    p = net.parameters
    p["w1"][1], p["b1"][...], p["w2"][...], p["b2"][...] = p["w1"][0], 0.0, [[1.0, -1.0]], 0.0   # z_2 = a - a

    def rounded(a, b, out):
        if out.shape == (6, 1):
            np.add(out, 1e-12, out)
    x = np.abs(random.standard_normal((6, 4))) + 0.1
    report = parity(net, x, random.integers(2, size=6), ("cpu", Faulty("matmul", rounded)))
    delta = next(row for row in report.rows if (row.name, row.layer) == ("delta", 2))
    assert report.passed and delta.relative == 1.0, str(report)


# ---- devices that do not

@pytest.mark.parametrize("verb, changed, found", [
    ("matmul", lambda a, b, out: np.multiply(out, 1.001, out), ("z", 1)),
    ("bias_activation", lambda activation, z, b, a: np.add(a, 1e-5, a), ("a", 1)),
    ("activation_backward", lambda activation, delta, z, a, sums: np.multiply(delta, 1.00001, delta), ("delta", 2)),
    ("activation_backward", lambda activation, delta, z, a, sums: np.add(sums, 1e-4, sums), ("db", 2)),
    ("cost_and_delta", lambda *arrays: np.multiply(arrays[7], -1.0, arrays[7]), ("delta", 3)),
    ("cost_and_delta", lambda *arrays: np.multiply(arrays[9], 1.001, arrays[9]), ("cost", 3))])
@pytest.mark.parametrize("beside", ["cpu", "reference"])
def test_a_wrong_verb_is_found_where_it_arises(net, verb, changed, found, beside, random):
    report = parity(net, *two_classes(random), (beside, Faulty(verb, changed)))
    assert first(report) == found and report.diverging.rounding[0] <= 1.0 < report.diverging.rounding[1]
    assert report.verdict.startswith(f"{found[0]} of layer {found[1]} diverges first: on faulty it is ")
    assert "DIVERGES" in str(report) and str(report).splitlines()[-1] == report.verdict


def test_one_wrong_number_among_many_is_found(random):
    def one(activation, delta, z, a, sums):
        delta[3, 5] *= 1.0001
    net = Network([50, 200, 10], device="cpu", seed=1)
    x, y = random.standard_normal((100, 50)), random.integers(10, size=100)
    report = parity(net, x, y, ("cpu", Faulty("activation_backward", one)))
    assert first(report) == ("delta", 1) and [row.passed for row in report.rows].count(False) <= 2


@pytest.mark.long
@pytest.mark.parametrize("verb, spoil, found", [
    ("activation_backward", lambda activation, delta, z, a, sums: np.multiply(sums, 1.05, sums), ("db", 2)),
    # the bits of a bfloat16
    ("bias_activation", lambda activation, z, b, a: np.add(a, 0x3 if a.dtype == np.uint16 else 0, a), ("a", 1))])
def test_a_wrong_kernel_of_halves_is_found(net, verb, spoil, found, monkeypatch, random):
    """In comparison with the CPU, the first device by default."""
    other, right = device("host"), getattr(CudaOps, verb)

    def wrong(self, *arrays):
        call = right(self, *arrays)
        if self.precision != "bfloat16":
            return call
        return lambda: (call(), spoil(*[getattr(array, "memory", array) for array in arrays]))
    monkeypatch.setattr(CudaOps, verb, wrong)
    x, y = two_classes(random)
    assert parity(net, x, y, ("cpu", other)).passed
    report = parity(net, x, y, ("cpu", other), "bfloat16")
    assert first(report) == found and report.diverging.rounding[0] <= 1.0 < report.diverging.rounding[1]


def test_parameters_that_arrive_wrong_are_found(net, monkeypatch, random):
    right = Network.copy

    def corrupted(self, device=None):
        copy = right(self, device)
        copy.parameters["w2"][1, 2] += 0.01
        return copy
    monkeypatch.setattr(Network, "copy", corrupted)
    assert first(parity(net, *two_classes(random), ("reference", "cpu"))) == ("z", 2)


def test_samples_that_arrive_wrong_are_found(net, random):
    class Late(NumpyOps):
        def asarray(self, values, dtype=None):
            return super().asarray(values, dtype) * np.float32(1 + 1e-6)
    assert first(parity(net, *two_classes(random), ("cpu", Late()))) == ("x", 0)


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_numbers_that_are_none_are_found(net, wrong, random):
    def spoilt(activation, z, b, a):
        a[2, 1] = wrong
    report = parity(net, *two_classes(random), ("cpu", Faulty("bias_activation", spoilt)))
    assert first(report) == ("a", 1) and report.diverging.misplaced == 1 and report.diverging.rounding[1] == np.inf
    assert report.verdict.endswith("on faulty it has NaN or infinities where its formula has none, or has none where it should")


def test_possible_overflow_on_one_device_is_not_judged():
    """Either may be correct, depending on the order of the additions."""
    net = Network([4, Dense(3, "relu"), 2], device="cpu", seed=1)
    net.parameters["w1"][...] = [3e38, 3e38, -3e38, -3e38]

    def giving(value):
        return Faulty("matmul", lambda a, b, out: out.fill(value) if a.shape == (5, 4) else None)
    report = parity(net, np.ones((5, 4)), [0, 1, 1, 0, 1], (giving(0.0), giving(np.inf)))
    z, a = report.rows[1:3]
    assert report.passed and z.misplaced == 0 and z.unjudged == 15 and z.rounding == (0.0, 0.0)
    assert a.misplaced == 15 and a.unjudged == 0 and "15 misplaced" in str(report), "each is right by its own z"
    report = parity(net, np.ones((5, 4)), [0, 1, 1, 0, 1], (giving(0.0), "reference"))
    assert report.passed and report.verdict.endswith("but for 15 numbers at the edge of overflow, which were not judged")
    assert all(row.misplaced == 0 for row in report.rows)


def test_nan_on_both_is_no_difference(net, random):
    net = Network([4, Dense(6, "sine"), 2], device="cpu", seed=1)
    net.parameters["w1"][0] = 3e38
    x, y = two_classes(random)
    x[0] = 1e38   # the sine of infinity is NaN
    report = parity(net, x, y, ("cpu", NumpyOps()))
    assert report.passed and all(row.misplaced == 0 for row in report.rows), str(report)

    def hidden(activation, z, b, a):
        a[~np.isfinite(a)] = 0.0
    assert np.isnan(net.trace(x, y).a[1]).any()
    assert first(parity(net, x, y, ("cpu", Faulty("bias_activation", hidden)))) == ("a", 1)


# ---- the report

def test_ulps_are_those_of_the_dtype(net, random):
    def up(activation, z, b, a):
        np.nextafter(a, np.float32(9.0), out=a)
    net = Network([4, 6, 2], device="cpu", seed=1)
    row = parity(net, *two_classes(random), ("cpu", Faulty("bias_activation", up))).rows[2]
    assert (row.name, row.layer, row.ulp) == ("a", 1, 1.0)


def test_the_order_is_that_of_the_computation(net, random):
    report = parity(net, *two_classes(random), ("cpu", "cpu"))
    assert [f"{row.name}{row.layer}" for row in report.rows] == [
        "x0", "z1", "a1", "z2", "a2", "z3", "a3", "cost3", "delta3", "db3", "dw3", "delta2", "db2", "dw2", "delta1", "db1", "dw1"]
    assert all(row.absolute == row.relative == row.ulp == 0.0 for row in report.rows)
    assert isinstance(report, ParityReport) and all(type(row) is ArrayComparison for row in report.rows)
    assert checking.parity is parity and report == checking.parity(net, *two_classes(np.random.default_rng(1)), ("cpu", "cpu"))


def test_a_report_is_json(net, random):
    for ops in (NumpyOps(), Faulty("bias_activation", lambda activation, z, b, a: np.multiply(a, np.nan, a))):
        report = parity(net, *two_classes(random), ("cpu", ops))
        data = json.loads(json.dumps(report.as_dict(), allow_nan=False))
        assert data == report.as_dict() and data["passed"] == report.passed and data["verdict"] == report.verdict
        assert [(row["name"], row["layer"]) for row in data["rows"]] == [(row.name, row.layer) for row in report.rows]
        assert [[float(part) for part in row["rounding"]] for row in data["rows"]] == [list(row.rounding) for row in report.rows]


def test_mistakes(net, random):
    x, y = two_classes(random)
    for devices in ("cpu", ("cpu",), ("cpu", "cpu", "cpu"), None, {"cpu", "cuda"}):
        with pytest.raises(ValueError, match="expected two devices"):
            parity(net, x, y, devices)
    for word in ("gpu", "cuda:x", "cuda:", None):
        with pytest.raises(ValueError, match=f"^expected device 'reference', 'auto', .* got '{str(word).lower()}'$"):
            parity(net, x, y, ("cpu", word))
    with pytest.raises(ValueError, match="expected precision 'exact'"):
        parity(net, x, y, ("cpu", "cpu"), "double")
    with pytest.raises(ValueError, match="expected rows of 4 for layer 1"):
        parity(net, x[:, :3], y, ("cpu", "cpu"))
    assert parity(net, x, y, ("CPU ", "Reference")).devices == ("cpu", "reference")
    for wrong in (np.nan, np.inf):
        net.parameters["b2"][3] = wrong
        with pytest.raises(ValueError, match="expected finite parameters, got NaN or infinity in b2: "):
            parity(net, x, y, ("cpu", "reference"))
