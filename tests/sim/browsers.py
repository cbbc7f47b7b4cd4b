"""Browsers beside those that people talk by: they get files, connect ahead and say nothing, ask for
what they are refused, and send frames that break rules.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from tcpchat_core import events
from tcpchat_core.dialects.jsonl import encode_request
from tcpchat_core.framing import MAX_LINE_BYTES
from tests.core.browser import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PAGE,
    PING,
    ClientSocket,
    RefusedError,
    WrongBytesError,
    ask,
    closing,
    frame,
    get,
    upgrade,
)
from tests.sim.network import Link
from tests.sim.peers import Peer

if TYPE_CHECKING:
    from tests.sim.world import World


@dataclass
class Visit:
    """A connection that only gets something, if anything: nobody is to hear of it."""

    owner: str
    address: str
    link: Link
    how: str
    status: int = 0  # what is to be answered; 0 for nothing that is known
    spoke_at: int = 1 << 40  # when it began to ask for something: until then it was silent
    data: bytearray = field(default_factory=bytearray)
    began_at: int = 0  # when the first of it came
    over_at: int | None = None  # when the server closed that had read all that was asked

    @property
    def was_greeted(self) -> bool:
        """Whether it was taken for a person."""
        return self.data.startswith((b"* ", b"! "))


@dataclass
class Offence:
    """A frame that breaks a rule, and what is to come of it."""

    owner: str
    link: Link
    how: str
    code: int  # to be closed with
    never: str  # what was said behind it, and does not count
    got: int | None = None
    was_told: bool = False  # the server had other reasons to close


# What can be got, and the status of the answer.
FILES = {
    get("/"): 200,
    get("/page.js", {"Accept-Encoding": "gzip"}): 200,
    get("/", {"If-None-Match": f'"{PAGE.etag}"'}): 304,
    get("/favicon.ico"): 404,
    get("/healthz", {"Host": "anything"}): 200,
}

# What is refused, and with which status.
REFUSED = {
    get("/", {"Host": "evil.example"}): 403,
    upgrade(Origin="http://evil.example"): 403,
    upgrade(Origin=None): 403,
    upgrade(Sec_WebSocket_Version="8"): 426,
    upgrade(Sec_WebSocket_Protocol="chat"): 400,
    get("/").replace(b"\r\n\r\n", b"\r\nbare\n\r\n"): 400,
    get("/", {"Cookie": "x" * 20_000}): 431,
}

# How a browser comes by, and how often in proportion.
VISITS = {
    "file got": 5,
    "request refused": 2,
    "request cut": 3,
    "connected ahead": 5,
    "websocket left silent": 1,
}


class Loader(Peer):
    """A browser that is not in the chat, one connection after the other."""

    def __init__(self, world: World, name: str, addresses: list[str]) -> None:
        super().__init__(world, name)
        self._addresses = [name, *addresses]
        self._visit: Visit | None = None
        self.clock.after(self.draw.randint(0, 2_000), self.dial)

    def dial(self) -> None:
        self.address = self.draw.choice(self._addresses)
        super().dial()

    def connected(self) -> None:
        assert self.link is not None, "it is connected"
        draw = self.draw
        how = draw.choices([*VISITS], [*VISITS.values()])[0]
        self._visit = visit = Visit(self.name, self.address, self.link, how)
        self.world.visits.append(visit)
        self.world.faults[how] += 1
        self.world.note(self.name, how)
        later = draw.randint(0, 14_000)
        match how:
            case "file got":
                self._get(visit, FILES)
            case "request refused":
                self._get(visit, REFUSED)
            case "request cut":
                request = draw.choice([*FILES])
                self.write(request[: draw.randrange(1, len(request))])
                self._later(later, visit, self.leave)
            case "websocket left silent":
                visit.status = 101
                self.write(upgrade())
                self._later(later, visit, self.leave)
            case _ if draw.random() < 0.6:
                self._later(later, visit, lambda: self._get(visit, FILES))
            case _:
                self._later(later, visit, self.leave)

    def write(self, data: bytes) -> None:
        assert self._visit is not None, "it is connected"
        self._visit.spoke_at = min(self._visit.spoke_at, self.clock.now)
        super().write(data)

    def disconnected(self) -> None:
        self._visit = None
        if self.world.faulty:
            self.clock.after(self.draw.randint(50, 3_000), self.dial)

    def received(self, data: bytes) -> None:
        assert self._visit is not None, "it is connected"
        if not self._visit.data:
            self._visit.began_at = self.clock.now
        self._visit.data += data
        if self._visit.data.startswith(b"HTTP/1.1 "):
            self.world.has_come(self)

    def hang_up(self) -> None:
        if self._visit is not None and self.end is not None:
            end = self.end
            was_heard = not (self._unsent or end.outgoing.held or end.outgoing.is_cut)
            if was_heard and end.incoming.ended and not end.is_reset:
                self._visit.over_at = self.clock.now
        super().hang_up()

    def _get(self, visit: Visit, requests: dict[bytes, int]) -> None:
        request = self.draw.choice([*requests])
        if not visit.link.server.is_closed:  # otherwise nobody hears it
            visit.status = requests[request]
        self.write(request)

    def _later(self, delay: int, visit: Visit, act: Callable[[], None]) -> None:
        """Do something, if it is still the same visit."""
        self.clock.after(delay, lambda: act() if self._visit is visit else None)


# ── Frames that break rules ──────────────────────────────────────────────────────────────────────

# What each of them is, and the code that it is answered with.
OFFENCES: dict[str, tuple[bytes, int]] = {
    "frame not masked": (frame(b'{"type":"ping"}', mask=None), 1002),
    "frame masked, and says it is not": (b"\x81\x0f" + frame(b'{"type":"ping"}')[2:], 1002),
    "reserved bit": (frame(b"{}", reserved=4), 1002),
    "unknown frame": (frame(b"{}", 0x3), 1002),
    "unknown control frame": (frame(b"", 0xB), 1002),
    "binary frame": (frame(b"{}", BINARY), 1003),
    "text that is not UTF-8": (frame(b'{"type":"say","room":"commons","text":"\xff"}'), 1007),
    "text that is cut in a character": (
        frame("x€".encode()[:-1], is_final=False) + frame(b"", CONTINUATION),
        1007,
    ),
    "frame too long": (frame(b" " * (MAX_LINE_BYTES + 1))[:14], 1009),
    "frame of a terabyte": (b"\x81\xff" + (1 << 40).to_bytes(8, "big"), 1009),
    "fragments without end": (
        frame(b" " * 20_000, is_final=False) + frame(b" " * 20_000, CONTINUATION, is_final=False),
        1009,
    ),
    "fragment of nothing": (frame(b"{}", CONTINUATION), 1002),
    "message within a message": (frame(b"{", is_final=False) + frame(b"{}"), 1002),
    "long ping": (frame(b"x" * 126, PING), 1002),
    "ping in pieces": (frame(b"x", PING, is_final=False), 1002),
    "close frame of one byte": (frame(b"\x03", CLOSE), 1002),
    "close code that nobody may send": (closing(1005), 1002),
    "close reason that is not UTF-8": (closing(1000, b"\xff"), 1007),
}


class BrokenPage(Peer):
    """Comes as a page does, says something, and breaks a rule. It may never read the answer."""

    roomy = True

    def __init__(self, world: World, name: str) -> None:
        super().__init__(world, name)
        self._socket = ClientSocket(self.draw)
        self._offence: Offence | None = None
        self._said = 0
        self._is_deaf = self.draw.random() < 0.2  # once it is in
        self.clock.after(self.draw.randint(0, 2_000), self.dial)

    def connected(self) -> None:
        self._offence = None
        self._socket = ClientSocket(self.draw, fragments=0.3)
        self.write(self._socket.open())
        self.clock.after(self.draw.randint(6_000, 20_000), partial(self._end, self.link))

    def _end(self, link: Link | None) -> None:
        if self.link is link:
            self.leave()

    def disconnected(self) -> None:
        self.asleep_until = 0
        if self.world.faulty:
            self.clock.after(self.draw.randint(1, 2_000), self.dial)

    def received(self, data: bytes) -> None:
        socket = self._socket
        was_open = socket.is_open
        try:
            lines, _ = socket.receive_data(data)
        except RefusedError:
            self.leave()
            return
        except WrongBytesError as wrong:
            self.world.wrong_bytes.append(f"{self.name} was sent what is wrong: {wrong}")
            self.leave()
            return
        if socket.is_open and not was_open:
            self.world.has_come(self)
            self._offend(socket)
        if self._offence is not None:
            self._offence.was_told |= b'{"type":"closing"' in lines
            if socket.has_ended:
                self._offence.got = socket.code
        if socket.has_ended:
            self.leave()

    def _offend(self, socket: ClientSocket) -> None:
        assert self.link is not None, "it is connected"
        draw = self.draw
        how = draw.choice([*OFFENCES])
        data, code = OFFENCES[how]
        self._said += 1
        never = f"{self.name}.{self._said}.never"
        self._offence = Offence(self.name, self.link, how, code, never)
        self.world.offences.append(self._offence)
        self.world.faults[how] += 1
        self.world.note(self.name, how)
        if draw.random() < 0.7:
            hello = events.Hello(password=self.world.config.password)
            said = events.Say("commons", f"{self.name}.{self._said}")
            for request in (hello, events.Join("commons"), said):
                self.write(socket.send(encode_request(request)))
        if draw.random() < 0.3:
            self.write(b"".join(socket.ping() for _ in range(draw.randint(1, 60))))
        self.write(data + ask(events.Say("commons", never)))
        if self._is_deaf:
            self.asleep_until = 1 << 40
