"""What a registered IRC client can say, and what it asks for by that: one table, `COMMANDS`.

What chat is about becomes a request, and no rule of it stands here. Where the answer has to repeat
the command, or the target as it was written, the request is `Asked` with that. What the server can
say by itself is answered at once.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Final

import msgspec

from tcpchat_core import events
from tcpchat_core.dialects import Asked, Item, Repeats, Reply, Wait
from tcpchat_core.dialects.irc import chathistory
from tcpchat_core.dialects.irc.answers import read_marker
from tcpchat_core.dialects.irc.asked import Gathering, How
from tcpchat_core.dialects.irc.masks import is_mask
from tcpchat_core.dialects.irc.numerics import (
    MAX_MODES,
    MAX_ROOMS,
    MAX_TARGETS,
    Code,
    fail,
    isupport,
    motd,
    numeric,
    refusal,
)
from tcpchat_core.dialects.irc.parse import NO_TIME, time_of
from tcpchat_core.dialects.irc.wire import SERVER, channel, message_number, opening
from tcpchat_core.events import MAX_WATCHED, Request
from tcpchat_core.names import REPLY_TAGS, is_same_nick, is_tag_name
from tcpchat_core.notices import Rejected, Welcome
from tcpchat_core.version import VERSION

# What a text looks like is not said here: bold, italic, underlined, struck, monospaced, reversed,
# and back to none; colours by number and by RGB (https://modern.ircdocs.horse/formatting).
_FORMATTING: Final = re.compile(
    "[\x02\x0f\x11\x16\x1d\x1e\x1f]"
    "|\x03(?:[0-9]{1,2}(?:,[0-9]{1,2})?)?"
    "|\x04(?:[0-9A-Fa-f]{6}(?:,[0-9A-Fa-f]{6})?)?"
)

# A message to a program and not to a person (CTCP); only `ACTION` is one that people read. What was
# taken for a part is never given back, so that the time it takes grows no faster than the line.
_CTCP: Final = re.compile("\x01([^ \x01]*+) ?([^\x01]*+)\x01?")

# What an extended WHO asks for: `WHO #hall %tcn,42`.
_WHOX: Final = re.compile(r"[^%]*%([A-Za-z]*)(?:,([0-9]{1,3}))?")


class Client:
    """Who says it."""

    __slots__ = ("account", "name", "nick", "rooms", "takes_batches", "welcome")

    def __init__(self) -> None:
        self.account = ""  # whose it is; "" for a guest
        self.name = ""  # its real name
        self.nick = ""
        self.rooms: dict[str, None] = {}  # that it is in, by name
        self.takes_batches = False
        self.welcome = Welcome("", "")

    def reply(self, code: str, *words: str, text: str) -> Reply:
        """An answer of the server alone."""
        return Reply(numeric(code, self.nick, *words, text=text))


class Command(msgspec.Struct, frozen=True):
    """What is made of a command, and how many words it takes at least."""

    items: Callable[[Client, list[str]], list[Item]]
    least: int = 0


def items_of(client: Client, name: str, params: list[str]) -> list[Item]:
    """What a registered client asks for by a command."""
    command = COMMANDS.get(name)
    if command is None:
        return [client.reply(Code.UNKNOWNCOMMAND, name, text="there is no such command")]
    least = command.least
    if least and (len(params) < least or not params[0]):
        return [client.reply(Code.NEEDMOREPARAMS, name, text=f"{name} needs more parameters")]
    return command.items(client, params)


def with_client_tags(client: Client, items: list[Item], tags: Mapping[str, str]) -> list[Item]:
    """What a line asks for; what it says has those of its tags that are for other clients."""
    wanted = client_tags(tags)
    return [_with_tags(client, each, wanted) for each in items] if wanted else items


def client_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """Of the tags of a line those that are for other clients, by name; not what is none."""
    return {
        name[1:]: value
        for name, value in tags.items()
        if name.startswith("+") and is_tag_name(name[1:])
    }


def _with_tags(client: Client, item: Item, tags: dict[str, str]) -> Item:
    """What somebody says, with its tags; all else as it is. Of a room, one of them may have the id
    of the message that it answers; one that has no such id is for other clients alone.
    """
    if isinstance(item, events.Say):
        epoch, room = client.welcome.epoch, channel(item.room)
        ids = [tags[name] for name in REPLY_TAGS if name in tags]
        numbers = [message_number(id, epoch, room) for id in ids]
        answered = next((number for number in numbers if number is not None), None)
        return msgspec.structs.replace(item, tags=tags, re=answered)
    if isinstance(item, events.Tell | events.Signal):
        return msgspec.structs.replace(item, tags=tags)
    return item


def without_formatting(text: str) -> str:
    """A text without the codes that say how it looks; all of them are control characters."""
    return text if text.isprintable() else _FORMATTING.sub("", text)


def _listed(words: str, most: int) -> tuple[list[str], bool]:
    """The parts of a word with commas, at most so many, and whether there were more."""
    parts = words.split(",")
    if "" in parts:
        parts = [part for part in parts if part]
    return parts[:most], len(parts) > most


def _is_room(target: str) -> bool:
    return target[:1] == "#"


def _no_room(client: Client, target: str) -> Reply:
    return client.reply(Code.NOSUCHCHANNEL, target, text="a room is called #name here")


def _too_many(client: Client, target: str) -> Reply:
    return client.reply(Code.TOOMANYTARGETS, target, text="that is too many at once")


def _nick_of(mask: str) -> str:
    """Whom `nick!user@host` means: only nicks tell people apart here."""
    return mask.partition("!")[0]


def _of_rooms(
    client: Client, words: str, items: Callable[[str], Item], most: int = MAX_ROOMS
) -> list[Item]:
    """One request for each room that is named."""
    targets, has_more = _listed(words, most)
    found = [items(each) if _is_room(each) else _no_room(client, each) for each in targets]
    return [*found, _too_many(client, targets[-1])] if has_more else found


# ── Rooms ────────────────────────────────────────────────────────────────────────────────────


def _join(client: Client, params: list[str]) -> list[Item]:
    if params[0] == "0":
        return [events.Out(room) for room in client.rooms]
    keys = iter(params[1].split(",") if len(params) > 1 else ())
    return _of_rooms(client, params[0], lambda room: events.Join(room, code=next(keys, "")))


def _part(client: Client, params: list[str]) -> list[Item]:
    reason = without_formatting(" ".join(params[1:2])).strip()
    return _of_rooms(client, params[0], lambda room: events.Out(room, reason=reason))


def _topic(client: Client, params: list[str]) -> list[Item]:
    room = params[0]
    if not _is_room(room):
        return [_no_room(client, room)]
    if len(params) == 1:
        return [Asked(events.Topic(room), How("TOPIC", room))]
    return [events.Topic(room, without_formatting(params[1]))]


def _names(client: Client, params: list[str]) -> list[Item]:
    targets, _ = _listed(params[0] if params else "", MAX_TARGETS)
    rooms = [each for each in targets if _is_room(each)]
    how = How("NAMES", ",".join(targets))
    if len(targets) > 1:
        how = how._replace(gathering=Gathering(len(rooms)))
    end = client.reply(Code.ENDOFNAMES, how.target or "*", text="End of NAMES")
    return [Asked(events.Who(room), how) for room in rooms] or [end]


def _who(client: Client, params: list[str]) -> list[Item]:
    target = params[0] if params else "*"
    extended = _WHOX.fullmatch(params[1]) if len(params) > 1 else None
    fields, token = extended.groups("") if extended else ("", "")
    how, names = How("WHO", target, fields, token), not fields or not _OF_NAMES.isdisjoint(fields)
    if not is_mask(_nick_of(target)):
        if _is_room(target):
            return [Asked(events.Who(target, names=names), how)]
        return [Asked(events.Whois(_nick_of(target)), how)]
    # A mask shows people, and of those the ones that may be seen: who is in a room of the client's.
    rooms = list(client.rooms) if params and not _is_room(target) else []
    how = how._replace(gathering=Gathering(len(rooms)))
    end = client.reply(Code.ENDOFWHO, target, text="End of WHO")
    return [Asked(events.Who(room, names=names), how) for room in rooms] or [end]


# The fields of an extended WHO that tell how somebody is called beside its nick.
_OF_NAMES: Final = frozenset("ru")


def _whois(_client: Client, params: list[str]) -> list[Item]:
    nick = params[-1]  # before it may stand a server, of which there is one
    return [Asked(events.Whois(nick), How("WHOIS", nick))]


def _whowas(_client: Client, params: list[str]) -> list[Item]:
    nick, count = params[0], "".join(params[1:2])
    # What is no positive number asks for all.
    limit = int(count[:4]) if count.isascii() and count.isdecimal() else 0
    return [Asked(events.Whowas(nick, limit), How("WHOWAS", nick))]


def _list(_client: Client, params: list[str]) -> list[Item]:
    conditions, _ = _listed(params[0] if params else "", MAX_ROOMS)
    return [Asked(events.Rooms(), How("LIST", ",".join(conditions)))]


def _chathistory(client: Client, params: list[str]) -> list[Item]:
    return chathistory.items(
        params,
        epoch=client.welcome.epoch,
        rooms=client.rooms,
        is_batch=client.takes_batches,
    )


def _markread(_client: Client, params: list[str]) -> list[Item]:
    """Up to when something was read, or that it was (IRCv3 draft/read-marker). The answer tells
    that in any case; of people that nothing is known, as what is said to them is not kept.
    """
    if not params or not params[0]:
        text = "say what was read, and up to when"
        return [Reply(fail("MARKREAD", "need-more-params", text=text))]
    target, is_said = params[0], len(params) > 1
    kind, _, text = params[1].partition("=") if is_said else ("", "", "")
    at = time_of(text) if kind == "timestamp" else None
    if is_said and at is None:
        return [Reply(fail("MARKREAD", "invalid-params", target, text=NO_TIME))]
    if not _is_room(target):
        return [Reply(read_marker(target, 0))]
    return [Asked(events.Read(target, at=at), How("MARKREAD", target))]


def _kick(client: Client, params: list[str]) -> list[Item]:
    """Several people out of one room, or each out of the room in the same place."""
    reason = without_formatting(" ".join(params[2:3]))
    rooms, _ = _listed(params[0], MAX_TARGETS)
    nicks, has_more = _listed(params[1], MAX_TARGETS)
    if len(rooms) == 1:
        rooms *= len(nicks)
    items: list[Item] = [
        events.Kick(room, _nick_of(nick), reason) if _is_room(room) else _no_room(client, room)
        for room, nick in zip(rooms, nicks, strict=False)
    ]
    return [*items, _too_many(client, nicks[-1])] if has_more else items


def _invite(client: Client, params: list[str]) -> list[Item]:
    nick, room = params[:2]
    if not _is_room(room):
        return [_no_room(client, room)]
    return [events.Invite(room, nick)]


# ── Modes ────────────────────────────────────────────────────────────────────────────────────


def _mode(client: Client, params: list[str]) -> list[Item]:
    target = params[0]
    if not _is_room(target):
        return _own_mode(client, params)
    if len(params) == 1:
        return [Asked(events.Who(target), How("MODE", target))]
    items: list[Item] = []
    words = iter(params[2:])
    sign = True
    for letter in params[1]:
        if letter in "+-":
            sign = letter == "+"
            continue
        item = _room_mode(client, target, letter, words, is_on=sign)
        items += [item] if item is not None else []
        if len(items) == MAX_MODES:
            break
    return items


def _own_mode(client: Client, params: list[str]) -> list[Item]:
    if not is_same_nick(params[0], client.nick):
        return [client.reply(Code.USERSDONTMATCH, text="the modes of others are theirs")]
    if len(params) > 1 and not set(params[1]) <= set("+-i"):
        return [client.reply(Code.UMODEUNKNOWNFLAG, text="there is only the mode i")]
    # Nobody is seen by who shares no room with them: that is so, whatever is asked for.
    return [Reply(numeric(Code.UMODEIS, client.nick, "+i"))]


def _room_mode(
    client: Client, room: str, letter: str, words: Iterator[str], *, is_on: bool
) -> Item | None:
    """What one letter asks for; None for what is so, or not so, in all rooms."""
    if letter in _ALWAYS:
        return None
    if letter in _FLAGS:
        return _FLAGS[letter](room, is_on)
    if letter not in _OF_PEOPLE:
        return client.reply(Code.UNKNOWNMODE, letter, text="there is no such mode of a room")
    nick = _nick_of(next(words, ""))
    if nick:
        return _OF_PEOPLE[letter](room, nick, is_on)
    if letter == "b":
        return Asked(events.Restrictions(room), How("MODE", room))
    return client.reply(Code.NEEDMOREPARAMS, "MODE", text=f"{letter} is of somebody: say of whom")


# Nobody speaks into a room from outside.
_ALWAYS: Final = "n"


def _private(room: str, is_on: bool) -> Request:
    return events.RoomMode(room, private=is_on)


def _moderated(room: str, is_on: bool) -> Request:
    return events.RoomMode(room, moderated=is_on)


def _topic_locked(room: str, is_on: bool) -> Request:
    return events.RoomMode(room, topic_locked=is_on)


def _unlisted(room: str, is_on: bool) -> Request:
    return events.RoomMode(room, unlisted=is_on)


def _operator(room: str, nick: str, is_on: bool) -> Request:
    return events.Role(room, nick, "moderator" if is_on else "member")


def _owner(room: str, nick: str, is_on: bool) -> Request:
    return events.Role(room, nick, "owner" if is_on else "moderator")


def _ban(room: str, nick: str, is_on: bool) -> Request:
    return events.Restrict(room, nick, "ban") if is_on else events.Lift(room, nick, "ban")


_FLAGS: Final[dict[str, Callable[[str, bool], Request]]] = {
    "i": _private,
    "s": _unlisted,
    "m": _moderated,
    "t": _topic_locked,
}

_OF_PEOPLE: Final[dict[str, Callable[[str, str, bool], Request]]] = {
    "b": _ban,
    "o": _operator,
    "q": _owner,
}


# ── What is said ─────────────────────────────────────────────────────────────────────────────


def _privmsg(client: Client, params: list[str]) -> list[Item]:
    if not params or not params[0]:
        return [client.reply(Code.NORECIPIENT, text="say to whom (PRIVMSG)")]
    if len(params) == 1 or not params[1]:
        return [client.reply(Code.NOTEXTTOSEND, text="there is nothing to say in it")]
    targets, has_more = _listed(params[0], MAX_TARGETS)
    items = _each_paid(_said(client, targets, params[1], is_notice=False), params[1])
    return [*items, _too_many(client, targets[-1])] if has_more else items


def _notice(client: Client, params: list[str]) -> list[Item]:
    """What a program answers must not be answered, or two of them would go on for ever."""
    if not params[1:]:
        return []
    targets, _ = _listed(params[0], MAX_TARGETS)
    return _each_paid(_said(client, targets, params[1], is_notice=True), params[1])


def _each_paid(said: list[Item], text: str) -> list[Item]:
    """The same, and what it costs to say one text to several: as much as to say it to each."""
    if len(said) < 2:  # one is read, and paid for
        return said
    size = len(text.encode())
    paid = [each for item in said for each in (item, Repeats(size))]
    return [*said[:1], *paid[2:]]


def _said(client: Client, targets: list[str], text: str, *, is_notice: bool) -> list[Item]:
    """What is said to each target: nothing, when it is a message to somebody's program."""
    is_emote = False
    if not text.isprintable():  # else it is no CTCP, and says nothing of how it looks
        if ctcp := _CTCP.fullmatch(text):
            asked, text = ctcp[1].upper(), ctcp[2]
            is_emote = asked == "ACTION"
            if not is_emote:
                return [] if is_notice else _ctcp_of_server(client, targets, asked)
        text = without_formatting(text)
    items: list[Item] = []
    for target in targets:
        if _is_room(target):
            items.append(events.Say(target, text, None, is_emote, "", is_notice))
        else:  # who is told something alone is not told that it is an emote
            told = f"* {client.nick} {text}" if is_emote else text
            items.append(events.Tell(_nick_of(target), told, notice=is_notice))
    return items


