"""Ensemble: against NumPy's mean, deviation and counts of votes; its files, and damage to them."""

import json

import numpy as np
import pytest

import gpubp
from gpubp import Ensemble, Network, load
from gpubp.layered.ensemble import SHARED
from tests.cases import as_before, two_classes
from tests.test_files import refused, taken_apart

LAYERS = {"classification": ([4, 6, 3], "softmax", "cross-entropy"), "multi-label": ([4, 6, 3], "sigmoid", "cross-entropy"),
          "regression": ([4, 6, 2], "identity", "quadratic"), "one output": ([4, 6, 1], "sigmoid", "cross-entropy"),
          "hinge": ([4, 6, 1], "identity", "hinge")}


def members(kind, count=3, ops="cpu:numpy", dtype="float64"):
    layers, output, cost = LAYERS[kind]
    task = kind if kind in ("multi-label", "regression") else "classification"
    return [Network(layers, "tanh", output, cost, device=ops, dtype=dtype, task=task, seed=seed) for seed in range(count)]


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("count", [1, 3, 4])
def test_mean_spread_and_predictions(ops, kind, count, random):
    networks, x = members(kind, count, ops), random.standard_normal((40, 4))
    ensemble, outputs = Ensemble(networks), np.stack([net.feedforward(x) for net in networks])
    np.testing.assert_allclose(ensemble.feedforward(x), outputs.mean(axis=0), rtol=1e-14, atol=1e-15)
    np.testing.assert_allclose(ensemble.spread(x), outputs.std(axis=0), rtol=1e-9, atol=1e-15)
    mean = outputs.mean(axis=0)
    expected = {"classification": mean.argmax(axis=1), "multi-label": (mean > 0.5).astype(int), "regression": mean,
                "one output": (mean[:, 0] > 0.5).astype(int), "hinge": np.where(mean[:, 0] > 0, 1, -1)}[kind]
    np.testing.assert_allclose(ensemble.predict(x), expected, rtol=1e-14, atol=1e-15)
    assert ensemble.predict(x).dtype == networks[0].predict(x).dtype and ensemble.predict(x).shape == networks[0].predict(x).shape


@pytest.mark.parametrize("kind", ["classification", "multi-label", "one output", "hinge"])
@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_votes(ops, kind, count, random):
    """Counted in plain Python: the most frequent label, of equally frequent ones the one with the larger mean."""
    networks, x = members(kind, count, ops), random.standard_normal((60, 4))
    ensemble = Ensemble(networks)
    each, mean = [net.predict(x) for net in networks], np.mean([net.feedforward(x) for net in networks], axis=0)
    of_mean, ties = ensemble.predict(x), 0
    for row, found in enumerate(ensemble.vote(x)):
        if kind == "classification":
            labels = [int(labels[row]) for labels in each]
            most = max(map(labels.count, labels))
            tied = {label for label in labels if labels.count(label) == most}
            ties += len(tied) > 1
            assert found == max(tied, key=lambda label: mean[row, label])
        else:
            for place in range(np.size(found)):
                labels = [int(np.ravel(labels[row])[place]) for labels in each]
                ones = labels.count(1)
                ties += 2 * ones == count
                assert np.ravel(found)[place] == (np.ravel(of_mean[row])[place] if 2 * ones == count else
                                                  1 if 2 * ones > count else min(labels))
    assert ties or count % 2
    with pytest.raises(ValueError, match=r"^expected networks that predict labels, got a regression: use predict"):
        Ensemble(members("regression", 2, ops)).vote(x)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_equal_networks_are_one_network_bit_by_bit(ops, dtype, random):
    net, x = members("classification", 1, ops, dtype)[0], random.standard_normal((30, 4))
    ensemble = Ensemble([net.copy() for _ in range(7)])
    assert (ensemble.feedforward(x) == net.feedforward(x)).all() and not ensemble.spread(x).any()
    assert ensemble.feedforward(x).dtype == ensemble.spread(x).dtype == dtype
    assert (ensemble.vote(x) == net.predict(x)).all()


@pytest.mark.parametrize("kind", LAYERS)
def test_the_score_is_that_of_the_mean(ops, kind, random):
    ensemble, x = Ensemble(members(kind, 3, ops)), random.standard_normal((40, 4))
    if kind == "regression":
        y = random.standard_normal((40, 2))
        expected = 1.0 - np.square(y - ensemble.feedforward(x)).sum() / np.square(y - y.mean(axis=0)).sum()
    else:
        y = {"multi-label": random.integers(0, 2, (40, 3)), "classification": random.integers(0, 3, 40),
             "hinge": 2 * random.integers(0, 2, 40) - 1}.get(kind, random.integers(0, 2, 40))
        right = ensemble.predict(x) == y
        expected = np.mean(right.all(axis=1) if kind == "multi-label" else right)
    assert ensemble.score(x, y) == pytest.approx(expected, rel=1e-12)
    with pytest.raises(ValueError, match="expected one entry for each of the 40 rows of x"):
        ensemble.score(x, y[:-1])


