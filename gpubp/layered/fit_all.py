"""fit_all: trains many networks on the same data at the same time."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from itertools import chain
from threading import Lock
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from ..maths.gradient_transforms import Chain
from ..maths.optimizers import OptimizerPart
from ..maths.validation import listed, shown
from ..streams import warn
from . import hints, input_checks
from .device_choice import why_not_inside
from .divergence import TrainingError
from .epoch_loop import EpochLoop, progress_bar
from .fit_arguments import FitArguments
from .history import History, StopReason
from .interrupt import Interrupt
from .lockstep import run_in_lockstep
from .network import Network, on_device
from .workspace import training_ops
from .workspace_pool import WorkspacePool

SHARED = {"number of inputs": lambda net: net.sizes[0], "number of outputs": input_checks.target_count,
          "device": lambda net: net.ops.name}   # by all networks of a call; two outputs for each target count once


def fit_all(networks: Iterable[Network], x: ArrayLike, y: ArrayLike, *, each: Sequence[Mapping[str, Any]] | None = None,
            optimizer: str | OptimizerPart | Chain | Sequence[str | OptimizerPart] | None = None, epochs: int = 30,
            batch_size: int | Literal["auto"] | None = "auto",
            validation: tuple[ArrayLike, ArrayLike] | Literal["rest"] | None = None, sample_weight: ArrayLike | None = None,
            samples: ArrayLike | None = None, samples_per_epoch: int | None = None, shuffle: bool = True,
            patience: int | None = None, monitor: Literal["cost", "accuracy"] = "cost",
            callbacks: Callable[[Any], Any] | Sequence[Callable[[Any], Any]] = (),
            progress: bool | None = None) -> list[History]:
    """Train many networks on the same data at the same time; returns their histories.

    Each network becomes, bit by bit, what net.fit with its own options makes of it. They may differ in everything but the
    numbers of inputs and outputs and the device. On "cpu:compiled" each core trains one at a time, and x and y are shared.

    Parameters
    ----------
    networks : list of Network
        On one device, with the same numbers of inputs and outputs.
    x, y : as for net.fit
    each : list of dicts, one for each network, optional
        Options that replace the keyword arguments of the call for this network: {"optimizer": "adam(0.01)", "samples": fold}.
    optimizer, epochs, batch_size : as for net.fit
    validation : (x, y) as for net.fit, or "rest", optional
        "rest" are the rows that samples leaves out.
    sample_weight : as for net.fit
    samples : row numbers (m,) from 0, or a Boolean mask (n,), optional
        The rows of x and y to train on; default is all. A row that is named twice counts twice. All of y decides the task.
    samples_per_epoch, shuffle, patience, monitor : as for net.fit
    callbacks : function or functions of the network, default none
        Called after each epoch of each network, on a CPU in the thread that trains it; a true result stops its training. They
        may use their own network only.
    progress : bool, optional
        Show one progress bar for all networks; None shows it on a terminal.

    A network that diverges keeps its last good parameters, and the others go on; its history.stop_reason is "diverged", and a
    warning tells how many there are. Ctrl-C ends the training of all networks after the steps under way. If a callback raises an
    error, all networks stop likewise before it is raised again.

    Raises
    ------
    ValueError, TypeError
        An argument is not as described, or a network is given twice; nothing has been changed.
    RuntimeError, MemoryError
        As for net.fit.

    >>> import numpy as np, gpubp
    >>> x, y = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]), np.array([0, 1, 1, 0])   # XOR
    >>> networks = [gpubp.Network([2, 8, 2], "tanh", "softmax", "cross-entropy", seed=seed) for seed in range(3)]
    >>> rates = [{"optimizer": gpubp.Adam(rate)} for rate in (0.001, 0.01, 0.1)]
    >>> histories = gpubp.fit_all(networks, x, y, each=rates, epochs=100, batch_size=None)
    >>> [net.score(x, y) for net in networks][-1], [len(history) for history in histories]
    (1.0, [100, 100, 100])
    """
    options = {"optimizer": optimizer, "epochs": epochs, "batch_size": batch_size, "validation": validation,
               "sample_weight": sample_weight, "samples": samples, "samples_per_epoch": samples_per_epoch, "shuffle": shuffle,
               "patience": patience, "monitor": monitor, "callbacks": callbacks}
    members = _members(networks)
    options_of_each = _options_of_each(members, each, options)
    arguments = on_device(_arguments, name="fit_all")(members[0], members, x, y, progress, options_of_each)
    fresh = [network for network in members if network.epoch == 0 and network.training_state is None]
    if fresh:
        hints.warn(fresh[0], *(input_checks.array_of(fresh[0], array, name) for array, name in ((x, "x"), (y, "y"))))
    try:
        for network in members:
            network.is_training = True   # so that a callback cannot train one that waits for its turn
        with Interrupt() as interrupt, progress_bar(sum(checked.steps for checked in arguments), progress) as bar:
            _train(members, arguments, _Shared(interrupt, bar))
    finally:
        for network in members:
            network.is_training = False
    diverged = [place for place, network in enumerate(members) if network.history.stop_reason == StopReason.DIVERGED]
    if diverged:
        warn(f"{len(diverged)} of {len(members)} networks diverged and keep their last good parameters: number "
             f"{listed(diverged)}; history.stopped tells more", RuntimeWarning, stacklevel=2)
    return [network.history for network in members]


def _members(networks):
    """The networks as a list. Raises TypeError or ValueError if they cannot train together."""
    members = [*networks] if isinstance(networks, Iterable) else [networks]
    if not members or not all(isinstance(network, Network) for network in members):
        raise TypeError(f"expected a list of networks, got {shown(networks)}: pass [gpubp.Network(...), ...]")
    for place, network in enumerate(members):
        if any(network is other for other in members[:place]):
            raise ValueError(f"expected different networks, got network number {place} twice: pass a net.copy() for one of them")
    check_same(members, SHARED)
    return members


def check_same(networks, facts):
    """Raise ValueError if networks differ in one of the facts, {name: function of a network}; None counts as unknown."""
    for name, fact in facts.items():
        if len(found := dict.fromkeys(value for value in map(fact, networks) if value is not None)) > 1:
            raise ValueError(f"expected networks with the same {name}, got {' and '.join(map(str, found))}: "
                             + ("move some with net.to" if name == "device" else "take those that agree"))


def _options_of_each(members, each, options):
    each = [{}] * len(members) if each is None else [*each] if isinstance(each, Iterable) else each
    if not isinstance(each, list) or len(each) != len(members):
        raise ValueError(f"each: expected a list of dicts of options, one for each of the {len(members)} networks, got "
                         f"{shown(each)}")
    for place, own in enumerate(each):
        if not isinstance(own, Mapping) or (unknown := [name for name in own if name not in options]):
            got = shown(own) if not isinstance(own, Mapping) else listed(map(repr, unknown))
            raise TypeError(f"each: expected a dict with some of the options {', '.join(options)}, got {got} for number {place}")
    merged, read = [options | own for own in each], {}
    for own in merged:   # an iterator is read once, also if several networks have it
        callbacks = own["callbacks"]
        if isinstance(callbacks, Iterator):
            if id(callbacks) not in read:
                read[id(callbacks)] = tuple(callbacks)
            own["callbacks"] = read[id(callbacks)]
    return merged


def _arguments(first, members, x, y, progress, options):
    """The FitArguments of all members; all are checked before anything is changed."""
    converted: dict[Any, Any] = {}
    data = _Data(first, x, y)
    with ExitStack() as stack:
        for network in members:
            stack.enter_context(network.access.changing("fit_all"))
        return [data.arguments(network, converted, progress=progress, **own) for network, own in zip(members, options)]


class _Data:
    """The arrays of a call, and parts of them, of which networks with the same samples share one copy."""

    def __init__(self, network, x, y):
        self.network, self.x, self.y, self.parts = network, x, y, {}

    def arguments(self, network, converted, samples, validation, sample_weight, optimizer, callbacks, **options):
        rows, rest = (None, None) if samples is None else self._rows(samples)
        if isinstance(validation, str):
            if validation != "rest" or rest is None:
                raise ValueError(f"expected validation=(x, y), or 'rest' beside samples, got {shown(validation)}"
                                 + " without samples" * (validation == "rest"))
            validation = self._part(rest)
        return FitArguments(network, self.x, self.y, validation, sample_weight, optimizer, callbacks, rows=rows,
                            converted=converted, **options)

    def _rows(self, samples):
        """(the numbers of the samples, the numbers of the other rows)"""
        if id(samples) not in self.parts:
            count = self._array(self.x, "x").shape[0]
            rows = np.asarray(self.network.ops.to_numpy(self._array(samples, "samples")))
            if rows.dtype == bool and rows.shape == (count,):
                rows = np.flatnonzero(rows)
            if rows.dtype.kind not in "iu" or rows.ndim != 1 or not rows.size or rows.min() < 0 or rows.max() >= count:
                raise ValueError(f"samples: expected numbers of the {count} rows of x from 0, or a Boolean mask ({count},), with "
                                 f"at least one row, got {shown(samples)}")
            rows = rows.astype(np.int64)
            self.parts[id(samples)] = rows, np.setdiff1d(np.arange(count), rows), samples   # whose id must stay in use
        return self.parts[id(samples)][:2]

    def _part(self, rows):
        """x and y of these rows."""
        if id(rows) not in self.parts:
            if not rows.size:
                raise ValueError("expected rows that samples leaves out as validation='rest', got none: leave out some")
            self.parts[id(rows)] = tuple(input_checks.taken(self.network, self._array(values, name), rows)
                                         for values, name in ((self.x, "x"), (self.y, "y")))
        return self.parts[id(rows)]

    def _array(self, values, name):
        return input_checks.array_of(self.network, values, name)


class _Shared:
    """What the loops of all networks share: the signal to stop, which an error gives too, and the progress bar."""

    disable = True   # a loop's text behind the bar

    def __init__(self, interrupt, bar):
        self.interrupt, self.bar, self.lock, self.pool = interrupt, bar, Lock(), WorkspacePool()
        self.error: BaseException | None = None   # the first one
        self.stopped = False

    @property
    def requested(self):
        return self.interrupt.requested or self.stopped or self.error is not None

    def stop(self):
        self.stopped = True

    def update(self, steps):
        with self.lock:
            self.bar.update(steps)

    def ended(self, network, error):
        """An error has ended the training of a network: a divergence ends only this one, others all."""
        if isinstance(error, TrainingError):
            network.history.stop(StopReason.DIVERGED, str(error))
        else:
            self.error = self.error or error


def _train(members, arguments, shared):
    """Train the networks of each backend together, and in lockstep those whose device makes many steps in one launch."""
    alone: dict[str, tuple[Any, dict[Any, list[Any]]]] = {}
    in_lockstep: dict[str, list[Any]] = {}
    for network, checked in zip(members, arguments):
        rule = checked.training_state.chain
        ops = training_ops(network, checked.batches, checked.samples_per_epoch, len(rule.state))
        if ops.inside is None or why_not_inside(network, rule, checked.batch_size, checked.batches):
            key = shared.pool.expect(network, checked) if ops.whole_epochs else None
            alone.setdefault(ops.name, (ops, {}))[1].setdefault(key, []).append(partial(_fit_one, network, checked, shared))
        else:
            in_lockstep.setdefault(ops.name, []).append((network, checked))
    for group in in_lockstep.values():
        on_device(_fit_in_lockstep, name="fit_all")(group[0][0], group, shared)
    for ops, groups in alone.values():   # those that use a workspace one after another
        ops.run_all([*chain.from_iterable(groups.values())], shared.stop)
    if shared.error:
        raise shared.error


def _fit_one(network, arguments, shared):
    try:
        on_device(_run_loop, changes=True, name="fit_all")(network, arguments, shared)
    except BaseException as error:
        shared.ended(network, error)


def _run_loop(network, arguments, shared):
    with shared.pool.place(network, arguments) as place:
        loop = EpochLoop(network, arguments, None, place.workspace)   # None: no workspace for later fits of the network
        place.workspace = loop.workspace
        loop.run(shared, shared)


def _fit_in_lockstep(first, members, shared):
    with ExitStack() as stack:
        for network, _ in members:
            stack.enter_context(network.access.changing("fit_all"))
        loops = [EpochLoop(network, arguments, None) for network, arguments in members]
        run_in_lockstep(loops, shared, shared, shared.ended)
