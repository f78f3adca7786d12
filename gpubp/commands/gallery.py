"""The gallery: the pages of all demos and of all plots, a circuit, a playground, and an index of them, in one folder."""

from contextlib import redirect_stderr, redirect_stdout
from inspect import getdoc
from io import StringIO
from pathlib import Path

from .. import plots
from ..circuits import wires
from ..datasets import digits
from ..demos import DEMOS
from ..demos.story import Story
from ..devices.random import checked_seed
from ..maths.activations import sigmoid
from ..pages.page import escaped, holds_page, image, page, write_page
from ..playground import examples, playground
from ..plots.examples import EXAMPLES, draw
from ..plots.figures import Canvas
from .outputs import check_free, check_parent, say

INDEX, PLOTS, CIRCUIT, PLAYGROUND = "index.html", "plots.html", "circuit.html", "playground.html"
THUMBNAIL = 30   # dots per inch


def headline(documented):
    """The first line of a docstring, without its full stop."""
    return (getdoc(documented) or "").partition("\n")[0].rstrip(".")


def story_page(demo, story, figure):
    """The page of a demo that has been told: its picture, which is None without matplotlib, and its story."""
    if figure is not None:
        story.body.insert(0, image(figure, headline(demo)))
    return story.page(headline(demo))


def write_gallery(folder, seed):
    """Write the gallery to a folder."""
    folder, names = Path(folder), (*(f"{name}.html" for name in DEMOS), PLOTS, CIRCUIT, PLAYGROUND, INDEX)
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"--out: expected a folder, got the file {folder}: choose another name")
    check_parent(folder, "--out")
    for name in names if folder.exists() else ():
        check_free(folder / name, holds_page, "a page by gpubp", "--out")
    checked_seed(seed), digits(), Canvas(None)   # with extras: better now than after half of the pages
    folder.mkdir(exist_ok=True)
    cards = []

    def write(name, title, text, picture):
        write_page(folder / name, text)
        say("page", folder / name)
        cards.append(f'<a href="{name}">{picture}{escaped(title)}</a>')
    for name, demo in DEMOS.items():
        story = Story()
        with redirect_stdout(StringIO()):
            figure = demo.run(story, seed)()
        write(f"{name}.html", f"{name}: {headline(demo)}", story_page(demo, story, figure), image(figure, "", THUMBNAIL))
    with redirect_stderr(StringIO()):   # where progress bars would be
        figures = {name: draw(code) for name, code in EXAMPLES.items()}
    out = _neuron()
    small = {name: image(figure, "", THUMBNAIL) for name, figure in figures.items()}
    write(CIRCUIT, "Step through a circuit, gate by gate", str(out.draw("html")), out.draw("svg"))
    write(PLAYGROUND, "A playground: train a network in the browser", playground(*examples(seed)), small["decision_boundary"])
    write(PLOTS, "Plots of networks and of their training", _plots(figures), small["cost_surface"])
    write_page(folder / INDEX, page("gpubp: the gallery", f'<div class="cards">{"".join(cards)}</div>'))
    say("index", folder / INDEX)


def _neuron():
    """The output of a neuron, computed with wires."""
    a, b, c, x, y = wires(a=1.0, b=2.0, c=-3.0, x=-1.0, y=3.0)
    return sigmoid(a * x + b * y + c)


def _plots(figures):
    """The page of all plots: what each shows, the code, and the picture."""
    parts = []
    for name, figure in figures.items():
        title = headline(getattr(plots, name))
        parts.append(f"<h2><code>{name}</code></h2><p>{escaped(title)}.</p><pre>{escaped(EXAMPLES[name])}</pre>"
                     f"{image(figure, title)}")
    return page("gpubp.plots", "\n".join(parts))
