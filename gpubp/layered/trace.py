"""Trace: one pass of backpropagation that keeps every intermediate array of the four equations."""

from .plan import Plan


class Trace:
    """Lists by layer l = 1..L (z[0], delta[0], dw[0], db[0] are None; a[0] is x).

    z, a and delta have one row per sample; delta is dC_i/dz of that sample's own cost C_i. dw and db are the gradient,
    averaged over the samples. costs[i] is C_i, cost their average. sample_norms[i] is the norm of sample i's own gradient,
    computed from |delta_i| and |a_i| only, without forming it. With sample weights, C_i is weighted. Arrays lie on the device,
    in the network's dtype at every precision.

    >>> import numpy as np, gpubp
    >>> trace = gpubp.Network([2, 3, 1], seed=1).trace(np.zeros((4, 2)), np.ones(4))
    >>> trace.delta[1].shape, trace.dw[2].shape, trace.sample_norms.shape
    ((4, 3), (1, 3), (4,))
    """

    def __init__(self, network, x, y, weights=None, precision="exact"):
        xp, rows, depth = network.ops.xp, x.shape[0], network.depth
        gradient = network.parameters.like()
        plan = Plan(network, rows, gradient, ops=network.ops.with_precision(precision), keep=True)
        plan.fill(x, y, 1.0 if weights is None else weights)
        plan.run()
        gradient.vector[...] = gradient.vector / rows
        answer = network.ops.copy_for_caller
        self.z, self.a, self.delta = ([array if array is None else answer(plan.wide(array)) for array in arrays]
                                      for arrays in (plan.z, plan.a, plan.delta))
        self.dw = [None] + [answer(gradient[f"w{l}"]) for l in range(1, depth + 1)]
        self.db = [None] + [answer(gradient[f"b{l}"]) for l in range(1, depth + 1)]
        self.costs = answer(plan.costs)
        self.cost = float(plan.costs.sum(dtype="float64")) / rows
        squares = [(xp.square(delta).sum(axis=1), xp.square(a).sum(axis=1)) for delta, a in zip(self.delta[1:], self.a)]
        self.sample_norms = answer(xp.sqrt(sum(delta * (a + 1.0) for delta, a in squares)))   # + 1: the bias, whose input is 1
