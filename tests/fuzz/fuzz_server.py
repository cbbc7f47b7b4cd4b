"""A search for bytes that raise out of the core, or that mean something else in pieces.

    pip install atheris
    python tests/fuzz/fuzz_server.py -max_total_time=600

An input is three bytes that choose whom it is for and an opening, how much of the opening's end is
left out, and the size of the pieces; the rest follows the opening. It goes to a server (whose third
dialect is the tests' own), or to a client as the answer of one. What is found is written to the
system's folder for temporary files.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import atheris

# It is started as a file, and finds the tests from where it stands.
sys.path.insert(0, str(Path(__file__).parents[2]))

with atheris.instrument_imports(include=["tcpchat_core", "tests.core.third_dialect"]):
    from tcpchat_core import (
        Broadcast,
        ChatState,
        ClientProtocol,
        Close,
        Effect,
        Enter,
        Entry,
        Leave,
        Propose,
        RemoteError,
        Send,
        ServerLimits,
        ServerProtocol,
        Stream,
    )
    from tcpchat_core.dialects.http import File, Site
    from tcpchat_core.dialects.irc.reader import IrcLines
    from tcpchat_core.dialects.jsonl import JsonLines, decode_notice
    from tcpchat_core.dialects.plain import PlainText
    from tcpchat_core.dialects.websocket import WebSocket
    from tcpchat_core.sanitize import is_safe
    from tests.core.third_dialect import Netstrings, take_frames
    from tests.fuzz.corpus import ANSWERS, OPENINGS

# Whom the bytes come from, and two who listen, one in each dialect that is known.
STRANGER, PERSON, PROGRAM = 1, 2, 3

NO_FLOOD_CONTROL: Final = ServerLimits(flood_rate=0)
SITE: Final = Site({"/": File("text/html", "e1", b"page", b"gz")})
DIALECTS: Final = (JsonLines(), IrcLines(), WebSocket(SITE), Netstrings(), PlainText())
THE_END: Final = b'{"type":"pong","id":"the end"}\n'


class Node:
    """A server whose log counts, and all that it sends."""

    def __init__(self) -> None:
        self.protocol = ServerProtocol(ChatState(), limits=NO_FLOOD_CONTROL, dialects=DIALECTS)
        self.sent = dict.fromkeys((STRANGER, PERSON, PROGRAM), b"")
        self.entries = 0
        for conn in self.sent:
            self.protocol.connection_made(conn, now=0, token=str(conn))
        self.receive(PERSON, b"/join lobby\n")
        self.receive(PROGRAM, b'{"type":"hello"}\n{"type":"join","room":"lobby"}\n')

    def receive(self, conn: int, data: bytes) -> None:
        self.run(self.protocol.receive_data(conn, data, now=0))

    def end(self) -> None:
        self.run(self.protocol.receive_eof(STRANGER, now=0))
        self.receive(PROGRAM, b'{"type":"ping","id":"the end"}\n')

    def run(self, effects: list[Effect]) -> None:
        sent = self.sent
        entries: list[Entry] = []
        for effect in effects:
            match effect:
                case Propose():
                    entries += effect.entries(self.entries + 1, at=0)
                    self.entries += len(effect.events)
                case Send(conn, payload):
                    sent[conn] += payload
                case Stream(conn, pieces):
                    sent[conn] += b"".join(pieces)
                case Broadcast(_, payload, author, receipt):
                    for conn in effect.conns():
                        sent[conn] += (receipt or b"") if conn == author else payload
                case Enter(audience, conn):
                    audience.add(conn)
                case Leave(audience, conn):
                    audience.discard(conn)
                case Close():
                    pass
        if entries:
            # At least once: what was committed comes again, and changes nothing.
            self.run([*self.protocol.commit(entries, now=0), *self.protocol.commit(entries, now=0)])


def pieces(data: bytes, size: int) -> Iterator[bytes]:
    """The data in pieces: those at its end are small, where an input differs from its opening."""
    end = max(0, len(data) - 40 * size)
    step = max(size, end // 20 + 1)
    for start in range(0, end, step):
        yield data[start : min(end, start + step)]
    for start in range(end, len(data), size):
        yield data[start : start + size]


def unmarked(data: bytes) -> list[bytes]:
    """The frames of the third dialect without their marks.

    A mark counts for all that is told after it was asked for: with one large read that is more.
    """
    frames, wrong = take_frames(bytearray(data))
    assert not wrong, wrong
    return [frame.lstrip(b"0123456789") for frame in frames]


def check_server(data: bytes, size: int) -> None:
    whole, split = Node(), Node()
    whole.receive(STRANGER, data)
    whole.end()
    for piece in pieces(data, size):
        split.receive(STRANGER, piece)
    split.end()
    if whole.sent != split.sent:
        assert unmarked(whole.sent.pop(STRANGER)) == unmarked(split.sent.pop(STRANGER))
        assert whole.sent == split.sent
    snapshot = whole.protocol.state.snapshot()
    assert snapshot == split.protocol.state.snapshot()
    assert ChatState.restore(snapshot).snapshot() == snapshot
    assert whole.sent[PROGRAM].endswith(THE_END)
    assert is_safe(whole.sent[PERSON].decode().replace("\n", ""))
    for encoded in whole.sent[PROGRAM].splitlines():
        decode_notice(encoded)


def check_client(data: bytes, size: int) -> None:
    client = ClientProtocol()
    client.hello()
    client.say("lobby", "hello")
    try:
        for piece in pieces(data, size):
            client.receive_data(piece)
    except RemoteError:
        pass
    client.hello()  # whatever came, the next connection begins


def check(data: bytes) -> None:
    """One input."""
    opening, left_out, size = (data + bytes(3))[:3]
    if opening % 4:
        begun = OPENINGS[opening // 4 * 3 % len(OPENINGS)] if opening < 252 else b""
        check_server(begun[: len(begun) - left_out] + data[3:], size + 1)
    else:
        begun = ANSWERS[opening // 4 % len(ANSWERS)]
        check_client(begun[: len(begun) - left_out] + data[3:], size + 1)


if __name__ == "__main__":
    atheris.Setup([sys.argv[0], f"-artifact_prefix={tempfile.gettempdir()}/", *sys.argv[1:]], check)
    atheris.Fuzz()
