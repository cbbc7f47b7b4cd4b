"""Bytes: any split, any content, both dialects, both sides."""

from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tcpchat_core import ClientProtocol, Notice, RemoteError, Request, events
from tcpchat_core.dialects.jsonl import JSON, decode_notice, decode_request, encode_request
from tcpchat_core.dialects.plain import decode_line
from tcpchat_core.dialects.telnet import MAX_TELNET_BYTES, strip_telnet
from tcpchat_core.framing import MAX_LINE_BYTES, LineBuffer, TooLong
from tcpchat_core.notices import Rejected
from tests.core import checkers, strategies
from tests.core.harness import split_at
from tests.core.strategies import CUTS, JSON_LINES, NASTY_TEXT, NEGOTIATIONS, PLAIN_LINES, WORDS

ANY_LINES = strategies.mutated(JSON_LINES) | strategies.mutated(PLAIN_LINES) | st.binary()

# ── The server's side ────────────────────────────────────────────────────────────────────────


@given(data=ANY_LINES, cuts=CUTS)
@example(data=b"\xff\xfb\x01\xff\xfa" + b"x" * 300 + b"\n/who\n", cuts=[])
@example(data=b"{" + b"x" * (MAX_LINE_BYTES + 5) + b'\n{"type":"ping"}\n', cuts=[40_000])
def test_any_split_of_any_input_has_the_same_effects(data: bytes, cuts: list[int]) -> None:
    checkers.check_any_split(data, cuts)


@given(data=ANY_LINES | st.binary().map(b"{".__add__))
def test_arbitrary_bytes_never_raise_and_get_only_documented_answers(data: bytes) -> None:
    checkers.check_arbitrary_bytes(data)


@given(bad=st.binary().map(lambda data: b"/" + data.replace(b"\n", b"").replace(b"\xff", b"")))
@example(bad=b"x" * (MAX_LINE_BYTES + 10))
@example(bad=b"\xc3(")
def test_good_lines_before_and_after_a_bad_one_count(bad: bytes) -> None:
    if not bad.lower().startswith((b"/join", b"/room", b"/quit", b"/exit", b"/out", b"/nick")):
        checkers.check_good_lines_count(bad)


@given(requests=st.lists(strategies.requests(NASTY_TEXT | WORDS), max_size=6), motd=NASTY_TEXT)
@example(requests=[events.Say("lobby", "a\x9b31m\u2028\u202e", "\x1b")], motd="\x9b")
@example(requests=[events.Nick("\x1b"), events.Tell("\x1b\x9b", "x"), events.Help("\x9b")], motd="")
@example(
    requests=[events.Topic("lobby", "\x9bt"), events.Join("\x9b"), events.Who("\x9b")], motd=""
)
def test_nothing_forbidden_leaves_the_server_in_any_field(
    requests: list[Request], motd: str
) -> None:
    checkers.check_nothing_forbidden_leaves(requests, motd)


@given(line=st.binary() | JSON_LINES | PLAIN_LINES)
def test_both_dialects_decode_anything_to_something(line: bytes) -> None:
    answers = (*get_args(Request), Rejected, type(None))
    for decode in (decode_request, decode_line):
        assert isinstance(decode(line), answers)


# ── JSON Lines are inverse ───────────────────────────────────────────────────────────────────


@given(request=strategies.requests(NASTY_TEXT))
def test_a_request_decodes_to_what_was_encoded(request: Request) -> None:
    line = encode_request(request)
    assert line.endswith(b"\n")
    assert b"\n" not in line[:-1]
    decoded = decode_request(line[:-1])
    if checkers.is_good_id(getattr(request, "id", None)):
        assert decoded == request


@given(notice=strategies.notices(NASTY_TEXT))
def test_a_notice_decodes_to_what_was_encoded(notice: Notice) -> None:
    line = JSON.encode(notice)
    assert line.endswith(b"\n")
    assert b"\n" not in line[:-1]
    assert line.startswith(b'{"type":')
    assert decode_notice(line) == notice


# ── Framing ──────────────────────────────────────────────────────────────────────────────────


@given(
    lines=st.lists(st.binary(max_size=20).map(lambda data: data.replace(b"\n", b""))),
    cuts=CUTS,
    max_line_bytes=st.integers(0, 12),
)
@example(
    lines=[b"x" * 12, b"x" * 11 + b"\r", b"x" * 10 + b"\r", b"ok"], cuts=[12], max_line_bytes=10
)
def test_framing_is_bounded_and_back_in_step(
    lines: list[bytes], cuts: list[int], max_line_bytes: int
) -> None:
    checkers.check_framing(lines, cuts, max_line_bytes)


