"""A server of a shared log is asked to end while it does not serve: before it does, and between a
beginning and the next. And it serves where nobody reads what it says.

Rule 1: Where it is when it is asked is known, and it stays there: what it waits for never comes.
"""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import msgspec
import pytest

from tests.cli.serving import ServerProcess, Talker
from tests.cli.terminal import LIMIT_SECONDS
from tests.cluster.engines import Engine
from tests.cluster.nodes import NodeProcess
from tests.cluster.ports import HOST

LEASE: Final = "{tcpchat:team}:lease"

BOTH: Final = pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])

# Between two bytes of an engine that never comes to an end: much less than a node waits for one.
_PAUSE_SECONDS: Final = 0.05


class Endless:
    """An engine that answers, byte for byte, and never to the end. `asked` is set when it does."""

    def __init__(self) -> None:
        self.asked = threading.Event()
        self._listener = socket.create_server((HOST, 0))
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._is_over = threading.Event()
        self._threads[0].start()

    @property
    def url(self) -> str:
        return f"valkey://{HOST}:{self._listener.getsockname()[1]}/0?name=team"

    def close(self) -> None:
        self._is_over.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(LIMIT_SECONDS)

    def _accept(self) -> None:
        with suppress(OSError):  # it is closed
            while True:
                sock, _ = self._listener.accept()
                self._threads.append(thread := threading.Thread(target=self._talk, args=(sock,)))
                thread.start()

    def _talk(self, sock: socket.socket) -> None:
        with sock, suppress(OSError):  # nobody listens any more
            sock.sendall(b"$1000000\r\n")
            self.asked.set()
            while not self._is_over.wait(_PAUSE_SECONDS):
                sock.sendall(b".")


@contextmanager
def endless() -> Iterator[Endless]:
    made = Endless()
    try:
        yield made
    finally:
        made.close()


@BOTH
def test_a_signal_while_it_waits_for_its_engine_ends_it_at_once(number: signal.Signals) -> None:
    with (
        endless() as engine,
        ServerProcess("--port", "0", "--in-memory", "--log", engine.url) as server,
    ):
        assert engine.asked.wait(LIMIT_SECONDS)
        server.process.send_signal(number)
        assert server.wait() == (0, "", "")


@BOTH
def test_a_signal_while_the_first_worker_waits_for_its_engine_ends_all_at_once(
    number: signal.Signals,
) -> None:
    shared = ("--workers", "2", "--in-memory")
    with (
        endless() as engine,
        ServerProcess("--port", "0", *shared, "--log", engine.url) as server,
    ):
        assert engine.asked.wait(LIMIT_SECONDS)
        worker = children(server.process.pid)
        for pid in (server.process.pid, *worker):  # as systemd does
            os.kill(pid, number)
        status, output, log = server.wait()
    assert (status, output) == (0, "")
    assert [line.partition(" ")[2] for line in log.splitlines()] == [
        "level=info event=stopping workers=2"
    ]


@BOTH
def test_a_signal_between_two_beginnings_ends_a_node_at_once(
    engine: Engine, number: signal.Signals, tmp_path: Path
) -> None:
    with NodeProcess(engine.url("team"), tmp_path / "1", "--node", "1") as node:
        node.start()
        remember_a_later_engine(node.folder)
        engine.call("HDEL", LEASE, "1:until")  # as if another node had ended it
        node.until_logged("the engine was left behind")
        os.kill(node.pid, number)
        assert node.until_ended() == 0
        assert "Traceback" not in node.log_text()
        assert node.begins == 1


# ── Nobody reads what it says ────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("workers", [1, 2])
def test_a_node_begins_anew_also_when_what_it_says_is_read_by_nobody(
    engine: Engine, workers: int
) -> None:
    shared = ("--log", engine.url("team"), "--workers", str(workers), "--in-memory")
    with ServerProcess("--port", "0", *shared) as server:
        address = server.read_address()
        leases = set(decoded(engine.call("HKEYS", LEASE)))
        for pid in children(server.process.pid) or [server.process.pid]:
            fill(pid)
        for number in range(1, workers + 1):
            assert f"{number}:until" in leases
            engine.call("HDEL", LEASE, f"{number}:until")
        server.wait_until(lambda: server.log_so_far().count("event=began-anew") == workers)
        with Talker(address, "/rooms\n") as talker:
            talker.read_until("* There are no rooms yet.")
        server.process.terminate()
        assert server.process.wait(LIMIT_SECONDS) == 0


def fill(pid: int) -> None:
    """Have the pipe that a process writes its output to be full."""
    pipe = os.open(f"/proc/{pid}/fd/1", os.O_WRONLY | os.O_NONBLOCK)  # an opening of its own
    with suppress(BlockingIOError):
        while os.write(pipe, bytes(4_096)):
            pass
    os.close(pipe)


def decoded(words: list[bytes]) -> list[str]:
    return [word.decode() for word in words]


# ── What they need ───────────────────────────────────────────────────────────────────────────────


def remember_a_later_engine(folder: Path) -> None:
    """Have a node find its engine out of date when it begins anew; it waits for another one."""
    file = folder / "node.json"
    told = msgspec.json.decode(file.read_bytes())
    file.write_bytes(msgspec.json.encode(told | {"term": 99}))


def children(pid: int) -> list[int]:
    told = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(child) for child in told.split()]
