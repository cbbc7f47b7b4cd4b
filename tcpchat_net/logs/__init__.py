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
from tcpchat_core.archive import Archived, Inquiry
from tcpchat_core.notices import Said

# Called with the next entries, in order.
OnEntries: TypeAlias = Callable[[Sequence[Entry]], None]


# Called with the newest messages that were found, newest first; None when that was not possible.
OnFound: TypeAlias = Callable[[Sequence[Said] | None], None]


class Host(Protocol):
    """Where a log or an archive has its work with the disk done, and hears of the time."""

    def run(
        self, function: Callable[[], None], done: Callable[[BaseException | None], None]
    ) -> None:
        """Call `function` in the thread, one after the other; then call `done` in the loop."""

    def after(self, ms: int, callback: Callable[[], None]) -> None:
        """Call back after so many milliseconds."""


class Archive(Protocol):
    """An archive, as a node sees it."""

    def keep(self, archived: Archived) -> None:
        """Keep a message, soon. Does not wait for it."""

    def look(self, inquiry: Inquiry, found: OnFound) -> None:
        """Find messages, among them all that were to be kept before; then call `found`.

        Never before it returns: what the asker is to be told first is not all sent yet.
        """


class Log(Protocol):
    """A log, as a node sees it."""

    def open(self, on_entries: OnEntries) -> None:
        """Begin to deliver. Called once, before anything is proposed."""

    @property
    def waiting(self) -> int:
        """How many events were proposed here and are not delivered yet."""

    def propose(self, batch: Sequence[Propose]) -> None:
        """Put these into the log, in this order. Does not wait for it."""
