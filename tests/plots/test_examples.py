"""The examples: one for each plot, and each of them runs."""

import pytest

from gpubp import plots
from gpubp.plots.examples import EXAMPLES, draw
from tests.conftest import needs

needs("matplotlib")


def test_each_plot_has_an_example():
    assert sorted(EXAMPLES) == plots.__all__


@pytest.mark.long
@pytest.mark.parametrize("name", EXAMPLES)
def test_examples_run(name):
    code = EXAMPLES[name]
    if "digits" in code:
        needs("sklearn")
    assert 3 <= len(code.splitlines()) <= 8 and f"gpubp.plots.{name}(" in code.splitlines()[-1]
    first, again = draw(code), draw(code)
    assert first.axes
    for one, other in zip(first.axes, again.axes, strict=True):
        assert (one.get_title(), one.get_xlim(), one.get_ylim()) == (other.get_title(), other.get_xlim(), other.get_ylim())
