"""The cost as a surface over all weights, and gradient descent on it.

First for a neuron with two weights, whose surface can be drawn, then for a network.
"""

from functools import partial

import numpy as np

from ..circuits import grad, hessian, value_and_grad
from ..devices.random import checked_seed
from ..layered.network import Network
from ..maths.activations import sigmoid, sine
from ..maths.costs import quadratic
from ..maths.javascript import entry_members, script_object
from ..maths.optimizers import SGD
from ..plots import cost_surface
from ..plots.figures import COLORS, Canvas, map_of_costs, mark_point

SAMPLES, STEPS, SHOWN = 16, 40, (0, 1, 2, 3, 5, 10, 20, 40)
SHARES = {"too small": 0.01, "good": 0.5, "too large": 5.0}   # of the limit of the learning rate, 2 / curvature
SIDE, WAVE_STEPS, WAVE_SHARE = 12, 400, 0.25   # starts along each axis
SAME = 1e-4   # a cost above the lowest one by less is as low
SIZES, EACH, EPOCHS, RATE, BATCH = [2, 6, 1], 60, 60, 0.5, 20   # of the network; EACH: points in each class
NODES, VIEW = 61, 120   # along each axis of a drawn surface; degrees between A and the viewer

WIDGET = f"""<h2>Try it: the start, the learning rate, the number of steps</h2>
<p>Drag the start A, or move it with the arrow keys. The bluer, the lower; F is the lowest point.</p>
<div class="surface"><div class="controls">
<label style="flex-basis: 18rem">Surface <select style="width: 100%">
<option value="sigmoid">one valley: a = sigma(w1 x1 + w2 x2)</option>
<option value="sine">several valleys: a = sin(w1 x1 + w2)</option></select></label>
<label>Learning rate <output name="rate-text"></output>
<input type="range" name="rate" min="-2" max="3" step="any"></label>
<label>Steps <output name="steps-text"></output><input type="range" name="steps" min="0" max="{WAVE_STEPS}"></label>
<button type="button">Reset</button></div>
<canvas tabindex="0" role="application" style="width: 100%; touch-action: none; border-radius: 0.4rem"></canvas>
<div class="wide"><table><thead><tr><th></th><th>w1</th><th>w2</th><th>cost</th></tr></thead><tbody>
<tr><td>start A</td><td></td><td></td><td></td></tr><tr><td>end</td><td></td><td></td><td></td></tr>
<tr><td>lowest F</td><td></td><td></td><td></td></tr></tbody></table></div>
<p class="verdict" aria-live="polite"></p></div>"""


class Surface:
    """The cost C(w1, w2) of one neuron on samples x (n, 2), whose targets come from the weights `teacher`, plus noise.

    lowest is the minimum near the teacher, by Newton's method, and limit is 2 / the largest curvature there. low and high are
    the corners of the part to be drawn.
    """

    def __init__(self, activation, x, teacher, noise, low, high):
        self.activation, self.x, self.y, self.low, self.high = activation, x, activation(x @ teacher) + noise, low, high
        gradient, curvatures, w = grad(self.cost), hessian(self.cost), teacher
        for _ in range(10):
            w = w - np.linalg.solve(curvatures(w), gradient(w))
        self.lowest, self.limit = w, float(2.0 / np.linalg.eigvalsh(curvatures(w))[-1])

    def cost(self, w):
        """C at weights of shape (..., 2), the mean over the samples."""
        return np.mean(quadratic.value(np, self.activation(w @ self.x.T), self.y), axis=-1)

    def descend(self, w, rate, steps):
        """The weights at the start and after each step of gradient descent, from one start (2,) or several (m, 2)."""
        gradient, path = grad(lambda w: np.sum(self.cost(w))), [w]   # each start has its own term of the sum
        for _ in range(steps):
            path.append(path[-1] - rate * gradient(path[-1]))
        return np.array(path)

    def beginning(self, start, rate, steps):
        """What the page needs: the samples, and the descent that it begins with, for JSON."""
        return {"x": self.x.tolist(), "y": self.y.tolist(), "low": self.low, "high": self.high, "lowest": self.lowest.tolist(),
                "start": start.tolist(), "rate": rate, "steps": steps}


