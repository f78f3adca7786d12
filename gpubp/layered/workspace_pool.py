"""WorkspacePool: many networks use a workspace one after another, so that their steps are bound once and not for each."""

from collections import Counter, defaultdict
from contextlib import contextmanager
from threading import Lock
from typing import Any

from ..devices.kernel_source import step_source


class WorkspacePool:
    """Workspaces for networks whose steps are the same programs on the same data.

    A workspace of the pool has parameters and state vectors of its own, to which its steps are bound. A network trains in
    them, and afterwards has its own ones back, with what it has learned.
    """

    def __init__(self):
        self.lock = Lock()
        self.programs: dict[Any, Any] = {}   # by the arguments of a fit
        self.waiting: Counter[Any] = Counter()
        self.free: defaultdict[Any, list[_Place]] = defaultdict(list)

    def expect(self, network, arguments):
        """The network will train, and others may use its workspace; nobody looks at its parameters meanwhile."""
        programs = self.programs[arguments] = _programs(network, arguments)
        self.waiting[programs] += 1

    @contextmanager
    def place(self, network, arguments):
        """A place for the network to train in; place.workspace is None, or that of a network before, and is set by the caller."""
        programs, training = self.programs.get(arguments), arguments.training_state
        with self.lock:
            self.waiting[programs] -= 1
            place, others = self.free[programs].pop() if self.free[programs] else None, self.waiting[programs] > 0
        place = place or _Place(network, training, others)
        with place.used_by(network, training):
            yield place
        with self.lock:   # not after an error
            if self.waiting[programs] > len(self.free[programs]):
                self.free[programs].append(place)


class _Place:
    """A workspace, and the parameters and state vectors that its steps are bound to; without others, the network's own."""

    def __init__(self, network, training, others):
        self.workspace: Any = None
        self.parameters = network.parameters.like() if others else network.parameters
        self.state = {name: kept.like() for name, kept in training.state.items()} if others else training.state

    @contextmanager
    def used_by(self, network, training):
        parameters, state = network.parameters, training.state
        pairs = [(parameters.vector, self.parameters.vector), *((state[name].vector, self.state[name].vector) for name in state)]
        for own, lent in pairs:
            lent[...] = own
        network.parameters, training.state = self.parameters, self.state
        try:
            yield
        finally:
            network.parameters, training.state = parameters, state
            for own, lent in pairs:
                own[...] = lent


def _programs(network, arguments):
    """What the programs of a fit depend on besides the numbers in its arrays."""
    chain = arguments.training_state.chain
    return (tuple(network.sizes), network.dtype, network.cost_function, tuple(gate.activation for gate in network.gates.values()),
            tuple(network.dropout_rates.items()), network.seed if network.dropout_rates else None,
            step_source(chain, network.dtype, ending="cpp"), chain.uses_norm, chain.max_norm,
            *map(id, (arguments.x, arguments.y, arguments.sample_weights)),   # which live as long as the arguments do
            arguments.n, arguments.samples_per_epoch, arguments.batch_size)
