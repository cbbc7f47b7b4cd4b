"""The port on which one sees how a server is: what it answers, and whom it waits for."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from http import HTTPStatus

import pytest

from tcpchat_net.monitor import MAX_CONNECTIONS, MAX_REQUEST_BYTES, Answer, Monitor, Page
from tests.net.serving import LIMIT_S
from tests.net.watching import get

BODY = b"so it is\n"

# More than all buffers on the way take.
LONG = b"x" * 32 * 1024 * 1024


def fails(_accept: str) -> Answer:
    raise KeyError("what is not there")


PAGES: Mapping[str, Page] = {
    "/state": lambda _accept: Answer(HTTPStatus.OK, BODY),
    "/accept": lambda accept: Answer(HTTPStatus.OK, accept.encode()),
    "/long": lambda _accept: Answer(HTTPStatus.OK, LONG),
    "/fails": fails,
}


@contextmanager
def watched(
    complaints: list[str] | None = None, **options: float
) -> Iterator[tuple[Monitor, tuple[str, int]]]:
    told = [] if complaints is None else complaints
    monitor = Monitor(socket.create_server(("127.0.0.1", 0)), PAGES, told.append, **options)
    monitor.start()
    try:
        yield monitor, monitor.address
    finally:
        monitor.close()


def connect(address: tuple[str, int]) -> socket.socket:
    sock = socket.create_connection(address, timeout=LIMIT_S)
    sock.settimeout(LIMIT_S)
    return sock


def said(address: tuple[str, int], request: bytes) -> str:
    """The first line of what is answered to bytes, and the last."""
    with connect(address) as sock:
        sock.sendall(request)
        lines = sock.makefile("rb").read().decode().splitlines()
    return f"{lines[0]}: {lines[-1]}"


def until_ended(sock: socket.socket) -> None:
    """Read to the end, however it is one."""
    with suppress(ConnectionResetError), sock.makefile("rb") as file:
        file.read()


def test_a_page_is_given_and_the_connection_ends() -> None:
    with watched() as (_, address):
        assert get(address, "/state") == (200, "so it is\n", "text/plain; charset=utf-8")
        with connect(address) as sock:
            sock.sendall(b"GET /state?verbose HTTP/1.1\r\nHost: localhost\r\n\r\n")
            answer = sock.makefile("rb").read()
    assert answer.endswith(
        b"\r\nContent-Length: 9\r\nCache-Control: no-store\r\nConnection: close\r\n\r\nso it is\n"
    )


def test_a_head_is_the_same_without_the_page() -> None:
    with watched() as (_, address), connect(address) as sock:
        sock.sendall(b"HEAD /state HTTP/1.0\r\n\r\n")
        answer = sock.makefile("rb").read()
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"Content-Length: 9\r\n" in answer
    assert answer.endswith(b"\r\n\r\n")


def test_what_somebody_accepts_is_for_the_page_to_know() -> None:
    request = b"GET /accept HTTP/1.1\r\naccept: text/plain\r\nAccept:a/b;q=0.5\r\n\r\n"
    with watched() as (_, address):
        assert said(address, request) == "HTTP/1.1 200 OK: text/plain,a/b;q=0.5"


@pytest.mark.parametrize(
    ("request_", "answer"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 404 Not Found: there is /state, "),
        (b"GET /statement HTTP/1.1\r\n\r\n", "HTTP/1.1 404 Not Found: there is /state, "),
        (b"POST /state HTTP/1.1\r\n\r\n", "HTTP/1.1 405 Method Not Allowed: only GET and HEAD "),
        (b"POST /elsewhere HTTP/1.1\r\n\r\n", "HTTP/1.1 404 Not Found: there is /state, "),
        (b"\r\n\r\n", "HTTP/1.1 400 Bad Request: that is no request of HTTP/1.1"),
        (b"GET /state\n\n", "HTTP/1.1 400 Bad Request: that is no request of HTTP/1.1"),
        (b"GET /state HTTP/2.0\n\n", "HTTP/1.1 400 Bad Request: that is no request of HTTP/1.1"),
        (b'{"type":"hello"}\n\n', "HTTP/1.1 400 Bad Request: that is no request of HTTP/1.1"),
        (b"\xff\xfe\x00\n\n", "HTTP/1.1 400 Bad Request: that is no request of HTTP/1.1"),
        (
            b"GET /state HTTP/1.1\r\nCookie: " + b"x" * MAX_REQUEST_BYTES,
            "HTTP/1.1 431 Request Header Fields Too Large: that is too long",
        ),
    ],
)
def test_anything_else_is_refused_in_a_line(request_: bytes, answer: str) -> None:
    with watched() as (_, address):
        assert said(address, request_).startswith(answer)
        assert get(address, "/state").status == 200


def test_a_refused_method_is_told_which_there_are() -> None:
    with watched() as (_, address), connect(address) as sock:
        sock.sendall(b"DELETE /state HTTP/1.1\r\n\r\n")
        assert b"\r\nAllow: GET, HEAD\r\n" in sock.makefile("rb").read()


def test_a_request_that_comes_a_byte_at_a_time_is_answered_as_one_that_comes_whole() -> None:
    request = b"GET /state HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with watched() as (_, address), connect(address) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for place in range(len(request)):
            sock.sendall(request[place : place + 1])
        assert sock.makefile("rb").read().endswith(BODY)


def test_a_page_that_fails_is_500_and_the_next_is_answered() -> None:
    complaints: list[str] = []
    with watched(complaints) as (_, address):
        assert get(address, "/fails")[:2] == (500, "this has failed; the log says how\n")
        assert get(address, "/state").status == 200
    assert complaints == ["a page of the metrics has failed: KeyError('what is not there')"]


def test_those_who_say_nothing_take_nobodys_place() -> None:
    with watched() as (_, address), ExitStack() as stack:
        silent = [stack.enter_context(connect(address)) for _ in range(MAX_CONNECTIONS * 3)]
        assert get(address, "/state").status == 200
        assert silent[0].recv(1) == b""  # the oldest makes place


def test_who_takes_nothing_of_a_long_answer_holds_up_nobody() -> None:
    with watched() as (_, address), connect(address) as slow:
        slow.sendall(b"GET /long HTTP/1.1\r\n\r\n")
        assert slow.recv(1) == b"H"  # from here on it takes nothing
        assert get(address, "/state").status == 200
        rest = slow.makefile("rb").read()
        assert rest.endswith(LONG)


@pytest.mark.parametrize("request_", [b"", b"GET /st", b"GET /long HTTP/1.1\r\n\r\n"])
def test_a_connection_that_is_not_answered_ends_after_its_time(request_: bytes) -> None:
    with watched(max_seconds=0.05) as (_, address), connect(address) as sock:
        sock.sendall(request_)
        until_ended(sock)


def test_who_does_not_close_after_its_answer_is_closed() -> None:
    with watched(max_seconds=0.05) as (_, address), connect(address) as sock:
        sock.sendall(b"GET /state HTTP/1.1\r\n\r\n")
        until_ended(sock)
        with suppress(BrokenPipeError, ConnectionResetError):
            while True:  # it is read, and thrown away, for as long as there is a connection
                sock.sendall(b"x")
                os.sched_yield()


def test_a_peer_that_breaks_off_ends_alone() -> None:
    with watched() as (_, address):
        for request in (b"", b"GET", b"GET /long HTTP/1.1\r\n\r\n"):
            with connect(address) as sock:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                sock.sendall(request)
        assert get(address, "/state").status == 200


def test_nothing_is_left_of_one_that_is_closed() -> None:
    descriptors, threads = len(os.listdir("/proc/self/fd")), threading.active_count()
    with watched() as (monitor, address), connect(address) as sock:
        monitor_address = monitor.address
        sock.sendall(b"GET")
    assert len(os.listdir("/proc/self/fd")) == descriptors
    assert threading.active_count() == threads
    socket.create_server(monitor_address).close()
