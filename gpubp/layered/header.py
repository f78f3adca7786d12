"""The header of a saved network: what every entry must be before anything is built from it."""

from math import isfinite

from ..devices.ops import PRECISIONS
from ..maths import schema
from ..maths.gradient_transforms import Chain
from ..maths.registry import LONGEST
from ..maths.schema import FINITE, NAME, NUMBER, Check, list_of, one_of, or_null, text, verify, whole
from ..maths.validation import shown
from .history import StopReason
from .parameters import shapes
from .task import TASKS

FORMAT = 4
NEURONS = whole(1, 2**31)
HEADER = {
    "format": whole(FORMAT, FORMAT),
    "cost": NAME,
    "dtype": one_of("float32", "float64"),
    "seed": whole(0, 2**64 - 1),
    "precision": one_of(*PRECISIONS),
    "layers": Check("a list of the number of inputs and layers", lambda value: type(value) is list and len(value) > 1),
    "custom": list_of(NAME),
    "notes": schema.DICTIONARY,
    "task": or_null(one_of(*TASKS)),
    "standardize": schema.TRUTH,
    "standardization": or_null(list_of(list_of(FINITE), 2)),
    "history": schema.DICTIONARY,
    "training": or_null(schema.DICTIONARY),
}
DENSE = {"neurons": NEURONS, "activation": NAME, "initializer": NAME}
DROPOUT = {"dropout": schema.FRACTION}
FIGURES = {"cost": NUMBER, **dict.fromkeys(("accuracy", "validation_cost", "validation_accuracy"), or_null(NUMBER)),
           "seconds": schema.MEASURED, "learning_rate": schema.MEASURED, "gradient_norm": NUMBER}
STATE = {   # of TrainingState
    "step": whole(0),
    "batch": whole(0),
    "first_epoch": whole(0),
    "shape": Check("[] or [samples, batch size]", lambda value: value == [] or (
        list_of(whole(1), 2).holds(value) and value[1] <= value[0])),
    "costs": list_of(NUMBER),
    "best_value": NUMBER,
    "best_epoch": whole(0),
    "best_of": text(0, 200),
    "restored": text(0, 200),
    "scaling": Check("four finite numbers, the first and the last above 0", lambda value: (
        list_of(FINITE, 4).holds(value) and value[0] > 0 and value[3] > 0)),
}


def check_header(header):
    """Raise ValueError, which names the place, unless each entry is as expected and fits the others."""
    verify(header, HEADER, "header")
    inputs, *layers = header["layers"]
    verify({"inputs": inputs}, {"inputs": NEURONS}, "layers")
    for place, layer in enumerate(layers, 1):
        verify(layer, DROPOUT if type(layer) is dict and "dropout" in layer else DENSE, f"layers[{place}]")
    if header["standardization"]:
        shift, scale = header["standardization"]
        if not (len(shift) == len(scale) == inputs and all(s > 0 and isfinite(m + s) for m, s in zip(shift, scale))):
            raise ValueError(f"expected standardization to be {inputs} finite shifts and positive scales, got "
                             f"{shown([shift, scale])}")
    _check_history(header["history"], len(sizes(header)) - 1)
    if header["training"] is not None:
        _check_training(header["training"], len(header["history"]["cost"]))


def _check_history(history, depth):
    epochs = len(history["cost"]) if type(history.get("cost")) is list else 0
    verify(history, {**{name: list_of(check, epochs) for name, check in FIGURES.items()},
                     "delta_norms": list_of(list_of(NUMBER, depth), epochs),
                     "stop_reason": or_null(one_of(*map(str, StopReason))), "stopped": or_null(text(0, 1000))}, "history")


def _check_training(training, epochs):
    epoch = whole(0, epochs)
    verify(training, {"optimizer": text(1, LONGEST), **STATE, "first_epoch": epoch, "best_epoch": epoch}, "training")
    samples, size = training["shape"] or (0, 1)
    batches = -(-samples // size)
    verify(training, {"batch": whole(0, min(batches, training["step"])), "costs": Check(
        f"a list of at most {batches} numbers", lambda value: list_of(NUMBER).holds(value) and len(value) <= batches)},
        "training", complete=False)
    if training["restored"] and not training["best_epoch"]:
        raise ValueError(f"expected training.restored to be '' without a best epoch, got {shown(training['restored'])}")


def sizes(header):
    """The numbers of inputs and of neurons in each layer."""
    inputs, *layers = header["layers"]
    return [inputs, *(layer["neurons"] for layer in layers if "neurons" in layer)]


def array_shapes(header):
    """{name: shape} of all arrays that belong to a header."""
    training = header["training"] or {}
    prefixes = ["", *(f"{name}." for name in (Chain.of(training["optimizer"]).state if training else ())),
                *["best."] * bool(training.get("best_epoch"))]
    return {prefix + name: shape for prefix in prefixes for name, shape in shapes(sizes(header)).items()}
