"""ServerProtocol: where wire and state meet. Bytes in, effects out; sans I/O.

Call order, for an adapter (docs/embedding.md shows two whole ones):

1. `connection_made(conn, now=…)` once per connection; `conn` is a number never used before.
2. `receive_data(conn, data, now=…)` with what was read; `receive_eof(conn, now=…)` when the peer
   will send no more; `connection_lost(conn, now=…)` when the connection is gone, and nothing after
   that.
3. For each `Propose` among the effects: put the event into the log, and give the entry to
   `commit(entry)`, or with the next ones to `commit_all`. Entries are committed in the order of the
   log, on every node.
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

On the way of a message, here and in the modules that it passes through, `isinstance` stands where
elsewhere a `match` would: a class pattern that matches makes a set and a list (CPython's
`match_class`), and so takes several times as long.
"""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import NamedTuple, TypeAlias, assert_never

import msgspec

from tcpchat_core import events, notices
from tcpchat_core.commands import help_lines
from tcpchat_core.dialects import Dialect
from tcpchat_core.dialects.jsonl import JsonLines
from tcpchat_core.dialects.plain import Plain, strip_telnet
from tcpchat_core.effects import (
    Action,
    Audience,
    Broadcast,
    Close,
    Effect,
    Lineage,
    Propose,
    Send,
)
from tcpchat_core.errors import LocalError
from tcpchat_core.events import Entry, Event, Query, Request, Say
from tcpchat_core.framing import MAX_LINE_BYTES, LineBuffer, TooLong
from tcpchat_core.names import MAX_NICK_CHARS, MAX_ROOM_CHARS, Name, room_name
from tcpchat_core.notices import Limits, Notice, Rejected
from tcpchat_core.password import Password
from tcpchat_core.requests import (
    MAX_TEXT_BYTES,
    MAX_TEXT_CHARS,
    MAX_TOPIC_CHARS,
    Lookup,
    Refused,
    checked,
)
from tcpchat_core.sanitize import sanitize
from tcpchat_core.state import ChatState, not_in_room, room_list
from tcpchat_core.version import VERSION

# A program that speaks JSON Lines speaks first. A person with nc waits for a greeting.
GREET_AFTER_MS = 500

# How many of a connection's events may be on their way through the log, and how many answers may
# wait for them, before its next lines have to wait. One node commits at once; with a log far away
# this is the depth of the pipeline.
MAX_OUTSTANDING = 256

# The list of rooms is for reading; 500 are some ten screens and 200 KB at the very most.
MAX_ROOMS_LISTED = 500

# A line that was too long may be a mistake. The third in a row is no chat.
MAX_LONG_LINES = 3

# After that many wrong passwords a connection ends.
MAX_PASSWORD_FAILURES = 3
# A person has so long to type it.
PASSWORD_WITHIN_MS = 60_000

_JSONL = JsonLines()
_PLAIN = Plain()

# A web page can make a browser send text to this port, but not without this at the end of the
# first line (or with a first line that is too long to see the end of).
_HTTP = (b" HTTP/1.1", b" HTTP/1.0")

# What waits its turn: something to look up, or something already known.
_Answer: TypeAlias = Query | Rejected | notices.Closing


class ServerLimits(msgspec.Struct, frozen=True):
    """What one connection may do to the others: nothing, by these bounds.

    A connection may send `flood_burst` lines at once, then `flood_rate` a second; what comes
    faster is not lost, it waits. 0 lets every line through.

    A JSON Lines connection that was silent for `ping_after_ms` is asked whether it is there, and
    closed after `drop_after_ms`. (People who read with nc cannot answer: the adapter's TCP
    keep-alive finds out about them.) Its first line must be there within `handshake_ms`.

    A session whose connection is lost can be resumed for `grace_ms`; 0 turns sessions off.
    """

    flood_burst: int = 20
    flood_rate: int = 5
    ping_after_ms: int = 90_000
    drop_after_ms: int = 150_000
    handshake_ms: int = 5_000
    grace_ms: int = 60_000


