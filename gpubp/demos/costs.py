"""Every cost: its curve, its gradient and its delta by output activation.

Formulas, domains and values come from the tables of gpubp.maths; nothing here is random.
"""

from functools import partial

import numpy as np

from ..maths.activations import ACTIVATIONS
from ..maths.costs import COSTS
from ..maths.javascript import entry_members, script_object
from ..maths.mathml import mathml
from ..maths.reference import first_delta
from ..maths.validation import REAL, Interval
from ..plots.figures import COLORS, Canvas

SATURATED = -5.0, 5.0              # z of a sample with two outputs, the first of which should be high
TABLE = -1.0, -2.0, -5.0, -10.0    # z of one sigmoid output
SMALL = 0.01
HIGHLIGHTED = {"identity": 0, "sigmoid": 2, "softmax": 3}   # activations in the picture, and their colors


def run(story, seed):
    costs, rows = [COSTS.find(name) for name in COSTS], [ACTIVATIONS.find(name) for name in ACTIVATIONS]
    pairs = {cost.name: (cost, [row for row in rows if cost.admits(row)]) for cost in costs if cost.per_target == 1}
    _formulas(story, costs)
    _saturated(story, pairs)
    _canonical(story)
    _widget(story, pairs)
    return partial(_drawn, pairs)


def delta_of_first(cost, row, z, y):
    """delta of the first output of each sample; z of shape (n, outputs), y of its last axis."""
    with np.errstate(all="ignore"):
        return first_delta(np, cost, row, z, row.of(np, z), y)[:, 0]


def targets(cost, y):
    """The targets of two outputs, of which the first has y."""
    return np.array([y, sum(cost.codes) - y])


def high(cost):
    """The target of the labelled output; 0.9 if the domain leaves out the code 0 of the other one."""
    return cost.codes[1] if Interval(cost.targets).holds(cost.codes[0]) else 0.9


def target_range(cost, outputs):
    """(lowest, highest) target on the page; with two outputs, the second has the rest of the sum of both codes."""
    interval = Interval(cost.targets)
    low, top = cost.codes if outputs == 2 else (max(interval.low, -2.0), min(interval.high, 2.0))
    margin = 0.0 if interval.holds(low) else 0.01
    return low + margin, top - margin * (outputs == 2)


def _formulas(story, costs):
    story.heading(f"1. {len(costs)} costs")
    story.paragraph("""
        A cost C measures how far the outputs a of a sample are from its targets y. Each has a domain: the
        intervals that a and y must lie in. Some have a default output activation. Some have a partner, an
        output activation with which delta = dC/dz is exactly a - y. A cost with two outputs for each target, m
        and s, is in this list only:
        """)
    entries = []
    for cost in costs:
        *outputs, target = cost.parameters
        domain = ", ".join(f"any {name}" if text == REAL else f"{name} in {text}" for name, text in (
            *((name, cost.outputs) for name in outputs), (target, cost.targets)))
        output = (f"; a - y with {'default ' * (cost.output == cost.partner)}{cost.partner}" if cost.partner else
                  f"; default {cost.output}" if cost.output else "")
        entries.append((f"{cost.name}: {domain}{output}", cost.formula))
    story.formulas(*entries)


def _saturated(story, pairs):
    found = {(name, row.name): delta_of_first(cost, row, np.array([SATURATED]), targets(cost, high(cost)))[0]
             for name, (cost, rows) in pairs.items() for row in rows}
    usual, others = COSTS["quadratic"].codes, []
    for name, (cost, _) in pairs.items():
        if (y := targets(cost, high(cost))).tolist() != [*reversed(usual)]:
            others.append(f"{name}: {y[0]:g} and {y[1]:.1g}")
    small = sum(abs(delta) < SMALL for delta in found.values())
    story.heading("2. A wrong, saturated output")
    story.paragraph(f"""
        A sample has two outputs with z = {SATURATED[0]:g} and {SATURATED[1]:g}, but the first should be the high
        one. Its targets are {usual[1]:g} and {usual[0]:g} ({"; ".join(others)}). The
        delta of the first output should be negative, so that learning increases z, and not small, so that
        learning is quick. But delta is dC/da times the slope of the activation, and that is near 0 where
        the activation is flat. In {small} of {len(found)} pairs of a cost and an output activation, delta is
        smaller than {SMALL:g} in size:
        """)
    for outputs in dict.fromkeys(cost.outputs for cost, _ in pairs.values()):
        names = [name for name, (cost, _) in pairs.items() if cost.outputs == outputs]
        for block in (names[start:start + 5] for start in range(0, len(names), 5)):
            heads = [name.partition("(")[0].split("_") for name in block]
            most = max(map(len, heads))
            heads = [[""] * (most - len(head)) + head for head in heads]
            story.table(*(("", *line) for line in zip(*heads)),
                        *((row.name, *(f"{found[name, row.name] + 0.0:.2g}" for name in block)) for row in pairs[block[0]][1]))


