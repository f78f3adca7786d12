"""A training step as a program: all rows together or, for narrow networks on large batches, blocks of rows on several threads."""

from .plan import Plan

MAX_PARAMETERS = 1 << 16      # up to this, each thread has its own gradient, which stays in its core's cache
MIN_MULTIPLY_ADDS = 1 << 26   # of a forward pass, for our own threads to pay: below it, BLAS workers that still spin after a
                              # product compete for the cores


def training_step(update, mini_batches, report, rows):
    """The step of a mini-batch of `rows` rows: gathers it, computes the gradient, updates the parameters and logs the cost."""
    block_rows = _block_rows(update.network, update.ops, rows)
    if block_rows is None:
        return WholeBatchStep(update, mini_batches, report, rows)
    return BlockedStep(update, mini_batches, report, rows, block_rows)


def _block_rows(network, ops, rows):
    """The rows of a block, or None if all rows are processed together."""
    parameters = sum(view.size for _, view in network.parameters.items())
    cpu = ops.row_blocks
    # a dropout mask is drawn for a whole batch
    if cpu is None or network.dropout_rates or parameters > MAX_PARAMETERS or rows * parameters < MIN_MULTIPLY_ADDS:
        return None
    most = max(1, cpu.block_bytes // (2 * sum(network.sizes) * network.dtype.itemsize))
    rounds = -(-rows // (cpu.threads * most))
    return -(-rows // (cpu.threads * rounds))


class _Step:
    """run and last are its programs; last, for an epoch's last step, forms the whole gradient, whose norm the history records."""

    def __init__(self, update, mini_batches, report, rows):
        self.network, self.ops, self.clock, self.scaling = update.network, update.ops, update.clock, update.scaling
        self.mini_batches, self.gradient, self.norms, self.rows = mini_batches, update.gradient, report.norms, rows

    def _plan(self, rows, gradient, **options):
        plan = Plan(self.network, rows, gradient, ops=self.ops, clock=self.clock, **options)
        plan.sample_weights[...] = 1.0 / self.rows
        return plan

    def _gather(self, plan, first=0):
        outs = [plan.x, plan.y] + [plan.sample_weights] * (self.mini_batches.sample_weights is not None)
        return self.mini_batches.gather(self.clock, outs, self.rows, first)

    def replay(self):
        """A new plan that keeps all values, after the forward and backward pass of the mini-batch at the clock."""
        plan = self._plan(self.rows, self.network.parameters.like(), dropout=True, scaling=self.scaling, keep=True)
        self._gather(plan)()
        plan.run()
        return plan


class WholeBatchStep(_Step):
    """All rows together. If optimizer and device allow it, the matrix product of BP4 updates the weights directly."""

    def __init__(self, update, mini_batches, report, rows):
        super().__init__(update, mini_batches, report, rows)
        self.plan = plan = self._plan(rows, self.gradient, dropout=True, scaling=self.scaling, rounded=True)
        gather, log_cost = self._gather(plan), self.ops.log_cost(plan.costs, report.log, self.clock)
        self.last = self.ops.program([gather, *plan.calls, *update.calls(), log_cost])
        self.run = self.last if not update.fuses_update else self.ops.program(
            [gather, *plan.fused_calls(update.fused_update), *update.bias_calls(), log_cost])

    def measuring(self):
        """Calls that write the norms into the report after the last step: |delta_l| times the loss scale."""
        return [self.ops.norms(self.network.vector, [self.gradient.vector, *self.plan.delta[1:]], self.norms)]


class BlockedStep(_Step):
    """Blocks of rows on several threads, each with its own gradient; these are summed in the order of the threads.

    The result depends on the number of threads, but not on which of them finishes first.
    """

    def __init__(self, update, mini_batches, report, rows, block_rows):
        super().__init__(update, mini_batches, report, rows)
        self.costs = self.ops.zeros(rows, self.network.dtype)
        cpu, starts = self.ops.row_blocks, range(0, rows, block_rows)
        self.threads = [_ThreadBlocks(self, block_rows, starts[i::cpu.threads],
                                      self.network.parameters.like() if i else self.gradient)
                        for i in range(min(cpu.threads, len(starts)))]
        sums = [cpu.add(thread.gradient.vector, self.gradient.vector) for thread in self.threads[1:]]
        ends = [*sums, *update.calls(), self.ops.log_cost(self.costs, report.log, self.clock)]
        self.run, self.last = (self.ops.program([cpu.parallel([thread.calls(measured) for thread in self.threads]), *ends])
                               for measured in (False, True))

    def measuring(self):
        norms, threads = self.norms, self.threads

        def delta_norms():
            norms[2:] = [float(sum(thread.squares[l] for thread in threads)) ** 0.5 for l in range(len(norms) - 2)]
        return [self.ops.norms(self.network.vector, [self.gradient.vector], norms[:2]), delta_norms]


class _ThreadBlocks:
    """The blocks of one thread, with its gradient."""

    def __init__(self, step, block_rows, starts, gradient):
        self.ops, self.gradient, network = step.ops, gradient, step.network
        block_gradient = gradient if len(starts) == 1 else network.parameters.like()
        self.squares, self.zeros = (self.ops.zeros(network.depth, network.dtype) for _ in range(2))
        rows = {start: min(block_rows, step.rows - start) for start in starts}
        plans = {count: step._plan(count, block_gradient) for count in set(rows.values())}
        self.blocks = [(step._gather(plans[rows[start]], start), plans[rows[start]],
                        self.ops.cast(plans[rows[start]].costs, step.costs[start:start + rows[start]])) for start in starts]

    def calls(self, measured):
        """The calls of all blocks; with measured, also those that sum the squares of the deltas."""
        calls = [self.ops.cast(self.zeros, self.squares)] if measured else []
        cpu = self.ops.row_blocks
        for place, (gather, plan, keep_costs) in enumerate(self.blocks):
            calls += [gather, *plan.calls, keep_costs]
            if measured:
                calls += [cpu.add_squares(delta, self.squares[l:l + 1]) for l, delta in enumerate(plan.delta[1:])]
            if plan.gradient is not self.gradient:
                move = cpu.add if place else self.ops.cast
                calls.append(move(plan.gradient.vector, self.gradient.vector))
        return calls
