"""NaN and infinity in the parameters: refused by name where the host waits for an answer, and visible in the answer elsewhere."""

import pickle
from io import BytesIO

import numpy as np
import pytest

import gpubp
from gpubp import cli
from gpubp.devices import open_device
from gpubp.layered import inference
from gpubp.layered.gradient_check import finite_differences
from gpubp.layered.network import Network
from gpubp.parity import parity
from tests.cases import as_before, two_classes

pytestmark = pytest.mark.usefixtures("current_device")   # views are written to
BAD = [np.nan, np.inf, -np.inf]
NAMES = ["w1", "b3"]


def spoiled(ops, name, bad, sizes=(4, 5, 5, 2), **options):
    net = Network(list(sizes), device=ops, seed=1, **options)
    net.parameters[name][..., -1] = bad
    return net


def waits(x, y):
    """The methods for whose answers the host waits on every device."""
    return {"score": lambda net: net.score(x, y), "trace": lambda net: net.trace(x, y), "check": lambda net: net.check(x, y),
            "fit": lambda net: net.fit(x, y, epochs=1), "finite differences": lambda net: finite_differences(net, x, y),
            "vector": lambda net: setattr(net, "vector", net.ops.to_numpy(net.vector).tolist()),
            "objective": lambda net: net.objective(x, y)(net.ops.to_numpy(net.vector)),
            "parity": lambda net: parity(net, x, y, ("cpu", "reference"))}


def on_the_cpu(x, y):
    return {"feedforward": lambda net: net.feedforward(x), "call": lambda net: net(x), "predict": lambda net: net.predict(x),
            "cost": lambda net: net.cost(x, y), "gradient": lambda net: net.gradient(x, y)}


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("name", NAMES)
def test_methods_refuse_them_by_name(ops, name, bad, random):
    x, y = two_classes(random)
    net = spoiled(ops, name, bad)
    before = as_before(net)
    for call in (waits(x, y) | (on_the_cpu(x, y) if ops.synchronous else {})).values():
        with pytest.raises(ValueError, match=f"^expected .*finite parameters, got NaN or infinity in {name}: "):
            call(net)
        assert as_before(net) == before


@pytest.mark.parametrize("name", NAMES)
def test_a_gpu_shows_them(device_ops, name, random):
    """There the host does not wait to refuse them. A cost is read, so that it is refused."""
    if device_ops.synchronous:
        pytest.skip("a CPU refuses them")
    x, y = two_classes(random)
    net, mine = spoiled(device_ops, name, np.nan), device_ops.asarray(x, np.float32)
    host = device_ops.to_numpy
    assert np.isnan(host(net.feedforward(mine))).any() and (host(net.predict(mine)) == -1).all() and (net.predict(x) == -1).all()
    assert np.isnan(host(net.gradient(x, y))).any()
    net.vector = device_ops.asarray(host(net.vector))   # the caller's array: the host does not wait for it either
    with pytest.raises(ValueError, match=f"NaN or infinity in {name}"):
        net.cost(x, y)


@pytest.mark.parametrize("bad", BAD)
def test_one_row_of_a_large_network(bad, random, monkeypatch):
    """Checking it would take as long as the answer, so that only an answer that is not finite is a reason to look."""
    x, y = two_classes(random)
    monkeypatch.setattr(inference, "SMALL", 20)
    monkeypatch.setattr(inference, "MANY_ROWS", 40)
    for name in NAMES:
        net = spoiled("cpu", name, bad, activation="relu", output="identity")
        for call in on_the_cpu(x[:1], y[:1]).values():
            try:   # relu(-inf) is 0, as the formula says
                assert np.isfinite(call(net)).all() and np.isinf(bad) and name.endswith("1")
            except ValueError as error:
                assert f"in {name}:" in str(error)
        with pytest.raises(ValueError, match=f"in {name}:"):
            net.feedforward(np.tile(x, (2, 1)))


def test_large_finite_numbers_are_no_reason(ops):
    """The sum of their squares overflows."""
    x = np.full((3, 4), 1e-30)
    net = Network([4, 5, 2], device=ops, seed=1)
    net.vector = np.full(net.vector.size, 3e30).tolist()
    assert np.isfinite(ops.to_numpy(net.feedforward(x))).all() and net.score(x, [0, 1, 1]) >= 0.0


def test_outputs_that_overflow_are_no_reason():
    net = Network([4, 2], activation="identity", device="cpu", seed=1)
    net.vector = np.full(net.vector.size, 3e30)
    assert np.isinf(net.feedforward(np.full((2, 4), 1e30))).all()


@pytest.mark.parametrize("bad", [*BAD, 0.0, 3e30])
def test_all_finite_of_the_cpu(bad, random):
    for dtype in ("float32", "float64"):
        array = random.standard_normal((7, 5)).astype(dtype)
        array[3, 2] = bad
        with np.errstate(all="ignore"):
            assert open_device("cpu").all_finite(array) == np.isfinite(bad)


# ---- files and pickles

