"""What people do outside of rooms: nicks, direct messages, coming and going.

The functions that stand in the table of `__init__` take the tables, whose event it is, the event,
and the time of its entry in ms since the epoch.
"""

from __future__ import annotations

from tcpchat_core import events, notices
from tcpchat_core.effects import Action, Audience, Broadcast, Close, Leave, Send
from tcpchat_core.names import GUEST_PREFIX
from tcpchat_core.notices import Notice, Sent, Told
from tcpchat_core.state import moderation
from tcpchat_core.state.refusals import rejected
from tcpchat_core.state.tables import Person, Tables

# Who is in no room has no neighbours. Nobody ever enters this.
_NOBODY = Audience()


def connect(tables: Tables, conn: int, number: int, session: str, origin: str) -> list[Action]:
    """Somebody is here, as a guest. A session that is another's already cannot be had."""
    nick = tables.take_guest_nick()
    if session in tables.sessions:  # a secret that is not one names nobody
        session = ""
    person = Person(conn, nick, nick, session, origin)
    person.number = number
    tables.people[conn] = tables.nicks[nick] = person
    if session:
        tables.sessions[session] = person
    return [Send(conn, notices.Welcome(nick, tables.epoch))]


def nick(tables: Tables, person: Person, event: events.Nick, _at: int) -> list[Action]:
    """Take another nick, unless somebody has it."""
    holder = tables.nicks.get(event.key)
    if holder is not None and holder is not person:
        text = f"the nickname {holder.nick} is taken"
        return [rejected(person, "nick-in-use", text, "nick")]
    if event.key.startswith(GUEST_PREFIX):  # only `connect` gives these
        text = f"the nickname {event.nick} is reserved; choose another"
        return [rejected(person, "reserved-name", text, "nick")]
    old = person.nick
    tables.free_nick(person)
    person.nick, person.key = event.nick, event.key
    tables.nicks[event.key] = person
    own = notices.Renamed(old, event.nick, own=True)
    if old == event.nick:
        return [Send(person.conn, own)]
    for room in person.rooms.values():
        room.nick_changed()
        if room.key in person.speaks:
            person.speaks[room.key] = room.seq
    if not person.rooms:
        return [Send(person.conn, own)]
    return [_to_neighbours(person, notices.Renamed(old, event.nick), own)]


def tell(tables: Tables, person: Person, event: events.Tell, at: int) -> list[Action]:
    """Say something to one person; who has a session is sent it again when it may be lost."""
    id = event.id
    if id is not None and person.receipts and id in person.receipts:
        return [Send(person.conn, person.receipts[id])]
    other = tables.nicks.get(event.key)
    if other is None:
        text = f"there is nobody called {event.nick}"
        return [rejected(person, "no-such-nick", text, "tell", id)]
    other.told += 1
    told = Told(person.nick, event.text, other.told, at)
    if other.session:
        other.keep(told, tables.limits)
    receipt = Sent(at, id, None, other.nick)
    if id is not None:
        person.remember(id, receipt, tables.limits)
    actions: list[Action] = [] if other.away else [Send(other.conn, told)]
    return [*actions, Send(person.conn, receipt)]


def quit_(tables: Tables, person: Person, event: events.Quit, at: int) -> list[Action]:
    """Say goodbye: it is over at once, also for a session."""
    bye = Send[Notice](person.conn, notices.Closing("bye"))
    # Last words are words: who may say nothing has none.
    reason = "" if moderation.is_silenced(person, at) else event.reason
    return [*depart(tables, person, reason), bye, Close(person.conn)]


def nothing(_tables: Tables, _person: Person, _event: events.Event, _at: int) -> list[Action]:
    """What an event does that cannot be of somebody who is here."""
    return []


def depart(tables: Tables, person: Person, reason: str) -> list[Action]:
    """Somebody is gone for good: neighbours are told, and all that was theirs is free."""
    actions: list[Action] = [_to_neighbours(person, notices.Gone(person.nick, reason), None)]
    rooms = list(person.rooms.values())
    if not person.away:
        actions += [Leave(room.audience, person.conn) for room in rooms]
    for room in rooms:
        tables.leave(person, room)
    actions += [action for room in rooms for action in moderation.unattended(room)]
    tables.free_nick(person)
    tables.sessions.pop(person.session, None)
    if person.away:
        tables.away.pop(person.session, None)  # not there yet, when it was lost just now
    else:
        tables.disconnect(person)
    return actions


def _to_neighbours(person: Person, notice: Notice, own: Notice | None) -> Broadcast[Notice]:
    """Tell everybody who shares a room with `person` once, and `person` its own copy."""
    first, *more = [room.audience for room in person.rooms.values()] or [_NOBODY]
    return Broadcast(first, notice, person.conn, own, tuple(more))
