"""Who is kept from what in one room, and until when: a table that is looked up in no time.

Rule 1: A restriction is in force at a time `at` while `at < until`. No timer ends it; what is over
        is swept away when it is come upon.

Rule 2: It names a *bearer*: who somebody is for as long as they are known (`Person.bearer`). And it
        names an *origin*, where one is known: a guest who comes *in* from there is taken for the
        same. People who are in already are not, nor is who has an account: a class may be behind
        one address.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec


class Restriction(msgspec.Struct, frozen=True, array_like=True):
    """One person kept from one thing. `nick` is what it was called then, by which it is found."""

    bearer: str
    origin: str
    nick: str
    nick_key: str
    until: int
    by: str
    reason: str


class Restrictions:
    """The restrictions of one kind in one room, in the order of being made."""

    __slots__ = ("_by_bearer", "_by_origin")

    def __init__(self) -> None:
        self._by_bearer: dict[str, Restriction] = {}
        self._by_origin: dict[str, Restriction] = {}  # of several the one that ends last

    def __len__(self) -> int:
        return len(self._by_bearer)

    def all(self) -> tuple[Restriction, ...]:
        """All there are, those included that are over and that nobody has come upon yet."""
        return tuple(self._by_bearer.values())

    def of(self, bearer: str, at: int) -> Restriction | None:
        """What somebody is kept from, by who it is."""
        return self._in_force(self._by_bearer.get(bearer), at)

    def of_origin(self, origin: str, at: int) -> Restriction | None:
        """What somebody is kept from who comes in, by where it comes from."""
        return self._in_force(self._by_origin.get(origin), at)

    def named(self, nick_key: str, bearer: str, at: int) -> list[Restriction]:
        """Those in force of who was called so then, or is this now."""
        return [
            each
            for each in self._by_bearer.values()
            if at < each.until and (each.nick_key == nick_key or each.bearer == bearer)
        ]

    def add(self, restriction: Restriction) -> None:
        """Put one in; an earlier one of the same person is over."""
        if self._by_bearer.pop(restriction.bearer, None) is not None:
            self._index()
        self._by_bearer[restriction.bearer] = restriction
        self._index_one(restriction)

    def lift(self, restrictions: Iterable[Restriction]) -> None:
        """Take some out."""
        for each in restrictions:
            del self._by_bearer[each.bearer]
        self._index()

    def sweep(self, at: int) -> None:
        """Take out what is over."""
        self._by_bearer = {
            bearer: each for bearer, each in self._by_bearer.items() if at < each.until
        }
        self._index()

    def _in_force(self, found: Restriction | None, at: int) -> Restriction | None:
        if found is None or at < found.until:
            return found
        self.sweep(at)
        return None

    def _index(self) -> None:
        self._by_origin = {}
        for each in self._by_bearer.values():
            self._index_one(each)

    def _index_one(self, restriction: Restriction) -> None:
        origin = restriction.origin
        if origin:
            other = self._by_origin.get(origin)
            if other is None or other.until < restriction.until:
                self._by_origin[origin] = restriction
