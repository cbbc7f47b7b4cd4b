"""The people of a soak: how each kind of client speaks, comes, is cut off, and comes again.

Rule 1: Nobody decides anything here. What is done, when, and by whom is the load's; a person does
        it if it can be done now, and else nothing.

Rule 2: A person who has a session holds what has no receipt, and says it again with the same id
        when it goes on. One who has none is somebody else after each connection.

Rule 3: What a person is told goes to the checker; what it must not be told is a violation.
"""

from __future__ import annotations

import re
import struct
from abc import ABC, abstractmethod
from collections import deque
from dataclasses import dataclass
from typing import Any, Final, Protocol

import gevent
import gevent.socket
import msgspec

from benchmarks.load import text_frame
from benchmarks.soak.checker import Checker, Stream, number_of, text

# How long a connection that is not told to stay away waits before it comes again.
PAUSE_S: Final = (0.5, 4.0)
# A session that came again so long before its grace was over must be there.
MARGIN_S: Final = 8.0
# Who reads slowly has room for so much, which is what the kernel allows at least.
SLOW_BYTES: Final = 2_304
# Who loses the connection so soon after having read nothing was given up for that.
SOON_S: Final = 50.0
# Who has read nothing for a while has read what came meanwhile after so long.
CATCH_UP_S: Final = 120.0

_UPGRADE: Final = (
    b"GET /ws HTTP/1.1\r\nHost: localhost\r\nOrigin: http://localhost\r\nConnection: Upgrade\r\n"
    b"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    b"Sec-WebSocket-Protocol: tcpchat.jsonl\r\n\r\n"
)
_PLAIN_SAID: Final = re.compile(r"^\[([^\]]+)\] (?:\* )?\S+ (#\d+ .*)$")
_IRC_SAID: Final = re.compile(r"^:\S+ (?:PRIVMSG|NOTICE) #(\S+) :(#\d+ .*)$")


@dataclass(slots=True)
class Owed:
    """A direct message: whom it is for, the session that this was, and since when it has a receipt,
    None while it has none.
    """

    to: Program
    token: str
    receipt_s: float | None = None


class Around(Protocol):
    """What surrounds the people of one server."""

    checker: Checker
    grace_s: float
    # Direct messages that have a receipt, and who is to be told them.
    owed: dict[int, Owed]

    @property
    def port(self) -> int:
        """Where the server is now."""

    def now(self) -> float:
        """Seconds of a clock that does not jump."""

    def pause(self) -> float:
        """Seconds, by chance, before somebody connects again."""

    def name_for(self, number: int) -> str:
        """A nickname that nobody has had."""

    def number(self) -> int:
        """A number that no text has had."""

    def count(self, what: str) -> None:
        """Something has happened, and is counted."""

    def violated(self, sentence: str) -> None:
        """Something happened that must not."""


