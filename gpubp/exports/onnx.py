"""A model as ONNX: layers are Gemm nodes, and formulas of activations are written as nodes of the standard operators."""

import numpy as np

from ..maths.formula import COMPARISONS, UFUNC_NAMES, Term, Writer
from ..maths.standardization import standardizer
from ..resources import version
from .model import FILLED, NUMBER, Model, fact_text, spelled
from .protobuf import message

OPSET, IR_VERSION = 13, 7   # of ONNX 1.8 (2020), which most runtimes read
TYPES = {"float32": 1, "int64": 7, "bool": 9, "float64": 11}
LIMIT = 2**31   # bytes of a message that readers of protocol buffers accept
LOGICAL = {"__and__": "And", "__or__": "Or", "__invert__": "Not"}
OPERATORS = LOGICAL | {
    "__add__": "Add", "__sub__": "Sub", "__mul__": "Mul", "__truediv__": "Div", "__neg__": "Neg", "__abs__": "Abs",
    "__eq__": "Equal", "__gt__": "Greater", "__ge__": "GreaterOrEqual", "__lt__": "Less", "__le__": "LessOrEqual",
    "where": "Where", "absolute": "Abs", "abs": "Abs", "reciprocal": "Reciprocal", "sign": "Sign", "floor": "Floor", "exp": "Exp",
    "log": "Log", "sqrt": "Sqrt", "tanh": "Tanh", "sinh": "Sinh", "cosh": "Cosh", "sin": "Sin", "cos": "Cos", "arctan": "Atan",
    "power": "Pow"}


def _first_by(comparison):
    """NumPy's maximum or minimum, which let NaN pass; ONNX does not say whether Max and Min do, and older runtimes differ."""
    def formula(xp, x, y):
        x, y = (x, y) if isinstance(x, Term) else (y, x)
        before = xp.write(comparison, y, x)
        return xp.where(before | (y != y) if isinstance(y, Term) else before, y, x)
    return formula


def _expm1(xp, x):
    t = xp.tanh(0.5 * x)   # the quotient has its digits until t is near 1
    return xp.where(x > 1.0, xp.exp(x) - 1.0, 2.0 * t / (1.0 - t))


def _log1p(xp, x):
    """log(1 + x), corrected by what the sum has lost of x."""
    total = 1.0 + x
    rounded = total - 1.0
    return xp.where(rounded == x, xp.log(total), xp.log(total) - (rounded - x) / total)


def _sinh(xp, x):
    t, half = xp.tanh(0.5 * x), xp.exp(0.5 * x)
    return xp.where(abs(x) < 1.0, 2.0 * t / (1.0 - t * t), 0.5 * half * half - 0.5 / half / half)


def _cosh(xp, x):
    half = xp.exp(0.5 * x)   # its square may overflow only where the result does
    return 0.5 * half * half + 0.5 / half / half


def _cos(xp, x):
    """cos(x) by sin: the quotient has its digits near the zeros, the difference elsewhere."""
    sin = xp.sin(x)
    return xp.where(abs(sin) > 0.5, 0.5 * xp.sin(2.0 * x) / sin, 1.0 - 2.0 * xp.square(xp.sin(0.5 * x)))


def _arctan(xp, x):
    """Atan in float32; one step of Newton's method gives it the digits of float64."""
    x = xp.minimum(xp.maximum(x, -1e17), 1e17)   # the result does not change, and infinity would become NaN
    near = xp.cast(Term(xp.graph.node("Atan", xp.cast(x, "float32").name), xp))
    sin, cos = xp.sin(near), xp.cos(near)
    return near + (x * cos - sin) / (cos + x * sin)


# functions that ONNX lacks
FORMULAS = {"__ne__": lambda xp, x, y: ~(x == y), "__pos__": lambda xp, x: x, "square": lambda xp, x: x * x,
            "maximum": _first_by("__gt__"), "minimum": _first_by("__lt__"), "expm1": _expm1, "log1p": _log1p}
