"""A server that comes back without what it had: its numbers are those of other messages."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cli.serving import ServerProcess, Talker
from tests.cli.terminal import CLIENT, Terminal
from tests.cluster.ports import Port

SAID = 9
NOT_KEPT = "what was said there is not kept any more; /close goes back"


@contextmanager
def serving(folder: Path, port: int) -> Iterator[tuple[ServerProcess, str]]:
    arguments = ("--data", str(folder), "--flood-rate", "0", "--log-level", "warning")
    with ServerProcess("--port", str(port), *arguments) as server:
        yield server, server.read_address()


def says(address: str, *lines: str) -> Talker:
    """Bob, who has come into the lobby and said these."""
    bob = Talker(address, "/nick bob\n/join lobby\n")
    for line in lines:
        bob.send(f"{line}\n")
    return bob


@pytest.mark.parametrize("options", [(), ("--full-screen",), ("--plain-ui",)])
def test_what_was_shown_before_is_not_taken_for_what_has_its_number_now(
    options: tuple[str, ...], tmp_path: Path
) -> None:
    argv = ["--nick", "ada", "--room", "lobby", *options]
    with Port() as port:
        with serving(tmp_path / "before", port.number) as (server, address):
            ada = Terminal([CLIENT, address, *argv], columns=100, rows=80)
            ada.wait_for("(are|you) in lobby")
            with says(address, *(f"ada, old {number}" for number in range(SAID))):
                ada.wait_for(f"old {SAID - 1}")
                ada.enter("/search old")
                ada.wait_for(f"{SAID} found")
                server.process.kill()
                ada.wait_for("reconnecting")
        again = serving(tmp_path / "after", port.number)
        with ada, again as (_, address), says(address, *(f"new {n}" for n in range(SAID))) as bob:
            ada.wait_for(f"new {SAID - 1}")
            ada.enter("/goto 2")
            ada.wait_for("that message is not kept any more")
            ada.enter("/mentions")
            ada.wait_for(f"{SAID} messages called you")
            ada.enter("/goto 3")
            ada.wait_until(lambda: rows_with(ada, "that message is not kept any more") == 2)
            # The last one was said, found, and has called.
            ada.wait_until(lambda: rows_with(ada, f"old {SAID - 1}") == 3)
            bob.send("/redact\n")
            ada.wait_for("bob took back something")
            assert rows_with(ada, f"old {SAID - 1}") == 3
            # Nothing that was written changes where lines are only added.
            assert rows_with(ada, "(taken back)") == ("--plain-ui" not in options)
            ada.enter("/mentions")
            ada.wait_until(lambda: rows_with(ada, f"{SAID} messages called you") == 2)


def test_a_place_in_the_past_is_not_gone_on_from_where_its_numbers_are_lost(tmp_path: Path) -> None:
    with Port() as port:
        with serving(tmp_path / "before", port.number) as (server, address):
            argv = [CLIENT, address, "--nick", "ada", "--room", "lobby"]
            ada = Terminal(argv, columns=100, rows=80)
            ada.wait_for("^lobby>")
            with says(address, *(f"old {number}" for number in range(SAID))):
                ada.wait_for(f"old {SAID - 1}")
                ada.enter("/search old")
                ada.wait_for(f"{SAID} found")
                ada.enter("/goto 4")
                ada.wait_for("here it is")
                server.process.kill()
                ada.wait_for("reconnecting")
        again = serving(tmp_path / "after", port.number)
        with ada, again as (_, address), says(address, *(f"new {n}" for n in range(SAID))):
            ada.wait_until(lambda: rows_with(ada, "you are now ada") == 2)
            ada.enter("/older")
            ada.wait_for(NOT_KEPT)
            ada.enter("/newer")
            ada.wait_until(lambda: rows_with(ada, NOT_KEPT) == 2)
            ada.enter("/close")
            ada.wait_for(f"new {SAID - 1}")
            assert not ada.shows("between this and what follows")


def rows_with(terminal: Terminal, text: str) -> int:
    """In how many rows it stands."""
    return sum(text in row for row in terminal.rows)
