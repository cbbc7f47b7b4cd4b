"""The lines of stdin, read by a thread: files, pipes and consoles have only that in common."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import threading
from collections.abc import Iterator
from typing import Final

from tcpchat_core.framing import MAX_LINE_BYTES, LineBuffer, TooLong

# How many lines may wait between the thread that reads stdin and the loop that sends them.
MAX_WAITING_LINES: Final = 256

# Stands for a line that is not even kept: longer than any line that a server takes.
TOO_LONG_TO_SEND: Final = "x" * (MAX_LINE_BYTES + 1)


class Input:
    """The lines of stdin, without their ends; what is no UTF-8 in them is U+FFFD.

    The thread holds no lock of Python's own stdin, so that the program can end while it waits.
    """

    def __init__(self) -> None:
        self._lines: asyncio.Queue[str | None] = asyncio.Queue()
        self._places = threading.Semaphore(MAX_WAITING_LINES)
        self._ended = False
        self.has_started = False
        self._read_lines = self._given = self._done = 0

    def start(self) -> None:
        """Begin to read."""
        self.has_started = True
        loop = asyncio.get_running_loop()
        threading.Thread(target=self._read, args=(loop,), daemon=True).start()

    async def line(self) -> str | None:
        """The next line without its end; None when there is none any more. The one before is done
        with.
        """
        self._done = self._given
        if self._ended:
            return None
        line = await self._lines.get()
        if line is None:
            self._ended = True
            return None
        self._places.release()
        self._given += 1
        return line

    @property
    def left(self) -> int:
        """How many lines were read and are not done with."""
        return self._read_lines - self._done

    def _read(self, loop: asyncio.AbstractEventLoop) -> None:
        # RuntimeError: the loop is closed, so nobody waits for lines any more.
        with contextlib.suppress(RuntimeError):
            for lines in _stdin_lines():
                self._read_lines += len(lines)
                for line in map(_decoded, lines):
                    self._places.acquire()
                    loop.call_soon_threadsafe(self._lines.put_nowait, line)
            loop.call_soon_threadsafe(self._lines.put_nowait, None)


def _stdin_lines() -> Iterator[list[bytes | TooLong]]:
    """The lines of stdin, as they are read."""
    buffer = LineBuffer()
    while data := _read_stdin():
        yield buffer.receive_data(data)
    if buffer.partial_bytes:  # the last line needs no end
        yield buffer.receive_data(b"\n")


def _read_stdin() -> bytes:
    if sys.stdin is None:  # closed by whoever started us
        return b""
    try:
        return os.read(sys.stdin.fileno(), 65_536)
    except OSError:
        return b""


def _decoded(line: bytes | TooLong) -> str:
    """The text of a line; one that is too long to keep comes as what is refused for that."""
    return TOO_LONG_TO_SEND if isinstance(line, TooLong) else line.decode(errors="replace")
