"""The fan-out gives every connection what a naive loop of writes would, in fewer calls."""

from __future__ import annotations

import inspect
from functools import partial
from typing import Any, NamedTuple

import pytest
from hypothesis import Phase, given, settings

from tcpchat_core import Audience, Lineage
from tcpchat_net import Fanout, fanout
from tests.net.naive import (
    CONNS,
    ROOMS,
    Allow,
    Block,
    CheckStalls,
    EndTurn,
    MakeFanout,
    SayTo,
    SendTo,
    Step,
    check_fanout,
    memberships,
    steps,
)


@given(memberships, steps)
@settings(max_examples=300)
def test_each_client_gets_what_a_naive_loop_would_give_it(members: Any, todo: Any) -> None:
    check_fanout(Fanout, members, todo)


# ── The check is worth something ─────────────────────────────────────────────────────────────


class Fault(NamedTuple):
    """A way to break the fan-out: what stands in its source, and what stands there instead."""

    what: str
    good: str
    bad: str
    shown_by: tuple[Step, ...] = ()  # for what chance seldom meets


# One of those who are together becomes slow, and then something more is said.
BECOMES_SLOW: tuple[Step, ...] = (
    SayTo(0, author=0, letters=1, receipt_letters=None),
    EndTurn(take_words=True, took_ms=0),
    Block(1),
    SayTo(0, author=0, letters=1, receipt_letters=None),
    EndTurn(take_words=True, took_ms=0),
    SayTo(0, author=0, letters=1, receipt_letters=None),
    EndTurn(take_words=True, took_ms=0),
)

FAULTS = (
    Fault(
        "a batch stays open when a member is sent something else",
        "            outbox.tail.is_open = False\n            outbox.tail = None",
        "            outbox.tail = None",
    ),
    Fault(
        "a batch stays open when it is written",
        "self.batches, [], None",
        "self.batches, [], self.batch",
    ),
    Fault("who comes is sent what was said before", "group.batch.is_open = False", "pass"),
    Fault(
        "who has left is still sent to",
        "self._leave(group, set(before).difference(audience.conns))",
        "pass",
    ),
    Fault(
        "who is set apart loses what was sent before in the turn",
        "outbox.parts = [*group.batches]",
        "outbox.parts = []",
    ),
    Fault(
        "who is set apart is written twice",
        "del group.together[outbox.conn]",
        "pass",
    ),
    Fault(
        "who comes into a second room is together in both",
        "if outbox.is_together:\n                    self._set_apart(outbox)",
        "outbox.is_together = False",
    ),
    Fault(
        "who is slow goes home at once",
        "or outbox.backlog):",
        "):",
        BECOMES_SLOW,
    ),
    Fault(
        "who becomes slow stays together",
        "if outbox.is_together:\n                self._set_apart(outbox)\n            outbox.b",
        "outbox.b",
        BECOMES_SLOW,
    ),
    Fault(
        "what a connection alone is sent is not written",
        "self._noted.append(outbox)",
        "pass",
    ),
    Fault(
        "a receipt stands one place too late",
        "(len(batch.chunks), receipt)",
        "(len(batch.chunks) - 1, receipt)",
    ),
    Fault("an author gets its own message", "own[place] = receipt", "pass"),
    Fault(
        "an offset is one off after a partial write",
        "deque(), written",
        "deque(), max(0, written - 1)",
    ),
    Fault(
        "an offset is one off after another partial write",
        "outbox.offset += written",
        "outbox.offset += max(1, written - 1)",
    ),
    Fault("there is no bound of bytes", "> self._max_backlog_bytes", "> 10**9"),
    Fault("there is no bound of time", ">= self._stall_timeout_ms", ">= 10**9"),
    Fault(
        "time runs while there is progress",
        "            outbox.progress_at = now\n            outbox.b",
        "            outbox.b",
        (
            Block(0),
            SendTo(0, (5,)),
            EndTurn(take_words=True, took_ms=60),
            Allow(0, 3),
            EndTurn(take_words=True, took_ms=60),
            CheckStalls(take_words=True),
        ),
    ),
    Fault(
        "what waits is counted wrong",
        "outbox.backlog_bytes -= written",
        "pass",
        (
            Block(0),
            SendTo(0, (5,)),
            EndTurn(take_words=True, took_ms=0),
            Allow(0, 3),
            EndTurn(take_words=True, took_ms=0),
        ),
    ),
    Fault(
        "what is sent overtakes what waits",
        "if data and not outbox.backlog:",
        "if data:",
    ),
    Fault(
        "a connection is closed with bytes left",
        "if outbox.closing and not outbox.backlog:",
        "if outbox.closing:",
    ),
    Fault(
        "a slow connection is never closed",
        "self._go_home(outbox)\n            if outbox.closing:",
        "self._go_home(outbox)\n            if False:",
    ),
    Fault("nobody waits for a slow peer", "want_writable(True)", "want_writable(False)"),
    Fault(
        "last words begin inside a line",
        "outbox.rest_of_line + data",
        "data",
        (
            Block(0),
            Allow(0, 3),
            SendTo(0, (5,)),
            EndTurn(take_words=True, took_ms=100),
            CheckStalls(take_words=True),
        ),
    ),
    Fault(
        "a removed connection is written to with the others",
        "outbox.home.together.pop(conn, None)",
        "pass",
    ),
    Fault("a removed connection is written to", "outbox.write = len", "pass"),
    Fault("nobody is woken", "self._wake()", "pass"),
)


