"""The fan-out: what is to be sent, to whom, in how few system calls, and how much may wait.

Theory. A server of rooms does one thing most of the time: it gives the same bytes to many
connections. Plain code makes one call per message and member. Here the cost per message and
member is nearly nothing, by two observations:

* All that a connection is sent during one turn of the event loop can leave in one call.
* All members of a room are sent the same, so it can be one object, joined once.

So the members of a room are a *group*, which lasts while the room does, and what a group is sent
in a turn is a *batch*: a broadcast only appends to it. At the end of the turn the batch is joined
once, and every member is written the same object. No member is touched in between, unless it is
sent something of its own: then it is set *apart*, with a list of parts, until the turn ends.

Rules:

Rule 1: What a connection receives is what a naive loop of writes would have given it, byte for
        byte. To keep it, a batch is closed for appending as soon as any member is sent something
        else, or somebody comes or goes: what comes later goes behind that, in another batch.

Rule 2: An author's own bytes differ (a receipt in the place of its message). Only it pays for that.

Rule 3: A connection is together with the others in one group at most, its *home*; in its other
        rooms it is always apart. So is one whose peer is slow.

Rule 4: Nothing here waits. What the kernel does not take stays as references to the shared
        batches, and goes out when the transport is writable again.

Rule 5: What waits has two bounds, bytes and time without progress. Past either, the connection
        is given up: `Transport.overrun` is called, once.

No gevent in this file: the loop's part is three methods of `Transport` and one callable.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Iterable
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
    """What one group is sent, until one of its members is sent something else."""

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
    """The members of one room that are here, and what they are sent in this turn."""

    __slots__ = ("apart", "batch", "batches", "conns", "together")

    def __init__(self) -> None:
        self.conns: tuple[int, ...] = ()  # of the audience that the group is as of
        # Those whom nothing but the batches is sent, by the `write` of their transports: all that
        # is looked at for each delivery.
        self.together: dict[int, Callable[[bytes], int]] = {}
        self.apart: dict[int, _Outbox] = {}
        self.batches: list[_Batch] = []  # of this turn
        self.batch: _Batch | None = None  # the last of them

    def take_bytes(self) -> bytes:
        """What those together are sent in this turn, which ends with it."""
        batches, self.batches, self.batch = self.batches, [], None
        if len(batches) == 1:
            return batches[0].shared_bytes()
        return b"".join([batch.shared_bytes() for batch in batches])


# Most connections never have a backlog; they share this one, and an empty deque has 600 bytes.
_NO_BACKLOG: Final[deque[bytes]] = deque(maxlen=0)


class _Outbox:
    """What one connection is still to be sent, beside its home's batches."""

    __slots__ = (
        "backlog",
        "backlog_bytes",
        "closing",
        "conn",
        "home",
        "is_noted",
        "is_together",
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
        self.home: _Group | None = None
        self.is_together = False  # with the others of its home; if so, what follows is empty
        self.is_noted = False  # for the end of this turn
        self.parts: list[bytes | _Batch] = []  # of this turn
        self.tail: _Batch | None = None  # the last part, when it is an open batch
        self.backlog = _NO_BACKLOG  # of earlier turns, when the peer is slow
        self.backlog_bytes = 0
        self.offset = 0  # how much of backlog[0] is written
        self.progress_at = 0  # when the peer last took something of the backlog
        self.rest_of_line = b""  # what was cut off by a bound in the middle of a line
        self.closing = False

    def take_bytes(self) -> bytes:
        """What it is sent in this turn, which ends with it."""
        parts, self.parts, self.tail, self.is_noted = self.parts, [], None, False
        return b"".join(
            [part.bytes_for(self.conn) if isinstance(part, _Batch) else part for part in parts]
        )


# In the place of a number of bytes: none will ever be written again.
_LOST: Final = -1


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
        self._busy: list[_Group] = []  # those with batches
        self._noted: list[_Outbox] = []  # those with parts, or that may go home again
        self._slow: dict[int, _Outbox] = {}

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
            outbox.home.apart.pop(conn, None)
            outbox.home = None
        outbox.is_together = outbox.closing = False
        outbox.parts = []
        outbox.backlog = _NO_BACKLOG
        # Its rooms may still be sent to before they hear of it: that goes nowhere.
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
        if group is None or group.conns is not audience.conns:
            group = self._group(audience)
            if group is None:
                for conn in audience.conns:
                    self.send(conn, receipt if conn == author else data)
                return
        batch = group.batch
        if batch is None or not batch.is_open:
            batch = self._open_batch(group)
        if author in group.together:
            self._set_apart(self._outboxes[author])
        if author in group.apart:
            batch.receipts.setdefault(author, []).append((len(batch.chunks), receipt))
        batch.chunks.append(data)

    def _open_batch(self, group: _Group) -> _Batch:
        if not group.batches:
            self._wake_once()
            self._busy.append(group)
        batch = group.batch = _Batch()
        group.batches.append(batch)
        for outbox in group.apart.values():
            self._touch(outbox)
            outbox.tail = batch
            outbox.parts.append(batch)
            if outbox.home is None and outbox.conn in self._outboxes:
                outbox.home = group
        return batch

    def _touch(self, outbox: _Outbox) -> None:
        """Something of its own is to go behind what the connection is sent so far."""
        if outbox.is_together:
            self._set_apart(outbox)
        else:
            self._note(outbox)
        if outbox.tail is not None:
            outbox.tail.is_open = False
            outbox.tail = None

    def _set_apart(self, outbox: _Outbox) -> None:
        """Give a connection a list of its own, with what its home was sent in this turn."""
        group = outbox.home
        assert group is not None, "it is together with nobody"
        del group.together[outbox.conn]
        group.apart[outbox.conn] = outbox
        outbox.is_together = False
        outbox.parts = [*group.batches]
        outbox.tail = group.batch
        self._note(outbox)

    def _go_home(self, outbox: _Outbox) -> None:
        """Nothing waits for the connection: it is sent what its home is, and no more."""
        group = outbox.home
        if group is not None and not (outbox.is_together or outbox.backlog):
            del group.apart[outbox.conn]
            group.together[outbox.conn] = outbox.write
            outbox.is_together = True

    def _note(self, outbox: _Outbox) -> None:
        if not outbox.is_noted:
            outbox.is_noted = True
            self._wake_once()
            self._noted.append(outbox)

    def _wake_once(self) -> None:
        if not (self._busy or self._noted):
            self._wake()

    # ── Who is in a group ────────────────────────────────────────────────────────────────────

    def _group(self, audience: Audience) -> _Group | None:
        """The group of an audience's room, as of this audience; None when it is of no room."""
        if audience.lineage is None:
            return None
        group: _Group | None = audience.lineage.derived
        if group is None:
            group = audience.lineage.derived = _Group()
        audience.derived = group
        before, group.conns = group.conns, audience.conns
        if group.batch is not None:
            group.batch.is_open = False
        if audience.conns[:-1] == before:  # as a rule, somebody came
            self._enter(group, audience.conns[-1:])
        else:
            self._leave(group, set(before).difference(audience.conns))
            self._enter(group, set(audience.conns).difference(before))
        return group

    def _enter(self, group: _Group, conns: Iterable[int]) -> None:
        for conn in conns:
            outbox = self._outboxes.get(conn)
            if outbox is not None:
                if outbox.is_together:
                    self._set_apart(outbox)
                outbox.home = group
                group.apart[conn] = outbox
                self._note(outbox)

    def _leave(self, group: _Group, conns: Iterable[int]) -> None:
        for conn in conns:
            if conn in group.together:
                self._set_apart(self._outboxes[conn])
            outbox = group.apart.pop(conn, None)
            if outbox is not None and outbox.home is group:
                outbox.home = None

    # ── Writing ──────────────────────────────────────────────────────────────────────────────

    def flush(self, now: int) -> None:
        """Write what was sent in this turn, once per connection."""
        busy, self._busy = self._busy, []
        noted, self._noted = self._noted, []
        # What was not written, and how much of it was. To deal with that may send something, which
        # belongs to the next turn.
        unwritten: list[tuple[_Outbox, bytes, int]] = []
        for group in busy:
            data = group.take_bytes()
            size = len(data)
            if not size:
                continue
            for conn, write in group.together.items():
                try:
                    written = write(data)
                except BlockingIOError:
                    written = 0
                except (OSError, MemoryError):
                    written = _LOST
                if written != size:
                    unwritten.append((self._outboxes[conn], data, written))
        finished: list[_Outbox] = []
        for outbox in noted:
            data = outbox.take_bytes()
            written = 0
            if data and not outbox.backlog:
                try:
                    written = outbox.write(data)
                except BlockingIOError:
                    pass
                except (OSError, MemoryError):
                    written = _LOST
            if written != len(data):
                unwritten.append((outbox, data, written))
            else:
                self._go_home(outbox)
                if outbox.closing and not outbox.backlog:
                    finished.append(outbox)
        for outbox, data, written in unwritten:
            if outbox.conn in self._outboxes:
                self._keep(outbox, data, written, now)
        for outbox in finished:
            if outbox.closing:
                outbox.closing = False
                outbox.transport.finished()

    def _keep(self, outbox: _Outbox, data: bytes, written: int, now: int) -> None:
        """Keep what was not written for when the peer takes it, or give the peer up."""
        if written == _LOST:
            self._give_up(outbox, outbox.transport.failed)
            return
        if not outbox.backlog:
            if outbox.is_together:
                self._set_apart(outbox)
            outbox.backlog, outbox.offset = deque(), written
            outbox.backlog_bytes = -written
            outbox.progress_at = now
            self._slow[outbox.conn] = outbox
            outbox.transport.want_writable(True)
        outbox.backlog.append(data)
        outbox.backlog_bytes += len(data)
        if outbox.backlog_bytes > self._max_backlog_bytes:
            self._give_up(outbox, outbox.transport.overrun)

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
        if not outbox.is_noted:
            self._go_home(outbox)
            if outbox.closing:
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
