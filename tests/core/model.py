"""The naive model: chat as dictionaries and loops, with no thought of speed.

`Model.apply` says, for one entry of a log, exactly what each connection must be told. The text
of a `Rejected` is for people and is left out of comparisons.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import msgspec

from tcpchat_core import Entry, Name, Notice, StateLimits, events, notices
from tcpchat_core.notices import Reason, Rejected, RoomInfo, RoomState, Said, Sent
from tcpchat_core.server.queries import NO_ARCHIVE


@dataclass(eq=False)
class ModelPerson:
    """A person, with everything that it was ever told alone and every receipt with an id."""

    name: Name
    conn: int
    session: str
    away: bool = False
    # By the key of each room, in the order of joining: its last number at that time.
    rooms: dict[str, int] = field(default_factory=dict)
    told: list[notices.Told] = field(default_factory=list)
    seen: int = 0  # of these, by what it said when it came back
    receipts: list[Sent] = field(default_factory=list)


@dataclass(eq=False)
class ModelRoom:
    """A room, with everything that was ever said in it."""

    name: str
    base: int
    members: list[ModelPerson] = field(default_factory=list)
    said: list[Said] = field(default_factory=list)
    topic: str = ""
    topic_nick: str = ""
    topic_at: int = 0

    @property
    def seq(self) -> int:
        """The number of the last message."""
        return self.base + len(self.said)


Told = dict[int, list[Notice]]


class Model:
    """What is true after a log, and what each entry makes people hear."""

    def __init__(self, limits: StateLimits) -> None:
        self.limits = limits
        self.people: list[ModelPerson] = []  # in the order of coming
        self.away: list[ModelPerson] = []  # in the order of going
        self.rooms: dict[str, ModelRoom] = {}
        self.closed: list[int] = []  # which connections were to be closed, ever

    @property
    def names(self) -> dict[int, Name]:
        """What each connected person is called, by connection."""
        return {person.conn: person.name for person in self.people if not person.away}

    def connected(self, conn: int) -> ModelPerson | None:
        """Who speaks on a connection."""
        there = (person for person in self.people if person.conn == conn and not person.away)
        return next(there, None)

    def holder(self, key: str) -> ModelPerson | None:
        """Who holds a nick."""
        return next((person for person in self.people if person.name.key == key), None)

    def of_session(self, session: str) -> ModelPerson | None:
        """Whose session it is."""
        return next((person for person in self.people if person.session == session), None)

    def neighbours(self, person: ModelPerson) -> list[ModelPerson]:
        """Everybody else who shares a room with somebody."""
        shared = [member for key in person.rooms for member in self.rooms[key].members]
        return [other for other in self.people if other in shared and other is not person]

    def kept(self, key: str) -> list[Said]:
        """The tail of what was said that the history still holds."""
        tail = self.rooms[key].said[-self.limits.history_messages :]
        while sum(len(said.text) for said in tail) > self.limits.history_chars:
            tail = tail[1:]
        return tail

    def inbox(self, person: ModelPerson) -> list[notices.Told]:
        """The tail of what somebody was told alone that is kept for a resume."""
        tail = person.told[-self.limits.inbox :] if person.session else []
        while sum(len(told.text) for told in tail) > self.limits.inbox_chars:
            tail = tail[1:]
        return [told for told in tail if told.seq > person.seen]

    def receipt(self, person: ModelPerson, id: str | None) -> Sent | None:
        """The receipt that the same id gives again, while it is remembered."""
        kept = person.receipts[-2 * self.limits.receipts :]
        return next((sent for sent in kept if id is not None and sent.id == id), None)

    def apply(self, entry: Entry) -> Told:
        """What everybody is told because of one entry."""
        conn, at = entry.conn, entry.at
        person = self.connected(conn)
        if person is None:
            match entry.event:
                case events.Connect(session):
                    return self._connect(conn, session)
                case events.Resume():
                    return self._resume(conn, entry.event)
                case events.Expire(session, reason):
                    return self._expire(conn, session, reason)
                case _:
                    return {}
        match entry.event:
            case events.Connect() | events.Resume() | events.Expire():
                return {}
            case events.Nick(nick, key):
                return self._nick(person, Name(nick, key))
            case events.Join(room, key):
                return self._join(person, Name(room, key), entry)
            case events.Say():
                return self._say(person, entry.event, at)
            case events.Tell():
                return self._tell(person, entry.event, at)
            case events.Topic(_, topic, key):
                return self._topic(person, key, topic or "", at)
            case events.Out(_, key):
                return self._out(person, key)
            case events.Quit(reason):
                self.closed.append(conn)
                return {**self._gone(person, reason), conn: [notices.Closing("bye")]}
            case events.Disconnect(reason):
                return self._disconnect(person, reason)
            case _:
                raise AssertionError(f"the log of a connection has {entry.event}")

    def _connect(self, conn: int, session: str) -> Told:
        taken = {person.name.text for person in self.people}
        nick = next(f"guest-{n}" for n in range(1, 1000) if f"guest-{n}" not in taken)
        self.people.append(ModelPerson(Name(nick, nick), conn, session))
        return {conn: [notices.Welcome(nick, "0")]}

    def _nick(self, person: ModelPerson, new: Name) -> Told:
        if self.holder(new.key) not in (None, person):
            return rejected(person.conn, "nick-in-use", "nick")
        old, person.name = person.name.text, new
        told: Told = {person.conn: [notices.Renamed(old, new.text, own=True)]}
        if old != new.text:
            told |= told_to(self.neighbours(person), notices.Renamed(old, new.text))
        return told

    def _join(self, person: ModelPerson, room: Name, entry: Entry) -> Told:
        mine = person.rooms
        again = room.key in mine
        if not again:
            if len(mine) >= self.limits.rooms_per_person:
                return rejected(person.conn, "too-many-rooms", "join")
            if room.key not in self.rooms and len(self.rooms) >= self.limits.rooms:
                return rejected(person.conn, "rooms-full", "join")
            made = ModelRoom(room.text, entry.seq)
            self.rooms.setdefault(room.key, made).members.append(person)
            mine[room.key] = self.rooms[room.key].seq
        joined = self.rooms[room.key]
        shown = [member.name.text for member in joined.members]
        entered = notices.Entered(
            room=joined.name,
            members=tuple(shown[: self.limits.entered_members]),
            count=len(shown),
            seq=joined.seq,
            at=entry.at,
            topic=joined.topic,
            history=() if again else tuple(self.kept(room.key)[-self.limits.entered_history :]),
            again=again,
        )
        if again:
            return {person.conn: [entered]}
        news = notices.Joined(joined.name, person.name.text, joined.seq, entry.at)
        return {**told_to(joined.members, news), person.conn: [entered]}

    def _say(self, person: ModelPerson, event: events.Say, at: int) -> Told:
        if known := self.receipt(person, event.id):
            return {person.conn: [known]}
        if event.key not in person.rooms:
            return rejected(person.conn, "not-in-room", "say", event.id)
        room = self.rooms[event.key]
        said = Said(room.name, person.name.text, event.text, room.seq + 1, at, event.emote)
        room.said.append(said)
        receipt = Sent(at, event.id, room.name, None, said.seq)
        if event.id is not None:
            person.receipts.append(receipt)
        return {**told_to(room.members, said), person.conn: [receipt]}

    def _tell(self, person: ModelPerson, event: events.Tell, at: int) -> Told:
        if known := self.receipt(person, event.id):
            return {person.conn: [known]}
        other = self.holder(event.key)
        if other is None:
            return rejected(person.conn, "no-such-nick", "tell", event.id)
        news = notices.Told(person.name.text, event.text, len(other.told) + 1, at)
        other.told.append(news)
        receipt = Sent(at, event.id, None, other.name.text)
        if event.id is not None:
            person.receipts.append(receipt)
        told = told_to([other], news)
        told.setdefault(person.conn, []).append(receipt)
        return told

    def _topic(self, person: ModelPerson, key: str, topic: str, at: int) -> Told:
        if key not in person.rooms:
            return rejected(person.conn, "not-in-room", "topic")
        room, nick = self.rooms[key], person.name.text
        room.topic, room.topic_nick, room.topic_at = topic, nick, at
        return told_to(room.members, notices.TopicSet(room.name, topic, nick, room.seq, at))

    def _out(self, person: ModelPerson, key: str) -> Told:
        if key not in person.rooms:
            return rejected(person.conn, "not-in-room", "out")
        room, nick = self.rooms[key], person.name.text
        told = told_to(room.members, notices.Left(room.name, nick))
        self._leave(person, key)
        return {**told, person.conn: [notices.Left(room.name, nick, own=True)]}

    def _gone(self, person: ModelPerson, reason: str) -> Told:
        told = told_to(self.neighbours(person), notices.Gone(person.name.text, reason))
        for key in tuple(person.rooms):
            self._leave(person, key)
        self.people.remove(person)
        if person.away:
            self.away.remove(person)
        return told

    def _leave(self, person: ModelPerson, key: str) -> None:
        self.rooms[key].members.remove(person)
        del person.rooms[key]
        if not self.rooms[key].members:
            del self.rooms[key]

    # ── Sessions ─────────────────────────────────────────────────────────────────────────────

    def _disconnect(self, person: ModelPerson, reason: str) -> Told:
        if not person.session:
            return self._gone(person, reason)
        person.away = True
        self.away.append(person)
        return self._gone(self.away[0], reason) if len(self.away) > self.limits.away else {}

    def _expire(self, conn: int, session: str, reason: str) -> Told:
        person = self.of_session(session)
        if person is None or not person.away or person.conn != conn:
            return {}
        return self._gone(person, reason)

    def _resume(self, conn: int, event: events.Resume) -> Told:
        person = self.of_session(event.session)
        if person is None:
            return self._connect(conn, event.fresh)
        told: Told = {}
        if person.away:
            self.away.remove(person)
        else:
            taken = "this session was resumed on another connection"
            told[person.conn] = [notices.Closing(taken)]
            self.closed.append(person.conn)
        person.conn, person.away = conn, False
        rooms = {key: self.rooms[key] for key in person.rooms}
        states = tuple(self._room_state(room) for room in rooms.values())
        heard: list[Notice] = [notices.Resumed(person.name.text, states, "0")]
        person.seen = max(person.seen, min(event.told, len(person.told)))
        heard += missed("", len(person.told), event.told, self.inbox(person))
        for key, room in rooms.items():
            seen = max(event.seen.get(key, 0), person.rooms[key])
            for notice in missed(room.name, room.seq, seen, self.kept(key)):
                heard.append(self._with_own_id(person, notice))
        return {**told, conn: heard}

    def _room_state(self, room: ModelRoom) -> RoomState:
        shown = tuple(member.name.text for member in room.members)
        some = shown[: self.limits.entered_members]
        return RoomState(room.name, some, len(shown), room.seq, room.topic)

    def _with_own_id(self, person: ModelPerson, notice: Notice) -> Notice:
        """A message as a resumed session is sent it: its own ones have their ids."""
        if isinstance(notice, Said):
            for sent in person.receipts[-2 * self.limits.receipts :]:
                if (sent.room, sent.seq) == (notice.room, notice.seq):
                    return msgspec.structs.replace(notice, id=sent.id)
        return notice

    # ── Queries ──────────────────────────────────────────────────────────────────────────────

    def answer(self, conn: int, query: events.Query) -> Notice:
        """What a query is answered with."""
        match query:
            case events.Ping(id):
                return notices.Ponged(id)
            case events.Rooms():
                order = sorted(self.rooms, key=lambda key: (-len(self.rooms[key].members), key))
                return notices.RoomList(
                    tuple(
                        RoomInfo(room.name, len(room.members), room.topic)
                        for room in map(self.rooms.__getitem__, order)
                    )
                )
            case events.Search():
                return NO_ARCHIVE
            case events.Who(key=key) | events.History(key=key) | events.Topic(key=key):
                person = self.connected(conn)
                if person is None or key not in person.rooms:
                    return Rejected("not-in-room", "", str(query.__struct_config__.tag))
                return self._about_room(key, query)
            case events.Help():
                raise AssertionError("help is not part of the model")

    def _about_room(self, key: str, query: events.Who | events.History | events.Topic) -> Notice:
        room = self.rooms[key]
        match query:
            case events.Who():
                nicks = tuple(member.name.text for member in room.members)
                return notices.Members(room.name, nicks)
            case events.History(_, before, limit):
                kept = [said for said in self.kept(key) if before is None or said.seq < before]
                shown = kept[-limit:] if limit > 0 else []
                return notices.HistoryPage(room.name, tuple(shown), 0 < len(shown) < len(kept))
            case events.Topic():
                return notices.TopicSet(
                    room.name, room.topic, room.topic_nick, room.seq, room.topic_at
                )


def told_to(people: Iterable[ModelPerson], notice: Notice) -> Told:
    """The same notice for everyone of these who is connected."""
    return {person.conn: [notice] for person in people if not person.away}


def missed(
    room: str, last: int, seen: int, kept: Sequence[Said] | Sequence[notices.Told]
) -> list[Notice]:
    """What somebody who has seen the numbers up to `seen` is told of those up to `last`."""
    numbers = [notice.seq for notice in kept]
    fresh: list[Notice] = [notice for notice in kept if notice.seq > seen]
    if seen < last and seen + 1 not in numbers:
        return [notices.Gap(room, min(numbers, default=last + 1)), *fresh]
    return fresh


def rejected(conn: int, reason: Reason, request: str, id: str | None = None) -> Told:
    """A refusal, without its text."""
    return {conn: [Rejected(reason, "", request, id)]}


def comparable(notice: Notice) -> Notice:
    """The notice as the model can predict it: without texts for people and the node's own."""
    match notice:
        case Rejected():
            return msgspec.structs.replace(notice, text="")
        case notices.Welcome(nick, epoch):
            return notices.Welcome(nick, epoch)
        case _:
            return notice


