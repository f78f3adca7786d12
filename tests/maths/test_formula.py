"""Formulas as CUDA C: the text, the errors, and equal numbers from C and NumPy.

g++ compiles the functions in one program, each as a loop over arrays; the results are compared with NumPy's.
"""

import ctypes
import math
import re
import shutil
import subprocess
import tempfile
from functools import cache
from inspect import signature

import numpy as np
import pytest

from benchmarks.kernel_programs import activations, chains
from gpubp.devices.cpu.ufunc_program import Scratch, bind
from gpubp.maths.activations import Activation
from gpubp.maths.costs import COSTS
from gpubp.maths.formula import C_SPELLINGS, REFLECTED, C, Term, Writer, device_function

NAMES = ["z", "a", "y"]


def formulas_of(name):
    """(label, formula with one result) of a cost."""
    cost = COSTS.find(name)
    for which in ("value", "prime", "value_at", "outer", "outer_prime", "deviation"):
        formula = getattr(cost, which)
        if which == "prime" and cost.per_target == 2:
            for place, output in enumerate("ms"):
                yield f"{name} prime {output}", lambda xp, m, s, y, place=place: cost.prime(xp, m, s, y)[place]
        elif formula:
            yield f"{name} {which}", formula


FORMULAS = {   # label: a formula of xp and one to three arrays
    **{f"{entry.name} {which}": getattr(entry, which)
       for entry in activations() if not entry.rowwise for which in ("sigma", "prime")},
    **{label: formula for cost in COSTS for label, formula in formulas_of(cost)}}
BINARY = [name for name, form in C_SPELLINGS.items() if "{1}" in form and "{2}" not in form]
OPERATORS = {   # every spelling as a formula, by an operator where it is one
    **{name: (lambda xp, x, y, name=name: getattr(x, name)(y))
       for name in (*BINARY, *REFLECTED) if name.startswith("__")},
    **{name: (lambda xp, x, y, name=name: getattr(xp, name)(x, y)) for name in BINARY if not name.startswith("__")},
    **{name: (lambda xp, x, name=name: getattr(xp, name)(x)) for name, form in C_SPELLINGS.items()
       if "{1}" not in form and not name.startswith("__")},
    "__neg__": lambda xp, x: -x, "__pos__": lambda xp, x: +x, "__abs__": lambda xp, x: abs(x),
    "__invert__": lambda xp, x: ~(x > 1.0),
    "__rand__": lambda xp, x: True & (x > 0.0), "__ror__": lambda xp, x: False | (x > 0.0),
    "__and__": lambda xp, x, y: (x > 0.0) & (y > 0.0), "__or__": lambda xp, x, y: (x > 0.0) | (y > 0.0),
    "where": lambda xp, x, y: xp.where(x < y, x, 2.0), "square by power": lambda xp, x: x ** 2,
    "cube by power": lambda xp, x: x ** 3, "root by power": lambda xp, x: x ** 2.5, "power of two": lambda xp, x, y: x ** y,
    "reflected": lambda xp, x: 1.0 - (2.0 / x + 3.0 * (0.5 + x)),
    "equal": lambda xp, x: xp.where(x == 0.0, 1.0, xp.where(x != x, 2.0, 3.0))}
SPECIAL = np.array([-np.inf, -1e4, -2.5, -1.0, -0.25, -0.0, 0.0, 1e-9, 0.25, 0.5, 1.0, 3.0, 20.0, 1e4, np.inf, np.nan])


def written(formula):
    return device_function("f", formula, NAMES[:len(signature(formula).parameters) - 1])


@cache
def compiled():
    """Each formula, and each spelling, as a function of arrays."""
    if shutil.which("g++") is None:
        pytest.skip("g++ is not installed, and runs the written formulas")
    program, everything = ["#include <cmath>", "#define __device__", "using std::fabs; using T = double;"], FORMULAS | OPERATORS
    for number, formula in enumerate(everything.values()):
        names = NAMES[:count_of(formula)]
        body, operands = device_function(f"f{number}", formula, names), ", ".join(f"{name}[i]" for name in names)
        program.append(f'{body}extern "C" void loop{number}(const T* z, const T* a, const T* y, T* out, int n)\n'
                       f"{{ for (int i = 0; i < n; ++i) out[i] = f{number}({operands}); }}")
    return build("\n".join(program)), list(everything)


