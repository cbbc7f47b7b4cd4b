"""A WebSocket's frames: any split, any content, every rule of RFC 6455 that a client can break."""

from __future__ import annotations

import struct

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.protocol import OPEN
from websockets.server import ServerProtocol
from websockets.uri import parse_uri

from tcpchat_core.dialects.frames import (
    MAX_CONTROL_BYTES,
    End,
    FrameBuffer,
    FrameEvent,
    Ping,
    Text,
    close_frame,
    pong_frame,
    text_frame,
)
from tests.core.browser import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    close_in,
    closing,
    frame,
    told_frames,
)
from tests.core.harness import split_at
from tests.core.strategies import CUTS, NASTY_TEXT

# Small, so that hypothesis finds the bound.
MAX_BYTES = 300

SIZES = (0, 1, 125, 126, 127, MAX_BYTES)


def received(*pieces: bytes, max_bytes: int = MAX_BYTES) -> list[FrameEvent]:
    """What comes of these pieces; nothing more is held than may be."""
    buffer = FrameBuffer(max_bytes)
    events: list[FrameEvent] = []
    for piece in pieces:
        events += buffer.receive_data(piece)
        assert buffer.held_bytes <= max_bytes + 14, "a message, and the head of a frame"
    return events


# What a client may send, and nearly what it may.
_DATA = st.binary(max_size=MAX_BYTES + 4) | NASTY_TEXT.map(str.encode)
_CODES = st.integers(998, 1016) | st.integers(2998, 5001)
_FRAMES = st.one_of(
    st.builds(frame, NASTY_TEXT.map(str.encode)),
    st.builds(frame, _DATA, st.sampled_from([TEXT, CONTINUATION]), is_final=st.booleans()),
    st.builds(frame, st.binary(max_size=MAX_CONTROL_BYTES), st.sampled_from([PING, PONG])),
    st.builds(closing, _CODES, NASTY_TEXT.map(str.encode)),
    st.builds(frame, _DATA, st.integers(0, 15), is_final=st.booleans(), reserved=st.integers(0, 7)),
    st.builds(frame, _DATA, st.just(TEXT), mask=st.none() | st.binary(min_size=4, max_size=4)),
    st.binary(max_size=20),
)
STREAMS = st.lists(_FRAMES, max_size=6).map(b"".join)


@given(data=STREAMS, cuts=CUTS)
@example(data=frame(b"x" * 299) + frame("é".encode() * 99), cuts=[1, 2, 3, 4, 5, 8, 310])
def test_any_split_of_any_frames_gives_the_same_events(data: bytes, cuts: list[int]) -> None:
    whole = received(data)
    assert received(*split_at(data, cuts)) == whole
    assert received(*(data[place : place + 1] for place in range(len(data)))) == whole


@given(data=STREAMS)
def test_any_bytes_give_text_and_pings_and_at_most_one_end(data: bytes) -> None:
    events = received(data)
    for event in events:
        match event:
            case Text(text):
                text.decode()
                assert len(text) <= MAX_BYTES
            case Ping(payload):
                assert len(payload) <= MAX_CONTROL_BYTES
            case End(answer):
                assert event is events[-1]
                assert told_frames(answer)[0][0] == CLOSE


# ── Another implementation, to say what is right ─────────────────────────────────────────────────


def as_websockets(data: bytes) -> tuple[list[bytes], list[bytes], int | None]:
    """The messages, the pings, and the code that ended it, by the `websockets` package."""
    server = ServerProtocol(state=OPEN, max_size=MAX_BYTES)
    server.receive_data(data)
    messages: list[bytes] = []
    pings: list[bytes] = []
    parts = b""
    for event in server.events_received():
        assert isinstance(event, Frame)
        if event.opcode in (Opcode.TEXT, Opcode.CONT):
            parts += bytes(event.data)
            if event.fin:
                messages.append(parts)
                parts = b""
        elif event.opcode is Opcode.PING:
            pings.append(bytes(event.data))
    return messages, pings, server.close_sent.code if server.close_sent is not None else None


