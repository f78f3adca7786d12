"""Gradients of plain NumPy code: gpubp, compiled and not, HIPS autograd, MyGrad, PyTorch and JAX, and a gradient by hand.

    python benchmarks/circuits.py [--quick] [--only TEXT] [--rounds 9]    all installed candidates, on every workload
    python benchmarks/circuits.py --goals                                 only those that the goals name, with verdicts

Each candidate has its own process, and they take turns, window by window. All run the same Python function on the same
numbers. Gradients must agree with backpropagation by hand, Hessian-vector products with a complex-step derivative of it.
MyGrad is measured twice: with its default guards against changes in place, and without them, as the others work. Memory is
the peak allocation of a gradient with what is kept between calls, measured by tracemalloc. Element-wise operations are beside
numexpr, whole training steps with Adam beside net.fit (circuits_steps.py), and first calls of compiled functions have fresh
processes (circuits_first_call.py). Writes benchmarks/results/circuits.* or circuits-goals.*
"""

import gc
import sys
import tracemalloc
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))   # a checkout need not be installed

import gpubp
from benchmarks import circuits_first_call, circuits_steps, circuits_workloads, peers_goals, report
from benchmarks.alternate import REST, alternating_processes, serve, spread
from benchmarks.circuits_steps import BEST, FIT, STEP32, STEP64
from benchmarks.circuits_workloads import BIG, CHAIN, COMPILED, ELEMENTS, JIT, MEMORY, NETWORK, OWN, PRODUCT, SINGLE, SUM
from benchmarks.gpu_peers import LeftOutError
from benchmarks.peers import left_out
from benchmarks.peers_drawing import logarithmic, span
from benchmarks.peers_goals import Goal
from benchmarks.timing import window
from gpubp.circuits.pytree import leaves, mapped
from gpubp.devices import open_device
from gpubp.devices.cpu.threads import available_cores

WINDOW, SHORT = 0.1, 1e-3   # seconds of a window, about
ROUNDS, FEW = 9, 1
LIMIT = 1.5                 # the goal: how many times as fast as its peers gpubp is
TOLERANCE = {"float64": 1e-12, "float32": 1e-5}   # of a gradient, relative to its largest element
DOUBLE = {"JAX_ENABLE_X64": "1"}                  # otherwise JAX rounds to float32


# ---- candidates: (a call for f's gradient, a call for a Hessian-vector product or None)


def by_gpubp(f, at, data, **options):
    run = lambda at: f(np, at, *data, **options)
    return partial(gpubp.grad(run), at), lambda: gpubp.hvp(run, (at,), (1.0,))


def by_compile(f, at, data):
    run = partial(f, np)
    product = lambda at, *data: gpubp.hvp(lambda at: run(at, *data), (at,), (1.0,))
    return tuple(partial(gpubp.compile(call), at, *data) for call in (gpubp.grad(run), product))


def by_autograd(f, at, data):
    import autograd
    import autograd.numpy as xp
    run = lambda at: f(xp, at, *data)
    return partial(autograd.grad(run), at), lambda: autograd.make_hvp(run)(at)[0](1.0)


def by_mygrad(f, at, data, guarded=True):
    import mygrad
    if not guarded:
        mygrad.turn_memory_guarding_off()
    wires = mapped(mygrad.tensor, at)

    def gradient():
        f(mygrad, wires, *data).backward()
        return mapped(lambda wire: wire.grad, wires)
    return gradient, None


def by_torch(f, at, data):
    import torch
    torch.set_num_threads(1)   # with two, such a small network takes several times as long
    wires = mapped(lambda x: torch.tensor(x, dtype=getattr(torch, np.asarray(x).dtype.name), requires_grad=True), at)
    data = [torch.tensor(x) for x in data]

    def product():
        first, = torch.autograd.grad(f(torch, wires, *data), wires, create_graph=True)
        return torch.autograd.grad(first, wires)
    return lambda: torch.autograd.grad(f(torch, wires, *data), leaves(wires)), product


def by_jax(f, at, data, compiled=False):
    import jax
    import jax.numpy as xp
    at, data = mapped(xp.asarray, at), [xp.asarray(x) for x in data]
    gradient = jax.grad(partial(f, xp))
    product = lambda at, *data: jax.jvp(lambda at: gradient(at, *data), (at,), (xp.ones_like(at),))[1]
    if compiled:
        gradient, product = jax.jit(gradient), jax.jit(product)
    return tuple(lambda call=call: jax.block_until_ready(call(at, *data)) for call in (gradient, product))


# ---- candidates for the value of a function: a call


def value_by_numexpr(f, x):
    import numexpr
    numexpr.set_num_threads(available_cores())
    return partial(numexpr.evaluate, circuits_workloads.EXPRESSION, {"x": x})


def value_by_torch(f, x):
    import torch
    x = torch.from_numpy(x)
    return lambda: f(torch, x).numpy()


def value_by_jax(f, x):
    import jax
    import jax.numpy as xp
    call, x = jax.jit(partial(f, xp)), xp.asarray(x)
    return lambda: jax.block_until_ready(call(x))


