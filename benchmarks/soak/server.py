"""A tcpchat-server of a soak: started, ended and started again, and watched through /proc.

Its log is read as it grows. It listens at the same port after each start, since people come again.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Final, NamedTuple

import gevent
import gevent.socket

from benchmarks.processes import Failed, Process, free_port
from benchmarks.soak.load import Load
from benchmarks.soak.samples import Delays, Sample

KEEP: Final = "10m"
KEEP_S: Final = 600.0
GRACE_S: Final = 60.0
# For so long a server may come up or go down.
PATIENCE_S: Final = 60.0

_BAD_LOG: Final = (b"Traceback", b"level=error", b"level=critical")


class Server:
    """A tcpchat-server, with all its starts."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name, self.data, self.start = name, folder / name, 0
        self.log = folder / f"{name}.log"
        self.port = free_port()
        self._child: subprocess.Popen[bytes] | None = None
        self._looked_at = 0

    @property
    def pid(self) -> int:
        """Of the process that there is."""
        assert self._child is not None
        return self._child.pid

    @property
    def is_running(self) -> bool:
        """Whether it has not ended by itself."""
        return self._child is not None and self._child.poll() is None

    def begin(self) -> None:
        """Start it; returns when it listens."""
        program = str(Path(sys.executable).with_name("tcpchat-server"))
        command = [
            *(program, "--port", str(self.port), "--data", str(self.data)),
            *("--keep", KEEP, "--grace", f"{GRACE_S:.0f}"),
        ]
        self.start += 1
        with self.log.open("ab") as log:
            self._child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for who runs the soak
            )
        limit = time.monotonic() + PATIENCE_S
        while self.is_running and time.monotonic() < limit:
            try:
                with gevent.socket.create_connection(("127.0.0.1", self.port), timeout=1):
                    return
            except OSError:
                gevent.sleep(0.05)
        raise Failed(f"{self.name}: tcpchat-server did not start: {self._last_words()}")

    def end(self, how: signal.Signals) -> None:
        """End it. Raises Failed when it does not."""
        child = self._child
        if child is None or child.poll() is not None:
            return
        child.send_signal(how)
        limit = time.monotonic() + PATIENCE_S
        while child.poll() is None:
            if time.monotonic() > limit:
                child.kill()
                raise Failed(f"{self.name}: tcpchat-server did not end by {how.name}")
            gevent.sleep(0.05)
        if how is signal.SIGTERM and child.returncode:
            raise Failed(f"{self.name}: tcpchat-server ended with {child.returncode}")

    def complaints(self) -> list[str]:
        """What has come into its log since the last time and must not be there."""
        with self.log.open("rb") as log:
            log.seek(self._looked_at)
            told = log.read()
        end = told.rfind(b"\n") + 1
        self._looked_at += end
        return [
            line.decode(errors="replace")
            for line in told[:end].splitlines()
            if any(bad in line for bad in _BAD_LOG)
        ]

    def replay(self) -> str:
        """What `tcpchat-server replay` complains of; nothing when all is well."""
        program = str(Path(sys.executable).with_name("tcpchat-server"))
        done = subprocess.run(
            [program, "replay", str(self.data)], capture_output=True, text=True, check=False
        )
        return "" if done.returncode == 0 else f"replay: exit {done.returncode}: {done.stderr}"

    def _last_words(self) -> str:
        lines = self.log.read_bytes().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else "silent"


class Window(NamedTuple):
    """What was timed since the last sample."""

    told: Delays | None
    echo: Delays | None
    disk: Delays | None


def sampled(server: Server, load: Load, now_s: float, window: Window) -> Sample:
    """How a server is. Raises FileNotFoundError or ProcessLookupError when it is not."""
    proc = Path("/proc", str(server.pid))
    rollup = _fields((proc / "smaps_rollup").read_text())
    leads_to = []
    for descriptor in os.listdir(proc / "fd"):
        try:
            leads_to.append(os.readlink(proc / "fd" / descriptor))
        except FileNotFoundError:
            continue  # it was closed meanwhile
    inodes = _connected(server.port)
    files = {"log.db": 0, "archive.db": 0, "WAL": 0, "snapshots": 0, "other": 0}
    for path in server.data.iterdir():
        files[_kind(path.name)] += path.stat().st_size
    user, system = Process(server.pid, server.port).cpu_s()
    return Sample(
        at_s=round(now_s, 3),
        server=server.name,
        start=server.start,
        rss=rollup["Rss"] * 1024,
        anonymous=(rollup["Anonymous"] + rollup["Swap"]) * 1024,
        descriptors=len(leads_to),
        connections=sum(link in inodes for link in leads_to),
        threads=_fields((proc / "status").read_text())["Threads"],
        cpu_s=user + system,
        files=files,
        people=load.here,
        told=window.told,
        echo=window.echo,
        disk=window.disk,
        counts={"delivered": load.checker.delivered, **load.counts},
    )


def _fields(text: str) -> dict[str, int]:
    """The numbers of a file such as /proc/PID/status, by their names."""
    found = {}
    for line in text.splitlines():
        name, _, value = line.partition(":")
        words = value.split()
        if words and words[0].isdigit():
            found[name] = int(words[0])
    return found


def _connected(port: int) -> set[str]:
    """What descriptors say that lead to somebody at a port; whose they are is in them."""
    found = set()
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if int(fields[1].partition(":")[2], 16) == port and fields[3] != "0A":  # not listening
            found.add(f"socket:[{fields[9]}]")
    return found


def _kind(name: str) -> str:
    if name.endswith(("-wal", "-shm")):
        return "WAL"
    if name.startswith("snapshot"):
        return "snapshots"
    return name if name in ("log.db", "archive.db") else "other"
