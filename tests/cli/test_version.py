"""What the scripts say of their version, for whoever reports a bug."""

from __future__ import annotations

import platform
import sqlite3
from importlib.metadata import version
from pathlib import Path

import pytest
from tcpchat_cli import about

from tcpchat_core import VERSION
from tcpchat_net.logs import archive, store, stream
from tests.cli.terminal import CLIENT, SERVER
from tests.cli.test_shells import printed


def facts(program: str) -> tuple[str, dict[str, str]]:
    """The first line, and the others by their first word."""
    first, *others = printed(program, "--version").splitlines()
    split = [(line.split()[0], line.split(maxsplit=1)[1]) for line in others]
    return first, dict(split)


def test_the_server_says_what_it_runs_on_and_what_it_writes() -> None:
    first, told = facts(SERVER)
    assert first == f"tcpchat-server {VERSION}"
    told.pop("commit", None)
    extras = {"hiredis", "prometheus-client"}
    assert told.keys() == {"python", "gevent", "sqlite", "msgspec", "formats", *extras}
    assert platform.python_version() in told["python"]
    assert told["gevent"].startswith(f"{version('gevent')}, libev")
    assert told["sqlite"] == sqlite3.sqlite_version
    assert told["hiredis"] == version("hiredis")
    formats = (store.FORMAT, archive.FORMAT, stream.FORMAT)
    assert told["formats"] == "log {}, archive {}, shared log {}".format(*formats)


def test_the_client_says_what_it_runs_on() -> None:
    first, told = facts(CLIENT)
    assert first == f"tcpchat-client {VERSION}"
    told.pop("commit", None)
    assert told.keys() == {"python", "prompt_toolkit", "msgspec"}
    assert told["prompt_toolkit"] == version("prompt_toolkit")


def test_what_is_not_installed_is_not_told() -> None:
    assert about.packages("no-such-package-at-all") == []


def test_a_commit_is_told_of_a_clone_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(about, "_ROOT", tmp_path)
    assert "commit" not in about.about("x", list)
