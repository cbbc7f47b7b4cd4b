"""Accounts: who owns a nick, on which devices it is, and how one comes to be another.

Rule 1: An account owns one nick, with all that looks like it. Nobody else may take it; a guest who
        has it when its owner comes becomes guest-N, and is told why.

Rule 2: A device is known by the SHA-256 of its token. It comes to be by a code, which is used once
        and holds for a while; the state knows the SHA-256 of that, too. Who asks again to be what
        it is, or for a device that has come to be, is answered again: the first answer may have
        been lost on its way.

Rule 3: Several devices of one account are one person: one nick, the same rooms, and others are told
        only of the first that comes and of the last that goes. What one of them says, the others
        hear. Each is a `Person` of its own for all that is about a connection or a session: its
        receipts, its direct messages and their numbers, what it missed.
"""

from __future__ import annotations

import hashlib

from tcpchat_core import events, notices
from tcpchat_core.effects import Action, Enter, Leave, Send
from tcpchat_core.events import Entry
from tcpchat_core.names import GUEST_PREFIX
from tcpchat_core.notices import Act, Notice
from tcpchat_core.state import moderation, naming, rights, rooms
from tcpchat_core.state.refusals import NO_ACCOUNT, UNKNOWN_DEVICE, WRONG_PASSWORD, rejected
from tcpchat_core.state.tables import Account, Device, Person, Tables

# ── What the owner of the server does ────────────────────────────────────────────────────────


def grant(tables: Tables, entry: Entry, event: events.Grant) -> list[Action]:
    """Make an account, or only a code for one that there is. Nobody is told of it."""
    limits = tables.limits
    account = tables.accounts.get(event.key)
    if account is None:
        if len(tables.accounts) >= limits.accounts or event.key.startswith(GUEST_PREFIX):
            return []
        account = tables.add_account(Account(-tables.seq, event.account, event.key))
    actions: list[Action] = []
    if event.admin is not None:
        account.is_admin = event.admin
        if event.admin:
            rights.end_all(tables, account)
        # Where it was alone in looking after a room, nobody does so any more.
        for room in account.present[0].rooms.values() if account.present else ():
            actions += moderation.unattended(room)
        act = "admin" if event.admin else "unadmin"
        tables.note(Act(entry.at, "", act, nick=account.nick))
    if event.code:
        _offer(tables, account, event.code, entry.at, is_owners=True)
        tables.note(Act(entry.at, "", "invite", nick=account.nick))
    has_place = len(account.devices) < limits.devices
    if event.device and has_place and event.device not in tables.devices:
        _add_device(tables, account, event.device, event.name, entry.at)
        tables.note(Act(entry.at, "", "token", nick=account.nick))
    return actions


# ── Devices ──────────────────────────────────────────────────────────────────────────────────


def claim(tables: Tables, person: Person, event: events.Claim, at: int) -> list[Action]:
    """Become a device of an account, by a code."""
    if event.device in tables.devices:
        return _come_by(tables, person, event.device, "claim", at)
    if person.account is not None:
        return [_is_device(person, "claim")]
    key, until = tables.claims.get(event.code, ("", 0))
    account = tables.accounts.get(key)
    if account is None or until <= at:
        text = "there is no such code, or not any more; ask for another"
        return [rejected(person, "wrong-code", text, "claim")]
    if refused := rights.may_not_become(tables, account, at):
        return [rejected(person, *refused, "claim")]
    if len(account.devices) >= tables.limits.devices:
        text = f"{account.nick} has {len(account.devices)} devices; /revoke one of them first"
        return [rejected(person, "too-many", text, "claim")]
    del tables.claims[event.code]
    _add_device(tables, account, event.device, event.name, at)
    actions = _become(tables, person, account, event.device, at)
    return [*actions, Send(person.conn, claimed(person))]


def whose(tables: Tables, event: events.Login | events.LoggedIn) -> Account | None:
    """Whose secret was said; None when it is nobody's, or not any more."""
    if isinstance(event, events.Login):
        return tables.devices.get(event.device)
    account = tables.accounts.get(event.key)
    is_so = account is not None and password_proof(account.password) == event.proof
    return account if is_so else None


