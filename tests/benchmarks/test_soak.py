"""The soak: it runs, its checker finds whatever is wrong, and its verdict is that of its rule."""

from __future__ import annotations

import math
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.report import Machine, markdown
from benchmarks.soak.checker import PATIENCE_S, Checker, Stream, number_of, text
from benchmarks.soak.load import Load
from benchmarks.soak.parade import parade
from benchmarks.soak.people import IrcUser, Person, Program, Typist
from benchmarks.soak.report import (
    DELAY_FIGURES,
    JUDGED_S,
    Run,
    draw,
    grown,
    load,
    summarize,
    verdict,
)
from benchmarks.soak.samples import Begun, Delays, Ended, Line, Sample, Started, Violated, Writer
from benchmarks.soak.server import Server
from benchmarks.soak.verdict import growth, warmed

ROOT = Path(__file__).parents[2]
KEEP_S = 600.0


class Checked:
    """A checker of one room in which member 1 says ten things, and what it complains of."""

    def __init__(self) -> None:
        self.complaints: list[str] = []
        self.checker = Checker(self.complaints.append, keep_s=KEEP_S)
        for number in range(1, 11):
            self.checker.say(number, 1, "hall", 0.0)
        self.witness = Stream("hall", 9, 0.0, last=0)
        self.stream = Stream("hall", 2, 0.0)

    def witnessed(self, *, first: int = 1) -> None:
        """Somebody else is told all of them, in their order."""
        for number in range(first, 11):
            self.checker.told(self.witness, number, number, 0.0)


def told(*numbers: int) -> list[str]:
    """What is complained of when somebody is told these places."""
    checked = Checked()
    checked.witnessed()
    checked.stream.last = 0
    for number in numbers:
        checked.checker.told(checked.stream, number, number, 0.0)
    checked.checker.look(checked.stream, PATIENCE_S)
    return checked.complaints


def heard(*numbers: int, member: int = 2) -> list[str]:
    """The same of somebody who is told texts only."""
    checked = Checked()
    checked.witnessed()
    checked.stream.member = member
    for number in numbers:
        checked.checker.heard(checked.stream, number, 0.0)
    checked.checker.look(checked.stream, PATIENCE_S)
    return checked.complaints


EVERYTHING = range(1, 11)
LISTENERS = [pytest.param(told, id="with places"), pytest.param(heard, id="texts only")]


@pytest.mark.parametrize("listen", LISTENERS)
def test_nothing_is_complained_of_when_all_is_told_in_order(
    listen: Callable[..., list[str]],
) -> None:
    assert listen(*EVERYTHING) == []


@pytest.mark.parametrize("listen", LISTENERS)
def test_a_lost_message_is_found(listen: Callable[..., list[str]]) -> None:
    (complaint,) = listen(1, 2, 3, 5, 6, 7, 8, 9, 10)
    assert complaint.startswith("lost: member 2 of hall was told 5 after 3")


@pytest.mark.parametrize("listen", LISTENERS)
def test_messages_that_are_lost_at_the_end_are_found(listen: Callable[..., list[str]]) -> None:
    (complaint,) = listen(1, 2, 3)
    assert complaint == ("lost: member 2 of hall was told nothing after 3, and others were told 4")


@pytest.mark.parametrize("listen", LISTENERS)
def test_a_doubled_message_is_found(listen: Callable[..., list[str]]) -> None:
    complaints = listen(1, 2, 3, 3, 4, 5, 6, 7, 8, 9, 10)
    assert complaints == ["doubled or out of order: member 2 of hall was told 3 after 3"]


@pytest.mark.parametrize("listen", LISTENERS)
def test_messages_in_another_order_are_found(listen: Callable[..., list[str]]) -> None:
    complaints = listen(1, 2, 4, 3, 5, 6, 7, 8, 9, 10)
    assert "doubled or out of order: member 2 of hall was told 3 after 4" in complaints


def test_who_is_told_texts_only_need_not_be_told_its_own() -> None:
    assert heard(1, 10, member=1) == []
    assert heard(1, 10) != []


def test_what_nobody_knows_a_place_of_yet_is_waited_for() -> None:
    checked = Checked()
    for number in EVERYTHING:
        checked.checker.heard(checked.stream, number, 0.0)
    checked.checker.look(checked.stream, PATIENCE_S)
    checked.witnessed()
    checked.checker.look(checked.stream, PATIENCE_S)
    assert (checked.complaints, checked.stream.last) == ([], 10)


