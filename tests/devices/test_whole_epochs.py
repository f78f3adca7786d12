"""Whole epochs in one launch: the verbs against NumPy, and programs that repeat programs."""

import time

import numpy as np
import pytest

from gpubp.devices.cpu.kernel_program import KernelProgram


@pytest.fixture
def whole(compiled):
    return compiled.whole_epochs


def zeros(whole, dtype="float64", n=1):
    return whole.ops.zeros(n, dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64"])
def test_rows_of_tables_are_copied_and_kept(whole, dtype):
    (table, kept), row, index = (zeros(whole, dtype, (4, 3)) for _ in range(2)), zeros(whole, dtype, 3), zeros(whole, "int64")
    table[...] = np.arange(12).reshape(4, 3)
    index[0] = 1
    whole.program([whole.copy_row(table, row, index), whole.keep_row(row, kept, index)])(3)
    assert index[0] == 4 and (kept[1:] == table[1:]).all() and not kept[0].any()


def labels(a, middle):
    return a.argmax(axis=1) if middle is None else a > middle


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("width, middle", [(3, None), (5, None), (1, 0.5), (3, 0.0)])
def test_right_rows_are_those_of_numpy(whole, dtype, width, middle, random):
    """With ties, infinities and NaN, of which the first is the largest."""
    values = np.array([0.0, 0.25, 0.5, 1.0, -1.0, np.inf, -np.inf, np.nan], dtype)
    a, y = (random.choice(values, (500, width)).astype(dtype) for _ in range(2))
    total = zeros(whole)
    total[0] = 7
    whole.add_right(a, y, total, middle)()
    right = labels(a, middle) == labels(y, middle)
    assert total[0] == 7 + (right if right.ndim == 1 else right.all(axis=1)).sum()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("rows", [1, 7, 4097])
def test_sums_are_in_float64(whole, dtype, rows, random):
    a, y = (random.standard_normal((rows, 3)).astype(dtype) for _ in range(2))
    total = zeros(whole, n=2)
    whole.program([whole.add_sum(a[:, 0].copy(), total[:1]), whole.add_residual(a, y, total[1:], a.shape[1])])(2)
    exact = [a[:, 0].sum(dtype="float64"), np.square(y - a).sum(dtype="float64")]
    assert total == pytest.approx(2 * np.array(exact), rel=1e-12, abs=1e-11)


def test_the_time_is_that_of_a_monotonic_clock(whole):
    times = zeros(whole, n=2)
    before = time.perf_counter()
    whole.program([whole.record_time(times[:1])])()
    time.sleep(0.01)
    whole.program([whole.record_time(times[1:])])()
    assert 0.01 <= times[1] - times[0] <= time.perf_counter() - before


def test_programs_repeat_programs(whole):
    one, total = np.ones(1), zeros(whole)
    inner = whole.program([whole.ops.add(one, total)])
    whole.program([whole.repeated(inner, 3), whole.ops.add(one, total)])(5)
    assert total[0] == 20


def test_a_call_of_python_makes_no_program(whole):
    python = KernelProgram([lambda: None])
    assert whole.program([lambda: None]) is None
    assert whole.program([whole.repeated(python, 2)]) is None


def test_arrays_are_checked(whole):
    with pytest.raises(ValueError, match="expected row of shape"):
        whole.copy_row(zeros(whole, n=(2, 3)), zeros(whole, n=2), zeros(whole, "int64"))
    with pytest.raises(ValueError, match="expected total of shape"):
        whole.add_sum(zeros(whole, n=3), zeros(whole, "float32"))
