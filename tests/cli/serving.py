"""The installed tcpchat-server as a process, and bare sockets that talk to it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from tempfile import TemporaryFile
from typing import Self

from tests.cli.log_lines import events_in, unknown, without_the_machine
from tests.cli.terminal import LIMIT_SECONDS, SERVER

FIRST_WORDS = "tcpchat-server: listening on "

# Servers of one test keep what is said in folders of their own, unless it says otherwise.
_servers = count()


def environment() -> dict[str, str]:
    """For a server: without the settings of whoever runs the tests."""
    return {
        **{
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("TCPCHAT_", "NO_C"))
        },
        "XDG_DATA_HOME": os.path.join(os.environ["XDG_DATA_HOME"], f"server-{next(_servers)}"),
    }


# Puts descriptors where a service manager puts them, and becomes the program behind them.
_GIVE = """
import os, sys
given = [int(each) for each in sys.argv[1].split(",")]
above = [os.dup2(each, 100 + place) for place, each in enumerate(given)]
for place, each in enumerate(above):
    os.dup2(each, 3 + place)
    os.close(each)
os.environ.update(LISTEN_FDS=str(len(given)), LISTEN_PID=str(os.getpid()), LISTEN_FDNAMES="chat")
os.execv(sys.argv[2], sys.argv[2:])
"""


def _giving(descriptors: Sequence[int]) -> list[str]:
    return [sys.executable, "-c", _GIVE, ",".join(map(str, descriptors))]


class Talker:
    """Somebody with nc."""

    def __init__(self, address: str, first: str) -> None:
        host, _, port = address.rpartition(":")
        self._sock = socket.create_connection((host, int(port)), timeout=LIMIT_SECONDS)
        self._file = self._sock.makefile("r", encoding="utf-8", newline="\n")
        self.send(first)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._file.close()
        self._sock.close()

    def send(self, text: str) -> None:
        self._sock.sendall(text.encode())

    def read_until(self, start: str) -> list[str]:
        """The next lines up to one that begins so, with it."""
        lines: list[str] = []
        while not lines or not lines[-1].startswith(start):
            line = self._file.readline()
            assert line, f"the connection ended after {lines}"
            lines.append(line.removesuffix("\n"))
        return lines

    def read_to_end(self) -> list[str]:
        return self._file.read().splitlines()


class ServerProcess:
    """A tcpchat-server that was started; ended however it is at the end of a test.

    Its log goes to a file: a pipe that nobody reads would be full one day, and the server wait.

    It is given `sockets` as by a service manager: from descriptor 3 on, with LISTEN_FDS and
    LISTEN_PID.
    """

    def __init__(
        self,
        *arguments: str,
        env: Mapping[str, str] | None = None,
        sockets: Sequence[int] = (),
        program: str = SERVER,
    ) -> None:
        env = {**environment(), **(env or {})}
        self.data_home = Path(env["XDG_DATA_HOME"])
        self._log = TemporaryFile("w+")  # noqa: SIM115 # it is open for as long as this
        self.process = subprocess.Popen(
            [*(_giving(sockets) if sockets else []), program, *arguments],
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            env=env,
            pass_fds=sockets,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()
        log = self.log_so_far()
        self._log.close()
        assert not (wrong := unknown(events_in(log))), f"vocabulary.py lacks {', '.join(wrong)}"

    def read_address(self) -> str:
        """Wait until it listens; where."""
        first = self.read_line()
        assert first.startswith(FIRST_WORDS), first
        return first.removeprefix(FIRST_WORDS)

    def read_line(self) -> str:
        """The next line that it writes."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().removesuffix("\n")

    def log_so_far(self) -> str:
        """What it has logged by now, but for what a busy machine has it say. (Where it writes next
        is not changed, as reading would.)
        """
        size = os.fstat(self._log.fileno()).st_size
        return without_the_machine(os.pread(self._log.fileno(), size, 0).decode())

    def wait(self) -> tuple[int, str, str]:
        """Its exit status, and the rest of its output and of its log, as above."""
        output, _ = self.process.communicate(timeout=LIMIT_SECONDS)
        return self.process.returncode, output, self.log_so_far()

    def wait_until(self, condition: Callable[[], bool]) -> None:
        """Look until the condition holds, or the process has ended."""
        while self.process.poll() is None and not condition():
            os.sched_yield()

    def has_loaded(self, module: str) -> bool:
        """Whether a shared library with that in its name is mapped."""
        try:
            return module in Path(f"/proc/{self.process.pid}/maps").read_text()
        except OSError:
            return False


def port_of(pid: int) -> int | None:
    """Where a process listens, as the kernel tells it: for one whose output nobody can read."""
    folder = Path(f"/proc/{pid}/fd")
    with suppress(OSError):  # it may end, or close what we look at
        inodes = {os.readlink(each).removeprefix("socket:[")[:-1] for each in folder.iterdir()}
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
            _, local, _, state, *_, inode = line.split()[:10]
            if state == "0A" and inode in inodes:  # LISTEN
                return int(local.partition(":")[2], 16)
    return None


@contextmanager
def listening(*arguments: str) -> Iterator[tuple[ServerProcess, str]]:
    """A server on a free port, and its address."""
    with ServerProcess("--port", "0", *arguments) as server:
        yield server, server.read_address()


def run_server(arguments: Sequence[str]) -> tuple[int, str, str]:
    """Start a server that is to end by itself."""
    with ServerProcess(*arguments) as server:
        return server.wait()
