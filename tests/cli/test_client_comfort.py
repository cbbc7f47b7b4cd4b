"""What makes tcpchat-client a place to be in all day, as the screen shows it."""

from __future__ import annotations

import itertools
import os
import re
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.cli.clients import bar, people
from tests.cli.conftest import Server, running_server
from tests.cli.serving import Talker
from tests.cli.terminal import CLIENT, Terminal


@pytest.fixture
def server() -> Iterator[Server]:
    """Without a limit of lines a second, so that a burst is one; who goes is gone at once."""
    with running_server("--flood-rate", "0", "--grace", "0") as started:
        yield started


def test_the_bar_shows_rooms_people_lag_and_the_connection(server: Server) -> None:
    with people(server, "ada", "bob") as (ada, _):
        ada.wait_until(
            lambda: re.fullmatch(r" 1:lobby │ 2 here │ \d+ ms │ connected", bar(ada)), "the bar"
        )


def test_rooms_are_switched_by_keys_and_what_was_missed_is_counted(server: Server) -> None:
    with people(server, "ada", "bob") as (ada, bob):
        bob.enter("/join dev")
        bob.wait_for("you are in dev with nobody else$")  # the prompt names it before that
        ada.enter("one")
        ada.enter("two, bob?")
        bob.wait_until(lambda: "1:lobby!2 2:dev" in bar(bob), "two unread, one of them a mention")
        bob.type("\x1b1")
        bob.wait_for("^lobby>")
        bob.wait_for("^── lobby ──$")
        bob.wait_for("^── new since you were here: 2 messages, 1 for you ──$")
        bob.wait_for(r"ada: two, bob\?$")
        bob.wait_until(lambda: "1:lobby 2:dev" in bar(bob), "nothing unread")
        bob.type("\x0e")
        bob.wait_for("^dev>")
        bob.type("\x10")
        bob.wait_for("^lobby>")
        bob.enter("/join dev")
        bob.wait_for("^dev>")


def test_ones_own_message_stands_grey_until_its_receipt(server: Server) -> None:
    with people(server, "ada") as (ada,):
        os.kill(server.process.pid, signal.SIGSTOP)
        try:
            ada.enter("are you asleep?")
            ada.wait_for(r"^… are you asleep\?$")
            assert not ada.shows("ada: are you asleep")
        finally:
            os.kill(server.process.pid, signal.SIGCONT)
        ada.wait_for(r"ada: are you asleep\?$")
        ada.wait_until(lambda: not ada.shows("^…"), "the grey line to go")


def test_comings_and_goings_are_told_in_one_line_when_they_come_thick(server: Server) -> None:
    with people(server, "ada") as (ada,), ExitStack() as stack:
        crowd = [
            stack.enter_context(Talker(server.address, f"/nick p{number}\n")) for number in range(8)
        ]
        # While ada's client does not run, all of it comes; then it finds it in one read.
        ada.child.kill(signal.SIGSTOP)
        for step in ("/join lobby\n", "/quit\n"):
            for talker in crowd:
                talker.send(step)
                talker.read_until("* You joined lobby" if "join" in step else "* Closing")
            with Talker(server.address, "/rooms\n") as later:
                later.read_until("* lobby")  # by now ada has been told of the turns before
        ada.child.kill(signal.SIGCONT)
        ada.wait_for(r"-- 8 joined lobby \(p0, p1, p2 .*\), 8 gone \(p0, p1, p2 ")


def test_a_thousand_lines_at_once_do_not_tear_what_is_being_typed(
    server: Server, tmp_path: Path
) -> None:
    script = tmp_path / "script"
    script.write_text("".join(f"line {number}\n" for number in range(1000)))
    with people(server, "ada") as (ada,):
        ada.type("half a thou")
        ada.wait_until(lambda: ada.prompt == "lobby> half a thou")
        command = f"{CLIENT} {server.address} --nick bot --room lobby < {script}"
        with Terminal(["sh", "-c", command]) as bot:
            ada.type("ght")
            ada.wait_for("bot: line 999$")
            assert bot.wait_for_exit() == 0
        ada.wait_until(lambda: ada.prompt == "lobby> half a thought")
        said = [row.split("bot: ")[1] for row in ada.scrollback if "bot: line" in row]
        assert said == [f"line {number}" for number in range(1000)]


