"""What masks of IRC mean."""

from __future__ import annotations

import re
import sys
from itertools import product
from types import FrameType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tcpchat_core.dialects.irc.masks import is_mask, matches
from tcpchat_core.names import MAX_ROOM_CHARS

NAMES = st.text("abB", max_size=8)


def _words(alphabet: str, longest: int) -> list[str]:
    return ["".join(each) for size in range(longest + 1) for each in product(alphabet, repeat=size)]


def test_a_mask_means_what_its_pattern_does() -> None:
    signs = {"*": ".*", "?": "."}
    for mask in _words("aB*?", 4):
        pattern = re.compile("".join(signs.get(char, char) for char in mask), re.IGNORECASE)
        for name in _words("ab", 5):
            assert matches(mask, name) is bool(pattern.fullmatch(name)), (mask, name)


@given(NAMES)
def test_a_word_without_signs_means_itself(name: str) -> None:
    assert matches(name, name.upper())
    assert not is_mask(name)


@pytest.mark.parametrize("mask", ["*", "a?", "#c*n2"])
def test_what_may_mean_several_is_a_mask(mask: str) -> None:
    assert is_mask(mask)


def test_no_mask_takes_long() -> None:
    # A reader that tries all ways would have to try 2 ** 40 of them.
    assert not matches("*a" * 40 + "b", "a" * 80)


@given(st.lists(st.sampled_from(["*", "?", "a", "*" * 9, "?" * 9]), max_size=12), NAMES)
def test_a_mask_means_the_same_however_its_stars_are_tried(parts: list[str], name: str) -> None:
    mask = "".join(parts)
    assert matches(mask, name) is _matches_by_all_ways(mask, name.lower())


def _matches_by_all_ways(mask: str, name: str) -> bool:
    places = {0}  # where in the name one may be behind so much of the mask
    for sign in mask:
        if sign == "*":
            places = {place for at in places for place in range(at, len(name) + 1)}
        else:
            places = {at + 1 for at in places if name[at : at + 1] and sign in ("?", name[at])}
    return len(name) in places


def test_a_mask_is_read_once_and_not_with_each_name() -> None:
    # LIST may have 50 of them, for 500 rooms, in one line.
    mask, names = f"*{'?' * 16}b", ["a" * 32] * 500
    steps = 0

    def trace(_frame: FrameType, event: str, _argument: object) -> object:
        nonlocal steps
        steps += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)  # type: ignore[arg-type] # a function that returns itself has no type
    try:
        found = [matches(mask, name) for name in names]
    finally:
        sys.settrace(before)
    assert not any(found)
    assert steps < 10 * len(names)


def test_a_mask_with_more_signs_than_any_name_means_none_however_long_it_is() -> None:
    name = "#" + "ΐ" * MAX_ROOM_CHARS
    assert matches("?" * len(name.casefold()), name)
    assert matches("*" * 1_000, name)
    assert not matches("?*" * 1_000, "a" * 1_000)
