"""What happens in rooms: joining, saying, topics, leaving.

Every function is a row of the table in `__init__`: the tables, whose event it is, the event, and
the time of its entry in ms since the epoch; it returns what is to be done.
"""

from __future__ import annotations

import msgspec

from tcpchat_core import events, notices
from tcpchat_core.effects import Action, Broadcast, Enter, Leave, Send
from tcpchat_core.events import Entry
from tcpchat_core.names import REPLY_TAGS
from tcpchat_core.notices import Said, Sent
from tcpchat_core.state import moderation, naming, rights
from tcpchat_core.state.refusals import ACCOUNTS_ONLY, not_in_room, rejected
from tcpchat_core.state.tables import LIMITS, Mark, Person, Room, StateLimits, Tables


def say(tables: Tables, person: Person, event: events.Say, at: int) -> list[Action]:
    """A message gets the room's next number; its author the receipt in the same place."""
    room, id = person.rooms.get(event.key), event.id
    if id is not None and person.receipts and id in person.receipts:
        return [Send(person.conn, person.receipts[id])]
    if room is None:
        return [Send(person.conn, not_in_room("say", event.room, id))]
    if person.account is None and not tables.limits.guests:
        return [rejected(person, "no-right", ACCOUNTS_ONLY, "say", id)]
    answered = None
    if event.re is not None or event.back:  # which is seldom
        answered = _answered(room, person, event)
        # A program that says it by a tag means well: what it cannot name it does not answer.
        if answered is None and (event.tags is None or event.tags.keys().isdisjoint(REPLY_TAGS)):
            text = f"there is no such message in {room.name} that could be answered"
            return [rejected(person, "no-such-message", text, "say", id)]
    if (room.rules is not None or tables.rules is not None) and (
        refused := rights.may_not_speak(tables, room, person, at)
    ):
        return [rejected(person, *refused, "say", id)]
    room.seq = seq = room.seq + 1
    emote, notice, tags = event.emote, event.notice, event.tags
    by_account = person.account is not None
    said = Said(
        room.name, person.nick, event.text, seq, at, emote, None, False, notice, tags, by_account
    )
    if answered is None:
        room.keep(said, tables.limits)
    else:
        said = room.keep_answer(msgspec.structs.replace(said, re=answered), tables.limits)
    receipt = Sent(at, id, room.name, None, seq)
    if id is not None:
        person.remember(id, receipt, tables.limits)
    return [Broadcast(room.audience, said, person.conn, receipt)]


def _answered(room: Room, person: Person, event: events.Say) -> int | None:
    """The number of the message that somebody answers, who may be shown it no more; None when there
    is none.
    """
    if event.re is not None:
        return event.re if room.born < event.re <= room.seq else None
    others = [
        each.seq
        for each in room.between(room.floor, room.seq + 1)
        if not (each.redacted or room.has_said(person, each))
    ]
    return others[-event.back] if 0 < event.back <= len(others) else None


def join(tables: Tables, person: Person, event: events.Join, at: int) -> list[Action]:
    """Enter a room, or make it. Who is in it already is told so, and nobody else is."""
    limits = tables.limits
    if rights.is_guest_where_none_talk(tables, person):
        return [rejected(person, "no-right", ACCOUNTS_ONLY, "join")]
    room = person.rooms.get(event.key) or tables.rooms.get(event.key)
    if room is None or room.key not in person.rooms:
        if len(person.rooms) >= limits.rooms_per_person:
            text = f"you are in {len(person.rooms)} rooms; /out of one before you join another"
            return [rejected(person, "too-many-rooms", text, "join")]
        if room is None and len(tables.rooms) >= limits.rooms:
            text = f"the server has all the {len(tables.rooms)} rooms it can hold; join one of them"
            return [rejected(person, "rooms-full", text, "join")]
    if room is None:
        room = tables.rooms[event.key] = Room(event.room, event.key, tables.seq)
        if event.roles:
            room.moderators = (person.id,)
    if room.key in person.rooms:
        return [Send(person.conn, entered(tables, room, person, at, again=True))]
    more: list[Action] = []
    if room.rules is not None:
        if refused := rights.may_not_enter(tables, room, person, event.code, at):
            return [rejected(person, *refused, "join")]
        more = rights.taken_for_another(tables, room, person, at)
    room.add(person, speaks=event.roles)
    account = person.account.nick if person.account is not None else ""
    name = person.name and rights.name_for(tables, room, person, at)
    joined = notices.Joined(room.name, person.nick, room.seq, at, account, name)
    told = entered(tables, room, person, at)
    actions: list[Action] = [
        Enter(room.audience, person.conn),
        Broadcast(room.audience, joined, person.conn, told),
        *more,
    ]
    if person.away_text and rights.hears_of(tables, room, person, person.away_text, at):
        away = notices.AwaySet(person.nick, person.away_text)
        actions.append(Broadcast(room.audience, away, person.conn, None))
    if person.account is not None:
        for each in person.account.present:
            if each is not person and not each.away:
                actions += [Send(each.conn, told), Enter(room.audience, each.conn)]
    return actions


