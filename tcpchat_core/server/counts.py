"""What a server counts, for whoever watches it: plain numbers, which only grow.

Rule 1: A count costs an addition, once for what is told together, and touches no member of a room.

Rule 2: Nothing of what people say, or are called, is in them.
"""

from __future__ import annotations


class Counts:
    """What one server has done since it was made. Whoever watches only reads."""

    __slots__ = ("deliveries", "gaps", "messages", "rejected", "resumes")

    def __init__(self) -> None:
        self.messages = 0  # of this server's own people, that were taken in: in rooms and direct
        self.deliveries = 0  # of messages to people who are here, their own receipts not counted
        self.rejected: dict[str, int] = {}  # requests that were refused, by `Reason`
        self.resumes = 0  # sessions that went on here
        self.gaps = 0  # told to who went on and had missed more than is kept

    def reject(self, reason: str) -> None:
        """A request was refused."""
        self.rejected[reason] = self.rejected.get(reason, 0) + 1
