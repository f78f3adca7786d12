"""gpubp playground: write a page that trains a network in the browser, on a table or on generated data."""

from pathlib import Path

from ..pages.page import checked_page, holds_page, write_page
from ..playground import examples, playground, read
from .outputs import check_free, say
from .samples import decisions, table_options


def run(args):
    path = checked_page(args.html)
    check_free(path, holds_page, "a page by gpubp", "--html")
    options = table_options(args)
    if args.data is None and (args.target is not None or options):
        raise ValueError(f"--{next(iter(options), 'target')} describes DATA, got no DATA: give a table to show")
    tables = examples() if args.data is None else [read(Path(args.data), args.target, **options)]
    for line in filter(None, map(decisions, tables)):
        say("data", line)
    write_page(path, playground(*tables))
    say("page", f"{path}: open it in a browser")
    return 0
