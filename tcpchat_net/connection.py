"""Connection: one socket and its watchers, as a node sees them.

Rule 1: A read watcher is all that a silent connection has: no greenlet, and no write watcher.
Rule 2: One read in a turn of the loop, so that a busy connection does not starve the others.
Rule 3: Nothing here waits, and nothing but MemoryError is raised into the loop.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any, Final, Protocol

from tcpchat_net.node import Node
from tcpchat_net.tls import TlsStream

# How much is read of one connection in a turn: some hundred lines, a few milliseconds of work. A
# record of TLS is as long at most.
READ_BYTES: Final = 16_384

# What a watcher watches for (libev's EV_READ and EV_WRITE).
_READABLE: Final = 1
_WRITABLE: Final = 2


class Host(Protocol):
    """Who runs connections: the loop to watch them on, and what to do at their end."""

    @property
    def loop(self) -> Any:
        """The loop of gevent's hub."""

    @property
    def node(self) -> Node:
        """What connections are of."""

    def ended(self, connection: Connection) -> None:
        """A connection has ended: its socket is to be closed."""

    def out_of_memory(self, connection: Connection) -> None:
        """There is no memory for what a connection wants."""


class Connection:
    """The `Transport` of a node on a socket that does not block. Give it its `conn` at once.

    `origin` is where it is from, as admission counts it. (The address itself is not kept: it would
    be a tenth of what a silent connection costs.)
    """

    __slots__ = ("_host", "_reader", "_writer", "conn", "origin", "sock", "write")

    def __init__(self, host: Host, sock: socket.socket | TlsStream, origin: str | None) -> None:
        self.sock = sock
        self.origin = origin
        self.conn = 0
        self.write: Callable[[bytes | memoryview], int] = sock.send
        self._host = host
        self._reader: Any = host.loop.io(sock.fileno(), _READABLE)
        self._reader.start(self._readable)
        self._writer: Any = None

    # ── What a node asks for ─────────────────────────────────────────────────────────────────

    def want_readable(self, wanted: bool) -> None:
        """Whether to read."""
        if wanted:
            self._reader.start(self._readable)
        else:
            self._reader.stop()

    def want_writable(self, wanted: bool) -> None:
        """Whether to tell the node when bytes can be written: there is a watcher for so long."""
        if wanted == (self._writer is not None):
            return
        if wanted:
            self._writer = self._host.loop.io(self.sock.fileno(), _WRITABLE)
            self._writer.start(self._writable)
        else:
            self._writer.close()
            self._writer = None

    def finish_writing(self) -> None:
        """Tell the peer that nothing more will be sent. May raise OSError."""
        self.sock.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Let go of it."""
        self._reader.close()
        self.want_writable(False)
        self._host.ended(self)

    # ── What the loop calls ──────────────────────────────────────────────────────────────────

    def _readable(self) -> None:
        node = self._host.node
        try:
            try:
                data = self.sock.recv(READ_BYTES)
            except BlockingIOError:
                return
            except OSError:
                node.lost(self.conn)
                return
            node.received(self.conn, data)
        except MemoryError:
            self._host.out_of_memory(self)

    def _writable(self) -> None:
        try:
            self._host.node.writable(self.conn)
        except MemoryError:
            self._host.out_of_memory(self)
