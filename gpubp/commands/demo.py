"""gpubp demo: print a demo on the terminal, and draw the decision boundaries that it learned."""

import inspect

from .. import plots
from ..demos import DEMOS
from .outputs import check_free, holds_picture, say


def run(args):
    if args.name is None:
        for name, demo in DEMOS.items():
            print(f"{name:<8}{(inspect.getdoc(demo) or '').partition(chr(10))[0]}")
        print("\nRun one with: gpubp demo NAME")
        return 0
    demo, picture = DEMOS.find(args.name), None
    if args.picture and not demo.DRAWS:
        raise ValueError(f"--picture: expected a demo that draws a picture, got {args.name}: leave --picture out")
    if demo.DRAWS and not args.no_picture:
        picture = plots.checked_path(args.picture or f"gpubp-{args.name}.png")
        check_free(picture, holds_picture, "a picture by gpubp", "--picture")
    decisions = demo.run(args.seed)
    if picture is not None:
        try:
            plots.decision_boundary(decisions, picture)
            say("picture", picture)
        except ImportError as error:
            say("picture", f"none: {error}")
    return 0
