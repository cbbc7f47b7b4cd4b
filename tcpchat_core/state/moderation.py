"""What those do who look after a room: put out, restrict, give rights, close, take back.

Rule 1: Who makes a room moderates it, for as long as it is a member (also across a connection that
        is lost and resumed), and may let others do so. A room that was configured has no moderator
        by that. When the last one leaves, nobody follows: what is restricted stays so until its
        end, or until the room is empty and all of that is gone. But then everybody may speak, and
        set the topic: who else should let them?

Rule 2: Only a moderator restricts, and no moderator is restricted: its role is taken first. Who
        looks after the server moderates each room that it is in, and is restricted in none.

Rule 3: A room that is kept belongs to accounts. It stays when nobody is in it, with all that it
        has, and who owns or moderates it by an account does so also while elsewhere. Only an owner
        makes owners or takes that from them, and somebody always is one, or it is kept no more.

Rule 4: A restriction ends by the time of entries. Who may not do something is told why, each time;
        the restriction itself is told to the room once, and to whom it is for with its end. What it
        keeps people from is in `rights`.

Rule 5: What is said in a private room is for those who are in it, and for those who are let in
        later. That it exists is no secret: nobody else can make a room of its name. When it is
        opened again, what was said until then is not for those who come in from then on.

Rule 6: Who is put out of a room is told nothing of it from that entry on, on no connection.

Rule 7: What was done is remembered, with who did it and when: `Act`.

The functions that are rows of the table in `__init__` take the tables, whose event it is, the
event, and the time of its entry in ms since the epoch.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple, TypeAlias

import msgspec

from tcpchat_core import events, notices
from tcpchat_core.durations import shown_duration
from tcpchat_core.effects import Action, Broadcast, Leave, Send
from tcpchat_core.notices import Act, Rejected
from tcpchat_core.state import naming, rights
from tcpchat_core.state.refusals import NO_ACCOUNT, not_in_room, rejected
from tcpchat_core.state.restrictions import Restriction, Restrictions
from tcpchat_core.state.tables import Account, Person, Room, Rules, Tables

# What is aimed at somebody in a room.
_Aimed: TypeAlias = events.Kick | events.Restrict | events.Lift | events.Role
_OfModerators: TypeAlias = _Aimed | events.Restrictions | events.RoomMode | events.Invite

# The author of what nobody does: no connection has this number.
_NOBODY: Final = -1

DONE: Final[dict[str, str]] = {"ban": "banned from", "mute": "muted in"}  # a room


class Target(NamedTuple):
    """Whom something is aimed at: who is here or away, or the owner of a nick who is not."""

    id: int
    nick: str
    key: str
    bearer: str
    origin: str
    is_admin: bool
    person: Person | None


def target_of(tables: Tables, nick_key: str) -> Target | None:
    """Who has a nick; None when nobody has."""
    person = tables.nicks.get(nick_key)
    if person is not None:
        id, bearer, origin = person.id, person.bearer, person.origin
        return Target(id, person.nick, person.key, bearer, origin, person.is_admin, person)
    account = tables.accounts.get(nick_key)
    return None if account is None else _absent(account)


def _absent(account: Account) -> Target:
    return Target(account.id, account.nick, account.key, account.bearer, "", account.is_admin, None)


# ── Putting out, and restricting ─────────────────────────────────────────────────────────────


def kick(tables: Tables, person: Person, event: events.Kick, at: int) -> list[Action]:
    """Put somebody out of a room."""
    room = _moderated(person, event, "kick")
    if isinstance(room, Rejected):
        return [Send(person.conn, room)]
    target = _member(tables, room, event, "kick")
    if isinstance(target, Rejected):
        return [Send(person.conn, target)]
    tables.note(Act(at, person.nick, "kick", room.name, target.nick, reason=event.reason))
    left = notices.Left(room.name, target.nick, by=person.nick, reason=event.reason, at=at)
    return _put_out(tables, room, target, left, person)


def restrict(tables: Tables, person: Person, event: events.Restrict, at: int) -> list[Action]:
    """Ban somebody from a room, which puts it out, or mute it there."""
    room = _moderated(person, event, "restrict")
    if isinstance(room, Rejected):
        return [Send(person.conn, room)]
    target = target_of(tables, event.nick_key)
    if target is None and event.what == "ban":
        text = f"there is nobody called {event.nick}"
        return [rejected(person, "no-such-nick", text, "restrict")]
    if target is None or (event.what == "mute" and room.key not in _rooms_of(target)):
        return [rejected(person, "no-such-nick", _not_there(room, event), "restrict")]
    if refused := _is_above(room, target):
        return [rejected(person, "no-right", refused, "restrict")]
    limits = tables.limits
    rules = room.rules or Rules()
    until = restriction_end(tables, event, at)
    made = Restriction(
        target.bearer, target.origin, target.nick, target.key, until, person.nick, event.reason
    )
    if not make(rules.of(event.what), made, at, limits.restrictions):
        text = no_more(room.name, event.what, limits.restrictions)
        return [rejected(person, "too-many", text, "restrict")]
    room.rules = rules
    tables.note(Act(at, person.nick, event.what, room.name, target.nick, until, event.reason))
    somebody = target.person
    if event.what == "ban" and somebody is not None and room.key in somebody.rooms:
        left = notices.Left(
            room.name, target.nick, by=person.nick, reason=event.reason, at=at, until=until
        )
        return _put_out(tables, room, somebody, left, person)
    told = notices.Restricted(
        room.name, target.nick, event.what, until, person.nick, at, event.reason
    )
    if event.what == "ban" or somebody is None:
        return [Broadcast(room.audience, told, person.conn, told)]
    own = msgspec.structs.replace(told, own=True)
    return naming.to_room(room, somebody, told, own, person)


def restriction_end(tables: Tables, event: events.Restrict, at: int) -> int:
    """Until when a restriction holds: it may be that nobody has said for how long, or too long."""
    limits = tables.limits
    usual_ms = limits.ban_ms if event.what == "ban" else limits.mute_ms
    return at + max(1, min(event.ms or usual_ms, limits.restriction_ms))


def make(table: Restrictions, made: Restriction, at: int, most: int) -> bool:
    """Put a restriction into a table of at most so many, if it has a place for one more."""
    if table.of(made.bearer, at) is None and not rights.has_place(table, at, most):
        return False
    table.add(made)
    return True


def no_more(where: str, what: events.Restraint, most: int) -> str:
    """Why nobody can be restricted besides, and what to do."""
    return f"{where} has as many {what}s as it can hold: {most:,}; /un{what} somebody first"


def lift(tables: Tables, person: Person, event: events.Lift, at: int) -> list[Action]:
    """End the bans or mutes of who is called so, or was when they were made."""
    room = _moderated(person, event, "lift")
    if isinstance(room, Rejected):
        return [Send(person.conn, room)]
    found = end(tables, room.rules, event, at)
    rights.forget_rules(room)
    if not found:
        text = f"{event.nick} is not {DONE[event.what]} {room.name}"
        return [rejected(person, "no-such-nick", text, "lift")]
    told = notices.Lifted(room.name, found[0].nick, event.what, person.nick)
    tables.note(Act(at, person.nick, f"un{event.what}", room.name, told.nick))
    bearers = [each.bearer for each in found]
    for member in room.members.values():
        if member.bearer in bearers:
            told = msgspec.structs.replace(told, nick=member.nick)
            own = msgspec.structs.replace(told, own=True)
            return naming.to_room(room, member, told, own, person)
    return [Broadcast(room.audience, told, person.conn, told)]


def end(tables: Tables, rules: Rules | None, event: events.Lift, at: int) -> list[Restriction]:
    """Take out what an event lifts, and return it."""
    if rules is None:
        return []
    target = target_of(tables, event.nick_key)
    table = rules.of(event.what)
    found = table.named(event.nick_key, "" if target is None else target.bearer, at)
    table.lift(found)
    return found


def restrictions(
    _tables: Tables, person: Person, event: events.Restrictions, at: int
) -> list[Action]:
    """Tell a moderator who is kept from what: bans, then mutes, each in the order of being made.

    It is an entry, because only an entry tells the time by which one is over.
    """
    room = _moderated(person, event, "restrictions")
    if isinstance(room, Rejected):
        return [Send(person.conn, room)]
    return [Send(person.conn, in_force(room.name, room.rules, at))]


def in_force(where: str, rules: Rules | None, at: int) -> notices.RestrictionList:
    """What is restricted at a time."""
    kinds: tuple[events.Restraint, ...] = ("ban", "mute")
    rows = [
        notices.RestrictionInfo(each.nick, what, each.until, each.by, each.reason)
        for what in kinds
        for each in (rules or Rules()).of(what).all()
        if at < each.until
    ]
    return notices.RestrictionList(where, tuple(rows), at)


# ── Rights ───────────────────────────────────────────────────────────────────────────────────


def role(tables: Tables, person: Person, event: events.Role, at: int) -> list[Action]:
    """Make somebody a moderator of a room or one of its owners, or no more than a member."""
    room = _moderated(person, event, "role")
    if isinstance(room, Rejected):
        return [Send(person.conn, room)]
    target = target_of(tables, event.nick_key)
    if target is None or not (room.key in _rooms_of(target) or target.id in room.moderators):
        account = tables.accounts.get(event.nick_key)
        if account is None or not room.owners:
            return [rejected(person, "no-such-nick", _not_there(room, event), "role")]
        # The room is kept, so who has an account need not be there.
        target = _absent(account)
    if refused := _may_not_be(tables, room, person, target, event.role):
        return [rejected(person, *refused, "role")]
    moderators = tuple([id for id in room.moderators if id != target.id])
    owners = tuple([id for id in room.owners if id != target.id])
    if event.role != "member":
        moderators = room.moderators if target.id in room.moderators else (*moderators, target.id)
    if event.role == "owner":
        owners = room.owners if target.id in room.owners else (*owners, target.id)
    room.moderate(moderators, owners)
    what = {"member": "unmod", "moderator": "mod", "owner": "own"}[event.role]
    tables.note(Act(at, person.nick, what, room.name, target.nick))
    told = notices.RoleSet(room.name, target.nick, event.role, person.nick)
    return [Broadcast(room.audience, told, person.conn, told), *unattended(room)]


def _may_not_be(
    tables: Tables, room: Room, person: Person, target: Target, wanted: events.RoomRole
) -> rights.Refusal | None:
    """Why somebody cannot be what it shall be in a room; None when it can."""
    is_owner = target.id in room.owners
    if wanted == "owner" and not room.owners:
        return "bad-request", f"{room.name} is nobody's yet; /keep it first"
    if (is_owner or wanted == "owner") and not room.is_owned_by(person):
        return "no-right", f"only who owns {room.name} may do that"
    account = tables.accounts.get(target.key)
    if wanted == "owner" and (account is None or account.id != target.id):
        return "no-right", f"{target.nick} has no account, and only an account owns a room"
    if wanted == "owner" and not is_owner and _keeps_enough(tables, target.id):
        return "too-many", f"{target.nick} keeps as many rooms as one may: {tables.limits.kept}"
    if is_owner and wanted == "moderator":
        return "bad-request", f"{target.nick} owns {room.name}; /unmod {target.nick} first"
    if is_owner and wanted == "member" and len(room.owners) == 1:
        text = f"{target.nick} is the last who owns {room.name}; /own another first, or /keep off"
        return "no-right", text
    most = tables.limits.moderators
    if wanted != "member" and target.id not in room.moderators and len(room.moderators) >= most:
        return _no_more_moderators(room)
    return None


def _no_more_moderators(room: Room) -> rights.Refusal:
    most = len(room.moderators)
    return "too-many", f"{room.name} has as many moderators as it can have: {most}; /unmod one"


def _keeps_enough(tables: Tables, id: int) -> bool:
    """Whether an account has as many rooms as one may have."""
    return sum(id in room.owners for room in tables.rooms.values()) >= tables.limits.kept


# What nobody could end where there are no moderators: where only these may do something.
_OF_MODERATORS: Final = ("moderated", "topic_locked")


def unattended(room: Room) -> list[Action]:
    """What only moderators end, ends when the last of them has left, and no admin is in."""
    rules = room.rules
    if rules is None or room.moderators or not room.members:
        return []
    ended = [name for name in _OF_MODERATORS if getattr(rules, name)]
    if not ended or any(member.is_admin for member in room.members.values()):
        return []
    rules.moderated = rules.topic_locked = False
    told = _mode_of(room, "", ended)
    rights.forget_rules(room)
    return [Broadcast(room.audience, told, _NOBODY, None)]


# ── How one talks in a room, and who may come in ─────────────────────────────────────────────


def mode(tables: Tables, person: Person, event: events.RoomMode, at: int) -> list[Action]:
    """Set how one talks in a room, who may come in, and whether it is kept."""
    room = _moderated(person, event, "mode")
    if isinstance(room, Rejected):
        return [Send(person.conn, room)]
    if event.kept is not None and (refused := _may_not_keep(tables, room, person, event.kept)):
        return [rejected(person, *refused, "mode")]
    before = rights.mode_fields(room)
    rules = room.rules = room.rules or Rules()
    done: list[tuple[str, str]] = []
    if event.slow_ms is not None:
        rules.slow_ms = max(0, min(event.slow_ms, tables.limits.slow_ms))
        rules.spoke.clear()
        done.append(("slow", shown_duration(rules.slow_ms) if rules.slow_ms else "off"))
    if event.moderated is not None:
        rules.moderated = event.moderated
        done.append(("moderated", _on(event.moderated)))
    if event.topic_locked is not None:
        rules.topic_locked = event.topic_locked
        done.append(("topiclock", _on(event.topic_locked)))
    if event.unlisted is not None:
        rules.unlisted = event.unlisted
        done.append(("unlisted", _on(event.unlisted)))
    if event.private is not None:
        # Also when it was so before: what was given out is worth nothing any more.
        rules.invited.clear()
        rules.codes.clear()
        rules.secret = ""
        _close(room, rules, is_private=event.private)
        done.append(("private", _on(event.private)))
    if event.secret is not None:
        rules.secret = event.secret
        if event.secret:
            _close(room, rules, is_private=True)
        done.append(("secret", _on(bool(event.secret))))
    if event.kept is not None:
        _keep(room, person, is_kept=event.kept)
        done.append(("keep", _on(event.kept)))
    for what, how in done:
        tables.note(Act(at, person.nick, what, room.name, reason=how))
    each_field = zip(rights.MODE_FIELDS, before, rights.mode_fields(room), strict=True)
    told = _mode_of(room, person.nick, [name for name, was, now in each_field if was != now])
    rights.forget_rules(room)
    return [Broadcast(room.audience, told, person.conn, told), *unattended(room)]


def _close(room: Room, rules: Rules, *, is_private: bool) -> None:
    if rules.private and not is_private:
        room.opened = room.seq
    rules.private = is_private


def _may_not_keep(
    tables: Tables, room: Room, person: Person, wanted: bool
) -> rights.Refusal | None:
    """Why somebody may not say whether a room is kept; None when it may."""
    account = person.account
    if account is None:
        return "no-right", NO_ACCOUNT
    if room.owners:
        if wanted or room.is_owned_by(person):
            return None
        return "no-right", f"only who owns {room.name} may do that"
    if wanted and _keeps_enough(tables, account.id):
        text = f"you keep {tables.limits.kept} rooms already; /keep off in one of them first"
        return "too-many", text
    most = tables.limits.moderators
    if wanted and account.id not in room.moderators and len(room.moderators) >= most:
        return _no_more_moderators(room)
    return None


def _keep(room: Room, person: Person, *, is_kept: bool) -> None:
    """A room is its first owner's from now on, if it was nobody's; or it is nobody's any more."""
    if not is_kept:
        room.moderate(room.moderators, ())
    elif not room.owners:
        ids = room.moderators
        room.moderate(ids if person.id in ids else (*ids, person.id), (person.id,))


