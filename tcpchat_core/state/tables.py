"""What the state consists of: the limits, the people, the rooms, and who can be found by what.

Plain data with the few steps that keep it consistent. The rules are in the modules beside this
one: `rooms`, `moderation`, `people`, `sessions`.
"""

from __future__ import annotations

import heapq
from bisect import bisect_right
from collections import OrderedDict, deque
from collections.abc import Iterable, Sequence
from itertools import islice
from operator import attrgetter, itemgetter
from typing import Final, NamedTuple

import msgspec

from tcpchat_core.effects import Audience
from tcpchat_core.events import Restraint, Seen
from tcpchat_core.names import GUEST_PREFIX
from tcpchat_core.notices import Act, Left, Said, Sent, Told, kept_chars, quoted
from tcpchat_core.state.restrictions import Restrictions


class StateLimits(msgspec.Struct, frozen=True):
    """The bounds that `handle` reads.

    `receipts` is how many messages of one session may be unacknowledged at a time, and twice as
    many ids are remembered; `inbox` how many direct messages are kept for one session, and
    `inbox_chars` how many characters of them; `away` how many sessions may be without a connection:
    beyond it the one that is away longest ends. `gone` is how many connections that are over are
    remembered, so that an entry of one, taken in again, does not bring it back.

    Of a room: `moderators` is how many people may moderate it, `restrictions` how many may be
    banned from it at a time, and how many muted in it. A ban or a mute whose end nobody gives lasts
    `ban_ms` or `mute_ms`; none is longer than `restriction_ms`. So many `invitations` of people
    hold at a time, and so many codes, each for `invitation_ms`; between two lines of one person may
    have to be `slow_ms` at most.

    There are at most so many `accounts`, each with so many `devices` and so many rooms that are
    `kept` for it, and so many codes for devices (`claims`), each of which holds for `claim_ms`.
    `guests` is whether people may talk who have no account (0 or 1).

    Of the whole server so many may be banned at a time, and so many muted (`server_restrictions`);
    and so many acts of those who look after rooms are remembered (`audit`), and as many of those
    who look after the server.
    """

    rooms_per_person: int = 50
    rooms: int = 10_000
    history_messages: int = 200
    history_chars: int = 65_536
    entered_history: int = 20
    entered_members: int = 500
    receipts: int = 64
    inbox: int = 100
    inbox_chars: int = 65_536
    away: int = 10_000
    gone: int = 4_096
    moderators: int = 50
    restrictions: int = 1_000
    ban_ms: int = 3_600_000
    mute_ms: int = 600_000
    restriction_ms: int = 2_592_000_000
    invitations: int = 100
    invitation_ms: int = 604_800_000
    slow_ms: int = 3_600_000
    accounts: int = 100_000
    devices: int = 20
    claims: int = 10_000
    claim_ms: int = 604_800_000
    kept: int = 100
    guests: int = 1
    server_restrictions: int = 10_000
    audit: int = 1_000


# So many changes of the epoch are remembered: a session is not away for as long.
MAX_DIVERGENCES: Final = 8

# The names of the bounds.
LIMITS: Final = StateLimits.__struct_fields__

_at = attrgetter("at")


class Mark(NamedTuple):
    """How far somebody has read a room: up to a number, and up to a time; 0 where neither is
    known.
    """

    seq: int = 0
    at: int = 0


class Device(msgspec.Struct, frozen=True, array_like=True):
    """One device of an account: its number there, what its owner calls it, and when it came."""

    number: int
    name: str
    at: int


class Account:
    """Who owns a nick. `present` are its devices that are here or away, in the order of coming.

    `devices` are all of them, by the hash of their tokens; `numbered` is the number of the last.
    `reads` has, by room key, how far it has read. `password` is what was made of its password, ""
    where it has none.
    """

    __slots__ = (
        "devices",
        "id",
        "is_admin",
        "key",
        "nick",
        "numbered",
        "password",
        "present",
        "reads",
    )

    def __init__(self, id: int, nick: str, key: str) -> None:
        self.id = id  # below 0, where no connection's number is
        self.nick = nick
        self.key = key
        self.is_admin = False
        self.password = ""
        self.numbered = 0
        self.devices: dict[str, Device] = {}
        self.reads: dict[str, Mark] = {}
        self.present: list[Person] = []

    @property
    def bearer(self) -> str:
        """What `Person.bearer` is for its devices. Another account of its nick has another one."""
        return f"@{self.id}"


