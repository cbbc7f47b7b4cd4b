"""What was said, as IRC clients ask for it: CHATHISTORY, with an archive and without."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from functools import partial
from typing import Final

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tcpchat_core import Entry, events
from tcpchat_core.dialects.irc.numerics import isupport
from tcpchat_core.events import MAX_MESSAGES, History
from tcpchat_core.notices import Welcome
from tests.core.history import STEPS, Past
from tests.core.irc import Line, told

ALL: Final = ("batch", "draft/chathistory", "message-tags", "server-time")
LABELS: Final = (*ALL, "labeled-response")

IVY = 9

TEN = [1] * 10


class Asking(Past):
    """ivy speaks IRC, and asks what was said in the lobby."""

    def __init__(
        self,
        *capabilities: str,
        steps: Sequence[int] = TEN,
        remembers: int = 3,
        archive: bool = True,
    ) -> None:
        super().__init__(steps, remembers=remembers, archive=archive)
        self.connect(IVY)
        caps = " ".join(capabilities)
        self.say(f"CAP REQ :{caps}", "NICK ivy", "USER ivy 0 * :ivy", "CAP END")
        self.came = self.say("JOIN #lobby")
        self.read(2)

    def say(self, *lines: str) -> list[str]:
        """ivy says some lines. Returns what she is told when the archive has found everything."""
        self.send(IVY, "".join([f"{line}\r\n" for line in lines]).encode())
        while self.looks:
            self.find(*self.found(self.looks[0].inquiry))
        return self.lines(IVY)

    def place(self, word: str) -> str:
        """Of `m3` the fourth message by its id, of `t3` by its time; any other word as it is."""
        kind, at = word[:1], word[1:]
        if not at.isdecimal():
            return word
        if kind == "m":
            return f"msgid=0.{self.floor + 1 + int(at)}.lobby"
        return f"timestamp={_time(self.first_at + int(at))}" if kind == "t" else word

    def chathistory(self, asked: str, room: str = "#lobby") -> list[str]:
        """ivy asks with CHATHISTORY, as with `BEFORE m3 10`."""
        command, *words = map(self.place, asked.split(" "))
        return self.say(f"CHATHISTORY {command} {room} {' '.join(words)}")

    def says(self, text: str, room: str = "lobby") -> None:
        """1 says something, a millisecond after what was said before."""
        self.at += 1
        say = events.Say(room, text, key=room)
        self.log.append(Entry(len(self.log) + 1, self.at, 1, say))
        self.carry_out(self.protocol.commit([self.log[-1]], now=0))
        self.read(IVY)

    def shown(self, lines: Sequence[str]) -> list[int]:
        """Which of the messages are in a batch."""
        first, *inside, last = [_read(line) for line in lines]
        assert first.params == ("+history", "chathistory", "#lobby")
        assert last.params == ("-history",)
        assert {line.tags["batch"] for line in inside} <= {"history"}
        return [int(line.tags["msgid"].split(".")[1]) - self.floor - 1 for line in inside]


def _read(line: str) -> Line:
    [read] = told(f"{line}\r\n".encode())
    return read


def _time(at: int) -> str:
    second = dt.datetime.fromtimestamp(at // 1_000, dt.UTC)
    return f"{second:%Y-%m-%dT%H:%M:%S}.{at % 1_000:03}Z"


# ── By examples: of ten messages, the state remembers the last three ─────────────────────────────


@pytest.mark.parametrize("remembers", [3, 20])
@pytest.mark.parametrize(
    ("asked", "shown"),
    [
        ("LATEST * 3", [7, 8, 9]),
        ("latest * 3", [7, 8, 9]),
        ("LATEST * 0", []),
        ("LATEST * 03", [7, 8, 9]),
        ("LATEST * 999999999", [*range(10)]),
        ("LATEST m5 10", [6, 7, 8, 9]),
        ("LATEST m5 2", [8, 9]),
        ("LATEST t5 10", [6, 7, 8, 9]),
        ("LATEST t5 2", [8, 9]),
        ("LATEST m9 10", []),
        ("BEFORE m5 3", [2, 3, 4]),
        ("BEFORE t5 3", [2, 3, 4]),
        ("BEFORE m0 3", []),
        ("BEFORE m99 3", [7, 8, 9]),
        ("AFTER m5 3", [6, 7, 8]),
        ("AFTER t5 3", [6, 7, 8]),
        ("AFTER m1 3", [2, 3, 4]),
        ("AFTER t9 3", []),
        ("AROUND m5 1", [5]),
        ("AROUND m5 3", [4, 5, 6]),
        ("AROUND t5 3", [4, 5, 6]),
        ("BETWEEN m2 m7 10", [3, 4, 5, 6]),
        ("BETWEEN m7 m2 10", [3, 4, 5, 6]),
        ("BETWEEN m2 m7 2", [3, 4]),
        ("BETWEEN m7 m2 2", [5, 6]),
        ("BETWEEN t2 t7 2", [3, 4]),
        ("BETWEEN t7 t2 2", [5, 6]),
        ("BETWEEN m2 t7 2", [3, 4]),
        ("BETWEEN m7 t2 2", [5, 6]),
        ("BETWEEN t2 m7 2", [3, 4]),
        ("BETWEEN t7 m2 2", [5, 6]),
        ("BETWEEN m5 m5 2", []),
        ("BETWEEN m5 t5 2", []),
    ],
)
def test_what_was_said_is_given_in_one_batch_with_the_oldest_first(
    asked: str, shown: list[int], remembers: int
) -> None:
    asking = Asking(*ALL, remembers=remembers)
    assert asking.shown(asking.chathistory(asked)) == shown


def test_a_message_is_what_it_was_when_it_was_said() -> None:
    asking = Asking(*ALL)
    said = asking.said[-1]
    tags = f"@batch=history;msgid=0.{said.seq}.lobby;time={_time(said.at)}"
    assert asking.chathistory("LATEST * 1", "#LOBBY") == [
        ":tcpchat BATCH +history chathistory #lobby",
        f"{tags} :guest-1!~u@tcpchat PRIVMSG #lobby :{said.text}",
        ":tcpchat BATCH -history",
    ]


def test_without_an_archive_there_is_what_the_room_remembers() -> None:
    asking = Asking(*ALL, archive=False)
    assert asking.shown(asking.chathistory("BEFORE m9 10")) == [7, 8]
    assert asking.shown(asking.chathistory("AFTER t0 10")) == [7, 8, 9]


def test_who_takes_no_batch_is_given_the_messages_alone() -> None:
    asking = Asking("draft/chathistory", "server-time")
    said = asking.said[-1]
    shown = f"@time={_time(said.at)} :guest-1!~u@tcpchat PRIVMSG #lobby :{said.text}"
    assert asking.chathistory("LATEST * 1") == [shown]
    assert asking.chathistory("LATEST m9 1") == []


def test_a_long_message_is_in_the_batch_as_a_whole() -> None:
    asking = Asking(*ALL, steps=[])
    asking.says("word " * 300)
    first, *inside, last = asking.chathistory("LATEST * 5")
    assert len(inside) > 2
    assert all(_read(line).tags["batch"] == "history" for line in inside)
    assert ["msgid" in _read(line).tags for line in inside] == [True, *[False] * (len(inside) - 1)]
    assert "batch" not in _read(first).tags | _read(last).tags


def test_who_asks_for_the_history_is_sent_none_unasked() -> None:
    assert not any("PRIVMSG" in line for line in Asking(*ALL).came)
    assert sum("PRIVMSG" in line for line in Asking("server-time").came) == 3


def test_clients_are_told_how_much_they_can_ask_for() -> None:
    lines = told(isupport("ada", Welcome("ada", "0")))
    tokens = {token for line in lines for token in line.params}
    assert {f"CHATHISTORY={MAX_MESSAGES}", "MSGREFTYPES=msgid,timestamp"} <= tokens


# ── What cannot be given ─────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        ("", "INVALID_PARAMS * :there are LATEST, BEFORE, AFTER, AROUND, BETWEEN, TARGETS"),
        ("NEWEST #lobby * 5", "INVALID_PARAMS NEWEST :there are LATEST, BEFORE, AFTER, AROUND, "),
        ("LATEST", "INVALID_PARAMS LATEST :these are too few parameters"),
        ("LATEST #lobby *", "INVALID_PARAMS LATEST :these are too few parameters"),
        ("LATEST #lobby * * 5", "INVALID_PARAMS LATEST :these are too many parameters"),
        ("BETWEEN #lobby * 5", "INVALID_PARAMS BETWEEN :these are too few parameters"),
        ("TARGETS #lobby", "INVALID_PARAMS TARGETS :these are too few parameters"),
        ("LATEST #lobby * many", "INVALID_PARAMS LATEST many :how many is a number"),
        ("LATEST #lobby * -1", "INVALID_PARAMS LATEST -1 :how many is a number"),
        ("LATEST #lobby * 5555555555", "INVALID_PARAMS LATEST 5555555555 :how many is a number"),
        ("LATEST #lobby * ٥", "INVALID_PARAMS LATEST ٥ :how many is a number"),
        ("BEFORE #lobby * 5", "INVALID_PARAMS BEFORE * :a message is named by"),
        ("BEFORE #lobby 12 5", "INVALID_PARAMS BEFORE 12 :a message is named by"),
        ("BEFORE #lobby label=1 5", "INVALID_MSGREFTYPE BEFORE #lobby label=1 :a message is"),
        ("BEFORE #lobby msgid= 5", "INVALID_PARAMS BEFORE msgid= :this is the id of no message"),
        ("BEFORE #lobby msgid=7 5", "INVALID_PARAMS BEFORE msgid=7 :this is the id of no"),
        # Of another log, of another room, and of none.
        ("BEFORE #lobby msgid=1.7.lobby 5", "INVALID_PARAMS BEFORE msgid=1.7.lobby :this is"),
        ("BEFORE #lobby msgid=0.7.tea 5", "INVALID_PARAMS BEFORE msgid=0.7.tea :this is the id"),
        ("BEFORE #lobby msgid=0.x.lobby 5", "INVALID_PARAMS BEFORE msgid=0.x.lobby :this is the"),
        ("BEFORE #lobby msgid=0..lobby 5", "INVALID_PARAMS BEFORE msgid=0..lobby :this is the id"),
        ("BEFORE #lobby msgid=0.lobby 5", "INVALID_PARAMS BEFORE msgid=0.lobby :this is the id"),
        (
            f"BEFORE #lobby msgid=0.{'9' * 16}.lobby 5",
            f"INVALID_PARAMS BEFORE msgid=0.{'9' * 16}.lobby :this is the id of no message",
        ),
        ("BEFORE #lobby timestamp= 5", "INVALID_PARAMS BEFORE timestamp= :a time is written as"),
        (
            "BEFORE #lobby timestamp=2026-02-30T00:00:00.000Z 5",
            "INVALID_PARAMS BEFORE timestamp=2026-02-30T00:00:00.000Z :a time is written as",
        ),
        (
            "BEFORE #lobby timestamp=2026-02-03T00:00:00Z 5",
            "INVALID_PARAMS BEFORE timestamp=2026-02-03T00:00:00Z :a time is written as",
        ),
        (
            "TARGETS timestamp=2026-02-03T00:00:00.000Z msgid=0.7.lobby 5",
            "INVALID_PARAMS TARGETS msgid=0.7.lobby :a time is written as",
        ),
        ("LATEST #tea * 5", "INVALID_TARGET LATEST #tea :you are not in tea"),
        ("LATEST #a|b * 5", "INVALID_TARGET LATEST #a|b :a room name"),
        ("LATEST # * 5", "INVALID_TARGET LATEST # :a room name"),
        # Asked both ways, and refused once.
        (
            "BETWEEN #tea msgid=0.7.tea timestamp=2026-02-03T00:00:00.000Z 5",
            "INVALID_TARGET BETWEEN #tea :you are not in tea",
        ),
    ],
)
def test_what_cannot_be_given_is_refused_by_a_code(line: str, answer: str) -> None:
    [shown] = Asking(*ALL).say(f"CHATHISTORY {line}")
    assert shown.startswith(f":tcpchat FAIL CHATHISTORY {answer}")


def test_an_archive_that_cannot_look_is_said_to_fail() -> None:
    asking = Asking(*ALL)
    asking.send(IVY, b"CHATHISTORY LATEST #lobby * 5\r\nCHATHISTORY LATEST #lobby * 1\r\n")
    asking.find(failed=True)
    failed, *rest = asking.lines(IVY)
    assert failed.startswith(":tcpchat FAIL CHATHISTORY MESSAGE_ERROR LATEST #lobby :")
    assert asking.shown(rest) == [9]


@pytest.mark.parametrize("asked", ["LATEST * 5", "BEFORE msgid=0.7.ada 5", "BETWEEN a b 1"])
def test_people_have_no_history(asked: str) -> None:
    answer = [":tcpchat BATCH +history chathistory ada", ":tcpchat BATCH -history"]
    assert Asking(*ALL).chathistory(asked, "ada") == answer
    assert Asking("draft/chathistory").chathistory(asked, "ada") == []


def test_who_is_put_out_before_it_is_found_sees_nothing() -> None:
    asking = Asking(*ALL)
    asking.send(IVY, b"CHATHISTORY LATEST #lobby * 5\r\n")
    asking.ask(1, events.Kick("lobby", "ivy"))
    asking.find(*asking.found(asking.looks[0].inquiry))
    *_, failed = asking.lines(IVY)
    assert failed.startswith(":tcpchat FAIL CHATHISTORY INVALID_TARGET LATEST #lobby :")


@given(words=st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\r\n")), max_size=6))
def test_whatever_is_asked_is_answered_once(words: list[str]) -> None:
    asking = Asking(*LABELS, steps=[])
    line = " ".join(["@label=7 CHATHISTORY", *words])
    labelled = [each for each in asking.say(line) if "label=7" in each]
    assert len(labelled) == 1


# ── Which rooms ──────────────────────────────────────────────────────────────────────────────


def in_rooms(*capabilities: str, archive: bool = True) -> Asking:
    """ivy is in the lobby, in tea, where something was said at t10, and in a room of silence."""
    asking = Asking(*capabilities, archive=archive)
    asking.ask(1, events.Join("tea"))
    asking.say("JOIN #silence", "JOIN #tea")
    asking.says("two sugars", "tea")
    return asking


@pytest.mark.parametrize("archive", [True, False])
@pytest.mark.parametrize(
    ("asked", "shown"),
    [
        ("t0 t99 10", [("#lobby", "t9"), ("#tea", "t10")]),
        ("t99 t0 10", [("#lobby", "t9"), ("#tea", "t10")]),
        ("t0 t99 1", [("#lobby", "t9")]),
        ("t99 t0 1", [("#tea", "t10")]),
        ("t0 t99 0", []),
        ("t99 t0 0", []),
        ("t9 t99 10", [("#tea", "t10")]),
        ("t0 t10 10", [("#lobby", "t9")]),
        ("t0 t9 10", []),
        ("t9 t9 10", []),
    ],
)
def test_rooms_are_listed_by_when_something_was_said_there_last(
    asked: str, shown: list[tuple[str, str]], archive: bool
) -> None:
    asking = in_rooms(*ALL, archive=archive)
    words = " ".join(map(asking.place, asked.split(" ")))
    times = [(room, asking.place(at).partition("=")[2]) for room, at in shown]
    assert asking.say(f"CHATHISTORY TARGETS {words}") == [
        ":tcpchat BATCH +history draft/chathistory-targets",
        *[f"@batch=history :tcpchat CHATHISTORY TARGETS {room} {at}" for room, at in times],
        ":tcpchat BATCH -history",
    ]


EVER: Final = "timestamp=2000-01-01T00:00:00.000Z timestamp=1970-01-01T00:00:00.000Z"


def test_who_takes_no_batch_is_told_the_rooms_alone() -> None:
    asking = in_rooms("draft/chathistory")
    lines = asking.say(f"CHATHISTORY TARGETS {EVER} 1")
    at = asking.place("t10").partition("=")[2]
    assert lines == [f":tcpchat CHATHISTORY TARGETS #tea {at}"]


def test_who_is_in_no_room_has_none_to_be_told_of() -> None:
    asking = Asking(*ALL)
    asking.say("PART #lobby")
    assert asking.say(f"CHATHISTORY TARGETS {EVER} 10") == [
        ":tcpchat BATCH +history draft/chathistory-targets",
        ":tcpchat BATCH -history",
    ]


def test_a_room_that_one_is_put_out_of_meanwhile_is_not_listed() -> None:
    asking = in_rooms(*ALL)
    asking.delayed = True
    asking.send(IVY, f"AWAY :tea\r\nCHATHISTORY TARGETS {EVER} 10\r\n".encode())
    asking.ask(1, events.Kick("lobby", "ivy"))
    asking.proposed.rotate()  # the log takes in the kick first
    asking.commit_all()
    targets = [line for line in asking.lines(IVY) if "TARGETS" in line]
    assert [_read(line).params[1] for line in targets] == ["#tea"]


def test_where_a_room_cannot_be_looked_up_no_list_is_given() -> None:
    asking = Asking(*ALL, remembers=0)
    asking.send(IVY, f"CHATHISTORY TARGETS {EVER} 10\r\n".encode())
    asking.find(failed=True)
    [failed] = asking.lines(IVY)
    assert failed.startswith(":tcpchat FAIL CHATHISTORY MESSAGE_ERROR TARGETS :")


# ── With labels ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("asked", "kind"),
    [
        ("LATEST #lobby * 5", "chathistory #lobby"),
        ("LATEST ada * 5", "chathistory ada"),
        ("BETWEEN #lobby m2 t7 5", "chathistory #lobby"),
        ("BETWEEN #lobby t7 m2 5", "chathistory #lobby"),
        ("TARGETS t99 t0 10", "draft/chathistory-targets"),
    ],
)
def test_the_batch_has_the_label_of_the_line(asked: str, kind: str) -> None:
    asking = in_rooms(*LABELS)
    words = " ".join(map(asking.place, asked.split(" ")))
    first, *inside, last = asking.say(f"@label=7 CHATHISTORY {words}")
    assert first == f"@label=7 :tcpchat BATCH +history {kind}"
    assert all(line.startswith("@batch=history") for line in inside)
    assert last == ":tcpchat BATCH -history"


def test_a_refusal_has_the_label_of_the_line() -> None:
    asking = Asking(*LABELS)
    for asked in ("LATEST #tea * 5", "LATEST", "BETWEEN #tea msgid=0.7.tea t0 5"):
        words = " ".join([asking.place(word) for word in asked.split(" ")])
        [failed] = asking.say(f"@label=7 CHATHISTORY {words}")
        assert failed.startswith("@label=7 :tcpchat FAIL CHATHISTORY ")


# ── When one joins ───────────────────────────────────────────────────────────────────────────


def test_what_was_said_before_one_came_says_so() -> None:
    # So that no bot does again what was asked for then.
    asking = Asking("batch", "message-tags", "server-time")
    said = asking.came[3:]
    assert asking.shown(said) == [7, 8, 9]
    assert Asking("message-tags", "server-time").came[3:] == [
        line.replace("@batch=history;", "@") for line in said[1:-1]
    ]


def test_where_nothing_was_said_there_is_no_batch() -> None:
    asking = Asking("batch", steps=())
    assert [_read(line).command for line in asking.came] == ["JOIN", "353", "366"]


def test_who_joins_with_a_label_is_told_what_was_said_in_a_batch_of_its_own() -> None:
    asking = Asking("batch", "labeled-response", "message-tags", "server-time")
    asking.say("PART #lobby")
    first, *inside, last = asking.say("@label=7 JOIN #lobby")
    outer = first.split("+")[1].split(" ")[0]
    assert first == f"@label=7 :tcpchat BATCH +{outer} labeled-response"
    assert last == f":tcpchat BATCH -{outer}"
    joined, said = inside[:3], inside[3:]
    assert all(_read(line).tags.keys() & {"batch"} for line in joined)
    assert {_read(line).tags["batch"] for line in [*joined, said[0], said[-1]]} == {outer}
    assert asking.shown(said) == [7, 8, 9]


# ── What others are given ────────────────────────────────────────────────────────────────────

PLACES: Final = st.builds("{}{}".format, st.sampled_from("mt"), st.integers(0, 13))


def queries(asking: Asking, command: str, first: str, second: str, limit: int) -> list[History]:
    """The same, as JSON asks for it. What is between two is asked for both ways."""

    def named(number: str, time: str, word: str, add: int = 0) -> dict[str, int]:
        at = int(word[1:])
        if word.startswith("m"):
            return {number: asking.floor + 1 + at}
        return {time: asking.first_at + at + add}

    after, before = partial(named, "after", "since", add=1), partial(named, "before", "until")

    def history(places: dict[str, int], *, latest: bool = False) -> History:
        return msgspec.structs.replace(History("lobby", limit=limit, latest=latest), **places)

    match command:
        case "LATEST":
            return [history(after(first), latest=True)]
        case "BEFORE":
            return [history(before(first))]
        case "AFTER":
            return [history(after(first))]
        case "AROUND":
            return [history(named("around", "around_at", first))]
        case _:
            return [
                history(after(first) | before(second)),
                history(after(second) | before(first), latest=True),
            ]


@settings(max_examples=200)
@given(
    steps=STEPS,
    remembers=st.integers(1, 6),
    archive=st.booleans(),
    asked=st.tuples(
        st.sampled_from(["LATEST", "BEFORE", "AFTER", "AROUND", "BETWEEN"]),
        PLACES,
        PLACES,
        st.integers(0, 7),
    ),
)
def test_irc_clients_are_given_what_is_given_to_programs(
    steps: list[int], remembers: int, archive: bool, asked: tuple[str, str, str, int]
) -> None:
    command, first, second, limit = asked
    asking = Asking(*ALL, steps=steps, remembers=remembers, archive=archive)
    pages = [asking.page(query, asking.found) for query in queries(asking, *asked)]
    words = [first, second] if command == "BETWEEN" else [first]
    _, *inside, _ = asking.chathistory(" ".join([command, *words, f"{limit}"]))
    shown = [(line.tags["msgid"], line.tags["time"], *line.params) for line in map(_read, inside)]
    assert shown == [
        (f"0.{said.seq}.lobby", _time(said.at), "#lobby", said.text)
        for page in pages
        for said in page.messages
    ]


# ── As one comes in ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("capabilities", [("batch", "message-tags", "server-time")])
def test_what_was_said_before_is_a_batch_for_who_takes_some(capabilities: Sequence[str]) -> None:
    asking = Asking(*capabilities)
    at = next(at for at, line in enumerate(asking.came) if " 366 " in line)
    assert asking.shown(asking.came[at + 1 :]) == [7, 8, 9]


def test_where_nothing_was_said_before_there_is_no_batch() -> None:
    assert "BATCH" not in "".join(Asking("batch").say("JOIN #den"))


def test_a_batch_is_within_that_of_the_label_of_a_line() -> None:
    asking = Asking("batch", "labeled-response", "message-tags", "server-time")
    asking.say("PART #lobby")
    lines = [_read(line) for line in asking.say("@label=7 JOIN #lobby,#den")]
    assert lines[0].tags == {"label": "7"}
    outer = lines[0].params[0][1:]
    opened = [outer]
    for line in lines[1:]:
        if line.command == "BATCH" and line.params[0].startswith("+"):
            assert line.tags["batch"] == opened[-1]
            opened.append(line.params[0][1:])
        elif line.command == "BATCH":
            assert line.params[0][1:] == opened.pop()
            assert line.tags.get("batch", "") in ("", *opened[-1:])
        else:
            assert line.tags["batch"] == opened[-1]
            assert (line.command == "PRIVMSG") == (len(opened) > 1)
    assert opened == []


@pytest.mark.parametrize(
    ("capabilities", "told"),
    [
        (("draft/chathistory",), []),
        (("draft/chathistory", "batch"), ["BATCH", "BATCH"]),
        (LABELS, ["BATCH", "BATCH"]),
    ],
)
def test_of_a_person_nothing_is_kept(capabilities: Sequence[str], told: list[str]) -> None:
    lines = Asking(*capabilities).say("CHATHISTORY LATEST 1 * 10")
    assert [_read(line).command for line in lines] == told
