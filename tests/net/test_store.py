"""The log's file: a list of batches that can be cut at its front, and what is cut is in no byte."""

from __future__ import annotations

import sqlite3
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tcpchat_core.archive import Archived
from tcpchat_core.notices import Said
from tcpchat_net.logs import store as store_module
from tcpchat_net.logs.archive import ArchiveStore
from tcpchat_net.logs.store import LOG_NAME, Batch, Store, StoreError


def batch(seq: int, size: int = 10) -> Batch:
    return Batch(seq, seq, 10 * seq, f"<{seq}>".ljust(size, ".").encode())


@settings(max_examples=60)
@given(
    steps=st.lists(
        st.one_of(
            st.tuples(st.just("append"), st.integers(0, 3_000)),
            st.tuples(st.just("cut"), st.integers(0, 60)),
            st.tuples(st.just("reopen"), st.just(0)),
        ),
        max_size=60,
    ),
    rows=st.integers(1, 20),
)
def test_a_store_is_a_list_that_is_cut_at_its_front(
    steps: list[tuple[str, int]], rows: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    store = Store(tmp_path_factory.mktemp("log"), is_synced=False)
    store.open()
    there: list[Batch] = []
    seq = 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store_module, "ROWS_A_SEGMENT", rows)
        for step, value in steps:
            match step:
                case "append":
                    seq += 1
                    there.append(batch(seq, value))
                    store.append(there[-1])
                case "cut":
                    cut = value
                    while store.cut(cut):
                        pass
                    there = [each for each in there if each.last > cut or each.last == seq]
                case _:
                    store.close()
                    store.open()
            assert list(store.read_all(0)) == there
            assert store.first() == (there[0].first if there else 1)
            assert store.last() == ((there[-1].last, there[-1].at) if there else (0, 0))
            for at in (0, 5 * seq, 10 * seq, 10 * seq + 1):
                past = [each.last for each in there if each.at < at]
                assert store.last_before(at) == max(past, default=store.first() - 1)
            found, after, upto = [], seq // 4, 3 * seq // 4
            while part := store.read(after, upto):
                found += part
                after = part[-1].last
            assert found == [each for each in there if seq // 4 < each.last <= upto]
    store.close()


@settings(max_examples=25)
@given(
    sizes=st.lists(st.integers(10, 4_000), min_size=20, max_size=120),
    every=st.integers(1, 20),
    kept=st.integers(1, 15),
)
def test_what_was_forgotten_is_in_no_byte_of_the_files(
    sizes: list[int], every: int, kept: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("log")
    store, archive = Store(folder, is_synced=False), ArchiveStore(folder)
    store.open()
    archive.open()
    for seq, size in enumerate(sizes, 1):
        made = batch(seq, size)
        store.append(made)
        said = Said("lobby", "ada", made.record.decode(), seq, made.at)
        archive.add([Archived(seq, "lobby", "ada", said)], seq)
        if seq % every == 0:
            upto = store.last_before(10 * (seq - kept))
            while store.cut(upto):
                pass
            store.checkpoint()
            while archive.trim(10 * (seq - kept)):
                pass
            archive.begin_merge()
            while archive.merge():
                pass
            archive.vacuum()
            log, words = ((folder / name).read_bytes() for name in (LOG_NAME, archive.path.name))
            assert not [n for n in range(1, upto + 1) if f"<{n}>".encode() in log]
            assert not [n for n in range(1, seq - kept) if f"<{n}>".encode() in words]
    store.close()
    archive.close()


def test_a_row_that_is_not_as_it_was_written_is_refused(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.open()
    for seq in range(1, 6):
        store.append(batch(seq))
    store.close()
    whole = (tmp_path / LOG_NAME).read_bytes()
    for change in ("record = X'00'", "at = 7", "first = 2"):
        (tmp_path / LOG_NAME).write_bytes(whole)
        db = sqlite3.connect(tmp_path / LOG_NAME)
        db.execute(f"UPDATE segment_1 SET {change} WHERE last = 3")
        db.commit()
        db.close()
        store.open()
        with pytest.raises(StoreError, match=r"is damaged \(the entries . to 3 are not as written"):
            list(store.read_all(0))
        store.close()


@pytest.mark.parametrize("at", [18, 40, 60, 100, 110, 4_000, 4_082, 4_096, 8_190, 12_280])
def test_a_file_with_a_damaged_byte_is_refused_with_a_sentence_or_read(
    at: int, tmp_path: Path
) -> None:
    store = Store(tmp_path)
    store.open()
    for seq in range(1, 200):
        store.append(batch(seq))
    store.close()
    data = bytearray((tmp_path / LOG_NAME).read_bytes())
    for value in (0, 255, data[at] ^ 1):
        data[at] = value
        (tmp_path / LOG_NAME).write_bytes(data)
        with suppress(StoreError):
            store.open()
            store.meta("epoch")
            store.last()
            for seq, each in enumerate(store.read_all(0), 1):
                assert each == batch(seq)
        store.close()


@pytest.mark.parametrize("steps", range(4))
def test_a_first_start_that_is_killed_can_be_tried_again(steps: int, tmp_path: Path) -> None:
    db = sqlite3.connect(tmp_path / LOG_NAME, isolation_level=None)
    for statement in (
        "PRAGMA locking_mode = EXCLUSIVE",
        "SELECT count(*) FROM sqlite_schema",
        "PRAGMA journal_mode = WAL",
    )[:steps]:
        db.execute(statement).fetchone()
    for path in tmp_path.iterdir():  # as it is now
        (tmp_path / "killed").mkdir(exist_ok=True)
        if path.is_file():
            (tmp_path / "killed" / path.name).write_bytes(path.read_bytes())
    db.close()
    store = Store(tmp_path / "killed")
    store.open()
    store.append(batch(1))
    store.close()


def format_of(folder: Path) -> int:
    db = sqlite3.connect(folder / LOG_NAME)
    (number,) = db.execute("PRAGMA user_version").fetchone()
    db.close()
    return int(number)


def test_a_log_of_the_first_format_is_read_and_gone_on_with(tmp_path: Path) -> None:
    db = sqlite3.connect(tmp_path / LOG_NAME)
    db.executescript(f"""
        PRAGMA application_id = {store_module.APPLICATION_ID};
        PRAGMA user_version = 1;
        CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID, STRICT;
        CREATE TABLE log (
            last INTEGER PRIMARY KEY, first INTEGER NOT NULL, at INTEGER NOT NULL,
            record BLOB NOT NULL
        ) STRICT;
        INSERT INTO log VALUES (1, 1, 10, X'01'), (2, 2, 20, X'02');
    """)
    db.close()
    store = Store(tmp_path)
    for last in (2, 3, 4):
        store.open()
        assert [each.last for each in store.read_all(0)] == list(range(1, last + 1))
        store.append(batch(last + 1))
        store.close()
    assert format_of(tmp_path) == store_module.FORMAT


@pytest.mark.parametrize("older", range(2, store_module.FORMAT))
def test_a_log_of_an_older_format_is_marked_as_what_an_older_tcpchat_does_not_read(
    older: int, tmp_path: Path
) -> None:
    store = Store(tmp_path)
    store.open()
    store.append(batch(1))
    store.close()
    db = sqlite3.connect(tmp_path / LOG_NAME)
    db.execute(f"PRAGMA user_version = {older}")
    db.close()
    store.open()
    assert [each.last for each in store.read_all(0)] == [1]
    store.close()
    assert format_of(tmp_path) == store_module.FORMAT
