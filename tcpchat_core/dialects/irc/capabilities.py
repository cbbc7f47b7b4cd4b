"""What an IRC client can take beside the lines of RFC 1459, as it says by CAP (IRCv3)."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from tcpchat_core.dialects.irc.encode import (
    NO_TAGS,
    TIME,
    TIME_AND_MSGID,
    Irc,
    Options,
)
from tcpchat_core.dialects.irc.numerics import Code, numeric
from tcpchat_core.dialects.irc.sasl import MECHANISM
from tcpchat_core.dialects.irc.wire import SERVER, line

# In the order in which they are offered.
OFFERED: Final = (
    "account-notify",
    "account-tag",
    "away-notify",
    "batch",
    "cap-notify",
    "draft/chathistory",
    "draft/read-marker",
    "echo-message",
    "extended-join",
    "labeled-response",
    "message-tags",
    "multi-prefix",
    "no-implicit-names",
    "sasl",
    "server-time",
    "setname",
    "standard-replies",
    "userhost-in-names",
)

# What is said of one beside its name, to clients that can read that.
_VALUES: Final = {"sasl": MECHANISM}

# The version from which a client reads values, and is told of capabilities that come and go,
# whether it asked or not.
_VERSION_NOTIFIED: Final = 302


# One object for all that can take the same: lanes are found by it.
@lru_cache(maxsize=256)
def _flavour(
    tags: int,
    *,
    extended_join: bool,
    epoch: str,
    away_notify: bool,
    account_notify: bool,
    account_tag: bool,
    setname: bool,
) -> Irc:
    return Irc(tags, extended_join, epoch, away_notify, account_notify, account_tag, setname)


class Capabilities:
    """Those of one client: `options` are what changes its own answers. While it negotiates, its
    registration waits.
    """

    __slots__ = ("_enabled", "is_negotiating", "options")

    def __init__(self) -> None:
        self._enabled: frozenset[str] = frozenset()
        self.is_negotiating = False
        self.options = Options()

    def hear(self, nick: str, params: list[str]) -> bytes:
        """What a CAP is answered; b"" for the end of it."""
        subcommand, argument = params[0].upper(), params[1] if len(params) > 1 else ""
        match subcommand:
            case "LS":
                self.is_negotiating = True
                if argument.isdecimal() and int(argument[:4]) >= _VERSION_NOTIFIED:
                    self._enabled |= {"cap-notify"}
                    return _told(nick, "LS", " ".join(map(_with_value, OFFERED)))
                return _told(nick, "LS", " ".join(OFFERED))
            case "LIST":
                return _told(nick, "LIST", " ".join(sorted(self._enabled)))
            case "REQ":
                self.is_negotiating = True
                return _told(nick, "ACK" if self._request(argument) else "NAK", argument.strip())
            case "END":
                self.is_negotiating = False
                return b""
            case _:
                text = "there is LS, LIST, REQ and END"
                return numeric(Code.INVALIDCAPCMD, nick, subcommand, text=text)

    def _request(self, asked: str) -> bool:
        """Take on, or off (`-name`), all that is asked for, or nothing of it."""
        names = asked.split()
        if not all(name.removeprefix("-") in OFFERED for name in names):
            return False
        for name in names:
            off = name.removeprefix("-")
            self._enabled = self._enabled - {off} if name != off else self._enabled | {name}
        self.options = Options(
            multi_prefix="multi-prefix" in self._enabled,
            userhost_in_names="userhost-in-names" in self._enabled,
            implicit_names="no-implicit-names" not in self._enabled,
            echo_message="echo-message" in self._enabled,
            standard_replies="standard-replies" in self._enabled,
            batch="batch" in self._enabled,
            chathistory="draft/chathistory" in self._enabled,
            read_marker="draft/read-marker" in self._enabled,
        )
        return True

    @property
    def has_labels(self) -> bool:
        """Whether a label of a line is one of its answer; which may be a batch."""
        return {"batch", "labeled-response"} <= self._enabled

    def flavour(self, epoch: str) -> Irc:
        """In which the client is told what all others are."""
        tags = TIME if "server-time" in self._enabled else NO_TAGS
        if "message-tags" in self._enabled:
            tags = TIME_AND_MSGID
        return _flavour(
            tags,
            extended_join="extended-join" in self._enabled,
            epoch=epoch if tags == TIME_AND_MSGID else "",
            away_notify="away-notify" in self._enabled,
            account_notify="account-notify" in self._enabled,
            account_tag="account-tag" in self._enabled,
            setname="setname" in self._enabled,
        )


def _with_value(name: str) -> str:
    return f"{name}={_VALUES[name]}" if name in _VALUES else name


def _told(nick: str, subcommand: str, text: str) -> bytes:
    return line(SERVER, "CAP", nick, subcommand, text=text)
