"""Arrays that lie on a GPU already: the host does not wait to look at them, and what it would refuse becomes NaN."""

import numpy as np

from ..devices.cuda.array_checks import HIGH_OPEN, rule
from ..devices.ops import HALVES
from ..maths.registry import Interval


class DeferredArray:
    """An array of the device that is checked where it enters a plan: enter(out) copies it there, with NaN for what is refused.

    Rows are taken as of an array; those of weights may be divided by a number.
    """

    def __init__(self, array, admit, divisor=1):
        self.array, self.admit, self.divisor, self.shape = array, admit, divisor, array.shape

    def __getitem__(self, rows):
        return DeferredArray(self.array[rows], self.admit, self.divisor)

    def __truediv__(self, divisor):
        return DeferredArray(self.array, self.admit, divisor)

    def enter(self, out):
        """out := the array, where it is as it must be, else NaN."""
        self.admit(self.array, out)
        if self.divisor != 1:
            out /= self.divisor

    def copied(self, ops, dtype):
        """The same in a new array."""
        out = ops.zeros(self.shape, dtype)
        self.enter(out)
        return out


def may_pass(network, array):
    """Whether looking at an array would make the host wait."""
    return network.ops.array_checks is not None and network.ops.is_on_device(array)


def samples(network, x):
    """x, a matrix of the device, as DeferredArray: refuses numbers that are not finite or exceed the precision."""
    ops = network.ops.with_precision(network.precision)
    bounds = (-HALVES[ops.precision][2], HALVES[ops.precision][2], 0) if ops.precision in HALVES else ()
    return DeferredArray(ops.asarray(x, network.dtype), lambda block, out: ops.array_checks.numbers(block, out, *bounds))


def labels(network, y, codes):
    """y, labels on the device, as DeferredArray rows of codes, (off, on); labels of no output are refused."""
    return DeferredArray(network.ops.asarray(y, np.int64), lambda block, out: network.ops.array_checks.codes(block, out, *codes))


def targets(network, y, sum_is_one, factor, share):
    """y, targets on the device, as DeferredArray: what the cost does not take is refused; the others become y factor + share."""
    cost, ops, domain = network.cost_function, network.ops, Interval(network.cost_function.targets)
    low, high = domain.low, domain.high
    only = network.sizes[-1] == 1 and cost.classifies and y.dtype.kind in "iub"   # 0 would teach a hinge nothing
    if only:
        low, high = cost.codes
    bits = rule(domain, only, sum_is_one)
    return DeferredArray(ops.asarray(y, network.dtype).reshape(len(y), network.sizes[-1]),
                     lambda block, out: ops.array_checks.targets(block, out, low, high, bits, factor, share))


def weights(network, given):
    """Weights of samples on the device, as DeferredArray: negative ones and those that are not finite are refused."""
    return DeferredArray(network.ops.asarray(given, network.dtype),
                     lambda block, out: network.ops.array_checks.numbers(block, out, low=0.0, bits=HIGH_OPEN))
