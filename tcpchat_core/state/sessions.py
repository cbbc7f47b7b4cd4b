"""Sessions: what is kept for who lost a connection, and what is sent when it comes back.

A resumed session is sent exactly what it has not seen, in order, or is told of the gap. Its place
in its rooms and the connection they are sent to change in one entry, so nothing falls between.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

import msgspec

from tcpchat_core import events, notices
from tcpchat_core.effects import Action, Close, Enter, Leave, Send, Stream
from tcpchat_core.events import Entry, connection_number
from tcpchat_core.notices import Notice, Said, Told
from tcpchat_core.state.people import connect, depart
from tcpchat_core.state.tables import Person, Room, Tables


def disconnect(tables: Tables, person: Person, event: events.Disconnect, _at: int) -> list[Action]:
    """A connection is lost. Who has a session stays, silently; anybody else is gone."""
    return [*_unplug(tables, person, event.reason), *_stay_or_depart(tables, person)]


def expire(tables: Tables, entry: Entry, event: events.Expire) -> list[Action]:
    """The grace of a session is over."""
    person = tables.away.get(event.session)
    # It may have been resumed, and lost again, since the grace of this connection began.
    if person is None or person.conn != entry.conn:
        return []
    return depart(tables, person, event.reason)


def lapse(tables: Tables, _entry: Entry, event: events.Lapse) -> list[Action]:
    """Connections of an earlier life of a node are lost, all at once."""
    first = connection_number(event.node, 0, 0)
    last = connection_number(event.node, event.boot, event.upto)
    lost = [person for conn, person in tables.people.items() if first <= conn <= last]
    # First all of them leave, so that none is told of the others.
    actions = [action for person in lost for action in _unplug(tables, person, event.reason)]
    for person in lost:
        actions += _stay_or_depart(tables, person)
    return actions


def _unplug(tables: Tables, person: Person, reason: str) -> list[Action]:
    """Nothing can be sent to somebody any more."""
    tables.disconnect(person)
    person.away, person.lost = True, reason
    return [Leave(room.audience, person.conn) for room in person.rooms.values()]


def _stay_or_depart(tables: Tables, person: Person) -> list[Action]:
    """Who has a session stays until it is over, or until too many stay."""
    if not person.session:
        return depart(tables, person, person.lost)
    tables.away[person.session] = person
    if len(tables.away) <= tables.limits.away:
        return []
    longest = next(iter(tables.away.values()))
    return depart(tables, longest, longest.lost)


def resume(tables: Tables, entry: Entry, event: events.Resume) -> list[Action]:
    """Take up a session on another connection; without one begin a new one."""
    conn = entry.conn
    person = tables.sessions.get(event.session)
    if person is None:
        return connect(tables, conn, entry.number, event.fresh)
    actions: list[Action] = []
    rooms = list(person.rooms.values())
    if person.away:
        person.away, person.lost = False, ""
        del tables.away[event.session]
    else:  # the older connection does not know yet that it is dead, or it is another program
        tables.disconnect(person)
        actions += [Leave(room.audience, person.conn) for room in rooms]
        taken = notices.Closing("this session was resumed on another connection")
        actions += [Send(person.conn, taken), Close(person.conn)]
    person.conn, person.number = conn, entry.number
    tables.people[conn] = person
    states = tuple(_room_state(tables, room) for room in rooms)
    actions.append(Send(conn, notices.Resumed(person.nick, states, tables.epoch)))
    person.seen(event.told)
    replay = [
        *_missed("", person.told, event.told, person.inbox or ()),
        *(notice for room in rooms for notice in _missed_in_room(person, room, event.seen)),
    ]
    if replay:
        actions.append(Stream(conn, replay))
    return [*actions, *(Enter(room.audience, conn) for room in rooms)]


def _missed_in_room(person: Person, room: Room, seen: dict[str, int]) -> Iterator[Notice]:
    """What was said in a room since; the person's own messages with their ids."""
    receipts = person.receipts or {}
    own = {receipt.seq: id for id, receipt in receipts.items() if receipt.room == room.name}
    # Nothing of before it joined: it may not have been told yet that it did, or that it had left
    # and joined again.
    last = max(seen.get(room.key, 0), person.since[room.key])
    for notice in _missed(room.name, room.seq, last, room.history):
        id = own.get(notice.seq) if isinstance(notice, Said) else None
        yield msgspec.structs.replace(notice, id=id) if id else notice


def _missed(
    room: str, last: int, seen: int, kept: Sequence[Said] | Sequence[Told]
) -> Iterator[Notice]:
    """What was numbered after `seen`, up to `last`; first a gap, when not all of it is kept."""
    missed = max(0, last - seen)
    if missed > len(kept):
        yield notices.Gap(room, last - len(kept) + 1)
    yield from islice(kept, max(0, len(kept) - missed), len(kept))


def _room_state(tables: Tables, room: Room) -> notices.RoomState:
    nicks = room.first_nicks(tables.limits.entered_members)
    return notices.RoomState(room.name, nicks, len(room.members), room.seq, room.topic)
