"""The frames of a WebSocket (RFC 6455), of a server that speaks text.

`FrameBuffer` takes in what a browser sends: bytes go in, events come out. `text_frame` and
`close_frame` are what goes out. A server's frames are not masked, so everybody can be sent the same
bytes, and frames that are joined are frames.

Rule 1: A message has a bound, in however many frames it comes. What is too long is known by its
        header and never kept, so a buffer holds one message at most.

Rule 2: What breaks a rule ends the connection with the code that says which (section 7.4.1), and
        nothing after that counts.

Rule 3: Extensions are not negotiated. With permessage-deflate every connection would have a window
        of its own, and nobody could be sent what others are.
"""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import Final, NamedTuple, TypeAlias

from tcpchat_core.framing import MAX_LINE_BYTES


class CloseCode(IntEnum):
    """Why a WebSocket is closed, as far as a server of text says so."""

    NORMAL = 1000
    GOING_AWAY = 1001
    PROTOCOL_ERROR = 1002
    NOT_TEXT = 1003
    NOT_UTF8 = 1007
    TOO_BIG = 1009


# ── What can come ────────────────────────────────────────────────────────────────────────────────


class Text(NamedTuple):
    """A message; it is UTF-8."""

    data: bytes


class Ping(NamedTuple):
    """To be answered by a pong with the same data."""

    data: bytes


class End(NamedTuple):
    """The last event: the peer has closed, or broken a rule. `frame` is what to answer.

    `code` is the one that the peer has closed with, if it gave one.
    """

    frame: bytes
    code: int | None = None


FrameEvent: TypeAlias = Text | Ping | End


# ── What goes out ────────────────────────────────────────────────────────────────────────────────

_CONTINUATION, _TEXT, _BINARY, _CLOSE, _PING, _PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
_FINAL: Final = 0x80  # in the first byte: the message ends with this frame
_WHOLE_TEXT: Final = _FINAL | _TEXT
_RESERVED: Final = 0x70
_MASKED: Final = 0x80  # in the second byte

# In the place of a size: it follows, in two bytes or in eight.
_TWO_BYTES, _EIGHT_BYTES = 126, 127

# More a control frame may not have (section 5.5).
MAX_CONTROL_BYTES: Final = 125

_SHORT: Final = tuple(bytes((_WHOLE_TEXT, size)) for size in range(_TWO_BYTES))
_LONG: Final = struct.Struct("!BBH")
_LONGEST: Final = struct.Struct("!BBQ")


def text_frame(data: bytes) -> bytes:
    """A message in one frame."""
    size = len(data)
    if size < _TWO_BYTES:
        return _SHORT[size] + data
    if size < 65_536:
        return _LONG.pack(_WHOLE_TEXT, _TWO_BYTES, size) + data
    return _LONGEST.pack(_WHOLE_TEXT, _EIGHT_BYTES, size) + data


def pong_frame(data: bytes) -> bytes:
    """The answer to a ping."""
    return bytes((_FINAL | _PONG, len(data))) + data


def close_frame(code: int, reason: str = "") -> bytes:
    """The last frame; a reason is short, and in ASCII."""
    data = struct.pack("!H", code) + reason.encode()
    return bytes((_FINAL | _CLOSE, len(data))) + data


# ── What comes in ────────────────────────────────────────────────────────────────────────────────


class _ViolationError(Exception):
    """The peer has broken a rule."""

    def __init__(self, code: CloseCode, reason: str) -> None:
        super().__init__(reason)
        self.code, self.reason = code, reason


# The codes that may stand in a frame (section 7.4, and the registry behind it).
_CODES: Final = (range(1000, 1004), range(1007, 1015), range(3000, 5000))


