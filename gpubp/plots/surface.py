"""The cost of a network as a function of all its parameters, on a plane through the space of parameters."""

from collections.abc import Sequence
from math import prod
from os import PathLike
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from ..devices.random import PLANE, checked_seed, generator
from ..layered.call_arrays import check_shape, checked_arrays
from ..layered.dlpack import is_on_gpu
from ..layered.input_checks import array_of, checked_int
from ..layered.network import Network
from ..maths.validation import number
from .figures import Canvas, checked, map_of_costs, mark_point

WIDE = 20.0   # the ratio of costs from which on their colors are logarithmic
MARGIN = 0.25   # of the extent of the points on the plane, on each side
FLAT = 1e-6   # relative to the longest side, points are on a line up to rounding


class Plane(NamedTuple):
    """origin + u directions[0] + v directions[1], without the padding of net.vector, and points (u, v) by their names."""

    origin: np.ndarray
    directions: np.ndarray
    names: tuple[str, ...]
    marks: dict[str, np.ndarray]


def cost_surface(net: Network, x: ArrayLike, y: ArrayLike, *, through: Sequence[ArrayLike] | None = None,
                 trajectory: Sequence[ArrayLike] | None = None, seed: int = 0, span: float | None = None, resolution: int = 25,
                 path: str | PathLike | None = None, figure: object = None) -> Any:
    """A matplotlib Figure of the cost on a plane through the space of all parameters: contours, and in three dimensions.

    The plane is that of `through`; else that of the two principal components of `trajectory`, through its last vector; else it
    has two random directions from net.vector, which are filter-normalised: the incoming weights of each neuron are as long as
    the network's, and biases stay (Li et al., Visualizing the loss landscape of neural nets, NeurIPS 2018). The network does not
    change. The cost is that of net.cost, without penalties of an optimizer. Costs that are not finite are left out. Colors and
    heights are logarithmic if the largest cost is above 20 times the least one, and that is above 0.

    Parameters
    ----------
    net : Network
    x, y : as for fit
    through : three vectors like net.vector, optional
        They span the plane. Axes are distances from the first, towards the second and at right angles to that.
    trajectory : vectors like net.vector, optional
        For example of fit(..., callbacks=lambda net: trajectory.append(net.vector.copy())). It is drawn from its start A to
        its end, projected orthogonally on the plane. The names of the principal components have their shares of its variation
        about its mean.
    seed : int, default 0
        Of the random directions.
    span : float, optional
        How far the axes reach to both sides of the middle. None is 1 for random directions, a change as large as the weights;
        else it shows all vectors with a margin of a quarter of their extent, and the shorter axis at least a quarter of the
        longer one.
    resolution : int, default 25
        Costs are computed at resolution**2 points.
    path : str or path, optional
        A .png, .svg or .pdf file to write.
    figure : Figure or SubFigure of matplotlib, optional
        Draw into it, and return it; path then saves the whole figure.

    Raises
    ------
    ValueError, TypeError, ImportError, OSError
        An argument is not as described or as for net.cost, the vectors span no plane, or no cost is finite; otherwise as
        learning_curve.

    >>> import numpy as np, gpubp
    >>> net = gpubp.Network([2, 3, 1], seed=1)
    >>> figure = cost_surface(net, np.eye(2), [0, 1], resolution=5)
    >>> figure.axes[0].get_xlabel()
    'random direction 1'
    """
    canvas, resolution = Canvas(path, figure), checked_int("resolution", resolution, 2)
    span = None if span is None else number("span", span, "(0, inf)")
    net = checked(net, Network).copy()   # whose parameters change
    walk = None if trajectory is None else vectors(net, trajectory, "trajectory")
    if through is not None:
        plane = plane_through(vectors(net, through, "through"))
    else:
        plane = random_plane(net, seed) if walk is None else principal_plane(walk)
    walk = None if walk is None else projected(plane, walk)
    ticks = grid(np.array([*plane.marks.values(), *(() if walk is None else walk)]), span, resolution)
    across = np.stack(np.meshgrid(*ticks), axis=-1)
    costs = costs_at(net, x, y, plane, across.reshape(-1, 2)).reshape(across.shape[:2])
    if not costs.count():
        raise ValueError("expected finite costs on the plane, got none: pass a smaller span, or other vectors")
    heights = None if walk is None else costs_at(net, x, y, plane, walk)
    _draw(canvas.opened(10.5, 4.4), plane.names, across, costs, plane.marks, walk, heights)
    return canvas.saved()


def places(net):
    """Where the parameters are in net.vector, which has padding between them."""
    return np.concatenate([view.ravel() for view in net.parameters.views(np.arange(net.vector.size)).values()])


def vectors(net, given, name):
    """Three or more vectors like net.vector as rows of float64 on the host, without padding."""
    found = [without_padding(net, vector, name) for vector in given]
    if len(found) < 3 or (name == "through" and len(found) > 3):
        raise ValueError(f"{name}: expected three vectors{'' if name == 'through' else ' or more'}, got {len(found)}")
    return np.stack(found)


def without_padding(net, vector, name):
    if is_on_gpu(vector) and hasattr(vector, "get"):   # CuPy's, of any GPU: fit may have moved the network since
        vector = vector.get()
    with net.ops.device, np.errstate(all="ignore"):
        check_shape(net, vector)
        vector = array_of(net, vector, name)
        net.parameters.require_finite(net.ops.asarray(vector, net.dtype))
        return net.ops.to_numpy(vector).astype(np.float64)[places(net)]


