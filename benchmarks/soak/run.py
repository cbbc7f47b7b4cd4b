"""A soak: two servers live under the same kind of load, for hours, and are watched.

Rule 1: `lived` is started once. `restarted` is ended every RESTART_S, by SIGTERM and SIGKILL in
        turn, and started again on the same folder, at the same port.

Rule 2: What was acknowledged is checked at everybody who is told it, all the time. The first
        violation ends the run, with exit 1.

Rule 3: How long a message takes is measured beside a bare echo over loopback, in the same window
        and from the same process, as the machine may have other things to do.
"""

from __future__ import annotations

import os
import random
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import gevent
import gevent.event
import gevent.socket

from benchmarks.processes import Failed, Process, free_port
from benchmarks.report import machine, now
from benchmarks.soak.checker import Stream
from benchmarks.soak.load import Load
from benchmarks.soak.people import Program
from benchmarks.soak.samples import Begun, Delays, Ended, Sample, Started, Violated, Writer

RESTART_S: Final = 600.0
KEEP: Final = "10m"
KEEP_S: Final = 600.0
GRACE_S: Final = 60.0
# Acts a second and server: with it two servers, their people and the checks take less than a third
# of a core.
PACE: Final = 18.0
PEOPLE: Final = 90
PROBE_S: Final = 0.25
# Every so often something is written down; for longer runs more seldom, since a plot has no more
# dots than that.
EVERY_S: Final = 10.0
SAMPLES: Final = 1_000
# For so long a server may come up or go down, and everybody be told what was said last.
PATIENCE_S: Final = 60.0
_BAD_LOG: Final = (b"Traceback", b"level=error", b"level=critical")


@dataclass(frozen=True)
class Plan:
    """How long it is to take: hours, or until so many acts were decided at each server, if given.
    `pace` is acts a second and server.
    """

    hours: float
    seed: int = 1
    people: int = PEOPLE
    pace: float = PACE
    acts: int = 0
    restart_s: float = RESTART_S
    data: Path | None = None

    @property
    def every_s(self) -> float:
        """Seconds between two samples."""
        return max(EVERY_S, self.hours * 3_600 / SAMPLES) if not self.acts else 1.0


def soak(plan: Plan, samples: Path, tell: Callable[[str], None]) -> list[str]:
    """Run it all; what was violated, in sentences. Raises Failed when a server does not start."""
    with ExitStack() as stack:
        data = plan.data
        if data is None:
            data = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tcpchat-soak-")))
        writer = Writer(samples)
        stack.callback(writer.close)
        return _Soak(plan, data, writer, tell, stack).run()


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
                command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log
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


class _Probe:
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


class _Echo:
    """A bare echo over loopback, alone and after a write to the disk."""

    def __init__(self, folder: Path) -> None:
        command = [sys.executable, "-m", "benchmarks.soak.echo", str(folder / "echo")]
        self._child = subprocess.Popen(command, stdout=subprocess.PIPE)
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


