"""Bytes to lines: bounded, and back in step after a line that was too long.

A line ends with LF; one CR before it is dropped. A line longer than the bound is not kept: it is
reported once, as `TOO_LONG`, as soon as the bound is passed, and everything up to its LF is
thrown away. What came before it and what comes after it are lines as ever.
"""

from __future__ import annotations

from typing import Final

# A text of 2,000 characters, each written as a JSON escape of a surrogate pair (12 bytes), and
# 8 KiB for the rest of its object. Every honest request fits.
MAX_LINE_BYTES: Final = 32_768


class TooLong:
    """The place of a line that had more than the allowed bytes."""

    def __repr__(self) -> str:
        return "TOO_LONG"


TOO_LONG: Final = TooLong()


class LineBuffer:
    """Collects the bytes of one connection and gives them back as lines.

    Holds at most `max_line_bytes` of a line that has no end yet. Call `receive_data` with what
    was read; it returns the lines that are now complete, without their ends.
    """

    __slots__ = ("_discarding", "_max_line_bytes", "_partial")

    def __init__(self, max_line_bytes: int = MAX_LINE_BYTES) -> None:
        self._max_line_bytes = max_line_bytes
        self._partial = bytearray()  # bytes would be copied as a whole with every read
        self._discarding = False

    @property
    def partial_bytes(self) -> int:
        """How many bytes of a line without an end are held, or 0."""
        return len(self._partial)

    def receive_data(self, data: bytes) -> list[bytes | TooLong]:
        """Take in what was read; return the complete lines, oldest first."""
        complete = data.split(b"\n")
        rest = complete.pop()
        if (  # as a rule: whole lines, from programs and from terminals alike
            not (rest or self._partial or self._discarding or b"\r" in data)
            and len(data) <= self._max_line_bytes
        ):
            return [*complete]
        lines: list[bytes | TooLong] = []
        limit = self._max_line_bytes
        for piece in complete:
            if self._discarding:
                self._discarding = False
                continue
            whole = bytes(self._partial + piece) if self._partial else piece
            self._partial.clear()
            line = whole.removesuffix(b"\r")
            lines.append(line if len(line) <= limit else TOO_LONG)
        if not self._discarding:
            self._partial += rest
            # One byte over the bound may yet be the CR of an end.
            if len(self._partial) > limit + 1:
                self._partial.clear()
                self._discarding = True
                lines.append(TOO_LONG)
        return lines
