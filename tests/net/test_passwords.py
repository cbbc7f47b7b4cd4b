"""Passwords with the real function, on real sockets."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest
from gevent import socket
from gevent.event import AsyncResult, Event

from tcpchat_core import ChatState, ServerProtocol, events
from tcpchat_core.server.access import code_hash
from tcpchat_net import ChatServer
from tcpchat_net.passwords import MAX_WAITING, Argon2, nobodys_password
from tests.core.harness import NO_FLOOD_LIMIT

SECRET = "correct horse battery"
LIMIT_SECONDS = 60


def derived(argon2: Argon2, password: str, against: str = "") -> str | None:
    result: AsyncResult[str | None] = AsyncResult()
    argon2.derive(password, against, result.set)
    return result.get(timeout=LIMIT_SECONDS)


def test_a_hash_is_of_one_password_and_another_each_time() -> None:
    argon2 = Argon2()
    made = derived(argon2, SECRET)
    assert made
    assert made.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert derived(argon2, SECRET) != made
    assert derived(argon2, SECRET, made) == made
    assert derived(argon2, "another", made) == ""
    assert derived(argon2, SECRET, nobodys_password()) == ""
    assert derived(argon2, SECRET, "no hash") == ""


def test_of_too_many_at_once_some_are_told_to_come_again() -> None:
    argon2 = Argon2()
    results: list[AsyncResult[str | None]] = [AsyncResult() for _ in range(MAX_WAITING + 5)]
    for result in results:
        argon2.derive(SECRET, "no hash", result.set)
    made = [result.get(timeout=LIMIT_SECONDS) for result in results]
    assert made.count(None) == 5
    assert derived(argon2, SECRET, "no hash") == ""


class Lines:
    """Somebody with nc."""

    def __init__(self, server: ChatServer, first: str) -> None:
        self._sock = socket.create_connection(server.address[:2], timeout=LIMIT_SECONDS)
        self._file = self._sock.makefile("r", encoding="utf-8", newline="\n")
        self._sock.sendall(first.encode())

    def read_until(self, start: str) -> None:
        for line in self._file:
            if line.startswith(start):
                return
        raise AssertionError(f"the connection ended before {start}")

    def close(self) -> None:
        self._file.close()
        self._sock.close()


def talking(server: ChatServer, first: str) -> closing[Lines]:
    return closing(Lines(server, first))


@pytest.fixture
def server() -> Iterator[ChatServer]:
    nobodys = nobodys_password()
    server = ChatServer(
        ServerProtocol(ChatState(), limits=NO_FLOOD_LIMIT, nobodys_password=nobodys)
    )
    server.start()
    granted = Event()
    server.node.propose(events.Grant("ada", "ada", code_hash("code")), granted.set)
    assert granted.wait(timeout=LIMIT_SECONDS)
    yield server
    server.stop()


def test_who_has_set_a_password_is_not_reached_by_another(server: ChatServer) -> None:
    with talking(server, f"/claim code\n/password {SECRET}\n") as first:
        first.read_until("* ada has a new password now")
        with talking(server, "/login ada another horse\n") as second:
            second.read_until("! wrong-password: ")


def test_who_logs_in_is_in_the_rooms_of_the_account(server: ChatServer) -> None:
    with talking(server, f"/claim code\n/password {SECRET}\n/join lobby\n") as first:
        first.read_until("* You joined lobby")
        with talking(server, f"/login ada {SECRET}\n/join lobby\nhere, too\n") as second:
            second.read_until("* You joined lobby")
            first.read_until("[lobby] ada: here, too")
