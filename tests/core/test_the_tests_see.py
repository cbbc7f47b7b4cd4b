"""The tests see: each checker fails when the product is broken in the way it guards against.

A broken build is made by its public seams: an entry of the state's tables is wrapped, or a public
method or function is. So it breaks what it says, however the inside is arranged.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

from tcpchat_core import (
    Action,
    Audience,
    Broadcast,
    ChatState,
    ClientProtocol,
    Close,
    Effect,
    Enter,
    Entry,
    Event,
    Leave,
    Notice,
    Propose,
    Send,
    ServerProtocol,
    StateLimits,
    Stream,
    events,
)
from tcpchat_core.client import Received
from tcpchat_core.dialects.frames import FrameBuffer, FrameEvent, Ping, text_frame
from tcpchat_core.dialects.jsonl import JsonLinesReader, decode_notice
from tcpchat_core.dialects.lines import LineReader
from tcpchat_core.dialects.plain import PlainReader
from tcpchat_core.dialects.telnet import strip_telnet
from tcpchat_core.framing import LineBuffer, TooLong
from tcpchat_core.notices import Entered, Gap, Rejected, Said
from tcpchat_core.server.access import Access
from tcpchat_core.server.connection import Connection
from tcpchat_core.server.rate import Rate
from tcpchat_core.state import ARRIVALS, HANDLERS, Person, Room, Tables, moderation, rights
from tcpchat_core.state.restrictions import Restrictions
from tcpchat_core.state.tables import Mark
from tests.core import (
    checkers,
    test_archive,
    test_client,
    test_kept_rooms,
    test_moderation,
    test_paste,
    test_replies,
    test_server,
    test_server_wide,
    test_state,
)
from tests.core.browser import told_frames
from tests.core.harness import LIMITS, random_log
from tests.core.protocol_machine import DelayedLogMachine, ProtocolMachine
from tests.core.session_machine import SessionMachine
from tests.core.state_machine import SmallStateMachine, StateMachine
from tests.core.websocket_machine import WebSocketMachine

BROKEN = settings.get_profile("broken")

Patch = pytest.MonkeyPatch


def rewrite(
    patch: Patch, kind: type[Event], change: Callable[[Tables, list[Action]], list[Action]]
) -> None:
    """Have what comes of an event changed."""
    if kind not in ARRIVALS:
        handler = HANDLERS[kind]
        patch.setitem(
            HANDLERS,
            kind,
            lambda tables, person, event, at: change(tables, handler(tables, person, event, at)),
        )
    else:
        arrival = ARRIVALS[kind]
        patch.setitem(
            ARRIVALS,
            kind,
            lambda tables, entry, event: change(tables, arrival(tables, entry, event)),
        )


def change_messages(patch: Patch, **changed: Callable[[Tables], Any]) -> None:
    """Give the broadcast of a message other fields, each a function of the tables."""

    def change(tables: Tables, actions: list[Action]) -> list[Action]:
        fields = {field: value(tables) for field, value in changed.items()}
        return [
            msgspec.structs.replace(action, **fields) if isinstance(action, Broadcast) else action
            for action in actions
        ]

    rewrite(patch, events.Say, change)


def without(patch: Patch, kind: type[Event], *actions: type[Action]) -> None:
    """Leave some actions out of what comes of an event."""
    rewrite(
        patch,
        kind,
        lambda _, came: [action for action in came if not isinstance(action, actions)],
    )


def the_author_hears_itself(patch: Patch) -> None:
    change_messages(patch, author=lambda _: -1)


def the_receipt_is_missing(patch: Patch) -> None:
    change_messages(patch, receipt=lambda _: None)


def a_message_reaches_people_outside_the_room(patch: Patch) -> None:
    def everybody(tables: Tables) -> Audience:
        audience = Audience()
        for conn in tables.people:
            audience.add(conn)
        return audience

    change_messages(patch, audience=everybody)


def a_number_is_left_out(patch: Patch) -> None:
    original = Room.keep

    def keep(self: Room, *args: Any) -> None:
        original(self, *args)
        self.seq += 1

    patch.setattr(Room, "keep", keep)


def a_rename_is_told_per_room(patch: Patch) -> None:
    def per_room(_: Tables, actions: list[Action]) -> list[Action]:
        return [
            told
            for action in actions
            for told in (
                [
                    Broadcast(audience, action.payload, action.author, action.receipt)
                    for audience in (action.audience, *action.also)
                ]
                if isinstance(action, Broadcast)
                else [action]
            )
        ]

    rewrite(patch, events.Nick, per_room)


def an_empty_room_stays(patch: Patch) -> None:
    patch.setattr(Tables, "leave", lambda _, person, room: room.remove(person))


def a_departed_nick_stays_taken(patch: Patch) -> None:
    original = HANDLERS[events.Quit]

    def broken(tables: Tables, person: Person, event: events.Quit, at: int) -> list[Action]:
        told = original(tables, person, event, at)
        tables.nicks[person.key] = person
        return told

    patch.setitem(HANDLERS, events.Quit, broken)


def who_joins_is_in_no_audience(patch: Patch) -> None:
    without(patch, events.Join, Enter)


def an_audience_keeps_who_left(patch: Patch) -> None:
    without(patch, events.Out, Leave)


def history_is_off_by_one(patch: Patch) -> None:
    original = Room.keep

    def keep(self: Room, said: Any, limits: Any) -> None:
        more = msgspec.structs.replace(limits, history_messages=limits.history_messages + 1)
        original(self, said, more)

    patch.setattr(Room, "keep", keep)


def history_forgets_to_count_characters(patch: Patch) -> None:
    original = Room.keep

    def keep(self: Room, *args: Any) -> None:
        original(self, *args)
        self.history_chars = 0

    patch.setattr(Room, "keep", keep)


def change_snapshots(patch: Patch, change: Callable[[dict[str, Any]], None]) -> None:
    """Have something else restored than what was saved."""
    original = ChatState.restore

    def restore(snapshot: bytes) -> ChatState:
        record = msgspec.json.decode(snapshot)
        change(record)
        return original(msgspec.json.encode(record))

    patch.setattr(ChatState, "restore", restore)


def a_snapshot_forgets_a_topic(patch: Patch) -> None:
    original = ChatState.restore

    def restore(snapshot: bytes) -> ChatState:
        state = original(snapshot)
        for room in state.rooms():
            room.topic_at = 0
        return state

    patch.setattr(ChatState, "restore", restore)


def a_snapshot_forgets_who_is_away(patch: Patch) -> None:
    change_snapshots(patch, lambda record: record["away"].clear())


def joining_again_shows_the_history_twice(patch: Patch) -> None:
    def change(tables: Tables, actions: list[Action]) -> list[Action]:
        return [
            Send(action.conn, msgspec.structs.replace(told, history=(*shown,)))
            if isinstance(action, Send)
            and isinstance(told := action.payload, Entered)
            and (shown := tables.rooms[told.room.lower()].history)
            else action
            for action in actions
        ]

    rewrite(patch, events.Join, change)


def answers_overtake(patch: Patch) -> None:
    patch.setattr(Connection, "is_settled", True)


def the_current_room_is_kept_after_leaving_it(patch: Patch) -> None:
    slot: Any = vars(Connection)["current"]

    def set_current(self: Connection, name: Any) -> None:
        if name is not None or not hasattr(self, "rooms") or slot.__get__(self) is None:
            slot.__set__(self, name)

    patch.setattr(Connection, "current", property(slot.__get__, set_current))


def change_commits(patch: Patch, change: Callable[[list[Effect]], list[Effect]]) -> None:
    """Have what comes of committed entries changed."""
    original = ServerProtocol.commit

    def commit(self: ServerProtocol, entries: Any, *, now: int) -> list[Effect]:
        return change(original(self, entries, now=now))

    patch.setattr(ServerProtocol, "commit", commit)


def the_room_is_told_in_one_dialect_only(patch: Patch) -> None:
    change_commits(
        patch,
        lambda effects: [
            effect
            for effect in effects
            if not (isinstance(effect, Broadcast) and effect.payload.startswith(b"{"))
        ],
    )


def frames_in_a_row_are_joined_the_wrong_way_round(patch: Patch) -> None:
    def turned(payload: bytes) -> bytes:
        return b"".join(text_frame(data) for _, data in reversed(told_frames(payload)))

    change_commits(
        patch,
        lambda effects: [
            msgspec.structs.replace(effect, payload=turned(effect.payload))
            if isinstance(effect, Broadcast) and effect.payload.startswith(b"\x81")
            else effect
            for effect in effects
        ],
    )


def what_comes_behind_a_ping_is_lost(patch: Patch) -> None:
    original = FrameBuffer.receive_data

    def receive_data(self: FrameBuffer, data: bytes) -> list[FrameEvent]:
        events = original(self, data)
        pings = [place for place, event in enumerate(events) if isinstance(event, Ping)]
        return events[: pings[0] + 1] if pings else events

    patch.setattr(FrameBuffer, "receive_data", receive_data)


def a_repeated_id_is_said_again(patch: Patch) -> None:
    patch.setattr(Person, "remember", lambda *_: None)


def change_replays(patch: Patch, change: Callable[[list[Notice]], list[Notice]]) -> None:
    def changed(_: Tables, actions: list[Action]) -> list[Action]:
        return [
            Stream(action.conn, change(list(action.pieces)))
            if isinstance(action, Stream)
            else action
            for action in actions
        ]

    rewrite(patch, events.Resume, changed)


def a_replay_leaves_the_first_out(patch: Patch) -> None:
    change_replays(patch, lambda missed: missed[1:])


def a_replay_begins_one_too_early(patch: Patch) -> None:
    original = ARRIVALS[events.Resume]

    def resume(tables: Tables, entry: Entry, event: events.Resume) -> list[Action]:
        seen = {room: seq - 1 for room, seq in event.seen.items()}
        return original(tables, entry, msgspec.structs.replace(event, seen=seen))

    patch.setitem(ARRIVALS, events.Resume, resume)


def a_gap_is_not_told(patch: Patch) -> None:
    change_replays(
        patch, lambda missed: [notice for notice in missed if not isinstance(notice, Gap)]
    )


def an_older_connection_is_not_closed(patch: Patch) -> None:
    without(patch, events.Resume, Close)


def an_older_connection_is_told_on(patch: Patch) -> None:
    without(patch, events.Resume, Leave)


def a_session_that_was_resumed_and_lost_again_expires(patch: Patch) -> None:
    original = ARRIVALS[events.Expire]

    def expire(tables: Tables, entry: Entry, event: events.Expire) -> list[Action]:
        person = tables.away.get(event.session)
        conn = person.conn if person else entry.conn
        return original(tables, msgspec.structs.replace(entry, conn=conn), event)

    patch.setitem(ARRIVALS, events.Expire, expire)


def an_audience_keeps_who_is_away(patch: Patch) -> None:
    without(patch, events.Disconnect, Leave)


def an_inbox_has_no_bound(patch: Patch) -> None:
    original = Person.keep

    def keep(self: Person, told: Any, limits: Any) -> None:
        original(self, told, msgspec.structs.replace(limits, inbox=99, inbox_chars=999))

    patch.setattr(Person, "keep", keep)


def what_was_proposed_twice_happens_twice(patch: Patch) -> None:
    original = ChatState.handle
    patch.setattr(
        ChatState,
        "handle",
        lambda self, entry: original(self, msgspec.structs.replace(entry, number=0)),
    )


def the_grace_never_ends(patch: Patch) -> None:
    original = ServerProtocol.handle_timer

    def handle_timer(self: ServerProtocol, now: int) -> list[Effect]:
        return [
            effect
            for effect in original(self, now)
            if not (isinstance(effect, Propose) and isinstance(effect.events[0], events.Expire))
        ]

    patch.setattr(ServerProtocol, "handle_timer", handle_timer)


# ── Moderation ───────────────────────────────────────────────────────────────────────────────


def everybody_moderates(patch: Patch) -> None:
    for kind in (events.Kick, events.Restrict, events.Lift, events.Role, events.Restrictions):
        original = HANDLERS[kind]

        def handle(
            tables: Tables, person: Person, event: Any, at: int, handle: Any = original
        ) -> list[Action]:
            room = person.rooms.get(event.key)
            if room is not None and person.id not in room.moderators:
                before, room.moderators = room.moderators, (*room.moderators, person.id)
                actions: list[Action] = handle(tables, person, event, at)
                room.moderators = before
                return actions
            return handle(tables, person, event, at)  # type: ignore[no-any-return] # as it is

        patch.setitem(HANDLERS, kind, handle)


def who_is_put_out_hears_on(patch: Patch) -> None:
    without(patch, events.Kick, Leave)


def who_is_put_out_while_away_is_not_told(patch: Patch) -> None:
    patch.setattr(Person, "remember_put_out", lambda *_: None)


def change_restrictions(patch: Patch, change: Callable[[Any], Any]) -> None:
    original = Restrictions.add
    patch.setattr(Restrictions, "add", lambda self, each: original(self, change(each)))


def a_restriction_ends_too_late(patch: Patch) -> None:
    change_restrictions(patch, lambda each: msgspec.structs.replace(each, until=each.until + 10))


def a_restriction_ends_too_early(patch: Patch) -> None:
    change_restrictions(patch, lambda each: msgspec.structs.replace(each, until=each.until - 10))


def who_comes_from_the_same_place_is_not_known(patch: Patch) -> None:
    patch.setattr(Restrictions, "of_origin", lambda *_: None)


def all_of_one_place_are_restricted(patch: Patch) -> None:
    change_restrictions(
        patch, lambda each: msgspec.structs.replace(each, bearer=each.origin or each.bearer)
    )
    original = Person.bearer
    assert isinstance(original, property)
    patch.setattr(Person, "bearer", property(lambda self: self.origin or original.fget(self)))


def a_new_nick_makes_somebody_else(patch: Patch) -> None:
    patch.setattr(Person, "bearer", property(lambda self: self.key))


def a_table_of_restrictions_has_no_bound(patch: Patch) -> None:
    patch.setattr(Restrictions, "__len__", lambda _: 0)
    patch.setattr(Restrictions, "__bool__", lambda self: bool(self.all()), raising=False)


def a_lifted_ban_holds_for_its_place(patch: Patch) -> None:
    def lift(self: Any, restrictions: Any) -> None:
        for each in restrictions:
            del self._by_bearer[each.bearer]

    patch.setattr(Restrictions, "lift", lift)


def a_snapshot_forgets_who_moderates(patch: Patch) -> None:
    change_snapshots(patch, lambda record: record.pop("moderation", None))


def a_snapshot_forgets_where_people_come_from(patch: Patch) -> None:
    change_snapshots(patch, lambda record: record.pop("moderated", None))


def an_invitation_is_not_asked_for(patch: Patch) -> None:
    patch.setattr(rights, "_is_let_in", lambda *_: True)


def what_was_private_is_shown_when_a_room_is_opened(patch: Patch) -> None:
    patch.setattr(Room, "opened", property(lambda _: 0, lambda *_: None))


def what_was_taken_back_stays(patch: Patch) -> None:
    patch.setattr(Room, "redact", lambda *_: None)


def what_is_answered_is_kept_with_the_answer(patch: Patch) -> None:
    keep = Room.keep

    def kept(room: Room, said: Said, limits: StateLimits) -> None:
        keep(room, said, limits)
        room.history[-1] = room.quoting(said)

    patch.setattr(Room, "keep", kept)


def an_answer_shows_nothing(patch: Patch) -> None:
    patch.setattr(Room, "quoting", lambda _, said: said)


def everything_is_ones_own(patch: Patch) -> None:
    patch.setattr(Room, "has_said", lambda *_: True)


def who_was_put_out_is_shown_what_was_found(patch: Patch) -> None:
    patch.setattr(Person, "remember_put_out", lambda *_: None)


# ── Rooms that are kept, and the whole server ────────────────────────────────────────────────


def who_is_no_owner_makes_owners(patch: Patch) -> None:
    patch.setattr(Room, "is_owned_by", lambda *_: True)


def the_last_owner_can_be_removed(patch: Patch) -> None:
    original = HANDLERS[events.Role]

    def role(tables: Tables, person: Person, event: events.Role, at: int) -> list[Action]:
        room = person.rooms.get(event.key)
        owners = () if room is None else room.owners
        account = tables.accounts.get(event.nick_key)
        if room is None or account is None or owners != (account.id,) or event.role != "member":
            return original(tables, person, event, at)
        room.owners = (*owners, 10**9)  # as if there were another
        actions = original(tables, person, event, at)
        room.moderate(room.moderators, tuple([id for id in room.owners if id != 10**9]))
        return actions

    patch.setitem(HANDLERS, events.Role, role)


def an_empty_kept_room_vanishes(patch: Patch) -> None:
    original = Tables.sweep

    def sweep(self: Tables, room: Room) -> None:
        if not room.members:
            room.owners = ()
        original(self, room)

    patch.setattr(Tables, "sweep", sweep)


def a_snapshot_forgets_who_owns(patch: Patch) -> None:
    def change(record: dict[str, Any]) -> None:
        for room in record.get("moderation", ()):
            room.pop("owners", None)

    change_snapshots(patch, change)


def a_secret_is_not_asked_for(patch: Patch) -> None:
    original = rights.may_not_enter

    def may_not_enter(
        tables: Tables, room: Room, person: Person, code: str, at: int
    ) -> rights.Refusal | None:
        secret = room.rules.secret if room.rules else ""
        return original(tables, room, person, secret or code, at)

    patch.setattr(rights, "may_not_enter", may_not_enter)


def a_ban_of_the_server_does_not_hold_by_session(patch: Patch) -> None:
    original = rights.may_not_come
    patch.setattr(
        rights, "may_not_come", lambda tables, person, _, at: original(tables, person, "", at)
    )


def a_ban_of_the_server_does_not_hold_by_origin(patch: Patch) -> None:
    original = rights.may_not_come

    def may_not_come(
        tables: Tables, person: Person, earlier: str, at: int
    ) -> rights.Refusal | None:
        elsewhere = Person(person.conn, "", "", person.session)
        elsewhere.account = person.account
        return original(tables, elsewhere, earlier, at)

    patch.setattr(rights, "may_not_come", may_not_come)


def a_ban_of_the_server_does_not_hold_for_claims(patch: Patch) -> None:
    patch.setattr(rights, "may_not_become", lambda *_: None)


def an_admin_can_be_banned(patch: Patch) -> None:
    original = moderation.target_of

    def target_of(tables: Tables, nick_key: str) -> moderation.Target | None:
        target = original(tables, nick_key)
        return None if target is None else target._replace(is_admin=False)

    patch.setattr(moderation, "target_of", target_of)


def a_mute_of_the_server_does_not_hold_for_direct_messages(patch: Patch) -> None:
    original = HANDLERS[events.Tell]

    def tell(tables: Tables, person: Person, event: events.Tell, at: int) -> list[Action]:
        rules, tables.rules = tables.rules, None
        actions = original(tables, person, event, at)
        tables.rules = rules
        return actions

    patch.setitem(HANDLERS, events.Tell, tell)


def acts_are_not_remembered(patch: Patch) -> None:
    patch.setattr(Tables, "note", lambda *_: None)


def a_guest_talks_where_only_accounts_do(patch: Patch) -> None:
    patch.setattr(rights, "is_guest_where_none_talk", lambda *_: False)


def what_was_read_is_unread_again(patch: Patch) -> None:
    patch.setattr(Person, "mark", lambda *_: Mark())


def a_guest_that_comes_to_be_an_account_is_muted_no_more(patch: Patch) -> None:
    patch.setattr(rights, "goes_by", lambda *_: False)


def an_admin_moderates_nothing(patch: Patch) -> None:
    patch.setattr(Person, "is_admin", False)


MODERATION: list[Callable[[Patch], None]] = [
    everybody_moderates,
    who_is_put_out_hears_on,
    a_restriction_ends_too_late,
    a_restriction_ends_too_early,
    who_comes_from_the_same_place_is_not_known,
    an_empty_kept_room_vanishes,
    a_snapshot_forgets_who_owns,
    a_ban_of_the_server_does_not_hold_by_origin,
    acts_are_not_remembered,
    a_guest_talks_where_only_accounts_do,
    an_admin_moderates_nothing,
    a_snapshot_forgets_who_moderates,
    a_snapshot_forgets_where_people_come_from,
]


@pytest.mark.parametrize("mutation", MODERATION, ids=lambda mutation: mutation.__name__)
def test_a_broken_rule_of_moderation_is_seen_by_the_model(
    mutation: Callable[[Patch], None], monkeypatch: Patch
) -> None:
    mutation(monkeypatch)
    with pytest.raises((AssertionError, KeyError)):
        run_state_machine_as_test(SmallStateMachine, settings=BROKEN)


# ── The client ───────────────────────────────────────────────────────────────────────────────


def a_client_shows_what_it_has_seen(patch: Patch) -> None:
    original = ClientProtocol.receive_data

    def receive_data(self: ClientProtocol, data: bytes) -> Received:
        for view in self.rooms.values():
            view.seq = 0
        return original(self, data)

    patch.setattr(ClientProtocol, "receive_data", receive_data)


def a_client_shows_receipts_twice(patch: Patch) -> None:
    original = ClientProtocol.receive_data

    def receive_data(self: ClientProtocol, data: bytes) -> Received:
        _, reply = original(self, data)
        return Received([decode_notice(line) for line in data.splitlines()], reply)

    patch.setattr(ClientProtocol, "receive_data", receive_data)


def a_client_does_not_send_again(patch: Patch) -> None:
    original = ClientProtocol.hello

    def hello(self: ClientProtocol) -> bytes:
        kept = dict(self.unacknowledged)
        self.unacknowledged.clear()
        data = original(self)
        self.unacknowledged.update(kept)
        return data

    patch.setattr(ClientProtocol, "hello", hello)


def a_client_sends_more_than_the_server_remembers(patch: Patch) -> None:
    original = ClientProtocol.receive_data

    def receive_data(self: ClientProtocol, data: bytes) -> Received:
        return original(self, data.replace(b'"unacknowledged":', b'"unacknowledged":9'))

    patch.setattr(ClientProtocol, "receive_data", receive_data)


def a_client_takes_a_gap_for_nothing(patch: Patch) -> None:
    original = ClientProtocol.receive_data

    def receive_data(self: ClientProtocol, data: bytes) -> Received:
        told, reply = original(self, data)
        return Received([notice for notice in told if not isinstance(notice, Gap)], reply)

    patch.setattr(ClientProtocol, "receive_data", receive_data)


STATEFUL: list[tuple[Callable[[Patch], None], type[RuleBasedStateMachine]]] = [
    (the_author_hears_itself, StateMachine),
    (the_receipt_is_missing, StateMachine),
    (a_message_reaches_people_outside_the_room, StateMachine),
    (a_number_is_left_out, StateMachine),
    (a_rename_is_told_per_room, StateMachine),
    (an_empty_room_stays, StateMachine),
    (a_departed_nick_stays_taken, StateMachine),
    (who_joins_is_in_no_audience, StateMachine),
    (an_audience_keeps_who_left, StateMachine),
    (history_is_off_by_one, SmallStateMachine),
    (history_forgets_to_count_characters, SmallStateMachine),
    (a_snapshot_forgets_a_topic, StateMachine),
    (joining_again_shows_the_history_twice, StateMachine),
    (the_author_hears_itself, ProtocolMachine),
    (the_current_room_is_kept_after_leaving_it, ProtocolMachine),
    (the_room_is_told_in_one_dialect_only, ProtocolMachine),
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
    (an_older_connection_is_told_on, StateMachine),
    (an_audience_keeps_who_is_away, StateMachine),
    (an_inbox_has_no_bound, SmallStateMachine),
    (a_snapshot_forgets_who_is_away, StateMachine),
    (the_grace_never_ends, ProtocolMachine),
    (frames_in_a_row_are_joined_the_wrong_way_round, WebSocketMachine),
    (what_comes_behind_a_ping_is_lost, WebSocketMachine),
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
    with pytest.raises((AssertionError, LookupError)):
        run_state_machine_as_test(machine, settings=BROKEN)


# ── Pastes, floods, passwords ────────────────────────────────────────────────────────────────


def a_paste_is_not_charged(patch: Patch) -> None:
    original = Rate.charge_lines
    patch.setattr(
        Rate,
        "charge_lines",
        lambda self, connection, lines, now: original(self, connection, min(lines, 1), now),
    )


def of_a_paste_the_lines_that_may_not_go_are_lost(patch: Patch) -> None:
    original = LineReader.requests

    def requests(self: LineReader, limit: int) -> Any:
        items = original(self, limit)
        while self.waiting:
            original(self, limit)
        return items

    patch.setattr(LineReader, "requests", requests)


def first_line(data: bytes) -> bytes:
    return data[: data.find(b"\n") + 1]


def a_row_has_one_receipt(patch: Patch) -> None:
    change_commits(
        patch,
        lambda effects: [
            msgspec.structs.replace(
                effect, receipt=effect.receipt[: effect.receipt.find(b"\n") + 1]
            )
            if isinstance(effect, Broadcast) and effect.receipt
            else effect
            for effect in effects
        ],
    )


def any_password_is_right(patch: Patch) -> None:
    def admits(_self: Access, connection: Connection, _password: bytes, _now: int) -> bool:
        connection.is_admitted = True
        return True

    patch.setattr(Access, "admits", admits)


def a_throttle_forgets_the_address(patch: Patch) -> None:
    original = ServerProtocol.connection_made
    patch.setattr(
        ServerProtocol,
        "connection_made",
        lambda self, conn, **named: original(self, conn, **{**named, "peer": str(conn)}),
    )


BY_RULE: list[tuple[Callable[[Patch], None], Callable[[], None]]] = [
    (
        a_session_that_was_resumed_and_lost_again_expires,
        test_state.test_the_grace_of_an_earlier_connection_does_not_end_a_session,
    ),
    (
        what_was_proposed_twice_happens_twice,
        test_state.test_what_is_proposed_twice_by_a_connection_counts_once,
    ),
    (
        a_paste_is_not_charged,
        BROKEN(given(**test_paste.PASTES)(test_paste.check_pastes)),
    ),
    (
        of_a_paste_the_lines_that_may_not_go_are_lost,
        BROKEN(given(**test_paste.PASTES)(test_paste.check_pastes)),
    ),
    (
        of_a_paste_the_lines_that_may_not_go_are_lost,
        test_server.test_too_fast_is_delayed_and_never_lost_or_reordered,
    ),
    (
        a_row_has_one_receipt,
        test_paste.test_a_paste_is_told_in_one_broadcast_and_acknowledged_in_its_place,
    ),
    (
        any_password_is_right,
        lambda: test_server.test_a_wrong_password_is_refused_and_the_next_try_waits(plain=True),
    ),
    (
        a_throttle_forgets_the_address,
        test_server.test_the_throttle_counts_an_address_across_its_connections_up_to_half_a_minute,
    ),
    (a_new_nick_makes_somebody_else, test_moderation.test_another_nick_does_not_help),
    (
        a_table_of_restrictions_has_no_bound,
        test_moderation.test_a_room_holds_so_many_bans_and_those_that_are_over_make_place,
    ),
    (
        a_lifted_ban_holds_for_its_place,
        test_moderation.test_when_one_of_two_bans_from_a_place_is_lifted_the_other_holds,
    ),
    (
        an_invitation_is_not_asked_for,
        test_moderation.test_into_a_private_room_one_comes_by_invitation_only,
    ),
    (
        what_was_private_is_shown_when_a_room_is_opened,
        test_moderation.test_what_was_said_while_a_room_was_private_is_not_for_who_comes_when_it_is_open,
    ),
    (
        what_was_taken_back_stays,
        test_moderation.test_ones_own_last_message_is_taken_back_and_keeps_its_number,
    ),
    (
        what_is_answered_is_kept_with_the_answer,
        test_replies.test_what_was_taken_back_is_in_nothing_that_is_told_or_kept,
    ),
    (
        an_answer_shows_nothing,
        test_replies.test_what_is_answered_is_shown_to_who_was_away_as_it_is_then,
    ),
    (
        everything_is_ones_own,
        test_moderation.test_what_somebody_else_said_under_ones_nick_is_not_ones_own,
    ),
    (
        who_was_put_out_is_shown_what_was_found,
        test_archive.test_a_replay_that_is_not_taken_yet_ends_for_who_is_put_out,
    ),
    (
        who_is_put_out_while_away_is_not_told,
        test_moderation.test_a_session_that_was_kicked_while_away_is_told_so_and_sent_nothing_said_since,
    ),
    (
        all_of_one_place_are_restricted,
        test_moderation.test_who_is_in_already_may_speak_when_somebody_behind_the_same_address_is_muted,
    ),
    (
        who_is_no_owner_makes_owners,
        test_kept_rooms.test_only_an_owner_says_who_owns_a_room,
    ),
    (
        the_last_owner_can_be_removed,
        test_kept_rooms.test_the_last_owner_is_told_how_to_leave_a_room_to_others,
    ),
    (
        an_empty_kept_room_vanishes,
        test_kept_rooms.test_a_room_that_is_kept_stays_when_nobody_is_in_it_with_all_that_it_has,
    ),
    (
        a_snapshot_forgets_who_owns,
        test_kept_rooms.test_a_room_that_is_kept_stays_when_nobody_is_in_it_with_all_that_it_has,
    ),
    (a_secret_is_not_asked_for, test_kept_rooms.test_a_secret_lets_in_who_says_it),
    (
        a_ban_of_the_server_does_not_hold_by_session,
        test_server_wide.test_who_is_banned_does_not_come_by_its_session_from_elsewhere,
    ),
    (
        a_ban_of_the_server_does_not_hold_by_origin,
        test_server_wide.test_who_is_banned_is_turned_away_on_every_way_until_the_end,
    ),
    (
        a_ban_of_the_server_does_not_hold_for_claims,
        test_server_wide.test_an_account_that_is_banned_does_not_come_by_a_code_or_a_device,
    ),
    (
        an_admin_can_be_banned,
        lambda: test_server_wide.test_only_an_admin_may_and_not_to_an_admin(test_server_wide.BANS),
    ),
    (
        a_mute_of_the_server_does_not_hold_for_direct_messages,
        test_server_wide.test_who_is_muted_says_nothing_to_anybody_and_is_told_until_when,
    ),
    (
        acts_are_not_remembered,
        test_server_wide.test_what_was_done_is_remembered_with_who_did_it_and_when,
    ),
    (
        a_guest_talks_where_only_accounts_do,
        lambda: test_kept_rooms.test_people_without_an_account_talk_unless_only_accounts_may(0),
    ),
    (
        what_was_read_is_unread_again,
        test_kept_rooms.test_ones_other_devices_are_told_how_far_one_has_read_and_who_comes_is_too,
    ),
    (
        a_guest_that_comes_to_be_an_account_is_muted_no_more,
        test_server_wide.test_a_mute_goes_on_when_a_guest_becomes_an_account,
    ),
    (
        an_admin_moderates_nothing,
        test_server_wide.test_an_admin_moderates_each_room_that_it_is_in_and_is_kept_from_none,
    ),
    (a_client_shows_what_it_has_seen, test_client.test_what_was_seen_is_not_shown_again),
    (a_client_shows_receipts_twice, test_client.test_its_own_message_in_a_replay_is_its_receipt),
    (
        a_client_sends_more_than_the_server_remembers,
        test_client.test_no_more_is_unacknowledged_at_a_time_than_the_server_remembers,
    ),
]


@pytest.mark.parametrize(
    ("mutation", "test"),
    BY_RULE,
    ids=[f"{mutation.__name__}-{place}" for place, (mutation, _) in enumerate(BY_RULE)],
)
def test_a_broken_rule_is_seen_by_its_test(
    mutation: Callable[[Patch], None], test: Callable[[], None], monkeypatch: Patch
) -> None:
    mutation(monkeypatch)
    with pytest.raises(AssertionError):
        test()


# ── Bytes ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("char", ["\x9b", "\x1b", "\u202e"])
def test_a_sanitiser_that_forgets_a_character_is_seen(char: str, monkeypatch: Patch) -> None:
    from tcpchat_core.sanitize import sanitize

    def forgetful(text: str) -> str:
        return char.join(map(sanitize, text.split(char)))

    monkeypatch.setattr("tcpchat_core.server.propose.sanitize", forgetful)
    for request in (events.Say("lobby", f"{char}2J"), events.Tell(char, "hi")):
        with pytest.raises(AssertionError):
            checkers.check_nothing_forbidden_leaves([request], "")
    monkeypatch.setattr("tcpchat_core.client.protocol.sanitize", forgetful)
    escaped = f"\\u{ord(char):04x}".encode()
    with pytest.raises(AssertionError):
        checkers.check_client(b'{"type":"closing","reason":"%b"}\n' % escaped, [])


class Stuck(LineBuffer):
    """Does not come back into step after a line that was too long."""

    stuck = False

    def receive_data(self, data: bytes) -> list[bytes | TooLong]:
        """What was read, until a line was too long."""
        lines = super().receive_data(data)
        if self.stuck:
            return []
        self.stuck = any(isinstance(line, TooLong) for line in lines)
        return lines


class Boundless(LineBuffer):
    """Keeps a line of any length."""

    def __init__(self, _max_line_bytes: int) -> None:
        super().__init__(10**6)


@pytest.mark.parametrize("broken", [Stuck, Boundless])
def test_framing_that_is_broken_is_seen(broken: type[LineBuffer], monkeypatch: Patch) -> None:
    monkeypatch.setattr(checkers, "LineBuffer", broken)
    with pytest.raises(AssertionError):
        checkers.check_framing([b"x" * 20, b"ok"], [15, 21], 10)


def test_input_that_is_not_put_together_again_is_seen(monkeypatch: Patch) -> None:
    monkeypatch.setattr(LineBuffer, "receive_data", lambda _, data: data.split(b"\n"))
    with pytest.raises(AssertionError):
        checkers.check_any_split(b"/join lobby\n", [5])


def test_negotiation_that_is_forgotten_between_reads_is_seen(monkeypatch: Patch) -> None:
    monkeypatch.setattr(checkers, "strip_telnet", lambda data, _: (strip_telnet(data, b"")[0], b""))
    with pytest.raises(AssertionError):
        checkers.check_telnet([b"hi"], [b"\xff\xfb\x01"], [3])


def test_an_exception_out_of_the_core_is_seen(monkeypatch: Patch) -> None:
    original = PlainReader.decode
    monkeypatch.setattr(
        PlainReader, "decode", lambda self, line: original(self, line.decode().encode())
    )
    with pytest.raises(UnicodeDecodeError):
        checkers.check_arbitrary_bytes(b"\xc3(\n")


def test_a_line_that_takes_the_next_with_it_is_seen(monkeypatch: Patch) -> None:
    original = JsonLinesReader.decode
    seen: list[Any] = []

    def decode(self: JsonLinesReader, line: bytes) -> Any:
        swallowed = seen and isinstance(seen[-1], Rejected)
        seen.append(original(self, line))
        return None if swallowed else seen[-1]

    monkeypatch.setattr(JsonLinesReader, "decode", decode)
    with pytest.raises(AssertionError):
        checkers.check_good_lines_count(b"/bad")


def test_an_order_that_depends_on_hashes_is_seen() -> None:
    before = (
        "from tcpchat_core.state import Room\n"
        "Room.first_nicks = lambda self, limit: "
        "tuple({person.nick for person in self.members.values()})"
    )
    with pytest.raises(AssertionError):
        checkers.check_hash_seeds(1, 300, before=before)


def test_a_snapshot_that_leaves_something_out_is_seen(monkeypatch: Patch) -> None:
    log, state = random_log(1, 2000), ChatState(limits=LIMITS)
    with_topic = []  # the places at which there is something to forget
    for each in log:
        state.handle(each)
        with_topic += [each.seq] if any(room.topic_at for room in state.rooms()) else []
    a_snapshot_forgets_a_topic(monkeypatch)
    with pytest.raises(AssertionError):
        checkers.check_snapshot_and_rest(log, with_topic[-1], 0)
