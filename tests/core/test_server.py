"""ServerProtocol, rule by rule: connections, dialects, order, limits and timers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tcpchat_core import (
    VERSION,
    Broadcast,
    ChatState,
    Effect,
    Event,
    LocalError,
    Notice,
    ServerLimits,
    ServerProtocol,
    StateLimits,
    events,
    notices,
)
from tcpchat_core.dialects.jsonl import encode_request
from tcpchat_core.framing import MAX_LINE_BYTES
from tcpchat_core.server.access import MAX_PASSWORD_PEERS
from tcpchat_core.server.greeting import GREET_AFTER_MS
from tcpchat_core.server.propose import MAX_TEXT_CHARS
from tcpchat_core.server.queries import MAX_ROOMS_LISTED
from tcpchat_core.server.rate import (
    MAX_OUTSTANDING,
)
from tests.core.harness import HELLO, MemoryServer, entry, join, say, session

GREETING = "* Welcome to tcpchat. You are guest-1. /join ROOM to start, /help for more."


def typed(*lines: str) -> tuple[MemoryServer, list[str]]:
    """One person types these lines; what they are told of them after the greeting."""
    server = MemoryServer()
    server.connect(1)
    server.send(1, b"\n")
    assert server.lines(1) == [GREETING]
    for line in lines:
        server.send(1, f"{line}\n".encode())
    return server, server.lines(1)


def programs(count: int, *, server: MemoryServer | None = None) -> MemoryServer:
    """A server with programs on connections 1, 2, …, who have read their welcome."""
    server = server or MemoryServer()
    for conn in range(1, count + 1):
        server.connect(conn)
        server.send(conn, HELLO)
        server.read(conn)
    return server


def rejections(heard: list[Notice]) -> list[tuple[str, str, str | None]]:
    """Reason, request and id of each refusal; everything must be one."""
    refused: list[tuple[str, str, str | None]] = []
    for notice in heard:
        assert isinstance(notice, notices.Rejected), notice
        refused.append((notice.reason, notice.request, notice.id))
    return refused


# ── Which dialect ────────────────────────────────────────────────────────────────────────────


def test_the_first_byte_selects_json_lines() -> None:
    server = MemoryServer()
    server.connect(1)
    server.send(1, b"{")
    assert server.read(1) == b""
    server.send(1, HELLO[1:])
    (welcome,) = server.told(1)
    assert isinstance(welcome, notices.Welcome)
    assert (welcome.nick, welcome.server, welcome.version) == ("guest-1", "tcpchat", VERSION)
    assert welcome.limits is not None
    assert welcome.limits.line_bytes == MAX_LINE_BYTES
    assert welcome.limits.text_chars == MAX_TEXT_CHARS
    assert welcome.limits.rooms_per_person == server.protocol.state.limits.rooms_per_person


def test_any_other_first_byte_selects_the_plain_dialect() -> None:
    server = MemoryServer()
    server.connect(1)
    server.send(1, b" {")
    assert server.lines(1) == [GREETING]


def test_a_silent_connection_is_greeted_as_plain_after_half_a_second() -> None:
    server = MemoryServer()
    server.connect(1)
    assert GREET_AFTER_MS == 500
    assert server.protocol.get_timer() == 500
    server.wait(499)
    assert server.lines(1) == []
    server.wait(1)
    assert server.lines(1) == [GREETING]
    assert server.protocol.get_timer() is None


def test_the_greeting_timer_leaves_alone_who_has_spoken_or_gone() -> None:
    server = MemoryServer()
    for conn in (1, 2):
        server.connect(conn)
    server.send(1, HELLO)
    server.read(1)
    server.lose(2)
    server.wait(500)
    assert server.read(1) == server.read(2) == b""
    assert [entry.conn for entry in server.log] == [1]


def test_a_program_that_speaks_too_late_is_taken_for_a_person() -> None:
    server = MemoryServer()
    server.connect(1)
    server.wait(500)
    server.send(1, HELLO)
    assert server.lines(1)[1].startswith("! no-current-room: ")


def test_no_bytes_say_nothing() -> None:
    server = MemoryServer()
    server.connect(1)
    assert server.send(1, b"") == []
    server.send(1, HELLO)
    assert len(server.told(1)) == 1


def test_hello_is_optional_and_only_the_first_request() -> None:
    server = MemoryServer()
    server.connect(1)
    server.ask(1, events.Ping("a"), events.Hello())
    welcome, pong, refused = server.told(1)
    assert isinstance(welcome, notices.Welcome)
    assert pong == notices.Ponged("a")
    assert rejections([refused]) == [("bad-request", "hello", None)]


def test_how_far_one_has_read_is_for_all_of_ones_devices_to_know() -> None:
    server = programs(1)
    server.ask(1, events.Join("Lobby"), events.Read("Lobby", 1))
    assert server.log[-1].event == events.Read("Lobby", 1, "lobby", marks=True)


def test_telnet_negotiation_is_no_text() -> None:
    server = MemoryServer()
    server.connect(1)
    server.send(1, b"\xff\xfd\x03\xff\xfa\x1f\x00\x50")
    server.send(1, b"\x00\x18\xff\xf0/join lobby\r\n")
    assert server.lines(1)[1:] == ["* You joined lobby (1 here: guest-1)."]


def test_of_a_paste_only_the_lines_that_cannot_be_read_are_refused() -> None:
    server, _ = typed("/join lobby")
    server.send(1, b"/me waves\n\xe9\n")
    server.send(1, b"x" * 40_000 + b"\n/leave\n")
    assert server.lines(1) == [
        "! bad-line: a line must be UTF-8 text",
        "! bad-line: a line has at most 32,768 bytes; this one was thrown away",
        "* You left lobby",
    ]


def test_the_message_of_the_day_is_sanitised() -> None:
    server = MemoryServer(ServerProtocol(ChatState(), motd=["\x1b[31mred", "two"]))
    server.connect(1)
    server.send(1, b"\n")
    assert server.lines(1)[1:] == ["* [31mred", "* two"]


# ── The order of answers ─────────────────────────────────────────────────────────────────────


def test_queries_and_refusals_wait_for_what_was_proposed_before_them() -> None:
    server = MemoryServer(delayed=True)
    server.connect(1)
    server.ask(
        1,
        join("lobby"),
        events.Who("lobby"),
        events.Nick("a:b"),
        events.Out("lobby"),
        events.Rooms(),
    )
    told = []
    while server.proposed:
        assert server.told(1) == []
        server.commit_next()
        told.append([type(notice) for notice in server.told(1)])
    assert told == [
        [notices.Welcome],
        [notices.Entered, notices.Members, notices.Rejected],
        [notices.Left, notices.RoomList],
    ]


def test_what_is_asked_when_nothing_is_outstanding_is_answered_at_once() -> None:
    server = programs(1)
    server.delayed = True
    server.ask(1, events.Ping("now"))
    assert server.told(1) == [notices.Ponged("now")]


def test_after_too_many_outstanding_proposals_lines_wait_and_reading_pauses() -> None:
    server = MemoryServer(delayed=True)
    server.connect(1)
    pings = b"".join(encode_request(events.Say("lobby", str(n))) for n in range(MAX_OUTSTANDING))
    server.send(1, encode_request(join("lobby")) + pings + encode_request(events.Ping("end")))
    assert len(server.proposed) == MAX_OUTSTANDING  # the first is Connect
    assert 1 in server.paused
    while len(server.proposed) > 1:
        server.commit_next()
    assert 1 in server.paused
    server.commit_next()
    assert 1 not in server.paused
    assert [event for proposed in server.proposed for event in proposed.events] == [
        events.Say("lobby", str(n), key="lobby") for n in (MAX_OUTSTANDING - 2, MAX_OUTSTANDING - 1)
    ]
    server.commit_next()
    server.commit_next()
    told = server.told(1)
    receipts = [notice.seq for notice in told if isinstance(notice, notices.Sent)]
    first = receipts[0]
    assert first is not None
    assert receipts == list(range(first, first + MAX_OUTSTANDING))
    assert told[-1] == notices.Ponged("end")


def test_answers_that_wait_are_bounded_too() -> None:
    server = MemoryServer(delayed=True)
    server.connect(1)
    pings = [encode_request(events.Ping(str(number))) for number in range(3 * MAX_OUTSTANDING)]
    for ping in pings[:MAX_OUTSTANDING]:
        assert 1 not in server.paused
        server.send(1, ping)
    server.send(1, b"".join(pings[MAX_OUTSTANDING:]))
    assert 1 in server.paused
    server.commit_next()
    assert 1 not in server.paused
    _, *pongs = server.told(1)
    assert pongs == [notices.Ponged(str(number)) for number in range(len(pings))]


def test_end_of_input_is_dealt_with_after_the_lines_that_had_to_wait() -> None:
    server = MemoryServer(delayed=True)
    server.connect(1)
    server.send(1, encode_request(join("lobby")) * (MAX_OUTSTANDING + 5))
    server.eof(1)
    while server.proposed:
        server.commit_next()
    assert len(server.log) == 1 + MAX_OUTSTANDING + 5 + 1
    assert server.log[-1].event == events.Disconnect("")
    assert server.closed == [1]


# ── Ends of connections ──────────────────────────────────────────────────────────────────────


def test_a_connection_number_is_not_made_twice() -> None:
    server = programs(1)
    with pytest.raises(LocalError, match="connection 1 was made twice"):
        server.connect(1)


def test_quit_is_answered_and_what_follows_is_ignored() -> None:
    server = programs(1)
    quit_and_more = encode_request(events.Quit("bye")) + encode_request(events.Ping())
    server.send(1, quit_and_more)
    server.send(1, encode_request(events.Ping()))
    server.eof(1)
    server.lose(1)
    assert server.told(1) == [notices.Closing("bye")]
    assert server.closed == [1]
    assert len(server.log) == 2


@pytest.mark.parametrize("then", ["more", "eof", "lost"])
def test_nothing_comes_after_a_quit_that_is_still_in_the_log(then: str) -> None:
    server = programs(1)
    server.delayed = True
    server.ask(1, events.Quit())
    match then:
        case "more":
            server.ask(1, events.Ping())
        case "eof":
            server.eof(1)
        case _:
            server.lose(1)
    assert [event for proposed in server.proposed for event in proposed.events] == [events.Quit()]
    server.commit_next()
    assert server.told(1) == ([] if then == "lost" else [notices.Closing("bye")])
    assert server.closed == ([] if then == "lost" else [1])
    assert server.protocol.state.people == 0


def test_a_quit_that_is_refused_ends_nothing() -> None:
    server = programs(1)
    server.ask(1, events.Quit("x" * 201), events.Ping())
    refused, pong = server.told(1)
    assert rejections([refused]) == [("too-long", "quit", None)]
    assert pong == notices.Ponged()


def test_lines_before_the_end_of_input_count_and_a_partial_one_is_refused() -> None:
    server = programs(2)
    server.ask(2, join("lobby"))
    server.read(2)
    server.send(1, encode_request(join("lobby")) + encode_request(events.Say("lobby", "hi")))
    server.send(1, b'{"type":"say","room":"lobby","text":"lost"}')
    server.eof(1)
    server.eof(1)
    server.ask(1, events.Ping())
    *_, sent, refused = server.told(1)
    assert isinstance(sent, notices.Sent)
    assert rejections([refused]) == [("bad-line", "", None)]
    heard = [type(notice) for notice in server.told(2)]
    assert heard == [notices.Joined, notices.Said, notices.Gone]
    assert server.closed == [1]


def test_end_of_input_before_any_byte_only_closes() -> None:
    server = MemoryServer()
    server.connect(1)
    server.eof(1)
    assert server.closed == [1]
    assert server.log == []
    server.wait(500)
    assert server.read(1) == b""


def test_end_of_input_in_the_middle_of_the_first_line_is_refused_and_closed() -> None:
    server = MemoryServer()
    server.connect(1)
    server.send(1, b'{"type"')
    server.eof(1)
    assert rejections(server.told(1)) == [("bad-line", "", None)]
    assert server.closed == [1]
    assert server.log == []


def test_a_connection_lost_before_any_byte_was_nobody() -> None:
    server = MemoryServer()
    server.connect(1)
    server.lose(1)
    server.lose(1)
    assert server.log == []
    assert server.closed == []


def test_a_lost_connection_is_gone_for_the_others_with_the_reason() -> None:
    server = programs(2)
    for conn in (1, 2):
        server.ask(conn, join("lobby"))
    server.read(2)
    server.lose(1, "too slow\x1b")
    assert server.told(2) == [notices.Gone("guest-1", "too slow")]
    assert server.closed == []


def test_what_a_lost_connection_asked_for_before_still_happens() -> None:
    server = programs(2)
    for conn in (1, 2):
        server.ask(conn, join("lobby"))
        server.read(conn)
    server.delayed = True
    server.ask(1, events.Say("lobby", "famous last words"), events.Ping())
    server.lose(1)
    assert server.send(1, HELLO) == []
    while server.proposed:
        server.commit_next()
    said, gone = server.told(2)
    assert isinstance(said, notices.Said)
    assert gone == notices.Gone("guest-1", "connection lost")
    assert notices.Ponged() not in server.told(1)


def test_stopping_tells_everybody_and_closes() -> None:
    server = programs(1)
    server.connect(2)
    server.connect(3)
    server.send(3, b"\n")
    server.read(3)
    server.connect(4)
    server.send(4, HELLO)
    server.delayed = True
    server.lose(4)
    server.read(4)
    server.stop("restart", retry=1000)
    assert server.told(1) == [notices.Closing("restart", 1000)]
    assert server.lines(2) == server.lines(3) == ["* Closing: restart"]
    assert server.read(4) == b""
    assert server.closed == [1, 2, 3]
    assert server.protocol.get_timer() is None
    assert server.send(1, HELLO) == []


def test_the_last_words_for_a_connection_are_in_its_dialect() -> None:
    server = programs(1)
    server.connect(2)
    json_line = b'{"type":"closing","reason":"full","retry":5}\n'
    assert server.protocol.closing(1, "full", retry=5) == json_line
    assert server.protocol.closing(2, "full") == b"* Closing: full\n"
    server.send(1, encode_request(events.Quit()))
    for told_or_never_here in (1, 99):
        assert server.protocol.closing(told_or_never_here, "full") == b""


# ── What is refused before it is proposed ────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("line", "refused"),
    [
        (b"nonsense\n", ("bad-line", "", None)),
        (b'{"type":"say"\n', ("bad-line", "", None)),
        (b'{"type":"say","room":"a","text":"\xff"}\n', ("bad-line", "", None)),
        (b'{"type":"say","room":"a","text":"\\ud800"}\n', ("bad-line", "", None)),
        (b'{"type":"say","room":"a","text":"\xff","id":"7"}\n', ("bad-line", "", "7")),
        (b'"hello"\n', ("bad-request", "", None)),
        (b"[" * 20_000 + b"\n", ("bad-request", "", None)),
        (b'{"a":' + b"[" * 20_000 + b"\n", ("bad-line", "", None)),
        (b"x" * (MAX_LINE_BYTES + 1) + b"\n", ("bad-line", "", None)),
        (b'{"type":"fly"}\n', ("bad-request", "fly", None)),
        (b'{"type":"connect"}\n', ("bad-request", "connect", None)),
        (b'{"type":"disconnect","reason":"x"}\n', ("bad-request", "disconnect", None)),
        (b'{"type":1}\n', ("bad-request", "", None)),
        (b'{"type":"say","id":"7"}\n', ("bad-request", "say", "7")),
        (b'{"type":"say","id":7}\n', ("bad-request", "say", None)),
        (b'{"type":7,"id":"7"}\n', ("bad-request", "", "7")),
        (b'{"type":"say","id":"%s"}\n' % (b"x" * 65), ("bad-request", "say", "x" * 65)),
        (b'{"type":"say","id":"\\u001b"}\n', ("bad-request", "say", None)),
        (b'{"type":"ping","id":"%s"}\n' % (b"x" * 65), ("bad-request", "ping", "x" * 65)),
        (b'{"type":"ping","id":"\\u202e"}\n', ("bad-request", "ping", None)),
        (b'{"type":"nick","nick":""}\n', ("bad-name", "nick", None)),
        (b'{"type":"nick","nick":"a b"}\n', ("bad-name", "nick", None)),
        (b'{"type":"nick","nick":"System"}\n', ("reserved-name", "nick", None)),
        (b'{"type":"nick","nick":"guest-9"}\n', ("reserved-name", "nick", None)),
        (b'{"type":"join","room":"a/b"}\n', ("bad-name", "join", None)),
        (b'{"type":"join","room":""}\n', ("no-current-room", "join", None)),
        (b'{"type":"say","room":"","text":"x","id":"7"}\n', ("no-current-room", "say", "7")),
        (b'{"type":"say","room":"a","text":"","id":"7"}\n', ("empty-text", "say", "7")),
        (b'{"type":"say","room":"a","text":" \\u0007 "}\n', ("empty-text", "say", None)),
        (b'{"type":"say","room":"a","text":"%s"}\n' % (b"x" * 2001), ("too-long", "say", None)),
        (b'{"type":"tell","nick":"a","text":"","id":"7"}\n', ("empty-text", "tell", "7")),
        (b'{"type":"tell","nick":"a b","text":"x","id":"7"}\n', ("no-such-nick", "tell", "7")),
        (b'{"type":"topic","room":"a","topic":" "}\n', ("empty-text", "topic", None)),
        (b'{"type":"topic","room":"a","topic":"%s"}\n' % (b"x" * 301), ("too-long", "topic", None)),
        (b'{"type":"topic","room":"a"}\n', ("not-in-room", "topic", None)),
        (b'{"type":"out","room":""}\n', ("no-current-room", "out", None)),
        (b'{"type":"who","room":"a"}\n', ("not-in-room", "who", None)),
        (b'{"type":"history","room":"a"}\n', ("not-in-room", "history", None)),
        (b'{"type":"history","room":"a b"}\n', ("bad-name", "history", None)),
        (b'{"type":"history","room":"a","limit":"x"}\n', ("bad-request", "history", None)),
        (b'{"type":"help","command":"fly"}\n', ("unknown-command", "", None)),
    ],
)
def test_a_bad_request_is_refused_and_the_next_line_counts(
    line: bytes, refused: tuple[str, str, str | None]
) -> None:
    server = programs(1)
    server.send(1, encode_request(events.Ping("before")) + line)
    server.ask(1, events.Ping("after"))
    before, answer, after = server.told(1)
    assert (before, after) == (notices.Ponged("before"), notices.Ponged("after"))
    assert rejections([answer]) == [refused]
    assert len(server.log) == 1


def test_blank_lines_and_pongs_ask_for_nothing() -> None:
    server = programs(1)
    server.send(1, b"\n  \r\n\n")
    server.ask(1, events.Pong("x"))
    assert server.read(1) == b""


def test_keys_that_a_peer_sends_are_overwritten() -> None:
    server = programs(1)
    server.ask(1, events.Join("Lobby", "secret"), events.Nick("Ada", "root"))
    server.ask(1, events.Say("lobby", "x", key="other"), events.Topic("lobby", "t", "other"))
    server.ask(1, events.Tell("ada", "x", key="root"), events.Out("lobby", "other"))
    assert [getattr(entry.event, "key", "") for entry in server.log] == [
        "",
        "lobby",
        "ada",
        "lobby",
        "lobby",
        "ada",
        "lobby",
    ]


def test_the_longest_text_of_the_widest_characters_is_said_whole() -> None:
    server = programs(1)
    server.ask(1, join("lobby"))
    text = "".join(f"\\u{0xD83D:x}\\u{0xDE00:x}" for _ in range(MAX_TEXT_CHARS))
    server.read(1)
    server.send(1, b'{"type":"say","room":"lobby","text":"%s"}\n' % text.encode())
    assert [type(notice) for notice in server.told(1)] == [notices.Sent]
    said = server.log[-1].event
    assert isinstance(said, events.Say)
    assert said.text == "😀" * MAX_TEXT_CHARS


def test_text_is_made_safe_before_it_is_proposed() -> None:
    server = programs(1)
    text = " a\x1b[2J\u202eb\r\nc\u2028 \t"
    server.ask(1, events.Say("lobby", text), events.Topic("lobby", text), events.Quit(text))
    said, topic, quit = (entry.event for entry in server.log[1:])
    assert said == events.Say("lobby", " a[2Jb  c", key="lobby")
    assert topic == events.Topic("lobby", " a[2Jb  c", "lobby")
    assert quit == events.Quit(" a[2Jb  c")


# ── The current room ─────────────────────────────────────────────────────────────────────────


def test_text_goes_to_the_room_that_was_joined_last() -> None:
    server, _ = typed("/join lobby", "/join tea", "one", "/join #LOBBY", "two", "/me waves")
    said = [entry.event for entry in server.log if isinstance(entry.event, events.Say)]
    assert [(event.key, event.text, event.emote) for event in said] == [
        ("tea", "one", False),
        ("lobby", "two", False),
        ("lobby", "waves", True),
    ]


def test_after_leaving_the_current_room_there_is_none() -> None:
    _, lines = typed("/join lobby", "/join tea", "/out", "hello?")
    assert lines[-2:] == [
        "* You left tea",
        "! no-current-room: you talk in no room yet; /join ROOM first",
    ]


def test_leaving_another_room_keeps_the_current_one() -> None:
    server, lines = typed("/join lobby", "/join tea", "/out lobby", "hello")
    assert lines[-1] == "* You left lobby"
    assert server.log[-1].event == events.Say("tea", "hello", key="tea")


def test_who_types_a_message_is_told_nothing_back() -> None:
    _, lines = typed("/join lobby", "hello", "/me waves", "/msg guest-1 note to self")
    assert lines == ["* You joined lobby (1 here: guest-1).", "[guest-1 → you] note to self"]


# ── Queries ──────────────────────────────────────────────────────────────────────────────────


def test_queries_are_answered_without_an_entry() -> None:
    server, lines = typed(
        "/join lobby",
        "/topic tea at four",
        "hello",
        "/topic",
        "/who",
        "/rooms",
        "/history",
        "/help who",
        "/help xyz",
    )
    assert len(server.log) == 4
    assert lines[2:] == [
        "* The topic of lobby, set by guest-1: tea at four",
        "* 1 in lobby: guest-1. Moderators: guest-1",
        "* lobby (1): tea at four",
        "* The last 1 said in lobby:",
        "[lobby] guest-1: hello",
        "* That was the history.",
        "* /who [ROOM]: list the people in a room you are in",
        "* for example: /who",
        "* the same: /names",
        "! unknown-command: there is no command /xyz; /help lists the commands",
    ]


def test_a_query_of_somebody_whose_entry_was_not_their_connect_finds_no_room() -> None:
    """The state may have lost a person that the server still serves: after a restored snapshot."""
    server = programs(1)
    server.protocol.state.handle(entry(99, 1, events.Disconnect("elsewhere")))
    server.ask(1, events.Who("lobby"))
    assert rejections(server.told(1)) == [("not-in-room", "who", None)]


def test_an_answer_of_more_than_is_sent_at_a_time_arrives_whole() -> None:
    server = programs(1)
    said = [say("lobby", "€" * 2000) for _ in range(11)]
    server.ask(1, join("lobby"), *said, events.History("lobby", limit=11))
    *_, page = server.told(1)
    assert isinstance(page, notices.HistoryPage)
    assert [shown.text for shown in page.messages] == [each.text for each in said]


def test_the_list_of_rooms_is_bounded_and_counts_the_rest() -> None:
    server = programs(12)
    per_person = server.protocol.state.limits.rooms_per_person
    for conn in range(1, 13):
        rooms = (join(f"room-{conn}-{number}") for number in range(per_person))
        server.send(conn, b"".join(map(encode_request, rooms)))
        server.read(conn)
    server.ask(1, events.Rooms())
    (listed,) = server.told(1)
    assert isinstance(listed, notices.RoomList)
    assert len(listed.rooms) == MAX_ROOMS_LISTED
    assert listed.more == 12 * per_person - MAX_ROOMS_LISTED


@given(st.lists(st.booleans(), max_size=12))
def test_how_many_were_there_at_once_is_what_each_counts_who_comes(comings: list[bool]) -> None:
    server, here, most = programs(1), [1], 1
    for conn, comes in enumerate(comings, 2):
        if comes:
            server.connect(conn)
            server.send(conn, HELLO)
            here.append(conn)
            most = max(most, len(here))
            (welcome,) = server.told(conn)
            assert isinstance(welcome, notices.Welcome)
            assert (welcome.people, welcome.most_people) == (len(here), most)
        elif len(here) > 1:
            server.ask(here.pop(), events.Quit())
    server.ask(1, events.Rooms())
    assert server.told(1) == [notices.RoomList((), 0, len(here), most)]


def test_a_node_that_begins_anew_counts_from_who_is_there() -> None:
    server = programs(3)
    server.ask(1, events.Quit())
    again = MemoryServer(ServerProtocol(ChatState.restore(server.protocol.state.snapshot())))
    again.log = server.log
    again.connect(9, token="t9")
    again.ask(9, events.Hello(), events.Rooms())
    listed = again.told(9)[-1]
    assert isinstance(listed, notices.RoomList)
    assert (listed.people, listed.most_people) == (3, 3)


# ── Effects ──────────────────────────────────────────────────────────────────────────────────


def test_a_notice_is_encoded_once_per_dialect_in_use() -> None:
    server = programs(3)
    server.connect(4)
    server.send(4, b"/join lobby\n")
    for conn in (1, 2, 3):
        server.ask(conn, join("lobby"))
    server.delayed = True
    server.ask(1, events.Say("lobby", "hi", "1"))
    (proposed,) = server.proposed
    seq = len(server.log) + 1
    said = server.protocol.commit(proposed.entries(seq, 0), now=0)
    plain, jsonl = sorted(broadcasts(said), key=lambda effect: len(effect.audience.conns))
    assert plain.payload == b"[lobby] guest-1: hi\n"
    assert (list(plain.audience.conns), plain.author, plain.receipt) == ([4], 1, b"")
    assert (list(jsonl.audience.conns), jsonl.author) == ([1, 2, 3], 1)
    assert jsonl.receipt
    again = server.protocol.commit([entry(seq + 1, 2, proposed.events[0])], now=0)
    assert jsonl.audience in [effect.audience for effect in broadcasts(again)]


def broadcasts(effects: list[Effect]) -> list[Broadcast[bytes]]:
    """The broadcasts among effects."""
    return [effect for effect in effects if isinstance(effect, Broadcast)]


def test_entries_of_connections_on_another_node_are_delivered_to_those_here() -> None:
    server = programs(1)
    server.ask(1, join("lobby"))
    server.read(1)
    elsewhere: list[Event] = [events.Connect(), join("lobby"), events.Quit("bye")]
    for seq, event in enumerate(elsewhere, 3):
        effects = server.protocol.commit([entry(seq, 900, event)], now=0)
        server.output[900] = bytearray()
        server.carry_out(effects)
    assert [type(notice) for notice in server.told(1)] == [notices.Joined, notices.Gone]
    assert server.read(900) == b""
    assert server.closed == []


def test_what_is_said_where_nobody_is_from_this_node_is_told_to_nobody() -> None:
    server = programs(1)
    server.ask(1, join("lobby"))
    server.read(1)
    elsewhere: list[Event] = [
        *(events.Connect(), join("den"), join("lobby")),
        *(say("den", "not for you"), say("lobby", "for you")),
    ]
    entries = [entry(seq, 900, event) for seq, event in enumerate(elsewhere, 3)]
    server.carry_out(server.protocol.commit(entries, now=0))
    joined, said = server.told(1)
    assert isinstance(joined, notices.Joined)
    assert isinstance(said, notices.Said)
    assert said.text == "for you"


# ── Too fast ─────────────────────────────────────────────────────────────────────────────────


def limited(**limits: int) -> MemoryServer:
    """A server with these limits."""
    return MemoryServer(ServerProtocol(ChatState(), limits=ServerLimits(**limits)))


def pings(count: int) -> bytes:
    """So many numbered pings."""
    return b"".join(encode_request(events.Ping(str(number))) for number in range(count))


def test_a_burst_goes_through_and_then_so_many_lines_a_second() -> None:
    server = limited(flood_burst=4, flood_rate=10)
    server.connect(1)
    server.send(1, HELLO + pings(9))
    _, *pongs = server.told(1)
    assert pongs == [notices.Ponged(str(number)) for number in range(3)]
    arrived = []
    while 1 in server.paused:
        server.wait(50)
        arrived += [(server.now, notice) for notice in server.told(1)]
    assert arrived == [(100 * n, notices.Ponged(str(n + 2))) for n in range(1, 7)]


def test_too_fast_is_delayed_and_never_lost_or_reordered() -> None:
    server = limited(flood_burst=2, flood_rate=3)
    server.connect(2)
    server.send(2, HELLO + encode_request(join("lobby")))
    server.connect(1)
    says = [encode_request(events.Say("lobby", str(number))) for number in range(50)]
    server.send(1, encode_request(join("lobby")) + b"".join(says))
    server.wait_until_heard(1)
    said = [notice.text for notice in server.told(2) if isinstance(notice, notices.Said)]
    assert said == [str(number) for number in range(50)]
    assert server.closed == []


def test_only_who_is_too_fast_waits() -> None:
    server = limited(flood_burst=2, flood_rate=1)
    for conn in (1, 2):
        server.connect(conn)
    server.send(1, HELLO + pings(9))
    server.send(2, HELLO)
    assert 1 in server.paused
    assert 2 not in server.paused
    assert len(server.told(2)) == 1


def test_a_pause_fills_the_bucket_again_but_not_above_its_brim() -> None:
    server = limited(flood_burst=3, flood_rate=1)
    server.connect(1)
    server.send(1, HELLO)
    server.wait(60_000)
    server.send(1, pings(5))
    assert len(server.told(1)) == 1 + 3


@pytest.mark.parametrize("burst", [0, 1])
def test_at_least_one_line_at_a_time_goes_through(burst: int) -> None:
    server = limited(flood_burst=burst, flood_rate=1)
    server.connect(1)
    server.send(1, HELLO + pings(2))
    server.wait_until_heard(1)
    assert len(server.told(1)) == 3
    assert server.now == 2_000


def test_a_rate_of_nothing_lets_every_line_through() -> None:
    server = limited(flood_rate=0)
    server.connect(1)
    server.send(1, HELLO + pings(500))
    assert len(server.told(1)) == 501


def test_who_waits_for_longer_than_the_time_of_a_drop_is_not_dropped() -> None:
    server = limited(flood_burst=2, flood_rate=1, ping_after_ms=10_000, drop_after_ms=20_000)
    server.connect(1)
    server.send(1, HELLO + pings(100))
    server.wait_until_heard(1)
    pongs = [notice for notice in server.told(1) if isinstance(notice, notices.Ponged)]
    assert len(pongs) == 100
    assert server.closed == []


def test_end_of_input_waits_for_the_lines_that_were_too_fast() -> None:
    server = limited(flood_burst=1, flood_rate=1)
    server.connect(1)
    server.send(1, HELLO + pings(3))
    server.eof(1)
    assert server.closed == []
    server.wait_until_nothing_is_due()
    assert len(server.told(1)) == 4
    assert server.closed == [1]


def test_who_is_lost_while_waiting_is_heard_no_more() -> None:
    server = limited(flood_burst=1, flood_rate=1)
    server.connect(1)
    server.send(1, HELLO + pings(3))
    server.lose(1)
    server.wait_until_nothing_is_due()
    assert len(server.log) == 2


def test_the_limits_are_told_in_the_welcome() -> None:
    server = limited(flood_burst=7, flood_rate=8, grace_ms=9)
    server.connect(1)
    server.send(1, HELLO)
    (welcome,) = server.told(1)
    assert isinstance(welcome, notices.Welcome)
    limits = welcome.limits
    assert limits is not None
    assert (limits.flood_burst, limits.flood_rate, limits.grace_ms) == (7, 8, 9)
    assert limits.unacknowledged == server.protocol.state.limits.receipts


# ── Too silent ───────────────────────────────────────────────────────────────────────────────


def test_a_silent_program_is_asked_whether_it_is_there_and_then_closed() -> None:
    server = programs(1)
    server.wait(89_999)
    assert server.told(1) == []
    server.wait(1)
    assert server.told(1) == [notices.Pinged()]
    server.wait(59_999)
    assert server.closed == []
    server.wait(1)
    assert server.told(1) == [notices.Closing("ping timeout", 0)]
    assert server.closed == [1]
    assert server.log[-1].event == events.Disconnect("ping timeout")
    assert server.protocol.get_timer() is None


def test_any_bytes_are_a_sign_of_life() -> None:
    server = programs(1)
    for _ in range(3):
        server.wait(90_000)
        assert server.told(1) == [notices.Pinged()]
        server.ask(1, events.Pong())
    for _ in range(9):
        server.wait(60_000)
        server.send(1, b" ")
    assert server.closed == []
    assert server.told(1) == []


def test_the_silence_of_one_that_is_not_read_from_for_what_it_is_owed_does_not_count() -> None:
    server = programs(1)
    server.wait(90_000)
    server.protocol.owes(1, True, now=server.now)
    server.protocol.owes(2, True, now=server.now)  # which there is not
    server.wait(600_000)
    assert server.closed == []
    server.protocol.owes(1, False, now=server.now)
    server.told(1)
    server.wait(90_000)
    assert server.told(1) == [notices.Pinged()]
    server.wait(60_000)
    assert server.closed == [1]


def test_who_is_on_the_way_out_is_not_asked_whether_it_is_there() -> None:
    server = programs(1)
    server.delayed = True
    server.ask(1, events.Quit())
    server.wait(600_000)
    assert server.told(1) == []
    assert server.closed == []
    server.commit_next()
    assert server.told(1) == [notices.Closing("bye")]


def test_a_person_may_be_silent_for_as_long_as_it_likes() -> None:
    server, _ = typed()
    server.wait_until_nothing_is_due()
    server.wait(10**9)
    assert server.lines(1) == []
    assert server.closed == []


def test_a_program_whose_first_line_does_not_come_is_closed() -> None:
    server = MemoryServer()
    server.connect(1)
    server.wait(100)
    server.send(1, b'{"type":')
    server.wait(4_899)
    assert server.closed == []
    server.wait(1)
    assert server.told(1) == [notices.Closing("there was no request in time")]
    assert server.closed == [1]
    assert server.log == []
    server.lose(1)
    server.wait_until_nothing_is_due()


def test_a_half_open_handshake_that_goes_on_in_time_is_welcomed() -> None:
    server = MemoryServer()
    server.connect(1)
    server.send(1, HELLO[:5])
    server.wait(4_000)
    server.send(1, HELLO[5:])
    server.wait(4_000)
    assert [type(notice) for notice in server.told(1)] == [notices.Welcome]


# ── Too long, and not for us ─────────────────────────────────────────────────────────────────

LONG = b"x" * (MAX_LINE_BYTES + 10) + b"\n"


def test_the_third_line_in_a_row_that_is_too_long_ends_the_connection() -> None:
    server = programs(1)
    server.send(1, LONG * 2 + pings(1) + LONG * 2)
    assert server.closed == []
    server.send(1, LONG + pings(1))
    *_, third, closing = server.told(1)
    assert rejections([third]) == [("bad-line", "", None)]
    assert closing == notices.Closing("three lines in a row were too long")
    assert server.closed == [1]


@pytest.mark.parametrize("cut", [1, 9, 16, 99])
@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
def test_a_web_browser_is_sent_away(version: bytes, cut: int) -> None:
    server = MemoryServer()
    server.connect(1)
    request = b"POST / HTTP/" + version + b"\r\nHost: localhost\r\n\r\n/join lobby\nspam\n"
    server.send(1, request[:cut])
    server.send(1, request[cut:])
    assert "* Closing: this is a chat, not a web server" in server.lines(1)
    assert server.closed == [1]
    assert not list(server.protocol.state.rooms())


def test_a_first_line_that_is_too_long_to_see_what_it_is_ends_the_connection() -> None:
    server = MemoryServer()
    server.connect(1)
    server.send(1, b"GET /" + LONG + b"/join lobby\n")
    assert server.closed == [1]
    assert not list(server.protocol.state.rooms())


def test_people_may_talk_about_the_web() -> None:
    _, lines = typed("/join lobby", "it speaks HTTP/1.1", "/who")
    assert lines[-1] == "* 1 in lobby: guest-1. Moderators: guest-1"


# ── Sessions ─────────────────────────────────────────────────────────────────────────────────


def in_sessions(count: int, **limits: int) -> MemoryServer:
    """Programs in sessions of their own, with tokens t1, t2, …, in the lobby."""
    server = limited(flood_rate=0, **limits)
    for conn in range(1, count + 1):
        server.connect(conn, token=f"t{conn}")
        server.ask(conn, events.Hello(), join("lobby"))
    for conn in range(1, count + 1):
        server.read(conn)
    return server


def resume(server: MemoryServer, conn: int, token: str, fresh: str) -> list[Notice]:
    """A new connection asks for a session; what it is told."""
    server.connect(conn, token=fresh)
    server.ask(conn, events.Hello(token, {"Lobby": 10**6, "a b": 1}))
    return server.told(conn)


def test_the_state_never_sees_a_token() -> None:
    server = limited()
    server.connect(1, token="secret")
    server.send(1, HELLO)
    (welcome,) = server.told(1)
    assert isinstance(welcome, notices.Welcome)
    assert welcome.token == "secret"
    assert server.log[0].event == events.Connect(session("secret"))
    assert b"secret" not in server.protocol.state.snapshot()


@pytest.mark.parametrize(("token", "grace_ms"), [("", 60_000), ("secret", 0)])
def test_without_a_token_or_a_grace_there_are_no_sessions(token: str, grace_ms: int) -> None:
    server = limited(grace_ms=grace_ms)
    server.connect(1, token=token)
    server.ask(1, events.Hello("another"))
    (welcome,) = server.told(1)
    assert isinstance(welcome, notices.Welcome)
    assert welcome.token == ""
    assert server.log[0].event == events.Connect()


def test_who_does_not_say_hello_has_no_session() -> None:
    server = limited()
    server.connect(1, token="secret")
    server.ask(1, events.Ping())
    assert server.log[0].event == events.Connect()


def test_a_session_is_resumed_with_the_rooms_it_has_seen_by_their_keys() -> None:
    server = in_sessions(2)
    server.lose(1)
    assert [type(notice) for notice in resume(server, 3, "t1", "t3")] == [notices.Resumed]
    asked = events.Resume(session("t1"), session("t3"), {"lobby": 10**6})
    assert server.log[-1].event == asked
    server.ask(2, events.Say("lobby", "hi"))
    assert [type(notice) for notice in server.told(3)] == [notices.Said]
    assert [type(notice) for notice in server.told(2)] == [notices.Sent]


def test_a_session_that_is_not_resumed_within_the_grace_is_gone() -> None:
    server = in_sessions(2, grace_ms=1_000)
    server.lose(1, "reset by peer")
    server.wait(999)
    assert server.told(2) == []
    server.wait(1)
    assert server.told(2) == [notices.Gone("guest-1", "reset by peer")]
    assert [type(notice) for notice in resume(server, 3, "t1", "t3")] == [notices.Welcome]


def test_a_session_that_is_resumed_in_time_does_not_expire() -> None:
    server = in_sessions(2, grace_ms=1_000)
    server.lose(1)
    server.wait(999)
    resume(server, 3, "t1", "t3")
    server.wait(50_000)
    assert server.told(2) == []


def test_a_session_that_is_lost_again_has_a_whole_grace_again() -> None:
    server = in_sessions(2, grace_ms=1_000)
    server.lose(1)
    server.wait(900)
    resume(server, 3, "t1", "t3")
    server.lose(3)
    server.wait(999)
    assert server.told(2) == []
    server.wait(1)
    assert server.told(2) == [notices.Gone("guest-1", "connection lost")]
    assert server.protocol.state.people == 1


def test_beyond_the_bound_the_session_that_is_away_longest_ends_and_does_not_expire_later() -> None:
    state = ChatState(limits=StateLimits(away=1))
    server = MemoryServer(ServerProtocol(state, limits=ServerLimits(grace_ms=1_000)))
    for conn in (1, 2):
        server.connect(conn, token=f"t{conn}")
        server.ask(conn, events.Hello())
    for conn in (1, 2):
        server.lose(conn)
    assert state.away(session("t1")) is None
    assert state.away(session("t2")) is not None
    server.wait(1_000)
    expired = [entry.event for entry in server.log if isinstance(entry.event, events.Expire)]
    assert expired == [events.Expire(session("t2"), "connection lost")]


def test_each_of_two_connections_that_named_the_same_lost_session_expires() -> None:
    server = limited(grace_ms=1_000)
    for conn in (1, 2):
        assert [type(told) for told in resume(server, conn, "over", f"t{conn}")] == [
            notices.Welcome
        ]
    for conn in (1, 2):
        server.lose(conn)
    server.wait_until_nothing_is_due()
    expired = [entry.conn for entry in server.log if isinstance(entry.event, events.Expire)]
    assert expired == [1, 2]


def test_a_grace_of_each_loss_is_remembered_only_until_the_next() -> None:
    server = in_sessions(1)
    server.lose(1)
    for conn in range(2, 20):
        resume(server, conn, "t1", f"t{conn}")
        server.lose(conn)
    server.wait_until_nothing_is_due()
    expired = [(entry.conn, entry.event) for entry in server.log[-2:]]
    assert expired == [
        (19, events.Disconnect("connection lost")),
        (19, events.Expire(session("t1"), "connection lost")),
    ]


def test_the_older_connection_of_a_session_is_told_and_closed() -> None:
    server = in_sessions(1)
    resume(server, 2, "t1", "t2")
    taken = "this session was resumed on another connection"
    assert server.told(1) == [notices.Closing(taken)]
    assert server.closed == [1]
    server.lose(1)
    server.wait(60_000)
    assert server.protocol.state.people == 1


def test_a_session_that_is_resumed_before_its_loss_is_committed_lives_on() -> None:
    server = in_sessions(2)
    server.delayed = True
    server.connect(3, token="t3")
    server.ask(3, events.Hello("t1"))
    server.lose(1)
    server.commit_next()
    server.commit_next()
    assert [type(notice) for notice in server.told(3)] == [notices.Resumed]
    server.delayed = False
    server.wait(60_000)
    server.ask(3, events.Pong())
    assert [notice for notice in server.told(2) if isinstance(notice, notices.Gone)] == []


def test_a_silent_session_waits_for_its_grace_after_the_ping_timeout() -> None:
    server = in_sessions(2)
    server.wait(90_000)
    server.ask(2, events.Pong())
    server.wait(60_000)
    assert server.closed == [1]
    server.read(2)
    server.wait(60_000)
    assert notices.Gone("guest-1", "ping timeout") in server.told(2)


def test_end_of_input_leaves_a_session_to_be_resumed() -> None:
    server = in_sessions(2)
    server.eof(1)
    assert server.closed == [1]
    assert server.told(2) == []
    server.wait(60_000)
    assert notices.Gone("guest-1", "connection lost") in server.told(2)


# ── The password ─────────────────────────────────────────────────────────────────────────────


def guarded(**limits: int) -> MemoryServer:
    """A server whose password is sesame."""
    free = ServerLimits(flood_rate=0, **limits)
    return MemoryServer(ServerProtocol(ChatState(), limits=free, password="sesame"))


def test_a_person_types_the_password_first() -> None:
    server = guarded()
    server.connect(1)
    server.wait(500)
    needed = "! password-needed: this server has a password: say it first"
    assert server.lines(1) == [needed]
    server.send(1, b"sesame\r\n/join lobby\n")
    assert server.lines(1) == [GREETING, "* You joined lobby (1 here: guest-1)."]


def test_a_password_that_is_typed_at_once_is_taken_too() -> None:
    server = guarded()
    server.connect(1)
    server.send(1, b"sesame\n")
    assert server.lines(1)[-1] == GREETING


def test_a_program_says_the_password_in_its_hello() -> None:
    server = guarded()
    server.connect(1, token="t1")
    server.ask(1, events.Hello(password="sesame"))
    (welcome,) = server.told(1)
    assert isinstance(welcome, notices.Welcome)
    assert welcome.token == "t1"


def test_nothing_is_done_before_the_password_is_known() -> None:
    server = guarded()
    server.connect(1)
    server.ask(1, events.Ping(), events.Rooms(), join("lobby"), events.Hello())
    server.send(1, b"nonsense\n\n")
    told = rejections(server.told(1))
    assert told == [("password-needed", "hello", None)] * 5
    assert server.log == []
    server.ask(1, events.Hello(password="sesame"))
    assert len(server.log) == 1


@pytest.mark.parametrize("plain", [True, False])
def test_a_wrong_password_is_refused_and_the_next_try_waits(plain: bool) -> None:
    server = guarded()
    server.connect(1)
    right, wrong = (
        encode_request(events.Hello(password=word)) if not plain else f"{word}\n".encode()
        for word in ("sesame", "mellon")
    )
    server.send(1, wrong)
    assert b"wrong-password" in server.read(1)
    server.send(1, right)
    assert 1 in server.paused
    server.wait(999)
    assert server.read(1) == b""
    server.wait(1)
    assert b"elcome" in server.read(1)


def test_the_third_wrong_password_ends_a_connection() -> None:
    server = guarded()
    server.connect(1)
    server.send(1, b"one\ntwo\nthree\nsesame\n")
    server.eof(1)
    server.wait_until_heard(1)
    assert server.lines(1)[-1] == "* Closing: three passwords were wrong"
    assert server.closed == [1]
    assert server.log == []
    assert server.now == 3_000  # one second after the first, two after the second


def test_who_never_says_the_password_is_not_waited_for_for_ever() -> None:
    server = guarded()
    server.connect(1)
    server.wait(GREET_AFTER_MS)
    assert b"password-needed" in server.read(1)
    server.wait(60_000)
    assert server.lines(1)[-1] == "* Closing: there was no password in time"
    assert server.closed == [1]


def test_the_throttle_counts_an_address_across_its_connections_up_to_half_a_minute() -> None:
    server = guarded()
    waited = []
    for conn in range(1, 9):
        began = server.now
        server.connect(conn, peer="10.0.0.1")
        server.send(conn, b"wrong\n")
        server.wait_until_heard(conn)
        waited.append(server.now - began)
        server.lose(conn)
    assert waited == [0, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]
    server.connect(9, peer="10.0.0.2")
    server.send(9, b"sesame\n")
    assert GREETING in server.lines(9)


def test_a_right_password_ends_the_throttle_of_its_address() -> None:
    server = guarded()
    for conn in (1, 2):
        server.connect(conn, peer="10.0.0.1")
    server.send(1, b"wrong\nsesame\n")
    server.wait_until_heard(1)
    server.send(2, b"sesame\n")
    assert any("Welcome" in line for line in server.lines(2))


def test_a_hello_that_waits_for_the_throttle_is_not_too_late() -> None:
    server = guarded(handshake_ms=1_500)
    for conn in (1, 2, 3):
        server.connect(conn, peer="10.0.0.1")
        server.ask(conn, events.Hello(password="wrong" if conn < 3 else "sesame"))
        if conn < 3:
            server.wait_until_heard(conn)
            server.lose(conn)
    server.wait_until_heard(3)
    assert [type(notice) for notice in server.told(3)] == [notices.Welcome]


def test_who_says_nothing_but_nonsense_before_the_password_is_closed_in_time() -> None:
    server = guarded()
    server.connect(1)
    server.ask(1, events.Ping())
    server.wait_until_nothing_is_due()
    assert server.now == 5_000
    assert server.closed == [1]


def test_long_lines_before_the_password_end_the_connection_once() -> None:
    server = guarded()
    server.connect(1)
    server.send(1, b"{" + LONG * 3 + encode_request(events.Hello(password="sesame")))
    assert server.closed == [1]
    assert server.log == []


def test_the_addresses_of_wrong_passwords_are_remembered_within_bounds() -> None:
    server = guarded()
    for conn in range(MAX_PASSWORD_PEERS + 1):
        server.connect(conn, peer=str(conn))
        server.send(conn, b"wrong\n")
    for conn in (0, 1):
        server.send(conn, b"sesame\n")
    assert 0 not in server.paused
    assert 1 in server.paused


def test_stopping_forgets_who_was_away() -> None:
    server = in_sessions(2)
    server.lose(1)
    server.stop("restart\x1b", retry=500)
    assert server.told(2) == [notices.Closing("restart", 500)]
    assert server.protocol.get_timer() is None