def _broken(fault: Fault) -> MakeFanout:
    """A fan-out with the fault in it."""
    source = inspect.getsource(fanout)
    assert fault.good in source, "the fault is not of this fan-out"
    # The annotations of its classes are looked up by the name of its module, which stays.
    namespace: dict[str, Any] = {"__name__": fanout.__name__}
    exec(source.replace(fault.good, fault.bad), namespace)
    make: MakeFanout = namespace["Fanout"]
    return make


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.what.replace(" ", "-"))
def test_the_check_sees_a_broken_fanout(fault: Fault) -> None:
    make = _broken(fault)
    everywhere = [CONNS] * len(ROOMS)

    @given(memberships, steps)
    @settings(
        max_examples=1_000,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        print_blob=False,
    )
    def check(members: Any, todo: Any) -> None:
        check_fanout(make, members, todo)

    check_fanout(Fanout, everywhere, fault.shown_by)
    search = (
        check if not fault.shown_by else partial(check_fanout, make, everywhere, fault.shown_by)
    )
    with pytest.raises((AssertionError, KeyError)):
        search()


# ── What a sequence of steps does not show ───────────────────────────────────────────────────


class Taker:
    """A transport that takes everything, and keeps the objects that it was given."""

    def __init__(self) -> None:
        self.taken: list[bytes | memoryview] = []

    def write(self, data: bytes | memoryview, /) -> int:
        self.taken.append(data)
        return len(data)

    def want_writable(self, wanted: bool) -> None:
        assert not wanted

    def failed(self) -> None:
        raise AssertionError

    def overrun(self) -> None:
        raise AssertionError

    def finished(self) -> None:
        raise AssertionError


def _takers(count: int) -> tuple[Fanout, list[Taker], Audience, list[None]]:
    woken: list[None] = []
    made = Fanout(lambda: woken.append(None))
    takers = [Taker() for _ in range(count)]
    for conn, taker in enumerate(takers):
        made.add(conn, taker)
    return made, takers, Audience(tuple(range(count)), Lineage()), woken


def test_what_an_audience_is_sent_in_a_turn_is_one_object_for_all_but_authors() -> None:
    made, takers, audience, _ = _takers(6)
    for author, text in ((0, b"one\n"), (1, b"two\n"), (0, b"three\n")):
        made.broadcast(audience, text, author, b"sent %b" % text)
    made.flush(now=0)
    assert takers[0].taken == [b"sent one\ntwo\nsent three\n"]
    assert takers[1].taken == [b"one\nsent two\nthree\n"]
    shared = takers[2].taken[0]
    assert shared == b"one\ntwo\nthree\n"
    assert all(taker.taken[0] is shared for taker in takers[2:])


def test_there_is_one_write_for_each_connection_and_turn() -> None:
    made, takers, audience, woken = _takers(5)
    others = Audience((1, 2), Lineage())
    for turn in range(1, 4):
        for _ in range(10):
            made.broadcast(audience, b"to all\n", 0, b"")
            made.broadcast(others, b"to some\n", 1, b"sent\n")
            made.send(3, b"to one\n")
        assert len(woken) == turn
        made.flush(now=turn)
        assert [len(taker.taken) for taker in takers] == [0, turn, turn, turn, turn]


def test_a_batch_is_shared_by_those_who_got_nothing_else_before_it_closed() -> None:
    made, takers, audience, _ = _takers(4)
    made.broadcast(audience, b"one\n", 0, b"")
    made.broadcast(audience, b"two\n", 0, b"")
    made.send(3, b"psst\n")
    made.flush(now=0)
    assert takers[1].taken[0] is takers[2].taken[0]
    assert takers[3].taken == [b"one\ntwo\npsst\n"]
