"""Formulas as C99: a C compiler takes them without a warning, and they compute what NumPy computes in the same dtype."""

import re

import numpy as np
import pytest

from gpubp.maths import formula
from gpubp.maths.c99 import C99, MATH_H, TYPES, function, literals
from gpubp.maths.formula import C_SPELLINGS
from tests.c99 import library, pointer
from tests.maths.test_formula import FORMULAS, NAMES, OPERATORS, SPECIAL, count_of

EVERYTHING = FORMULAS | OPERATORS


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """A library for each dtype: every formula and every spelling as a loop over arrays."""
    found = {}
    for dtype, (T, _) in TYPES.items():
        program = ["#include <math.h>"]
        for number, written in enumerate(EVERYTHING.values()):
            names = NAMES[:count_of(written)]
            values, operands = ", ".join(f"const {T} *{name}" for name in names), ", ".join(f"{name}[i]" for name in names)
            program.append(f"{function(f'f{number}', written, names, dtype)}\nvoid loop{number}({values}, {T} *out, int n);\n"
                           f"void loop{number}({values}, {T} *out, int n)\n"
                           f"{{\n    for (int i = 0; i < n; ++i)\n        out[i] = f{number}({operands});\n}}")
        found[dtype] = library(tmp_path_factory.mktemp(dtype), "\n".join(program))
    return found


def by_c(compiled, label, *operands):
    out = np.empty_like(operands[0])
    loop = getattr(compiled[out.dtype.name], f"loop{list(EVERYTHING).index(label)}")
    loop(*map(pointer, operands), pointer(out), out.size)
    return out


def by_numpy(written, *operands):
    with np.errstate(all="ignore"):
        return np.broadcast_to(np.asarray(written(np, *operands), operands[0].dtype), operands[0].shape)


@pytest.mark.parametrize("dtype, rtol", [("float32", 1e-6), ("float64", 1e-14)])
@pytest.mark.parametrize("label", FORMULAS)
def test_every_formula_computes_what_numpy_computes(compiled, label, dtype, rtol, random):
    operands = random.uniform(0.05, 0.95, (3, 200))[:count_of(FORMULAS[label])]
    if "sigma" in label:
        operands = np.concatenate([operands, 4.0 * operands - 2.0, 40.0 * operands - 20.0, [SPECIAL]], axis=1)
    operands = [*operands.astype(dtype)]
    tiny = np.finfo(dtype).smallest_normal
    found, expected = by_c(compiled, label, *operands), by_numpy(FORMULAS[label], *operands)
    assert np.allclose(found, expected, rtol=rtol, atol=tiny, equal_nan=True)


@pytest.mark.parametrize("dtype, rtol", [("float32", 1e-6), ("float64", 1e-14)])
@pytest.mark.parametrize("label", OPERATORS)
def test_every_spelling_means_what_it_means_in_numpy(compiled, label, dtype, rtol):
    operands = [values.ravel().astype(dtype) for values in np.meshgrid(SPECIAL, SPECIAL)][:count_of(OPERATORS[label])]
    found, expected = by_c(compiled, label, *operands), by_numpy(OPERATORS[label], *operands)
    assert np.allclose(found, expected, rtol=rtol, atol=0.0, equal_nan=True)


def test_numbers_and_functions_are_of_the_dtype():
    written = lambda xp, z: xp.where(z > 0.1, xp.exp(z) ** 2.5, 1.0 / z)
    single, double = (function("f", written, ["z"], dtype) for dtype in TYPES)
    assert "z > 0.1f;" in single and "expf(z)" in single and "powf(t1, 2.5f)" in single and "float f(float z)" in single
    assert "z > 0.1;" in double and "exp(z)" in double and "double f(double z)" in double and not re.search(r"\df\b", double)


@pytest.mark.parametrize("dtype", TYPES)
def test_no_number_of_a_float_formula_is_a_double(dtype):
    for label, written in FORMULAS.items():
        body = function("f", written, NAMES[:count_of(written)], dtype)
        numbers = re.findall(r"(?<!\w)(\d[\d.]*(?:e[-+]?\d+)?)(f?)(?!\w)", body)
        assert all((suffix == "f") == (dtype == "float32") and ("." in text or "e" in text) for text, suffix in numbers), label


