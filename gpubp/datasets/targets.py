"""What a column of targets means: labels of classes, or quantities."""

import numpy as np

TASKS = ("auto", "classification", "regression")


def classes_of(values, task="auto"):
    """The classes that the values stand for, as a sorted tuple; None where they are quantities.

    Text always stands for classes. Whole numbers do where there are few different ones: at most 100, each coming twice
    on average. `task` "classification" or "regression" decides otherwise.

    >>> classes_of(np.array(["b", "a", "b"])), classes_of(np.array([1.0, 0.0, 1.0])), classes_of(np.array([0.5, 2.0]))
    (('a', 'b'), (0, 1), None)
    """
    if task not in TASKS:
        raise ValueError(f"expected task {', '.join(TASKS[:-1])} or {TASKS[-1]}, got {task!r}")
    distinct = np.unique(values)
    if len(distinct) == 1:
        raise ValueError(f"all {len(values)} samples have the target {distinct[0].item()!r}: nothing to tell apart, "
                         "expected at least two different targets")
    if distinct.dtype.kind == "U":
        if task == "regression":
            raise ValueError(f"regression needs numbers as targets, got {distinct[0].item()!r}")
        return tuple(distinct.tolist())
    whole = bool(np.all(distinct == np.floor(distinct)))
    few = len(distinct) <= max(2, min(100, len(values) // 2))
    if task == "regression" or (task == "auto" and not (whole and few)):
        return None
    return tuple(int(v) if whole else v for v in distinct.tolist())


def encode(values, classes, place):
    """y for a network from the values (n,) or (n, outputs): places in classes, or real targets (n, outputs).

    place(i) says where sample i was read, for the error that names a label outside the classes.

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
        raise ValueError(f"{place(row)}: {str(value)!r} is none of the {len(classes)} classes {shown}") from None
