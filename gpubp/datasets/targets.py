"""Interpretation of a target column: class labels or regression targets."""

import numpy as np

TASKS = ("auto", "classification", "regression")


def classes_of(values, task="auto"):
    """The classes of the target values (n,), as a sorted tuple; None for regression targets.

    Text always means classes. With task="auto", integers mean classes if there are at most 100 different ones, each occurring
    at least twice on average; task="classification" or "regression" overrides this. Raises ValueError for an unknown task,
    for text with "regression", and if all values are equal.

    >>> classes_of(np.array(["b", "a", "b"])), classes_of(np.array([1.0, 0.0, 1.0])), classes_of(np.array([0.5, 2.0]))
    (('a', 'b'), (0, 1), None)
    """
    if task not in TASKS:
        raise ValueError(f"expected task {', '.join(TASKS[:-1])} or {TASKS[-1]}, got {task!r}")
    distinct = np.unique(values)
    if len(distinct) == 1:
        raise ValueError(f"expected at least two different targets, got {distinct[0].item()!r} for all {len(values)} samples")
    if distinct.dtype.kind == "U":
        if task == "regression":
            raise ValueError(f"expected numbers as targets of a regression, got {distinct[0].item()!r}")
        return tuple(distinct.tolist())
    whole = bool(np.all(distinct == np.floor(distinct)))
    few = len(distinct) <= max(2, min(100, len(values) // 2))
    if task == "regression" or (task == "auto" and not (whole and few)):
        return None
    return tuple(int(v) if whole else v for v in distinct.tolist())


def encode(values, classes, place):
    """Encode values (n,) or (n, outputs) as y for a network.

    Returns int64 indices (n,) into classes, or, if classes is None, float64 targets (n, outputs). Raises ValueError for a
    label that is not in classes; place(i) is the position of sample i in the file, for this error.

    >>> encode(np.array(["b", "a"]), ("a", "b"), str)
    array([1, 0])
    """
    if classes is None:
        return np.asarray(values, np.float64).reshape(len(values), -1)
    numeric = not isinstance(classes[0], str)
    known = {name: i for i, name in enumerate(classes)}
    try:
        return np.array([known[value] for value in (values if numeric else map(str, values.tolist()))], np.int64)
    except KeyError as error:
        value = error.args[0]
        row = next(i for i, v in enumerate(values) if (v if numeric else str(v)) == value)
        shown = ", ".join(map(str, classes[:10])) + (", ..." if len(classes) > 10 else "")
        raise ValueError(f"{place(row)}: expected one of the {len(classes)} classes {shown}, got {str(value)!r}") from None
