"""Who may do what in a room: rights, and what restricts those who have none.

Rule 1: Who makes a room moderates it, for as long as it is a member (also across a connection that
        is lost and resumed), and may let others do so. A room that was configured has no moderator
        by that. When the last one leaves, nobody follows: what is restricted stays so until its
        end, or until the room is empty and all of that is gone. But then everybody may speak: who
        else should let them?

Rule 2: Only a moderator restricts, and no moderator is restricted: its role is taken first.

Rule 3: A restriction ends by the time of entries: it is in force while `at < until`. Whom it is
        for is said by `restrictions`: who somebody is, and for those who come in also where from.

Rule 4: Who may not do something is told why, each time; nothing is dropped in silence. A
        restriction itself is told to the room once, and to whom it is for with its end: also when
        a session is resumed that was away.

Rule 5: What is said in a private room is for those who are in it, and for those who are let in
        later. That it exists is no secret: nobody else can make a room of its name. When it is
        opened again, what was said until then is not for those who come in from then on.

Rule 6: Who is put out of a room is told nothing of it from that entry on, on no connection.

The functions that are rows of the table in `__init__` take the tables, whose event it is, the
event, and the time of its entry in ms since the epoch.
"""

from __future__ import annotations

from typing import Final, TypeAlias

import msgspec

from tcpchat_core import events, notices
from tcpchat_core.durations import shown_duration
from tcpchat_core.effects import Action, Broadcast, Leave, Send
from tcpchat_core.notices import Notice, Reason, Rejected
from tcpchat_core.state import naming
from tcpchat_core.state.refusals import not_in_room, rejected
from tcpchat_core.state.restrictions import Restriction, Restrictions
from tcpchat_core.state.tables import Person, Room, Rules, StateLimits, Tables

# Why something may not be done: for programs, and for people.
Refusal: TypeAlias = tuple[Reason, str]

# What is aimed at somebody in a room.
_Aimed: TypeAlias = events.Kick | events.Restrict | events.Lift | events.Role
_OfModerators: TypeAlias = _Aimed | events.Restrictions | events.RoomMode | events.Invite

# The author of what nobody does: no connection has this number.
_NOBODY: Final = -1

_DONE: dict[str, str] = {"ban": "banned from", "mute": "muted in"}


# ── What a restriction keeps people from; asked only where a room has rules ──────────────────


def may_not_speak(tables: Tables, room: Room, person: Person, at: int) -> Refusal | None:
    """Why somebody may not say anything in a room with rules; None when it does."""
    refused = _silenced(room, person, at)
    rules = room.rules
    if refused is not None or rules is None or not rules.slow_ms or person.id in room.moderators:
        return refused
    spoke, slow_ms = rules.spoke, rules.slow_ms
    wait_ms = spoke.get(person.bearer, at - slow_ms) + slow_ms - at
    if wait_ms > 0:
        how_often = f"in {room.name} one speaks once in {shown_duration(slow_ms)}"
        return "slow", f"{how_often}; wait another {shown_duration(wait_ms)}"
    spoke.pop(person.bearer, None)
    spoke[person.bearer] = at
    while len(spoke) > tables.limits.restrictions or next(iter(spoke.values())) + slow_ms <= at:
        del spoke[next(iter(spoke))]
    return None


def _silenced(room: Room, person: Person, at: int) -> Refusal | None:
    """Why somebody may say nothing in a room at all; None when it may say something."""
    rules = room.rules
    if rules is None or person.id in room.moderators:
        return None
    if rules.moderated:
        return "muted", f"only who moderates {room.name} speaks there now"
    mute = rules.mutes.of(person.bearer, at)
    _forget_rules(room)
    return None if mute is None else ("muted", _refused("muted in", room, mute.until - at))


def may_not_enter(tables: Tables, room: Room, person: Person, code: str, at: int) -> Refusal | None:
    """Why somebody may not come into a room with rules; None when it may. `code` is a hash."""
    rules = room.rules
    assert rules is not None, "it is asked only where there are some"
    bans = [rules.bans.of(bearer, at) for bearer in person.bearers]
    ban = next(filter(None, bans), None) or rules.bans.of_origin(_origin(person), at)
    if ban is not None:
        return "banned", _refused("banned from", room, ban.until - at)
    if rules.private and not _is_invited(rules, person, code, at):
        return "private", f"{room.name} is private; who moderates it can invite you"
    mute = rules.mutes.of_origin(_origin(person), at)
    if mute is not None and not _has_place(rules.mutes, at, tables.limits):
        # It could not be told from who is muted once it is in.
        return "muted", _refused("muted in", room, mute.until - at)
    _forget_rules(room)
    return None


