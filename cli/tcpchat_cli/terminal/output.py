"""What goes to stdout and stderr, for programs that read it: UTF-8, whole lines, each at once."""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import stat
import sys
from collections.abc import Callable
from typing import Final

STDOUT: Final = 1


def complain(sentence: str) -> None:
    """A sentence on stderr, if there is one."""
    if sys.stderr is not None:
        print(f"tcpchat-client: {sentence}", file=sys.stderr, flush=True)


def write(data: bytes) -> None:
    """Write to stdout, all of it, and wait until it is taken.

    Raises BrokenPipeError when nobody reads any more, or another OSError; and CancelledError when a
    signal comes while nobody takes it (see `end_waiting`). Without a stdout nothing is written.
    """
    if sys.stdout is None:
        return
    rest = memoryview(data)
    while rest:
        if _CAN_WAIT:
            _wait_for_room()
        # BlockingIOError: it is another program's, too, which wants it so.
        with contextlib.suppress(BlockingIOError):
            rest = rest[os.write(STDOUT, rest[:_PIECE_BYTES]) :]


# Windows waits for sockets only; there a write is as long as its reader takes.
_CAN_WAIT: Final = hasattr(select, "PIPE_BUF")

# What a pipe that has any room takes without making us wait.
_PIECE_BYTES: Final = getattr(select, "PIPE_BUF", 65_536)

# A signal is heard at once while we wait, and after so long when it came just before.
_LOOK_SECONDS: Final = 0.1

_is_ending = False


def end_waiting() -> None:
    """A signal came: nobody waits any more until a reader takes what is written."""
    global _is_ending  # noqa: PLW0603 # as there is one stdout for a process
    _is_ending = True


def _wait_for_room() -> None:
    while not select.select([], [STDOUT], [], _LOOK_SECONDS)[1]:
        if _is_ending:
            raise asyncio.CancelledError


def on_reader_gone(act: Callable[[], object]) -> None:
    """Act when nobody reads the pipe that is our stdout, also while there is nothing to write."""
    if sys.stdout is None or not stat.S_ISFIFO(os.fstat(STDOUT).st_mode):
        return
    loop = asyncio.get_running_loop()

    def gone() -> None:
        loop.remove_reader(STDOUT)
        act()

    # The writing end of a pipe has nothing to read: it is ready when the reading end is closed.
    loop.add_reader(STDOUT, gone)
