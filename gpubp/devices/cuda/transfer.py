"""Copies from the host that run while the device computes: pinned memory, a stream of their own, events for the order.

Work and copies wait for each other on the device; the host waits only before it writes again where a copy still reads.
"""

from math import prod

import numpy as np

PART = 0.75   # of the free memory, for a training set; the rest is for the network's own buffers


def room(xp):
    """Bytes that a training set may take on the current device: a part of what is free, or kept by CuPy's pool for reuse."""
    pool, (free, _) = xp.get_default_memory_pool(), xp.cuda.runtime.memGetInfo()
    free += pool.free_bytes()
    if pool.get_limit():
        free = min(free, pool.get_limit() - pool.used_bytes())
    return int(PART * max(0, free))


def staging(xp, shape, dtype):
    """A NumPy array in pinned memory: from there alone does a copy run beside the computation."""
    return np.ndarray(shape, dtype, xp.cuda.alloc_pinned_memory(max(1, prod(np.atleast_1d(shape)) * np.dtype(dtype).itemsize)))


def send(session, staged, out):
    """Begin out := staged after the work that the session's stream was given so far; returns a Transfer.

    The copies of a thread run on one stream, in the order of their sending.
    """
    if (staged.shape, staged.dtype) != (out.shape, out.dtype) or not (staged.flags.c_contiguous and out.flags.c_contiguous):
        raise ValueError(f"expected C-contiguous arrays of one shape and dtype, got {staged.dtype} of shape {staged.shape} "
                         f"to send into {out.dtype} of shape {out.shape}")
    runtime, event, ours = session.xp.cuda.runtime, session.xp.cuda.Event, session.resources
    with session:
        ours.transfers -= {transfer for transfer in ours.transfers if transfer.event.done}
        ours.copies.wait_event(ours.stream.record(event(disable_timing=True)))
        runtime.memcpyAsync(out.data.ptr, staged.ctypes.data, staged.nbytes, runtime.memcpyHostToDevice, ours.copies.ptr)
        return Transfer(session, ours.copies.record(event(block=True, disable_timing=True)), (staged, out))


class Transfer:
    """One copy. It keeps its arrays until somebody has waited for it: their memory must not go to others before."""

    def __init__(self, session, event, arrays):
        self.session, self.event, self.arrays, self.under_way = session, event, arrays, session.resources.transfers
        self.under_way.add(self)

    def arrive(self):
        """The device's later work waits for the copy."""
        with self.session as session:
            session.stream.wait_event(self.event)

    def finish(self):
        """The host waits for the copy, and may then change what was sent."""
        self.event.synchronize()
        self.under_way.discard(self)