def ownerless(room: Room) -> list[Action]:
    """What a room is told whose last owner has ended."""
    return [Broadcast(room.audience, _mode_of(room, "", ("kept",)), _NOBODY, None)]


def _mode_of(room: Room, by: str, changed: Iterable[str]) -> notices.ModeSet:
    return notices.ModeSet(room.name, by, *rights.mode_fields(room), tuple(changed))


def _on(is_so: bool) -> str:
    return "on" if is_so else "off"


def invite(tables: Tables, person: Person, event: events.Invite, at: int) -> list[Action]:
    """Invite somebody, or whoever has a code."""
    room = _moderated(person, event, "invite")
    if isinstance(room, Rejected):
        return [Send(person.conn, room)]
    limits = tables.limits
    target = target_of(tables, event.nick_key) if event.nick else None
    if event.nick and target is None:
        text = f"there is nobody called {event.nick}"
        return [rejected(person, "no-such-nick", text, "invite")]
    rules = room.rules = room.rules or Rules()
    table = rules.codes if target is None else rules.invited
    word = event.code_hash if target is None else target.bearer
    for each in [each for each, until in table.items() if until <= at or each == word]:
        del table[each]
    if len(table) >= limits.invitations:
        rights.forget_rules(room)
        text = f"{room.name} has as many invitations as it can hold; /private on takes them back"
        return [rejected(person, "too-many", text, "invite")]
    until = table[word] = at + limits.invitation_ms
    told = notices.Invited(room.name, person.nick, until, at, target.nick if target else "")
    tables.note(Act(at, person.nick, "invite", room.name, told.nick, until))
    if target is not None and room.key in _rooms_of(target):
        # It holds all the same, should the person leave: so it did in logs of before this was told.
        text = f"{target.nick} is in {room.name} already"
        return [rejected(person, "already-there", text, "invite")]
    actions: list[Action] = [Send(person.conn, told)]
    if target is not None and target.person is not None:
        everywhere = target.person.everywhere
        actions += [Send(each.conn, told) for each in everywhere if not each.away]
    return actions


