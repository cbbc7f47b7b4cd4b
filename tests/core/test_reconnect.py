"""Reconnect: when to connect again, for how long to wait, and when to give up."""

from __future__ import annotations

import math

import pytest

from tcpchat_core.client import Reconnect
from tcpchat_core.notices import Closing

A_DAY_MS = 24 * 60 * 60 * 1_000


def opened(give_up_after_ms: float = math.inf, *, for_ms: float = 60_000) -> Reconnect:
    """One whose session was opened at 0 and has lasted for so long."""
    reconnect = Reconnect(give_up_after_ms)
    assert reconnect.in_progress
    reconnect.session_opened(now=-for_ms)
    assert not reconnect.in_progress
    return reconnect


def waits(reconnect: Reconnect, count: int, *, now: float = 0, spread: float = 0.5) -> list[float]:
    """The pauses before so many attempts that fail."""
    return [
        wait
        for _ in range(count)
        if (wait := reconnect.connection_lost(None, now=now, spread=spread)) is not None
    ]


def test_the_first_attempt_comes_at_once_and_the_pauses_double_up_to_the_longest() -> None:
    assert waits(opened(), 11) == [
        0, 100, 200, 400, 800, 1_600, 3_200, 6_400, 10_000, 10_000, 10_000,
    ]  # fmt: skip


def test_the_pauses_are_spread_by_half_to_both_sides() -> None:
    assert waits(opened(), 4, spread=0) == [0, 50, 100, 200]
    assert waits(opened(), 4, spread=1) == [0, 150, 300, 600]


def test_it_is_in_progress_until_the_session_is_open() -> None:
    reconnect = opened()
    reconnect.connection_lost(None, now=0, spread=0.5)
    assert reconnect.in_progress
    reconnect.session_opened(now=1)
    assert not reconnect.in_progress


def test_only_a_session_that_lasted_makes_the_pauses_short_again() -> None:
    reconnect = opened()
    assert waits(reconnect, 4) == [0, 100, 200, 400]
    reconnect.session_opened(now=1_000)
    assert waits(reconnect, 2, now=10_999) == [800, 1_600]
    reconnect.session_opened(now=20_000)
    assert waits(reconnect, 2, now=30_000) == [0, 100]


@pytest.mark.parametrize(("spread", "wait"), [(0, 2_000), (0.5, 2_500), (1, 3_000)])
def test_as_long_as_the_server_asks_for_is_waited_at_least(spread: float, wait: float) -> None:
    closing = Closing("restart", retry=2_000)
    assert opened().connection_lost(closing, now=0, spread=spread) == wait


def test_a_longer_pause_of_its_own_is_not_cut_short_by_the_server() -> None:
    reconnect = opened()
    waits(reconnect, 9)
    closing = Closing("full", retry=10)
    assert reconnect.connection_lost(closing, now=0, spread=0.5) == 10_000


@pytest.mark.parametrize(("retry", "wait"), [(-5, 0), (10**400, A_DAY_MS)])
def test_a_server_cannot_ask_for_what_is_no_time(retry: int, wait: float) -> None:
    assert opened().connection_lost(Closing("x", retry=retry), now=0, spread=0) == wait


def test_a_closing_that_does_not_say_when_to_come_again_is_final() -> None:
    assert opened().connection_lost(Closing("banned"), now=0, spread=0) is None
    reconnect = opened()
    waits(reconnect, 3)
    assert reconnect.connection_lost(Closing("banned"), now=0, spread=0) is None


def test_it_gives_up_in_time() -> None:
    reconnect = opened(1_000)
    assert reconnect.connection_lost(None, now=5_000, spread=0.5) == 0
    assert reconnect.connection_lost(None, now=5_899, spread=0.5) == 100
    assert reconnect.connection_lost(None, now=5_900, spread=0.5) is None


def test_each_lost_session_has_the_whole_time() -> None:
    reconnect = opened(1_000)
    assert waits(reconnect, 1, now=0) == [0]
    reconnect.session_opened(now=900)
    assert waits(reconnect, 1, now=50_000) == [0]


@pytest.mark.parametrize("patience", [0, -1_000])
def test_who_has_no_patience_does_not_try(patience: float) -> None:
    assert waits(opened(patience), 1) == []


def test_where_there_never_was_a_session_it_does_not_try() -> None:
    assert waits(Reconnect(60_000), 1) == []
