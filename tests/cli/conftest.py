"""Fixtures for the installed scripts."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.cli.serving import environment
from tests.cli.terminal import LIMIT_SECONDS, SERVER


class Server(NamedTuple):
    """A server that runs: its process, and where it listens."""

    process: subprocess.Popen[str]
    address: str

    def stop(self) -> int:
        """End it as an operator would; return its exit status."""
        self.process.terminate()
        return self.process.wait(timeout=LIMIT_SECONDS)


def start_server(*arguments: str) -> Server:
    """Start the installed tcpchat-server; it listens when this returns."""
    process = subprocess.Popen(
        [SERVER, *arguments], stdout=subprocess.PIPE, text=True, env=environment()
    )
    assert process.stdout is not None
    first = process.stdout.readline()
    assert first.startswith("tcpchat-server: listening on ")
    return Server(process, first.split()[-1])


def stop_server(server: Server) -> None:
    """End it however it is, and leave nothing open."""
    if server.process.poll() is None:
        server.process.terminate()
    try:
        server.process.wait(timeout=LIMIT_SECONDS)
    finally:
        server.process.kill()
        assert server.process.stdout is not None
        server.process.stdout.close()


def has_to_be_here(there: object, what: str) -> None:
    """Skip the test where something is not installed; in CI it must be."""
    if not there:
        if os.environ.get("CI"):
            pytest.fail(f"there is no {what}, and in CI there has to be one")
        pytest.skip(f"there is no {what}")


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home without settings, so that nobody's own reach a test; and none from the environment."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    for name in ("XDG_CONFIG_HOME", "XDG_STATE_HOME", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    for name in ("SERVER", "NICK", "ROOM", "PASSWORD"):
        monkeypatch.delenv(f"TCPCHAT_{name}", raising=False)
    return home


@contextmanager
def running_server(*arguments: str) -> Iterator[Server]:
    """The installed tcpchat-server, on a free port of its own unless the arguments name one."""
    started = start_server("--port", "0", *arguments)
    try:
        yield started
    finally:
        stop_server(started)


@pytest.fixture
def server() -> Iterator[Server]:
    """A server as it is when nothing is said about it."""
    with running_server() as started:
        yield started