def test_the_window_is_resized_while_one_types(server: Server) -> None:
    with people(server, "ada", "bob") as (ada, bob):
        ada.type("typed at eighty columns")
        ada.wait_until(lambda: ada.prompt == "lobby> typed at eighty columns")
        ada.resize(40, 24)
        ada.wait_until(lambda: "connected" in bar(ada) and "here" in bar(ada), "the bar, redrawn")
        bob.enter("something long enough that it has to be wrapped at forty")
        ada.wait_for("bob: something long enough that$")
        ada.wait_until(lambda: ada.prompt == "lobby> typed at eighty columns")


def test_tab_completes_commands_nicks_and_rooms(server: Server) -> None:
    with people(server, "ada", "bartholomew") as (ada, other):
        for typed, completed in (
            ("/unig\t", "lobby> /unignore"),
            ("bar\t", "lobby> bartholomew:"),
            ("hello bar\t", "lobby> hello bartholomew"),
            ("/msg bar\t", "lobby> /msg bartholomew"),
            ("/who lo\t", "lobby> /who lobby"),
            ("/set theme li\t", "lobby> /set theme light"),
        ):
            ada.type(typed)
            ada.wait_until(lambda completed=completed: ada.prompt == completed, completed)  # type: ignore[misc] # mypy infers no type for a default
            ada.type("\x15")  # Ctrl-U
            ada.wait_until(lambda: ada.prompt == "lobby>")
        other.wait_until(lambda: other.prompt == "lobby>", "the other's prompt, as it was")


def test_a_pasted_wall_is_asked_about_once_and_can_be_stopped(server: Server) -> None:
    def paste(terminal: Terminal, *lines: str) -> None:
        terminal.type("\x1b[200~" + "\r".join(lines) + "\x1b[201~")

    with people(server, "ada", "bob") as (ada, bob):
        paste(ada, "one line only")
        ada.wait_until(lambda: ada.prompt == "lobby> one line only")
        ada.type("\r")
        bob.wait_for("ada: one line only$")
        paste(ada, "first", "/second", "", "third")
        ada.wait_for(r"^say these 3 lines to lobby\? y/n$")
        ada.type("y")
        bob.wait_for("ada: third$")
        assert bob.shows("ada: /second$")
        ada.wait_for("ada: third$")  # its receipt has come: nothing is being sent any more
        ada.wait_until(lambda: not ada.shows("^(say these|sending)"), "the question to go")
        paste(ada, "never", "said")
        ada.wait_for(r"^say these 2 lines to lobby\? y/n$")
        ada.type("n")
        ada.wait_for("stopped; 0 of 2 lines were sent")
        os.kill(server.process.pid, signal.SIGSTOP)
        try:
            paste(ada, *(f"long {number}" for number in range(12)))
            ada.wait_for("^say these 12 lines")
            ada.type("y")
            ada.wait_for(r"^sending 1/12 \(Ctrl-C stops\)$")
            ada.type("\x03")
            ada.wait_for("stopped; 1 of 12 lines were sent")
        finally:
            os.kill(server.process.pid, signal.SIGCONT)
        ada.enter("after")
        bob.wait_for("ada: after$")
        assert not bob.shows("never")
        assert not bob.shows("long 1")


def test_somebody_is_ignored_and_shown_again(server: Server) -> None:
    with people(server, "ada", "troll") as (ada, troll):
        ada.enter("/ignore Troll")
        ada.wait_for("Troll is ignored")
        troll.enter("first")
        troll.wait_for("troll: first")
        ada.enter("is it quiet?")
        ada.wait_for(r"ada: is it quiet\?$")  # … and what was said before it has come to ada, too
        ada.enter("/unignore troll")
        ada.wait_for("troll is shown again")
        troll.enter("second")
        ada.wait_for("troll: second")
        assert not ada.shows("troll: first")


def test_help_has_room_on_one_screen(server: Server) -> None:
    with people(server, "ada", rows=24) as (ada,):
        ada.enter("/clear")
        ada.enter("/help")
        ada.wait_for("-- more: /help msg, /help talking, /help keys, /help all$")
        assert ada.shows("-- what you type is said where you look")
        assert ada.shows("-- people     /who /whois ")


