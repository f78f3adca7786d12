"""The CUDA launches of each rule, counted on emulated CUDA: the README's table is current, and rules that wait are listed."""

import numpy as np
import pytest

from tests.beside_numpy import opened
from tests.circuits.test_rules import FUNCTIONS
from tests.launches import HEAD, README, WAITS, asked, launches, table, unsupported

# functions whose rule makes the host wait for the device, and why
WAITING = {**dict.fromkeys((np.prod, np.cumprod, np.linalg.det), "backward"),         # whether a factor is 0 decides how
           **dict.fromkeys((np.sort, np.partition, np.median), "forward"),            # as CuPy's sorting does
           **dict.fromkeys((np.nanprod, np.nancumprod, np.cumulative_prod), "backward"),
           **dict.fromkeys((np.quantile, np.percentile, np.nanquantile, np.nanpercentile, np.nanmedian, np.unique), "forward"),
           **dict.fromkeys((np.nanmax, np.nanmin, np.bincount), "forward"),           # CuPy's functions check their arguments
           **dict.fromkeys((np.compress, np.extract, np.delete), "forward"),   # how many are left decides the shape
           np.insert: "", np.lib.stride_tricks.sliding_window_view: "forward and backward",   # places come from the host
           np.linalg.pinv: "forward", np.linalg.lstsq: "forward and backward"}        # as CuPy's functions do


@pytest.fixture(params=["cuda"])
def counted(request):
    cupyhost = pytest.importorskip("cupyhost", reason="no emulated CUDA, which counts launches: see tests/README.md")
    with opened(request.param) as ops:
        yield ops, cupyhost.counts


def test_the_table_of_launches_is_current(counted):
    text = README.read_text()
    assert text[text.index(HEAD):] == table(*counted), "write it with: ../shared/cupyhost/run -m tests.launches"


@pytest.mark.parametrize("function", FUNCTIONS, ids=FUNCTIONS.get)
def test_no_rule_waits_for_the_device_unless_it_is_listed(function, counted):
    try:
        both = asked(function, *counted)
    except Exception as error:
        if not unsupported(error):
            raise
        pytest.skip("the emulated cuSOLVER or cuFFT does not compute it")
    for side, found in zip(("forward", "backward"), both):
        assert any(found[name] for name in WAITS) == (side in WAITING.get(function, "")), side
        assert not found["copy to device"] or function in WAITING


def test_launches_of_common_gates(counted):
    for function, forward, backward in ((np.tanh, 1, 3), (np.multiply, 1, 2), (np.add, 1, 0), (np.sum, 1, 0), (np.exp, 1, 1),
                                        (np.transpose, 0, 0), (np.reshape, 0, 0)):
        assert tuple(map(launches, asked(function, *counted))) == (forward, backward)
