"""Kernel text: the files of kernels/ with a dtype and the tables' formulas written in.

CuPy compiles it. In the tests NVRTC compiles the same text without a GPU, and g++ runs it on the host.
"""

from functools import cache

import numpy as np

from .. import resources
from ..maths.formula import device_function

C_TYPES = {"float32": "float", "float64": "double"}
STORAGE = {"float16": "Half", "uint16": "Bfloat16"}   # types of kernels/common.cuh; NumPy has no bfloat16: uint16 holds its bits


@cache
def folder():
    """The folder of the kernels."""
    return resources.folder("kernels", "kernels", "common.cuh")


def options():
    """The compiler options for CuPy and for NVRTC."""
    return "-std=c++17", f"-I{folder()}"


@cache
def _digest():
    from hashlib import sha256  # programs without kernels do without it

    files = (path for path in sorted(folder().iterdir()) if path.suffix in (".cu", ".cuh", ".cpp", ".h"))
    return sha256(b"".join(path.read_bytes() for path in files)).hexdigest()


def source(file, dtype, written="", storage=None):
    """The source text of one program: type aliases, the text `written` and the kernel file.

    dtype: float32 or float64, the type T in which the kernels compute. storage: the type S in which the factors of products are
    stored; None takes dtype. The digest of kernels/ is for CuPy's disk cache, whose key does not cover included files.
    """
    dtype = np.dtype(dtype)
    storage = dtype if storage is None else np.dtype(storage)
    if dtype.name not in C_TYPES:
        raise TypeError(f"expected float32 or float64, got {dtype}: convert with ops.asarray(values, 'float32')")
    if storage != dtype and (dtype.name != "float32" or storage.name not in STORAGE):
        raise TypeError(f"expected factors of products in {dtype} or, beside float32, in float16 or the uint16 of a bfloat16, "
                        f"got {storage}: take ops.storage_dtype(dtype)")
    storage_type = "T" if storage == dtype else f"struct {STORAGE[storage.name]}"
    return f'// kernels/ {_digest()}\nusing T = {C_TYPES[dtype.name]};\nusing S = {storage_type};\n{written}#include "{file}"\n'


def computed(dtype):
    """The dtype in which kernels compute with numbers that are stored as dtype: float32 for the 16-bit formats."""
    return np.dtype("float32" if np.dtype(dtype).name in STORAGE else dtype)


# layer, output and step exist for the GPU (.cu) and for the CPU (.cpp) with the same kernel names and macros

def layer_source(activation, dtype, storage=None, ending="cu"):
    """The source of layer.cu (or .cpp) for an elementwise activation."""
    return source(f"layer.{ending}", dtype, _activation(activation), storage)


def output_source(cost, activation, dtype, storage=None, ending="cu"):
    """The source of output.cu (or .cpp) for a cost and the activation of the last layer."""
    return source(f"output.{ending}", dtype, output_formulas(cost, activation), storage)


def output_formulas(cost, activation):
    """The formulas and flags of the last layer."""
    partner = cost.meets_partner(activation)
    flags = {"SOFTMAX": activation.rowwise, "PARTNER": partner, "RELATIVE": cost.relative, "OUTER": cost.outer is not None,
             "PAIRS": cost.deviation is not None}
    return "".join((
        *(f"#define {name} {int(flag)}\n" for name, flag in flags.items()),
        "" if activation.rowwise else _activation(activation),
        device_function("value", cost.value_at if partner else cost.value, cost.parameters),
        device_function("slope", cost.prime, cost.parameters),
        *((device_function("outer", cost.outer, "s"),
           device_function("outer_prime", cost.outer_prime or (lambda xp, s: 1.0), "s"))
          if cost.outer else ())))


def step_source(chain, dtype, storage=None, ending="cu"):
    """The source of step.cu (or .cpp) for a Chain: its state vectors become parameters of the kernel, its scalars a row of a
    table. If storage differs from dtype, the kernel also writes the weights rounded to storage."""
    rounds = storage is not None and np.dtype(storage) != dtype
    parameters = chain.parameters()
    scalars = parameters[parameters.index("norm") + 1:]
    operands = ", ".join([*(f"{name}[n]" for name in ("w", *(f"new_{name}" for name in chain.state), "g")), "is_weight", "norm",
                          *scalars])
    row = " ".join(f"const T {name} = (table)[(row) * {len(scalars)} + {place}];" for place, name in enumerate(scalars))

    def each(form):
        return " ".join(form.format(name) for name in chain.state)
    return source(f"step.{ending}", dtype, "".join((
        device_function("rule", chain.rule, parameters),
        f"#define STATE {each('T* __restrict__ state_{0},')}\n",
        f"#define PASSED {each('state_{0},')}\n",
        f"#define LOAD {each('T new_{0}[N]; load(state_{0} + i, new_{0});')}\n",
        f"#define STORE {each('store(state_{0} + i, new_{0});')}\n",
        f"#define SCALARS(table, row) {row}\n",
        f"#define ROUNDED {'S* __restrict__ rounded,' * rounds}\n#define PASSED_ROUNDED {'rounded,' * rounds}\n",
        "#define ROUNDS\n" * rounds,
        f"#define RULE(n) rule({operands})\n")), storage)


def copy_source(*pairs):
    """The source of copy.cu for up to three copies; pairs alternate source dtype and target dtype."""
    dtypes = [np.dtype(one) for one in pairs]
    dtype = next((one for one in dtypes if one.name not in STORAGE), np.dtype("float32"))
    storage = next((one for one in dtypes if one.name in STORAGE), dtype)
    if unlike := [str(one) for one in dtypes if one not in (dtype, storage)]:
        raise TypeError(f"expected numbers of {dtype} or its storage, got {', '.join(unlike)}: "
                        "convert with ops.asarray(values, dtype)")
    names = [f"{side}{place}" for place in range(3) for side in ("From", "To")]
    dtypes += dtypes[-2:] * 2   # for the copies that are not given
    return source("copy.cu", dtype, "".join(f"using {name} = {'T' if one == dtype else 'S'};\n"
                                            for name, one in zip(names, dtypes)), storage)


def _activation(activation):
    return device_function("sigma", activation.sigma, "z") + device_function("prime", activation.prime, "za")


def arguments(dtype, *values):
    """The values converted to the types that kernels declare: a float to dtype, an int to int32; CuPy would pass 64 bits."""
    return tuple(dtype.type(value) if isinstance(value, float) else np.int32(value) if isinstance(value, int) else value
                 for value in values)