class FrameBuffer:
    """Collects the bytes of one connection and gives them back as events.

    Holds at most one message of `max_message_bytes`, and of the next frame no more than its head.
    """

    __slots__ = ("_has_ended", "_max_message_bytes", "_message", "_partial")

    def __init__(self, max_message_bytes: int = MAX_LINE_BYTES) -> None:
        self._max_message_bytes = max_message_bytes
        self._partial = bytearray()  # of a frame that is not complete
        self._message: bytearray | None = None  # of which there will be another frame
        self._has_ended = False

    @property
    def held_bytes(self) -> int:
        """How much is held of what is no whole message yet."""
        return len(self._partial) + len(self._message or b"")

    def receive_data(self, data: bytes) -> list[FrameEvent]:
        """Take in what was read; return what is complete now, oldest first."""
        events: list[FrameEvent] = []
        if self._has_ended:
            return events
        received: bytes | bytearray = data
        if self._partial:
            self._partial += data
            received = self._partial
        at = 0
        try:
            while not self._has_ended and (end := self._take_frame(received, at, events)):
                at = end
        except _ViolationError as violation:
            self._has_ended = True
            events.append(End(close_frame(violation.code, violation.reason)))
        if self._has_ended:
            self._partial, self._message = bytearray(), None
        elif self._partial:
            del self._partial[:at]
        elif at < len(data):
            self._partial += data[at:]
        return events

    def _take_frame(
        self, received: bytes | bytearray, at: int, events: list[FrameEvent]
    ) -> int | None:
        """Take the frame at a place; return the place behind it, None when not all of it is there.

        Raises _ViolationError.
        """
        if len(received) < at + 2:
            return None
        first, second = received[at], received[at + 1]
        # Nearly all frames are a whole message, which may come whenever none is under way.
        is_message = first == _WHOLE_TEXT and second >= _MASKED and self._message is None
        if not is_message:
            self._check(first, second)
        size, key = second & ~_MASKED, at + 2
        if size >= _TWO_BYTES:
            key += 2 if size == _TWO_BYTES else 8
            if len(received) < key:
                return None
            size = int.from_bytes(received[at + 2 : key], "big")
        if size > self._max_message_bytes - len(self._message or b"") and first & 0xF < _CLOSE:
            text = f"a message has at most {self._max_message_bytes:,} bytes"
            raise _ViolationError(CloseCode.TOO_BIG, text)
        start = key + 4
        end = start + size
        if len(received) < end:
            return None
        data = _unmasked(received[key:start], received[start:end])
        if is_message:
            events.append(Text(_checked(data)))
        else:
            self._take(first & 0xF, data, events, is_final=first >= _FINAL)
        return end

    def _check(self, first: int, second: int) -> None:
        """Whether a frame may begin so. Raises _ViolationError."""
        opcode = first & 0xF
        wrong = ""
        if first & _RESERVED:
            wrong = "no extension was negotiated"
        elif opcode not in (_CONTINUATION, _TEXT, _BINARY, _CLOSE, _PING, _PONG):
            wrong = "there is no such frame"
        elif not second & _MASKED:
            wrong = "a client masks its frames"
        elif opcode >= _CLOSE:
            if first < _FINAL or second & ~_MASKED > MAX_CONTROL_BYTES:
                wrong = "a control frame is short, and in one piece"
        elif (opcode == _CONTINUATION) != (self._message is not None):
            wrong = "a message ends before the next begins"
        elif opcode == _BINARY:
            raise _ViolationError(CloseCode.NOT_TEXT, "a message is text")
        if wrong:
            raise _ViolationError(CloseCode.PROTOCOL_ERROR, wrong)

    def _take(self, opcode: int, data: bytes, events: list[FrameEvent], *, is_final: bool) -> None:
        """What comes of a frame. Raises _ViolationError."""
        if opcode == _PING:
            events.append(Ping(data))
        elif opcode == _CLOSE:
            answer = _echo(data)
            events.append(End(answer, int.from_bytes(data[:2], "big") if data else None))
            self._has_ended = True
        elif opcode != _PONG:  # nobody has asked for one
            if self._message is None:  # the message has more than this frame
                self._message = bytearray(data)
                return
            self._message += data
            if is_final:
                data, self._message = bytes(self._message), None
                events.append(Text(_checked(data)))


def _unmasked(key: bytes | bytearray, data: bytes | bytearray) -> bytes:
    """What a client has masked (section 5.3): as one number, which is fast without C."""
    size = len(data)
    keys = key * (size // 4 + 1)
    return (int.from_bytes(data, "little") ^ int.from_bytes(keys[:size], "little")).to_bytes(
        size, "little"
    )


def _checked(data: bytes) -> bytes:
    """Text that is UTF-8. Raises _ViolationError."""
    if not data.isascii():
        try:
            data.decode()
        except UnicodeDecodeError:
            raise _ViolationError(CloseCode.NOT_UTF8, "a message is UTF-8") from None
    return data


def _echo(data: bytes) -> bytes:
    """The answer to a close frame: its code, if it has one. Raises _ViolationError."""
    if not data:
        return bytes((_FINAL | _CLOSE, 0))
    code = int.from_bytes(data[:2], "big")
    if len(data) < 2 or not any(code in codes for codes in _CODES):
        raise _ViolationError(CloseCode.PROTOCOL_ERROR, "there is no such close code")
    _checked(data[2:])
    return close_frame(code)
