"""Feed: each message is printed once and in order, and every hole is told, whatever comes when."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tcpchat_cli.terminal import feed
from tcpchat_cli.terminal.feed import Feed

from tcpchat_core.notices import Gap, Said


def said(seq: int) -> Said:
    return Said("lobby", "ada", str(seq), seq, seq)


def begun() -> Feed:
    told = Feed()
    told.room = "lobby"
    assert list(told.begin(0)) == []
    return told


def with_gaps(kept: list[int]) -> list[Said | Gap]:
    """What is printed when these are the messages that there are, of all from 1 on."""
    printed: list[Said | Gap] = []
    last = 0
    for seq in kept:
        if seq > last + 1:
            printed.append(Gap("lobby", seq))
        printed.append(said(seq))
        last = seq
    return printed


@given(
    kept=st.lists(st.booleans(), min_size=1, max_size=40),
    comes=st.lists(st.booleans(), min_size=40, max_size=40),
    page=st.integers(1, 7),
    waiting=st.integers(1, 5),
    answers=st.lists(st.booleans(), max_size=60),
)
def test_each_message_is_printed_once_in_order_and_every_hole_is_a_gap(
    kept: list[bool], comes: list[bool], page: int, waiting: int, answers: list[bool]
) -> None:
    """Of the messages, only some are kept, and of these only some come by themselves, while pages
    are asked for at any time; the last one comes in any case.
    """
    there = [seq for seq, is_there in enumerate(kept, 1) if is_there] or [1]
    live = [seq for seq in there if comes[seq - 1] or seq == there[-1]]
    printed: list[Said | Gap] = []
    fed = begun()

    def answer(upto: int) -> None:
        after = fed.wanted
        if after is not None:
            messages = [seq for seq in there if after < seq <= upto][:page]
            printed.extend(fed.page(map(said, messages)))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(feed, "MAX_WAITING", waiting)
        for seq in live:
            printed += fed.said(said(seq))
            if answers and answers.pop():
                answer(seq)
        while fed.wanted is not None:
            answer(there[-1])
    assert printed == with_gaps(there)


def test_until_it_has_begun_nothing_is_printed_and_nothing_lost() -> None:
    fed = Feed()
    assert [*fed.said(said(5)), *fed.said(said(6))] == []
    assert fed.wanted is None
    assert list(fed.begin(5)) == [said(6)]
    assert fed.wanted is None


def test_where_numbers_go_back_the_gap_is_told_and_the_new_ones_are_printed() -> None:
    fed = begun()
    assert list(fed.said(said(1))) == [said(1)]
    assert list(fed.said(said(2))) == [said(2)]
    assert list(fed.lost(2)) == []
    assert list(fed.lost(1)) == [Gap("lobby", 2)]
    assert list(fed.said(said(2))) == [said(2)]
