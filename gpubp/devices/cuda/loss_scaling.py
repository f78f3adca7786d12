"""LossScaling: deltas are multiplied by a scale that follows the gradients, so that float16 does not round small ones to 0."""

from copy import copy

from ..ops import GROWTH_INTERVAL, MAX_SCALE, MIN_SCALE
from .launch import on_vector, reduction_grid


class LossScaling:
    """The loss scale of a CudaOps at precision float16. Its state is an array of the device: (scale, steps since the last change,
    1 if the gradient was finite else 0, 1 / the scale of this gradient). A gradient that is not finite halves the scale;
    GROWTH_INTERVAL finite ones in a row double it."""

    def __init__(self, ops):
        self.ops = ops

    def scaled(self, state):
        """The device's Ops whose `cost_and_delta` multiplies delta and db by state[0], and whose `step` is skipped if state[2]
        is 0."""
        sibling = copy(self.ops)
        sibling.loss_scale = state
        return sibling

    def update(self, gradient, state):
        """Bind gradient := gradient / state[0] and the update of the state."""
        ops, n = self.ops, gradient.size
        dtype = ops._check(gradient.shape, gradient=gradient)
        ops._check((4,), dtype, state=state)
        partials = ops.zeros(reduction_grid(n, ops.processors), dtype)
        return ops._bound(
            on_vector(ops._file_kernel("scale.cu", "unscale", dtype), n, partials.shape, dtype, gradient, state, partials),
            on_vector(ops._file_kernel("scale.cu", "rescale", dtype), partials.size, (1,), dtype, partials, state,
                      float(GROWTH_INTERVAL), MAX_SCALE, MIN_SCALE))
