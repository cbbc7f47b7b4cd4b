"""docs/design.md: the walk of a `say` is that of a real one, and what is named there exists."""

from __future__ import annotations

import re
import socket
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

from tcpchat_core import ChatState, ServerProtocol
from tcpchat_core.server.connection import MOVES
from tcpchat_net import MemoryLog, Node
from tcpchat_net.connection import Connection
from tests.docs.pages import ROOT, read, sections, table

TEXT = read("docs/design.md")
WALK = sections(TEXT, 2)["The walk of one message"]
PHASES = sections(TEXT, 2)["The life of a connection"]


# ── A node on sockets, whose loop does what the test says ────────────────────────────────────


class _Loop:
    """Takes note of who wants to read; the test reads, and ends each turn."""

    def __init__(self) -> None:
        self.wanted: list[Callable[[], None]] = []

    def io(self, _fileno: int, _events: int) -> _Loop:
        return self

    def start(self, callback: Callable[[], None]) -> None:
        self.wanted.append(callback)

    def wake(self) -> None:
        pass

    def set_timer(self, _at: int | None, /) -> None:
        pass


class _Host:
    def __init__(self) -> None:
        self.loop: Any = _Loop()
        self.node = Node(ServerProtocol(ChatState()), MemoryLog(), self.loop, lambda: 0)
        self.node.open()

    def ended(self, _connection: Connection) -> None:
        raise AssertionError("nobody goes")

    def out_of_memory(self, _connection: Connection) -> None:
        raise AssertionError("there is enough")


def _entered(joins: bytes, says: bytes) -> dict[str, list[str]]:
    """Which files of tcpchat one who says something in a room of two enters, in the order of their
    first entry; with the functions of each that were called from another file.
    """
    host = _Host()
    pairs = [socket.socketpair() for _ in range(2)]
    readers: list[Callable[[], None]] = []
    for peer, sock in pairs:
        sock.setblocking(False)
        connection = Connection(host, sock, None)
        connection.conn = host.node.connect(connection, token="secret", peer="")
        readers.append(host.loop.wanted[-1])
        peer.sendall(joins)
        readers[-1]()
        host.node.end_turn()
    host.node.end_turn()
    speaker, listener = pairs[0][0], pairs[1][0]
    listener.recv(65_536)
    entered: dict[str, list[str]] = {}

    def called(frame: FrameType, event: str, _argument: object) -> None:
        file = _file(frame)
        if event == "call" and file and file != (frame.f_back and _file(frame.f_back)):
            functions = entered.setdefault(file, [])
            if frame.f_code.co_name not in functions:
                functions.append(frame.f_code.co_name)

    speaker.sendall(says)
    profiler = sys.getprofile()
    sys.setprofile(called)
    try:
        readers[0]()
        host.node.end_turn()
    finally:
        sys.setprofile(profiler)
    assert b"hello" in listener.recv(65_536), "the message has arrived"
    for pair in pairs:
        for end in pair:
            end.close()
    return entered


def _file(frame: FrameType) -> str:
    """The file of a frame, beginning with its package; "" for those that are not tcpchat's."""
    found = re.search(r"tcpchat_(?:core|net)/[\w/]+\.py$", frame.f_code.co_filename)
    return found[0] if found else ""


def test_a_say_walks_as_the_page_says() -> None:
    entered = _entered(b"/join lobby\n", b"hello\n")
    expected = [
        [f"`{file}`", ", ".join(f"`{function}`" for function in functions)]
        for file, functions in entered.items()
    ]
    wanted = "\n".join(" | ".join(row) for row in expected)
    assert [row[:2] for row in table(WALK)] == expected, f"the table should begin\n{wanted}"


def test_a_programs_say_walks_as_the_page_says() -> None:
    joins = b'{"type":"hello"}\n{"type":"join","room":"lobby"}\n'
    entered = _entered(joins, b'{"type":"say","room":"lobby","text":"hello","id":"1"}\n')
    [listed] = re.findall(r"A program's `say` [^:]*:((?:\s+`[\w./]+`,?)+)", WALK)
    inside = [file.partition("/")[2] for file in entered]
    assert re.findall(r"`([\w./]+)`", listed) == inside, f"it walks {', '.join(inside)}"


def test_the_legal_moves_are_the_codes() -> None:
    named = {
        (phase, step, then) for phases, step, then in table(PHASES) for phase in phases.split(", ")
    }
    assert named == {
        (f"`{phase.name}`", f"`{step.name}`", f"`{then.name}`")
        for (phase, step), then in MOVES.items()
    }


def test_every_file_that_is_named_exists() -> None:
    for name in re.findall(r"`([\w/]+(?:\.py|/))`", TEXT):
        places = (f"tcpchat_*/**/{name}", f"cli/tcpchat_cli/**/{name}")
        assert (ROOT / name).exists() or any(any(ROOT.glob(place)) for place in places), name
