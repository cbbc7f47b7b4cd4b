"""ChatState: every rule of rooms, nicks and history. Never bytes, never a clock, never chance.

Rule 1: Entries go in, in the order of the log; actions come out. The same entries give the same
        actions and the same state, on any machine.

Rule 2: `handle` is total. What cannot be done is answered with `Rejected`; an event of somebody
        who is not there (any more) does nothing. Nothing raises.

Rule 3: A room exists while it has a member. Each nick key belongs to one person, each person has
        one nick. A person who has chosen none is guest-N, with the lowest N that is free.

Rule 4: A message gets the next number of its room and goes to every other member; its author gets
        the receipt in the same place of the order. One broadcast does both.

Rule 5: A person whose session can be resumed and whose connection is lost stays, silently, until
        the session is resumed or expires. A resumed session is sent exactly what it has not seen,
        in order, or is told of the gap; its place in its rooms and the connection they are sent to
        change in one step, so nothing falls between.

Rule 6: A message's id is remembered for a while; the same id again gives the same receipt again,
        and nothing is said.

Rule 7: Everything that grows has a bound, and the bounds (`StateLimits`) are part of the state:
        replicas that disagreed about one would disagree about the rest.

All order is the order of insertion in dicts and lists. There are no sets, floats or hashes here
whose order or value could differ between two runs.
"""

from __future__ import annotations

import hashlib
import heapq
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import assert_never

import msgspec

from tcpchat_core import events, notices
from tcpchat_core.effects import Action, Audience, Broadcast, Close, Lineage, Send
from tcpchat_core.events import Entry, Say
from tcpchat_core.names import GUEST_PREFIX
from tcpchat_core.notices import Notice, Reason, Rejected, RoomInfo, Said, Sent, Told


class StateLimits(msgspec.Struct, frozen=True):
    """The bounds that `handle` reads.

    `receipts` is how many messages of one session may be unacknowledged at a time, and twice as
    many ids are remembered; `inbox` how many direct messages are kept for one that is away; `away`
    how many sessions may be without a connection: beyond it the one that is away longest ends.
    """

    rooms_per_person: int = 50
    rooms: int = 10_000
    history_messages: int = 200
    history_chars: int = 65_536
    entered_history: int = 20
    entered_members: int = 500
    receipts: int = 64
    inbox: int = 100
    away: int = 10_000


class Person:
    """One person: a connection, or a session that waits to be resumed. Read-only from outside.

    `id` is the connection that the person came on, and names the person for ever; `conn` is the
    connection now, or the last one while `away`.
    """

    __slots__ = (
        "away",
        "conn",
        "id",
        "inbox",
        "key",
        "nick",
        "receipts",
        "rooms",
        "session",
        "since",
        "told",
    )

    def __init__(self, conn: int, nick: str, key: str, session: str) -> None:
        self.id = conn
        self.conn = conn
        self.away = False
        self.session = session  # the hash of its token; "" when it cannot be resumed
        self.nick = nick
        self.key = key
        self.rooms: dict[str, Room] = {}  # by room key, in the order of joining
        self.since: dict[str, int] = {}  # by room key, when resumable: the seq at joining
        self.told = 0  # how many direct messages it was sent
        # Of the direct messages the last ones, and of the receipts those with an id. Most people
        # have neither, so there is no container until there is something in it.
        self.inbox: deque[Told] | None = None
        self.receipts: dict[str, Sent] | None = None


