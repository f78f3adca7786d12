"""Plots of learning curves, learning speeds and searches: their contents."""

from dataclasses import replace

import pytest

from gpubp import plots
from gpubp.layered.history import History
from gpubp.layered.search import SearchResult
from tests.conftest import needs

needs("matplotlib")

LABELS = History(cost=[2.0, 1.0], accuracy=[0.5, 0.75], validation_cost=[2.5, 1.5], validation_accuracy=[0.25, 0.5])
UNVALIDATED = History(cost=[2.0], accuracy=[None], validation_cost=[None], validation_accuracy=[None])
QUANTITIES = History(cost=[2.0, 1.0], accuracy=[None, None], validation_cost=[2.0, 1.0], validation_accuracy=[0.1, 0.9])


def curves(history):
    """{axis label: {curve: points}} of the picture."""
    return {axes.get_ylabel(): {line.get_label(): line.get_xydata().tolist() for line in axes.lines}
            for axes in plots.learning_curve(history).axes}


def test_cost_and_accuracy():
    assert curves(LABELS) == {"cost": {"training": [[1, 2], [2, 1]], "validation": [[1, 2.5], [2, 1.5]]},
                              "accuracy (%)": {"training": [[1, 50], [2, 75]], "validation": [[1, 25], [2, 50]]}}


def found(*trials):
    """A result with trials of (parameters, curve, rank)."""
    records = [{"parameters": parameters, "curve": curve, "score": curve[-1][1], "rank": rank}
               for parameters, curve, rank in trials]
    best = min(records, key=lambda trial: trial["rank"])
    return SearchResult(None, best["parameters"], best["score"], records, "classification", "accuracy", 1, "", [(3, 9)], False,
                        None)


def test_a_search():
    """Each trial is a line by epochs and a point by each parameter that varies; the best one has another color."""
    names = "hidden", "learning_rate", "dropout", "batch_size", "shuffle"
    result = found((dict(zip(names, ([8], 0.1, 0.0, 8, True))), [(3, 0.5), (9, 0.7)], 2),
                   (dict(zip(names, ([8], 0.001, 0.5, "auto", True))), [(3, 0.6), (9, 0.8)], 1),
                   (dict(zip(names, ([9], 0.01, 0.2, 8, True))), [(3, 0.4)], 3),
                   (dict(zip(names, ([9], 9.0, 0.2, 8, True))), [(0, float("nan"))], 4))
    curves, *others = plots.search(result).axes
    assert [line.get_xydata().tolist() for line in curves.lines] == [[[3, 0.5], [9, 0.7]], [[3, 0.6], [9, 0.8]], [[3, 0.4]]]
    assert [line.get_color() for line in curves.lines] == ["tab:blue", "tab:orange", "tab:blue"]
    assert (curves.get_xlabel(), curves.get_ylabel()) == ("epochs", "accuracy")
    assert [axes.get_xlabel() for axes in others] == ["hidden", "learning_rate", "dropout", "batch_size"]
    assert [axes.get_xscale() for axes in others] == ["linear", "log", "linear", "linear"]
    points = [axes.collections[0].get_offsets().tolist() for axes in others]
    assert points[1] == [[0.1, 0.7], [0.001, 0.8], [0.01, 0.4]] and points[0] == [[0, 0.7], [0, 0.8], [1, 0.4]]
    assert [label.get_text() for label in others[3].get_xticklabels()] == ["8", "auto"]


def test_many_parameters_and_none():
    names = "hidden", "dropout", "output", "cost", "activation", "initializer"
    parameters = [dict.fromkeys(names, value) for value in "ab"]
    result = found((parameters[0], [(3, 0.5)], 1), (parameters[1], [(3, 0.5)], 2))
    assert len(plots.search(result).axes) == 1 + plots.training.PARAMETERS
    assert len(plots.search(found((parameters[0], [(3, 0.5)], 1))).axes) == 1
    with pytest.raises(ValueError, match=r"^expected a search with at least one score, got none: search again$"):
        plots.search(found((parameters[0], [(0, float("nan"))], 1)))


def test_missing_measurements_are_not_drawn():
    assert curves(UNVALIDATED) == {"cost": {"training": [[1, 2]]}}
    assert curves(QUANTITIES)["R² (variance explained)"] == {"validation": [[1, 0.1], [2, 0.9]]}


def test_learning_speeds():
    """Zeros have no place on a logarithmic axis."""
    axes, = plots.delta_norms(replace(LABELS, delta_norms=[[0.5, 2.0], [0.0, 1.0]])).axes
    assert [(line.get_label(), line.get_xydata().tolist()) for line in axes.lines] == [
        ("layer 1", [[1, 0.5]]), ("layer 2", [[1, 2.0], [2, 1.0]])]
    assert (axes.get_yscale(), axes.get_xlabel()) == ("log", "epoch")


@pytest.mark.parametrize("plot, history, sentence", [
    (plots.learning_curve, History(), "expected a history of at least one finished epoch, got an empty one"),
    (plots.delta_norms, History(), "expected a history of at least one finished epoch, got an empty one"),
    (plots.delta_norms, LABELS, "expected a history with learning speeds above 0, got none: pass what fit returns"),
    (plots.delta_norms, replace(LABELS, delta_norms=[[0.0], [0.0]]),
     "expected a history with learning speeds above 0, got none: pass what fit returns")])
def test_empty_histories(plot, history, sentence):
    with pytest.raises(ValueError) as caught:
        plot(history)
    assert str(caught.value) == sentence
