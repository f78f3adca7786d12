"""Asynchronous copies from the host during computation: pinned memory, a separate stream, and events for the order.

Work and copies wait for each other on the device. The host waits only before it overwrites memory that a copy may still read.
"""

from math import prod

import numpy as np

FREE_MEMORY_FRACTION = 0.75   # for a training set; the rest is for the network's buffers


class Streaming:
    """Copies from the host on the device of a session, for training sets that do not fit there."""

    def __init__(self, session):
        self.session, self.xp = session, session.xp

    def free_bytes(self):
        """The bytes that a training set may take: FREE_MEMORY_FRACTION of the memory that is free, or free in CuPy's pool."""
        with self.session:
            pool, (free, _) = self.xp.get_default_memory_pool(), self.xp.cuda.runtime.memGetInfo()
        free += pool.free_bytes()
        if pool.get_limit():
            free = min(free, pool.get_limit() - pool.used_bytes())
        return int(FREE_MEMORY_FRACTION * max(0, free))

    def pinned_empty(self, shape, dtype):
        """A NumPy array in pinned memory; only copies from pinned memory overlap with computation."""
        size = max(1, prod(np.atleast_1d(shape)) * np.dtype(dtype).itemsize)
        with self.session:
            return np.ndarray(shape, dtype, self.xp.cuda.alloc_pinned_memory(size))

    def copy_async(self, staged, out):
        """Start the copy out := staged behind all work already enqueued on the session's stream; return a Transfer. The copies of
        a thread run on one stream, in the order of the calls."""
        if (staged.shape, staged.dtype) != (out.shape, out.dtype) or not (staged.flags.c_contiguous and out.flags.c_contiguous):
            raise ValueError(f"expected C-contiguous arrays of one shape and dtype, got {staged.dtype} of shape {staged.shape} "
                             f"to send into {out.dtype} of shape {out.shape}")
        runtime, event, ours = self.xp.cuda.runtime, self.xp.cuda.Event, self.session.resources
        with self.session:
            ours.transfers -= {transfer for transfer in ours.transfers if transfer.event.done}
            ours.copies.wait_event(ours.stream.record(event(disable_timing=True)))
            runtime.memcpyAsync(out.data.ptr, staged.ctypes.data, staged.nbytes, runtime.memcpyHostToDevice, ours.copies.ptr)
            return Transfer(self.session, ours.copies.record(event(block=True, disable_timing=True)), (staged, out))


class Transfer:
    """A copy that may still be running. It keeps its arrays alive until the copy has completed."""

    def __init__(self, session, event, arrays):
        self.session, self.event, self.arrays, self.under_way = session, event, arrays, session.resources.transfers
        self.under_way.add(self)

    def arrive(self):
        """Make later work of the device wait for the copy."""
        with self.session as session:
            session.stream.wait_event(self.event)

    def finish(self):
        """Make the host wait for the copy; afterwards `staged` may be changed."""
        self.event.synchronize()
        self.under_way.discard(self)
