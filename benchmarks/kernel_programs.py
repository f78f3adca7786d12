"""All kernel programs for the tables of maths, so that tests compile and run a new entry without being changed."""

from dataclasses import fields, replace
from typing import Any

from gpubp.devices.kernel_source import copy_source, layer_source, output_source, source, step_source
from gpubp.layered.device_choice import form_of
from gpubp.layered.network import Network
from gpubp.maths.activations import ACTIVATIONS
from gpubp.maths.costs import COSTS
from gpubp.maths.gradient_transforms import OPTIMIZERS, Chain, GradientTransform
from gpubp.maths.optimizers import Optimizer

# The files that need no formula, and those of them whose kernels depend on the storage type S.
UNFORMULATED = ("softmax.cu", "sums.cu", "dropout.cu", "scale.cu", "array_checks.cu", "report.cu")
SIXTEEN_BITS = ("softmax.cu", "sums.cu", "dropout.cu", "array_checks.cu")
# small networks that inside.cu trains: layers, rows of a mini-batch, optimizer, options of Network, blocks of a cluster
INSIDE: tuple[tuple[tuple[int, ...], int, str, dict[str, str], int], ...] = (
    ((784, 30, 10), 10, "sgd(0.5)", {}, 8), ((784, 30, 10), 10, "sgd(0.5)", {}, 1), ((784, 100, 10), 64, "sgd(0.5)", {}, 8),
    ((64, 32, 10), 32, "adam", {"output": "softmax", "cost": "cross-entropy"}, 1), ((2, 3, 1), 4, "sgd", {}, 1))


def inside_sources(dtype):
    """Yield (label, source text, shared memory of a block in bytes, blocks of a cluster) for the networks of INSIDE."""
    for layers, rows, text, options, size in INSIDE:
        form = form_of(Network(list(layers), device="cpu", dtype=dtype, seed=1, **options), Chain.of(text), rows)
        yield f"inside.cu {layers} {rows} {text} {size}", form.text(size), form.shared_bytes(size), size


def sources(dtype, storage=None, few=None):
    """Yield (label, source text) for every kernel file and every entry of the tables; with a storage dtype only those that depend
    on it. few: see `outputs`; None means True with a storage dtype, else False."""
    files = [file for file in UNFORMULATED if storage is None or file in SIXTEEN_BITS]
    yield from ((file, source(file, dtype, storage=storage)) for file in files)
    yield from ((f"copy.cu {' '.join(map(str, pair))}", copy_source(*pair)) for pair in copies(dtype, storage))
    yield from ((f"layer.cu {entry.name}", layer_source(entry, dtype, storage)) for entry in activations() if not entry.rowwise)
    pairs = outputs(few=storage is not None if few is None else few)
    yield from ((f"output.cu {cost.name} {entry.name}", output_source(cost, entry, dtype, storage)) for cost, entry in pairs)
    steps = [chain for chain in chains()
             if storage is None or (not chain.transforms and chain.optimizer.time_invariant)]
    yield from ((f"step.cu {chain}", step_source(chain, dtype, storage)) for chain in steps)


def copies(dtype, storage=None):
    """The (source, target) pairs of dtypes that copy.cu must support."""
    return [(dtype, dtype)] if storage is None else [(dtype, storage), (storage, dtype), (storage, storage)]


def activations():
    """All activations of the table; those with arguments have their defaults."""
    return [ACTIVATIONS.find(name) for name in ACTIVATIONS]


def outputs(few=False):
    """The (cost, output activation) pairs that go together; few: a subset with each cost, each activation, each partner and each
    code path of output.cu."""
    costs, found = [COSTS.find(name) for name in COSTS], []
    seen: set[Any] = set()
    for cost, entry in ((cost, entry) for cost in costs for entry in activations()
                        if cost.admits(entry)):
        parts = {cost.name, entry.name, (entry.rowwise, cost.relative, cost.outer is None)}
        if not few or not parts <= seen or cost.meets_partner(entry):
            found.append((cost, entry))
        seen |= parts
    return found


def chains():
    """Chains for each optimizer: plain, with each option on, with all options on, and behind all gradient transforms."""
    amount = 0.5
    transforms = [entry(amount) for entry in OPTIMIZERS.values() if issubclass(entry, GradientTransform)]
    transforms.sort(key=lambda transform: not transform.uses_norm)   # Chain requires this order
    result = []
    for entry in OPTIMIZERS.values():
        if issubclass(entry, Optimizer):
            optimizer = entry()
            switches = {f.name: True if f.default is False else amount for f in fields(entry)
                        if f.init and f.default in (0.0, False)}
            variants = [optimizer, *(replace(optimizer, **{name: on}) for name, on in switches.items()),
                        replace(optimizer, **switches)]
            result += [Chain.of(variant) for variant in dict.fromkeys(variants)]
            result.append(Chain.of([*transforms, optimizer]))
    return result