def _ctcp_of_server(client: Client, targets: list[str], asked: str) -> list[Item]:
    if asked != "VERSION":
        return []
    head, _ = opening("", "NOTICE", client.nick)
    version = Reply(f"{head}\x01VERSION tcpchat {VERSION}\x01\r\n".encode())
    return [version for target in targets if target == SERVER]


def _tagmsg(client: Client, params: list[str]) -> list[Item]:
    """What is in the tags alone: they are put into it where those of messages are."""
    targets, has_more = _listed(params[0], MAX_TARGETS)
    items: list[Item] = [
        events.Signal({}, each) if _is_room(each) else events.Signal({}, nick=_nick_of(each))
        for each in targets
    ]
    return [*items, _too_many(client, targets[-1])] if has_more else items


# ── Oneself ──────────────────────────────────────────────────────────────────────────────────


def _nick(client: Client, params: list[str]) -> list[Item]:
    if not params or not params[0]:
        return [client.reply(Code.NONICKNAMEGIVEN, text="say which nickname")]
    if params[0] == client.nick:
        return []  # that is so, and a change is nothing to tell
    # Behind it, what the server says by itself names the new one.
    return [events.Nick(params[0]), Wait()]


def _quit(_client: Client, params: list[str]) -> list[Item]:
    reason = without_formatting(" ".join(params[:1])).strip()
    # One who goes is not kept for having said too much: the second counts where the first does not.
    return [events.Quit(reason), events.Quit()] if reason else [events.Quit()]


