"""A folder that a release has written is gone on with by this version, for each release."""

from __future__ import annotations

import json
import sqlite3
import tarfile
from pathlib import Path

import pytest

from tcpchat_core import VERSION
from tcpchat_net.logs import archive, store
from tests.cli.released import DATA, TOLD, Person, ask, serving, still_holds, stop
from tests.cli.terminal import SERVER

RELEASES = sorted(DATA.glob("[0-9]*.tar.gz"))


@pytest.fixture(params=RELEASES, ids=lambda path: path.name.removesuffix(".tar.gz"))
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A folder as a release has left it."""
    with tarfile.open(request.param) as packed:
        packed.extractall(tmp_path / "data", filter="data")
    return tmp_path / "data"


def test_what_a_release_has_kept_is_all_there_and_gone_on_with(folder: Path) -> None:
    then = json.loads((folder / TOLD).read_text())
    secrets = then["secrets"]
    now = ask(folder, secrets)
    assert still_holds(then["told"], now), f"then: {then['told']}\nnow: {now}"
    for name, number in ((store.LOG_NAME, store.FORMAT), (archive.ARCHIVE_NAME, archive.FORMAT)):
        db = sqlite3.connect(folder / name)
        assert db.execute("PRAGMA user_version").fetchone() == (number,)
        db.close()
    with (
        serving(folder, SERVER) as (server, address),
        Person(address, token=secrets["ada"]) as ada,
    ):
        ada.say("lobby", "we talk on")
        (page,) = (line for line in ada.do(type="history", room="lobby") if "messages" in line)
        assert page["messages"][-1]["text"] == "we talk on"
        stop(server)


def test_there_is_a_folder_of_this_release() -> None:
    assert DATA / f"{VERSION}.tar.gz" in RELEASES, (
        f"python -m tests.cli.released tests/data/{VERSION}.tar.gz"
    )


@pytest.mark.parametrize(
    ("then", "now", "holds"),
    [
        ({"a": 1}, {"a": 1, "b": 2}, True),
        ({"a": 1, "b": 2}, {"a": 1}, False),
        ([{"a": 1}], [{"a": 1, "b": 2}], True),
        ([1, 2], [1], False),
        ([1], [1, 2], False),
        ({"a": [1]}, {"a": [2]}, False),
    ],
)
def test_more_may_be_told_than_then_and_nothing_else(
    then: object, now: object, holds: bool
) -> None:
    assert still_holds(then, now) is holds
