"""Deferred validation: the host does not wait to check an array on a GPU; a kernel replaces invalid numbers by NaN instead."""


def would_wait(network, array):
    return not network.ops.synchronous and network.ops.is_on_device(array)


class DeferredArray:
    """A device array that is checked when it enters a plan: checked_copy(array, out) writes NaN for invalid elements."""

    def __init__(self, array, checked_copy, divisor=1):
        self.array, self.checked_copy, self.divisor, self.shape = array, checked_copy, divisor, array.shape

    def __getitem__(self, rows):
        return DeferredArray(self.array[rows], self.checked_copy, self.divisor)

    def __truediv__(self, divisor):
        return DeferredArray(self.array, self.checked_copy, divisor)

    def enter(self, out):
        self.checked_copy(self.array, out)
        if self.divisor != 1:
            out /= self.divisor

    def copied(self, ops, shape, dtype):
        out = ops.zeros(shape, dtype)
        self.enter(out)
        return out
