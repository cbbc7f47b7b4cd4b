"""Cost is paid by who causes it: bytes, blank lines, dear answers, timers of those who are gone."""

from __future__ import annotations

import pytest

from tcpchat_core import (
    Action,
    ChatState,
    Entry,
    Event,
    ServerLimits,
    ServerProtocol,
    Stream,
    events,
    notices,
)
from tcpchat_core.server.queries import MAX_ROOMS_LISTED
from tcpchat_core.server.timers import Due, Timers
from tests.core.harness import HELLO, MemoryServer, entry, join, joins, session

LIMITS = ServerLimits(flood_burst=20, flood_rate=5)
READ_BYTES = 16_384


def someone(limits: ServerLimits = LIMITS) -> MemoryServer:
    """Somebody with nc, who has said nothing for long."""
    server = MemoryServer(ServerProtocol(ChatState(), limits=limits))
    server.connect(1)
    server.send(1, b"/join lobby\n")
    server.wait(60_000)
    return server


@pytest.mark.parametrize(
    "nothing", [b"\n" * READ_BYTES, b"\r\n" * (READ_BYTES // 2), b"\xff\xf1" * (READ_BYTES // 2)]
)
def test_bytes_that_ask_for_nothing_have_a_price(nothing: bytes) -> None:
    server = someone()
    reads = 0
    while 1 not in server.paused:
        server.send(1, nothing)
        reads += 1
        assert reads < 5, "it costs nothing"
    server.wait_until_heard(1)
    assert server.now > 60_000
    server.send(1, b"/who\n")
    assert server.lines(1)[-1] == "* 1 in lobby: guest-1. Moderators: guest-1"


def test_text_is_paid_for_by_the_line() -> None:
    server = someone()
    for _ in range(LIMITS.flood_burst):
        server.send(1, b"x" * 500 + b"\n")
    assert 1 not in server.paused


def test_the_end_of_one_who_sent_blank_lines_for_long_is_not_held_up() -> None:
    server = someone()
    while 1 not in server.paused:
        server.send(1, b"\n" * READ_BYTES)
    server.wait_until_heard(1)
    server.eof(1)
    server.wait_until_nothing_is_due()
    assert server.closed == [1]
    assert server.now < 80_000


def test_a_long_list_of_rooms_costs_more_than_a_line() -> None:
    state = ChatState()
    for person in range(200):
        rooms: list[Event] = [join(f"r{person}-{room}") for room in range(50)]
        for event in (events.Connect(), *rooms):
            state.handle(entry(state.seq + 1, 1_000 + person, event))
    server = MemoryServer(ServerProtocol(state, limits=LIMITS))
    server.log = [entry(seq, 0, events.Quit()) for seq in range(1, state.seq + 1)]
    server.connect(1)
    server.send(1, HELLO)
    server.wait(60_000)
    server.read(1)
    server.ask(1, *[events.Rooms()] * 3)
    listed = server.told(1)
    assert len(listed) == 1  # it took all that may be asked for at once
    assert isinstance(listed[0], notices.RoomList)
    assert len(listed[0].rooms) == MAX_ROOMS_LISTED
    assert 1 in server.paused


def test_a_long_list_of_restrictions_costs_more_than_a_line_and_is_sent_as_it_is_taken() -> None:
    state = ChatState()
    state.handle(entry(1, 1_000, events.Connect(session("t1"))))
    state.handle(entry(2, 1_000, joins("den")))
    for place in range(2, 1_002):
        ban = events.Restrict("den", f"guest-{place}", "ban", key="den", nick_key=f"guest-{place}")
        state.handle(entry(state.seq + 1, 1_000 + place, events.Connect()))
        state.handle(entry(state.seq + 1, 1_000, ban))
    server = MemoryServer(ServerProtocol(state, limits=ServerLimits(flood_burst=3, flood_rate=5)))
    server.log = [entry(seq, 0, events.Quit()) for seq in range(1, state.seq + 1)]
    server.connect(1, token="again")
    server.ask(1, events.Hello("t1"))
    server.wait(60_000)
    server.read(1)
    server.ask(1, *[events.Restrictions("den")] * 2)
    (listed,) = server.told(1)  # of two in a row it took all that may be asked for at once
    assert isinstance(listed, notices.RestrictionList)
    assert len(listed.restrictions) == 1_000
    assert 1 in server.paused


def test_who_never_says_the_password_is_closed_in_time_whatever_it_says() -> None:
    server = MemoryServer(ServerProtocol(ChatState(), limits=LIMITS, password="sesame"))
    server.connect(1)
    pings = b'{"type":"ping"}\n' * 40
    server.send(1, pings)
    while 1 not in server.closed and server.now < 60_000:
        server.wait(500)
        if 1 not in server.paused:
            server.send(1, pings)
    assert server.closed == [1]
    assert server.now <= LIMITS.handshake_ms + 500


def test_who_has_to_wait_for_another_try_is_not_closed_before_it() -> None:
    server = MemoryServer(ServerProtocol(ChatState(), limits=LIMITS, password="sesame"))
    for conn in (1, 2, 3, 4):
        server.connect(conn, peer="an address")
        server.ask(conn, events.Hello(password="wrong"))
        server.wait(40_000 if conn < 4 else 1_000)
    server.connect(5, peer="an address")
    server.ask(5, events.Hello(password="sesame"))
    server.wait_until_nothing_is_due()
    assert any(isinstance(told, notices.Welcome) for told in server.told(5))


def test_timers_are_bounded_by_the_connections_there_are() -> None:
    there = dict.fromkeys(range(5_000))
    timers = Timers(there)
    for conn in range(5_000):
        timers.set(1_000 + conn, conn, Due.CHECK)
    for conn in range(4_999):
        del there[conn]
        timers.forget()
    assert len(timers) < 200
    assert list(timers.take_due(10_000)) == [(4_999, Due.CHECK)]


def test_what_comes_back_of_a_connection_is_made_when_it_is_taken() -> None:
    server = someone(ServerLimits(flood_rate=0))
    server.send(1, b"".join(b"%d\n" % number for number in range(200)))
    (history,) = server.protocol.receive_data(1, b"/history 200\n", now=server.now)
    assert isinstance(history, Stream)
    assert b"".join(history.pieces).count(b"\n") == 202


def test_a_long_replay_comes_in_pieces() -> None:
    limits = ServerLimits(flood_rate=0)
    server = MemoryServer(ServerProtocol(ChatState(), limits=limits))
    server.connect(1, token="t1")
    server.send(1, HELLO)
    server.connect(2)
    rooms = [f"r{number}" for number in range(5)]
    for room in rooms:
        server.ask(1, join(room))
    server.lose(1)
    for room in rooms:
        server.send(2, f"/join {room}\n".encode() + (b"x" * 300 + b"\n") * 200)
    server.connect(3, token="t3")
    server.delayed = True
    server.ask(3, events.Hello("t1"))
    (proposed,) = server.proposed
    effects = server.protocol.commit(proposed.entries(len(server.log) + 1, 0), now=server.now)
    (replay,) = [effect for effect in effects if isinstance(effect, Stream)]
    sizes = [len(piece) for piece in replay.pieces]
    assert len(sizes) > 3
    assert max(sizes) < 80_000


def test_what_people_do_is_observed_as_it_was_told_and_what_they_say_is_not() -> None:
    seen: list[tuple[str, list[str]]] = []

    def observe(entry: Entry, actions: list[Action]) -> None:
        told = [type(action.payload).__name__ for action in actions if hasattr(action, "payload")]
        seen.append((type(entry.event).__name__, told))

    protocol = ServerProtocol(ChatState(), limits=ServerLimits(flood_rate=0), observe=observe)
    server = MemoryServer(protocol)
    server.connect(1)
    server.send(1, b"/nick ada\n/out lobby\n/join lobby\nhello\n/msg ada psst\n/quit\n")
    assert seen == [
        ("Connect", ["Welcome"]),
        ("Nick", ["Renamed"]),
        ("Out", ["Rejected"]),
        ("Join", ["Joined"]),
        ("Quit", ["Gone", "Closing"]),
    ]
