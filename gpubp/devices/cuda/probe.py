"""Check whether a CUDA device is usable: CuPy finds it, and a test computation succeeds."""

from functools import cache

import numpy as np

from . import compiler
from .cublas import Cublas, first_line, load
from .cuda_ops import CudaOps
from .graph import LOCK, Session

OUT_OF_MEMORY = 2   # status code of the CUDA runtime and of the driver


def why_no_cuda(index=0):
    """None if the CUDA device of this index is usable, else the reason in a few words."""
    return why_absent(index) or why_unusable(index)


def why_absent(index=0):
    """None if CuPy finds a CUDA device of this index, else the reason."""
    try:
        import cupy
    except ImportError as error:
        if isinstance(error, ModuleNotFoundError) and error.name == "cupy":
            return 'CuPy is not installed: pip install "gpubp[cuda13]", or "gpubp[cuda12]" for a driver of CUDA 12'
        return f"CuPy does not load ({error})"
    try:
        count = cupy.cuda.runtime.getDeviceCount()
    except cupy.cuda.runtime.CUDARuntimeError as error:
        return f"CuPy {cupy.__version__} finds no driver or no device ({error})"
    return None if index < count else f"no CUDA device has the number {index}, there are {count}, counted from 0"


def why_unusable(index=0):
    """None if a device that CuPy finds computes correctly, else the reason. The test runs once per process and takes less than a
    second: one kernel of CuPy, one of gpubp and one product. If it runs out of memory, the next call tries again."""
    with LOCK:
        try:
            return _tried(index)
        except MemoryError as error:
            return f"CuPy finds cuda:{index}, whose memory is full ({first_line(error)})"


@cache
def _tried(index):
    try:
        ops = cuda_ops(index)
        a, out = ops.asarray([[1.5]], np.float32), ops.zeros((1, 1), np.float32)
        with ops.device:
            a = a + a
        ops.matmul(a, a, out)()
        ops.cast(out, a)()
        found = str(float(ops.to_numpy(a)[0, 0]))
    except MemoryError:
        raise
    except Exception as error:   # an incomplete CuPy installation can fail in many ways
        if getattr(error, "status", None) == OUT_OF_MEMORY:
            raise MemoryError(first_line(error)) from error
        found = first_line(error)
    return None if found == "9.0" else f"CuPy finds cuda:{index}, which does not compute 3 x 3 ({found})"


def cuda_ops(index=0):
    """The CudaOps of a device; there is one per device and process."""
    with LOCK:   # else two threads could open the device twice
        return _opened(index)


@cache
def _opened(index):
    import cupy

    session = Session(cupy, index)
    return CudaOps(f"cuda:{index}", cupy, compiler, session, Cublas(session, load()))
