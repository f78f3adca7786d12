"""Calls of NumPy's functions beyond elementary ones, in the form of circuit_cases.py; CASES has those of both files."""

from functools import partial
from math import nan

import numpy as np

from tests import circuit_cases
from tests.circuit_cases import (
    MASK,
    concrete,
    cumulating,
    empty,
    of,
    one,
    pairs,
    positive,
    real,
    reducing,
    spaced,
    two,
    within,
)


def with_nan(x):
    """x with NaN in every third place."""
    counted = np.reshape(np.cumsum(np.ones_like(concrete(x))), np.shape(x))
    return np.where(counted % 3 != 2, x, nan)


def between(x):
    """Numbers between 0 and 1, 1 and 2 and so on, away from the integers."""
    return 0.2 * x + np.reshape(np.cumsum(np.ones_like(concrete(x))), np.shape(x)) - 0.5


def turning(x):
    """Angles with steps of 4 along the first axis, more than half a turn."""
    return 0.2 * x + 4.0 * np.cumsum(np.ones_like(concrete(x)), axis=0)


def called(name, *cases):
    """Cases of a function that NumPy has from some version on."""
    return {getattr(np, name): list(cases)} if hasattr(np, name) else {}


holed = partial(of, through=with_nan)
QUANTILE_METHODS = (
    "inverted_cdf", "averaged_inverted_cdf", "closest_observation", "interpolated_inverted_cdf", "hazen", "weibull", "linear",
    "median_unbiased", "normal_unbiased", "lower", "higher", "midpoint", "nearest")


def nan_reducing(draw, *more):
    """A reduction that leaves out NaN: without any, and over slices that have some and only some."""
    return [*reducing(draw), holed(draw(3, 4)), holed(draw(3, 4), 0), holed(draw(3, 4), axis=1, keepdims=True),
            holed(draw(2, 3, 2), axis=(0, 2)), holed(draw(5)), *more]


def quantiles(call, unit, *more):
    """Numbers and vectors of q, every method, every kind of axes."""
    q, several, table = 0.37 * unit, np.array([0.0, 0.3, 1.0]) * unit, np.array([[0.2], [0.9]]) * unit
    return [call(spaced(3), 0.25 * unit), call(spaced(2, 3), within(0.2 * unit, 0.3 * unit, 2), 1), call(spaced(3, 4), q=q),
            call(spaced(3, 4), q=several, axis=0), call(spaced(3, 4), q=table, axis=1), call(spaced(3, 4), int(unit), 1),
            call(spaced(2, 3, 2), q=q, axis=(0, -1), keepdims=True), call(spaced(3, 4), q=several[1:], axis=1, keepdims=True),
            call(spaced(4), q=q, overwrite_input=True), call(spaced(1), q=q),
            call(spaced(2, 5), 0, 1, None, False, "hazen", True),
            *(call(spaced(2, 5), q=q, axis=1, method=method) for method in QUANTILE_METHODS),
            *(call(spaced(2, 6), q=several, axis=-1, method=method) for method in QUANTILE_METHODS), *more]


def weighted(unit):
    return [of(spaced(5), q=np.array([0.2, 0.7]) * unit, method="inverted_cdf", weights=np.array([1.0, 0.5, 2.0, 1.0, 0.1])),
            of(spaced(3, 4), q=0.6 * unit, axis=1, method="inverted_cdf", weights=np.arange(1.0, 13.0).reshape(3, 4))]


NAN_REDUCTIONS = {
    np.nansum: nan_reducing(real, of(real(3, 4), where=MASK, axis=1), holed(real(3, 4), where=MASK, axis=1), *empty(real),
                            holed(real(3, 4), 0, None, None, True), holed(real(3, 4), dtype=np.float64, initial=2.0)),
    np.nanprod: nan_reducing(real, holed(real(3, 4), where=MASK, axis=1), holed(real(3, 4), initial=2.0), *empty(real)),
    np.nanmean: nan_reducing(real, holed(real(3, 4), 0, where=MASK[:, [1, 2, 1, 2]]), holed(real(3, 4), dtype=np.float64)),
    **dict.fromkeys((np.nanvar, np.nanstd), nan_reducing(
        spaced, holed(spaced(3, 4), ddof=1), holed(spaced(3, 6), axis=1, ddof=1, keepdims=True),
        holed(spaced(4, 4), 0, None, None, 1, True))),
    **dict.fromkeys((np.nanmax, np.nanmin), nan_reducing(
        spaced, holed(spaced(3, 4), axis=1, where=MASK, initial=0.05), holed(spaced(3, 4), initial=0.05),
        holed(spaced(3, 4), 0, None, True))),
    **dict.fromkeys((np.nancumsum, np.nancumprod), (*cumulating(real), holed(real(3, 4), 1), holed(real(5)), holed(real(2, 3)))),
    np.nanmedian: nan_reducing(spaced, holed(spaced(5, 4), 0, None, False, True),
    holed(spaced(4, 4), axis=1, overwrite_input=True)),
}

