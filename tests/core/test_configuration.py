"""What the server's owner sets, and what is forgotten: entries of nobody."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tcpchat_core import ChatState, Propose, ServerProtocol, StateLimits, events, notices
from tests.core.harness import START_MS, STEP_MS, Talk, entry, join, random_log, restored, say

LOBBY = ("Lobby", "lobby")


def configured(*rooms: tuple[str, str], **limits: int) -> Talk:
    """A state whose owner has set this."""
    talk = Talk()
    talk.do(0, events.Configure(limits, rooms))
    return talk


# ── Rooms that always exist ──────────────────────────────────────────────────────────────────


def test_a_standing_room_is_there_before_anybody_comes_and_after_everybody_has_gone() -> None:
    talk = configured(LOBBY)
    assert [room.name for room in talk.state.rooms()] == ["Lobby"]
    talk.do(1, events.Connect())
    talk.do(1, join("lobby"))
    talk.do(1, events.Topic("lobby", "tea at four", "lobby"))
    talk.do(1, say("lobby", "hello"))
    talk.do(1, events.Quit())
    talk.do(2, events.Connect())
    (entered,) = (
        notice for notice in talk.do(2, join("lobby"))[2] if isinstance(notice, notices.Entered)
    )
    assert (entered.room, entered.topic) == ("Lobby", "tea at four")
    room = talk.state.room("lobby")
    assert room is not None
    assert [said.text for said in room.history] == ["hello"]


def test_a_room_that_stands_no_more_goes_when_nobody_is_in_it() -> None:
    talk = configured(LOBBY, ("tea", "tea"))
    talk.do(1, events.Connect())
    talk.do(1, join("lobby"))
    talk.do(0, events.Configure({}, ()))
    assert [room.key for room in talk.state.rooms()] == ["lobby"]
    talk.do(1, events.Quit())
    assert list(talk.state.rooms()) == []


def test_a_room_with_people_in_it_can_become_a_standing_one() -> None:
    talk = Talk()
    talk.do(1, events.Connect())
    talk.do(1, join("lobby"))
    talk.do(0, events.Configure({}, (LOBBY,)))
    talk.do(1, events.Quit())
    assert talk.state.room("lobby") is not None


def test_what_the_owner_has_set_survives_a_snapshot() -> None:
    talk = configured(("tea", "tea"), LOBBY, rooms_per_person=3)
    state = restored(talk.state.snapshot())
    assert state.configuration.rooms == (LOBBY, ("tea", "tea"))
    assert state.limits.rooms_per_person == 3
    assert state.digest() == talk.state.digest()


# ── Bounds ───────────────────────────────────────────────────────────────────────────────────


def test_other_bounds_hold_from_their_entry_on_and_unknown_ones_mean_nothing() -> None:
    talk = Talk(ChatState(limits=StateLimits(history_messages=10)))
    talk.do(1, events.Connect())
    talk.do(1, join("lobby"))
    for number in range(10):
        talk.do(1, say("lobby", str(number)))
    talk.do(0, events.Configure({"history_messages": 2, "of a later version": 7}, ()))
    room = talk.state.room("lobby")
    assert room is not None
    assert len(room.history) == 10
    talk.do(1, say("lobby", "last"))
    assert [said.text for said in room.history] == ["9", "last"]


def test_a_node_has_the_log_know_what_its_owner_has_set_and_only_once() -> None:
    wanted = events.Configure({**ChatState().configuration.limits, "rooms_per_person": 3}, (LOBBY,))
    protocol = ServerProtocol(ChatState(), configuration=wanted)
    assert protocol.recover(now=0) == [Propose(0, 0, (wanted,))]
    protocol.commit([entry(1, 0, wanted)], now=0)
    assert protocol.state.configuration == wanted
    assert protocol.recover(now=0) == []


# ── Forgetting ───────────────────────────────────────────────────────────────────────────────


def test_what_was_said_before_a_time_is_forgotten_and_who_missed_it_is_told_of_a_gap() -> None:
    talk = Talk()
    for conn, name in ((1, "s1"), (2, "s2")):
        talk.do(conn, events.Connect(name))
        talk.do(conn, join("lobby"))
    talk.do(2, events.Disconnect("connection lost"))
    talk.do(1, events.Tell("guest-2", "psst", key="guest-2"))
    for number in range(3):
        talk.do(1, say("lobby", str(number)))
    room = talk.state.room("lobby")
    assert room is not None
    before = START_MS + STEP_MS * talk.state.seq  # the time of the last message
    assert talk.do(0, events.Forget(before)) == {}
    assert [said.text for said in room.history] == ["2"]
    assert room.history_chars == 1
    (away,) = talk.state.all_away()
    assert (list(away.inbox or ()), away.inbox_chars) == ([], 0)
    told = talk.do(3, events.Resume("s2", "s3", {"lobby": room.seq - 3}, 0))[3]
    assert notices.Gap("lobby", room.seq) in told
    assert notices.Gap("", 2) in told


@given(seed=st.integers(0, 10_000), cut=st.integers(0, 300), ago=st.integers(0, 200))
def test_a_state_that_has_forgotten_comes_to_the_same_from_the_next_such_entry_on(
    seed: int, cut: int, ago: int
) -> None:
    log = random_log(seed, 300)
    whole = ChatState()
    for each in log[:cut]:
        whole.handle(each)
    base = restored(whole.snapshot())
    before = START_MS + STEP_MS * max(0, cut - ago)
    base.forget(before)
    for state in (whole, base):
        for each in log[cut:]:
            state.handle(each)
        state.handle(entry(301, 0, events.Forget(before)))
    assert base.digest() == whole.digest()
