"""Decision boundaries: regions equal predictions, points have the colors of their classes, and wrong arguments are refused."""

import numpy as np
import pytest

import gpubp
from gpubp import plots
from gpubp.plots.boundary import SIDE
from tests.conftest import needs

matplotlib = needs("matplotlib")

X = np.random.default_rng(1).standard_normal((60, 2))
RINGS = np.digitize(np.hypot(*X.T), [0.8, 1.5])


def regions(axes):
    """(grid (n, 2), place of the predicted class at each point) of a picture."""
    image, = axes.images
    left, right, bottom, top = image.get_extent()
    half = [(right - left) / SIDE / 2, (top - bottom) / SIDE / 2]
    ticks = np.linspace(left + half[0], right - half[0], SIDE), np.linspace(bottom + half[1], top - half[1], SIDE)
    return np.stack(np.meshgrid(*ticks), axis=-1).reshape(-1, 2), image.get_array().ravel()


def lines(axes):
    """The points of each solid or dashed line."""
    return [collection.get_paths()[0].vertices for collection in axes.collections if len(collection.get_paths()[0].vertices)
            and isinstance(collection, matplotlib.contour.QuadContourSet)]


def groups(axes):
    """The points of each class."""
    return [collection.get_offsets().tolist() for collection in axes.collections
            if isinstance(collection, matplotlib.collections.PathCollection)]


def agreement(predicted, axes):
    """The share of the picture where the region is what `predicted` says."""
    grid, found = regions(axes)
    return (np.asarray(predicted(grid)) == found).mean()


def test_scores():
    points, labels = np.array([[0.0, 0.0], [1.0, 1.0], [2.0, 0.0]]), np.array([-1, 1, 1])
    figure = plots.decision_boundary({"one": (lambda x: x[:, :1] - 0.5, points, labels),
                                      "none": (lambda x: 0.0 * x[:, 0] + 2.0, points, labels)})
    assert [axes.get_title() for axes in figure.axes] == ["one", "none"]
    assert all(groups(axes) == [points[:1].tolist(), points[1:].tolist()] for axes in figure.axes)
    assert [set(line[:, 0].round(6)) for line in lines(figure.axes[0])] == [{0.5}, {1.5}], "-1 is beyond the picture"
    assert agreement(lambda grid: grid[:, 0] > 0.5, figure.axes[0]) == 1.0 and agreement(lambda grid: 1, figure.axes[1]) == 1.0
    assert [collection.get_linestyles()[0][1] is None for collection in figure.axes[0].collections[:2]] == [True, False]


def test_scores_of_several_classes():
    """Their largest decides, and the first of equals; the boundary of two scores is where they are equal."""
    axes, = plots.decision_boundary(lambda x: np.stack([x[:, 0], x[:, 1], 0.0 * x[:, 0]], axis=1), X, RINGS).axes
    assert agreement(lambda grid: np.stack([*grid.T, 0.0 * grid[:, 0]]).argmax(axis=0), axes) == 1.0
    ends = np.concatenate(lines(axes))
    largest = np.sort(np.stack([*ends.T, 0.0 * ends[:, 0]]), axis=0)
    assert np.abs(largest[-1] - largest[-2]).max() < 0.02, "a line is off where three classes meet by less than a pixel"
    assert groups(axes) == [X[c == RINGS].tolist() for c in range(3)]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["0", "1", "2"]
    plain = [axes.images[0].get_array() for y in (np.eye(3)[RINGS], RINGS.astype(float))
             for axes in plots.decision_boundary(lambda x: np.stack([*x.T, 0.0 * x[:, 0]], axis=1), X, y).axes]
    assert all((array == axes.images[0].get_array()).all() for array in plain)
    tied, = plots.decision_boundary(lambda x: np.zeros((len(x), 3)), X, RINGS).axes
    assert agreement(lambda grid: 0, tied) == 1.0


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int8, np.float16])
def test_scores_of_small_types(dtype):
    """Their differences do not overflow: the lines are those of the same scores in float64."""
    largest = 1 if dtype is bool else 100
    scores = lambda x: np.where(np.stack([x[:, 0] < 0, x[:, 0] >= 0], axis=1), largest, -largest if dtype is np.int8 else 0)
    axes, same = plots.decision_boundary({"small": (lambda x: scores(x).astype(dtype), X, RINGS > 0),
                                          "same": (lambda x: scores(x).astype(float), X, RINGS > 0)}).axes
    assert lines(axes) and all((one == other).all() for one, other in zip(lines(axes), lines(same), strict=True))


