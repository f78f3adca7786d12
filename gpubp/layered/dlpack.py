"""DLPack: import arrays of other libraries without a copy, and return answers in the caller's library."""

import numpy as np

from ..devices.array_namespace import namespace

GPUS = 2, 13   # DLPack's numbers for CUDA memory and CUDA managed memory


def is_on_gpu(values):
    try:
        return hasattr(type(values), "__dlpack_device__") and int(values.__dlpack_device__()[0]) in GPUS
    except (BufferError, RuntimeError, TypeError, ValueError):   # such as PyTorch's "meta", which is nowhere
        return False


def import_array(ops, values, name):
    """A foreign array as an array of this device or of NumPy, without copying or moving it."""
    if hasattr(values, "toarray"):
        raise TypeError(f"{name}: expected a dense array, got a sparse {type(values).__name__}: pass {name}.toarray()")
    if getattr(values, "requires_grad", False):
        raise TypeError(f"{name}: expected an array without a gradient, got a tensor that requires one, which would be lost "
                        f"here: pass {name}.detach()")
    if hasattr(values, "resolve_neg"):   # PyTorch may negate lazily, by a flag that DLPack does not carry
        values = values.resolve_neg()
    on_gpu, array = is_on_gpu(values), None
    if hasattr(type(values), "__dlpack__") and not (on_gpu and ops.on_host):
        try:
            array = (ops.xp if on_gpu else np).from_dlpack(values)
        except (AttributeError, BufferError, TypeError, ValueError, RuntimeError) as error:
            kind = getattr(values, "dtype", "no dtype")
            remedy = f"pass {name}.to_dense()" if getattr(values, "is_sparse", False) else "convert it"
            raise TypeError(f"{name}: expected an array of real numbers, dense and of a dtype that NumPy has, got {kind} in a "
                            f"{type(values).__name__} ({error}): {remedy}") from None
    if (on_gpu and not ops.is_on_device(array)) or (array is None and hasattr(values, "__cuda_array_interface__")):
        found = ("a GPU: move the network with net.to('cuda'), or the array with cupy.asnumpy or the cpu() of a tensor"
                 if ops.on_host else f"another GPU: pass cupy.asarray({name}), made on the network's device")
        raise ValueError(f"{name}: expected an array on {ops.name}, as the network, got one on {found}")
    if array is not None:
        return array
    try:
        return np.asarray(values)
    except ValueError as error:
        raise ValueError(f"{name}: expected rows of one length, got a ragged, inhomogeneous list: fill or cut rows") from error


def like(ops, given, answer):
    """The answer as an array of the same library and device as `given`.

    On a GPU the caller owns its memory: it comes from CuPy's pool for the caller's stream, or from the other library.
    """
    if ops.is_on_device(given):
        return ops.copy_for_caller(answer)
    if not is_on_gpu(given):
        answer = ops.to_numpy(answer)
        exports = not isinstance(given, np.ndarray) and hasattr(type(given), "__dlpack__")
        return _from_dlpack(given)(answer) if exports and _from_dlpack(given) else answer
    if _from_dlpack(given) is None:
        return ops.copy_for_caller(answer)
    copied = namespace(given).asarray(_from_dlpack(given)(answer), copy=True)   # the library's stream waits for ours
    ops.xp.from_dlpack(copied)   # our stream waits for the copy, after which the answer's memory may be used again
    return copied


def follow(ops, given):
    """Make libraries that own GPU arrays among `given` wait for our work on them: they may reuse the memory on other streams."""
    if ops.synchronous:
        return
    for array in given:
        if not ops.is_on_device(array) and is_on_gpu(array):
            if _from_dlpack(array) is None:
                ops.device.stream.synchronize()
            else:
                _from_dlpack(array)(ops.zeros(1, "float32"))


def _from_dlpack(array):
    return getattr(namespace(array), "from_dlpack", None)
