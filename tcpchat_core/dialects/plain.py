"""The plain dialect: lines a person reads and types, with nc or telnet.

No message can forge a line: a message begins with its room in brackets, a line of the server
with `* ` or `! `, and neither brackets nor blanks can stand in a name, nor `-` at its beginning.

Nor can it forge what it answers: that stands between the author's name and what ends it, where no
text does, and `"` ends it, which is not in it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from typing import Final, TypeAlias, assert_never

from tcpchat_core import notices
from tcpchat_core.commands import parse_line
from tcpchat_core.dialects import Flavour, Hangup, Item
from tcpchat_core.dialects.lines import LineReader
from tcpchat_core.dialects.telnet import IAC, strip_telnet
from tcpchat_core.durations import shown_duration
from tcpchat_core.events import Open, Request
from tcpchat_core.notices import Notice, Rejected, Said, Sent, password_is_needed

# How many names one line lists before it says "and N more".
MAX_NAMES_SHOWN = 50


# A web page can make a browser send text to this port, but not without this at the end of the
# first line (or with a first line that is too long to see the end of).
_HTTP = (b" HTTP/1.1", b" HTTP/1.0")

# Nor over TLS without this at its beginning. What the page's own server has given the browser as
# the ticket of a session is sent back in the first message, and may have whole lines in it.
_TLS = b"\x16\x03"


class Plain(Flavour, frozen=True):
    """Lines for people. They see what they type."""

    acknowledges = False

    def encode(self, notice: Notice) -> bytes:
        """The lines that tell the notice; for a receipt at most that somebody is away, since one
        sees what one types.
        """
        if isinstance(notice, Said):  # by far the most frequent, and its receipt
            return _said(notice, "\n").encode()
        if isinstance(notice, Sent):
            return f"* {notice.nick} is {away_text(notice.away)}\n".encode() if notice.away else b""
        lines = told_lines(notice)
        return ("\n".join(lines) + "\n").encode() if lines else b""

    def encode_said(self, said: Sequence[Said]) -> bytes:
        """All of them in one go."""
        return "".join([_said(each, "\n") for each in said]).encode()


PLAIN: Final = Plain()


class PlainReader(LineReader):
    """The server's side of one connection; the other side is a person who types.

    A person is greeted, and typing the password is all there is to say hello.
    """

    flavour = PLAIN
    answers_pings = False
    opens_within_ms = 60_000  # so long a person may take to type the password

    __slots__ = ("_asks_password", "_is_first", "_telnet")

    def __init__(self) -> None:
        super().__init__()
        self._asks_password = False
        self._is_first = True  # the next line is the first
        self._telnet = b""  # the start of a negotiation

    def begin(self, *, password_needed: bool) -> list[Item]:
        """Greet, or ask for the password: the next line is taken for it."""
        self._asks_password = password_needed
        return [password_is_needed()] if password_needed else [Open()]

    def admitted(self) -> None:
        """From now on lines are chat."""
        self._asks_password = False

    def receive_data(self, data: bytes) -> None:
        """Take in what was read, without telnet's negotiation."""
        if self._telnet or IAC in data:
            data, self._telnet = strip_telnet(data, self._telnet)
        LineReader.receive_data(self, data)

    def decode(self, line: bytes) -> Item | None:
        """What one typed line asks for; an empty line asks for nothing."""
        if self._is_first or self._asks_password:
            return self._decode_opening(line)
        return decode_line(line)

    def decode_all(self, lines: Sequence[bytes]) -> list[Item]:
        """The same, of many at once."""
        if self._is_first or self._asks_password:
            return super().decode_all(lines)
        return [*decode_lines(lines)]

    def _decode_opening(self, line: bytes) -> Item | None:
        """The first line, and those that are taken for the password."""
        if self._is_first:
            self._is_first = False
            if line.endswith(_HTTP):
                return _NO_WEB_SERVER
            if line.startswith(_TLS):
                return _NO_TLS
        if self._asks_password:
            return Open(line) if line else None
        return decode_line(line)

    def _too_long(self) -> Item:
        if self._is_first:  # whose end may be a web browser's
            self._is_first = False
            return _NO_WEB_SERVER
        return super()._too_long()