def topic(tables: Tables, person: Person, event: events.Topic, at: int) -> list[Action]:
    """Set the topic of a room, or clear it."""
    room = person.rooms.get(event.key)
    if room is None:
        return [Send(person.conn, not_in_room("topic", event.room))]
    if rights.is_guest_where_none_talk(tables, person):
        return [rejected(person, "no-right", ACCOUNTS_ONLY, "topic")]
    is_locked = room.rules is not None and room.rules.topic_locked
    if is_locked and not room.is_moderated_by(person):
        text = f"only who moderates {room.name} sets its topic"
        return [rejected(person, "no-right", text, "topic")]
    if (room.rules is not None or tables.rules is not None) and (
        refused := rights.may_not_speak(tables, room, person, at)
    ):
        return [rejected(person, *refused, "topic")]
    room.topic, room.topic_nick, room.topic_at = event.topic or "", person.nick, at
    told = notices.TopicSet(room.name, room.topic, person.nick, room.seq, at)
    return [Broadcast(room.audience, told, person.conn, told)]


def out(tables: Tables, person: Person, event: events.Out, at: int) -> list[Action]:
    """Leave a room: all who were there hear of it, the leaver too."""
    room = person.rooms.get(event.key)
    if room is None:
        return [Send(person.conn, not_in_room("out", event.room))]
    # Last words are words, and count as a line: who may not say one has none.
    reason = event.reason
    if reason and (
        rights.is_guest_where_none_talk(tables, person)
        or rights.may_not_speak(tables, room, person, at)
    ):
        reason = ""
    tables.leave(person, room)
    left = notices.Left(room.name, person.nick, reason=reason)
    own = notices.Left(room.name, person.nick, own=True, reason=reason)
    here = [each.conn for each in person.everywhere if not each.away]
    return [
        *naming.to_room(room, person, left, own),
        *(Leave(room.audience, conn) for conn in here),
        *moderation.unattended(room),
    ]


def read(tables: Tables, person: Person, event: events.Read, at: int) -> list[Action]:
    """Remember how far somebody has read, and tell its other devices. Who has named a time is told
    up to where that is: it may have been further before.
    """
    room = person.rooms.get(event.key)
    if room is None:
        return [Send(person.conn, not_in_room("read", event.room))]
    if person.account is None and not event.marks:
        return []
    before = person.mark(room)
    mark = _mark(room, before, event, at)
    told = notices.ReadUpTo(room.name, *mark)
    actions: list[Action] = [Send(person.conn, told)] if event.at is not None else []
    if mark != before:
        person.read(room, mark, tables.limits)
        others = [each for each in person.everywhere if each is not person and not each.away]
        actions += [Send(each.conn, told) for each in others]
    return actions


def _mark(room: Room, mark: Mark, event: events.Read, at: int) -> Mark:
    """How far somebody has read now: never less far than before, and nothing that is to come."""
    seq, when = mark
    if event.at is not None:
        when = max(when, min(event.at, at))
        seq = max(seq, room.number_at(when))
    if event.seq is not None and max(seq, room.born) < event.seq <= room.seq:
        seq = event.seq
        said = room.message(seq) if event.marks and seq > room.floor else None
        when = max(when, said.at if said is not None else 0)
    return Mark(seq, when)


def configured(limits: StateLimits, event: events.Configure) -> StateLimits:
    """The bounds, where the owner has set them."""
    known = {name: event.limits[name] for name in LIMITS if name in event.limits}
    return msgspec.structs.replace(limits, **known)


def configure(tables: Tables, _entry: Entry, event: events.Configure) -> list[Action]:
    """Other bounds, and other rooms that always exist. Nobody is told."""
    tables.limits = configured(tables.limits, event)
    standing = dict.fromkeys([key for _, key in event.rooms])
    for name, key in event.rooms:
        room = tables.rooms.get(key)
        if room is None:
            room = tables.rooms[key] = Room(name, key, tables.seq)
        room.standing = True
    for room in [room for room in tables.rooms.values() if room.standing]:
        if room.key not in standing:
            room.standing = False
            tables.sweep(room)
    return []


def forget(tables: Tables, _entry: Entry, event: events.Forget) -> list[Action]:
    """What was said before some time is kept no longer."""
    tables.forget(event.before)
    return []


def entered(
    tables: Tables, room: Room, person: Person, at: int, *, again: bool = False
) -> notices.Entered:
    """What who is in a room now is told of it."""
    limits, mark = tables.limits, person.mark(room)
    return notices.Entered(
        room.name,
        room.first_nicks(limits.entered_members),
        len(room.members),
        room.seq,
        at,
        room.topic,
        room.messages(None, 0 if again else limits.entered_history),
        again,
        room.moderator_nicks(),
        *rights.mode_fields(room),
        mark.seq,
        room.topic_nick,
        room.topic_at,
        mark.at,
    )
