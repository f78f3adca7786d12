"""Weights, activations and confusion matrices: their numbers and colors, against NumPy, and their refusals."""

from io import BytesIO

import numpy as np
import pytest

import gpubp
from gpubp import plots
from gpubp.maths.activations import ACTIVATIONS
from gpubp.maths.validation import Interval
from tests.conftest import needs

matplotlib = needs("matplotlib")


# ---- weights

def images(figure):
    return [image.get_array().tolist() for axes in figure.axes for image in axes.images]


def test_weights(ops):
    net = gpubp.Network([6, 3, 2], dtype="float64", device=ops, seed=1)
    w = ops.to_numpy(net.parameters["w1"])
    figure = plots.weights(net, shape=(2, 3))
    assert images(figure) == w.reshape(3, 2, 3).tolist()
    assert [axes.get_title() for axes in figure.axes] == ["0", "1", "2", ""] and figure.axes[3].get_ylabel() == "weight, layer 1"
    limits = {image.get_clim() for axes in figure.axes for image in axes.images}
    assert limits == {(-abs(w).max(), abs(w).max())}, "one scale, with zero in the middle"
    image = figure.axes[0].images[0]
    assert image.to_rgba(np.zeros((1, 1)))[0, 0, :3].min() > 0.95, "zero is white"
    red, _, blue, _ = image.to_rgba(np.full((1, 1), abs(w).max()))[0, 0]
    assert red > 2 * blue
    assert images(plots.weights(net, shape=(3, 2), neurons=[2, 0])) == w[[2, 0]].reshape(2, 3, 2).tolist()
    assert images(plots.weights(net, 2, (1, 3), 1)) == [ops.to_numpy(net.parameters["w2"])[1:].tolist()]


def test_weights_by_default():
    """Squares, of the first 20 neurons; a network of zeros has a scale, too."""
    net = gpubp.Network([9, 50, 2], seed=1)
    assert images(plots.weights(net)) == net.parameters["w1"][:20].reshape(20, 3, 3).tolist()
    assert len(images(plots.weights(net, neurons=range(21, 50)))) == 29
    net.vector[...] = 0.0
    assert plots.weights(net).axes[0].images[0].get_clim() == (-1.0, 1.0)


@pytest.mark.parametrize("options, sentence", [
    ({"layer": 0}, "expected layer from 1 to the depth (2), got 0"),
    ({"layer": 3}, "expected layer from 1 to the depth (2), got 3"),
    ({}, "expected a square number of inputs of layer 1, got 6: pass shape=(rows, columns), such as (1, 6)"),
    ({"shape": (2, 2)}, "expected a shape (rows, columns) of the 6 inputs of layer 1, got (2, 2)"),
    ({"shape": 6}, "expected a shape (rows, columns) of the 6 inputs of layer 1, got 6"),
    ({"shape": (-2, -3)}, "expected rows and columns >= 1, got np.int64(-2)"),
    ({"shape": (1, 6), "neurons": [3]}, "expected neurons from 0 to the last one of layer 1 (2), got 3"),
    ({"shape": (1, 6), "neurons": -1}, "expected neurons from 0 to the last one of layer 1 (2), got -1"),
    ({"shape": (1, 6), "neurons": []}, "expected one or more neurons, got none")])
def test_weights_refused(options, sentence):
    figure = matplotlib.figure.Figure()
    with pytest.raises(ValueError) as caught:
        plots.weights(gpubp.Network([6, 3, 2], seed=1), figure=figure, **options)
    assert str(caught.value) == sentence and not figure.axes


def test_weights_that_are_not_finite():
    net = gpubp.Network([4, 3], seed=1)
    net.parameters["w1"][0, 0] = np.nan
    with pytest.raises(ValueError, match=r"^expected finite parameters, got NaN or infinity in w1: "):
        plots.weights(net)


# ---- activations

def bars(axes):
    """(edges, heights) of a histogram."""
    return ([patch.get_x() for patch in axes.patches] + [axes.patches[-1].get_x() + axes.patches[-1].get_width()],
            [patch.get_height() for patch in axes.patches])


def test_distributions(ops):
    """Of more rows than one pass computes, with dropout left out."""
    x = np.random.default_rng(1).standard_normal((5000, 3))
    net = gpubp.Network([3, gpubp.Dense(4, "tanh"), gpubp.Dropout(0.5), gpubp.Dense(5, "relu"), 2], dtype="float64", device=ops,
                        seed=1)
    p = {name: ops.to_numpy(view) for name, view in net.parameters.items()}
    first = np.tanh(x @ p["w1"].T + p["b1"])
    second = np.maximum(first @ p["w2"].T + p["b2"], 0.0)
    third = 1.0 / (1.0 + np.exp(-(second @ p["w3"].T + p["b3"])))
    figure = plots.activations(net, x)
    saturated = (1.0 - first**2 <= 0.01).mean(), (third * (1.0 - third) <= 0.01 / 4).mean()
    assert [axes.get_title() for axes in figure.axes] == [f"layer 1: tanh\n{100 * saturated[0]:.3g} % saturated", "layer 2: relu",
                                                          f"layer 3: sigmoid\n{100 * saturated[1]:.3g} % saturated"]
    assert saturated[0] > 0.001
    for axes, a in zip(figure.axes, (first, second, third), strict=True):
        edges, heights = bars(axes)
        assert (edges[0], edges[-1]) == pytest.approx((a.min(), a.max()))
        assert sum(heights) == pytest.approx(100.0)
        assert heights[0] == pytest.approx(100.0 * (a < edges[1] - 1e-12).mean(), abs=0.01)


