"""Over a slow line: what a key and a line cost in bytes, and that nothing is lost or doubled.

Bytes are counted, and no time: what is sent to the terminal is the same on every machine.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from queue import SimpleQueue

import pytest

from tests.cli.cable import host_and_port
from tests.cli.conftest import Server
from tests.cli.hostile import hostile
from tests.cli.terminal import CLIENT, Terminal

# To move the cursor and to hide it meanwhile takes some thirty bytes; a row of the screen, with its
# colours, is more than a hundred.
MOST_FOR_A_KEY = 80

# Of a line that is told: its own text, its colours, and the prompt and its bar drawn again.
MOST_FOR_A_LINE = 600

# One way. What is measured of it is nothing: it is how things are over such a line.
DELAY_SECONDS = 0.15


@contextlib.contextmanager
def far_away(address: str) -> Iterator[str]:
    """An address of the same server; what one sends there arrives late, and what comes from it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=_relay, args=(listener, address))
        thread.start()
        yield "{}:{}".format(*listener.getsockname())
        thread.join()


def _relay(listener: socket.socket, address: str) -> None:
    near = listener.accept()[0]
    far = socket.create_connection(host_and_port(address))
    with near, far:
        both = [threading.Thread(target=_late, args=way) for way in ((near, far), (far, near))]
        for thread in both:
            thread.start()
        for thread in both:
            thread.join()


def _late(source: socket.socket, target: socket.socket) -> None:
    """Pass on what comes, in order and each after the delay; the end, too."""
    under_way: SimpleQueue[tuple[float, bytes]] = SimpleQueue()

    def arrive() -> None:
        data = b"-"
        while data:
            due, data = under_way.get()
            time.sleep(max(0.0, due - time.monotonic()))  # so far away is the server
            with contextlib.suppress(OSError):
                target.sendall(data) if data else target.shutdown(socket.SHUT_WR)

    arriving = threading.Thread(target=arrive)
    arriving.start()
    data = b"-"
    while data:
        try:
            data = source.recv(65_536)
        except OSError:
            data = b""
        under_way.put((time.monotonic() + DELAY_SECONDS, data))
    arriving.join()


def join(address: str, nick: str, *options: str) -> Terminal:
    opened = Terminal([CLIENT, address, "--nick", nick, "--room", "lobby", *options])
    opened.wait_until(lambda: opened.prompt.startswith("lobby>"), f"the prompt of {nick}")
    return opened


@pytest.mark.parametrize("options", [(), ("--full-screen",)])
def test_a_key_costs_few_bytes_and_a_line_little_more_than_itself(
    server: Server, options: tuple[str, ...]
) -> None:
    with join(server.address, "ada", *options) as ada, join(server.address, "bob") as bob:
        ada.wait_for("bob joined")
        ada.type("first ")
        ada.wait_until(lambda: ada.prompt.endswith("first"))
        before = len(ada.output)
        for number, letter in enumerate("abcdefghijklmnopqrst", start=1):
            ada.type(letter)
            typed = "lobby> first " + "abcdefghijklmnopqrst"[:number]
            ada.wait_until(lambda typed=typed: ada.prompt == typed)  # type: ignore[misc] # mypy infers no type for a default
        assert (len(ada.output) - before) / 20 < MOST_FOR_A_KEY
        before = len(ada.output)
        for number in range(10):
            bob.enter(f"line {number} of what people say in a room, as long as that usually is")
            ada.wait_for(f"bob: line {number}")
            ada.wait_until(lambda: ada.prompt.startswith("lobby> first abc"))
        assert (len(ada.output) - before) / 10 < MOST_FOR_A_LINE


def test_below_lines_that_have_no_receipt_a_key_costs_as_little() -> None:
    with hostile(lambda: b"", receives=False) as (address, _), join(address, "ada") as ada:
        for number in range(3):
            ada.enter(f"line {number}")
        ada.wait_for("^… line 2")
        ada.type(".")
        ada.wait_until(lambda: ada.prompt == "lobby> .")
        before = len(ada.output)
        for number in range(1, 21):
            ada.type("x")
            ada.wait_until(lambda number=number: ada.prompt == "lobby> ." + "x" * number)  # type: ignore[misc] # the same
        assert (len(ada.output) - before) / 20 < MOST_FOR_A_KEY
        ada.type("\x15")
        ada.type("\x04")
        assert ada.wait_for_exit() == 0


def test_what_is_typed_from_far_away_is_said_once_and_in_order(server: Server) -> None:
    far = far_away(server.address)
    with join(server.address, "bob") as bob, far as address, join(address, "ada") as ada:
        lines = [f"word {number} from far away" for number in range(5)]
        for text in lines:
            ada.enter(text)
        for terminal in (ada, bob):
            terminal.wait_for(f"ada: {lines[-1]}$")
            said = [row[6:] for row in terminal.scrollback if row[6:].startswith("ada: ")]
            assert said == [f"ada: {text}" for text in lines]
        ada.wait_until(lambda: not ada.shows("^… "), "an end of what is not sent")
        ada.enter("/quit")
        assert ada.wait_for_exit() == 0
