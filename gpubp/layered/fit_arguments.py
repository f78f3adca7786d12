"""The arguments of fit: all are checked before anything is changed."""

from collections.abc import Iterable
from functools import partial

import numpy as np

from ..maths.gradient_transforms import Chain
from ..maths.validation import shown
from ..resources import version
from . import call_arrays, input_checks
from .checkpoint import Checkpoint
from .device_choice import choose
from .early_stopping import digest
from .standardization import Standardization
from .task import check_targets, decide
from .training_state import TrainingState

ACCURACY_SAMPLES = 10_000   # training samples on which the accuracy of an epoch is measured


class FitArguments:
    """The data as input_checks returns them, sizes, and the training state.

    rows: the numbers of the samples, of all rows of x and y, or None if it is all of them. n: their number, of which an epoch
    takes samples_per_epoch in `batches` mini-batches. resuming: training continues where the last fit ended, perhaps within an
    epoch. converted: a dict in which the arguments of several networks share the arrays that are made of x and y.

    ranks: the Ranks that train together, or None. If each has its own samples, x, y, n, samples_per_epoch and batch_size describe
    the part of this rank, own_rank is its number, and total_samples is the n of all.
    """

    def __init__(self, network, x, y, validation, sample_weight, optimizer, callbacks, checkpoint=None, every=None, rows=None,
                 converted=None, ranks=None, **options):
        if network.is_training:
            raise RuntimeError("a callback trains the network that is being trained: train a net.copy() there")
        if ranks:   # first, because the checks of partitioned samples exchange their numbers
            ranks.same([("reduction and partitioned", repr(ranks), "pass the same to fit on all ranks")])
        self.network, self.rows, self.shared, self.ranks = network, rows, converted, ranks
        self.own_rank = ranks.rank if ranks and ranks.partitioned else 0
        # an iterator is read once
        self.callbacks = (callbacks,) if callable(callbacks) or not isinstance(callbacks, Iterable) else tuple(callbacks)

        def check():
            self.converted = dict(converted or {})   # a failed check leaves nothing there
            self._check_data(x, y, validation, sample_weight)
            self._check_options(**options)
            self._check_optimizer(optimizer)
            return True
        call_arrays.check_together(network, check)
        if checkpoint is None and every is not None:
            raise ValueError(f"expected a file as checkpoint with every={shown(every)}, got none: name one")
        self.checkpoint = None if checkpoint is None or (ranks and ranks.rank) else Checkpoint(
            network, self.training_state.chain, checkpoint, every)
        if network.device_choice.open:
            choice = choose(network, self.batch_size, self.batches, self.training_state.chain)
            if choice.name == "cpu":
                network.to("cpu")
            network.device_choice = choice
            if choice.name == "cpu":
                check()
        if converted is not None:
            converted.update(self.converted)
        self.calls_back = bool(self.callbacks)
        if ranks:
            self._agree()

    def _agree(self):
        """Raise ValueError on all ranks if their arguments differ. Callbacks run on rank 0, so other ranks drop them."""
        network, state, ranks = self.network, self.training_state, self.ranks
        self.calls_back = ranks.gather(self.calls_back)[0]
        if ranks.rank:
            self.callbacks = ()
        hashed = lambda array: array if array is None else f"{array.shape[0]} rows with checksum {digest(network, [array])}"
        own = [] if ranks.partitioned else [("x", self.x), ("y", self.y), ("sample_weight", self.sample_weights)]
        validation = zip(("validation x", "validation y"), self.validation or (None, None))
        options = "epochs", "batch_size", "samples_per_epoch", "shuffle", "patience", "monitor"
        one, again, same = "install one version", "load or make the same network", "pass the same to fit on all ranks"
        ranks.same([
            ("version of gpubp", version(), one), ("version of NumPy", np.__version__, one),
            ("seed", network.seed, "pass seed= to Network"), ("network", repr(network), again),
            ("task", self.task, "pass task= to Network"), ("parameters", digest(network, [network.vector]), again),
            *((name, hashed(array), f"{same}, or own samples with partitioned=True") for name, array in own),
            *((name, hashed(array), same) for name, array in validation),
            *((name, getattr(self, name), same) for name in options), ("optimizer", str(state.chain), same),
            ("standardization", repr(self.standardization), same), ("epoch", f"{network.epoch}, step {state.step}", again),
            ("state of the optimizer", digest(network, state.vectors), again)])

    def _check_data(self, x, y, validation, sample_weight):
        network = self.network
        if validation is not None and (not isinstance(validation, (tuple, list)) or len(validation) != 2):
            raise TypeError(f"expected validation=(x, y), got {type(validation).__name__}: split the samples beforehand")
        xv, yv = validation or (None, None)
        call_arrays.check_same_device(network, x=x, y=y, sample_weight=sample_weight, **{"validation x": xv, "validation y": yv})
        self.standardization = network.standardization or (self._once(
            "standardization", x, lambda: Standardization.of(network, self._taken(x)), id(self.rows)) if network.standardize
            else None)
        if self.ranks and self.ranks.partitioned:
            own = self.standardization
            shift, scale = self.ranks.gather((own.shift, own.scale) if own else (None, None))[0]
            self.standardization = None if shift is None else Standardization(shift, scale, network.ops)
        self.x = self._samples(x, "x")
        count, targets = self.x.shape[0], {"y": input_checks.array_of(network, y, "y")}
        self.n = count if self.rows is None else len(self.rows)
        self.y = self._targets(y, targets["y"], count, "y")
        self.sample_weights = None if sample_weight is None else self._once(
            "sample_weight", sample_weight, lambda: input_checks.sample_weights(network, sample_weight, count))
        self.validation = None
        if validation is not None:
            xv = self._samples(xv, "validation x")
            targets["validation y"] = input_checks.array_of(network, yv, "validation y")
            self.validation = xv, self._targets(yv, targets["validation y"], xv.shape[0], "validation y")
        self.task = network.task or decide(network, *targets.values())
        for name, given in targets.items():
            check_targets(network, self.task, given, name)

    def _once(self, name, given, convert, *facts):
        """convert(), or what an earlier network with the same facts has made of the given array."""
        network = self.network
        key = name, id(given), network.ops.name, network.dtype, network.precision, *facts
        if key not in self.converted:   # threads may convert at the same time, and then share the first result
            self.converted.setdefault(key, (convert(), given))   # given lives as long as its id is in use
        return self.converted[key][0]

    def _samples(self, x, name):
        return self._once(name, x, lambda: input_checks.samples(self.network, x, name, standardization=self.standardization),
                          id(self.standardization))

    def _targets(self, given, y, count, name):
        network = self.network
        return self._once(name, given, lambda: input_checks.targets(network, y, count, name),
                          id(network.cost_function), id(network.layers[-1].activation))

    def _taken(self, x):
        return x if self.rows is None else self.some(input_checks.array_of(self.network, x, "x"), slice(None))

    def first(self, count):
        """x and y of the first samples, at most `count`."""
        if self.rows is None:
            return [self.some(array, slice(count)) for array in (self.x, self.y)]
        self.converted = self.converted if self.shared is None else self.shared
        return [self._once("first", array, partial(self.some, array, slice(count)), count, id(self.rows))
                for array in (self.x, self.y)]

    def some(self, array, part):
        """The rows of x, y or the sample weights that belong to a part, a slice, of the samples."""
        return array[part] if self.rows is None else input_checks.taken(self.network, array, self.rows[part])

    def _check_options(self, epochs, batch_size, samples_per_epoch, shuffle, patience, monitor, progress):
        self.epochs = input_checks.checked_int("epochs", epochs, 0)
        counts, parts = [self.n], 1
        if self.ranks and self.ranks.partitioned:
            counts, parts = self.ranks.gather(self.n), self.ranks.parts
        self.total_samples, most = sum(counts), min(counts) * parts
        count = most if samples_per_epoch is None else input_checks.checked_int(
            "samples_per_epoch", samples_per_epoch, 1, most,
            "the number of training samples" if parts == 1 else f"{parts} times the fewest samples of a rank")
        batch_size = min(-(-10 // parts) * parts, count) if batch_size == "auto" else batch_size
        size = count if batch_size is None else input_checks.checked_int(
            "batch_size", batch_size, 1, count, "the number of samples of an epoch",
            "give a smaller one, or None for the whole set")
        if count % parts or size % parts:
            raise ValueError(f"expected samples_per_epoch and batch_size as multiples of the number of ranks, of which each has "
                             f"its own samples, got {count} and {size} with {parts} ranks")
        self.samples_per_epoch, self.batch_size = count // parts, size // parts
        self.scored_samples = min(most, ACCURACY_SAMPLES) // parts * parts
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

    @property
    def steps(self):
        """The optimizer steps of all epochs."""
        return self.epochs * self.batches - (self.training_state.batch if self.resuming else 0)
