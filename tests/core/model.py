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
    origin: str = ""
    away: bool = False
    # By the key of each room, in the order of joining: its last number at that time.
    rooms: dict[str, int] = field(default_factory=dict)
    told: list[notices.Told] = field(default_factory=list)
    seen: int = 0  # of these, by what it said when it came back
    receipts: list[Sent] = field(default_factory=list)
    put_out: dict[str, notices.Left] = field(default_factory=dict)  # by room key, the last
    # By room key: the numbers of what it has said there since it came, or has its nick.
    mine: dict[str, list[int]] = field(default_factory=dict)


@dataclass(eq=False)
class ModelRestriction:
    """One person who is kept from one thing, made for good: whether it is over tells the time."""

    what: str
    who: ModelPerson
    origin: str
    name: Name
    until: int
    by: str
    reason: str

    def info(self) -> notices.RestrictionInfo:
        """As a moderator is told of it."""
        what: events.Restraint = "ban" if self.what == "ban" else "mute"
        return notices.RestrictionInfo(self.name.text, what, self.until, self.by, self.reason)


@dataclass(eq=False)
class ModelRoom:
    """A room, with everything that was ever said in it."""

    name: str
    base: int
    members: list[ModelPerson] = field(default_factory=list)
    said: list[Said] = field(default_factory=list)
    kept_from: int = 0  # the number of the first message that the history holds
    topic: str = ""
    topic_nick: str = ""
    topic_at: int = 0
    moderators: list[ModelPerson] = field(default_factory=list)
    restrictions: list[ModelRestriction] = field(default_factory=list)
    slow_ms: int = 0
    moderated: bool = False
    private: bool = False
    hidden: int = 0  # the number of the last message that is only for who was there
    spoke: dict[ModelPerson, int] = field(default_factory=dict)
    invited: dict[ModelPerson, int] = field(default_factory=dict)
    codes: dict[str, int] = field(default_factory=dict)

    def mode(self, by: str) -> notices.ModeSet:
        """How one talks here, and who may come in."""
        return notices.ModeSet(self.name, by, self.slow_ms, self.moderated, self.private)

    @property
    def moderating(self) -> tuple[str, ...]:
        """The nicks of the moderators."""
        return tuple(person.name.text for person in self.moderators)

    def in_force(self, what: str, at: int) -> list[ModelRestriction]:
        """The restrictions of one kind that are not over."""
        return [each for each in self.restrictions if each.what == what and at < each.until]

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
        return [said for said in self.rooms[key].said if said.seq >= self.rooms[key].kept_from]

    def _drop(self, room: ModelRoom) -> None:
        """Have the history hold no more than it can: what it has dropped does not come back."""
        tail = [said for said in room.said if said.seq >= room.kept_from]
        tail = tail[-self.limits.history_messages :]
        while sum(len(said.text) for said in tail) > self.limits.history_chars:
            tail = tail[1:]
        room.kept_from = tail[0].seq if tail else room.seq + 1

    def shown(self, key: str) -> list[Said]:
        """Of this what everybody who is in may see."""
        return [said for said in self.kept(key) if said.seq > self.rooms[key].hidden]

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
                case events.Connect(session, origin):
                    return self._connect(conn, session, origin)
                case events.Resume():
                    return self._resume(conn, entry.event, at)
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
                return self._join(person, Name(room, key), entry, entry.event.code)
            case events.Say():
                return self._say(person, entry.event, at)
            case events.Tell():
                return self._tell(person, entry.event, at)
            case events.Topic(_, topic, key):
                return self._topic(person, key, topic or "", at)
            case events.Out(_, key):
                return self._out(person, key)
            case events.Kick() | events.Restrict() | events.Lift() | events.Role():
                return self._moderate(person, entry.event, at)
            case events.RoomMode():
                return self._mode(person, entry.event)
            case events.Invite():
                return self._invite(person, entry.event, at)
            case events.Redact():
                return self._redact(person, entry.event, at)
            case events.Restrictions(_, key):
                return self._restrictions(person, key, at)
            case events.Quit(reason):
                self.closed.append(conn)
                if any(self._silenced(person, key, at) for key in person.rooms):
                    reason = ""
                return {**self._gone(person, reason), conn: [notices.Closing("bye")]}
            case events.Disconnect(reason):
                return self._disconnect(person, reason)
            case _:
                raise AssertionError(f"the log of a connection has {entry.event}")

    def _connect(self, conn: int, session: str, origin: str) -> Told:
        taken = {person.name.text for person in self.people}
        nick = next(f"guest-{n}" for n in range(1, 1000) if f"guest-{n}" not in taken)
        self.people.append(ModelPerson(Name(nick, nick), conn, session, origin))
        return {conn: [notices.Welcome(nick, "0")]}

    def _nick(self, person: ModelPerson, new: Name) -> Told:
        if self.holder(new.key) not in (None, person):
            return rejected(person.conn, "nick-in-use", "nick")
        old, person.name = person.name.text, new
        told: Told = {person.conn: [notices.Renamed(old, new.text, own=True)]}
        if old != new.text:
            person.mine = {key: [] for key in person.mine}
            told |= told_to(self.neighbours(person), notices.Renamed(old, new.text))
        return told

    def _join(self, person: ModelPerson, room: Name, entry: Entry, code: str) -> Told:
        mine = person.rooms
        again = room.key in mine
        if not again:
            if len(mine) >= self.limits.rooms_per_person:
                return rejected(person.conn, "too-many-rooms", "join")
            if room.key not in self.rooms and len(self.rooms) >= self.limits.rooms:
                return rejected(person.conn, "rooms-full", "join")
            more: list[Notice] = []
            if room.key in self.rooms:
                refused, more = self._comes_in(person, self.rooms[room.key], code, entry.at)
                if refused is not None:
                    return rejected(person.conn, refused, "join")
            else:
                self.rooms[room.key] = ModelRoom(room.text, entry.seq)
                assert isinstance(entry.event, events.Join), "nothing else makes a room"
                self.rooms[room.key].moderators += [person] if entry.event.roles else []
            self.rooms[room.key].members.append(person)
            person.put_out.pop(room.key, None)
            if isinstance(entry.event, events.Join) and entry.event.roles:
                person.mine[room.key] = []
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
            history=() if again else tuple(self.shown(room.key)[-self.limits.entered_history :]),
            again=again,
            moderators=joined.moderating,
            slow_ms=joined.slow_ms,
            moderated=joined.moderated,
            private=joined.private,
        )
        if again:
            return {person.conn: [entered]}
        news = notices.Joined(joined.name, person.name.text, joined.seq, entry.at)
        return {**told_to(joined.members, news), person.conn: [entered, *more]}

    def _say(self, person: ModelPerson, event: events.Say, at: int) -> Told:
        if known := self.receipt(person, event.id):
            return {person.conn: [known]}
        if event.key not in person.rooms:
            return rejected(person.conn, "not-in-room", "say", event.id)
        if refused := self._speaks(person, event.key, at):
            return rejected(person.conn, refused, "say", event.id)
        room = self.rooms[event.key]
        said = Said(room.name, person.name.text, event.text, room.seq + 1, at, event.emote)
        room.said.append(said)
        self._drop(room)
        if event.key in person.mine:
            person.mine[event.key].append(said.seq)
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
        if refused := self._speaks(person, key, at):
            return rejected(person.conn, refused, "topic")
        room, nick = self.rooms[key], person.name.text
        room.topic, room.topic_nick, room.topic_at = topic, nick, at
        return told_to(room.members, notices.TopicSet(room.name, topic, nick, room.seq, at))

    def _out(self, person: ModelPerson, key: str) -> Told:
        if key not in person.rooms:
            return rejected(person.conn, "not-in-room", "out")
        room, nick = self.rooms[key], person.name.text
        told = told_to(room.members, notices.Left(room.name, nick))
        self._leave(person, key)
        told[person.conn] = [notices.Left(room.name, nick, own=True)]
        return joined(told, self._unattended([room]))

    def _unattended(self, rooms: list[ModelRoom]) -> Told:
        """Where nobody moderates any more, everybody may speak."""
        told: Told = {}
        for room in rooms:
            if room.moderated and not room.moderators and room.members:
                room.moderated = False
                told = joined(told, told_to(room.members, room.mode("")))
        return told

    def _gone(self, person: ModelPerson, reason: str) -> Told:
        told = told_to(self.neighbours(person), notices.Gone(person.name.text, reason))
        rooms = [self.rooms[key] for key in person.rooms]
        for key in tuple(person.rooms):
            self._leave(person, key)
        self.people.remove(person)
        if person.away:
            self.away.remove(person)
        return joined(told, self._unattended(rooms))

    def _leave(self, person: ModelPerson, key: str) -> None:
        self.rooms[key].members.remove(person)
        if person in self.rooms[key].moderators:
            self.rooms[key].moderators.remove(person)
        del person.rooms[key]
        person.mine.pop(key, None)
        if not self.rooms[key].members:
            del self.rooms[key]

    # ── Moderation ───────────────────────────────────────────────────────────────────────────

    def _silenced(self, person: ModelPerson, key: str, at: int) -> bool:
        room = self.rooms[key]
        mutes = [each for each in room.in_force("mute", at) if each.who is person]
        return (bool(mutes) or room.moderated) and person not in room.moderators

    def _speaks(self, person: ModelPerson, key: str, at: int) -> Reason | None:
        """Why somebody says nothing; None when it does."""
        room = self.rooms[key]
        if self._silenced(person, key, at):
            return "muted"
        if room.slow_ms and person not in room.moderators:
            if at < room.spoke.get(person, at - room.slow_ms) + room.slow_ms:
                return "slow"
            room.spoke.pop(person, None)
            room.spoke[person] = at
            there = [who for who, then in room.spoke.items() if at < then + room.slow_ms]
            last = there[-self.limits.restrictions :]
            room.spoke = {who: room.spoke[who] for who in last}
        return None

    def _comes_in(
        self, person: ModelPerson, room: ModelRoom, code: str, at: int
    ) -> tuple[Reason | None, list[Notice]]:
        """Why somebody may not come in, or what it is told besides when it does."""
        for ban in room.in_force("ban", at):
            if ban.who is person or (ban.origin and ban.origin == person.origin):
                return "banned", []
        lets_in = (room.invited.get(person, 0), room.codes.get(code, 0))
        if room.private and max(lets_in) <= at:
            return "private", []
        mutes = room.in_force("mute", at)
        alike = [each for each in mutes if each.origin and each.origin == person.origin]
        if alike and len(mutes) >= self.limits.restrictions:
            return "muted", []
        if alike and not any(each.who is person for each in mutes):
            longest = max(alike, key=lambda each: each.until)
            self._restrict(room, person, longest.until, ("mute", longest.by, longest.reason))
        return None, self._own_mutes(person, room, at)

    def _own_mutes(self, person: ModelPerson, room: ModelRoom, at: int) -> list[Notice]:
        return [
            notices.Restricted(
                room.name, person.name.text, "mute", each.until, each.by, at, each.reason, own=True
            )
            for each in room.in_force("mute", at)
            if each.who is person
        ]

    def _restrict(
        self, room: ModelRoom, who: ModelPerson, until: int, kind: tuple[str, str, str]
    ) -> None:
        what, by, reason = kind
        room.restrictions = [
            each for each in room.restrictions if not (each.what == what and each.who is who)
        ]
        room.restrictions.append(
            ModelRestriction(what, who, who.origin, who.name, until, by, reason)
        )

    def _moderate(
        self,
        person: ModelPerson,
        event: events.Kick | events.Restrict | events.Lift | events.Role,
        at: int,
    ) -> Told:
        conn, request = person.conn, str(event.__struct_config__.tag)
        if event.key not in person.rooms:
            return rejected(conn, "not-in-room", request)
        room, by = self.rooms[event.key], person.name.text
        if person not in room.moderators:
            return rejected(conn, "no-right", request)
        target = self.holder(event.nick_key)
        if isinstance(event, events.Lift):
            return self._lift(person, room, event, at)
        may_be_outside = isinstance(event, events.Restrict) and event.what == "ban"
        if target is None or (target not in room.members and not may_be_outside):
            return rejected(conn, "no-such-nick", request)
        if isinstance(event, events.Role):
            return self._role(person, room, target, event)
        if target in room.moderators:
            return rejected(conn, "no-right", request)
        until, nick = 0, target.name.text
        if isinstance(event, events.Restrict):
            usual = {"ban": self.limits.ban_ms, "mute": self.limits.mute_ms}[event.what]
            until = at + max(1, min(event.ms or usual, self.limits.restriction_ms))
            there = room.in_force(event.what, at)
            is_new = not any(each.who is target for each in there)
            if is_new and len(there) >= self.limits.restrictions:
                return rejected(conn, "too-many", request)
            self._restrict(room, target, until, (event.what, by, event.reason))
            restricted = notices.Restricted(
                room.name, nick, event.what, until, by, at, event.reason
            )
            if event.what == "mute":
                own = msgspec.structs.replace(restricted, own=True)
                return {**told_to(room.members, restricted), **told_to([target], own)}
            if target not in room.members:
                return told_to(room.members, restricted)
        left = notices.Left(room.name, nick, by=by, reason=event.reason, at=at, until=until)
        mine = msgspec.structs.replace(left, own=True)
        told = {**told_to(room.members, left), **told_to([target], mine)}
        self._leave(target, event.key)
        room.invited.pop(target, None)
        target.put_out[event.key] = mine
        while len(target.put_out) > self.limits.rooms_per_person:
            del target.put_out[next(iter(target.put_out))]
        return told

    def _redact(self, person: ModelPerson, event: events.Redact, at: int) -> Told:
        if event.key not in person.rooms:
            return rejected(person.conn, "not-in-room", "redact")
        room, mine = self.rooms[event.key], person.mine.get(event.key, [])
        kept = self.kept(event.key)
        there = [said for said in kept if not said.redacted]
        holder = self.holder(event.nick_key) if event.nick else person
        is_own = holder is person and not event.seq
        if event.seq:
            found = [said for said in kept if said.seq == event.seq]
            is_own = event.seq in mine and bool(found)
        elif is_own:
            found = [said for said in there if said.seq in mine]
        else:
            nick = holder.name.text if holder else event.nick
            found = [said for said in there if said.nick == nick]
        if person not in room.moderators and not is_own:
            return rejected(person.conn, "no-right", "redact")
        if not found and not room.base < event.seq <= room.seq:
            return rejected(person.conn, "no-such-message", "redact")
        seq, author = event.seq, ""
        if found:
            seq, author = found[-1].seq, found[-1].nick
            gone = msgspec.structs.replace(found[-1], text="", emote=True, redacted=True)
            room.said[seq - room.base - 1] = gone
        told = notices.Redacted(room.name, seq, person.name.text, at, author)
        return told_to(room.members, told)

    def _mode(self, person: ModelPerson, event: events.RoomMode) -> Told:
        if event.key not in person.rooms:
            return rejected(person.conn, "not-in-room", "mode")
        room = self.rooms[event.key]
        if person not in room.moderators:
            return rejected(person.conn, "no-right", "mode")
        if event.slow_ms is not None:
            room.slow_ms, room.spoke = min(event.slow_ms, self.limits.slow_ms), {}
        if event.moderated is not None:
            room.moderated = event.moderated
        if event.private is not None:
            if room.private > event.private:
                room.hidden = room.seq
            room.private, room.invited, room.codes = event.private, {}, {}
        return told_to(room.members, room.mode(person.name.text))

    def _invite(self, person: ModelPerson, event: events.Invite, at: int) -> Told:
        if event.key not in person.rooms:
            return rejected(person.conn, "not-in-room", "invite")
        room, until = self.rooms[event.key], at + self.limits.invitation_ms
        if person not in room.moderators:
            return rejected(person.conn, "no-right", "invite")
        target = self.holder(event.nick_key) if event.nick else None
        if event.nick and target is None:
            return rejected(person.conn, "no-such-nick", "invite")
        held = [end for code, end in room.codes.items() if code != event.code_hash]
        if target is not None:
            held = [end for who, end in room.invited.items() if who is not target]
        if len([end for end in held if end > at]) >= self.limits.invitations:
            return rejected(person.conn, "too-many", "invite")
        nick = target.name.text if target else ""
        if target is None:
            room.codes[event.code_hash] = until
        else:
            room.invited[target] = until
        told = notices.Invited(room.name, person.name.text, until, at, nick)
        return told_to([person, *([target] if target else [])], told)

    def _lift(self, person: ModelPerson, room: ModelRoom, event: events.Lift, at: int) -> Told:
        found = [
            each
            for each in room.in_force(event.what, at)
            if event.nick_key
            in (each.name.key, each.who.name.key if each.who in self.people else "")
        ]
        if not found:
            return rejected(person.conn, "no-such-nick", "lift")
        room.restrictions = [each for each in room.restrictions if each not in found]
        told = notices.Lifted(room.name, found[0].name.text, event.what, person.name.text)
        for member in room.members:
            if any(each.who is member for each in found):
                told = msgspec.structs.replace(told, nick=member.name.text)
                own = msgspec.structs.replace(told, own=True)
                return {**told_to(room.members, told), **told_to([member], own)}
        return told_to(room.members, told)

    def _role(
        self, person: ModelPerson, room: ModelRoom, target: ModelPerson, event: events.Role
    ) -> Told:
        if event.role == "member":
            room.moderators = [each for each in room.moderators if each is not target]
        elif target not in room.moderators:
            if len(room.moderators) >= self.limits.moderators:
                return rejected(person.conn, "too-many", "role")
            room.moderators.append(target)
        set_ = notices.RoleSet(room.name, target.name.text, event.role, person.name.text)
        return joined(told_to(room.members, set_), self._unattended([room]))

    def _restrictions(self, person: ModelPerson, key: str, at: int) -> Told:
        if key not in person.rooms:
            return rejected(person.conn, "not-in-room", "restrictions")
        room = self.rooms[key]
        if person not in room.moderators:
            return rejected(person.conn, "no-right", "restrictions")
        rows = [each.info() for what in ("ban", "mute") for each in room.in_force(what, at)]
        return {person.conn: [notices.RestrictionList(room.name, tuple(rows), at)]}

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

    def _resume(self, conn: int, event: events.Resume, at: int) -> Told:
        person = self.of_session(event.session)
        if person is None:
            return self._connect(conn, event.fresh, event.origin)
        told: Told = {}
        if person.away:
            self.away.remove(person)
        else:
            taken = "this session was resumed on another connection"
            told[person.conn] = [notices.Closing(taken)]
            self.closed.append(person.conn)
        person.conn, person.away, person.origin = conn, False, event.origin
        rooms = {key: self.rooms[key] for key in person.rooms}
        states = tuple(self._room_state(room) for room in rooms.values())
        heard: list[Notice] = [notices.Resumed(person.name.text, states, "0")]
        heard += [left for key, left in person.put_out.items() if key in event.seen]
        for room in rooms.values():
            heard += self._own_mutes(person, room, at)
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
        return RoomState(
            room.name,
            some,
            len(shown),
            room.seq,
            room.topic,
            None,
            room.moderating,
            room.slow_ms,
            room.moderated,
            room.private,
        )

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
                asks = self.connected(conn)
                seen = [
                    key
                    for key, room in self.rooms.items()
                    if not room.private or (asks and key in asks.rooms)
                ]
                order = sorted(seen, key=lambda key: (-len(self.rooms[key].members), key))
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
                return notices.Members(room.name, nicks, room.moderating)
            case events.History(_, before, limit):
                kept = [said for said in self.shown(key) if before is None or said.seq < before]
                shown = kept[-limit:] if limit > 0 else []
                return notices.HistoryPage(room.name, tuple(shown), 0 < len(shown) < len(kept))
            case events.Topic():
                return notices.TopicSet(
                    room.name, room.topic, room.topic_nick, room.seq, room.topic_at
                )


def told_to(people: Iterable[ModelPerson], notice: Notice) -> Told:
    """The same notice for everyone of these who is connected."""
    return {person.conn: [notice] for person in people if not person.away}


def joined(first: Told, then: Told) -> Told:
    """What is told, and then."""
    return {conn: [*first.get(conn, ()), *then.get(conn, ())] for conn in (*first, *then)}


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
                assert notice.redacted or self._said.setdefault((room, seq), plain) == plain
            case Sent(room=str(room), seq=int(seq)):
                # The receipt of an id that comes again stands where it stood before.
                if seq > self._seen.get((conn, room), seq):
                    self._next(conn, room, seq)
            case notices.Gap(room, oldest) if room:
                assert oldest - 1 > self._seen[conn, room], "a gap of nothing"
                self._seen[conn, room] = oldest - 1
            case notices.Left(room, own=True):
                # Who resumes a session is told of rooms, too, that it was put out of before.
                self._seen.pop((conn, room), None)
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