def come_by(
    tables: Tables, person: Person, event: events.Login | events.LoggedIn, at: int
) -> list[Action]:
    """A guest that is here comes by a device, or has said the password of an account."""
    if isinstance(event, events.Login):
        return _come_by(tables, person, event.device, "login", at)
    if person.account is not None:
        return [_is_device(person, "login")]
    account = whose(tables, event)
    if account is None:
        return [wrong_password(person)]
    if refused := rights.may_not_become(tables, account, at):
        return [rejected(person, *refused, "login")]
    return [*_become(tables, person, account, "", at), Send(person.conn, claimed(person))]


def claimed(person: Person) -> Notice:
    """What tells somebody as whom it is here now."""
    account = person.account
    assert account is not None, "it has come by one"
    number = account.devices[person.device].number if person.device else 0
    return notices.Claimed(account.nick, number, account.is_admin)


def offer(tables: Tables, person: Person, event: events.Offer, at: int) -> list[Action]:
    """Have a code made for another device of one's own."""
    account = person.account
    if account is None:
        return [no_account(person, "device")]
    if not _offer(tables, account, event.code, at, is_owners=False):
        text = f"there are {tables.limits.claims:,} codes that nobody has used yet; try again later"
        return [rejected(person, "too-many", text, "device")]
    told = notices.Offered(account.nick, at + tables.limits.claim_ms, at)
    return [Send(person.conn, told)]


def come(tables: Tables, person: Person, account: Account, device: str) -> list[Action]:
    """A device is here: a person that is new, is in no room and has no nick yet. What others are
    told of it; in which rooms it is then, it is told by `arrive`.
    """
    here = account.present
    actions: list[Action] = []
    if not here:
        actions = _free_nick(tables, account)
    person.nick, person.key, person.id = account.nick, account.key, account.id
    person.account, person.device = account, device
    if not here:
        tables.take_nick(person)
    if here:
        first = here[0]
        person.away_text, person.name, person.user = first.away_text, first.name, first.user
    here.append(person)
    for key, room in here[0].rooms.items():
        room.admit(person)
        if key in here[0].speaks:  # what its other devices said there is its own, too
            person.speaks[key] = here[0].speaks[key]
    return actions


def says_of_itself(person: Person, *, away: str = "", name: str) -> list[Action]:
    """Tell a device what its account has said of itself, as far as it is not what it knows: whether
    that is away, and its real name.
    """
    actions: list[Action] = []
    if person.away_text != away:
        own = notices.AwaySet(person.nick, person.away_text, own=True)
        actions.append(Send(person.conn, own))
    if person.name != name:
        actions.append(Send(person.conn, notices.NameSet(person.nick, person.name, own=True)))
    return actions


def arrive(tables: Tables, person: Person, at: int) -> list[Action]:
    """What a device is told of the rooms that it has come into with its account."""
    actions: list[Action] = []
    for room in person.rooms.values():
        actions.append(Send[Notice](person.conn, rooms.entered(tables, room, person, at)))
        if told := rights.own_mute(tables, room, person, at):
            actions.append(Send(person.conn, told))
        actions.append(Enter(room.audience, person.conn))
    return actions


def go(tables: Tables, person: Person) -> list[Action]:
    """A device is gone, while others of its account are here: nobody is told."""
    account = person.account
    assert account is not None, "it is a device"
    account.present.remove(person)
    lead = account.present[0]
    tables.nicks[account.key] = lead
    for room in person.rooms.values():
        room.members[account.id] = lead
    if person.away:
        return []
    return [Leave(room.audience, person.conn) for room in person.rooms.values()]


# ── Inside ───────────────────────────────────────────────────────────────────────────────────


def no_account(person: Person, request: str) -> Send[Notice]:
    """Tell a guest that something is not for guests."""
    return rejected(person, "no-right", NO_ACCOUNT, request)


def is_unknown(person: Person, request: str) -> Send[Notice]:
    """Tell who comes by a token that it is nobody's."""
    return rejected(person, "unknown-device", UNKNOWN_DEVICE, request)


def password_proof(password: str) -> str:
    """What tells one password's hash from another in the log."""
    return hashlib.sha256(password.encode()).hexdigest() if password else ""


def wrong_password(person: Person) -> Send[Notice]:
    """Tell who has said a wrong one: the same, whether there is such an account or not."""
    return rejected(person, "wrong-password", WRONG_PASSWORD, "login")