class Person(ABC):
    """Somebody, whatever connection there is at the moment."""

    kind = ""
    has_session = False

    def __init__(self, around: Around, number: int) -> None:
        self.around, self.number = around, number
        self.nick = around.name_for(number)
        self.streams: dict[str, Stream] = {}
        self.is_in = self.is_deaf = False
        self.account = ""
        self.rooms: list[str] = []  # which it enters when it comes as somebody new
        self._sock: Any = None
        self._away_s = -1.0
        self._abandoned: list[Any] = []
        self._life: Any = None
        self._stalled_s = self.free_s = -SOON_S
        # Some have so little room for what comes that they soon hold up who sends.
        self.is_slow = self.has_session and number % 10 == 3

    # ── A life ───────────────────────────────────────────────────────────────────────────────

    def start(self) -> None:
        """Come, and come again after each end of a connection."""
        self._life = gevent.spawn(self._live)

    def stop(self) -> None:
        """Come no more."""
        if self._life is not None:
            self._life.kill()
        for sock in (self._sock, *self._abandoned):
            if sock is not None:
                sock.close()

    def _live(self) -> None:
        while True:
            try:
                self._sock = sock = gevent.socket.socket()
                if self.is_slow:
                    sock.setsockopt(gevent.socket.SOL_SOCKET, gevent.socket.SO_RCVBUF, SLOW_BYTES)
                sock.settimeout(20)
                sock.connect(("127.0.0.1", self.around.port))
                sock.setsockopt(gevent.socket.IPPROTO_TCP, gevent.socket.TCP_NODELAY, 1)
                sock.settimeout(None)
                self._greet()
                self._read(sock)
            except OSError:
                pass  # it comes again
            except Exception as error:
                self.around.violated(f"{self.kind}: {type(error).__name__}: {error}")
                raise
            finally:
                if self.around.now() - self._stalled_s < SOON_S:
                    self.around.count("slow readers given up")
                    self._stalled_s = -SOON_S
                self.lost()
                sock.close()
            away_s, self._away_s = self._away_s, -1.0
            gevent.sleep(away_s if away_s >= 0 else self.around.pause())
            while self._abandoned:
                self._abandoned.pop().close()

    def _read(self, sock: Any) -> None:
        rest = b""
        while sock is self._sock:
            while self.is_deaf:
                gevent.sleep(0.2)
            data = sock.recv(65_536)
            if not data:
                return
            *lines, rest = (rest + self._unwrapped(data)).split(b"\n")
            for line in lines:
                self.told_line(line.rstrip(b"\r"))

    def _unwrapped(self, data: bytes) -> bytes:
        return data

    def _send(self, data: bytes) -> None:
        sock = self._sock
        if sock is None:
            return
        try:
            sock.sendall(data)
        except OSError:
            return  # that it is over is seen by who reads

    @abstractmethod
    def _greet(self) -> None:
        """Say the first lines of a connection."""

    @abstractmethod
    def told_line(self, line: bytes) -> None:
        """The server has told a line."""

    def lost(self) -> None:
        """The connection is over, also one by which it never came in."""
        if self.is_in:
            self.around.count("connections lost")
        self._lost()
        self.is_in = self.is_deaf = False

    def _lost(self) -> None:
        """Without a session one is nobody."""
        self.streams.clear()
        self.nick = self.around.name_for(self.number)

    # ── What the load has it do ──────────────────────────────────────────────────────────────

    def cut(self, away_s: float, *, silently: bool) -> None:
        """Lose the connection by a reset; or without a word: it is open, and nobody is there."""
        sock, self._away_s = self._sock, away_s
        if sock is None:
            return
        if silently:
            while self._abandoned:
                self._abandoned.pop().close()
            self._abandoned.append(sock.dup())
            self._sock = None
            self._life.kill(block=False)
            self.lost()
            self._life = gevent.spawn_later(away_s, self._live)
            self._away_s = -1.0
            return
        reset(sock)

    def stall(self, for_s: float) -> None:
        """Ask for much, and read nothing for so long."""
        self.is_deaf = True
        self._stalled_s = self.around.now()
        self.free_s = self._stalled_s + for_s + CATCH_UP_S

        def read_again() -> None:
            self.is_deaf = False

        gevent.spawn_later(for_s, read_again)

    def say(self, room: str, words: str, *, tagged: bool = False) -> None:
        """Say something in a room."""
        number = self.around.number()
        self.around.checker.say(number, self.number, room, self.around.now())
        self._say(number, room, text(number, words), tagged=tagged)

    @abstractmethod
    def _say(self, number: int, room: str, words: str, *, tagged: bool) -> None:
        """Send what says something in a room."""

    @abstractmethod
    def join(self, room: str) -> None:
        """Go into a room."""

    @abstractmethod
    def leave(self, room: str) -> None:
        """Go out of it."""

    @abstractmethod
    def rename(self) -> None:
        """Take a nickname that nobody has had."""

    @abstractmethod
    def mistake(self, choice: int) -> None:
        """Send what makes no sense."""

    def _stream(self, room: str, last: int | None) -> None:
        self.streams[room] = Stream(room, self.number, self.around.now(), last)


