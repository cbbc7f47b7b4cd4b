"""What hints name works where they are shown: keys that are set, or commands."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Server, running_server
from tests.cli.terminal import CLIENT, Terminal


@pytest.fixture
def server() -> Iterator[Server]:
    with running_server("--flood-rate", "0") as started:
        yield started


def join(server: Server, *flags: str) -> Terminal:
    argv = [CLIENT, server.address, "--nick", "ada", "--room", "lobby", *flags]
    return Terminal(argv, columns=100, rows=70)


def say_many(terminal: Terminal) -> None:
    """So much that what is shown of it is not all."""
    terminal.enter("needle")
    for number in range(50):
        terminal.enter(f"line {number}")
    terminal.wait_for("line 49$")


def test_a_display_without_keys_names_none(server: Server) -> None:
    with join(server, "--plain-ui") as ada:
        ada.wait_for(r"^\* you are in lobby")
        say_many(ada)
        ada.enter("/history 5")
        ada.wait_for(r"^\* that was the history; /older shows what was said before$")
        ada.enter("/search needle")
        ada.wait_for("1 found")
        ada.enter("/goto 1")
        ada.wait_for(r"^\* /older, /newer go on; /close goes back$")
        ada.enter("/newer")
        ada.wait_for(r"^\* /newer shows what was said after that$")
        ada.enter("/help")
        ada.wait_for("more: /help msg")
        for key in ("PageUp", "PageDown", "Tab", "Alt-", "Ctrl-R", "Esc"):
            assert key not in "\n".join(ada.scrollback)
        assert "Ctrl-D leaves" in "\n".join(ada.scrollback)


def test_keys_that_are_set_are_those_that_are_named(server: Server, own_home: Path) -> None:
    folder = own_home / ".config" / "tcpchat"
    folder.mkdir(parents=True)
    (folder / "client.toml").write_text('[keys]\nolder = "F3"\nnewer = []\nview = ["F5"]\n')
    with join(server) as ada:
        ada.wait_for("^lobby>")
        say_many(ada)
        ada.enter("/history 5")
        ada.wait_for("-- that was the history; F3 shows what was said before$")
        ada.enter("/search needle")
        ada.wait_for("1 found")
        ada.enter("/goto 1")
        ada.wait_for(r"^── /older, /newer \(F3\) go on; /close \(Esc\) goes back ──$")
        ada.enter("/newer")
        ada.wait_for("^── /newer shows what was said after that ──$")