def test_a_command_behind_esc_is_a_command(server: Server) -> None:
    with people(server, "ada", rows=24) as (ada,):
        ada.enter("\x1b/msg nobody a secret")
        ada.wait_for("!! there is nobody called nobody$")
        assert not ada.shows("ada: ")


def test_help_explains_with_examples_and_settings_change(server: Server) -> None:
    with people(server, "ada", rows=48) as (ada,):
        ada.enter("/help people")
        ada.wait_for(r"/ignore \[NICK\]")
        ada.enter("/help msg")
        ada.wait_for("for example: /msg ada psst")
        ada.enter("/ignroe x")
        ada.wait_for("there is no command /ignroe; did you mean /ignore")
        ada.enter("/set timestamps off")
        ada.wait_for("^-- timestamps is off$")
        ada.enter("/set theme blue")
        ada.wait_for("!! there is no theme 'blue'; there are dark, light, none")
        ada.enter("/clear")
        ada.wait_until(lambda: ada.rows[0].startswith("lobby>"), "a clear screen")


def test_who_was_away_finds_a_mark_and_a_summary(server: Server, own_home: Path) -> None:
    config = own_home / ".config" / "tcpchat"
    config.mkdir(parents=True)
    (config / "client.toml").write_text("away = 1\n")
    with people(server, "ada", "bob") as (ada, bob):
        ada.wait_until(lambda: bool(bar(ada)))
        for number in itertools.count():  # until a second has gone by without a key
            bob.enter(f"still there? {number}")
            ada.wait_for(rf"still there\? {number}$")
            if ada.shows("── new since you were here ──"):
                break
        ada.type("x")
        ada.wait_for(r"-- while you were away: \d+ message")


def test_suspended_and_resumed_the_client_shows_what_came(server: Server) -> None:
    with (
        people(server, "bob") as (bob,),
        Terminal(["bash", "--norc", "--noediting", "-i"]) as shell,
    ):
        shell.enter(f"{CLIENT} {server.address} --nick ada --room lobby")
        shell.wait_for("^lobby>")
        shell.type("kept")
        shell.wait_until(lambda: shell.prompt == "lobby> kept")
        shell.type("\x1a")
        shell.wait_for("Stopped")
        bob.enter("said meanwhile")
        bob.wait_for("bob: said meanwhile")
        shell.enter("fg")
        shell.wait_for("bob: said meanwhile")
        shell.wait_until(lambda: shell.prompt == "lobby> kept")


def test_forty_columns_and_wide_names_fit(server: Server) -> None:
    argv = [CLIENT, server.address, "--nick", "김민수", "--room", "한국어"]
    with Terminal(argv, columns=40) as narrow:
        narrow.wait_for("^한국어>")
        narrow.enter("안녕하세요 여러분, 오늘 날씨가 좋네요 🎉 그렇죠?")
        narrow.wait_for("김민수: 안녕하세요")
        assert all(len(row) <= 40 for row in narrow.rows)
        narrow.wait_until(lambda: bar(narrow).endswith("connected"), "the bar")


def test_without_utf8_what_cannot_be_shown_is_a_question_mark(server: Server) -> None:
    argv = [CLIENT, server.address, "--nick", "ada", "--room", "lobby"]
    environment = {"LC_ALL": "en_US.ISO-8859-1", "PYTHONIOENCODING": "ascii"}
    with people(server, "bob") as (bob,), Terminal(argv, env=environment) as ada:
        ada.wait_for("^lobby>")
        bob.enter("/msg ada 안녕")
        ada.wait_for("2:@bob!1")
        ada.enter("/query bob")
        ada.wait_for(r"\[bob -> you\] \?\?$")
        ada.type("\x1b1")
        ada.wait_for("1:lobby | ")


def test_what_was_typed_before_is_found_by_alt_r(server: Server) -> None:
    with people(server, "ada") as (ada,):
        for text in ("the first of May", "something else"):
            ada.enter(text)
            ada.wait_for(f"ada: {text}$")
        ada.type("\x1brfirst")
        ada.wait_for("search.*first")
        ada.type("\r")
        ada.wait_for("^lobby> the first of May$")


