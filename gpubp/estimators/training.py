"""Training as scikit-learn does it: alpha and the weights of a mini-batch are divided by the weight of that mini-batch."""

from dataclasses import dataclass, field, replace
from types import SimpleNamespace

import numpy as np

from ..layered.training_run import TrainingRun
from ..layered.training_state import TrainingState
from ..layered.workspace import TrainingWorkspace
from ..maths.gradient_transforms import Chain
from ..maths.optimizers import SGD, Adam

FITS = 150          # that are expected to share a compiled program, as in a search over 30 candidates in 5 folds
USUAL_EPOCHS = 30   # of Network.fit, for which TrainingWorkspace decides whether to compile
BURST = 64          # most steps of one launch: Ctrl-C waits for its end


class PlainAdam(Adam):
    """Adam with eps beside √v' and not √v̂, as in section 2 of the paper and in scikit-learn."""

    def scalars(self, t, learning_rate):
        *betas, step_size, v_correction, eps = super().scalars(t, learning_rate)
        return *betas, step_size / v_correction, 1.0, eps


class VelocitySGD(SGD):
    """v' = momentum v - learning_rate g, w' = w + v'; with nesterov w' = w + momentum v' - learning_rate g.

    The velocity contains the learning rates of its steps, as in scikit-learn; SGD differs if the rate changes.
    """

    def rule(self, xp, w, *operands):
        if not self.momentum:
            return super().rule(xp, w, *operands)
        v, g, learning_rate, momentum = operands
        v = momentum * v - learning_rate * g
        return w + (momentum * v - learning_rate * g if self.nesterov else v), v


@dataclass(frozen=True)
class MiniBatchChain(Chain):
    """A chain after g' = share g + (alpha / weight) w for weights, g' = share g for biases.

    weight is the sum of the sample weights of the step's mini-batch, and share is its rows divided by weight; a mini-batch
    without weight has no gradient. The state vector "penalty" sums rows alpha / (2 weight) w² over the steps of an epoch.
    batches has the rows and the weights of the mini-batches of the epoch.
    """

    alpha: float = 0.0
    batches: list = field(default_factory=lambda: [np.ones(1), np.ones(1)], compare=False)

    plain = property(lambda self: Chain(self.transforms, self.optimizer), doc="The chain without alpha.")
    state = property(lambda self: (*self.optimizer.state, *("penalty",) * (self.alpha > 0)), doc="Names of the state vectors.")
    splits = property(lambda self: self.alpha > 0 or self.plain.splits, doc="Whether biases are treated differently.")
    per_weight = property(lambda self: np.divide(1.0, self.batches[1], out=np.zeros(len(self.batches[1])),
                                                 where=self.batches[1] > 0), doc="1 / weight of the mini-batches, or 0.")

    def scalars(self, t, learning_rate, n):
        return *self.plain.scalars(t, learning_rate, n), 1.0, self.alpha, 0.5 * self.alpha

    def table(self, first, rates, n):
        share, decay = self.batches[0] * self.per_weight, self.alpha * self.per_weight
        return np.column_stack([self.plain.table(first, rates, n), share, decay, 0.5 * self.alpha * share])

    def rule(self, xp, w, *operands):
        count, end = len(self.optimizer.state), len(self.state) + 3
        (*penalty, g, is_weight, norm), (*scalars, share, decay, half) = operands[count:end], operands[end:]
        slope = share * g + decay * is_weight * w if self.alpha else share * g
        return (*self.plain.rule(xp, w, *operands[:count], slope, is_weight, share * norm, *scalars),
                *(total + half * is_weight * (w * w) for total in penalty))


@dataclass
class Solver(TrainingState):
    """The state of training, and the learning rate of scikit-learn's optimizers, which estimators change; else None."""

    learning_rate: float | None = None

    def __getstate__(self):
        vectors = {name: p if isinstance(p, np.ndarray) else p.ops.to_numpy(p.vector) for name, p in self.state.items()}
        return vars(self) | {"state": vectors}

    def on(self, network, alpha):
        """A copy on the device of a network, with this alpha, perhaps of an unpickled state, whose vectors are NumPy arrays."""
        chain = MiniBatchChain(self.chain.transforms, self.chain.optimizer, self.chain.max_norm, alpha)
        state, old = {name: network.parameters.like() for name in chain.state}, self.__getstate__()["state"]
        for name in state.keys() & old.keys():
            state[name].vector[...] = network.ops.asarray(old[name], network.dtype)
        return replace(self, chain=chain, state=state, costs=[*self.costs], scaling=[*self.scaling])


class Epochs(TrainingRun):
    """The epochs of one fit, on arrays that call_arrays.checked_arrays has returned."""

    def __init__(self, network, solver, x, y, sample_weights, size, max_iter):
        n, ops = x.shape[0], network.ops
        self.starts = np.arange(0, n, size)
        self.weights = None if sample_weights is None else ops.to_numpy(sample_weights).astype(np.float64)
        workspace = TrainingWorkspace(network, solver, x, y, sample_weights, n, n, size, repeats=FITS * max_iter / USUAL_EPOCHS)
        workspace.begin_fit(network, solver, 1)
        super().__init__(network, workspace, SimpleNamespace(
            training_state=solver, batches=len(self.starts), samples_per_epoch=n, batch_size=size))

    def order_of(self, epoch):
        return self.next_order

    def learning_rates(self, epoch, batches):
        solver = self.training_state
        if solver.learning_rate is not None:
            return [solver.learning_rate] * len(batches)
        return [solver.chain.optimizer.learning_rate_at(solver.step / self.batches + batch / self.batches, self.losses)
                for batch in batches]

    def epoch_of(self, order, losses):
        """Train the epoch after those with these losses; returns (cost, penalty), means over the mini-batches by their rows."""
        workspace, solver, rows = self.workspace, self.training_state, self.sizes.astype(float)
        chain, ops, self.next_order, self.losses = solver.chain, workspace.ops, order, losses
        chain.batches[:] = rows, rows if self.weights is None else np.add.reduceat(self.weights[order], self.starts)
        if self.weights is not None:
            workspace.update.learning_rates = None   # its table has the weights of another epoch
        self.enter(len(losses), 0)
        while (done := solver.batch) < self.batches:
            self.step(max(1, min(self.batches - done - workspace.last_step_separate, BURST,
                                 workspace.mini_batches.launchable(done))))
        if workspace.scaling is not None:
            solver.scaling = ops.to_numpy(workspace.scaling).tolist()
        cost, penalty = ops.to_numpy(workspace.log) @ (rows * rows * chain.per_weight), 0.0
        if chain.alpha:
            penalty = float(solver.state["penalty"].vector.sum(dtype="float64"))
            solver.state["penalty"].vector[...] = 0.0
        return float(cost) / rows.sum(), penalty / rows.sum()
