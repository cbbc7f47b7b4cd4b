"""What is timed in a soak: how long it takes until somebody is told something, and echoes."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import gevent.socket

from benchmarks.soak.checker import Stream
from benchmarks.soak.load import Load
from benchmarks.soak.people import Program
from benchmarks.soak.samples import Delays

PATIENCE_S: Final = 60.0


class Probe:
    """One who says something, one who is told it, and how long that takes."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self.took: list[float] = []
        self._said: dict[int, float] = {}
        self._number = 0
        self.people = [_Prober(load, -1, self._told), _Prober(load, -2, self._told)]
        for person in self.people:
            person.rooms = ["probe"]

    def _told(self, number: int) -> None:
        if (said := self._said.pop(number, None)) is not None:
            self.took.append(1_000 * (time.perf_counter() - said))

    def go(self) -> None:
        """Say something, if both are there."""
        teller, listener = self.people
        if len(self._said) > 100:  # what was not told in time is not timed
            self._said.clear()
        if all(one.is_in and "probe" in one.streams for one in (teller, listener)):
            self._said[self._load.numbers + 1] = time.perf_counter()
            teller.say("probe", "x" * 64)


class _Prober(Program):
    def __init__(self, load: Load, number: int, told: Callable[[int], None]) -> None:
        super().__init__(load, number)
        self._probed = told

    def _heard(self, stream: Stream, number: int | None, seq: int) -> None:
        super()._heard(stream, number, seq)
        if number is not None and self.number == -2:
            self._probed(number)


class Echo:
    """A bare echo over loopback, alone and after a write to the disk."""

    def __init__(self, folder: Path) -> None:
        command = [sys.executable, "-m", "benchmarks.soak.echo", str(folder / "echo")]
        self._child = subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True)
        assert self._child.stdout is not None
        port = int(self._child.stdout.readline().rpartition(b":")[2])
        self._sock = gevent.socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S)
        self._sock.setsockopt(gevent.socket.IPPROTO_TCP, gevent.socket.TCP_NODELAY, 1)
        self.took: dict[bytes, list[float]] = {b"e": [], b"d": []}

    def go(self) -> None:
        """One of each."""
        for kind, took in self.took.items():
            begin = time.perf_counter()
            self._sock.sendall(kind)
            self._sock.recv(1)
            took.append(1_000 * (time.perf_counter() - begin))

    def stop(self) -> None:
        """End it."""
        self._sock.close()
        self._child.kill()
        self._child.wait()


def delays(took: list[float]) -> Delays | None:
    """What a window had, which is over."""
    if not took:
        return None
    took.sort()
    return Delays(took[len(took) // 2], took[int(len(took) * 0.99)], took[-1], len(took))
