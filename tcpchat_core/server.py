"""ServerProtocol: where wire and state meet. Bytes in, effects out; sans I/O.

Call order, for an adapter (docs/embedding.md shows two whole ones):

1. `connection_made(conn, now=…)` once per connection; `conn` is a number never used before.
2. `receive_data(conn, data, now=…)` with what was read, `receive_eof(conn, now=…)` when the peer
   will send no more, `connection_lost(conn)` when the connection is gone; nothing after that.
3. For each `Propose` among the effects: put the event into the log, and give the entry to
   `commit(entry)`. Entries are committed in the order of the log, on every node.
4. `handle_timer(now)` when `get_timer()` says so; ask again after every call.

Every call returns the effects to carry out, in order. Calls are cheap and never raise, whatever a
peer sent. While `is_paused(conn)`, do not read from that connection.

`now` is milliseconds of any clock that does not run backwards; it is used for timers only.

Rules:

Rule 1: What depends on the connection (framing, UTF-8, sizes, the syntax and folding of names) is
        decided when proposing; what depends on rooms and people, by `ChatState` at commit.

Rule 2: Answers keep the order of their questions. A query, or a refusal that needs no entry,
        waits until what the same connection proposed before it is committed.

Rule 3: A notice is encoded once per dialect in use, however many people get it.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterable
from typing import TypeAlias

import msgspec

from tcpchat_core import events, notices
from tcpchat_core.commands import help_lines
from tcpchat_core.dialects import Dialect
from tcpchat_core.dialects.jsonl import JsonLines
from tcpchat_core.dialects.plain import Plain, strip_telnet
from tcpchat_core.effects import Action, Audience, Broadcast, Close, Effect, Propose, Send
from tcpchat_core.errors import LocalError
from tcpchat_core.events import Entry, Event, Query, Request
from tcpchat_core.framing import MAX_LINE_BYTES, LineBuffer, TooLong
from tcpchat_core.names import (
    MAX_NICK_CHARS,
    MAX_ROOM_CHARS,
    BadName,
    Name,
    nick_key,
    nick_name,
    room_name,
)
from tcpchat_core.notices import Limits, Notice, Reason, Rejected
from tcpchat_core.sanitize import sanitize
from tcpchat_core.state import ChatState, not_in_room, room_list
from tcpchat_core.version import VERSION

# A page of text. UTF-8 has at most four bytes to the character, so this bounds the bytes too.
MAX_TEXT_CHARS = 2_000
MAX_TEXT_BYTES = 4 * MAX_TEXT_CHARS
# One line of a wide terminal, with room to spare.
MAX_TOPIC_CHARS = 300
MAX_REASON_CHARS = 200

# A program that speaks JSON Lines speaks first. A person with nc waits for a greeting.
GREET_AFTER_MS = 500

# How many of a connection's events may be on their way through the log, and how many answers may
# wait for them, before its next lines have to wait. One node commits at once; with a log far away this is the pipeline's depth.
MAX_OUTSTANDING = 256

# The list of rooms is for reading; 500 are some ten screens and 200 KB at the very most.
MAX_ROOMS_LISTED = 500

_JSONL = JsonLines()
_PLAIN = Plain()

# What waits its turn: something to look up, or something already known.
_Answer: TypeAlias = Query | Rejected


class _Connection:
    """What the server knows of one connection that is not chat."""

    __slots__ = (
        "answers",
        "buffer",
        "committed",
        "conn",
        "current",
        "dialect",
        "ending",
        "eof",
        "greeted",
        "lines",
        "lost",
        "proposed",
        "telnet",
    )

    def __init__(self, conn: int) -> None:
        self.conn = conn
        self.dialect: Dialect | None = None  # until the first bytes tell
        self.greeted = False  # Connect was proposed
        self.buffer = LineBuffer()
        self.telnet = b""  # the start of a negotiation
        self.lines: deque[bytes | TooLong] = deque()  # complete, not yet looked at
        self.answers: deque[tuple[int, _Answer]] = deque()  # … after so many commits
        self.proposed = 0
        self.committed = 0
        self.current: Name | None = None  # the room that text goes to
        self.eof = False  # nothing more will come
        self.ending = False  # its last event was proposed
        self.lost = False  # nothing can be sent any more


class ServerProtocol:
    """One node's server, around one replica of the state. See the module for the call order.

    `server` is the name that `welcome` gives; `motd` are lines for everybody who connects.
    """

    def __init__(
        self, state: ChatState, *, server: str = "tcpchat", motd: Iterable[str] = ()
    ) -> None:
        self.state = state
        self._server = server
        self._motd = tuple(sanitize(line) for line in motd)
        self._limits = Limits(
            line_bytes=MAX_LINE_BYTES,
            text_chars=MAX_TEXT_CHARS,
            text_bytes=MAX_TEXT_BYTES,
            nick_chars=MAX_NICK_CHARS,
            room_chars=MAX_ROOM_CHARS,
            topic_chars=MAX_TOPIC_CHARS,
            rooms_per_person=state.limits.rooms_per_person,
        )
        self._connections: dict[int, _Connection] = {}
        self._timers: list[tuple[int, int]] = []  # a heap of (when, conn)

    # ── What happens to connections ──────────────────────────────────────────────────────────

    def connection_made(self, conn: int, *, now: int) -> list[Effect]:
        """A peer connected. It is greeted when it has said, or not said, which dialect it speaks.

        Raises LocalError when `conn` is in use.
        """
        if conn in self._connections:
            raise LocalError(f"connection {conn} was made twice")
        self._connections[conn] = _Connection(conn)
        heapq.heappush(self._timers, (now + GREET_AFTER_MS, conn))
        return []

    def receive_data(self, conn: int, data: bytes, *, now: int) -> list[Effect]:
        """Bytes came. `data` may be split anywhere."""
        connection = self._connections.get(conn)
        if connection is None or connection.ending or connection.eof or not data:
            return []
        if connection.dialect is None:
            connection.dialect = _JSONL if data[:1] == b"{" else _PLAIN
        if connection.dialect is _PLAIN:
            data, connection.telnet = strip_telnet(data, connection.telnet)
        connection.lines.extend(connection.buffer.receive_data(data))
        return self._proceed(connection)

    def receive_eof(self, conn: int, *, now: int) -> list[Effect]:
        """The peer will send no more (it may still read). Its lines still count, then it goes."""
        connection = self._connections.get(conn)
        if connection is None or connection.ending or connection.eof:
            return []
        connection.eof = True
        return self._proceed(connection)

    def connection_lost(self, conn: int, reason: str = "connection lost") -> list[Effect]:
        """The connection is gone, or nothing can be sent on it any more."""
        connection = self._connections.get(conn)
        if connection is None:
            return []
        connection.lost = True
        connection.lines.clear()
        connection.answers.clear()
        if not connection.greeted:
            del self._connections[conn]
            return []
        if connection.ending:
            return []
        connection.ending = True
        return [self._propose(connection, events.Disconnect(sanitize(reason)))]

    def is_paused(self, conn: int) -> bool:
        """Whether to stop reading from a connection until what it has said is dealt with."""
        connection = self._connections.get(conn)
        return connection is not None and bool(connection.lines)

    # ── Time ─────────────────────────────────────────────────────────────────────────────────

    def get_timer(self) -> int | None:
        """When to call `handle_timer`, on the clock of `now`; None when nothing is due."""
        return self._timers[0][0] if self._timers else None

    def handle_timer(self, now: int) -> list[Effect]:
        """Do what is due."""
        effects: list[Effect] = []
        while self._timers and self._timers[0][0] <= now:
            connection = self._connections.get(heapq.heappop(self._timers)[1])
            if connection is not None and connection.dialect is None:
                connection.dialect = _PLAIN
                effects += self._proceed(connection)
        return effects

    # ── The log's side ───────────────────────────────────────────────────────────────────────

    def commit(self, entry: Entry) -> list[Effect]:
        """Apply the log's next entry."""
        effects = self._encode(self.state.handle(entry))
        connection = self._connections.get(entry.conn)
        if connection is None:
            return effects
        connection.committed += 1
        if connection.answers or connection.lines or connection.ending:
            effects += self._after_commit(connection, entry.event)
        return effects

    def closing(self, conn: int, reason: str, *, retry: int | None = None) -> bytes:
        """The last words for one connection, in its dialect, when the adapter has to end it."""
        connection = self._connections.get(conn)
        dialect = connection.dialect if connection is not None else None
        return (dialect or _PLAIN).encode(notices.Closing(reason, retry))

    def stop(self, reason: str, *, retry: int | None = None) -> list[Effect]:
        """The node goes down: tell everybody, and close. Call nothing for these afterwards.

        `retry` is the time in milliseconds after which clients may come again.
        """
        effects: list[Effect] = []
        for conn, connection in self._connections.items():
            dialect = connection.dialect or _PLAIN
            if not connection.lost:
                effects.append(Send(conn, dialect.encode(notices.Closing(reason, retry))))
                effects.append(Close(conn))
        self._connections.clear()
        self._timers.clear()
        return effects

    # ── From lines to proposals ──────────────────────────────────────────────────────────────

    def _proceed(self, connection: _Connection) -> list[Effect]:
        """Look at the lines that are waiting, as far as they may go."""
        effects: list[Effect] = []
        dialect = connection.dialect
        if dialect is _PLAIN:
            self._greet(connection, effects)
        lines = connection.lines
        while lines and not connection.ending:
            outstanding = connection.proposed - connection.committed
            if max(outstanding, len(connection.answers)) >= MAX_OUTSTANDING:
                return effects
            assert dialect is not None  # lines come of data, and data tells the dialect
            self._line(connection, dialect, lines.popleft(), effects)
        if connection.eof and not connection.ending:
            if connection.buffer.partial_bytes:
                text = "the last line had no end, so it was not taken in"
                self._answer(connection, Rejected("bad-line", text), effects)
            connection.ending = True
            if connection.greeted:
                effects.append(self._propose(connection, events.Disconnect("")))
            else:
                del self._connections[connection.conn]
                effects.append(Close(connection.conn))
        return effects

    def _line(
        self,
        connection: _Connection,
        dialect: Dialect,
        line: bytes | TooLong,
        effects: list[Effect],
    ) -> None:
        request: Request | Rejected | None
        if isinstance(line, TooLong):
            text = f"a line has at most {MAX_LINE_BYTES:,} bytes; this one was thrown away"
            request = Rejected("bad-line", text)
        else:
            request = dialect.decode(line)
        if request is None:
            return
        first = not connection.greeted
        self._greet(connection, effects)
        if isinstance(request, Rejected):
            self._answer(connection, request, effects)
            return
        try:
            request = _checked(connection, request, first=first)
        except _Refused as refused:
            tag, id = request.__struct_config__.tag, getattr(request, "id", None)
            rejected = Rejected(refused.reason, refused.text, str(tag), id)
            self._answer(connection, rejected, effects)
            return
        match request:
            case events.Hello() | events.Pong():
                pass
            case events.Rooms() | events.Who() | events.History() | events.Ping() | events.Help():
                self._answer(connection, request, effects)
            case events.Topic(topic=None):
                self._answer(connection, request, effects)
            case _:
                effects.append(self._propose(connection, request))

    def _greet(self, connection: _Connection, effects: list[Effect]) -> None:
        if not connection.greeted:
            connection.greeted = True
            effects.append(self._propose(connection, events.Connect()))

    def _propose(self, connection: _Connection, event: Event) -> Propose:
        connection.proposed += 1
        return Propose(connection.conn, event)

    # ── Answers that need no entry ───────────────────────────────────────────────────────────

    def _answer(self, connection: _Connection, answer: _Answer, effects: list[Effect]) -> None:
        """Give an answer in its turn: now, or when what was proposed before is committed."""
        if connection.proposed == connection.committed:
            effects += self._encode([Send(connection.conn, self._notice(connection, answer))])
        else:
            connection.answers.append((connection.proposed, answer))

    def _after_commit(self, connection: _Connection, event: Event) -> list[Effect]:
        """What had to wait for the connection's own entry."""
        effects: list[Effect] = []
        answers = connection.answers
        while answers and answers[0][0] <= connection.committed:
            notice = self._notice(connection, answers.popleft()[1])
            effects += self._encode([Send(connection.conn, notice)])
        match event:
            case events.Disconnect():
                if not connection.lost:
                    effects.append(Close(connection.conn))
                self._connections.pop(connection.conn, None)
            case events.Quit():
                self._connections.pop(connection.conn, None)
            case _ if connection.lines and connection.proposed == connection.committed:
                effects += self._proceed(connection)
        return effects

    def _notice(self, connection: _Connection, answer: _Answer) -> Notice:
        """Look up what a query asks for."""
        match answer:
            case events.Rooms():
                return room_list(self.state, MAX_ROOMS_LISTED)
            case events.Ping(id):
                return notices.Ponged(id)
            case events.Help(command):
                lines = help_lines(command)
                return lines if isinstance(lines, Rejected) else notices.HelpText(lines)
            case events.Who() | events.Topic() | events.History():
                return self._about_room(connection, answer)
            case _:
                return answer

    def _about_room(
        self, connection: _Connection, query: events.Who | events.Topic | events.History
    ) -> Notice:
        person = self.state.person(connection.conn)
        room = person.rooms.get(query.key) if person else None
        if room is None:
            return not_in_room(str(query.__struct_config__.tag), query.room)
        match query:
            case events.Who():
                return notices.Members(room.name, room.nicks())
            case events.Topic():
                return notices.TopicSet(
                    room.name, room.topic, room.topic_nick, room.seq, room.topic_at
                )
            case events.History(_, before, limit):
                return notices.HistoryPage(room.name, room.messages(before, limit))

    # ── From actions to effects ──────────────────────────────────────────────────────────────

    def _encode(self, actions: Iterable[Action]) -> list[Effect]:
        effects: list[Effect] = []
        for action in actions:
            match action:
                case Broadcast(audience, notice, author, receipt):
                    lanes: _Lanes = audience.derived
                    if lanes is None:
                        lanes = audience.derived = self._lanes(audience)
                    for dialect, members, authors in lanes:
                        told = b""
                        if receipt is not None and author in authors:
                            told = dialect.encode(receipt)
                        payload = dialect.encode(notice)
                        effects.append(Broadcast(members, payload, author, told))
                case Send(conn, notice):
                    connection = self._connections.get(conn)
                    if connection is None or connection.lost or connection.dialect is None:
                        continue
                    if type(notice) is notices.Welcome:
                        notice = self._welcome(notice)
                    if payload := connection.dialect.encode(notice):
                        effects.append(Send(conn, payload))
                case Close(conn):
                    connection = self._connections.get(conn)
                    if connection is not None and not connection.lost:
                        effects.append(action)
        return effects

    def _lanes(self, audience: Audience) -> _Lanes:
        """The part of an audience that is connected here, by dialect."""
        conns: dict[Dialect, list[int]] = {}
        for conn in audience.conns:
            connection = self._connections.get(conn)
            if connection is not None and connection.dialect is not None:
                conns.setdefault(connection.dialect, []).append(conn)
        return [
            (dialect, Audience(tuple(members)), frozenset(members))
            for dialect, members in conns.items()
        ]

    def _welcome(self, welcome: notices.Welcome) -> notices.Welcome:
        """The state says who you are; the node adds what it is."""
        return msgspec.structs.replace(
            welcome,
            server=self._server,
            version=VERSION,
            motd=self._motd,
            limits=self._limits,
        )


