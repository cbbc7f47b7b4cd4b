"""Everything the core wants of the outside, returned from the call that caused it.

The same four words are used on both sides of the encoding:

* `ChatState.handle` returns `Action`s, whose payload is a notice;
* `ServerProtocol` returns `Effect`s, whose payload is bytes, and an adapter carries them out in
  the order given: one `match` over four cases.
"""

from __future__ import annotations

from typing import Any, Generic, TypeAlias, TypeVar

import msgspec

from tcpchat_core.events import Event
from tcpchat_core.notices import Notice

Payload = TypeVar("Payload", covariant=True)


class Lineage:
    """What the audiences of one room have in common, one after the other.

    Whoever delivers may keep in `derived` what it derives from them and would not make anew
    because of one who came or went. It goes away with the room.
    """

    __slots__ = ("derived",)

    def __init__(self) -> None:
        self.derived: Any = None


class Audience:
    """Who a broadcast goes to: an immutable group of connections, compared by identity.

    A room keeps one and makes a new one only when its membership changes, so whoever delivers
    may keep what it derives from an audience (its sockets, an open batch) in `derived`, and it
    goes away with the audience. `lineage` is the same for all audiences of a room; None for one
    that is of no room, and is sent to once.
    """

    __slots__ = ("conns", "derived", "lineage")

    def __init__(self, conns: tuple[int, ...], lineage: Lineage | None = None) -> None:
        self.conns = conns
        self.lineage = lineage
        self.derived: Any = None

    def __repr__(self) -> str:
        return f"Audience({self.conns!r})"


class Propose(msgspec.Struct, frozen=True, gc=False):
    """Put `event` into the log as `conn`'s; give the entry to `ServerProtocol.commit`."""

    conn: int
    event: Event


class Send(msgspec.Struct, Generic[Payload], frozen=True, gc=False):
    """Give `payload` to one connection."""

    conn: int
    payload: Payload


class Broadcast(msgspec.Struct, Generic[Payload], frozen=True, gc=False):
    """Give `payload` to all of `audience` but `author`, and `receipt` to `author`, in one place
    of everybody's order.

    `author` gets `receipt` only when it is in the audience. `receipt` is None (or b"") when the
    author gets nothing.
    """

    audience: Audience
    payload: Payload
    author: int
    receipt: Payload | None


class Close(msgspec.Struct, frozen=True):
    """Deliver what `conn` was sent so far, then close it."""

    conn: int


# What the state asks for: payloads are notices.
Action: TypeAlias = Send[Notice] | Broadcast[Notice] | Close

# What an adapter carries out: payloads are bytes.
Effect: TypeAlias = Propose | Send[bytes] | Broadcast[bytes] | Close
