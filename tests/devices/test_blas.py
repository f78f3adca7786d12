"""The CPU's BLAS: products that add to an array, and a section in which it uses only one thread."""

import numpy as np
import pytest

from gpubp.devices.cpu import blas
from tests import cpus
from tests.kernel_reference import close, normal

cpu = cpus.cpu


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_gemm_update_adds_a_product(cpu, dtype):
    delta, a, w = normal(dtype, (6, 3), (6, 5), (3, 5))
    table, clock, want = np.array([[1.0, -0.5], [0.25, 2.0]], dtype), np.array([1, 0]), 0.25 * w + 2.0 * (delta.T @ a)
    cpu.gemm_update(delta.T, a, w, table, clock)()
    close(w, want)


def test_the_blas_has_one_thread_until_the_outermost_section_ends(cpu):
    library = blas.find()
    threads, now = library.threads(), lambda: 1 if library._get is None else library._get()
    assert threads >= 1
    with library.single_threaded():
        with library.single_threaded():
            assert now() == 1 and library.threads() == threads
        assert now() == 1 and library.threads() == threads
    assert now() == threads == library.threads()