def as_ours(data: bytes) -> tuple[list[bytes], list[bytes], int | None]:
    """The same, by this package."""
    events = received(data)
    code = None
    if events and isinstance(events[-1], End):
        answer = told_frames(events[-1].frame)[0][1]
        code = int.from_bytes(answer[:2], "big") if answer else 1005
    messages = [event.data for event in events if isinstance(event, Text)]
    return messages, [event.data for event in events if isinstance(event, Ping)], code


_VALID = st.one_of(
    st.builds(frame, NASTY_TEXT.map(str.encode)),
    st.builds(
        lambda data, cut: (
            frame(data[:cut], is_final=False) + frame(b"p", PING) + frame(data[cut:], CONTINUATION)
        ),
        NASTY_TEXT.map(str.encode),
        st.integers(0, 24),
    ),
    st.builds(frame, st.binary(max_size=MAX_CONTROL_BYTES), st.sampled_from([PING, PONG])),
)
_LAST = st.one_of(
    st.just(b""),
    st.just(frame(b"", CLOSE)),
    st.builds(closing, _CODES, NASTY_TEXT.map(str.encode)),
    st.builds(frame, st.just(b"x"), st.sampled_from([3, 7, 11, 15, CONTINUATION])),
    st.builds(frame, st.just(b"x"), reserved=st.integers(1, 7)),
    st.just(frame(b"x", mask=None)),
    st.just(frame(b"x" * (MAX_BYTES + 1))),
    st.just(frame(b"x" * 126, PING)),
    st.just(frame(b"x", PING, is_final=False)),
    st.just(frame(b"x", is_final=False) + frame(b"y")),
    st.just(frame(b"x", CLOSE)),
)


@given(valid=st.lists(_VALID, max_size=5).map(b"".join), last=_LAST)
def test_what_comes_of_frames_is_what_another_implementation_says(
    valid: bytes, last: bytes
) -> None:
    assert as_ours(valid + last) == as_websockets(valid + last)


@given(size=st.sampled_from([*SIZES, 65_535, 65_536, 70_000]) | st.integers(0, 400))
def test_another_implementation_reads_what_is_written(size: int) -> None:
    client = ClientProtocol(parse_uri("ws://localhost/"), state=OPEN, max_size=None)
    client.receive_data(text_frame(b"x" * size) + pong_frame(b"p") + close_frame(1001, "bye"))
    text, pong, close = client.events_received()
    assert isinstance(text, Frame)
    assert isinstance(pong, Frame)
    assert isinstance(close, Frame)
    assert (text.opcode, text.data) == (Opcode.TEXT, b"x" * size)
    assert (pong.opcode, pong.data) == (Opcode.PONG, b"p")
    assert (close.opcode, close.data) == (Opcode.CLOSE, struct.pack("!H", 1001) + b"bye")


# ── Sizes ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("size", SIZES)
def test_a_message_of_any_size_up_to_the_bound_is_taken_in(size: int) -> None:
    assert received(frame(b"x" * size)) == [Text(b"x" * size)]