def test_what_is_taken_back_is_struck_out_where_it_stands(server: Server) -> None:
    with people(server, "ada", "bob", columns=60) as (ada, bob):
        ada.enter("a slip of the tongue " * 5)
        bob.wait_for("ada: a slip of the tongue")
        bob.enter("what? see https://example.org/" + "x" * 100)
        ada.wait_for(r"what\? see")
        ada.type("half a line")
        ada.wait_until(lambda: ada.prompt == "lobby> half a line")
        bob.enter("/redact ada")
        bob.wait_for("!! ")  # bob moderates nothing
        ada.type("\x15")
        ada.enter("/redact")
        for each in (ada, bob):
            each.wait_for("ada took back something in lobby$")
            each.wait_for(r"^\d\d:\d\d ada: \(taken back\)$")
            each.wait_until(lambda each=each: each.prompt == "lobby>", "the prompt")  # type: ignore[misc] # mypy infers no type for a default
            shown = [row for row in each.rows if row]
            assert not any("slip" in row or "tongue" in row for row in shown)
            at = next(at for at, row in enumerate(shown) if "(taken back)" in row)
            assert "bob: what? see" in shown[at + 1]
            assert shown[at + 2].lstrip().startswith("https://example.org/xx")
            assert any("joined" in row or "you are in lobby" in row for row in shown[:at])
        assert sum("what? see" in row for row in ada.scrollback) == 1


def test_what_has_left_the_screen_is_left_alone(server: Server) -> None:
    with people(server, "ada", rows=12) as (ada,):
        ada.enter("a slip")
        ada.wait_for("ada: a slip$")
        for number in range(12):
            ada.enter(f"line {number}")
        ada.wait_for("ada: line 11$")
        before = [row for row in ada.scrollback if "ada: " in row]
        ada.enter("/kick nobody")
        ada.wait_for("!! ")
        with Talker(server.address, "/nick eve\n/join lobby\n") as eve:
            eve.read_until("* You joined")
            ada.wait_for("eve joined lobby$")
            eve.send("shown\n")
            ada.wait_for("eve: shown$")
            ada.enter("/redact eve")
            ada.wait_for("eve had said in lobby$")
        ada.wait_for(r"eve: \(taken back\)$")
        assert [row for row in ada.scrollback if "ada: " in row] == before
        ada.type("\x0c")  # Ctrl-L
        ada.wait_until(lambda: ada.rows[0].startswith("lobby>"), "a clear screen")
        ada.enter("/redact")
        ada.wait_for("ada took back something in lobby$")
        assert not ada.shows("line|taken back")


def test_a_code_that_was_typed_is_not_offered_again(server: Server) -> None:
    with people(server, "ada") as (ada,):
        for typed, told in (
            ("/secret teapot", "lobby is private now, says ada"),
            ("/join den teapot", "^den>$"),
            ("/claim no-such-code", "!! there is no such code"),
            # For a second after a wrong one, no other is tried.
            ("/login no-such-token", "!! (this device is not known|the last one was wrong)"),
        ):
            ada.enter(typed)
            ada.wait_for(told)
            # A new prompt knows what was typed before once it is shown.
            ada.type("x")
            ada.wait_until(lambda: ada.prompt.endswith("> x"))
            ada.type("\x15\x1b[A")  # Ctrl-U, Up
            kept = " ".join(typed.split()[:-1])
            ada.wait_until(lambda kept=kept: ada.prompt.endswith(f"> {kept}"), kept)  # type: ignore[misc] # mypy infers no type for a default
            ada.type("\x15")  # Ctrl-U
            ada.wait_until(lambda: ada.prompt in {"lobby>", "den>"})


def test_the_line_can_be_edited_with_the_keys_of_vi(server: Server) -> None:
    with people(server, "ada") as (ada,):
        ada.enter("/set editing vi")
        ada.wait_for("editing is vi$")
        ada.type("xhello")
        ada.wait_for("^lobby> xhello$")
        ada.type("\x1b")  # to normal mode: the cursor goes back onto the last character
        ada.wait_until(lambda: ada.screen.cursor.x == len("lobby> xhell"), "the normal mode")
        ada.type("0x")
        ada.wait_for("^lobby> hello$")
