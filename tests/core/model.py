"""The naive model: chat as dictionaries and loops, with no thought of speed.

`Model.apply` says, for one entry of a log, exactly what each connection must be told. The text
of a `Rejected` is for people and is left out of comparisons.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec

from tcpchat_core import Entry, Name, Notice, StateLimits, events, notices
from tcpchat_core.notices import Reason, Rejected, RoomInfo, Said


@dataclass
class ModelRoom:
    """A room, with everything that was ever said in it."""

    name: str
    members: list[int] = field(default_factory=list)
    said: list[Said] = field(default_factory=list)
    topic: str = ""
    topic_nick: str = ""
    topic_at: int = 0


Told = dict[int, list[Notice]]


class Model:
    """What is true after a log, and what each entry makes people hear."""

    def __init__(self, limits: StateLimits) -> None:
        self.limits = limits
        self.names: dict[int, Name] = {}  # who is connected, in the order of coming
        self.rooms: dict[str, ModelRoom] = {}

    def conn_of(self, key: str) -> int | None:
        """Who holds a nick."""
        return next((conn for conn, name in self.names.items() if name.key == key), None)

    def rooms_of(self, conn: int) -> list[str]:
        """The keys of the rooms that somebody is in."""
        return [key for key, room in self.rooms.items() if conn in room.members]

    def neighbours(self, conn: int) -> set[int]:
        """Everybody else who shares a room with somebody."""
        shared = [member for key in self.rooms_of(conn) for member in self.rooms[key].members]
        return set(shared) - {conn}

    def kept(self, key: str) -> list[Said]:
        """The tail of what was said that the history still holds."""
        tail = self.rooms[key].said[-self.limits.history_messages :]
        while sum(len(said.text) for said in tail) > self.limits.history_chars:
            tail = tail[1:]
        return tail

    def apply(self, entry: Entry) -> Told:
        """What everybody is told because of one entry."""
        conn, at = entry.conn, entry.at
        if conn not in self.names:
            return self._connect(conn) if isinstance(entry.event, events.Connect) else {}
        match entry.event:
            case events.Connect():
                return {}
            case events.Nick(nick, key):
                return self._nick(conn, Name(nick, key))
            case events.Join(room, key):
                return self._join(conn, Name(room, key), at)
            case events.Say():
                return self._say(conn, entry.event, at)
            case events.Tell(_, text, id, key):
                other = self.conn_of(key)
                if other is None:
                    return rejected(conn, "no-such-nick", "tell", id)
                sent = notices.Sent(at, id, None, self.names[other].text)
                told: Told = {other: [notices.Told(self.names[conn].text, text, at)]}
                told.setdefault(conn, []).append(sent)
                return told
            case events.Topic(_, topic, key):
                return self._topic(conn, key, topic or "", at)
            case events.Out(_, key):
                return self._out(conn, key)
            case events.Quit(reason):
                return {**self._gone(conn, reason), conn: [notices.Closing("bye")]}
            case events.Disconnect(reason):
                return self._gone(conn, reason)

    def _connect(self, conn: int) -> Told:
        taken = {name.text for name in self.names.values()}
        nick = next(f"guest-{n}" for n in range(1, 1000) if f"guest-{n}" not in taken)
        self.names[conn] = Name(nick, nick)
        return {conn: [notices.Welcome(nick, "0")]}

    def _nick(self, conn: int, new: Name) -> Told:
        if self.conn_of(new.key) not in (None, conn):
            return rejected(conn, "nick-in-use", "nick")
        old, self.names[conn] = self.names[conn].text, new
        told: Told = {conn: [notices.Renamed(old, new.text, own=True)]}
        if old != new.text:
            told |= {other: [notices.Renamed(old, new.text)] for other in self.neighbours(conn)}
        return told

    def _join(self, conn: int, room: Name, at: int) -> Told:
        mine = self.rooms_of(conn)
        again = room.key in mine
        if not again:
            if len(mine) >= self.limits.rooms_per_person:
                return rejected(conn, "too-many-rooms", "join")
            if room.key not in self.rooms and len(self.rooms) >= self.limits.rooms:
                return rejected(conn, "rooms-full", "join")
            self.rooms.setdefault(room.key, ModelRoom(room.text)).members.append(conn)
        joined = self.rooms[room.key]
        seq = len(joined.said)
        shown = [self.names[member].text for member in joined.members]
        entered = notices.Entered(
            room=joined.name,
            members=tuple(shown[: self.limits.entered_members]),
            count=len(shown),
            seq=seq,
            at=at,
            topic=joined.topic,
            history=() if again else tuple(self.kept(room.key)[-self.limits.entered_history :]),
            again=again,
        )
        if again:
            return {conn: [entered]}
        news = notices.Joined(joined.name, self.names[conn].text, seq, at)
        return {**{member: [news] for member in joined.members}, conn: [entered]}

    def _say(self, conn: int, event: events.Say, at: int) -> Told:
        if event.key not in self.rooms_of(conn):
            return rejected(conn, "not-in-room", "say", event.id)
        room = self.rooms[event.key]
        seq = len(room.said) + 1
        said = Said(room.name, self.names[conn].text, event.text, seq, at, event.emote)
        room.said.append(said)
        receipt = notices.Sent(at, event.id, room.name, None, seq)
        return {**{member: [said] for member in room.members}, conn: [receipt]}

    def _topic(self, conn: int, key: str, topic: str, at: int) -> Told:
        if key not in self.rooms_of(conn):
            return rejected(conn, "not-in-room", "topic")
        room, nick = self.rooms[key], self.names[conn].text
        room.topic, room.topic_nick, room.topic_at = topic, nick, at
        told = notices.TopicSet(room.name, topic, nick, len(room.said), at)
        return {member: [told] for member in room.members}

    def _out(self, conn: int, key: str) -> Told:
        if key not in self.rooms_of(conn):
            return rejected(conn, "not-in-room", "out")
        room, nick = self.rooms[key], self.names[conn].text
        members = list(room.members)
        self._leave(conn, key)
        news = notices.Left(room.name, nick)
        own = notices.Left(room.name, nick, own=True)
        return {**{member: [news] for member in members}, conn: [own]}

    def _gone(self, conn: int, reason: str) -> Told:
        gone = notices.Gone(self.names[conn].text, reason)
        told: Told = {other: [gone] for other in self.neighbours(conn)}
        for key in self.rooms_of(conn):
            self._leave(conn, key)
        del self.names[conn]
        return told

    def _leave(self, conn: int, key: str) -> None:
        self.rooms[key].members.remove(conn)
        if not self.rooms[key].members:
            del self.rooms[key]

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
            case events.Who(key=key) | events.History(key=key) | events.Topic(key=key):
                if key not in self.rooms_of(conn):
                    return Rejected("not-in-room", "", str(query.__struct_config__.tag))
                return self._about_room(key, query)
            case events.Help():
                raise AssertionError("help is not part of the model")

    def _about_room(self, key: str, query: events.Who | events.History | events.Topic) -> Notice:
        room = self.rooms[key]
        match query:
            case events.Who():
                nicks = tuple(self.names[member].text for member in room.members)
                return notices.Members(room.name, nicks)
            case events.History(_, before, limit):
                kept = [said for said in self.kept(key) if before is None or said.seq < before]
                shown = kept[-limit:] if limit > 0 else []
                return notices.HistoryPage(room.name, tuple(shown))
            case events.Topic():
                seq = len(room.said)
                return notices.TopicSet(room.name, room.topic, room.topic_nick, seq, room.topic_at)


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
        self._said: dict[tuple[str, int, int], Said] = {}

    def told(self, conn: int, notice: Notice) -> None:
        """Check one notice."""
        match notice:
            case notices.Entered(room, seq=seq, history=history):
                assert self._seen.setdefault((conn, room), seq) == seq
                numbers = [said.seq for said in history]
                assert numbers == list(range(seq + 1 - len(numbers), seq + 1)), numbers
            case Said(room, seq=seq, at=at):
                self._next(conn, room, seq)
                assert self._said.setdefault((room, seq, at), notice) == notice
            case notices.Sent(room=str(room), seq=int(seq)):
                self._next(conn, room, seq)
            case notices.Left(room, own=True):
                del self._seen[conn, room]
            case _:
                pass

    def gone(self, conn: int) -> None:
        """A connection is a person no more."""
        self._seen = {place: seq for place, seq in self._seen.items() if place[0] != conn}

    def _next(self, conn: int, room: str, seq: int) -> None:
        assert self._seen[conn, room] == seq - 1, (conn, room, self._seen[conn, room], seq)
        self._seen[conn, room] = seq
