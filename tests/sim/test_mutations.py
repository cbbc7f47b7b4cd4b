"""The simulator sees: each promise, broken on purpose, is caught by the checker that states it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import msgspec
import pytest

from tcpchat_core import (
    Action,
    Audience,
    Broadcast,
    ChatState,
    ClientProtocol,
    Close,
    Entry,
    Send,
    ServerProtocol,
    events,
    notices,
)
from tcpchat_core import state as state_module
from tcpchat_core.commands import parse_line
from tcpchat_core.dialects.plain import Plain
from tcpchat_core.notices import Gap, Notice, Said, Sent
from tcpchat_core.state import Person, Room, StateLimits
from tcpchat_net.fanout import Fanout
from tests.sim.promises import CHECKERS, simulate
from tests.sim.world import name_of

# A breakage has to show within so many simulations.
WITHIN = 40

Patch = pytest.MonkeyPatch


# ── Of the state ─────────────────────────────────────────────────────────────────────────────


def ids_are_not_remembered(patch: Patch) -> None:
    patch.setattr(ChatState, "_remember", lambda *_: None)


def change_replay(patch: Patch, too_many: int, *, tell_gaps: bool = True) -> None:
    """Replay so many messages too many, or too few."""

    def missed(room: str, last: int, seen: int, kept: Any) -> Iterator[Notice]:
        count = max(0, last - seen)
        if count > len(kept) and tell_gaps:
            yield Gap(room, last - len(kept) + 1)
        if count:
            yield from islice(kept, max(0, len(kept) - count - too_many), len(kept))

    patch.setattr(state_module, "_missed", missed)


def the_replay_is_one_too_short(patch: Patch) -> None:
    change_replay(patch, -1)


def the_replay_is_one_too_long(patch: Patch) -> None:
    change_replay(patch, 1)


def gaps_are_not_told(patch: Patch) -> None:
    change_replay(patch, 0, tell_gaps=False)


def a_gap_is_told_for_safety(patch: Patch) -> None:
    original = state_module._missed

    def missed(room: str, last: int, seen: int, kept: Any) -> Iterator[Notice]:
        if room and kept and last > seen and len(kept) >= last - seen:
            yield Gap(room, seen + 1)
        yield from original(room, last, seen, kept)

    patch.setattr(state_module, "_missed", missed)


def a_resumed_session_is_subscribed_after_its_replay(patch: Patch) -> None:
    resume, handle = ChatState._resume, ChatState.handle

    def late(self: ChatState, conn: int, event: Any) -> list[Action]:
        actions = resume(self, conn, event)
        for room in self.rooms():
            there = tuple(other for other in room.audience.conns if other != conn)
            room._audience = Audience(there)
        return actions

    def broken_handle(self: ChatState, entry: Entry) -> list[Action]:
        actions = handle(self, entry)
        if not isinstance(entry.event, events.Resume):
            for room in self.rooms():
                room.audience_changed()
        return actions

    patch.setattr(ChatState, "_resume", late)
    patch.setattr(ChatState, "handle", broken_handle)


def a_resumed_session_is_subscribed_before_its_replay(patch: Patch) -> None:
    resume, handle = ChatState._resume, ChatState.handle
    waiting: list[Action] = []

    def hold_back(self: ChatState, *args: Any) -> list[Action]:
        actions = resume(self, *args)
        waiting[:] = [
            action
            for action in actions
            if isinstance(action, Send) and isinstance(action.payload, Said)
        ]
        return [action for action in actions if action not in waiting]

    def broken_handle(self: ChatState, entry: Entry) -> list[Action]:
        late = [*waiting]
        waiting.clear()
        return [*handle(self, entry), *late]

    patch.setattr(ChatState, "_resume", hold_back)
    patch.setattr(ChatState, "handle", broken_handle)


def change_messages(patch: Patch, change: Callable[[ChatState, Person, Any], list[Action]]) -> None:
    original = ChatState._say

    def say(self: ChatState, person: Person, *args: Any) -> list[Action]:
        told: list[Action] = []
        for action in original(self, person, *args):
            changes = isinstance(action, Broadcast)
            told += change(self, person, action) if changes else [action]
        return told

    patch.setattr(ChatState, "_say", say)


def the_author_is_known_by_its_first_connection(patch: Patch) -> None:
    change_messages(
        patch,
        lambda _, person, action: [msgspec.structs.replace(action, author=person.id)],
    )


def messages_reach_people_outside_the_room(patch: Patch) -> None:
    change_messages(
        patch,
        lambda state, _, action: [
            msgspec.structs.replace(action, audience=Audience(tuple(state._people)))
        ],
    )


def receipts_come_with_the_next_message(patch: Patch) -> None:
    late: list[Action] = []

    def change(_: ChatState, person: Person, action: Any) -> list[Action]:
        before = [*late]
        late[:] = [Send(person.conn, action.receipt)]
        return [msgspec.structs.replace(action, receipt=None), *before]

    change_messages(patch, change)


def receipts_are_given_for_what_was_refused(patch: Patch) -> None:
    original = ChatState._say

    def say(self: ChatState, person: Person, event: Any, at: int) -> list[Action]:
        if event.key not in person.rooms and event.id is not None:
            return [Send(person.conn, Sent(at, event.id, event.room, None, 1))]
        return original(self, person, event, at)

    patch.setattr(ChatState, "_say", say)


def all_rooms_share_one_history(patch: Patch) -> None:
    state_made, room_made = ChatState.__init__, Room.__init__
    shared: list[deque[Said]] = []

    def make_state(self: ChatState, **kwargs: Any) -> None:
        shared[:] = [deque()]
        state_made(self, **kwargs)

    def make_room(self: Room, *args: Any) -> None:
        room_made(self, *args)
        self.history = shared[0]

    patch.setattr(ChatState, "__init__", make_state)
    patch.setattr(Room, "__init__", make_room)


def the_history_has_no_bound(patch: Patch) -> None:
    original = Room.say

    def say(self: Room, nick: str, event: Any, at: int, limits: StateLimits) -> Any:
        none = msgspec.structs.replace(limits, history_messages=10**9, history_chars=10**9)
        return original(self, nick, event, at, none)

    patch.setattr(Room, "say", say)


def an_expired_session_is_not_forgotten(patch: Patch) -> None:
    original = ChatState._depart

    def depart(self: ChatState, person: Person, reason: str) -> list[Action]:
        told = original(self, person, reason)
        if person.session:
            self._sessions[person.session] = person
        return told

    patch.setattr(ChatState, "_depart", depart)


def a_ghost_holds_its_nick(patch: Patch) -> None:
    original = ChatState._depart

    def depart(self: ChatState, person: Person, reason: str) -> list[Action]:
        was_away = person.away
        told = original(self, person, reason)
        if was_away:
            self._nicks[person.key] = person
        return told

    patch.setattr(ChatState, "_depart", depart)


def the_older_connection_stays_open(patch: Patch) -> None:
    original = ChatState._resume
    patch.setattr(
        ChatState,
        "_resume",
        lambda self, *args: [
            action for action in original(self, *args) if not isinstance(action, Close)
        ],
    )


def direct_messages_are_not_kept_for_who_is_away(patch: Patch) -> None:
    original = ChatState._resume

    def resume(self: ChatState, conn: int, event: Any) -> list[Action]:
        person = self._sessions.get(event.session)
        if person is not None and person.inbox:
            event = msgspec.structs.replace(event, told=person.told)
        return original(self, conn, event)

    patch.setattr(ChatState, "_resume", resume)


# ── Of the server's protocol ─────────────────────────────────────────────────────────────────


def a_resumed_session_expires(patch: Patch) -> None:
    def expire(self: ChatState, _: int, event: Any) -> list[Action]:
        person = self._sessions.get(event.session)
        return [] if person is None else self._depart(person, event.reason)

    original = ServerProtocol.commit

    def commit(self: ServerProtocol, entry: Entry) -> Any:
        graces = {**self._graces}
        effects = original(self, entry)
        if isinstance(entry.event, events.Resume):
            self._graces = graces
        return effects

    patch.setattr(ChatState, "_expire", expire)
    patch.setattr(ServerProtocol, "commit", commit)
    patch.setattr(
        ServerProtocol, "_is_away", lambda self, session, _: session in self.state._sessions
    )


def the_grace_is_too_short(patch: Patch) -> None:
    original = ServerProtocol._begin_grace

    def begin(self: ServerProtocol, *args: Any) -> None:
        now = self._now
        self._now = now - self.limits.grace_ms // 2
        original(self, *args)
        self._now = now

    patch.setattr(ServerProtocol, "_begin_grace", begin)


def the_grace_never_ends(patch: Patch) -> None:
    patch.setattr(ServerProtocol, "_begin_grace", lambda *_: None)


def what_comes_too_fast_is_thrown_away(patch: Patch) -> None:
    original = ServerProtocol._proceed

    def proceed(self: ServerProtocol, connection: Any) -> Any:
        effects = original(self, connection)
        connection.lines = []
        return effects

    patch.setattr(ServerProtocol, "_proceed", proceed)


def who_has_to_wait_is_taken_for_silent(patch: Patch) -> None:
    original = ServerProtocol._look_after

    def look_after(self: ServerProtocol, connection: Any) -> Any:
        lines, connection.lines = connection.lines, []
        effects = original(self, connection)
        connection.lines = lines
        return effects

    patch.setattr(ServerProtocol, "_look_after", look_after)


def timers_are_left_behind(patch: Patch) -> None:
    original = ServerProtocol._look_after

    def look_after(self: ServerProtocol, connection: Any) -> Any:
        self._timers.append((1 << 60, connection.conn, False))
        return original(self, connection)

    patch.setattr(ServerProtocol, "_look_after", look_after)


def reading_is_never_paused(patch: Patch) -> None:
    patch.setattr(ServerProtocol, "is_paused", lambda *_: False)


def the_plain_dialect_trusts_its_bytes(patch: Patch) -> None:
    patch.setattr(Plain, "decode", lambda _, line: parse_line(line.decode()))


# ── Of the client's protocol ─────────────────────────────────────────────────────────────────


def the_client_shows_what_it_has_seen(patch: Patch) -> None:
    change_replay(patch, 1)  # a server that keeps its promise never puts this to the test
    original = ClientProtocol._see

    def see(self: ClientProtocol, room: str, seq: int) -> bool:
        original(self, room, seq)
        return room in self.rooms

    patch.setattr(ClientProtocol, "_see", see)


def the_client_shows_a_receipt_each_time(patch: Patch) -> None:
    original = ClientProtocol._acknowledge

    def acknowledge(self: ClientProtocol, id: str) -> bool:
        original(self, id)
        return True

    patch.setattr(ClientProtocol, "_acknowledge", acknowledge)


def the_client_does_not_send_again(patch: Patch) -> None:
    original = ClientProtocol.hello

    def hello(self: ClientProtocol) -> bytes:
        data = original(self)
        self._held.clear()
        return data

    patch.setattr(ClientProtocol, "hello", hello)


def the_client_sends_more_than_is_remembered(patch: Patch) -> None:
    original = ClientProtocol._begin

    def begin(self: ClientProtocol, welcome: notices.Welcome) -> None:
        assert welcome.limits is not None
        limits = msgspec.structs.replace(welcome.limits, unacknowledged=1_000)
        original(self, msgspec.structs.replace(welcome, limits=limits))

    patch.setattr(ClientProtocol, "_begin", begin)


def the_client_knows_its_own_messages_by_nick(patch: Patch) -> None:
    original = ClientProtocol._take

    def take(self: ClientProtocol, notice: Notice) -> bool:
        news = original(self, notice)
        return news and not (isinstance(notice, Said) and notice.nick == self.nick)

    patch.setattr(ClientProtocol, "_take", take)


# ── Of the fan-out ───────────────────────────────────────────────────────────────────────────


def outboxes_have_no_bound(patch: Patch) -> None:
    keep = Fanout._keep

    def broken_keep(self: Fanout, *arguments: Any) -> None:
        self._max_backlog_bytes = 10**9
        keep(self, *arguments)

    patch.setattr(Fanout, "_keep", broken_keep)


def everybody_waits_for_the_slowest(patch: Patch) -> None:
    flush, check_stalls = Fanout.flush, Fanout.check_stalls

    def broken_flush(self: Fanout, now: int) -> None:
        if not self._slow:
            flush(self, now)

    def then_flush(self: Fanout, now: int) -> None:
        check_stalls(self, now)
        broken_flush(self, now)

    patch.setattr(Fanout, "flush", broken_flush)
    patch.setattr(Fanout, "check_stalls", then_flush)


MUTATIONS: list[tuple[Callable[[Patch], None], str]] = [
    (ids_are_not_remembered, "nothing_twice"),
    (the_replay_is_one_too_short, "exactly_once"),
    (the_replay_is_one_too_long, "replay"),
    (gaps_are_not_told, "exactly_once"),
    (a_gap_is_told_for_safety, "gaps"),
    (a_resumed_session_is_subscribed_after_its_replay, "exactly_once"),
    (a_resumed_session_is_subscribed_before_its_replay, "exactly_once"),
    (the_author_is_known_by_its_first_connection, "liveness"),
    (messages_reach_people_outside_the_room, "nothing_outside"),
    (receipts_come_with_the_next_message, "one_order"),
    (receipts_are_given_for_what_was_refused, "receipts"),
    (all_rooms_share_one_history, "nothing_outside"),
    (the_history_has_no_bound, "bounds"),
    (an_expired_session_is_not_forgotten, "sessions"),
    (a_ghost_holds_its_nick, "sessions"),
    (the_older_connection_stays_open, "sessions"),
    (direct_messages_are_not_kept_for_who_is_away, "direct_messages"),
    (a_resumed_session_expires, "sessions"),
    (the_grace_is_too_short, "sessions"),
    (the_grace_never_ends, "sessions"),
    (what_comes_too_fast_is_thrown_away, "flood"),
    (who_has_to_wait_is_taken_for_silent, "flood"),
    (timers_are_left_behind, "bounds"),
    (reading_is_never_paused, "bounds"),
    (the_plain_dialect_trusts_its_bytes, "no_exception"),
    (the_client_shows_what_it_has_seen, "nothing_twice"),
    (the_client_shows_a_receipt_each_time, "nothing_twice"),
    (the_client_does_not_send_again, "liveness"),
    (the_client_sends_more_than_is_remembered, "nothing_twice"),
    (the_client_knows_its_own_messages_by_nick, "exactly_once"),
    (outboxes_have_no_bound, "bounds"),
    (everybody_waits_for_the_slowest, "healthy"),
]


@pytest.mark.parametrize(
    ("mutation", "checker"), MUTATIONS, ids=[mutation.__name__ for mutation, _ in MUTATIONS]
)
def test_a_broken_promise_is_caught_by_its_checker(
    mutation: Callable[[Patch], None], checker: str, monkeypatch: Patch
) -> None:
    mutation(monkeypatch)
    for seed in range(WITHIN):
        if checker in {broken.checker for broken in simulate(seed).violations}:
            return
    pytest.fail(f"in {WITHIN} simulations {checker} saw nothing")


def test_every_checker_catches_something() -> None:
    needed = {name_of(checker()) for checker in CHECKERS}
    assert needed <= {checker for _, checker in MUTATIONS}