QUANTILES = {
    np.quantile: quantiles(of, 1.0, *weighted(1.0), of(spaced(3), 0.4, method="weibull")),
    np.nanquantile: [*quantiles(of, 1.0), *quantiles(holed, 1.0)],
    np.percentile: quantiles(of, 100.0, *weighted(100.0)), np.nanpercentile: quantiles(holed, 100.0),
}

WEIGHTS = {"fweights": np.array([1, 2, 1, 3]), "aweights": positive(4)}
STATISTICS = {
    np.cov: [of(real(3, 4)), of(real(5)), of(real(3, 4), real(2, 4)), of(real(4, 3), rowvar=False),
             of(real(5), real(5), True, True),
             of(real(4, 3), real(4, 2), False), of(real(3, 4), ddof=0), of(real(3, 4), **WEIGHTS),
             of(real(4), aweights=positive(4)),
             of(real(3, 4), fweights=WEIGHTS["fweights"], bias=True), of(real(2, 4), dtype=np.float64)],
    np.corrcoef: [of(real(3, 4)), of(real(4)), of(real(5), real(5)), of(real(4, 3), None, False),
                  of(real(4, 3), real(4, 2), False)],
    np.bincount: [of(np.array([0, 2, 2, 5]), real(4)), of(np.array([1, 1]), real(2), minlength=4)],
    np.histogram: [of(real(7), 4, (-2, 2)), of(real(7), 3, range=(-2.0, 2.0), density=True)],
    np.unique: [of(spaced(5)), of(spaced(2, 3)), of(spaced(2, 3), return_inverse=True, return_counts=True),
                of(spaced(3, 2), True),
                of(spaced(3, 2), axis=0), of(spaced(0))],
}

SEQUENCES = {
    **{function: [of(real(n), real(m), *mode) for n, m in ((5, 3), (3, 5), (4, 4), (4, 2), (2, 5), (1, 1))
                  for mode in ((), ("full",), ("same",), ("valid",))] + [of(real(4), v=real(2), mode="same")]
       for function in (np.convolve, np.correlate)},
    np.interp: [
        of(real(5), np.arange(1.0, 5.0), real(4), through=between), of(0.3, np.array([0.0, 1.0]), real(2)),
        of(real(2, 3), np.array([2.0, 5.0]), real(2), -3.5, 2.5, through=between),
        of(real(3), np.array([1.0]), real(1), through=between),
        of(real(6), np.array([7, 2, 9]), real(3), None, None, 4, through=between), of(real(0), np.array([0.0, 1.0]), real(2)),
        of(real(4), np.array([2.0, 4.0]), real(2), left=0.5, through=between)],
    np.gradient: [
        of(real(5)), of(real(3, 4)), of(real(3, 4), axis=1), of(real(3, 4), 0.5), of(real(3, 4), 0.5, 2.0),
        of(real(4, 3), axis=(1, 0)),
        of(real(4), np.array([0.0, 0.5, 2.0, 2.5])), of(real(4), np.array([0.0, 0.5, 2.0, 2.5]), edge_order=2), of(real(2)),
        of(real(4, 3), edge_order=2), of(real(2, 4), 0.5, np.arange(4.0)), of(real(3, 4), np.array([0.0, 1.0, 3.0]), axis=0),
        of(real(3), 0.3, edge_order=2), of(np.array([1, 4, 9, 16]), 0.3)],
    np.unwrap: [of(real(5), through=turning), of(real(3, 4), axis=0, through=turning), of(real(4), 5.0, through=turning),
                of(real(4), period=6.5, through=turning), of(real(3)), of(real(1))],
}

CREATIONS = {
    np.linspace: [of(real(), real(), 5), of(0.3, -1.2, 4), of(real(3), real(2, 1), 4),
                  of(real(2), 1.5, 3, endpoint=False, axis=-1),
                  of(real(2), real(2), num=3, axis=1), of(real(), real(), 3, True, True), of(real(), real(), 1),
                  of(real(), 1.0, 0),
                  of(real(2), 1, 3, dtype=np.float64)],
    np.logspace: [of(real(), real(), 5), of(0.3, -1.2, 4, base=2.0), of(real(3), real(3), 4, False), of(real(), real(), 1),
                  of(real(2), real(2), 3, base=positive(2), axis=1)],
    np.geomspace: [of(positive(), positive(), 5), of(0.3, 1.2, 4), of(positive(3), positive(3), 4, False), of(-0.5, -2.5, 3),
                   of(positive(2), positive(2), 3, axis=-1), of(positive(), positive(), 1)],
}