def test_what_somebody_alone_is_told_is_found() -> None:
    checked = Checked()
    checked.checker.heard(checked.stream, 1, 0.0)
    checked.checker.look(checked.stream, PATIENCE_S + 1)
    assert checked.complaints == ["stray: member 2 alone was told #1"]


def test_where_nobody_is_told_places_nothing_is_said_of_what_was_told() -> None:
    checked = Checked()
    checked.checker.heard(checked.stream, 1, 0.0)
    checked.checker.look(checked.stream, PATIENCE_S + 1, witnessed_s=math.inf)
    # Somebody comes who is told places; 2 was said by who is told texts only, before that.
    checked.witness.last = 2
    checked.witnessed(first=3)
    for number in range(3, 11):
        checked.checker.heard(checked.stream, number, PATIENCE_S + 1)
    checked.checker.look(checked.stream, 3 * PATIENCE_S, witnessed_s=PATIENCE_S + 1)
    assert (checked.complaints, checked.stream.last) == ([], 10)


def test_what_one_said_where_nobody_was_told_its_place_is_not_missing() -> None:
    checked = Checked()
    checked.witness.last = None
    for number in (1, 2, 4, 5):
        checked.checker.told(checked.witness, number, number, 0.0)
        checked.witness.last = None if number == 2 else number
    for number in (1, 2, 4, 5):
        checked.checker.heard(checked.stream, number, 0.0)
    checked.checker.look(checked.stream, PATIENCE_S + 1)
    assert (checked.complaints, checked.stream.last) == ([], 5)


@pytest.mark.parametrize(
    ("number", "room", "seq", "complaint"),
    [
        (1, "hall", 11, "doubled: #1 is at 1 of hall and at 11"),
        (1, "hall", 2, "disagreement: at 2 of hall are #2 and #1"),
        (1, "den", 1, "stray: #1 was said in hall and told in den"),
    ],
)
def test_a_text_has_one_place_and_a_place_one_text(
    number: int, room: str, seq: int, complaint: str
) -> None:
    checked = Checked()
    checked.witnessed()
    checked.checker.place(number, room, seq, 0.0)
    assert complaint in checked.complaints


@pytest.mark.parametrize(
    ("later_s", "newest", "is_wrong"),
    [
        pytest.param(0.0, 10, True, id="at once"),
        pytest.param(KEEP_S, 10, False, id="when it is forgotten"),
        pytest.param(0.0, 300, False, id="after more than a room remembers"),
    ],
)
def test_a_gap_is_wrong_where_the_server_should_know_what_was_missed(
    later_s: float, newest: int, *, is_wrong: bool
) -> None:
    checked = Checked()
    checked.witnessed()
    checked.checker.say(newest, 1, "hall", 0.0)
    checked.checker.place(newest, "hall", newest, 0.0)
    checked.stream.last = 5
    checked.checker.missed(checked.stream, 7, later_s)
    assert bool(checked.complaints) == is_wrong
    assert checked.stream.last == 6


def test_what_is_forgotten_is_not_asked_for() -> None:
    checked = Checked()
    checked.witnessed()
    checked.stream.last = 3
    checked.checker.forget(10_000.0)
    checked.checker.look(checked.stream, 10_000.0)
    assert checked.complaints == []


def test_a_text_is_known_again_by_its_number() -> None:
    assert number_of(text(17, "tea #3")) == 17
    assert number_of("tea #3") is None


# ── What people are told ─────────────────────────────────────────────────────────────────────────


class Told:
    """Somebody without a connection, who is told lines, and what comes of that."""

    def __init__(self, kind: type[Person], tmp_path: Path) -> None:
        self.complaints: list[str] = []
        self.load = Load(
            name="here",
            seed=1,
            people=0,
            data=tmp_path,
            port=lambda: 0,
            now=lambda: self.now_s,
            violated=self.complaints.append,
            grace_s=60.0,
            keep_s=KEEP_S,
        )
        self.now_s = 0.0
        self.person = kind(self.load, 2)
        self.load.people.append(self.person)
        for number in range(1, 11):
            self.load.checker.say(number, 1, "hall", 0.0)
            self.load.checker.place(number, "hall", number, 0.0)

    def tell(self, *lines: str) -> list[str]:
        """Tell these, and look long after that."""
        for line in lines:
            self.person.told_line(line.encode())
        self.now_s += PATIENCE_S + 1
        self.load.look()
        return [complaint.removeprefix("here: ") for complaint in self.complaints]