@pytest.mark.parametrize("row", [row for row in map(ACTIVATIONS.find, ACTIVATIONS) if Interval(row.range).bounded],
                         ids=lambda row: row.name)
def test_saturation(row):
    """For z of 30, all slopes of a sigmoid are tiny: the largest slope is not that of the values that occur."""
    z = np.array([[0.5], [30.0], [30.5]])
    net = gpubp.Network([1, gpubp.Dense(1, row)], dtype="float64", seed=1)
    net.parameters["w1"][...], net.parameters["b1"][...] = 1.0, 0.0
    share = {"softmax": 1.0, "sine": 0.0, "softsign": 2 / 3}.get(row.name, 2 / 3)   # a single output of softmax is always 1
    axes, = plots.activations(net, z).axes
    assert axes.get_title().endswith(f"\n{100 * share:.3g} % saturated")
    axes, = plots.activations(net, z[1:]).axes
    assert axes.get_title().endswith(f"\n{100 * (share > 0):.3g} % saturated")


@pytest.mark.long
def test_unbounded_activations_have_no_share():
    unbounded = [row for row in map(ACTIVATIONS.find, ACTIVATIONS) if not Interval(row.range).bounded]
    assert len(unbounded) > 5
    for row in unbounded:
        axes, = plots.activations(gpubp.Network([1, gpubp.Dense(1, row)], seed=1), [[0.5]]).axes
        assert axes.get_title() == f"layer 1: {row.name}"


@pytest.mark.parametrize("bias", [36.0, 36.7, 1e300])
def test_activations_that_are_equal_up_to_rounding(bias):
    """40 bins need more than 40 different numbers between the ends."""
    kind = "sigmoid" if bias < 100.0 else "identity"
    net = gpubp.Network([2, 3], activation=kind, dtype="float64", seed=1)
    net.parameters["b1"][...] = bias
    axes, = plots.activations(net, np.random.default_rng(1).standard_normal((50, 2))).axes
    assert np.isclose(sum(bar.get_height() for bar in axes.patches), 100.0)
    left, right = axes.patches[0].get_x(), axes.patches[-1].get_x() + axes.patches[-1].get_width()
    assert left < (1.0 if kind == "sigmoid" else bias) < right


@pytest.mark.long
def test_many_layers_stand_in_rows():
    figure = plots.activations(gpubp.Network([2, 2, 2, 2, 2, 2], seed=1), np.eye(2))
    assert len(figure.axes) == 5 and len({axes.get_subplotspec().rowspan.start for axes in figure.axes}) == 2


@pytest.mark.parametrize("x, sentence", [
    (np.zeros((0, 2)), "x: expected at least one row, got an empty array of shape (0, 2)"),
    (np.zeros((3, 4)), "x: expected rows of 2 for layer 1, got an array of shape (3, 4)"),
    ([[0.0, np.nan]], "x: expected finite numbers in float32, got nan at row 0, column 1: remove or replace such samples"),
    ([[1e38, 1e38]], "expected finite activations, got NaN or infinity in layer 1: scale the samples or the weights")])
def test_activations_refused(x, sentence):
    net = gpubp.Network([2, 1], activation="relu", seed=1)
    net.parameters["w1"][...] = 1e3
    figure = matplotlib.figure.Figure()
    with pytest.raises(ValueError) as caught:
        plots.activations(net, np.asarray(x, np.float32), figure=figure)
    assert str(caught.value) == sentence and not figure.axes


# ---- confusion matrices

def table(figure):
    """(counts, names of rows, names of columns) of a picture."""
    axes = figure.axes[0]
    names = [text.get_text() for text in axes.get_yticklabels()], [text.get_text() for text in axes.get_xticklabels()]
    counts = np.zeros((len(names[0]), len(names[1])), int)
    for text in axes.texts:
        column, row = text.get_position()
        counts[row, column] = int(text.get_text())
    return counts.tolist(), *names


