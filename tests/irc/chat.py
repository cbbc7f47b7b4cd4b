"""A server that people come to by IRC, with nc and with programs."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tests.cli.serving import ServerProcess, Talker
from tests.irc.clients import Client, Kind


class Program(Talker):
    """Somebody who speaks JSON Lines."""

    def __init__(self, address: str, nick: str, room: str) -> None:
        super().__init__(address, "")
        self.ask(type="hello")
        self.ask(type="nick", nick=nick)
        self.ask(type="join", room=room)
        self.told(type="entered", room=room)

    def ask(self, **request: object) -> None:
        self.send(json.dumps(request) + "\n")

    def told(self, **what: object) -> dict[str, Any]:
        """The next notice that has these fields."""
        while True:
            notice: dict[str, Any] = json.loads(self.read_until("")[0])
            if all(notice.get(field) == value for field, value in what.items()):
                return notice


class Chat:
    """A server with nothing said about it, and who comes; all go at the end of a test."""

    def __init__(self, folder: Path, stack: ExitStack, *keeping: str) -> None:
        self.folder, self._stack = folder, stack
        keeping = keeping or ("--in-memory",)
        self._server = stack.enter_context(ServerProcess("--port", "0", *keeping))
        self.address = self._server.read_address()

    def begins_again(self) -> None:
        """The server ends, and comes back to the same port, knowing nothing."""
        self._server.process.terminate()
        self._server.process.wait()
        port = self.address.rpartition(":")[2]
        self._server = self._stack.enter_context(ServerProcess("--port", port, "--in-memory"))
        assert self._server.read_address() == self.address

    def client(self, kind: Kind, nick: str, password: str = "") -> Client:
        """An IRC client, as soon as it was taken in; with another nick when that one is in use."""
        client = self.begins(kind, nick, password)
        client.is_welcome()
        return client

    def begins(self, kind: Kind, nick: str, password: str = "") -> Client:
        """The same, at once: one that is in rooms when it is taken in may show nothing else."""
        home = self.folder / f"{kind.program}-{len(list(self.folder.iterdir()))}"
        return self._stack.enter_context(Client(kind, home, self.address, nick, password))

    def nc(self, nick: str, *rooms: str) -> Talker:
        talker = self._stack.enter_context(Talker(self.address, f"/nick {nick}\n"))
        talker.read_until(f"* You are now {nick}")
        for room in rooms:
            talker.send(f"/join {room}\n")
            talker.read_until(f"* You joined {room}")
        return talker

    def program(self, nick: str, room: str) -> Program:
        return self._stack.enter_context(Program(self.address, nick, room))
