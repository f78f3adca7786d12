"""WorkspacePool: many networks use a workspace one after another, so that their steps are bound once and not for each."""

from collections import Counter, defaultdict
from contextlib import contextmanager
from threading import Lock
from typing import Any

from ..devices.kernel_source import step_source


class WorkspacePool:
    """Workspaces for networks whose steps are the same programs on the same data.

    A workspace of the pool has parameters and state vectors of its own, to which its steps are bound. A network trains in
    them, and afterwards has its own ones back, with what it has learned. So no function of the user may see it meanwhile.
    """

    def __init__(self):
        self.lock = Lock()
        self.keys: dict[Any, Any] = {}   # by the arguments of a fit
        self.waiting: Counter[Any] = Counter()
        self.free: defaultdict[Any, list[_Place]] = defaultdict(list)

    def expect(self, network, arguments):
        """The network will train; returns what the networks that may use its workspace have in common, None if none may."""
        if arguments.callbacks or arguments.training_state.chain.is_own:
            return None
        key = self.keys[arguments] = _key(network, arguments)
        self.waiting[key] += 1
        return key

    @contextmanager
    def place(self, network, arguments):
        """A place for the network to train in; place.workspace is None, or that of a network before, and is set by the caller."""
        key, training = self.keys.get(arguments), arguments.training_state
        if key is None:
            yield _Place(network, training, others=False)
            return
        with self.lock:
            self.waiting[key] -= 1
            place, others = self.free[key].pop() if self.free[key] else None, self.waiting[key] > 0
        place = place or _Place(network, training, others)
        with place.used_by(network, training):
            yield place
        with self.lock:   # not after an error
            if self.waiting[key] > len(self.free[key]):
                self.free[key].append(place)


class _Place:
    """A workspace, and the parameters and state vectors that its steps are bound to: the network's own if no others follow."""

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


def _key(network, arguments):
    """What the programs of a fit depend on besides the numbers in its arrays; objects that live as long as the networks by id."""
    chain = arguments.training_state.chain
    objects = (network.cost_function, *(gate.activation for gate in network.gates.values()), arguments.x, arguments.y,
               arguments.sample_weights)
    return (*network.sizes, network.dtype, *map(id, objects), tuple(network.dropout_rates.items()),
            network.seed if network.dropout_rates else None, step_source(chain, network.dtype, ending="cpp"), chain.uses_norm,
            chain.max_norm, arguments.n, arguments.samples_per_epoch, arguments.batch_size)
