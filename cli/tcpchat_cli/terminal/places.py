"""The places of messages that a list on the screen has numbered, for `/goto N`.

There is one list at a time: the last that was shown, whichever command has shown it. Its first
place has the number 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal, NamedTuple

from tcpchat_cli.terminal.numbering import MessageId

# Longer numbers are of no list, and are not even read.
MAX_DIGITS: Final = 9


class Place(NamedTuple):
    """Where a message stands: in a room, by its number; or in what one says with somebody.

    `name` is the room's or the other's nick; `seq` is 0 where the message has no number. `life` is
    as in `MessageId`.
    """

    kind: Literal["room", "direct"]
    name: str
    seq: int = 0
    life: int = 0

    @property
    def message(self) -> MessageId:
        """The message that stands in the room there."""
        return MessageId(self.name, self.seq, self.life)


class NoPlace(Exception):
    """There is no place of that number. The text is one sentence for people."""


class Places:
    """The places of the list that was shown last."""

    def __init__(self) -> None:
        self._listed: tuple[Place, ...] = ()

    def listed(self, places: Sequence[Place]) -> None:
        """These were shown, numbered from 1."""
        self._listed = tuple(places)

    def find(self, typed: str) -> Place:
        """The place of the number that was typed. Raises NoPlace."""
        if not self._listed:
            raise NoPlace(
                "no list is shown yet to go to a place of; /search and /mentions show one"
            )
        number = typed.removeprefix("#")
        if number.isascii() and number.isdecimal() and len(number) <= MAX_DIGITS:
            at = int(number)
            if 1 <= at <= len(self._listed):
                return self._listed[at - 1]
        raise NoPlace(f"/goto takes a number of the last list, from 1 to {len(self._listed)}")
