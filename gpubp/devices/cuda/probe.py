"""Whether a CUDA device can be used: CuPy finds it, and it computes."""

from functools import cache

import numpy as np

from .compiler import CupyCompiler
from .cublas import Cublas
from .cuda_ops import CudaOps
from .graph import LOCK, Session

OUT_OF_MEMORY = 2   # the status of such errors of CUDA's runtime and of its driver


def why_no_cuda(index=0):
    """None where a CUDA device of that index can be used, else the reason in a few words."""
    return why_absent(index) or why_unusable(index)


def why_absent(index=0):
    """None where CuPy finds a CUDA device of that index, else the reason."""
    try:
        import cupy
    except ModuleNotFoundError as error:
        if error.name != "cupy":
            return f"CuPy does not load ({error})"
        return 'CuPy is not installed: pip install "gpubp[cuda13]", or "gpubp[cuda12]" for a driver of CUDA 12'
    except ImportError as error:
        return f"CuPy does not load ({error})"
    try:
        count = cupy.cuda.runtime.getDeviceCount()
    except cupy.cuda.runtime.CUDARuntimeError as error:
        return f"CuPy {cupy.__version__} finds no driver or no device ({error})"
    return None if index < count else f"no CUDA device has the number {index}, there are {count}, counted from 0"


def why_unusable(index=0):
    """None where a device that CuPy finds computes, else the reason.

    It is tried once in a process: a kernel of CuPy's and one of gpubp's are compiled and launched, and cuBLAS multiplies. That
    takes less than a second. Memory may be there later, so that a lack of it is tried again.
    """
    with LOCK:
        try:
            return _tried(index)
        except MemoryError as error:
            return f"CuPy finds cuda:{index}, whose memory is full ({_first_line(error)})"


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
    except Exception as error:   # an incomplete CuPy fails in many ways; each of them is a reason
        if getattr(error, "status", None) == OUT_OF_MEMORY:
            raise MemoryError(_first_line(error)) from error
        found = _first_line(error)
    return None if found == "9.0" else f"CuPy finds cuda:{index}, which does not compute 3 x 3 ({found})"


def cuda_ops(index=0):
    """The CudaOps of a device, the same for all who ask."""
    with LOCK:   # two threads at once would otherwise open two
        return _opened(index)


@cache
def _opened(index):
    import cupy

    session = Session(cupy, index)
    return CudaOps(f"cuda:{index}", cupy, CupyCompiler(), session, Cublas(session))


def _first_line(error):
    return (str(error).strip() or type(error).__name__).splitlines()[0]
