"""CudaOps: the verbs on CuPy arrays; products by cuBLAS, everything else by gpubp's kernels.

Binding checks the arrays, compiles the kernels, fixes the arguments and allocates the few buffers of a verb. A bound call only
launches kernels: it allocates nothing and never synchronizes.
"""

from copy import copy
from math import ceil, prod

import numpy as np

from .. import kernel_source
from ..operands import check_copy, check_operands, check_product
from ..ops import Ops, checked_precision, dropout_scale_and_threshold
from . import graph
from .array_checks import ArrayChecks
from .inside import Inside
from .launch import THREADS, chunked, grid, launch, on_rows, on_vector, pack, partial_count, reduction_grid, row_grid, wide
from .loss_scaling import LossScaling
from .nccl import Nccl
from .nccl import load as load_nccl
from .transfer import Streaming

STORED = {"float16": np.dtype(np.float16), "bfloat16": np.dtype(np.uint16)}   # by precision; the others store the computing dtype
MIN_WEIGHTS_FOR_GEMM_UPDATE = 1 << 23   # below it, the launches that fetch cuBLAS's scalars cost more than they save


class CudaOps(Ops):
    """The verbs on the arrays of one CUDA device. In the tests, substitutes for its parts run the kernels on the host."""

    device: graph.Session   # on whose stream everything runs
    loss_scale = None   # its state, see LossScaling.scaled
    _check = check_operands

    def __init__(self, name, xp, compiler, session, products, precision="exact"):
        self.name, self.xp, self.compiler, self.device, self.products = name, xp, compiler, session, products
        self.precision, self.processors = precision, session.device.attributes["MultiProcessorCount"]
        self.array_checks, self.streaming = ArrayChecks(self), Streaming(session)

    @property
    def inside(self):   # type: ignore[override]
        return Inside(self)

    @property
    def loss_scaling(self):   # type: ignore[override]
        return LossScaling(self) if self.precision == "float16" else None

    @property
    def nccl(self):   # type: ignore[override]
        return Nccl if load_nccl() else None

    @property
    def lane(self):   # type: ignore[override]
        return self.device.resources

    # ---- variants of the device

    def with_precision(self, precision):
        sibling = copy(self)
        sibling.precision = checked_precision(precision)
        return sibling

    def storage_dtype(self, dtype):
        return STORED.get(self.precision, np.dtype(dtype)) if np.dtype(dtype) == np.float32 else np.dtype(dtype)

    # ---- arrays

    def asarray(self, values, dtype=None):
        with self.device:   # CuPy copies from the host and from other devices to the current device
            return self.xp.asarray(values, dtype=dtype, order="C")

    def to_numpy(self, array):
        if isinstance(array, np.ndarray):
            return array
        with self.device:
            return array.get()

    def is_on_device(self, array):
        return isinstance(array, self.xp.ndarray) and array.device == self.device.device

    def copy_for_caller(self, array):
        with self.device:
            out = self.device.empty(array.shape, array.dtype)
            out[...] = array
        return out

    def zeros(self, shape, dtype):
        with self.device:
            return self.xp.zeros(shape, dtype)

    def cast(self, source, out):
        n, elements = source.size, pack(source.size, source, out)
        kernel = self._kernel(kernel_source.copy_source(*check_copy(self, source, out)), wide("cast", elements))
        return self._bound(on_vector(kernel, n, grid(n // elements), None, source, out))

    def gather(self, sources, order, clock, size, outs):
        if not 1 <= len(sources) == len(outs) <= 3:
            raise ValueError(f"expected one to three sources and as many outs, got {len(sources)} and {len(outs)}: gather the "
                             "rest in another call")
        self._check((2,), np.int64, clock=clock)
        self._check((order.size,), np.int64, order=order)
        rows, dtypes, values, units = len(outs[0]), [], [], 1
        for place in range(3):   # the kernel takes three; missing ones have width 0
            source, out = (sources[place], outs[place]) if place < len(outs) else (sources[0], outs[0])
            dtypes += [self._check(source.shape, source=source), self._check((rows, *source.shape[1:]), out=out)]
            width = prod(source.shape[1:]) if place < len(outs) else 0
            elements = pack(width, source, out)
            values += [source, out, width, elements]
            units = max(units, width // elements)
        kernel = self._kernel(kernel_source.copy_source(*dtypes), "gather")
        return self._bound(launch(kernel, *row_grid(rows, units, self.processors), None, order, clock, int(size), rows, *values))

    # ---- the equations

    def matmul(self, a, b, out):
        check_product(self, a, b, out)
        return self._bound(self.products.gemm(a, b, out, precision=self.precision))

    def bias_activation(self, activation, z, b, a):
        (rows, width), storage = z.shape, self._check(z.shape, z=z, a=a)
        dtype = self._check((width,), b=b)
        if activation.rowwise:
            kernel = self._file_kernel("softmax.cu", "softmax", dtype, storage)
            return self._bound(on_rows(kernel, dtype, self.processors, z, b, a, rows, width))
        elements = pack(width, z, b, a)
        kernel = self._kernel(kernel_source.layer_source(activation, dtype, storage), wide("layer", elements))
        return self._bound(launch(kernel, *row_grid(rows, width // elements, self.processors), dtype, z, b, a, rows, width))

    def activation_backward(self, activation, delta, z, a, db):
        (rows, width), storage = delta.shape, self._check(delta.shape, delta=delta, z=z, a=a)
        dtype = self._check((width,), db=db)
        if activation.rowwise:
            kernel = self._file_kernel("softmax.cu", "softmax_backward", dtype, storage)
            return self._bound(on_rows(kernel, dtype, self.processors, delta, a, rows, width), *self._column_sums(delta, db))
        text = kernel_source.layer_source(activation, dtype, storage)
        return self._bound(*self._summing(text, "activation_backward", (delta, z, a), db))

    def cost_partials(self, rows, width):
        return partial_count(rows, width, self.processors)

    def cost_and_delta(self, cost, activation, z, b, a, y, sample_weights, delta, db, costs, keep=True):
        dtype, (rows, width) = self._check(z.shape, z=z, a=a, y=y), z.shape
        self._check((width,), dtype, b=b)
        self._check((rows,), dtype, sample_weights=sample_weights)
        self._check((rows if keep or delta is None else self.cost_partials(rows, width),), dtype, costs=costs)
        if delta is None:
            kernel = self._kernel(kernel_source.output_source(cost, activation, dtype), "cost")
            return self._bound(on_rows(kernel, dtype, self.processors, z, b, a, y, sample_weights, costs, rows, width))
        self._check((width,), dtype, db=db)
        text = kernel_source.output_source(cost, activation, dtype, self._check(z.shape, delta=delta))
        values = z, b, a, y, sample_weights, delta, costs, self._scaling(dtype)
        more = [db] if costs.size == 1 and not keep else []   # a single block also sums the columns of delta
        name, blocks = ("output", None) if keep else ("cost_and_delta_one_block" if more else "cost_and_delta", costs.size)
        launches = [on_rows(self._kernel(text, name), dtype, self.processors, *values, *more, rows, width, blocks=blocks)]
        return self._bound(*launches, *([] if more else self._column_sums(delta, db)))

    def dropout(self, a, out, da, rate, seed, layer, clock, first=0):
        scale, limit = dropout_scale_and_threshold(rate)
        self._check((2,), np.int64, clock=clock)
        storage, n = self._check(a.shape, a=a, out=out, da=da), a.size
        dtype, elements = kernel_source.computed(storage), pack(n, a, out, da)
        kernel = self._file_kernel("dropout.cu", wide("dropout", elements), dtype, storage)
        fixed = scale, np.uint64(limit), np.uint64(seed), clock, np.uint64(layer), np.uint64(first // 8)
        return tuple(self._bound(on_vector(kernel, n, grid(ceil(n / 8)), dtype, source, target, *fixed))
                     for source, target in ((a, out), (da, da)))

    def gemm_update(self, a, b, w, table, clock):
        dtype, row = self._check(w.shape, w=w), self.zeros((1, 2), w.dtype)
        self._check((len(table), 2), dtype, table=table)
        pick = self.gather([table], self.asarray(np.arange(len(table))), clock, 1, [row])
        return self._bound(pick, self.products.gemm(a, b, w, precision=self.precision, scalars=row))

    def gemm_update_pays(self, weight_count):
        return weight_count >= MIN_WEIGHTS_FOR_GEMM_UPDATE

    def step(self, chain, vector, gradient, state, weight_count, matrices, scalars, clock, rounded=None):
        names = dict(zip(chain.state, state, strict=True))
        dtype, n = self._check((vector.size,), vector=vector, gradient=gradient, **names), vector.size
        self._check((len(scalars), len(chain.scalars(1, 0.1, 1))), dtype, scalars=scalars)
        self._check((2,), np.int64, clock=clock)
        rounded_outputs = [] if rounded is None or chain.max_norm is not None else [rounded]   # max_norm changes them later
        storage = self._check((weight_count,), rounded=rounded) if rounded_outputs else None
        text, norm, scaling = kernel_source.step_source(chain, dtype, storage), self.zeros(1, dtype), self._scaling(dtype)
        calls = self._norm(gradient, norm) if chain.uses_norm else []
        elements = min([pack(n, vector, gradient, *state), *(pack(weight_count, one) for one in rounded_outputs)])
        kernel = self._kernel(text, wide("step", elements))
        calls.append(on_vector(kernel, n, grid(n // elements), dtype, vector, *state, gradient, norm, scalars, clock, scaling,
                               *rounded_outputs, np.int64(weight_count)))
        if chain.max_norm is not None:
            bound = self._kernel(text, "max_norm")
            for w in matrices:
                self._check(w.shape, dtype, w=w)
                calls.append(on_rows(bound, dtype, self.processors, w, float(chain.max_norm), scaling, *w.shape))
            calls += [] if rounded is None else [self.cast(vector[:weight_count], rounded)]
        return self._bound(*calls)

    # ---- sums

    def log_cost(self, costs, log, clock):
        """log has the dtype of costs, since float32 kernels must not use float64."""
        dtype = self._check((costs.size,), costs=costs)
        self._check((log.size,), dtype, log=log)
        self._check((2,), np.int64, clock=clock)
        kernel = self._file_kernel("sums.cu", "total", dtype)
        return self._bound(on_vector(kernel, costs.size, (1,), dtype, costs, log, clock))

    def norm(self, array):
        result = self.zeros(1, kernel_source.computed(self._check(array.shape, array=array)))
        self._bound(*self._norm(array, result))()
        return float(self.to_numpy(result)[0])

    def norms(self, vector, arrays, out):
        dtype, sources = self._check((1 + len(arrays),), out=out), [vector, *arrays]
        self._check((vector.size,), dtype, vector=vector)
        grids = [reduction_grid(source.size, self.processors) for source in sources]
        partials = self.zeros((len(sources), max(grids)[0]), dtype)   # unused elements of a row stay 0
        kernels = [self._file_kernel("report.cu", "count_nonfinite", dtype),
                   *(self._file_kernel("sums.cu", "squares", dtype, a.dtype) for a in arrays)]
        calls = [on_vector(kernel, source.size, blocks, dtype, source, row)
                 for kernel, source, blocks, row in zip(kernels, sources, grids, partials)]
        finish = self._file_kernel("report.cu", "finish", dtype)
        return self._bound(*calls, launch(finish, (len(sources),), (THREADS,), dtype, partials, out, partials.shape[1]))

    def record_event(self):
        with self.device:
            return self.device.stream.record(self.xp.cuda.Event(block=True))

    def wait_for(self, event):
        event.synchronize()

    def seconds_between(self, first, last):
        return self.xp.cuda.get_elapsed_time(first, last) / 1e3

    def on_caller_stream(self):
        return self.device.on_caller_stream()

    # ---- programs

    def program(self, calls):
        return graph.GraphProgram(self.device, calls)

    # ---- helpers of the verbs

    def _bound(self, *launches):
        """A single call that makes the launches in order."""
        def call():
            with self.device:
                for one in launches:
                    one()
        return call

    def _kernel(self, text, name):
        with self.device:
            return self.compiler.kernel(text, name)

    def _file_kernel(self, file, name, dtype, storage=None):
        return self._kernel(kernel_source.source(file, dtype, storage=storage), name)

    def _scaling(self, dtype):
        """The state of the loss scale, checked; without one, a constant scale of 1."""
        if self.loss_scale is None:
            with self.device:
                return self.xp.ones(4, dtype)
        self._check((4,), dtype, loss_scale=self.loss_scale)
        return self.loss_scale

    def _column_sums(self, matrix, sums):
        return self._summing(kernel_source.source("sums.cu", sums.dtype, storage=matrix.dtype), "column_sums", (matrix,), sums)

    def _summing(self, text, name, matrices, sums):
        """Launches of a kernel(*matrices, sums, rows, width) that sums columns; many rows are first summed in chunks."""
        (rows, width), dtype = matrices[0].shape, sums.dtype
        elements = pack(width, *matrices)
        kernel = self._kernel(text, wide(name, elements))
        (tiles, chunks), block = chunked(rows, width // elements, self.processors)
        if chunks == 1:
            return [launch(kernel, (tiles,), block, dtype, *matrices, sums, rows, width)]
        partials = self.zeros((chunks, width), dtype)
        return [launch(kernel, (tiles, chunks), block, dtype, *matrices, partials, rows, width),
                *self._column_sums(partials, sums)]

    def _norm(self, array, norm):
        """Launches that write the norm of the array to norm[0]."""
        dtype, n, partials = norm.dtype, array.size, self.zeros(reduction_grid(array.size, self.processors), norm.dtype)
        return [on_vector(self._file_kernel("sums.cu", "squares", dtype, array.dtype), n, partials.shape, dtype, array, partials),
                on_vector(self._file_kernel("sums.cu", "root", dtype), partials.size, (1,), dtype, partials, norm)]
