"""What goes to stdout and stderr, for programs that read it: UTF-8, whole lines, each at once."""

from __future__ import annotations

import asyncio
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

    Raises BrokenPipeError when nobody reads any more, or another OSError. Without a stdout nothing
    is written.
    """
    if sys.stdout is None:
        return
    rest = memoryview(data)
    while rest:
        try:
            rest = rest[os.write(STDOUT, rest) :]
        except BlockingIOError:  # it is another program's, too, which wants it so
            select.select([], [STDOUT], [])


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
