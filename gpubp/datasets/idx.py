"""Reader of MNIST's idx format, and the search for the images, labels and parts that belong together."""

import re
from math import prod
from pathlib import Path

import numpy as np

from ..maths.validation import shown
from .arrays import PARTS, flat_rows
from .formats import decompressed

IDX_TYPES = {8: ">u1", 9: ">i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}
DEEPEST = 32   # dimensions that every NumPy has
OTHER = {"images": "labels", "labels": "images", "idx3": "idx1", "idx1": "idx3"}
USUAL = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"
# such as train-images-idx3-ubyte.gz, t10k-labels.idx1-ubyte or emnist-digits-test-images-idx3-ubyte
NAME = re.compile(r"(?!\.)(?P<family>.*?)((?<![^-_.])(?P<part>train|training|t10k|test|val|valid|validation)[-_.]?)?"
                  r"(?P<kind>images|labels)(?P<rest>.*?)(?P<idx>[-_.]?idx\d.*)?(\.(gz|bz2|xz|zip))?", re.IGNORECASE)


def read_idx(path, content):
    """The array in an idx file, in native byte order.

    The format: the bytes 0, 0, type and number of dimensions, then big-endian sizes and values.
    """
    kind, depth = (content[2], content[3]) if len(content) >= 4 else (0, 0)
    if content[:2] != b"\0\0" or kind not in IDX_TYPES:
        raise ValueError(f"{path} is not an idx file: expected the magic number 00 00 08 .., got "
                         f"{content[:4].hex(' ')}")
    start = 4 + 4 * depth
    shape = tuple(np.frombuffer(content[4:start], ">u4").tolist()) if len(content) >= start else ()
    dtype = np.dtype(IDX_TYPES[kind])
    expected = start + prod(shape) * dtype.itemsize
    if len(content) != expected or not 0 < depth <= DEEPEST:
        raise ValueError(f"{path} is truncated or damaged: expected {shown(expected)} bytes for shape {shown(shape)}, got "
                         f"{len(content)}: download it again")
    values = np.frombuffer(memoryview(content)[start:], dtype).reshape(shape)
    return values.astype(dtype.newbyteorder("="), copy=False)


def read_idx_parts(path, content=None, labels=True):
    """Read MNIST's idx files: ({part: (images (n, pixels), labels (n,))}, notes), where part is "train", "valid" or "test".

    path: a file of images or of labels, with its decompressed content, or the folder of both. With labels=False, missing labels
    are None; otherwise they raise ValueError. A file that is not of the training part is returned as "train", without others.
    """
    root = path.absolute() if path.is_dir() else path.absolute().parent
    families = _families(root.parent if _meaning(root) else root)
    own = _meaning(path)
    if content is not None:
        own = own or ("", "train", "images")
        families.setdefault(own[0], {})[own[1:]] = path
    first_parts = [(family, next((part for part in PARTS.values() if (part, "images") in files), "none"))
                   for family, files in families.items()]
    found = [each for each in (first_parts if own is None else [own[:2]]) if (each[1], "images") in families.get(each[0], {})]
    if content is None and len(found) != 1:
        names = ", ".join(str(families[family][part, "images"].relative_to(root)) for family, part in found)
        raise ValueError(f"the folder {path} holds {len(found)} sets of idx images{names and ': '}{names}: give the name of a "
                         f"file such as {USUAL[0]}, or save pictures as arrays: numpy.savez('data.npz', x=..., y=...)")
    family, part = found[0] if own is None else own[:2]
    files = families[family]
    parts = [part, *(other for other in ("valid", "test") if part == "train" and (other, "images") in files)]
    read = {"train" if each == part else each: _pair(files, each, labels, {path: content}) for each in parts}
    names = ", ".join(files[each, "images"].name for each in parts)
    return read, [f"the images are from {names}"] if content is None else []


def _meaning(path):
    """(family, part, "images" or "labels") by the name of a file, or None; a name without idx counts if the content is idx."""
    name = NAME.fullmatch(path.name)
    if name is None or not (name["idx"] or _is_idx(path)):
        return None
    return f"{name['family']}*{name['rest']}", PARTS[(name["part"] or "train").lower()], name["kind"].lower()


def _is_idx(path):
    try:
        return path.is_file() and _content(path).startswith(b"\0\0")
    except ValueError:   # such as a picture
        return False


def _families(root):
    """{family: {(part, "images" or "labels"): path}} of the idx files in a folder.

    Also in a folder with the name of a file: some archives have train-images.idx3-ubyte/train-images.idx3-ubyte.
    """
    entries = sorted(root.iterdir(), key=lambda path: (path.suffix == ".gz", path.name))
    nested = [inner for path in entries if path.is_dir() and _meaning(path) for inner in sorted(path.iterdir())]
    families: dict[str, dict] = {}
    for path in filter(Path.is_file, entries + nested):
        if (meaning := _meaning(path)) is not None:
            first = families.setdefault(meaning[0], {}).setdefault(meaning[1:], path)
            if first != path and _content(first) != _content(path):
                raise ValueError(f"the folder {root} holds two files of {meaning[1]} {meaning[2]} that differ: expected one, got "
                                 f"{first.relative_to(root)} and {path.relative_to(root)}")
    return families


def _content(path):
    return decompressed(path, path.read_bytes())


def _pair(files, part, needed, contents):
    images, labels = files.get((part, "images")), files.get((part, "labels"))
    if images is None or (labels is None and needed):
        name = (images or labels).name.removesuffix(".gz")
        wanted = re.sub("images|labels|idx[13]", lambda match: OTHER[match[0]], name)
        raise ValueError(f"the {'labels' if images else 'images'} of {name} are missing: expected "
                         + (f"{wanted} (or with .gz) beside it" if wanted != name else f"names such as {' and '.join(USUAL)}"))
    x, y = (None if file is None else read_idx(file, contents.get(file) or _content(file)) for file in (images, labels))
    if y is not None and y.ndim != 1:
        raise ValueError(f"{labels}: expected labels of one dimension, got shape {y.shape}")
    return flat_rows(images, "idx", x), y
