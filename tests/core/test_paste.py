"""What comes in one piece is dealt with at once, and brings about what it would line by line."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from tcpchat_core import (
    Broadcast,
    ChatState,
    Effect,
    Entry,
    Event,
    Propose,
    ServerLimits,
    ServerProtocol,
    StateLimits,
    events,
)
from tcpchat_core.server import MAX_OUTSTANDING
from tests.core.harness import MemoryServer, entry, join, name, nick
from tests.core.strategies import CUTS

ROOMS = ("lobby", "tea")


# ── The state ────────────────────────────────────────────────────────────────────────────────

_conns = st.integers(1, 3)
_says: st.SearchStrategy[Event] = st.builds(
    lambda room, text, own, emote: events.Say(room, text, own, emote, name(room).key),
    st.sampled_from(ROOMS),
    st.sampled_from(("one", "two", "three")),
    st.none() | st.none() | st.sampled_from(("id-1", "id-2")),
    st.booleans(),
)
_others: st.SearchStrategy[Event] = st.one_of(
    st.sampled_from(ROOMS).map(join),
    st.sampled_from(ROOMS).map(lambda room: events.Out(room, name(room).key)),
    st.sampled_from(("ada", "bob")).map(nick),
    st.just(events.Tell("ada", "psst", None, "ada")),
    st.builds(events.Connect),
    st.just(events.Disconnect("connection lost")),
)
# Of one connection, several in a row.
_rows = st.tuples(_conns, st.lists(_says, min_size=1, max_size=6) | st.lists(_others, max_size=2))
_logs = st.lists(_rows, max_size=25).map(
    lambda rows: [(conn, event) for conn, row in rows for event in row]
)


def _state() -> ChatState:
    """Three people in both rooms, with bounds that are soon met."""
    state = ChatState(limits=StateLimits(history_messages=4, history_chars=14, receipts=2))
    for conn in (1, 2, 3):
        coming: list[Event] = [events.Connect(f"session-{conn}"), *map(join, ROOMS)]
        for event in coming:
            state.handle(entry(state.seq + 1, conn, event))
    return state


def _shown(actions: Sequence[object]) -> list[str]:
    """Actions in a form that two states have in common (audiences are compared by identity)."""
    return [repr(action) for action in actions]


@given(log=_logs, cuts=CUTS, repeats=st.booleans())
def test_entries_that_are_handled_at_once_have_the_same_actions(
    log: list[tuple[int, Event]], cuts: list[int], repeats: bool
) -> None:
    one_by_one, at_once = _state(), _state()
    first = one_by_one.seq + (0 if repeats else 1)  # the log may begin with what was handled
    entries = [Entry(seq, 7 * seq, *item) for seq, item in enumerate(log, first)]
    places = sorted({0, len(entries), *(cut % (len(entries) + 1) for cut in cuts)})
    expected = [action for each in entries for action in one_by_one.handle(each)]
    got = [
        action
        for start, end in pairwise(places)
        for action in at_once.handle_all(entries[start:end])
    ]
    assert _shown(got) == _shown(expected)
    assert at_once.digest() == one_by_one.digest()


# ── The server ───────────────────────────────────────────────────────────────────────────────


class AtOnce(MemoryServer):
    """As `ChatServer` does it: messages that are proposed together are committed together."""

    def carry_out(self, effects: Sequence[Effect]) -> list[Effect]:
        proposed = [effect for effect in effects if isinstance(effect, Propose)]
        if len(proposed) == len(effects) and not self.delayed:
            entries = [
                entry(seq, propose.conn, propose.event)
                for seq, propose in enumerate(proposed, len(self.log) + 1)
            ]
            self.log += entries
            return super().carry_out(self.protocol.commit_all(entries))
        return super().carry_out(effects)


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


def _server(make: type[MemoryServer], limits: ServerLimits) -> MemoryServer:
    server = make(ServerProtocol(ChatState(), limits=limits))
    for conn in (1, 2, 3):
        server.connect(conn)
        server.send(conn, b'{"type":"hello"}\n' if conn == 3 else b"/nick ada\n")
        server.send(conn, b'{"type":"join","room":"lobby"}\n' if conn == 3 else b"/join lobby\n")
    return server


@given(
    pieces=_pieces,
    limits=st.sampled_from((ServerLimits(flood_rate=0), ServerLimits(flood_burst=5, flood_rate=2))),
    pauses=st.booleans(),
)
def test_lines_that_come_at_once_are_told_as_if_they_came_one_by_one(
    pieces: list[tuple[int, list[bytes]]], limits: ServerLimits, pauses: bool
) -> None:
    one_by_one, at_once = _server(MemoryServer, limits), _server(AtOnce, limits)
    for conn, lines in pieces:
        written = [_written(conn, line) for line in lines]
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


def test_a_paste_is_told_in_one_broadcast_and_acknowledged_in_its_place() -> None:
    server = _server(MemoryServer, ServerLimits(flood_rate=0))
    paste = b"".join(_written(3, line) for line in (b"x", b"y", b"z"))
    proposed = server.protocol.receive_data(3, paste, now=0)
    entries = [
        entry(len(server.log) + place, 3, effect.event)
        for place, effect in enumerate(proposed, 1)
        if isinstance(effect, Propose)
    ]
    told = server.protocol.commit_all(entries)
    plain, json = [effect for effect in told if isinstance(effect, Broadcast)]
    assert plain.payload == b"[lobby] guest-2: x\n[lobby] guest-2: y\n[lobby] guest-2: z\n"
    assert json.payload.count(b'{"type":"said"') == json.payload.count(b"\n") == 3
    assert plain.receipt == b""
    assert json.receipt is not None
    assert json.receipt.count(b'{"type":"sent"') == json.receipt.count(b"\n") == 3


def test_nothing_is_committed_of_no_entries() -> None:
    assert ServerProtocol(ChatState()).commit_all([]) == []


def test_an_answer_that_waits_has_its_place_between_messages_that_are_committed_at_once() -> None:
    server = _server(MemoryServer, ServerLimits(flood_rate=0))
    server.delayed = True
    server.read(1)
    server.send(1, b"one\n/topic\ntwo\n")
    proposed: deque[Propose] = server.proposed
    entries = [entry(100 + place, 1, one.event) for place, one in enumerate(proposed)]
    server.carry_out(server.protocol.commit_all(entries))
    assert server.lines(1) == ["* lobby has no topic"]
    assert [line.partition(": ")[2] for line in server.lines(2)][-2:] == ["one", "two"]


def test_a_paste_waits_for_the_log_when_too_much_of_it_is_on_its_way() -> None:
    limits = ServerLimits(flood_burst=1_000, flood_rate=1_000)
    server = _server(MemoryServer, limits)
    server.delayed = True
    lines = [b"%d" % number for number in range(MAX_OUTSTANDING + 10)]
    server.send(1, b"\n".join(lines) + b"\n")
    assert len(server.proposed) == MAX_OUTSTANDING
    assert server.protocol.is_paused(1)
    server.wait(1_000)  # time alone changes nothing
    assert len(server.proposed) == MAX_OUTSTANDING
    server.read(2)
    while server.proposed:
        server.commit_next()
    assert server.read(2) == b"".join(b"[lobby] ada: %b\n" % line for line in lines)
