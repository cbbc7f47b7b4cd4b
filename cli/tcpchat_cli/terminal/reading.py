"""How far each room was read, here or elsewhere."""

from __future__ import annotations

import math
from typing import Final

# How often it is told at most that more of a room was read.
READ_SECONDS: Final = 5


class Reading:
    """How far the rooms were read, here or on another device of one's own; and when that was told.

    Times are seconds of any clock. Numbers are those of one session.
    """

    def __init__(self) -> None:
        self._read: dict[str, int] = {}  # by room, as the server knows it
        self._told_at: dict[str, float] = {}

    def is_read(self, room: str, seq: int) -> bool:
        """Whether a message was read."""
        return seq <= self._read.get(room, 0)

    def note(self, room: str, seq: int) -> None:
        """The server says that a room was read up to this number."""
        self._read[room] = seq

    def wait(self, room: str, seq: int, now: float) -> float | None:
        """In how many seconds to tell that a room was read up to a number; None for never."""
        if self.is_read(room, seq):
            return None
        return max(0.0, self._told_at.get(room, -math.inf) + READ_SECONDS - now)

    def told(self, room: str, seq: int, now: float) -> None:
        """It was told."""
        self._read[room], self._told_at[room] = seq, now
