"""The other end of the browser's dialect, as far as tests need it: requests, frames, attacks."""

from __future__ import annotations

import struct
from typing import Final

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
    return head + mask + bytes(byte ^ mask[place % 4] for place, byte in enumerate(data))


def closing(code: int, reason: bytes = b"") -> bytes:
    """A close frame of a client."""
    return frame(struct.pack("!H", code) + reason, CLOSE)


def ask(*requests: Request) -> bytes:
    """A frame for each request."""
    return b"".join(frame(encode_request(request).rstrip(b"\n")) for request in requests)


def told_frames(data: bytes) -> list[tuple[int, bytes]]:
    """The frames of a server: opcodes and data. They are whole, final, and not masked."""
    frames = []
    while data:
        first, size = data[0], data[1]
        start = 2
        if size == 126:
            (size,), start = struct.unpack_from("!H", data, 2), 4
            assert size > 125
        elif size == 127:
            (size,), start = struct.unpack_from("!Q", data, 2), 10
            assert size > 65_535
        assert first & 0xF0 == 0x80
        assert len(data) >= start + size, "the last frame is cut off"
        frames.append((first & 0xF, data[start : start + size]))
        data = data[start + size :]
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


# ── A server that browsers can come to ───────────────────────────────────────────────────────────


def web_server(
    *, limits: ServerLimits = NO_FLOOD_LIMIT, password: str = "", delayed: bool = False
) -> MemoryServer:
    """A server of all dialects."""
    protocol = ServerProtocol(
        ChatState(), limits=limits, password=password, dialects=(WebSocket(SITE), *DIALECTS)
    )
    return MemoryServer(protocol, delayed=delayed)


def enter(server: MemoryServer, conn: int, *, token: str = "") -> None:
    """A page connects and asks for its WebSocket, which it gets."""
    server.connect(conn, token=token)
    server.send(conn, upgrade())
    assert status(server.read(conn)) == 101
