"""The playground: a page that trains a layered network on a small table in the browser, by the formulas of the tables."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from .datasets.columns import TARGET_NAMES
from .datasets.data import Data
from .datasets.formats import read_file
from .datasets.loading import load, table_text
from .datasets.notation import FOREIGN, MISSING, Notation
from .datasets.rows import Rows
from .devices.random import CHECK, WEIGHTS, generator
from .layered.network import Network
from .layered.packing import pack
from .layered.task import CLASSIFICATION, REGRESSION, usual_output
from .maths.activations import ACTIVATIONS
from .maths.costs import COSTS, resolve_cost
from .maths.gradient_transforms import OPTIMIZERS
from .maths.initializers import INITIALIZERS
from .maths.javascript import arrow_function, entry_members, script_object
from .maths.optimizers import Optimizer
from .maths.validation import REAL, Interval
from .pages.page import escaped, page

ROWS, CLASSES, HIDDEN, NEURONS, SEEDS = 2000, 8, 3, 8, range(1, 9)   # at most, of all pages
EXPECTED = "expected two numeric columns and one of labels, or two numeric columns"
WORDS = "text", "truth"   # kinds of cells
# their scalars depend on t by a branch or a product over all steps
UNWRITTEN = "nadam", "radam", "asgd"
OPTIMIZERS_IN_BROWSER = tuple(name for name, entry in OPTIMIZERS.items()
                              if issubclass(entry, Optimizer) and name not in UNWRITTEN)
COSTS_IN_BROWSER = tuple(name for name in COSTS if COSTS.find(name).per_target == 1)   # as the pages' equations
RATES = 1e-4, 3e-4, 1e-3, 2e-3, 3e-3, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0
SCRIPTS = "network.js", "npz.js", "table.js", "playground.js"
EACH = 100   # examples of a class


class _Ones:
    """In place of a random generator, it shows by what an initializer multiplies standard normal numbers."""

    standard_normal = staticmethod(np.ones)


def read(path: Any, target: str | int | None = None, **options: Any) -> Data:
    """The table of a playground in a text file.

    Parameters
    ----------
    path : str or path-like
        With three columns, one holds labels and the others numbers. With two columns of numbers, the task is a regression.
    target : str or int, optional
        The column of labels, or of the targets of the regression, by name or number from 1; by default the only column of words,
        else the last column.
    **options
        delimiter, decimal, thousands, header, index and missing as for datasets.load.

    Raises
    ------
    OSError, ValueError
        The file cannot be read, or is no such table.

    >>> import os, tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "shapes.csv")
    >>> with open(path, "w") as file:
    ...     _ = file.write("kind,width,height\\nround,1,2\\nsquare,3,4\\n")
    >>> data = read(path)
    >>> data.columns, data.classes
    (('width', 'height'), ('round', 'square'))
    """
    path, options = Path(path), {"index": "none", "missing": "", **options}
    name, (content, kind) = path.absolute().name, read_file(path)
    if kind != "table":
        raise ValueError(f"{name}: {EXPECTED}, got a file of arrays: save its columns as .csv")
    notation = Notation(options.get("decimal", "."), options.get("thousands", ""))
    (_, first), *rows = Rows(table_text(path, content)[0], name, options.get("delimiter"), notation.decimal)
    columns = [*zip(*([notation.kind(cell) for cell in cells] for _, cells in rows))] or [()] * len(first)
    words = [number for number, kinds in enumerate(columns, 1) if 2 * sum(kind in WORDS for kind in kinds) > len(kinds)]
    width = len(columns) - (options["index"] != "none")   # a column that numbers the rows is left out
    if (width, len(words)) not in ((2, 0), (3, 0), (3, 1)):
        raise ValueError(f"{name}: {EXPECTED}, got {len(columns) - len(words)} numeric and {len(words)} of words: leave out the "
                         "others in a copy of the file")
    task: Any = REGRESSION if width == 2 else CLASSIFICATION
    return checked(load(path, target if target is not None else words[0] if words else -1, task=task, **options))


def checked(data: Data) -> Data:
    """The data if a playground can show them; else raises ValueError."""
    suitable = data.classes if data.features == 2 else data.features == 1 and data.task == REGRESSION and data.outputs == 1
    if data.mixed or not suitable:
        got = f"{'words in ' * data.mixed}{data.features} features"
        raise ValueError(f"{data.name}: {EXPECTED}, got {got} for {data.task}: leave out the others")
    if data.classes and not 2 <= len(data.classes) <= CLASSES:
        raise ValueError(f"{data.name}: expected 2 to {CLASSES} classes, got {len(data.classes)} in {data.target!r}: join "
                         "some of them")
    if not 2 <= len(data) <= ROWS:
        raise ValueError(f"{data.name}: expected 2 to {ROWS:,} rows, got {len(data):,}: leave some out")
    return data


def examples(seed: int = 1) -> list[Data]:
    """Generated tables: two rings, two spirals, four clusters in the places of XOR, and a noisy wave for a regression.

    >>> [(data.name, len(data)) for data in examples()]
    [('rings', 200), ('spirals', 200), ('xor', 200), ('wave', 100)]
    """
    random, labels = generator(seed, CHECK), np.repeat([0, 1], EACH)
    noise = lambda size: size * random.standard_normal((2 * EACH, 2))
    around = lambda radius, angle: np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
    turn = 2.0 * np.pi * random.random(2 * EACH)
    along = np.tile(np.linspace(0.1, 1.0, EACH), 2)
    corners = np.stack([labels, labels ^ np.tile([0, 1], EACH)], axis=1)
    points = {"rings": (around(1.0 + 1.5 * labels, turn) + noise(0.2), labels, ("inner", "outer")),
              "spirals": (around(3.0 * along, 9.0 * along + np.pi * labels) + noise(0.06), labels, ("first", "second")),
              "xor": (corners + noise(0.15), corners[:, 0] ^ corners[:, 1], ("false", "true"))}
    found = [Data(np.round(x, 4), y, classes, name, columns=("x1", "x2"), header=("x1", "x2", "label"), target="label")
             for name, (x, y, classes) in points.items()]
    x = np.linspace(-3.0, 3.0, EACH)[:, None]
    wave = np.round(np.sin(2.0 * x) + 0.4 * x + noise(0.15)[:EACH, :1], 4)
    return [*found, Data(np.round(x, 4), wave, None, "wave", columns=("x",), header=("x", "y"), target="y")]


def formulas() -> str:
    """JavaScript that makes the constant `formulas`: activations, costs and optimizers as the tables spell them."""
    optimizers = {}
    for name in OPTIMIZERS_IN_BROWSER:
        entry: Any = OPTIMIZERS.find(f"{name}(0.1)")
        numbers = [f"s{place}" for place in range(len(entry.scalars(1, 0.1)))]
        optimizers[name] = {
            "rule": arrow_function(entry.rule, ["w", *entry.state, "g", *numbers]), "scalars": scalars_source(entry),
            "state": json.dumps(entry.state), "learningRate": json.dumps(type(entry)().learning_rate)}
    activations, costs = ({name: entry_members(table.find(name)) for name in names}
                          for table, names in ((ACTIVATIONS, ACTIVATIONS), (COSTS, COSTS_IN_BROWSER)))
    return f"const formulas = {script_object({'activations': activations, 'costs': costs, 'optimizers': optimizers})};"


def scalars_source(optimizer: Any) -> str:
    """The numbers of a step as JavaScript; raises TypeError if they are not straight-line."""
    return arrow_function(lambda xp, t, learning_rate: optimizer.scalars(t, learning_rate))


def admissible(task: str, single: bool = False) -> dict[str, tuple[str, bool]]:
    """{cost: (output activation, whether one output stands for both classes)} of the costs for standardized targets or labels.

    single: whether there are only two classes.
    """
    found = {}
    for name in COSTS_IN_BROWSER:
        cost: Any = COSTS.find(name)
        takes = (Interval(cost.targets).holds(np.array(cost.codes)).all() if task == CLASSIFICATION else
                 not cost.classifies and Interval(REAL) in Interval(cost.targets))
        if takes:
            shares = task == CLASSIFICATION and cost.partner == "softmax"
            _, output = resolve_cost(name, "tanh", "softmax" if shares else usual_output(name, task))
            found[name] = output.name, single and not (output.rowwise or cost.relative)
    return found


def initial_numbers() -> dict[str, Any]:
    """The standard normal numbers that Network draws for each seed and layer, and what the initializers multiply them by."""
    sizes = [2, *[NEURONS] * HIDDEN, CLASSES]   # a smaller layer takes the first ones
    normals = {seed: [generator(seed, WEIGHTS, l).standard_normal((sizes[l - 1] + 1) * sizes[l]).tolist()
                      for l in range(1, len(sizes))] for seed in SEEDS}
    ones, scales, counts = _Ones(), {}, range(1, NEURONS + 1)
    for name in dict.fromkeys(ACTIVATIONS.find(activation).initializer for activation in ACTIVATIONS):
        initializer: Any = INITIALIZERS.find(name)
        scales[name] = {"weights": [[initializer.weights(ones, n, i)[0, 0] for n in counts] for i in counts],
                        "biases": initializer.biases(ones, 1)[0]}
    return {"normals": normals, "scales": scales}


def playground(*tables: Data) -> str:
    """The page: an HTML text that needs no other file, nor a network.

    Parameters
    ----------
    *tables : Data
        As from `read`, with two columns of numbers and labels, or with one and targets; the page shows the first one at first.

    Raises ValueError for other data, and without any.

    >>> print(playground(*examples())[:15])
    <!doctype html>
    """
    if not tables:
        raise ValueError("expected at least one table, got none: pass *examples()")
    template = pack(Network([1, 1], dtype="float64", seed=1, device="cpu", standardize=True))[0]
    data = {"tables": [_table(checked(each)) for each in tables], "header": template, **initial_numbers(),
            "costs": {"regression": admissible(REGRESSION), "two": admissible(CLASSIFICATION, single=True),
                      "classes": admissible(CLASSIFICATION)},
            "limits": {"rows": ROWS, "classes": CLASSES, "hidden": HIDDEN, "missing": sorted(MISSING), "targets": TARGET_NAMES,
                       "foreign": FOREIGN.pattern.replace(r"\d", r"\p{Nd}")}}   # in JavaScript \d is ASCII only
    return page("Playground: a network in the browser", _body(), SCRIPTS, data, formulas())


def _table(data):
    names, target = data.columns or tuple(f"x{k}" for k in range(1, data.features + 1)), data.target or "y"
    metadata = replace(data, scaling=None, columns=names, target=target, header=data.header or (*names, target)).metadata
    return {"metadata": metadata, "x": data.raw.astype(float).ravel().tolist(), "y": data.y.ravel().tolist()}


def _select(name, label, values, chosen):
    options = "".join(f'<option value="{value}"{" selected" * (value == chosen)}>{escaped(str(text))}</option>'
                      for value, text in values)
    return f'<label>{label}<select id="{name}">{options}</select></label>'


def _same(values):
    return [(value, value) for value in values]


def _body():
    """The controls and the canvases; playground.js fills in what depends on the table."""
    neurons = "".join(_select(f"neurons{l}", f"neurons in layer {l}", _same(range(1, NEURONS + 1)), NEURONS)
                      for l in range(1, HIDDEN + 1))
    names = [(name, name.replace("_", " ")) for name in ACTIVATIONS if ACTIVATIONS.find(name).sigma]
    return f"""<p>A layered network trains in this page, by the equations and formulas of gpubp. With the same seed, its first
