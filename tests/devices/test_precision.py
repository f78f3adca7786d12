"""Precisions: the accuracy of products in half floats, what stays float32, and what is saved or refused."""

import numpy as np
import pytest

import gpubp
from gpubp.devices.ops import PRECISIONS
from gpubp.layered.network import Network
from gpubp.layered.trace import Trace
from tests.cases import two_classes
from tests.conftest import device

pytestmark = pytest.mark.usefixtures("current_device")

ROUNDING = {"tf32": 2.0**-11, "bfloat16": 2.0**-9, "float16": 2.0**-12}   # of one number, relative


@pytest.fixture(params=["host", "cuda"])
def device_ops(request):
    return device(request.param)


def made(ops, precision="exact", activation="tanh", **options):
    return Network([4, 16, 8, 2], activation=activation, cost="cross-entropy", device=ops, seed=3, precision=precision, **options)


def test_the_cpu_is_exact_at_every_precision(random):
    x, y = two_classes(random)
    vectors = []
    for precision in PRECISIONS:
        net = made("cpu", precision)
        net.fit(x, y, epochs=2, batch_size=5)
        vectors.append(net.vector)
    for vector in vectors:
        np.testing.assert_array_equal(vector, vectors[0])


@pytest.mark.parametrize("precision, dtype", [("double", "float32"), ("bfloat16", "float64"), (None, "float32")])
def test_unknown_precisions(precision, dtype):
    with pytest.raises(ValueError, match="expected precision 'exact', 'tf32', 'bfloat16', 'float16', all but 'exact' with dtype"):
        Network([2, 1], precision=precision, dtype=dtype)


def test_every_device_knows_the_same_precisions(ops):
    assert ops.with_precision("exact").precision == "exact"
    with pytest.raises(ValueError, match=r"expected precision 'exact', 'tf32', 'bfloat16', 'float16', .* got 'half'"):
        ops.with_precision("half")


@pytest.mark.parametrize("precision", ROUNDING)
@pytest.mark.parametrize("activation", ["tanh", "softplus", "softmax", "gelu"])
def test_a_step_is_exact_to_the_rounding_of_its_factors(device_ops, precision, activation, random):
    x, y = random.standard_normal((32, 4)), np.eye(2)[random.integers(2, size=32)]
    net = made(device_ops, activation=activation)
    x, y = device_ops.asarray(x, "float32"), device_ops.asarray(y, "float32")
    exact, rounded = Trace(net, x, y), Trace(net, x, y, precision=precision)
    for name in ("z", "a", "delta", "dw", "db"):
        for want, got in zip(getattr(exact, name), getattr(rounded, name), strict=True):
            if want is not None:
                want, got = device_ops.to_numpy(want).astype(float), device_ops.to_numpy(got).astype(float)
                assert np.abs(got - want).max() <= 40 * ROUNDING[precision] * np.abs(want).max(), name
    assert (device_ops.to_numpy(exact.dw[1]) != device_ops.to_numpy(rounded.dw[1])).any()
    assert rounded.dw[1].dtype == rounded.z[1].dtype == np.float32


@pytest.mark.parametrize("precision", ROUNDING)
def test_training_agrees_with_exact_training(device_ops, precision, random):
    x, y = two_classes(random, 60)
    nets = [made(device_ops, p) for p in ("exact", precision)]
    exact, rounded = (net.fit(x, y, optimizer="adam(0.01)", epochs=15, batch_size=8) for net in nets)
    assert rounded.cost[-1] == pytest.approx(exact.cost[-1], rel=0.05) and rounded.cost[-1] < 0.7 * rounded.cost[0]
    assert rounded.gradient_norm[0] == pytest.approx(exact.gradient_norm[0], rel=0.05)
    assert rounded.delta_norms[0] == pytest.approx(exact.delta_norms[0], rel=0.05)
    assert nets[1].vector.dtype == np.float32
    np.testing.assert_allclose(device_ops.to_numpy(nets[1].feedforward(device_ops.asarray(x))),
                               device_ops.to_numpy(nets[0].feedforward(device_ops.asarray(x))), atol=0.05)


def test_steps_smaller_than_a_half_float_add_up(device_ops, random):
    """The weights that are trained are float32: bfloat16 could not hold a change of one part in 10,000."""
    x, y = two_classes(random)
    net = made(device_ops, "bfloat16")
    before = device_ops.to_numpy(net.parameters["w1"])
    net.fit(x, y, optimizer="sgd(1e-5)", epochs=1, batch_size=5)
    moved = device_ops.to_numpy(net.parameters["w1"]) - before
    assert (moved != 0.0).mean() > 0.5 and np.abs(moved).max() < 1e-4


def test_precision_and_scale_are_saved(device_ops, random, tmp_path):
    x, y = two_classes(random)
    whole, parts = (made(device_ops, "float16") for _ in range(2))
    whole.fit(x, y, optimizer="adam(0.01)", epochs=4, batch_size=5)
    parts.fit(x, y, optimizer="adam(0.01)", epochs=2, batch_size=5)
    parts.save(tmp_path / "net.npz")
    parts = gpubp.load(tmp_path / "net.npz", device=device_ops)
    assert parts.precision == "float16" and parts.training_state.scaling[1] == 10.0
    parts.fit(x, y, epochs=2, batch_size=5)
    np.testing.assert_array_equal(device_ops.to_numpy(parts.vector), device_ops.to_numpy(whole.vector))
    assert "float16 products" in repr(parts) and parts.copy().precision == "float16"


def test_numbers_beyond_float16_are_refused(device_ops, random):
    x, y = two_classes(random)
    x[7, 2] = -70000.0
    with pytest.raises(ValueError, match=r"x: expected numbers up to 65504 at precision 'float16', got -70000\.0 at row 7, "
                                         "column 2: scale the samples, or use precision='exact'"):
        made(device_ops, "float16").fit(x, y)
    made(device_ops, "bfloat16").fit(x, y, epochs=1)
    made("cpu", "float16").fit(x, y, epochs=1)
