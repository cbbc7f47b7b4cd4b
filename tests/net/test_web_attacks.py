"""What comes over a socket that no browser would send, to a server with a room full of people.

Each attack is refused as docs/web.md says, or ended, and the people in the room go on undisturbed.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tcpchat_core import ChatState, ServerLimits, ServerProtocol, events
from tcpchat_core.dialects.http import MAX_HEAD_BYTES, File, Site
from tcpchat_core.dialects.websocket import WebSocket
from tcpchat_core.framing import MAX_LINE_BYTES
from tcpchat_core.server import DIALECTS
from tcpchat_net import ChatServer
from tests.core.browser import (
    CONTINUATION,
    PING,
    PONG,
    SITE,
    ask,
    close_in,
    closing,
    frame,
    get,
    sentence,
    status,
    told_frames,
    upgrade,
)
from tests.net.serving import NO_FLOOD_CONTROL, Peer, serving

# Whoever asks slowly, and whoever reads slowly, is not waited for by these tests.
LIMITS = ServerLimits(flood_rate=0, handshake_ms=1_000)


def protocol(limits: ServerLimits = LIMITS, site: Site = SITE) -> ServerProtocol:
    return ServerProtocol(ChatState(), limits=limits, dialects=(WebSocket(site), *DIALECTS))


class Room:
    """Two people with nc in a room of a server, who see whatever is said there or who comes."""

    def __init__(self, server: ChatServer, stack: ExitStack) -> None:
        self.address = server.address
        self._stack = stack
        self._said = 0
        self._ada, self._bob = (self.peer() for _ in range(2))
        for peer in (self._ada, self._bob):
            peer.send("/join lobby")
            peer.until("You joined lobby")
        self._ada.until("joined lobby")

    def peer(self, first: bytes = b"") -> Peer:
        """One more connection, that has sent this."""
        peer = self._stack.enter_context(Peer(self.address))
        if first:
            peer.sock.sendall(first)
        return peer

    def page(self, first: bytes = b"") -> Peer:
        """A page that is in the chat, and has been told so."""
        peer = self.peer(upgrade() + ask(events.Hello()) + first)
        while b'"welcome"' not in peer.sock.recv(65_536):
            pass
        return peer

    def goes_on(self) -> None:
        """What one says, the other is told, and nothing else."""
        self._said += 1
        self._ada.send(f"number {self._said}")
        line = self._bob.line()
        assert line.endswith(f": number {self._said}"), line


@pytest.fixture
def room() -> Iterator[Room]:
    with serving(protocol(), site=SITE) as server, ExitStack() as stack:
        yield Room(server, stack)


def rest(peer: Peer) -> bytes:
    """All bytes up to the end of the connection, however that comes."""
    data = b""
    try:
        while more := peer.sock.recv(65_536):
            data += more
    except ConnectionResetError:
        pass
    return data


def swamp(peer: Peer, data: bytes, most: int = 64 * 1024 * 1024) -> int:
    """Send the same again and again until it is not taken any more: how much was."""
    sent = 0
    peer.sock.settimeout(1)
    try:
        while sent < most:
            sent += peer.sock.send(data)
    except OSError:
        pass
    return sent


# ── HTTP ─────────────────────────────────────────────────────────────────────────────────────────

_HOST = b"Host: localhost\r\n"


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (b"GET / HTTP/1.1\r\nA: x\r\n folded\r\n" + _HOST + b"\r\n", 400),
        (b"GET / HTTP/1.1\n" + _HOST + b"\r\n", 400),
        (b"GET / HTTP/1.1\r\n" + _HOST * 2 + b"\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: localhost, evil.example\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: evil@localhost\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: localhost:7667@evil\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: [fe80::1%25eth0]\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: localhost.\r\n\r\n", 403),
        (b"GET / HTTP/1.1\r\nHost: 127.0.0.1.\r\n\r\n", 403),
        (b"GET / HTTP/1.1\r\nHost: LOCALHOST\r\n\r\n", 200),
        (b"GET / HTTP/1.1\r\nHost: chat\xe3\x80\x82example\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: xn--lclhost-0wa.example\r\n\r\n", 403),
        ("GET / HTTP/1.1\r\nHost: l\u00f6calhost\r\n\r\n".encode(), 400),
        (b"GET http://localhost/ HTTP/1.1\r\n" + _HOST + b"\r\n", 400),
        (get("/", {"Content-Length": "3", "Transfer-Encoding": "chunked"}), 400),
        (b"GET / HTTP/1.1\r\n" + _HOST + b"Transfer-Encoding : chunked\r\n\r\n", 400),
        (b"GET / HTTP/1.0\r\n\r\n", 505),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
        (b"OPTIONS * HTTP/1.1\r\n" + _HOST + b"\r\n", 405),
        (b"CONNECT localhost:22 HTTP/1.1\r\n" + _HOST + b"\r\n", 405),
        (b"GET / HTTP/1.1\r\n" + b"A: x\r\n" * 10_000, 431),
    ],
)  # fmt: skip
def test_what_is_no_request_of_a_page_is_refused_and_nobody_hears_of_it(
    room: Room, sent: bytes, code: int
) -> None:
    data = rest(room.peer(sent + b"/join lobby\nspam\n"))
    assert data.startswith(b"HTTP/1.1 %d " % code)
    room.goes_on()


@pytest.mark.parametrize(("more", "code"), [(0, 200), (1, 431)])
def test_the_longest_request_is_answered_and_a_longer_one_is_not(
    room: Room, more: int, code: int
) -> None:
    empty = len(get("/", {"A": ""}))
    data = rest(room.peer(get("/", {"A": "x" * (MAX_HEAD_BYTES - empty + more)})))
    assert status(data) == code
    room.goes_on()


def test_a_request_that_comes_byte_by_byte_has_to_be_there_in_time(room: Room) -> None:
    peer = room.peer(b"GET / HTTP/1.1\r\n")
    data = b""
    peer.sock.settimeout(0.05)
    while not data:
        peer.sock.sendall(b"A")
        try:
            data = peer.sock.recv(65_536)
        except TimeoutError:
            continue
    assert (status(data), sentence(data)) == (503, "there was no request in time")
    room.goes_on()


def test_of_several_requests_on_a_connection_the_first_is_answered(room: Room) -> None:
    data = rest(room.peer(get("/") * 100))
    assert data.count(b"HTTP/1.1 200 ") == 1
    room.goes_on()


def test_a_thousand_requests_leave_nothing_behind(room: Room) -> None:
    for number in range(1_000):
        with Peer(room.address) as peer:
            peer.sock.sendall(get("/page.js" if number % 2 else "/ws"))
            assert status(rest(peer)) == (200 if number % 2 else 426)
    room.goes_on()


def test_who_never_reads_its_file_is_given_up_and_nobody_waits() -> None:
    site = Site({"/": File("text/html", "e", b"x" * 8_000_000)})
    with (
        serving(protocol(NO_FLOOD_CONTROL, site), site=site, stall_timeout_ms=500) as server,
        ExitStack() as stack,
    ):
        room = Room(server, stack)
        idle = stack.enter_context(Peer(server.address, receive_buffer=4_096))
        idle.sock.sendall(get("/"))
        while server.connections > 2:
            room.goes_on()
        assert len(rest(idle)) < 8_000_000


def test_tls_on_a_port_without_it_is_no_conversation(room: Room) -> None:
    peer = room.peer()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    with pytest.raises((ssl.SSLError, OSError)):
        context.wrap_socket(peer.sock, server_hostname="localhost")
    data = rest(room.peer(b"\x16\x03\x01\x02\x00\n/join lobby\nspam\n"))
    assert data.endswith(b"* Closing: this server does not speak TLS here\n")
    room.goes_on()


# ── Frames ───────────────────────────────────────────────────────────────────────────────────────

_TOO_LONG = f"a message has at most {MAX_LINE_BYTES:,} bytes"


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (frame(b"x" * 10_000_000), 1009),
        (b"\x81\xff" + b"\xff" * 8, 1009),
        (b"\x81\xff" + struct.pack("!Q", 1 << 63), 1009),
        (b"\x81\xff" + struct.pack("!Q", (1 << 63) + 5) + b"\0" * 9, 1009),
        (b"\x89\xff" + struct.pack("!Q", 5) + b"\0" * 9, 1002),
        (frame(b"x", mask=None), 1002),
        (frame(b"x", reserved=4), 1002),
        (frame(b"x", 0xB), 1002),
        (frame(b"x", CONTINUATION), 1002),
        (frame(b"x", 0x2), 1003),
        (frame(b'{"type":"say","room":"lobby","text":"\xe2\x98"}'), 1007),
        (frame(b"x", 0x8), 1002),
        (closing(1005), 1002),
        (closing(1000, b"\xff"), 1007),
        (closing(1000) + ask(events.Join("lobby")), 1000),
        (frame(b"", is_final=False) + frame(b"x", CONTINUATION, is_final=False) * 40_000, 1009),
    ],
    ids=lambda value: str(value[:12]) if isinstance(value, bytes) else str(value),
)
def test_frames_that_break_a_rule_end_their_connection_with_its_code(
    room: Room, sent: bytes, code: int
) -> None:
    peer = room.page()
    with contextlib.suppress(OSError):  # the end comes before all of it is sent
        peer.sock.sendall(sent)
    data = rest(peer)
    if data:  # what was not read any more may reset the connection first
        assert close_in(data)[0] == code
    room.goes_on()


def test_a_character_in_two_frames_is_one(room: Room) -> None:
    said = '{"type":"say","room":"tea","text":"☕"}'.encode()
    place = said.index("☕".encode()) + 1
    peer = room.page()
    peer.sock.sendall(
        ask(events.Join("tea"))
        + frame(said[:place], is_final=False)
        + frame(said[place:], CONTINUATION)
        + ask(events.History("tea"))
    )
    told = b""
    while b'"history"' not in told:
        told += peer.sock.recv(65_536)
    assert "☕".encode() in told
    room.goes_on()


@pytest.mark.parametrize(
    "nothing",
    [
        frame(b"", CONTINUATION, is_final=False),
        frame(b"", PONG),
        frame(b"x" * 125, PING),
    ],
    ids=["fragments", "pongs", "pings"],
)
def test_a_flood_of_what_asks_for_nothing_is_read_no_faster_than_its_price(nothing: bytes) -> None:
    limits = ServerLimits(flood_burst=20, flood_rate=5, drop_after_ms=600_000)
    with serving(protocol(limits), site=SITE) as server, ExitStack() as stack:
        room = Room(server, stack)
        flood = room.page(frame(b"", is_final=False))
        sent = swamp(flood, nothing * 1_000)
        # What the kernel keeps for both ends, and no more: the server has stopped to read.
        assert sent < 32 * 1024 * 1024
        room.goes_on()


def test_who_asks_and_never_reads_is_given_up_and_nobody_waits() -> None:
    with (
        serving(protocol(), site=SITE, max_backlog_bytes=65_536, stall_timeout_ms=500) as server,
        ExitStack() as stack,
    ):
        room = Room(server, stack)
        page = room.page()
        swamp(page, frame(b"x" * 125, PING) * 1_000)
        while server.connections > 2:
            room.goes_on()


def test_a_ping_between_two_fragments_is_answered_before_the_message_is_whole(room: Room) -> None:
    page = room.page()
    page.sock.sendall(frame(b'{"type":', is_final=False) + frame(b"p", PING))
    data = page.sock.recv(65_536)
    assert told_frames(data) == [(PONG, b"p")]
    page.sock.sendall(frame(b'"ping"}', CONTINUATION))
    assert b'"pong"' in page.sock.recv(65_536)
    page.sock.shutdown(socket.SHUT_WR)
    room.goes_on()
