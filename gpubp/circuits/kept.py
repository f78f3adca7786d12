"""Arrays that a circuit keeps for its backward pass and that others can change: small ones are copied, large ones are checked."""

from array import array

from numpy import asarray, ndarray

from .proxy import Proxy
from .pytree import CONTAINERS, mapped
from .refusals import is_array, require_array
from .tape import PLAIN

LISTS = list, tuple, array, bytearray, memoryview   # what NumPy takes for an array
COPIED = 1 << 14   # bytes up to which an array is copied; more would cost page faults
# strides of samples, by the number of bits of an array's size: 1 below 1024 numbers; primes, which meet every column of a matrix
STRIDES = (*11 * (1,), 3, 7, 13, 31, 61, 61, 127, 127, *45 * (251,))


def sample(x):
    """Some of an array's numbers, as bytes."""
    flat = x.ravel("K") if x.flags.forc else x.flat
    return flat[::STRIDES[x.size.bit_length()]].tobytes()


def whole(x):
    """A checksum of all bytes of an array."""
    return hash(x.tobytes())


def require_unchanged(wire):
    """RuntimeError if an array that the record of this wire reads was changed in place."""
    name, line, summary, arrays = wire.unchanged
    for x, before in arrays:
        if summary(x) != before:
            raise RuntimeError(f"{name}: expected arrays that stay as they are until the backward pass, got one of shape "
                               f"{x.shape} and dtype {x.dtype} that was changed in place{line}: make a new array each time, "
                               f"or pass x.copy()")


def private(x, large):
    """x with copies of its small arrays, also within pytrees; (array, sample) of large ones are appended to `large`.

    Large CuPy arrays are not, because the host would wait for their comparison.
    """
    kind = type(x)
    if kind in PLAIN or (kind is tuple and PLAIN.issuperset(map(type, x))):   # an index, for instance
        return x
    if kind is ndarray or is_array(x):
        if x.nbytes <= COPIED:
            return x.copy("K")
        if isinstance(x, ndarray):
            large.append((x, sample(x)))
    elif isinstance(x, CONTAINERS):
        return mapped(lambda leaf: private(leaf, large), x)
    return x


def copied(x):
    """x, or a copy of an array; a proxy is what it was."""
    return x.copy() if is_array(x) and type(x) is not Proxy else x


def keep(primitive, constants, values, options):
    """Make values[i] for i in constants and the options private, if a rule reads them; [(array, sample)] of the large ones."""
    large: list = []
    for i in constants:
        x = values[i]
        if type(x) is not ndarray and primitive.joint_vjp is None:   # gates take any object
            require_array(primitive.name, x)
            if type(x) in LISTS and (primitive.vjps[i] if i < len(primitive.vjps) else primitive.vjp_by_argnum):
                values[i] = asarray(x)   # in place of an array; others name axes, for instance
        if i in primitive.read:
            values[i] = private(values[i], large)
    for name, x in options.items():
        if type(x) not in PLAIN:
            require_array(primitive.name, x)
            options[name] = private(x, large)
    return large
