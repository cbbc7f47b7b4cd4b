"""Virtual time: a heap of what is to happen. Nothing waits, and nothing happens by chance."""

from __future__ import annotations

import heapq
from collections.abc import Callable

Action = Callable[[], None]


class Clock:
    """Milliseconds since the simulation began. What is due at one time happens in order."""

    def __init__(self) -> None:
        self.now = 0
        self._order = 0
        self._due: list[tuple[int, int, Action]] = []

    def at(self, when: int, action: Action) -> None:
        """Do something at a time, or now when that is past: after what is due already."""
        self._order += 1
        heapq.heappush(self._due, (max(when, self.now), self._order, action))

    def after(self, delay: int, action: Action) -> None:
        """Do something so many milliseconds from now."""
        self.at(self.now + delay, action)

    def do(self, action: Action) -> None:
        """Do something now, in whatever this is the time of."""
        action()

    def run(self, until: int) -> None:
        """Let everything happen that is due by `until`, which is then the time."""
        while self._due and self._due[0][0] <= until:
            self.now, _, action = heapq.heappop(self._due)
            action()
        self.now = until
