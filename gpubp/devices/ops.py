"""The interface of a device: an abstract base class and nothing else.

Methods whose docstrings start with "Bind" take the arrays of a verb once, check them and return a call without arguments, which
only computes; the others act immediately. Values that change from step to step live in arrays, so that a sequence of bound calls
can be captured as a CUDA graph: the table of scalars, and the clock of two int64 numbers, (mini-batch of the epoch, epoch).

Matrices are C-contiguous, one sample per row. All arrays of a verb share one floating dtype, float32 or float64, with one
exception: x, the z, a and delta of hidden layers and the rounded copy of the weights may have the dtype `storage_dtype`, which is
a 16-bit one in mixed precision.
"""

from abc import ABC, abstractmethod
from contextlib import AbstractContextManager, nullcontext
from math import ceil
from typing import Any

from ..maths.validation import shown

ALIGNMENT_BYTES = 128   # of arrays and of views of one memory: a line of a cache
PRECISIONS = "exact", "tf32", "bfloat16", "float16"
# For each 16-bit format: its unit roundoff, its smallest magnitude that is sure to be kept, and its largest finite number. A
# subnormal bfloat16 is also a subnormal float32, which CuPy's kernels flush to zero (-ftz=true).
HALVES = {"bfloat16": (2.0**-8, 2.0**-126, 3.3895e38), "float16": (2.0**-11, 2.0**-24, 65504.0)}
GROWTH_INTERVAL = 2000   # consecutive finite gradients after which the loss scale is doubled
MAX_SCALE = 2.0**24      # upper bound of the loss scale
MIN_SCALE = 2.0**-24     # lower bound of the loss scale


def checked_precision(precision, dtype="float32"):
    """`precision`, if it is one of PRECISIONS and suits `dtype`; else raises ValueError."""
    if precision not in PRECISIONS or (precision != "exact" and dtype != "float32"):
        raise ValueError(f"expected precision {', '.join(map(repr, PRECISIONS))}, all but 'exact' with dtype 'float32', got "
                         f"{shown(precision)} with {dtype}")
    return precision


def dropout_scale_and_threshold(rate):
    """(scale, threshold) of inverted dropout: scale = 1 / (1 - rate); an element is kept if its 32 random bits < threshold."""
    if not 0.0 <= rate < 1.0:
        raise ValueError(f"expected a dropout rate in [0, 1), got {shown(rate)}")
    return 1.0 / (1.0 - rate), ceil((1.0 - rate) * 2**32)


class ProgramError(RuntimeError):
    """A program for the CPU could not be compiled or loaded. why: what was expected, and what came."""

    @property
    def why(self):
        return self.args[0]

    def __str__(self):
        return f"{self.why}; device='cpu:numpy' works everywhere"


