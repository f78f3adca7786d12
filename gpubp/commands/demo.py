"""gpubp demo: print a demo on the terminal, and draw the decision boundaries that it learned."""

import inspect

from .. import plots
from ..demos import DEMOS
from .outputs import check_free, holds_picture


def run(args):
    """List the demos, or run the named one; returns the exit code."""
    if args.name is None:
        for name, demo in DEMOS.items():
            print(f"{name:<8}{(inspect.getdoc(demo) or '').partition(chr(10))[0]}")
        print("\nRun one with: gpubp demo NAME")
        return 0
    demo = DEMOS.find(args.name)
    picture = _picture(args, demo)
    decisions = demo.tell(args.seed)
    if picture is not None:
        _draw(decisions, picture)
    return 0


def _picture(args, demo):
    """The path of the picture, which can be written, or None for no picture."""
    if args.picture and not demo.DRAWS:
        raise ValueError(f"--picture: expected a demo that draws a picture, got {args.name}: leave --picture out")
    if args.no_picture or not demo.DRAWS:
        return None
    path = plots.checked_path(args.picture or f"gpubp-{args.name}.png")
    check_free(path, holds_picture, "a picture by gpubp", "--picture")
    return path


def _draw(decisions, path):
    try:
        plots.decision_boundary(decisions, path)
        print(f"picture   {path}")
    except ImportError as error:
        print(f"picture   none: {error}")
