"""tcpchat-client through the end of its server and its next start: a pause, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.serving import ServerProcess
from tests.cli.terminal import CLIENT, Terminal
from tests.cluster.ports import Port


def serve(folder: Path, *arguments: str, port: int = 0) -> ServerProcess:
    return ServerProcess(
        "--port", str(port), "--data", str(folder), "--rooms", "lobby", "--log-level", "warning",
        *arguments,
    )  # fmt: skip


def join(address: str, nick: str) -> Terminal:
    """A client in the lobby, with its prompt on the screen."""
    opened = Terminal([CLIENT, address, "--nick", nick, "--room", "lobby"])
    opened.wait_for("^lobby>")
    return opened


def conversation(terminal: Terminal) -> list[str]:
    """What the screen says that anybody said, without the time."""
    return [
        row.partition(" ")[2] for row in terminal.scrollback if " ada: " in row or " bob: " in row
    ]


def voice(terminal: Terminal) -> list[str]:
    """What the client itself says, without the time."""
    rows = [row.partition(" ")[2] for row in terminal.scrollback]
    return [row for row in rows if row.startswith(("-- ", "!! "))]


@pytest.mark.parametrize("kind", ["kill", "terminate"])
def test_a_conversation_goes_on_over_the_end_of_the_server_as_if_there_had_been_none(
    kind: str, tmp_path: Path
) -> None:
    # It is held also while there is no server: who looks for a free one is not given it.
    with Port() as port, serve(tmp_path, port=port.number) as server:
        address = server.read_address()
        with join(address, "ada") as ada, join(address, "bob") as bob:
            ada.wait_for("bob joined lobby")
            ada.enter("before")
            bob.wait_for("ada: before$")
            ada.wait_for("ada: before$")
            shown = {terminal: len(voice(terminal)) for terminal in (ada, bob)}
            getattr(server.process, kind)()
            server.process.wait()
            for terminal in (ada, bob):
                terminal.wait_for("reconnecting$")
            ada.enter("typed meanwhile")
            bob.enter("so was this")
            ada.wait_for("^… typed meanwhile$")
            bob.wait_for("^… so was this$")
            with serve(tmp_path, port=port.number) as again:
                again.read_address()
                for terminal in (ada, bob):
                    terminal.wait_for("ada: typed meanwhile$")
                    terminal.wait_for("bob: so was this$")
                    terminal.wait_for("connected$")
                ada.enter("after")
                bob.wait_for("ada: after$")
                ada.wait_for("ada: after$")
                said = conversation(ada)
                assert said == conversation(bob)
                assert sorted(said) == sorted(
                    ["ada: before", "ada: typed meanwhile", "bob: so was this", "ada: after"]
                )
                for terminal in (ada, bob):
                    lost, back = voice(terminal)[shown[terminal] :]
                    assert lost.startswith("!! the ")
                    assert back == "-- the connection is back"
                    assert not terminal.shows("this may not have been said")
                    assert not terminal.shows("is gone")


def test_older_pages_come_by_pageup_down_to_the_rooms_first_message(tmp_path: Path) -> None:
    with serve(tmp_path, "--flood-rate", "0", "--history", "10") as server:
        address = server.read_address()
        with join(address, "bob") as bob:
            for number in range(45):
                bob.enter(f"text {number}")
            bob.wait_for("bob: text 44$")
            with join(address, "ada") as ada:
                ada.wait_for("bob: text 44$")
                ada.type("\x1b[5~")
                ada.wait_for("PageUp shows what was said before that")
                assert sum(row.endswith("bob: text 34") for row in ada.scrollback) == 1
                ada.enter("/older")
                ada.wait_for("that was all from before in lobby")
                ada.type("\x1b[5~")
                ada.wait_for("lobby begins here: nothing was said before")
                for number in range(45):
                    rows = [row for row in ada.scrollback if row.endswith(f"bob: text {number}")]
                    assert len(rows) == 1, number


def test_what_is_searched_for_is_shown_with_its_time_and_room(tmp_path: Path) -> None:
    with serve(tmp_path) as server:
        address = server.read_address()
        with join(address, "ada") as ada:
            ada.enter("tea at four")
            ada.enter("/me drinks tea")
            ada.wait_for("ada drinks tea")
            ada.enter("/search tea")
            ada.wait_for("-- 2 found, newest first; ")
            ada.wait_for(r"^1 \d{4}-\d\d-\d\d \d\d:\d\d \[lobby\] \* ada drinks tea$")
            ada.wait_for(r"^2 \d{4}-\d\d-\d\d \d\d:\d\d \[lobby\] ada: tea at four$")
            ada.enter("/search milk")
            ada.wait_for("-- nothing was found$")
