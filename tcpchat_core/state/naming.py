"""Who is called what, and who hears of it."""

from __future__ import annotations

from collections.abc import Iterable

from tcpchat_core import notices
from tcpchat_core.effects import Action, Audience, Broadcast, Enter, Leave, Send
from tcpchat_core.notices import Notice
from tcpchat_core.state.tables import Person, Room, Tables

# Who is in no room has no neighbours. Nobody ever enters this.
_NOBODY = Audience()


def rename(tables: Tables, person: Person, nick: str, key: str) -> list[Action]:
    """Give somebody another nick, which is free or its own, on all of its devices."""
    old = person.nick
    everywhere = person.everywhere
    tables.free_nick(person)
    for each in everywhere:
        each.nick, each.key = nick, key
    tables.take_nick(everywhere[0])
    own = notices.Renamed(old, nick, own=True)
    if old == nick or not person.rooms:
        return [Send(each.conn, own) for each in everywhere if not each.away]
    for room in person.rooms.values():
        room.nick_changed()
        for each in everywhere:
            if room.key in each.speaks:
                each.speaks[room.key] = room.seq
    return to_neighbours(person, notices.Renamed(old, nick), own)


def to_neighbours(
    person: Person, notice: Notice, own: Notice | None, among: Iterable[Room] | None = None
) -> list[Action]:
    """Tell everybody who shares a room with a person once, and each of its devices `own`. `among`
    are the rooms that hear it, where that is not all.
    """
    rooms = [*(person.rooms.values() if among is None else among)]
    first, *more = [room.audience for room in rooms] or [_NOBODY]
    aside = _others(person)
    return [
        *(Leave(room.audience, conn) for conn in aside for room in rooms),
        Broadcast(first, notice, person.conn, own, tuple(more)),
        *(Send(conn, own) for conn in aside if own is not None),
        *(Enter(room.audience, conn) for conn in aside for room in rooms),
    ]


def to_room(
    room: Room, target: Person, told: Notice, own: Notice, by: Person | None = None
) -> list[Action]:
    """Tell a room something, and each device of whom it is about its own copy; and who has done it
    to another, a member as well, what all are told, as an answer.
    """
    aside = dict.fromkeys(_others(target), own)
    if by is not None and by.id != target.id:
        aside[by.conn] = told
    return [
        *(Leave(room.audience, conn) for conn in aside),
        Broadcast(room.audience, told, target.conn, own),
        *(Send(conn, notice) for conn, notice in aside.items()),
        *(Enter(room.audience, conn) for conn in aside),
    ]


def _others(person: Person) -> list[int]:
    """The connections of somebody's other devices that are here."""
    return [each.conn for each in person.everywhere if each is not person and not each.away]
