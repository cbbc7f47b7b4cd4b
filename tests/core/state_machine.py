"""ChatState against the naive model: many people, few nicks and rooms, so that they collide."""

from __future__ import annotations

from typing import ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tcpchat_core import ChatState, Event, StateLimits, events
from tests.core.harness import deliver, entry, join, nick
from tests.core.model import Model, OneOrder, comparable

CONNS = st.integers(1, 6)
NICKS = st.sampled_from([nick(typed) for typed in ("ada", "Ada", "аda", "bob", "cleo", "дана")])
ROOMS = st.sampled_from([join(typed) for typed in ("lobby", "Lobby", "tea", "den", "кухня")])
TEXTS = st.sampled_from(["a", "tea?", "hello all", "ça va ☕"])
IDS = st.none() | st.sampled_from(["1", "2"])


class StateMachine(RuleBasedStateMachine):
    """Every rule is one entry of the log; the model says what each person must be told of it."""

    limits: ClassVar[StateLimits] = StateLimits()

    def __init__(self) -> None:
        super().__init__()
        self.state = ChatState(limits=self.limits)
        self.model = Model(self.limits)
        self.order = OneOrder()

    def happens(self, conn: int, event: Event) -> None:
        """One entry, in the state and in the model."""
        committed = entry(self.state.seq + 1, conn, event)
        there = conn in self.model.names
        expected = self.model.apply(committed)
        told, closed = deliver(self.state.handle(committed))
        assert closed == ([conn] if there and isinstance(event, events.Quit) else [])
        assert {
            conn: [comparable(notice) for notice in heard] for conn, heard in told.items()
        } == expected
        for listener, heard in told.items():
            for notice in heard:
                self.order.told(listener, notice)
        if conn not in self.model.names:
            self.order.gone(conn)

    @initialize()
    def three_people_share_two_rooms(self) -> None:
        for conn in (1, 2, 3):
            self.happens(conn, events.Connect())
            self.happens(conn, join("lobby"))
            self.happens(conn, join("tea"))

    @rule(conn=CONNS, room=ROOMS)
    def connect(self, conn: int, room: events.Join) -> None:
        self.happens(conn, events.Connect())
        self.happens(conn, room)

    @rule(conn=CONNS, room=ROOMS)
    def join(self, conn: int, room: events.Join) -> None:
        self.happens(conn, room)

    @rule(conn=CONNS, room=ROOMS, text=TEXTS, id=IDS, emote=st.booleans())
    def say(self, conn: int, room: events.Join, text: str, id: str | None, emote: bool) -> None:
        self.happens(conn, events.Say(room.room, text, id, emote, room.key))

    @rule(conn=CONNS, nick=NICKS, text=TEXTS, id=IDS)
    def tell(self, conn: int, nick: events.Nick, text: str, id: str | None) -> None:
        self.happens(conn, events.Tell(nick.nick, text, id, nick.key))

    @rule(conn=CONNS, number=st.integers(1, 4))
    def tell_a_guest(self, conn: int, number: int) -> None:
        self.happens(conn, events.Tell(f"guest-{number}", "psst", "g", f"guest-{number}"))

    @rule(conn=CONNS, nick=NICKS)
    def nick(self, conn: int, nick: events.Nick) -> None:
        self.happens(conn, nick)

    @rule(conn=CONNS, room=ROOMS, topic=st.sampled_from([None, "", "tea at four"]))
    def topic(self, conn: int, room: events.Join, topic: str | None) -> None:
        self.happens(conn, events.Topic(room.room, topic, room.key))

    @rule(conn=CONNS, room=ROOMS)
    def out(self, conn: int, room: events.Join) -> None:
        self.happens(conn, events.Out(room.room, room.key))

    @rule(conn=CONNS, how=st.sampled_from([events.Quit("bye"), events.Disconnect("lost")]))
    def depart(self, conn: int, how: events.Quit | events.Disconnect) -> None:
        self.happens(conn, how)

    @rule(conn=CONNS, room=ROOMS)
    def an_old_entry_comes_again(self, conn: int, room: events.Join) -> None:
        assert self.state.handle(entry(self.state.seq, conn, room)) == []

    @rule()
    def go_on_from_a_snapshot(self) -> None:
        self.state = ChatState.restore(self.state.snapshot())

    @invariant()
    def rooms_and_members_are_the_models(self) -> None:
        rooms = {room.key: list(room.members) for room in self.state.rooms()}
        assert rooms == {key: room.members for key, room in self.model.rooms.items()}
        assert all(rooms.values()), "a room without members"
        for conn in self.model.names:
            person = self.state.person(conn)
            assert person is not None
            assert sorted(person.rooms) == sorted(self.model.rooms_of(conn))
            assert all(self.state.room(key) is room for key, room in person.rooms.items())

    @invariant()
    def nicks_and_connections_are_one_to_one(self) -> None:
        assert self.state.people == len(self.model.names)
        held = {}
        for conn in range(1, 7):
            if person := self.state.person(conn):
                held[conn] = (person.nick, person.key)
        assert held == self.model.names
        assert len({key for _, key in held.values()}) == len(held)

    @invariant()
    def history_is_the_bounded_tail_without_holes(self) -> None:
        for key, room in self.model.rooms.items():
            real = self.state.room(key)
            assert real is not None
            assert list(real.history) == self.model.kept(key)
            assert real.seq == len(room.said)
            numbers = [said.seq for said in room.said]
            assert numbers == list(range(1, real.seq + 1))
            assert len(real.history) <= self.limits.history_messages
            assert real.history_chars == sum(len(said.text) for said in real.history)
            assert real.history_chars <= self.limits.history_chars

    @invariant()
    def a_snapshot_is_exact(self) -> None:
        assert ChatState.restore(self.state.snapshot()).digest() == self.state.digest()


class SmallStateMachine(StateMachine):
    """The same with limits so small that every one of them is met."""

    limits = StateLimits(
        rooms_per_person=2,
        rooms=3,
        history_messages=3,
        history_chars=20,
        entered_history=2,
        entered_members=2,
    )