def _away(_client: Client, params: list[str]) -> list[Item]:
    return [events.Away(without_formatting(" ".join(params[:1])).strip())]


def _set_name(client: Client, params: list[str]) -> list[Item]:
    name = without_formatting(params[0]).strip() if params else ""
    if not name:
        none = Rejected("empty-text", "a real name has at least one character", "setname")
        return [Reply(refusal(client.nick, none, None))]
    return [events.SetName(name)]


def _registered(client: Client, _params: list[str]) -> list[Item]:
    return [client.reply(Code.ALREADYREGISTERED, text="you are registered")]


def _userhost(_client: Client, params: list[str]) -> list[Item]:
    """Each is answered in a line of its own."""
    return [Asked(events.Whois(nick), How("USERHOST", nick)) for nick in params[:MAX_TARGETS]]


def _ison(_client: Client, params: list[str]) -> list[Item]:
    asked = [nick for each in params for nick in each.split()]
    return [Asked(events.Watch(tuple(asked[:MAX_WATCHED]), "look"), How("ISON"))]


def _monitor(client: Client, params: list[str]) -> list[Item]:
    subcommand, targets = params[0].upper(), ",".join(params[1:2])
    nicks = tuple([each for each in targets.split(",") if each])
    how = How("MONITOR", targets, subcommand=subcommand)
    match subcommand:
        case "+" | "-" if nicks:
            return [Asked(events.Watch(nicks, "start" if subcommand == "+" else "stop"), how)]
        case "C":
            return [Asked(events.Watch(what="stop"), how)]
        case "L" | "S":
            return [Asked(events.Watch(), how)]
        case _:
            text = "say + or - and nicknames, or C, L or S"
            return [client.reply(Code.NEEDMOREPARAMS, "MONITOR", text=text)]


