"""At forty columns: what stands around what one types leaves room for it, and is whole."""

from __future__ import annotations

import pytest

from tests.cli.conftest import Server
from tests.cli.hostile import hostile
from tests.cli.terminal import CLIENT, Terminal

ROOM = "a-room-with-a-very-long-name"


@pytest.mark.parametrize("options", [(), ("--full-screen",)])
def test_a_long_name_leaves_room_to_type_and_questions_are_whole(
    server: Server, options: tuple[str, ...]
) -> None:
    argv = [CLIENT, server.address, "--nick", "ada", "--room", ROOM, *options]
    with Terminal(argv, columns=40) as ada:
        ada.wait_until(lambda: ada.prompt == "a-room-with-…>", "the prompt")
        ada.type("what fits into a row")
        ada.wait_until(lambda: ada.prompt == "a-room-with-…> what fits into a row", "the text")
        ada.type("\x15\x1b[200~one\rtwo\x1b[201~")
        ada.wait_for(r"^say these 2 lines to a-room-with-…\? y/n$")
        ada.type("n")
        ada.wait_for("0 of 2")
        ada.wait_for("│ connected$")


def test_wide_lines_without_a_receipt_have_a_row_each() -> None:
    argv = ["--nick", "ada", "--room", "lobby"]
    with (
        hostile(lambda: b"", receives=False) as (address, _),
        Terminal([CLIENT, address, *argv], columns=40) as ada,
    ):
        ada.wait_for("^lobby>")
        ada.enter("가" * 60)
        ada.enter("나" * 60)
        rows = ["… " + "가" * 18 + "…", "… " + "나" * 18 + "…"]
        ada.wait_until(lambda: [row for row in ada.rows if row.startswith("… ")] == rows, "rows")
        ada.type("\x04")
        assert ada.wait_for_exit() == 0
