"""Everything that can happen, as frozen values.

Three kinds, told apart by who causes them:

* **Requests that change something** (`Join`, `Say`, …): a peer asks, the server checks what
  depends on the connection (syntax, sizes, name folding), and the request becomes an event of
  the log. The `key` fields are filled in by the server when it proposes; whatever a peer puts
  there is overwritten.
* **What befalls a connection** (`Connect`, `Disconnect`, …): made by the server itself, never
  decoded from a peer.
* **Queries** (`Who`, `Rooms`, …): a peer asks, nothing changes, nothing is logged.

Events are imperative; the facts that come of them are in `notices.py`. The JSON Lines dialect
and the record format of a log are both msgspec's encoding of these types.

Units: `at` is integer milliseconds since the Unix epoch; `seq` of an `Entry` is its place in the
log. `conn` names one connection for ever and is never used again, on no node and after no restart:
`connection_number` puts the node, its boot and a count into one int.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal, TypeAlias

import msgspec

# What a program counts with: every JSON library and every log can hold it.
_MAX_NUMBER: Final = 2**53
Number = Annotated[int, msgspec.Meta(ge=-_MAX_NUMBER, le=_MAX_NUMBER)]

# How many messages are given at a time: a hundred screens are enough to begin with.
MAX_MESSAGES: Final = 500

# How many people a page of those of a room has.
MAX_PEOPLE: Final = 500

# What somebody may be in a room, and what somebody may be kept from there.
RoomRole: TypeAlias = Literal["member", "moderator", "owner"]
Restraint: TypeAlias = Literal["ban", "mute"]

# How many nicks one connection may watch: a list of friends is seldom longer.
MAX_WATCHED: Final = 100

# `conn` = node << 48 | boot << 32 | count.
_NODE_BITS: Final = 48
_BOOT_BITS: Final = 32


def connection_number(node: int, boot: int, count: int) -> int:
    """The number of the `count`-th connection since the `boot`-th start of a node."""
    return node << _NODE_BITS | boot << _BOOT_BITS | count


def node_of(conn: int) -> int:
    """The node of a connection's number."""
    return conn >> _NODE_BITS


def boot_and_count(conn: int) -> tuple[int, int]:
    """The boot and the count of a connection's number."""
    return conn >> _BOOT_BITS & (1 << (_NODE_BITS - _BOOT_BITS)) - 1, conn & (1 << _BOOT_BITS) - 1


class EventBase(
    msgspec.Struct,
    frozen=True,
    gc=False,  # no reference cycle can be made of them
    tag_field="type",
    tag=str.lower,
    omit_defaults=True,
):
    """What all events share: immutable, tagged by `type`, defaults left off the wire."""


# ── Requests that change something ───────────────────────────────────────────────────────────


class Hello(EventBase, frozen=True):
    """Open a session that can be resumed, or resume one. Only as the first request.

    `token` is the one that `welcome` gave. `seen` maps rooms to the number of the last message
    seen in each, `told` is the number of the last direct message seen; both are of the epoch that
    was told last. `password` is the server's, when it asks for one. `device` is the token of a
    device of an account, by which one comes as who one is. `name` and `user` are as in `SetName`;
    a session that goes on keeps its own.
    """

    token: str = ""
    seen: dict[str, Number] = {}
    told: Number = 0
    password: str = ""
    epoch: str = ""
    device: str = ""
    name: str = ""
    user: str = ""


class Nick(EventBase, frozen=True):
    """Change nickname."""

    nick: str
    key: str = ""


class Away(EventBase, frozen=True):
    """I am not at my keyboard, and this is why; with "" I am again."""

    text: str = ""


class SetName(EventBase, frozen=True):
    """Have a real name, which nobody checks; "" for none. `user` is the user name that clients of
    IRC show beside it; "" to leave that as it is.
    """

    name: str = ""
    user: str = ""


class Join(EventBase, frozen=True):
    """Enter a room, creating it when it is new.

    `code` is an invitation to a private room; in the log it is the SHA-256 of one. `roles` is
    filled in by the server: whoever makes the room by this is its moderator. Entries of before
    there were moderators are without.
    """

    room: str
    key: str = ""
    roles: bool = False
    code: str = ""


class Say(EventBase, frozen=True):
    """Say one line to a room. `id` is the client's own name for it and comes back in `Sent`.

    An empty `room` means the connection's current one. A `notice` is what no program answers by
    itself, so that two of them never answer each other for ever: the words of bots. `tags` are for
    programs, by name. `re` is the number of the message that this one answers; or that is found by
    `back`: 1 is the last one that somebody else has said there, 2 the one before it.
    """

    room: str
    text: str
    id: str | None = None
    emote: bool = False
    key: str = ""
    notice: bool = False
    tags: dict[str, str] | None = None
    re: Number | None = None
    back: Number = 0


