"""The other end of the browser's dialect, as far as tests need it: requests, frames, attacks."""

from __future__ import annotations

import base64
import hashlib
import itertools
import operator
import random
import struct
from collections import deque
from typing import Final, NamedTuple

from tcpchat_core import ChatState, Notice, Request, ServerLimits, ServerProtocol
from tcpchat_core.dialects.http import File, Site
from tcpchat_core.dialects.jsonl import decode_notice, encode_request
from tcpchat_core.dialects.websocket import WebSocket
from tcpchat_core.server import DIALECTS
from tests.core.harness import NO_FLOOD_LIMIT, MemoryServer

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA

# What page there is; the script is worth compressing.
PAGE: Final = File("text/html; charset=utf-8", "e1", b"<!doctype html><title>tcpchat</title>")
SCRIPT: Final = File("text/javascript; charset=utf-8", "e2", b"export {};" * 9, b"(gzip)")
SITE: Final = Site({"/": PAGE, "/page.js": SCRIPT}, frozenset({"chat.example"}))

# The example of RFC 6455, section 1.2.
KEY: Final = "dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT: Final = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

UPGRADE: Final = {
    "Host": "localhost:7667",
    "Connection": "keep-alive, Upgrade",
    "Upgrade": "websocket",
    "Origin": "http://localhost:7667",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": KEY,
    "Sec-WebSocket-Protocol": "tcpchat.jsonl",
    "Sec-WebSocket-Extensions": "permessage-deflate; client_max_window_bits",
}


def get(path: str, headers: dict[str, str | None] | None = None) -> bytes:
    """A request for a file; a header that is None is left out."""
    lines = [f"{name}: {value}" for name, value in (headers or {}).items() if value is not None]
    if "Host" not in (headers or {}):
        lines.append("Host: localhost:7667")
    return "\r\n".join([f"GET {path} HTTP/1.1", *lines, "", ""]).encode("latin-1")


def head_only(request: bytes) -> bytes:
    """The same request, by who wants to know only what would come."""
    return request.replace(b"GET", b"HEAD", 1)


def upgrade(path: str = "/ws", /, **changed: str | None) -> bytes:
    """A page's request for a WebSocket; `changed` are other headers, `_` for a hyphen."""
    changes = {name.replace("_", "-"): value for name, value in changed.items()}
    return get(path, {**UPGRADE, **changes})


def status(data: bytes) -> int:
    """Of the response that this is: one, and all of it."""
    head, _, body = data.partition(b"\r\n\r\n")
    code = int(head.split(b" ")[1])
    if code not in (101, 304):
        assert b"\r\nContent-Length: %d\r\n" % len(body) in head
    return code


def header(data: bytes, name: str) -> str | None:
    """A header of a response."""
    for line in data.partition(b"\r\n\r\n")[0].decode().split("\r\n")[1:]:
        key, _, value = line.partition(": ")
        if key == name:
            return value
    return None


def sentence(data: bytes) -> str:
    """What a refusal says."""
    return data.partition(b"\r\n\r\n")[2].decode().removesuffix("\n")


# ── Frames ───────────────────────────────────────────────────────────────────────────────────────


def frame(
    data: bytes,
    opcode: int = TEXT,
    *,
    is_final: bool = True,
    reserved: int = 0,
    mask: bytes | None = b"\x01\xf2\x03\xf4",
) -> bytes:
    """One frame of a client; unmasked when `mask` is None."""
    head = bytes([(0x80 if is_final else 0) | reserved << 4 | opcode])
    masked = 0x80 if mask is not None else 0
    if len(data) < 126:
        head += bytes([masked | len(data)])
    elif len(data) < 65_536:
        head += bytes([masked | 126]) + struct.pack("!H", len(data))
    else:
        head += bytes([masked | 127]) + struct.pack("!Q", len(data))
    if mask is None:
        return head + data
    keys = itertools.cycle(mask)
    return head + mask + bytes(map(operator.xor, data, keys))


