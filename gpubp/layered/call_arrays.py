"""The arrays of one call: on one device, checked together."""

from math import isnan
from typing import Any

import numpy as np

from .dlpack import is_on_gpu
from .input_checks import array_of, sample_weights, samples, targets


def check_same_device(network, **arrays):
    """Refuses device arrays beside host arrays in one call: which of them should move is for the caller to say."""
    ops = network.ops
    here = [name for name, array in arrays.items() if ops.is_on_device(array) or is_on_gpu(array)]
    host = [name for name, array in arrays.items() if name not in here and hasattr(array, "__dlpack__")]
    if here and host and ops.xp is not np:
        raise ValueError(f"expected arrays of one device, got {', '.join(here)} on {ops.name} and {', '.join(host)} on "
                         "the host: move the ones or the others")


def checked_arrays(network, x, y, sample_weight=None, check_now=True):
    """The arrays of one call, as samples, targets and sample_weights give them."""
    check_same_device(network, x=x, y=y, sample_weight=sample_weight)
    x = samples(network, x, check_now=check_now)
    return (x, targets(network, y, x.shape[0], check_now=check_now),
            sample_weights(network, sample_weight, x.shape[0], check_now=check_now))


def check_together(network, take):
    """take(), which checks arrays; what it checks on a GPU is read in one go, and where something is wrong, take() says what."""
    if network.ops.array_checks is None:
        return take()
    flags: list[Any] = []
    network.pending_checks = flags
    try:
        taken = take()
    except (TypeError, ValueError):   # there may have been another error before it
        taken = None
    finally:
        network.pending_checks = None
    xp = network.ops.xp
    return take() if taken is None or (flags and not bool(xp.stack(flags).all())) else taken


def raise_if_nan(network, cost, x, y, sample_weight):
    """The cost of arrays that nobody may have looked at: where it is NaN this is done now, and may raise ValueError."""
    if isnan(cost):
        checked_arrays(network, x, y, sample_weight)
    return cost


def vector(network, values):
    """values as an array of the network's device, with the shape and dtype of its vector: what is assigned to net.vector."""
    array = array_of(network, values, "vector")
    if array.shape != network.vector.shape:
        raise ValueError(f"vector: expected shape {network.vector.shape}, that of net.vector, got shape {array.shape}")
    if hasattr(values, "__dlpack__") and not network.ops.is_on_device(array):
        raise ValueError(f"vector: expected an array on {network.ops.name}, where the network is, got one on the host: pass "
                         "net.ops.asarray(vector)")
    return network.ops.asarray(array, network.dtype)