def _is_invited(rules: Rules, person: Person, code: str, at: int) -> bool:
    return at < rules.invited.get(person.bearer, at) or at < rules.codes.get(code, at)


def taken_for_another(room: Room, person: Person, at: int) -> list[Action]:
    """Who comes into a room with rules, from where somebody came who is muted there, is muted."""
    rules = room.rules
    if rules is None:
        return []
    mute = rules.mutes.of_origin(_origin(person), at)
    if mute is not None and rules.mutes.of(person.bearer, at) is None:
        rules.mutes.add(
            msgspec.structs.replace(
                mute, bearer=person.bearer, nick=person.nick, nick_key=person.key
            )
        )
    told = own_mute(room, person, at)
    return [] if told is None else [Send(person.conn, told)]


def own_mute(room: Room, person: Person, at: int) -> Notice | None:
    """What tells somebody that it is muted in a room; None when it is not."""
    mute = None if room.rules is None else room.rules.mutes.of(person.bearer, at)
    if mute is None:
        return None
    return notices.Restricted(
        room.name, person.nick, "mute", mute.until, mute.by, at, mute.reason, own=True
    )


def goes_by(room: Room, bearer: str, person: Person) -> None:
    """What is in force for somebody is so, too, now that it goes by another word."""
    rules = room.rules
    if rules is None:
        return
    if (mute := rules.mutes.made_of(bearer)) is not None:
        rules.mutes.add(
            msgspec.structs.replace(
                mute, bearer=person.bearer, nick=person.nick, nick_key=person.key
            )
        )
    if (spoke := rules.spoke.pop(bearer, None)) is not None:
        rules.spoke[person.bearer] = spoke
        rules.spoke = dict(sorted(rules.spoke.items(), key=lambda each: each[1]))


def _origin(person: Person) -> str:
    """Where somebody comes from, if it may be taken for others who come from there: a guest."""
    return person.origin if person.account is None else ""


def is_silenced(person: Person, at: int) -> bool:
    """Whether somebody may say nothing in a room that it is in, and that would hear it."""
    return any(_silenced(room, person, at) for room in person.rooms.values())


def _refused(what: str, room: Room, ms: int) -> str:
    return f"you are {what} {room.name} for another {shown_duration(ms)}"


# ── What moderators do ───────────────────────────────────────────────────────────────────────


def kick(tables: Tables, person: Person, event: events.Kick, at: int) -> list[Action]:
    """Put somebody out of a room."""
    room = _moderated(person, event, "kick")
    if isinstance(room, Rejected):
        return [Send(person.conn, room)]
    target = _member(tables, room, event, "kick")
    if isinstance(target, Rejected):
        return [Send(person.conn, target)]
    left = notices.Left(room.name, target.nick, by=person.nick, reason=event.reason, at=at)
    return _put_out(tables, room, target, left)


def restrict(tables: Tables, person: Person, event: events.Restrict, at: int) -> list[Action]:
    """Ban somebody from a room, which puts it out, or mute it there."""
    room = _moderated(person, event, "restrict")
    if isinstance(room, Rejected):
        return [Send(person.conn, room)]
    target = tables.nicks.get(event.nick_key)
    if target is None and event.what == "ban":
        text = f"there is nobody called {event.nick}"
        return [rejected(person, "no-such-nick", text, "restrict")]
    if target is None or event.what == "mute" or room.key in target.rooms:
        member = _member(tables, room, event, "restrict")
        if isinstance(member, Rejected):
            return [Send(person.conn, member)]
        target = member
    limits = tables.limits
    usual_ms = limits.ban_ms if event.what == "ban" else limits.mute_ms
    until = at + max(1, min(event.ms or usual_ms, limits.restriction_ms))
    rules = room.rules = room.rules or Rules()
    table = rules.of(event.what)
    if table.of(target.bearer, at) is None and not _has_place(table, at, limits):
        text = f"{room.name} has as many {event.what}s as it can hold: {len(table)}"
        return [rejected(person, "too-many", text, "restrict")]
    table.add(
        Restriction(
            target.bearer, target.origin, target.nick, target.key, until, person.nick, event.reason
        )
    )
    if event.what == "ban" and room.key in target.rooms:
        left = notices.Left(
            room.name, target.nick, by=person.nick, reason=event.reason, at=at, until=until
        )
        return _put_out(tables, room, target, left)
    told = notices.Restricted(
        room.name, target.nick, event.what, until, person.nick, at, event.reason
    )
    if event.what == "ban":
        return [Broadcast(room.audience, told, person.conn, told)]
    return naming.to_room(room, target, told, msgspec.structs.replace(told, own=True))