weights, and all later ones if a batch has all rows, are those of gpubp.Network. Mini-batches have an order of their own. Nothing
leaves your computer.</p>
<div class="controls tables"><label>data<select id="table"></select></label>
<label>your own table (.csv)<input id="file" type="file" accept=".csv,.tsv,.txt,text/csv"></label></div>
<p id="about"></p>
<p id="alert" role="alert" class="c1"></p>
<div class="playground">
<div>
<div class="controls"><button type="button" id="train">Train</button><button type="button" id="step">Step</button>
<button type="button" id="restart">Restart</button><button type="button" id="save">Save network.npz</button></div>
<p>epoch <output id="epoch"></output>, cost <output id="cost-now"></output>, <span id="score-name"></span>
<output id="score"></output></p>
<figure><canvas id="plane" role="img"></canvas>
<figcaption><ul id="legend"></ul><span id="axes" class="faint"></span></figcaption></figure>
<p id="status" role="status" class="unseen"></p>
<figure><canvas id="curve" role="img"></canvas><figcaption id="scale" class="faint"></figcaption></figure>
</div>
<div>
{_select("depth", "hidden layers", _same(range(HIDDEN + 1)), 2)}
{neurons}
{_select("activation", "activation", names, "tanh")}
{_select("cost", "cost", [], None)}
<p class="faint">The last layer: <span id="output"></span>.</p>
{_select("optimizer", "optimizer", _same(OPTIMIZERS_IN_BROWSER), "adam")}
{_select("rate", "learning rate", _same(RATES), 0.01)}
{_select("batch", "batch size", [("", "all rows"), (10, 10), (1, 1)], 10)}
{_select("seed", "seed", _same(SEEDS), 1)}
<p class="faint">A change of layers, activation, cost or seed restarts the network; it goes on with another optimizer, learning
rate or batch size.</p>
</div>
</div>"""