@pytest.mark.parametrize("points", [
    np.array([[-100, 100], [100, -100]], np.int8), np.array([[0, 255], [255, 0]], np.uint8),
    np.array([[-6e4, 6e4], [6e4, -6e4]], np.float16), 1e-6 * np.array([[1.0, 2.0], [3.0, 5.0]]), 1e9 + np.eye(2)])
def test_the_picture_holds_the_points_with_a_margin(points):
    """Of any type and any scale."""
    axes, = plots.decision_boundary(lambda x: x[:, 0] - x[:, 0].mean(), points, [0, 1]).axes
    left, right, bottom, top = axes.images[0].get_extent()
    low, high = points.astype(float).min(axis=0), points.astype(float).max(axis=0)
    assert np.allclose([(low - [left, bottom]) / (high - low), ([right, top] - high) / (high - low)], 0.15, atol=0.01)


@pytest.mark.parametrize("point", [0.0, 3.0, -1e6])
def test_one_point_has_room(point):
    axes, = plots.decision_boundary(lambda x: x[:, 0] - point, [[point, point]], [0]).axes
    left, right, _, _ = axes.images[0].get_extent()
    assert left < point < right and np.isclose(right - left, 0.2 * max(1.0, abs(point)), rtol=0.01)


def test_predicted_labels():
    """Integers are labels and no scores, whose boundary would be at 0."""
    axes, = plots.decision_boundary(lambda x: np.where(x[:, 0] > 0, 7, 3), X, np.where(RINGS == 0, 3, 5)).axes
    assert agreement(lambda grid: np.where(grid[:, 0] > 0, 2, 0), axes) == 1.0
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["3", "5", "7"]
    assert groups(axes) == [X[RINGS == 0].tolist(), X[RINGS > 0].tolist(), []]
    assert np.abs(np.concatenate(lines(axes))[:, 0]).max() < np.ptp(X[:, 0]) / 100


def test_many_classes_have_as_many_colors():
    labels = np.arange(60) % 12
    axes, = plots.decision_boundary(lambda x: np.abs(x[:, :1] - np.linspace(-2, 2, 12)), X, labels).axes
    looks = {(tuple(collection.get_facecolor()[0]), collection.get_paths()[0].vertices.tobytes())
             for collection in axes.collections if isinstance(collection, matplotlib.collections.PathCollection)}
    assert len({color for color, _ in looks}) == len(looks) == 12


NETWORKS = {
    "sigmoid": ({"layers": [2, 8, 1], "cost": "cross-entropy"}, (RINGS > 0).astype(int)),
    "column": ({"layers": [2, 8, 1], "cost": "quadratic", "standardize": True}, (RINGS > 0)[:, None].astype(float)),
    "hinge": ({"layers": [2, 8, 1], "cost": "hinge"}, 2 * (RINGS > 0) - 1),
    "softmax": ({"layers": [2, 8, 3], "cost": "cross-entropy", "output": "softmax"}, RINGS),
    "one-hot": ({"layers": [2, 8, 3], "cost": "cross-entropy"}, np.eye(3)[RINGS])}


@pytest.mark.parametrize("kind", NETWORKS)
def test_networks(ops, kind):
    """Regions are those of net.predict: a sigmoid has its boundary at 0.5, a hinge at 0; the network does not change."""
    options, y = NETWORKS[kind]
    net = gpubp.Network(**options, activation="tanh", device=ops, seed=1)
    net.fit(X, y, optimizer="adam(0.05)", epochs=20)
    before, task = ops.to_numpy(net.vector).copy(), net.task
    axes, = plots.decision_boundary(net, X, y).axes
    codes = np.array([-1, 1] if kind == "hinge" else range(3))
    grid, found = regions(axes)
    assert (codes[found.astype(int)] == net.predict(grid)).mean() > 0.999 and len(np.unique(found)) > 1
    truth = RINGS if options["layers"][-1] == 3 else RINGS > 0
    assert groups(axes) == [X[truth == c].tolist() for c in np.unique(truth)]
    assert (before == ops.to_numpy(net.vector)).all() and net.task == task
    out = net.feedforward(np.concatenate(lines(axes)))
    if kind in ("sigmoid", "column"):
        assert np.abs(out - 0.5).max() < 0.02, "a line is within the grid's interpolation of 0.5"
    elif kind == "hinge":
        assert np.abs(out - out.round()).max() < 0.05 and {*out.round().ravel()} <= {-1.0, 0.0, 1.0}


def test_device_arrays(device_ops):
    net = gpubp.Network([2, 3], cost="cross-entropy", device=device_ops, seed=1)
    axes, = plots.decision_boundary(net, device_ops.asarray(X, np.float32), device_ops.asarray(RINGS, np.int64)).axes
    assert groups(axes) == [X[c == RINGS].astype(np.float32).tolist() for c in range(3)]


