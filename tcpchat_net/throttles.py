"""Throttles: whose words wait because they came too fast, and which of them a log is told of.

Rule 1: Who waits for less than a second is not told of: a page that somebody has pasted is no news.

Rule 2: One connection is told of once in ten seconds, and all together ten times, however many
        there are and whatever they do. What was left out is counted.

Rule 3: Who was told of as throttled is told of again when all of what it said is looked at.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from tcpchat_net.happenings import TELL_EVERY_MS, CaughtUp, Report, Seldom, Throttled

# Who has waited for so long notices it.
TELL_AFTER_MS: Final = 1_000

# How many are told of within the time in which one is told of once.
MAX_TOLD: Final = 10


class _Wait(NamedTuple):
    since: int
    lines: int  # of its rate that were used up then
    is_told: bool = False


class Throttles:
    """Who waits. Times are in milliseconds of the clock of `sweep`."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._waits: dict[int, _Wait] = {}
        self._told_at: dict[int, int] = {}
        self._seldom = Seldom(TELL_EVERY_MS, count=MAX_TOLD)

    def began(self, conn: int, now: int, lines: int) -> None:
        """What a connection said has to wait from now on."""
        self._waits[conn] = _Wait(now, lines)

    def ended(self, conn: int, now: int, lines: int) -> None:
        """Nothing of it waits any more."""
        wait = self._waits.pop(conn, None)
        if wait is not None and wait.is_told:
            # With another rate since then, they are no numbers of the same lines.
            self._report(CaughtUp(conn, now - wait.since, max(0, lines - wait.lines)))

    def forget(self, conn: int) -> None:
        """The connection is gone."""
        self._waits.pop(conn, None)

    def sweep(self, now: int) -> None:
        """See who has waited for long enough to be told of. Call it now and then."""
        for conn, told_at in tuple(self._told_at.items()):
            if now - told_at >= TELL_EVERY_MS:
                del self._told_at[conn]
        for conn, wait in self._waits.items():
            if wait.is_told or now - wait.since < TELL_AFTER_MS or conn in self._told_at:
                continue
            left_out = self._seldom.may_tell(now)
            # Also who is left out was dealt with: it would be counted again and again.
            self._told_at[conn] = now
            if left_out is not None:
                self._waits[conn] = wait._replace(is_told=True)
                self._report(Throttled(conn, now - wait.since, left_out))
