"""The arrays of one call: they must be on one device, and their checks on a GPU are read together."""

from math import isnan
from typing import Any

import numpy as np

from .deferred_validation import would_wait
from .dlpack import is_on_gpu
from .input_checks import PENDING, all_true, array_of, sample_weights, samples, target_count, targets
from .task import check_targets, decide


def check_same_device(network, **arrays):
    """Refuse device arrays and host arrays in one call: only the caller can say which of them should move."""
    ops = network.ops
    _refuse_swapped(network, arrays["x"], arrays["y"])
    if ops.on_host:
        return
    on_device = [name for name, array in arrays.items() if ops.is_on_device(array) or is_on_gpu(array)]
    on_host = [name for name, array in arrays.items() if name not in on_device and hasattr(array, "__dlpack__")]
    if on_device and on_host:
        raise ValueError(f"expected arrays of one device, got {', '.join(on_device)} on {ops.name} and {', '.join(on_host)} on "
                         "the host: move them to one device, for example by cupy.asarray(y)")


def _refuse_swapped(network, x, y):
    inputs, outputs = network.sizes[0], target_count(network)
    if getattr(y, "shape", ())[1:] == (inputs,) != (outputs,) and np.shape(x)[1:] in ((), (outputs,)):
        raise ValueError(f"x, y: expected rows of {inputs} features as x, got them as y: swap x and y")


def checked_arrays(network, x, y, sample_weight=None, check_now=True):
    """(x, y, sample_weight) of one call, as samples, targets and sample_weights of input_checks give them."""
    check_same_device(network, x=x, y=y, sample_weight=sample_weight)
    x = samples(network, x, check_now=check_now)
    return (x, targets(network, y, x.shape[0], check_now=check_now),
            sample_weights(network, sample_weight, x.shape[0], check_now=check_now))


def scored_arrays(network, x, y):
    """(x, y, task) of a score: the arrays as above, and the network's task or else the one that y decides."""
    def checked():
        check_parameters(network)
        rows, codes, _ = checked_arrays(network, x, y)
        given = array_of(network, y, "y")
        task = network.task or decide(network, given)
        check_targets(network, task, given)
        return rows, codes, task
    return check_together(network, checked)


def check_parameters(network):
    """Refuse NaN and infinity in the parameters; while checks are collected, together with the arrays."""
    if not all_true(network, network.ops.all_finite(network.vector)):
        network.parameters.require_finite()


def host_arrays(network, x, y):
    """x and y likewise, as NumPy arrays in the network's dtype."""
    return [np.asarray(network.ops.to_numpy(array[:]), network.dtype) for array in checked_arrays(network, x, y)[:2]]


def check_together(network, take):
    """The result of take(), which checks arrays: its checks on a GPU are read together, and if one fails, take() runs again."""
    if network.ops.synchronous:
        return take()
    flags: list[Any] = []
    PENDING.set(flags)
    try:
        taken = take()
    except (TypeError, ValueError):   # an earlier check may have failed before this one
        taken = None
    finally:
        PENDING.set(None)
    xp = network.ops.xp
    return take() if taken is None or (flags and not bool(xp.stack(flags).all())) else taken


def raise_if_nan(network, cost, x, y, sample_weight):
    """The cost; if it is NaN, the arrays and the parameters are checked."""
    if isnan(cost):
        checked_arrays(network, x, y, sample_weight)
        network.parameters.require_finite()
    return cost


def check_shape(network, vector):
    shape = vector.shape if hasattr(vector, "shape") else array_of(network, vector, "vector").shape
    if shape != network.vector.shape:
        raise ValueError(f"expected a vector of shape {network.vector.shape}, as net.vector, got shape {shape}")


def vector(network, values):
    array = array_of(network, values, "vector")
    check_shape(network, array)
    if hasattr(values, "__dlpack__") and not network.ops.is_on_device(array):
        raise ValueError(f"vector: expected an array on {network.ops.name}, as the network, got one on the host: pass "
                         "net.ops.asarray(vector)")
    moved = network.ops.asarray(array, network.dtype)
    if values is not network.vector and not would_wait(network, array):
        network.parameters.require_finite(moved)
    return moved
