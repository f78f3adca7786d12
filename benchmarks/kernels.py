"""Fused kernels against their unfused formulas, which make one temporary per operation, and against a plain copy.

    python benchmarks/kernels.py [--quick] [--rounds 5] [--only TEXT]

Runs on every available device. GB/s count the fewest bytes that must be moved, for fused and unfused alike; unfused formulas
move more, which is what is measured. Kernels that work in place can exceed the copy, whose target must be fetched first. Each
candidate has its own process, and they take turns. With a GPU, kernels-cuda.* are written too.
"""

import sys
from functools import partial
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))   # a checkout need not be installed

from benchmarks import report
from benchmarks.alternate import REST, alternating_processes, serve
from benchmarks.gpu_kernels import verbs
from benchmarks.gpu_peers import LeftOutError
from benchmarks.timing import filled, window
from gpubp.devices import open_device
from gpubp.maths import reference
from gpubp.maths.activations import ACTIVATIONS
from gpubp.maths.costs import COSTS
from gpubp.maths.gradient_transforms import Chain

FAMILIES = {"kernels": ("cpu:numpy", "cpu:compiled"), "kernels-cuda": ("cuda",)}   # by the array module of the unfused formulas
ELEMENTS = {"kernels": 1 << 24, "kernels-cuda": 1 << 28}   # per array: 64 MiB and 1 GiB, larger than the caches
QUICK = 1 << 14
WIDTH = 1024
WINDOW = 0.15      # seconds, about
RATE = 0.5         # of dropout


