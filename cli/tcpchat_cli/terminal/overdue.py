"""Overdue: when a server that is there has left us without an answer for too long. Sans I/O.

Rule 1: Time counts while an answer is owed (a receipt is one) and we listen for it: not while we
        write for a slow reader, nor while a lost connection is being replaced.

Rule 2: Any answer begins the time anew. What else the server says does not, nor does a connection
        that is replaced: a server that loses us again and again owes what it owed.
"""

from __future__ import annotations

import math
from typing import Final

# The slowest server takes a line a second. It may have to wait for a disk, or for a majority of its
# cluster; what takes longer than this is for a person to look at.
ANSWER_SECONDS: Final = 60


class Overdue:
    """The time for answers, in seconds. Call `update` whenever something changes."""

    def __init__(self, limit: float) -> None:
        self.limit = self._left = limit
        self._since: float | None = None  # None while no time counts

    def update(self, *, counts: bool, answered: bool = False, now: float) -> None:
        """Whether time counts from now on, and whether an answer has come."""
        if self._since is not None:
            self._left -= now - self._since
        if answered:
            self._left = self.limit
        self._since = now if counts else None

    @property
    def due(self) -> float:
        """When it will be too long, unless something changes; inf while no time counts."""
        return math.inf if self._since is None else self._since + self._left