def _delays(took: list[float]) -> Delays | None:
    """What a window had, which is over."""
    if not took:
        return None
    took.sort()
    return Delays(took[len(took) // 2], took[int(len(took) * 0.99)], took[-1], len(took))


class _Soak:
    """One run."""

    def __init__(
        self,
        plan: Plan,
        data: Path,
        writer: Writer,
        tell: Callable[[str], None],
        stack: ExitStack,
    ) -> None:
        self._plan, self._writer, self._tell = plan, writer, tell
        self._begin = time.monotonic()
        self._over = gevent.event.Event()
        self._why = "interrupted"
        self.violations: list[str] = []
        data.mkdir(parents=True, exist_ok=True)
        self._servers = [Server("lived", data), Server("restarted", data)]
        for server in self._servers:
            stack.callback(server.end, signal.SIGKILL)
        self._loads = [self._load(server) for server in self._servers]
        self._probes = [_Probe(load) for load in self._loads]
        self._echo = _Echo(data)
        stack.callback(self._echo.stop)

    def _load(self, server: Server) -> Load:
        return Load(
            name=server.name,
            seed=self._plan.seed,
            people=self._plan.people,
            data=server.data,
            port=lambda: server.port,
            now=self._now,
            violated=self._violated,
            grace_s=GRACE_S,
            keep_s=KEEP_S,
        )

    def _now(self) -> float:
        return time.monotonic() - self._begin

    def _violated(self, sentence: str) -> None:
        self.violations.append(sentence)
        self._writer.write(Violated(self._now(), sentence))
        self._tell(f"VIOLATED after {self._now():.0f} s: {sentence}")
        self._why = "violated"
        self._over.set()

    def run(self) -> list[str]:
        plan = self._plan
        self._writer.write(
            Begun(
                now(),
                shlex.join(["python", "-m", "benchmarks", *sys.argv[1:]]),
                plan.hours,
                plan.seed,
                plan.people,
                plan.every_s,
                machine({}),
            )
        )
        interrupts = [
            gevent.signal_handler(number, self._over.set)
            for number in (signal.SIGINT, signal.SIGTERM)
        ]
        for server in self._servers:
            server.begin()
            self._writer.write(Started(self._now(), server.name, server.start, server.pid))
        jobs: list[Any] = []
        try:
            for load in self._loads:
                load.start()
            for probe in self._probes:
                for person in probe.people:
                    person.start()
            work: list[Callable[[], None]] = [self._sample, self._probe, self._restart]
            jobs = [gevent.spawn(job) for job in work]
            deciding = [gevent.spawn(self._decide, load) for load in self._loads]
            jobs += deciding
            for job in jobs:
                job.link_exception(self._failed)
            self._wait(deciding)
            with self._loads[1].folder:  # a restart that has begun comes to its end
                gevent.killall(jobs[1:])
            if not self.violations:
                self._settle()
            jobs[0].kill()
        finally:
            gevent.killall(jobs)
            self._finish()
            for interrupt in interrupts:
                interrupt.cancel()
        return self.violations

    def _failed(self, job: Any) -> None:
        self._violated(f"{type(job.exception).__name__}: {job.exception}")

    def _wait(self, deciding: list[Any]) -> None:
        if self._plan.acts:
            gevent.joinall(deciding)
            self._why = "all acts were decided"
        elif not self._over.wait(self._plan.hours * 3_600):
            self._why = "the time was over"

    def _settle(self) -> None:
        """Nobody does anything more; whoever was told anything, all others have been told."""
        limit_s = self._now() + PATIENCE_S
        while self._now() < limit_s and not all(load.is_settled for load in self._loads):
            gevent.sleep(0.1)
        for load in self._loads:
            load.look(patience_s=0.0)

    def _finish(self) -> None:
        for probe in self._probes:
            for person in probe.people:
                person.stop()
        for load in self._loads:
            load.stop()
        for server in self._servers:
            try:
                server.end(signal.SIGTERM)
            except Failed as failed:
                self._violated(str(failed))
            if server.start:
                self._read_log(server)
                if complaint := server.replay():
                    self._violated(f"{server.name}: {complaint}")
        times = os.times()
        self._writer.write(
            Ended(
                self._now(),
                self._why,
                {load.name: load.checker.delivered for load in self._loads},
                {load.name: dict(load.counts) for load in self._loads},
                times.user + times.system,
            )
        )

    # ── What goes on at the same time ────────────────────────────────────────────────────────

    def _decide(self, load: Load) -> None:
        decided = 0
        pauses = random.Random(f"{self._plan.seed} {load.name} pace")
        while not self._plan.acts or decided < self._plan.acts:
            gevent.sleep(pauses.expovariate(self._plan.pace))
            load.decide()
            decided += 1

    def _probe(self) -> None:
        while True:
            gevent.sleep(PROBE_S)
            self._echo.go()
            for probe in self._probes:
                probe.go()

    def _restart(self) -> None:
        server = self._servers[1]
        hows = (signal.SIGTERM, signal.SIGKILL)
        while True:
            gevent.sleep(self._plan.restart_s)
            how = hows[(server.start + 1) % 2]
            with self._loads[1].folder:
                server.end(how)
                server.begin()
            self._writer.write(
                Started(self._now(), server.name, server.start, server.pid, how.name)
            )

    def _sample(self) -> None:
        while True:
            gevent.sleep(self._plan.every_s)
            echo, disk = (_delays(took) for took in self._echo.took.values())
            for took in self._echo.took.values():
                took.clear()
            for server, load, probe in zip(self._servers, self._loads, self._probes, strict=True):
                self._read_log(server)
                load.look()
                window = _Window(_delays(probe.took), echo, disk)
                probe.took.clear()
                try:
                    sample = _sampled(server, load, self._now(), window)
                except (FileNotFoundError, ProcessLookupError):
                    continue  # it is being restarted
                self._writer.write(sample)
            if not self._servers[0].is_running:
                self._violated("lived: tcpchat-server has ended by itself")

    def _read_log(self, server: Server) -> None:
        for line in server.complaints():
            self._violated(f"{server.name}: its log says {line}")


class _Window(NamedTuple):
    """What was timed since the last sample."""

    told: Delays | None
    echo: Delays | None
    disk: Delays | None


def _sampled(server: Server, load: Load, now_s: float, window: _Window) -> Sample:
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
        pss=rollup["Pss"] * 1024,
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
