"""What all plots share: where they are drawn, their files, matplotlib's global state, and the error without matplotlib."""

import errno
import inspect
import os
import sys

import numpy as np
import pytest

import gpubp
from gpubp import plots
from gpubp.layered.history import History
from gpubp.maths.validation import shown
from tests.conftest import needs

matplotlib = needs("matplotlib")
from matplotlib.figure import Figure  # noqa: E402

HISTORY = History(cost=[2.0, 1.0], accuracy=[0.5, 0.75], validation_cost=[2.5, 1.5], validation_accuracy=[0.25, 0.5],
                  delta_norms=[[0.1, 1.0], [0.2, 2.0]])
UNVALIDATED = History(cost=[2.0], accuracy=[None], validation_cost=[None], validation_accuracy=[None])
X, Y = np.eye(2), np.array([0, 1])


def net():
    return gpubp.Network([2, 4, 2], cost="cross-entropy", seed=1)


def searched():
    x, y = np.random.default_rng(1).standard_normal((30, 2)), np.arange(30) % 2
    return gpubp.search({"hidden": [[2], [4]]}, x, y, folds=2, epochs=1, refit=False, seed=1)


CALLS = {"learning_curve": lambda: (HISTORY,), "delta_norms": lambda: (HISTORY,), "search": lambda: (searched(),),
         "decision_boundary": lambda: (net(), X, Y), "confusion_matrix": lambda: (Y, Y), "weights": lambda: (net(), 2),
         "activations": lambda: (net(), X), "cost_surface": lambda: (net(), X, Y)}


def drawn(name, **options):
    return getattr(plots, name)(*CALLS[name](), **options)


def test_every_plot_is_called_here_and_takes_a_path_and_a_figure():
    assert {*CALLS} == {*plots.__all__}
    for name in CALLS:
        parameters = inspect.signature(getattr(plots, name)).parameters
        assert parameters["path"].default is None and parameters["figure"].kind is inspect.Parameter.KEYWORD_ONLY


@pytest.mark.long
@pytest.mark.parametrize("name", CALLS)
def test_joined_plots(name, tmp_path):
    """A plot draws into the part of a figure that it gets, leaves the other part as it is, and saves the whole."""
    whole = Figure(layout="constrained", figsize=(12, 4))
    left, right = whole.subfigures(1, 2)
    assert drawn(name, figure=left, path=tmp_path / "whole.svg") is left
    assert left.axes and not right.axes
    assert [axes.get_xlabel() for axes in left.axes] == [axes.get_xlabel() for axes in drawn(name).axes]
    assert b'width="864pt"' in (tmp_path / "whole.svg").read_bytes(), "12 inches"
    mine = Figure()
    assert drawn(name, figure=mine) is mine and mine.axes


@pytest.mark.parametrize("name", CALLS)
def test_other_axes_are_not_covered(name):
    mine = Figure()
    mine.subplots(1, 2)
    with pytest.raises(ValueError) as caught:
        drawn(name, figure=mine)
    assert str(caught.value) == ("expected an empty figure, got one with axes, which the plot would cover: pass one of "
                                 "figure.subfigures(1, 2), or call figure.clear()")
    assert len(mine.axes) == 2
    mine.clear()
    assert drawn(name, figure=mine) is mine and drawn(name, figure=Figure().subfigures(1, 2)[1]).axes


EXPECTED = {**dict.fromkeys(("learning_curve", "delta_norms"), "a gpubp History, got {}: pass one History"),
            "search": "a gpubp SearchResult, got {}: pass one SearchResult",
            **dict.fromkeys(("weights", "activations", "cost_surface"), "a gpubp Network, got {}: pass one Network"),
            "decision_boundary": "a network or a function of rows (n, 2), got {}"}


@pytest.mark.parametrize("name", EXPECTED)
@pytest.mark.parametrize("wrong", [None, {"cost": [1.0]}, gpubp.Ensemble([net(), net()])], ids=["None", "dict", "ensemble"])
def test_other_objects(name, wrong):
    if name == "decision_boundary" and isinstance(wrong, dict):
        return   # of models
    with pytest.raises(TypeError) as caught:
        getattr(plots, name)(wrong, *CALLS[name]()[1:])
    assert str(caught.value) == f"expected {EXPECTED[name].format(shown(wrong))}"


@pytest.mark.parametrize("name, arguments", [("x", (lambda x: x, np.ma.array(X, mask=X > 0), Y)),
                                             ("y", (lambda x: x, X, np.ma.array(Y, mask=[0, 1]))),
                                             ("scores", (lambda x: np.ma.array(x, mask=x > 0), X, Y)),
                                             ("labels", (np.ma.array(Y, mask=[0, 1]), Y)),
                                             ("predictions", (Y, np.ma.array(Y, mask=[0, 1])))])
def test_masks_are_not_lost(name, arguments):
    plot = plots.decision_boundary if len(arguments) == 3 else plots.confusion_matrix
    with pytest.raises(TypeError, match=f"^{name}: expected an array without a mask, got a masked array: leave out the masked"):
        plot(*arguments)


@pytest.mark.parametrize("name", CALLS)
def test_global_state_stays_untouched(name):
    before = dict(matplotlib.rcParams)
    assert type(drawn(name)) is Figure
    assert dict(matplotlib.rcParams) == before
    assert "matplotlib.pyplot" not in sys.modules or not sys.modules["matplotlib.pyplot"].get_fignums()


@pytest.mark.parametrize("name", CALLS)
def test_refusals_come_first(name, monkeypatch, tmp_path):
    """Before anything is computed or drawn."""
    mine = Figure()
    for options, error, sentence in (
            ({"path": tmp_path / "curve.bmp", "figure": mine}, ValueError,
             "expected a picture that ends in .png, .svg or .pdf, got curve.bmp"),
            ({"figure": mine.subplots()}, TypeError, None)):
        with pytest.raises(error) as caught:
            getattr(plots, name)(*[None] * len(CALLS[name]()), **options)
        assert sentence in (None, str(caught.value))
    assert str(caught.value) == ("expected figure to be a Figure or SubFigure of matplotlib, got <Axes: >: pass an empty one, "
                                 "such as one of figure.subfigures(1, 2)")
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError) as caught:
        getattr(plots, name)(*[None] * len(CALLS[name]()))
    assert str(caught.value) == 'pictures need matplotlib, which is not installed: pip install "gpubp[plots]"'


@pytest.mark.long
@pytest.mark.parametrize("ending, start", [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")])
@pytest.mark.parametrize("name", CALLS)
def test_files_name_their_creator(name, tmp_path, ending, start):
    path = tmp_path / f"curve.{ending}"
    drawn(name, path=path)
    content = path.read_bytes()
    assert content.startswith(start) and b"gpubp" in content


def test_a_full_disk_leaves_the_old_picture(tmp_path, monkeypatch):
    path = tmp_path / "curve.png"
    plots.learning_curve(HISTORY, path)
    before = path.read_bytes()

    def full(file):
        raise OSError(errno.ENOSPC, "No space left on device")
    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match=r"could not save the picture \(No space left on device\); a previous file") as caught:
        plots.learning_curve(UNVALIDATED, path)
    assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, str(path))
    assert path.read_bytes() == before and os.listdir(tmp_path) == ["curve.png"]
