"""Whether a server is alive, and ready, as it is told on a port of its own."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from tcpchat_cli.health import pages

from tcpchat_net import ChatServer, monotonic_ms
from tcpchat_net.health import HELD_AFTER_MS, Health, Phase, Served
from tcpchat_net.monitor import Monitor
from tcpchat_net.node import SWEEP_MS, Stuck
from tests.net.hosting import Host
from tests.net.serving import LIMIT_S, Peer, serving
from tests.net.watching import get


class Server:
    """A node on a loop that turns when it is told to, and its health."""

    def __init__(self) -> None:
        self.host = Host()
        self.failure: str | None = None
        self.health = Health(lambda: self.host.clock.now)
        self.health.served = Served(
            node=self.host.node,
            log=None,
            archive=None,
            folder=None,
            refused={},
            certificate_expires_at=lambda: None,
            failure=lambda: self.failure,
        )
        self.health.phase = Phase.SERVING

    def told(self) -> tuple[list[str], list[str]]:
        return self.health.why_not_alive(), self.health.why_not_ready()


def test_a_server_that_has_not_begun_is_alive_and_not_ready() -> None:
    health = Health(lambda: 0)
    assert health.why_not_alive() == []
    assert health.why_not_ready() == ["the log is being read"]


def test_a_server_that_serves_is_both() -> None:
    assert Server().told() == ([], [])


def test_a_loop_that_turns_is_never_held() -> None:
    server = Server()
    for _ in range(20):
        server.host.sweep(after_ms=SWEEP_MS)
        assert server.told() == ([], [])


def test_a_loop_is_held_from_a_time_on_and_not_any_more_when_it_turns_again() -> None:
    server = Server()
    server.host.wait(SWEEP_MS + HELD_AFTER_MS - 1)
    assert server.told() == ([], [])
    server.host.wait(201)
    reasons = ["the loop has been held for 3.2 s"]
    assert server.told() == (reasons, reasons)
    server.host.sweep(after_ms=0)
    assert server.told() == ([], [])


@pytest.mark.parametrize("phase", [Phase.STOPPING, Phase.BEGINNING_ANEW])
def test_a_server_that_ends_or_begins_anew_is_not_held_however_long_that_takes(
    phase: Phase,
) -> None:
    server = Server()
    server.health.phase = phase
    server.host.wait(10 * HELD_AFTER_MS)
    assert server.told() == ([], [phase.value])


def test_a_full_disk_is_no_reason_to_start_again_and_one_to_send_nobody_there() -> None:
    server = Server()
    server.host.node.log_is_stuck(True)
    assert server.told() == ([], ["the disk is full"])
    server.host.node.log_is_stuck(False)
    assert server.told() == ([], [])


def test_an_engine_that_is_away_is_no_full_disk() -> None:
    server = Server()
    server.host.node.log_is_stuck(True, Stuck.AWAY)
    assert server.told() == ([], [])  # that it is away is known by the log, sooner than by people


def test_a_server_that_has_failed_says_so_while_it_ends() -> None:
    server = Server()
    server.failure, server.health.phase = "cannot write to /srv: no such device", Phase.STOPPING
    failed = "the server has failed: cannot write to /srv: no such device"
    assert server.told() == ([failed], ["the server is stopping", failed])


# ── A loop that is really held ───────────────────────────────────────────────────────────────────


@contextmanager
def held(server: ChatServer) -> Iterator[None]:
    """The loop is in the middle of a turn that does not end."""
    is_held, may_go_on = threading.Event(), threading.Event()

    def hold() -> None:
        is_held.set()
        may_go_on.wait(LIMIT_S)

    server.loop.run_callback_threadsafe(hold)
    assert is_held.wait(LIMIT_S)
    try:
        yield
    finally:
        may_go_on.set()


def test_a_server_whose_loop_is_held_says_so_over_http_and_still_tells_its_numbers() -> None:
    passed_ms = 0
    health = Health(lambda: monotonic_ms() + passed_ms)
    with serving() as server, Peer(server.address) as ada:
        ada.send("/join lobby")
        ada.until("You joined lobby")
        health.served = Served(
            node=server.node,
            log=None,
            archive=None,
            folder=None,
            refused=server.refused,
            certificate_expires_at=lambda: None,
            failure=lambda: None,
        )
        health.phase = Phase.SERVING
        listener = socket.create_server(("127.0.0.1", 0))
        complaints: list[str] = []
        monitor = Monitor(listener, pages(health), complaints.append)
        monitor.start()
        try:
            with held(server):
                passed_ms = 2 * HELD_AFTER_MS  # as if it had been held for so long
                alive, ready = (get(monitor.address, path) for path in ("/healthz", "/readyz"))
                assert (alive.status, ready.status) == (503, 503)
                assert alive.text.startswith("the loop has been held for ")
                assert ready.text.startswith("the loop has been held for ")
                numbers = get(monitor.address, "/metrics").text
                assert "\ntcpchat_ready 0.0\n" in numbers
                assert "\ntcpchat_rooms 1.0\n" in numbers
        finally:
            monitor.close()
        assert complaints == []
