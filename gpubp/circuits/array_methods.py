"""The methods of arrays as calls of NumPy's functions, for classes that implement NumPy's protocols."""

from typing import Any

import numpy as np


def _method(function):
    def method(self, *args: Any, **options: Any) -> Any:
        given = {name: option for name, option in options.items() if option is not None}
        return self.__array_function__(function, (), (self, *args), given)
    method.__name__, method.__doc__ = function.__name__, f"The same as np.{function.__name__}."
    return method


class ArrayMethods:
    """Methods and properties of an array; arguments have NumPy's positions, which CuPy's functions rely on."""

    __slots__ = ()

    ndim = property(lambda self: len(self.shape))
    T = property(lambda self: np.transpose(self))
    mT = property(lambda self: np.matrix_transpose(self))
    imag = property(lambda self: np.imag(self))

    sum, mean, prod, var, std, max, min = map(_method, (np.sum, np.mean, np.prod, np.var, np.std, np.max, np.min))
    cumsum, cumprod, argmax, argmin, argsort, all, any = map(
        _method, (np.cumsum, np.cumprod, np.argmax, np.argmin, np.argsort, np.all, np.any))
    swapaxes, squeeze, repeat, diagonal, trace, take, round = map(
        _method, (np.swapaxes, np.squeeze, np.repeat, np.diagonal, np.trace, np.take, np.round))
    clip, dot, ravel, nonzero, searchsorted, copy, conjugate = map(
        _method, (np.clip, np.dot, np.ravel, np.nonzero, np.searchsorted, np.copy, np.conjugate))
    conj, flatten = conjugate, ravel

    def reshape(self, *shape, order="C", copy=None):
        """The same as np.reshape."""
        given: Any = self
        return np.reshape(given, shape[0] if len(shape) == 1 else shape, **({} if order == "C" else {"order": order}))

    def transpose(self, *axes):
        """The same as np.transpose."""
        given: Any = self
        return np.transpose(given, (axes[0] if len(axes) == 1 else axes) or None)
