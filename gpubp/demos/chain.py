"""Why backpropagation, and not one derivative at a time.

The chain rule is written out for every weight of a small network. Backpropagation computes what these products share once.
Multiplications are counted, and finite differences are timed.
"""

from collections import Counter
from functools import partial
from itertools import pairwise
from math import prod
from time import perf_counter

import numpy as np

from ..devices.random import checked_seed
from ..layered.gradient_check import ReferenceNetwork, finite_differences
from ..layered.network import Network
from ..pages.page import escaped
from ..plots.figures import COLORS, Canvas
from .story import colored

SIZES = 1, 2, 2, 1
COUNTED = SIZES, (10,) * 3, (10,) * 4, (10,) * 5, (784, 30, 10), (784, 100, 100, 10)
WIDTHS, SAMPLES = (3, 10, 24, 70, 220, 707), 10
MEASURED = 24   # the widest network whose finite differences are really computed
LONG = 0.05     # seconds for which a call is repeated
UNITS = ("days", 86400.0), ("h", 3600.0), ("min", 60.0), ("s", 1.0), ("ms", 1e-3), ("us", 1e-6)


def run(story, seed):
    seed = checked_seed(seed)
    net, x, y = small_network(seed)
    trace, marks = net.trace([[x]], [[y]]), shared_factors(SIZES)
    _chain_rule(story, net, trace, x, y, factor_values(net, trace, y), marks)
    _equations(story, trace, marks)
    _multiplications(story)
    times = _times(story, seed)
    return partial(_drawn, net, trace, times)


def small_network(seed):
    """(a network of SIZES whose weights have one decimal, x, y)."""
    net, random = Network(SIZES, device="cpu:numpy", dtype="float64", seed=seed), np.random.default_rng(seed)
    for _, view in net.parameters.items():
        view[...] = np.round(random.uniform(0.3, 1.5, view.shape) * random.choice([-1.0, 1.0], view.shape), 1)
    return net, float(np.round(random.uniform(0.5, 1.5), 1)), float(random.integers(2))


def named(kind, sizes, l, j):
    """The name of a number of neuron j of layer l, such as z2[1]; a layer of one neuron needs no index."""
    return ("x" if kind + str(l) == "a0" else f"{kind}{l}") + f"[{j + 1}]" * (sizes[l] > 1)


def _weight(l, j, k):
    return f"w{l}[{j + 1},{k + 1}]"


def neurons(sizes):
    """(l, j) of all neurons but the inputs, the last layer first."""
    return [(l, j) for l in range(len(sizes) - 1, 0, -1) for j in range(sizes[l])]


def delta_terms(sizes, l, j):
    """BP1 and BP2: ({factor: the neuron whose delta it multiplies, or None}, sigma') in delta of neuron j of layer l."""
    prime = f"s'({named('z', sizes, l, j)})"
    if l == len(sizes) - 1:
        return {f"({named('a', sizes, l, j)} - y{f'[{j + 1}]' * (sizes[l] > 1)})": None}, prime
    return {_weight(l + 1, m, j): (l + 1, m) for m in range(sizes[l + 1])}, prime


def paths(sizes, l, j):
    """The chain rule for dC/dz of a neuron: the factors along each path from the cost to the neuron."""
    terms, prime = delta_terms(sizes, l, j)
    return [(*path, factor, prime) for factor, after in terms.items() for path in (paths(sizes, *after) if after else [()])]


def written_out(sizes):
    """{(l, j, k): [factors of a product, ...]}: dC/dw_l[j, k] is the sum of these products."""
    return {(l, j, k): [(*path, named("a", sizes, l - 1, k)) for path in paths(sizes, l, j)]
            for l, j in neurons(sizes) for k in range(sizes[l - 1])}


def factor_values(net, trace, y):
    """{factor: its value} of everything in the products."""
    found = {named("a", net.sizes, l, k): trace.a[l][0, k] for l in range(net.depth) for k in range(net.sizes[l])}
    for l, j in neurons(net.sizes):
        terms, prime = delta_terms(net.sizes, l, j)
        z, a = trace.z[l][0, j], trace.a[l][0, j]
        found[prime] = net.layers[l - 1].activation.prime(np, z, a)
        for factor, after in terms.items():
            found[factor] = net.parameters[f"w{l + 1}"][after[1], j] if after else net.cost_function.prime(np, a, y)
    return {factor: float(value) for factor, value in found.items()}


def delta_factors(sizes):
    """[(factor, the neuron whose delta it is in)] of all deltas, as BP1 and BP2 compute them."""
    return [(factor, neuron) for neuron in neurons(sizes) for terms, prime in [delta_terms(sizes, *neuron)]
            for factor in (*terms, prime)]


