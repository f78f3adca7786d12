"""Copies from the host during computation: how much memory they may take, and which arrays they accept."""

from contextlib import nullcontext
from types import SimpleNamespace

import numpy as np
import pytest

from gpubp.devices.cuda import transfer
from tests.conftest import device


def test_free_bytes_are_a_fraction_of_free_memory():
    """The reusable memory of CuPy's pool counts as free, and the pool's limit is respected."""
    pool = SimpleNamespace(free_bytes=lambda: 1000, used_bytes=lambda: 500, get_limit=lambda: 0)
    xp = SimpleNamespace(get_default_memory_pool=lambda: pool,
                         cuda=SimpleNamespace(runtime=SimpleNamespace(memGetInfo=lambda: (3000, 9000))))
    session = nullcontext()
    session.xp = xp
    streaming = transfer.Streaming(session)
    assert streaming.free_bytes() == 4000 * transfer.FREE_MEMORY_FRACTION
    pool.get_limit = lambda: 1500
    assert streaming.free_bytes() == 1000 * transfer.FREE_MEMORY_FRACTION
    pool.get_limit = lambda: 400
    assert streaming.free_bytes() == 0



def test_only_like_is_sent():
    session = device("host").device
    with pytest.raises(ValueError, match=r"one shape and dtype, got float64 of shape \(3, 2\) to send into float32"):
        transfer.Streaming(session).copy_async(np.zeros((3, 2)), device("host").zeros((3, 2), "float32"))
