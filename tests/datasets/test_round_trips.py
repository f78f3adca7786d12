"""Random tables, written in many ways, are read back exactly or refused with an option; damage never ends in another error."""

import csv
import gzip
import io
import re

import numpy as np
import pytest

from gpubp.datasets import load

NOTATIONS = [(".", "")] * 5 + [(",", ""), (",", "."), (".", ","), (".", " "), (".", "'")]
NAMES = ["width", "height", "a b", "größe", "x1", "2019"]
WORDS = [["u", "v"], ["yes", "no"], ["True", "False"], ["setosa", "1a", "x y"], ["None", "some"], ["+", "-"]]


def number(random, decimal, thousands):
    """(value, its text in a notation, always with a decimal sign where a group could be taken for a fraction)."""
    size = 10.0 ** random.integers(-3, 6)
    value = float([random.integers(-9, 10), random.integers(0, 3), random.integers(-10**7, 10**7), random.normal() * size][
        random.integers(4)])
    if thousands:
        text = f"{value:,.3f}"
        value = float(text.replace(",", ""))
        return value, text.translate(str.maketrans({",": thousands, ".": decimal}))
    text = repr(value) if random.random() < 0.5 or value != int(value) else str(int(value))
    return value, text.replace(".", decimal)


class Written:
    """A random table: its text, the options that describe it, and what it holds."""

    def __init__(self, seed):
        random = np.random.default_rng(seed)
        pick = lambda things: things[random.integers(len(things))]
        count, width = int(random.integers(2, 9)), int(random.integers(1, 5))
        decimal, thousands = pick(NOTATIONS)
        cells = [[number(random, decimal, thousands) for _ in range(width)] for _ in range(count)]
        self.x = [[value for value, _ in row] for row in cells]
        rows = [[text for _, text in row] for row in cells]
        self.words, kind = pick(WORDS), pick(["text", "number"])
        if kind == "text":
            self.y = [self.words[i % len(self.words)] for i in range(count)]
            goals = self.y
        else:
            pairs = [number(random, decimal, thousands) for _ in range(count)]
            self.y, goals = [value for value, _ in pairs], [text for _, text in pairs]
        if random.random() < 0.2:   # a missing value
            self.gap = int(random.integers(count))
            rows[self.gap][random.integers(width)] = pick(["", "NA", "nan", "-"])
        else:
            self.gap = None
        self.index = pick([None, None, "", "Unnamed: 0", "Id"])
        names = NAMES if width > 1 else NAMES[:-1]
        self.names = {"names": [*random.permutation(names)[:width], pick(["y", "goal"])], "none": None,
                      "pandas": [str(i) for i in range(width + 1)]}[pick(["names", "names", "none", "pandas"])]
        table = [[*row, goal] for row, goal in zip(rows, goals)]
        if self.index is not None:
            start = int(random.integers(2))
            table = [[str(start + i), *row] for i, row in enumerate(table)]
        if self.names:
            table.insert(0, [*([] if self.index is None else [self.index]), *self.names])
        delimiter = pick(",;\t|")
        file = io.StringIO()
        csv.writer(file, delimiter=delimiter, quoting=pick([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
                   lineterminator=pick(["\n", "\r\n", "\r"])).writerows(table)
        self.content = pick([file.getvalue(), "\ufeff" + file.getvalue(), file.getvalue() + "\n\n"]).encode()
        if random.random() < 0.1:
            self.content = gzip.compress(self.content)
        self.options = {
            "delimiter": delimiter, "decimal": decimal, "thousands": thousands, "header": "yes" if self.names else "no",
            "index": "none" if self.index is None else self.index if self.names else 1, "target": -1,
            "task": "classification" if kind == "text" else "regression",
            "missing": ["NA", "nan", "-"] if self.words[1] != "-" or kind != "text" else ["NA", "nan"]}


def holds(data, written, rows):
    """Whether the last features and the targets are the written ones, exactly; an index may stand in front."""
    y = [data.classes[i] for i in data.y] if data.classes else data.y.ravel().tolist()
    width = len(written.x[0])
    extra = data.features - width
    stated = len(rows) < 3 or "numbers the rows" in str(data.notes)
    return (data.raw[:, -width:].tolist() == [written.x[i] for i in rows] and y == [written.y[i] for i in rows]
            and (extra == 0 or (extra == 1 and written.index is not None and stated)))


def read(path, content, **options):
    path.write_bytes(content)
    try:
        return load(path, **options), ""
    except ValueError as error:
        assert "\n" not in str(error)
        return None, str(error)


@pytest.mark.long
@pytest.mark.parametrize("seeds", [range(start, start + 200) for start in range(0, 1000, 200)], ids=lambda seeds: seeds.start)
def test_read_back_exactly_or_refused_with_an_option(tmp_path, seeds):
    outcomes = {"exact": 0, "with options": 0, "refused": 0}
    for seed in seeds:
        written = Written(seed)
        rows = [i for i in range(len(written.x)) if i != written.gap]
        data, error = read(tmp_path / "t.csv", written.content, **written.options)
        if data is None:   # a mark that is a class too, or too few different targets
            assert re.search("two different targets|only a header|'-'", error), (seed, error)
        else:
            outcomes["with options"] += 1
            assert holds(data, written, rows) and data.features == len(written.x[0]), (seed, written.content, data)
        data, error = read(tmp_path / "t.csv", written.content)
        if data is None:
            outcomes["refused"] += 1
            assert re.search(r"--(decimal|missing|header|target|delimiter|index)\b|two different targets|only a header", error), (
                seed, error)
        else:
            outcomes["exact"] += 1
            assert written.gap is None and holds(data, written, rows), (seed, written.content, data)
    assert min(outcomes.values()) > len(seeds) // 8, outcomes


def test_damage_ends_in_one_sentence(tmp_path):
    """Bytes are replaced, removed, inserted and repeated: the file is read, or refused with one sentence."""
    outcomes = set()
    for seed in range(600):
        written, random = Written(seed), np.random.default_rng(seed)
        content = bytearray(written.content)
        for _ in range(random.integers(1, 4)):
            i = int(random.integers(len(content)))
            content[i:i + int(random.integers(3))] = [b'"', b",", b"\n", b"\r", b";", b"#", b"\0", b"'", b"\xff", b"1", b".",
                                                      b"_", b"", bytes(content[:i])][random.integers(14)]
            content = content or bytearray(b"1")
        outcomes.add(read(tmp_path / "t.csv", bytes(content))[0] is None)
    assert outcomes == {False, True}
