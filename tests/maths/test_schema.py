"""Schemas: which values of JSON each check takes, and how errors name the place."""

import json
from functools import partial

import numpy as np
import pytest

from gpubp.maths.schema import (
    DEEPEST,
    FINITE,
    FRACTION,
    MEASURED,
    NUMBER,
    TRUTH,
    list_of,
    named_once,
    one_of,
    or_null,
    require_shallow,
    text,
    verify,
    whole,
)

NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize("check, fine, wrong", [
    (whole(1, 5), [1, 5], [0, 6, True, 1.0, "1", None, NAN, [1], 10**400]),
    (one_of("a", "b"), ["a", "b"], ["c", "", None, 1, ["a"], {}]),
    (text(1, 3), ["a", "abc", "é"], ["", "abcd", "\x1b", "a\n", "\u202e", "\ud800", None, 1]),
    (or_null(whole(1)), [None, 1], [0, "null", False]),
    (list_of(whole(1), 2), [[1, 2]], [[], [1], [1, 2, 3], [1, 0], (1, 2), "12", None, {}]),
    (list_of(TRUTH), [[], [True]], [[1], True, None]),
    (NUMBER, [0, -1, 0.5, NAN, INF, np.float32(1e30), 2**64], [True, None, "1", [1], 10**400, 1j]),
    (FINITE, [0, 1e308], [NAN, INF, True, None, 10**400]),
    (MEASURED, [0, 0.0, 2], [-1, NAN, INF]),
    (FRACTION, [0, 0.5], [1, -0.1, NAN, True, None])])
def test_checks(check, fine, wrong):
    assert all(map(check.holds, fine)) and not any(map(check.holds, wrong))


def test_the_place_is_named():
    schema = {"a": whole(1, 5)}
    verify({"a": 1}, schema, "net")
    verify({"b": 1}, schema, "net", complete=False)
    for values, sentence in (({"a": 0}, "expected net.a to be a whole number from 1 to 5, got 0"),
                             ({}, "expected net with 'a', got none"), ({"a": 1, "b": 2}, "expected net without 'b', got it"),
                             ([], "expected net to be a dictionary, got []")):
        with pytest.raises(ValueError) as caught:
            verify(values, schema, "net")
        assert str(caught.value) == sentence


def test_depth():
    nested = 0
    for _ in range(DEEPEST - 1):
        nested = [nested]
    require_shallow(nested)
    for deeper in ([nested], {"a": nested}):
        with pytest.raises(ValueError, match="at most 100 nested"):
            require_shallow(deeper)


def test_names_occur_once():
    read = partial(json.loads, object_pairs_hook=named_once)
    assert read('{"a": {"a": 1}, "b": {}}') == {"a": {"a": 1}, "b": {}}
    for twice in ('{"a": 1, "b": 2, "a": 1}', '[{"c": {"a": 1, "a": 2}}]'):
        with pytest.raises(ValueError, match="expected each name of a dictionary once, got 'a' 2 times"):
            read(twice)