def test_a_line_that_is_too_long_is_reported_once_before_its_end() -> None:
    buffer = LineBuffer(4)
    assert buffer.receive_data(b"12345") == []
    (too_long,) = buffer.receive_data(b"6")
    assert repr(too_long) == "TOO_LONG"
    assert isinstance(too_long, TooLong)
    for _ in range(3):
        assert buffer.receive_data(b"x" * 1000) == []
        assert buffer.partial_bytes == 0
    assert buffer.receive_data(b"end\nok\r\n\n") == [b"ok", b""]


def test_one_carriage_return_before_the_end_is_dropped() -> None:
    assert LineBuffer().receive_data(b"a\r\nb\r\r\n\rc\n") == [b"a", b"b\r", b"\rc"]


# ── Telnet ───────────────────────────────────────────────────────────────────────────────────


@given(
    pieces=st.lists(st.binary(max_size=8).map(lambda data: data.replace(b"\xff", b"")), max_size=5),
    negotiations=st.lists(NEGOTIATIONS, min_size=5, max_size=5),
    cuts=CUTS,
)
def test_telnet_negotiation_is_taken_out_of_any_split(
    pieces: list[bytes], negotiations: list[bytes], cuts: list[int]
) -> None:
    checkers.check_telnet(pieces, negotiations, cuts)


def test_each_kind_of_negotiation_is_taken_out() -> None:
    window_size = b"\xff\xfa\x1f\x00\x50\x00\x18\xff\xf0"
    assert strip_telnet(b"a\xff\xfd\x03b\xff\xf1c" + window_size + b"d", b"") == (b"abcd", b"")


def test_a_subnegotiation_without_an_end_is_bounded_and_becomes_text() -> None:
    start = b"\xff\xfa"
    text, pending = strip_telnet(start + b"x" * (MAX_TELNET_BYTES - 3), b"")
    assert (text, len(pending)) == (b"", MAX_TELNET_BYTES - 1)
    assert strip_telnet(b"x", pending) == (b"x" * (MAX_TELNET_BYTES - 2), b"")


@pytest.mark.parametrize("start", [b"\xff", b"\xff\xfb", b"\xff\xfa", b"\xff\xfa\x18\xff"])
def test_the_start_of_a_negotiation_waits_for_the_rest(start: bytes) -> None:
    assert strip_telnet(b"hi" + start, b"") == (b"hi", start)


# ── The client's side ────────────────────────────────────────────────────────────────────────

NOTICE_LINES = strategies.notices(NASTY_TEXT | WORDS).map(JSON.encode)


@given(data=strategies.mutated(NOTICE_LINES) | st.binary(), cuts=CUTS)
@example(data=b"[" * 100_000 + b"\n", cuts=[])
@example(data=b'{"type":"said","x":' + b"[" * 100_000 + b"\n", cuts=[])
@example(data=b'{"type":"sent","at":' + b"9" * 5000 + b"}\n", cuts=[])
def test_a_client_raises_nothing_but_remote_error(data: bytes, cuts: list[int]) -> None:
    checkers.check_client(data, cuts)


@given(told=st.lists(strategies.notices(NASTY_TEXT | WORDS), max_size=5), cuts=CUTS)
def test_a_client_is_told_the_same_under_any_split(told: list[Notice], cuts: list[int]) -> None:
    data = b"".join(map(JSON.encode, told))
    whole, split = ClientProtocol(), ClientProtocol()
    expected = whole.receive_data(data)
    heard: list[Notice] = []
    reply = b""
    for piece in split_at(data, cuts):
        received = split.receive_data(piece)
        heard += received.notices
        reply += received.reply
    assert (heard, reply) == expected
    checkers.check_no_forbidden_text(checkers.texts_in(tuple(heard)))


def test_a_server_that_talks_nonsense_is_a_remote_error_with_a_safe_sentence() -> None:
    with pytest.raises(RemoteError, match="does not speak tcpchat's protocol") as raised:
        ClientProtocol().receive_data(b"HTTP/1.1 400 \x1b[31mBad Request\r\n")
    checkers.check_no_forbidden_text([str(raised.value)])


@settings(max_examples=20)
@given(limit=st.integers(0, 40))
def test_a_client_bounds_what_it_keeps_of_a_line(limit: int) -> None:
    client = ClientProtocol()
    client._buffer = LineBuffer(limit)
    with pytest.raises(RemoteError, match="a line of more than"):
        client.receive_data(b"x" * (limit + 2))