# The dialects in use in one audience, each with its members, for delivery and for look-up.
_Lanes: TypeAlias = list[tuple[Dialect, Audience, frozenset[int]]]


class _Refused(Exception):
    """A request that depends on nothing but itself and its connection, and cannot be."""

    def __init__(self, reason: Reason, text: str) -> None:
        self.reason = reason
        self.text = text


def _checked(connection: _Connection, request: Request, *, first: bool) -> Request:
    """The request with its texts made safe and its names folded. Raises _Refused."""
    match request:
        case events.Say(room, text, id, emote):
            text = _text(text, MAX_TEXT_CHARS, "a message")
            name = _room(connection, room)
            return events.Say(name.text, text, id, emote, name.key)
        case events.Tell(nick, text, id):
            text = _text(text, MAX_TEXT_CHARS, "a message")
            key = nick_key(nick)
            if not key:
                raise _Refused("no-such-nick", f"there is nobody called {_shown(nick)}")
            return events.Tell(_shown(nick), text, id, key)
        case events.Nick(nick):
            new = nick_name(nick)
            if isinstance(new, BadName):
                raise _Refused(*new)
            return events.Nick(*new)
        case events.Join(room):
            # Current from now on, also if the join will be refused: what was typed for this room
            # must not be said to another.
            connection.current = name = _room(connection, room)
            return events.Join(*name)
        case events.Out(room):
            name = _room(connection, room)
            if connection.current is not None and name.key == connection.current.key:
                connection.current = None
            return events.Out(*name)
        case events.Topic(room, topic):
            name = _room(connection, room)
            if topic:
                topic = _text(topic, MAX_TOPIC_CHARS, "a topic")
            return events.Topic(name.text, topic, name.key)
        case events.Quit(reason):
            if reason:
                reason = _text(reason, MAX_REASON_CHARS, "a reason")
            connection.ending = True
            return events.Quit(reason)
        case events.Who(room):
            name = _room(connection, room)
            return events.Who(*name)
        case events.History(room, before, limit):
            name = _room(connection, room)
            return events.History(name.text, before, limit, name.key)
        case events.Hello() if not first:
            raise _Refused("bad-request", "hello can only be the first request")
        case _:
            return request


def _text(text: str, max_chars: int, what: str) -> str:
    """A person's text as others may see it. Raises _Refused when it is empty or too long."""
    text = sanitize(text).rstrip()
    if not text:
        raise _Refused("empty-text", f"{what} has at least one character that can be seen")
    if len(text) > max_chars:
        raise _Refused(
            "too-long", f"{what} has at most {max_chars:,} characters; this one has {len(text):,}"
        )
    return text


def _room(connection: _Connection, room: str) -> Name:
    """The room that was named, or the current one. Raises _Refused when there is none."""
    if not room:
        if connection.current is None:
            raise _Refused("no-current-room", "you are in no room yet; /join ROOM first")
        return connection.current
    name = room_name(room)
    if isinstance(name, BadName):
        raise _Refused(*name)
    return name


def _shown(nick: str) -> str:
    """A nick that somebody typed, as an error can repeat it."""
    return sanitize(nick[:MAX_NICK_CHARS])
