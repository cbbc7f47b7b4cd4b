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
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import gevent
import gevent.event

from benchmarks.processes import Failed
from benchmarks.report import machine, now
from benchmarks.soak.load import Load
from benchmarks.soak.parade import parade
from benchmarks.soak.probes import Echo, Probe, delays
from benchmarks.soak.samples import Begun, Ended, Started, Violated, Writer
from benchmarks.soak.server import GRACE_S, KEEP_S, Server, Window, sampled

RESTART_S: Final = 600.0
# Acts a second and server: with it two servers, their people and the checks take less than a third
# of a core.
PACE: Final = 18.0
PEOPLE: Final = 90
PROBE_S: Final = 0.25
# Every so often something is written down; for longer runs more seldom, since a plot has no more
# dots than that.
EVERY_S: Final = 10.0
SAMPLES: Final = 1_000
# Within this everybody has to be told what was said last.
PATIENCE_S: Final = 60.0


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
        self._probes = [Probe(load) for load in self._loads]
        self._echo = Echo(data)
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
            self._tell(f"{server.name}: process {server.pid}, port {server.port}")
            if not plan.acts:
                parade(server.port)
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
            gevent.spawn(gevent.joinall, deciding).link(self._all_decided)
            self._over.wait()
        elif not self._over.wait(self._plan.hours * 3_600):
            self._why = "the time was over"

    def _all_decided(self, _job: Any) -> None:
        if not self._over.is_set():
            self._why = "all acts were decided"
            self._over.set()

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
            try:
                with self._loads[1].folder:
                    server.end(how)
                    server.begin()
            except Failed as failed:
                self._violated(str(failed))
                return
            self._writer.write(
                Started(self._now(), server.name, server.start, server.pid, how.name)
            )

    def _sample(self) -> None:
        while True:
            gevent.sleep(self._plan.every_s)
            echo, disk = (delays(took) for took in self._echo.took.values())
            for took in self._echo.took.values():
                took.clear()
            for server, load, probe in zip(self._servers, self._loads, self._probes, strict=True):
                self._read_log(server)
                if not server.is_running and not load.folder.locked():
                    self._violated(f"{server.name}: tcpchat-server has ended by itself")
                load.look()
                window = Window(delays(probe.took), echo, disk)
                probe.took.clear()
                try:
                    sample = sampled(server, load, self._now(), window)
                except (FileNotFoundError, ProcessLookupError):
                    continue  # it is being restarted
                self._writer.write(sample)

    def _read_log(self, server: Server) -> None:
        for line in server.complaints():
            self._violated(f"{server.name}: its log says {line}")