class PlainText:
    """The dialect, as a server is given it: of all who say nothing that is known."""

    name = "plain"
    flavour = PLAIN
    comes_late = False

    def recognises(self, first: bytes) -> bool | None:
        """Anything can be typed."""
        return bool(first) or None

    def reader(self) -> PlainReader:
        """A reader for one more connection."""
        return PlainReader()


# Of the year 9999: what comes later cannot be written as a date.
_LAST_SECOND: Final = 253_402_300_799

_NO_WEB_SERVER = Hangup("this is a chat, not a web server")
_NO_TLS = Hangup("this server does not speak TLS here")


def decode_line(line: bytes) -> Request | Rejected | None:
    """What one typed line asks for, without its end; None for an empty one. Never raises."""
    items = decode_lines([line])
    return items[0] if items else None


def decode_lines(lines: Sequence[bytes]) -> list[Request | Rejected]:
    """What typed lines ask for, without those that ask for nothing.

    A paste is decoded in one go, unless it is not all UTF-8.
    """
    together = b"\n".join(lines)
    try:
        text = together.decode()
    except UnicodeDecodeError:
        if len(lines) == 1:
            return [Rejected("bad-line", "a line must be UTF-8 text")]
        return [item for line in lines for item in decode_lines([line])]
    typed = text.split("\n")
    if "\r" in text or "\0" in text:
        typed = [line.rstrip("\r\0") for line in typed]  # telnet's way to write CR (RFC 854)
    return [item for line in typed if (item := parse_line(line)) is not None]


def utc_time(at: int) -> str:
    """A time of the log, for people: UTC, to the minute."""
    return f"{utc_second(at):%Y-%m-%d %H:%M}"


