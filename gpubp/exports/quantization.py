"""Quantization: weights as int8, with one scale for each neuron."""

from typing import NamedTuple

import numpy as np


class Quantization(NamedTuple):
    """The score of a network on test samples with its own weights (exact) and with weights of int8 (quantized).

    metric is "accuracy", "subset accuracy" of separate labels, or "R^2". samples is their number.
    """

    metric: str
    samples: int
    exact: float
    quantized: float


def int8_rows(w):
    """(codes, scale): int8 (neurons, inputs) and a vector of the dtype of w, such that w is nearly codes * scale[:, None].

    >>> import numpy as np
    >>> codes, scale = int8_rows(np.array([[0.5, -1.27], [0.0, 0.0]]))
    >>> codes.tolist(), scale.tolist()
    ([[50, -127], [0, 0]], [0.01, 1.0])
    """
    scale = (np.abs(w.astype(np.float64)).max(axis=1) / 127.0).astype(w.dtype)
    scale = np.where(scale > 0.0, scale, w.dtype.type(1.0))   # rows of zeros, or of numbers near the smallest one
    codes = np.rint(w.astype(np.float64) / scale[:, None]).clip(-127.0, 127.0)   # a rounded scale may give 127.5 or more
    return codes.astype(np.int8), scale