def shared_factors(sizes):
    """{factor: (letter, color of its delta, number of products)} of the factors of deltas that are in several products."""
    uses = Counter(factor for sums in written_out(sizes).values() for factors in sums for factor in factors[:-1])
    colors = {factor: 1 + neurons(sizes).index(neuron) for factor, neuron in delta_factors(sizes)}
    return {factor: (chr(ord("A") + i), colors[factor], uses[factor])
            for i, factor in enumerate(factor for factor in uses if uses[factor] > 1)}


def by_paths(sizes):
    """The multiplications if every derivative is written out by itself."""
    last = len(sizes) - 1
    return sum(sizes[l] * sizes[l - 1] * prod(sizes[l + 1:]) * 2 * (last - l + 1) for l in range(1, last + 1))


def own_passes(sizes):
    """The multiplications if every derivative computes the deltas that it needs, and keeps none of them for the others."""
    total, after = 0, 0   # after: for all deltas of the later layers
    for l in range(len(sizes) - 1, 0, -1):
        total += sizes[l] * sizes[l - 1] * (after + multiplications(sizes, l) + 1)
        after += sizes[l] * multiplications(sizes, l)
    return total


def together(sizes):
    """The multiplications of BP1, BP2 and BP4."""
    return sum(multiplications(sizes, l) for l, _ in neurons(sizes)) + weights(sizes)


def multiplications(sizes, l):
    """The multiplications for delta of one neuron of layer l from the deltas of the next layer."""
    return sizes[l + 1] + 1 if l < len(sizes) - 1 else 1


def weights(sizes):
    return sum(m * n for m, n in pairwise(sizes))


def _marked(factor, marks, text):
    """A text about a factor, in the color of the delta that it belongs to if it is shared."""
    return colored(text, marks[factor][1]) if factor in marks else text


def _chain_rule(story, net, trace, x, y, values, marks):
    story.heading("1. The chain rule, for each weight by itself")
    output = f"a{net.depth}"
    story.paragraph(f"""
        A network of {"-".join(map(str, SIZES))} neurons has {weights(SIZES)} weights. For the input x = {x:g} its output is
        {output} = {trace.a[-1][0, 0]:.4f}, and the target is y = {y:g}. The cost is C = ({output} - y)^2 / 2. The activation s is
        the sigmoid, and s' is its derivative. The chain rule multiplies the factors along a path from the
        cost back to a weight. Where there are several paths, it adds their products. Each number stands
        below its factor, and a letter marks a factor that is in several products:
        """)
    lines, apart = [], 0.0
    for (l, j, k), sums in written_out(SIZES).items():
        exact, found = trace.dw[l][j, k], sum(prod(map(values.get, factors)) for factors in sums)
        apart = max(apart, abs(found - exact))
        lines.append(f"dC/d{_weight(l, j, k)} = {found:.6f}, by net.trace {exact:.6f}")
        for i, factors in enumerate(sums):
            numbers = [f"{marks[factor][0] + ' ' if factor in marks else ''}{values[factor]:.3f}" for factor in factors]
            for texts, start, sign in ((factors, "+ " if i else "  ", " * "), (numbers, "  ", "   ")):
                cells = (_marked(factor, marks, text.ljust(max(len(factor), len(number))))
                         for factor, number, text in zip(factors, numbers, texts))
                lines.append((start + sign.join(cells)).rstrip())
    story.aside("\n".join(lines))
    story.paragraph(f"""
        The products differ from net.trace, which uses backpropagation, by at most {apart:.1g}. This is how
        often each shared factor is used:
        """)
    uses = Counter(factor for factor, _ in delta_factors(SIZES))
    story.table(("factor", "value", "written out", "backpropagation"), *(
        (f"{letter}  {factor}", values[factor], f"{count}", f"{uses[factor]}") for factor, (letter, _, count) in marks.items()))
    _widget(story, values, marks)