# ── Taking back ──────────────────────────────────────────────────────────────────────────────


def redact(tables: Tables, person: Person, event: events.Redact, at: int) -> list[Action]:
    """Take a message back: it keeps its number, and nothing else of it is kept."""
    room = person.rooms.get(event.key)
    if room is None:
        return [Send(person.conn, not_in_room("redact", event.room))]
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
    if not (is_own or room.is_moderated_by(person)):
        text = f"only who moderates {room.name} may take back what others say"
        return [rejected(person, "no-right", text, "redact")]
    is_meant = room.born < event.seq <= room.seq if event.seq else event.nick != ""
    if is_meant and room.is_moderated_by(person):
        # As it was asked: a state that has forgotten the message comes to the same.
        which = f"message {event.seq}" if event.seq else ""
        tables.note(Act(at, person.nick, "redact", room.name, event.nick, reason=which))
    seq = event.seq if said is None else said.seq
    if not room.born < seq <= room.seq:
        text = f"there is no such message in {room.name}"
        return [rejected(person, "no-such-message", text, "redact")]
    if said is not None:
        room.redact(said)
    author = said.nick if said is not None else ""
    redacted = notices.Redacted(room.name, seq, person.nick, at, author)
    return [Broadcast(room.audience, redacted, person.conn, redacted)]


