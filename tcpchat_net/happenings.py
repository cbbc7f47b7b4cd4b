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


Happening: TypeAlias = Held | Released | Suspended

# Called with each; it may not wait.
Report: TypeAlias = Callable[[Happening], None]


def nothing(_happening: Happening, /) -> None:
    """The `Report` of who wants to hear of none."""


class Seldom:
    """Lets the same be told at most once in `TELL_EVERY_MS`, and counts what was left out."""

    def __init__(self, every_ms: int = TELL_EVERY_MS) -> None:
        self._every_ms = every_ms
        self._told_at: int | None = None
        self._left_out = 0

    def may_tell(self, now: int) -> int | None:
        """How many were left out since the last that was told; None when this one is, too."""
        if self._told_at is not None and now - self._told_at < self._every_ms:
            self._left_out += 1
            return None
        left_out, self._left_out = self._left_out, 0
        self._told_at = now
        return left_out
