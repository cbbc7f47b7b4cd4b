"""Several workers as one service: what its manager is told, and a socket that it gives to them."""

from __future__ import annotations

import os
import re
import signal
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.cli.service import ServiceManager
from tests.cli.serving import ServerProcess, Talker
from tests.cluster.engines import Engine
from tests.cluster.ports import HOST
from tests.cluster.test_workers import MANY, until

WATCHDOG_S = 0.2


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[ServiceManager]:
    with ServiceManager(tmp_path / "notify", watchdog_s=WATCHDOG_S) as made:
        yield made


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server((HOST, 0)) as made:
        yield made


def pids_of(server: ServerProcess) -> dict[int, int]:
    """The process that is each worker now, or was it last."""
    told = re.findall(r"event=serving worker=(\d+) .*pid=(\d+)", server.log_so_far())
    return {int(worker): int(pid) for worker, pid in told}


def two(engine: Engine, *, env: dict[str, str], sockets: tuple[int, ...] = ()) -> ServerProcess:
    shared = ("--workers", "2", "--in-memory", "--log", engine.url("team"))
    return ServerProcess("--port", "0", *shared, env=env, sockets=sockets)


# ── What the manager is told ─────────────────────────────────────────────────────────────────────


def test_the_supervisor_speaks_for_all_and_is_ready_when_all_serve(
    engine: Engine, manager: ServiceManager
) -> None:
    with two(engine, env=manager.env) as server:
        told = [message for message in manager.hear_until("READY") if "WATCHDOG" not in message]
        assert told[-2:] == [
            {"STATUS": "1 of 2 workers serve", "EXTEND_TIMEOUT_USEC": "60000000"},
            {"READY": "1", "STATUS": "2 of 2 workers serve"},
        ]
        manager.hear_until("WATCHDOG")
        server.process.send_signal(signal.SIGHUP)
        manager.hear_until("RELOADING")
        manager.hear_until("READY")
        server.process.terminate()
        manager.hear_until("STOPPING")
        assert server.wait()[0] == 0


def test_a_worker_inherits_nothing_of_what_the_manager_has_given(
    engine: Engine, manager: ServiceManager, listener: socket.socket
) -> None:
    with two(engine, env=manager.env, sockets=(listener.fileno(),)) as server:
        server.read_address()
        for pid in pids_of(server).values():
            inherited = Path(f"/proc/{pid}/environ").read_text()
            assert not re.search("NOTIFY_SOCKET|WATCHDOG|LISTEN_", inherited)


def test_a_supervisor_that_hangs_is_not_heard_of(engine: Engine, manager: ServiceManager) -> None:
    with two(engine, env=manager.env) as server:
        manager.hear_until("READY")
        server.process.send_signal(signal.SIGSTOP)
        until(lambda: " T " in Path(f"/proc/{server.process.pid}/stat").read_text())
        manager.forget()
        assert not manager.hears_within(5 * WATCHDOG_S)
        server.process.send_signal(signal.SIGCONT)
        manager.hear_until("WATCHDOG")


# ── The socket that it gives ─────────────────────────────────────────────────────────────────────


def test_all_workers_take_people_from_the_socket_that_was_given(
    engine: Engine, listener: socket.socket
) -> None:
    address = "{}:{}".format(*listener.getsockname())
    with two(engine, env={}, sockets=(listener.fileno(),)) as server, ExitStack() as stack:
        assert server.read_address() == address
        on: set[int] = set()
        for number in range(MANY):
            talker = stack.enter_context(Talker(address, f"/nick p{number}\n"))
            talker.read_until(f"* You are now p{number}")
            line = re.compile(rf"worker=(\d+) event=renamed .* to=p{number}\n")
            until(lambda line=line: bool(line.search(server.log_so_far())))  # type: ignore[misc] # mypy infers no default
            on |= {int(worker) for worker in line.findall(server.log_so_far())}
            if on == {1, 2}:
                break
        assert on == {1, 2}


def test_nobody_is_refused_while_workers_are_killed_and_all_of_it_is_started_anew(
    engine: Engine, listener: socket.socket
) -> None:
    address = "{}:{}".format(*listener.getsockname())
    given = (listener.fileno(),)
    with two(engine, env={}, sockets=given) as first:
        first.read_address()
        for pid in pids_of(first).values():
            os.kill(pid, signal.SIGKILL)
        with Talker(address, "/join lobby\n") as ada:
            ada.read_until("* You joined lobby")
        first.process.terminate()
        assert first.wait()[0] == 0
    with Talker(address, "/join tea\n") as bob, two(engine, env={}, sockets=given):
        bob.read_until("* You joined tea")