WELCOME = '{"type":"welcome","nick":"guest-1","epoch":"e","token":"t"}'
ENTERED = '{"type":"entered","room":"hall","members":[],"count":1,"seq":0,"at":0}'


def said(number: int, seq: int = 0) -> str:
    return (
        f'{{"type":"said","room":"hall","nick":"ada","text":"#{number} tea",'
        f'"seq":{seq or number},"at":0}}'
    )


def test_a_program_that_misses_a_message_says_so(tmp_path: Path) -> None:
    everything = [said(number) for number in EVERYTHING]
    assert Told(Program, tmp_path).tell(WELCOME, ENTERED, *everything) == []
    told = Told(Program, tmp_path).tell(WELCOME, ENTERED, *everything[:4], *everything[5:])
    assert told == ["lost: member 2 of hall was told 6 after 4"]


def test_a_program_that_resumes_goes_on_where_it_was(tmp_path: Path) -> None:
    resumed = (
        '{"type":"resumed","nick":"pia","epoch":"e",'
        '"rooms":[{"room":"hall","members":[],"count":1,"seq":10}]}'
    )
    first, rest = (
        [said(number) for number in range(1, 6)],
        [said(number) for number in range(6, 11)],
    )
    assert Told(Program, tmp_path).tell(WELCOME, ENTERED, *first, resumed, *rest) == []
    again = Told(Program, tmp_path).tell(WELCOME, ENTERED, *first, resumed, said(5), *rest)
    assert again[0] == "doubled or out of order: member 2 of hall was told 5 after 5"


def test_a_session_that_is_lost_within_its_grace_is_told(tmp_path: Path) -> None:
    (complaint,) = Told(Program, tmp_path).tell(WELCOME, WELCOME)
    assert complaint.startswith("session: that of p2x")


@pytest.mark.parametrize(("away_s", "complaints"), [(30.0, 1), (70.0, 0)])
def test_a_grace_counts_from_when_the_session_was_lost_and_not_from_a_visit_in_vain(
    away_s: float, complaints: int, tmp_path: Path
) -> None:
    told = Told(Program, tmp_path)
    told.tell(WELCOME)
    told.person.lost()
    told.now_s += away_s
    told.person.lost()  # nobody answered, as in the middle of a restart
    assert len(told.tell(WELCOME)) == complaints


def test_a_message_without_its_receipt_is_told(tmp_path: Path) -> None:
    told = Told(Program, tmp_path)
    told.person.told_line(WELCOME.encode())
    told.person.say("hall", "tea")
    assert told.tell() == [f"receipt: {told.person.nick} has none of #1"]


def test_a_receipt_that_comes_again_is_the_same(tmp_path: Path) -> None:
    def receipts(*seqs: int) -> list[str]:
        told = Told(Program, tmp_path)
        told.load.numbers = 10
        told.person.told_line(WELCOME.encode())
        told.person.told_line(ENTERED.replace('"seq":0', '"seq":10').encode())
        told.person.say("hall", "tea")
        return told.tell(
            *(f'{{"type":"sent","at":0,"id":"11","room":"hall","seq":{seq}}}' for seq in seqs)
        )

    assert receipts(11, 11) == []
    assert receipts(11, 12)[0].endswith("has another one of #11: 12")


def test_a_direct_message_that_has_a_receipt_and_is_not_told_is_found(tmp_path: Path) -> None:
    told = Told(Program, tmp_path)
    sender = Program(told.load, 3)
    told.person.told_line(WELCOME.encode())
    assert isinstance(told.person, Program)
    sender.tell(told.person, "psst")
    sender.told_line(b'{"type":"sent","at":0,"id":"1","nick":"pia","entry":5}')
    assert told.tell() == [f"lost: {told.person.nick} was not told #1, which has a receipt"]


