"""A search for bytes that raise out of the core, or that mean something else in pieces.

    pip install atheris
    python tests/fuzz/fuzz_server.py -max_total_time=600

An input is three bytes that choose an opening, how much of its end is left out, and the size of
the pieces; the rest follows the opening. It is given to a server, and to a client as the answer of
one.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import Final

import atheris

with atheris.instrument_imports(include=["tcpchat_core"]):
    from tcpchat_core import (
        Broadcast,
        ChatState,
        ClientProtocol,
        Close,
        Effect,
        Entry,
        Propose,
        RemoteError,
        Send,
        ServerLimits,
        ServerProtocol,
    )
    from tcpchat_core.dialects.jsonl import decode_notice
    from tcpchat_core.sanitize import is_safe
    from tests.fuzz.corpus import ANSWERS, OPENINGS

# Whom the bytes come from, and two who listen, one in each dialect.
STRANGER, PERSON, PROGRAM = 1, 2, 3

NO_FLOOD_CONTROL: Final = ServerLimits(flood_rate=0)


class Node:
    """A server whose log is a list, and all that it sends."""

    def __init__(self) -> None:
        self.protocol = ServerProtocol(ChatState(), limits=NO_FLOOD_CONTROL)
        self.sent = dict.fromkeys((STRANGER, PERSON, PROGRAM), b"")
        self.entries = 0
        for conn in self.sent:
            self.run(self.protocol.connection_made(conn, now=0, token=str(conn)))
        self.receive(PERSON, b"/join lobby\n")
        self.receive(PROGRAM, b'{"type":"hello"}\n{"type":"join","room":"lobby"}\n')

    def receive(self, conn: int, data: bytes) -> None:
        self.run(self.protocol.receive_data(conn, data, now=0))

    def end(self, conn: int) -> None:
        self.run(self.protocol.receive_eof(conn, now=0))

    def run(self, effects: list[Effect]) -> None:
        for effect in effects:  # grows while it is walked through
            match effect:
                case Propose(conn, event):
                    self.entries += 1
                    effects += self.protocol.commit(Entry(self.entries, 0, conn, event))
                case Send(conn, payload):
                    self.sent[conn] += payload
                case Broadcast(audience, payload, author, receipt):
                    for conn in audience.conns:
                        self.sent[conn] += (receipt or b"") if conn == author else payload
                case Close():
                    pass


def pieces(data: bytes, size: int) -> Iterator[bytes]:
    """The data in pieces; of the long ones only the first thousand are small."""
    for start in range(0, min(len(data), 1_000 * size), size):
        yield data[start : start + size]
    if rest := data[1_000 * size :]:
        yield rest


def check_server(data: bytes, size: int) -> None:
    whole, split = Node(), Node()
    whole.receive(STRANGER, data)
    for piece in pieces(data, size):
        split.receive(STRANGER, piece)
    for node in (whole, split):
        node.end(STRANGER)
        node.receive(PROGRAM, b'{"type":"ping","id":"the end"}\n')
    assert whole.sent == split.sent
    assert whole.protocol.state.digest() == split.protocol.state.digest()
    assert whole.sent[PROGRAM].endswith(b'{"type":"pong","id":"the end"}\n')
    state = whole.protocol.state
    assert ChatState.restore(state.snapshot()).digest() == state.digest()
    for line in whole.sent[PERSON].decode().split("\n"):
        assert is_safe(line), line
    for encoded in whole.sent[PROGRAM].splitlines():
        decode_notice(encoded)


def check_client(data: bytes, size: int) -> None:
    client = ClientProtocol()
    client.hello()
    client.say("lobby", "hello")
    with contextlib.suppress(RemoteError):
        for piece in pieces(data, size):
            client.receive_data(piece)
    client.hello()  # whatever came, the next connection begins


def check(data: bytes) -> None:
    """One input."""
    opening, left_out, size = (data + bytes(3))[:3]
    for openings, look_at in ((OPENINGS, check_server), (ANSWERS, check_client)):
        begun = openings[opening % len(openings)]
        look_at(begun[: len(begun) - left_out] + data[3:], size + 1)


if __name__ == "__main__":
    atheris.Setup(sys.argv, check)
    atheris.Fuzz()