def lift(tables: Tables, person: Person, event: events.Lift, at: int) -> list[Action]:
    """End the bans or mutes of who is called so, or was when they were made."""
    room = _moderated(person, event, "lift")
    if isinstance(room, Rejected):
        return [Send(person.conn, room)]
    holder = tables.nicks.get(event.nick_key)
    bearer = holder.bearer if holder is not None else ""
    found: list[Restriction] = []
    if room.rules is not None:
        table = room.rules.of(event.what)
        found = table.named(event.nick_key, bearer, at)
        for each in found:
            table.lift(each)
        _forget_rules(room)
    if not found:
        text = f"{event.nick} is not {_DONE[event.what]} {room.name}"
        return [rejected(person, "no-such-nick", text, "lift")]
    told = notices.Lifted(room.name, found[0].nick, event.what, person.nick)
    bearers = [each.bearer for each in found]
    for member in room.members.values():
        if member.bearer in bearers:
            told = msgspec.structs.replace(told, nick=member.nick)
            return naming.to_room(room, member, told, msgspec.structs.replace(told, own=True))
    return [Broadcast(room.audience, told, person.conn, told)]


def role(tables: Tables, person: Person, event: events.Role, _at: int) -> list[Action]:
    """Let somebody moderate a room, or no more."""
    room = _moderated(person, event, "role")
    if isinstance(room, Rejected):
        return [Send(person.conn, room)]
    target = tables.nicks.get(event.nick_key)
    if target is None or room.key not in target.rooms:
        return [rejected(person, "no-such-nick", _not_there(room, event), "role")]
    others = tuple([id for id in room.moderators if id != target.id])
    if event.role == "member":
        room.moderators = others
    elif target.id not in room.moderators:
        if len(others) >= tables.limits.moderators:
            text = f"{room.name} has as many moderators as it can have: {len(others)}"
            return [rejected(person, "too-many", text, "role")]
        room.moderators = (*others, target.id)
    told = notices.RoleSet(room.name, target.nick, event.role, person.nick)
    return [Broadcast(room.audience, told, person.conn, told), *unattended(room)]


def mode(tables: Tables, person: Person, event: events.RoomMode, _at: int) -> list[Action]:
    """Set how one talks in a room, and who may come in."""
    room = _moderated(person, event, "mode")
    if isinstance(room, Rejected):
        return [Send(person.conn, room)]
    rules = room.rules = room.rules or Rules()
    if event.slow_ms is not None:
        rules.slow_ms = max(0, min(event.slow_ms, tables.limits.slow_ms))
        rules.spoke.clear()
    if event.moderated is not None:
        rules.moderated = event.moderated
    if event.private is not None:
        # Also when it was so before: what was given out is worth nothing any more.
        rules.invited.clear()
        rules.codes.clear()
        if rules.private and not event.private:
            room.opened = room.seq
        rules.private = event.private
    told = _mode_of(room, person.nick)
    _forget_rules(room)
    return [Broadcast(room.audience, told, person.conn, told)]


def invite(tables: Tables, person: Person, event: events.Invite, at: int) -> list[Action]:
    """Invite somebody, or whoever has a code."""
    room = _moderated(person, event, "invite")
    if isinstance(room, Rejected):
        return [Send(person.conn, room)]
    limits = tables.limits
    rules = room.rules = room.rules or Rules()
    target = tables.nicks.get(event.nick_key) if event.nick else None
    if event.nick and target is None:
        text = f"there is nobody called {event.nick}"
        return [rejected(person, "no-such-nick", text, "invite")]
    table = rules.codes if target is None else rules.invited
    word = event.code_hash if target is None else target.bearer
    for each in [each for each, until in table.items() if until <= at or each == word]:
        del table[each]
    if len(table) >= limits.invitations:
        text = f"{room.name} has as many invitations as it can hold; /private on takes them back"
        return [rejected(person, "too-many", text, "invite")]
    until = table[word] = at + limits.invitation_ms
    told = notices.Invited(room.name, person.nick, until, at, target.nick if target else "")
    actions: list[Action] = [Send(person.conn, told)]
    if target is not None and target.id != person.id:
        actions += [Send(each.conn, told) for each in target.everywhere if not each.away]
    return actions


