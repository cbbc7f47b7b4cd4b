"""The whole state as bytes, and back: the same state always gives the same bytes."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable
from typing import Final

import msgspec

from tcpchat_core.events import Seen
from tcpchat_core.notices import Act, Left, Said, Sent, Told, kept_chars
from tcpchat_core.state.restrictions import Restriction
from tcpchat_core.state.tables import (
    LIMITS,
    Account,
    Device,
    Divergence,
    Mark,
    Person,
    Room,
    Rules,
    StateLimits,
    Tables,
)


class _RoomRecord(msgspec.Struct, array_like=True):
    name: str
    key: str
    members: list[int]
    seq: int
    topic: str
    topic_nick: str
    topic_at: int
    history: list[Said]
    born: int
    standing: bool


class _PersonRecord(msgspec.Struct, array_like=True):
    seat: int
    conn: int
    number: int
    lost: str
    session: str
    nick: str
    key: str
    rooms: list[str]
    since: dict[str, int]
    told: int
    inbox: list[Told]
    receipts: list[tuple[str, Sent]]


class _RoomModeration(msgspec.Struct, omit_defaults=True):
    """What there is of a room beyond `_RoomRecord`: of most rooms nothing."""

    key: str
    moderators: tuple[int, ...] = ()
    bans: tuple[Restriction, ...] = ()
    mutes: tuple[Restriction, ...] = ()
    slow_ms: int = 0
    moderated: bool = False
    private: bool = False
    opened: int = 0
    # Pairs, because their order counts.
    spoke: tuple[tuple[str, int], ...] = ()
    invited: tuple[tuple[str, int], ...] = ()
    codes: tuple[tuple[str, int], ...] = ()
    owners: tuple[int, ...] = ()
    secret: str = ""
    topic_locked: bool = False
    unlisted: bool = False


class _PersonModeration(msgspec.Struct, omit_defaults=True):
    """What there is of a person beyond `_PersonRecord`."""

    seat: int
    origin: str = ""
    put_out: tuple[tuple[str, Left], ...] = ()
    speaks: dict[str, int] = {}
    away: str = ""
    name: str = ""
    user: str = ""
    acknowledged: Seen | None = None


class _AccountRecord(msgspec.Struct, array_like=True):
    """`present` has the seat of each device that is here or away, and the hash of its token."""

    id: int
    nick: str
    key: str
    is_admin: bool
    numbered: int
    devices: list[tuple[str, Device]]
    present: list[tuple[int, str]]
    reads: list[tuple[str, int]] = []
    password: str = ""


class _Snapshot(msgspec.Struct):
    epoch: str
    limits: dict[str, int]
    seq: int
    guests: int
    free_guests: list[int]
    rooms: list[_RoomRecord]
    people: list[_PersonRecord]
    away: list[str]
    gone: list[int] = []
    # Not there at all unless there is any, so that a state without has the digest that it had
    # before there were such.
    divergences: list[Divergence] | msgspec.UnsetType = msgspec.UNSET
    # The same holds for these, room by room and person by person.
    moderation: list[_RoomModeration] | msgspec.UnsetType = msgspec.UNSET
    moderated: list[_PersonModeration] | msgspec.UnsetType = msgspec.UNSET
    accounts: list[_AccountRecord] | msgspec.UnsetType = msgspec.UNSET
    claims: list[tuple[str, str, int]] | msgspec.UnsetType = msgspec.UNSET
    # Of the whole server: bans, and mutes.
    restrictions: tuple[tuple[Restriction, ...], tuple[Restriction, ...]] | msgspec.UnsetType = (
        msgspec.UNSET
    )
    acts: list[Act] | msgspec.UnsetType = msgspec.UNSET
    # By id: how far accounts have read whose times are known, and guests.
    reads: list[tuple[int, list[tuple[str, int, int]]]] | msgspec.UnsetType = msgspec.UNSET


# The bounds that there were from the first: the others are left out where they are as usual.
_FIRST_LIMITS: Final = LIMITS[: LIMITS.index("gone") + 1]
_USUAL: Final = StateLimits()


def dump(tables: Tables) -> bytes:
    """The tables as bytes, for `load`."""
    return msgspec.json.encode(
        _Snapshot(
            epoch=tables.epoch,
            limits=_limits(tables.limits),
            seq=tables.seq,
            guests=tables.guests,
            free_guests=sorted(tables.free_guests),
            rooms=[_room_record(room) for room in tables.rooms.values()],
            people=[
                _person_record(person)
                for person in (*tables.people.values(), *tables.away.values())
            ],
            away=list(tables.away),
            gone=list(tables.gone),
            divergences=tables.divergences or msgspec.UNSET,
            moderation=[
                moderation
                for room in tables.rooms.values()
                if (moderation := _room_moderation(room)) is not None
            ]
            or msgspec.UNSET,
            moderated=[
                moderated
                for person in (*tables.people.values(), *tables.away.values())
                if (moderated := _person_moderation(person)) is not None
            ]
            or msgspec.UNSET,
            accounts=[_account_record(account) for account in tables.accounts.values()]
            or msgspec.UNSET,
            claims=[(code, *claim) for code, claim in tables.claims.items()] or msgspec.UNSET,
            restrictions=(tables.rules.bans.all(), tables.rules.mutes.all())
            if tables.rules
            else msgspec.UNSET,
            acts=list(tables.acts) or msgspec.UNSET,
            reads=_reads(tables) or msgspec.UNSET,
        )
    )


def load(snapshot: bytes) -> Tables:
    """The tables that `snapshot` was taken of. Raises ValueError for bytes that are no snapshot.

    All audiences are empty: the people of a snapshot are connected nowhere, or elsewhere.
    """
    record = msgspec.json.decode(snapshot, type=_Snapshot)
    try:
        return _loaded(record)
    except KeyError as error:
        raise ValueError(f"the snapshot refers to {error}, which it does not hold") from error


def _room_record(room: Room) -> _RoomRecord:
    return _RoomRecord(
        room.name,
        room.key,
        list(room.members),
        room.seq,
        room.topic,
        room.topic_nick,
        room.topic_at,
        list(room.history),
        room.born,
        room.standing,
    )


def _room_moderation(room: Room) -> _RoomModeration | None:
    rules = room.rules or Rules()
    if rules.are_none and not room.moderators and not room.opened:
        return None
    return _RoomModeration(
        room.key,
        room.moderators,
        rules.bans.all(),
        rules.mutes.all(),
        rules.slow_ms,
        rules.moderated,
        rules.private,
        room.opened,
        tuple(rules.spoke.items()),
        tuple(rules.invited.items()),
        tuple(rules.codes.items()),
        room.owners,
        rules.secret,
        rules.topic_locked,
        rules.unlisted,
    )


def _person_moderation(person: Person) -> _PersonModeration | None:
    said = (person.away_text, person.name, person.user, person.acknowledged)
    if not (person.origin or person.put_out or person.speaks or any(said)):
        return None
    put_out = tuple((person.put_out or {}).items())
    return _PersonModeration(person.seat, person.origin, put_out, person.speaks, *said)


def _account_record(account: Account) -> _AccountRecord:
    return _AccountRecord(
        account.id,
        account.nick,
        account.key,
        account.is_admin,
        account.numbered,
        [*account.devices.items()],
        [(person.seat, person.device) for person in account.present],
        [(key, mark.seq) for key, mark in account.reads.items()],
        account.password,
    )


def _reads(tables: Tables) -> list[tuple[int, list[tuple[str, int, int]]]]:
    people = (*tables.people.values(), *tables.away.values())
    found = [(account.id, account.reads) for account in tables.accounts.values()]
    found = [(id, reads) for id, reads in found if any(mark.at for mark in reads.values())]
    found += [(person.id, person.reads) for person in people if person.reads]
    return [(id, [(key, *mark) for key, mark in reads.items()]) for id, reads in found]


def _limits(limits: StateLimits) -> dict[str, int]:
    return {
        name: value
        for name, value in msgspec.structs.asdict(limits).items()
        if name in _FIRST_LIMITS or value != getattr(_USUAL, name)
    }


def _person_record(person: Person) -> _PersonRecord:
    return _PersonRecord(
        person.seat,
        person.conn,
        person.number,
        person.lost,
        person.session,
        person.nick,
        person.key,
        list(person.rooms),
        person.since,
        person.told,
        list(person.inbox or ()),
        list((person.receipts or {}).items()),
    )


def _rules(record: _RoomModeration) -> Rules:
    rules = Rules()
    for table, rows in ((rules.bans, record.bans), (rules.mutes, record.mutes)):
        for each in rows:
            table.add(each)
    rules.slow_ms, rules.moderated, rules.private = (
        record.slow_ms,
        record.moderated,
        record.private,
    )
    rules.spoke, rules.invited = dict(record.spoke), dict(record.invited)
    rules.codes, rules.secret = dict(record.codes), record.secret
    rules.topic_locked, rules.unlisted = record.topic_locked, record.unlisted
    return rules


def _server_rules(bans: tuple[Restriction, ...], mutes: tuple[Restriction, ...]) -> Rules:
    return _rules(_RoomModeration("", bans=bans, mutes=mutes))


def _load_accounts(
    tables: Tables, people: dict[int, Person], records: Iterable[_AccountRecord]
) -> None:
    for each in records:
        account = tables.add_account(Account(each.id, each.nick, each.key))
        account.is_admin, account.numbered = each.is_admin, each.numbered
        account.password = each.password
        account.devices = dict(each.devices)
        account.reads = {key: Mark(seq) for key, seq in each.reads}
        tables.devices.update(dict.fromkeys(account.devices, account))
        for seat, device in each.present:
            person = people[seat]
            person.id, person.account, person.device = account.id, account, device
            account.present.append(person)
        if account.present:
            tables.nicks[account.key] = account.present[0]


def _loaded(record: _Snapshot) -> Tables:
    known = {name: record.limits[name] for name in LIMITS if name in record.limits}
    tables = Tables(record.epoch, msgspec.structs.replace(_USUAL, **known))
    tables.seq = record.seq
    tables.guests = record.guests
    tables.free_guests = record.free_guests  # sorted, so it is a heap
    tables.gone = OrderedDict.fromkeys(record.gone)
    if isinstance(record.divergences, list):
        tables.divergences = record.divergences
    people = {}  # by seat
    for row in record.people:
        person = people[row.seat] = Person(row.seat, row.nick, row.key, row.session)
        person.conn, person.number, person.lost = row.conn, row.number, row.lost
        person.told, person.since = row.told, row.since
        person.inbox = deque(row.inbox) or None
        person.inbox_chars = sum(map(kept_chars, row.inbox))
        person.receipts = dict(row.receipts) or None
        tables.nicks[row.key] = person
        if row.session:
            tables.sessions[row.session] = person
    _load_accounts(tables, people, record.accounts or ())
    tables.claims = {code: (key, until) for code, key, until in record.claims or ()}
    if isinstance(record.restrictions, tuple):
        tables.rules = _server_rules(*record.restrictions)
    tables.acts.extend(record.acts or ())
    for id, rows in record.reads or ():
        owner = people[id] if id in people else tables.owning[id]
        owner.reads = {key: Mark(seq, at) for key, seq, at in rows}
    # By id, of which all devices of one account have the same: the first of them counts.
    members = {person.id: person.everywhere[0] for person in people.values()}
    for session in record.away:
        person = tables.away[session] = tables.sessions[session]
        person.away = True
    for person in people.values():
        if not person.away:
            tables.people[person.conn] = person
    for kept in record.rooms:
        room = tables.rooms[kept.key] = Room(kept.name, kept.key, kept.seq)
        room.born, room.standing = kept.born, kept.standing
        room.topic, room.topic_nick = kept.topic, kept.topic_nick
        room.topic_at = kept.topic_at
        room.restore(kept.history)
        room.members = {id: members[id] for id in kept.members}
    for row in record.people:
        people[row.seat].rooms = {key: tables.rooms[key] for key in row.rooms}
    for restricted in record.moderation or ():
        room = tables.rooms[restricted.key]
        room.moderators, room.owners = restricted.moderators, restricted.owners
        room.opened = restricted.opened
        rules = _rules(restricted)
        room.rules = None if rules.are_none else rules
    for moderated in record.moderated or ():
        person = people[moderated.seat]
        person.origin = moderated.origin
        person.put_out = dict(moderated.put_out) or None
        person.speaks, person.away_text = dict(moderated.speaks), moderated.away
        person.name, person.user = moderated.name, moderated.user
        person.acknowledged = moderated.acknowledged
    return tables
