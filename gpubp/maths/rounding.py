"""Rounding: an array module under which a formula gives its value in float64 and a bound on the rounding error of any device.

The results of a device in its dtype lie within the bound, in whichever order it adds, with or without fused multiply-adds.
"""

from typing import NamedTuple

import numpy as np

from .formula import COMPARISONS, UFUNC_NAMES, Term, Writer, constant

FUNCTION = 8   # rounding of exp, tanh, ... in units: 4 ulp, which CUDA, NumPy and the C library guarantee for C_SPELLINGS
MONOTONE = {"floor", "exp", "expm1", "log", "log1p", "sqrt", "tanh", "sinh", "arctan"}
EXACT = {"__neg__", "__pos__", "__abs__", "abs", "absolute", "sign", "floor", "maximum", "minimum"}
VANISHING = {"__mul__", "__truediv__", "square", "reciprocal", "exp", "power"}   # results that may underflow to 0


class Bounded(NamedTuple):
    """Values in float64, and a bound on the device's rounding errors: 0 where it is exact, inf where no bound is known."""

    value: np.ndarray
    error: np.ndarray


class Rounding(Writer):
    """Computes with Bounded numbers, the names of its Terms. An operation propagates the errors of its operands and rounds.

    If rounding may change a condition, the bound covers both branches. A device may flush subnormal numbers to 0, as GPUs do in
    float32. Where a number may or may not overflow, the bound is infinite.
    """

    def __init__(self, dtype, adding=1):
        """adding: units of rounding of an addition within a matrix product; more than 1 if it truncates."""
        facts, self.dtype, self.adding = np.finfo(dtype), np.dtype(dtype), adding
        self.unit = float(facts.eps) / 2 + 2.0**-53   # of the device, and of the values here
        self.tiny, self.largest = float(facts.smallest_normal), float(facts.max)

    def given(self, values):
        """A Term of numbers that are exact on the device."""
        value = np.asarray(values, np.float64)
        return self._term(value, np.where(np.abs(value) < self.tiny, np.abs(value), 0.0))

    def stored(self, x, unit, smallest, largest):
        """A Term converted to a narrower format with this unit of rounding, smallest and largest number."""
        (value, error), size = x.name, np.abs(x.name.value) + x.name.error
        over = size - 2 * error > largest * (1.0 + 2 * unit)
        unsure = (size * (1.0 + unit) >= largest) & ~over & np.isfinite(value)
        error = error + np.where(np.isfinite(size), unit * size + smallest * (size > 0.0), 0.0)
        return self._term(np.where(over, np.copysign(np.inf, value), value), np.where(unsure, np.inf, np.where(over, 0.0, error)))

    def before(self, values, unit, smallest):
        """A Term of numbers before the device converted them to a narrower format; infinite ones may have been any."""
        value, error = self.given(values).name
        error = error + unit * np.abs(value) + smallest
        return self._term(value, np.where(np.isnan(value), 0.0, error))

    def either(self, this, that):
        """A Term that one device computes as this and another as that."""
        return self._where(Bounded(np.ones(()), np.ones(())), this.name, that.name)

    def write(self, name, *operands):
        same = len(operands) == 2 and operands[0] is operands[1]
        terms = [one.name if isinstance(one, Term) else self._constant(constant(one)) for one in operands]
        if name == "where":
            return self._where(*terms)
        value = getattr(np, UFUNC_NAMES.get(name, name))(*(term.value for term in terms))
        if value.dtype == bool:
            known = _compared(terms[0], terms[1], same) if name in COMPARISONS else _combined(name, *terms)
            return self._term(value.astype(np.float64), np.where(known, 0.0, 1.0))
        return self._rounded(name, value, self._propagated(name, value, *terms), terms)

    def sum(self, x, axis, keepdims=True):
        """The sum along an axis, which keeps length 1, added in any order."""
        value, error = x.name
        count, terms = value.shape[axis], np.where(np.isfinite(value), np.abs(value), 0.0)
        return self._sum(value.sum(axis=axis, keepdims=True), error.sum(axis=axis, keepdims=True),
                         (terms + error).sum(axis=axis, keepdims=True), count)

    def product(self, a, b):
        """The matrix product, with each sum of k terms added in any order: k units of the sum of the magnitudes."""
        terms = (a, a_error), (b, b_error) = a.name, b.name
        sizes = [np.where(np.isfinite(x), np.abs(x), 0.0) for x in (a, b)]
        passed_on = a_error @ sizes[1] + (sizes[0] + a_error) @ b_error if a_error.any() or b_error.any() else np.zeros(())
        infinite = [np.isinf(x).astype(float) for x in (a, b)]
        if infinite[0].any() or infinite[1].any():   # times a number that may be 0 or of either sign, anything is possible
            doubts = infinite[0] @ _in_doubt(terms[1]) + _in_doubt(terms[0]) @ infinite[1]
            passed_on = np.where(doubts > 0.0, np.inf, passed_on)
        magnitude = sizes[0] @ sizes[1] + passed_on
        return self._sum(a @ b, np.broadcast_to(passed_on, magnitude.shape), magnitude, self.adding * a.shape[1])

    def max(self, x, axis, keepdims=True):
        """The maximum along an axis, which keeps length 1."""
        value, error = x.name
        return self._term(value.max(axis=axis, keepdims=True), error.max(axis=axis, keepdims=True))

    def split(self, x, count, axis):
        """Terms of the equal parts along an axis."""
        return [self._term(*parts) for parts in zip(*(np.split(array, count, axis) for array in x.name))]

    def concatenate(self, parts, axis):
        """One Term of the parts along an axis."""
        return self._term(*(np.concatenate(arrays, axis) for arrays in zip(*(part.name for part in parts))))

    def _sum(self, value, error, magnitude, count):
        units = count * self.unit
        # each partial sum, and each product in it, may be flushed to 0
        rounding = magnitude * (units / (1.0 - units) if units < 1.0 else np.inf) + 2 * count * self.tiny * (magnitude > 0.0)
        error = np.where(magnitude >= self.largest / 2, np.inf, error + rounding)
        error = np.where(np.isnan(error), np.inf, error)   # the error of an operand is unknown
        return self._term(value, np.where(np.isnan(value) & np.isfinite(error), 0.0, error))

    def _constant(self, number):
        value = np.asarray(number, np.float64)
        return Bounded(value, np.abs(value - value.astype(self.dtype)))   # kernels have constants in their dtype

    def _term(self, value, error):
        return Term(Bounded(*np.broadcast_arrays(value, error)), self)

    def _rounded(self, name, value, error, terms):
        units = 0 if name in EXACT else 1 if name.startswith("__") or name in ("square", "reciprocal") else FUNCTION
        size = np.abs(value) + error
        error = error + np.where(np.isfinite(size), units * self.unit * size, 0.0)
        unsure = np.any([np.broadcast_to(np.isinf(term.error), value.shape) for term in terms], axis=0)
        if units:
            zero = np.any([np.broadcast_to((term.value == 0.0) & (term.error == 0.0), value.shape) for term in terms], axis=0)
            kept = (size == 0.0) & (zero | (name not in VANISHING))
            error = error + np.where((size < self.tiny) & ~kept, self.tiny, 0.0)
            # beyond 4 times the largest number it is infinite even if operations are fused; below, it may be
            over, near = np.abs(value) - error > 4 * self.largest, size > self.largest * (1 - 4 * self.unit)
            unsure = unsure | (near & ~over & np.isfinite(value))
            value, error = np.where(over, np.copysign(np.inf, value), value), np.where(over, 0.0, error)
        error = np.where(np.isnan(error), np.where(np.isfinite(value), np.inf, 0.0), error)
        return self._term(value, np.where(unsure, np.inf, error))

    def _propagated(self, name, value, a, b=None):
        """The error of the value that follows from the errors of the operands."""
        if name in MONOTONE:
            function = getattr(np, name)
            wider = np.where(a.error > 0.0, a.error + np.spacing(np.abs(a.value) + a.error), 0.0)
            return _spread(value, [function(a.value - wider), function(a.value + wider)])
        match name:
            case "maximum" | "minimum" | "power":
                function = getattr(np, name)
                return _spread(value, [function(a.value + s * a.error, b.value + t * b.error)
                                       for s in (-1.0, 1.0) for t in (-1.0, 1.0)])
            case "__add__" | "__sub__":
                return a.error + b.error
            case "__neg__" | "__pos__" | "abs" | "absolute" | "__abs__":
                return a.error
            case "__mul__" | "square":
                b = b or a
                error = _times(a.value, b.error) + _times(b.value, a.error) + a.error * b.error
                return np.where(np.isinf(value) & _signed(a) & _signed(b), 0.0, error)
            case "__truediv__" | "reciprocal":
                a, b = (a, b) if b else (self.given(1.0).name, a)
                left = np.abs(b.value) - b.error
                error = np.where(left > 0.0, (a.error + _times(value, b.error)) / left, np.inf)
                exact = (b.error == 0.0) & (b.value == 0.0) & (a.error == 0.0)   # a / 0 is exact
                return np.where(exact | np.isnan(b.value) | (np.isinf(value) & _signed(a) & _signed(b)), 0.0, error)
            case "sign":
                return np.where((np.abs(a.value) <= a.error) & (a.error > 0.0), 2.0, 0.0)
            case "sin" | "cos":
                return np.minimum(a.error, 2.0)
            case "cosh":
                return _times(np.sinh(np.abs(a.value) + a.error), a.error)
        raise TypeError(f"expected a function of formula.C_SPELLINGS, got {name}: its rounding is unknown")

    def _where(self, condition, this, that):
        chosen = condition.value != 0.0
        value = np.where(chosen, this.value, that.value)
        apart = np.where(this.value == that.value, 0.0, np.abs(this.value - that.value))
        either = apart + np.maximum(this.error, that.error)
        either = np.where(np.isnan(either), np.inf, either)
        return self._term(value, np.where(condition.error > 0.0, either, np.where(chosen, this.error, that.error)))


