"""What restrictions keep people from, in one room and on the whole server.

It is asked only where something is restricted: a room without rules has none, and so has the
server. Who looks after the server is kept from nothing, so that nobody can lock it out; and what
it was kept from before is over.

Rule 1: A restriction is in force by the time of entries: while `at < until`. Whom it is for is said
        by `restrictions`: who somebody is, and for guests who come in also where from.

Rule 2: Who may not do something is told why, each time; nothing is dropped in silence. A mute is
        told once to whom it is for, with its end: also when a session is resumed that was away.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, TypeAlias

import msgspec

from tcpchat_core import notices
from tcpchat_core.durations import shown_duration
from tcpchat_core.effects import Action, Send
from tcpchat_core.notices import Notice, Reason
from tcpchat_core.state.restrictions import Restriction, Restrictions
from tcpchat_core.state.tables import Account, Person, Room, Rules, Tables

# Why something may not be done: for programs, and for people.
Refusal: TypeAlias = tuple[Reason, str]


# ── Speaking ─────────────────────────────────────────────────────────────────────────────────


def may_not_speak(tables: Tables, room: Room, person: Person, at: int) -> Refusal | None:
    """Why somebody may not say anything in a room; None when it may."""
    refused = may_not_signal(tables, room, person, at)
    rules = room.rules
    if refused is not None or rules is None or not rules.slow_ms or room.is_moderated_by(person):
        return refused
    spoke, slow_ms = rules.spoke, rules.slow_ms
    spoke.pop(person.bearer, None)
    spoke[person.bearer] = at
    while len(spoke) > tables.limits.restrictions or next(iter(spoke.values())) + slow_ms <= at:
        del spoke[next(iter(spoke))]
    return None


def may_not_signal(tables: Tables, room: Room, person: Person, at: int) -> Refusal | None:
    """The same, of what is no line: it does not count as one that was said."""
    refused = _silenced(tables, room, person, at)
    rules = room.rules
    if refused is not None or rules is None or not rules.slow_ms or room.is_moderated_by(person):
        return refused
    slow_ms = rules.slow_ms
    wait_ms = rules.spoke.get(person.bearer, at - slow_ms) + slow_ms - at
    if wait_ms <= 0:
        return None
    how_often = f"in {room.name} one speaks once in {shown_duration(slow_ms)}"
    return "slow", f"{how_often}; wait another {shown_duration(wait_ms)}"


def may_not_say_anything(tables: Tables, person: Person, at: int) -> Refusal | None:
    """Why somebody may say nothing to anybody; None when it may."""
    rules = tables.rules
    if rules is None or person.is_admin:
        return None
    mute = rules.mutes.of(person.bearer, at)
    forget_server_rules(tables)
    return None if mute is None else ("muted", _refused("muted on", "this server", mute, at))


def hears_of(tables: Tables, room: Room, person: Person, text: str, at: int) -> bool:
    """Whether a room hears what somebody says of itself, as why it is away: where it may say a
    line, which this is. Nothing ("") is no line.
    """
    if not text or (room.rules is None and tables.rules is None):
        return True
    return may_not_speak(tables, room, person, at) is None


def name_for(tables: Tables, room: Room, person: Person, at: int) -> str:
    """The real name of somebody who comes into a room, as that is told: none where it may say
    nothing.
    """
    return "" if _silenced(tables, room, person, at) else person.name


def is_silenced(tables: Tables, person: Person, at: int) -> bool:
    """Whether somebody may say nothing in a room that it is in, and that would hear it."""
    if is_guest_where_none_talk(tables, person):
        return True
    return any(_silenced(tables, room, person, at) for room in person.rooms.values())


def is_guest_where_none_talk(tables: Tables, person: Person) -> bool:
    """Whether only accounts talk here, and somebody has none."""
    return person.account is None and not tables.limits.guests


def _silenced(tables: Tables, room: Room, person: Person, at: int) -> Refusal | None:
    """Why somebody may say nothing in a room at all; None when it may say something."""
    if tables.rules is not None and (refused := may_not_say_anything(tables, person, at)):
        return refused
    rules = room.rules
    if rules is None or room.is_moderated_by(person):
        return None
    if rules.moderated:
        return "muted", f"only who moderates {room.name} speaks there now"
    mute = rules.mutes.of(person.bearer, at)
    forget_rules(room)
    return None if mute is None else ("muted", _refused("muted in", room.name, mute, at))


# ── Coming in ────────────────────────────────────────────────────────────────────────────────


def may_not_enter(tables: Tables, room: Room, person: Person, code: str, at: int) -> Refusal | None:
    """Why somebody may not come into a room with rules; None when it may. `code` is a hash."""
    rules = room.rules
    assert rules is not None, "it is asked only where there are some"
    if person.is_admin:
        return None
    if ban := _ban(rules, person, at):
        return "banned", _refused("banned from", room.name, ban, at)
    if rules.private and not _is_let_in(room, rules, person, code, at):
        return "private", f"{room.name} is private; who moderates it can invite you"
    mute = rules.mutes.of_origin(_origin(person), at)
    if mute is not None and not has_place(rules.mutes, at, tables.limits.restrictions):
        # It could not be told from who is muted once it is in.
        return "muted", _refused("muted in", room.name, mute, at)
    forget_rules(room)
    return None


def _is_let_in(room: Room, rules: Rules, person: Person, code: str, at: int) -> bool:
    if room.is_moderated_by(person):  # of a room that is kept, while elsewhere
        return True
    if code and code == rules.secret:
        return True
    return at < rules.invited.get(person.bearer, at) or at < rules.codes.get(code, at)


def may_not_come(tables: Tables, person: Person, earlier: str, at: int) -> Refusal | None:
    """Why somebody may not be on the server at all, be it by a session that is over; None when it
    may.
    """
    rules = tables.rules
    if rules is None or person.is_admin:
        return None
    ban = _ban(rules, person, at) or rules.bans.of(earlier, at)
    if ban is None:
        mute = rules.mutes.of_origin(_origin(person), at)
        if mute is None or has_place(rules.mutes, at, tables.limits.server_restrictions):
            forget_server_rules(tables)
            return None
        return "muted", _refused("muted on", "this server", mute, at)
    return "banned", _refused("banned from", "this server", ban, at)


def may_not_become(tables: Tables, account: Account, at: int) -> Refusal | None:
    """Why nobody may come as an account; None when its owner may."""
    if tables.rules is None or account.is_admin:
        return None
    ban = tables.rules.bans.of(account.bearer, at)
    forget_server_rules(tables)
    if ban is None:
        return None
    text = f"{account.nick} is banned from this server for another {shown_duration(ban.until - at)}"
    return "banned", text


def _ban(rules: Rules, person: Person, at: int) -> Restriction | None:
    bans = rules.bans
    for bearer in person.bearers:
        if ban := bans.of(bearer, at):
            return ban
    return bans.of_origin(_origin(person), at)


def _origin(person: Person) -> str:
    """Where somebody comes from, if it may be taken for others who come from there: a guest."""
    return person.origin if person.account is None else ""


def _refused(what: str, where: str, restriction: Restriction, at: int) -> str:
    return f"you are {what} {where} for another {shown_duration(restriction.until - at)}"


# ── Mutes of those who come, and what they are told of them ──────────────────────────────────


def taken_for_another(tables: Tables, room: Room | None, person: Person, at: int) -> list[Action]:
    """A guest who comes into a room (None: onto the server), from where somebody came who is muted
    there, is muted.
    """
    rules = tables.rules if room is None else room.rules
    if rules is None:
        return []
    mute = rules.mutes.of_origin(_origin(person), at)
    if mute is not None and rules.mutes.of(person.bearer, at) is None:
        rules.mutes.add(_for(mute, person))
    told = own_mute(tables, room, person, at)
    return [] if told is None else [Send(person.conn, told)]


def own_mute(tables: Tables, room: Room | None, person: Person, at: int) -> Notice | None:
    """What tells somebody that it is muted in a room (None: on the server); None when it is not."""
    rules = tables.rules if room is None else room.rules
    mute = None if rules is None else rules.mutes.of(person.bearer, at)
    if mute is None:
        return None
    where = "" if room is None else room.name
    return notices.Restricted(
        where, person.nick, "mute", mute.until, mute.by, at, mute.reason, own=True
    )


def own_mutes(tables: Tables, person: Person, at: int) -> Iterator[Notice]:
    """What tells somebody who is here again of all of its mutes."""
    for room in (None, *person.rooms.values()):
        if told := own_mute(tables, room, person, at):
            yield told


def goes_by(rules: Rules | None, bearer: str, person: Person, at: int) -> bool:
    """What is in force for somebody is so, too, now that it goes by another word, unless that is
    kept from more already. Whether it is muted by that.
    """
    if rules is None:
        return False
    if (spoke := rules.spoke.pop(bearer, None)) is not None:
        rules.spoke[person.bearer] = max(spoke, rules.spoke.get(person.bearer, spoke))
        rules.spoke = dict(sorted(rules.spoke.items(), key=lambda each: each[1]))
    mute, known = rules.mutes.of(bearer, at), rules.mutes.of(person.bearer, at)
    if mute is None or (known is not None and known.until >= mute.until):
        return False
    rules.mutes.add(_for(mute, person))
    return True


def may_not_be_in(room: Room, account: Account, at: int) -> bool:
    """Whether an account is banned from a room."""
    if room.rules is None or account.is_admin:
        return False
    return room.rules.bans.of(account.bearer, at) is not None


def end_all(tables: Tables, account: Account) -> None:
    """Whatever restricted an account is over, by whatever it goes: it looks after the server now,
    and should it do so no more, it is where it has come in since.
    """
    bearers = (account.bearer, *[each for device in account.present for each in device.bearers])
    for rules in (tables.rules, *[room.rules for room in tables.rooms.values()]):
        for table in (rules.bans, rules.mutes) if rules is not None else ():
            table.lift([each for each in table.all() if each.bearer in bearers])
    for room in tables.rooms.values():
        forget_rules(room)
    forget_server_rules(tables)


def _for(mute: Restriction, person: Person) -> Restriction:
    return msgspec.structs.replace(
        mute, bearer=person.bearer, nick=person.nick, nick_key=person.key
    )


# ── What there is ────────────────────────────────────────────────────────────────────────────


# What `mode_fields` gives, by the names that it has in notices.
MODE_FIELDS: Final = ("slow_ms", "moderated", "private", "kept", "topic_locked", "unlisted")


def mode_fields(room: Room) -> tuple[int, bool, bool, bool, bool, bool]:
    """How one talks in a room, who may come in, and whether it is kept, as who is in is told."""
    rules, is_kept = room.rules, bool(room.owners)
    if rules is None:
        return 0, False, False, is_kept, False, False
    talking, coming = (rules.slow_ms, rules.moderated), (rules.private, is_kept)
    return *talking, *coming, rules.topic_locked, rules.unlisted


def has_place(table: Restrictions, at: int, most: int) -> bool:
    """Whether one more may be made; what is over makes place."""
    if len(table) >= most:
        table.sweep(at)
    return len(table) < most


def forget_rules(room: Room) -> None:
    """A room in which nothing is restricted any more has no rules."""
    if room.rules is not None and room.rules.are_none:
        room.rules = None


def forget_server_rules(tables: Tables) -> None:
    """The same of the server."""
    if tables.rules is not None and tables.rules.are_none:
        tables.rules = None
