"""What masks of IRC mean."""

from __future__ import annotations

import re
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tcpchat_core.dialects.irc.masks import is_mask, matches

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
