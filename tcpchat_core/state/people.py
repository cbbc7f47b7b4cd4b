"""What people do outside of rooms: nicks, direct messages, coming and going.

The functions that stand in the table of `__init__` take the tables, whose event it is, the event,
and the time of its entry in ms since the epoch.
"""

from __future__ import annotations

import msgspec

from tcpchat_core import events, notices
from tcpchat_core.effects import Action, Broadcast, Close, Leave, Send
from tcpchat_core.events import Entry
from tcpchat_core.names import GUEST_PREFIX
from tcpchat_core.notices import Notice, Sent, Told
from tcpchat_core.state import accounts, moderation, naming, rights
from tcpchat_core.state.refusals import ACCOUNTS_ONLY, not_in_room, rejected
from tcpchat_core.state.tables import Person, Tables


def connect(tables: Tables, entry: Entry, event: events.Connect, earlier: str = "") -> list[Action]:
    """Somebody is here: a device of an account, or else a guest. A session that is another's
    already cannot be had. `earlier` is one that is over, and that it has asked for.
    """
    conn, session, origin, device = entry.conn, event.session, event.origin, event.device
    if session in tables.sessions:  # a secret that is not one names nobody
        session = ""
    person = Person(conn, "", "", session, origin)
    person.name, person.user = event.name, event.user
    account = person.account = tables.devices.get(device)
    if tables.rules is not None and (
        refused := rights.may_not_come(tables, person, earlier, entry.at)
    ):
        tables.turn_away(conn)
        closing = notices.Closing(refused[1])
        return [rejected(person, *refused, "hello"), Send[Notice](conn, closing), Close(conn)]
    person.number = entry.number
    tables.people[conn] = person
    if session:
        tables.sessions[session] = person
    if account is not None:
        _lose_name_if_muted(tables, person, entry.at)
        return [
            *accounts.come(tables, person, account, device),
            Send(conn, notices.Welcome(person.nick, tables.epoch, account=account.nick)),
            *accounts.says_of_itself(person, name=event.name),
            *rights.taken_for_another(tables, None, person, entry.at),
            *accounts.arrive(tables, person, entry.at),
        ]
    person.nick = person.key = tables.take_guest_nick()
    tables.take_nick(person)
    actions: list[Action] = [Send(conn, notices.Welcome(person.nick, tables.epoch))]
    if tables.rules is not None:
        actions += rights.taken_for_another(tables, None, person, entry.at)
        _lose_name_if_muted(tables, person, entry.at)
    actions += accounts.says_of_itself(person, name=event.name)
    if device:
        actions.append(accounts.is_unknown(person, "hello"))
    return actions


def _lose_name_if_muted(tables: Tables, person: Person, at: int) -> None:
    """Who may say nothing has no real name either."""
    if rights.may_not_say_anything(tables, person, at):
        person.name = ""


def nick(tables: Tables, person: Person, event: events.Nick, _at: int) -> list[Action]:
    """Take another nick, unless somebody has it."""
    if person.account is not None and event.key != person.key:
        text = f"you are here as {person.account.nick}; only a guest takes another nickname"
        return [rejected(person, "nick-owned", text, "nick")]
    if rights.is_guest_where_none_talk(tables, person):
        return [rejected(person, "no-right", ACCOUNTS_ONLY, "nick")]
    holder = tables.nicks.get(event.key)
    if holder is not None and holder.id != person.id:
        text = f"the nickname {holder.nick} is taken"
        return [rejected(person, "nick-in-use", text, "nick")]
    if person.account is None and event.key in tables.accounts:
        text = f"the nickname {event.nick} is somebody's own; choose another"
        return [rejected(person, "nick-owned", text, "nick")]
    if event.key.startswith(GUEST_PREFIX):  # only `connect` gives these
        text = f"the nickname {event.nick} is reserved; choose another"
        return [rejected(person, "reserved-name", text, "nick")]
    if person.account is not None:  # its own nick, written in another way
        person.account.nick = event.nick
    return naming.rename(tables, person, event.nick, event.key)


def away(tables: Tables, person: Person, event: events.Away, at: int) -> list[Action]:
    """Be away, or back. Why somebody is away is a line that its rooms hear: not those where it
    could not say one.
    """
    if rights.is_guest_where_none_talk(tables, person):
        return [rejected(person, "no-right", ACCOUNTS_ONLY, "away")]
    text = event.text
    if text and (refused := rights.may_not_say_anything(tables, person, at)):
        return [rejected(person, *refused, "away")]
    own = notices.AwaySet(person.nick, text, own=True)
    if text == person.away_text:
        return [Send(person.conn, own)]
    for each in person.everywhere:
        each.away_text = text
    return _hear(tables, person, text, notices.AwaySet(person.nick, text), own=own, at=at)


def set_name(tables: Tables, person: Person, event: events.SetName, at: int) -> list[Action]:
    """Have another real name, which is a line as why somebody is away is one; and perhaps another
    user name, of which nobody is told who does not ask. Of a guest where only accounts talk nobody
    hears: it may be about to sign in.
    """
    name, user = event.name, event.user or person.user
    if name and (refused := rights.may_not_say_anything(tables, person, at)):
        return [rejected(person, *refused, "setname")]
    own, is_new = notices.NameSet(person.nick, name, own=True), name != person.name
    for each in person.everywhere:
        each.name, each.user = name, user
    if not is_new or rights.is_guest_where_none_talk(tables, person):
        return [Send(person.conn, own)]
    return _hear(tables, person, name, notices.NameSet(person.nick, name), own=own, at=at)


