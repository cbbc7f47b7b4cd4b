"""The numbers of a list on the screen, and where they lead."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tcpchat_cli.terminal.places import NoPlace, Place, Places

LISTED = [Place("room", "lobby", 7), Place("direct", "bob"), Place("room", "dev", 2)]


def test_a_number_leads_to_its_place_in_the_list_that_was_shown_last() -> None:
    places = Places()
    places.listed([Place("room", "old", 1)])
    places.listed(LISTED)
    assert [places.find(typed) for typed in ("1", "2", "#3")] == LISTED


@given(st.text(max_size=30))
def test_whatever_else_is_typed_is_told_in_a_sentence(typed: str) -> None:
    places = Places()
    with pytest.raises(NoPlace, match="no list is shown yet"):
        places.find(typed)
    places.listed(LISTED)
    if typed.removeprefix("#").lstrip("0") in {"1", "2", "3"}:
        assert places.find(typed) in LISTED
    else:
        with pytest.raises(NoPlace, match="from 1 to 3"):
            places.find(typed)