def reset(sock: Any) -> None:
    """End a connection as a crash does."""
    linger = struct.pack("ii", 1, 0)
    try:
        sock.setsockopt(gevent.socket.SOL_SOCKET, gevent.socket.SO_LINGER, linger)
        sock.shutdown(gevent.socket.SHUT_RD)
    except OSError:
        return


# ── Programs ─────────────────────────────────────────────────────────────────────────────────────


class Program(Person):
    """JSON Lines, with a session."""

    kind = "json"
    has_session = True

    def __init__(self, around: Around, number: int) -> None:
        super().__init__(around, number)
        self.token = ""
        self.told = 0
        self.epoch = ""
        # What has no receipt, by its id: since when, and what to say again.
        self.held: dict[str, tuple[float, dict[str, Any]]] = {}
        self.since_s = 0.0  # it is connected since then
        self._lost_s = 0.0
        self._receipts: deque[tuple[str, int]] = deque(maxlen=256)

    def ask(self, **request: Any) -> None:
        """Send a request."""
        self._send(msgspec.json.encode(request) + b"\n")

    def _greet(self) -> None:
        seen = {
            room: stream.last for room, stream in self.streams.items() if stream.last is not None
        }
        hello: dict[str, Any] = {"type": "hello"}
        if self.token:
            hello |= {"token": self.token, "seen": seen, "told": self.told, "epoch": self.epoch}
        self.ask(**hello)

    def _lost(self) -> None:
        if self.is_in:  # or it has been lost since before, and came in vain
            self._lost_s = self.around.now()

    def forget_session(self) -> None:
        """Somebody ends it who may: an account is no more, or this person quits."""
        self.token = ""

    def quit(self, away_s: float) -> None:
        """Leave for good, and come as somebody else."""
        self._away_s = away_s
        self.forget_session()
        self.ask(type="quit", reason="done")

    def told_line(self, line: bytes) -> None:
        """The server has told a line."""
        notice = msgspec.json.decode(line)
        if (told := getattr(self, f"_told_{notice['type'].replace('-', '_')}", None)) is not None:
            told(notice)

    def _told_welcome(self, notice: dict[str, Any]) -> None:
        away_s = self.around.now() - self._lost_s
        if self.token and away_s < self.around.grace_s - MARGIN_S:
            self.around.violated(f"session: that of {self.nick} was lost after {away_s:.0f} s")
        self.around.count("sessions begun")
        self.token, self.epoch, self.told = notice["token"], notice["epoch"], 0
        self.account = ""
        self.streams.clear()
        self.held.clear()
        self.nick = self.around.name_for(self.number)
        self.is_in, self.since_s = True, self.around.now()
        self.ask(type="nick", nick=self.nick)
        for room in self.rooms:
            self.join(room)

    def _told_resumed(self, notice: dict[str, Any]) -> None:
        self.around.count("sessions resumed")
        rooms = {one["room"] for one in notice["rooms"]}
        for room in set(self.streams) - rooms:
            del self.streams[room]
        for room in rooms:
            last = self.streams[room].last if room in self.streams else None
            self._stream(room, last)
        self.nick, self.is_in, self.since_s = notice["nick"], True, self.around.now()
        for _, request in list(self.held.values()):
            self.ask(**request)

    def _told_renamed(self, notice: dict[str, Any]) -> None:
        if notice.get("own"):
            self.nick = notice["new"]

    def _told_entered(self, notice: dict[str, Any]) -> None:
        if not notice.get("again"):
            self._stream(notice["room"], notice["seq"])

    def _told_left(self, notice: dict[str, Any]) -> None:
        if notice.get("own"):
            self.streams.pop(notice["room"], None)

    def _told_said(self, notice: dict[str, Any]) -> None:
        stream = self.streams.get(notice["room"])
        if stream is None:
            room = notice["room"]
            self.around.violated(f"stray: {self.nick} is not in {room}, and is told of it")
            return
        number = None if notice.get("redacted") else number_of(notice["text"])
        self._heard(stream, number, notice["seq"])
        if (own := notice.get("id")) is not None and self.held.pop(own, None) is not None:
            self._receipts.append((own, notice["seq"]))

    def _heard(self, stream: Stream, number: int | None, seq: int) -> None:
        self.around.checker.told(stream, number, seq, self.around.now())

    def _told_sent(self, notice: dict[str, Any]) -> None:
        own, seq = notice["id"], notice.get("seq")
        request = self.held.pop(own, None)
        if "room" not in notice or seq is None:
            if (owed := self.around.owed.get(int(own))) is not None:
                owed.receipt_s = self.around.now()
            return
        if request is None:
            if (own, seq) not in self._receipts:
                self.around.violated(f"receipt: {self.nick} has another one of #{own}: {seq}")
            return
        self._receipts.append((own, seq))
        stream = self.streams.get(notice["room"])
        if stream is not None:
            self.around.count("acknowledged")
            self._heard(stream, int(own), seq)

    def _told_told(self, notice: dict[str, Any]) -> None:
        seq = notice["seq"]
        if seq != self.told + 1:
            self.around.violated(f"direct: {self.nick} was told {seq} after {self.told}")
        self.told = seq
        self.around.count("direct messages")
        if (number := number_of(notice["text"])) is not None:
            self.around.owed.pop(number, None)

    def _told_rejected(self, notice: dict[str, Any]) -> None:
        self.around.count("refused")
        if (own := notice.get("id")) is not None:
            self.held.pop(own, None)
            self.around.owed.pop(int(own), None)

    def _told_gap(self, notice: dict[str, Any]) -> None:
        self.around.count("gaps")
        if (stream := self.streams.get(notice["room"])) is not None:
            self.around.checker.missed(stream, notice["oldest"], self.around.now())

    def _told_ping(self, notice: dict[str, Any]) -> None:
        self.ask(type="pong", **{key: notice[key] for key in ("id",) if key in notice})

    def _told_diverged(self, _notice: dict[str, Any]) -> None:
        self.around.violated(f"diverged: {self.nick} was told so")

    def _told_claimed(self, notice: dict[str, Any]) -> None:
        self.account = notice["account"]
        self.around.count("accounts claimed")

    def _told_history(self, notice: dict[str, Any]) -> None:
        self._pages(notice["messages"])

    def _told_found(self, notice: dict[str, Any]) -> None:
        self._pages(notice["messages"])

    def _pages(self, messages: list[dict[str, Any]]) -> None:
        """What was said before is what was told then."""
        self.around.count("looks into the past")
        for one in messages:
            number = None if one.get("redacted") else number_of(one["text"])
            if number is not None:
                self.around.checker.place(number, one["room"], one["seq"], self.around.now())

    def _say(self, number: int, room: str, words: str, *, tagged: bool) -> None:
        tags = {"tags": {"draft/reply": "none", "soak": words[:20]}} if tagged else {}
        request = {"type": "say", "room": room, "text": words, "id": str(number), **tags}
        self._hold(request)

    def _hold(self, request: dict[str, Any]) -> None:
        self.held[request["id"]] = self.around.now(), request
        self.ask(**request)

    def tell(self, other: Program, words: str) -> None:
        """Say something to one person."""
        number = self.around.number()
        self.around.owed[number] = Owed(other, other.token)
        words = text(number, words)
        request = {"type": "tell", "nick": other.nick, "text": words, "id": str(number)}
        self._hold(request)

    def join(self, room: str) -> None:
        """Go into a room."""
        self.ask(type="join", room=room)

    def leave(self, room: str) -> None:
        """Go out of it."""
        self.ask(type="out", room=room)

    def rename(self) -> None:
        """Take a nickname that nobody has had."""
        if not self.account:
            self.ask(type="nick", nick=self.around.name_for(self.number))

    def stall(self, for_s: float) -> None:
        """Ask for much, and read nothing for so long."""
        super().stall(for_s)
        for room in list(self.streams)[:1]:
            for _ in range(18):
                self.ask(type="history", room=room, limit=200)

    def mistake(self, choice: int) -> None:
        """Send what makes no sense."""
        lines = (
            b'{"type":"nonsense"}\n',
            b'{"type":"say","room":7}\n',
            b'{"type":"join","room":"no such name!"}\n',
            b"no object\n",
            b"\xff\xfe\n",
            b'{"type":"say","text":"' + 40_000 * b"x" + b'"}\n',
        )
        self._send(lines[choice % len(lines)])


