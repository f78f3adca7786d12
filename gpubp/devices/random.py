"""Random numbers that depend only on (seed, purpose, counter): the same seed gives the same run on every device.

The generator is NumPy's Philox 4x64-10, a function of a key and a counter (Salmon et al., "Parallel random numbers: as easy as
1, 2, 3", 2011). The key is (seed, purpose). The upper words of the counter identify the step, layer or epoch; the lowest word
counts the blocks of 256 bits that have been drawn.
"""

from functools import cache
from operator import index
from typing import Any

import numpy as np

from ..maths.validation import shown

DROPOUT, WEIGHTS, SHUFFLE, SPLIT, CHECK, SEARCH, PLANE = range(7)


@cache
def _unseeded() -> Any:
    """A seed of zeros: given only a key, NumPy would draw entropy from the system in vain, which takes longer than all else."""
    class Zeros(np.random.bit_generator.ISeedSequence):
        def generate_state(self, n_words, dtype=np.uint32):
            return np.zeros(n_words, dtype)
    return Zeros()


def bits(seed, purpose, *counter):
    """The bit generator (numpy.random.Philox) for a purpose; counter is up to three numbers, such as (step, layer)."""
    found = np.random.Philox(_unseeded())
    found.state = {
        "bit_generator": "Philox", "has_uint32": 0, "uinteger": 0, "buffer": np.zeros(4, np.uint64), "buffer_pos": 4,
        "state": {"key": np.array([seed, purpose], np.uint64),
                  "counter": np.array([0, *counter, *(0,) * (3 - len(counter))], np.uint64)}}
    return found


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
