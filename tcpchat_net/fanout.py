"""The fan-out: what is to be sent, to whom, in how few system calls, and how much may wait.

Theory. A server of rooms does one thing most of the time: it gives the same bytes to many
connections. Plain code makes one call per message and member. Here the cost per message and
member is nearly nothing, by two observations:

* All that a connection is sent during one turn of the event loop can leave in one call.
* All members of a room are sent the same, so it can be one object, joined once.

So an audience has one open *batch* per turn. The first broadcast of the turn puts the batch into
each member's outbox; later ones only append to the batch. At the end of the turn every outbox
with something in it is flushed: one non-blocking write.

Rules:

Rule 1: What a connection receives is what a naive loop of writes would have given it, byte for
        byte. To keep it, a batch is closed for appending as soon as any member is sent something
        else: what comes later goes behind that.

Rule 2: An author's own bytes differ (a receipt in the place of its message). Only it pays for that.

Rule 3: Nothing here waits. What the kernel does not take stays as references to the shared
        batches, and goes out when the transport is writable again.

Rule 4: What waits has two bounds, bytes and time without progress. Past either, the connection
        is given up: `Transport.overrun` is called, once.

No gevent in this file: the loop's part is three methods of `Transport` and one callable.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable
from typing import Final, Protocol

from tcpchat_core import Audience

# A reader this far behind has missed some five thousand lines; more memory would not help it.
MAX_BACKLOG_BYTES = 1_048_576

# Ten seconds without taking a single byte: the peer is stopped, or the path is cut.
STALL_TIMEOUT_MS = 10_000

# How much of a backlog is joined for one write: about what a socket's buffer takes.
_WRITE_BYTES = 262_144


class Transport(Protocol):
    """A connection, as the fan-out sees it."""

    def write(self, data: bytes | memoryview, /) -> int:
        """Write without waiting; return how many bytes were taken.

        Raises BlockingIOError when none can be taken now, another OSError when none ever will.
        """

    def want_writable(self, wanted: bool) -> None:
        """Whether to call `Fanout.writable` when bytes can be written again."""

    def failed(self) -> None:
        """A write raised OSError: the connection is lost. Called once."""

    def overrun(self) -> None:
        """The connection is past a bound, and nothing more is written to it. Called once."""

    def finished(self) -> None:
        """`Fanout.close` was asked for, and all that was sent before has been written."""


class _Batch:
    """What one audience is sent in one turn."""

    __slots__ = ("chunks", "is_open", "joined", "receipts")

    def __init__(self) -> None:
        self.chunks: list[bytes] = []
        self.is_open = True
        self.joined: bytes | None = None
        # For each author the places of its own messages, and what stands there instead.
        self.receipts: dict[int, list[tuple[int, bytes]]] = {}

    def bytes_for(self, conn: int) -> bytes:
        """What one member is sent; the same object for all but authors."""
        if conn in self.receipts:
            own = self.chunks.copy()
            for place, receipt in self.receipts[conn]:
                own[place] = receipt
            return b"".join(own)
        return self.shared_bytes()

    def shared_bytes(self) -> bytes:
        """What all members but authors are sent."""
        if self.joined is None:
            self.joined = b"".join(self.chunks)
        return self.joined


class _Group:
    """What is derived from an audience: its outboxes, and its open batch."""

    __slots__ = ("batch", "outboxes")

    def __init__(self, outboxes: list[_Outbox]) -> None:
        self.outboxes = outboxes
        self.batch: _Batch | None = None


# Most connections never have a backlog; they share this one, and an empty deque has 600 bytes.
_NO_BACKLOG: Final[deque[bytes]] = deque(maxlen=0)


class _Outbox:
    """What one connection is still to be sent."""

    __slots__ = (
        "backlog",
        "backlog_bytes",
        "closing",
        "conn",
        "offset",
        "parts",
        "progress_at",
        "rest_of_line",
        "tail",
        "transport",
        "write",
    )

    def __init__(self, conn: int, transport: Transport) -> None:
        self.conn = conn
        self.transport = transport
        self.write = transport.write
        self.parts: list[bytes | _Batch] = []  # of this turn
        self.tail: _Batch | None = None  # the last part, when it is an open batch
        self.backlog = _NO_BACKLOG  # of earlier turns, when the peer is slow
        self.backlog_bytes = 0
        self.offset = 0  # how much of backlog[0] is written
        self.progress_at = 0  # when the peer last took something of the backlog
        self.rest_of_line = b""  # what was cut off by a bound in the middle of a line
        self.closing = False


class Fanout:
    """All outboxes of one server. Call `flush(now)` at the end of each turn that called `wake`.

    `wake` is called when the first bytes of a turn are put into an outbox. `now` is in
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
        self._dirty: list[_Outbox] = []
        self._slow: dict[int, _Outbox] = {}

    # ── Connections ──────────────────────────────────────────────────────────────────────────

    def add(self, conn: int, transport: Transport) -> None:
        """From now on `conn` can be sent to."""
        self._outboxes[conn] = _Outbox(conn, transport)

    def remove(self, conn: int) -> None:
        """Nothing more is written to `conn`; what waited for it is dropped."""
        outbox = self._outboxes.pop(conn, None)
        if outbox is not None:
            self._slow.pop(conn, None)
            outbox.parts = []
            outbox.backlog = _NO_BACKLOG
            outbox.closing = False
            # Its audiences may still be sent to, and a flush may be under way: that goes nowhere.
            outbox.write = len

    def close(self, conn: int) -> None:
        """Call the transport's `finished` when all that was sent so far is written."""
        outbox = self._outboxes.get(conn)
        if outbox is not None:
            outbox.closing = True
            self._touch(outbox)

    @property
    def backlog_bytes(self) -> int:
        """How many bytes wait for slow peers, counted as if nothing were shared."""
        return sum(outbox.backlog_bytes for outbox in self._slow.values())

    # ── Sending: never waits, so a broadcast is atomic ───────────────────────────────────────

    def send(self, conn: int, data: bytes) -> None:
        """Send bytes to one connection."""
        outbox = self._outboxes.get(conn)
        if outbox is not None:
            self._touch(outbox)
            outbox.parts.append(data)

    def broadcast(self, audience: Audience, data: bytes, author: int, receipt: bytes) -> None:
        """Send `data` to all of the audience but `author`, who gets `receipt` in its place."""
        group: _Group | None = audience.derived
        if group is None:
            outboxes = self._outboxes
            group = audience.derived = _Group(
                [outboxes[conn] for conn in audience.conns if conn in outboxes]
            )
        batch = group.batch
        if batch is None or not batch.is_open:
            batch = group.batch = _Batch()
            dirty = self._dirty
            if not dirty:
                self._wake()
            for outbox in group.outboxes:  # `_touch` in place: this is the hottest loop there is
                if outbox.tail is not None:
                    outbox.tail.is_open = False
                elif not outbox.parts:
                    dirty.append(outbox)
                outbox.tail = batch
                outbox.parts.append(batch)
        own = self._outboxes.get(author)
        if own is not None and own.tail is batch:
            batch.receipts.setdefault(author, []).append((len(batch.chunks), receipt))
        batch.chunks.append(data)

    def _touch(self, outbox: _Outbox) -> None:
        """Something else than the open batch goes behind it: close it. Note who needs a flush."""
        if outbox.tail is not None:
            outbox.tail.is_open = False
            outbox.tail = None
        elif not outbox.parts:
            if not self._dirty:
                self._wake()
            self._dirty.append(outbox)

    # ── Writing ──────────────────────────────────────────────────────────────────────────────

    def flush(self, now: int) -> None:
        """Write what was sent in this turn, once per connection."""
        dirty, self._dirty = self._dirty, []
        shared: _Batch | None = None
        shared_data = b""
        for outbox in dirty:
            parts, batch = outbox.parts, outbox.tail
            outbox.tail = None
            if batch is not None and len(parts) == 1:  # as a rule, for all of a room in a row
                if batch is not shared:
                    batch.is_open = False
                    shared, shared_data = batch, batch.shared_bytes()
                data = (
                    batch.bytes_for(outbox.conn) if outbox.conn in batch.receipts else shared_data
                )
            else:
                if batch is not None:
                    batch.is_open = False
                data = b"".join(
                    [
                        part.bytes_for(outbox.conn) if isinstance(part, _Batch) else part
                        for part in parts
                    ]
                )
            parts.clear()
            if outbox.backlog:
                self._append(outbox, data)
                continue
            try:
                written = outbox.write(data) if data else 0
            except BlockingIOError:
                written = 0
            except (OSError, MemoryError):
                self._give_up(outbox, outbox.transport.failed)
                continue
            if written < len(data):
                outbox.backlog, outbox.offset = deque(), written
                outbox.backlog_bytes = -written
                outbox.progress_at = now
                self._slow[outbox.conn] = outbox
                outbox.transport.want_writable(True)
                self._append(outbox, data)  # which may give it up
            elif outbox.closing:
                outbox.closing = False
                outbox.transport.finished()

    def writable(self, conn: int, now: int) -> None:
        """The transport can be written to again: write what waits."""
        outbox = self._outboxes.get(conn)
        if outbox is None or not outbox.backlog:
            return
        backlog = outbox.backlog
        while backlog:
            size, pieces = 0, []
            for piece in backlog:
                pieces.append(piece)
                size += len(piece)
                if size >= _WRITE_BYTES:
                    break
            data = b"".join(pieces) if len(pieces) > 1 else pieces[0]
            try:
                written = outbox.write(memoryview(data)[outbox.offset :])
            except BlockingIOError:
                return
            except OSError:
                self._give_up(outbox, outbox.transport.failed)
                return
            outbox.progress_at = now
            outbox.backlog_bytes -= written
            outbox.offset += written
            while backlog and outbox.offset >= len(backlog[0]):
                outbox.offset -= len(backlog.popleft())
            if outbox.offset:  # the kernel took what it could
                return
        del self._slow[conn]
        outbox.backlog = _NO_BACKLOG
        outbox.transport.want_writable(False)
        if outbox.closing and not outbox.parts:
            outbox.closing = False
            outbox.transport.finished()

    def check_stalls(self, now: int) -> None:
        """Give up the connections that have taken nothing for too long. Call it now and then."""
        for outbox in tuple(self._slow.values()):
            if now - outbox.progress_at >= self._stall_timeout_ms:
                self._give_up(outbox, outbox.transport.overrun)

    def last_words(self, conn: int, data: bytes) -> None:
        """Try to write `data` as a line of its own to a connection that is past a bound."""
        outbox = self._outboxes.get(conn)
        if outbox is not None:
            with contextlib.suppress(OSError):
                outbox.write(outbox.rest_of_line + data)

    def _append(self, outbox: _Outbox, data: bytes) -> None:
        outbox.backlog.append(data)
        outbox.backlog_bytes += len(data)
        if outbox.backlog_bytes > self._max_backlog_bytes:
            self._give_up(outbox, outbox.transport.overrun)

    def _give_up(self, outbox: _Outbox, tell: Callable[[], None]) -> None:
        if outbox.backlog:
            first = outbox.backlog[0]
            # One before the offset: nothing is left of a line whose end was the last byte written.
            start = max(0, outbox.offset - 1)
            end = first.find(b"\n", start) + 1
            outbox.rest_of_line = first[outbox.offset : max(end, outbox.offset)]
        self._slow.pop(outbox.conn, None)
        outbox.backlog = _NO_BACKLOG
        outbox.backlog_bytes = 0
        outbox.closing = False
        outbox.transport.want_writable(False)
        tell()
