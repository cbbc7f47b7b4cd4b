"""tcpchat-client comes back: what it shows when a session, or a part of the history, is gone."""

from __future__ import annotations

from tests.cli.cable import cable_to
from tests.cli.conftest import running_server
from tests.cli.terminal import CLIENT, Terminal


def join(address: str, nick: str) -> Terminal:
    """A client in the lobby, with its prompt on the screen."""
    opened = Terminal([CLIENT, address, "--nick", nick, "--room", "lobby"])
    opened.wait_for("^lobby>")
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


def test_what_the_server_could_not_keep_is_shown_as_a_gap() -> None:
    with (
        running_server("--flood-rate", "0") as server,
        cable_to(server.address) as plug,
        join(server.address, "bob") as bob,
        join(plug.address, "ada") as ada,
    ):
        bob.enter("before")
        ada.wait_for("bob: before$")
        plug.pull()
        ada.wait_for("reconnecting$")
        count = 300  # a room keeps 200
        bob.type("".join(f"missed {number}\r" for number in range(count)))
        bob.wait_for(f"bob: missed {count - 1}$")
        plug.put_back()
        ada.wait_for(f"bob: missed {count - 1}$")
        shown = [row for row in ada.scrollback if "missed" in row or "── some" in row]
        assert "some of what was said in lobby is lost; /history shows" in shown[0]
        assert [row.split("missed ")[1] for row in shown[1:]] == [
            str(number) for number in range(count - 200, count)
        ]