def test_equal_operations_are_written_once_and_unused_ones_not_at_all():
    text = function("f", lambda xp, z: (xp.exp(z) + xp.exp(z), xp.log(z))[0], ["z"], "float32")
    assert text.count("expf") == 1 and "logf" not in text
    assert function("f", lambda xp, z: 2.0, ["z"], "float32").splitlines()[2:4] == ["    (void)z;", "    return 2.0f;"]


def test_a_number_is_not_compared_with_itself():
    """Compilers warn of it; an operand that is computed may be NaN."""
    text = function("f", lambda xp, z: xp.maximum(z, 0.0) + xp.minimum(-2.5, z) + xp.minimum(z, -2.5), ["z"], "float32")
    assert "= (z < 0.0f) ? 0.0f : z;" in text and "= (z > (-2.5f)) ? (-2.5f) : z;" in text
    assert "= ((-2.5f) > z || z != z) ? z : (-2.5f);" in text


def test_constants_beyond_the_dtype_are_what_numpy_makes_of_them(tmp_path):
    written = {"small": lambda xp, z: z * 1e-60, "denormal": lambda xp, z: z * 1e-44, "large": lambda xp, z: z * 1e60,
               "negative": lambda xp, z: -(-1e60 * (z + 1.0) - -2.0),
               "minus": lambda xp, z: xp.absolute(-3.0) * -xp.exp(-1.0) * z}
    program = "\n".join(["#include <math.h>", *(
        f"{function(f'{name}_', each, ['z'], 'float32')}\nvoid {name}(float *z);\nvoid {name}(float *z) {{ *z = {name}_(*z); }}"
        for name, each in written.items())])
    found = library(tmp_path, program)
    for name, each in written.items():
        z = np.ones(1, "float32")
        expected = by_numpy(each, z.copy())
        getattr(found, name)(pointer(z))
        assert np.allclose(z, expected, rtol=1e-6, atol=0.0), name


def test_literals_are_read_back_exactly(random):
    for dtype, most in (("float32", 9), ("float64", 17)):
        bits = random.integers(0, 2**63, 2000).astype(np.uint64).view(dtype)
        facts = np.finfo(dtype)
        ends = np.array([facts.max, -facts.max, facts.tiny, facts.smallest_subnormal, 0.0, -0.0, 1.0, 2.0**24 + 2], dtype)
        values = np.concatenate([bits[np.isfinite(bits)], ends])
        with np.printoptions(precision=3, legacy="1.13"):
            texts = literals(values)
        back = np.array([float(text.rstrip("f")) for text in texts]).astype(dtype)
        assert back.tobytes() == values.tobytes()
        assert max(len(re.sub(r"e.*|\D", "", text).strip("0")) for text in texts) <= most


def test_spellings_follow_the_table(monkeypatch):
    monkeypatch.setitem(C_SPELLINGS, "erf", "erf({0})")
    assert "erff(z)" in function("f", lambda xp, z: xp.erf(z), ["z"], "float32")
    monkeypatch.setitem(C_SPELLINGS, "erf", "normcdf({0})")
    with pytest.raises(ValueError, match=r"expected a function of C99's math\.h for xp\.erf, got 'normcdf'"):
        function("f", lambda xp, z: xp.erf(z), ["z"], "float32")
    with pytest.raises(AttributeError, match="sinc has no"):
        function("f", lambda xp, z: xp.sinc(z), ["z"], "float32")


def test_math_h_has_what_the_table_needs(tmp_path):
    assert {name for form in formula.C_SPELLINGS.values() for name in re.findall(r"\b([a-z]\w*)\(", form)} <= MATH_H
    assert "".join(C99("float32").spellings.values()).count("T(") == 0
    library(tmp_path, "\n".join(["#include <math.h>", *(   # each exists with both suffixes
        f"void *address_{name}{f}(void);\nvoid *address_{name}{f}(void) {{ static double d; (void){name}{f}; return &d; }}"
        for name in MATH_H for f in ("", "f"))]))
