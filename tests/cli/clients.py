"""Clients in terminals that have come into the same room."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from tests.cli.conftest import Server
from tests.cli.terminal import CLIENT, Terminal


@contextmanager
def people(
    server: Server, *nicks: str, rows: int = 24, columns: int = 80
) -> Iterator[list[Terminal]]:
    """Clients that have come into the lobby, and seen each other come."""
    opened: list[Terminal] = []
    with ExitStack() as stack:
        for nick in nicks:
            argv = [CLIENT, server.address, "--nick", nick, "--room", "lobby"]
            terminal = stack.enter_context(Terminal(argv, rows=rows, columns=columns))
            terminal.wait_for("^lobby>")
            for other in opened:
                other.wait_for(f"{nick} joined")
            opened.append(terminal)
        yield opened


def bar(terminal: Terminal) -> str:
    """The row under the cursor's, which is the prompt's once all is drawn; "" below the screen."""
    return "".join(terminal.rows[terminal.screen.cursor.y + 1 :][:1])


def waits_for_bar(terminal: Terminal, start: str) -> None:
    """Wait until the bar under the prompt begins so."""
    terminal.wait_until(lambda: bar(terminal).startswith(f" {start} "), f"the bar {start}")
