"""gpubp demo: tell a demo on the terminal, draw its picture, and write its page; or write the gallery of all of them."""

from ..demos import DEMOS
from ..demos.story import Story
from ..pages.page import checked_page, holds_page, write_page
from ..plots.figures import checked_path
from .gallery import headline, story_page, write_gallery
from .outputs import check_free, holds_picture, say


def run(args):
    if args.name is None:
        if given := [name for name in ("picture", "no_picture", "html", "out") if getattr(args, name)]:
            raise ValueError(f"--{given[0].replace('_', '-')}: expected the name of a demo, or all, got none: give one before it")
        print(*(f"{name:<9}{headline(demo)}" for name, demo in DEMOS.items()), sep="\n")
        print("\nRun one with: gpubp demo NAME, or all of them with: gpubp demo all --out DIR")
        return 0
    if args.name == "all":
        if args.picture or args.html or args.no_picture or not args.out:
            raise ValueError("demo all: expected --out DIR, the folder for the pages, and neither --picture, --no-picture nor "
                             "--html: write gpubp demo all --out gallery")
        write_gallery(args.out, args.seed)
        return 0
    demo = DEMOS.find(args.name)
    if args.out:
        raise ValueError(f"--out: expected gpubp demo all, got {args.name}: write --html and --picture for one demo")
    picture = None if args.no_picture else checked_path(args.picture or f"gpubp-{args.name}.png")
    html = args.html and checked_page(args.html)
    if picture:
        check_free(picture, holds_picture, "a picture by gpubp", "--picture")
    if html:
        check_free(html, holds_page, "a page by gpubp", "--html")
    story, figure = Story(), None
    draw = demo.run(story, args.seed)
    if picture or html:
        try:
            figure = draw(path=picture)
            missing = ""
        except ImportError as error:
            missing = f"none: {error}"
    if picture:
        say("picture", missing or picture)
    if html:
        write_page(html, story_page(demo, story, figure))
        say("page", html)
    return 0
