"""irssi and WeeChat that sign in, die, and come again."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.cli.test_admin import admin
from tests.irc.chat import Chat
from tests.irc.clients import IRSSI, WEECHAT, Kind, has_to_be_here


@pytest.mark.parametrize("kind", [IRSSI, WEECHAT], ids=lambda kind: kind.program)
def test_a_client_that_died_is_in_its_room_again_and_shows_what_it_missed(
    kind: Kind, tmp_path: Path
) -> None:
    has_to_be_here(kind)
    with ExitStack() as stack:
        chat = Chat(tmp_path, stack, "--data", str(tmp_path / "kept"))
        token = admin(tmp_path / "kept", "token", "ada").strip()
        bob = chat.nc("bob", "lobby")
        ada = chat.client(kind, "ada", token)
        ada.joins("lobby", "ada")
        bob.read_until("* ada joined lobby")
        ada.dies()
        bob.send("one\ntwo\n")
        again = chat.begins(kind, "ada", token)
        again.sees("joined", nick="ada", room="lobby")
        again.sees("said", nick="bob", text=".*two")
        bob.send("three\n")
        again.sees("said", nick="bob", text="three")
        assert [text.split()[-1] for text in again.lines("bob")] == ["one", "two", "three"]
        again.enter("here I am")
        told = bob.read_until("[lobby] ada: here I am")
        assert not [line for line in told if "ada" in line and "here I am" not in line]
