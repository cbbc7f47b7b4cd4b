"""The commands a person types: one table, for the plain dialect and for terminal clients.

`parse_line` turns what was typed into a request, or into the `Rejected` that tells what was
wrong. A request for "here" has an empty room; whoever knows the current room fills it in.
"""

from __future__ import annotations

import datetime as dt
import difflib
from collections.abc import Callable, Collection, Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from tcpchat_core import events
from tcpchat_core.durations import parse_duration
from tcpchat_core.events import Request, Restraint, RoomRole
from tcpchat_core.notices import Reason, Rejected
from tcpchat_core.sanitize import sanitize

# How alike two words must be for the one to be offered in place of the other (0 to 1).
LIKENESS: Final = 0.6

# What people know from irssi, WeeChat and other clients of IRC by a name that is none here: the
# commands that do it, of which the first is offered that whoever asks has. Where it has none of
# them, a word that only looks alike would be no help.
ELSEWHERE: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "window": ("view",),
        "buffer": ("view",),
        "query": ("query", "msg"),
        "wc": ("close", "out"),
        "lastlog": ("search",),
        "grep": ("search",),
        "scrollback": ("older", "history"),
        "action": ("me",),
        "privmsg": ("msg",),
        "op": ("mod",),
        "deop": ("unmod",),
        "kickban": ("ban",),
        "hilight": ("set",),
        "highlight": ("set",),
        "url": ("links",),
        "bye": ("quit",),
        "disconnect": ("quit",),
    }
)

# How much of a line of `/help` a usage takes, so that there is room for the rest in a terminal. The
# few that are longer take what they need.
_USAGE_CHARS = 24

_EPOCH_DAY = dt.date(1970, 1, 1).toordinal()


class Usage(Exception):
    """A command's arguments make no sense; caught in `parse_line`, never seen outside."""


class Command(NamedTuple):
    """One command: its names (the first is the real one), its arguments, what it does."""

    names: tuple[str, ...]
    arguments: str
    summary: str
    request: Callable[[str], Request]
    example: str

    @property
    def usage(self) -> str:
        """How it is written, for example `/msg NICK TEXT`."""
        return f"/{self.names[0]} {self.arguments}".rstrip()


def _one_word(rest: str) -> str:
    words = rest.split()
    if len(words) != 1:
        raise Usage
    return words[0]


def _at_most_one_word(rest: str) -> str:
    return _one_word(rest) if rest else ""


def _nothing(rest: str) -> None:
    if rest:
        raise Usage


def _join(rest: str) -> Request:
    words = rest.split()
    if not 1 <= len(words) <= 2:
        raise Usage
    return events.Join(words[0], code=words[1] if len(words) > 1 else "")


def _out(rest: str) -> Request:
    """`[ROOM [REASON]]`: the first word is always a room, and so no reason is taken for one."""
    room, _, reason = rest.partition(" ")
    return events.Out(room, reason=reason.strip())


def _tell(rest: str) -> Request:
    nick, _, text = rest.partition(" ")
    if not text.strip():
        raise Usage
    return events.Tell(nick, text.strip())


def _me(rest: str) -> Request:
    if not rest:
        raise Usage
    return events.Say("", rest, emote=True)


def _reply(rest: str) -> Request:
    """`[N] TEXT`: a number that is all there is, is the text."""
    if not rest:
        raise Usage
    word, _, text = rest.partition(" ")
    if not (text and word.isascii() and word.isdecimal()):
        return events.Say("", rest, back=1)
    return events.Say("", text.strip(), back=_number(word))


def _rooms(rest: str) -> Request:
    _nothing(rest)
    return events.Rooms()


def _history(rest: str) -> Request:
    if not rest:
        return events.History("")
    return events.History("", limit=_number(rest))


def _number(rest: str) -> int:
    # int() would take "1_0" and digits of other scripts; a count is plain decimal digits.
    if not (rest.isascii() and rest.isdecimal() and len(rest) <= 6 and int(rest) > 0):
        raise Usage
    return int(rest)


_SERVER = "--server"


def _server(rest: str) -> tuple[str, bool]:
    """What is left of arguments without `--server`, wherever it is, and whether it was there."""
    before, found, after = f" {rest} ".partition(f" {_SERVER} ")
    return (f"{before.strip()} {after.strip()}".strip(), True) if found else (rest, False)


def _kick(rest: str) -> Request:
    rest, server = _server(rest)
    nick, reason = _nick_and_more(rest)
    return events.Kick("", nick, reason, server=server)


