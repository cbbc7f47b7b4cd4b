"""A browser in the chat: by the first line, through the upgrade, beside people and programs."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tcpchat_core import ChatState, ServerLimits, StateLimits, events, notices
from tcpchat_core.dialects import MAX_FIRST_BYTES, Hangup, Reply, choose
from tcpchat_core.dialects.frames import close_frame, text_frame
from tcpchat_core.dialects.jsonl import JSON, encode_request
from tcpchat_core.dialects.websocket import BEFORE_UPGRADE, JSON_FRAMES, WebSocket
from tcpchat_core.framing import MAX_LINE_BYTES
from tcpchat_core.server import DIALECTS, greeting
from tcpchat_core.server.protocol import PAGE_GRACE_MS
from tests.core.browser import (
    BINARY,
    CLOSE,
    PING,
    PONG,
    SITE,
    TEXT,
    ask,
    close_in,
    closing,
    enter,
    frame,
    get,
    header,
    notices_in,
    sentence,
    status,
    told_frames,
    upgrade,
    web_server,
)
from tests.core.harness import HELLO, MemoryServer, join, session, split_at
from tests.core.strategies import CUTS
from tests.core.test_frames import STREAMS

ALL = (WebSocket(SITE), *DIALECTS)


def talking() -> MemoryServer:
    """Three people in the lobby: 1 has a browser, 2 nc, 3 is a program."""
    server = web_server()
    enter(server, 1)
    server.send(1, ask(events.Hello(), join("lobby")))
    server.connect(2)
    server.send(2, b"/join lobby\n")
    server.connect(3)
    server.send(3, HELLO)
    server.ask(3, join("lobby"))
    for conn in (1, 2, 3):
        server.read(conn)
    return server


# ── Which dialect it is ──────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("first", "found"),
    [
        (b"GET / HTTP/1.1\r\n", "websocket"),
        (b"GET / HTTP/1.1\n", "websocket"),
        (b"GET /" + b"x" * 1_000 + b" HTTP/1.1\r\nHost: localhost\r\n", "websocket"),
        (b"G", None),
        (b"GET", None),
        (b"GET / HTTP/1.1", None),
        (b"HEAD / HTTP/1.1\r\n", "websocket"),
        (b"H", None),
        (b"HEAD /", None),
        (b"HEAD lost\n", "plain"),
        (b"HELLO", "plain"),
        (b"GET / HTTP/1.1\r", None),
        (b"GET lost\n", "plain"),
        (b"GET it speaks HTTP/1.1 \n", "plain"),
        (b"GET / HTTP/1.0\r\n", "websocket"),
        (b"GET / HTTP/0.9\r\n", "plain"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "websocket"),
        (b"GETTING HTTP/1.1\r\n", "plain"),
        (b"get / HTTP/1.1\r\n", "plain"),
        (b"POST / HTTP/1.1\r\n", "websocket"),
        (b"post / HTTP/1.1\r\n", "plain"),
        (b"POST office\n", "plain"),
        (b"\r\nGET / HTTP/1.1\r\n", "plain"),
        (b"GET " + b"x" * MAX_FIRST_BYTES + b" HTTP/1.1\r\n", "plain"),
        (b'{"type":"hello"}\n', "jsonl"),
    ],
)
def test_a_browser_is_known_by_its_first_line(first: bytes, found: str | None) -> None:
    chosen = choose(ALL, first)
    assert (chosen.name if chosen else None) == found


@given(
    first=st.sampled_from([b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", b"GET lost\n/who\n"]),
    cuts=CUTS,
)
@example(first=b"GET " + b"x" * MAX_FIRST_BYTES + b" HTTP/1.1\r\n\r\n", cuts=[MAX_FIRST_BYTES])
def test_however_its_first_bytes_come_a_peer_is_taken_for_the_same(
    first: bytes, cuts: list[int]
) -> None:
    told = []
    for pieces in ([first], split_at(first, cuts), [first[i : i + 1] for i in range(len(first))]):
        server = web_server()
        server.connect(1)
        for piece in pieces:
            server.send(1, piece)
        told.append((server.read(1), server.closed, server.log))
    assert told[0] == told[1] == told[2]


@pytest.mark.parametrize(
    "method", ["POST", "PUT", "PATCH", "OPTIONS", "DELETE", "CONNECT", "TRACE"]
)
def test_who_asks_for_anything_but_to_get_something_is_answered_and_never_in_the_chat(
    method: str,
) -> None:
    server = talking()
    log = len(server.log)
    server.connect(4)
    headers: dict[str, str | None] = {"Content-Type": "text/plain", "Content-Length": "12"}
    server.send(4, get("/", headers).replace(b"GET", method.encode()) + b"/join lobby\nspam\n")
    data = server.read(4)
    assert (status(data), sentence(data)) == (405, "this is a chat; its page is had by GET")
    assert header(data, "Allow") == "GET, HEAD"
    assert server.closed == [4]
    assert len(server.log) == log
    assert [server.read(conn) for conn in (1, 2, 3)] == [b"", b"", b""]


def test_lines_in_the_first_message_of_tls_are_said_by_nobody() -> None:
    server = web_server()
    server.connect(1)
    server.send(1, b"\x16\x03\x01\x02\x00\x01 a ticket\n/join lobby\nspam\n")
    assert server.lines(1)[1:] == ["* Closing: this server does not speak TLS here"]
    assert server.closed == [1]
    assert not list(server.protocol.state.rooms())


# ── Who only gets a file ─────────────────────────────────────────────────────────────────────────


def test_who_gets_a_file_is_answered_and_gone_before_anybody_hears_of_it() -> None:
    server = talking()
    log = len(server.log)
    server.connect(4)
    server.send(4, get("/page.js"))
    assert status(server.read(4)) == 200
    assert server.closed == [4]
    assert len(server.log) == log
    assert server.protocol.get_timer() is not None
    assert [server.read(conn) for conn in (1, 2, 3)] == [b"", b"", b""]


def test_a_second_request_on_a_connection_is_not_looked_at() -> None:
    server = web_server()
    server.connect(1)
    server.send(1, get("/") * 2)
    assert status(server.read(1)) == 200
    assert server.closed == [1]


def test_a_page_is_had_without_the_password() -> None:
    server = web_server(password="sesame")
    server.connect(1)
    server.send(1, get("/"))
    assert status(server.read(1)) == 200


def test_headers_that_take_too_long_end_the_connection_with_a_response() -> None:
    server = web_server()
    server.connect(1)
    for _ in range(10):
        server.send(1, b"GET / HTTP/1.1\r\nA: x\r\n"[: 16 + 6] if server.now == 0 else b"A: x\r\n")
        server.wait(600)
    assert server.closed == [1]
    data = server.read(1)
    assert (status(data), sentence(data)) == (503, "there was no request in time")


def test_the_end_of_a_request_that_is_not_all_there_is_an_end() -> None:
    server = web_server()
    server.connect(1)
    server.send(1, get("/")[:-1])
    server.eof(1)
    assert server.closed == [1]
    assert server.read(1) == b""


def test_what_ends_a_connection_and_its_end_are_one_end() -> None:
    for sent, last_words in ((get("/"), b""), (upgrade() + closing(1000), close_frame(1000))):
        reader = WebSocket(SITE).reader()
        reader.receive_data(sent)
        reader.receive_eof()
        *replies, hangup = reader.requests(9)
        assert all(isinstance(reply, Reply) for reply in replies)
        assert hangup == Hangup("", "", last_words)
        assert not reader.waiting


def test_what_cannot_be_told_in_http_is_not_told() -> None:
    assert BEFORE_UPGRADE.encode(notices.Pinged()) == b""
    data = BEFORE_UPGRADE.encode(notices.Closing("the server is shutting down"))
    assert (status(data), sentence(data)) == (503, "the server is shutting down")
    assert header(data, "Connection") == "close"


# ── A connection that says nothing ───────────────────────────────────────────────────────────────


def test_where_a_browser_has_come_from_a_silent_connection_is_greeted_late() -> None:
    server = web_server()
    server.connect(1, peer="192.0.2.7")
    server.connect(2, peer="192.0.2.7")  # opened ahead, before the request of the other
    server.send(1, get("/"))
    server.wait(500)
    server.connect(3, peer="192.0.2.7")
    server.connect(4, peer="192.0.2.8")
    server.wait(500)
    server.wait(5_000)
    assert [server.read(conn)[:9] for conn in (2, 3, 4)] == [b"", b"", b"* Welcome"]
    assert len(server.log) == 1
    server.send(2, get("/page.js"))
    assert status(server.read(2)) == 200
    server.send(3, b"/who\n")
    assert server.lines(3)[0].startswith("* Welcome")
    server.connect(5, peer="192.0.2.7")
    server.wait(9_999)
    assert server.read(5) == b""
    server.wait(1)
    assert server.lines(5)[0].startswith("* Welcome")


def test_a_connection_that_may_be_opened_ahead_is_closed_without_a_word() -> None:
    server = web_server()
    for conn, peer in enumerate(["192.0.2.7", "192.0.2.7", "192.0.2.8"], 1):
        server.connect(conn, peer=peer)
    server.send(1, get("/"))
    server.stop("the server is shutting down")
    assert (server.read(2), server.lines(3)) == (b"", ["* Closing: the server is shutting down"])
    assert server.closed == [1, 2, 3]


def test_first_bytes_that_tell_nothing_are_not_waited_for_longer_where_browsers_are() -> None:
    server = web_server()
    server.connect(1)
    server.send(1, get("/"))
    server.connect(2)
    server.send(2, b"G")
    server.wait(500)
    assert server.lines(2)[0].startswith("* Welcome")


def test_only_so_many_addresses_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(greeting, "MAX_AHEAD_PEERS", 2)
    server = web_server()
    for conn, peer in enumerate(["a", "b", "a", "c"], 1):
        server.connect(conn, peer=peer)
        server.send(conn, get("/"))
    for conn, peer in enumerate(["a", "b", "c"], 11):
        server.connect(conn, peer=peer)
    server.wait(500)
    assert [bool(server.read(conn)) for conn in (11, 12, 13)] == [False, True, False]


def test_a_silent_connection_is_greeted_and_nobody_else_hears_of_it() -> None:
    server = talking()
    server.connect(4, peer="192.0.2.8")
    server.wait(500)
    assert server.lines(4) == [
        "* Welcome to tcpchat. You are guest-4. /join ROOM to start, /help for more."
    ]
    server.eof(4)
    assert [server.read(conn) for conn in (1, 2, 3)] == [b"", b"", b""]


def test_a_request_behind_a_greeting_ends_the_connection_and_nobody_else_hears_of_it() -> None:
    server = talking()
    server.connect(4, peer="192.0.2.8")
    server.wait(500)
    server.send(4, get("/") + b"/join lobby\n")
    assert server.lines(4)[1:] == ["* Closing: this is a chat, not a web server"]
    assert server.closed == [4]
    assert [server.read(conn) for conn in (1, 2, 3)] == [b"", b"", b""]


# ── In the chat ──────────────────────────────────────────────────────────────────────────────────


def test_a_browser_talks_to_people_and_programs() -> None:
    server = talking()
    server.send(1, ask(events.Say("lobby", "hello", "1")))
    (receipt,) = notices_in(server.read(1))
    assert isinstance(receipt, notices.Sent)
    assert receipt.id == "1"
    assert server.lines(2) == ["[lobby] guest-1: hello"]
    (said,) = server.told(3)
    assert isinstance(said, notices.Said)
    server.send(2, b"/me waves\n")
    (waved,) = notices_in(server.read(1))
    assert isinstance(waved, notices.Said)
    assert (waved.nick, waved.text, waved.emote) == ("guest-2", "waves", True)


def test_a_room_of_browsers_is_told_the_same_bytes_and_messages_in_a_row_are_joined() -> None:
    server = talking()
    enter(server, 4)
    server.send(4, ask(events.Hello(), join("lobby")))
    for conn in (1, 2, 3, 4):
        server.read(conn)
    effects = server.send(2, b"one\ntwo\n")
    assert len(effects) == 1
    told = server.read(1)
    assert [notice.text for notice in notices_in(told) if isinstance(notice, notices.Said)] == [
        "one",
        "two",
    ]
    assert server.read(4) == told
    assert told == b"".join(text_frame(line) for line in server.read(3).splitlines(keepends=True))


@given(data=STREAMS, cuts=CUTS)
@example(data=ask(events.Hello(), join("lobby")) + frame(b"p", PING) + closing(1001), cuts=[7])
@example(data=frame(b"{") + frame(b" ") + frame(b"[" * 300), cuts=[])
def test_any_split_of_what_a_browser_sends_has_the_same_effects(
    data: bytes, cuts: list[int]
) -> None:
    results = []
    data = upgrade() + ask(events.Hello()) + data
    for pieces in ([data], split_at(data, cuts), [data[i : i + 1] for i in range(len(data))]):
        server = web_server()
        server.connect(1)
        for piece in pieces:
            server.send(1, piece)
        server.eof(1)
        results.append((server.output, server.log, server.closed))
    assert results[0] == results[1] == results[2]


@given(data=STREAMS)
def test_arbitrary_frames_never_raise_and_harm_nobody(data: bytes) -> None:
    server = talking()
    enter(server, 4)
    server.send(4, data)
    server.send(2, b"still here\n")
    assert b"still here" in server.output[1]
    head, *_ = told_frames(server.read(4)) or [(TEXT, b"")]
    assert head[0] in (TEXT, PONG, CLOSE)


def test_a_message_is_a_line_and_what_is_none_is_refused_as_a_line_is() -> None:
    server = talking()
    server.send(1, frame(b"nonsense") + frame(b"") + frame(b"{}"))
    first, second = notices_in(server.read(1))
    assert isinstance(first, notices.Rejected)
    assert isinstance(second, notices.Rejected)
    assert (first.reason, second.reason) == ("bad-line", "bad-request")


def test_what_asks_for_nothing_does_not_count_among_what_is_asked_for() -> None:
    reader = WebSocket(SITE).reader()
    reader.receive_data(upgrade() + frame(b"") + frame(b"1", PING) + ask(*[events.Ping()] * 2))
    assert len(reader.requests(2)) == 2
    assert len(reader.requests(1)) == 1
    assert reader.waiting
    assert reader.requests(9) == [events.Ping()]


def test_the_password_is_said_in_hello() -> None:
    server = web_server(password="sesame")
    enter(server, 1)
    server.send(1, ask(events.Hello()))
    (needed,) = notices_in(server.read(1))
    assert isinstance(needed, notices.Rejected)
    assert needed.reason == "password-needed"
    server.send(1, ask(events.Hello(password="sesame")))
    (welcome,) = notices_in(server.read(1))
    assert isinstance(welcome, notices.Welcome)


def test_a_session_that_a_browser_has_lost_is_resumed_by_a_program_too() -> None:
    server = talking()
    enter(server, 4, token="t4")
    server.send(4, ask(events.Hello(), join("lobby")))
    server.lose(4)
    server.send(2, b"are you there?\n")
    server.connect(5, token="t5")
    server.ask(5, events.Hello("t4", {"lobby": 0}))
    resumed, *rest = server.told(5)
    assert isinstance(resumed, notices.Resumed)
    assert "are you there?" in str(rest)


def test_long_answers_come_in_frames_too() -> None:
    server = talking()
    for number in range(20):
        server.send(2, b"%d" % number + b"x" * 1_900 + b"\n")
    server.read(1)
    server.send(1, ask(events.History("lobby", limit=50)))
    (page,) = notices_in(server.read(1))
    assert isinstance(page, notices.HistoryPage)
    assert len(page.messages) == 20


# ── Liveness, and the end ────────────────────────────────────────────────────────────────────────


def test_a_silent_browser_is_asked_whether_it_is_there_and_then_given_up() -> None:
    server = web_server(limits=ServerLimits(ping_after_ms=1_000, drop_after_ms=2_000))
    enter(server, 1)
    server.send(1, ask(events.Hello()))
    server.read(1)
    server.wait(1_000)
    assert notices_in(server.read(1)) == [notices.Pinged()]
    server.send(1, ask(events.Pong()))
    server.wait(1_000)
    server.wait(1_000)
    assert server.closed == [1]
    assert close_in(server.read(1)) == (1001, "")


def test_a_browser_that_asks_for_a_websocket_and_says_nothing_is_closed() -> None:
    server = web_server()
    enter(server, 1)
    server.wait(500)
    server.wait(4_500)
    assert server.closed == [1]
    (_, last), (opcode, _) = told_frames(server.read(1))
    assert b"there was no request in time" in last
    assert opcode == CLOSE


@pytest.mark.parametrize(("retry", "code"), [(None, 1000), (2_000, 1001)])
def test_the_last_notice_is_followed_by_a_close_frame(retry: int | None, code: int) -> None:
    server = talking()
    server.read(1)
    server.stop("the server is shutting down", retry=retry)
    told = server.read(1)
    notice = notices.Closing("the server is shutting down", retry)
    assert told_frames(told)[0] == (TEXT, JSON.encode(notice))
    assert close_in(told) == (code, "")


def test_who_quits_is_told_goodbye_and_closed() -> None:
    server = talking()
    server.send(1, ask(events.Quit("done")))
    assert close_in(server.read(1)) == (1000, "")
    assert server.lines(2) == ["* guest-1 quit (done)"]


def test_a_browser_that_closes_is_answered_and_its_session_waits() -> None:
    server = talking()
    enter(server, 4, token="t4")
    server.send(4, ask(events.Hello(), join("lobby")))
    for conn in (2, 4):
        server.read(conn)
    server.send(4, ask(events.Say("lobby", "bye")) + closing(1000) + ask(events.Say("lobby", "x")))
    assert close_in(server.read(4)) == (1000, "")
    assert server.closed == [4]
    assert server.lines(2) == ["[lobby] guest-4: bye"]
    server.wait(60_000)
    assert server.lines(2) == ["* guest-4 quit (connection lost)"]


@pytest.mark.parametrize("sent", [closing(1000), closing(1001), frame(b"x", BINARY)])
def test_nothing_is_sent_behind_a_close_frame(sent: bytes) -> None:
    server = web_server(delayed=True)
    enter(server, 1)
    server.connect(2)
    server.send(2, HELLO)
    server.ask(2, join("lobby"))
    server.send(1, ask(events.Hello(), join("lobby")))
    while server.proposed:
        server.commit_next()
    server.read(1)
    server.ask(2, events.Say("lobby", "one"))
    server.send(1, frame(b"p", PING) + ask(events.Ping()) + sent)
    server.ask(2, events.Say("lobby", "two"))
    while server.proposed:
        server.commit_next()
    kinds = [opcode for opcode, _ in told_frames(server.read(1))]
    assert kinds == [PONG, TEXT, TEXT, CLOSE]
    assert server.closed == [1]


def test_a_page_that_is_closed_is_gone_in_a_moment_and_one_that_is_loaded_anew_is_back() -> None:
    server = talking()
    for conn in (4, 5, 6):
        enter(server, conn, token=f"t{conn}")
        server.send(conn, ask(events.Hello(), join("lobby")))
    server.read(2)
    server.lose(4)
    server.send(5, closing(1001))
    server.send(6, closing(1001))
    enter(server, 7, token="t7")
    server.send(7, ask(events.Hello("t6")))
    server.wait(PAGE_GRACE_MS - 1)
    assert server.lines(2) == []
    server.wait(1)
    assert server.lines(2) == ["* guest-5 quit (closed the page)"]
    server.wait(60_000 - PAGE_GRACE_MS)
    assert server.lines(2) == ["* guest-4 quit (connection lost)"]
    assert isinstance(notices_in(server.read(7))[0], notices.Resumed)


def test_who_had_to_make_room_for_a_page_that_was_closed_does_not_expire_later() -> None:
    state = ChatState(limits=StateLimits(away=1))
    server = web_server(state=state)
    for conn in (1, 2):
        enter(server, conn, token=f"t{conn}")
        server.send(conn, ask(events.Hello()))
    server.lose(1)
    server.send(2, closing(1001))
    server.lose(2)
    assert state.away(session("t1")) is None
    server.wait_until_nothing_is_due()
    expired = [entry.event for entry in server.log if isinstance(entry.event, events.Expire)]
    assert expired == [events.Expire(session("t2"), "closed the page")]


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (frame(b"x", BINARY), 1003),
        (frame(b"x", mask=None), 1002),
        (frame(b"x", reserved=4), 1002),
        (frame(b'{"type":"say","text":"\xff"}'), 1007),
        (frame(b"x" * (MAX_LINE_BYTES + 1)), 1009),
    ],
)
def test_what_breaks_a_rule_of_websockets_ends_the_connection_with_its_code(
    sent: bytes, code: int
) -> None:
    server = talking()
    server.send(1, ask(events.Say("lobby", "before")) + sent + ask(events.Say("lobby", "after")))
    assert close_in(server.read(1))[0] == code
    assert server.closed == [1]
    assert server.lines(2)[0] == "[lobby] guest-1: before"
    server.eof(1)
    assert server.read(1) == b""


def test_the_longest_line_fits_into_a_message() -> None:
    server = talking()
    server.send(1, frame(b" " * (MAX_LINE_BYTES - 15) + b'{"type":"ping"}'))
    assert notices_in(server.read(1)) == [notices.Ponged()]


# ── What one browser may do to the others ────────────────────────────────────────────────────────


def test_pings_are_answered_in_their_turn_and_cost_a_line_each() -> None:
    limits = ServerLimits(flood_burst=20, flood_rate=5)
    server = web_server(limits=limits)
    enter(server, 1)
    server.send(1, ask(events.Hello(), join("lobby")))
    server.wait(60_000)
    server.read(1)
    server.send(1, b"".join(frame(b"%d" % number, PING) for number in range(100)))
    pongs = told_frames(server.read(1))
    assert len(pongs) <= limits.flood_burst + 1
    assert 1 in server.paused
    server.wait_until_heard(1)
    pongs += [each for each in told_frames(server.read(1)) if each[0] == PONG]
    assert pongs == [(PONG, b"%d" % number) for number in range(100)]


@pytest.mark.parametrize("nothing", [frame(b"", PONG), frame(b"")])
def test_frames_that_ask_for_nothing_have_a_price(nothing: bytes) -> None:
    server = web_server(limits=ServerLimits(flood_burst=20, flood_rate=5))
    enter(server, 1)
    server.send(1, ask(events.Hello()))
    reads = 0
    while 1 not in server.paused:
        server.send(1, nothing * (16_384 // len(nothing)))
        reads += 1
        assert reads < 5, "it costs nothing"


def test_requests_of_a_browser_wait_as_those_of_a_program_do() -> None:
    server = web_server(limits=ServerLimits(flood_burst=20, flood_rate=5))
    enter(server, 1)
    server.send(1, ask(events.Hello(), join("lobby")))
    server.send(1, ask(*[events.Say("lobby", str(number)) for number in range(50)]))
    assert 1 in server.paused
    server.wait_until_heard(1)
    said = [notice for notice in notices_in(server.read(1)) if isinstance(notice, notices.Sent)]
    assert len(said) == 50


def test_a_pong_keeps_its_place_among_the_answers() -> None:
    server = web_server(delayed=True)
    enter(server, 1)
    server.send(1, ask(events.Hello()))
    server.commit_next()
    server.read(1)
    server.send(1, ask(join("lobby")) + frame(b"p", PING) + ask(events.Ping("1")))
    assert server.read(1) == b""
    server.commit_next()
    opcodes = [opcode for opcode, _ in told_frames(server.read(1))]
    assert opcodes == [TEXT, PONG, TEXT]


def test_what_is_framed_is_the_line_of_a_program() -> None:
    notice = notices.Said("lobby", "ada", "hello", 7, 8)
    assert JSON_FRAMES.encode(notice) == text_frame(JSON.encode(notice))
    assert frame(encode_request(events.Ping()), mask=None) == text_frame(
        encode_request(events.Ping())
    )
