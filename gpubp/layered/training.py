"""Training: mini-batches drawn from the training set, one optimizer step each, and what is kept about the epochs."""

import math
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal

import numpy as np

from ..devices.philox import SHUFFLE, generator
from ..maths.chains import Chain
from ..maths.optimizers import Part
from . import intake
from .diverging import Divergence, first_bad_parameter
from .feed import feed
from .history import History
from .interrupt import Interrupt
from .patience import Patience
from .plan import Plan
from .scoring import score
from .state import Training

SEEN = 10_000   # training samples on which the accuracy of an epoch is measured


def fit(network: Any, x: Any, y: Any, *, optimizer: str | Part | Chain | Sequence[str | Part] | None = None, epochs: int = 30,
        batch_size: int | Literal["auto"] | None = "auto", validation: tuple[Any, Any] | None = None, sample_weight: Any = None,
        sample: int | None = None, shuffle: bool = True, patience: int | None = None,
        monitor: Literal["cost", "accuracy"] = "cost",
        callbacks: Callable[[Any], Any] | Sequence[Callable[[Any], Any]] = (), progress: bool | None = None) -> History:
    """Train a network by stochastic gradient descent; returns network.history.

    x: (n, inputs); y: integer labels (n,) or targets (n, outputs); arrays of NumPy (memory-mapped ones too), CuPy, PyTorch, JAX
    or whatever speaks DLPack. optimizer: an object, a text such as "adam(0.001)", or a list [ClipNorm(1.0), L2(5.0), SGD(0.5)];
    None goes on with the network's own optimizer and its state (SGD(0.1) at first), in the middle of an epoch if need be,
    bitwise as if it had never stopped. epochs: how many more. batch_size: rows of a mini-batch, "auto" for 10 or as many as
    there are, None for the whole set; the last batch of an epoch may be shorter. validation: (x, y). sample_weight: (n,)
    factors of the samples' costs. sample: an epoch draws that many samples at random and its mini-batches from those.
    patience: stop after so many epochs without a better monitor ("cost" or "accuracy", of the validation set) and restore the
    best parameters. callbacks: called as callback(network) after each epoch; a true answer stops. progress: True or False; None
    shows a bar on a terminal.

    Ctrl-C ends training after the step under way, keeping what was learned. A cost that is not finite raises TrainingError.
    """
    return _Fit(network, x, y, validation, sample_weight, optimizer, epochs=epochs, batch_size=batch_size, sample=sample,
                shuffle=shuffle, patience=patience, monitor=monitor, callbacks=callbacks, progress=progress).run()


