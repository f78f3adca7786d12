"""The cost on a plane: its values, computed anew with NumPy, the plane, projections, and that the network does not change."""

import pickle
import warnings
from io import BytesIO

import numpy as np
import pytest

import gpubp
from gpubp import plots
from gpubp.plots import surface
from tests.conftest import needs

matplotlib = needs("matplotlib")
from mpl_toolkits.mplot3d import Axes3D  # noqa: E402

RANDOM = np.random.default_rng(1)
X, Y = RANDOM.standard_normal((20, 3)), RANDOM.integers(0, 2, 20)
ONE_HOT = np.eye(2)[Y]


def network(device="cpu", **options):
    return gpubp.Network([3, 4, 2], cost="cross-entropy", dtype="float64", device=device, seed=1, **options)


def cost(vector, net):
    """The cross-entropy of sigmoid outputs, of a vector in the layout that Parameters describes."""
    line = lambda size: -(-size // 16) * 16   # numbers of 8 bytes on 128-byte lines
    parts, start = [], 0
    for shape in ((4, 3), (2, 4), (4,), (2,)):
        size = int(np.prod(shape))
        parts.append(vector[start:start + size].reshape(shape))
        start += line(size)
    w1, w2, b1, b2 = parts
    sigmoid = lambda z: 1.0 / (1.0 + np.exp(-z))
    a = sigmoid(sigmoid(X @ w1.T + b1) @ w2.T + b2)
    return -np.sum(ONE_HOT * np.log(a) + (1.0 - ONE_HOT) * np.log(1.0 - a)) / len(X)


def trained(net, epochs=12):
    with net.ops.device:   # where CuPy copies to
        walk = [net.vector.copy()]
        net.fit(X, Y, optimizer="sgd(1)", epochs=epochs, callbacks=lambda net: walk.append(net.vector.copy()))
    return walk


def drawn(*arguments, **options):
    """(the figure of cost_surface, u, v, heights of the surface in three dimensions)."""
    with pytest.MonkeyPatch.context() as patch:
        plot, seen = Axes3D.plot_surface, []
        patch.setattr(Axes3D, "plot_surface", lambda axes, *grid, **options: (seen.extend(grid), plot(axes, *grid, **options))[1])
        figure = plots.cost_surface(*arguments, **options)
    return figure, *map(np.ravel, seen)


def test_values(ops):
    """Corners of the surface have the costs that NumPy computes anew; the plane is that of three vectors."""
    net = network(ops)
    a, b, c = (ops.to_numpy(vector) for vector in trained(net)[::6])
    figure, u, v, heights = drawn(net, X, Y, through=[a, b, c], resolution=7)
    along = (b - a) / np.linalg.norm(b - a)
    across = (c - a) - ((c - a) @ along) * along
    across /= np.linalg.norm(across)
    assert len({*u.round(9)}) == len({*v.round(9)}) == 7
    expected = [cost(a + s * along + t * across, net) for s, t in zip(u, v)]
    assert heights == pytest.approx(expected, rel=1e-9)
    marks = [line.get_xydata()[0] for line in figure.axes[0].lines]
    for vector, (s, t) in zip((a, b, c), marks, strict=True):
        assert a + s * along + t * across == pytest.approx(vector)
    limits = *figure.axes[0].get_xlim(), *figure.axes[0].get_ylim()
    assert all(limits[0] < s < limits[1] and limits[2] < t < limits[3] for s, t in marks)


def test_contours_stand_at_their_costs():
    net = network()
    figure = plots.cost_surface(net, X, Y, resolution=41, span=0.5)
    plane = surface.random_plane(net, 0)
    where = surface.places(net)
    lines = figure.axes[0].collections[1]
    checked = 0
    for level, path in zip(lines.levels, lines.get_paths()):
        for point in path.vertices[::25]:
            vector = net.vector.copy()
            vector[where] = plane.origin + point @ plane.directions
            assert cost(vector, net) == pytest.approx(level, rel=0.01)
            checked += 1
    assert checked > 10 and figure.axes[0].get_xlim() == (-0.5, 0.5)


def test_directions_are_filter_normalised():
    net = network()
    first, second = surface.random_plane(net, 3).directions
    for direction in first, second:
        start = 0
        for name in "w1", "w2":
            w = net.parameters[name]
            d = direction[start:start + w.size].reshape(w.shape)
            assert np.linalg.norm(d, axis=1) == pytest.approx(np.linalg.norm(w, axis=1))
            start += w.size
        assert not direction[start:].any(), "biases stay"
    assert abs(first @ second) < 0.9 * np.linalg.norm(first) * np.linalg.norm(second)
    assert (surface.random_plane(net, 3).directions == [first, second]).all()
    assert (surface.random_plane(net, 4).directions != surface.random_plane(net, 3).directions).any()
    assert (surface.random_plane(net, 1).origin == net.vector[surface.places(net)]).all()


def test_a_quadratic_cost_is_a_parabola():
    """Without a hidden layer, along a line: the second differences are all the mean of |x d|^2."""
    net = gpubp.Network([3, 2], activation="identity", dtype="float64", seed=1)
    targets = RANDOM.standard_normal((20, 2))
    plane, ticks = surface.random_plane(net, 0), np.linspace(-1.0, 1.0, 9)
    for direction in range(2):
        points = np.zeros((9, 2))
        points[:, direction] = ticks
        costs = surface.costs_at(net.copy(), X, targets, plane, points)
        second = np.diff(costs, 2) / 0.25**2
        change = X @ plane.directions[direction][:6].reshape(2, 3).T
        assert second.tolist() == pytest.approx([np.sum(change**2) / len(X)] * 7, rel=1e-9)


def test_projection_of_a_trajectory_in_a_plane_is_exact():
    net = network()
    size = surface.places(net).size
    directions = np.linalg.qr(RANDOM.standard_normal((size, 2)))[0].T
    points = np.array([[0.0, 0.0], [3.0, 1.0], [4.0, -2.0], [6.0, 0.5]])
    walk = []
    for point in points:
        walk.append(net.vector.copy())
        walk[-1][surface.places(net)] += point @ directions
    plane = surface.principal_plane(surface.vectors(net, walk, "trajectory"))
    rows = surface.vectors(net, walk, "trajectory")
    found = surface.projected(plane, rows)
    assert plane.origin + found @ plane.directions == pytest.approx(rows, abs=1e-12)
    assert np.linalg.norm(found[0] - found[1]) == pytest.approx(np.sqrt(10.0)) and found[-1] == pytest.approx([0.0, 0.0])
    assert (found[0] >= 0.0).all()
    variances = np.linalg.eigvalsh(np.cov(points.T))[::-1]
    names = [f"principal component {i} ({100 * variances[i - 1] / variances.sum():.3g} % of variation)" for i in (1, 2)]
    figure = plots.cost_surface(net, X, Y, trajectory=walk, resolution=5)
    assert [figure.axes[0].get_xlabel(), figure.axes[0].get_ylabel()] == names == list(plane.names)
    line = figure.axes[0].lines[0].get_xydata()
    assert line == pytest.approx(found)
    assert [text.get_text() for text in figure.axes[0].texts] == ["A", "end"]
    assert [text.xy for text in figure.axes[0].texts] == [pytest.approx(found[0]), pytest.approx(found[-1])]
    heights = figure.axes[1].lines[0].get_data_3d()[2]
    assert heights == pytest.approx([cost(vector, net) for vector in walk], rel=1e-9)


def test_a_trajectory_beside_a_plane_is_projected_at_right_angles(device_ops):
    net = network(device_ops)
    walk = trained(net)
    walk[0] = device_ops.to_numpy(walk[0])   # as those of a network that moved to a GPU later
    figure = plots.cost_surface(net, X, Y, through=walk[:3], trajectory=walk, resolution=3)
    rows = np.stack([device_ops.to_numpy(vector) for vector in walk])
    basis = np.linalg.qr((rows[1:3] - rows[0]).T)[0]
    basis *= np.sign(np.sum(basis * (rows[1:3] - rows[0]).T, axis=0))
    assert figure.axes[0].lines[0].get_xydata() == pytest.approx((rows - rows[0]) @ basis)
    assert [text.get_text() for text in figure.axes[0].texts] == ["1", "2", "3", "A", "end"]


def test_padding_does_not_count():
    net = network()
    walk = trained(net)
    wrong = [vector + 100.0 * (~np.isin(np.arange(vector.size), surface.places(net))) for vector in walk]
    assert (wrong[0] != walk[0]).any()
    one, other = (np.stack(drawn(net, X, Y, trajectory=vectors, resolution=4)[1:]) for vectors in (walk, wrong))
    assert one == pytest.approx(other)


def test_wide_costs_have_logarithmic_colors_and_infinite_ones_none():
    net = gpubp.Network([3, 2], activation="identity", seed=1)
    net.fit(X, X[:, :2], optimizer="sgd(0.1)", epochs=20)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        wide = drawn(net, X, X[:, :2], span=3.0)
        narrow = drawn(net, X, X[:, :2] + 100.0)
        infinite = plots.cost_surface(net, X, X[:, :2], span=1e20)
        flat = plots.cost_surface(gpubp.Network([3, 2], activation="hard_tanh", seed=1), 1e9 * X, X[:, :2], span=1e-3)
    for (figure, u, v, heights), unit, targets in ((wide, lambda height: 10.0**height, X[:, :2]),
                                                   (narrow, lambda height: height, X[:, :2] + 100.0)):
        middle = heights[(u == 0.0) & (v == 0.0)]
        assert unit(middle) == pytest.approx([net.cost(X, targets)])
        ticks = figure.axes[2].yaxis
        labels = [float(ticks.get_major_formatter()(place)) for place in ticks.get_majorticklocs()]
        assert labels == pytest.approx([unit(place) for place in ticks.get_majorticklocs()], rel=0.05), "they are costs"
    points = np.array([[0.0, 0.0], [1e20, 0.0], [1e39, 0.0]])
    costs = surface.costs_at(net.copy(), X, X[:, :2], surface.random_plane(net, 0), points)
    assert costs.mask.tolist() == [False, True, True]
    assert infinite.axes and flat.axes


def test_the_network_does_not_change(ops):
    net = network(ops)
    walk = trained(net)
    before = pickle.dumps(net)
    plots.cost_surface(net, X, Y, trajectory=walk, resolution=3)
    plots.cost_surface(net, X, Y, resolution=3)
    with pytest.raises(ValueError):
        plots.cost_surface(net, X, Y + 5)
    assert pickle.dumps(net) == before


NET = network()
WALK = trained(network())


@pytest.mark.parametrize("options, sentence", [
    ({"x": X[:, :2]}, "x: expected rows of 3 for layer 1, got an array of shape (20, 2)"),
    ({"x": X * np.nan}, "x: expected finite numbers in float64, got nan at row 0, column 0: remove or replace such samples"),
    ({"x": X[:0], "y": Y[:0]}, "x: expected at least one row, got an empty array of shape (0, 3)"),
    ({"y": Y[1:]}, "y: expected one entry for each of the 20 rows of x, got shape (19,)"),
    ({"resolution": 1}, "expected resolution >= 2, got 1"),
    ({"span": 0.0}, "expected span to be a number in (0, inf), got 0.0"),
    ({"span": np.nan}, "expected span to be a number in (0, inf), got nan"),
    ({"seed": -1}, "expected a seed from 0 to 2**64 - 1 (or None), got -1"),
    ({"through": WALK[:2]}, "through: expected three vectors, got 2"),
    ({"through": WALK[:4]}, "through: expected three vectors, got 4"),
    ({"trajectory": WALK[:2]}, "trajectory: expected three vectors or more, got 2"),
    ({"trajectory": [WALK[0][:5]] * 3}, "expected a vector of shape (64,), as net.vector, got shape (5,)"),
    ({"trajectory": WALK[0]}, "expected a vector of shape (64,), as net.vector, got shape ()"),
    ({"trajectory": [WALK[0], WALK[1], WALK[2] * np.nan]},
     "expected finite parameters, got NaN or infinity in w1: load or build the network anew, or give it other values"),
    ({"through": [WALK[0], WALK[1], 3.0 * WALK[1] - 2.0 * WALK[0]]},
     "through: expected three vectors that span a plane, got three on a line: pass another one"),
    ({"through": [WALK[0], WALK[0], WALK[1]]},
     "through: expected three vectors that span a plane, got three on a line: pass another one"),
    ({"trajectory": [WALK[0]] * 9}, "trajectory: expected vectors that span a plane, got all on a line, or one point: append "
     "net.vector.copy(), because net.vector itself changes")])
def test_refusals(options, sentence):
    figure = matplotlib.figure.Figure()
    with pytest.raises(ValueError) as caught:
        plots.cost_surface(NET, **{"x": X, "y": Y, **options}, figure=figure)
    assert str(caught.value) == sentence and not figure.axes


def test_no_finite_cost_and_no_direction():
    net = gpubp.Network([3, 2], activation="identity", seed=1)
    net.vector[...] = 1e30
    with pytest.raises(ValueError, match=r"^expected finite costs on the plane, got none: pass a smaller span, or other vecto"):
        plots.cost_surface(net, 1e9 * X, X[:, :2], resolution=4)
    net.vector[...] = 0.0
    with pytest.raises(ValueError, match=r"^expected weights other than 0, from which directions have their lengths, got only"):
        plots.cost_surface(net, X, X[:, :2])


def test_costs_near_the_largest_number():
    net = gpubp.Network([2, 1], activation="identity", cost="quadratic", dtype="float64", seed=1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure = plots.cost_surface(net, np.eye(2), np.ones(2), span=3e153, resolution=7)
        figure.savefig(BytesIO())
    assert any("e+3" in text.get_text() for text in figure.axes[-1].get_yticklabels())
