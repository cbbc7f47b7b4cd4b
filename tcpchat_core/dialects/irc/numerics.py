"""What IRC has numbers for: the welcome, what the server can do, and why something was not done.

The numbers are those of RFC 2812 and of the ircdocs.horse lists, the tokens those of RPL_ISUPPORT.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from functools import lru_cache
from typing import Final, NamedTuple

from tcpchat_core.dialects.irc.asked import How
from tcpchat_core.dialects.irc.wire import SERVER, channel, line, word
from tcpchat_core.events import MAX_MESSAGES, MAX_WATCHED, Say, Signal, Tell
from tcpchat_core.notices import Limits, Rejected, RoomList, Welcome

# More tokens in a line, with its own parameters, than the fifteen that a line may have (RFC 1459).
_MAX_TOKENS: Final = 13

# How much one line may be about. A client that comes into more rooms says so in several lines.
MAX_ROOMS: Final = 50
MAX_TARGETS: Final = 4
MAX_MODES: Final = 4


class Code(StrEnum):
    """The numerics that are in use, by their names without RPL_ and ERR_."""

    WELCOME = "001"
    YOURHOST = "002"
    CREATED = "003"
    MYINFO = "004"
    ISUPPORT = "005"
    UMODEIS = "221"
    LUSERCLIENT = "251"
    LUSERCHANNELS = "254"
    LUSERME = "255"
    TRYAGAIN = "263"
    LOCALUSERS = "265"
    GLOBALUSERS = "266"
    AWAY = "301"
    USERHOST = "302"
    ISON = "303"
    UNAWAY = "305"
    NOWAWAY = "306"
    WHOISUSER = "311"
    WHOISSERVER = "312"
    WHOISOPERATOR = "313"
    WHOWASUSER = "314"
    ENDOFWHO = "315"
    ENDOFWHOIS = "318"
    WHOISCHANNELS = "319"
    LISTSTART = "321"
    LIST = "322"
    LISTEND = "323"
    CHANNELMODEIS = "324"
    WHOISACCOUNT = "330"
    NOTOPIC = "331"
    TOPIC = "332"
    TOPICWHOTIME = "333"
    INVITING = "341"
    VERSION = "351"
    WHOREPLY = "352"
    NAMREPLY = "353"
    WHOSPCRPL = "354"
    ENDOFNAMES = "366"
    BANLIST = "367"
    ENDOFBANLIST = "368"
    ENDOFWHOWAS = "369"
    INFO = "371"
    MOTD = "372"
    ENDOFINFO = "374"
    MOTDSTART = "375"
    ENDOFMOTD = "376"
    TIME = "391"
    UNKNOWNERROR = "400"
    NOSUCHNICK = "401"
    NOSUCHCHANNEL = "403"
    CANNOTSENDTOCHAN = "404"
    TOOMANYCHANNELS = "405"
    WASNOSUCHNICK = "406"
    TOOMANYTARGETS = "407"
    INVALIDCAPCMD = "410"
    NORECIPIENT = "411"
    NOTEXTTOSEND = "412"
    INPUTTOOLONG = "417"
    UNKNOWNCOMMAND = "421"
    NOMOTD = "422"
    NONICKNAMEGIVEN = "431"
    ERRONEUSNICKNAME = "432"
    NICKNAMEINUSE = "433"
    UNAVAILRESOURCE = "437"
    USERNOTINCHANNEL = "441"
    NOTONCHANNEL = "442"
    USERONCHANNEL = "443"
    NOTREGISTERED = "451"
    NEEDMOREPARAMS = "461"
    ALREADYREGISTERED = "462"
    PASSWDMISMATCH = "464"
    YOUREBANNEDCREEP = "465"
    UNKNOWNMODE = "472"
    INVITEONLYCHAN = "473"
    BANNEDFROMCHAN = "474"
    NOPRIVILEGES = "481"
    CHANOPRIVSNEEDED = "482"
    UMODEUNKNOWNFLAG = "501"
    USERSDONTMATCH = "502"
    HELPNOTFOUND = "524"
    HELPSTART = "704"
    HELPTXT = "705"
    ENDOFHELP = "706"
    MONONLINE = "730"
    MONOFFLINE = "731"
    MONLIST = "732"
    ENDOFMONLIST = "733"
    MONLISTFULL = "734"
    LOGGEDIN = "900"
    SASLSUCCESS = "903"
    SASLFAIL = "904"
    SASLTOOLONG = "905"
    SASLABORTED = "906"
    SASLALREADY = "907"
    SASLMECHS = "908"


def numeric(code: str, nick: str, *words: str, text: str | None = None, row: str = "") -> bytes:
    """One numeric for who is called `nick` ("" for who is not called anything yet).

    A last word that is none, for it is empty, has blanks or begins with a colon, is its text. `row`
    are more words, as in `line`.
    """
    if text is None and words and word(words[-1]) != words[-1]:
        *words_before, text = words
        return line(SERVER, code, nick, *words_before, text=text)
    return line(SERVER, code, nick, *words, text=text, row=row)


# ── The welcome ──────────────────────────────────────────────────────────────────────────────


def welcome(nick: str, welcome: Welcome) -> bytes:
    """All that who has registered is told before anything else."""
    server, version = welcome.server or SERVER, welcome.version
    return b"".join(
        [
            numeric(Code.WELCOME, nick, text=f"Welcome to {server}, {nick}"),
            numeric(Code.YOURHOST, nick, text=f"Your host is {SERVER}, running version {version}"),
            numeric(Code.CREATED, nick, text="This server does not say since when it runs"),
            numeric(Code.MYINFO, nick, SERVER, version, "i", _MODE_LETTERS, _PARAMETER_LETTERS),
            isupport(nick, welcome),
            lusers(nick, welcome) if welcome.people else b"",
            motd(nick, welcome.motd),
        ]
    )


# The modes of rooms, as in 004: those that are told, and those of them that name somebody.
_MODE_LETTERS: Final = "bimnoqstS"
_PARAMETER_LETTERS: Final = "boq"


def isupport(nick: str, welcome: Welcome) -> bytes:
    """What this server can do, and what it bounds."""
    text = "are supported by this server"
    rows = _rows_of_tokens(welcome.server, welcome.limits)
    return b"".join([numeric(Code.ISUPPORT, nick, row=row, text=text) for row in rows])


@lru_cache(maxsize=16)  # a node has one name and one set of limits
def _rows_of_tokens(server: str, limits: Limits | None) -> list[str]:
    tokens = [word(token) for token in _tokens(server, limits)]
    return [" ".join(tokens[at : at + _MAX_TOKENS]) for at in range(0, len(tokens), _MAX_TOKENS)]


def _tokens(server: str, limits: Limits | None) -> list[str]:
    network = (server or SERVER).replace(" ", "\\x20")
    return [
        "CASEMAPPING=ascii",
        "CHANMODES=b,,,imnstS",
        "CHANTYPES=#",
        f"CHATHISTORY={MAX_MESSAGES}",
        "ELIST=MNU",
        f"MODES={MAX_MODES}",
        f"MONITOR={MAX_WATCHED}",
        "MSGREFTYPES=msgid,timestamp",
        f"NETWORK={network}",
        "PREFIX=(qo)~@",
        "SAFELIST",
        f"TARGMAX={','.join(f'{command}:{most}' for command, most in _MOST.items())}",
        "UTF8MAPPING=rfc8265",
        "UTF8ONLY",
        "WHOX",
        *(_limit_tokens(limits) if limits else ()),
    ]


_MOST: Final = {
    "JOIN": MAX_ROOMS,
    "KICK": MAX_TARGETS,
    "NAMES": MAX_TARGETS,
    "NOTICE": MAX_TARGETS,
    "PART": MAX_ROOMS,
    "PRIVMSG": MAX_TARGETS,
    "TAGMSG": MAX_TARGETS,
}


def _limit_tokens(limits: Limits) -> tuple[str, ...]:
    return (
        f"CHANLIMIT=#:{limits.rooms_per_person}",
        f"CHANNELLEN={limits.room_chars + len('#')}",
        f"NAMELEN={limits.name_chars}",
        f"NICKLEN={limits.nick_chars}",
        f"TOPICLEN={limits.topic_chars}",
    )


def lusers(nick: str, told: Welcome | RoomList) -> bytes:
    """How many are connected, and were so at once. All of them are invisible to who shares no room
    with them, and all servers are one. Of rooms those that one may see, where that was asked for.
    """
    people, most = f"{told.people}", f"{max(told.people, told.most_people)}"
    rooms = len(told.rooms) + told.more if isinstance(told, RoomList) else 0
    users = f"There are 0 users and {people} invisible on 1 servers"
    most_text = f"{people}, at most {most} at once"
    return b"".join(
        [
            numeric(Code.LUSERCLIENT, nick, text=users),
            numeric(Code.LUSERCHANNELS, nick, f"{rooms}", text="channels formed") if rooms else b"",
            numeric(Code.LUSERME, nick, text=f"I have {people} clients and 1 servers"),
            numeric(Code.LOCALUSERS, nick, people, most, text=f"Local users: {most_text}"),
            numeric(Code.GLOBALUSERS, nick, people, most, text=f"All users: {most_text}"),
        ]
    )


def motd(nick: str, lines: tuple[str, ...]) -> bytes:
    """What the owner of the server says to who comes."""
    if not lines:
        return numeric(Code.NOMOTD, nick, text="There is no message of the day")
    return b"".join(
        [
            numeric(Code.MOTDSTART, nick, text=f"- {SERVER} Message of the day -"),
            *[numeric(Code.MOTD, nick, text=f"- {each}") for each in lines],
            numeric(Code.ENDOFMOTD, nick, text="End of the message of the day"),
        ]
    )


# ── Refusals ─────────────────────────────────────────────────────────────────────────────────


# The commands of IRC that requests are made of, where they are not called the same.
_COMMANDS: Final = {
    "say": "PRIVMSG",
    "tell": "PRIVMSG",
    "signal": "TAGMSG",
    "login": "PASS",
    "out": "PART",
    "who": "NAMES",
    "rooms": "LIST",
    "role": "MODE",
    "restrict": "MODE",
    "lift": "MODE",
    "restrictions": "MODE",
}

# What a refusal names before its text: in which order, of what was asked.
_COMMAND: Final = ("command",)
_NICK: Final = ("nick",)
_ROOM: Final = ("room",)
_TARGET: Final = ("target",)  # the room, or else the nick
_NICK_AND_ROOM: Final = ("nick", "room")
_WATCHED_AND_TARGET: Final = ("watched", "target")  # how many one can watch


class _Form(NamedTuple):
    """How a refusal is told."""

    code: Code
    names: tuple[str, ...] = ()


# Each `Reason`, in its order. What is not among these is of a newer server.
REFUSALS: Final[Mapping[str, _Form]] = {
    "bad-line": _Form(Code.INPUTTOOLONG),
    "bad-request": _Form(Code.UNKNOWNERROR, _COMMAND),
    "password-needed": _Form(Code.PASSWDMISMATCH),
    "wrong-password": _Form(Code.PASSWDMISMATCH),
    "unknown-command": _Form(Code.UNKNOWNCOMMAND, _COMMAND),
    "bad-usage": _Form(Code.NEEDMOREPARAMS, _COMMAND),
    "bad-name": _Form(Code.NOSUCHCHANNEL, _TARGET),
    "reserved-name": _Form(Code.ERRONEUSNICKNAME, _NICK),
    "nick-in-use": _Form(Code.NICKNAMEINUSE, _NICK),
    "no-such-nick": _Form(Code.NOSUCHNICK, _NICK),
    "no-current-room": _Form(Code.NOSUCHCHANNEL, _ROOM),
    "not-in-room": _Form(Code.NOTONCHANNEL, _ROOM),
    "already-there": _Form(Code.USERONCHANNEL, _NICK_AND_ROOM),
    "too-many-rooms": _Form(Code.TOOMANYCHANNELS, _ROOM),
    "rooms-full": _Form(Code.UNAVAILRESOURCE, _ROOM),
    "empty-text": _Form(Code.NOTEXTTOSEND),
    "too-long": _Form(Code.INPUTTOOLONG),
    "unavailable": _Form(Code.TRYAGAIN, _COMMAND),
    "no-right": _Form(Code.CHANOPRIVSNEEDED, _ROOM),
    "banned": _Form(Code.BANNEDFROMCHAN, _ROOM),
    "muted": _Form(Code.CANNOTSENDTOCHAN, _TARGET),
    "slow": _Form(Code.CANNOTSENDTOCHAN, _TARGET),
    "private": _Form(Code.INVITEONLYCHAN, _ROOM),
    "no-such-message": _Form(Code.UNKNOWNERROR, _COMMAND),
    "too-many": _Form(Code.UNKNOWNERROR, _COMMAND),
    "nick-owned": _Form(Code.NICKNAMEINUSE, _NICK),
    "wrong-code": _Form(Code.PASSWDMISMATCH),
    "unknown-device": _Form(Code.PASSWDMISMATCH),
    "too-fast": _Form(Code.TRYAGAIN, _COMMAND),
}

_UNKNOWN: Final = _Form(Code.UNKNOWNERROR, _COMMAND)

# What is another number for one command of IRC.
_OF_COMMAND: Final[dict[tuple[str, str], _Form]] = {
    ("bad-name", "NICK"): _Form(Code.ERRONEUSNICKNAME, _NICK),
    ("bad-usage", "NICK"): _Form(Code.ERRONEUSNICKNAME, _NICK),
    ("bad-usage", "PASS"): _Form(Code.PASSWDMISMATCH),
    # A room that one is not in is as one that there is not: it may be private.
    ("not-in-room", "KICK"): _Form(Code.NOSUCHCHANNEL, _ROOM),
    ("not-in-room", "TOPIC"): _Form(Code.NOSUCHCHANNEL, _ROOM),
    ("not-in-room", "PRIVMSG"): _Form(Code.CANNOTSENDTOCHAN, _ROOM),
    ("not-in-room", "TAGMSG"): _Form(Code.CANNOTSENDTOCHAN, _ROOM),
    ("no-such-nick", "KICK"): _Form(Code.USERNOTINCHANNEL, _NICK_AND_ROOM),
    ("no-such-nick", "MODE"): _Form(Code.USERNOTINCHANNEL, _NICK_AND_ROOM),
    ("too-many", "MONITOR"): _Form(Code.MONLISTFULL, _WATCHED_AND_TARGET),
    ("unknown-command", "HELP"): _Form(Code.HELPNOTFOUND, _TARGET),
}

# What is another number where no room is meant: it is all of the server.
_OF_SERVER: Final[dict[str, _Form]] = {
    "no-right": _Form(Code.NOPRIVILEGES),
    "banned": _Form(Code.YOUREBANNEDCREEP),
}

# How an answer ends, which an empty one is, too.
_ENDS: Final = {
    "NAMES": (Code.ENDOFNAMES, "End of NAMES"),
    "WHO": (Code.ENDOFWHO, "End of WHO"),
    "WHOIS": (Code.ENDOFWHOIS, "End of WHOIS"),
    "WHOWAS": (Code.ENDOFWHOWAS, "End of WHOWAS"),
}

# Questions to which a list is the answer: nothing is in it for who may not see it.
_EMPTY: Final = {
    ("not-in-room", "NAMES"),
    ("not-in-room", "WHO"),
    ("bad-name", "NAMES"),
    ("bad-name", "WHO"),
    ("no-such-nick", "WHO"),
}

_BANS_ARE_NOT_SHOWN: Final = ("no-right", "restrictions")


# Answers that tell nothing but whom there is.
_ONLY_OF_THOSE_THERE: Final = {"ISON": Code.ISON, "USERHOST": Code.USERHOST}

# What is wrong with a real name; else it may not be changed now (IRCv3 setname).
_OF_REAL_NAMES: Final = {
    "empty-text": "invalid-realname",
    "too-long": "invalid-realname",
}

# Numbers that do not say what is wrong.
_VAGUE: Final = (Code.UNKNOWNERROR, Code.TRYAGAIN)


def refusal(
    nick: str, rejected: Rejected, request: object, *, standard_replies: bool = False
) -> bytes:
    """Why something was not done; `request` is what was asked, or a `How`, or None.

    For a client that takes `standard_replies`, what no number says is told by our own word for it.
    What was a NOTICE is not answered, whatever has become of it. Nor does who types, and has to
    wait before it is said, hear of that again and again.
    """
    if isinstance(request, Say | Tell) and request.notice:
        return b""
    if isinstance(request, Signal) and rejected.reason == "slow":
        return b""
    about = _named(rejected, request)
    command, end = about["command"], b""
    if command == "AUTHENTICATE":  # of which clients know one failure
        return numeric(Code.SASLFAIL, nick, text=rejected.text)
    if command in _ONLY_OF_THOSE_THERE:
        return numeric(_ONLY_OF_THOSE_THERE[command], nick, text="")
    if command == "SETNAME":  # of which they know two, by a word
        why = _OF_REAL_NAMES.get(rejected.reason, "cannot-change-realname")
        return fail(command, why, text=rejected.text)
    if ends := _ENDS.get(command):
        end = numeric(ends[0], nick, about["target"], text=ends[1])
    if (rejected.reason, command) in _EMPTY:
        return end
    if (rejected.reason, rejected.request) == _BANS_ARE_NOT_SHOWN:
        # Clients ask for them as they join: so the list is empty, and its end says why.
        text = f"End of the list of bans: {rejected.text}"
        return numeric(Code.ENDOFBANLIST, nick, about["room"], text=text)
    form = _form(rejected.reason, about)
    if standard_replies and form.code in _VAGUE:
        names = [name for name in (about["nick"], about["room"]) if name]
        return fail(command, rejected.reason, *names, text=rejected.text) + end
    words = [about[name] for name in form.names]
    return numeric(form.code, nick, *words, text=rejected.text) + end


def fail(command: str, reason: str, *words: str, text: str) -> bytes:
    """Why something was not done, by a word (IRCv3 standard replies); what it is about is named."""
    code = reason.upper().replace("-", "_")
    return line(SERVER, "FAIL", command or "*", code, *words, text=text)


def note(command: str, code: str, *words: str, text: str) -> bytes:
    """What there is to know, by a word (IRCv3 standard replies)."""
    return line(SERVER, "NOTE", command, code, *words, text=text)


def _form(reason: str, about: dict[str, str]) -> _Form:
    if form := _OF_COMMAND.get((reason, about["command"])):
        return form
    if not about["room"] and reason in _OF_SERVER:
        return _OF_SERVER[reason]
    return REFUSALS.get(reason, _UNKNOWN)


def _named(rejected: Rejected, request: object) -> dict[str, str]:
    """What there is to name of a request."""
    command = _COMMANDS.get(rejected.request, rejected.request.upper())
    if isinstance(request, How):
        is_room = request.target.startswith("#")
        nick, room = ("", request.target) if is_room else (request.target, "")
        command = request.command
    else:
        nick, room = getattr(request, "nick", ""), getattr(request, "room", "")
        room = channel(room) if room else ""
    target, watched = room or nick, f"{MAX_WATCHED}"
    return {"command": command, "nick": nick, "room": room, "target": target, "watched": watched}
