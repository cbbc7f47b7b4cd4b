"""tcpchat-client with several servers: the first that answers is used, and then the next."""

from __future__ import annotations

import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.cable import cable_to
from tests.cli.conftest import Server, running_server
from tests.cli.terminal import CLIENT, LIMIT_SECONDS, Terminal

# Wide enough that no line is wrapped.
COLUMNS = 160


def join(servers: str, nick: str) -> Terminal:
    """A client in the lobby, with its prompt on the screen."""
    argv = [CLIENT, servers, "--nick", nick, "--room", "lobby"]
    opened = Terminal(argv, columns=COLUMNS)
    opened.wait_for("^lobby>")
    return opened


@pytest.fixture
def down() -> Iterator[str]:
    """An address where nobody listens, nor will."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        yield "{}:{}".format(*unused.getsockname())


def test_a_server_that_is_down_is_passed_over_and_the_list_is_offered_again(
    server: Server, down: str
) -> None:
    servers = f"{down},{server.address}"
    with Terminal([CLIENT, "--nick", "ada", "--room", "lobby"], columns=COLUMNS) as ada:
        ada.wait_for(r"^Server \[127.0.0.1:7667\]:")
        ada.enter(f"{down},")
        ada.wait_for(f"!! '{down},' has a comma without an address")
        ada.wait_until(lambda: ada.prompt.startswith("Server ["))
        ada.enter(f" {down} , {server.address} ")
        ada.wait_for(f"-- connected to {server.address}$")
        ada.wait_for("^lobby>")
    with Terminal([CLIENT], columns=COLUMNS) as again:
        again.wait_for(rf"^Server \[{servers}\]:")
        again.enter("")
        again.wait_for(f"-- connected to {server.address}$")


@pytest.mark.parametrize("how", ["flag", "environment"])
def test_a_script_talks_to_the_first_server_that_answers(
    server: Server, down: str, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TCPCHAT_SERVER", f"{down}, {server.address}")
    given = [f"{down},{server.address}"] if how == "flag" else []
    said = subprocess.run(
        [CLIENT, *given, "--nick", "bot", "--room", "lobby"],
        input="hello\n",
        capture_output=True,
        text=True,
        timeout=LIMIT_SECONDS,
        check=False,
    )
    assert (said.returncode, said.stderr) == (0, "")
    assert "Connected to" not in said.stdout


def test_where_there_is_one_server_it_is_not_told(server: Server) -> None:
    with cable_to(server.address) as plug, join(plug.address, "ada") as ada:
        plug.pull()
        ada.wait_for("reconnecting$")
        plug.put_back()
        ada.wait_for("-- the connection is back$")
        assert not ada.shows("connected to")


def test_the_session_goes_on_at_the_next_server_round_robin(server: Server, down: str) -> None:
    with (
        # Two ways to one server: what two nodes of a cluster are to a client.
        cable_to(server.address) as one,
        cable_to(server.address) as two,
        join(server.address, "bob") as bob,
        join(f"{one.address},{down},{two.address}", "ada") as ada,
    ):
        bob.wait_for("ada joined lobby")
        ada.wait_for(f"-- connected to {one.address}$")
        for plug, other in ((one, two), (two, one)):
            plug.pull()
            ada.wait_for(f"!! the connection to {plug.address} was lost.*; reconnecting, and what")
            ada.wait_until(
                lambda address=other.address: (  # type: ignore[misc] # mypy infers no type for a default
                    ada.text.rfind(f"-- connected to {address}") > ada.text.rfind("!! the")
                ),
                other.address,
            )
            ada.wait_for("connected$")
            plug.put_back()
            ada.enter(f"through {other.address}")
            bob.wait_for(f"ada: through {other.address}$")
        bob.enter("the end")
        ada.wait_for("bob: the end$")
        assert sum(row.endswith("-- the connection is back") for row in ada.scrollback) == 2
        assert not bob.shows("ada is gone")


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_server_that_ends_is_left_for_one_that_does_not_know_us(how: signal.Signals) -> None:
    with (
        running_server() as first,
        running_server() as second,
        join(second.address, "bob") as bob,
        join(f"{first.address},{second.address}", "ada") as ada,
    ):
        ada.enter("before")
        ada.wait_for("ada: before$")
        if how == signal.SIGKILL:
            first.process.send_signal(signal.SIGSTOP)  # it takes no more, and gives no receipts
            ada.enter("on its way")
            ada.wait_for("^… on its way$")
        first.process.send_signal(how)
        sentence = {
            signal.SIGKILL: f"!! the connection to {first.address} was lost",
            signal.SIGTERM: f"!! {first.address} closed the connection: the server is shutting",
        }
        ada.wait_for(sentence[how])
        ada.wait_for(f"-- connected to {second.address}$")
        ada.wait_for("-- you are in lobby with bob$")
        bob.wait_for("ada joined lobby$")
        if how == signal.SIGKILL:
            ada.wait_for("!! this may not have been said: on its way$")
        ada.enter("after")
        bob.wait_for("ada: after$")
        ada.wait_for("ada: after$")
        assert not ada.shows("^…")
        assert not bob.shows("on its way")


def test_a_terminal_with_plain_lines_tells_the_server_and_what_may_not_have_been_said() -> None:
    with (
        running_server() as first,
        running_server() as second,
        join(second.address, "bob") as bob,
        Terminal(
            [CLIENT, f"{first.address},{second.address}", "--nick", "ada", "--room", "lobby"],
            columns=COLUMNS,
            env={"TERM": "dumb"},
        ) as dumb,
    ):
        dumb.wait_for(rf"^\* connected to {first.address}$")
        dumb.wait_for(r"^\* you are in lobby with nobody else$")
        first.process.send_signal(signal.SIGSTOP)
        dumb.enter("on its way")
        dumb.enter("/bogus")  # which is answered when what was typed before is sent
        dumb.wait_for("^! there is no command /bogus")
        first.process.kill()
        dumb.wait_for(f"^! the connection to {first.address} was lost.*; reconnecting")
        dumb.wait_for(rf"^\* connected to {second.address}$")
        dumb.wait_for("^! this may not have been said: on its way$")
        dumb.enter("after")
        bob.wait_for("ada: after$")


def test_the_password_is_asked_for_by_the_server_that_is_used(down: str, tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text("open sesame\n")
    with (
        running_server("--password-file", str(secret)) as server,
        Terminal([CLIENT, f"{down},{server.address}"], columns=COLUMNS) as ada,
    ):
        ada.wait_for("^Password:")
        ada.enter("open sesame")
        ada.wait_for(f"-- connected to {server.address}$")
        ada.wait_for(r"^Nickname \[guest-1\]:")
