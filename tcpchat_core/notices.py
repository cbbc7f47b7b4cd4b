"""Everything a person can be told, as frozen values: facts, in the past tense where they tell
of something that happened.

A notice is the same for everyone who gets it. Where the person who caused it is told something
else (its receipt), that is another notice: `Entered` for the one who joined, `Sent` for the one
who said, and the copies of `Left` and `Renamed` with `own=True`.

`seq` counts the messages of one room without holes, from any number on; a room that vanished and
came back goes on above its earlier numbers. Only `Said` takes a number; in
`Joined`, `Entered` and `TopicSet` it is the number of the last message before.
`at` is integer milliseconds since the Unix epoch, as the log gave it.
"""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

import msgspec

# Why a request was not carried out: what this server says. docs/protocol.md explains each word.
Reason: TypeAlias = Literal[
    "bad-line",
    "bad-request",
    "password-needed",
    "wrong-password",
    "unknown-command",
    "bad-usage",
    "bad-name",
    "reserved-name",
    "nick-in-use",
    "no-such-nick",
    "no-current-room",
    "not-in-room",
    "already-there",
    "too-many-rooms",
    "rooms-full",
    "empty-text",
    "too-long",
    "unavailable",
    "no-right",
    "banned",
    "muted",
    "slow",
    "private",
    "no-such-message",
    "too-many",
    "nick-owned",
    "wrong-code",
    "unknown-device",
    "too-fast",
]


class NoticeBase(
    msgspec.Struct,
    frozen=True,
    gc=False,  # no reference cycle can be made of them
    tag_field="type",
    tag=str.lower,
    omit_defaults=True,
):
    """What all notices share: immutable, tagged by `type`, defaults left off the wire."""


