"""What goes wrong is told by tcpchat-client in one sentence on stderr, never by a traceback."""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator

import pytest

from tests.cli.terminal import CLIENT, LIMIT_SECONDS


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The client in a pipe, to its end."""
    return subprocess.run(
        [CLIENT, *arguments],
        input="hello\n",
        capture_output=True,
        text=True,
        timeout=LIMIT_SECONDS,
        check=False,
    )


@contextlib.contextmanager
def serving(*answers: bytes) -> Iterator[str]:
    """The address of a server that says these to those who come, one to each, and hangs up."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            for answer in answers:
                connection = listener.accept()[0]
                with connection, contextlib.suppress(OSError):
                    connection.recv(1)
                    connection.sendall(answer)
                    connection.shutdown(socket.SHUT_WR)
                    while connection.recv(65_536):
                        pass

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield "{}:{}".format(*listener.getsockname())
        finally:
            thread.join()


GREETING = b"* Welcome to tcpchat. You are guest-1.\n"
WELCOME = b'{"type":"welcome","nick":"ada","epoch":"0"}\n'


def test_who_was_taken_for_a_person_with_nc_says_hello_again() -> None:
    with serving(GREETING, GREETING, WELCOME) as address:
        done = run(address)
    assert done.stderr == f"tcpchat-client: the connection to {address} was lost\n"


def test_who_is_always_taken_for_a_person_with_nc_is_told_so() -> None:
    with serving(*[GREETING] * 3) as address:
        done = run(address)
    assert done.returncode == 1
    assert done.stderr == (
        "tcpchat-client: our first line came so late that the server spoke first\n"
    )


def test_a_refused_connection() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # and does not listen
        address = "{}:{}".format(*unused.getsockname())
        refused = run(address)
    assert refused.returncode == 1
    assert refused.stderr == f"tcpchat-client: cannot connect to {address}: connection refused\n"


def test_where_no_server_can_be_reached_each_is_told_with_its_reason() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = "{}:{}".format(*unused.getsockname())
        closing = b'{"type":"closing","reason":"the server is full","retry":2000}\n'
        with serving(closing) as full, serving(b"") as gone:
            told = run(f"{address}, no-such-host.invalid, {full}, {gone}")
    assert told.returncode == 1
    refused, unknown, closed, lost = told.stderr.removesuffix("\n").split("; ")
    assert refused == f"tcpchat-client: cannot connect to {address}: connection refused"
    assert unknown.startswith("cannot find no-such-host.invalid: ")
    assert closed == f"{full} closed the connection: the server is full"
    assert lost == f"the connection to {gone} was lost"


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (b"SSH-2.0-OpenSSH_9.2\r\n", "the server does not speak tcpchat's protocol"),
        (b'{"type":"closing","reason":"go away"}\n', "{} closed the connection: go away"),
        (
            b'{"type":"rejected","reason":"wrong-password","text":"no","request":"hello"}\n',
            "no",
        ),
    ],
)
def test_after_a_server_that_does_not_want_us_no_other_is_tried(
    answer: bytes, sentence: str
) -> None:
    with serving(answer) as address, socket.create_server(("127.0.0.1", 0)) as other:
        told = run("{},{}:{}".format(address, *other.getsockname()))
        other.setblocking(False)
        with pytest.raises(BlockingIOError):
            other.accept()
    assert told.returncode == 1
    assert told.stderr.startswith("tcpchat-client: " + sentence.format(address))
    assert told.stderr.count("\n") == 1


def test_a_name_that_cannot_be_found() -> None:
    unknown = run("no-such-host.invalid")
    assert unknown.returncode == 1
    assert unknown.stderr.startswith("tcpchat-client: cannot find no-such-host.invalid: ")
    assert unknown.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (b"", "the connection to {} was lost"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "the server does not speak tcpchat's protocol"),
        (b"\xff\xfe\x00\x1b]0;title\x07\n", "the server does not speak tcpchat's protocol"),
        (b'{"type":"welcome"}\n', "the server does not speak tcpchat's protocol"),
        (b'{"type":"nonsense"}\n', "the connection to {} was lost"),
        (b"[" * 100_000 + b"\n", "the server does not speak tcpchat's protocol"),
        (b"x" * (17 << 20), "the server sent a line of more than 16,777,216 bytes"),
        (
            b'{"type":"closing","reason":"go\x7f away"}\n',
            "the server closed the connection: go away",
        ),
        (
            b'{"type":"welcome","nick":"guest-1","epoch":"1"}\n',
            "the connection to {} was lost",
        ),
    ],
)
def test_a_server_that_talks_nonsense(answer: bytes, sentence: str) -> None:
    with serving(answer) as address:
        told = run(address, "--nick", "ada")
    assert told.returncode == 1
    assert told.stderr.startswith("tcpchat-client: " + sentence.format(address))
    assert told.stderr.count("\n") == 1
    assert "\x1b" not in told.stderr


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["127.0.0.1:0"], "a port is a number from 1 to 65535"),
        (["127.0.0.1:http"], "a port is a number from 1 to 65535"),
        (["127.0.0.1:65536"], "a port is a number from 1 to 65535"),
        (["127.0.0.1:"], "a port is a number from 1 to 65535"),
        ([":7667"], "write HOST or HOST:PORT"),
        ([""], "write HOST or HOST:PORT"),
        (["::1"], "put an IPv6 address in brackets: [::1]"),
        (["[::1"], "write [HOST]:PORT"),
        (["[::1]7667"], "write [HOST]:PORT"),
        (["127.0.0.1:7667,"], "write HOST:PORT,HOST:PORT"),
        (["--bogus"], "unrecognized arguments: --bogus"),
    ],
)
def test_a_wrong_command_line(arguments: list[str], sentence: str) -> None:
    wrong = run(*arguments)
    assert wrong.returncode == 2
    assert sentence in wrong.stderr.splitlines()[-1]


def test_a_host_that_no_name_service_takes() -> None:
    for host in ("x" * 70, "a..b", "ho st"):
        told = run(host)
        assert told.returncode == 1
        assert told.stderr.startswith("tcpchat-client: cannot ")
        assert told.stderr.count("\n") == 1


def test_signals_while_the_server_lets_us_wait() -> None:
    for number, status, how in (
        (signal.SIGINT, 130, "interrupted"),
        (signal.SIGTERM, 1, "ended by SIGTERM"),
    ):
        with socket.create_server(("127.0.0.1", 0)) as silent:
            address = "{}:{}".format(*silent.getsockname())
            client = subprocess.Popen(
                [CLIENT, address], stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            )
            connection = silent.accept()[0]
            with connection:
                assert connection.recv(65_536) == b'{"type":"hello"}\n'
                client.send_signal(number)
                complaint = client.communicate(timeout=LIMIT_SECONDS)[1]
            assert complaint == f"tcpchat-client: {how}; nothing was said\n"
            assert client.returncode == status
