"""The node: what is shipped around the core, on a loop and wires without sockets."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import TypeAlias

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tcpchat_core import (
    ChatState,
    Entry,
    Propose,
    ServerLimits,
    ServerProtocol,
    StateLimits,
    events,
    notices,
)
from tcpchat_core.dialects.jsonl import encode_request
from tcpchat_core.events import connection_number
from tcpchat_net.logs import Log, OnEntries
from tcpchat_net.logs.memory import MemoryLog
from tcpchat_net.node import LINGER_MS, MAX_BATCH
from tests.net.hosting import HELLO, Host, Wire, far_away
from tests.net.naive_host import NaiveHost


class HeldLog:
    """A log that delivers when the test says so."""

    waiting = 0

    def __init__(self, _host: Host) -> None:
        self.batches: list[list[Propose]] = []
        self.entries: list[Entry] = []

    def open(self, on_entries: OnEntries) -> None:
        self.on_entries = on_entries

    def propose(self, batch: Sequence[Propose]) -> None:
        self.batches.append([*batch])

    def take_in(self) -> list[Entry]:
        """All that was proposed has its place now."""
        first = len(self.entries)
        for batch in self.batches:
            for propose in batch:
                self.entries += propose.entries(len(self.entries) + 1, 1_000)
        self.batches.clear()
        return self.entries[first:]

    def deliver(self, entries: Sequence[Entry] | None = None) -> None:
        self.on_entries(self.take_in() if entries is None else entries)


def held(host: Host) -> HeldLog:
    assert isinstance(host.log, HeldLog)
    return host.log


def program(host: Host, token: str = "", **hello: object) -> Wire:
    """A program that has said hello."""
    wire = host.connect(token=token)
    host.give(wire, encode_request(events.Hello(**hello)))  # type: ignore[arg-type]
    host.run()
    return wire


def ask(host: Host, wire: Wire, *requests: events.Request) -> None:
    host.give(wire, b"".join(map(encode_request, requests)))
    host.run()


# ── Talking ──────────────────────────────────────────────────────────────────────────────────


def test_two_people_talk() -> None:
    host = Host()
    ada, bob = host.person("ada", "tea"), host.person("bob", "tea")
    host.type(ada, "hello, bob")
    host.type(bob, "hello, ada")
    assert ada.lines() == ["[tea] bob: hello, ada"]
    assert bob.lines() == ["[tea] ada: hello, bob"]


def test_who_says_nothing_is_greeted_when_the_timer_goes_off() -> None:
    host = Host()
    wire = host.connect()
    host.run()
    assert wire.lines() == []
    assert host.timer_at is not None
    host.wait(host.timer_at - host.clock.now)
    assert wire.lines() == [
        "* Welcome to tcpchat. You are guest-1. /join ROOM to start, /help for more."
    ]


def test_numbers_of_connections_tell_node_and_boot_and_are_never_used_twice() -> None:
    host = Host(number=3, boot=7)
    conns = [host.connect().conn for _ in range(3)]
    host.node.lost(conns[1])
    host.run()
    conns.append(host.connect().conn)
    assert conns == [connection_number(3, 7, count) for count in (1, 2, 3, 4)]


def test_what_is_read_in_one_turn_is_one_batch_and_one_write_to_each() -> None:
    host = Host(log=HeldLog)
    ada, bob, cleo = (host.connect() for _ in range(3))
    for nick, wire in (("ada", ada), ("bob", bob), ("cleo", cleo)):
        host.type(wire, f"/nick {nick}", "/join tea")
    held(host).deliver()
    host.run()
    turns = host.turns
    for wire in host.wires:
        wire.read()
        wire.writes = 0
    host.give(ada, b"one\ntwo\n")
    host.give(bob, b"three\n")
    host.run()
    assert host.turns == turns + 1
    ((first, second),) = held(host).batches
    assert [first.conn, second.conn] == [ada.conn, bob.conn]
    assert len(first.events) == 2
    assert [wire.writes for wire in host.wires] == [0, 0, 0]
    held(host).deliver()
    host.run()
    assert host.turns == turns + 2
    assert [wire.writes for wire in host.wires] == [1, 1, 1]
    assert cleo.lines() == ["[tea] ada: one", "[tea] ada: two", "[tea] bob: three"]


def test_what_many_say_in_one_turn_is_a_few_batches_and_one_write_to_each() -> None:
    host = Host()
    people = [host.person(f"p{n}", "tea") for n in range(MAX_BATCH + 1)]
    turns, batches = host.turns, host.node.counters.batches
    for wire in people:
        wire.read()
        wire.writes = 0
    for wire in people:
        host.give(wire, b"hello\n")
    host.run()
    assert host.turns == turns + 1
    assert host.node.counters.batches == batches + 2
    for n, wire in enumerate(people):
        assert wire.writes == 1
        others = [each for each in range(len(people)) if each != n]
        assert wire.lines() == [f"[tea] p{each}: hello" for each in others]


def test_what_a_node_has_done_is_counted() -> None:
    host = Host()
    ada = host.person("ada", "tea")
    host.type(ada, "one", "two")
    counters = host.node.counters
    assert (counters.connections, counters.reads, counters.batches, counters.entries) == (
        1,
        2,
        2,
        5,  # connect, nick, join, and two messages
    )


# ── Entries come again ───────────────────────────────────────────────────────────────────────


def test_entries_that_come_again_count_once() -> None:
    host = Host(log=HeldLog)
    ada, bob = host.connect(), host.connect()
    host.type(ada, "/nick ada", "/join tea")
    host.type(bob, "/nick bob", "/join tea")
    log = held(host)
    log.deliver()
    host.type(ada, "hello")
    log.take_in()
    for part in (log.entries[:2], log.entries, log.entries[3:], log.entries):
        log.deliver(part)
        host.run()
    assert bob.lines()[-1] == "[tea] ada: hello"
    assert bob.read() == b""
    assert host.node.counters.entries == len(log.entries)
    host.type(bob, "/who")  # an answer waits for nothing that came twice
    assert bob.lines() == ["* 2 in tea: ada, bob. Moderators: ada"]


def test_a_batch_that_is_taken_in_again_counts_once() -> None:
    host = Host(log=HeldLog)
    ada, bob = host.connect(), host.connect()
    host.type(ada, "/nick ada", "/join tea")
    host.type(bob, "/nick bob", "/join tea")
    log = held(host)
    log.deliver()
    host.run()
    bob.read()
    host.type(ada, "hello", "/out", "/join tea")
    again = [*log.batches]
    log.deliver()
    log.batches += again
    log.deliver()
    host.run()
    assert bob.lines() == ["[tea] ada: hello", "* ada left tea", "* ada joined tea"]


def test_who_came_and_went_in_a_batch_that_is_taken_in_again_did_so_once() -> None:
    host = Host(log=HeldLog)
    ada, bob = host.connect(), host.connect()
    host.type(bob, "/nick bob", "/join tea")
    log = held(host)
    log.deliver()
    host.run()
    bob.read()
    host.type(ada, "/nick ada", "/join tea", "hello", "/quit")
    again = [*log.batches]
    log.deliver()
    log.batches += again
    log.deliver()
    host.run()
    assert bob.lines() == ["* ada joined tea", "[tea] ada: hello", "* ada quit"]
    assert host.protocol.state.people == 1


# ── Reading, and when not ────────────────────────────────────────────────────────────────────


def test_who_is_too_fast_is_not_read_from_until_its_words_were_looked_at() -> None:
    host = Host(ServerProtocol(ChatState(), limits=ServerLimits(flood_burst=4, flood_rate=1)))
    ada, bob = host.person("ada", "tea"), host.connect()
    host.type(bob, "/nick bob", "/join tea")
    host.wait(10_000)
    bob.read()
    host.type(ada, *map(str, range(6)))
    assert not ada.is_read
    assert bob.lines() == [f"[tea] ada: {n}" for n in range(4)]
    host.wait(1_000)
    assert not ada.is_read
    assert bob.lines() == ["[tea] ada: 4"]
    host.wait(1_000)
    assert ada.is_read
    assert bob.lines() == ["[tea] ada: 5"]


def test_who_may_say_nothing_at_all_now_is_still_heard_in_its_time() -> None:
    host = Host(ServerProtocol(ChatState(), limits=ServerLimits(flood_burst=2, flood_rate=1)))
    ada = host.connect()
    host.type(ada, "/nick ada", "/join tea")
    assert ada.is_read
    host.type(ada, "/who")  # proposes nothing, and nothing can be answered now
    assert not ada.is_read
    ada.read()
    host.wait(1_000)
    assert ada.lines() == ["* 1 in tea: ada. Moderators: ada"]
    assert ada.is_read


def a_session_with_much_to_hear(host: Host, messages: int) -> Wire:
    """Somebody takes up a session, in a room where so many messages were said meanwhile."""
    ada, bob = program(host, "ada's"), program(host)
    ask(host, ada, events.Nick("ada"), events.Join("tea"))
    ask(host, bob, events.Nick("bob"), events.Join("tea"))
    host.node.lost(ada.conn)
    for n in range(messages):
        ask(host, bob, events.Say("tea", f"{n} {'x' * 300}"))
    back = host.connect(token="ada's again")
    back.room_for = 1_000
    host.give(back, encode_request(events.Hello("ada's", {"tea": 1})))
    host.run()
    return back


def test_who_does_not_take_what_it_is_owed_is_not_read_from_until_it_does() -> None:
    host = Host()
    back = a_session_with_much_to_hear(host, 100)
    assert (back.waits, back.is_read) == (True, False)
    assert host.node.backlog_bytes > 0
    host.allow(back, 10_000)
    assert not back.is_read
    host.allow(back, None)
    assert (back.waits, back.is_read) == (False, True)
    welcome, *said = back.told()
    assert isinstance(welcome, notices.Resumed | notices.Welcome)
    texts = [notice.text for notice in said if isinstance(notice, notices.Said)]
    assert [int(text.split()[0]) for text in texts] == list(range(100))
    assert host.node.backlog_bytes == 0


def test_who_is_owed_more_than_the_bound_is_not_given_up_while_it_takes_it() -> None:
    host = Host(max_backlog_bytes=2_000)
    back = a_session_with_much_to_hear(host, 100)
    for _ in range(100):
        host.sweep(after_ms=9_000)
        host.allow(back, 500)
    assert host.node.counters.overruns == 0
    host.allow(back, None)
    assert len([n for n in back.told() if isinstance(n, notices.Said)]) == 100


def test_who_is_not_read_from_for_what_it_is_owed_is_not_held_to_be_silent() -> None:
    limits = ServerLimits(flood_rate=0, ping_after_ms=90_000, drop_after_ms=150_000)
    host = Host(ServerProtocol(ChatState(), limits=limits))
    back = a_session_with_much_to_hear(host, 100)
    for _ in range(50):
        host.wait(9_000)
        host.allow(back, 500)
    assert not back.is_read  # so an answer to a ping would not be heard
    host.allow(back, None)
    host.wait(89_000)
    told = back.told()
    assert not [notice for notice in told if isinstance(notice, notices.Closing)]
    assert len([notice for notice in told if isinstance(notice, notices.Said)]) == 100
    host.wait(70_000)  # from now on it can be heard, and says nothing
    assert [type(notice) for notice in back.told()] == [notices.Pinged, notices.Closing]


def test_who_is_paused_for_two_reasons_is_read_from_when_both_are_over() -> None:
    host = Host(ServerProtocol(ChatState(), limits=ServerLimits(flood_burst=4, flood_rate=1)))
    ada = host.connect()
    host.type(ada, "/nick ada", "/join tea")
    host.wait(10_000)
    ada.room_for = 0
    host.type(ada, "/help", "/help", "/help", "/help", "/history", "/who")
    assert not ada.is_read
    host.wait(5_000)
    assert not ada.is_read  # the page of history is not taken
    host.allow(ada, None)
    assert ada.is_read


# ── The ends of connections ──────────────────────────────────────────────────────────────────


def test_who_quits_is_sent_all_then_lingers_until_its_peer_closes() -> None:
    host = Host()
    ada = host.person("ada", "tea")
    host.type(ada, "/quit")
    assert ada.lines() == ["* Closing: bye"]
    assert (ada.is_finished, ada.is_closed, ada.is_read) == (True, False, True)
    host.give(ada, b"this is of no interest\n")
    host.run()
    assert not ada.is_closed
    host.give(ada, b"")
    assert (ada.is_closed, ada.ends, host.node.connections) == (True, 1, 0)


def test_who_does_not_close_its_side_lingers_no_longer_than_it_may() -> None:
    host = Host()
    ada = host.person("ada", "tea")
    host.type(ada, "/quit")
    host.sweep(after_ms=LINGER_MS - 1)
    assert not ada.is_closed
    host.sweep(after_ms=1)
    assert (ada.is_closed, ada.ends) == (True, 1)


def test_who_has_closed_its_side_first_does_not_linger() -> None:
    host = Host()
    ada = host.person("ada", "tea")
    host.give(ada, b"goodbye, all\n")
    host.give(ada, b"")
    host.run()
    assert (ada.is_finished, ada.is_closed, ada.ends) == (True, True, 1)


def test_who_cannot_be_told_of_the_end_is_closed_at_once() -> None:
    host = Host()
    ada = host.person("ada", "tea")
    host.type(ada, "/quit")
    bob = host.person("bob", "tea")
    host.give(bob, b"/quit\n")
    bob.error = ConnectionResetError
    host.run()
    assert (bob.is_closed, bob.ends) == (True, 1)


def test_a_connection_is_lost_once_whoever_notices_it_first() -> None:
    host = Host()
    ada, bob = host.person("ada", "tea"), host.person("bob", "tea")
    ada.error = ConnectionResetError
    host.type(bob, "are you there?")
    assert (ada.is_closed, ada.ends) == (True, 1)
    host.node.lost(ada.conn)
    host.node.received(ada.conn, b"")
    host.node.writable(ada.conn)
    host.run()
    assert ada.ends == 1
    assert bob.lines() == ["* ada quit (connection lost)"]
    assert host.node.connections == 1


def test_who_reads_too_slowly_is_told_so_in_a_line_of_its_own_and_others_hear_why() -> None:
    host = Host(max_backlog_bytes=100)
    ada, bob = host.person("ada", "tea"), host.person("bob", "tea")
    ada.room_for = 20
    host.type(bob, "one two three four five")
    assert not ada.is_closed
    host.type(bob, "x" * 100)
    assert ada.lines() == ["[tea] bob: one two t"]  # nothing more could be written
    assert (ada.is_closed, ada.ends, host.node.counters.overruns) == (True, 1, 1)
    assert bob.lines() == ["* ada quit (read too slowly)"]


def test_who_takes_nothing_for_too_long_is_given_up_with_last_words() -> None:
    host = Host(stall_timeout_ms=1_000)
    ada, bob = host.person("ada", "tea"), host.person("bob", "tea")
    ada.room_for = 20
    host.type(bob, "one two three four five")
    host.sweep(after_ms=999)
    assert not ada.is_closed
    host.wait(0)
    host.clock.run(host.clock.now + 1)
    ada.room_for = None  # it reads on, but too late
    host.node.sweep()
    host.run()
    assert ada.lines() == [
        "[tea] bob: one two three four five",
        "* Closing: you read too slowly",
    ]
    assert (ada.is_closed, ada.ends, host.node.counters.overruns) == (True, 1, 1)
    assert bob.lines() == ["* ada quit (read too slowly)"]


def test_all_are_told_that_the_node_stops_and_what_was_read_before_counts() -> None:
    host = Host()
    ada, bob, silent = host.person("ada", "tea"), host.person("bob", "tea"), host.connect()
    host.give(ada, b"one more\n")
    host.node.stop("maintenance", retry=100)
    host.run()
    assert ada.lines() == ["* Closing: maintenance"]
    assert bob.lines() == ["[tea] ada: one more", "* Closing: maintenance"]
    assert silent.lines() == ["* Closing: maintenance"]
    assert all(wire.is_finished for wire in host.wires)
    assert host.timer_at is None
    host.give(ada, b"")
    host.node.lost(bob.conn)
    host.node.drop_all()
    host.run()
    assert [wire.ends for wire in host.wires] == [1, 1, 1]
    assert host.node.connections == 0


def test_nobody_is_told_anything_after_the_last_words() -> None:
    host = Host(log=HeldLog)
    ada, bob = host.connect(), host.connect()
    host.type(ada, "/nick ada", "/join tea")
    host.type(bob, "/nick bob", "/join tea")
    held(host).deliver()
    host.run()
    ada.read()
    host.give(bob, b"one more\n")
    ada.room_for = 0
    host.node.stop("maintenance")
    host.run()
    held(host).deliver()
    host.allow(ada, None)
    assert ada.lines() == ["* Closing: maintenance"]


# ── Time, and restarts ───────────────────────────────────────────────────────────────────────


def test_the_loop_is_told_of_a_time_when_the_log_alone_has_changed_it() -> None:
    limits = ServerLimits(flood_rate=0, grace_ms=5_000)
    host = Host(ServerProtocol(ChatState(), limits=limits), log=HeldLog)
    ada = program(host, "ada's")
    held(host).deliver()
    host.run()
    host.node.lost(ada.conn)
    host.run()
    host.wait(200_000)
    held(host).deliver()  # nobody is told: it was in no room, and is here no more
    host.run()
    assert host.timer_at == host.clock.now + 5_000
    host.wait(5_000)
    held(host).deliver()
    assert [*host.protocol.state.all_away()] == []


def a_state_with_people(node: int, boot: int, people: int, away: int) -> bytes:
    """What an earlier boot has left: people in a room, and some who are away already."""
    state = ChatState(limits=StateLimits(away=2_000))
    entries: list[tuple[int, events.Event, int]] = []
    for count in range(1, people + away + 1):
        conn = connection_number(node, boot, count)
        entries.append((conn, events.Connect(f"session {count}" if count % 2 else ""), 1))
        entries.append((conn, events.Join("tea", "tea"), 2))
        if count > people:
            entries.append((conn, events.Disconnect("connection lost"), 3))
    for seq, (conn, event, number) in enumerate(entries, 1):
        state.handle(Entry(seq, 1_000, conn, event, number))
    return state.snapshot()


@pytest.mark.parametrize("people", [0, 1, 499, 500, 501, 1_200])
def test_a_node_ends_its_earlier_boots_some_hundred_people_at_a_time(people: int) -> None:
    state = ChatState.restore(a_state_with_people(2, 4, people, 0))
    host = Host(
        ServerProtocol(state, limits=ServerLimits(grace_ms=5_000)),
        log=HeldLog,
        number=2,
        boot=5,
    )
    proposals = [propose for batch in held(host).batches for propose in batch]
    assert len(proposals) == -(-people // 500)
    assert all(isinstance(event, events.Lapse) for each in proposals for event in each.events)
    entries = [
        entry
        for number, each in enumerate(proposals)
        for entry in each.entries(state.seq + 1 + number, 2_000)
    ]
    for entry in entries:
        before = state.people
        held(host).deliver([entry])
        assert before - state.people <= 500
    host.run()
    assert state.people == 0
    assert len([*state.all_away()]) == -(-people // 2)
    assert host.timer_at == (5_000 if people else None)


def test_other_nodes_and_this_boot_are_left_alone_by_a_start() -> None:
    for node, boot in ((1, 4), (3, 4), (2, 5)):
        state = ChatState.restore(a_state_with_people(node, boot, 3, 0))
        host = Host(ServerProtocol(state), number=2, boot=5)
        assert host.protocol.state.people == 3


def test_who_was_away_before_a_restart_has_a_grace_again_and_then_is_gone() -> None:
    state = ChatState.restore(a_state_with_people(0, 1, 2, 4))
    limits = ServerLimits(flood_rate=0, grace_ms=5_000)
    host = Host(ServerProtocol(state, limits=limits), boot=2, log=HeldLog)
    assert len([*state.all_away()]) == 2
    assert host.timer_at == 5_000
    (batch,) = held(host).batches
    held(host).deliver([e for each in batch for e in each.entries(state.seq + 1, 2_000)])
    held(host).batches.clear()
    host.wait(5_000)
    expired = [event for batch in held(host).batches for each in batch for event in each.events]
    assert len(expired) == 3
    assert all(isinstance(event, events.Expire) for event in expired)


# ── The same bytes as a plain loop ───────────────────────────────────────────────────────────

LINES = st.sampled_from(
    [
        HELLO,
        b"/join tea\n",
        b"/join den\n",
        b'{"type":"join","room":"tea"}\n',
        b'{"type":"join","room":"den"}\n',
        b"/out\n",
        b'{"type":"out","room":"tea"}\n',
        b"hello\n",
        b"one\ntwo\nthree\n",
        b'{"type":"say","room":"tea","text":"hello","id":"1"}\n',
        b'{"type":"say","room":"den","text":"hello","id":"2"}\n',
        b"/nick ada\n",
        b'{"type":"nick","nick":"bob"}\n',
        b"/msg ada psst\n",
        b'{"type":"tell","nick":"guest-1","text":"psst"}\n',
        b"/who\n/rooms\n",
        b'{"type":"history","room":"tea"}\n',
        b"/history\n",
        b"/topic on tea\n",
        b"/quit\n",
        b"{broken\n",
        b"half a li",
        b"\xff\xf0\n",
    ]
)
WHO = st.integers(0, 5)
Steps: TypeAlias = list[tuple[object, ...]]
STEPS = st.lists(
    st.one_of(
        *[st.tuples(st.just("read"), WHO, LINES)] * 6,
        *[st.tuples(st.just("turn"))] * 3,
        st.tuples(st.just("connect")),
        st.tuples(st.just("connect")),
        st.tuples(st.just("resume"), WHO),
        st.tuples(st.just("eof"), WHO),
        st.tuples(st.just("lost"), WHO),
        st.tuples(st.just("wait"), st.sampled_from([100, 600, 3_000, 200_000])),
    ),
    max_size=80,
)
# The bounds are small, so that they are met.
LIMITS = ServerLimits(flood_burst=8, flood_rate=2, grace_ms=2_000)


@given(STEPS)
@settings(max_examples=300)
def test_every_peer_gets_the_bytes_of_a_plain_loop(steps: Steps) -> None:
    check_against_plain_loop(steps)


def check_against_plain_loop(steps: Steps, log: Callable[[Host], Log] | None = None) -> None:
    def protocol() -> ServerProtocol:
        return ServerProtocol(ChatState(), limits=LIMITS)

    host, naive = Host(protocol(), log), NaiveHost(protocol())

    def connect() -> None:
        token = f"token {len(host.wires)}"
        naive.connect(host.connect(token=token).conn, token=token)

    def read(wire: Wire, data: bytes) -> None:
        if wire.is_read and not (wire.is_closed or wire.is_finished):
            host.give(wire, data)
            naive.read(wire.conn, data)

    for _ in range(3):
        connect()
    for step in steps:
        match step:
            case ("connect",):
                connect()
            case ("read", int(who), bytes(data)) if who < len(host.wires):
                read(host.wires[-1 - who], data)
            case ("resume", int(who)) if who < len(host.wires):
                place = len(host.wires) - 1 - who
                connect()
                hello = events.Hello(f"token {place}", {"tea": 0, "den": 0})
                read(host.wires[-1], encode_request(hello))
            case ("eof", int(who)) if who < len(host.wires):
                read(host.wires[-1 - who], b"")
            case ("lost", int(who)) if who < len(host.wires):
                host.node.lost(host.wires[-1 - who].conn)
                naive.lost(host.wires[-1 - who].conn)
            case ("wait", int(milliseconds)):
                host.run()
                naive.end_turn()
                host.wait(milliseconds)
                naive.wait(milliseconds)
            case _:
                host.run()
                naive.end_turn()
    host.run()
    naive.end_turn()
    for wire in host.wires:
        expected = bytes(naive.output[wire.conn])
        if wire.is_closed and not wire.is_finished:  # lost, perhaps in the middle of a turn
            assert expected.startswith(wire.taken)
        else:
            assert expected == wire.taken
        assert wire.is_read != (wire.conn in naive.unread) or wire.is_finished or wire.is_closed
        assert (wire.is_finished or wire.is_closed) == (wire.conn in naive.ended)
    assert host.protocol.state.digest() == naive.protocol.state.digest()


# ── A log that is far away, and stutters ─────────────────────────────────────────────────────


@pytest.mark.parametrize("seed", range(8))
def test_a_log_that_is_late_and_stutters_tells_everybody_everything_once(seed: int) -> None:
    draw = random.Random(seed)
    host = Host(log=far_away(seed))
    wires = []
    for nick in ("ada", "bob", "cleo"):
        wire = host.connect()
        host.type(wire, f"/nick {nick}", "/join tea")
        host.wait(5_000)
        wires.append(wire)
    for wire in wires:
        wire.read()
    said: dict[int, list[str]] = {wire.conn: [] for wire in wires}
    for n in range(60):
        wire = draw.choice(wires)
        said[wire.conn].append(str(n))
        host.give(wire, b"%d\n" % n)
        host.wait(draw.randint(0, 30))
    host.wait(60_000)
    for wire in wires:
        lines = wire.lines()
        for other, nick in zip(wires, ("ada", "bob", "cleo"), strict=True):
            heard = [line.split()[2] for line in lines if f" {nick}: " in line]
            assert heard == ([] if other is wire else said[other.conn])
    room = host.protocol.state.room("tea")
    assert room is not None
    assert len(room.messages(None, 100)) == 60


def test_a_restart_reads_the_log_again_and_comes_to_the_same_state() -> None:
    host = Host(log=far_away(1))
    for nick in ("ada", "bob"):
        wire = host.connect()
        host.type(wire, f"/nick {nick}", "/join tea", "hello", "/quit")
    host.wait(5_000)
    entries = host.log.entries  # type: ignore[attr-defined]
    again = Host(log=far_away(2, entries=entries), boot=2)
    assert again.protocol.state.digest() == host.protocol.state.digest()


# ── The tests see ────────────────────────────────────────────────────────────────────────────


class Reordering(MemoryLog):
    """It takes the proposals of a batch in from the last to the first."""

    def propose(self, batch: Sequence[Propose]) -> None:
        super().propose(batch[::-1])


class Late(MemoryLog):
    """It delivers a batch with the next one."""

    def __init__(self, clock: Callable[[], int]) -> None:
        super().__init__(clock)
        self.before: list[Propose] = []

    def propose(self, batch: Sequence[Propose]) -> None:
        before, self.before = self.before, [*batch]
        if before:
            super().propose(before)


class Stuttering(MemoryLog):
    """It takes each batch in twice, as one that is new each time: its events have no numbers."""

    def propose(self, batch: Sequence[Propose]) -> None:
        unnumbered = [msgspec.structs.replace(each, number=0) for each in batch]
        super().propose(batch)
        super().propose(unnumbered)


class Forgetful(MemoryLog):
    """It loses the last event of a read."""

    def propose(self, batch: Sequence[Propose]) -> None:
        super().propose(
            [
                msgspec.structs.replace(each, events=each.events[:-1] or each.events)
                for each in batch
            ]
        )


@pytest.mark.parametrize("log", [Reordering, Late, Stuttering, Forgetful])
def test_the_property_sees_a_broken_log(log: type[MemoryLog]) -> None:
    @given(STEPS)
    @settings(settings.get_profile("broken"), max_examples=300)
    def check(steps: Steps) -> None:
        check_against_plain_loop(steps, lambda host: log(host.wall_ms))

    with pytest.raises((AssertionError, KeyError)):
        check()
