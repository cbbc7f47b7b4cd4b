"""ClientProtocol: the client's side of the JSON Lines dialect. Bytes in, notices out; sans I/O.

Call order:

1. Send what `hello()` returns.
2. Give what was read to `receive_data`. It returns the notices in it, and bytes to send back.
3. Every other method returns the bytes that ask for something; send them.

Everything a server sends is untrusted: it is bounded, decoded by type, and every text in it is
sanitised before a notice is returned. A server that breaks the protocol raises `RemoteError`; no
other exception comes out, whatever the bytes.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple, TypeVar

import msgspec

from tcpchat_core import events, notices
from tcpchat_core.dialects.jsonl import decode_notice, encode_request
from tcpchat_core.errors import RemoteError
from tcpchat_core.events import Request, Say, Tell
from tcpchat_core.framing import LineBuffer, TooLong
from tcpchat_core.notices import Notice, Welcome
from tcpchat_core.sanitize import is_safe, sanitize

# The longest answers are a room's whole history and the list of a very large room.
MAX_NOTICE_BYTES: Final = 16 * 1024 * 1024


class Received(NamedTuple):
    """What came of received bytes: the notices in order, and the bytes to send back."""

    notices: list[Notice]
    reply: bytes


class RoomView:
    """What a client knows of a room that it is in."""

    def __init__(self, entered: notices.Entered) -> None:
        self.name: str = entered.room
        self.topic: str = entered.topic
        self.seq: int = entered.seq  # of the last message seen
        self.count: int = entered.count  # how many people there are
        # Their nicks, in the order of coming; of a very large room only the first hundreds.
        self.members: dict[str, None] = dict.fromkeys(entered.members)


class ClientProtocol:
    """One client's view of its connection.

    `nick` is "" until the server's welcome; `rooms` maps the server's name of a room to what is
    known of it; `unacknowledged` holds what was said and has no receipt yet, by id, oldest first.
    """

    def __init__(self) -> None:
        self.nick: str = ""
        self.welcome: Welcome | None = None
        self.rooms: dict[str, RoomView] = {}
        self.unacknowledged: dict[str, Say | Tell] = {}
        self._buffer = LineBuffer(MAX_NOTICE_BYTES)
        self._last_id = 0

    # ── Asking ───────────────────────────────────────────────────────────────────────────────

    def hello(self) -> bytes:
        """The first bytes of a connection."""
        return encode_request(events.Hello())

    def say(self, room: str, text: str, *, emote: bool = False) -> bytes:
        """Say a line to a room; its receipt comes as `Sent`."""
        return self.request(Say(room, text, emote=emote))

    def tell(self, nick: str, text: str) -> bytes:
        """Say a line to one person; its receipt comes as `Sent`."""
        return self.request(Tell(nick, text))

    def request(self, request: Request) -> bytes:
        """Ask for anything. What is said without an id is given one."""
        if isinstance(request, Say | Tell):
            if request.id is None:
                self._last_id += 1
                request = msgspec.structs.replace(request, id=str(self._last_id))
            assert request.id is not None
            self.unacknowledged[request.id] = request
        return encode_request(request)

    # ── Being told ───────────────────────────────────────────────────────────────────────────

    def receive_data(self, data: bytes) -> Received:
        """Bytes came, split anywhere. Raises RemoteError when they are not the protocol."""
        told: list[Notice] = []
        reply = b""
        for line in self._buffer.receive_data(data):
            notice = self._decode(line)
            if isinstance(notice, notices.Pinged):
                reply += encode_request(events.Pong(notice.id))
            self._take(notice)
            told.append(notice)
        return Received(told, reply)

    def _decode(self, line: bytes | TooLong) -> Notice:
        if isinstance(line, TooLong):
            raise RemoteError(f"the server sent a line of more than {MAX_NOTICE_BYTES:,} bytes")
        try:
            return _sanitized(decode_notice(line))
        except (ValueError, RecursionError) as error:
            shown = sanitize(line[:60].decode(errors="replace"))
            raise RemoteError(
                f"the server does not speak tcpchat's protocol: it sent {shown!r}"
            ) from error

    def _take(self, notice: Notice) -> None:
        match notice:
            case notices.Said(room, seq=seq):
                if view := self.rooms.get(room):
                    view.seq = seq
            case notices.Sent(_, id, room, seq=seq):
                if id is not None:
                    self.unacknowledged.pop(id, None)
                if room is not None and seq is not None and (view := self.rooms.get(room)):
                    view.seq = seq
            case notices.Rejected(id=str(id)):
                self.unacknowledged.pop(id, None)
            case notices.Joined(room, nick):
                if view := self.rooms.get(room):
                    view.members[nick] = None
                    view.count += 1
            case notices.Left(room, nick, own):
                if own:
                    self.rooms.pop(room, None)
                elif view := self.rooms.get(room):
                    view.members.pop(nick, None)
                    view.count -= 1
            case notices.Gone(nick):
                for view in self.rooms.values():
                    if nick in view.members:
                        del view.members[nick]
                        view.count -= 1
            case notices.Renamed(old, new, own):
                if own:
                    self.nick = new
                for view in self.rooms.values():
                    if old in view.members:
                        view.members = dict.fromkeys(
                            new if nick == old else nick for nick in view.members
                        )
            case notices.Entered(room):
                self.rooms[room] = RoomView(notice)
            case notices.TopicSet(room, topic):
                if view := self.rooms.get(room):
                    view.topic = topic
            case notices.Welcome(nick):
                self.nick = nick
                self.welcome = notice
            case _:
                pass


_Value = TypeVar("_Value")


def _sanitized(value: _Value) -> _Value:
    """The value with every string in it sanitised; the same object when all were safe."""
    match value:
        case str():
            return value if is_safe(value) else sanitize(value)  # type: ignore[return-value] # a str is a _Value here
        case msgspec.Struct():
            changed: dict[str, Any] = {}
            for field in value.__struct_fields__:
                old = getattr(value, field)
                if (new := _sanitized(old)) is not old:
                    changed[field] = new
            return msgspec.structs.replace(value, **changed) if changed else value
        case tuple():
            items = tuple(_sanitized(item) for item in value)
            same = all(new is old for new, old in zip(items, value, strict=True))
            return value if same else items  # type: ignore[return-value] # a tuple is a _Value here
        case _:
            return value
