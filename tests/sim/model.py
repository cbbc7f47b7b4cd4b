"""What the log says is true, told naively: who is where, who is away, and what was said to whom.

The model keeps everything for ever, so that what people were shown can be held against it when
the simulation is over. A message is known by its text: no two that are said on purpose are equal.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

from tcpchat_core import Entry, StateLimits, events
from tcpchat_core.state.tables import MAX_DIVERGENCES


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
    """How long somebody was in a room: between two places of the log."""

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
class Restriction:
    """One person kept from one thing until a time."""

    what: str
    person: int
    nick_key: str
    until: int


@dataclass
class Life:
    """A room from its first member to its last, numbered from `base` + 1."""

    name: str
    key: str
    base: int
    members: dict[int, Stay] = field(default_factory=dict)
    messages: list[Message] = field(default_factory=list)
    moderators: list[int] = field(default_factory=list)
    restrictions: list[Restriction] = field(default_factory=list)
    moderated: bool = False
    closed: list[list[int]] = field(default_factory=list)  # from and to which place it was private
    invited: dict[int, int] = field(default_factory=dict)

    @property
    def is_private(self) -> bool:
        """Whether one comes in only by invitation."""
        return bool(self.closed) and len(self.closed[-1]) == 1

    def restricts(self, what: str, person: int, at: int) -> bool:
        """Whether somebody is kept from something at a time."""
        return any(
            each.what == what and each.person == person and at < each.until
            for each in self.restrictions
        )

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
    """One line that was said to one person, with the number it has for that person."""

    text: str
    author: int
    to: int
    seq: int
    place: int


@dataclass
class Character:
    """One person, from connecting to being gone. `id` is the connection that it came on."""

    id: int
    conn: int
    session: str
    nick: str
    key: str
    away_since: int | None = None
    away_place: int = 0  # of the entry since which it is away
    lost: str = ""  # why its connection was lost, while it is away
    gone: str = ""  # how it went, when it is gone
    reason: str = ""  # … and what the others are told of why
    gone_at: int = 0
    rooms: dict[str, Stay] = field(default_factory=dict)
    stays: list[Stay] = field(default_factory=list)
    told: list[Direct] = field(default_factory=list)
    ids: dict[str, str] = field(default_factory=dict)  # what was said by which id, for ever


class Model:
    """Apply every entry of the log; read the rest at any time."""

    def __init__(self, limits: StateLimits) -> None:
        self.limits = limits
        self.characters: dict[int, Character] = {}
        self.speaking: dict[int, Character] = {}  # by connection
        self.away: dict[int, Character] = {}  # by id, in the order of going
        self.sessions: dict[str, Character] = {}
        self.nicks: dict[str, Character] = {}
        self.rooms: dict[str, Life] = {}
        self.messages: dict[str, Message] = {}
        self.directs: dict[str, Direct] = {}
        self.said_again: list[str] = []  # texts that the log holds twice under two ids
        self.resumed: dict[int, tuple[int, int]] = {}  # by connection: place, id of the person
        self.forgotten: dict[int, int] = {}  # by place: what was said before which time
        # What moderators have done, and what was refused for what they have done.
        self.acts: set[tuple[object, ...]] = set()
        self.refusals: Counter[tuple[int, str]] = Counter()
        self.epochs = [("simulated", 0)]  # and the entry that each began with

    def apply(self, entry: Entry) -> None:
        """One entry of the log."""
        conn, event, place = entry.conn, entry.event, entry.seq
        who = self.speaking.get(conn)
        if who is None:
            match event:
                case events.Connect(session):
                    self._connect(conn, session)
                case events.Resume(session, fresh):
                    self._resume(conn, session, fresh, place)
                case events.Expire(session, reason):
                    ghost = self.sessions.get(session)
                    if ghost is not None and ghost.away_since is not None and ghost.conn == conn:
                        self._depart(ghost, place, entry.at, "expired", reason)
                case events.Lapse(node, boot, upto):
                    first = events.connection_number(node, 0, 0)
                    last = events.connection_number(node, boot, upto)
                    for lost in tuple(self.speaking.values()):
                        if first <= lost.conn <= last:
                            self._disconnect(lost, entry, event.reason)
                case events.Forget(before):
                    self.forgotten[place] = before
                case events.Diverge(epoch):
                    self.epochs.append((epoch, place))
            return
        match event:
            case events.Nick():
                holder = self.nicks.get(event.key)
                if holder in (None, who) and not event.key.startswith("guest-"):
                    del self.nicks[who.key]
                    who.nick, who.key = event.nick, event.key
                    self.nicks[who.key] = who
            case events.Join():
                self._join(who, event, entry)
            case events.Out():
                if stay := who.rooms.get(event.key):
                    self._leave(who, stay, place)
            case events.Say():
                self._say(who, event, entry)
            case events.Topic():
                if stay := who.rooms.get(event.key):
                    self._is_muted(who, stay.life, entry.at)
            case events.Tell():
                self._tell(who, event, place)
            case (
                events.Kick()
                | events.Restrict()
                | events.Lift()
                | events.Role()
                | events.RoomMode()
                | events.Invite()
            ):
                self._moderate(who, event, entry)
            case events.Quit(reason):
                self._depart(who, place, entry.at, "quit", reason)
            case events.Disconnect(reason):
                self._disconnect(who, entry, reason)

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

    def _connect(self, conn: int, session: str) -> None:
        number = 1
        while f"guest-{number}" in self.nicks:
            number += 1
        nick = f"guest-{number}"
        who = Character(conn, conn, session, nick, nick)
        self.characters[conn] = self.speaking[conn] = self.nicks[nick] = who
        if session:
            self.sessions[session] = who

    def _resume(self, conn: int, session: str, fresh: str, place: int) -> None:
        who = self.sessions.get(session)
        if who is None:
            self._connect(conn, fresh)
            return
        self.speaking.pop(who.conn, None)
        self.away.pop(who.id, None)
        who.away_since = None
        who.conn = conn
        self.speaking[conn] = who
        self.resumed[conn] = (place, who.id)

    def _disconnect(self, who: Character, entry: Entry, reason: str) -> None:
        if not who.session:
            self._depart(who, entry.seq, entry.at, "disconnected", reason)
            return
        del self.speaking[who.conn]
        who.away_since, who.away_place, who.lost = entry.at, entry.seq, reason
        self.away[who.id] = who
        if len(self.away) > self.limits.away:
            longest = next(iter(self.away.values()))
            self._depart(longest, entry.seq, entry.at, "crowded out", longest.lost)

    def _depart(self, who: Character, place: int, at: int, how: str, reason: str) -> None:
        for stay in tuple(who.rooms.values()):
            self._leave(who, stay, place)
        who.gone, who.gone_at, who.reason = how, at, reason
        del self.nicks[who.key]
        self.sessions.pop(who.session, None)
        self.away.pop(who.id, None)
        if self.speaking.get(who.conn) is who:
            del self.speaking[who.conn]

    def _join(self, who: Character, event: events.Join, entry: Entry) -> None:
        place = entry.seq
        if event.key in who.rooms or len(who.rooms) >= self.limits.rooms_per_person:
            return
        life = self.rooms.get(event.key)
        if life is None:
            if len(self.rooms) >= self.limits.rooms:
                return
            life = self.rooms[event.key] = Life(event.room, event.key, place)
            life.moderators += [who.id] if event.roles else []
        elif life.restricts("ban", who.id, entry.at):
            self.refusals[who.id, "banned"] += 1
            return
        elif life.is_private and life.invited.get(who.id, 0) <= entry.at:
            self.refusals[who.id, "private"] += 1
            return
        stay = Stay(who.id, life, place, at=entry.at)
        life.members[who.id] = who.rooms[event.key] = stay
        who.stays.append(stay)

    def _leave(self, who: Character, stay: Stay, place: int) -> None:
        stay.end, stay.ended_on = place, who.conn
        life = stay.life
        del life.members[who.id], who.rooms[life.key]
        life.moderators = [each for each in life.moderators if each != who.id]
        self._unattended(life)
        if not life.members:
            del self.rooms[life.key]

    def _say(self, who: Character, event: events.Say, entry: Entry) -> None:
        stay = who.rooms.get(event.key)
        if stay is None or (event.id is not None and event.id in who.ids):
            return
        life = stay.life
        if self._is_muted(who, life, entry.at):
            return
        if event.id is not None:
            who.ids[event.id] = event.text
        seq = life.base + len(life.messages) + 1
        message = Message(event.text, who.id, who.nick, life, seq, entry.seq, entry.at)
        life.messages.append(message)
        if event.text in self.messages:
            self.said_again.append(event.text)
        self.messages[event.text] = message

    def _tell(self, who: Character, event: events.Tell, place: int) -> None:
        other = self.nicks.get(event.key)
        if other is None or (event.id is not None and event.id in who.ids):
            return
        if event.id is not None:
            who.ids[event.id] = event.text
        direct = Direct(event.text, who.id, other.id, len(other.told) + 1, place)
        other.told.append(direct)
        if event.text in self.directs:
            self.said_again.append(event.text)
        self.directs[event.text] = direct

    # ── Moderation ───────────────────────────────────────────────────────────────────────────

    def _is_muted(self, who: Character, life: Life, at: int) -> bool:
        """Whether somebody is refused to speak."""
        is_muted = life.moderated or life.restricts("mute", who.id, at)
        if not is_muted or who.id in life.moderators:
            return False
        self.refusals[who.id, "muted"] += 1
        return True

    def _unattended(self, life: Life) -> None:
        if life.moderated and not life.moderators:
            life.moderated = False
            self._mode(life, "")

    def _mode(self, life: Life, by: str) -> None:
        self.acts.add(("mode", life.name, by, life.moderated, life.is_private))

    def _moderate(
        self,
        who: Character,
        event: events.Kick
        | events.Restrict
        | events.Lift
        | events.Role
        | events.RoomMode
        | events.Invite,
        entry: Entry,
    ) -> None:
        stay, at = who.rooms.get(event.key), entry.at
        if stay is None or who.id not in stay.life.moderators:
            return
        life = stay.life
        if isinstance(event, events.RoomMode):
            self._set_mode(life, event, entry.seq)
            self._mode(life, who.nick)
            return
        other = self.nicks.get(event.nick_key)
        if isinstance(event, events.Lift):
            for each in tuple(life.restrictions):
                is_named = event.nick_key == each.nick_key or (other and other.id == each.person)
                if each.what == event.what and at < each.until and is_named:
                    life.restrictions.remove(each)
                    self.acts.add(("lifted", life.name, event.what, who.nick))
            return
        if other is None:
            return
        if isinstance(event, events.Invite):
            life.invited[other.id] = at + self.limits.invitation_ms
            self.acts.add(("invited", life.name, other.nick, who.nick, at))
            return
        is_in = life.key in other.rooms
        if isinstance(event, events.Role):
            if is_in:
                self._set_role(life, other, event.role)
                self.acts.add(("role", life.name, other.nick, event.role, who.nick))
                self._unattended(life)
            return
        if other.id in life.moderators:
            return
        until = 0
        if isinstance(event, events.Restrict):
            if not is_in and event.what == "mute":
                return
            usual = self.limits.ban_ms if event.what == "ban" else self.limits.mute_ms
            until = at + min(event.ms or usual, self.limits.restriction_ms)
            life.restrictions = [
                each
                for each in life.restrictions
                if (each.what, each.person) != (event.what, other.id)
            ]
            life.restrictions.append(Restriction(event.what, other.id, other.key, until))
            self.acts.add(("restricted", life.name, other.nick, event.what, until, who.nick))
            if event.what == "mute":
                return
        if is_in:
            stay = other.rooms[life.key]
            stay.was_put_out = True
            life.invited.pop(other.id, None)
            self.acts.add(("left", life.name, other.nick, who.nick, at, until))
            self._leave(other, stay, entry.seq)

    def _set_role(self, life: Life, other: Character, role: str) -> None:
        life.moderators = [each for each in life.moderators if each != other.id or role != "member"]
        if role == "moderator" and other.id not in life.moderators:
            life.moderators.append(other.id)

    def _set_mode(self, life: Life, event: events.RoomMode, place: int) -> None:
        if event.moderated is not None:
            life.moderated = event.moderated
        if event.private is not None:
            life.invited.clear()
            if event.private and not life.is_private:
                life.closed.append([place])
            elif life.is_private and not event.private:
                life.closed[-1].append(place)