def _canonical(story):
    quadratic, entropy, sigmoid = COSTS.find("quadratic"), COSTS.find("binary_cross_entropy"), ACTIVATIONS["sigmoid"]
    z, y = np.array(TABLE)[:, None], np.ones(1)
    a = sigmoid.of(np, z)
    parts = [a[:, 0], entropy.prime(np, a, y)[:, 0], sigmoid.prime(np, z, a)[:, 0]]
    deltas = [delta_of_first(cost, sigmoid, z, y) for cost in (entropy, quadratic)]
    story.heading("3. Why partners")
    story.paragraph(f"""
        The partner's slope cancels against the steep gradient of its cost. For one sigmoid output with the
        target 1, the slope a (1 - a) goes to 0 as z falls, but the dC/da of the cross-entropy grows as much,
        and their product stays a - y. The quadratic cost has no such factor: at z = {TABLE[-1]:g} its delta is
        {deltas[1][-1]:.0e}.
        """)
    story.table(("z", "a", "dC/da", "slope", "delta = a - y", "quadratic's delta"),
                *((f"{at:g}", *(f"{x:.4g}" for x in row)) for at, *row in zip(TABLE, *parts, *deltas)))


def _widget(story, pairs):
    formulas = {"costs": {name: entry_members(cost) for name, (cost, _) in pairs.items()},
                "activations": {row.name: entry_members(row) for row in pairs["quadratic"][1]}}
    facts = {name: {"formula": mathml(cost.formula), "outputs": [row.name for row in rows], "output": cost.output or "sigmoid",
                    "targets": [target_range(cost, outputs) for outputs in (1, 2)]} for name, (cost, rows) in pairs.items()}
    story.widget("""
        <h2>Every cost, with every output activation</h2>
        <div class="controls">
        <label>cost <select id="costs-cost" style="width: 100%"></select></label>
        <label>output activation <select id="costs-output" style="width: 100%"></select></label>
        <label>target y <input type="range" id="costs-y"></label>
        <label>weighted input z <input type="range" id="costs-z" min="-10" max="10" step="0.05" value="-5"></label></div>
        <div id="costs-formula" class="wide" style="padding: 0.5rem 0"></div><div id="costs-curves" class="cards"></div>
        <p id="costs-note" class="faint"></p><div class="wide"><output id="costs-numbers"></output></div>""",
                 ["network.js", "costs.js"], f"const formulas = {script_object(formulas)};", costs=facts)


def _drawn(pairs, path=None):
    """The picture: for each cost its value and gradient by a, and its delta by z for all admissible outputs."""
    canvas = Canvas(path)
    figure = canvas.opened(9.0, 0.65 * len(pairs))
    figure.set_layout_engine(None)   # the engine takes longer than all else
    axes = figure.subplots(-(-len(pairs) // 2), 4).ravel()
    for spare in axes[2 * len(pairs):]:
        spare.remove()
    axes = axes[:2 * len(pairs)]
    figure.subplots_adjust(left=0.04, right=0.99, top=0.94, bottom=0.045, hspace=0.65, wspace=0.22)
    for (cost, rows), left, right in zip(pairs.values(), axes[::2], axes[1::2]):
        _draw_value(left, cost)
        _draw_deltas(right, cost, rows)
    for some, name in zip(axes[-4:], "azaz"):
        some.set_xlabel(name, fontsize=8)
    lines = {line.get_label(): line for some in axes[:2] for line in some.lines if not line.get_label().startswith("_")}
    figure.legend(lines.values(), lines, loc="upper center", ncols=len(lines), frameon=False, fontsize=8)
    return canvas.saved()


def _draw_value(axes, cost):
    interval, y = Interval(cost.outputs), cost.codes[0] if cost.relative else high(cost)
    a = np.linspace(max(interval.low, -3.0), min(interval.high, 3.0), 302)[1:-1]
    total, slope = cost.value(np, a, y), cost.prime(np, a, y)
    value, slope = (cost.outer(np, total), slope * cost.outer_prime(np, total)) if cost.outer else (total, slope)
    for values, color, label in ((value, 1, "cost C"), (slope, 5, "dC/da")):
        axes.plot(a, values, color=COLORS[color], label=label)
    _finished(axes, f"{cost.name}, y = {y:g}")
    if cost.relative:
        axes.text(0.03, 0.85, "by a - a(true)", fontsize=7, transform=axes.transAxes)


def _draw_deltas(axes, cost, rows):
    z = np.linspace(-6.0, 6.0, 301)[:, None]
    for row in rows:
        two = row.rowwise or cost.relative
        y = targets(cost, high(cost)) if two else np.array([high(cost)])
        delta = delta_of_first(cost, row, np.hstack([z, 0.0 * z]) if two else z, y)
        color = COLORS[HIGHLIGHTED[row.name]] if row.name in HIGHLIGHTED else None
        axes.plot(z, delta, color=color or "lightgray", linewidth=1.5 if color else 0.8, zorder=3 if color else 2,
                  label=f"delta, {row.name}" if color else "delta, others")
    _finished(axes, f"{len(rows)} output activations")


def _finished(axes, title):
    axes.set_title(title, fontsize=7, loc="left")
    low, top = axes.get_ylim()
    axes.set_ylim(max(low, -3.0), min(top, 3.0))
    axes.axhline(0.0, color="gray", linewidth=0.5)
    axes.tick_params(labelsize=7)
    axes.locator_params(nbins=4)
