"""The tests see: each checker fails when the product is broken in the way it guards against."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import Phase, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

from tcpchat_core import (
    Action,
    Audience,
    Broadcast,
    ChatState,
    ClientProtocol,
    Close,
    Send,
    ServerProtocol,
    events,
)
from tcpchat_core import state as state_module
from tcpchat_core.dialects.jsonl import JsonLines
from tcpchat_core.dialects.plain import Plain, strip_telnet
from tcpchat_core.framing import LineBuffer, TooLong
from tcpchat_core.notices import Entered, Gap, Rejected
from tcpchat_core.state import Person, Room
from tests.core import checkers, test_client, test_paste, test_server, test_state
from tests.core.harness import random_log
from tests.core.protocol_machine import DelayedLogMachine, ProtocolMachine
from tests.core.session_machine import SessionMachine
from tests.core.state_machine import SmallStateMachine, StateMachine

# The name of the module is also that of its function, which the package shows instead.
SANITIZE = importlib.import_module("tcpchat_core.sanitize")
SERVER = importlib.import_module("tcpchat_core.server")
REQUESTS = importlib.import_module("tcpchat_core.requests")
PASSWORD = importlib.import_module("tcpchat_core.password")
CLIENT = importlib.import_module("tcpchat_core.client.protocol")

# The first failure is enough: it is not made small, and not kept.
QUICK = settings(
    max_examples=200,
    phases=[Phase.generate],
    derandomize=True,
    database=None,
    report_multiple_bugs=False,
)

Patch = pytest.MonkeyPatch


def change_messages(patch: Patch, **changed: Callable[[ChatState], Any]) -> None:
    """Give the broadcast of a message other fields, each a function of the state."""
    original = ChatState._say

    def say(self: ChatState, *args: Any) -> list[Action]:
        fields = {field: value(self) for field, value in changed.items()}
        return [
            msgspec.structs.replace(action, **fields) if isinstance(action, Broadcast) else action
            for action in original(self, *args)
        ]

    patch.setattr(ChatState, "_say", say)


def the_author_hears_itself(patch: Patch) -> None:
    change_messages(patch, author=lambda _: -1)


def the_receipt_is_missing(patch: Patch) -> None:
    change_messages(patch, receipt=lambda _: None)


def a_message_reaches_people_outside_the_room(patch: Patch) -> None:
    change_messages(patch, audience=lambda state: Audience(tuple(state._people)))


def a_number_is_left_out(patch: Patch) -> None:
    original = Room.say

    def say(self: Room, *args: Any) -> Any:
        said = original(self, *args)
        self.seq += 1
        return said

    patch.setattr(Room, "say", say)


def a_rename_is_told_per_room(patch: Patch) -> None:
    def per_room(person: Person, notice: Any, own: Any) -> list[Any]:
        rooms = [
            Broadcast(room.audience, notice, person.conn, None) for room in person.rooms.values()
        ]
        return [*rooms, Send(person.conn, own)] if own else rooms

    patch.setattr(state_module, "_tell_neighbours", per_room)


def an_empty_room_stays(patch: Patch) -> None:
    patch.setattr(ChatState, "_leave", lambda _, person, room: room.remove(person))


def a_departed_nick_stays_taken(patch: Patch) -> None:
    original = ChatState._depart

    def broken(self: ChatState, person: Person, reason: str) -> list[Action]:
        told = original(self, person, reason)
        self._nicks[person.key] = person
        return told

    patch.setattr(ChatState, "_depart", broken)


def the_audience_is_stale(patch: Patch) -> None:
    def add(self: Room, person: Person) -> None:
        self.members[person.id] = person
        person.rooms[self.key] = self
        person.since[self.key] = self.seq

    patch.setattr(Room, "add", add)


def history_is_off_by_one(patch: Patch) -> None:
    original = Room.say

    def say(self: Room, nick: str, event: Any, at: int, limits: Any) -> Any:
        more = msgspec.structs.replace(limits, history_messages=limits.history_messages + 1)
        return original(self, nick, event, at, more)

    patch.setattr(Room, "say", say)


def history_forgets_to_count_characters(patch: Patch) -> None:
    original = Room.say

    def say(self: Room, *args: Any) -> Any:
        said = original(self, *args)
        self.history_chars = 0
        return said

    patch.setattr(Room, "say", say)


def a_snapshot_forgets_a_topic(patch: Patch) -> None:
    original = ChatState.restore

    def restore(snapshot: bytes) -> ChatState:
        state = original(snapshot)
        for room in state.rooms():
            room.topic_at = 0
        return state

    patch.setattr(ChatState, "restore", restore)


def joining_again_shows_the_history_twice(patch: Patch) -> None:
    original = ChatState._entered

    def entered(self: ChatState, room: Room, at: int, *, again: bool = False) -> Entered:
        return msgspec.structs.replace(original(self, room, at), again=again)

    patch.setattr(ChatState, "_entered", entered)


def answers_overtake(patch: Patch) -> None:
    def answer(self: Any, connection: Any, answer: Any, effects: list[Any]) -> None:
        sent = Send(connection.conn, self._notice(connection, answer))
        self._encode([sent], effects)

    patch.setattr(ServerProtocol, "_answer", answer)


def the_current_room_is_kept_after_leaving_it(patch: Patch) -> None:
    original = ServerProtocol._request

    def request(self: Any, connection: Any, asked: Any, effects: Any) -> None:
        current = connection.current
        original(self, connection, asked, effects)
        if isinstance(asked, events.Out):
            connection.current = current

    patch.setattr(ServerProtocol, "_request", request)


def the_room_is_encoded_for_one_dialect_only(patch: Patch) -> None:
    original = ServerProtocol._lanes
    patch.setattr(ServerProtocol, "_lanes", lambda *of: dict([*original(*of).items()][:1]))


def a_repeated_id_is_said_again(patch: Patch) -> None:
    patch.setattr(ChatState, "_remember", lambda *_: None)


def change_replays(patch: Patch, change: Callable[[list[Any]], list[Any]]) -> None:
    original = state_module._missed
    patch.setattr(state_module, "_missed", lambda *args: change(list(original(*args))))


def a_replay_leaves_the_first_out(patch: Patch) -> None:
    change_replays(patch, lambda missed: missed[1:])


def a_replay_begins_one_too_early(patch: Patch) -> None:
    original = state_module._missed
    patch.setattr(
        state_module,
        "_missed",
        lambda room, last, seen, kept: original(room, last, seen - 1, kept),
    )


def a_gap_is_not_told(patch: Patch) -> None:
    change_replays(
        patch, lambda missed: [notice for notice in missed if not isinstance(notice, Gap)]
    )


def an_older_connection_is_not_closed(patch: Patch) -> None:
    original = ChatState._resume
    patch.setattr(
        ChatState,
        "_resume",
        lambda *args: [act for act in original(*args) if not isinstance(act, Close)],
    )


def a_session_that_was_resumed_and_lost_again_expires(patch: Patch) -> None:
    def expire(self: ChatState, conn: int, event: events.Expire) -> list[Action]:  # noqa: ARG001 # as the original
        person = self._away.get(event.session)
        return self._depart(person, event.reason) if person else []

    patch.setattr(ChatState, "_expire", expire)


def an_audience_keeps_who_is_away(patch: Patch) -> None:
    patch.setattr(Room, "audience_changed", lambda _: None)


def an_inbox_has_no_bound(patch: Patch) -> None:
    original = ChatState._tell

    def tell(self: ChatState, *args: Any) -> list[Action]:
        limits, self.limits = self.limits, msgspec.structs.replace(self.limits, inbox=99)
        told = original(self, *args)
        self.limits = limits
        return told

    patch.setattr(ChatState, "_tell", tell)


def a_snapshot_forgets_who_is_away(patch: Patch) -> None:
    original = ChatState.restore

    def restore(snapshot: bytes) -> ChatState:
        state = original(snapshot)
        state._away.clear()
        return state

    patch.setattr(ChatState, "restore", restore)


def a_client_shows_what_it_has_seen(patch: Patch) -> None:
    original = ClientProtocol._see
    patch.setattr(ClientProtocol, "_see", lambda *args: original(*args) or True)


def a_client_shows_receipts_twice(patch: Patch) -> None:
    original = ClientProtocol._acknowledge
    patch.setattr(ClientProtocol, "_acknowledge", lambda *args: original(*args) or True)


def a_client_does_not_send_again(patch: Patch) -> None:
    original = ClientProtocol.hello

    def hello(self: ClientProtocol) -> bytes:
        data = original(self)
        self._held.clear()
        return data

    patch.setattr(ClientProtocol, "hello", hello)


def a_client_sends_more_than_the_server_remembers(patch: Patch) -> None:
    original = ClientProtocol._send_held

    def send_held(self: ClientProtocol) -> bytes:
        self._places = dict.fromkeys(self._places, 0)
        return original(self)

    patch.setattr(ClientProtocol, "_send_held", send_held)


def a_client_takes_a_gap_for_nothing(patch: Patch) -> None:
    original = ClientProtocol._take
    patch.setattr(
        ClientProtocol,
        "_take",
        lambda self, notice: original(self, notice) and not isinstance(notice, Gap),
    )


def the_grace_never_ends(patch: Patch) -> None:
    patch.setattr(ServerProtocol, "_is_away", lambda *_: False)


STATEFUL: list[tuple[Callable[[Patch], None], type[RuleBasedStateMachine]]] = [
    (the_author_hears_itself, StateMachine),
    (the_receipt_is_missing, StateMachine),
    (a_message_reaches_people_outside_the_room, StateMachine),
    (a_number_is_left_out, StateMachine),
    (a_rename_is_told_per_room, StateMachine),
    (an_empty_room_stays, StateMachine),
    (a_departed_nick_stays_taken, StateMachine),
    (the_audience_is_stale, StateMachine),
    (history_is_off_by_one, SmallStateMachine),
    (history_forgets_to_count_characters, SmallStateMachine),
    (a_snapshot_forgets_a_topic, StateMachine),
    (joining_again_shows_the_history_twice, StateMachine),
    (the_author_hears_itself, ProtocolMachine),
    (the_current_room_is_kept_after_leaving_it, ProtocolMachine),
    (the_room_is_encoded_for_one_dialect_only, ProtocolMachine),
    (answers_overtake, DelayedLogMachine),
    (a_repeated_id_is_said_again, StateMachine),
    (a_repeated_id_is_said_again, SessionMachine),
    (a_replay_leaves_the_first_out, StateMachine),
    (a_replay_leaves_the_first_out, SessionMachine),
    (a_replay_begins_one_too_early, StateMachine),
    (a_gap_is_not_told, SmallStateMachine),
    (a_gap_is_not_told, SessionMachine),
    (an_older_connection_is_not_closed, StateMachine),
    (an_older_connection_is_not_closed, ProtocolMachine),
    (an_audience_keeps_who_is_away, StateMachine),
    (an_inbox_has_no_bound, SmallStateMachine),
    (a_snapshot_forgets_who_is_away, StateMachine),
    (the_grace_never_ends, ProtocolMachine),
    (a_client_does_not_send_again, SessionMachine),
    (a_client_takes_a_gap_for_nothing, SessionMachine),
]


@pytest.mark.parametrize(
    ("mutation", "machine"),
    STATEFUL,
    ids=[f"{mutation.__name__}-{machine.__name__}" for mutation, machine in STATEFUL],
)
def test_a_broken_rule_is_seen_by_the_model(
    mutation: Callable[[Patch], None],
    machine: type[RuleBasedStateMachine],
    monkeypatch: Patch,
) -> None:
    mutation(monkeypatch)
    with pytest.raises((AssertionError, KeyError)):
        run_state_machine_as_test(machine, settings=QUICK)


def a_paste_is_not_charged(patch: Patch) -> None:
    original = ServerProtocol._paste

    def paste(self: ServerProtocol, connection: Any, effects: Any) -> None:
        before = connection.words_us
        original(self, connection, effects)
        connection.words_us = before

    patch.setattr(ServerProtocol, "_paste", paste)


def a_paste_keeps_its_trailing_blanks(patch: Patch) -> None:
    original = Plain.texts

    def texts(self: Plain, lines: Any) -> list[str] | None:
        found = original(self, lines)
        return found and [line.decode() for line in lines]

    patch.setattr(Plain, "texts", texts)


def a_command_in_a_paste_is_said(patch: Patch) -> None:
    def texts(_: Plain, lines: Any) -> list[str] | None:
        try:
            found = [line.decode().rstrip() for line in lines]
        except (UnicodeDecodeError, AttributeError):
            return None
        return found if all(found) and "".join(found).isprintable() else None

    patch.setattr(Plain, "texts", texts)


def what_is_handled_at_once_is_all_said_to_the_first_room(patch: Patch) -> None:
    original = ChatState.handle_all

    def handle_all(self: ChatState, entries: Any) -> list[Action]:
        entries = [*entries]
        keys = {getattr(entry.event, "key", "") for entry in entries}
        if len(keys) == 1 or not all(isinstance(one.event, events.Say) for one in entries):
            return original(self, entries)
        room, key = entries[0].event.room, entries[0].event.key
        return original(
            self,
            [
                msgspec.structs.replace(
                    one, event=msgspec.structs.replace(one.event, room=room, key=key)
                )
                for one in entries
            ],
        )

    patch.setattr(ChatState, "handle_all", handle_all)


def receipts_are_missing_of_what_is_committed_at_once(patch: Patch) -> None:
    original = ServerProtocol._encode_row

    def encode_row(self: ServerProtocol, row: Any, effects: Any) -> None:
        if len(row) > 1:
            row = [msgspec.structs.replace(action, receipt=None) for action in row]
        original(self, row, effects)

    patch.setattr(ServerProtocol, "_encode_row", encode_row)


BY_RULE: list[tuple[Callable[[Patch], None], Callable[[], None]]] = [
    (
        a_session_that_was_resumed_and_lost_again_expires,
        test_state.test_the_grace_of_an_earlier_connection_does_not_end_a_session,
    ),
    (
        a_paste_is_not_charged,
        test_paste.test_lines_that_come_at_once_are_told_as_if_they_came_one_by_one,
    ),
    (
        a_paste_keeps_its_trailing_blanks,
        test_paste.test_lines_that_come_at_once_are_told_as_if_they_came_one_by_one,
    ),
    (
        a_command_in_a_paste_is_said,
        test_paste.test_lines_that_come_at_once_are_told_as_if_they_came_one_by_one,
    ),
    (
        what_is_handled_at_once_is_all_said_to_the_first_room,
        test_paste.test_entries_that_are_handled_at_once_have_the_same_actions,
    ),
    (
        receipts_are_missing_of_what_is_committed_at_once,
        test_paste.test_a_paste_is_told_in_one_broadcast_and_acknowledged_in_its_place,
    ),
    (a_client_shows_what_it_has_seen, test_client.test_what_was_seen_is_not_shown_again),
    (a_client_shows_receipts_twice, test_client.test_its_own_message_in_a_replay_is_its_receipt),
    (
        a_client_sends_more_than_the_server_remembers,
        test_client.test_no_more_is_unacknowledged_at_a_time_than_the_server_remembers,
    ),
]


@pytest.mark.parametrize(
    ("mutation", "test"), BY_RULE, ids=[mutation.__name__ for mutation, _ in BY_RULE]
)
def test_a_broken_rule_is_seen_by_its_test(
    mutation: Callable[[Patch], None], test: Callable[[], None], monkeypatch: Patch
) -> None:
    mutation(monkeypatch)
    with pytest.raises(AssertionError):
        test()


def test_a_flood_limit_that_forgets_a_line_is_seen(monkeypatch: Patch) -> None:
    original = ServerProtocol._may_go_on

    def may_go_on(self: ServerProtocol, connection: Any) -> bool:
        goes_on = original(self, connection)
        if not goes_on:
            connection.lines.pop()
        return goes_on

    monkeypatch.setattr(ServerProtocol, "_may_go_on", may_go_on)
    with pytest.raises(AssertionError):
        test_server.test_too_fast_is_delayed_and_never_lost_or_reordered()


def test_a_password_that_is_not_compared_is_seen(monkeypatch: Patch) -> None:
    monkeypatch.setattr(PASSWORD.hmac, "compare_digest", lambda *_: True)
    with pytest.raises(AssertionError):
        test_server.test_a_wrong_password_is_refused_and_the_next_try_waits(plain=True)


def test_a_throttle_that_forgets_the_address_is_seen(monkeypatch: Patch) -> None:
    original = ServerProtocol.connection_made
    monkeypatch.setattr(
        ServerProtocol,
        "connection_made",
        lambda self, conn, **named: original(self, conn, **{**named, "peer": str(conn)}),
    )
    with pytest.raises(AssertionError):
        test_server.test_the_throttle_counts_an_address_across_its_connections_up_to_half_a_minute()


def test_a_sanitiser_that_forgets_c1_is_seen(monkeypatch: Patch) -> None:
    c1 = range(0x80, 0xA0)
    table = {code: to for code, to in SANITIZE._TABLE.items() if code not in c1}
    monkeypatch.setattr(SANITIZE, "_TABLE", table)
    with pytest.raises(AssertionError, match="x9b"):
        checkers.check_nothing_forbidden_leaves([events.Say("lobby", "\x9b2J")], "")
    with pytest.raises(AssertionError, match="x9b"):
        checkers.check_client(
            b'{"type":"told","nick":"ada","text":"\xc2\x9b2J","seq":1,"at":0}\n', []
        )


def test_a_field_that_is_not_sanitised_is_seen(monkeypatch: Patch) -> None:
    monkeypatch.setattr(REQUESTS, "_shown", lambda nick: nick)
    with pytest.raises(AssertionError, match="x1b"):
        checkers.check_nothing_forbidden_leaves([events.Tell("\x1b", "hi")], "")


def test_a_client_that_does_not_sanitise_is_seen(monkeypatch: Patch) -> None:
    monkeypatch.setattr(CLIENT, "_sanitized", lambda value: value)
    with pytest.raises(AssertionError, match="x1b"):
        checkers.check_client(b'{"type":"closing","reason":"\\u001b"}\n', [])


def test_framing_that_does_not_come_back_into_step_is_seen(monkeypatch: Patch) -> None:
    original = LineBuffer.receive_data

    def receive_data(self: LineBuffer, data: bytes) -> list[bytes | TooLong]:
        stuck = self._discarding
        lines = original(self, data)
        self._discarding = self._discarding or stuck
        return [] if stuck else lines

    monkeypatch.setattr(LineBuffer, "receive_data", receive_data)
    with pytest.raises(AssertionError):
        checkers.check_framing([b"x" * 20, b"ok"], [15, 21], 10)


def test_framing_without_a_bound_is_seen(monkeypatch: Patch) -> None:
    original = LineBuffer.__init__
    monkeypatch.setattr(LineBuffer, "__init__", lambda self, *_: original(self, 10**6))
    with pytest.raises(AssertionError):
        checkers.check_framing([b"x" * 20], [15], 10)


def test_input_that_is_not_put_together_again_is_seen(monkeypatch: Patch) -> None:
    monkeypatch.setattr(SERVER.LineBuffer, "receive_data", lambda _, data: data.split(b"\n"))
    with pytest.raises(AssertionError):
        checkers.check_any_split(b"/join lobby\n", [5])


def test_negotiation_that_is_forgotten_between_reads_is_seen(monkeypatch: Patch) -> None:
    monkeypatch.setattr(checkers, "strip_telnet", lambda data, _: (strip_telnet(data, b"")[0], b""))
    with pytest.raises(AssertionError):
        checkers.check_telnet([b"hi"], [b"\xff\xfb\x01"], [3])


def test_an_exception_out_of_the_core_is_seen(monkeypatch: Patch) -> None:
    original = Plain.decode
    monkeypatch.setattr(Plain, "decode", lambda self, line: original(self, line.decode().encode()))
    with pytest.raises(UnicodeDecodeError):
        checkers.check_arbitrary_bytes(b"\xc3(\n")


def test_a_line_that_takes_the_next_with_it_is_seen(monkeypatch: Patch) -> None:
    original = JsonLines.decode
    seen: list[Any] = []

    def decode(self: JsonLines, line: bytes) -> Any:
        swallowed = seen and isinstance(seen[-1], Rejected)
        seen.append(original(self, line))
        return None if swallowed else seen[-1]

    monkeypatch.setattr(JsonLines, "decode", decode)
    with pytest.raises(AssertionError):
        checkers.check_good_lines_count(b"/bad")


def test_an_order_that_depends_on_hashes_is_seen() -> None:
    before = (
        "from tcpchat_core.state import Room\n"
        "Room.nicks = lambda self, limit=None: "
        "tuple({person.nick for person in self.members.values()})"
    )
    with pytest.raises(AssertionError):
        checkers.check_hash_seeds(1, 300, before=before)


def test_a_snapshot_that_leaves_something_out_is_seen(monkeypatch: Patch) -> None:
    a_snapshot_forgets_a_topic(monkeypatch)
    with pytest.raises(AssertionError):
        checkers.check_snapshot_and_rest(random_log(1, 2000), 1500, 0)