class Person:
    """One person: a connection, or a session that waits to be resumed. Read-only from outside.

    `id` names the person for ever: it is the connection that it came on (`seat`), or what all
    devices of one account have in common. `conn` is the connection now, or the last one while
    `away`. `number` is that of the last event of `conn`.
    """

    __slots__ = (
        "account",
        "acknowledged",
        "away",
        "away_text",
        "conn",
        "device",
        "id",
        "inbox",
        "inbox_chars",
        "key",
        "lost",
        "name",
        "nick",
        "number",
        "origin",
        "put_out",
        "reads",
        "receipts",
        "rooms",
        "seat",
        "session",
        "since",
        "speaks",
        "told",
        "user",
    )

    def __init__(self, conn: int, nick: str, key: str, session: str, origin: str = "") -> None:
        self.id = self.seat = self.conn = conn
        self.number = 0
        self.away = False
        self.lost = ""  # why the connection was lost, while away
        # Why it has said that it is away, the same on all of its devices; "" where it has not.
        self.away_text = ""
        # Its real name and its user name, as it has said them: the same on all of its devices.
        self.name = self.user = ""
        self.session = session  # the hash of its token; "" when it cannot be resumed
        self.origin = origin  # where its connection comes from; "" when that tells nothing
        self.account: Account | None = None
        self.device = ""  # the hash of its token, where it came to its account by one
        self.nick = nick
        self.key = key
        self.rooms: dict[str, Room] = {}  # by room key, in the order of joining
        self.since: dict[str, int] = {}  # by room key, when resumable: the seq at joining
        # By room key: what was said under its nick above this number was said by this person. Not
        # there for a room that was joined by an entry of before it could be asked.
        self.speaks: dict[str, int] = {}
        self.told = 0  # how many direct messages it was sent
        # What it has said that it has seen, where it cannot say that when it comes again: its
        # session is the one of a word (`Login.session`). None for all others.
        self.acknowledged: Seen | None = None
        # Of the direct messages the last ones, and of the receipts those with an id. Most people
        # have neither, so there is no container until there is something in it.
        self.inbox: deque[Told] | None = None
        self.inbox_chars = 0
        self.receipts: dict[str, Sent] | None = None
        # By room key, of the rooms it was put out of: it may not have been told yet.
        self.put_out: dict[str, Left] | None = None
        # By room key, how far a guest has read. What an account has read is its own.
        self.reads: dict[str, Mark] | None = None

    @property
    def bearer(self) -> str:
        """Who this is, for what is decided about somebody: it outlasts the nick, and where there is
        a session, also the connection; and with an account everything.
        """
        if self.account is not None:
            return self.account.bearer
        return self.session or f"{self.id}"

    @property
    def bearers(self) -> tuple[str, ...]:
        """All that it goes by: who has an account may have been a guest before."""
        guest = f"{self.seat}" if self.acknowledged is not None else self.session or f"{self.seat}"
        return (guest,) if self.account is None else (self.bearer, guest)

    @property
    def is_admin(self) -> bool:
        """Whether it looks after the server."""
        return self.account is not None and self.account.is_admin

    @property
    def everywhere(self) -> Sequence[Person]:
        """The same person on all of its devices that are here or away."""
        return (self,) if self.account is None else self.account.present

    def mark(self, room: Room) -> Mark:
        """How far it has read a room, as far as it has told. A number of an earlier life of the
        room says nothing.
        """
        reads = self.reads if self.account is None else self.account.reads
        found = (reads or {}).get(room.key, Mark())
        return found if found.seq > room.born else found._replace(seq=0)

    def read(self, room: Room, mark: Mark, limits: StateLimits) -> None:
        """Remember how far it has read a room; forget the oldest beyond the bound."""
        if self.account is None and self.reads is None:
            self.reads = {}
        reads = self.account.reads if self.account is not None else self.reads
        assert reads is not None, "it was made above"
        reads.pop(room.key, None)
        reads[room.key] = mark
        if len(reads) > 2 * limits.rooms_per_person:
            del reads[next(iter(reads))]

    def remember_put_out(self, room: Room, left: Left, limits: StateLimits) -> None:
        """Keep that it was put out of a room: what is on its way to it is not for it any more, and
        when its session is resumed it has to be told.
        """
        if self.put_out is None:
            self.put_out = {}
        self.put_out[room.key] = left
        if len(self.put_out) > limits.rooms_per_person:
            del self.put_out[next(iter(self.put_out))]

    def keep(self, told: Told, limits: StateLimits) -> None:
        """Put a direct message into the inbox; drop the oldest beyond the bounds."""
        inbox = self.inbox
        if inbox is None:
            inbox = self.inbox = deque()
        inbox.append(told)
        self.inbox_chars += kept_chars(told)
        while len(inbox) > limits.inbox or self.inbox_chars > limits.inbox_chars:
            self.inbox_chars -= kept_chars(inbox.popleft())

    def seen(self, told: int) -> None:
        """Direct messages up to a number were seen: they need not be kept."""
        inbox = self.inbox
        while inbox and inbox[0].seq <= told:
            self.inbox_chars -= kept_chars(inbox.popleft())

    def unacknowledged(self, epoch: str) -> Seen | None:
        """All that it was told until now, where it has to say that it has seen it, and has not."""
        known = self.acknowledged
        if known is None:
            return None
        is_known = epoch == known.epoch and self.told <= known.told and not self.put_out
        if is_known and all(
            room.seq <= max(known.rooms.get(key, 0), self.since[key])
            for key, room in self.rooms.items()
        ):
            return None
        return Seen({key: room.seq for key, room in self.rooms.items()}, self.told, epoch)

    def acknowledge(self, seen: Seen) -> None:
        """It has seen all that it was told up to there: also that it was put out of rooms, in which
        it was not any more.
        """
        self.acknowledged = seen
        self.seen(seen.told)
        put_out = (self.put_out or {}).items()
        self.put_out = {key: left for key, left in put_out if key in seen.rooms} or None

    def forget(self, before: int) -> None:
        """Keep no direct message of before a time."""
        inbox = self.inbox
        while inbox and inbox[0].at < before:
            self.inbox_chars -= kept_chars(inbox.popleft())

    def remember(self, id: str, receipt: Sent, limits: StateLimits) -> None:
        """Keep a receipt for when the same id comes again; forget the oldest beyond the bound."""
        if self.receipts is None:
            self.receipts = {}
        self.receipts[id] = receipt
        # Since the oldest without a receipt came, not only what was said after it may have been
        # taken in, but also what was said before it: a message that was refused at first, and
        # whose refusal was lost, comes again. Each is less than a window.
        if len(self.receipts) > 2 * limits.receipts:
            del self.receipts[next(iter(self.receipts))]


