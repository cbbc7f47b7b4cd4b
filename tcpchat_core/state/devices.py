"""The ends of devices and accounts: whoever is here by one of them is gone at once."""

from __future__ import annotations

from collections.abc import Sequence

from tcpchat_core import events, notices
from tcpchat_core.effects import Action, Close, Send
from tcpchat_core.events import Entry
from tcpchat_core.notices import Act
from tcpchat_core.state import moderation
from tcpchat_core.state.accounts import no_account
from tcpchat_core.state.people import depart
from tcpchat_core.state.refusals import rejected
from tcpchat_core.state.tables import Account, Person, Tables


def revoke(tables: Tables, person: Person, event: events.Revoke, _at: int) -> list[Action]:
    """A device is one's own no more."""
    account = person.account
    if account is None:
        return [no_account(person, "revoke")]
    found = [token for token, each in account.devices.items() if each.number == event.number]
    if not found:
        text = f"{account.nick} has no device {event.number}"
        return [rejected(person, "bad-usage", text, "revoke")]
    told = notices.Revoked(event.number)
    return [
        Send(person.conn, told),
        *_end_device(tables, account, found[0], "this device was revoked"),
    ]


def password(tables: Tables, person: Person, event: events.Password, _at: int) -> list[Action]:
    """Have another password, or none. Who came by the one before is gone."""
    account = person.account
    if account is None:
        return [no_account(person, "password")]
    account.password = event.password
    told = notices.PasswordSet(account.nick, bool(event.password))
    others = [each for each in account.present if not each.device and each is not person]
    return [Send(person.conn, told), *_end(tables, others, "the password was changed")]


def withdraw(tables: Tables, entry: Entry, event: events.Withdraw) -> list[Action]:
    """End an account: its devices are nobody's any more, and its nick is free."""
    account = tables.accounts.get(event.key)
    if account is None:
        return []
    actions = [
        action
        for token in [*account.devices]
        for action in _end_device(tables, account, token, "this account was closed")
    ]
    actions += _end(tables, account.present, "this account was closed")
    tables.remove_account(account)
    tables.note(Act(entry.at, "", "withdraw", nick=account.nick))
    for room in [room for room in tables.rooms.values() if account.id in room.moderators]:
        was_kept = bool(room.owners)
        room.moderate(
            tuple([id for id in room.moderators if id != account.id]),
            tuple([id for id in room.owners if id != account.id]),
        )
        if was_kept and not room.owners:
            actions += moderation.ownerless(room)
        actions += moderation.unattended(room)
        tables.sweep(room)
    for code in [code for code, (key, _) in tables.claims.items() if key == event.key]:
        del tables.claims[code]
    return actions


def _end_device(tables: Tables, account: Account, token: str, why: str) -> list[Action]:
    del account.devices[token]
    del tables.devices[token]
    return _end(tables, [each for each in account.present if each.device == token], why)


def _end(tables: Tables, people: Sequence[Person], why: str) -> list[Action]:
    actions: list[Action] = []
    for person in tuple(people):
        conn, is_here = person.conn, not person.away
        actions += depart(tables, person, why)
        if is_here:
            actions += [Send(conn, notices.Closing(why)), Close(conn)]
    return actions
