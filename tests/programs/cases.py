"""Inputs and functions for tests of programs as CUDA."""

import numpy as np

from gpubp.programs import spelling

SPECIAL = 0.0, -0.0, 1.0, -1.0, 0.5, -2.5, 3.0, 40.0, np.inf, -np.inf, np.nan


def numbers(shape, dtype, seed=0):
    """Random numbers, with special ones among them."""
    found = np.asarray(2 * np.random.default_rng(seed).standard_normal(shape))
    if np.dtype(dtype).kind == "f" and found.size > len(SPECIAL):
        found.flat[::3] = np.resize(np.roll(SPECIAL, seed), found.flat[::3].size)
    return np.asarray(found > 0) if dtype == "bool" else found.astype(dtype)


def spelled(dtype, x, y):
    """{name: result} of all functions that are written as CUDA for this dtype."""
    found = {}
    for name in spelling.SPELLED[np.dtype(dtype).kind].keys() - {"where", "cast"}:
        function = getattr(np, name)
        found[name] = function(x) if function.nin == 1 else function(x, y)
    found["where"] = np.where(x if dtype == "bool" else x > y, x, y)
    return dict(sorted(found.items()))