def tombstone(said: Said) -> Said:
    """What is left of a message that was taken back."""
    return Said(said.room, said.nick, "", said.seq, said.at, emote=True, redacted=True)


class Rules:
    """What a room has that is restricted. Most rooms are not, and have none.

    `spoke` has, where one has to wait between two lines, who spoke last when, the latest last.
    `invited` and `codes` have until when an invitation holds: of whom, and by which code's hash.
    `secret` is the hash of the word that lets in whoever knows it, "" where there is none.
    """

    __slots__ = (
        "bans",
        "codes",
        "invited",
        "moderated",
        "mutes",
        "private",
        "secret",
        "slow_ms",
        "spoke",
        "topic_locked",
        "unlisted",
    )

    def __init__(self) -> None:
        self.bans = Restrictions()
        self.mutes = Restrictions()
        self.slow_ms = 0
        self.moderated = False
        self.topic_locked = False
        self.unlisted = False
        self.private = False
        self.secret = ""
        self.spoke: dict[str, int] = {}
        self.invited: dict[str, int] = {}
        self.codes: dict[str, int] = {}

    def of(self, what: Restraint) -> Restrictions:
        """The restrictions of one kind."""
        return self.bans if what == "ban" else self.mutes

    @property
    def are_none(self) -> bool:
        """Whether nothing is restricted any more."""
        modes = self.slow_ms or self.moderated or self.private or self.topic_locked or self.unlisted
        lets_in = self.invited or self.codes or self.secret
        return not (self.bans or self.mutes or modes or lets_in)

    @property
    def are_hiding(self) -> bool:
        """Whether only who is in the room finds it in the list of rooms."""
        return self.private or self.unlisted


