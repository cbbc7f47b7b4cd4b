"""The log of one node that keeps nothing: what is proposed is delivered at once."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from tcpchat_core import Entry, Propose
from tcpchat_net.logs import OnEntries


def wall_ms() -> int:
    """Milliseconds since the Unix epoch."""
    return time.time_ns() // 1_000_000


class MemoryLog:
    """The order of the proposals is the order of the log.

    `clock` gives milliseconds since the epoch; `seq` is the number of the last entry that there
    was before.
    """

    def __init__(self, clock: Callable[[], int] = wall_ms, *, seq: int = 0) -> None:
        self._clock = clock
        self._on_entries: OnEntries | None = None
        self._seq = seq
        self._at = 0

    def open(self, on_entries: OnEntries) -> None:
        """Begin to deliver."""
        self._on_entries = on_entries

    @property
    def waiting(self) -> int:
        """Nothing waits."""
        return 0

    def propose(self, batch: Sequence[Propose]) -> None:
        """Number the events and deliver them."""
        assert self._on_entries is not None, "the log is not open"
        # The clock of the wall may be set back; the log's may not.
        self._at = at = max(self._at, self._clock())
        entries: list[Entry] = []
        for propose in batch:
            entries += propose.entries(self._seq + 1 + len(entries), at)
        self._seq += len(entries)
        self._on_entries(entries)