class Limits(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a client should know before it sends.

    Sizes are in characters unless the name says bytes. `unacknowledged` is how many messages may
    be without a receipt at a time; `grace_ms` how long a lost session can be resumed. A connection
    may send `flood_burst` lines at once and `flood_rate` a second (0: any number); what is faster
    waits. `name_chars` is of real names, 0 from a server without.
    """

    line_bytes: int
    text_chars: int
    text_bytes: int
    nick_chars: int
    room_chars: int
    topic_chars: int
    rooms_per_person: int
    unacknowledged: int
    grace_ms: int = 0
    flood_burst: int = 0
    flood_rate: int = 0
    name_chars: int = 0


class RoomInfo(msgspec.Struct, frozen=True, omit_defaults=True):
    """One row of the list of rooms; `members` is how many people are in it."""

    room: str
    members: int
    topic: str = ""


class RoomState(msgspec.Struct, frozen=True, omit_defaults=True):
    """A room that a resumed session is in, as it is now.

    With `common` the session's numbers were of an earlier epoch: only those up to this one are the
    same in both. `read` is the number up to which you have read it, on whichever of your devices,
    and `read_at` the time; 0 where that is not known. `topic_nick` and `topic_at` are who has set
    the topic last, and when.
    """

    room: str
    members: tuple[str, ...]
    count: int
    seq: int
    topic: str = ""
    common: int | None = None
    moderators: tuple[str, ...] = ()
    slow_ms: int = 0
    moderated: bool = False
    private: bool = False
    kept: bool = False
    topic_locked: bool = False
    unlisted: bool = False
    read: int = 0
    topic_nick: str = ""
    topic_at: int = 0
    read_at: int = 0


class RestrictionInfo(msgspec.Struct, frozen=True, omit_defaults=True):
    """One row of the list of restrictions: who is kept from what, until when, by whom and why."""

    nick: str
    what: str
    until: int
    by: str
    reason: str = ""


class Welcome(NoticeBase, frozen=True):
    """You are connected, in a session of your own; `token` resumes it.

    The state fills in `nick`, `epoch` and `account` (whose device this is; "" for a guest), the
    server the rest; `people` is how many are connected, on all nodes, each device for itself, and
    `most_people` how many were so at once, as far back as the node that tells it knows.
    Numbers (`seq`) of one epoch say nothing about another's.
    """

    nick: str
    epoch: str
    server: str = ""
    version: str = ""
    token: str = ""
    motd: tuple[str, ...] = ()
    limits: Limits | None = None
    account: str = ""
    people: int = 0
    most_people: int = 0


class Joined(NoticeBase, frozen=True):
    """Somebody else came into a room; `account` is whose account that is, "" for a guest, and
    `name` its real name, if it has said one.
    """

    room: str
    nick: str
    seq: int
    at: int
    account: str = ""
    name: str = ""


# How long what is shown of a message that is answered is at most, in characters.
MAX_QUOTE_CHARS: Final = 60


class Quote(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """What a message that is answered says, in short: whose it is, and how it begins. It ends in
    `…` where that is not all.
    """

    nick: str
    text: str


class Said(NoticeBase, frozen=True):
    """Somebody said a line to a room.

    `id` stands only in the copy that a resumed session is sent of its own message. What was taken
    back is `redacted`: it has its number still, but no text. (It is an `emote`, too, so that an
    older client shows no more than that there was something.) A `notice` is what no program answers
    by itself. `tags` are for programs: by name, what they mean is theirs. `by_account` is whether
    the nick was that of an account, whose it was: a guest may have had it before there was one.

    `re` is the number of the message that this one answers. `quote` is what that says, as far as it
    is known when this is told: it is never kept with the answer, so what was taken back is in none.
    """

    room: str
    nick: str
    text: str
    seq: int
    at: int
    emote: bool = False
    id: str | None = None
    redacted: bool = False
    notice: bool = False
    tags: dict[str, str] | None = None
    by_account: bool = False
    re: int | None = None
    quote: Quote | None = None


class Entered(NoticeBase, frozen=True):
    """You are in a room: its people (at most the first few hundred), and what was said last.

    `count` is how many people there are, yourself included. `again` when you were in it already,
    and only made it the current one. `moderators` are those of the people who moderate it. `read`,
    `read_at`, `topic_nick` and `topic_at` are as in `RoomState`.
    """

    room: str
    members: tuple[str, ...]
    count: int
    seq: int
    at: int
    topic: str = ""
    history: tuple[Said, ...] = ()
    again: bool = False
    moderators: tuple[str, ...] = ()
    slow_ms: int = 0
    moderated: bool = False
    private: bool = False
    kept: bool = False
    topic_locked: bool = False
    unlisted: bool = False
    read: int = 0
    topic_nick: str = ""
    topic_at: int = 0
    read_at: int = 0


class Sent(NoticeBase, frozen=True):
    """The receipt: your message has its place. `room` and `seq` for a room; for a person `nick`,
    `entry` as in `Told`, and `away`: why that person is away, if it is.
    """

    at: int
    id: str | None = None
    room: str | None = None
    nick: str | None = None
    seq: int | None = None
    away: str = ""
    entry: int = 0


class Told(NoticeBase, frozen=True):
    """Somebody said a line to you alone. `seq` counts what your session was told, from 1.

    With `to` it was you who said it, to somebody of that nick, on another device of yours.
    `notice`, `tags` and `by_account` are as in `Said`. `entry` is the number of its entry in the
    log, by which all who have it can name it: who said it, who was told, and their devices; 0 from
    a server that did not say so yet.
    """

    nick: str
    text: str
    seq: int
    at: int
    to: str = ""
    notice: bool = False
    entry: int = 0
    tags: dict[str, str] | None = None
    by_account: bool = False


def quoted(nick: str, text: str) -> Quote:
    """What is shown of a message with those that answer it."""
    if len(text) > MAX_QUOTE_CHARS:
        start = text[: MAX_QUOTE_CHARS - 1]
        # At a blank, so that no word is made another; but not if that leaves less than half.
        blank = start.rfind(" ", MAX_QUOTE_CHARS // 2)
        text = f"{start[:blank] if blank > 0 else start}…"
    return Quote(nick, text)


def kept_chars(message: Said | Told) -> int:
    """How many characters a message has: of its text, and of its tags."""
    tags = message.tags or {}
    return len(message.text) + sum(len(name) + len(value) for name, value in tags.items())


class Signalled(NoticeBase, frozen=True):
    """Somebody's program tells those of a room something that is no message, or with `room` "" you
    alone: by `tags`, as those of a message. You are told what you have signalled yourself, too:
    where it is for no room, `to` is for whom.

    `entry` is as in `Told`. Nothing of it is kept, and it has no number in the room.
    """

    room: str
    nick: str
    tags: dict[str, str]
    at: int
    to: str = ""
    entry: int = 0


class TopicSet(NoticeBase, frozen=True, tag="topic"):
    """The topic of a room, who set it and when; also the answer to the question."""

    room: str
    topic: str
    nick: str
    seq: int
    at: int


class Renamed(NoticeBase, frozen=True):
    """Somebody you share a room with has another nick; `own` in the copy for that person."""

    old: str
    new: str
    own: bool = False


class AwaySet(NoticeBase, frozen=True, tag="away"):
    """Somebody you share a room with is away, for this reason, or with "" is back; `own` in the
    copy for that person.
    """

    nick: str
    text: str = ""
    own: bool = False


class AccountSet(NoticeBase, frozen=True, tag="account"):
    """Somebody you share a room with was a guest, and is this account from now on."""

    nick: str
    account: str


class NameSet(NoticeBase, frozen=True, tag="setname"):
    """Somebody you share a room with has this real name now, or with "" none; `own` in the copy for
    that person.
    """

    nick: str
    name: str = ""
    own: bool = False


class Left(NoticeBase, frozen=True):
    """Somebody left a room and is still connected; `own` in the copy for that person. `reason` is
    why, if that was said.

    Where it was a moderator's doing, `by` is who and `at` when; with `until` the person was banned,
    and cannot come in again before.
    """

    room: str
    nick: str
    own: bool = False
    by: str = ""
    reason: str = ""
    at: int = 0
    until: int = 0


class Restricted(NoticeBase, frozen=True):
    """Somebody is kept from a room, or from saying anything there, until a time; `own` in the copy
    for that person. Who was in the room when banned from it has `Left`.

    `what` is a `Restraint`, unless the server is newer than this client. `room` is "" for all of
    the server.
    """

    room: str
    nick: str
    what: str
    until: int
    by: str
    at: int
    reason: str = ""
    own: bool = False


class Lifted(NoticeBase, frozen=True):
    """A restriction was ended before its time; `own` in the copy for that person."""

    room: str
    nick: str
    what: str
    by: str
    own: bool = False


class RoleSet(NoticeBase, frozen=True, tag="role"):
    """What somebody is in a room from now on: a `RoomRole`, unless the server is newer."""

    room: str
    nick: str
    role: str
    by: str


class ModeSet(NoticeBase, frozen=True, tag="mode"):
    """How one talks in a room from now on, and who may come in.

    `by` is who has set it; "" when the last moderator left, and with it what only moderators end,
    or when the last account ended that kept the room. `changed` names those of the other fields
    that were something else before.
    """

    room: str
    by: str
    slow_ms: int = 0
    moderated: bool = False
    private: bool = False
    kept: bool = False
    topic_locked: bool = False
    unlisted: bool = False
    changed: tuple[str, ...] = ()


class Expelled(NoticeBase, frozen=True):
    """Somebody was put out of the server, told to who did it. With `until` it was banned, and
    cannot come again before.
    """

    nick: str
    by: str
    at: int
    reason: str = ""
    until: int = 0


class Invited(NoticeBase, frozen=True):
    """Somebody is invited to a room until a time: told to both; or a code was made for it.

    The state leaves `code` empty: only the server that made it knows it, and tells who asked.
    """

    room: str
    by: str
    until: int
    at: int
    nick: str = ""
    code: str = ""


class Claimed(NoticeBase, frozen=True):
    """You are on a device of your account now; `token` is what it comes by from now on.

    The state leaves `token` empty: only the server that made it knows it, or the device that did.
    Who came by a password is on no device (`number` is 0).
    """

    account: str
    number: int
    admin: bool = False
    token: str = ""


class PasswordSet(NoticeBase, frozen=True, tag="password"):
    """Your account has a new password, perhaps its first; or none (`is_set` is false)."""

    account: str
    is_set: bool = True


class Offered(NoticeBase, frozen=True):
    """A code for another device of yours was made; it holds until a time. `code` is as in
    `Invited`.
    """

    account: str
    until: int
    at: int
    code: str = ""


class DeviceInfo(msgspec.Struct, frozen=True, omit_defaults=True):
    """One device: its number, its owner's name for it, since when it is one, and whether it is here
    (away, too); `own` is that of who asks.
    """

    number: int
    at: int
    name: str = ""
    here: bool = False
    own: bool = False


class DeviceList(NoticeBase, frozen=True, tag="devices"):
    """Your devices, oldest first."""

    account: str
    devices: tuple[DeviceInfo, ...]


class Revoked(NoticeBase, frozen=True):
    """One of your devices, by its number, is yours no more."""

    number: int


class Redacted(NoticeBase, frozen=True):
    """A message was taken back: its text is not to be shown any more.

    `nick` is its author's then; "" when nobody remembers.
    """

    room: str
    seq: int
    by: str
    at: int
    nick: str = ""


class Gone(NoticeBase, frozen=True):
    """Somebody you share a room with is no longer connected."""

    nick: str
    reason: str = ""


class RoomList(NoticeBase, frozen=True, tag="rooms"):
    """The rooms there are, fullest first; `more` counts those that did not fit. `people` and
    `most_people` are as in `Welcome`.
    """

    rooms: tuple[RoomInfo, ...]
    more: int = 0
    people: int = 0
    most_people: int = 0


class Members(NoticeBase, frozen=True, tag="who"):
    """Who is in a room, in the order of coming, and who of them moderates it; the accounts whose
    room it is, be they there or not; how one talks there; and which of the people are away, and
    which have an account, that is called as they are.

    Where a page was asked for, it is of some of the people, by name, and `more` is whether there
    are others behind them.
    `names` and `users` are, where they were asked for, the real names and the user names, by nick,
    of those who have one.
    """

    room: str
    nicks: tuple[str, ...]
    moderators: tuple[str, ...] = ()
    owners: tuple[str, ...] = ()
    slow_ms: int = 0
    moderated: bool = False
    private: bool = False
    kept: bool = False
    topic_locked: bool = False
    unlisted: bool = False
    away: tuple[str, ...] = ()
    more: bool = False
    accounts: tuple[str, ...] = ()
    names: dict[str, str] = {}
    users: dict[str, str] = {}


class PersonInfo(NoticeBase, frozen=True, tag="person"):
    """Who somebody is: its account ("" for a guest), whether it looks after the server, and which
    of your rooms it is in (if it is you, all). `lost` is whether its connection is, and it may come
    back to its session; `away` is why it is away, if it has said so. `name` is its real name and
    `user` what clients of IRC show beside it, as far as it has said them.
    """

    nick: str
    account: str = ""
    admin: bool = False
    rooms: tuple[str, ...] = ()
    lost: bool = False
    away: str = ""
    name: str = ""
    user: str = ""


class FormerPerson(msgspec.Struct, frozen=True, omit_defaults=True):
    """Somebody who was called so, until a time; all else is as in `PersonInfo`."""

    nick: str
    at: int
    account: str = ""
    name: str = ""
    user: str = ""


class FormerPeople(NoticeBase, frozen=True, tag="whowas"):
    """Who had a nick before, the last one first: it is gone, or is called otherwise."""

    nick: str
    people: tuple[FormerPerson, ...] = ()


class Presence(NoticeBase, frozen=True):
    """Of those that you watch, or have asked about: whose nick is somebody's, as it is written, and
    whose is nobody's. `changed` where that has come to be just now, else it is an answer.
    """

    here: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()
    changed: bool = False


class RestrictionList(NoticeBase, frozen=True, tag="restrictions"):
    """The restrictions of a room ("" for the server) that are in force at a time: bans, then mutes,
    oldest first.
    """

    room: str
    restrictions: tuple[RestrictionInfo, ...]
    at: int


class Act(msgspec.Struct, frozen=True, omit_defaults=True):
    """What somebody did who looks after a room or the server (`room` is "" then), and when.

    `what` is the command that it takes. `by` is "" for the server's owner, on the machine itself.
    """

    at: int
    by: str
    what: str
    room: str = ""
    nick: str = ""
    until: int = 0
    reason: str = ""


class ActList(NoticeBase, frozen=True, tag="audit"):
    """The last acts, oldest first."""

    acts: tuple[Act, ...]


class ReadUpTo(NoticeBase, frozen=True, tag="read"):
    """You have read a room up to a number and up to a time, of which 0 is one that is not known:
    on another of your devices, or that is what you have asked for.
    """

    room: str
    seq: int
    at: int = 0


class HistoryPage(NoticeBase, frozen=True, tag="history"):
    """Messages of a room, oldest first.

    `more` when there are others of those that were asked for: later ones where the first were to be
    given, else older ones.
    """

    room: str
    messages: tuple[Said, ...]
    more: bool = False


class SearchResults(NoticeBase, frozen=True, tag="found"):
    """The newest messages that match, newest first; `more` when there are older ones."""

    messages: tuple[Said, ...]
    more: bool = False


class HelpText(NoticeBase, frozen=True, tag="help"):
    """Lines about the commands, for people."""

    lines: tuple[str, ...]


class Rejected(NoticeBase, frozen=True):
    """A request was not carried out. `reason` is for programs, `text` for people.

    `reason` is a `Reason`, unless the server is newer than this client.
    """

    reason: str
    text: str
    request: str = ""
    id: str | None = None


class Pinged(NoticeBase, frozen=True, tag="ping"):
    """The server asks whether you are there: answer with `pong` and the same id."""

    id: str | None = None


class Ponged(NoticeBase, frozen=True, tag="pong"):
    """The answer to your `ping`, with its id."""

    id: str | None = None


class Resumed(NoticeBase, frozen=True):
    """Your session goes on, on this connection. What was missed follows, in order.

    `common` is for direct messages what it is for those of a room (`RoomState`). `away` is why you
    are away, as far as you have said so; `name` your real name, as far as you have said that.
    """

    nick: str
    rooms: tuple[RoomState, ...]
    epoch: str
    common: int | None = None
    away: str = ""
    name: str = ""


class Gap(NoticeBase, frozen=True):
    """Of what was missed in a room ("" for direct messages), what was before `oldest` is lost."""

    room: str
    oldest: int


class Diverged(NoticeBase, frozen=True):
    """What follows is numbered in another epoch. What was seen until here keeps its numbers."""

    epoch: str


class Announced(NoticeBase, frozen=True):
    """The server says something to everybody who is connected."""

    text: str


class Closing(NoticeBase, frozen=True):
    """The server closes this connection. `retry`: milliseconds after which to come again."""

    reason: str
    retry: int | None = None


# Everything that somebody can be told.
Notice: TypeAlias = (
    Welcome
    | Joined
    | Entered
    | Said
    | Sent
    | Told
    | Signalled
    | TopicSet
    | Renamed
    | AwaySet
    | AccountSet
    | NameSet
    | Left
    | Restricted
    | Lifted
    | RoleSet
    | ModeSet
    | Expelled
    | Invited
    | Redacted
    | Claimed
    | PasswordSet
    | Offered
    | DeviceList
    | Revoked
    | Gone
    | RoomList
    | Members
    | PersonInfo
    | FormerPeople
    | Presence
    | RestrictionList
    | ActList
    | ReadUpTo
    | HistoryPage
    | SearchResults
    | HelpText
    | Rejected
    | Pinged
    | Ponged
    | Resumed
    | Gap
    | Diverged
    | Announced
    | Closing
)


def password_is_needed() -> Rejected:
    """The answer to who has not said the server's password."""
    return Rejected("password-needed", "this server has a password: say it first", "hello")
