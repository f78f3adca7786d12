"""Shared by the plots of times: a median within its span from lowest to highest, and readable logarithmic axes."""


def span(axes, place, windows, colour, text=""):
    """Draw the span of some windows at a place of the y axis: the median as a point, with its text beside the highest."""
    lowest, middle, highest = windows
    axes.plot([lowest, highest], [place] * 2, color=colour, linewidth=5, alpha=0.3, solid_capstyle="round")
    axes.plot([middle], [place], "o", color=colour, markersize=6)
    axes.annotate(text, (highest, place), (8, 0), textcoords="offset points", color=colour, fontsize=8, va="center",
                  bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 0.6})


def logarithmic(axis, words, lowest, highest, room=0.3):
    """Make an x axis logarithmic, from lowest to highest with room for texts to the right; words(number) are its labels."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    span_of = max(highest / lowest, 3.0)
    axis.axes.set_xscale("log")
    axis.axes.set_xlim(lowest / span_of**0.08, highest * span_of**room)
    axis.set_major_locator(LogLocator(subs=(1.0,) if span_of > 100 else (1.0, 3.0) if span_of > 10 else (1.0, 2.0, 5.0)))
    axis.set_major_formatter(FuncFormatter(lambda number, place: words(number)))
    axis.set_minor_locator(NullLocator())
    axis.set_tick_params(labelsize=8)
