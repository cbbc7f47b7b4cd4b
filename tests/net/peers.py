"""A server in this process, and peers of it: all greenlets of one loop, over real sockets."""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, Self

import gevent
from gevent import socket

from tcpchat_core import ChatState, Effect, Entry, Notice, ServerLimits, ServerProtocol
from tcpchat_core.client import Heard
from tcpchat_net import ChatClient, ChatServer

# How long to wait for what must come, however busy the machine is; where a broken test ends.
LIMIT_SECONDS: Final = 90

# Tests talk as fast as they can.
AT_ANY_SPEED: Final = ServerLimits(flood_burst=0, flood_rate=0)


class RecordedProtocol(ServerProtocol):
    """A ServerProtocol that keeps its log."""

    def __init__(
        self, *, limits: ServerLimits = AT_ANY_SPEED, epoch: str = "0", password: str = ""
    ) -> None:
        super().__init__(ChatState(epoch=epoch), limits=limits, password=password)
        self.log: list[Entry] = []

    def commit(self, entries: Iterable[Entry], *, now: int) -> list[Effect]:
        entries = [*entries]
        self.log += entries
        return super().commit(entries, now=now)


class Serving(ChatServer):
    """A ChatServer on a free port, with its log."""

    def __init__(self, protocol: RecordedProtocol | None = None, **options: Any) -> None:
        self.recorded = protocol or RecordedProtocol()
        self.peers = contextlib.ExitStack()  # closes them at the end of a test
        super().__init__(self.recorded, **options)

    @property
    def people(self) -> int:
        return self.protocol.state.people

    def program(self, nick: str, *, reconnect: float = 0) -> RecordingClient:
        return self.peers.enter_context(RecordingClient(self.address, nick, reconnect=reconnect))

    def peer(self, first: bytes = b"", *, receive_buffer: int = 0) -> Peer:
        return self.peers.enter_context(Peer(self.address, first, receive_buffer=receive_buffer))

    def person(self, nick: str, *rooms: str, receive_buffer: int = 0) -> Peer:
        """Somebody with nc, who has a nick and is in rooms, the last of them the current one."""
        peer = self.peer(b"/nick %b\n" % nick.encode(), receive_buffer=receive_buffer)
        peer.read_until(f"* You are now {nick}")
        for room in rooms:
            peer.send(f"/join {room}\n")
            peer.read_until(f"* You joined {room} ")
        return peer


@contextlib.contextmanager
def serving(protocol: RecordedProtocol | None = None, **options: Any) -> Iterator[Serving]:
    """A server that runs; stopped at the end, whatever is connected."""
    server = Serving(protocol, **options)
    server.start()
    with server.peers:
        try:
            yield server
        finally:
            server.stop(timeout=0)


class Peer:
    """A bare socket: what a person with nc is to a server."""

    def __init__(
        self, address: tuple[str, int], first: bytes = b"", *, receive_buffer: int = 0
    ) -> None:
        self.sock = socket.socket()
        if receive_buffer:  # it has to be before connecting
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.sock.settimeout(LIMIT_SECONDS)
        self.received = b""
        self._read = 0  # up to where `read_line` has come
        try:
            self.sock.connect(address)
            if first:
                self.sock.sendall(first)
        except BaseException:  # also when the test has no use for it any more
            self.sock.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.sock.close()

    @property
    def lines(self) -> list[str]:
        """The complete lines so far."""
        return self.received.decode(errors="replace").split("\n")[:-1]

    def send(self, text: str | bytes) -> None:
        self.sock.sendall(text if isinstance(text, bytes) else text.encode())

    def read_line(self) -> str:
        """The next line."""
        while (end := self.received.find(b"\n", self._read)) < 0:
            assert self.read_more(), f"the connection ended after {self.received[-200:]!r}"
        line = self.received[self._read : end]
        self._read = end + 1
        return line.decode()

    def read_until(self, start: str) -> list[str]:
        """The next lines up to one that begins so, with it."""
        lines = [self.read_line()]
        while not lines[-1].startswith(start):
            lines.append(self.read_line())
        return lines

    def read_to_end(self) -> list[str]:
        """The next lines up to the end of the connection."""
        while self.read_more():
            pass
        rest = self.received[self._read :]
        self._read = len(self.received)
        return rest.decode().splitlines()

    def read_more(self) -> bool:
        data = self.sock.recv(65_536)
        self.received += data
        return bool(data)

    def end_writing(self) -> None:
        self.sock.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """End the connection as a crash does: RST instead of FIN."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()


class RecordingClient(ChatClient):
    """A ChatClient that keeps all that it is told, answers and the rest, in order."""

    def __init__(self, address: tuple[str, int], nick: str, *, reconnect: float = 0) -> None:
        self.heard: list[Notice] = []
        super().__init__(*address, nick=nick, timeout=LIMIT_SECONDS, reconnect=reconnect)

    def _deliver(self, heard: Heard) -> None:
        self.heard.append(heard.notice)
        super()._deliver(heard)


def in_turn_until(condition: Callable[[], object]) -> None:
    """Let the loop turn until the condition holds."""
    with gevent.Timeout(LIMIT_SECONDS, AssertionError("it never came to that")):
        while not condition():
            gevent.idle()


def talk(peer: Peer) -> list[str]:
    """What was said to rooms, of all that the peer was told."""
    return [line for line in peer.lines if line.startswith("[")]