class _Connection:
    """What the server knows of one connection that is not chat."""

    __slots__ = (
        "admitted",
        "answers",
        "buffer",
        "committed",
        "conn",
        "current",
        "dialect",
        "ending",
        "eof",
        "failures",
        "greeted",
        "heard_at",
        "lines",
        "long_lines",
        "lost",
        "made_at",
        "peer",
        "pinged",
        "proposed",
        "sessions",
        "spoke",
        "telnet",
        "token",
        "waits",
        "words_us",
    )

    def __init__(self, conn: int, token: str, peer: str, now: int, *, admitted: bool) -> None:
        self.conn = conn
        self.token = token
        self.peer = peer
        self.made_at = self.heard_at = now  # later when it is we who let it wait
        self.waits = False  # a timer will have its next line looked at
        self.dialect: Dialect | None = None  # until the first bytes tell
        self.admitted = admitted  # knows the password, if there is one
        self.failures = 0  # passwords that were wrong
        self.greeted = False  # Connect or Resume was proposed
        self.sessions: tuple[str, ...] = ()  # which it may be holding
        self.spoke = False  # its first line was looked at
        self.pinged = False  # since it was last heard of
        self.buffer = LineBuffer()
        self.telnet = b""  # the start of a negotiation
        self.lines: list[bytes | TooLong] = []  # complete, not yet looked at
        self.long_lines = 0  # in a row
        self.words_us = 0  # when its lines so far were due at the allowed rate, in microseconds
        self.answers: list[tuple[int, _Answer]] = []  # … after so many commits
        self.proposed = 0
        self.committed = 0
        self.current: Name | None = None  # the room that text goes to
        self.eof = False  # nothing more will come
        self.ending = False  # its last event was proposed
        self.lost = False  # nothing can be sent any more


class _Grace(NamedTuple):
    """How long the session of a lost connection can be resumed, and what is told afterwards."""

    until: int
    conn: int
    reason: str


