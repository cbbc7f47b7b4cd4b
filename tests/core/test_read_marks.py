"""How far somebody has read a room: by numbers, by times, and by MARKREAD of IRC."""

from __future__ import annotations

import datetime as dt
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tcpchat_core import StateLimits, events, notices
from tcpchat_core.notices import Entered, ReadUpTo, Resumed
from tests.core.harness import START_MS, STEP_MS, entry, joins, say, session
from tests.core.irc_server import IrcServer
from tests.core.test_accounts import Owned, claim, grant
from tests.core.test_kept_rooms import OUT

CAP: Final = "draft/read-marker"
DEVICE: Final = "0123456789abcdef" * 4


class Reading(Owned):
    """As `Owned`, and bob has said so much in the lobby."""

    def __init__(self, *texts: str, limits: StateLimits | None = None) -> None:
        super().__init__(limits)
        self.said = [self._says(text) for text in texts]

    def _says(self, text: str) -> notices.Said:
        [said] = self.do(3, say("lobby", text))[1]
        assert isinstance(said, notices.Said)
        return said

    def reads(self, conn: int, seq: int | None = None, at: int | None = None) -> object:
        """Somebody says how far it has read. Returns what is told of it."""
        return self.do(conn, events.Read("lobby", seq, "lobby", at, marks=True))

    def mark(self, conn: int) -> tuple[int, int]:
        """What who asks is told of it when it joins."""
        entered = self.do(conn, joins("lobby"))[conn][0]
        assert isinstance(entered, Entered)
        return entered.read, entered.read_at


def test_up_to_a_time_is_up_to_what_was_said_last_by_then() -> None:
    talk = Reading("one", "two", "three")
    one, two, three = talk.said
    assert talk.reads(1, at=one.at - 1) == {
        1: [ReadUpTo("lobby", 0, one.at - 1)],
        2: [ReadUpTo("lobby", 0, one.at - 1)],
    }
    told = ReadUpTo("lobby", two.seq, three.at - 1)
    assert talk.reads(2, at=three.at - 1) == {1: [told], 2: [told]}
    talk.same_again()
    assert talk.mark(1) == (two.seq, three.at - 1)


def test_up_to_a_number_is_up_to_the_time_of_the_message() -> None:
    talk = Reading("one", "two")
    two = talk.said[1]
    assert talk.reads(1, two.seq) == {2: [ReadUpTo("lobby", two.seq, two.at)]}
    assert talk.mark(2) == (two.seq, two.at)


def test_nobody_has_read_what_is_to_come() -> None:
    talk = Reading("one")
    talk.reads(1, at=2**52)
    seq, at = talk.mark(1)
    assert (seq, at) == (talk.said[0].seq, START_MS + STEP_MS * (talk.state.seq - 1))


def test_a_mark_never_goes_back_and_who_names_an_earlier_time_is_told_where_it_is() -> None:
    talk = Reading("one", "two")
    one, two = talk.said
    talk.reads(1, at=two.at)
    told = {1: [ReadUpTo("lobby", two.seq, two.at)]}
    for at in (two.at, one.at, 0, -1):
        assert talk.reads(1, at=at) == told
    assert talk.reads(1, one.seq) == {}


def test_of_a_message_that_is_not_remembered_the_time_is_not_known() -> None:
    talk = Reading("one", "two", limits=StateLimits(history_messages=1))
    one, two = talk.said
    assert talk.reads(1, one.seq) == {2: [ReadUpTo("lobby", one.seq, 0)]}
    # What was said up to then is not remembered, so no number is known for it.
    assert talk.reads(1, at=one.at)[1] == [ReadUpTo("lobby", one.seq, one.at)]  # type: ignore[index]
    assert talk.reads(1, at=two.at)[1] == [ReadUpTo("lobby", two.seq, two.at)]  # type: ignore[index]


def test_of_what_was_said_in_private_before_one_came_no_time_is_told() -> None:
    talk = Reading("one")
    talk.do(1, events.RoomMode("lobby", private=True, key="lobby"))
    hidden = talk._says("two")
    talk.do(1, events.RoomMode("lobby", private=False, key="lobby"))
    assert talk.reads(1, hidden.seq) == {2: [ReadUpTo("lobby", hidden.seq, 0)]}


