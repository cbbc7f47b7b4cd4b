"""Pages of what was said: before, after, between and around a message or a time."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tcpchat_core import Notice, ServerLimits, events, notices
from tcpchat_core.archive import Moment, Page, Place
from tcpchat_core.dialects.jsonl import decode_request, encode_request
from tcpchat_core.notices import Rejected
from tcpchat_core.state.refusals import not_in_room
from tests.core.harness import entry
from tests.core.history import QUERIES, STEPS, Past, cut_out


@settings(max_examples=300)
@given(steps=STEPS, remembers=st.integers(1, 6), query=QUERIES)
def test_a_page_of_what_the_state_remembers_is_cut_out_of_all_of_it(
    steps: Sequence[int], remembers: int, query: events.History
) -> None:
    server = Past(steps, remembers=remembers, archive=False)
    query = server.placed(query)
    assert server.page(query) == cut_out(server.said[-remembers:], query)


@settings(max_examples=300)
@given(steps=STEPS, remembers=st.integers(1, 6), query=QUERIES)
def test_with_an_archive_a_page_is_cut_out_of_all_that_was_said_since_it_may_be_seen(
    steps: Sequence[int], remembers: int, query: events.History
) -> None:
    server = Past(steps, remembers=remembers, archive=True)
    query = server.placed(query)
    assert server.page(query, server.found) == cut_out(server.said, query)


# ── By examples: of ten messages, the state remembers the last three ─────────────────────────────

TEN = [1] * 10

asking = partial(events.History, "lobby")


def places(server: Past, page: Notice) -> list[int]:
    """Which of the messages are on a page."""
    assert isinstance(page, notices.HistoryPage)
    return [said.seq - server.floor - 1 for said in page.messages]


@pytest.mark.parametrize(
    ("query", "shown", "more"),
    [
        (asking(limit=3), [7, 8, 9], True),
        (asking(before=5, limit=3), [2, 3, 4], True),
        (asking(after=5, limit=3), [6, 7, 8], True),
        (asking(after=6, limit=3), [7, 8, 9], False),
        (asking(after=9), [], False),
        (asking(after=5, limit=3, latest=True), [7, 8, 9], True),
        (asking(after=2, before=7, limit=3), [3, 4, 5], True),
        (asking(after=2, before=7, limit=3, latest=True), [4, 5, 6], True),
        (asking(after=2, before=7, limit=4), [3, 4, 5, 6], False),
        (asking(after=7, before=2), [], False),
        (asking(around=5, limit=3), [4, 5, 6], True),
        (asking(around=5, limit=4), [3, 4, 5, 6], True),
        (asking(around=0, limit=3), [0, 1, 2], False),
        (asking(around=9, limit=3), [7, 8, 9], True),
        (asking(around=99, limit=3), [7, 8, 9], True),
        (asking(around=5, limit=0), [], False),
        (asking(since=8), [8, 9], False),
        (asking(since=7), [7, 8, 9], False),
        (asking(since=2, limit=2), [2, 3], True),
        (asking(until=2), [0, 1], False),
        (asking(since=2, until=5), [2, 3, 4], False),
        (asking(since=2, until=9, limit=2, latest=True), [7, 8], True),
        (asking(after=2, until=5), [3, 4], False),
        (asking(around_at=5, limit=3), [4, 5, 6], True),
        (asking(around_at=99, limit=3), [7, 8, 9], True),
    ],
)
def test_a_page_has_the_messages_that_were_asked_for(
    query: events.History, shown: list[int], more: bool
) -> None:
    server = Past(TEN, remembers=3, archive=True)
    page = server.page(server.placed(query), server.found)
    assert (places(server, page), page.more) == (shown, more)


def test_who_asks_as_ever_sends_what_it_ever_sent() -> None:
    assert encode_request(asking(limit=5)) == b'{"type":"history","room":"lobby","limit":5}\n'
    line = b'{"type":"history","room":"lobby","after":7,"latest":true}'
    assert decode_request(line) == asking(after=7, latest=True)


def test_the_archive_is_asked_for_a_time_only_where_the_state_cannot_tell_its_number() -> None:
    server = Past(TEN, remembers=3, archive=True)
    place, oldest = Place("lobby", server.floor), server.floor + 8
    server.ask(2, server.placed(asking(since=8)))
    assert server.looks == []
    server.ask(2, server.placed(asking(since=4, until=7, limit=5)))
    asked = []
    while server.looks:
        asked.append(server.looks[0].inquiry)
        server.find(*server.found(asked[-1]))
    assert asked == [
        Moment(place, server.first_at + 4, oldest),
        Moment(place, server.first_at + 7, oldest),
        Page(place, oldest, 5, after=server.floor + 4, first=True),
    ]
    _, page = server.told(2)
    assert places(server, page) == [4, 5, 6]


def test_all_that_a_room_has_said_may_be_later_than_a_time_and_need_not_be_looked_for() -> None:
    server = Past([1, 1, 1], remembers=3, archive=True)
    assert places(server, server.page(server.placed(asking(since=-5)))) == [0, 1, 2]


def test_of_messages_of_one_time_the_first_may_be_in_the_archive() -> None:
    server = Past([1, 1, 0, 0, 0], remembers=3, archive=True)
    page = server.page(server.placed(asking(since=1)), server.found)
    assert places(server, page) == [1, 2, 3, 4]


def test_where_the_archive_has_nothing_a_page_is_of_what_is_remembered() -> None:
    server = Past(TEN, remembers=3, archive=True)
    page = server.page(server.placed(asking(after=0, limit=2)), lambda _: ())
    assert (places(server, page), page.more) == ([7, 8], True)


def test_a_page_of_what_came_next_is_filled_with_what_is_remembered() -> None:
    server = Past(TEN, remembers=3, archive=True)
    server.ask(2, server.placed(asking(after=4, limit=4)))
    (look,) = server.looks
    assert look.inquiry == Page(
        Place("lobby", server.floor), server.floor + 8, 4, after=server.floor + 5, first=True
    )
    assert server.told(2) == []
    server.carry_out(
        server.protocol.commit(
            [entry(len(server.log) + 1, 1, events.Redact("lobby", server.floor + 8, key="lobby"))],
            now=0,
        )
    )
    server.read(2)
    server.find(*server.found(look.inquiry))
    (page,) = server.told(2)
    assert places(server, page) == [5, 6, 7, 8]
    assert isinstance(page, notices.HistoryPage)
    assert page.more
    assert page.messages[2].redacted, "it was taken back while the archive looked"


@pytest.mark.parametrize("query", [asking(since=3), asking(after=3), asking(around_at=3)])
def test_who_is_put_out_while_the_archive_looks_is_shown_nothing(query: events.History) -> None:
    server = Past(TEN, remembers=3, archive=True)
    server.ask(2, server.placed(query))
    (look,) = server.looks
    server.ask(1, events.Kick("lobby", "guest-2"))
    server.read(2)
    server.find(*server.found(look.inquiry))
    assert server.looks == []
    assert server.told(2) == [not_in_room("history", "lobby")]


def test_of_a_room_that_one_is_not_in_nothing_is_told() -> None:
    server = Past(TEN, remembers=3, archive=True)
    server.ask(2, events.Out("lobby"))
    server.read(2)
    for query in (asking(after=0), asking(around=server.floor), asking(since=0, until=9)):
        server.ask(2, query)
        assert server.told(2) == [not_in_room("history", "lobby")]
    assert server.looks == []


def test_a_time_that_cannot_be_looked_for_now_is_refused() -> None:
    server = Past(TEN, remembers=3, archive=True)
    server.ask(2, server.placed(asking(since=3)), events.Ping())
    server.find(failed=True)
    refused, pong = server.told(2)
    assert isinstance(refused, Rejected)
    assert (refused.reason, refused.request) == ("unavailable", "history")
    assert pong == notices.Ponged()


def test_what_was_asked_behind_a_page_is_answered_when_all_of_it_was_looked_for() -> None:
    server = Past(TEN, remembers=3, archive=True)
    server.ask(2, server.placed(asking(since=3)), events.Ping())
    (moment,) = server.looks
    server.find(*server.found(moment.inquiry))
    assert server.told(2) == []
    (look,) = server.looks
    assert look.ticket != moment.ticket
    server.find(*server.found(look.inquiry))
    page, pong = server.told(2)
    assert places(server, page) == [3, 4, 5, 6, 7, 8, 9]
    assert pong == notices.Ponged()


def test_each_look_for_a_page_costs_what_two_lines_cost() -> None:
    server = Past(TEN, remembers=3, archive=True, limits=ServerLimits(flood_burst=6, flood_rate=1))
    server.wait(60_000)
    server.page(server.placed(asking(since=3)), server.found)
    server.ask(2, events.Ping("1"), events.Ping("2"))
    assert server.told(2) == [notices.Ponged("1")]
