"""Fixtures for the installed scripts."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from tests.cli.terminal import SERVER


class Server(NamedTuple):
    """A server that runs: its process, and where it listens."""

    process: subprocess.Popen[str]
    address: str

    def stop(self) -> int:
        """End it as an operator would; return its exit status."""
        self.process.terminate()
        return self.process.wait(timeout=30)


def start_server(*arguments: str) -> Server:
    """Start the installed tcpchat-server; it listens when this returns."""
    process = subprocess.Popen([SERVER, *arguments], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    first = process.stdout.readline()
    assert first.startswith("tcpchat-server: listening on ")
    return Server(process, first.split()[-1])


def stop_server(server: Server) -> None:
    """End it however it is, and leave nothing open."""
    if server.process.poll() is None:
        server.process.terminate()
    try:
        server.process.wait(timeout=30)
    finally:
        server.process.kill()
        assert server.process.stdout is not None
        server.process.stdout.close()


@pytest.fixture
def server() -> Iterator[Server]:
    """The installed tcpchat-server, on a free port of its own."""
    started = start_server("--port", "0")
    try:
        yield started
    finally:
        stop_server(started)
