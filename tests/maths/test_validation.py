"""Validation: intervals, and arguments that must lie in them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpubp.maths.activations import ACTIVATIONS, Activation
from gpubp.maths.costs import COSTS
from gpubp.maths.initializers import INITIALIZERS
from gpubp.maths.validation import Interval, arguments, listed, number, shown, visible

ends = st.sampled_from([float("-inf"), -1.5, -1.0, 0.0, 0.5, 1.0, 2.0, float("inf")])


@st.composite
def intervals(draw):
    low, high = sorted(draw(st.lists(ends, min_size=2, max_size=2, unique=True)))
    return Interval(f"{draw(st.sampled_from('(['))}{low}, {high}{draw(st.sampled_from(')]'))}")


POINTS = np.array([-np.inf, -2.0, -1.5, -1.25, -1.0, -0.5, 0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, np.inf])


@given(inner=intervals(), outer=intervals())
def test_an_interval_lies_in_another_if_all_its_points_do(inner, outer):
    assert (inner in outer) == (not (inner.holds(POINTS) & ~outer.holds(POINTS)).any())
    assert inner in inner


def test_ends():
    values = np.array([-1.0, 0.0, 0.5, 1.0, np.nan])
    for written, held in (("(0, 1)", [0, 0, 1, 0, 0]), ("[0, 1)", [0, 1, 1, 0, 0]), ("(0, 1]", [0, 0, 1, 1, 0]),
                          ("[0,1]", [0, 1, 1, 1, 0]), ("(-inf, inf)", [1, 1, 1, 1, 0])):
        assert Interval(written).holds(values).tolist() == [bool(h) for h in held]
    assert Interval("(0, 1)").holds(values.astype("float32")).dtype == bool


@pytest.mark.parametrize("written", ["", "0, 1", "(0 1)", "(0, 1", "{0, 1}", "(, 1)"])
def test_invalid_intervals_are_refused(written):
    with pytest.raises(ValueError, match="expected a range such as"):
        Activation("mine", None, None, range=written)


@pytest.mark.parametrize("table, name", [(table, name) for table in (ACTIVATIONS, COSTS, INITIALIZERS) for name in table
                                         if not isinstance(table[name], table.entry_type)])
def test_arguments_of_factories_lie_in_their_intervals(table, name):
    (argument, accepted, default), = arguments(table[name])
    assert table[name]().name == table[name](default).name == table[name](**{argument: default}).name
    interval = Interval(accepted.removeprefix("float in "))
    for wrong in (interval.low - 1.0, interval.high + 1.0, float("nan"), float("inf"), "0.5", True, None):
        with pytest.raises(ValueError, match=rf"expected {argument} of {name} to be a number in .*, got"):
            table[name](wrong)


def test_what_is_shown_cannot_steer_a_terminal():
    for text in ("\x1b[2J", "\x9b1m", "\u202eevil", "\ud800", "two\nlines", "\r\t\0\x7f", "\u200b", "\u2028"):
        for made in (visible(text), shown(text), listed([text]), listed({text: 1})):
            assert made.isprintable() and made.isascii()
    assert visible("naïve 日本 \\ 'x'") == "naïve 日本 \\ 'x'" and visible("\x1b[1m") == "\\x1b[1m"
    assert shown("two  spaces") == "'two  spaces'" and len(shown("x" * 10**6)) < 90 and len(listed(["x" * 10**6] * 99)) < 900


def test_integers_beyond_all_floats():
    with pytest.raises(ValueError, match="expected it to be a number"):
        number("it", 10**400)


def test_the_same_numbers_give_the_same_entry():
    assert COSTS.find("huber(1.5)") is COSTS.find("huber(delta=1.5)") and COSTS.find("huber(2.5)") != COSTS.find("huber(1.5)")
    assert [ACTIVATIONS.find(f"elu({alpha})").name for alpha in ("0.0", "-0.0", "1", "1.0")] == [
        "elu(0.0)", "elu(-0.0)", "elu(1)", "elu(1.0)"]
