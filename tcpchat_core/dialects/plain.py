"""The plain dialect: lines a person reads and types, with nc or telnet.

No message can forge a line: a message begins with its room in brackets, a line of the server
with `* ` or `! `, and neither brackets nor blanks can stand in a name.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import assert_never

from tcpchat_core import notices
from tcpchat_core.commands import parse_line
from tcpchat_core.events import Request
from tcpchat_core.framing import TooLong
from tcpchat_core.notices import Notice, Rejected, Said, Sent

# How many names one line lists before it says "and N more".
MAX_NAMES_SHOWN = 50


class Plain:
    """The server's side of the dialect; the other side is a person."""

    name = "plain"

    def decode(self, line: bytes) -> Request | Rejected | None:
        """What one typed line asks for; an empty line asks for nothing."""
        try:
            text = line.decode().rstrip("\r\0")  # telnet's way to write CR alone (RFC 854)
        except UnicodeDecodeError:
            return Rejected("bad-line", "a line must be UTF-8 text")
        return parse_line(text)

    def texts(self, lines: Sequence[bytes | TooLong]) -> list[str] | None:
        """What lines say, when all of them are texts to say and nothing has to be changed in them.

        None when there is a command among them, or a blank line, or anything that is not plain
        text: then each is to be decoded.
        """
        try:
            typed = [line.decode() for line in lines if isinstance(line, bytes)]
        except UnicodeDecodeError:
            return None
        together = "\n".join(typed)
        if len(typed) < len(lines) or together[:1] == "/" or "\n/" in together:
            return None
        if not "".join(typed).isprintable():
            return None
        texts = [text.rstrip() for text in typed]
        return None if "" in texts else texts

    def encode(self, notice: Notice) -> bytes:
        """The lines that tell the notice; none for a receipt, since one sees what one types."""
        if isinstance(notice, Said):  # by far the most frequent, and its receipt
            return (_said(notice) + "\n").encode()
        if isinstance(notice, Sent):
            return b""
        lines = _lines(notice)
        return ("\n".join(lines) + "\n").encode() if lines else b""


def strip_telnet(data: bytes, pending: bytes) -> tuple[bytes, bytes]:
    """Take telnet's option negotiation (RFC 854) out of what was read.

    `pending` is the start of a negotiation that the last read ended in. Returns the text, and
    the new pending bytes (never more than `MAX_TELNET_BYTES`: a longer subnegotiation is text).
    """
    data = pending + data
    if IAC not in data:
        return data, b""
    text = bytearray()
    at = 0
    while (start := data.find(IAC, at)) >= 0:
        text += data[at:start]
        end = _negotiation_end(data, start)
        if end is None:
            return bytes(text), data[start:]
        at = end
    return bytes(text + data[at:]), b""


IAC = b"\xff"
_SB, _SE, _WILL, _DONT = 250, 240, 251, 254

# A window size or terminal type has some tens of bytes.
MAX_TELNET_BYTES = 256


def _negotiation_end(data: bytes, start: int) -> int | None:
    """Where the negotiation that begins at `start` ends; None when it has not ended yet."""
    if start + 1 >= len(data):
        return None
    command = data[start + 1]
    if _WILL <= command <= _DONT:
        return start + 3 if start + 3 <= len(data) else None
    if command != _SB:
        return start + 2
    end = data.find(IAC + bytes([_SE]), start + 2, start + MAX_TELNET_BYTES)
    if end >= 0:
        return end + 2
    return start + 2 if len(data) - start >= MAX_TELNET_BYTES else None


def _said(said: Said) -> str:
    if said.emote:
        return f"[{said.room}] * {said.nick} {said.text}"
    return f"[{said.room}] {said.nick}: {said.text}"


def _names(nicks: tuple[str, ...], count: int) -> str:
    shown = ", ".join(nicks[:MAX_NAMES_SHOWN])
    return shown if count <= MAX_NAMES_SHOWN else f"{shown} and {count - MAX_NAMES_SHOWN} more"


def _lines(notice: Notice) -> list[str]:  # one table row per notice
    assert not isinstance(notice, (Said, Sent)), "encoded above"
    match notice:
        case notices.Joined(room, nick):
            return [f"* {nick} joined {room}"]
        case notices.Left(room, nick, own):
            return [f"* You left {room}" if own else f"* {nick} left {room}"]
        case notices.Gone(nick, reason):
            return [f"* {nick} quit ({reason})" if reason else f"* {nick} quit"]
        case notices.Renamed(old, new, own):
            return [f"* You are now {new}" if own else f"* {old} is now {new}"]
        case notices.Told(nick, text):
            return [f"[{nick} → you] {text}"]
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
        case notices.Members(room, nicks):
            return [f"* {len(nicks)} in {room}: {', '.join(nicks)}"]
        case notices.HistoryPage(room, messages):
            if not messages:
                return [f"* Nothing was said in {room} yet"]
            return [
                f"* The last {len(messages)} said in {room}:",
                *(_said(said) for said in messages),
                "* That was the history.",
            ]
        case notices.HelpText(lines):
            return [f"* {line}" for line in lines]
        case notices.Closing(reason):
            return [f"* Closing: {reason}"]
        # Sessions are of the other dialect; what has no line here is not for people to read.
        case notices.Pinged() | notices.Resumed() | notices.Gap():
            return []
        case _:
            assert_never(notice)


def _room_line(info: notices.RoomInfo) -> str:
    line = f"* {info.room} ({info.members})"
    return f"{line}: {info.topic}" if info.topic else line
