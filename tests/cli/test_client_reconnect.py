"""tcpchat-client comes back: what it shows when a session, or a part of the history, is gone."""

from __future__ import annotations

import pytest

from tests.cli.cable import cable_to
from tests.cli.conftest import running_server
from tests.cli.serving import Talker
from tests.cli.terminal import CLIENT, Terminal


def join(address: str, nick: str, *options: str, rows: int = 24, columns: int = 80) -> Terminal:
    """A client in the lobby, with its prompt on the screen."""
    argv = [CLIENT, address, "--nick", nick, "--room", "lobby", *options]
    opened = Terminal(argv, rows=rows, columns=columns)
    opened.wait_for("^lobby>" if "--plain-ui" not in options else "in lobby with")
    return opened


def test_where_the_session_is_gone_one_is_back_as_whom_one_was_and_sees_nothing_twice() -> None:
    with (
        running_server("--grace", "0") as server,
        cable_to(server.address) as plug,
        join(server.address, "bob") as bob,
        join(plug.address, "ada") as ada,
    ):
        ada.enter("/join dev")
        ada.wait_for("in dev with nobody else$")
        ada.enter("/join lobby")
        ada.wait_for("^lobby>")
        ada.enter("before")
        bob.wait_for("ada: before$")
        ada.wait_for("ada: before$")
        plug.pull()
        ada.wait_for("reconnecting$")
        bob.enter("meanwhile")
        bob.wait_for("bob: meanwhile$")
        ada.enter("typed meanwhile")
        ada.wait_for("^… typed meanwhile$")
        ada.enter("/topic asked for meanwhile")
        plug.put_back()
        ada.wait_for("topic of lobby: asked for meanwhile")
        ada.wait_for("this may not have been said: typed meanwhile$")
        ada.wait_for("connected$")
        for text in ("ada: before", "bob: meanwhile"):
            assert sum(text in row for row in ada.rows) == 1
        bob.enter("/who")
        bob.wait_for("2 in lobby: bob, ada$")
        ada.wait_for("1:lobby 2:dev │ 2 here")


def test_what_is_typed_without_a_connection_is_done_in_its_order() -> None:
    with (
        running_server() as server,
        cable_to(server.address) as plug,
        join(server.address, "bob") as bob,
        join(plug.address, "ada") as ada,
    ):
        bob.enter("/join dev")
        bob.wait_for("^dev>")
        plug.pull()
        ada.wait_for("reconnecting$")
        ada.enter("still in the lobby")
        ada.enter("/join dev")
        ada.enter("now in dev")
        ada.wait_for("^… now in dev$")
        plug.put_back()
        bob.wait_for("ada: now in dev$")
        bob.type("\x1b1")
        bob.wait_for("ada: still in the lobby$")
        ada.wait_for("connected$")
        assert not ada.shows("you are not in")


@pytest.mark.parametrize("options", [(), ("--full-screen",), ("--plain-ui",)])
@pytest.mark.parametrize("grace", ["60", "0"])
def test_what_the_server_did_not_send_again_is_a_gap_that_one_can_go_to(
    options: tuple[str, ...], grace: str
) -> None:
    limits = ("--flood-rate", "0", "--history", "20", "--grace", grace)
    with (
        running_server(*limits) as server,
        cable_to(server.address) as plug,
        Talker(server.address, "/nick bob\n/join lobby\n") as bob,
        join(plug.address, "ada", *options, rows=60, columns=78) as ada,
    ):
        bob.send("before\n")
        ada.wait_for("bob: before$")
        ada.enter("/goto gap")
        ada.wait_for("nothing is missing here$")
        plug.pull()
        ada.wait_for("the connection to .* was lost")
        count = 50
        bob.send("".join(f"missed {number}\n" for number in range(count)) + "/who\n")
        bob.read_until("* 1 in" if grace == "0" else "* 2 in")
        plug.put_back()
        ada.wait_for(f"bob: missed {count - 1}$")
        assert ada.shows("some of what was said in lobby is missing here; /goto gap")
        shown = [row for row in ada.rows if "missed" in row]
        assert [row.split("missed ")[1] for row in shown] == [
            str(number) for number in range(count - 20, count)
        ]
        ada.enter("/goto gap")
        ada.wait_for(f"missed {count - 21}$")
        ada.enter("/older")
        ada.wait_for(f"missed {count - 40}$")
        ada.enter("/close")
