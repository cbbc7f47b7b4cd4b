"""The fan-out gives every connection what a naive loop of writes would, in fewer calls."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings

from tcpchat_core import Audience, Broadcast
from tcpchat_net import Fanout
from tests.net.broken_fanouts import FAULTS, Fault
from tests.net.costs import instructions
from tests.net.naive import CONNS, ROOMS, check_fanout, memberships, steps


@given(memberships, steps)
@settings(max_examples=500)
def test_each_client_gets_what_a_naive_loop_would_give_it(members: Any, todo: Any) -> None:
    check_fanout(Fanout, members, todo)


# ── The check is worth something ─────────────────────────────────────────────────────────────


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_the_check_sees_a_broken_fanout(fault: Fault) -> None:
    everywhere = [CONNS] * len(ROOMS)

    @given(memberships, steps)
    @settings(settings.get_profile("broken"), max_examples=1_000)
    def check(members: Any, todo: Any) -> None:
        check_fanout(fault.make, members, todo)

    check_fanout(Fanout, everywhere, fault.shown_by)
    shown = partial(check_fanout, fault.make, everywhere, fault.shown_by)
    with pytest.raises((AssertionError, KeyError)):
        (shown if fault.shown_by else check)()


# ── What a sequence of steps does not show ───────────────────────────────────────────────────


class Taker:
    """A transport that takes everything, or so much, and keeps the objects that it was given."""

    def __init__(self) -> None:
        self.taken: list[bytes | memoryview] = []
        self.room_for: int | None = None
        self.waits = self.is_owed = False
        self.ends: list[str] = []

    @property
    def text(self) -> bytes:
        return b"".join(self.taken)

    def write(self, data: bytes | memoryview, /) -> int:
        if self.room_for is not None:
            data = data[: self.room_for]
            self.room_for -= len(data)
            if not data:
                raise BlockingIOError
        self.taken.append(data)
        return len(data)

    def want_writable(self, wanted: bool) -> None:
        self.waits = wanted

    def owes(self, owes: bool, /) -> None:
        self.is_owed = owes

    def failed(self) -> None:
        self.ends.append("failed")

    def overrun(self) -> None:
        self.ends.append("overrun")

    def finished(self) -> None:
        self.ends.append("finished")


class Hall:
    """A fan-out with some connections, all of them in one room, at the beginning of a turn."""

    def __init__(self, count: int, make: type[Fanout] = Fanout) -> None:
        self.woken = 0
        self.fanout = make(self._wake)
        self.takers = [Taker() for _ in range(count)]
        self.audience = Audience()
        for conn, taker in enumerate(self.takers):
            self.fanout.add(conn, taker)
        self.enter(self.audience, range(count))
        self.fanout.flush(0)
        self.woken = 0

    def _wake(self) -> None:
        self.woken += 1

    def enter(self, audience: Audience, conns: Iterable[int]) -> Audience:
        for conn in conns:
            audience.add(conn)
            self.fanout.enter(audience, conn)
        return audience

    def leave(self, audience: Audience, conn: int) -> None:
        audience.discard(conn)
        self.fanout.leave(audience, conn)

    def taken(self) -> list[bytes]:
        return [taker.text for taker in self.takers]


def test_what_an_audience_is_sent_in_a_turn_is_one_object_for_all_but_authors() -> None:
    hall = Hall(6)
    for author, text in ((0, b"one\n"), (1, b"two\n"), (0, b"three\n")):
        hall.fanout.broadcast(hall.audience, text, author, b"sent %b" % text)
    hall.fanout.flush(now=0)
    assert hall.takers[0].taken == [b"sent one\ntwo\nsent three\n"]
    assert hall.takers[1].taken == [b"one\nsent two\nthree\n"]
    shared = hall.takers[2].taken[0]
    assert shared == b"one\ntwo\nthree\n"
    assert all(taker.taken[0] is shared for taker in hall.takers[2:])


def test_there_is_one_write_for_each_connection_and_turn() -> None:
    hall = Hall(5)
    some = hall.enter(Audience(), (1, 2))
    hall.fanout.flush(now=0)
    hall.woken = 0
    for turn in range(1, 4):
        for _ in range(10):
            hall.fanout.broadcast(hall.audience, b"to all\n", 0, b"")
            hall.fanout.broadcast(some, b"to some\n", 1, b"sent\n")
            hall.fanout.broadcast(hall.audience, b"gone\n", 9, b"", (some,))
            hall.fanout.send(3, b"to one\n")
        assert hall.woken == turn
        hall.fanout.flush(now=turn)
        assert [len(taker.taken) for taker in hall.takers] == [turn] * 5


def test_what_was_said_before_one_was_set_apart_is_still_shared_by_the_others() -> None:
    hall = Hall(4)
    hall.fanout.broadcast(hall.audience, b"one\n", 0, b"")
    hall.fanout.broadcast(hall.audience, b"two\n", 0, b"")
    hall.fanout.send(3, b"psst\n")
    hall.fanout.broadcast(hall.audience, b"three\n", 0, b"")
    hall.fanout.flush(now=0)
    assert hall.takers[1].taken[0] is hall.takers[2].taken[0]
    assert hall.takers[3].taken == [b"one\ntwo\npsst\nthree\n"]


def test_one_is_set_apart_in_the_middle_of_a_turn_while_its_other_rooms_are_talking() -> None:
    hall = Hall(3)
    other = hall.enter(Audience(), (1, 2))
    hall.fanout.flush(now=0)
    hall.fanout.broadcast(other, b"other 1\n", 2, b"")  # 1 is together with 2 there
    hall.fanout.broadcast(hall.audience, b"hall 1\n", 0, b"")  # … and set apart by this
    hall.fanout.broadcast(other, b"other 2\n", 2, b"")
    hall.fanout.send(1, b"psst\n")
    hall.fanout.broadcast(hall.audience, b"hall 2\n", 0, b"")
    hall.fanout.broadcast(other, b"other 3\n", 1, b"sent\n")
    hall.fanout.flush(now=0)
    assert hall.taken() == [
        b"",
        b"other 1\nhall 1\nother 2\npsst\nhall 2\nsent\n",
        b"hall 1\nhall 2\nother 3\n",
    ]


def test_who_comes_between_two_messages_of_a_turn_is_sent_the_second_only() -> None:
    hall = Hall(3)
    other = hall.enter(Audience(), (0, 1))
    hall.fanout.flush(now=0)
    hall.fanout.broadcast(other, b"one\n", 0, b"")
    hall.enter(other, (2,))
    hall.fanout.broadcast(other, b"two\n", 0, b"")
    hall.leave(other, 1)
    hall.fanout.broadcast(other, b"three\n", 0, b"")
    hall.fanout.flush(now=0)
    assert hall.taken() == [b"", b"one\ntwo\n", b"two\nthree\n"]
    hall.fanout.broadcast(other, b"four\n", 0, b"")
    hall.fanout.flush(now=0)
    assert hall.taken() == [b"", b"one\ntwo\n", b"two\nthree\nfour\n"]


def test_who_comes_and_goes_between_two_notices_to_several_rooms_gets_what_it_is_there_for() -> (
    None
):
    hall = Hall(3)
    tea, den = hall.enter(Audience(), (0,)), hall.enter(Audience(), (1,))

    def tell(text: bytes) -> None:
        hall.fanout.broadcast(tea, text, 9, b"", (den,))

    tell(b"one\n")
    hall.enter(den, (2,))
    tell(b"two\n")
    hall.enter(tea, (2,))
    tell(b"three\n")
    hall.leave(den, 2)
    tell(b"four\n")
    hall.leave(tea, 2)
    hall.leave(den, 1)
    tell(b"five\n")
    hall.fanout.flush(now=0)
    assert hall.taken() == [
        b"one\ntwo\nthree\nfour\nfive\n",
        b"one\ntwo\nthree\nfour\n",
        b"two\nthree\nfour\n",
    ]


# ── Streams and the ends of backlogs ─────────────────────────────────────────────────────────


def pieces(made: list[int], count: int) -> Iterator[bytes]:
    for number in range(count):
        made.append(number)
        yield b"%04d\n" % number


def test_a_stream_that_is_taken_is_through_in_some_turns_and_nobody_hears_of_a_debt() -> None:
    hall = Hall(1)
    made: list[int] = []
    hall.fanout.stream(0, pieces(made, 3))
    assert made == []
    hall.fanout.flush(now=0)
    (taker,) = hall.takers
    assert (taker.text, taker.waits, taker.is_owed) == (b"0000\n0001\n0002\n", False, False)


@pytest.mark.parametrize("count", range(1, 20))
def test_a_backlog_that_ends_with_any_of_its_writes_is_over(count: int) -> None:
    hall = Hall(1)
    hall.fanout.stream(0, pieces([], count))
    hall.fanout.send(0, b"and so on\n")
    hall.fanout.close(0)
    hall.fanout.flush(now=0)
    (taker,) = hall.takers
    for _ in range(count):
        if taker.waits:
            hall.fanout.writable(0, now=0)
    assert taker.text == b"".join(pieces([], count)) + b"and so on\n"
    assert (taker.waits, taker.is_owed, taker.ends) == (False, False, ["finished"])
    assert hall.fanout.backlog_bytes == 0


def test_a_stream_that_is_not_taken_is_made_no_further_than_one_piece() -> None:
    hall = Hall(1)
    (taker,) = hall.takers
    made: list[int] = []
    taker.room_for = 7
    hall.fanout.stream(0, pieces(made, 100))
    hall.fanout.flush(now=0)
    assert (made, taker.text, taker.is_owed) == ([0, 1], b"0000\n00", True)
    taker.room_for = 3
    hall.fanout.writable(0, now=0)
    assert (made, taker.text) == ([0, 1, 2], b"0000\n0001\n")


def test_a_stream_behind_a_backlog_is_told_of() -> None:
    hall = Hall(1)
    (taker,) = hall.takers
    taker.room_for = 0
    hall.fanout.send(0, b"one\n")
    hall.fanout.flush(now=0)
    assert (taker.waits, taker.is_owed) == (True, False)
    hall.fanout.stream(0, pieces([], 2))
    hall.fanout.flush(now=0)
    assert taker.is_owed
    taker.room_for = None
    hall.fanout.writable(0, now=0)
    assert (taker.text, taker.waits, taker.is_owed) == (b"one\n0000\n0001\n", False, False)


def test_what_is_owed_is_beside_the_bound_however_much_it_is() -> None:
    hall = Hall(1)
    (taker,) = hall.takers
    taker.room_for = 10
    hall.fanout.stream(0, (b"x" * 2_000_000 + b"\n" for _ in range(3)))
    hall.fanout.flush(now=0)
    assert (taker.ends, hall.fanout.backlog_bytes) == ([], 2_000_001 - 10)
    hall.fanout.send(0, b"x" * 1_048_576)
    hall.fanout.flush(now=0)
    assert taker.ends == []
    hall.fanout.send(0, b"x")
    hall.fanout.flush(now=0)
    assert taker.ends == ["overrun"]


def test_other_bounds_hold_for_who_is_there_from_the_next_write_and_check_on() -> None:
    hall = Hall(2)
    one, two = hall.takers
    one.room_for = two.room_for = 0
    hall.fanout.send(0, b"x" * 1_000)
    hall.fanout.flush(now=0)
    hall.fanout.configure(max_backlog_bytes=1_000, stall_timeout_ms=100)
    hall.fanout.check_stalls(99)
    hall.fanout.send(1, b"x" * 1_001)
    hall.fanout.flush(now=99)
    assert (one.ends, two.ends) == ([], ["overrun"])
    hall.fanout.check_stalls(100)
    assert one.ends == ["overrun"]


def test_who_takes_all_is_not_given_up_for_what_comes_behind_a_long_stream() -> None:
    hall = Hall(1)
    hall.fanout.stream(0, pieces([], 1_000))
    hall.fanout.send(0, b"x" * 2_000_000)
    hall.fanout.flush(now=0)
    (taker,) = hall.takers
    assert taker.ends == []
    assert len(taker.text) == 5 * 1_000 + 2_000_000
    hall.fanout.stream(0, pieces([], 1_000))
    hall.fanout.flush(now=0)
    assert taker.waits  # for its turn
    hall.fanout.send(0, b"x" * 2_000_000)
    hall.fanout.flush(now=0)
    assert taker.ends == []


def test_who_takes_a_stream_a_little_at_a_time_is_not_given_up() -> None:
    hall = Hall(1)
    (taker,) = hall.takers
    taker.room_for = 0
    hall.fanout.stream(0, pieces([], 10))
    hall.fanout.flush(now=0)
    for now in range(9_999, 100_000, 9_999):
        taker.room_for = 1
        hall.fanout.writable(0, now)
        hall.fanout.check_stalls(now + 9_998)
        assert taker.ends == []
    hall.fanout.check_stalls(200_000)
    assert taker.ends == ["overrun"]


def test_nothing_is_written_when_there_are_no_last_words() -> None:
    hall = Hall(1)
    hall.fanout.last_words(0, b"")
    assert hall.takers[0].taken == []


# ── Costs, by counting ───────────────────────────────────────────────────────────────────────

# What one does, in a hall with so many others.
Deed = Callable[[Hall], object]


def enter(hall: Hall) -> None:
    """One more comes, who is there already elsewhere."""
    hall.fanout.add(-1, Taker())
    hall.fanout.enter(hall.audience, -1)


def leave(hall: Hall) -> None:
    hall.fanout.leave(hall.audience, 1)


def lose(hall: Hall) -> None:
    hall.fanout.remove(1)
    hall.fanout.broadcast(hall.audience, b"one is gone\n", 1, b"")
    hall.fanout.leave(hall.audience, 1)


def say(hall: Hall) -> None:
    hall.fanout.broadcast(hall.audience, b"one\n", 1, b"sent one\n")


def say_again(hall: Hall) -> None:
    say(hall)
    hall.fanout.broadcast(hall.audience, b"two\n", 2, b"sent two\n")
    say(hall)


def send(hall: Hall) -> None:
    hall.fanout.send(1, b"psst\n")


def stream(hall: Hall) -> None:
    hall.fanout.stream(1, pieces([], 100))
    hall.fanout.flush(0)
    for _ in range(20):
        hall.fanout.writable(1, 0)


def stall(hall: Hall) -> None:
    hall.takers[1].room_for = 0
    hall.fanout.send(1, b"psst\n")
    hall.fanout.flush(0)
    hall.fanout.check_stalls(5_000)


def tell_a_small_room_too(hall: Hall) -> None:
    den = hall.enter(Audience(), (1, 2, 3))
    hall.fanout.broadcast(hall.audience, b"one is gone\n", 1, b"", (den,))


DEEDS: tuple[Deed, ...] = (
    enter,
    leave,
    lose,
    say,
    say_again,
    send,
    stream,
    stall,
    tell_a_small_room_too,
)


@pytest.mark.parametrize("deed", DEEDS)
def test_what_one_does_costs_the_same_however_many_others_are_there(deed: Deed) -> None:
    small, large = Hall(10), Hall(1_000)
    assert instructions(lambda: deed(small)) == instructions(lambda: deed(large))


def go_from_both(hall: Hall, other: Audience) -> None:
    hall.fanout.remove(1)
    hall.fanout.broadcast(hall.audience, b"one is gone\n", 1, b"", (other,))
    hall.fanout.leave(hall.audience, 1)
    hall.fanout.leave(other, 1)


def come_to_both(hall: Hall, other: Audience) -> None:
    hall.fanout.add(-1, Taker())
    for audience in (hall.audience, other):
        hall.fanout.enter(audience, -1)
        hall.fanout.broadcast(audience, b"one more\n", -1, b"you are in\n")


def talk_in_both_by_turns(hall: Hall, other: Audience) -> None:
    for audience in (hall.audience, other) * 3:
        hall.fanout.broadcast(audience, b"and so on\n", 1, b"sent\n")


@pytest.mark.parametrize("deed", [go_from_both, come_to_both, talk_in_both_by_turns])
def test_what_one_does_in_two_rooms_of_the_same_people_costs_the_same_however_many_there_are(
    deed: Callable[[Hall, Audience], None],
) -> None:
    def cost(members: int) -> int:
        hall = Hall(members)
        other = hall.enter(Audience(), range(members))
        hall.fanout.flush(0)
        return instructions(lambda: deed(hall, other))

    assert cost(10) == cost(1_000)


def test_those_who_are_in_the_same_rooms_share_what_they_are_sent() -> None:
    hall = Hall(4)
    other = hall.enter(Audience(), (1, 2, 3))
    hall.fanout.flush(0)
    talk_in_both_by_turns(hall, other)
    hall.fanout.flush(0)
    shared = hall.takers[2].taken[0]
    assert shared == b"and so on\n" * 6
    assert hall.takers[3].taken[0] is shared
    assert hall.taken()[:2] == [b"and so on\n" * 3, b"sent\n" * 6]


class AllAreLookedAtForOneWhoComes(Fanout):
    def __init__(self, wake: Callable[[], None]) -> None:
        super().__init__(wake)
        self.conns: list[int] = []

    def enter(self, audience: Audience, conn: int) -> None:
        for each in self.conns:
            assert each != conn
        self.conns.append(conn)
        super().enter(audience, conn)


class AMessageIsSentToEachByItself(Fanout):
    def broadcast(
        self,
        audience: Audience,
        data: bytes,
        author: int,
        receipt: bytes,
        also: tuple[Audience, ...] = (),
    ) -> None:
        for conn in Broadcast(audience, data, author, receipt, also).conns():
            self.send(conn, receipt if conn == author else data)


class AllAreLookedAtWhenOneIsSlow(Fanout):
    def __init__(self, wake: Callable[[], None]) -> None:
        super().__init__(wake)
        self.conns: list[int] = []

    def add(self, conn: int, transport: Any) -> None:
        self.conns.append(conn)
        super().add(conn, transport)

    def check_stalls(self, now: int) -> None:
        for conn in self.conns:
            self.writable(conn, now)
        super().check_stalls(now)


@pytest.mark.parametrize(
    ("deed", "make"),
    [
        (enter, AllAreLookedAtForOneWhoComes),
        (say, AMessageIsSentToEachByItself),
        (stall, AllAreLookedAtWhenOneIsSlow),
    ],
)
def test_the_count_sees_a_cost_that_grows(deed: Deed, make: type[Fanout]) -> None:
    small, large = Hall(10, make), Hall(1_000, make)
    assert instructions(lambda: deed(small)) + 990 <= instructions(lambda: deed(large))