class Room:
    """One room. Seen from outside the state it is read-only.

    Its messages are numbered on from the log's number of the entry that made the room. So the
    numbers of a room that vanished and came back go on above its earlier ones, and what a client
    has seen of its earlier life is never taken for the new one.
    """

    __slots__ = (
        "_audience",
        "_lineage",
        "history",
        "history_chars",
        "key",
        "members",
        "name",
        "seq",
        "topic",
        "topic_at",
        "topic_nick",
    )

    def __init__(self, name: str, key: str, seq: int) -> None:
        self.name = name
        self.key = key
        self.members: dict[int, Person] = {}  # by id, in the order of joining
        self.seq = seq  # of the last message
        self.topic = ""
        self.topic_nick = ""
        self.topic_at = 0
        self.history: deque[Said] = deque()
        self.history_chars = 0
        self._audience: Audience | None = None
        self._lineage = Lineage()

    @property
    def audience(self) -> Audience:
        """The members that are connected; the same object until that changes."""
        audience = self._audience
        if audience is None:
            audience = self._audience = Audience(_conns(self.members.values()), self._lineage)
        return audience

    def audience_changed(self) -> None:
        """Some member is connected elsewhere, or not any more."""
        self._audience = None

    def nicks(self, limit: int | None = None) -> tuple[str, ...]:
        """The members' nicks in the order of joining, at most `limit` of them."""
        return tuple([person.nick for person in islice(self.members.values(), limit)])

    def messages(self, before: int | None, limit: int) -> tuple[Said, ...]:
        """Of the history, the last `limit` messages whose number is below `before`."""
        end = len(self.history)
        if before is not None:
            end = min(end, max(0, end - (self.seq + 1 - before)))
        return tuple(islice(self.history, max(0, end - max(0, limit)), end))

    def add(self, person: Person) -> None:
        """Make `person` a member."""
        self.members[person.id] = person
        person.rooms[self.key] = self
        if person.session:
            person.since[self.key] = self.seq
        if self._audience is not None:  # whose order is that of the members
            self._audience = Audience((*self._audience.conns, person.conn), self._lineage)

    def remove(self, person: Person) -> None:
        """Make `person` a member no more."""
        del self.members[person.id]
        del person.rooms[self.key]
        person.since.pop(self.key, None)
        self._audience = None

    def say(self, nick: str, event: Say, at: int, limits: StateLimits) -> Said:
        """Number a message and add it to the history; drop the oldest beyond the bounds."""
        self.seq = seq = self.seq + 1
        said = Said(self.name, nick, event.text, seq, at, event.emote)
        history = self.history
        history.append(said)
        chars = self.history_chars + len(said.text)
        while len(history) > limits.history_messages or chars > limits.history_chars:
            chars -= len(history.popleft().text)
        self.history_chars = chars
        return said


