"""check_grads: wrong rules are found."""

import numpy as np
import pytest

import gpubp
from gpubp.circuits.tape import unwrap


def test_check_grads_finds_a_wrong_rule():
    sine = lambda x: np.sin(x)
    for wrong in (gpubp.gate(sine, lambda cotangent, value, x: cotangent * np.sin(x)),
                  gpubp.gate(sine, lambda cotangent, value, x: cotangent * np.cos(unwrap(x)))):   # its own derivative is lost
        with pytest.raises(AssertionError, match=r"expected (jvp|vjp) of order [12] to give"):
            gpubp.check_grads(wrong, (0.5,))
    gpubp.check_grads(np.sin, (0.5,), order=3)