def _hear(
    tables: Tables, person: Person, text: str, told: Notice, *, own: Notice, at: int
) -> list[Action]:
    """Those who share a room hear what somebody says of itself, and it hears its `own`."""
    heard = [
        room for room in person.rooms.values() if rights.hears_of(tables, room, person, text, at)
    ]
    if not heard:
        return [Send(each.conn, own) for each in person.everywhere if not each.away]
    return naming.to_neighbours(person, told, own, heard)


def tell(tables: Tables, person: Person, event: events.Tell, at: int) -> list[Action]:
    """Say something to one person; who has a session is sent it again when it may be lost."""
    id = event.id
    if id is not None and person.receipts and id in person.receipts:
        return [Send(person.conn, person.receipts[id])]
    if rights.is_guest_where_none_talk(tables, person):
        return [rejected(person, "no-right", ACCOUNTS_ONLY, "tell", id)]
    if tables.rules is not None and (refused := rights.may_not_say_anything(tables, person, at)):
        return [rejected(person, *refused, "tell", id)]
    other = tables.nicks.get(event.key)
    if other is None:
        text = f"there is nobody called {event.nick}"
        return [rejected(person, "no-such-nick", text, "tell", id)]
    actions: list[Action] = []
    how = (event.notice, tables.seq, event.tags, person.account is not None)
    for each in other.everywhere:
        told = Told(person.nick, event.text, each.told + 1, at, "", *how)
        actions += _given(tables, each, told)
    if other.id != person.id:
        for each in person.everywhere:  # its other devices know what it has said
            if each is not person:
                nick, to, seq = person.nick, other.nick, each.told + 1
                told = Told(nick, event.text, seq, at, to, *how)
                actions += _given(tables, each, told)
    receipt = Sent(at, id, None, other.nick, None, other.away_text, tables.seq)
    if id is not None:
        person.remember(id, receipt, tables.limits)
    return [*actions, Send(person.conn, receipt)]


def signal(tables: Tables, person: Person, event: events.Signal, at: int) -> list[Action]:
    """Tell the programs of a room something, or of one person, if it is there: who may say nothing
    may not do that either.
    """
    if rights.is_guest_where_none_talk(tables, person):
        return [rejected(person, "no-right", ACCOUNTS_ONLY, "signal")]
    if not event.nick_key:
        return _signal_room(tables, person, event, at)
    if refused := rights.may_not_say_anything(tables, person, at):
        return [rejected(person, *refused, "signal")]
    other = tables.nicks.get(event.nick_key)
    if other is None:
        text = f"there is nobody called {event.nick}"
        return [rejected(person, "no-such-nick", text, "signal")]
    told = notices.Signalled("", person.nick, event.tags, at, "", tables.seq)
    own = msgspec.structs.replace(told, to=other.nick)
    others = (
        [] if other.id == person.id else [each for each in person.everywhere if each is not person]
    )
    return [
        *[Send[Notice](each.conn, told) for each in other.everywhere if not each.away],
        *[Send[Notice](each.conn, own) for each in others if not each.away],
        Send(person.conn, own),
    ]


def _signal_room(tables: Tables, person: Person, event: events.Signal, at: int) -> list[Action]:
    room = person.rooms.get(event.key)
    if room is None:
        return [Send(person.conn, not_in_room("signal", event.room))]
    if refused := rights.may_not_signal(tables, room, person, at):
        return [rejected(person, *refused, "signal")]
    told = notices.Signalled(room.name, person.nick, event.tags, at, "", tables.seq)
    return [Broadcast(room.audience, told, person.conn, told)]


def _given(tables: Tables, person: Person, told: Told) -> list[Action]:
    person.told = told.seq
    if person.session:
        person.keep(told, tables.limits)
    return [] if person.away else [Send(person.conn, told)]


def quit_(tables: Tables, person: Person, event: events.Quit, at: int) -> list[Action]:
    """Say goodbye: it is over at once, also for a session."""
    bye = Send[Notice](person.conn, notices.Closing("bye"))
    # Last words are words: who may say nothing has none.
    reason = "" if rights.is_silenced(tables, person, at) else event.reason
    return [*depart(tables, person, reason), bye, Close(person.conn)]


def nothing(_tables: Tables, _person: Person, _event: events.Event, _at: int) -> list[Action]:
    """What an event does that cannot be of somebody who is here."""
    return []


def depart(tables: Tables, person: Person, reason: str) -> list[Action]:
    """Somebody is gone for good: neighbours are told, and all that was theirs is free."""
    account = person.account
    if account is not None and len(account.present) > 1:
        actions = accounts.go(tables, person)
    else:
        actions = naming.to_neighbours(person, notices.Gone(person.nick, reason), None)
        rooms = list(person.rooms.values())
        if not person.away:
            actions += [Leave(room.audience, person.conn) for room in rooms]
        for room in rooms:
            tables.leave(person, room)
        actions += [action for room in rooms for action in moderation.unattended(room)]
        tables.free_nick(person)
        if account is not None:
            account.present.clear()
    tables.sessions.pop(person.session, None)
    if person.away:
        tables.away.pop(person.session, None)  # not there yet, when it was lost just now
    else:
        tables.disconnect(person)
    return actions
