"""The emulator that runs kernels on the host is as strict as a GPU, or stricter: what goes wrong there in silence fails here."""

import numpy as np
import pytest

from gpubp.devices import compiler
from tests.host import host_ops

BARRIERS = """
using T = float;
extern "C" __global__ void reverse(const T* x, T* out)
{
    __shared__ T tile[64];
    tile[threadIdx.x] = x[threadIdx.x];
    if (threadIdx.x >= 32)
        return;
    __syncthreads();
    out[threadIdx.x] = tile[31 - threadIdx.x];
}

extern "C" __global__ void stuck(T* out)
{
    if (threadIdx.x == 0)
        __syncthreads();
    out[threadIdx.x] = __shfl_xor_sync(~0u, T(threadIdx.x), 1);
    __syncthreads();
}
"""


def test_barriers_wait_for_all_that_live_and_deadlocks_are_told():
    ops = host_ops()
    x, out = ops.array(np.arange(64, dtype=np.float32)), ops.zeros(64, np.float32)
    reverse, stuck = (ops.compiler.kernel(BARRIERS, name) for name in ("reverse", "stuck"))
    with pytest.raises(RuntimeError, match="kernel stuck: some threads wait at a barrier"):
        stuck((1,), (32,), (out,))
    reverse((1,), (64,), (x, out))
    np.testing.assert_array_equal(ops.host(out)[:32], np.arange(32)[::-1])


def test_arguments_that_a_gpu_would_misread_are_refused():
    ops = host_ops()
    total = ops.compiler.kernel(compiler.source("sums.cu", "float32"), "total")
    costs, log, wide = ops.zeros(3, np.float32), ops.zeros(1, np.float32), ops.zeros(3, np.float64)
    total((1,), (256,), (costs, log, np.int32(0), np.int32(3)))
    for wrong in ((costs, log, 0, 3), (wide, log, np.int32(0), np.int32(3)), (costs, log, np.int64(0), np.int32(3)), (costs,)):
        with pytest.raises(TypeError, match="kernel total takes"):
            total((1,), (256,), wrong)
    with pytest.raises(ValueError, match="cannot be launched"):
        total((1, 65536), (256,), (costs, log, np.int32(0), np.int32(3)))


def test_arrays_refuse_to_mix_with_numpys():
    array = host_ops().zeros(3, np.float32)
    with pytest.raises(TypeError, match="NumPy array among device arrays"):
        array + np.ones(3, np.float32)
    with pytest.raises(TypeError, match="Implicit conversion"):
        np.asarray(array)
    assert (array + 1.0).get().tolist() == [1.0, 1.0, 1.0] and host_ops().owns(np.exp(array))