class Room:
    """One room. Seen from outside the state it is read-only.

    Its messages are numbered on from the log's number of the entry that made the room. So the
    numbers of a room that vanished and came back go on above its earlier ones, and what a client
    has seen of its earlier life is never taken for the new one.
    """

    __slots__ = (
        "_by_key",
        "_first_nicks",
        "audience",
        "born",
        "history",
        "history_chars",
        "key",
        "last_answer",
        "members",
        "moderators",
        "name",
        "opened",
        "owners",
        "rules",
        "seq",
        "standing",
        "topic",
        "topic_at",
        "topic_nick",
    )

    def __init__(self, name: str, key: str, seq: int) -> None:
        self.name = name
        self.key = key
        self.members: dict[int, Person] = {}  # by id, in the order of joining
        # The ids of those who moderate it; and of the accounts whose room it is, so that it stays
        # when nobody is in it. Those are among the others. While there are any, accounts go on
        # moderating it that are elsewhere.
        self.moderators: tuple[int, ...] = ()
        self.owners: tuple[int, ...] = ()
        self.rules: Rules | None = None  # None while nothing is restricted
        self.audience = Audience()  # those who are connected
        self.born = seq  # the number of the entry that made it
        self.seq = seq  # of the last message
        self.opened = 0  # of the last message that was said while it was private, if it is no more
        self.standing = False  # it exists also while nobody is in it
        self.topic = ""
        self.topic_nick = ""
        self.topic_at = 0
        self.history: deque[Said] = deque()
        self.history_chars = 0
        self.last_answer = 0  # the number of the last one there that answers another, or did
        self._first_nicks: tuple[str, ...] | None = None
        self._by_key: list[tuple[str, int]] | None = None  # who is in, and by which id

    def nicks(self) -> tuple[str, ...]:
        """The members' nicks in the order of joining."""
        return tuple([person.nick for person in self.members.values()])

    def first_nicks(self, limit: int) -> tuple[str, ...]:
        """The nicks of the first members, at most `limit` of them: in a large room seldom new."""
        nicks = self._first_nicks
        if nicks is None or len(nicks) != min(limit, len(self.members)):
            nicks = tuple([person.nick for person in islice(self.members.values(), limit)])
            self._first_nicks = nicks
        return nicks

    def members_after(self, key: str, limit: int) -> list[Person]:
        """The first members whose nick's key is above one, in the order of the keys: so who comes
        and goes meanwhile changes nothing for the others.
        """
        if self._by_key is None:
            self._by_key = sorted([(each.key, id) for id, each in self.members.items()])
        start = bisect_right(self._by_key, key, key=itemgetter(0))
        return [self.members[id] for _, id in self._by_key[start : start + limit]]

    def moderator_nicks(self) -> tuple[str, ...]:
        """The nicks of those who are in and moderate it, in the order of becoming so."""
        return tuple([self.members[id].nick for id in self.moderators if id in self.members])

    def is_moderated_by(self, person: Person) -> bool:
        """Whether somebody may moderate it, when in it."""
        return person.id in self.moderators or person.is_admin

    def is_owned_by(self, person: Person) -> bool:
        """Whether somebody may say whose room it is."""
        return person.id in self.owners or person.is_admin

    def moderate(self, ids: tuple[int, ...], owners: tuple[int, ...]) -> None:
        """These moderate it from now on, and these own it. Without an owner it is nobody's who is
        elsewhere.
        """
        self.owners = owners
        self.moderators = ids if owners else tuple([id for id in ids if id in self.members])

    def nick_changed(self) -> None:
        """A member has another nick."""
        self._first_nicks = self._by_key = None

    @property
    def floor(self) -> int:
        """The number above which everybody who is in may see what was said."""
        return max(self.born, self.opened)

    @property
    def oldest(self) -> int:
        """The number of the first message of the history that everybody who is in may see; that
        of the next message when there is none.
        """
        return max(self.floor, self.seq - len(self.history)) + 1

    def between(self, after: int, before: int) -> tuple[Said, ...]:
        """Of the history, the messages whose numbers are between two: of those that everybody who
        is in may see.
        """
        first = self.seq + 1 - len(self.history)
        start, end = max(after + 1, self.oldest), max(before, first)
        return tuple(islice(self.history, start - first, end - first))

    def messages(self, before: int | None, limit: int) -> tuple[Said, ...]:
        """The last `limit` of them whose number is below `before`, as they are told."""
        end = self.seq + 1 if before is None else min(before, self.seq + 1)
        return self.all_quoting(self.between(end - max(0, limit) - 1, end))

    def quoting(self, said: Said) -> Said:
        """A message as it is told now: with what the one that it answers says, if everybody who is
        in may see that. Of one that is not in the history, `said` has what is known.
        """
        answered = None if said.re is None else self.message(said.re)
        if answered is None:
            return said
        is_shown = answered.seq > self.floor and not answered.redacted
        quote = quoted(answered.nick, answered.text) if is_shown else None
        return said if quote == said.quote else msgspec.structs.replace(said, quote=quote)

    def all_quoting(self, messages: tuple[Said, ...]) -> tuple[Said, ...]:
        """The same of several, in order."""
        if not messages or self.last_answer < messages[0].seq:
            return messages
        return tuple(map(self.quoting, messages))

    def add(self, person: Person, *, speaks: bool) -> None:
        """Make `person` a member, with all of its devices. `speaks` is whether it is remembered
        from which number on what is said under its nick is its own.
        """
        everywhere = person.everywhere
        self.members[person.id] = everywhere[0]
        self._by_key = None
        for each in everywhere:
            self.admit(each)
            if speaks:
                each.speaks[self.key] = self.seq

    def admit(self, person: Person) -> None:
        """Let a device in."""
        person.rooms[self.key] = self
        if person.session:
            person.since[self.key] = self.seq
        if person.put_out is not None:
            person.put_out.pop(self.key, None)

    def remove(self, person: Person) -> None:
        """Make `person` a member no more."""
        del self.members[person.id]
        for each in person.everywhere:
            del each.rooms[self.key]
            each.speaks.pop(self.key, None)
            each.since.pop(self.key, None)
        self._first_nicks = self._by_key = None
        if person.id in self.moderators and not (self.owners and person.account):
            self.moderators = tuple([id for id in self.moderators if id != person.id])

    def rename_member(self, old: int, new: int) -> None:
        """A member goes by another id, in the same place; it may be that of a moderator of a room
        that is kept.
        """
        self.members = {new if id == old else id: each for id, each in self.members.items()}
        self._by_key = None
        moderators = [id for id in self.moderators if id != old or new not in self.moderators]
        self.moderators = tuple([new if id == old else id for id in moderators])

    def keep(self, said: Said, limits: StateLimits) -> None:
        """Put a message into the history; drop the oldest beyond the bounds."""
        history = self.history
        history.append(said)
        chars = self.history_chars + (len(said.text) if said.tags is None else kept_chars(said))
        while len(history) > limits.history_messages:
            gone = history.popleft()
            chars -= len(gone.text) if gone.tags is None else kept_chars(gone)
        while chars > limits.history_chars:
            chars -= kept_chars(history.popleft())
        self.history_chars = chars

    def keep_answer(self, said: Said, limits: StateLimits) -> Said:
        """The same of one that answers another; returns it as it is told."""
        self.keep(said, limits)
        self.last_answer = said.seq
        return self.quoting(said)

    def restore(self, history: Iterable[Said]) -> None:
        """Have this history, which is all there was."""
        self.history.extend(history)
        self.history_chars = sum(map(kept_chars, self.history))
        answers = [said.seq for said in self.history if said.re is not None]
        self.last_answer = max(answers, default=0)

    def has_said(self, person: Person, said: Said) -> bool:
        """Whether a message is one of a member's own, by all that is known."""
        since = person.speaks.get(self.key, self.seq)
        return said.nick == person.nick and said.seq > since

    def message(self, seq: int) -> Said | None:
        """The message with a number, while it is in the history."""
        place = len(self.history) - 1 - (self.seq - seq)
        return self.history[place] if 0 <= place < len(self.history) else None

    def number_at(self, at: int) -> int:
        """The number of the last message that was said up to a time, of those in the history that
        everybody who is in may see; 0 when there is none.
        """
        held = self.between(self.floor, self.seq + 1)
        count = bisect_right(held, at, key=_at)
        return held[count - 1].seq if count else 0

    def redact(self, said: Said) -> None:
        """Keep of a message in the history only that there was one."""
        self.history[len(self.history) - 1 - (self.seq - said.seq)] = tombstone(said)
        self.history_chars -= kept_chars(said)

    def forget(self, before: int) -> None:
        """Keep no message of before a time."""
        history = self.history
        while history and history[0].at < before:
            self.history_chars -= kept_chars(history.popleft())


