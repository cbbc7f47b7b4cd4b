"""A log that does all that a log may: it is far away, and delivers at least once.

It takes proposals in after a while, in the order in which they were made. Whoever reads it is
given what there is, late, several turns' proposals at a time or one read in several pieces; and
what was delivered is delivered again: from some place before the last read, or the same once more,
much later. Nothing is delivered before what has a lower number.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence

from tcpchat_core import Entry, Propose
from tcpchat_net.logs import OnEntries


class UnreliableLog:
    """At-least-once, slowly. Times are in milliseconds.

    `after` calls something back after so long; `clock` gives the time since the epoch. A proposal
    is taken in within `delay` and delivered within `late` of that; `again` is how likely each
    delivery is to repeat what was delivered before, and `twice` how likely a batch is to be taken
    in a second time, as when its acknowledgement was lost. `entries` are those that there were
    already (delivered at once if `from_the_first`); afterwards, all that were taken in.
    """

    def __init__(
        self,
        draw: random.Random,
        after: Callable[[int, Callable[[], None]], None],
        clock: Callable[[], int],
        *,
        delay: int,
        late: int = 0,
        again: float = 0.0,
        twice: float = 0.0,
        entries: Iterable[Entry] = (),
        from_the_first: bool = False,
    ) -> None:
        self.entries: list[Entry] = list(entries)
        self._draw = draw
        self._after = after
        self._clock = clock
        self._delay, self._late, self._again = delay, late, again
        self._twice = twice
        self._from_the_first = from_the_first
        self._on_entries: OnEntries | None = None
        self._take_at = self._deliver_at = 0
        self._delivered = len(self.entries)

    @property
    def undelivered(self) -> Sequence[Entry]:
        """What was taken in, and is not delivered yet."""
        return self.entries[self._delivered :]

    @property
    def waiting(self) -> int:
        """Who proposes does not wait for this one: its bound is that of each connection."""
        return 0

    def open(self, on_entries: OnEntries) -> None:
        """Begin to deliver."""
        self._on_entries = on_entries
        if self._from_the_first and self.entries:
            self._give(self.entries)

    def close(self) -> None:
        """Deliver nothing more; what was not taken in is lost."""
        self._on_entries = None

    def propose(self, batch: Sequence[Propose]) -> None:
        """Take these in, some time after what was proposed before."""
        now = self._clock()
        self._take_at = max(self._take_at, now + self._draw.randint(0, self._delay))
        self._after(self._take_at - now, lambda: self._take(batch))

    def _take(self, batch: Sequence[Propose]) -> None:
        if self._on_entries is None:
            return
        now = self._clock()
        at = max(now, self.entries[-1].at) if self.entries else now
        times = 2 if self._twice and self._draw.random() < self._twice else 1
        for propose in (*batch,) * times:
            self.entries += propose.entries(len(self.entries) + 1, at)
        self._deliver_at = max(self._deliver_at, now + self._draw.randint(0, self._late))
        self._after(self._deliver_at - now, self._deliver)

    def _deliver(self) -> None:
        """One read: all that there is, and perhaps some of what was read before."""
        draw, start = self._draw, self._delivered
        if self._on_entries is None or start == len(self.entries):
            return
        if draw.random() < self._again:
            start = max(0, start - draw.randint(1, 40))
        read = self.entries[start:]
        if draw.random() < self._again:
            self._after(draw.randint(0, 5 * self._late), lambda: self._give(read))
        if len(read) > 1 and draw.random() < 0.3:
            middle = draw.randrange(1, len(read))
            self._give(read[:middle])
            read = read[middle:]
        self._give(read)

    def _give(self, read: Sequence[Entry]) -> None:
        if self._on_entries is not None:
            self._delivered = max(self._delivered, read[-1].seq)
            self._on_entries(read)