class _Fit:
    def __init__(self, network, x, y, validation, sample_weight, optimizer, **options):
        if network.learning:
            raise RuntimeError("a callback trains the network that is being trained: train a net.copy() there")
        self.network, self.ops = network, network.ops
        self._take_data(x, y, validation, sample_weight)
        self._take_options(**options)
        self._take_optimizer(optimizer)
        self._allocate()
        self.divergence, self.interrupted = Divergence(self), False

    def _take_data(self, x, y, validation, sample_weight):
        network = self.network
        if validation is not None and (not isinstance(validation, (tuple, list)) or len(validation) != 2):
            raise TypeError(f"expected validation=(x, y), got {type(validation).__name__}: split the samples beforehand")
        xv, yv = validation or (None, None)
        intake.together(network, x=x, y=y, sample_weight=sample_weight, **{"validation x": xv, "validation y": yv})
        self.x = intake.samples(network, x)
        self.n = self.x.shape[0]
        self.labelled = intake.names_classes(network, y)
        self.y = intake.targets(network, y, self.n)
        self.weights = intake.sample_weights(network, sample_weight, self.n)
        self.validation = None
        if validation is not None:
            xv = intake.samples(network, xv, "validation x")
            self.validation = xv, intake.targets(network, yv, xv.shape[0], "validation y")

    def _take_options(self, epochs, batch_size, sample, shuffle, patience, monitor, callbacks, progress):
        self.epochs = intake.count("epochs", epochs, 0)
        self.count = self.n if sample is None else intake.count("sample", sample, 1, self.n, "the number of training samples")
        batch_size = min(10, self.count) if batch_size == "auto" else batch_size
        self.size = self.count if batch_size is None else intake.count(
            "batch_size", batch_size, 1, self.count, "the number of samples of an epoch",
            "give a smaller one, or None for the whole set")
        self.patience = None if patience is None else intake.count("patience", patience, 1)
        if patience is not None and self.validation is None:
            raise ValueError("patience watches the validation set, got none: pass validation=(x, y)")
        if monitor not in ("cost", "accuracy"):
            raise ValueError(f"expected monitor 'cost' or 'accuracy', got {monitor!r}")
        self.callbacks = (callbacks,) if callable(callbacks) or not isinstance(callbacks, Iterable) else tuple(callbacks)
        if not all(map(callable, self.callbacks)):
            raise TypeError(f"expected callbacks to be functions of the network, got {callbacks!r}")
        self.monitor, self.shuffle, self.progress = monitor, shuffle, progress

    def _take_optimizer(self, optimizer):
        network, own = self.network, self.network.training
        name = first_bad_parameter(network)
        if name is not None:
            raise ValueError(f"expected finite parameters, got NaN or infinity in {name}: load or build the network anew")
        self.chain = Chain.of(optimizer) if optimizer is not None else own.chain if own else Chain.of("sgd(0.1)")
        self.chain.optimizer.rate_at(0.0)   # a rate that is no number shows itself before anything is changed
        self.training = own if own and optimizer is None else Training.begin(network, self.chain)
        self.goes_on = self.training.shape == (self.count, self.size)   # within an epoch, perhaps

    def _allocate(self):
        network, training, ops = self.network, self.training, self.ops.at(self.network.precision)
        full, rest = divmod(self.count, self.size)
        self.batches = full + (rest > 0)
        self.gradient, self.clock = network.parameters.like(), ops.zeros(2, np.int64)
        scaled = ops.storage(network.dtype) == np.float16   # whose smallest number is 6e-8
        self.scaling = ops.array(training.scaling, network.dtype) if scaled else None
        self.log = ops.zeros(self.batches, network.dtype)
        if self.goes_on:   # what broke the epoch off may have hidden the last costs
            self.log[:training.batch] = math.nan
            known = training.costs[:training.batch]
            self.log[:len(known)] = ops.array(known, network.dtype)
        self.scalars = ops.zeros((self.batches, len(self.chain.scalars(1, 0.1, self.n))), network.dtype)
        self.feed = feed(network, self.x, self.y, self.weights, self.count, self.size)
        self.plans = {rows: Plan(network, rows, self.gradient, True, True, network.precision, self.clock, self.scaling)
                      for rows in {self.size, rest or self.size}}
        update = [] if self.scaling is None else [ops.unscale(self.gradient.vector, self.scaling)]
        update.append(ops.step(self.chain, network.vector, self.gradient.vector, training.vectors, network.parameters.weights,
                               network.parameters.matrices(), self.scalars, self.clock, self.scaling))
        for rows, plan in self.plans.items():
            plan.weights[...] = 1.0 / rows
        self.gathers = {rows: self.feed.gather(self.clock, [plan.x, plan.y] + [plan.weights] * (self.weights is not None))
                        for rows, plan in self.plans.items()}
        self.programs = {rows: ops.program([self.gathers[rows], *plan.calls, *update,
                                            ops.record(plan.costs, self.log, self.clock)])
                         for rows, plan in self.plans.items()}

    def vectors(self):
        """All that a step changes and an epoch repeated must find as it was."""
        return [self.network.vector, *self.training.vectors, *([] if self.scaling is None else [self.scaling])]

    def seek(self, step, batch):
        """Go on from a mini-batch of the epoch, after so many steps."""
        self.training.step, self.training.batch = step, batch
        self.clock[...] = self.ops.array([batch, self.network.epoch], np.int64)
        self.feed.begin(self.order, batch)

    def run(self):
        self.network.learning = True
        try:
            return self._run()
        finally:
            self.network.learning = False
            self.feed.end()
            del self.divergence   # which knows the fit: together they would keep the data until the next collection

    def _run(self):
        network, training, history = self.network, self.training, self.network.history
        goal, patience, bar = network.epoch + self.epochs, Patience(self), self._bar()
        if not self.goes_on:
            training.batch, training.shape, training.costs = 0, (self.count, self.size), []
        network.training, network.labelled, history.stopped = training, self.labelled, None
        with Interrupt(self), bar:
            while network.epoch < goal and history.stopped is None:
                seconds = self._epoch(bar)
                if self.training.batch < self.batches:
                    history.stopped = (f"interrupted in epoch {network.epoch + 1}, after {self.training.batch} of "
                                       f"{self.batches} mini-batches")
                    break
                self._measure(seconds)
                bar.set_postfix_str(self._summary())
                verdict = patience.verdict()   # on what was measured, which a callback may change
                answers = [callback(network) for callback in self.callbacks]
                history.stopped = verdict
                if history.stopped is None and self.interrupted and network.epoch < goal:
                    history.stopped = f"interrupted after epoch {network.epoch}"
                elif history.stopped is None and any(answers):
                    history.stopped = f"stopped by a callback after epoch {network.epoch}"
        if self.patience is not None and not (history.stopped or "").startswith("interrupted"):   # that may go on from here
            patience.restore()
        return history

    def _epoch(self, bar):
        """One epoch, or the rest of one; returns its seconds."""
        training, first = self.training, self.training.batch
        self.divergence.begin()
        started = time.perf_counter()
        self._set_rates()
        self.order = self._order()
        self.seek(training.step, training.batch)
        try:
            while training.batch < self.batches and not self.interrupted:
                if training.batch == self.batches - 1:
                    self.divergence.before_last_step()
                self.step()
                bar.update()
        finally:   # whatever ends an epoch, training can go on from there
            self.costs = np.asarray(self.ops.host(self.log), np.float64)   # here the host waits for the device
            self.settle()
        seconds = time.perf_counter() - started
        self.stepped = training.batch > first
        self.divergence.end()
        return seconds

    def settle(self):
        """Write down what the device has, as far as the training's state keeps it."""
        self.training.costs = self.costs[:self.training.batch].tolist()
        if self.scaling is not None:
            self.training.scaling = self.ops.host(self.scaling).tolist()

    def _order(self):
        network = self.network
        if self.shuffle or self.count < self.n:
            return generator(network.seed, SHUFFLE, network.epoch).permutation(self.n)[:self.count]
        return np.arange(self.n)

    def _set_rates(self):
        """Write down the optimizer's numbers for the steps to come, where programs find them."""
        training, first, rate = self.training, self.training.batch, self._rates()
        table = [self.chain.scalars(training.step + 1 + batch - first, rate(batch), self.n)
                 for batch in range(first, self.batches)]
        self.scalars[first:] = self.ops.array(np.array(table, self.network.dtype).reshape(-1, self.scalars.shape[1]))

    def _rates(self):
        """The rate as a function of the mini-batch of this epoch."""
        history, begun, rate_at = self.network.history, self.training.first_epoch, self.chain.optimizer.rate_at
        epoch, costs = len(history) - begun, (history.validation_cost if self.validation else history.cost)[begun:]
        return lambda batch: rate_at(epoch + batch / self.batches, costs)

    def step(self):
        """The mini-batch whose turn it is: gather, feed forward, backpropagate, and step."""
        training = self.training
        self.feed.before(training.batch)
        self.programs[self._rows()]()
        training.step += 1
        training.batch += 1

    def look(self):
        """The plan of the mini-batch whose turn it is, after its forward and backward pass alone."""
        rows = self._rows()
        self.feed.before(self.training.batch)
        self.gathers[rows]()
        self.plans[rows].run()
        return self.plans[rows]

    def _rows(self):
        return min(self.size, self.count - self.training.batch * self.size)

    def _measure(self, seconds):
        """Append the finished epoch to the history; the deltas are still in the buffers of its last mini-batch."""
        network, training = self.network, self.training
        sizes = np.full(self.batches, self.size)
        sizes[-1] = self.count - self.size * (self.batches - 1)
        plan = self.plans[int(sizes[-1])]
        rate, scale = self._rates()(self.batches - 1), 1.0 if self.scaling is None else training.scaling[3]
        norm = plan.ops.norm if self.stepped else lambda array: math.nan   # of a finished epoch taken up again nothing is left
        xv, yv = self.validation or (None, None)
        network.history.add(
            cost=float(self.costs @ sizes) / self.count, rate=rate, seconds=seconds,
            gradient_norm=norm(self.gradient.vector), speeds=[scale * norm(delta) for delta in plan.delta[1:]],
            accuracy=score(network, self.x[:SEEN], self.y[:SEEN], True) if self.labelled else None,
            validation_cost=network._cost(xv, yv) if self.validation else None,
            validation_accuracy=score(network, xv, yv, self.labelled) if self.validation else None)
        training.batch, training.costs = 0, []

    def _bar(self):
        from tqdm import tqdm
        disable = None if self.progress is None else not self.progress
        done = self.training.batch if self.goes_on else 0
        return tqdm(total=self.epochs * self.batches - done, unit=" steps", disable=disable, dynamic_ncols=True)

    def _summary(self):
        history = self.network.history
        parts = [f"epoch {len(history)}", f"cost {history.cost[-1]:.4g}"]
        value = history.validation_accuracy[-1]
        if value is not None:
            parts.append(f"validation {value:.2%}" if self.labelled else f"validation R2 {value:.4f}")
        return ", ".join(parts)
