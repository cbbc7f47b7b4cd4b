"""The server's side of one IRC connection, and the dialect as a server is given it.

What a line is stands in `parse.py`, what it asks for in `registration.py` for who is not registered
yet and in `commands.py` for all others, how it is answered in `encode.py`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

import msgspec

from tcpchat_core import notices
from tcpchat_core.dialects import Encoder, Flavour, Hangup, Item, Repeats, Reply, Then, Wait
from tcpchat_core.dialects.irc.commands import Client, items_of, with_client_tags
from tcpchat_core.dialects.irc.encode import Irc, Options, encode_answer, put_out_before
from tcpchat_core.dialects.irc.labels import Labels, label_of
from tcpchat_core.dialects.irc.missed import Missed
from tcpchat_core.dialects.irc.numerics import Code, fail
from tcpchat_core.dialects.irc.parse import parse
from tcpchat_core.dialects.irc.registration import Registration, Stage
from tcpchat_core.dialects.lines import LineReader
from tcpchat_core.notices import Notice, Said, Sent, Told

# What a client may put in front of a line, its @ and its blank counted (IRCv3 message-tags).
MAX_TAG_BYTES: Final = 4_096

# The words by which a client begins.
_FIRST: Final = (b"NICK", b"USER", b"CAP", b"PASS", b"AUTHENTICATE", b"QUIT")
_BLANK_OR_END: Final = re.compile(rb"[ \r\n]")


class IrcReader(LineReader):
    """The server's side of one connection."""

    opens_within_ms = 60_000  # a client looks up names, and asks for capabilities first

    __slots__ = ("_client", "_is_put_off", "_labels", "_last", "_queue", "_registration", "flavour")

    def __init__(self) -> None:
        super().__init__()
        self._client = client = Client()
        self._registration = Registration(client)
        self._labels = Labels()
        self._queue: list[Item] = []  # what lines have asked for and was not given yet
        self._is_put_off = False  # the next line waits until all before it is answered
        # By room, the number of the last message that was said before a session went on.
        self._last: dict[str, int] = {}
        self.flavour: Flavour = self._registration.capabilities.flavour("")

    # ── What comes ───────────────────────────────────────────────────────────────────────────

    def begin(self, *, password_needed: bool) -> list[Item]:
        """A client speaks first."""
        self._registration.needs_password = password_needed
        return []

    def receive_data(self, data: bytes) -> None:
        """Take in what was read. A line may end in CR alone, too; an empty one says nothing."""
        LineReader.receive_data(self, data.replace(b"\r\n", b"\n").replace(b"\r", b"\n"))

    def requests(self, limit: int) -> list[Item]:
        """What the next lines ask for, up to one whose answers say how to read on."""
        registration = self._registration
        if registration.stage is not _REGISTERED:
            self._queue = [*registration.due(), *self._queue]
            is_asked = registration.is_asked and not self._queue  # and all is answered
            if is_asked or registration.stage is Stage.REFUSED:
                self._queue, self._lines, self._eof = [Hangup(registration.why_refused)], (), False
        self._decode_some(limit)
        items = self._taken(limit)
        self.waiting = (
            bool(self._queue or self._lines)
            or self._eof
            or registration.is_asked  # what comes of that may be the end
        )
        return items

    def _taken(self, limit: int) -> list[Item]:
        """So many of the items in the queue, and what is said when these are answered."""
        queue, count = self._queue, 0
        if len(queue) > limit:
            for place, item in enumerate(queue):
                count += not isinstance(item, Then | Repeats)
                if count > limit:
                    self._queue = queue[place:]
                    return queue[:place]
        self._queue = []
        return queue

    def _decode_some(self, limit: int) -> None:
        """Have so many items in the queue, where there are lines for them."""
        lines, self._lines = self._lines, ()
        queue = self._queue
        for place, each in enumerate(lines):
            if len(queue) >= limit or (queue and type(queue[-1]) is Wait):
                self._lines = lines[place:]
                return
            if isinstance(each, bytes):
                if each:
                    self._long_lines = 0
                    queue += self._line(each)
            else:
                queue += self._items([each])
            if self._is_put_off:
                self._lines = lines[place:]
                return
        if self._eof and not (queue and type(queue[-1]) is Wait):
            self._eof = False
            queue.append(Hangup(""))

    def _line(self, data: bytes) -> list[Item]:
        if len(data) > MAX_TAG_BYTES and data.startswith(b"@") and data.find(b" ") >= MAX_TAG_BYTES:
            return [self._is_too_long()]
        try:
            message = parse(data.decode())
        except UnicodeDecodeError:
            return self._no_utf8(data)
        if message is None:
            return []
        tags, command, params = message
        label = self._label(tags) if tags else ""
        is_registered = self._registration.stage is _REGISTERED
        if is_registered and command in _PUT_OFF:
            self._is_put_off = _must_wait(command, params) and not self._is_put_off
            if self._is_put_off:
                return [Wait()]
        if is_registered and command not in _HEARD_ALWAYS:
            items = items_of(self._client, command, params)
            if tags:
                items = with_client_tags(self._client, items, tags)
            return self._labels.items(label, items) if label else items
        items = self._registration.hear(command, params)
        self.flavour = self._registration.capabilities.flavour(self._client.welcome.epoch)
        if label and not is_registered and self._registration.stage in _WELCOMED:
            return [*self._labels.items(label, []), *items]
        return self._labels.items(label, items) if label else items

    def _label(self, tags: Mapping[str, str]) -> str:
        """The label of a line, where the client has said that it has some."""
        return label_of(tags) if self._registration.capabilities.has_labels else ""

    def _no_utf8(self, data: bytes) -> list[Item]:
        """What to say of a line that is none of text (IRCv3 standard replies, UTF8ONLY)."""
        tags, command, _ = parse(data.decode(errors="replace")) or ({}, "*", [])
        label = self._label(tags)
        command = command if command.isascii() else "*"
        items: list[Item] = [Reply(fail(command, "invalid-utf8", text="a line must be UTF-8 text"))]
        return self._labels.items(label, items) if label else items

    def _too_long(self) -> Item:
        super()._too_long()  # which counts them
        return self._is_too_long()

    def _is_too_long(self) -> Item:
        return self._client.reply(Code.INPUTTOOLONG, text="that was too long, and was thrown away")

    # ── What is told ─────────────────────────────────────────────────────────────────────────

    @property
    def acknowledges(self) -> bool:
        """Whether the peer is told what it has said itself."""
        return self._registration.capabilities.options.echo_message

    def encode_for(self, nick: str, notice: Notice, request: object) -> bytes:
        """What the peer alone is told. Until it is registered, that has an order of its own."""
        return self._labels.told(notice, request, self._written(nick, notice, request))

    def encoder(self) -> Encoder:
        """The same, for what is written later: for who is registered, and only lists are long."""
        flavour, options, labels = self._irc, self._options, self._labels
        missed = Missed(flavour, options, self._last)

        def encode(nick: str, notice: Notice, request: object) -> bytes:
            if isinstance(notice, Said | Told):
                return missed.encode(nick, notice)
            written = encode_answer(flavour, options, nick, notice, request)
            return labels.told(notice, request, written)

        return encode

    @property
    def _irc(self) -> Irc:
        assert isinstance(self.flavour, Irc), "it is one of the capabilities"
        return self.flavour

    @property
    def _options(self) -> Options:
        client = self._client
        options = self._registration.capabilities.options
        return options._replace(account=client.account, name=client.name)

    def _written(self, nick: str, notice: Notice, request: object) -> bytes:
        registration, rooms = self._registration, self._client.rooms
        is_registered = registration.stage is _REGISTERED
        if isinstance(notice, notices.Left) and notice.own and notice.room not in rooms:
            written = put_out_before(nick, notice)  # it has not been told that it is there
        elif not is_registered and isinstance(notice, notices.Welcome):
            self._note(notice)
            written = b""  # it is written when the nick is decided
        else:
            self._note(notice)
            written = encode_answer(self._irc, self._options, nick, notice, request)
        return written if is_registered else registration.told(nick, notice, written)

    def encode_receipt(self, receipt: Notice, notice: Notice) -> bytes:
        """What the peer is told as an author: its message, where it wants that."""
        if isinstance(receipt, Sent):
            written = self.flavour.encode(notice) if self.acknowledges else b""
        elif isinstance(receipt, notices.Signalled) and not self.acknowledges:
            written = b""
        else:
            nick = receipt.new if isinstance(receipt, notices.Renamed) else self._client.nick
            written = self._written(nick, receipt, None)
        return self._labels.told(receipt, notice, written)  # an answer to what was done

    def _follow(self, epoch: str) -> None:
        """What is told from now on is numbered in this epoch."""
        client = self._client
        client.welcome = msgspec.structs.replace(client.welcome, epoch=epoch)
        self.flavour = self._registration.capabilities.flavour(epoch)

    def _note(self, notice: Notice) -> None:
        """Remember what later lines are about."""
        client = self._client
        match notice:
            case notices.Welcome():
                client.welcome, client.account = notice, notice.account
                self.flavour = self._registration.capabilities.flavour(notice.epoch)
            case notices.Claimed(account):
                client.account = account
            case notices.NameSet(name=name, own=True):
                client.name = name
            case notices.Resumed(nick, rooms, epoch):
                self._follow(epoch)
                client.nick = nick
                self._last = {each.room: each.seq for each in rooms}
                client.rooms = {each.room: None for each in rooms}
            case notices.Diverged(epoch):
                self._follow(epoch)
            case notices.Renamed(new=new, own=True) if client.nick:
                client.nick = new
            case notices.Entered(room):
                client.rooms[room] = None
            case notices.Left(room, own=True):
                client.rooms.pop(room, None)


