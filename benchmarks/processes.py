"""Servers as child processes: started, observed through /proc, ended by their process id."""

from __future__ import annotations

import os
import random
import re
import resource
import select
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

START_LIMIT_S = 60.0
COMPILE_LIMIT_S = 120.0

# Beside its clients a process needs files, pipes and a listener or two.
OTHER_DESCRIPTORS = 64
MAX_DESCRIPTORS = 20_000

_TICKS = os.sysconf("SC_CLK_TCK")
_ANNOUNCEMENT = re.compile(rb"listening on \S+:(\d+)\s*$")


class Failed(Exception):
    """Something outside did not do its part; the text is one sentence for people."""


@dataclass(frozen=True)
class Process:
    """A running server, or anything that listens: where it is, and its /proc entry."""

    pid: int
    port: int

    def cpu_s(self) -> tuple[float, float]:
        """User and system CPU seconds so far, of all threads, to a hundredth of a second.

        This is for the split only: the load generator reads the exact CPU-time clock.
        """
        # The second field is the command in parentheses and may hold blanks.
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return int(fields[11]) / _TICKS, int(fields[12]) / _TICKS

    def memory(self, field: str) -> int:
        """Bytes of memory: VmRSS, what it has resident, or VmHWM, the most it ever had."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            name, _, value = line.partition(":")
            if name == field:
                return int(value.split()[0]) * 1024
        return 0


def free_port() -> int:
    """A port nobody listens on now, for servers that cannot choose one themselves.

    It is below the kernel's own range (from 32768), so that no client's socket takes it meanwhile.
    """
    for port in random.sample(range(20_000, 32_000), 1_000):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
    raise Failed("there is no free port between 20000 and 32000")


def descriptors_lacking(people: int) -> str | None:
    """Raise the soft limit of descriptors as needed; a sentence when the hard limit forbids."""
    need = people + OTHER_DESCRIPTORS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = MAX_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, MAX_DESCRIPTORS)
    if need > allowed:
        return f"{people:,} clients need {need:,} descriptors, and {allowed:,} are the limit here"
    if soft != resource.RLIM_INFINITY and soft < need:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    return None


def compile_c(source: Path, directory: Path, *flags: str) -> Path:
    """Compile one C file into `directory`; returns the program."""
    program = directory / source.stem
    command = ["cc", "-O2", "-o", str(program), str(source), *flags]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=COMPILE_LIMIT_S, check=False
        )
    except FileNotFoundError:
        raise Failed(
            f"{source.name} is compiled at run time: install a C compiler as `cc`"
            " (Debian: apt-get install gcc libc6-dev)"
        ) from None
    if done.returncode != 0:
        raise Failed(f"cc cannot compile {source.name}: {done.stderr.strip()}")
    return program


@contextmanager
def running(command: Sequence[str], directory: Path, port: int | None) -> Iterator[Process]:
    """A server for the length of a `with`. Raises Failed when it does not start.

    `port` is where it was told to listen; None when it chooses and announces that itself, as the
    first line of its output.
    """
    with (directory / "log").open("w+b") as log:
        child = subprocess.Popen(
            command,
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if port is None else log,
            stderr=log,
        )
        try:
            if port is None:
                assert child.stdout is not None
                port = _announced_port(child.stdout)
            else:
                _wait_for_port(child, port)
            if port is None or child.poll() is not None:
                log.seek(0)
                last = log.read().decode(errors="replace").strip().splitlines()[-1:]
                raise Failed(f"{Path(command[0]).name} did not start: {' '.join(last) or 'silent'}")
            yield Process(child.pid, port)
        finally:
            # Killed, not asked: thousands of clients would be told of each other's departure.
            child.kill()
            child.wait()
            if child.stdout is not None:
                child.stdout.close()


def _announced_port(output: IO[bytes]) -> int | None:
    """The port in the first line, or None when no such line comes in time."""
    line = b""
    limit = time.monotonic() + START_LIMIT_S
    while not line.endswith(b"\n"):
        left = limit - time.monotonic()
        if left <= 0 or not select.select([output], [], [], left)[0]:
            return None
        byte = os.read(output.fileno(), 1)
        if not byte:
            return None
        line += byte
    found = _ANNOUNCEMENT.search(line)
    return int(found[1]) if found else None


def _wait_for_port(child: subprocess.Popen[bytes], port: int) -> None:
    """Return when somebody listens on `port`, the child has ended, or the time is over."""
    limit = time.monotonic() + START_LIMIT_S
    while child.poll() is None and time.monotonic() < limit:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1):
                return
        except OSError:
            time.sleep(0.02)
