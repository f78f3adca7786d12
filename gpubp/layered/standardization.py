"""The standardizing first layer of a network: (x - shift) / scale of each input, by the data of the first fit."""

import numpy as np

from ..circuits.wire import TRACED
from ..maths.standardization import shift_and_scale, standardizer
from .input_checks import array_of, in_chunks, matrix, require_finite


class Standardization:
    """shift and scale, float64 vectors (inputs,): the mean and standard deviation of each column, or a constant column and 1.

    Arrays are standardized in float64 where they are, on the host or on the device of ops.
    """

    def __init__(self, shift, scale, ops):
        self.shift, self.scale, self.ops = shift, scale, ops
        shift.flags.writeable = scale.flags.writeable = False   # the two below have them, too
        self._on_host = standardizer(shift, scale)
        self._on_device = standardizer(shift, scale, lambda values: ops.asarray(values, np.float64))

    @classmethod
    def of(cls, network, x):
        """The statistics of all rows of x, computed on the host, so that every device gets the same bits."""
        x = matrix(array_of(network, x, "x"), network.sizes[0], "x")
        if len(x) == 0:   # refused elsewhere
            return None
        chunks = lambda: (np.asarray(network.ops.to_numpy(chunk), np.float64) for chunk in in_chunks(x))
        shift, scale = shift_and_scale(chunks)
        if not np.isfinite(shift + scale).all():
            first = 0
            for chunk in chunks():
                require_finite(network, chunk, "x", first)
                first += len(chunk)
        return cls(shift, scale, network.ops)

    def __repr__(self):
        return f"Standardization(shift={self.shift}, scale={self.scale})"

    def copy(self, ops):
        return Standardization(self.shift, self.scale, ops)

    def __call__(self, x):
        """x, an array or a traced value on the device, standardized in float64."""
        return (self._on_device if type(x) in TRACED or self.ops.is_on_device(x) else self._on_host)(x)
