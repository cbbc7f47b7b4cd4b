"""The program that replays a log beside its server: `python -m tcpchat_net.logs.replayer`.

A server with many people would stand still for some tenths of a second while it wrote down its own
state. So it has a program of its own come to that state: from an earlier snapshot and the batches
behind it, which the server hands over on this program's standard input. On the way it is proven
that the log comes to the same state in another process. The program is as nice as can be.

Two things can come of a replay: a snapshot, and an archive that has what it lacked.
"""

from __future__ import annotations

import io
import os
import signal
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final, Protocol

import msgspec

from tcpchat_core import ChatState, Entry
from tcpchat_core.archive import Archived
from tcpchat_core.server.archiving import what_was_said
from tcpchat_net.logs import snapshots
from tcpchat_net.logs.archive import ArchiveError, ArchiveStore, DamagedError
from tcpchat_net.logs.records import decode_batch, entries_of
from tcpchat_net.logs.store import Batch

# A batch is handed over as a head and its record: first, last, at, the record's length.
_HEAD: Final = struct.Struct("!QQQQ")

# What stands behind the last batch. An input that ends without it was cut off: its server is gone.
END: Final = _HEAD.pack(0, 0, 0, 0)

# The exit status when it is the archive that is damaged.
DAMAGED: Final = 3

# How many messages the archive is given at a time.
SAID_AT_A_TIME: Final = 5_000


class Task(msgspec.Struct, frozen=True):
    """What is to be done: replay the batches behind the snapshot of the entry `start`.

    With `fills` an archive is filled. Otherwise a snapshot is written, of a state that has
    forgotten what was said before the time `forget` (ms since the epoch).
    """

    folder: str
    start: int
    fills: bool = False
    forget: int = 0


class ReplayError(Exception):
    """Nothing could come of a replay. Says why."""


class Program(Protocol):
    """A replay beside a server. All of these wait."""

    def write(self, data: bytes) -> None:
        """Hand over the next batches, as `packed`; END after the last."""

    def finish(self) -> None:
        """Wait until it is done.

        Raises ReplayError when nothing came of it; DamagedError when the archive cannot be filled.
        """

    def kill(self) -> None:
        """Let go of it, whether it is done or not."""


def packed(batch: Batch) -> bytes:
    """A batch, as it is handed over."""
    return _HEAD.pack(batch.first, batch.last, batch.at, len(batch.record)) + batch.record


def replay(task: Task, data: BinaryIO) -> None:
    """Do it. Raises ReplayError, and DamagedError."""
    folder = Path(task.folder)
    try:
        state = snapshots.read(snapshots.path_of(folder, task.start))
        if state is None:
            raise ReplayError(f"the snapshot of {task.start} in {folder} is damaged")
        if task.fills:
            _fill(ArchiveStore(folder), state, data)
        else:
            for _ in _replayed(state, data):
                pass
            state.forget(task.forget)
            snapshots.write(folder, state)
    except DamagedError:
        raise
    except (ArchiveError, OSError, ValueError) as error:
        raise ReplayError(str(error)) from error


def _fill(archive: ArchiveStore, state: ChatState, data: BinaryIO) -> None:
    archive.open()
    try:
        said: list[Archived] = []
        for archived in _replayed(state, data, archive.reached()):
            said.append(archived)
            if len(said) >= SAID_AT_A_TIME:
                archive.add(said, said[-1].id)
                said.clear()
        archive.add(said, state.seq)
    finally:
        archive.close()


def _replayed(state: ChatState, data: BinaryIO, known: int = 0) -> Iterator[Archived]:
    """Have a state handle all batches; gives what was said in them beyond the entry `known`."""
    while (head := data.read(_HEAD.size)) != END:
        if len(head) < _HEAD.size:
            raise ReplayError("the input ended before its end")
        first, last, at, size = _HEAD.unpack(head)
        yield from replay_batch(state, Batch(first, last, at, data.read(size)), known)


def entries_behind(state: ChatState, batch: Batch) -> list[Entry]:
    """The entries of a batch, for a state to go on with.

    Raises ValueError when there are entries between the two, or the batch is damaged.
    """
    if batch.first > state.seq + 1:
        raise ValueError(f"the entries between {state.seq} and {batch.first} are missing")
    return entries_of(decode_batch(batch.record), batch.first, batch.at)


def replay_batch(state: ChatState, batch: Batch, known: int) -> Iterator[Archived]:
    """Have a state handle a batch; gives what was said in it beyond the entry `known`.

    Raises ValueError, as `entries_behind`.
    """
    handle = state.handle
    for entry in entries_behind(state, batch):
        actions = handle(entry)
        if entry.seq > known and (archived := what_was_said(state, entry, actions)):
            yield archived


class InProcess:
    """A replay in this process: for who has nobody else to serve meanwhile."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self._data = bytearray()

    def write(self, data: bytes) -> None:
        """Hand over the next batches."""
        self._data += data

    def finish(self) -> None:
        """Do it."""
        replay(self._task, io.BytesIO(self._data))

    def kill(self) -> None:
        """Let go of what was handed over."""
        self._data.clear()


def main() -> None:
    """Replay what standard input has, as the first argument says."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the server
    os.nice(19)
    try:
        replay(msgspec.json.decode(sys.argv[1], type=Task), sys.stdin.buffer)
    except ReplayError as error:
        raise SystemExit(str(error)) from None
    except DamagedError as error:
        print(error, file=sys.stderr)
        raise SystemExit(DAMAGED) from None


if __name__ == "__main__":
    main()
