"""A server that lets one person in as any does, and then says what it was told to say."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from queue import SimpleQueue
from typing import Any

import msgspec

from tests.cli.terminal import LIMIT_SECONDS

AT = 1_700_000_000_000


def line(kind: str, **fields: Any) -> bytes:
    """A notice on the wire."""
    return msgspec.json.encode({"type": kind, **fields}) + b"\n"


def said(seq: int, text: str = "hello", room: str = "lobby", nick: str = "bob") -> bytes:
    return line("said", room=room, nick=nick, text=text, seq=seq, at=AT)


def entered(room: str, **fields: Any) -> bytes:
    return line("entered", room=room, members=["ada"], count=1, seq=0, at=AT, **fields)


@contextlib.contextmanager
def hostile(
    words: Callable[[], bytes], *, receives: bool = True
) -> Iterator[tuple[str, SimpleQueue[bytes]]]:
    """A server that lets one person in, says these words to it, and collects what it asks; whether
    it `receives` what is said, and tells what was said before.
    """
    answered = answer if receives else let_in
    asked: SimpleQueue[bytes] = SimpleQueue()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection = listener.accept()[0]
            with connection, contextlib.suppress(OSError), connection.makefile("rb") as lines:
                for request in lines:
                    asked.put(request)
                    connection.sendall(answered(request))
                    if b'"join"' in request:
                        connection.sendall(words() + said(2**62 + 1_000, "that was all"))
                    if b'"quit"' in request:
                        return

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield "{}:{}".format(*listener.getsockname()), asked
        finally:
            thread.join(LIMIT_SECONDS)


def answer(request: bytes) -> bytes:
    """What an honest server says, too."""
    match msgspec.json.decode(request):
        case {"type": "history", "room": room}:
            return line("history", room=room, messages=[], more=False)
        case {"type": "say", "id": id, "room": room}:
            return line("sent", id=id, room=room, seq=2**62 + 1_001, at=AT)
        case _:
            return let_in(request)


def let_in(request: bytes) -> bytes:
    """What an honest server says until one is in, and to pings."""
    match msgspec.json.decode(request):
        case {"type": "hello"}:
            return line("welcome", nick="ada", epoch="1")
        case {"type": "nick"}:
            return line("renamed", old="ada", new="ada", own=True)
        case {"type": "join"}:
            return entered("lobby")
        case {"type": "ping", "id": id}:
            return line("ponged", id=id)
        case _:
            return b""
