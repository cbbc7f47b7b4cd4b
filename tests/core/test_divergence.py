"""A log that has lost its end goes on in another epoch: who had seen the end is told of a gap, and
is sent what takes its place, once.
"""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tcpchat_core import ChatState, ClientProtocol, Notice, ServerProtocol, events, notices
from tcpchat_core.dialects.jsonl import JSON, decode_request
from tcpchat_core.server.intake import MAX_EPOCH_CHARS
from tcpchat_core.state.tables import MAX_DIVERGENCES
from tests.core.harness import NO_FLOOD_LIMIT, MemoryServer, Talk, join, restored, say

ADA, BOB, ADA_AGAIN = 1, 2, 3

# What happens on a branch of the log: bob says something, to the room or to ada alone.
HAPPENINGS = st.lists(st.sampled_from(["said", "told"]), max_size=5)


class Listener:
    """A client with a session, and what it has shown."""

    def __init__(self) -> None:
        self.client = ClientProtocol()
        self.shown: list[Notice] = []

    def hear(self, heard: Iterable[Notice]) -> None:
        """The client is told something."""
        for notice in heard:
            line = JSON.encode(notice)
            if isinstance(notice, notices.Welcome):  # whose token a server fills in
                line = JSON.encode(notices.Welcome(notice.nick, notice.epoch, token="secret"))
            self.shown += self.client.receive_data(line).notices

    def resume(self, talk: Talk, conn: int, most: int | None = None) -> None:
        """Its connection is lost; it comes back on another, and hears so much on it."""
        hello = decode_request(self.client.hello())
        assert isinstance(hello, events.Hello)
        resume = events.Resume("session", "fresh", hello.seen, hello.told, hello.epoch)
        self.hear(talk.do(conn, resume).get(conn, [])[:most])

    def texts(self) -> list[str]:
        """What it has shown that bob said."""
        kinds = notices.Said | notices.Told
        return [notice.text for notice in self.shown if isinstance(notice, kinds)]

    def gaps(self) -> list[str]:
        """Where it was told of a gap."""
        return [notice.room for notice in self.shown if isinstance(notice, notices.Gap)]


def begun() -> tuple[Talk, Listener]:
    """Ada, who listens, and bob, in a room."""
    talk, ada = Talk(), Listener()
    ada.hear(talk.do(ADA, events.Connect("session"))[ADA])
    talk.do(BOB, events.Connect("other"))
    ada.hear(talk.do(ADA, join("lobby"))[ADA])
    talk.do(BOB, join("lobby"))
    return talk, ada


def happen(talk: Talk, happenings: Iterable[str], where: str, ada: Listener | None = None) -> None:
    """Bob says things, and ada hears them on her connection if she is there."""
    for number, kind in enumerate(happenings):
        text = f"{where} {number}"
        event = (
            say("lobby", text) if kind == "said" else events.Tell("guest-1", text, key="guest-1")
        )
        told = talk.do(BOB, event)
        person = talk.state.person(ADA) or talk.state.person(ADA_AGAIN)
        if ada is not None and person is not None:
            ada.hear(told.get(person.conn, []))


