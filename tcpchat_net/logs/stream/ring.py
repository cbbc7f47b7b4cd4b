"""What a node has read last, kept to be put back when a new engine has lost it."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from itertools import islice
from typing import Final

from tcpchat_net.logs.stream import Row

# So much is kept. A replica is some thousand batches behind at most, and those are a tenth of it.
MAX_BYTES: Final = 32 << 20

# What a batch takes beside its record, about.
_OVERHEAD: Final = 400


class Ring:
    """The last batches of a log, whose end is `seq` and `chain`. At first there are none."""

    def __init__(self, seq: int, chain: str, *, max_bytes: int = MAX_BYTES) -> None:
        self.seq, self.chain = seq, chain
        self.bytes = 0
        self._max_bytes = max_bytes
        self._before = (seq, chain)  # the end of the log before the first that is kept
        self._rows: deque[Row] = deque()

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, row: Row) -> None:
        """The next batch was read, and follows."""
        self._rows.append(row)
        self.seq, self.chain = row.last, row.chain
        self.bytes += len(row.record) + _OVERHEAD
        while self.bytes > self._max_bytes and len(self._rows) > 1:
            oldest = self._rows.popleft()
            self._before = (oldest.last, oldest.chain)
            self.bytes -= len(oldest.record) + _OVERHEAD

    def behind(self, seq: int, chain: str, most: int) -> list[Row] | None:
        """The next batches behind an end of the log, `most` of them at most.

        None when this log never ended like that, or did so before all that is kept.
        """
        if (seq, chain) == self._before:
            return list(islice(self._rows, most))
        at = bisect_right(self._rows, seq, key=lambda row: row.last)
        if not at or (self._rows[at - 1].last, self._rows[at - 1].chain) != (seq, chain):
            return None
        return list(islice(self._rows, at, at + most))
