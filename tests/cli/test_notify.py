"""What tcpchat-server tells the service manager that has started it."""

from __future__ import annotations

import errno
import os
import re
import signal
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

import pytest
from tcpchat_cli.notify import Notifier

from tests.cli.service import ServiceManager
from tests.cli.serving import ServerProcess, Talker

GONE: Final = os.strerror(errno.ENOENT)

# A loop that turns is heard of twice in this time.
WATCHDOG_S: Final = 0.1


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[ServiceManager]:
    with ServiceManager(tmp_path / "notify", watchdog_s=WATCHDOG_S) as made:
        yield made


def serving(manager: ServiceManager, *arguments: str) -> ServerProcess:
    return ServerProcess("--port", "0", *arguments, env=manager.env)


# ── The life of a service ────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("is_abstract", [False, True])
def test_it_is_ready_when_it_serves_and_not_before(tmp_path: Path, is_abstract: bool) -> None:
    place = f"@tcpchat-test-{os.getpid()}" if is_abstract else tmp_path / "notify"
    with ServiceManager(place) as manager, serving(manager) as server:
        reading, ready = manager.hear_until("READY")
        assert reading == {"STATUS": "reading the log", "EXTEND_TIMEOUT_USEC": "60000000"}
        assert ready == {"READY": "1", "STATUS": "serving 0 people in 0 rooms"}
        with Talker(server.read_address(), "/join lobby\n") as ada:
            ada.read_until("* You joined lobby")


def test_its_status_is_how_many_are_here(manager: ServiceManager) -> None:
    with serving(manager, "--in-memory") as server, Talker(server.read_address(), "") as ada:
        manager.hear_until("READY")
        ada.send("/join lobby\n")
        manager.hear_until("STATUS", "serving 1 person in 1 room")
        ada.send("/join tea\n/out lobby\n/join chess\n")
        manager.hear_until("STATUS", "serving 1 person in 2 rooms")


def test_a_hangup_is_a_reload_with_its_time(manager: ServiceManager) -> None:
    with serving(manager, "--in-memory") as server:
        manager.hear_until("READY")
        server.process.send_signal(signal.SIGHUP)
        *_, reloading = manager.hear_until("RELOADING")
        assert int(reloading["MONOTONIC_USEC"]) <= time.monotonic_ns() // 1_000
        manager.hear_until("READY")


def test_it_says_when_it_stops(manager: ServiceManager) -> None:
    with serving(manager, "--in-memory") as server:
        with Talker(server.read_address(), "/join lobby\n") as ada:
            ada.read_until("* You joined lobby")
            server.process.terminate()
            manager.hear_until("STOPPING")
            assert ada.read_to_end()[-1].startswith("* Closing")
        assert server.wait()[0] == 0


def test_without_a_service_manager_nothing_is_different() -> None:
    with ServerProcess("--port", "0", "--in-memory", env={"WATCHDOG_USEC": "1"}) as server:
        server.read_address()
        server.process.send_signal(signal.SIGHUP)
        server.wait_until(lambda: "event=reloaded" in server.log_so_far())
        server.process.terminate()
        status, _, log = server.wait()
    assert status == 0
    assert "service manager" not in log


def test_a_manager_that_is_not_there_is_one_sentence_and_people_are_served(tmp_path: Path) -> None:
    env = {"NOTIFY_SOCKET": f"{tmp_path}/nobody", "WATCHDOG_USEC": "100000"}
    with ServerProcess("--port", "0", "--in-memory", env=env) as server:
        with Talker(server.read_address(), "/join lobby\n") as ada:
            ada.read_until("* You joined lobby")
        server.process.terminate()
        status, _, log = server.wait()
    assert status == 0
    assert re.findall('level=warning .*about=service-manager text="(.*)"', log) == [
        f"the service manager cannot be told anything at NOTIFY_SOCKET={tmp_path}/nobody: {GONE}"
    ]


# ── The watchdog ─────────────────────────────────────────────────────────────────────────────


# The server's program, the loop of which hangs from a signal on. To Python the lines of the shell
# are a text; a path with blanks could not stand behind `#!`.
_HANGING: Final = f"""#!/bin/sh
'''exec' '{sys.executable}' "$0" "$@"
' '''
import signal, sys, threading
from tcpchat_cli.server import main

def hang(*_):
    print("it hangs", file=sys.stderr, flush=True)
    threading.Event().wait()

signal.signal(signal.SIGUSR2, hang)
main()
"""


