"""Several nodes on one log: what it takes, how long, and when it goes on after something died."""

from __future__ import annotations

import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Self

import msgspec

from benchmarks import unheard
from benchmarks.engines import ask, url, valkey
from benchmarks.member import TEXT_CHARS, Found, Plan
from benchmarks.processes import Failed, Process, running
from benchmarks.report import Row, Spread, TableReport, spread
from benchmarks.systems import Launch, tcpchat_shared

# How long members take at most until all of them are in the log.
COME_IN_S = 1.5
WARMUP_S, WINDOW_S = 0.5, 2.0

# What is measured of the log alone: how many nodes, and how the engine writes.
MEMBERS = ((1, "always"), (2, "always"), (4, "always"), (1, "everysec"), (4, "everysec"))
# Entries a second, of all nodes together; 0: as fast as it goes.
RATES = (1_000, 10_000, 100_000, 0)
LOG_TARGETS = {(4, 100_000, "always"): {"p50, ms": 2.0, "p99, ms": 30.0}}

# Of which nobody on a node hears: so many messages, so many entries in a row of the log.
MESSAGES = 50_000
BATCHES = (1, 10, 100)
UNHEARD_TARGET_US = 2.5

# So many people are known to each node, wherever they are.
PEOPLE = 100_000

# From a node to another one: so many messages; so many a second, by which it shows what is paid for
# having been idle.
ACROSS, ACROSS_PER_S = 500, (100, 1_000)
ACROSS_TARGET_MS = 1.0

# How often each failure is brought about, and in how many seconds it should be over.
REPETITIONS = 5
# For how long a person waits for what has to come.
PATIENCE_S = 30.0

# One try of something: CPU, times and the like, by the column that they stand in.
_Figures = dict[str, float]


def measure_cluster(rounds: int, *, is_quick: bool) -> Iterator[TableReport]:
    """Measure it all; in small, to see that it works, when it has to be quick."""
    if is_quick:
        yield _log(1, ((2, "always"),), (1_000,), window_s=0.3)
        yield _unheard(1, 2_000)
        yield _replica(1_000)
        yield _across(1, 20)
        yield _failures(1, ("the primary is lost, a replica promoted",))
        return
    yield _log(rounds, MEMBERS, RATES, window_s=WINDOW_S)
    yield _unheard(rounds, MESSAGES)
    yield _replica(PEOPLE)
    yield _across(rounds, ACROSS)
    yield _failures(max(rounds, REPETITIONS), tuple(FAILURES))


def _over_rounds(tries: Sequence[_Figures]) -> dict[str, Spread]:
    return {column: spread([one[column] for one in tries]) for column in tries[0]}


# ── The log alone ────────────────────────────────────────────────────────────────────────────────


def _log(
    rounds: int, members: Sequence[tuple[int, str]], rates: Sequence[int], *, window_s: float
) -> TableReport:
    cases = [(count, rate, fsync) for rate in rates for count, fsync in members]
    tries: dict[tuple[int, int, str], list[_Figures]] = {case: [] for case in cases}
    for _ in range(rounds):
        for count, rate, fsync in cases:
            tries[count, rate, fsync].append(_log_once(count, rate, fsync, window_s))
    return TableReport(
        "the log alone",
        f"nodes without a server propose texts of {TEXT_CHARS} characters, each reads all of them",
        [
            Row(
                f"{_counted(count)}, {f'{rate:,}/s' if rate else 'all it takes'}, {fsync}",
                _over_rounds(tries[count, rate, fsync]),
                LOG_TARGETS.get((count, rate, fsync), {}),
            )
            for count, rate, fsync in cases
        ],
    )


def _counted(nodes: int) -> str:
    return "1 node" if nodes == 1 else f"{nodes} nodes"


def _log_once(count: int, rate: int, fsync: str, window_s: float) -> _Figures:
    with (
        tempfile.TemporaryDirectory(prefix="tcpchat-benchmarks-") as directory,
        valkey(Path(directory), fsync=fsync) as engine,
        ExitStack() as stack,
    ):
        plan = Plan(url(engine), rate / count, WARMUP_S, window_s)
        members = [stack.enter_context(_member(plan)) for _ in range(count)]
        for member in members:
            _line(member)
        start_ns = time.monotonic_ns() + round(COME_IN_S * 1e9)
        for member in members:
            assert member.stdin is not None
            member.stdin.write(b"%d\n" % start_ns)
            member.stdin.flush()
        time.sleep(COME_IN_S + WARMUP_S)
        before = sum(engine.cpu_s())
        time.sleep(window_s)
        engine_s = sum(engine.cpu_s()) - before
        found = [msgspec.json.decode(_line(member), type=Found) for member in members]
    entries = statistics.mean(one.entries for one in found)
    if not entries:
        raise Failed("nothing came out of the log in time")
    return {
        "entries/s": entries / window_s,
        "p50, ms": _percentile(found, 50),
        "p99, ms": _percentile(found, 99),
        "a batch": entries / max(1, statistics.mean(one.batches for one in found)),
        "engine, µs": 1e6 * engine_s / entries,
        "node, µs": statistics.mean(one.cpu_ns for one in found) / 1_000 / entries,
    }