def unfused(ops, elements, width):
    """{name: function that allocates and returns the call} for the verbs, with one NumPy operation per line of the formula."""
    xp, shape, rows = ops.xp, (elements // width, width), elements // width
    matrix, column = partial(filled, ops, shape, np.float32), lambda: filled(ops, (rows, 1), np.float32)
    narrow = filled(ops, width, np.float32, 1e-3)

    def layer(activation):
        row, z = ACTIVATIONS.find(activation), matrix()
        return lambda: row.of(xp, z + narrow)

    def activation_backward(activation):
        row, delta, z, a = ACTIVATIONS.find(activation), matrix(), matrix(), matrix()
        return lambda: reference.times_prime(xp, row, delta, z, a).sum(axis=0)

    def output(cost, activation):
        cost, row, x, y, weights = COSTS.find(cost), ACTIVATIONS.find(activation), matrix(), matrix(), column()

        def call():
            z = x + narrow
            a = row.of(xp, z)
            delta = weights * reference.first_delta(xp, cost, row, z, a, y)
            return delta.sum(axis=0), weights * reference.costs(xp, cost, row, z, a, y)
        return call

    def dropout():
        a, random = matrix(), xp.random.default_rng(1)
        return lambda: a * (random.random(shape, dtype=np.float32) < 1.0 - RATE) / (1.0 - RATE)

    def step(optimizer):
        chain = Chain.of(optimizer)
        vector, gradient = filled(ops, elements, np.float32), filled(ops, elements, np.float32)
        values = [vector, *(ops.zeros(elements, np.float32) for _ in chain.state)]
        scalars = [float(scalar) for scalar in chain.scalars(1, 1e-6, rows)]

        def call():
            changed = chain.rule(xp, *values, gradient, 0.0, 1.0, *scalars)
            values[:] = changed if isinstance(changed, tuple) else [changed]
        return call

    def gather():
        x, order = matrix(), ops.asarray(np.random.default_rng(1).permutation(rows))
        return lambda: x[order]

    return {"layer sigmoid": partial(layer, "sigmoid"), "layer relu": partial(layer, "relu"),
            "activation_backward sigmoid": partial(activation_backward, "sigmoid"),
            "activation_backward relu": partial(activation_backward, "relu"),
            "output quadratic sigmoid": partial(output, "quadratic", "sigmoid"),
            "output cross-entropy softmax": partial(output, "softmax_cross_entropy", "softmax"),
            "dropout": dropout, "step sgd": partial(step, "sgd(1e-6)"), "step adam": partial(step, "adam(1e-6)"),
            "gather": gather}


def prepare(how, device, verb, elements, length):
    """(facts, a function that measures) for one candidate: "fused", "unfused", or "copy" for any verb."""
    try:
        ops = open_device(device)
    except (ValueError, RuntimeError) as error:
        raise LeftOutError(str(error)) from error
    if how == "copy":
        a, b = filled(ops, elements, np.float32), ops.zeros(elements, np.float32)
        call, moved = ops.cast(a, b), 2 * a.nbytes
    elif how == "fused":
        call, moved = verbs(ops, elements, WIDTH)[verb]()
    else:
        call, moved = unfused(ops, elements, WIDTH)[verb](), None
    return {"bytes": moved}, window(ops, call, length)


def measure(devices, elements, rounds, length, rest, only=""):
    """{verb: {candidate: figures with gb_per_s, or left_out, or failed}}."""
    plain_on = "cuda" if devices == ("cuda",) else "cpu:numpy"
    candidates = {"unfused": ("unfused", plain_on), **{device: ("fused", device) for device in devices},
                  **{f"copy {device}": ("copy", device) for device in devices}}
    found = {}
    for verb in filter(lambda verb: only in verb, unfused(open_device("cpu:numpy"), WIDTH, WIDTH)):
        answers = alternating_processes({
            name: ("benchmarks.kernels", "--serve", *how, verb, str(elements), str(length)) for name, how in candidates.items()},
            rounds, rest)
        moved = next((answers[device]["facts"]["bytes"] for device in devices if "facts" in answers[device]), None)
        found[verb] = {name: _with_rate(answer, moved) for name, answer in answers.items()}
        report.say(f"{verb}: " + ", ".join(f"{name} {rate(answer)}" for name, answer in found[verb].items()))
    return found


def _with_rate(answer, moved):
    """Figures with GB/s, from the bytes of a copy or those that the verb must move."""
    if "median" not in answer:
        return answer
    moved = answer["facts"]["bytes"] or moved
    rates = {word: moved / answer[time] / 1e9 for word, time in (("median", "median"), ("lowest", "highest"),
                                                                 ("highest", "lowest"))}
    return {**answer, "gb_per_s": rates}


def rate(answer):
    """GB/s as in the table."""
    if "gb_per_s" not in answer:
        return "left out" if "left_out" in answer else "failed"
    rates = answer["gb_per_s"]
    return f"{rates['median']:.1f} ({rates['lowest']:.1f} to {rates['highest']:.1f})"


def best(answers, names):
    """(name, GB/s) of the fastest candidate, or None."""
    rates = {name: answers[name]["gb_per_s"]["median"] for name in names if "gb_per_s" in answers.get(name, {})}
    return max(rates.items(), key=lambda pair: pair[1]) if rates else None


def row(verb, answers, devices):
    """A row of the table."""
    fused, copy, plainly = (best(answers, names) for names in (devices, [f"copy {device}" for device in devices], ["unfused"]))
    times = f"{fused[1] / plainly[1]:.1f}" if fused and plainly else "–"
    part = f"{100 * fused[1] / copy[1]:.0f} %" if fused and copy else "–"
    return [verb, rate(answers["unfused"]), *(rate(answers[device]) for device in devices),
            f"{copy[1]:.1f}" if copy else "–", times, part]


def draw(axes, found, devices):
    """A line for each verb with a dot for each candidate, and the bandwidth of a copy."""
    places = list(range(len(found)))[::-1]
    limits = []
    for place, answers in zip(places, found.values()):
        copy = best(answers, [f"copy {device}" for device in devices])
        limits += [copy[1]] if copy else []
        dots = [answers[name]["gb_per_s"]["median"] for name in ("unfused", *devices) if "gb_per_s" in answers[name]]
        if dots:
            axes.plot([min(dots), max(dots)], [place, place], color=report.FAINT, linewidth=1, alpha=0.6, zorder=1)
    for name, colour in zip(("unfused", *devices), (report.COLOURS[4], *report.COLOURS)):
        dots = [(answers[name]["gb_per_s"], place) for answers, place in zip(found.values(), places)
                if "gb_per_s" in answers[name]]
        if dots:
            rates = np.array([[rate[word] for word in ("lowest", "median", "highest")] for rate, _ in dots]).T
            axes.errorbar(rates[1], [place for _, place in dots], xerr=[rates[1] - rates[0], rates[2] - rates[1]], fmt="o",
                          color=colour, markersize=7, linewidth=1, zorder=3,
                          label=name if name == "unfused" else f"fused, {name}")
    if limits:
        axes.axvline(np.median(limits), color=report.INK, linestyle="--", linewidth=1.2, label="a plain copy")
    axes.set(xscale="log", xlabel="GB/s of the fewest bytes that must be moved", ylim=(-0.6, len(found) - 0.4))
    axes.set_yticks(places, list(found))
    axes.xaxis.set_major_locator(_ticks())
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter("")
    axes.legend(loc="lower center", bbox_to_anchor=(0.45, 1.0), ncols=2 + len(devices), frameon=False, fontsize=9)


def _ticks():
    from matplotlib.ticker import LogLocator
    return LogLocator(subs=(1.0, 2.0, 5.0))


def family(name, options):
    """Measure and publish the devices of one array module."""
    devices, left_out = [], {}
    for device in FAMILIES[name]:
        try:
            open_device(device)
            devices.append(device)
        except (ValueError, RuntimeError) as error:
            left_out[device] = str(error)
            report.say(f"{device} is left out: {error}")
    if not devices:
        return
    elements, length, rounds, rest = (QUICK, 1e-3, 1, 0.0) if options.quick else (ELEMENTS[name], WINDOW, 5, REST)
    found = measure(tuple(devices), elements, options.rounds or rounds, length, rest, options.only)
    columns = ["kernel", "unfused, GB/s", *(f"{device}, GB/s" for device in devices), "copy, GB/s", "times unfused", "of copy"]
    report.publish(name, f"Fused kernels, float32 arrays of {elements * 4 / 2**20:g} MiB", {
        "elements": elements, "devices": devices, "left_out": left_out, "kernels": found}, columns,
        [row(verb, answers, devices) for verb, answers in found.items()], lambda axes: draw(axes, found, devices),
        folder=options.out)


def main(arguments=None):
    parser = report.parser(__doc__)
    parser.add_argument("--rounds", type=int, help="windows of each candidate (default 5, or 1 with --quick)")
    parser.add_argument("--only", default="", metavar="TEXT", help="only kernels with this text in their name")
    parser.add_argument("--serve", nargs="+", metavar="WORD", help="internal: run as one of the candidates")
    options = parser.parse_args(arguments)
    if options.serve:
        how, device, verb, elements, length = options.serve
        serve(lambda: prepare(how, device, verb, int(elements), float(length)))
        return 0
    for name in FAMILIES:
        family(name, options)
    return 0


if __name__ == "__main__":
    sys.exit(main())