class Tell(EventBase, frozen=True):
    """Say one line to one person. `notice` and `tags` are as in `Say`."""

    nick: str
    text: str
    id: str | None = None
    key: str = ""
    notice: bool = False
    tags: dict[str, str] | None = None


class Signal(EventBase, frozen=True):
    """Tell the programs of others something that is no message: that one is typing, for instance.

    It goes to a room, or to one person where there is a `nick`. `tags` say what it is, as those of
    a message; without any there is nothing to tell. Nothing of it is kept.
    """

    tags: dict[str, str]
    room: str = ""
    nick: str = ""
    key: str = ""
    nick_key: str = ""


class Topic(EventBase, frozen=True):
    """Set the topic of a room ("" clears it), or ask for it when `topic` is absent."""

    room: str
    topic: str | None = None
    key: str = ""


class Out(EventBase, frozen=True):
    """Leave a room and stay connected."""

    room: str
    key: str = ""
    reason: str = ""


class Kick(EventBase, frozen=True):
    """Put somebody out of a room, who may come again.

    Here and in the next three, with `server` it is about the whole server, and `room` is "".
    """

    room: str
    nick: str
    reason: str = ""
    key: str = ""
    nick_key: str = ""
    server: bool = False


class Restrict(EventBase, frozen=True):
    """Keep somebody from a room (which puts them out), or from saying anything there, for a while.

    `ms` is for how long; 0 for as long as is usual.
    """

    room: str
    nick: str
    what: Restraint
    ms: Number = 0
    reason: str = ""
    key: str = ""
    nick_key: str = ""
    server: bool = False


class Lift(EventBase, frozen=True):
    """End a restriction before its time."""

    room: str
    nick: str
    what: Restraint
    key: str = ""
    nick_key: str = ""
    server: bool = False


class Role(EventBase, frozen=True):
    """Make somebody a moderator of a room or one of its owners, or no more than a member."""

    room: str
    nick: str
    role: RoomRole
    key: str = ""
    nick_key: str = ""


class RoomMode(EventBase, frozen=True, tag="mode"):
    """Set how one talks in a room, and who may come in; what is None stays as it is.

    Everybody else than a moderator may say something only each `slow_ms` milliseconds (0: at any
    time), or nothing while it is `moderated`, and comes into a `private` room only by invitation,
    or by its `secret` (a word that one says when one joins; "" for none). One that is `kept` stays
    when nobody is in it, and belongs to the account that keeps it. Of one that is `topic_locked`
    only moderators set the topic; one that is `unlisted` is in the list of rooms only for who is in
    it, as is a private one.

    In the log, `secret` is what the server has made of it, as of the code of `Join`.
    """

    room: str
    slow_ms: Number | None = None
    moderated: bool | None = None
    private: bool | None = None
    key: str = ""
    kept: bool | None = None
    secret: str | None = None
    topic_locked: bool | None = None
    unlisted: bool | None = None


class Invite(EventBase, frozen=True):
    """Invite somebody to a private room; without a `nick`, have a code made by which to come in.

    `code_hash` is filled in by the server: the SHA-256 of the code that it has made.
    """

    room: str
    nick: str = ""
    code_hash: str = ""
    key: str = ""
    nick_key: str = ""


class Redact(EventBase, frozen=True):
    """Take a message back: the one with the number `seq`; with 0 one's own last, or that of `nick`.

    Only a moderator takes back what somebody else has said.
    """

    room: str
    seq: Number = 0
    nick: str = ""
    key: str = ""
    nick_key: str = ""


class Restrictions(EventBase, frozen=True):
    """Who is kept from what in a room that I moderate? An entry, for the time by which it is so."""

    room: str
    key: str = ""
    server: bool = False


class Read(EventBase, frozen=True):
    """I have read a room up to a number, or up to a time (`at`, ms since the epoch): my other
    devices need not show it as new. Without either: up to where have I read it?

    `marks` is filled in by the server: the time is remembered, too, and what guests have read.
    Entries of before it was are without.
    """

    room: str
    seq: Number | None = None
    key: str = ""
    at: Number | None = None
    marks: bool = False


class Claim(EventBase, frozen=True):
    """Become a device of an account, by a code; `name` is what its owner calls it.

    `device` is the token by which it comes from then on, made at random by itself, so that it can
    ask again when the answer was lost; "" to have one made by the server. In the log, `code` and
    `device` are the SHA-256 of the code and of the token.
    """

    code: str
    name: str = ""
    device: str = ""


