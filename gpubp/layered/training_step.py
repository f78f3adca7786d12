"""A training step as a program: all rows together, or, for narrow networks on large batches, blocks of rows on several threads.

Both keep the gradient and the norms of the deltas for the history entry of the epoch.
"""

from .plan import Plan

MAX_PARAMETERS = 1 << 16      # up to this, each thread has its own gradient, which stays in its core's cache
MIN_MULTIPLY_ADDS = 1 << 26   # of a forward pass, for our own threads to pay: below it, BLAS workers that still spin after a
                              # product compete for the cores


def step_of(workspace, rows):
    """The step of a mini-batch of `rows` rows."""
    size = _rows_of_a_block(workspace, rows)
    return WholeBatchStep(workspace, rows) if size is None else BlockedStep(workspace, rows, size)


def _rows_of_a_block(workspace, rows):
    """Rows of a block, or None if all rows are processed together."""
    ops, network = workspace.ops, workspace.network
    parameters = sum(view.size for _, view in network.parameters.items())
    # a dropout mask is drawn for a whole batch
    if not ops.threads or network.dropout_rates or parameters > MAX_PARAMETERS or rows * parameters < MIN_MULTIPLY_ADDS:
        return None
    most = max(1, ops.block // (2 * sum(network.sizes) * network.dtype.itemsize))
    rounds = -(-rows // (ops.threads * most))
    return -(-rows // (ops.threads * rounds))


class WholeBatchStep:
    """All rows together. If optimizer and device allow it, the matrix product of BP4 updates the weights directly.

    The last step of an epoch forms the gradient all the same, since the history records its norm.
    """

    def __init__(self, workspace, rows):
        self.plan = plan = Plan(workspace.network, rows, workspace.gradient, dropout=True, ops=workspace.ops,
                                clock=workspace.clock, scaling=workspace.scaling, rounded=True)
        plan.weights[...] = 1.0 / rows
        gather = workspace.mini_batches.gather(workspace.clock, workspace.gathered(plan), rows)
        record = workspace.ops.log_cost(plan.costs, workspace.log, workspace.clock)
        self.last = workspace.ops.program([gather, *plan.calls, *workspace.update(), record])
        self.run = self.last if workspace.folds is None else workspace.ops.program(
            [gather, *plan.folded(workspace.fold), workspace.update_of_biases(), *workspace.rounding, record])

    def measuring(self, workspace):
        """Calls that write the norms into the report after the last step: |delta_l| times the loss scale."""
        return [workspace.ops.norms(workspace.network.vector, [workspace.gradient.vector, *self.plan.delta[1:]],
                                    workspace.report.lengths)]

    def replay(self, workspace):
        """A plan that keeps all values, after the forward and backward pass of the mini-batch at the clock."""
        return _replay(workspace, self.plan.rows)


class BlockedStep:
    """Blocks of rows on several threads, each with its own gradient; these are summed in the order of the threads.

    The result depends on the number of threads, but not on which of them finishes first.
    """

    def __init__(self, workspace, rows, size):
        self.rows, ops = rows, workspace.ops
        starts = range(0, rows, size)
        self.costs = ops.zeros(rows, workspace.network.dtype)
        parts = [_ThreadBlocks(workspace, rows, size, starts[place::ops.threads], self.costs,
                               workspace.gradient if place == 0 else None)
                 for place in range(min(ops.threads, len(starts)))]
        self.parts = parts
        sums = [ops.add(part.gradient.vector, workspace.gradient.vector) for part in parts[1:]]
        ends = [*sums, *workspace.update(), ops.log_cost(self.costs, workspace.log, workspace.clock)]
        self.run, self.last = (ops.program([ops.parallel([part.calls(measured) for part in parts]), *ends])
                               for measured in (False, True))

    def measuring(self, workspace):
        """Calls that write the norms into the report after the last step."""
        lengths, parts = workspace.report.lengths, self.parts

        def delta_norms():
            lengths[2:] = [float(sum(part.squares[l] for part in parts)) ** 0.5 for l in range(len(lengths) - 2)]
        return [workspace.ops.norms(workspace.network.vector, [workspace.gradient.vector], lengths[:2]), delta_norms]

    def replay(self, workspace):
        """A plan of all rows that keeps all values, as WholeBatchStep.replay gives it."""
        return _replay(workspace, self.rows)


def _replay(workspace, rows):
    """Make such a plan and run it: done only after training has diverged."""
    plan = Plan(workspace.network, rows, workspace.network.parameters.like(), dropout=True, ops=workspace.ops,
                clock=workspace.clock, scaling=workspace.scaling, keep=True)
    plan.weights[...] = 1.0 / rows
    workspace.mini_batches.gather(workspace.clock, workspace.gathered(plan), rows)()
    plan.run()
    return plan


class _ThreadBlocks:
    """The blocks of one thread, their plans and their gradient."""

    def __init__(self, workspace, rows, size, starts, costs, gradient):
        self.ops, network = workspace.ops, workspace.network
        self.gradient = gradient or network.parameters.like()
        block_gradient = self.gradient if len(starts) == 1 else network.parameters.like()
        self.squares = self.ops.zeros(network.depth, network.dtype)
        self.zeros = self.ops.zeros(network.depth, network.dtype)
        self.plans = {count: Plan(network, count, block_gradient, ops=self.ops, clock=workspace.clock)
                      for count in {min(size, rows - start) for start in starts}}
        self.blocks = []
        for start in starts:
            plan = self.plans[min(size, rows - start)]
            plan.weights[...] = 1.0 / rows
            self.blocks.append((workspace.mini_batches.gather_block(workspace.clock, workspace.gathered(plan), rows, start), plan,
                                self.ops.cast(plan.costs, costs[start:start + plan.rows])))

    def calls(self, measured):
        """The calls of all blocks; with measured, also those that sum the squares of the deltas."""
        calls = [self.ops.cast(self.zeros, self.squares)] if measured else []
        for place, (gather, plan, keep_costs) in enumerate(self.blocks):
            calls += [gather, *plan.calls, keep_costs]
            if measured:
                calls += [self.ops.add_squares(delta, self.squares[l:l + 1]) for l, delta in enumerate(plan.delta[1:])]
            if plan.gradient is not self.gradient:
                move = self.ops.add if place else self.ops.cast
                calls.append(move(plan.gradient.vector, self.gradient.vector))
        return calls
