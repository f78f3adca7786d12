"""Tables: entries found by a name or a text, and the errors for wrong ones.

Every entry's own name or text finds it again, since saved networks hold nothing else.
"""

import re
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpubp.maths.activations import ACTIVATIONS
from gpubp.maths.costs import COSTS
from gpubp.maths.gradient_transforms import OPTIMIZERS
from gpubp.maths.initializers import INITIALIZERS
from gpubp.maths.optimizers import SGD, Adam, AdamW, Optimizer, OptimizerPart, RMSprop
from gpubp.maths.registry import Table, text
from gpubp.maths.schedules import SCHEDULES, OneCycle, Step

NAMED = [(table, name) for table in (ACTIVATIONS, COSTS, INITIALIZERS) for name in table]
WRITTEN = [(table, name) for table in (OPTIMIZERS, SCHEDULES) for name in table]
TABLES = [ACTIVATIONS, COSTS, INITIALIZERS, OPTIMIZERS, SCHEDULES]

each_table = pytest.mark.parametrize("table", TABLES, ids=lambda table: table.kind)


@pytest.mark.parametrize("table, name", NAMED)
def test_an_entrys_name_finds_it_again(table, name):
    entry = table.find(name)
    again = table.find(entry.name)
    assert entry.name.partition("(")[0] == name
    assert again.name == entry.name and (again is entry or callable(table[name]))
    assert table.find(entry) is entry


@pytest.mark.parametrize("table, name", WRITTEN)
def test_an_entrys_text_finds_it_again(table, name):
    entry = table.find(f"{name}(0.5)")
    assert type(entry) is table[name] and table.find(text(entry)) == entry == table.find(str(entry))
    assert text(entry).partition("(")[0] == name


@pytest.mark.parametrize("table, name", NAMED + WRITTEN)
def test_spaces_hyphens_and_capitals_do_not_matter(table, name):
    call = f"{name}(0.5)" if (table, name) in WRITTEN else name
    for written in (call.upper(), call.replace("_", "-"), f"  {call.replace('_', ' ').title()} "):
        found = table.find(written)
        assert found == table.find(call) or found.name == table.find(call).name


@pytest.mark.parametrize("table, name", [(table, name) for table, name in NAMED + WRITTEN if len(name) > 4])
def test_a_slip_is_answered_with_the_nearest_name(table, name):
    with pytest.raises(ValueError, match=f"unknown {table.kind} '.*': did you mean '"):
        table.find(name[:-2] + name[-1] + name[-2] + "q")


@pytest.mark.parametrize("table, name", [(table, name) for table, name in NAMED + WRITTEN if "_" in name])
def test_a_part_of_a_name_is_answered_with_a_name_that_has_it(table, name):
    for part in {*name.split("_")} - {*table}:
        with pytest.raises(ValueError) as error:
            table.find(part)
        assert part in re.search("did you mean '(.*)'", str(error.value))[1].split("_")


@each_table
def test_a_name_unlike_all_others_is_answered_with_the_whole_list(table):
    with pytest.raises(ValueError) as error:
        table.find("zzzzzzzz")
    assert all(name in str(error.value) for name in table)


@each_table
@pytest.mark.parametrize("wrong", [None, 3, 0.5, ["relu"], b"relu", object, len])
def test_neither_name_nor_entry_is_refused(table, wrong):
    with pytest.raises(TypeError, match=f"expected {table.kind} by name or as an object, got"):
        table.find(wrong)


@each_table
@pytest.mark.parametrize("wrong", ["", "  ", "(", "a b(", "3", "'relu'", "a.b(1)", "x[0]", "x + y", "lambda: 1", "a; b", "a=1"])
def test_invalid_names_are_refused(table, wrong):
    with pytest.raises(ValueError, match=f"{table.kind}.*write a name, or name\\(argument, ...\\)"):
        table.find(wrong)


@pytest.mark.parametrize("wanted, sentence", [
    ("leaky_relu(1, 2)", "cannot read activation 'leaky_relu.1, 2.': .*leaky_relu takes slope"),
    ("leaky_relu(slop=1)", "leaky_relu takes slope"), ("leaky_relu(slope)", "cannot read the argument 'slope' of"),
    ("sigmoid(1)", "cannot read activation 'sigmoid.1.'"), ("leaky_relu(*[1])", "cannot read the argument"),
    ("leaky_relu(__import__('os').getcwd())", "cannot read the argument"), ("leaky_relu(1 + z)", "cannot read the argument")])