class Ops(ABC):
    """The operations of a device. The concrete classes are NumpyOps, CompiledOps and CudaOps."""

    name: str                        # "cpu", "cuda:0", ...
    precision: str                   # that of matrix products, one of PRECISIONS
    xp: Any                          # the array module (NumPy or CuPy), for work outside the hot loop
    device: AbstractContextManager   # the context in which that work must run
    on_host = False                  # whether the arrays are NumPy arrays
    synchronous = False              # whether work has completed when a call returns, so that reading a result costs nothing
    max_copied_bytes = 1 << 26       # the largest training set of which a fit keeps a copy, see WorkspaceCache
    norms_dtype: Any = None          # that of the results of `norms`; None is the dtype of the vector
    # capabilities, None where a device lacks them
    blas_threads = 1                 # threads that NumPy's BLAS shares a product of a step among
    whole_epochs: Any = None         # the WholeEpochs that run epochs without returning to Python
    row_blocks: Any = None           # the CpuOps itself, whose threads compute blocks of rows
    array_checks: Any = None         # the ArrayChecks that validate arrays without a synchronization
    streaming: Any = None            # the Streaming of data that do not fit on the device
    inside: Any = None               # the Inside, which makes many steps of a small network in one launch
    loss_scaling: Any = None         # the LossScaling of precision "float16"
    nccl: Any = None                 # the class Nccl, whose objects sum over processes with a GPU each
    lane: Any = None                 # the calling thread's stream; None if the work of all threads is in order

    def scratch_bytes(self, array):
        """Approximately the bytes that a verb with a formula needs for intermediate values beside such an array."""
        return 0

    # ---- variants of the device; arrays belong to all of them
    @abstractmethod
    def with_precision(self, precision):
        """The same device with another precision of matrix products, one of PRECISIONS. The CPU is always exact."""

    def training_backend(self, seconds):
        """The Ops to train with, if NumPy needs about `seconds` per epoch: self, or a backend that must compile first."""
        return self

    def without_compiling(self, error):
        """The Ops to train with after a ProgramError of the training backend; raises it if there is no other."""
        raise error

    def run_all(self, tasks, stop):
        """Call functions that train different networks: one after the other, or at the same time, if that pays.

        stop() makes them all end soon; it is called if an exception comes while this thread waits for others.
        """
        for task in tasks:
            task()

    @abstractmethod
    def storage_dtype(self, dtype):
        """The dtype in which the factors of products are stored at this precision; uint16 holds the bits of a bfloat16."""

    # ---- arrays

    @abstractmethod
    def asarray(self, values, dtype=None):
        """The values as a C-contiguous array on this device; the same object if it already is one."""

    @abstractmethod
    def to_numpy(self, array):
        """An array of this device or of the host as a NumPy array."""

    @abstractmethod
    def is_on_device(self, array):
        """Whether the array is on this device."""

    @abstractmethod
    def copy_for_caller(self, array):
        """The array to return to the caller; on a GPU a copy in memory of the caller's stream, see Session.empty."""

    @abstractmethod
    def zeros(self, shape, dtype):
        """A new array of zeros."""

    @abstractmethod
    def cast(self, source, out):
        """Bind out := source, converted to the dtype of out. Both are C-contiguous and have the same number of elements."""

    @abstractmethod
    def gather(self, sources, order, clock, size, outs):
        """Bind outs[k] := sources[k][order[start:start + rows]], where start = clock[0] * size and rows = len(outs[0]).

        sources: one to three matrices, or vectors with one number per row. order: int64 row indices. size: rows of a full
        mini-batch; the last one of an epoch may have fewer.
        """

    # ---- the equations

    @abstractmethod
    def matmul(self, a, b, out):
        """Bind out := a b. The shapes are (m, k), (k, n) and (m, n); a and b may be transposed views of C-contiguous matrices."""

    @abstractmethod
    def bias_activation(self, activation, z, b, a):
        """Bind z := z + b and a := sigma(z). a may be z itself. Softmax works on rows."""

    @abstractmethod
    def activation_backward(self, activation, delta, z, a, db):
        """Bind the second half of BP2, and BP3: delta := delta * sigma'(z) and db[j] := the sum of column j of delta.

        delta holds dC/da before the call and dC/dz after it. For softmax, delta_j := a_j (delta_j - sum_k delta_k a_k).
        """

    @abstractmethod
    def cost_partials(self, rows, width):
        """The length of `costs` if `cost_and_delta` is bound with keep=False for matrices of shape (rows, width)."""

    @abstractmethod
    def cost_and_delta(self, cost, activation, z, b, a, y, sample_weights, delta, db, costs, keep=True):
        """Bind the activation of the last layer, the cost, BP1 and BP3, in one pass over the rows.

        z := z + b and a := sigma(z); costs[i] := s_i C_i and delta_i := s_i dC_i/dz with s = sample_weights; db := column sums of
        delta.

        z, a, y and delta have the shape (rows, width), b and db (width,), sample_weights and costs (rows,). Only delta may have
        the dtype `storage_dtype`. If delta and db are None, only the activation and the costs are computed. With keep=False and a
        delta, costs has cost_partials(rows, width) elements, whose sum is the total cost, and z and a are undefined afterwards.
        """

    @abstractmethod
    def dropout(self, a, out, da, rate, seed, layer, clock, first=0):
        """Bind two calls: forward, out := a mask / (1 - rate), and backward, da := da mask / (1 - rate).

        The mask keeps element i if its 32 random bits are below (1 - rate) 2^32. These bits are half first + i, low half first,
        of the words of numpy.random.Philox(key=[seed, 0], counter=[0, step, layer, 0]), on every device. step is
        (clock[1] << 32) + clock[0], so that every step of a training run has its own mask. first is a multiple of 8.
        """

    @abstractmethod
    def gemm_update(self, a, b, w, table, clock):
        """Bind w := beta w + alpha (a b), which is BP4 and gradient descent in one GEMM; (beta, alpha) := table[clock[0]].
        Only a and b may have the dtype `storage_dtype`."""

    def gemm_update_pays(self, weight_count):
        """Whether the device has `gemm_update`, and it is faster than `matmul` and `step` for a network of that many weights."""
        return True

    @abstractmethod
    def step(self, chain, vector, gradient, state, weight_count, matrices, scalars, clock, rounded=None):
        """Bind one optimizer step, which updates `vector` (the parameters) and the vectors of `state` in place.

        Row clock[0] of the table `scalars` holds chain.scalars(...). The first `weight_count` elements of vector are weights, the
        rest biases. matrices are the weight matrices, as views of vector; chain.max_norm bounds the norms of their rows. rounded,
        if given, is a vector in the dtype `storage_dtype`, to which the updated weights are written.
        """

    # ---- sums

    def add(self, source, out):
        """Bind out := out + source, for vectors of one size."""
        def call():
            with self.device:
                self.xp.add(source, out, out)
        return call

    @abstractmethod
    def log_cost(self, costs, log, clock):
        """Bind log[clock[0]] := sum of costs and clock[0] := clock[0] + 1; this is the last call of a step."""

    @abstractmethod
    def norm(self, array):
        """Compute the Euclidean norm of an array immediately; returns a Python float."""

    @abstractmethod
    def norms(self, vector, arrays, out):
        """Bind out[0] := 0 if all of the vector is finite, else another number, and out[1 + k] := the norm of arrays[k]."""

    def all_finite(self, array):
        """Whether all elements are finite, as a Boolean of the device; needs no memory of the array's size."""
        return self.xp.isfinite(array.max()) & self.xp.isfinite(array.min())

    # ---- programs

    @abstractmethod
    def record_event(self):
        """Record an event immediately, behind all work already enqueued on the device."""

    @abstractmethod
    def wait_for(self, event):
        """Make the host wait until all work before the event has completed."""

    @abstractmethod
    def seconds_between(self, first, last):
        """The seconds on the device between two completed events."""

    def on_caller_stream(self):
        """A context for user functions that are called within `device`: the caller's stream is current in it; see Session."""
        return nullcontext()

    @abstractmethod
    def program(self, calls):
        """A single call that runs the bound calls in order, on a GPU as a captured CUDA graph; times=n runs them n times."""

    def program_with_host_calls(self, before, host_calls, after=()):
        """A program as above, between whose calls the host makes others, which may wait for other processes."""
        calls = [self.program(before), *host_calls, *([self.program(after)] if after else [])]

        def run(times=1):
            for _ in range(times):
                for call in calls:
                    call()
        return run

    def prepare(self, programs):
        """Wait until the programs are compiled, unless the first run compiles them. Raises ProgramError if that fails."""
        return None
