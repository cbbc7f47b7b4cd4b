"""Sessions: what is kept for who lost a connection, and what is sent when it comes back.

A resumed session is sent exactly what it has not seen, in order, or is told of the gap. Its place
in its rooms and the connection they are sent to change in one entry, so nothing falls between.

A session is named by the hash of its token; or, for who has no place to keep one, by whose secret
was said, and a word (`Login.session`). Such a name is no hash, so nobody asks for it by a token.
What was seen says the client when it comes, or has said by and by (`Seen`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

import msgspec

from tcpchat_core import events, notices
from tcpchat_core.effects import Action, Close, Enter, Leave, Send, Stream
from tcpchat_core.events import Entry, connection_number
from tcpchat_core.notices import Notice, Said, Told
from tcpchat_core.state import accounts, rights, rooms
from tcpchat_core.state.people import connect, depart
from tcpchat_core.state.tables import Account, Person, Room, Tables


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
    person = tables.sessions.get(event.session)
    if person is None:
        anew = events.Connect(event.fresh, event.origin, event.device, event.name, event.user)
        return connect(tables, entry, anew, event.session)
    return _go_on(tables, person, entry.conn, entry.number, event, at=entry.at)


def _go_on(
    tables: Tables, person: Person, conn: int, number: int, event: events.Resume, *, at: int
) -> list[Action]:
    """A session goes on on a connection, whose last event has this number."""
    actions: list[Action] = []
    places = list(person.rooms.values())
    if person.away:
        person.away, person.lost = False, ""
        del tables.away[event.session]
    else:  # the older connection does not know yet that it is dead, or it is another program
        tables.disconnect(person)
        actions += [Leave(room.audience, person.conn) for room in places]
        taken = notices.Closing("this session was resumed on another connection")
        actions += [Send(person.conn, taken), Close(person.conn)]
    person.conn, person.number = conn, number
    person.origin = event.origin
    tables.people[conn] = person
    seen = _Seen(tables, person, event)
    states = tuple(_room_state(tables, room, person, seen.common_in(room)) for room in places)
    away, name = person.away_text, person.name
    told = notices.Resumed(person.nick, states, tables.epoch, seen.common, away, name)
    actions.append(Send(conn, told))
    actions += [Send(conn, untold) for untold in _untold(tables, person, event, at)]
    number, is_lost = _cut(event.told, seen.common)
    person.seen(number)
    replay = [
        *_missed("", person.told, number, person.inbox or (), is_lost=is_lost),
        *(notice for room in places for notice in _missed_in_room(person, room, seen)),
    ]
    if replay:
        actions.append(Stream(conn, replay))
    return [*actions, *(Enter(room.audience, conn) for room in places)]


def _untold(tables: Tables, person: Person, event: events.Resume, at: int) -> Iterator[Notice]:
    """Of which rooms it was put out, as far as it does not know that; and where it is muted."""
    for key, left in (person.put_out or {}).items():
        if key in event.seen:  # so it thinks that it is there
            yield left
    yield from rights.own_mutes(tables, person, at)


class _Seen:
    """What a session has seen, in the numbers of this epoch.

    What it has seen in an earlier one beyond the place where that ended is in no log any more.
    """

    def __init__(self, tables: Tables, person: Person, event: events.Resume) -> None:
        self._seen = event.seen
        # Who does not say is taken to mean the epoch that there is.
        self._since = tables.since(event.epoch or tables.epoch)
        # Up to which number its numbers of direct messages are those of this epoch; None for all.
        self.common: int | None = 0
        if self._since is not None:
            self.common = min((each.told.get(person.seat, 0) for each in self._since), default=None)

    def common_in(self, room: Room) -> int | None:
        """Up to which number its numbers of a room are those of this epoch; None for all."""
        if self._since is None:
            return 0
        return min((each.common_in(room) for each in self._since), default=None)

    def in_room(self, room: Room) -> tuple[int, bool]:
        """The number of the last message that it has seen in a room, and whether it has seen
        others that are lost.
        """
        return _cut(self._seen.get(room.key, 0), self.common_in(room))


def _cut(seen: int, common: int | None) -> tuple[int, bool]:
    """What of a number is common, and whether that is less."""
    return (seen, False) if common is None else (min(seen, common), seen > common)


# ── Sessions that a word names ───────────────────────────────────────────────────────────────


def login(
    tables: Tables, person: Person, event: events.Login | events.LoggedIn, at: int
) -> list[Action]:
    """A guest that is here comes by a secret. With a word for a session, that goes on, and the
    guest makes place for it; else it is begun.
    """
    account = accounts.whose(tables, event)
    if event.session is None or account is None or person.account or person.session:
        return accounts.come_by(tables, person, event, at)
    device = event.device if isinstance(event, events.Login) else ""
    name = _name(account, device, event.session)
    earlier = tables.sessions.get(name)
    if earlier is not None and not rights.may_not_become(tables, account, at):
        return _make_place(tables, person, earlier, at)
    actions = accounts.come_by(tables, person, event, at)
    if person.account is not None:
        person.session, tables.sessions[name] = name, person
        person.since = {key: room.seq for key, room in person.rooms.items()}
        person.acknowledged = events.Seen(told=person.told, epoch=tables.epoch)
    return actions


def _name(account: Account, device: str, word: str) -> str:
    """What a session is known by that a word names. Neither an account nor the number of a device
    is given to another.
    """
    number = account.devices[device].number if device else 0
    return f"{account.bearer}/{number}/{word}"


def _make_place(tables: Tables, guest: Person, person: Person, at: int) -> list[Action]:
    """A guest is somebody whose session goes on in its place."""
    rooms_then = [*guest.rooms.values()]
    actions = [
        action
        for room in rooms_then
        for action in rooms.out(tables, guest, events.Out(room.name, room.key), at)
    ]
    for rules in (tables.rules, *[room.rules for room in rooms_then]):
        rights.goes_by(rules, guest.bearer, person, at)
    tables.free_nick(guest)
    del tables.people[guest.conn]
    actions += [
        Send(guest.conn, notices.Renamed(guest.nick, person.nick, own=True)),
        Send(guest.conn, accounts.claimed(person)),
    ]
    seen = person.acknowledged
    assert seen is not None, "a word names its session"
    # It was in all rooms that it was put out of since.
    numbers = {**dict.fromkeys(person.put_out or (), 0), **seen.rooms}
    asked = events.Resume(person.session, "", numbers, seen.told, seen.epoch, guest.origin)
    return actions + _go_on(tables, person, guest.conn, guest.number, asked, at=at)


def seen(tables: Tables, person: Person, event: events.Seen, _at: int) -> list[Action]:
    """Keep what somebody has seen, for when it comes again."""
    if person.acknowledged is not None and event.epoch == tables.epoch:
        person.acknowledge(event)
    return []


def diverge(tables: Tables, _entry: Entry, event: events.Diverge) -> list[Action]:
    """The log may have lost its end: all are told under which name it goes on."""
    tables.diverge(event.epoch)
    told = notices.Diverged(event.epoch)
    return [Send(person.conn, told) for person in tables.people.values()]


def _missed_in_room(person: Person, room: Room, seen: _Seen) -> Iterator[Notice]:
    """What was said in a room since; the person's own messages with their ids."""
    receipts = person.receipts or {}
    own = {receipt.seq: id for id, receipt in receipts.items() if receipt.room == room.name}
    # Nothing of before it joined: it may not have been told yet that it did, or that it had left
    # and joined again.
    number, is_lost = seen.in_room(room)
    last = max(number, person.since[room.key])
    for notice in _missed(room.name, room.seq, last, room.history, is_lost=is_lost):
        told = room.quoting(notice) if isinstance(notice, Said) else notice
        id = own.get(notice.seq) if isinstance(notice, Said) else None
        yield msgspec.structs.replace(told, id=id) if id else told


def _missed(
    room: str, last: int, seen: int, kept: Sequence[Said] | Sequence[Told], *, is_lost: bool
) -> Iterator[Notice]:
    """What was numbered after `seen`, up to `last`; first a gap, when not all of it is kept, or
    something else that was seen is lost.
    """
    missed = max(0, last - seen)
    if missed > len(kept) or is_lost:
        yield notices.Gap(room, last - min(missed, len(kept)) + 1)
    yield from islice(kept, max(0, len(kept) - missed), len(kept))


def _room_state(
    tables: Tables, room: Room, person: Person, common: int | None
) -> notices.RoomState:
    nicks, mark = room.first_nicks(tables.limits.entered_members), person.mark(room)
    return notices.RoomState(
        room.name,
        nicks,
        len(room.members),
        room.seq,
        room.topic,
        common,
        room.moderator_nicks(),
        *rights.mode_fields(room),
        mark.seq,
        room.topic_nick,
        room.topic_at,
        mark.at,
    )
