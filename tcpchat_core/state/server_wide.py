"""What those do who look after the whole server: put out, ban and mute.

Rule 1: Only an admin does so, and to no admin. Who is banned is put out at once, on all of its
        devices, also one who is away; and is turned away before it is anybody, for as long as the
        ban is in force: by its account, by its session, and a guest by where it comes from.

Rule 2: What is done is told to who did it and to whom it is for. Others see somebody go.
"""

from __future__ import annotations

from typing import Final

import msgspec

from tcpchat_core import events, notices
from tcpchat_core.durations import shown_duration
from tcpchat_core.effects import Action, Close, Send
from tcpchat_core.notices import Act, Notice, Rejected
from tcpchat_core.state import moderation, rights
from tcpchat_core.state.moderation import Target
from tcpchat_core.state.people import depart
from tcpchat_core.state.refusals import rejected
from tcpchat_core.state.restrictions import Restriction
from tcpchat_core.state.tables import Person, Rules, Tables

_ADMINS_ONLY: Final = "only who looks after this server may do that"


def kick(tables: Tables, person: Person, event: events.Kick, at: int) -> list[Action]:
    """Put somebody out of the server, who may come again."""
    target = _target(tables, person, event, "kick")
    if isinstance(target, Rejected):
        return [Send(person.conn, target)]
    if target.person is None:
        return [rejected(person, "no-such-nick", f"{target.nick} is not here", "kick")]
    tables.note(Act(at, person.nick, "kick", nick=target.nick, reason=event.reason))
    told = notices.Expelled(target.nick, person.nick, at, event.reason)
    return [*_expel(tables, target.person, told), Send(person.conn, told)]


def restrict(tables: Tables, person: Person, event: events.Restrict, at: int) -> list[Action]:
    """Ban somebody from the server, which puts it out, or mute it everywhere."""
    target = _target(tables, person, event, "restrict")
    if isinstance(target, Rejected):
        return [Send(person.conn, target)]
    most = tables.limits.server_restrictions
    rules = tables.rules or Rules()
    until = moderation.restriction_end(tables, event, at)
    made = Restriction(
        target.bearer, target.origin, target.nick, target.key, until, person.nick, event.reason
    )
    if not moderation.make(rules.of(event.what), made, at, most):
        text = moderation.no_more("this server", event.what, most)
        return [rejected(person, "too-many", text, "restrict")]
    tables.rules = rules
    tables.note(Act(at, person.nick, event.what, "", target.nick, until, event.reason))
    if event.what == "ban" and target.person is not None:
        out = notices.Expelled(target.nick, person.nick, at, event.reason, until)
        return [*_expel(tables, target.person, out), Send(person.conn, out)]
    told = notices.Restricted("", target.nick, event.what, until, person.nick, at, event.reason)
    return [*_to(target, msgspec.structs.replace(told, own=True)), Send(person.conn, told)]


def lift(tables: Tables, person: Person, event: events.Lift, at: int) -> list[Action]:
    """End the bans or mutes of who is called so, or was when they were made."""
    if not person.is_admin:
        return [rejected(person, "no-right", _ADMINS_ONLY, "lift")]
    found = moderation.end(tables, tables.rules, event, at)
    rights.forget_server_rules(tables)
    if not found:
        text = f"{event.nick} is not {moderation.DONE[event.what]} this server"
        return [rejected(person, "no-such-nick", text, "lift")]
    told = notices.Lifted("", found[0].nick, event.what, person.nick)
    tables.note(Act(at, person.nick, f"un{event.what}", nick=told.nick))
    actions: list[Action] = []
    target = moderation.target_of(tables, event.nick_key)
    if target is not None and target.bearer in [each.bearer for each in found]:
        actions = _to(target, msgspec.structs.replace(told, own=True))
    return [*actions, Send(person.conn, told)]


def restrictions(
    tables: Tables, person: Person, _event: events.Restrictions, at: int
) -> list[Action]:
    """Tell an admin who is kept from what."""
    if not person.is_admin:
        return [rejected(person, "no-right", _ADMINS_ONLY, "restrictions")]
    return [Send(person.conn, moderation.in_force("", tables.rules, at))]


# ── Inside ───────────────────────────────────────────────────────────────────────────────────


def _target(
    tables: Tables, person: Person, event: events.Kick | events.Restrict, request: str
) -> Target | Rejected:
    """Whom an admin's event is aimed at."""
    if not person.is_admin:
        return Rejected("no-right", _ADMINS_ONLY, request)
    target = moderation.target_of(tables, event.nick_key)
    if target is None:
        return Rejected("no-such-nick", f"there is nobody called {event.nick}", request)
    if target.is_admin:
        return Rejected("no-right", f"{target.nick} looks after this server", request)
    return target


def _to(target: Target, told: Notice) -> list[Action]:
    """Tell somebody something on each of its devices."""
    if target.person is None:
        return []
    return [Send(each.conn, told) for each in target.person.everywhere if not each.away]


def _expel(tables: Tables, target: Person, told: notices.Expelled) -> list[Action]:
    """Somebody is gone at once, on all of its devices."""
    lasts = f"banned for {shown_duration(told.until - told.at)}" if told.until else "put out"
    why = f"{lasts} by {told.by}"
    why = f"{why}: {told.reason}" if told.reason else why
    actions: list[Action] = []
    for each in tuple(target.everywhere):
        conn, is_here = each.conn, not each.away
        actions += depart(tables, each, why)
        if is_here:
            actions += [Send(conn, notices.Closing(f"you were {why}")), Close(conn)]
    return actions
