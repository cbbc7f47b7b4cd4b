"""Who comes and who goes: told one by one, and in one line when it comes thick."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final, NamedTuple, TypeAlias

from tcpchat_cli.terminal.render import (
    MAX_NAME_CHARS,
    Fragments,
    Line,
    Renderer,
    nick_list,
    system,
)
from tcpchat_core import notices
from tcpchat_core.notices import AwaySet, Gone, Joined, Left, NameSet, Notice, Renamed

# Up to so many in a row are told one by one …
MAX_SINGLY: Final = 3

# … and so many names stand in the one line for all.
MAX_NAMES: Final = 3

# … and of so many different things that happened, each with its room.
MAX_GROUPS: Final = 12

# Of more people in a room nobody needs to know who was there: as in `tcpchat_core.client`.
MAX_MEMBERS: Final = 100_000


class People(NamedTuple):
    """Who is in a view, as far as we know; `total` of them, of whom the first are in `nicks`."""

    nicks: Collection[str] = ()
    total: int = 0
    moderators: Collection[str] = ()
    away: Collection[str] = ()


Change: TypeAlias = Joined | Left | Gone | Renamed | AwaySet | NameSet


def is_change(notice: Notice) -> bool:
    """Whether a notice only tells that somebody else came, went, is away or has another name."""
    return isinstance(notice, Change) and not getattr(notice, "own", False)


def told(changes: list[Notice], renderer: Renderer) -> list[Line]:
    """The lines that tell what happened in a row."""
    if len(changes) <= MAX_SINGLY:
        return [line for change in changes for line in renderer.lines(change)]
    groups: dict[str, list[str]] = {}
    for change in changes:
        match change:
            case Joined(room, nick):
                groups.setdefault(f"joined {room[:MAX_NAME_CHARS]}", []).append(nick)
            case Left(room, nick):
                groups.setdefault(f"left {room[:MAX_NAME_CHARS]}", []).append(nick)
            case Gone(nick):
                groups.setdefault("gone", []).append(nick)
            case AwaySet(nick, why):
                groups.setdefault("away" if why else "back", []).append(nick)
            case Renamed(_, new):
                groups.setdefault("renamed", []).append(new)
            case NameSet(nick):
                groups.setdefault("with another real name", []).append(nick)
    text: Fragments = []
    shown = [*groups.items()][:MAX_GROUPS]
    for what, nicks in shown:
        names = nick_list(tuple(nicks), len(nicks), MAX_NAMES)
        text += [("", f"{', ' if text else ''}{len(nicks)} {what} ("), *names, ("", ")")]
    if more := len(changes) - sum(len(nicks) for _, nicks in shown):
        text.append(("", f" and {more} more"))
    return [system(text)]


class Whereabouts:
    """Who is where, as far as the notices go that were given to `follow`, in order.

    The connection knows that, too, but is ahead: it has taken in all that came, before we tell it.
    """

    def __init__(self) -> None:
        self._people: dict[str, set[str]] = {}
        self.away: set[str] = set()  # of those who are here, as far as that was told

    def follow(self, notice: Notice) -> list[str]:
        """Take a notice in. Returns the rooms in which it tells of somebody."""
        match notice:
            case notices.Welcome():
                self._people.clear()
                self.away.clear()
            case notices.Entered(room, members):
                self._people[room] = {*members}
            case notices.Resumed(rooms=states):
                self._people = {state.room: {*state.members} for state in states}
            case Left(room, own=True):
                self._people.pop(room, None)
                return [room]
            case Joined(room, nick):
                people = self._people.get(room, set())
                if len(people) < MAX_MEMBERS:
                    people.add(nick)
                return [room]
            case Left(room, nick):
                self._people.get(room, set()).discard(nick)
                return [room]
            case Gone(nick):
                rooms = self._rooms_of(nick)
                self.away.discard(nick)
                for room in rooms:
                    self._people[room].discard(nick)
                return rooms
            case Renamed(old, new):
                rooms = self._rooms_of(old)
                if old in self.away:
                    self.away ^= {old, new}
                for room in rooms:
                    self._people[room].discard(old)
                    self._people[room].add(new)
                return rooms
            case notices.Members(nicks=nicks, away=away):
                self.away = (self.away.difference(nicks)).union(away)
            case AwaySet(nick, why):
                rooms = self._rooms_of(nick)
                if why and rooms:
                    self.away.add(nick)
                else:
                    self.away.discard(nick)
                return rooms
            case NameSet(nick):
                return self._rooms_of(nick)
        return []

    def _rooms_of(self, nick: str) -> list[str]:
        return [room for room, people in self._people.items() if nick in people]
