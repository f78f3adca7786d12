"""Parameters: all weights and biases of a network in one vector, with named views of it."""

from itertools import accumulate
from math import prod

import numpy as np

from ..devices.ops import ALIGNMENT_BYTES
from ..maths.validation import shown


def shapes(sizes):
    """{name: shape} of all weights, then all biases, of layers of these sizes, the number of inputs first."""
    return {f"w{l}": (sizes[l], sizes[l - 1]) for l in range(1, len(sizes))} | {f"b{l}": (n,) for l, n in enumerate(sizes) if l}


class Parameters:
    """Named views of one contiguous vector: all weights first, then all biases.

    Views start on 128-byte lines, at the places `starts`; the gaps between them are zero, and every optimizer keeps them zero.
    Write to a view with [...] =; it cannot be replaced, because the optimizer trains the vector.
    """

    def __init__(self, shapes, ops, dtype, rounded_from=None):
        self.shapes, self.ops, self.dtype = dict(shapes), ops, np.dtype(dtype)
        line = ALIGNMENT_BYTES // np.dtype(rounded_from or dtype).itemsize
        *self.starts, size = accumulate((-(-prod(shape) // line) * line for shape in shapes.values()), initial=0)
        self.vector = ops.zeros(size, dtype)
        self._views = self.views(self.vector)
        biases = [start for shape, start in zip(shapes.values(), self.starts) if len(shape) == 1]
        self.weight_count = biases[0] if biases else size   # number of leading elements that hold weights
        self._rounded: dict[np.dtype, Parameters] = {}

    def like(self, ops=None):
        """Zeros with the same names and shapes, on the device of ops or on this one."""
        return Parameters(self.shapes, ops or self.ops, self.dtype)

    def views(self, vector):
        """{name: view} of a vector in this layout; the vector may be a traced value."""
        return {name: vector[start:start + prod(shape)].reshape(shape)
                for (name, shape), start in zip(self.shapes.items(), self.starts)}

    def rounded(self, dtype):
        """A copy in another dtype with the same layout; one is cached per dtype and filled by ops.cast."""
        if dtype == self.dtype:
            return self
        if dtype not in self._rounded:
            twin = Parameters(self.shapes, self.ops, dtype, rounded_from=self.dtype)
            self.ops.wait_for(self.ops.record_event())   # another thread may write to it next, on its own stream
            self._rounded.setdefault(dtype, twin)
        return self._rounded[dtype]

    def rounding(self, dtype):
        """The calls that cast the weights into the rounded copy."""
        twin = self.rounded(dtype)
        return [] if twin is self else [self.ops.cast(self.vector[:self.weight_count], twin.vector[:self.weight_count])]

    def first_nonfinite(self, vector=None):
        """The name of the first parameter with a nonfinite element, in another vector of this layout if given, or None."""
        vector = self.vector if vector is None else vector
        if self.ops.all_finite(vector):
            return None
        return next((name for name, view in self.views(vector).items() if not self.ops.all_finite(view)),
                    "net.vector, between the parameters")

    def require_finite(self, vector=None):
        if name := self.first_nonfinite(vector):
            raise ValueError(f"expected finite parameters, got NaN or infinity in {name}: load or build the network anew, or "
                             "give it other values")

    def copy(self, ops):
        copied = self.like(ops)
        for name, view in self.items():   # zeros stay between the views
            copied.write(name, self.ops.to_numpy(view))
        return copied

    def __getitem__(self, name):
        return self._views[name]

    def __setitem__(self, name, values):
        if values is not self._views.get(name):   # as after net.parameters["w1"] *= 2
            raise TypeError(f"expected values for the view {shown(name)}, got an assignment to its name: write "
                            f"net.parameters[{shown(name)}][...] = values")

    def write(self, name, values):
        with self.ops.device:
            self._views[name][...] = self.ops.asarray(values, self.dtype)

    def __iter__(self):
        return iter(self._views)

    def items(self):
        return self._views.items()

    def matrices(self):
        return [view for view in self._views.values() if view.ndim == 2]
