"""A `ChatServer` in a thread of its own, and a peer with an ordinary blocking socket."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import SimpleQueue
from typing import Any, Self

import gevent
from gevent.event import Event

from tcpchat_core import ChatState, ServerLimits, ServerProtocol
from tcpchat_net import ChatServer

# No test waits for so long, however busy the machine is; it is where a broken one ends.
LIMIT_S = 90

# Tests say much, and fast.
NO_FLOOD_CONTROL = ServerLimits(flood_rate=0)


@contextmanager
def serving(
    protocol: ServerProtocol | None = None,
    *,
    kind: type[ChatServer] = ChatServer,
    **options: Any,
) -> Iterator[ChatServer]:
    """The server listens on 127.0.0.1 for the length of a `with`."""
    started: SimpleQueue[tuple[ChatServer, Callable[[], object]]] = SimpleQueue()

    def serve() -> None:
        hub = gevent.get_hub()  # each thread has one
        chat = protocol or ServerProtocol(ChatState(), limits=NO_FLOOD_CONTROL)
        server = kind(chat, **options)
        stopping = Event()
        asked = hub.loop.async_()
        asked.start(stopping.set)
        server.start()
        started.put((server, asked.send))
        stopping.wait()
        server.stop(timeout=1)
        asked.close()
        hub.destroy()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    server, ask_to_stop = started.get(timeout=LIMIT_S)
    try:
        yield server
    finally:
        ask_to_stop()
        thread.join(LIMIT_S)
        assert not thread.is_alive()


class Peer:
    """One connection to a server, a line at a time; over TLS when a context is given."""

    def __init__(
        self,
        address: tuple[str, int],
        context: ssl.SSLContext | None = None,
        *,
        hostname: str = "localhost",
        source: str = "127.0.0.1",
        receive_buffer: int | None = None,
    ) -> None:
        sock = socket.socket()
        sock.settimeout(LIMIT_S)
        if receive_buffer is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        try:
            sock.bind((source, 0))
            sock.connect(address)
            if context is not None:
                # To be cut off is not to be told goodbye: only the latter is an end of file.
                sock = context.wrap_socket(
                    sock, server_hostname=hostname, suppress_ragged_eofs=False
                )
        except BaseException:
            sock.close()
            raise
        self.sock = sock
        self._read = b""

    def send(self, text: str) -> None:
        """Send lines."""
        self.sock.sendall(text.encode() + b"\n")

    def line(self) -> str:
        """The next line; "" at the end."""
        while b"\n" not in self._read:
            data = self.sock.recv(65_536)
            if not data:
                break
            self._read += data
        line, _, self._read = self._read.partition(b"\n")
        return line.decode()

    def until(self, part: str) -> str:
        """The next line that has `part` in it."""
        while line := self.line():
            if part in line:
                return line
        raise AssertionError(f"the connection ended before a line with {part!r}")

    def rest(self) -> str:
        """All up to the end of the connection."""
        while data := self.sock.recv(65_536):
            self._read += data
        text, self._read = self._read.decode(), b""
        return text

    def close(self) -> None:
        """Close at once."""
        self.sock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
