"""A cable to a server that can be pulled out: a TCP proxy, all greenlets of one loop.

with Cable(server.address) as cable:
    chat = ChatClient(*cable.address)
    cable.cut_at(DOWN, b'"type":"sent"')  # the next receipt does not arrive
"""

from __future__ import annotations

import contextlib
import struct
from collections import deque
from collections.abc import Collection
from typing import Final, NamedTuple, Self

import gevent
from gevent import socket
from gevent.event import Event

# The directions: from the client to the server, and back.
UP: Final = "up"
DOWN: Final = "down"

# The ends of a connection that a cut may be noticed at.
CLIENT: Final = "client"
SERVER: Final = "server"
BOTH: Final = (CLIENT, SERVER)

_READ_BYTES: Final = 65_536

# One byte less than the longest mark that is found when it comes in two pieces.
_LONGEST_MARK: Final = 63


class Cable:
    """Listens on a port of its own and passes on what comes, until it is cut.

    `server` is where connections go; another address may be given at any time. `plans` are the
    cuts that are still to come.
    """

    def __init__(self, server: tuple[str, int]) -> None:
        self.server = server
        self.plans: deque[_Plan] = deque()
        self._links: list[_Link] = []
        self._plugged = Event()
        self._plugged.set()
        self._listener = socket.socket()
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen()
        self._task = gevent.spawn(self._accept)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._task.kill()
        self._listener.close()
        self.cut()
        for link in self._links:
            link.end()

    @property
    def address(self) -> tuple[str, int]:
        """Where clients connect to."""
        host, port = self._listener.getsockname()
        return host, port

    # ── Faults ───────────────────────────────────────────────────────────────────────────────

    def cut(self, ends: Collection[str] = BOTH) -> None:
        """Cut all connections there are. An end that is not named hears nothing of it."""
        for link in self._links:
            link.cut(ends)

    def cut_at(
        self, direction: str, mark: bytes, keep: int = 0, *, ends: Collection[str] = BOTH
    ) -> None:
        """Cut the next connection that these bytes come over, when they do.

        What came before them is passed on, and `keep` bytes of them and what follows; the rest is
        lost. When this was asked for more than once, one cut comes after the other.
        """
        self.plans.append(_Plan(direction, mark, keep, ends))

    def pull_out(self) -> None:
        """From now on nothing is passed on, in neither direction, and nobody is told."""
        self._plugged.clear()

    def plug_in(self) -> None:
        """What was held is passed on, and all that follows."""
        self._plugged.set()

    # ── Passing on ───────────────────────────────────────────────────────────────────────────

    def _accept(self) -> None:
        while True:
            client, _ = self._listener.accept()
            try:
                server = socket.create_connection(self.server)
            except OSError:
                _reset(client)
                continue
            self._links.append(_Link(self, client, server))

    def _passes(self, link: _Link, direction: str, seen: bytes, data: bytes) -> bytes:
        """What of the data is passed on; `seen` is the end of what came before it."""
        self._plugged.wait()
        if not self.plans:
            return data
        plan = self.plans[0]
        place = (seen + data).find(plan.mark) if plan.direction == direction else -1
        if place < 0:
            return data
        self.plans.popleft()
        passed = data[: max(0, place + plan.keep - len(seen))]
        link.pass_on(direction, passed)
        link.cut(plan.ends)
        return b""


class _Plan(NamedTuple):
    """Where a connection is to be cut."""

    direction: str
    mark: bytes
    keep: int
    ends: Collection[str]


class _Link:
    """One connection through the cable."""

    def __init__(self, cable: Cable, client: socket.socket, server: socket.socket) -> None:
        self._cable = cable
        self._ends = {CLIENT: client, SERVER: server}
        self._is_cut = False
        self._tasks = [gevent.spawn(self._pump, UP), gevent.spawn(self._pump, DOWN)]

    def pass_on(self, direction: str, data: bytes) -> None:
        self._ends[SERVER if direction == UP else CLIENT].sendall(data)

    def cut(self, ends: Collection[str]) -> None:
        """Nothing more is passed on; the ends are reset."""
        self._is_cut = True
        for end in ends:
            _reset(self._ends[end])

    def end(self) -> None:
        gevent.killall(self._tasks)
        for sock in self._ends.values():
            sock.close()

    def _pump(self, direction: str) -> None:
        source = self._ends[CLIENT if direction == UP else SERVER]
        sink = self._ends[SERVER if direction == UP else CLIENT]
        seen = b""
        with contextlib.suppress(OSError):
            while data := source.recv(_READ_BYTES):
                passed = self._cable._passes(self, direction, seen, data)
                if not self._is_cut:
                    sink.sendall(passed)
                seen = (seen + data)[-_LONGEST_MARK:]
            if not self._is_cut:
                sink.shutdown(socket.SHUT_WR)
            return
        if not self._is_cut:  # one end was reset: so is the other
            self.cut(BOTH)


def _reset(sock: socket.socket) -> None:
    """End a connection as a crash does: RST instead of FIN."""
    with contextlib.suppress(OSError):  # it is over already
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()
