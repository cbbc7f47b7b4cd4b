"""The fan-out: what is to be sent, to whom, in how few system calls, and how much may wait.

Theory. A server of rooms does one thing most of the time: it gives the same bytes to many
connections. Plain code makes one call per message and member. Here the cost per message and
member is nearly nothing, by two observations:

* All that a connection is sent during one turn of the event loop can leave in one call.
* All members of a room are sent the same, so it can be one object, joined once.

So the members of a room are a *group*, which lasts while the room does, and what a group is sent
in a turn are its *chunks*: a broadcast only appends to them, and touches no member. At the end of
the turn they are joined once, and every member is written the same object.

All that is sent in a turn is numbered. Whoever has something of its own to be sent, or is in
several groups, is written by itself: its messages and the chunks of its groups, brought into the
order of their numbers. What is for several rooms at once (somebody who was in all of them is gone)
is a chunk of each of their groups with one number, so nobody is told it twice. Those who are in the
same groups, and sent nothing else, share the result.

Rules:

Rule 1: What a connection receives is what a naive loop of writes would have given it, byte for
        byte.

Rule 2: An author's own bytes differ (a receipt in the place of its message). Only it pays for that.

Rule 3: A connection is together with the others in one group at most, its *home*; in its other
        rooms it is always apart. So is one whose peer is slow.

Rule 4: Coming and going costs the same in a room of any size.

Rule 5: Nothing here waits. What the kernel does not take stays as references to the shared
        bytes, and goes out when the transport is writable again.

Rule 6: What waits has two bounds, bytes and time without progress. Past either, the connection
        is given up: `Transport.overrun` is called, once. The bound of bytes is for what happens
        while a peer does not read; a stream, which it is owed, is made as it is taken.

No gevent in this file: the loop's part is the methods of `Transport` and one callable.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import count
from typing import Final, Protocol, TypeAlias, cast

from tcpchat_core import Audience

# A reader this far behind has missed some five thousand lines; more memory would not help it.
MAX_BACKLOG_BYTES = 1_048_576

# Ten seconds without taking a single byte: the peer is stopped, or the path is cut.
STALL_TIMEOUT_MS = 10_000

# How much of a backlog is joined for one write: about what a socket's buffer takes.
_WRITE_BYTES = 262_144

# How often a backlog is written before it is somebody else's turn: pieces of a stream are small.
_WRITES_AT_ONCE = 8


class Transport(Protocol):
    """A connection, as the fan-out sees it."""

    def write(self, data: bytes | memoryview, /) -> int:
        """Write without waiting; return how many bytes were taken.

        Raises BlockingIOError when none can be taken now, another OSError when none ever will.
        """

    def want_writable(self, wanted: bool) -> None:
        """Whether to call `Fanout.writable` when bytes can be written again."""

    def owes(self, owes: bool, /) -> None:
        """Whether the peer does not take a stream that it asked for: it need not ask for more."""

    def failed(self) -> None:
        """A write raised OSError: the connection is lost. Called once."""

    def overrun(self) -> None:
        """The connection is past a bound, and nothing more is written to it. Called once."""

    def finished(self) -> None:
        """`Fanout.close` was asked for, and all that was sent before has been written."""


class _Group:
    """The members of one room that are here, and what they are sent in this turn."""

    __slots__ = ("apart", "chunks", "entered", "joined", "numbers", "receipts", "together")

    def __init__(self) -> None:
        # Those whom nothing but the chunks is sent, as a rule, by the `write` of their transports:
        # all that is looked at for each delivery.
        self.together: dict[int, Callable[[bytes], int]] = {}
        self.apart: dict[int, _Outbox] = {}
        self.chunks: list[bytes] = []  # of this turn
        self.numbers: list[int] = []  # … and their places among all that is sent in it
        self.joined: bytes | None = None  # once it is over
        # For each author the places of its own chunks, and what stands there instead.
        self.receipts: dict[int, list[tuple[int, bytes]]] = {}
        # How many chunks there had been when a member came, in this turn.
        self.entered: dict[int, int] = {}

    def shared_bytes(self) -> bytes:
        """What all members but authors are sent in this turn."""
        if self.joined is None:
            self.joined = b"".join(self.chunks)
        return self.joined

    def chunks_for(self, conn: int, start: int, end: int | None) -> list[bytes]:
        """Some of the chunks, as one member is sent them."""
        chunks = self.chunks[start:end]
        for place, receipt in self.receipts.get(conn, ()):
            if start <= place < start + len(chunks):
                chunks[place - start] = receipt
        return chunks

    def end_turn(self) -> None:
        """What was sent is written, or kept."""
        self.chunks, self.numbers, self.joined = [], [], None
        self.receipts, self.entered = {}, {}


# Chunks of a group in one turn, from a place to another, or to the end.
_Span: TypeAlias = tuple[_Group, int, "int | None"]

# What one connection is sent: bytes, or a stream of them.
_Sent: TypeAlias = "bytes | Iterator[bytes]"

# Most connections never have a backlog; they share this one, and an empty deque has 600 bytes.
_NO_BACKLOG: Final[deque[_Sent]] = deque(maxlen=0)


class _Outbox:
    """What one connection is still to be sent, beside its home's chunks."""

    __slots__ = (
        "backlog",
        "backlog_bytes",
        "closing",
        "conn",
        "home",
        "is_gone",
        "is_together",
        "offset",
        "owed_bytes",
        "owes",
        "parts",
        "progress_at",
        "rest_of_line",
        "spans",
        "streams",
        "transport",
        "waits",
        "write",
    )

    def __init__(self, conn: int, transport: Transport) -> None:
        self.conn = conn
        self.transport = transport
        self.write = transport.write
        self.home: _Group | None = None
        self.is_together = False  # with the others of its home
        self.is_gone = False  # it was removed
        # What it is sent in this turn: of its own, by number; and of groups, as far as it is
        # known before the end.
        self.parts: list[tuple[int, _Sent]] = []
        self.spans: list[_Span] = []
        self.backlog = _NO_BACKLOG  # of earlier turns, when the peer is slow
        self.backlog_bytes = 0
        self.owed_bytes = 0  # how many bytes of it are a piece of a stream
        self.streams = 0  # how many it has that are not through
        self.waits = False  # the transport knows that there is a backlog
        self.owes = False  # … and that it has a stream
        self.offset = 0  # how much of backlog[0] is written
        self.progress_at = 0  # when the peer last took something of the backlog
        self.rest_of_line = b""  # what was cut off by a bound in the middle of a line
        self.closing = False


