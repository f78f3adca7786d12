"""NumPy's reductions that leave out NaN: the rules of the others, with where= at the numbers."""

from functools import update_wrapper
from inspect import signature

import numpy as np

from ..tape import Primitive
from ..wire import as_function
from .elementwise import with_branch
from .reductions import REDUCTIONS, _std, _var, spread


def _of_numbers(rule, keeps_nan=False):
    """The VJP rule of a reduction that includes no NaN; a maximum keeps the NaN of slices that have nothing else."""
    names = list(signature(rule).parameters)[3:]

    def vjp(cotangent, value, x, *args, **options):
        options.update(zip(names, args))
        numbers = ~np.isnan(x)
        if keeps_nan:
            numbers = numbers | np.isnan(spread(value, x, options.get("axis")))
        else:
            x = np.where(numbers, x, 0.0)   # else second derivatives would multiply NaN by 0
        options["where"] = np.logical_and(numbers, options.get("where", True))
        return rule(cotangent, value, x, **options)
    return update_wrapper(vjp, rule, updated=())


def _without_nan(a, instead):
    return np.where(np.isnan(a), instead, a)


nan_variance = as_function(Primitive("nanvar", np.nanvar, _of_numbers(_var)))
nan_deviation = as_function(Primitive("nanstd", np.nanstd, _of_numbers(_std)))
NAN_REDUCTIONS: dict = {
    **{function: (_of_numbers(*REDUCTIONS[plain]),) for function, plain in (
        (np.nansum, np.sum), (np.nanprod, np.prod), (np.nanmean, np.mean))},
    **{function: (with_branch(*(_of_numbers(rule, keeps_nan=True) for rule in (
        REDUCTIONS[plain][0], REDUCTIONS[plain][0].branch))),) for function, plain in (
        (np.nanmax, np.max), (np.nanmin, np.min))},
}
NAN_CUMULATIONS = {
    np.nancumsum: lambda a, axis=None, dtype=None, out=None: np.cumsum(_without_nan(a, 0.0), axis, dtype),
    np.nancumprod: lambda a, axis=None, dtype=None, out=None: np.cumprod(_without_nan(a, 1.0), axis, dtype)}
