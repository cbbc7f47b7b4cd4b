"""What a node counts and measures, for whoever watches it: plain integers, read at any time, also
from another thread.

Rule 1: What is counted costs an addition, once for a read, a batch or a turn; what is measured, two
        looks at a clock for each batch.

Rule 2: Whoever reads changes nothing, so several may read.
"""

from __future__ import annotations

import dataclasses
from bisect import bisect_left
from collections import deque
from collections.abc import Sequence
from itertools import accumulate
from typing import Final, NamedTuple

# Upper bounds of how long a log may take, in nanoseconds: from half a millisecond (a disk that says
# it has written what it has in its cache) to five seconds (an engine that was away).
LOG_BOUNDS_NS: Final = tuple(
    round(seconds * 1_000_000_000)
    for seconds in (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
)

# … and of how many entries it delivers at once.
BATCH_BOUNDS: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1_024)

# How many sweeps the greatest delay is taken of: those of a minute. It is no less than the usual
# time between two looks at it, so none is missed.
_SWEEPS: Final = 120


class Distribution(NamedTuple):
    """What a `Histogram` had: for each bound how many values were at most that, and one more for
    all values; and their sum.
    """

    counts: tuple[int, ...]
    total: int


class Histogram:
    """How many values there were, by size."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[int]) -> None:
        self.bounds = tuple(bounds)
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0

    def observe(self, value: int) -> None:
        """There was one more."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def read(self) -> Distribution:
        """What there is by now."""
        return Distribution(tuple(accumulate(self.counts)), self.total)


class Lag:
    """How late the loop is: by how much a timer was late that is due again and again."""

    def __init__(self, every_ms: int) -> None:
        self._every_ms = every_ms
        self._late_ms: deque[int] = deque(maxlen=_SWEEPS)
        self.turned_at: int | None = None  # when the loop was seen to turn last; None before that

    def turned(self, now: int) -> None:
        """The timer fired."""
        self._late_ms.append(self.overdue_ms(now))
        self.turned_at = now

    def last_ms(self, now: int) -> int:
        """How late it was the last time, or is now."""
        late = list(self._late_ms)[-1:]
        return max([*late, self.overdue_ms(now)])

    def greatest_ms(self, now: int) -> int:
        """How late it was at most within a minute."""
        # The list is taken in one step, in which no other thread runs.
        return max([*list(self._late_ms), self.overdue_ms(now)])

    def overdue_ms(self, now: int) -> int:
        """How late it is now."""
        return 0 if self.turned_at is None else max(0, now - self.turned_at - self._every_ms)


@dataclasses.dataclass
class Counters:
    """What a node has done since it was opened."""

    connections: int = 0  # that were made
    reads: int = 0
    received_bytes: int = 0
    batches: int = 0  # that were proposed
    entries: int = 0  # that were committed
    pauses: int = 0  # of connections, because what they said had to wait
    overruns: int = 0  # connections that were given up because they read too slowly
    # From a proposal to the delivery of what came of it, in nanoseconds.
    log_ns: Histogram = dataclasses.field(default_factory=lambda: Histogram(LOG_BOUNDS_NS))
    # How many entries were committed at once.
    batch_entries: Histogram = dataclasses.field(default_factory=lambda: Histogram(BATCH_BOUNDS))
