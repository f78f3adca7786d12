"""The standardizing first layer: the same as scaled x, wherever x enters, on every device and for data that stay on the host."""

import pickle

import numpy as np
import pytest

import gpubp
from gpubp import Dense, Dropout, Network
from gpubp.datasets import Scaling
from gpubp.layered import input_checks, standardization
from tests.cases import as_before, two_classes
from tests.conftest import device
from tests.layered import test_batches
from tests.layered.test_input_checks import refuses

little = test_batches.little

UNITS, OFFSETS = np.array([1.0, 1e4, 1e-6, 0.0]), np.array([0.0, 1e7, 1e-3, 7.0])


@pytest.fixture
def data(random):
    """(x in its own units, x scaled, y): the last column is constant."""
    x, y = two_classes(random, 60)
    raw = x * UNITS + OFFSETS
    return raw, Scaling.standard(raw)(raw), y


def pair(ops, dtype="float64", **options):
    """A network that standardizes, and its twin, which takes scaled x."""
    layers = [4, Dropout(0.1), 5, Dense(2, "softmax")]
    return [Network(layers, cost="cross-entropy", device=ops, dtype=dtype, seed=1, standardize=standardize, **options)
            for standardize in (True, False)]


def same(net, some, others):
    np.testing.assert_array_equal(net.ops.to_numpy(some), net.ops.to_numpy(others))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_equals_scaled_data_to_the_bit(ops, data, dtype):
    raw, scaled, y = data
    net, twin = pair(ops, dtype)
    net.fit(raw[:40], y[:40], epochs=0)
    first = Scaling.standard(raw[:40])
    scaled = first(raw)
    assert net.standardization.shift.tolist() == first.shift and net.standardization.scale.tolist() == first.scale
    for x in (raw, raw.astype(">f8"), np.asfortranarray(raw), ops.asarray(raw)):
        net, twin = pair(ops, dtype)
        there = ops.asarray if ops.is_on_device(x) else np.asarray
        for n, given in ((net, x), (twin, there(scaled))):
            n.fit(given[:40], there(y)[:40], epochs=2, validation=(given[40:], there(y)[40:]), patience=2,
                  sample_weight=there(np.arange(40.0)))
        assert as_before(net)[:2] == as_before(twin)[:2] and net.history.validation_cost == twin.history.validation_cost
        same(net, net.feedforward(x), twin.feedforward(there(scaled)))
        same(net, net.predict(x), twin.predict(there(scaled)))
        same(net, net.gradient(x, there(y)), twin.gradient(there(scaled), there(y)))
        assert net.cost(x, there(y)) == twin.cost(there(scaled), there(y))
        assert net.score(x, there(y)) == twin.score(there(scaled), there(y))
        vector = ops.to_numpy(net.vector).astype(float)
        assert net.objective(x, there(y))(vector)[0] == twin.objective(there(scaled), there(y))(vector)[0]
        same(net, net.trace(x, there(y)).a[0], np.asarray(scaled, dtype))
        assert net.check(raw, y).passed
    assert int(net.memory(8, 40)) == int(twin.memory(8, 40))


def test_loops_of_single_epochs(ops, data):
    """A later fit keeps its workspace, with copies of the data, which may change in between."""
    raw, _, y = data
    net, twin = pair(ops)
    net.fit(raw, y, epochs=0)
    standardized = net.standardization(raw)
    for _ in range(4):
        net.fit(raw, y, epochs=1)
        twin.fit(standardized, y, epochs=1)
        raw[:] = raw[::-1].copy()
        standardized[:] = standardized[::-1].copy()
    same(net, net.vector, twin.vector)
    assert net.history.cost == twin.history.cost


def test_large_offsets_in_float32(ops):
    """The float32 numbers 2**24 + (0, 2, 4, 6) keep their differences, and float64 inputs of a float32 network all of them."""
    x = 2.0**24 + np.array([[0.0], [2.0], [4.0], [6.0]])
    net = Network([1, 1], activation="identity", device=ops, standardize=True, seed=1)
    net.fit(x, [0.0, 1.0, 2.0, 3.0], epochs=0)
    expected = (np.arange(4) - 1.5) / np.sqrt(1.25)
    for given in (x, x.astype("f4"), ops.asarray(x, "float32"), x.astype("i8")):
        trace = net.trace(given, ops.asarray(np.arange(4.0)) if ops.is_on_device(given) else np.arange(4.0))
        np.testing.assert_allclose(ops.to_numpy(trace.a[0])[:, 0], expected, rtol=1e-6)


def test_extreme_columns_become_ordinary(ops):
    x = np.array([[1e200, 1.7e308, 5.0], [-1e200, -1.7e308, 5.0], [3e200, 0.0, 5.0]])
    net = Network([3, 1], device=ops, standardize=True, seed=1)
    net.fit(x, [0, 1, 0], epochs=1, batch_size=None)
    np.testing.assert_allclose(ops.to_numpy(net.trace(x, [0, 1, 0]).a[0]), Scaling.standard(x)(x), rtol=1e-6)
    assert np.isfinite(net.feedforward(x)).all()


@pytest.mark.usefixtures("current_device")
def test_in_a_circuit(ops, data):
    """net(x) standardizes too, and its derivative with respect to x has the factor 1 / scale."""
    raw, _, y = data
    net, twin = pair(ops)
    net.fit(raw, y, epochs=1)
    twin.vector = net.vector
    scaled = net.standardization(raw)
    there = ops.asarray
    same(net, net(raw), net.feedforward(raw))
    of = lambda n, x: gpubp.grad(lambda x: (n(x) ** 2).sum())(there(x))
    np.testing.assert_allclose(ops.to_numpy(of(net, raw)) * net.standardization.scale, ops.to_numpy(of(twin, scaled)), rtol=1e-9)
    by_vector = lambda n, x: gpubp.grad(lambda vector: (n(there(x), vector) ** 2).sum())(n.vector)
    np.testing.assert_allclose(ops.to_numpy(by_vector(net, raw)), ops.to_numpy(by_vector(twin, scaled)), rtol=1e-9, atol=1e-12)


