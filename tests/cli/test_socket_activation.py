"""A server that is given the socket it serves, by somebody who keeps it."""

from __future__ import annotations

import os
import re
import socket
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cli.serving import ServerProcess, Talker


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """A socket that listens on this machine, and is the test's as long as that lasts."""
    with socket.create_server(("127.0.0.1", 0)) as made:
        yield made


def given(listener: socket.socket, *arguments: str) -> ServerProcess:
    return ServerProcess("--in-memory", *arguments, sockets=[listener.fileno()])


def address_of(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def warnings_in(log: str) -> list[str]:
    return re.findall('level=warning .*about=address text="(.*)"', log)


# ── Serving it ───────────────────────────────────────────────────────────────────────────────


def test_the_socket_is_served_and_its_address_is_told(listener: socket.socket) -> None:
    with given(listener) as server:
        assert server.read_address() == address_of(listener)
        assert server.read_line() == f"join:  tcpchat-client {address_of(listener)}"
        with Talker(address_of(listener), "/join lobby\n") as ada:
            ada.read_until("* You joined lobby")
        assert warnings_in(server.log_so_far()) == []


def test_nobody_is_refused_while_a_server_ends_and_the_next_one_begins(
    listener: socket.socket,
) -> None:
    address = address_of(listener)
    with given(listener) as first, Talker(first.read_address(), "/join lobby\n") as ada:
        ada.read_until("* You joined lobby")
        first.process.terminate()
        ada.read_until("* Closing")  # it waits now for this side to close
        with Talker(address, "/join tea\n") as bob:
            ada.__exit__()
            assert first.wait()[0] == 0
            with Talker(address, "/join tea\n") as cleo, given(listener) as second:
                for talker in (bob, cleo):
                    talker.read_until("* You joined tea")
                second.process.terminate()
                assert bob.read_to_end()[-1].startswith("* Closing")


def test_a_server_that_is_killed_leaves_the_socket_as_it_is(listener: socket.socket) -> None:
    with given(listener) as first:
        first.read_address()
        first.process.kill()
        first.wait()
    with Talker(address_of(listener), "/join tea\n") as bob, given(listener):
        bob.read_until("* You joined tea")


def test_a_socket_for_ipv6_serves_ipv4_as_well() -> None:
    with (
        socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True) as listener,
        given(listener, "--allow-plaintext") as server,
    ):
        port = listener.getsockname()[1]
        assert server.read_address() == f"[::]:{port}"
        for host in ("127.0.0.1", "::1"):
            with Talker(f"{host}:{port}", "/join lobby\n") as talker:
                talker.read_until("* You joined lobby")


def test_the_socket_has_the_options_and_the_backlog_of_one_that_the_server_makes(
    listener: socket.socket,
) -> None:
    listener.listen(5)
    with given(listener) as server:
        server.read_address()
        assert listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
        assert listener.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        # Of one that listens, the sixth number behind eight bytes is the length of the queue.
        info = listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 32)
        at_most = int(Path("/proc/sys/net/core/somaxconn").read_text())
        assert struct.unpack("=8x6I", info)[5] == min(4_096, at_most)


def test_what_was_given_to_another_process_is_not_served(listener: socket.socket) -> None:
    env = {"LISTEN_FDS": "1", "LISTEN_PID": str(os.getpid())}
    with ServerProcess("--port", "0", "--in-memory", env=env) as server:
        assert server.read_address() != address_of(listener)


# ── What the settings say of an address ──────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        (("--port", "7669"), "127.0.0.1:7669"),
        (("--host", "192.0.2.1"), "192.0.2.1:7667"),
        (("--port", "0"), None),
        (("--host", "127.0.0.1"), None),
    ],
)
def test_another_address_in_the_settings_does_not_count_and_the_log_says_so(
    listener: socket.socket, flags: tuple[str, ...], named: str | None
) -> None:
    with given(listener, *flags) as server:
        assert server.read_address() == address_of(listener)
        told = warnings_in(server.log_so_far())
    assert told == [
        f"{named} is not listened on: the service manager has given a socket, which is {address}"
        for address in [address_of(listener)]
        if named
    ]


def test_it_is_the_sockets_address_that_wants_a_certificate() -> None:
    with socket.create_server(("0.0.0.0", 0)) as listener:
        with given(listener) as server:
            status, output, log = server.wait()
        assert (status, output) == (1, "")
        assert log.startswith(f"tcpchat-server: what is said on {address_of(listener)} could be")
        assert log.count("\n") == 1
        with given(listener, "--allow-plaintext") as server:
            assert server.read_address() == address_of(listener)


# ── What cannot be served ────────────────────────────────────────────────────────────────────


PORT = "let the socket unit have ListenStream= with a port"


def unix() -> socket.socket:
    sock = socket.socket(socket.AF_UNIX)
    sock.bind(f"\0tcpchat-test-{os.getpid()}")
    sock.listen()
    return sock


def datagrams() -> socket.socket:
    return socket.socket(socket.AF_INET, socket.SOCK_DGRAM)


def bound() -> socket.socket:
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    return sock


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (unix, f"is none of TCP (AF_UNIX, SOCK_STREAM): {PORT}"),
        (datagrams, f"is none of TCP (AF_INET, SOCK_DGRAM): {PORT}"),
        (bound, "does not listen: let the socket unit have Accept=no"),
    ],
)
def test_a_socket_that_cannot_be_served_is_refused_in_one_sentence(
    make: Callable[[], socket.socket], sentence: str
) -> None:
    with make() as sock, given(sock) as server:
        told = f"tcpchat-server: the socket that LISTEN_FDS gives {sentence}\n"
        assert server.wait() == (1, "", told)


def test_a_file_is_refused_in_one_sentence(tmp_path: Path) -> None:
    with (
        (tmp_path / "file").open("w") as file,
        ServerProcess("--in-memory", sockets=[file.fileno()]) as server,
    ):
        status, output, log = server.wait()
    assert (status, output) == (1, "")
    assert log == "tcpchat-server: descriptor 3, which LISTEN_FDS gives, is no socket\n"


def test_two_sockets_are_refused_in_one_sentence(listener: socket.socket) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        sockets = [listener.fileno(), other.fileno()]
        with ServerProcess("--in-memory", sockets=sockets) as server:
            status, output, log = server.wait()
    assert (status, output) == (1, "")
    assert log == (
        "tcpchat-server: LISTEN_FDS is 2, and one socket is served: let the socket unit have one"
        " ListenStream=, such as [::]:7667 for IPv4 and IPv6\n"
    )