def test_counts():
    truth, guesses = np.random.default_rng(1).integers(0, 4, (2, 200))
    figure = plots.confusion_matrix(truth, guesses, classes=["a", "b", "c", "d", "never"])
    expected = [[int(((truth == row) & (guesses == column)).sum()) for column in range(5)] for row in range(5)]
    assert table(figure) == (expected, [*"abcd", "never"], [*"abcd", "never"])
    assert (figure.axes[0].get_xlabel(), figure.axes[0].get_ylabel()) == ("predicted", "true")
    shares = figure.axes[0].images[0].get_array()
    assert shares.sum(axis=1).tolist() == pytest.approx([1, 1, 1, 1, 0]) and shares[1, 2] == expected[1][2] / sum(expected[1])


@pytest.mark.parametrize("labels, predictions, classes, found", [
    (["cat", "dog"], ["dog", "cow"], None, ([[0, 0, 1], [0, 0, 0], [0, 1, 0]], ["cat", "cow", "dog"])),
    (["cat", "dog"], ["dog", "dog"], ["dog", "cat"], ([[1, 0], [1, 0]], ["dog", "cat"])),
    (np.array(["cat", "dog"], object), ["dog", "dog"], None, ([[0, 1], [0, 1]], ["cat", "dog"])),
    ([-1, 1, 1], [1, 1, -1], None, ([[0, 1], [1, 1]], ["-1", "1"])),
    ([True, False], np.array([1, 1], np.uint64), ["no", "yes"], ([[0, 1], [0, 1]], ["no", "yes"])),
    ([7], [7], None, ([[1]], ["7"]))])
def test_kinds_of_labels(labels, predictions, classes, found):
    counts, rows, columns = table(plots.confusion_matrix(labels, predictions, classes))
    assert (counts, rows) == found and rows == columns


def test_names_are_no_formulas():
    """Matplotlib reads text between two $ as a formula."""
    names = ["$10-$20", "$x_$"]
    figure = plots.confusion_matrix(names, names)
    figure.savefig(BytesIO())
    labels = [*figure.axes[0].get_xticklabels(), *figure.axes[0].get_yticklabels()]
    assert [label.get_text() for label in labels] == names * 2 and not any(label.get_parse_math() for label in labels)
    odd = gpubp.Activation("$x_$", lambda xp, z: xp.tanh(z), lambda xp, z, a: 1.0 - a * a)
    figure = plots.activations(gpubp.Network([2, 1], activation=odd, seed=1), np.eye(2))
    figure.savefig(BytesIO())
    assert "$x_$" in figure.axes[0].get_title()


def test_numbers_are_legible():
    """The contrast of each number with its cell is at least 4.5, as the Web Content Accessibility Guidelines want it."""
    def luminance(color):
        r, g, b = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in matplotlib.colors.to_rgb(color))
        return 0.2126 * r + 0.7152 * g + 0.0722 * b
    truth = np.repeat(np.arange(21), 20)
    guesses = np.where(np.arange(420) % 20 < truth, truth, (truth + 1) % 21)
    axes = plots.confusion_matrix(truth, guesses).axes[0]
    cells, contrasts = axes.images[0].to_rgba(axes.images[0].get_array()), []
    for text in axes.texts:
        column, row = text.get_position()
        dark, light = sorted([luminance(text.get_color()), luminance(cells[row, column, :3])])
        contrasts.append((light + 0.05) / (dark + 0.05))
    assert min(contrasts) >= 4.5


@pytest.mark.parametrize("arguments, error, sentence", [
    (([], []), TypeError, "labels: expected integers or texts of shape (n,), got float64 of shape (0,): take argmax(axis=1) of "
     "rows, or astype(int) of whole numbers"),
    ((np.zeros(0, int), np.zeros(0, int)), ValueError,
     "expected labels and predictions of one length and kind, got int64 of shape (0,) and int64 of shape (0,)"),
    (([0, 1], [0]), ValueError,
     "expected labels and predictions of one length and kind, got int64 of shape (2,) and int64 of shape (1,)"),
    (([0, 1], ["0", "1"]), ValueError,
     "expected labels and predictions of one length and kind, got int64 of shape (2,) and <U1 of shape (2,)"),
    (([0, 1], np.eye(2)), TypeError, "predictions: expected integers or texts of shape (n,), got float64 of shape (2, 2): take "
     "argmax(axis=1) of rows, or astype(int) of whole numbers"),
    (([0, 1], [0.0, np.nan]), TypeError, "predictions: expected integers or texts of shape (n,), got float64 of shape (2,): take "
     "argmax(axis=1) of rows, or astype(int) of whole numbers"),
    (([0, 1], [0, -1], ["a", "b"]), ValueError, "classes: expected all labels and predictions among 0, 1, got -1"),
    ((["x", "y"], ["x", "x"], ["x"]), ValueError, "classes: expected all labels and predictions among x, got y"),
    (([0, 1], [0, 1], ["a", "a"]), ValueError, "classes: expected different names, got a, a")])
def test_confusion_refused(arguments, error, sentence):
    figure = matplotlib.figure.Figure()
    with pytest.raises(error) as caught:
        plots.confusion_matrix(*arguments, figure=figure)
    assert str(caught.value) == sentence and not figure.axes