def test_standardize_is_true_or_false():
    with pytest.raises(TypeError, match="expected standardize to be True or False, got 'no'"):
        Network([2, 1], device="cpu", standardize="no")


def test_only_the_first_fit_measures(ops, data):
    raw, _, y = data
    net, twin = pair(ops)
    same(net, net.feedforward(raw), twin.feedforward(raw))   # before it, x enters as it is
    net.fit(raw, y, epochs=1)
    before = net.standardization
    net.fit(3.0 * raw + 1.0, y, epochs=1)
    assert net.standardization is before and before.shift.tolist() == Scaling.standard(raw).shift
    weighted, _ = pair(ops)
    weighted.fit(raw, y, epochs=1, sample_weight=np.arange(60.0))
    assert (weighted.standardization.shift == before.shift).all()


def test_saved_copied_and_moved(ops, data, tmp_path):
    raw, _, y = data
    net, _ = pair(ops)
    net.fit(raw, y, epochs=1)
    net.save(tmp_path / "net.npz")
    out = net.feedforward(raw)
    loaded = gpubp.load(tmp_path / "net.npz", device=ops)
    for again in (loaded, net.copy(), net.copy().to(ops)):
        assert again.standardize and (again.feedforward(raw) == out).all()
    loaded.fit(raw * 2.0, y, epochs=1)
    assert (loaded.standardization.shift == net.standardization.shift).all()
    on_cpu = pickle.loads(pickle.dumps(net.copy("cpu")))
    np.testing.assert_allclose(on_cpu.feedforward(raw), out, rtol=1e-9)
    np.testing.assert_allclose(net.to("cpu").feedforward(raw), out, rtol=1e-9)


def test_a_failed_fit_keeps_no_statistics(ops, data):
    raw, _, y = data
    net, _ = pair(ops)
    bad = raw.copy()
    bad[3, 1] = np.nan
    refuses(net, "x: expected finite numbers in float64, got nan at row 3, column 1", lambda: net.fit(bad, y))
    refuses(net, "x: expected finite numbers in float64, got nan at row 3", lambda: net.fit(ops.asarray(bad), ops.asarray(y)))
    refuses(net, "batch_size", lambda: net.fit(raw, y, batch_size=1000))
    refuses(net, "expected at least one row", lambda: net.fit(raw[:0], y[:0]))
    assert net.standardization is None
    net.fit(raw, y, epochs=1)
    refuses(net, "x: expected finite numbers in float64, got nan at row 3, column 1", lambda: net.predict(bad))


@pytest.mark.long
@pytest.mark.parametrize("room", [3000, 1800])
def test_data_that_stay_on_the_host(little, data, tmp_path, random, room, monkeypatch):
    """In chunks of a few rows, from a memory-mapped file: the same bits as data on the device."""
    x, y = two_classes(random, test_batches.ROWS)
    raw = x * UNITS + OFFSETS
    np.save(tmp_path / "x.npy", raw)

    def fitted(x):
        net = Network([4, 5, 2], output="softmax", cost="cross-entropy", device=device("host"), seed=7, standardize=True)
        net.fit(x, y, optimizer="adam(0.01)", epochs=2, progress=False, validation=(x, y))
        return net
    expected = fitted(raw)
    little(room)
    net = fitted(np.load(tmp_path / "x.npy", mmap_mode="r"))
    assert test_batches.state(net) == test_batches.state(expected)
    assert isinstance(input_checks.samples(net, raw), input_checks.LazyRows)
    assert (net.feedforward(raw) == expected.feedforward(raw)).all() and net.score(raw, y) == expected.score(raw, y)
    monkeypatch.setattr(input_checks, "CHUNK_ELEMENTS", 40)
    again = standardization.Standardization.of(net, raw)
    np.testing.assert_allclose(again.scale, net.standardization.scale, rtol=1e-14)
    np.testing.assert_allclose(again.shift, net.standardization.shift, rtol=1e-14)


@pytest.mark.long
def test_an_invalid_number_on_the_device_makes_its_row_nan(data):
    """x on a GPU is standardized there, and an invalid number makes its row NaN."""
    raw, _, y = data
    ops = device("host")
    net, _ = pair(ops)
    net.fit(raw, y, epochs=1)
    bad = raw.copy()
    bad[3, 1] = np.inf
    out = ops.to_numpy(net.feedforward(ops.asarray(bad)))
    assert np.isnan(out[3]).all() and np.isfinite(np.delete(out, 3, axis=0)).all()


@pytest.mark.parametrize("shift, scale", [([np.nan, 0.0, 0.0, 0.0], [1.0] * 4), ([0.0] * 4, [1.0, -1.0, 1.0, 1.0]),
                                          ([0.0] * 3, [1.0] * 3), ([0.0] * 4, [1.0, np.inf, 1.0, 1.0])])
def test_files_with_impossible_statistics_are_refused(shift, scale, data, tmp_path):
    x, _, y = data
    net = Network([4, 2], device="cpu", seed=1, standardize=True)
    net.fit(x, y, epochs=0)
    with pytest.raises(ValueError, match="read-only"):
        net.standardization.shift[0] = 100.0
    net.standardization.shift, net.standardization.scale = np.array(shift), np.array(scale)
    net.save(tmp_path / "net.npz")
    with pytest.raises(ValueError, match=r"expected (header\.)?standardization to be .*(finite|null)"):
        gpubp.load(tmp_path / "net.npz")
