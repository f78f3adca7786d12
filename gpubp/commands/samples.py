"""Samples for a saved network: read from a file as those that it was trained on, or random ones, and the scaling of targets."""

import numpy as np

from .. import datasets
from ..datasets.data import check_like, numbers
from ..datasets.preprocessing import Preprocessing
from ..devices.random import CHECK, generator
from ..files import load as load_saved
from ..layered.input_checks import target_count
from ..layered.network import Network
from ..layered.task import METRICS, MULTI_LABEL, REGRESSION
from ..maths.schema import FRACTION, TRUTH, Check, or_null, verify, whole
from ..maths.validation import Interval, shown

# options for tables; `gpubp predict` and `gpubp check` have all but the last three
OPTIONS = ("delimiter", "decimal", "thousands", "header", "index", "missing", "impute", "categories")

RUN = {   # what `gpubp train` records of a run
    "path": or_null(Check("the path of a file", lambda value: isinstance(value, str) and 0 < len(value) < 5000)),
    "hold_back": FRACTION, "epochs": whole(1, 10**9), "batch_size": or_null(whole(1)), "patience": or_null(whole(1)),
    "own_optimizer": TRUTH}


def load_network(path, device):
    """The network in a file; an ensemble is refused."""
    network = load_saved(path, device=device)
    if not isinstance(network, Network):
        raise ValueError(f"expected a network, got an ensemble in {path}: use it in Python, or save one of its networks")
    return network


def saved(path, device):
    """The network in a file, whose notes say how to read data, and how to go on if they record a run."""
    network = load_network(path, device)
    notes, outputs = network.metadata, target_count(network)
    try:
        check_like(_like(network), "notes")
        if "preprocessing" in notes and (count := Preprocessing.from_json(notes["preprocessing"]).inputs) != network.sizes[0]:
            raise ValueError(f"expected notes.preprocessing to give {network.sizes[0]} inputs, got {count}")
        names = 0 if network.task == REGRESSION or network.cost_function.deviation else max(outputs, 2)
        if (classes := notes.get("classes")) and len(classes) != names:
            raise ValueError(f"expected notes.classes to be {names} names, got {len(classes)}")
        if "run" in notes:
            verify(notes["run"], RUN | dict.fromkeys(("target_shift", "target_scale"), numbers(outputs)), "notes.run")
    except ValueError as error:
        raise ValueError(f"{path} has notes that `gpubp train` did not write ({error}): train it again or use a copy") from None
    return network


def _like(network):
    notes = network.metadata
    return notes if "preprocessing" in notes else {**notes, "features": network.sizes[0]}


def table_options(args):
    return {name: value for name in OPTIONS if (value := getattr(args, name, None)) is not None}


def load(path, network, targets=True, **options):
    """The Data in a file, its test part if it has one, read as the network's training data were."""
    data = datasets.load(path, like=_like(network), targets=targets, **options)
    return data.test or data


def with_targets(data, network):
    """The data, which need targets, since the cost of the network does."""
    if data.y is None:
        origin = network.metadata.get("data", "the training data")
        raise ValueError(f"{data.name}: expected the target {shown(network.metadata.get('target') or 'y')}, as in {origin}, got "
                         "only features: give a file with both")
    return data


def decisions(data):
    """What was decided about a file, in words; empty if nothing was."""
    return f"{data.name}: {'; '.join(data.notes)}" if data.notes else ""


def scaling(network):
    """The Scaling of features that the network's metadata have; the identity if they have none."""
    return datasets.Scaling(network.metadata.get("shift", 0.0), network.metadata.get("scale", 1.0))


def target_scaling(network):
    """The Scaling of regression targets that `gpubp train` recorded; the identity if it recorded none."""
    run = network.metadata.get("run", {})
    return datasets.Scaling(run.get("target_shift", 0.0), run.get("target_scale", 1.0))


def output_scaling(network):
    """The Scaling that makes what predict returns of targets in their own units: target_scaling, but no shift of deviations."""
    own, count = target_scaling(network), target_count(network)
    if own == datasets.Scaling() or not network.cost_function.deviation:
        return own
    shift, scale = (np.broadcast_to(values, count) for values in (own.shift, own.scale))
    return datasets.Scaling([*shift, *np.zeros(count)], [*scale, *np.abs(scale)])


def predicted(network, x):
    """The outputs (n, outputs) of a regression, or its means and standard deviations, in the units of the training data."""
    return output_scaling(network).undo((network.predict if network.cost_function.deviation else network.feedforward)(x))


def metric(task):
    """What "correct" means for separate labels, in words; empty otherwise."""
    return f" in all labels ({METRICS[task]})" * (task == MULTI_LABEL)


def root_mean_square(values):
    """Without overflow or underflow of the squares."""
    size = np.abs(values).max()
    return size and size * np.sqrt(np.square(values / size).mean())


def random_samples(network, count):
    """Random (x, y), for verdicts that do not depend on the data: x is (count, inputs) in [0, 1), the cost accepts y."""
    random, cost, width = generator(1, CHECK), network.cost_function, target_count(network)
    x, allowed, codes = random.random((count, network.sizes[0])), Interval(cost.targets), np.array(cost.codes)
    if cost.deviation or not allowed.holds(codes).all():   # a regression cost
        low, high = max(allowed.low, -1.0), min(allowed.high, 1.0)
        return x, random.uniform(low + 0.1 * (high - low), high, (count, width))
    if width > 1:
        return x, random.integers(0, width, count)
    if cost.relative or (cost.meets_partner(network.layers[-1].activation) and cost.partner == "softmax"):
        return x, np.ones((count, 1))   # the only output is the true class
    return x, random.choice(codes, (count, 1))