def test_a_direct_message_that_is_told_twice_is_found(tmp_path: Path) -> None:
    line = '{"type":"told","nick":"ada","text":"#1 psst","seq":1,"at":0}'
    (complaint,) = Told(Program, tmp_path).tell(WELCOME, line, line)
    assert complaint.endswith("was told 1 after 1")


PLAIN = ("* You joined hall (2 here: ada, bob).", *(f"[hall] ada: #{n} tea" for n in EVERYTHING))
IRC = (
    ":tcpchat 001 {nick} :Welcome",
    ":{nick}!~u@tcpchat JOIN #hall",
    *(f":ada!~u@tcpchat PRIVMSG #hall :#{n} tea" for n in EVERYTHING),
)


@pytest.mark.parametrize(("kind", "lines"), [(Typist, PLAIN), (IrcUser, IRC)])
def test_people_without_places_who_miss_a_message_say_so(
    tmp_path: Path, kind: type[Person], lines: tuple[str, ...]
) -> None:
    def tell(*left: str) -> list[str]:
        told = Told(kind, tmp_path)
        told.person.is_in = True
        return told.tell(*(line.format(nick=told.person.nick) for line in left))

    assert tell(*lines) == []
    assert tell(*lines[:5], *lines[6:])[0].startswith("lost: member 2 of hall was told ")


def test_what_was_said_before_somebody_came_is_not_what_comes(tmp_path: Path) -> None:
    past = ("* Said in hall before you came:", "[hall] ada: #9 tea", "[hall] ada: #10 tea")
    told = Told(Typist, tmp_path)
    told.person.is_in = True
    assert told.tell(*past, *PLAIN) == []


# ── The servers ──────────────────────────────────────────────────────────────────────────────────


def test_an_error_in_the_log_of_a_server_is_found_once(tmp_path: Path) -> None:
    server = Server("lived", tmp_path)
    server.log.write_text("level=info event=connected\nlevel=error event=failed\nTraceback (most")
    assert server.complaints() == ["level=error event=failed"]
    with server.log.open("a") as log:
        log.write(" recent call last):\nlevel=info event=gone\n")
    assert server.complaints() == ["Traceback (most recent call last):"]
    assert server.complaints() == []


# ── The verdict ──────────────────────────────────────────────────────────────────────────────────

# Half of all pairs of samples are more than 0.28 of the time apart: with noise of this much on each
# sample the slope of such a pair is not off by more than LIMIT (2 / 0.28 < 7.5), nor is the median.
LIMIT = 0.05
NOISE = LIMIT / 15
COUNT = 60


def series(noise: list[float], *, grows: float) -> list[tuple[float, float]]:
    """Times and values that begin at 100, with noise, and grow by a share of that in all."""
    return [
        (10.0 * at, 100 * (1 + grows * at / (len(noise) - 1)) + 100 * one)
        for at, one in enumerate(noise)
    ]


noises = st.lists(st.floats(-NOISE, NOISE), min_size=COUNT, max_size=COUNT)


@given(noises)
def test_a_noisy_series_that_does_not_grow_is_flat(noise: list[float]) -> None:
    found = growth(series(noise, grows=0.0))
    assert found is not None
    assert found.is_flat(LIMIT)


@given(noises, st.floats(2.5 * LIMIT, 10.0))
def test_a_noisy_series_that_grows_is_not_flat(noise: list[float], grows: float) -> None:
    found = growth(series(noise, grows=grows))
    assert found is not None
    assert not found.is_flat(LIMIT)