def closing(code: int, reason: bytes = b"") -> bytes:
    """A close frame of a client."""
    return frame(struct.pack("!H", code) + reason, CLOSE)


def ask(*requests: Request) -> bytes:
    """A frame for each request."""
    return b"".join(frame(encode_request(request).rstrip(b"\n")) for request in requests)


class WrongBytesError(AssertionError):
    """What came is nothing that a server may send to a browser."""


def take_frames(data: bytearray) -> list[tuple[int, bytes]]:
    """Take the whole frames of a server from the front: opcodes and data.

    Raises WrongBytesError for one that is in several pieces, is masked, or does not give its size
    in the shortest way.
    """
    frames = []
    while len(data) >= 2:
        first, size = data[0], data[1]
        start = {126: 4, 127: 10}.get(size, 2)
        if first & 0xF0 != 0x80 or size & 0x80:
            raise WrongBytesError(f"a frame begins with {bytes(data[:2])!r}")
        if len(data) < start:
            break
        if start > 2:
            size = int.from_bytes(data[2:start], "big")
            if size < (126 if start == 4 else 65_536):
                raise WrongBytesError(f"a size of {size} has {start - 2} bytes")
        if len(data) < start + size:
            break
        frames.append((first & 0xF, bytes(data[start : start + size])))
        del data[: start + size]
    return frames


def told_frames(data: bytes) -> list[tuple[int, bytes]]:
    """All the frames of a server that these bytes are."""
    rest = bytearray(data)
    frames = take_frames(rest)
    assert not rest, "the last frame is cut off"
    return frames


def notices_in(data: bytes) -> list[Notice]:
    """What a page was told; nothing but notices."""
    frames = told_frames(data)
    assert all(opcode == TEXT for opcode, _ in frames)
    return [decode_notice(payload) for _, payload in frames]


def close_in(data: bytes) -> tuple[int, str]:
    """The code and the reason of the close frame that is the last."""
    opcode, payload = told_frames(data)[-1]
    assert opcode == CLOSE
    return int.from_bytes(payload[:2], "big"), payload[2:].decode()


# ── A page's end of a WebSocket ──────────────────────────────────────────────────────────────────


class Heard(NamedTuple):
    """What came of bytes: the lines of all messages, and what to send back."""

    lines: bytes = b""
    reply: bytes = b""


class RefusedError(Exception):
    """There will be no WebSocket: the server has answered with something else."""


