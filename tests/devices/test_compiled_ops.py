"""The CPU's own speed: products that update, rows in blocks on several threads, compiled programs; each against the plain way."""

import threading

import numpy as np
import pytest

import gpubp
from benchmarks.kernel_programs import activations, chains
from gpubp.devices.cpu import blas
from gpubp.devices.cpu.base import CpuOps
from gpubp.devices.cpu.compiled_ops import CompiledOps, Program
from gpubp.devices.cpu.numpy_ops import NumpyOps
from gpubp.layered import fit, training_step
from gpubp.layered.layers import Dropout
from gpubp.layered.network import Network
from gpubp.layered.optimizer_update import OptimizerUpdate
from gpubp.maths.activations import ACTIVATIONS
from gpubp.maths.gradient_transforms import Chain
from tests.cases import two_classes
from tests.conftest import device
from tests.plain import close, normal

CPUS = "cpu", "compiled"
FOLDING = "sgd(0.3)", "l2(4.0), sgd(0.3)"


@pytest.fixture(params=CPUS)
def cpu(request):
    if blas.find() is None:
        pytest.skip("the BLAS of this NumPy cannot be called directly")
    return device(request.param)


def trained(ops, optimizer, random, layers=(4, 7, 2), epochs=3, batch_size=5, **options):
    """A network after some epochs; 23 samples leave a shorter last batch."""
    x, y = two_classes(np.random.default_rng(3))
    net = Network(list(layers), device=ops, seed=7, **options)
    net.fit(x, y, optimizer=optimizer, epochs=epochs, batch_size=batch_size, sample_weight=np.linspace(0.5, 1.5, len(x)))
    return net


def agree(net, other, rel):
    np.testing.assert_allclose(net.vector, other.vector, rtol=rel, atol=rel)
    np.testing.assert_allclose(net.history.cost, other.history.cost, rtol=rel)
    np.testing.assert_allclose(net.history.gradient_norm, other.history.gradient_norm, rtol=rel)
    np.testing.assert_allclose(net.history.delta_norms, other.history.delta_norms, rtol=rel)


# ---- the BLAS

@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_fold_adds_a_product(cpu, dtype):
    delta, a, w = normal(dtype, (6, 3), (6, 5), (3, 5))
    table, clock, want = np.array([[1.0, -0.5], [0.25, 2.0]], dtype), np.array([1, 0]), 0.25 * w + 2.0 * (delta.T @ a)
    cpu.gemm_update(delta.T, a, w, table, clock)()
    close(w, want)


def test_the_blas_is_alone_until_the_last_who_asked_is_done(cpu):
    library = blas.find()
    threads, now = library.threads(), lambda: 1 if library._get is None else library._get()
    assert threads >= 1
    with library.alone():
        with library.alone():
            assert now() == 1 and library.threads() == threads
        assert now() == 1 and library.threads() == threads
    assert now() == threads == library.threads()


# ---- updates folded into products

@pytest.mark.parametrize("chain", chains(), ids=str)
def test_a_chain_that_folds_does_what_its_rule_says(chain):
    """By the rule itself, read with numbers; every optimizer with memory, norm or branch refuses."""
    w, g, scalars = 0.7, -1.3, chain.scalars(2, 0.1, 50)
    folding = chain.folding(*scalars)
    if folding is None:
        assert chain.state or len(chain.transforms) > 0 or chain.max_norm is not None
    else:
        keep, part = folding
        assert keep * w + part * g == pytest.approx(chain.rule(np, w, g, 1.0, 0.0, *scalars)[0], rel=1e-14)


def test_what_folds():
    folds = lambda text: Chain.of(text).folding(*Chain.of(text).scalars(1, 0.1, 50)) is not None
    assert all(map(folds, FOLDING))
    assert not any(map(folds, ("adam", "sgd(0.1, momentum=0.9)", "clip_norm(1), sgd(0.1)", "clip_value(1), sgd(0.1)",
                               "l1(1), sgd(0.1)", "sgd(0.1), max_norm(1)")))