def _restrict(what: Restraint) -> Callable[[str], Request]:
    """`NICK [TIME] [REASON]`: what is no time is a reason already."""

    def restrict(rest: str) -> Request:
        rest, server = _server(rest)
        nick, more = _nick_and_more(rest)
        time, _, reason = more.partition(" ")
        ms = parse_duration(time)
        if ms is None:
            return events.Restrict("", nick, what, 0, more, server=server)
        return events.Restrict("", nick, what, ms, reason.strip(), server=server)

    return restrict


def _lift(what: Restraint) -> Callable[[str], Request]:
    def lift(rest: str) -> Request:
        rest, server = _server(rest)
        return events.Lift("", _one_word(rest), what, server=server)

    return lift


def _role(role: RoomRole) -> Callable[[str], Request]:
    return lambda rest: events.Role("", _one_word(rest), role)


def _slow(rest: str) -> Request:
    ms = 0 if rest.lower() == "off" else parse_duration(rest)
    if ms is None:
        raise Usage
    return events.RoomMode("", slow_ms=ms)


def _is_on(rest: str) -> bool:
    word = rest.lower()
    if word not in ("on", "off"):
        raise Usage
    return word == "on"


def _secret(rest: str) -> Request:
    word = _one_word(rest)
    return events.RoomMode("", secret="" if word.lower() == "off" else word)


def _nick_and_more(rest: str) -> tuple[str, str]:
    nick, _, more = rest.partition(" ")
    if not nick:
        raise Usage
    return nick, more.strip()


def _bans(rest: str) -> Request:
    rest, server = _server(rest)
    _nothing(rest)
    return events.Restrictions("", server=server)


def _audit(rest: str) -> Request:
    return events.Audit(_number(rest)) if rest else events.Audit()


def _claim(rest: str) -> Request:
    code, name = _nick_and_more(rest)
    return events.Claim(code, name)


def _something(rest: str) -> str:
    if not rest:
        raise Usage
    return rest


def _login(rest: str) -> Request:
    word, password = _nick_and_more(rest)
    if password:
        return events.Login(account=word, password=password)
    return events.Login(word)


def _device(rest: str) -> Request:
    _nothing(rest)
    return events.Offer()


def _devices(rest: str) -> Request:
    _nothing(rest)
    return events.Devices()


def _revoke(rest: str) -> Request:
    return events.Revoke(_number(rest))


def _search(rest: str) -> Request:
    """`WORDS [in ROOM] [from NICK] [since DATE]`, the last three in any order."""
    words = rest.split()
    given: dict[str, str] = {}
    while len(words) > 2 and words[-2].lower() in ("in", "from", "since"):
        *words, what, value = words
        if what.lower() in given:
            raise Usage
        given[what.lower()] = value
    if not words:
        raise Usage
    since = 0
    if "since" in given:
        try:
            day = dt.date.fromisoformat(given["since"])
        except ValueError:
            raise Usage from None
        since = (day.toordinal() - _EPOCH_DAY) * 86_400_000
    return events.Search(" ".join(words), given.get("in", ""), given.get("from", ""), since)


