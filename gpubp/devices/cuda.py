"""CudaOps: the verbs on CuPy arrays, products by cuBLAS through CuPy, everything else by the kernels.

Checks, kernels and arguments are settled at binding; a bound call only launches, and nothing waits for the device.
"""

from functools import partial
from math import ceil

import numpy as np

from . import compiler
from .ops import Ops

THREADS = 256          # of a block: THREADS in kernels/common.cuh
WARP = 32
ROWS_OF_A_THREAD = 4   # that a thread of `layer` walks down with one bias in a register
ROWS_OF_A_SUM = 8      # that a thread adds up at least, before rows are cut into chunks
CHUNKS = 128           # at most, whose column sums a second kernel adds
BLOCKS = 512           # enough to fill any device


def why_no_cuda(index=0):
    """None where a CUDA device of that index can be used, else the reason in a few words."""
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


class CudaOps(Ops):
    """The verbs on the arrays of one CUDA device.

    xp is CuPy, device a context that makes the device current; the tests give their own and run kernels on the host.
    """

    def __init__(self, name, xp, compiler, device):
        self.name, self.xp, self.compiler, self.device = name, xp, compiler, device

    @classmethod
    def on_device(cls, index=0):
        """The device of that index."""
        import cupy

        return cls(f"cuda:{index}", cupy, compiler.CupyCompiler(), cupy.cuda.Device(index))

    # ---- arrays come and go

    def array(self, values, dtype=None):
        with self.device:   # CuPy copies to the device that is current, from the host and from other devices
            return self.xp.asarray(values, dtype=dtype, order="C")

    def host(self, array):
        with self.device:
            return array.get()

    def owns(self, array):
        return isinstance(array, self.xp.ndarray) and array.device == self.device

    def zeros(self, shape, dtype):
        with self.device:
            return self.xp.zeros(shape, dtype)

    def gather(self, source, index, out):
        with self.device:
            self.xp.take(source, index, axis=0, out=out)

    # ---- the equations

    def matmul(self, a, b, out):
        rows, width = out.shape
        if a.shape[0] != rows or b.shape != (a.shape[1], width):
            raise ValueError(f"out := a b needs (m, n) := (m, k) (k, n), got {out.shape} := {a.shape} {b.shape}")
        self._check(out.shape, out=out)
        for name, factor in (("a", a), ("b", b)):   # a transposed matrix costs nothing, any other view a copy each time
            flat = factor if factor.flags.c_contiguous else factor.T
            self._check(flat.shape, out.dtype, **{name: flat})
        return self._bound(partial(self.xp.matmul, a, b, out=out))

    def layer(self, activation, z, b, a):
        dtype, (rows, width) = self._check(z.shape, z=z, a=a), z.shape
        self._check((width,), dtype, b=b)
        if activation.rowwise:
            return self._bound(self._on_rows(self._plain("softmax.cu", "softmax", dtype), dtype, z, b, a, rows, width))
        kernel = self._kernel(compiler.layer_source(activation, dtype), "layer")
        block, tiles = _tile(width)
        chunks = max(1, min(ceil(rows / (block[1] * ROWS_OF_A_THREAD)), 65535))   # the most that a grid has on y
        return self._bound(_launch(kernel, (tiles, chunks), block, dtype, z, b, a, rows, width))

    def hadamard(self, activation, delta, z, a, sums):
        dtype, (rows, width) = self._check(delta.shape, delta=delta, z=z, a=a), delta.shape
        if activation.rowwise:
            kernel = self._plain("softmax.cu", "softmax_hadamard", dtype)
            return self._bound(self._on_rows(kernel, dtype, delta, a, rows, width), *self._column_sums(delta, sums))
        kernel = self._kernel(compiler.layer_source(activation, dtype), "hadamard")
        return self._bound(*self._summing(kernel, (delta, z, a), sums))

    def output(self, cost, activation, z, b, a, y, weights, delta, sums, costs):
        dtype, (rows, width) = self._check(z.shape, z=z, a=a, y=y), z.shape
        self._check((width,), dtype, b=b)
        self._check((rows,), dtype, weights=weights, costs=costs)
        text = compiler.output_source(cost, activation, dtype)
        if delta is None:
            kernel = self._kernel(text, "cost")
            return self._bound(self._on_rows(kernel, dtype, z, b, a, y, weights, costs, rows, width))
        self._check(z.shape, dtype, delta=delta)
        kernel = self._kernel(text, "output")
        return self._bound(self._on_rows(kernel, dtype, z, b, a, y, weights, delta, costs, rows, width),
                           *self._column_sums(delta, sums))

    def dropout(self, a, out, error, rate, seed, layer, clock):
        if not 0.0 <= rate < 1.0:
            raise ValueError(f"expected a dropout rate in [0, 1), got {rate!r}")
        dtype = self._check(a.shape, a=a, out=out, error=error)
        kernel, grid = self._plain("dropout.cu", "dropout", dtype), _grid(ceil(a.size / 8))
        scale, limit = dtype.type(1.0 / (1.0 - rate)), np.uint64(ceil((1.0 - rate) * 2**32))
        seed, layer, n = np.uint64(seed), np.uint64(layer), np.int32(a.size)

        def call(source, target):
            kernel(grid, (THREADS,), (source, target, scale, limit, seed, np.uint64(clock[0]), layer, n))
        return self._bound(partial(call, a, out)), self._bound(partial(call, error, error))

    def step(self, chain, vector, gradient, state, weights, matrices):
        names = dict(zip(chain.state, state, strict=True))
        dtype, n = self._check((vector.size,), vector=vector, gradient=gradient, **names), vector.size
        text = compiler.step_source(chain, dtype)
        kernel, grid, norm = self._kernel(text, "step"), _grid(n), self.zeros(1, dtype)
        before = self._norm(gradient, norm) if chain.uses_norm else ()
        fixed = compiler.arguments(dtype, vector, *state, gradient, norm, int(weights), n)
        after = []
        if chain.max_norm is not None:
            bound = self._kernel(text, "max_norm")
            for w in matrices:
                self._check(w.shape, dtype, w=w)
                after.append(self._on_rows(bound, dtype, w, float(chain.max_norm), *w.shape))

        def call(scalars):
            with self.device:
                for launch in before:
                    launch()
                kernel(grid, (THREADS,), (*fixed, *map(dtype.type, scalars)))
                for launch in after:
                    launch()
        return call

    # ---- sums

    def record(self, costs, log, place):
        """The log has the costs' dtype: float32 kernels keep clear of float64."""
        dtype = self._check(costs.shape, costs=costs)
        self._check(log.shape, dtype, log=log)
        kernel = self._plain("sums.cu", "total", dtype)
        self._bound(_launch(kernel, (1,), (THREADS,), dtype, costs, log, int(place), costs.size))()

    def norm(self, array):
        result = self.zeros(1, self._check(array.shape, array=array))
        self._bound(*self._norm(array, result))()
        return float(self.host(result)[0])

    # ---- what the verbs are made of

    def _bound(self, *launches):
        """One call that makes the launches in their order."""
        def call():
            with self.device:
                for launch in launches:
                    launch()
        return call

    def _kernel(self, text, name):
        with self.device:
            return self.compiler.kernel(text, name)

    def _plain(self, file, name, dtype):
        return self._kernel(compiler.source(file, dtype), name)

    def _check(self, shape, dtype=None, **arrays):
        """The arrays' common dtype; what a kernel, which knows neither strides nor dtypes, would misread is refused."""
        for name, array in arrays.items():
            if not self.owns(array):
                kind = f"{type(array).__module__}.{type(array).__name__}"
                raise TypeError(f"expected {name} to be an array of {self.name}, got {kind}: pass ops.array({name})")
            dtype = np.dtype(dtype or array.dtype)
            if array.shape != shape or array.dtype != dtype:
                raise ValueError(f"expected {name} of shape {shape} and {dtype}, got {array.shape} and {array.dtype}: "
                                 "the arrays of one call agree")
            if not array.flags.c_contiguous:
                raise ValueError(f"expected a C-contiguous {name}, got strides {array.strides}: pass ops.array({name})")
            if array.size >= 2**31:
                raise ValueError(f"expected {name} of fewer than 2**31 elements, got {array.size}: use smaller batches")
        return dtype

    def _on_rows(self, kernel, dtype, *values):
        """A launch of a kernel that takes one warp a row; the last two values are rows and width."""
        grid = max(1, ceil(values[-2] * WARP / THREADS)),
        return _launch(kernel, grid, (WARP, THREADS // WARP), dtype, *values)

    def _column_sums(self, matrix, sums):
        return self._summing(self._plain("sums.cu", "column_sums", sums.dtype), (matrix,), sums)

    def _summing(self, kernel, matrices, sums):
        """Launches of a kernel(*matrices, sums, rows, width) that sums columns, many rows in chunks first."""
        rows, width = matrices[0].shape
        dtype = self._check((width,), matrices[0].dtype, sums=sums)
        block, tiles = _tile(width)
        chunks = max(1, min(rows // (block[1] * ROWS_OF_A_SUM), BLOCKS // tiles, CHUNKS))
        if chunks == 1:
            return [_launch(kernel, (tiles,), block, dtype, *matrices, sums, rows, width)]
        partials = self.zeros((chunks, width), dtype)
        return [_launch(kernel, (tiles, chunks), block, dtype, *matrices, partials, rows, width),
                *self._column_sums(partials, sums)]

    def _norm(self, array, norm):
        """Launches that leave the array's norm in the one element of norm."""
        dtype, grid = array.dtype, _grid(array.size, THREADS)
        partials = self.zeros(grid[0], dtype)
        return [_launch(self._plain("sums.cu", "squares", dtype), grid, (THREADS,), dtype, array, partials, array.size),
                _launch(self._plain("sums.cu", "root", dtype), (1,), (THREADS,), dtype, partials, norm, partials.size)]


def _launch(kernel, grid, block, dtype, *values):
    return partial(kernel, grid, block, compiler.arguments(dtype, *values))


def _grid(n, most=4096):
    """Blocks for n elements, each thread taking several where there are many."""
    return max(1, min(ceil(n / THREADS), most)),


def _tile(width):
    """A block (columns, rows) no wider than the matrix needs, and how many such tiles its columns take."""
    columns = min(WARP, 1 << max(0, width - 1).bit_length())
    return (columns, THREADS // columns), max(1, ceil(width / columns))