@pytest.mark.parametrize("optimizer", FOLDING)
@pytest.mark.parametrize("layers", [(4, 2), (4, 7, 2), (4, 7, Dropout(0.3), 6, 2)], ids=str)
def test_folded_training_is_unfolded_training(cpu, optimizer, layers, random, monkeypatch):
    monkeypatch.setattr(type(cpu), "min_weights_for_gemm_update", float("inf"))
    plain = trained(cpu, optimizer, random, layers, dtype="float64")
    monkeypatch.setattr(type(cpu), "min_weights_for_gemm_update", 0)
    made = []
    fold = OptimizerUpdate.fold
    monkeypatch.setattr(OptimizerUpdate, "fold", lambda *given, **named: made.append(1) or fold(*given, **named))
    agree(trained(cpu, optimizer, random, layers, dtype="float64"), plain, 1e-9)
    assert made, "the update was not folded"


# ---- blocks of rows

@pytest.fixture
def in_blocks(monkeypatch):
    """in_blocks(cores, rows): steps go in blocks of about so many rows on so many threads."""
    def patch(cores, rows, sizes=(4, 7, 2)):
        monkeypatch.setattr(CpuOps, "threads", cores)
        monkeypatch.setattr(training_step, "MIN_MULTIPLY_ADDS", 0)
        for kind in (NumpyOps, CompiledOps):
            monkeypatch.setattr(kind, "block_bytes", rows * 2 * sum(sizes) * 8)
    return patch


@pytest.mark.parametrize("optimizer", ["sgd(0.3)", "clip_norm(0.1), adam(0.05), max_norm(1.0)"])
@pytest.mark.parametrize("cores, rows", [(1, 3), (2, 3), (2, 100), (3, 2)])
def test_blocks_are_the_whole(cpu, optimizer, cores, rows, random, in_blocks):
    whole = trained(cpu, optimizer, random, batch_size=14, dtype="float64")
    in_blocks(cores, rows)
    agree(trained(cpu, optimizer, random, batch_size=14, dtype="float64"), whole, 1e-9)


def test_blocks_repeat_bit_by_bit(cpu, random, in_blocks):
    in_blocks(2, 3)
    runs = [trained(cpu, "adam(0.05)", random, batch_size=20, epochs=20) for _ in range(4)]
    assert len({run.vector.tobytes() for run in runs}) == 1 and len({str(run.history.cost) for run in runs}) == 1


def test_a_step_goes_in_blocks_by_its_size(cpu, monkeypatch):
    """Narrow networks on big batches alone; never where masks are those of the whole batch."""
    monkeypatch.setattr(CpuOps, "threads", 2)
    rows = lambda layers, batch: training_step._block_rows(Network(layers, device=cpu, seed=1), cpu, batch)
    assert rows([64, 64, 64, 4], 65536) is not None
    assert rows([64, 64, Dropout(0.1), 64, 4], 65536) is None
    assert rows([784, 30, 10], 10) is None and rows([1024, 1024, 1024], 65536) is None


def test_divergence_in_blocks_names_the_sample(cpu, random, in_blocks):
    x, y = two_classes(random)
    targets = np.eye(2)[y]
    targets[17] = 40.0
    in_blocks(2, 3)
    net = Network([4, 5, 2], cost="exponential(1.0)", device=cpu, seed=5)
    with pytest.raises(gpubp.TrainingError, match="the cost became inf in epoch 1, mini-batch 1 of 1, first in the cost at "
                                                  "training sample 17;"):
        net.fit(x, targets, optimizer="sgd(1e-3)", batch_size=None)


