"""Reader of NumPy's .npz files, without pickles."""

import io

from ..archives import Archive, Refused, allowed, damage, require_allowed
from ..maths.validation import listed, shown

FEATURES = ("x", "data", "images", "image", "features", "inputs")
TARGETS = ("y", "target", "targets", "labels", "label")
PARTS = {"train": "train", "training": "train", "valid": "valid", "val": "valid", "validation": "valid", "test": "test",
         "t10k": "test"}


def read_npz(path, content, target=None, needed=True):
    """Read the content of an .npz file: {part: (x, y or None)}, where part is "train", "valid" or "test", and x is (n, features).

    The arrays may be called x and y, data and target, or images and labels, with the part as prefix or suffix (train_x,
    x_test). target: the name of the target array, if it has another one; with needed=True it must exist.
    """
    with damage(path, "is damaged or not an .npz file", "save it again or use a copy"):
        archive = Archive(io.BytesIO(content))
        names = [*archive.members]
        wanted = [key for key in names if _meaning(key, target)]
        require_allowed(sum(archive.members[key].file_size for key in wanted), allowed(len(content)))
        if any(archive.layout(key)[0].hasobject for key in wanted):
            raise Refused("expected arrays of numbers or strings, got pickled Python objects, which gpubp does not load: save "
                          "them as such arrays")
        arrays = {key: archive[key] for key in wanted}
    parts: dict[str, dict] = {}
    for key, array in arrays.items():
        part, kind = _meaning(key, target)
        if kind in parts.setdefault(part, {}):
            raise ValueError(f"{path}: expected one array of {'features' if kind == 'x' else 'targets'} for {part}, got "
                             f"{listed([key])} as a second one: the file holds {listed(names)}")
        parts[part][kind] = array
    if needed and target is not None and target not in names:
        raise ValueError(f"{path} has no array {shown(target)}: it holds {listed(names)}")
    if "x" not in parts.get("train", {}):
        raise ValueError(f"{path} holds {listed(names) or 'nothing'}: expected arrays x and y, data and target, "
                         "images and labels, or train_x and train_y (and valid_..., test_...)")
    return {part: (flat_rows(path, part, arrays["x"]), arrays.get("y")) for part, arrays in parts.items() if "x" in arrays}


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


def flat_rows(path, part, x):
    if x.ndim < 2 or x.dtype.kind not in "fiub" or not x.size:
        raise ValueError(f"{path}: expected the {part} features as numbers with one row per sample, got {x.dtype} "
                         f"of shape {x.shape}")
    return x.reshape(len(x), -1)