class Login(EventBase, frozen=True):
    """Come as who owns a device, by its token; or as an account, by its password.

    `session` is for who has no place for the token of a session: what was begun under this word,
    by the same secret, goes on here, and is begun otherwise. What of it was seen has to be said by
    `pong`. Who has a session has no other by it.

    In the log, `device` is the SHA-256 of the token, and a password is never: it is `LoggedIn`.
    """

    device: str = ""
    account: str = ""
    password: str = ""
    session: str | None = None


class Password(EventBase, frozen=True):
    """Have a password by which one comes to one's account; "" for none.

    In the log it is what a slow function has made of it, which nobody can go back from.
    """

    password: str


class Offer(EventBase, frozen=True, tag="device"):
    """Have a code made for another device of one's own; in the log, the SHA-256 of it."""

    code: str = ""


class Revoke(EventBase, frozen=True):
    """A device, by its number, is one's own no more."""

    number: Number


class Quit(EventBase, frozen=True):
    """Say goodbye and disconnect."""

    reason: str = ""


class Open(EventBase, frozen=True):
    """Begin without a session. Not on any wire: what a dialect without sessions makes of a line.

    `password` is what was typed when the server asked for its own. `is_only_try` is whether the
    peer has no other to say, so that who is refused is sent away. `name` and `user` are as in
    `SetName`, which it is where the peer has begun already.
    """

    password: bytes = b""
    is_only_try: bool = False
    name: str = ""
    user: str = ""


# ── What befalls a connection ────────────────────────────────────────────────────────────────


class Connect(EventBase, frozen=True):
    """A connection has chosen its dialect and becomes a person with a guest's nick.

    `session` is the SHA-256 of the session's token in hexadecimal, "" when it cannot be resumed.
    `origin` names where it comes from: an adapter's word, opaque here, "" when that tells nothing.
    `device` is the SHA-256 of a device's token, "" for a guest. `name` and `user` are as in
    `SetName`; a device of an account that is there already is called as that is.
    """

    session: str = ""
    origin: str = ""
    device: str = ""
    name: str = ""
    user: str = ""


class Resume(EventBase, frozen=True):
    """A connection asks for the session of an earlier one.

    `seen`, `told` and `epoch` are as in `Hello`, by room key, `origin` as in `Connect`. When there
    is no such session (any more) it is a `Connect` with the session `fresh`, and the last three.
    """

    session: str
    fresh: str
    seen: dict[str, int] = {}
    told: int = 0
    epoch: str = ""
    origin: str = ""
    device: str = ""
    name: str = ""
    user: str = ""


class LoggedIn(EventBase, frozen=True):
    """Somebody who is here has said the password of an account.

    `proof` is the SHA-256 of what the password was checked against: it may be another by now.
    `session` is as in `Login`.
    """

    key: str
    proof: str
    session: str | None = None


class Seen(EventBase, frozen=True):
    """Somebody has seen all that it was told up to here, and cannot say so when it comes again.

    `rooms` has, by key, each room that it was in, and the number of the last message there; `told`
    is the number of the last direct message. Both are of `epoch`.
    """

    rooms: dict[str, int] = {}
    told: int = 0
    epoch: str = ""


class Disconnect(EventBase, frozen=True):
    """A connection was lost, or was closed by the server; `reason` is shown to others."""

    reason: str


class Expire(EventBase, frozen=True):
    """The grace of a session is over, whose last connection (the entry's) was lost."""

    session: str
    reason: str


class Lapse(EventBase, frozen=True):
    """A boot of a node is over: all of its connections up to number `upto` are lost.

    `node`, `boot` and `upto` are as in `connection_number`. The entry's own `conn` means nothing.
    """

    node: int
    boot: int
    upto: int
    reason: str = "the server restarted"


class Configure(EventBase, frozen=True):
    """What the server's owner has set: the bounds of the state, and the rooms that always exist.

    `limits` are fields of `StateLimits` (others stay as they are), `rooms` pairs of a name and its
    key. The entry's own `conn` means nothing.
    """

    limits: dict[str, int] = {}
    rooms: tuple[tuple[str, str], ...] = ()


class Grant(EventBase, frozen=True):
    """The server's owner makes an account, or a code or a device for one that there is.

    `code` is the SHA-256 of a code for a device, "" for none; `device` is that of the token of a
    new device, and `name` what it is called. `admin` is whether the account may look after the
    server, None to leave that as it is. The entry's own `conn` means nothing.
    """

    account: str
    key: str
    code: str = ""
    admin: bool | None = None
    device: str = ""
    name: str = ""


class Withdraw(EventBase, frozen=True):
    """The server's owner ends an account. The entry's own `conn` means nothing."""

    key: str


class Forget(EventBase, frozen=True):
    """What was said before this time (ms since the epoch) is kept no longer.

    Nobody is told. A message that somebody missed and that is forgotten is told as a gap. The
    entry's own `conn` means nothing.
    """

    before: Number