class ChatState:
    """The state machine. Call `handle` with each entry of the log, in order.

    Reading (`room`, `person`, `rooms`, …) is allowed at any time and changes nothing.
    `epoch` names the log's lineage: numbers of one epoch say nothing about another's.
    """

    def __init__(self, *, epoch: str = "0", limits: StateLimits | None = None) -> None:
        self.epoch = epoch
        self.limits = limits or StateLimits()
        self.seq = 0  # of the last entry
        self._people: dict[int, Person] = {}  # by connection: those who are not away
        self._sessions: dict[str, Person] = {}
        self._away: dict[str, Person] = {}  # by session, in the order of going
        self._nicks: dict[str, Person] = {}
        self._rooms: dict[str, Room] = {}
        self._guests = 0  # the highest N ever given
        self._free_guests: list[int] = []  # a heap of the N below it that are free

    # ── Reading ──────────────────────────────────────────────────────────────────────────────

    @property
    def people(self) -> int:
        """How many people are connected."""
        return len(self._people)

    def person(self, conn: int) -> Person | None:
        """Who speaks on a connection."""
        return self._people.get(conn)

    def away(self, session: str) -> Person | None:
        """Whose session waits to be resumed."""
        return self._away.get(session)

    def room(self, key: str) -> Room | None:
        """The room with a key."""
        return self._rooms.get(key)

    def rooms(self) -> Iterable[Room]:
        """All rooms, in the order of their creation."""
        return self._rooms.values()

    # ── The transition function ──────────────────────────────────────────────────────────────

    def handle(self, entry: Entry) -> list[Action]:
        """Apply one entry of the log; return what is to be done, in order. Never raises.

        An entry that the state has seen already (its `seq` is not above the last one's) does
        nothing, so a log may be replayed from before a snapshot.
        """
        if entry.seq <= self.seq:
            return []
        self.seq = entry.seq
        conn, event = entry.conn, entry.event
        person = self._people.get(conn)
        if person is None:
            match event:
                case events.Connect(session):
                    return self._connect(conn, session)
                case events.Resume():
                    return self._resume(conn, event)
                case events.Expire():
                    return self._expire(conn, event)
                case _:
                    return []
        if isinstance(event, Say):  # by far the most frequent
            return self._say(person, event, entry.at)
        match event:
            case events.Join():
                return self._join(person, event, entry.at)
            case events.Tell():
                return self._tell(person, event, entry.at)
            case events.Nick():
                return self._nick(person, event)
            case events.Topic():
                return self._topic(person, event, entry.at)
            case events.Out():
                return self._out(person, event)
            case events.Quit():
                bye = Send(conn, notices.Closing("bye"))
                return [*self._depart(person, event.reason), bye, Close(conn)]
            case events.Disconnect():
                return self._disconnect(person, event.reason)
            case events.Connect() | events.Resume() | events.Expire():
                return []
            case _:
                assert_never(event)

    def handle_all(self, entries: Iterable[Entry]) -> list[Action]:
        """Apply the next entries of the log: what `handle` gives for each, in order.

        Of messages that one person says to one room in a row, each but the first costs less.
        """
        actions: list[Action] = []
        person: Person | None = None
        room: Room | None = None  # that the last entry was said to, by `person`
        for entry in entries:
            event = entry.event
            if (
                room is not None
                and person is not None
                and isinstance(event, Say)
                and event.key == room.key
                and entry.conn == person.conn
                and event.id is None
                and entry.seq > self.seq
            ):
                self.seq = entry.seq
                said = room.say(person.nick, event, entry.at, self.limits)
                receipt = Sent(entry.at, None, room.name, None, said.seq)
                actions.append(Broadcast(room.audience, said, person.conn, receipt))
                continue
            actions += self.handle(entry)
            person = self._people.get(entry.conn) if isinstance(event, Say) else None
            room = person.rooms.get(event.key) if person and isinstance(event, Say) else None
        return actions

    def _connect(self, conn: int, session: str) -> list[Action]:
        if self._free_guests:
            number = heapq.heappop(self._free_guests)
        else:
            number = self._guests = self._guests + 1
        nick = f"{GUEST_PREFIX}{number}"
        if session in self._sessions:  # a secret that is not one names nobody
            session = ""
        person = Person(conn, nick, nick, session)
        self._people[conn] = self._nicks[nick] = person
        if session:
            self._sessions[session] = person
        return [Send(conn, notices.Welcome(nick, self.epoch))]

    def _say(self, person: Person, event: Say, at: int) -> list[Action]:
        room, id = person.rooms.get(event.key), event.id
        if id is not None and person.receipts and id in person.receipts:
            return [Send(person.conn, person.receipts[id])]
        if room is None:
            return [Send(person.conn, not_in_room("say", event.room, id))]
        said = room.say(person.nick, event, at, self.limits)
        receipt = Sent(at, id, room.name, None, said.seq)
        if id is not None:
            self._remember(person, id, receipt)
        return [Broadcast(room.audience, said, person.conn, receipt)]

    def _join(self, person: Person, event: events.Join, at: int) -> list[Action]:
        room = person.rooms.get(event.key) or self._rooms.get(event.key)
        if room is None or room.key not in person.rooms:
            if len(person.rooms) >= self.limits.rooms_per_person:
                text = f"you are in {len(person.rooms)} rooms; /out of one before you join another"
                return [_rejected(person, "too-many-rooms", text, "join")]
            if room is None and len(self._rooms) >= self.limits.rooms:
                text = (
                    f"the server has all the {len(self._rooms)} rooms it can hold; join one of them"
                )
                return [_rejected(person, "rooms-full", text, "join")]
        if room is None:
            room = self._rooms[event.key] = Room(event.room, event.key, self.seq)
        if room.key in person.rooms:
            return [Send(person.conn, self._entered(room, at, again=True))]
        room.add(person)
        joined = notices.Joined(room.name, person.nick, room.seq, at)
        return [Broadcast(room.audience, joined, person.conn, self._entered(room, at))]

    def _tell(self, person: Person, event: events.Tell, at: int) -> list[Action]:
        id = event.id
        if id is not None and person.receipts and id in person.receipts:
            return [Send(person.conn, person.receipts[id])]
        other = self._nicks.get(event.key)
        if other is None:
            text = f"there is nobody called {event.nick}"
            return [_rejected(person, "no-such-nick", text, "tell", id)]
        other.told += 1
        told = Told(person.nick, event.text, other.told, at)
        if other.session:
            if other.inbox is None:
                other.inbox = deque()
            other.inbox.append(told)
            if len(other.inbox) > self.limits.inbox:
                other.inbox.popleft()
        receipt = Sent(at, id, None, other.nick)
        if id is not None:
            self._remember(person, id, receipt)
        actions: list[Action] = [] if other.away else [Send(other.conn, told)]
        return [*actions, Send(person.conn, receipt)]

    def _nick(self, person: Person, event: events.Nick) -> list[Action]:
        holder = self._nicks.get(event.key)
        if holder is not None and holder is not person:
            text = f"the nickname {holder.nick} is taken"
            return [_rejected(person, "nick-in-use", text, "nick")]
        if event.key.startswith(GUEST_PREFIX):  # only `_connect` gives these
            text = f"the nickname {event.nick} is reserved; choose another"
            return [_rejected(person, "reserved-name", text, "nick")]
        old = person.nick
        self._free_nick(person)
        person.nick, person.key = event.nick, event.key
        self._nicks[event.key] = person
        own = notices.Renamed(old, event.nick, own=True)
        if old == event.nick:
            return [Send(person.conn, own)]
        return _tell_neighbours(person, notices.Renamed(old, event.nick), own)

    def _topic(self, person: Person, event: events.Topic, at: int) -> list[Action]:
        room = person.rooms.get(event.key)
        if room is None:
            return [Send(person.conn, not_in_room("topic", event.room))]
        room.topic, room.topic_nick, room.topic_at = event.topic or "", person.nick, at
        told = notices.TopicSet(room.name, room.topic, person.nick, room.seq, at)
        return [Broadcast(room.audience, told, person.conn, told)]

    def _out(self, person: Person, event: events.Out) -> list[Action]:
        room = person.rooms.get(event.key)
        if room is None:
            return [Send(person.conn, not_in_room("out", event.room))]
        audience = room.audience  # of those who were there, the leaver included
        self._leave(person, room)
        left = notices.Left(room.name, person.nick)
        own = notices.Left(room.name, person.nick, own=True)
        return [Broadcast(audience, left, person.conn, own)]

    def _depart(self, person: Person, reason: str) -> list[Action]:
        told = _tell_neighbours(person, notices.Gone(person.nick, reason), None)
        for room in tuple(person.rooms.values()):
            self._leave(person, room)
        self._free_nick(person)
        self._sessions.pop(person.session, None)
        if person.away:
            del self._away[person.session]
        else:
            del self._people[person.conn]
        return told

    # ── Sessions ─────────────────────────────────────────────────────────────────────────────

    def _disconnect(self, person: Person, reason: str) -> list[Action]:
        if not person.session:
            return self._depart(person, reason)
        del self._people[person.conn]
        person.away = True
        self._away[person.session] = person
        for room in person.rooms.values():
            room.audience_changed()
        if len(self._away) > self.limits.away:
            return self._depart(next(iter(self._away.values())), reason)
        return []

    def _expire(self, conn: int, event: events.Expire) -> list[Action]:
        person = self._away.get(event.session)
        # It may have been resumed, and lost again, since the grace of this connection began.
        if person is None or person.conn != conn:
            return []
        return self._depart(person, event.reason)

    def _resume(self, conn: int, event: events.Resume) -> list[Action]:
        person = self._sessions.get(event.session)
        if person is None:
            return self._connect(conn, event.fresh)
        actions: list[Action] = []
        if person.away:
            person.away = False
            del self._away[event.session]
        else:  # the older connection does not know yet that it is dead, or it is another program
            del self._people[person.conn]
            taken = notices.Closing("this session was resumed on another connection")
            actions += [Send(person.conn, taken), Close(person.conn)]
        person.conn = conn
        self._people[conn] = person
        for room in person.rooms.values():
            room.audience_changed()
        rooms = tuple(self._room_state(room) for room in person.rooms.values())
        actions.append(Send(conn, notices.Resumed(person.nick, rooms, self.epoch)))
        missed = _missed("", person.told, event.told, person.inbox or ())
        actions += [Send(conn, notice) for notice in missed]
        own = {(receipt.room, receipt.seq): id for id, receipt in (person.receipts or {}).items()}
        for key, room in person.rooms.items():
            # Nothing of before it joined: it may not have been told yet that it did, or that it
            # had left and joined again.
            seen = max(event.seen.get(key, 0), person.since[key])
            for notice in _missed(room.name, room.seq, seen, room.history):
                id = own.get((room.name, notice.seq)) if isinstance(notice, Said) else None
                told = msgspec.structs.replace(notice, id=id) if id else notice
                actions.append(Send(conn, told))
        return actions

    def _remember(self, person: Person, id: str, receipt: Sent) -> None:
        if person.receipts is None:
            person.receipts = {}
        person.receipts[id] = receipt
        # Since the oldest without a receipt came, not only what was said after it may have been
        # taken in, but also what was said before it: a message that was refused at first, and
        # whose refusal was lost, comes again. Each is less than a window.
        if len(person.receipts) > 2 * self.limits.receipts:
            del person.receipts[next(iter(person.receipts))]

    # ── Parts of the transitions ─────────────────────────────────────────────────────────────

    def _leave(self, person: Person, room: Room) -> None:
        room.remove(person)
        if not room.members:
            del self._rooms[room.key]

    def _free_nick(self, person: Person) -> None:
        del self._nicks[person.key]
        if person.key.startswith(GUEST_PREFIX):
            heapq.heappush(self._free_guests, int(person.key.removeprefix(GUEST_PREFIX)))

    def _entered(self, room: Room, at: int, *, again: bool = False) -> notices.Entered:
        told = 0 if again else self.limits.entered_history
        return notices.Entered(
            room.name,
            room.nicks(self.limits.entered_members),
            len(room.members),
            room.seq,
            at,
            room.topic,
            room.messages(None, told),
            again,
        )

    def _room_state(self, room: Room) -> notices.RoomState:
        nicks = room.nicks(self.limits.entered_members)
        return notices.RoomState(room.name, nicks, len(room.members), room.seq, room.topic)

    # ── The whole state as a value ───────────────────────────────────────────────────────────

    def snapshot(self) -> bytes:
        """The state as bytes, for `restore`: the same state always gives the same bytes."""
        return msgspec.json.encode(
            _Snapshot(
                epoch=self.epoch,
                limits=self.limits,
                seq=self.seq,
                guests=self._guests,
                free_guests=sorted(self._free_guests),
                rooms=[
                    _RoomRecord(
                        room.name,
                        room.key,
                        list(room.members),
                        room.seq,
                        room.topic,
                        room.topic_nick,
                        room.topic_at,
                        list(room.history),
                    )
                    for room in self._rooms.values()
                ],
                people=[
                    _PersonRecord(
                        person.id,
                        person.conn,
                        person.session,
                        person.nick,
                        person.key,
                        list(person.rooms),
                        person.since,
                        person.told,
                        list(person.inbox or ()),
                        list((person.receipts or {}).items()),
                    )
                    for person in (*self._people.values(), *self._away.values())
                ],
                away=list(self._away),
            )
        )

    @classmethod
    def restore(cls, snapshot: bytes) -> ChatState:
        """The state that `snapshot` was taken of.

        Raises ValueError for bytes that are no snapshot.
        """
        record = msgspec.json.decode(snapshot, type=_Snapshot)
        try:
            return cls._restored(record)
        except KeyError as error:
            raise ValueError(f"the snapshot refers to {error}, which it does not hold") from error

    @classmethod
    def _restored(cls, record: _Snapshot) -> ChatState:
        state = cls(epoch=record.epoch, limits=record.limits)
        state.seq = record.seq
        state._guests = record.guests
        state._free_guests = record.free_guests  # sorted, so it is a heap
        people = {}
        for row in record.people:
            person = people[row.id] = Person(row.id, row.nick, row.key, row.session)
            person.conn, person.told, person.since = row.conn, row.told, row.since
            person.inbox = deque(row.inbox) or None
            person.receipts = dict(row.receipts) or None
            state._nicks[row.key] = person
            if row.session:
                state._sessions[row.session] = person
        for session in record.away:
            person = state._away[session] = state._sessions[session]
            person.away = True
        for person in people.values():
            if not person.away:
                state._people[person.conn] = person
        for kept in record.rooms:
            room = state._rooms[kept.key] = Room(kept.name, kept.key, kept.seq)
            room.topic, room.topic_nick = kept.topic, kept.topic_nick
            room.topic_at = kept.topic_at
            room.history.extend(kept.history)
            room.history_chars = sum(len(said.text) for said in kept.history)
            room.members = {id: people[id] for id in kept.members}
        for row in record.people:
            people[row.id].rooms = {key: state._rooms[key] for key in row.rooms}
        return state

    def digest(self) -> str:
        """A name for the state: 64 hexadecimal digits, the SHA-256 of its snapshot."""
        return hashlib.sha256(self.snapshot()).hexdigest()


