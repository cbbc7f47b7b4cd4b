"""What accounts and restrictions cost others: log-ins by password beside a talk, and long lists.

Rule 1: Who talks and who listens wait for nothing but each other: a line is said when the one
        before was heard, and its delay is from when it was said until it was heard.

Rule 2: The log-ins come all at once, from people who are connected already.
"""

from __future__ import annotations

import re
import selectors
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import msgspec

from benchmarks.processes import Failed, Process
from benchmarks.report import Row, Spread, TableReport, spread
from benchmarks.systems import SYSTEMS
from tcpchat_core import ChatState, Entry, events
from tcpchat_core.state import StateLimits

# So many log in at once, and others' slowest hundredth may be told later by so much.
LOG_INS: Final = 40
LATER_MS: Final = 10.0

# So many lines are said while nobody logs in.
LINES: Final = 1_000

# So many are banned from a room, and so many come in beside them.
BANS: Final = 10_000
COMERS: Final = 2_000
BANS_TARGET: Final = 1.1

# What has to come is waited for so long, however busy the machine is.
PATIENCE_S: Final = 120.0

_PASSWORD: Final = "correct horse battery"  # noqa: S105 # of nobody
_TOKEN: Final = re.compile(r"[0-9a-f]{64}")
_ROOM: Final = "bench"


def measure_accounts(rounds: int, *, is_quick: bool) -> Iterator[TableReport]:
    """Measure it all; in small, to see that it works, when it has to be quick."""
    count, lines = (4, 20) if is_quick else (LOG_INS, LINES)
    yield _log_ins(1 if is_quick else rounds, count, lines)
    yield _long_lists(
        1 if is_quick else max(rounds, 3), *((100, 20) if is_quick else (BANS, COMERS))
    )


class _Peer:
    """A connection that speaks JSON Lines."""

    def __init__(self, port: int, **hello: str) -> None:
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._read = b""
        self.ask(type="hello", **hello)
        self.hear("welcome")

    def ask(self, **request: str | int) -> None:
        self.sock.sendall(msgspec.json.encode(request) + b"\n")

    def hear(self, kind: str) -> None:
        """Read up to the next notice of a kind."""
        wanted = b'{"type":"%s"' % kind.encode()
        while True:
            line = self._line()
            if line.startswith(wanted):
                return
            if line.startswith(b'{"type":"rejected"'):
                raise Failed(f"the server says {line.decode()}")

    def has(self, kind: str) -> bool:
        """Whether a notice of a kind is among what can be read now."""
        self._receive()
        found = b'{"type":"%s"' % kind.encode() in self._read
        if b'{"type":"rejected"' in self._read:
            raise Failed(f"the server says {self._read.decode()}")
        return found

    def _line(self) -> bytes:
        while b"\n" not in self._read:
            self._receive()
        line, _, self._read = self._read.partition(b"\n")
        return line

    def _receive(self) -> None:
        data = self.sock.recv(65_536)
        if not data:
            raise Failed("the server has ended a connection")
        self._read += data


# ── Log-ins by password ──────────────────────────────────────────────────────────────────────────


def _log_ins(rounds: int, count: int, lines: int) -> TableReport:
    quiet: list[dict[str, float]] = []
    busy: list[dict[str, float]] = []
    nicks = [f"person{number}" for number in range(count)]
    with (
        tempfile.TemporaryDirectory(prefix="tcpchat-benchmarks-") as directory,
        SYSTEMS["tcpchat-kept"].serving(Path(directory), count + 8) as server,
    ):
        for nick in nicks:
            _with_password(server, Path(directory) / "data", nick)
        for _ in range(rounds):
            with ExitStack() as stack:
                peers = [_Peer(server.port) for _ in range(count + 2)]
                for peer in peers:
                    stack.enter_context(peer.sock)
                teller, listener, *others = peers
                for peer in (teller, listener):
                    peer.ask(type="join", room=_ROOM)
                    peer.hear("entered")
                quiet.append(_figures([_said(teller, listener) for _ in range(lines)]))
                busy.append(_log_in(teller, listener, dict(zip(nicks, others, strict=True))))
    later = [one["p99, ms"] - other["p99, ms"] for one, other in zip(busy, quiet, strict=True)]
    for one, more in zip(busy, later, strict=True):
        one["p99 later, ms"] = more
    return TableReport(
        f"{count} log in by password at once",
        "how long it takes until somebody else is told what a third one says; *all in* is until the"
        " last one is in",
        [
            Row("nobody logs in", _over(quiet)),
            Row(f"{count} log in", _over(busy), {"p99 later, ms": LATER_MS}),
        ],
    )


