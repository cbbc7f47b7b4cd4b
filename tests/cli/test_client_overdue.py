"""How long an answer is waited for: by numbers, and at a server that talks and answers nothing."""

from __future__ import annotations

import contextlib
import math
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator

import msgspec
import pytest
from tcpchat_cli.terminal import exits
from tcpchat_cli.terminal.overdue import Overdue

from tcpchat_core import notices
from tests.cli.hostile import hostile, let_in, line, said
from tests.cli.terminal import CLIENT, LIMIT_SECONDS

# tcpchat-client as it is, but for how long it waits.
HURRIED = """
import sys
from tcpchat_cli.terminal import overdue
overdue.ANSWER_SECONDS = 3
from tcpchat_cli.client import main
sys.exit(main())
"""


def test_time_counts_from_when_something_is_owed() -> None:
    overdue = Overdue(60)
    assert overdue.due == math.inf
    overdue.update(counts=True, now=100)
    assert overdue.due == 160
    overdue.update(counts=True, now=110)  # something more is asked
    assert overdue.due == 160
    overdue.update(counts=False, now=120)
    assert overdue.due == math.inf


def test_an_answer_begins_the_time_anew() -> None:
    overdue = Overdue(60)
    overdue.update(counts=True, now=100)
    overdue.update(counts=True, answered=True, now=150)
    assert overdue.due == 210


def test_what_was_owed_before_a_connection_was_lost_is_owed_after_it() -> None:
    overdue = Overdue(60)
    overdue.update(counts=True, now=100)
    overdue.update(counts=False, now=150)
    overdue.update(counts=True, now=1_000)
    assert overdue.due == 1_010


def test_who_waits_for_ever_is_never_told() -> None:
    overdue = Overdue(math.inf)
    overdue.update(counts=True, now=100)
    assert overdue.due == math.inf


@contextlib.contextmanager
def talkative() -> Iterator[str]:
    """A server that lets one in, and then says what others say, and nothing else. Its address."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection = listener.accept()[0]
            with connection, contextlib.suppress(OSError), connection.makefile("rb") as lines:
                for request in lines:
                    connection.sendall(let_in(request))
                    if msgspec.json.decode(request)["type"] in {"say", "history"}:
                        break
                seq = 0
                while True:
                    connection.sendall(said(seq := seq + 1))

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield "{}:{}".format(*listener.getsockname())
        finally:
            thread.join(LIMIT_SECONDS)


# The server says nothing of a window: one line is under way.
NOT_RECEIVED = (
    "no line has a receipt; 1 line without a receipt, from line 1 on, may have been said or not;"
    " what comes after line 1 was not said"
)
IN_A_PIPE = "1 message without a receipt may have been said or not; 1 line not done"


@pytest.mark.parametrize(
    ("arguments", "status", "more"),
    [
        (["send", "lobby", "a\nb", "--server"], exits.LOST, f"; {NOT_RECEIVED}"),
        (["tail", "lobby", "--server"], exits.LOST, ""),
        (["--room", "lobby", "--json"], exits.FAILED, ""),
        (["--room", "lobby"], exits.FAILED, ""),
    ],
)
def test_a_server_that_talks_and_does_not_answer_is_left(
    arguments: list[str], status: int, more: str
) -> None:
    with talkative() as address:
        done = subprocess.run(
            [sys.executable, "-c", HURRIED, *arguments, address],
            input="a\nb\n",
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            timeout=LIMIT_SECONDS,
            check=False,
        )
    assert (done.returncode, done.stderr) == (
        status,
        f"tcpchat-client: {address} is there, but has answered no request for 3 seconds{more}\n",
    )


@pytest.mark.parametrize(
    ("arguments", "asks", "status", "known"),
    [
        (["send", "lobby", "a\nb", "--server"], b'"1"', exits.LOST, NOT_RECEIVED),
        (["tail", "lobby", "--server"], b'"history"', exits.LOST, "not all was printed"),
        (["--room", "lobby", "--json"], b'"line-1"', exits.FAILED, IN_A_PIPE),
        (["--room", "lobby"], b'"text":"a"', exits.FAILED, IN_A_PIPE),
    ],
)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_one_signal_ends_the_wait_for_an_answer_and_what_is_known_is_said(
    arguments: list[str], asks: bytes, status: int, known: str, number: signal.Signals
) -> None:
    with (
        hostile(lambda: b"", receives=False) as (address, asked),
        subprocess.Popen(
            [CLIENT, *arguments, address],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        ) as client,
    ):
        assert client.stdin is not None
        client.stdin.write("a\nb\n")
        client.stdin.flush()
        while asks not in asked.get(timeout=LIMIT_SECONDS):
            pass
        client.send_signal(number)
        complaint = client.communicate(timeout=LIMIT_SECONDS)[1]
    how = "interrupted" if number == signal.SIGINT else f"ended by {number.name}"
    assert complaint == f"tcpchat-client: {how}; {known}\n"
    assert client.returncode == (exits.INTERRUPTED if number == signal.SIGINT else status)


# … but for how long the network may be silent.
CUT_OFF = """
import sys
from tcpchat_cli.terminal import connection
connection.SILENT_SECONDS = 3
from tcpchat_cli.client import main
sys.exit(main())
"""


@contextlib.contextmanager
def silent() -> Iterator[str]:
    """A server that takes next to nothing of what is said first, and says nothing any more; who
    comes again is let in, as somebody new. Its address.
    """
    limits = notices.Limits(8_192, 2_000, 8_000, 32, 32, 200, 20, unacknowledged=1_000)

    def answered(request: bytes) -> bytes:
        if b'"hello"' in request:
            return line("welcome", nick="ada", epoch="1", limits=limits)
        return let_in(request)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)

        def talk(connection: socket.socket, last: bytes) -> None:
            with connection.makefile("rb") as lines, contextlib.suppress(OSError):
                for request in lines:
                    if last in request:
                        break
                    connection.sendall(answered(request))

        def serve() -> None:
            with listener.accept()[0] as first, contextlib.suppress(OSError):
                talk(first, b'"say"')
                while True:  # until nobody listens any more
                    with listener.accept()[0] as another:
                        talk(another, b'"quit"')

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield "{}:{}".format(*listener.getsockname())
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(LIMIT_SECONDS)


def test_what_the_network_did_not_take_holds_up_nobody_who_has_come_again() -> None:
    with silent() as address:
        done = subprocess.run(
            [sys.executable, "-c", CUT_OFF, "send", "--server", address, "lobby"],
            input=f"{'안' * 2_000}\n" * 1_000,  # more than any kernel takes in
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            timeout=LIMIT_SECONDS,
            check=False,
        )
    print(done)
    lost, *_, ended = done.stderr.splitlines()
    assert lost == f"tcpchat-client: {address} says nothing any more; reconnecting"
    assert ended.startswith("tcpchat-client: the session is over; no line has a receipt; ")
    assert done.returncode == exits.LOST