def test_wrong_arguments(wanted, sentence):
    with pytest.raises(ValueError, match=sentence):
        ACTIVATIONS.find(wanted)


def test_arguments():
    slopes = [ACTIVATIONS.find(wanted).name for wanted in (
        "leaky_relu", "leaky_relu()", "leaky_relu(0.2)", "leaky relu(slope=0.2)", "Leaky-ReLU( 2e-1 )")]
    assert slopes == ["leaky_relu(0.01)"] * 2 + ["leaky_relu(0.2)"] * 3
    assert COSTS.find("multiclass-squared-hinge(0.5)").name == "multiclass_squared_hinge(0.5)"
    assert ACTIVATIONS.find("leaky-relu(-0.5)").name == "leaky_relu(-0.5)"
    assert OPTIMIZERS.find("sgd(0.5, momentum=0.9, nesterov=True)") == SGD(0.5, 0.9, True)
    assert OPTIMIZERS.find("sgd(0.5, 0.9, nesterov=False)") == SGD(0.5, 0.9)
    assert OPTIMIZERS.find("adam(one-cycle(0.1, epochs=5))") == Adam(OneCycle(0.1, epochs=5))
    assert OPTIMIZERS.find("adam(learning_rate=step(0.1, 3))") == Adam(Step(0.1, 3))


def test_several_together():
    assert OPTIMIZERS.find_all("sgd(0.5), adam(step(0.1, every=2))") == [SGD(0.5), Adam(Step(0.1, every=2))]
    assert OPTIMIZERS.find_all("sgd") == [SGD()]


@given(rate=st.floats(0.0, 1e300), decay=st.floats(0.0, 1.0), centered=st.booleans(), every=st.floats(1e-3, 1e3))
def test_numbers_survive_the_text(rate, decay, centered, every):
    for entry in (AdamW(rate, decay=decay), RMSprop(Step(rate, every=every), centered=centered)):
        assert OPTIMIZERS.find(text(entry)) == entry


def test_text_leaves_defaults_out_and_splits_words():
    @dataclass
    class LongName:
        given: float
        rate: float = 2.0
        flag: bool = False

    assert text(LongName(1.0)) == "long_name(given=1.0)"
    assert text(LongName(2.0, 2.0, True)) == "long_name(given=2.0, flag=True)"
    assert [text(entry(0.5)).partition("(")[0] for entry in OPTIMIZERS.values()] == list(OPTIMIZERS)


def test_a_custom_table():
    table = Table("toy", OptimizerPart, [SGD])
    assert table.find("sgd(0.5)") == SGD(0.5)
    with pytest.raises(ValueError, match=r"cannot read the argument 'step.1.' of toy"):
        table.find("sgd(step(1))")   # without a table of arguments, calls are not read


def test_an_optimizer_of_ones_own_may_have_a_source_and_required_arguments():
    class Powered(Optimizer):
        """w' = w - learning_rate |g|^power sign(g)."""

        source = "this test, 2026"
        power: float

        def rule(self, xp, w, g, learning_rate, power):
            return (w - learning_rate * xp.sign(g) * xp.absolute(g) ** power,)

        def scalars(self, t, learning_rate):
            return learning_rate, self.power
    assert str(Powered(0.5, 2.0)) == "powered(learning_rate=0.5, power=2.0)"
    assert "Source: this test, 2026.\n\nParameters\n----------\nlearning_rate : " in Powered.__doc__


@pytest.mark.parametrize("text", ["(" * 900, "-" * 900 + "1", "sgd(" * 200, "a" * 1001, "sgd(0.1)\0", "sgd(\ud800)",
                                  "\x1b[2J", "9" * 999, "sgd(" + "9" * 900 + ")", "sgd(" + "-" * 900 + "1)",
                                  "sgd([" + "[" * 150 + "]" * 151 + ")"])
def test_texts_of_any_kind_are_refused_in_a_sentence(text):
    """However deeply nested, and whatever they would do to a terminal."""
    for find in (OPTIMIZERS.find, OPTIMIZERS.find_all):
        with pytest.raises(ValueError, match=r"optimizer|SGD") as caught:
            find(text)
        assert str(caught.value).isprintable() and len(str(caught.value)) < 600
