"""The upkeep of a log: however it is interrupted, the next start is right; what is past is gone."""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tcpchat_core import ChatState, Entry, Event, Propose, events
from tcpchat_core.archive import Archived, Matches, Page, Place
from tcpchat_core.notices import Said
from tcpchat_core.server.archiving import what_was_said
from tcpchat_net.happenings import Forgotten, Happening, SnapshotTaken
from tcpchat_net.logs import chores, snapshots
from tcpchat_net.logs.archive import ArchiveKeeper, ArchiveStore, DamagedError
from tcpchat_net.logs.chores import Chore, Step
from tcpchat_net.logs.durable import DurableLog
from tcpchat_net.logs.recovery import MAX_LACKING, recover
from tcpchat_net.logs.replayer import InProcess, Program, ReplayError, Task
from tcpchat_net.logs.store import LOG_NAME, FullError, Store, StoreError
from tcpchat_net.logs.upkeep import ROUND_MS, SNAPSHOT_EVERY, SNAPSHOT_EVERY_MS, WAIT_MS, Upkeep
from tests.core.harness import START_MS, STEP_MS, random_log
from tests.net.disk import Host

HOUR_MS = 3_600_000


class Crash(BaseException):
    """The power is gone."""


class Server:
    """One start of a server on a folder, without people and sockets: log, archive, upkeep."""

    def __init__(
        self,
        folder: Path,
        *,
        keep_ms: int | None = None,
        every: int = SNAPSHOT_EVERY,
        replay: Callable[[Task], Program] = InProcess,
    ) -> None:
        self.folder = folder
        self.now = START_MS
        self.host = Host()
        self.store, self.archive_store = Store(folder), ArchiveStore(folder)
        self.store.open()
        self.complaints: list[str] = []
        self.happened: list[Happening] = []
        try:
            recovered = recover(
                self.store, ChatState, self.archive_store, complain=self.complaints.append
            )
        except StoreError:
            self.archive_store.close()
            self.store.close()
            raise
        self.state = recovered.state
        self.failures: list[StoreError] = []
        self.log = DurableLog(
            self.store, self.host, failed=self.failures.append, clock=lambda: self.now
        )
        self.log.open(self.commit)
        self.keeper = ArchiveKeeper(
            self.archive_store, self.host, self.complaints.append, is_behind=recovered.is_behind
        )
        self.upkeep = Upkeep(
            self.store,
            self.log,
            self.keeper,
            host=self.host,
            aside=self.host,
            replay=replay,
            keep_ms=keep_ms,
            every=every,
            complain=self.complaints.append,
            failed=self.failures.append,
            clock=lambda: self.now,
            report=self.happened.append,
        )

    def commit(self, entries: Sequence[Entry]) -> None:
        for entry in entries:
            actions = self.state.handle(entry)
            if archived := what_was_said(self.state, entry, actions):
                self.keeper.keep(archived)

    def take_in(self, entries: list[Entry]) -> None:
        """These happen, each at its own time."""
        for each in entries:
            self.now = max(self.now, each.at)
            self.log.propose([Propose(each.conn, each.number, (each.event,))])
            self.work()

    def work(self) -> None:
        """Do all that is to be done now."""
        while self.host.work():
            pass

    def round(self) -> None:
        """One round of the upkeep, from its beginning to its end."""
        self.upkeep.begin()
        self.end_round()

    def end_round(self) -> None:
        """All that a round that has begun does."""
        self.work()
        while any(ms == WAIT_MS for ms, _ in self.host.timers):  # it waits for the log
            self.host.pass_time()
            self.work()

    def close(self) -> None:
        self.upkeep.stop()
        self.archive_store.close()
        self.store.close()

    @property
    def base(self) -> int:
        return snapshots.listed(self.folder)[0][0]

    @property
    def newest(self) -> int:
        return snapshots.listed(self.folder)[-1][0]

    def said(self) -> list[Said]:
        """All that the archive has of the lobby, when it has all that it was given."""
        self.keeper.flush()
        self.work()
        return self.archive_store.everything("lobby")