@given(st.dictionaries(st.integers(0, COUNT - 1), st.floats(0, 1e9), max_size=COUNT // 5))
def test_spikes_in_a_fifth_of_the_samples_are_no_growth(spikes: dict[int, float]) -> None:
    noise = [spikes.get(at, 0.0) for at in range(COUNT)]
    found = growth(series(noise, grows=0.0))
    assert found is not None
    assert found.is_flat(LIMIT)


@given(noises, st.floats(-1.0, 0.0))
def test_what_shrinks_is_flat(noise: list[float], grows: float) -> None:
    found = growth(series(noise, grows=grows))
    assert found is not None
    assert found.is_flat(LIMIT)


def test_one_more_of_what_is_counted_is_growth() -> None:
    def counted(*values: int) -> bool:
        found = growth(list(enumerate(map(float, values))))
        assert found is not None
        return found.is_flat(None)

    assert counted(*[13] * 100)
    assert counted(*[13, 14] * 50)
    assert not counted(*[13 + at // 50 for at in range(100)])


def test_the_first_quarter_does_not_count() -> None:
    points = [(float(at), 0.0) for at in range(101)]
    assert [at for at, _ in warmed(points)] == list(range(25, 101))
    assert warmed([]) == []
    assert growth([(0.0, 1.0)]) is None


# ── The samples ──────────────────────────────────────────────────────────────────────────────────

BEGUN = Begun(
    "2026-11-29",
    "python -m benchmarks soak",
    2.0,
    1,
    90,
    10.0,
    Machine("a processor", 2, 4.0, "6", "Debian", "3.11", {}),
)
DELAYS = Delays(1.0, 2.0, 3.0, 40)


def sample(at_s: float, *, anonymous: int = 30 << 20, server: str = "lived") -> Sample:
    return Sample(
        at_s=at_s,
        server=server,
        start=1,
        rss=40 << 20,
        anonymous=anonymous,
        descriptors=100,
        connections=87,
        threads=4,
        cpu_s=at_s / 50,
        files={"log.db": 1, "archive.db": 2, "WAL": 3, "snapshots": 4, "other": 5},
        people=87,
        told=DELAYS,
        echo=DELAYS,
        disk=None if at_s == 0 else DELAYS,
        counts={"delivered": 10},
    )


def lines(*, grows: int = 0) -> list[Line]:
    """A run of two servers, long enough to be judged."""
    found: list[Line] = [BEGUN]
    for server in ("lived", "restarted"):
        found += [Started(0.0, server, 1, 7), Started(900.0, server, 2, 8, "SIGKILL")]
        found += [
            sample(at * JUDGED_S / 40, anonymous=(30 << 20) + at * grows, server=server)
            for at in range(41)
        ]
    return found


def written(path: Path, *more: Line, grows: int = 0) -> Path:
    writer = Writer(path)
    for line in (*lines(grows=grows), *more):
        writer.write(line)
    writer.close()
    return path


def run_soak(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "benchmarks", "soak", *arguments],
        cwd=directory,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def test_tables_and_a_plot_are_made_of_samples_with_a_torn_last_line(tmp_path: Path) -> None:
    path = written(tmp_path / "soak.jsonl")
    whole = load(path)
    with path.open("ab") as samples:
        samples.write(b'{"type":"sample","at_s":12')
    assert load(path) == whole
    done = run_soak(tmp_path, "--report", str(path))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "| memory of its own, MiB | 30 |" in done.stdout
    assert "nothing was violated; the server that lived on was flat; the run has not" in done.stdout
    assert {one.name for one in tmp_path.iterdir()} == {
        "soak.jsonl",
        "soak.svg",
        "report.json",
        "report.md",
    }


def test_the_same_samples_give_the_same_plot(tmp_path: Path) -> None:
    run = load(written(tmp_path / "soak.jsonl"))
    pictures = []
    for _ in range(2):
        assert draw(run, tmp_path / "soak.svg") == "soak.svg"
        pictures.append((tmp_path / "soak.svg").read_bytes())
    assert pictures[0] == pictures[1]


def test_memory_that_grows_fails_the_run_and_a_short_run_is_not_judged(tmp_path: Path) -> None:
    path = written(tmp_path / "soak.jsonl", grows=1 << 20)
    run = load(path)
    assert grown(run) == ["memory of its own, MiB"]
    done = run_soak(tmp_path, "--report", str(path))
    assert done.returncode == 1
    assert "GREW: memory of its own, MiB" in done.stdout
    short = Run(run.begun, samples=run.samples[:20])
    assert grown(short) == []
    assert "too short to tell" in verdict(short)


def delays(p50: float) -> Delays:
    return Delays(p50, 2 * p50, 3 * p50, 40)


@pytest.mark.parametrize("told_grows", [False, True])
@pytest.mark.parametrize("disk_shrinks", [False, True])
def test_a_delay_has_grown_when_it_did_so_by_itself_and_compared_to_a_write(
    told_grows: bool, disk_shrinks: bool
) -> None:
    run = Run(BEGUN)
    for at in range(41):
        told = delays(2.0 + at / 10 if told_grows else 2.0)
        # A machine that becomes busy makes both grow; one that becomes idle makes both shrink.
        disk = delays(2.0 - at / 25 if disk_shrinks else told.p50)
        one = sample(at * JUDGED_S / 40)
        run.samples.append(msgspec.structs.replace(one, told=told, disk=disk))
    is_grown = told_grows and disk_shrinks
    assert grown(run) == (sorted(DELAY_FIGURES) if is_grown else [])
    assert ("MISSED" in markdown(summarize(run))) == is_grown


def test_a_violation_fails_the_run_and_is_told(tmp_path: Path) -> None:
    ended = Ended(
        9.0, "violated", {"lived": 7, "restarted": 8}, {"lived": {}, "restarted": {}}, 1.0
    )
    path = written(tmp_path / "soak.jsonl", Violated(8.0, "lived: lost: this and that"), ended)
    done = run_soak(tmp_path, "--report", str(path))
    assert done.returncode == 1
    assert "VIOLATED after 8 s: lived: lost: this and that" in done.stdout
    assert "| deliveries, each checked | 7 | 8 |" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--hours", "0"), "argument --hours: 0: it has to be more than 0, 168 at most"),
        (("--hours", "nan"), "argument --hours: nan: it has to be more than 0, 168 at most"),
        (("--acts", "-1"), "argument --acts: -1: a whole number from 1 on"),
        (("--data", "."), "--data .: it is there already; name a new folder"),
        (("--report", "none.jsonl"), "none.jsonl cannot be read: No such file or directory"),
        (("--report", "rubbish"), "rubbish has no samples of a soak: "),
        (("--report", "empty"), "empty has no samples of a soak: it does not begin as they do"),
    ],
)
def test_what_cannot_be_is_told_in_a_sentence(
    tmp_path: Path, arguments: tuple[str, ...], sentence: str
) -> None:
    (tmp_path / "rubbish").write_bytes(b"no\nsamples\n")
    (tmp_path / "empty").write_bytes(b"")
    done = run_soak(tmp_path, *arguments)
    assert done.returncode != 0
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr


def test_a_parade_has_each_name_be_taken_and_leaves_nobody(tmp_path: Path) -> None:
    server = Server("lived", tmp_path)
    server.begin()
    try:
        parade(server.port, 40)
        log = server.log.read_text()
    finally:
        server.end(signal.SIGKILL)
    assert {*re.findall(r"to=(passer\d+)", log)} == {f"passer{number}" for number in range(40)}
    assert log.count("event=gone") >= 5  # nine names a person


def test_a_short_soak_with_restarts_finds_nothing_wrong(tmp_path: Path) -> None:
    data = tmp_path / "data"
    done = run_soak(tmp_path, "--acts", "120", "--restart-every", "3", "--data", str(data))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "nothing was violated; that was too short to tell" in done.stdout
    (path,) = tmp_path.glob("results/*/soak.jsonl")
    assert {one.name for one in path.parent.iterdir()} == {
        "soak.jsonl",
        "soak.svg",
        "report.json",
        "report.md",
    }
    run = load(path)
    assert run.ended is not None
    assert run.ended.why == "all acts were decided"
    for server in ("lived", "restarted"):
        assert (data / server / "log.db").exists()
        assert run.ended.delivered[server] > 1_000
        assert run.ended.counts[server]["acknowledged"] > 20
    assert [one.start for one in run.started if one.server == "lived"] == [1]
    again = [one for one in run.started if one.server == "restarted"]
    assert again[1].after == "SIGTERM"
    assert msgspec.json.decode(path.with_name("report.json").read_bytes())["tables"]


def test_a_server_that_ends_by_itself_fails_the_run_at_once(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks", "soak", "--acts", "1000000"]
    environment = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"}
    with subprocess.Popen(
        command,
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as running:
        try:
            assert running.stdout is not None
            (pid,) = [
                int(line.split()[2].rstrip(","))
                for line in islice(running.stdout, 3)
                if line.startswith("lived: process ")
            ]
            os.kill(pid, signal.SIGKILL)
            told, _ = running.communicate(timeout=240)
        finally:
            running.kill()
    assert running.returncode == 1, told
    assert "lived: tcpchat-server has ended by itself" in told
    assert "Traceback" not in told