def redact(tables: Tables, person: Person, event: events.Redact, at: int) -> list[Action]:
    """Take a message back: it keeps its number, and nothing else of it is kept."""
    room = person.rooms.get(event.key)
    if room is None:
        return [Send(person.conn, not_in_room("redact", event.room))]
    is_moderator = person.id in room.moderators
    holder = tables.nicks.get(event.nick_key) if event.nick else person
    there = [each for each in reversed(room.history) if not each.redacted]
    if event.seq:
        said = room.message(event.seq)
        is_own = said is not None and room.has_said(person, said)
    elif holder is not None and holder.id == person.id:
        said, is_own = next((each for each in there if room.has_said(person, each)), None), True
    else:
        nick = event.nick if holder is None else holder.nick
        said, is_own = next((each for each in there if each.nick == nick), None), False
    if not (is_own or is_moderator):
        text = f"only who moderates {room.name} may take back what others say"
        return [rejected(person, "no-right", text, "redact")]
    seq = event.seq if said is None else said.seq
    if not room.born < seq <= room.seq:
        text = f"there is no such message in {room.name}"
        return [rejected(person, "no-such-message", text, "redact")]
    if said is not None:
        room.redact(said)
    author = said.nick if said is not None else ""
    redacted = notices.Redacted(room.name, seq, person.nick, at, author)
    return [Broadcast(room.audience, redacted, person.conn, redacted)]


def unattended(room: Room) -> list[Action]:
    """What only moderators end, ends when the last of them has left."""
    rules = room.rules
    if rules is None or room.moderators or not rules.moderated or not room.members:
        return []
    rules.moderated = False
    told = _mode_of(room, "")
    _forget_rules(room)
    return [Broadcast(room.audience, told, _NOBODY, None)]


def mode_fields(room: Room) -> tuple[int, bool, bool]:
    """How one talks in a room and who may come in, as who is in is told."""
    rules = room.rules
    return (0, False, False) if rules is None else (rules.slow_ms, rules.moderated, rules.private)


def _mode_of(room: Room, by: str) -> notices.ModeSet:
    return notices.ModeSet(room.name, by, *mode_fields(room))


def restrictions(
    _tables: Tables, person: Person, event: events.Restrictions, at: int
) -> list[Action]:
    """Tell a moderator who is kept from what: bans, then mutes, each in the order of being made.

    It is an entry, because only an entry tells the time by which one is over.
    """
    room = _moderated(person, event, "restrictions")
    if isinstance(room, Rejected):
        return [Send(person.conn, room)]
    rules = room.rules or Rules()
    kinds: tuple[events.Restraint, ...] = ("ban", "mute")
    rows = [
        notices.RestrictionInfo(each.nick, what, each.until, each.by, each.reason)
        for what in kinds
        for each in rules.of(what).all()
        if at < each.until
    ]
    return [Send(person.conn, notices.RestrictionList(room.name, tuple(rows), at))]


# ── Inside ───────────────────────────────────────────────────────────────────────────────────


def _moderated(person: Person, event: _OfModerators, request: str) -> Room | Rejected:
    """The room that an event is about, if it is this person's to moderate."""
    room = person.rooms.get(event.key)
    if room is None:
        return not_in_room(request, event.room)
    if person.id not in room.moderators:
        return Rejected("no-right", f"only who moderates {room.name} may do that", request)
    return room


def _member(tables: Tables, room: Room, event: _Aimed, request: str) -> Person | Rejected:
    """Whom an event is aimed at, if it is in the room and is no moderator."""
    target = tables.nicks.get(event.nick_key)
    if target is None or room.key not in target.rooms:
        return Rejected("no-such-nick", _not_there(room, event), request)
    if target.id in room.moderators:
        text = f"{target.nick} moderates {room.name}; /unmod {target.nick} first"
        return Rejected("no-right", text, request)
    return target


def _not_there(room: Room, event: _Aimed) -> str:
    return f"there is nobody called {event.nick} in {room.name}"


def _put_out(tables: Tables, room: Room, target: Person, left: notices.Left) -> list[Action]:
    """Somebody is no member any more: all who were there hear of it, and it hears nothing else."""
    own = msgspec.structs.replace(left, own=True)
    tables.leave(target, room)
    if room.rules is not None:
        room.rules.invited.pop(target.bearer, None)
    for each in target.everywhere:
        each.remember_put_out(room, own, tables.limits)
    here = [each.conn for each in target.everywhere if not each.away]
    return [
        *naming.to_room(room, target, left, own),
        *(Leave(room.audience, conn) for conn in here),
    ]


def _has_place(table: Restrictions, at: int, limits: StateLimits) -> bool:
    """Whether one more may be made; what is over makes place."""
    if len(table) >= limits.restrictions:
        table.sweep(at)
    return len(table) < limits.restrictions


def _forget_rules(room: Room) -> None:
    """A room in which nothing is restricted any more has no rules."""
    if room.rules is not None and room.rules.are_none:
        room.rules = None
