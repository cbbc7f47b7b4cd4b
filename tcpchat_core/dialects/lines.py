"""What the readers of all dialects that are made of lines have in common."""

from __future__ import annotations

from collections.abc import Sequence

from tcpchat_core.dialects import AsFlavour, Hangup, Item
from tcpchat_core.framing import MAX_LINE_BYTES, TOO_LONG, LineBuffer, TooLong
from tcpchat_core.notices import Rejected

# A line that was too long may be a mistake. The third in a row is no chat.
MAX_LONG_LINES = 3


class LineReader(AsFlavour):
    """A `Reader` of lines. A subclass says what one line asks for, by `decode`."""

    answers_pings = True
    opens_ahead = False
    opens_within_ms: int | None = None

    __slots__ = ("_buffer", "_eof", "_lines", "_long_lines", "waiting")

    def __init__(self) -> None:
        self._buffer = LineBuffer()
        # A tuple when there are none: thousands of readers have none, and share it.
        self._lines: Sequence[bytes | TooLong] = ()
        self._long_lines = 0  # in a row
        self._eof = False  # and its hangup is still to be given
        self.waiting = False  # there is a line to look at, or the end to tell

    def begin(self, *, password_needed: bool) -> list[Item]:  # noqa: ARG002 # whoever speaks first does not ask
        """A program speaks first."""
        return []

    def admitted(self) -> None:
        """Nothing changes: what a program sends says what it is."""

    def decode(self, line: bytes) -> Item | None:
        """What one line, without its end, asks for; None when that is nothing."""
        raise NotImplementedError  # it is what makes a dialect; all else is shared

    def decode_all(self, lines: Sequence[bytes]) -> list[Item]:
        """What lines ask for, without those that ask for nothing."""
        decode = self.decode
        return [item for line in lines if (item := decode(line)) is not None]

    def receive_data(self, data: bytes) -> None:
        """Take in what was read."""
        lines = self._buffer.receive_data(data)
        if lines:
            self._lines = [*self._lines, *lines] if self._lines else lines
            self.waiting = True

    def receive_eof(self) -> None:
        """The peer will send no more."""
        self._eof = self.waiting = True

    def requests(self, limit: int) -> list[Item]:
        """What the next lines ask for. Lines that ask for nothing do not count."""
        items: list[Item] = []
        while self._lines and len(items) < limit:
            lines, self._lines = self._lines, ()
            if len(lines) > limit - len(items):
                some = limit - len(items)
                lines, self._lines = lines[:some], lines[some:]
            items += self._items(lines)
        if self._eof and not self._lines and len(items) < limit:
            self._eof = False
            if self._buffer.partial_bytes:
                text = "the last line had no end, so it was not taken in"
                items.append(Rejected("bad-line", text))
            items.append(Hangup(""))
        self.waiting = bool(self._lines) or self._eof
        return items

    def _items(self, lines: Sequence[bytes | TooLong]) -> list[Item]:
        """What lines ask for, and what there is to say of those that were too long."""
        if TOO_LONG not in lines:
            self._long_lines = 0
            return self.decode_all(lines)  # type: ignore[arg-type] # there is none among them
        items: list[Item] = []
        for line in lines:
            if isinstance(line, bytes):
                self._long_lines = 0
                items += self.decode_all([line])
                continue
            items.append(self._too_long())
            if self._long_lines >= MAX_LONG_LINES:
                items.append(Hangup("three lines in a row were too long"))
        return items

    def _too_long(self) -> Item:
        """What there is to say of a line that was too long."""
        self._long_lines += 1
        text = f"a line has at most {MAX_LINE_BYTES:,} bytes; this one was thrown away"
        return Rejected("bad-line", text)