def run(story, seed):
    random = np.random.default_rng(checked_seed(seed))
    surface, start = _valley(story, random)
    left = _rates(story, surface, start)
    waves, right, wrong = _waves(story, random)
    rows = {"sigmoid": surface.beginning(start, SHARES["good"] * surface.limit, STEPS),
            "sine": waves.beginning(wrong[0], WAVE_SHARE * waves.limit, WAVE_STEPS)}
    formulas = {name: entry_members(entry) for name, entry in (("sigmoid", sigmoid), ("sine", sine), ("cost", quadratic))}
    story.widget(WIDGET, ("surface.js",), f"const surfaceFormulas = {script_object(formulas)};", surfaces=rows)
    return partial(_drawn, surface, start, left, waves, right, wrong, _network(story, random))


def _valley(story, random):
    around = np.linspace(0.0, 2.0 * np.pi, SAMPLES, endpoint=False) + random.uniform(-0.15, 0.15, SAMPLES)
    x = random.uniform(0.8, 2.0, (SAMPLES, 1)) * np.stack([1.3 * np.cos(around), 0.8 * np.sin(around)], axis=1)
    angle = 0.5 * np.pi * (random.integers(4) + 0.5) + random.uniform(-0.3, 0.3)
    teacher, noise = 1.2 * np.array([np.cos(angle), np.sin(angle)]), random.uniform(-0.15, 0.15, SAMPLES)
    surface = Surface(sigmoid, x, teacher, noise, (-4.0, -4.0), (4.0, 4.0))
    angle += random.choice([-1.0, 1.0]) * random.uniform(1.8, 2.6)   # on the other side of 0
    start = 3.0 * np.array([np.cos(angle), np.sin(angle)])
    rate = SHARES["good"] * surface.limit
    path = surface.descend(start, rate, STEPS)
    story.heading("1. The cost is a surface")
    story.paragraph(f"""
        A neuron with two weights computes a = sigma(w1 x1 + w2 x2), where sigma(z) = {sigmoid.formula}.
        It has {SAMPLES} samples x with targets y. The targets follow a neuron with w1 = {teacher[0]:.2f} and
        w2 = {teacher[1]:.2f}, but noise was added. The cost C is the mean of {quadratic.formula} over the
        samples. The samples are given, so C depends only on the weights: C(w1, w2) is the height of a
        surface above the plane of w1 and w2. The picture shows it in three dimensions, and as a map,
        whose contours join weights of equal cost.

        Gradient descent starts at a random point A. The gradient points in the direction in which the
        cost rises fastest, and its length says how steep the surface is there. Each step goes the
        opposite way:
            w = w - learning rate * gradient
        With the learning rate {rate:.4g}, gpubp.value_and_grad gives at each step:
        """)
    found = [(step, path[step], *value_and_grad(surface.cost)(path[step])) for step in SHOWN]
    story.table(("step", "w1", "w2", "cost", "length of the gradient"),
                *((f"{step}{' = A' * (step == 0)}", *w, cost, f"{_length(slope):.1e}") for step, w, cost, slope in found))
    story.paragraph(f"""
        The lowest point F has w1 = {surface.lowest[0]:.4f} and w2 = {surface.lowest[1]:.4f}. We found it in another
        way, by Newton's method, which also uses second derivatives (gpubp.hessian). After {STEPS} steps,
        gradient descent is {_length(path[-1] - surface.lowest):.1g} away from F. The cost at F is
        {surface.cost(surface.lowest):.4f}, and not 0: no weights fit the noise.
        """)
    return surface, start


def _rates(story, surface, start):
    """{learning rate: the shares of the descent that are still ahead, step by step}"""
    limit, least = surface.limit, surface.cost(surface.lowest)
    paths = {name: surface.descend(start, share * limit, STEPS) for name, share in SHARES.items()}
    left = {name: (surface.cost(path) - least) / (surface.cost(start) - least) for name, path in paths.items()}
    away = {name: _length(path[-1] - surface.lowest) for name, path in paths.items()}
    rises = np.sum(np.diff(left["too large"]) > 1e-9)   # and not by rounding
    end = (f"the steps jump across the valley, and {rises} of the {STEPS} steps raised the cost" if rises else
           "no step raised the cost, but they led far away, to a plateau where the gradient has length "
           f"{_length(grad(surface.cost)(paths['too large'][-1])):.1e}")
    story.heading("2. The learning rate")
    story.paragraph(f"""
        Near F the surface is curved like a bowl. At a distance d from F, the gradient is about
        curvature * d, so a step changes d to d - rate * curvature * d. With a rate above 2 / curvature,
        that is on the other side of F and farther away than before. The largest curvature at F is
        {2.0 / limit:.4f}, so the limit is {limit:.2f}. We take {STEPS} steps from A with three learning rates. "Left" is
        the share of the descent, C(A) - C(F), still ahead:
        """)
    story.table(("learning rate", "rate", "rate / limit", "cost", "left", "distance from F"),
                *((name, f"{share * limit:.4g}", f"{share:g}", f"{surface.cost(paths[name][-1]):.6f}", f"{left[name][-1]:.2%}",
                   away[name]) for name, share in SHARES.items()))
    story.paragraph(f"""
        The small rate goes the right way, but {left["too small"][-1]:.0%} of the descent is still ahead. The good
        rate has reached F up to {away["good"]:.1g}. With the large rate {end}.
        """)
    return left