# operators that onnxruntime has in float32 only (Cos was missing in 1.22)
FLOAT64 = {"sinh": _sinh, "cosh": _cosh, "cos": _cos, "arctan": _arctan}


class Graph:
    """Nodes and initializers by name; equal ones are written once."""

    def __init__(self):
        self.nodes: dict[tuple, str] = {}
        self.constants: dict[tuple, str] = {}
        self.initializers: list[bytes] = []

    def node(self, operator, *inputs, output=None, **attributes):
        """The name of the output of a node; attributes are integers."""
        return self.nodes.setdefault((operator, inputs, *attributes.items()), output or f"t{len(self.nodes)}")

    def tensor(self, name, values):
        dtype = values.dtype.newbyteorder("<")
        self.initializers.append(message({1: [*values.shape], 2: TYPES[values.dtype.name], 8: name,
                                          9: values.astype(dtype, copy=False).tobytes()}))
        return name

    def constant(self, values, dtype):
        with np.errstate(over="ignore"):
            values = np.asarray(values, dtype)
        key = dtype, values.shape, values.tobytes()
        if key not in self.constants:
            self.constants[key] = self.tensor(f"c{len(self.constants)}", values)
        return self.constants[key]

    def message(self, inputs, outputs):
        nodes = [message({1: [*names], 2: output, 3: output, 4: operator, 5: [
            message({1: name, 3: value, 20: 2}) for name, value in attributes]})   # type 2 is INT
            for (operator, names, *attributes), output in self.nodes.items()]
        return message({1: nodes, 2: "network", 5: self.initializers, 11: inputs, 12: outputs})


class Mask(Term):
    """A tensor of booleans, which becomes numbers where it is used as numbers."""


class Onnx(Writer):
    """Writes ONNX: each operation is a node of the graph. Operations on constants are computed while writing."""

    def __init__(self, graph, dtype):
        self.graph, self.dtype = graph, dtype

    def write(self, name, *operands):
        if not any(isinstance(operand, Term) for operand in operands):
            with np.errstate(all="ignore"):
                return float(getattr(np, UFUNC_NAMES.get(name, name))(*operands))
        if formula := FORMULAS.get(name) or (self.dtype == "float64" and FLOAT64.get(name)):
            return formula(self, *operands)
        if name not in OPERATORS:
            raise ValueError(f"xp.{name} has no ONNX spelling: give it one in gpubp.exports.onnx.OPERATORS or FORMULAS")
        masks = len(operands) if name in LOGICAL else name == "where"
        inputs = [*map(self.mask, operands[:masks]), *map(self.number, operands[masks:])]
        return (Mask if name in LOGICAL or name in COMPARISONS else Term)(self.graph.node(OPERATORS[name], *inputs), self)

    def number(self, operand):
        """The name of an operand as a tensor of numbers."""
        if isinstance(operand, Mask):
            operand = self.cast(operand)
        return operand.name if isinstance(operand, Term) else self.graph.constant(operand, self.dtype)

    def mask(self, operand):
        """The name of an operand as a tensor of booleans."""
        if not isinstance(operand, Term):
            return self.graph.constant(operand, "bool")
        return operand.name if isinstance(operand, Mask) else self.write("__ne__", operand, 0.0).name

    def cast(self, term, dtype=None):
        return Term(self.graph.node("Cast", term.name, to=TYPES[dtype or self.dtype]), self)

    def apply(self, entry, sigma, z):
        """sigma(z), a formula of an activation or of a cost."""
        a = spelled(entry, sigma, self, z)
        return Term(self.number(a if isinstance(a, Term) else self.where(z == z, a, a)), self)   # a constant for each z