# In the place of a number of bytes: none will ever be written again.
_LOST: Final = -1

# What a connection was sent and was not all written, and how many bytes of it were.
_Unwritten: TypeAlias = tuple[_Outbox, list[_Sent], int]


def _take_parts(outbox: _Outbox, shared: dict[tuple[_Span, ...], bytes]) -> list[_Sent]:
    """What a connection is sent in this turn, which ends with it.

    `shared` has what those are sent who have nothing but some chunks of groups.
    """
    conn, spans, parts = outbox.conn, outbox.spans, outbox.parts
    if spans:
        outbox.spans = []
    if parts:
        outbox.parts = []
    elif len(spans) == 1:
        ((group, start, end),) = spans
        if not (start or end is not None or conn in group.receipts):
            return [group.shared_bytes()]
        return [b"".join(group.chunks_for(conn, start, end))]
    key = tuple(spans)
    is_shared = not parts
    for group, _, _ in spans:
        is_shared = is_shared and conn not in group.receipts
    if is_shared and (data := shared.get(key)) is not None:
        return [data]
    told: dict[int, _Sent] = {}
    for group, start, end in spans:
        chunks = group.chunks_for(conn, start, end)
        told.update(zip(group.numbers[start:end], chunks, strict=True))
    told.update(parts)
    in_order = [told[number] for number in sorted(told)]
    if any(not isinstance(part, bytes) for _, part in parts):
        return _around_streams(in_order)
    data = b"".join(cast(list[bytes], in_order))
    if is_shared:
        shared[key] = data
    return [data]