@pytest.mark.parametrize("parts", [1, 2, 3, 7])
def test_a_message_in_several_frames_is_one(parts: int) -> None:
    pieces = [bytes([place]) * (MAX_BYTES // parts) for place in range(parts)]
    frames = [
        frame(piece, CONTINUATION if place else TEXT, is_final=place == parts - 1)
        for place, piece in enumerate(pieces)
    ]
    assert received(frame(b"ping", PING).join(frames)) == [
        *[Ping(b"ping")] * (parts - 1),
        Text(b"".join(pieces)),
    ]


def test_a_ping_may_come_in_the_middle_of_a_message_that_is_as_long_as_may_be() -> None:
    most = frame(b"x" * MAX_BYTES, is_final=False)
    ping = frame(b"p" * MAX_CONTROL_BYTES, PING)
    end = frame(b"", CONTINUATION)
    expected = [Ping(b"p" * MAX_CONTROL_BYTES), Text(b"x" * MAX_BYTES)]
    assert received(most + ping + end) == expected


def test_a_message_of_many_megabytes_is_refused_by_its_head() -> None:
    head = frame(b"x" * 70_000)[:10].replace(struct.pack("!Q", 70_000), struct.pack("!Q", 10**7))
    (end,) = received(head, max_bytes=32_768)
    assert isinstance(end, End)
    assert close_in(end.frame) == (1009, "a message has at most 32,768 bytes")


def test_a_message_without_an_end_has_a_bound() -> None:
    more = frame(b"x" * 100, CONTINUATION, is_final=False)
    *_, end = received(frame(b"x" * 100, is_final=False), *[more] * 3)
    assert isinstance(end, End)
    assert close_in(end.frame)[0] == 1009


def test_frames_without_an_end_that_hold_nothing_are_not_kept() -> None:
    nothing = frame(b"", CONTINUATION, is_final=False) * 1_000
    buffer = FrameBuffer()
    assert buffer.receive_data(frame(b"", is_final=False) + nothing) == []
    assert buffer.held_bytes == 0
    assert buffer.receive_data(frame(b"x", CONTINUATION)) == [Text(b"x")]


# ── Rules that a client can break ────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("broken", "code", "reason"),
    [
        (frame(b"x", reserved=4), 1002, "no extension was negotiated"),
        (frame(b"x", reserved=1), 1002, "no extension was negotiated"),
        (frame(b"x", 0x3), 1002, "there is no such frame"),
        (frame(b"x", 0xF), 1002, "there is no such frame"),
        (frame(b"x", mask=None), 1002, "a client masks its frames"),
        (frame(b"x", CONTINUATION), 1002, "a message ends before the next begins"),
        (frame(b"x", is_final=False) * 2, 1002, "a message ends before the next begins"),
        (frame(b"x", BINARY), 1003, "a message is text"),
        (frame(b"x" * 126, PING), 1002, "a control frame is short, and in one piece"),
        (frame(b"x", PING, is_final=False), 1002, "a control frame is short, and in one piece"),
        (frame(b"\xff"), 1007, "a message is UTF-8"),
        (frame("\ud800".encode(errors="surrogatepass")), 1007, "a message is UTF-8"),
        (frame(b"x" * (MAX_BYTES + 1)), 1009, "a message has at most 300 bytes"),
        (frame(b"x", CLOSE), 1002, "there is no such close code"),
        (closing(1005), 1002, "there is no such close code"),
        (closing(999), 1002, "there is no such close code"),
        (closing(5000), 1002, "there is no such close code"),
        (closing(1000, b"\xff"), 1007, "a message is UTF-8"),
        (closing(1000), 1000, ""),
        (closing(1001, b"bye"), 1001, ""),
        (closing(4321), 4321, ""),
    ],
)
def test_what_ends_a_connection_is_told_by_its_code_and_is_the_last_that_counts(
    broken: bytes, code: int, reason: str
) -> None:
    events = received(frame(b"before") + broken + frame(b"after"), frame(b"later"))
    assert events[0] == Text(b"before")
    end = events[-1]
    assert isinstance(end, End)
    assert close_in(end.frame) == (code, reason)
    assert Text(b"after") not in events
    assert Text(b"later") not in events


def test_a_close_without_a_code_is_answered_by_one() -> None:
    assert received(frame(b"", CLOSE)) == [End(b"\x88\x00")]


def test_a_pong_that_nobody_asked_for_asks_for_nothing() -> None:
    assert received(frame(b"x", PONG)) == []


def test_text_that_is_cut_within_a_character_is_whole_again() -> None:
    data = "é☕".encode()
    pieces = frame(data[:1], is_final=False) + frame(data[1:], CONTINUATION)
    assert received(pieces) == [Text(data)]
