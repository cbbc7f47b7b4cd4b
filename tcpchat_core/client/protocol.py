"""ClientProtocol: the client's side of the JSON Lines dialect. Bytes in, notices out; sans I/O.

Call order:

1. On every new connection, the first one and each that replaces a lost one, send what `hello()`
   returns.
2. Give what was read to `receive_data`. It returns the notices in it, and bytes to send.
3. Every other method returns the bytes that ask for something; send them. They may be none: what
   is said while there is no connection, or while too much is unacknowledged, is kept, and is in a
   later `receive_data`'s bytes.

Rules:

Rule 1: What was said is in `unacknowledged` until its receipt comes. It is sent again after a
        reconnect; the server knows its id and says it only once.

Rule 2: What was seen is not given out twice, whatever is sent again. What the server could not
        keep is a `Gap`.

Rule 3: What the server could not read is refused before it is kept or sent: a line that is too
        long raises `LineTooLongError`, a bad id `LocalError`. What UTF-8 cannot hold becomes
        U+FFFD. So nothing can stand in `unacknowledged` that never gets a receipt.

Rule 4: Everything a server sends is untrusted: it is bounded, decoded by type, and every text in
        it is sanitised. A server that breaks the protocol raises `RemoteError`; no other exception
        comes out, whatever the bytes. (A `TooLateError` among them says: connect again.)

Rule 5: A server may be newer. Notices and fields that are not known are skipped.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from itertools import islice
from typing import Any, Final, NamedTuple, TypeVar

import msgspec

from tcpchat_core import events, notices
from tcpchat_core.dialects.jsonl import (
    MAX_ID_CHARS,
    UnknownTypeError,
    decode_notice,
    encode_request,
    is_good_id,
)
from tcpchat_core.errors import LineTooLongError, LocalError, RemoteError, TooLateError
from tcpchat_core.events import Request, Say, Tell
from tcpchat_core.framing import MAX_LINE_BYTES, LineBuffer, TooLong
from tcpchat_core.notices import Notice, Welcome
from tcpchat_core.sanitize import is_safe, replace_surrogates, sanitize

# The longest answers are a room's whole history and the list of a very large room.
MAX_NOTICE_BYTES: Final = 16 * 1024 * 1024

# A server cannot make a client remember more rooms, or people of a room, than these.
MAX_ROOMS: Final = 4_096
MAX_MEMBERS: Final = 100_000

# How a server greets whom it takes for a person.
_PLAIN_GREETINGS: Final = (b"* Welcome to tcpchat", b"! password-needed", b"* Closing: ")


class Received(NamedTuple):
    """What came of received bytes: the notices in order, and the bytes to send."""

    notices: list[Notice]
    reply: bytes


class RoomView:
    """What a client knows of a room that it is in."""

    def __init__(self, told: notices.Entered | notices.RoomState, seq: int) -> None:
        self.name: str = told.room
        self.topic: str = told.topic
        self.seq: int = seq  # of the last message seen
        self.count: int = told.count  # how many people there are
        # Their nicks, in the order of coming; of a very large room only the first hundreds.
        self.members: dict[str, None] = dict.fromkeys(told.members)
        self.moderators: dict[str, None] = dict.fromkeys(told.moderators)

    def lose(self, nick: str) -> None:
        """Somebody is here no more."""
        self.members.pop(nick, None)
        self.moderators.pop(nick, None)
        self.count -= 1


def _renamed(nicks: dict[str, None], old: str, new: str) -> dict[str, None]:
    return dict.fromkeys(new if nick == old else nick for nick in nicks)


class ClientProtocol:
    """One client's session, over one connection after another.

    `nick` is "" until the server's welcome; `rooms` maps the server's name of a room to what is
    known of it; `unacknowledged` holds what was said and has no receipt yet, by id, oldest first.
    When a session could not be resumed, `abandoned` holds what was unacknowledged in it: it may
    have been said or not. What was said before the welcome, and is longer than the server then
    says it reads, is there too. `device` is the token by which this comes to an account, "" for a
    guest; what `claim` gives is there from then on, and is to be kept.
    """

    def __init__(self, *, password: str = "", device: str = "") -> None:
        self.nick: str = ""
        self.welcome: Welcome | None = None
        self.epoch = ""  # of all numbers: the last that was told
        self.rooms: dict[str, RoomView] = {}
        self.unacknowledged: dict[str, Say | Tell] = {}
        self.abandoned: list[Say | Tell] = []
        self.password = password
        self.device = device
        self._told = 0  # the number of the last direct message
        # Rooms ("" for direct messages) where something was seen that is lost, as was told when the
        # session was resumed; the gap there is still to be told.
        self._lost: set[str] = set()
        self._owed: list[Notice] = []  # to be told behind what was told last
        self._last_id = 0
        self._buffer = LineBuffer(MAX_NOTICE_BYTES)
        self._open = False  # the server has answered hello
        self._spoken_to = False  # it has said anything, on this connection
        self._held: deque[str | Request] = deque()  # to be sent: what was said, by id, and the rest
        self._places: dict[str, int] = {}  # of the unacknowledged, in the order of saying
        self._last_place = 0

    # ── Asking ───────────────────────────────────────────────────────────────────────────────

    def hello(self, again: Iterable[tuple[str | None, Request]] = ()) -> bytes:
        """The first bytes of a connection: a new session, or the one there was.

        `again` are requests to be asked again once the session is open, in order, each with the id
        of the message that was said before it: it comes after that one, if that is sent again. What
        UTF-8 cannot hold of them becomes U+FFFD.
        """
        self._buffer = LineBuffer(MAX_NOTICE_BYTES)
        self._open = self._spoken_to = False
        after: dict[str | None, list[Request]] = {}
        for id, request in again:
            after.setdefault(id if id in self.unacknowledged else None, []).append(
                _encodable(request)
            )
        self._held = deque(after.get(None, ()))
        for id in self.unacknowledged:
            self._held += (id, *after.get(id, ()))
        token = self.welcome.token if self.welcome else ""
        seen = {room: view.seq for room, view in self.rooms.items()} if token else {}
        epoch = self.epoch if token else ""
        hello = _encodable(events.Hello(token, seen, self._told, self.password, epoch, self.device))
        while len(line := encode_request(hello)) > self._max_line_bytes and hello.seen:
            # Of the rooms that are left out the server sends all it has; what was seen is dropped.
            fewer = dict(islice(hello.seen.items(), len(hello.seen) // 2))
            hello = msgspec.structs.replace(hello, seen=fewer)
        return line

    def connection_lost(self) -> None:
        """The connection is gone: until the next `hello` nothing is to be sent.

        May be left out; what `say` and `tell` return until then is sent again in any case.
        """
        self._open = False

    def say(
        self,
        room: str,
        text: str,
        *,
        emote: bool = False,
        notice: bool = False,
        re: int | None = None,
    ) -> bytes:
        """Say a line to a room; its receipt comes as `Sent`. `re` is the number of the message
        there that it answers.
        """
        return self.request(Say(room, text, emote=emote, notice=notice, re=re))

    def tell(self, nick: str, text: str, *, notice: bool = False) -> bytes:
        """Say a line to one person; its receipt comes as `Sent`."""
        return self.request(Tell(nick, text, notice=notice))

    def request(self, request: Request) -> bytes:
        """Ask for anything. What is said without an id is given one; the rest goes out at once.

        Raises LineTooLongError, and LocalError for an id that no server takes.
        """
        if not isinstance(request, Say | Tell):
            return self._checked(request)[1]
        id = request.id
        if id is None:
            self._last_id += 1
            id = str(self._last_id)
            request = msgspec.structs.replace(request, id=id)
        self.unacknowledged[id] = self._checked(request)[0]
        self._last_place += 1
        self._places[id] = self._last_place
        self._held.append(id)
        return self._send_held()

    def ask(self, request: Request) -> bytes:
        """As `request`, but in the order of asking, and only once the session is open.

        Until then, or while messages before it have to wait, it waits too. Raises the same.
        """
        if isinstance(request, Say | Tell):
            return self.request(request)
        self._held.append(self._checked(request)[0])
        return self._send_held()

    def _checked(self, request: _AnyRequest) -> tuple[_AnyRequest, bytes]:
        """The request as a server can read it, and its line. Raises as `request` does."""
        if not is_good_id(getattr(request, "id", None)):
            raise LocalError(
                f"an id has at most {MAX_ID_CHARS} characters, and no control characters"
            )
        try:
            line = encode_request(request)
        except UnicodeEncodeError:
            request = _encodable(request)
            line = encode_request(request)
        if len(line) - len(b"\n") > self._max_line_bytes:
            raise LineTooLongError(self._max_line_bytes)
        return request, line

    @property
    def _max_line_bytes(self) -> int:
        """How many bytes a line may have, its end not counted: what the server says, if it does."""
        limits = self.welcome.limits if self.welcome else None
        return limits.line_bytes if limits and limits.line_bytes > 0 else MAX_LINE_BYTES

    def _send_held(self) -> bytes:
        """What may be sent now of what was said.

        The server remembers the last ids of what it took in, twice as many as its window. So that
        it still knows the oldest unacknowledged one when that has to be sent again, no message is
        sent that comes a window or more after it.
        """
        if not self._open:
            return b""
        limits = self.welcome.limits if self.welcome else None
        window = limits.unacknowledged if limits else 1
        data = b""
        while self._held:
            match self._held[0]:
                case str(id) if id in self.unacknowledged:
                    oldest = self._places[next(iter(self.unacknowledged))]
                    if self._places[id] >= oldest + window:
                        break
                    data += encode_request(self.unacknowledged[id])
                case str():
                    pass  # it has its receipt
                case request:
                    data += encode_request(request)
            self._held.popleft()
        return data

    # ── Being told ───────────────────────────────────────────────────────────────────────────

    def receive_data(self, data: bytes) -> Received:
        """Bytes came, split anywhere. Raises RemoteError when they are not the protocol."""
        told: list[Notice] = []
        reply = b""
        for line in self._buffer.receive_data(data):
            notice = self._decode(line)
            self._spoken_to = True
            if notice is None:
                continue
            if isinstance(notice, notices.Pinged):
                reply += encode_request(events.Pong(notice.id))
            if self._take(notice):
                told.append(notice)
            told += self._owed
            self._owed.clear()
        return Received(told, reply + self._send_held())

    def _decode(self, line: bytes | TooLong) -> Notice | None:
        """The notice in a line; None for one that only a newer client knows."""
        if isinstance(line, TooLong):
            raise RemoteError(f"the server sent a line of more than {MAX_NOTICE_BYTES:,} bytes")
        try:
            return _sanitized(decode_notice(line))
        except UnknownTypeError:
            return None
        except (ValueError, RecursionError) as error:
            if not self._spoken_to and line.startswith(_PLAIN_GREETINGS):
                raise TooLateError(
                    "our first line came so late that the server spoke first"
                ) from None
            shown = sanitize(line[:60].decode(errors="replace"))
            raise RemoteError(
                f"the server does not speak tcpchat's protocol: it sent {shown!r}"
            ) from error

    def _take(self, notice: Notice) -> bool:
        """Learn from a notice; return whether it is news."""
        match notice:
            case notices.Said(room, seq=seq, id=id):
                if id is not None:
                    self._acknowledge(id)
                return self._see(room, seq)
            case notices.Sent(_, id, room, seq=seq):
                news = id is None or self._acknowledge(id)
                if room is not None and seq is not None:
                    self._see(room, seq)
                return news
            case notices.Rejected(id=str(id)):
                self._acknowledge(id)
            case notices.Told(seq=seq):
                news = seq > self._told
                self._told = max(self._told, seq)
                return news
            case notices.Gap("", oldest):
                self._lost.discard("")
                self._told = oldest - 1
            case notices.Gap(room, oldest):
                is_known = room in self.rooms and room not in self._lost
                self._lost.discard(room)
                return self._see(room, oldest - 1) or not is_known
            case notices.Welcome():
                self._begin(notice)
            case notices.Resumed():
                self._resume(notice)
            case notices.Claimed(token=token):
                self.device = token or self.device
            case notices.Diverged(epoch):
                self.epoch = epoch
                return False
            case _:
                self._follow(notice)
        return True

    def _begin(self, welcome: Welcome) -> None:
        """A session begins. An earlier one is over: what it left open cannot be known."""
        if self.welcome is not None:
            self.abandoned += self.unacknowledged.values()
            self.unacknowledged.clear()
            self._places.clear()
            self.rooms.clear()
            self._lost.clear()
            self._told = 0
        self.welcome = welcome
        self.epoch = welcome.epoch
        for id, message in [*self.unacknowledged.items()]:
            try:
                self._checked(message)
            except LineTooLongError:
                self.abandoned.append(message)
                self._acknowledge(id)
        self.nick = welcome.nick
        self._open = True

    def _resume(self, resumed: notices.Resumed) -> None:
        """The session goes on."""
        self._open = True
        self.nick = resumed.nick
        self.epoch = resumed.epoch
        known, self.rooms = self.rooms, {}
        untold, self._lost = self._lost, set()
        self._told = self._cut("", self._told, resumed.common, untold)
        for state in resumed.rooms:
            seen = known[state.room].seq if state.room in known else 0
            seen = self._cut(state.room, seen, state.common, untold)
            self.rooms[state.room] = RoomView(state, seen)

    def _cut(self, room: str, seen: int, common: int | None, untold: set[str]) -> int:
        """What of a number is that of this epoch. Of the rest a gap is told, now or next time."""
        if common is not None and seen > common:
            self._lost.add(room)
            return common
        if room in untold:  # the server has nothing to cut any more
            self._owed.append(notices.Gap(room, seen + 1))
        return seen

    def _acknowledge(self, id: str) -> bool:
        if self.unacknowledged.pop(id, None) is None:
            return False
        del self._places[id]
        return True

    def _see(self, room: str, seq: int) -> bool:
        view = self.rooms.get(room)
        if view is None or seq <= view.seq:
            return False
        view.seq = seq
        return True

    def _follow(self, notice: Notice) -> None:
        """Keep up with who is where."""
        match notice:
            case notices.Entered(room, seq=seq):
                if len(self.rooms) >= MAX_ROOMS:
                    raise RemoteError(f"the server put us into more than {MAX_ROOMS:,} rooms")
                self.rooms[room] = RoomView(notice, seq)
            case notices.Joined(room, nick):
                if view := self.rooms.get(room):
                    view.count += 1
                    if len(view.members) < MAX_MEMBERS:
                        view.members[nick] = None
            case notices.Left(room, nick, own):
                if own:
                    self.rooms.pop(room, None)
                elif view := self.rooms.get(room):
                    view.lose(nick)
            case notices.Gone(nick):
                for view in self._left_by(nick):
                    view.lose(nick)
            case notices.Renamed(old, new, own):
                if own:
                    self.nick = new
                for view in self.rooms.values():
                    if old in view.members:
                        view.members = _renamed(view.members, old, new)
                    if old in view.moderators:
                        view.moderators = _renamed(view.moderators, old, new)
            case notices.RoleSet(room, nick, role):
                if view := self.rooms.get(room):
                    if role not in ("moderator", "owner"):
                        view.moderators.pop(nick, None)
                    elif len(view.moderators) < MAX_MEMBERS:
                        view.moderators[nick] = None
            case notices.TopicSet(room, topic):
                if view := self.rooms.get(room):
                    view.topic = topic
            case _:
                pass

    def _left_by(self, nick: str) -> list[RoomView]:
        """The rooms that somebody who is gone was in, as far as can be told.

        Who is on no list was in a room whose list is not complete; where there are several such
        rooms, nobody can tell in which.
        """
        views = self.rooms.values()
        listed = [view for view in views if nick in view.members]
        partly = [view for view in views if view.count > len(view.members)]
        return listed or (partly if len(partly) == 1 else [])


_AnyRequest = TypeVar("_AnyRequest", bound=Request)
_Value = TypeVar("_Value")


def _encodable(request: _AnyRequest) -> _AnyRequest:
    """The request with all its texts as UTF-8 can hold them."""
    texts: dict[str, Any] = {
        field: replace_surrogates(text)
        for field in request.__struct_fields__
        if isinstance(text := getattr(request, field), str)
    }
    if isinstance(request, Say | Tell) and request.tags:
        texts["tags"] = {
            replace_surrogates(name): replace_surrogates(value)
            for name, value in request.tags.items()
        }
    return msgspec.structs.replace(request, **texts)


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
        case dict():
            texts = {_sanitized(key): _sanitized(text) for key, text in value.items()}
            return value if texts == value else texts  # type: ignore[return-value] # a dict is a _Value here
        case _:
            return value