def _equations(story, trace, marks):
    story.heading("2. Four equations compute each shared factor once")
    story.paragraph("""
        Many products begin with the same factors. Backpropagation computes such a beginning once for each
        neuron, summed over the paths, and calls it delta = dC/dz. BP1 is the delta of the output. BP2
        goes backward from each delta to those before it:
        """)
    delta = partial(named, "delta", SIZES)
    lines = []
    for l, j in neurons(SIZES):
        terms, prime = delta_terms(SIZES, l, j)
        parts = " + ".join(_marked(factor, marks, factor) + (f" * {delta(*after)}" if after else "")
                           for factor, after in terms.items())
        lines.append(f"BP{1 + any(terms.values())}  {delta(l, j)} = {f'({parts})' if len(terms) > 1 else parts} * "
                     f"{_marked(prime, marks, prime)}")
    story.aside("\n".join(lines))
    l, j = neurons(SIZES)[-1]
    story.paragraph(f"""
        BP3: the input of a bias is 1, so dC/d{named("b", SIZES, l, j)} = {delta(l, j)} = {trace.db[l][j]:.6f}.
        BP4 multiplies the delta after a weight by the activation before it. These are the derivatives of section 1 again:
        """)
    story.aside("\n".join(f"BP4  dC/d{_weight(*at)} = {delta(*at[:2])} * {sums[0][-1]} = {trace.delta[at[0]][0, at[1]]:.6f} * "
                          f"{trace.a[at[0] - 1][0, at[2]]:.6f} = {trace.dw[at[0]][at[1:]]:.6f}"
                          for at, sums in written_out(SIZES).items()))


def _multiplications(story):
    shallow, deep = COUNTED[-4:-2]
    story.heading("3. Counting multiplications")
    story.paragraph(f"""
        How many multiplications give all derivatives, after the forward pass? Written out, the products
        grow with the number of paths: from {"-".join(map(str, shallow))} to {"-".join(map(str, deep))}, there are
        {by_paths(deep) / by_paths(shallow):.1f} times as many multiplications. It is better if each derivative
        computes the deltas that it needs, but keeps none of them for the others. Backpropagation keeps them. The last column
        divides the two:
        """)
    story.table(("layers", "weights", "written out", "own deltas", "backprop", "ratio"), *(
        ("-".join(map(str, sizes)), *(f"{count(sizes):,}" for count in (weights, by_paths, own_passes, together)),
         f"{own_passes(sizes) / together(sizes):,.1f}") for sizes in COUNTED))


def _times(story, seed):
    """[(parameters, seconds of backpropagation, of finite differences, their error or None if they are extrapolated)]"""
    times, rows = [], []
    for width in WIDTHS:
        net, random = Network([width] * 3, device="cpu:numpy", dtype="float64", seed=seed), np.random.default_rng(seed)
        x, y = random.random((SAMPLES, width)), random.random((SAMPLES, width))
        n, error = sum(view.size for _, view in net.parameters.items()), None
        (one, _), (back, _) = _fastest(partial(ReferenceNetwork(net).cost, x, y)), _fastest(partial(net.gradient, x, y))
        seconds = (n + 1) * one
        if width <= MEASURED:
            seconds, found = _fastest(partial(finite_differences, net, x, y))
            error = _error(found, net, net.trace(x, y))
        times.append((n, back, seconds, error))
        rows.append((f"{n:,}", *map(_duration, (one, back, seconds)), "extrapolated" if error is None else "measured",
                     f"{seconds / back:,.0f}"))
    errors = [error for *_, error in times if error is not None]
    story.heading("4. Finite differences")
    story.paragraph(f"""
        Without the chain rule, one can change each weight and bias a little and compute the cost again. For n
        of them this takes n + 1 forward passes. Backpropagation takes one forward and one backward
        pass. We measure both on this computer, on networks with one hidden layer, for {SAMPLES} samples. We do
        not wait for the {len(times) - len(errors)} largest: extrapolated means n + 1 times one measured pass.
        """)
    story.table(("n", "one pass", "backprop", "n + 1 passes", "", "ratio"), *rows)
    n, back, seconds, _ = times[-1]
    story.paragraph(f"""
        One gradient of {n:,} numbers takes {_duration(back)} by backpropagation and {_duration(seconds)} by finite
        differences, and learning takes many thousands of gradients. Finite differences are also inexact:
        the measured ones differ from backpropagation by up to {max(errors):.0e} of the largest derivative.
        They are good for checking a gradient, and gpubp check uses them for that.
        """)
    return times


def _fastest(call):
    """(seconds of the fastest of several calls, what it returns)"""
    seconds: list[float] = []
    while sum(seconds) < LONG or len(seconds) < 5:
        start = perf_counter()
        found = call()
        seconds.append(perf_counter() - start)
    return min(seconds), found


def _error(found, net, trace):
    """The largest error of numerical derivatives, relative to the largest derivative."""
    exact = {f"{kind}{l}": of[l] for kind, of in (("w", trace.dw), ("b", trace.db)) for l in range(1, net.depth + 1)}
    return max(np.abs(found[name] - exact[name]).max() for name in exact) / max(np.abs(of).max() for of in exact.values())


def _duration(seconds):
    unit, size = next(((unit, size) for unit, size in UNITS if seconds >= size), UNITS[-1])
    return f"{seconds / size:.3g} {unit}"