class Page(Program):
    """The same in the frames of a WebSocket, as a page in a browser."""

    kind = "websocket"

    def __init__(self, around: Around, number: int) -> None:
        super().__init__(around, number)
        self._frames = b""
        self._is_open = False

    def _greet(self) -> None:
        self._frames, self._is_open = b"", False
        self._send(_UPGRADE)
        super()._greet()

    def ask(self, **request: Any) -> None:
        """Send a request."""
        self._send(text_frame(msgspec.json.encode(request)))

    def _unwrapped(self, data: bytes) -> bytes:
        self._frames += data
        if not self._is_open:
            head, end, rest = self._frames.partition(b"\r\n\r\n")
            if not end:
                return b""
            if b" 101 " not in head:
                raise OSError(head.decode(errors="replace"))
            self._is_open, self._frames = True, rest
        lines = []
        while (frame := self._frame()) is not None:
            opcode, payload = frame
            if opcode == 0x1:
                lines.append(payload.rstrip(b"\n") + b"\n")
            elif opcode == 0x8:
                self._send(_masked(0x88, payload[:2]))
            elif opcode == 0x9:
                self._send(_masked(0x8A, payload))
        return b"".join(lines)

    def _frame(self) -> tuple[int, bytes] | None:
        data = self._frames
        if len(data) < 2:
            return None
        size, at = data[1] & 0x7F, 2
        if size >= 126:
            at = 4 if size == 126 else 10
            if len(data) < at:
                return None
            size = int.from_bytes(data[2:at])
        if len(data) < at + size:
            return None
        self._frames = data[at + size :]
        return data[0] & 0x0F, data[at : at + size]

    def mistake(self, choice: int) -> None:
        """Send what makes no sense."""
        messages = (b'{"type":"nonsense"}', b'{"type":"say","room":7}', b"no object")
        self._send(text_frame(messages[choice % len(messages)]))


