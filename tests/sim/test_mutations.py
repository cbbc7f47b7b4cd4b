"""The simulator sees: each promise, broken on purpose, is caught by the checker that states it.

A breakage is another part in the place of one that ships (`Parts`), another row in the tables of
the state's rules, or a subclass in the place where a part takes its own parts from.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import replace
from itertools import islice
from pathlib import Path
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
    Effect,
    Enter,
    Entry,
    Leave,
    Notice,
    Pause,
    Propose,
    Received,
    Send,
    ServerProtocol,
    Stream,
    events,
    names,
)
from tcpchat_core.archive import Archived, Inquiry, Matches, Page, Place
from tcpchat_core.commands import parse_line
from tcpchat_core.dialects import Hangup, Item, Reply
from tcpchat_core.dialects import frames as frames_module
from tcpchat_core.dialects import websocket as websocket_module
from tcpchat_core.dialects.frames import FrameBuffer, FrameEvent, Ping, Text, pong_frame, text_frame
from tcpchat_core.dialects.http import Site
from tcpchat_core.dialects.irc import registration as registration_module
from tcpchat_core.dialects.irc import wire as wire_module
from tcpchat_core.dialects.irc.capabilities import Capabilities
from tcpchat_core.dialects.jsonl import JsonLines, decode_notice, encode_request
from tcpchat_core.dialects.plain import PlainReader, PlainText
from tcpchat_core.dialects.websocket import WebSocket, WebSocketReader
from tcpchat_core.names import Name
from tcpchat_core.notices import (
    Closing,
    Diverged,
    Gap,
    Limits,
    Rejected,
    Said,
    Sent,
    Told,
    Welcome,
)
from tcpchat_core.server import propose
from tcpchat_core.server import protocol as server_module
from tcpchat_core.server.answers import Answers
from tcpchat_core.server.connection import Connection, Waiting
from tcpchat_core.server.deliver import Delivery
from tcpchat_core.server.greeting import GREET_AFTER_MS, Greetings
from tcpchat_core.server.intake import Intake
from tcpchat_core.server.liveness import Liveness
from tcpchat_core.server.timers import Due, Grace, Graces, Timers
from tcpchat_core.state import (
    ARRIVALS,
    HANDLERS,
    Person,
    Room,
    accounts,
    moderation,
    people,
    rights,
)
from tcpchat_core.state.refusals import not_in_room
from tcpchat_core.state.restrictions import Restrictions
from tcpchat_core.state.tables import Tables
from tcpchat_net import node as node_module
from tcpchat_net.fanout import Fanout
from tcpchat_net.logs import OnEntries, OnFound, snapshots
from tcpchat_net.logs.archive import ArchiveKeeper, ArchiveStore
from tcpchat_net.logs.chores import Chore, Step
from tcpchat_net.logs.durable import DurableLog
from tcpchat_net.logs.records import entries_of
from tcpchat_net.logs.store import Batch, FullError
from tcpchat_net.logs.stream import Beat, Greeting, Head, Row, Taken
from tcpchat_net.logs.stream import begin as begin_module
from tcpchat_net.logs.stream.commands import Argument
from tcpchat_net.logs.stream.log import StreamLog
from tcpchat_net.logs.upkeep import Upkeep
from tests.core.browser import SITE, take_frames
from tests.sim.config import Config
from tests.sim.engine import ModelEngine, rows_of
from tests.sim.parts import Parts
from tests.sim.promises import CHECKERS, simulate
from tests.sim.server import EPOCH
from tests.sim.world import name_of

# A breakage has to show within so many simulations.
WITHIN = 120

Patch = pytest.MonkeyPatch
Mutation = Callable[[Patch], Parts]

# What is there when nothing is broken.
RULES: Mapping[Any, Any] = dict(HANDLERS)
COMING: Mapping[Any, Any] = dict(ARRIVALS)


# ── Of the state's rules ─────────────────────────────────────────────────────────────────────


def change_say(
    patch: Patch, change: Callable[[Tables, Person, Any, list[Action]], list[Action]]
) -> Parts:
    """Have something else come of what is said to a room, told what should."""

    def say(tables: Tables, person: Person, event: events.Say, at: int) -> list[Action]:
        return change(tables, person, event, RULES[events.Say](tables, person, event, at))

    patch.setitem(HANDLERS, events.Say, say)
    return Parts()


def change_resume(
    patch: Patch, change: Callable[[Tables, Entry, list[Action]], list[Action]]
) -> Parts:
    def resume(tables: Tables, entry: Entry, event: events.Resume) -> list[Action]:
        return change(tables, entry, COMING[events.Resume](tables, entry, event))

    patch.setitem(ARRIVALS, events.Resume, resume)
    return Parts()


def change_replay(
    patch: Patch, change: Callable[[Tables, list[Notice]], Iterable[Notice]]
) -> Parts:
    """Replay something else to who resumes a session."""

    def changed(tables: Tables, _: Entry, actions: list[Action]) -> list[Action]:
        return [
            Stream(action.conn, list(change(tables, list(action.pieces))))
            if isinstance(action, Stream)
            else action
            for action in actions
        ]

    return change_resume(patch, changed)


def ids_are_not_remembered(patch: Patch) -> Parts:
    def forget(_: Tables, person: Person, __: Any, actions: list[Action]) -> list[Action]:
        person.receipts = None
        return actions

    return change_say(patch, forget)


def the_replay_is_one_too_short(patch: Patch) -> Parts:
    def change(_: Tables, replay: list[Notice]) -> Iterator[Notice]:
        begun: set[str] = set()
        for notice in replay:
            if isinstance(notice, Said) and notice.room not in begun:
                begun.add(notice.room)
            else:
                yield notice

    return change_replay(patch, change)


def one_more(tables: Tables, replay: list[Notice]) -> Iterator[Notice]:
    begun: set[str] = set()
    for notice in replay:
        if isinstance(notice, Said) and notice.room not in begun:
            begun.add(notice.room)
            kept = next(room.history for room in tables.rooms.values() if room.name == notice.room)
            yield from (said for said in kept if said.seq == notice.seq - 1)
        yield notice


def the_replay_is_one_too_long(patch: Patch) -> Parts:
    return change_replay(patch, one_more)


def gaps_are_not_told(patch: Patch) -> Parts:
    return change_replay(patch, lambda _, replay: [it for it in replay if not isinstance(it, Gap)])


def a_gap_is_told_for_safety(patch: Patch) -> Parts:
    def change(_: Tables, replay: list[Notice]) -> Iterator[Notice]:
        begun: set[str] = set()
        for notice in replay:
            if isinstance(notice, Gap | Said) and notice.room not in begun:
                begun.add(notice.room)
                if isinstance(notice, Said):
                    yield Gap(notice.room, notice.seq)
            yield notice

    return change_replay(patch, change)


class LateState(ChatState):
    """Of what comes of a resume, does one kind of action behind the next entry."""

    late: type[Any] = Close
    waiting: Sequence[Action] = ()

    def handle(self, entry: Entry) -> list[Action]:
        waiting, self.waiting = self.waiting, ()
        actions = super().handle(entry)
        if isinstance(entry.event, events.Resume):
            self.waiting = [action for action in actions if isinstance(action, self.late)]
        return [*(action for action in actions if action not in self.waiting), *waiting]


def a_resumed_session_is_subscribed_after_its_replay(_: Patch) -> Parts:
    class Late(LateState):
        late = Enter

    return Parts(state=Late)


def a_resumed_session_is_subscribed_before_its_replay(_: Patch) -> Parts:
    class Late(LateState):
        late = Stream

    return Parts(state=Late)


def change_messages(patch: Patch, change: Callable[[Tables, Person, Any], list[Action]]) -> Parts:
    def changed(tables: Tables, person: Person, _: Any, actions: list[Action]) -> list[Action]:
        told: list[Action] = []
        for action in actions:
            told += change(tables, person, action) if isinstance(action, Broadcast) else [action]
        return told

    return change_say(patch, changed)


def the_author_is_known_by_its_first_connection(patch: Patch) -> Parts:
    return change_messages(
        patch, lambda _, person, action: [msgspec.structs.replace(action, author=person.id)]
    )


def messages_reach_people_outside_the_room(patch: Patch) -> Parts:
    def change(tables: Tables, _: Person, action: Any) -> list[Action]:
        others = tuple(
            room.audience for room in tables.rooms.values() if room.audience is not action.audience
        )
        return [msgspec.structs.replace(action, also=others)]

    return change_messages(patch, change)


def receipts_come_with_the_next_message(patch: Patch) -> Parts:
    late: list[Action] = []

    def change(_: Tables, person: Person, action: Any) -> list[Action]:
        before = [*late]
        late[:] = [Send(person.conn, action.receipt)]
        return [msgspec.structs.replace(action, receipt=None), *before]

    return change_messages(patch, change)


def receipts_are_given_for_what_was_refused(patch: Patch) -> Parts:
    def change(_: Tables, person: Person, event: Any, actions: list[Action]) -> list[Action]:
        if event.key not in person.rooms and event.id is not None:
            return [Send(person.conn, Sent(0, event.id, event.room, None, 1))]
        return actions

    return change_say(patch, change)


def all_rooms_share_one_history(patch: Patch) -> Parts:
    shared: dict[int, deque[Said]] = {}

    def join(tables: Tables, person: Person, event: events.Join, at: int) -> list[Action]:
        if event.key not in tables.rooms and len(person.rooms) < tables.limits.rooms_per_person:
            made: list[Action] = RULES[events.Join](tables, person, event, at)
            if room := tables.rooms.get(event.key):
                room.history = shared.setdefault(id(tables), deque())
            return made
        joined: list[Action] = RULES[events.Join](tables, person, event, at)
        return joined

    patch.setitem(HANDLERS, events.Join, join)
    return Parts()


def what_is_answered_is_shown_as_the_next(patch: Patch) -> Parts:
    quoting = Room.quoting

    def wrong(room: Room, said: Said) -> Said:
        answered = None if said.re is None else said.re + 1
        shown = quoting(room, msgspec.structs.replace(said, re=answered))
        return msgspec.structs.replace(said, quote=shown.quote)

    patch.setattr(Room, "quoting", wrong)
    return Parts()


def the_history_has_no_bound(patch: Patch) -> Parts:
    def say(tables: Tables, person: Person, event: events.Say, at: int) -> list[Action]:
        limits = tables.limits
        tables.limits = msgspec.structs.replace(limits, history_messages=10**9, history_chars=10**9)
        actions: list[Action] = RULES[events.Say](tables, person, event, at)
        tables.limits = limits
        return actions

    patch.setitem(HANDLERS, events.Say, say)
    return Parts()


def change_expire(patch: Patch, change: Callable[[Tables, Person], None]) -> Parts:
    def expire(tables: Tables, entry: Entry, event: events.Expire) -> list[Action]:
        person = tables.away.get(event.session)
        actions: list[Action] = COMING[events.Expire](tables, entry, event)
        if person is not None and actions:
            change(tables, person)
        return actions

    patch.setitem(ARRIVALS, events.Expire, expire)
    return Parts()


def an_expired_session_is_not_forgotten(patch: Patch) -> Parts:
    def keep(tables: Tables, person: Person) -> None:
        tables.sessions[person.session] = person

    return change_expire(patch, keep)


def a_ghost_holds_its_nick(patch: Patch) -> Parts:
    def keep(tables: Tables, person: Person) -> None:
        tables.nicks[person.key] = person

    return change_expire(patch, keep)


def the_older_connection_stays_open(patch: Patch) -> Parts:
    return change_resume(
        patch, lambda _, __, actions: [it for it in actions if not isinstance(it, Close)]
    )


def direct_messages_are_not_kept_for_who_is_away(patch: Patch) -> Parts:
    def resume(tables: Tables, entry: Entry, event: events.Resume) -> list[Action]:
        person = tables.sessions.get(event.session)
        if person is not None and person.inbox:
            event = msgspec.structs.replace(event, told=person.told)
        actions: list[Action] = COMING[events.Resume](tables, entry, event)
        return actions

    patch.setitem(ARRIVALS, events.Resume, resume)
    return Parts()


def the_inbox_has_no_bound(patch: Patch) -> Parts:
    def tell(tables: Tables, person: Person, event: events.Tell, at: int) -> list[Action]:
        limits = tables.limits
        tables.limits = msgspec.structs.replace(limits, inbox=10**9, inbox_chars=10**9)
        actions: list[Action] = RULES[events.Tell](tables, person, event, at)
        tables.limits = limits
        return actions

    patch.setitem(HANDLERS, events.Tell, tell)
    return Parts()


def who_quits_is_told_goodbye_twice(patch: Patch) -> Parts:
    def leave(tables: Tables, person: Person, event: events.Quit, at: int) -> list[Action]:
        actions: list[Action] = RULES[events.Quit](tables, person, event, at)
        *before, close = actions
        return [*before, before[-1], close]

    patch.setitem(HANDLERS, events.Quit, leave)
    return Parts()


# ── Of the log, and of who reads it ──────────────────────────────────────────────────────────


class Recounting(ServerProtocol):
    """Takes every delivery for a new entry, and every event of a connection for a new one."""

    def commit(self, entries: Iterable[Entry], *, now: int) -> list[Effect]:
        first = self.state.seq + 1
        again = [
            msgspec.structs.replace(entry, seq=seq) for seq, entry in enumerate(entries, first)
        ]
        return super().commit(again, now=now)


class Uncounted(ChatState):
    """Does not look at the numbers of a connection's events."""

    def handle(self, entry: Entry) -> list[Action]:
        return super().handle(msgspec.structs.replace(entry, number=0))


