"""The report of an epoch: norms, and the number of values that are not finite."""

import numpy as np
import pytest


@pytest.mark.usefixtures("current_device")
@pytest.mark.parametrize("dtype, storage", [("float32", None), ("float64", None), ("float32", "float16")])
@pytest.mark.parametrize("size", [1, 128, 3000, 70_000])
def test_measure(ops, dtype, storage, size, random):
    """Bound once and run again on other numbers; the vector's last element counts."""
    if storage and ops.on_host:
        pytest.skip("the CPU stores no halves")
    vector, matrix = ops.zeros(size, dtype), ops.zeros((3, 5), storage or dtype)
    out = ops.zeros(3, ops.norms_dtype or dtype)
    call = ops.program([ops.norms(vector, [vector, matrix], out)])
    for bad in (None, None, np.inf, -np.inf, np.nan, None):
        v, m = random.standard_normal(size).astype(dtype), random.standard_normal((3, 5)).astype(storage or dtype)
        v[-1] = v[-1] if bad is None else bad
        vector[...], matrix[...] = ops.asarray(v), ops.asarray(m)
        call()
        lost, length, other = ops.to_numpy(out).tolist()
        assert (lost == 0.0) == (bad is None)
        assert other == pytest.approx(np.linalg.norm(m.astype(np.float64)), rel=1e-6) == pytest.approx(ops.norm(matrix), rel=1e-6)
        if bad is None:
            assert length == pytest.approx(np.linalg.norm(v.astype(np.float64)), rel=1e-5)
    assert all(ops.norm(array) == found for array, found in ((vector, length), (matrix, other)))