def _masked(first: int, payload: bytes) -> bytes:
    return bytes([first, 0x80 | len(payload), 0, 0, 0, 0]) + payload


# ── People without a session ─────────────────────────────────────────────────────────────────────


class Typist(Person):
    """Somebody with nc."""

    kind = "plain"

    def __init__(self, around: Around, number: int) -> None:
        super().__init__(around, number)
        self._past = ""  # the room of which is shown what was said before
        self._current = ""

    def _greet(self) -> None:
        self._past = self._current = ""
        lines = [f"/nick {self.nick}", *(f"/join {room}" for room in self.rooms)]
        self._type(*lines)
        self.is_in = True

    def _type(self, *lines: str) -> None:
        self._send("".join(f"{line}\n" for line in lines).encode())

    def told_line(self, line: bytes) -> None:
        """The server has told a line."""
        shown = line.decode()
        if shown.startswith("* Said in ") and shown.endswith(" before you came:"):
            self._past = shown.split(" ")[3]
        elif shown.startswith("* You joined "):
            room = shown.split(" ")[3]
            self._past = ""
            self._stream(room, None)
        elif shown.startswith("* You left "):
            self.streams.pop(shown.split(" ")[3], None)
        elif shown.startswith("* You were put out of "):
            self.streams.pop(shown.split(" ")[6], None)
        elif shown.startswith("! "):
            self.around.count("refused")
        elif found := _PLAIN_SAID.match(shown):
            self._shown(found[1], found[2])

    def _shown(self, room: str, words: str) -> None:
        number, stream = number_of(words), self.streams.get(room)
        if number is not None and stream is not None and self._past != room:
            self.around.checker.heard(stream, number, self.around.now())

    def _say(self, number: int, room: str, words: str, *, tagged: bool) -> None:  # noqa: ARG002 # it has no tags
        if self._current != room:
            self._type(f"/join {room}")
            self._current = room
        self._type(words)

    def join(self, room: str) -> None:
        """Go into a room."""
        self._current = room
        self._type(f"/join {room}")

    def leave(self, room: str) -> None:
        """Go out of it."""
        self._current = ""
        self._type(f"/out {room}")

    def rename(self) -> None:
        """Take a nickname that nobody has had."""
        self._type(f"/nick {self.around.name_for(self.number)}")

    def mistake(self, choice: int) -> None:
        """Send what makes no sense."""
        self._send((b"/nosuch\n", b"/join a b c!\n", b"\xff\xfe\n", b"/\n")[choice % 4])