def test_arrays_come_back_where_they_came_from(ops, random):
    ensemble, x = Ensemble(members("classification", 2, ops)), random.standard_normal((5, 4))
    there = ops.asarray(x)
    for method in (ensemble.feedforward, ensemble.predict, ensemble.vote, ensemble.spread):
        assert ops.is_on_device(method(there)) and isinstance(method(x), np.ndarray)
        np.testing.assert_allclose(ops.to_numpy(method(there)), method(x), rtol=1e-12, atol=1e-15)
        assert isinstance(method(x.tolist()), np.ndarray)
    for wrong in (x[:, :3], np.full((2, 4), np.nan)):
        with pytest.raises(ValueError):
            ensemble.predict(wrong)


def test_standardized_networks_get_x_in_its_own_units(random):
    x, y = two_classes(random, 30)
    networks = [Network([4, 3, 2], device="cpu:numpy", standardize=True, seed=seed) for seed in range(2)]
    for net, rows in zip(networks, (slice(0, 15), slice(15, 30))):
        net.fit(100.0 * x[rows], y[rows], epochs=1)
    expected = np.mean([net.feedforward(100.0 * x) for net in networks], axis=0)
    np.testing.assert_allclose(Ensemble(networks).feedforward(100.0 * x), expected, rtol=1e-6)


def test_fit_trains_all(random):
    x, y = two_classes(random, 30)
    networks, alone = ([Network([4, 3, 2], device="cpu:numpy", seed=seed) for seed in range(3)] for _ in "ab")
    ensemble = Ensemble(iter(networks))
    assert [*ensemble] == networks and len(ensemble) == 3 and ensemble[-1] is networks[2]
    histories = ensemble.fit(x, y, optimizer="adam(0.01)", epochs=2)
    assert histories == [net.history for net in networks] and ensemble.task == "classification"
    for net, other in zip(networks, alone):
        other.fit(x, y, optimizer="adam(0.01)", epochs=2)
        assert (net.vector == other.vector).all()


@pytest.mark.parametrize("name, other", [
    ("number of inputs", Network([3, 2], seed=1, device="cpu")), ("number of outputs", Network([4, 3], seed=1, device="cpu")),
    ("task", Network([4, 2], seed=1, device="cpu", task="regression")),
    ("codes of the cost", Network([4, 2], seed=1, device="cpu", activation="tanh", cost="squared hinge")),
    ("dtype", Network([4, 2], seed=1, device="cpu", dtype="float64")), ("device", Network([4, 2], seed=1, device="cpu:numpy"))])
def test_networks_that_do_not_go_together(name, other):
    assert name in SHARED
    with pytest.raises(ValueError, match=f"^expected networks with the same {name}, got .* and "):
        Ensemble([Network([4, 2], seed=1, device="cpu", task="classification"), other])


@pytest.mark.parametrize("wrong", [[], [3], [Network([2, 1], seed=1, device="cpu"), None]])
def test_no_networks(wrong):
    with pytest.raises(TypeError, match=r"^expected one or more networks, got "):
        Ensemble(wrong)


# ---- files

@pytest.fixture
def ensemble(random):
    ensemble = Ensemble([Network([4, 5, 2], device="cpu", seed=seed) for seed in range(2)])
    ensemble[0].fit(*two_classes(random), optimizer="adam(0.01)", epochs=2)
    ensemble[1].fit(*two_classes(random), optimizer="sgd(0.1)", epochs=1)
    ensemble[1].metadata = {"story": ["old"]}
    return ensemble


@pytest.fixture
def path(tmp_path):
    return tmp_path / "ensemble.npz"


def test_a_file_holds_all_networks(ops, path, random):
    x, y = two_classes(random)
    saved = Ensemble(members("classification", 3, ops))
    saved[1].fit(x, y, optimizer="adam(0.01)", epochs=1)
    saved.save(path)
    there = load(path, device="cpu:numpy")
    assert isinstance(there, Ensemble) and len(there) == 3
    assert [as_before(net) for net in there] == [as_before(net) for net in saved]
    np.testing.assert_allclose(there.feedforward(x), saved.feedforward(x), rtol=1e-12)
    assert [*load(path, device=ops)][2].ops.name == ops.name


def test_training_continues_from_a_file(ensemble, path, random):
    ensemble.save(path)
    again = load(path, device="cpu")
    assert [as_before(net) for net in again] == [as_before(net) for net in ensemble]
    for each in (ensemble, again):
        each.fit(*two_classes(np.random.default_rng(5)), epochs=2)
    assert [net.vector.tobytes() for net in again] == [net.vector.tobytes() for net in ensemble]


def test_a_file_is_not_replaced_without_overwrite(ensemble, path):
    ensemble.save(path)
    before = path.read_bytes()
    with pytest.raises(FileExistsError):
        Ensemble([ensemble[0]]).save(path, overwrite=False)
    ensemble[1].vector[0] = np.nan
    with pytest.raises(ValueError, match="expected finite parameters"):
        ensemble.save(path)
    assert path.read_bytes() == before


