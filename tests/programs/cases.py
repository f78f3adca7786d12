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


# functions of x, an array of 4 x 5, and of indices k of its first axis: what they pick is computed by loops
PICKS = {
    "rows": lambda x, k: x[k] * 2, "all": lambda x, k: x[k], "from the end": lambda x, k: x[-k - 1] + 1,
    "columns": lambda x, k: x[:, k] * 3, "parts of rows": lambda x, k: x[1:][k * 0 - 1, ::2] - 1,
    "dots": lambda x, k: x[..., k] + x[:, 1:][..., k], "list": lambda x, k: x[[2, 0, 2]] * 2,
    "constant": lambda x, k: x[:, FEW] / 2,
    "places": lambda x, k: x[k, k + 1] * 2, "places of a list": lambda x, k: x[[0, 3, 1], k] + 1,
    "two axes of indices": lambda x, k: x[k[:, None], k] * x[k[None], FEW[:, None]],
    "take": lambda x, k: np.take(x, k, axis=0) + np.take(x, k, 0), "take behind": lambda x, k: np.take(x, k, axis=-1) * 2,
    "take of one axis": lambda x, k: np.take(x[1], k) * 2, "of results": lambda x, k: np.tanh(x)[k] * x[k + 1],
    "of a view": lambda x, k: x.T[::-1][k] * 2, "reduced": lambda x, k: (np.sum(x[k], axis=0), np.max(x[:, k] * 2)),
    "of integers": lambda x, k: k[k] + k, "twice": lambda x, k: x[k][k] + 1}
FEW = np.array([1, 4, -5])