def rewritten(path, name, bad):
    """Put a bad number into an array of a saved network."""
    with np.load(path) as file:
        arrays = dict(file)
    arrays[name].flat[-1] = bad
    content = BytesIO()
    np.savez(content, **arrays)
    path.write_bytes(content.getvalue())


@pytest.fixture
def saved(tmp_path, random):
    x, y = two_classes(random)
    net = Network([4, 5, 2], device="cpu", seed=1)
    net.fit(x, y, optimizer="rmsprop(0.01)", epochs=3, validation=(x, y), patience=2)
    net.save(tmp_path / "net.npz")
    return tmp_path / "net.npz"


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("name", ["w1", "b2", "best.w2", "state"])
def test_load_refuses_them_by_name(saved, name, bad):
    state = next(iter(gpubp.load(saved).training_state.state)) + ".w1"
    rewritten(saved, state if name == "state" else name, bad)
    if name == "state" and np.isinf(bad):   # a mean of squares may overflow and does no harm
        assert gpubp.load(saved).epoch == 3
    else:
        place = state if name == "state" else name
        with pytest.raises(ValueError, match=rf"net.npz is not .* \(expected finite numbers in {place}, got NaN or infinity\)"):
            gpubp.load(saved)


def test_load_refuses_a_loss_scale_that_is_not_finite(saved):
    net = gpubp.load(saved)
    net.training_state.scaling[0] = np.nan
    net.save(saved)
    with pytest.raises(ValueError, match=r"expected training.scaling to be four finite numbers, .* got \[nan, "):
        gpubp.load(saved)


def test_a_network_with_nan_replaces_no_file(tmp_path):
    net = spoiled("cpu", "w1", np.nan)
    Network([2, 1], device="cpu", seed=1).save(tmp_path / "net.npz")
    with pytest.raises(ValueError, match="NaN or infinity in w1"):
        net.save(tmp_path / "net.npz")
    assert gpubp.load(tmp_path / "net.npz").sizes == [2, 1]
    with pytest.raises(ValueError, match="NaN or infinity in w1"):
        pickle.dumps(net)
    with pytest.raises(ValueError, match="NaN or infinity in w1"):
        gpubp.grad(lambda x: np.sum(net(x)))(np.ones((1, 2)))


@pytest.mark.parametrize("command", ["predict FILE DATA", "check FILE", "check FILE DATA", "train --resume FILE",
                                     "parity --device cpu --against reference FILE"])
def test_commands_refuse_them_in_one_sentence(command, tmp_path, capsys, monkeypatch):
    data, path = tmp_path / "points.csv", tmp_path / "net.npz"
    data.write_text("a,b,kind\n" + "".join(f"{i % 7},{i % 5},{'yes' if i % 2 else 'no'}\n" for i in range(40)))
    monkeypatch.chdir(tmp_path)
    assert cli.main(["train", str(data), "--epochs", "2", "--save", str(path), "--no-picture", "--quiet"]) == 0
    rewritten(path, "w1", np.nan)
    capsys.readouterr()
    assert cli.main(command.replace("FILE", str(path)).replace("DATA", str(data)).split()) != 0
    said = capsys.readouterr().err.strip().splitlines()
    assert len(said) == 1 and "finite numbers in w1" in said[0]


def test_a_scaling_that_is_not_finite_is_refused(tmp_path, capsys, monkeypatch):
    data, path = tmp_path / "points.csv", tmp_path / "net.npz"
    data.write_text("a,b,size\n" + "".join(f"{i % 7},{i % 5},{i / 3 + i % 3 / 7}\n" for i in range(40)))
    monkeypatch.chdir(tmp_path)
    assert cli.main(["train", str(data), "--epochs", "2", "--save", str(path), "--no-picture", "--quiet"]) == 0
    net = gpubp.load(path)
    run = {**net.metadata["run"], "target_scale": np.nan}
    for more in ({"shift": np.nan}, {"scale": [1.0, np.inf]}, {"scale": 0.0}, {"run": run}):
        spoilt = net.copy()
        spoilt.metadata |= more
        spoilt.save(path)
        capsys.readouterr()
        assert cli.main(["predict", str(path), str(data)]) != 0
        out, err = capsys.readouterr()
        assert not out and len(err.strip().splitlines()) == 1 and "scaling: expected finite shifts" in err


def test_the_file_of_a_diverged_run_loads(tmp_path, capsys, monkeypatch):
    data, path = tmp_path / "points.csv", tmp_path / "net.npz"
    data.write_text("a,b,size\n" + "".join(f"{i % 7},{i % 5},{i / 3}\n" for i in range(40)))
    monkeypatch.chdir(tmp_path)
    train = ["train", str(data), "--save", str(path), "--no-picture", "--quiet", "--patience", "3"]
    assert cli.main([*train, "--epochs", "2"]) == 0
    assert cli.main([*train, "--epochs", "40", "--optimizer", "sgd(1e30, momentum=0.9)"]) != 0
    net = gpubp.load(tmp_path / "net-diverged.npz")
    assert np.isfinite(net.vector).all() and np.isfinite(net.feedforward([[0.0, 1.0]])).all()