def _widget(story, values, marks):
    """Buttons for the derivatives, and the factors that they share."""
    derivatives = {}
    for (l, j, k), sums in written_out(SIZES).items():
        needed = {named("delta", SIZES, *neuron): multiplications(SIZES, neuron[0]) for neuron in neurons(SIZES)
                  if neuron[0] > l or neuron == (l, j)}
        derivatives[f"dC/d{_weight(l, j, k)}"] = {"products": sums, "deltas": needed}
    buttons = "".join(f'<button type="button" aria-pressed="false">{name}</button>' for name in derivatives)
    factors = "\n".join(f'<span class="c{color}" data-factor="{escaped(factor)}">{letter}\u00a0{escaped(factor)}</span>'
                        for factor, (letter, color, _) in marks.items())
    story.widget(f"""
        <p>Choose derivatives. The shared factors that they need light up:</p>
        <div class="controls" id="chain" role="group" aria-label="derivatives">{buttons}</div>
        <p id="chain-factors">{factors}</p><p id="chain-text" aria-live="polite"></p>""",
                 ["chain.js"], chain={"values": values, "derivatives": derivatives})


def _drawn(net, trace, times, path=None):
    """The picture: the small network, the multiplications by depth, and the time of a gradient by the number of parameters."""
    canvas = Canvas(path)
    figure = canvas.opened(11, 7.5)
    axes = figure.subplot_mosaic([["net", "net"], ["counts", "times"]], height_ratios=[0.8, 1.0])
    _draw_network(axes["net"], net, trace)
    depths = range(1, 9)
    for count, label, color in ((by_paths, "each derivative written out", 5), (own_passes, "each with its own deltas", 0),
                                (together, "backpropagation", 1)):
        axes["counts"].plot(depths, [count((10,) * (depth + 1)) for depth in depths], "o-", color=COLORS[color], label=label)
    axes["counts"].set(yscale="log", xlabel="layers of 10 neurons after the input", ylabel="multiplications",
                       title="all derivatives after a forward pass")
    n, back, differences, errors = zip(*times)
    real = len(n) - errors.count(None)
    axes["times"].plot(n[:real], differences[:real], "o-", color=COLORS[5], label="finite differences, measured")
    axes["times"].plot(n[real - 1:], differences[real - 1:], "o--", color=COLORS[5], markerfacecolor="white",
                       markevery=range(1, len(n) - real + 1), label="finite differences, extrapolated")
    axes["times"].plot(n, back, "o-", color=COLORS[1], label="backpropagation, measured")
    axes["times"].set(xscale="log", yscale="log", xlabel="weights and biases", ylabel="seconds", title="time of one gradient")
    for name in ("counts", "times"):
        axes[name].grid(alpha=0.3)
        axes[name].legend(fontsize=8)
    return canvas.saved()


def _draw_network(axes, net, trace):
    """The network as a graph; a neuron, its delta and the weights that its delta is computed with have one color."""
    place = lambda l, j: (3.0 * l, (net.sizes[l] - 1) / 2.0 - j)
    colors = dict(zip(neurons(net.sizes), ("tab:red", "tab:green", "tab:orange", "tab:blue", "tab:purple")))
    for l, j, k in written_out(net.sizes):
        (x0, y0), (x1, y1) = place(l - 1, k), place(l, j)
        axes.plot((x0, x1), (y0, y1), color=colors.get((l - 1, k), "gray"), zorder=1)
        axes.text(0.7 * x0 + 0.3 * x1, 0.7 * y0 + 0.3 * y1, f"{_weight(l, j, k)} = {net.parameters[f'w{l}'][j, k]:g}",
                  fontsize=8, ha="center", va="center", bbox={"facecolor": "white", "edgecolor": "none", "pad": 1})
    for l, j in [(0, 0), *neurons(net.sizes)]:
        x, y, color = *place(l, j), colors.get((l, j), "gray")
        axes.plot(x, y, "o", markersize=44, color="white", markeredgecolor=color, markeredgewidth=2, zorder=2)
        axes.text(x, y, f"{named('a', net.sizes, l, j)}\n{trace.a[l][0, j]:.3f}", ha="center", va="center", fontsize=9, zorder=3)
        if l:
            axes.text(x, y - 0.42, f"{named('delta', net.sizes, l, j)} = {trace.delta[l][0, j]:.4f}", ha="center", va="top",
                      fontsize=9, color=color)
    axes.set(xlim=(-0.8, 3.0 * net.depth + 0.8), ylim=(-1.2, 1.1), title="the small network: each delta is computed once")
    axes.axis("off")