AGAIN, AUTOGRAD, GUARDED, UNGUARDED = "gpubp, checkpoints", "HIPS autograd", "MyGrad", "MyGrad, unguarded"
FORWARD, HAND, COPY, NUMEXPR, TORCH = "NumPy, forward only", "NumPy, by hand", "np.copyto", "numexpr", "PyTorch"
FLOORS = {FORWARD: lambda work, at, data: partial(work.function, np, at, *data),
          HAND: lambda work, at, data: partial(work.by_hand, at, *data)}
OF_NUMPY = {OWN: by_gpubp, COMPILED: by_compile, AUTOGRAD: by_autograd, GUARDED: by_mygrad,
            UNGUARDED: partial(by_mygrad, guarded=False)}
FRAMEWORKS = {"PyTorch, 1 thread": by_torch, "JAX": by_jax, JIT: partial(by_jax, compiled=True)}
CANDIDATES = {**OF_NUMPY, **FRAMEWORKS, AGAIN: partial(by_gpubp, part=gpubp.checkpoint)}
VALUES = {COMPILED: lambda f, x: partial(gpubp.compile(partial(f, np)), x), FORWARD: lambda f, x: partial(f, np, x),
          NUMEXPR: value_by_numexpr, COPY: lambda f, x: partial(np.copyto, np.empty_like(x), x), TORCH: value_by_torch,
          JIT: value_by_jax}
WORKLOADS = {**circuits_workloads.WORKLOADS, **circuits_steps.WORKLOADS, **circuits_first_call.WORKLOADS}
GOALS = [*(Goal(work, OWN, (peer,), LIMIT) for work in (CHAIN, NETWORK, SINGLE) for peer in (AUTOGRAD, GUARDED)),
         Goal(CHAIN, COMPILED, (OWN,), 30.0),
         *(Goal(work, COMPILED, (JIT,), limit, at_most=True)
           for work, limit in {CHAIN: 1.5, NETWORK: 1.0, SINGLE: 1.0, BIG: 1.0, PRODUCT: 2.0}.items()),
         Goal(MEMORY, COMPILED, (OWN,), 1.0, at_most=True),
         *(Goal(ELEMENTS, COMPILED, (peer,), limit)
           for peer, limit in {NUMEXPR: 1.0, JIT: 0.9, FORWARD: None, TORCH: None, COPY: None}.items()),
         *(Goal(work, COMPILED, *against, at_most=True)
           for work in (STEP64, STEP32) for against in (((FIT, BEST), 1.3), ((JIT,), None))),
         *(Goal(work, COMPILED, *against)
           for work, limit in circuits_first_call.GOALS.items() for against in (((), limit), ((JIT,), None)))]


def candidates(work, quick=False):
    """The names of a workload's candidates."""
    work = WORKLOADS[work]
    return names(work, quick) if isinstance(work, circuits_workloads.Workload) else work.names(quick)


def names(work, quick=False):
    """The candidates for a Workload: frameworks take long to import, and tracemalloc sees only the memory of NumPy."""
    if work.forward:
        return [name for name in VALUES if not quick or name not in (TORCH, JIT)]
    there = [name for name in OF_NUMPY if not quick or name != UNGUARDED] + list(FRAMEWORKS) * (not quick and not work.memory)
    return there + [AGAIN] * (work.function is SUM) + list(FLOORS) * (not work.product)


def prepare(name, work, length):
    """What a process serves: the distance from the gradient by hand, and windows of seconds or bytes."""
    work = WORKLOADS[work]
    if not isinstance(work, circuits_workloads.Workload):
        return work.prepare(name, length)
    at, data = work.material()
    if work.forward:
        call = VALUES[name](work.function, at)
    elif name in FLOORS:
        call = FLOORS[name](work, at, data)
    else:
        call = CANDIDATES[name](work.function, at, data)[work.product]
    if call is None:
        raise LeftOutError("no second derivatives")
    measure = Peak(call) if work.memory else None
    error = None if name in (FORWARD, COPY) else distance(call(), work.by_hand(at, *data))
    if name == COMPILED:
        circuits_workloads.warmed(call.func, *call.args)
    facts = {"error": error, "agrees": None if error is None else error < TOLERANCE[np.asarray(leaves(at)[0]).dtype.name]}
    return facts, measure or window(open_device("cpu:numpy"), call, length)


def distance(found, right):
    """The largest difference from the correct numbers, relative to the greatest of these."""
    found, right = (np.concatenate([np.ravel(leaf) for leaf in leaves(nest)]) for nest in (found, right))
    return float(np.max(np.abs(found - right)) / np.max(np.abs(right)))


class Peak:
    """Measures the most bytes that are allocated at a time in a call, with what earlier calls have kept."""

    def __init__(self, call):
        self.call = call
        tracemalloc.start()

    def __call__(self):
        gc.collect()   # what earlier calls have left in cycles is not kept
        tracemalloc.reset_peak()
        self.call()
        return tracemalloc.get_traced_memory()[1]


# ---- measurement and output