def test_fits_side_by_side_are_fits_alone(cpu, random, in_blocks):
    """Bit by bit; and the BLAS has its threads back."""
    before = blas.find().threads()
    in_blocks(2, 3)
    alone, both = trained(cpu, "adam(0.05)", random, batch_size=20, epochs=30), []
    threads = [threading.Thread(target=lambda: both.append(trained(cpu, "adam(0.05)", random, batch_size=20, epochs=30)))
               for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {net.vector.tobytes() for net in both} == {alone.vector.tobytes()} and len(both) == 2
    assert blas.find().threads() == before


# ---- compiled programs

def test_threads_end_with_their_program(compiled, random, in_blocks):
    in_blocks(3, 3)
    trained(compiled, "sgd(0.1)", random, batch_size=20)
    left = [thread for thread in threading.enumerate() if thread.daemon and getattr(thread, "_target", None)]
    for thread in left:
        thread.join(5.0)
    assert not [thread for thread in left if thread.is_alive()]


def test_a_program_mixes_kernels_and_python(compiled):
    costs, log, clock, said = np.ones(3), np.zeros(4), np.zeros(2, np.int64), []
    record = compiled.log_cost(costs, log, clock)
    program = compiled.program([record, lambda: said.append(int(clock[0])), record])
    program(2)
    assert said == [1, 3] and clock[0] == 4 and (log == 3.0).all()
    with pytest.raises(TypeError, match="expected only calls of kernels"):
        compiled.parallel([[record], [lambda: None]])()
    assert isinstance(compiled.program([]), Program) and compiled.program([])() is None


def test_several_steps_in_one_go_are_single_steps(compiled, random, monkeypatch):
    many = trained(compiled, "adam(0.05)", random, batch_size=2, epochs=5)
    monkeypatch.setattr(fit, "MAX_BURST_SECONDS", 0.0)
    single = trained(compiled, "adam(0.05)", random, batch_size=2, epochs=5)
    assert many.vector.tobytes() == single.vector.tobytes() and many.history.cost == single.history.cost


def test_what_kernels_would_misread_is_refused(compiled):
    z, b, relu = np.zeros((4, 3), "f4"), np.zeros(3, "f4"), ACTIVATIONS["relu"]
    with pytest.raises(ValueError, match="expected b of shape"):
        compiled.bias_activation(relu, z, z, z)
    with pytest.raises(ValueError, match=r"expected b of shape .* and float32, got .* and float64"):
        compiled.bias_activation(relu, z, np.zeros(3), z)
    with pytest.raises(ValueError, match="C-contiguous"):
        compiled.bias_activation(relu, np.zeros((3, 4), "f4").T, b, z)
    with pytest.raises(ValueError, match=r"expected clock of shape .* and int64"):
        compiled.log_cost(b, b, np.zeros(2, np.int32))
    with pytest.raises(ValueError, match="expected out of 12 elements"):
        compiled.cast(z, np.zeros(11, "f4"))
    with pytest.raises(ValueError, match="out := a b needs"):
        compiled.matmul(z, z, z)


def test_denormal_numbers_are_zero_in_programs_alone(compiled):
    tiny, out = np.full(8, 1e-40, "f4"), np.zeros(8, "f4")
    compiled.add(tiny, out)()
    assert not out.any() and (tiny + tiny).all()
    a, b, product = np.full((2, 2), 1e-30, "f4"), np.full((2, 2), 1e-9, "f4"), np.zeros((2, 2), "f4")
    compiled.matmul(a, b, product)()
    assert product.all(), "the BLAS keeps them, as the threads do that it begins meanwhile"


@pytest.mark.long
@pytest.mark.parametrize("row", [row for row in activations() if not row.rowwise], ids=lambda row: row.name)
def test_vectors_of_a_formula_are_its_single_numbers(compiled, row):
    """A loop over many elements is made of vectors, its end of single numbers: both round alike, within four units."""
    z, = normal("float32", (1, 67), scale=3.0)
    whole, single, b = np.zeros_like(z), np.zeros_like(z), np.zeros(67, "f4")
    compiled.bias_activation(row, z.copy(), b, whole)()
    for j in range(67):
        compiled.bias_activation(row, z[:, j:j + 1].copy(), b[:1], at := np.zeros((1, 1), "f4"))()
        single[0, j] = at[0, 0]
    close(whole, single, rounding=16)
