"""The whole state as bytes, and back: the same state always gives the same bytes."""

from __future__ import annotations

from collections import OrderedDict, deque

import msgspec

from tcpchat_core.notices import Said, Sent, Told
from tcpchat_core.state.tables import Divergence, Person, Room, StateLimits, Tables


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
    id: int
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


class _Snapshot(msgspec.Struct):
    epoch: str
    limits: StateLimits
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


def dump(tables: Tables) -> bytes:
    """The tables as bytes, for `load`."""
    return msgspec.json.encode(
        _Snapshot(
            epoch=tables.epoch,
            limits=tables.limits,
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


def _person_record(person: Person) -> _PersonRecord:
    return _PersonRecord(
        person.id,
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


def _loaded(record: _Snapshot) -> Tables:
    tables = Tables(record.epoch, record.limits)
    tables.seq = record.seq
    tables.guests = record.guests
    tables.free_guests = record.free_guests  # sorted, so it is a heap
    tables.gone = OrderedDict.fromkeys(record.gone)
    if isinstance(record.divergences, list):
        tables.divergences = record.divergences
    people = {}
    for row in record.people:
        person = people[row.id] = Person(row.id, row.nick, row.key, row.session)
        person.conn, person.number, person.lost = row.conn, row.number, row.lost
        person.told, person.since = row.told, row.since
        person.inbox = deque(row.inbox) or None
        person.inbox_chars = sum(len(told.text) for told in row.inbox)
        person.receipts = dict(row.receipts) or None
        tables.nicks[row.key] = person
        if row.session:
            tables.sessions[row.session] = person
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
        room.history.extend(kept.history)
        room.history_chars = sum(len(said.text) for said in kept.history)
        room.members = {id: people[id] for id in kept.members}
    for row in record.people:
        people[row.id].rooms = {key: tables.rooms[key] for key in row.rooms}
    return tables