def an_entry_that_comes_again_happens_again(_: Patch) -> Parts:
    return Parts(protocol=Recounting, state=Uncounted)


def an_entry_that_comes_again_is_counted_again(patch: Patch) -> Parts:
    """Of the two counts of a connection, that of what came back goes too far."""

    class Again(ServerProtocol):
        def commit(self, entries: Iterable[Entry], *, now: int) -> list[Effect]:
            entries = list(entries)
            seen = [entry for entry in entries if entry.seq <= self.state.seq]
            effects = super().commit(entries, now=now)
            for entry in seen:
                if (connection := made.get(entry.conn)) is not None and entry.number:
                    connection.committed += 1
            return effects

    made: dict[int, Connection] = {}

    class Known(Connection):
        __slots__ = ()

        def __init__(self, conn: int, *args: Any, **kwargs: Any) -> None:
            super().__init__(conn, *args, **kwargs)
            made[conn] = self

    patch.setattr(server_module, "Connection", Known)
    return Parts(protocol=Again)


def a_late_batch_is_delivered_behind_the_next(_: Patch) -> Parts:
    def between(on_entries: OnEntries) -> OnEntries:
        held: list[Sequence[Entry]] = []
        deliveries = 0

        def deliver(entries: Sequence[Entry]) -> None:
            nonlocal deliveries
            deliveries += 1
            if deliveries % 20 == 0:
                held.append(entries)
                return
            on_entries(entries)
            while held:
                on_entries(held.pop())

        return deliver

    return Parts(between=between)


def a_batch_is_applied_in_the_order_of_its_authors(_: Patch) -> Parts:
    def between(on_entries: OnEntries) -> OnEntries:
        return lambda entries: on_entries(
            [
                msgspec.structs.replace(moved, seq=entry.seq)
                for entry, moved in zip(
                    entries, sorted(entries, key=lambda it: -it.conn), strict=True
                )
            ]
        )

    return Parts(between=between)


