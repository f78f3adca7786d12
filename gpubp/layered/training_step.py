"""A training step as a program, in the way that suits its size: all rows at once, or in blocks of rows through all layers.

Both leave what an epoch's last step is asked for: the gradient, and how long the layers' deltas are.
"""

from .plan import Plan

LARGEST = 1 << 16   # parameters up to which each thread has a gradient of its own, which stays in its core's cache
LEAST = 1 << 26     # multiplications of a forward pass for which threads of our own are worth it: those of the BLAS go on looking
                    # for work for a while after a product, and are in the way


def step_of(kit, rows):
    """The step of a mini-batch of so many rows."""
    size = _rows_of_a_block(kit, rows)
    return WholeBatchStep(kit, rows) if size is None else BlockedStep(kit, rows, size)


def _rows_of_a_block(kit, rows):
    """Rows of a block, or None where all rows go at once."""
    ops, network = kit.ops, kit.network
    parameters = sum(view.size for _, view in network.parameters.items())
    # the masks of dropout are those of whole batches
    if not ops.threads or network.dropout_rates or parameters > LARGEST or rows * parameters < LEAST:
        return None
    most = max(1, ops.block // (2 * sum(network.sizes) * network.dtype.itemsize))
    rounds = -(-rows // (ops.threads * most))
    return -(-rows // (ops.threads * rounds))


class WholeBatchStep:
    """All rows at once. Where the optimizer and the device allow it, weights are updated by the product that BP4 is.

    The step that an epoch ends with is not folded so, since its gradient is looked at.
    """

    def __init__(self, kit, rows):
        self.plan = plan = Plan(kit.network, rows, kit.gradient, dropout=True, ops=kit.ops, clock=kit.clock, scaling=kit.scaling,
                                rounded=True)
        plan.weights[...] = 1.0 / rows
        gather = kit.feed.gather(kit.clock, kit.gathered(plan), rows)
        record = kit.ops.log_cost(plan.costs, kit.log, kit.clock)
        self.last = kit.ops.program([gather, *plan.calls, *kit.update(), record])
        self.run = self.last if kit.folds is None else kit.ops.program(
            [gather, *plan.folded(kit.fold), kit.update_of_biases(), *kit.rounding, record])

    def measuring(self, kit):
        """Calls for the report's lengths after the last step, |delta_l| times the loss scale."""
        return [kit.ops.norms(kit.network.vector, [kit.gradient.vector, *self.plan.delta[1:]], kit.report.lengths)]

    def look(self, kit):
        """A plan that keeps everything, after the forward and backward pass of the mini-batch at the clock."""
        return _look(kit, self.plan.rows)


class BlockedStep:
    """Block by block, on several threads: each has its own gradient, and these are added up in the order of the threads.

    What a step computes depends on the number of threads, but not on which of them is faster.
    """

    def __init__(self, kit, rows, size):
        self.rows, ops = rows, kit.ops
        starts = range(0, rows, size)
        self.costs = ops.zeros(rows, kit.network.dtype)
        parts = [_Part(kit, rows, size, starts[place::ops.threads], self.costs, kit.gradient if place == 0 else None)
                 for place in range(min(ops.threads, len(starts)))]
        self.parts = parts
        sums = [ops.add(part.gradient.vector, kit.gradient.vector) for part in parts[1:]]
        ends = [*sums, *kit.update(), ops.log_cost(self.costs, kit.log, kit.clock)]
        self.run, self.last = (ops.program([ops.parallel([part.calls(look) for part in parts]), *ends])
                               for look in (False, True))

    def measuring(self, kit):
        """Calls for the report's lengths after the last step."""
        lengths, parts = kit.report.lengths, self.parts

        def speeds():
            lengths[2:] = [float(sum(part.squares[l] for part in parts)) ** 0.5 for l in range(len(lengths) - 2)]
        return [kit.ops.norms(kit.network.vector, [kit.gradient.vector], lengths[:2]), speeds]

    def look(self, kit):
        """A plan of all rows at once, as Whole has it."""
        return _look(kit, self.rows)


def _look(kit, rows):
    """A plan made for the purpose, training having diverged, and run."""
    plan = Plan(kit.network, rows, kit.network.parameters.like(), dropout=True, ops=kit.ops, clock=kit.clock, scaling=kit.scaling,
                keep=True)
    plan.weights[...] = 1.0 / rows
    kit.feed.gather(kit.clock, kit.gathered(plan), rows)()
    plan.run()
    return plan


class _Part:
    """The blocks of one thread, their plans and their gradient."""

    def __init__(self, kit, rows, size, starts, costs, gradient):
        self.ops, network = kit.ops, kit.network
        self.gradient = gradient or network.parameters.like()
        alone = self.gradient if len(starts) == 1 else network.parameters.like()
        self.squares = self.ops.zeros(network.depth, network.dtype)
        self.zeros = self.ops.zeros(network.depth, network.dtype)
        self.plans = {count: Plan(network, count, alone, ops=self.ops, clock=kit.clock)
                      for count in {min(size, rows - start) for start in starts}}
        self.blocks = []
        for start in starts:
            plan = self.plans[min(size, rows - start)]
            plan.weights[...] = 1.0 / rows
            self.blocks.append((kit.feed.gather_block(kit.clock, kit.gathered(plan), rows, start), plan,
                                self.ops.cast(plan.costs, costs[start:start + plan.rows])))

    def calls(self, look):
        """The calls of all blocks; with look those that measure the deltas, too."""
        calls = [self.ops.cast(self.zeros, self.squares)] if look else []
        for place, (gather, plan, keep_costs) in enumerate(self.blocks):
            calls += [gather, *plan.calls, keep_costs]
            if look:
                calls += [self.ops.add_squares(delta, self.squares[l:l + 1]) for l, delta in enumerate(plan.delta[1:])]
            if plan.gradient is not self.gradient:
                move = self.ops.add if place else self.ops.cast
                calls.append(move(plan.gradient.vector, self.gradient.vector))
        return calls