class ClientSocket:
    """What a browser does for its page, sans I/O: the upgrade, frames in both directions.

    Send what `open` returns, then give what comes to `receive_data`. Once it `is_open`, `send`
    makes a message of each line. It ends with the close frame of the server, `code` then, to which
    it has answered, or which answers its own.

    `draw` makes keys, and where messages are cut into fragments, and whether `pings` are between
    them; without it a message is one frame.
    """

    def __init__(
        self, draw: random.Random | None = None, *, fragments: float = 0.0, pings: bool = True
    ) -> None:
        self._draw = draw or random.Random(0)
        self._fragments = fragments
        self._has_pings = pings
        self._key = base64.b64encode(self._draw.randbytes(16)).decode()
        self._data = bytearray()
        self._pings = 0
        self.unanswered: deque[bytes] = deque()  # the pings that were sent
        self.is_open = False
        self.has_ended = False  # the server's close frame came
        self.code: int | None = None  # … with this
        self.closed_with: int | None = None  # the code of the page's own
        self.is_closing = False  # it has sent a close frame

    def open(self) -> bytes:
        """The request for it."""
        return upgrade(Sec_WebSocket_Key=self._key)

    def send(self, lines: bytes) -> bytes:
        """A message for each line; nothing once it is closing."""
        if not self.is_open or self.is_closing:
            return b""
        return b"".join(self.message(line) for line in lines.split(b"\n") if line)

    def close(self, code: int | None = None) -> bytes:
        """The last frame of the page."""
        self.is_closing, self.closed_with = True, code
        return self._frame(b"" if code is None else struct.pack("!H", code), CLOSE)

    def receive_data(self, data: bytes) -> Heard:
        """Take in what came. Raises RefusedError before it is open, and WrongBytesError."""
        self._data += data
        if not self.is_open:
            if not self._is_upgraded():
                return Heard()
            self.is_open = True
        lines, reply = b"", b""
        for opcode, payload in take_frames(self._data):
            if self.has_ended:
                raise WrongBytesError("a frame comes behind the last one")
            if opcode == TEXT:
                lines += _whole_line(payload)
            elif opcode == PONG:
                if not self.unanswered or self.unanswered.popleft() != payload:
                    raise WrongBytesError(f"{payload!r} answers no ping, or not in its turn")
            elif opcode == CLOSE:
                self.has_ended = True
                self.code = int.from_bytes(payload[:2], "big") if payload else None
                if not self.is_closing:
                    reply = self.close(self.code)
            else:
                raise WrongBytesError(f"a server sends no frame of kind {opcode}")
        if self.has_ended and self._data:
            raise WrongBytesError("something comes behind the last frame")
        return Heard(lines, reply)

    def _is_upgraded(self) -> bool:
        """Whether the whole answer is there, and the right one."""
        begun = bytes(self._data[:9])
        if begun != b"HTTP/1.1 "[: len(begun)]:
            raise RefusedError("it does not speak HTTP")
        head, end, _ = bytes(self._data).partition(b"\r\n\r\n")
        if not end:
            return False
        if int(head.split(b" ")[1]) != 101:
            raise RefusedError(head.decode("latin-1"))
        digest = hashlib.sha1(self._key.encode() + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11")
        accept = header(head, "Sec-WebSocket-Accept")
        if accept != base64.b64encode(digest.digest()).decode():
            raise WrongBytesError(f"{accept} is not what the key asks for")
        del self._data[: len(head) + len(end)]
        return True

    def message(self, line: bytes) -> bytes:
        """One message, in a frame or in several."""
        draw = self._draw
        if draw.random() >= self._fragments:
            return self._frame(line, TEXT)
        cuts = sorted(draw.randint(0, len(line)) for _ in range(draw.randint(0, 3)))
        frames = b""
        start = 0
        for place, end in enumerate([*cuts, len(line)]):
            opcode = CONTINUATION if place else TEXT
            frames += self._frame(line[start:end], opcode, is_final=place == len(cuts))
            start = end
            if self._has_pings and draw.random() < 0.1:
                frames += self.ping()
        return frames

    def ping(self) -> bytes:
        """Ask for a pong."""
        self._pings += 1
        self.unanswered.append(b"%d" % self._pings)
        return self._frame(self.unanswered[-1], PING)

    def _frame(self, data: bytes, opcode: int, *, is_final: bool = True) -> bytes:
        return frame(data, opcode, is_final=is_final, mask=self._draw.randbytes(4))


def _whole_line(payload: bytes) -> bytes:
    """A message of a server: one line, with its end, in UTF-8. Raises WrongBytesError."""
    try:
        payload.decode()
    except UnicodeDecodeError:
        raise WrongBytesError("a message is not UTF-8") from None
    if payload.find(b"\n") != len(payload) - 1:
        raise WrongBytesError(f"a message is not one line: {payload[:40]!r}")
    return payload


# ── A server that browsers can come to ───────────────────────────────────────────────────────────


def web_server(
    *,
    state: ChatState | None = None,
    limits: ServerLimits = NO_FLOOD_LIMIT,
    password: str = "",
    delayed: bool = False,
) -> MemoryServer:
    """A server of all dialects."""
    protocol = ServerProtocol(
        state or ChatState(),
        limits=limits,
        password=password,
        dialects=(WebSocket(SITE), *DIALECTS),
    )
    return MemoryServer(protocol, delayed=delayed)


def enter(server: MemoryServer, conn: int, *, token: str = "") -> None:
    """A page connects and asks for its WebSocket, which it gets."""
    server.connect(conn, token=token)
    server.send(conn, upgrade())
    assert status(server.read(conn)) == 101
