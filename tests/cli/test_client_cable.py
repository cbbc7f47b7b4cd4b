"""tcpchat-client on a real terminal, whose cable is pulled out during a conversation."""

from __future__ import annotations

import re

from tests.cli.cable import cable_to
from tests.cli.conftest import Server
from tests.cli.terminal import CLIENT, Terminal

SAID = re.compile(r"^\d\d:\d\d (\w+: .*)$")


def join(address: str, nick: str) -> Terminal:
    """A client in the lobby, with its prompt on the screen."""
    opened = Terminal([CLIENT, address, "--nick", nick, "--room", "lobby"], rows=40)
    opened.wait_until(lambda: opened.prompt.startswith("lobby>"), f"the prompt of {nick}")
    return opened


def said(terminal: Terminal) -> list[str]:
    """What was said, as the screen shows it."""
    return [found[1] for row in terminal.scrollback if (found := SAID.match(row))]


def test_a_person_whose_cable_is_pulled_sees_no_hole_no_duplicate_and_nobody_quit(
    server: Server,
) -> None:
    with (
        cable_to(server.address) as plug,
        join(server.address, "bob") as bob,
        join(plug.address, "ada") as ada,
    ):
        bob.wait_for("ada joined lobby")
        spoken = ["bob: are you there?", "ada: I am"]
        bob.enter("are you there?")
        ada.wait_for("bob: are you there")
        ada.enter("I am")
        bob.wait_for("ada: I am")
        plug.pull()
        ada.wait_for("reconnecting")
        ada.enter("did you hear this?")
        for number in range(10):
            bob.enter(f"line {number}")
            bob.wait_for(f"bob: line {number}$")
            spoken.append(f"bob: line {number}")
        plug.put_back()
        bob.wait_for("ada: did you hear this")
        ada.wait_for("bob: line 9$")
        spoken.append("ada: did you hear this?")
        bob.enter("welcome back")
        ada.wait_for("bob: welcome back")
        bob.wait_for("^.{6}bob: welcome back$")
        spoken.append("bob: welcome back")
        assert said(bob) == said(ada) == spoken
        for terminal in (ada, bob):
            told = "\n".join(terminal.scrollback)
            assert "quit" not in told
            assert "left" not in told
            assert told.count("joined") <= 1
