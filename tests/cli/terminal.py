"""A terminal for tests: a real pseudo-terminal, and an emulator that says what is on its screen.

Rule 1: What the program writes is taken at once, in a thread of its own, whether or not a test
        looks at it. A pseudo-terminal holds a few kilobytes; a program that fills it stands still.

Rule 2: The screen changes only while a test waits. So what a test has waited for is still there
        when it looks, however much has come since.
"""

from __future__ import annotations

import os
import re
import select
import signal
import sys
import termios
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Self

import pexpect
import pyte

# The console scripts stand beside the interpreter that they were installed for.
SCRIPTS = Path(sys.executable).parent
CLIENT = str(SCRIPTS / "tcpchat-client")
SERVER = str(SCRIPTS / "tcpchat-server")

# How long to wait for what must come, and where a broken test ends. It is no measure of anything:
# on a busy machine a program may need many seconds to start.
LIMIT_SECONDS = 90


class Terminal:
    """A program in a pseudo-terminal. Wait for what the *screen* shows, not for bytes."""

    def __init__(
        self,
        argv: Sequence[str],
        *,
        columns: int = 80,
        rows: int = 24,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.screen = pyte.HistoryScreen(columns, rows, history=10_000, ratio=0.5)
        self._stream = pyte.ByteStream(self.screen)
        environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith("LC_") and name not in {"LANG", "COLORTERM"}
        }
        environment |= {"TERM": "xterm-256color", "LC_ALL": "C.UTF-8", **(env or {})}
        self.child: pexpect.spawn[bytes] = pexpect.spawn(
            argv[0], list(argv[1:]), dimensions=(rows, columns), env=environment, timeout=None
        )
        self.child.delaybeforesend = None
        self.output = b""  # everything the program ever wrote, as far as the screen shows it
        self.echoes = False  # whether it left a terminal that shows what is typed
        self._written: SimpleQueue[bytes] = SimpleQueue()  # b"" at the end
        self._has_ended = False  # … which has been seen
        self._end_reading, self._reading_ends = os.pipe()
        self._reader = threading.Thread(target=self._take_all, daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Hang up, as closing a window does, and wait until the program has ended."""
        if self.child.closed:
            return
        if not self.child.terminated:
            for number in (signal.SIGHUP, signal.SIGCONT):
                self.child.kill(number)
            self._reader.join(LIMIT_SECONDS)  # it goes in good order, and says goodbye
            if self._reader.is_alive():
                self.child.kill(signal.SIGKILL)
            self.child.wait()
        os.close(self._reading_ends)  # for what the program may have left running
        self._reader.join()
        os.close(self._end_reading)
        self.child.close()

    # ── Typing ───────────────────────────────────────────────────────────────────────────────

    def type(self, keys: str) -> None:
        """Press keys."""
        self.child.send(keys)

    def enter(self, line: str) -> None:
        """Type a line and press Enter."""
        self.type(line + "\r")

    def resize(self, columns: int, rows: int) -> None:
        """Give the window another size."""
        self.screen.resize(rows, columns)
        self.child.setwinsize(rows, columns)

    # ── Seeing ───────────────────────────────────────────────────────────────────────────────

    @property
    def rows(self) -> list[str]:
        """The rows on the screen, without the blanks at their ends."""
        return [row.rstrip() for row in self.screen.display]

    @property
    def scrollback(self) -> list[str]:
        """The rows that have left the screen at its top, then those on it."""
        gone = [
            "".join(row[column].data for column in range(self.screen.columns)).rstrip()
            for row in self.screen.history.top
        ]
        return gone + self.rows

    @property
    def text(self) -> str:
        """The screen, one row a line."""
        return "\n".join(self.rows)

    @property
    def prompt(self) -> str:
        """The row with the cursor."""
        return self.rows[self.screen.cursor.y]

    def wait_until(self, condition: Callable[[], object], what: str = "") -> None:
        """Take in output until the condition holds."""
        deadline = time.monotonic() + LIMIT_SECONDS
        while not condition():
            left = deadline - time.monotonic()
            if left <= 0 or not self._read(left):
                if condition():
                    return
                raise AssertionError(f"{what or condition} never came; the screen:\n{self.text}")

    def wait_for(self, pattern: str) -> None:
        """Wait until some row of the screen matches the regular expression."""
        self.wait_until(lambda: self.shows(pattern), repr(pattern))

    def shows(self, pattern: str) -> bool:
        """Whether a row on the screen matches now."""
        return any(re.search(pattern, row) for row in self.rows)

    def style(self, text: str) -> pyte.screens.Char:
        """The first cell of the first place where the text stands: its colours and attributes."""
        for y, row in enumerate(self.screen.display):
            if (x := row.find(text)) >= 0:
                return self.screen.buffer[y][x]
        raise AssertionError(f"{text!r} is not on the screen:\n{self.text}")

    def wait_for_exit(self) -> int:
        """Take in the rest of the output; return the exit status, negative for a signal."""
        self.wait_until(lambda: self._has_ended, "the end")
        self.echoes = bool(termios.tcgetattr(self.child.fileno())[3] & termios.ECHO)
        self.child.wait()
        self.close()
        if self.child.signalstatus is not None:
            return -int(self.child.signalstatus)
        assert self.child.exitstatus is not None
        return int(self.child.exitstatus)

    def _read(self, seconds: float) -> bool:
        """Show what comes within that time; False when nothing will come any more."""
        try:
            data = b"" if self._has_ended else self._written.get(timeout=seconds)
        except Empty:
            return False
        self._has_ended = not data
        self.output += data
        self._stream.feed(data)
        return not self._has_ended

    def _take_all(self) -> None:
        """Take what the program writes, to its end or until nobody wants it any more."""
        terminal = self.child.fileno()
        ready = select.poll()
        for descriptor in (terminal, self._end_reading):
            ready.register(descriptor, select.POLLIN)
        data = b"-"
        while data:
            try:
                is_wanted = all(descriptor == terminal for descriptor, _ in ready.poll())
                data = os.read(terminal, 65_536) if is_wanted else b""
            except OSError:  # the program has closed its side: EIO, as Linux says it
                data = b""
            self._written.put(data)