# Where a client stands by what is its last line before its welcome, or was meant to be. That is no
# answer to one line, but to all that it has said.
_WELCOMED: Final = (Stage.ASKED, Stage.REGISTERED)

# Looked up once: it is asked for with every line.
_REGISTERED: Final = Stage.REGISTERED

# What is heard the same of who is registered and of who is not.
_HEARD_ALWAYS: Final = frozenset({"AUTHENTICATE", "CAP"})

# Of these, a line may mean something else when what was asked before it is answered: what that is
# told in, or which rooms all rooms are.
_PUT_OFF: Final = frozenset({"CAP", "JOIN"})


def _must_wait(command: str, params: list[str]) -> bool:
    """Whether a line of these does."""
    return command == "CAP" or params == ["0"]


class IrcLines:
    """The dialect, as a server is given it."""

    name = "irc"
    flavour = Irc()
    comes_late = True  # a client may look up the names of addresses before it says anything

    def recognises(self, first: bytes) -> bool | None:
        """A client begins with one of a few words, in capitals. A person hardly writes them so."""
        end = _BLANK_OR_END.search(first)
        if end is not None:
            return first[: end.start()] in _FIRST
        return None if any(word.startswith(first) for word in _FIRST) else False

    def reader(self) -> IrcReader:
        """A reader for one more connection."""
        return IrcReader()
