"""Everything the core wants of the outside, returned from the call that caused it.

The same words are used on both sides of the encoding:

* `ChatState.handle` returns `Action`s, whose payload is a notice;
* `ServerProtocol` returns `Effect`s, whose payload is bytes, and an adapter carries them out in
  the order given: one `match`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Generic, TypeAlias, TypeVar

import msgspec

from tcpchat_core.archive import Inquiry
from tcpchat_core.events import Entry, Event
from tcpchat_core.notices import Notice

Payload = TypeVar("Payload", covariant=True)


class Audience:
    """Who a broadcast goes to: a group of connections that `Enter` and `Leave` change by one.

    It is compared by identity, lasts as long as its room, and is never built anew because of one
    who comes or goes. A simple adapter keeps the members here, by `add` and `discard`; one that
    has a better place for them keeps what it needs in `derived`, which goes away with the audience.
    """

    __slots__ = ("conns", "derived")

    def __init__(self) -> None:
        self.conns: dict[int, None] = {}  # in the order of entering
        self.derived: Any = None

    def add(self, conn: int) -> None:
        """Carry out `Enter`."""
        self.conns[conn] = None

    def discard(self, conn: int) -> None:
        """Carry out `Leave`."""
        self.conns.pop(conn, None)

    def __repr__(self) -> str:
        return f"Audience({tuple(self.conns)!r})"


class Propose(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """Put `events` into the log as `conn`'s, in one place or in several, in this order.

    `number` is that of the first event, counted from 1 for each connection: a log that takes
    something twice cannot make it happen twice. Events with the number 0 are not counted. As bytes
    it is a row, without the names of its fields.
    """

    conn: int
    number: int
    events: tuple[Event, ...]

    def entries(self, seq: int, at: int) -> list[Entry]:
        """The entries of a log that takes this at `at` (ms since the epoch), from `seq` on."""
        conn, number = self.conn, self.number
        step = 1 if number else 0
        entries: list[Entry] = []
        for event in self.events:
            entries.append(Entry(seq, at, conn, event, number))
            seq += 1
            number += step
        return entries


class Send(msgspec.Struct, Generic[Payload], frozen=True, gc=False):
    """Give `payload` to one connection."""

    conn: int
    payload: Payload


class Stream(msgspec.Struct, Generic[Payload], frozen=True):
    """Give `pieces` to one connection, each when the peer has taken the one before.

    For what is long and owed: a replay, a page of history. What is sent afterwards goes behind it.
    The pieces are made when they are asked for, so a peer that takes none costs next to nothing.
    """

    conn: int
    pieces: Iterable[Payload]


class Enter(msgspec.Struct, frozen=True):
    """From here on `conn` is in `audience`."""

    audience: Audience
    conn: int


class Leave(msgspec.Struct, frozen=True):
    """From here on `conn` is not in `audience`."""

    audience: Audience
    conn: int


class Broadcast(msgspec.Struct, Generic[Payload], frozen=True, gc=False):
    """Give `payload` to all of `audience` but `author`, and `receipt` to `author`, in one place
    of everybody's order.

    `author` gets `receipt` only when it is in the audience. `receipt` is None (or b"") when the
    author gets nothing. `also` are further audiences: who is in several is given it once.
    """

    audience: Audience
    payload: Payload
    author: int
    receipt: Payload | None
    also: tuple[Audience, ...] = ()

    def conns(self) -> Iterator[int]:
        """Everybody it goes to, once, for adapters that keep the members in the audience."""
        if not self.also:
            return iter(self.audience.conns)
        everybody = dict(self.audience.conns)
        for audience in self.also:
            everybody.update(audience.conns)
        return iter(everybody)


class Pause(msgspec.Struct, frozen=True):
    """Read nothing from `conn` until `Resume`: what it said has to wait."""

    conn: int


class Resume(msgspec.Struct, frozen=True):
    """Read from `conn` again."""

    conn: int


class Look(msgspec.Struct, frozen=True):
    """Look into the archive, and call `ServerProtocol.found` with `ticket` and what is there."""

    conn: int
    ticket: int
    inquiry: Inquiry


class Derive(msgspec.Struct, frozen=True):
    """Make a hash of a password (`against` is ""), or see whether it is that of one, in a way that
    takes its time; and call `ServerProtocol.derived` with `ticket` and what came of it.
    """

    conn: int
    ticket: int
    password: str
    against: str = ""


class Close(msgspec.Struct, frozen=True):
    """Deliver what `conn` was sent so far, then close it."""

    conn: int


# What the state asks for: payloads are notices.
Action: TypeAlias = Send[Notice] | Stream[Notice] | Broadcast[Notice] | Enter | Leave | Close

# What an adapter carries out: payloads are bytes.
Effect: TypeAlias = (
    Propose
    | Send[bytes]
    | Stream[bytes]
    | Broadcast[bytes]
    | Enter
    | Leave
    | Pause
    | Resume
    | Look
    | Derive
    | Close
)
