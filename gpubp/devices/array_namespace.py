"""The array module that an array belongs to."""

import sys


def namespace(array):
    """numpy of NumPy's arrays, cupy of CuPy's: by the array API's way, or else by the package of the type.

    >>> import numpy as np
    >>> namespace(np.ones(3)).__name__
    'numpy'
    """
    if hasattr(array, "__array_namespace__"):
        return array.__array_namespace__()
    return sys.modules[type(array).__module__.partition(".")[0]]