class IrcUser(Typist):
    """Somebody with a client of IRC, that takes tags or none."""

    kind = "irc"

    def __init__(self, around: Around, number: int) -> None:
        super().__init__(around, number)
        self._has_tags = number % 2 == 0

    def _greet(self) -> None:
        caps = ["CAP LS 302", "CAP REQ :server-time message-tags batch"] if self._has_tags else []
        lines = [*caps, f"NICK {self.nick}", f"USER {self.nick} 0 * :{self.nick}"]
        self._type(*lines, *(["CAP END"] if self._has_tags else []))

    def told_line(self, line: bytes) -> None:
        """The server has told a line."""
        shown = line.decode()
        tags, shown = shown.split(" ", 1) if shown.startswith("@") else ("", shown)
        words = shown.split(" ")
        if words[0] == "PING":
            self._type(f"PONG {words[1]}")
        elif words[1:2] == ["001"]:
            self.is_in = True
            for room in self.rooms:
                self.join(room)
        elif words[1:2] == ["JOIN"] and shown.startswith(f":{self.nick}!"):
            self._stream(words[2].lstrip(":#"), None)
        elif words[1:2] == ["NICK"] and shown.startswith(f":{self.nick}!"):
            self.nick = words[2].lstrip(":")
        elif words[1:2] == ["PART"] and shown.startswith(f":{self.nick}!"):
            self.streams.pop(words[2].lstrip(":#"), None)
        elif words[1:2] == ["KICK"] and words[3] == self.nick:
            self.streams.pop(words[2].lstrip("#"), None)
        elif "batch=" not in tags and (found := _IRC_SAID.match(shown)):
            self._shown(found[1], found[2])
        elif words[1:2] and words[1].isdigit() and words[1] >= "400":
            self.around.count("refused")

    def _say(self, number: int, room: str, words: str, *, tagged: bool) -> None:  # noqa: ARG002 # it is one of the two
        tags = "@+soak=x " if tagged and self._has_tags else ""
        self._type(f"{tags}PRIVMSG #{room} :{words}")

    def join(self, room: str) -> None:
        """Go into a room."""
        self._type(f"JOIN #{room}")

    def leave(self, room: str) -> None:
        """Go out of it."""
        self._type(f"PART #{room}")

    def rename(self) -> None:
        """Take a nickname that nobody has had."""
        self._type(f"NICK {self.around.name_for(self.number)}")

    def mistake(self, choice: int) -> None:
        """Send what makes no sense."""
        self._send((b"FOO\r\n", b"JOIN\r\n", b"PRIVMSG\r\n", b"\xff\xfe\r\n")[choice % 4])
