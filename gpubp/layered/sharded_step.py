"""A training step of one of several ranks: it computes its shards of the mini-batch, and all ranks sum their gradients."""

from itertools import chain
from types import SimpleNamespace

import numpy as np

from .training_step import Step


class ShardedStep(Step):
    """Each shard is computed by one thread. Gradients are summed in a tree, within the rank and then over the ranks.

    The shards and the tree depend on the number of rows only (see gpubp/parallel/shards.py), so neither threads nor ranks change
    the bits; an exception is reduction "fast".
    """

    def __init__(self, update, mini_batches, report, rows, ranks):
        super().__init__(update, mini_batches, report, rows)
        ops, cpu = self.ops, self.ops.row_blocks
        self.ranks, self.part = ranks, ranks.part(rows, cpu.threads if cpu else 1)
        self.total, self.offset = self.part.total, self.part.offset
        self.costs = ops.zeros(self.part.places, self.network.dtype)
        shards, self.ends = len(self.part.rows), []   # the calls after those of the threads
        self.shard_norms = ops.zeros((shards, 1 + self.network.depth), report.norms.dtype)
        # calls: pairs of a call and whether it only measures; free: gradients that no later call needs
        self.threads = [SimpleNamespace(calls=[], free=[], plans={}) for _ in range(min(cpu.threads if cpu else 1, shards))]
        if shards:
            self.threads[0].free.append(self.gradient)   # the first shard's, which becomes the sum
            self._sum(0, shards)
        else:   # more ranks than shards
            self.ends.append(ops.cast(self.network.parameters.like().vector, self.gradient.vector))
        sums = [] if ranks.size == 1 else [ranks.summing(ops, [self.gradient.vector, self.costs], self.part.exchanges)]
        after = self._serially([*update.calls(), ops.log_cost(self.costs, report.log, self.clock)])
        clear = ops.cast(ops.zeros(self.costs.shape, self.costs.dtype), self.costs)
        before = [[clear, *self._calls(measured), *self.ends] for measured in (False, True)]
        self.run, self.last = (ops.program([*calls, *sums, *after]) if ranks.nccl else
                               ops.program_with_host_calls(calls, sums, after) for calls in before)

    def _serially(self, calls):
        """The calls with one thread of the BLAS, so that their sums do not depend on the number of threads."""
        return [self.ops.row_blocks.parallel([calls])] if self.ops.row_blocks else calls

    def _calls(self, measured):
        """The calls of the threads, which run in parallel on the CPU."""
        chosen = [[call for call, measures in thread.calls if measured or not measures] for thread in self.threads]
        return [self.ops.row_blocks.parallel(chosen)] if self.ops.row_blocks and chosen else [*chain(*chosen)]

    def _thread(self, shard):
        return self.threads[shard * len(self.threads) // len(self.part.rows)]

    def _sum(self, first, end):
        """Bind the sum of the gradients of consecutive shards; returns the Parameters that will hold it."""
        if end - first == 1:
            return self._shard(first)
        middle, thread = (first + end) // 2, self._thread(first)
        total, other = self._sum(first, middle), self._sum(middle, end)
        add = self.ops.add(other.vector, total.vector)
        if self._thread(end - 1) is thread:
            thread.calls.append((add, False))
            thread.free.append(other)
        else:
            self.ends.append(add)
        return total

    def _shard(self, number):
        """Bind the gradient of a shard; returns the Parameters that will hold it."""
        (first, end), thread, network, ops = self.part.rows[number], self._thread(number), self.network, self.ops
        gradient = thread.free.pop() if thread.free else network.parameters.like()
        place = self.offset + first
        key = end - first, id(gradient), place * bool(network.dropout_rates)   # whose masks are bound to their rows
        if key not in thread.plans:
            thread.plans[key] = self._plan(end - first, gradient, dropout=True, first=place, scaling=self.scaling, rounded=True)
        plan = thread.plans[key]
        calls = [self._gather(plan, first), *plan.calls, ops.cast(plan.costs, self.costs[place:place + plan.costs.size])]
        thread.calls += [*((call, False) for call in calls),
                         (ops.norms(network.vector, plan.delta[1:], self.shard_norms[number]), True)]
        return gradient

    def measuring(self):
        """As Step.measuring; the squares of the deltas are summed over all shards in their order."""
        ops, depth = self.ops, self.network.depth

        def delta_norms():
            squares, own = np.zeros((self.part.shards, depth)), ops.to_numpy(self.shard_norms)[:, 1:]
            for number, norms in zip(self.part.numbers, own):
                squares[number] += np.square(norms, dtype=np.float64)
            self.norms[2:] = ops.asarray(np.sqrt(self.ranks.sum(squares).sum(axis=0)), self.norms.dtype)
        gradient_norm = self._serially([ops.norms(self.network.vector, [self.gradient.vector], self.norms[:2])])
        return ops.program_with_host_calls(gradient_norm, [delta_norms])
