"""How a program asks a server that runs to do something with its folder: over a socket in there.

A request is one line of JSON, `["backup", "/path"]`; the answer is another, `["", "…"]`: first the
sentence that says why it was not done, "" when it was, and then what is to be told. Who may open
the folder may ask.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, TypeAlias, cast

import gevent
import msgspec
from gevent.event import AsyncResult
from gevent.server import StreamServer

# Told what came of a request: why it was not done ("" when it was), and what is to be told.
Answered: TypeAlias = Callable[[str, str], None]

# Called with what is asked for, and with what to call when it is done.
Task: TypeAlias = Callable[[str, Answered], None]

SOCKET_NAME: Final = "control"

# Longer paths than the system has.
_MAX_LINE: Final = 16_384

# How long a request may take to come.
_REQUEST_S: Final = 10


class ControlServer:
    """Does what programs ask for: `tasks` by name."""

    def __init__(self, folder: Path, tasks: Mapping[str, Task]) -> None:
        self._folder = folder
        self._tasks = tasks
        self._server: StreamServer | None = None

    def start(self) -> None:
        """Listen. What an earlier server has left there is in nobody's use: the folder is ours."""
        (self._folder / SOCKET_NAME).unlink(missing_ok=True)
        listener = gevent.socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        with _short(self._folder) as path:
            listener.bind(path)
        listener.listen(8)
        self._server = StreamServer(listener, self._serve)
        self._server.start()

    def close(self) -> None:
        """Listen no more."""
        if self._server is not None:
            self._server.stop()
            (self._folder / SOCKET_NAME).unlink(missing_ok=True)

    def _serve(self, sock: socket.socket, _address: object) -> None:
        with sock, sock.makefile("rb") as lines:
            try:
                with gevent.Timeout(_REQUEST_S):
                    name, argument = msgspec.json.decode(
                        lines.readline(_MAX_LINE), type=tuple[str, str]
                    )
                answer = self._do(name, argument)
            except (msgspec.MsgspecError, gevent.Timeout):
                answer = "this is no request", ""
            sock.sendall(msgspec.json.encode(answer) + b"\n")

    def _do(self, name: str, argument: str) -> tuple[str, str]:
        task = self._tasks.get(name)
        if task is None:
            return f"this server does not know {name!r}", ""
        result: AsyncResult[tuple[str, str]] = AsyncResult()
        task(argument, lambda refusal, told: result.set((refusal, told)))
        return cast(tuple[str, str], result.get())  # it is waited for without a limit


def ask(folder: Path, name: str, argument: str) -> tuple[str, str]:
    """Have the server of a folder do something; returns why it did not ("" when it did), and what
    it tells.

    Raises OSError when there is no server.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock, _short(folder) as path:
        sock.connect(path)
        sock.sendall(msgspec.json.encode((name, argument)) + b"\n")
        with sock.makefile("rb") as lines:
            line = lines.readline()
    return msgspec.json.decode(line, type=tuple[str, str]) if line else ("the server has ended", "")


class _short:  # noqa: N801 # it is used like a function
    """A path of the socket in a folder, for a system that takes a hundred bytes at most."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._descriptor = -1

    def __enter__(self) -> str:
        path = str(self._folder / SOCKET_NAME)
        links = Path("/proc/self/fd")
        if len(os.fsencode(path)) < 100 or not links.is_dir():
            return path
        self._descriptor = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
        return str(links / str(self._descriptor) / SOCKET_NAME)

    def __exit__(self, *_error: object) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
