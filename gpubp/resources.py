"""The package as it is installed: its version, and folders that are inside it in a wheel, and beside it in a checkout."""

from pathlib import Path


def version():
    """The version of gpubp."""
    from importlib.metadata import PackageNotFoundError, version  # needed rarely

    try:
        return version("gpubp")
    except PackageNotFoundError:
        return "0+unknown"   # a checkout that was not installed


def folder(inside, beside, sign):
    """The first of two folders that contains the file `sign`: `inside` the package, else `beside` it; both are relative paths."""
    package = Path(__file__).resolve().parent
    places = package / inside, package.parent / beside
    for place in places:
        if (place / sign).is_file():
            return place
    raise FileNotFoundError(f"expected {sign} in {places[0]} or {places[1]}, found neither: reinstall gpubp")
