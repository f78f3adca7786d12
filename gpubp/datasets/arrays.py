"""Readers of array files: NumPy's .npz without pickles, and MNIST's idx format, gzipped or not."""

import gzip
import zipfile
import zlib
from pathlib import Path

import numpy as np

FEATURES = ("x", "data", "images", "image", "features", "inputs")
TARGETS = ("y", "target", "targets", "labels", "label")
PARTS = {"train": "train", "training": "train", "valid": "valid", "val": "valid", "validation": "valid", "test": "test"}
IDX_TYPES = {8: ">u1", 9: ">i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}
LABELS = ("images", "labels"), ("idx3", "idx1")   # the words that differ between the names of MNIST's files
IMAGES = tuple(pair[::-1] for pair in LABELS)


def read_npz(path, target=None, needed=True):
    """Read an .npz file: {part: (x, y or None)}, where part is "train", "valid" or "test", and x is (n, features).

    The arrays may be called x and y, data and target, or images and labels, with the part as prefix or suffix (train_x,
    x_test). target: the name of the target array, if it has another one; with needed=True it must exist.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            names = archive.files
            arrays = {key: archive[key] for key in names if _meaning(key, target)}
    except (zipfile.BadZipFile, zlib.error, EOFError, ValueError) as error:   # the errors that NumPy raises
        if "allow_pickle" in str(error):
            raise ValueError(f"{path}: expected arrays of numbers or strings, got pickled Python objects, which gpubp does "
                             "not load: save them as such arrays") from None
        raise ValueError(f"{path} is damaged or not an .npz file ({error}): save it again or use a copy") from None
    parts: dict[str, dict] = {}
    for key, array in arrays.items():
        part, kind = _meaning(key, target)
        if kind in parts.setdefault(part, {}):
            raise ValueError(f"{path}: expected one array of {'features' if kind == 'x' else 'targets'} for {part}, got "
                             f"{key} as a second one: the file holds {', '.join(names)}")
        parts[part][kind] = array
    if needed and target is not None and target not in names:
        raise ValueError(f"{path} has no array {target!r}: it holds {', '.join(names)}")
    if "x" not in parts.get("train", {}):
        raise ValueError(f"{path} holds {', '.join(names) or 'nothing'}: expected arrays x and y, data and target, "
                         "images and labels, or train_x and train_y (and valid_..., test_...)")
    return {part: (_rows(path, part, arrays["x"]), arrays.get("y")) for part, arrays in parts.items() if "x" in arrays}


def _meaning(key, target):
    """(part, "x" or "y") of an array's name, ("train", "x") for "x_train"; None if it is neither features nor targets."""
    if key == target:
        return "train", "y"
    part, kind = "train", None
    for word in key.lower().replace("-", "_").split("_"):
        if word in PARTS:
            part = PARTS[word]
        elif kind is None and word in FEATURES + TARGETS:
            kind = "x" if word in FEATURES else "y"
        else:
            return None
    return None if kind is None or (kind == "y" and target is not None) else (part, kind)


def _rows(path, part, x):
    if x.ndim < 2 or x.dtype.kind not in "fiub" or not x.size:
        raise ValueError(f"{path}: expected the {part} features as numbers with one row per sample, got {x.dtype} "
                         f"of shape {x.shape}")
    return x.reshape(len(x), -1)


def read_bytes(path, size=-1):
    """The first `size` bytes of a file, by default all, decompressed if it is gzipped."""
    with open(path, "rb") as file:
        zipped = file.read(2) == b"\x1f\x8b"
    try:
        with (gzip.open if zipped else open)(path, "rb") as file:
            return file.read(size)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ValueError(f"{path} is truncated or damaged ({error}): download it again") from None


def _read_idx(path):
    """The array in an idx file, in native byte order.

    The format: the bytes 0, 0, type and number of dimensions, then big-endian sizes and values.
    """
    content = read_bytes(path)
    kind, depth = (content[2], content[3]) if len(content) >= 4 else (0, 0)
    if content[:2] != b"\0\0" or kind not in IDX_TYPES:
        raise ValueError(f"{path} is not an idx file: expected the magic number 00 00 08 .., got "
                         f"{content[:4].hex(' ')}")
    start = 4 + 4 * depth
    shape = tuple(np.frombuffer(content[4:start], ">u4").tolist()) if len(content) >= start else ()
    dtype = np.dtype(IDX_TYPES[kind])
    expected = start + int(np.prod(shape)) * dtype.itemsize
    if len(content) != expected:
        raise ValueError(f"{path} is truncated or damaged: expected {expected} bytes for shape {shape}, got "
                         f"{len(content)}: download it again")
    values = np.frombuffer(content, dtype, offset=start).reshape(shape)
    return values.astype(dtype.newbyteorder("="), copy=False)


def read_idx_parts(path, labels=True):
    """Read MNIST's idx files: {part: (images (n, pixels), labels (n,))}, with the t10k pair as "test".

    path: the file of images or of labels, which must lie in one folder, or that folder. With labels=False, missing labels
    are None; otherwise they raise ValueError.
    """
    path = Path(path)
    if path.is_dir():
        images = sorted(p for p in path.iterdir() if "images" in p.name and "idx3" in p.name)
        if not images:
            raise ValueError(f"the folder {path} holds no idx images: expected files such as train-images-idx3-ubyte.gz")
        path = next((p for p in images if p.name.startswith("train")), images[0])
    if "labels" in path.name and "idx1" in path.name:
        path = _beside(path, IMAGES, needed="images")
    test = _beside(path, [("train", "t10k")]) if path.name.startswith("train") else None
    return {part: _pair(images, labels) for part, images in (("train", path), ("test", test)) if images is not None}


def _pair(path, needed):
    images, labels = _read_idx(path), _beside(path, LABELS, needed="labels" if needed else "")
    return _rows(path, "idx", images), None if labels is None else _read_idx(labels)


def _beside(path, changes, needed=""):
    """The file in the same folder whose name has words replaced, gzipped or not; None if it does not exist and is not needed."""
    name = path.name.removesuffix(".gz")
    for old, new in changes:
        name = name.replace(old, new)
    found = next((p for p in (path.with_name(name), path.with_name(name + ".gz")) if p.is_file() and p != path), None)
    if found is None and needed:
        raise ValueError(f"the {needed} of {path.name} are missing: expected {name} (or with .gz) beside it")
    return found
