"""Ranks: arguments, ranks that come late or cannot be reached, and what is missing."""

import re
import sys

import pytest

import gpubp
from gpubp.parallel.ranks import load_mpi
from tests.cases import as_before, two_classes
from tests.parallel.mpiexec import needs_mpi, run


def test_without_mpi4py_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "mpi4py", None)
    with pytest.raises(ImportError, match=r'needs mpi4py and an MPI library, got: .*pip install "gpubp\[mpi\]"'):
        load_mpi()


@pytest.mark.parametrize("comm", ["world", 3, object()])
def test_what_is_no_communicator_is_refused(comm, random):
    net = gpubp.Network([4, 2], seed=1)
    before = as_before(net)
    with pytest.raises(TypeError, match=r"expected comm as an mpi4py communicator, such as MPI.COMM_WORLD, got "):
        net.fit(*two_classes(random), comm=comm)
    assert as_before(net) == before


@needs_mpi
@pytest.mark.long
def test_arguments_that_need_others():
    assert run(1, "arguments") == {
        "reduction": "ValueError: expected reduction 'tree' or 'fast', got 'slow'",
        "partitioned": "TypeError: expected partitioned to be True or False, got 'yes'",
        "gpu_aware_mpi": "TypeError: expected gpu_aware_mpi to be True or False, got 1"}


@needs_mpi
def test_ranks_that_cannot_connect_train_with_a_warning():
    found = run(3, "unreachable")
    assert found["equal"] and len(found["said"][0]) == 1 and found["said"][1:] == [[], []]
    assert re.match(r"expected connections of all ranks with rank 0, got: localhost, port \d+: no way: ", found["said"][0][0])


@needs_mpi
@pytest.mark.long
def test_a_rank_that_waits_for_others_says_so():
    said = run(2, "late")["said"]
    assert said == [["expected all 2 ranks to call fit, got some that have not for 0 s: rank 0 waits for them"], []]
