"""What may never reach somebody else's terminal."""

from __future__ import annotations

import sys

import pytest
from hypothesis import given

from tcpchat_core import sanitize
from tcpchat_core.sanitize import is_safe
from tests.core.checkers import is_forbidden
from tests.core.strategies import NASTY_TEXT


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("hello", "hello"),
        ("", ""),
        ("\x1b[31mred\x1b[0m", "[31mred[0m"),
        ("\x1b]0;title\x07", "]0;title"),
        ("\x9b2J", "2J"),  # C1's CSI
        ("a\x7fb\x00c", "abc"),
        ("one\ntwo\r\nthree", "one two  three"),
        ("a\tb\x0bc\x0cd\x85e\u2028f\u2029g", "a b c d e f g"),
        ("\u202eevil\u202c", "evil"),
        ("\u2066evil\u2069", "evil"),
        ("\ufeffbom", "bom"),
        ("\ufff9note\ufffb", "note"),
        ("\ud800lone", "lone"),
        ("می\u200cخواهم", "می\u200cخواهم"),  # a non-joiner inside a word
        ("👩\u200d🚀 ❤\ufe0f", "👩\u200d🚀 ❤\ufe0f"),  # joiner and variation selector in emoji
        ("no\u00a0break", "no\u00a0break"),
    ],
)
def test_what_is_left_of_a_text(text: str, clean: str) -> None:
    assert sanitize(text) == clean
    assert is_safe(text) == (text == clean)


def test_every_character_is_kept_or_forbidden_by_unicodes_own_tables() -> None:
    every = "".join(map(chr, range(sys.maxunicode + 1)))
    allowed = "".join(char for char in every if not is_forbidden(char))
    assert sanitize(every).replace(" ", "") == allowed.replace(" ", "")


def test_what_was_printable_is_the_same_object() -> None:
    text = "hello ☕"
    assert sanitize(text) is text


@given(text=NASTY_TEXT)
def test_sanitising_leaves_nothing_forbidden_and_the_rest_in_order(text: str) -> None:
    clean = sanitize(text)
    assert not any(map(is_forbidden, clean))
    assert is_safe(clean)
    assert sanitize(clean) == clean
    kept = iter(clean)
    assert all(char in kept for char in text if not is_forbidden(char))