def test_what_a_guest_has_read_is_known_as_long_as_it_is_here() -> None:
    talk = Reading("one")
    [one] = talk.said
    assert talk.reads(3, at=one.at) == {3: [ReadUpTo("lobby", one.seq, one.at)]}
    talk.same_again()
    talk.do(3, OUT)
    assert talk.mark(3) == (one.seq, one.at)
    talk.do(3, events.Disconnect("lost"))
    talk.same_again()
    resumed = talk.do(5, events.Resume(session("bob"), "new"))[5][0]
    assert isinstance(resumed, Resumed)
    assert [(each.read, each.read_at) for each in resumed.rooms] == [(one.seq, one.at)]
    talk.do(5, events.Quit())
    talk.do(6, events.Connect(session("bob")))
    assert talk.mark(6) == (0, 0)


def test_who_comes_to_an_account_has_read_what_that_has() -> None:
    talk = Reading("one")
    [one] = talk.said
    talk.reads(3, one.seq)
    talk.do(0, grant("ada"))
    talk.do(3, claim("tablet"))
    assert talk.mark(3) == (0, 0)
    talk.same_again()


def test_of_so_many_rooms_it_is_known_how_far_a_guest_has_read() -> None:
    talk = Reading(limits=StateLimits(rooms_per_person=1))
    talk.do(3, OUT)
    for typed in ("one", "two", "three"):
        talk.do(3, joins(typed))
        talk.do(3, events.Read(typed, None, typed, 1, marks=True))
        talk.do(3, events.Out(typed, typed))
    person = talk.state.person(3)
    assert person is not None
    assert [*(person.reads or ())] == ["two", "three"]


def test_an_entry_of_before_there_were_times_does_what_it_did() -> None:
    talk = Reading("one")
    seq = talk.said[0].seq
    assert talk.do(3, events.Read("lobby", seq, "lobby")) == {}
    assert talk.do(1, events.Read("lobby", seq, "lobby")) == {2: [ReadUpTo("lobby", seq)]}
    assert b'"reads"' not in talk.state.snapshot()
    talk.same_again()


# ── By IRC ───────────────────────────────────────────────────────────────────────────────────────


class Marking(IrcServer):
    """ada speaks IRC on 1, and is on 2 by JSON, where she has said one line in the hall; bob (3) is
    a guest who speaks IRC. Who takes marks of them has asked for it.
    """

    def __init__(self, *capabilities: str) -> None:
        super().__init__()
        self.log.append(entry(1, 0, events.Grant("ada", "ada", device=session(DEVICE))))
        self.carry_out(self.protocol.commit(self.log, now=0))
        self.connect(2)
        self.ask(2, events.Hello(device=DEVICE), events.Join("hall"), events.Say("hall", "one"))
        caps = " ".join(capabilities or (CAP,))
        self.connect(1)
        came = (f"CAP REQ :{caps}", f"PASS {DEVICE}", "NICK ada", "USER ada 0 * :ada", "CAP END")
        self.came = self.say(1, *came)
        self.register(3, "bob", CAP)
        self.say(3, "JOIN #hall")
        for conn in (1, 2, 3):
            self.read(conn)

    def marks(self, conn: int, at: int, *, label: str = "") -> list[str]:
        """Somebody says up to when it has read. Returns what it is told."""
        return self.say(conn, f"{label}MARKREAD #hall timestamp={time(at)}")


