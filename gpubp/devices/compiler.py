"""Kernel text and its compilation: the files of kernels/ with a dtype and the tables' formulas written in.

One text serves CuPy here, and in the tests NVRTC, which needs no GPU to compile, and g++, which runs it on the host.
"""

from dataclasses import fields, replace
from functools import cache
from hashlib import sha256
from pathlib import Path

import numpy as np

from ..maths.activations import ACTIVATIONS
from ..maths.chains import OPTIMIZERS, Chain, Modifier
from ..maths.costs import COSTS
from ..maths.formula import device_function
from ..maths.optimizers import Optimizer
from ..maths.table import Interval

C_TYPES = {"float32": "float", "float64": "double"}
UNFORMULATED = ("softmax.cu", "sums.cu", "dropout.cu")   # the files that are complete without a formula


@cache
def folder():
    """Where the kernels lie: inside the package in a wheel, beside it in a checkout."""
    package = Path(__file__).resolve().parent.parent
    places = package / "kernels", package.parent / "kernels"
    for place in places:
        if (place / "common.cuh").is_file():
            return place
    raise FileNotFoundError(f"expected common.cuh in {places[0]} or {places[1]}, found neither: reinstall gpubp")


def options():
    """Compiler options, for CuPy and for NVRTC."""
    return "-std=c++17", f"-I{folder()}"


@cache
def _digest():
    return sha256(b"".join(path.read_bytes() for path in sorted(folder().glob("*.cu*")))).hexdigest()


def source(file, dtype, written=""):
    """The text of one program: the dtype, what is written in, and the file.

    The digest is there for CuPy, whose cache on disk keys on this text and not on what it includes.
    """
    dtype = np.dtype(dtype)
    if dtype.name not in C_TYPES:
        raise TypeError(f"expected float32 or float64, got {dtype}: convert with ops.array(values, 'float32')")
    return f'// kernels/ {_digest()}\nusing T = {C_TYPES[dtype.name]};\n{written}#include "{file}"\n'


def layer_source(activation, dtype):
    """layer.cu for an activation that is a formula."""
    return source("layer.cu", dtype, _activation(activation))


def output_source(cost, activation, dtype):
    """output.cu for a cost on outputs of an activation."""
    partner = cost.meets_partner(activation)
    flags = {"SOFTMAX": activation.rowwise, "PARTNER": partner, "RELATIVE": cost.relative}
    return source("output.cu", dtype, "".join((
        *(f"#define {name} {int(flag)}\n" for name, flag in flags.items()),
        "" if activation.rowwise else _activation(activation),
        device_function("value", cost.value_at if partner else cost.value),
        device_function("slope", cost.prime),
        device_function("outer", cost.outer or (lambda xp, s: s)),
        device_function("outer_prime", cost.outer_prime or (lambda xp, s: 1.0)))))


def step_source(chain, dtype):
    """step.cu for a chain, whose vectors and scalars become parameters of the kernel."""
    parameters = chain.parameters()
    scalars = parameters[parameters.index("norm") + 1:]
    state = [f"state_{name}" for name in chain.state]
    operands = ", ".join([*(f"{name}[i]" for name in ("w", *state, "g")), "weight", "norm", *scalars])
    return source("step.cu", dtype, "".join((
        device_function("rule", chain.rule, parameters),
        f"#define STATE {' '.join(f'T* __restrict__ {name},' for name in state)}\n",
        f"#define SCALARS {' '.join(f', T {name}' for name in scalars)}\n",
        f"#define RULE(i, weight, norm) rule({operands})\n")))


def _activation(activation):
    return device_function("sigma", activation.sigma) + device_function("prime", activation.prime)


class CupyCompiler:
    """Compiles by NVRTC through CuPy, at first use; CuPy keeps the machine code, per device and on disk."""

    def kernel(self, text, name):
        """The kernel of that name, to be called as kernel(grid, block, arguments)."""
        return _kernel(text, name)


@cache
def _kernel(text, name):
    return _module(text).get_function(name)


@cache
def _module(text):
    import cupy

    return cupy.RawModule(code=text, options=options())


def arguments(dtype, *values):
    """Values as a kernel declares them: left alone, a float would arrive as a double and an int as 64 bits."""
    return tuple(dtype.type(value) if isinstance(value, float) else np.int32(value) if isinstance(value, int) else value
                 for value in values)


# ---- every program that the tables can lead to, so that the tests compile and run a new row unasked

def sources(dtype):
    """Pairs of a label and a text, for every file and every row of the tables."""
    yield from ((file, source(file, dtype)) for file in UNFORMULATED)
    yield from ((f"layer.cu {row.name}", layer_source(row, dtype)) for row in activations() if not row.rowwise)
    yield from ((f"output.cu {cost.name} {row.name}", output_source(cost, row, dtype)) for cost, row in outputs())
    yield from ((f"step.cu {chain}", step_source(chain, dtype)) for chain in chains())


def activations():
    """The rows of the table of activations, factories with their defaults."""
    return [ACTIVATIONS.find(name) for name in ACTIVATIONS]


def outputs():
    """The pairs of a cost and an output activation that suits it."""
    costs = [COSTS.find(name) for name in COSTS]
    return [(cost, row) for cost in costs for row in activations() if Interval(row.range) in Interval(cost.outputs)]


def chains():
    """Each optimizer bare, with its switches on one by one and all together, and behind every modifier."""
    amount = 0.5
    modifiers = [row(amount) for row in OPTIMIZERS.values() if issubclass(row, Modifier)]
    modifiers.sort(key=lambda modifier: not modifier.uses_norm)   # the order that Chain asks for
    result = []
    for row in OPTIMIZERS.values():
        if issubclass(row, Optimizer):
            optimizer = row()
            switches = {f.name: True if f.default is False else amount for f in fields(row)
                        if f.init and f.default in (0.0, False)}
            variants = [optimizer, *(replace(optimizer, **{name: on}) for name, on in switches.items()),
                        replace(optimizer, **switches)]
            result += [Chain.of(variant) for variant in dict.fromkeys(variants)]
            result.append(Chain.of([*modifiers, optimizer]))
    return result