def _with_password(server: Process, data: Path, nick: str) -> None:
    """Make an account, and have it have a password."""
    server_tool = str(Path(sys.executable).with_name("tcpchat-server"))
    command = [server_tool, "admin", "--data", str(data), "token", nick]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    token = _TOKEN.search(done.stdout)
    if token is None:
        raise Failed(f"tcpchat-server admin token: {done.stderr.strip()}")
    peer = _Peer(server.port, device=token[0])
    with peer.sock:
        peer.ask(type="password", password=_PASSWORD)
        peer.hear("password")


def _said(teller: _Peer, listener: _Peer) -> float:
    """Say one line; how long it took until it was heard, in ms."""
    begin = time.monotonic()
    teller.ask(type="say", room=_ROOM, text="x" * 64)
    listener.hear("said")
    delay = time.monotonic() - begin
    teller.hear("sent")
    return delay * 1_000


def _log_in(teller: _Peer, listener: _Peer, people: dict[str, _Peer]) -> dict[str, float]:
    """All of them at once, while the others go on talking."""
    delays = []
    with selectors.DefaultSelector() as readable:
        for peer in people.values():
            readable.register(peer.sock, selectors.EVENT_READ, peer)
        begin = time.monotonic()
        for nick, peer in people.items():
            peer.ask(type="login", account=nick, password=_PASSWORD)
        while readable.get_map():
            delays.append(_said(teller, listener))
            for key, _ in readable.select(0):
                if key.data.has("claimed"):
                    readable.unregister(key.fileobj)
            if time.monotonic() - begin > PATIENCE_S:
                raise Failed(f"not all of {len(people)} were let in in {PATIENCE_S:.0f} s")
        return {**_figures(delays), "all in, ms": (time.monotonic() - begin) * 1_000}


def _figures(delays: Sequence[float]) -> dict[str, float]:
    shares = statistics.quantiles(delays, n=100, method="inclusive")
    return {"p50, ms": shares[49], "p99, ms": shares[98]}


def _over(tries: Sequence[dict[str, float]]) -> dict[str, Spread]:
    return {column: spread([one[column] for one in tries]) for column in tries[0]}


# ── Long lists ───────────────────────────────────────────────────────────────────────────────────


def _long_lists(rounds: int, bans: int, comers: int) -> TableReport:
    few: list[dict[str, float]] = []
    many: list[dict[str, float]] = []
    rooms = {count: _Banned(count) for count in (1, bans)}
    for _ in range(rounds):
        first = rooms[1].come_us(comers)
        few.append({"µs": first})
        other = rooms[bans].come_us(comers)
        many.append({"µs": other, "×": other / first})
    return TableReport(
        "people who come into a room from which others are banned",
        "the core alone: CPU of `ChatState.handle` per person who connects, joins, and goes",
        [
            Row("1 ban", _over(few)),
            Row(f"{bans:,} bans", _over(many), {"×": BANS_TARGET}),
        ],
    )


class _Banned:
    """A room from which so many are banned, each from an address of its own."""

    def __init__(self, bans: int) -> None:
        self._state = ChatState(limits=StateLimits(restrictions=bans))
        self._conn = self._seq = 0
        owner = self._come("")
        for number in range(bans):
            banned = self._come(f"origin{number}")
            person = self._state.person(banned)
            assert person is not None, "it has come"
            ban = events.Restrict(_ROOM, person.nick, "ban", 0, "", _ROOM, person.key)
            self._handle(owner, ban)
            self._handle(banned, events.Disconnect(""))

    def come_us(self, comers: int) -> float:
        """CPU microseconds for each who comes and goes."""
        begin = time.process_time()
        for number in range(comers):
            conn = self._come(f"elsewhere{number}")
            self._handle(conn, events.Disconnect(""))
        return (time.process_time() - begin) / comers * 1e6

    def _come(self, origin: str) -> int:
        self._conn += 1
        self._handle(self._conn, events.Connect(origin=origin))
        self._handle(self._conn, events.Join(_ROOM, _ROOM, roles=True))
        return self._conn

    def _handle(self, conn: int, event: events.Event) -> None:
        self._seq += 1
        self._state.handle(Entry(self._seq, 0, conn, event))