PARTS = {
    np.block: [of([real(2), real(3)]), of([[real(2, 2), real(2, 1)], [real(1, 3)]]),
               of([[real(1, 2), real(1, 1)], [real(2, 3)]]), of(real(2, 2)), of([real(), real()]),
               of([[[real(2, 1, 2)], [real(2, 3, 2)]]])],
    np.delete: [of(real(4), 1), of(real(3, 4), 1, 0), of(real(3, 4), [0, -1], axis=1), of(real(4), slice(0, 3, 2)),
                of(real(3, 4), np.array([True, False, True]), axis=0), of(real(2, 2), 3), of(real(3), [])],
    np.insert: [of(real(4), 1, 7), of(real(4), 1, real(3)), of(real(3, 2), 1, real(2), 0),
                of(real(3, 2), [0, 2], real(3, 1), axis=1),
                of(real(2, 2), [1, 1], real(2)), of(real(3), 3, real()), of(real(0), 0, real(2)),
                of(real(2, 2), slice(0, 2), real(2), 1)],
    np.compress: [of(np.array([True, False, True]), real(4)), of(np.array([True, False, True]), real(3, 4), axis=0),
                  of([False, True], real(2, 3), 1)],
    np.extract: [of(MASK, real(3, 4)), of(MASK[0], real(4))], np.diagflat: [of(real(3)), of(real(2, 2), 1), of(real(), k=-1)],
    np.rollaxis: [of(real(2, 3, 4), 2), of(real(2, 3, 4), 0, 3), of(real(2, 3, 4), axis=-1, start=1), of(real(2, 3, 4), 1, -1)],
    np.resize: [of(real(3), (2, 4)), of(real(2, 3), 4), of(real(2), 0), of(real(), (2,))],
    np.dsplit: [of(real(1, 2, 4), 2), of(real(1, 2, 4), [1])],
    np.ediff1d: [of(real(5)), of(real(2, 3), real(2), real(1)), of(real(1)), of(real(3), to_begin=real())],
    np.lib.stride_tricks.sliding_window_view: [
        of(real(5), 3), of(real(3, 4), 2, 1), of(real(3, 4), (2, 3)), of(real(4, 2), window_shape=(2, 2), axis=(1, 0)),
        of(real(5), (2, 3), (0, -1)),
        of(real(3), 1)],
    np.cross: [*pairs(((3,), (3,)), ((2, 3), (3,)), ((4, 1, 3), (2, 3)), ((0, 3), (3,))), of(real(3, 2), real(3, 2), axis=0),
               of(real(3, 2), real(2, 3), 0, 1, 0), of(real(3, 2), real(4, 2, 3), axisa=0, axisb=-1, axisc=1)],
    **called("astype", of(real(3), np.float64), of(real(1), np.float64, copy=False)),
    np.divmod: two(x=(3.3, 4.2), y=(2.2, 3.0)), np.modf: one(0.2, 0.9), np.real_if_close: one(),
    np.ldexp: [of(real(3, 4), 2), of(real(3), np.array([0, -1, 3])), of(0.5, 1)],
    np.copysign: two(x=(0.3, 1.4), y=(-1.6, -0.1)),
    np.vecdot: [*pairs(((4,), (4,)), ((3, 4), (4,)), ((2, 1, 4), (3, 4)), ((0,), (0,))), of(real(4, 2), real(4, 2), axis=0)],
    **called("matvec", *pairs(((3, 4), (4,)), ((2, 3, 4), (4,)), ((3, 4), (2, 4)), ((2, 1, 3, 4), (5, 4)))),
    **called("vecmat", *pairs(((3,), (3, 4)), ((2, 3), (3, 4)), ((3,), (2, 3, 4)), ((5, 3), (2, 1, 3, 4)))),
    **called("unstack", of(real(3, 2)), of(real(3, 2), axis=-1), of(real(1))),
    **{function: cases for name in ("sum", "prod") for function, cases in called(
        f"cumulative_{name}", of(real(4)), of(real()), of(real(3, 4), axis=0), of(real(3, 4), axis=-1, include_initial=True),
        of(real(3), include_initial=True), of(real(3), dtype=np.float64), of(real(0, 2), axis=1)).items()},
}

POLYNOMIALS = {
    np.polyval: [of(real(4), real()), of(real(3), real(2, 3)), of(real(1), 0.4), of(np.array([1.0, 2.0]), real(3)),
                 of(real(3), 2)],
    np.vander: [of(real(3)), of(real(3), 2), of(real(3), N=4, increasing=True), of(real(1), 1), of(real(2), 0)],
}

CASES = {**circuit_cases.CASES, **NAN_REDUCTIONS, **QUANTILES, **STATISTICS, **SEQUENCES, **CREATIONS, **PARTS, **POLYNOMIALS}