# ── Inside ───────────────────────────────────────────────────────────────────────────────────


def _moderated(person: Person, event: _OfModerators, request: str) -> Room | Rejected:
    """The room that an event is about, if it is this person's to moderate."""
    room = person.rooms.get(event.key)
    if room is None:
        return not_in_room(request, event.room)
    if not room.is_moderated_by(person):
        return Rejected("no-right", f"only who moderates {room.name} may do that", request)
    return room


def _member(tables: Tables, room: Room, event: _Aimed, request: str) -> Person | Rejected:
    """Whom an event is aimed at, if it is in the room and nobody whom that is not done to."""
    target = target_of(tables, event.nick_key)
    if target is None or target.person is None or room.key not in target.person.rooms:
        return Rejected("no-such-nick", _not_there(room, event), request)
    if refused := _is_above(room, target):
        return Rejected("no-right", refused, request)
    return target.person


def _is_above(room: Room, target: Target) -> str:
    """Why somebody is neither put out of a room nor restricted there; "" when it may be."""
    if target.is_admin:
        return f"{target.nick} looks after this server"
    if target.id in room.moderators:
        return f"{target.nick} moderates {room.name}; /unmod {target.nick} first"
    return ""


def _rooms_of(target: Target) -> dict[str, Room]:
    return {} if target.person is None else target.person.rooms


def _not_there(room: Room, event: _Aimed) -> str:
    return f"there is nobody called {event.nick} in {room.name}"


def _put_out(
    tables: Tables, room: Room, target: Person, left: notices.Left, by: Person
) -> list[Action]:
    """Somebody is no member any more: all who were there hear of it, and it hears nothing else."""
    own = msgspec.structs.replace(left, own=True)
    tables.leave(target, room)
    if room.rules is not None:
        room.rules.invited.pop(target.bearer, None)
    for each in target.everywhere:
        each.remember_put_out(room, own, tables.limits)
    here = [each.conn for each in target.everywhere if not each.away]
    return [
        *naming.to_room(room, target, left, own, by),
        *(Leave(room.audience, conn) for conn in here),
    ]