class OneOrder:
    """Promise 1: all members of a room see one order, each author with its receipt in place.

    Give it what each connection is told; it fails on the first hole, repetition or difference.
    """

    def __init__(self) -> None:
        self._seen: dict[tuple[int, str], int] = {}  # the last number, by connection and room
        self._said: dict[tuple[str, int], Said] = {}

    def resumes(self, conn: int, seen: dict[str, int]) -> None:
        """A connection will go on where a session was, in each of its rooms."""
        for room, seq in seen.items():
            self._seen[conn, room] = seq

    def told(self, conn: int, notice: Notice) -> None:
        """Check one notice."""
        match notice:
            case notices.Entered(room, seq=seq, history=history):
                assert self._seen.setdefault((conn, room), seq) == seq
                numbers = [said.seq for said in history]
                assert numbers == list(range(seq + 1 - len(numbers), seq + 1)), numbers
            case Said(room, seq=seq):
                self._next(conn, room, seq)
                plain = msgspec.structs.replace(notice, id=None)
                assert self._said.setdefault((room, seq), plain) == plain
            case Sent(room=str(room), seq=int(seq)):
                # The receipt of an id that comes again stands where it stood before.
                if seq > self._seen.get((conn, room), seq):
                    self._next(conn, room, seq)
            case notices.Gap(room, oldest) if room:
                assert oldest - 1 > self._seen[conn, room], "a gap of nothing"
                self._seen[conn, room] = oldest - 1
            case notices.Left(room, own=True):
                del self._seen[conn, room]
            case _:
                pass

    def caught_up(self, conn: int, resumed: notices.Resumed) -> None:
        """Nothing is missing any more of the rooms of a resumed session."""
        assert {state.room: self._seen[conn, state.room] for state in resumed.rooms} == {
            state.room: state.seq for state in resumed.rooms
        }

    def gone(self, conn: int) -> None:
        """A connection is a person no more."""
        self._seen = {place: seq for place, seq in self._seen.items() if place[0] != conn}

    def _next(self, conn: int, room: str, seq: int) -> None:
        assert self._seen[conn, room] == seq - 1, (conn, room, self._seen[conn, room], seq)
        self._seen[conn, room] = seq
