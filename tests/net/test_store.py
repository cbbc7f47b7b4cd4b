"""The log's file: a list of batches that can be cut at its front, and what is cut is in no byte."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tcpchat_core.archive import Archived
from tcpchat_core.notices import Said
from tcpchat_net.logs import store as store_module
from tcpchat_net.logs.archive import ArchiveStore
from tcpchat_net.logs.store import LOG_NAME, Batch, Store


def batch(seq: int, size: int = 10) -> Batch:
    return Batch(seq, seq, 10 * seq, f"<{seq}>".ljust(size, ".").encode())


@settings(max_examples=60)
@given(
    steps=st.lists(
        st.one_of(
            st.tuples(st.just("append"), st.integers(0, 3_000)),
            st.tuples(st.just("begin"), st.just(0)),
            st.tuples(st.just("cut"), st.integers(0, 60)),
            st.tuples(st.just("reopen"), st.just(0)),
        ),
        max_size=60,
    ),
    rows=st.integers(1, 20),
)
def test_a_store_is_a_list_that_is_cut_at_the_bounds_of_its_segments(
    steps: list[tuple[str, int]], rows: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    store = Store(tmp_path_factory.mktemp("log"), is_synced=False)
    store.open()
    segments: list[list[Batch]] = [[]]
    seq = 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store_module, "ROWS_A_SEGMENT", rows)
        for step, value in steps:
            match step:
                case "append":
                    seq += 1
                    if len(segments[-1]) >= rows:
                        segments.append([])
                    segments[-1].append(batch(seq, value))
                    store.append(segments[-1][-1])
                case "begin":
                    store.begin_segment()
                    if segments[-1]:
                        segments.append([])
                case "cut":
                    is_cut = bool(segments[0]) and segments[0][-1].last <= value
                    is_cut = is_cut and any(segments[1:])
                    assert store.cut(value) == is_cut
                    if is_cut:
                        del segments[0]
                case _:
                    store.close()
                    store.open()
            there = [each for segment in segments for each in segment]
            assert list(store.read_all(0)) == there
            assert store.first() == (there[0].first if there else 1)
            assert store.last() == ((there[-1].last, there[-1].at) if there else (0, 0))
            for at in (0, 5 * seq, 10 * seq + 1):
                ended = [part[-1].last for part in segments[:-1] if part and part[-1].at < at]
                assert store.last_before(at) == max(ended, default=store.first() - 1)
            for after in (0, seq // 2):
                upto = [each for each in there if after < each.last <= 3 * seq // 4]
                assert (
                    store.read(after, 3 * seq // 4) == upto[: len(store.read(after, 3 * seq // 4))]
                )
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
            store.begin_segment()
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


def test_a_segment_is_of_half_a_day_or_of_some_megabytes_at_most(tmp_path: Path) -> None:
    store = Store(tmp_path, is_synced=False)
    store.open()
    half_a_day = store_module.MS_A_SEGMENT
    much = b"x" * (store_module.BYTES_A_SEGMENT // 2)
    for seq, at in ((1, 0), (2, half_a_day - 1), (3, half_a_day), (4, half_a_day)):
        store.append(Batch(seq, seq, at, b"x" if seq < 3 else much))
        store.close()
        store.open()
    store.append(Batch(5, 5, half_a_day, b"x"))
    assert store.cut(4)
    assert store.first() == 3
    assert store.cut(4)
    assert store.first() == 5
    store.close()


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
    for last in (2, 3):
        store.open()
        assert [each.last for each in store.read_all(0)] == list(range(1, last + 1))
        store.append(batch(last + 1))
        store.close()
