"""Trace: one pass of backpropagation that keeps every intermediate array of the four equations."""

from .plan import Plan


class Trace:
    """The arrays of one pass, in lists by layer l = 1..L (z[0], delta[0], dw[0], db[0] are None; a[0] is x).

    z, a, delta have shape (n, neurons); delta[l][i] is dC_i/dz of the cost C_i of sample i, weighted if sample weights are given.
    dw, db are the gradient, averaged over the samples, in the shapes of net.parameters. costs, of shape (n,), holds C_i; cost, a
    float, is their average. sample_norms (n,) has the norm of each sample's gradient. Arrays are on the network's device, in its
    dtype.

    >>> import numpy as np, gpubp
    >>> trace = gpubp.Network([2, 3, 1], seed=1).trace(np.zeros((4, 2)), np.ones(4))
    >>> trace.delta[1].shape, trace.dw[2].shape, trace.sample_norms.shape
    ((4, 3), (1, 3), (4,))
    """

    def __init__(self, network, x, y, sample_weights=None, precision="exact"):
        network.parameters.require_finite()
        xp, rows, depth = network.ops.xp, x.shape[0], network.depth
        gradient = network.parameters.like()
        plan = Plan(network, rows, gradient, ops=network.ops.with_precision(precision), keep=True)
        plan.fill(x, y, 1.0 if sample_weights is None else sample_weights)
        plan.run()
        gradient.vector[...] = gradient.vector / rows
        answer = network.ops.copy_for_caller
        self.z, self.a, self.delta = ([array if array is None else answer(plan.wide(array)) for array in arrays]
                                      for arrays in (plan.z, plan.a, plan.delta))
        self.dw, self.db = ([None] + [answer(gradient[f"{kind}{l}"]) for l in range(1, depth + 1)] for kind in "wb")
        self.costs = answer(plan.costs)
        self.cost = float(plan.costs.sum(dtype="float64")) / rows
        squares = [(xp.square(delta).sum(axis=1), xp.square(a).sum(axis=1)) for delta, a in zip(self.delta[1:], self.a)]
        self.sample_norms = answer(xp.sqrt(sum(delta * (a + 1.0) for delta, a in squares)))   # + 1: the bias, whose input is 1
