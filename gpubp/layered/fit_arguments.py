"""The arguments of fit: all are checked before anything is changed."""

from collections.abc import Iterable

import numpy as np

from ..maths.gradient_transforms import Chain
from ..maths.validation import shown
from . import call_arrays, input_checks
from .checkpoint import Checkpoint
from .device_choice import choose
from .standardization import Standardization
from .task import check_targets, decide
from .training_state import TrainingState


class FitArguments:
    """The data as input_checks returns them, sizes, and the training state.

    n: the number of samples, of which an epoch takes samples_per_epoch in `batches` mini-batches. resuming: training continues
    where the last fit ended, perhaps within an epoch.
    """

    def __init__(self, network, x, y, validation, sample_weight, optimizer, callbacks, checkpoint, every, **options):
        self.network = network
        # an iterator is read once
        self.callbacks = (callbacks,) if callable(callbacks) or not isinstance(callbacks, Iterable) else tuple(callbacks)

        def check():
            self._check_data(x, y, validation, sample_weight)
            self._check_options(**options)
            self._check_optimizer(optimizer)
            return True
        call_arrays.check_together(network, check)
        if checkpoint is None and every is not None:
            raise ValueError(f"expected a file as checkpoint with every={shown(every)}, got none: name one")
        self.checkpoint = None if checkpoint is None else Checkpoint(network, self.training_state.chain, checkpoint, every)
        if network.device_choice.open:
            choice = choose(network, self.batch_size, self.batches, len(self.training_state.state))
            if choice.name == "cpu":
                network.to("cpu")
            network.device_choice = choice
            if choice.name == "cpu":
                check()

    def _check_data(self, x, y, validation, sample_weight):
        network = self.network
        if validation is not None and (not isinstance(validation, (tuple, list)) or len(validation) != 2):
            raise TypeError(f"expected validation=(x, y), got {type(validation).__name__}: split the samples beforehand")
        xv, yv = validation or (None, None)
        call_arrays.check_same_device(network, x=x, y=y, sample_weight=sample_weight, **{"validation x": xv, "validation y": yv})
        self.standardization = network.standardization or (Standardization.of(network, x) if network.standardize else None)
        self.x = input_checks.samples(network, x, standardization=self.standardization)
        self.n, targets = self.x.shape[0], {"y": input_checks.array_of(network, y, "y")}
        self.y = input_checks.targets(network, targets["y"], self.n)
        self.sample_weights = input_checks.sample_weights(network, sample_weight, self.n)
        self.validation = None
        if validation is not None:
            xv = input_checks.samples(network, xv, "validation x", standardization=self.standardization)
            targets["validation y"] = yv = input_checks.array_of(network, yv, "validation y")
            self.validation = xv, input_checks.targets(network, yv, xv.shape[0], "validation y")
        self.task = network.task or decide(network, *targets.values())
        for name, given in targets.items():
            check_targets(network, self.task, given, name)

    def _check_options(self, epochs, batch_size, samples_per_epoch, shuffle, patience, monitor, progress):
        self.epochs = input_checks.checked_int("epochs", epochs, 0)
        self.samples_per_epoch = self.n if samples_per_epoch is None else input_checks.checked_int(
            "samples_per_epoch", samples_per_epoch, 1, self.n, "the number of training samples")
        batch_size = min(10, self.samples_per_epoch) if batch_size == "auto" else batch_size
        self.batch_size = self.samples_per_epoch if batch_size is None else input_checks.checked_int(
            "batch_size", batch_size, 1, self.samples_per_epoch, "the number of samples of an epoch",
            "give a smaller one, or None for the whole set")
        self.batches = -(-self.samples_per_epoch // self.batch_size)
        self.patience = None if patience is None else input_checks.checked_int("patience", patience, 1)
        if patience is not None and self.validation is None:
            raise ValueError("expected validation=(x, y) with patience, got none: pass a validation set")
        if monitor not in ("cost", "accuracy"):
            raise ValueError(f"expected monitor 'cost' or 'accuracy', got {shown(monitor)}")
        if not all(map(callable, self.callbacks)):
            raise TypeError(f"expected callbacks to be functions of the network, got {shown(self.callbacks)}")
        for name, flag in (("shuffle", shuffle), ("progress", progress is None or progress)):
            if not isinstance(flag, int | np.bool_):
                raise TypeError(f"expected {name} to be True or False, got {shown(flag)}")
        self.monitor, self.shuffle, self.progress = monitor, shuffle, progress

    def _check_optimizer(self, optimizer):
        network, own = self.network, self.network.training_state
        call_arrays.check_parameters(network)
        self.training_state = own if own and optimizer is None else TrainingState.begin(
            network, Chain.of("sgd(0.1)" if optimizer is None else optimizer))
        self.training_state.chain.optimizer.learning_rate_at(0.0)   # an invalid learning rate raises before anything is changed
        self.resuming = self.training_state.shape == (self.samples_per_epoch, self.batch_size)
