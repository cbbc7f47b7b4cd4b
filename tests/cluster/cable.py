"""A cable between a node and its engine: a TCP proxy on which things go wrong when a test says so.

with Cable(engine.port) as cable:
    node = start_node(engine.url("team", cable.port))
    cable.drop_replies(to=b"XADD")  # the next message is kept, and nobody is told

It is a thread of its own with plain sockets, so it works beside gevent and beside processes; the
one of tests/net/proxy.py is for greenlets of the test's own loop.

Rule 1: Only the cable's thread touches sockets. What a test asks for is done there, and has been
        done when the call returns.

Rule 2: Nothing is held without bound: who sends more than the other end takes is not read.
"""

from __future__ import annotations

import selectors
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from queue import SimpleQueue
from typing import Final, NamedTuple, Self

from tests.cli.terminal import LIMIT_SECONDS
from tests.cluster.ports import HOST, Port, bound

# What is read at once, and how much of that is held of one direction before no more is: 1 MiB.
_PIECE_BYTES: Final = 65_536
_HELD_PIECES: Final = 16

# One byte less than the longest mark that is found when it comes in two pieces.
_LONGEST_MARK: Final = 63

# Garbage is what was said with each bit turned over: no type of RESP begins so.
_TURNED: Final = bytes(range(255, -1, -1))


class Cable:
    """Listens on `port` and passes on what comes to `target_port` of the loopback, and back.

    The target may be changed at any time, for connections from then on. `accepted`, `garbled` and
    `dropped` count the connections, the garbled pieces and the lost replies so far.
    """

    def __init__(self, target_port: int) -> None:
        self.target_port = target_port
        self.accepted = 0
        self.garbled = 0
        self.dropped = 0
        self._held_port = Port()
        self._listener: socket.socket | None = None
        self._links: list[_Link] = []
        self._is_stalled = False
        self._delay_s = 0.0
        self._to_garble = 0
        self._to_drop: deque[bytes] = deque()
        self._has_ended = False
        self._asked: SimpleQueue[tuple[Callable[[], object], Future[None]]] = SimpleQueue()
        self._wakes, self._woken = socket.socketpair()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        self.mend()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.cut()
        self._do(self._end)
        self._thread.join(LIMIT_SECONDS)
        assert not self._thread.is_alive(), "the cable's thread does not end"
        for each in (self._wakes, self._woken, self._held_port):
            each.close()

    @property
    def port(self) -> int:
        """Where to connect to; the same one after a cut."""
        return self._held_port.number

    # ── Faults ───────────────────────────────────────────────────────────────────────────────

    def cut(self) -> None:
        """Reset all connections, and refuse new ones."""
        self._do(self._cut)

    def mend(self) -> None:
        """Take connections again."""
        self._do(self._mend)

    def stall(self) -> None:
        """Pass nothing on, in neither direction, and tell nobody. Connections are taken."""
        self._do(lambda: self._set_stalled(True))

    def flow(self) -> None:
        """Pass on what was held, and all that follows."""
        self._do(lambda: self._set_stalled(False))

    def delay(self, ms: int) -> None:
        """Pass on all that comes from now on so much later, in either direction."""
        self._do(lambda: self._set_delay(ms))

    def garble(self) -> None:
        """Turn over all bits of the next piece that comes from the engine, on any connection."""
        self._do(self._garble)

    def drop_replies(self, *, to: bytes = b"", times: int = 1) -> None:
        """Pass a request on, lose the reply and reset the connection; so many times.

        It is the next request with these bytes in it, over whichever connection, and what is lost
        is the first piece that the engine sends there after it. A test that sends requests without
        waiting for replies cannot know which reply that is.
        """
        self._do(lambda: self._to_drop.extend([to] * times))

    # ── In the thread ────────────────────────────────────────────────────────────────────────

    def _do(self, what: Callable[[], object]) -> None:
        done: Future[None] = Future()
        self._asked.put((what, done))
        self._wakes.send(b"!")
        done.result(LIMIT_SECONDS)

    def _end(self) -> None:
        self._has_ended = True

    def _cut(self) -> None:
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        for link in self._links:
            link.reset()

    def _mend(self) -> None:
        if self._listener is None:
            self._listener = bound(self.port)
            self._listener.listen()
            self._listener.setblocking(False)

    def _set_stalled(self, is_stalled: bool) -> None:
        self._is_stalled = is_stalled

    def _set_delay(self, ms: int) -> None:
        self._delay_s = ms / 1000

    def _garble(self) -> None:
        self._to_garble += 1

    def _run(self) -> None:
        while not self._has_ended:
            for wait in self._look():
                wait.do()
                if wait.sock is self._woken:  # what else there was to do may not be any more
                    break
            self._links = [link for link in self._links if not link.is_over]

    def _look(self) -> list[_Wait]:
        """Wait until there is something to do; what there is."""
        now = time.monotonic()
        waits = [_Wait(self._woken, selectors.EVENT_READ, self._do_what_is_asked)]
        if self._listener is not None:
            waits.append(_Wait(self._listener, selectors.EVENT_READ, self._accept))
        links = [] if self._is_stalled else self._links
        waits += [wait for link in links for wait in link.waits(now, self._delay_s)]
        times = [at for link in links for at in link.times(now)]
        by_sock: dict[socket.socket, list[_Wait]] = {}
        for wait in waits:
            by_sock.setdefault(wait.sock, []).append(wait)
        with selectors.PollSelector() as selector:  # no descriptor: one for each turn costs little
            for sock, wanted in by_sock.items():
                selector.register(sock, sum(each.event for each in wanted), wanted)
            ready = selector.select(min(times) - now if times else None)
        return [wait for key, events in ready for wait in key.data if wait.event & events]

    def _do_what_is_asked(self) -> None:
        self._woken.recv(1)
        what, done = self._asked.get()
        what()
        done.set_result(None)

    def _accept(self) -> None:
        if self._listener is None:  # it was cut in this turn
            return
        client, _ = self._listener.accept()
        self.accepted += 1
        try:
            engine = socket.create_connection((HOST, self.target_port), timeout=LIMIT_SECONDS)
        except OSError:
            _reset(client)
            return
        self._links.append(_Link(self, client, engine))

    def _passes_up(self, link: _Link, data: bytes) -> bytes:
        """What of a piece of the node's is passed on: all of it."""
        if self._to_drop:
            mark = self._to_drop[0]
            before = link.tail[max(0, len(link.tail) - len(mark) + 1) :] if mark else b""
            if mark in before + data:
                self._to_drop.popleft()
                link.loses_reply = True
        link.tail = (link.tail + data)[-_LONGEST_MARK:]
        return data

    def _passes_down(self, link: _Link, data: bytes) -> bytes:
        """What of a piece of the engine's is passed on."""
        if link.loses_reply:
            self.dropped += 1
            link.reset()
            return b""
        if self._to_garble:
            self._to_garble -= 1
            self.garbled += 1
            return data.translate(_TURNED)
        return data


