"""The verbs of a device: an abstract base and nothing else.

A verb is bound once to its arrays and returns a call without arguments (where nothing else is said), which a plan runs as
often as it likes: shapes are checked, kernels found and blocks cut at binding, not at each step. Matrices are C-contiguous,
rows of a batch; all arrays of one verb have one floating dtype unless said otherwise.
"""

from abc import ABC, abstractmethod
from contextlib import AbstractContextManager
from typing import Any


class Ops(ABC):
    """What a device can do; NumpyOps and CudaOps are its two final classes.

    name is "cpu", "cuda:0", ...; xp is the array module, for work outside the hot loop, and device the context in which such
    work belongs.
    """

    name: str
    xp: Any
    device: AbstractContextManager

    # ---- arrays come and go

    @abstractmethod
    def array(self, values, dtype=None):
        """A C-contiguous array on this device with these values; the very same array where it is that already."""

    @abstractmethod
    def host(self, array):
        """The array as a NumPy array."""

    @abstractmethod
    def owns(self, array):
        """Whether the array lies on this device."""

    @abstractmethod
    def zeros(self, shape, dtype):
        """A new array of zeros."""

    @abstractmethod
    def gather(self, source, index, out):
        """At once: out[...] = source[index], rows of an array of any dtype; index is an int64 array of this device."""

    # ---- the equations

    @abstractmethod
    def matmul(self, a, b, out):
        """Bind out := a b; a and b may be transposed views of C-contiguous matrices."""

    @abstractmethod
    def layer(self, activation, z, b, a):
        """Bind z := z + b and a := sigma(z); a may be z itself. Softmax works row by row."""

    @abstractmethod
    def hadamard(self, activation, delta, z, a, sums):
        """Bind BP2's second half and BP3: delta := delta * sigma'(z), and sums[j] := sum of delta's column j.

        delta arrives as dC/da. For softmax delta_j := a_j (delta_j - sum_k delta_k a_k).
        """

    @abstractmethod
    def output(self, cost, activation, z, b, a, y, weights, delta, sums, costs):
        """Bind the last layer's activation, the cost, BP1 and BP3, in one pass over the rows.

        z := z + b, a := sigma(z); costs[i] := weights[i] C_i; delta := weights[i] dC_i/dz, its column sums into sums.
        y has the shape of a, weights and costs are vectors of one number a row. Without delta and sums (None) the cost
        alone is computed.
        """

    @abstractmethod
    def dropout(self, a, out, error, rate, seed, layer, clock):
        """Bind two calls, forward out := a mask / (1 - rate) and backward error := error mask / (1 - rate).

        The mask keeps element i where 32 random bits are below (1 - rate) 2^32; they are the i-th half (low half first) of
        the words of numpy.random.Philox(key=[seed, 0], counter=[0, clock[0], layer, 0]), the same on every device. clock is
        a NumPy array of one int64, the step, read at each call; both calls of a step see the same mask.
        """

    @abstractmethod
    def step(self, chain, vector, gradient, state, weights, matrices):
        """Bind one optimizer step: the call takes chain.scalars(...), changes vector and the state vectors in place.

        The first `weights` elements of vector are weights, the rest biases; matrices are the weight matrices, views of
        vector, whose rows chain.max_norm bounds.
        """

    # ---- sums

    @abstractmethod
    def record(self, costs, log, place):
        """At once, without waiting for the device: log[place] = sum of costs; log is a vector of the costs' dtype."""

    @abstractmethod
    def norm(self, array):
        """At once: the root of the sum of the squares of an array, as a Python float."""
