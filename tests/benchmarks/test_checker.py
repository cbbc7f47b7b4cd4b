"""The load generator's check: whatever a server does wrong, it is reported, and as what it is."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import pytest

from benchmarks.load import Found, measure
from benchmarks.processes import Failed, Process
from benchmarks.systems import PLAIN
from benchmarks.workloads import Workload
from tests.benchmarks.unfair import UnfairServer

# What is lost is waited for so long; nothing that comes takes a tenth of it.
DRAIN_S = 3.0

ROOM = Workload(
    "room",
    "six people, two of whom talk",
    rooms=1,
    members=6,
    talkers=2,
    in_flight=4,
    warmup_s=0,
    window_s=0.0,
    least=100,
    drain_s=DRAIN_S,
)
TWO_ROOMS = Workload(
    "two rooms",
    "three people in each of two rooms, one of whom talks",
    rooms=2,
    members=3,
    talkers=1,
    in_flight=4,
    warmup_s=0,
    window_s=0.0,
    least=100,
    drain_s=DRAIN_S,
)

EMPTIES = dataclasses.replace(ROOM, talkers=0, stay=2)

# Somebody who only listens, who talks, and which message of theirs is tampered with.
LISTENER, TALKER, TAMPERED = 3, 0, 5


def run(loadgen: Path, server: UnfairServer, workload: Workload = ROOM) -> Found:
    # Clients join one after the other, so that the server knows them by their place.
    process = Process(os.getpid(), server.port)
    return measure(loadgen, process, PLAIN, workload, lambda *_: None, at_once=1).found


def is_it(receiver: int, author: int, before: int) -> bool:
    return (receiver, author, before) == (LISTENER, TALKER, TAMPERED)


def test_nothing_is_reported_of_a_fair_server(loadgen: Path, unfair_server: UnfairServer) -> None:
    found = run(loadgen, unfair_server)
    assert found.faults() == {}
    assert found.deliveries > 100
    assert found.delivered >= found.deliveries
    assert sum(count for _, count in found.latencies_us) == found.deliveries


def test_a_dropped_message_is_lost(loadgen: Path, unfair_server: UnfairServer) -> None:
    unfair_server.tamper = lambda receiver, author, before, line: (
        [] if is_it(receiver, author, before) else [line]
    )
    assert run(loadgen, unfair_server).faults() == {
        "lost": 1,
        "receivers that disagree on the order": 1,
    }


def test_all_that_is_dropped_at_the_end_is_lost(loadgen: Path, unfair_server: UnfairServer) -> None:
    dropped = 0

    def tamper(receiver: int, author: int, before: int, line: bytes) -> list[bytes]:
        nonlocal dropped
        if receiver == LISTENER and author == TALKER and before >= TAMPERED:
            dropped += 1
            return []
        return [line]

    unfair_server.tamper = tamper
    assert run(loadgen, unfair_server).faults()["lost"] == dropped > 1


def test_a_message_delivered_twice_is_duplicated(
    loadgen: Path, unfair_server: UnfairServer
) -> None:
    unfair_server.tamper = lambda receiver, author, before, line: (
        [line, line] if is_it(receiver, author, before) else [line]
    )
    assert run(loadgen, unfair_server).faults() == {
        "duplicated": 1,
        "receivers that disagree on the order": 1,
    }


def test_a_message_that_comes_after_a_later_one_is_out_of_order(
    loadgen: Path, unfair_server: UnfairServer
) -> None:
    held: list[bytes] = []

    def tamper(receiver: int, author: int, before: int, line: bytes) -> list[bytes]:
        if is_it(receiver, author, before):
            held.append(line)
            return []
        if is_it(receiver, author, before - 1):
            return [line, held.pop()]
        return [line]

    unfair_server.tamper = tamper
    assert run(loadgen, unfair_server).faults() == {
        "out of order": 1,
        "receivers that disagree on the order": 1,
    }


def test_two_senders_in_another_order_are_a_disagreement_and_nothing_else(
    loadgen: Path, unfair_server: UnfairServer
) -> None:
    held: list[bytes] = []
    swapped = False

    def tamper(receiver: int, author: int, _before: int, line: bytes) -> list[bytes]:
        nonlocal swapped
        if receiver != LISTENER or swapped:
            return [line]
        if author == TALKER:  # its messages come one late, until the other talker's overtakes one
            held.append(line)
            return held[:-1] and [held.pop(0)]
        swapped = bool(held)
        return [line, *held]

    unfair_server.tamper = tamper
    assert run(loadgen, unfair_server).faults() == {"receivers that disagree on the order": 1}


def test_what_is_said_in_another_room_is_stray(loadgen: Path, unfair_server: UnfairServer) -> None:
    unfair_server.overhears = {b"r1": b"r0"}
    faults = run(loadgen, unfair_server, TWO_ROOMS).faults()
    assert faults.keys() == {"stray"}


def test_a_client_that_is_cut_off_is_reported(loadgen: Path, unfair_server: UnfairServer) -> None:
    unfair_server.cut_off = LISTENER
    faults = run(loadgen, unfair_server).faults()
    assert faults["disconnected"] == 1
    assert faults["lost"] > 1


def test_a_server_that_lets_nobody_in_is_a_sentence(
    loadgen: Path, unfair_server: UnfairServer
) -> None:
    unfair_server.silent = True
    hasty = dataclasses.replace(ROOM, login_limit_s=0.3)
    with pytest.raises(Failed, match="0 of 6 clients were in their rooms when the time was over"):
        run(loadgen, unfair_server, hasty)


# ── A room that empties ──────────────────────────────────────────────────────────────────────────

# One of those who stay, and one of those who leave.
STAYS, LEAVES = 1, 4


def test_each_who_stays_hears_of_each_who_leaves(
    loadgen: Path, unfair_server: UnfairServer
) -> None:
    found = run(loadgen, unfair_server, EMPTIES)
    assert found.faults() == {}
    assert (found.left, found.delivered) == (4, 8)


@pytest.mark.parametrize(
    ("told", "faults"),
    [
        pytest.param([], {"lost": 1}, id="not at all"),
        pytest.param([b"* u4 quit", b"* u4 quit"], {"duplicated": 1}, id="twice"),
        pytest.param([b"* u4 quit", b"* u0 quit"], {"stray": 1}, id="with one who stays"),
        pytest.param([b"* u4 quit", b"* u99 quit"], {"stray": 1}, id="with one who never was"),
    ],
)
def test_a_departure_that_is_told_of_wrongly_is_reported(
    loadgen: Path, unfair_server: UnfairServer, told: list[bytes], faults: dict[str, int]
) -> None:
    unfair_server.tamper_departure = lambda receiver, author, _before, line: (
        told if (receiver, author) == (STAYS, LEAVES) else [line]
    )
    hasty = dataclasses.replace(EMPTIES, login_limit_s=DRAIN_S)  # which leaving has, too
    assert run(loadgen, unfair_server, hasty).faults() == faults


def test_a_server_that_lets_nobody_in_once_a_room_is_empty_is_a_sentence(
    loadgen: Path, unfair_server: UnfairServer
) -> None:
    unfair_server.closed_to_newcomers = True
    hasty = dataclasses.replace(EMPTIES, login_limit_s=DRAIN_S)
    with pytest.raises(Failed, match="0 of 1 clients were in their rooms when the time was over"):
        run(loadgen, unfair_server, hasty)
