"""tcpchat-client for screen readers: lines that are only added, each once and whole."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from tcpchat_cli.terminal.linear import spoken
from tcpchat_cli.terminal.render import Renderer, marker

from tcpchat_core import events, notices
from tcpchat_core.notices import Said, Sent, Told
from tests.cli.conftest import Server, running_server
from tests.cli.terminal import CLIENT, Terminal
from tests.cli.test_client_rows import ANY_NOTICE, from_the_wire


@pytest.fixture
def server() -> Iterator[Server]:
    """Without a limit of lines a second, and who goes is gone at once."""
    with running_server("--flood-rate", "0", "--grace", "0") as started:
        yield started


def join(server: Server, nick: str, *options: str) -> Terminal:
    """A client in the lobby that only adds lines."""
    argv = [CLIENT, server.address, "--nick", nick, "--room", "lobby", "--plain-ui", *options]
    opened = Terminal(argv, columns=200)
    opened.wait_for(r"^\* you are in lobby with ")
    return opened


def lines(terminal: Terminal) -> list[str]:
    """All whole lines that were ever written; nothing of them is there for a terminal to obey."""
    text = terminal.output[: terminal.output.rfind(b"\n") + 1].decode()
    assert set(re.findall(r"[\x00-\x1f\x7f-\x9f]", text.replace("\r\n", "\n"))) <= {"\n", "\a"}
    return text.replace("\a", "").split("\r\n")


def test_who_speaks_comes_first_and_each_line_comes_once(server: Server) -> None:
    with join(server, "ada") as ada, join(server, "bob") as bob:
        ada.wait_for(r"^\* bob joined lobby$")
        bob.enter("hello")
        bob.enter("/me waves")
        bob.enter("ada: are you there?")
        ada.wait_for(r"^bob: hello$")
        ada.wait_for(r"^bob \(action\): waves$")
        ada.wait_for(r"^bob \(mention\): ada: are you there\?$")
        ada.enter("yes, I am")
        bob.wait_for(r"^ada: yes, I am$")
        ada.enter("/quit")
        assert ada.wait_for_exit() == 0
        told = lines(ada)
        assert told.count("yes, I am") == 1  # as it was typed
        for line in ("bob: hello", "bob (action): waves", "bob (mention): ada: are you there?"):
            assert told.count(line) == 1
        assert not any("ada: yes" in line for line in told)


def test_what_is_new_elsewhere_is_told_in_sentences_and_shown_when_one_goes_there(
    server: Server,
) -> None:
    with join(server, "ada") as ada, join(server, "bob") as bob:
        ada.wait_for(r"^\* bob joined lobby$")
        ada.enter("/join dev")
        ada.wait_for(r"^\* you are in dev with nobody else$")
        bob.enter("one")
        ada.wait_for(r"^\* something new in lobby$")
        bob.enter("two")
        bob.enter("three, ada")
        ada.wait_for(r"^\* you are mentioned in lobby$")
        bob.enter("/msg ada psst")
        ada.wait_for(r"^\* bob writes to you: /view 3$")
        bob.enter("/msg ada hello?")
        bob.enter("/msg ada well")
        bob.enter("four, ada")  # behind all that
        ada.wait_until(
            lambda: lines(ada).count("* you are mentioned in lobby") == 2, "what came last"
        )
        assert lines(ada).count("* bob writes to you: /view 3") == 1
        ada.enter("/view")
        ada.wait_for(r"^\* 1 lobby: 4 messages, 2 for you$")
        ada.wait_for(r"^\* 3 @bob: 3 messages, 3 for you$")
        ada.enter("/view lobby")
        ada.wait_for(r"^\* now in lobby: 4 messages, 2 for you$")
        ada.wait_for(r"^bob \(mention\): three, ada$")
        ada.enter("/query bob")
        ada.wait_for(r"^\* now with bob: 3 messages, 3 for you$")
        ada.wait_for(r"^bob to you: psst$")
        ada.enter("/view 2")
        ada.wait_for(r"^\* now in dev: nothing new$")
        ada.enter("/view nowhere")
        ada.wait_for("^! there is no view nowhere; /view lists those there are$")
        told = lines(ada)
        for line in ("bob: one", "bob: two", "bob (mention): three, ada", "bob to you: psst"):
            assert told.count(line) == 1
        assert told.count("* something new in lobby") == 1


def test_a_lost_connection_is_told_and_that_it_is_back(server: Server) -> None:
    with join(server, "ada") as ada:
        server.process.kill()
        ada.wait_for("^! the connection to .* was lost; reconnecting, and what you type is kept$")
        ada.type("\x03")
        assert ada.wait_for_exit() == 0
        lines(ada)


@pytest.mark.parametrize("key", ["\x03", "\x04"], ids=["Ctrl-C", "Ctrl-D"])
def test_ctrl_c_and_ctrl_d_leave_in_good_order(server: Server, key: str) -> None:
    with join(server, "ada") as ada, join(server, "bob") as bob:
        ada.wait_for("bob joined")
        bob.type(key)
        assert bob.wait_for_exit() == 0
        assert bob.echoes
        ada.wait_for(r"^\* bob is gone$")
        assert b"Traceback" not in bob.output


def test_a_password_is_asked_for_and_not_shown(tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text("open sesame\n")
    with (
        running_server("--password-file", str(secret)) as server,
        Terminal([CLIENT, server.address, "--plain-ui"], columns=200) as ada,
    ):
        ada.wait_for("^! .*password")
        ada.wait_for("^Password:")
        ada.enter("open sesame")
        ada.wait_for(r"^Nickname \[guest-1\]:")
        ada.enter("ada")
        ada.wait_for(r"^Room \[lobby\]:")
        ada.enter("")
        ada.wait_for(r"^\* you are in lobby with nobody else$")
        assert not any("sesame" in line for line in lines(ada))
        assert any("ada" in line for line in lines(ada))


def test_ctrl_c_at_the_password_leaves_a_terminal_that_shows_what_is_typed(tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text("open sesame\n")
    with (
        running_server("--password-file", str(secret)) as server,
        Terminal([CLIENT, server.address, "--plain-ui"], columns=200) as ada,
    ):
        ada.wait_for("^Password:")
        ada.type("\x03")
        assert ada.wait_for_exit() == 0
        assert ada.echoes


def test_times_are_written_only_for_who_wants_them(server: Server) -> None:
    with join(server, "ada") as ada:
        ada.enter("/set timestamps on")
        ada.wait_for(r"timestamps is on$")
        ada.enter("/who")
        ada.wait_for(r"^\d\d:\d\d \* 1 in lobby: ada$")


def test_the_setting_does_the_same_as_the_flag(server: Server, own_home: Path) -> None:
    folder = own_home / ".config" / "tcpchat"
    folder.mkdir(parents=True)
    (folder / "client.toml").write_text("plain_ui = true\n")
    with Terminal([CLIENT, server.address, "--nick", "ada", "--room", "lobby"]) as ada:
        ada.wait_for(r"^\* you are in lobby with nobody else$")
        lines(ada)
    argv = [CLIENT, server.address, "--nick", "ada", "--room", "lobby", "--no-plain-ui"]
    with Terminal(argv) as ada:
        ada.wait_for("^lobby>")


# ── Lines as they are read ───────────────────────────────────────────────────────────────────


@given(ANY_NOTICE)
def test_whatever_a_server_sends_is_whole_lines_that_no_nick_can_forge(
    notice: notices.Notice,
) -> None:
    renderer = Renderer()
    renderer.me = "me"
    for told in from_the_wire(notice):
        for line in renderer.lines(told):
            text = spoken(line, timestamps=False)
            assert not re.search(r"[\x00-\x1f\x7f-\x9f]", text)
            if line.place is None and not isinstance(told, Told):  # nobody has said it
                assert text.startswith(("* ", "! ")), text


@pytest.mark.parametrize(
    ("notice", "said"),
    [
        (Said("lobby", "ada", "hello", 1, 0), "ada: hello"),
        (Said("lobby", "ada", "waves", 1, 0, emote=True), "ada (action): waves"),
        (Said("lobby", "ada", "hello, bob", 1, 0), "ada (mention): hello, bob"),
        (Said("lobby", "ada", "tickles bob", 1, 0, True), "ada (action, mention): tickles bob"),
        (Said("lobby", "bot", "beep", 1, 0, notice=True), "bot (notice): beep"),
        (Told("ada", "psst", 1, 0), "ada to you: psst"),
        (Told("bot", "beep", 1, 0, notice=True), "bot to you (notice): beep"),
        (Told("bob", "psst", 1, 0, to="ada"), "you to ada: psst"),
        (notices.Gone("ada", "tea"), "* ada is gone (tea)"),
        (notices.Rejected("bad-name", "no"), "! no"),
    ],
)
def test_each_kind_of_line_is_read_out(notice: notices.Notice, said: str) -> None:
    renderer = Renderer(date(1970, 1, 1))
    renderer.me = "bob"
    assert [spoken(line, timestamps=False) for line in renderer.lines(notice)] == [said]


def test_a_mark_is_read_without_its_rule() -> None:
    assert (
        spoken(marker("Monday, 30 November 2026"), timestamps=True) == "* Monday, 30 November 2026"
    )


def test_a_line_of_a_list_begins_with_its_number_its_day_and_its_room() -> None:
    listed = Renderer().numbered([Said("lobby", "ada", "hello", 1, 0), Told("bob", "psst", 1, 0)])
    texts = [spoken(line, timestamps=False) for line in listed]
    assert re.fullmatch(r"1 19(69|70)-\d\d-\d\d \d\d:\d\d lobby ada: hello", texts[0])
    assert re.fullmatch(r"2 19(69|70)-\d\d-\d\d \d\d:\d\d bob to you: psst", texts[1])


def test_what_was_typed_here_is_known_as_that_and_nothing_else_is() -> None:
    renderer = Renderer(date(1970, 1, 1))
    renderer.me = "bob"
    said = renderer.own(events.Say("lobby", "yes", re=1), Sent(0, room="lobby", seq=2))
    assert [spoken(line, timestamps=False) for line in said] == [
        "* in answer to an earlier message",
        "bob: yes",
    ]
    assert [line.echo for line in said] == [False, True]
    own = renderer.own(events.Tell("ada", "hello"), Sent(0, None, nick="ada", away="lunch"))
    assert [line.echo for line in own] == [True, False]
    assert not any(line.echo for line in renderer.lines(Said("lobby", "bob", "hello", 1, 0)))
