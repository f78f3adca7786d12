"""Which columns of a table are features and which one is the target, and whether its first row is a header."""

import re
from difflib import get_close_matches
from itertools import pairwise

import numpy as np

from ..maths.validation import listed, shown

TARGET_NAMES = ("target", "targets", "label", "labels", "class", "y", "species", "outcome")
NUMBERS = ("number", "foreign", "truth")
CATEGORIES = 100   # at most, in a column
DATE = re.compile(r"\d{1,4}([-/.])\d{1,2}\1\d{1,4}([ T].*)?|\d{1,2}:\d\d(:.*)?", re.ASCII)
# names of columns that number or identify the rows: Unnamed: 0 (pandas), rownames (R), Id, PassengerId, user_id
INDEX = re.compile(r"(?i:unnamed.*|id|index|idx|row|row.?(names?|number|num|id|index)|level_0|no\.?|nr\.?|#|)|.*[a-z](Id|ID)|"
                   r"(?i:.*[\W_]id)")


def is_header(first, below, notation, like):
    """Whether the first row names the columns, judged by the rows below; None if it is ambiguous."""
    first = [cell.strip() for cell in first]
    if like.get("columns") and {*like["columns"]} <= {*first}:
        return True
    kinds = [notation.kind(cell) for cell in first]
    numbers = [cell for cell, kind in zip(first, kinds) if kind in NUMBERS]
    if not below:
        return not numbers
    columns = [[cell.strip() for cell in column] for column in zip(*below)]
    known = [[kind in NUMBERS for kind in map(notation.kind, column) if kind not in ("missing", "mark")] for column in columns]
    words = [(cell, column) for cell, kind, column in zip(first, kinds, columns) if kind == "text"]
    classes = [*map(str, like.get("classes") or ())]
    new = all(cell not in column for cell, column in words)
    whole = len({*numbers}) == len(numbers) and all(re.fullmatch(r"\d+", cell, re.ASCII) for cell in numbers)
    steps = {int(b) - int(a) for a, b in pairwise(numbers)} if whole else ()
    counting = steps == {1} and (len(numbers) > 2 or numbers[0] == "0")   # such as the names 0, 1, 2 that pandas gives
    above_text = any(kind in NUMBERS and column and not any(column) and cell not in classes
                     for cell, kind, column in zip(first, kinds, known))
    above_numbers = any(kind == "text" and 2 * sum(column) > len(column) for kind, column in zip(kinds, known))
    names = (not numbers or above_numbers or (new and any(cell.lower() in TARGET_NAMES for cell, _ in words))
             or (counting and above_text))
    gaps = any(cell and kind in ("missing", "mark") for cell, kind in zip(first, kinds))   # or Na for sodium, # for a number
    sample = not (whole and new) or (gaps and not above_numbers)
    if names:
        return None if sample else True
    repeated = new and any(2 * len({*column}) <= len(column) and cell not in classes for cell, column in words)
    return None if repeated or above_text or (counting and not sample and not like.get("columns")) else False


def choose(header, name, target, ignore, index, like, cells_of, notation):
    """(names of the features, names of the targets, notes on the decisions).

    cells_of(names): the cells of each of these columns, in the order of the header.
    index: a column to leave out, "none", or None for those that number the rows.
    """
    if like.get("columns"):
        known = {*header}
        for feature in like["columns"]:
            if feature not in known:
                raise ValueError(f"{name}: expected the column {shown(feature)}, which the network was trained on, got "
                                 f"{listed(header)}")
        targets = target_names(header, like["target"])
        used = {*like["columns"], *targets}
        unused = [h for h in header if h not in used]
        return (tuple(like["columns"]), targets if known.issuperset(targets) else [],
                _left_out([repr(h) for h in unused], "not used in training") if unused else [])
    ignored = {find(header, name, each) for each in ignore}
    targets = [*dict.fromkeys(find(header, name, each) for each in target_names(header, target))]
    if twice := [each for each in targets if each in ignored]:
        raise ValueError(f"{name}: expected a target that is not ignored, got {shown(twice[0])} for both: leave one out")
    notes, reasons = [], {}
    if index not in (None, "none"):
        ignored.add(find(header, name, index))
    if index != "none":
        candidates = [h for h in header if h not in ignored and h not in targets and INDEX.fullmatch(h)]
        found = cells_of({*candidates}) if candidates else ()
        reasons = {h: _numbering(h, cells, notation) for h, cells in zip(candidates, found)}
        features = map(shown, (h for h, reason in reasons.items() if reason is None))
        notes += [f"{feature} is a feature (--ignore {feature} leaves it out)" for feature in features]
        reasons = {h: reason for h, reason in reasons.items() if reason is not None}
        if reasons:
            only = "" if index is None else f", --ignore {shown(index)} leaves out only that one"
            notes += _left_out([f"{shown(h)} {reason}" for h, reason in reasons.items()], f"--index none keeps them{only}")
    left = [h for h in header if h not in ignored and h not in reasons]
    if len(left) == like.get("features"):
        targets = []
    elif not targets and left:
        targets = [_guessed(left, name)]
        if targets[0].lower() not in TARGET_NAMES:
            notes.append(f"the target is {shown(targets[0])}, the last column (--target)")
    columns = tuple(h for h in left if h not in targets)
    if not columns:
        raise ValueError(f"{name}: expected a column of features beside the target, got {listed([*map(repr, header)])}: "
                         + ("--index none keeps all columns" if reasons else "--ignore fewer columns" if ignored else
                            "--delimiter names the sign between columns"))
    return columns, targets, notes


