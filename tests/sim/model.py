"""What the log says is true, told naively: who is where, who is away, and what was said to whom.

Who may do what, and who is told what of it, is decided by the naive model of `tests/core/model.py`,
which knows nothing of the product's state. Here its history is kept for ever, with the place in the
log where each thing happened, so that what people were shown can be held against it when the
simulation is over. A message is known by its text: no two that are said on purpose are equal.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

import msgspec

from tcpchat_core import Entry, Notice, StateLimits, events, notices
from tcpchat_core.notices import Said
from tcpchat_core.state.tables import MAX_DIVERGENCES
from tests.core import model as core
from tests.core.model import ModelAccount, ModelPerson, ModelRoom


@dataclass
class Message:
    """One line that was said to a room; `place` is that of its entry in the log."""

    text: str
    author: int
    nick: str
    life: Life
    seq: int
    place: int
    at: int


@dataclass
class Stay:
    """How long somebody was in a room, on one device: between two places of the log."""

    person: int
    life: Life
    start: int
    end: int | None = None
    ended_on: int | None = None  # the connection that the person had then
    at: int = 0  # when it began
    was_put_out: bool = False

    @property
    def since(self) -> int:
        """The number of the last message before it."""
        return self.life.base + sum(1 for each in self.life.messages if each.place < self.start)

    def covers(self, place: int) -> bool:
        """Whether it was while somebody was there."""
        return self.start < place and (self.end is None or place < self.end)


@dataclass
class Life:
    """A room from its first member to its last, numbered from `base` + 1."""

    name: str
    key: str
    base: int
    room: ModelRoom
    messages: list[Message] = field(default_factory=list)
    closed: list[list[int]] = field(default_factory=list)  # from and to which place it was private

    @property
    def is_private(self) -> bool:
        """Whether one comes in only by invitation."""
        return bool(self.closed) and len(self.closed[-1]) == 1

    def opened_at(self, place: int) -> int:
        """Up to which place what was said is only for who was there, just after a place."""
        ends = [closed[1] for closed in self.closed if len(closed) > 1]
        return max((end for end in ends if end <= place), default=0)

    def last_at(self, place: int) -> int:
        """The number of its last message before a place; 0 if it was not there."""
        if self.base >= place:
            return 0
        return self.base + sum(1 for message in self.messages if message.place < place)

    def kept_from(self, place: int, limits: StateLimits, since: int) -> int:
        """The number of the oldest message that the history holds just after a place.

        What was said before the time `since` is forgotten.
        """
        chars = count = 0
        oldest = self.base + 1 + sum(1 for message in self.messages if message.place < place)
        for message in reversed(self.messages):
            if message.place < place:
                chars, count = chars + len(message.text), count + 1
                is_beyond = count > limits.history_messages or chars > limits.history_chars
                if is_beyond or message.at < since:
                    break
                oldest = message.seq
        return oldest


@dataclass
class Direct:
    """One line that was said to one person, with the number it has on one device.

    `to` are all who were to see it: the devices of that person, and the author's other ones.
    """

    text: str
    author: int
    to: list[int]
    seq: int
    place: int


@dataclass(eq=False)
class Character:
    """One person on one device, from connecting to being gone. `id` is the connection that it came
    on.
    """

    id: int
    conn: int
    session: str
    person: ModelPerson
    account: ModelAccount | None = None
    account_place: int = 0  # of the entry by which it came to that
    away_since: int | None = None
    away_place: int = 0  # of the entry since which it is away
    lost: str = ""  # why its connection was lost, while it is away
    gone: str = ""  # how it went, when it is gone
    reason: str = ""  # … and what the others are told of why
    gone_at: int = 0
    gone_place: int = 0
    rooms: dict[str, Stay] = field(default_factory=dict)
    stays: list[Stay] = field(default_factory=list)
    told: list[Direct] = field(default_factory=list)

    @property
    def nick(self) -> str:
        """What it is called, or was called last."""
        return self.person.name.text


class Decisions(core.Model):
    """The naive model, which need not hold any history: that is kept here."""

    def _drop(self, room: ModelRoom) -> None:
        """Nothing is asked of it that would be dropped."""

    def kept(self, _key: str) -> list[Said]:
        """What was said is not looked at."""
        return []


class Model:
    """Apply every entry of the log; read the rest at any time."""

    def __init__(self, limits: StateLimits) -> None:
        self.limits = limits
        self.decisions = Decisions(limits)
        self.characters: dict[int, Character] = {}
        self.present: dict[ModelPerson, Character] = {}  # who is not gone
        self.speaking: dict[int, Character] = {}  # by connection
        self.away: dict[int, Character] = {}  # by id, in the order of going
        self.rooms: dict[str, Life] = {}
        self.messages: dict[str, Message] = {}
        self.directs: dict[str, Direct] = {}
        self.said_again: list[str] = []  # texts that the log holds twice
        self.resumed: dict[int, tuple[int, int]] = {}  # by connection: place, id of the person
        self.forgotten: dict[int, int] = {}  # by place: what was said before which time
        # What each connection was told of because of an entry, but for what people say: as a
        # client decodes it, without what only the node or a person knows.
        self.told: dict[int, list[Notice]] = {}
        self.refused: dict[str, str] = {}  # what may not be said, by its text, and why
        self.epochs = [("simulated", 0)]  # and the entry that each began with

    @property
    def nicks(self) -> dict[str, Character]:
        """Who has which nick, on which of its devices whichever."""
        return {person.name.key: who for person, who in self.present.items()}

    @property
    def sessions(self) -> dict[str, Character]:
        """Whose session is whose."""
        return {who.session: who for who in self.present.values() if who.session}

    def apply(self, entry: Entry) -> None:
        """One entry of the log."""
        event, place = entry.event, entry.seq
        who = self.speaking.get(entry.conn)
        if who is None:
            match event:
                case events.Lapse(node, boot, upto):
                    first = events.connection_number(node, 0, 0)
                    last = events.connection_number(node, boot, upto)
                    for lost in tuple(self.speaking.values()):
                        if first <= lost.conn <= last:
                            gone = events.Disconnect(event.reason)
                            self._happens(Entry(place, entry.at, lost.conn, gone), lost)
                    return
                case events.Forget(before):
                    self.forgotten[place] = before
                    return
                case events.Diverge(epoch):
                    self.epochs.append((epoch, place))
                    return
                case _:
                    pass
        match event:
            case events.Say() if who is not None:
                self._say(who, event, entry)
            case events.Tell() if who is not None:
                self._tell(who, event, entry)
            case events.Topic():
                self._apply(entry)
            case _:
                self._happens(entry, who)

    # ── Reading ──────────────────────────────────────────────────────────────────────────────

    def kept_since(self, place: int | None = None) -> int:
        """What was said before this time is forgotten, just after a place, or now."""
        return max(
            (before for at, before in self.forgotten.items() if place is None or at <= place),
            default=0,
        )

    def ends_since(self, epoch: str, place: int) -> list[int] | None:
        """Where the epochs from one on had ended just before a place; None when that is not known
        there any more.
        """
        begun = [(name, at) for name, at in self.epochs if at < place]
        if epoch in ("", begun[-1][0]):
            return []
        ends = [(name, end) for (name, _), (_, end) in pairwise(begun)][-MAX_DIVERGENCES:]
        names = [name for name, _ in ends]
        return [end for _, end in ends[names.index(epoch) :]] if epoch in names else None

    def common_in(self, life: Life, epoch: str, place: int) -> int | None:
        """Up to which number of a room those of an epoch are those just before a place; None for
        all.
        """
        ends = self.ends_since(epoch, place)
        return 0 if ends is None else min(map(life.last_at, ends), default=None)

    def common_told(self, who: Character, epoch: str, place: int) -> int | None:
        """As `common_in`, of what was said to one person."""
        ends = self.ends_since(epoch, place)
        if ends is None:
            return 0
        lasts = [sum(1 for direct in who.told if direct.place < end) for end in ends]
        return min(lasts, default=None)

    def stays_in(self, person: int, life: Life) -> Iterator[Stay]:
        """When somebody was in a room."""
        who = self.characters.get(person)
        return (stay for stay in (who.stays if who else ()) if stay.life is life)

    # ── What is said ─────────────────────────────────────────────────────────────────────────

    def _apply(self, entry: Entry) -> core.Told:
        told = self.decisions.apply(entry)
        for conn, heard in told.items():
            for notice in heard:
                if (kept := as_told(notice)) is not None:
                    self.told.setdefault(conn, []).append(kept)
        return told

    def _say(self, who: Character, event: events.Say, entry: Entry) -> None:
        life = self.rooms.get(event.key)
        before = len(life.room.said) if life else 0
        told = self._apply(entry)
        if life is None or len(life.room.said) == before:
            self._is_refused(event.text, told, entry.conn)
            return
        said = life.room.said[-1]
        message = Message(event.text, who.id, said.nick, life, said.seq, entry.seq, entry.at)
        life.messages.append(message)
        if event.text in self.messages:
            self.said_again.append(event.text)
        self.messages[event.text] = message

    def _tell(self, who: Character, event: events.Tell, entry: Entry) -> None:
        told = self._apply(entry)
        to: list[int] = []
        for each in self.present.values():
            if len(each.person.told) > len(each.told):
                seq = each.person.told[-1].seq
                each.told.append(Direct(event.text, who.id, to, seq, entry.seq))
                to.append(each.id)
                direct = each.told[-1]
        if not to:
            self._is_refused(event.text, told, entry.conn)
            return
        if event.text in self.directs:
            self.said_again.append(event.text)
        self.directs[event.text] = direct

    def _is_refused(self, text: str, told: core.Told, conn: int) -> None:
        for notice in told.get(conn, ()):
            if isinstance(notice, notices.Rejected):
                self.refused[text] = notice.reason

    # ── Who is where ─────────────────────────────────────────────────────────────────────────

    def _happens(self, entry: Entry, who: Character | None) -> None:
        """Something else than that something is said."""
        event, place, decisions = entry.event, entry.seq, self.decisions
        had_account = who is not None and who.account is not None
        self._apply(entry)
        there = decisions.people
        # Who comes to an account that is here leaves its own rooms first, also if they are those
        # of the account.
        moves = who is not None and not had_account and who.person.account is not None
        is_one_more = moves and len(who.person.everywhere) > 1 if who is not None else False
        for each in [each for each in self.present.values() if each.person not in there]:
            self._depart(each, who, entry)
        for person in there:
            each = self.present.get(person) or self._come(person)
            if each.account is not person.account:
                each.account, each.account_place = person.account, place
            if each.conn != person.conn:
                self._moves_to(each, person.conn, place)
            if person.away and each.away_since is None:
                self._goes_away(each, entry)
            self._is_in(each, who, entry, anew=is_one_more and each is who)
        for key in [key for key in self.rooms if key not in decisions.rooms]:
            del self.rooms[key]
        if isinstance(event, events.RoomMode):
            for life in self.rooms.values():
                if life.room.private != life.is_private:
                    if life.room.private:
                        life.closed.append([place])
                    else:
                        life.closed[-1].append(place)

    def _come(self, person: ModelPerson) -> Character:
        who = Character(person.conn, person.conn, person.session, person)
        self.characters[who.id] = self.speaking[who.conn] = self.present[person] = who
        return who

    def _moves_to(self, who: Character, conn: int, place: int) -> None:
        """A session is resumed."""
        self.speaking.pop(who.conn, None)
        self.away.pop(who.id, None)
        who.away_since = None
        who.conn = conn
        self.speaking[conn] = who
        self.resumed[conn] = (place, who.id)

    def _goes_away(self, who: Character, entry: Entry) -> None:
        assert isinstance(entry.event, events.Disconnect), "nobody is away by anything else"
        del self.speaking[who.conn]
        who.away_since, who.away_place, who.lost = entry.at, entry.seq, entry.event.reason
        self.away[who.id] = who

    def _depart(self, who: Character, actor: Character | None, entry: Entry) -> None:
        for stay in tuple(who.rooms.values()):
            self._leave(who, stay, entry.seq)
        match entry.event:
            case events.Expire(reason=reason):
                how = "expired"
            case events.Quit(reason=reason) if actor is who:
                how = "quit"
            case events.Disconnect(reason=reason) if actor is who:
                how = "disconnected"
            case events.Disconnect():
                how, reason = "crowded out", who.lost
            case _:
                how, reason = "put out", ""
        who.gone, who.reason, who.gone_at, who.gone_place = how, reason, entry.at, entry.seq
        del self.present[who.person]
        self.away.pop(who.id, None)
        if self.speaking.get(who.conn) is who:
            del self.speaking[who.conn]

    def _is_in(self, who: Character, actor: Character | None, entry: Entry, *, anew: bool) -> None:
        """Somebody is in these rooms now; with `anew`, in all of them since now."""
        rooms = self.decisions.rooms
        for key, stay in tuple(who.rooms.items()):
            if anew or key not in who.person.rooms or rooms[key] is not stay.life.room:
                is_doing = isinstance(entry.event, events.Kick | events.Restrict)
                stay.was_put_out = is_doing and actor is not None
                self._leave(who, stay, entry.seq)
        for key in who.person.rooms:
            if key not in who.rooms:
                life = self.rooms.get(key)
                if life is None or life.room is not rooms[key]:
                    room = rooms[key]
                    life = self.rooms[key] = Life(room.name, key, room.base, room)
                stay = Stay(who.id, life, entry.seq, at=entry.at)
                who.rooms[key] = stay
                who.stays.append(stay)

    def _leave(self, who: Character, stay: Stay, place: int) -> None:
        stay.end, stay.ended_on = place, who.conn
        del who.rooms[stay.life.key]


# Whatever is refused by the state alone, for what somebody may not.
REASONS = frozenset(
    ("banned", "muted", "private", "slow", "no-right", "nick-owned", "wrong-code", "unknown-device")
)

# What only looks something up is refused to nobody by an entry.
_LOOKS = frozenset(("rooms", "devices", "audit"))


def as_told(notice: Notice) -> Notice | None:
    """What is left of a notice that tells of what was done, without secrets, texts for people, and
    what was said before; None for all others.
    """
    match notice:
        case notices.Entered(room, members, count, seq, at, topic):
            return notices.Entered(
                room,
                members,
                count,
                seq,
                at,
                topic,
                again=notice.again,
                moderators=notice.moderators,
                slow_ms=notice.slow_ms,
                moderated=notice.moderated,
                private=notice.private,
                kept=notice.kept,
                topic_locked=notice.topic_locked,
                unlisted=notice.unlisted,
                read=notice.read,
                topic_nick=notice.topic_nick,
                topic_at=notice.topic_at,
            )
        case notices.Resumed(nick, rooms):
            states = [msgspec.structs.replace(room, common=None, read_at=0) for room in rooms]
            return notices.Resumed(nick, tuple(states), "")
        case notices.Rejected(reason, request=request, id=id):
            if reason not in REASONS or request in _LOOKS:
                return None
            return notices.Rejected(reason, "", request, id)
        case notices.Invited(room, by, until, at, nick):
            return notices.Invited(room, by, until, at, nick)
        case notices.ReadUpTo(room, seq):  # the time is that of a message, of which none is kept
            return notices.ReadUpTo(room, seq)
        case notices.Claimed(account, number, admin):
            return notices.Claimed(account, number, admin)
        case notices.Offered(account, until, at):
            return notices.Offered(account, until, at)
        case (
            notices.Left()
            | notices.Renamed()
            | notices.AccountSet()
            | notices.Restricted()
            | notices.Lifted()
            | notices.RoleSet()
            | notices.ModeSet()
            | notices.Expelled()
            | notices.Revoked()
            | notices.RestrictionList()
        ):
            return notice
        case _:
            return None