class Diverge(EventBase, frozen=True):
    """The log may have lost its end, and goes on from here under another name.

    What was numbered beyond this place, in the epoch before, may have been told to people, and is
    not so any more: its numbers are given to other things. The entry's own `conn` means nothing.
    """

    epoch: str


# ── Queries: nothing changes, nothing is logged ──────────────────────────────────────────────


class Rooms(EventBase, frozen=True):
    """Which rooms are there?"""


class Who(EventBase, frozen=True):
    """Who is in a room that I am in? All; or with `limit` or `after`, so many, by name: the first
    ones behind that nick. With `names`, also how they are called beside their nicks.
    """

    room: str
    key: str = ""
    after: str = ""
    limit: Number | None = None
    nick_key: str = ""
    names: bool = False


class Whois(EventBase, frozen=True):
    """Who is somebody?"""

    nick: str
    nick_key: str = ""


class Whowas(EventBase, frozen=True):
    """Who was called so before, and is no more? The last `limit`; with 0, all that is known."""

    nick: str
    limit: Number = 0
    nick_key: str = ""


class Watch(EventBase, frozen=True):
    """Who of these is here? And tell me when one comes or goes, for as long as I am connected.

    To `stop` ends that, for these or, without any, for all; to `look` is to ask, and no more. To
    `start` with none is to ask about all that I watch.
    """

    nicks: tuple[str, ...] = ()
    what: Literal["start", "stop", "look"] = "start"


class History(EventBase, frozen=True):
    """What was said in a room that I am in: the last `limit` messages before `before`.

    Or the first `limit` messages above `after`; with `latest`, the last ones. Between the two, if
    there are both. Or those that have the number `around` in their midst. Times, in ms since the
    epoch, do as well: the messages from `since` on, those before `until`, and those around the
    first one from `around_at` on.
    """

    room: str
    before: Number | None = None
    limit: Number = 20
    key: str = ""
    after: Number | None = None
    latest: bool = False
    around: Number | None = None
    since: Number | None = None
    until: Number | None = None
    around_at: Number | None = None


class Search(EventBase, frozen=True):
    """Where was this said? The newest `limit` messages with all of `words`.

    Of all rooms that I am in, or of `room`; by everybody, or by `nick`; of all times, or since
    `since`.
    """

    words: str
    room: str = ""
    nick: str = ""
    since: Number = 0
    limit: Number = 20
    key: str = ""
    nick_key: str = ""


class Devices(EventBase, frozen=True):
    """Which devices have I?"""


class Audit(EventBase, frozen=True):
    """What was done by those who look after rooms and the server? The last `limit` acts."""

    limit: Number = 20


class Ping(EventBase, frozen=True):
    """Are you there?"""

    id: str | None = None


class Pong(EventBase, frozen=True):
    """Yes: the answer to the server's `ping`."""

    id: str | None = None


class Help(EventBase, frozen=True):
    """What commands are there, or what does this one do?"""

    command: str = ""


# Every event that may stand in a log.
Event: TypeAlias = (
    Connect
    | Resume
    | Disconnect
    | Expire
    | Lapse
    | Configure
    | Forget
    | Diverge
    | Nick
    | Away
    | SetName
    | Join
    | Say
    | Tell
    | Signal
    | Topic
    | Out
    | Kick
    | Restrict
    | Lift
    | Role
    | RoomMode
    | Invite
    | Redact
    | Restrictions
    | Read
    | Claim
    | Login
    | LoggedIn
    | Seen
    | Password
    | Offer
    | Revoke
    | Grant
    | Withdraw
    | Quit
)

# Every request that only reads.
Query: TypeAlias = (
    Rooms | Who | Whois | History | Search | Topic | Read | Devices | Audit | Ping | Help
)

# Every request that a peer may send, in any dialect.
Request: TypeAlias = (
    Hello
    | Nick
    | Away
    | SetName
    | Join
    | Say
    | Tell
    | Signal
    | Topic
    | Out
    | Kick
    | Restrict
    | Lift
    | Role
    | RoomMode
    | Invite
    | Redact
    | Restrictions
    | Read
    | Claim
    | Login
    | Password
    | Offer
    | Revoke
    | Quit
    | Rooms
    | Devices
    | Audit
    | Who
    | Whois
    | Whowas
    | Watch
    | History
    | Search
    | Ping
    | Pong
    | Help
)


class Entry(msgspec.Struct, frozen=True, gc=False):
    """One place in the log: the event, whose it is, and when the log took it in.

    `seq` counts the entries of the log from 1; `at` is milliseconds since the epoch. `number`
    counts the events of the connection from 1; 0 when it is not one that is counted.
    """

    seq: int
    at: int
    conn: int
    event: Event
    number: int = 0
