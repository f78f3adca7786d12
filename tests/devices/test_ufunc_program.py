"""Formulas bound to NumPy arrays: row sums and maxima, and outs that are operands; see also maths/test_formula.py."""

import numpy as np
import pytest

from gpubp.devices.cpu.ufunc_program import Scratch, bind
from gpubp.maths.activations import softmax


def computed(formula, operands, outs, rows):
    for call in bind(formula, operands, outs, Scratch(rows, "float64")):
        call()
    return outs


@pytest.mark.parametrize("width", [1, 2, 7])
def test_row_sums_and_maxima_broadcast_back_over_the_row(width, random):
    z = random.normal(size=(5, width))
    expected = softmax.of(np, z)
    assert np.allclose(*computed(softmax.of, [z], [np.zeros_like(z)], 5), expected, rtol=1e-14, atol=0.0)
    assert np.allclose(*computed(softmax.of, [z], [z], 5), expected, rtol=1e-14, atol=0.0)   # in place


def test_a_column_can_be_a_result(random):
    z, total, most = random.normal(size=(6, 3)), np.zeros((6, 1)), np.zeros((6, 1))
    computed(lambda xp, z: (xp.sum(z * z, axis=-1, keepdims=True), xp.max(z, axis=-1, keepdims=True)), [z], [total, most], 6)
    assert np.allclose(total[:, 0], (z * z).sum(1)) and np.array_equal(most[:, 0], z.max(1))


def test_an_out_is_not_written_while_a_later_step_reads_what_it_held(random):
    z, y = random.normal(size=(2, 4, 3))
    expected = z + 1.0, (z + 1.0) * y - z
    computed(lambda xp, z, y: (z + 1.0, (z + 1.0) * y - z), [z, y], [z, y], 4)
    assert np.allclose(z, expected[0]) and np.allclose(y, expected[1])


def test_a_choice_is_not_written_over_its_own_operands(random):
    z, y = random.normal(size=(2, 20))
    expected = np.where(z > y, y, z)
    assert np.array_equal(*computed(lambda xp, z, y: xp.where(z > y, y, z), [z, y], [z], 20), expected)


def test_equal_operations_are_made_once(random):
    z, out = random.normal(size=(2, 3)), np.zeros((2, 3))
    assert len(bind(lambda xp, z: xp.exp(z) / (1.0 + xp.exp(z)), [z], [out], Scratch(2, "float64"))) == 3
    signed = lambda xp, z: xp.reciprocal(z * 0.0) + xp.reciprocal(z * -0.0)   # equal zeros of different signs are not equal
    with np.errstate(all="ignore"):
        assert np.isnan(computed(signed, [z], [out], 2)).all()


@pytest.mark.parametrize("sigma", [lambda xp, z: 2.0 * z + 1.0, lambda xp, z: xp.where(z > 0.0, z, xp.exp(z)), softmax.of])
def test_of_two_outs_in_one_place_the_last_stays(sigma, random):
    z, b = random.normal(size=(4, 3)), random.normal(size=3)
    expected = sigma(np, z + b)
    computed(lambda xp, z, b: (z + b, sigma(xp, z + b)), [z, b], [z, z[:]], 4)
    assert np.allclose(z, expected, rtol=1e-14, atol=0.0)
