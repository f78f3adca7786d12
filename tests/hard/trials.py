"""Trials: random inputs of a kind, an invariant that every one must keep, and a table of how many were tried and how many failed.

GPUBP_HARD scales the number of inputs of every kind (default 1, the short form). A failure names its seed.
"""

import os
import signal
from contextlib import contextmanager
from pathlib import Path
from traceback import extract_tb

import numpy as np
import pytest

import gpubp

SCALE = float(os.environ.get("GPUBP_HARD", 1))
SECONDS = 20     # in which each call returns
LONGEST = 600    # characters of a sentence
PACKAGE = str(Path(gpubp.__file__).parent)
ERRORS = ValueError, TypeError, RuntimeError, OSError, ImportError, MemoryError, OverflowError   # that a user has to expect
KINDS: list[str] = []


def trials(kind, check, inputs, together=50):
    """Tests of `together` seeds each, `inputs` in all, scaled: check(random, folder) is called, and all failures are listed."""
    KINDS.append(kind)
    total = max(min(inputs, 1), round(inputs * SCALE))   # 0 where a machine lacks what is tried

    @pytest.mark.parametrize("first", range(0, total, together))
    def test(first, tmp_path, record_property):
        failed, seeds = [], range(first, min(first + together, total))
        for seed in seeds:
            folder = tmp_path / str(seed)
            folder.mkdir()
            try:
                check(np.random.default_rng(seed), folder)
            except Exception as error:   # of any kind: this is what is sought
                *_, last = extract_tb(error.__traceback__)
                sentence = " ".join(str(error).split())[:300]
                failed.append(f"seed {seed}: {last.filename}:{last.lineno}: {type(error).__name__}: {sentence}")
        record_property("trials", (kind, len(seeds), len(failed)))
        if failed:
            pytest.fail("\n".join(failed), pytrace=False)
    return test


def summary(terminalreporter):
    """Write the table of a run; the figures come with the reports, from other processes too."""
    tried = {}
    for report in [*terminalreporter.stats.get("passed", []), *terminalreporter.stats.get("failed", [])]:
        for name, figures in getattr(report, "user_properties", ()):
            if name == "trials":
                kind, *counts = figures
                tried[kind] = np.add(tried.get(kind, (0, 0)), counts)
    if tried:
        width = max(map(len, tried))
        terminalreporter.write_line(f"{'kind':<{width}}  inputs  failures")
        for kind, (inputs, failures) in tried.items():
            terminalreporter.write_line(f"{kind:<{width}}  {inputs:>6}  {failures:>8}")


@contextmanager
def no_longer_than(seconds):
    def late(*_):
        raise AssertionError(f"still running after {seconds} seconds")
    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def attempt(call, foreign=False):
    """(the result of a call, None), or (None, its error), which must be a sentence; foreign: others than gpubp may raise it."""
    with no_longer_than(SECONDS):
        try:
            return call(), None
        except ERRORS as error:
            *_, last = extract_tb(error.__traceback__)
            ours, sentence = last.filename.startswith(PACKAGE), str(error)
            if not (ours or foreign) or (ours and (not sentence or "\n" in sentence or len(sentence) > LONGEST)):
                raise AssertionError(f"no sentence of gpubp: {last.filename}:{last.lineno}: {error!r}") from error
            return None, error


def pick(random, values):
    return values[random.integers(len(values))]
