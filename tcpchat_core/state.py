"""ChatState: every rule of rooms, nicks and history. Never bytes, never a clock, never chance.

Rule 1: Entries go in, in the order of the log; actions come out. The same entries give the same
        actions and the same state, on any machine.

Rule 2: `handle` is total. What cannot be done is answered with `Rejected`; an event of somebody
        who is not there (any more) does nothing. Nothing raises.

Rule 3: A room exists while it has a member. Each nick key belongs to one person, each person has
        one nick. A person who has chosen none is guest-N, with the lowest N that is free.

Rule 4: A message gets the next number of its room and goes to every other member; its author gets
        the receipt in the same place of the order. One broadcast does both.

Rule 5: Everything that grows has a bound, and the bounds (`StateLimits`) are part of the state:
        replicas that disagreed about one would disagree about the rest.

All order is the order of insertion in dicts and lists. There are no sets, floats or hashes here
whose order or value could differ between two runs.
"""

from __future__ import annotations

import hashlib
import heapq
from collections import deque
from collections.abc import Iterable
from itertools import islice

import msgspec

from tcpchat_core import events, notices
from tcpchat_core.effects import Action, Audience, Broadcast, Close, Send
from tcpchat_core.events import Entry
from tcpchat_core.names import GUEST_PREFIX
from tcpchat_core.notices import Notice, Reason, Rejected, RoomInfo, Said


class StateLimits(msgspec.Struct, frozen=True):
    """The bounds that `handle` reads.

    With the defaults, the histories of all rooms together hold at most 10,000 rooms of 65,536
    characters, and one person's departure concerns at most 50 rooms.
    """

    rooms_per_person: int = 50
    rooms: int = 10_000
    history_messages: int = 200
    history_chars: int = 65_536
    entered_history: int = 20
    entered_members: int = 500


class Person:
    """One connected person. Seen from outside the state it is read-only."""

    __slots__ = ("conn", "key", "nick", "rooms")

    def __init__(self, conn: int, nick: str, key: str) -> None:
        self.conn = conn
        self.nick = nick
        self.key = key
        self.rooms: dict[str, Room] = {}  # by room key, in the order of joining


class Room:
    """One room. Seen from outside the state it is read-only."""

    __slots__ = (
        "_audience",
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

    def __init__(self, name: str, key: str) -> None:
        self.name = name
        self.key = key
        self.members: dict[int, Person] = {}  # by conn, in the order of joining
        self.seq = 0  # of the last message
        self.topic = ""
        self.topic_nick = ""
        self.topic_at = 0
        self.history: deque[Said] = deque()
        self.history_chars = 0
        self._audience: Audience | None = None

    @property
    def audience(self) -> Audience:
        """The members; the same object until the membership changes."""
        audience = self._audience
        if audience is None:
            audience = self._audience = Audience(tuple(self.members))
        return audience

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
        self.members[person.conn] = person
        person.rooms[self.key] = self
        self._audience = None

    def remove(self, person: Person) -> None:
        """Make `person` a member no more."""
        del self.members[person.conn]
        del person.rooms[self.key]
        self._audience = None

    def keep(self, said: Said, limits: StateLimits) -> None:
        """Add a message to the history and drop the oldest beyond the bounds."""
        history = self.history
        history.append(said)
        self.history_chars += len(said.text)
        while len(history) > limits.history_messages or self.history_chars > limits.history_chars:
            self.history_chars -= len(history.popleft().text)


class ChatState:
    """The state machine. Call `handle` with each entry of the log, in order.

    Reading (`room`, `person`, `rooms`, …) is allowed at any time and changes nothing.
    `epoch` names the log's lineage: numbers of one epoch say nothing about another's.
    """

    def __init__(self, *, epoch: str = "0", limits: StateLimits | None = None) -> None:
        self.epoch = epoch
        self.limits = limits or StateLimits()
        self.seq = 0  # of the last entry
        self._people: dict[int, Person] = {}
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
            return self._connect(conn) if type(event) is events.Connect else []
        match event:
            case events.Say():
                return self._say(person, event, entry.at)
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
                return self._depart(person, event.reason)
            case events.Connect():
                return []

    def _connect(self, conn: int) -> list[Action]:
        if self._free_guests:
            number = heapq.heappop(self._free_guests)
        else:
            number = self._guests = self._guests + 1
        nick = f"{GUEST_PREFIX}{number}"
        self._people[conn] = self._nicks[nick] = Person(conn, nick, nick)
        return [Send(conn, notices.Welcome(nick, self.epoch))]

    def _say(self, person: Person, event: events.Say, at: int) -> list[Action]:
        room = person.rooms.get(event.key)
        if room is None:
            return [Send(person.conn, not_in_room("say", event.room, event.id))]
        room.seq = seq = room.seq + 1
        said = Said(room.name, person.nick, event.text, seq, at, event.emote)
        room.keep(said, self.limits)
        receipt = notices.Sent(at, event.id, room.name, None, seq)
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
            room = self._rooms[event.key] = Room(event.room, event.key)
        if room.key in person.rooms:
            return [Send(person.conn, self._entered(room, at, again=True))]
        room.add(person)
        joined = notices.Joined(room.name, person.nick, room.seq, at)
        return [Broadcast(room.audience, joined, person.conn, self._entered(room, at))]

    def _tell(self, person: Person, event: events.Tell, at: int) -> list[Action]:
        other = self._nicks.get(event.key)
        if other is None:
            text = f"there is nobody called {event.nick}"
            return [_rejected(person, "no-such-nick", text, "tell", event.id)]
        return [
            Send(other.conn, notices.Told(person.nick, event.text, at)),
            Send(person.conn, notices.Sent(at, event.id, None, other.nick)),
        ]

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
        del self._people[person.conn]
        return told

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
                    _PersonRecord(person.conn, person.nick, person.key, list(person.rooms))
                    for person in self._people.values()
                ],
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
        for row in record.people:
            person = Person(row.conn, row.nick, row.key)
            state._people[row.conn] = state._nicks[row.key] = person
        for kept in record.rooms:
            room = state._rooms[kept.key] = Room(kept.name, kept.key)
            room.seq = kept.seq
            room.topic, room.topic_nick = kept.topic, kept.topic_nick
            room.topic_at = kept.topic_at
            room.history.extend(kept.history)
            room.history_chars = sum(len(said.text) for said in kept.history)
            room.members = {conn: state._people[conn] for conn in kept.members}
        for row in record.people:
            state._people[row.conn].rooms = {key: state._rooms[key] for key in row.rooms}
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
    conn: int
    nick: str
    key: str
    rooms: list[str]


class _Snapshot(msgspec.Struct):
    epoch: str
    limits: StateLimits
    seq: int
    guests: int
    free_guests: list[int]
    rooms: list[_RoomRecord]
    people: list[_PersonRecord]


def _tell_neighbours(person: Person, notice: Notice, own: Notice | None) -> list[Action]:
    """Tell everybody who shares a room with `person` once, and `person` its own copy."""
    rooms = list(person.rooms.values())
    if not rooms:
        return [Send(person.conn, own)] if own else []
    if len(rooms) == 1:
        audience = rooms[0].audience
    else:
        conns = dict.fromkeys(conn for room in rooms for conn in room.members)
        audience = Audience(tuple(conns))
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
