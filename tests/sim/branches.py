"""What the nodes were given of one log, and what is true by it.

There is one branch, until an engine is lost with what only it had: then its log is another one from
some place on, and what was there before is a branch that nobody goes on with. Who was told what
only a lost branch has was told the truth of that branch.
"""

from __future__ import annotations

from typing import Final

from tcpchat_core import Entry, StateLimits
from tcpchat_net.logs.stream import NO_CHAIN, Row
from tests.sim.model import Model

# All of it.
WHOLE: Final = 1 << 60


class Branch:
    """A log: its entries that were delivered, each once and in order, and the model of them.

    `rows` has all batches that an engine has taken in, `chains` the places where they end, `taken`
    the times when, by entry.
    """

    def __init__(self, limits: StateLimits) -> None:
        self.entries: list[Entry] = []
        self.times: list[int] = []  # when each of them was delivered first
        self.model = Model(limits)
        self.early: dict[int, Entry] = {}  # delivered before what has a lower number
        self.rows: list[Row] = []
        self.chains = {0: NO_CHAIN}
        self.taken: dict[int, int] = {}
        self.fork = 0  # up to here it is the one before it

    def forked(self, place: int) -> Branch:
        """Another one that is the same up to an entry."""
        other = Branch(self.model.limits)
        other.fork = place
        other.rows = [row for row in self.rows if row.last <= place]
        other.chains = {last: chain for last, chain in self.chains.items() if last <= place}
        other.taken = {seq: time for seq, time in self.taken.items() if seq <= place}
        for entry, time in zip(self.entries[:place], self.times, strict=False):
            other.take(entry, time)
        return other

    def take_in(self, row: Row, time: int) -> None:
        """An engine has taken a batch in, or has it."""
        if row.last not in self.chains:
            self.rows.append(row)
            self.chains[row.last] = row.chain
            self.taken |= dict.fromkeys(range(row.last - row.size + 1, row.last + 1), time)

    def take(self, entry: Entry, time: int) -> None:
        """The next entry was delivered, to whomever."""
        self.entries.append(entry)
        self.times.append(time)
        self.model.apply(entry)

    def common(self, other: Branch) -> int:
        """Up to which entry two are the same."""
        if self is other:
            return WHOLE
        return max(last for last, chain in self.chains.items() if other.chains.get(last) == chain)