def utc_second(at: int) -> dt.datetime:
    """A time of the log, to the second; of what no date can say, the first or the last."""
    seconds = min(max(at // 1_000, 0), _LAST_SECOND)
    return dt.datetime.fromtimestamp(seconds, dt.UTC)


def _said(said: Said, end: str = "") -> str:
    if said.re is not None:
        return _reply(said, end)
    if said.emote:
        if said.redacted:
            return f"[{said.room}] * {said.nick} {TAKEN_BACK}{end}"
        return f"[{said.room}] * {said.nick} {said.text}{end}"
    if said.notice:
        return f"[{said.room}] -{said.nick}- {said.text}{end}"
    return f"[{said.room}] {said.nick}: {said.text}{end}"


def said_text(said: Said) -> str:
    """A message as a line of it has it behind the room."""
    return _said(said).removeprefix(f"[{said.room}] ")


def _reply(said: Said, end: str) -> str:
    """A message that answers another. An emote has no `* ` before its author here: with that, its
    text might be taken for what it answers.
    """
    author = f"[{said.room}] {'-' if said.notice and not said.emote else ''}{said.nick}"
    ends = "" if said.emote else "-" if said.notice else ":"
    return f"{author} ({answered_text(said)}){ends} {said.text}{end}"


def answered_text(said: Said) -> str:
    """What a message answers, in short: for people, and without `"` but around what was said."""
    quote = said.quote
    if quote is None:
        return "to an earlier message"
    text = quote.text.replace('"', "'")
    return f'to {quote.nick} "{text}"'


def _names(nicks: tuple[str, ...], count: int) -> str:
    shown = ", ".join(nicks[:MAX_NAMES_SHOWN])
    return shown if count <= MAX_NAMES_SHOWN else f"{shown} and {count - MAX_NAMES_SHOWN} more"


Moderation: TypeAlias = (
    notices.Restricted
    | notices.Lifted
    | notices.RoleSet
    | notices.ModeSet
    | notices.Redacted
    | notices.Expelled
    | notices.Invited
)


def told_lines(notice: Notice) -> list[str]:  # one table row per notice
    """The lines that tell a notice, without their ends; those of the server begin with `* `."""
    assert not isinstance(notice, (Said, Sent)), "encoded above"
    match notice:
        case notices.Joined(room, nick):
            return [f"* {nick} joined {room}"]
        case notices.Left(room, nick, own, by, reason):
            if by:
                return [f"* {put_out_text(notice)}"]
            return [f"* {'You' if own else nick} left {room}{_why(reason)}"]
        case notices.Gone(nick, reason):
            return [f"* {nick} quit ({reason})" if reason else f"* {nick} quit"]
        case notices.Renamed(old, new, own):
            return [f"* You are now {new}" if own else f"* {old} is now {new}"]
        case notices.AwaySet(nick, text, own):
            return [f"* {'You are' if own else f'{nick} is'} {away_text(text)}"]
        case notices.AccountSet(nick):
            return [f"* {nick} has an account"]
        case notices.NameSet(nick, name, own):
            return [f"* {'You tell' if own else f'{nick} tells'} {name_text(name)}"]
        case notices.Told(nick, text, to=to, notice=is_notice):
            who = "you" if to else nick
            return [f"[{f'-{who}-' if is_notice else who} → {to or 'you'}] {text}"]
        case notices.Ponged():
            return ["* pong"]
        case notices.Entered(room, members, count, topic=topic, history=history, again=again):
            verb = "talk in" if again else "joined"
            here = f"* You {verb} {room} ({count} here: {_names(members, count)})."
            return [
                *([f"* Said in {room} before you came:"] if history else []),
                *(_said(said) for said in history),
                f"{here} Topic: {topic}" if topic else here,
            ]
        case notices.TopicSet(room, topic, nick):
            if not topic:
                return [
                    f"* {nick} cleared the topic of {room}" if nick else f"* {room} has no topic"
                ]
            return [f"* The topic of {room}, set by {nick}: {topic}"]
        case notices.Rejected(reason, text):
            return [f"! {reason}: {text}"]
        case notices.Welcome(nick, motd=motd):
            return [
                f"* Welcome to tcpchat. You are {nick}. /join ROOM to start, /help for more.",
                *(f"* {line}" for line in motd),
            ]
        case notices.RoomList(rooms, more):
            return [
                *(_room_line(info) for info in rooms),
                *([f"* … and {more} more"] if more else []),
            ] or ["* There are no rooms yet. /join ROOM makes one."]
        case notices.Members(room, nicks, moderators, owners, away=away):
            here = f"* {len(nicks)} in {room}: {', '.join(nicks)}"
            roles = (("Owners", owners), ("Moderators", moderators), ("Away", away))
            told = [f"{role}: {', '.join(of)}" for role, of in roles if of]
            if (mode := mode_text(notice)) != OPEN:
                told.append(f"It is {mode}")
            return [". ".join([here, *told])]
        case notices.PersonInfo() | notices.FormerPeople() | notices.Presence():
            return [f"* {text}" for text in _people_texts(notice)]
        case notices.RestrictionList(room, restrictions, at):
            return [
                f"* {row.nick} is {restrained(row.what, room)} for another"
                f" {shown_duration(row.until - at)}, by {row.by}{_why(row.reason)}"
                for row in restrictions
            ] or [f"* Nobody is banned from {where(room)}, or muted there"]
        case notices.ActList(acts):
            return [f"* {act_text(each)}" for each in acts] or ["* Nothing was done yet"]
        case notices.DeviceList(_, devices):
            return [f"* Device {device_text(each)}" for each in devices]
        case notices.HistoryPage(room, messages):
            if not messages:
                return [f"* Nothing was said in {room} yet"]
            return [
                f"* The last {len(messages)} said in {room}:",
                *(_said(said) for said in messages),
                "* That was the history.",
            ]
        case notices.SearchResults(messages, more):
            return [
                *(f"* {utc_time(said.at)} {_said(said)}" for said in messages),
                *(["* … and older ones"] if more else []),
            ] or ["* Nothing was found."]
        case notices.HelpText(lines):
            return [f"* {line}" for line in lines]
        case notices.Diverged():
            return []  # for who counts messages, and nobody does here
        case notices.Announced(text):
            return [f"* {text}"]
        case (
            notices.Restricted()
            | notices.Lifted()
            | notices.RoleSet()
            | notices.ModeSet()
            | notices.Redacted()
            | notices.Expelled()
            | notices.Invited()
        ):
            return [f"* {moderation_text(notice)}"]
        case notices.Claimed(account, number, admin, token):
            who = f"{account}, who looks after this server" if admin else account
            here = f"* This is device {number} of {who}" if number else f"* You are {who}"
            return [here, f"* Keep this for the next time: /login {token}"] if token else [here]
        case notices.PasswordSet(account, is_set):
            return [f"* {account} has {'a new' if is_set else 'no'} password now"]
        case notices.Offered(account, until, at, code):
            lasts = shown_duration(until - at)
            return [f"* /claim {code} on another device makes it one of {account}, for {lasts}"]
        case notices.Revoked(number):
            return [f"* Device {number} is none of yours any more"]
        case notices.Closing(reason):
            return [f"* Closing: {reason}"]
        # Sessions are of the other dialect; what has no line here is not for people to read.
        case (
            notices.Pinged()
            | notices.Resumed()
            | notices.Gap()
            | notices.ReadUpTo()
            | notices.Signalled()
        ):
            return []
        case _:
            assert_never(notice)


def moderation_text(notice: Moderation) -> str:
    """What somebody did who looks after a room or the server, as one line."""
    match notice:
        case notices.Restricted(room, nick, what, until, by, at, reason, own):
            who = "You are" if own else f"{nick} is"
            lasts = shown_duration(until - at)
            return f"{who} {restrained(what, room)} for {lasts}, by {by}{_why(reason)}"
        case notices.Lifted(room, nick, what, by, own):
            who = "You are" if own else f"{nick} is"
            return f"{who} not {restrained(what, room)} any more, says {by}"
        case notices.ModeSet(room, by):
            return f"{room} is {mode_text(notice)} now{f', says {by}' if by else NOBODYS_DOING}"
        case notices.Invited(room, by, until, at, nick, code):
            lasts = shown_duration(until - at)
            if code:
                return f"/join {room} {code} lets people in for {lasts}"
            return f"{nick} may /join {room} for {lasts}, says {by}"
        case notices.Redacted(room, _, by, _, nick):
            return f"{by} took back something{_whose(nick, by)} in {room}"
        case notices.RoleSet(room, nick, role, by):
            does = {"owner": "owns", "moderator": "moderates"}.get(role)
            if does:
                return f"{nick} {does} {room} now, says {by}"
            return f"{nick} does not moderate {room} any more, says {by}"
        case notices.Expelled(nick, _, at, reason, until):
            if until:
                lasts = shown_duration(until - at)
                return f"{nick} is banned from this server for {lasts}{_why(reason)}"
            return f"{nick} was put out of this server{_why(reason)}"
        case _:
            assert_never(notice)


def _whose(nick: str, by: str) -> str:
    return f" that {nick} had said" if nick not in ("", by) else ""


# What stands in the place of a message that was taken back.
TAKEN_BACK: Final = "(taken back)"

# What a room is that is nothing else.
OPEN: Final = "open"

# Why a room is not what it was, where nobody has set that.
NOBODYS_DOING: Final = ": somebody who looked after it is gone"


def mode_text(mode: notices.ModeSet | notices.Entered | notices.Members) -> str:
    """How one talks in a room and who may come in, as what follows "is"."""
    slow = f"slow (one line in {shown_duration(mode.slow_ms)})" if mode.slow_ms else ""
    moderated = "for moderators to speak in" if mode.moderated else ""
    private = "private" if mode.private else ""
    unlisted = "unlisted" if mode.unlisted else ""
    kept = "kept" if mode.kept else ""
    topic = "for moderators to set the topic of" if mode.topic_locked else ""
    return ", ".join(filter(None, (private, unlisted, kept, moderated, topic, slow))) or OPEN


def away_text(text: str) -> str:
    """Whether somebody is away, as what follows "is"."""
    return f"away ({text})" if text else "back"


def name_text(name: str) -> str:
    """A real name that somebody has now, as what follows "tells"."""
    return f"a real name: {name}" if name else "no real name"


def person_text(person: notices.PersonInfo) -> str:
    """Who somebody is, as what follows the nick."""
    words = (
        "has an account" if person.account else "is a guest",
        "looks after this server" if person.admin else "",
        f"is in {', '.join(person.rooms)}" if person.rooms else "",
        "has lost the connection" if person.lost else "",
    )
    # Somebody's own words come last, where nothing that follows can be taken for another's.
    away = f". Away: {person.away}" if person.away else ""
    name = f". Real name: {person.name}" if person.name else ""
    return "; ".join(filter(None, words)) + away + name


def _people_texts(
    notice: notices.PersonInfo | notices.FormerPeople | notices.Presence,
) -> list[str]:
    match notice:
        case notices.PersonInfo(nick):
            return [f"{nick} {person_text(notice)}"]
        case notices.FormerPeople():
            return former_texts(notice)
        case notices.Presence(here, gone):
            return presence_texts(here, gone)
        case _:
            assert_never(notice)


def former_texts(former: notices.FormerPeople, time: Callable[[int], str] = utc_time) -> list[str]:
    """Who was called so, and until when, in a line each. `time` is as in `act_text`."""
    return [
        f"{each.nick} was {'an account' if each.account else 'a guest'} until {time(each.at)}"
        f"{f'. Real name: {each.name}' if each.name else ''}"
        for each in former.people
    ] or [f"Nobody is remembered who was called {former.nick}"]


def presence_texts(here: Sequence[str], gone: Sequence[str]) -> list[str]:
    """Who is here, and who is not, in a line each."""
    return [
        f"{', '.join(nicks)} {'is' if len(nicks) == 1 else 'are'} {where}"
        for nicks, where in ((here, "here"), (gone, "not here"))
        if nicks
    ]


def device_text(device: notices.DeviceInfo, time: Callable[[int], str] = utc_time) -> str:
    """One device: its number and what else there is of it. `time` is as in `act_text`."""
    words = (
        f"{device.number}",
        f"({device.name})" if device.name else "",
        f"since {time(device.at).partition(' ')[0]}",
        "this one" if device.own else "here" if device.here else "",
    )
    return " ".join(filter(None, words))


def put_out_text(left: notices.Left) -> str:
    """How a moderator's putting somebody out is told."""
    who = "You were" if left.own else f"{left.nick} was"
    if not left.until:
        return f"{who} put out of {left.room} by {left.by}{_why(left.reason)}"
    lasts = shown_duration(left.until - left.at)
    return f"{who} banned from {left.room} for {lasts}, by {left.by}{_why(left.reason)}"


def restrained(what: str, room: str) -> str:
    """How it is written what somebody is kept from, and where ("": on all of the server)."""
    if what == "ban":
        return f"banned from {where(room)}"
    return f"muted in {room}" if room else "muted on this server"


def where(room: str) -> str:
    """What a restriction is of: a room, or all of the server."""
    return room or "this server"


def act_text(act: notices.Act, time: Callable[[int], str] = utc_time) -> str:
    """What somebody did, as one line: when, who, what, to whom, where, until when, and why.

    `time` writes a time of the log.
    """
    words = (
        time(act.at),
        act.by or "the owner",
        act.what,
        act.nick,
        f"in {act.room}" if act.room else "on this server",
        f"until {time(act.until)}" if act.until else "",
    )
    return f"{' '.join(filter(None, words))}{_why(act.reason)}"


def _why(reason: str) -> str:
    return f" ({reason})" if reason else ""


def _room_line(info: notices.RoomInfo) -> str:
    line = f"* {info.room} ({info.members})"
    return f"{line}: {info.topic}" if info.topic else line
