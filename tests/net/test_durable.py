"""The log that is kept: nothing is delivered that is not on the disk, and nothing is lost of it."""

from __future__ import annotations

import sqlite3
from collections import deque
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tcpchat_core import ChatState, Entry, Propose, events
from tcpchat_net.logs import snapshots
from tcpchat_net.logs.archive import ArchiveStore
from tcpchat_net.logs.durable import RETRY_MS, DurableLog
from tcpchat_net.logs.records import decode_batch, encode_batch, entries_of
from tcpchat_net.logs.recovery import recover
from tcpchat_net.logs.store import LOG_NAME, Batch, FullError, Store, StoreError
from tests.core.harness import random_log
from tests.net.disk import Host


class Kept:
    """A log on a folder, and what it has delivered."""

    def __init__(self, folder: Path, store: Store | None = None) -> None:
        self.store = store or Store(folder)
        self.store.open()
        self.host = Host()
        self.entries: list[Entry] = []
        self.failures: list[StoreError] = []
        self.fullness: list[bool] = []
        self.log = DurableLog(
            self.store,
            self.host,
            failed=self.failures.append,
            full=self.fullness.append,
            clock=lambda: 1_000,
        )
        self.log.open(self.entries.extend)


def say(number: int) -> Propose:
    """One message."""
    return Propose(7, number, (events.Say("lobby", f"text {number}", key="lobby"),))


def kept_in(folder: Path) -> list[Entry]:
    """What is on the disk."""
    store = Store(folder)
    store.open()
    found = [
        entry
        for batch in store.read_all(0)
        for entry in entries_of(decode_batch(batch.record), batch.first, batch.at)
    ]
    store.close()
    return found


def test_a_record_decodes_to_what_was_encoded() -> None:
    batch = [say(1), Propose(8, 0, (events.Connect("x"), events.Join("a", "a")))]
    assert decode_batch(encode_batch(batch)) == batch


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(st.integers(0, 3), max_size=20))
def test_whatever_is_delivered_is_on_the_disk(
    steps: list[int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("log")
    kept = Kept(folder)
    number = 0
    for step in steps:
        if step == 0:
            kept.host.work()
        else:
            batch = [say(number + each) for each in range(1, step + 1)]
            number += step
            kept.log.propose(batch)
    delivered = list(kept.entries)
    kept.store.close()
    found = kept_in(folder)
    assert found[: len(delivered)] == delivered
    assert [entry.number for entry in found] == list(range(1, len(found) + 1))
    assert [entry.seq for entry in found] == list(range(1, len(found) + 1))


def test_what_is_proposed_while_the_disk_is_busy_is_one_batch(tmp_path: Path) -> None:
    kept = Kept(tmp_path)
    for number in range(1, 6):
        kept.log.propose([say(number)])
    assert kept.entries == []
    assert len(kept.host.jobs) == 1
    while kept.host.work():
        pass
    assert [batch.last for batch in kept.store.read_all(0)] == [1, 5]
    assert [entry.number for entry in kept.entries] == [1, 2, 3, 4, 5]


class Failing(Store):
    """Cannot write, for one reason or another."""

    error: StoreError | None = None

    def append(self, batch: Batch) -> None:
        """As the disk does."""
        if self.error is not None:
            raise self.error
        super().append(batch)


def test_a_full_disk_makes_wait_and_loses_nothing(tmp_path: Path) -> None:
    store = Failing(tmp_path)
    kept = Kept(tmp_path, store)
    store.error = FullError("full")
    kept.log.propose([say(1)])
    kept.log.propose([say(2)])
    kept.host.work()
    for _ in range(3):
        ((ms, again),) = kept.host.timers
        assert ms == RETRY_MS
        kept.host.timers.clear()
        again()
        kept.host.work()
    assert kept.entries == []
    assert kept.fullness == [True]
    store.error = None
    kept.host.timers.pop()[1]()
    while kept.host.work():
        pass
    assert kept.fullness == [True, False]
    assert [entry.number for entry in kept.entries] == [1, 2]


def test_after_any_other_error_the_log_is_over(tmp_path: Path) -> None:
    store = Failing(tmp_path)
    kept = Kept(tmp_path, store)
    store.error = StoreError("broken")
    kept.log.propose([say(1)])
    kept.host.work()
    kept.log.propose([say(2)])
    assert kept.failures == [store.error]
    assert kept.host.jobs == deque()
    assert kept.host.timers == []
    assert kept.entries == []


def test_a_log_goes_on_where_it_ended(tmp_path: Path) -> None:
    for number in range(1, 4):
        kept = Kept(tmp_path)
        kept.log.propose([say(number)])
        kept.host.work()
        kept.store.close()
        assert [entry.seq for entry in kept.entries] == [number]


@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 1000), cut=st.integers(0, 300), drop=st.booleans())
def test_a_snapshot_and_the_rest_come_to_what_the_whole_log_comes_to(
    seed: int, cut: int, drop: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("log")
    whole = random_log(seed, 300)
    store = Store(folder)
    store.open()
    state = ChatState()
    for entry in whole:
        store.append(
            Batch(
                entry.seq,
                entry.seq,
                entry.at,
                encode_batch([Propose(entry.conn, entry.number, (entry.event,))]),
            )
        )
    for entry in whole[:cut]:
        state.handle(entry)
    snapshots.write(folder, state)
    if drop:
        assert store.cut(state.seq) == (cut > 0)
    for entry in whole[cut:]:
        state.handle(entry)
    archive = ArchiveStore(folder)
    recovered = recover(store, ChatState, archive, complain=lambda _why: None)
    assert recovered.state.digest() == state.digest()
    archive.close()
    store.close()


def test_a_second_server_on_a_folder_is_told_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tcpchat_net.logs.store.LOCK_TIMEOUT_S", 0)
    first, second = Store(tmp_path), Store(tmp_path)
    first.open()
    with pytest.raises(StoreError, match="another tcpchat-server uses the folder"):
        second.open()
    first.close()
    second.open()
    second.close()


def test_what_is_no_log_is_left_as_it_is(tmp_path: Path) -> None:
    for data in (b"not a database" * 500,):
        (tmp_path / LOG_NAME).write_bytes(data)
        with pytest.raises(StoreError, match="is damaged"):
            Store(tmp_path).open()
        assert (tmp_path / LOG_NAME).read_bytes() == data


def test_a_newer_format_is_refused_by_name(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.open()
    store.close()
    db = sqlite3.connect(tmp_path / LOG_NAME)
    db.execute("PRAGMA user_version = 7")
    db.close()
    with pytest.raises(StoreError, match=r"newer tcpchat.*format is 7"):
        Store(tmp_path).open()


def test_another_programs_database_is_refused(tmp_path: Path) -> None:
    db = sqlite3.connect(tmp_path / LOG_NAME)
    db.execute("CREATE TABLE theirs (x)")
    db.close()
    with pytest.raises(StoreError, match="is not a log of tcpchat"):
        Store(tmp_path).open()
