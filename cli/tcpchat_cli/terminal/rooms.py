"""What was said in the rooms that one is in but does not look at, and how far each was read."""

from __future__ import annotations

import math
from typing import Final

# How often it is told at most that more of a room was read.
READ_SECONDS: Final = 5


class Unread:
    """How much was said in a room since one last looked at it."""

    def __init__(self) -> None:
        self.messages = 0
        self.mentions = 0
        self.last = 0  # the number of the last of them

    def __bool__(self) -> bool:
        return self.messages > 0

    def add(self, *, mention: bool, seq: int = 0) -> None:
        """One more, with its number in its room."""
        self.messages += 1
        self.mentions += mention
        self.last = seq

    def summary(self) -> str:
        """For example "3 messages, 1 for you"."""
        messages = "1 message" if self.messages == 1 else f"{self.messages} messages"
        return f"{messages}, {self.mentions} for you" if self.mentions else messages


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
