"""A chat server in a thread that treats its clients unfairly, as told, for the checker to notice.

It speaks as much of the plain dialect as the load generator needs. Every line that is to be
delivered passes through `tamper`, which returns the lines that are delivered instead; every
departure through `tamper_departure`.
"""

from __future__ import annotations

import selectors
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Self, TypeAlias

# Called with the receiver's place among all clients (0 is the first that joined), the author's
# place, how many lines of that author came to this receiver before, and the line.
Tamper: TypeAlias = Callable[[int, int, int, bytes], list[bytes]]


def fair(_receiver: int, _author: int, _before: int, line: bytes) -> list[bytes]:
    """Deliver what was said."""
    return [line]


@dataclass
class _Client:
    socket: socket.socket
    place: int = -1
    nick: bytes = b""
    room: bytes = b""
    partial: bytes = b""
    heard: dict[int, int] = field(default_factory=dict)


class UnfairServer:
    """Serves until the `with` ends."""

    def __init__(self) -> None:
        self.tamper: Tamper = fair
        self.tamper_departure: Tamper = fair
        self.cut_off: int | None = None  # the place of a client that is disconnected
        self.silent = False  # nobody is let in
        self.closed_to_newcomers = False  # once somebody has gone, nobody is let in
        # Rooms whose members also get what is said elsewhere.
        self.overhears: dict[bytes, bytes] = {}
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self._wake, self._woken = socket.socketpair()
        self._selector = selectors.DefaultSelector()
        self._clients: list[_Client] = []
        self._joined = 0
        self._thread = threading.Thread(target=self._serve, name="unfair server")

    @property
    def port(self) -> int:
        port: int = self._listener.getsockname()[1]
        return port

    def __enter__(self) -> Self:
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._selector.register(self._woken, selectors.EVENT_READ)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._wake.close()
        self._thread.join(timeout=60)
        assert not self._thread.is_alive()

    def _serve(self) -> None:
        try:
            while True:
                for key, _ in self._selector.select():
                    if key.fileobj is self._woken:
                        return
                    if key.fileobj is self._listener:
                        client = _Client(self._listener.accept()[0])
                        client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                        self._clients.append(client)
                        self._selector.register(client.socket, selectors.EVENT_READ, client)
                    else:
                        self._read(key.data)
        finally:
            self._selector.close()
            self._listener.close()
            self._woken.close()
            for client in self._clients:
                client.socket.close()

    def _read(self, client: _Client) -> None:
        try:
            data = client.socket.recv(65_536)
        except ConnectionError:
            data = b""
        if not data:
            self._selector.unregister(client.socket)
            self._tell(client, b"* %b quit" % client.nick, self.tamper_departure)
            client.room = b""
            client.socket.close()
            self.silent = self.silent or self.closed_to_newcomers
            return
        *lines, client.partial = (client.partial + data).split(b"\n")
        for line in lines:
            if line.startswith(b"/nick "):
                client.nick = line.removeprefix(b"/nick ")
            elif line.startswith(b"/join "):
                if self.silent:
                    continue
                client.room = line.removeprefix(b"/join ")
                client.place, self._joined = self._joined, self._joined + 1
                client.socket.sendall(b"* You joined " + client.room + b"\n")
            else:
                self._tell(client, b"[%b] somebody: %b" % (client.room, line), self.tamper)

    def _tell(self, author: _Client, line: bytes, tamper: Tamper) -> None:
        for member in self._clients:
            if member is author or not member.room:
                continue
            if author.room not in {member.room, self.overhears.get(member.room)}:
                continue
            if member.place == self.cut_off:
                self._selector.unregister(member.socket)
                member.socket.close()
                member.room = b""
                continue
            before = member.heard.get(author.place, 0)
            member.heard[author.place] = before + 1
            for told in tamper(member.place, author.place, before, line):
                with suppress(ConnectionError):  # it is about to be noticed that it is gone
                    member.socket.sendall(told + b"\n")