class ServerProtocol:
    """One node's server, around one replica of the state. See the module for the call order.

    `server` is the name that `welcome` gives; `motd` are lines for everybody who connects; who
    does not know `password` (when it is not "") gets no further.
    """

    def __init__(
        self,
        state: ChatState,
        *,
        limits: ServerLimits | None = None,
        server: str = "tcpchat",
        motd: Iterable[str] = (),
        password: str = "",
    ) -> None:
        self.state = state
        self.limits = limits = limits or ServerLimits()
        self._server = server
        self._motd = tuple(sanitize(line) for line in motd)
        self._password = Password(password)
        self._told_limits = Limits(
            line_bytes=MAX_LINE_BYTES,
            text_chars=MAX_TEXT_CHARS,
            text_bytes=MAX_TEXT_BYTES,
            nick_chars=MAX_NICK_CHARS,
            room_chars=MAX_ROOM_CHARS,
            topic_chars=MAX_TOPIC_CHARS,
            rooms_per_person=state.limits.rooms_per_person,
            unacknowledged=state.limits.receipts,
            grace_ms=limits.grace_ms,
            flood_burst=limits.flood_burst,
            flood_rate=limits.flood_rate,
        )
        self._line_us = 1_000_000 // limits.flood_rate if limits.flood_rate else 0
        self._now = 0
        self._connections: dict[int, _Connection] = {}
        # A heap of (when, conn, whether it is for the next line): at most two per connection.
        self._timers: list[tuple[int, int, bool]] = []
        # By session, in the order of time.
        self._graces: dict[str, _Grace] = {}

    # ── What happens to connections ──────────────────────────────────────────────────────────

    def connection_made(
        self, conn: int, *, now: int, token: str = "", peer: str = ""
    ) -> list[Effect]:
        """A peer connected. It is greeted when it has said, or not said, which dialect it speaks.

        `token` is a new secret of 128 random bits or more for the session that this connection
        may open; without one it cannot open any. `peer` is its address, "" when that tells
        nothing; wrong passwords are counted by it. Raises LocalError when `conn` is in use.
        """
        if conn in self._connections:
            raise LocalError(f"connection {conn} was made twice")
        self._now = now
        connection = _Connection(conn, token, peer, now, admitted=not self._password.is_set)
        self._connections[conn] = connection
        heapq.heappush(self._timers, (now + GREET_AFTER_MS, conn, False))
        return []

    def receive_data(self, conn: int, data: bytes, *, now: int) -> list[Effect]:
        """Bytes came. `data` may be split anywhere."""
        self._now = now
        connection = self._connections.get(conn)
        if connection is None or connection.ending or connection.eof or not data:
            return []
        connection.heard_at = now
        connection.pinged = False
        if connection.dialect is None:
            connection.dialect = _JSONL if data[:1] == b"{" else _PLAIN
            effects = self._begin(connection)
        else:
            effects = []
        if connection.dialect is _PLAIN:
            data, connection.telnet = strip_telnet(data, connection.telnet)
        lines = connection.buffer.receive_data(data)
        connection.lines = connection.lines + lines if connection.lines else lines
        return effects + self._proceed(connection)

    def receive_eof(self, conn: int, *, now: int) -> list[Effect]:
        """The peer will send no more (it may still read). Its lines still count, then it goes."""
        self._now = now
        connection = self._connections.get(conn)
        if connection is None or connection.ending or connection.eof:
            return []
        connection.eof = True
        return self._proceed(connection)

    def connection_lost(
        self, conn: int, *, now: int, reason: str = "connection lost"
    ) -> list[Effect]:
        """The connection is gone, or nothing can be sent on it any more."""
        self._now = now
        connection = self._connections.get(conn)
        if connection is None:
            return []
        connection.lost = True
        connection.lines.clear()
        connection.answers.clear()
        if not connection.greeted:
            del self._connections[conn]
            return []
        return [] if connection.ending else [self._disconnect(connection, sanitize(reason))]

    def is_paused(self, conn: int) -> bool:
        """Whether to stop reading from a connection until what it has said is dealt with."""
        connection = self._connections.get(conn)
        return connection is not None and bool(connection.lines)

    # ── Time ─────────────────────────────────────────────────────────────────────────────────

    def get_timer(self) -> int | None:
        """When to call `handle_timer`, on the clock of `now`; None when nothing is due."""
        at = self._timers[0][0] if self._timers else None
        if self._graces:
            until = next(iter(self._graces.values())).until
            return until if at is None else min(at, until)
        return at

    def handle_timer(self, now: int) -> list[Effect]:
        """Do what is due."""
        self._now = now
        effects: list[Effect] = []
        while self._timers and self._timers[0][0] <= now:
            _, conn, for_line = heapq.heappop(self._timers)
            connection = self._connections.get(conn)
            if connection is None or connection.ending:
                continue
            if for_line:
                connection.waits = False
                effects += self._proceed(connection)
            else:
                effects += self._look_after(connection)
        while self._graces:
            session, grace = next(iter(self._graces.items()))
            if grace.until > now:
                break
            del self._graces[session]
            # Should it be resumed before this is committed, the state will know.
            effects.append(Propose(grace.conn, events.Expire(session, grace.reason)))
        return effects

    def _wait(self, connection: _Connection, until: int) -> None:
        """Have the connection's next line looked at later."""
        if not connection.waits:
            connection.waits = True
            heapq.heappush(self._timers, (until, connection.conn, True))

    def _look_after(self, connection: _Connection) -> list[Effect]:
        """See whether a connection is silent for too long, and when to see again."""
        effects: list[Effect] = []
        limits, now = self.limits, self._now
        if connection.dialect is None:
            connection.dialect = _PLAIN
            effects += self._begin(connection)
        if connection.dialect is _PLAIN and connection.admitted:
            return effects  # a person may be silent as long as it likes
        if connection.lines:  # it is we who do not listen
            connection.heard_at = connection.made_at = now
        if not connection.greeted:
            typed = connection.dialect is _PLAIN
            check_at = connection.made_at + (PASSWORD_WITHIN_MS if typed else limits.handshake_ms)
            if now >= check_at:
                what = "password" if typed else "request"
                return self._end(connection, f"there was no {what} in time")
        elif connection.pinged:  # hearing of it would have cleared this
            return self._end(connection, "ping timeout", retry=0)
        else:
            check_at = connection.heard_at + limits.ping_after_ms
            if now >= check_at:
                connection.pinged = True
                self._encode([Send(connection.conn, notices.Pinged())], effects)
                check_at = connection.heard_at + limits.drop_after_ms
        heapq.heappush(self._timers, (check_at, connection.conn, False))
        return effects

    # ── The log's side ───────────────────────────────────────────────────────────────────────

    def commit(self, entry: Entry) -> list[Effect]:
        """Apply the log's next entry."""
        effects: list[Effect] = []
        self._encode(self.state.handle(entry), effects)
        if self._graces and isinstance(entry.event, events.Resume):
            self._graces.pop(entry.event.session, None)
        connection = self._connections.get(entry.conn)
        if connection is not None:
            connection.committed += 1
            if connection.answers or connection.lines or connection.ending:
                effects += self._after_commit(connection, entry.event)
        return effects

    def commit_all(self, entries: Sequence[Entry]) -> list[Effect]:
        """Apply the log's next entries: what `commit` of each would bring about.

        What one person says in a row is told in one broadcast, which costs less.
        """
        effects: list[Effect] = []
        connection = self._connections.get(entries[0].conn) if entries else None
        if connection is None or not _is_row(entries, connection):
            for entry in entries:
                effects += self.commit(entry)
            return effects
        row: list[Broadcast[Notice]] = []  # to one audience
        for action in self.state.handle_all(entries):
            if row and not (isinstance(action, Broadcast) and action.audience is row[0].audience):
                self._encode_row(row, effects)
                row = []
            if isinstance(action, Broadcast):
                row.append(action)
            else:
                self._encode([action], effects)
        if row:
            self._encode_row(row, effects)
        connection.committed += len(entries)
        return effects

    def closing(self, conn: int, reason: str, *, retry: int | None = None) -> bytes:
        """The last words for one connection, in its dialect, when the adapter has to end it.

        b"" for one that was told already.
        """
        connection = self._connections.get(conn)
        if connection is None:
            return b""
        dialect = connection.dialect or _PLAIN
        return dialect.encode(notices.Closing(sanitize(reason), retry))

    def stop(self, reason: str, *, retry: int | None = None) -> list[Effect]:
        """The node goes down: tell everybody, and close. Call nothing for these afterwards.

        `retry` is the time in milliseconds after which clients may come again.
        """
        effects: list[Effect] = []
        for conn, connection in self._connections.items():
            if not connection.lost:
                effects += [Send(conn, self.closing(conn, reason, retry=retry)), Close(conn)]
        self._connections.clear()
        self._timers.clear()
        self._graces.clear()
        return effects

    # ── From lines to proposals ──────────────────────────────────────────────────────────────

    def _begin(self, connection: _Connection) -> list[Effect]:
        """The dialect is known now. A person is greeted, a program speaks first."""
        if connection.dialect is not _PLAIN:
            return []
        if connection.admitted:
            return [self._connect(connection)]
        effects: list[Effect] = []
        self._encode([Send(connection.conn, _PASSWORD_NEEDED)], effects)
        return effects

    def _proceed(self, connection: _Connection) -> list[Effect]:
        """Look at the lines that are waiting, as far as they may go."""
        effects: list[Effect] = []
        if len(connection.lines) > 1:
            self._paste(connection, effects)
        lines = connection.lines
        for place, line in enumerate(lines):
            if connection.ending:
                break
            if not line:  # asks for nothing, so it costs nothing
                continue
            if not self._may_go_on(connection):
                connection.lines = lines[place:]
                return effects
            self._line(connection, line, effects)
        connection.lines = []
        if connection.eof and not connection.ending:
            if connection.buffer.partial_bytes:
                text = "the last line had no end, so it was not taken in"
                self._answer(connection, Rejected("bad-line", text), effects)
            effects += self._end(connection)
        return effects

    def _paste(self, connection: _Connection, effects: list[Effect]) -> None:
        """Of several lines, look at as many as may be looked at now, if all of them are texts.

        That is the same as one after the other, but costs less.
        """
        name = connection.current  # who has a room has said who it is, and nothing to a web server
        if connection.dialect is not _PLAIN or name is None or connection.ending:
            return
        count = min(self._spare_lines(connection), len(connection.lines))
        if count < 2:
            return
        texts = _PLAIN.texts(connection.lines[:count])
        if texts is None or max(map(len, texts)) > MAX_TEXT_CHARS:
            return
        conn = connection.conn
        effects += [Propose(conn, Say(name.text, text, None, False, name.key)) for text in texts]
        connection.proposed += count
        connection.long_lines = 0
        connection.words_us = max(connection.words_us, self._now * 1_000) + count * self._line_us
        connection.lines = connection.lines[count:]

    def _spare_lines(self, connection: _Connection) -> int:
        """How many of a connection's lines may be looked at now, but for wrong passwords."""
        spare = MAX_OUTSTANDING - connection.proposed + connection.committed
        if connection.answers:
            spare = min(spare, MAX_OUTSTANDING - len(connection.answers))
        if self._line_us:
            # The generic cell rate algorithm (ITU-T I.371): one number instead of a bucket.
            now_us = self._now * 1_000
            until_us = now_us + max(1, self.limits.flood_burst) * self._line_us
            spare = min(spare, (until_us - max(connection.words_us, now_us)) // self._line_us)
        return spare

    def _may_go_on(self, connection: _Connection) -> bool:
        """Whether the connection's next line may be looked at now; if not, it will be woken."""
        if not connection.admitted:
            until = self._password.next_try_at(connection.peer)
            if self._now < until:
                self._wait(connection, until)
                return False
        if self._spare_lines(connection) > 0:
            if self._line_us:
                connection.words_us = max(connection.words_us, self._now * 1_000) + self._line_us
            return True
        if self._line_us:
            burst_us = max(1, self.limits.flood_burst) * self._line_us
            early_us = connection.words_us + self._line_us - self._now * 1_000 - burst_us
            if early_us > 0:
                self._wait(connection, self._now + (early_us + 999) // 1_000)
        return False  # if it is not too fast, until what it said is committed

    def _line(self, connection: _Connection, line: bytes | TooLong, effects: list[Effect]) -> None:
        dialect = connection.dialect
        assert dialect is not None  # lines come of data, and data tells the dialect
        if isinstance(line, bytes) and connection.spoke and connection.greeted:  # nearly all lines
            connection.long_lines = 0
            request = dialect.decode(line)
            if request is not None:
                self._request(connection, request, effects)
            return
        if not connection.spoke:
            connection.spoke = True
            if dialect is _PLAIN and (isinstance(line, TooLong) or line.endswith(_HTTP)):
                effects += self._end(connection, "this is a chat, not a web server")
                return
        if isinstance(line, TooLong):
            text = f"a line has at most {MAX_LINE_BYTES:,} bytes; this one was thrown away"
            request = Rejected("bad-line", text)
            connection.long_lines += 1
        else:
            connection.long_lines = 0
            if not connection.admitted and dialect is _PLAIN:
                self._check_password(connection, line, effects)
                return
            request = dialect.decode(line)
        if request is not None:
            if connection.greeted:
                self._request(connection, request, effects)
            elif isinstance(request, events.Hello):
                self._hello(connection, request, effects)
            elif connection.admitted:
                effects.append(self._connect(connection))
                self._request(connection, request, effects)
            else:
                self._answer(connection, _PASSWORD_NEEDED, effects)
        if connection.long_lines >= MAX_LONG_LINES:
            effects += self._end(connection, "three lines in a row were too long")

    def _request(
        self, connection: _Connection, request: Request | Rejected, effects: list[Effect]
    ) -> None:
        if isinstance(request, Rejected):
            self._answer(connection, request, effects)
            return
        try:
            event = checked(request, connection.current)
        except Refused as refused:
            tag, id = request.__struct_config__.tag, getattr(request, "id", None)
            rejected = Rejected(refused.reason, refused.text, str(tag), id)
            self._answer(connection, rejected, effects)
            return
        if not isinstance(event, Say):  # by far the most frequent
            match event:
                case events.Join(room, key):
                    # Current from now on, also if the join will be refused: what was typed for
                    # this room must not be said to another.
                    connection.current = Name(room, key)
                case events.Out(key=key) if connection.current and key == connection.current.key:
                    connection.current = None
                case events.Quit():
                    connection.ending = True
                case Lookup(query):
                    self._answer(connection, query, effects)
                    return
                case None:
                    return
        connection.proposed += 1
        effects.append(Propose(connection.conn, event))

    def _propose(self, connection: _Connection, event: Event) -> Propose:
        connection.proposed += 1
        return Propose(connection.conn, event)

    # ── Coming and going ─────────────────────────────────────────────────────────────────────

    def _connect(self, connection: _Connection) -> Propose:
        connection.greeted = True
        return self._propose(connection, events.Connect(*connection.sessions))

    def _hello(self, connection: _Connection, hello: events.Hello, effects: list[Effect]) -> None:
        if not connection.admitted:
            self._check_password(connection, hello.password.encode(), effects)
            if not connection.admitted:
                return
        if not (connection.token and self.limits.grace_ms):
            effects.append(self._connect(connection))
            return
        fresh = _session(connection.token)
        if not hello.token:
            connection.sessions = (fresh,)
            effects.append(self._connect(connection))
            return
        seen: dict[str, int] = {}
        for room, seq in islice(hello.seen.items(), self.state.limits.rooms_per_person):
            name = room_name(room)
            if isinstance(name, Name):
                seen[name.key] = seq
        connection.greeted = True
        connection.sessions = (_session(hello.token), fresh)
        resume = events.Resume(*connection.sessions, seen, hello.told)
        effects.append(self._propose(connection, resume))

    def _disconnect(self, connection: _Connection, reason: str) -> Propose:
        """Propose a connection's last event."""
        connection.ending = True
        return self._propose(connection, events.Disconnect(reason))

    def _begin_grace(self, connection: _Connection, reason: str) -> None:
        """The connection is gone; its session can be resumed for a while."""
        graces = self._graces
        grace = _Grace(self._now + self.limits.grace_ms, connection.conn, reason)
        for session in connection.sessions:
            if self._is_away(session, grace):
                graces.pop(session, None)  # so that they stand in the order of time
                graces[session] = grace
        # Beyond a bound the state ends the one that is away longest, which needs no grace then.
        while graces and not self._is_away(*next(iter(graces.items()))):
            del graces[next(iter(graces))]

    def _is_away(self, session: str, grace: _Grace) -> bool:
        """Whether a session waits to be resumed since its grace began."""
        person = self.state.away(session)
        return person is not None and person.conn == grace.conn

    def _end(
        self, connection: _Connection, reason: str = "", *, retry: int | None = None
    ) -> list[Effect]:
        """The server ends a connection, for a reason that it is told and others are."""
        effects: list[Effect] = []
        if reason:
            self._answer(connection, notices.Closing(reason, retry), effects)
        if connection.greeted:
            return [*effects, self._disconnect(connection, reason)]
        connection.ending = True
        del self._connections[connection.conn]
        return [*effects, Close(connection.conn)]

    def _check_password(
        self, connection: _Connection, password: bytes, effects: list[Effect]
    ) -> None:
        if not password and connection.dialect is _JSONL:
            self._answer(connection, _PASSWORD_NEEDED, effects)
            return
        if self._password.is_right(password, connection.peer, self._now):
            connection.admitted = True
            if connection.dialect is _PLAIN:
                effects.append(self._connect(connection))
            return
        connection.failures += 1
        if connection.failures >= MAX_PASSWORD_FAILURES:
            effects += self._end(connection, "three passwords were wrong")
            return
        wrong = Rejected("wrong-password", "that is not this server's password", "hello")
        self._answer(connection, wrong, effects)

    # ── Answers that need no entry ───────────────────────────────────────────────────────────

    def _answer(self, connection: _Connection, answer: _Answer, effects: list[Effect]) -> None:
        """Give an answer in its turn: now, or when what was proposed before is committed."""
        if connection.proposed == connection.committed:
            self._encode([Send(connection.conn, self._notice(connection, answer))], effects)
        else:
            connection.answers.append((connection.proposed, answer))

    def _after_commit(self, connection: _Connection, event: Event) -> list[Effect]:
        """What had to wait for the connection's own entry."""
        effects: list[Effect] = []
        answers = connection.answers
        while answers and answers[0][0] <= connection.committed:
            notice = self._notice(connection, answers.pop(0)[1])
            self._encode([Send(connection.conn, notice)], effects)
        match event:
            case events.Disconnect(reason):
                if not connection.lost:
                    effects.append(Close(connection.conn))
                del self._connections[connection.conn]
                self._begin_grace(connection, reason or "connection lost")
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
            case _:
                assert_never(query)

    # ── From actions to effects ──────────────────────────────────────────────────────────────

    def _encode(self, actions: Iterable[Action], effects: list[Effect]) -> None:
        for action in actions:
            if isinstance(action, Broadcast):
                self._encode_row([action], effects)
            elif isinstance(action, Send):
                conn, notice = action.conn, action.payload
                connection = self._connections.get(conn)
                if connection is None or connection.lost or connection.dialect is None:
                    continue
                if isinstance(notice, notices.Welcome):
                    notice = self._welcome(connection, notice)
                if payload := connection.dialect.encode(notice):
                    effects.append(Send(conn, payload))
            else:
                connection = self._connections.pop(action.conn, None)
                if connection is not None and not connection.lost:
                    effects.append(action)

    def _encode_row(self, row: list[Broadcast[Notice]], effects: list[Effect]) -> None:
        """Tell in one broadcast for each dialect what one author does in a row."""
        audience, author = row[0].audience, row[0].author
        lanes: _Lanes | None = audience.derived
        if lanes is None:
            lanes = audience.derived = self._lanes(audience)
        own = self._connections.get(author)
        for dialect, members in lanes.items():
            encode, told = dialect.encode, b""
            is_own = own is not None and own.dialect is dialect
            if len(row) == 1:
                (action,) = row
                payload = encode(action.payload)
                if is_own and action.receipt is not None:
                    told = encode(action.receipt)
            else:
                payload = b"".join([encode(action.payload) for action in row])
                if is_own:
                    told = b"".join([encode(one.receipt) for one in row if one.receipt])
            effects.append(Broadcast(members, payload, author, told))

    def _lanes(self, audience: Audience) -> _Lanes:
        """The part of an audience that is connected here, by dialect."""
        lineage, conns = audience.lineage, audience.conns
        if lineage is None:
            return {
                dialect: Audience(tuple(members))
                for dialect, members in self._by_dialect(conns).items()
            }
        room: _RoomLanes | None = lineage.derived
        if room is None:
            room = lineage.derived = _RoomLanes()
        if conns and conns[:-1] == room.conns:  # as a rule, somebody came
            came = self._by_dialect(conns[-1:])
            lanes = {**room.lanes}
        else:
            came = self._by_dialect(conns)
            lanes = {}
        for dialect, members in came.items():
            before = lanes[dialect].conns if dialect in lanes else ()
            lanes[dialect] = Audience((*before, *members), room.lineage(dialect))
        room.conns, room.lanes = conns, lanes
        return lanes

    def _by_dialect(self, conns: Iterable[int]) -> dict[Dialect, list[int]]:
        by_dialect: dict[Dialect, list[int]] = {}
        connections = self._connections
        for conn in conns:
            connection = connections.get(conn)
            if connection is not None and (dialect := connection.dialect) is not None:
                members = by_dialect.get(dialect)
                if members is None:
                    by_dialect[dialect] = [conn]
                else:
                    members.append(conn)
        return by_dialect

    def _welcome(self, connection: _Connection, welcome: notices.Welcome) -> notices.Welcome:
        """The state says who you are; the node adds what it is."""
        return msgspec.structs.replace(
            welcome,
            server=self._server,
            version=VERSION,
            token=connection.token if connection.sessions else "",
            motd=self._motd,
            limits=self._told_limits,
        )


def _is_row(entries: Iterable[Entry], connection: _Connection) -> bool:
    """Whether all entries are a connection's messages, and nothing has its place between them."""
    if connection.answers or connection.lines or connection.ending:
        return False
    conn = connection.conn
    return all(entry.conn == conn and isinstance(entry.event, Say) for entry in entries)


# The dialects in use in one audience, each with its members.
_Lanes: TypeAlias = dict[Dialect, Audience]


class _RoomLanes:
    """The lanes of a room's last audience; what is derived from its lineage."""

    __slots__ = ("_lineages", "conns", "lanes")

    def __init__(self) -> None:
        self.conns: tuple[int, ...] = ()
        self.lanes: _Lanes = {}
        self._lineages: dict[Dialect, Lineage] = {}

    def lineage(self, dialect: Dialect) -> Lineage:
        """The same for all lanes of one dialect."""
        lineage = self._lineages.get(dialect)
        if lineage is None:
            lineage = self._lineages[dialect] = Lineage()
        return lineage


_PASSWORD_NEEDED = Rejected("password-needed", "this server has a password: say it first", "hello")


def _session(token: str) -> str:
    """What the state knows a session by: it never sees the token itself."""
    return hashlib.sha256(token.encode()).hexdigest()