def _waves(story, random):
    x = np.stack([np.linspace(-2.0, 2.0, SAMPLES) + random.uniform(-0.1, 0.1, SAMPLES), np.ones(SAMPLES)], axis=1)
    teacher, noise = random.uniform([2.7, -1.0], [3.3, 1.0]), random.uniform(-0.2, 0.2, SAMPLES)
    surface = Surface(sine, x, teacher, noise, (0.0, -np.pi), (6.0, np.pi))
    ticks = (np.linspace(*ends, SIDE + 2)[1:-1] for ends in zip(surface.low, surface.high))
    starts = np.stack(np.meshgrid(*ticks, indexing="ij"), axis=-1).reshape(-1, 2)
    paths = surface.descend(starts, WAVE_SHARE * surface.limit, WAVE_STEPS)
    costs, least = surface.cost(paths[-1]), surface.cost(surface.lowest)
    reached = costs <= least + SAME
    right, wrong = _neighbours(paths, reached, surface)
    story.heading("3. Several valleys")
    story.paragraph(f"""
        This neuron computes a = sin(w1 x1 + w2): its second input is always 1, so w2 is a bias. Its
        {SAMPLES} targets follow a sine wave with noise. Waves that are too long or too short fit a part of
        the samples, so the surface has several valleys. The lowest cost is {least:.4f}, at
        w1 = {surface.lowest[0]:.2f}, w2 = {surface.lowest[1]:.2f}. (It is the same at w2 + 2 pi: the valleys repeat.) With small
        steps, gradient descent only goes downhill, to the bottom of one valley. From {len(costs)} starts on
        a grid, {np.sum(reached)} ({np.mean(reached):.0%}) reach the lowest cost in {WAVE_STEPS} steps. The others end at
        costs from {costs[~reached].min():.4f} on. Here are two starts that are neighbours on the grid:
        """)
    story.table(("", "w1, start", "w2, start", "w1, end", "w2, end", "cost"),
                *((name, *paths[0, i], *paths[-1, i], costs[i]) for name, i in (("the lowest valley", right),
                                                                                ("a wrong valley", wrong))))
    story.paragraph(f"""
        At the end of the second path the gradient has length {_length(grad(surface.cost)(paths[-1, wrong])):.1g}. It does
        not tell that a lower valley exists.
        """)
    return surface, paths[:, right], paths[:, wrong]


def _neighbours(paths, reached, surface):
    """(right, wrong): starts beside each other of which only the first reaches the lowest cost. Their ends are far apart, and
    their paths stay inside the drawn part if there are such ones."""
    inside = np.all((paths >= surface.low) & (paths <= surface.high), axis=(0, 2))
    places = np.arange(SIDE * SIDE).reshape(SIDE, SIDE)
    beside = [*zip(places[1:].flat, places[:-1].flat), *zip(places[:, 1:].flat, places[:, :-1].flat)]
    pairs = [(i, j) if reached[i] else (j, i) for i, j in beside if reached[i] != reached[j]]
    return max(pairs, key=lambda pair: (inside[list(pair)].all(), _length(np.subtract(*paths[-1, pair]))))