# All of them, in the order in which `/help` lists them.
COMMANDS: tuple[Command, ...] = (
    Command(
        ("join", "room"),
        "ROOM [CODE]",
        "join a room, or make one you are in the current one; a private one by a code",
        _join,
        "/join lobby",
    ),
    Command(
        ("nick", "nickname", "nicknames"),
        "NAME",
        "change your nickname",
        lambda rest: events.Nick(_one_word(rest)),
        "/nick ada",
    ),
    Command(
        ("out", "leave", "part"),
        "[ROOM [REASON]]",
        "leave the current room, or the one you name, and say why",
        _out,
        "/out",
    ),
    Command(
        ("quit", "exit"),
        "[REASON]",
        "say goodbye and disconnect",
        events.Quit,
        "/quit tea time",
    ),
    Command(
        ("rooms", "list"),
        "",
        "list the rooms, how many people are in each, and the topics",
        _rooms,
        "/rooms",
    ),
    Command(
        ("who", "names"),
        "[ROOM]",
        "list the people in a room you are in",
        lambda rest: events.Who(_at_most_one_word(rest)),
        "/who",
    ),
    Command(
        ("whois",),
        "NICK",
        "tell who somebody is, and in which of your rooms",
        lambda rest: events.Whois(_one_word(rest)),
        "/whois ada",
    ),
    Command(
        ("msg", "tell"),
        "NICK TEXT",
        "say something to one person only",
        _tell,
        "/msg ada psst",
    ),
    Command(
        ("me",),
        "ACTION",
        "say what you do",
        _me,
        "/me waves",
    ),
    Command(
        ("reply", "re"),
        "[N] TEXT",
        "answer the last thing that somebody else said here, or the Nth from the end",
        _reply,
        "/reply 2 at four",
    ),
    Command(
        ("away",),
        "[TEXT]",
        "say that you are away, and why; without a text, that you are back",
        events.Away,
        "/away tea time",
    ),
    Command(
        ("name",),
        "[TEXT]",
        "say your real name, as /whois tells it; without a text, that you tell none",
        events.SetName,
        "/name Ada Lovelace",
    ),
    Command(
        ("topic",),
        "[TEXT]",
        "show the topic of the current room, or set it",
        lambda rest: events.Topic("", rest or None),
        "/topic tea at four",
    ),
    Command(
        ("history",),
        "[N]",
        "show the last N messages of the current room (20 when you give no number)",
        _history,
        "/history 50",
    ),
    Command(
        ("search", "find"),
        "WORDS [in ROOM] [from NICK] [since DATE]",
        "find what was said in the rooms you are in, newest first (a date is like 2026-01-31)",
        _search,
        "/search tea from ada since 2026-01-31",
    ),
    Command(
        ("kick",),
        "NICK [REASON] [--server]",
        "put somebody out of the current room, which you moderate; with --server of the server",
        _kick,
        "/kick troll this is a library",
    ),
    Command(
        ("mute",),
        "NICK [TIME] [REASON] [--server]",
        "let somebody say nothing here, or on the server, for 10m or another TIME (30s, 2h, 1d)",
        _restrict("mute"),
        "/mute bob 10m let others speak",
    ),
    Command(
        ("unmute",),
        "NICK [--server]",
        "let somebody speak again",
        _lift("mute"),
        "/unmute bob",
    ),
    Command(
        ("ban",),
        "NICK [TIME] [REASON] [--server]",
        "put somebody out of the room, or of the server, and keep them out for 1h or another TIME",
        _restrict("ban"),
        "/ban troll 1d enough",
    ),
    Command(
        ("unban",),
        "NICK [--server]",
        "let somebody come in again",
        _lift("ban"),
        "/unban troll",
    ),
    Command(
        ("bans", "mutes"),
        "[--server]",
        "list who is banned from the current room or muted in it, and until when",
        _bans,
        "/bans",
    ),
    Command(
        ("mod",),
        "NICK",
        "let somebody moderate the current room, as you do",
        _role("moderator"),
        "/mod bob",
    ),
    Command(
        ("unmod",),
        "NICK",
        "let somebody moderate the current room no more",
        _role("member"),
        "/unmod bob",
    ),
    Command(
        ("own",),
        "NICK",
        "let an account own the current room, as you do",
        _role("owner"),
        "/own bob",
    ),
    Command(
        ("keep",),
        "[on|off]",
        "keep the current room when nobody is in it: it is your account's",
        lambda rest: events.RoomMode("", kept=_is_on(rest or "on")),
        "/keep",
    ),
    Command(
        ("slow",),
        "TIME|off",
        "let everybody say something only once in so long in the current room",
        _slow,
        "/slow 5s",
    ),
    Command(
        ("moderated",),
        "on|off",
        "let only those who moderate the current room speak there",
        lambda rest: events.RoomMode("", moderated=_is_on(rest)),
        "/moderated on",
    ),
    Command(
        ("topiclock",),
        "on|off",
        "let only those who moderate the current room set its topic",
        lambda rest: events.RoomMode("", topic_locked=_is_on(rest)),
        "/topiclock on",
    ),
    Command(
        ("private",),
        "on|off",
        "let people into the current room only by invitation, and hide it from others",
        lambda rest: events.RoomMode("", private=_is_on(rest)),
        "/private on",
    ),
    Command(
        ("unlisted",),
        "on|off",
        "leave the current room out of the list of rooms, for those who are not in it",
        lambda rest: events.RoomMode("", unlisted=_is_on(rest)),
        "/unlisted on",
    ),
    Command(
        ("secret",),
        "WORD|off",
        "let people into the current room by a word that you tell them: /join ROOM WORD",
        _secret,
        "/secret teapot",
    ),
    Command(
        ("invite",),
        "[NICK]",
        "invite somebody to the current room, or get a code by which to /join it",
        lambda rest: events.Invite("", _at_most_one_word(rest)),
        "/invite bob",
    ),
    Command(
        ("redact",),
        "[NICK]",
        "take back the last thing that you said in the current room, or that somebody else did",
        lambda rest: events.Redact("", nick=_at_most_one_word(rest)),
        "/redact",
    ),
    Command(
        ("claim",),
        "CODE [NAME]",
        "make this device one of an account, by a code that you were given",
        _claim,
        "/claim a1b2c-3d4e5-f6071-82930 phone",
    ),
    Command(
        ("login",),
        "TOKEN|NICK PASSWORD",
        "come as who you are, by the token that /claim gave to this device, or by your password",
        _login,
        "/login 5f0c…",
    ),
    Command(
        ("password",),
        "PASSWORD|off",
        "have a password, by which to /login where you have no device",
        lambda rest: events.Password("" if _something(rest).lower() == "off" else rest),
        "/password correct horse battery",
    ),
    Command(
        ("device",),
        "",
        "get a code by which to /claim your account on another device",
        _device,
        "/device",
    ),
    Command(
        ("devices",),
        "",
        "list the devices of your account",
        _devices,
        "/devices",
    ),
    Command(
        ("revoke",),
        "NUMBER",
        "let one of your devices be yours no more, as when it was lost",
        _revoke,
        "/revoke 2",
    ),
    Command(
        ("audit",),
        "[N]",
        "show the last N things that those did who look after rooms and the server (20 at first)",
        _audit,
        "/audit 50",
    ),
    Command(
        ("help", "?"),
        "[COMMAND]",
        "show all commands, or explain one",
        lambda rest: events.Help(_at_most_one_word(rest)),
        "/help msg",
    ),
)

