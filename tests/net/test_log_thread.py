"""The replay beside a server, as a program: what it tells of an end that is no good one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tcpchat_core import ChatState
from tcpchat_net.log_thread import Child
from tcpchat_net.logs import snapshots
from tcpchat_net.logs.archive import ARCHIVE_NAME, DamagedError
from tcpchat_net.logs.replayer import END, ReplayError, Task


def run(task: Task) -> None:
    child = Child(task)
    try:
        child.write(END)
        child.finish()
    finally:
        child.kill()


def test_an_archive_that_is_damaged_is_told_from_other_failures(tmp_path: Path) -> None:
    snapshots.write(tmp_path, ChatState())
    (tmp_path / ARCHIVE_NAME).write_bytes(b"?" * 5_000)
    with pytest.raises(DamagedError, match=r"archive\.db is damaged"):
        run(Task(str(tmp_path), 0, fills=True))


def test_a_snapshot_that_is_damaged_is_named(tmp_path: Path) -> None:
    path = snapshots.write(tmp_path, ChatState())
    path.write_bytes(b"?" * 5_000)
    with pytest.raises(ReplayError, match="the snapshot of 0 in"):
        run(Task(str(tmp_path), 0))


def test_a_replay_that_goes_well_tells_nothing(tmp_path: Path) -> None:
    snapshots.write(tmp_path, ChatState())
    run(Task(str(tmp_path), 0))
    assert [seq for seq, _ in snapshots.listed(tmp_path)] == [0]
