"""A cache of the workspace of a fit, so that loops of fit(epochs=1) do not plan, bind and capture again."""

from contextlib import suppress
from functools import partial
from typing import Any
from weakref import ref

MOST = 1 << 26       # largest training set in bytes that is copied on a GPU,
LITTLE = 1 << 20     # and on the CPU, where planning is faster than copying more;
BUFFERS = 1 << 28    # largest plan in bytes, approximately


class WorkspaceCache:
    """Weak references to the arrays of a fit, and its workspace, which is dropped when one of the arrays is freed.

    The first fit only records its arrays. A second fit on the same arrays makes a workspace with copies of them and keeps it;
    later fits refresh the copies, because the arrays may have changed. Callbacks may change the arrays during a fit, which
    copies would not show: with callbacks nothing is kept.
    """

    def __init__(self, fit, given):
        network = fit.network
        self.workspace: Any = None
        self.key = (fit.n, fit.count, fit.size, fit.chain, fit.weights is None, network.precision, network.seed,
                    network.ops.threads)
        self.parameters = ref(network.parameters)
        self.refs: list[ref[Any] | None] | None = None
        with suppress(TypeError):   # of a list, for instance
            self.refs = [array if array is None else ref(array, partial(_drop, ref(self))) for array in given]
        before = network.workspace_cache
        self.again = before is not None and before._fits(self, given) and self._is_small(fit)
        self.again = self.again and not fit.callbacks   # callbacks may change the arrays during a fit
        if (self.again and before.workspace is not None
                and _same(before.workspace.training_state.vectors, fit.training_state.vectors)):
            self.workspace = before.workspace

    def keep(self, workspace):
        """Keep the workspace of a finished fit if another fit on the same arrays may follow."""
        alive = self.refs is not None and all(one is None or one() is not None for one in self.refs)
        self.workspace = workspace if self.again and alive else None

    def _fits(self, other, given):
        """Whether the other has the same arrays, sizes, optimizer and parameters."""
        return (self.key == other.key and self.refs is not None and other.refs is not None
                and self.parameters() is other.parameters() and _same([one and one() for one in self.refs], given))

    def _is_small(self, fit):
        ops, network = fit.network.ops, fit.network
        width = network.dtype.itemsize * (network.sizes[0] + network.sizes[-1])
        most = LITTLE if ops.array_checks is None else MOST
        return (ops.is_on_device(fit.x) and ops.is_on_device(fit.y) and fit.n * width <= most
                and 3 * network.dtype.itemsize * fit.size * sum(network.sizes) <= BUFFERS)


def _drop(kept, dead):
    if kept() is not None:
        kept().workspace = None


def _same(some, others):
    return len(some) == len(others) and all(one is other for one, other in zip(some, others))
