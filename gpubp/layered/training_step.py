"""A training step as a program: all rows together or, for narrow networks on large batches, shards of rows on several threads."""

import numpy as np

from .plan import Plan

MAX_PARAMETERS = 1 << 16      # up to this, each thread has its own gradient, which stays in its core's cache
MIN_MULTIPLY_ADDS = 1 << 26   # of a forward pass, for shards to pay: below it, BLAS workers that still spin after a product
                              # compete with NumPy's threads for the cores
MAX_SHARDS, EQUAL = 32, 4     # of a mini-batch: a multiple of EQUAL, so that 2 or 4 threads have equal work


def training_step(update, mini_batches, report, rows):
    """The step of a mini-batch of `rows` rows: gathers it, computes the gradient, updates the parameters and logs the cost."""
    shards = _shards(update.network, update.ops, rows)
    if shards is None:
        return WholeBatchStep(update, mini_batches, report, rows)
    return BlockedStep(update, mini_batches, report, rows, shards)


def _shards(network, ops, rows):
    """The first rows of the blocks of each shard, by sizes only, or None if all rows are processed together."""
    parameters, cpu = sum(view.size for _, view in network.parameters.items()), ops.row_blocks
    # a dropout mask is drawn for a whole batch
    if cpu is None or network.dropout_rates or parameters > MAX_PARAMETERS or rows * parameters < MIN_MULTIPLY_ADDS:
        return None
    most = max(1, cpu.block_bytes // (2 * sum(network.sizes) * network.dtype.itemsize))
    together = -(-rows // (most * MAX_SHARDS))   # blocks of a shard
    shards = EQUAL * -(-rows // (most * together * EQUAL))
    starts = range(0, rows, -(-rows // (shards * together)))
    return [starts[first:first + together] for first in range(0, len(starts), together)]


class Step:
    """run and last are its programs; last, for an epoch's last step, forms the whole gradient, whose norm the history records."""

    def __init__(self, update, mini_batches, report, rows):
        self.update, self.ops, self.clock, self.scaling = update, update.ops, update.clock, update.scaling
        self.mini_batches, self.gradient, self.norms, self.rows = mini_batches, update.gradient, report.norms, rows
        self.total, self.offset = rows, 0   # of all ranks, and the place of the first row among them

    @property
    def network(self):
        """The network that is trained."""
        return self.update.network

    def _plan(self, rows, gradient, **options):
        plan = Plan(self.network, rows, gradient, ops=self.ops, clock=self.clock, **options)
        plan.sample_weights[...] = 1.0 / self.total
        return plan

    def _gather(self, plan, first=0):
        outs = [plan.x, plan.y] + [plan.sample_weights] * (self.mini_batches.sample_weights is not None)
        return self.mini_batches.gather(self.clock, outs, self.total, first)

    def replay(self):
        """A new plan that keeps all values, after the forward and backward pass of the mini-batch at the clock."""
        plan = self._plan(self.rows, self.network.parameters.like(), dropout=True, first=self.offset, scaling=self.scaling,
                          keep=True)
        self._gather(plan)()
        plan.run()
        return plan


class WholeBatchStep(Step):
    """All rows together. If optimizer and device allow it, the matrix product of BP4 updates the weights directly."""

    def __init__(self, update, mini_batches, report, rows):
        super().__init__(update, mini_batches, report, rows)
        self.plan = plan = self._plan(rows, self.gradient, dropout=True, scaling=self.scaling, rounded=True)
        gather, log_cost = self._gather(plan), self.ops.log_cost(plan.costs, report.log, self.clock)
        self.last = self.ops.program([gather, *plan.calls, *update.calls(), log_cost])
        self.run = self.last if not update.fuses_update else self.ops.program(
            [gather, *plan.fused_calls(update.fused_update), *update.bias_calls(), log_cost])

    def measuring(self):
        """A program that writes the norms into the report after the last step: |delta_l| times the loss scale."""
        return self.ops.program([self.ops.norms(self.network.vector, [self.gradient.vector, *self.plan.delta[1:]], self.norms)])


class BlockedStep(Step):
    """Shards of the rows on several threads, each with its own gradient; these are summed in the order of the shards.

    A shard is a few blocks of rows that fit a core's cache. The result does not depend on the number of threads.
    """

    def __init__(self, update, mini_batches, report, rows, shards):
        super().__init__(update, mini_batches, report, rows)
        network, cpu = self.network, self.ops.row_blocks
        self.costs, self.squares = (self.ops.zeros(shape, network.dtype) for shape in (rows, (len(shards), network.depth)))
        gradients = [self.gradient, *(network.parameters.like() for _ in shards[1:])]
        self.threads = [_Thread(self, list(zip(shards, gradients, self.squares))[i::cpu.threads])
                        for i in range(min(cpu.threads, len(shards)))]
        sums = [cpu.add(gradient.vector, self.gradient.vector) for gradient in gradients[1:]]
        ends = [*sums, *update.calls(), self.ops.log_cost(self.costs, report.log, self.clock)]
        self.run, self.last = (self.ops.program([cpu.parallel([thread.calls(measured) for thread in self.threads]), *ends])
                               for measured in (False, True))

    def measuring(self):
        norms, squares = self.norms, self.squares

        def delta_norms():
            norms[2:] = np.sqrt(squares.sum(axis=0, dtype=norms.dtype))
        return self.ops.program([self.ops.norms(self.network.vector, [self.gradient.vector], norms[:2]), delta_norms])


class _Thread:
    """The shards of a thread, with the buffers of one block."""

    def __init__(self, step, shards):
        self.ops, self.shards, network = step.ops, shards, step.network
        self.gradient, self.zeros = network.parameters.like(), self.ops.zeros(network.depth, network.dtype)
        rows = {start: min(shards[0][0].step, step.rows - start) for starts, _, _ in shards for start in starts}
        plans = {count: step._plan(count, self.gradient) for count in set(rows.values())}
        self.blocks = {start: (step._gather(plans[count], start), plans[count],
                               self.ops.cast(plans[count].costs, step.costs[start:start + count]))
                       for start, count in rows.items()}

    def calls(self, measured):
        """The calls of all blocks; with measured, also those that sum the squares of the deltas."""
        calls, cpu = [], self.ops.row_blocks
        for starts, gradient, squares in self.shards:
            calls += [self.ops.cast(self.zeros, squares)] if measured else []
            for start in starts:
                gather, plan, keep_costs = self.blocks[start]
                calls += [gather, *plan.calls, keep_costs]
                if measured:
                    calls += [cpu.add_squares(delta, squares[l:l + 1]) for l, delta in enumerate(plan.delta[1:])]
                move = self.ops.cast if start == starts[0] else cpu.add
                calls.append(move(self.gradient.vector, gradient.vector))
        return calls
