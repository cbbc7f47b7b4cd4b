"""Answers that are lists: who is in a room, which rooms there are, who is banned from one.

One question of the core has several answers in IRC, by the command that asked.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Iterable
from typing import Final, NamedTuple

from tcpchat_core import notices
from tcpchat_core.dialects.irc.asked import How
from tcpchat_core.dialects.irc.masks import is_mask, matches
from tcpchat_core.dialects.irc.numerics import Code, numeric
from tcpchat_core.dialects.irc.wire import (
    NOBODYS_USER,
    SERVER,
    channel,
    line,
    listed,
    person,
    timestamp,
    word,
)
from tcpchat_core.dialects.plain import told_lines, utc_time
from tcpchat_core.names import is_same_room

# Nobody is told where others come from.
_NOBODYS_ADDRESS: Final = "0.0.0.0"  # noqa: S104 # nothing is bound to it
_NO_ACCOUNT: Final = "0"

# On which server somebody is: they are one.
_ANY_SERVER: Final = "*"


class Options(NamedTuple):
    """What a client has asked for that changes nothing but its own answers, and who it is: its
    account, and its real name.
    """

    multi_prefix: bool = False
    userhost_in_names: bool = False
    implicit_names: bool = True
    echo_message: bool = False
    standard_replies: bool = False
    batch: bool = False
    chathistory: bool = False
    read_marker: bool = False
    account: str = ""
    name: str = ""


class Ranks(NamedTuple):
    """Who has which rank in a room, and whether a client is shown all of them or the highest."""

    owners: Collection[str]
    moderators: Collection[str]
    are_all_shown: bool

    def of(self, nick: str) -> str:
        """The prefixes of somebody, highest first."""
        prefixes = f"{'~' if nick in self.owners else ''}{'@' if nick in self.moderators else ''}"
        return prefixes if self.are_all_shown else prefixes[:1]


def names(
    nick: str,
    options: Options,
    room: str,
    nicks: Iterable[str],
    ranks: Ranks,
    *,
    is_secret: bool,
) -> list[bytes]:
    """The 353s of a room; the room is as the client is told of it."""
    shown: Callable[[str], str] = person if options.userhost_in_names else word
    entries = [f"{ranks.of(each)}{shown(each)}" for each in nicks]
    kind = "@" if is_secret else "="
    return listed(SERVER, Code.NAMREPLY, nick, kind, room, entries=entries)


def is_secret(told: notices.Members | notices.Entered) -> bool:
    """Whether a room is shown as one that others do not find."""
    return told.private or told.unlisted


def end_of_names(nick: str, target: str) -> bytes:
    """The 366; of one room as the client is told of it, of several as it wrote them."""
    return numeric(Code.ENDOFNAMES, nick, target, text="End of NAMES")


# What can be so in a room, by the names of the core and the letters of IRC.
_MODES: Final = {
    "private": "i",
    "moderated": "m",
    "unlisted": "s",
    "topic_locked": "t",
    "slow_ms": "S",
}


def modes(mode: notices.ModeSet | notices.Members) -> dict[str, str]:
    """What is so in a room, as letters of IRC."""
    return {name: letter for name, letter in _MODES.items() if getattr(mode, name)}


def changed_modes(mode: notices.ModeSet) -> str:
    """What has changed in a room, as the word of a MODE: what is so now, then what is not."""
    now = modes(mode)
    plus = "".join([now[name] for name in now if name in mode.changed])
    minus = "".join([_MODES[name] for name in _MODES if name in mode.changed and name not in now])
    return f"{'+' if plus else ''}{plus}{'-' if minus else ''}{minus}"


def members(nick: str, options: Options, told: notices.Members, how: How) -> bytes:
    """Who is in a room, as NAMES, WHO or MODE asked for it."""
    room, ranks = channel(told.room), _ranks(options, told)
    match how.command:
        case "WHO":
            away, accounts = frozenset(told.away), frozenset(told.accounts)
            rows = [
                _who(
                    nick,
                    how,
                    room,
                    each,
                    f"{'G' if each in away else 'H'}{ranks.of(each)}",
                    account=each if each in accounts else "",
                    name=told.names.get(each, ""),
                    user=told.users.get(each, ""),
                )
                for each in told.nicks
            ]
            end = numeric(Code.ENDOFWHO, nick, how.target, text="End of WHO")
            return b"".join([*rows, end])
        case "MODE":
            letters = "".join(modes(told).values())
            return numeric(Code.CHANNELMODEIS, nick, room, f"+n{letters}")
        case _:
            rows = names(nick, options, room, told.nicks, ranks, is_secret=is_secret(told))
            return b"".join([*rows, end_of_names(nick, room)])


def rooms(nick: str, options: Options, found: list[notices.Members], how: How) -> bytes:
    """Who is in several rooms, as NAMES asked for it; or who of them is meant by the mask of a WHO,
    each once: in which of the rooms, and with which rank there, is not said.
    """
    if how.command == "NAMES":
        rows = [
            row
            for each in found
            for row in names(
                *(nick, options, channel(each.room), each.nicks, _ranks(options, each)),
                is_secret=is_secret(each),
            )
        ]
        return b"".join([*rows, end_of_names(nick, how.target)])
    mask, _, _ = how.target.partition("!")
    people = {of: each for each in found for of in each.nicks if matches(mask, of)}
    rows = [
        _who(
            nick,
            how,
            "*",
            of,
            "G" if of in told.away else "H",
            name=told.names.get(of, ""),
            user=told.users.get(of, ""),
            account=of if of in told.accounts else "",
        )
        for of, told in people.items()
    ]
    return b"".join([*rows, numeric(Code.ENDOFWHO, nick, how.target, text="End of WHO")])


def _ranks(options: Options, told: notices.Members) -> Ranks:
    return Ranks(frozenset(told.owners), frozenset(told.moderators), options.multi_prefix)


def _user(user: str) -> str:
    """A user name, as of one who is not asked for it by the server (RFC 1413)."""
    return f"~{user}" if user else NOBODYS_USER


def _who(
    nick: str,
    how: How,
    room: str,
    of: str,
    flags: str,
    *,
    name: str,
    user: str,
    account: str = "",
) -> bytes:
    """One row of a WHO; of an extended one, the fields that were asked for in their own order."""
    if not how.fields:
        words = (room, _user(user), SERVER, _ANY_SERVER, of, flags)
        return numeric(Code.WHOREPLY, nick, *words, text=f"0 {name or of}")
    values = {
        "t": how.token or "0",
        "c": room,
        "u": _user(user),
        "i": _NOBODYS_ADDRESS,
        "h": SERVER,
        "s": _ANY_SERVER,
        "n": of,
        "f": flags,
        "d": "0",
        "l": "0",
        "a": account or _NO_ACCOUNT,
        "o": "n/a",
    }
    row = [value for field, value in values.items() if field in how.fields]
    return numeric(Code.WHOSPCRPL, nick, *row, text=name or of if "r" in how.fields else None)


def room_list(nick: str, told: notices.RoomList, how: How) -> bytes:
    """Which rooms there are; or those of them that LIST has asked for."""
    is_listed = _condition(how.target)
    rows = [
        numeric(Code.LIST, nick, channel(info.room), f"{info.members}", text=info.topic)
        for info in told.rooms
        if is_listed(info)
    ]
    return b"".join(
        [
            numeric(Code.LISTSTART, nick, "Channel", text="Users  Name"),
            *rows,
            numeric(Code.LISTEND, nick, text=f"{told.more} more" if told.more else "End of LIST"),
        ]
    )


# How many people there are in a room; how old it is, or its topic, which is not told.
_MORE_OR_LESS: Final = re.compile(r"([CT]?)([<>])([0-9]{1,9})")


def _condition(words: str) -> Callable[[notices.RoomInfo], bool]:
    """What LIST asks for: rooms by their names or by masks (M of ELIST), but not by some (N), with
    more or fewer people than so many (U).
    """
    called: list[str] = []
    others: list[str] = []
    low, high = -1, math.inf
    for each in filter(None, words.split(",")):
        if found := _MORE_OR_LESS.fullmatch(each):
            what, sign, count = found.groups()
            if not what and sign == ">":
                low = max(low, int(count))
            elif not what:
                high = min(high, int(count))
        elif each.startswith("!"):
            others.append(each[1:])
        else:
            called.append(each)

    def is_called(info: notices.RoomInfo, names: list[str]) -> bool:
        room = channel(info.room)
        return any(
            matches(each, room) if is_mask(each) else is_same_room(room, each) for each in names
        )

    return lambda info: (
        low < info.members < high
        and (not called or is_called(info, called))
        and not is_called(info, others)
    )


def ban_list(nick: str, told: notices.RestrictionList) -> tuple[list[bytes], list[str], bytes]:
    """The bans of a room, the mutes in words, for which IRC has no list, and the end."""
    room = channel(told.room)
    bans = [row for row in told.restrictions if row.what == "ban"]
    rest = tuple(row for row in told.restrictions if row.what != "ban")
    words = told_lines(notices.RestrictionList(told.room, rest, told.at)) if rest else []
    rows = [numeric(Code.BANLIST, nick, room, mask(row.nick), row.by) for row in bans]
    return rows, words, numeric(Code.ENDOFBANLIST, nick, room, text="End of the list of bans")


def mask(nick: str) -> str:
    """Whom a ban is of. It is of somebody, and not of an address or of all who are called so."""
    return f"{word(nick)}!*@*"


def topic(nick: str, room: str, text: str, by: str, at: int) -> bytes:
    """The topic of a room, who set it and when; the room is as the client is told of it."""
    if not text:
        return numeric(Code.NOTOPIC, nick, room, text="No topic is set")
    return numeric(Code.TOPIC, nick, room, text=text) + numeric(
        Code.TOPICWHOTIME, nick, room, by, f"{max(at, 0) // 1_000}"
    )


def person_info(nick: str, told: notices.PersonInfo, how: How) -> bytes:
    """Who somebody is, as WHOIS is answered, or WHO or USERHOST about somebody."""
    of, name, user = told.nick, told.name, told.user
    if how.command == "USERHOST":
        here = "-" if told.away else "+"
        return numeric(Code.USERHOST, nick, text=f"{of}={here}{_user(user)}@{SERVER}")
    if how.command == "WHO":
        flags = f"{'G' if told.away else 'H'}{'*' if told.admin else ''}"
        row = _who(nick, how, "*", of, flags, name=name, user=user, account=told.account)
        return row + numeric(Code.ENDOFWHO, nick, how.target, text="End of WHO")
    rooms = [channel(room) for room in told.rooms]
    rows = [
        numeric(Code.WHOISUSER, nick, of, _user(user), SERVER, "*", text=name or of),
        *listed(SERVER, Code.WHOISCHANNELS, nick, of, entries=rooms),
        numeric(Code.WHOISSERVER, nick, of, SERVER, text="all of its servers are one"),
    ]
    if told.admin:
        rows.append(numeric(Code.WHOISOPERATOR, nick, of, text="looks after this server"))
    if told.account:
        rows.append(numeric(Code.WHOISACCOUNT, nick, of, told.account, text="is logged in as"))
    if told.away or told.lost:
        rows.append(numeric(Code.AWAY, nick, of, text=told.away or _LOST))
    end = numeric(Code.ENDOFWHOIS, nick, how.target or of, text="End of WHOIS")
    return b"".join([*rows, end])


def former_people(nick: str, told: notices.FormerPeople, how: How) -> bytes:
    """Who was called so, as WHOWAS is answered."""
    asked = how.target or told.nick
    rows: list[bytes] = []
    for each in told.people:
        of, until = each.nick, f"{utc_time(each.at)} UTC"
        rows.append(
            numeric(Code.WHOWASUSER, nick, of, _user(each.user), SERVER, "*", text=each.name or of)
        )
        rows.append(numeric(Code.WHOISSERVER, nick, of, SERVER, text=until))
        if each.account:
            text = "was logged in as"
            rows.append(numeric(Code.WHOISACCOUNT, nick, of, each.account, text=text))
    if not rows:
        text = "nobody is remembered who was called so"
        rows.append(numeric(Code.WASNOSUCHNICK, nick, asked, text=text))
    return b"".join([*rows, numeric(Code.ENDOFWHOWAS, nick, asked, text="End of WHOWAS")])


def presence(nick: str, told: notices.Presence, how: How) -> bytes:
    """Who is here and who is not, as MONITOR tells it; or who of some is, as ISON does."""
    if how.command == "ISON":
        return numeric(Code.ISON, nick, text=" ".join(told.here))
    if how.subcommand == "L":
        lists = [(Code.MONLIST, (*told.here, *told.gone))]
        end = numeric(Code.ENDOFMONLIST, nick, text="End of MONITOR list")
    else:
        lists, end = [(Code.MONONLINE, told.here), (Code.MONOFFLINE, told.gone)], b""
    rows = [
        row
        for code, nicks in lists
        for row in listed(SERVER, code, nick, entries=[*map(word, nicks)], between=",")
    ]
    return b"".join([*rows, end])


# Why somebody is away who has not said so.
_LOST: Final = "the connection is lost, and may come back"


def read_marker(target: str, at: int) -> bytes:
    """Up to when somebody has read, 0 where that is not known; the target is as it is told."""
    return line(SERVER, "MARKREAD", target, f"timestamp={timestamp(at)}" if at else "*")


def help_lines(nick: str, told: notices.HelpText, how: How) -> bytes:
    """Lines about the commands, as HELP is answered."""
    subject = how.target or "*"
    first, *rest = told.lines or ("",)
    return b"".join(
        [
            numeric(Code.HELPSTART, nick, subject, text=first),
            *[numeric(Code.HELPTXT, nick, subject, text=each) for each in rest],
            numeric(Code.ENDOFHELP, nick, subject, text="End of HELP"),
        ]
    )