class NickChange(NamedTuple):
    """A nick came to be somebody's (`is_taken`), or is so no more. `id` is that of the person then,
    `account` its account, or "", `name` its real name and `user` its user name.
    """

    key: str
    nick: str
    id: int
    account: str
    name: str
    user: str
    is_taken: bool


class Divergence(msgspec.Struct, array_like=True):
    """Where an epoch ended: up to here its numbers are also those of the next.

    `rooms` has, by room key, which life of the room it was and the number of its last message;
    `told` the number of the last direct message of each person who has a session, by seat; those
    who were sent none are left out. `seq` is that of the last entry.
    """

    epoch: str
    rooms: dict[str, tuple[int, int]]
    told: dict[int, int]
    seq: int

    def common_in(self, room: Room) -> int:
        """The number of the last message of a room that both epochs have."""
        born, seq = self.rooms.get(room.key, (0, 0))
        return seq if born == room.born else 0


class Tables:
    """All that the rules read and change. `seq` is that of the last entry."""

    def __init__(self, epoch: str, limits: StateLimits) -> None:
        self.epoch = epoch
        self.limits = limits
        self.seq = 0
        self.people: dict[int, Person] = {}  # by connection: those who are not away
        self.gone: OrderedDict[int, None] = OrderedDict()  # connections that were, oldest first
        self.sessions: dict[str, Person] = {}
        # By session, in the order of going. An OrderedDict, because the first goes first: in a
        # dict, finding it would walk over all that went before.
        self.away: OrderedDict[str, Person] = OrderedDict()
        self.nicks: dict[str, Person] = {}
        self.rooms: dict[str, Room] = {}
        self.accounts: dict[str, Account] = {}  # by the key of the nick
        self.owning: dict[int, Account] = {}  # the same, by id
        self.devices: dict[str, Account] = {}  # by the hash of a device's token
        # By the hash of a code: which account it is for, and until when.
        self.claims: dict[str, tuple[str, int]] = {}
        # What restricts people everywhere: bans and mutes. None while there is nothing.
        self.rules: Rules | None = None
        self.acts: deque[Act] = deque()
        self.divergences: list[Divergence] = []  # the ends of earlier epochs, oldest first
        self.guests = 0  # the highest N ever given
        self.free_guests: list[int] = []  # a heap of the N below it that are free
        # What became of nicks, for who takes it from here; no part of the state. None for nobody.
        self.nick_changes: list[NickChange] | None = None

    def take_guest_nick(self) -> str:
        """The guest's nick with the lowest number that is free."""
        if self.free_guests:
            number = heapq.heappop(self.free_guests)
        else:
            number = self.guests = self.guests + 1
        return f"{GUEST_PREFIX}{number}"

    def take_nick(self, person: Person) -> None:
        """A person's nick, which was free, is its own."""
        self.nicks[person.key] = person
        self._note_nick(person, is_taken=True)

    def _note_nick(self, person: Person, *, is_taken: bool) -> None:
        if self.nick_changes is not None:
            account = person.account.nick if person.account is not None else ""
            who = (person.key, person.nick, person.id, account, person.name, person.user)
            self.nick_changes.append(NickChange(*who, is_taken))

    def free_nick(self, person: Person) -> None:
        """Somebody else may have this person's nick."""
        del self.nicks[person.key]
        self._note_nick(person, is_taken=False)
        if person.key.startswith(GUEST_PREFIX):
            heapq.heappush(self.free_guests, int(person.key.removeprefix(GUEST_PREFIX)))

    def add_account(self, account: Account) -> Account:
        """There is one more account."""
        self.accounts[account.key] = self.owning[account.id] = account
        return account

    def remove_account(self, account: Account) -> None:
        """There is one less."""
        del self.accounts[account.key], self.owning[account.id]

    def disconnect(self, person: Person) -> None:
        """Nobody speaks on a person's connection any more, nor will anybody again."""
        del self.people[person.conn]
        self.turn_away(person.conn)

    def turn_away(self, conn: int) -> None:
        """Nobody speaks on a connection, nor will anybody."""
        self.gone[conn] = None
        if len(self.gone) > self.limits.gone:
            self.gone.popitem(last=False)

    def note(self, act: Act) -> None:
        """Remember what somebody did who looks after a room or the server; forget the oldest of
        the same beyond the bound: anybody may make a room and do much in it, which must not hide
        what was done to the server.
        """
        acts, most = self.acts, self.limits.audit
        acts.append(act)
        if len(acts) > most:
            alike = [each for each in acts if bool(each.room) == bool(act.room)]
            for each in alike[: max(0, len(alike) - most)]:
                acts.remove(each)

    def diverge(self, epoch: str) -> None:
        """Go on under another name, from this entry on."""
        rooms = {room.key: (room.born, room.seq) for room in self.rooms.values()}
        # (The order of `sessions` is another one in a state that was restored.)
        people = self.sessions.values()
        told = dict(sorted((person.seat, person.told) for person in people if person.told))
        self.divergences.append(Divergence(self.epoch, rooms, told, self.seq - 1))
        del self.divergences[:-MAX_DIVERGENCES]
        self.epoch = epoch

    def since(self, epoch: str) -> list[Divergence] | None:
        """The changes of the epoch since an earlier one; None when that is not known any more."""
        for place, divergence in enumerate(self.divergences):
            if divergence.epoch == epoch:
                return self.divergences[place:]
        return [] if epoch == self.epoch else None

    def forget(self, before: int) -> None:
        """Keep nothing that was said before a time (ms since the epoch)."""
        for room in self.rooms.values():
            room.forget(before)
        for person in (*self.people.values(), *self.away.values()):
            person.forget(before)

    def leave(self, person: Person, room: Room) -> None:
        """Take a member out; a room without members vanishes, unless it is a standing one or is
        kept by an account.
        """
        room.remove(person)
        self.sweep(room)

    def sweep(self, room: Room) -> None:
        """A room vanishes when nothing keeps it; from one that stays, what restricted it goes."""
        if room.members or room.owners:
            return
        was_private = room.rules is not None and room.rules.private
        room.rules = None
        if not room.standing:
            del self.rooms[room.key]
        elif was_private:  # what was said there is for nobody who comes now
            self.rooms[room.key] = anew = Room(room.name, room.key, self.seq)
            anew.standing = True
