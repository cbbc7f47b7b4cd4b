"""The naive model: chat as dictionaries and loops, with no thought of speed.

`Model.apply` says, for one entry of a log, exactly what each connection must be told. The text
of a `Rejected` is for people and is left out of comparisons.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain

import msgspec

from tcpchat_core import Entry, Name, Notice, StateLimits, events, notices
from tcpchat_core.durations import shown_duration
from tcpchat_core.notices import Act, Reason, Rejected, RoomInfo, RoomState, Said, Sent
from tcpchat_core.server.queries import NO_ARCHIVE


@dataclass(eq=False)
class ModelAccount:
    """Who owns a nick, and where it is, in the order of coming."""

    name: Name
    is_admin: bool = False
    devices: dict[str, int] = field(default_factory=dict)  # their numbers
    numbered: int = 0
    present: list[ModelPerson] = field(default_factory=list)
    # By the key of each room, the one written last at the end: which room, and how far it has read,
    # up to a number and a time.
    reads: dict[str, tuple[ModelRoom, int, int]] = field(default_factory=dict)


@dataclass(eq=False)
class ModelPerson:
    """A person on one device, with everything that it was ever told alone and every receipt with an
    id.
    """

    name: Name
    conn: int
    session: str
    origin: str = ""
    account: ModelAccount | None = None
    device: str = ""
    away: bool = False
    # By the key of each room, in the order of joining: its last number at that time.
    rooms: dict[str, int] = field(default_factory=dict)
    told: list[notices.Told] = field(default_factory=list)
    seen: int = 0  # of these, by what it said when it came back
    receipts: list[Sent] = field(default_factory=list)
    put_out: dict[str, notices.Left] = field(default_factory=dict)  # by room key, the last
    absent: str = ""  # why it has said that it is away
    real: str = ""  # its real name
    user: str = ""
    # By room key: the numbers of what it has said there since it came, or has its nick.
    mine: dict[str, list[int]] = field(default_factory=dict)
    # As of `ModelAccount`, while it has none.
    reads: dict[str, tuple[ModelRoom, int, int]] = field(default_factory=dict)

    @property
    def who(self) -> Who:
        """Who this is, for all that is decided about somebody."""
        return self.account or self

    @property
    def everywhere(self) -> list[ModelPerson]:
        """The same person on all of its devices."""
        return [self] if self.account is None else self.account.present


Who = ModelPerson | ModelAccount


@dataclass(eq=False)
class ModelRestriction:
    """One person who is kept from one thing, made for good: whether it is over tells the time."""

    what: str
    who: Who
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
    members: list[Who] = field(default_factory=list)
    said: list[Said] = field(default_factory=list)
    kept_from: int = 0  # the number of the first message that the history holds
    topic: str = ""
    topic_nick: str = ""
    topic_at: int = 0
    moderators: list[Who] = field(default_factory=list)
    owners: list[Who] = field(default_factory=list)
    secret: str = ""
    restrictions: list[ModelRestriction] = field(default_factory=list)
    slow_ms: int = 0
    moderated: bool = False
    topic_locked: bool = False
    unlisted: bool = False
    private: bool = False
    hidden: int = 0  # the number of the last message that is only for who was there
    spoke: dict[Who, int] = field(default_factory=dict)
    invited: dict[Who, int] = field(default_factory=dict)
    codes: dict[str, int] = field(default_factory=dict)

    def mode(self, by: str, changed: tuple[str, ...]) -> notices.ModeSet:
        """How one talks here, and who may come in."""
        kept = bool(self.owners)
        talking, coming = (self.slow_ms, self.moderated), (self.private, kept)
        modes = (*talking, *coming, self.topic_locked, self.unlisted)
        return notices.ModeSet(self.name, by, *modes, changed)

    @property
    def moderating(self) -> tuple[str, ...]:
        """The nicks of the moderators who are in."""
        return tuple(called(who) for who in self.moderators if who in self.members)

    @property
    def nicks(self) -> tuple[str, ...]:
        """The nicks of the members, in the order of joining."""
        return tuple(called(who) for who in self.members)

    @property
    def devices(self) -> list[ModelPerson]:
        """All who hear what is said."""
        return [device for who in self.members for device in devices(who)]

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
        self.accounts: dict[str, ModelAccount] = {}  # by the key of the nick
        self.claims: dict[str, tuple[ModelAccount, int]] = {}  # by code, with its end
        # What restricts people everywhere: as if the server were a room that all are in.
        self.server = ModelRoom("", 0)
        self.acts: list[Act] = []  # all that was ever done

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

    def who(self, key: str) -> Who | None:
        """Who has a nick, or owns it and is not here."""
        holder = self.holder(key)
        return self.accounts.get(key) if holder is None else holder.who

    def of_session(self, session: str) -> ModelPerson | None:
        """Whose session it is."""
        return next((person for person in self.people if person.session == session), None)

    def neighbours(self, person: ModelPerson) -> list[ModelPerson]:
        """Everybody else who shares a room with somebody."""
        shared = [member for key in person.rooms for member in self.rooms[key].members]
        others = [other for other in self.people if other.who is not person.who]
        return [other for other in others if other.who in shared]

    def of_device(self, device: str) -> ModelAccount | None:
        """Whose device it is."""
        return next((each for each in self.accounts.values() if device in each.devices), None)

    @property
    def remembered_acts(self) -> list[Act]:
        """The tail of what was done."""
        of_rooms = [place for place, act in enumerate(self.acts) if act.room]
        of_server = [place for place, act in enumerate(self.acts) if not act.room]
        most = self.limits.audit
        return [self.acts[place] for place in sorted(of_rooms[-most:] + of_server[-most:])]

    def kept(self, key: str) -> list[Said]:
        """The tail of what was said that the history still holds."""
        return [said for said in self.rooms[key].said if said.seq >= self.rooms[key].kept_from]

    def _drop(self, room: ModelRoom) -> None:
        """Have the history hold no more than it can: what it has dropped does not come back."""
        tail = [said for said in room.said if said.seq >= room.kept_from]
        tail = tail[-self.limits.history_messages :]
        while sum(_chars(said) for said in tail) > self.limits.history_chars:
            tail = tail[1:]
        room.kept_from = tail[0].seq if tail else room.seq + 1

    def shown(self, key: str) -> list[Said]:
        """Of this what everybody who is in may see."""
        return [said for said in self.kept(key) if said.seq > self.rooms[key].hidden]

    def inbox(self, person: ModelPerson) -> list[notices.Told]:
        """The tail of what somebody was told alone that is kept for a resume."""
        tail = person.told[-self.limits.inbox :] if person.session else []
        while sum(_chars(told) for told in tail) > self.limits.inbox_chars:
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
                case events.Connect():
                    return self._connect(conn, entry.event, at)
                case events.Resume():
                    return self._resume(conn, entry.event, at)
                case events.Expire(session, reason):
                    return self._expire(conn, session, reason)
                case events.Grant() | events.Withdraw():
                    return self._owner_does(entry.event, at)
                case events.Configure(limits):
                    self.limits = msgspec.structs.replace(self.limits, **limits)
                    return {}
                case _:
                    return {}
        match entry.event:
            case events.Connect() | events.Resume() | events.Expire():
                return {}
            case events.Nick(nick, key):
                return self._nick(person, Name(nick, key))
            case events.Away(text):
                return self._away(person, text, at)
            case events.SetName(real, user):
                return self._set_name(person, real, user, at)
            case events.Join(room, key):
                return self._join(person, Name(room, key), entry, entry.event.code)
            case events.Say():
                return self._say(person, entry.event, at)
            case events.Tell():
                return self._tell(person, entry.event, entry)
            case events.Signal():
                return self._signal(person, entry.event, entry)
            case events.Topic(_, topic, key):
                return self._topic(person, key, topic or "", at)
            case events.Out(_, key, reason):
                return self._out(person, key, reason, at)
            case events.Kick() | events.Restrict() | events.Lift() | events.Role():
                return self._moderate(person, entry.event, at)
            case events.RoomMode():
                return self._mode(person, entry.event, at)
            case events.Invite():
                return self._invite(person, entry.event, at)
            case events.Redact():
                return self._redact(person, entry.event, at)
            case events.Restrictions():
                return self._restrictions(person, entry.event, at)
            case events.Read():
                return self._read(person, entry.event, at)
            case events.Claim() | events.Login():
                return self._comes_by(person, entry.event, at)
            case events.Offer() | events.Revoke():
                return self._devices(person, entry.event, at)
            case events.Quit(reason):
                self.closed.append(conn)
                if any(self._silenced(person, key, at) is not None for key in person.rooms):
                    reason = ""
                return {**self._gone(person, reason), conn: [notices.Closing("bye")]}
            case events.Disconnect(reason):
                return self._disconnect(person, reason)
            case _:
                raise AssertionError(f"the log of a connection has {entry.event}")

    def _guest_nick(self) -> Name:
        taken = {person.name.text for person in self.people}
        nick = next(f"guest-{n}" for n in range(1, 1000) if f"guest-{n}" not in taken)
        return Name(nick, nick)

    def _connect(self, conn: int, event: events.Connect, at: int, earlier: str = "") -> Told:
        session, origin, device = event.session, event.origin, event.device
        account = self.of_device(device)
        if refused := self._turned_away(account, origin, earlier, at):
            self.closed.append(conn)
            return joined(rejected(conn, refused, "hello"), {conn: [notices.Closing("")]})
        if account is None:
            person = ModelPerson(self._guest_nick(), conn, session, origin)
            person.real, person.user = event.name, event.user
            self.people.append(person)
            told: Told = {conn: [notices.Welcome(person.name.text, "0")]}
            self._is_taken_for_another(person, self.server, at)
            told = joined(told, {conn: self._own_mutes(person, self.server, at)})
            if self._is_muted(person, self.server, at):
                person.real = ""
            told = joined(told, {conn: self._own_name(person, event.name)})
            if device:
                told = joined(told, rejected(conn, "unknown-device", "hello"))
            return told
        person = ModelPerson(account.name, conn, session, origin)
        person.real, person.user = event.name, event.user
        told = self._comes_to(person, account, device)
        muted_first = len(account.present) == 1 and self._is_muted(person, self.server, at)
        if muted_first and not account.is_admin:
            person.real = ""
        self.people.append(person)
        welcome = notices.Welcome(person.name.text, "0", account=account.name.text)
        muted = self._own_mutes(person, self.server, at)
        of_itself = [*self._own_away(person, ""), *self._own_name(person, event.name)]
        heard = [welcome, *of_itself, *muted, *self._arrives(person, at)]
        return joined(told, {conn: heard})

    def _turned_away(
        self, account: ModelAccount | None, origin: str, earlier: str, at: int
    ) -> Reason | None:
        """Why somebody who comes is turned away; None when it is not."""
        if account is not None and account.is_admin:
            return None
        for ban in self.server.in_force("ban", at):
            if account is not None and ban.who is account:
                return "banned"
            if account is None and origin and ban.origin == origin:
                return "banned"
            if earlier and isinstance(ban.who, ModelPerson) and ban.who.session == earlier:
                return "banned"
        mutes = self.server.in_force("mute", at)
        if account is None and origin and any(mute.origin == origin for mute in mutes):
            return "muted" if len(mutes) >= self.limits.server_restrictions else None
        return None

    def _only_accounts_talk(self, person: ModelPerson) -> bool:
        """Whether somebody is a guest, and guests may not talk."""
        return person.account is None and self.limits.guests == 0

    def _renamed(self, person: ModelPerson, new: Name) -> Told:
        """Somebody is called something else, on all of its devices."""
        old = person.name.text
        for each in person.everywhere:
            each.name = new
            if old != new.text:
                each.mine = {key: [] for key in each.mine}
        told = told_to(person.everywhere, notices.Renamed(old, new.text, own=True))
        if old != new.text:
            told |= told_to(self.neighbours(person), notices.Renamed(old, new.text))
        return told

    def _nick(self, person: ModelPerson, new: Name) -> Told:
        if person.account is not None and new.key != person.name.key:
            return rejected(person.conn, "nick-owned", "nick")
        if self._only_accounts_talk(person):
            return rejected(person.conn, "no-right", "nick")
        holder = self.holder(new.key)
        if holder is not None and holder.who is not person.who:
            return rejected(person.conn, "nick-in-use", "nick")
        if person.account is None and new.key in self.accounts:
            return rejected(person.conn, "nick-owned", "nick")
        if person.account is not None:
            person.account.name = new
        return self._renamed(person, new)

    def _away(self, person: ModelPerson, text: str, at: int) -> Told:
        if self._only_accounts_talk(person):
            return rejected(person.conn, "no-right", "away")
        if text and self._is_muted(person, self.server, at) and not is_admin(person.who):
            return rejected(person.conn, "muted", "away")
        own = notices.AwaySet(person.name.text, text, own=True)
        if text == person.absent:
            return {person.conn: [own]}
        for each in person.everywhere:
            each.absent = text
        return self._hear(person, text, notices.AwaySet(person.name.text, text), own, at)

    def _set_name(self, person: ModelPerson, real: str, user: str, at: int) -> Told:
        if real and self._is_muted(person, self.server, at) and not is_admin(person.who):
            return rejected(person.conn, "muted", "setname")
        own, before = notices.NameSet(person.name.text, real, own=True), person.real
        for each in person.everywhere:
            each.real, each.user = real, user or each.user
        if real == before or self._only_accounts_talk(person):
            return {person.conn: [own]}
        return self._hear(person, real, notices.NameSet(person.name.text, real), own, at)

    def _hear(self, person: ModelPerson, text: str, told: Notice, own: Notice, at: int) -> Told:
        """Those hear what somebody says of itself to whom it may say a line."""
        heard = [key for key in person.rooms if not text or not self._speaks(person, key, at)]
        others = [device for key in heard for device in self.rooms[key].devices]
        return {**told_to(others, told), **told_to(person.everywhere, own)}

    def _join(self, person: ModelPerson, room: Name, entry: Entry, code: str) -> Told:
        if self._only_accounts_talk(person):
            return rejected(person.conn, "no-right", "join")
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
                self.rooms[room.key].moderators += [person.who] if entry.event.roles else []
            self.rooms[room.key].members.append(person.who)
            for each in person.everywhere:
                each.put_out.pop(room.key, None)
                if isinstance(entry.event, events.Join) and entry.event.roles:
                    each.mine[room.key] = []
                each.rooms[room.key] = self.rooms[room.key].seq
        there = self.rooms[room.key]
        entered = self._entered(person, room.key, entry.at, again=again)
        if again:
            return {person.conn: [entered]}
        account = "" if person.account is None else person.account.name.text
        real = "" if self._silenced(person, room.key, entry.at) else person.real
        news = notices.Joined(there.name, person.name.text, there.seq, entry.at, account, real)
        others = told_to(there.devices, news)
        if person.absent and not self._speaks(person, room.key, entry.at):
            away = notices.AwaySet(person.name.text, person.absent)
            others = joined(others, told_to(there.devices, away))
        told = {**others, **told_to(person.everywhere, entered)}
        return {**told, person.conn: [entered, *more]}

    def _entered(
        self, person: ModelPerson, key: str, at: int, *, again: bool = False
    ) -> notices.Entered:
        room = self.rooms[key]
        return notices.Entered(
            room=room.name,
            members=room.nicks[: self.limits.entered_members],
            count=len(room.members),
            seq=room.seq,
            at=at,
            topic=room.topic,
            history=() if again else tuple(self.quoting(key)[-self.limits.entered_history :]),
            again=again,
            moderators=room.moderating,
            slow_ms=room.slow_ms,
            moderated=room.moderated,
            private=room.private,
            kept=bool(room.owners),
            topic_locked=room.topic_locked,
            unlisted=room.unlisted,
            read=self._has_read(person, key)[0],
            topic_nick=room.topic_nick,
            topic_at=room.topic_at,
            read_at=self._has_read(person, key)[1],
        )

    def _has_read(self, person: ModelPerson, key: str) -> tuple[int, int]:
        reads = person.who.reads
        if key not in reads:
            return 0, 0
        room, seq, at = reads[key]
        return seq if room is self.rooms[key] else 0, at  # not of one of the same name before it

    def _read(self, person: ModelPerson, event: events.Read, now: int) -> Told:
        key = event.key
        if key not in person.rooms:
            return rejected(person.conn, "not-in-room", "read")
        if person.account is None and not event.marks:
            return {}
        room, reads, shown = self.rooms[key], person.who.reads, self.shown(key)
        before = seq, at = self._has_read(person, key)
        if event.at is not None:
            at = max(at, min(event.at, now))
            seq = max([seq, *(said.seq for said in shown if said.at <= at)])
        if event.seq in [said.seq for said in room.said] and event.seq > seq:
            seq = event.seq
            if event.marks:
                at = max([at, *(said.at for said in shown if said.seq == seq)])
        news = notices.ReadUpTo(room.name, seq, at)
        told = {} if event.at is None else told_to([person], news)
        if (seq, at) == before:
            return told
        reads.pop(key, None)
        reads[key] = (room, seq, at)
        while len(reads) > 2 * self.limits.rooms_per_person:
            del reads[next(iter(reads))]
        others = [each for each in person.everywhere if each is not person]
        return joined(told, told_to(others, news))

    def _say(self, person: ModelPerson, event: events.Say, at: int) -> Told:
        if known := self.receipt(person, event.id):
            return {person.conn: [known]}
        if event.key not in person.rooms:
            return rejected(person.conn, "not-in-room", "say", event.id)
        room = self.rooms[event.key]
        answered = self._answered(person, event)
        if self._only_accounts_talk(person):
            return rejected(person.conn, "no-right", "say", event.id)
        by_tag = bool({"draft/reply", "reply"} & {*(event.tags or {})})
        if (event.re is not None or event.back) and answered is None and not by_tag:
            return rejected(person.conn, "no-such-message", "say", event.id)
        if refused := self._speaks(person, event.key, at):
            return rejected(person.conn, refused, "say", event.id)
        said = Said(room.name, person.name.text, event.text, room.seq + 1, at, event.emote)
        by_account = person.account is not None
        said = msgspec.structs.replace(
            said, notice=event.notice, tags=event.tags, by_account=by_account, re=answered
        )
        room.said.append(said)
        self._drop(room)
        for each in person.everywhere:
            if event.key in each.mine:
                each.mine[event.key].append(said.seq)
        receipt = Sent(at, event.id, room.name, None, said.seq)
        if event.id is not None:
            person.receipts.append(receipt)
        return {**told_to(room.devices, self._quoting(event.key, said)), person.conn: [receipt]}

    def quoting(self, key: str) -> list[Said]:
        """Of what was said there what everybody who is in may see, as it is told now."""
        return [self._quoting(key, said) for said in self.shown(key)]

    def _answered(self, person: ModelPerson, event: events.Say) -> int | None:
        """Which message somebody answers, if there is one."""
        room, mine = self.rooms[event.key], person.mine.get(event.key, [])
        if event.re is not None:
            return event.re if event.re in [said.seq for said in room.said] else None
        there = [said for said in self.shown(event.key) if not said.redacted]
        others = [said.seq for said in there if said.seq not in mine]
        return others[-event.back] if event.back in range(1, len(others) + 1) else None

    def _quoting(self, key: str, said: Said) -> Said:
        """A message with what it answers, of what everybody who is in the room may see."""
        there = [each for each in self.shown(key) if each.seq == said.re and not each.redacted]
        if not there:
            return said
        [answered] = there
        cut, text = 59, answered.text
        if len(text) > 60:
            blanks = [place for place in range(30, cut) if text[place] == " "]
            text = text[: max(blanks, default=cut)] + "…"
        return msgspec.structs.replace(said, quote=notices.Quote(answered.nick, text))

    def _tell(self, person: ModelPerson, event: events.Tell, entry: Entry) -> Told:
        at, place = entry.at, entry.seq
        if known := self.receipt(person, event.id):
            return {person.conn: [known]}
        if self._only_accounts_talk(person):
            return rejected(person.conn, "no-right", "tell", event.id)
        if self._is_muted(person, self.server, at) and not is_admin(person.who):
            return rejected(person.conn, "muted", "tell", event.id)
        other = self.holder(event.key)
        if other is None:
            return rejected(person.conn, "no-such-nick", "tell", event.id)
        told: Told = {}
        how = (event.notice, place, event.tags, person.account is not None)
        for each in other.everywhere:
            number = len(each.told) + 1
            news = notices.Told(person.name.text, event.text, number, at, "", *how)
            each.told.append(news)
            told |= told_to([each], news)
        for each in person.everywhere:
            if each is not person and each not in other.everywhere:
                nick, to, number = person.name.text, other.name.text, len(each.told) + 1
                echo = notices.Told(nick, event.text, number, at, to, *how)
                each.told.append(echo)
                told |= told_to([each], echo)
        receipt = Sent(at, event.id, None, other.name.text, None, other.absent, place)
        if event.id is not None:
            person.receipts.append(receipt)
        told.setdefault(person.conn, []).append(receipt)
        return told

    def _signal(self, person: ModelPerson, event: events.Signal, entry: Entry) -> Told:
        at, nick = entry.at, person.name.text
        if event.nick_key:
            if self._only_accounts_talk(person):
                return rejected(person.conn, "no-right", "signal")
            if self._is_muted(person, self.server, at) and not is_admin(person.who):
                return rejected(person.conn, "muted", "signal")
            other = self.holder(event.nick_key)
            if other is None:
                return rejected(person.conn, "no-such-nick", "signal")
            to = other.name.text
            told = told_to(
                other.everywhere, notices.Signalled("", nick, event.tags, at, "", entry.seq)
            )
            echo = notices.Signalled("", nick, event.tags, at, to, entry.seq)
            for each in person.everywhere:
                if each is person or each not in other.everywhere:
                    told = joined(told, told_to([each], echo))
            return told
        if self._only_accounts_talk(person):
            return rejected(person.conn, "no-right", "signal")
        if event.key not in person.rooms:
            return rejected(person.conn, "not-in-room", "signal")
        room = self.rooms[event.key]
        spoke = dict(room.spoke)
        refused = self._speaks(person, event.key, at)
        room.spoke = spoke  # it takes no turn
        if refused:
            return rejected(person.conn, refused, "signal")
        signalled = notices.Signalled(room.name, nick, event.tags, at, "", entry.seq)
        return told_to(room.devices, signalled)

    def _topic(self, person: ModelPerson, key: str, topic: str, at: int) -> Told:
        if key not in person.rooms:
            return rejected(person.conn, "not-in-room", "topic")
        room, nick = self.rooms[key], person.name.text
        if room.topic_locked and not self._moderates(person, room):
            return rejected(person.conn, "no-right", "topic")
        if refused := self._speaks(person, key, at):
            return rejected(person.conn, refused, "topic")
        room.topic, room.topic_nick, room.topic_at = topic, nick, at
        return told_to(room.devices, notices.TopicSet(room.name, topic, nick, room.seq, at))

    def _out(self, person: ModelPerson, key: str, reason: str = "", at: int = 0) -> Told:
        if key not in person.rooms:
            return rejected(person.conn, "not-in-room", "out")
        room, nick = self.rooms[key], person.name.text
        if reason and self._speaks(person, key, at):
            reason = ""
        told = told_to(room.devices, notices.Left(room.name, nick, reason=reason))
        self._leave(person, key)
        own = notices.Left(room.name, nick, own=True, reason=reason)
        told |= told_to(person.everywhere, own)
        return joined(told, self._unattended([room]))

    def _unattended(self, rooms: list[ModelRoom]) -> Told:
        """Where nobody moderates any more, everybody may speak, and set the topic."""
        told: Told = {}
        for room in rooms:
            admins = [who for who in room.members if is_admin(who)]
            locks = {"moderated": room.moderated, "topic_locked": room.topic_locked}
            ended = tuple(name for name, is_so in locks.items() if is_so)
            if ended and not room.moderators and not admins and room.members:
                room.moderated = room.topic_locked = False
                told = joined(told, told_to(room.devices, room.mode("", ended)))
        return told

    def _gone(self, person: ModelPerson, reason: str) -> Told:
        self.people.remove(person)
        if person.away:
            self.away.remove(person)
        if len(person.everywhere) > 1:  # nobody hears of it: it is here on others of its devices
            person.everywhere.remove(person)
            return {}
        told = told_to(self.neighbours(person), notices.Gone(person.name.text, reason))
        rooms = [self.rooms[key] for key in person.rooms]
        for key in tuple(person.rooms):
            self._leave(person, key)
        if person.account is not None:
            person.account.present.clear()
        return joined(told, self._unattended(rooms))

    def _leave(self, person: ModelPerson, key: str) -> None:
        room = self.rooms[key]
        room.members.remove(person.who)
        if person.who in room.moderators and (person.account is None or not room.owners):
            room.moderators.remove(person.who)
        for each in person.everywhere:
            del each.rooms[key]
            each.mine.pop(key, None)
        if not room.members and not room.owners:
            del self.rooms[key]

    # ── Accounts ─────────────────────────────────────────────────────────────────────────────

    def _owner_does(self, event: events.Grant | events.Withdraw, at: int) -> Told:
        account = self.accounts.get(event.key)
        if isinstance(event, events.Withdraw):
            return {} if account is None else self._account_ends(account, at)
        if account is None:
            if len(self.accounts) >= self.limits.accounts:
                return {}
            account = self.accounts[event.key] = ModelAccount(Name(event.account, event.key))
        told: Told = {}
        if event.admin is not None:
            account.is_admin = event.admin
            if event.admin:
                for place in (self.server, *self.rooms.values()):
                    place.restrictions = [
                        each
                        for each in place.restrictions
                        if each.who is not account and each.who not in account.present
                    ]
            self.acts.append(
                Act(at, "", "admin" if event.admin else "unadmin", nick=account.name.text)
            )
            rooms = [room for room in self.rooms.values() if account in room.members]
            told = self._unattended(rooms)
        if event.code:
            self._offered(account, event.code, at)
            self.acts.append(Act(at, "", "invite", nick=account.name.text))
        return told

    def _account_ends(self, account: ModelAccount, at: int) -> Told:
        told: Told = {}
        for device in tuple(account.devices):
            told = joined(told, self._ends(device, "this account was closed"))
        del self.accounts[account.name.key]
        self.claims = {code: row for code, row in self.claims.items() if row[0] is not account}
        self.acts.append(Act(at, "", "withdraw", nick=account.name.text))
        for key, room in tuple(self.rooms.items()):
            if account not in room.moderators:
                continue
            room.moderators.remove(account)
            if account in room.owners:
                room.owners.remove(account)
                if not room.owners:
                    self._is_nobodys(room)
                    told = joined(told, told_to(room.devices, room.mode("", ("kept",))))
            told = joined(told, self._unattended([room]))
            if not room.members and not room.owners:
                del self.rooms[key]
        return told

    def _is_nobodys(self, room: ModelRoom) -> None:
        """Nobody moderates a room any more who is elsewhere."""
        room.owners = []
        room.moderators = [who for who in room.moderators if who in room.members]

    def _offered(self, account: ModelAccount, code: str, at: int) -> None:
        valid = self._valid_claims(account, code, at)
        place = {code: (account, at + self.limits.claim_ms)}  # the same code again: its old place
        rows = [*(valid | place).items()]
        self.claims = dict(rows[-self.limits.claims :])

    def _valid_claims(
        self, account: ModelAccount, code: str, at: int
    ) -> dict[str, tuple[ModelAccount, int]]:
        """Those that hold beside one that an account wants: of its own as many as leave place."""
        valid = {code: row for code, row in self.claims.items() if at < row[1]}
        own = [each for each, (who, _) in valid.items() if who is account and each != code]
        over = own[: max(0, len(own) - self.limits.devices + 1)]
        return {each: row for each, row in valid.items() if each not in over}

    def _comes_by(self, person: ModelPerson, event: events.Claim | events.Login, at: int) -> Told:
        """A guest that is here comes to be an account's."""
        conn, request = person.conn, str(event.__struct_config__.tag)
        is_again = person.account is not None and person.device == event.device
        if person.account is not None and not is_again:
            return rejected(conn, "bad-request", request)
        if isinstance(event, events.Login) or self.of_device(event.device):
            account = self.of_device(event.device)
            if account is None:
                return rejected(conn, "unknown-device", request)
            if self._may_not_become(account, at):
                return rejected(conn, "banned", request)
        else:
            account, until = self.claims.get(event.code, (None, 0))
            if account is None or at >= until:
                return rejected(conn, "wrong-code", request)
            if self._may_not_become(account, at):
                return rejected(conn, "banned", request)
            if len(account.devices) >= self.limits.devices:
                return rejected(conn, "too-many", request)
            del self.claims[event.code]
            account.numbered += 1
            account.devices[event.device] = account.numbered
        told = {} if is_again else self._becomes(person, account, event.device, at)
        number = account.devices[event.device]
        claimed = notices.Claimed(account.name.text, number, account.is_admin)
        return joined(told, {conn: [claimed]})

    def _may_not_become(self, account: ModelAccount, at: int) -> bool:
        bans = self.server.in_force("ban", at)
        return any(ban.who is account for ban in bans) and not account.is_admin

    def _becomes(self, person: ModelPerson, account: ModelAccount, device: str, at: int) -> Told:
        told: Told = {}
        person.reads = {}
        rooms = [self.rooms[key] for key in person.rooms]
        if account.present:
            for key in tuple(person.rooms):
                told = joined(told, self._out(person, key))
            old, absent, real = person.name.text, person.absent, person.real
            told = joined(told, self._comes_to(person, account, device))
            renamed = notices.Renamed(old, person.name.text, own=True)
            away = [*self._own_away(person, absent), *self._own_name(person, real)]
            is_more = [self._goes_by(place, person, at) for place in (self.server, *rooms)]
            if any(is_more):
                for each in account.present:
                    muted = self._all_own_mutes(each, at)
                    if each is not person and not each.away and muted:
                        told = joined(told, {each.conn: muted})
            muted = self._own_mutes(person, self.server, at)
            heard = [renamed, *away, *muted, *self._arrives(person, at)]
            return joined(told, {person.conn: heard})
        for key in tuple(person.rooms):  # where it cannot be, being who it is
            bans = self.rooms[key].in_force("ban", at)
            if any(ban.who is account for ban in bans) and not account.is_admin:
                told = joined(told, self._out(person, key))
        told = joined(told, self._makes_way(person, account))
        told = joined(told, self._renamed(person, account.name))
        for room in [self.rooms[key] for key in person.rooms]:
            room.members = [account if who is person else who for who in room.members]
            if person in room.moderators and account in room.moderators:
                room.moderators.remove(person)
            room.moderators = [account if who is person else who for who in room.moderators]
        person.account, person.device = account, device
        account.present.append(person)
        nick = person.name.text
        told = joined(told, told_to(self.neighbours(person), notices.AccountSet(nick, nick)))
        for place in (self.server, *rooms):
            self._goes_by(place, person, at)
        return joined(told, {person.conn: self._all_own_mutes(person, at)})

    def _own_away(self, person: ModelPerson, before: str) -> list[Notice]:
        """What a device is told of being away, that was so or not before it came."""
        if person.absent == before:
            return []
        return [notices.AwaySet(person.name.text, person.absent, own=True)]

    def _own_name(self, person: ModelPerson, before: str) -> list[Notice]:
        """The same of its real name."""
        if person.real == before:
            return []
        return [notices.NameSet(person.name.text, person.real, own=True)]

    def _goes_by(self, place: ModelRoom, person: ModelPerson, at: int) -> bool:
        """What holds for somebody who was a guest holds for its account, if that is more."""
        account, is_more = person.account, False
        assert account is not None
        for mute in place.in_force("mute", at):
            if mute.who is person:
                known = [each for each in place.in_force("mute", at) if each.who is account]
                if not known or known[0].until < mute.until:
                    self._restrict(place, replace(mute, who=account, name=person.name))
                    is_more = True
        if person in place.spoke:
            spoke = place.spoke.pop(person)
            place.spoke[account] = max(spoke, place.spoke.get(account, 0))
            place.spoke = dict(sorted(place.spoke.items(), key=lambda each: each[1]))
        return is_more

    def _makes_way(self, person: ModelPerson, account: ModelAccount) -> Told:
        """A guest that has the nick of an account gives it up."""
        holder = self.holder(account.name.key)
        if holder in (None, person):
            return {}
        assert holder is not None
        told = self._renamed(holder, self._guest_nick())
        return joined(told, told_to([holder], notices.Announced("")))

    def _comes_to(self, person: ModelPerson, account: ModelAccount, device: str) -> Told:
        """Somebody who is in no room is on one more device of an account."""
        told: Told = {}
        if account.present:
            first = account.present[0]
            person.name = first.name
            person.absent, person.real, person.user = first.absent, first.real, first.user
            person.rooms = {key: self.rooms[key].seq for key in first.rooms}
            person.mine = {key: [*numbers] for key, numbers in first.mine.items()}
            for key in person.rooms:
                person.put_out.pop(key, None)
        else:
            told = self._makes_way(person, account)
            person.name = account.name
        person.account, person.device = account, device
        account.present.append(person)
        return told

    def _arrives(self, person: ModelPerson, at: int) -> list[Notice]:
        """What a device is told of the rooms that its account is in."""
        told: list[Notice] = []
        for key in person.rooms:
            told.append(self._entered(person, key, at))
            told += self._own_mutes(person, self.rooms[key], at)
        return told

    def _devices(self, person: ModelPerson, event: events.Offer | events.Revoke, at: int) -> Told:
        account = person.account
        if account is None:
            return rejected(person.conn, "no-right", str(event.__struct_config__.tag))
        if isinstance(event, events.Offer):
            others = self._valid_claims(account, event.code, at)
            if event.code not in others and len(others) >= self.limits.claims:
                self.claims = others
                return rejected(person.conn, "too-many", "device")
            self._offered(account, event.code, at)
            until = at + self.limits.claim_ms
            return {person.conn: [notices.Offered(account.name.text, until, at)]}
        device = next((d for d, n in account.devices.items() if n == event.number), None)
        if device is None:
            return rejected(person.conn, "bad-usage", "revoke")
        told: Told = {person.conn: [notices.Revoked(event.number)]}
        return joined(told, self._ends(device, "this device was revoked"))

    def _ends(self, device: str, why: str) -> Told:
        told: Told = {}
        account = self.of_device(device)
        present = [] if account is None else [*account.present]
        for person in [each for each in present if each.device == device]:
            told = joined(told, self._ended(person, why, why))
        if account is not None:
            del account.devices[device]
        return told

    def _ended(self, person: ModelPerson, why: str, closing: str) -> Told:
        """Somebody is gone on one device, by what somebody else does."""
        conn, is_here = person.conn, not person.away
        told = self._gone(person, why)
        if is_here:
            told = joined(told, {conn: [notices.Closing(closing)]})
            self.closed.append(conn)
        return told

    # ── Moderation ───────────────────────────────────────────────────────────────────────────

    def _moderates(self, person: ModelPerson, room: ModelRoom) -> bool:
        return person.who in room.moderators or is_admin(person.who)

    def _is_muted(self, person: ModelPerson, place: ModelRoom, at: int) -> bool:
        return any(each.who is person.who for each in place.in_force("mute", at))

    def _silenced(self, person: ModelPerson, key: str, at: int) -> Reason | None:
        """Why somebody says nothing at all in a room; None when it may."""
        room = self.rooms[key]
        if self._only_accounts_talk(person):
            return "no-right"
        if is_admin(person.who):
            return None
        if self._is_muted(person, self.server, at):
            return "muted"
        if person.who not in room.moderators and (
            room.moderated or self._is_muted(person, room, at)
        ):
            return "muted"
        return None

    def _speaks(self, person: ModelPerson, key: str, at: int) -> Reason | None:
        """Why somebody says nothing; None when it does."""
        room = self.rooms[key]
        if refused := self._silenced(person, key, at):
            return refused
        if room.slow_ms and not self._moderates(person, room):
            if at < room.spoke.get(person.who, at - room.slow_ms) + room.slow_ms:
                return "slow"
            room.spoke.pop(person.who, None)
            room.spoke[person.who] = at
            there = [who for who, then in room.spoke.items() if at < then + room.slow_ms]
            last = there[-self.limits.restrictions :]
            room.spoke = {who: room.spoke[who] for who in last}
        return None

    def _comes_in(
        self, person: ModelPerson, room: ModelRoom, code: str, at: int
    ) -> tuple[Reason | None, list[Notice]]:
        """Why somebody may not come in, or what it is told besides when it does."""
        if is_admin(person.who):
            return None, self._own_mutes(person, room, at)
        origin = person.origin if person.account is None else ""  # others may come from there
        for ban in room.in_force("ban", at):
            if ban.who in (person, person.who) or (origin and ban.origin == origin):
                return "banned", []
        lets_in = (room.invited.get(person.who, 0), room.codes.get(code, 0))
        knows = room.secret != "" and code == room.secret
        is_its_own = person.who in room.moderators  # of a room that is kept
        if room.private and max(lets_in) <= at and not knows and not is_its_own:
            return "private", []
        mutes = room.in_force("mute", at)
        alike = [each for each in mutes if origin and each.origin == origin]
        if alike and len(mutes) >= self.limits.restrictions:
            return "muted", []
        self._is_taken_for_another(person, room, at)
        return None, self._own_mutes(person, room, at)

    def _is_taken_for_another(self, person: ModelPerson, place: ModelRoom, at: int) -> None:
        """A guest who comes from where somebody came who is muted, is muted."""
        mutes = place.in_force("mute", at)
        alike = [each for each in mutes if person.origin and each.origin == person.origin]
        if person.account is None and alike and not self._is_muted(person, place, at):
            longest = max(alike, key=lambda each: each.until)
            self._restrict(place, replace(longest, who=person.who, name=person.name))

    def _all_own_mutes(self, person: ModelPerson, at: int) -> list[Notice]:
        """What tells somebody where it is muted, on the server and in its rooms."""
        places = [self.server, *(self.rooms[key] for key in person.rooms)]
        return [told for place in places for told in self._own_mutes(person, place, at)]

    def _own_mutes(self, person: ModelPerson, room: ModelRoom, at: int) -> list[Notice]:
        return [
            notices.Restricted(
                room.name, person.name.text, "mute", each.until, each.by, at, each.reason, own=True
            )
            for each in room.in_force("mute", at)
            if each.who is person.who
        ]

    def _restrict(self, room: ModelRoom, new: ModelRestriction) -> None:
        room.restrictions = [
            each
            for each in room.restrictions
            if not (each.what == new.what and each.who is new.who)
        ]
        room.restrictions.append(new)

    def _moderate(
        self,
        person: ModelPerson,
        event: events.Kick | events.Restrict | events.Lift | events.Role,
        at: int,
    ) -> Told:
        conn, request = person.conn, str(event.__struct_config__.tag)
        if not isinstance(event, events.Role) and event.server:
            return self._server_wide(person, event, at)
        if event.key not in person.rooms:
            return rejected(conn, "not-in-room", request)
        room, by = self.rooms[event.key], person.name.text
        if not self._moderates(person, room):
            return rejected(conn, "no-right", request)
        if isinstance(event, events.Lift):
            return self._lift(person, room, event, at)
        if isinstance(event, events.Role):
            return self._role(person, room, event, at)
        who = self.who(event.nick_key)
        may_be_outside = isinstance(event, events.Restrict) and event.what == "ban"
        if who is None or (who not in room.members and not may_be_outside):
            return rejected(conn, "no-such-nick", request)
        if who in room.moderators or is_admin(who):
            return rejected(conn, "no-right", request)
        until, nick = 0, called(who)
        if isinstance(event, events.Restrict):
            made = self._makes(room, who, event, by, at)
            if made is None:
                return rejected(conn, "too-many", request)
            until = made.until
            self.acts.append(Act(at, by, event.what, room.name, nick, until, event.reason))
            restricted = notices.Restricted(
                room.name, nick, event.what, until, by, at, event.reason
            )
            if event.what == "mute":
                own = msgspec.structs.replace(restricted, own=True)
                return {**told_to(room.devices, restricted), **told_to(devices(who), own)}
            if who not in room.members:
                return told_to(room.devices, restricted)
        else:
            self.acts.append(Act(at, by, "kick", room.name, nick, reason=event.reason))
        left = notices.Left(room.name, nick, by=by, reason=event.reason, at=at, until=until)
        mine = msgspec.structs.replace(left, own=True)
        told = {**told_to(room.devices, left), **told_to(devices(who), mine)}
        self._leave(devices(who)[0], event.key)
        room.invited.pop(who, None)
        for each in devices(who):
            each.put_out[event.key] = mine
            while len(each.put_out) > self.limits.rooms_per_person:
                del each.put_out[next(iter(each.put_out))]
        return told

    def _makes(
        self, place: ModelRoom, who: Who, event: events.Restrict, by: str, at: int
    ) -> ModelRestriction | None:
        """Restrict somebody; None where there is no place for it."""
        usual = {"ban": self.limits.ban_ms, "mute": self.limits.mute_ms}[event.what]
        until = at + max(1, min(event.ms or usual, self.limits.restriction_ms))
        limits = self.limits
        most = limits.server_restrictions if place is self.server else limits.restrictions
        there = place.in_force(event.what, at)
        if not any(each.who is who for each in there) and len(there) >= most:
            return None
        origin = next((each.origin for each in devices(who)), "")
        made = ModelRestriction(event.what, who, origin, who.name, until, by, event.reason)
        self._restrict(place, made)
        return made

    def _server_wide(
        self,
        person: ModelPerson,
        event: events.Kick | events.Restrict | events.Lift,
        at: int,
    ) -> Told:
        conn, by, request = person.conn, person.name.text, str(event.__struct_config__.tag)
        if not is_admin(person.who):
            return rejected(conn, "no-right", request)
        who = self.who(event.nick_key)
        if isinstance(event, events.Lift):
            found = self._found(self.server, event, at)
            if not found:
                return rejected(conn, "no-such-nick", request)
            rows = self.server.restrictions
            self.server.restrictions = [each for each in rows if each not in found]
            lifted = notices.Lifted("", found[0].name.text, event.what, by)
            self.acts.append(Act(at, by, f"un{event.what}", nick=lifted.nick))
            own = msgspec.structs.replace(lifted, own=True)
            is_here = who is not None and any(each.who is who for each in found)
            told = told_to(devices(who) if who is not None and is_here else [], own)
            return joined(told, {conn: [lifted]})
        if who is None:
            return rejected(conn, "no-such-nick", request)
        if is_admin(who):
            return rejected(conn, "no-right", request)
        nick, why, until = called(who), f"put out by {by}", 0
        if isinstance(event, events.Restrict):
            made = self._makes(self.server, who, event, by, at)
            if made is None:
                return rejected(conn, "too-many", request)
            why, until = f"banned for {shown_duration(made.until - at)} by {by}", made.until
            self.acts.append(Act(at, by, event.what, "", nick, until, event.reason))
            if event.what == "mute" or not devices(who):
                restricted = notices.Restricted("", nick, event.what, until, by, at, event.reason)
                own_copy = msgspec.structs.replace(restricted, own=True)
                return joined(told_to(devices(who), own_copy), {conn: [restricted]})
        else:
            if not devices(who):
                return rejected(conn, "no-such-nick", request)
            self.acts.append(Act(at, by, "kick", nick=nick, reason=event.reason))
        told = {}
        why = f"{why}: {event.reason}" if event.reason else why
        for each in tuple(devices(who)):
            told = joined(told, self._ended(each, why, f"you were {why}"))
        expelled = notices.Expelled(nick, by, at, event.reason, until)
        return joined(told, {conn: [expelled]})

    def _redact(self, person: ModelPerson, event: events.Redact, at: int) -> Told:
        if event.key not in person.rooms:
            return rejected(person.conn, "not-in-room", "redact")
        room, mine = self.rooms[event.key], person.mine.get(event.key, [])
        kept = self.kept(event.key)
        there = [said for said in kept if not said.redacted]
        holder = self.holder(event.nick_key) if event.nick else person
        is_own = holder is not None and holder.who is person.who and not event.seq
        if event.seq:
            found = [said for said in kept if said.seq == event.seq]
            is_own = event.seq in mine and bool(found)
        elif is_own:
            found = [said for said in there if said.seq in mine]
        else:
            nick = holder.name.text if holder else event.nick
            found = [said for said in there if said.nick == nick]
        if not self._moderates(person, room) and not is_own:
            return rejected(person.conn, "no-right", "redact")
        if self._moderates(person, room):
            by = person.name.text
            if room.base < event.seq <= room.seq:
                self.acts.append(Act(at, by, "redact", room.name, reason=f"message {event.seq}"))
            elif event.nick and not event.seq:
                self.acts.append(Act(at, by, "redact", room.name, event.nick))
        if not found and not room.base < event.seq <= room.seq:
            return rejected(person.conn, "no-such-message", "redact")
        seq, author = event.seq, ""
        if found:
            seq, author = found[-1].seq, found[-1].nick
            gone = msgspec.structs.replace(
                found[-1],
                text="",
                emote=True,
                redacted=True,
                notice=False,
                tags=None,
                by_account=False,
                re=None,
            )
            room.said[seq - room.base - 1] = gone
        told = notices.Redacted(room.name, seq, person.name.text, at, author)
        return told_to(room.devices, told)

    def _mode(self, person: ModelPerson, event: events.RoomMode, at: int) -> Told:
        if event.key not in person.rooms:
            return rejected(person.conn, "not-in-room", "mode")
        room, by = self.rooms[event.key], person.name.text
        if not self._moderates(person, room):
            return rejected(person.conn, "no-right", "mode")
        if event.kept is not None and (refused := self._may_not_keep(person, room, event.kept)):
            return rejected(person.conn, refused, "mode")
        before = room.mode(by, ())
        if event.slow_ms is not None:
            room.slow_ms, room.spoke = min(event.slow_ms, self.limits.slow_ms), {}
            how = shown_duration(room.slow_ms) if room.slow_ms else "off"
            self.acts.append(Act(at, by, "slow", room.name, reason=how))
        if event.moderated is not None:
            room.moderated = event.moderated
            self.acts.append(Act(at, by, "moderated", room.name, reason=on_or_off(event.moderated)))
        if event.topic_locked is not None:
            room.topic_locked = event.topic_locked
            how = on_or_off(event.topic_locked)
            self.acts.append(Act(at, by, "topiclock", room.name, reason=how))
        if event.unlisted is not None:
            room.unlisted = event.unlisted
            self.acts.append(Act(at, by, "unlisted", room.name, reason=on_or_off(event.unlisted)))
        if event.private is not None:
            if room.private > event.private:
                room.hidden = room.seq
            room.private, room.invited, room.codes = event.private, {}, {}
            room.secret = ""
            self.acts.append(Act(at, by, "private", room.name, reason=on_or_off(event.private)))
        if event.secret is not None:
            room.secret = event.secret
            room.private = room.private or event.secret != ""
            self.acts.append(Act(at, by, "secret", room.name, reason=on_or_off(event.secret != "")))
        if event.kept is not None:
            if not event.kept:
                self._is_nobodys(room)
            elif not room.owners:
                room.owners = [person.who]
                if person.who not in room.moderators:
                    room.moderators.append(person.who)
            self.acts.append(Act(at, by, "keep", room.name, reason=on_or_off(event.kept)))
        now = room.mode(by, ())
        names = ("slow_ms", "moderated", "private", "kept", "topic_locked", "unlisted")
        changed = tuple([name for name in names if getattr(before, name) != getattr(now, name)])
        return joined(told_to(room.devices, room.mode(by, changed)), self._unattended([room]))

    def _may_not_keep(self, person: ModelPerson, room: ModelRoom, kept: bool) -> Reason | None:
        if person.account is None:
            return "no-right"
        if not kept:
            is_owner = not room.owners or person.who in room.owners
            return None if is_owner or is_admin(person.who) else "no-right"
        if room.owners:
            return None
        if self._kept_for(person.account) >= self.limits.kept:
            return "too-many"
        if person.who not in room.moderators and len(room.moderators) >= self.limits.moderators:
            return "too-many"
        return None

    def _kept_for(self, who: Who) -> int:
        return len([room for room in self.rooms.values() if who in room.owners])

    def _invite(self, person: ModelPerson, event: events.Invite, at: int) -> Told:
        if event.key not in person.rooms:
            return rejected(person.conn, "not-in-room", "invite")
        room, until = self.rooms[event.key], at + self.limits.invitation_ms
        if not self._moderates(person, room):
            return rejected(person.conn, "no-right", "invite")
        target = self.who(event.nick_key) if event.nick else None
        if event.nick and target is None:
            return rejected(person.conn, "no-such-nick", "invite")
        held = [end for code, end in room.codes.items() if code != event.code_hash]
        if target is not None:
            held = [end for who, end in room.invited.items() if who is not target]
        if len([end for end in held if end > at]) >= self.limits.invitations:
            return rejected(person.conn, "too-many", "invite")
        nick = called(target) if target else ""
        if target is None:
            room.codes[event.code_hash] = until
        else:
            room.invited[target] = until
        self.acts.append(Act(at, person.name.text, "invite", room.name, nick, until))
        if target is not None and target in room.members:
            return rejected(person.conn, "already-there", "invite")
        told = notices.Invited(room.name, person.name.text, until, at, nick)
        return told_to([person, *(devices(target) if target is not None else ())], told)

    def _found(self, place: ModelRoom, event: events.Lift, at: int) -> list[ModelRestriction]:
        """The restrictions of who is called so, or was when they were made."""
        who = self.who(event.nick_key)
        return [
            each
            for each in place.in_force(event.what, at)
            if each.name.key == event.nick_key or each.who is who
        ]

    def _lift(self, person: ModelPerson, room: ModelRoom, event: events.Lift, at: int) -> Told:
        found = self._found(room, event, at)
        if not found:
            return rejected(person.conn, "no-such-nick", "lift")
        room.restrictions = [each for each in room.restrictions if each not in found]
        told = notices.Lifted(room.name, found[0].name.text, event.what, person.name.text)
        self.acts.append(Act(at, person.name.text, f"un{event.what}", room.name, told.nick))
        for member in room.members:
            if any(each.who is member for each in found):
                told = msgspec.structs.replace(told, nick=called(member))
                own = msgspec.structs.replace(told, own=True)
                return {**told_to(room.devices, told), **told_to(devices(member), own)}
        return told_to(room.devices, told)

    def _role(self, person: ModelPerson, room: ModelRoom, event: events.Role, at: int) -> Told:
        who, wanted = self.who(event.nick_key), event.role
        if who not in room.members and who not in room.moderators:
            who = self.accounts.get(event.nick_key) if room.owners else None
        if who is None:
            return rejected(person.conn, "no-such-nick", "role")
        if refused := self._may_not_be(person, room, who, wanted):
            return rejected(person.conn, refused, "role")
        if wanted == "member":
            room.owners = [each for each in room.owners if each is not who]
            room.moderators = [each for each in room.moderators if each is not who]
        elif who not in room.moderators:
            room.moderators.append(who)
        if wanted == "owner" and who not in room.owners:
            room.owners.append(who)
        by = person.name.text
        word = {"member": "unmod", "moderator": "mod", "owner": "own"}[wanted]
        self.acts.append(Act(at, by, word, room.name, called(who)))
        set_ = notices.RoleSet(room.name, called(who), wanted, by)
        return joined(told_to(room.devices, set_), self._unattended([room]))

    def _may_not_be(
        self, person: ModelPerson, room: ModelRoom, who: Who, wanted: events.RoomRole
    ) -> Reason | None:
        owns = person.who in room.owners or is_admin(person.who)
        if wanted == "owner" and not room.owners:
            return "bad-request"
        if wanted == "owner" and not (owns and isinstance(who, ModelAccount)):
            return "no-right"
        if who in room.owners:
            if not owns:
                return "no-right"
            if wanted == "moderator":
                return "bad-request"
            if wanted == "member" and room.owners == [who]:
                return "no-right"
        elif wanted == "owner" and self._kept_for(who) >= self.limits.kept:
            return "too-many"
        is_full = len(room.moderators) >= self.limits.moderators
        if wanted != "member" and who not in room.moderators and is_full:
            return "too-many"
        return None

    def _restrictions(self, person: ModelPerson, event: events.Restrictions, at: int) -> Told:
        if event.server:
            if not is_admin(person.who):
                return rejected(person.conn, "no-right", "restrictions")
            place = self.server
        elif event.key not in person.rooms:
            return rejected(person.conn, "not-in-room", "restrictions")
        else:
            place = self.rooms[event.key]
            if not self._moderates(person, place):
                return rejected(person.conn, "no-right", "restrictions")
        rows = [each.info() for what in ("ban", "mute") for each in place.in_force(what, at)]
        return {person.conn: [notices.RestrictionList(place.name, tuple(rows), at)]}

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
            anew = events.Connect(event.fresh, event.origin, event.device, event.name, event.user)
            return self._connect(conn, anew, at, event.session)
        told: Told = {}
        if person.away:
            self.away.remove(person)
        else:
            taken = "this session was resumed on another connection"
            told[person.conn] = [notices.Closing(taken)]
            self.closed.append(person.conn)
        person.conn, person.away, person.origin = conn, False, event.origin
        rooms = {key: self.rooms[key] for key in person.rooms}
        states = tuple(self._room_state(person, key) for key in rooms)
        of_itself = (person.absent, person.real)
        resumed = notices.Resumed(person.name.text, states, "0", None, *of_itself)
        heard: list[Notice] = [resumed]
        heard += [left for key, left in person.put_out.items() if key in event.seen]
        heard += self._all_own_mutes(person, at)
        person.seen = max(person.seen, min(event.told, len(person.told)))
        heard += missed("", len(person.told), event.told, self.inbox(person))
        for key, room in rooms.items():
            seen = max(event.seen.get(key, 0), person.rooms[key])
            for notice in missed(room.name, room.seq, seen, self.kept(key)):
                news = self._quoting(key, notice) if isinstance(notice, Said) else notice
                heard.append(self._with_own_id(person, news))
        return {**told, conn: heard}

    def _room_state(self, person: ModelPerson, key: str) -> RoomState:
        room = self.rooms[key]
        return RoomState(
            room.name,
            room.nicks[: self.limits.entered_members],
            len(room.members),
            room.seq,
            room.topic,
            None,
            room.moderating,
            room.slow_ms,
            room.moderated,
            room.private,
            bool(room.owners),
            room.topic_locked,
            room.unlisted,
            self._has_read(person, key)[0],
            room.topic_nick,
            room.topic_at,
            self._has_read(person, key)[1],
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
                    if not (room.private or room.unlisted) or (asks and key in asks.rooms)
                ]
                order = sorted(seen, key=lambda key: (-len(self.rooms[key].members), key))
                return notices.RoomList(
                    tuple(
                        RoomInfo(room.name, len(room.members), room.topic)
                        for room in map(self.rooms.__getitem__, order)
                    ),
                    people=sum(not person.away for person in self.people),
                )
            case events.Whois(_, key):
                return self._whois(conn, key)
            case events.Search():
                return NO_ARCHIVE
            case events.Devices():
                return Rejected("no-right", "", "devices")  # nobody has an account here
            case events.Audit(limit):
                person = self.connected(conn)
                if person is None or not is_admin(person.who):
                    return Rejected("no-right", "", "audit")
                return notices.ActList(tuple(self.remembered_acts[-max(1, limit) :]))
            case (
                events.Who(key=key)
                | events.History(key=key)
                | events.Topic(key=key)
                | events.Read(key=key)
            ):
                person = self.connected(conn)
                if person is None or key not in person.rooms:
                    return Rejected("not-in-room", "", str(query.__struct_config__.tag))
                if isinstance(query, events.Read):
                    return notices.ReadUpTo(self.rooms[key].name, *self._has_read(person, key))
                return self._about_room(key, query)
            case events.Help():
                raise AssertionError("help is not part of the model")

    def _whois(self, conn: int, key: str) -> Notice:
        asks, person = self.connected(conn), self.holder(key)
        if asks is None or self._only_accounts_talk(asks):
            return Rejected("no-right", "", "whois")
        if person is None:
            return Rejected("no-such-nick", "", "whois")
        return notices.PersonInfo(
            nick=person.name.text,
            account=person.name.text if person.account else "",
            admin=is_admin(person.who),
            rooms=tuple(self.rooms[each].name for each in person.rooms if each in asks.rooms),
            lost=all(each.away for each in person.everywhere),
            away=person.absent,
            name="" if self._only_accounts_talk(person) else person.real,
            user=person.user,
        )

    def _about_room(self, key: str, query: events.Who | events.History | events.Topic) -> Notice:
        room = self.rooms[key]
        match query:
            case events.Who():
                owners = tuple(called(who) for who in room.owners)
                how = room.mode("", ())
                away = tuple(called(who) for who in room.members if devices(who)[0].absent)
                asked = [devices(who)[0] for who in room.members] if query.names else []
                return notices.Members(
                    room=room.name,
                    nicks=room.nicks,
                    moderators=room.moderating,
                    owners=owners,
                    slow_ms=how.slow_ms,
                    moderated=how.moderated,
                    private=how.private,
                    kept=how.kept,
                    topic_locked=how.topic_locked,
                    unlisted=how.unlisted,
                    away=away,
                    accounts=tuple(
                        called(who) for who in room.members if isinstance(who, ModelAccount)
                    ),
                    names={each.name.text: each.real for each in asked if each.real},
                    users={each.name.text: each.user for each in asked if each.user},
                )
            case events.History(_, before, limit):
                kept = [said for said in self.quoting(key) if before is None or said.seq < before]
                shown = kept[-limit:] if limit > 0 else []
                return notices.HistoryPage(room.name, tuple(shown), 0 < len(shown) < len(kept))
            case events.Topic():
                return notices.TopicSet(
                    room.name, room.topic, room.topic_nick, room.seq, room.topic_at
                )


def devices(who: Who) -> list[ModelPerson]:
    """Where somebody is."""
    return who.present if isinstance(who, ModelAccount) else [who]


def called(who: Who) -> str:
    """The nick that somebody has, here or not."""
    return who.name.text


def is_admin(who: Who) -> bool:
    """Whether somebody looks after the server."""
    return isinstance(who, ModelAccount) and who.is_admin


def on_or_off(is_so: bool) -> str:
    """How a setting is written in an act."""
    return "on" if is_so else "off"


def _chars(message: Said | notices.Told) -> int:
    return len(message.text) + sum(map(len, chain(*(message.tags or {}).items())))


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
        case notices.Welcome(nick, epoch, account=account):
            return notices.Welcome(nick, epoch, account=account)
        case notices.RoomList():
            return msgspec.structs.replace(notice, most_people=0)
        case notices.Announced():
            return notices.Announced("")
        case notices.Closing(reason) if reason.startswith(("you are banned ", "you are muted ")):
            return notices.Closing("")
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
                assert notice.re is None or notice.re < seq
                # (What it answers may be held no more, or was taken back, when it is told again.)
                plain = msgspec.structs.replace(notice, id=None, quote=None)
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