def _come_by(tables: Tables, person: Person, device: str, request: str, at: int) -> list[Action]:
    """Come by a device that there is, or be told again that one has."""
    is_so = person.account is not None and person.device == device
    if person.account is not None and not is_so:
        return [_is_device(person, request)]
    account = tables.devices.get(device)
    if account is None:
        return [is_unknown(person, request)]
    if refused := rights.may_not_become(tables, account, at):
        return [rejected(person, *refused, request)]
    actions = [] if is_so else _become(tables, person, account, device, at)
    return [*actions, Send(person.conn, claimed(person))]


def _is_device(person: Person, request: str) -> Send[Notice]:
    text = f"you are {person.nick} already; /quit first"
    return rejected(person, "bad-request", text, request)


def _offer(tables: Tables, account: Account, code: str, at: int, *, is_owners: bool) -> bool:
    """Let a code hold, and where there are too many an older one no more: of the same account, so
    that nobody's are lost by what others do; or of anybody, where the server's owner asks. Whether
    it holds.
    """
    claims, limits = tables.claims, tables.limits
    for each in [each for each, (_, until) in claims.items() if until <= at]:
        del claims[each]
    own = [each for each, (key, _) in claims.items() if key == account.key and each != code]
    for each in own[: max(0, len(own) + 1 - limits.devices)]:
        del claims[each]
    if code not in claims and len(claims) >= limits.claims:
        if not is_owners:
            return False
        del claims[next(iter(claims))]
    claims[code] = (account.key, at + limits.claim_ms)
    return True


def _add_device(tables: Tables, account: Account, device: str, name: str, at: int) -> None:
    account.numbered += 1
    account.devices[device] = Device(account.numbered, name, at)
    tables.devices[device] = account


def _become(tables: Tables, person: Person, account: Account, device: str, at: int) -> list[Action]:
    """A guest that is here becomes a device of an account, with the rooms that it is in, unless the
    account is banned there.

    Where the account is here already the guest leaves them, and comes into those of the account.
    What is said of either, in these rooms and on the server, is of the account from now on.
    """
    rooms_then, bearer = [*person.rooms.values()], person.bearer
    away, name = person.away_text, person.name
    person.reads = None
    is_here = bool(account.present)
    actions = [
        action
        for room in rooms_then
        if is_here or rights.may_not_be_in(room, account, at)
        for action in rooms.out(tables, person, events.Out(room.name, room.key), at)
    ]
    if is_here:
        tables.free_nick(person)
        old = person.nick
        actions += come(tables, person, account, device)
    else:
        actions += _free_nick(tables, account, person)
        actions += naming.rename(tables, person, account.nick, account.key)
        guest = person.id
        person.id, person.account, person.device = account.id, account, device
        account.present.append(person)
        for room in person.rooms.values():
            room.rename_member(guest, account.id)
        if person.rooms:
            signed_in = notices.AccountSet(person.nick, account.nick)
            actions += naming.to_neighbours(person, signed_in, None)
    everywhere = (tables.rules, *[room.rules for room in rooms_then])
    is_muted = [rights.goes_by(rules, bearer, person, at) for rules in everywhere]
    if not is_here:
        return [*actions, *_told_of_mutes(tables, person, at)]
    for each in account.present:
        if any(is_muted) and each is not person and not each.away:
            actions += _told_of_mutes(tables, each, at)
    actions.append(Send(person.conn, notices.Renamed(old, person.nick, own=True)))
    actions += says_of_itself(person, away=away, name=name)
    if told := rights.own_mute(tables, None, person, at):
        actions.append(Send(person.conn, told))
    return [*actions, *arrive(tables, person, at)]


def _told_of_mutes(tables: Tables, person: Person, at: int) -> list[Action]:
    return [Send(person.conn, told) for told in rights.own_mutes(tables, person, at)]


def _free_nick(tables: Tables, account: Account, person: Person | None = None) -> list[Action]:
    """A guest that has the nick of an account, and is not `person`, gets another."""
    holder = tables.nicks.get(account.key)
    if holder is None or holder is person:
        return []
    guest = tables.take_guest_nick()
    actions = naming.rename(tables, holder, guest, guest)
    if not holder.away:
        text = f"{account.nick} is the nickname of somebody who is here now; you are {guest}"
        actions.append(Send(holder.conn, notices.Announced(text)))
    return actions
