"""What the client costs who sits before it: the installed tcpchat-client in a pseudo-terminal.

Rule 1: It talks to a socket that says what was prepared, so that only the client is measured.

Rule 2: A key counts as answered when the character that it stands for has left the client towards
        the terminal. Each key is another character, so an answer is never that to another key.

Rule 3: Times are wall-clock, on a machine that also plays the terminal and the server. What counts
        is how a busy client compares to an idle one beside it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import Final, Self

from benchmarks.processes import Failed, Process
from benchmarks.report import Row, Spread, TableReport, spread

# What comes while somebody types: so many lines a second, in so many pieces; and a key each so
# often, so many of them. Behind so many the line is emptied.
LINES_PER_S: Final = 1_000
PIECES_PER_S: Final = 100
KEYS: Final = 200
KEY_S: Final = 0.05
KEYS_IN_A_LINE: Final = 20

# The ways to take part that move the cursor.
WAYS: Final = {"inline": (), "full screen": ("--full-screen",)}

# A key that is answered within this is not felt as waiting.
KEY_TARGETS: Final = {"p99, ms": 50.0}

# So many lines in all, with a look at the memory after each of these.
LINES: Final = (10_000, 50_000, 100_000)
AT_ONCE: Final = 500

# To type a letter, and to be told a line, may cost so many bytes on the way to the terminal.
BYTES_TARGETS: Final = {"bytes": 200.0}
TYPED: Final = 30

TEXT: Final = "what people say in a room is about as long as this line of text is, as a rule"
COLUMNS: Final = 100
PATIENCE_S: Final = 120.0

# Their syllables are 11,172 characters, and none of them is in what is told.
_FIRST_SYLLABLE: Final = 0xAC00

_CONTROL_U: Final = b"\x15"


def measure_client(rounds: int, *, is_quick: bool) -> Iterator[TableReport]:
    """All tables, one after the other. Raises Failed when the client does not do its part."""
    yield _keys(1 if is_quick else rounds, 20 if is_quick else KEYS)
    yield _bytes(1 if is_quick else rounds)
    yield _memory([each // 100 for each in LINES] if is_quick else LINES)


# ── From a key to its echo ───────────────────────────────────────────────────────────────────────


def _keys(rounds: int, keys: int) -> TableReport:
    rows: dict[str, list[dict[str, float]]] = {}
    for _, (where, options) in product(range(rounds), WAYS.items()):
        with _talking(*options) as (server, client):
            idle = _typed(client, keys)
        with _talking(*options) as (server, client), server.telling():
            busy = _typed(client, keys)
        told = f"{LINES_PER_S:,} lines a second"
        rows.setdefault(f"{where}: nothing is told", []).append(idle)
        rows.setdefault(f"{where}: {told}", []).append(busy)
        rows.setdefault(f"{where}: {told}, as a ratio", []).append(
            {f"{name[:3]}, ratio": busy[name] / idle[name] for name in idle}
        )
    return TableReport(
        "from a key to its echo",
        f"somebody types in the room in which lines of {len(TEXT)} characters are told",
        [
            Row(what, _over(tries), {} if "ratio" in what else KEY_TARGETS)
            for what, tries in rows.items()
        ],
    )


def _typed(client: _Client, keys: int) -> dict[str, float]:
    took: list[float] = []
    for number in range(keys):
        if number and not number % KEYS_IN_A_LINE:
            client.press(_CONTROL_U)
        key = chr(_FIRST_SYLLABLE + number).encode()
        start = time.monotonic()
        client.press(key)
        client.wait_for(key)
        took.append(1_000 * (time.monotonic() - start))
        client.read_for(KEY_S)
    found = statistics.quantiles(took, n=100, method="inclusive")
    return {"p50, ms": found[49], "p99, ms": found[98]}


# ── Bytes on the way to the terminal ─────────────────────────────────────────────────────────────


def _bytes(rounds: int) -> TableReport:
    typed, told = [], []
    for _ in range(rounds):
        with _talking() as (server, client):
            before = client.received
            for number in range(TYPED):
                key = chr(_FIRST_SYLLABLE + number).encode()
                client.press(key)
                client.wait_for(key)
                client.read_for(KEY_S)
            typed.append((client.received - before) / TYPED)
            client.press(_CONTROL_U)
            client.read_for(KEY_S)
            before = client.received
            for _ in range(TYPED):
                server.tell(1)
                client.wait_for(server.last_words)
                client.read_for(KEY_S)
            told.append((client.received - before) / TYPED)
    return TableReport(
        "bytes to the terminal",
        f"for each of {TYPED} letters of 3 bytes, and of {TYPED} lines of {len(TEXT)} characters",
        [
            Row("a letter at the end of the prompt", {"bytes": spread(typed)}, BYTES_TARGETS),
            Row("a line that is told", {"bytes": spread(told)}, {"bytes": 600.0}),
        ],
    )


# ── A long day ───────────────────────────────────────────────────────────────────────────────────


def _memory(lines: Sequence[int]) -> TableReport:
    rows = []
    with _talking() as (server, client):
        first = client.process.memory("VmRSS")
        rows.append(Row("at the start", {"MB": _once(first / 1e6)}))
        for count in lines:
            start = client.process.cpu_s()
            more = count - server.told
            while server.told < count:
                server.tell(min(AT_ONCE, count - server.told))
                client.wait_for(server.last_words)
            cpu = sum(client.process.cpu_s()) - sum(start)
            figures = {
                "MB": _once(client.process.memory("VmRSS") / 1e6),
                "CPU, µs a line": _once(1e6 * cpu / more),
            }
            rows.append(Row(f"{count:,} lines", figures))
    return TableReport("a room in which much was said", "resident memory of the client", rows)


# ── The client, its terminal and its server ──────────────────────────────────────────────────────


class _Client:
    """The installed client in a pseudo-terminal, in its room."""

    def __init__(self, address: str, home: Path, options: Sequence[str]) -> None:
        self._terminal, end = os.openpty()
        fcntl.ioctl(end, termios.TIOCSWINSZ, struct.pack("4H", 40, COLUMNS, 0, 0))
        kept = {"PATH": os.environ.get("PATH", ""), "HOME": str(home)}
        script = Path(sys.executable).with_name("tcpchat-client")
        self._child = subprocess.Popen(
            [str(script), address, "--nick", "ada", "--room", "lobby", *options],
            stdin=end,
            stdout=end,
            stderr=end,
            env={**kept, "TERM": "xterm-256color", "LC_ALL": "C.UTF-8"},
            start_new_session=True,
        )
        os.close(end)
        self.process = Process(self._child.pid, 0)
        self.received = 0  # bytes
        self._tail = b""  # of them, as much as may be waited for

    def close(self) -> None:
        self._child.kill()
        self._child.wait()
        os.close(self._terminal)

    def press(self, key: bytes) -> None:
        """Press a key; what the client wrote before is no answer to it."""
        self._tail = b""
        os.write(self._terminal, key)

    def wait_for(self, what: bytes) -> None:
        """Take what the client writes until that was in it."""
        limit = time.monotonic() + PATIENCE_S
        while what not in self._tail:
            if not self._read(limit - time.monotonic(), len(what)):
                raise Failed(f"the client never showed {what.decode()!r}")

    def read_for(self, seconds: float) -> None:
        """Take what the client writes for as long as that."""
        limit = time.monotonic() + seconds
        while self._read(limit - time.monotonic(), 0):
            pass

    def _read(self, seconds: float, kept: int) -> bool:
        if not select.select([self._terminal], [], [], max(0.0, seconds))[0]:
            return False
        try:
            data = os.read(self._terminal, 65_536)
        except OSError:
            raise Failed("the client has ended") from None
        self.received += len(data)
        self._tail = (self._tail[-kept:] if kept else b"") + data
        return True


class _Server:
    """Says what it is told to say to the one who comes."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = "{}:{}".format(*self._listener.getsockname())
        self.told = 0  # lines
        self._connection: socket.socket | None = None
        self._is_in = threading.Event()
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._ends.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        if self._connection is not None:
            with contextlib.suppress(OSError):
                self._connection.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()

    @property
    def last_words(self) -> bytes:
        """What stands in the last line that was told, and in no other."""
        return f"[{self.told}]".encode()

    def wait(self) -> None:
        """Until somebody is in the room."""
        if not self._is_in.wait(PATIENCE_S):
            raise Failed("the client never came into the room")

    def tell(self, lines: int) -> None:
        """Have bob say so many lines, at once."""
        assert self._connection is not None
        said = []
        for _ in range(lines):
            self.told += 1
            text = f"{TEXT} [{self.told}]"
            said.append(
                f'{{"type":"said","room":"lobby","nick":"bob","text":"{text}",'
                f'"seq":{self.told},"at":1700000000000}}\n'
            )
        self._connection.sendall("".join(said).encode())

    @contextlib.contextmanager
    def telling(self) -> Iterator[None]:
        """Have bob say so many lines a second for as long as the `with` lasts."""
        ends = threading.Event()

        def tell() -> None:
            due = time.monotonic()
            while not ends.wait(max(0.0, due - time.monotonic())):
                due += 1 / PIECES_PER_S
                with contextlib.suppress(OSError):
                    self.tell(LINES_PER_S // PIECES_PER_S)

        thread = threading.Thread(target=tell)
        thread.start()
        try:
            yield
        finally:
            ends.set()
            thread.join()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            self._connection = self._listener.accept()[0]
            with self._connection, self._connection.makefile("rb") as asked:
                for line in asked:
                    self._connection.sendall(self._answer(line))

    def _answer(self, line: bytes) -> bytes:
        if b'"type":"hello"' in line:
            return b'{"type":"welcome","nick":"guest-1","epoch":"1"}\n'
        if b'"type":"nick"' in line:
            return b'{"type":"renamed","old":"guest-1","new":"ada","own":true}\n'
        if b'"type":"join"' in line:
            self._is_in.set()
            return (
                b'{"type":"entered","room":"lobby","members":["ada","bob"],"count":2,'
                b'"seq":0,"at":1700000000000}\n'
            )
        if b'"type":"ping"' in line:
            return line.replace(b'"ping"', b'"ponged"')
        return b""


@contextlib.contextmanager
def _talking(*options: str) -> Iterator[tuple[_Server, _Client]]:
    """A client in the room of a server of its own, with its prompt on the screen."""
    with tempfile.TemporaryDirectory(prefix="tcpchat-benchmarks-") as home, _Server() as server:
        client = _Client(server.address, Path(home), options)
        try:
            server.wait()
            client.wait_for(b"lobby")
            key = "끝".encode()  # it is ours when it answers a key
            client.press(key)
            client.wait_for(key)
            client.press(_CONTROL_U)
            client.read_for(1.0)
            yield server, client
        finally:
            client.close()


def _over(tries: Sequence[dict[str, float]]) -> dict[str, Spread]:
    return {column: spread([one[column] for one in tries]) for column in tries[0]}


def _once(value: float) -> Spread:
    return spread([value])