def _compared(a, b, same):
    """Whether a comparison of a and b gives the same result on the device."""
    error = a.error + b.error
    known = np.isnan(a.value) | np.isnan(b.value) | (error == 0.0) | same | (np.abs(a.value - b.value) > error)
    return known & np.isfinite(error)


def _combined(name, a, b=None):
    """Whether an operation on conditions gives the same result on the device."""
    if b is None:
        return a.error == 0.0
    deciding = 0.0 if name == "__and__" else 1.0   # one such operand decides the result
    return (((a.error == 0.0) & (b.error == 0.0)) | ((a.error == 0.0) & ((a.value != 0.0) == deciding))
            | ((b.error == 0.0) & ((b.value != 0.0) == deciding)))


def _signed(x):
    """Whether the sign is certain, and with it that of a product with an infinite number."""
    return (np.abs(x.value) > x.error) & np.isfinite(x.error)


def _in_doubt(x):
    """1 where it is uncertain whether x is 0, or which sign it has; else 0."""
    return ((x.error > 0.0) & ~_signed(x)).astype(float)


def _times(value, error):
    """|value| error, and 0 if the error is 0 and the value infinite."""
    return np.where(error == 0.0, 0.0, np.abs(value) * error)


def _spread(value, ends):
    """The largest distance of the ends from the value; 0 where they are the same infinity or NaN."""
    apart = [np.where((end == value) | (np.isnan(end) & np.isnan(value)), 0.0, np.abs(end - value)) for end in ends]
    return np.where(np.isnan(worst := np.max(apart, axis=0)), np.inf, worst)
