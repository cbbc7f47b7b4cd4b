"""docs/embedding.md: its programs run as they stand there, over real sockets where they say so."""

from __future__ import annotations

import contextlib
import io
import re
import socket
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias, get_args, get_origin

import msgspec
import pytest

from tcpchat_core import ChatState, ClientProtocol, Effect, ServerProtocol, events, notices
from tcpchat_net import Log, Node
from tcpchat_net.node import Loop, Transport
from tests.docs.pages import code_blocks, read, sections

LIMIT_SECONDS = 90.0

PAGE = sections(read("docs/embedding.md"), 2)
[SERVER_EXAMPLE] = code_blocks(PAGE["A chat server on asyncio"], "python")
PORT = "7667"

# Runs a program, but on a free port, and says on which one it listens.
RUNNER = """
import pathlib, socket, sys

create_server = socket.create_server

def create_and_tell(address):
    listener = create_server((address[0], 0))
    print(listener.getsockname()[1], flush=True)
    return listener

socket.create_server = create_and_tell
path = sys.argv[1]
exec(compile(pathlib.Path(path).read_text("utf-8"), path, "exec"), {"__name__": "__main__"})
"""


@contextlib.contextmanager
def serving(directory: Path, text: str = SERVER_EXAMPLE) -> Iterator[int]:
    """The port of the page's server, running; it must have nothing to complain of."""
    program = directory / "chat.py"
    program.write_text(text, encoding="utf-8")
    with subprocess.Popen(
        [sys.executable, "-c", RUNNER, str(program)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as server:
        assert server.stdout is not None
        try:
            yield int(server.stdout.readline())
        finally:
            server.terminate()
            _, complaints = server.communicate(timeout=LIMIT_SECONDS)
        assert complaints == ""


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    with serving(tmp_path) as port:
        yield port


@pytest.fixture
def unhurried(tmp_path: Path) -> Iterator[int]:
    """The port of the page's server, but without a limit on lines a second."""
    core = "ServerProtocol(ChatState())"
    assert core in SERVER_EXAMPLE
    limits = "__import__('tcpchat_core').ServerLimits(flood_rate=0)"
    faster = SERVER_EXAMPLE.replace(core, f"ServerProtocol(ChatState(), limits={limits})")
    with serving(tmp_path, faster) as port:
        yield port


class Peer:
    """A plain socket that reads lines."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=LIMIT_SECONDS)
        self._file = self.socket.makefile("r", encoding="utf-8", newline="\n")

    def send(self, *lines: str) -> None:
        self.socket.sendall("".join(f"{line}\n" for line in lines).encode())

    def read_line(self) -> str:
        return self._file.readline().rstrip("\n")

    def read_until(self, wanted: str) -> str:
        """Read on to the first line that contains `wanted`."""
        for line in self._file:
            if wanted in line:
                return line.rstrip("\n")
        raise AssertionError(f"the connection ended before {wanted!r}")

    def rest(self) -> str:
        """All that comes to the end of the connection."""
        return self._file.read()

    def reset(self) -> None:
        """End the connection at once, without a goodbye (RST)."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._file.close()
        self.socket.close()

    def close(self) -> None:
        self._file.close()
        self.socket.close()


Connect: TypeAlias = Callable[[int, str], Peer]


@pytest.fixture
def connect() -> Iterator[Connect]:
    """Connects somebody to a port, in the plain dialect, gives them a nick, and joins lobby."""
    with contextlib.ExitStack() as stack:

        def connect(port: int, nick: str) -> Peer:
            peer = Peer(port)
            stack.callback(peer.close)
            peer.send(f"/nick {nick}", "/join lobby")
            peer.read_until("You joined lobby")
            return peer

        yield connect


def test_two_people_talk(port: int, connect: Connect) -> None:
    ada, bob = connect(port, "ada"), connect(port, "bob")
    assert ada.read_line() == "* bob joined lobby"
    ada.send("hello")
    assert bob.read_line() == "[lobby] ada: hello"
    bob.send("/me waves", "/quit")
    assert ada.read_line() == "[lobby] * bob waves"
    assert ada.read_line() == "* bob quit"
    assert bob.rest() == "* Closing: bye\n"


def test_a_silent_client_is_greeted(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=LIMIT_SECONDS) as silent:
        assert silent.recv(65_536).startswith(b"* Welcome to tcpchat. You are guest-1.")


def test_a_half_closed_client_is_heard_to_its_last_line_and_still_answered(
    port: int, connect: Connect
) -> None:
    ada, bob = connect(port, "ada"), connect(port, "bob")
    ada.read_until("bob joined")
    bob.send("so long", "/who")
    bob.socket.shutdown(socket.SHUT_WR)
    assert ada.read_line() == "[lobby] bob: so long"
    assert ada.read_line() == "* bob quit"
    assert bob.rest() == "* 2 in lobby: ada, bob. Moderators: ada\n"


def test_a_reset_in_the_middle_of_a_line_is_told_to_the_others(port: int, connect: Connect) -> None:
    ada, bob = connect(port, "ada"), connect(port, "bob")
    ada.read_until("bob joined")
    bob.socket.sendall(b"half a li")
    bob.reset()
    assert ada.read_line() == "* bob quit (connection lost)"


def test_who_is_too_fast_is_heard_all_the_same(port: int, connect: Connect) -> None:
    ada, bob = connect(port, "ada"), connect(port, "bob")
    lines = [f"line {number}" for number in range(22)]  # two more than go through at once
    ada.send(*lines)
    assert [bob.read_line() for _ in lines] == [f"[lobby] ada: {line}" for line in lines]


def test_many_lines_at_once_are_all_dealt_with(unhurried: int, connect: Connect) -> None:
    ada, bob = connect(unhurried, "ada"), connect(unhurried, "bob")
    lines = [f"line {number}" for number in range(2_000)]
    ada.send(*lines)
    assert [bob.read_line() for _ in lines] == [f"[lobby] ada: {line}" for line in lines]


def test_a_client_that_does_not_read_is_dropped(unhurried: int, connect: Connect) -> None:
    ada = connect(unhurried, "ada")
    stuck = socket.socket()
    # A small window, so that what is not read piles up in the server and not in the kernel.
    stuck.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    stuck.settimeout(LIMIT_SECONDS)
    stuck.connect(("127.0.0.1", unhurried))
    with stuck:
        stuck.sendall(b"/nick stuck\n/join lobby\n")
        ada.read_until("stuck joined lobby")
        ada.send(*["x" * 1_900] * 8_000)
        assert ada.read_line() == "* stuck quit (read too slowly)"


def test_a_session_goes_on_after_a_reset(port: int) -> None:
    ada = ClientProtocol()

    def talk(connection: socket.socket, wanted: type[notices.Notice], data: bytes) -> None:
        connection.sendall(data)
        while True:
            received = ada.receive_data(connection.recv(65_536))
            connection.sendall(received.reply)
            if any(isinstance(notice, wanted) for notice in received.notices):
                return

    with contextlib.closing(Peer(port)) as lost:
        talk(lost.socket, notices.Entered, ada.hello() + ada.request(events.Join("lobby")))
        lost.reset()
    ada.say("lobby", "hello")
    with contextlib.closing(Peer(port)) as found:
        talk(found.socket, notices.Sent, ada.hello())
    assert ada.unacknowledged == {}
    assert ada.rooms["lobby"].count == 1


def test_the_client_example_says_hello(port: int) -> None:
    [program] = code_blocks(PAGE["ClientProtocol"], "python")
    [printed] = code_blocks(PAGE["ClientProtocol"], "text")
    assert PORT in program
    assert _output(program.replace(PORT, str(port))) == printed


@pytest.mark.parametrize(
    "section", ["A dialect of your own", "A room in memory", "A connection that is lost"]
)
def test_a_program_without_sockets_prints_what_the_page_shows(section: str) -> None:
    [program] = code_blocks(PAGE[section], "python")
    [printed] = code_blocks(PAGE[section], "text")
    assert _output(program) == printed


def _output(program: str) -> str:
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(program, "docs/embedding.md", "exec"), {"__name__": "__main__"})
    return printed.getvalue()


@pytest.mark.parametrize(
    ("section", "type"),
    [
        ("ServerProtocol, call by call", ServerProtocol),
        ("Node, with your own loop and transport", Node),
        ("Node, with your own loop and transport", Loop),
        ("Node, with your own loop and transport", Transport),
        ("Node, with your own loop and transport", Log),
        ("ChatState alone", ChatState),
        ("ClientProtocol", ClientProtocol),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_every_call_is_explained(section: str, type: type) -> None:
    public = [name for name in vars(type) if not name.startswith("_")]
    missing = [name for name in public if not re.search(rf"\b{name}\b", PAGE[section])]
    assert not missing, f"docs/embedding.md, {section}: explain {', '.join(missing)}"


@pytest.mark.parametrize("effect", [get_origin(each) or each for each in get_args(Effect)])
def test_every_effect_is_explained_with_its_fields(effect: type[msgspec.Struct]) -> None:
    fields = ", ".join(field.name for field in msgspec.structs.fields(effect))
    assert f"| `{effect.__name__}({fields})` |" in PAGE["ServerProtocol, call by call"]
