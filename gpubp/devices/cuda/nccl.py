"""NCCL, through CuPy: sums over processes that have a GPU each, as calls on the device's stream, which a CUDA graph captures."""

import warnings
from contextlib import suppress
from functools import cache


@cache
def load():
    """CuPy's module for NCCL, or None where its library is missing: pip install nvidia-nccl-cu13 or -cu12."""
    with warnings.catch_warnings(), suppress(ImportError):
        warnings.simplefilter("ignore", UserWarning)   # CuPy's, of the missing library
        from cupy.cuda import nccl

        return nccl if nccl.available else None


class Nccl:
    """A communicator of NCCL, of `size` processes; number: what `new_id` has returned in one of them."""

    def __init__(self, ops, number, size, rank):
        self.ops, self.nccl = ops, load()
        with ops.device:
            self.communicator = self.nccl.NcclCommunicator(size, number, rank)

    @staticmethod
    def new_id():
        return load().get_unique_id()

    def end(self):
        """Leave, also while calls on the stream wait for others."""
        self.communicator.abort()

    def summing(self, arrays, exchanges):
        """Bind the sum of vectors over the processes: by the exchanges of a Part, or if these are None, as NCCL does."""
        nccl, group, ops = self.nccl, self.communicator, self.ops
        kinds = {"float32": nccl.NCCL_FLOAT32, "float64": nccl.NCCL_FLOAT64}
        pairs = [(array, ops.zeros(array.shape, array.dtype), kinds[array.dtype.name]) for array in arrays]

        def call():
            with ops.device:
                stream = ops.device.stream.ptr
                for array, _, kind in pairs if exchanges is None else ():
                    group.allReduce(array.data.ptr, array.data.ptr, array.size, kind, nccl.NCCL_SUM, stream)
                for exchange in exchanges or ():
                    nccl.groupStart()
                    for array, received, kind in pairs:
                        for target in exchange.targets:
                            group.send(array.data.ptr, array.size, kind, target, stream)
                        if exchange.source is not None:
                            group.recv(received.data.ptr, array.size, kind, exchange.source, stream)
                    nccl.groupEnd()
                    for array, received, _ in pairs if exchange.source is not None else ():
                        (ops.add if exchange.adds else ops.cast)(received, array)()
        return call
