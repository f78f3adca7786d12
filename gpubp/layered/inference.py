"""Inference: outputs, cost and gradient for any number of rows, in chunks, by cached plans without dropout."""

from functools import reduce
from math import nan
from weakref import proxy

from .deferred_validation import DeferredArray
from .plan import Plan

CHUNK_ROWS = 4096   # rows of one pass
MAX_PLANS = 8       # most recently used plans
SMALL, MANY_ROWS = 1 << 15, 512   # all parameters are checked if there are at most SMALL, or at least MANY_ROWS rows


def chunks(count):
    return [slice(start, min(start + CHUNK_ROWS, count)) for start in range(0, count, CHUNK_ROWS)]


class Inference:
    """The plans of a network. A kind is "outputs" (at the network's precision), "cost" or "gradient" (both exact)."""

    def __init__(self, network):
        self.network = proxy(network)   # no cycle: plans are freed together with the network
        self.plans: dict[Plan, tuple] = {}   # the idle ones and their keys, by last use

    def _taken(self, key):
        """A plan, the caller's until it is idle again. Threads need no lock: each operation on the dict is atomic."""
        for plan in reversed(list(self.plans)):
            if self.plans.get(plan) == key and self.plans.pop(plan, None):
                return plan
        for plan in list(self.plans)[:1 - MAX_PLANS]:
            self.plans.pop(plan, None)
        rows, kind, _ = key
        gradient = self.network.parameters.like() if kind == "gradient" else None
        ops = self.network.ops.with_precision(self.network.precision if kind == "outputs" else "exact")
        return Plan(self.network, rows, gradient, targets=kind != "outputs", ops=ops)

    def run(self, kind, x, y=None, sample_weights=None):
        """Run plans over checked arrays, chunk by chunk; yields (slice of rows, plan), which is the caller's until the next."""
        count, lane = x.shape[0], self.network.ops.lane
        for rows in chunks(count):
            key = rows.stop - rows.start, kind, lane
            plan = self._taken(key)
            try:
                plan.fill(x[rows], *(() if y is None else (
                    y[rows], 1.0 / count if sample_weights is None else sample_weights[rows] / count)))
                plan.run()
                yield rows, plan
            finally:
                self.plans[plan] = key

    def cost(self, x, y, sample_weights=None):
        """The cost, a float64 scalar on the device."""
        first, *others = (self._nan_where_invalid(plan, plan.costs.sum(dtype="float64"), x, y, sample_weights)
                          for _, plan in self.run("cost", x, y, sample_weights))
        total = sum(others, first)
        self._check_parameters(x.shape[0], total)
        return total

    def cost_and_gradient(self, x, y, sample_weights):
        """The cost as above, and its gradient, a new vector."""
        cost = total = None
        for _, plan in self.run("gradient", x, y, sample_weights):
            more, gradient = (self._nan_where_invalid(plan, answer, x, y, sample_weights)
                              for answer in (plan.costs.sum(dtype="float64"), plan.gradient.vector))
            cost, total = (more, gradient.copy()) if total is None else (cost + more, total + gradient)
        self._check_parameters(x.shape[0], cost)
        return cost, total

    def outputs(self, x):
        network = self.network
        out = network.ops.xp.empty((x.shape[0], network.sizes[-1]), network.dtype)
        for rows, plan in self.run("outputs", x):
            out[rows] = self._nan_where_invalid(plan, plan.a[-1], x, axis=1)
        self._check_parameters(x.shape[0], out)
        return out

    def _check_parameters(self, rows, answer):
        """Refuse parameters of NaN or infinity, on the CPU."""
        ops, parameters = self.network.ops, self.network.parameters
        # the check of a large network takes as long as several rows, so a call of a few rows looks only at their answer
        seen = parameters.vector if parameters.vector.size <= SMALL or rows >= MANY_ROWS else answer
        if ops.synchronous and not ops.all_finite(seen):
            parameters.require_finite()

    def _nan_where_invalid(self, plan, answer, *given, axis=None):
        """The answer, with NaN where a DeferredArray was invalid: a `where` in a formula may have hidden it."""
        buffers = plan.x, *([plan.y, plan.sample_weights] if given[1:] else ())
        deferred = [buffer for array, buffer in zip(given, buffers) if isinstance(array, DeferredArray)]
        if not deferred:
            return answer
        xp = self.network.ops.xp
        invalid = [xp.isnan(plan.wide(buffer)).any(axis=axis, keepdims=axis is not None) for buffer in deferred]
        return xp.where(reduce(xp.logical_or, invalid), answer.dtype.type(nan), answer)
