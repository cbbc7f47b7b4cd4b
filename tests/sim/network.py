"""A network of two kernels: bytes on their way, bounded buffers, and what can go wrong.

A connection is two `End`s joined by two `Pipe`s. A pipe holds what the sender's kernel took and
the receiver has not read; when that is as much as its capacity, it takes no more. Bytes arrive in
pieces, in order, after a while, unless the pipe is cut: then what is under way is lost, and what
is written later too, though the kernel takes it until its buffer is full.

Neither end learns of a cut by itself: `End.reset` is the news of it.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tests.sim.clock import Clock

if TYPE_CHECKING:
    from tests.sim.server import Server


@dataclass(frozen=True)
class Way:
    """How bytes travel in one direction. Times are in milliseconds."""

    capacity: int
    latency: int
    jitter: int
    piece: int  # bytes arrive in pieces of at most so many


def _nothing() -> None:
    pass


class Pipe:
    """One direction of a connection."""

    def __init__(self, clock: Clock, draw: random.Random, way: Way) -> None:
        self._clock = clock
        self._draw = draw
        self.way = way
        self.readable: Callable[[], None] = _nothing
        self.writable: Callable[[], None] = _nothing
        self.held = 0
        self.received = bytearray()
        self.finished = False  # the sender will write no more
        self.ended = False  # … and the receiver has come to know
        self.is_cut = False
        self._under_way: deque[tuple[int, bytes]] = deque()
        self._last_arrival = 0
        self._expected = -1  # the last time for which an arrival is planned
        self._stalled_until = 0

    def write(self, data: bytes) -> int:
        """Take what fits; return how much that was."""
        taken = data[: self.way.capacity - self.held]
        self.held += len(taken)
        if self.is_cut or not taken:
            return len(taken)
        if not self.way.jitter:  # pieces that arrive at one time are one
            self._send(taken)
            return len(taken)
        longest = max(self.way.piece, len(taken) // 4)  # a long write in some eight pieces
        start = 0
        while start < len(taken):
            size = 1 + int(self._draw.random() * longest)
            self._send(taken[start : start + size])
            start += size
        return len(taken)

    def finish(self) -> None:
        """The sender writes no more: the receiver learns it behind the last byte."""
        if not self.finished:
            self.finished = True
            if not self.is_cut:
                self._send(b"")

    def read(self, limit: int) -> bytes:
        """Take at most `limit` of what has arrived."""
        data = bytes(self.received[:limit])
        del self.received[:limit]
        was_full = self.held >= self.way.capacity
        self.held -= len(data)
        if data and was_full and not self.is_cut:
            self._clock.after(self.way.latency, self.writable)
        return data

    def stall(self, duration: int) -> None:
        """Nothing arrives for so long; nothing is lost."""
        self._stalled_until = max(self._stalled_until, self._clock.now + duration)

    def unstall(self) -> None:
        """What was stalled arrives from now on."""
        self._stalled_until = 0
        self._clock.after(0, self._arrive)

    def widen(self, capacity: int) -> None:
        """So much is taken from now on, also of what waits before a pipe that is full."""
        self.way = replace(self.way, capacity=capacity)
        self._clock.after(0, self.writable)

    def cut(self) -> None:
        """Lose what is under way and all that is written later."""
        self.is_cut = True
        self._under_way.clear()

    def _send(self, piece: bytes) -> None:
        way = self.way
        when = self._clock.now + way.latency + int(self._draw.random() * (way.jitter + 1))
        self._last_arrival = when = max(when, self._last_arrival)
        self._under_way.append((when, piece))
        if when > self._expected:
            self._expected = when
            self._clock.at(when, self._arrive)

    def _arrive(self) -> None:
        now, under_way = self._clock.now, self._under_way
        if now >= self._expected:
            self._expected = -1
        if now < self._stalled_until:
            self._clock.at(self._stalled_until, self._arrive)
            return
        news = False
        while under_way and under_way[0][0] <= now:
            _, piece = under_way.popleft()
            self.received += piece
            self.ended = self.ended or not piece
            news = True
        if news:
            self.readable()


class End:
    """One end of a connection, as a program sees its socket."""

    def __init__(self, incoming: Pipe, outgoing: Pipe, clock: Clock) -> None:
        self.incoming = incoming
        self.outgoing = outgoing
        self.other: End = self
        self._clock = clock
        self.is_reset = False
        self.is_closed = False

    def send(self, data: bytes) -> int:
        """Write without waiting. Raises BlockingIOError, or ConnectionResetError."""
        if self.is_reset or self.is_closed or self.outgoing.finished:
            raise ConnectionResetError
        if self.other.is_closed and not self.outgoing.is_cut:
            # Nobody is there any more; the answer that says so comes back in its time.
            self._clock.after(2 * self.outgoing.way.latency, self.reset)
            return len(data)
        taken = self.outgoing.write(data)
        if data and not taken:
            raise BlockingIOError
        return taken

    def recv(self, limit: int) -> bytes:
        """Read without waiting; b"" at the end. Raises BlockingIOError, ConnectionResetError."""
        if self.is_reset:
            raise ConnectionResetError
        data = self.incoming.read(limit)
        if not data and not self.incoming.ended:
            raise BlockingIOError
        return data

    @property
    def has_more(self) -> bool:
        """Whether `recv` would give something now, the end included."""
        return bool(self.incoming.received) or self.incoming.ended or self.is_reset

    def shutdown(self) -> None:
        """Write no more, read on."""
        if self.is_reset:
            raise ConnectionResetError
        self.outgoing.finish()

    def close(self) -> None:
        """Let go of the connection."""
        if not self.is_closed:
            self.is_closed = True
            self.incoming.readable = self.outgoing.writable = _nothing
            self.outgoing.finish()

    def reset(self) -> None:
        """The news that the connection is gone."""
        if not self.is_reset and not self.is_closed:
            self.is_reset = True
            self.incoming.readable()
            self.outgoing.writable()


class Link:
    """Both ends of one connection, and its faults."""

    def __init__(self, clock: Clock, draw: random.Random, there: Way, back: Way) -> None:
        self.conn = 0  # the server's number for it, once it is accepted
        self.accepted_by: Server | None = None
        self.accepted_at = 0
        self.to_server = Pipe(clock, draw, there)
        self.to_client = Pipe(clock, draw, back)
        self.client = End(self.to_client, self.to_server, clock)
        self.server = End(self.to_server, self.to_client, clock)
        self.client.other, self.server.other = self.server, self.client

    def cut(self) -> None:
        """Nothing gets through any more, in either direction."""
        self.to_server.cut()
        self.to_client.cut()
