"""What a node reports of connections: who is throttled and who is given up, and not too often."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tcpchat_core import ChatState, Propose, ServerLimits, ServerProtocol
from tcpchat_net.happenings import TELL_EVERY_MS, CaughtUp, Happening, Overrun, Seldom, Throttled
from tcpchat_net.logs import OnEntries
from tcpchat_net.node import SWEEP_MS
from tcpchat_net.throttles import MAX_TOLD, TELL_AFTER_MS, Throttles
from tests.net.hosting import Host, Wire

# Two lines at once, and one a second.
SLOW = ServerLimits(flood_burst=2, flood_rate=1)


class Unheard:
    """A log that takes everything and delivers nothing."""

    waiting = 0

    def open(self, on_entries: OnEntries) -> None:
        pass

    def propose(self, batch: Sequence[Propose]) -> None:
        pass


def reporting(told: list[Happening], **options: Any) -> Host:
    protocol = ServerProtocol(ChatState(), limits=SLOW)
    return Host(protocol, report=told.append, **options)


def pass_time(host: Host, ms: int) -> None:
    """Time passes, and the node is swept as often as it is to be."""
    for _ in range(0, ms, SWEEP_MS):
        host.sweep(after_ms=SWEEP_MS)


def paste(host: Host, wire: Wire, lines: int) -> None:
    host.type(wire, *["hello"] * lines)


# ── Throttled ────────────────────────────────────────────────────────────────────────────────────


def test_who_is_too_fast_is_told_of_while_it_waits_and_when_it_has_caught_up() -> None:
    told: list[Happening] = []
    host = reporting(told)
    ada = host.connect()
    host.type(ada, "/join lobby", *["hello"] * 21)
    assert told == []  # it has just begun to wait
    pass_time(host, 2_000)
    assert told == [Throttled(ada.conn, TELL_AFTER_MS, 0)]
    pass_time(host, 60_000)
    caught_up = told[-1]
    assert isinstance(caught_up, CaughtUp)
    # Of 22 lines two were looked at, and one each second.
    assert (caught_up.conn, caught_up.lines) == (ada.conn, 20)
    assert 20_000 <= caught_up.ms <= 21_000
    assert len(told) == 2


def test_who_waits_for_less_than_a_second_is_not_told_of() -> None:
    told: list[Happening] = []
    host = reporting(told)
    ada = host.connect()
    host.type(ada, "/join lobby", "one", "two")
    pass_time(host, 30_000)
    assert told == []


def test_who_waits_for_the_log_is_not_throttled() -> None:
    told: list[Happening] = []
    protocol = ServerProtocol(ChatState(), limits=ServerLimits(flood_burst=1_000))
    host = Host(protocol, lambda _host: Unheard(), report=told.append)
    ada = host.connect()
    host.type(ada, "/join lobby", *["hello"] * 600)
    pass_time(host, 10_000)
    assert not ada.is_read
    assert told == []


def test_where_there_is_no_limit_nobody_is_throttled() -> None:
    told: list[Happening] = []
    host = Host(log=lambda _host: Unheard(), report=told.append)
    ada = host.connect()
    paste(host, ada, 600)
    pass_time(host, 10_000)
    assert not ada.is_read
    assert told == []


def test_one_connection_is_told_of_once_in_ten_seconds_whatever_it_does() -> None:
    told: list[Happening] = []
    host = reporting(told)
    ada = host.connect()
    host.type(ada, "/join lobby")
    pass_time(host, 10_000)
    for _ in range(20):  # it waits for two seconds, and begins anew
        paste(host, ada, 4)
        pass_time(host, 4_000)
    assert 80_000 // TELL_EVERY_MS // 2 <= len(told) // 2 <= 80_000 // TELL_EVERY_MS


def test_a_crowd_that_is_too_fast_does_not_fill_the_log() -> None:
    told: list[Happening] = []
    host = reporting(told)
    crowd = [host.connect() for _ in range(200)]
    for wire in crowd:
        host.type(wire, "/join lobby", *["hello"] * 100)
    pass_time(host, 60_000)
    throttled = [each for each in told if isinstance(each, Throttled)]
    assert len(throttled) == MAX_TOLD * 6
    assert sum(each.left_out for each in throttled) == sum(
        200 - MAX_TOLD * times for times in range(1, 6)
    )


def test_who_goes_while_it_waits_is_told_of_no_more() -> None:
    told: list[Happening] = []
    host = reporting(told)
    ada, bob = host.connect(), host.connect()
    for wire in (ada, bob):
        host.type(wire, "/join lobby", *["hello"] * 21)
    host.node.lost(ada.conn)
    host.run()
    pass_time(host, 60_000)
    assert {each.conn for each in told if isinstance(each, Throttled | CaughtUp)} == {bob.conn}


def test_a_rate_that_is_changed_meanwhile_makes_no_number_of_lines_less_than_none() -> None:
    told: list[Happening] = []
    throttles = Throttles(told.append)
    throttles.began(1, 0, 5_000)
    throttles.sweep(TELL_AFTER_MS)
    throttles.ended(1, 3_000, 1_000)
    assert told == [Throttled(1, TELL_AFTER_MS, 0), CaughtUp(1, 3_000, 0)]


# ── Given up ─────────────────────────────────────────────────────────────────────────────────────


def test_who_takes_nothing_is_given_up_with_how_much_waited_and_for_how_long() -> None:
    told: list[Happening] = []
    host = Host(stall_timeout_ms=5_000, report=told.append)
    ada, bob = host.person("ada", "lobby"), host.person("bob", "lobby")
    host.allow(ada, 0)
    host.type(bob, "hello")
    pass_time(host, 6_000)
    assert told == [Overrun(ada.conn, len(b"[lobby] bob: hello\n"), 5_000)]


def test_who_is_too_far_behind_is_given_up_with_how_far() -> None:
    told: list[Happening] = []
    host = Host(max_backlog_bytes=10_000, report=told.append)
    ada, bob = host.person("ada", "lobby"), host.person("bob", "lobby")
    host.allow(ada, 0)
    for _ in range(20):
        host.type(bob, "x" * 1_000)
    (overrun,) = told
    assert isinstance(overrun, Overrun)
    assert overrun.conn == ada.conn
    assert 10_000 < overrun.backlog_bytes <= 11_100
    assert overrun.stalled_ms == 0


# ── Seldom ───────────────────────────────────────────────────────────────────────────────────────


@given(st.lists(st.integers(0, 5_000), max_size=200), st.integers(1, 5))
def test_of_what_happens_again_and_again_no_more_is_told_and_all_of_it_counts(
    pauses: list[int], count: int
) -> None:
    seldom = Seldom(count=count)
    now, told, left_out = 0, list[int](), 0
    for pause in pauses:
        now += pause
        if (left := seldom.may_tell(now)) is not None:
            told.append(now)
            left_out += left
    for at in told:
        assert sum(at <= other < at + TELL_EVERY_MS for other in told) <= 2 * count
    after_last = len(pauses) - len(told) - left_out
    assert 0 <= after_last <= len(pauses)
    assert seldom.may_tell(now + TELL_EVERY_MS) == after_last
