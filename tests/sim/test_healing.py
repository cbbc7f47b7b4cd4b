"""When the faults of a simulation are over, they are over: nobody is held up by what they left."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from tcpchat_core import ServerLimits, StateLimits
from tests.sim.clock import Clock
from tests.sim.config import Config
from tests.sim.network import Link, Way
from tests.sim.promises import CHECKERS
from tests.sim.world import World

# Two people whose lines carry 2,560 bytes a second, far less than what a third one says. There is
# no fault; but what waits for the two in the end takes them minutes to read.
NARROW = Config(
    seed=0,
    limits=ServerLimits(
        flood_rate=0, ping_after_ms=3_000, drop_after_ms=5_000, handshake_ms=5_000, grace_ms=3_000
    ),
    state_limits=StateLimits(),
    max_backlog_bytes=1 << 20,
    stall_timeout=10_000,
    read_bytes=4_096,
    password="",
    log_delay=0,
    log_late=0,
    log_again=0.0,
    kept=False,
    disk_ms=0,
    full_at=0,
    full_for=0,
    disk_fails=False,
    restart_at=0,
    restart_for=0,
    is_told=False,
    deaths=(),
    dies_at_step=False,
    keep_ms=None,
    harms=False,
    people=2,
    healthy=1,
    plain=0,
    marked=0,
    hostile=0,
    pasters=0,
    rooms=1,
    latency=50,
    jitter=0,
    capacity=256,
    piece=256,
    think=150,
    long_texts=1.0,
    fault_every=1 << 40,
    knows_by=0,
    learns=1.0,
    safety=40_000,
)


@pytest.mark.parametrize("log_delay", [0, 300])
def test_a_narrow_line_holds_nobody_up_when_all_is_healed(log_delay: int) -> None:
    config = replace(NARROW, log_delay=log_delay)
    world = World(config, [checker() for checker in CHECKERS])
    world.run()
    assert not world.violations


def test_a_line_that_is_widened_carries_at_once_what_waited_before_it() -> None:
    clock = Clock()
    way = Way(capacity=10, latency=5, jitter=0, piece=10)
    link = Link(clock, random.Random(0), way, way)
    waiting = bytearray(b"x" * 100)

    def send() -> None:
        while waiting:
            try:
                sent = link.server.send(bytes(waiting))
            except BlockingIOError:
                return
            del waiting[:sent]

    link.server.outgoing.writable = send
    send()
    clock.run(1_000)
    assert len(waiting) == 90  # nobody reads
    link.to_client.widen(1_000)
    clock.run(1_010)
    assert link.client.recv(1_000) == b"x" * 100