def build(program):
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/formulas.so"
        subprocess.run(["g++", "-x", "c++", "-", "-std=c++17", "-O0", "-ffp-contract=off", "-shared", "-fPIC", "-o", path],
                       input=program, text=True, check=True)
        return ctypes.CDLL(path)


def count_of(formula):
    return len([p for p in signature(formula).parameters.values() if p.default is p.empty]) - 1


def by_c(label, *operands):
    library, labels = compiled()
    operands = [np.ascontiguousarray(o, "float64") for o in operands]
    out = np.empty_like(operands[0])
    pointers = [o.ctypes.data_as(ctypes.c_void_p) for o in (operands * 3)[:3]]
    getattr(library, f"loop{labels.index(label)}")(*pointers, out.ctypes.data_as(ctypes.c_void_p), out.size)
    return out


def by_numpy(formula, *operands):
    with np.errstate(all="ignore"):
        return np.broadcast_to(np.asarray(formula(np, *operands), "float64"), operands[0].shape)


@pytest.mark.parametrize("label", list(FORMULAS))
def test_c_and_numpy_compute_the_same(label, random):
    formula = FORMULAS[label]
    inside = "prime" in label or "value" in label or "outer" in label
    first = random.uniform(0.05, 0.95, 500) if inside and label.split()[0] in COSTS else random.normal(0.0, 4.0, 500)
    operands = [first, *random.uniform(0.05, 0.95, (2, 500))][:count_of(formula)]
    expected = by_numpy(formula, *operands)
    assert np.isfinite(expected).all()
    assert np.allclose(by_c(label, *operands), expected, rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize("label", list(FORMULAS) + list(OPERATORS))
def test_bound_to_arrays_it_computes_the_same(label, random):
    """gpubp.devices.cpu.ufunc_program is the second writer: it writes NumPy calls."""
    formula = (FORMULAS | OPERATORS)[label]
    operands = list(random.uniform(0.05, 0.95, (3, 100)))[:count_of(formula)]
    expected, out = by_numpy(formula, *operands), np.zeros(100)
    for call in bind(formula, operands, [out], Scratch(100, "float64")):
        call()
    assert np.allclose(out, expected, rtol=1e-15, atol=0.0)   # NumPy cubes by pow


@pytest.mark.parametrize("rule", [lambda xp, w, v: (v, w), lambda xp, w, v: (w + v, w), lambda xp, w, v: (v * 2.0, w + v),
                                  lambda xp, w, v: (w, v), lambda xp, w, v: (1.0, v - w)])
def test_results_that_are_inputs_elsewhere_are_not_overwritten_first(rule, random):
    w, v = random.normal(size=(2, 10))
    expected = [np.broadcast_to(value, 10).copy() for value in rule(np, w, v)]
    for call in bind(rule, [w, v], [w, v], Scratch(10, "float64")):
        call()
    assert np.array_equal(w, expected[0]) and np.array_equal(v, expected[1])


@pytest.mark.parametrize("label", [label for label in FORMULAS if "sigma" in label])
def test_c_and_numpy_agree_at_the_extremes(label):
    assert np.allclose(by_c(label, SPECIAL), by_numpy(FORMULAS[label], SPECIAL), rtol=1e-13, atol=1e-300, equal_nan=True)


@pytest.mark.parametrize("label", list(OPERATORS))
def test_every_spelling_means_what_it_means_in_numpy(label):
    x, y = (values.ravel() for values in np.meshgrid(SPECIAL, SPECIAL))
    operands = (x, y)[:count_of(OPERATORS[label])]
    ours, numpys = by_c(label, *operands), by_numpy(OPERATORS[label], *operands)
    assert np.allclose(ours, numpys, rtol=1e-14, atol=0.0, equal_nan=True)
    assert not np.isnan(numpys).all()


def test_every_spelling_is_exercised():
    assert set(C_SPELLINGS) <= set(OPERATORS)


@pytest.mark.parametrize("label", list(FORMULAS))
def test_numbers_are_spelled_in_the_kernels_type(label):
    """A bare 0.5 is a double, and would make a float kernel compute in double precision."""
    body = written(FORMULAS[label])
    bare = re.sub(r"T\(-?[\d.]+(?:e[-+]?\d+)?\)", "", body)
    assert not re.search(r"(?<![\w.])\d+(?:\.\d*)?(?:e[-+]?\d+)?(?!\w)", bare), body
    assert "double" not in body and "float" not in body


@pytest.mark.parametrize("chain", chains(), ids=str)
def test_numbers_of_the_rules_too(chain):
    body = device_function("rule", chain.rule, chain.parameters())
    assert body.startswith("__device__ inline void rule(T& w, ")
    assert not re.search(r"(?<![\w.(])\d+\.\d*(?!\w)", re.sub(r"T\([^()]*\)", "", body)), body


def test_a_value_used_twice_is_written_once():
    def shared(xp, z):
        e = xp.exp(z)
        return e / (1.0 + e)

    assert written(shared).count("exp(") == 1
    assert written(lambda xp, z: z).splitlines()[2] == "    return z;"
    assert written(lambda xp, z: 2).splitlines()[2] == "    return T(2.0);"
    assert "T(0.1)" in written(lambda xp, z: np.float64(0.1) * z) and "T(3.0)" in written(lambda xp, z: z + np.int64(3))


def test_squares_and_cubes_are_products():
    assert "pow" not in written(lambda xp, z: z ** 2 + z ** 3) and "pow" in written(lambda xp, z: z ** 2.5)


def test_a_tuple_is_assigned_after_all_of_it_is_known():
    body = device_function("swap", lambda xp, v, w: (w, v, v), ["v", "w", "u"][:2])
    assert body.startswith("__device__ inline void swap(T& v, T& w)")
    if shutil.which("g++"):
        library = build("#define __device__\nusing T = double;\n" + body
                        + 'extern "C" void both(T* v, T* w) { swap(*v, *w); }')
        v, w = ctypes.c_double(1.0), ctypes.c_double(2.0)
        library.both(ctypes.byref(v), ctypes.byref(w))
        assert (v.value, w.value) == (2.0, 1.0)


@pytest.mark.parametrize("formula, kind, sentence", [
    (lambda xp, z: z if z > 0.0 else 0.0, TypeError, r"straight-line: write xp\.where\(condition, this, that\)"),
    (lambda xp, z: (z > 0.0) and z, TypeError, "straight-line"), (lambda xp, z: max(z, 0.0), TypeError, "straight-line"),
    (lambda xp, z: z if z == 0.0 else 1.0, TypeError, "straight-line"),
    (lambda xp, z: xp.sinc(z), AttributeError,
     r"xp\.sinc has no CUDA spelling: give it one in gpubp\.maths\.formula\.C_SPELLINGS"),
    (lambda xp, z: z * float("inf"), ValueError, "constants must be finite, got inf"),
    (lambda xp, z: xp.where(z > 0.0, z, float("nan")), ValueError, "constants must be finite, got nan")])
def test_unsupported_formulas_are_refused_with_the_remedy(formula, kind, sentence):
    with pytest.raises(kind, match=sentence):
        written(formula)


def test_a_constant_of_the_formula_may_be_computed_by_xp():
    assert "sqrt(T(2.0))" in written(lambda xp, z: z * xp.sqrt(2.0))


def test_a_writer_that_cannot_write_says_so():
    with pytest.raises(TypeError, match="Writer does not say how to write exp"):
        Writer().exp(Term("z", C()))


def test_numpys_functions_and_numbers_are_written_too():
    text = device_function("sigma", lambda xp, z: np.tanh(z) * np.float32(2.0) + np.maximum(z, 0.5) + np.where(z < 3.0, z, 4.0))
    assert all(part in text for part in ("tanh(z)", "T(2.0)", "T(0.5)", "? z : T(4.0)"))


def in_place(xp, z):
    z *= 2.0
    return z


@pytest.mark.parametrize("sigma, said", [
    (lambda xp, z: math.exp(z), "write xp.exp"), (lambda xp, z: z.mean(), "knows no .mean"),
    (lambda xp, z: None, "activation 'own'"), (lambda xp, z: np.add.reduce(z), "cannot be written"),
    (lambda xp, z: (z, z), "returns one value"), (in_place, "write z = 2.0"),
    (lambda xp, z: xp.where(z), "IndexError"), (lambda z: z, "activation 'own'"), (lambda xp, z: xp.sinc(z), "sinc"),
    (lambda xp, z: np.sinc(z), "sinc"), (lambda xp, z: np.sum(z, axis=0), "numpy.sum with options cannot be written")])
def test_an_activation_that_cannot_be_written_is_refused_when_it_is_made(sigma, said):
    with pytest.raises((TypeError, ValueError, AttributeError), match=said) as caught:
        Activation("own", sigma, lambda xp, z, a: 1.0)
    assert str(caught.value).startswith("activation 'own': ")