def a_snapshot_forgets_receipts(_: Patch) -> Parts:
    class Forgetful(ChatState):
        def snapshot(self) -> bytes:
            whole = msgspec.json.decode(super().snapshot())
            for person in whole["people"]:
                person[-1] = []
            return msgspec.json.encode(whole)

        @classmethod
        def restore(cls, data: bytes) -> ChatState:
            return ChatState.restore(data)

    return Parts(state=Forgetful)


def the_graces_of_who_was_away_are_not_armed_after_a_restart(_: Patch) -> Parts:
    class Nobody(ChatState):
        def all_away(self) -> Iterable[Person]:
            return ()

    return Parts(state=Nobody)


# ── Of the server's protocol ─────────────────────────────────────────────────────────────────


def a_resumed_session_expires(patch: Patch) -> Parts:
    class Stubborn(Graces):
        def __init__(self, _: Callable[[str, int], bool]) -> None:
            super().__init__(lambda *_: True)

        def end(self, session: str) -> None:
            """It goes on."""

    def expire(tables: Tables, entry: Entry, event: events.Expire) -> list[Action]:
        person = tables.sessions.get(event.session)
        if person is not None and not person.away:
            RULES[events.Disconnect](tables, person, events.Disconnect(event.reason), entry.at)
            entry = msgspec.structs.replace(entry, conn=person.conn)
        actions: list[Action] = COMING[events.Expire](tables, entry, event)
        return actions

    patch.setattr(server_module, "Graces", Stubborn)
    patch.setitem(ARRIVALS, events.Expire, expire)
    return Parts()


