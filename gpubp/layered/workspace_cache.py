"""A cache of the workspace of a fit, so that loops of fit(epochs=1) do not plan, bind and capture again."""

from contextlib import suppress
from functools import partial
from typing import Any
from weakref import ref

MAX_PLAN_BYTES = 1 << 28   # the largest plan that is kept, approximately


class WorkspaceCache:
    """Weak references to the arrays of a fit, and its workspace, which is dropped when one of the arrays is freed.

    The first fit only records its arrays. A second fit on the same arrays makes a workspace with copies of them and keeps it;
    later fits refresh the copies, because the arrays may have changed.
    """

    def __init__(self, network, arguments, given):
        self.workspace: Any = None
        self.key = given and (arguments.n, arguments.samples_per_epoch, arguments.batch_size, arguments.sample_weights is None,
                              arguments.training_state.chain, network.parameters, network.precision, network.seed)
        self.refs: list[ref[Any]] | None = None
        with suppress(TypeError):   # of a list, for instance
            self.refs = [ref(array, partial(_drop, ref(self))) for array in given if array is not None]
        before = network.workspace_cache
        self.again = (not arguments.callbacks   # they may change the arrays during a fit
                      and before is not None and before._fits(self) and _is_small(network, arguments))
        if (self.again and before.workspace is not None
                and _same(before.workspace.training_state.vectors, arguments.training_state.vectors)):
            self.workspace = before.workspace

    def keep(self, workspace):
        """Keep the workspace if another fit on the same arrays may follow."""
        alive = self.refs is not None and all(array() is not None for array in self.refs)
        self.workspace = None
        if self.again and alive:
            self.workspace = workspace
            workspace.evaluations.clear()   # they hold arrays of the caller

    def _fits(self, other):
        return (self.key == other.key and self.refs is not None and other.refs is not None
                and _same([array() for array in self.refs], [array() for array in other.refs]))


def _is_small(network, arguments):
    ops, width = network.ops, network.dtype.itemsize * (network.sizes[0] + network.sizes[-1])
    return (ops.is_on_device(arguments.x) and ops.is_on_device(arguments.y) and arguments.n * width <= ops.max_copied_bytes
            and 3 * network.dtype.itemsize * arguments.batch_size * sum(network.sizes) <= MAX_PLAN_BYTES)


def _drop(cache, dead):
    if cache() is not None:
        cache().workspace = None


def _same(some, others):
    return len(some) == len(others) and all(one is other for one, other in zip(some, others))