def _around_streams(sent: list[_Sent]) -> list[_Sent]:
    """Join what is between streams."""
    taken: list[_Sent] = []
    run: list[bytes] = []
    for part in sent:
        if isinstance(part, bytes):
            run.append(part)
        else:
            taken += [b"".join(run), part]
            run = []
    return [*taken, b"".join(run)] if run else taken


class Fanout:
    """All outboxes of one server. Call `flush(now)` at the end of each turn that called `wake`.

    `wake` is called when there is something to send for the first time in a turn. `now` is in
    milliseconds of the clock that `check_stalls` is called with.
    """

    def __init__(
        self,
        wake: Callable[[], None],
        *,
        max_backlog_bytes: int = MAX_BACKLOG_BYTES,
        stall_timeout_ms: int = STALL_TIMEOUT_MS,
    ) -> None:
        self._wake = wake
        self._max_backlog_bytes = max_backlog_bytes
        self._stall_timeout_ms = stall_timeout_ms
        self._outboxes: dict[int, _Outbox] = {}
        self._busy: list[_Group] = []  # those with chunks
        # Those who are written by themselves in this turn; more are found at its end.
        self._noted: dict[int, _Outbox] = {}
        self._number = 0  # of what is sent next in this turn
        self._slow: dict[int, _Outbox] = {}
        self.sent_bytes = 0  # that transports have taken, since the beginning
        # Of who was given up last: how many bytes waited, and since when it had taken none.
        self.given_up = (0, 0)

    def configure(self, *, max_backlog_bytes: int, stall_timeout_ms: int) -> None:
        """Other bounds hold from the next write, and the next check, on."""
        self._max_backlog_bytes = max_backlog_bytes
        self._stall_timeout_ms = stall_timeout_ms

    # ── Connections ──────────────────────────────────────────────────────────────────────────

    def add(self, conn: int, transport: Transport) -> None:
        """From now on `conn` can be sent to."""
        self._outboxes[conn] = _Outbox(conn, transport)

    def remove(self, conn: int) -> None:
        """Nothing more is written to `conn`; what waited for it is dropped."""
        outbox = self._outboxes.pop(conn, None)
        if outbox is None:
            return
        self._slow.pop(conn, None)
        if outbox.home is not None:
            outbox.home.together.pop(conn, None)
            outbox.home = None
        # Its rooms may still be sent to before they hear of it.
        outbox.is_gone = True
        outbox.is_together = outbox.closing = False
        outbox.parts, outbox.spans, outbox.backlog = [], [], _NO_BACKLOG

    def close(self, conn: int) -> None:
        """Call the transport's `finished` when all that was sent so far is written."""
        outbox = self._outboxes.get(conn)
        if outbox is not None:
            outbox.closing = True
            self._note(outbox)

    @property
    def backlog_bytes(self) -> int:
        """How many bytes wait for slow peers, counted as if nothing were shared."""
        # Another thread may ask: it takes the list in one step, in which nothing else runs.
        return sum([outbox.backlog_bytes for outbox in list(self._slow.values())])

    # ── Who is in a group ────────────────────────────────────────────────────────────────────

    def enter(self, audience: Audience, conn: int) -> None:
        """From here on `conn` is sent what the audience is."""
        outbox = self._outboxes.get(conn)
        if outbox is None:
            return
        group: _Group | None = audience.derived
        if group is None:
            group = audience.derived = _Group()
        if outbox.is_together:
            self._set_apart(outbox)
        outbox.home = group
        group.apart[conn] = outbox
        if group.chunks:
            group.entered[conn] = len(group.chunks)
        self._note(outbox)

    def leave(self, audience: Audience, conn: int) -> None:
        """From here on it is not."""
        group: _Group | None = audience.derived
        if group is None:
            return
        if conn in group.together:
            self._set_apart(self._outboxes[conn])
        outbox = group.apart.pop(conn, None)
        if outbox is None:
            return
        if outbox.home is group:
            outbox.home = None
        start, end = group.entered.pop(conn, 0), len(group.chunks)
        if start < end and not outbox.is_gone:
            outbox.spans.append((group, start, end))
            self._note(outbox)

    # ── Sending: never waits, so a broadcast is atomic ───────────────────────────────────────

    def send(self, conn: int, data: bytes) -> None:
        """Send bytes to one connection."""
        outbox = self._outboxes.get(conn)
        if outbox is not None:
            self._add_part(outbox, data)

    def stream(self, conn: int, pieces: Iterable[bytes]) -> None:
        """Send pieces to one connection, each when the peer has taken the one before."""
        outbox = self._outboxes.get(conn)
        if outbox is not None:
            self._add_part(outbox, iter(pieces))

    def broadcast(
        self,
        audience: Audience,
        data: bytes,
        author: int,
        receipt: bytes,
        also: tuple[Audience, ...] = (),
    ) -> None:
        """Send `data` to all of the audience but `author`, who gets `receipt` in its place.

        `also` are further audiences; who is in several is sent it once.
        """
        number = self._number
        self._number = number + 1
        for each in (audience, *also) if also else (audience,):
            group: _Group | None = each.derived
            if group is None:
                continue
            if not group.chunks:
                self._wake_once()
                self._busy.append(group)
            outbox = self._outboxes.get(author)
            if outbox is not None and (author in group.together or author in group.apart):
                self._note(outbox)
                group.receipts.setdefault(author, []).append((len(group.chunks), receipt))
            group.chunks.append(data)
            group.numbers.append(number)

    def _add_part(self, outbox: _Outbox, part: _Sent) -> None:
        outbox.parts.append((self._number, part))
        self._number += 1
        self._note(outbox)

    def _note(self, outbox: _Outbox) -> None:
        """A connection is to be written by itself in this turn."""
        self._wake_once()
        self._noted[outbox.conn] = outbox

    def _set_apart(self, outbox: _Outbox) -> None:
        """A connection is with the others of its home no more."""
        group = outbox.home
        assert group is not None, "it is together with nobody"
        group.together.pop(outbox.conn, None)
        group.apart[outbox.conn] = outbox
        outbox.is_together = False

    def _go_home(self, outbox: _Outbox) -> None:
        """Nothing waits for the connection: as a rule it is sent what its home is, and no more."""
        group = outbox.home
        if group is not None and not outbox.backlog:
            if not outbox.is_together:
                del group.apart[outbox.conn]
                outbox.is_together = True
            group.together[outbox.conn] = outbox.write

    def _wake_once(self) -> None:
        if not (self._busy or self._noted):
            self._wake()

    # ── Writing ──────────────────────────────────────────────────────────────────────────────

    def flush(self, now: int) -> None:
        """Write what was sent in this turn, once per connection."""
        busy, self._busy = self._busy, []
        alone, self._noted = self._noted, {}
        self._number = 0
        self._find_alone(busy, alone)
        # To deal with what was not written, and with ends, may send something, which belongs to
        # the next turn.
        unwritten: list[_Unwritten] = []
        finished: list[_Outbox] = []
        for group in busy:
            if group.together:
                self._write_together(group, unwritten)
        self._write_alone(alone, unwritten, finished)
        for group in busy:
            group.end_turn()
        for outbox, parts, written in unwritten:
            if not outbox.is_gone:
                self._keep(outbox, parts, written, now)
        for outbox in finished:
            if outbox.closing:
                outbox.closing = False
                outbox.transport.finished()

    def _find_alone(self, busy: list[_Group], alone: dict[int, _Outbox]) -> None:
        """Find all who are written by themselves, and what they are sent of their groups."""
        for group in busy:
            entered, count = group.entered, len(group.chunks)
            for conn, outbox in group.apart.items():
                if outbox.is_gone:
                    continue
                start = entered.get(conn, 0) if entered else 0
                if start < count:
                    outbox.spans.append((group, start, None))
                    alone[conn] = outbox
                if outbox.home is None:
                    outbox.home = group
        for conn, outbox in alone.items():
            home = outbox.home
            if outbox.is_together and home is not None and home.chunks:
                del home.together[conn]
                start = home.entered.get(conn, 0)
                if start < len(home.chunks):
                    outbox.spans.append((home, start, None))

    def _write_together(self, group: _Group, unwritten: list[_Unwritten]) -> None:
        try:
            data = group.shared_bytes()
        except MemoryError:  # nobody is sent less than all: they are lost
            unwritten += [(self._outboxes[conn], [], _LOST) for conn in group.together]
            return
        size, first = len(data), len(unwritten)
        if not size:
            return
        for conn, write in group.together.items():
            try:
                written = write(data)
            except BlockingIOError:
                written = 0
            except (OSError, MemoryError):
                written = _LOST
            if written != size:
                unwritten.append((self._outboxes[conn], [data], written))
        self.sent_bytes += size * len(group.together)
        for _, _, written in unwritten[first:]:
            self.sent_bytes -= size - max(0, written)

    def _write_alone(
        self, alone: dict[int, _Outbox], unwritten: list[_Unwritten], finished: list[_Outbox]
    ) -> None:
        shared: dict[tuple[_Span, ...], bytes] = {}
        sent = 0
        for outbox in alone.values():
            if outbox.is_gone:
                continue
            parts: list[_Sent] = []
            data, written = b"", 0
            try:
                parts = _take_parts(outbox, shared)
                if len(parts) == 1 and isinstance(parts[0], bytes):
                    data = parts[0]
                if data and not outbox.backlog:
                    written = outbox.write(data)
            except BlockingIOError:
                pass
            except (OSError, MemoryError):
                written = _LOST
            if written > 0:
                sent += written
            if written != len(data) or len(parts) > 1:
                if outbox.is_together:
                    self._set_apart(outbox)
                unwritten.append((outbox, parts, written))
                continue
            self._go_home(outbox)
            if outbox.closing and not outbox.backlog:
                finished.append(outbox)
        self.sent_bytes += sent

    def _keep(self, outbox: _Outbox, parts: list[_Sent], written: int, now: int) -> None:
        """Keep what was not written for when the peer takes it, or give the peer up."""
        if written == _LOST:
            self._give_up(outbox, outbox.transport.failed)
            return
        if not outbox.backlog:
            if outbox.is_together:
                self._set_apart(outbox)
            outbox.backlog, outbox.offset = deque(), written
            outbox.backlog_bytes, outbox.owed_bytes = -written, 0
            outbox.progress_at = now
            self._slow[outbox.conn] = outbox
        for part in parts:
            if not isinstance(part, bytes):
                outbox.streams += 1
            elif part:
                outbox.backlog_bytes += len(part)
            else:
                continue
            outbox.backlog.append(part)
        # A stream is made as it is taken, so as a rule more can be written than was tried.
        if outbox.streams and (not outbox.waits or self._is_past_bound(outbox)):
            self._drain(outbox, now)
        else:
            self._tell_what_waits(outbox)
        if self._is_past_bound(outbox):
            self._give_up(outbox, outbox.transport.overrun)

    def _is_past_bound(self, outbox: _Outbox) -> bool:
        return outbox.backlog_bytes - outbox.owed_bytes > self._max_backlog_bytes

    def writable(self, conn: int, now: int) -> None:
        """The transport can be written to again: write what waits."""
        outbox = self._outboxes.get(conn)
        if outbox is not None and outbox.backlog:
            self._drain(outbox, now)

    def _drain(self, outbox: _Outbox, now: int) -> None:
        """Write as much of a backlog as the peer takes."""
        try:
            self._write_backlog(outbox, now)
        except BlockingIOError:
            pass
        except (OSError, MemoryError):
            self._give_up(outbox, outbox.transport.failed)
            return
        self._tell_what_waits(outbox)
        if not outbox.backlog:
            self._catch_up(outbox)

    def _write_backlog(self, outbox: _Outbox, now: int) -> None:
        backlog = outbox.backlog
        for writes in count():
            if writes >= _WRITES_AT_ONCE and not self._is_past_bound(outbox):
                return
            if not self._make_first_piece(outbox):
                return
            data = self._first_bytes(outbox)
            written = outbox.write(memoryview(data)[outbox.offset :])
            self.sent_bytes += written
            outbox.progress_at = now
            outbox.backlog_bytes -= written
            outbox.owed_bytes = max(0, outbox.owed_bytes - written)
            outbox.offset += written
            while (
                backlog and isinstance(first := backlog[0], bytes) and outbox.offset >= len(first)
            ):
                outbox.offset -= len(first)
                backlog.popleft()

    def _tell_what_waits(self, outbox: _Outbox) -> None:
        """Let the transport know whether anything waits, and a stream, where that has changed."""
        waits, owes = bool(outbox.backlog), outbox.streams > 0
        if waits != outbox.waits:
            outbox.waits = waits
            outbox.transport.want_writable(waits)
        if owes != outbox.owes:
            outbox.owes = owes
            outbox.transport.owes(owes)

    def _catch_up(self, outbox: _Outbox) -> None:
        """Nothing of a backlog is left."""
        del self._slow[outbox.conn]
        outbox.backlog = _NO_BACKLOG
        self._go_home(outbox)
        if outbox.closing and outbox.conn not in self._noted:
            outbox.closing = False
            outbox.transport.finished()

    def _make_first_piece(self, outbox: _Outbox) -> bool:
        """Have bytes in the first place of a backlog; return whether there is anything left."""
        backlog = outbox.backlog
        while backlog and not isinstance(first := backlog[0], bytes):
            piece = next(first, None)
            if piece is None:
                backlog.popleft()
                outbox.streams -= 1
            elif piece:
                backlog.appendleft(piece)
                outbox.backlog_bytes += len(piece)
                outbox.owed_bytes = len(piece)
        return bool(backlog)

    def _first_bytes(self, outbox: _Outbox) -> bytes:
        """As much of the backlog as one write may take, up to the next stream."""
        size = 0
        pieces: list[bytes] = []
        for piece in outbox.backlog:
            if not isinstance(piece, bytes):
                break
            pieces.append(piece)
            size += len(piece)
            if size >= _WRITE_BYTES:
                break
        return b"".join(pieces) if len(pieces) > 1 else pieces[0]

    def check_stalls(self, now: int) -> None:
        """Give up the connections that have taken nothing for too long. Call it now and then."""
        for outbox in tuple(self._slow.values()):
            if outbox.backlog and now - outbox.progress_at >= self._stall_timeout_ms:
                self._give_up(outbox, outbox.transport.overrun)

    def last_words(self, conn: int, data: bytes) -> None:
        """Try to write `data` as a line of its own to a connection that is past a bound."""
        outbox = self._outboxes.get(conn)
        if outbox is not None and (words := outbox.rest_of_line + data):
            with contextlib.suppress(OSError, MemoryError):
                self.sent_bytes += outbox.write(words)

    def _give_up(self, outbox: _Outbox, tell: Callable[[], None]) -> None:
        if outbox.offset and outbox.backlog and isinstance(first := outbox.backlog[0], bytes):
            # Nothing is left of a line whose end was the last byte written.
            end = first.find(b"\n", outbox.offset - 1) + 1
            outbox.rest_of_line = first[outbox.offset : max(end, outbox.offset)]
        self.given_up = (outbox.backlog_bytes, outbox.progress_at)
        self._slow.pop(outbox.conn, None)
        outbox.backlog = _NO_BACKLOG
        outbox.backlog_bytes = outbox.owed_bytes = outbox.streams = 0
        outbox.closing = outbox.owes = False
        if outbox.waits:
            outbox.waits = False
            outbox.transport.want_writable(False)
        tell()
