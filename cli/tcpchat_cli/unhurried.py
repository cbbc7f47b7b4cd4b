"""Writing the log's lines without waiting for who reads them.

Rule 1: Nobody in the chat waits for a pipe that is full, or a terminal that was stopped. What
        cannot be written waits here, and is written when it can be, before all that comes later.

Rule 2: What waits has a bound. Past it lines are left out, and one in their place says how many.

Rule 3: While somebody reads, a line is written before `emit` returns: what a program logs last is
        there, however it ends.
"""

from __future__ import annotations

import errno
import logging
import os
import select
import time
from collections import deque
from collections.abc import Callable
from typing import Final, TextIO

# Some thousands of lines: more than an hour of a lively server.
MAX_WAITING_BYTES: Final = 1_048_576

# How long the end of the program waits for who reads.
END_S: Final = 1.0

# So much a pipe takes at once when it can be written to (PIPE_BUF).
_PIECE_BYTES: Final = 4_096


class UnhurriedHandler(logging.Handler):
    """Writes records to where a stream leads. `left_out` logs how many are not there."""

    def __init__(self, stream: TextIO, left_out: Callable[[int], None]) -> None:
        super().__init__()
        self._descriptor = _descriptor_of(stream)
        self._poll = select.poll()
        self._poll.register(self._descriptor, select.POLLOUT)
        self._waiting: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._left_out = 0
        self._log_left_out = left_out

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line, now or later."""
        self._write()
        self._add(record)
        self._write()

    def write_waiting(self) -> None:
        """Write what waits, as far as it can be: none of it has to wait for another line."""
        self.acquire()
        try:
            self._write()
        finally:
            self.release()

    def flush(self) -> None:
        """At the end of the program: give who reads a little time to take what waits."""
        until = time.monotonic() + END_S
        self.acquire()
        try:
            self._write()
            while self._waiting and (rest_s := until - time.monotonic()) > 0:
                self._poll.poll(rest_s * 1_000)
                self._write()
        finally:
            self.release()

    def _add(self, record: logging.LogRecord) -> None:
        line = f"{self.format(record)}\n".encode(errors="replace")
        if self._left_out or self._waiting_bytes + len(line) > MAX_WAITING_BYTES:
            self._left_out += 1
            return
        self._waiting_bytes += len(line)
        for begin in range(0, len(line), _PIECE_BYTES):
            self._waiting.append(line[begin : begin + _PIECE_BYTES])

    def _write(self) -> None:
        """Write what waits until no more is taken, and then how many lines are not there."""
        self._write_pieces()
        if self._left_out and not self._waiting:
            count, self._left_out = self._left_out, 0
            self._log_left_out(count)

    def _write_pieces(self) -> None:
        while self._waiting and self._poll.poll(0):
            piece = self._waiting.popleft()
            try:
                written = os.write(self._descriptor, piece)
            except OSError as error:  # what nobody can read any more is not kept
                written = 0 if error.errno == errno.EAGAIN else len(piece)
            self._waiting_bytes -= written
            if written < len(piece):  # a terminal may have room for some of it
                self._waiting.appendleft(piece[written:])
                return


def _descriptor_of(stream: TextIO) -> int:
    """Where to write what is for a stream. A terminal is opened once more: of it alone nobody can
    tell whether a whole line can be written, and who shares the stream may want to wait.
    """
    if stream.isatty():
        try:
            name = os.ttyname(stream.fileno())
            return os.open(name, os.O_WRONLY | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            pass
    return stream.fileno()