# ── The server ───────────────────────────────────────────────────────────────────────────────


def _ping(_client: Client, params: list[str]) -> list[Item]:
    return [events.Ping(params[0])]


def _pong(_client: Client, params: list[str]) -> list[Item]:
    """Which ping it is that is answered: there may be a server in front of it."""
    return [events.Pong(params[-1])] if params else []


def _motd(client: Client, _params: list[str]) -> list[Item]:
    return [Reply(motd(client.nick, client.welcome.motd))]


def _lusers(_client: Client, _params: list[str]) -> list[Item]:
    return [Asked(events.Rooms(), How("LUSERS"))]


def _version(client: Client, _params: list[str]) -> list[Item]:
    version = f"tcpchat-{VERSION}"
    return [
        client.reply(Code.VERSION, version, SERVER, text="one order, to all, once"),
        Reply(isupport(client.nick, client.welcome)),
    ]


def _time(client: Client, _params: list[str]) -> list[Item]:
    return [client.reply(Code.TIME, SERVER, text="take server-time: each message tells its own")]


def _info(client: Client, _params: list[str]) -> list[Item]:
    return [
        client.reply(Code.INFO, text=f"tcpchat {VERSION}: a chat, and any IRC client joins it"),
        client.reply(Code.ENDOFINFO, text="End of INFO"),
    ]


