"""The cost of a gradient of n parameters: one backpropagation against the n + 1 forward passes of finite differences.

    python benchmarks/finite_difference.py [--quick] [--device cpu] [--rounds 5]

One hidden layer; inputs, neurons and outputs have the same number; 10 samples; float64. Finite differences are gpubp.check's,
which evaluate the formulas directly with NumPy, on small networks faster than net.cost. While they take at most two seconds
they are computed and compared with backpropagation. Beyond that, n + 1 times one measured forward pass is an extrapolation,
and is marked as one.
"""

import sys
from math import isqrt
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))   # a checkout need not be installed

import gpubp
from benchmarks import report
from benchmarks.alternate import REST, alternating_processes, serve
from benchmarks.timing import seconds, window
from gpubp.layered.gradient_check import ReferenceNetwork, finite_differences

WEIGHTS = 100, 300, 1000, 3000, 10_000, 30_000, 100_000, 300_000, 1_000_000
QUICK = 100, 1000, 10_000
SAMPLES = 10
LONGEST = 2.0      # seconds of finite differences that are really computed
WINDOW = 0.1       # seconds, about
WAYS = {"pass": "one forward pass", "cost": "net.cost", "gradient": "backpropagation"}


def network(weights, device):
    """(network of about this many weights and biases, x, y)."""
    width = (isqrt(1 + 2 * weights) - 1) // 2
    net, random = gpubp.Network([width] * 3, device=device, dtype="float64", seed=1), np.random.default_rng(1)
    return net, random.random((SAMPLES, width)), random.random((SAMPLES, width))


def parameters(net):
    """The number of parameters, without the gaps between them."""
    return sum(view.size for _, view in net.parameters.items())


def prepare(way, weights, device, length):
    """(facts, a function that measures) for one way to a cost or a gradient."""
    net, x, y = network(weights, device)
    if way == "differences":
        return {"error": disagreement(net, x, y)}, lambda: seconds(net.ops, lambda: finite_differences(net, x, y))
    reference = ReferenceNetwork(net)
    call = {"pass": lambda: reference.cost(x, y), "cost": lambda: net.cost(x, y), "gradient": lambda: net.gradient(x, y)}[way]
    return {"parameters": parameters(net)}, window(net.ops, call, length)


def disagreement(net, x, y):
    """The difference of finite differences from backpropagation, relative to the norm of the gradient."""
    numeric, trace = finite_differences(net, x, y), net.trace(x, y)
    exact = {f"{kind}{l}": net.ops.to_numpy(found[l]) for l in (1, 2) for kind, found in (("w", trace.dw), ("b", trace.db))}
    squares = [sum((array**2).sum() for array in arrays)
               for arrays in ([numeric[name] - exact[name] for name in exact], exact.values())]
    return float(np.sqrt(squares[0] / squares[1]))


def measure(weights, device, rounds, length, rest, longest):
    """Figures for one number of parameters."""
    def candidate(way):
        return "benchmarks.finite_difference", "--serve", way, str(weights), device, str(length)
    times = alternating_processes({way: candidate(way) for way in WAYS}, rounds, rest)
    if missing := [answer for answer in times.values() if "median" not in answer]:
        raise RuntimeError(f"expected times of {weights:,} weights, got {missing[0]}")
    count = times["pass"]["facts"]["parameters"]
    differences = {"median": (count + 1) * times["pass"]["median"]}
    extrapolated = differences["median"] > longest
    if not extrapolated:
        differences = alternating_processes({"differences": candidate("differences")}, rounds, rest)["differences"]
    return {"parameters": count, "extrapolated": extrapolated, "differences": differences,
            "error": None if extrapolated else differences["facts"]["error"], **times}


def row(point):
    """A row of the table."""
    one, cost, back, many = (point[way]["median"] for way in (*WAYS, "differences"))
    return [f"{point['parameters']:,}", report.seconds(one), report.seconds(cost), report.seconds(back), f"{back / one:.1f}",
            report.seconds(many), "extrapolated" if point["extrapolated"] else "measured", f"{many / back:,.0f}",
            "–" if point["error"] is None else f"{point['error']:.0e}"]


def draw(axes, points, exponents):
    """Seconds by number of parameters; extrapolated points are hollow, their lines dashed."""
    n = np.array([point["parameters"] for point in points])
    for way, colour in (("pass", report.COLOURS[5]), ("gradient", report.COLOURS[0])):
        axes.plot(n, [point[way]["median"] for point in points], "o-", color=colour, markersize=5, linewidth=1.6,
                  label=rf"{WAYS[way]}, $\propto n^{{{exponents[way]:.2f}}}$")
    many, real = np.array([point["differences"]["median"] for point in points]), [not point["extrapolated"] for point in points]
    colour, made = report.COLOURS[4], sum(real)
    axes.plot(n[:made], many[:made], "o-", color=colour, markersize=5, linewidth=1.6,
              label=rf"n + 1 forward passes, measured, $\propto n^{{{exponents['differences']:.2f}}}$")
    if made < len(n):
        axes.plot(n[made - 1:], many[made - 1:], "o--", color=colour, markersize=5, linewidth=1.6, markerfacecolor="white",
                  markevery=range(1, len(n) - made + 1), label="(n + 1) × one pass, extrapolated")
    for times in (many, [point["gradient"]["median"] for point in points]):
        axes.annotate(report.seconds(times[-1]), (n[-1], times[-1]), (0, 8), textcoords="offset points", ha="center", va="bottom",
                      color=report.INK, fontsize=10, fontweight="bold")
    axes.set(xscale="log", yscale="log", xlabel="n, weights and biases", ylabel="seconds for one gradient")
    axes.margins(0.08, 0.12)
    axes.legend(frameon=False, fontsize=9)


def main(arguments=None):
    parser = report.parser(__doc__, device="cpu")
    parser.add_argument("--rounds", type=int, help="windows of each candidate (default 5, or 1 with --quick)")
    parser.add_argument("--serve", nargs="+", metavar="WORD", help="internal: run as one of the candidates")
    options = parser.parse_args(arguments)
    if options.serve:
        way, weights, device, length = options.serve
        serve(lambda: prepare(way, int(weights), device, float(length)))
        return 0
    report.opened(parser, options.device)
    sizes, rounds, length, rest, longest = (QUICK, 1, 1e-3, 0.0, 0.15) if options.quick else (WEIGHTS, 5, WINDOW, REST, LONGEST)
    points = []
    for weights in sizes:
        points.append(measure(weights, options.device, options.rounds or rounds, length, rest, longest))
        report.say(f"{weights:,} weights: {', '.join(row(points[-1])[1:])}")
    n, real = [point["parameters"] for point in points], [point for point in points if not point["extrapolated"]]
    exponents = {way: report.exponent(n, [point[way]["median"] for point in points]) for way in WAYS}
    exponents["differences"] = report.exponent([point["parameters"] for point in real],
                                               [point["differences"]["median"] for point in real])
    columns = ["weights", "one pass", "net.cost", "backpropagation", "in passes", "n + 1 passes", "",
               "times backpropagation", "difference"]
    report.publish("finite_difference", "The cost of one gradient, by finite differences and by backpropagation",
                   {"device": options.device, "samples": SAMPLES, "exponents": exponents, "points": points}, columns,
                   [row(point) for point in points], lambda axes: draw(axes, points, exponents), folder=options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