def random_plane(net, seed):
    """Two filter-normalised random directions from net.vector."""
    random, origin = generator(checked_seed(seed), PLANE), without_padding(net, net.vector, "net.vector")
    directions = np.zeros((2, origin.size))
    for direction in directions:
        first = 0
        for shape in net.parameters.shapes.values():
            part = slice(first, first := first + prod(shape))
            if len(shape) == 2:   # biases stay
                d, w = random.standard_normal(shape), origin[part].reshape(shape)
                direction[part] = (d * (np.linalg.norm(w, axis=1) / np.linalg.norm(d, axis=1))[:, None]).ravel()
    if not directions.any():
        raise ValueError("expected weights other than 0, from which directions have their lengths, got only 0: pass through=...")
    return Plane(origin, directions, ("random direction 1", "random direction 2"), {"network": np.zeros(2)})


def plane_through(rows):
    first, toward, other = rows[0], rows[1] - rows[0], rows[2] - rows[0]
    length, far = np.linalg.norm(toward), np.linalg.norm(other)
    toward = toward / (length or 1.0)
    along = toward @ other
    other = other - along * toward
    height = np.linalg.norm(other)
    if not length or height <= FLAT * far:
        raise ValueError("through: expected three vectors that span a plane, got three on a line: pass another one")
    return Plane(first, np.stack([toward, other / height]), ("towards 2 (distance from 1)", "towards 3 (at right angles)"),
                 dict(zip("123", np.array([[0.0, 0.0], [length, 0.0], [along, height]]))))


def principal_plane(rows):
    """The plane of the first two principal components, with the start of the rows on the positive sides of the last one."""
    _, sizes, directions = np.linalg.svd(rows - rows.mean(axis=0), full_matrices=False)
    if not sizes[1] > FLAT * sizes[0]:
        raise ValueError("trajectory: expected vectors that span a plane, got all on a line, or one point: append "
                         "net.vector.copy(), because net.vector itself changes")
    shares = 100.0 * sizes**2 / np.sum(sizes**2)
    directions = directions[:2] * np.where(directions[:2] @ (rows[0] - rows[-1]) < 0.0, -1.0, 1.0)[:, None]
    names = tuple(f"principal component {i + 1} ({shares[i]:.3g} % of variation)" for i in range(2))
    return Plane(rows[-1], directions, names, {})


def projected(plane, rows):
    """The points (u, v) of rows, on a plane whose directions are orthonormal."""
    return (rows - plane.origin) @ plane.directions.T


def grid(points, span, resolution):
    """The ticks of both axes."""
    low, high = points.min(axis=0), points.max(axis=0)
    half = (0.5 + MARGIN) * (high - low)
    half = np.maximum(half, half.max() / 4 or 1.0) if span is None else np.full(2, span)
    return [np.linspace(*ends, resolution) for ends in zip(0.5 * (low + high) - half, 0.5 * (low + high) + half)]


def costs_at(net, x, y, plane, points):
    """The costs at points (u, v), masked where they are not finite; net is left at the last one."""
    where, vector, costs = places(net), np.zeros(net.vector.size), np.full(len(points), np.nan)
    with net.access, net.ops.device, np.errstate(all="ignore"):
        arrays = checked_arrays(net, x, y)
        for i, point in enumerate(points):
            vector[where] = plane.origin + point @ plane.directions
            rounded = vector.astype(net.dtype)
            if np.isfinite(rounded).all():
                net.vector[...] = net.ops.asarray(rounded, net.dtype)
                costs[i] = float(net.inference.cost(*arrays))
    return np.ma.masked_invalid(costs)


def _draw(figure, names, across, costs, marks, walk, heights):
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    wide = costs.min() > 0.0 and costs.max() > WIDE * costs.min()
    scaled = np.ma.log10 if wide else lambda values: values
    ticks = FuncFormatter(lambda height, _: f"{10.0**min(height, 308.0):.2g}" if wide else f"{height:.4g}")
    u, v = np.moveaxis(across, -1, 0)
    flat, solid = figure.add_subplot(1, 2, 1), figure.add_subplot(1, 2, 2, projection="3d", computed_zorder=False)
    map_of_costs(flat, u, v, scaled(costs), ticks)
    solid.plot_surface(u, v, scaled(costs).filled(np.nan), cmap="viridis", rcount=len(u), ccount=len(u), linewidth=0)
    if walk is not None:
        for axes, line in (flat, walk.T), (solid, (*walk.T, scaled(heights).filled(np.nan))):
            axes.plot(*line, ".-", color="tab:red", markersize=4, linewidth=1.2, zorder=5)
        marks = marks | {"A": walk[0], "end": walk[-1]}
    for name, point in marks.items():
        mark_point(flat, name, point, "*" if name in ("network", "end") else "o")
    flat.set(xlabel=names[0], ylabel=names[1])
    solid.set(xlabel=names[0].partition(" (")[0], ylabel=names[1].partition(" (")[0])
    for axis in (solid.xaxis, solid.yaxis, solid.zaxis):
        axis.set_major_locator(MaxNLocator(5))
    solid.zaxis.set_major_formatter(ticks)
