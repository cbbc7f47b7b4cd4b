"""The log: what is proposed goes in, in batches; entries come out, in one order for everybody.

Rule 1: Entries are delivered in the order of their `seq`, which counts from 1 without holes.

Rule 2: What one node proposes keeps its order.

Rule 3: Delivery is at least once: an entry may come again, and so may a batch. The core counts
        each of them once.

Rule 4: What was delivered is kept: a log that promises to outlast a crash delivers nothing that
        would not.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeAlias

from tcpchat_core import Entry, Propose

# Called with the next entries, in order.
OnEntries: TypeAlias = Callable[[Sequence[Entry]], None]


class Log(Protocol):
    """A log, as a node sees it."""

    def open(self, on_entries: OnEntries) -> None:
        """Begin to deliver. Called once, before anything is proposed."""

    def propose(self, batch: Sequence[Propose]) -> None:
        """Put these into the log, in this order. Does not wait for it."""