def test_an_untrained_network_keeps_no_task():
    net = gpubp.Network([2, 1], seed=1)
    plots.decision_boundary(net, X, (RINGS > 0).astype(int))
    assert net.task is None


NET = gpubp.Network([2, 3], cost="cross-entropy", seed=1)
TWO = RINGS > 0


@pytest.mark.parametrize("arguments, error, sentence", [
    (({},), ValueError, "expected at least one decision to draw, {title: (score, points, labels)}, got none"),
    ((len, np.zeros(4), np.ones(4)), ValueError, "expected points of shape (n, 2) and labels of shape (n,), got (4,) and (4,)"),
    ((len, np.zeros((0, 2)), np.ones(0)), ValueError,
     "expected points of shape (n, 2) and labels of shape (n,), got (0, 2) and (0,)"),
    ((len, X, TWO[1:]), ValueError, "expected points of shape (n, 2) and labels of shape (n,), got (60, 2) and (59,)"),
    ((len,), TypeError, "expected points and labels beside the model, got None: pass decision_boundary(model, x, y)"),
    (({"a": (len, X, TWO)}, X, TWO), TypeError,
     "expected x and y in {title: (model, x, y)}, got them as arguments, too: leave them out"),
    ((3, X, TWO), TypeError, "expected a network or a function of rows (n, 2), got 3"),
    ((lambda x: x[:, 0], X * np.nan, TWO), ValueError, "x: expected finite numbers, got NaN or infinity: remove or replace them"),
    ((lambda x: x[:, 0] / 0, X, TWO), ValueError, "scores: expected finite numbers, got NaN or infinity: remove or replace them"),
    ((lambda x: x[:, 0], X, TWO.astype(str)), TypeError, "y: expected an array of real numbers, got dtype <U5: "
     "np.unique(labels, return_inverse=True)[1] makes numbers of text"),
    ((lambda x: x[:9], X, TWO), ValueError,
     "expected scores of shape (n,) or (n, classes) for n = 40000 rows, got (9, 2)"),
    ((lambda x: x[:, 0], X, RINGS), ValueError,
     "y: expected labels (n,) of two classes, such as 0 and 1, for one score of each row, got shape (60,) with the values "
     "0, 1, 2: renumber the labels, or return a score for each class"),
    ((lambda x: x[:, 0], X, TWO + 1), ValueError,
     "y: expected labels (n,) of two classes, such as 0 and 1, for one score of each row, got shape (60,) with the values "
     "1, 2: renumber the labels, or return a score for each class"),
    ((lambda x: x, X, RINGS), ValueError,
     "y: expected labels from 0 to 1 for 2 scores of each row, got 0 to 2: renumber the labels"),
    ((lambda x: x, X, 2 * TWO - 1), ValueError,
     "y: expected labels from 0 to 1 for 2 scores of each row, got -1 to 1: renumber the labels"),
    ((lambda x: x, X, TWO + 0.5), ValueError, "y: expected integer labels of shape (n,), got float64 of shape (60,)"),
    ((lambda x: x[:, 0] > 0, X, X), ValueError, "y: expected integer labels of shape (n,), got float64 of shape (60, 2)"),
    ((NET, X, RINGS + 1), ValueError, "y: expected labels from 0 to 2 for 3 outputs, got 3 at row 11: give the last layer more "
     "neurons or renumber the labels"),
    ((NET, X[:, [0, 1, 1]], RINGS), ValueError, "x: expected rows of 2 for layer 1, got an array of shape (60, 3)"),
    ((gpubp.Network([3, 2], seed=1), X, RINGS), ValueError,
     "expected a network with 2 inputs, got one with 3: pass a function of rows (n, 2) that fills in the other inputs"),
    ((gpubp.Network([2, 1], task="regression", seed=1), X, TWO), ValueError,
     "expected a network of task 'classification', got 'regression': pass a function of scores, such as "
     "lambda x: net.feedforward(x)[:, 0] - 0.5, whose boundary is at 0"),
    ((gpubp.Network([2, 2], seed=1), X, np.stack([TWO, TWO], axis=1)), ValueError,
     "expected a network of task 'classification', got 'multi-label': pass a function of scores, such as "
     "lambda x: net.feedforward(x)[:, 0] - 0.5, whose boundary is at 0")])
@pytest.mark.filterwarnings("ignore:divide by zero:RuntimeWarning")
def test_refusals(arguments, error, sentence):
    """Nothing is drawn into the figure that was given."""
    figure = matplotlib.figure.Figure()
    with pytest.raises(error) as caught:
        plots.decision_boundary(*arguments, figure=figure)
    assert str(caught.value) == sentence
    assert not figure.axes
