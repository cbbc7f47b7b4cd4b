"""The log of one node that outlasts it: what is delivered is on the disk.

While one batch is written, what is proposed meanwhile collects and is the next batch: so a disk
that is slow gets larger batches, and no timer is needed.

Rule 1: Nothing is delivered before it is written.

Rule 2: A disk that is full makes proposals wait, and nothing is lost of them. After any other
        failure the log is over: `failed` is called, and nothing is delivered any more.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from tcpchat_core import Propose
from tcpchat_net.logs import Host, OnEntries
from tcpchat_net.logs.memory import wall_ms
from tcpchat_net.logs.records import encode_batch, entries_of
from tcpchat_net.logs.store import Batch, FullError, Store, StoreError

# How long a full disk is left alone before it is tried again.
RETRY_MS: Final = 500


class DurableLog:
    """A log in a `Store` that is open, whose last entry has the number `seq` and the time `at`.

    `failed` is called once with what ended the log; `full` with True when the disk has become
    full, and with False when there is room again.
    """

    def __init__(
        self,
        store: Store,
        host: Host,
        *,
        failed: Callable[[StoreError], None],
        full: Callable[[bool], None] = lambda _is_full: None,
        clock: Callable[[], int] = wall_ms,
    ) -> None:
        self._store = store
        self._host = host
        self._failed = failed
        self.full = full
        self._clock = clock
        self.seq, self._at = store.last()
        self._on_entries: OnEntries | None = None
        self._waiting: list[Propose] = []
        self.waiting = 0  # events that are proposed and not delivered yet
        self._is_writing = False
        self._is_full = False
        self._is_over = False

    @property
    def promised(self) -> int:
        """The number of the last entry when all that is proposed now is delivered.

        `seq` is that of the last one that is.
        """
        return self.seq + self.waiting

    def open(self, on_entries: OnEntries) -> None:
        """Begin to deliver."""
        self._on_entries = on_entries

    def propose(self, batch: Sequence[Propose]) -> None:
        """Write these, and deliver them when they are written."""
        self._waiting += batch
        self.waiting += sum([len(propose.events) for propose in batch])
        if not self._is_writing:
            self._write()

    def _write(self) -> None:
        """Write all that waits."""
        batch, self._waiting = self._waiting, []
        self._at = max(self._at, self._clock())
        count = sum(len(propose.events) for propose in batch)
        row = Batch(self.seq + 1, self.seq + count, self._at, encode_batch(batch))
        self._is_writing = True
        self._put(row, batch)

    def _put(self, row: Batch, batch: list[Propose]) -> None:
        self._host.run(
            lambda: self._store.append(row), lambda error: self._written(row, batch, error)
        )

    def _written(self, row: Batch, batch: list[Propose], error: BaseException | None) -> None:
        if self._is_over:
            return
        if isinstance(error, FullError):
            if not self._is_full:
                self._is_full = True
                self.full(True)
            self._host.after(RETRY_MS, lambda: self._put(row, batch))
            return
        if error is not None:
            self._is_over = True
            if not isinstance(error, StoreError):
                raise error
            self._failed(error)
            return
        if self._is_full:
            self._is_full = False
            self.full(False)
        self._is_writing = False
        self.seq = row.last
        if self._waiting:
            self._write()  # so the disk is busy while these are told
        assert self._on_entries is not None, "the log is not open"
        self.waiting -= row.last - row.first + 1
        self._on_entries(entries_of(batch, row.first, row.at))