@given(before=HAPPENINGS, lost=HAPPENINGS, instead=HAPPENINGS, later=HAPPENINGS)
def test_who_saw_the_lost_end_is_told_of_it_and_sent_what_came_instead(
    before: list[str], lost: list[str], instead: list[str], later: list[str]
) -> None:
    talk, ada = begun()
    happen(talk, before, "before", ada)
    fork = talk.state.snapshot()
    happen(talk, lost, "lost", ada)

    talk = Talk(restored(fork))
    talk.do(ADA, events.Disconnect("its node is gone"))
    told = talk.do(0, events.Diverge("another"))
    assert told == {BOB: [notices.Diverged("another")]}
    happen(talk, instead, "instead")
    shown = len(ada.shown)
    ada.resume(talk, ADA_AGAIN)
    ada_again = ada.shown[shown:]
    happen(talk, later, "later", ada)

    def texts(where: str, happenings: list[str]) -> list[str]:
        return [f"{where} {number}" for number in range(len(happenings))]

    expected = [*texts("before", before), *texts("lost", lost), *texts("instead", instead)]
    assert sorted(ada.texts()) == sorted([*expected, *texts("later", later)])
    assert len(set(ada.texts())) == len(ada.texts())
    assert set(ada.gaps()) == {"" if kind == "told" else "lobby" for kind in lost}
    assert len(ada.gaps()) == len(set(ada.gaps()))
    resumed = [notice for notice in ada_again if isinstance(notice, notices.Resumed)]
    assert [notice.epoch for notice in resumed] == ["another"]
    room = talk.state.room("lobby")
    assert room is not None
    assert ada.client.rooms["lobby"].seq == room.seq

    # From here on it is as it always is.
    shown = len(ada.shown)
    ada.resume(talk, ADA_AGAIN + 1)
    assert [type(notice) for notice in ada.shown[shown:]] == [notices.Resumed]


@given(
    before=HAPPENINGS,
    lost=HAPPENINGS,
    instead=HAPPENINGS,
    heard=st.lists(st.integers(0, 4), max_size=4),
)
def test_what_is_lost_is_told_also_when_the_connection_breaks_again_and_again(
    before: list[str], lost: list[str], instead: list[str], heard: list[int]
) -> None:
    talk, ada = begun()
    happen(talk, before, "before", ada)
    fork = talk.state.snapshot()
    happen(talk, lost, "lost", ada)

    talk = Talk(restored(fork))
    talk.do(ADA, events.Disconnect("its node is gone"))
    talk.do(0, events.Diverge("another"))
    happen(talk, instead, "instead")
    conn = ADA_AGAIN
    for count in heard:  # so much of what she is told arrives
        ada.resume(talk, conn, count)
        talk.do(conn, events.Disconnect("lost again"))
        conn += 1
    ada.resume(talk, conn)

    texts = [
        f"{where} {number}"
        for where, happenings in (("before", before), ("lost", lost), ("instead", instead))
        for number in range(len(happenings))
    ]
    assert sorted(ada.texts()) == sorted(texts)
    assert set(ada.gaps()) == {"" if kind == "told" else "lobby" for kind in lost}
    assert len(ada.gaps()) == len(set(ada.gaps()))


@given(before=HAPPENINGS, later=HAPPENINGS)
def test_who_was_connected_all_the_time_misses_nothing_and_hears_nothing_twice(
    before: list[str], later: list[str]
) -> None:
    talk, ada = begun()
    happen(talk, before, "before", ada)
    ada.hear(talk.do(0, events.Diverge("another"))[ADA])
    assert ada.client.epoch == "another"
    happen(talk, later, "later", ada)
    shown = ada.texts()
    assert len(shown) == len(before) + len(later)
    ada.resume(talk, ADA_AGAIN)
    assert ada.texts() == shown
    assert ada.gaps() == []


def test_what_was_seen_several_epochs_ago_is_cut_back_to_the_first_that_was_lost() -> None:
    talk, ada = begun()
    happen(talk, ["said"], "before", ada)
    fork = talk.state.snapshot()
    happen(talk, ["said"] * 3, "lost", ada)
    talk = Talk(restored(fork))
    talk.do(ADA, events.Disconnect("its node is gone"))
    for number in range(3):
        talk.do(0, events.Diverge(f"e{number}"))
        happen(talk, ["said"], f"in e{number}")
    talk = Talk(restored(talk.state.snapshot()))
    ada.resume(talk, ADA_AGAIN)
    assert ada.texts()[-3:] == ["in e0 0", "in e1 0", "in e2 0"]
    assert ada.gaps() == ["lobby"]


