"""What a server has to do at a time: looking after connections, and the end of sessions' graces.

Both are bounded by the connections and sessions there are, also when thousands have just gone.
"""

from __future__ import annotations

import heapq
from collections import OrderedDict
from collections.abc import Callable, Container, Iterator
from enum import IntEnum
from typing import NamedTuple


class Due(IntEnum):
    """Why a connection is to be looked at."""

    CHECK = 0  # it may be silent for too long
    LINES = 1  # what it said has waited long enough


class Timers:
    """The times of connections, in milliseconds. Those that are gone leave nothing behind.

    `there` are the connections there are; what is set for any other is dropped, at the latest when
    there is more of it than of the rest.
    """

    # Not worth a clean-up.
    _FEW = 64

    def __init__(self, there: Container[int]) -> None:
        self._there = there
        self._heap: list[tuple[int, int, Due]] = []
        self._gone = 0  # how many of the heap are for connections that are gone, at most

    def __len__(self) -> int:
        return len(self._heap)

    def set(self, at: int, conn: int, due: Due) -> None:
        """Have a connection looked at."""
        heapq.heappush(self._heap, (at, conn, due))

    def forget(self) -> None:
        """A connection has gone, with at most one time of each kind."""
        self._gone += len(Due)
        if self._gone > len(self._heap) // 2 and len(self._heap) > self._FEW:
            self._heap = [timer for timer in self._heap if timer[1] in self._there]
            heapq.heapify(self._heap)
            self._gone = 0

    def next_at(self) -> int | None:
        """When something is due."""
        return self._heap[0][0] if self._heap else None

    def take_due(self, now: int) -> Iterator[tuple[int, Due]]:
        """The connections to look at now, and why."""
        while self._heap and self._heap[0][0] <= now:
            _, conn, due = heapq.heappop(self._heap)
            if conn in self._there:
                yield conn, due

    def clear(self) -> None:
        """Nothing is due any more."""
        self._heap.clear()
        self._gone = 0


class Grace(NamedTuple):
    """Until when the session of a lost connection can be resumed, and what is told afterwards."""

    until: int
    conn: int
    reason: str


class Graces:
    """The graces of sessions. `is_away` tells whether one still holds.

    There are few lengths of them, and those of one length end in the order of beginning.
    """

    def __init__(self, is_away: Callable[[str, int], bool]) -> None:
        self._is_away = is_away
        self._by_length: dict[int, OrderedDict[str, Grace]] = {}

    def __contains__(self, session: str) -> bool:
        return any(session in graces for graces in self._by_length.values())

    def begin(self, session: str, grace: Grace, length_ms: int) -> None:
        """A session waits from now on; of this length its grace is the last to end."""
        self.end(session)
        self._by_length.setdefault(length_ms, OrderedDict())[session] = grace
        # Beyond a bound the state ends the one that is away longest, which needs no grace then.
        for graces in self._by_length.values():
            while graces and not self._is_away(*_first(graces)):
                graces.popitem(last=False)

    def end(self, session: str) -> None:
        """A session is resumed, or over."""
        for graces in self._by_length.values():
            graces.pop(session, None)

    def next_at(self) -> int | None:
        """When the first of them is over."""
        firsts = (next(iter(graces.values())) for graces in self._by_length.values() if graces)
        return min((grace.until for grace in firsts), default=None)

    def take_due(self, now: int) -> Iterator[tuple[str, Grace]]:
        """Those that are over."""
        for graces in self._by_length.values():
            while graces and next(iter(graces.values())).until <= now:
                yield graces.popitem(last=False)

    def clear(self) -> None:
        """Nobody waits any more."""
        self._by_length.clear()


def _first(graces: OrderedDict[str, Grace]) -> tuple[str, int]:
    session, grace = next(iter(graces.items()))
    return session, grace.conn