def time(at: int) -> str:
    second = dt.datetime.fromtimestamp(at // 1_000, dt.UTC)
    return f"{second:%Y-%m-%dT%H:%M:%S}.{at % 1_000:03}Z"


def told(at: int) -> str:
    return f":tcpchat MARKREAD #hall {f'timestamp={time(at)}' if at else '*'}"


def test_who_joins_is_told_up_to_when_it_has_read_ahead_of_the_names() -> None:
    memory = Marking()
    memory.marks(3, START_MS)
    memory.say(3, "PART #hall")
    assert memory.say(3, "JOIN #hall")[:2] == [":bob!~u@tcpchat JOIN #hall", told(START_MS)]
    lines = memory.say(3, "JOIN #new")
    assert lines[1] == ":tcpchat MARKREAD #new *"
    assert [line.split(" ")[1] for line in lines] == ["JOIN", "MARKREAD", "353", "366"]


def test_who_comes_to_its_account_is_told_of_all_of_its_rooms() -> None:
    memory = Marking()
    commands = [line.split(" ")[1] for line in memory.came]
    at = commands.index("JOIN")
    assert commands[at : at + 4] == ["JOIN", "MARKREAD", "353", "366"]


def test_who_has_not_asked_for_marks_is_told_of_none() -> None:
    memory = Marking("batch")
    assert not [line for line in memory.came if "MARKREAD" in line]
    memory.ask(2, events.Read("hall", at=START_MS))
    assert memory.lines(1) == []
    # But who asks is answered.
    assert memory.say(1, "MARKREAD #hall") == [told(START_MS)]


def test_ones_other_devices_are_told_in_their_own_dialect() -> None:
    memory = Marking()
    assert memory.marks(1, START_MS) == [told(START_MS)]
    assert memory.told(2) == [ReadUpTo("hall", 0, START_MS)]
    memory.ask(2, events.Read("hall", at=START_MS + 1))
    assert memory.lines(1) == [told(START_MS + 1)]
    assert memory.lines(3) == []


def test_a_program_asks_as_well() -> None:
    memory = Marking()
    memory.ask(2, events.Read("hall"), events.Read("hall", at=START_MS), events.Read("tea"))
    nothing, answer, refused = memory.told(2)
    assert (nothing, answer) == (ReadUpTo("hall", 0, 0), ReadUpTo("hall", 0, START_MS))
    assert isinstance(refused, notices.Rejected)
    assert (refused.reason, refused.request) == ("not-in-room", "read")


@pytest.mark.parametrize("target", ["bob", "#nowhere", "#", "#a,b", ":#x y"])
@pytest.mark.parametrize("words", ["", " timestamp=2026-11-29T16:40:00.000Z"])
def test_of_what_is_no_room_of_ones_own_nothing_is_known(target: str, words: str) -> None:
    memory = Marking()
    line = f"MARKREAD {target}{words}"
    [answer] = memory.say(1, line)
    assert answer.startswith(":tcpchat MARKREAD ") or "INVALID_PARAMS" in answer
    if not target.startswith(":"):
        assert answer == f":tcpchat MARKREAD {target} *"


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        ("MARKREAD", "NEED_MORE_PARAMS :say what was read, and up to when"),
        ("MARKREAD :", "NEED_MORE_PARAMS :say what was read, and up to when"),
        *[
            (
                f"MARKREAD #hall {word}",
                "INVALID_PARAMS #hall :a time is written as 2026-11-29T16:40:00.000Z",
            )
            for word in (
                "*",
                "timestamp=*",
                "timestamp=",
                "msgid=7",
                "2026-11-29T16:40:00.000Z",
                "timestamp=2026-11-29T16:40:00Z",
                "timestamp=2026-02-30T16:40:00.000Z",
            )
        ],
    ],
)
def test_what_is_no_time_is_refused(line: str, answer: str) -> None:
    assert Marking().say(1, line) == [f":tcpchat FAIL MARKREAD {answer}"]


def test_an_answer_has_the_label_of_its_line() -> None:
    memory = Marking(CAP, "batch", "labeled-response")
    label = "@label=7 "
    assert memory.marks(1, START_MS, label=label) == [label + told(START_MS)]
    for target in ("#hall", "#nowhere", "bob"):
        [answer] = memory.say(1, f"{label}MARKREAD {target}")
        assert answer.startswith(f"{label}:tcpchat MARKREAD {target} ")


MARKS = st.lists(st.tuples(st.booleans(), st.integers(0, 10) | st.integers(0, 10**12)), max_size=8)


@given(MARKS)
def test_a_mark_is_the_latest_that_any_device_has_said_and_all_are_told_of_it(
    marks: list[tuple[bool, int]],
) -> None:
    memory = Marking()
    latest = 0
    for by_irc, at in marks:
        if by_irc:
            answer = memory.marks(1, at)
        else:
            memory.ask(2, events.Read("hall", at=at))
            answer = memory.lines(1)
        before, latest = latest, max(latest, min(at, START_MS + STEP_MS * len(memory.log)))
        others = memory.told(2)
        is_new = latest > before
        assert answer == [told(latest)] * (by_irc or is_new)
        assert len(others) == (not by_irc or is_new)
        assert {each.at for each in others if isinstance(each, ReadUpTo)} <= {latest}
    assert memory.say(1, "MARKREAD #hall") == [told(latest)]