def test_an_epoch_that_is_not_known_any_more_has_nothing_in_common() -> None:
    talk, ada = begun()
    happen(talk, ["said", "told"], "before", ada)
    talk.do(ADA, events.Disconnect("its node is gone"))
    for number in range(MAX_DIVERGENCES + 1):
        talk.do(0, events.Diverge(f"e{number}"))
    ada.resume(talk, ADA_AGAIN)
    assert sorted(ada.gaps()) == ["", "lobby"]
    assert ada.texts().count("before 0") == 2  # told again rather than not at all


def test_a_room_that_was_made_anew_has_nothing_in_common_with_the_one_before() -> None:
    talk, ada = begun()
    happen(talk, ["said"] * 3, "before", ada)
    talk.do(0, events.Diverge("another"))
    for conn in (ADA, BOB):
        talk.do(conn, events.Out("lobby", "lobby"))
    talk.do(ADA, join("lobby"))
    talk.do(BOB, join("lobby"))
    talk.do(ADA, events.Disconnect("lost"))
    seen = {"lobby": talk.state.seq}
    told = talk.do(ADA_AGAIN, events.Resume("session", "fresh", seen, 0, "0"))
    [resumed] = [each for each in told[ADA_AGAIN] if isinstance(each, notices.Resumed)]
    assert [state.common for state in resumed.rooms] == [0]


@given(before=HAPPENINGS, later=HAPPENINGS)
def test_a_snapshot_knows_where_epochs_ended(before: list[str], later: list[str]) -> None:
    talk, _ = begun()
    happen(talk, before, "before")
    assert b"divergences" not in talk.state.snapshot()
    talk.do(0, events.Diverge("another"))
    happen(talk, later, "later")
    snapshot = talk.state.snapshot()
    assert ChatState.restore(snapshot).snapshot() == snapshot
    assert ChatState.restore(snapshot).epoch == "another"


def test_a_state_that_was_restored_diverges_as_any_other_does() -> None:
    talk, _ = begun()
    talk.do(ADA, events.Disconnect("lost"))  # in a snapshot, who is away comes last
    other = Talk(restored(talk.state.snapshot()))
    for each in (talk, other):
        each.do(0, events.Diverge("another"))
    assert talk.state.snapshot() == other.state.snapshot()


@pytest.mark.parametrize("epoch", ["", "0"])
def test_who_names_this_epoch_or_none_has_seen_what_it_says(epoch: str) -> None:
    talk, ada = begun()
    happen(talk, ["said"] * 2, "before", ada)
    seen = {"lobby": ada.client.rooms["lobby"].seq}
    told = talk.do(ADA_AGAIN, events.Resume("session", "fresh", seen, 0, epoch))[ADA_AGAIN]
    assert [type(notice) for notice in told] == [notices.Resumed]
    assert isinstance(told[0], notices.Resumed)
    assert told[0].rooms[0].common is None


def test_a_long_name_of_an_epoch_does_not_get_into_the_log() -> None:
    server = MemoryServer(ServerProtocol(ChatState(), limits=NO_FLOOD_LIMIT))
    server.connect(1, token="one")
    server.ask(1, events.Hello(token="two", epoch="x" * 10_000))
    [resume] = [each.event for each in server.log if isinstance(each.event, events.Resume)]
    assert resume.epoch == "x" * MAX_EPOCH_CHARS


def test_a_state_knows_up_to_where_an_earlier_epoch_is_its_own() -> None:
    talk, _ = begun()
    ends = {}
    for number in range(3):
        happen(talk, ["said"] * number, f"in {number}")
        ends[talk.state.epoch] = talk.state.seq
        talk.do(0, events.Diverge(f"e{number}"))
    state = ChatState.restore(talk.state.snapshot())
    assert {epoch: state.common_with(epoch) for epoch in ends} == ends
    assert state.common_with("e2") == state.seq
    assert state.common_with("of another log") is None
