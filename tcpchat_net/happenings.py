"""What happens to a server, and to whom, that whoever runs it may want to read in a log.

Each is a value; who is told of them has one callable for all. Those that anybody could bring about
again and again are told seldom, and count what was left out (`Seldom`). None holds what people say.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple, TypeAlias

# How often the same is told. What goes wrong, goes wrong for thousands at once.
TELL_EVERY_MS: Final = 10_000


class Held(NamedTuple):
    """A turn of the loop takes long, and nobody is served meanwhile: what it does now, innermost
    first.
    """

    ms: int
    stack: str
    left_out: int


class Released(NamedTuple):
    """A turn that was told of as held is over; how long it took."""

    ms: int


class Suspended(NamedTuple):
    """The process did not run: it was stopped, or the machine had no time for it."""

    ms: int
    left_out: int


class Throttled(NamedTuple):
    """What somebody said waits for so long by now, because it came too fast."""

    conn: int
    ms: int
    left_out: int


class CaughtUp(NamedTuple):
    """One that was told of as throttled: all that it said is looked at. That took so long, and was
    worth so many lines of its rate.
    """

    conn: int
    ms: int
    lines: int


class Overrun(NamedTuple):
    """Somebody read too slowly and was given up: how many bytes waited, and for how long it had
    taken none of them.
    """

    conn: int
    backlog_bytes: int
    stalled_ms: int


class Refused(NamedTuple):
    """Somebody was not let in."""

    host: str
    reason: str
    text: str
    left_out: int


class Exhausted(NamedTuple):
    """Something has run out. Those who are here are served on."""

    what: str
    text: str
    left_out: int


class SnapshotTaken(NamedTuple):
    """A snapshot was written, of the state after an entry."""

    seq: int
    ms: int


class Forgotten(NamedTuple):
    """What was said before a time is forgotten, in milliseconds since the epoch."""

    before: int


Happening: TypeAlias = (
    Held
    | Released
    | Suspended
    | Throttled
    | CaughtUp
    | Overrun
    | Refused
    | Exhausted
    | SnapshotTaken
    | Forgotten
)

# Called with each; it may not wait.
Report: TypeAlias = Callable[[Happening], None]


def nothing(_happening: Happening, /) -> None:
    """The `Report` of who wants to hear of none."""


class Seldom:
    """Lets the same be told `count` times in `every_ms`, and counts what was left out."""

    def __init__(self, every_ms: int = TELL_EVERY_MS, *, count: int = 1) -> None:
        self._every_ms, self._count = every_ms, count
        self._began_at: int | None = None
        self._told = 0  # since then
        self._left_out = 0

    def may_tell(self, now: int) -> int | None:
        """How many were left out since the last that was told; None when this one is, too."""
        if self._began_at is None or now - self._began_at >= self._every_ms:
            self._began_at, self._told = now, 0
        if self._told >= self._count:
            self._left_out += 1
            return None
        self._told += 1
        left_out, self._left_out = self._left_out, 0
        return left_out
