"""Arrays of other libraries, by DLPack: PyTorch's tensors, JAX's arrays and the like come in without a copy, and answers go
back as what was handed in."""

import numpy as np

from ..devices.namespace import namespace

GPUS = 2, 13   # DLPack's numbers for CUDA memory and CUDA managed memory


def lies_on_gpu(values):
    """Whether DLPack says of an array that it is in a GPU's memory."""
    try:
        return hasattr(type(values), "__dlpack_device__") and int(values.__dlpack_device__()[0]) in GPUS
    except (BufferError, RuntimeError, TypeError, ValueError):   # such as PyTorch's "meta", which is nowhere
        return False


def taken_in(ops, values, name):
    """What is neither an array of this device nor NumPy's, as one of the two: nothing is copied and nothing moved."""
    if getattr(values, "requires_grad", False):
        raise TypeError(f"{name}: expected numbers alone, got a tensor that requires a gradient, which would be lost here: pass "
                        f"{name}.detach()")
    if hasattr(values, "resolve_neg"):   # PyTorch may note a minus sign beside the numbers, of which DLPack says nothing
        values = values.resolve_neg()
    there, array = lies_on_gpu(values), None
    if hasattr(type(values), "__dlpack__") and not (there and ops.xp is np):
        array = _imported(ops.xp if there else np, values, name)
    if (there and not ops.owns(array)) or (array is None and hasattr(values, "__cuda_array_interface__")):
        remedy = ("move the network with net.to('cuda'), or the array to the host with cupy.asnumpy, or cpu() of a tensor"
                  if ops.xp is np else f"pass cupy.asarray({name}), made on that device")
        raise ValueError(f"{name} lies on a GPU and this network on {ops.name}: {remedy}")
    if array is not None:
        return array
    try:
        return np.asarray(values)
    except ValueError as error:
        raise ValueError(f"{name}: expected rows of one length, got a ragged list ({error})") from None


def like(ops, given, answer):
    """An answer of the device as the kind of array that was asked with: of the same library, on the device where that was."""
    if ops.owns(given):
        return answer
    answer = answer if lies_on_gpu(given) else ops.host(answer)
    if isinstance(given, np.ndarray) or not hasattr(type(given), "__dlpack__"):
        return answer
    export = getattr(namespace(given), "from_dlpack", None)
    return answer if export is None else export(answer)


def _imported(xp, values, name):
    try:
        return xp.from_dlpack(values)
    except (AttributeError, BufferError, TypeError, ValueError, RuntimeError) as error:
        raise TypeError(f"{name}: expected an array of real numbers, dense and of a dtype that NumPy has, got "
                        f"{getattr(values, 'dtype', 'no dtype')} in a {type(values).__name__} ({error}): convert it") from None
