"""The compiled kernels of the CPU: programs of them, errors, and equal rounding of vectors and single numbers."""

import numpy as np
import pytest

from benchmarks.kernel_programs import activations
from gpubp.devices.cpu.compiled_ops import KernelProgram
from gpubp.layered import epoch_loop
from gpubp.maths.activations import ACTIVATIONS
from tests import cpus
from tests.cpus import trained
from tests.kernel_reference import close, normal

cpu, in_blocks = cpus.cpu, cpus.in_blocks


def test_a_program_mixes_kernels_and_python(compiled):
    costs, log, clock, said = np.ones(3), np.zeros(4), np.zeros(2, np.int64), []
    record = compiled.log_cost(costs, log, clock)
    program = compiled.program([record, lambda: said.append(int(clock[0])), record])
    program(2)
    assert said == [1, 3] and clock[0] == 4 and (log == 3.0).all()
    compiled.parallel([[lambda: said.append("one")], [lambda: said.append("other")]])()   # in threads of Python
    assert sorted(said[2:]) == ["one", "other"]
    with pytest.raises(TypeError, match="expected only calls of kernels"):
        compiled.program([lambda: None]).table()
    assert isinstance(compiled.program([]), KernelProgram) and compiled.program([])() is None


def test_several_steps_in_one_go_are_single_steps(compiled, random, monkeypatch):
    many = trained(compiled, "adam(0.05)", random, batch_size=2, epochs=5)
    monkeypatch.setattr(epoch_loop, "MAX_BURST_SECONDS", 0.0)
    single = trained(compiled, "adam(0.05)", random, batch_size=2, epochs=5)
    assert many.vector.tobytes() == single.vector.tobytes() and many.history.cost == single.history.cost


def test_arguments_that_kernels_would_misread_are_refused(compiled):
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


def test_denormal_numbers_are_zero_only_in_programs(compiled):
    tiny, out = np.full(8, 1e-40, "f4"), np.zeros(8, "f4")
    compiled.add(tiny, out)()
    assert not out.any() and (tiny + tiny).all()
    a, b, product = np.full((2, 2), 1e-30, "f4"), np.full((2, 2), 1e-9, "f4"), np.zeros((2, 2), "f4")
    compiled.matmul(a, b, product)()
    assert product.all(), "the BLAS keeps them, as the threads do that it begins meanwhile"


@pytest.mark.long
@pytest.mark.parametrize("row", [row for row in activations() if not row.rowwise], ids=lambda row: row.name)
def test_vectors_of_a_formula_are_its_single_numbers(compiled, row):
    """A loop computes vectors, and its last elements one by one; both round alike, within four units."""
    z, = normal("float32", (1, 67), scale=3.0)
    whole, single, b = np.zeros_like(z), np.zeros_like(z), np.zeros(67, "f4")
    compiled.bias_activation(row, z.copy(), b, whole)()
    for j in range(67):
        compiled.bias_activation(row, z[:, j:j + 1].copy(), b[:1], at := np.zeros((1, 1), "f4"))()
        single[0, j] = at[0, 0]
    close(whole, single, rounding=16)