def measure(options, wanted=lambda work, name: True):
    """{workload: {"windows", "same_work", "left_out", ...}} for these workloads and candidates."""
    sections = {}
    for work in (work for work in WORKLOADS if options.only in work):
        if some := [name for name in candidates(work, options.quick) if wanted(work, name)]:
            report.say(work)
            found = alternating_processes(
                {name: ("benchmarks.circuits", "--serve", name, work, str(options.window)) for name in some},
                1 if work == MEMORY else options.rounds, 0.0 if options.quick else REST, dict.fromkeys(some, DOUBLE))
            sections[work] = read(found)
    return sections


def read(found):
    """The figures of one workload, from the answers of its processes."""
    done = {name: figures for name, figures in found.items() if figures.get("windows")}
    return {"windows": {name: figures["windows"] for name, figures in done.items()},
            "spread": {name: spread(figures["windows"]) for name, figures in done.items()},
            "errors": {name: figures["facts"]["error"] for name, figures in done.items()},
            "same_work": {name: figures["facts"]["agrees"] for name, figures in done.items()},
            "left_out": {name: figures.get("left_out") or figures["failed"]["error"] for name, figures in found.items()
                         if name not in done}}


COLUMNS = "workload", "candidate", "median", "lowest to highest", "× gpubp", "agrees"


def rows(work, figures):
    """The rows of a workload, the best first."""
    windows, words = figures["windows"], WORKLOADS[work].words
    own = median(windows[OWN]) if OWN in windows else None
    return [[work, name, words(median(windows[name])), f"{words(min(windows[name]))} to {words(max(windows[name]))}",
             f"{median(windows[name]) / own:.2f}" if own else "–",
             {True: "yes", False: "NO", None: "–"}[figures["same_work"][name]]]
            for name in sorted(windows, key=lambda name: median(windows[name]))]


def draw(axes, sections):
    """One panel for each workload, the best at the bottom, with the limit if there is one."""
    colours = {OWN: report.COLOURS[0], AGAIN: report.COLOURS[0], COMPILED: report.COLOURS[1],
               **dict.fromkeys((FORWARD, HAND, COPY), report.FAINT)}
    for panel, (work, figures) in zip(np.ravel(axes), sections.items()):
        windows = figures["windows"]
        shown = sorted(windows, key=lambda name: median(windows[name]))
        for place, name in enumerate(shown):
            middle = median(windows[name])
            span(panel, place, (min(windows[name]), middle, max(windows[name])), colours.get(name, report.COLOURS[5]),
                 WORKLOADS[work].words(middle))
        if OWN in windows and any(goal.section == work and goal.own == OWN for goal in GOALS):
            panel.axvline(LIMIT * median(windows[OWN]), color=report.COLOURS[0], linestyle="--", linewidth=1)
        if every := [figure for name in shown for figure in windows[name]]:
            logarithmic(panel.xaxis, WORKLOADS[work].words, min(every), max(every))
        panel.set_yticks(range(len(shown)), shown, fontsize=8)
        panel.set_title(work, fontsize=10, color=report.INK)
        panel.grid(axis="y", visible=False)


def publish_all(options):
    """Measure every candidate on every workload, and publish."""
    found = measure(options)
    report.publish("circuits", f"Plain NumPy code and its gradients (dashed: {LIMIT:g} times gpubp's, the goal for its peers)",
                   {"rounds": options.rounds, "works": found}, COLUMNS,
                   [row for work, figures in found.items() for row in rows(work, figures)] + left_out(found),
                   partial(draw, sections=found), folder=options.out, panels=(-(-len(found) // 2), min(2, len(found))))


def publish_goals(options):
    """Measure what the goals name, and publish the verdicts."""
    found = measure(options, lambda work, name: any(goal.section == work and name in (goal.own, *goal.peers) for goal in GOALS))
    table = [row for row in peers_goals.judge(found, GOALS) if options.only in row["workload"]]
    report.publish("circuits-goals", "The goals of circuits", {"rounds": options.rounds, "goals": table, "works": found},
                   peers_goals.COLUMNS, [[row[column] for column in peers_goals.COLUMNS] for row in table],
                   partial(peers_goals.draw, rows=table), folder=options.out)


def main(arguments=None):
    parser = report.parser(__doc__)
    parser.add_argument("--goals", action="store_true", help="measure only what the goals name, and say which goals are met")
    parser.add_argument("--only", default="", metavar="TEXT", help="only workloads with this text in their name")
    parser.add_argument("--rounds", type=int, help=f"windows of each candidate (default {ROUNDS}, or {FEW} with --quick)")
    parser.add_argument("--serve", nargs=3, metavar="WORD", help="internal: run as one of the candidates")
    options = parser.parse_args(arguments)
    if options.serve:
        name, work, length = options.serve
        serve(lambda: prepare(name, work, float(length)))
        return
    options.rounds, options.window = options.rounds or (FEW if options.quick else ROUNDS), SHORT if options.quick else WINDOW
    (publish_goals if options.goals else publish_all)(options)


if __name__ == "__main__":
    main()
