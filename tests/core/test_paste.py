"""What comes in one piece is dealt with at once, and brings about what it would line by line."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tcpchat_core import (
    Action,
    Broadcast,
    ChatState,
    Effect,
    Propose,
    Send,
    ServerLimits,
    ServerProtocol,
    events,
    notices,
)
from tcpchat_core.dialects.jsonl import encode_request
from tcpchat_core.framing import MAX_LINE_BYTES
from tcpchat_core.server.rate import MAX_OUTSTANDING
from tcpchat_core.state import HANDLERS, Person, Tables
from tests.core.harness import MemoryServer, join

_conns = st.integers(1, 3)

_LINES = st.sampled_from(
    (
        *(b"one", b"two ", b"  three", "vier – fünf".encode(), "六".encode(), b"//seven", b"*"),
        *(b"", b" ", b"\t", b"a\tb", b"\x07", b"cr\r", b"\xff\xf1telnet", b"\xc3(", b"x" * 2_001),
        *(b"x" * 40_000, b"/me waves", b"/who", b"/topic new", b"/join tea", b"/out", b"/nobody"),
        *(b"/join lobby", b"/nick zoe", b"/msg ada psst", b"/quit", "\u202e".encode(), b"x\0"),
    )
)
# Mostly things to say: a row of them is what is dealt with at once.
_texts = st.sampled_from((b"one", b"two ", "drei – vier".encode()))
_pieces = st.lists(
    st.tuples(_conns, st.lists(_texts, min_size=1, max_size=6) | st.lists(_LINES, max_size=4)),
    max_size=10,
)
# The lines of the one who speaks JSON: most of them are requests, two are the same one twice.
_JSON = {
    b"one": b'{"type":"say","room":"lobby","text":"one","id":"the same"}',
    b"two ": b'{"type":"say","room":"tea","text":"two "}',
    b"  three": b'{"type":"say","room":"elsewhere","text":"three"}',
    b"/join tea": b'{"type":"join","room":"tea"}',
    b"/out": b'{"type":"out","room":"lobby"}',
}


def _written(conn: int, line: bytes) -> bytes:
    asked = b'{"type":"say","room":"lobby","text":"%b"}' % line
    return (_JSON.get(line, asked) if conn == 3 else line) + b"\n"


def _server(limits: ServerLimits) -> MemoryServer:
    server = MemoryServer(ServerProtocol(ChatState(), limits=limits))
    for conn in (1, 2, 3):
        server.connect(conn)
        server.send(conn, b'{"type":"hello"}\n' if conn == 3 else b"/nick ada\n")
        server.send(conn, b'{"type":"join","room":"lobby"}\n' if conn == 3 else b"/join lobby\n")
    return server


PASTES: dict[str, st.SearchStrategy[Any]] = {
    "pieces": _pieces,
    "limits": st.sampled_from(
        (ServerLimits(flood_rate=0), ServerLimits(flood_burst=5, flood_rate=2))
    ),
    "pauses": st.booleans(),
}


def check_pastes(pieces: list[tuple[int, list[bytes]]], limits: ServerLimits, pauses: bool) -> None:
    """Lines that come at once are told as if they came one by one."""
    one_by_one, at_once = _server(limits), _server(limits)
    for conn, lines in pieces:
        # What is longer than a line pays for is charged with the read that brought it.
        longest = 1_000 if limits.flood_rate else MAX_LINE_BYTES * 2
        written = [_written(conn, line) for line in lines if len(line) <= longest]
        at_once.send(conn, b"".join(written))
        for line in written:
            one_by_one.send(conn, line)
        if pauses:
            for server in (one_by_one, at_once):
                server.wait(700)
    for server in (one_by_one, at_once):
        for conn in (1, 2, 3):
            if conn not in server.closed:
                server.wait_until_heard(conn)
    assert at_once.output == one_by_one.output
    assert at_once.log == one_by_one.log
    assert at_once.closed == one_by_one.closed


@given(**PASTES)
def test_lines_that_come_at_once_are_told_as_if_they_came_one_by_one(**paste: Any) -> None:
    check_pastes(**paste)


def _committed(server: MemoryServer, conn: int, *lines: bytes) -> list[Effect]:
    """The effects of committing what lines propose that come in one read."""
    asked = server.protocol.receive_data(conn, b"".join(lines), now=server.now)
    (proposed,) = [effect for effect in asked if isinstance(effect, Propose)]
    return server.protocol.commit(proposed.entries(len(server.log) + 1, 0), now=server.now)


def test_all_that_one_read_asks_for_is_proposed_together() -> None:
    server = _server(ServerLimits(flood_rate=0))
    (proposed,) = server.protocol.receive_data(1, b"one\n/nick bob\n\ntwo\n", now=0)
    assert isinstance(proposed, Propose)
    assert [type(event) for event in proposed.events] == [events.Say, events.Nick, events.Say]
    (more,) = server.protocol.receive_data(1, b"three\n", now=0)
    assert isinstance(more, Propose)
    assert more.number == proposed.number + 3


def test_who_says_something_at_once_comes_and_says_it_in_one_proposal() -> None:
    server = _server(ServerLimits(flood_rate=0))
    server.protocol.connection_made(9, now=0)
    (proposed,) = server.protocol.receive_data(9, b"/join tea\nhi\n", now=0)
    assert isinstance(proposed, Propose)
    assert [type(event) for event in proposed.events] == [events.Connect, events.Join, events.Say]


def test_a_paste_is_told_in_one_broadcast_and_acknowledged_in_its_place() -> None:
    server = _server(ServerLimits(flood_rate=0))
    told = _committed(server, 3, *(_written(3, line) for line in (b"x", b"y", b"z")))
    plain, json = [effect for effect in told if isinstance(effect, Broadcast)]
    assert plain.payload == b"[lobby] guest-2: x\n[lobby] guest-2: y\n[lobby] guest-2: z\n"
    assert json.payload.count(b'{"type":"said"') == json.payload.count(b"\n") == 3
    assert plain.receipt == b""
    assert json.receipt is not None
    assert json.receipt.count(b'{"type":"sent"') == json.receipt.count(b"\n") == 3


def test_what_is_said_to_two_rooms_in_turn_is_told_in_turn() -> None:
    server = _server(ServerLimits(flood_rate=0))
    server.ask(3, join("tea"))
    told = _committed(server, 3, *(_written(3, line) for line in (b"x", b"two ", b"y")))
    rooms = [effect.payload.split(b"]")[0] for effect in told if isinstance(effect, Broadcast)]
    assert [room for room in rooms if room.startswith(b"[")] == [b"[lobby", b"[lobby"]


def test_what_is_told_to_several_rooms_reaches_all_of_them_in_the_middle_of_a_paste() -> None:
    server = _server(ServerLimits(flood_rate=0))
    server.ask(3, join("tea"))
    server.send(1, b"/join tea\n")
    for conn in (1, 2, 3):
        server.read(conn)
    server.ask(3, events.Nick("eve"))
    server.read(1)
    asked = (events.Say("tea", "a"), events.Nick("fay"), events.Say("tea", "b"))
    server.send(3, b"".join([encode_request(request) for request in asked]))
    assert server.lines(1) == ["[tea] eve: a", "* eve is now fay", "[tea] fay: b"]
    assert server.lines(2)[-1] == "* eve is now fay"


def test_nothing_is_committed_of_no_entries() -> None:
    assert ServerProtocol(ChatState()).commit([], now=0) == []


def test_a_rule_of_the_state_holds_for_every_message_of_a_paste(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    say = HANDLERS[events.Say]

    def muted(tables: Tables, person: Person, event: events.Say, at: int) -> list[Action]:
        if person.nick == "ada":
            return [Send(person.conn, notices.Rejected("not-in-room", "you are muted", "say"))]
        return say(tables, person, event, at)

    monkeypatch.setitem(HANDLERS, events.Say, muted)
    server = _server(ServerLimits(flood_rate=0))
    server.read(1)
    server.read(2)
    server.send(1, b"one\ntwo\nthree\n")
    assert server.lines(1) == ["! not-in-room: you are muted"] * 3
    assert server.lines(2) == []


def test_an_answer_that_waits_has_its_place_between_messages_that_are_committed_at_once() -> None:
    server = _server(ServerLimits(flood_rate=0))
    server.read(1)
    server.send(1, b"one\n/topic\ntwo\n")
    assert server.lines(1) == ["* lobby has no topic"]
    assert [line.partition(": ")[2] for line in server.lines(2)][-2:] == ["one", "two"]


def test_an_entry_that_the_log_delivers_again_counts_once() -> None:
    server = _server(ServerLimits(flood_rate=0))
    server.delayed = True
    server.send(1, b"one\n")
    server.commit_next()
    server.carry_out(server.protocol.commit(server.log[-3:], now=0))
    server.send(1, b"two\n/who\n")
    server.carry_out(server.protocol.commit(server.log[-1:], now=0))
    server.read(1)
    server.commit_next()
    assert server.lines(1) == ["* 3 in lobby: ada, guest-1, guest-2. Moderators: ada"]
    assert server.read(2).count(b"one") == 1


def test_a_paste_waits_for_the_log_when_too_much_of_it_is_on_its_way() -> None:
    limits = ServerLimits(flood_burst=1_000, flood_rate=1_000)
    server = _server(limits)
    server.delayed = True
    lines = [b"%d" % number for number in range(MAX_OUTSTANDING + 10)]
    server.send(1, b"\n".join(lines) + b"\n")
    assert len(server.proposed) == MAX_OUTSTANDING
    assert 1 in server.paused
    server.wait(1_000)  # time alone changes nothing
    assert len(server.proposed) == MAX_OUTSTANDING
    server.read(2)
    while server.proposed:
        server.commit_next()
    assert server.read(2) == b"".join(b"[lobby] ada: %b\n" % line for line in lines)