def _network(story, random):
    """The function that draws the cost of a trained network on a plane through its path."""
    labels, angle = np.repeat([0, 1], EACH), random.uniform(0.0, np.pi, 2 * EACH)
    side = 1 - 2 * labels
    x = np.stack([labels + side * np.cos(angle), 0.5 * labels + side * np.sin(angle)], axis=1)
    x += 0.1 * random.standard_normal(x.shape)
    net = Network(SIZES, activation="tanh", cost="cross-entropy", device="cpu:numpy", dtype="float64",
                  seed=int(random.integers(2**32)))
    count = sum(values.size for _, values in net.parameters.items())
    before, trajectory = net.cost(x, labels), [net.vector.copy()]
    net.fit(x, labels, optimizer=SGD(RATE), epochs=EPOCHS, batch_size=BATCH, progress=False,
            callbacks=lambda net: trajectory.append(net.vector.copy()))
    variances = np.linalg.svd(trajectory - np.mean(trajectory, axis=0), compute_uv=False) ** 2
    first, second = variances[:2] / variances.sum()
    story.heading(f"4. A network: a surface above {count} dimensions")
    story.paragraph(f"""
        The network {" - ".join(map(str, SIZES))} has {count} weights and biases. It learns to separate two interleaved
        half-moons of {EACH} points each. All its weights and biases are one vector, net.vector, a point in
        {count} dimensions, and the cost is a surface above them. In {EPOCHS} epochs of mini-batches of {BATCH}, the
        point moves downhill: the cost goes from {before:.4f} to {net.cost(x, labels):.4f}, and {net.score(x, labels):.1%} of the
        points are classified correctly.

        Nobody can draw {count} dimensions. The picture shows a slice: the plane through the end of the path
        in the two directions in which the path varies most, its principal components. They have {first:.1%}
        and {second:.1%} of the path's variation, {first + second:.1%} together. The path is projected onto the
        plane; the other {count - 2} directions are not seen.
        """)
    return partial(cost_surface, net, x, labels, trajectory=trajectory)


def _drawn(surface, start, left, waves, right, wrong, network, path=None):
    """The picture: the surface and its map, the learning rates, the surface with several valleys, and that of the network."""
    canvas = Canvas(path)
    top, bottom = canvas.opened(10, 12.5).subfigures(2, 1, height_ratios=(2, 1))
    solid = top.add_subplot(2, 2, 1, projection="3d", computed_zorder=False)
    flat, rates, several = (top.add_subplot(2, 2, i) for i in (2, 3, 4))
    walk = surface.descend(start, SHARES["good"] * surface.limit, STEPS)
    solid.plot_surface(*_map(flat, surface, {f"{STEPS} steps with the good learning rate": walk}), cmap="viridis",
                       rcount=NODES // 2, ccount=NODES // 2, linewidth=0, alpha=0.9)
    solid.plot(*walk.T, surface.cost(walk), ".-", color=COLORS[5], zorder=5)
    for name, point in ("A", start), ("F", surface.lowest):
        solid.text(*point, surface.cost(point), name, fontweight="bold", zorder=6)
    solid.view_init(azim=np.degrees(np.arctan2(start[1], start[0])) + VIEW)
    solid.set_box_aspect(None, zoom=0.9)
    solid.set(title="Height: the cost of a neuron with two weights", xlabel="w1", ylabel="w2")
    flat.set_title("The same as a map: from A to the lowest point F")
    for (name, share), color, style in zip(SHARES.items(), COLORS[1:], (":", "-", "--")):
        rates.plot(left[name], style, color=color, label=f"{name}: {share:g} of the limit")
    rates.set(title="Learning rates, relative to 2 / curvature", xlabel="step", yscale="log", ylim=(1e-6, 10.0),
              ylabel="share of the descent still ahead")
    rates.grid(alpha=0.3)
    rates.legend()
    _map(several, waves, {f"to {name} valley: cost {waves.cost(walk[-1]):.3f}": walk
                          for name, walk in (("the lowest", right), ("a wrong", wrong))})
    several.set_title("Several valleys: two neighbouring starts")
    network(figure=bottom)
    bottom.suptitle("The cost of a network on a plane through its path")
    return canvas.saved()


def _map(axes, surface, walks):
    """Draw contours of a surface and {label: path} on it; returns (w1, w2, cost) of its nodes."""
    w1, w2 = np.meshgrid(*(np.linspace(*ends, NODES) for ends in zip(surface.low, surface.high)))
    cost = surface.cost(np.stack([w1, w2], axis=-1))
    map_of_costs(axes, w1, w2, cost)
    for (label, walk), color in zip(walks.items(), (COLORS[5], COLORS[3])):
        axes.plot(*walk.T, ".-", color=color, label=label)
        mark_point(axes, "A", walk[0])
    mark_point(axes, "F", surface.lowest, "*")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=2, fontsize=8)   # below, where no path can be
    axes.set(xlabel="w1", ylabel="w2", xlim=(surface.low[0], surface.high[0]), ylim=(surface.low[1], surface.high[1]))
    return w1, w2, cost


def _length(vector):
    return float(np.linalg.norm(vector))