class _Wait(NamedTuple):
    """What is done when a socket can be read or written."""

    sock: socket.socket
    event: int
    do: Callable[[], None]


class _Link:
    """One connection through the cable: two sockets, and the way from each to the other."""

    def __init__(self, cable: Cable, client: socket.socket, engine: socket.socket) -> None:
        self.is_over = False
        self.loses_reply = False
        self.tail = b""  # of what the node has sent
        self._socks = (client, engine)
        self._ways = (
            _Way(client, engine, partial(cable._passes_up, self)),
            _Way(engine, client, partial(cable._passes_down, self)),
        )
        for sock in self._socks:
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def waits(self, now: float, delay: float) -> Iterator[_Wait]:
        """What this waits for."""
        for way in self._ways:
            if way.may_read:
                read = partial(self._try, partial(way.read, delay))
                yield _Wait(way.source, selectors.EVENT_READ, read)
            if way.pieces and way.pieces[0].due <= now:
                write = partial(self._try, way.write)
                yield _Wait(way.sink, selectors.EVENT_WRITE, write)

    def times(self, now: float) -> Iterator[float]:
        """When something may be passed on that may not yet."""
        return (way.pieces[0].due for way in self._ways if way.pieces and way.pieces[0].due > now)

    def reset(self) -> None:
        """End both connections as a crash does."""
        self.is_over = True
        for sock in self._socks:
            _reset(sock)

    def _try(self, what: Callable[[], None]) -> None:
        if self.is_over:  # since something that came before in this turn
            return
        try:
            what()
        except BlockingIOError:
            return
        except OSError:  # one end was reset: so is the other
            self.reset()
        if all(way.has_ended for way in self._ways):
            self.is_over = True
            for sock in self._socks:
                sock.close()


class _Piece(NamedTuple):
    """What came at once, and when it may be passed on; nothing is the end."""

    due: float
    data: bytes


class _Way:
    """From one end of a connection to the other."""

    def __init__(
        self, source: socket.socket, sink: socket.socket, passes: Callable[[bytes], bytes]
    ) -> None:
        self.source = source
        self.sink = sink
        self.pieces: deque[_Piece] = deque()
        self.has_ended = False
        self._passes = passes
        self._has_read_all = False

    @property
    def may_read(self) -> bool:
        return not self._has_read_all and len(self.pieces) < _HELD_PIECES

    def read(self, delay: float) -> None:
        """Take what has come, to be passed on so many seconds later."""
        data = self.source.recv(_PIECE_BYTES)
        if not data:
            self._has_read_all = True
        elif not (data := self._passes(data)):
            return
        self.pieces.append(_Piece(time.monotonic() + delay, data))

    def write(self) -> None:
        """Pass on the first piece, or what of it goes."""
        due, data = self.pieces[0]
        if not data:
            self.sink.shutdown(socket.SHUT_WR)
            self.has_ended = True
        rest = data[self.sink.send(data) :] if data else b""
        self.pieces.popleft()
        if rest:
            self.pieces.appendleft(_Piece(due, rest))


def _reset(sock: socket.socket) -> None:
    """End a connection with RST instead of FIN."""
    with suppress(OSError):  # it is over already
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()