def test_own_activations_are_given_again(path):
    cube = gpubp.Activation("cube", lambda xp, z: z * z * z, lambda xp, z, a: 3.0 * z * z)
    Ensemble([Network([2, 3, 1], activation=cube, output="identity", device="cpu", seed=seed) for seed in range(2)]).save(path)
    with pytest.raises(ValueError, match=r"needs your own cube: pass them to load\(path, custom="):
        load(path)
    assert load(path, custom=[cube])[1].gates[1].activation is cube


def parts(path):
    with np.load(path) as file:
        arrays = dict(file)
    return json.loads(str(arrays.pop("ensemble"))), arrays


def test_what_is_missing_or_foreign_is_refused(ensemble, path):
    ensemble.save(path)
    header, arrays = parts(path)

    def refusal(arrays, **changes):
        np.savez(path, ensemble=np.array(json.dumps({**header, **changes})), **arrays)
        return refused(path, path.read_bytes())
    for name in arrays:
        for changed in ({k: v for k, v in arrays.items() if k != name}, {**arrays, name: np.zeros((2, 9))},
                        {**arrays, name: arrays[name].astype("float64")}):
            assert name in refusal(changed)
    assert "2.w1 as foreign ones" in refusal({**arrays, "2.w1": arrays["0.w1"]})
    first, second = header["networks"]
    for name in second:
        assert name in refusal(arrays, networks=[first, {key: value for key, value in second.items() if key != name}])
    for wrong in ([], {}, None, [3], [first], [first, second, second], [{}, {}], [header, header]):
        refusal(arrays, networks=wrong)
    for wrong in (0, 1.0, True, None, "1"):
        assert "expected its format to be a whole number" in refusal(arrays, format=wrong)
        assert "expected its format to be a whole number" in refusal(arrays, networks=[first, {**second, "format": wrong}])
    assert "'more'" in refusal(arrays, more=1)
    np.savez(path, ensemble=np.array(json.dumps(header)), **arrays)
    assert [as_before(net) for net in load(path, device="cpu")] == [as_before(net) for net in ensemble]


def test_newer_formats_say_so(ensemble, path):
    ensemble.save(path)
    header, arrays = parts(path)
    np.savez(path, ensemble=np.array(json.dumps({**header, "format": 2})), **arrays)
    assert refused(path, path.read_bytes()).endswith("has format 2, this gpubp reads 1: use the version that wrote it")
    header["networks"][1]["format"] = 5
    np.savez(path, ensemble=np.array(json.dumps(header)), **arrays)
    assert refused(path, path.read_bytes()).endswith("has format 5, this gpubp reads 4: use the version that wrote it")


def test_networks_of_a_file_must_go_together(ensemble, path):
    """Each is one that could be loaded by itself."""
    for place, net in enumerate((Network([3, 2], device="cpu", seed=1), Network([4, 2], device="cpu", seed=1, dtype="float64"))):
        other = path.with_name(f"{place}.npz")
        net.save(other)
        header, arrays = taken_apart(other)
        ensemble.save(path)
        whole, others = parts(path)
        whole["networks"][1] = header
        np.savez(path, ensemble=np.array(json.dumps(whole)), **{k: v for k, v in others.items() if k[0] == "0"},
                 **{f"1.{name}": array for name, array in arrays.items()})
        assert "expected networks with the same" in refused(path, path.read_bytes())


def test_a_truncated_file(ensemble, path):
    ensemble.save(path)
    whole = path.read_bytes()
    for length in [*range(0, len(whole) - 1, 211), len(whole) - 1]:
        assert "is not a gpubp network, or is damaged" in refused(path, whole[:length])


def test_networks_that_are_nested_too_deeply_are_refused_as_by_themselves(ensemble, path):
    ensemble.save(path)
    header, arrays = parts(path)
    deep: list = []
    for _ in range(98):
        deep = [deep]
    for notes, fits in (({"a": deep[0]}, True), ({"a": deep}, False)):
        header["networks"][1]["notes"] = notes
        np.savez(path, ensemble=np.array(json.dumps(header)), **arrays)
        if fits:
            assert load(path)[1].metadata == notes
        else:
            assert "nested" in refused(path, path.read_bytes())


def test_networks_that_no_longer_go_together_are_refused(random, tmp_path):
    x, y = two_classes(random)
    ensemble = Ensemble([Network([4, 2], output="identity", seed=seed) for seed in range(3)])
    ensemble[1].fit(x, y, epochs=1)
    assert ensemble.task == "classification" and set(ensemble.predict(x).tolist()) <= {0, 1}   # one of them knows
    ensemble.save(tmp_path / "e.npz")
    assert gpubp.load(tmp_path / "e.npz").task == "classification"
    ensemble[0].task = "regression"
    for use in (ensemble.predict, ensemble.vote, ensemble.spread, lambda x: ensemble.score(x, y),
                lambda x: ensemble.save(tmp_path / "other.npz")):
        with pytest.raises(ValueError, match="expected networks with the same task, got regression and classification"):
            use(x)
    assert not (tmp_path / "other.npz").exists()


@pytest.mark.parametrize("given", [None, [], 3, [Network([2, 1]), 3]])
def test_other_things_are_refused(given):
    with pytest.raises(TypeError, match="expected one or more networks, got "):
        Ensemble(given)
