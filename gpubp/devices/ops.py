"""The verbs of a device: an abstract base and nothing else.

A verb is bound once to its arrays and returns a call without arguments, which a plan runs as often as it likes: shapes are
checked, kernels found and blocks cut at binding, not at each step. What changes from step to step lies in arrays (the clock, the
table of scalars), so that a program of calls can be captured. Matrices are C-contiguous, rows of a batch; all arrays of one verb
have one floating dtype, except that z, a and delta of hidden layers, x and the copy of the weights may be in the dtype of
`storage`.
"""

from abc import ABC, abstractmethod
from contextlib import AbstractContextManager
from math import ceil
from typing import Any

PRECISIONS = "exact", "tf32", "bfloat16", "float16"
# of numbers stored in 16 bits: the largest relative error, the smallest number that is sure to be kept, the largest one; a
# bfloat16 below the normal ones is one of float32, too, which CuPy's kernels, compiled with -ftz=true, take for 0
HALVES = {"bfloat16": (2.0**-8, 2.0**-126, 3.3895e38), "float16": (2.0**-11, 2.0**-24, 65504.0)}
STEADY = 2000             # finite gradients after which a loss scale is doubled,
LARGEST_SCALE = 2.0**24   # unless it is this large;
LEAST_SCALE = 2.0**-24    # and it never becomes smaller than this


def checked_precision(precision, dtype="float32"):
    """precision, or an error that says which there are for a dtype."""
    if precision not in PRECISIONS or (precision != "exact" and dtype != "float32"):
        raise ValueError(f"expected precision {', '.join(map(repr, PRECISIONS))}, all but 'exact' with dtype 'float32', got "
                         f"{precision!r} with {dtype}")
    return precision


def thinning(rate):
    """(the factor of what dropout keeps, the limit below which 32 random bits keep an element), or an error."""
    if not 0.0 <= rate < 1.0:
        raise ValueError(f"expected a dropout rate in [0, 1), got {rate!r}")
    return 1.0 / (1.0 - rate), ceil((1.0 - rate) * 2**32)


