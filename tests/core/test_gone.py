"""A connection that is over stays over, whatever a log delivers again."""

from __future__ import annotations

from tcpchat_core import ChatState, Entry, Event, StateLimits, events


def handled(state: ChatState, conn: int, event: Event, number: int) -> int:
    """How many actions come of an event."""
    return len(state.handle(Entry(state.seq + 1, 1_000, conn, event, number)))


def come_and_go(state: ChatState, conn: int) -> None:
    assert handled(state, conn, events.Connect(), 1)
    assert handled(state, conn, events.Disconnect("gone"), 2)


def test_an_event_that_comes_again_does_not_bring_a_connection_back() -> None:
    state = ChatState()
    come_and_go(state, 1)
    assert handled(state, 1, events.Connect(), 1) == 0
    assert handled(state, 1, events.Resume("session", "fresh"), 1) == 0
    assert state.people == 0


def test_a_snapshot_knows_the_connections_that_are_over() -> None:
    state = ChatState()
    come_and_go(state, 1)
    again = ChatState.restore(state.snapshot())
    assert handled(again, 1, events.Connect(), 1) == 0
    assert handled(again, 2, events.Connect(), 1)


def test_so_many_are_remembered_and_no_more() -> None:
    state = ChatState(limits=StateLimits(gone=2))
    for conn in (1, 2, 3):
        come_and_go(state, conn)
    assert [handled(state, conn, events.Connect(), 1) for conn in (3, 2, 1)] == [0, 0, 1]
