"""The header of a saved network: each entry that is wrong is refused, and the error names its place."""

import copy

import pytest

from gpubp import Dropout, Network
from gpubp.layered.header import DENSE, FIGURES, HEADER, STATE, array_shapes, check_header, sizes
from gpubp.layered.packing import pack
from tests.cases import two_classes

NAN, INF = float("nan"), float("inf")
WRONG = {   # {place: values that are refused}
    "format": [None, 3, 5, "4", True, 4.0], "cost": [None, 1, "\x1b[2J", "x" * 201], "dtype": ["float16", None, ["float32"]],
    "seed": [-1, 2**64, None, 1.0, True], "precision": ["half", None], "layers": [[], [4], None, "4", {"a": 1}],
    "layers.0": [0, -1, True, "4", 1e9, 2**40, None],
    "layers.1": [1, None, {}, {"dropout": 1}, {"dropout": NAN}, {"dropout": "0"}],
    "layers.2.neurons": [0, True, 2.0, 10**300, None], "layers.2.activation": [None, 1, "", "tanh\n"],
    "layers.2.initializer": [None],
    "custom": [None, "cube", [1], ["\x1b"]], "notes": [None, [], "x"], "task": ["x", 1, True], "standardize": [None, 1, "true"],
    "standardization": [[], [[0.0] * 4], [[0.0] * 3, [1.0] * 3], [[0.0] * 4, [0.0] * 4], [[NAN] * 4, [1.0] * 4], 1,
                        [[1e308] * 4, [1e308] * 4], [[0.0] * 4, [True] * 4]],
    "history": [None, [], {}], "history.cost": [None, [], [1.0] * 3, ["1", "2"], [None, None], [True, False]],
    "history.accuracy": [[None], [[1], [2]]], "history.seconds": [[-1.0, 1.0], [NAN, 1.0]], "history.learning_rate": [[INF, 1.0]],
    "history.delta_norms": [[1.0, 2.0], [[1.0], [1.0]], [[None, 1.0]] * 2], "history.stop_reason": ["bored", 1],
    "history.stopped": ["\x1b", 1, "x" * 1001],
    "training": [[], "x", {}], "training.optimizer": [None, 1, "\x1b", "x" * 1001], "training.step": [-1, 1.5, True, 2**60],
    "training.batch": [-1, 99, True, None], "training.first_epoch": [3, -1], "training.best_epoch": [3, -1, None],
    "training.shape": [[1], [0, 1], [8, 9], [True, True], None, "88"], "training.costs": [[1.0] * 99, [None], ["1"], None],
    "training.best_value": [None, "inf", True], "training.best_of": [None, "x" * 201, "\n"], "training.restored": [1, "x"],
    "training.scaling": [None, [], [1.0] * 3, [NAN, 0.0, 1.0, 1.0], [0.0] * 4, [True] * 4]}


@pytest.fixture
def header(random):
    net = Network([4, Dropout(0.1), 3, 2], device="cpu", seed=1, standardize=True)
    net.fit(*two_classes(random), optimizer="adam", epochs=2, batch_size=8)
    return pack(net)[0]


def at(header, place):
    """(the dictionary or list that holds an entry, its key)"""
    *way, last = (int(word) if word.isdigit() else word for word in place.split("."))
    for word in way:
        header = header[word]
    return header, last


@pytest.mark.parametrize("place", WRONG)
def test_wrong_entries(header, place):
    check_header(header)
    for value in WRONG[place]:
        changed = copy.deepcopy(header)
        inside, key = at(changed, place)
        inside[key] = value
        with pytest.raises(ValueError, match=r"^expected ") as caught:
            check_header(changed)
        message = str(caught.value)
        assert message.isprintable() and len(message) < 300
        assert place.split(".")[0] in message and (str(key) in message or place.startswith(("layers", "history.cost"))), message


@pytest.mark.parametrize("place", ["", "history", "training", "layers.2"])
def test_missing_and_unknown_entries(header, place):
    for name in (*at(header, f"{place}.x" if place else "x")[0], "unknown"):
        changed = copy.deepcopy(header)
        entries, _ = at(changed, f"{place}.x" if place else "x")
        if name == "unknown":
            entries[name] = 1
        else:
            del entries[name]
        with pytest.raises(ValueError, match=f"^expected .*{name}"):
            check_header(changed)


def test_every_entry_is_tried():
    places = {*HEADER, *(f"history.{name}" for name in FIGURES), *(f"training.{name}" for name in STATE),
              *(f"layers.2.{name}" for name in DENSE)}
    alike = {"history.validation_cost", "history.validation_accuracy", "history.gradient_norm"}   # as accuracy and cost
    assert places - alike <= {*WRONG}


def test_arrays(header):
    assert sizes(header) == [4, 3, 2]
    of_one = {"w1": (3, 4), "w2": (2, 3), "b1": (3,), "b2": (2,)}
    assert array_shapes(header) == of_one | {f"{v}.{name}": shape for v in "mv" for name, shape in of_one.items()}
    header["training"]["best_epoch"] = 1
    assert array_shapes(header)["best.w2"] == (2, 3)
    assert array_shapes({**header, "training": None}) == of_one
