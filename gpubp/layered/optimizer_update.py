"""The optimizer's update as calls of a step, and the table of its scalars that the host writes for each epoch."""

import numpy as np


class OptimizerUpdate:
    """Binds the optimizer's update of all parameters; the steps of a workspace share it.

    A call reads the scalars of mini-batch clock[0] from a table on the device. fuses_update: whether the matrix product of BP4
    may update the weights directly, without their gradient.
    """

    def __init__(self, network, ops, training, gradient, clock, batches, n, scaling):
        self.network, self.ops, self.state, self.gradient = network, ops, training.vectors, gradient
        self.clock, self.batches, self.n, self.scaling = clock, batches, n, scaling
        self.chain = chain = training.chain
        scalars = chain.scalars(1, 0.1, n)
        self.table, self.learning_rates = ops.zeros((batches, len(scalars)), network.dtype), None   # those in the table
        self.fuses_update = bool(scaling is None and ops.gemm_update_pays(network.parameters.weight_count)
                                 and chain.gemm_scalars(*scalars) is not None)
        self.gemm_scalars = ops.zeros((batches if self.fuses_update else 0, 2), network.dtype)
        storage = ops.storage_dtype(network.dtype)
        self.rounding = network.parameters.rounding(storage)   # each step leaves this done for the next
        self.rounded = network.parameters.rounded(storage).vector[:network.parameters.weight_count] if self.rounding else None

    def begin_fit(self, network, chain):
        """A fit begins, perhaps of another network with other numbers in the same chain."""
        self.network = network
        if chain != self.chain:
            self.chain, self.learning_rates = chain, None

    def calls(self):
        p, ops = self.network.parameters, self.ops
        arguments = (self.chain, p.vector, self.gradient.vector, self.state, p.weight_count, p.matrices(), self.table, self.clock,
                     self.rounded)
        if self.scaling is None:
            return [ops.step(*arguments)]
        return [ops.loss_scaling.update(self.gradient.vector, self.scaling),
                ops.loss_scaling.scaled(self.scaling).step(*arguments)]

    def fused_update(self, a, b, w):
        """Bind the update of the weights w, whose gradient is the product a b."""
        return self.ops.gemm_update(a, b, w, self.gemm_scalars, self.clock)

    def bias_calls(self):
        """The calls that update the biases, after `fused_update` has updated the weights."""
        p = self.network.parameters
        return [self.ops.step(self.chain, p.vector[p.weight_count:], self.gradient.vector[p.weight_count:], [], 0, [], self.table,
                              self.clock), *self.rounding]

    def set_learning_rates(self, learning_rates, step):
        """Write the scalars of the steps that follow `step` into the last rows of the table, one a learning rate."""
        if not len(learning_rates) or (self.chain.optimizer.time_invariant and learning_rates == self.learning_rates):
            return   # no steps follow, or the table has these values
        self.learning_rates = learning_rates
        for table, values in zip(self.tables(), self.scalars(learning_rates, step)):
            table[self.batches - len(values):] = self.ops.asarray(values, self.network.dtype)

    def tables(self):
        """The tables that a step reads."""
        return [self.table, self.gemm_scalars] if self.fuses_update else [self.table]

    def scalars(self, learning_rates, step):
        """The rows of these tables for the steps that follow `step`, one a learning rate, on the host."""
        table = self.chain.table(step + 1, learning_rates, self.n)
        if not self.fuses_update:
            return [table]
        factors = np.empty((len(table), 2))
        factors[:, 0], factors[:, 1] = self.chain.gemm_scalars(*table.T)   # numbers or columns
        return [table, factors]