def target_names(header, target):
    """A target as the list of its columns, which are several if commas separate them and no column has the whole name."""
    text = "" if target is None else str(target)
    return [each.strip() for each in text.split(",")] if text not in header and "," in text else [target] * (target is not None)


def categorical(header, name, columns, chosen, candidates, cells_of, notation, missing):
    """({columns of categories}, notes, {column: why its words are no categories}), judged by all rows.

    chosen: columns that an option makes categorical. candidates: columns that hold no numbers in the first rows. missing(cell):
    whether a cell is no word.
    """
    chosen = {find(header, name, each) for each in chosen}
    if others := chosen - {*columns}:
        raise ValueError(f"{name}: expected features as --categories, got {listed(map(shown, others))}: leave them out")
    found, notes, reasons = {*chosen}, [], {}
    candidates &= {*columns}
    wanted = [h for h in header if h in chosen or h in candidates]
    for column, cells in zip(wanted, cells_of({*wanted}) if wanted else ()):
        known = [cell for cell in cells if not missing(cell)]
        words = dict.fromkeys(known)
        if column in chosen:
            numbers = sorted((notation.number(word), word) for word in words if notation.kind(word) == "number")
            for (number, word), (other, another) in pairwise(numbers):
                if number == other:
                    raise ValueError(f"{name}, column {shown(column)}: expected one spelling of each category, got {word} and "
                                     f"{another}: correct the file")
        elif odd := [word for word in words if notation.kind(word) not in ("missing", "text") or DATE.fullmatch(word)]:
            reasons[column] = f" ({shown(odd[0])} is not a word)"
        elif len(words) > min(CATEGORIES, len(known) // 2):
            reasons[column] = f" ({len(words)} of its {len(known)} words are different)"
        elif any(notation.kind(word) == "text" for word in words):
            found.add(column)
            notes.append(f"{len(words)} in {shown(column)}")
    return found, [f"words are categories: {listed(notes)} (--ignore leaves out a column)"] * bool(notes), reasons


def _left_out(columns, why):
    return [f"{len(columns)} column{'s' * (len(columns) > 1)} left out: {listed(columns)} ({why})"]


def _guessed(names, name):
    """The target by its name, else the last column."""
    usual = [h for h in names if h.lower() in TARGET_NAMES]
    if not usual:
        return names[-1]
    others = {h.lower() for h in names[:-1]}
    if len(usual) > 1 or (usual[0].lower() == "y" and {"x", "y"} <= others):   # two coordinates, and what else?
        raise ValueError(f"{name}: expected one column with the name of a target, got {listed(usual if usual[1:] else names)}: "
                         "name the target with --target")
    return usual[0]


def _numbering(header, cells, notation):
    """Why a column with the name of an index is one, in words; None if it is a feature."""
    cells = [cell for cell in cells if notation.kind(cell) != "missing"]
    kinds = {notation.kind(cell) for cell in cells}
    if kinds == {"number"}:
        values = np.array([notation.number(cell) for cell in cells])
        if (np.diff(values) == 1).all():
            return "numbers the rows"
        kinds = {"text"} if (values == np.floor(values)).all() else kinds
    if kinds == {"text"} and len({*cells}) == len(cells):
        return "differs in every row"
    return "has no name" if header == "" or header.lower().startswith("unnamed") else None


def find(header, name, wanted):
    """The name of the column with the name, or the number from 1, `wanted`; raises ValueError if there is none."""
    wanted = str(wanted).strip()
    number = int(wanted) if re.fullmatch(r"-?\d+", wanted, re.ASCII) else None
    counted = header[number - (number > 0)] if number and abs(number) <= len(header) else None
    if wanted in header:
        if counted not in (None, wanted):   # such as 1 under pandas' names 0, 1, 2
            ways = [next((str(n) for n in (i + 1, i - len(header)) if str(n) not in header), "a new name")
                    for i in map(header.index, (wanted, counted))]
            raise ValueError(f"{name}: expected one column, got {wanted}, the name of a column and the number of "
                             f"{shown(counted)}: give {ways[0]} for the name or {ways[1]} for the number")
        return wanted
    if counted is not None:
        return counted
    if number is not None:
        raise ValueError(f"{name} has no column {wanted}: expected a number from 1 to {len(header)} (-1 is the last), "
                         "or a name")
    folded = {h.lower(): h for h in reversed(header)}
    near = get_close_matches(wanted.lower(), folded, n=1)
    remedy = f"did you mean {shown(folded[near[0]])}?" if near else f"its columns are {listed(header)}"
    raise ValueError(f"{name} has no column {shown(wanted)}: {remedy}")
