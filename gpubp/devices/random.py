"""Random numbers that depend only on (seed, purpose, counter): the same seed gives the same run on every device.

The generator is NumPy's Philox 4x64-10, a function of a key and a counter (Salmon et al., "Parallel random numbers: as easy as
1, 2, 3", 2011). The key is (seed, purpose). The upper words of the counter identify the step, layer or epoch; the lowest word
counts the blocks of 256 bits that have been drawn.
"""

from operator import index

import numpy as np

from ..maths.validation import shown

DROPOUT, WEIGHTS, SHUFFLE, SPLIT, CHECK = range(5)


def bits(seed, purpose, *counter):
    """The bit generator (numpy.random.Philox) for a purpose; counter is up to three numbers, such as (step, layer)."""
    return np.random.Philox(key=np.array([seed, purpose], np.uint64),
                            counter=np.array([0, *counter, *(0,) * (3 - len(counter))], np.uint64))


def generator(seed, purpose, *counter):
    """The numpy.random.Generator of `bits(seed, purpose, *counter)`."""
    return np.random.Generator(bits(seed, purpose, *counter))


def checked_seed(seed):
    """The seed as a Python int from 0 to 2**64 - 1; None draws one from the system's entropy. Else raises ValueError."""
    if seed is None:
        import secrets  # few programs need it

        return secrets.randbits(63)
    try:
        number = index(seed)
    except TypeError:
        number = -1
    if not 0 <= number < 2**64:
        raise ValueError(f"expected a seed from 0 to 2**64 - 1 (or None), got {shown(seed)}")
    return number
