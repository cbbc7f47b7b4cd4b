"""ServerProtocol, rule by rule: connections, dialects, order, limits and timers."""

from __future__ import annotations

import pytest

from tcpchat_core import (
    VERSION,
    Broadcast,
    ChatState,
    Event,
    LocalError,
    Notice,
    Propose,
    ServerProtocol,
    events,
    notices,
)
from tcpchat_core.dialects.jsonl import encode_request
from tcpchat_core.framing import MAX_LINE_BYTES
from tcpchat_core.server import GREET_AFTER_MS, MAX_OUTSTANDING, MAX_ROOMS_LISTED, MAX_TEXT_CHARS
from tests.core.harness import HELLO, MemoryServer, entry, join

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


def test_telnet_negotiation_is_no_text() -> None:
    server = MemoryServer()
    server.connect(1)
    server.send(1, b"\xff\xfd\x03\xff\xfa\x1f\x00\x50")
    server.send(1, b"\x00\x18\xff\xf0/join lobby\r\n")
    assert server.lines(1)[1:] == ["* You joined lobby (1 here: guest-1)."]


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
    assert server.protocol.is_paused(1)
    while len(server.proposed) > 1:
        server.commit_next()
    assert server.protocol.is_paused(1)
    server.commit_next()
    assert not server.protocol.is_paused(1)
    assert [proposed.event for proposed in server.proposed] == [
        events.Say("lobby", str(n), key="lobby") for n in (MAX_OUTSTANDING - 2, MAX_OUTSTANDING - 1)
    ]
    server.commit_next()
    server.commit_next()
    told = server.told(1)
    receipts = [notice.seq for notice in told if isinstance(notice, notices.Sent)]
    assert receipts == list(range(1, MAX_OUTSTANDING + 1))
    assert told[-1] == notices.Ponged("end")


def test_answers_that_wait_are_bounded_too() -> None:
    server = MemoryServer(delayed=True)
    server.connect(1)
    pings = [encode_request(events.Ping(str(number))) for number in range(3 * MAX_OUTSTANDING)]
    for ping in pings[:MAX_OUTSTANDING]:
        assert not server.protocol.is_paused(1)
        server.send(1, ping)
    server.send(1, b"".join(pings[MAX_OUTSTANDING:]))
    assert server.protocol.is_paused(1)
    server.commit_next()
    assert not server.protocol.is_paused(1)
    _, *pongs = server.told(1)
    assert pongs == [notices.Ponged(str(number)) for number in range(len(pings))]


def test_a_connection_that_nobody_knows_is_not_paused() -> None:
    assert not MemoryServer().protocol.is_paused(1)


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
    assert [proposed.event for proposed in server.proposed] == [events.Quit()]
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
    for conn in (2, 99):
        assert server.protocol.closing(conn, "full") == b"* Closing: full\n"


# ── What is refused before it is proposed ────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("line", "refused"),
    [
        (b"nonsense\n", ("bad-line", "", None)),
        (b'{"type":"say"\n', ("bad-line", "", None)),
        (b'{"type":"say","room":"a","text":"\xff"}\n', ("bad-line", "", None)),
        (b'{"type":"say","room":"a","text":"\\ud800"}\n', ("bad-line", "", None)),
        (b'"hello"\n', ("bad-request", "", None)),
        (b"[" * 20_000 + b"\n", ("bad-request", "", None)),
        (b'{"a":' + b"[" * 20_000 + b"\n", ("bad-line", "", None)),
        (b"x" * (MAX_LINE_BYTES + 1) + b"\n", ("bad-line", "", None)),
        (b'{"type":"fly"}\n', ("bad-request", "fly", None)),
        (b'{"type":"connect"}\n', ("bad-request", "connect", None)),
        (b'{"type":"disconnect","reason":"x"}\n', ("bad-request", "disconnect", None)),
        (b'{"type":1}\n', ("bad-request", "", None)),
        (b'{"type":"say","id":"7"}\n', ("bad-request", "say", "7")),
        (b'{"type":"say","id":7}\n', ("bad-request", "", None)),
        (b'{"type":"say","id":"%s"}\n' % (b"x" * 65), ("bad-request", "say", None)),
        (b'{"type":"say","id":"\\u001b"}\n', ("bad-request", "say", None)),
        (b'{"type":"ping","id":"%s"}\n' % (b"x" * 65), ("bad-request", "ping", None)),
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
        "! no-current-room: you are in no room yet; /join ROOM first",
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
        "/help fly",
    )
    assert len(server.log) == 4
    assert lines[2:] == [
        "* The topic of lobby, set by guest-1: tea at four",
        "* 1 in lobby: guest-1",
        "* lobby (1): tea at four",
        "* The last 1 said in lobby:",
        "[lobby] guest-1: hello",
        "* That was the history.",
        "* /who [ROOM]: list the people in a room you are in",
        "* for example: /who",
        "* the same: /names",
        "! unknown-command: there is no command /fly; /help lists the commands",
    ]


def test_a_query_of_somebody_whose_entry_was_not_their_connect_finds_no_room() -> None:
    """The state may have lost a person that the server still serves: after a restored snapshot."""
    server = programs(1)
    server.protocol.state.handle(entry(99, 1, events.Disconnect("elsewhere")))
    server.ask(1, events.Who("lobby"))
    assert rejections(server.told(1)) == [("not-in-room", "who", None)]


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


# ── Effects ──────────────────────────────────────────────────────────────────────────────────


def test_a_notice_is_encoded_once_per_dialect_in_use() -> None:
    server = programs(3)
    server.connect(4)
    server.send(4, b"/join lobby\n")
    for conn in (1, 2, 3):
        server.ask(conn, join("lobby"))
    (proposed,) = server.protocol.receive_data(
        1, encode_request(events.Say("lobby", "hi", "1")), now=0
    )
    assert isinstance(proposed, Propose)
    said = entry(len(server.log) + 1, 1, proposed.event)
    plain, jsonl = sorted(
        (effect for effect in server.protocol.commit(said) if isinstance(effect, Broadcast)),
        key=lambda effect: len(effect.audience.conns),
    )
    assert plain.payload == b"[lobby] guest-1: hi\n"
    assert (plain.audience.conns, plain.author, plain.receipt) == ((4,), 1, b"")
    assert (jsonl.audience.conns, jsonl.author) == ((1, 2, 3), 1)
    assert jsonl.receipt
    again = server.protocol.commit(entry(said.seq + 1, 2, said.event))
    assert jsonl.audience in [effect.audience for effect in again if isinstance(effect, Broadcast)]


def test_entries_of_connections_on_another_node_are_delivered_to_those_here() -> None:
    server = programs(1)
    server.ask(1, join("lobby"))
    server.read(1)
    elsewhere: list[Event] = [events.Connect(), join("lobby"), events.Quit("bye")]
    for seq, event in enumerate(elsewhere, 3):
        effects = server.protocol.commit(entry(seq, 900, event))
        server.output[900] = bytearray()
        server.carry_out(effects)
    assert [type(notice) for notice in server.told(1)] == [notices.Joined, notices.Gone]
    assert server.read(900) == b""
    assert server.closed == []