_BY_NAME: dict[str, Command] = {name: command for command in COMMANDS for name in command.names}


def parse_line(line: str) -> Request | Rejected | None:
    """What a typed line asks for; None for an empty one.

    `line` is text without its line end. A line that begins with one slash is a command; `//` says
    a text that begins with a slash; anything else is said to the current room.
    """
    if not line or line.isspace():
        return None
    if line[0] != "/":
        return events.Say("", line)
    if line.startswith("//"):
        return events.Say("", line[1:])
    word, _, rest = line[1:].partition(" ")
    command = _BY_NAME.get(word.lower())
    if command is None:
        return unknown_command(word)
    try:
        return command.request(rest.strip())
    except Usage:
        return rejected(
            "bad-usage", f"usage: {command.usage}  (for example: {command.example})", command
        )


def rejected(reason: Reason, text: str, command: Command | None = None) -> Rejected:
    """A `Rejected` for a typed line."""
    return Rejected(reason, text, command.names[0] if command else "")


def unknown_command(word: str, names: Collection[str] = _BY_NAME.keys()) -> Rejected:
    """The `Rejected` for a command that there is not, naming the one of `names` that is meant."""
    shown = sanitize(word[:24])
    near = _meant(word.lower()[:24], names)
    hint = f"did you mean /{near}?" if near else "/help lists the commands"
    return rejected("unknown-command", f"there is no command /{shown}; {hint}")


def _meant(word: str, names: Collection[str]) -> str | None:
    """Which of the names somebody means by a word that is none of them: what the word is called
    here; or the first name that it begins; or what a word that it begins is called here; or the
    name that is most like it.
    """
    if not word:
        return None
    elsewhere = [other for other in ELSEWHERE if other.startswith(word)]
    if word not in elsewhere and (begun := [name for name in names if name.startswith(word)]):
        return begun[0]
    if elsewhere:
        other = word if word in elsewhere else elsewhere[0]
        return next((name for name in ELSEWHERE[other] if name in names), None)
    return next(iter(difflib.get_close_matches(word, names, n=1, cutoff=LIKENESS)), None)


def help_line(usage: str, summary: str) -> str:
    """One line of the list of commands."""
    return f"{usage:<{_USAGE_CHARS}}  {summary}"


def help_lines(word: str) -> tuple[str, ...] | Rejected:
    """The lines of `/help`, or of `/help COMMAND`."""
    if not word:
        return (
            *(help_line(command.usage, command.summary) for command in COMMANDS),
            help_line("text", "say it to the current room"),
            help_line("//text", "say a text that begins with a slash"),
        )
    command = _BY_NAME.get(word.removeprefix("/").lower())
    if command is None:
        return unknown_command(word.removeprefix("/"))
    also = "".join(f", /{name}" for name in command.names[1:])
    return (
        f"{command.usage}: {command.summary}",
        f"for example: {command.example}",
        *((f"the same: {also[2:]}",) if also else ()),
    )