@contextmanager
def _member(plan: Plan) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "benchmarks.member", msgspec.json.encode(plan).decode()]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as member:
        try:
            yield member
            member.wait(PATIENCE_S)
        finally:
            member.kill()


def _line(member: subprocess.Popen[bytes]) -> bytes:
    assert member.stdout is not None
    line = member.stdout.readline()
    if not line:
        raise Failed("a member of the log has ended without a result")
    return line


def _percentile(found: Sequence[Found], percent: int) -> float:
    """In ms, over all deliveries at all members."""
    took = sorted(pair for one in found for pair in one.latencies_us)
    left = sum(count for _, count in took) * percent / 100
    for value, count in took:
        left -= count
        if left <= 0:
            return value / 1_000
    return 0.0


# ── What nobody hears ────────────────────────────────────────────────────────────────────────────


def _unheard(rounds: int, messages: int) -> TableReport:
    tries: dict[int, list[_Figures]] = {batch: [] for batch in BATCHES}
    for _ in range(rounds):
        for batch in BATCHES:
            tries[batch].append(unheard.measure(messages, batch))
    return TableReport(
        "what nobody hears",
        "a node's CPU µs for an entry of rooms that nobody on it is in, in process; `deliver` is"
        " what is in no other part",
        [
            Row(
                f"{batch} to a row of the log",
                _over_rounds(tries[batch]),
                {"whole": UNHEARD_TARGET_US} if batch == BATCHES[-1] else {},
            )
            for batch in BATCHES
        ],
    )