def test_a_loop_that_hangs_is_not_heard_of_and_says_where_it_stood_when_it_is_ended(
    manager: ServiceManager, tmp_path: Path
) -> None:
    program = tmp_path / "tcpchat-server"
    program.write_text(_HANGING)
    program.chmod(0o755)
    flags = ("--port", "0", "--in-memory")
    with ServerProcess(*flags, env=manager.env, program=str(program)) as server:
        manager.hear_until("READY")
        manager.hear_until("WATCHDOG")
        server.process.send_signal(signal.SIGUSR2)
        server.wait_until(lambda: "it hangs" in server.log_so_far())
        manager.forget()
        # Had a thread told of it, it would have been heard ten times.
        assert not manager.hears_within(5 * WATCHDOG_S)
        server.process.send_signal(signal.SIGABRT)
        status, _, log = server.wait()
    assert status == -signal.SIGABRT
    assert "Fatal Python error: Aborted" in log
    assert re.search(r'tcpchat-server", line \d+ in hang', log)


def test_the_watchdog_of_another_process_is_not_ours(manager: ServiceManager) -> None:
    manager.env["WATCHDOG_PID"] = str(os.getpid())
    with serving(manager, "--in-memory") as server:
        heard = manager.hear_until("READY")
        with Talker(server.read_address(), "/join lobby\n"):
            heard += manager.hear_until("STATUS", "serving 1 person in 1 room")
        server.process.terminate()
        heard += manager.hear_until("STOPPING")
    assert not any("WATCHDOG" in message for message in heard)


def fill(manager: ServiceManager) -> int:
    """Send as much as one socket can; how much that was."""
    sent = 0
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other, suppress(BlockingIOError):
        other.setblocking(False)
        while True:
            other.sendto(b"STATUS=", manager.env["NOTIFY_SOCKET"])
            sent += 1
    return sent


# ── Without a process ────────────────────────────────────────────────────────────────────────


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_long_start_asks_for_more_time_with_each_step_and_a_later_one_does_not(
    manager: ServiceManager,
) -> None:
    clock = Clock()
    notifier = Notifier(clock)
    environ = dict(manager.env)
    notifier.connect(environ)
    assert environ == {}
    notifier.progress("reading the log", 1, 4)
    notifier.progress("reading the log", 2, 4)  # too soon
    clock.now = 1.5
    notifier.progress("reading the log", 3, 4)
    notifier.ready("serving")
    clock.now = 3
    notifier.progress("reading the log", 1, 1)
    assert [manager.hear() for _ in range(5)] == [
        {"STATUS": "reading the log: 25 %", "EXTEND_TIMEOUT_USEC": "60000000"},
        {"STATUS": "reading the log: 75 %", "EXTEND_TIMEOUT_USEC": "60000000"},
        {"READY": "1", "STATUS": "serving"},
        {"STATUS": "reading the log: 100 %"},
        {"WATCHDOG": "1"},
    ]


def test_a_status_is_told_when_it_is_another_one_and_not_too_often(manager: ServiceManager) -> None:
    clock = Clock()
    notifier = Notifier(clock)
    notifier.connect(dict(manager.env))
    notifier.ready("a")
    for clock.now, status in [(1, "b"), (3, "a"), (4, "c"), (5, "d"), (7, "d"), (8, "e")]:
        notifier.status(status)
    notifier.stopping()
    assert [manager.hear()["STATUS"] for _ in range(4)] == ["a", "c", "d", "stopping"]


@pytest.mark.parametrize(
    ("usec", "is_watched", "pause_s"),
    [
        ("1000000", True, 0.5),
        ("60000000", True, 5),
        ("0", False, 5),
        ("soon", False, 5),
        ("9" * 5_000, False, 5),
        ("", False, 5),
    ],
)
def test_the_watchdog_hears_twice_in_its_time(
    manager: ServiceManager, usec: str, is_watched: bool, pause_s: float
) -> None:
    notifier = Notifier()
    notifier.connect({**manager.env, "WATCHDOG_USEC": usec})
    assert (notifier.is_watched, notifier.pause_s) == (is_watched, pause_s)


def test_a_manager_that_takes_nothing_does_not_hold_the_server_up(manager: ServiceManager) -> None:
    notifier = Notifier()
    notifier.connect(dict(manager.env))
    while fill(manager):
        pass
    notifier.ready("serving")
    assert manager.hear() == {"STATUS": ""}
    manager.forget()
    notifier.stopping()
    assert manager.hear()["STOPPING"] == "1"


def test_a_manager_that_goes_on_taking_nothing_is_waited_for_once(
    manager: ServiceManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float | None] = []

    class Socket(socket.socket):
        def settimeout(self, seconds: float | None, /) -> None:
            waits.append(seconds)
            super().settimeout(seconds)

    notifier = Notifier()
    notifier.connect(dict(manager.env))
    while fill(manager):
        pass
    monkeypatch.setattr(socket, "socket", Socket)
    for _ in range(3):
        notifier.beat()
    manager.forget()
    notifier.beat()
    notifier.beat()
    assert [bool(each) for each in waits] == [True, False, False, False, True]
