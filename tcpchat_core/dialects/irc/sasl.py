"""Signing in by SASL, as far as it is an exchange of lines: PLAIN alone (RFC 4616, IRCv3 sasl-3.1).

The client names a mechanism, is told to go on, and sends its answer in Base64, in pieces of 400
bytes, the last of which is shorter. What the secret in it is good for says the chat. Nothing that
was said is kept once it has been read.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Final

from tcpchat_core.dialects import Asked, Item, Reply
from tcpchat_core.dialects.irc.asked import How
from tcpchat_core.dialects.irc.numerics import Code, numeric
from tcpchat_core.dialects.irc.wire import line
from tcpchat_core.events import Login

MECHANISM: Final = "PLAIN"

# How its answer is told to be one to this command.
AUTHENTICATE: Final = How("AUTHENTICATE")

# A piece of so many bytes has another behind it.
PIECE_BYTES: Final = 400

# More than twice the longest account with the longest password, in Base64.
MAX_PIECES: Final = 8

# A device's token, as the server makes them.
_TOKEN: Final = re.compile("[0-9a-f]{64}")


def is_token(secret: str) -> bool:
    """Whether a secret can be the token of a device."""
    return _TOKEN.fullmatch(secret) is not None


def login(account: str, secret: str) -> Login:
    """What a secret asks for: a device's token says by itself whose it is, all else is the password
    of the account. It is for a session, which behind an @ has a word of its own.
    """
    account, _, session = account.partition("@")
    if is_token(secret):
        return Login(device=secret, session=session)
    return Login(account=account, password=secret, session=session)


class Exchange:
    """One client's, from its first AUTHENTICATE to the answer, and then the next."""

    __slots__ = ("_pieces", "is_begun")

    def __init__(self) -> None:
        self.is_begun = False
        self._pieces: list[str] = []

    def hear(self, nick: str, said: str) -> list[Item]:
        """What comes of an AUTHENTICATE: an answer, a log-in, or, where more follows, nothing."""
        if said == "*":
            return [self.abort(nick)]
        if not self.is_begun:
            return [self._begin(nick, said)]
        if len(said) > PIECE_BYTES or len(self._pieces) >= MAX_PIECES:
            self._end()
            return [_answer(Code.SASLTOOLONG, nick, "that is too long")]
        if said != "+":
            self._pieces.append(said)
        if len(said) == PIECE_BYTES:
            return []
        asked = _read(self._end())
        if asked is None:
            return [_answer(Code.SASLFAIL, nick, "say an account and its secret, in Base64")]
        return [Asked(asked, AUTHENTICATE)]

    def abort(self, nick: str) -> Reply:
        """It is over, and nothing came of it."""
        self._end()
        return _answer(Code.SASLABORTED, nick, "signing in was given up")

    def _begin(self, nick: str, mechanism: str) -> Reply:
        if mechanism.upper() != MECHANISM:
            known = numeric(Code.SASLMECHS, nick, MECHANISM, text="is how one can sign in")
            return Reply(known + numeric(Code.SASLFAIL, nick, text="there is no such mechanism"))
        self.is_begun = True
        return Reply(line("", "AUTHENTICATE", "+"))

    def _end(self) -> str:
        written = "".join(self._pieces)
        self._pieces = []
        self.is_begun = False
        return written


def _answer(code: str, nick: str, text: str) -> Reply:
    return Reply(numeric(code, nick, text=text))


def _read(written: str) -> Login | None:
    """Whom to sign in by `[as whom] NUL account NUL secret` in Base64; None if it is not that, or
    if one wants to be another than whose secret it is.
    """
    try:
        parts = base64.b64decode(written, validate=True).decode().split("\0")
    except (binascii.Error, ValueError):  # which is also what is no ASCII, or no UTF-8
        return None
    match parts:
        case [wanted, account, secret] if wanted in ("", account):
            return login(account, secret)
        case _:
            return None