def _replica(people: int) -> TableReport:
    command = [sys.executable, "-m", "benchmarks.unheard", str(people)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
    size = int(done.stdout)
    figures = {"MB": spread([size / 1e6]), "bytes a person": spread([size / people])}
    return TableReport(
        "a replica",
        "the memory for people with sessions, in rooms of ten, of whom nobody has said anything",
        [Row(f"{people:,} people", figures)],
    )


# ── Whole servers ────────────────────────────────────────────────────────────────────────────────


class _Person:
    """Somebody in the hall, on one of the nodes."""

    def __init__(self, node: Process, nick: str) -> None:
        self._sock = socket.create_connection(("127.0.0.1", node.port), timeout=PATIENCE_S)
        self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._lines = self._sock.makefile("rb")
        self._sock.sendall(f"/nick {nick}\n/join hall\n".encode())
        self.hears(b"* You joined")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._lines.close()
        self._sock.close()

    def say(self, text: bytes) -> None:
        """Say it."""
        self._sock.sendall(text + b"\n")

    def hears(self, words: bytes) -> None:
        """Read on until somebody says these words."""
        while words not in (line := self._lines.readline()):
            if not line:
                raise Failed("a node hung up on somebody")


@contextmanager
def _nodes(folder: Path, count: int, *engines: Process) -> Iterator[list[Process]]:
    """So many nodes on one log, for the length of a `with`."""
    with ExitStack() as stack:
        nodes = []
        for number in range(count):
            directory = folder / f"node{number}"
            directory.mkdir()
            command = tcpchat_shared(Launch(directory, 0, 8, url(*engines)))
            nodes.append(stack.enter_context(running(command, directory, None)))
        yield nodes


def _across(rounds: int, messages: int) -> TableReport:
    rows: list[Row] = []
    for per_s in ACROSS_PER_S:
        tries: dict[bool, list[_Figures]] = {False: [], True: []}
        for _ in range(rounds):
            for is_elsewhere, took in _across_once(messages, per_s).items():
                took.sort()
                shares = {"p50, ms": 0.5, "p99, ms": 0.99}
                figures = {name: took[int(len(took) * share)] for name, share in shares.items()}
                tries[is_elsewhere].append(figures)
        targets = {"p50, ms": ACROSS_TARGET_MS}
        rows.append(Row(f"{per_s:,}/s, on the same node", _over_rounds(tries[False])))
        rows.append(Row(f"{per_s:,}/s, on another node", _over_rounds(tries[True]), targets))
    about = "from saying something to hearing it, so many times a second, engine always"
    return TableReport("from node to node", about, rows)


def _across_once(messages: int, per_s: int) -> dict[bool, list[float]]:
    """In ms: to who is on the same node, and to who is elsewhere, in turns."""
    took: dict[bool, list[float]] = {False: [], True: []}
    with (
        tempfile.TemporaryDirectory(prefix="tcpchat-benchmarks-") as directory,
        valkey(Path(directory, "engine")) as engine,
        _nodes(Path(directory), 2, engine) as (here, there),
        _Person(here, "alice") as alice,
        _Person(here, "bob") as bob,
        _Person(there, "carol") as carol,
    ):
        begin = time.monotonic()
        for number in range(messages):
            time.sleep(max(0.0, begin + number / per_s - time.monotonic()))
            is_elsewhere = number % 2 == 1
            text = b"message %d." % number
            said = time.monotonic()
            alice.say(text)
            (carol if is_elsewhere else bob).hears(text)
            took[is_elsewhere].append(1_000 * (time.monotonic() - said))
    return took


# ── Failures ─────────────────────────────────────────────────────────────────────────────────────


def _node_is_killed(folder: Path) -> float:
    with (
        valkey(folder / "engine") as engine,
        _nodes(folder, 2, engine) as (here, there),
        _Person(here, "alice"),
        _Person(there, "bob") as bob,
    ):
        begin = time.monotonic()
        os.kill(here.pid, signal.SIGKILL)
        bob.hears(b"* alice")
        return time.monotonic() - begin


def _engine_is_killed(folder: Path) -> float:
    with (
        valkey(folder / "engine") as engine,
        _nodes(folder, 2, engine) as nodes,
        _talking(nodes) as is_told,
    ):
        begin = time.monotonic()
        os.kill(engine.pid, signal.SIGKILL)
        with valkey(folder / "engine", port=engine.port):
            is_told()
            return time.monotonic() - begin


def _primary_is_killed(folder: Path) -> float:
    with (
        valkey(folder / "primary") as primary,
        valkey(folder / "replica", replicaof=primary.port) as replica,
        _nodes(folder, 2, primary, replica) as nodes,
        _talking(nodes) as is_told,
    ):
        deadline = time.monotonic() + PATIENCE_S
        while b"master_link_status:up" not in ask(replica, "INFO", "replication"):
            if time.monotonic() > deadline:
                raise Failed("the replica does not follow")
            time.sleep(0.05)
        os.kill(primary.pid, signal.SIGKILL)
        begin = time.monotonic()
        ask(replica, "REPLICAOF", "NO", "ONE")
        is_told()
        return time.monotonic() - begin


@contextmanager
def _talking(nodes: Sequence[Process]) -> Iterator[Callable[[], None]]:
    """What has one say something on a node, and waits until it is heard on another one."""
    with _Person(nodes[0], "alice") as alice, _Person(nodes[1], "bob") as bob:

        def is_told(text: bytes = b"is it over?") -> None:
            alice.say(text)
            bob.hears(text)

        is_told(b"is it there?")
        yield is_told


# What can die, and what is to be over in how many seconds.
FAILURES: dict[str, tuple[Callable[[Path], float], float]] = {
    "a node is killed, until others are told": (_node_is_killed, 6.0),
    "the engine is killed and started, until a message is told": (_engine_is_killed, 3.0),
    "the primary is lost, a replica promoted": (_primary_is_killed, 2.0),
}


def _failures(repetitions: int, names: Sequence[str]) -> TableReport:
    tries: dict[str, list[_Figures]] = {name: [] for name in names}
    for _ in range(repetitions):
        for name in names:
            with tempfile.TemporaryDirectory(prefix="tcpchat-benchmarks-") as directory:
                took = FAILURES[name][0](Path(directory))
            tries[name].append({"s": took})
    return TableReport(
        "what dies",
        f"how long it takes until it goes on, {repetitions} times each",
        [
            # The worst is to be in time, too.
            Row(
                name,
                {
                    "median, s": spread([statistics.median(one["s"] for one in tries[name])]),
                    "worst, s": spread([max(one["s"] for one in tries[name])]),
                },
                {"worst, s": FAILURES[name][1]},
            )
            for name in names
        ],
    )