def files(folder: Path) -> bytes:
    """All bytes that are in a folder."""
    return b"".join(path.read_bytes() for path in folder.iterdir() if path.is_file())


def chat(count: int, first: int = 1, word: str = "word") -> list[Entry]:
    """Somebody comes into the lobby and says something; one entry every step."""
    requests: list[Event] = [
        events.Connect("session"),
        events.Join("lobby", "lobby"),
        *(events.Say("lobby", f"{word}{number}", key="lobby") for number in range(count - 2)),
    ]
    return [
        Entry(first + place, START_MS + STEP_MS * (first + place), first, event, place + 1)
        for place, event in enumerate(requests)
    ]


@contextmanager
def power_cut(server: Server, monkeypatch: pytest.MonkeyPatch, at: int) -> Iterator[None]:
    """The power goes before the step `at` of what is done with the disk, or after the last one."""
    steps = iter(range(at))
    run, fsync, rename = Host.work, os.fsync, Path.rename

    def step(then: Callable[..., Any]) -> Callable[..., Any]:
        def interrupted(*arguments: object) -> object:
            if next(steps, None) is None:
                raise Crash
            return then(*arguments)

        return interrupted

    with monkeypatch.context() as patch:
        patch.setattr(Host, "work", step(run))
        patch.setattr(os, "fsync", step(fsync))
        patch.setattr(Path, "rename", step(rename))
        with suppress(Crash):
            yield
    server.close()


# ── However it is interrupted ────────────────────────────────────────────────────────────────