def the_grace_is_too_short(_: Patch) -> Parts:
    class Short(ServerProtocol):
        def __init__(self, state: ChatState, *, limits: Any, **kwargs: Any) -> None:
            half = msgspec.structs.replace(limits, grace_ms=limits.grace_ms // 2)
            super().__init__(state, limits=half, **kwargs)

    return Parts(protocol=Short)


def the_grace_never_ends(patch: Patch) -> Parts:
    class Endless(Graces):
        def begin(self, session: str, grace: Grace, length_ms: int) -> None:
            """It never does."""

    patch.setattr(server_module, "Graces", Endless)
    return Parts()


def what_comes_too_fast_is_thrown_away(patch: Patch) -> Parts:
    class Careless(Intake):
        def proceed(
            self,
            connection: Connection,
            now: int,
            effects: list[Effect],
            items: Sequence[Item] = (),
        ) -> None:
            super().proceed(connection, now, effects, items)
            if connection.reader is not None and connection.is_paused:
                connection.reader.requests(10**9)

    patch.setattr(server_module, "Intake", Careless)
    return Parts()


def who_has_to_wait_is_taken_for_silent(patch: Patch) -> Parts:
    class Unfair(Liveness):
        def check(self, connection: Connection, now: int, effects: list[Effect]) -> None:
            paused, connection.is_paused = connection.is_paused, False
            super().check(connection, now, effects)
            connection.is_paused = paused

    patch.setattr(server_module, "Liveness", Unfair)
    return Parts()


def timers_are_left_behind(patch: Patch) -> Parts:
    class Littering(Timers):
        def set(self, at: int, conn: int, due: Due) -> None:
            super().set(at, conn, due)
            super().set(1 << 60, conn, due)

    patch.setattr(server_module, "Timers", Littering)
    return Parts()


def reading_is_never_paused(_: Patch) -> Parts:
    class Greedy(ServerProtocol):
        def receive_data(self, conn: int, data: bytes, *, now: int) -> list[Effect]:
            effects = super().receive_data(conn, data, now=now)
            return [effect for effect in effects if not isinstance(effect, Pause)]

    return Parts(protocol=Greedy)


def who_has_another_flavour_stays_in_its_old_lane(patch: Patch) -> Parts:
    class Lazy(Delivery):
        def refresh_flavour(self, connection: Connection, effects: list[Effect]) -> None:
            if connection.reader is not None and not connection.rooms:
                super().refresh_flavour(connection, effects)

    patch.setattr(server_module, "Delivery", Lazy)
    return Parts()


def answers_name_who_asked_first(patch: Patch) -> Parts:
    """As it would be if an answer were kept for the next one who asks the same."""
    kept: dict[type[Notice], bytes] = {}

    class Naming(Delivery):
        def tell(
            self,
            connection: Connection,
            notice: Notice,
            request: object,
            effects: list[Effect],
            how: object = None,
        ) -> None:
            told: list[Effect] = []
            super().tell(connection, notice, request, told, how)
            for effect in told:
                if isinstance(effect, Send) and b" mark" in effect.payload:
                    frame = effect.payload.partition(b":")[2]
                    mark, nick, rest = frame.split(b" ", 2)
                    frame = b" ".join((mark, kept.setdefault(type(notice), nick), rest))
                    effects.append(Send(effect.conn, b"%d:%s" % (len(frame) - 1, frame)))
                else:
                    effects.append(effect)

    patch.setattr(server_module, "Delivery", Naming)
    return Parts()


def the_plain_dialect_trusts_its_bytes(_: Patch) -> Parts:
    class Trusting(PlainReader):
        __slots__ = ()

        def decode(self, line: bytes) -> Item | None:
            return parse_line(line.decode())

    class Dialect(PlainText):
        def reader(self) -> PlainReader:
            return Trusting()

    return Parts(dialects=(WebSocket(SITE), JsonLines(), Dialect()))


# ── Of IRC ───────────────────────────────────────────────────────────────────────────────────


def what_does_not_fit_into_a_line_of_irc_is_not_said(patch: Patch) -> Parts:
    pieces = wire_module.pieces
    patch.setattr(wire_module, "pieces", lambda text, size: pieces(text, size)[:1])
    return Parts()


def what_an_irc_client_takes_it_takes_instead_of_what_it_took(patch: Patch) -> Parts:
    class Forgetful(Capabilities):
        __slots__ = ()

        def _request(self, asked: str) -> bool:
            self._enabled = frozenset()
            return super()._request(asked)

    patch.setattr(registration_module, "Capabilities", Forgetful)
    return Parts()


# ── Of browsers ──────────────────────────────────────────────────────────────────────────────


def a_longer_frame_says_that_it_is_shorter(patch: Patch) -> Parts:
    def shorter(data: bytes) -> bytes:
        framed = bytearray(text_frame(data))
        if framed[1] == 126:
            framed[2:4] = (len(data) - 1).to_bytes(2, "big")
        return bytes(framed)

    patch.setattr(websocket_module, "text_frame", shorter)
    return Parts()


def what_a_browser_sends_is_taken_as_it_is_masked(patch: Patch) -> Parts:
    patch.setattr(frames_module, "_unmasked", lambda _, data: bytes(data))
    return Parts()


def the_fragments_between_the_first_and_the_last_are_lost(patch: Patch) -> Parts:
    class Lossy(FrameBuffer):
        __slots__ = ()

        def _take(
            self, opcode: int, data: bytes, events: list[FrameEvent], *, is_final: bool
        ) -> None:
            if opcode != 0x0 or is_final:
                super()._take(opcode, data, events, is_final=is_final)

    patch.setattr(websocket_module, "FrameBuffer", Lossy)
    return Parts()


def change_items(patch: Patch, change: Callable[[Item], Item]) -> Parts:
    """Have something else come of what a browser sends."""

    class Changed(WebSocketReader):
        __slots__ = ()

        def requests(self, limit: int) -> list[Item]:
            return [change(item) for item in super().requests(limit)]

    patch.setattr(websocket_module, "WebSocketReader", Changed)
    return Parts()


def a_close_frame_is_not_answered(patch: Patch) -> Parts:
    return change_items(
        patch, lambda item: item._replace(last_words=b"") if isinstance(item, Hangup) else item
    )


def whatever_a_page_closes_with_it_is_closed(patch: Patch) -> Parts:
    return change_items(
        patch,
        lambda item: item._replace(gone="closed the page") if isinstance(item, Hangup) else item,
    )


def a_page_that_is_closed_is_a_connection_that_is_lost(patch: Patch) -> Parts:
    return change_items(
        patch, lambda item: item._replace(gone="") if isinstance(item, Hangup) else item
    )


def a_closed_page_is_waited_for_as_anybody(patch: Patch) -> Parts:
    patch.setattr(server_module, "PAGE_GRACE_MS", 1 << 40)
    return Parts()


def a_page_has_half_the_time_to_be_loaded_anew(patch: Patch) -> Parts:
    patch.setattr(server_module, "PAGE_GRACE_MS", 2_500)
    return Parts()


def the_last_words_do_not_wait(patch: Patch) -> Parts:
    give = Answers.give

    def at_once(
        self: Answers,
        connection: Connection,
        answer: Any,
        now: int,
        effects: list[Effect],
        *how: object,
    ) -> None:
        if isinstance(answer, Closing) or (
            isinstance(answer, Reply) and answer.data.startswith(b"\x88")
        ):
            self._tell(connection, Waiting(0, answer), now, effects)
        else:
            give(self, connection, answer, now, effects, *how)

    patch.setattr(Answers, "give", at_once)
    return Parts()


def frames_in_a_row_are_joined_the_wrong_way_round(patch: Patch) -> Parts:
    class Reversed(Delivery):
        def flush(self, effects: list[Effect]) -> None:
            told: list[Effect] = []
            super().flush(told)
            effects += [
                msgspec.structs.replace(effect, payload=turned(effect.payload))
                if isinstance(effect, Broadcast) and effect.payload.startswith(b"\x81")
                else effect
                for effect in told
            ]

    def turned(payload: bytes) -> bytes:
        return b"".join(text_frame(data) for _, data in reversed(take_frames(bytearray(payload))))

    patch.setattr(server_module, "Delivery", Reversed)
    return Parts()


def who_gets_a_file_is_in_the_chat(patch: Patch) -> Parts:
    class Open(WebSocketReader):
        __slots__ = ()

        def begin(self, *, password_needed: bool) -> list[Item]:
            return [events.Open(), *super().begin(password_needed=password_needed)]

    patch.setattr(websocket_module, "WebSocketReader", Open)
    return Parts()


def a_connection_opened_ahead_is_greeted_as_a_person(patch: Patch) -> Parts:
    patch.setattr(Greetings, "due_at", lambda _, connection: connection.made_at + GREET_AFTER_MS)
    return Parts()


def any_host_is_one_of_ours(patch: Patch) -> Parts:
    patch.setattr(Site, "is_called", lambda *_: True)
    return Parts()


def reserved_bits_mean_nothing(patch: Patch) -> Parts:
    class Lenient(FrameBuffer):
        __slots__ = ()

        def _check(self, first: int, second: int) -> None:
            super()._check(first & 0x8F, second)

        def _take(
            self, opcode: int, data: bytes, events: list[FrameEvent], *, is_final: bool
        ) -> None:
            if opcode == 0x1 and is_final:  # but for those bits it would be a whole message
                events.append(Text(data))
            else:
                super()._take(opcode, data, events, is_final=is_final)

    patch.setattr(websocket_module, "FrameBuffer", Lenient)
    return Parts()


def fragments_have_no_bound(patch: Patch) -> Parts:
    class Boundless(FrameBuffer):
        __slots__ = ()

        def __init__(self) -> None:
            super().__init__(10**9)

    patch.setattr(websocket_module, "FrameBuffer", Boundless)
    return Parts()


def pings_are_answered_from_the_last_to_the_first(patch: Patch) -> Parts:
    class Turned(FrameBuffer):
        __slots__ = ()

        def receive_data(self, data: bytes) -> list[FrameEvent]:
            events = super().receive_data(data)
            pings = [event for event in events if isinstance(event, Ping)]
            return [pings.pop() if isinstance(event, Ping) else event for event in events]

    patch.setattr(websocket_module, "FrameBuffer", Turned)
    return Parts()


def a_ping_is_answered_by_what_it_does_not_ask(patch: Patch) -> Parts:
    patch.setattr(websocket_module, "pong_frame", lambda data: pong_frame(data[:-1]))
    return Parts()


# ── Of the client's protocol ─────────────────────────────────────────────────────────────────


class WholeLines(ClientProtocol):
    """Takes in whole lines; `line` may change one, and what came of it."""

    rest = b""

    def hello(self, *args: Any) -> bytes:
        self.rest = b""
        return super().hello(*args)

    def receive_data(self, data: bytes) -> Received:
        *lines, self.rest = (self.rest + data).split(b"\n")
        told = [self.line(line + b"\n") for line in lines]
        return Received(
            [notice for each in told for notice in each.notices],
            b"".join(each.reply for each in told),
        )

    def line(self, line: bytes) -> Received:
        return super().receive_data(line)


def show_all(types: tuple[type, ...]) -> type[ClientProtocol]:
    class Client(WholeLines):
        def line(self, line: bytes) -> Received:
            told = super().line(line)
            notice = decode_notice(line)
            return Received([notice], told.reply) if isinstance(notice, types) else told

    return Client


def the_client_shows_what_it_has_seen(patch: Patch) -> Parts:
    # A server that keeps its promise never puts this to the test.
    return replace(change_replay(patch, one_more), client=show_all((Said, Told)))


def the_client_shows_a_receipt_each_time(_: Patch) -> Parts:
    return Parts(client=show_all((Sent,)))


def the_client_does_not_send_again(_: Patch) -> Parts:
    class Client(WholeLines):
        old: frozenset[str] = frozenset()

        def hello(self, *args: Any) -> bytes:
            self.old = frozenset(self.unacknowledged)
            return super().hello(*args)

        def receive_data(self, data: bytes) -> Received:
            told = super().receive_data(data)
            again = [
                encode_request(self.unacknowledged[id])
                for id in self.old & set(self.unacknowledged)
            ]
            lines = [line for line in told.reply.splitlines(keepends=True) if line not in again]
            return Received(told.notices, b"".join(lines))

    return Parts(client=Client)


def the_client_sends_more_than_is_remembered(_: Patch) -> Parts:
    class Client(WholeLines):
        def line(self, line: bytes) -> Received:
            notice = decode_notice(line)
            if isinstance(notice, Welcome) and isinstance(notice.limits, Limits):
                limits = msgspec.structs.replace(notice.limits, unacknowledged=1_000)
                notice = msgspec.structs.replace(notice, limits=limits)
                line = msgspec.json.encode(notice) + b"\n"
            return super().line(line)

    return Parts(client=Client)


def the_client_knows_its_own_messages_by_nick(_: Patch) -> Parts:
    class Client(ClientProtocol):
        def receive_data(self, data: bytes) -> Received:
            told = super().receive_data(data)
            shown = [
                notice
                for notice in told.notices
                if not (isinstance(notice, Said) and notice.nick == self.nick)
            ]
            return Received(shown, told.reply)

    return Parts(client=Client)


# ── Of the node and its fan-out ──────────────────────────────────────────────────────────────


def outboxes_have_no_bound(patch: Patch) -> Parts:
    class Endless(Fanout):
        def __init__(self, wake: Callable[[], None], **kwargs: Any) -> None:
            super().__init__(wake, **{**kwargs, "max_backlog_bytes": 10**9})

    patch.setattr(node_module, "Fanout", Endless)
    return Parts()


def everybody_waits_for_the_slowest(patch: Patch) -> Parts:
    class Waiting(Fanout):
        def flush(self, now: int) -> None:
            if not self.backlog_bytes:
                super().flush(now)

        def check_stalls(self, now: int) -> None:
            super().check_stalls(now)
            self.flush(now)

    patch.setattr(node_module, "Fanout", Waiting)
    return Parts()


def who_leaves_a_room_is_still_sent_to(patch: Patch) -> Parts:
    class Keeping(Fanout):
        def leave(self, audience: Audience, conn: int) -> None:
            """It is not told that it is over."""

    patch.setattr(node_module, "Fanout", Keeping)
    return Parts()


# ── Of the log that is kept ──────────────────────────────────────────────────────────────────


def entries_are_delivered_before_they_are_written(_: Patch) -> Parts:
    class Eager(DurableLog):
        def _put(self, row: Batch, batch: list[Propose]) -> None:
            assert self._on_entries is not None
            self._on_entries(entries_of(batch, row.first, row.at))
            super()._put(row, batch)

    return Parts(durable=Eager)


def a_full_disk_loses_a_batch(_: Patch) -> Parts:
    class Careless(DurableLog):
        def _written(self, row: Batch, batch: list[Propose], error: BaseException | None) -> None:
            if isinstance(error, FullError):
                self.waiting -= row.last - row.first + 1
                self._is_writing = False
            else:
                super()._written(row, batch, error)

    return Parts(durable=Careless)


def a_restart_begins_another_epoch(patch: Patch) -> Parts:
    read = snapshots.read

    def changed(path: Path) -> ChatState | None:
        state = read(path)
        if state is not None:
            state._tables.epoch = "another"
        return state

    patch.setattr(snapshots, "read", changed)
    return Parts()


def a_restart_forgets_that_its_earlier_life_is_over(patch: Patch) -> Parts:
    patch.setattr(node_module, "lapses", lambda *_: [])
    return Parts()


def the_graces_of_who_is_away_on_the_disk_are_not_armed(_: Patch) -> Parts:
    class Forgetful(ServerProtocol):
        def _begin_missing_graces(self, _now: int) -> None:
            """Whoever is away may stay so."""

    return Parts(protocol=Forgetful)


def the_archive_misses_what_comes_while_it_writes(_: Patch) -> Parts:
    class Deaf(ArchiveKeeper):
        def keep(self, archived: Archived) -> None:
            if not self._is_busy:
                super().keep(archived)

    return Parts(keeper=Deaf)


def the_archive_tells_of_a_rooms_earlier_lives(_: Patch) -> Parts:
    class Talkative(ArchiveKeeper):
        def look(self, inquiry: Inquiry, found: OnFound) -> None:
            if isinstance(inquiry, Page):
                place = Place(inquiry.place.key, 0)
                inquiry = msgspec.structs.replace(inquiry, place=place, after=0)
            super().look(inquiry, found)

    return Parts(keeper=Talkative)


def a_search_finds_what_was_said_where_one_is_not(_: Patch) -> Parts:
    class Talkative(ArchiveKeeper):
        def look(self, inquiry: Inquiry, found: OnFound) -> None:
            if isinstance(inquiry, Matches):
                places = [Place(f"room{number}", 0) for number in range(4)]
                inquiry = msgspec.structs.replace(inquiry, places=tuple(places))
            super().look(inquiry, found)

    return Parts(keeper=Talkative)


def what_waits_for_the_archive_is_not_found(_: Patch) -> Parts:
    class Hasty(ArchiveKeeper):
        def look(self, inquiry: Inquiry, found: OnFound) -> None:
            waiting, self._waiting = self._waiting, []
            super().look(inquiry, found)
            self._waiting = waiting

    return Parts(keeper=Hasty)


def an_archive_that_was_behind_is_not_filled(_: Patch) -> Parts:
    class Idle(Upkeep):
        def _fill_archive(self) -> Chore:
            self._archive.catching_up()
            self._archive.caught_up()
            yield 0

    return Parts(upkeep=Idle)


def the_log_is_cut_before_there_is_a_snapshot(_: Patch) -> Parts:
    class Hasty(Upkeep):
        def _forget(self, before: int) -> Chore:
            yield Step(self._host, lambda: self._store.cut(self._log.seq))
            yield from super()._forget(before)

    return Parts(upkeep=Hasty)


def the_log_forgets_what_is_not_past_its_time(_: Patch) -> Parts:
    class Forgetful(Upkeep):
        def _move_base(self, before: int) -> Chore:
            yield from super()._move_base(before + 3_000)

    return Parts(upkeep=Forgetful)


def what_is_past_its_time_stays_in_the_archive(_: Patch) -> Parts:
    class Hoarder(Upkeep):
        def _trim_archive(self, _before: int) -> Chore:
            yield 0

    return Parts(upkeep=Hoarder)


def what_is_past_its_time_stays_in_the_older_snapshot(_: Patch) -> Parts:
    class Hoarder(Upkeep):
        def _snapshot(self, upto: int, _forget: int = 0) -> Chore:
            yield from super()._snapshot(upto, 0)

    return Parts(upkeep=Hoarder)


# ── Of the log that nodes share: in its engine, and in those who read it ─────────────────────


def a_boot_that_is_over_is_not_fenced(_: Patch) -> Parts:
    class Unfenced(ModelEngine):
        def propose(self, run_id: str, *words: Argument) -> Any:
            held = self.data.lease[int(words[0])]
            kept, held.boot, held.until = copy(held), int(words[1]), held.until or 1
            reply = super().propose(run_id, *words)
            held.boot, held.until = kept.boot, kept.until
            return reply

    return Parts(engine=Unfenced)


def a_batch_that_comes_again_is_taken_in_again(_: Patch) -> Parts:
    class Counting(ModelEngine):
        def propose(self, run_id: str, *words: Argument) -> Any:
            held = self.data.lease[int(words[0])]
            known = held.number or 0
            held.number = min(known, int(words[2]) - 1)
            reply = super().propose(run_id, *words)
            held.number = max(known, held.number)
            return reply

    return Parts(engine=Counting)


def a_new_engine_takes_batches_in_before_it_is_repaired(_: Patch) -> Parts:
    class Careless(ModelEngine):
        def refusal(self, run_id: str) -> Any:
            if self.data.meta is not None:
                self.data.meta.engine = run_id
            return super().refusal(run_id)

    class Trusting(StreamLog):
        def _greeted(self, greeting: Greeting) -> None:
            if greeting.head is not None:
                greeting = greeting._replace(head=greeting.head._replace(engine=greeting.run_id))
            super()._greeted(greeting)

    return Parts(engine=Careless, stream=Trusting)


def a_new_engine_does_not_wait_for_all_who_can_repair_it(_: Patch) -> Parts:
    class Hasty(ModelEngine):
        def waits(self, _run_id: str) -> bool:
            return False

    return Parts(engine=Hasty)


def two_nodes_repair_at_once(_: Patch) -> Parts:
    class Unordered(ModelEngine):
        def repair(self, run_id: str, seq: Argument, chain: Argument, *rows: Argument) -> Any:
            if (no := self.refusal(run_id)) and no[0] == "new-engine":
                for row in rows_of(rows):
                    self.put_back(row)
                seq, chain = self._log.seq, self._log.chain
                rows = ()
            return super().repair(run_id, seq, chain, *rows)

        def put(self, row: Row) -> None:
            self.data.log.append(row)
            self._log.seq, self._log.at, self._log.chain = row.last, row.at, row.chain

    return Parts(engine=Unordered)


def a_standstill_of_the_engine_counts_for_leases(_: Patch) -> Parts:
    class Restless(ModelEngine):
        def tick(self) -> int:
            meta, wall = self._log, self.clock()
            meta.clock += max(0, wall - meta.wall)
            meta.wall = wall
            return meta.clock

    return Parts(engine=Restless)


def nobody_is_given_time_to_come_back(_: Patch) -> Parts:
    class Impatient(ModelEngine):
        def tick(self) -> int:
            clock = super().tick()
            self._log.quiet = 0
            return clock

    return Parts(engine=Impatient)


def a_log_is_read_on_without_a_look_at_its_chain(patch: Patch) -> Parts:
    patch.setattr(Row, "follows", lambda *_: True)
    return Parts()


def a_node_commits_what_it_has_not_read(_: Patch) -> Parts:
    class Eager(StreamLog):
        def _proposed(self, number: int, taken: Taken) -> None:
            own = [batch for batch in self._sent if batch.number == number]
            if own and taken is Taken.IN:
                assert self._on_entries is not None
                self._on_entries(entries_of(own[0].proposals, self.seq + 1, EPOCH))
            super()._proposed(number, taken)

    return Parts(stream=Eager)


def what_was_proposed_before_a_connection_was_lost_is_not_proposed_again(_: Patch) -> Parts:
    class Forgetful(StreamLog):
        def _up(self, run_id: str, term: int, beat: Beat) -> None:
            own = self.member.node
            leases = [
                lease._replace(number=self._number) if lease.node == own else lease
                for lease in beat.leases
            ]
            super()._up(run_id, term, beat._replace(leases=tuple(leases)))

    return Parts(stream=Forgetful)


def nobody_says_that_a_dead_node_is_over(_: Patch) -> Parts:
    class Silent(StreamLog):
        def _lapse_one(self, node: int, boot: int) -> None:
            """Somebody else may."""

    return Parts(stream=Silent)


# ── Of what is lost with an engine ───────────────────────────────────────────────────────────


def a_log_that_has_lost_its_end_does_not_say_so(_: Patch) -> Parts:
    class Silent(ModelEngine):
        def claim(self, run_id: str, *words: Argument) -> Any:
            log, meta = self.data.log.copy(), copy(self._log)
            reply = super().claim(run_id, *words)
            if len(self.data.log) > len(log):
                self.data.log = log
                self._log.seq, self._log.at, self._log.chain = meta.seq, meta.at, meta.chain
            return reply

    return Parts(engine=Silent)


def a_node_reads_on_in_the_log_that_went_on_without_it(patch: Patch) -> Parts:
    patch.setattr(Row, "follows", lambda *_: True)

    class Trusting(StreamLog):
        def _take_up(self, head: Head, run_id: str) -> None:
            super()._take_up(head._replace(seq=max(head.seq, self.seq + 1)), run_id)

    return Parts(stream=Trusting)


def what_was_seen_of_the_lost_end_is_not_cut_back(patch: Patch) -> Parts:
    def resume(tables: Tables, entry: Entry, event: events.Resume) -> list[Action]:
        event = msgspec.structs.replace(event, epoch=tables.epoch)
        actions: list[Action] = COMING[events.Resume](tables, entry, event)
        return actions

    patch.setitem(ARRIVALS, events.Resume, resume)
    return Parts()


def the_client_stays_in_its_epoch(_: Patch) -> Parts:
    class Stubborn(ClientProtocol):
        def _take(self, notice: Notice) -> bool:
            epoch = self.epoch
            is_news = super()._take(notice)
            if isinstance(notice, Diverged):
                self.epoch = epoch
            return is_news

    return Parts(client=Stubborn)


def an_archive_is_not_cut_where_its_log_has_lost_its_end(patch: Patch) -> Parts:
    def common(_self: object, archive: ArchiveStore, _points: object) -> int:
        return archive.reached()

    patch.setattr(begin_module._Reader, "_common", common)
    return Parts()


# ── Of moderation ────────────────────────────────────────────────────────────────────────────


def everybody_moderates(patch: Patch) -> Parts:
    def moderated(person: Person, event: Any, request: str) -> Any:
        return person.rooms.get(event.key) or not_in_room(request, event.room)

    patch.setattr(moderation, "_moderated", moderated)
    return Parts()


def who_is_banned_comes_in(patch: Patch) -> Parts:
    original = rights.may_not_enter

    def may_not_enter(*asked: Any) -> Any:
        refused = original(*asked)
        return None if refused is not None and refused[0] == "banned" else refused

    patch.setattr(rights, "may_not_enter", may_not_enter)
    return Parts()


def who_is_not_invited_comes_in(patch: Patch) -> Parts:
    patch.setattr(rights, "_is_let_in", lambda *_: True)
    return Parts()


def who_is_muted_speaks(patch: Patch) -> Parts:
    patch.setattr(rights, "may_not_speak", lambda *_: None)
    return Parts()


def a_restriction_outlasts_its_end(patch: Patch) -> Parts:
    original = Restrictions.add
    patch.setattr(
        Restrictions,
        "add",
        lambda self, each: original(self, msgspec.structs.replace(each, until=each.until * 2)),
    )
    return Parts()


def who_is_put_out_hears_on(patch: Patch) -> Parts:
    def kick(tables: Tables, person: Person, event: events.Kick, at: int) -> list[Action]:
        actions = RULES[events.Kick](tables, person, event, at)
        return [action for action in actions if not isinstance(action, Leave)]

    patch.setitem(HANDLERS, events.Kick, kick)
    return Parts()


def an_opened_room_shows_what_was_private(patch: Patch) -> Parts:
    def mode(tables: Tables, person: Person, event: events.RoomMode, at: int) -> list[Action]:
        actions: list[Action] = RULES[events.RoomMode](tables, person, event, at)
        for room in person.rooms.values():
            room.opened = 0
        return actions

    patch.setitem(HANDLERS, events.RoomMode, mode)
    return Parts()


def who_has_an_account_looks_after_the_server(patch: Patch) -> Parts:
    patch.setattr(Person, "is_admin", property(lambda person: person.account is not None))
    return Parts()


def a_room_that_is_kept_is_not(patch: Patch) -> Parts:
    patch.setattr(moderation, "_keep", lambda *_, **__: None)
    return Parts()


def a_code_is_good_twice(patch: Patch) -> Parts:
    def claim(tables: Tables, person: Person, event: events.Claim, at: int) -> list[Action]:
        code = tables.claims.get(event.code)
        actions: list[Action] = RULES[events.Claim](tables, person, event, at)
        if code is not None:
            tables.claims[event.code] = code
        return actions

    patch.setitem(HANDLERS, events.Claim, claim)
    return Parts()


def others_are_not_told_what_was_read(patch: Patch) -> Parts:
    def read(tables: Tables, person: Person, event: events.Read, at: int) -> list[Action]:
        told: list[Action] = RULES[events.Read](tables, person, event, at)
        return [action for action in told if isinstance(getattr(action, "payload", 0), Rejected)]

    patch.setitem(HANDLERS, events.Read, read)
    return Parts()


def nobody_is_taken_for_who_came_from_there(patch: Patch) -> Parts:
    patch.setattr(rights, "_origin", lambda _: "")
    return Parts()


def only_one_device_is_put_out(patch: Patch) -> Parts:
    original = moderation._put_out

    def put_out(tables: Tables, room: Room, target: Person, left: Any, by: Person) -> list[Action]:
        others = [each.conn for each in target.everywhere if each is not target]
        actions = original(tables, room, target, left, by)
        seen: list[Action] = []
        for action in actions:
            # Each of the others leaves, is told, enters again, and leaves for good.
            if isinstance(action, Leave) and action.conn in others and action in seen:
                continue
            seen.append(action)
        return seen

    patch.setattr(moderation, "_put_out", put_out)
    return Parts()


def who_is_muted_everywhere_speaks(patch: Patch) -> Parts:
    patch.setattr(rights, "may_not_say_anything", lambda *_: None)
    return Parts()


def guests_talk_where_only_accounts_may(patch: Patch) -> Parts:
    patch.setattr(rights, "is_guest_where_none_talk", lambda *_: False)
    return Parts()


def an_account_that_is_banned_comes(patch: Patch) -> Parts:
    original = rights.may_not_come

    def may_not_come(tables: Tables, person: Person, earlier: str, at: int) -> Any:
        return None if person.account is not None else original(tables, person, earlier, at)

    patch.setattr(rights, "may_not_come", may_not_come)
    patch.setattr(rights, "may_not_become", lambda *_: None)
    return Parts()


def names_that_look_alike_are_not_the_same(patch: Patch) -> Parts:
    def nick_name(text: str) -> Name | Rejected:
        name = names.nick_name(text)
        return Name(name.text, name.text.lower()) if isinstance(name, Name) else name

    patch.setattr(propose, "nick_name", nick_name)
    return Parts()


def who_has_the_nick_of_an_account_keeps_it(patch: Patch) -> Parts:
    patch.setattr(accounts, "_free_nick", lambda *_: [])
    return Parts()


def what_one_device_says_the_others_do_not_hear(patch: Patch) -> Parts:
    def say(_: Tables, person: Person, event: events.Say, actions: list[Action]) -> list[Action]:
        room = person.rooms.get(event.key)
        others = [each.conn for each in person.everywhere if each is not person and not each.away]
        if room is None:
            return actions
        before = [Leave(room.audience, conn) for conn in others]
        return [*before, *actions, *(Enter(room.audience, conn) for conn in others)]

    return change_say(patch, say)


def a_letter_comes_to_one_device(patch: Patch) -> Parts:
    original = people._given

    def given(tables: Tables, person: Person, told: Told) -> list[Action]:
        return original(tables, person, told) if person is person.everywhere[0] else []

    patch.setattr(people, "_given", given)
    return Parts()


def a_room_is_that_of_the_device_that_joins(patch: Patch) -> Parts:
    def add(room: Room, person: Person, *, speaks: bool) -> None:
        room.members[person.id] = person
        room.admit(person)
        if speaks:
            person.speaks[room.key] = room.seq

    def remove(room: Room, person: Person) -> None:
        for each in person.everywhere:
            each.rooms.setdefault(room.key, room)
        original(room, person)

    original = Room.remove
    patch.setattr(Room, "add", add)
    patch.setattr(Room, "remove", remove)
    return Parts()


MODERATION: list[tuple[Mutation, str]] = [
    (everybody_moderates, "moderation"),
    (who_is_banned_comes_in, "restrictions"),
    (who_is_not_invited_comes_in, "restrictions"),
    (who_is_muted_speaks, "restrictions"),
    (a_restriction_outlasts_its_end, "moderation"),
    (who_is_put_out_hears_on, "private_rooms"),
    (an_opened_room_shows_what_was_private, "private_rooms"),
]

# … and these where people have accounts.
ACCOUNTS: list[tuple[Mutation, str]] = [
    (who_has_an_account_looks_after_the_server, "moderation"),
    (a_room_that_is_kept_is_not, "moderation"),
    (a_code_is_good_twice, "moderation"),
    (others_are_not_told_what_was_read, "moderation"),
    (nobody_is_taken_for_who_came_from_there, "moderation"),
    (only_one_device_is_put_out, "private_rooms"),
    (who_is_muted_everywhere_speaks, "restrictions"),
    (guests_talk_where_only_accounts_may, "restrictions"),
    (an_account_that_is_banned_comes, "restrictions"),
    (names_that_look_alike_are_not_the_same, "nicks"),
    (who_has_the_nick_of_an_account_keeps_it, "nicks"),
    (what_one_device_says_the_others_do_not_hear, "devices"),
    (a_letter_comes_to_one_device, "devices"),
    (a_room_is_that_of_the_device_that_joins, "devices"),
]

MUTATIONS: list[tuple[Mutation, str]] = [
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
    (what_is_answered_is_shown_as_the_next, "answers"),
    (the_history_has_no_bound, "bounds"),
    (an_expired_session_is_not_forgotten, "sessions"),
    (a_ghost_holds_its_nick, "sessions"),
    (the_older_connection_stays_open, "sessions"),
    (direct_messages_are_not_kept_for_who_is_away, "direct_messages"),
    (the_inbox_has_no_bound, "bounds"),
    (who_quits_is_told_goodbye_twice, "last_words"),
    (an_entry_that_comes_again_happens_again, "nothing_twice"),
    (an_entry_that_comes_again_is_counted_again, "bounds"),
    (a_late_batch_is_delivered_behind_the_next, "same_state"),
    (a_batch_is_applied_in_the_order_of_its_authors, "one_order"),
    (a_snapshot_forgets_receipts, "same_state"),
    (the_graces_of_who_was_away_are_not_armed_after_a_restart, "sessions"),
    (a_resumed_session_expires, "sessions"),
    (the_grace_is_too_short, "sessions"),
    (the_grace_never_ends, "sessions"),
    (what_comes_too_fast_is_thrown_away, "flood"),
    (who_has_to_wait_is_taken_for_silent, "flood"),
    (timers_are_left_behind, "bounds"),
    (reading_is_never_paused, "bounds"),
    (who_has_another_flavour_stays_in_its_old_lane, "flavours"),
    (answers_name_who_asked_first, "flavours"),
    (the_plain_dialect_trusts_its_bytes, "no_exception"),
    (the_client_shows_what_it_has_seen, "nothing_twice"),
    (the_client_shows_a_receipt_each_time, "nothing_twice"),
    (the_client_does_not_send_again, "liveness"),
    (the_client_sends_more_than_is_remembered, "nothing_twice"),
    (the_client_knows_its_own_messages_by_nick, "exactly_once"),
    (everybody_waits_for_the_slowest, "healthy"),
    (who_leaves_a_room_is_still_sent_to, "nothing_outside"),
]

# This is seen only where much is said, and little may wait for who reads slowly.
CROWDED: list[tuple[Mutation, str]] = [(outboxes_have_no_bound, "bounds")]

# … these where people come by IRC.
IRC: list[tuple[Mutation, str]] = [
    (what_does_not_fit_into_a_line_of_irc_is_not_said, "nothing_outside"),
    (what_an_irc_client_takes_it_takes_instead_of_what_it_took, "exactly_once"),
]

# … these where people come by browsers.
BROWSERS: list[tuple[Mutation, str]] = [
    (a_longer_frame_says_that_it_is_shorter, "pages"),
    (what_a_browser_sends_is_taken_as_it_is_masked, "liveness"),
    (the_fragments_between_the_first_and_the_last_are_lost, "liveness"),
    (a_close_frame_is_not_answered, "pages"),
    (whatever_a_page_closes_with_it_is_closed, "pages"),
    (a_page_that_is_closed_is_a_connection_that_is_lost, "pages"),
    (a_closed_page_is_waited_for_as_anybody, "sessions"),
    (a_page_has_half_the_time_to_be_loaded_anew, "sessions"),
    (the_last_words_do_not_wait, "pages"),
    (frames_in_a_row_are_joined_the_wrong_way_round, "exactly_once"),
    (who_gets_a_file_is_in_the_chat, "pages"),
    (a_connection_opened_ahead_is_greeted_as_a_person, "pages"),
    (any_host_is_one_of_ours, "pages"),
    (reserved_bits_mean_nothing, "pages"),
    (fragments_have_no_bound, "bounds"),
    (pings_are_answered_from_the_last_to_the_first, "pages"),
    (a_ping_is_answered_by_what_it_does_not_ask, "pages"),
]

# … and these only where the log is on a disk.
ON_DISK: list[tuple[Mutation, str]] = [
    (entries_are_delivered_before_they_are_written, "on_disk"),
    (a_full_disk_loses_a_batch, "liveness"),
    (a_restart_begins_another_epoch, "same_state"),
    (a_restart_forgets_that_its_earlier_life_is_over, "sessions"),
    (the_graces_of_who_is_away_on_the_disk_are_not_armed, "sessions"),
    (the_archive_misses_what_comes_while_it_writes, "on_disk"),
    (the_archive_tells_of_a_rooms_earlier_lives, "archive"),
    (a_search_finds_what_was_said_where_one_is_not, "archive"),
    (what_waits_for_the_archive_is_not_found, "archive"),
    (an_archive_that_was_behind_is_not_filled, "on_disk"),
]

# … and these where what is past its time is forgotten there.
FORGETTING: list[tuple[Mutation, str]] = [
    (the_log_is_cut_before_there_is_a_snapshot, "on_disk"),
    (the_log_forgets_what_is_not_past_its_time, "on_disk"),
    (what_is_past_its_time_stays_in_the_archive, "on_disk"),
    (what_is_past_its_time_stays_in_the_older_snapshot, "on_disk"),
]

# … and these where nodes share it, and this befalls them.
SHARED: list[tuple[Mutation, str, str]] = [
    (a_boot_that_is_over_is_not_fenced, "one_log", "node stopped"),
    (a_batch_that_comes_again_is_taken_in_again, "one_log", "answers lost"),
    (a_new_engine_takes_batches_in_before_it_is_repaired, "leases", "replica promoted"),
    (a_new_engine_does_not_wait_for_all_who_can_repair_it, "leases", "losses"),
    (two_nodes_repair_at_once, "one_log", "replica promoted"),
    (a_standstill_of_the_engine_counts_for_leases, "leases", "engine paused"),
    (nobody_is_given_time_to_come_back, "leases", "engine killed"),
    (a_log_is_read_on_without_a_look_at_its_chain, "one_log", "trims"),
    (a_node_commits_what_it_has_not_read, "one_log", "calls"),
    (
        what_was_proposed_before_a_connection_was_lost_is_not_proposed_again,
        "leases",
        "engine killed",
    ),
    (nobody_says_that_a_dead_node_is_over, "sessions", "deaths"),
    (a_log_that_has_lost_its_end_does_not_say_so, "losses", "losing take-overs"),
    (
        a_node_reads_on_in_the_log_that_went_on_without_it,
        "one_log",
        "forks after a promotion",
    ),
    (what_was_seen_of_the_lost_end_is_not_cut_back, "losses", "forks"),
    (the_client_stays_in_its_epoch, "losses", "losing take-overs"),
    (an_archive_is_not_cut_where_its_log_has_lost_its_end, "on_disk", "forked archives"),
]


# What is looked for where engines are lost with what no node has.
LOSSES_ONLY = {"forks", "forks after a promotion", "forked archives", "losing take-overs"}


def shared_seeds(what: str) -> Iterator[int]:
    """Seeds of several nodes to which something happens twice or more."""
    for seed in range(100 * WITHIN):
        sharing = Config.drawn(seed, shared=True).sharing
        assert sharing is not None
        if sharing.is_lossy != (what in LOSSES_ONLY):
            continue
        kinds = Counter(fault.kind for fault in sharing.faults)
        kinds["calls"] = 2 * bool(sharing.call_fault_every)
        # Many answers are lost, each on its way for a while, and nothing else happens.
        if sharing.call_fault_every == 100 and sharing.engine_ms >= 5 and not sharing.faults:
            kinds["answers lost"] = 2
        if sharing.snapshot_every < 20 and sharing.hurry > 20:
            kinds["trims"] = kinds["node stopped"]
        if sharing.lost >= 40 and sharing.engine_ms >= 5:
            kinds["losses"] = kinds["replica promoted"]
        # The new engine is open when the old one goes, and has given up nobody yet.
        forks = [fault for fault in sharing.faults if fault.kind == "engine forked"]
        kinds["forks"] = 2 * any(6_000 < fault.ms < 9_000 for fault in forks)
        kinds["forked archives"] = kinds["forks"] * sharing.has_archives
        if len(forks) == 1 and kinds["replica promoted"] and len(sharing.faults) <= 4:
            kinds["forks after a promotion"] = kinds["forks"]
        if not sharing.has_replica:
            kinds["losing take-overs"] = kinds["replica promoted"]
        if not (sharing.has_folders or sharing.is_numbered):  # who comes back is somebody else
            kinds["deaths"] = kinds["node killed"]
        if sharing.nodes > 1 and kinds[what] > 1:
            yield seed


def is_crowded(config: Config) -> bool:
    """Whether much is said, and little may wait."""
    return config.max_backlog_bytes < 10_000 and config.think < 200 and config.long_texts > 0.4


def comes_by_irc(config: Config) -> bool:
    """Whether somebody does, and is told what needs several lines."""
    return config.irc > 1 and config.long_texts > 0


MODERATED_SEEDS = [seed for seed in range(10 * WITHIN) if Config.drawn(seed).is_moderated][:WITHIN]
ACCOUNT_SEEDS = [seed for seed in range(10 * WITHIN) if Config.drawn(seed).accounts][:WITHIN]
CROWDED_SEEDS = [seed for seed in range(10 * WITHIN) if is_crowded(Config.drawn(seed))]
KEPT_SEEDS = [seed for seed in range(10 * WITHIN) if Config.drawn(seed).kept][:WITHIN]
BROWSER_SEEDS = [seed for seed in range(10 * WITHIN) if Config.drawn(seed).browsers][:WITHIN]
IRC_SEEDS = [seed for seed in range(10 * WITHIN) if comes_by_irc(Config.drawn(seed))][:WITHIN]
FORGETTING_SEEDS = [seed for seed in range(10 * WITHIN) if Config.drawn(seed).keep_ms][:WITHIN]


@pytest.mark.parametrize(
    ("mutation", "checker", "seeds"),
    [
        pytest.param(mutation, checker, seeds, id=mutation.__name__)
        for mutations, seeds in (
            (MUTATIONS, range(WITHIN)),
            (MODERATION, MODERATED_SEEDS),
            (ACCOUNTS, ACCOUNT_SEEDS),
            (CROWDED, CROWDED_SEEDS),
            (ON_DISK, KEPT_SEEDS),
            (FORGETTING, FORGETTING_SEEDS),
            (BROWSERS, BROWSER_SEEDS),
            (IRC, IRC_SEEDS),
        )
        for mutation, checker in mutations
    ],
)
def test_a_broken_promise_is_caught_by_its_checker(
    mutation: Mutation, checker: str, seeds: Sequence[int], monkeypatch: Patch
) -> None:
    parts = mutation(monkeypatch)
    for seed in seeds:
        world = simulate(seed, parts, irc=seeds is IRC_SEEDS)
        if checker in {broken.checker for broken in world.violations}:
            return
    pytest.fail(f"in {WITHIN} simulations {checker} saw nothing")


@pytest.mark.parametrize(
    ("mutation", "checker", "what"),
    [pytest.param(*each, id=each[0].__name__) for each in SHARED],
)
def test_a_broken_promise_of_nodes_that_share_a_log_is_caught_by_its_checker(
    mutation: Mutation, checker: str, what: str, monkeypatch: Patch
) -> None:
    parts = mutation(monkeypatch)
    for seed in islice(shared_seeds(what), WITHIN):
        violations = simulate(seed, parts, shared=True, irc=False).violations
        if checker in {broken.checker for broken in violations}:
            return
    pytest.fail(f"in {WITHIN} simulations {checker} saw nothing")


def test_every_checker_catches_something() -> None:
    needed = {name_of(checker()) for checker in CHECKERS}
    mutations = (
        *MUTATIONS,
        *CROWDED,
        *BROWSERS,
        *IRC,
        *MODERATION,
        *ACCOUNTS,
        *ON_DISK,
        *FORGETTING,
        *SHARED,
    )
    assert needed <= {checker for _, checker, *_ in mutations}