class _RoomRecord(msgspec.Struct, array_like=True):
    name: str
    key: str
    members: list[int]
    seq: int
    topic: str
    topic_nick: str
    topic_at: int
    history: list[Said]


class _PersonRecord(msgspec.Struct, array_like=True):
    id: int
    conn: int
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


def _conns(people: Iterable[Person]) -> tuple[int, ...]:
    return tuple([person.conn for person in people if not person.away])


def _missed(
    room: str, last: int, seen: int, kept: Sequence[Said] | Sequence[Told]
) -> Iterator[Notice]:
    """What was numbered after `seen`, up to `last`; first a gap, when not all of it is kept."""
    missed = max(0, last - seen)
    if missed > len(kept):
        yield notices.Gap(room, last - len(kept) + 1)
    yield from islice(kept, max(0, len(kept) - missed), len(kept))


def _tell_neighbours(person: Person, notice: Notice, own: Notice | None) -> list[Action]:
    """Tell everybody who shares a room with `person` once, and `person` its own copy."""
    rooms = list(person.rooms.values())
    if not rooms:
        return [Send(person.conn, own)] if own else []
    if len(rooms) == 1:
        audience = rooms[0].audience
    else:
        people = {id: member for room in rooms for id, member in room.members.items()}
        audience = Audience(_conns(people.values()))
    return [Broadcast(audience, notice, person.conn, own)]


def _rejected(
    person: Person, reason: Reason, text: str, request: str, id: str | None = None
) -> Send[Notice]:
    return Send(person.conn, Rejected(reason, text, request, id))


def not_in_room(request: str, room: str, id: str | None = None) -> Rejected:
    """The refusal of what only members may do."""
    return Rejected("not-in-room", f"you are not in {room}; /join {room} first", request, id)


def room_list(state: ChatState, limit: int) -> notices.RoomList:
    """The rooms there are, fullest first, then by name; at most `limit` of them."""
    rooms = heapq.nsmallest(limit, state.rooms(), key=lambda room: (-len(room.members), room.key))
    infos = tuple(RoomInfo(room.name, len(room.members), room.topic) for room in rooms)
    return notices.RoomList(infos, max(0, sum(1 for _ in state.rooms()) - len(infos)))
