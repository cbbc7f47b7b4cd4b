"""Feed: which messages of a room are printed. Sans I/O; numbers in, notices out.

Rule 1: Each message once, in the order of its number.

Rule 2: What is missing in between is asked for (`wanted`) before what comes after it is printed.
        Where the server does not have it, a `Gap` stands in its place.

Rule 3: What comes meanwhile waits, up to a bound; what is beyond it is asked for again, later.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from typing import Final

from tcpchat_core.notices import Gap, Said

# A few pages of history.
MAX_WAITING: Final = 2_000


class Feed:
    """One room's messages, from the one after `last` on; while `last` is None, nothing is printed.

    Each method returns what is to be printed now; `room` is its name in gaps.
    """

    def __init__(self) -> None:
        self.room = ""
        self.last: int | None = None
        self._newest = 0  # so far there are messages, as far as we know
        self._waiting: deque[Said] = deque()

    @property
    def wanted(self) -> int | None:
        """The number after which messages are missing, to be asked for; None where none are."""
        return self.last if self.last is not None and self.last < self._newest else None

    def begin(self, last: int) -> Iterator[Said | Gap]:
        """All up to this number is printed, or is not to be."""
        self.last = last
        return self._drain()

    def stop(self) -> None:
        """The numbers mean nothing any more: begin anew."""
        self.last, self._newest = None, 0
        self._waiting.clear()

    def goes_to(self, newest: int) -> None:
        """There are messages up to this number."""
        self._newest = max(self._newest, newest)

    def lost(self, last: int) -> Iterator[Said | Gap]:
        """What was printed above this number is not said any more; other messages will have it."""
        if self.last is None or last >= self.last:
            return iter(())
        self.stop()
        self.last = last
        return iter([Gap(self.room, last + 1)])

    def said(self, said: Said) -> Iterator[Said | Gap]:
        """A message came."""
        self.goes_to(said.seq)
        if len(self._waiting) == MAX_WAITING:
            self._waiting.clear()
        self._waiting.append(said)
        return self._drain()

    def page(self, messages: Iterable[Said]) -> Iterator[Said | Gap]:
        """The answer to what was wanted: the next messages after that, or none."""
        assert self.last is not None  # noqa: S101 # something was wanted
        before = self.last
        for said in messages:
            if said.seq > self.last:
                if said.seq > self.last + 1:
                    yield Gap(self.room, said.seq)
                self.last = said.seq
                yield said
        if self.last == before:  # there is nothing: go on behind the hole
            ahead = [said for said in self._waiting if said.seq > before]
            self.last = ahead[0].seq - 1 if ahead else self._newest
            if self.last > before:
                yield Gap(self.room, self.last + 1)
        yield from self._drain()

    def _drain(self) -> Iterator[Said | Gap]:
        """What waits and is next."""
        while self.last is not None and self._waiting and self._waiting[0].seq <= self.last + 1:
            said = self._waiting.popleft()
            if said.seq > self.last:
                self.last = said.seq
                yield said