def onnx(model: Model) -> bytes:
    """The model as ONNX, of opset 13: "x" (n, inputs) to "y" (n, outputs), both of the model's dtype, for any n.

    With a deviation, y is the means, then as many standard deviations. A model of classification or multi-label has a second
    output "label" of int64, which is what predict returns. Scalings are computed in float64. The facts, the task, the codes,
    the classes and the columns are in metadata_props, as texts or JSON.
    x is (n, columns) if the model has columns: NaN is missing, a word is its index in the categories of its column, and a word
    that is not among them is -1.

    >>> import gpubp, numpy as np
    >>> from gpubp.exports.model import Layer, Model
    >>> onnx(Model((Layer(np.ones((1, 2)), np.zeros(1), gpubp.activations.tanh),)))[:9]
    b'\\x08\\x07\\x12\\x05gpubp'
    """
    graph, dtype = Graph(), model.dtype.name
    wide, own = Onnx(graph, "float64"), Onnx(graph, dtype)
    a = Term("x", own)
    if model.scalings or model.columns:
        a = _inputs(model, wide) if model.columns else wide.cast(a)
        for shift, scale in model.scalings:
            a = standardizer(shift, scale)(a)
        a = own.cast(a)
    for l, layer in enumerate(model.layers, 1):
        w, b, activation = graph.tensor(f"w{l}", layer.w), graph.tensor(f"b{l}", layer.b), layer.activation
        z = Term(graph.node("Gemm", a.name, w, b, output=f"z{l}", transB=1), own)
        a = Term(graph.node("Softmax", z.name, axis=1), own) if activation.rowwise else own.apply(activation, activation.sigma, z)
    if cost := model.deviation:
        a = own.where(np.arange(model.outputs) < model.targets, a, own.apply(cost, cost.deviation, a))
    if model.target_scaling:
        shift, scale = model.target_scaling
        a = own.cast(wide.cast(a) * scale + shift)
    y = Term(graph.node("Identity", a.name, output="y"), own)
    outputs = [value_info("y", dtype, "n", model.outputs)]
    if model.task in ("classification", "multi-label"):
        outputs.append(_label(graph, model, y))
    notes = {"task": model.task, "codes": model.codes, "classes": model.classes} | (
        {"columns": model.columns} if model.columns else {})
    return contents(graph, [value_info("x", dtype, "n", model.width)], outputs, model.facts | notes)


def contents(graph, inputs, outputs, notes):
    """The bytes of a file; raises ValueError if they are more than readers accept."""
    whole = message({
        1: IR_VERSION, 2: "gpubp", 3: version(), 7: graph.message(inputs, outputs), 8: message({1: "", 2: OPSET}),
        14: [message({1: name, 2: fact_text(fact)}) for name, fact in notes.items() if fact]})
    if len(whole) >= LIMIT:
        raise ValueError(f"expected an ONNX file of less than {LIMIT:,} bytes, got {len(whole):,}: export it with another ending")
    return whole


def _inputs(model, wide):
    """The inputs that raw columns give, as float64."""
    places, codes, fills, shift, scale = (np.array(values) for values in zip(*model.sources()))
    x = wide.cast(Term(wide.graph.node("Gather", "x", wide.graph.constant(places, "int64"), axis=1), wide))
    value = wide.where((codes == NUMBER) | (codes == FILLED), x, x == np.where(codes < 0, np.nan, codes))   # nothing equals NaN
    return standardizer(shift, scale)(wide.where(x != x, np.array(fills, float), value))   # None is NaN


def _label(graph, model, y):
    """Write the output "label", as metrics.labels computes it; returns its description."""
    separate = model.task == "multi-label"
    if separate or model.outputs == 1:
        off, on = (graph.constant(int(code), "int64") for code in model.codes)
        nearer = graph.node("Where", (y > 0.5 * sum(model.codes)).name, on, off)
        last = ("Identity", nearer) if separate else ("Squeeze", nearer, graph.constant([1], "int64"))
        graph.node(*last, output="label")
    else:
        graph.node("ArgMax", y.name, output="label", axis=1, keepdims=0)
    return value_info("label", "int64", "n", *[model.outputs] * separate)


def value_info(name, dtype, *shape):
    """The description of an input or an output; a size is a number, or the name of one that varies."""
    sizes = [message({2 if isinstance(size, str) else 1: size}) for size in shape]
    return message({1: name, 2: message({1: message({1: TYPES[dtype], 2: message({1: sizes})})})})