class Ops(ABC):
    """What a device can do; NumpyOps, CompiledOps and CudaOps are its final classes.

    name is "cpu", "cuda:0", ...; precision the one of PRECISIONS at which it multiplies; xp is the array module, for work outside
    the hot loop, and device the context in which such work belongs.
    scratch_bytes: bytes that a verb with a formula keeps for the values in between, about. cores: the threads that can work side
    by side, for the further verbs of CpuOps, 0 on a GPU. folds: the number of weights from which on `fold` should update them,
    infinity where it cannot. admission: the ArrayChecks of a GPU, which checks arrays without making the host wait; None where
    looking at an array costs nothing.
    """

    name: str
    precision: str
    xp: Any
    device: AbstractContextManager
    threads: int
    min_weights_for_gemm_update: float
    scratch_bytes = 0
    array_checks: Any = None

    # ---- what the same device can be besides; arrays belong to all of these
    @abstractmethod
    def with_precision(self, precision):
        """The same device at one of PRECISIONS: what products may round in exchange for speed. The CPU is always exact."""

    @abstractmethod
    def training_backend(self, seconds):
        """The device as it trains best, where an epoch takes NumPy about so many seconds: itself, or one that compiles first."""

    @abstractmethod
    def storage_dtype(self, dtype):
        """The dtype in which factors of products are kept at this precision; uint16 stands for the bits of a bfloat16."""

    # ---- arrays come and go

    @abstractmethod
    def asarray(self, values, dtype=None):
        """A C-contiguous array on this device with these values; the very same array where it is that already."""

    @abstractmethod
    def to_numpy(self, array):
        """An array of this device, or of the host, as a NumPy array."""

    @abstractmethod
    def is_on_device(self, array):
        """Whether the array lies on this device."""

    @abstractmethod
    def copy_for_caller(self, array):
        """The array as the caller gets it, on a GPU a copy in memory of the caller's stream; see Session.empty."""

    @abstractmethod
    def zeros(self, shape, dtype):
        """A new array of zeros."""

    @abstractmethod
    def cast(self, source, out):
        """Bind out := source, rounded to the dtype of out or widened to it; both C-contiguous, of one size."""

    @abstractmethod
    def gather(self, sources, order, clock, size, outs):
        """Bind outs[k] := the rows order[clock[0] * size : ... + rows] of sources[k].

        At most three sources, matrices or vectors with a number for each row; rows are those of the outs. order and clock
        are int64 arrays of this device; clock is (mini-batch of the epoch, epoch).
        """

    # ---- data too big for the device pass through it in windows

    @abstractmethod
    def free_bytes(self):
        """Bytes that a training set may take on this device."""

    @abstractmethod
    def pinned_empty(self, shape, dtype):
        """A NumPy array from which `send` copies while the device computes."""

    @abstractmethod
    def copy_async(self, staged, out):
        """At once, begin out := staged, after the work that the device has been given so far; returns a Transfer.

        transfer.arrive() makes the device's later work wait for the copy, transfer.finish() the host, which may then change
        staged.
        """

    # ---- the equations

    @abstractmethod
    def matmul(self, a, b, out):
        """Bind out := a b; a and b may be transposed views of C-contiguous matrices."""

    @abstractmethod
    def bias_activation(self, activation, z, b, a):
        """Bind z := z + b and a := sigma(z); a may be z itself. Softmax works row by row."""

    @abstractmethod
    def activation_backward(self, activation, delta, z, a, sums):
        """Bind BP2's second half and BP3: delta := delta * sigma'(z), and sums[j] := sum of delta's column j.

        delta arrives as dC/da. For softmax delta_j := a_j (delta_j - sum_k delta_k a_k).
        """

    @abstractmethod
    def cost_partials(self, rows, width):
        """The number of partial sums that `output` leaves of the costs of `rows` rows when it need not keep each row's cost."""

    @abstractmethod
    def cost_and_delta(self, cost, activation, z, b, a, y, weights, delta, sums, costs, scaling=None, keep=True):
        """Bind the last layer's activation, the cost, BP1 and BP3, in one pass over the rows.

        z := z + b, a := sigma(z); costs[i] := weights[i] C_i; delta := weights[i] dC_i/dz, its column sums into sums.
        y has the shape of a, weights and costs are vectors of one number a row. Without delta and sums (None) the cost
        alone is computed. delta alone may be in the dtype of `storage`; with scaling it is multiplied by scaling[0]. With delta
        and keep=False, costs has `summands` numbers, whose sum is that of all costs, and nobody may read z and a afterwards.
        """

    @abstractmethod
    def dropout(self, a, out, error, rate, seed, layer, clock):
        """Bind two calls, forward out := a mask / (1 - rate) and backward error := error mask / (1 - rate).

        The mask keeps element i where 32 random bits are below (1 - rate) 2^32; they are the i-th half (low half first) of
        the words of numpy.random.Philox(key=[seed, 0], counter=[0, step, layer, 0]), the same on every device. step is
        (clock[1] << 32) + clock[0], so that no two steps of a network share their masks.
        """

    @abstractmethod
    def gemm_update(self, a, b, w, table, clock):
        """Bind w := keep w + part (a b), where row clock[0] of the table, of w's dtype, holds keep and part: BP4 and the step of
        gradient descent in one product. a and b may be in the dtype of `storage`."""

    @abstractmethod
    def step(self, chain, vector, gradient, state, weights, matrices, scalars, clock, scaling=None, rounded=None):
        """Bind one optimizer step: row clock[0] of the table scalars holds chain.scalars(...), vector and the state vectors
        change in place.

        The first `weights` elements of vector are weights, the rest biases; matrices are the weight matrices, views of
        vector, whose rows chain.max_norm bounds. With scaling, nothing changes where scaling[2] is 0. rounded, a vector in the
        dtype of `storage` where that is another, is given the weights as they are afterwards.
        """

    @abstractmethod
    def update_loss_scale(self, gradient, scaling):
        """Bind gradient := gradient / scaling[0], and the search for a scale that keeps small errors from vanishing.

        scaling holds (scale, steps since it changed, whether the gradient was finite, 1 / the scale that it came with). After a
        gradient that is not finite the scale is halved, after STEADY finite ones doubled, from LEAST_SCALE to LARGEST_SCALE.
        """

    # ---- sums

    @abstractmethod
    def log_cost(self, costs, log, clock):
        """Bind log[clock[0]] := sum of costs, and clock[0] := clock[0] + 1: the last call of a step."""

    @abstractmethod
    def norm(self, array):
        """At once: the root of the sum of the squares of an array, as a Python float."""

    @abstractmethod
    def norms(self, vector, arrays, out):
        """Bind out[0] := 0 where all of the vector is finite, else another number, and out[1 + k] := |arrays[k]|, as norm has it.

        out has the vector's dtype; on the CPU it is of float64.
        """

    # ---- programs

    @abstractmethod
    def record_event(self):
        """Immediately, a mark behind the work that the device has been given so far. mark.finish() makes the host wait for that
        work; later.since(mark) are the seconds between two marks that have been reached."""

    @abstractmethod
    def on_caller_stream(self):
        """A context for functions of the user that are called within `device`: on the caller's stream; see Session.outside."""

    @abstractmethod
    def program(self, calls):
        """One call that makes all these calls in their order, as one captured program where the device has such a thing; with
        times=n it makes them n times."""