@settings(max_examples=60)
@given(
    seed=st.integers(0, 10_000),
    crashes=st.lists(st.integers(0, 90), max_size=3),
    keep_ms=st.sampled_from([None, 20 * STEP_MS, 300 * STEP_MS]),
    is_due=st.booleans(),
)
def test_after_a_crash_at_any_step_the_next_start_comes_to_the_same_state(
    seed: int,
    crashes: list[int],
    keep_ms: int | None,
    is_due: bool,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    monkeypatch = pytest.MonkeyPatch()
    folder = tmp_path_factory.mktemp("log")
    log = random_log(seed, 120)
    server = Server(folder, keep_ms=keep_ms)
    for number, crash in enumerate(crashes):
        server.take_in(log[number * 40 : number * 40 + 40])
        if is_due:
            server.now += SNAPSHOT_EVERY_MS
        expected = server.state
        with power_cut(server, monkeypatch, crash):
            server.round()
        server = Server(folder, keep_ms=keep_ms)
        # What was being written when the power went may be there, or not: no more than that.
        assert expected.seq <= server.state.seq <= expected.seq + 1
        if server.state.seq == expected.seq:
            assert server.state.digest() == expected.digest()
        server.now = expected_time(server)
    server.round()
    assert server.failures == []
    assert server.complaints == []
    server.close()


def expected_time(server: Server) -> int:
    """No time has passed since the last entry."""
    return max(START_MS, server.store.last()[1])


@pytest.mark.parametrize("keep_ms", [None, 30 * STEP_MS])
def test_a_restart_after_a_round_comes_to_the_state_of_before(
    keep_ms: int | None, tmp_path: Path
) -> None:
    server = Server(tmp_path, keep_ms=keep_ms)
    server.take_in(random_log(3, 100))
    server.now += SNAPSHOT_EVERY_MS
    server.round()
    server.close()
    again = Server(tmp_path)
    assert again.state.digest() == server.state.digest()
    again.close()


class CutTooEarly(Upkeep):
    """Cuts the log before the disk has the snapshot that it is to begin with."""

    def _move_base(self, before: int) -> Chore:
        upto = self._store.last_before(before)
        while (yield Step(self._host, lambda: self._store.cut(upto))):
            pass
        yield from super()._move_base(before)


@pytest.mark.parametrize(("upkeep", "holds"), [(Upkeep, True), (CutTooEarly, False)])
def test_the_base_and_the_log_are_enough_whenever_the_newest_snapshot_is_damaged(
    upkeep: type[Upkeep], holds: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(globals(), "Upkeep", upkeep)
    refused = 0
    for crash in range(60):
        folder = tmp_path / str(crash)
        server = Server(folder, keep_ms=HOUR_MS)
        server.take_in(chat(30))
        server.round()
        server.now += 2 * HOUR_MS
        server.take_in(chat(5, first=100))
        with power_cut(server, monkeypatch, crash):
            server.round()
        snapshots.path_of(folder, server.newest).unlink()
        try:
            Server(folder).close()
        except StoreError:
            refused += 1
    assert (refused == 0) == holds


# ── Snapshots ────────────────────────────────────────────────────────────────────────────────


def test_a_snapshot_is_taken_when_a_day_has_passed_and_something_has_happened(
    tmp_path: Path,
) -> None:
    server = Server(tmp_path)
    server.now += SNAPSHOT_EVERY_MS
    server.round()
    assert server.newest == 0
    server.take_in(chat(10))
    server.round()
    assert (server.base, server.newest) == (0, 10)
    server.take_in(chat(10, first=11))
    server.round()
    assert server.newest == 10
    server.now += SNAPSHOT_EVERY_MS
    server.round()
    assert (server.base, server.newest) == (0, 20)
    assert len(snapshots.listed(tmp_path)) == 2
    server.close()


def test_a_snapshot_is_taken_when_there_is_much_to_replay(tmp_path: Path) -> None:
    server = Server(tmp_path, every=10)
    server.take_in(chat(9))
    server.round()
    assert server.newest == 0
    server.take_in(chat(2, first=10))
    server.round()
    assert server.newest == 11
    assert server.happened == [SnapshotTaken(11, 0)]
    server.close()


def test_rounds_come_again_and_again(tmp_path: Path) -> None:
    server = Server(tmp_path)
    server.upkeep.begin()
    server.work()
    for _ in range(3):
        ((ms, _),) = server.host.timers
        assert ms == ROUND_MS
        server.host.pass_time()
        server.work()
    server.upkeep.stop()
    server.host.pass_time()
    server.work()
    assert server.host.timers == []
    server.close()


# ── What is past its time ────────────────────────────────────────────────────────────────────


def test_what_is_past_its_time_is_in_none_of_the_files(tmp_path: Path) -> None:
    server = Server(tmp_path, keep_ms=HOUR_MS)
    server.take_in(chat(300, word="xyzzy"))
    server.take_in(
        [
            Entry(301, server.now, 2, events.Connect("other"), 1),
            Entry(302, server.now, 1, events.Tell("guest-2", "plugh", key="guest-2"), 301),
        ]
    )
    server.round()
    assert b"xyzzy" in files(tmp_path)
    assert b"plugh" in files(tmp_path)
    server.now += 2 * HOUR_MS
    server.take_in(chat(20, first=400, word="frotz"))
    server.round()
    assert server.happened[-1] == Forgotten(server.now - HOUR_MS)
    assert b"xyzzy" not in files(tmp_path)
    assert b"plugh" not in files(tmp_path)
    assert b"frotz" in files(tmp_path)
    assert [said.text for said in server.said()] == [f"frotz{number}" for number in range(18)]
    server.close()
    again = Server(tmp_path)
    assert again.state.digest() == server.state.digest()
    again.close()


def test_what_is_kept_for_ever_is_in_the_log_and_the_archive_and_no_entry_is_added(
    tmp_path: Path,
) -> None:
    server = Server(tmp_path)
    server.take_in(chat(50))
    server.now += 1_000 * SNAPSHOT_EVERY_MS
    server.round()
    assert server.log.seq == 50
    assert [batch.last for batch in server.store.read_all(0)] == list(range(1, 51))
    assert len(server.said()) == 48
    server.close()


# ── An archive that is behind ────────────────────────────────────────────────────────────────


def test_an_archive_that_was_taken_away_is_filled_from_the_log_while_people_talk(
    tmp_path: Path,
) -> None:
    server = Server(tmp_path)
    server.take_in(chat(50))
    server.now += SNAPSHOT_EVERY_MS
    server.round()
    server.close()
    server.archive_store.path.unlink()
    server = Server(tmp_path)
    assert server.keeper.is_behind
    found: list[object] = []
    server.keeper.look(Page(Place("lobby", 0), 100, 10), found.append)
    assert found == []  # who asks has to be told first what came before
    server.host.pass_time()
    assert found == [None]
    server.upkeep.begin()
    more = chat(20, first=51)
    while server.host.jobs or more:
        if more:
            each = more.pop(0)
            server.log.propose([Propose(each.conn, each.number, (each.event,))])
        server.host.work()
    assert not server.keeper.is_behind
    assert len(server.said()) == 48 + 18
    server.close()


def test_an_archive_that_lacks_much_is_not_waited_for_at_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tcpchat_net.logs.recovery.MAX_LACKING", 10)
    assert MAX_LACKING > 10
    server = Server(tmp_path)
    server.take_in(chat(50))
    server.close()
    server.archive_store.path.unlink()
    server = Server(tmp_path)
    assert server.keeper.is_behind
    server.round()
    assert len(server.said()) == 48
    server.close()


def test_an_archive_that_cannot_keep_up_is_filled_from_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tcpchat_net.logs.archive.MAX_WAITING", 5)
    server = Server(tmp_path)
    entries = chat(30)
    server.log.propose([Propose(1, 1, tuple(entry.event for entry in entries))])
    server.work()
    (complaint,) = server.complaints
    assert "cannot keep up" in complaint
    server.round()
    assert not server.keeper.is_behind
    assert len(server.said()) == 28
    server.close()


def test_an_archive_does_not_know_what_the_log_has_lost(tmp_path: Path) -> None:
    server = Server(tmp_path)
    server.take_in(chat(20))
    server.work()
    server.archive_store.add(
        [Archived(25, "lobby", "ada", Said("lobby", "ada", "never was", 24, 0))], 25
    )
    server.close()
    server = Server(tmp_path)
    assert "never was" not in [said.text for said in server.said()]
    assert server.archive_store.reached() == 20
    (complaint,) = server.complaints
    assert "a copy of it as it was is archive.db.copy" in complaint
    server.close()
    (tmp_path / "archive.db.copy").rename(server.archive_store.path)
    server.archive_store.open()
    assert server.archive_store.everything("lobby")[-1].text == "never was"
    server.archive_store.close()


def test_an_archive_beyond_a_log_that_cannot_be_read_is_left_as_it_is(tmp_path: Path) -> None:
    before = talked_in(tmp_path)
    remade(tmp_path / LOG_NAME, after=70)
    snapshots.path_of(tmp_path, 60).unlink()
    before.archive_store.open()
    before.archive_store.add(
        [Archived(90, "lobby", "ada", Said("lobby", "ada", "the last", 89, 0))], 90
    )
    with pytest.raises(StoreError, match="are missing"):
        Server(tmp_path)
    assert before.archive_store.everything("lobby", 80)[-1].text == "the last"
    before.archive_store.close()


# ── When something is wrong ──────────────────────────────────────────────────────────────────


class Broken(InProcess):
    """A replay of which nothing comes."""

    def finish(self) -> None:
        """It was killed."""
        raise ReplayError("it was killed")


def test_a_snapshot_that_cannot_be_taken_is_complained_of_and_tried_again(tmp_path: Path) -> None:
    programs = iter([Broken, InProcess])

    def replay(task: Task) -> Program:
        return next(programs)(task)

    server = Server(tmp_path, replay=replay)
    server.take_in(chat(10))
    server.now += SNAPSHOT_EVERY_MS
    server.round()
    assert server.complaints == ["the upkeep of the log is tried again later: it was killed"]
    assert server.newest == 0
    server.round()
    assert server.newest == 10
    server.close()


@pytest.mark.parametrize("error", [FullError("full"), StoreError("broken")])
def test_a_log_that_cannot_be_cut_ends_the_server_unless_its_disk_is_full(
    error: StoreError, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = Server(tmp_path, keep_ms=HOUR_MS)
    server.take_in(chat(10))
    server.now += 2 * HOUR_MS

    def refuse(_upto: int) -> bool:
        raise error

    monkeypatch.setattr(server.store, "cut", refuse)
    server.upkeep.begin()
    server.work()
    server.host.pass_time()
    server.work()
    assert server.failures == ([] if isinstance(error, FullError) else [error])
    assert len(server.complaints) == isinstance(error, FullError)
    server.close()


def a_bit_flipped(data: bytes) -> bytes:
    """What a disk may do."""
    return data[:-9] + bytes([data[-9] ^ 1]) + data[-8:]


def no_state(_data: bytes) -> bytes:
    """Something else, and its digest."""
    return hashlib.sha256(b"{}").digest() + b"{}"


def talked_in(folder: Path, keep_ms: int | None = None) -> Server:
    """A server that has ended, with a base and a newer snapshot; more was said after both."""
    server = Server(folder, keep_ms=keep_ms)
    server.take_in(chat(60))
    server.now += SNAPSHOT_EVERY_MS
    server.round()
    server.take_in(chat(20, first=61))
    server.keeper.flush()
    server.work()
    server.close()
    return server


@pytest.mark.parametrize("damage", [a_bit_flipped, no_state])
@pytest.mark.parametrize("damaged", [{60}, {0}, {0, 60}])
def test_a_damaged_snapshot_is_put_aside_and_the_upkeep_goes_on(
    damaged: set[int], damage: Callable[[bytes], bytes], tmp_path: Path
) -> None:
    before = talked_in(tmp_path)
    aside: dict[Path, bytes] = {}
    for seq in damaged:
        path = snapshots.path_of(tmp_path, seq)
        damaged_path = path.with_name(f"{path.name}.damaged")
        path.write_bytes(aside.setdefault(damaged_path, damage(path.read_bytes())))
    server = Server(tmp_path)
    assert server.state.digest() == before.state.digest()
    if 60 in damaged:
        assert len(server.complaints) == len(damaged)
        assert {path: path.read_bytes() for path in tmp_path.glob("*.damaged")} == aside
    server.complaints.clear()
    server.now = before.now + SNAPSHOT_EVERY_MS
    server.take_in(chat(5, first=100))
    server.now += SNAPSHOT_EVERY_MS
    server.round()
    assert (server.complaints, server.newest) == ([], 85)
    server.close()


def test_a_base_that_is_damaged_makes_room_for_the_newest_snapshot(tmp_path: Path) -> None:
    before = talked_in(tmp_path, keep_ms=HOUR_MS)
    base = snapshots.path_of(tmp_path, before.base)
    base.write_bytes(a_bit_flipped(base.read_bytes()))
    server = Server(tmp_path, keep_ms=HOUR_MS)
    server.now = before.now + HOUR_MS // 2
    server.take_in(chat(5, first=100))
    server.now += 2 * HOUR_MS // 3
    server.round()
    assert server.complaints == []
    assert server.base == server.newest == server.state.seq
    server.close()
    again = Server(tmp_path, keep_ms=HOUR_MS)
    assert again.state.digest() == server.state.digest()
    again.close()


def test_snapshots_that_are_damaged_while_the_server_runs_are_complained_of(tmp_path: Path) -> None:
    before = talked_in(tmp_path)
    server = Server(tmp_path)
    server.now = before.now
    for _, path in snapshots.listed(tmp_path):
        path.write_bytes(a_bit_flipped(path.read_bytes()))
    server.round()
    (complaint,) = server.complaints
    assert "no snapshot in" in complaint
    assert server.failures == []
    server.close()
    again = Server(tmp_path)
    assert again.state.digest() == before.state.digest()
    again.close()


def compacted(server: Server) -> Exception | None:
    """What ended the compacting of a folder."""
    ended: list[Exception | None] = []
    chores.start(server.upkeep.compact(), server.host, ended.append)
    while not ended:
        server.work()
        server.host.pass_time()
    return ended[0]


def beside_a_log(folder: Path) -> dict[str, bytes]:
    """What a folder holds but for the log, by name."""
    return {
        path.name: path.read_bytes()
        for path in folder.iterdir()
        if not path.name.startswith(LOG_NAME)
    }


def lost(log: Path) -> None:
    log.unlink()


def emptied(log: Path) -> None:
    log.write_bytes(b"")


def remade(log: Path, after: int) -> None:
    """Another log, which has only what came after an entry."""
    store, made = Store(log.parent), Store(log.parent / "elsewhere")
    store.open()
    made.open()
    made.append_all(list(store.read_all(after)))
    made.close()
    store.close()
    (log.parent / "elsewhere" / log.name).replace(log)
    (log.parent / "elsewhere").rmdir()


def begun_anew(log: Path) -> None:
    """Another log, of which nothing is in use yet."""
    remade(log, after=1_000)


@pytest.mark.parametrize("harm", [lost, emptied, begun_anew])
@pytest.mark.parametrize("beside", ["archive.db", "snapshot-*.bin", "*"])
def test_a_log_that_was_lost_is_not_begun_anew(
    harm: Callable[[Path], None], beside: str, tmp_path: Path
) -> None:
    talked_in(tmp_path)
    for path in tmp_path.iterdir():
        if path.name != LOG_NAME and not path.match(beside):
            path.unlink()
    harm(tmp_path / LOG_NAME)
    before = beside_a_log(tmp_path)
    for _ in range(2):
        with pytest.raises(StoreError, match="put a backup in the folder's place"):
            Server(tmp_path)
        assert beside_a_log(tmp_path).items() >= before.items()


@pytest.mark.parametrize("is_there", [False, True])
def test_what_is_left_of_a_log_is_not_begun_anew_either(is_there: bool, tmp_path: Path) -> None:
    if is_there:
        (tmp_path / LOG_NAME).touch()
    (tmp_path / f"{LOG_NAME}-wal").write_bytes(b"all that was said")
    with pytest.raises(StoreError, match="put a backup in the folder's place"):
        Server(tmp_path)
    assert files(tmp_path) == b"all that was said"


def test_a_log_that_ends_before_its_snapshot_is_refused(tmp_path: Path) -> None:
    server = Server(tmp_path)
    server.take_in(chat(10))
    server.close()
    snapshots.write(tmp_path, state_after(chat(20)))
    with pytest.raises(StoreError, match="of different times"):
        Server(tmp_path)


def state_after(entries: list[Entry]) -> ChatState:
    state = ChatState()
    for entry in entries:
        state.handle(entry)
    return state


def test_entries_that_are_missing_are_said_to_be(tmp_path: Path) -> None:
    server = Server(tmp_path)
    server.take_in(chat(10))
    server.close()
    remade(tmp_path / LOG_NAME, after=5)
    with pytest.raises(StoreError, match="the entries between 0 and 6 are missing"):
        Server(tmp_path)


def test_a_replay_whose_input_is_cut_off_writes_nothing(tmp_path: Path) -> None:
    server = Server(tmp_path)
    server.close()
    program = InProcess(Task(str(tmp_path), 0))
    with pytest.raises(ReplayError, match="ended before its end"):
        program.finish()
    assert [seq for seq, _ in snapshots.listed(tmp_path)] == [0]


def pages_zeroed(path: Path) -> None:
    """All but the first page of a database is gone."""
    path.write_bytes(path.read_bytes()[:4_096].ljust(path.stat().st_size, b"\0"))


# What else damage may look like to who reads the tables.
STATEMENTS = [
    "UPDATE words_data SET block = x'00'",
    "UPDATE words_data SET block = randomblob(length(block)) WHERE id > 10",
    "DELETE FROM words_data WHERE id > 10",
    "UPDATE words_config SET v = 99",
    "DELETE FROM reached",
    "UPDATE message SET key = 'lobbq'",
    "UPDATE message SET text = CAST(x'ff78797a7a79' AS TEXT)",
    "PRAGMA user_version = 0; DROP TABLE name",
]


def harmed(statement: str) -> Callable[[Path], None]:
    def harm(path: Path) -> None:
        db = sqlite3.connect(path)
        db.executescript(statement)
        db.close()

    return harm


@pytest.mark.parametrize(
    "harm", [pages_zeroed, *map(harmed, STATEMENTS)], ids=["pages", *STATEMENTS]
)
def test_an_archive_that_is_damaged_within_is_put_aside_and_filled_again(
    harm: Callable[[Path], None], tmp_path: Path
) -> None:
    before = talked_in(tmp_path)
    harm(before.archive_store.path)
    server = Server(tmp_path)
    server.now = before.now
    everything = Matches((Place("lobby", 0),), ("word1",), "", 0, 20, 1_000)
    answers: list[Sequence[Said] | None] = []
    for looks in range(1, 4):
        server.take_in(chat(3, first=100 * looks))
        for inquiry in (Page(Place("lobby", 0), 1_000, 50), everything):
            server.keeper.look(inquiry, answers.append)
            server.work()
            server.host.pass_time()
            server.work()
        assert len(answers) == 2 * looks
        server.round()
    assert server.failures == []
    assert not server.keeper.is_behind
    page, found = answers[-2:]
    assert page is not None
    assert found is not None
    assert len(page) == 51
    assert [said.text for said in found] == ["word1"] * 2
    assert len(server.said()) == 58 + 18 + 3
    told = "\n".join(server.complaints)
    assert server.archive_store.path.with_name("archive.db.damaged").exists()
    assert "damaged" in told
    assert "xyz" not in told
    server.close()


@pytest.mark.parametrize("harm", [pages_zeroed, harmed(STATEMENTS[1]), harmed(STATEMENTS[2])])
def test_a_folder_is_not_compacted_to_an_archive_that_is_damaged(
    harm: Callable[[Path], None], tmp_path: Path
) -> None:
    before = talked_in(tmp_path)
    harm(before.archive_store.path)
    server = Server(tmp_path)
    assert compacted(server) is None
    server.close()
    again = Server(tmp_path)
    assert len(again.said()) == 58 + 18
    assert again.store.first() > 80
    assert again.state.digest() == server.state.digest()
    again.close()


def test_an_archive_beyond_the_log_that_is_damaged_is_filled_again(tmp_path: Path) -> None:
    before = talked_in(tmp_path)
    harmed("UPDATE reached SET seq = 500; UPDATE message SET id = 400 WHERE id = 80")(
        before.archive_store.path
    )
    harmed("UPDATE words_data SET block = x'00'")(before.archive_store.path)
    server = Server(tmp_path)
    for _ in range(2):
        server.round()
    assert len(server.said()) == 58 + 18
    server.close()


def test_an_archive_for_which_there_was_no_room_is_made_when_there_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = talked_in(tmp_path)
    server = Server(tmp_path)
    server.now = before.now
    server.keeper.fall_behind(DamagedError("it is damaged"))
    with monkeypatch.context() as patch:
        patch.setattr("tcpchat_net.logs.archive._TABLES", "SELECT no_room")
        for _ in range(3):
            server.round()
        assert server.keeper.is_behind
    for _ in range(2):
        server.round()
    assert len(server.said()) == 58 + 18
    assert len(list(tmp_path.glob("*.damaged*"))) == 1
    server.close()


def test_another_time_to_keep_holds_at_once_also_in_the_midst_of_a_round(tmp_path: Path) -> None:
    server = Server(tmp_path)
    server.take_in(chat(10))
    server.now += 2 * HOUR_MS
    server.upkeep.begin()
    server.upkeep.keep(3 * HOUR_MS)
    server.end_round()
    assert len(server.said()) > 0
    server.upkeep.keep(HOUR_MS)
    server.end_round()
    assert server.said() == []
    server.upkeep.keep(None)
    server.end_round()
    server.take_in(chat(10, first=100))
    server.now += 2 * HOUR_MS
    server.round()
    assert len(server.said()) > 0
    server.close()


def test_what_was_said_before_there_was_a_time_to_keep_it_is_forgotten_as_soon(
    tmp_path: Path,
) -> None:
    server = Server(tmp_path)
    server.take_in(chat(300, word="xyzzy"))
    server.take_in(chat(20, first=301, word="plugh"))
    server.now += 2 * HOUR_MS
    server.take_in(chat(20, first=400, word="frotz"))
    server.close()
    again = Server(tmp_path, keep_ms=HOUR_MS)
    again.now = server.now
    again.round()
    assert b"xyzzy" not in files(tmp_path)
    assert b"plugh" not in files(tmp_path)
    assert b"frotz" in files(tmp_path)
    again.close()


def test_what_an_archive_can_not_be_filled_with_any_more_is_told(tmp_path: Path) -> None:
    server = Server(tmp_path, keep_ms=HOUR_MS)
    server.take_in(chat(30))
    server.round()
    server.now += 2 * HOUR_MS
    server.take_in(chat(10, first=31))
    server.round()
    base = server.base
    assert base
    server.close()
    server.archive_store.path.unlink()
    again = Server(tmp_path, keep_ms=HOUR_MS)
    again.now = server.now
    again.round()
    (complaint,) = again.complaints
    assert f"what was said between the entries 0 and {base} is not in the archive" in complaint
    again.close()


def test_a_copy_is_written_only_where_there_is_a_folder(tmp_path: Path) -> None:
    server = Server(tmp_path / "data")
    done: list[Exception | None] = []
    server.upkeep.back_up(tmp_path / "nowhere" / "copy", done.append)
    server.round()
    (error,) = done
    assert "the server cannot write to" in str(error)
    assert not (tmp_path / "nowhere").exists()
    server.close()


# ── Copies, and small folders ────────────────────────────────────────────────────────────────


def test_a_copy_of_the_folder_is_one_of_a_moment(tmp_path: Path) -> None:
    folder, target = tmp_path / "data", tmp_path / "copy"
    target.mkdir()
    server = Server(folder)
    server.take_in(chat(500))
    done: list[Exception | None] = []
    server.upkeep.back_up(target, done.append)
    server.upkeep.begin()
    server.host.work()
    moments = {server.state.digest()}
    for entry in chat(30, first=501):
        server.take_in([entry])
        moments.add(server.state.digest())
    server.work()
    assert done == [None]
    server.close()
    copy = Server(target)
    assert copy.complaints == []
    assert copy.state.digest() in moments
    assert len(copy.said()) >= 498
    copy.close()


def test_a_compacted_folder_has_the_state_and_what_was_said_and_no_more(tmp_path: Path) -> None:
    server = Server(tmp_path)
    server.take_in([*chat(300), Entry(301, server.now, 1, events.Tell("x", "plugh", key="x"), 301)])
    server.work()
    size = len(files(tmp_path))
    assert compacted(server) is None
    server.close()
    assert len(files(tmp_path)) < size
    assert b"plugh" not in files(tmp_path)
    again = Server(tmp_path)
    assert again.state.digest() == server.state.digest()
    assert again.state.seq == 302
    assert len(again.said()) == 298
    assert [batch.last for batch in again.store.read_all(0)] == [302]
    again.close()