def _help(_client: Client, params: list[str]) -> list[Item]:
    subject = params[0] if params else ""
    query = events.Help(_EXPLAINED.get(subject.upper(), subject))
    return [Asked(query, How("HELP", subject))]


# What is called otherwise by people who type.
_EXPLAINED: Final = {
    "LIST": "rooms",
    "NAMES": "who",
    "NOTICE": "msg",
    "PART": "out",
    "PRIVMSG": "msg",
}


# What the dialect has nothing for is no command.
COMMANDS: Final = {
    "AWAY": Command(_away),
    "CHATHISTORY": Command(_chathistory),
    "HELP": Command(_help),
    "HELPOP": Command(_help),
    "INFO": Command(_info),
    "INVITE": Command(_invite, 2),
    "ISON": Command(_ison, 1),
    "JOIN": Command(_join, 1),
    "KICK": Command(_kick, 2),
    "LIST": Command(_list),
    "LUSERS": Command(_lusers),
    "MARKREAD": Command(_markread),
    "MODE": Command(_mode, 1),
    "MONITOR": Command(_monitor, 1),
    "MOTD": Command(_motd),
    "NAMES": Command(_names),
    "NICK": Command(_nick),
    "NOTICE": Command(_notice),
    "PART": Command(_part, 1),
    "PASS": Command(_registered),
    "PING": Command(_ping, 1),
    "PONG": Command(_pong),
    "PRIVMSG": Command(_privmsg),
    "QUIT": Command(_quit),
    "SETNAME": Command(_set_name),
    "TAGMSG": Command(_tagmsg, 1),
    "TIME": Command(_time),
    "TOPIC": Command(_topic, 1),
    "USER": Command(_registered),
    "USERHOST": Command(_userhost, 1),
    "VERSION": Command(_version),
    "WHO": Command(_who),
    "WHOIS": Command(_whois, 1),
    "WHOWAS": Command(_whowas, 1),
}
