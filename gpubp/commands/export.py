"""gpubp export: write a saved network for other programs, with the scaling and the names of the data that it was trained on."""

import re
from functools import partial

import numpy as np

from ..datasets import Scaling
from ..datasets.columns import target_names
from ..layered.export import contents_of, ending_of, model_of, save
from ..maths.validation import listed
from . import samples
from .outputs import check_free, say

NAMES = {".c": "C", ".onnx": "ONNX", ".json": "JSON", ".safetensors": "safetensors"}
OURS = {   # how the files that gpubp writes begin
    ".c": rb"/\* [^\n]*, written by gpubp\b", ".onnx": rb"\x08.\x12\x05gpubp", ".json": rb'\{"format": "gpubp \d+"',
    ".safetensors": rb'.{8}\{"__metadata__":\{"format":"np","gpubp":"'}


def run(args):
    endings = {path: ending_of(path) for path in args.files}
    for path, ending in endings.items():
        check_free(path, partial(holds_export, ending=ending), f"an earlier {NAMES[ending]} export", "the argument FILE")
    if args.int8 and ".c" not in endings.values():
        raise ValueError(f"--int8: expected a file that ends in .c, got {listed(endings)}: name one, or leave --int8 out")
    network = samples.saved(args.network, "cpu")
    int8 = {"weights": "int8", "test": _test(args, network)} if args.int8 else {}
    model = described(network)
    made = {path: contents_of(network, model, path, **(int8 if ending == ".c" else {})) for path, ending in endings.items()}
    for path, (contents, scores) in made.items():   # no format has refused the network
        save(path, contents)
        say("wrote", f"{path}: {NAMES[endings[path]]}, {len(contents):,} bytes, {_sides(network, model, endings[path])}")
        if scores:
            say("int8", f"{scores.metric} {scores.quantized:.4f} with int8 weights, {scores.exact:.4f} with the network's own, "
                        f"on {scores.samples} samples of {args.int8}")
    if {".c", ".onnx"} & {*endings.values()} and (names := _coarse(network, model)):
        say("note", f"these files take and give {model.dtype}, which has too few digits for {listed(names)}: train with --dtype "
                    "float64")
    return 0


def holds_export(path, ending):
    """Whether a file begins as those that gpubp writes with this ending."""
    with open(path, "rb") as file:
        return bool(re.match(OURS[ending], file.read(1000), re.DOTALL))


def described(network):
    """The Model of a network between the scalings that `gpubp train` recorded, with the classes and columns."""
    notes = network.metadata
    columns = tuple(notes["preprocessing"]) if "preprocessing" in notes else None
    model = model_of(network, _vectors(samples.scaling(network), network.sizes[0]),
                     _vectors(samples.output_scaling(network), network.sizes[-1]) if network.task == "regression" else None,
                     tuple(notes["classes"]) if notes.get("classes") else None, columns)
    model.facts.update({name: notes[name] for name in ("columns", "target")[columns is not None:] if notes.get(name)})
    return model


def _vectors(scaling, count):
    if scaling == Scaling():
        return None
    return tuple(np.array(np.broadcast_to(np.asarray(values, np.float64), count)) for values in (scaling.shift, scaling.scale))


def _coarse(network, model):
    """The columns and outputs in which two neighbours of the model's dtype are over a thousandth of the scale apart."""
    notes, found = network.metadata, []
    names = [model.columns[place]["name"] for place, *_ in model.sources()]
    with np.errstate(over="ignore", invalid="ignore"):
        sides: list[tuple] = [(map(np.array, model.scaling(np.float64)), "column", names or notes.get("columns"))]
    if model.target_scaling:   # without deviations, which have no mean
        sides.append(([values[:model.targets] for values in model.target_scaling], "output", _targets(notes)))
    for (shift, scale), what, names in sides:
        with np.errstate(over="ignore", invalid="ignore"):
            mean = shift.astype(model.dtype)   # infinite if the dtype has no such numbers; a constant that it has is exact
            coarse = (mean != shift) & ~(np.spacing(np.abs(mean)) <= 1e-3 * np.abs(scale))
        if len(names or ()) != len(shift):
            names = [f"{what} {place}" for place in range(1, len(shift) + 1)]
        found += [name for name, is_coarse in zip(names, coarse) if is_coarse]
    return found


def _targets(notes):
    """The names of the targets, or []."""
    return target_names(notes.get("header") or (), notes.get("target"))


def _test(args, network):
    """(x, y) of the file of --int8, as the network's own score takes them."""
    data = samples.with_targets(samples.load(args.int8, network, **samples.table_options(args)), network)
    if line := samples.decisions(data):
        say("data", line)
    return data.x, data.y if data.classes else samples.target_scaling(network)(data.y)


def _sides(network, model, ending):
    """Inputs and outputs in words, and whether the file leaves their scaling to its reader."""
    notes, bare = network.metadata, ending == ".safetensors"
    ins = (len(model.columns), "column") if model.columns and not bare else (model.inputs, "input")
    targets = _targets(notes)
    names = notes.get("columns"), notes.get("classes") or [
        *targets, *["standard deviation" + "s" * (len(targets) > 1)] * bool(targets and model.deviation and not bare)]
    scaled = "preprocessing" in notes or samples.scaling(network) != Scaling(), model.target_scaling is not None
    return ", ".join(f"{count} {'scaled ' * (bare and needed)}{what}{'s' * (count > 1)}{f' ({listed(its)})' if its else ''}"
                     for (count, what), needed, its in zip((ins, (model.outputs, "output")), scaled, names))
